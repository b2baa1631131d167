//! S16: a task is launched once, and its process started once.

use std::collections::BTreeSet;

use neap_protocol::executor;
use neap_protocol::ids::TaskId;
use neap_protocol::master::Effect;
use neap_protocol::message::MasterToSlave;

use super::{Check, Look, Watch};

pub(super) const CHECK: Check =
    Check { name: "S16 task-id-unique", guards: "R11", begin: || Box::new(Once::default()) };

#[derive(Default)]
struct Once {
    launched: BTreeSet<TaskId>,
    started: BTreeSet<TaskId>,
}

impl Watch for Once {
    fn see(&mut self, look: &mut Look<'_>) {
        if let Some(played) = look.master() {
            for effect in &played.effects {
                if let Effect::ToSlave { message: MasterToSlave::Launch(spec), .. } = effect {
                    look.hold(self.launched.insert(spec.id), || format!("{} is launched again", spec.id));
                }
            }
        }
        if let Some(played) = look.executor() {
            for effect in &played.effects {
                if let executor::Effect::Start { task, .. } = effect {
                    look.hold(self.started.insert(*task), || format!("{task} is started again"));
                }
            }
        }
    }
}
