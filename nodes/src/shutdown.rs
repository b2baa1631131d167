//! The signals that end a node, as a stream.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// What the operator, or the service manager in the operator's name, told this process by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGINT: Ctrl-C at the terminal. An attached command detaches; `neap up` ends its cluster.
    Interrupt,
    /// SIGTERM: end in order.
    Terminate,
    /// SIGUSR1: drain now (R24); the second one skips what grace is left (R26).
    DrainNow,
}

/// The stream of [`Signal`]s of this process. From its making on, none of them ends the process by itself, also
/// after it is dropped.
#[derive(Debug)]
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    drain_now: unix::Signal,
}

impl Signals {
    /// Begins to listen. Must be called within a tokio runtime with I/O; make it before anything that a signal
    /// would have to end in order.
    ///
    /// # Errors
    /// The system's, where it lets no handler be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            drain_now: unix::signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal. Signals of one kind that arrive before they are waited for count once, as the
    /// system counts them. Cancelling the future loses nothing.
    pub async fn next(&mut self) -> Signal {
        // `recv` answers `None` only when the runtime goes away, and this future with it.
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            Some(()) = self.drain_now.recv() => Signal::DrainNow,
            else => std::future::pending().await,
        }
    }
}
