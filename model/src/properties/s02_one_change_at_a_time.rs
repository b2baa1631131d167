//! S2: no two lifecycle changes of one slave overlap.

use neap_protocol::ids::SlaveId;
use neap_protocol::registry::{Operation, Registry};

use super::{Kind, Property};
use crate::scope::Scope;
use crate::world::World;

pub(super) const PROPERTY: Property =
    Property { name: "S2 one-change-at-a-time", guards: "R4", kind: Kind::State(wrong) };

fn wrong(_: &Scope, world: &World) -> Result<(), String> {
    for node in &world.masters {
        let mut changing: Vec<SlaveId> =
            node.pending().filter_map(|operation| of(&world.store.registry, operation)).collect();
        let changes = changing.len();
        changing.sort();
        changing.dedup();
        if changing.len() < changes {
            return Err("two lifecycle changes of one slave are being written".into());
        }
    }
    Ok(())
}

/// Whose lifecycle an operation changes; one that is not admitted yet counts as 0.
fn of(registry: &Registry, operation: &Operation) -> Option<SlaveId> {
    if let Operation::AdmitSlave { name, .. } = operation {
        return Some(registry.slave_named(name).unwrap_or(SlaveId(0))).filter(|id| id.0 > 0);
    }
    if let Operation::ReadmitSlave { slave, .. }
    | Operation::MarkUnreachable { slave }
    | Operation::RemoveSlave { slave } = operation
    {
        return Some(*slave);
    }
    None
}
