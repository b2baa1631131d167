//! Replay: what real nodes recorded ([`neap_protocol::journal`]), through the same machines once more.
//!
//! | module | what |
//! |---|---|
//! | [`tape`] | a file, and the runs in it |
//! | [`player`] | one run: the same inputs must have the same effects |
//! | [`promises`] | what a driver owes its machine, held against one run |
//! | [`wire`] | what was received must have been sent, in order, once |
//! | [`truth`] | what was true in the cluster, as all journals together show it |
//! | [`checks`] | the invariants, one file each, held against the truth |
//! | [`debugger`] | back and forth through the steps |
//!
//! **The order of steps** of several nodes is one that could have been: the steps of a node in the order in which it
//! took them, and what was received after it was sent. Both ends of a session call it by one name, and what was
//! received on it, as the n-th message, is what was sent as the n-th. Among the steps that could come next, the one
//! that came first by its node's clock comes first; so clocks that differ may make a story odd, but not impossible.
//! Where only some of a cluster's nodes were recorded, less can be held against the rest, and the report says how
//! much.

pub mod checks;
pub mod debugger;
pub mod player;
pub mod promises;
mod talk;
pub mod tape;
pub mod truth;
pub mod wire;

use std::collections::BTreeMap;

use neap_protocol::journal::{End, Flaw, LinkId};
use neap_protocol::time::Moment;
use neap_protocol::transport::Role;

use checks::{Check, Look, Watch};
use player::{AnyPlayed, AnyPlayer, NO_PANIC, SAME_EFFECTS};
use promises::{ERRANDS, Looked, SESSIONS, TIMERS};
use tape::{AnyRun, Tape};
use truth::Truth;
use wire::{TRANSPORT, Wire};

/// A node, with all the runs that any file has of it.
#[derive(Clone, Debug)]
pub struct Node {
    /// What people call it.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its runs, oldest first.
    pub runs: Vec<AnyRun>,
}

/// One input of one node.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place in the order of all, from 1.
    pub number: usize,
    /// Whose, by its place in [`Replay::nodes`].
    pub node: usize,
    /// Which run of it, from 0.
    pub run: usize,
    /// Whether its node was just started.
    pub begins_run: bool,
    /// Whether its journal breaks off here: what its node did next is not known.
    pub breaks_off: bool,
    /// What happened.
    pub played: AnyPlayed,
}

/// Something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What does not hold.
    pub check: &'static str,
    /// At which step.
    pub step: usize,
    /// When.
    pub at: Moment,
    /// With whom.
    pub node: String,
    /// What is wrong.
    pub what: String,
}

/// What a check was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub check: &'static str,
    /// The requirements that it guards.
    pub guards: &'static str,
    /// How many occasions there were to break it.
    pub looked: u64,
    /// How often it was broken.
    pub broken: usize,
}

/// What a replay found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many inputs were played.
    pub steps: usize,
    /// Each check.
    pub verdicts: Vec<Verdict>,
    /// What is wrong, in the order of the steps.
    pub findings: Vec<Finding>,
    /// What was received on sessions, as far as it could be compared.
    pub wire: wire::Count,
    /// What people should know, and is nobody's fault: runs that were cut short, files that are torn.
    pub notes: Vec<String>,
}

/// Journals, to be played.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Every node.
    pub nodes: Vec<Node>,
    notes: Vec<String>,
    /// Files that are damaged.
    damaged: Vec<(String, String)>,
}

