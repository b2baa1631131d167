//! A live session on tokio, and the executor's way to it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use neap_protocol::journal::LinkId;
use neap_protocol::text::{Name, Text};
use neap_protocol::transport::{
    CloseCode, CloseReason, Closed, Peer, ReceiveHalf, SendError, SendHalf, Session,
};
use tokio::net::UnixStream;

use crate::hello::{ConnectError, hello, parse_welcome};
use crate::socket::{bound_buffer, fits, lost, shut};
use crate::token::Token;
use crate::wire::{self, CHUNK_SIZE, Decoder, Item};

/// Connects to the slave's socket as the executor `name`, and waits for its answer, `timeout` at most.
///
/// # Errors
/// [`ConnectError`] names the cause and the cure.
pub async fn connect(
    path: &Path,
    name: &Name,
    token: &Token,
    timeout: Duration,
) -> Result<UnixSession, ConnectError> {
    if !fits(path) {
        return Err(ConnectError::PathTooLong { path: path.to_owned() });
    }
    match tokio::time::timeout(timeout, say_hello(path, name, token)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(ConnectError::late(path, timeout)),
    }
}

async fn say_hello(path: &Path, name: &Name, token: &Token) -> Result<UnixSession, ConnectError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| ConnectError::Unreachable { path: path.to_owned(), source })?;
    let silent = |detail: String| ConnectError::NoAnswer { path: path.to_owned(), detail };
    let wire = Wire::new(stream);
    // A refusal may come before the hello is out: then the answer says more than this error.
    let _ = wire.write(&hello(name, token), &[]).await;
    let mut decoder = Decoder::default();
    let answer = wire.next(&mut decoder).await.map_err(|closed| silent(closed.to_string()))?;
    let (peer, link) = parse_welcome(answer, path)?;
    Ok(UnixSession::new(wire, decoder, peer, link))
}

/// A session over a Unix socket.
#[derive(Debug)]
pub struct UnixSession {
    peer: Peer,
    link: LinkId,
    send: UnixSend,
    receive: UnixReceive,
}

impl UnixSession {
    /// `decoder` has what arrived after the first words.
    pub(crate) fn new(wire: Wire, decoder: Decoder, peer: Peer, link: LinkId) -> Self {
        let wire = Arc::new(wire);
        Self {
            peer,
            link,
            send: UnixSend { wire: Arc::clone(&wire), finished: false, torn: false },
            receive: UnixReceive { wire, decoder, ended: None },
        }
    }

    /// What both ends can call this session, and no other has.
    pub fn link(&self) -> LinkId {
        self.link
    }
}

impl Session for UnixSession {
    type Send = UnixSend;
    type Receive = UnixReceive;

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn split(self) -> (UnixSend, UnixReceive) {
        (self.send, self.receive)
    }
}

/// The sending half of a session over a Unix socket.
#[derive(Debug)]
pub struct UnixSend {
    wire: Arc<Wire>,
    finished: bool,
    /// A `send` was cancelled or failed, perhaps inside its frame.
    torn: bool,
}

impl UnixSend {
    async fn write(&mut self, header: &[u8], body: &[u8]) -> Result<(), Closed> {
        if let Some(closed) = self.wire.ended.get() {
            return Err(closed.clone());
        }
        if self.torn {
            return Err(lost("an earlier send was cancelled inside its frame"));
        }
        self.torn = true;
        let written = self.wire.write(header, body).await;
        self.torn = written.is_err();
        // The own reader may know better why.
        written.map_err(|error| self.wire.ended.get().cloned().unwrap_or_else(|| lost(error)))
    }
}

