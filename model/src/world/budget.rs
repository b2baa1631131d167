//! What may go wrong, or be wanted, how often: nondeterminism is bounded by counting, never by leaving a case out.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::track::{self, NOWHERE, Place};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Event {
    /// A session dies by itself.
    Cut,
    /// A master crashes.
    MasterCrash,
    /// A slave crashes; its executors live on.
    SlaveCrash,
    /// A framework crashes.
    FrameworkCrash,
    /// A master is elected while another leads.
    Election,
    /// A write fails.
    FullDisk,
    /// SIGUSR1 to a slave.
    Signal,
    /// A slave that has exited is started again.
    Return,
    /// A scheduler launches a task.
    Launch,
    /// A scheduler kills a task.
    Kill,
    /// A scheduler declines an offer.
    Decline,
    /// A scheduler tears its framework down.
    Teardown,
    /// A task's process ends by itself.
    Finish,
    /// An executor's first process dies.
    ExecutorCrash,
    /// An executor cannot be launched.
    NoLaunch,
    /// A timer fires before something that should have been faster.
    Skew,
}

const EVENTS: usize = Event::Skew as usize + 1;

/// How many of each event are left.
#[derive(Clone, Copy)]
pub struct Budget {
    left: [u8; EVENTS],
    /// Where in a packed state it came from. To spend is not to look: the outcome of a step is the same whatever is
    /// left, as long as nobody asks.
    place: Place,
}

impl Budget {
    /// So many of these, and none of the others.
    pub const fn of(events: &[(Event, u8)]) -> Self {
        let mut budget = [0; EVENTS];
        let mut at = 0;
        while at < events.len() {
            budget[events[at].0 as usize] = events[at].1;
            at += 1;
        }
        Self { left: budget, place: NOWHERE }
    }

    /// Whether one is left.
    pub fn has(&self, event: Event) -> bool {
        self.look()[event as usize] > 0
    }

    /// The same with none left.
    pub fn none(&self) -> Self {
        Self::default()
    }

    fn look(&self) -> &[u8; EVENTS] {
        track::read(self.place);
        &self.left
    }

    /// The same, at a place of a packed state.
    pub(crate) fn placed(self, place: Place) -> Self {
        Self { place, ..self }
    }

    pub(crate) fn place(self) -> Place {
        self.place
    }

    pub(crate) fn spend(&mut self, event: Event) {
        self.left[event as usize] = self.left[event as usize].saturating_sub(1);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        self.look() == other.look()
    }
}

impl Eq for Budget {}

impl Hash for Budget {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.look().hash(state);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(self.look()).finish()
    }
}
