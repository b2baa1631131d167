//! L2: a slave that is admitted is registered, or marked as unreachable; and one that has not exited is registered.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::{SlaveNode, World};

pub(super) const PROPERTY: Property = Property {
    name: "L2 slave-resolved",
    guards: "R1 R2 R6 R31",
    kind: Kind::Eventually(&[is_good, is_back]),
};

fn is_good(scope: &Scope, world: &World) -> bool {
    world.is_headless(scope)
        || world.store.registry.slaves().iter().all(|(id, record)| {
            let here = |node: &SlaveNode| {
                let machine = node.machine.as_ref();
                machine.is_some_and(|machine| machine.id() == Some(*id) && machine.is_registered())
            };
            record.unreachable || world.slaves.iter().any(|node| here(node))
        })
}

fn is_back(scope: &Scope, world: &World) -> bool {
    let back = |node: &SlaveNode| {
        node.exited.is_some() || node.machine.as_ref().is_some_and(|machine| machine.is_registered())
    };
    world.is_headless(scope) || world.slaves.iter().all(|node| back(node))
}
