//! R12: a slave is told that an update is acknowledged once its framework's scheduler has dealt with it.

use neap_protocol::message::MasterToSlave;

use super::{Kind, Property, Seen};
use crate::world::{Event, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R12 acknowledged-when-heard", guards: "R12", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for (_, message) in seen.leader_said() {
        let Message::MasterToSlave(MasterToSlave::Acknowledge { task, number }) = message else { continue };
        let (registry, ghost) = (&seen.after.store.registry, &seen.after.ghost);
        let slave = ghost.launched.get(task).map(|(slave, _)| slave);
        let heard = ghost.heard.get(task).is_some_and(|heard| heard >= number);
        let ended = ghost.told.get(task).is_some_and(|told| told.is_terminal());
        let over = ended && !seen.after.is_remembered(*task);
        // Of a task that was given up, nothing is told any more but that.
        let given_up = slave.is_some_and(|slave| ghost.given_up.contains_key(slave));
        // Without a disk a slave that was started anew has forgotten that it told an end, and tells another.
        let again = seen.scope.budget.has(Event::FullDisk) && ghost.over.contains_key(task);
        if !heard && !over && !given_up && !again && registry.frameworks().contains_key(&task.framework) {
            return Err(format!(
                "{task}'s update {number} is acknowledged, and its scheduler has not heard it"
            ));
        }
    }
    Ok(())
}
