//! What steps come to, in a row of numbers that all threads read while one, which holds the lock, adds to it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::track::Place;

use super::parts::{BUDGET, FRAME, PartId, Source};
use super::trie::Found;
use super::{Changed, Places, bit};

/// How many numbers are had from memory at once.
const SEGMENT: usize = 1 << 14;

/// As many segments as there are numbers of leaves.
const SEGMENTS: usize = (1 << 31) / SEGMENT;

/// Which parts of a change come from another place, where not all stay in theirs.
const MOVED: u32 = 1 << 31;

/// A leaf's numbers: what properties read first; how many parts follow, and whether they are all of them; which
/// places are changed, in two halves; then the parts, each after its place unless they are all there.
const HEAD: usize = 4;

/// Every leaf. One is called by where it begins.
#[derive(Debug)]
pub(super) struct Leaves(Box<[OnceLock<Box<[AtomicU32]>>]>);

impl Leaves {
    pub(super) fn new() -> Self {
        Self((0..SEGMENTS).map(|_| OnceLock::new()).collect())
    }

    /// Adds one, but for the budget, which is reckoned apart: `end` is where the last one ended, and is moved on.
    pub(super) fn add(&self, packed: &[Source], frame: PartId, judge: Found, end: &mut u32) -> u32 {
        let stays = |(place, source): (usize, &Source)| !matches!(source, Source::From(from) if usize::from(*from) != place);
        let all_stay =
            packed[usize::from(FRAME)] == Source::Part(frame) && packed.iter().enumerate().all(stays);
        let mut numbers = vec![judge.tag(), 0, 0, 0];
        let mut changed = Places::MAX;
        if all_stay {
            changed = bit(BUDGET);
            for (place, source) in (0..).zip(packed) {
                if let Source::Part(part) = source
                    && place != FRAME
                    && place != BUDGET
                {
                    // Even one that is as it was: it may not have been read.
                    changed |= bit(place);
                    numbers.extend([u32::from(place), *part]);
                }
            }
            numbers[1] = (numbers.len() - HEAD) as u32 / 2;
        } else {
            numbers[1] = MOVED | packed.len() as u32;
            numbers.extend(packed.iter().map(|source| match source {
                Source::From(place) => MOVED | u32::from(*place),
                Source::Part(part) => *part,
            }));
        }
        [numbers[2], numbers[3]] = [changed as u32, (changed >> 32) as u32];
        self.put(&numbers, end)
    }

    fn put(&self, numbers: &[u32], end: &mut u32) -> u32 {
        let (mut segment, mut from) = (*end as usize / SEGMENT, *end as usize % SEGMENT);
        if from + numbers.len() > SEGMENT {
            (segment, from) = (segment + 1, 0);
        }
        let room = self.0[segment].get_or_init(|| (0..SEGMENT).map(|_| AtomicU32::new(0)).collect());
        for (slot, number) in room[from..].iter().zip(numbers) {
            slot.store(*number, Ordering::Relaxed);
        }
        let begin = (segment * SEGMENT + from) as u32;
        *end = begin + numbers.len() as u32;
        begin
    }

    /// What becomes of a state by a leaf.
    #[inline]
    pub(super) fn apply(&self, leaf: u32, words: &[PartId], after: &mut Vec<PartId>) {
        after.clear();
        if let Some(changes) = self.changes(leaf) {
            after.extend_from_slice(words);
            changes.for_each(|(place, part)| after[usize::from(place)] = part);
        } else {
            let (number, count) = (self.numbers(leaf), self.count(leaf) & !MOVED);
            after.extend((0..count as usize).map(|at| match number(HEAD + at) {
                moved if moved & MOVED != 0 => words[(moved & !MOVED) as usize],
                part => part,
            }));
        }
    }

    /// What is where in the state after it, of which all else stays in its place; `None` where it does not.
    #[inline]
    pub(super) fn changes(&self, leaf: u32) -> Option<impl Iterator<Item = (Place, PartId)>> {
        let (number, count) = (self.numbers(leaf), self.count(leaf));
        let change = move |at| (number(HEAD + 2 * at) as Place, number(HEAD + 2 * at + 1));
        (count & MOVED == 0).then(|| (0..count as usize).map(change))
    }

    /// What is changed by a leaf, and what properties read first.
    #[inline]
    pub(super) fn head(&self, leaf: u32) -> (Changed, Found) {
        let number = self.numbers(leaf);
        (Changed(Places::from(number(2)) | Places::from(number(3)) << 32), Found::of(number(0)))
    }

    fn count(&self, leaf: u32) -> u32 {
        self.numbers(leaf)(1)
    }

    #[inline]
    fn numbers(&self, leaf: u32) -> impl Fn(usize) -> u32 {
        let (segment, from) = (leaf as usize / SEGMENT, leaf as usize % SEGMENT);
        let Some(room) = self.0[segment].get() else {
            unreachable!("a leaf is written before it is told of")
        };
        move |at| room[from + at].load(Ordering::Relaxed)
    }

    /// What they take of memory.
    pub(super) fn bytes(&self) -> usize {
        let segments = self.0.iter().take_while(|segment| segment.get().is_some()).count();
        segments * SEGMENT * size_of::<u32>() + size_of_val(&*self.0)
    }
}
