//! States of a scope as a few numbers, and steps between them that are worked out once.
//!
//! A world is made of parts (a master, what is on its way on a session, …), each of which is kept once and has a
//! number: a state is a row of numbers. (Holzmann calls it collapse compression.) And a step looks at few of them:
//! what came of it is remembered by the parts that it read (see [`crate::track`]), as LTSmin does with transition
//! groups, but with what is read found out and not declared. Both are exact: parts are told apart by what they are,
//! not by their hashes, and a remembered step is one that read the same.
//!
//! A [`Space`] is shared by threads, each of which has a [`Worker`] with a copy of what it has needed so far.

mod parts;
mod trie;

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::properties::{self, Kind, Mask, Seen};
use crate::scope::Scope;
use crate::track::{self, Place};
use crate::world::{Action, Event, World};

use parts::{BUDGET, FRAME, Part, PartId, Parts, Source};
use trie::{Edges, Found, Node, Stuck, table_bytes};

/// An action of a scope, by the order in which actions were first seen.
pub type ActionId = u16;

/// A state of a scope: the numbers of its parts.
pub type Words = [PartId];

/// What is known of a scope's steps.
#[derive(Debug)]
pub struct Space<'a> {
    scope: &'a Scope,
    common: Mutex<Common>,
}

/// What threads share.
#[derive(Debug)]
struct Common {
    parts: Parts,
    edges: Edges,
    /// The newest node.
    fresh: Node,
    leaves: Vec<Arc<Leaf>>,
    verdicts: Vec<Verdict>,
    actions: Vec<Known>,
    action_ids: HashMap<Action, ActionId, FxBuildHasher>,
    packed: Vec<Source>,
}

/// An action that was seen.
#[derive(Clone, Copy, Debug)]
struct Known {
    action: Action,
    calm: bool,
    event: Option<Event>,
    /// Where its paths begin.
    root: Node,
}

/// What comes of a step.
#[derive(Debug)]
struct Leaf {
    change: Change,
    /// What the properties of steps read first, or what they say without reading.
    judge: Found,
}

#[derive(Debug)]
enum Change {
    /// Every part stays in its place, but for these.
    Some(Box<[(Place, PartId)]>),
    /// Sessions or trees come and go, and parts move.
    All(Box<[Source]>),
}

/// What properties of steps say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    broken: Mask,
    reached: Mask,
}

/// What a step came to, beside the state after it.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// The properties of steps that it breaks.
    pub broken: Mask,
    /// The `sometimes` properties that it reaches.
    pub reached: Mask,
}

/// What properties say of a state.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The properties of states that are broken.
    pub broken: Mask,
    /// The `eventually` properties for which it is good.
    pub good: Mask,
}

impl<'a> Space<'a> {
    /// Of a scope, with nothing known yet.
    pub fn new(scope: &'a Scope) -> Self {
        let common = Common {
            parts: Parts::default(),
            edges: Edges::default(),
            // Those before are where properties of states begin.
            fresh: Node::try_from(properties::ALL.len()).unwrap_or(Node::MAX),
            leaves: Vec::new(),
            verdicts: Vec::new(),
            actions: Vec::new(),
            action_ids: HashMap::default(),
            packed: Vec::new(),
        };
        Self { scope, common: Mutex::new(common) }
    }

    /// For a thread.
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            space: self,
            parts: Vec::new(),
            hashes: Vec::new(),
            edges: Edges::default(),
            leaves: Vec::new(),
            verdicts: Vec::new(),
            actions: Vec::new(),
            action_ids: HashMap::default(),
            spent: HashMap::default(),
            possible: Vec::new(),
            scratch: None,
            missed: 0,
        }
    }

    /// How many parts are kept.
    pub fn parts(&self) -> usize {
        self.common().parts.all.len()
    }

    fn common(&self) -> MutexGuard<'_, Common> {
        // What a thread adds is whole before anything is said of it: one that panicked left nothing half done.
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's part in exploring a [`Space`].
#[derive(Debug)]
pub struct Worker<'s> {
    space: &'s Space<'s>,
    parts: Vec<Part>,
    hashes: Vec<u64>,
    edges: Edges,
    leaves: Vec<Arc<Leaf>>,
    verdicts: Vec<Verdict>,
    actions: Vec<Known>,
    action_ids: HashMap<Action, ActionId, FxBuildHasher>,
    spent: HashMap<(PartId, Event), PartId, FxBuildHasher>,
    possible: Vec<Action>,
    /// The world that was looked at last, and what it is made of.
    scratch: Option<(World, Vec<PartId>)>,
    missed: u64,
}

