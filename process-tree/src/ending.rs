//! The report of how a tree ended, from which receipts are made (R23a).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Signal, WaitIdStatus};

use crate::means::Means;
use crate::proc::Process;

/// How many processes of a tree an [`Ending`] names; the rest is counted.
pub const PROCESSES_MAX: usize = 64;

/// How a tree ended, or how far its ending is: see [`Tree::so_far`](crate::Tree::so_far).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The tree's name, as it was given to [`Command`](crate::Command).
    pub tree: String,
    /// What kept the tree together, and so what its end is known by.
    pub means: Means,
    /// How the tree's first process ended; `None` while it lives, or where an earlier incarnation started it.
    pub leader: Option<Exit>,
    /// The processes that were seen when signals were sent, at most [`PROCESSES_MAX`], in the order seen.
    pub processes: Vec<Seen>,
    /// How many more were seen and are not named.
    pub processes_more: u64,
    /// When the tree was seen empty, in milliseconds since 1970; `None` while that has not been seen.
    pub seen_dead_at_ms: Option<u64>,
    /// What is left of it.
    pub survivors: Survivors,
}

/// What is left of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing: the kernel said so.
    None,
    /// It still lives, with so many processes seen just now (a tree that forks may have more).
    Alive(u64),
    /// It could not be seen whether something is left, and why. Such a tree is not known to be dead.
    Unseen(String),
}

/// One process of a tree, and what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number, in the namespace of the slave.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did: with `pid` it names one process of this boot.
    pub start_time: u64,
    /// Its command name, at most 15 bytes, as the kernel has it (`comm`).
    pub command: String,
    /// The signals that it was sent, in order.
    pub signals: Vec<Sent>,
}

/// A signal that was sent, or that could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The signal's number: 15 is SIGTERM, 9 is SIGKILL.
    pub signal: i32,
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// Why it was not delivered (a set-user-id program, say); `None` where it was.
    pub refused: Option<String>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It has ended, and how is not known: somebody else reaped it, or its supervisor was killed.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "killed by signal {signal}"),
            Exit::Unknown => f.write_str("ended in a way that could not be seen"),
        }
    }
}

impl Exit {
    pub(crate) fn from_wait(status: &WaitIdStatus) -> Exit {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }
    }

    /// From the word of `wait4`.
    pub(crate) fn from_status(status: i32) -> Exit {
        if libc::WIFEXITED(status) {
            Exit::Code(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Exit::Signal(libc::WTERMSIG(status))
        } else {
            Exit::Unknown
        }
    }
}

/// What an ending has come to: who was seen, and what they were sent.
#[derive(Debug, Default)]
pub(crate) struct Log {
    seen: Vec<Seen>,
    more: u64,
}

impl Log {
    /// Notes that `process` was sent `signal` now.
    pub(crate) fn sent(&mut self, process: &Process, signal: Signal, refused: Option<String>) {
        let sent = Sent { signal: signal.as_raw(), at_ms: now_ms(), refused };
        let pid = process.pid.as_raw_pid().unsigned_abs();
        let start_time = process.stat.start;
        let known = self.seen.iter().position(|seen| seen.pid == pid && seen.start_time == start_time);
        match known {
            Some(at) if self.seen[at].signals.len() < SIGNALS_MAX => self.seen[at].signals.push(sent),
            Some(_) => {}
            None if self.seen.len() < PROCESSES_MAX => {
                let command = process.stat.command.clone();
                self.seen.push(Seen { pid, start_time, command, signals: vec![sent] });
            }
            None => self.more += 1,
        }
    }

    /// Notes that so many processes were seen and not named.
    pub(crate) fn more(&mut self, count: u64) {
        self.more += count;
    }

    pub(crate) fn seen(&self) -> (Vec<Seen>, u64) {
        (self.seen.clone(), self.more)
    }
}

pub(crate) fn now_ms() -> u64 {
    // A clock before 1970 is a broken clock; it must not stop a kill.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const SIGNALS_MAX: usize = 8;
