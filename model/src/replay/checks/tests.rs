//! Each check, held against steps that keep it and against the same steps doctored so that they break it: what a
//! correct machine never asks for is written down here by hand.

use std::rc::Rc;

use neap_protocol::executor::{self, Executor};
use neap_protocol::framework::{self, Event, Framework};
use neap_protocol::ids::{
    BootId, DrainId, Epoch, ExecutorId, FrameworkId, InverseOfferId, OfferId, Seq, SessionId, SlaveId, TaskId,
};
use neap_protocol::journal::{Effects, End, Entry, Header, Machine, Record, Run};
use neap_protocol::master::{self, Master};
use neap_protocol::message::{
    Answer, DrainEnd, DrainStep, ExecutorToSlave, InverseAsk, MasterToFramework, MasterToOperator,
    MasterToSlave, Offered, Pace, Refused, SlaveToExecutor, SlaveToMaster, Then,
};
use neap_protocol::registry::{
    DrainAsk, FrameworkRecord, Hold, InverseOfferRecord, InverseStage, Operation, Registry,
};
use neap_protocol::resources::Resources;
use neap_protocol::slave::{self, Slave};
use neap_protocol::task::{Reason, Run as Runs, TaskReport, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{CloseCode, CloseReason, Peer, Role};

use super::ALL;
use crate::replay::player::{AnyPlayed, AnyPlayer, Played, Player};
use crate::replay::talk::Talk;
use crate::replay::tape::AnyRun;
use crate::replay::{Judge, Node, Replay, Step};

const MASTER: usize = 0;
const SLAVE: usize = 1;
const FRAMEWORK: usize = 2;
const EXECUTOR: usize = 3;

const S1: SlaveId = SlaveId(1);
const F1: FrameworkId = FrameworkId(1);
const I1: InverseOfferId = InverseOfferId(1);
const D1: DrainId = DrainId(1);
const E1: Epoch = Epoch(1);
/// The master's session with the slave, and the slave's with the master.
const TO_SLAVE: SessionId = SessionId(1);
/// The master's session with the framework.
const TO_FRAMEWORK: SessionId = SessionId(2);
/// The slave's session with its executor.
const TO_EXECUTOR: SessionId = SessionId(9);
const TASK: TaskId = TaskId { framework: F1, number: 1 };
const TREE: ExecutorId = ExecutorId { framework: F1, number: 1 };

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn has() -> Resources {
    Resources::new(4000, 1 << 30)
}

fn run<M: Machine>(config: M::Config, end: Option<End>) -> Rc<Run<M>> {
    let header = Header::new::<M>(name("n"), Text::EMPTY, Moment(0));
    Rc::new(Run { header, config, entries: Vec::new(), end })
}

/// Four nodes of which nothing was recorded: steps are written by hand.
struct Bench {
    replay: Replay,
    players: Vec<AnyPlayer>,
    judge: Judge,
    number: usize,
    runs: [usize; 4],
    /// Whether the next step begins a run.
    begins_run: bool,
    /// Whether its journal breaks off with the next step.
    breaks_off: bool,
}

impl Bench {
    fn new() -> Self {
        let master = || AnyRun::Master(run(master::Config::default(), Some(End::InOrder)));
        let slave = AnyRun::Slave(run(slave::Config::new(has(), Text::EMPTY), Some(End::InOrder)));
        let framework = AnyRun::Framework(run(framework::Config::new(name("f")), Some(End::InOrder)));
        let executor =
            AnyRun::Executor(run(executor::Config { recovery_timeout: Millis(1) }, Some(End::InOrder)));
        let node = |role, runs| Node { name: format!("{role}"), role, runs };
        let nodes = vec![
            node(Role::Master, vec![master(), master()]),
            node(Role::Slave, vec![slave]),
            node(Role::Framework, vec![framework]),
            node(Role::Executor, vec![executor]),
        ];
        let players = nodes.iter().map(|node| AnyPlayer::new(&node.runs[0])).collect();
        let replay = Replay { nodes, notes: Vec::new(), damaged: Vec::new() };
        let judge = Judge::new(ALL);
        Self { replay, players, judge, number: 0, runs: [0; 4], begins_run: false, breaks_off: false }
    }

    /// What does not hold at a step.
    fn step<M: Talk>(
        &mut self,
        node: usize,
        input: M::Input,
        effects: Vec<M::Effect>,
        any: fn(Played<M>) -> AnyPlayed,
    ) -> Vec<&'static str> {
        self.number += 1;
        let played =
            Played { at: Moment(0), input, effects, heard: None, said: Vec::new(), broken: Vec::new() };
        let (number, run) = (self.number, self.runs[node]);
        let [begins_run, breaks_off] = [&mut self.begins_run, &mut self.breaks_off].map(std::mem::take);
        let step = Step { number, node, run, begins_run, breaks_off, played: any(played) };
        self.judge.see(&self.replay, &step, &self.players, Vec::new());
        let found = self.judge.findings.iter().filter(|finding| finding.step == number);
        found.map(|finding| finding.check).collect()
    }

    fn master(&mut self, input: master::Input, effects: Vec<master::Effect>) -> Vec<&'static str> {
        self.step::<Master>(MASTER, input, effects, AnyPlayed::Master)
    }

    fn slave(&mut self, input: slave::Input, effects: Vec<slave::Effect>) -> Vec<&'static str> {
        self.step::<Slave>(SLAVE, input, effects, AnyPlayed::Slave)
    }

    fn framework(&mut self, effects: Vec<framework::Effect>) -> Vec<&'static str> {
        let input = framework::Input::ConnectFailed;
        self.step::<Framework>(FRAMEWORK, input, effects, AnyPlayed::Framework)
    }

    fn executor(&mut self, effects: Vec<executor::Effect>) -> Vec<&'static str> {
        self.executor_takes(executor::Input::Terminate, effects)
    }

    fn executor_takes(
        &mut self,
        input: executor::Input,
        effects: Vec<executor::Effect>,
    ) -> Vec<&'static str> {
        self.step::<Executor>(EXECUTOR, input, effects, AnyPlayed::Executor)
    }

    /// The master recovers this registry.
    fn recover(&mut self, operations: &[Operation]) -> Vec<&'static str> {
        let registry = Box::new(registry(operations));
        self.master(master::Input::Recovered { registry }, vec![])
    }

    /// An operation is asked for, and then durable.
    fn store(&mut self, seq: u64, operation: Operation) -> Vec<&'static str> {
        let seq = Seq(seq);
        let asked = self.master(fired(), vec![master::Effect::Store { seq, epoch: E1, operation }]);
        let stored = self.master(master::Input::Stored { epoch: E1, seq }, vec![]);
        [asked, stored].concat()
    }

    /// S1 is registered, and its executor runs the task.
    fn with_a_task(mut self) -> Self {
        assert_eq!(self.recover(&[admit(), subscribe()]), [""; 0]);
        let message = MasterToSlave::Registered { id: S1, epoch: E1 };
        let said = vec![master::Effect::ToSlave { session: TO_SLAVE, message: message.clone() }];
        assert_eq!(self.master(fired(), said), [""; 0]);
        let heard = slave::Input::Master { session: TO_SLAVE, message };
        let registered = slave::Effect::Publish(slave::Event::Registered { id: S1, epoch: E1 });
        assert_eq!(self.slave(heard, vec![registered]), [""; 0]);
        let launch = slave::Effect::Launch { executor: TREE, program: slave::Program::BuiltIn };
        assert_eq!(self.slave(slave::Input::ConnectFailed, vec![launch]), [""; 0]);
        let opened = slave::Input::ExecutorOpened { session: TO_EXECUTOR, executor: TREE };
        assert_eq!(self.slave(opened, vec![to_executor()]), [""; 0]);
        self
    }

    fn tree_ends(&mut self) {
        let ended = slave::Input::TreeEnded { executor: TREE, ending: Default::default() };
        assert_eq!(self.slave(ended, vec![]), [""; 0]);
    }
}

