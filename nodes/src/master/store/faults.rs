//! The registry on disks that crash and fail: at every step that a leader's work takes on them, and not at a sample.
//!
//! What must be there is what was answered, by an account that the test keeps itself ([`Known`]).

use std::collections::BTreeMap;

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::message::{DrainEnd, InverseAnswer, InverseAsk, InverseOutcome, Pace, Then};
use neap_protocol::registry::{DrainAsk, EndRecord, FrameworkRecord, Hold, InverseOfferRecord, InverseStage};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;

use super::*;
use crate::crashes::{self, Fails, Leaves};
use crate::database::broken::Whole;
use crate::master::audit::Outcome;

const PATH: &str = "data/registry.redb";

/// So that snapshots are made on the way.
const LOGGED: u64 = 6;

pub(super) fn open(disk: &crashes::Disk) -> Result<Store, StoreError> {
    Store::open_with(Place::on(Box::new(disk.clone()), PATH.into()), LOGGED)
}

pub(super) fn audited(number: u64, outcome: Outcome) -> Audited {
    Audited {
        at: Moment(number),
        by: name("ada"),
        command: Text::new("deactivate"),
        of: Text::new("slave-1"),
        detail: Text::EMPTY,
        reason: Text::new("odd noises"),
        outcome,
    }
}

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

/// What a leader asks for at once.
#[derive(Clone, Debug, Default)]
struct Batch {
    operations: Vec<Operation>,
    lines: Vec<u32>,
    /// The command that asked for the first operation, and what became of that of a number.
    asked: Option<u64>,
    answered: Option<u64>,
}

impl Batch {
    fn of(operations: Vec<Operation>) -> Self {
        Self { operations, ..Self::default() }
    }

    fn asked(self, number: u64) -> Self {
        Self { asked: Some(number), ..self }
    }

    fn answered(self, number: u64) -> Self {
        Self { answered: Some(number), ..self }
    }

    fn lines(self, lines: &[u32]) -> Self {
        Self { lines: lines.to_vec(), ..self }
    }

    fn work(&self, epoch: Epoch, seq: &mut u64) -> Vec<Work> {
        let lines = self.lines.iter().map(|number| {
            let line = ReceiptLine::Opened {
                slave: SlaveId(1),
                name: name("slave-1"),
                by: name("ada"),
                reason: Text::EMPTY,
                deadline: None,
                drain: None,
            };
            Work::Record { receipt: ReceiptId::Drain(DrainId(1)), at: Moment(u64::from(*number)), line }
        });
        let mut work: Vec<Work> = lines.collect();
        let mut asked =
            self.asked.map(|number| (Number { epoch, number }, audited(number, Outcome::Unanswered)));
        for operation in self.operations.clone() {
            *seq += 1;
            let audit = asked.take().map(Box::new);
            work.push(Work::Append { epoch, seq: Seq(*seq), operation, audit });
        }
        work.extend(self.answered.map(|number| Work::Audit(Number { epoch, number }, audited(number, DONE))));
        work
    }
}

const DONE: Outcome = Outcome::Done { changed: true, id: Text::EMPTY };

/// What a registry's disk should hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    epoch: Epoch,
    registry: Registry,
    lines: u64,
    audit: BTreeMap<(u64, u64), Outcome>,
}

impl Known {
    fn take(&mut self, epoch: Epoch, batch: &Batch) {
        self.epoch = epoch;
        for operation in &batch.operations {
            let _ = self.registry.apply(operation);
        }
        self.keep(epoch, batch);
    }

    /// What of a batch is kept whether its operations could be written or not.
    fn keep(&mut self, epoch: Epoch, batch: &Batch) {
        self.lines += batch.lines.len() as u64;
        self.audit.extend(batch.asked.map(|number| ((epoch.0, number), Outcome::Unanswered)));
        self.audit.extend(batch.answered.map(|number| ((epoch.0, number), DONE)));
    }

    fn of(store: &mut Store) -> Self {
        let contents = tables::read_whole(store.database().unwrap()).unwrap();
        let audit = contents.audit.into_iter().map(|(at, line)| ((at.epoch.0, at.number), line.outcome));
        let known = Self {
            epoch: contents.epoch,
            registry: contents.registry,
            lines: contents.receipt_lines,
            audit: audit.collect(),
        };
        assert_eq!(store.registry, known.registry, "the thread's own copy");
        known
    }
}

