//! The checkpoint on disks that crash and fail: at every step that a slave's work takes on them, and not at a sample.

use neap_protocol::ids::{BootId, Epoch, FrameworkId, SlaveId, TaskId};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskReport, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use super::*;
use crate::crashes::{self, Fails, Handle, Leaves};

const PATH: &str = "data/checkpoint";

/// So that the file is compacted on the way.
const COMPACT: u64 = 300;

impl Disk for crashes::Disk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.open(path).map(|file| file.bytes()))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Records>> {
        Ok(Box::new(self.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)
    }

    fn sync_name(&self, _path: &Path) -> io::Result<()> {
        self.sync_names()
    }
}

impl Records for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(self.len(), bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Handle::sync(self)
    }
}

fn open(disk: &crashes::Disk) -> Result<(Store, usize), StoreError> {
    Store::open_with(PATH.into(), Box::new(disk.clone()), COMPACT)
}

/// What two incarnations of a slave write: admitted, running tasks, leaving.
fn incarnations() -> Vec<Vec<Vec<CheckpointChange>>> {
    let task = |number| TaskId { framework: FrameworkId(1), number };
    let update = |number, state, reason| Update {
        task: task(number),
        number: 1,
        state,
        reason,
        message: Text::new("as a person would write it"),
    };
    let added = |number| CheckpointChange::TaskAdded {
        report: TaskReport {
            id: task(number),
            name: Name::new("web").unwrap(),
            resources: Resources::new(1000, 1 << 20),
            kill_grace: Millis(0),
            fenced: false,
            state: TaskState::Staging,
            reason: Reason::Normal,
            number: 0,
        },
        executor: number,
        shared: false,
    };
    let news = |number, state, reason| CheckpointChange::UpdateAdded {
        update: update(number, state, reason),
        ending: None,
        replaces: None,
        heard: 1,
    };
    let first = vec![
        vec![CheckpointChange::Booted(BootId(7))],
        vec![CheckpointChange::Identity { id: SlaveId(1), epoch: Epoch(1) }],
        vec![added(1), added(2)],
        vec![news(1, TaskState::Running, Reason::Normal)],
        vec![news(2, TaskState::Running, Reason::Normal), added(3)],
        vec![CheckpointChange::Acknowledged { task: task(1), number: 1 }],
        vec![news(3, TaskState::Running, Reason::Normal)],
        vec![CheckpointChange::Ended { update: update(1, TaskState::Finished, Reason::Exited(0)), heard: 2 }],
        vec![CheckpointChange::TaskForgotten { task: task(1) }],
    ];
    let second = vec![
        vec![CheckpointChange::Booted(BootId(8)), CheckpointChange::Leaving(true)],
        vec![CheckpointChange::TaskForgotten { task: task(2) }],
        vec![CheckpointChange::TaskForgotten { task: task(3) }],
        vec![CheckpointChange::Cleared],
    ];
    vec![first, second]
}

fn after(before: &Checkpoint, changes: &[CheckpointChange]) -> Checkpoint {
    let mut after = before.clone();
    changes.iter().for_each(|change| after.apply(change.clone()));
    after
}

/// That a disk holds one of `expected`, and goes on doing so; and that the next incarnation can write to it.
fn holds(disk: &crashes::Disk, expected: &[&Checkpoint], what: &dyn std::fmt::Display) {
    let (mut store, _torn) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = store.checkpoint.clone();
    assert!(expected.contains(&&found), "{what}: there is {found:?}, and not {expected:?}");
    let (again, _torn) = open(&disk.after_a_crash(disk.steps(), Leaves::Synced)).unwrap();
    assert_eq!(again.checkpoint, found, "{what}, and the power is lost as soon as it is read");
    let next = vec![CheckpointChange::Identity { id: SlaveId(9), epoch: Epoch(9) }];
    store.write(next.clone()).unwrap();
    let (again, torn) = open(&disk.after_a_crash(disk.steps(), Leaves::Synced)).unwrap();
    assert_eq!((again.checkpoint, torn), (after(&found, &next), 0), "{what}: what the next one writes");
}

