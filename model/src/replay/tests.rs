//! A slave and its executor, as their drivers would have recorded them, and the same journals doctored.

use std::rc::Rc;

use neap_protocol::executor::{self, Executor};
use neap_protocol::ids::{
    BootId, Epoch, ExecutorId, FrameworkId, Incarnation, Seq, SessionId, SlaveId, TaskId,
};
use neap_protocol::journal::{
    Chain, Effects, End, Entry, Header, LinkId, MAGIC, Machine, Record, Recorder, Run, seal_items, seal_run,
};
use neap_protocol::message::{ExecutorToSlave, MasterToSlave};
use neap_protocol::outbox::Outbox;
use neap_protocol::resources::Resources;
use neap_protocol::slave::{self, Slave};
use neap_protocol::task::{Exit, Run as Runs, TaskSpec};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};

use super::debugger::Debugger;
use super::promises::{ERRANDS, SESSIONS, TIMERS};
use super::tape::{AnyRun, Tape};
use super::wire::TRANSPORT;
use super::{Replay, Report, SAME_EFFECTS};

const LINK: LinkId = LinkId([7; 8]);
const MASTER: SessionId = SessionId(1);
const TO_EXECUTOR: SessionId = SessionId(2);
const TO_SLAVE: SessionId = SessionId(1);
const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 1 };
const TREE: ExecutorId = ExecutorId { framework: FrameworkId(1), number: 1 };
const BEGAN: Moment = Moment(1_700_000_000_000);

/// A machine and the journal of it.
struct Node<M: Machine> {
    machine: M,
    config: M::Config,
    header: Header,
    recorder: Recorder,
}

impl<M: Machine> Node<M> {
    fn new(name: &str, config: M::Config) -> Self {
        let header = Header::new::<M>(Name::new(name).unwrap(), Text::new("a test"), BEGAN);
        Self { machine: M::begin(), config, header, recorder: Recorder::new(false) }
    }

    fn take(&mut self, at: u64, input: M::Input) -> Vec<M::Effect> {
        let mut outbox = Outbox::new();
        self.recorder.input(Millis(at), &input).unwrap();
        self.machine.handle(&self.config, input, &mut outbox);
        self.recorder.effects(outbox.as_slice()).unwrap();
        outbox.drain().collect()
    }

    /// Its journal's bytes.
    fn bytes(mut self) -> Vec<u8> {
        self.recorder.end(End::InOrder).unwrap();
        let mut bytes = MAGIC.to_vec();
        let chain = seal_run(Chain::START, &self.header, &self.config, &mut bytes).unwrap();
        seal_items(chain, self.recorder.items(), &mut bytes).unwrap();
        bytes
    }
}

/// What the slave's driver does at once: it writes.
fn slave_takes(slave: &mut Node<Slave>, at: u64, input: slave::Input) -> Vec<slave::Effect> {
    let mut all = slave.take(at, input);
    let mut next = 0;
    while let Some(effect) = all.get(next) {
        next += 1;
        if let slave::Effect::Store { seq, .. } = effect {
            let stored = slave::Input::Stored { seq: *seq };
            all.extend(slave.take(at + 1, stored));
        }
    }
    all
}

