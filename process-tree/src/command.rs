//! What is launched, and why it may not be.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::birth::{self, Image, Step, Stillborn};

/// A program to start as the leader of a tree.
///
/// It starts in a session of its own, with standard input from `/dev/null`, no other descriptor of the slave's, no
/// signal blocked, every signal at its default, and exactly the environment given here.
#[derive(Clone, Debug)]
pub struct Command {
    /// The tree's name: 1 to 200 of `A–Z a–z 0–9 . _ -`. No other living tree of the same [`Trees`](crate::Trees)
    /// has it.
    pub name: String,
    /// The program. Without a `/` it is looked for in the `PATH` of `env`, or else in
    /// `/usr/local/bin:/usr/bin:/bin`; a relative path counts from `directory`.
    pub program: OsString,
    /// The arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// The whole environment: nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The sandbox: the directory to start in. It must exist.
    pub directory: PathBuf,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
}

/// Where a stream of a program goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    Null,
    /// To the end of this file, which is made if it is not there; a relative path counts from the sandbox.
    File(PathBuf),
}

impl Command {
    /// A program without arguments or environment, its output in `stdout` and `stderr` in its sandbox.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<OsString>,
        directory: impl Into<PathBuf>,
    ) -> Command {
        Command {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.into(),
            stdout: Output::File("stdout".into()),
            stderr: Output::File("stderr".into()),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Command {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Command {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Checks and opens everything that the newborn needs.
    pub(crate) fn prepare(&self) -> Result<Image, LaunchError> {
        check_name(&self.name)?;
        let directory = open_directory(&self.directory)?;
        let program = self.resolve(&directory)?;
        let mut arguments = vec![terminated(&self.program)?];
        for argument in &self.arguments {
            arguments.push(terminated(argument)?);
        }
        let mut environment = Vec::with_capacity(self.environment.len());
        for (name, value) in &self.environment {
            environment.push(variable(name, value)?);
        }
        let streams = open_streams(&directory, &self.stdout, &self.stderr)?;
        let program = Some(terminated(program.as_os_str())?);
        Ok(Image { program, arguments, environment, directory, streams })
    }

    fn resolve(&self, directory: &OwnedFd) -> Result<PathBuf, LaunchError> {
        if self.program.as_bytes().contains(&b'/') {
            return Ok(PathBuf::from(&self.program));
        }
        let given =
            self.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let searched = given.unwrap_or_else(|| DEFAULT_PATH.into());
        let executable = |candidate: &PathBuf| {
            let at =
                rustix::fs::accessat(directory, candidate, Access::EXEC_OK, rustix::fs::AtFlags::EACCESS);
            let kind = rustix::fs::statat(directory, candidate, rustix::fs::AtFlags::empty());
            at.is_ok() && kind.is_ok_and(|kind| rustix::fs::FileType::from_raw_mode(kind.st_mode).is_file())
        };
        std::env::split_paths(&searched)
            .map(|place| place.join(&self.program))
            .find(executable)
            .ok_or_else(|| LaunchError::NotInPath { program: self.program.clone(), searched })
    }

    /// Names the cause of a birth that failed.
    pub(crate) fn explain(&self, stillborn: Stillborn) -> LaunchError {
        let program = self.program.clone();
        match (stillborn.step, stillborn.errno) {
            (Step::Execute, Errno::NOENT) if self.exists() => LaunchError::NoInterpreter { program },
            (Step::Execute, Errno::NOENT | Errno::NOTDIR) => LaunchError::NoSuchProgram { program },
            (Step::Execute, Errno::ACCESS | Errno::PERM) => LaunchError::NotExecutable { program },
            (Step::Execute, Errno::NOEXEC) => LaunchError::NotAProgram { program },
            (Step::Execute, Errno::TOOBIG) => LaunchError::TooLong,
            (Step::Execute, Errno::TXTBSY) => LaunchError::BeingWritten { program },
            _ => explain(&self.directory, stillborn),
        }
    }

    fn exists(&self) -> bool {
        self.directory.join(&self.program).exists() || !self.program.as_bytes().contains(&b'/')
    }
}

/// Names the cause of a birth in `directory` that failed, whatever was to be executed.
pub(crate) fn explain(directory: &Path, stillborn: Stillborn) -> LaunchError {
    match (stillborn.step, stillborn.errno) {
        (Step::Clone, Errno::AGAIN) => LaunchError::TooManyProcesses,
        (Step::Clone, Errno::MFILE | Errno::NFILE) => LaunchError::TooManyFiles,
        (_, Errno::NOMEM) => LaunchError::OutOfMemory,
        (Step::Directory, errno) => directory_error(directory, errno),
        (step, errno) => LaunchError::System { doing: doing(step), source: errno.into() },
    }
}

/// What a leader needs beside its program.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) directory: OwnedFd,
    /// Standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
}

impl Streams {
    pub(crate) fn open(directory: &Path, stdout: &Output, stderr: &Output) -> Result<Streams, LaunchError> {
        let directory = open_directory(directory)?;
        let streams = open_streams(&directory, stdout, stderr)?;
        Ok(Streams { directory, streams })
    }
}

fn open_streams(directory: &OwnedFd, stdout: &Output, stderr: &Output) -> Result<[OwnedFd; 3], LaunchError> {
    Ok([
        open_stream(directory, Path::new("/dev/null"), OFlags::RDONLY)?,
        open_output(directory, stdout)?,
        open_output(directory, stderr)?,
    ])
}

/// Why a tree was not launched. Nothing of it is left, except its output files, which may have been made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The name could not be a file's.
    #[error(
        "tree name {0:?} cannot be used: take 1 to 200 letters, digits, `.`, `_` or `-`, not beginning with `.`"
    )]
    Name(String),
    /// A tree of that name is there, alive or not yet cleared away.
    #[error("a process tree named {0:?} is already there: end it first, or choose another name")]
    NameTaken(String),
    /// A string with a zero byte.
    #[error("{0:?} contains a zero byte, which no argument, variable or path can: remove it")]
    ZeroByte(OsString),
    /// A variable's name that is empty or has a `=`.
    #[error("environment variable name {0:?} is empty or contains `=`: correct it")]
    VariableName(OsString),
    /// No such program in `PATH`.
    #[error(
        "no program {program:?} that can be executed in {searched:?}: install it, set PATH in the task's \
         environment, or give its whole path"
    )]
    NotInPath {
        /// As it was given.
        program: OsString,
        /// The directories that were searched.
        searched: OsString,
    },
    /// No such file.
    #[error(
        "no program {program:?}: install it on this host or correct the path (it counts from the sandbox)"
    )]
    NoSuchProgram {
        /// As it was given.
        program: OsString,
    },
    /// The file is there and what should interpret it is not.
    #[error("program {program:?} is there but its interpreter or loader is not: see its `#!` line, or `ldd`")]
    NoInterpreter {
        /// As it was given.
        program: OsString,
    },
    /// Not executable by this user.
    #[error("program {program:?} may not be executed by this user: `chmod +x` it, or check `noexec` mounts")]
    NotExecutable {
        /// As it was given.
        program: OsString,
    },
    /// Not in an executable format.
    #[error(
        "{program:?} is not a program for this machine: a script needs a `#!` line, a binary this architecture"
    )]
    NotAProgram {
        /// As it was given.
        program: OsString,
    },
    /// Somebody has the program open for writing.
    #[error("program {program:?} is still being written: launch it once it is complete and closed")]
    BeingWritten {
        /// As it was given.
        program: OsString,
    },
    /// Arguments and environment exceed what the kernel takes.
    #[error("arguments and environment are too long together: pass the data in a file")]
    TooLong,
    /// The sandbox cannot be entered.
    #[error("cannot use sandbox directory {directory}: {source}; make it, and let this user enter it")]
    Directory {
        /// The sandbox.
        directory: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// An output file cannot be opened.
    #[error(
        "cannot open {file} for the program's streams: {source}; check its directory, permissions and disk"
    )]
    Stream {
        /// The file.
        file: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// The kernel gives no more processes.
    #[error(
        "the limit of processes is reached: raise `ulimit -u` or the control group's pids.max, or run fewer tasks"
    )]
    TooManyProcesses,
    /// The slave may not open more files.
    #[error(
        "the limit of open files is reached: raise `ulimit -n` of the slave, which needs 2 for each tree"
    )]
    TooManyFiles,
    /// The kernel has no memory for it.
    #[error("no memory to start a process: run fewer tasks on this host")]
    OutOfMemory,
    /// The tree's control group or record could not be made.
    #[error("cannot keep the tree together by {path}: {source}; check that this user may write there")]
    Keeping {
        /// The control group, or the record.
        path: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// `/proc` does not show the process that was just started.
    #[error(
        "cannot see the process just started in /proc: mount proc there, without `hidepid` for this user's own"
    )]
    NoProc,
    /// Anything else that the kernel refused.
    #[error("cannot start the program: {doing} failed: {source}")]
    System {
        /// The call that failed.
        doing: &'static str,
        /// The kernel's word.
        source: std::io::Error,
    },
}