/// A leader's work, and then the next one's: every kind of change among it.
fn leaders() -> Vec<(Epoch, Vec<Batch>)> {
    let admit = |name: &str| Operation::AdmitSlave {
        name: self::name(name),
        address: Text::EMPTY,
        resources: Resources::new(1000, 1 << 30),
    };
    let hold = || Hold { by: name("ada"), reason: Text::new("odd noises"), at: Moment(1) };
    let framework = FrameworkRecord {
        name: name("web"),
        principal: name("web"),
        failover_timeout: Millis::from_secs(60),
        partition_aware: false,
    };
    let drain = DrainAsk {
        slave: SlaveId(1),
        pace: Pace::Within(Millis(998)),
        deadline: Moment(1000),
        reason: Some(Text::new("new disks")),
        then: Some(Then::Stay),
        by: name("ada"),
        at: Moment(2),
        change: false,
    };
    let asked_back = |slave, drain| {
        Operation::OpenInverseOffer(InverseOfferRecord {
            framework: FrameworkId(1),
            slave: SlaveId(slave),
            ask: InverseAsk::Everything,
            keep: Resources::NONE,
            deadline: Moment(1000),
            reason: Text::new("new disks"),
            by: name("ada"),
            drain,
            answer: None,
            stage: InverseStage::Open,
        })
    };
    let (id, other) = (InverseOfferId(1), InverseOfferId(2));
    let stage = InverseStage::Revoking;
    let (place, lift) = (
        Operation::PlaceHold { slave: name("slave-1"), name: name("raid"), hold: hold() },
        Operation::LiftHolds { slave: name("slave-1"), name: None },
    );
    let first = vec![
        Batch::of(vec![Operation::Lead { epoch: Epoch(1) }]),
        Batch::of(vec![admit("slave-1"), admit("slave-2")]),
        Batch::of(vec![place]).asked(1),
        Batch::of(vec![Operation::AddFramework(framework.clone())]).answered(1),
        Batch::of(vec![Operation::StartDrain(drain)]).asked(2).lines(&[1]),
        Batch::of(vec![asked_back(1, Some(DrainId(1))), asked_back(2, None)]).answered(2),
        Batch::default().lines(&[2, 3]),
        Batch::of(vec![Operation::AnswerInverseOffer {
            id,
            answer: InverseAnswer::Accept { rather: vec![] },
        }]),
        Batch::of(vec![Operation::ExtendDrain {
            drain: DrainId(1),
            within: Millis(1998),
            deadline: Moment(2000),
        }])
        .asked(3),
        Batch::of(vec![Operation::AdvanceInverseOffer { id, stage, deadline: Moment(2000) }]).answered(3),
        Batch::of(vec![Operation::CloseInverseOffer { id: other, outcome: InverseOutcome::Returned }]),
    ];
    // The end of a task that its framework acknowledges, and of one that it does not.
    let ended = |number| EndRecord {
        slave: SlaveId(2),
        update: Update {
            task: TaskId { framework: FrameworkId(1), number },
            number: 3,
            state: TaskState::Finished,
            reason: Reason::Exited(0),
            message: Text::EMPTY,
        },
        receipt: None,
        drain: None,
    };
    let readmit = Operation::ReadmitSlave {
        slave: SlaveId(2),
        address: Text::new("10.0.0.2:5051"),
        resources: Resources::new(2000, 1 << 30),
    };
    let longer = FrameworkRecord { failover_timeout: Millis::from_secs(3600), ..framework };
    let framework = FrameworkId(1);
    let second = vec![
        Batch::of(vec![
            Operation::Lead { epoch: Epoch(2) },
            Operation::MarkUnreachable { slave: SlaveId(2) },
        ]),
        Batch::of(vec![readmit, Operation::ChangeFramework { framework, record: longer }]),
        Batch::of(vec![Operation::EndDrain { drain: DrainId(1), end: DrainEnd::Cancelled }])
            .asked(1)
            .lines(&[4]),
        Batch::of(vec![lift, Operation::RemoveSlave { slave: SlaveId(2), ends: vec![ended(1), ended(2)] }])
            .answered(1),
        Batch::of(vec![Operation::ForgetEnd { task: TaskId { framework, number: 1 } }]),
        Batch::of(vec![Operation::RemoveFramework { framework }]),
        Batch::of(vec![admit("slave-3")]).lines(&[5]),
    ];
    vec![(Epoch(1), first), (Epoch(2), second)]
}

