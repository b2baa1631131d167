//! Frames: one byte of version, then one message in postcard's format.
//!
//! **Canonical.** A message has one encoding, and nothing else decodes to it: numbers in their shortest form, no
//! bytes left over. Postcard's own decoder takes numbers that are longer than they need be, so that `reader` reads
//! the format itself. To decode with postcard, encode again and compare takes about the same time (a registration
//! with 1,000 tasks: 0.22 ms, against 0.14 ms without the check), but leaves postcard's memory without a bound.
//!
//! **Bounded.** Nothing that a peer sends makes more memory than a small multiple of what it sent:
//! - a frame of more than [`FRAME_SIZE_MAX`] bytes is refused unread;
//! - a list of more elements than bytes are left in the frame, or than any list may have, is refused before memory
//!   is taken for it, and memory is then taken for an eighth of the bytes left, not for the number claimed. Serde
//!   alone would take up to 1 MiB for a list of any claimed length, once for each list inside a list;
//! - a string is checked where it lies in the frame, and copied only then. `Arc<[u8]>`, which serde makes from a
//!   `Vec` that it turns into a box and copies, is such a list of at most [`TASK_DATA_MAX`](crate::task::TASK_DATA_MAX) elements;
//! - each list's own limit (the constants below) and a command's size are checked on the message that came out.
//!
//! [`MEMORY_FACTOR`] is that multiple; a test holds every frame that it can think of against it.
//!
//! The same limits hold for encoding: what one node can encode, every node of its version can decode.

mod limits;
mod reader;

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{
    ExecutorToSlave, FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave, OperatorToMaster,
    OperatorToSlave, SlaveToExecutor, SlaveToMaster, SlaveToOperator,
};
use crate::task::TaskSpec;
use crate::text::Text;
use crate::transport::{CloseCode, FRAME_SIZE_MAX};

use limits::Bounded;

/// The version of the protocol: the first byte of every frame. Another version is another language.
pub const VERSION: u8 = 2;

/// The most bytes of memory that decoding takes at any moment, as a multiple of the frame's size, besides
/// [`MEMORY_FIXED`]. The worst that is known is 120: a receipt of lines of two bytes each, just when their list has
/// outgrown its memory and is copied. As no list has more than 65,536 elements, that is 13 MiB and not more.
pub const MEMORY_FACTOR: usize = 160;

/// The bytes that decoding may take whatever the frame's size: an error's text, the first elements of lists.
pub const MEMORY_FIXED: usize = 4 << 10;

/// The most tasks in a reconciliation, or that an answer to an inverse offer would rather lose.
pub const TASKS_MAX: usize = 1_000;

/// The most offers in one message: made, declined or rescinded.
pub const OFFERS_MAX: usize = 1_000;

/// The most tasks of one accept.
pub const LAUNCHES_MAX: usize = 1_000;

/// The bytes that the tasks of one accept may have together, by [`task_size`]: a frame less what surrounds them.
pub const ACCEPT_ROOM: usize = FRAME_SIZE_MAX - 64;

/// The most arguments of a command.
pub const ARGUMENTS_MAX: usize = 4_096;

/// The most variables of a command's environment.
pub const ENVIRONMENT_MAX: usize = 4_096;

/// The most holds of a slave that are shown.
pub const HOLDS_MAX: usize = 256;

/// The most signals that the ending of one task tells of.
pub const SIGNALS_MAX: usize = 1_024;

/// The most items on a page of a listing.
pub const PAGE_MAX: usize = 1_000;

/// The most entries of what is told whole: the tasks of a slave when it registers or leaves, a drain's plan and its
/// waits, a receipt's lines, the tasks that are revoked together.
pub const REPORTS_MAX: usize = 10_000;

/// What travels in a frame: the message enums of [`crate::message`], and nothing else.
pub trait Wire: Serialize + DeserializeOwned + Bounded {
    /// The message's name, for errors.
    const NAME: &'static str;
}

macro_rules! wire {
    ($($message:ident)*) => {
        $(impl Wire for $message {
            const NAME: &'static str = stringify!($message);
        })*
    };
}

wire!(
    SlaveToMaster MasterToSlave FrameworkToMaster MasterToFramework
    ExecutorToSlave SlaveToExecutor OperatorToMaster MasterToOperator
    OperatorToSlave SlaveToOperator
);

/// The frame of a message.
///
/// # Errors
/// [`EncodeError`] if the message breaks a limit; a peer would refuse it.
pub fn encode<M: Wire>(message: &M) -> Result<Vec<u8>, EncodeError> {
    let mut frame = Vec::new();
    encode_into(message, &mut frame)?;
    Ok(frame)
}

/// Writes the frame of a message into `frame`, over what was there; its memory is used again.
///
/// # Errors
/// [`EncodeError`] if the message breaks a limit; `frame` is then empty.
pub fn encode_into<M: Wire>(message: &M, frame: &mut Vec<u8>) -> Result<(), EncodeError> {
    frame.clear();
    let what = M::NAME;
    message.check().map_err(|limit| EncodeError::Limit { what, limit })?;
    frame.push(VERSION);
    let written = postcard::serialize_with_flavor(message, Frame(frame));
    written.map_err(|error| {
        frame.clear();
        match error == postcard::Error::SerializeBufferFull {
            true => EncodeError::TooLarge { what },
            false => EncodeError::Unwritable { what },
        }
    })
}

