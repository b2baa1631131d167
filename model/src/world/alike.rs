//! Of nodes that nobody can tell apart, the first goes first (symmetry).
//!
//! Ids follow the order in which nodes are heard, so that to exchange two nodes is to exchange their names, places and
//! sessions, and no ids: the machines do with one what they do with the other. As long as two have done the same and
//! nobody has heard of either, the world is its own mirror image, and what the one does now comes to what the other
//! would. One of them is enough. Where *n* are heard before anything else befalls them, about one in *n!* states is left.
//!
//! This leaves actions out, and no states are taken for each other: each is one of the whole world's, and a story is a
//! story of it. An edge is left out only where its like stays, so that what must come about is asked of all.

use std::ops::Range;

use neap_protocol::framework;
use neap_protocol::message::SlaveRef;

use crate::scope::{Scope, slave_of};

use super::action::{Action, Node};
use super::links::{Dialer, End, Link};
use super::{World, slave_name};

/// Which nodes cannot be told apart before they are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alike {
    slaves: Range<u8>,
    frameworks: Range<u8>,
}

/// Which of them somebody has heard of, bit by bit: slaves, frameworks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Heard([u32; 2]);

impl Alike {
    /// In this scope: slaves that no command names, and frameworks that differ in nothing but their names.
    pub fn of(scope: &Scope) -> Self {
        let mut commands = scope.commands.clone();
        let named: Vec<&SlaveRef> = commands.iter_mut().filter_map(slave_of).map(|slave| &*slave).collect();
        let is_named = |number: &u8| named.contains(&&SlaveRef::Name(slave_name(*number)));
        let after_named = (0..scope.slaves).rev().find(is_named).map_or(0, |last| last + 1);
        let alike = scope.framework.iter().take(scope.frameworks.into()).all(|one| {
            let first = scope.framework[0].clone();
            *one == framework::Config { name: one.name.clone(), ..first }
        });
        let several = |range: Range<u8>| if range.len() > 1 { range } else { 0..0 };
        Self {
            slaves: several(after_named..scope.slaves),
            frameworks: several(0..if alike { scope.frameworks } else { 0 }),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slaves.is_empty() && self.frameworks.is_empty()
    }

    /// Which of those like it a node is.
    fn place(&self, node: Node) -> Option<(usize, u8)> {
        let (kind, alike, number) = match node {
            Node::Master(_) => return None,
            Node::Slave(number) => (0, &self.slaves, number),
            Node::Framework(number) => (1, &self.frameworks, number),
        };
        alike.contains(&number).then(|| (kind, number - alike.start))
    }

    /// The node at such a place.
    fn at(&self, (kind, place): (usize, u8)) -> Node {
        match kind {
            0 => Node::Slave(self.slaves.start + place),
            _ => Node::Framework(self.frameworks.start + place),
        }
    }
}

impl Heard {
    fn has(self, (kind, place): (usize, u8)) -> bool {
        self.0[kind] >> place & 1 != 0
    }

    /// Notes who is heard of by it.
    pub(super) fn note(&mut self, alike: &Alike, action: Action) {
        // One that only connects, or fails to, or waits to, leaves no more trace than any of its like.
        let leaves_none = matches!(
            action,
            Action::Connect(..)
                | Action::NoConnection(_)
                | Action::SlaveTimer(..)
                | Action::FrameworkTimer(..)
        );
        if leaves_none {
            return;
        }
        action.all(|node| {
            if let Some((kind, place)) = alike.place(node) {
                self.0[kind] |= 1 << place;
            }
            true
        });
    }
}

impl World {
    /// Whether no other node could do it as well, and goes first.
    pub(super) fn is_first(&self, alike: &Alike, action: Action) -> bool {
        let is_first = |node: Node| {
            let place = alike.place(node).filter(|place| !self.heard.has(*place));
            place.is_none_or(|(kind, place)| {
                let before = (0..place).filter(|place| !self.heard.has((kind, *place)));
                before.map(|other| alike.at((kind, other))).all(|other| !self.are_equal(node, other))
            })
        };
        action.all(is_first)
    }

