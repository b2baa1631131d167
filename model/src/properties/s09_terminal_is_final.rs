//! S9: each scheduler's callback hears of a task in order, no state twice, one end, the true one, and nothing after it.

use neap_protocol::framework::Event;
use neap_protocol::ids::TaskId;
use neap_protocol::message::SlaveToMaster;
use neap_protocol::task::{Reason, TaskState, Update};

use super::{Kind, Property, Seen};
use crate::world::{self, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S9 terminal-is-final", guards: "R12 R25", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let mut told = None;
    for happening in seen.happenings {
        if let Happening::Said { message: Message::SlaveToMaster(message), .. } = happening {
            one_end(seen, message)?;
        }
        let Happening::Told { event: Event::Update { update, .. }, .. } = happening else { continue };
        let told = told.get_or_insert_with(|| seen.before.ghost.told.clone());
        if let Some(last) = told.insert(update.task, update.state) {
            in_order(seen, last, update)?;
        }
        is_true(seen, update)?;
    }
    Ok(())
}

fn in_order(seen: &Seen<'_>, last: TaskState, update: &Update) -> Result<(), String> {
    // What is durable as handled is over, whoever else may forget it.
    if last.is_terminal() && !seen.before.is_remembered(update.task) {
        return Err(format!("{}'s end was handled, and it is told as {} now", update.task, update.state));
    }
    // What was out of reach is as it is, once it is back (R8).
    // A scheduler that crashed may not have got around to handling what it was told: it hears it again, from the first
    // update on that it did not acknowledge, and to the same end.
    // And without a disk a slave that is started anew has forgotten what it said: that the task is Lost, or what its
    // executor, which lives, says once more.
    let no_disk = seen.scope.budget.has(world::Event::FullDisk);
    let forgotten = no_disk && update.reason == Reason::SlaveRestarted;
    let said_again = no_disk && last == update.state && !last.is_terminal();
    // Nor has it that a task was Lost, whose slave came back, ended it, and has not heard that this was acknowledged; and
    // the other way round, a leader that has not heard how it ended may give its slave up.
    let launched = seen.before.ghost.launched.get(&update.task);
    let came_back = (last == TaskState::Lost || update.state == TaskState::Lost)
        && launched.is_some_and(|(slave, _)| seen.before.ghost.given_up.contains_key(slave));
    // And that a task was never started is kept nowhere: who asks for it then is told that nobody knows it.
    let never_started = last == TaskState::Dropped && update.reason == Reason::Unknown;
    let again = seen.scope.budget.has(world::Event::FrameworkCrash)
        && (last == update.state
            || !last.is_terminal()
            || !update.state.is_terminal()
            || forgotten
            || came_back
            || never_started);
    let back = last == TaskState::Unreachable;
    match again || said_again || back || !last.is_terminal() && update.state > last {
        true => Ok(()),
        false => Err(format!("{} was {last}, and is {} now", update.task, update.state)),
    }
}

/// How a task ended is its slave's to say; that it is gone, or never was, its master's, if the slave did not.
fn is_true(seen: &Seen<'_>, update: &Update) -> Result<(), String> {
    let said = seen.after.ghost.over.get(&update.task).copied();
    let wrong = match update.state {
        TaskState::Finished | TaskState::Failed | TaskState::Killed => said != Some(update.state),
        TaskState::Lost if update.reason == Reason::SlaveUnregistered => {
            // That it was never started is kept nowhere, and may be lost with a session. A slave that crashed as it left
            // may have said first how a task ended, and then, as that was not on its disk, that it is Lost.
            said.is_some_and(|said| said != TaskState::Lost && said != TaskState::Dropped)
                && !seen.after.ghost.unsure.contains_key(&update.task)
        }
        TaskState::Lost => is_kept(seen, update.task) && said.is_some_and(is_true_end),
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable
        | TaskState::Dropped => false,
    };
    match wrong {
        true => Err(format!("{} is {}, and its slave said {said:?}", update.task, update.state)),
        false => Ok(()),
    }
}

/// Whether what a task's slave said of it as it left outlives every leader. What was given up before, or forgotten, may be
/// Lost.
fn is_kept(seen: &Seen<'_>, task: TaskId) -> bool {
    let ghost = &seen.after.ghost;
    let launched = ghost.launched.get(&task);
    launched.is_some_and(|(slave, _)| {
        let unheard = ghost.given_up.contains_key(slave) || ghost.forgotten.contains_key(slave);
        ghost.removed.contains_key(slave) && !unheard
    }) && !seen.scope.budget.has(world::Event::FullDisk)
}

fn is_true_end(state: TaskState) -> bool {
    matches!(state, TaskState::Finished | TaskState::Failed | TaskState::Killed)
}

fn one_end(seen: &Seen<'_>, message: &SlaveToMaster) -> Result<(), String> {
    // Without a disk a slave may forget what it said.
    if seen.scope.budget.has(world::Event::FullDisk) {
        return Ok(());
    }
    let updates: Vec<&Update> = match message {
        SlaveToMaster::Update { update, .. } => vec![update],
        SlaveToMaster::Unregister { finals } => finals.iter().map(|last| &last.update).collect(),
        SlaveToMaster::Register { .. }
        | SlaveToMaster::Pong
        | SlaveToMaster::Leaving
        | SlaveToMaster::Renew { .. } => return Ok(()),
    };
    for update in updates.into_iter().filter(|update| update.state.is_terminal()) {
        let before = seen.before.ghost.over.get(&update.task);
        // Of a task that is acknowledged a slave knows nothing more; one that crashes as it leaves, only what is on its disk.
        let parted = seen.before.ghost.parting.contains_key(&update.task);
        let anew = matches!(update.reason, Reason::SlaveRestarted | Reason::SlaveUnregistered);
        let knows = update.reason != Reason::SlaveForgot && !(parted && anew);
        let other = before.filter(|before| **before != update.state && knows);
        if let Some(before) = other {
            return Err(format!(
                "{} ended as {before}, by its slave, and then as {}",
                update.task, update.state
            ));
        }
    }
    Ok(())
}
