//! Which states were seen: 64 bits of hash each, in the order in which they were first seen.

use std::mem::size_of;

/// A state, by the order in which states were first seen.
pub(super) type Id = u32;

const FREE: Id = Id::MAX;

/// How full the index may be, in eighths.
const FULL: usize = 6;

/// The hashes of the states that were seen, and an index of them by open addressing.
#[derive(Debug)]
pub(super) struct Visited {
    hashes: Vec<u64>,
    index: Vec<Id>,
}

impl Visited {
    pub(super) fn new() -> Self {
        Self { hashes: Vec::new(), index: vec![FREE; 1 << 12] }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The state of this hash.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<Id> {
        let mut at = self.place(hash);
        loop {
            match self.index[at] {
                FREE => return None,
                id if self.hashes[id as usize] == hash => return Some(id),
                _ => at = self.after(at),
            }
        }
    }

    /// Of many hashes at once, so that they need not wait for the memory one after another.
    pub(super) fn find_all(&self, hashes: &[u64], found: &mut Vec<Option<Id>>) {
        let first = found.len();
        found.extend(hashes.iter().map(|hash| Some(self.index[self.place(*hash)])));
        for (hash, found) in hashes.iter().zip(&mut found[first..]) {
            let at_first = found.filter(|id| *id != FREE);
            let is_it = at_first.is_none_or(|id| self.hashes[id as usize] == *hash);
            *found = if is_it { at_first } else { self.find(*hash) };
        }
    }

    /// The state of this hash, and whether it is new.
    pub(super) fn insert(&mut self, hash: u64) -> (Id, bool) {
        if self.hashes.len() * 8 >= self.index.len() * FULL {
            self.grow();
        }
        let mut at = self.place(hash);
        loop {
            match self.index[at] {
                FREE => break,
                id if self.hashes[id as usize] == hash => return (id, false),
                _ => at = self.after(at),
            }
        }
        let id = Id::try_from(self.hashes.len()).unwrap_or(FREE);
        self.index[at] = id;
        self.hashes.push(hash);
        (id, true)
    }

    /// What it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.len() * size_of::<u64>() + self.index.len() * size_of::<Id>()
    }

    /// Every hash together, in whatever order they came.
    pub(super) fn digest(&self) -> u64 {
        self.hashes.iter().fold(0, |all, hash| all.wrapping_add(hash.wrapping_mul(hash | 1)))
    }

    fn grow(&mut self) {
        let length = self.index.len() / 2 * 3;
        // The old one goes first: both together would be the most that a search takes.
        self.index = Vec::new();
        self.index = vec![FREE; length];
        for (id, hash) in (0..).zip(&self.hashes) {
            let mut at = self.place(*hash);
            while self.index[at] != FREE {
                at = self.after(at);
            }
            self.index[at] = id;
        }
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        // Sums of products have their best bits in the middle: spread them, then take the share of the length.
        let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(spread) * self.index.len() as u128) >> 64) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.index.len() { 0 } else { at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_found_again_and_nothing_else() {
        let mut visited = Visited::new();
        let hash = |n: u64| n.wrapping_mul(0x1234_5678_9abc_def1) ^ n << 40;
        for n in 0..20_000 {
            assert_eq!(visited.insert(hash(n)), (n as Id, true));
            assert_eq!(visited.insert(hash(n / 2)), (n as Id / 2, false));
        }
        let hashes: Vec<u64> = (0..40_000).map(hash).collect();
        let mut found = Vec::new();
        visited.find_all(&hashes, &mut found);
        for (n, found) in (0..).zip(found) {
            assert_eq!(found, (n < 20_000).then_some(n));
            assert_eq!(visited.find(hash(n.into())), found);
        }
    }
}
