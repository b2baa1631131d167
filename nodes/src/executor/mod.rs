//! The built-in executor, `neap executor`: it runs one command a task, for a slave that starts it.
//!
//! There is one for each task, so it is small and quick: one thread that waits in `poll` for its slave, its
//! processes (by pidfd) and SIGTERM. Where it can be it is not even executed, but copied from one that was
//! ([`TEMPLATE`]). Everything that it decides is [`neap_protocol::executor`]'s.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neap_process_tree::template;
use neap_protocol::codec;
use neap_protocol::executor::{Config, EXIT_DONE, Effect, Executor, Input, Timer};
use neap_protocol::ids::{SessionId, TaskId};
use neap_protocol::message::ExecutorToSlave;
use neap_protocol::outbox::Outbox;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_transport_unix::Token;
use neap_transport_unix::blocking::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::driver::Timers;
use crate::exit::Exit;
use crate::journal::{self, Journal};
use crate::log;
use crate::output::{Color, Failure, Format};

mod process;

use process::Process;

/// The environment variable of the slave's socket.
pub const SOCKET_ENV: &str = "NEAP_EXECUTOR_SOCKET";
/// The environment variable of the executor's name, by which its slave knows it.
pub const NAME_ENV: &str = "NEAP_EXECUTOR_NAME";
/// The environment variable of the executor's secret. Tasks do not get it.
pub const TOKEN_ENV: &str = "NEAP_EXECUTOR_TOKEN";
/// The environment variable of how long an executor goes on without its slave, in milliseconds (R28).
pub const RECOVERY_ENV: &str = "NEAP_EXECUTOR_RECOVERY_MS";

/// The environment variable of the file that the executor's machine is recorded in, if it is.
pub const JOURNAL_ENV: &str = "NEAP_EXECUTOR_JOURNAL";

/// All that a slave says in an executor's environment. It is for the executor alone: its tasks get none of it.
const OWN_VARIABLES: [&str; 5] = [SOCKET_ENV, NAME_ENV, TOKEN_ENV, RECOVERY_ENV, JOURNAL_ENV];

/// How long the slave may take to answer a hello, or to read a frame.
const SLAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it has at least, whatever else is due.
const PATIENCE_MIN: Duration = Duration::from_millis(100);
/// How long after a session that was lost, or not had, the slave is dialled again.
const REDIAL: Duration = Duration::from_millis(250);

/// The word that a slave says to this program to make it an executor, and nothing more.
pub const COMMAND: &str = "executor";

/// The word that makes it what executors are copied from; the slave's data directory follows, for people who look at
/// processes.
pub const TEMPLATE: &str = "executor-template";

/// What a slave gives an executor, whichever way it starts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// The slave's socket.
    pub socket: PathBuf,
    /// The executor's name, by which its slave knows it.
    pub name: String,
    /// Its secret.
    pub token: String,
    /// How long it goes on without its slave, in milliseconds (R28).
    pub recovery_ms: u64,
    /// The file that its machine is recorded in, if it is.
    pub journal: Option<PathBuf>,
}

impl Birth {
    /// What a slave that listens at `socket` put into the environment.
    ///
    /// # Errors
    /// Where the environment is not what a slave gives.
    pub fn from_environment(socket: PathBuf) -> Result<Self, Failure> {
        let recovery = variable(RECOVERY_ENV)?;
        Ok(Self {
            socket,
            name: variable(NAME_ENV)?,
            token: variable(TOKEN_ENV)?,
            recovery_ms: recovery.parse().map_err(|error| not_by_slave(RECOVERY_ENV, &error))?,
            journal: std::env::var_os(JOURNAL_ENV).map(PathBuf::from),
        })
    }
}

/// Carries out a slave's words, if these are: the program's name, and [`COMMAND`] or [`TEMPLATE`] with what belongs to
/// it.
pub fn main(args: &[OsString]) -> Option<Exit> {
    let act = match args {
        [_program, command] if command == COMMAND && std::env::var_os(SOCKET_ENV).is_some() => executed,
        [_program, command, _data] if command == TEMPLATE => copied,
        _ => return None,
    };
    let acted = log::init(0, true, Color::Never).and_then(|()| act());
    Some(acted.unwrap_or_else(|failure| {
        failure.report(Format::Text, Color::Never);
        failure.exit()
    }))
}

