//! A scope checked: by two searches, which must agree.
//!
//! | who | what it does |
//! |---|---|
//! | stateright ([`exhaust`](mod@exhaust)) | every state, depth first, on several threads: `always` and `sometimes` properties |
//! | our own ([`search`](mod@crate::search)) | every state, breadth first: the shortest story of what is broken, and liveness on the graph |
//!
//! Both count states and steps, what is broken and what is reached. Where they differ, or where one of them did not see
//! everything, nothing that they say is worth anything, and the check fails. What they share is how states are kept and
//! steps remembered ([`compact`](mod@crate::compact)), which has tests of its own against the machines themselves.

use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::properties::{self, Kind, Mask};
use crate::scope::Scope;
use crate::search::{self, Found};
use crate::story;
use crate::world::Action;

pub mod exhaust;

pub use exhaust::{Exhausted, Shortfall, exhaust};

/// What came of one scope.
#[derive(Debug)]
pub struct Checked {
    /// Which.
    pub scope: Scope,
    /// What stateright found.
    pub exhausted: Exhausted,
    /// What our own search found.
    pub found: Found,
    /// How long that took.
    pub found_in: Duration,
    /// Why it says nothing; empty if everything was seen, and the same by both.
    pub shortfalls: Vec<Shortfall>,
}

/// What a property came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds everywhere.
    Held,
    /// It does not: this leads there, or nothing is known that does.
    Broken(Option<Vec<Action>>),
    /// A `sometimes` property was reached.
    Reached,
    /// It was not.
    NotReached,
    /// Not everything was seen, or something else is broken, so that nothing can be said.
    Unknown,
}

/// Who is at work, and how far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// `stateright` or `breadth first`.
    pub engine: &'static str,
    /// States found.
    pub states: usize,
    /// Actions from the beginning.
    pub depth: usize,
    /// Since it began.
    pub took: Duration,
}

/// Checks a scope.
pub fn check(scope: &Scope, limits: Limits, mut tell: impl FnMut(Progress)) -> Checked {
    let exhausted = exhaust(scope, limits, |progress| {
        tell(Progress {
            engine: "stateright",
            states: progress.states,
            depth: progress.depth,
            took: progress.took,
        });
    });
    let began = Instant::now();
    let found = search::search(scope, limits, |progress| {
        tell(Progress {
            engine: "breadth first",
            states: progress.states,
            depth: progress.depth,
            took: began.elapsed(),
        });
    });
    let found_in = began.elapsed();
    let mut shortfalls = exhausted.shortfalls.clone();
    if let (true, Some(exceeded)) = (shortfalls.is_empty(), found.exceeded) {
        shortfalls.push(Shortfall::Exceeded(exceeded));
    }
    if shortfalls.is_empty() {
        shortfalls.extend(differences(&exhausted, &found));
    }
    Checked { scope: scope.clone(), exhausted, found, found_in, shortfalls }
}

/// In what two searches that saw everything differ.
fn differences(exhausted: &Exhausted, found: &Found) -> Vec<Shortfall> {
    let is_always = |at: &usize| matches!(properties::ALL[*at].kind, Kind::Step(_) | Kind::State(_));
    let broken = found.broken.iter().map(|broken| broken.property).filter(is_always);
    let broken: Mask = broken.collect();
    let pairs = [
        ("states", exhausted.states.to_string(), found.states.to_string()),
        ("steps", exhausted.steps.to_string(), found.steps.to_string()),
        ("what is broken", names(exhausted.broken), names(broken)),
        ("what is reached", names(exhausted.reached), names(found.reached)),
    ];
    let differ = pairs.into_iter().filter(|(_, stateright, own)| stateright != own);
    differ.map(|(what, stateright, own)| Shortfall::Differs { what, stateright, own }).collect()
}

/// The properties of a set, by name.
pub fn names(set: Mask) -> String {
    let named: Vec<&str> = set.iter().map(|at| properties::ALL[at].name).collect();
    match named.is_empty() {
        true => "nothing".into(),
        false => named.join(", "),
    }
}

impl Checked {
    /// Whether everything was seen, and the same by both searches.
    pub fn is_complete(&self) -> bool {
        self.shortfalls.is_empty()
    }

    /// Whether anything is broken.
    pub fn is_broken(&self) -> bool {
        !self.exhausted.broken.is_empty() || !self.found.broken.is_empty()
    }