fn fired() -> master::Input {
    master::Input::Timer(master::Timer::Allocate)
}

fn registry(operations: &[Operation]) -> Registry {
    let mut registry = Registry::default();
    for operation in operations {
        registry.apply(operation).unwrap();
    }
    registry
}

fn admit() -> Operation {
    Operation::AdmitSlave { name: name("s"), address: Text::EMPTY, resources: has() }
}

fn subscribe() -> Operation {
    Operation::AddFramework(FrameworkRecord {
        name: name("f"),
        principal: name("f"),
        failover_timeout: Millis(1),
        partition_aware: false,
    })
}

fn hold() -> Operation {
    let hold = Hold { by: name("ada"), reason: Text::EMPTY, at: Moment(1) };
    Operation::PlaceHold { slave: name("s"), name: name("h"), hold }
}

fn drain(then: Then) -> Operation {
    Operation::StartDrain(ask(Pace::Within(Millis(8)), then))
}

fn ask(pace: Pace, then: Then) -> DrainAsk {
    DrainAsk {
        slave: S1,
        pace,
        deadline: Moment(9),
        reason: None,
        then: Some(then),
        by: name("ada"),
        at: Moment(1),
        change: false,
    }
}

fn inverse_offer(framework: FrameworkId) -> Operation {
    Operation::OpenInverseOffer(InverseOfferRecord {
        framework,
        slave: S1,
        ask: InverseAsk::Everything,
        keep: Resources::NONE,
        deadline: Moment(9),
        reason: Text::EMPTY,
        by: name("ada"),
        drain: None,
        answer: None,
        stage: InverseStage::Open,
    })
}

