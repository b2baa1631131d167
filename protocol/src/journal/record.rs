//! What a journal holds: headers, inputs, and what became of them.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::machine::Machine;
use crate::codec;
use crate::ids::SessionId;
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};
use crate::transport::Role;

/// What a run begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the protocol that the node speaks.
    pub protocol: u8,
    /// Which machine it is.
    pub role: Role,
    /// Whose: the node's name.
    pub name: Name,
    /// What recorded it, with its version.
    pub program: Text,
    /// When the run began, by the node's clock.
    pub began: Moment,
}

impl Header {
    /// The header of a run of `M` that this program begins now.
    pub fn new<M: Machine>(name: Name, program: Text, began: Moment) -> Self {
        Self { protocol: codec::VERSION, role: M::ROLE, name, program, began }
    }
}

/// What both ends of a session call it, as their transport tells them: different for any two sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId(pub [u8; 8]);

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One thing that a run tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<I, E> {
    /// This session, whose opening is the next input about it, is known to its other end under this name.
    Session {
        /// The node's number for it.
        session: SessionId,
        /// What both ends call it.
        link: LinkId,
    },
    /// The machine was told something.
    Input(Record<I, E>),
}

/// An input, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<I, E> {
    /// When, since the run began.
    pub at: Millis,
    /// What the machine was told.
    pub input: I,
    /// What it asked for.
    pub effects: Effects<E>,
}

/// What is known of the effects of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effects<E> {
    /// The machine did not answer: it panicked, or the process was killed meanwhile.
    Unanswered,
    /// This many, with this digest.
    Digest {
        /// How many.
        count: u32,
        /// Of all of them, in order.
        digest: u64,
    },
    /// These.
    Whole(Vec<E>),
}

impl<E: Serialize + PartialEq> Effects<E> {
    /// Whether these are the effects.
    pub fn are(&self, effects: &[E]) -> bool {
        match self {
            Self::Unanswered => true,
            Self::Digest { count, digest } => {
                usize::try_from(*count) == Ok(effects.len())
                    && digest_of(effects, &mut Vec::new()) == Ok(*digest)
            }
            Self::Whole(whole) => whole == effects,
        }
    }
}

/// How a run ended that was not cut short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The node ended.
    InOrder,
    /// The journal stopped, for this cause, and the node went on.
    Stopped(Text),
}

/// An item as it is written. The order of its variants is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Item<I, E> {
    Session {
        session: SessionId,
        link: LinkId,
    },
    Input {
        /// Since the input before it, or since the run began.
        after: Millis,
        input: I,
    },
    /// The input before it had no effect.
    Nothing,
    /// So many effects came of the input before it.
    Digest {
        count: u32,
        digest: [u8; 8],
    },
    /// These effects came of the input before it.
    Whole(E),
    End(End),
}

/// Makes the items of one run, in a buffer that a driver empties between them.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    items: Vec<u8>,
    scratch: Vec<u8>,
    last: Millis,
    whole: bool,
}

impl Recorder {
    /// For a run that just begins. `whole`: effects are written whole, not as their digest.
    pub fn new(whole: bool) -> Self {
        Self { whole, ..Self::default() }
    }

    /// Ties a session's number to the name that both of its ends know.
    ///
    /// # Errors
    /// [`Unwritable`]; nothing is added.
    pub fn session(&mut self, session: SessionId, link: LinkId) -> Result<(), Unwritable> {
        Append(&mut self.items).write(&Item::<(), ()>::Session { session, link })
    }

    /// Records that the machine is told something, so long after the run began. Call it before the machine takes the
    /// input, and [`effects`](Self::effects) after.
    ///
    /// # Errors
    /// [`Unwritable`]; nothing is added.
    pub fn input<I: Serialize>(&mut self, at: Millis, input: &I) -> Result<(), Unwritable> {
        let after = Millis(at.0.saturating_sub(self.last.0));
        Append(&mut self.items).write(&Item::<_, ()>::Input { after, input })?;
        self.last = self.last.max(at);
        Ok(())
    }

    /// Records what the machine asked for.
    ///
    /// # Errors
    /// [`Unwritable`]; nothing is added.
    pub fn effects<E: Serialize>(&mut self, effects: &[E]) -> Result<(), Unwritable> {
        let item: Item<(), &[E]> = match effects.len() {
            0 => Item::Nothing,
            _ if self.whole => Item::Whole(effects),
            count => {
                let count = u32::try_from(count).map_err(|_| Unwritable)?;
                Item::Digest { count, digest: digest_of(effects, &mut self.scratch)?.to_le_bytes() }
            }
        };
        Append(&mut self.items).write(&item)
    }

    /// Records the end of the run.
    ///
    /// # Errors
    /// [`Unwritable`]; nothing is added.
    pub fn end(&mut self, end: End) -> Result<(), Unwritable> {
        Append(&mut self.items).write(&Item::<(), ()>::End(end))
    }

    /// The items that were recorded and not yet taken; empty it to take them.
    pub fn items(&mut self) -> &mut Vec<u8> {
        &mut self.items
    }
}

/// The digest of effects: of their number and their encodings, one after another.
fn digest_of<E: Serialize>(effects: &[E], scratch: &mut Vec<u8>) -> Result<u64, Unwritable> {
    scratch.clear();
    Append(scratch).write(effects)?;
    let mut hasher = SipHasher13::new();
    hasher.write(scratch);
    Ok(hasher.finish())
}

/// Something has no form in a journal: a fault of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a part of it has no form in a journal, or is too large for one")
    }
}

impl core::error::Error for Unwritable {}

/// Writes values at the end of bytes.
pub(super) struct Append<'a>(pub(super) &'a mut Vec<u8>);

impl Append<'_> {
    /// Whole or not at all.
    pub(super) fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        let before = self.0.len();
        let written = postcard::serialize_with_flavor(value, Append(&mut *self.0));
        written.map_err(|_| {
            self.0.truncate(before);
            Unwritable
        })
    }
}

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
