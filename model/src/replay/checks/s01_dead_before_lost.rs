//! S1: a slave that unregisters has seen every tree dead, and a task that is Lost by unregistration has none.

use neap_protocol::framework::{self, Event};
use neap_protocol::message::SlaveToMaster;
use neap_protocol::slave;
use neap_protocol::task::{Reason, TaskState};

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S1 dead-before-lost", guards: "R24 R25", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    if let Some(played) = look.slave() {
        for effect in &played.effects {
            if let slave::Effect::ToMaster { message: SlaveToMaster::Unregister { .. }, .. } = effect {
                let slave = look.truth.slaves.get(&look.step.node);
                let left = slave.and_then(|slave| slave.trees.keys().next()).copied();
                look.hold(left.is_none(), || format!("it unregisters, and {left:?} was not seen dead"));
            }
        }
    }
    if let Some(played) = look.framework() {
        for effect in &played.effects {
            if let framework::Effect::Notify(Event::Update { update, .. }) = effect
                && update.state == TaskState::Lost
                && update.reason == Reason::SlaveUnregistered
            {
                let tree = look.truth.tree_of(update.task);
                look.hold(tree.is_none(), || {
                    format!("{} is told Lost, and its tree {tree:?} was not seen dead", update.task)
                });
            }
        }
    }
}
