//! The checkpoint, pinned: that of an earlier build is read as it was meant, whatever change is in it (R28).

use std::sync::Arc;

use neap_protocol::ids::{BootId, Epoch, FrameworkId, SlaveId, TaskId};
use neap_protocol::resources::{Ports, Resources};
use neap_protocol::task::{Ending, Reason, SignalSent, TaskReport, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};

use super::*;
use crate::golden::{self, named};

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn added(number: u32, shared: bool) -> CheckpointChange {
    let ports = Ports::range(31_000, 31_002);
    let report = TaskReport {
        id: task(number),
        name: Name::new("web").unwrap(),
        resources: Resources { ports, disk: 1 << 30, ..Resources::new(1500, 1 << 20) },
        kill_grace: Millis(5000),
        fenced: false,
        state: TaskState::Staging,
        reason: Reason::Normal,
        number: 0,
    };
    CheckpointChange::TaskAdded { report, executor: number, shared }
}

fn update(task: TaskId, number: u32, state: TaskState, reason: Reason) -> Update {
    Update { task, number, state, reason, message: Text::new("as a person would write it") }
}

/// Every change, and in them every state and reason.
fn changes() -> Vec<CheckpointChange> {
    let ending = Ending {
        signals: vec![SignalSent { at: Moment(1_700_000_000_000), signal: 15, processes: 3 }],
        leader: Text::new("exited with 0"),
        seen_dead: Some(Moment(1_700_000_000_400)),
        unseen: Text::new("some"),
    };
    let mut changes = vec![
        CheckpointChange::Booted(BootId(0x0123_4567_89ab_cdef)),
        CheckpointChange::Identity { id: SlaveId(300), epoch: Epoch(7) },
        added(1, false),
        added(2, true),
        added(3, false),
        CheckpointChange::Ended {
            update: update(task(2), 1, TaskState::Finished, Reason::Exited(0)),
            heard: 4,
        },
    ];
    for (number, (state, reason)) in (1..).zip(golden::states_and_reasons()) {
        changes.push(CheckpointChange::UpdateAdded {
            update: update(task(1), number, state, reason),
            ending: state.is_terminal().then(|| Arc::new(ending.clone())),
            replaces: (number % 3 == 0).then(|| number - 1),
            heard: number / 2,
        });
    }
    changes.extend([
        CheckpointChange::Acknowledged { task: task(1), number: 5 },
        CheckpointChange::TaskForgotten { task: task(3) },
        CheckpointChange::Leaving(true),
    ]);
    let mut whole = Checkpoint::default();
    changes.iter().for_each(|change| whole.apply(change.clone()));
    changes.extend([CheckpointChange::Cleared, CheckpointChange::Whole(whole)]);
    changes
}

#[test]
fn a_checkpoint_of_this_format_is_read_as_it_always_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoint");
    let (mut store, _) = Store::open_with(file.clone(), Box::new(System), u64::MAX).unwrap();
    let changes = changes();
    let names = named!(
        CheckpointChange {
            Identity,
            Booted,
            Leaving,
            TaskAdded,
            Ended,
            UpdateAdded,
            Acknowledged,
            TaskForgotten,
            Whole,
            Cleared
        },
        &changes
    );
    let mut now = vec![("as it begins".to_owned(), fs::read(&file).unwrap())];
    for (name, change) in names.iter().zip(&changes) {
        let before = fs::read(&file).unwrap().len();
        store.write(vec![change.clone()]).unwrap();
        now.push(((*name).to_owned(), fs::read(&file).unwrap()[before..].to_vec()));
    }
    let version = char::from(MAGIC[MAGIC.len() - 1]);
    let golden = golden::lines(&format!("checkpoint-v{version}.txt"), "`MAGIC` in slave/store.rs", &now);
    let (mut bytes, mut expected) = (golden[0].1.clone(), Checkpoint::default());
    for (change, (name, record)) in changes.into_iter().zip(&golden[1..]) {
        bytes.extend(record);
        expected.apply(change);
        let (read, good) = replay(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((read, good), (expected.clone(), bytes.len()), "{name}");
    }
}

/// R28: whoever goes back to an earlier release, or leaves one out, is told so, and loses nothing.
#[test]
fn a_checkpoint_of_another_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    store.write(vec![CheckpointChange::Leaving(true)]).unwrap();
    let file = dir.path().join("checkpoint");
    let mut other = fs::read(&file).unwrap();
    other[MAGIC.len() - 1] += 1;
    fs::write(&file, &other).unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&*file.to_string_lossy()), "{error}");
    assert!(error.ends_with("if another release wrote it, start that one"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), other);
}
