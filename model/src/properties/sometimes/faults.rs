//! What goes wrong is noticed, and dealt with.

use neap_protocol::framework;
use neap_protocol::master::Timer;
use neap_protocol::message::{Answer, Command, DrainEnd, Event, MasterToFramework, MasterToSlave};
use neap_protocol::registry::Operation;
use neap_protocol::slave;
use neap_protocol::task::{Reason, TaskState};

use super::{Property, heard, ordered, sometimes, stored, told};
use crate::properties::Seen;
use crate::world::{self, Action, Dialer, End, Happening, Message};

pub(in crate::properties) const UNREACHABLE: Property = sometimes("a slave is unreachable", "R6", |seen| {
    stored(seen, |operation| matches!(operation, Operation::MarkUnreachable { .. }))
});
pub(in crate::properties) const LOST_UNREACHABLE: Property =
    sometimes("a task is Lost as its slave is unreachable", "R6", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::SlaveUnreachable)
    });
pub(in crate::properties) const OUT_OF_REACH: Property =
    sometimes("a task is Unreachable as its slave is", "R6", |seen| {
        told(seen, TaskState::Unreachable, |reason| reason == Reason::SlaveUnreachable)
    });
pub(in crate::properties) const BACK_IN_REACH: Property =
    sometimes("a task that was Unreachable is Running, as its slave returns", "R8", |seen| {
        heard(seen, |event| {
            let framework::Event::Update { update, .. } = event else { return false };
            let before = seen.before.ghost.told.get(&update.task);
            before == Some(&TaskState::Unreachable) && update.state == TaskState::Running
        })
    });
pub(in crate::properties) const REVOKED_WHEN_BACK: Property =
    sometimes("what was Unreachable at its deadline is revoked as its slave returns", "R8 R19", |seen| {
        ordered(seen, |message| {
            let MasterToSlave::Kill { task, reason: Reason::Revoked(_), .. } = message else { return false };
            seen.before.ghost.told.get(task) == Some(&TaskState::Unreachable)
        })
    });
pub(in crate::properties) const ZOMBIE_KILLED: Property =
    sometimes("a task that was reported Lost is killed as its slave returns", "R8", |seen| {
        ordered(seen, |message| {
            matches!(message, MasterToSlave::Kill { reason: Reason::SlaveUnreachable, .. })
        })
    });
pub(in crate::properties) const LOST_RESTARTED: Property =
    sometimes("a task is Lost as its slave was started anew", "R2 R5", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::SlaveRestarted)
    });
pub(in crate::properties) const SURVIVORS_ENDED: Property =
    sometimes("a slave ends what an earlier one had left", "R5 R28", |seen| {
        slave_says(seen, |event| matches!(event, slave::Event::Recovered { ended: 1.., .. }))
    });
pub(in crate::properties) const TAKEN_UP: Property =
    sometimes("a slave takes up an executor that an earlier one had left", "R28", |seen| {
        slave_says(seen, |event| matches!(event, slave::Event::Recovered { executors: 1.., .. }))
    });
pub(in crate::properties) const LEAVES_AGAIN: Property =
    sometimes("a slave that crashed while it left goes on leaving", "R24 R28", |seen| {
        let Action::StartSlave(number) = seen.action else { return false };
        seen.before.slaves[usize::from(number)].disk.leaving
    });
pub(in crate::properties) const ENDED_ALONE: Property =
    sometimes("a task ends while its slave is down", "R28", |seen| {
        let Action::Finish(number, ..) = seen.action else { return false };
        seen.before.slaves[usize::from(number)].machine.is_none()
    });
pub(in crate::properties) const ABANDONED: Property =
    sometimes("an executor gives up on its slave", "R28", |seen| {
        seen.happenings.iter().any(|happening| matches!(happening, Happening::Abandoned { .. }))
    });
pub(in crate::properties) const FENCED: Property =
    sometimes("a fenced task is ended, as its lease is over", "R9", |seen| {
        heard(seen, |event| {
            let framework::Event::Update { update, .. } = event else { return false };
            update.reason == Reason::Fenced && seen.before.ghost.ran.contains_key(&update.task)
        })
    });
pub(in crate::properties) const UNLEASED: Property =
    sometimes("a fenced task that gets no lease never starts", "R9", |seen| {
        heard(seen, |event| {
            let framework::Event::Update { update, .. } = event else { return false };
            update.reason == Reason::Fenced && !seen.before.ghost.ran.contains_key(&update.task)
        })
    });
pub(in crate::properties) const OBEYED: Property =
    sometimes("a task that was asked to end exits with code 0, and was Killed", "R12a", |seen| {
        heard(seen, |event| {
            let framework::Event::Update { update, .. } = event else { return false };
            update.state == TaskState::Killed && update.message.as_str().contains("exited with 0")
        })
    });
pub(in crate::properties) const LOST_REBOOTED: Property =
    sometimes("a task is Lost as its slave's machine was started anew", "R28", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::HostRebooted)
    });
pub(in crate::properties) const RESET: Property =
    sometimes("a removed slave ends what runs, and registers as new", "R3", |seen| {
        slave_says(seen, |event| *event == slave::Event::Removed)
    });
pub(in crate::properties) const SILENT: Property =
    sometimes("a slave that is connected is silent", "R6", |seen| {
        master_says(seen, |event| matches!(event, Event::SlaveSilent { .. }))
    });
pub(in crate::properties) const ANSWERS: Property =
    sometimes("a slave that was silent answers, and is used again", "R6", |seen| {
        master_says(seen, |event| matches!(event, Event::SlaveAnswers { .. }))
    });
