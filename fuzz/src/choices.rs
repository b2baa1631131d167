//! Bytes as choices: one generator serves a fuzzer's bytes and those of a fixed seed.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::de::DeserializeOwned;

use crate::arbitrary;

/// Bytes that are used up by choosing; once they are, every choice is the first.
#[derive(Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
    at: usize,
    telling: bool,
    reached: BTreeMap<&'static str, usize>,
}

impl<'a> Choices<'a> {
    /// Choices by these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, telling: false, reached: BTreeMap::new() }
    }

    /// The same, with every step told on standard output.
    pub fn telling(bytes: &'a [u8]) -> Self {
        Self { telling: true, ..Self::new(bytes) }
    }

    /// Whether the bytes are used up.
    pub fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at = (self.at + 1).min(self.bytes.len());
        byte
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// A number below `n`, which is above 0. It takes one byte up to 256, and four beyond.
    pub fn below(&mut self, n: u32) -> u32 {
        match n {
            0..=256 => u32::from(self.byte()) % n.max(1),
            257.. => u32::from_le_bytes([0; 4].map(|_: u8| self.byte())) % n,
        }
    }

    /// Whether a chance of one in `n` comes true.
    pub fn one_in(&mut self, n: u32) -> bool {
        // Not 0: what the bytes no longer say is what is usual.
        self.below(n) == n - 1
    }

    /// One of these, which are not none.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.below(u32::try_from(of.len()).unwrap_or(u32::MAX));
        of[at as usize].clone()
    }

    /// Any value of a kind, whatever is in it.
    pub fn any<T: DeserializeOwned>(&mut self) -> T {
        arbitrary::any(self)
    }

    /// Remembers that something was reached: a run that reaches little proves little.
    pub fn reach(&mut self, what: &'static str) {
        let at = self.at;
        self.reached.entry(what).or_insert(at);
    }

    /// What was reached, and how many bytes had been used up by then.
    pub fn reached(&self) -> &BTreeMap<&'static str, usize> {
        &self.reached
    }

    /// Tells a step, if anyone listens.
    pub fn tell(&self, step: impl FnOnce() -> String) {
        if self.telling {
            println!("{}", step());
        }
    }

    /// Ends the run, because something does not hold.
    #[track_caller]
    pub fn broken(&self, what: impl Display) -> ! {
        panic!("after {} bytes: {what}", self.at)
    }

    /// Ends the run unless something holds.
    #[track_caller]
    pub fn hold(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(what());
        }
    }
}

/// So many bytes of a seed: always the same.
pub fn bytes_of(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()
    });
    next.flatten().take(len).collect()
}
