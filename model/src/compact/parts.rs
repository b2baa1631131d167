//! A world in parts, each of which is kept once however many worlds it is in.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::ghost::Ghost;
use crate::shared::{Shared, hash_of};
use crate::track::{NOWHERE, Place};
use crate::world::{Budget, FrameworkNode, Line, Link, MasterNode, Message, SlaveNode, Store, Tree, World};

/// A part, by the order in which parts were first seen.
pub(super) type PartId = u32;

/// Where what every step may read is: which sessions there are, and all that is no part.
pub(super) const FRAME: Place = 0;
/// Where the budget is.
pub(super) const BUDGET: Place = 1;
const STORE: Place = 2;
const GHOST: Place = 3;
/// Where nodes begin: masters, slaves, frameworks, trees; then each session: how it is, and what is on its way to its
/// near end and to its far end.
const NODES: Place = 4;

/// All of a world that is no other part. What is added to [`World`] is in here by itself.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    rest: World,
    masters: u16,
    slaves: u16,
    frameworks: u16,
    trees: u16,
}

impl Frame {
    fn of(world: &World) -> Self {
        let count =
            |length: usize| u16::try_from(length).unwrap_or_else(|_| unreachable!("worlds are small"));
        let rest = World {
            masters: Vec::new(),
            store: Shared::default(),
            slaves: Vec::new(),
            frameworks: Vec::new(),
            trees: Vec::new(),
            links: world.links.iter().map(|link| Link::hollow(link.key)).collect(),
            budget: Budget::default(),
            ghost: Shared::default(),
            ..world.clone()
        };
        Self {
            rest,
            masters: count(world.masters.len()),
            slaves: count(world.slaves.len()),
            frameworks: count(world.frameworks.len()),
            trees: count(world.trees.len()),
        }
    }

    /// The same, with these properties broken.
    pub(super) fn broken(&self, broken: crate::properties::Mask) -> Self {
        let rest = World { broken, ..self.rest.clone() };
        Self { rest, ..*self }
    }
}

/// A part of a world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Frame(Arc<Frame>),
    Budget(Budget),
    Store(Shared<Store>),
    Ghost(Shared<Ghost>),
    Master(Shared<MasterNode>),
    Slave(Shared<SlaveNode>),
    Framework(Shared<FrameworkNode>),
    Tree(Shared<Tree>),
    Line(Shared<Line>),
    Queue(Shared<Vec<Message>>),
}

/// A kind of node or queue, as a part.
trait Kept: Sized {
    fn part(shared: Shared<Self>) -> Part;
    fn of(part: &Part) -> Option<&Shared<Self>>;
}

macro_rules! kept {
    ($($variant:ident: $of:ty),*) => {$(
        impl Kept for $of {
            fn part(shared: Shared<Self>) -> Part {
                Part::$variant(shared)
            }

            fn of(part: &Part) -> Option<&Shared<Self>> {
                if let Part::$variant(shared) = part { Some(shared) } else { None }
            }
        }
    )*};
}

kept!(
    Store: Store, Ghost: Ghost, Master: MasterNode, Slave: SlaveNode, Framework: FrameworkNode, Tree: Tree,
    Line: Line, Queue: Vec<Message>
);

/// Where a part of a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It was at this place of the state before.
    From(Place),
    /// It is this.
    Part(PartId),
}

/// Every part that was seen.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// By its hash; where two have the same, the next number that is free. They are told apart by what they are.
    ids: HashMap<u64, PartId, FxBuildHasher>,
    pub(super) all: Vec<Part>,
    /// Their hashes, the same in every run of one build.
    pub(super) hashes: Vec<u64>,
}

impl Parts {
    /// The number of a part: of equal ones, the same.
    pub(super) fn intern(&mut self, part: Part) -> PartId {
        let hash = hash_of(&part);
        let mut key = hash;
        while let Some(id) = self.ids.get(&key) {
            if self.all[*id as usize] == part {
                return *id;
            }
            key = key.wrapping_add(1);
        }
        let id = PartId::try_from(self.all.len()).unwrap_or_else(|_| unreachable!("memory ends before"));
        self.ids.insert(key, id);
        self.all.push(part);
        self.hashes.push(hash);
        id
    }

