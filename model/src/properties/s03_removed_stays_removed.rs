//! S3: a removed id is never admitted again.

use neap_protocol::message::MasterToSlave;

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S3 removed-stays-removed", guards: "R3 R27", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // A slave is removed by a change of the registry, and by nothing else.
    if seen.after.store.may_have_changed() {
        let removed = &seen.after.ghost.removed;
        let mut admitted = seen.after.store.registry.slaves().iter();
        if let Some((id, _)) = admitted.find(|(id, _)| removed.contains_key(id)) {
            return Err(format!("{id} was removed, and is in the registry"));
        }
    }
    for happening in seen.happenings {
        // A deposed leader that does not know it yet is not obeyed: that is S7's.
        if let Happening::MasterSaid {
            epoch,
            message: Message::MasterToSlave(MasterToSlave::Registered { id, .. }),
            ..
        } = happening
            && *epoch == seen.after.store.fence
            && seen.before.ghost.removed.contains_key(id)
        {
            return Err(format!("{id} was removed, and is told that it is registered"));
        }
    }
    Ok(())
}
