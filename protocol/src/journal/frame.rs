//! Frames: what is written together, and checked together.

use alloc::vec::Vec;
use core::hash::Hasher;

use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::record::{Append, Header, Unwritable};

/// What every journal begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"neapjnl\x01";

/// The bytes before a frame's body: its length, and that length's check.
pub const HEAD_SIZE: usize = 8;

/// The bytes after a frame's body: its check.
pub const TAIL_SIZE: usize = 8;

/// The first byte of a body that begins a run.
pub(super) const RUN: u8 = 1;

/// The first byte of a body of items.
pub(super) const ITEMS: u8 = 2;

/// How far a journal is written or read: the check of its last frame, by which the checks of the next are keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(u64);

impl Chain {
    /// Of a journal without frames.
    pub const START: Self = Self(u64::from_le_bytes(MAGIC));

    pub(super) fn of_length(self, length: [u8; 4]) -> [u8; 4] {
        let [a, b, c, d, ..] = self.hash(1, &length).to_le_bytes();
        [a, b, c, d]
    }

    pub(super) fn of_body(self, body: &[u8]) -> Self {
        Self(self.hash(2, body))
    }

    pub(super) fn to_bytes(self) -> [u8; TAIL_SIZE] {
        self.0.to_le_bytes()
    }

    fn hash(self, part: u64, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, part);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// Appends to `out` the frame that begins a run, and answers how far the journal then is.
///
/// # Errors
/// [`Unwritable`]; `out` is then as before.
pub fn seal_run(
    chain: Chain,
    header: &Header,
    config: &impl Serialize,
    out: &mut Vec<u8>,
) -> Result<Chain, Unwritable> {
    let mut body = Vec::new();
    body.push(RUN);
    Append(&mut body).write(header)?;
    Append(&mut body).write(config)?;
    seal(chain, &body, out)
}

/// Appends to `out` a frame of items, which are whole ones that a [`Recorder`](super::Recorder) made, and answers how
/// far the journal then is.
///
/// # Errors
/// [`Unwritable`]: they are too many for one frame; `out` is then as before.
pub fn seal_items(chain: Chain, items: &[u8], out: &mut Vec<u8>) -> Result<Chain, Unwritable> {
    let mut body = Vec::with_capacity(1 + items.len());
    body.push(ITEMS);
    body.extend_from_slice(items);
    seal(chain, &body, out)
}

fn seal(chain: Chain, body: &[u8], out: &mut Vec<u8>) -> Result<Chain, Unwritable> {
    let length = u32::try_from(body.len()).map_err(|_| Unwritable)?.to_le_bytes();
    let next = chain.of_body(body);
    out.extend_from_slice(&length);
    out.extend_from_slice(&chain.of_length(length));
    out.extend_from_slice(body);
    out.extend_from_slice(&next.to_bytes());
    Ok(next)
}