    /// Where each part of a world comes from.
    pub(super) fn pack(&mut self, world: &World, packed: &mut Vec<Source>) {
        packed.clear();
        let frame = self.intern(Part::Frame(Arc::new(Frame::of(world))));
        packed.push(Source::Part(frame));
        packed.push(match world.budget.place() {
            NOWHERE => Source::Part(self.intern(Part::Budget(world.budget))),
            place => Source::From(place),
        });
        packed.push(self.source(&world.store));
        packed.push(self.source(&world.ghost));
        packed.extend(world.masters.iter().map(|node| self.source(node)));
        packed.extend(world.slaves.iter().map(|node| self.source(node)));
        packed.extend(world.frameworks.iter().map(|node| self.source(node)));
        packed.extend(world.trees.iter().map(|tree| self.source(tree)));
        for link in &world.links {
            packed.push(self.source(&link.line));
            packed.push(self.source(&link.to_near));
            packed.push(self.source(&link.to_far));
        }
    }

    fn source<T: Kept>(&mut self, shared: &Shared<T>) -> Source {
        match shared.place() {
            NOWHERE => Source::Part(self.intern(T::part(shared.clone()))),
            place => Source::From(place),
        }
    }
}

/// Whether the parts of a world know their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Yes,
    No,
}

/// The world of these parts.
pub(super) fn unpack(parts: &[Part], words: &[PartId], know: Placed) -> World {
    let placed_all = Unpack { parts, words, know };
    placed_all.world()
}

struct Unpack<'a> {
    parts: &'a [Part],
    words: &'a [PartId],
    know: Placed,
}

impl Unpack<'_> {
    fn world(&self) -> World {
        let Part::Frame(frame) = self.part(FRAME) else { unreachable!("a state begins with its frame") };
        let mut at = NODES;
        let mut world = frame.rest.clone();
        world.budget = self.budget();
        world.store = self.shared(STORE);
        world.ghost = self.shared(GHOST);
        world.masters = self.some(&mut at, frame.masters);
        world.slaves = self.some(&mut at, frame.slaves);
        world.frameworks = self.some(&mut at, frame.frameworks);
        world.trees = self.some(&mut at, frame.trees);
        for link in &mut world.links {
            link.line = self.shared(at);
            link.to_near = self.shared(at + 1);
            link.to_far = self.shared(at + 2);
            at += 3;
        }
        world
    }

    fn part(&self, place: Place) -> &Part {
        &self.parts[self.words[usize::from(place)] as usize]
    }

    fn place(&self, place: Place) -> Place {
        match self.know {
            Placed::Yes => place,
            Placed::No => NOWHERE,
        }
    }

    fn budget(&self) -> Budget {
        let Part::Budget(budget) = self.part(BUDGET) else { unreachable!("the budget is in its place") };
        budget.placed(self.place(BUDGET))
    }

    fn some<T: Kept>(&self, at: &mut Place, count: u16) -> Vec<Shared<T>> {
        let all = (*at..*at + count).map(|place| self.shared(place)).collect();
        *at += count;
        all
    }

    fn shared<T: Kept>(&self, place: Place) -> Shared<T> {
        let shared = T::of(self.part(place));
        shared.unwrap_or_else(|| unreachable!("another kind of part is at {place}")).placed(self.place(place))
    }
}

/// Makes a world of one with the same frame, by what is different. Its parts do not know their places.
pub(super) fn repack(parts: &[Part], before: &[PartId], words: &[PartId], world: &mut World) {
    let unpack = Unpack { parts, words, know: Placed::No };
    let differs = |place: Place| before[usize::from(place)] != words[usize::from(place)];
    let mut at = NODES;
    let mut next = || {
        at += 1;
        (at - 1, differs(at - 1))
    };
    macro_rules! renew {
        ($parts:expr) => {
            for part in $parts {
                if let (place, true) = next() {
                    *part = unpack.shared(place);
                }
            }
        };
    }
    renew!(&mut world.masters);
    renew!(&mut world.slaves);
    renew!(&mut world.frameworks);
    renew!(&mut world.trees);
    for link in &mut world.links {
        renew!([&mut link.line]);
        renew!([&mut link.to_near, &mut link.to_far]);
    }
    if differs(BUDGET) {
        world.budget = unpack.budget();
    }
    if differs(STORE) {
        world.store = unpack.shared(STORE);
    }
    if differs(GHOST) {
        world.ghost = unpack.shared(GHOST);
    }
}
