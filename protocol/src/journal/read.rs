//! Reads journals: what is whole of them, and what is wrong with the rest.

use alloc::vec::Vec;
use core::fmt;

use super::frame::{Chain, HEAD_SIZE, ITEMS, MAGIC, RUN, TAIL_SIZE};
use super::machine::Machine;
use super::record::{Effects, End, Entry, Header, Item, Record};
use crate::codec;
use crate::ids::SessionId;
use crate::time::Millis;
use crate::transport::Role;

/// Reads a journal, as far as it is whole. Of a frame that is torn or does not check, nothing is read, nor of what
/// follows it. It takes no more memory than a small multiple of what the bytes have.
///
/// # Errors
/// [`NotAJournal`]: the bytes begin otherwise than a journal of this version does.
pub fn read(bytes: &[u8]) -> Result<Journal<'_>, NotAJournal> {
    let Some(rest) = magic(bytes)? else {
        let damage = (!bytes.is_empty()).then_some(Damage { at: 0, flaw: Flaw::Torn { left: bytes.len() } });
        return Ok(Journal { runs: Vec::new(), whole: 0, damage });
    };
    let mut scanner = Scanner::default();
    let mut runs: Vec<RawRun<'_>> = Vec::new();
    let mut left = rest;
    let flaw = loop {
        if left.is_empty() {
            break None;
        }
        match scanner.next(left, &mut runs) {
            Ok(after) => left = after,
            Err(flaw) => break Some(flaw),
        }
    };
    let whole = bytes.len() - left.len();
    Ok(Journal { runs, whole, damage: flaw.map(|flaw| Damage { at: whole, flaw }) })
}

/// What follows the magic; `None` if there are too few bytes to have one, and they may be the beginning of one.
///
/// # Errors
/// [`NotAJournal`]: they are not.
pub fn magic(bytes: &[u8]) -> Result<Option<&[u8]>, NotAJournal> {
    let [name @ .., _version] = &MAGIC;
    match bytes.split_first_chunk() {
        Some((&MAGIC, rest)) => Ok(Some(rest)),
        Some((&[.., version], _)) if bytes.starts_with(name) => Err(NotAJournal::Version { found: version }),
        None if MAGIC.starts_with(bytes) => Ok(None),
        Some(_) | None => Err(NotAJournal::Other),
    }
}

/// What could be read of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<'a> {
    /// Its runs, oldest first.
    pub runs: Vec<RawRun<'a>>,
    /// How many of its bytes are whole: what can be appended to.
    pub whole: usize,
    /// What is wrong with the rest.
    pub damage: Option<Damage>,
}

/// A run whose frames check, and whose items are still to be [decoded](Self::decode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRun<'a> {
    /// Whose it is.
    pub header: Header,
    config: &'a [u8],
    /// The items of each of its frames.
    items: Vec<&'a [u8]>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run<M: Machine> {
    /// Whose it is.
    pub header: Header,
    /// What the machine is set to.
    pub config: M::Config,
    /// What happened, in order.
    pub entries: Vec<Entry<M::Input, M::Effect>>,
    /// How it ended; `None` if it was cut short.
    pub end: Option<End>,
}

/// Where a journal is damaged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// After how many bytes: all before are whole.
    pub at: usize,
    /// How.
    pub flaw: Flaw,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It ends too soon, as after a crash.
    Torn {
        /// How many bytes of it there are.
        left: usize,
    },
    /// Its check or its length's does not fit: a bit was flipped, or bytes are missing, added or moved.
    Corrupt,
    /// It checks, and is no frame that this program knows.
    Strange,
    /// It has items, and no run has begun.
    NoRun,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.flaw {
            Flaw::Torn { left } => write!(f, "torn at byte {at}: {left} bytes of a frame that is not whole"),
            Flaw::Corrupt => write!(f, "corrupt at byte {at}: bytes there were changed, lost or moved"),
            Flaw::Strange => write!(f, "not understood at byte {at}: written by another program than this"),
            Flaw::NoRun => write!(f, "not understood at byte {at}: no run has begun there"),
        }
    }
}

