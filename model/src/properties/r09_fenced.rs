//! R9, S1: a fenced task that is Lost is dead, and stays so.
//!
//! What an executor fences: one that was killed fences nothing, and leaves what it had to its slave.

use neap_protocol::framework;
use neap_protocol::ids::TaskId;
use neap_protocol::message::MasterToFramework;
use neap_protocol::task::{TaskState, Update};

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property = Property { name: "R9 fenced", guards: "R9", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    if !seen.scope.is_fenced() {
        return Ok(());
    }
    for (_, message) in seen.leader_said() {
        if let Message::MasterToFramework(MasterToFramework::Update { update, .. }) = message {
            lost(seen, update)?;
        }
    }
    for happening in seen.happenings {
        if let Happening::Told { event: framework::Event::Update { update, .. }, .. } = happening {
            lost(seen, update)?;
        }
        if let Happening::Began { task, .. } = happening
            && seen.before.ghost.told.get(task) == Some(&TaskState::Lost)
        {
            return Err(format!("{task} is fenced and Lost, and begins"));
        }
    }
    Ok(())
}

fn lost(seen: &Seen<'_>, update: &Update) -> Result<(), String> {
    match update.state == TaskState::Lost && lives(seen, update.task) {
        true => Err(format!("{} is fenced and Lost, and its process lives", update.task)),
        false => Ok(()),
    }
}

fn lives(seen: &Seen<'_>, task: TaskId) -> bool {
    let mut trees = seen.after.trees.iter().filter(|tree| tree.machine.is_some());
    trees.any(|tree| tree.processes.iter().any(|process| process.task == task))
}
