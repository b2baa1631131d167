//! What a machine asks of its driver: effects, in order.

use alloc::vec::{self, Vec};

/// The effects of one input, in the order in which the driver must take them.
///
/// A machine only adds to it; only a driver takes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox<E> {
    effects: Vec<E>,
}

impl<E> Outbox<E> {
    /// An empty one. A driver keeps one for the life of its node.
    pub const fn new() -> Self {
        Self { effects: Vec::new() }
    }

    pub(crate) fn push(&mut self, effect: E) {
        self.effects.push(effect);
    }

    /// Takes all effects, and leaves the outbox empty with its memory kept.
    pub fn drain(&mut self) -> vec::Drain<'_, E> {
        self.effects.drain(..)
    }

    /// The effects that wait to be taken.
    pub fn as_slice(&self) -> &[E] {
        &self.effects
    }
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self::new()
    }
}
