//! L3: every update is acknowledged, and every scheduler knows the end of each of its tasks.

use neap_protocol::ids::{SlaveId, TaskId};
use neap_protocol::task::TaskState;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "L3 updates-arrive", guards: "R12 R25", kind: Kind::Eventually(&[acknowledged, heard]) };

fn acknowledged(scope: &Scope, world: &World) -> bool {
    let machines = world.slaves.iter().filter_map(|node| node.machine.as_ref());
    let mut tasks = machines.flat_map(|machine| machine.checkpoint().tasks);
    world.is_headless(scope) || tasks.all(|task| task.updates.is_empty())
}

fn heard(scope: &Scope, world: &World) -> bool {
    let mut launched = world.ghost.launched.iter();
    let is_heard = |(task, (slave, _)): (&TaskId, &(SlaveId, _))| {
        let told = world.ghost.told.get(task);
        let out_of_reach = told == Some(&TaskState::Unreachable) && world.is_out_of_reach(*slave);
        // Whether its scheduler has handled that, too.
        let over = told.is_some_and(|told| told.is_terminal()) && !world.is_remembered(*task);
        let ended = out_of_reach || over;
        ended || world.is_alive(*task) || !has_scheduler(world, *task)
    };
    world.is_headless(scope) || launched.all(is_heard)
}

fn has_scheduler(world: &World, task: TaskId) -> bool {
    world.frameworks.iter().any(|node| {
        let machine = node.machine.as_ref().filter(|_| !node.over);
        machine.is_some_and(|machine| machine.id() == Some(task.framework))
    })
}