/// What is crashed at and fails below is every kind of change, each of which changes something when its turn comes.
#[test]
fn the_leaders_write_every_kind_of_change() {
    let batches = leaders().into_iter().flat_map(|(_, batches)| batches);
    let written: Vec<Operation> = batches.flat_map(|batch| batch.operations).collect();
    let mut registry = Registry::default();
    for operation in &written {
        let before = registry.clone();
        registry.apply(operation).unwrap();
        assert_ne!(registry, before, "{operation:?}");
    }
    crashes::assert_each_kind! { &written, Operation:
        Operation::Lead { .. },
        Operation::AdmitSlave { .. },
        Operation::ReadmitSlave { .. },
        Operation::MarkUnreachable { .. },
        Operation::RemoveSlave { .. },
        Operation::ForgetEnd { .. },
        Operation::PlaceHold { .. },
        Operation::LiftHolds { .. },
        Operation::AddFramework(_),
        Operation::ChangeFramework { .. },
        Operation::RemoveFramework { .. },
        Operation::OpenInverseOffer(_),
        Operation::AnswerInverseOffer { .. },
        Operation::AdvanceInverseOffer { .. },
        Operation::CloseInverseOffer { .. },
        Operation::StartDrain(_),
        Operation::ExtendDrain { .. },
        Operation::EndDrain { .. },
    }
}

/// Whether a batch was stored, refused, or had nothing to be answered.
fn answer(store: &mut Store, work: Vec<Work>) -> Option<bool> {
    let mut told = None;
    store.work(work, &mut |reply| match reply {
        Reply::Stored { .. } => told = Some(true),
        Reply::Failed { .. } => told = Some(false),
        Reply::Recovered(_) | Reply::Receipt { .. } | Reply::Left { .. } => unreachable!("it was not asked"),
    });
    told
}

/// That a disk holds one of `expected`, and that the next leader can write to it and be read.
fn holds(disk: &crashes::Disk, expected: &[&Known], what: &dyn std::fmt::Display) {
    let mut store = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let known = Known::of(&mut store);
    assert!(expected.contains(&&known), "{what}: there is {known:?}, and not {expected:?}");
    // What a leader has read to begin with does not change under it.
    let again = disk.after_a_crash(disk.steps(), Leaves::Synced);
    assert_eq!(
        Known::of(&mut open(&again).unwrap()),
        known,
        "{what}, and the power is lost as soon as it is read"
    );
    let epoch = store.epoch().next();
    assert_eq!(epoch, known.epoch.next(), "{what}");
    let lead = Batch::of(vec![Operation::Lead { epoch }]).asked(1).lines(&[9]);
    assert_eq!(answer(&mut store, lead.work(epoch, &mut 0)), Some(true), "{what}: the next leader writes");
    drop(store);
    let mut next = known.clone();
    next.take(epoch, &lead);
    let mut store = open(disk).unwrap_or_else(|error| panic!("{what}, the second time: {error}"));
    assert_eq!(Known::of(&mut store), next, "{what}: the next leader's write");
}

/// R28, R30: wherever the master is killed or the machine loses its power, whatever was answered is there, nothing is
/// there that was not asked for, the epoch does not go back, and the next leader leads.
#[test]
fn every_step_can_be_the_last() {
    let disk = crashes::Disk::default();
    let mut known = Known::default();
    // After so many steps that is what was answered.
    let mut account = vec![(0, known.clone())];
    for (epoch, batches) in leaders() {
        let (mut store, mut seq) = (open(&disk).unwrap(), 0);
        for batch in batches {
            let stored = answer(&mut store, batch.work(epoch, &mut seq));
            assert_ne!(stored, Some(false));
            known.take(epoch, &batch);
            assert_eq!(Known::of(&mut store), known);
            account.push((disk.steps(), known.clone()));
        }
    }
    let points = disk.crash_everywhere(&account, |left, expected, what| holds(left, &expected, &what));
    println!("crashed at {points} points, {} ways each", Leaves::EACH.len());
    assert_eq!(points, POINTS, "a step more or less is taken on the disk: see that it should be");
}

/// After how many steps of the leaders of this test the machine crashes.
const POINTS: usize = 279;

/// A leader's work on a disk that fails; what was answered as stored, and what was under way when it failed.
fn work_on(disk: &crashes::Disk) -> (Known, Option<(usize, [Known; 2])>) {
    let (mut known, mut under_way) = (Known::default(), None);
    for (epoch, batches) in leaders() {
        // A master that cannot begin is started again, when somebody has seen to the disk.
        let begun = open(disk).or_else(|_| {
            disk.fail(None);
            open(disk)
        });
        let mut store = begun.unwrap();
        let mut seq = 0;
        // What was refused is asked for again, as an operator would.
        // The last one is answered, so that what could not be written with those before it is written.
        let last = Batch::of(vec![Operation::Lead { epoch }]);
        for batch in batches.into_iter().chain([last]) {
            let before = known.clone();
            let stored = answer(&mut store, batch.work(epoch, &mut seq));
            let mut after = before.clone();
            after.take(epoch, &batch);
            match stored {
                Some(false) => {
                    known.keep(epoch, &batch);
                    under_way = under_way.or(Some((disk.steps(), [before, after])));
                    disk.fail(None);
                    let again =
                        [vec![Work::Resume], Batch::of(batch.operations.clone()).work(epoch, &mut seq)];
                    assert_eq!(answer(&mut store, again.into_iter().flatten().collect()), Some(true));
                    known.take(epoch, &Batch::of(batch.operations));
                }
                Some(true) | None => known = after,
            }
            // A snapshot that found no room has closed the file, also after the last one.
            if stored.is_some() && store.database().is_ok() {
                assert_eq!(Known::of(&mut store).registry, known.registry);
            }
        }
        if store.database().is_err() {
            disk.fail(None);
        }
        assert_eq!(Known::of(&mut store), known);
    }
    (known, under_way)
}

