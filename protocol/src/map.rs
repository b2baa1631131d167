//! One ordered map for both ends of the scale.
//!
//! The same core is exhausted by a checker (three entries, cloned and hashed at every step) and carries 50,000
//! slaves (no scan on any message). A sorted vector is best for the first and hopeless for the second, a tree
//! the other way round; so a [`Map`] is a vector up to [`SMALL`] entries and a tree beyond, and a single entry
//! takes no memory of its own. Equality and hash are those of the sequence of entries, whatever holds them: one
//! meaning, one encoding.
//!
//! [`Records`] is such a map of large values, of which most steps change one: they are [`Shared`], and what finds
//! them is small.

mod large;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::{fmt, mem, slice};

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::shared::Shared;

use large::Large;

/// What may be the key of a [`Map`].
pub trait Key: Ord {
    /// A number for each key, in the order of the keys, where there is one: most ids are. A large map finds by
    /// numbers what it would else have to search for.
    fn number(&self) -> Option<u64>;
}

impl Key for u8 {
    fn number(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Key for u32 {
    fn number(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

/// The most entries that are kept in a vector. `cargo bench -p neap-protocol --bench representation` shows where the
/// two representations cross.
pub const SMALL: usize = 16;

/// An ordered map that is cheap to clone and hash when small, and to change when large.
#[derive(Clone)]
pub struct Map<K, V>(Repr<K, V>);

/// `Vec` has at least two entries, `Large` more than half of [`SMALL`].
#[derive(Clone)]
enum Repr<K, V> {
    Empty,
    One([(K, V); 1]),
    Vec(Vec<(K, V)>),
    Large(Box<Large<K, V>>),
}

/// An ordered set: a [`Map`] to nothing.
pub type Set<K> = Map<K, ()>;

impl<K: Key, V> Map<K, V> {
    /// An empty map, which takes no memory.
    pub const fn new() -> Self {
        Self(Repr::Empty)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self.parts() {
            Ok(entries) => entries.len(),
            Err(large) => large.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.parts() {
            Ok(entries) => find(entries, key).ok().map(|i| &entries[i].1),
            Err(large) => large.get(key),
        }
    }

    /// The value of `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.parts_mut() {
            Ok(entries) => find(entries, key).ok().map(|i| &mut entries[i].1),
            Err(large) => large.get_mut(key),
        }
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives `key` a value, and answers the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.parts_mut() {
            Ok(entries) => match find(entries, &key) {
                Ok(i) => Some(mem::replace(&mut entries[i].1, value)),
                Err(i) => {
                    self.add(i, key, value);
                    None
                }
            },
            Err(large) => large.insert(key, value),
        }
    }

    /// Adds an entry at its place, which was found in a small map.
    fn add(&mut self, i: usize, key: K, value: V) {
        match &mut self.0 {
            Repr::Vec(entries) if entries.len() < SMALL => entries.insert(i, (key, value)),
            Repr::Empty | Repr::One(_) | Repr::Vec(_) | Repr::Large(_) => {
                self.0 = match mem::replace(&mut self.0, Repr::Empty) {
                    Repr::Empty => Repr::One([(key, value)]),
                    Repr::One([entry]) => Repr::Vec(match i {
                        0 => alloc::vec![(key, value), entry],
                        _ => alloc::vec![entry, (key, value)],
                    }),
                    Repr::Vec(entries) => {
                        let mut large = Large::from_sorted(entries);
                        large.insert(key, value);
                        Repr::Large(Box::new(large))
                    }
                    Repr::Large(mut large) => {
                        large.insert(key, value);
                        Repr::Large(large)
                    }
                };
            }
        }
    }

    /// Takes `key` out, and answers its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let removed = match &mut self.0 {
            Repr::Empty => None,
            Repr::One([(only, _)]) if only != key => None,
            Repr::One(_) => match mem::replace(&mut self.0, Repr::Empty) {
                Repr::One([(_, value)]) => Some(value),
                Repr::Empty | Repr::Vec(_) | Repr::Large(_) => None,
            },
            Repr::Vec(entries) => find(entries, key).ok().map(|i| entries.remove(i).1),
            Repr::Large(large) => large.remove(key),
        };
        self.shrink();
        removed
    }

    /// Goes back to the representation of fewer entries, late enough that one more does not undo it at once.
    fn shrink(&mut self) {
        match &mut self.0 {
            Repr::Vec(entries) if entries.len() < 2 => {
                self.0 = entries.pop().map_or(Repr::Empty, |entry| Repr::One([entry]));
            }
            Repr::Large(large) if large.len() <= SMALL / 2 => {
                if let Repr::Large(large) = mem::replace(&mut self.0, Repr::Empty) {
                    *self = Self::from_sorted(large.into_entries());
                }
            }
            Repr::Empty | Repr::One(_) | Repr::Vec(_) | Repr::Large(_) => {}
        }
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        match self.parts() {
            Ok(entries) => entries.last().map(|(k, v)| (k, v)),
            Err(large) => large.last(),
        }
    }

    /// Every entry, in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        match self.parts() {
            Ok(entries) => Iter::Small(entries.iter()),
            Err(large) => Iter::Large(LargeIter(large.iter())),
        }
    }

    /// The entries whose keys are greater than `after`, in order: the next page of a listing.
    pub fn iter_after(&self, after: Option<K>) -> impl Iterator<Item = (&K, &V)> {
        let (small, large) = match self.parts() {
            Ok(entries) => {
                let from = after.map_or(0, |key| entries.partition_point(|(k, _)| *k <= key));
                (Some(entries[from..].iter().map(|(k, v)| (k, v))), None)
            }
            Err(large) => (None, Some(large.iter_after(after))),
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
        let (small, large) = match self.parts_mut() {
            Ok(entries) => (Some(entries.iter_mut().map(|(_, v)| v)), None),
            Err(large) => (None, Some(large.values_mut())),
        };
        small.into_iter().flatten().chain(large.into_iter().flatten())
    }

    /// Keeps the entries for which `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match &mut self.0 {
            Repr::Empty => {}
            Repr::One([(key, value)]) => {
                if !keep(key, value) {
                    self.0 = Repr::Empty;
                }
            }
            Repr::Vec(entries) => entries.retain_mut(|(key, value)| keep(key, value)),
            Repr::Large(large) => large.retain(keep),
        }
        self.shrink();
    }

    fn parts(&self) -> Result<&[(K, V)], &Large<K, V>> {
        match &self.0 {
            Repr::Empty => Ok(&[]),
            Repr::One(entry) => Ok(entry),
            Repr::Vec(entries) => Ok(entries),
            Repr::Large(large) => Err(large),
        }
    }

    fn parts_mut(&mut self) -> Result<&mut [(K, V)], &mut Large<K, V>> {
        match &mut self.0 {
            Repr::Empty => Ok(&mut []),
            Repr::One(entry) => Ok(entry),
            Repr::Vec(entries) => Ok(entries),
            Repr::Large(large) => Err(large),
        }
    }

    fn from_sorted(mut entries: Vec<(K, V)>) -> Self {
        Self(match entries.len() {
            0 => Repr::Empty,
            1 => entries.pop().map_or(Repr::Empty, |entry| Repr::One([entry])),
            2..=SMALL => Repr::Vec(entries),
            _ => Repr::Large(Box::new(Large::from_sorted(entries))),
        })
    }
}

