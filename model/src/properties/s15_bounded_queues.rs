//! S15: nothing panics, and nothing grows without bound: sessions, writes, what slaves and operators wait for. That
//! machines do not grow for ever shows by a search that ends.

use neap_protocol::slave::UPDATES_MAX;

use super::{Kind, Property, Seen};
use crate::world::{End, Happening};

/// What is on its way, or waits for a disk, at most: far above what any honest exchange needs in a small world.
const WAITING_MAX: usize = 64;

pub(super) const PROPERTY: Property =
    Property { name: "S15 bounded-queues", guards: "R12", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Panicked { words } = happening {
            return Err(format!("a machine panics: {words}"));
        }
    }
    let world = seen.after;
    // What is under way, and sessions of which not both ends have learned that they died: more where more dial.
    let dialers = world.slaves.len() + world.frameworks.len() + world.trees.len();
    let most = WAITING_MAX.max(8 * dialers);
    // What a step did not change was looked at when it was.
    for link in &world.links {
        for end in [End::Near, End::Far] {
            if link.may_have_changed(end) {
                bound(link.waiting(end).len(), most, || format!("messages wait on {:?}", link.key))?;
            }
        }
    }
    for node in world.masters.iter().filter(|node| node.may_have_changed()) {
        bound(node.pending().count(), WAITING_MAX, || "writes of a master wait".into())?;
        bound(node.waiting(), WAITING_MAX, || "operators wait for a master".into())?;
    }
    for node in world.slaves.iter().filter(|node| node.may_have_changed()) {
        bound(node.pending().count(), WAITING_MAX, || "writes of a slave wait".into())?;
        for task in &node.disk.tasks {
            // The end of a task has room beside them.
            let updates = task.updates.len();
            bound(updates, UPDATES_MAX + 1, || format!("updates of {} are kept", task.report.id))?;
        }
    }
    bound(world.links.len(), most, || "sessions are there".into())
}

fn bound(is: usize, max: usize, what: impl Fn() -> String) -> Result<(), String> {
    match is > max {
        true => Err(format!("{is} {}", what())),
        false => Ok(()),
    }
}
