//! Timers without a clock: which fire before which.

use neap_protocol::time::{Millis, Moment, When};

/// How long a timer takes, as far as it matters: a timer fires before those of a higher class that are set with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// As fast as a message: it may overtake one.
    Instant,
    /// Below a second: retries.
    Short,
    /// Below half a minute: graces, time-outs of answers, pings.
    Medium,
    /// Below two minutes: deadlines, health, failover.
    Long,
    /// All above.
    Endless,
}

impl Class {
    fn of(when: When) -> Self {
        // Operators' commands come at the moment 0, so that a deadline is the time that is left until it.
        let (When::After(Millis(ms)) | When::At(Moment(ms))) = when;
        match ms {
            0..=10 => Self::Instant,
            11..1_000 => Self::Short,
            1_000..30_000 => Self::Medium,
            30_000..120_000 => Self::Long,
            120_000.. => Self::Endless,
        }
    }
}

/// The timers of a node that are set, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timers<T> {
    set: Vec<(T, Class)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { set: Vec::new() }
    }
}

impl<T: Copy + Ord> Timers<T> {
    pub(super) fn set(&mut self, timer: T, when: When) {
        let class = Class::of(when);
        match self.set.binary_search_by_key(&timer, |(set, _)| *set) {
            Ok(at) => self.set[at].1 = class,
            Err(at) => self.set.insert(at, (timer, class)),
        }
    }

    pub(super) fn shorten(&mut self, timer: T, when: When) {
        let sooner = self.set.iter().all(|(set, class)| *set != timer || Class::of(when) < *class);
        if sooner {
            self.set(timer, when);
        }
    }

    pub(super) fn cancel(&mut self, timer: T) {
        self.set.retain(|(set, _)| *set != timer);
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// The timers that are set.
    pub fn iter(&self) -> impl Iterator<Item = (T, Class)> {
        self.set.iter().copied()
    }
}
