//! S6: what a leader has in memory is what is in the registry.

use neap_protocol::master::Master;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "S6 registry-first", guards: "R16 R20 R28", kind: Kind::State(wrong) };

fn wrong(_: &Scope, world: &World) -> Result<(), String> {
    let registry = world.leader().and_then(|node| node.machine.as_ref()).and_then(Master::registry);
    match registry.is_none_or(|registry| *registry == world.store.registry) {
        true => Ok(()),
        false => Err("the leader's registry is not what is durable".into()),
    }
}
