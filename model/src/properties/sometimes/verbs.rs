//! What operators, schedulers and slaves set out to do completes.

use neap_protocol::framework::Event;
use neap_protocol::ids::SlaveId;
use neap_protocol::master::Timer;
use neap_protocol::message::{
    Answer, Command, DrainEnd, DrainStep, InverseAnswer, InverseOutcome, MasterToFramework, Pace,
    SlaveToMaster,
};
use neap_protocol::registry::Operation;
use neap_protocol::slave::{self, EXIT_DONE, EXIT_UNHEARD};
use neap_protocol::task::{Reason, TaskState};

use super::{Property, heard, ordered, reported, sometimes, stored, told};
use crate::properties::Seen;
use crate::world::{Action, Happening, Message};

// Tasks and offers.

pub(in crate::properties) const RUNS: Property =
    sometimes("a task runs", "R11", |seen| told(seen, TaskState::Running, |_| true));
pub(in crate::properties) const FINISHES: Property =
    sometimes("a task finishes", "R12", |seen| told(seen, TaskState::Finished, |_| true));
pub(in crate::properties) const FAILS: Property =
    sometimes("a task fails", "R12", |seen| told(seen, TaskState::Failed, |_| true));
pub(in crate::properties) const KILLED: Property =
    sometimes("a task is killed by its framework", "R13", |seen| {
        told(seen, TaskState::Killed, |reason| reason == Reason::KilledByFramework)
    });
pub(in crate::properties) const KILLED_BY_OPERATOR: Property =
    sometimes("a task is killed by an operator", "R13", |seen| {
        told(seen, TaskState::Killed, |reason| reason == Reason::KilledByOperator)
    });
pub(in crate::properties) const RESCINDED: Property = sometimes("an offer is rescinded", "R10", |seen| {
    heard(seen, |event| matches!(event, Event::Rescinded(_)))
});
pub(in crate::properties) const TIMED_OUT: Property = sometimes("an offer times out", "R10", |seen| {
    matches!(seen.action, Action::MasterTimer(_, Timer::Offer(_), _))
        && seen
            .leader_said()
            .any(|(_, message)| matches!(message, Message::MasterToFramework(MasterToFramework::Rescind(_))))
});
pub(in crate::properties) const FILTERED: Property = sometimes("a filter is over", "R10", |seen| {
    matches!(seen.action, Action::MasterTimer(_, Timer::Filter(..), _))
});
pub(in crate::properties) const SUPPRESSED: Property =
    sometimes("a framework that wanted nothing wants offers again", "R10", |seen| {
        matches!(seen.action, Action::Revive(_))
    });

// Holds.

pub(in crate::properties) const DEACTIVATED: Property = sometimes("a hold is placed", "R16", |seen| {
    stored(seen, |operation| matches!(operation, Operation::PlaceHold { .. }))
});
pub(in crate::properties) const ACTIVATED: Property = sometimes("a hold is lifted", "R16", |seen| {
    stored(seen, |operation| matches!(operation, Operation::LiftHolds { .. }))
});
pub(in crate::properties) const HELD_ON: Property =
    sometimes("a hold is lifted, and another's is left", "R16", |seen| {
        let registry = &seen.after.store.registry;
        stored(seen, |operation| {
            matches!(operation, Operation::LiftHolds { slave, .. }
                if registry.holds_of(slave).is_some_and(|holds| !holds.is_empty()))
        })
    });

// Inverse offers.

pub(in crate::properties) const ASKED: Property = sometimes("a framework is asked", "R17", |seen| {
    heard(seen, |event| matches!(event, Event::InverseOffer { .. }))
});
pub(in crate::properties) const ACCEPTED: Property =
    sometimes("an inverse offer is accepted, naming a task", "R17", |seen| {
        stored(seen, |operation| {
            matches!(operation, Operation::AnswerInverseOffer { answer: InverseAnswer::Accept { rather }, .. }
                if !rather.is_empty())
        })
    });
pub(in crate::properties) const DECLINED: Property =
    sometimes("an inverse offer is declined", "R17", |seen| {
        stored(seen, |operation| {
            matches!(operation, Operation::AnswerInverseOffer { answer: InverseAnswer::Decline { .. }, .. })
        })
    });
pub(in crate::properties) const RETURNED: Property =
    sometimes("an inverse offer is met in time", "R18", |seen| closed(seen, InverseOutcome::Returned));
pub(in crate::properties) const TAKEN: Property =
    sometimes("an inverse offer ends in a revocation", "R19", |seen| closed(seen, InverseOutcome::Revoked));
