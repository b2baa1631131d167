//! R14: what a framework says is durable at it first: who it is, which numbers it uses, and that it has handled an end.

use neap_protocol::framework::Memory;
use neap_protocol::ids::TaskId;
use neap_protocol::message::FrameworkToMaster;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R14 remembered-first", guards: "R11 R12 R14", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Said {
            from: Dialer::Framework(number),
            message: Message::FrameworkToMaster(message),
        } = happening
        {
            first(seen, &seen.after.frameworks[usize::from(*number)].memory, message)?;
        }
    }
    Ok(())
}

fn first(seen: &Seen<'_>, memory: &Memory, message: &FrameworkToMaster) -> Result<(), String> {
    let launched = |task: &TaskId| {
        memory.id == Some(task.framework)
            && task.number <= memory.highest_task
            && memory.tasks.contains_key(&task.number)
    };
    match message {
        FrameworkToMaster::Subscribe { .. } => Ok(()),
        _ if memory.id.is_none() => Err("a framework goes on, and may forget who it is".into()),
        FrameworkToMaster::Accept { tasks, .. } => match tasks.iter().find(|task| !launched(&task.id)) {
            Some(task) => Err(format!("{} is launched, and its framework may forget it", task.id)),
            None => Ok(()),
        },
        FrameworkToMaster::Acknowledge { task, .. } => {
            let over = seen.after.ghost.told.get(task).is_some_and(|told| told.is_terminal());
            match over && seen.after.is_remembered(*task) {
                true => Err(format!("{task}'s end is acknowledged, and its framework may forget that")),
                false => Ok(()),
            }
        }
        FrameworkToMaster::Decline { .. }
        | FrameworkToMaster::Revive
        | FrameworkToMaster::Suppress
        | FrameworkToMaster::Kill { .. }
        | FrameworkToMaster::AnswerInverse { .. }
        | FrameworkToMaster::Reconcile { .. }
        | FrameworkToMaster::Want(_)
        | FrameworkToMaster::Teardown => Ok(()),
    }
}
