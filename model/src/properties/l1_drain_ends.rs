//! L1: every drain ends.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "L1 drain-ends", guards: "R21 R22", kind: Kind::Eventually(is_good) };

fn is_good(scope: &Scope, world: &World) -> bool {
    world.is_headless(scope) || world.store.registry.drains().values().all(|drain| drain.end.is_some())
}
