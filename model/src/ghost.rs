//! What was true, whatever the nodes believe: what schedulers were told, what ran, what was promised.

use neap_protocol::ids::{DrainId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::map::{Map, Set};
use neap_protocol::task::TaskState;

/// What properties need to know of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// The last state of each task that a scheduler's callback was told.
    pub told: Map<TaskId, TaskState>,
    /// Tasks of which a process was started.
    pub ran: Set<TaskId>,
    /// Slaves that were removed, durably.
    pub removed: Set<SlaveId>,
    /// Inverse offers whose deadline has passed.
    pub passed: Set<InverseOfferId>,
    /// Drains that have waited for acknowledgements for long enough.
    pub waited: Set<DrainId>,
}
