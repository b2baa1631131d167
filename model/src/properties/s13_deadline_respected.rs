//! S13: nothing is revoked before its deadline, nor from anyone who was not asked.

use neap_protocol::message::MasterToSlave;
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S13 deadline-respected", guards: "R19", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::MasterSaid {
            message: Message::MasterToSlave(MasterToSlave::Kill { task, reason, .. }),
            ..
        } = happening
        else {
            continue;
        };
        let Reason::Revoked(id) = reason else { continue };
        if !seen.after.ghost.passed.contains_key(id) {
            return Err(format!("{task} is revoked for {id} before its deadline"));
        }
        let offers = seen.before.store.registry.inverse_offers();
        if let Some(record) = offers.get(id).filter(|record| record.framework != task.framework) {
            return Err(format!("{task} is revoked for {id}, which asked {}", record.framework));
        }
    }
    Ok(())
}
