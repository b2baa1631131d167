//! The process of one task.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use neap_protocol::executor::Signal;
use neap_protocol::task::{Command, Exit};
use rustix::process::{
    Pid, PidfdFlags, Signal as Kill, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use super::OWN_VARIABLES;

/// A process of this executor, which nobody else waits for: its pidfd is its own until it is reaped here.
pub(super) struct Process {
    child: Child,
    /// Its number, and its group's.
    pid: Pid,
    pidfd: OwnedFd,
}

/// Starts `command` in this directory, the sandbox, without a shell; its streams go to the ends of the files
/// `stdout` and `stderr`.
///
/// # Errors
/// What failed and what to do, for the task's update.
pub(super) fn start(command: &Command) -> Result<Process, String> {
    let output = |name: &str| {
        let opened = File::options().append(true).create(true).open(name);
        opened
            .map_err(|error| format!("failed to open {name} in the sandbox: {error}; check the slave's disk"))
    };
    let mut child = std::process::Command::new(&command.program);
    child.args(&command.arguments).envs(command.environment.iter().map(|(name, value)| (name, value)));
    // Who has these speaks as the executor.
    for name in OWN_VARIABLES {
        child.env_remove(name);
    }
    // What it starts is ended with it, where no slave is there to end the tree.
    let child =
        child.process_group(0).stdin(Stdio::null()).stdout(output("stdout")?).stderr(output("stderr")?);
    let mut child = child.spawn().map_err(|error| {
        format!(
            "failed to start {:?}: {error}; check that the slave has it and may execute it",
            command.program
        )
    })?;
    match watch(&child) {
        Ok((pid, pidfd)) => Ok(Process { child, pid, pidfd }),
        Err(error) => {
            // Unwatched it must not go on.
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("failed to watch {:?} (pidfd_open): {error}", command.program))
        }
    }
}

impl Process {
    /// How it ended, if it has. It keeps its number, and its group's, until it is reaped.
    pub(super) fn ended(&self) -> io::Result<Option<Exit>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        }))
    }

    /// Lets its number go; it has ended.
    pub(super) fn reap(mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }

    /// Sends it a signal; SIGKILL to its whole group, too. Who has ended gets none.
    pub(super) fn signal(&self, signal: Signal) {
        let sent = match signal {
            Signal::Term => pidfd_send_signal(&self.pidfd, Kill::TERM),
            // It may have left its group. That has its number until it is reaped, which is done here and nowhere else.
            Signal::Kill => {
                let itself = pidfd_send_signal(&self.pidfd, Kill::KILL);
                let group = kill_process_group(self.pid, Kill::KILL);
                itself.and(group)
            }
        };
        if let Err(error) = sent
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, ?signal, "failed to signal the task's process");
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn watch(child: &Child) -> io::Result<(Pid, OwnedFd)> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the system gave a process number that is none"))?;
    Ok((pid, pidfd_open(pid, PidfdFlags::empty())?))
}