impl SendHalf for UnixSend {
    async fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
        SendError::check(frame)?;
        if self.finished {
            let closed = self.wire.ended.get().cloned();
            return Err(SendError::Closed(closed.unwrap_or(Closed::Finished)));
        }
        self.write(&wire::header(frame.len()), frame).await.map_err(SendError::Closed)
    }

    /// What the system has taken reaches the peer, whatever becomes of this side.
    async fn finish(&mut self) -> Result<(), Closed> {
        if !self.finished {
            self.write(&wire::finish(), &[]).await?;
            self.finished = true;
        }
        Ok(())
    }

    async fn part(&mut self, reason: CloseReason) -> Result<(), Closed> {
        if !self.finished {
            self.write(&wire::close(&reason), &[]).await?;
            self.finished = true;
        }
        self.wire.end(Closed::Local(reason), None);
        Ok(())
    }

    fn close(&mut self, reason: CloseReason) {
        let inside_a_frame = self.torn;
        self.wire.end(Closed::Local(reason.clone()), Some(&reason).filter(|_| !inside_a_frame));
    }
}

impl Drop for UnixSend {
    fn drop(&mut self) {
        if !self.finished {
            let _ = rustix::net::shutdown(&self.wire.stream, rustix::net::Shutdown::Write);
        }
    }
}

/// The receiving half of a session over a Unix socket.
#[derive(Debug)]
pub struct UnixReceive {
    wire: Arc<Wire>,
    decoder: Decoder,
    ended: Option<Closed>,
}

impl ReceiveHalf for UnixReceive {
    async fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        if let Some(closed) = &self.ended {
            return Err(closed.clone());
        }
        let closed = match self.wire.next(&mut self.decoder).await {
            Ok(Item::Frame(frame)) => return Ok(frame),
            Ok(Item::Finish) => Closed::Finished,
            Ok(Item::Close(reason)) => self.wire.end(Closed::Peer(reason), None),
            Err(closed) => closed,
        };
        self.decoder = Decoder::default();
        Err(self.ended.insert(closed).clone())
    }
}

impl Drop for UnixReceive {
    fn drop(&mut self) {
        // Else a peer that sends would wait for a reader for ever. After its end, it sends no more.
        if self.ended != Some(Closed::Finished) {
            let _ = rustix::net::shutdown(&self.wire.stream, rustix::net::Shutdown::Read);
        }
    }
}

/// The socket, and how the session ended.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    ended: OnceLock<Closed>,
}

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> Self {
        bound_buffer(&stream);
        Self { stream, ended: OnceLock::new() }
    }

    /// Writes both as one.
    pub(crate) async fn write(&self, header: &[u8], body: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < header.len() + body.len() {
            self.stream.writable().await?;
            match self.stream.try_write_vectored(&wire::rest(header, body, done)) {
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next item, or how the session ended. Cancelling it loses nothing.
    pub(crate) async fn next(&self, decoder: &mut Decoder) -> Result<Item, Closed> {
        loop {
            match decoder.take() {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(wrong) => return Err(self.violation(&wrong)),
            }
            let readable = self.stream.readable().await;
            let read = readable.and_then(|()| {
                let mut chunk = [0; CHUNK_SIZE];
                let taken = self.stream.try_read(&mut chunk)?;
                decoder.feed(&chunk[..taken]);
                Ok(taken)
            });
            match read {
                Ok(0) => {
                    return Err(self.ended.get().cloned().unwrap_or_else(|| lost("the peer hung up")));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.ended.get().cloned().unwrap_or_else(|| lost(error))),
            }
        }
    }

    /// Ends the session, if it has not ended, and tells the peer why, if there is a reason and room for it. Answers
    /// with how it ended.
    pub(crate) fn end(&self, closed: Closed, reason: Option<&CloseReason>) -> Closed {
        if self.ended.set(closed).is_ok() {
            if let Some(reason) = reason {
                self.say_close(reason);
            }
            shut(&self.stream);
        }
        self.ended.get().cloned().unwrap_or_else(|| lost("the session has ended"))
    }

    /// As well as the system lets it: there may be no room.
    fn say_close(&self, reason: &CloseReason) {
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        let _ = rustix::net::send(&self.stream, &wire::close(reason), flags);
    }

    fn violation(&self, wrong: &str) -> Closed {
        let reason =
            CloseReason { code: CloseCode::Misbehaved, detail: Text::from(format!("the peer sent {wrong}")) };
        self.end(Closed::Violation(Text::new(wrong)), Some(&reason))
    }
}
