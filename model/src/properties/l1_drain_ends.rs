//! L1: every drain ends, and a slave that is to leave, at once or once it is drained, does.

use neap_protocol::ids::SlaveId;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "L1 drain-ends", guards: "R21 R22 R24a", kind: Kind::Eventually(&[is_good]) };

fn is_good(scope: &Scope, world: &World) -> bool {
    world.is_headless(scope)
        || world
            .store
            .registry
            .drains()
            .values()
            .all(|drain| drain.end.is_some() && !(drain.is_to_leave() && stays(world, drain.slave)))
}

fn stays(world: &World, slave: SlaveId) -> bool {
    let mut machines = world.slaves.iter().filter_map(|node| node.machine.as_ref());
    machines.any(|machine| machine.id() == Some(slave) && machine.is_registered() && !machine.is_leaving())
}
