//! S6: nobody is told what is not durable, memory is what is durable, and what was durable is there after a restart.

use neap_protocol::ids::FrameworkId;
use neap_protocol::journal::End;
use neap_protocol::master::{Effect, Input};
use neap_protocol::message::{Answer, MasterToFramework, MasterToOperator, MasterToSlave};
use neap_protocol::registry::Registry;

use super::{Check, Look, Plain};
use crate::replay::truth::Whose;

pub(super) const CHECK: Check =
    Check { name: "S6 registry-first", guards: "R1 R16 R20 R25 R28", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    if let Input::Recovered { registry } = &played.input {
        recovered(look, registry);
        return;
    }
    let Some(registry) = &look.truth.registry else { return };
    if let Input::Stored { .. } = &played.input
        && let Some(memory) = look.master_machine().and_then(|machine| machine.registry())
    {
        look.hold(memory == registry, || "what it has in memory is not what is durable".into());
    }
    for effect in &played.effects {
        told(look, registry, effect);
    }
}

/// It is what was durable, and perhaps what was being written.
fn recovered(look: &mut Look<'_>, found: &Registry) {
    let step = look.step;
    let before = step.run.checked_sub(1).and_then(|run| look.replay.nodes[step.node].runs.get(run));
    // What a journal that was cut short does not have may be durable.
    let Some(known) = &look.truth.registry else { return };
    if !before.is_some_and(|run| run.end() == Some(&End::InOrder)) {
        return;
    }
    let mut expected = known.clone();
    let mut fits = expected == *found;
    let pending = look.truth.masters.get(&step.node).map_or(&[][..], |master| &master.pending);
    for (_, _, operation) in pending {
        let _refused = expected.apply(operation);
        fits |= expected == *found;
    }
    look.hold(fits, || "the registry that is recovered is not the one that was durable".into());
}

fn told(look: &mut Look<'_>, registry: &Registry, effect: &Effect) {
    if let Effect::ToSlave { session, message } = effect {
        if let MasterToSlave::Registered { id, .. } = message {
            look.hold(registry.slaves().contains_key(id), || {
                format!("{id} is told that it is registered, and that is not durable")
            });
        }
        let master = look.truth.masters.get(&look.step.node);
        if *message == MasterToSlave::Unregistered
            && let Some(Whose::Slave(id)) = master.and_then(|master| master.sessions.get(session))
        {
            look.hold(!registry.slaves().contains_key(id), || {
                format!("{id} is told that it is unregistered, and that is not durable")
            });
        }
    }
    if let Effect::ToFramework { message: MasterToFramework::Subscribed { id, .. }, .. } = effect {
        let id: FrameworkId = *id;
        look.hold(registry.frameworks().contains_key(&id), || {
            format!("{id} is told that it is subscribed, and that is not durable")
        });
    }
    if let Effect::ToOperator { message: MasterToOperator::Answer { answer: Ok(answer), .. }, .. } = effect {
        if let Answer::Draining { drain, .. } = answer {
            look.hold(registry.drains().contains_key(drain), || {
                format!("{drain} is acknowledged, and is not durable")
            });
        }
        if let Answer::InverseOffered(id) = answer {
            look.hold(registry.inverse_offers().contains_key(id), || {
                format!("{id} is acknowledged, and is not durable")
            });
        }
    }
}
