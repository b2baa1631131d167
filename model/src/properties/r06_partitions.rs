//! R6, R8: a framework that is partition-aware is told that tasks of a slave that is given up are Unreachable, and has
//! them back; to any other they are Lost, and never Unreachable.

use neap_protocol::ids::TaskId;
use neap_protocol::message::{MasterToFramework, MasterToSlave};
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::Message;

pub(super) const PROPERTY: Property =
    Property { name: "R6 partitions", guards: "R6 R8", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let registry = &seen.before.store.registry;
    let aware =
        |task: TaskId| registry.frameworks().get(&task.framework).map(|record| record.partition_aware);
    for (_, message) in seen.leader_said() {
        let wrong = match message {
            Message::MasterToFramework(MasterToFramework::Update { update, .. }) => match update.state {
                TaskState::Unreachable => aware(update.task) != Some(true),
                TaskState::Lost => {
                    update.reason == Reason::SlaveUnreachable && aware(update.task) == Some(true)
                }
                TaskState::Staging
                | TaskState::Starting
                | TaskState::Running
                | TaskState::Killing
                | TaskState::Finished
                | TaskState::Failed
                | TaskState::Killed
                | TaskState::Dropped => false,
            },
            // One that is the framework's to have back is not ended.
            Message::MasterToSlave(MasterToSlave::Kill {
                task, reason: Reason::SlaveUnreachable, ..
            }) => aware(*task) == Some(true) && !told_over(seen, *task),
            Message::MasterToFramework(_)
            | Message::MasterToSlave(_)
            | Message::SlaveToMaster(_)
            | Message::FrameworkToMaster(_)
            | Message::SlaveToExecutor(_)
            | Message::ExecutorToSlave(_) => false,
        };
        if wrong {
            return Err(format!("this is not said of a task of such a framework: {message:?}"));
        }
    }
    Ok(())
}

/// Whether its framework was told that it is over, or will be: one that is away, or whose session dies, hears of it later.
fn told_over(seen: &Seen<'_>, task: TaskId) -> bool {
    let mut masters = seen.before.masters.iter().filter_map(|node| node.machine.as_ref());
    seen.before.ghost.told.get(&task).is_some_and(|told| told.is_terminal())
        || masters.any(|master| master.has_buried(task))
}
