//! R16: whoever lifts a hold, or ends a drain, lifts no other's.

use neap_protocol::ids::SlaveId;
use neap_protocol::message::DrainEnd;
use neap_protocol::registry::{Operation, drain_hold};
use neap_protocol::text::Name;

use super::{Kind, Property, Seen};

pub(super) const PROPERTY: Property =
    Property { name: "R16 holds-are-their-own", guards: "R16", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    if seen.before.store == seen.after.store {
        return Ok(());
    }
    let is_removed = |slave: &SlaveId| seen.after.ghost.removed.contains_key(slave);
    for (slave, record) in seen.before.store.registry.slaves().iter() {
        for hold in record.holds.keys() {
            let after = seen.after.store.registry.slaves().get(slave);
            let kept = after.is_some_and(|after| after.holds.contains_key(hold));
            if !kept && !is_removed(slave) && !is_lifted(seen, *slave, hold) {
                return Err(format!("{hold} holds {slave} no more, and nobody lifted it"));
            }
        }
    }
    Ok(())
}

fn is_lifted(seen: &Seen<'_>, slave: SlaveId, hold: &Name) -> bool {
    let drains = seen.before.store.registry.drains();
    seen.stored().any(|operation| match operation {
        Operation::LiftHolds { slave: of, name } => {
            let in_progress = drains
                .iter()
                .any(|(id, drain)| drain.end.is_none() && drain_hold(*id).as_ref() == Some(hold));
            *of == slave && name.as_ref().is_none_or(|name| name == hold) && !in_progress
        }
        Operation::EndDrain { drain, end: DrainEnd::Cancelled } => drain_hold(*drain).as_ref() == Some(hold),
        // A drain that ended unseen is begun anew, with a hold of its own.
        Operation::StartDrain(record) => {
            record.slave == slave
                && drains.iter().any(|(id, drain)| {
                    drain.end == Some(DrainEnd::Unseen) && drain_hold(*id).as_ref() == Some(hold)
                })
        }
        Operation::Lead { .. }
        | Operation::AdmitSlave { .. }
        | Operation::ReadmitSlave { .. }
        | Operation::MarkUnreachable { .. }
        | Operation::RemoveSlave { .. }
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