/// An image that exits at once, to try a means out.
pub(crate) fn empty_image() -> Result<Image, LaunchError> {
    let directory = open_directory(Path::new("/"))?;
    let null = || open_stream(&directory, Path::new("/dev/null"), OFlags::RDWR);
    let streams = [null()?, null()?, null()?];
    Ok(Image { program: None, arguments: Vec::new(), environment: Vec::new(), directory, streams })
}

pub(crate) fn check_name(name: &str) -> Result<(), LaunchError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let usable = (1..=200).contains(&name.len()) && name.bytes().all(known) && !name.starts_with('.');
    if usable { Ok(()) } else { Err(LaunchError::Name(name.to_owned())) }
}

fn open_directory(directory: &Path) -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).and_then(birth::above_standard);
    opened.map_err(|errno| directory_error(directory, errno))
}

fn directory_error(directory: &Path, errno: Errno) -> LaunchError {
    match errno {
        Errno::MFILE | Errno::NFILE => LaunchError::TooManyFiles,
        errno => LaunchError::Directory { directory: directory.to_owned(), source: errno.into() },
    }
}

fn open_output(directory: &OwnedFd, output: &Output) -> Result<OwnedFd, LaunchError> {
    match output {
        Output::Null => open_stream(directory, Path::new("/dev/null"), OFlags::WRONLY),
        Output::File(file) => open_stream(directory, file, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND),
    }
}

