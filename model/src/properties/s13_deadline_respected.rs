//! S13: nothing is revoked before its deadline, which is its drain's where it has one, nor from anyone who was not asked, nor with more grace than is promised.

use neap_protocol::message::MasterToSlave;
use neap_protocol::registry::{InverseStage, Operation};
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S13 deadline-respected", guards: "R19 R22", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    moved_whole(seen)?;
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

/// A drain's deadline is that of what it asks for.
fn moved_whole(seen: &Seen<'_>) -> Result<(), String> {
    let registry = &seen.after.store.registry;
    for operation in seen.stored() {
        let Operation::ExtendDrain { drain, deadline, .. } = operation else { continue };
        let its = registry.inverse_offers_of_drain(*drain);
        let open = its.filter_map(|id| Some((id, registry.inverse_offers().get(&id)?)));
        let mut open = open.filter(|(_, record)| record.stage == InverseStage::Open);
        if let Some((id, record)) = open.find(|(_, record)| record.deadline != *deadline) {
            return Err(format!("{drain} is moved to {deadline:?}, and {id} to {:?}", record.deadline));
        }
    }
    Ok(())
}
