//! What every driver of a machine needs: the clock, and timers by name.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use neap_protocol::time::{Millis, Moment, When};

/// The farthest that a timer is set ahead. One that is due later is due then: machines set it again.
const AHEAD_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// The wall clock, in whole milliseconds; a fraction is cut off, so that nothing timed by it comes too early.
pub fn now() -> Moment {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The same span, give or take a half of it, at random: so that those who lost one master together do not come back
/// to it together. Moments stay as they are.
pub fn jittered(when: When) -> When {
    // Each one is keyed anew by the system.
    let random = RandomState::new().hash_one(());
    match when {
        When::After(span) => When::After(Millis(span.0 / 2).plus(Millis(random % span.0.saturating_add(1)))),
        When::At(moment) => When::At(moment),
    }
}

/// Timers by name: at most one of each name, and one that was cancelled or replaced never fires. Setting,
/// cancelling and firing take a time that grows with the logarithm of their number.
#[derive(Clone, Debug)]
pub struct Timers<T> {
    /// By when they fire; the count keeps those of one instant in the order in which they were set.
    due: BTreeMap<(Instant, u64), T>,
    named: BTreeMap<T, (Instant, u64)>,
    count: u64,
}

impl<T: Clone + Ord> Timers<T> {
    /// None.
    pub const fn new() -> Self {
        Self { due: BTreeMap::new(), named: BTreeMap::new(), count: 0 }
    }

    /// Sets `timer`, in place of one of that name. A moment of the wall clock is reckoned into a span now: a clock
    /// that is set later does not move it.
    pub fn set(&mut self, timer: T, when: When) {
        let ahead = match when {
            When::After(span) => span.0,
            When::At(moment) => moment.0.saturating_sub(now().0),
        };
        self.set_at(timer, Instant::now() + Duration::from_millis(ahead).min(AHEAD_MAX));
    }

    /// Sets `timer`, unless it is set already and fires sooner.
    pub fn shorten(&mut self, timer: T, when: When) {
        let earlier = self.named.get(&timer).map(|(at, _)| *at);
        self.set(timer.clone(), when);
        let now = self.named.get(&timer).map(|(at, _)| *at);
        if let Some(earlier) = earlier.filter(|earlier| now > Some(*earlier)) {
            self.set_at(timer, earlier);
        }
    }

    /// The same for an instant.
    pub fn set_at(&mut self, timer: T, at: Instant) {
        self.cancel(&timer);
        self.count += 1;
        let key = (at, self.count);
        self.due.insert(key, timer.clone());
        self.named.insert(timer, key);
    }

    /// Cancels `timer`, if it is set.
    pub fn cancel(&mut self, timer: &T) {
        if let Some(key) = self.named.remove(timer) {
            self.due.remove(&key);
        }
    }

    /// When the next one fires.
    pub fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next timer whose time has come by `now`. Take one, do what follows, and take the next: what follows
    /// may cancel it.
    pub fn fire(&mut self, now: Instant) -> Option<T> {
        let first = self.due.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let timer = first.remove();
        self.named.remove(&timer);
        Some(timer)
    }

    /// Waits until a timer's time has come; for ever where none is set. Cancelling the future loses nothing.
    pub async fn wait(&self) {
        match self.next() {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

impl<T: Clone + Ord> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_none_that_was_cancelled() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        for (name, ms) in [("c", 30), ("a", 10), ("b", 10), ("gone", 5), ("a", 40)] {
            timers.set_at(name, at(ms));
        }
        timers.cancel(&"gone");
        timers.cancel(&"never set");
        assert_eq!((timers.next(), timers.len()), (Some(at(10)), 3));
        assert_eq!(timers.fire(at(9)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.fire(at(30))).collect();
        assert_eq!(fired, ["b", "c"]);
        timers.cancel(&"a");
        assert_eq!((timers.fire(at(100)), timers.is_empty()), (None, true));
    }

    #[test]
    fn a_moment_that_has_passed_is_due_and_the_farthest_is_not() {
        let mut timers = Timers::new();
        timers.set("past", When::At(Moment(1)));
        timers.set("far", When::At(Moment(u64::MAX)));
        timers.set("farther", When::After(Millis(u64::MAX)));
        assert_eq!(timers.fire(Instant::now()), Some("past"));
        assert_eq!(timers.fire(Instant::now()), None);
        assert_eq!(timers.len(), 2);
    }

    #[test]
    fn a_timer_is_shortened_and_never_lengthened() {
        let mut timers = Timers::new();
        timers.shorten("a", When::After(Millis(60_000)));
        let first = timers.next().unwrap();
        timers.shorten("a", When::After(Millis(90_000)));
        assert_eq!((timers.next(), timers.len()), (Some(first), 1));
        timers.shorten("a", When::After(Millis(10)));
        assert!(timers.next().unwrap() < first);
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn jitter_spreads_a_delay_by_a_half_and_leaves_moments_alone() {
        let many = (0..1000).map(|_| match jittered(When::After(Millis(1000))) {
            When::After(span) => span.0,
            When::At(moment) => panic!("a delay became {moment:?}"),
        });
        let many: Vec<u64> = many.collect();
        assert!(many.iter().all(|span| (500..=1500).contains(span)), "{many:?}");
        let (early, late) =
            (many.iter().filter(|span| **span < 750), many.iter().filter(|span| **span > 1250));
        assert!(early.count() > 100 && late.count() > 100, "they come together: {many:?}");
        assert_eq!(jittered(When::After(Millis(0))), When::After(Millis(0)));
        let long = jittered(When::After(Millis(u64::MAX)));
        assert!(long >= When::After(Millis(u64::MAX / 2)), "{long:?}");
        assert_eq!(jittered(When::At(Moment(7))), When::At(Moment(7)));
    }

    #[test]
    fn a_moment_is_never_reached_early() {
        let mut timers = Timers::new();
        let begin = Instant::now();
        timers.set((), When::At(now().after(Millis(250))));
        let at = timers.next().expect("it is set");
        // The clock's fraction of a millisecond is cut from the clock, never from the wait.
        assert!(
            at >= begin + Duration::from_millis(250),
            "early by {:?}",
            begin + Duration::from_millis(250) - at
        );
        assert!(at <= Instant::now() + Duration::from_millis(250));
    }
}
