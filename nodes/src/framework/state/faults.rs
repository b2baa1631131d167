//! A framework's state on disks that crash and fail: at every step that its processes' work takes on them.
//!
//! What a process hears as written is what it launches and acknowledges: that must be there (R12, R14).

use super::*;
use crate::crashes::{self, Fails, Leaves};
use crate::database::broken::Whole;

const PATH: &str = "state/nightly.redb";

fn open(disk: &crashes::Disk) -> Result<State, Failure> {
    State::open_at(Place::on(Box::new(disk.clone()), PATH.into()))
}

fn note(key: &str, value: &str) -> Change {
    Change::Note { key: key.to_owned(), value: Some(value.into()) }
}

fn erase(key: &str) -> Change {
    Change::Note { key: key.to_owned(), value: None }
}

fn launching(numbers: &[u32]) -> Vec<Change> {
    let tasks = numbers.iter().map(|number| (*number, SlaveId(1))).collect();
    let highest_task = *numbers.iter().max().unwrap();
    let notes = numbers.iter().map(|number| note(&format!("task-{number}"), "0"));
    std::iter::once(Change::Memory(MemoryChange::Launching { highest_task, tasks })).chain(notes).collect()
}

fn over(number: u32, instance: &str, became: &str) -> Vec<Change> {
    vec![Change::Memory(MemoryChange::Over(number)), erase(&format!("task-{number}")), note(instance, became)]
}

/// What two processes of a batch write.
fn processes() -> Vec<Vec<Vec<Change>>> {
    let terms = || vec![note("terms", "--name nightly -- true")];
    let first = vec![
        terms(),
        vec![Change::Memory(MemoryChange::Subscribed(FrameworkId(3)))],
        launching(&[1, 2]),
        over(1, "instance-0", "succeeded"),
        over(2, "instance-1", "failed 1"),
        launching(&[3]),
    ];
    let second = vec![
        terms(),
        launching(&[4, 5]),
        over(3, "instance-1", "failed 2"),
        vec![Change::Memory(MemoryChange::Over(5)), erase("task-5")],
        launching(&[6]),
        over(6, "instance-1", "succeeded"),
    ];
    vec![first, second]
}

#[test]
fn the_processes_write_every_kind_of_change() {
    let written = processes().concat().concat();
    crashes::assert_each_kind! { &written, Change:
        Change::Memory(MemoryChange::Subscribed(_)),
        Change::Memory(MemoryChange::Launching { .. }),
        Change::Memory(MemoryChange::Over(_)),
        Change::Note { value: Some(_), .. },
        Change::Note { value: None, .. },
    }
}

/// That a disk holds one of `expected`, and that the next process can write to it and be read.
fn holds(disk: &crashes::Disk, expected: &[&Known], what: &str) {
    let mut state = open(disk).unwrap_or_else(|failure| panic!("{what}: {}", failure.to_text(false)));
    let mut known = state.known.clone();
    assert!(expected.contains(&&known), "{what}: there is {known:?}, and not {expected:?}");
    // What a process has read to begin with does not change under it.
    let again = disk.after_a_crash(disk.steps(), Leaves::Synced);
    assert_eq!(open(&again).unwrap().known, known, "{what}, and the power is lost as soon as it is read");
    let next = launching(&[known.memory.highest_task + 1]);
    state.write(&next).unwrap();
    drop(state);
    known.take(&next);
    assert_eq!(open(disk).unwrap().known, known, "{what}: what the next process wrote");
}

/// R12, R14, R28: wherever the process is killed or the machine loses its power, whatever it launched or acknowledged
/// is there, and nothing that it was not about to: no number is given to two tasks.
#[test]
fn every_step_can_be_the_last() {
    let disk = crashes::Disk::default();
    let mut known = Known::default();
    let mut account = vec![(0, known.clone())];
    for writes in processes() {
        let mut state = open(&disk).unwrap();
        for changes in writes {
            state.write(&changes).unwrap();
            known.take(&changes);
            assert_eq!(state.known, known);
            account.push((disk.steps(), known.clone()));
        }
    }
    let points = disk.crash_everywhere(&account, |left, expected, what| holds(left, &expected, what));
    println!("crashed at {points} points, {} ways each", Leaves::EACH.len());
    assert_eq!(points, POINTS, "a step more or less is taken on the disk: see that it should be");
}

