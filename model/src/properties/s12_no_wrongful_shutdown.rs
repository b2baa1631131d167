//! S12: a slave that is admitted is never told to go, and never goes, unless an operator or a signal said so.

use neap_protocol::message::{MasterToSlave, Refused};
use neap_protocol::slave::EXIT_REFUSED;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S12 no-wrongful-shutdown", guards: "R3 R6 R21 R24", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Exited { slave, code } = happening {
            if *code == EXIT_REFUSED {
                return Err(format!("slave {slave} is refused for good"));
            }
            if !seen.before.ghost.told_to_go.contains_key(slave)
                && !seen.after.ghost.told_to_go.contains_key(slave)
            {
                return Err(format!("slave {slave} exits, and nobody told it to"));
            }
        }
        let Happening::MasterSaid {
            to: Dialer::Slave(number), message: Message::MasterToSlave(message), ..
        } = happening
        else {
            continue;
        };
        if *message == MasterToSlave::Refused(Refused::Removed)
            && let Some(id) = seen.before.slave_id(*number)
            && seen.after.store.registry.slaves().contains_key(&id)
        {
            return Err(format!("{id} is admitted, and is told that it was removed"));
        }
        if *message == MasterToSlave::Leave && !is_to_leave(seen, *number) {
            return Err(format!("slave {number} is told to leave, and no operator said so"));
        }
    }
    Ok(())
}

/// Whether an operator has drained it now, or it is drained, and to leave then.
fn is_to_leave(seen: &Seen<'_>, number: u8) -> bool {
    let id = seen.after.admitted_id(number);
    let drains = seen.after.store.registry.drains();
    drains.values().any(|drain| Some(drain.slave) == id && drain.is_to_leave())
}
