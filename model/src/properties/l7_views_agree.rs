//! L7: when all is quiet, master, slave and framework agree on every task: what one believes to live does, where it
//! believes it to be, and nothing lives that nobody knows.

use neap_protocol::ids::{SlaveId, TaskId};
use neap_protocol::master::Master;
use neap_protocol::slave::Slave;
use neap_protocol::task::TaskState;

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property = Property {
    name: "L7 views-agree",
    guards: "R2 R14 R15",
    kind: Kind::Eventually(&[schedulers_agree, leader_agrees]),
};

fn schedulers_agree(scope: &Scope, world: &World) -> bool {
    if world.is_headless(scope) {
        return true;
    }
    let machines = world.frameworks.iter().filter_map(|node| node.machine.as_ref());
    let believed: Vec<(TaskId, SlaveId, TaskState)> = machines
        .flat_map(|machine| machine.tasks().filter(|(.., state)| !state.is_terminal()).collect::<Vec<_>>())
        .collect();
    let known = |task| believed.iter().any(|(believed, ..)| *believed == task);
    let mut running = world.trees.iter().flat_map(|tree| tree.processes.iter());
    let no_orphan = running.all(|process| {
        let up = world.frameworks.iter().any(|node| {
            node.machine.as_ref().is_some_and(|machine| machine.id() == Some(process.task.framework))
        });
        !up || known(process.task)
    });
    no_orphan
        && believed.iter().all(|(task, slave, state)| match *state == TaskState::Unreachable {
            true => world.is_out_of_reach(*slave),
            false => world.trees.iter().any(|tree| {
                world.slave_id(tree.slave) == Some(*slave) && tree.is_alive() && tree.hosted.contains(task)
            }),
        })
}

fn leader_agrees(scope: &Scope, world: &World) -> bool {
    if world.is_headless(scope) {
        return true;
    }
    let Some(leader) = world.leader().and_then(|node| node.machine.as_ref()) else {
        return world.masters.is_empty();
    };
    let mut slaves = world.slaves.iter().filter_map(|node| node.machine.as_ref());
    slaves.all(|slave| {
        let Some(id) = slave.id().filter(|_| slave.is_registered()) else { return true };
        counted(leader, id) == living(world, slave)
    })
}

fn counted(leader: &Master, slave: SlaveId) -> Vec<TaskId> {
    let its = leader.tasks().filter(|task| task.slave == slave && !task.state.is_terminal());
    its.map(|task| task.id).collect()
}

fn living(world: &World, slave: &Slave) -> Vec<TaskId> {
    let tasks = slave.checkpoint().tasks.into_iter().map(|task| task.report.id);
    let lives = |task: &TaskId| {
        let owned = world.store.registry.frameworks().contains_key(&task.framework);
        owned && slave.is_over(*task) == Some(false)
    };
    tasks.filter(lives).collect()
}
