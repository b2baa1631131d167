//! R24a: a slave that is to leave is told so whenever it has registered, and what was told is not taken back.

use neap_protocol::ids::DrainId;
use neap_protocol::message::{DrainEnd, MasterToSlave, Pace};
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R24a told-until-it-leaves", guards: "R21 R24a", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let registry = &seen.after.store.registry;
    for (to, message) in seen.leader_said() {
        let (Dialer::Slave(number), Message::MasterToSlave(MasterToSlave::Registered { id, .. })) =
            (to, message)
        else {
            continue;
        };
        let drain = registry.slaves().get(id).and_then(|record| record.drain);
        let drain = drain.and_then(|drain| Some((drain, registry.drains().get(&drain)?)));
        let Some((drain, _)) = drain.filter(|(_, record)| record.is_to_leave()) else { continue };
        if !is_told(seen, number) && !is_being_cancelled(seen, drain) {
            return Err(format!("{id} registers, and is not told to leave, as {drain} asks"));
        }
    }
    // What a leader said to a slave is not undone by it, and not by a cancellation that was asked for before.
    for operation in seen.stored() {
        let Operation::EndDrain { drain, end: DrainEnd::Cancelled } = operation else { continue };
        let record = seen.before.store.registry.drains().get(drain);
        let Some(record) = record.filter(|record| record.pace == Pace::Now && record.end.is_none()) else {
            continue;
        };
        let said = |number: u8| seen.after.admitted_id(number) == Some(record.slave) && is_told(seen, number);
        if (0..seen.scope.slaves).any(said) {
            return Err(format!("{drain} is cancelled, and {} is told to leave", record.slave));
        }
    }
    Ok(())
}

fn is_told(seen: &Seen<'_>, number: u8) -> bool {
    seen.leader_said().any(|(to, message)| {
        to == Dialer::Slave(number) && *message == Message::MasterToSlave(MasterToSlave::Leave)
    })
}

fn is_being_cancelled(seen: &Seen<'_>, of: DrainId) -> bool {
    let cancels = |operation: &Operation| matches!(operation, Operation::EndDrain { drain, end: DrainEnd::Cancelled } if *drain == of);
    seen.after.masters.iter().any(|node| node.pending().any(cancels))
}