/// R28: wherever the slave is killed or the machine loses its power, what was answered is there, and nothing that was
/// not asked for.
#[test]
fn every_step_can_be_the_last() {
    let disk = crashes::Disk::default();
    let mut known = Checkpoint::default();
    let mut account = vec![(0, known.clone())];
    for incarnation in incarnations() {
        let (mut store, torn) = open(&disk).unwrap();
        assert_eq!((&store.checkpoint, torn), (&known, 0));
        for changes in incarnation {
            store.write(changes.clone()).unwrap();
            known = after(&known, &changes);
            account.push((disk.steps(), known.clone()));
        }
    }
    let points = disk.steps();
    for taken in 0..=points {
        let answered = account.iter().rposition(|(steps, _)| *steps <= taken).unwrap();
        let asked = (answered + 1).min(account.len() - 1);
        for leaves in Leaves::EACH {
            let what = format!("a crash after {taken} of {points} steps that leaves {leaves:?}");
            holds(&disk.after_a_crash(taken, leaves), &[&account[answered].1, &account[asked].1], &what);
        }
    }
    println!("crashed at {} points, {} ways each", points + 1, Leaves::EACH.len());
    assert_eq!(points, STEPS, "a step more or less is taken on the disk: see that it should be");
}

/// How many steps the incarnations of this test take on the disk.
const STEPS: usize = 39;

/// A slave's work on a disk that fails: like its machine it keeps everything, and writes it as a whole until it can.
/// What was under way when it failed comes with it.
fn work_on(disk: &crashes::Disk) -> (Checkpoint, Option<(usize, [Checkpoint; 2])>) {
    let (mut known, mut under_way) = (Checkpoint::default(), None);
    for incarnation in incarnations() {
        let begun = open(disk).or_else(|_| {
            disk.fail(None);
            open(disk)
        });
        let (mut store, _torn) = begun.unwrap();
        for changes in incarnation {
            let next = after(&known, &changes);
            if store.write(changes.clone()).is_err() {
                under_way = under_way.or(Some((disk.steps(), [known.clone(), next.clone()])));
                assert_eq!(store.checkpoint, known, "what was refused is not there");
                let builds_on_it = vec![CheckpointChange::Leaving(false)];
                assert!(store.write(builds_on_it).is_err(), "it would build on what is not there");
                disk.fail(None);
                store.write(vec![CheckpointChange::Whole(next.clone())]).unwrap();
            }
            known = next;
            assert_eq!(store.checkpoint, known);
        }
    }
    (known, under_way)
}

/// R28: whichever write, sync or rename fails, once, or for want of room until somebody hears of it.
#[test]
fn every_step_can_fail() {
    let whole = crashes::Disk::default();
    let (expected, _) = work_on(&whole);
    let (points, mut refused) = (whole.steps(), 0);
    for fails in (0..points).flat_map(|at| [Fails::Once(at), Fails::FullFrom(at)]) {
        let disk = crashes::Disk::default();
        disk.fail(Some(fails));
        let (known, under_way) = work_on(&disk);
        assert_eq!(known, expected);
        for leaves in Leaves::EACH {
            let what = format!("{fails:?} of {points} steps, then a crash that leaves {leaves:?}");
            holds(&disk.after_a_crash(disk.steps(), leaves), &[&known], &what);
        }
        if let Some((steps, [before, next])) = under_way {
            refused += 1;
            let what = format!("{fails:?} of {points} steps, and the power is lost at once");
            holds(&disk.after_a_crash(steps, Leaves::Synced), &[&before, &next], &what);
        }
    }
    println!("{points} steps failed, in two ways each; {refused} times a change was refused");
    assert_eq!((points, refused), FAILURES);
}

/// How many steps are made to fail, and how often a change was refused for it.
const FAILURES: (usize, usize) = (39, 65);