fn to_executor() -> slave::Effect {
    let message = SlaveToExecutor::Launch { task: TASK, command: None, data: [].into(), fence_after: None };
    slave::Effect::ToExecutor { session: TO_EXECUTOR, message }
}

fn told(state: TaskState, reason: Reason) -> framework::Effect {
    let update = Update { task: TASK, number: 1, state, reason, message: Text::EMPTY };
    framework::Effect::Notify(Event::Update { update, slave: S1 })
}

fn say_slave(message: MasterToSlave) -> master::Effect {
    master::Effect::ToSlave { session: TO_SLAVE, message }
}

fn spec() -> TaskSpec {
    let run = Runs::Command(Default::default());
    TaskSpec {
        id: TASK,
        name: name("t"),
        resources: Resources::NONE,
        kill_grace: Millis(1),
        fence_after: None,
        run,
    }
}

#[test]
fn s1_a_tree_that_was_not_seen_dead() {
    let lost = || vec![told(TaskState::Lost, Reason::SlaveUnregistered)];
    let leave = || {
        let message = SlaveToMaster::Unregister { finals: vec![] };
        vec![slave::Effect::ToMaster { session: TO_SLAVE, message }]
    };
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.slave(slave::Input::DrainNow, leave()), ["S1 dead-before-lost"]);
    assert_eq!(bench.framework(lost()), ["S1 dead-before-lost"]);
    let mut bench = Bench::new().with_a_task();
    bench.tree_ends();
    assert_eq!(bench.slave(slave::Input::DrainNow, leave()), [""; 0]);
    assert_eq!(bench.framework(lost()), [""; 0]);
}

/// What a slave has seen once its journal broke off is not known, until it is started again.
#[test]
fn s1_a_tree_that_lives_after_a_crash() {
    let lost = || vec![told(TaskState::Lost, Reason::SlaveUnregistered)];
    let crashed = || {
        let mut bench = Bench::new().with_a_task();
        bench.breaks_off = true;
        assert_eq!(bench.slave(slave::Input::ConnectFailed, vec![]), [""; 0]);
        bench
    };
    let started = |alive| {
        let mut bench = crashed();
        bench.begins_run = true;
        let start = slave::Input::Start { checkpoint: None, boot: BootId(1), alive };
        assert_eq!(bench.slave(start, vec![]), [""; 0]);
        bench
    };
    assert_eq!(crashed().framework(lost()), [""; 0]);
    assert_eq!(started(vec![TREE]).framework(lost()), ["S1 dead-before-lost"]);
    assert_eq!(started(vec![]).framework(lost()), [""; 0]);
}

#[test]
fn s2_two_changes_of_one_slave() {
    let store = |seq, operation| vec![master::Effect::Store { seq: Seq(seq), epoch: E1, operation }];
    let mut bench = Bench::new().with_a_task();
    let unreachable = || store(1, Operation::MarkUnreachable { slave: S1 });
    let remove = || store(2, Operation::RemoveSlave { slave: S1, ends: Vec::new() });
    assert_eq!(bench.master(fired(), unreachable()), [""; 0]);
    assert_eq!(bench.master(fired(), store(2, hold())), [""; 0], "a hold is no change of its life");
    assert_eq!(bench.master(fired(), remove()), ["S2 one-change-at-a-time"]);
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.master(fired(), unreachable()), [""; 0]);
    bench.master(master::Input::Stored { epoch: E1, seq: Seq(1) }, vec![]);
    assert_eq!(bench.master(fired(), remove()), [""; 0]);
}

