//! Every state of a scope by stateright, depth first, on several threads.
//!
//! stateright 0.31 calls a search done when it was cut short, and passes its assertions then. So none of its limits
//! is used, nothing lets it stop early (one property never fails), what a thread panicked of is asked of the thread,
//! and in the end as many states must have been looked at as were found.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use stateright::{Checker as _, Model, Property};

use crate::compact::{ActionId, Space, State};
use crate::limits::{Exceeded, Limits};
use crate::properties::{self, Mask, WORDS};
use crate::scope::Scope;
use crate::world::World;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exhausted {
    /// How many states there are.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// The most actions on the way by which a state was found first. It depends on the order in which threads went.
    pub depth: usize,
    /// The properties that are broken somewhere, by their place in the table.
    pub broken: Mask,
    /// The `sometimes` properties that were reached, by their place in the table.
    pub reached: Mask,
    /// How long it took.
    pub took: Duration,
    /// Why not everything was seen; empty if everything was.
    pub shortfalls: Vec<Shortfall>,
}

/// Why a search says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// It was given up.
    Exceeded(Exceeded),
    /// A thread panicked.
    Panicked {
        /// With these words.
        words: String,
    },
    /// States were found and not looked at.
    NotLookedAt {
        /// How many were looked at.
        looked_at: usize,
        /// How many were found.
        found: usize,
    },
    /// The checker does not say that it is done.
    NotDone,
    /// The two searches differ.
    Differs {
        /// In what.
        what: &'static str,
        /// What stateright's has.
        stateright: String,
        /// What our own has.
        own: String,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded(exceeded) => exceeded.fmt(f),
            Self::Panicked { words } => write!(f, "a thread of the checker panicked: {words}"),
            Self::NotLookedAt { looked_at, found } => {
                write!(f, "stateright found {found} states and looked at {looked_at}")
            }
            Self::NotDone => write!(f, "stateright does not say that it is done"),
            Self::Differs { what, stateright, own } => {
                write!(f, "the two searches differ in {what}: stateright {stateright}, breadth first {own}")
            }
        }
    }
}

/// What is said while a search goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// States found.
    pub states: usize,
    /// Actions from the beginning.
    pub depth: usize,
    /// Since it began.
    pub took: Duration,
}

/// A scope as stateright sees it: a state is a row of numbers, each of a part of a world, and an action is a number too
/// (see [`crate::compact`]).
#[derive(Debug)]
pub struct Bounded {
    scope: Scope,
    space: Arc<Space>,
    states_max: usize,
    looked_at: AtomicU64,
    broken: Bits,
    reached: Bits,
    given_up: AtomicBool,
    /// Panic when so many states were looked at.
    #[cfg(test)]
    panics_at: u64,
}

impl Bounded {
    /// To be searched up to so many states.
    pub fn new(scope: &Scope, states_max: usize) -> Self {
        Self {
            scope: scope.clone(),
            space: Space::new(scope),
            states_max,
            looked_at: AtomicU64::new(0),
            broken: Bits::default(),
            reached: Bits::default(),
            given_up: AtomicBool::new(false),
            #[cfg(test)]
            panics_at: u64::MAX,
        }
    }
}

/// Properties, by their place in the table, as threads find them.
#[derive(Debug, Default)]
struct Bits([AtomicU64; WORDS]);

impl Bits {
    /// Steps are many and news is rare: it is looked at before it is written.
    fn note(&self, bits: Mask) {
        for (word, bits) in self.0.iter().zip(bits.words()) {
            if bits & !word.load(Ordering::Relaxed) != 0 {
                word.fetch_or(bits, Ordering::Relaxed);
            }
        }
    }

    fn all(&self) -> Mask {
        Mask::of_words(self.0.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }
}

impl Model for Bounded {
    type State = State;
    type Action = ActionId;

    fn init_states(&self) -> Vec<State> {
        let mut world = World::begin(&self.scope);
        world.broken = properties::broken_in_state(&self.scope, &world);
        self.broken.note(world.broken);
        vec![self.space.with(|worker| worker.begin(&world))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<ActionId>) {
        if self.looked_at.load(Ordering::Relaxed) > self.states_max as u64 {
            self.given_up.store(true, Ordering::Relaxed);
        }
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        self.space.with(|worker| worker.actions(state.words(), actions));
    }

    fn next_state(&self, before: &State, action: ActionId) -> Option<State> {
        let (after, came) = self.space.with(|worker| worker.follow(before, action));
        self.reached.note(came.reached);
        self.broken.note(came.broken);
        Some(after)
    }

    /// stateright looks each property up by its name at each state: with dozens of them that is most of the work. A
    /// state has what its step broke with it, and threads note which properties that were.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every state is looked at", look_at),
            Property::always("nothing is broken", |_, state: &State| state.broken.is_empty()),
        ]
    }
}

/// Never fails, so that nothing ends a search before its time, and counts.
fn look_at(model: &Bounded, _: &State) -> bool {
    let _before = model.looked_at.fetch_add(1, Ordering::Relaxed);
    #[cfg(test)]
    assert!(_before < model.panics_at, "as the test wants");
    true
}