/// The message of a frame.
///
/// # Errors
/// [`DecodeError`] if the frame is not exactly what [`encode`] makes of some message.
pub fn decode<M: Wire>(frame: &[u8]) -> Result<M, DecodeError> {
    let what = M::NAME;
    if frame.len() > FRAME_SIZE_MAX {
        return Err(DecodeError::TooLarge { size: frame.len() });
    }
    let body = match frame.split_first() {
        None => return Err(DecodeError::Empty),
        Some((&VERSION, body)) => body,
        Some((&found, _)) => return Err(DecodeError::Version { found }),
    };
    let mut reader = reader::Reader::new(body);
    let message = M::deserialize(&mut reader).map_err(|reader::Error(cause)| DecodeError::Malformed {
        what,
        at: reader.position() + 1,
        cause,
    })?;
    match reader.left() {
        0 => {}
        extra => return Err(DecodeError::Trailing { what, extra }),
    }
    message.check().map_err(|limit| DecodeError::Limit { what, limit })?;
    Ok(message)
}

/// How many bytes a task takes in a frame, or which limit it breaks: a framework holds tasks against it before it
/// sends them (R11).
///
/// # Errors
/// [`LimitError`] names the limit.
pub fn task_size(spec: &TaskSpec) -> Result<usize, LimitError> {
    spec.check()?;
    // A task that cannot be written would not fit either.
    Ok(postcard::experimental::serialized_size(spec).unwrap_or(usize::MAX))
}

/// Why a message was not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Its frame would have more than [`FRAME_SIZE_MAX`] bytes.
    TooLarge {
        /// The kind of message.
        what: &'static str,
    },
    /// A part of it breaks a limit.
    Limit {
        /// The kind of message.
        what: &'static str,
        /// Which limit.
        limit: LimitError,
    },
    /// It has a part for which the format has no form: a fault of this program.
    Unwritable {
        /// The kind of message.
        what: &'static str,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { what } => {
                write!(f, "this {what} has more than the {FRAME_SIZE_MAX} bytes of a frame: send it in parts")
            }
            Self::Limit { what, limit } => write!(f, "this {what} breaks a limit: {limit}"),
            Self::Unwritable { what } => write!(f, "this {what} has a part that frames have no form for"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why a frame was not decoded. The peer is to blame, or its version; nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It has no bytes.
    Empty,
    /// It has more than [`FRAME_SIZE_MAX`] bytes; it was not read.
    TooLarge {
        /// How many it has.
        size: usize,
    },
    /// It is of another version of the protocol; it was not read.
    Version {
        /// Which.
        found: u8,
    },
    /// Its bytes are no such message.
    Malformed {
        /// The kind of message expected.
        what: &'static str,
        /// After how many bytes of the frame.
        at: usize,
        /// What is wrong there.
        cause: Malformed,
    },
    /// Bytes follow the message.
    Trailing {
        /// The kind of message.
        what: &'static str,
        /// How many.
        extra: usize,
    },
    /// A part of it breaks a limit.
    Limit {
        /// The kind of message.
        what: &'static str,
        /// Which limit.
        limit: LimitError,
    },
}

impl DecodeError {
    /// What to tell the peer when its session is closed for this.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Version { .. } => CloseCode::Version,
            Self::Empty
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Trailing { .. }
            | Self::Limit { .. } => CloseCode::Misbehaved,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a frame has at least one byte"),
            Self::TooLarge { size } => {
                write!(f, "a frame has at most {FRAME_SIZE_MAX} bytes, this one {size}")
            }
            Self::Version { found } => write!(
                f,
                "the peer speaks version {found} of the protocol, this node version {VERSION}: install the same \
                 release on both"
            ),
            Self::Malformed { what, at, cause } => write!(f, "not a {what}: after {at} bytes, {cause}"),
            Self::Trailing { what, extra } => write!(f, "{extra} bytes follow a whole {what}"),
            Self::Limit { what, limit } => write!(f, "this {what} breaks a limit: {limit}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// What is wrong with bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end before the message does.
    Truncated,
    /// A number is larger than its kind, or longer than it need be.
    Number,
    /// A byte that says yes or no says neither.
    Flag {
        /// What it says.
        found: u8,
    },
    /// A string is not UTF-8.
    Utf8,
    /// A list claims more elements than it can have.
    List {
        /// How many.
        len: u64,
    },
    /// A value is not one of its kind: an unknown variant, a name that is none.
    Value(Text),
    /// The message has a part that frames have no form for: a fault of this program.
    Unreadable,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "it ends too soon"),
            Self::Number => write!(f, "a number is too large or not in its shortest form"),
            Self::Flag { found } => write!(f, "a flag is {found}, neither 0 nor 1"),
            Self::Utf8 => write!(f, "a string is not UTF-8"),
            Self::List { len } => write!(f, "a list claims {len} elements, more than it can have"),
            Self::Value(text) => write!(f, "{text}"),
            Self::Unreadable => write!(f, "a part of it has no form in frames"),
        }
    }
}

/// A list or a command is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// What is limited, in words.
    pub of: &'static str,
    /// How much it may have.
    pub max: usize,
    /// How much it has.
    pub found: usize,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may be {}, not {}", self.of, self.max, self.found)
    }
}

impl core::error::Error for LimitError {}

/// Writes to a frame that may not grow beyond its bound.
struct Frame<'a>(&'a mut Vec<u8>);

impl ser_flavors::Flavor for Frame<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match self.0.len().checked_add(bytes.len()) {
            Some(len) if len <= FRAME_SIZE_MAX => {
                self.0.extend_from_slice(bytes);
                Ok(())
            }
            Some(_) | None => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
