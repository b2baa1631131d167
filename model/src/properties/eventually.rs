//! L1 to L7: what must come about once nothing goes wrong any more and nobody wants anything new.

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const DRAIN_ENDS: Property =
    Property { name: "L1 drain-ends", guards: "R21 R22", kind: Kind::Eventually(no_drain) };
pub(super) const SLAVE_RESOLVED: Property =
    Property { name: "L2 slave-resolved", guards: "R6 R28", kind: Kind::Eventually(slaves_resolved) };
pub(super) const UPDATES_ARRIVE: Property =
    Property { name: "L3 updates-arrive", guards: "R12", kind: Kind::Eventually(updates_acknowledged) };
pub(super) const INVERSE_OFFERS_END: Property = Property {
    name: "L4 inverse-offer-answered-or-revoked",
    guards: "R17 R19 R20",
    kind: Kind::Eventually(no_inverse_offer),
};
pub(super) const SLAVE_EXITS: Property =
    Property { name: "L5 slave-exits", guards: "R24 R26", kind: Kind::Eventually(nobody_leaves) };
pub(super) const OFFERS_RESUME: Property =
    Property { name: "L6 offers-resume", guards: "R10 R16", kind: Kind::Eventually(everything_offered) };
pub(super) const VIEWS_AGREE: Property =
    Property { name: "L7 views-agree", guards: "R2 R15", kind: Kind::Eventually(views_agree) };

fn no_drain(_: &Scope, world: &World) -> bool {
    world.store.registry.drains().values().all(|drain| drain.end.is_some())
}

/// Every slave that is admitted is registered, or marked as unreachable.
fn slaves_resolved(_: &Scope, world: &World) -> bool {
    world.store.registry.slaves().iter().all(|(id, record)| {
        let here = |node: &crate::world::SlaveNode| {
            node.machine.as_ref().is_some_and(|machine| machine.id() == Some(*id) && machine.is_registered())
        };
        record.unreachable || world.slaves.iter().any(|node| here(node))
    })
}

fn updates_acknowledged(_: &Scope, world: &World) -> bool {
    let machines = world.slaves.iter().filter_map(|node| node.machine.as_ref());
    let unacknowledged =
        machines.flat_map(|machine| machine.checkpoint().tasks).filter(|task| !task.updates.is_empty());
    unacknowledged.count() == 0
}

fn no_inverse_offer(_: &Scope, world: &World) -> bool {
    world.store.registry.inverse_offers().is_empty()
}

fn nobody_leaves(_: &Scope, world: &World) -> bool {
    world.slaves.iter().filter_map(|node| node.machine.as_ref()).all(|machine| !machine.is_leaving())
}

/// Of every slave that is registered and not held, what is free for a task is offered, as long as a framework is there.
fn everything_offered(scope: &Scope, world: &World) -> bool {
    let frameworks: Vec<_> = world.frameworks.iter().filter_map(|node| node.machine.as_ref()).collect();
    if !frameworks.iter().any(|framework| framework.is_subscribed()) {
        return true;
    }
    world.slaves.iter().filter_map(|node| node.machine.as_ref()).filter(|slave| slave.is_registered()).all(
        |slave| {
            let Some(id) = slave.id() else { return true };
            let rest = scope.resources.saturating_sub(slave.used());
            let free = scope.tasks.iter().any(|task| rest.contains(&task.resources));
            let record = world.store.registry.slaves().get(&id);
            let held =
                record.is_none_or(|record| !record.holds.is_empty() || !record.inverse_offers.is_empty());
            let offered = frameworks.iter().any(|framework| framework.offers().any(|(_, of)| of == id));
            !free || held || slave.is_leaving() || offered
        },
    )
}

/// Every task that a scheduler believes to live has a live process on the slave where it believes it to be.
fn views_agree(_: &Scope, world: &World) -> bool {
    let machines = world.frameworks.iter().filter_map(|node| node.machine.as_ref());
    let believed: Vec<_> = machines
        .flat_map(|machine| machine.tasks().filter(|(.., state)| !state.is_terminal()).collect::<Vec<_>>())
        .collect();
    let known = |task| believed.iter().any(|(believed, ..)| *believed == task);
    let running = world.trees.iter().flat_map(|tree| tree.processes.iter());
    let orphaned = running.filter(|process| {
        // A scheduler that was started anew hears of its tasks as they have news.
        let up = world.frameworks.iter().any(|node| {
            node.machine.as_ref().is_some_and(|machine| machine.id() == Some(process.task.framework))
        });
        up && !known(process.task) && !world.ghost.told.contains_key(&process.task)
    });
    believed.iter().all(|(task, slave, _)| {
        world.trees.iter().any(|tree| {
            world.slave_id(tree.slave) == Some(*slave) && tree.is_alive() && tree.hosted.contains(task)
        })
    }) && orphaned.count() == 0
}