pub(in crate::properties) const TAKEN_BACK: Property =
    sometimes("an inverse offer is cancelled", "R20", |seen| closed(seen, InverseOutcome::Cancelled));
pub(in crate::properties) const REVOKED: Property = sometimes("a task is revoked", "R19", |seen| {
    told(seen, TaskState::Killed, |reason| matches!(reason, Reason::Revoked(_)))
});

// Drains.

pub(in crate::properties) const PLANNED: Property = sometimes("a drain is planned", "R23", |seen| {
    seen.answered().any(|(_, answer)| matches!(answer, Ok(Answer::Plan(_))))
});
pub(in crate::properties) const AS_PLANNED: Property =
    sometimes("a drain begins as it was planned", "R23", |seen| {
        seen.answered().any(|(command, answer)| {
            let command = seen.scope.commands.get(usize::from(command));
            matches!(command, Some(Command::Drain { if_plan: Some(_), .. })) && answer.is_ok()
        })
    });
pub(in crate::properties) const DRAINED: Property =
    sometimes("a slave is drained", "R21", |seen| ended(seen, DrainEnd::Drained));
pub(in crate::properties) const DRAINED_AND_GONE: Property =
    sometimes("a slave is drained, and leaves", "R21", |seen| {
        let drained = |slave: &SlaveId| {
            let registry = &seen.before.store.registry;
            let drain = registry.slaves().get(slave).and_then(|record| record.drain);
            drain.and_then(|drain| registry.drains().get(&drain)).is_some_and(|drain| drain.end.is_some())
        };
        stored(seen, |operation| matches!(operation, Operation::RemoveSlave { slave, .. } if drained(slave)))
    });
pub(in crate::properties) const DRAIN_CANCELLED: Property =
    sometimes("a drain is cancelled", "R22", |seen| ended(seen, DrainEnd::Cancelled));
pub(in crate::properties) const DRAIN_EXTENDED: Property =
    sometimes("a drain's deadline is moved", "R22", |seen| {
        stored(seen, |operation| matches!(operation, Operation::ExtendDrain { .. }))
    });
pub(in crate::properties) const DRAIN_AGAIN: Property =
    sometimes("a drain is asked for twice", "R22", |seen| {
        seen.answered()
            .any(|(_, answer)| matches!(answer, Ok(Answer::Draining { step: DrainStep::Unchanged, .. })))
    });
pub(in crate::properties) const DRAIN_CHANGED: Property =
    sometimes("a drain is changed to what is asked now", "R22", |seen| {
        seen.answered().any(|(command, answer)| {
            let command = seen.scope.commands.get(usize::from(command));
            matches!(command, Some(Command::Drain { change: true, .. }))
                && matches!(answer, Ok(Answer::Draining { step: DrainStep::Changed, .. }))
        })
    });

// Leaving.

pub(in crate::properties) const TOLD_TO_LEAVE: Property =
    sometimes("an operator drains a slave now", "R24", |seen| {
        ordered(seen, |message| *message == neap_protocol::message::MasterToSlave::Leave)
            && seen.stored().any(is_now)
    });
pub(in crate::properties) const TOLD_WHEN_BACK: Property =
    sometimes("a slave that was drained now while it was away is told when it is back", "R24a", |seen| {
        ordered(seen, |message| *message == neap_protocol::message::MasterToSlave::Leave)
            && seen.slave_heard().is_some_and(|message| matches!(message, SlaveToMaster::Register { .. }))
            && seen.after.store.registry.drains().values().any(|drain| drain.pace == Pace::Now)
    });
pub(in crate::properties) const HASTENED: Property =
    sometimes("a drain that is under way becomes now", "R24a", |seen| {
        let drains = seen.before.store.registry.drains();
        stored(seen, |operation| {
            matches!(operation, Operation::StartDrain(ask) if ask.pace == Pace::Now
                && drains.values().any(|drain| drain.slave == ask.slave && drain.end.is_none()))
        })
    });
pub(in crate::properties) const NOW_UNSEEN: Property =
    sometimes("a drain that is now ends unseen", "R24a", |seen| {
        let drains = seen.before.store.registry.drains();
        stored(seen, |operation| {
            matches!(operation, Operation::EndDrain { drain, end: DrainEnd::Unseen }
                if drains.get(drain).is_some_and(|drain| drain.pace == Pace::Now))
        })
    });