/// A task from its launch to its end: the journals of the slave and of the executor.
fn life() -> (Vec<u8>, Vec<u8>) {
    let config = slave::Config::new(Resources::new(4000, 1 << 30), Text::new("here"));
    let mut slave = Node::<Slave>::new("s", config);
    let mut executor = Node::<Executor>::new("F1.x1", executor::Config { recovery_timeout: Millis(9000) });
    let spec = TaskSpec {
        id: TASK,
        name: Name::new("t").unwrap(),
        resources: Resources::new(100, 1),
        kill_grace: Millis(5),
        fence_after: None,
        run: Runs::Command(Default::default()),
    };
    let registered = MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(1) };
    slave_takes(
        &mut slave,
        0,
        slave::Input::Start {
            checkpoint: None,
            incarnation: Incarnation(1),
            boot: BootId(0),
            alive: Vec::new(),
        },
    );
    slave_takes(&mut slave, 1, slave::Input::MasterOpened { session: MASTER });
    slave_takes(&mut slave, 2, slave::Input::Master { session: MASTER, message: registered });
    let launch = slave::Input::Master { session: MASTER, message: MasterToSlave::Launch(spec) };
    let launched = slave_takes(&mut slave, 3, launch);
    assert!(launched.iter().any(|effect| matches!(effect, slave::Effect::Launch { .. })), "{launched:?}");
    executor.take(100, executor::Input::Start);
    executor.recorder.session(TO_SLAVE, LINK).unwrap();
    slave.recorder.session(TO_EXECUTOR, LINK).unwrap();
    let opened = slave::Input::ExecutorOpened { session: TO_EXECUTOR, executor: TREE };
    slave_takes(&mut slave, 110, opened);
    let said = executor.take(110, executor::Input::Opened { session: TO_SLAVE });
    talk(&mut slave, &mut executor, 120, said);
    let said = executor.take(150, executor::Input::Started { task: TASK });
    talk(&mut slave, &mut executor, 160, said);
    let said = executor.take(300, executor::Input::Exited { task: TASK, how: Exit::Code(0) });
    talk(&mut slave, &mut executor, 310, said);
    executor.take(400, executor::Input::Closed { session: TO_SLAVE });
    slave_takes(&mut slave, 400, slave::Input::ExecutorClosed { session: TO_EXECUTOR });
    let ended = slave::Input::TreeEnded { executor: TREE, ending: Default::default() };
    let told = slave_takes(&mut slave, 410, ended);
    assert!(told.iter().any(|effect| matches!(effect, slave::Effect::ToMaster { .. })), "{told:?}");
    (slave.bytes(), executor.bytes())
}

/// Carries what the executor says to the slave, and what that says to it.
fn talk(slave: &mut Node<Slave>, executor: &mut Node<Executor>, at: u64, mut said: Vec<executor::Effect>) {
    while !said.is_empty() {
        let mut answers = Vec::new();
        for effect in said {
            let executor::Effect::ToSlave { message, .. } = effect else { continue };
            let heard = slave::Input::Executor { session: TO_EXECUTOR, message };
            answers.extend(slave_takes(slave, at, heard));
        }
        said = Vec::new();
        for answer in answers {
            let slave::Effect::ToExecutor { message, .. } = answer else { continue };
            said.extend(executor.take(at + 5, executor::Input::Slave { session: TO_SLAVE, message }));
        }
    }
}

/// Both, decoded.
fn runs() -> (Run<Slave>, Run<Executor>) {
    let (slave, executor) = life();
    let of = |bytes: &[u8]| Tape::read("f", bytes).unwrap().runs.remove(0);
    match (of(&slave), of(&executor)) {
        (AnyRun::Slave(slave), AnyRun::Executor(executor)) => {
            (Rc::unwrap_or_clone(slave), Rc::unwrap_or_clone(executor))
        }
        other => panic!("{other:?}"),
    }
}

fn tape(run: AnyRun) -> Tape {
    Tape { file: "f".into(), runs: vec![run], damage: None }
}

fn replay(slave: Run<Slave>, executor: Run<Executor>) -> Replay {
    Replay::new(vec![tape(AnyRun::Slave(Rc::new(slave))), tape(AnyRun::Executor(Rc::new(executor)))])
}

/// Journals in which everything holds.
pub(crate) fn honest_replay() -> Replay {
    let (slave, executor) = runs();
    replay(slave, executor)
}

/// The same with one answer that nobody asked for.
pub(crate) fn doctored_replay() -> Replay {
    let (mut slave, executor) = runs();
    slave.entries.push(lie(500, slave::Input::Stored { seq: Seq(999) }));
    replay(slave, executor)
}

