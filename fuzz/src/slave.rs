//! `slave`: inputs to one slave and its crashes: it never panics and keeps within its limits (S15), counts exactly (S8),
//! says no end of a task while its tree is alive (S1) and none twice (S9), hands no killed task over (S10), and leaves
//! nothing alive (S11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neap_protocol::codec;
use neap_protocol::ids::{
    BootId, Epoch, ExecutorId, FrameworkId, Incarnation, InverseOfferId, Seq, SessionId, SlaveId, TaskId,
};
use neap_protocol::message::{ExecutorToSlave, MasterToSlave, Refused, SlaveToExecutor, SlaveToMaster};
use neap_protocol::outbox::Outbox;
use neap_protocol::resources::Resources;
use neap_protocol::slave::{
    Checkpoint, CheckpointChange, Config, Effect, Event, Input, RESTART_GAP, Recover, Slave, Timer,
    UPDATES_MAX,
};
use neap_protocol::task::{self, Ending, Exit, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use crate::choices::Choices;
use crate::machine;

/// What a run can reach.
pub(crate) const GOALS: &[&str] = &[
    "Finished",
    "Failed",
    "Killed",
    "Lost",
    "removed",
    "unregistered",
    "exited",
    "disk failing",
    "restarted",
    "torn checkpoint",
    "started where executors live",
];

/// The most tasks of a slave.
const TASKS_MAX: u32 = 12;

/// Runs the target: one slave after another.
pub(crate) fn run(choices: &mut Choices<'_>) {
    machine::lives(choices, |choices| {
        let grace = choices.one(&[None, Some(Millis(5))]);
        Life::new(choices, grace).live();
    });
}

/// A slave, and what was seen of it from outside.
struct Life<'c, 'b> {
    choices: &'c mut Choices<'b>,
    config: Config,
    slave: Slave,
    /// What is durable, and what is not yet.
    disk: Checkpoint,
    writes: Vec<(Seq, CheckpointChange)>,
    /// Whether every write so far succeeded: else a crash may forget.
    sound: bool,
    /// Whether it began with a checkpoint that no slave wrote: what that says of tasks need make no sense.
    torn: bool,
    /// The latest session to a master, and whether it has registered there.
    session: Option<SessionId>,
    registered: bool,
    sessions: u32,
    /// The latest session of each executor.
    executors: BTreeMap<ExecutorId, SessionId>,
    timers: BTreeSet<Timer>,
    /// Trees that were launched and not seen dead.
    alive: BTreeSet<ExecutorId>,
    seen: Seen,
    launched: u32,
    /// It has ended, or was told that its id is gone, and forgets.
    forgets: bool,
    exited: bool,
}

/// What was told and done under one id.
#[derive(Default)]
struct Seen {
    /// The one terminal state of a task; numbers are never used again.
    ended: BTreeMap<TaskId, (TaskState, Reason, u32)>,
    /// Tasks that some executor was given.
    handed: BTreeSet<TaskId>,
    /// Tasks whose kill came before any executor was given them.
    killed: BTreeSet<TaskId>,
    /// Tasks whose end was first said by `Unregister`: that counts once the master has removed the slave, and a slave
    /// that crashes before it hears so says how its restart ended them.
    parting: BTreeSet<TaskId>,
    /// Of each task that has the built-in executor, that executor.
    executors: BTreeMap<TaskId, ExecutorId>,
}

impl Seen {
    fn forget(&mut self, task: TaskId) {
        self.ended.remove(&task);
        self.handed.remove(&task);
        self.killed.remove(&task);
        self.parting.remove(&task);
        self.executors.remove(&task);
    }
}

impl<'c, 'b> Life<'c, 'b> {
    fn new(choices: &'c mut Choices<'b>, drain_now_grace: Option<Millis>) -> Self {
        let config = Config::new(Resources::new(4000, 1 << 30), Text::new("host:5051"));
        Self {
            choices,
            config: Config { tasks_max: TASKS_MAX, drain_now_grace, ..config },
            slave: Slave::new(),
            disk: Checkpoint::default(),
            writes: Vec::new(),
            sound: true,
            torn: false,
            session: None,
            registered: false,
            sessions: 100,
            executors: BTreeMap::new(),
            timers: BTreeSet::new(),
            alive: BTreeSet::new(),
            seen: Seen::default(),
            launched: 0,
            forgets: false,
            exited: false,
        }
    }

    fn live(&mut self) {
        self.torn = self.choices.one_in(16);
        if self.torn {
            // Whatever a file can say and be read.
            self.disk = self.choices.any();
            self.sound = false;
            self.choices.reach("torn checkpoint");
        }
        self.start();
        while !self.exited && !self.choices.is_over() {
            self.step();
        }
        if self.exited {
            self.choices.reach("exited");
        }
    }

    /// Of what it had left all lives that is in `alive`, in a start of its machine that is the last one or another.
    fn start(&mut self) {
        let checkpoint = Some(self.disk.clone()).filter(|disk| *disk != Checkpoint::default());
        let alive: Vec<ExecutorId> = self.alive.iter().copied().collect();
        if !alive.is_empty() {
            self.choices.reach("started where executors live");
        }
        let boot = BootId(self.choices.below(2).into());
        self.config.recover = self.choices.one(&[Recover::Reconnect, Recover::Reconnect, Recover::Cleanup]);
        self.feed(Input::Start { checkpoint, incarnation: Incarnation(1), boot, alive });
    }

    fn step(&mut self) {
        match self.choices.below(64) {
            0 if self.choices.one_in(8) => self.crash(),
            0 => match self.session {
                Some(session) => self.feed(Input::MasterClosed { session }),
                None => self.feed(Input::MasterClosed { session: SessionId(3) }),
            },
            1..4 => {
                self.sessions += 1;
                self.feed(Input::MasterOpened { session: SessionId(self.sessions) });
            }
            4 => self.feed(Input::ConnectFailed),
            5..25 => self.master(),
            25..45 => self.executor(),
            45..50 => self.process(),
            50..53 => self.timer(),
            53 if self.choices.one_in(20) => self.feed(Input::DrainNow),
            54 if self.choices.one_in(20) => self.not_stored(),
            _ => self.stored(),
        }
    }

    /// Its host goes on: it is started again with what was durable, and of what it ran some has died meanwhile.
    fn crash(&mut self) {
        self.choices.tell(|| "-- crash".to_owned());
        self.choices.reach("restarted");
        self.writes.clear();
        self.timers.clear();
        self.executors.clear();
        let ran = std::mem::take(&mut self.alive);
        self.alive = ran.into_iter().filter(|_| !self.choices.one_in(3)).collect();
        self.seen.executors.retain(|_, executor| self.alive.contains(executor));
        (self.session, self.registered) = (None, false);
        self.slave = Slave::new();
        if !self.sound || self.forgets {
            self.seen = Seen::default();
        }
        for task in std::mem::take(&mut self.seen.parting) {
            self.seen.ended.remove(&task);
        }
        self.forgets = false;
        self.start();
    }

    fn stored(&mut self) {
        let count = self.choices.below(1 + self.writes.len() as u32) as usize;
        let done: Vec<(Seq, CheckpointChange)> = self.writes.drain(..count).collect();
        for (_, change) in &done {
            self.disk.apply(change.clone());
        }
        if let Some((seq, _)) = done.last() {
            self.feed(Input::Stored { seq: *seq });
        }
    }

    /// The next write fails, and with it those that were asked for after it.
    fn not_stored(&mut self) {
        self.sound = false;
        for (seq, _) in std::mem::take(&mut self.writes) {
            self.choices.reach("disk failing");
            self.feed(Input::StoreFailed { seq, cause: Text::new("disk full") });
        }
    }

    fn timer(&mut self) {
        let timers: Vec<Timer> = self.timers.iter().copied().collect();
        let timer = match timers.is_empty() || self.choices.one_in(12) {
            true => Timer::StoreRetry,
            false => self.choices.one(&timers),
        };
        // What ends it for good is rare.
        if timer == Timer::Unregister && !self.choices.one_in(8) {
            return;
        }
        self.timers.remove(&timer);
        self.feed(Input::Timer(timer));
    }

    fn master(&mut self) {
        let session = match self.session {
            Some(session) if !self.choices.one_in(24) => session,
            Some(_) | None => SessionId(self.choices.below(3)),
        };
        let message = match self.choices.one_in(32) {
            true => self.choices.any(),
            false => self.master_message(),
        };
        self.feed(Input::Master { session, message });
    }

    fn task(&mut self) -> TaskId {
        let number = (self.launched + 1).saturating_sub(self.choices.below(7));
        TaskId { framework: FrameworkId(1 + u32::from(self.choices.one_in(16))), number }
    }

    fn master_message(&mut self) -> MasterToSlave {
        match self.choices.below(40) {
            _ if !self.registered && self.choices.one_in(2) => registered(self.slave.epoch().0.max(1)),
            0..10 => MasterToSlave::Launch(self.launch()),
            10..18 => MasterToSlave::Kill {
                task: self.task(),
                grace: self.choices.one(&[None, Some(Millis::ZERO), Some(Millis(7)), Some(Millis(8))]),
                reason: self.choices.one(&[Reason::KilledByFramework, Reason::Revoked(InverseOfferId(1))]),
            },
            18..28 => {
                let task = self.task();
                let checkpoint = self.slave.checkpoint();
                let known = checkpoint.tasks.iter().find(|known| known.report.id == task);
                let latest = known.map_or(3, |known| known.report.number);
                MasterToSlave::Acknowledge { task, number: latest.saturating_sub(self.choices.below(2)) }
            }
            28..32 => registered(1 + u64::from(self.choices.one_in(20))),
            32 => MasterToSlave::Resend { framework: FrameworkId(1) },
            33 if self.choices.one_in(3) => MasterToSlave::KillFramework { framework: FrameworkId(1) },
            34 if self.choices.one_in(8) => MasterToSlave::Leave,
            35 => MasterToSlave::Unregistered,
            36 if self.choices.one_in(8) => {
                let leader = Text::new("m2");
                let taken = |lives| Refused::NameTaken { address: Text::new("elsewhere"), lives };
                let refused = [
                    Refused::NotLeading { leader },
                    Refused::Removed,
                    Refused::Removed,
                    Refused::NotYours,
                    taken(false),
                    taken(true),
                ];
                MasterToSlave::Refused(self.choices.one(&refused))
            }
            _ => MasterToSlave::Ping,
        }
    }

    fn launch(&mut self) -> TaskSpec {
        self.launched += u32::from(!self.choices.one_in(8));
        let number = self.launched;
        let command = Arc::new(task::Command { program: "true".into(), ..task::Command::default() });
        let run = match self.choices.below(2) {
            0 => Run::Command(command),
            _ => Run::Executor { number: (number / 8) * 8 + 1, command, data: [7].into() },
        };
        TaskSpec {
            id: TaskId { framework: FrameworkId(1), number },
            name: Name::new("web").expect("it is a name"),
            resources: Resources::new(self.choices.below(2500).into(), 1),
            kill_grace: Millis::from_secs(5),
            fence_after: None,
            run,
        }
    }

    /// An executor that lives, for the most part.
    fn some_executor(&mut self) -> ExecutorId {
        let alive: Vec<ExecutorId> = self.alive.iter().copied().collect();
        match alive.is_empty() || self.choices.one_in(12) {
            true => ExecutorId { framework: FrameworkId(1), number: self.choices.below(9) },
            false => self.choices.one(&alive),
        }
    }

    fn executor(&mut self) {
        let executor = self.some_executor();
        let Some(&session) = self.executors.get(&executor).filter(|_| !self.choices.one_in(12)) else {
            self.sessions += 1;
            let session = SessionId(self.sessions);
            return self.feed(Input::ExecutorOpened { session, executor });
        };
        let message = match self.choices.below(24) {
            0 => return self.feed(Input::ExecutorClosed { session }),
            1..6 => self.registration(executor),
            6 => self.choices.any(),
            _ => self.executor_update(executor),
        };
        self.feed(Input::Executor { session, message });
    }

    /// It has most of the tasks that it can have, or none.
    fn registration(&mut self, executor: ExecutorId) -> ExecutorToSlave {
        let most = executor.number..executor.number.saturating_add(9);
        let tasks = most.filter(|_| !self.choices.one_in(4));
        let framework = executor.framework;
        ExecutorToSlave::Register { tasks: tasks.map(|number| TaskId { framework, number }).collect() }
    }

    fn executor_update(&mut self, executor: ExecutorId) -> ExecutorToSlave {
        let state = self.choices.one(&[
            TaskState::Running,
            TaskState::Running,
            TaskState::Starting,
            TaskState::Killing,
            TaskState::Finished,
            TaskState::Failed,
            TaskState::Killed,
            TaskState::Lost,
        ]);
        let task = match self.choices.below(3) {
            0 => self.task(),
            _ => TaskId {
                framework: executor.framework,
                number: executor.number.saturating_add(self.choices.below(3) / 2),
            },
        };
        ExecutorToSlave::Update {
            task,
            number: self.choices.below(6),
            state,
            reason: self.choices.one(&[
                Reason::Normal,
                Reason::Exited(1),
                Reason::Signalled(9),
                Reason::Signalled(15),
            ]),
            message: self.choices.one(&[Text::EMPTY, Text::new("hm")]),
        }
    }

    /// The driver sees dead what was launched, and nothing else, once.
    fn process(&mut self) {
        let executor = self.some_executor();
        match self.choices.below(10) {
            0 => self.feed(Input::Exited { executor, how: Some(Exit::Code(1)) }),
            end if self.alive.remove(&executor) => {
                // Another tree may have the number after it.
                self.seen.executors.retain(|_, theirs| *theirs != executor);
                match end {
                    1 => self.feed(Input::LaunchFailed { executor, cause: Text::new("gone") }),
                    _ => {
                        let leader = Text::new("killed by signal 9");
                        let ending = Arc::new(Ending { leader, ..Ending::default() });
                        self.feed(Input::TreeEnded { executor, ending });
                    }
                }
            }
            _ => {}
        }
    }

    fn feed(&mut self, input: Input) {
        self.before(&input);
        let before = self.slave.clone();
        let handle = |input, out: &mut Outbox<Effect>| self.slave.handle(&self.config, input, out);
        let effects = machine::step(self.choices, input.clone(), handle);
        let many = || format!("S15: {} effects of {input:?}", effects.len());
        self.choices.hold(effects.len() <= EFFECTS_MAX, many);
        self.learn(&input);
        let silent = effects.is_empty() && self.slave == before;
        for effect in effects {
            self.carry_out(effect);
        }
        self.holds(&input);
        if silent {
            machine::ignores(self.choices, &before, &input, |slave, out| {
                slave.handle(&self.config, input.clone(), out);
            });
        }
    }

    /// What is asked before an input, as it stands.
    fn before(&mut self, input: &Input) {
        match input {
            Input::MasterOpened { session } => (self.session, self.registered) = (Some(*session), false),
            Input::MasterClosed { session } if self.session == Some(*session) => self.session = None,
            Input::ExecutorOpened { session, executor } => {
                self.executors.insert(*executor, *session);
            }
            Input::ExecutorClosed { session } => self.executors.retain(|_, theirs| theirs != session),
            Input::Master { session, message: MasterToSlave::Kill { task, .. } }
                if self.session == Some(*session)
                    && self.registered
                    && self.slave.is_over(*task) == Some(false)
                    && !self.seen.handed.contains(task) =>
            {
                self.seen.killed.insert(*task);
            }
            // A number that is used again once its task is forgotten, as no correct master does, is another task's.
            Input::Master { message: MasterToSlave::Launch(spec), .. }
                if self.slave.is_over(spec.id).is_none() =>
            {
                self.seen.forget(spec.id);
            }
            Input::Start { .. }
            | Input::MasterClosed { .. }
            | Input::ConnectFailed
            | Input::Master { .. } => {}
            Input::Executor { .. } | Input::LaunchFailed { .. } | Input::Exited { .. } => {}
            Input::TreeEnded { .. } | Input::Timer(_) | Input::DrainNow => {}
            Input::Stored { .. } | Input::StoreFailed { .. } => {}
        }
    }

    /// Which executor a task has that was just launched.
    fn learn(&mut self, input: &Input) {
        self.registered = self.slave.is_registered();
        if let Input::Master { message: MasterToSlave::Launch(spec), .. } = input
            && self.slave.is_over(spec.id) == Some(false)
            && let Run::Command(_) = spec.run
            // A second launch of the same task, of another kind, changes nothing.
            && self.slave.own_executor(spec.id).is_none()
        {
            let executor = ExecutorId { framework: spec.id.framework, number: spec.id.number };
            self.seen.executors.entry(spec.id).or_insert(executor);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { executor, .. } => {
                let fresh = self.alive.insert(executor);
                self.choices.hold(fresh, || format!("{executor} is launched twice"));
            }
            Effect::Kill { executor } | Effect::Terminate { executor } => {
                let alive = self.alive.contains(&executor);
                self.choices.hold(alive, || format!("{executor} is signalled and does not run"));
            }
            Effect::ToExecutor { message, .. } => self.tells_executor(&message),
            Effect::ToMaster { session, message } => self.tells_master(session, &message),
            Effect::Close { session, .. } => {
                if self.session == Some(session) {
                    self.session = None;
                }
                self.executors.retain(|_, theirs| *theirs != session);
            }
            Effect::SetTimer { timer, .. } | Effect::ShortenTimer { timer, .. } => {
                self.timers.insert(timer);
            }
            Effect::CancelTimer { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Store { seq, change } => {
                self.forgets |= change == CheckpointChange::Cleared;
                self.writes.push((seq, change));
            }
            Effect::Exit { .. } => {
                self.exited = true;
                self.choices
                    .hold(self.alive.is_empty(), || format!("S11: it exits, and {:?} live", self.alive));
            }
            Effect::Publish(event) => self.publishes(&event),
            Effect::Connect { .. } => {}
        }
    }

    fn publishes(&mut self, event: &Event) {
        match event {
            Event::Removed => {
                self.choices.reach("removed");
                // Under a new id everything begins anew.
                self.seen = Seen::default();
                self.forgets = true;
            }
            Event::Refused { .. } => self.forgets = true,
            // Admitted under a fresh id, once nothing of the last runs; one that has left is admitted to nothing.
            Event::Registered { .. } => self.forgets &= self.slave.is_leaving(),
            Event::NameTaken { .. } => self.choices.reach("name taken"),
            Event::Recovered { .. } => {}
            Event::Deposed { .. } | Event::LaunchRefused { .. } | Event::ExecutorNotStarted { .. } => {}
            Event::ExecutorExited { .. } | Event::ExecutorSilent { .. } | Event::ExecutorOverran { .. } => {}
            Event::ExecutorMisbehaved { .. } | Event::StoreFailed { .. } | Event::Leaving => {}
            Event::NothingLeft | Event::Unregistered | Event::NeverAdmitted | Event::NobodyAnswered => {}
        }
    }

    fn tells_executor(&mut self, message: &SlaveToExecutor) {
        if let SlaveToExecutor::Launch { task, .. } = message {
            let killed = self.seen.killed.contains(task);
            self.choices.hold(!killed, || format!("S10: {task} was killed and is handed over"));
            self.seen.handed.insert(*task);
        }
    }

    fn tells_master(&mut self, session: SessionId, message: &SlaveToMaster) {
        let newest = self.session == Some(session);
        self.choices.hold(newest, || format!("S7: it speaks in {session}, which is over"));
        if let Err(error) = codec::encode(message) {
            self.choices.broken(error);
        }
        match message {
            SlaveToMaster::Update { update, ending } => self.told(update, ending.is_some()),
            SlaveToMaster::Unregister { finals } => {
                self.choices.reach("unregistered");
                let dead = self.alive.is_empty();
                self.choices.hold(dead, || format!("S1: unregistered, and {:?} live", self.alive));
                for last in finals {
                    let ends = last.update.state.is_terminal();
                    self.choices.hold(ends || self.torn, || format!("{last:?} is no end"));
                    if !self.seen.ended.contains_key(&last.update.task) {
                        self.seen.parting.insert(last.update.task);
                    }
                    self.told(&last.update, true);
                }
            }
            SlaveToMaster::Register { .. } | SlaveToMaster::Pong | SlaveToMaster::Leaving => {}
            SlaveToMaster::Renew { .. } => {}
        }
    }

    fn told(&mut self, update: &Update, dead: bool) {
        let forgotten = matches!(update.reason, Reason::SlaveForgot) || update.state == TaskState::Dropped;
        if forgotten || self.torn {
            return;
        }
        let end = (update.state, update.reason, update.number);
        match self.seen.ended.get(&update.task) {
            Some(earlier) if update.state.is_terminal() => {
                let same = *earlier == end;
                self.choices.hold(same, || format!("S9: {earlier:?} was the end, and {update:?} is another"));
            }
            // What was told before the end and is not acknowledged is told again, in order.
            Some(earlier) => {
                let before = update.number < earlier.2;
                self.choices.hold(before, || format!("S9: {update:?} follows {earlier:?}"));
            }
            None if update.state.is_terminal() => {
                self.seen.ended.insert(update.task, end);
                self.told_end(update, dead);
            }
            None => {}
        }
    }

    fn told_end(&mut self, update: &Update, dead: bool) {
        self.choices.reach(update.state.as_str());
        if let Some(executor) = self.seen.executors.get(&update.task) {
            // S1: no terminal state while the tree runs.
            let dead = dead || !self.alive.contains(executor);
            self.choices.hold(dead, || format!("S1: {update:?} is told, and {executor} lives"));
        }
    }

    fn holds(&self, input: &Input) {
        if let Err(broken) = self.slave.check() {
            self.choices.broken(format!("{broken}\nafter {input:?}"));
        }
        let checkpoint = self.slave.checkpoint();
        let tasks = checkpoint.tasks.len();
        // What an earlier incarnation left may be more.
        let most = (TASKS_MAX as usize).max(self.disk.tasks.len());
        self.choices.hold(tasks <= most, || format!("S15: {tasks} tasks, {most} at most"));
        // Each task that is written down, its updates, its end, and who it is.
        let waiting = self.writes.len();
        let most = WRITES_MAX + waiting_max(tasks);
        self.choices
            .hold(waiting <= most || !self.sound, || format!("S15: {waiting} writes, {most} at most"));
        if self.sound && !self.forgets && !self.exited {
            let mut durable = self.disk.clone();
            self.writes.iter().for_each(|(_, change)| durable.apply(change.clone()));
            // How far the numbers of a task have jumped is durable with its next update.
            for (kept, known) in durable.tasks.iter_mut().zip(&checkpoint.tasks) {
                if known.report.number == kept.report.number.saturating_add(RESTART_GAP) {
                    kept.report.number = known.report.number;
                }
            }
            let same = durable == checkpoint;
            self.choices.hold(same, || format!("S6: {checkpoint:?} is in memory, {durable:?} written"));
        }
    }
}

/// The most effects of one input: a few of each task and of its executor, and of the updates that are not acknowledged.
const EFFECTS_MAX: usize = 16 + TASKS_MAX as usize * (UPDATES_MAX + 8);

/// The writes that wait although their tasks are forgotten.
const WRITES_MAX: usize = 4_096;

fn waiting_max(tasks: usize) -> usize {
    tasks * (UPDATES_MAX + 4)
}

fn registered(epoch: u64) -> MasterToSlave {
    MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(epoch) }
}
