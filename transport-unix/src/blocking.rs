//! A session of an executor that blocks: no runtime, no thread, the descriptor for `poll`.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use neap_protocol::journal::LinkId;
use neap_protocol::text::{Name, Text};
use neap_protocol::transport::{CloseCode, CloseReason, Closed, Peer, SendError};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::hello::{ConnectError, hello, parse_welcome};
use crate::socket::{bound_buffer, fits, lost, shut};
use crate::token::Token;
use crate::wire::{self, CHUNK_SIZE, Decoder, Item};

/// An executor's session with its slave. Both halves in one: an executor says little, and may wait for it.
///
/// For a loop over `poll`: wait until [`as_fd`](AsFd::as_fd) is readable, then call
/// [`try_receive`](Self::try_receive) until it answers nothing.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    peer: Peer,
    link: LinkId,
    decoder: Decoder,
    received: Option<Closed>,
    sent: Option<Closed>,
}

impl Client {
    /// Connects to the slave's socket as the executor `name`, and waits for its answer, `timeout` at most in all.
    ///
    /// # Errors
    /// [`ConnectError`] names the cause and the cure.
    pub fn connect(path: &Path, name: &Name, token: &Token, timeout: Duration) -> Result<Self, ConnectError> {
        if !fits(path) {
            return Err(ConnectError::PathTooLong { path: path.to_owned() });
        }
        let patience = Patience { begun: Instant::now(), timeout };
        let unreachable = |source: io::Error| match late(&source) {
            true => ConnectError::late(path, timeout),
            false => ConnectError::Unreachable { path: path.to_owned(), source },
        };
        let silent = |detail: &dyn std::fmt::Display| ConnectError::NoAnswer {
            path: path.to_owned(),
            detail: detail.to_string(),
        };
        let mut stream = open(path, &patience).map_err(unreachable)?;
        bound_buffer(&stream);
        stream.set_write_timeout(Some(patience.left().map_err(unreachable)?)).map_err(unreachable)?;
        // A refusal may come before the hello is out: then the answer says more than this error.
        let _ = stream.write_all(&hello(name, token));
        let mut decoder = Decoder::default();
        let answer = loop {
            if let Some(answer) = decoder.take().map_err(|wrong| silent(&format!("it sent {wrong}")))? {
                break answer;
            }
            stream.set_read_timeout(Some(patience.left().map_err(unreachable)?)).map_err(unreachable)?;
            match fill(&mut decoder, |chunk| stream.read(chunk)) {
                Ok(0) => return Err(silent(&"it hung up")),
                Ok(_) => {}
                Err(error) if late(&error) => return Err(ConnectError::late(path, timeout)),
                Err(error) => return Err(silent(&error)),
            }
        };
        let (peer, link) = parse_welcome(answer, path)?;
        stream.set_read_timeout(None).map_err(unreachable)?;
        stream.set_write_timeout(None).map_err(unreachable)?;
        Ok(Self { stream, peer, link, decoder, received: None, sent: None })
    }

