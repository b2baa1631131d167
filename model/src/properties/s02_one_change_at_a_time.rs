//! S2: no two lifecycle changes of one slave overlap: neither two that are written, nor a registration with one that is.

use neap_protocol::ids::SlaveId;
use neap_protocol::message::MasterToSlave;
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::text::Name;

use super::{Kind, Property, Seen};
use crate::world::{Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S2 one-change-at-a-time", guards: "R1 R4", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let world = seen.after;
    if seen.before.masters == world.masters && seen.before.store == world.store {
        return Ok(());
    }
    for node in &world.masters {
        let mut changing: Vec<&Name> =
            node.pending().filter_map(|operation| of(&world.store.registry, operation)).collect();
        if changing.len() < 2 {
            continue;
        }
        let changes = changing.len();
        changing.sort();
        changing.dedup();
        if changing.len() < changes {
            return Err("two lifecycle changes of one slave are being written".into());
        }
    }
    seen.happenings.iter().try_for_each(|happening| registers(seen, happening))
}

/// A slave is told that it is registered once nothing of its lifecycle is being written.
fn registers(seen: &Seen<'_>, happening: &Happening) -> Result<(), String> {
    let Happening::MasterSaid { master, message: Message::MasterToSlave(message), .. } = happening else {
        return Ok(());
    };
    let MasterToSlave::Registered { id, .. } = message else { return Ok(()) };
    let registry = &seen.after.store.registry;
    let name = registry.slaves().get(id).map(|record| &record.name);
    let mut pending = seen.after.masters[usize::from(*master)].pending();
    match pending.any(|operation| name.is_some() && of(registry, operation) == name) {
        true => Err(format!("{id} is registered while a change of its lifecycle is being written")),
        false => Ok(()),
    }
}

/// Whose lifecycle an operation changes: a host's, whose name is its identity (R1).
fn of<'a>(registry: &'a Registry, operation: &'a Operation) -> Option<&'a Name> {
    let named = |slave: &SlaveId| registry.slaves().get(slave).map(|record| &record.name);
    match operation {
        Operation::AdmitSlave { name, .. } => Some(name),
        Operation::ReadmitSlave { slave, .. }
        | Operation::MarkUnreachable { slave }
        | Operation::RemoveSlave { slave, .. } => named(slave),
        Operation::Lead { .. }
        | Operation::PlaceHold { .. }
        | Operation::LiftHolds { .. }
        | Operation::AddFramework(_)
        | Operation::ChangeFramework { .. }
        | Operation::RemoveFramework { .. }
        | Operation::ForgetEnd { .. }
        | Operation::OpenInverseOffer(_)
        | Operation::AnswerInverseOffer { .. }
        | Operation::AdvanceInverseOffer { .. }
        | Operation::CloseInverseOffer { .. }
        | Operation::StartDrain(_)
        | Operation::ExtendDrain { .. }
        | Operation::EndDrain { .. } => None,
    }
}
