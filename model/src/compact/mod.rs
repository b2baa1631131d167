//! States of a scope as a few numbers, and steps between them that are worked out once.
//!
//! A world is made of parts (a master, what is on its way on a session, …), each of which is kept once and has a
//! number: a state is a row of numbers. (Holzmann calls it collapse compression.) And a step looks at few of them:
//! what came of it is remembered by the parts that it read (see `crate::track`), as LTSmin does with transition
//! groups, but with what is read found out and not declared. Both are exact: parts are told apart by what they are,
//! not by their hashes, and a remembered step is one that read the same.
//!
//! A [`Space`] is shared by threads, each of which has a [`Worker`] with a copy of what it has needed so far.

mod leaves;
mod parts;
mod trie;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::properties::{self, Kind, Mask, Seen};
use crate::scope::Scope;
use crate::track::{self, Place};
use crate::world::{Action, Event, World};

use leaves::Leaves;
use parts::{BUDGET, FRAME, Part, PartId, Parts, Placed, Source};
use trie::{Edges, Found, Node, Stuck};

/// An action of a scope, by the order in which actions were first seen.
pub type ActionId = u16;

/// A set of `eventually` properties, by their order among them.
pub type Good = u16;

/// What holds of a state of what `eventually` properties are made of, by their order in a [`Space`].
pub type Holds = u32;

/// A state of a scope: the numbers of its parts.
pub type Words = [PartId];

/// What is known of a scope's steps.
#[derive(Debug)]
pub struct Space {
    scope: Scope,
    /// The `eventually` properties, by their place in the table, and what of `wants` makes a state good for each.
    eventually: Vec<(usize, Holds)>,
    /// What they are made of. Where each begins in the trie is its place here.
    wants: Vec<properties::IsGood>,
    leaves: Leaves,
    common: Mutex<Common>,
}

/// What threads share.
#[derive(Debug)]
struct Common {
    parts: Parts,
    edges: Arc<Edges>,
    /// How many edges there are.
    taken: usize,
    /// The newest node.
    fresh: Node,
    /// Where the last leaf ends.
    leaves_end: u32,
    verdicts: Vec<Verdict>,
    actions: Vec<Known>,
    action_ids: HashMap<Action, ActionId, FxBuildHasher>,
    /// Of each of what `eventually` properties are made of, every place that it was ever seen to read.
    looked_at: Vec<Places>,
    packed: Vec<Source>,
}

/// A set of places; the last bit is all beyond.
type Places = u64;

fn bit(place: Place) -> Places {
    1 << place.min(63)
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

/// What properties say of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    broken: Mask,
    reached: Mask,
}

/// Which parts a step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed(Places);

impl Changed {
    /// All of them, or who knows which.
    pub const ALL: Self = Self(Places::MAX);
}

/// What comes of a step from some state.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    leaf: u32,
    /// What is left to happen then.
    budget: PartId,
    /// What it comes to, beside the state after it.
    pub came: Came,
}

/// What a step came to, beside the state after it.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// What it changed, if not everything.
    pub changed: Changed,
    /// The properties that it breaks.
    pub broken: Mask,
    /// The `sometimes` properties that it reaches.
    pub reached: Mask,
}

impl Space {
    /// Of a scope, with nothing known yet.
    pub fn new(scope: &Scope) -> Arc<Self> {
        let (mut eventually, mut wants) = (Vec::new(), Vec::new());
        for (at, property) in properties::ALL.iter().enumerate() {
            if let Kind::Eventually(all) = property.kind {
                let its = (wants.len()..wants.len() + all.len()).fold(0, |its, want| its | 1 << want);
                eventually.push((at, its));
                wants.extend_from_slice(all);
            }
        }
        let common = Common {
            parts: Parts::default(),
            edges: Arc::new(Edges::new(1 << 10)),
            taken: 0,
            // Those before are where what is said of states begins.
            fresh: Node::try_from(wants.len()).unwrap_or(Node::MAX),
            leaves_end: 0,
            verdicts: Vec::new(),
            actions: Vec::new(),
            action_ids: HashMap::default(),
            looked_at: vec![0; wants.len()],
            packed: Vec::new(),
        };
        let scope = scope.clone();
        Arc::new(Self { scope, eventually, wants, leaves: Leaves::new(), common: Mutex::new(common) })
    }

