//! Which processes live, as the kernel says it. No node is asked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A living process that is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) directory: PathBuf,
    pub(crate) command: String,
    /// Its process group.
    pub(crate) group: u32,
}

impl Process {
    /// Whether it is an executor, and no task.
    pub(crate) fn is_executor(&self) -> bool {
        self.command.contains("neap executor")
    }
}

/// The living processes that are in a directory below this one: sandboxes have what runs in them, executors included.
/// One that has ended, a zombie too, is in no directory.
pub(crate) fn below(place: &Path) -> Vec<Process> {
    let process = |pid: u32| {
        let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        let is_below = directory.starts_with(place) && directory != place;
        let (command, group) = is_below.then(|| (command(pid), group(pid)))?;
        Some(Process { pid, directory, command, group: group? })
    };
    pids().filter_map(process).collect()
}

/// Whether a process is in a directory below this one.
pub(crate) fn is_below(pid: u32, place: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd"))
        .is_ok_and(|directory| directory.starts_with(place) && directory != place)
}

/// Whether a process is in this directory.
pub(crate) fn is_in(pid: u32, place: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == place)
}

/// A process's command line.
pub(crate) fn command(pid: u32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned()
}

/// A process's group, if it lives.
fn group(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may be anything in brackets: its state, its parent, its group.
    stat.rsplit_once(") ")?.1.split(' ').nth(2)?.parse().ok()
}

/// Every living process of a cluster: nodes are in its place, executors and tasks below it; what executors are copied
/// from has it in its command line, and tasks that go elsewhere have it in their environment.
pub(crate) fn all_of(place: &Path) -> Vec<u32> {
    pids().filter(|pid| is_of(*pid, place)).collect()
}

fn is_of(pid: u32, place: &Path) -> bool {
    let has = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let path = place.as_os_str().as_bytes();
        bytes.windows(path.len()).any(|window| window == path)
    };
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    directory.starts_with(place) || has("cmdline") || has("environ")
}

/// The control groups of slaves that these processes are in; none where trees are kept otherwise.
pub(crate) fn control_groups(processes: &[Process]) -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(root) =
        root.filter(|words| words.get(2) == Some(&"cgroup2")).map(|words| words[1].to_owned()).next()
    else {
        return BTreeSet::new();
    };
    let group = |process: &Process| {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).ok()?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let slave = Path::new(own).ancestors().find(|group| {
            group.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("neap-"))
        })?;
        Some(Path::new(&root).join(slave))
    };
    processes.iter().filter_map(group).collect()
}

/// Kills everything of a cluster, until nothing of it lives.
pub(crate) fn end_all_of(place: &Path) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while Instant::now() < give_up {
        let left = all_of(place);
        if left.is_empty() {
            return;
        }
        for pid in left {
            signal(pid, Signal::KILL, |pid| is_of(pid, place));
        }
    }
}

/// Sends a process a signal, if it still is the one that is meant. Whether it is.
pub(crate) fn signal(pid: u32, signal: Signal, is_meant: impl Fn(u32) -> bool) -> bool {
    let Some(number) = Pid::from_raw(pid.cast_signed()) else { return false };
    let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return false };
    // Looked at once it is held: the number may have been another's before.
    is_meant(pid) && pidfd_send_signal(&process, signal).is_ok()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
