//! Every state of a scope, breadth first: the shortest story of what is broken, and, on the graph, what must come
//! about in the end.
//!
//! A state is kept as 64 bits of hash, the action that led to it and where from: a story is had by doing its actions
//! again. Two states of the same hash would be taken for one, which is unlikely (n² / 2⁶⁵) and not impossible.
//!
//! Threads work out what follows the states of one depth; what they found is taken in the order of the states that
//! it follows. So a search finds the same, and tells it in the same order, however many threads there are.

mod graph;
mod never;
mod visited;

use std::mem::size_of;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::compact::{ActionId, Came, Changed, Good, Holds, Outcome, Space, Words, Worker};
use crate::limits::{Exceeded, Limits};
use crate::properties::{self, Mask};
use crate::scope::Scope;
use crate::world::{Action, World};

use graph::Graph;
pub use never::never;
use visited::{Id, Visited};

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: u64,
    /// The most actions on the shortest way to a state.
    pub depth: usize,
    /// Why not every state was seen; `None` if every one was.
    pub exceeded: Option<Exceeded>,
    /// The `sometimes` properties that were reached, by their place in the table.
    pub reached: Mask,
    /// What is broken, each with the shortest way there.
    pub broken: Vec<Broken>,
    /// One number for all states together, the same in every run of one build.
    pub digest: u64,
    /// One number for which state each was first reached from, the same on every machine.
    pub shape: u64,
    /// The most that the search kept at once, in bytes, beside the parts of worlds; of what grows by doubling, what
    /// is in use.
    pub bytes: usize,
    /// How many different parts there are, of all worlds together.
    pub parts: usize,
    /// How often something had to be worked out and not only remembered.
    pub worked_out: u64,
}

/// A property that does not hold.
#[derive(Debug)]
pub struct Broken {
    /// Its place in the table.
    pub property: usize,
    /// What leads there.
    pub actions: Vec<Action>,
}

/// What is said while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// States seen.
    pub states: usize,
    /// Actions from the beginning.
    pub depth: usize,
}

/// States that a thread takes at once.
const CHUNK: usize = 256;

/// States whose successors are worked out before they are taken in.
const BLOCK: usize = 32 * CHUNK;

/// Searches a scope.
pub fn search(scope: &Scope, limits: Limits, mut tell: impl FnMut(Progress)) -> Found {
    let space = Space::new(scope);
    let mut workers: Vec<Worker> = (0..limits.threads.max(1)).map(|_| space.worker()).collect();
    let mut search = Search::new(limits);
    let mut level = search.begin(&mut workers[0], scope);
    while level.len() > 0 && search.found.exceeded.is_none() {
        let mut next = Level { first: search.visited.len(), ..Level::default() };
        for from in (0..level.len()).step_by(BLOCK) {
            let block = from..level.len().min(from + BLOCK);
            let chunks = explore(&mut workers, &level, block, &search.visited);
            workers[0].refresh();
            for chunk in chunks {
                search.take(chunk, &mut next, &workers[0]);
            }
            if search.found.exceeded.is_some() {
                break;
            }
            tell(Progress { states: search.visited.len(), depth: search.found.depth });
            search.found.exceeded = limits.memory();
        }
        search.found.depth += usize::from(next.len() > 0);
        search.measure([&level, &next], &space, &workers);
        level = next;
    }
    search.found.worked_out = workers.iter().map(Worker::missed).sum();
    search.end(&space, &workers[0])
}

/// States of the same depth.
#[derive(Default)]
struct Level {
    /// The first one's id; the others' follow.
    first: usize,
    words: Vec<u32>,
    ends: Vec<u32>,
    /// Of each, what is different from the one before it, and what held of that one.
    since: Vec<Since>,
}

/// What became of a state.
#[derive(Clone, Copy)]
struct Since {
    changed: Changed,
    held: Holds,
}

