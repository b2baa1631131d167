//! S16: a task's id is not used twice.

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "S16 task-id-unique", guards: "R11", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Began { task, .. } = happening
            && seen.before.ghost.ran.contains_key(task)
        {
            return Err(format!("{task} has run before, and begins again"));
        }
    }
    Ok(())
}
