//! S8: on every slave, used + offered + free = total: as its master counts, as it counts itself, and in truth.

use neap_protocol::master::Master;
use neap_protocol::resources::{Resources, Sum};
use neap_protocol::slave::Slave;

use super::{Kind, Property, Seen};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "S8 conservation", guards: "R10 R11", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let (before, after) = (seen.before, seen.after);
    for (_, new) in before.masters.iter().zip(&after.masters).filter(|(old, new)| old != new) {
        new.machine.iter().try_for_each(Master::check)?;
        new.machine.iter().try_for_each(|master| fits(seen.scope, master))?;
    }
    for (_, new) in before.slaves.iter().zip(&after.slaves).filter(|(old, new)| old != new) {
        new.machine.iter().try_for_each(|slave| counts(seen.scope, slave))?;
    }
    match before.trees == after.trees {
        true => Ok(()),
        false => (0..seen.scope.slaves).try_for_each(|number| holds(seen.scope, after, number)),
    }
}

/// No master gives away more than a slave has.
fn fits(scope: &Scope, master: &Master) -> Result<(), String> {
    let slaves = master.registry().map(|registry| registry.slaves().keys());
    for slave in slaves.into_iter().flatten() {
        let live = master.tasks().filter(|task| task.slave == *slave && !task.state.is_terminal());
        let held = live.fold(Resources::NONE, |sum, task| sum.saturating_add(task.resources));
        if !scope.resources.contains(&held) {
            return Err(format!("{slave} of {} is given tasks that hold {held}", scope.resources));
        }
    }
    Ok(())
}

fn counts(scope: &Scope, slave: &Slave) -> Result<(), String> {
    let checkpoint = slave.checkpoint();
    let live = checkpoint.tasks.iter().filter(|task| slave.is_over(task.report.id) == Some(false));
    let held = Sum::of(live.map(|task| &task.report.resources));
    if held != *slave.used() {
        return Err(format!("a slave's tasks hold {held:?}, and it counts {:?}", slave.used()));
    }
    let held = held.capped();
    match scope.resources.contains(&held) {
        true => Ok(()),
        false => Err(format!("a slave of {} has tasks that hold {held}", scope.resources)),
    }
}

/// What the processes on a host were promised is there.
fn holds(scope: &Scope, world: &World, number: u8) -> Result<(), String> {
    let trees = world.trees.iter().filter(|tree| tree.slave == number);
    let running = trees.map(|tree| tree.processes.len()).sum::<usize>();
    let least =
        |take: fn(&Resources) -> u64| scope.tasks.iter().map(|task| take(&task.resources)).min().unwrap_or(0);
    let cpus = least(|resources| resources.cpus);
    match running as u64 * cpus > scope.resources.cpus {
        true => Err(format!("{running} tasks run on host {number}, which has {}", scope.resources)),
        false => Ok(()),
    }
}
