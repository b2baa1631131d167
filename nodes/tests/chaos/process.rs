//! `neap` as a process, whose logs and output are files of the cluster's place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Longer than anything takes on a machine that is busy; what waits so long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether something has come about that nobody tells.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Where a cluster runs.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let path = tempfile::Builder::new().prefix("neap-chaos-").tempdir().expect("a directory").keep();
        let path = path.canonicalize().expect("a directory that is there");
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where to look for a cause.
    pub(crate) fn kept(&self) -> String {
        format!("logs, journals and ledgers are kept in {}", self.path.display())
    }

    /// Leaves nothing.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        fs::remove_dir_all(&self.path)
    }

    /// `neap` with these words, not yet started; its stderr is this file's end.
    pub(crate) fn neap(&self, words: &str, log: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neap"));
        let path = std::env::var_os("PATH").expect("a PATH");
        command.args(words.split_whitespace()).env_clear().env("PATH", path);
        // More where the developer looks for a cause; not less, for it is waited for what is logged.
        let more = std::env::var("NEAP_LOG").unwrap_or_default();
        let filter = format!("warn,neap=info,{more}");
        command.env("NEAP_LOG", filter).current_dir(&self.path).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(self.append(log));
        command
    }

    fn append(&self, file: &str) -> File {
        File::options().create(true).append(true).open(self.path.join(file)).expect("a log")
    }

    pub(crate) fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.path.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A running process; it is killed with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    what: String,
}

impl Process {
    pub(crate) fn start(mut command: Command, what: &str) -> Result<Self, String> {
        let child = command.spawn().map_err(|error| format!("{what} does not start: {error}"))?;
        Ok(Self { child, what: what.to_owned() })
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("a pipe that nobody has taken")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It is not reaped before it is waited for, so that the number is still its own.
        kill_process(Pid::from_child(&self.child), signal).expect("a process to signal");
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, which must have this code.
    pub(crate) fn ends_with(mut self, code: i32) -> Result<(), String> {
        let ended = self.code(PATIENCE)?;
        match ended == Some(code) {
            true => Ok(()),
            false => Err(format!("{} ended with {ended:?}, not {code}", self.what)),
        }
    }

    /// Waits for its end: the code, or `None` where a signal ended it.
    pub(crate) fn code(&mut self, patience: Duration) -> Result<Option<i32>, String> {
        if let Ok(Some(ended)) = self.child.try_wait() {
            return Ok(ended.code());
        }
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty());
        let process = process.map_err(|errno| format!("{} cannot be watched: {errno}", self.what))?;
        let give_up = Instant::now() + patience;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(format!("{} does not end within {patience:?}", self.what)),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(format!("{} cannot be waited for: {errno}", self.what)),
            }
        }
        Ok(self.child.wait().map_err(|error| format!("{}: {error}", self.what))?.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Waits until it is so; `Err` is what is missing.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(there) => return Ok(there),
            Err(missing) if Instant::now() > give_up => {
                return Err(format!("{what} did not come about within {PATIENCE:?}: {missing}"));
            }
            Err(_missing) => std::thread::sleep(LOOK),
        }
    }
}