/// Visits every state of a scope.
pub fn exhaust(scope: &Scope, limits: Limits, tell: impl FnMut(Progress)) -> Exhausted {
    exhaust_model(Bounded::new(scope, limits.states_max), limits, tell)
}

fn exhaust_model(model: Bounded, limits: Limits, mut tell: impl FnMut(Progress)) -> Exhausted {
    const PERIOD: Duration = Duration::from_millis(250);
    let began = Instant::now();
    let mut checker = model.checker().threads(limits.threads.max(1)).spawn_dfs();
    let handles = checker.handles();
    let (sender, ends) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let panics = handles.into_iter().filter_map(|handle| handle.join().err());
        let words: Vec<String> = panics.map(|panic| words_of(&*panic)).collect();
        // The receiver is gone only if this process is ending.
        let _ = sender.send(words);
    });
    let mut exceeded = None;
    let panics = loop {
        match ends.recv_timeout(PERIOD) {
            Ok(panics) => break panics,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tell(Progress {
                    states: checker.unique_state_count(),
                    depth: checker.max_depth(),
                    took: began.elapsed(),
                });
                if exceeded.is_none() {
                    exceeded = limits.memory();
                    checker.model().given_up.fetch_or(exceeded.is_some(), Ordering::Relaxed);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break vec!["the waiter is gone".to_owned()],
        }
    };
    let _ = waiter.join();
    tell(Progress {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
    });
    let model = checker.model();
    let mut found = Exhausted {
        states: checker.unique_state_count(),
        // The first state counts as one.
        steps: checker.state_count().saturating_sub(1),
        // It counts states.
        depth: checker.max_depth().saturating_sub(1),
        broken: model.broken.all(),
        reached: model.reached.all(),
        took: began.elapsed(),
        shortfalls: panics.into_iter().map(|words| Shortfall::Panicked { words }).collect(),
    };
    if model.given_up.load(Ordering::Relaxed) {
        let why = exceeded.unwrap_or(Exceeded::States { max: limits.states_max });
        found.shortfalls.push(Shortfall::Exceeded(why));
    }
    let looked_at = usize::try_from(model.looked_at.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    if looked_at != found.states {
        found.shortfalls.push(Shortfall::NotLookedAt { looked_at, found: found.states });
    }
    if !checker.is_done() {
        found.shortfalls.push(Shortfall::NotDone);
    }
    found
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Budget;

    /// Few states, and not too few.
    fn tiny() -> Scope {
        let mut scope = crate::scopes::named("deactivate").unwrap();
        scope.budget = Budget::default();
        scope
    }

    fn limits(threads: usize) -> Limits {
        Limits::none(threads)
    }

    #[test]
    fn threads_find_the_same() {
        let [one, two] = [1, 2].map(|threads| exhaust(&tiny(), limits(threads), |_| {}));
        assert_eq!(one.shortfalls, []);
        assert_eq!(two.shortfalls, []);
        assert!(one.states > 100, "{one:?}");
        assert_eq!((one.states, one.steps, one.reached), (two.states, two.steps, two.reached));
        assert_eq!((one.broken, two.broken), (Mask::NONE, Mask::NONE));
    }

    #[test]
    fn a_search_that_is_cut_short_says_so() {
        for threads in [1, 2] {
            let limits = Limits { states_max: 50, ..limits(threads) };
            let found = exhaust(&tiny(), limits, |_| {});
            let exceeded = Shortfall::Exceeded(Exceeded::States { max: 50 });
            assert!(found.shortfalls.contains(&exceeded), "{found:?}");
        }
    }

    #[test]
    fn a_thread_that_panics_is_no_pass() {
        for threads in [1, 2] {
            let mut model = Bounded::new(&tiny(), usize::MAX);
            model.panics_at = 60;
            let found = exhaust_model(model, limits(threads), |_| {});
            let words = "as the test wants".to_owned();
            assert!(found.shortfalls.contains(&Shortfall::Panicked { words }), "{found:?}");
            let not_looked_at = |shortfall: &Shortfall| matches!(shortfall, Shortfall::NotLookedAt { .. });
            assert!(found.shortfalls.iter().any(not_looked_at), "{found:?}");
        }
    }

    /// stateright says that a run that its own limits cut short is done: this is why none of them is used, and what
    /// [`Shortfall::NotLookedAt`] would find.
    #[test]
    fn a_limit_of_stateright_s_own_would_be_found_out() {
        let scope = tiny();
        let whole = exhaust(&scope, limits(1), |_| {});
        let cut = Bounded::new(&scope, usize::MAX).checker().target_max_depth(6).spawn_dfs().join();
        assert!(cut.is_done(), "stateright has learnt to tell: look whether it can be told to stop now");
        let looked_at = cut.model().looked_at.load(Ordering::Relaxed);
        assert!((looked_at as usize) < cut.unique_state_count());
        assert!(cut.unique_state_count() < whole.states);
    }
}
