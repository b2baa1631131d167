//! R8: a task that was reported to be over is dead in the end, although its slave was away (R3).

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "R8 lost-ends", guards: "R3 R8", kind: Kind::Eventually(&[is_good]) };

fn is_good(scope: &Scope, world: &World) -> bool {
    let mut running = world.trees.iter().flat_map(|tree| tree.processes.iter());
    let told_over = |task| world.ghost.told.get(task).is_some_and(|told| told.is_terminal());
    world.is_headless(scope) || running.all(|process| !told_over(&process.task))
}
