//! Every state of a scope, breadth first: the shortest story of what is broken, and, on the graph, what must come
//! about in the end.
//!
//! A state is kept as 64 bits of hash, the action that led to it and where from: a story is had by doing its actions
//! again. Two states of the same hash would be taken for one, which is unlikely (n² / 2⁶⁵) and not impossible.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::properties::{self, Kind, Mask, Seen};
use crate::scope::Scope;
use crate::shared::hash_of;
use crate::world::{Action, World};

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: u64,
    /// The most actions on the shortest way to a state.
    pub depth: usize,
    /// A number for the whole graph: from which state, by which of its actions, each state was first reached. It is
    /// the same on every machine.
    pub shape: u64,
    /// Whether every state was seen.
    pub complete: bool,
    /// The `sometimes` properties that were reached, by their place in the table.
    pub reached: Mask,
    /// What is broken, each with the shortest way there.
    pub broken: Vec<Broken>,
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

struct Node {
    parent: u32,
    /// Which of the parent's actions.
    action: u16,
}

struct Graph {
    nodes: Vec<Node>,
    /// Calm steps, from and to.
    calm: Vec<(u32, u32)>,
    /// Of each `eventually` property, by its place in the table: the states that are good.
    good: Vec<(usize, Vec<bool>)>,
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Searches a scope, up to so many states.
pub fn search(scope: &Scope, states_max: usize, mut tell: impl FnMut(Progress)) -> Found {
    let eventually = |at: &usize| matches!(properties::ALL[*at].kind, Kind::Eventually(_));
    let good = (0..properties::ALL.len()).filter(eventually).map(|at| (at, Vec::new())).collect();
    let mut graph = Graph { nodes: Vec::new(), calm: Vec::new(), good };
    let mut ids: HashMap<u64, u32, BuildHasherDefault<Through>> = HashMap::default();
    let mut found = Found {
        states: 0,
        steps: 0,
        depth: 0,
        shape: 0,
        complete: true,
        reached: Mask::NONE,
        broken: Vec::new(),
    };
    let mut seen_broken = Mask::NONE;
    let first = World::begin(scope);
    ids.insert(hash_of(&first), 0);
    graph.add(scope, &first, Node { parent: u32::MAX, action: 0 });
    let mut frontier = vec![(0u32, first)];
    let mut actions = Vec::new();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (id, world) in frontier {
            actions.clear();
            world.actions(scope, &mut actions);
            for (at, action) in actions.iter().enumerate() {
                let (after, happenings) = world.step_told(scope, *action);
                found.steps += 1;
                let seen =
                    Seen { scope, before: &world, after: &after, action: *action, happenings: &happenings };
                properties::reach(&seen, &mut found.reached);
                let fresh = u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
                let known = *ids.entry(hash_of(&after)).or_insert(fresh);
                if action.is_calm() && known != id {
                    graph.calm.push((id, known));
                }
                if known != fresh {
                    continue;
                }
                graph.add(scope, &after, Node { parent: id, action: u16::try_from(at).unwrap_or(u16::MAX) });
                for property in after.broken.iter().filter(|property| seen_broken.insert(*property)) {
                    found.broken.push(Broken { property, actions: graph.way(scope, fresh) });
                }
                if graph.nodes.len() >= states_max {
                    found.complete = false;
                    (found.states, found.shape) = (graph.nodes.len(), graph.shape());
                    return found;
                }
                if graph.nodes.len().is_multiple_of(1 << 14) {
                    tell(Progress { states: graph.nodes.len(), depth: found.depth });
                }
                next.push((fresh, after));
            }
        }
        found.depth += usize::from(!next.is_empty());
        frontier = next;
    }
    (found.states, found.shape) = (graph.nodes.len(), graph.shape());
    if found.broken.is_empty() {
        graph.check_eventually(scope, &mut found);
    }
    found
}

