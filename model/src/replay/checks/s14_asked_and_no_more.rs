//! S14: a revocation takes the fewest further tasks that give back what was asked for, and none that is being killed.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::{InverseOfferId, TaskId};
use neap_protocol::master::Effect;
use neap_protocol::message::{Event, InverseAsk, MasterToSlave};
use neap_protocol::task::Reason;

use super::{Check, Look, Watch};
use crate::properties::no_more_than_needed;

pub(super) const CHECK: Check =
    Check { name: "S14 asked-and-no-more", guards: "R19", begin: || Box::new(Revocations::default()) };

#[derive(Default)]
struct Revocations {
    /// Of each master, what it was ending after its last step.
    dying: BTreeMap<usize, BTreeSet<TaskId>>,
}

impl Watch for Revocations {
    fn see(&mut self, look: &mut Look<'_>) {
        let (Some(played), Some(machine)) = (look.master(), look.master_machine()) else { return };
        let dying: BTreeSet<TaskId> = machine.tasks().filter(|task| task.dying).map(|task| task.id).collect();
        let before = self.dying.entry(look.step.node).or_default();
        let mut taken: BTreeMap<InverseOfferId, BTreeSet<TaskId>> = BTreeMap::new();
        for task in machine.tasks() {
            if let Some(Reason::Revoked(id)) = task.kill
                && !before.contains(&task.id)
            {
                taken.entry(id).or_default().insert(task.id);
            }
        }
        // What is killed and not counted as such is taken, too.
        for effect in &played.effects {
            if let Effect::ToSlave { message: MasterToSlave::Kill { task, reason, .. }, .. } = effect
                && let Reason::Revoked(id) = reason
                && !dying.contains(task)
            {
                taken.entry(*id).or_default().insert(*task);
            }
        }
        let earlier = std::mem::replace(before, dying);
        let Some(registry) = &look.truth.registry else { return };
        for effect in &played.effects {
            if let Effect::Publish(Event::Revoking { inverse_offer, tasks }) = effect
                && let Some(record) = registry.inverse_offers().get(inverse_offer)
                && matches!(record.ask, InverseAsk::Amount(_))
            {
                let hastened = tasks.iter().find(|task| earlier.contains(task));
                look.hold(hastened.is_none(), || {
                    let task = hastened.map_or_else(String::new, ToString::to_string);
                    format!("{inverse_offer} takes {task}, which is being killed")
                });
            }
        }
        for (id, tasks) in taken {
            if let Some(record) = registry.inverse_offers().get(&id) {
                let judged = no_more_than_needed(machine, id, record, |task| tasks.contains(&task.id));
                look.hold(judged.is_ok(), || judged.err().unwrap_or_default());
            }
        }
    }
}
