use super::*;

use std::fs;

use neap_protocol::ids::{DrainId, SlaveId};
use neap_protocol::resources::Resources;
use neap_protocol::text::Name;

use super::tables::{AUDIT, AUDIT_MAX, META, META_FORMAT, SNAPSHOT, SNAPSHOT_REGISTRY};
use crate::crashes::{self, Fails};
use crate::master::audit::Outcome;

const E1: Epoch = Epoch(1);

fn admit(seq: u64) -> Work {
    append(
        E1,
        seq,
        Operation::AdmitSlave {
            name: Name::new(&format!("slave-{seq}")).unwrap(),
            address: Text::EMPTY,
            resources: Resources::new(1000, 1 << 30),
        },
    )
}

fn append(epoch: Epoch, seq: u64, operation: Operation) -> Work {
    Work::Append { epoch, seq: Seq(seq), operation, audit: None }
}

fn line(number: u32) -> Work {
    let line = ReceiptLine::Opened {
        slave: SlaveId(number),
        name: Name::new("slave").unwrap(),
        by: Name::new("ada").unwrap(),
        reason: Text::EMPTY,
        deadline: None,
        drain: None,
    };
    Work::Record { receipt: ReceiptId::Drain(DrainId(1)), at: Moment(u64::from(number)), line }
}

fn answers(store: &mut Store, batch: Vec<Work>) -> Vec<String> {
    let mut told = Vec::new();
    store.work(batch, &mut |reply| {
        told.push(match reply {
            Reply::Stored { epoch, seq } => format!("stored {epoch} {seq}"),
            Reply::Failed { epoch, seq, .. } => format!("failed {epoch} {seq}"),
            Reply::Recovered(registry) => format!("recovered {}", registry.slaves().len()),
            Reply::Receipt { lines, .. } => {
                let numbers: Vec<u64> = lines.unwrap().iter().map(|(at, _)| at.0).collect();
                format!("receipt {numbers:?}")
            }
            Reply::Left { name, left, .. } => match left.unwrap() {
                Some((slave, at)) => format!("{name} was {slave} until {}", at.0),
                None => format!("no {name} has left"),
            },
        });
    });
    told
}

fn receipt() -> Work {
    Work::Receipt { session: SessionId(1), request: 1, receipt: ReceiptId::Drain(DrainId(1)) }
}

#[test]
fn a_batch_is_one_write_and_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!(store.epoch(), Epoch(0));
    let batch = vec![append(E1, 1, Operation::Lead { epoch: E1 }), line(1), admit(2), line(2), admit(3)];
    assert_eq!(answers(&mut store, batch), ["stored e1 w3"]);
    let in_use = Store::open(directory.path()).unwrap_err();
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    let before = store.registry.clone();
    drop(store);
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!((store.epoch(), &store.registry), (E1, &before));
    assert_eq!(answers(&mut store, vec![Work::Recover, receipt()]), ["recovered 2", "receipt [1, 2]"]);
}

/// Who has left is found by name, the last of that name, also by the next master; who has not left is not.
#[test]
fn a_slave_that_has_left_is_found_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let record = |slave, at, line| {
        let receipt = ReceiptId::Unregistration(SlaveId(slave));
        Work::Record { receipt, at: Moment(at), line }
    };
    let opened = |slave, name: &str| {
        let name = Name::new(name).unwrap();
        let by = name.clone();
        ReceiptLine::Opened {
            slave: SlaveId(slave),
            name,
            by,
            reason: Text::EMPTY,
            deadline: None,
            drain: None,
        }
    };
    let task = neap_protocol::ids::TaskId { framework: neap_protocol::ids::FrameworkId(1), number: 1 };
    let mut batch = vec![append(E1, 1, Operation::Lead { epoch: E1 }), line(1)];
    for (slave, name, at) in [(1, "slave-3", 10), (2, "slave-1", 20), (4, "slave-3", 30)] {
        batch.push(record(slave, at, opened(slave, name)));
        batch.push(record(slave, at + 1, ReceiptLine::Unregistered));
        batch.push(record(slave, at + 5, ReceiptLine::Acknowledged { task }));
    }
    // This one began to leave, and is not removed.
    batch.push(record(7, 40, opened(7, "slave-3")));
    batch.push(record(8, 50, opened(8, "slave-8")));
    answers(&mut store, batch);
    let left = |name: &str| Work::Left { session: SessionId(1), request: 1, name: Name::new(name).unwrap() };
    let asked = || ["slave-3", "slave-1", "slave-8", "slave-2"].map(left).into();
    let told =
        ["slave-3 was S4 until 31", "slave-1 was S2 until 21", "no slave-8 has left", "no slave-2 has left"];
    assert_eq!(answers(&mut store, asked()), told);
    drop(store);
    assert_eq!(answers(&mut Store::open(directory.path()).unwrap(), asked()), told);
}

