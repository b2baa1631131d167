//! Sessions in memory: the contract with nothing under it, for tests and for the suite itself.
//!
//! A session is a pair of bounded queues. A frame costs its length and a four-byte header, as on the other
//! transports, so that a [`Link`] can cut the session at any byte.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use neap_protocol::text::Text;
use neap_protocol::transport::{CloseReason, Closed, Peer, ReceiveHalf, SendError, SendHalf, Session};

/// How many bytes of frames one direction holds for a reader that does not read; a single larger frame passes
/// when nothing else waits.
pub const CAPACITY: usize = 256 * 1024;

/// What a frame costs besides its own bytes.
const HEADER_SIZE: usize = 4;

/// A live session between `one` and `other`: what each of them holds, and the link between them. The first
/// session is `one`'s, and its [`peer`](Session::peer) is `other`.
pub fn pair(one: Peer, other: Peer) -> (MemorySession, MemorySession, Link) {
    let wire = Arc::new(Mutex::new(Wire::default()));
    let ends = [(0, other), (1, one)].map(|(side, peer)| MemorySession {
        peer,
        send: MemorySend { wire: Arc::clone(&wire), side, done: false },
        receive: MemoryReceive { wire: Arc::clone(&wire), side, ended: None },
    });
    let [one, other] = ends;
    (one, other, Link { wire })
}

/// One end of a session in memory.
#[derive(Debug)]
pub struct MemorySession {
    peer: Peer,
    send: MemorySend,
    receive: MemoryReceive,
}

impl Session for MemorySession {
    type Send = MemorySend;
    type Receive = MemoryReceive;

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn split(self) -> (MemorySend, MemoryReceive) {
        (self.send, self.receive)
    }
}

/// The hand on the cable.
#[derive(Clone, Debug)]
pub struct Link {
    wire: Arc<Mutex<Wire>>,
}

/// The way that frames travel: of the two peers given to [`pair`], from which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the second.
    FromOne,
    /// From the second to the first.
    FromOther,
}

impl Link {
    /// Ends the session now, as the death of the network would.
    pub fn cut(&self) {
        lock(&self.wire).lose("the link was cut");
    }

    /// Ends the session once `bytes` more have gone in `direction`: a frame that they do not cover whole is lost.
    pub fn cut_after(&self, direction: Direction, bytes: usize) {
        let side = match direction {
            Direction::FromOne => 0,
            Direction::FromOther => 1,
        };
        lock(&self.wire).ways[side].bytes_left = Some(bytes);
    }
}

/// The sending half of a session in memory.
pub struct MemorySend {
    wire: Arc<Mutex<Wire>>,
    side: usize,
    done: bool,
}

impl SendHalf for MemorySend {
    async fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
        SendError::check(frame)?;
        if self.done {
            return Err(SendError::Closed(Closed::Finished));
        }
        poll_fn(|context| lock(&self.wire).poll_send(self.side, frame, context)).await
    }

    async fn finish(&mut self) -> Result<(), Closed> {
        let mut wire = lock(&self.wire);
        if let Some(closed) = wire.ended[self.side].clone().filter(|_| !self.done) {
            return Err(closed);
        }
        self.done = true;
        wire.ways[self.side].finished = true;
        wire.wake();
        Ok(())
    }

    async fn part(&mut self, reason: CloseReason) -> Result<(), Closed> {
        let mut wire = lock(&self.wire);
        if let Some(closed) = wire.ended[self.side].clone() {
            return Err(closed);
        }
        // A reader takes what waits before it looks at how the session ended.
        wire.end(self.side, Closed::Local(reason.clone()), Closed::Peer(reason));
        Ok(())
    }

    fn close(&mut self, reason: CloseReason) {
        lock(&self.wire).close(self.side, reason);
    }
}

impl Drop for MemorySend {
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        wire.ways[self.side].writer_gone = true;
        wire.wake();
    }
}

/// The receiving half of a session in memory.
pub struct MemoryReceive {
    wire: Arc<Mutex<Wire>>,
    side: usize,
    ended: Option<Closed>,
}

impl ReceiveHalf for MemoryReceive {
    async fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        if let Some(closed) = &self.ended {
            return Err(closed.clone());
        }
        let received = poll_fn(|context| lock(&self.wire).poll_receive(self.side, context)).await;
        self.ended = received.as_ref().err().cloned();
        received
    }
}

impl Drop for MemoryReceive {
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        wire.ways[1 - self.side].reader_gone = true;
        wire.wake();
    }
}

/// What the two ends share. Way `i` carries what side `i` sends.
#[derive(Debug, Default)]
struct Wire {
    ways: [Way; 2],
    /// How the session ended, as each side is told.
    ended: [Option<Closed>; 2],
    /// Who waits; at most both halves of both sides, so that waking all of them is cheap.
    waiting: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Way {
    frames: VecDeque<Vec<u8>>,
    size: usize,
    bytes_left: Option<usize>,
    finished: bool,
    writer_gone: bool,
    reader_gone: bool,
}

impl Wire {
    fn poll_send(
        &mut self,
        side: usize,
        frame: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let closed = |closed| Poll::Ready(Err(SendError::Closed(closed)));
        if let Some(ended) = &self.ended[side] {
            return closed(ended.clone());
        }
        let way = &mut self.ways[side];
        if way.reader_gone {
            return closed(Closed::Lost("the peer does not read any more".into()));
        }
        let cost = HEADER_SIZE + frame.len();
        if !way.frames.is_empty() && way.size + cost > CAPACITY {
            self.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        if let Some(left) = &mut way.bytes_left {
            let Some(rest) = left.checked_sub(cost) else {
                self.lose("the link was cut");
                return closed(Closed::Lost("the link was cut".into()));
            };
            *left = rest;
        }
        way.size += cost;
        way.frames.push_back(frame.to_vec());
        self.wake();
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, side: usize, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, Closed>> {
        let way = &mut self.ways[1 - side];
        if let Some(frame) = way.frames.pop_front() {
            way.size -= HEADER_SIZE + frame.len();
            self.wake();
            return Poll::Ready(Ok(frame));
        }
        if way.finished {
            return Poll::Ready(Err(Closed::Finished));
        }
        if let Some(ended) = &self.ended[side] {
            return Poll::Ready(Err(ended.clone()));
        }
        if way.writer_gone {
            return Poll::Ready(Err(Closed::Lost("the peer is gone".into())));
        }
        self.waiting.push(context.waker().clone());
        Poll::Pending
    }

    fn close(&mut self, side: usize, reason: CloseReason) {
        if self.ended[side].is_some() {
            return;
        }
        self.end(side, Closed::Local(reason.clone()), Closed::Peer(reason));
        for way in self.ways.iter_mut().filter(|way| !way.finished) {
            way.frames.clear();
            way.size = 0;
        }
    }

    fn lose(&mut self, text: &str) {
        let lost = Closed::Lost(Text::new(text));
        self.end(0, lost.clone(), lost);
    }

    /// Ends the session, unless it has ended before.
    fn end(&mut self, side: usize, here: Closed, there: Closed) {
        self.ended[side].get_or_insert(here);
        self.ended[1 - side].get_or_insert(there);
        self.wake();
    }

    fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

impl fmt::Debug for MemorySend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySend").field("side", &self.side).finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryReceive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReceive").field("side", &self.side).finish_non_exhaustive()
    }
}

/// No code panics while it holds the lock, so that what it guards is whole even when poisoned.
fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
