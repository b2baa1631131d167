//! How fast and how small a search is: `cargo bench -p neap-model --bench speed [SCOPE]`.
//!
//! Searches the middle scope, then, in the same minute, what everybody measures checkers by: two-phase commit with
//! eight resource managers, by stateright. States in a second and bytes a state stand beside each other; the figures
//! are kept in docs/checking.md.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use neap_model::limits::Limits;
use neap_model::{scopes, search};
use stateright::{Checker, Model, Property};

/// One slave, one framework, a drain with every answer, a kill and a cut.
const MIDDLE: &str = "drain-everything";

const MANAGERS: usize = 8;

/// As TLC, Spin and Rumur count them too.
const COMMIT_STATES: usize = 1_745_408;

fn main() {
    let named = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let name = named.as_deref().unwrap_or(MIDDLE);
    let Some(scope) = scopes::named(name) else {
        eprintln!("there is no scope {name}");
        std::process::exit(1);
    };
    for threads in [1, 2] {
        let before = memory();
        let began = Instant::now();
        let found = search::search(&scope, Limits::none(threads), |_| {});
        let speed = Speed::of(format!("{name}, breadth first"), threads, found.states, began.elapsed());
        let peak = memory().peak.saturating_sub(before.now);
        println!(
            "{speed}  {} steps, {:.1} bytes a state; {:.1} of the process at its peak; {} parts, {} worked out",
            found.steps,
            found.bytes as f64 / found.states as f64,
            peak as f64 / found.states as f64,
            found.parts,
            found.worked_out,
        );
        assert!(found.exceeded.is_none() && found.broken.is_empty(), "{name} does not hold");
    }
    for threads in [1, 2] {
        let began = Instant::now();
        let checker = TwoPhase.checker().threads(threads).spawn_dfs().join();
        assert_eq!(checker.unique_state_count(), COMMIT_STATES);
        let what = format!("2pc N={MANAGERS}, stateright");
        println!("{}", Speed::of(what, threads, COMMIT_STATES, began.elapsed()));
    }
}

struct Speed {
    what: String,
    threads: usize,
    states: usize,
    took: Duration,
}

impl Speed {
    fn of(what: String, threads: usize, states: usize, took: Duration) -> Self {
        Self { what, threads, states, took }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, threads, states, took } = self;
        let seconds = took.as_secs_f64();
        let rate = *states as f64 / seconds;
        write!(f, "{what:22} {threads} thread(s) {states:>9} states {seconds:6.2} s {rate:>9.0}/s")
    }
}

/// What this process has of memory.
struct Memory {
    now: usize,
    peak: usize,
}

/// As Linux tells; 0 elsewhere.
fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).unwrap_or(0)
    };
    // From here on the peak is that of what follows.
    let memory = Memory { now: kib("VmRSS") << 10, peak: kib("VmHWM") << 10 };
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    memory
}

/// Two-phase commit after Gray and Lamport, "Consensus on Transaction Commit", with the state in collections.
struct TwoPhase;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Commit {
    managers: Vec<Manager>,
    coordinator: Coordinator,
    prepared: Vec<bool>,
    said: BTreeSet<Word>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Manager {
    Working,
    Prepared,
    Committed,
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Coordinator {
    Waiting,
    Committed,
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Word {
    Prepared(usize),
    Commit,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    Hear(usize),
    Commit,
    Abort,
    Prepare(usize),
    GiveUp(usize),
    HearCommit(usize),
    HearAbort(usize),
}

impl Model for TwoPhase {
    type State = Commit;
    type Action = Act;

    fn init_states(&self) -> Vec<Commit> {
        vec![Commit {
            managers: vec![Manager::Working; MANAGERS],
            coordinator: Coordinator::Waiting,
            prepared: vec![false; MANAGERS],
            said: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &Commit, acts: &mut Vec<Act>) {
        let waiting = state.coordinator == Coordinator::Waiting;
        if waiting && state.prepared.iter().all(|prepared| *prepared) {
            acts.push(Act::Commit);
        }
        if waiting {
            acts.push(Act::Abort);
        }
        for (number, manager) in state.managers.iter().enumerate() {
            if waiting && state.said.contains(&Word::Prepared(number)) {
                acts.push(Act::Hear(number));
            }
            if *manager == Manager::Working {
                acts.extend([Act::Prepare(number), Act::GiveUp(number)]);
            }
            if state.said.contains(&Word::Commit) {
                acts.push(Act::HearCommit(number));
            }
            if state.said.contains(&Word::Abort) {
                acts.push(Act::HearAbort(number));
            }
        }
    }

    fn next_state(&self, state: &Commit, act: Act) -> Option<Commit> {
        let mut after = state.clone();
        match act {
            Act::Hear(number) => after.prepared[number] = true,
            Act::Commit => {
                after.coordinator = Coordinator::Committed;
                after.said.insert(Word::Commit);
            }
            Act::Abort => {
                after.coordinator = Coordinator::Aborted;
                after.said.insert(Word::Abort);
            }
            Act::Prepare(number) => {
                after.managers[number] = Manager::Prepared;
                after.said.insert(Word::Prepared(number));
            }
            Act::GiveUp(number) | Act::HearAbort(number) => after.managers[number] = Manager::Aborted,
            Act::HearCommit(number) => after.managers[number] = Manager::Committed,
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("consistent", |_, state: &Commit| {
                !(state.managers.contains(&Manager::Committed) && state.managers.contains(&Manager::Aborted))
            }),
            Property::sometimes("all commit", |_, state: &Commit| {
                state.managers.iter().all(|manager| *manager == Manager::Committed)
            }),
            Property::sometimes("all abort", |_, state: &Commit| {
                state.managers.iter().all(|manager| *manager == Manager::Aborted)
            }),
        ]
    }
}
