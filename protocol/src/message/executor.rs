//! Between a slave and the executors that it started.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::task::{Command, Reason, TaskState};
use crate::text::Text;
use crate::time::Millis;

/// What a slave says to an executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlaveToExecutor {
    /// Run this task.
    Launch {
        /// Which task.
        task: TaskId,
        /// What to run, for the built-in executor.
        command: Option<Arc<Command>>,
        /// What the framework sent with it, for the framework's own executor.
        data: Arc<[u8]>,
        /// The task is fenced: it starts with a lease, and is ended when that is over (R9). A lease lasts this long from
        /// when it was asked for.
        fence_after: Option<Millis>,
    },
    /// End this task: ask it to, and end it by force once the grace is over. A second kill can only shorten it.
    Kill {
        /// Which task.
        task: TaskId,
        /// How long it may take.
        grace: Millis,
    },
    /// The slave has this update of the task.
    Acknowledge {
        /// Which task.
        task: TaskId,
        /// Up to which of its updates.
        number: u32,
    },
    /// A leader has renewed the lease of a fenced task (R9).
    Renewed {
        /// Which task's.
        task: TaskId,
        /// What it was asked for with.
        turn: bool,
    },
}

/// What an executor says to its slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutorToSlave {
    /// The first message of a session: give me my tasks.
    Register {
        /// Those that it has, in order. A slave that was started anew learns by it what its executor never heard of.
        tasks: Vec<TaskId>,
    },
    /// News of a task. The slave numbers updates for the master itself: an executor's numbers say only which of
    /// its own were received.
    Update {
        /// Which task.
        task: TaskId,
        /// Its place among what the executor said of the task, from 1.
        number: u32,
        /// The task's state: Starting, Running, Killing, Finished, Failed or Killed. Whatever a framework's own executor
        /// says of the end of a task that it was asked to end, the task was Killed, and that is a detail (R12a).
        state: TaskState,
        /// Why.
        reason: Reason,
        /// For people.
        message: Text,
    },
    /// Asks the leader to renew the lease of a fenced task (R9). The slave passes it on, and the answer back; it keeps
    /// neither.
    Renew {
        /// Which task's.
        task: TaskId,
        /// Another than that of the last request that was answered. Requests and answers keep their order and can be
        /// lost, so that this is enough to tell which request an answer is to.
        turn: bool,
    },
}
