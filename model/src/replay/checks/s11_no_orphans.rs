//! S11: a slave that has done what it was told leaves no process behind.

use neap_protocol::slave::{EXIT_DONE, Effect};

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S11 no-orphans", guards: "R5 R24 R26", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    let Some(played) = look.slave() else { return };
    for effect in &played.effects {
        if let Effect::Exit { code: EXIT_DONE } = effect {
            let slave = look.truth.slaves.get(&look.step.node);
            let left = slave.and_then(|slave| slave.trees.keys().next()).copied();
            look.hold(left.is_none(), || format!("it exits, and {left:?} was not seen dead"));
        }
    }
}
