//! S3: a removed id is never admitted again.

use neap_protocol::master::{Effect, Input};
use neap_protocol::message::MasterToSlave;

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S3 removed-stays-removed", guards: "R3 R27", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let removed = &look.truth.removed;
    for effect in &played.effects {
        if let Effect::ToSlave { message: MasterToSlave::Registered { id, .. }, .. } = effect {
            look.hold(!removed.contains(id), || {
                format!("{id} was removed, and is told that it is registered")
            });
        }
    }
    if let Input::Recovered { registry } = &played.input {
        for id in removed {
            look.hold(!registry.slaves().contains_key(id), || {
                format!("{id} was removed, and is in the registry that is recovered")
            });
        }
    }
}
