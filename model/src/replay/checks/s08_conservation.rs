//! S8: on every slave, used + offered + free = total, at master and slave.

use super::{Check, Look, Plain};
use crate::replay::player::AnyPlayer;

pub(super) const CHECK: Check =
    Check { name: "S8 conservation", guards: "R10 R11", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    match &look.players[look.step.node] {
        AnyPlayer::Master(player) => {
            let sums = player.machine.check();
            look.hold(sums.is_ok(), || sums.err().unwrap_or_default());
        }
        AnyPlayer::Slave(player) => {
            let (has, uses) = (&player.config().resources, player.machine.used());
            // What an earlier start had launched may be more than it was given since.
            let sums = player.machine.check();
            look.hold(sums.is_ok(), || format!("it has {has} and uses {uses:?}: {sums:?}"));
        }
        AnyPlayer::Framework(_) | AnyPlayer::Executor(_) => {}
    }
}
