//! R22: a drain's bound is over only if its slave cannot be seen: what was asked for is never just forgotten.

use neap_protocol::master::Timer;
use neap_protocol::message::DrainEnd;
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::{Action, Cost};

pub(super) const PROPERTY: Property =
    Property { name: "R22 drain-seen", guards: "R19 R21 R22", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // In its order it fires after everything else has come about.
    let Action::MasterTimer(_, Timer::DrainBound(drain), Cost::Free) = seen.action else { return Ok(()) };
    let record = seen.before.store.registry.drains().get(&drain);
    let unseen = Operation::EndDrain { drain, end: DrainEnd::Unseen };
    if !seen.after.masters.iter().any(|node| node.pending().any(|operation| *operation == unseen)) {
        return Ok(());
    }
    let Some(slave) = record.filter(|record| record.end.is_none()).map(|record| record.slave) else {
        return Ok(());
    };
    let mut here = seen.before.slaves.iter().filter_map(|node| node.machine.as_ref());
    match here.any(|machine| machine.is_registered() && machine.id() == Some(slave)) {
        true => Err(format!("{drain} is given up, and its slave is there")),
        false => Ok(()),
    }
}
