//! R16: whoever lifts a hold, or ends a drain, lifts no other's; and no slave's leaving lifts one: holds are its name's.

use neap_protocol::ids::SlaveId;
use neap_protocol::map::Map;
use neap_protocol::message::{DrainEnd, Then};
use neap_protocol::registry::{Hold, Operation, drain_hold, is_of_drain};
use neap_protocol::text::Name;

use super::{Kind, Property, Seen};

pub(super) const PROPERTY: Property =
    Property { name: "R16 holds-are-their-own", guards: "R16", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    if seen.before.store == seen.after.store {
        return Ok(());
    }
    let before = &seen.before.store.registry;
    let there = before.slaves().iter().map(|(slave, record)| (&record.name, &record.holds, Some(*slave)));
    let away = before.held_names().iter().map(|(name, holds): (&Name, &Map<Name, Hold>)| (name, holds, None));
    for (name, holds, slave) in there.chain(away) {
        let after = seen.after.store.registry.holds_of(name);
        for hold in holds.keys() {
            let kept = after.is_some_and(|after| after.contains_key(hold));
            if !kept && !is_lifted(seen, name, slave, hold) {
                return Err(format!("{hold} holds {name} no more, and nobody lifted it"));
            }
        }
    }
    Ok(())
}

fn is_lifted(seen: &Seen<'_>, slave_name: &Name, slave: Option<SlaveId>, hold: &Name) -> bool {
    let drains = seen.before.store.registry.drains();
    seen.stored().any(|operation| match operation {
        Operation::LiftHolds { slave: of, name } => {
            let in_progress = drains
                .iter()
                .any(|(id, drain)| drain.end.is_none() && drain_hold(*id).as_ref() == Some(hold));
            of == slave_name && name.as_ref().is_none_or(|name| name == hold) && !in_progress
        }
        // A drain's own hold ends as its slave leaves, unless that was to stay.
        Operation::RemoveSlave { slave: of, .. } => {
            let stays =
                |drain: &neap_protocol::registry::DrainRecord| drain.slave == *of && drain.then == Then::Stay;
            Some(*of) == slave && is_of_drain(hold) && !drains.values().any(stays)
        }
        Operation::EndDrain { drain, end: DrainEnd::Cancelled } => drain_hold(*drain).as_ref() == Some(hold),
        // A drain that ended unseen is begun anew, with a hold of its own.
        Operation::StartDrain(ask) => {
            Some(ask.slave) == slave
                && drains.iter().any(|(id, drain)| {
                    drain.end == Some(DrainEnd::Unseen) && drain_hold(*id).as_ref() == Some(hold)
                })
        }
        Operation::Lead { .. }
        | Operation::AdmitSlave { .. }
        | Operation::ReadmitSlave { .. }
        | Operation::MarkUnreachable { .. }
        | Operation::ForgetEnd { .. }
        | Operation::PlaceHold { .. }
        | Operation::AddFramework(_)
        | Operation::ChangeFramework { .. }
        | Operation::RemoveFramework { .. }
        | Operation::OpenInverseOffer(_)
        | Operation::AnswerInverseOffer { .. }
        | Operation::AdvanceInverseOffer { .. }
        | Operation::CloseInverseOffer { .. }
        | Operation::ExtendDrain { .. }
        | Operation::EndDrain { .. } => false,
    })
}