impl Level {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, words: &Words, since: Since) {
        self.since.push(since);
        self.words.extend_from_slice(words);
        let end = u32::try_from(self.words.len());
        self.ends.push(end.unwrap_or_else(|_| unreachable!("states of one depth fill sixteen gigabytes")));
    }

    fn words(&self, at: usize) -> &Words {
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.words[from as usize..self.ends[at] as usize]
    }

    fn bytes(&self) -> usize {
        self.words.len() * size_of::<u32>()
            + self.ends.len() * size_of::<u32>()
            + self.since.len() * size_of::<Since>()
    }
}

/// What follows some states.
#[derive(Default)]
struct Chunk {
    /// Its place among those of a block.
    number: usize,
    /// States that may be new, with where they come from.
    fresh: Level,
    hashes: Vec<u64>,
    from: Vec<(Id, ActionId)>,
    /// Of those, which break properties.
    broken: Vec<(usize, Mask)>,
    /// Of each state that was explored, for what it is good, and where calm steps lead.
    good: Vec<Good>,
    calm: Vec<Target>,
    calm_ends: Vec<usize>,
    steps: u64,
    reached: Mask,
}

/// Where a step leads.
#[derive(Clone, Copy)]
enum Target {
    Known(Id),
    /// To one of the chunk's states that may be new.
    Fresh(u32),
}

