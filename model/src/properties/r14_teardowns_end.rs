//! R14: the tasks of a framework that is torn down end everywhere.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "R14 teardowns-end", guards: "R14", kind: Kind::Eventually(&[is_good]) };

fn is_good(scope: &Scope, world: &World) -> bool {
    let mut running = world.trees.iter().flat_map(|tree| tree.processes.iter());
    let frameworks = world.store.registry.frameworks();
    world.is_headless(scope) || running.all(|process| frameworks.contains_key(&process.task.framework))
}
