//! Values that clones share until one of them changes, and that are hashed once.
//!
//! A checker clones and hashes a whole machine at every step, of which the step changes a small part. What is
//! [`Shared`] is then neither copied nor hashed again. Where nothing is cloned, as in a node, nothing is ever copied.

use alloc::sync::Arc;
use core::hash::{Hash, Hasher};
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::{fmt, ptr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is shared with clones until one of them changes it.
///
/// It is equal as its value is. It is hashed as a digest of its value, so that two values that differ are taken for
/// one with a probability of 2⁻⁶⁴, as any hash is.
#[derive(Default)]
pub struct Shared<T>(Arc<Digested<T>>);

#[derive(Default)]
struct Digested<T> {
    /// The digest of the value, once someone has asked for it; 0 before.
    digest: AtomicUsize,
    value: T,
}

impl<T> Shared<T> {
    /// Takes a value that nobody shares yet.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Digested { digest: AtomicUsize::new(0), value }))
    }
}

impl<T: Clone> Shared<T> {
    /// The value, to change: from here on it is no clone's.
    pub fn to_mut(&mut self) -> &mut T {
        let Digested { digest, value } = Arc::make_mut(&mut self.0);
        *digest.get_mut() = 0;
        value
    }

    /// The value, copied only if a clone still has it.
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0).value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Clone for Digested<T> {
    fn clone(&self) -> Self {
        // It is copied to be changed.
        Self { digest: AtomicUsize::new(0), value: self.value.clone() }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(&raw const *self.0, &raw const *other.0) || **self == **other
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Hash> Hash for Shared<T> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Whoever asks first writes it down; all would write the same.
        let digest = match self.0.digest.load(Ordering::Relaxed) {
            0 => {
                let digest = digest(&self.0.value);
                self.0.digest.store(digest, Ordering::Relaxed);
                digest
            }
            digest => digest,
        };
        state.write_usize(digest);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

fn digest(value: &impl Hash) -> usize {
    let mut words = Words::default();
    value.hash(&mut words);
    (words.finish() as usize).max(1)
}

/// Multiplies the words of what is hashed, two at a time, to 128 bits, and adds both halves up: every bit of a word
/// has a say in every bit of the digest.
#[derive(Default)]
struct Words {
    sum: u64,
    first: u64,
    count: u64,
}

impl Words {
    #[inline]
    fn add(&mut self, word: u64) {
        match self.count % 2 {
            0 => self.first = word,
            _ => self.sum = self.sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fold(self.first, word),
        }
        self.count += 1;
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ 0x8bb8_4b93_962e_acc9);
    product as u64 ^ (product >> 64) as u64
}

macro_rules! words {
    ($($method:ident: $type:ty;)*) => {
        $(#[inline]
        fn $method(&mut self, number: $type) {
            self.add(number as u64);
        })*
    };
}

impl Hasher for Words {
    fn finish(&self) -> u64 {
        let last = if self.count.is_multiple_of(2) { 0 } else { self.first };
        fold(fold(self.sum, last), self.count)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.add(chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    words! {
        write_u8: u8; write_u16: u16; write_u32: u32; write_u64: u64; write_usize: usize;
        write_i8: i8; write_i16: i16; write_i32: i32; write_i64: i64; write_isize: isize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::collections::BTreeSet;

    #[test]
    fn a_change_is_no_clones() {
        let mut one = Shared::new(alloc::vec![1, 2]);
        let other = one.clone();
        assert_eq!(digest(&one), digest(&other));
        one.to_mut().push(3);
        assert_eq!((&*one, &*other), (&alloc::vec![1, 2, 3], &alloc::vec![1, 2]));
        assert_ne!(one, other);
        assert_ne!(digest(&one), digest(&other));
        one.to_mut().pop();
        assert_eq!(one, other);
        assert_eq!(digest(&one), digest(&other), "as one that was never changed");
        assert_eq!(one.into_inner(), other.into_inner());
    }

    #[test]
    fn what_differs_in_a_bit_differs_in_half_of_the_digests_bits() {
        let base = [0u64, 1, 2, 3, 4];
        let of = |words: &[u64]| digest(&words.to_vec()) as u64;
        let mut distances = Vec::new();
        for word in 0..base.len() {
            for bit in 0..64 {
                let mut other = base;
                other[word] ^= 1 << bit;
                distances.push((of(&base) ^ of(&other)).count_ones());
            }
        }
        let mean = f64::from(distances.iter().sum::<u32>()) / distances.len() as f64;
        assert!((24.0..40.0).contains(&mean), "{mean} bits differ on average");
        assert!(distances.iter().all(|bits| *bits >= 8), "{distances:?}");
    }

    #[test]
    fn small_values_have_digests_of_their_own() {
        let mut digests = BTreeSet::new();
        let mut count = 0;
        for a in 0..24u8 {
            for b in 0..24u32 {
                for c in 0..24u64 {
                    for d in [None, Some(false), Some(true)] {
                        digests.insert(digest(&(a, b, c, d)));
                        count += 1;
                    }
                }
            }
        }
        assert_eq!(digests.len(), count);
    }
}
