//! One ordered map for both ends of the scale.
//!
//! The same core is exhausted by a checker (three entries, cloned and hashed at every step) and carries 50,000
//! slaves (no scan on any message). A sorted vector is best for the first and hopeless for the second, a B-tree
//! the other way round; so a [`Map`] is a vector up to [`SMALL`] entries and a B-tree beyond. Equality and hash are
//! those of the sequence of entries, whatever holds them: one meaning, one encoding.

use alloc::collections::{BTreeMap, btree_map};
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::ops::Bound;
use core::{fmt, slice};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most entries that are kept in a vector. `cargo bench -p neap-protocol --bench map` shows where the two
/// representations cross.
pub const SMALL: usize = 16;

/// An ordered map that is cheap to clone and hash when small, and to change when large.
#[derive(Clone)]
pub struct Map<K, V>(Repr<K, V>);

#[derive(Clone)]
enum Repr<K, V> {
    Small(Vec<(K, V)>),
    Large(BTreeMap<K, V>),
}

/// An ordered set: a [`Map`] to nothing.
pub type Set<K> = Map<K, ()>;

impl<K: Ord, V> Map<K, V> {
    /// An empty map, which takes no memory.
    pub const fn new() -> Self {
        Self(Repr::Small(Vec::new()))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Small(entries) => entries.len(),
            Repr::Large(tree) => tree.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.0 {
            Repr::Small(entries) => find(entries, key).ok().map(|i| &entries[i].1),
            Repr::Large(tree) => tree.get(key),
        }
    }

    /// The value of `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.0 {
            Repr::Small(entries) => find(entries, key).ok().map(|i| &mut entries[i].1),
            Repr::Large(tree) => tree.get_mut(key),
        }
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives `key` a value, and answers the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match &mut self.0 {
            Repr::Small(entries) => match find(entries, &key) {
                Ok(i) => Some(core::mem::replace(&mut entries[i].1, value)),
                Err(i) if entries.len() < SMALL => {
                    entries.insert(i, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: BTreeMap<K, V> = core::mem::take(entries).into_iter().collect();
                    tree.insert(key, value);
                    self.0 = Repr::Large(tree);
                    None
                }
            },
            Repr::Large(tree) => tree.insert(key, value),
        }
    }

    /// Takes `key` out, and answers its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        match &mut self.0 {
            Repr::Small(entries) => {
                let i = find(entries, key).ok()?;
                let (_, value) = entries.remove(i);
                if entries.is_empty() {
                    *entries = Vec::new();
                }
                Some(value)
            }
            Repr::Large(tree) => {
                let value = tree.remove(key);
                if tree.len() <= SMALL / 2 {
                    self.0 = Repr::Small(core::mem::take(tree).into_iter().collect());
                }
                value
            }
        }
    }

    /// The value of `key`, made by `make` if it had none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if let Repr::Small(entries) = &mut self.0
            && entries.len() >= SMALL
            && find(entries, &key).is_err()
        {
            self.0 = Repr::Large(core::mem::take(entries).into_iter().collect());
        }
        match &mut self.0 {
            Repr::Small(entries) => {
                let i = find(entries, &key).unwrap_or_else(|i| {
                    entries.insert(i, (key, make()));
                    i
                });
                &mut entries[i].1
            }
            Repr::Large(tree) => tree.entry(key).or_insert_with(make),
        }
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        match &self.0 {
            Repr::Small(entries) => entries.last().map(|(k, v)| (k, v)),
            Repr::Large(tree) => tree.last_key_value(),
        }
    }

    /// Every entry, in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        match &self.0 {
            Repr::Small(entries) => Iter::Small(entries.iter()),
            Repr::Large(tree) => Iter::Large(tree.iter()),
        }
    }

    /// The entries whose keys are greater than `after`, in order: the next page of a listing.
    pub fn iter_after(&self, after: Option<K>) -> impl Iterator<Item = (&K, &V)> {
        let (small, large) = match &self.0 {
            Repr::Small(entries) => {
                let from = after.map_or(0, |key| entries.partition_point(|(k, _)| *k <= key));
                (Some(entries[from..].iter().map(|(k, v)| (k, v))), None)
            }
            Repr::Large(tree) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                (None, Some(tree.range((from, Bound::Unbounded))))
            }
        };
        small.into_iter().flatten().chain(large.into_iter().flatten())
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Every value, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Every value, to change, in the order of the keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (small, large) = match &mut self.0 {
            Repr::Small(entries) => (Some(entries.iter_mut().map(|(_, v)| v)), None),
            Repr::Large(tree) => (None, Some(tree.values_mut())),
        };
        small.into_iter().flatten().chain(large.into_iter().flatten())
    }

    /// Keeps the entries for which `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match &mut self.0 {
            Repr::Small(entries) => {
                entries.retain_mut(|(k, v)| keep(k, v));
                if entries.is_empty() {
                    *entries = Vec::new();
                }
            }
            Repr::Large(tree) => {
                tree.retain(keep);
                if tree.len() <= SMALL / 2 {
                    self.0 = Repr::Small(core::mem::take(tree).into_iter().collect());
                }
            }
        }
    }
}