/// The `eventually` properties that do not come about from a state, by their place in the table: none of the states
/// that calm actions lead to is good.
pub fn never(scope: &Scope, world: &World) -> Vec<usize> {
    let is_good = |at: usize, world: &World| match properties::ALL[at].kind {
        Kind::Eventually(is) => is(scope, world),
        Kind::Step(_) | Kind::State(_) | Kind::Sometimes(_) => true,
    };
    let mut never: Vec<usize> = (0..properties::ALL.len()).collect();
    let mut seen: HashSet<u64, BuildHasherDefault<Through>> = HashSet::default();
    seen.insert(hash_of(world));
    let mut frontier = vec![world.clone()];
    let mut actions = Vec::new();
    while let Some(world) = frontier.pop() {
        never.retain(|at| !is_good(*at, &world));
        if never.is_empty() {
            break;
        }
        actions.clear();
        world.actions(scope, &mut actions);
        for action in actions.iter().filter(|action| action.is_calm()) {
            let after = world.step(scope, *action);
            if seen.insert(hash_of(&after)) {
                frontier.push(after);
            }
        }
    }
    never
}

impl Graph {
    fn add(&mut self, scope: &Scope, world: &World, node: Node) {
        self.nodes.push(node);
        for (property, good) in &mut self.good {
            if let Kind::Eventually(is) = properties::ALL[*property].kind {
                good.push(is(scope, world));
            }
        }
    }

    /// 64-bit FNV-1a of every state's parent and action.
    fn shape(&self) -> u64 {
        let words = self.nodes.iter().flat_map(|node| [u64::from(node.parent), u64::from(node.action)]);
        words.fold(0xcbf2_9ce4_8422_2325, |shape, word| (shape ^ word).wrapping_mul(0x100_0000_01b3))
    }

    /// The actions that lead to a state.
    fn way(&self, scope: &Scope, to: u32) -> Vec<Action> {
        let mut choices = Vec::new();
        let mut at = to;
        while let Some(node) = self.nodes.get(at as usize).filter(|node| node.parent != u32::MAX) {
            choices.push(node.action);
            at = node.parent;
        }
        let mut world = World::begin(scope);
        let mut way = Vec::new();
        for choice in choices.into_iter().rev() {
            let mut actions = Vec::new();
            world.actions(scope, &mut actions);
            let Some(action) = actions.get(usize::from(choice)).copied() else { break };
            way.push(action);
            world = world.step(scope, action);
        }
        way
    }

    /// From every state a good one must be reachable by calm actions. As each of them that goes on being possible
    /// happens in the end, a world that stays calm then gets there: what could keep it away for ever is a set of
    /// states without a good one and without a way out.
    fn check_eventually(&self, scope: &Scope, found: &mut Found) {
        let states = self.nodes.len();
        // The edges by where they lead, to walk them backwards.
        let mut starts = vec![0u32; states + 1];
        for (_, to) in &self.calm {
            starts[*to as usize + 1] += 1;
        }
        for at in 0..states {
            starts[at + 1] += starts[at];
        }
        let mut places = starts.clone();
        let mut sources = vec![0u32; self.calm.len()];
        for (from, to) in &self.calm {
            let place = &mut places[*to as usize];
            sources[*place as usize] = *from;
            *place += 1;
        }
        for (property, good) in &self.good {
            let mut reaches = good.clone();
            let mut stack: Vec<u32> = (0..).zip(good).filter(|(_, good)| **good).map(|(at, _)| at).collect();
            while let Some(at) = stack.pop() {
                let (from, to) = (starts[at as usize] as usize, starts[at as usize + 1] as usize);
                for source in &sources[from..to] {
                    if !std::mem::replace(&mut reaches[*source as usize], true) {
                        stack.push(*source);
                    }
                }
            }
            // States are numbered breadth first: the first that does not reach is the nearest.
            if let Some(stuck) = reaches.iter().position(|reaches| !reaches) {
                let actions = self.way(scope, u32::try_from(stuck).unwrap_or(u32::MAX));
                found.broken.push(Broken { property: *property, actions });
            }
        }
    }
}
