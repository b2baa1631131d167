//! S16: a task's id is not used twice: not for two processes, and not for two launches.

use neap_protocol::message::MasterToSlave;

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S16 task-id-unique", guards: "R11", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Began { task, .. } = happening
            && seen.before.ghost.ran.contains_key(task)
        {
            return Err(format!("{task} has run before, and begins again"));
        }
        if let Happening::MasterSaid { message: Message::MasterToSlave(MasterToSlave::Launch(spec)), .. } =
            happening
            && seen.before.ghost.launched.contains_key(&spec.id)
        {
            return Err(format!("{} was launched before, and is again", spec.id));
        }
    }
    Ok(())
}
