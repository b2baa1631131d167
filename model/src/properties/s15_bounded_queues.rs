//! S15: no queue grows without bound. That nothing panics shows by itself.

use super::{Kind, Property, Seen};
use crate::world::End;

/// What is on its way at most: far above what any honest exchange needs in a small world.
const WAITING_MAX: usize = 64;

pub(super) const PROPERTY: Property =
    Property { name: "S15 bounded-queues", guards: "R12", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for link in &seen.after.links {
        for end in [End::Near, End::Far] {
            if link.may_have_changed(end) && link.waiting(end).len() > WAITING_MAX {
                return Err(format!("{} messages wait on {:?}", link.waiting(end).len(), link.key));
            }
        }
    }
    Ok(())
}
