//! S10: a task whose end was told never starts.

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "S10 kill-wins", guards: "R13", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Began { task, .. } = happening
            && let Some(told) = seen.before.ghost.told.get(task).filter(|told| told.is_terminal())
        {
            return Err(format!("{task} was told {told}, and begins"));
        }
    }
    Ok(())
}
