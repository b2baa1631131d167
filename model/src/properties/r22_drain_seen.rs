//! R22: a drain's bound is over only if its slave cannot be seen: what was asked for is never just forgotten.

use neap_protocol::master::Timer;
use neap_protocol::message::DrainEnd;
use neap_protocol::registry::{InverseStage, Operation};

use super::{Kind, Property, Seen};
use crate::world::{Action, Cost, Event};

pub(super) const PROPERTY: Property =
    Property { name: "R22 drain-seen", guards: "R19 R21 R22", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // In its order it fires after everything else has come about.
    let Action::MasterTimer(_, Timer::DrainBound(drain), Cost::Free) = seen.action else { return Ok(()) };
    let registry = &seen.before.store.registry;
    let record = registry.drains().get(&drain);
    // One that came out of its order, and could not be written, comes again before the deadline.
    let is_open =
        |id| registry.inverse_offers().get(&id).is_some_and(|asked| asked.stage == InverseStage::Open);
    let again = seen.scope.budget.has(Event::Skew) && seen.scope.budget.has(Event::FullDisk);
    if again && registry.inverse_offers_of_drain(drain).any(is_open) {
        return Ok(());
    }
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
