//! S8: on every slave, used + offered + free = total, at master and slave.

use neap_protocol::master::Master;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "S8 conservation", guards: "R10 R11", kind: Kind::State(wrong) };

fn wrong(scope: &Scope, world: &World) -> Result<(), String> {
    // A node of which every step before left this true, and this one did not touch it, need not be looked at.
    let masters = world.masters.iter().filter(|node| node.may_have_changed());
    masters.filter_map(|node| node.machine.as_ref()).try_for_each(Master::check)?;
    let over = world
        .slaves
        .iter()
        .filter(|node| node.may_have_changed())
        .filter_map(|node| node.machine.as_ref())
        .find(|slave| !scope.resources.contains(slave.used()));
    match over {
        Some(slave) => Err(format!("a slave of {} uses {}", scope.resources, slave.used())),
        None => Ok(()),
    }
}
