//! S9: after a terminal state of a task, its scheduler's callback hears nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::framework::{Effect, Event, Input};
use neap_protocol::ids::TaskId;
use neap_protocol::task::TaskState;

use super::{Check, Look, Watch};

pub(super) const CHECK: Check =
    Check { name: "S9 terminal-is-final", guards: "R12", begin: || Box::new(Final::default()) };

#[derive(Default)]
struct Final {
    told: BTreeMap<TaskId, TaskState>,
    /// Ends that a scheduler has dealt with. One that it has not, because its process ended, it may hear again.
    handled: BTreeSet<TaskId>,
    /// In which run each was told.
    run: BTreeMap<TaskId, (usize, usize)>,
}

impl Watch for Final {
    fn see(&mut self, look: &mut Look<'_>) {
        let Some(played) = look.framework() else { return };
        if let Input::Handled { task, .. } = &played.input
            && self.told.get(task).is_some_and(|state| state.is_terminal())
        {
            self.handled.insert(*task);
        }
        let run = (look.step.node, look.step.run);
        for effect in &played.effects {
            let Effect::Notify(Event::Update { update, .. }) = effect else { continue };
            let last = self.told.insert(update.task, update.state);
            let told_in = self.run.insert(update.task, run);
            let again = last == Some(update.state)
                && told_in.is_some_and(|told_in| told_in != run)
                && !self.handled.contains(&update.task);
            let over = last.filter(|last| last.is_terminal());
            look.hold(over.is_none() || again, || {
                format!("{} was told {over:?}, and is told {} now", update.task, update.state)
            });
        }
    }
}