#[test]
fn s3_a_removed_slave_that_is_admitted_again() {
    let mut bench = Bench::new().with_a_task();
    bench.store(1, Operation::RemoveSlave { slave: S1, ends: Vec::new() });
    let registered = say_slave(MasterToSlave::Registered { id: S1, epoch: E1 });
    let found = bench.master(fired(), vec![registered]);
    assert!(found.contains(&"S3 removed-stays-removed"), "{found:?}");
    assert_eq!(bench.recover(&[admit(), subscribe()]), ["S3 removed-stays-removed"]);
    let remove = Operation::RemoveSlave { slave: S1, ends: Vec::new() };
    assert_eq!(bench.recover(&[admit(), subscribe(), remove]), [""; 0]);
}

#[test]
fn s4_an_offer_and_a_launch_after_a_hold() {
    let offered = || {
        let offer = Offered { id: OfferId(1), slave: S1, name: name("s"), resources: has() };
        let message = MasterToFramework::Offers(vec![offer]);
        vec![master::Effect::ToFramework { session: TO_FRAMEWORK, message }]
    };
    let launched = || vec![say_slave(MasterToSlave::Launch(spec()))];
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.master(fired(), offered()), [""; 0]);
    assert_eq!(bench.master(fired(), launched()), [""; 0]);
    let mut bench = Bench::new().with_a_task();
    bench.store(1, hold());
    assert_eq!(bench.master(fired(), offered()), ["S4 quiet-when-deactivated"]);
    assert_eq!(bench.master(fired(), launched()), ["S4 quiet-when-deactivated"]);
}

#[test]
fn r6_an_offer_and_a_launch_to_a_slave_that_does_not_answer() {
    let offered = || {
        let offer = Offered { id: OfferId(1), slave: S1, name: name("s"), resources: has() };
        let message = MasterToFramework::Offers(vec![offer]);
        vec![master::Effect::ToFramework { session: TO_FRAMEWORK, message }]
    };
    let launched = || vec![say_slave(MasterToSlave::Launch(spec()))];
    let ping_time = || master::Input::Timer(master::Timer::Ping(S1));
    let mut bench = Bench::new().with_a_task();
    bench.master(fired(), vec![say_slave(MasterToSlave::Ping)]);
    assert_eq!(bench.master(fired(), offered()), [""; 0]);
    bench.master(ping_time(), vec![say_slave(MasterToSlave::Ping)]);
    assert_eq!(bench.master(fired(), offered()), ["R6 silent-gets-no-work"]);
    assert_eq!(bench.master(fired(), launched()), ["R6 silent-gets-no-work"]);
    let pong = master::Input::Slave { session: TO_SLAVE, message: SlaveToMaster::Pong };
    assert_eq!(bench.master(pong, offered()), [""; 0]);
}

#[test]
fn s5_a_drain_that_is_done_too_soon() {
    let done = || {
        let operation = Operation::EndDrain { drain: D1, end: DrainEnd::Drained };
        vec![master::Effect::Store { seq: Seq(2), epoch: E1, operation }]
    };
    let mut bench = Bench::new().with_a_task();
    bench.store(1, drain(Then::Stay));
    assert_eq!(bench.master(fired(), done()), ["S5 drained-means-empty"]);
    let mut bench = Bench::new().with_a_task();
    bench.store(1, drain(Then::Stay));
    bench.tree_ends();
    assert_eq!(bench.master(fired(), done()), [""; 0]);
    // Nothing runs, and the framework believes otherwise; the leader does not know of it.
    bench.players[FRAMEWORK] = AnyPlayer::Framework(believing());
    assert_eq!(bench.master(fired(), done()), [""; 0]);
    let message = MasterToFramework::Subscribed { id: F1, epoch: E1, highest_task: 0 };
    let subscribed = master::Effect::ToFramework { session: TO_FRAMEWORK, message };
    bench.master(fired(), vec![subscribed]);
    assert_eq!(bench.master(fired(), done()), ["S5 drained-means-empty"]);
    // It does not acknowledge, and is cut off.
    let reason = CloseReason { code: CloseCode::Done, detail: Text::EMPTY };
    let close = master::Effect::Close { session: TO_FRAMEWORK, reason };
    assert_eq!(bench.master(fired(), [done(), vec![close]].concat()), [""; 0]);
}

