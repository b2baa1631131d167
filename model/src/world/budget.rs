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
    /// The machine of a slave that is down is started anew.
    Reboot,
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
    /// A framework that is over is started as a new one.
    NewFramework,
    /// A scheduler launches a task.
    Launch,
    /// A scheduler kills a task.
    Kill,
    /// A scheduler declines an offer.
    Decline,
    /// A scheduler wants no more offers.
    Suppress,
    /// It wants them again.
    Revive,
    /// A scheduler tears its framework down.
    Teardown,
    /// A task's process ends by itself.
    Finish,
    /// A task's process that was asked to end exits with code 0.
    Obey,
    /// An executor's first process dies.
    ExecutorCrash,
    /// An executor cannot be launched.
    NoLaunch,
    /// An offer times out. It is counted as it may happen again and again, to ever new offers.
    OfferTimeout,
    /// A timer fires before something that should have been faster.
    Skew,
    /// A slave is stopped, and keeps its sessions.
    Stall,
}

const EVENTS: usize = Event::Stall as usize + 1;

impl Event {
    /// Every event, in order.
    pub const ALL: [Self; EVENTS] = {
        let mut all = [Self::Cut; EVENTS];
        let mut at = 0;
        while at < EVENTS {
            assert!(NAMES[at].0 as usize == at, "the names are in order");
            all[at] = NAMES[at].0;
            at += 1;
        }
        all
    };
}

/// Every event, in order, and what people call one of it.
const NAMES: [(Event, &str); EVENTS] = [
    (Event::Cut, "cut"),
    (Event::MasterCrash, "master crash"),
    (Event::SlaveCrash, "slave crash"),
    (Event::Reboot, "reboot"),
    (Event::FrameworkCrash, "framework crash"),
    (Event::Election, "election"),
    (Event::FullDisk, "full disk"),
    (Event::Signal, "SIGUSR1"),
    (Event::Return, "return"),
    (Event::NewFramework, "new framework"),
    (Event::Launch, "launch"),
    (Event::Kill, "kill"),
    (Event::Decline, "decline"),
    (Event::Suppress, "suppression"),
    (Event::Revive, "revival"),
    (Event::Teardown, "teardown"),
    (Event::Finish, "finish"),
    (Event::Obey, "exit on SIGTERM"),
    (Event::ExecutorCrash, "executor crash"),
    (Event::NoLaunch, "failed launch"),
    (Event::OfferTimeout, "offer time-out"),
    (Event::Skew, "skew"),
    (Event::Stall, "stall"),
];

/// How many of each event are left.
#[derive(Clone, Copy)]
pub struct Budget {
    left: [u8; EVENTS],
    /// Where in a packed state it came from. To spend is not to look: the outcome of a step is the same whatever is
    /// left, as long as nobody asks.
    place: Place,
}

impl Budget {
    /// As many of an event as there may be: what it leads to must be finite by itself.
    pub const ANY: u8 = u8::MAX;

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

    /// How many are left.
    pub fn left(&self, event: Event) -> u8 {
        self.look()[event as usize]
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
        let left = &mut self.left[event as usize];
        if *left != Self::ANY {
            *left = left.saturating_sub(1);
        }
    }
}

impl fmt::Display for Budget {
    /// What is left, each kind with its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = NAMES.iter().filter(|(event, _)| self.has(*event));
        let mut between = "";
        for (event, name) in left {
            write!(f, "{between}{} \u{d7} {name}", self.left(*event))?;
            between = ", ";
        }
        match between.is_empty() {
            true => f.write_str("nothing"),
            false => Ok(()),
        }
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
