//! S8: on every slave, used + offered + free = total, at master and slave.

use std::collections::BTreeSet;

use neap_protocol::slave::Input;

use super::{Check, Look, Watch};
use crate::replay::player::AnyPlayer;

pub(super) const CHECK: Check =
    Check { name: "S8 conservation", guards: "R10 R11", begin: || Box::new(Counts::default()) };

#[derive(Default)]
struct Counts {
    /// Slaves that took up executors at their last start: those may hold more than it was given since.
    recovered: BTreeSet<usize>,
}

impl Watch for Counts {
    fn see(&mut self, look: &mut Look<'_>) {
        let node = look.step.node;
        match &look.players[node] {
            AnyPlayer::Master(player) => {
                let sums = player.machine.check();
                look.hold(sums.is_ok(), || sums.err().unwrap_or_default());
            }
            AnyPlayer::Slave(player) => {
                if let Some(Input::Start { alive, .. }) = look.slave().map(|played| &played.input) {
                    match alive.is_empty() {
                        true => self.recovered.remove(&node),
                        false => self.recovered.insert(node),
                    };
                }
                let sums = player.machine.check();
                look.hold(sums.is_ok(), || sums.err().unwrap_or_default());
                let (has, uses) = (&player.config().resources, player.machine.used().capped());
                let holds = has.contains(&uses) || self.recovered.contains(&node);
                look.hold(holds, || format!("it has {has} and uses {uses}"));
            }
            AnyPlayer::Framework(_) | AnyPlayer::Executor(_) => {}
        }
    }
}
