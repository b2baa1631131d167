//! L4: no inverse offer stays open for ever.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property = Property {
    name: "L4 inverse-offer-answered-or-revoked",
    guards: "R17 R19 R20",
    kind: Kind::Eventually(&[is_good]),
};

fn is_good(scope: &Scope, world: &World) -> bool {
    world.is_headless(scope) || world.store.registry.inverse_offers().is_empty()
}