/// A framework that believes its task to run on S1.
fn believing() -> Player<Framework> {
    let config = framework::Config::new(name("f"));
    // Something of it is still to come.
    let later =
        Record { at: Millis(1), input: framework::Input::ConnectFailed, effects: Effects::Unanswered };
    let header = Header::new::<Framework>(name("f"), Text::EMPTY, Moment(0));
    let entries = vec![Entry::Input(later)];
    let run = Rc::new(Run::<Framework> { header, config: config.clone(), entries, end: None });
    let mut player = Player::new(run);
    let mut outbox = neap_protocol::outbox::Outbox::new();
    let session = SessionId(1);
    let offer = Offered { id: OfferId(1), slave: S1, name: name("s"), resources: has() };
    let task = framework::NewTask {
        name: name("t"),
        resources: Resources::NONE,
        kill_grace: Millis(1),
        fence_after: None,
        run: framework::NewRun::Command(Default::default()),
    };
    let subscribed = MasterToFramework::Subscribed { id: F1, epoch: E1, highest_task: 0 };
    let accept = framework::Command::Accept { offer: OfferId(1), tasks: vec![task], filter: Millis(0) };
    for input in [
        framework::Input::Start { id: None, highest_task: 0, tasks: vec![] },
        framework::Input::Opened { session },
        framework::Input::Master { session, message: subscribed },
        framework::Input::Master { session, message: MasterToFramework::Offers(vec![offer]) },
        framework::Input::Scheduler(accept),
    ] {
        player.machine.handle(&config, input, &mut outbox);
        outbox.drain();
    }
    assert_eq!(player.machine.tasks().count(), 1);
    player
}

#[test]
fn s6_what_is_told_before_it_is_durable() {
    let answer = |answer| {
        let message = MasterToOperator::Answer { request: 1, answer: Ok(answer) };
        vec![master::Effect::ToOperator { session: SessionId(7), message }]
    };
    let subscribed = || {
        let message = MasterToFramework::Subscribed { id: F1, epoch: E1, highest_task: 0 };
        vec![master::Effect::ToFramework { session: TO_FRAMEWORK, message }]
    };
    let registered = || vec![say_slave(MasterToSlave::Registered { id: S1, epoch: E1 })];
    let draining = || answer(Answer::Draining { drain: D1, step: DrainStep::Began });
    let mut bench = Bench::new();
    bench.recover(&[]);
    for told in [registered(), subscribed(), draining(), answer(Answer::InverseOffered(I1))] {
        assert_eq!(bench.master(fired(), told.clone()), ["S6 registry-first"], "{told:?}");
    }
    bench.recover(&[admit(), subscribe(), inverse_offer(F1), drain(Then::Stay)]);
    for told in [registered(), subscribed(), draining(), answer(Answer::InverseOffered(I1))] {
        assert_eq!(bench.master(fired(), told.clone()), [""; 0], "{told:?}");
    }
    let gone = || vec![say_slave(MasterToSlave::Unregistered)];
    assert_eq!(bench.master(fired(), gone()), ["S6 registry-first"]);
    bench.store(1, Operation::RemoveSlave { slave: S1, ends: Vec::new() });
    assert_eq!(bench.master(fired(), gone()), [""; 0]);
}

#[test]
fn s6_a_restart_that_forgets_and_memory_that_differs() {
    let mut bench = Bench::new().with_a_task();
    bench.store(1, hold());
    let written = || vec![master::Effect::Store { seq: Seq(2), epoch: E1, operation: drain(Then::Stay) }];
    bench.master(fired(), written());
    bench.runs[MASTER] = 1;
    // What was being written may be durable or not; what was durable is.
    assert_eq!(bench.recover(&[admit(), subscribe(), hold(), drain(Then::Stay)]), [""; 0]);
    assert_eq!(bench.recover(&[admit(), subscribe()]), ["S6 registry-first"]);
    assert_eq!(bench.recover(&[admit(), subscribe()]), [""; 0]);
    // A machine that leads, and has not heard of what is durable.
    bench.players[MASTER] = AnyPlayer::Master(leading(registry(&[admit(), subscribe()]), []));
    assert_eq!(bench.store(3, hold()), ["S6 registry-first"]);
}

