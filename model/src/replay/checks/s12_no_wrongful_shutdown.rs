//! S12: a slave that is admitted is never told to go, unless an operator said so.

use neap_protocol::ids::SlaveId;
use neap_protocol::master::Effect;
use neap_protocol::message::{MasterToSlave, Refused};
use neap_protocol::registry::{Operation, Registry};

use super::{Check, Look, Plain};
use crate::replay::truth::{MasterTruth, Whose};

pub(super) const CHECK: Check =
    Check { name: "S12 no-wrongful-shutdown", guards: "R3 R6 R24", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let Some(registry) = &look.truth.registry else { return };
    let Some(master) = look.truth.masters.get(&look.step.node) else { return };
    for effect in &played.effects {
        let Effect::ToSlave { session, message } = effect else { continue };
        if *message == MasterToSlave::Refused(Refused::Removed)
            && let Some(Some(id)) = master.registering.get(session)
        {
            look.hold(!registry.slaves().contains_key(id), || {
                format!("{id} is admitted, and is told that it was removed")
            });
        }
        if *message == MasterToSlave::Leave
            && let Some(Whose::Slave(id)) = master.sessions.get(session)
        {
            look.hold(was_asked(registry, master, *id), || {
                format!("{id} is told to leave, and no operator said so")
            });
        }
    }
}

/// Whether it is drained now, or it is drained, and to leave then. (A drain that is just written is not yet in the registry
/// of this check.)
fn was_asked(registry: &Registry, master: &MasterTruth, slave: SlaveId) -> bool {
    let mut drains = registry.drains().values();
    let asks = |operation: &Operation| matches!(operation, Operation::StartDrain(ask) if ask.slave == slave);
    drains.any(|drain| drain.slave == slave && drain.is_to_leave()) || master.durable.iter().any(asks)
}
