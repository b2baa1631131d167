//! What `/proc` tells of processes, held against pidfds so that no number is taken for another process.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::ending::Exit;

/// One process, which its pidfd names for ever: what it is told reaches it or nobody.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) stat: Stat,
    pidfd: OwnedFd,
}

/// A number and a start time, which are one process of this boot.
pub(crate) type Key = (Pid, u64);

/// A part of `/proc/<pid>/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) command: String,
    pub(crate) parent: i32,
    /// In clock ticks since the machine started: with the pid it names a process of this boot.
    pub(crate) start: u64,
}

impl Process {
    /// The living process that has this pid now.
    pub(crate) fn open(pid: Pid) -> Option<Process> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Process::of(pid, pidfd)
    }

    fn of(pid: Pid, pidfd: OwnedFd) -> Option<Process> {
        let stat = stat(pid)?;
        let process = Process { pid, stat, pidfd };
        // Alive after its lines were read: they were its own, since a pid is free only after its process has ended.
        (!process.exited()).then_some(process)
    }

    /// A process that nobody can have reaped yet, ended or not: its number is its own.
    pub(crate) fn unreaped(pid: Pid, pidfd: OwnedFd) -> Option<Process> {
        Some(Process { pid, stat: stat(pid)?, pidfd })
    }

    pub(crate) fn exited(&self) -> bool {
        self.exits_within_ms(0)
    }

    /// Waits for its end, at most so long; true if it has ended.
    pub(crate) fn exits_within_ms(&self, limit_ms: u32) -> bool {
        let mut waited = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let limit =
            Timespec { tv_sec: i64::from(limit_ms / 1000), tv_nsec: i64::from(limit_ms % 1000) * 1_000_000 };
        poll(&mut waited, Some(&limit)).is_ok_and(|ready| ready > 0)
    }

    /// Reaps it, if it is a child of this process and has ended. Asked again, it does not know any more.
    pub(crate) fn reap(&self) -> Option<Exit> {
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => Some(Exit::from_wait(&status)),
            Ok(None) => None,
            Err(_) => Some(Exit::Unknown),
        }
    }

    /// Sends a signal; a process that has ended needs none.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool, Errno> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn key(&self) -> Key {
        (self.pid, self.stat.start)
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

pub(crate) fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    parse_stat(&text)
}

/// Whether this process has ended, every thread of it, and is only waiting to be reaped.
pub(crate) fn has_ended(pid: Pid) -> bool {
    let opened = pidfd_open(pid, PidfdFlags::empty()).ok();
    opened.and_then(|pidfd| Process::unreaped(pid, pidfd)).is_some_and(|process| process.exited())
}

/// The identity of this start of the machine: a recorded pid means nothing in another.
///
/// # Errors
/// Where the kernel does not say.
pub fn boot_id() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The living descendants of `root`, each seen to be one while it was alive.
///
/// A tree that changes meanwhile may hide some: who needs all asks again until it has the kernel's word that none is
/// left.
pub(crate) fn descendants(root: &Process) -> Vec<Process> {
    let mut found: Vec<Process> = children_of(root, root.pid);
    let mut known: HashSet<Key> = found.iter().map(Process::key).collect();
    let mut next = 0;
    while next < found.len() {
        for child in children_of(&found[next], root.pid) {
            if known.insert(child.key()) {
                found.push(child);
            }
        }
        next += 1;
    }
    // They were held against `root`'s number too: it must have been its own all along.
    if root.exited() { Vec::new() } else { found }
}

/// The living children of `parent`. One that was meanwhile given to `heir` (its parent has just ended) counts too.
fn children_of(parent: &Process, heir: Pid) -> Vec<Process> {
    let is_child = |child: &Process| {
        let given = child.stat.parent;
        given == parent.pid.as_raw_pid() || given == heir.as_raw_pid()
    };
    let children: Vec<Process> =
        listed_children(parent.pid).into_iter().filter_map(Process::open).filter(is_child).collect();
    // A parent that has ended may have lent its number to a stranger, whose children these might be.
    if parent.exited() { Vec::new() } else { children }
}

/// The numbers of a process's children, zombies included, as `/proc` lists them.
pub(crate) fn listed_children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_pid();
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => children.extend(list.split_ascii_whitespace().filter_map(parse_pid)),
            // The thread has ended; its children, if any, are listed under another.
            Err(_) if thread.path().exists() => return scanned_children(parent),
            Err(_) => {}
        }
    }
    children
}

/// For a kernel without `CONFIG_PROC_CHILDREN`: every process of the machine is asked for its parent.
fn scanned_children(parent: i32) -> Vec<Pid> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| parse_pid(entry.file_name().to_str()?))
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

pub(crate) fn parse_pid(text: &str) -> Option<Pid> {
    text.parse::<i32>().ok().filter(|raw| *raw > 0).and_then(Pid::from_raw)
}

/// The command is in parentheses and may hold any byte, parentheses too: what follows is counted from the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let command = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat { command, parent: fields.get(1)?.parse().ok()?, start: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_contain_parentheses_and_spaces() {
        let line = b"77 (a) b (c) S 12 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n";
        let parsed = parse_stat(line).expect("a whole line");
        assert_eq!(parsed, Stat { command: "a) b (c".to_owned(), parent: 12, start: 987_654 });
    }

    #[test]
    fn a_torn_line_is_not_half_read() {
        assert_eq!(parse_stat(b"77 (a) S 12 77"), None);
        assert_eq!(parse_stat(b"77 (a"), None);
    }

    #[test]
    fn this_process_is_alive_and_no_descendant_of_its_child() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        let sleeper = Process::open(pid).expect("it lives");
        let own = Process::open(rustix::process::getpid()).expect("we live");
        assert!(children_of(&own, own.pid).iter().any(|found| found.key() == sleeper.key()));
        assert!(descendants(&sleeper).is_empty());

        assert_eq!(sleeper.signal(Signal::KILL), Ok(true));
        child.wait().expect("reaped");
        assert!(sleeper.exited());
        assert_eq!(sleeper.signal(Signal::KILL), Ok(false), "nobody is signalled in its place");
        assert!(Process::open(pid).is_none());
    }
}
