//! S1: a task that is reported Lost by unregistration has no live process.

use neap_protocol::message::MasterToFramework;
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S1 dead-before-lost", guards: "R24 R25", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::MasterSaid {
            message: Message::MasterToFramework(MasterToFramework::Update { update, .. }),
            ..
        } = happening
            && update.state == TaskState::Lost
            && update.reason == Reason::SlaveUnregistered
            && seen.after.is_alive(update.task)
        {
            return Err(format!("{} is reported Lost, and a process of it lives", update.task));
        }
    }
    Ok(())
}