/// What does not hold, once each.
fn broken(report: &Report) -> Vec<&'static str> {
    let mut found: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What is wrong once the slave's entries were doctored.
fn doctored(doctor: impl FnOnce(&mut Vec<Entry<slave::Input, slave::Effect>>)) -> Report {
    let (mut slave, executor) = runs();
    doctor(&mut slave.entries);
    replay(slave, executor).check()
}

/// The place of the nth entry that is such an input.
fn place(
    entries: &[Entry<slave::Input, slave::Effect>],
    nth: usize,
    is: impl Fn(&slave::Input) -> bool,
) -> usize {
    let mut found = entries.iter().enumerate().filter(|(_, entry)| match entry {
        Entry::Input(record) => is(&record.input),
        Entry::Session { .. } => false,
    });
    found.nth(nth).expect("there is one").0
}

fn by_executor(input: &slave::Input) -> bool {
    matches!(input, slave::Input::Executor { .. })
}

/// An input as a liar writes it: whatever the machine makes of it is right.
fn lie(at: u64, input: slave::Input) -> Entry<slave::Input, slave::Effect> {
    Entry::Input(Record { at: Millis(at), input, effects: Effects::Unanswered })
}

#[test]
fn what_was_recorded_holds_and_there_was_something_to_look_at() {
    let (slave, executor) = runs();
    let report = replay(slave, executor).check();
    assert_eq!(report.findings, []);
    assert_eq!(report.notes, ["2 messages came from nodes that were not recorded"]);
    for check in [SAME_EFFECTS, TRANSPORT, SESSIONS, ERRANDS] {
        let verdict = report.verdicts.iter().find(|verdict| verdict.check == check).unwrap();
        assert!(verdict.looked >= 4, "{verdict:?}");
    }
}

#[test]
fn the_order_is_by_cause_whatever_the_clocks_say() {
    let (slave, executor) = runs();
    let inputs = |replay: &Replay| {
        let mut inputs = Vec::new();
        let report = replay.check_with(&[], |step| inputs.push(step.played.input()));
        assert_eq!(report.findings, []);
        inputs
    };
    let honest = inputs(&replay(slave.clone(), executor.clone()));
    for off in [-3_600_000_i64, 3_600_000] {
        let mut late = executor.clone();
        late.header.began = Moment(BEGAN.0.checked_add_signed(off).unwrap());
        let mut moved = inputs(&replay(slave.clone(), late));
        let mut sorted = honest.clone();
        moved.sort();
        sorted.sort();
        assert_eq!(moved, sorted);
    }
    let swapped = Replay::new(vec![
        tape(AnyRun::Executor(Rc::new(executor.clone()))),
        tape(AnyRun::Slave(Rc::new(slave.clone()))),
    ]);
    assert_eq!(inputs(&swapped), honest);
}

#[test]
fn other_effects_and_another_config_are_found() {
    let (slave, executor) = runs();
    let mut other = executor.clone();
    other.config.recovery_timeout = Millis(9001);
    assert_eq!(broken(&replay(slave.clone(), other).check()), [SAME_EFFECTS]);
    let mut other = slave.clone();
    let started = place(&other.entries, 0, |input| matches!(input, slave::Input::MasterOpened { .. }));
    let Entry::Input(record) = &mut other.entries[started] else { panic!("an input") };
    record.effects = Effects::Digest { count: 1, digest: 1 };
    let report = replay(other, executor).check();
    assert_eq!(broken(&report), [SAME_EFFECTS]);
    assert!(report.findings[0].what.contains("it now asks for ToMaster"), "{:?}", report.findings);
}

