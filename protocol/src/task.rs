//! Tasks: what a framework asks for, how it goes, how it ends.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{InverseOfferId, TaskId};
use crate::resources::Resources;
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};

/// The most bytes of a command: program, arguments and environment together.
pub const COMMAND_SIZE_MAX: usize = 64 << 10;

/// The most bytes of data that a framework may give its own executor with a task.
pub const TASK_DATA_MAX: usize = 64 << 10;

/// The shortest that a task may ask to be fenced after (R9). It costs the leader [`FENCE_ASKS`] messages in each such
/// time.
pub const FENCE_AFTER_MIN: Millis = Millis::from_secs(1);

/// How often an executor asks for a lease within the time that it lasts (R9).
pub const FENCE_ASKS: u8 = 4;

/// A task to launch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Fresh: its number is above every number that the framework has used (R11, S16).
    pub id: TaskId,
    /// What people call it; nothing depends on it.
    pub name: Name,
    /// What it takes of the offer.
    pub resources: Resources,
    /// How long it may take to end once it is asked to, before it is ended by force.
    pub kill_grace: Millis,
    /// It must not live for longer than this without a leader that counts it as living (R9): from
    /// [`FENCE_AFTER_MIN`] to half of what a leader waits before it gives a slave up. Only the built-in executor can be
    /// held to it. `None`: it goes on for as long as its executor does.
    pub fence_after: Option<Millis>,
    /// What runs it.
    pub run: Run,
}

/// What runs a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Run {
    /// The built-in executor, in a process tree of its own.
    Command(Arc<Command>),
    /// The framework's own executor, which lives while it has tasks. Tasks of one slave that name the same number
    /// share it.
    Executor {
        /// The framework's number for the executor: the number of the first task that it was started for.
        number: u32,
        /// The program that is the executor.
        command: Arc<Command>,
        /// What the executor is told with the task; at most [`TASK_DATA_MAX`] bytes.
        data: Arc<[u8]>,
    },
}

/// A program to run, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The program: a path, or a name to look up in the slave's `PATH`.
    pub program: String,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its environment, beside what the slave sets.
    pub environment: Vec<(String, String)>,
}

impl Command {
    /// How many bytes it has, to hold against [`COMMAND_SIZE_MAX`].
    pub fn size(&self) -> usize {
        let arguments: usize = self.arguments.iter().map(|a| a.len() + 1).sum();
        let environment: usize = self.environment.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
        self.program.len() + arguments + environment
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// The master has sent it to the slave.
    Staging,
    /// Its executor has it.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end.
    Killing,
    /// Its slave does not answer; it may come back (only for frameworks that say they are partition-aware).
    Unreachable,
    /// It ended by itself, well, before anybody asked it to end.
    Finished,
    /// It ended by itself, badly, before anybody asked it to end.
    Failed,
    /// It was ended on request, whatever exit code came of that.
    Killed,
    /// It is gone.
    Lost,
    /// It was never started.
    Dropped,
}

impl Update {
    /// Whether it is what a slave answers about a task that it does not keep: it says so once, and from then on it is the
    /// master's to tell (R12).
    pub fn is_answer(&self) -> bool {
        self.state == TaskState::Dropped || self.state.is_terminal() && self.reason == Reason::SlaveForgot
    }
}

impl TaskState {
    /// Whether it is one of those after which nothing follows (S9).
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Staging | Self::Starting | Self::Running | Self::Killing | Self::Unreachable => false,
            Self::Finished | Self::Failed | Self::Killed | Self::Lost | Self::Dropped => true,
        }
    }

    /// The state as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Unreachable => "Unreachable",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
            Self::Lost => "Lost",
            Self::Dropped => "Dropped",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a task is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// It goes as it should; there is nothing to explain.
    Normal,
    /// Its command ended with this exit code.
    Exited(i32),
    /// Its command was ended by this signal, which was not asked for.
    Signalled(i32),
    /// Its command could not be started.
    NotStarted,
    /// Its executor ended without saying how the task did.
    ExecutorEnded,
    /// Its executor could not be started.
    ExecutorNotStarted,
    /// Its executor did not register in time.
    ExecutorSilent,
    /// Its framework asked for it.
    KilledByFramework,
    /// An operator asked for it.
    KilledByOperator,
    /// The deadline of an inverse offer passed (R19).
    Revoked(InverseOfferId),
    /// Its framework was torn down (R14).
    FrameworkRemoved,
    /// Its slave left for good (R25).
    SlaveUnregistered,
    /// Its slave no longer answers (R6).
    SlaveUnreachable,
    /// Its slave's id was removed (R3).
    SlaveRemoved,
    /// Its slave came back and does not know it (R2).
    SlaveForgot,
    /// Its slave was started anew and did not find it, or was to end what an earlier one had left (R28).
    SlaveRestarted,
    /// Its slave is deactivated (R16).
    SlaveDeactivated,
    /// Its slave is leaving (R24).
    SlaveLeaving,
    /// Its slave had no session when it was to be launched.
    SlaveDisconnected,
    /// The offer was used, declined, rescinded or timed out (R11).
    OfferGone,
    /// It asks for more than is left of the offer (R11).
    BeyondOffer,
    /// Its number is not above every number that the framework has used (R11).
    IdUsed,
    /// Its description breaks a limit: a command too long, an executor number of another framework's task (R11).
    InvalidSpec,
    /// The master does not know it, and knows that no slave runs it (R15).
    Unknown,
    /// Its slave's machine was started anew (R28).
    HostRebooted,
    /// It asked to be fenced, and for that long no leader said that it counts it as living (R9).
    Fenced,
    /// It cannot be fenced as it asks: see [`TaskSpec::fence_after`] (R9).
    CannotFence,
    /// Its slave is connected, and does not answer: nothing is launched there until it does (R6).
    SlaveSilent,
    /// Its slave did not answer, and an operator said that it is dead: nobody saw the task end (R7a).
    SlaveDeclaredDead,
}