/// After how many steps of the processes of this test the machine crashes.
const POINTS: usize = 193;

/// The processes' work on a disk that fails, until somebody sees to it; and what was under way when it failed.
fn work_on(disk: &crashes::Disk) -> (Known, Option<(usize, [Known; 2])>) {
    let (mut known, mut under_way) = (Known::default(), None);
    for writes in processes() {
        // A process that cannot begin is started again.
        let begun = open(disk).or_else(|failure| {
            let text = failure.to_text(false);
            assert!(text.contains(PATH) || text.contains("state/nightly.new"), "{text}");
            assert!(text.contains("make room") || !text.contains("no storage space"), "{text}");
            disk.fail(None);
            open(disk)
        });
        let mut state = begun.unwrap();
        assert_eq!(state.known, known);
        for changes in writes {
            let mut after = known.clone();
            after.take(&changes);
            let mut tries = 0;
            while let Err(unkept) = state.write(&changes) {
                assert!(matches!(unkept, Unkept::Yet(_)), "{unkept:?}");
                assert_eq!(state.known, known, "nothing follows from it yet");
                under_way.get_or_insert((disk.steps(), [known.clone(), after.clone()]));
                tries += 1;
                if tries == 3 {
                    disk.fail(None);
                }
                assert!(tries < 4, "it does not write again");
            }
            known = after;
            assert_eq!(state.known, known);
        }
    }
    (known, under_way)
}

/// Whichever write, sync or rename fails, once, the process goes on, and loses nothing; also where the failed sync has
/// lost what it was to write, and then the power is lost.
#[test]
fn every_step_can_fail() {
    let whole = crashes::Disk::default();
    let (expected, _) = work_on(&whole);
    let (points, mut waited) = (whole.steps(), 0);
    for at in 0..points {
        let disk = crashes::Disk::default();
        disk.fail(Some(Fails::Once(at)));
        let (known, under_way) = work_on(&disk);
        assert!(disk.has_failed(), "step {at} was not taken");
        assert_eq!(known, expected, "step {at}");
        for leaves in Leaves::EACH {
            let what = format!("step {at} of {points} fails, then a crash that leaves {leaves:?}");
            holds(&disk.after_a_crash(disk.steps(), leaves), &[&known], &what);
        }
        if let Some((steps, [before, after])) = under_way {
            waited += 1;
            for leaves in Leaves::EACH {
                let what =
                    format!("step {at} of {points} fails, and then at once a crash that leaves {leaves:?}");
                holds(&disk.after_a_crash(steps, leaves), &[&before, &after], &what);
            }
        }
    }
    println!("{points} steps failed, {waited} of them so that a process had to wait");
    assert_eq!((points, waited), FAILURES);
}

/// How many steps are made to fail, and how many of these are in a write that is made again.
const FAILURES: (usize, usize) = (192, 120);

/// A disk that is full from some step on, until somebody makes room: nothing is lost meanwhile, nor if the power is.
#[test]
fn the_disk_can_be_full_from_every_step_on() {
    let whole = crashes::Disk::default();
    let (expected, _) = work_on(&whole);
    for from in 0..whole.steps() {
        let disk = crashes::Disk::default();
        disk.fail(Some(Fails::FullFrom(from)));
        let (known, under_way) = work_on(&disk);
        assert_eq!(known, expected, "full from step {from} on");
        let what = format!("the disk was full from step {from} on");
        holds(&disk.after_a_crash(disk.steps(), Leaves::Synced), &[&known], &what);
        if let Some((steps, [before, after])) = under_way {
            holds(&disk.after_a_crash(steps, Leaves::Synced), &[&before, &after], &what);
        }
    }
}

/// A state that is forgotten is there as it was, or gone.
#[test]
fn every_step_of_forgetting_can_be_the_last_or_fail() {
    let disk = crashes::Disk::default();
    let (known, _) = work_on(&disk);
    let begun = disk.steps();
    open(&disk).unwrap().forget();
    let steps = disk.steps();
    for taken in begun..=steps {
        for leaves in Leaves::EACH {
            let what = format!("a crash after {taken} of {steps} steps that leaves {leaves:?}");
            let gone = Known::default();
            let expected = if taken == steps { vec![&gone] } else { vec![&known, &gone] };
            holds(&disk.after_a_crash(taken, leaves), &expected, &what);
        }
    }
    for at in begun..steps {
        let disk = crashes::Disk::default();
        work_on(&disk);
        disk.fail(Some(Fails::Once(at)));
        let Ok(mut state) = open(&disk) else { continue };
        state.forget();
        assert!(disk.has_failed(), "step {at} was not taken");
        holds(&disk, &[&known, &Known::default()], &format!("step {at} fails"));
    }
}