impl Worker<'_> {
    /// The state of a world.
    pub fn pack(&mut self, world: &World) -> Vec<PartId> {
        let mut common = self.space.common();
        common.pack(world);
        let part = |source: &Source| match source {
            Source::Part(id) => *id,
            Source::From(place) => unreachable!("a world that comes from a state is not packed: {place}"),
        };
        let words = common.packed.iter().map(part).collect();
        self.catch_up(&common);
        words
    }

    /// The world of a state.
    pub fn unpack(&self, words: &Words) -> World {
        parts::unpack(&self.parts, words)
    }

    /// A hash of a state: the same in every run of one build, whatever its parts are called.
    #[inline]
    pub fn hash(&self, words: &Words) -> u64 {
        let mut place = 0u64;
        words.iter().fold(0u64, |hash, word| {
            place = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
            hash.wrapping_add(fold(self.hashes[*word as usize] ^ place, place | 1))
        })
    }

    /// What can happen in a state, in an order that is always the same.
    pub fn actions(&mut self, words: &Words, actions: &mut Vec<ActionId>) {
        self.look(words);
        let Some((world, _)) = &self.scratch else { return };
        self.possible.clear();
        world.actions(self.space.scope, &mut self.possible);
        for at in 0..self.possible.len() {
            let action = self.possible[at];
            let known = self.action_ids.get(&action).copied();
            actions.push(known.unwrap_or_else(|| self.meet(action)));
        }
    }

    /// Which action that is.
    pub fn action(&self, id: ActionId) -> Action {
        self.actions[usize::from(id)].action
    }

    /// Whether it is calm (see [`Action::is_calm`]).
    pub fn is_calm(&self, id: ActionId) -> bool {
        self.actions[usize::from(id)].calm
    }

    /// Takes a step; `after` becomes what follows.
    pub fn step(&mut self, words: &Words, id: ActionId, after: &mut Vec<PartId>) -> Came {
        let known = self.actions[usize::from(id)];
        let (node, leaf) = match self.edges.walk(known.root, FRAME, words) {
            Ok(found) => found,
            Err(stuck) => self.step_anew(words, known, stuck),
        };
        let Leaf { change, judge } = &*self.leaves[leaf as usize];
        after.clear();
        match change {
            Change::Some(parts) => {
                after.extend_from_slice(words);
                parts.iter().for_each(|(place, part)| after[usize::from(*place)] = *part);
            }
            Change::All(sources) => after.extend(sources.iter().map(|source| match source {
                Source::From(place) => words[usize::from(*place)],
                Source::Part(part) => *part,
            })),
        }
        let verdict = match *judge {
            Found::Outcome(verdict) => verdict,
            Found::Read(place) => match self.edges.walk(node, place, words) {
                Ok((_, verdict)) => verdict,
                Err(stuck) => self.judge_anew(words, known, node, place, stuck),
            },
        };
        if let Some(event) = known.event {
            let budget = words[usize::from(BUDGET)];
            after[usize::from(BUDGET)] = self.spend(budget, event);
        }
        let Verdict { broken, reached } = self.verdicts[verdict as usize];
        self.mark(after, broken);
        Came { broken, reached }
    }

    /// Marks a state as one in which properties are broken: nothing follows it.
    pub fn mark(&mut self, words: &mut [PartId], broken: Mask) {
        if broken == 0 {
            return;
        }
        let Part::Frame(frame) = &self.parts[words[usize::from(FRAME)] as usize] else { return };
        let frame = Part::Frame(Arc::new(frame.broken(broken)));
        let mut common = self.space.common();
        words[usize::from(FRAME)] = common.parts.intern(frame);
        self.catch_up(&common);
    }

    /// What properties say of a state.
    pub fn judge(&mut self, words: &Words) -> Judged {
        let mut judged = Judged { broken: 0, good: 0 };
        for (at, property) in (0..).zip(properties::ALL) {
            match property.kind {
                Kind::State(wrong) => {
                    let broken = self.ask(at, words, |scope, world| wrong(scope, world).is_err());
                    judged.broken |= Mask::from(broken) << at;
                }
                Kind::Eventually(is) => judged.good |= Mask::from(self.ask(at, words, is)) << at,
                Kind::Step(_) | Kind::Sometimes(_) => {}
            }
        }
        judged
    }

    /// Learns what other threads have given numbers to: before a state of theirs is looked at.
    pub fn refresh(&mut self) {
        let common = self.space.common();
        self.catch_up(&common);
    }

    /// How many outcomes this thread had to work out.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// What it takes of memory by itself, beside what is shared.
    pub fn bytes(&self) -> usize {
        self.edges.bytes()
            + self.parts.capacity() * size_of::<Part>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.leaves.capacity() * size_of::<Arc<Leaf>>()
            + self.verdicts.capacity() * size_of::<Verdict>()
            + table_bytes(self.spent.capacity(), size_of::<(PartId, Event, PartId)>())
    }

    fn ask(&mut self, root: Node, words: &Words, is: impl FnOnce(&Scope, &World) -> bool) -> bool {
        let outcome = match self.edges.walk(root, FRAME, words) {
            Ok((_, outcome)) => outcome,
            Err(stuck) => {
                if let Ok((_, outcome)) = self.edges.learn(&self.space.common().edges, stuck, words) {
                    return outcome != 0;
                }
                self.missed += 1;
                let world = self.unpack(words);
                let (is, mut reads) = track::listen(|| is(self.space.scope, &world));
                reads.insert(0, FRAME);
                let mut common = self.space.common();
                let (_, outcome) = common.add(root, &reads, words, u32::from(is));
                let _ = self.edges.learn(&common.edges, Stuck::at(root, FRAME), words);
                outcome
            }
        };
        outcome != 0
    }

    #[cold]
    fn step_anew(&mut self, words: &Words, known: Known, stuck: Stuck) -> (Node, u32) {
        {
            let common = self.space.common();
            if let Ok(found) = self.edges.learn(&common.edges, stuck, words) {
                self.catch_up(&common);
                return found;
            }
        }
        self.missed += 1;
        let scope = self.space.scope;
        let before = self.unpack(words);
        let (done, mut reads) = track::listen(|| before.step_unjudged(scope, known.action));
        reads.insert(0, FRAME);
        let (verdict, more) = listen_to_properties(scope, &before, known.action, &done, &reads);
        let mut common = self.space.common();
        let number = common.verdict(verdict);
        let judge = more.first().map_or(Found::Outcome(number), |place| Found::Read(*place));
        let leaf = common.leaf(&done.0, words, judge);
        let (node, leaf) = common.add(known.root, &reads, words, leaf);
        if !more.is_empty() {
            common.add(node, &more, words, number);
        }
        let _ = self.edges.learn(&common.edges, Stuck::at(known.root, FRAME), words);
        if let Some(place) = more.first() {
            let _ = self.edges.learn(&common.edges, Stuck::at(node, *place), words);
        }
        self.catch_up(&common);
        (node, leaf)
    }

    /// What properties say of a step that is known, where they read something that is not.
    #[cold]
    fn judge_anew(&mut self, words: &Words, known: Known, node: Node, place: Place, stuck: Stuck) -> u32 {
        {
            let common = self.space.common();
            if let Ok((_, verdict)) = self.edges.learn(&common.edges, stuck, words) {
                self.catch_up(&common);
                return verdict;
            }
        }
        self.missed += 1;
        let scope = self.space.scope;
        let before = self.unpack(words);
        let (done, reads) = track::listen(|| before.step_unjudged(scope, known.action));
        let (verdict, more) = listen_to_properties(scope, &before, known.action, &done, &reads);
        let mut common = self.space.common();
        let number = common.verdict(verdict);
        let (_, verdict) = common.add(node, &more, words, number);
        let _ = self.edges.learn(&common.edges, Stuck::at(node, place), words);
        self.catch_up(&common);
        verdict
    }

    fn spend(&mut self, budget: PartId, event: Event) -> PartId {
        if let Some(spent) = self.spent.get(&(budget, event)) {
            return *spent;
        }
        let Part::Budget(left) = &self.parts[budget as usize] else {
            unreachable!("the budget is in its place");
        };
        let mut left = *left;
        left.spend(event);
        let mut common = self.space.common();
        let spent = common.parts.intern(Part::Budget(left));
        self.catch_up(&common);
        self.spent.insert((budget, event), spent);
        spent
    }

    /// An action that this thread has not seen before.
    #[cold]
    fn meet(&mut self, action: Action) -> ActionId {
        let mut common = self.space.common();
        let id = common.meet(action);
        self.action_ids.insert(action, id);
        self.catch_up(&common);
        id
    }

    /// Makes the world at hand the one of a state.
    fn look(&mut self, words: &Words) {
        match &mut self.scratch {
            Some((world, old)) if old[usize::from(FRAME)] == words[usize::from(FRAME)] => {
                parts::repack(&self.parts, old, words, world);
                old.copy_from_slice(words);
            }
            scratch => *scratch = Some((parts::unpack(&self.parts, words), words.to_vec())),
        }
    }

    fn catch_up(&mut self, common: &Common) {
        self.parts.extend_from_slice(&common.parts.all[self.parts.len()..]);
        self.hashes.extend_from_slice(&common.parts.hashes[self.hashes.len()..]);
        self.leaves.extend_from_slice(&common.leaves[self.leaves.len()..]);
        self.verdicts.extend_from_slice(&common.verdicts[self.verdicts.len()..]);
        self.actions.extend_from_slice(&common.actions[self.actions.len()..]);
    }
}