impl Reason {
    /// Whether a task is ended for it because somebody asked, and not of itself (R12a). Only a master or a slave says so.
    pub fn is_asked(self) -> bool {
        match self {
            Self::KilledByFramework | Self::KilledByOperator | Self::Revoked(_) => true,
            Self::FrameworkRemoved | Self::SlaveUnreachable | Self::SlaveRemoved => true,
            Self::Normal | Self::Exited(_) | Self::Signalled(_) | Self::NotStarted => false,
            Self::ExecutorEnded | Self::ExecutorNotStarted | Self::ExecutorSilent => false,
            Self::SlaveUnregistered | Self::SlaveForgot | Self::SlaveRestarted => false,
            Self::SlaveDeactivated | Self::SlaveLeaving | Self::SlaveDisconnected => false,
            Self::OfferGone | Self::BeyondOffer | Self::IdUsed | Self::InvalidSpec | Self::Unknown => false,
            Self::HostRebooted | Self::Fenced | Self::CannotFence => false,
            Self::SlaveSilent | Self::SlaveDeclaredDead => false,
        }
    }

    /// What the framework's author or the operator can do about it; empty where there is nothing to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Normal
            | Self::KilledByFramework
            | Self::KilledByOperator
            | Self::FrameworkRemoved
            | Self::Revoked(_) => "",
            Self::Exited(_) | Self::Signalled(_) => "read the task's stderr with `neap logs`",
            Self::NotStarted => "check that the program exists on the slave and may be executed",
            Self::ExecutorEnded | Self::ExecutorNotStarted | Self::ExecutorSilent => {
                "read the executor's stderr with `neap logs`, then launch the task again"
            }
            Self::SlaveUnregistered
            | Self::SlaveUnreachable
            | Self::SlaveRemoved
            | Self::SlaveDeclaredDead
            | Self::SlaveForgot
            | Self::SlaveRestarted
            | Self::HostRebooted
            | Self::Fenced => "launch it again, under a new number, from another offer",
            Self::SlaveDeactivated
            | Self::SlaveLeaving
            | Self::SlaveDisconnected
            | Self::SlaveSilent
            | Self::OfferGone => "it never started: launch it again, under a new number, from another offer",
            Self::BeyondOffer => "ask for no more than the offer has, all tasks of one accept together",
            Self::IdUsed => "number tasks upwards, and never use a number again",
            Self::InvalidSpec => {
                "keep commands and data within 64 KiB, and name executors by own task numbers"
            }
            Self::CannotFence => {
                "fence tasks of the built-in executor only, after 1 s at least and half of what a master waits before it \
                 gives a slave up at most"
            }
            Self::Unknown => "launch it again, under a new number",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("Normal"),
            Self::Exited(code) => write!(f, "Exited({code})"),
            Self::Signalled(signal) => write!(f, "Signalled({signal})"),
            Self::NotStarted => f.write_str("NotStarted"),
            Self::ExecutorEnded => f.write_str("ExecutorEnded"),
            Self::ExecutorNotStarted => f.write_str("ExecutorNotStarted"),
            Self::ExecutorSilent => f.write_str("ExecutorSilent"),
            Self::KilledByFramework => f.write_str("KilledByFramework"),
            Self::KilledByOperator => f.write_str("KilledByOperator"),
            Self::Revoked(id) => write!(f, "Revoked({id})"),
            Self::FrameworkRemoved => f.write_str("FrameworkRemoved"),
            Self::SlaveUnregistered => f.write_str("SlaveUnregistered"),
            Self::SlaveUnreachable => f.write_str("SlaveUnreachable"),
            Self::SlaveRemoved => f.write_str("SlaveRemoved"),
            Self::SlaveForgot => f.write_str("SlaveForgot"),
            Self::SlaveRestarted => f.write_str("SlaveRestarted"),
            Self::SlaveDeactivated => f.write_str("SlaveDeactivated"),
            Self::SlaveLeaving => f.write_str("SlaveLeaving"),
            Self::SlaveDisconnected => f.write_str("SlaveDisconnected"),
            Self::OfferGone => f.write_str("OfferGone"),
            Self::BeyondOffer => f.write_str("BeyondOffer"),
            Self::IdUsed => f.write_str("IdUsed"),
            Self::InvalidSpec => f.write_str("InvalidSpec"),
            Self::Unknown => f.write_str("Unknown"),
            Self::HostRebooted => f.write_str("HostRebooted"),
            Self::Fenced => f.write_str("Fenced"),
            Self::CannotFence => f.write_str("CannotFence"),
            Self::SlaveSilent => f.write_str("SlaveSilent"),
            Self::SlaveDeclaredDead => f.write_str("SlaveDeclaredDead"),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// News of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Update {
    /// Which task.
    pub task: TaskId,
    /// Its place among the task's updates, from 1. An acknowledgement covers every one up to it, and no later one.
    pub number: u32,
    /// The task's state from now on.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// For people.
    pub message: Text,
}