    /// Whether ways end early because something that must always hold is broken there.
    fn is_truncated(&self) -> bool {
        let is_eventual = |at: usize| matches!(properties::ALL[at].kind, Kind::Eventually(_));
        !self.exhausted.broken.is_empty()
            || self.found.broken.iter().any(|broken| !is_eventual(broken.property))
    }

    /// The stories of everything that is broken.
    pub fn stories(&self) -> String {
        let mut text = String::new();
        for (at, property) in properties::ALL.iter().enumerate() {
            let Verdict::Broken(actions) = self.verdict(at) else { continue };
            text.push('\n');
            text.push_str(&match actions {
                Some(actions) => story::story(&self.scope, &actions, at),
                None => {
                    format!("{} is broken; breadth first did not come as far as its story\n", property.name)
                }
            });
            text.push('\n');
        }
        text
    }

    /// What a property came to, by its place in the table.
    pub fn verdict(&self, at: usize) -> Verdict {
        if let Some(broken) = self.found.broken.iter().find(|broken| broken.property == at) {
            return Verdict::Broken(Some(broken.actions.clone()));
        }
        if self.exhausted.broken.contains(at) {
            return Verdict::Broken(None);
        }
        let whole = self.is_complete() && !self.is_truncated();
        match properties::ALL[at].kind {
            Kind::Sometimes(_) if self.exhausted.reached.contains(at) || self.found.reached.contains(at) => {
                Verdict::Reached
            }
            Kind::Sometimes(_) if whole => Verdict::NotReached,
            // Where something is broken no way goes on: behind it, this may be broken too.
            Kind::Step(_) | Kind::State(_) | Kind::Eventually(_) if whole => Verdict::Held,
            Kind::Step(_) | Kind::State(_) | Kind::Sometimes(_) | Kind::Eventually(_) => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Budget, Event};

    fn small() -> Vec<Scope> {
        let reduced = |name: &str, budget: Budget| Scope { budget, ..crate::scopes::named(name).unwrap() };
        vec![
            reduced("deactivate", Budget::default()),
            reduced("drain-now", Budget::of(&[(Event::Signal, 1)])),
        ]
    }

    fn limits(states_max: usize) -> Limits {
        Limits { states_max, ..Limits::none(2) }
    }

    #[test]
    fn both_searches_find_the_same() {
        for scope in small() {
            let checked = check(&scope, limits(usize::MAX), |_| {});
            assert_eq!(checked.shortfalls, [], "{}", scope.name);
            assert!(!checked.is_broken(), "{}", checked.stories());
            assert_eq!(checked.exhausted.states, checked.found.states);
            assert!(checked.found.states > 100, "{} has {} states", scope.name, checked.found.states);
            for at in 0..properties::ALL.len() {
                let verdict = checked.verdict(at);
                let is_fine = match properties::ALL[at].kind {
                    Kind::Sometimes(_) => matches!(verdict, Verdict::Reached | Verdict::NotReached),
                    Kind::Step(_) | Kind::State(_) | Kind::Eventually(_) => verdict == Verdict::Held,
                };
                assert!(is_fine, "{} is {verdict:?} in {}", properties::ALL[at].name, scope.name);
            }
        }
    }

    #[test]
    fn searches_that_differ_are_no_pass() {
        let checked = check(&small()[0], limits(usize::MAX), |_| {});
        let mut other = checked.exhausted.clone();
        other.states += 1;
        other.reached = Mask::NONE;
        let differ: Vec<&str> = differences(&other, &checked.found)
            .into_iter()
            .map(|shortfall| match shortfall {
                Shortfall::Differs { what, .. } => what,
                Shortfall::Exceeded(_)
                | Shortfall::Panicked { .. }
                | Shortfall::NotLookedAt { .. }
                | Shortfall::NotDone => "something else",
            })
            .collect();
        // Nothing is reached where nobody launches, but that a hold is durable.
        assert_eq!(differ, ["states", "what is reached"]);
    }

    #[test]
    fn nothing_is_held_where_not_everything_was_seen() {
        let checked = check(&small()[0], limits(50), |_| {});
        assert!(!checked.is_complete());
        for at in 0..properties::ALL.len() {
            let verdict = checked.verdict(at);
            assert!(matches!(verdict, Verdict::Unknown | Verdict::Reached), "{verdict:?}");
        }
    }
}
