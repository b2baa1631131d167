//! S2: no two lifecycle changes of one slave overlap.

use neap_protocol::ids::SlaveId;
use neap_protocol::master::Effect;
use neap_protocol::registry::{Operation, Registry};

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S2 one-change-at-a-time", guards: "R4", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let Some(registry) = &look.truth.registry else { return };
    let master = look.truth.masters.get(&look.step.node);
    let pending =
        master.into_iter().flat_map(|master| master.pending.iter().map(|(_, _, operation)| operation));
    let mut changing: Vec<SlaveId> = pending.filter_map(|operation| of(registry, operation)).collect();
    for effect in &played.effects {
        if let Effect::Store { operation, .. } = effect
            && let Some(slave) = of(registry, operation)
        {
            look.hold(!changing.contains(&slave), || {
                format!("{operation:?} is to be written while another change of {slave} is being written")
            });
            changing.push(slave);
        }
    }
}

/// Whose lifecycle an operation changes; none of one that is admitted for the first time.
fn of(registry: &Registry, operation: &Operation) -> Option<SlaveId> {
    if let Operation::AdmitSlave { name, .. } = operation {
        return registry.slave_named(name);
    }
    if let Operation::ReadmitSlave { slave, .. }
    | Operation::MarkUnreachable { slave }
    | Operation::RemoveSlave { slave, .. } = operation
    {
        return Some(*slave);
    }
    None
}
