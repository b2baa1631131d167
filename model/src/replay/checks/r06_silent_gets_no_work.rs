//! R6: a slave that has let the time of a ping pass is neither offered nor given a task until it answers.

use neap_protocol::ids::SlaveId;
use neap_protocol::master::Effect;
use neap_protocol::message::{MasterToFramework, MasterToSlave};

use super::{Check, Look, Plain};
use crate::replay::truth::Whose;

pub(super) const CHECK: Check =
    Check { name: "R6 silent-gets-no-work", guards: "R6 R16", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let Some(master) = look.truth.masters.get(&look.step.node) else { return };
    let answers = |slave: SlaveId| {
        let mut silent = master.unanswered.iter().filter(|(_, passed)| **passed);
        !silent.any(|(session, _)| master.sessions.get(session) == Some(&Whose::Slave(slave)))
    };
    for effect in &played.effects {
        if let Effect::ToFramework { message: MasterToFramework::Offers(offers), .. } = effect {
            for offer in offers {
                look.hold(answers(offer.slave), || {
                    format!("{} of {} goes out, which does not answer", offer.id, offer.slave)
                });
            }
        }
        if let Effect::ToSlave { session, message: MasterToSlave::Launch(spec) } = effect
            && let Some(Whose::Slave(slave)) = master.sessions.get(session)
        {
            look.hold(answers(*slave), || {
                format!("{} is launched on {slave}, which does not answer", spec.id)
            });
        }
    }
}