impl Replay {
    /// Of these files. A node whose runs are in several files is one node.
    pub fn new(tapes: Vec<Tape>) -> Self {
        let mut nodes: BTreeMap<(Role, String), Vec<AnyRun>> = BTreeMap::new();
        let (mut notes, mut damaged) = (Vec::new(), Vec::new());
        for tape in tapes {
            if let Some(damage) = tape.damage {
                match damage.flaw {
                    Flaw::Torn { .. } => notes.push(format!("{}: {damage}", tape.file)),
                    Flaw::Corrupt | Flaw::Strange | Flaw::NoRun => {
                        damaged.push((tape.file.clone(), damage.to_string()));
                    }
                }
            }
            for run in tape.runs {
                let header = run.header();
                nodes.entry((header.role, header.name.to_string())).or_default().push(run);
            }
        }
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|((role, name), mut runs)| {
                runs.sort_by_key(|run| run.header().began);
                Node { name: format!("{role} {name}"), role, runs }
            })
            .collect();
        notes.extend(ends(&nodes));
        Self { nodes, notes, damaged }
    }

    /// What is wrong with files, by file: nothing after it could be read.
    pub fn damaged(&self) -> &[(String, String)] {
        &self.damaged
    }

    /// Plays everything, and holds every check against it.
    pub fn check(&self) -> Report {
        self.check_with(checks::ALL, |_| {})
    }

    /// The same with these checks; `progress` is told of each step.
    pub fn check_with(&self, checks: &'static [Check], mut progress: impl FnMut(&Step)) -> Report {
        let mut playing = Playing::new(self);
        let mut judge = Judge::new(checks);
        while let Some(step) = playing.step() {
            progress(&step);
            let received = std::mem::take(&mut playing.wrong);
            judge.see(self, &step, &playing.players, received);
        }
        let verdicts = verdicts(&playing, &judge);
        let mut notes = self.notes.clone();
        notes.extend(playing.notes());
        Report { steps: playing.number, verdicts, findings: judge.findings, wire: playing.wire.count, notes }
    }
}

/// Holds checks against steps, one after another.
struct Judge {
    truth: Truth,
    watches: Vec<(&'static Check, Box<dyn Watch>, u64)>,
    findings: Vec<Finding>,
}

impl Judge {
    fn new(checks: &'static [Check]) -> Self {
        let watches = checks.iter().map(|check| (check, (check.begin)(), 0)).collect();
        Self { truth: Truth::default(), watches, findings: Vec::new() }
    }

    /// Looks at a step; `received` is what is wrong with what it received.
    fn see(
        &mut self,
        replay: &Replay,
        step: &Step,
        players: &[AnyPlayer],
        received: Vec<(&'static str, String)>,
    ) {
        let mut found = received;
        found.extend(step.played.broken().iter().map(|broken| (broken.promise, broken.what.clone())));
        self.truth.input(step);
        for (check, watch, looked) in &mut self.watches {
            let mut look = Look::new(replay, step, players, &self.truth);
            watch.see(&mut look);
            *looked += look.looked;
            found.extend(look.wrong.into_iter().map(|what| (check.name, what)));
        }
        self.truth.effects(step);
        let node = &replay.nodes[step.node].name;
        self.findings.extend(found.into_iter().map(|(check, what)| Finding {
            check,
            step: step.number,
            at: step.played.at(),
            node: node.clone(),
            what,
        }));
    }
}

/// What people should know of how the runs ended.
fn ends(nodes: &[Node]) -> Vec<String> {
    let (mut notes, mut cut) = (Vec::new(), Vec::new());
    for node in nodes {
        for (at, run) in node.runs.iter().enumerate() {
            let which = match node.runs.len() {
                1 => node.name.clone(),
                _ => format!("{} (run {})", node.name, at + 1),
            };
            match run.end() {
                Some(End::InOrder) => {}
                Some(End::Stopped(cause)) => notes.push(format!("{which}: its journal stopped: {cause}")),
                None => cut.push(which),
            }
        }
    }
    if let [some @ .., last] = &cut[..] {
        let more = some.len().saturating_sub(NAMED_MAX);
        let some = some.iter().take(NAMED_MAX).map(|name| format!("{name}, ")).collect::<String>();
        let last = if more > 0 { format!("and {} more", more + 1) } else { last.clone() };
        notes.push(format!("cut short, so that the last moments may be missing: {some}{last}"));
    }
    notes
}

/// How many runs that were cut short are named.
const NAMED_MAX: usize = 3;

fn verdicts(playing: &Playing<'_>, judge: &Judge) -> Vec<Verdict> {
    let promises = playing.looked();
    let of_runs = [
        (SAME_EFFECTS, "R28", playing.number as u64),
        (NO_PANIC, "every input", playing.number as u64),
        (TRANSPORT, "DESIGN 3", playing.wire.count.compared),
        (TIMERS, "DESIGN 3", promises.timers),
        (SESSIONS, "DESIGN 3", promises.sessions),
        (ERRANDS, "DESIGN 3", promises.errands),
    ];
    let watched = judge.watches.iter().map(|(check, _, looked)| (check.name, check.guards, *looked));
    let all = watched.chain(of_runs);
    all.map(|(check, guards, looked)| {
        let broken = judge.findings.iter().filter(|finding| finding.check == check).count();
        Verdict { check, guards, looked, broken }
    })
    .collect()
}

/// A replay as far as it has got.
#[derive(Clone, Debug)]
pub struct Playing<'a> {
    replay: &'a Replay,
    /// The machine of each node, in its current run.
    players: Vec<AnyPlayer>,
    run: Vec<usize>,
    begins: Vec<bool>,
    wire: Wire,
    looked: Looked,
    /// How many steps there were.
    pub number: usize,
    /// What is wrong with what the last step received.
    wrong: Vec<(&'static str, String)>,
}

impl<'a> Playing<'a> {
    /// Before the first step.
    pub fn new(replay: &'a Replay) -> Self {
        Self {
            replay,
            players: replay.nodes.iter().map(|node| AnyPlayer::new(&node.runs[0])).collect(),
            run: vec![0; replay.nodes.len()],
            begins: vec![true; replay.nodes.len()],
            wire: Wire::new(&replay.nodes),
            looked: Looked::default(),
            number: 0,
            wrong: Vec::new(),
        }
    }

