//! Where executors run, and in which files of theirs the streams of a task are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use neap_protocol::ids::{ExecutorId, TaskId};
use neap_protocol::message::LogStream;
use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};

/// The directory of every sandbox, `FRAMEWORK/EXECUTOR/`. Beside them `FRAMEWORK/TASK` is a link to the sandbox of
/// the framework's own executor that was given that task: it outlives what the slave remembers of either. A task of
/// the built-in executor needs none, for that one bears its number.
#[derive(Clone, Debug)]
pub(super) struct Sandboxes(PathBuf);

/// What there is of a stream.
#[derive(Debug)]
pub(super) enum Opened {
    /// Its file.
    File(File),
    /// A sandbox in which nothing was written to it.
    NotWritten,
    /// No sandbox.
    NoSandbox,
}

impl Sandboxes {
    /// Those in this directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where an executor runs.
    pub(super) fn of(&self, executor: ExecutorId) -> PathBuf {
        self.0.join(executor.framework.to_string()).join(executor.to_string())
    }

    /// Notes that a task was given to a framework's own executor.
    ///
    /// # Errors
    /// The system's: the task's streams will not be found.
    pub(super) fn note(&self, task: TaskId, own: ExecutorId) -> io::Result<()> {
        let (link, target) = (self.link(task), PathBuf::from(own.to_string()));
        match std::os::unix::fs::symlink(&target, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read_link(&link)? == target {
                    return Ok(());
                }
                fs::remove_file(&link)?;
                std::os::unix::fs::symlink(&target, &link)
            }
            done => done,
        }
    }

    /// Opens a stream of a task. Whoever runs there may have put anything in the place of its file: only a regular
    /// file is opened, by no link, and without waiting.
    ///
    /// # Errors
    /// The system's, and that what is there is no such file.
    pub(super) fn open(&self, task: TaskId, stream: LogStream) -> io::Result<Opened> {
        let (sandbox, name) = match fs::read_link(self.link(task)) {
            Ok(target) => (self.of(own(task, &target)?), format!("executor.{stream}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let built_in = ExecutorId { framework: task.framework, number: task.number };
                (self.of(built_in), stream.to_string())
            }
            Err(error) => return Err(error),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let sandbox = match open(&sandbox, flags | OFlags::DIRECTORY, Mode::empty()) {
            Ok(sandbox) => sandbox,
            Err(rustix::io::Errno::NOENT) => return Ok(Opened::NoSandbox),
            Err(error) => return Err(error.into()),
        };
        // A pipe without a writer would make it wait.
        let file = match openat(&sandbox, &name, flags | OFlags::NONBLOCK, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(Opened::NotWritten),
            Err(rustix::io::Errno::LOOP) => {
                return Err(io::Error::other(format!("{name} in the sandbox is a link")));
            }
            Err(error) => return Err(error.into()),
        };
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        match kind.is_file() {
            true => Ok(Opened::File(file.into())),
            false => Err(io::Error::other(format!("{name} in the sandbox is no file: {kind:?}"))),
        }
    }

    fn link(&self, task: TaskId) -> PathBuf {
        self.0.join(task.framework.to_string()).join(task.to_string())
    }
}

/// The executor that a task's link names.
fn own(task: TaskId, target: &Path) -> io::Result<ExecutorId> {
    let number = target.to_str().and_then(|name| name.strip_prefix(&format!("{}.x", task.framework)));
    let number = number.and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| io::Error::other(format!("the link of {task} is not the slave's")))?;
    Ok(ExecutorId { framework: task.framework, number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const STDOUT: LogStream = LogStream::Stdout;

    fn task(number: u32) -> TaskId {
        format!("F1.{number}").parse().unwrap()
    }

    fn executor(number: u32) -> ExecutorId {
        ExecutorId { framework: task(1).framework, number }
    }

    fn sandboxes() -> (tempfile::TempDir, Sandboxes) {
        let place = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(place.path().join("sandboxes"));
        (place, sandboxes)
    }

    fn text(opened: io::Result<Opened>) -> String {
        let Opened::File(mut file) = opened.unwrap() else { panic!("no file") };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_task_has_its_own_files_or_those_of_its_frameworks_executor() {
        let (_place, sandboxes) = sandboxes();
        assert!(matches!(sandboxes.open(task(3), STDOUT), Ok(Opened::NoSandbox)));
        fs::create_dir_all(sandboxes.of(executor(3))).unwrap();
        assert!(matches!(sandboxes.open(task(3), STDOUT), Ok(Opened::NotWritten)));
        fs::write(sandboxes.of(executor(3)).join("stdout"), "task's").unwrap();
        fs::write(sandboxes.of(executor(3)).join("executor.stdout"), "executor's").unwrap();
        fs::write(sandboxes.of(executor(3)).join("executor.stderr"), "").unwrap();
        assert_eq!(text(sandboxes.open(task(3), STDOUT)), "task's");
        for number in [3, 4, 4] {
            sandboxes.note(task(number), executor(3)).unwrap();
            assert_eq!(text(sandboxes.open(task(number), STDOUT)), "executor's");
        }
        assert_eq!(text(sandboxes.open(task(4), LogStream::Stderr)), "");
        // Noted anew, it is the newest that counts.
        sandboxes.note(task(4), executor(9)).unwrap();
        assert!(matches!(sandboxes.open(task(4), STDOUT), Ok(Opened::NoSandbox)));
    }

    #[test]
    fn nothing_but_a_file_of_the_sandbox_is_opened() {
        let (place, sandboxes) = sandboxes();
        let secret = place.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let sandbox = sandboxes.of(executor(1));
        fs::create_dir_all(&sandbox).unwrap();
        std::os::unix::fs::symlink(&secret, sandbox.join("stdout")).unwrap();
        let refused = sandboxes.open(task(1), STDOUT).unwrap_err();
        assert!(refused.to_string().contains("stdout in the sandbox is a link"), "{refused}");
        let pipe = sandbox.join("stderr");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let refused = sandboxes.open(task(1), LogStream::Stderr).unwrap_err();
        assert!(refused.to_string().contains("no file: Fifo"), "{refused}");
        // A whole sandbox, or the link of a task, that leads elsewhere.
        std::os::unix::fs::symlink(place.path(), sandboxes.of(executor(2))).unwrap();
        assert!(sandboxes.open(task(2), STDOUT).is_err());
        std::os::unix::fs::symlink("../..", sandboxes.link(task(5))).unwrap();
        let refused = sandboxes.open(task(5), STDOUT).unwrap_err();
        assert!(refused.to_string().contains("not the slave's"), "{refused}");
    }
}
