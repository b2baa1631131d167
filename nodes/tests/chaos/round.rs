//! A cluster's life: loaded, hit by faults, told to end, and held to account.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, SLAVES};
use crate::fault::Fault;
use crate::ledger::{self, Told};
use crate::load::{FENCED, Load};
use crate::process::{Place, until};
use crate::random::Random;
use crate::{replay, truth};

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Of each kind of fault: how many there were, and the longest time until the cluster was whole again.
    faults: BTreeMap<&'static str, (u64, Duration)>,
    /// How many tasks ended in each way.
    ends: BTreeMap<String, u64>,
    tasks: u64,
    inputs: u64,
    /// How often each check had something to look at in the journals.
    looked: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        for (kind, (count, longest)) in other.faults {
            self.count(kind, count, longest);
        }
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.tasks += other.tasks;
        self.inputs += other.inputs;
        self.look(other.looked);
    }

    fn look(&mut self, looked: impl IntoIterator<Item = (&'static str, u64)>) {
        for (check, times) in looked {
            *self.looked.entry(check).or_default() += times;
        }
    }

    /// The checks that never had anything to look at.
    pub(crate) fn overlooked(&self) -> Vec<&'static str> {
        self.looked.iter().filter(|(_, times)| **times == 0).map(|(check, _)| *check).collect()
    }

    fn count(&mut self, kind: &'static str, times: u64, whole_after: Duration) {
        let (count, longest) = self.faults.entry(kind).or_default();
        *count += times;
        *longest = whole_after.max(*longest);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, longest)) in &self.faults {
            writeln!(f, "  {count:>5} {kind}, whole again after {:.1} s at most", longest.as_secs_f64())?;
        }
        let ends: Vec<String> = self.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        let looked: Vec<String> =
            self.looked.iter().map(|(check, times)| format!("{check} {times}")).collect();
        let (ends, looked) = (ends.join(", "), looked.join(", "));
        writeln!(f, "  {} tasks ran; told were {ends}; {} inputs replayed", self.tasks, self.inputs)?;
        write!(f, "  so often there was something to check: {looked}")
    }
}

/// A loaded cluster that is hit so many times, and held to account. So many of a hundred nodes are on small disks.
///
/// # Errors
/// What is wrong, and where everything is that was written.
pub(crate) fn run(seed: u64, cycles: u64, small_disks: u64) -> Result<Figures, String> {
    let mut random = Random::new(seed);
    on_cluster_with(&mut random.fork(), small_disks, &EVERY_ROUND, |cluster, figures| {
        // What ends sooner than a slave is given up says nothing of a fence: so the service has one, in half of all.
        let fenced = if random.percent(50) { FENCED } else { "" };
        let mut load = Load::start_with(cluster, random.fork(), fenced)?;
        load.feed(cluster)?;
        for cycle in 1..=cycles {
            cycle_through(cluster, &mut load, &mut random, figures)
                .map_err(|wrong| format!("cycle {cycle}: {wrong}"))?;
        }
        Ok(load)
    })
}

/// Of fenced tasks that nobody could reach any more.
const R9: &str = "R9 lost-means-dead";

/// What the checks of a replay always have something to look at in.
const EVERY_ROUND: [&str; 16] = [
    "S1 ",
    "S2 ",
    "S3 ",
    "S4 ",
    "S6 ",
    "S7 ",
    "S8 ",
    "S9 ",
    "S10 ",
    "S11 ",
    "S16 ",
    "same effects",
    "transport contract",
    "driver: timers",
    "driver: sessions",
    "driver: errands",
];

/// Does this on a cluster, ends it, holds it to account, and leaves nothing.
///
/// # Errors
/// What is wrong, and where everything is that was written.
pub(crate) fn on_cluster(
    random: &mut Random,
    looked_at: &[&str],
    act: impl FnOnce(&mut Cluster, &mut Figures) -> Result<Load, String>,
) -> Result<Figures, String> {
    on_cluster_with(random, 0, looked_at, act)
}