fn find<K: Ord, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    entries.binary_search_by(|(k, _)| k.cmp(key))
}

/// The entries of a [`Map`], in order.
#[derive(Debug)]
pub enum Iter<'a, K, V> {
    /// Of a small map.
    Small(slice::Iter<'a, (K, V)>),
    /// Of a large one.
    Large(btree_map::Iter<'a, K, V>),
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Small(iter) => iter.next().map(|(k, v)| (k, v)),
            Self::Large(iter) => iter.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Small(iter) => iter.size_hint(),
            Self::Large(iter) => iter.size_hint(),
        }
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut map = Self::new();
        for (key, value) in iter {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for Map<K, V> {}

impl<K: Ord + Hash, V: Hash> Hash for Map<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        for (key, value) in self {
            key.hash(state);
            value.hash(state);
        }
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Map<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(K, V)>::deserialize(deserializer)?;
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(serde::de::Error::custom("the entries of a map are not in order"));
        }
        Ok(match entries.len() <= SMALL {
            true => Self(Repr::Small(entries)),
            false => Self(Repr::Large(entries.into_iter().collect())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::hash::BuildHasher;

    fn hash_of(map: &Map<u32, u32>) -> u64 {
        std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(map)
    }

    #[test]
    fn a_large_map_that_shrank_equals_a_small_one() {
        for left in 0..=40 {
            let mut shrunk: Map<u32, u32> = (0..100).map(|k| (k, k * k)).collect();
            for key in left..100 {
                assert_eq!(shrunk.remove(&key), Some(key * key));
            }
            let grown: Map<u32, u32> = (0..left).map(|k| (k, k * k)).collect();
            assert_eq!(shrunk, grown);
            assert_eq!(hash_of(&shrunk), hash_of(&grown));
        }
    }

    #[test]
    fn it_does_what_a_b_tree_does() {
        let mut map = Map::new();
        let mut tree = BTreeMap::new();
        let mut x = 1u32;
        for step in 0..20_000 {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            let key = x % 48;
            match (x >> 8) % 4 {
                0 | 1 => assert_eq!(map.insert(key, step), tree.insert(key, step)),
                2 => assert_eq!(map.remove(&key), tree.remove(&key)),
                _ => {
                    *map.get_or_insert_with(key, || 7) += 1;
                    *tree.entry(key).or_insert(7) += 1;
                }
            }
            assert_eq!(map.len(), tree.len());
            assert_eq!(map.get(&key), tree.get(&key));
            assert!(map.iter().eq(tree.iter()));
            assert!(
                map.iter_after(Some(key))
                    .eq(tree.range((Bound::Excluded(key), Bound::Unbounded)))
            );
            assert_eq!(map.last(), tree.last_key_value());
        }
    }

    #[test]
    fn an_unordered_encoding_is_refused() {
        let bytes = postcard::to_allocvec(&vec![(2u8, 0u8), (1, 0)]).unwrap();
        assert!(postcard::from_bytes::<Map<u8, u8>>(&bytes).is_err());
    }
}
