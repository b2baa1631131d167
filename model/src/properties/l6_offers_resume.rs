//! L6: of every slave that is registered and not held, what is free for a task is offered, as long as a framework is
//! there that wants it.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "L6 offers-resume", guards: "R10 R16", kind: Kind::Eventually(&[is_good]) };

fn is_good(scope: &Scope, world: &World) -> bool {
    let willing = world.frameworks.iter().filter(|node| !node.sated);
    let mut wanting = willing.filter_map(|node| node.machine.as_ref());
    if world.is_headless(scope) || !wanting.any(|framework| framework.is_subscribed()) {
        return true;
    }
    let mut slaves = world.slaves.iter().filter_map(|node| node.machine.as_ref());
    slaves.all(|slave| {
        let Some(id) = slave.id().filter(|_| slave.is_registered() && !slave.is_leaving()) else {
            return true;
        };
        let rest = slave.used().rest_of(&scope.resources);
        let free = scope.tasks.iter().any(|task| rest.contains(&task.resources));
        let record = world.store.registry.slaves().get(&id);
        let asked = world.store.registry.inverse_offers().values().any(|asked| asked.slave == id);
        let held = asked || record.is_none_or(|record| !record.holds.is_empty());
        // One that wants no more keeps what it was offered before.
        let frameworks = world.frameworks.iter().filter_map(|node| node.machine.as_ref());
        let mut offered = frameworks.flat_map(|framework| framework.offers());
        !free || held || offered.any(|(_, of)| of == id)
    })
}
