//! S10: a task whose kill was taken, or of which a scheduler was told that it is killed or dropped, never starts.

use neap_protocol::executor;
use neap_protocol::ids::TaskId;
use neap_protocol::message::SlaveToExecutor;
use neap_protocol::slave::Effect;
use neap_protocol::task::TaskState;

use super::{Check, Look, Plain};

pub(super) const CHECK: Check =
    Check { name: "S10 kill-wins", guards: "R13", begin: || Box::new(Plain(see)) };

fn see(look: &mut Look<'_>) {
    if let Some(played) = look.slave() {
        let killed = look.truth.slaves.get(&look.step.node).map(|slave| &slave.killed);
        for effect in &played.effects {
            if let Effect::ToExecutor { message: SlaveToExecutor::Launch { task, .. }, .. } = effect {
                let was_killed = killed.is_some_and(|killed| killed.contains(task));
                look.hold(!was_killed, || {
                    format!("{task} was killed, and its executor is told to launch it")
                });
                lives(look, *task);
            }
        }
    }
    if let Some(played) = look.executor() {
        for effect in &played.effects {
            if let executor::Effect::Start { task, .. } = effect {
                lives(look, *task);
            }
        }
    }
}

fn lives(look: &mut Look<'_>, task: TaskId) {
    let told = look.truth.told.get(&task).copied();
    look.hold(!matches!(told, Some(TaskState::Killed | TaskState::Dropped)), || {
        format!("{task} was told {told:?}, and begins")
    });
}