/// The same as `neap executor`, for a slave: everything is in the environment.
fn executed() -> Result<Exit, Failure> {
    run(Birth::from_environment(variable(SOCKET_ENV)?.into())?)
}

/// Waits to be copied, and is an executor in each copy.
fn copied() -> Result<Exit, Failure> {
    let copies = template::copies()
        .map_err(|error| Failure::because("be copied", &error).help("only `neap slave` starts this"))?;
    let Some(word) = copies else { return Ok(Exit::Success) };
    let birth =
        postcard::from_bytes(&word).map_err(|error| Failure::because("understand the slave", &error))?;
    run(birth)
}

/// Runs an executor until its tasks are over or its slave stays away.
///
/// # Errors
/// Where what it is given is not what a slave gives, or the system gives no signals.
pub fn run(birth: Birth) -> Result<Exit, Failure> {
    let Birth { socket, name, token, recovery_ms, journal } = birth;
    let name = Name::new(&name).map_err(|error| not_by_slave(NAME_ENV, &error))?;
    let token = token.parse().map_err(|error| not_by_slave(TOKEN_ENV, &error))?;
    let config = Config { recovery_timeout: Millis(recovery_ms) };
    let terminated = termination().map_err(|error| Failure::because("listen for SIGTERM", &error))?;
    // It is ended by force once its last task is over: nothing of its journal may wait.
    let options = journal.map(|file| journal::Options { file, effects: false, gather: Duration::ZERO });
    let journal = Journal::open::<Executor>(options.as_ref(), &name, &config).unwrap_or_else(|error| {
        // Nobody is there who could name another file: the task is worth more.
        tracing::error!(%error, "the executor is not recorded");
        Journal::off()
    });
    let driver = Driver {
        journal,
        machine: Executor::new(),
        config,
        outbox: Outbox::new(),
        timers: Timers::new(),
        identity: Identity { socket, name, token },
        client: None,
        sessions: 0,
        redial: Instant::now(),
        processes: Vec::new(),
        terminated,
        exit: None,
    };
    let code = driver.run().map_err(|error| Failure::because("wait for the slave and the tasks", &error))?;
    Ok(match code {
        EXIT_DONE => Exit::Success,
        // Its slave did not want it any more: the same number, 3.
        _abandoned => Exit::Refused,
    })
}

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|error| not_by_slave(name, &error))
}

fn not_by_slave(name: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("{name} is not what a slave sets: {error}"))
        .help("executors are started by `neap slave`; `neap run` gives it commands to run")
}

/// A stream that becomes readable with SIGTERM, which from here on does not end this process.
fn termination() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(rustix::process::Signal::TERM.as_raw(), write)?;
    Ok(read)
}

struct Identity {
    socket: PathBuf,
    name: Name,
    token: Token,
}

struct Driver {
    journal: Journal,
    machine: Executor,
    config: Config,
    outbox: Outbox<Effect>,
    timers: Timers<Timer>,
    identity: Identity,
    client: Option<(SessionId, Client)>,
    sessions: u32,
    redial: Instant,
    processes: Vec<(TaskId, Process)>,
    terminated: UnixStream,
    exit: Option<u8>,
}

