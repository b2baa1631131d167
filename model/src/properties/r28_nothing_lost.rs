//! R28: what an executor may forget, its slave remembers; and how a task ended is not lost with its slave.

use neap_protocol::framework;
use neap_protocol::slave::Recover;
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Event, Happening, Tree};

pub(super) const PROPERTY: Property =
    Property { name: "R28 nothing-lost", guards: "R12 R28", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // A slave whose disk is full says that a restart may forget.
    if seen.scope.budget.has(Event::FullDisk) {
        return Ok(());
    }
    for tree in seen.after.trees.iter().filter(|tree| tree.may_have_changed()) {
        remembered(seen, tree)?;
    }
    told(seen)
}

/// A task that its executor has forgotten is over on the slave's disk, or forgotten there too.
fn remembered(seen: &Seen<'_>, tree: &Tree) -> Result<(), String> {
    let Some(executor) = &tree.machine else { return Ok(()) };
    let disk = &seen.after.slaves[usize::from(tree.slave)].disk;
    for task in tree.hosted.iter().filter(|task| !executor.has(**task)) {
        let kept = disk.tasks.iter().find(|kept| kept.report.id == *task);
        if kept.is_some_and(|kept| kept.ended.is_none() && !kept.report.state.is_terminal()) {
            return Err(format!("{} may forget {task}, and the slave's disk has it as alive", tree.id));
        }
    }
    Ok(())
}

/// Nobody is told that a task is Lost of which a slave has heard how it ended, unless an operator or a timer that came
/// too early had its tree ended meanwhile.
fn told(seen: &Seen<'_>) -> Result<(), String> {
    let others = seen.scope.budget.has(Event::Signal) || seen.scope.budget.has(Event::Skew);
    if others || seen.scope.slave.recover == Recover::Cleanup || !seen.scope.commands.is_empty() {
        return Ok(());
    }
    for happening in seen.happenings {
        let Happening::Told { event: framework::Event::Update { update, .. }, .. } = happening else {
            continue;
        };
        if update.reason == Reason::SlaveRestarted && seen.before.ghost.ended.contains_key(&update.task) {
            return Err(format!(
                "{} is {}, and its executor had said how it ended",
                update.task, update.state
            ));
        }
    }
    Ok(())
}
