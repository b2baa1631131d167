//! What does not come about from one state, without a search of all.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

use crate::properties::{self, Kind};
use crate::scope::Scope;
use crate::shared::hash_of;
use crate::world::World;

/// The `eventually` properties that do not come about from a state, by their place in the table: none of the states
/// that calm actions lead to is good.
pub fn never(scope: &Scope, world: &World) -> Vec<usize> {
    let is_good = |at: usize, world: &World| match properties::ALL[at].kind {
        Kind::Eventually(all) => properties::is_good(all, scope, world),
        Kind::Step(_) | Kind::State(_) | Kind::Sometimes(_) => true,
    };
    let mut never: Vec<usize> = (0..properties::ALL.len()).collect();
    let mut seen: HashSet<u64, FxBuildHasher> = HashSet::default();
    seen.insert(hash_of(world));
    let mut frontier = vec![world.clone()];
    let mut actions = Vec::new();
    while let Some(world) = frontier.pop() {
        never.retain(|at| !is_good(*at, &world));
        if never.is_empty() {
            break;
        }
        actions.clear();
        world.actions(scope, &mut actions);
        for action in actions.iter().filter(|action| action.is_calm()) {
            let after = world.step(scope, *action);
            if seen.insert(hash_of(&after)) {
                frontier.push(after);
            }
        }
    }
    never
}