/// A state's file, closed in order or left open by a crash.
fn file(closed: bool) -> Whole<Known> {
    let disk = crashes::Disk::default();
    let (mut known, _) = work_on(&disk);
    if closed {
        return Whole { bytes: disk.open(Path::new(PATH)).unwrap().bytes(), known, before: None };
    }
    let (mut state, before) = (open(&disk).unwrap(), known.clone());
    let next = launching(&[7]);
    state.write(&next).unwrap();
    known.take(&next);
    let left = disk.after_a_crash(disk.steps(), Leaves::All);
    Whole { bytes: left.open(Path::new(PATH)).unwrap().bytes(), known, before: Some(before) }
}

/// What is read in a file with these bytes, unless it is refused, with cause and cure.
fn read_in(bytes: &[u8], what: &str) -> Option<Known> {
    match open(&crashes::Disk::holding(&[(Path::new(PATH), bytes)])) {
        Ok(state) => Some(state.known.clone()),
        Err(failure) => {
            let text = failure.to_text(false);
            assert!(text.contains(PATH) && text.contains("move the file away"), "{what}: {text}");
            None
        }
    }
}

/// R14, R28: a state is refused, or read as it was; never in part, and never with a panic.
#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let figures = [true, false].map(|closed| file(closed).flip(read_in));
    println!("(flipped, refused), closed in order and not; others were in use by nothing: {figures:?}");
    assert_eq!(figures, FLIPS);
}

/// Bits that are flipped in a file that was closed in order and in one that was not, and those that are refused.
const FLIPS: [(usize, usize); 2] = [(7045, 1517), (7045, 1343)];

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let figures = [true, false].map(|closed| file(closed).cut(read_in));
    println!("(cut, refused), closed in order and not; others lost nothing: {figures:?}");
    assert_eq!(figures, CUTS);
}

/// Lengths that are cut to, and those that are refused.
const CUTS: [(usize, usize); 2] = [(846, 846), (846, 845)];

/// A process that had to let go of the file does not go on with numbers that another has given since (R14), nor with a
/// file that is gone.
#[test]
fn who_had_the_file_before_does_not_write_over_what_another_wrote() {
    let stalled = || {
        let disk = crashes::Disk::default();
        let mut state = open(&disk).unwrap();
        state.write(&launching(&[1])).unwrap();
        disk.fail(Some(Fails::FullFrom(disk.steps())));
        assert!(matches!(state.write(&launching(&[2])), Err(Unkept::Yet(_))));
        disk.fail(None);
        (disk, state)
    };
    let refused = |state: &mut State| match state.write(&launching(&[2])) {
        Err(Unkept::Ever(failure)) => failure.to_text(false),
        other => panic!("{other:?}"),
    };
    let (disk, mut state) = stalled();
    let mut other = open(&disk).unwrap();
    other.write(&launching(&[2, 3])).unwrap();
    let theirs = other.known.clone();
    drop(other);
    let text = refused(&mut state);
    let changed = "another process has changed the framework's state state/nightly.redb, or taken it away";
    assert!(text.contains(changed) && text.contains("help: end what else runs"), "{text}");
    assert_eq!(open(&disk).unwrap().known, theirs);
    let (disk, mut state) = stalled();
    disk.remove(Path::new(PATH)).unwrap();
    let text = refused(&mut state);
    assert!(text.contains(changed), "{text}");
    assert!(!disk.exists(Path::new(PATH)), "it is not begun anew");
}

/// What can be read, and gives a number twice, is not gone on with (R14).
#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let disk = crashes::Disk::default();
    let mut state = open(&disk).unwrap();
    let tasks = vec![(8, SlaveId(1))];
    state.write(&[Change::Memory(MemoryChange::Launching { highest_task: 7, tasks })]).unwrap();
    drop(state);
    let text = open(&disk).unwrap_err().to_text(false);
    assert!(text.contains("a higher number than the highest that was given"), "{text}");
}