pub(in crate::properties) const HELD_AWAY: Property = sometimes(
    "a host that has left registers as new, and its name is held",
    "R16",
    |seen| {
        let registry = &seen.before.store.registry;
        stored(
            seen,
            |operation| matches!(operation, Operation::AdmitSlave { name, .. } if registry.held_names().contains_key(name)),
        )
    },
);
pub(in crate::properties) const GRACE_SKIPPED: Property =
    sometimes("a second SIGUSR1 skips what grace is left", "R26", |seen| {
        let Action::Signal(number) = seen.action else { return false };
        let leaving = seen.before.slaves[usize::from(number)].machine.as_ref();
        leaving.is_some_and(|machine| machine.is_leaving()) && killed(seen)
    });
pub(in crate::properties) const GRACE_OVER: Property =
    sometimes("the grace of a drain now is over", "R24", |seen| {
        matches!(seen.action, Action::SlaveTimer(_, slave::Timer::DrainGrace, _)) && killed(seen)
    });
pub(in crate::properties) const UNREGISTERED: Property = sometimes("a slave unregisters", "R25", |seen| {
    stored(seen, |operation| matches!(operation, Operation::RemoveSlave { .. }))
});
pub(in crate::properties) const EXITED: Property =
    sometimes("a slave exits, as a leader has acknowledged", "R24", |seen| {
        matches!(seen.action, Action::SlaveStored(_)) && exited(seen) && seen.after.ghost.gave_up.is_empty()
    });
pub(in crate::properties) const EXITED_UNACKNOWLEDGED: Property =
    sometimes("a slave exits with no leader's word", "R26", |seen| {
        exited(seen) && !seen.after.ghost.gave_up.is_empty()
    });
pub(in crate::properties) const NEVER_CAME: Property =
    sometimes("a slave leaves that no master has admitted", "R24", |seen| {
        seen.happenings.iter().any(|happening| {
            matches!(happening, Happening::SlaveEvent { event: slave::Event::NeverAdmitted, .. })
        })
    });
pub(in crate::properties) const NEW_ID: Property =
    sometimes("a host that has left registers as new", "R27", |seen| {
        stored(seen, |operation| matches!(operation, Operation::AdmitSlave { .. }))
            && !seen.before.ghost.removed.is_empty()
    });

// Registration and frameworks.

pub(in crate::properties) const TASKS_TAKEN_UP: Property =
    sometimes("a slave registers again with a task", "R2", |seen| {
        seen.slave_heard().is_some_and(
            |message| matches!(message, SlaveToMaster::Register { tasks, .. } if !tasks.is_empty()),
        )
    });
pub(in crate::properties) const LEFT_WITH_TASKS: Property =
    sometimes("a slave registers that has begun to leave", "R24", |seen| {
        reported(seen, |message| matches!(message, SlaveToMaster::Register { leaving: true, .. }))
    });
pub(in crate::properties) const TAKEN_OVER: Property =
    sometimes("a framework subscribes again under its id", "R14", |seen| {
        seen.framework_heard().is_some_and(|message| {
            matches!(message, neap_protocol::message::FrameworkToMaster::Subscribe { id: Some(_), .. })
        })
    });
pub(in crate::properties) const TORN_DOWN: Property =
    sometimes("a framework tears itself down", "R14", |seen| heard(seen, |event| *event == Event::Finished));
pub(in crate::properties) const FAILED_OVER: Property =
    sometimes("a framework stays away for too long", "R14", |seen| {
        matches!(seen.action, Action::MasterTimer(_, Timer::Failover(_), _))
    });
pub(in crate::properties) const FRAMEWORK_REMOVED: Property =
    sometimes("a framework is removed", "R14", |seen| {
        stored(seen, |operation| matches!(operation, Operation::RemoveFramework { .. }))
    });

fn closed(seen: &Seen<'_>, as_what: InverseOutcome) -> bool {
    stored(
        seen,
        |operation| matches!(operation, Operation::CloseInverseOffer { outcome, .. } if *outcome == as_what),
    )
}

fn ended(seen: &Seen<'_>, as_what: DrainEnd) -> bool {
    stored(seen, |operation| matches!(operation, Operation::EndDrain { end, .. } if *end == as_what))
}

fn is_now(operation: &Operation) -> bool {
    matches!(operation, Operation::StartDrain(ask) if ask.pace == Pace::Now)
}

fn killed(seen: &Seen<'_>) -> bool {
    seen.happenings.iter().any(|happening| matches!(happening, Happening::Killed { .. }))
}

fn exited(seen: &Seen<'_>) -> bool {
    seen.happenings
        .iter()
        .any(|happening| matches!(happening, Happening::Exited { code: EXIT_DONE | EXIT_UNHEARD, .. }))
}
