//! Leaders that are copies of a running program, and not executed anew.
//!
//! To execute a program and load it costs more than most small tasks do. A [`Template`] is a program that has done both
//! and waits; each leader is then a copy of it, born in its tree's control group as the *slave's* own child. There are
//! templates only where trees are kept by control groups: a supervisor's leader must be the supervisor's child.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::command::{Command, LaunchError, Output, Streams};
use crate::sys::birth::{self, Newborn, Step, Stillborn};
use crate::sys::fork;

/// A running program of which leaders are copies. It ends with this value, or with its slave.
#[derive(Debug)]
pub struct Template {
    process: Newborn,
    socket: OwnedFd,
}

/// A tree whose leader is to be a copy of a template.
#[derive(Clone, Debug)]
pub struct Offspring {
    /// The tree's name, by the rules of [`Command::name`].
    pub name: String,
    /// The sandbox: the directory that the leader is in. It must exist.
    pub directory: PathBuf,
    /// Where its standard output goes.
    pub stdout: Output,
    /// Where its standard error goes.
    pub stderr: Output,
    /// What the leader is told: at most [`WORD_MAX`] bytes, and at least one.
    pub word: Vec<u8>,
}

/// The most bytes that a leader is told.
pub const WORD_MAX: usize = 16 * 1024;

/// Why no copy was made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The template is of no use any more: a fresh one may be, and so may executing the program.
    #[error("the program that leaders are copied from does not answer: {0}")]
    Template(io::Error),
    /// Nor would executing it help.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

impl Template {
    /// Starts the program, which is to call [`copies`] as soon as its copies have nothing more in common. It has the
    /// command's environment, directory and streams, but for its standard input, by which copies are asked of it; its
    /// copies have that environment, too. The command's name is not used.
    ///
    /// # Errors
    /// [`LaunchError`] says what was wrong and what to do; nothing is running then.
    pub fn start(command: &Command) -> Result<Template, LaunchError> {
        let failed = |errno: Errno| LaunchError::System {
            doing: "making a way to the template (socketpair)",
            source: errno.into(),
        };
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER)).map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Send, Some(ANSWER)).map_err(failed)?;
        let mut image = command.prepare()?;
        image.streams[0] = birth::above_standard(theirs).map_err(failed)?;
        let process = birth::leader(&image, None).map_err(|stillborn| command.explain(stillborn))?;
        Ok(Template { process, socket })
    }

    /// Makes a copy in this control group. It has been born, and is not yet waited for.
    pub(crate) fn copy(
        &self,
        offspring: &Offspring,
        streams: &Streams,
        group: BorrowedFd<'_>,
    ) -> Result<Newborn, CopyError> {
        let Streams { directory, streams: [stdin, stdout, stderr] } = streams;
        let fds = [group, directory.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let answer = self.ask(&offspring.word, &fds).map_err(CopyError::Template)?;
        let born = |pid: Pid| {
            // Its parent is this process, which has not waited for it: the number is its own.
            let pidfd = pidfd_open(pid, PidfdFlags::empty());
            pidfd.map(|pidfd| Newborn { pid, pidfd }).map_err(|errno| CopyError::Template(errno.into()))
        };
        match answer {
            Answer::Born(pid) => born(pid),
            Answer::Stillborn(pid, stillborn) => {
                if let Some(pid) = pid {
                    birth::reap(&born(pid)?);
                }
                Err(CopyError::Launch(crate::command::explain(&offspring.directory, stillborn)))
            }
        }
    }

    fn ask(&self, word: &[u8], fds: &[BorrowedFd<'_>; FDS]) -> io::Result<Answer> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(fds));
        // A shorter one could not be told from the end.
        if !(1..=WORD_MAX).contains(&word.len()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "what a leader is told is empty or too long",
            ));
        }
        sendmsg(&self.socket, &[IoSlice::new(word)], &mut rights, SendFlags::NOSIGNAL)?;
        let mut bytes = [0; Answer::BYTES];
        match recv(&self.socket, &mut bytes[..], RecvFlags::empty())?.0 {
            Answer::BYTES => Ok(Answer::decode(bytes)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // It holds nothing that it would have to put in order.
        let _ended = pidfd_send_signal(&self.process.pidfd, Signal::KILL);
        birth::reap(&self.process);
    }
}

/// In the program that a [`Template`] started: waits until copies are asked for, and makes them. **Returns in each copy**,
/// with what that leader is told; and in the template itself once its slave has gone, with `None`.
///
/// A copy has a session of its own, its streams and its directory, and no descriptor but those that this program
/// had opened itself.
///
/// # Errors
/// Where there is more than one thread, whose locks a copy might find held for ever; or where standard input is not
/// what a template gets.
pub fn copies() -> io::Result<Option<Vec<u8>>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a program with several threads cannot be copied"));
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    loop {
        let Some((word, fds)) = hear(&socket)? else { return Ok(None) };
        match fork::sibling(fds[0].as_fd()) {
            Err(errno) => answer(&socket, Answer::Stillborn(None, Stillborn { step: Step::Clone, errno }))?,
            Ok(fork::Who::Original) => {}
            Ok(fork::Who::Copy) => {
                let pid = rustix::process::getpid();
                match settle(fds) {
                    Ok(()) => answer(&socket, Answer::Born(pid))?,
                    Err(stillborn) => {
                        answer(&socket, Answer::Stillborn(Some(pid), stillborn))?;
                        std::process::exit(STILLBORN);
                    }
                }
                return Ok(Some(word));
            }
        }
    }
}