fn find<K: Key, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    entries.binary_search_by(|(k, _)| k.cmp(key))
}

/// The entries of a [`Map`], in order.
#[derive(Debug)]
pub enum Iter<'a, K, V> {
    /// Of a small map.
    Small(slice::Iter<'a, (K, V)>),
    /// Of a large one.
    Large(LargeIter<'a, K, V>),
}

/// The entries of a large [`Map`], in order.
#[derive(Debug)]
pub struct LargeIter<'a, K, V>(large::Iter<'a, K, V>);

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Small(iter) => iter.next().map(|(k, v)| (k, v)),
            Self::Large(LargeIter(iter)) => iter.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Small(iter) => iter.size_hint(),
            Self::Large(LargeIter(iter)) => iter.size_hint(),
        }
    }
}

impl<'a, K: Key, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Key, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut map = Self::new();
        for (key, value) in iter {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Key, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Key, V: Eq> Eq for Map<K, V> {}

impl<K: Key + Hash, V: Hash> Hash for Map<K, V> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        for (key, value) in self {
            key.hash(state);
            value.hash(state);
        }
    }
}

impl<K: Key + fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Key + Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // How many there are is said before them, and a large map's iterator does not know.
        let mut entries = serializer.serialize_seq(Some(self.len()))?;
        for entry in self {
            entries.serialize_element(&entry)?;
        }
        entries.end()
    }
}

