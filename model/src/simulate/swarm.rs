//! How likely everything is, drawn anew for each seed: a world in which everything is as likely as everything else
//! hardly gets anywhere, and always to the same places.

use neap_protocol::{framework, master, slave};

use crate::scope::Scope;
use crate::world::{Action, Dialer, Event, LinkKey};

use super::random::{Random, Stream};

/// Out of how many steps rates are.
const RATE_OF: usize = 1_000_000;

/// The most of all steps that are something that goes wrong, or is wanted.
const RATE_MAX: usize = 600_000;

/// What is likely in a seed's world.
#[derive(Clone, Debug)]
pub(super) struct Swarm {
    /// How often each kind of event comes, of [`RATE_OF`] steps.
    rates: [usize; WANTED],
    /// How likely each kind of what happens by itself is against the others.
    weights: [usize; CALM],
    /// How much more often things go wrong in a storm, and of how many steps one is a storm.
    storm: (usize, u32),
    /// Which sessions are slow, by a bit of a hash of their names.
    slow: Option<u8>,
}

impl Swarm {
    pub(super) fn draw(seed: u64, scope: &Scope, steps: u32) -> Self {
        let random = &mut Random::new(seed, Stream::Swarm);
        let steps = usize::try_from(steps.max(1)).unwrap_or(usize::MAX);
        let mut rates = [0; WANTED];
        for event in Event::ALL {
            // As often as is allowed, or up to four times as often: then it comes early, and no more later.
            let often = usize::from(scope.budget.left(event)) * random.pick(&[1, 1, 2, 4]);
            rates[event as usize] = (often * RATE_OF / steps).min(RATE_OF / 10);
        }
        rates[COMMAND] = (scope.commands.len() * random.pick(&[1, 2, 4]) * RATE_OF / steps).min(RATE_OF / 10);
        rates[NO_CONNECTION] = RATE_OF / 100;
        rates[ANSWER] = random.pick(&[0, 1, 5, 20]) * RATE_OF / 1000;
        let all: usize = rates.iter().sum();
        if all > RATE_MAX {
            rates.iter_mut().for_each(|rate| *rate = *rate * RATE_MAX / all);
        }
        let weights = USUAL.map(|usual| usual << random.below(5));
        let storm = (random.pick(&[1, 1, 5, 20]), random.pick(&[4, 8]));
        let slow = random.percent(30).then(|| random.between(0, 7));
        Self { rates, weights, storm, slow }
    }

    /// One of these actions.
    pub(super) fn choose(&self, random: &mut Random, step: u32, of: &[Action]) -> Option<Action> {
        let (more, one_of) = self.storm;
        let more = if (step / 64).is_multiple_of(one_of) { more } else { 1 };
        let mut at = random.below(RATE_OF);
        for (kind, rate) in self.rates.iter().enumerate() {
            match at.checked_sub(rate * more) {
                Some(rest) => at = rest,
                None => {
                    let chosen = one(random, of, |action| wanted(action) == Some(kind));
                    if chosen.is_some() {
                        return chosen;
                    }
                    break;
                }
            }
        }
        // Where only time passes, or nothing at all does, it is for someone to want something.
        let passes = |action: &Action| action.is_calm() && comes_again(action);
        let moves = of.iter().any(|action| action.is_calm() && !comes_again(action));
        if !moves && (!of.iter().any(passes) || random.percent(70)) {
            let chosen = self.wanted(random, of);
            if chosen.is_some() {
                return chosen;
            }
        }
        let chosen = self.by_itself(random, of);
        match (&chosen, self.slow) {
            (Some(Action::Deliver(key, _)), Some(slow)) if is_slow(*key, slow) && random.percent(90) => {
                self.by_itself(random, of)
            }
            _ => chosen,
        }
    }

    /// One of those that go wrong or are wanted.
    fn wanted(&self, random: &mut Random, of: &[Action]) -> Option<Action> {
        let rates = self.rates.iter().enumerate();
        let there = rates.filter(|(kind, _)| of.iter().any(|action| wanted(action) == Some(*kind)));
        let kind = weighted(random, there)?;
        one(random, of, |action| wanted(action) == Some(kind))
    }

    /// One of those that happen by themselves: first of which kind, then which.
    pub(super) fn by_itself(&self, random: &mut Random, of: &[Action]) -> Option<Action> {
        let mut there = [false; CALM];
        of.iter().filter(|action| action.is_calm()).for_each(|action| there[calm(action)] = true);
        let kinds = self.weights.iter().enumerate().filter(|(kind, _)| there[*kind]);
        let kind = weighted(random, kinds)?;
        one(random, of, |action| action.is_calm() && calm(action) == kind)
    }