/// R28: whichever write, sync or rename fails, once, what was refused is not there, what was stored is, and goes on to
/// be; also where the failed sync has lost what it was to write, and then the power is lost.
#[test]
fn every_step_can_fail() {
    let whole = crashes::Disk::default();
    let (expected, _) = work_on(&whole);
    let (points, mut refused) = (whole.steps(), 0);
    for at in 0..points {
        let disk = crashes::Disk::default();
        disk.fail(Some(Fails::Once(at)));
        let (known, under_way) = work_on(&disk);
        assert!(disk.has_failed(), "step {at} was not taken");
        assert_eq!(known.registry, expected.registry, "step {at}");
        for leaves in Leaves::EACH {
            let what = format!("step {at} of {points} fails, then a crash that leaves {leaves:?}");
            holds(&disk.after_a_crash(disk.steps(), leaves), &[&known], &what);
        }
        if let Some((steps, [before, after])) = under_way {
            refused += 1;
            // Whether it is there cannot be known to who is gone before it could be taken back.
            let what = format!("step {at} of {points} fails, and the power is lost at once");
            holds(&disk.after_a_crash(steps, Leaves::Synced), &[&before, &after], &what);
        }
    }
    println!("{points} steps failed, {refused} of them so that somebody was refused");
    assert_eq!((points, refused), FAILURES);
}

/// How many steps are made to fail, and how many of these are in a write that somebody waits for.
const FAILURES: (usize, usize) = (302, 185);

/// A disk that is full from some step on, until it is heard of.
#[test]
fn the_disk_can_be_full_from_every_step_on() {
    let whole = crashes::Disk::default();
    let (expected, _) = work_on(&whole);
    for from in 0..whole.steps() {
        let disk = crashes::Disk::default();
        disk.fail(Some(Fails::FullFrom(from)));
        let (known, _) = work_on(&disk);
        assert_eq!(known.registry, expected.registry, "full from step {from} on");
        let what = format!("the disk was full from step {from} on");
        holds(&disk.after_a_crash(disk.steps(), Leaves::Synced), &[&known], &what);
    }
}

/// A registry's file, closed in order or left open by a crash.
fn file(closed: bool) -> Whole<Known> {
    let disk = crashes::Disk::default();
    let (mut known, _) = work_on(&disk);
    if closed {
        return Whole { bytes: disk.open(Path::new(PATH)).unwrap().bytes(), known, before: None };
    }
    let (mut store, before, epoch) = (open(&disk).unwrap(), known.clone(), known.epoch);
    let last = Batch::of(vec![Operation::MarkUnreachable { slave: SlaveId(1) }]);
    assert_eq!(answer(&mut store, last.work(epoch, &mut 100)), Some(true));
    known.take(epoch, &last);
    let left = disk.after_a_crash(disk.steps(), Leaves::All);
    Whole { bytes: left.open(Path::new(PATH)).unwrap().bytes(), known, before: Some(before) }
}

/// What is read in a file with these bytes, unless it is refused.
fn read_in(bytes: &[u8], what: &str) -> Option<Known> {
    match open(&crashes::Disk::holding(&[(Path::new(PATH), bytes)])) {
        Ok(mut store) => Some(Known::of(&mut store)),
        Err(StoreError::Damaged { .. } | StoreError::OtherFormat { .. }) => None,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// R28: a registry is refused, or read as it was; never in part, and never with a panic.
#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let figures = [true, false].map(|closed| file(closed).flip(read_in));
    println!("(flipped, refused), closed in order and not; others were in use by nothing: {figures:?}");
    assert_eq!(figures, FLIPS);
}

/// Bits that are flipped in a file that was closed in order and in one that was not, and those that are refused.
const FLIPS: [(usize, usize); 2] = [(6339, 1536), (8457, 1363)];

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let figures = [true, false].map(|closed| file(closed).cut(read_in));
    println!("(cut, refused), closed in order and not; others lost nothing: {figures:?}");
    assert_eq!(figures, CUTS);
}

/// Lengths that are cut to, and those that are refused.
const CUTS: [(usize, usize); 2] = [(766, 766), (1006, 992)];
