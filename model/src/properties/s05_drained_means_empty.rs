//! S5: Drained: nothing runs there, and every terminal update is acknowledged.

use neap_protocol::ids::{DrainId, SlaveId};
use neap_protocol::message::DrainEnd;
use neap_protocol::registry::Operation;
use neap_protocol::task::TaskState;

use super::{Kind, Property, Seen};

pub(super) const PROPERTY: Property =
    Property { name: "S5 drained-means-empty", guards: "R21", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for operation in seen.stored() {
        let Operation::EndDrain { drain, end: DrainEnd::Drained } = operation else { continue };
        if let Some(slave) = seen.before.store.registry.drains().get(drain).map(|record| record.slave) {
            is_empty(seen, slave)?;
            is_known(seen, *drain, slave)?;
        }
    }
    Ok(())
}

fn is_empty(seen: &Seen<'_>, slave: SlaveId) -> Result<(), String> {
    let mut there = seen.after.trees.iter().filter(|tree| seen.after.admitted_id(tree.slave) == Some(slave));
    match there.find(|tree| tree.starting || tree.is_alive()) {
        Some(tree) => Err(format!("{slave} is drained, and {} runs there", tree.id)),
        None => Ok(()),
    }
}

/// Of every end that the leader can know: of what it launched, or what the slave has told. What a slave tells that was given
/// up was Lost before, which frameworks hear under a later leader as they ask (R8, R15), as they do of a task that was never
/// started: that is kept nowhere. Frameworks that are gone, or that
/// did not acknowledge for long enough, do not hold a drain up (R21).
fn is_known(seen: &Seen<'_>, drain: DrainId, slave: SlaveId) -> Result<(), String> {
    let ghost = &seen.before.ghost;
    if ghost.waited.contains_key(&drain) {
        return Ok(());
    }
    let registry = &seen.after.store.registry;
    let given_up = ghost.given_up.contains_key(&slave);
    let mut launched = ghost.launched.iter().filter(|(task, (on, epoch))| {
        *on == slave
            && (*epoch == registry.epoch
                || !given_up && ghost.over.get(task).is_some_and(|end| *end != TaskState::Dropped))
    });
    let unheard = launched.find(|(task, _)| {
        let told = ghost.told.get(task).is_some_and(|told| told.is_terminal());
        !told && registry.frameworks().contains_key(&task.framework)
    });
    match unheard {
        Some((task, _)) => {
            Err(format!("{slave} is drained, and {task}'s framework does not know that it is over"))
        }
        None => Ok(()),
    }
}