impl core::error::Error for Damage {}

/// The bytes are no journal of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAJournal {
    /// They are a journal of another version of the format.
    Version {
        /// Which.
        found: u8,
    },
    /// They are something else.
    Other,
}

impl fmt::Display for NotAJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [.., version] = MAGIC;
        match self {
            Self::Version { found } => {
                write!(
                    f,
                    "a journal of version {found}, and this program reads version {version}: use the release that wrote it"
                )
            }
            Self::Other => write!(f, "no journal"),
        }
    }
}

impl core::error::Error for NotAJournal {}

/// Checks frames one after another, for those who do not have the whole journal in memory. It begins after the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanner {
    chain: Chain,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A run begins, with this config.
    Run(Header, &'a [u8]),
    /// Items of the run.
    Items(&'a [u8]),
}

impl Default for Scanner {
    fn default() -> Self {
        Self { chain: Chain::START }
    }
}

impl Scanner {
    /// How far it is: to append from there.
    pub fn chain(self) -> Chain {
        self.chain
    }

    /// How many bytes follow a frame's head: its body and its tail.
    ///
    /// # Errors
    /// [`Flaw::Corrupt`].
    pub fn follows(self, head: [u8; HEAD_SIZE]) -> Result<usize, Flaw> {
        let [a, b, c, d, check @ ..] = head;
        let length = [a, b, c, d];
        match usize::try_from(u32::from_le_bytes(length)) {
            Ok(fits) if self.chain.of_length(length) == check => Ok(fits.saturating_add(TAIL_SIZE)),
            Ok(_) | Err(_) => Err(Flaw::Corrupt),
        }
    }

    /// Checks a frame's body and tail, and goes on to the next.
    ///
    /// # Errors
    /// [`Flaw`]; it is then where it was.
    pub fn body<'a>(&mut self, follows: &'a [u8]) -> Result<Body<'a>, Flaw> {
        let (body, tail) = follows.split_last_chunk().ok_or(Flaw::Corrupt)?;
        let next = self.chain.of_body(body);
        if next.to_bytes() != *tail {
            return Err(Flaw::Corrupt);
        }
        let read = match body.split_first() {
            Some((&RUN, rest)) => {
                let (header, config) = postcard::take_from_bytes(rest).map_err(|_| Flaw::Strange)?;
                Body::Run(header, config)
            }
            Some((&ITEMS, items)) => Body::Items(items),
            Some(_) | None => return Err(Flaw::Strange),
        };
        self.chain = next;
        Ok(read)
    }

    /// Takes the next frame into the runs, and answers what follows it.
    fn next<'a>(&mut self, bytes: &'a [u8], runs: &mut Vec<RawRun<'a>>) -> Result<&'a [u8], Flaw> {
        // What a crash left of a file that was to grow may be zeros.
        let torn = Flaw::Torn { left: bytes.len() };
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(torn);
        }
        let (head, rest) = bytes.split_first_chunk().ok_or(torn)?;
        let (frame, rest) = rest.split_at_checked(self.follows(*head)?).ok_or(torn)?;
        let before = *self;
        match (self.body(frame)?, runs.last_mut()) {
            (Body::Run(header, config), _) => runs.push(RawRun { header, config, items: Vec::new() }),
            (Body::Items(items), Some(run)) => run.items.push(items),
            (Body::Items(_), None) => {
                *self = before;
                return Err(Flaw::NoRun);
            }
        }
        Ok(rest)
    }
}