/// A master that leads with this registry, and has been told the rest.
fn leading(registry: Registry, told: impl IntoIterator<Item = master::Input>) -> Player<Master> {
    let config = master::Config::default();
    let mut player = Player::new(run::<Master>(config.clone(), None));
    let mut outbox = neap_protocol::outbox::Outbox::new();
    let elected =
        [master::Input::Elected { epoch: E1 }, master::Input::Recovered { registry: Box::new(registry) }];
    for input in elected.into_iter().chain(told) {
        player.machine.handle(&config, input, &mut outbox);
        outbox.drain();
    }
    assert!(player.machine.registry().is_some());
    player
}

#[test]
fn s7_a_deposed_leader_that_is_obeyed() {
    let register = |bench: &mut Bench, session, epoch| {
        let epoch = Epoch(epoch);
        let heard = slave::Input::Master { session, message: MasterToSlave::Registered { id: S1, epoch } };
        bench.slave(heard, vec![slave::Effect::Publish(slave::Event::Registered { id: S1, epoch })])
    };
    let (old, new) = (SessionId(3), SessionId(4));
    let mut bench = Bench::new().with_a_task();
    assert_eq!(register(&mut bench, old, 2), [""; 0]);
    assert_eq!(register(&mut bench, new, 3), [""; 0]);
    let kill = |session| {
        let message = MasterToSlave::Kill { task: TASK, grace: None, reason: Reason::KilledByOperator };
        slave::Input::Master { session, message }
    };
    let kills = || vec![slave::Effect::Kill { executor: TREE }];
    assert_eq!(bench.slave(kill(old), kills()), ["S7 one-voice"]);
    assert_eq!(bench.slave(kill(old), vec![]), [""; 0], "it is not obeyed");
    assert_eq!(bench.slave(kill(new), kills()), [""; 0]);
    assert_eq!(register(&mut bench, old, 2), ["S7 one-voice"]);
    let subscribed =
        |epoch| vec![framework::Effect::Notify(Event::Subscribed { id: F1, epoch: Epoch(epoch) })];
    assert_eq!(bench.framework(subscribed(3)), [""; 0]);
    assert_eq!(bench.framework(subscribed(2)), ["S7 one-voice"]);
}

#[test]
fn s8_a_slave_that_uses_more_than_it_has() {
    let mut bench = Bench::new().with_a_task();
    let config = slave::Config::new(has(), Text::EMPTY);
    let AnyPlayer::Slave(honest) = &bench.players[SLAVE] else { panic!("it is a slave's") };
    let mut machine = honest.machine.clone();
    let mut outbox = neap_protocol::outbox::Outbox::new();
    let launch = TaskSpec { resources: has(), ..spec() };
    for input in [
        slave::Input::Start { checkpoint: None, boot: BootId(0), alive: Vec::new() },
        slave::Input::MasterOpened { session: TO_SLAVE },
        slave::Input::Master { session: TO_SLAVE, message: MasterToSlave::Registered { id: S1, epoch: E1 } },
        slave::Input::Master { session: TO_SLAVE, message: MasterToSlave::Launch(launch) },
    ] {
        machine.handle(&config, input, &mut outbox);
        outbox.drain();
    }
    assert_eq!(machine.used().capped(), has());
    for (resources, found) in [(has(), vec![]), (Resources::new(1, 1), vec!["S8 conservation"])] {
        let mut player = Player::new(run::<Slave>(slave::Config::new(resources, Text::EMPTY), None));
        player.machine = machine.clone();
        bench.players[SLAVE] = AnyPlayer::Slave(player);
        assert_eq!(bench.slave(slave::Input::ConnectFailed, vec![]), found);
    }
}

#[test]
fn s9_news_after_an_end() {
    let mut bench = Bench::new();
    assert_eq!(bench.framework(vec![told(TaskState::Running, Reason::Normal)]), [""; 0]);
    assert_eq!(bench.framework(vec![told(TaskState::Finished, Reason::Normal)]), [""; 0]);
    for state in [TaskState::Finished, TaskState::Running, TaskState::Lost] {
        let found = bench.framework(vec![told(state, Reason::Normal)]);
        let end = if state == TaskState::Lost { vec![] } else { vec!["S9 terminal-is-final"] };
        // After Running was told, wrongly, an end is the first again.
        assert_eq!(found, end, "{state}");
    }
    // A scheduler whose process ended before it had dealt with the end hears it again.
    bench.runs[FRAMEWORK] = 1;
    assert_eq!(bench.framework(vec![told(TaskState::Lost, Reason::Normal)]), [""; 0]);
    bench.runs[FRAMEWORK] = 2;
    assert_eq!(bench.framework(vec![told(TaskState::Killed, Reason::Normal)]), ["S9 terminal-is-final"]);
}

