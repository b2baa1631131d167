//! A place for trees, whose processes are known by a mark in their environment and never outlive a test.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neap_process_tree::{Command, Means, OpenError, Options, Tree, Trees};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

/// What a test of one means needs.
pub(crate) struct Sandbox {
    pub(crate) trees: Option<Trees>,
    pub(crate) means: Means,
    pub(crate) ready: Ready,
    directory: tempfile::TempDir,
    mark: String,
}

impl Sandbox {
    /// `None`, said aloud, where this machine does not have the means.
    pub(crate) fn open(means: Means) -> Option<Sandbox> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let trees = match Trees::open(options(directory.path(), Some(means))) {
            Ok(trees) => trees,
            Err(error @ OpenError::Unavailable { .. }) => {
                eprintln!("skipped: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(trees.means(), means);
        Some(Sandbox::around(trees, directory))
    }

    pub(crate) fn around(trees: Trees, directory: tempfile::TempDir) -> Sandbox {
        let means = trees.means();
        let ready = Ready::new(directory.path());
        let mark = mark_of(directory.path());
        Sandbox { trees: Some(trees), means, ready, directory, mark }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn trees(&self) -> &Trees {
        self.trees.as_ref().expect("open")
    }

    /// A command that runs a shell script, marked.
    pub(crate) fn shell(&self, name: &str, script: &str) -> Command {
        shell(self.path(), name, script)
    }

    pub(crate) fn launch(&self, name: &str, script: &str) -> Tree {
        self.trees().launch(&self.shell(name, script)).expect("launched")
    }

    /// The living processes of all trees of this sandbox.
    pub(crate) fn alive(&self) -> Vec<Pid> {
        marked(&self.mark)
    }

    /// The same, once they are no more than these many. A script's helpers, whose whole work is to start another process,
    /// may still be on their way out when what they started is ready: a list that has one of them is not yet of those
    /// that stay.
    pub(crate) async fn settled(&self, count: usize) -> Vec<Pid> {
        let one_ends = async {
            loop {
                let alive = self.alive();
                if alive.len() <= count {
                    return alive;
                }
                one_of_them_ends(&alive).await;
            }
        };
        within("all but those that stay have ended", one_ends).await
    }

    pub(crate) fn assert_all_dead(&self) {
        let alive = self.alive();
        let lines: Vec<_> = alive
            .iter()
            .map(|pid| fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default())
            .collect();
        assert!(lines.is_empty(), "alive: {lines:?}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        clear(&self.mark);
        drop(self.trees.take());
        for group in groups_of(self.path()) {
            remove_group(&group);
        }
    }
}

/// The options of every incarnation whose state is in this directory.
pub(crate) fn options(directory: &Path, means: Option<Means>) -> Options {
    Options { name: "s".to_owned(), state: directory.join("state"), means }
}

pub(crate) fn shell(directory: &Path, name: &str, script: &str) -> Command {
    Command::new(name, "sh", directory).arguments(["-c", script]).variable(MARK, mark_of(directory))
}

/// Three processes that ignore SIGTERM, two of them double-forked and in sessions of their own; each says `ready`
/// when it is what it is to be, and then waits at a pipe that nobody writes to: a shell that executed `sleep` would
/// for a moment have no environment to be known by.
pub(crate) const HOSTILE: &str = "trap '' TERM
    (setsid sh -c 'echo ready > ready; read x < hold' &)
    (setsid sh -c '(setsid sh -c \"echo ready > ready; read x < hold\" &)' &)
    echo ready > ready
    read x < hold";
pub(crate) const HOSTILE_PROCESSES: usize = 3;

/// A pipe with a name, `ready`, in which scripts say that they are; and another, `hold`, which holds them.
pub(crate) struct Ready(tokio::sync::Mutex<BufReader<pipe::Receiver>>);

impl Ready {
    pub(crate) fn new(directory: &Path) -> Ready {
        let path = directory.join("ready");
        for path in [&path, &directory.join("hold")] {
            rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)
                .expect("a pipe");
        }
        Ready(tokio::sync::Mutex::new(BufReader::new(receiver(&path))))
    }

    /// Waits until so many more have said it.
    pub(crate) async fn times(&self, count: usize) {
        let mut lines = self.0.lock().await;
        let mut line = String::new();
        for _ in 0..count {
            within("a script is ready", lines.read_line(&mut line)).await.expect("read");
        }
    }
}

fn receiver(path: &Path) -> pipe::Receiver {
    // Open for writing as well: it does not end while nobody else has it open.
    pipe::OpenOptions::new().read_write(true).open_receiver(path).expect("a pipe to read")
}

/// A bound on what a broken build would wait for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within 30 s"),
    }
}

/// Waits until one of these has ended, seen by its descriptor; who has none has ended.
async fn one_of_them_ends(processes: &[Pid]) {
    let opened: Result<Vec<_>, _> =
        processes.iter().map(|pid| pidfd_open(*pid, PidfdFlags::empty())).collect();
    let Ok(pidfds) = opened else {
        return;
    };
    let one_ends = tokio::task::spawn_blocking(move || {
        let mut watched: Vec<_> = pidfds.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)).collect();
        poll(&mut watched, Some(&Timespec { tv_sec: 30, tv_nsec: 0 }))
    });
    one_ends.await.expect("not cancelled").expect("watched");
}

fn mark_of(directory: &Path) -> String {
    directory.display().to_string()
}

fn marked(mark: &str) -> Vec<Pid> {
    let needle = format!("{MARK}={mark}");
    let all = fs::read_dir("/proc").expect("/proc");
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // Who has ended, a zombie too, has no environment any more.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == needle.as_bytes())
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Kills what a failed test left.
fn clear(mark: &str) {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let alive = marked(mark);
        if alive.is_empty() || Instant::now() > give_up {
            return;
        }
        for pid in alive {
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            if marked(mark).contains(&pid) {
                let _gone = pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
    }
}

/// The control groups that trees of this directory have, found as an operator would: by name.
pub(crate) fn groups_of(directory: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let mounted = mounts.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        (fields.get(2) == Some(&"cgroup2")).then(|| PathBuf::from(fields[1]))
    });
    let mut unvisited: Vec<PathBuf> = mounted.take(1).collect();
    let mut found = Vec::new();
    let state = directory.join("state").display().to_string();
    let hash = fnv1a(&state);
    while let Some(group) = unvisited.pop() {
        for entry in fs::read_dir(&group).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_str() == Some(&format!("neap-s-{hash:016x}")) {
                found.push(entry.path());
            } else {
                unvisited.push(entry.path());
            }
        }
    }
    found
}

/// What groups are called by, and records are checked by.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _in_use = fs::remove_dir(group);
}

const MARK: &str = "NEAP_TEST_MARK";