    /// For a thread.
    pub fn worker(self: &Arc<Self>) -> Worker {
        Worker {
            space: Arc::clone(self),
            parts: Vec::new(),
            hashes: Vec::new(),
            edges: Arc::clone(&self.common().edges),
            verdicts: Vec::new(),
            actions: Vec::new(),
            action_ids: HashMap::default(),
            looked_at: vec![0; self.wants.len()],
            spent: HashMap::default(),
            possible: Vec::new(),
            after: Vec::new(),
            scratch: None,
            missed: 0,
        }
    }

    /// The place in the table of the `eventually` property that has this number in a [`Good`].
    pub fn eventually(&self, number: usize) -> usize {
        self.eventually[number].0
    }

    /// The set of all `eventually` properties.
    pub fn all_good(&self) -> Good {
        (0..self.eventually.len()).fold(0, |all, number| all | 1 << number)
    }

    /// For which `eventually` properties a state is good of which this holds.
    pub fn good(&self, holds: Holds) -> Good {
        let all = self.eventually.iter().enumerate();
        all.filter(|(_, (_, its))| its & !holds == 0).fold(0, |good, (number, _)| good | 1 << number)
    }

    /// What the threads share of memory, but for the parts themselves.
    pub fn bytes(&self) -> usize {
        let common = self.common();
        common.edges.bytes() + self.leaves.bytes()
    }