/// Works out what follows a block of states.
fn explore(workers: &mut [Worker], level: &Level, block: Range<usize>, visited: &Visited) -> Vec<Chunk> {
    let next = AtomicUsize::new(0);
    let work = |worker: &mut Worker| {
        let mut chunks = Vec::new();
        worker.refresh();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let from = block.start + number * CHUNK;
            if from >= block.end {
                return chunks;
            }
            let states = from..block.end.min(from + CHUNK);
            chunks.push(Chunk { number, ..Chunk::explore(worker, level, states, visited) });
        }
    };
    if block.len() <= 2 * CHUNK {
        return work(&mut workers[0]);
    }
    let mut chunks: Vec<Chunk> = thread::scope(|scope| {
        let running: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| work(worker))).collect();
        let joined = running.into_iter().map(|thread| match thread.join() {
            Ok(chunks) => chunks,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    chunks.sort_unstable_by_key(|chunk| chunk.number);
    chunks
}

impl Chunk {
    fn explore(worker: &mut Worker, level: &Level, states: Range<usize>, visited: &Visited) -> Self {
        let mut chunk = Self::default();
        let mut steps = Steps::default();
        let mut actions = Vec::new();
        for at in states.clone() {
            let words = level.words(at);
            let Since { changed, held } = level.since[at];
            let holds = worker.judge(words, changed, held);
            chunk.good.push(worker.good(holds));
            steps.holds.push(holds);
            let hash = worker.hash(words);
            actions.clear();
            worker.actions(words, &mut actions);
            for action in &actions {
                let outcome = worker.foresee(words, *action);
                chunk.reached.extend(outcome.came.reached);
                steps.hashes.push(worker.hash_after(words, hash, &outcome));
                steps.taken.push((*action, outcome));
            }
            steps.ends.push(steps.taken.len());
        }
        chunk.steps = steps.taken.len() as u64;
        visited.find_all(&steps.hashes, &mut steps.known);
        chunk.sort_out(worker, &steps, level, states);
        chunk
    }

    fn sort_out(&mut self, worker: &mut Worker, steps: &Steps, level: &Level, states: Range<usize>) {
        let mut after = Vec::new();
        let mut first = 0;
        for (state, (end, held)) in states.zip(steps.ends.iter().zip(&steps.holds)) {
            let id = (level.first + state) as Id;
            for step in first..*end {
                let (action, outcome) = &steps.taken[step];
                let target = match steps.known[step] {
                    Some(known) => Target::Known(known),
                    None => Target::Fresh(self.hashes.len() as u32),
                };
                if worker.is_calm(*action) && !matches!(target, Target::Known(known) if known == id) {
                    self.calm.push(target);
                }
                if let Target::Fresh(number) = target {
                    let Came { changed, broken, .. } = outcome.came;
                    worker.carry_out(level.words(state), outcome, &mut after);
                    self.fresh.push(&after, Since { changed, held: *held });
                    self.hashes.push(steps.hashes[step]);
                    self.from.push((id, *action));
                    if !broken.is_empty() {
                        self.broken.push((number as usize, broken));
                    }
                }
            }
            first = *end;
            self.calm_ends.push(self.calm.len());
        }
    }
}

/// Every step from some states.
#[derive(Default)]
struct Steps {
    taken: Vec<(ActionId, Outcome)>,
    hashes: Vec<u64>,
    known: Vec<Option<Id>>,
    /// Of each state, where its steps end, and what holds of it.
    ends: Vec<usize>,
    holds: Vec<Holds>,
}

/// What is known so far.
struct Search {
    limits: Limits,
    visited: Visited,
    parents: Vec<Id>,
    actions: Vec<ActionId>,
    graph: Graph,
    seen_broken: Mask,
    found: Found,
}

impl Search {
    fn new(limits: Limits) -> Self {
        let found = Found {
            states: 0,
            steps: 0,
            depth: 0,
            exceeded: None,
            reached: Mask::NONE,
            broken: Vec::new(),
            digest: 0,
            shape: 0,
            bytes: 0,
            parts: 0,
            worked_out: 0,
        };
        Self {
            limits,
            visited: Visited::new(),
            parents: Vec::new(),
            actions: Vec::new(),
            graph: Graph::default(),
            seen_broken: Mask::NONE,
            found,
        }
    }

    fn begin(&mut self, worker: &mut Worker, scope: &Scope) -> Level {
        let world = World::begin(scope);
        let words = worker.pack(&world);
        self.visited.insert(worker.hash(&words));
        self.parents.push(Id::MAX);
        self.actions.push(0);
        let mut level = Level::default();
        self.tell_broken(properties::broken_in_state(scope, &world), 0, worker);
        level.push(&words, Since { changed: Changed::ALL, held: 0 });
        level
    }

    /// Takes in what follows some states.
    fn take(&mut self, chunk: Chunk, next: &mut Level, worker: &Worker) {
        self.found.steps += chunk.steps;
        self.found.reached.extend(chunk.reached);
        let mut ids = Vec::with_capacity(chunk.hashes.len());
        let mut broken = chunk.broken.iter().peekable();
        for (number, hash) in chunk.hashes.iter().enumerate() {
            if self.visited.len() >= self.limits.states_max {
                self.found.exceeded = Some(Exceeded::States { max: self.limits.states_max });
                return;
            }
            let (id, fresh) = self.visited.insert(*hash);
            ids.push(id);
            let breaks = broken.next_if(|(at, _)| *at == number);
            if fresh {
                next.push(chunk.fresh.words(number), chunk.fresh.since[number]);
                let (parent, action) = chunk.from[number];
                self.parents.push(parent);
                self.actions.push(action);
                if let Some((_, broken)) = breaks {
                    self.tell_broken(*broken, id, worker);
                }
            }
        }
        let mut from = 0;
        let mut edges = Vec::new();
        for (good, end) in chunk.good.iter().zip(&chunk.calm_ends) {
            edges.clear();
            edges.extend(chunk.calm[from..*end].iter().map(|target| match target {
                Target::Known(id) => *id,
                Target::Fresh(number) => ids[*number as usize],
            }));
            self.graph.add(*good, &edges);
            from = *end;
        }
    }

    fn tell_broken(&mut self, broken: Mask, state: Id, worker: &Worker) {
        for property in broken.iter() {
            if self.seen_broken.insert(property) {
                self.found.broken.push(Broken { property, actions: self.way(state, worker) });
            }
        }
    }

    /// The actions that lead to a state.
    fn way(&self, to: Id, worker: &Worker) -> Vec<Action> {
        let mut way = Vec::new();
        let mut at = to as usize;
        while self.parents[at] != Id::MAX {
            way.push(worker.action(self.actions[at]));
            at = self.parents[at] as usize;
        }
        way.reverse();
        way
    }

    fn measure(&mut self, levels: [&Level; 2], space: &Space, workers: &[Worker]) {
        let now = self.visited.bytes()
            + self.graph.bytes()
            + self.parents.len() * size_of::<Id>()
            + self.actions.len() * size_of::<ActionId>()
            + space.bytes()
            + levels.iter().map(|level| level.bytes()).sum::<usize>()
            + workers.iter().map(Worker::bytes).sum::<usize>();
        self.found.bytes = self.found.bytes.max(now);
    }

    fn end(mut self, space: &Space, worker: &Worker) -> Found {
        self.found.states = self.visited.len();
        self.found.digest = self.visited.digest();
        // 64-bit FNV-1a, which every build reckons alike.
        self.found.shape = self.parents.iter().fold(0xcbf2_9ce4_8422_2325, |shape, parent| {
            (shape ^ u64::from(*parent)).wrapping_mul(0x0100_0000_01b3)
        });
        self.found.parts = space.parts();
        if self.found.broken.is_empty() && self.found.exceeded.is_none() {
            for (number, state) in self.graph.stuck(space.all_good()) {
                let property = space.eventually(number);
                self.found.broken.push(Broken { property, actions: self.way(state, worker) });
            }
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scopes;
    use crate::world::{Budget, Event};

    /// Small enough for every test run.
    fn tiny() -> Scope {
        let scope = scopes::named("drain-now").unwrap_or_else(|| unreachable!("there is one"));
        Scope { budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1)]), ..scope }
    }

    #[test]
    fn a_search_finds_the_same_on_one_thread_and_on_three() {
        let scope = tiny();
        let one = search(&scope, Limits::none(1), |_| {});
        let three = search(&scope, Limits::none(3), |_| {});
        assert!(one.exceeded.is_none() && one.states > 2_000, "{one:?}");
        let summary = |found: &Found| (found.states, found.steps, found.depth, found.reached, found.digest);
        assert_eq!(summary(&one), summary(&three));
    }

    /// By the plainest search that there is, without any of what makes the other one fast.
    #[test]
    #[expect(
        clippy::mutable_key_type,
        reason = "a registry keeps its own hash in a cell, which is none of its value"
    )]
    fn a_search_finds_what_a_plain_one_finds() {
        let scope = tiny();
        let mut seen = std::collections::HashSet::new();
        let mut queue = std::collections::VecDeque::from([World::begin(&scope)]);
        seen.insert(World::begin(&scope));
        let mut steps = 0;
        while let Some(world) = queue.pop_front() {
            let mut actions = Vec::new();
            world.actions(&scope, &mut actions);
            for action in actions {
                steps += 1;
                let after = world.step(&scope, action);
                if seen.insert(after.clone()) {
                    queue.push_back(after);
                }
            }
        }
        let found = search(&scope, Limits::none(2), |_| {});
        assert_eq!((found.states, found.steps), (seen.len(), steps));
    }

    #[test]
    fn a_search_that_is_cut_short_says_so() {
        let found = search(&tiny(), Limits { states_max: 1_000, ..Limits::none(2) }, |_| {});
        assert_eq!((found.exceeded, found.states), (Some(Exceeded::States { max: 1_000 }), 1_000));
    }

    #[test]
    fn a_search_that_takes_too_much_memory_says_so() {
        let limits = Limits { memory_max: 1 << 20, ..Limits::none(2) };
        let found = search(&tiny(), limits, |_| {});
        assert_eq!(found.exceeded, Some(Exceeded::Memory { max: 1 << 20 }));
    }
}