    /// What is likely when nothing but time passes: everything alike.
    pub(super) fn even() -> Self {
        Self { rates: [0; WANTED], weights: USUAL, storm: (1, 1), slow: None }
    }
}

/// One of these kinds, as likely as it weighs.
fn weighted<'a>(random: &mut Random, of: impl Iterator<Item = (usize, &'a usize)> + Clone) -> Option<usize> {
    let mut at = random.below(of.clone().map(|(_, weight)| weight).sum());
    for (kind, weight) in of {
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => return Some(kind),
        }
    }
    None
}

fn one(random: &mut Random, of: &[Action], is: impl Fn(&Action) -> bool) -> Option<Action> {
    let count = of.iter().filter(|action| is(action)).count();
    let which = random.below(count);
    of.iter().filter(|action| is(action)).nth(which).copied()
}

/// A quarter of all who dial, and of everyone's executors.
fn is_slow((dialer, _): LinkKey, slow: u8) -> bool {
    let number = match dialer {
        Dialer::Slave(number) => u32::from(number),
        Dialer::Framework(number) => u32::from(number) + 1,
        Dialer::Executor(slave, id) => u32::from(slave) + id.number + 2,
    };
    (number + u32::from(slow)).is_multiple_of(4)
}

const COMMAND: usize = Event::ALL.len();
const ANSWER: usize = Event::ALL.len() + 1;
const NO_CONNECTION: usize = Event::ALL.len() + 2;
const WANTED: usize = Event::ALL.len() + 3;

/// Which kind an action is of those that go wrong or are wanted.
fn wanted(action: &Action) -> Option<usize> {
    if let Some(event) = action.event() {
        return Some(event as usize);
    }
    if matches!(action, Action::AcceptInverse(..) | Action::DeclineInverse(..)) {
        return Some(ANSWER);
    }
    if matches!(action, Action::NoConnection(_)) {
        return Some(NO_CONNECTION);
    }
    matches!(action, Action::Command(_)).then_some(COMMAND)
}

/// Whether it is a timer that comes again and again by itself.
fn comes_again(action: &Action) -> bool {
    matches!(
        action,
        Action::MasterTimer(_, master::Timer::Ping(_), _)
            | Action::SlaveTimer(_, slave::Timer::Reconnect, _)
            | Action::FrameworkTimer(_, framework::Timer::Connect, _)
    )
}

/// How many kinds there are of what happens by itself.
const CALM: usize = 14;

/// How likely they are usually: what is fast comes before what is slow.
const USUAL: [usize; CALM] = [8, 8, 8, 1, 16, 1, 4, 8, 8, 4, 4, 4, 8, 8];

/// Which of those an action is.
fn calm(action: &Action) -> usize {
    match action {
        Action::Deliver(..) => 0,
        Action::Learn(..) => 1,
        Action::Connect(..) => 2,
        Action::MasterTimer(_, master::Timer::Ping(_), _) => 3,
        Action::SlaveTimer(_, slave::Timer::Reconnect, _)
        | Action::FrameworkTimer(_, framework::Timer::Connect, _) => 4,
        Action::MasterTimer(_, master::Timer::Failover(_) | master::Timer::Reregister(_), _) => 5,
        Action::MasterTimer(..)
        | Action::SlaveTimer(..)
        | Action::FrameworkTimer(..)
        | Action::ExecutorTimer(..) => 6,
        Action::MasterStored(_) | Action::MasterNotStored(_) => 7,
        Action::SlaveStored(_) | Action::SlaveNotStored(_) | Action::FrameworkKept(_) => 8,
        Action::StartMaster(_) | Action::Elect(_) | Action::Depose(_) => 9,
        Action::StartSlave(_) | Action::GoOn(_) => 10,
        Action::StartFramework(_) => 11,
        Action::StartTree(..) => 12,
        Action::Die(..)
        | Action::Obey(..)
        | Action::TreeDies(..)
        | Action::See(..)
        | Action::Cut(_)
        | Action::NoConnection(_)
        | Action::CrashMaster(..)
        | Action::Usurp(_)
        | Action::CrashSlave(..)
        | Action::Reboot(_)
        | Action::Return(_)
        | Action::Stall(_)
        | Action::CrashFramework(..)
        | Action::NewFramework(_)
        | Action::Suppress(_)
        | Action::Revive(_)
        | Action::Launch(..)
        | Action::Decline(..)
        | Action::Kill(..)
        | Action::AcceptInverse(..)
        | Action::DeclineInverse(..)
        | Action::Teardown(_)
        | Action::NoLaunch(..)
        | Action::Finish(..)
        | Action::CrashExecutor(..)
        | Action::Command(_)
        | Action::Signal(_) => 13,
    }
}
