//! S9: after a terminal state of a task, its scheduler's callback hears nothing of it.

use neap_protocol::framework::Event;

use super::{Kind, Property, Seen};
use crate::world::{self, Happening};

pub(super) const PROPERTY: Property =
    Property { name: "S9 terminal-is-final", guards: "R12", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let mut told = seen.before.ghost.told.clone();
    for happening in seen.happenings {
        let Happening::Told { event: Event::Update { update, .. }, .. } = happening else { continue };
        if let Some(last) = told.insert(update.task, update.state).filter(|last| last.is_terminal()) {
            // A scheduler that crashed may not have got around to acknowledging what it was told: it hears it again,
            // from the first update on that it did not acknowledge, and to the same end.
            let same = last == update.state || !update.state.is_terminal();
            let again = same && seen.scope.budget.has(world::Event::FrameworkCrash);
            if !again {
                return Err(format!("{} was {last}, and is {} now", update.task, update.state));
            }
        }
    }
    Ok(())
}
