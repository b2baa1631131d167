//! What holds many entries: a B-tree, and, where keys have numbers, a B-tree of blocks of them.
//!
//! Whoever looks up one of 50,000 slaves pays for what is not in a cache, and for little else. The B-tree of blocks is
//! so small that it stays there; of the entries themselves, one place is touched. Blocks hold what there is and no
//! room for what is not, so that sparse numbers cost no memory.

use alloc::collections::{BTreeMap, btree_map};
use alloc::vec::{self, Vec};
use core::iter::FlatMap;
use core::ops::Bound;
use core::slice;

use super::Key;

/// How many numbers share a block: one bit of a word each.
const BLOCK: u64 = u64::BITS as u64;

/// Entries of one kind of keys, more than a vector is good for.
#[derive(Clone)]
pub(super) enum Large<K, V> {
    Tree(BTreeMap<K, V>),
    Blocks(Blocks<K, V>),
}

/// Blocks by their number; none is empty.
#[derive(Clone)]
pub(super) struct Blocks<K, V> {
    blocks: BTreeMap<u64, Block<K, V>>,
    len: usize,
}

/// The entries of a block, in order, and a bit for each number that has one.
#[derive(Clone, Debug)]
pub(super) struct Block<K, V> {
    present: u64,
    entries: Vec<(K, V)>,
}

impl<K, V> Block<K, V> {
    /// Where the entry of a bit is, or would be.
    fn find(&self, bit: u64) -> Result<usize, usize> {
        let place = (self.present & (bit - 1)).count_ones() as usize;
        match self.present & bit {
            0 => Err(place),
            _ => Ok(place),
        }
    }
}

/// The block of a number, and its bit there.
fn place(number: u64) -> (u64, u64) {
    (number / BLOCK, 1 << (number % BLOCK))
}

fn number<K: Key>(key: &K) -> u64 {
    // Keys of one kind have numbers or have none.
    key.number().unwrap_or_default()
}

impl<K: Key, V> Large<K, V> {
    /// Of entries in the order of their keys.
    pub(super) fn from_sorted(entries: Vec<(K, V)>) -> Self {
        if entries.first().is_none_or(|(key, _)| key.number().is_none()) {
            return Self::Tree(entries.into_iter().collect());
        }
        let mut blocks = Blocks { blocks: BTreeMap::new(), len: 0 };
        for (key, value) in entries {
            blocks.insert(key, value);
        }
        Self::Blocks(blocks)
    }

    pub(super) fn into_entries(self) -> Vec<(K, V)> {
        match self {
            Self::Tree(tree) => tree.into_iter().collect(),
            Self::Blocks(blocks) => {
                let entries: FlatMap<_, vec::IntoIter<_>, _> =
                    blocks.blocks.into_values().flat_map(|block| block.entries.into_iter());
                entries.collect()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Tree(tree) => tree.len(),
            Self::Blocks(blocks) => blocks.len,
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Tree(tree) => tree.get(key),
            Self::Blocks(blocks) => blocks.get(key),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Tree(tree) => tree.get_mut(key),
            Self::Blocks(blocks) => blocks.get_mut(key),
        }
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Tree(tree) => tree.insert(key, value),
            Self::Blocks(blocks) => blocks.insert(key, value),
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Tree(tree) => tree.remove(key),
            Self::Blocks(blocks) => blocks.remove(key),
        }
    }

    pub(super) fn last(&self) -> Option<(&K, &V)> {
        match self {
            Self::Tree(tree) => tree.last_key_value(),
            Self::Blocks(blocks) => {
                let (_, block) = blocks.blocks.last_key_value()?;
                block.entries.last().map(|(key, value)| (key, value))
            }
        }
    }

    pub(super) fn iter(&self) -> Iter<'_, K, V> {
        self.iter_after(None)
    }

    /// The entries whose keys are greater than `after`, in order.
    pub(super) fn iter_after(&self, after: Option<K>) -> Iter<'_, K, V> {
        match self {
            Self::Tree(tree) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                Iter::Tree(tree.range((from, Bound::Unbounded)))
            }
            Self::Blocks(blocks) => {
                let (block, entries): (_, &[(K, V)]) =
                    match after.as_ref().map(|key| (key, place(number(key)))) {
                        None => (0, &[]),
                        Some((after, (block, _))) => {
                            let entries = blocks.blocks.get(&block).map_or(&[][..], |block| &block.entries);
                            let from = entries.partition_point(|(key, _)| key <= after);
                            (block.saturating_add(1), entries.get(from..).unwrap_or_default())
                        }
                    };
                Iter::Blocks(entries.iter(), blocks.blocks.range(block..))
            }
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (tree, blocks) = match self {
            Self::Tree(tree) => (Some(tree.values_mut()), None),
            Self::Blocks(blocks) => (None, Some(blocks.blocks.values_mut())),
        };
        let blocks = blocks.into_iter().flatten().flat_map(|block| &mut block.entries);
        tree.into_iter().flatten().chain(blocks.map(|(_, value)| value))
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match self {
            Self::Tree(tree) => tree.retain(keep),
            Self::Blocks(blocks) => {
                let mut len = 0;
                blocks.blocks.retain(|_, block| {
                    block.entries.retain_mut(|(key, value)| keep(key, value));
                    block.present =
                        block.entries.iter().fold(0, |bits, (key, _)| bits | place(number(key)).1);
                    len += block.entries.len();
                    block.present != 0
                });
                blocks.len = len;
            }
        }
    }
}

impl<K: Key, V> Blocks<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        let (block, bit) = place(number(key));
        let block = self.blocks.get(&block)?;
        block.entries.get(block.find(bit).ok()?).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (block, bit) = place(number(key));
        let block = self.blocks.get_mut(&block)?;
        let place = block.find(bit).ok()?;
        block.entries.get_mut(place).map(|(_, value)| value)
    }

    fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (block, bit) = place(number(&key));
        let block = self.blocks.entry(block).or_insert(Block { present: 0, entries: Vec::new() });
        match block.find(bit) {
            Ok(place) => block.entries.get_mut(place).map(|(_, old)| core::mem::replace(old, value)),
            Err(place) => {
                block.present |= bit;
                block.entries.insert(place, (key, value));
                self.len += 1;
                None
            }
        }
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let (number, bit) = place(number(key));
        let block = self.blocks.get_mut(&number)?;
        let (_, value) = block.entries.remove(block.find(bit).ok()?);
        block.present &= !bit;
        if block.present == 0 {
            self.blocks.remove(&number);
        }
        self.len -= 1;
        Some(value)
    }
}

/// The entries of a [`Large`], in order.
#[derive(Debug)]
pub(super) enum Iter<'a, K, V> {
    Tree(btree_map::Range<'a, K, V>),
    /// What is left of a block, and the blocks after it.
    Blocks(slice::Iter<'a, (K, V)>, BlockRange<'a, K, V>),
}

type BlockRange<'a, K, V> = btree_map::Range<'a, u64, Block<K, V>>;

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Tree(iter) => iter.next(),
            Self::Blocks(entries, blocks) => loop {
                if let Some((key, value)) = entries.next() {
                    return Some((key, value));
                }
                *entries = blocks.next()?.1.entries.iter();
            },
        }
    }
}