#[test]
fn s10_a_killed_task_that_begins() {
    let start = || vec![executor::Effect::Start { task: TASK, command: None, data: [].into() }];
    let kill = || {
        let message = MasterToSlave::Kill { task: TASK, grace: None, reason: Reason::KilledByOperator };
        slave::Input::Master { session: TO_SLAVE, message }
    };
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.executor(start()), [""; 0]);
    assert_eq!(bench.slave(kill(), vec![]), [""; 0]);
    assert_eq!(bench.slave(slave::Input::ConnectFailed, vec![to_executor()]), ["S10 kill-wins"]);
    for state in [TaskState::Killed, TaskState::Dropped] {
        let mut bench = Bench::new().with_a_task();
        bench.framework(vec![told(state, Reason::Normal)]);
        assert_eq!(bench.executor(start()), ["S10 kill-wins"], "{state}");
    }
}

#[test]
fn r12a_a_task_that_was_asked_and_is_finished() {
    let says = |state, reason| {
        let message = ExecutorToSlave::Update { task: TASK, number: 1, state, reason, message: Text::EMPTY };
        vec![executor::Effect::ToSlave { session: TO_EXECUTOR, message }]
    };
    let exited = || executor::Input::Exited { task: TASK, how: neap_protocol::task::Exit::Code(0) };
    let finished = || says(TaskState::Finished, Reason::Exited(0));
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.executor_takes(exited(), finished()), [""; 0]);
    // It says it again in its next session, whatever it was asked since.
    assert_eq!(bench.executor(finished()), [""; 0]);
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.executor(vec![]), [""; 0]);
    assert_eq!(bench.executor_takes(exited(), finished()), ["R12a asked-is-not-finished"]);
    let failed = says(TaskState::Failed, Reason::Exited(1));
    assert_eq!(bench.executor_takes(exited(), failed), ["R12a asked-is-not-finished"]);
    let killed = says(TaskState::Killed, Reason::Exited(0));
    assert_eq!(bench.executor_takes(exited(), killed), [""; 0]);
}

#[test]
fn s11_a_slave_that_exits_with_a_live_tree() {
    let exit = |code| vec![slave::Effect::Exit { code }];
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.slave(slave::Input::DrainNow, exit(slave::EXIT_DONE)), ["S11 no-orphans"]);
    bench.tree_ends();
    assert_eq!(bench.slave(slave::Input::DrainNow, exit(slave::EXIT_DONE)), [""; 0]);
}

#[test]
fn s12_a_slave_that_is_told_to_go() {
    let leave = || vec![say_slave(MasterToSlave::Leave)];
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.master(fired(), leave()), ["S12 no-wrongful-shutdown"]);
    bench.store(1, drain(Then::Stay));
    assert_eq!(bench.master(fired(), leave()), ["S12 no-wrongful-shutdown"]);
    let mut bench = Bench::new().with_a_task();
    bench.store(1, drain(Then::Unregister));
    assert_eq!(bench.master(fired(), leave()), ["S12 no-wrongful-shutdown"], "it is not drained yet");
    bench.store(1, Operation::EndDrain { drain: DrainId(1), end: DrainEnd::Drained });
    assert_eq!(bench.master(fired(), leave()), [""; 0]);
    let mut bench = Bench::new().with_a_task();
    bench.store(1, Operation::StartDrain(ask(Pace::Now, Then::Unregister)));
    assert_eq!(bench.master(fired(), leave()), [""; 0]);
    let register = SlaveToMaster::Register {
        id: Some(S1),
        epoch: E1,
        resources: has(),
        address: Text::EMPTY,
        tasks: vec![],
        leaving: false,
    };
    let input = || master::Input::Slave { session: TO_SLAVE, message: register.clone() };
    let refused = || vec![say_slave(MasterToSlave::Refused(Refused::Removed))];
    assert_eq!(bench.master(input(), refused()), ["S12 no-wrongful-shutdown"]);
    bench.store(1, Operation::RemoveSlave { slave: S1, ends: Vec::new() });
    assert_eq!(bench.master(input(), refused()), [""; 0]);
}