    /// Does something with a worker that this thread keeps until it works on another space.
    pub fn with<R>(self: &Arc<Self>, work: impl FnOnce(&mut Worker) -> R) -> R {
        WORKER.with_borrow_mut(|worker| match worker {
            Some(worker) if Arc::ptr_eq(&worker.space, self) => work(worker),
            other => work(other.insert(self.worker())),
        })
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

/// A state that stands for itself: for checkers that keep states.
#[derive(Clone, Debug)]
pub struct State {
    words: Box<Words>,
    hash: u64,
    /// The properties that the step to it broke.
    pub broken: Mask,
}

impl State {
    /// The numbers of its parts.
    pub fn words(&self) -> &Words {
        &self.words
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// One thread's part in exploring a [`Space`].
#[derive(Debug)]
pub struct Worker {
    space: Arc<Space>,
    parts: Vec<Part>,
    hashes: Vec<u64>,
    edges: Arc<Edges>,
    verdicts: Vec<Verdict>,
    actions: Vec<Known>,
    action_ids: HashMap<Action, ActionId, FxBuildHasher>,
    looked_at: Vec<Places>,
    spent: HashMap<(PartId, Event), PartId, FxBuildHasher>,
    possible: Vec<Action>,
    after: Vec<PartId>,
    /// The world that was looked at last, and what it is made of.
    scratch: Option<(World, Vec<PartId>)>,
    missed: u64,
}

impl Worker {
    /// The state of a world.
    pub fn pack(&mut self, world: &World) -> Vec<PartId> {
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        common.pack(world);
        let part = |source: &Source| match source {
            Source::Part(id) => *id,
            Source::From(place) => unreachable!("a world that comes from a state is not packed: {place}"),
        };
        let words = common.packed.iter().map(part).collect();
        self.catch_up(&common);
        words
    }

    /// A state that stands for itself, of a world.
    pub fn begin(&mut self, world: &World) -> State {
        let words: Box<Words> = self.pack(world).into();
        State { hash: self.hash(&words), words, broken: world.broken }
    }

    /// A state that stands for itself, after a step from another.
    pub fn follow(&mut self, before: &State, id: ActionId) -> (State, Came) {
        let mut after = std::mem::take(&mut self.after);
        let came = self.step(&before.words, id, &mut after);
        let state = State { hash: self.hash(&after), words: after.as_slice().into(), broken: came.broken };
        self.after = after;
        (state, came)
    }

    /// The world of a state.
    pub fn unpack(&self, words: &Words) -> World {
        parts::unpack(&self.parts, words, Placed::No)
    }

    /// A hash of a state: the same in every run of one build, whatever its parts are called.
    #[inline]
    pub fn hash(&self, words: &Words) -> u64 {
        (0..).zip(words).fold(0u64, |hash, (place, word)| hash.wrapping_add(self.share(place, *word)))
    }

    /// What a part at its place is of a state's hash.
    #[inline]
    fn share(&self, place: Place, part: PartId) -> u64 {
        let place = (u64::from(place) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        fold(self.hashes[part as usize] ^ place, place | 1)
    }

    /// What can happen in a state, in an order that is always the same.
    pub fn actions(&mut self, words: &Words, actions: &mut Vec<ActionId>) {
        self.look(words);
        let Some((world, _)) = &self.scratch else { return };
        self.possible.clear();
        world.actions(&self.space.scope, &mut self.possible);
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
        let outcome = self.foresee(words, id);
        self.carry_out(words, &outcome, after);
        outcome.came
    }

    /// What comes of a step, without the state that it leads to: most states are known, and need not be made.
    pub fn foresee(&mut self, words: &Words, id: ActionId) -> Outcome {
        let known = self.actions[usize::from(id)];
        let (node, leaf) = match self.edges.walk(known.root, FRAME, words) {
            Ok(found) => found,
            Err(stuck) => self.step_anew(words, known, stuck),
        };
        let (changed, judge) = self.space.leaves.head(leaf);
        let verdict = match judge {
            Found::Outcome(verdict) => verdict,
            Found::Read(place) => match self.edges.walk(node, place, words) {
                Ok((_, verdict)) => verdict,
                Err(stuck) => self.judge_anew(words, known, node, stuck),
            },
        };
        if verdict as usize >= self.verdicts.len() {
            self.refresh();
        }
        let budget = words[usize::from(BUDGET)];
        let budget = known.event.map_or(budget, |event| self.spend(budget, event));
        let Verdict { broken, reached } = self.verdicts[verdict as usize];
        Outcome { leaf, budget, came: Came { changed, broken, reached } }
    }

    /// Makes the state that a step leads to.
    pub fn carry_out(&mut self, words: &Words, outcome: &Outcome, after: &mut Vec<PartId>) {
        self.space.leaves.apply(outcome.leaf, words, after);
        after[usize::from(BUDGET)] = outcome.budget;
        if after.iter().any(|part| *part as usize >= self.parts.len()) {
            self.refresh();
        }
        self.mark(after, outcome.came.broken);
    }

    /// The hash of the state that a step leads to from one that has this hash.
    pub fn hash_after(&mut self, words: &Words, hash: u64, outcome: &Outcome) -> u64 {
        self.rehash(words, hash, outcome).unwrap_or_else(|| {
            let mut after = std::mem::take(&mut self.after);
            self.carry_out(words, outcome, &mut after);
            let hash = self.hash(&after);
            self.after = after;
            hash
        })
    }

    /// By what is different; `None` where parts are moved, or this thread does not know one yet.
    #[inline]
    fn rehash(&self, words: &Words, hash: u64, outcome: &Outcome) -> Option<u64> {
        let changes = self.space.leaves.changes(outcome.leaf).filter(|_| outcome.came.broken.is_empty())?;
        changes.chain([(BUDGET, outcome.budget)]).try_fold(hash, |hash, (place, part)| {
            let known = (part as usize) < self.hashes.len();
            let before = self.share(place, words[usize::from(place)]);
            known.then(|| hash.wrapping_sub(before).wrapping_add(self.share(place, part)))
        })
    }

    /// Marks a state as one in which properties are broken: nothing follows it.
    pub fn mark(&mut self, words: &mut [PartId], broken: Mask) {
        if broken.is_empty() {
            return;
        }
        let Part::Frame(frame) = &self.parts[words[usize::from(FRAME)] as usize] else { return };
        let frame = Part::Frame(Arc::new(frame.broken(broken)));
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        words[usize::from(FRAME)] = common.parts.intern(frame);
        self.catch_up(&common);
    }

    /// What holds of a state that differs only by what was changed from one of which `held` holds; that one was judged
    /// before the last [`Worker::refresh`].
    ///
    /// What reads nothing of what was changed is as it was. It is enough to know every place that it has ever been
    /// seen to read: it read none but those then, and reads the same again.
    pub fn judge(&mut self, words: &Words, changed: Changed, held: Holds) -> Holds {
        let mut holds = 0;
        for want in 0..self.space.wants.len() {
            let same = self.looked_at[want] & changed.0 == 0 && changed != Changed::ALL;
            let is = if same { held >> want & 1 != 0 } else { self.ask(want as Node, words) };
            holds |= Holds::from(is) << want;
        }
        holds
    }

    /// For which `eventually` properties a state is good of which this holds.
    pub fn good(&self, holds: Holds) -> Good {
        self.space.good(holds)
    }

    /// Learns what other threads have given numbers to: before a state of theirs is looked at.
    pub fn refresh(&mut self) {
        let space = Arc::clone(&self.space);
        let common = space.common();
        self.looked_at.copy_from_slice(&common.looked_at);
        self.catch_up(&common);
    }

    /// How many outcomes this thread had to work out.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// What it takes of memory by itself, beside what is shared.
    pub fn bytes(&self) -> usize {
        self.parts.len() * size_of::<Part>() + self.hashes.len() * size_of::<u64>()
    }

    fn ask(&mut self, root: Node, words: &Words) -> bool {
        let found = self.edges.walk(root, FRAME, words);
        let (_, outcome) = found.unwrap_or_else(|stuck| self.ask_anew(root, words, stuck));
        outcome != 0
    }

    #[cold]
    fn ask_anew(&mut self, root: Node, words: &Words, stuck: Stuck) -> (Node, u32) {
        if let Some(found) = self.walk_on(stuck, words) {
            return found;
        }
        self.missed += 1;
        let world = parts::unpack(&self.parts, words, Placed::Yes);
        let is = self.space.wants[root as usize];
        let (is, mut reads) = track::listen(|| is(&self.space.scope, &world));
        reads.insert(0, FRAME);
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        let places = reads.iter().fold(0, |places, place| places | bit(*place));
        common.looked_at[root as usize] |= places & !bit(FRAME);
        let found = common.add(root, &reads, words, u32::from(is));
        self.catch_up(&common);
        found
    }

    /// Walks on with what other threads have found meanwhile.
    fn walk_on(&mut self, stuck: Stuck, words: &Words) -> Option<(Node, u32)> {
        let space = Arc::clone(&self.space);
        let common = space.common();
        self.catch_up(&common);
        self.edges.walk_on(stuck, words).ok()
    }

    #[cold]
    fn step_anew(&mut self, words: &Words, known: Known, stuck: Stuck) -> (Node, u32) {
        if let Some(found) = self.walk_on(stuck, words) {
            return found;
        }
        self.missed += 1;
        let (after, reads, verdict, more) = self.work_out(words, known);
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        let number = common.verdict(verdict);
        let judge = more.first().map_or(Found::Outcome(number), |place| Found::Read(*place));
        common.pack(&after);
        let Common { packed, leaves_end, .. } = &mut *common;
        let leaf = space.leaves.add(packed, words[usize::from(FRAME)], judge, leaves_end);
        let (node, leaf) = common.add(known.root, &reads, words, leaf);
        if !more.is_empty() {
            common.add(node, &more, words, number);
        }
        self.catch_up(&common);
        (node, leaf)
    }

    /// What properties say of a step that is known, where they read something that is not.
    #[cold]
    fn judge_anew(&mut self, words: &Words, known: Known, node: Node, stuck: Stuck) -> u32 {
        if let Some((_, verdict)) = self.walk_on(stuck, words) {
            return verdict;
        }
        self.missed += 1;
        let (_, _, verdict, more) = self.work_out(words, known);
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        let number = common.verdict(verdict);
        let (_, verdict) = common.add(node, &more, words, number);
        self.catch_up(&common);
        verdict
    }

    /// Takes a step as the machines do: what follows, what it read, what properties say of it, and what they read
    /// beside that.
    fn work_out(&self, words: &Words, known: Known) -> (World, Vec<Place>, Verdict, Vec<Place>) {
        let scope = &self.space.scope;
        let before = parts::unpack(&self.parts, words, Placed::Yes);
        let ((after, happenings), mut reads) = track::listen(|| before.step_unjudged(scope, known.action));
        reads.insert(0, FRAME);
        let seen =
            Seen { scope, before: &before, after: &after, action: known.action, happenings: &happenings };
        let (verdict, mut more) = listen_to_properties(&seen);
        more.retain(|place| !reads.contains(place));
        (after, reads, verdict, more)
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
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        let spent = common.parts.intern(Part::Budget(left));
        self.catch_up(&common);
        self.spent.insert((budget, event), spent);
        spent
    }

    /// An action that this thread has not seen before.
    #[cold]
    fn meet(&mut self, action: Action) -> ActionId {
        let space = Arc::clone(&self.space);
        let mut common = space.common();
        let id = common.meet(action);
        self.action_ids.insert(action, id);
        self.catch_up(&common);
        id
    }

    /// Makes the world at hand the one of a state.
    fn look(&mut self, words: &Words) {
        if words.iter().any(|part| *part as usize >= self.parts.len()) {
            self.refresh();
        }
        match &mut self.scratch {
            Some((world, old)) if old[usize::from(FRAME)] == words[usize::from(FRAME)] => {
                parts::repack(&self.parts, old, words, world);
                old.copy_from_slice(words);
            }
            scratch => *scratch = Some((parts::unpack(&self.parts, words, Placed::No), words.to_vec())),
        }
    }

    fn catch_up(&mut self, common: &Common) {
        self.parts.extend_from_slice(&common.parts.all[self.parts.len()..]);
        self.hashes.extend_from_slice(&common.parts.hashes[self.hashes.len()..]);
        if !Arc::ptr_eq(&self.edges, &common.edges) {
            self.edges = Arc::clone(&common.edges);
        }
        self.verdicts.extend_from_slice(&common.verdicts[self.verdicts.len()..]);
        self.actions.extend_from_slice(&common.actions[self.actions.len()..]);
    }
}

/// What properties say of a step, and what they read for it.
fn listen_to_properties(seen: &Seen<'_>) -> (Verdict, Vec<Place>) {
    track::listen(|| Verdict { broken: properties::broken(seen), reached: properties::reached(seen) })
}

impl Common {
    fn pack(&mut self, world: &World) {
        let mut packed = std::mem::take(&mut self.packed);
        self.parts.pack(world, &mut packed);
        self.packed = packed;
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
        if self.taken + reads.len() > self.edges.room() {
            self.edges = Arc::new(self.edges.grown());
        }
        let before = self.fresh;
        let found = self.edges.add(root, reads, words, outcome, &mut self.fresh);
        self.taken += (self.fresh - before) as usize;
        found
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
            for _ in 0..3 {
                let (mut world, mut words) = (begin.clone(), first.clone());
                let mut holds = worker.judge(&words, Changed::ALL, 0);
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
                    assert_eq!(came.broken, after.broken);
                    // Of what did not change, what held before is not asked again.
                    worker.refresh();
                    holds = worker.judge(&packed, came.changed, holds);
                    assert_eq!(holds, worker.judge(&packed, Changed::ALL, 0));
                    let good = space.good(holds);
                    for (number, (at, _)) in space.eventually.iter().enumerate() {
                        let Kind::Eventually(all) = properties::ALL[*at].kind else { panic!("it is one") };
                        assert_eq!(good >> number & 1 != 0, properties::is_good(all, &scope, &after));
                    }
                    assert_eq!(worker.unpack(&packed), after);
                    assert_eq!(worker.pack(&after), packed, "equal worlds are the same state");
                    (world, words) = (after, packed);
                    steps += 1;
                }
            }
            assert!(steps > 20, "{steps} steps in {}", scope.name);
        }
    }

    /// Nothing is being written at the beginning: that it is durable is nonsense, at which the world panics.
    #[test]
    fn a_panic_breaks_a_property_and_ends_its_way() {
        let scope = scopes::named("overload").unwrap();
        let (begin, action) = (World::begin(&scope), Action::MasterStored(0));
        let s15 = properties::ALL.iter().position(|property| property.name.starts_with("S15")).unwrap();
        let mut worker = Space::new(&scope).worker();
        let words = worker.pack(&begin);
        let id = worker.meet(action);
        for _ in 0..2 {
            let mut after = Vec::new();
            let came = worker.step(&words, id, &mut after);
            assert_eq!(came.broken, [s15].into_iter().collect());
            assert_eq!(worker.unpack(&after), begin.step(&scope, action), "as the world itself does");
            let mut actions = Vec::new();
            worker.actions(&after, &mut actions);
            assert!(actions.is_empty(), "nothing follows");
        }
        let story = crate::story::story(&scope, &[action], s15);
        assert!(story.contains("S15") && story.contains("a machine panics: "), "{story}");
    }
}
