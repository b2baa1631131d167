//! What must be reached by some world: a search that never gets there proves nothing about it.

use neap_protocol::framework;
use neap_protocol::message::{DrainEnd, InverseOutcome, MasterToSlave, Refused};
use neap_protocol::registry::Operation;
use neap_protocol::slave::EXIT_DONE;
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::{Action, Happening, Message};

const fn sometimes(name: &'static str, guards: &'static str, is: fn(&Seen<'_>) -> bool) -> Property {
    Property { name, guards, kind: Kind::Sometimes(is) }
}

pub(super) const LAUNCHED: Property =
    sometimes("a task runs", "R11", |seen| told(seen, TaskState::Running, |_| true));
pub(super) const FINISHED: Property =
    sometimes("a task finishes", "R12", |seen| told(seen, TaskState::Finished, |_| true));
pub(super) const DEACTIVATED: Property = sometimes("a hold is durable", "R16", |seen| {
    stored(seen, |operation| matches!(operation, Operation::PlaceHold { .. }))
});
pub(super) const DROPPED_BY_DEACTIVATION: Property =
    sometimes("an accept in flight meets a deactivation", "R16", |seen| {
        told(seen, TaskState::Dropped, |reason| reason == Reason::SlaveDeactivated)
    });
pub(super) const INVERSE_RETURNED: Property = sometimes("an inverse offer is met in time", "R18", |seen| {
    stored(seen, |operation| {
        matches!(operation, Operation::CloseInverseOffer { outcome: InverseOutcome::Returned, .. })
    })
});
pub(super) const REVOKED: Property = sometimes("a task is revoked", "R19", |seen| {
    told(seen, TaskState::Killed, |reason| matches!(reason, Reason::Revoked(_)))
});
pub(super) const DRAINED: Property = sometimes("a slave is drained", "R21", |seen| {
    stored(seen, |operation| matches!(operation, Operation::EndDrain { end: DrainEnd::Drained, .. }))
});
pub(super) const UNREGISTERED: Property = sometimes("a slave unregisters", "R25", |seen| {
    stored(seen, |operation| matches!(operation, Operation::RemoveSlave { .. }))
});
pub(super) const LOST_BY_UNREGISTRATION: Property =
    sometimes("a task is Lost by unregistration", "R25", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::SlaveUnregistered)
    });
pub(super) const UNREACHABLE: Property = sometimes("a slave is unreachable", "R6", |seen| {
    stored(seen, |operation| matches!(operation, Operation::MarkUnreachable { .. }))
});
pub(super) const READMITTED: Property = sometimes("an unreachable slave comes back", "R8", |seen| {
    stored(seen, |operation| matches!(operation, Operation::ReadmitSlave { .. }))
});
pub(super) const REFUSED_AS_REMOVED: Property = sometimes("a removed slave is refused", "R3", |seen| {
    seen.happenings.iter().any(|happening| {
        matches!(
            happening,
            Happening::MasterSaid {
                message: Message::MasterToSlave(MasterToSlave::Refused(Refused::Removed)),
                ..
            }
        )
    })
});
pub(super) const FRAMEWORK_REMOVED: Property = sometimes("a framework is removed", "R14", |seen| {
    stored(seen, |operation| matches!(operation, Operation::RemoveFramework { .. }))
});
pub(super) const EXITED_UNACKNOWLEDGED: Property =
    sometimes("a slave exits with no leader's word", "R26", |seen| {
        let leaves = |happening: &Happening| matches!(happening, Happening::Exited { code: EXIT_DONE, .. });
        matches!(seen.action, Action::SlaveTimer(..)) && seen.happenings.iter().any(leaves)
    });
pub(super) const STORE_REFUSED_DEPOSED: Property =
    sometimes("the store refuses a deposed leader", "R30", |seen| {
        let Action::MasterStored(number) = seen.action else { return false };
        let node = &seen.before.masters[usize::from(number)];
        node.first_write().is_some_and(|epoch| epoch < seen.before.store.fence)
    });

fn told(seen: &Seen<'_>, state: TaskState, why: impl Fn(Reason) -> bool) -> bool {
    seen.happenings.iter().any(|happening| {
        let Happening::Told { event: framework::Event::Update { update, .. }, .. } = happening else {
            return false;
        };
        update.state == state && why(update.reason)
    })
}

fn stored(seen: &Seen<'_>, what: impl Fn(&Operation) -> bool) -> bool {
    seen.happenings.iter().any(|happening| {
        let Happening::Stored { operation, applied } = happening else { return false };
        *applied && what(operation)
    })
}
