//! Control groups: each tree in one, killed and seen empty by the kernel.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;

use crate::command::{self, Command, LaunchError, Streams, check_name};
use crate::ending::{Log, PROCESSES_MAX};
use crate::proc::{Process, parse_pid};
use crate::sys::birth::{self, Newborn};
use crate::sys::watch::watch;
use crate::template::{CopyError, Offspring, Template};

/// The control group of a slave, in which its trees have theirs.
#[derive(Debug)]
pub(crate) struct Parent {
    path: PathBuf,
}

impl Parent {
    /// Makes the slave's control group below this process's own, and proves that a process can be born in one there
    /// and killed. The error says what failed.
    pub(crate) fn open(group_name: &str) -> Result<Parent, String> {
        let own = own_group()?;
        let path = own.join(group_name);
        let failed =
            |what: &str, path: &Path, error: io::Error| format!("{what} {}: {error}", path.display());
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("cannot make control group", &path, error)),
        }
        let parent = Parent { path };
        let probe = Group { path: parent.path.join(format!("probe-{}", std::process::id())) };
        // One that was killed just here may have had this process's number.
        let _mostly_none = probe.remove();
        let tried = probe.try_out();
        probe.remove().map_err(|error| failed("cannot remove control group", &probe.path, error))?;
        tried.map(|()| parent)
    }

    /// Starts `command` in a control group of its own.
    pub(crate) fn launch(&self, command: &Command) -> Result<(Process, Group), LaunchError> {
        let image = command.prepare()?;
        self.fill(&command.name, |group| {
            birth::leader(&image, Some(group)).map_err(|stillborn| command.explain(stillborn))
        })
    }

    /// Starts a copy of `template` in a control group of its own.
    pub(crate) fn copy(
        &self,
        template: &Template,
        offspring: &Offspring,
    ) -> Result<(Process, Group), CopyError> {
        check_name(&offspring.name)?;
        let streams = Streams::open(&offspring.directory, &offspring.stdout, &offspring.stderr)?;
        self.fill(&offspring.name, |group| template.copy(offspring, &streams, group))
    }

    /// Makes a control group and has its leader born there.
    fn fill<E: From<LaunchError>>(
        &self,
        name: &str,
        born: impl FnOnce(BorrowedFd<'_>) -> Result<Newborn, E>,
    ) -> Result<(Process, Group), E> {
        let group = self.group(name);
        let keeping = |errno: Errno| LaunchError::Keeping { path: group.path.clone(), source: errno.into() };
        rustix::fs::mkdir(&group.path, Mode::from_raw_mode(0o755)).map_err(|errno| match errno {
            Errno::EXIST => LaunchError::NameTaken(name.to_owned()),
            errno => keeping(errno),
        })?;
        let born = match group.open() {
            Ok(directory) => born(directory.as_fd()),
            Err(errno) => Err(keeping(errno).into()),
        };
        let known = born.and_then(|born| {
            let leader = Process::unreaped(born.pid, born.pidfd);
            leader.ok_or_else(|| LaunchError::NoProc.into())
        });
        match known {
            Ok(leader) => Ok((leader, group)),
            Err(error) => {
                // Mostly empty: a newborn that could not execute has been reaped.
                let _killed = group.kill();
                let _left_for_the_next_start = group.remove();
                Err(error)
            }
        }
    }

    fn group(&self, tree: &str) -> Group {
        Group { path: self.path.join(format!("{TREE_PREFIX}{tree}")) }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // Refused while a tree is in it: trees outlive their slave (R28).
        let _trees_are_left = fs::remove_dir(&self.path);
    }
}

/// The trees that earlier incarnations left, wherever this slave's control group was then: a slave that is started
/// from another session or service is in another control group.
pub(crate) fn leftovers(group_name: &str) -> Vec<(String, Group)> {
    let Ok(mount) = mount() else { return Vec::new() };
    let mut found = Vec::new();
    let mut unvisited = vec![mount.point];
    while let Some(directory) = unvisited.pop() {
        for child in directories(&directory) {
            if child.file_name().is_some_and(|name| name == group_name) {
                found.extend(directories(&child).into_iter().filter_map(|path| {
                    let name = path.file_name()?.to_str()?;
                    let tree = name.strip_prefix(TREE_PREFIX).unwrap_or(name).to_owned();
                    Some((tree, Group { path }))
                }));
            } else {
                unvisited.push(child);
            }
        }
    }
    found
}

