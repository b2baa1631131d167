//! What can happen in either order does in both.

use neap_protocol::ids::{InverseOfferId, SlaveId};
use neap_protocol::message::{FrameworkToMaster, Refusal, SlaveToMaster};
use neap_protocol::registry::{InverseStage, Operation};
use neap_protocol::task::{Reason, TaskState};

use super::{Property, refused, reported, sometimes, stored, told};
use crate::properties::Seen;
use neap_protocol::text::Name;

use crate::world::{Dialer, MasterNode};

// Accept against deactivate.

pub(in crate::properties) const ACCEPT_LATE: Property =
    sometimes("accept against deactivate: the hold is first", "R16", |seen| {
        told(seen, TaskState::Dropped, |reason| reason == Reason::SlaveDeactivated)
    });
pub(in crate::properties) const ACCEPT_FIRST: Property = sometimes(
    "accept against deactivate: the launch is first",
    "R16",
    |seen| {
        let named = |slave: &Name| seen.after.store.registry.slave_named(slave);
        stored(seen, |operation| {
            matches!(operation, Operation::PlaceHold { slave, .. } if named(slave).is_some_and(|slave| stages(seen, slave)))
                || matches!(operation, Operation::StartDrain(record) if stages(seen, record.slave))
        })
    },
);

/// Whether a launch to a slave is under way.
fn stages(seen: &Seen<'_>, slave: SlaveId) -> bool {
    let leader = seen.before.leader().and_then(|node| node.machine.as_ref());
    leader.is_some_and(|leader| {
        leader.tasks().any(|task| task.slave == slave && task.state == TaskState::Staging)
    })
}

// Finish against unregister.

pub(in crate::properties) const FINISH_FIRST: Property =
    sometimes("finish against unregister: the end is the task's own", "R25", |seen| {
        reported(seen, |message| {
            matches!(message, SlaveToMaster::Unregister { finals }
                if finals.iter().any(|last| last.update.state == TaskState::Finished))
        })
    });
pub(in crate::properties) const FINISH_LATE: Property =
    sometimes("finish against unregister: the task is Lost", "R25", |seen| {
        told(seen, TaskState::Lost, |reason| reason == Reason::SlaveUnregistered)
    });

// Registration against removal.

pub(in crate::properties) const REGISTERS_FIRST: Property =
    sometimes("re-register against removal: registered, then removed", "R4 R25", |seen| {
        let again = seen.before.links.iter().any(|link| matches!(link.key, (Dialer::Slave(_), 2..)));
        again && stored(seen, |operation| matches!(operation, Operation::RemoveSlave { .. }))
    });
pub(in crate::properties) const REGISTERS_BETWEEN: Property =
    sometimes("re-register against removal: while it is written", "R4", |seen| {
        registers(seen, |operation| matches!(operation, Operation::RemoveSlave { .. }))
    });
pub(in crate::properties) const REGISTERS_LATE: Property =
    sometimes("re-register against removal: removed, then refused", "R3 R27", |seen| {
        seen.slave_heard().is_some_and(|message| {
            matches!(message, SlaveToMaster::Register { id: Some(id), .. }
                if seen.before.ghost.removed.contains_key(id))
        })
    });
pub(in crate::properties) const RETURNS_BETWEEN: Property =
    sometimes("re-register against unreachable: while it is written", "R4 R6", |seen| {
        registers(seen, |operation| matches!(operation, Operation::MarkUnreachable { .. }))
    });
pub(in crate::properties) const RETURNS_LATE: Property =
    sometimes("re-register against unreachable: it comes back", "R8", |seen| {
        stored(seen, |operation| matches!(operation, Operation::ReadmitSlave { .. }))
    });

/// Whether a slave registers while the leader writes such a change.
fn registers(seen: &Seen<'_>, what: impl Fn(&Operation) -> bool) -> bool {
    matches!(seen.slave_heard(), Some(SlaveToMaster::Register { id: Some(_), .. }))
        && seen.before.leader().is_some_and(|node| node.pending().any(what))
}

// Answer against deadline.

pub(in crate::properties) const ANSWER_FIRST: Property =
    sometimes("answer against deadline: the answer counts", "R17 R19", |seen| {
        let is_open = |id: &InverseOfferId| {
            let open = seen.before.store.registry.inverse_offers();
            open.get(id).is_some_and(|record| record.stage == InverseStage::Open)
        };
        stored(seen, |operation| matches!(operation, Operation::AnswerInverseOffer { id, .. } if is_open(id)))
    });
pub(in crate::properties) const ANSWER_LATE: Property =
    sometimes("answer against deadline: the answer is too late", "R17 R19", |seen| {
        let is_open = |id: &InverseOfferId| {
            let open = seen.before.store.registry.inverse_offers();
            open.get(id).is_some_and(|record| record.stage == InverseStage::Open)
        };
        seen.framework_heard().is_some_and(
            |message| matches!(message, FrameworkToMaster::AnswerInverse { id, .. } if !is_open(id)),
        )
    });

// Kill against launch.

pub(in crate::properties) const KILL_FIRST: Property =
    sometimes("kill against launch: it never starts", "R13", |seen| {
        killed(seen, |task| !seen.after.ghost.ran.contains_key(&task))
    });
pub(in crate::properties) const KILL_LATE: Property =
    sometimes("kill against launch: it ran", "R13", |seen| {
        killed(seen, |task| seen.after.ghost.ran.contains_key(&task))
    });

fn killed(seen: &Seen<'_>, which: impl Fn(neap_protocol::ids::TaskId) -> bool) -> bool {
    super::heard(seen, |event| {
        matches!(event, neap_protocol::framework::Event::Update { update, .. }
            if update.state == TaskState::Killed && which(update.task))
    })
}

// Extending and cancelling against the deadline and the end.

pub(in crate::properties) const EXTENDED_FIRST: Property =
    sometimes("extend against deadline: while that it has passed is written", "R19 R22", |seen| {
        let writes = |node: &MasterNode| {
            node.pending().any(|operation| matches!(operation, Operation::AdvanceInverseOffer { .. }))
        };
        stored(seen, |operation| matches!(operation, Operation::ExtendDrain { .. }))
            && seen.before.leader().is_some_and(writes)
    });
pub(in crate::properties) const EXTENDED_LATE: Property =
    sometimes("extend against deadline: what is being taken is taken", "R22", |seen| {
        let open = || seen.before.store.registry.inverse_offers();
        stored(seen, |operation| matches!(operation, Operation::ExtendDrain { .. }))
            && open().values().any(|record| record.stage == InverseStage::Revoking)
    });
pub(in crate::properties) const CANCELLED_LATE: Property =
    sometimes("cancel against drained: it is drained", "R22", |seen| {
        refused(seen, |refusal| matches!(refusal, Refusal::DrainEnded(..)))
    });
pub(in crate::properties) const NEW_LEADER_MID_DRAIN: Property =
    sometimes("a leader is elected while a slave drains", "R20", |seen| {
        stored(seen, |operation| matches!(operation, Operation::Lead { .. }))
            && seen.before.store.registry.drains().values().any(|drain| drain.end.is_none())
    });