impl Driver {
    fn run(mut self) -> io::Result<u8> {
        self.input(Input::Start);
        loop {
            if let Some(code) = self.exit {
                return Ok(code);
            }
            if self.client.is_none() && Instant::now() >= self.redial {
                self.dial();
                continue;
            }
            self.wait()?;
            self.take_exits()?;
            self.take_signals();
            self.take_messages()?;
            while let Some(timer) = self.timers.fire(Instant::now()) {
                // Where a lease or a grace is over by now, too, who has ended by itself has done so before (R12a).
                self.take_exits()?;
                self.input(Input::Timer(timer));
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = vec![PollFd::new(&self.terminated, PollFlags::IN)];
        fds.extend(
            self.client.iter().map(|(_, client)| PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN)),
        );
        fds.extend(
            self.processes
                .iter()
                .map(|(_, process)| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)),
        );
        let redial = self.client.is_none().then_some(self.redial);
        let next = [self.timers.next(), redial].into_iter().flatten().min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn dial(&mut self) {
        let Identity { socket, name, token } = &self.identity;
        // A slave that was stopped answers nobody, and a lease is over all the same (R9).
        let left = self.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
        let patience = left.map_or(SLAVE_TIMEOUT, |left| left.clamp(PATIENCE_MIN, SLAVE_TIMEOUT));
        match connect(socket, name, token, patience) {
            Ok(client) => {
                self.sessions += 1;
                let session = SessionId(self.sessions);
                self.journal.session(session, Some(client.link()));
                self.client = Some((session, client));
                self.input(Input::Opened { session });
            }
            Err(error) => {
                tracing::warn!(%error, "no session with the slave");
                self.redial = Instant::now() + REDIAL;
            }
        }
    }

    fn take_signals(&mut self) {
        let mut byte = [0; 16];
        if matches!(self.terminated.read(&mut byte), Ok(1..)) {
            self.input(Input::Terminate);
        }
    }

    fn take_exits(&mut self) -> io::Result<()> {
        let mut at = 0;
        while at < self.processes.len() {
            match self.processes[at].1.ended()? {
                None => at += 1,
                Some(how) => {
                    let task = self.processes[at].0;
                    // The slave sends SIGTERM here first, and only if the process had not ended by then: one that is here
                    // may be what has ended it (R12a).
                    self.take_signals();
                    self.input(Input::Exited { task, how });
                    let (_, process) = self.processes.remove(at);
                    process.reap()?;
                }
            }
        }
        Ok(())
    }

    fn take_messages(&mut self) -> io::Result<()> {
        while let Some((session, client)) = &mut self.client {
            let session = *session;
            let received = match client.try_receive() {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => codec::decode(&frame).map_err(|error| error.to_string()),
                Err(closed) => Err(closed.to_string()),
            };
            match received {
                Ok(message) => {
                    // What has ended by now has ended before it could be asked (R12a).
                    self.take_exits()?;
                    self.input(Input::Slave { session, message });
                }
                Err(cause) => self.lost(&cause),
            }
        }
        Ok(())
    }

    fn lost(&mut self, cause: &str) {
        if let Some((session, _client)) = self.client.take() {
            tracing::info!(cause, "the session with the slave ended");
            self.redial = Instant::now() + REDIAL;
            self.input(Input::Closed { session });
        }
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.journal.input(&input);
            self.machine.handle(&self.config, input, &mut self.outbox);
            self.journal.effects(self.outbox.as_slice());
            let effects: Vec<Effect> = self.outbox.drain().collect();
            for effect in effects {
                inputs.splice(0..0, self.take(effect));
            }
        }
    }

    /// Carries out an effect; what it answers is the next input.
    fn take(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::ToSlave { session, message } => return self.say(session, &message),
            Effect::Start { task, command, data: _ } => {
                let Some(command) = command else {
                    let cause = Text::new("it has no command, and the built-in executor runs nothing else");
                    return Some(Input::StartFailed { task, cause });
                };
                return Some(match process::start(&command) {
                    Ok(process) => {
                        self.processes.push((task, process));
                        Input::Started { task }
                    }
                    Err(cause) => Input::StartFailed { task, cause: Text::from(cause) },
                });
            }
            Effect::Signal { task, signal } => {
                if let Some((_, process)) = self.processes.iter().find(|(id, _)| *id == task) {
                    process.signal(signal);
                }
            }
            Effect::SetTimer { timer, when } => self.timers.set(timer, when),
            Effect::ShortenTimer { timer, when } => self.timers.shorten(timer, when),
            Effect::CancelTimer { timer } => self.timers.cancel(&timer),
            Effect::Exit { code } => {
                if let Some((_, mut client)) = self.client.take() {
                    // The slave hears the end of the process in any case.
                    let _ = client.finish();
                }
                self.exit = Some(code);
            }
        }
        None
    }

    fn say(&mut self, to: SessionId, message: &ExecutorToSlave) -> Option<Input> {
        let (session, client) = self.client.as_mut()?;
        if *session != to {
            return None;
        }
        let sent = codec::encode(message).map_err(|error| error.to_string());
        let sent = sent.and_then(|frame| client.send(&frame).map_err(|error| error.to_string()));
        let cause = sent.err()?;
        tracing::info!(cause, "the session with the slave ended");
        self.client = None;
        self.redial = Instant::now() + REDIAL;
        Some(Input::Closed { session: to })
    }
}

fn connect(socket: &Path, name: &Name, token: &Token, patience: Duration) -> Result<Client, String> {
    let mut client = Client::connect(socket, name, token, patience).map_err(|error| error.to_string())?;
    client.set_send_timeout(Some(SLAVE_TIMEOUT)).map_err(|error| error.to_string())?;
    Ok(client)
}