impl RawRun<'_> {
    /// How many bytes its items have.
    pub fn size(&self) -> usize {
        self.items.iter().map(|items| items.len()).sum()
    }

    /// Decodes it as a run of `M`.
    ///
    /// # Errors
    /// [`DecodeError`]: it is another machine's, or another program's.
    pub fn decode<M: Machine>(&self) -> Result<Run<M>, DecodeError> {
        if self.header.role != M::ROLE {
            return Err(DecodeError::Role { expected: M::ROLE, found: self.header.role });
        }
        if self.header.protocol != codec::VERSION {
            return Err(DecodeError::Protocol { found: self.header.protocol });
        }
        let malformed = |item| move |_: postcard::Error| DecodeError::Malformed { item };
        let (config, extra) = postcard::take_from_bytes(self.config).map_err(malformed(0))?;
        if !extra.is_empty() {
            return Err(DecodeError::Malformed { item: 0 });
        }
        let mut reading = Reading::default();
        let mut item = 0;
        for items in &self.items {
            let mut left: &[u8] = items;
            while !left.is_empty() {
                item += 1;
                let (next, rest) = postcard::take_from_bytes(left).map_err(malformed(item))?;
                reading.take(next).map_err(|Misplaced| DecodeError::Malformed { item })?;
                left = rest;
            }
        }
        Ok(Run { header: self.header.clone(), config, entries: reading.entries, end: reading.end })
    }
}

/// Entries, as items make them.
struct Reading<I, E> {
    entries: Vec<Entry<I, E>>,
    now: Millis,
    end: Option<End>,
}

impl<I, E> Default for Reading<I, E> {
    fn default() -> Self {
        Self { entries: Vec::new(), now: Millis(0), end: None }
    }
}

/// An item that cannot come where it comes.
struct Misplaced;

impl<I, E> Reading<I, E> {
    fn take(&mut self, item: Item<I, Vec<E>>) -> Result<(), Misplaced> {
        if self.end.is_some() {
            return Err(Misplaced);
        }
        match item {
            Item::Session { session, link } => self.session(session, link),
            Item::Input { after, input } => {
                self.answered()?;
                self.now = self.now.plus(after);
                let record = Record { at: self.now, input, effects: Effects::Unanswered };
                self.entries.push(Entry::Input(record));
                Ok(())
            }
            Item::Nothing => self.answer(Effects::Whole(Vec::new())),
            Item::Digest { count, digest } => {
                self.answer(Effects::Digest { count, digest: u64::from_le_bytes(digest) })
            }
            Item::Whole(effects) => self.answer(Effects::Whole(effects)),
            Item::End(end) => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    fn session(&mut self, session: SessionId, link: super::LinkId) -> Result<(), Misplaced> {
        self.answered()?;
        self.entries.push(Entry::Session { session, link });
        Ok(())
    }

    fn answer(&mut self, effects: Effects<E>) -> Result<(), Misplaced> {
        match self.entries.last_mut() {
            Some(Entry::Input(record)) if matches!(record.effects, Effects::Unanswered) => {
                record.effects = effects;
                Ok(())
            }
            Some(Entry::Input(_) | Entry::Session { .. }) | None => Err(Misplaced),
        }
    }

    /// Only the last input of a run may have no answer.
    fn answered(&self) -> Result<(), Misplaced> {
        match self.entries.last() {
            Some(Entry::Input(Record { effects: Effects::Unanswered, .. })) => Err(Misplaced),
            Some(Entry::Input(_) | Entry::Session { .. }) | None => Ok(()),
        }
    }
}

/// Why a run whose frames check is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It is of another role's machine.
    Role {
        /// Which role it was taken for.
        expected: Role,
        /// Whose it is.
        found: Role,
    },
    /// It is of a node that spoke another version of the protocol.
    Protocol {
        /// Which.
        found: u8,
    },
    /// An item is not one of this program's; 0 is the config.
    Malformed {
        /// Which, counted from 1.
        item: u64,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { expected, found } => write!(f, "its machine is the {found}'s, not the {expected}'s"),
            Self::Protocol { found } => write!(
                f,
                "it is of version {found} of the protocol, and this program speaks version {}: use the release that \
                 wrote it",
                codec::VERSION
            ),
            Self::Malformed { item: 0 } => {
                write!(f, "its config is not one of this program's: use the release that wrote it")
            }
            Self::Malformed { item } => {
                write!(f, "its item {item} is not one of this program's: use the release that wrote it")
            }
        }
    }
}

impl core::error::Error for DecodeError {}
