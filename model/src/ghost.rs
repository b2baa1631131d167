//! What was true, whatever the nodes believe: what schedulers were told, what ran, what was promised.

use neap_protocol::ids::{DrainId, Epoch, InverseOfferId, SlaveId, TaskId};
use neap_protocol::map::{Map, Set};
use neap_protocol::task::TaskState;

/// What properties need to know of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// The last state of each task that a scheduler's callback was told.
    pub told: Map<TaskId, TaskState>,
    /// The number of the last update of each task that a scheduler's callback was told, until it is told the end.
    pub heard: Map<TaskId, u32>,
    /// Tasks that a master has sent to a slave: to which, and in which epoch.
    pub launched: Map<TaskId, (SlaveId, Epoch)>,
    /// Tasks of which a process was started.
    pub ran: Set<TaskId>,
    /// Tasks that are over, by the word of the slave that had them.
    pub over: Map<TaskId, TaskState>,
    /// Those of them of which it was first said by a slave that left: that counts once it is removed.
    pub parting: Set<TaskId>,
    /// Those of them of which it then said another end: it had crashed, and had forgotten what it was about to have
    /// acknowledged. Either counts, whichever its master heard.
    pub unsure: Set<TaskId>,
    /// Slaves that were removed, durably.
    pub removed: Set<SlaveId>,
    /// Slaves that were unreachable, durably, once.
    pub given_up: Set<SlaveId>,
    /// Slaves that a master set out to remove as an operator said that they are dead.
    pub forgotten: Set<SlaveId>,
    /// Inverse offers whose deadline has passed.
    pub passed: Set<InverseOfferId>,
    /// Drains that have waited for acknowledgements for long enough.
    pub waited: Set<DrainId>,
    /// Slaves, by number, that got SIGUSR1 or were told to leave since they were started.
    pub told_to_go: Set<u8>,
    /// Tasks of which a slave has heard from their executor how they ended, until their scheduler is told, or nobody is
    /// left who could say it again.
    pub ended: Set<TaskId>,
    /// Tasks whose process was sent a signal while it lived: how they end from then on was asked for (R12a).
    pub asked: Set<TaskId>,
    /// Slaves, by number, that have waited for long enough for whoever unregisters them.
    pub gave_up: Set<u8>,
    /// Slaves that have not answered since the leader pinged them, and whether the time of a ping has passed since: whether
    /// it knows that they are silent.
    pub unanswered: Map<SlaveId, bool>,
}
