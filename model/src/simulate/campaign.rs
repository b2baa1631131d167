//! Many seeds, on all cores, and what they reached together.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::properties::{self, Kind};

use super::{Options, Run, Wrong, run};

/// When enough seeds were run.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many.
    Seeds(u64),
    /// After so long.
    For(Duration),
}

/// Seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first; the others follow.
    pub first: u64,
    /// How many.
    pub until: Until,
    /// How large their worlds are.
    pub options: Options,
    /// On how many threads.
    pub threads: usize,
    /// Ends with the first seed that reaches this `sometimes` property.
    pub wanted: Option<usize>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many were run.
    pub seeds: u64,
    /// In how many steps.
    pub steps: u64,
    /// The most steps that a calm phase took, and of which seed.
    pub calm_max: (u32, u64),
    /// By its place in the table, how many seeds reached a `sometimes` property.
    pub reached: Vec<u64>,
    /// The seeds that failed, by what was wrong.
    pub failed: BTreeMap<Wrong, Vec<u64>>,
}

impl Outcome {
    fn add(&mut self, seed: u64, run: Run) {
        self.seeds += 1;
        self.steps += u64::from(run.steps);
        self.calm_max = self.calm_max.max((run.calm_steps, seed));
        self.reached.resize(properties::ALL.len(), 0);
        for (at, reached) in self.reached.iter_mut().enumerate() {
            *reached += u64::from(run.reached.contains(at));
        }
        if let Some(failure) = run.failure {
            self.failed.entry(failure.wrong).or_default().push(seed);
        }
    }

    /// The `sometimes` properties, each with how many seeds reached it.
    pub fn coverage(&self) -> impl Iterator<Item = (&'static str, u64)> {
        properties::ALL.iter().zip(&self.reached).filter_map(|(property, seeds)| match property.kind {
            Kind::Sometimes(_) => Some((property.name, *seeds)),
            Kind::Step(_) | Kind::State(_) | Kind::Eventually(_) => None,
        })
    }
}

impl Campaign {
    /// Runs the seeds; `tell` hears how it goes, now and then.
    pub fn run(&self, tell: impl Fn(&Outcome) + Sync) -> Outcome {
        let next = AtomicU64::new(self.first);
        let over = AtomicBool::new(false);
        let outcome = Mutex::new(Outcome::default());
        let began = Instant::now();
        let work = || {
            while !over.load(Ordering::Relaxed) && self.goes_on(began, next.load(Ordering::Relaxed)) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !self.goes_on(began, seed) {
                    return;
                }
                let run = run(seed, &self.options, self.wanted);
                if run.failure.as_ref().is_some_and(|failure| matches!(failure.wrong, Wrong::Reaches(_))) {
                    over.store(true, Ordering::Relaxed);
                }
                let Ok(mut outcome) = outcome.lock() else { return };
                outcome.add(seed, run);
                tell(&outcome);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let mut outcome = outcome.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        outcome.failed.values_mut().for_each(|seeds| seeds.sort_unstable());
        outcome
    }

    fn goes_on(&self, began: Instant, seed: u64) -> bool {
        match self.until {
            Until::Seeds(count) => seed - self.first < count,
            Until::For(time) => began.elapsed() < time,
        }
    }
}
