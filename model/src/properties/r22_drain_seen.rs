//! R22: a drain ends unseen only if its slave cannot be seen: what was asked for is never just forgotten.

use neap_protocol::message::DrainEnd;
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::Event;

pub(super) const PROPERTY: Property =
    Property { name: "R22 drain-seen", guards: "R19 R21 R22", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // Where timers may fire early, the bound may.
    if seen.scope.budget.has(Event::Skew) {
        return Ok(());
    }
    for operation in seen.stored() {
        let Operation::EndDrain { drain, end: DrainEnd::Unseen } = operation else { continue };
        let slave = seen.before.store.registry.drains().get(drain).map(|record| record.slave);
        let here = seen.before.slaves.iter().filter_map(|node| node.machine.as_ref());
        let mut there = here.filter(|machine| machine.is_registered() && machine.id() == slave);
        if there.next().is_some() {
            return Err(format!("{drain} ends unseen, and its slave is there"));
        }
    }
    Ok(())
}
