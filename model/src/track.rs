//! Which parts of a world were read: what the outcome of a step depends on, and nothing else.
//!
//! A world that was unpacked from a [`crate::compact::Space`] has parts that know their place; every way to look at
//! one goes through [`read`]. While somebody listens, the places are noted in the order in which they were first
//! read. As a step is a function of what it reads, the next place that it reads is a function of what was in the
//! places before: that is what lets its outcome be remembered exactly.

use std::cell::RefCell;

/// The place of a part in a packed state.
pub(crate) type Place = u16;

/// Of a part that has none: it was made or changed since.
pub(crate) const NOWHERE: Place = Place::MAX;

thread_local! {
    static READS: RefCell<Option<Vec<Place>>> = const { RefCell::new(None) };
}

/// Notes that a part was read.
#[inline]
pub(crate) fn read(place: Place) {
    if place != NOWHERE {
        note(place);
    }
}

#[cold]
fn note(place: Place) {
    READS.with_borrow_mut(|reads| {
        if let Some(reads) = reads
            && !reads.contains(&place)
        {
            reads.push(place);
        }
    });
}

/// Does something, and says what it read in doing so.
pub(crate) fn listen<R>(work: impl FnOnce() -> R) -> (R, Vec<Place>) {
    READS.set(Some(Vec::new()));
    let result = work();
    (result, READS.take().unwrap_or_default())
}
