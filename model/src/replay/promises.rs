//! What a driver promises its machine, held against one run: timers, sessions, and errands.
//!
//! | | promised |
//! |---|---|
//! | timers | one that was cancelled or replaced never fires, none fires early, none is forgotten |
//! | sessions | opened once, heard of while open, closed once; as `Close` says, nothing comes after it |
//! | errands | what was asked for is answered at most once, and nothing is answered that was not asked for |

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::SessionId;
use neap_protocol::time::{Millis, Moment, When};

use super::talk::{Answer, Errand, News, Setting, Talk};

/// How late a timer may fire: what a host that is out of breath needs.
const LATE_MAX: Millis = Millis::from_secs(60);

/// How much earlier than at its moment a timer may seem to fire: both clocks are cut to milliseconds.
const MOMENT_SLACK: u64 = 2;

/// What is wrong, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which promise.
    pub promise: &'static str,
    /// What is wrong.
    pub what: String,
}

/// The promise about timers.
pub const TIMERS: &str = "driver: timers";
/// The promise about sessions.
pub const SESSIONS: &str = "driver: sessions";
/// The promise about errands.
pub const ERRANDS: &str = "driver: errands";

/// How often each promise was held against something, so that a pass is not vacuous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Timers that fired.
    pub timers: u64,
    /// News of sessions.
    pub sessions: u64,
    /// Answers to errands.
    pub errands: u64,
}

/// When a timer may fire, in milliseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    earliest: u64,
    latest: u64,
}

/// What one run's driver owes its machine.
#[derive(Clone, Debug)]
pub struct Promises<M: Talk> {
    began: Moment,
    timers: BTreeMap<M::Timer, Due>,
    open: BTreeSet<SessionId>,
    closing: BTreeSet<SessionId>,
    errands: BTreeMap<Errand, u32>,
    now: Millis,
    /// What was held against them.
    pub looked: Looked,
}

impl<M: Talk> Promises<M> {
    /// Of a run that began then.
    pub fn new(began: Moment) -> Self {
        // Asked for by nobody, and done once.
        let errands = BTreeMap::from([(Errand::Begin, 1)]);
        Self {
            began,
            timers: BTreeMap::new(),
            open: BTreeSet::new(),
            closing: BTreeSet::new(),
            errands,
            now: Millis(0),
            looked: Looked::default(),
        }
    }

    /// Looks at an input, before the machine takes it.
    pub fn input(&mut self, at: Millis, input: &M::Input, broken: &mut Vec<Broken>) {
        self.now = at;
        if let Some(timer) = M::fired(input) {
            self.looked.timers += 1;
            push(broken, TIMERS, self.fired(timer));
        }
        if let Some(news) = M::news(input) {
            self.looked.sessions += 1;
            push(broken, SESSIONS, self.heard(&news));
        }
        for errand in M::found(input) {
            *self.errands.entry(errand).or_default() += 1;
        }
        if let Some(answer) = M::answer(input) {
            self.looked.errands += 1;
            push(broken, ERRANDS, self.answered(answer));
        }
    }

    /// Looks at what the machine asked for.
    pub fn effects(&mut self, effects: &[M::Effect], broken: &mut Vec<Broken>) {
        for effect in effects {
            if let Some(setting) = M::setting(effect) {
                push(broken, TIMERS, self.set(setting));
            }
            let closed = M::closed(effect).filter(|session| self.open.remove(session));
            self.closing.extend(closed.filter(|_| M::HEARS_OWN_CLOSE));
            if let Some(errand) = M::errand(effect) {
                *self.errands.entry(errand).or_default() += 1;
            }
        }
    }

    /// Looks at what is left when the run is over.
    pub fn end(&self, broken: &mut Vec<Broken>) {
        for (timer, due) in &self.timers {
            push(broken, TIMERS, self.in_time(*timer, *due));
        }
    }

