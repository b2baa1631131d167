use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;

use super::*;
use crate::ids::{FrameworkId, InverseOfferId};
use crate::message::{Final, Refused};
use crate::task::{Run, TaskReport, TaskSpec, TaskState, Update};
use crate::text::Name;
use crate::transport::CloseCode;

mod drain;
mod recovery;
mod register;
mod run;

const F: FrameworkId = FrameworkId(1);
/// The master's session, and the one after.
const M: SessionId = SessionId(1);
const M2: SessionId = SessionId(2);
/// The executor's session, and the one after.
const X: SessionId = SessionId(11);
const X2: SessionId = SessionId(12);
/// So that nothing is written at the first start.
const BOOT: BootId = BootId(0);

/// A slave whose effects are looked at whole, one input at a time.
struct Bench {
    slave: Slave,
    config: Config,
    /// What the writes so far have made durable.
    disk: Checkpoint,
    /// Whether a launch is durable at once; other writes are when a test says so.
    quick: bool,
}

impl Bench {
    fn new() -> Self {
        let resources = Resources::new(4000, 1 << 30);
        Self {
            slave: Slave::new(),
            config: Config::new(resources, Text::new("host:5051")),
            disk: Checkpoint::default(),
            quick: true,
        }
    }

    /// One that is registered as S1 by e1; its identity was write w1.
    fn registered() -> Self {
        let mut bench = Self::new();
        bench.go(begin(None));
        bench.go(Input::MasterOpened { session: M });
        bench.master(registered(1, 1));
        bench.go(Input::Stored { seq: Seq(1) });
        bench
    }

    /// One with task 1 (its kill grace is 5 s), whose executor x1 has registered in X and said that it runs; its
    /// writes were w2 and w3, and the update is told, not acknowledged.
    fn running() -> Self {
        let mut bench = Self::registered();
        bench.launch_registered(command(1), 1, X);
        bench.says(X, 1, 1, TaskState::Running, Reason::Normal);
        bench.go(Input::Stored { seq: Seq(3) });
        bench
    }

    fn launch_registered(&mut self, spec: TaskSpec, number: u32, session: SessionId) {
        self.master(MasterToSlave::Launch(spec));
        self.open(number, session);
    }

    fn open(&mut self, number: u32, session: SessionId) -> Vec<Effect> {
        let executor = executor(number);
        let mut effects = self.go(Input::ExecutorOpened { session, executor });
        let message = ExecutorToSlave::Register { tasks: Vec::new() };
        effects.extend(self.go(Input::Executor { session, message }));
        effects
    }

    fn go(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Outbox::new();
        self.slave.handle(&self.config, input, &mut out);
        let mut effects: Vec<Effect> = out.drain().collect();
        let mut added = None;
        for effect in &effects {
            if let Effect::Store { change, seq } = effect {
                self.disk.apply(change.clone());
                if matches!(change, CheckpointChange::TaskAdded { .. }) && self.quick {
                    added = Some(*seq);
                }
            }
        }
        if let Some(seq) = added {
            effects.extend(self.go(Input::Stored { seq }));
        }
        if self.slave.phase != Phase::Exited && self.slave.disk == Disk::Good {
            self.slave.assert_valid(&self.disk);
        }
        effects
    }

    fn master(&mut self, message: MasterToSlave) -> Vec<Effect> {
        let session = self.slave.link.session().unwrap_or(M);
        self.go(Input::Master { session, message })
    }

    fn kill(&mut self, number: u32, grace: u64) -> Vec<Effect> {
        self.master(MasterToSlave::Kill {
            task: task(number),
            grace: Some(Millis(grace)),
            reason: Reason::KilledByFramework,
        })
    }

    fn says(
        &mut self,
        session: SessionId,
        number: u32,
        nth: u32,
        state: TaskState,
        reason: Reason,
    ) -> Vec<Effect> {
        let message =
            ExecutorToSlave::Update { task: task(number), number: nth, state, reason, message: Text::EMPTY };
        self.go(Input::Executor { session, message })
    }

    fn gone(&mut self, number: u32) -> Vec<Effect> {
        self.go(Input::TreeEnded { executor: executor(number), ending: ending() })
    }

    fn acknowledge(&mut self, number: u32, update: u32) -> Vec<Effect> {
        self.master(MasterToSlave::Acknowledge { task: task(number), number: update })
    }

    /// Asserts that an input has no effect and leaves the slave as it was.
    fn nothing(&mut self, input: Input) {
        let before = self.slave.clone();
        assert_eq!(self.go(input), []);
        assert_eq!(self.slave, before);
    }
}

impl Slave {
    /// What holds after every input.
    fn assert_valid(&self, disk: &Checkpoint) {
        assert_eq!(self.check(), Ok(()));
        // What the writes say is what the slave holds.
        let cleared = matches!(self.phase, Phase::Clearing { .. });
        let forgets = matches!(self.phase, Phase::Quitting { .. } | Phase::Resetting);
        if !cleared && !forgets {
            assert_eq!(*disk, self.checkpoint());
        }
    }
}

/// The start of a slave whose earlier incarnation, if there was one, left nothing alive.
fn begin(checkpoint: Option<Checkpoint>) -> Input {
    Input::Start { checkpoint, boot: BOOT, alive: Vec::new() }
}

fn task(number: u32) -> TaskId {
    TaskId { framework: F, number }
}

fn executor(number: u32) -> ExecutorId {
    ExecutorId { framework: F, number }
}

fn program() -> Arc<Command> {
    Arc::new(Command { program: "true".into(), ..Command::default() })
}