    /// Whether two nodes that nobody has heard of have done the same. (What they have said follows from that.)
    fn are_equal(&self, one: Node, other: Node) -> bool {
        let is = |one: Dialer, other: Dialer| {
            let of = |dialer| self.links.iter().filter(move |link| link.key.0 == dialer);
            let picture = |link: &Link| (link.key.1, link.waiting(End::Far).len());
            let same = |(one, other): (&Link, &Link)| {
                picture(one) == picture(other)
                    && one.line == other.line
                    && one.waiting(End::Near) == other.waiting(End::Near)
            };
            of(one).count() == of(other).count() && of(one).zip(of(other)).all(same)
        };
        match (one, other) {
            (Node::Slave(one), Node::Slave(other)) => {
                self.slaves[usize::from(one)] == self.slaves[usize::from(other)]
                    && is(Dialer::Slave(one), Dialer::Slave(other))
            }
            (Node::Framework(one), Node::Framework(other)) => {
                self.frameworks[usize::from(one)] == self.frameworks[usize::from(other)]
                    && is(Dialer::Framework(one), Dialer::Framework(other))
            }
            (Node::Master(_) | Node::Slave(_) | Node::Framework(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::properties::{self, Seen};
    use crate::scopes;
    use crate::search::search;
    use crate::simulate::{Random, Stream};
    use crate::world::{Budget, Event};

    fn without_symmetry(scope: &Scope) -> Scope {
        Scope { alike: Alike::default(), ..scope.clone() }
    }

    fn with_alike() -> impl Iterator<Item = Scope> {
        scopes::all().into_iter().filter(|scope| !scope.alike.is_empty())
    }

    /// The same of the other one.
    fn exchanged(alike: &Alike, action: Action) -> Action {
        let other = |range: &Range<u8>, number: u8| match range.contains(&number) {
            true => range.start + (range.end - 1 - number),
            false => number,
        };
        let exchanged = action.renumbered(&mut |node| match node {
            Node::Master(number) => Some(number),
            Node::Slave(number) => Some(other(&alike.slaves, number)),
            Node::Framework(number) => Some(other(&alike.frameworks, number)),
        });
        exchanged.expect("everyone has a number")
    }

    /// What it rests on: of two worlds, in one of which everything is done by the other node, the same may happen next
    /// and the same is seen.
    #[test]
    fn worlds_whose_nodes_are_exchanged_go_the_same_way() {
        let mut scopes = 0;
        for scope in with_alike() {
            let (alike, scope) = (scope.alike.clone(), without_symmetry(&scope));
            scopes += 1;
            for seed in 0..20 {
                let mut random = Random::new(seed, Stream::Steps);
                let (mut one, mut other) = (World::begin(&scope), World::begin(&scope));
                for _ in 0..80 {
                    let (mut of_one, mut of_other) = (Vec::new(), Vec::new());
                    one.actions(&scope, &mut of_one);
                    other.actions(&scope, &mut of_other);
                    let of_one: Vec<_> =
                        of_one.into_iter().map(|action| (action, exchanged(&alike, action))).collect();
                    assert_eq!(of_one.len(), of_other.len(), "{} {seed}", scope.name);
                    assert!(
                        of_one.iter().all(|(_, action)| of_other.contains(action)),
                        "{} {seed}",
                        scope.name
                    );
                    if of_one.is_empty() {
                        break;
                    }
                    let (action, exchanged) = of_one[random.below(of_one.len())];
                    let step = |world: &mut World, action| {
                        let (after, happenings) = world.step_told(&scope, action);
                        let seen = Seen {
                            scope: &scope,
                            before: world,
                            after: &after,
                            action,
                            happenings: &happenings,
                        };
                        let came = (properties::reached(&seen), after.broken);
                        *world = after;
                        came
                    };
                    assert_eq!(step(&mut one, action), step(&mut other, exchanged), "{} {seed}", scope.name);
                }
            }
        }
        assert!(scopes > 2, "{scopes} scopes have nodes that are alike");
    }

    #[test]
    fn half_of_the_states_tell_of_two_that_are_alike() {
        let scope = scopes::named("two-frameworks").expect("there is one");
        let scope = Scope { budget: Budget::of(&[(Event::Launch, 1)]), ..scope };
        let reduced = search(&scope, Limits::none(2), |_| {});
        let all = search(&without_symmetry(&scope), Limits::none(2), |_| {});
        assert!(reduced.exceeded.is_none() && all.exceeded.is_none() && reduced.broken.is_empty());
        assert_eq!((reduced.reached, reduced.depth), (all.reached, all.depth));
        // A state is left out only where its like is there, and few are their own like.
        assert!(
            all.states <= 2 * reduced.states && 20 * reduced.states < 11 * all.states,
            "{} of {}",
            reduced.states,
            all.states
        );
    }

    #[test]
    fn a_slave_that_a_command_names_is_like_no_other() {
        let scope = |name: &str| scopes::named(name).expect("there is one").alike;
        assert_eq!(scope("two-slaves"), Alike::default());
        assert_eq!(scope("two-frameworks"), Alike { slaves: 0..0, frameworks: 0..2 });
        assert_eq!(scope("breaker"), Alike { slaves: 0..2, frameworks: 0..0 });
    }
}
