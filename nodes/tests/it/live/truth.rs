//! Which processes live, as the kernel says it: found by a mark in their environment or their directory, watched by
//! pidfds. No node is asked.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neap_protocol::task::Command;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{
    Pid, PidfdFlags, Resource, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit,
};

/// What a hostile task leaves running: three processes that ignore SIGTERM, two of them double-forked and in sessions
/// of their own. Each says that it is what it is to be, and then waits at a pipe that nobody writes to: a shell that
/// executed `sleep` would for a moment have no environment to be known by.
const HOSTILE: &str = r#"trap '' TERM
(setsid sh -c "$WAIT" &)
(setsid sh -c '(setsid sh -c "$WAIT" &)' &)
eval "$WAIT""#;
const WAIT: &str = r#"echo > "$READY"; read x < "$HOLD""#;

/// The processes of a hostile task, its executor included.
const HOSTILE_PROCESSES: usize = 4;

/// Tasks that are hard to end, and that say when they are there. Everything in the trees of a place's slaves is in a
/// directory of the place, or has the place's path in its environment: a task that of the pipe.
pub(crate) struct Hostiles {
    mark: String,
    ready: PathBuf,
    hold: PathBuf,
    said: File,
}

impl Hostiles {
    /// For the slaves of this place.
    pub(crate) fn new(place: &Path) -> Self {
        let place = &fs::canonicalize(place).expect("a place");
        let [ready, hold] = ["ready", "hold"].map(|name| {
            let path = place.join(name);
            pipe(&path);
            path
        });
        // Open for writing as well: it does not end while nobody else has it open.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let said = File::options().read(true).write(true).custom_flags(nonblocking).open(&ready);
        Self { mark: format!("{}/", place.display()), ready, hold, said: said.expect("a pipe to read") }
    }

    /// A task that is hostile.
    pub(crate) fn command(&self) -> Command {
        self.shell(HOSTILE)
    }

    /// A task that ends once it has said that it is there.
    pub(crate) fn caller(&self) -> Command {
        self.shell(r#"echo > "$READY""#)
    }

    /// A task of two processes, the second started by the first, both known by a mark. It asks for no trouble; the first
    /// ends when somebody writes to `bell`, a pipe that is made here.
    pub(crate) fn pair(&self, mark: &str, bell: &Path) -> Command {
        pipe(bell);
        let mut command = self.shell(r#"(eval "$WAIT") & echo > "$READY"; read x < "$BELL""#);
        let bell = bell.to_str().expect("a path in Unicode");
        command.environment.push(("MARK".to_owned(), mark.to_owned()));
        command.environment.push(("BELL".to_owned(), bell.to_owned()));
        command
    }

    fn shell(&self, script: &str) -> Command {
        let path = |path: &Path| path.to_str().expect("a path in Unicode").to_owned();
        let environment = vec![
            ("READY".to_owned(), path(&self.ready)),
            ("HOLD".to_owned(), path(&self.hold)),
            ("WAIT".to_owned(), WAIT.to_owned()),
        ];
        Command { program: "sh".to_owned(), arguments: vec!["-c".to_owned(), script.to_owned()], environment }
    }

    /// Waits until so many processes have said that they are there; when the last did.
    pub(crate) fn wait(&self, count: usize, patience: Duration) -> Result<Instant, String> {
        let give_up = Instant::now() + patience;
        let mut left = count;
        let mut bytes = [0; 512];
        loop {
            let most = left.min(bytes.len());
            match (&self.said).read(&mut bytes[..most]) {
                Ok(read) => left -= read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !readable(&self.said, give_up) {
                        return Err(format!("{left} of {count} processes were not there after {patience:?}"));
                    }
                }
                Err(error) => return Err(format!("cannot read what processes say: {error}")),
            }
            if left == 0 {
                return Ok(Instant::now());
            }
        }
    }

    /// Begins to watch everything that runs below the slaves of the place, which is so many hostile trees.
    pub(crate) fn watch(&self, trees: usize) -> Result<Watch, String> {
        let watch = Watch::of(&self.mark).map_err(|error| format!("cannot watch processes: {error}"))?;
        match watch.processes.len() >= trees * HOSTILE_PROCESSES {
            true => Ok(watch),
            false => Err(format!("{} processes are no {trees} hostile trees", watch.processes.len())),
        }
    }

    /// How many processes a hostile task starts that say that they are there.
    pub(crate) const fn sayers(trees: usize) -> usize {
        trees * (HOSTILE_PROCESSES - 1)
    }

    /// Everything that lives below the slaves of the place.
    pub(crate) fn living(&self) -> Vec<u32> {
        marked(&self.mark)
    }
}

fn pipe(path: &Path) {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).expect("a pipe");
}

/// Whatever happened, nothing of it outlives this value.
impl Drop for Hostiles {
    fn drop(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(10);
        while Instant::now() < give_up {
            let left = self.living();
            if left.is_empty() {
                return;
            }
            for process in left.into_iter().filter_map(|pid| open(pid, &self.mark)) {
                let _ended = pidfd_send_signal(&process, Signal::KILL);
            }
        }
    }
}

/// Processes whose end is seen.
pub(crate) struct Watch {
    processes: Vec<OwnedFd>,
    ends: OwnedFd,
}

impl Watch {
    /// Watches every process that has this mark now.
    pub(crate) fn of(mark: &str) -> io::Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit })?;
        let processes: Vec<OwnedFd> = marked(mark).into_iter().filter_map(|pid| open(pid, mark)).collect();
        let ends = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (at, process) in processes.iter().enumerate() {
            epoll::add(
                &ends,
                process,
                epoll::EventData::new_u64(at as u64),
                epoll::EventFlags::IN | epoll::EventFlags::ONESHOT,
            )?;
        }
        Ok(Self { processes, ends })
    }

    /// How many of them live.
    pub(crate) fn alive(&self) -> usize {
        let mut waited: Vec<_> = self.processes.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut waited, Some(&none)).map_or(waited.len(), |ended| waited.len() - ended)
    }

    /// Waits until all of them have ended; when the last did.
    pub(crate) fn last_end(&self, patience: Duration) -> Result<Instant, String> {
        let give_up = Instant::now() + patience;
        let mut left: HashSet<u64> = (0..self.processes.len() as u64).collect();
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 256];
        while !left.is_empty() {
            let wait = timespec(give_up.saturating_duration_since(Instant::now()));
            match epoll::wait(&self.ends, &mut events[..], Some(&wait)) {
                Ok(0) => return Err(format!("{} processes live after {patience:?}", left.len())),
                Ok(ended) => left.retain(|at| events[..ended].iter().all(|event| event.data.u64() != *at)),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(format!("cannot wait for the end of processes: {errno}")),
            }
        }
        Ok(Instant::now())
    }
}

/// The processes with this in their environment, or which are in a directory below it. Who has ended, a zombie too, has
/// neither any more.
fn marked(mark: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id() && has(*pid, mark)).collect()
}

fn has(pid: u32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let place = Path::new(mark);
    let below = directory.starts_with(place) && directory != place;
    below || environment.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// A handle of the living process that has this number and this mark.
fn open(pid: u32, mark: &str) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    // Looked at again: the number may have been another's before it was opened.
    has(pid, mark).then_some(process)
}

/// Waits until there is something to read, or until then.
pub(super) fn readable(fd: impl std::os::fd::AsFd, until: Instant) -> bool {
    loop {
        let wait = timespec(until.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&wait)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
}