/// A full disk keeps no slave from looking after what runs; what it knows is written when there is room.
#[test]
fn a_slave_is_started_again_on_a_full_disk() {
    let disk = crashes::Disk::default();
    let (mut store, _) = open(&disk).unwrap();
    let identity = CheckpointChange::Identity { id: SlaveId(1), epoch: Epoch(1) };
    store.write(vec![identity.clone()]).unwrap();
    drop(store);
    disk.fail(Some(Fails::FullFrom(disk.steps())));
    let (mut store, torn) = open(&disk).unwrap();
    assert_eq!((store.checkpoint.id, torn), (Some(SlaveId(1)), 0));
    assert!(store.write(vec![CheckpointChange::Leaving(true)]).is_err());
    disk.fail(None);
    let known = after(&store.checkpoint, &[CheckpointChange::Leaving(true)]);
    store.write(vec![CheckpointChange::Whole(known.clone())]).unwrap();
    holds(&disk.after_a_crash(disk.steps(), Leaves::Synced), &[&known], &"with room again");
}

/// A checkpoint of several records, and what it says after each: by the length that it has then.
fn records() -> (Vec<u8>, Vec<(usize, Checkpoint)>) {
    let disk = crashes::Disk::default();
    let path = Path::new(PATH);
    let (mut store, _) = Store::open_with(path.into(), Box::new(disk.clone()), u64::MAX).unwrap();
    let bytes = || disk.open(path).unwrap().bytes();
    let mut said = vec![(bytes().len(), Checkpoint::default())];
    for changes in incarnations().swap_remove(0) {
        store.write(changes).unwrap();
        said.push((bytes().len(), store.checkpoint.clone()));
    }
    (bytes(), said)
}

/// R28: cut off anywhere, it says what its whole records do, and how much of it was no whole one. Without a whole first
/// record it is refused and left alone: that was on the disk before the file had its name.
#[test]
fn every_length_is_read_as_far_as_it_is_whole() {
    let (whole, said) = records();
    let (first, _) = said[0];
    for length in 0..=whole.len() {
        let disk = crashes::Disk::holding(&[(Path::new(PATH), &whole[..length])]);
        match open(&disk) {
            Ok((store, torn)) => {
                let (good, expected) = said.iter().rev().find(|(good, _)| *good <= length).unwrap();
                assert_eq!((&store.checkpoint, torn), (expected, length - good), "cut to {length} bytes");
            }
            Err(StoreError::Corrupt { .. }) => {
                assert!(length < first, "cut to {length} bytes");
                assert_eq!(disk.steps(), 0, "it was touched");
            }
            Err(error) => panic!("cut to {length} bytes: {error}"),
        }
    }
}

/// R28: whichever bit is flipped, it is refused and left alone; but in the last record of several, which is then taken
/// for one that a crash tore.
#[test]
fn every_flipped_bit_is_found() {
    let (several, said) = records();
    let (last, before) = &said[said.len() - 2];
    // As every start leaves it: all that it says is in its first record.
    let disk = crashes::Disk::holding(&[(Path::new(PATH), &several)]);
    let (store, _torn) = open(&disk).unwrap();
    assert_ne!(store.checkpoint, Checkpoint::default());
    let one = disk.open(Path::new(PATH)).unwrap().bytes();
    let (mut flipped, mut taken_for_torn) = (0, 0);
    for (whole, torn_from) in [(&several, *last), (&one, one.len())] {
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            flipped += 1;
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let disk = crashes::Disk::holding(&[(Path::new(PATH), &bytes)]);
            match open(&disk) {
                Ok((store, torn)) => {
                    assert!(at >= torn_from, "bit {bit} of byte {at} is flipped, and was not found");
                    assert_eq!(
                        (&store.checkpoint, torn),
                        (before, whole.len() - last),
                        "bit {bit} of byte {at}"
                    );
                    taken_for_torn += 1;
                }
                Err(StoreError::Corrupt { .. }) => assert_eq!(disk.steps(), 0, "it was touched"),
                Err(error) => panic!("bit {bit} of byte {at}: {error}"),
            }
        }
    }
    println!(
        "{flipped} bits flipped, each found; {taken_for_torn} of them in a last record that was cut off"
    );
    assert!(taken_for_torn > 0);
    assert_eq!(flipped, 4_016, "docs/reliability.md says how many");
}
