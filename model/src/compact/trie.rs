//! What functions of a state were found to be, by what they read of it and nothing else.
//!
//! A function begins at a root of its own and reads the frame first. Which place it reads next is a function of what
//! it has read: so the parts that it read spell a path, at the end of which is what came of it.

use std::sync::atomic::{AtomicU64, Ordering};

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

impl Found {
    pub(super) fn tag(self) -> u32 {
        match self {
            Self::Read(place) => u32::from(place),
            Self::Outcome(number) => OUTCOME | number,
        }
    }

    #[inline]
    pub(super) fn of(tag: u32) -> Self {
        match tag & OUTCOME {
            0 => Self::Read(tag as Place),
            _ => Self::Outcome(tag & !OUTCOME),
        }
    }
}

impl Edge {
    pub(super) fn new(to: Node, found: Found) -> Self {
        Self(u64::from(to) << 32 | u64::from(found.tag()))
    }

    #[inline]
    pub(super) fn to(self) -> Node {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(super) fn found(self) -> Found {
        Found::of(self.0 as u32)
    }
}

/// Every path: a table by open addressing, in which an edge is one cache line away. It is read by all threads while
/// one of them, which holds the lock, adds to it; when it is full, a larger one takes its place.
#[derive(Debug)]
pub(super) struct Edges(Box<[Slot]>);

/// An edge is written before its key.
#[derive(Debug)]
struct Slot {
    key: AtomicU64,
    edge: AtomicU64,
}

/// No key: there are not that many nodes.
const FREE: u64 = u64::MAX;

impl Edges {
    /// None, with room for so many.
    pub(super) fn new(room: usize) -> Self {
        let free = || Slot { key: AtomicU64::new(FREE), edge: AtomicU64::new(0) };
        Self((0..room.max(16) * 4 / 3).map(|_| free()).collect())
    }

    /// How many there is room for.
    pub(super) fn room(&self) -> usize {
        self.0.len() * 3 / 4
    }

    /// The same edges, with room for half as many more.
    pub(super) fn grown(&self) -> Self {
        let grown = Self::new(self.room() * 3 / 2);
        for slot in &self.0 {
            let key = slot.key.load(Ordering::Relaxed);
            if key != FREE {
                grown.put(key, Edge(slot.edge.load(Ordering::Relaxed)));
            }
        }
        grown
    }

    #[inline]
    fn get(&self, key: u64) -> Option<Edge> {
        let mut at = self.first(key);
        loop {
            let slot = &self.0[at];
            match slot.key.load(Ordering::Acquire) {
                found if found == key => return Some(Edge(slot.edge.load(Ordering::Relaxed))),
                FREE => return None,
                _ => at = if at + 1 == self.0.len() { 0 } else { at + 1 },
            }
        }
    }

    fn put(&self, key: u64, edge: Edge) {
        let mut at = self.first(key);
        while self.0[at].key.load(Ordering::Relaxed) != FREE {
            at = if at + 1 == self.0.len() { 0 } else { at + 1 };
        }
        self.0[at].edge.store(edge.0, Ordering::Relaxed);
        self.0[at].key.store(key, Ordering::Release);
    }

    #[inline]
    fn first(&self, key: u64) -> usize {
        let spread = (key ^ key >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(spread) * self.0.len() as u128) >> 64) as usize
    }
}

/// Where a walk ended before it came to an outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    node: Node,
    place: Place,
}

impl Edges {
    /// Walks from a node at which a place is read to an outcome.
    #[inline]
    pub(super) fn walk(&self, node: Node, place: Place, words: &[PartId]) -> Result<(Node, u32), Stuck> {
        let (mut node, mut place) = (node, place);
        loop {
            let Some(edge) = self.get(key(node, words[usize::from(place)])) else {
                return Err(Stuck { node, place });
            };
            node = edge.to();
            match edge.found() {
                Found::Read(next) => place = next,
                Found::Outcome(number) => return Ok((node, number)),
            }
        }
    }

    /// Walks on.
    pub(super) fn walk_on(&self, stuck: Stuck, words: &[PartId]) -> Result<(Node, u32), Stuck> {
        self.walk(stuck.node, stuck.place, words)
    }

    /// Adds the path of these reads, from a node at which the first of them is read.
    ///
    /// # Panics
    /// If something else was read here before: a step is not a function of what it reads.
    pub(super) fn add(
        &self,
        root: Node,
        reads: &[Place],
        words: &[PartId],
        outcome: u32,
        fresh: &mut Node,
    ) -> (Node, u32) {
        let (mut node, mut outcome) = (root, outcome);
        for (at, place) in reads.iter().enumerate() {
            let found = reads.get(at + 1).map_or(Found::Outcome(outcome), |next| Found::Read(*next));
            let key = key(node, words[usize::from(*place)]);
            let edge = self.get(key).unwrap_or_else(|| {
                *fresh += 1;
                let edge = Edge::new(*fresh, found);
                self.put(key, edge);
                edge
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
        size_of_val(&*self.0)
    }
}

#[inline]
fn key(node: Node, part: PartId) -> u64 {
    u64::from(node) << 32 | u64::from(part)
}
