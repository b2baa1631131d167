//! S12: a slave that is admitted is never told to go, unless an operator said so.

use neap_protocol::message::{Command, MasterToSlave, Refused, Then};

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S12 no-wrongful-shutdown", guards: "R3 R6 R24", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
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
        if *message == MasterToSlave::Leave && !was_asked(seen) {
            return Err(format!("slave {number} is told to leave, and no operator said so"));
        }
    }
    Ok(())
}

fn was_asked(seen: &Seen<'_>) -> bool {
    let given = seen.scope.commands.iter().take(usize::from(seen.after.commands));
    let mut leaving = given.filter(|command| {
        matches!(command, Command::DrainNow { .. } | Command::Drain { then: Then::Unregister, .. })
    });
    leaving.next().is_some()
}
