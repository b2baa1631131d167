//! What functions of a state were found to be, by what they read of it and nothing else.
//!
//! A function begins at a root of its own and reads the frame first. Which place it reads next is a function of what
//! it has read: so the parts that it read spell a path, at the end of which is what came of it.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::track::Place;

use super::parts::PartId;

/// A point on a path.
pub(super) type Node = u32;

/// An edge: the node that it leads to, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge(u64);

/// What is at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The place that is read next.
    Read(Place),
    /// What came of it, by its number.
    Outcome(u32),
}

const OUTCOME: u32 = 1 << 31;

impl Edge {
    pub(super) fn new(to: Node, found: Found) -> Self {
        let tag = match found {
            Found::Read(place) => u32::from(place),
            Found::Outcome(number) => OUTCOME | number,
        };
        Self(u64::from(to) << 32 | u64::from(tag))
    }

    #[inline]
    pub(super) fn to(self) -> Node {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(super) fn found(self) -> Found {
        let tag = self.0 as u32;
        match tag & OUTCOME {
            0 => Found::Read(tag as Place),
            _ => Found::Outcome(tag & !OUTCOME),
        }
    }
}

/// Every path, or those that one thread has gone.
#[derive(Debug, Default)]
pub(super) struct Edges(HashMap<u64, Edge, FxBuildHasher>);

/// Where a walk ended before it came to an outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    node: Node,
    place: Place,
}

impl Stuck {
    /// Where a place is read, and nothing is known beyond.
    pub(super) fn at(node: Node, place: Place) -> Self {
        Self { node, place }
    }
}

impl Edges {
    /// Walks from a node at which a place is read to an outcome.
    #[inline]
    pub(super) fn walk(&self, node: Node, place: Place, words: &[PartId]) -> Result<(Node, u32), Stuck> {
        let (mut node, mut place) = (node, place);
        loop {
            let Some(edge) = self.0.get(&key(node, words[usize::from(place)])) else {
                return Err(Stuck { node, place });
            };
            node = edge.to();
            match edge.found() {
                Found::Read(next) => place = next,
                Found::Outcome(number) => return Ok((node, number)),
            }
        }
    }

    /// Copies what the other has beyond a point; whether that leads to an outcome.
    pub(super) fn learn(
        &mut self,
        other: &Self,
        stuck: Stuck,
        words: &[PartId],
    ) -> Result<(Node, u32), Stuck> {
        let Stuck { mut node, mut place } = stuck;
        loop {
            let key = key(node, words[usize::from(place)]);
            let Some(edge) = other.0.get(&key) else { return Err(Stuck { node, place }) };
            self.0.insert(key, *edge);
            node = edge.to();
            match edge.found() {
                Found::Read(next) => place = next,
                Found::Outcome(number) => return Ok((node, number)),
            }
        }
    }

    /// Adds the path of these reads, from a node at which the first of them is read.
    ///
    /// # Panics
    /// If something else was read here before: a step is not a function of what it reads.
    pub(super) fn add(
        &mut self,
        root: Node,
        reads: &[Place],
        words: &[PartId],
        outcome: u32,
        fresh: &mut Node,
    ) -> (Node, u32) {
        let (mut node, mut outcome) = (root, outcome);
        for (at, place) in reads.iter().enumerate() {
            let found = reads.get(at + 1).map_or(Found::Outcome(outcome), |next| Found::Read(*next));
            let edge = *self.0.entry(key(node, words[usize::from(*place)])).or_insert_with(|| {
                *fresh += 1;
                Edge::new(*fresh, found)
            });
            match (edge.found(), found) {
                // Another thread was faster, with an outcome that is called otherwise.
                (Found::Outcome(before), Found::Outcome(_)) => outcome = before,
                (before, now) => assert_eq!(before, now, "a step depends on what is not noted as read"),
            }
            node = edge.to();
        }
        (node, outcome)
    }

    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        table_bytes(self.0.capacity(), size_of::<(u64, Edge)>())
    }
}

/// What a hash table for so many entries takes.
pub(super) fn table_bytes(capacity: usize, entry: usize) -> usize {
    match capacity {
        0 => 0,
        _ => (capacity * 8 / 7).next_power_of_two() * (entry + 1),
    }
}

#[inline]
fn key(node: Node, part: PartId) -> u64 {
    u64::from(node) << 32 | u64::from(part)
}