type Heard = (Vec<u8>, [OwnedFd; FDS]);

/// The next copy that is asked for, or `None` where the slave has gone.
fn hear(socket: &OwnedFd) -> io::Result<Option<Heard>> {
    let mut word = vec![0; WORD_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let heard = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut word)], &mut rights, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            heard => break heard?,
        }
    };
    let fds: Vec<OwnedFd> = rights
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            // Nobody asked for it.
            RecvAncillaryMessage::ScmCredentials(_) | _ => Vec::new(),
        })
        .collect();
    if heard.bytes == 0 {
        return Ok(None);
    }
    word.truncate(heard.bytes);
    match fds.try_into() {
        Ok(fds) if !heard.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) => Ok(Some((word, fds))),
        Ok(_) | Err(_) => Err(io::Error::other("what was asked for is cut short")),
    }
}

/// Makes a copy what a leader is.
fn settle([_group, directory, stdin, stdout, stderr]: [OwnedFd; FDS]) -> Result<(), Stillborn> {
    let at = |step: Step| move |errno: Errno| Stillborn { step, errno };
    rustix::process::setsid().map_err(at(Step::Session))?;
    rustix::process::fchdir(&directory).map_err(at(Step::Directory))?;
    let places = [
        rustix::stdio::dup2_stdin(&stdin),
        rustix::stdio::dup2_stdout(&stdout),
        rustix::stdio::dup2_stderr(&stderr),
    ];
    places.into_iter().try_for_each(|placed| placed.map_err(at(Step::Streams)))
}

fn answer(socket: &OwnedFd, answer: Answer) -> io::Result<()> {
    send(socket, &answer.encode(), SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What became of a copy, as native-endian words: pid, step, errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It is a leader.
    Born(Pid),
    /// It is none; where it has a number it has ended, or is about to, and wants to be waited for.
    Stillborn(Option<Pid>, Stillborn),
}

impl Answer {
    const BYTES: usize = 12;

    fn encode(self) -> [u8; Self::BYTES] {
        let words = match self {
            Answer::Born(pid) => [pid.as_raw_pid(), 0, 0],
            Answer::Stillborn(pid, Stillborn { step, errno }) => {
                [Pid::as_raw(pid), step as i32, errno.raw_os_error()]
            }
        };
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn decode(bytes: [u8; Self::BYTES]) -> Answer {
        let word = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        match (Pid::from_raw(word(0).max(0)), word(4)) {
            (Some(pid), 0) => Answer::Born(pid),
            (pid, step) => Answer::Stillborn(pid, Stillborn::of(step, word(8))),
        }
    }
}

/// How long a template may take to make a copy. The slave waits for it, so this is less than it may be silent for.
const ANSWER: Duration = Duration::from_secs(2);

/// The control group, the directory, and three streams.
const FDS: usize = 5;

/// The exit code of a copy that could not become a leader.
const STILLBORN: i32 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        let pid = rustix::process::getpid();
        let stillborn = Stillborn { step: Step::Directory, errno: Errno::ACCESS };
        for answer in [
            Answer::Born(pid),
            Answer::Stillborn(Some(pid), stillborn),
            Answer::Stillborn(None, Stillborn { step: Step::Clone, errno: Errno::AGAIN }),
        ] {
            assert_eq!(Answer::decode(answer.encode()), answer);
        }
    }
}
