//! The transport contract: what a session promises, whoever carries it.
//!
//! A **session** is one authenticated connection between two nodes. While it lives:
//!
//! - its [`Peer`] (role and name) is known before the first frame, and never changes;
//! - frames arrive **whole**, **in order**, each **once**;
//! - none is **lost**;
//! - a frame is 1 to [`FRAME_SIZE_MAX`] bytes: a longer one is refused where it is sent, and ends the session
//!   where it is received, before memory is taken for it;
//! - a peer that does not read makes `send` wait: neither side's memory grows beyond a stated bound.
//!
//! It can end at any byte: by either side's [`close`](SendHalf::close), in order by [`finish`](SendHalf::finish) (one
//! direction) or [`part`](SendHalf::part) (both, with a reason), or because a peer, a host or a network died. At its end an unknown suffix of each direction is lost, and the two
//! ends may learn of it at different times. What arrived before it is still delivered after it where the session
//! was finished in order; nothing is promised otherwise.
//!
//! `neap-transport-conformance` holds every transport to this page; the model's network does exactly this.

use core::fmt;
use core::future::Future;

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::text::{Name, Text};

/// The largest frame, in bytes. A page of an operator's listing is the largest thing that is ever sent.
pub const FRAME_SIZE_MAX: usize = 1 << 20;

/// What a peer is, by its certificate. It decides what the peer may say (DESIGN §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// A coordinator.
    Master,
    /// A host's daemon.
    Slave,
    /// An application's scheduler.
    Framework,
    /// A process that a slave started.
    Executor,
    /// A person, or a tool in a person's name.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Master, Self::Slave, Self::Framework, Self::Executor, Self::Operator];

    /// The role in lower case, as certificates and flags write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Slave => "slave",
            Self::Framework => "framework",
            Self::Executor => "executor",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who is at the other end of a session, as its transport authenticated it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// What it is.
    pub role: Role,
    /// Its certificate's name: the identity of a slave or a framework's principal.
    pub name: Name,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.name)
    }
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Closed {
    /// One side had no more to say, and everything it said arrived.
    Finished,
    /// This side closed it.
    Local(CloseReason),
    /// The other side closed it and said why.
    Peer(CloseReason),
    /// The connection was lost: the peer died, or the network did. The text is for people.
    Lost(Text),
    /// The peer broke the transport's rules (an oversized or empty frame, bytes that are no frame); this side
    /// has closed the session.
    Violation(Text),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => write!(f, "finished"),
            Self::Local(reason) => write!(f, "closed here: {reason}"),
            Self::Peer(reason) => write!(f, "closed by the peer: {reason}"),
            Self::Lost(text) => write!(f, "connection lost: {text}"),
            Self::Violation(text) => write!(f, "the peer broke the transport's rules: {text}"),
        }
    }
}

impl core::error::Error for Closed {}

/// What the side that closes a session tells the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CloseReason {
    /// For programs.
    pub code: CloseCode,
    /// For people: the cause and the cure.
    pub detail: Text,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.is_empty() {
            true => write!(f, "{}", self.code),
            false => write!(f, "{}: {}", self.code, self.detail),
        }
    }
}

/// The kinds of reasons to close a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CloseCode {
    /// The work of the session is done.
    Done,
    /// The node is going away.
    Shutdown,
    /// A newer session of the same peer took its place.
    Replaced,
    /// The peer may not do what it tried: its certificate's role or name does not allow it.
    Forbidden,
    /// The peer sent what no correct peer sends.
    Misbehaved,
    /// The peer did not read for too long, and what waited for it passed its bound.
    TooSlow,
    /// The peer speaks another version of the protocol.
    Version,
}

impl CloseCode {
    /// Every code; its place is its number on the wire.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Shutdown,
        Self::Replaced,
        Self::Forbidden,
        Self::Misbehaved,
        Self::TooSlow,
        Self::Version,
    ];
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Done => "done",
            Self::Shutdown => "shutting down",
            Self::Replaced => "replaced by a newer session",
            Self::Forbidden => "forbidden",
            Self::Misbehaved => "misbehaved",
            Self::TooSlow => "too slow",
            Self::Version => "another version",
        })
    }
}

/// A live session. Its halves are used apart, so that reading never waits for writing.
pub trait Session: Send + 'static {
    /// The sending half.
    type Send: SendHalf;
    /// The receiving half.
    type Receive: ReceiveHalf;

    /// Who is at the other end.
    fn peer(&self) -> &Peer;

    /// Takes the session apart. Dropping both halves ends it as [`Closed::Lost`] for the peer.
    fn split(self) -> (Self::Send, Self::Receive);
}

/// What sends frames. Dropping it before [`finish`](Self::finish), [`part`](Self::part) or [`close`](Self::close)
/// loses what was not yet delivered.
pub trait SendHalf: Send + 'static {
    /// Sends one frame, and waits while the peer does not read. Cancelling the future may have sent a part of
    /// the frame: the session must then be dropped.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] and [`SendError::Empty`] send nothing and leave the session as it was;
    /// [`SendError::Closed`] is final.
    fn send(&mut self, frame: &[u8]) -> impl Future<Output = Result<(), SendError>> + Send;

    /// Says that no more will be sent, and waits until the peer has received everything or the session died. The
    /// other direction goes on (half-closed).
    ///
    /// # Errors
    /// [`Closed`] if the session ended before everything arrived.
    fn finish(&mut self) -> impl Future<Output = Result<(), Closed>> + Send;

    /// Says no more, and ends both directions with this reason once the peer has received everything: it hears the
    /// reason after the last frame, and for certain if that arrives. Cancelling the future leaves the session to
    /// [`close`](Self::close).
    ///
    /// # Errors
    /// [`Closed`] if the session ended before everything arrived.
    fn part(&mut self, reason: CloseReason) -> impl Future<Output = Result<(), Closed>> + Send;

    /// Ends both directions at once and tells the peer why, as well as the network lets it. It may overtake what was
    /// sent before.
    fn close(&mut self, reason: CloseReason);
}

/// What receives frames.
pub trait ReceiveHalf: Send + 'static {
    /// The next frame, or how the session ended. [`Closed::Finished`] means that the peer will send no more; this
    /// side may go on sending. Once ended, it answers the same for ever. Cancelling the future loses nothing.
    ///
    /// # Errors
    /// [`Closed`], which is final.
    fn receive(&mut self) -> impl Future<Output = Result<Vec<u8>, Closed>> + Send;
}

/// Why a frame was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The frame has more than [`FRAME_SIZE_MAX`] bytes.
    TooLarge {
        /// How many it has.
        size: usize,
    },
    /// The frame has no bytes.
    Empty,
    /// The session has ended.
    Closed(Closed),
}

impl SendError {
    /// Checks a frame's size before anything of it is sent.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] or [`SendError::Empty`].
    pub fn check(frame: &[u8]) -> Result<(), Self> {
        match frame.len() {
            0 => Err(Self::Empty),
            size if size > FRAME_SIZE_MAX => Err(Self::TooLarge { size }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size } => {
                write!(f, "a frame has at most {FRAME_SIZE_MAX} bytes, this one {size}")
            }
            Self::Empty => write!(f, "a frame has at least one byte"),
            Self::Closed(closed) => write!(f, "the session has ended: {closed}"),
        }
    }
}

impl core::error::Error for SendError {}
