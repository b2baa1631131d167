//! Between an operator and a slave: what tasks wrote.
//!
//! An operator asks for a stream of a task; the slave answers with its bytes, in order, and then with its end or a
//! refusal. A task is named by its id: no path is ever said, by either side.

use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::text::Text;

/// The most bytes of one [`SlaveToOperator::Chunk`].
pub const LOG_CHUNK_MAX: usize = 64 << 10;

/// What an operator says to a slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperatorToSlave {
    /// Send a stream of a task. It is answered by chunks, then once by [`SlaveToOperator::End`] or
    /// [`SlaveToOperator::Refused`]; the same stream must not be asked for again in this session before that.
    Read {
        /// Which task's.
        task: TaskId,
        /// Which stream.
        stream: LogStream,
        /// From this byte on, counted from 0; a stream that is shorter is sent from its end on.
        from: u64,
        /// Whether to go on with what the task writes, until it is over.
        follow: bool,
    },
}

/// What a slave says to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlaveToOperator {
    /// The next bytes of a stream: whole lines, where lines are not too long and not written in parts.
    Chunk {
        /// Of which stream.
        stream: LogStream,
        /// The place of the first of them. It is where the last chunk ended, unless the task cut its file short:
        /// then it is 0.
        at: u64,
        /// The bytes, 1 to [`LOG_CHUNK_MAX`].
        data: Arc<[u8]>,
    },
    /// Everything that was asked for of a stream has been sent.
    End {
        /// Which stream.
        stream: LogStream,
        /// Whether there may be more.
        end: LogEnd,
    },
    /// A stream is not sent, or not any further.
    Refused {
        /// Which; `None` where the whole session is refused.
        stream: Option<LogStream>,
        /// Why.
        refusal: LogRefusal,
    },
}

/// What a task writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogStream {
    /// Its standard output; of a framework's own executor, that of all its tasks.
    Stdout,
    /// Its standard error; likewise.
    Stderr,
}

impl LogStream {
    /// Every stream.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The stream as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a stream that was sent may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogEnd {
    /// The task is not over.
    Running,
    /// The task is over, and this is everything that it wrote.
    Ended,
}

/// Why a stream is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogRefusal {
    /// The slave has no sandbox of this task.
    NoSandbox(TaskId),
    /// What is there could not be read; the text says why.
    Unreadable(Text),
    /// As many operators read there as may.
    Busy,
}

impl fmt::Display for LogRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSandbox(task) => write!(f, "the slave has no sandbox of {task}"),
            Self::Unreadable(cause) => write!(f, "the slave could not read it: {cause}"),
            Self::Busy => write!(f, "as many operators read logs of that slave as may"),
        }
    }
}

impl LogRefusal {
    /// What to do instead.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoSandbox(_) => {
                "it never started there, or its sandbox was removed; `neap events` shows how tasks ended"
            }
            Self::Unreadable(_) => {
                "see that the slave may read its own data directory, and its disk's health"
            }
            Self::Busy => "end another `neap logs`, or ask again later",
        }
    }
}

impl core::error::Error for LogRefusal {}
