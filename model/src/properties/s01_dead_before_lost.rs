//! S1: a task that is reported Lost by unregistration has no live process; nor has one whose end its slave reports.

use neap_protocol::framework::NewRun;
use neap_protocol::ids::TaskId;
use neap_protocol::message::{MasterToFramework, SlaveToMaster};
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S1 dead-before-lost", guards: "R24 R25", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        match happening {
            Happening::MasterSaid {
                message: Message::MasterToFramework(MasterToFramework::Update { update, .. }),
                ..
            } if update.reason == Reason::SlaveUnregistered && seen.after.is_alive(update.task) => {
                return Err(format!(
                    "{} is reported {}, and a process of it lives",
                    update.task, update.state
                ));
            }
            Happening::Said { from: Dialer::Slave(slave), message: Message::SlaveToMaster(message) } => {
                said(seen, *slave, message)?;
            }
            Happening::MasterSaid { .. }
            | Happening::Said { .. }
            | Happening::Answered { .. }
            | Happening::Stored { .. }
            | Happening::Told { .. }
            | Happening::Began { .. }
            | Happening::Terminated { .. }
            | Happening::Killed { .. }
            | Happening::Exited { .. }
            | Happening::Abandoned { .. }
            | Happening::SlaveEvent { .. }
            | Happening::Recorded { .. }
            | Happening::MasterEvent { .. }
            | Happening::Panicked { .. } => {}
        }
    }
    Ok(())
}

fn said(seen: &Seen<'_>, slave: u8, message: &SlaveToMaster) -> Result<(), String> {
    let over: Vec<TaskId> = match message {
        SlaveToMaster::Update { update, .. } if update.state.is_terminal() => vec![update.task],
        SlaveToMaster::Unregister { finals } => finals.iter().map(|last| last.update.task).collect(),
        SlaveToMaster::Register { .. }
        | SlaveToMaster::Update { .. }
        | SlaveToMaster::Pong
        | SlaveToMaster::Leaving
        | SlaveToMaster::Renew { .. } => return Ok(()),
    };
    match over.into_iter().find(|task| lives(seen, slave, *task)) {
        Some(task) => Err(format!("slave {slave} says that {task} is over, and a process of it lives")),
        None => Ok(()),
    }
}

/// Of a task with an executor of its own, its whole tree must be dead; of one among others, its process.
fn lives(seen: &Seen<'_>, slave: u8, task: TaskId) -> bool {
    let shares = seen.scope.tasks.iter().any(|new| matches!(new.run, NewRun::Executor { .. }));
    let mut trees = seen.after.trees.iter().filter(|tree| tree.slave == slave);
    trees.any(|tree| match shares {
        true => tree.processes.iter().any(|process| process.task == task),
        false => tree.hosted.contains(&task) && tree.is_alive(),
    })
}
