//! R13: a kill ends its task, as master and scheduler see it, whatever sessions and machines are lost on the way (R2).

use neap_protocol::master::Master;
use neap_protocol::task::TaskState;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property = Property {
    name: "R13 kills-end",
    guards: "R2 R13",
    kind: Kind::Eventually(&[asked_are_ended, ordered_are_ended]),
};

fn asked_are_ended(scope: &Scope, world: &World) -> bool {
    let schedulers = world.frameworks.iter().filter_map(|node| node.machine.as_ref());
    let mut kills = schedulers.flat_map(|machine| machine.kills());
    let out_of_reach = |task| world.ghost.told.get(&task) == Some(&TaskState::Unreachable);
    world.is_headless(scope) || kills.all(out_of_reach)
}

fn ordered_are_ended(scope: &Scope, world: &World) -> bool {
    let leader = world.leader().and_then(|node| node.machine.as_ref());
    // What is out of reach is killed when it is back.
    let pending = |state: TaskState| !state.is_terminal() && state != TaskState::Unreachable;
    let under_way = |master: &Master| master.tasks().any(|task| task.kill.is_some() && pending(task.state));
    world.is_headless(scope) || !leader.is_some_and(under_way)
}
