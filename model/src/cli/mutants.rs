//! `mutants`: the protocol broken on purpose, and whether each time something catches it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::near;
use crate::mutants::checkout;
use crate::mutants::manifest::{self, Mutant};
use crate::mutants::verdict::Tried;
use crate::mutants::workshop::Workshop;
use crate::table::grouped;

const LONG_ABOUT: &str = "\
Break the protocol on purpose, one small change at a time, and demand that something catches each

The manifest in model/mutants says of each mutant what it changes, what that breaks, where it is tried, and which \
properties, transcripts or tests must catch it. All are made in one copy of the sources, under target/mutants, which \
is built once; one at a time is then told to live, and tried by `neap-model check` in one scope, or by tests of the \
protocol. What they are tried in is tried without any first: something that is broken anyway catches nothing.";

const EXIT_CODES: &str = "\
Exit codes:
  0  every mutant is caught, and by what the manifest names
  1  one survived, was caught by something else, or does not apply
  2  the command was not understood, or cannot be carried out";

/// Break the protocol on purpose, and demand that something catches it
#[derive(Debug, clap::Args)]
#[command(long_about = LONG_ABOUT, after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Which mutants; all of them, unless any is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List them, and try none
    #[arg(long)]
    list: bool,
    /// How long a build or a trial may take
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    patience: u64,
    /// How much memory a trial may take: what grows for ever is to end
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    memory_max: u64,
    /// For people, or for a document
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines
    Text,
    /// A table in Markdown, once all were tried
    Markdown,
}

/// Tries them, and says how it went.
pub(super) fn run(args: &Args) -> ExitCode {
    match tried(args) {
        Ok(true) => ExitCode::from(super::HELD),
        Ok(false) => ExitCode::from(super::BROKEN),
        Err(problem) => {
            eprintln!("failed to try mutants: {problem}");
            ExitCode::from(super::MISUSED)
        }
    }
}

/// Whether every mutant is caught.
fn tried(args: &Args) -> Result<bool, String> {
    let all = manifest::all(&checkout())?;
    let chosen = chosen(&all, &args.names)?;
    if args.list {
        chosen.iter().for_each(|at| super::say(&listed(&all[*at])));
        return Ok(true);
    }
    let began = Instant::now();
    let tell = |what: &str| eprintln!("{what}");
    let mut workshop =
        Workshop::open(&checkout(), &all, Duration::from_secs(args.patience), args.memory_max)?;
    tell("building all mutants");
    workshop.build()?;
    workshop.prove(&chosen, tell)?;
    let mut rows = Vec::new();
    if args.output == Output::Text {
        super::say(&head());
    }
    for at in chosen {
        let row = workshop.try_out(at);
        match args.output {
            Output::Text => super::say(&line(&row)),
            Output::Markdown => tell(&line(&row)),
        }
        rows.push(row);
    }
    if args.output == Output::Markdown {
        super::say(&markdown(&rows));
    }
    super::say(&summary(&rows, began.elapsed()));
    Ok(rows.iter().all(|row| row.outcome.is_caught()))
}

/// The places of the mutants that are meant.
fn chosen(all: &[Mutant], names: &[String]) -> Result<Vec<usize>, String> {
    if names.is_empty() {
        return Ok((0..all.len()).collect());
    }
    let known = || all.iter().map(|mutant| mutant.name.as_str());
    let place = |name: &String| {
        known()
            .position(|known| known == name)
            .ok_or_else(|| near::unknown("mutant", name, known(), "mutants"))
    };
    names.iter().map(place).collect()
}

fn listed(mutant: &Mutant) -> String {
    let Mutant { name, breaks, guards, caught_by, trial, .. } = mutant;
    let caught_by = caught_by.join(", ");
    format!("{name} ({guards})\n    {breaks}\n    {}: caught by {caught_by}, in {}\n", mutant.path(), trial)
}

fn head() -> String {
    format!("{:30} {:26} {:>11} {:>8}  caught by\n", "mutant", "tried in", "states", "time")
}

fn line(row: &Tried) -> String {
    let mutant = &row.mutant;
    format!(
        "{:30} {:26} {:>11} {:>8}  {}\n",
        mutant.name,
        mutant.trial.to_string(),
        states(row),
        seconds(row.took),
        row.outcome.words(mutant).trim_end(),
    )
}

fn markdown(rows: &[Tried]) -> String {
    let mut text =
        "| mutant | what it breaks | | caught by | in | states | s |\n|---|---|---|---|---|---:|---:|\n"
            .to_owned();
    for row in rows {
        let Mutant { name, breaks, guards, trial, .. } = &row.mutant;
        text.push_str(&format!(
            "| {name} | {breaks} | {guards} | {} | {} | {} | {:.0} |\n",
            row.outcome.words(&row.mutant).lines().next().unwrap_or_default(),
            trial,
            states(row),
            row.took.as_secs_f64(),
        ));
    }
    text
}

fn summary(rows: &[Tried], took: Duration) -> String {
    let caught = rows.iter().filter(|row| row.outcome.is_caught()).count();
    let minutes = took.as_secs_f64() / 60.0;
    let mut text = format!("\n{caught} of {} mutants are caught, in {minutes:.1} minutes.\n", rows.len());
    let others: Vec<&str> =
        rows.iter().filter(|row| !row.outcome.is_caught()).map(|row| &*row.mutant.name).collect();
    if !others.is_empty() {
        text.push_str(&format!("NOT caught as the manifest says: {}.\n", others.join(", ")));
    }
    text
}

fn states(row: &Tried) -> String {
    row.states.map_or("-".into(), grouped)
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
