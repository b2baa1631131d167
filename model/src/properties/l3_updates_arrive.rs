//! L3: every update is acknowledged, and every scheduler knows the end of each of its tasks.

use neap_protocol::ids::{SlaveId, TaskId};
use neap_protocol::task::TaskState;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::{MasterNode, SlaveNode, World};

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
        let ended = world.ghost.told.get(task).is_some_and(|told| told.is_terminal());
        ended
            || world.is_alive(*task)
            || !has_scheduler(world, *task)
            || came_to_nothing(world, *task, *slave)
    };
    world.is_headless(scope) || launched.all(is_heard)
}

/// Of a scheduler that was started anew since, a launch that was lost with a leader before it reached a slave, or was not
/// carried out, or a task whose slave is gone: what it told as it left, the leader alone had. Nobody is left who knows of it
/// (R8, R14).
fn came_to_nothing(world: &World, task: TaskId, on: SlaveId) -> bool {
    let schedulers = world.frameworks.iter().filter_map(|node| node.machine.as_ref());
    let mut believed = schedulers.flat_map(|machine| machine.tasks().map(|(id, ..)| id).collect::<Vec<_>>());
    let counted = |node: &MasterNode| {
        node.machine.as_ref().is_some_and(|leader| leader.tasks().any(|counted| counted.id == task))
    };
    let kept = |node: &SlaveNode| {
        // A host that is gone tells nobody what is left on its disk.
        let disk = node.exited.is_none() && node.disk.tasks.iter().any(|kept| kept.report.id == task);
        disk || node.machine.as_ref().is_some_and(|slave| slave.is_over(task).is_some())
    };
    let ghost = &world.ghost;
    let started = ghost.over.get(&task).is_some_and(|end| *end != TaskState::Dropped);
    let gone = ghost.given_up.contains_key(&on) || ghost.removed.contains_key(&on);
    (!started || gone)
        && !believed.any(|believed| believed == task)
        && !world.leader().is_some_and(counted)
        && !world.slaves.iter().any(|node| kept(node))
}

fn has_scheduler(world: &World, task: TaskId) -> bool {
    world.frameworks.iter().any(|node| {
        let machine = node.machine.as_ref().filter(|_| !node.over);
        machine.is_some_and(|machine| machine.id() == Some(task.framework))
    })
}