    /// The machine of a node, as it is now.
    pub fn player(&self, node: usize) -> &AnyPlayer {
        &self.players[node]
    }

    /// Plays the next step of all.
    pub fn step(&mut self) -> Option<Step> {
        let (node, impossible) = self.next()?;
        let played = self.players[node].play()?;
        self.number += 1;
        self.wrong.clear();
        let end = (node, self.run[node]);
        if let Some((link, message)) = played.heard() {
            let cut_short = |(node, run): (usize, usize)| self.replay.nodes[node].runs[run].end().is_none();
            let outcome = self.wire.heard(end, *link, message, impossible, cut_short);
            self.wrong.extend(outcome.err().map(|what| (TRANSPORT, what)));
        }
        for (link, message) in played.said() {
            self.wire.said(end, *link, message);
        }
        let begins_run = std::mem::take(&mut self.begins[node]);
        let breaks_off = self.players[node].peek().is_none()
            && self.replay.nodes[node].runs[self.run[node]].end().is_none();
        Some(Step { number: self.number, node, run: self.run[node], begins_run, breaks_off, played })
    }

    /// Whose step is next; and whether it hears what was not said yet, because nobody else can go on either.
    fn next(&mut self) -> Option<(usize, bool)> {
        let mut next: Option<(bool, Moment, usize)> = None;
        for node in 0..self.players.len() {
            let Some((at, link)) = self.upcoming(node) else { continue };
            let waits = link.is_some_and(|link| self.waits(node, link));
            let candidate = (waits, at, node);
            next = Some(next.map_or(candidate, |best| best.min(candidate)));
        }
        next.map(|(waits, _, node)| (node, waits))
    }

    /// A node's next input, which may be the first of its next run.
    fn upcoming(&mut self, node: usize) -> Option<(Moment, Option<LinkId>)> {
        loop {
            if let Some(next) = self.players[node].peek() {
                return Some(next);
            }
            let run = self.replay.nodes[node].runs.get(self.run[node] + 1)?;
            self.looked = sum(self.looked, self.players[node].looked());
            self.players[node] = AnyPlayer::new(run);
            self.run[node] += 1;
            self.begins[node] = true;
        }
    }

    /// Whether what a node hears next is still to be said by a node that was recorded.
    fn waits(&mut self, node: usize, link: LinkId) -> bool {
        let end = (node, self.run[node]);
        let Some((other, run)) = self.wire.silent_speaker(end, link) else {
            return false;
        };
        let over = self.run[other] > run || (self.run[other] == run && self.players[other].peek().is_none());
        !over
    }

    fn looked(&self) -> Looked {
        self.players.iter().fold(self.looked, |all, player| sum(all, player.looked()))
    }

    fn notes(&self) -> Option<String> {
        let wire::Count { alone, unconfirmed, .. } = self.wire.count;
        let mut parts = Vec::new();
        if alone > 0 {
            parts.push(format!("{alone} messages came from nodes that were not recorded"));
        }
        if unconfirmed > 0 {
            parts.push(format!(
                "{unconfirmed} came from nodes whose journals were cut short before they sent them"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

fn sum(one: Looked, other: Looked) -> Looked {
    Looked {
        timers: one.timers + other.timers,
        sessions: one.sessions + other.sessions,
        errands: one.errands + other.errands,
    }
}

#[cfg(test)]
pub(crate) mod tests;