fn open_stream(directory: &OwnedFd, file: &Path, flags: OFlags) -> Result<OwnedFd, LaunchError> {
    // Not to become the controlling terminal, and not to wait for the reader of a pipe that somebody left there.
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let opened = rustix::fs::openat(directory, file, flags, mode).and_then(birth::above_standard);
    let stream = opened.map_err(|errno| match errno {
        Errno::MFILE | Errno::NFILE => LaunchError::TooManyFiles,
        errno => LaunchError::Stream { file: file.to_owned(), source: errno.into() },
    })?;
    let blocking = rustix::fs::fcntl_getfl(&stream)
        .and_then(|flags| rustix::fs::fcntl_setfl(&stream, flags.difference(OFlags::NONBLOCK)));
    blocking.map_err(|errno| LaunchError::Stream { file: file.to_owned(), source: errno.into() })?;
    Ok(stream)
}

fn terminated(string: &OsStr) -> Result<CString, LaunchError> {
    CString::new(string.as_bytes()).map_err(|_| LaunchError::ZeroByte(string.to_owned()))
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, LaunchError> {
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return Err(LaunchError::VariableName(name.to_owned()));
    }
    let mut whole = name.to_owned();
    whole.push("=");
    whole.push(value);
    terminated(&whole)
}

fn doing(step: Step) -> &'static str {
    match step {
        Step::Clone => "making a process (clone3)",
        Step::Session => "making a session (setsid)",
        Step::Directory => "entering the sandbox (fchdir)",
        Step::Streams => "placing its streams (dup2)",
        Step::CloseOnExec => "shutting the slave's files out (close_range, Linux 5.11)",
        Step::Execute => "executing it (execve)",
        Step::Map => "mapping this user into a user namespace",
        Step::Subreaper => "becoming a subreaper (prctl)",
        Step::Report => "waiting for its supervisor's word",
    }
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
