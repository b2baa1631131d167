//! S10: a task of which its slave has said that it is over never starts, nor one that its framework was told to be
//! killed or dropped. (One that is Lost because its slave is silent may: R8.)

use neap_protocol::message::MasterToFramework;
use neap_protocol::task::TaskState;

use super::{Kind, Property, Seen};
use crate::world::{Event, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S10 kill-wins", guards: "R13", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        match happening {
            Happening::Began { task, .. } => {
                let said = seen.before.ghost.over.get(task);
                let told = seen.before.ghost.told.get(task);
                let told = told.filter(|told| matches!(told, TaskState::Killed | TaskState::Dropped));
                if let Some(over) = said.or(told) {
                    return Err(format!("{task} is {over}, and begins"));
                }
            }
            Happening::MasterSaid {
                message: Message::MasterToFramework(MasterToFramework::Update { update, .. }),
                ..
            } if update.state == TaskState::Dropped
                && seen.after.ghost.ran.contains_key(&update.task)
                // Without a disk a slave may forget what it started.
                && !seen.scope.budget.has(Event::FullDisk) =>
            {
                return Err(format!("{} has run, and is said never to have started", update.task));
            }
            Happening::MasterSaid { .. }
            | Happening::Said { .. }
            | Happening::Answered { .. }
            | Happening::Stored { .. }
            | Happening::Told { .. }
            | Happening::Terminated { .. }
            | Happening::Killed { .. }
            | Happening::Exited { .. }
            | Happening::Abandoned { .. }
            | Happening::SlaveEvent { .. }
            | Happening::Recorded { .. }
            | Happening::MasterEvent { .. }
            | Happening::Panicked { .. } => {}
        }
    }
    Ok(())
}