/// One control group, with those that its processes made below it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> rustix::io::Result<OwnedFd> {
        rustix::fs::open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    fn try_out(&self) -> Result<(), String> {
        let at =
            |what: &str, error: &dyn std::fmt::Display| format!("{what} {}: {error}", self.path.display());
        fs::create_dir(&self.path).map_err(|error| at("cannot make control group", &error))?;
        let directory = self.open().map_err(|error| at("cannot open control group", &error))?;
        let image = command::empty_image().map_err(|error| error.to_string())?;
        let born = birth::leader(&image, Some(directory.as_fd()))
            .map_err(|stillborn| at("no process can be born in control group", &stillborn.errno))?;
        waitid(WaitId::PidFd(born.pidfd.as_fd()), WaitIdOptions::EXITED)
            .map_err(|error| at("cannot wait for a process of", &error))?;
        self.kill().map_err(|error| at("cannot kill (Linux 5.14 can) control group", &error))
    }

    /// Kills everything in it, at once and with no race: the kernel makes what forks meanwhile die too.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Err(error) if gone(&error) => Ok(()),
            result => result,
        }
    }

    /// Notes everybody who is in it, as killed now. Beyond what a report names it only counts.
    pub(crate) fn note_kill(&self, log: &mut Log) {
        let pids = self.pids();
        let named = pids.len().min(PROCESSES_MAX);
        for process in pids[..named].iter().filter_map(|pid| Process::open(*pid)) {
            log.sent(&process, Signal::KILL, None);
        }
        log.more((pids.len() - named) as u64);
    }

    /// The living members, each seen to be one while its pidfd was held.
    pub(crate) fn members(&self) -> Vec<Process> {
        let opened: Vec<Process> = self.pids().into_iter().filter_map(Process::open).collect();
        // A number may have gone to a stranger before it was opened; a stranger is not listed here.
        let still: HashSet<Pid> = self.pids().into_iter().collect();
        opened.into_iter().filter(|process| still.contains(&process.pid)).collect()
    }

    /// The member that began first of those that no other began: its leader, while that lives.
    pub(crate) fn eldest(&self) -> Option<Process> {
        let members = self.members();
        let pids: HashSet<i32> = members.iter().map(|process| process.pid.as_raw_pid()).collect();
        let roots = members.into_iter().filter(|process| !pids.contains(&process.stat.parent));
        roots.min_by_key(|process| process.stat.start)
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        let mut pids = Vec::new();
        let mut unvisited = vec![self.path.clone()];
        while let Some(group) = unvisited.pop() {
            // A threaded control group cannot be read, and need not: its processes are listed in the one above it.
            let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(listed.lines().filter_map(parse_pid));
            unvisited.extend(directories(&group));
        }
        pids
    }

    /// Whether a process is in it or below it, by the kernel's word.
    pub(crate) fn populated(&self) -> io::Result<bool> {
        match File::open(self.path.join(EVENTS)) {
            Ok(events) => populated(&events),
            Err(error) if gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until the kernel says that it is empty.
    pub(crate) async fn empty(&self) -> io::Result<()> {
        let events = match File::open(self.path.join(EVENTS)) {
            Ok(events) => watch(events, Interest::PRIORITY)?,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        while populated(events.get_ref())? {
            events.ready(Interest::PRIORITY).await?.clear_ready();
        }
        Ok(())
    }

    /// Removes it, and what its processes made below it, once it is empty. The kernel refuses otherwise.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for below in directories(&self.path) {
            Group { path: below }.remove()?;
        }
        match fs::remove_dir(&self.path) {
            Err(error) if gone(&error) => Ok(()),
            result => result,
        }
    }
}

fn populated(events: &File) -> io::Result<bool> {
    let mut text = [0; 256];
    match events.read_at(&mut text, 0) {
        Ok(read) => Ok(!text[..read].split(|byte| *byte == b'\n').any(|line| line == b"populated 0")),
        // Removed, which the kernel allows only when it is empty.
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_directory).map(|entry| entry.path()).collect()
}

/// Where control groups of version 2 are mounted, and which of them is at the top there.
struct Mount {
    point: PathBuf,
    root: PathBuf,
}

fn mount() -> Result<Mount, String> {
    let mounts =
        fs::read("/proc/self/mountinfo").map_err(|error| format!("cannot read mountinfo: {error}"))?;
    find_mount(&mounts).ok_or_else(|| "no cgroup2 file system is mounted".to_owned())
}

fn find_mount(mountinfo: &[u8]) -> Option<Mount> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let separator = fields.iter().position(|field| *field == b"-")?;
        (*fields.get(separator + 1)? == b"cgroup2").then_some(())?;
        Some(Mount { root: unescaped(fields.get(3)?), point: unescaped(fields.get(4)?) })
    })
}

/// In mountinfo a blank, tab, newline or backslash is a backslash and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field
            .get(at + 1..at + 4)
            .filter(|_| field[at] == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(field[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn own_group() -> Result<PathBuf, String> {
    let mount = mount()?;
    let lines =
        fs::read("/proc/self/cgroup").map_err(|error| format!("cannot read /proc/self/cgroup: {error}"))?;
    let own = lines
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .ok_or("this process is in no control group of version 2")?;
    let own = Path::new(std::ffi::OsStr::from_bytes(own));
    let below = own.strip_prefix(&mount.root).map_err(|_| {
        format!(
            "its control group {} is outside of what is mounted at {}",
            own.display(),
            mount.point.display()
        )
    })?;
    Ok(mount.point.join(below))
}

const TREE_PREFIX: &str = "tree-";
const EVENTS: &str = "cgroup.events";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_version_1_and_with_a_blank_in_its_path() {
        let lines = b"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            41 31 0:38 /job /sys/fs/a\\040b rw shared:7 - cgroup2 cgroup2 rw\n";
        let mount = find_mount(lines).expect("the second line");
        assert_eq!(mount.point, Path::new("/sys/fs/a b"));
        assert_eq!(mount.root, Path::new("/job"));
        assert!(find_mount(b"32 31 0:29 / /x rw - cgroup cgroup rw\n").is_none());
    }
}
