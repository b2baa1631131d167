//! R24: a slave that leaves starts nothing more, asks to be unregistered once nothing is left, and exits once that is
//! so, or nobody has answered in time.

use neap_protocol::message::SlaveToMaster;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message, World};

pub(super) const PROPERTY: Property =
    Property { name: "R24 in-order", guards: "R24", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Said {
            from: Dialer::Slave(slave),
            message: Message::SlaveToMaster(SlaveToMaster::Unregister { .. }),
        } = happening
            && let Some(tree) = seen.after.trees.iter().find(|tree| tree.slave == *slave)
        {
            return Err(format!("slave {slave} unregisters, and has not seen {} dead", tree.id));
        }
    }
    exits_unregistered(seen)?;
    // An executor that starts is a tree that was not there.
    if !seen.after.trees.iter().any(|tree| tree.may_have_changed()) {
        return Ok(());
    }
    for (number, node) in (0..).zip(&seen.before.slaves) {
        let leaves = node.machine.as_ref().is_some_and(|machine| machine.is_leaving());
        let starting =
            |world: &World| world.trees.iter().filter(|tree| tree.slave == number && tree.starting).count();
        if leaves && starting(seen.after) > starting(seen.before) {
            return Err(format!("slave {number} leaves, and starts an executor"));
        }
    }
    Ok(())
}

/// R26: an admitted slave that nobody has unregistered exits only when its time-out is over.
fn exits_unregistered(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::Exited { slave, .. } = happening else { continue };
        let waited = seen.after.ghost.gave_up.contains_key(slave);
        let id = seen.before.slave_id(*slave);
        if let Some(id) = id.filter(|id| !waited && seen.after.store.registry.slaves().contains_key(id)) {
            return Err(format!("slave {slave} exits, and {id} is in the registry"));
        }
    }
    Ok(())
}