/// What properties say of a step, and what they read of the state before it that the step did not.
fn listen_to_properties(
    scope: &Scope,
    before: &World,
    action: Action,
    (after, happenings): &(World, Vec<crate::world::Happening>),
    read: &[Place],
) -> (Verdict, Vec<Place>) {
    let seen = Seen { scope, before, after, action, happenings };
    let (verdict, mut more) = track::listen(|| Verdict {
        broken: properties::broken_by_step(&seen),
        reached: properties::reached(&seen),
    });
    more.retain(|place| !read.contains(place));
    (verdict, more)
}

impl Common {
    fn pack(&mut self, world: &World) {
        let mut packed = std::mem::take(&mut self.packed);
        self.parts.pack(world, &mut packed);
        self.packed = packed;
    }

    /// A new leaf, for a step from a state to a world.
    fn leaf(&mut self, after: &World, words: &Words, judge: Found) -> u32 {
        self.pack(after);
        let frame = usize::from(FRAME);
        let change = if self.packed[frame] == Source::Part(words[frame]) && self.keeps_places() {
            let parts = (0..).zip(&self.packed).filter_map(|(place, source)| match source {
                // Even one that is as it was: it may not have been read.
                Source::Part(part) if place != FRAME => Some((place, *part)),
                Source::Part(_) | Source::From(_) => None,
            });
            Change::Some(parts.collect())
        } else {
            Change::All(self.packed.as_slice().into())
        };
        let number = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        self.leaves.push(Arc::new(Leaf { change, judge }));
        number
    }