fn spec(number: u32, run: Run) -> TaskSpec {
    TaskSpec {
        id: task(number),
        name: Name::new("web").unwrap(),
        resources: Resources::new(1000, 1 << 20),
        kill_grace: Millis::from_secs(5),
        fence_after: None,
        run,
    }
}

fn command(number: u32) -> TaskSpec {
    spec(number, Run::Command(program()))
}

/// A task of the framework's own executor.
fn own(number: u32, executor: u32) -> TaskSpec {
    let data = Arc::from([7u8].as_slice());
    spec(number, Run::Executor { number: executor, command: program(), data })
}

fn report(number: u32, state: TaskState, reason: Reason, latest: u32) -> TaskReport {
    TaskReport {
        id: task(number),
        name: Name::new("web").unwrap(),
        resources: Resources::new(1000, 1 << 20),
        kill_grace: Millis::from_secs(5),
        fenced: false,
        state,
        reason,
        number: latest,
    }
}

fn ending() -> Arc<Ending> {
    Arc::new(Ending { leader: Text::new("killed by signal 9"), ..Ending::default() })
}

fn registered(id: u32, epoch: u64) -> MasterToSlave {
    MasterToSlave::Registered { id: SlaveId(id), epoch: Epoch(epoch) }
}

fn to_master(session: SessionId, message: SlaveToMaster) -> Effect {
    Effect::ToMaster { session, message }
}

fn to_executor(session: SessionId, message: SlaveToExecutor) -> Effect {
    Effect::ToExecutor { session, message }
}

fn news(number: u32, nth: u32, state: TaskState, reason: Reason) -> Update {
    // The end of an executor is told in the words of its ending.
    let of_executor = matches!(reason, Reason::ExecutorEnded | Reason::ExecutorSilent);
    Update {
        task: task(number),
        number: nth,
        state,
        reason,
        message: if of_executor { ending().leader.clone() } else { Text::EMPTY },
    }
}

fn told(number: u32, nth: u32, state: TaskState, reason: Reason) -> Effect {
    let update = news(number, nth, state, reason);
    to_master(M, SlaveToMaster::Update { update, ending: None })
}

fn told_dead(number: u32, nth: u32, state: TaskState, reason: Reason) -> Effect {
    let update = news(number, nth, state, reason);
    let ending = Some(ending());
    to_master(M, SlaveToMaster::Update { update, ending })
}

fn stores(seq: u64, change: CheckpointChange) -> Effect {
    Effect::Store { seq: Seq(seq), change }
}

fn stores_news(seq: u64, update: Update, ending: Option<Arc<Ending>>) -> Effect {
    stores(seq, CheckpointChange::UpdateAdded { update, ending, replaces: None, heard: 0 })
}

/// The same of what its executor said, as its update of this number.
fn stores_heard(seq: u64, update: Update, heard: u32) -> Effect {
    stores(seq, CheckpointChange::UpdateAdded { update, ending: None, replaces: None, heard })
}

fn stores_end(seq: u64, update: Update, heard: u32) -> Effect {
    stores(seq, CheckpointChange::Ended { update, heard })
}

fn adds(seq: u64, spec: &TaskSpec) -> Effect {
    let report = report(spec.id.number, TaskState::Staging, Reason::Normal, 0);
    let (executor, shared) = match &spec.run {
        Run::Command(_) => (spec.id.number, false),
        Run::Executor { number, .. } => (*number, true),
    };
    stores(seq, CheckpointChange::TaskAdded { report, executor, shared })
}

fn starts(number: u32, program: Program) -> [Effect; 2] {
    let executor = executor(number);
    let launch = Effect::Launch { executor, program };
    [launch, sets(Timer::ExecutorRegister(executor), 60_000)]
}

fn hands(session: SessionId, spec: &TaskSpec) -> Effect {
    let (command, data) = match &spec.run {
        Run::Command(command) => (Some(command.clone()), Arc::default()),
        Run::Executor { data, .. } => (None, data.clone()),
    };
    to_executor(session, SlaveToExecutor::Launch { task: spec.id, command, data, fence_after: None })
}

fn acks(session: SessionId, number: u32, nth: u32) -> Effect {
    let message = SlaveToExecutor::Acknowledge { task: task(number), number: nth };
    to_executor(session, message)
}

fn asks(session: SessionId, number: u32, grace: u64) -> Effect {
    let message = SlaveToExecutor::Kill { task: task(number), grace: Millis(grace) };
    to_executor(session, message)
}

fn terminates(number: u32) -> Effect {
    Effect::Terminate { executor: executor(number) }
}

fn kills(number: u32) -> Effect {
    Effect::Kill { executor: executor(number) }
}

fn sets(timer: Timer, millis: u64) -> Effect {
    let when = When::After(Millis(millis));
    Effect::SetTimer { timer, when }
}

fn cancels(timer: Timer) -> Effect {
    Effect::CancelTimer { timer }
}

fn unregisters(finals: Vec<Final>) -> Effect {
    to_master(M, SlaveToMaster::Unregister { finals })
}

fn last_word(update: Update, ending: Option<Arc<Ending>>) -> Final {
    Final { update, ending }
}

fn lost(number: u32, nth: u32) -> Final {
    let update = news(number, nth, TaskState::Lost, Reason::SlaveUnregistered);
    last_word(update, Some(ending()))
}

#[test]
fn a_slave_is_small() {
    // With one task and one executor, that is all: a map keeps a single entry inline.
    assert!(size_of::<Slave>() <= 496, "{} bytes", size_of::<Slave>());
    assert!(size_of::<Task>() <= 288, "{} bytes", size_of::<Task>());
}
