//! L5: a slave that leaves exits, master or no master.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "L5 slave-exits", guards: "R24 R26", kind: Kind::Eventually(&[is_good]) };

fn is_good(_: &Scope, world: &World) -> bool {
    world.slaves.iter().filter_map(|node| node.machine.as_ref()).all(|machine| !machine.is_leaving())
}