#[test]
fn what_was_not_sent_so_is_found() {
    let lost = doctored(|entries| {
        let place = place(entries, 1, by_executor);
        entries.remove(place);
    });
    assert!(broken(&lost).contains(&TRANSPORT), "{:?}", lost.findings);
    let twice = doctored(|entries| {
        let place = place(entries, 1, by_executor);
        let Entry::Input(record) = entries[place].clone() else { panic!("an input") };
        entries.insert(place + 1, lie(record.at.0, record.input));
    });
    assert!(broken(&twice).contains(&TRANSPORT), "{:?}", twice.findings);
    let swapped = doctored(|entries| {
        let (one, other) = (place(entries, 1, by_executor), place(entries, 2, by_executor));
        entries.swap(one, other);
    });
    assert!(broken(&swapped).contains(&TRANSPORT), "{:?}", swapped.findings);
    let changed = doctored(|entries| {
        let place = place(entries, 1, by_executor);
        let message = ExecutorToSlave::Register { tasks: Vec::new() };
        entries[place] = lie(120, slave::Input::Executor { session: TO_EXECUTOR, message });
    });
    let finding = changed.findings.iter().find(|finding| finding.check == TRANSPORT).unwrap();
    assert!(finding.what.contains("was not said there"), "{finding:?}");
}

#[test]
fn a_journal_that_was_cut_short_is_nobodys_fault() {
    let (slave, mut executor) = runs();
    executor.entries.truncate(executor.entries.len() - 4);
    executor.end = None;
    let report = replay(slave.clone(), executor.clone()).check();
    assert_eq!(report.findings, []);
    assert!(report.wire.unconfirmed > 0);
    assert!(report.notes.iter().any(|note| note.contains("cut short") && note.contains("F1.x1")));
    // The same of one that says that it has everything.
    executor.end = Some(End::InOrder);
    assert_eq!(broken(&replay(slave, executor).check()), [TRANSPORT]);
}

#[test]
fn timers_that_a_driver_gets_wrong_are_found() {
    let register = slave::Timer::ExecutorRegister(TREE);
    let never = doctored(|entries| entries.push(lie(500, slave::Input::Timer(slave::Timer::StoreRetry))));
    assert_eq!(broken(&never), [TIMERS]);
    let cancelled = doctored(|entries| entries.push(lie(500, slave::Input::Timer(register))));
    assert_eq!(broken(&cancelled), [TIMERS]);
    let early = doctored(|entries| {
        let opened = place(entries, 0, |input| matches!(input, slave::Input::ExecutorOpened { .. }));
        entries.insert(opened - 1, lie(109, slave::Input::Timer(register)));
        entries.truncate(opened);
    });
    let finding = early.findings.iter().find(|finding| finding.check == TIMERS).unwrap();
    assert!(finding.what.contains("early"), "{finding:?}");
    let forgotten = doctored(|entries| {
        let opened = place(entries, 0, |input| matches!(input, slave::Input::ExecutorOpened { .. }));
        entries.truncate(opened - 1);
        entries.push(lie(200_000, slave::Input::Master { session: MASTER, message: MasterToSlave::Ping }));
    });
    let finding = forgotten.findings.iter().find(|finding| finding.check == TIMERS).unwrap();
    assert!(finding.what.contains("should have fired"), "{finding:?}");
}

#[test]
fn sessions_that_a_driver_gets_wrong_are_found() {
    let closed = slave::Input::ExecutorClosed { session: TO_EXECUTOR };
    let twice = doctored(|entries| entries.push(lie(500, closed)));
    assert_eq!(broken(&twice), [SESSIONS]);
    let ping = slave::Input::Master { session: SessionId(77), message: MasterToSlave::Ping };
    let unopened = doctored(|entries| entries.push(lie(500, ping)));
    assert_eq!(broken(&unopened), [SESSIONS]);
    let reopened = doctored(|entries| {
        let opened = place(entries, 0, |input| matches!(input, slave::Input::ExecutorOpened { .. }));
        let again = slave::Input::ExecutorOpened { session: TO_EXECUTOR, executor: TREE };
        entries.insert(opened + 1, lie(110, again));
    });
    assert!(broken(&reopened).contains(&SESSIONS), "{:?}", reopened.findings);
}

