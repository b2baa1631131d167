//! A cluster's life: loaded, hit by faults, told to end, and held to account.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, SLAVES};
use crate::fault::Fault;
use crate::ledger::{self, Told};
use crate::load::Load;
use crate::process::until;
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
        write!(
            f,
            "  {} tasks ran; told were {}; {} inputs replayed",
            self.tasks,
            ends.join(", "),
            self.inputs
        )
    }
}

/// Runs one, and leaves nothing.
///
/// # Errors
/// What is wrong, and where everything is that was written.
pub(crate) fn run(seed: u64, cycles: u64) -> Result<Figures, String> {
    let mut random = Random::new(seed);
    let mut cluster = Cluster::start(&mut random)?;
    let place = cluster.place.path().to_owned();
    let mut figures = Figures::default();
    let lived = live(&mut cluster, &mut random, cycles, &mut figures);
    drop(cluster);
    let kept = format!("logs, journals and ledgers are kept in {}", place.display());
    lived.map_err(|wrong| format!("{wrong}\n{kept}"))?;
    figures.inputs =
        replay::holds(&place.join("journals")).map_err(|wrong| format!("{wrong}\n{kept}"))? as u64;
    fs::remove_dir_all(&place).map_err(|error| format!("{} is not removed: {error}", place.display()))?;
    Ok(figures)
}

fn live(
    cluster: &mut Cluster,
    random: &mut Random,
    cycles: u64,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut load = Load::start(cluster, random.fork())?;
    let mut groups = BTreeSet::new();
    for cycle in 1..=cycles {
        load.feed(cluster)?;
        groups.extend(truth::control_groups(&truth::below(cluster.place.path())));
        std::thread::sleep(random.span(0..300));
        let faults = Fault::several(random);
        let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let names = names.join("; ");
        let ended = strike(cluster, &mut load, random, &faults)
            .map_err(|wrong| format!("cycle {cycle}, {names}: {wrong}"))?;
        println!("  cycle {cycle}: {names}: whole again after {:.1} s", ended.as_secs_f64());
        faults.iter().for_each(|fault| figures.count(fault.kind(), 1, ended));
    }
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
    let mut wrong = left_behind(cluster);
    let groups = groups.iter().filter(|group| group.exists());
    wrong.extend(groups.map(|group| format!("S11: the control group {} is left", group.display())));
    let ran = ledger::ran(&cluster.place.read("ran"))?;
    let wrong = [wrong, load.book.read(|told| ledger::judge(&load.runs(), told, &ran))].concat();
    figures.tasks = ran.len() as u64;
    load.book.read(|told| {
        for Told { state, .. } in told.iter().filter(|told| told.is_end()) {
            *figures.ends.entry(state.clone()).or_default() += 1;
        }
    });
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

/// How long after the end of the faults the cluster was whole again.
fn strike(
    cluster: &mut Cluster,
    load: &mut Load,
    random: &mut Random,
    faults: &[Fault],
) -> Result<Duration, String> {
    for fault in faults {
        fault.begin(cluster, load, random)?;
    }
    // The master's first: others wait for what a master says.
    for fault in faults.iter().rev() {
        fault.end(cluster)?;
    }
    let since = Instant::now();
    cluster.whole()?;
    Ok(since.elapsed())
}

/// What nodes that have ended have left.
fn left_behind(cluster: &Cluster) -> Vec<String> {
    let mut left: Vec<String> =
        truth::marked(&cluster.place.mark).iter().map(|pid| format!("process {pid} is left")).collect();
    for slave in 0..SLAVES {
        let data = cluster.place.path().join(&cluster.slaves[slave].name);
        if data.join("executor.sock").exists() {
            left.push(format!("S11: {}/executor.sock is left", data.display()));
        }
        let records = files(&data.join("trees")).filter(|file| file != "lock");
        left.extend(records.map(|tree| format!("S11: {tree} is left in {}/trees", data.display())));
    }
    left
}

fn files(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