    /// Whether what was packed last has no part that moved.
    fn keeps_places(&self) -> bool {
        self.packed.iter().enumerate().all(|(place, source)| match source {
            Source::From(from) => usize::from(*from) == place,
            Source::Part(_) => true,
        })
    }

    fn verdict(&mut self, verdict: Verdict) -> u32 {
        let known = self.verdicts.iter().position(|known| *known == verdict);
        let number = known.unwrap_or_else(|| {
            self.verdicts.push(verdict);
            self.verdicts.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn add(&mut self, root: Node, reads: &[Place], words: &Words, outcome: u32) -> (Node, u32) {
        let Self { edges, fresh, .. } = self;
        edges.add(root, reads, words, outcome, fresh)
    }

    fn meet(&mut self, action: Action) -> ActionId {
        if let Some(id) = self.action_ids.get(&action) {
            return *id;
        }
        let id = ActionId::try_from(self.actions.len()).unwrap_or_else(|_| unreachable!("worlds are small"));
        self.fresh += 1;
        self.actions.push(Known { action, calm: action.is_calm(), event: action.event(), root: self.fresh });
        self.action_ids.insert(action, id);
        id
    }
}

/// Two numbers to one that depends on every bit of both.
#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scopes;

    /// What is remembered is what the machines do: in every scope, on ways by chance, of which many are gone twice.
    #[test]
    fn a_remembered_step_is_the_step() {
        for scope in scopes::all() {
            let space = Space::new(&scope);
            let mut worker = space.worker();
            let begin = World::begin(&scope);
            let first = worker.pack(&begin);
            let mut chance = 0x0dd_ba11u64;
            let mut steps = 0;
            for _ in 0..25 {
                let (mut world, mut words) = (begin.clone(), first.clone());
                for _ in 0..50 {
                    let (mut actions, mut ids) = (Vec::new(), Vec::new());
                    world.actions(&scope, &mut actions);
                    worker.actions(&words, &mut ids);
                    assert_eq!(ids.iter().map(|id| worker.action(*id)).collect::<Vec<_>>(), actions);
                    if actions.is_empty() {
                        break;
                    }
                    chance = fold(chance ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);
                    let choice = (chance >> 32) as usize % actions.len();
                    let (after, happenings) = world.step_told(&scope, actions[choice]);
                    let seen = Seen {
                        scope: &scope,
                        before: &world,
                        after: &after,
                        action: actions[choice],
                        happenings: &happenings,
                    };
                    let mut packed = Vec::new();
                    let came = worker.step(&words, ids[choice], &mut packed);
                    assert_eq!(came.reached, properties::reached(&seen));
                    let judged = worker.judge(&packed);
                    assert_eq!(came.broken | judged.broken, after.broken);
                    worker.mark(&mut packed, after.broken);
                    assert_eq!(worker.unpack(&packed), after);
                    assert_eq!(worker.pack(&after), packed, "equal worlds are the same state");
                    (world, words) = (after, packed);
                    steps += 1;
                }
            }
            assert!(steps > 200, "{steps} steps in {}", scope.name);
        }
    }
}