impl<'de, K: Key + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Map<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(K, V)>::deserialize(deserializer)?;
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(serde::de::Error::custom("the entries of a map are not in order"));
        }
        Ok(Self::from_sorted(entries))
    }
}

/// A [`Map`] of records that are [`Shared`]: a clone copies none, and a change only the one that it changes.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent, bound(serialize = "K: Key + Serialize, V: Serialize"))]
#[serde(bound(deserialize = "K: Key + Deserialize<'de>, V: Deserialize<'de>"))]
pub struct Records<K: Key, V>(Map<K, Shared<V>>);

impl<K: Key, V> Records<K, V> {
    /// None, which takes no memory.
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|record| &**record)
    }

    /// Whether `key` has one.
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Gives `key` a record in place of what it had.
    pub fn insert(&mut self, key: K, record: V) {
        self.0.insert(key, Shared::new(record));
    }

    /// Every record, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, record)| (key, &**record))
    }

    /// The records whose keys are greater than `after`, in order: the next page of a listing.
    pub fn iter_after(&self, after: Option<K>) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter_after(after).map(|(key, record)| (key, &**record))
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// Every record, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(|record| &**record)
    }
}

impl<K: Key, V: Clone> Records<K, V> {
    /// The record of `key`, to change: from here on it is no clone's.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(Shared::to_mut)
    }

    /// Takes the record of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(Shared::into_inner)
    }
}

impl<K: Key, V> Default for Records<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key + fmt::Debug, V: fmt::Debug> fmt::Debug for Records<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FrameworkId, TaskId};
    use crate::text::Name;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use core::hash::BuildHasher;
    use core::ops::Bound;

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
        // Numbers that fill few blocks, many blocks sparsely, and keys that have none.
        does_what_a_b_tree_does(|x| x % 48);
        does_what_a_b_tree_does(|x| x % 48 * 37);
        does_what_a_b_tree_does(|x| TaskId { framework: FrameworkId(u32::MAX - x % 3), number: x % 16 });
        does_what_a_b_tree_does(|x| Name::new(&std::format!("n{}", x % 48)).unwrap());
    }

    fn does_what_a_b_tree_does<K: Key + Clone + fmt::Debug>(make: impl Fn(u32) -> K) {
        let mut map = Map::new();
        let mut tree = BTreeMap::new();
        let (mut x, mut largest) = (1u32, 0);
        for step in 0..20_000 {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            let key = make(x);
            match (x >> 8) % 16 {
                0..=8 => assert_eq!(map.insert(key.clone(), step), tree.insert(key.clone(), step)),
                9..=12 => assert_eq!(map.remove(&key), tree.remove(&key)),
                13 => {
                    let bit = (step >> 3) & 1;
                    map.retain(|k, v| *k < key || *v & 1 == bit);
                    tree.retain(|k, v| *k < key || *v & 1 == bit);
                }
                _ => assert_eq!(map.get_mut(&key).map(|v| *v += 1), tree.get_mut(&key).map(|v| *v += 1)),
            }
            assert_eq!(map.len(), tree.len());
            assert_eq!(map.get(&key), tree.get(&key));
            assert!(map.iter().eq(tree.iter()));
            assert!(map.values_mut().eq(tree.values_mut()));
            let after = (Bound::Excluded(key.clone()), Bound::Unbounded);
            assert!(map.iter_after(Some(key)).eq(tree.range(after)));
            assert_eq!(map.last(), tree.last_key_value());
            largest = largest.max(tree.len());
        }
        assert!(largest > 2 * SMALL, "it was never large: {largest}");
    }

    /// R28: a registry of many slaves is written down, too.
    #[test]
    fn a_map_of_any_size_goes_round() {
        for len in [0, 1, 2, 16, 17, 100, 1_000, 5_000] {
            let map: Map<u32, u32> = (0..len).map(|k| (k, k * 3)).collect();
            let bytes = postcard::to_allocvec(&map).unwrap();
            let read: Map<u32, u32> = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read, map, "{len} entries");
        }
    }

    #[test]
    fn an_unordered_encoding_is_refused() {
        let bytes = postcard::to_allocvec(&vec![(2u8, 0u8), (1, 0)]).unwrap();
        assert!(postcard::from_bytes::<Map<u8, u8>>(&bytes).is_err());
    }
}