#[test]
fn s13_a_revocation_before_its_deadline_or_of_another() {
    let revoke = || {
        let reason = Reason::Revoked(I1);
        vec![say_slave(MasterToSlave::Kill { task: TASK, grace: None, reason })]
    };
    let deadline = || master::Input::Timer(master::Timer::InverseOffer(I1));
    let mut bench = Bench::new().with_a_task();
    bench.store(1, inverse_offer(F1));
    assert_eq!(bench.master(fired(), revoke()), ["S13 deadline-respected"]);
    assert_eq!(bench.master(deadline(), revoke()), [""; 0]);
    let mut bench = Bench::new().with_a_task();
    bench.store(1, subscribe());
    bench.store(2, inverse_offer(FrameworkId(2)));
    assert_eq!(bench.master(deadline(), revoke()), ["S13 deadline-respected"]);
    // A new leader whose registry says that the deadline has passed.
    let mut bench = Bench::new();
    let passed =
        Operation::AdvanceInverseOffer { id: I1, stage: InverseStage::Revoking, deadline: Moment(9) };
    bench.recover(&[admit(), subscribe(), inverse_offer(F1), passed]);
    assert_eq!(bench.master(fired(), revoke()), [""; 0]);
}

#[test]
fn s14_a_revocation_of_more_than_was_asked_for() {
    let task = |number| TaskId { framework: F1, number };
    let report = |number| TaskReport {
        id: task(number),
        name: name("t"),
        resources: Resources::new(1000, 1),
        kill_grace: Millis(1),
        fenced: false,
        state: TaskState::Running,
        reason: Reason::Normal,
        number: 1,
    };
    let Operation::OpenInverseOffer(everything) = inverse_offer(F1) else { unreachable!("it is one") };
    let (ask, keep) = (InverseAsk::Amount(Resources::new(1000, 0)), Resources::new(1000, 2));
    let amount = Operation::OpenInverseOffer(InverseOfferRecord { ask, keep, ..everything });
    let operations = [admit(), subscribe(), amount];
    let register = SlaveToMaster::Register {
        id: Some(S1),
        epoch: E1,
        resources: has(),
        address: Text::EMPTY,
        tasks: vec![report(1), report(2)],
        leaving: false,
    };
    let told = [
        master::Input::Stored { epoch: E1, seq: Seq(1) },
        master::Input::Opened { session: TO_SLAVE, peer: Peer { role: Role::Slave, name: name("s") } },
        master::Input::Slave { session: TO_SLAVE, message: register },
    ];
    let mut bench = Bench::new();
    assert_eq!(bench.recover(&operations), [""; 0]);
    let leads = leading(registry(&operations), told);
    assert_eq!(leads.machine.tasks().count(), 2);
    bench.players[MASTER] = AnyPlayer::Master(leads);
    let mut revoke = |numbers: &[u32]| {
        let reason = Reason::Revoked(I1);
        let kill = |number: &u32| say_slave(MasterToSlave::Kill { task: task(*number), grace: None, reason });
        let deadline = master::Input::Timer(master::Timer::InverseOffer(I1));
        bench.master(deadline, numbers.iter().map(kill).collect())
    };
    assert_eq!(revoke(&[2]), [""; 0]);
    assert_eq!(revoke(&[1, 2]), ["S14 asked-and-no-more"]);
}

#[test]
fn s16_a_task_that_begins_twice() {
    let launch = || vec![say_slave(MasterToSlave::Launch(spec()))];
    let start = || vec![executor::Effect::Start { task: TASK, command: None, data: [].into() }];
    let mut bench = Bench::new().with_a_task();
    assert_eq!(bench.master(fired(), launch()), [""; 0]);
    assert_eq!(bench.master(fired(), launch()), ["S16 task-id-unique"]);
    assert_eq!(bench.executor(start()), [""; 0]);
    assert_eq!(bench.executor(start()), ["S16 task-id-unique"]);
}

#[test]
fn every_check_has_a_name_of_its_own_and_a_requirement() {
    let mut names = std::collections::BTreeSet::new();
    for check in ALL {
        assert!(names.insert(check.name), "{} is there twice", check.name);
        assert!(check.guards.starts_with('R'), "{}", check.name);
    }
}