#[test]
fn answers_that_were_not_asked_for_are_found() {
    for input in [
        slave::Input::Stored { seq: Seq(1) },
        slave::Input::Stored { seq: Seq(999) },
        slave::Input::ConnectFailed,
        slave::Input::TreeEnded { executor: TREE, ending: Default::default() },
        slave::Input::Exited { executor: TREE, how: Some(Exit::Code(0)) },
        slave::Input::Start {
            checkpoint: None,
            incarnation: Incarnation(1),
            boot: BootId(0),
            alive: Vec::new(),
        },
    ] {
        let report = doctored(|entries| entries.push(lie(500, input.clone())));
        assert_eq!(broken(&report), [ERRANDS], "{input:?}");
    }
}

#[test]
fn a_node_with_two_runs_in_two_files_is_one_node() {
    let (slave, executor) = runs();
    let mut second = slave.clone();
    second.header.began = BEGAN.after(Millis(60_000));
    second.entries.truncate(2);
    let files = vec![
        tape(AnyRun::Slave(Rc::new(second))),
        tape(AnyRun::Executor(Rc::new(executor))),
        tape(AnyRun::Slave(Rc::new(slave))),
    ];
    let replay = Replay::new(files);
    assert_eq!(replay.nodes.iter().map(|node| node.runs.len()).collect::<Vec<_>>(), [2, 1]);
    let mut starts = 0;
    let report = replay.check_with(super::checks::ALL, |step| starts += u32::from(step.begins_run));
    assert_eq!((report.findings.as_slice(), starts), (&[][..], 3));
}

#[test]
fn damage_is_told_from_a_torn_end() {
    let (slave, executor) = life();
    let read = |bytes: &[u8]| Tape::read("s.journal", bytes).unwrap();
    let torn = Replay::new(vec![read(&slave[..slave.len() - 3])]);
    assert!(torn.damaged().is_empty());
    assert!(torn.check().notes.iter().any(|note| note.contains("torn at byte")), "{torn:?}");
    let mut flipped = slave.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let damaged = Replay::new(vec![read(&flipped), Tape::read("x", &executor).unwrap()]);
    let [(file, cause)] = damaged.damaged() else { panic!("{damaged:?}") };
    assert!(file == "s.journal" && cause.contains("corrupt at byte"), "{cause}");
    let error = Tape::read("x", &slave[..20]).unwrap_err();
    assert!(error.is_unbegun() && error.to_string().contains("no run of it is whole"), "{error}");
    let error = Tape::read("x", b"").unwrap_err();
    assert!(error.is_unbegun() && error.to_string().contains("no run has begun"), "{error}");
    assert!(!Tape::read("x", b"no journal at all").unwrap_err().is_unbegun());
}

#[test]
fn a_debugger_shows_the_same_on_the_way_back() {
    let (slave, executor) = runs();
    let replay = replay(slave, executor);
    let mut debugger = Debugger::new(&replay);
    let shown = |debugger: &Debugger<'_>| (debugger.lines(), debugger.machine(0), debugger.machine(1));
    let mut on = vec![shown(&debugger)];
    while debugger.forward() {
        on.push(shown(&debugger));
    }
    assert_eq!(on.len(), debugger.len() + 1);
    for at in (0..debugger.len()).rev() {
        assert!(debugger.back());
        assert_eq!((debugger.at(), shown(&debugger)), (at, on[at].clone()));
    }
    assert!(!debugger.back() && !debugger.go(debugger.len() + 1));
    assert!(
        debugger.find("exited") && debugger.lines()[0].contains("executor F1.x1"),
        "{:?}",
        debugger.lines()
    );
    let found = debugger.at();
    assert!(!debugger.find("no such thing"));
    assert_eq!(shown(&debugger), on[found]);
    assert_eq!(debugger.node("F1.x1"), Ok(1));
    assert!(debugger.node("nobody").unwrap_err().contains("slave s"));
}