/// How a process tree ended, for the receipt (R23a). Times are the slave's clock's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// What was sent to its processes, in order.
    pub signals: Vec<SignalSent>,
    /// How the tree's first process ended, in words.
    pub leader: Text,
    /// When the tree was seen empty; `None` if it never was.
    pub seen_dead: Option<Moment>,
    /// What could not be seen or could not be ended; empty if nothing.
    pub unseen: Text,
}

/// What an ending has in a frame beside its signals and texts, at most.
const ENDING_SIZE: usize = 32;

/// What a signal has in a frame, at most.
const SIGNAL_SIZE: usize = 16;

impl Ending {
    /// The same in about so many bytes of a frame, where many are told together: of the signals the last ones, that is
    /// those that ended it, and the texts cut. Whether it was seen dead is always told.
    pub fn within(&self, room: usize) -> Self {
        let room = room.saturating_sub(ENDING_SIZE);
        let kept = self.signals.len().min(room / 2 / SIGNAL_SIZE);
        let text = (room - kept * SIGNAL_SIZE) / 2;
        Self {
            signals: self.signals[self.signals.len() - kept..].to_vec(),
            leader: self.leader.within(text),
            seen_dead: self.seen_dead,
            unseen: self.unseen.within(text),
        }
    }
}

/// A signal that was sent to processes of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SignalSent {
    /// When.
    pub at: Moment,
    /// Which: 15 is SIGTERM, 9 is SIGKILL.
    pub signal: u8,
    /// To how many processes; 0 if the kernel sent it to all of a group at once and did not count them.
    pub processes: u32,
}

/// A task as its slave knows it, told at registration (R2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskReport {
    /// Which task.
    pub id: TaskId,
    /// What people call it.
    pub name: Name,
    /// What it holds.
    pub resources: Resources,
    /// How long it may take to end once asked.
    pub kill_grace: Millis,
    /// Whether it is fenced, so that it is not Lost while a lease of it may run (R9).
    pub fenced: bool,
    /// Its state.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// The number of its latest update; 0 if it has none yet.
    pub number: u32,
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// Each string ends in a byte of its own, and each variable has its `=`, as the kernel counts them.
    #[test]
    fn a_commands_size_counts_all_that_is_in_it() {
        let command = Command {
            program: "prog".into(),
            arguments: vec!["a".into(), "bc".into()],
            environment: vec![("K".into(), "val".into()), ("X".into(), String::new())],
        };
        assert_eq!(command.size(), 4 + (2 + 3) + (6 + 3));
    }
}