/// R30: who was followed by another leader writes nothing more.
#[test]
fn a_lower_epoch_is_fenced_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let lead = append(Epoch(2), 1, Operation::Lead { epoch: Epoch(2) });
    assert_eq!(answers(&mut store, vec![lead]), ["stored e2 w1"]);
    assert_eq!(answers(&mut store, vec![admit(7)]), ["failed e1 w7"]);
    assert!(store.registry.slaves().is_empty());
}

#[test]
fn a_snapshot_replaces_the_log_and_leads_to_the_same_registry() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    store.logged_max = 3;
    for seq in 1..=7 {
        answers(&mut store, vec![admit(seq)]);
    }
    assert_eq!(store.logged, 1, "two snapshots were made");
    let before = store.registry.clone();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!((store.registry, store.logged), (before, 1));
}

#[test]
fn another_format_and_a_torn_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    for other in [FORMAT - 1, FORMAT + 1] {
        let database = Database::create(directory.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(META_FORMAT, other).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let refused = Store::open(directory.path()).unwrap_err();
        assert!(matches!(refused, StoreError::OtherFormat { found, .. } if found == other), "{refused}");
    }
    fs::write(directory.path().join(FILE), vec![7; 9000]).unwrap();
    let torn = Store::open(directory.path()).unwrap_err();
    assert!(matches!(torn, StoreError::Damaged { .. }), "{torn}");
}

/// R28: a registry that can be read, and contradicts itself, is not led with.
#[test]
fn a_registry_that_contradicts_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    answers(&mut store, vec![admit(1)]);
    store.snapshot().unwrap();
    let written = postcard::to_allocvec(&store.registry).unwrap();
    // S1 is admitted, and no slave has ever been.
    let highest = postcard::to_allocvec(&store.registry.epoch).unwrap().len();
    let mut changed = written;
    changed[highest] = 0;
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(SNAPSHOT).unwrap().insert(SNAPSHOT_REGISTRY, changed.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let refused = Store::open(directory.path()).unwrap_err().to_string();
    let file = directory.path().join(FILE);
    let expected = format!(
        "the registry {} is damaged (it contradicts itself: an id is higher than the highest that was given): \
         restore it from a copy (`neap registry backup` makes them); or move it away to begin with an empty one, which slaves register with anew",
        file.display()
    );
    assert_eq!(refused, expected);
}

#[test]
fn a_full_disk_refuses_until_the_leader_has_heard_and_loses_nothing() {
    let disk = crashes::Disk::default();
    let mut store = faults::open(&disk).unwrap();
    assert_eq!(answers(&mut store, vec![admit(1), line(1)]), ["stored e1 w1"]);

    disk.fail(Some(Fails::FullFrom(disk.steps())));
    assert_eq!(answers(&mut store, vec![admit(2), line(2), admit(3)]), ["failed e1 w2"]);
    assert_eq!(store.registry.slaves().len(), 1);
    disk.fail(None);
    // Asked for before the leader heard: it takes them for failed.
    assert_eq!(answers(&mut store, vec![admit(4)]), [""; 0]);
    assert_eq!(answers(&mut store, vec![Work::Resume, admit(5)]), ["stored e1 w5"]);
    assert_eq!(answers(&mut store, vec![receipt()]), ["receipt [1, 2]"]);
    let before = store.registry.clone();
    drop(store);
    let store = faults::open(&disk).unwrap();
    assert_eq!(store.registry, before);
    let names: Vec<_> = before.slaves().values().map(|slave| slave.name.to_string()).collect();
    assert_eq!(names, ["slave-1", "slave-5"]);
}

