//! S5: when a drain is written as done, nothing runs there, and every scheduler that is there knows.

use std::collections::BTreeSet;

use neap_protocol::ids::{FrameworkId, SessionId, SlaveId};
use neap_protocol::master::Effect;
use neap_protocol::message::DrainEnd;
use neap_protocol::registry::Operation;

use super::{Check, Look, Plain};
use crate::replay::player::AnyPlayer;
use crate::replay::truth::Whose;

pub(super) const CHECK: Check =
    Check { name: "S5 drained-means-empty", guards: "R21", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.master() else { return };
    let Some(registry) = &look.truth.registry else { return };
    for effect in &played.effects {
        if let Effect::Store { operation: Operation::EndDrain { drain, end: DrainEnd::Drained }, .. } = effect
            && let Some(slave) = registry.drains().get(drain).map(|record| record.slave)
        {
            let runs = look.truth.trees_on(slave).find(|(_, tasks)| !tasks.is_empty());
            let runs = runs.map(|(executor, _)| executor);
            look.hold(runs.is_none(), || format!("{slave} is drained, and {runs:?} lives there"));
            unaware(look, slave, &played.effects);
        }
    }
}

/// A scheduler that is away does not hold a drain up (R21), nor one of which nothing more is known. One is away that the
/// leader has no session with, or cuts off with this step; the scheduler may not know it yet.
fn unaware(look: &mut Look<'_>, slave: SlaveId, effects: &[Effect]) {
    let closes = |id: SessionId| {
        effects.iter().any(|effect| matches!(effect, Effect::Close { session, .. } if *session == id))
    };
    let sessions = look.truth.masters.get(&look.step.node).map(|master| &master.sessions);
    let there: BTreeSet<FrameworkId> = sessions
        .into_iter()
        .flatten()
        .filter_map(|(session, whose)| match whose {
            Whose::Framework(framework) if !closes(*session) => Some(*framework),
            Whose::Framework(_) | Whose::Slave(_) => None,
        })
        .collect();
    for player in look.players {
        let AnyPlayer::Framework(player) = player else { continue };
        let machine = &player.machine;
        let unheard = machine.tasks().find(|(task, on, state)| {
            *on == slave
                && !state.is_terminal()
                && look.truth.ran.contains(task)
                && there.contains(&task.framework)
        });
        let away = !machine.is_subscribed() || player.is_over();
        look.hold(away || unheard.is_none(), || {
            format!("{slave} is drained, and a framework believes {unheard:?} to be there")
        });
    }
}
