//! S13: nothing is revoked before its deadline, nor from anyone who was not asked.

use neap_protocol::master::Effect;
use neap_protocol::message::MasterToSlave;
use neap_protocol::task::Reason;

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S13 deadline-respected", guards: "R19", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let master = look.truth.masters.get(&look.step.node);
    for effect in &played.effects {
        let Effect::ToSlave {
            message: MasterToSlave::Kill { task, reason: Reason::Revoked(id), .. }, ..
        } = effect
        else {
            continue;
        };
        // That its timer does not fire before the deadline is the driver's promise.
        let passed = master.is_some_and(|master| master.passed.contains(id));
        look.hold(passed, || format!("{task} is revoked for {id} before its deadline"));
        let record = look.truth.registry.as_ref().and_then(|registry| registry.inverse_offers().get(id));
        if let Some(record) = record {
            look.hold(record.framework == task.framework, || {
                format!("{task} is revoked for {id}, which asked {}", record.framework)
            });
        }
    }
}
