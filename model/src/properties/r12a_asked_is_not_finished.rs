//! R12a: what ends after somebody asked it to end was Killed, Revoked or Lost, whatever exit code came of it. Finished and
//! Failed are ends that a task's process came to before it was sent a signal.

use neap_protocol::message::SlaveToMaster;
use neap_protocol::task::{Reason, TaskState, Update};

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R12a asked-is-not-finished", guards: "R12a", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::Said { message: Message::SlaveToMaster(message), .. } = happening else { continue };
        match message {
            SlaveToMaster::Update { update, .. } => ended(seen, update)?,
            SlaveToMaster::Unregister { finals } => {
                finals.iter().try_for_each(|last| ended(seen, &last.update))?;
            }
            SlaveToMaster::Register { .. }
            | SlaveToMaster::Pong
            | SlaveToMaster::Leaving
            | SlaveToMaster::Renew { .. } => {}
        }
    }
    Ok(())
}

fn ended(seen: &Seen<'_>, update: &Update) -> Result<(), String> {
    let of_itself = match update.state {
        TaskState::Finished => true,
        // One whose executor went, and which its slave ended for that, has failed: nobody asked.
        TaskState::Failed => matches!(update.reason, Reason::Exited(_) | Reason::Signalled(_)),
        TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing => false,
        TaskState::Unreachable | TaskState::Killed | TaskState::Lost | TaskState::Dropped => false,
    };
    match of_itself && seen.after.ghost.asked.contains_key(&update.task) {
        true => Err(format!("{} is {} ({}), and was asked to end", update.task, update.state, update.reason)),
        false => Ok(()),
    }
}
