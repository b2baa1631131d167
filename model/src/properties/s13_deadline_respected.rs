//! S13: nothing is revoked before its deadline, nor from anyone who was not asked, nor with more grace than is promised.

use neap_protocol::message::MasterToSlave;
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S13 deadline-respected", guards: "R19 R22", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::MasterSaid {
            to: Dialer::Slave(number),
            message: Message::MasterToSlave(MasterToSlave::Kill { task, reason: Reason::Revoked(id), grace }),
            ..
        } = happening
        else {
            continue;
        };
        if !seen.after.ghost.passed.contains_key(id) {
            return Err(format!("{task} is revoked for {id} before its deadline"));
        }
        if grace.is_none_or(|grace| grace > seen.scope.master.revoke_grace) {
            return Err(format!("{task} is revoked with a grace of {grace:?}"));
        }
        if let Some(record) = seen.before.store.registry.inverse_offers().get(id) {
            if record.framework != task.framework {
                return Err(format!("{task} is revoked for {id}, which asked {}", record.framework));
            }
            if seen.after.admitted_id(*number).is_some_and(|slave| slave != record.slave) {
                return Err(format!("{task} is revoked for {id}, which asked for {}", record.slave));
            }
        }
    }
    Ok(())
}
