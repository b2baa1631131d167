//! S3: a removed id is never admitted again.

use neap_protocol::message::MasterToSlave;
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S3 removed-stays-removed", guards: "R3 R27", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // A slave is removed by a change of the registry, and by nothing else.
    if seen.after.store.may_have_changed() {
        let removes = || seen.stored().any(|operation| matches!(operation, Operation::RemoveSlave { .. }));
        let before = seen.before.store.registry.slaves();
        // One that was there already was looked at then, unless it is this step that removes it.
        let mut news =
            seen.after.store.registry.slaves().keys().filter(|id| !before.contains_key(id) || removes());
        if let Some(id) = news.find(|id| seen.after.ghost.removed.contains_key(id)) {
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
