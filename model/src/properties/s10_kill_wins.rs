//! S10: a task that was killed, or dropped, never starts. (One that is Lost because its slave is silent may: R8.)

use neap_protocol::task::TaskState;

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "S10 kill-wins", guards: "R13", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Began { task, .. } = happening
            && let Some(told) = seen
                .before
                .ghost
                .told
                .get(task)
                .filter(|told| matches!(told, TaskState::Killed | TaskState::Dropped))
        {
            return Err(format!("{task} was told {told}, and begins"));
        }
    }
    Ok(())
}
