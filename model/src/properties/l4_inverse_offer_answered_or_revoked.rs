//! L4: no inverse offer stays open for ever.

use neap_protocol::registry::InverseOfferRecord;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property = Property {
    name: "L4 inverse-offer-answered-or-revoked",
    guards: "R17 R19 R20",
    kind: Kind::Eventually(&[is_good]),
};

fn is_good(scope: &Scope, world: &World) -> bool {
    let registry = &world.store.registry;
    // What may come back is revoked then (R19).
    let waits = |record: &InverseOfferRecord| {
        let framework = registry.frameworks().get(&record.framework);
        framework.is_some_and(|framework| framework.partition_aware) && world.is_out_of_reach(record.slave)
    };
    world.is_headless(scope) || registry.inverse_offers().values().all(waits)
}