/// R30: a master that could not write lets go of the file, and another may lead with it meanwhile.
#[test]
fn who_led_before_does_not_write_when_the_disk_has_room_again() {
    let disk = crashes::Disk::default();
    let mut first = faults::open(&disk).unwrap();
    assert_eq!(answers(&mut first, vec![admit(1)]), ["stored e1 w1"]);
    disk.fail(Some(Fails::FullFrom(disk.steps())));
    assert_eq!(answers(&mut first, vec![admit(2)]), ["failed e1 w2"]);
    disk.fail(None);
    let mut second = faults::open(&disk).unwrap();
    let lead = append(Epoch(2), 1, Operation::Lead { epoch: Epoch(2) });
    assert_eq!(answers(&mut second, vec![lead]), ["stored e2 w1"]);
    drop(second);
    assert_eq!(answers(&mut first, vec![Work::Resume, admit(3)]), ["failed e1 w3"]);
    drop(first);
    let store = faults::open(&disk).unwrap();
    assert_eq!((store.epoch(), store.registry.slaves().len()), (Epoch(2), 1));
}

/// The newest are kept, in order; a line that is written again has the place that it had.
#[test]
fn the_audit_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let audited = |number: u64, outcome| {
        let number = Number { epoch: E1, number };
        Work::Audit(number, faults::audited(number.number, outcome))
    };
    let all = AUDIT_MAX + 10;
    let asked = (1..=all).map(|number| audited(number, Outcome::Unanswered));
    let mut asked: Vec<Work> = asked.collect();
    let rest = asked.split_off(all as usize / 2);
    for batch in [asked, rest] {
        assert_eq!(answers(&mut store, batch), [""; 0]);
    }
    let done = Outcome::Done { changed: true, id: Text::EMPTY };
    assert_eq!(answers(&mut store, vec![audited(all - 1, done.clone())]), [""; 0]);
    let audit = tables::read_whole(store.database().unwrap()).unwrap().audit;
    let numbers = audit.iter().map(|(number, _)| number.number);
    assert!(numbers.eq(11..=all), "{} lines", audit.len());
    let outcomes: Vec<_> = audit.iter().rev().take(3).map(|(_, line)| line.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Unanswered, done, Outcome::Unanswered]);
}

/// A file of before the audit was kept is read, and has one from then on.
#[test]
fn a_registry_without_an_audit_is_led_with() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    answers(&mut store, vec![admit(1)]);
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    assert!(transaction.delete_table(AUDIT).unwrap());
    transaction.commit().unwrap();
    drop(store);
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!(store.registry.slaves().len(), 1);
    assert_eq!(tables::read_whole(store.database().unwrap()).unwrap().audit, []);
    answers(
        &mut store,
        vec![Work::Audit(Number { epoch: E1, number: 1 }, faults::audited(1, Outcome::Unanswered))],
    );
    assert_eq!(tables::read_whole(store.database().unwrap()).unwrap().audit.len(), 1);
}

/// A file that somebody took away is not begun anew under a leader, who has more than what would be in it.
#[test]
fn a_registry_that_was_taken_away_is_not_begun_anew() {
    let disk = crashes::Disk::default();
    let mut store = faults::open(&disk).unwrap();
    assert_eq!(answers(&mut store, vec![admit(1)]), ["stored e1 w1"]);
    disk.fail(Some(Fails::Once(disk.steps())));
    assert_eq!(answers(&mut store, vec![admit(2)]), ["failed e1 w2"]);
    disk.remove(Path::new("data/registry.redb")).unwrap();
    assert_eq!(answers(&mut store, vec![Work::Resume, admit(3)]), ["failed e1 w3"]);
    assert!(!disk.exists(Path::new("data/registry.redb")));
}

/// A full disk at the first start: the next one begins.
#[test]
fn a_registry_that_cannot_be_made_is_no_damaged_one() {
    let whole = crashes::Disk::default();
    drop(faults::open(&whole).unwrap());
    for at in 0..whole.steps() {
        let disk = crashes::Disk::default();
        disk.fail(Some(Fails::FullFrom(at)));
        if let Err(error) = faults::open(&disk) {
            let error = error.to_string();
            assert!(error.contains("make room on its disk"), "step {at}: {error}");
        }
        disk.fail(None);
        faults::open(&disk).unwrap();
    }
}