fn on_cluster_with(
    random: &mut Random,
    small_disks: u64,
    looked_at: &[&str],
    act: impl FnOnce(&mut Cluster, &mut Figures) -> Result<Load, String>,
) -> Result<Figures, String> {
    let place = Arc::new(Place::new());
    let mut figures = Figures::default();
    let done = {
        // Asserts panic.
        let _kept = Kept(&place);
        let held = Cluster::start(Arc::clone(&place), random, small_disks).and_then(|mut cluster| {
            let load = act(&mut cluster, &mut figures)?;
            account(&mut cluster, load, &mut figures)?;
            Ok(std::mem::take(&mut cluster.kills))
        });
        held.and_then(|kills| replay::holds(&place.path().join("journals"), &kills, looked_at))
    };
    let held = done.map_err(|wrong| format!("{wrong}\n{}", place.kept()))?;
    figures.inputs = held.inputs;
    figures.look(held.looked);
    place.remove().map_err(|error| format!("{} is not removed: {error}", place.path().display()))?;
    Ok(figures)
}

/// Says where everything is, should a panic pass by.
struct Kept<'a>(&'a Place);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.kept());
        }
    }
}

fn cycle_through(
    cluster: &mut Cluster,
    load: &mut Load,
    random: &mut Random,
    figures: &mut Figures,
) -> Result<(), String> {
    load.feed(cluster)?;
    std::thread::sleep(random.span(0..300));
    // What hits nobody is no fault.
    loop {
        let faults = Fault::several(random);
        let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let names = names.join("; ");
        let struck = strike(cluster, load, random, &faults);
        let (hits, whole_after) = struck.map_err(|wrong| format!("{names}: {wrong}"))?;
        let missed = if hits.len() < faults.len() { format!("; felt: {hits:?}") } else { String::new() };
        println!("  {names}: whole again after {:.1} s{missed}", whole_after.as_secs_f64());
        hits.iter().for_each(|kind| figures.count(kind, 1, whole_after));
        if !hits.is_empty() {
            return Ok(());
        }
    }
}

/// Ends everything in peace, and accounts for every task and for what nodes leave.
fn account(cluster: &mut Cluster, mut load: Load, figures: &mut Figures) -> Result<(), String> {
    load.finish(cluster)?;
    until("an end of everything that ran", || {
        let status = cluster.operator.status()?;
        let living = truth::below(cluster.place.path());
        match (status.frameworks, status.tasks, living.is_empty()) {
            (0, 0, true) => Ok(()),
            _ => Err(format!("the master says {status:?}, and there lives {living:?}")),
        }
    })?;
    cluster.end()?;
    let ran = ledger::ran(&cluster.place.read("ran"))?;
    figures.tasks = ran.len() as u64;
    let judged = load.book.read(|told| {
        for Told { state, .. } in told.iter().filter(|told| told.is_end()) {
            *figures.ends.entry(state.clone()).or_default() += 1;
        }
        let fenced = told.iter().filter(|told| told.is_lost_unseen() && told.fenced);
        figures.look([(R9, fenced.count() as u64)]);
        ledger::judge(&load.runs(), told, &ran)
    });
    let wrong = [left_behind(cluster, &load.groups), judged].concat();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

/// The kinds of the faults that hit somebody, and how long after their end the cluster was whole again.
fn strike(
    cluster: &mut Cluster,
    load: &mut Load,
    random: &mut Random,
    faults: &[Fault],
) -> Result<(Vec<&'static str>, Duration), String> {
    let mut begun = Vec::new();
    for fault in faults {
        begun.push((fault, fault.begin(cluster, load, random)?));
    }
    let mut hits = Vec::new();
    for (fault, has_victim) in begun.into_iter().rev() {
        let is_felt = fault.end(cluster, load)?;
        hits.extend((has_victim && is_felt).then(|| fault.kind()));
    }
    let since = Instant::now();
    cluster.whole()?;
    load.hears_of_condemned()?;
    Ok((hits, since.elapsed()))
}

/// What nodes that have ended have left.
fn left_behind(cluster: &Cluster, groups: &BTreeSet<PathBuf>) -> Vec<String> {
    let mut left: Vec<String> =
        truth::all_of(cluster.place.path()).iter().map(|pid| format!("process {pid} is left")).collect();
    for slave in 0..SLAVES {
        let data = cluster.place.path().join(&cluster.slaves[slave].name);
        if data.join("executor.sock").exists() {
            left.push(format!("S11: {}/executor.sock is left", data.display()));
        }
        let records = files(&data.join("trees")).filter(|file| file != "lock");
        left.extend(records.map(|tree| format!("S11: {tree} is left in {}/trees", data.display())));
    }
    let groups = groups.iter().filter(|group| group.exists());
    left.extend(groups.map(|group| format!("S11: the control group {} is left", group.display())));
    left
}

fn files(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