    /// Whether a session is open, as far as the machine was told and has not closed it.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.open.contains(&session)
    }

    fn fired(&mut self, timer: M::Timer) -> Result<(), String> {
        let due = self.timers.remove(&timer);
        let due =
            due.ok_or_else(|| format!("{timer:?} fires, and it is not set: it was cancelled, or never was"))?;
        if self.now.0 < due.earliest {
            let early = Millis(due.earliest - self.now.0);
            return Err(format!("{timer:?} fires {early} early, unless somebody set the clock"));
        }
        self.in_time(timer, due)
    }

    fn in_time(&self, timer: M::Timer, due: Due) -> Result<(), String> {
        match self.now.0.saturating_sub(due.latest) {
            late if late > LATE_MAX.0 => Err(format!("{timer:?} should have fired {} ago", Millis(late))),
            _in_time => Ok(()),
        }
    }

    fn set(&mut self, setting: Setting<M::Timer>) -> Result<(), String> {
        let (timer, due) = match setting {
            Setting::Set(timer, when) => (timer, Some(self.due(timer, when))),
            Setting::Shortened(timer, when) => {
                let due = self.due(timer, when);
                let sooner = |old: &Due| old.earliest <= due.earliest;
                (timer, Some(self.timers.get(&timer).copied().filter(sooner).unwrap_or(due)))
            }
            Setting::Cancelled(timer) => (timer, None),
        };
        let old = match due {
            Some(due) => self.timers.insert(timer, due),
            None => self.timers.remove(&timer),
        };
        old.map_or(Ok(()), |old| self.in_time(timer, old))
    }

    fn due(&self, timer: M::Timer, when: When) -> Due {
        match when {
            When::After(span) if M::is_jittered(timer) => Due {
                earliest: self.now.0.saturating_add(span.0 / 2),
                latest: self.now.0.saturating_add(span.0).saturating_add(span.0 / 2),
            },
            When::After(span) => {
                let at = self.now.0.saturating_add(span.0);
                Due { earliest: at, latest: at }
            }
            When::At(moment) => {
                let at = moment.0.saturating_sub(self.began.0);
                Due { earliest: at.saturating_sub(MOMENT_SLACK), latest: at.max(self.now.0) }
            }
        }
    }

    fn heard(&mut self, news: &News) -> Result<(), String> {
        match news {
            News::Opened(session) => match self.closing.contains(session) || !self.open.insert(*session) {
                true => Err(format!("{session} is opened, and it is open already")),
                false => Ok(()),
            },
            News::Closed(session) => match self.open.remove(session) || self.closing.remove(session) {
                true => Ok(()),
                false => Err(format!("{session} ends, and it is not open")),
            },
            News::Heard(session, _) => match self.open.contains(session) || self.closing.contains(session) {
                true => Ok(()),
                false => Err(format!("something is heard on {session}, which is not open")),
            },
        }
    }

    fn answered(&mut self, answer: Answer) -> Result<(), String> {
        let (Answer::Done(errand)
        | Answer::Failed(errand)
        | Answer::FailedFrom(errand)
        | Answer::Meanwhile(errand)) = answer;
        if !self.errands.contains_key(&errand) {
            return Err(format!("{answer:?} is told, and it was not asked for, or was told before"));
        }
        match (answer, errand) {
            (Answer::Meanwhile(_), _) => {}
            (Answer::Done(_), Errand::Write(epoch, seq)) => {
                let covered =
                    |other: &Errand| matches!(other, Errand::Write(e, s) if *e == epoch && *s <= seq);
                self.errands.retain(|other, _| !covered(other));
            }
            (Answer::FailedFrom(_), Errand::Write(epoch, seq)) => {
                let covered =
                    |other: &Errand| matches!(other, Errand::Write(e, s) if *e == epoch && *s >= seq);
                self.errands.retain(|other, _| !covered(other));
            }
            (Answer::Done(_) | Answer::Failed(_) | Answer::FailedFrom(_), _) => {
                let count = self.errands.entry(errand).or_default();
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.errands.remove(&errand);
                }
            }
        }
        Ok(())
    }
}

fn push(broken: &mut Vec<Broken>, promise: &'static str, outcome: Result<(), String>) {
    if let Err(what) = outcome {
        broken.push(Broken { promise, what });
    }
}
