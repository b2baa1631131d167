//! S4: no offer, and no launch, after a hold is durable.

use neap_protocol::ids::SlaveId;
use neap_protocol::master::Effect;
use neap_protocol::message::{MasterToFramework, MasterToSlave};

use super::{Check, Look, Plain};
use crate::replay::truth::Whose;

pub(super) const CHECK: Check =
    Check { name: "S4 quiet-when-deactivated", guards: "R16 R21", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let Some(registry) = &look.truth.registry else { return };
    let quiet = |slave: SlaveId| {
        let record = registry.slaves().get(&slave);
        record.is_none_or(|record| record.holds.is_empty())
    };
    let master = look.truth.masters.get(&look.step.node);
    for effect in &played.effects {
        if let Effect::ToFramework { message: MasterToFramework::Offers(offers), .. } = effect {
            for offer in offers {
                look.hold(quiet(offer.slave), || {
                    format!("{} of {} goes out, which is deactivated", offer.id, offer.slave)
                });
            }
        }
        if let Effect::ToSlave { session, message: MasterToSlave::Launch(spec) } = effect
            && let Some(Whose::Slave(slave)) = master.and_then(|master| master.sessions.get(session))
        {
            look.hold(quiet(*slave), || format!("{} is launched on {slave}, which is deactivated", spec.id));
        }
    }
}
