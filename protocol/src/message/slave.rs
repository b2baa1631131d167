//! Between a slave and its master.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Epoch, FrameworkId, Incarnation, SlaveId, TaskId};
use crate::resources::Resources;
use crate::task::{Ending, Reason, TaskReport, TaskSpec, Update};
use crate::text::Text;
use crate::time::Millis;

/// What a slave says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlaveToMaster {
    /// The first message of a session: here I am, with this (R1, R2).
    Register {
        /// The id of its checkpoint, if it has one.
        id: Option<SlaveId>,
        /// Its data directory: another one of this name is another slave (R1a).
        incarnation: Incarnation,
        /// Which start of its machine this is. A machine does not go back to an earlier one.
        boot: BootId,
        /// Whether it was refused because another of its incarnation answers: then it is not the one that was started again.
        contested: bool,
        /// The highest epoch that it has heard of (R30).
        epoch: Epoch,
        /// Everything that it has to offer.
        resources: Resources,
        /// Where operators reach it for logs; for people and their tools, never for decisions.
        address: Text,
        /// Every task that it knows, those included whose last update was not acknowledged.
        tasks: Vec<TaskReport>,
        /// Whether it is on its way out (R24): then it must not be offered.
        leaving: bool,
    },
    /// News of a task; sent again after every registration until acknowledged (R12).
    Update {
        /// The news.
        update: Update,
        /// How the task's process tree ended, where it did.
        ending: Option<Arc<Ending>>,
    },
    /// The answer to a ping.
    Pong,
    /// It refuses launches from here on and is about to unregister (R24).
    Leaving,
    /// It leaves for good: nothing runs under it any more, seen by itself (R24, R25).
    Unregister {
        /// The final state of every task that the master may not have acknowledged.
        finals: Vec<Final>,
    },
    /// The executor of a fenced task asks for its lease to be renewed (R9). It is a sign of life, as [`Self::Pong`] is.
    Renew {
        /// Which task's.
        task: TaskId,
        /// What the answer is to have.
        turn: bool,
    },
}

/// The final state of a task of a slave that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Final {
    /// Its last update: a true end, or Lost/SlaveUnregistered for what the slave itself ended in order to leave.
    pub update: Update,
    /// How its process tree ended, where there was one.
    pub ending: Option<Arc<Ending>>,
}

/// What a master says to a slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MasterToSlave {
    /// The slave is admitted, durably.
    Registered {
        /// Under this id.
        id: SlaveId,
        /// By this leader; a slave obeys none that is lower (R30).
        epoch: Epoch,
    },
    /// It is not admitted.
    Refused(Refused),
    /// Is anyone there (R6)?
    Ping,
    /// Start this task.
    Launch(TaskSpec),
    /// End this task: within its grace, then by force. A task that was not started never will be (R13). A second
    /// kill can only shorten the grace. A task that the slave does not know is answered Lost.
    Kill {
        /// Which task.
        task: TaskId,
        /// At most this grace; `None` leaves the task's own.
        grace: Option<Millis>,
        /// What to report.
        reason: Reason,
    },
    /// The framework has this update, and every one of the task before it.
    Acknowledge {
        /// Which task.
        task: TaskId,
        /// Up to which of its updates.
        number: u32,
    },
    /// A framework has come back: send its unacknowledged updates again (R12).
    Resend {
        /// Which framework.
        framework: FrameworkId,
    },
    /// A framework is gone for good: end its tasks, with their grace.
    KillFramework {
        /// Which framework.
        framework: FrameworkId,
    },
    /// End everything and unregister (R21, R24), as on SIGUSR1.
    Leave,
    /// The slave is removed, durably, and its frameworks have been told; it may exit (R25).
    Unregistered,
    /// This leader counts a fenced task as living, and will not say that it is Lost before the lease is over that was
    /// asked for (R9).
    Renewed {
        /// Which task.
        task: TaskId,
        /// What it was asked with.
        turn: bool,
    },
}

/// Why a slave is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refused {
    /// This master does not lead; the leader, where it is known, is there (R29, R31).
    NotLeading {
        /// The address of the leader; empty if unknown.
        leader: Text,
    },
    /// The id was removed for good: end everything that still runs, and register afresh (R3, R27).
    Removed,
    /// The id belongs to a slave of another name.
    NotYours,
    /// Another slave has the name: another data directory, or a copy of this one on another machine (R1a). It is to end
    /// nothing for that, and to ask again later: the name is free once that one is given up.
    NameTaken {
        /// The address of that one.
        address: Text,
        /// Whether that one has answered since this one asked for its name.
        lives: bool,
    },
    /// What it registers with is impossible: the text names it.
    Invalid(Text),
}