    /// The slave.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What both ends can call this session, and no other has.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Bounds how long [`send`](Self::send) waits for a slave that does not read; without a bound, for ever. A send
    /// that was not done in time is the end of the session.
    ///
    /// # Errors
    /// If `timeout` is zero.
    pub fn set_send_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    /// Sends one frame, and waits while the slave does not read.
    ///
    /// # Errors
    /// As [`SendHalf::send`](neap_protocol::transport::SendHalf::send).
    pub fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
        SendError::check(frame)?;
        if let Some(closed) = &self.sent {
            return Err(SendError::Closed(closed.clone()));
        }
        let header = wire::header(frame.len());
        let written = self.write(&header, frame);
        written.map_err(|error| SendError::Closed(self.broken(&error)))
    }

    /// Says that no more will be sent. The slave may go on sending.
    ///
    /// # Errors
    /// [`Closed`] if the session has ended.
    pub fn finish(&mut self) -> Result<(), Closed> {
        match &self.sent {
            Some(Closed::Finished) => return Ok(()),
            Some(closed) => return Err(closed.clone()),
            None => {}
        }
        self.write(&wire::finish(), &[]).map_err(|error| self.broken(&error))?;
        self.sent = Some(Closed::Finished);
        Ok(())
    }

    /// Ends the session and tells the slave why.
    pub fn close(mut self, reason: &CloseReason) {
        self.end(reason);
    }

    /// Waits for the next frame, or for how the session ended.
    ///
    /// # Errors
    /// As [`ReceiveHalf::receive`](neap_protocol::transport::ReceiveHalf::receive).
    pub fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        loop {
            if let Some(frame) = self.next(RecvFlags::empty())? {
                return Ok(frame);
            }
        }
    }

    /// The next frame, or nothing if it has not arrived whole.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        self.next(RecvFlags::DONTWAIT)
    }

    fn next(&mut self, flags: RecvFlags) -> Result<Option<Vec<u8>>, Closed> {
        if let Some(closed) = &self.received {
            return Err(closed.clone());
        }
        let next = self.read(flags);
        self.received = next.as_ref().err().cloned();
        next
    }

    fn read(&mut self, flags: RecvFlags) -> Result<Option<Vec<u8>>, Closed> {
        loop {
            match self.decoder.take() {
                Ok(Some(Item::Frame(frame))) => return Ok(Some(frame)),
                Ok(Some(Item::Finish)) => return Err(Closed::Finished),
                Ok(Some(Item::Close(reason))) => {
                    shut(&self.stream);
                    self.sent.get_or_insert(Closed::Peer(reason.clone()));
                    return Err(Closed::Peer(reason));
                }
                Ok(None) => {}
                Err(wrong) => return Err(self.violation(&wrong)),
            }
            let stream = &self.stream;
            match fill(&mut self.decoder, |chunk| {
                rustix::net::recv(stream, chunk, flags).map(|(taken, _)| taken).map_err(io::Error::from)
            }) {
                Ok(0) => return Err(lost("the slave hung up")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(lost(error)),
            }
        }
    }

    fn violation(&mut self, wrong: &str) -> Closed {
        let closed = Closed::Violation(Text::new(wrong));
        self.end(&CloseReason {
            code: CloseCode::Misbehaved,
            detail: Text::from(format!("the peer sent {wrong}")),
        });
        self.sent = Some(closed.clone());
        closed
    }

    fn end(&mut self, reason: &CloseReason) {
        if self.sent.as_ref().is_none_or(|sent| *sent == Closed::Finished) {
            // As well as the system lets it: there may be no room.
            let _ = rustix::net::send(
                &self.stream,
                &wire::close(reason),
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
        }
        shut(&self.stream);
    }

    fn write(&mut self, header: &[u8], body: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < header.len() + body.len() {
            match self.stream.write_vectored(&wire::rest(header, body, done)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The end of the session after a failed write: what the slave said last, if it is there to be read.
    fn broken(&mut self, error: &io::Error) -> Closed {
        let timed_out = error.kind() == io::ErrorKind::WouldBlock;
        if timed_out {
            shut(&self.stream);
        }
        let closed = match &self.received {
            Some(Closed::Peer(reason)) => Closed::Peer(reason.clone()),
            _ if timed_out => lost("the slave did not read for too long"),
            _ => lost(error),
        };
        self.sent.insert(closed).clone()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// How long something may take in all.
struct Patience {
    begun: Instant,
    timeout: Duration,
}

impl Patience {
    /// What is left of it: never zero, which to the system is for ever.
    fn left(&self) -> io::Result<Duration> {
        let left = self.timeout.saturating_sub(self.begun.elapsed());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Linux has one answer for a time that is over and for what would block.
fn late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Connects. While the listener's queue is full this waits, as for a slave that was stopped, for as long as a send may.
fn open(path: &Path, patience: &Patience) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    loop {
        set_socket_timeout(&socket, Timeout::Send, Some(patience.left()?))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads one piece; zero at the end of the stream.
fn fill(decoder: &mut Decoder, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut chunk = [0; CHUNK_SIZE];
    loop {
        match read(&mut chunk) {
            Ok(taken) => {
                decoder.feed(&chunk[..taken]);
                return Ok(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
