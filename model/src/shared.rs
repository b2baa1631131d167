//! Parts of a world that most steps leave alone: cloned by counting, hashed once a change.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::track::{self, NOWHERE, Place};

/// A hash of anything, the same in every run of one build.
pub fn hash_of<T: Hash + ?Sized>(value: &T) -> u64 {
    const SEEDS: ahash::RandomState = ahash::RandomState::with_seeds(1, 2, 3, 4);
    SEEDS.hash_one(value)
}

/// A value that is copied when it is changed, and carries its hash.
///
/// After [`Shared::edit`], [`Shared::seal`] must be called before it is hashed or compared.
pub struct Shared<T> {
    value: Arc<T>,
    hash: u64,
    edited: bool,
    /// Where in a packed state it came from, unless it was changed since.
    place: Place,
}

impl<T: Clone + Hash> Shared<T> {
    /// Takes a value.
    pub fn new(value: T) -> Self {
        let hash = hash_of(&value);
        Self { value: Arc::new(value), hash, edited: false, place: NOWHERE }
    }

    /// To change it.
    pub fn edit(&mut self) -> &mut T {
        track::read(self.place);
        self.place = NOWHERE;
        self.edited = true;
        Arc::make_mut(&mut self.value)
    }

    /// Hashes it anew where it was changed.
    pub fn seal(&mut self) {
        if self.edited {
            self.hash = hash_of(&*self.value);
            self.edited = false;
        }
    }
}

impl<T> Shared<T> {
    /// The same, at a place of a packed state.
    pub(crate) fn placed(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// Whether it may be another than it was before a step: of a world that was not unpacked nobody knows.
    pub(crate) fn may_have_changed(&self) -> bool {
        self.place == NOWHERE
    }

    /// Where it came from.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

impl<T: Clone + Hash + Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), hash: self.hash, edited: self.edited, place: self.place }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        track::read(self.place);
        &self.value
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        debug_assert!(!self.edited, "hashed before it was sealed");
        track::read(self.place);
        state.write_u64(self.hash);
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        // Two of one place are the same, whatever is there.
        if self.place == other.place && self.place != NOWHERE {
            return true;
        }
        track::read(self.place);
        track::read(other.place);
        Arc::ptr_eq(&self.value, &other.value) || (self.hash == other.hash && self.value == other.value)
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_leaves_its_clone_alone() {
        let mut one = Shared::new(vec![1]);
        let other = one.clone();
        one.edit().push(2);
        one.seal();
        assert_eq!((one.len(), other.len()), (2, 1));
        assert_ne!(hash_of(&one), hash_of(&other));
        one.edit().pop();
        one.seal();
        assert_eq!(one, other);
        assert_eq!(hash_of(&one), hash_of(&other));
    }

    #[test]
    fn what_is_read_is_noted_once_and_what_was_made_since_is_not() {
        let mut one = Shared::new(1).placed(5);
        let two = Shared::new(2).placed(3);
        let (sum, reads) = track::listen(|| {
            let before = *one + *two + *one;
            *one.edit() = 7;
            before + *one + *Shared::new(4)
        });
        assert_eq!((sum, reads), (4 + 7 + 4, vec![5, 3]));
        assert_eq!((one.place(), two.place()), (NOWHERE, 3));
        let ((), blind) = track::listen(|| *one.edit() = 8);
        assert!(blind.is_empty(), "a place that is left is not read again");
    }
}
