//! S5: Drained: nothing runs there, and every terminal update is acknowledged.

use neap_protocol::message::DrainEnd;
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "S5 drained-means-empty", guards: "R21", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::Stored {
            operation: Operation::EndDrain { drain, end: DrainEnd::Drained },
            applied: true,
        } = happening
        else {
            continue;
        };
        let Some(slave) = seen.before.store.registry.drains().get(drain).map(|record| record.slave) else {
            continue;
        };
        for tree in &seen.after.trees {
            let running = tree.processes.first();
            if let Some(process) = running.filter(|_| seen.after.slave_id(tree.slave) == Some(slave)) {
                return Err(format!("{slave} is drained, and {} runs there", process.task));
            }
        }
        // One that had its time to acknowledge, and has not, counts as gone (R21).
        if seen.after.ghost.waited.contains_key(drain) {
            continue;
        }
        for node in &seen.after.frameworks {
            // One that is away does not hold a drain up (R21).
            let Some(machine) = node.machine.as_ref().filter(|machine| machine.is_subscribed()) else {
                continue;
            };
            let unheard = machine.tasks().find(|(_, on, state)| *on == slave && !state.is_terminal());
            if let Some((task, ..)) = unheard
                && seen.before.ghost.ran.contains_key(&task)
            {
                return Err(format!(
                    "{slave} is drained, and {task}'s framework does not know that it is over"
                ));
            }
        }
    }
    Ok(())
}