pub(in crate::properties) const FORGOTTEN: Property =
    sometimes("a slave is forgotten, as an operator says that it is dead", "R7a", |seen| {
        master_says(seen, |event| matches!(event, Event::SlaveForgotten { .. }))
    });
pub(in crate::properties) const LOST_DECLARED_DEAD: Property =
    sometimes("a task is Lost as an operator says that its slave is dead", "R7a", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::SlaveDeclaredDead)
    });
pub(in crate::properties) const HALTED: Property = sometimes("removals are halted", "R7", |seen| {
    master_says(seen, |event| matches!(event, Event::RemovalsHalted { .. }))
});
pub(in crate::properties) const RESUMED: Property =
    sometimes("an operator has removals go on", "R7", |seen| {
        let resumes = seen.answered().any(|(command, answer)| {
            let command = seen.scope.commands.get(usize::from(command));
            let resume = matches!(command, Some(Command::ResumeRemovals { .. }));
            resume && *answer == Ok(Answer::Done { changed: true })
        });
        resumes && matches!(seen.action, Action::Command(_))
    });
pub(in crate::properties) const UNSEEN: Property = sometimes("a drain ends unseen", "R22", |seen| {
    stored(seen, |operation| matches!(operation, Operation::EndDrain { end: DrainEnd::Unseen, .. }))
});
pub(in crate::properties) const CUT_OFF: Property =
    sometimes("a drain goes on without a framework's acknowledgement", "R21 R22", |seen| {
        matches!(seen.action, Action::MasterTimer(_, Timer::DrainAcknowledge(_), _))
    });
pub(in crate::properties) const OVERRAN: Property =
    sometimes("an executor does not carry out a kill in time", "R22", |seen| {
        slave_says(seen, |event| matches!(event, slave::Event::ExecutorOverran { .. }))
    });
pub(in crate::properties) const EXECUTOR_ENDED: Property =
    sometimes("an executor ends without a word", "R12", |seen| {
        told(seen, TaskState::Failed, |reason| reason == Reason::ExecutorEnded)
    });
pub(in crate::properties) const EXECUTOR_NOT_STARTED: Property =
    sometimes("an executor cannot be started", "R12", |seen| {
        told(seen, TaskState::Failed, |reason| reason == Reason::ExecutorNotStarted)
    });
pub(in crate::properties) const SLAVE_DISK: Property =
    sometimes("a slave's disk fails, and it writes everything again", "R22", |seen| {
        matches!(seen.action, Action::SlaveTimer(_, slave::Timer::StoreRetry, _))
    });
pub(in crate::properties) const STORE_REFUSED_DEPOSED: Property =
    sometimes("the store refuses a deposed leader", "R30", |seen| {
        let Action::MasterStored(number) = seen.action else { return false };
        let node = &seen.before.masters[usize::from(number)];
        node.first_write().is_some_and(|epoch| epoch < seen.before.store.fence)
    });
pub(in crate::properties) const DEPOSED_NOT_OBEYED: Property =
    sometimes("a slave meets a deposed leader", "R30", |seen| {
        seen.masters_said().any(|said| {
            matches!(said.to, Dialer::Slave(_)) && said.epoch.0 > 0 && said.epoch < seen.after.store.fence
        })
    });
pub(in crate::properties) const NEW_LEADER: Property = sometimes("a second leader leads", "R29", |seen| {
    stored(seen, |operation| matches!(operation, Operation::Lead { epoch } if epoch.0 > 1))
});
pub(in crate::properties) const UNHANDLED: Property =
    sometimes("a scheduler crashes in its callback, with an update that is not handled", "R12 R14", |seen| {
        let Action::CrashFramework(number, 0) = seen.action else { return false };
        seen.before.frameworks[usize::from(number)].unhandled().is_some()
    });
pub(in crate::properties) const TOLD_AGAIN: Property =
    sometimes("a scheduler that crashed before it had handled an end is told again", "R12 R14", |seen| {
        heard(seen, |event| {
            let framework::Event::Update { update, .. } = event else { return false };
            let before = seen.before.ghost.told.get(&update.task);
            before.is_some_and(|before| before.is_terminal()) && update.state.is_terminal()
        })
    });
pub(in crate::properties) const RECOGNISED: Property =
    sometimes("a scheduler that crashed once it had handled an end recognises it", "R12 R14", |seen| {
        let Action::Deliver(key @ (Dialer::Framework(_), _), End::Near) = seen.action else { return false };
        let message = seen.before.link(key).and_then(|link| link.waiting(End::Near).first());
        let Some(Message::MasterToFramework(MasterToFramework::Update { update, .. })) = message else {
            return false;
        };
        let told = seen.before.ghost.told.get(&update.task);
        let (whole, left) = (seen.scope.budget, seen.before.budget);
        update.state.is_terminal()
            && told.is_some_and(|told| told.is_terminal())
            && !seen.before.is_remembered(update.task)
            && left.left(world::Event::FrameworkCrash) < whole.left(world::Event::FrameworkCrash)
            && !heard(seen, |event| matches!(event, framework::Event::Update { .. }))
    });

fn slave_says(seen: &Seen<'_>, what: impl Fn(&slave::Event) -> bool) -> bool {
    seen.happenings
        .iter()
        .any(|happening| matches!(happening, Happening::SlaveEvent { event, .. } if what(event)))
}

fn master_says(seen: &Seen<'_>, what: impl Fn(&Event) -> bool) -> bool {
    seen.happenings
        .iter()
        .any(|happening| matches!(happening, Happening::MasterEvent { event, .. } if what(event)))
}
