//! `simulate`: larger worlds by chance, faults and then calm, and what went wrong made short.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::properties;
use crate::simulate::{self, Campaign, Options, Outcome, Until, Wrong};
use crate::story;

/// Run worlds drawn by chance, larger and longer than `check` can search
///
/// Each seed draws a world of its own: how many masters, slaves and frameworks, their settings, tasks, an operator's
/// commands, what may go wrong and how often. After its steps nothing goes wrong any more, and everything that must
/// come about in the end has to. A seed and the other options always give the same run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The first seed [default: 1; with --for, one that the time gives]
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds, one after another [default: 1 with --seed, else 100]
    #[arg(long, value_name = "COUNT", conflicts_with = "time")]
    seeds: Option<u64>,
    /// Go on with new seeds for so long: 30s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Steps of each seed before the calm phase
    #[arg(long, default_value_t = Options::default().steps)]
    steps: u32,
    /// The most slaves of a world
    #[arg(long, default_value_t = Options::default().slaves, value_parser = clap::value_parser!(u8).range(1..=100))]
    slaves: u8,
    /// The most frameworks
    #[arg(long, default_value_t = Options::default().frameworks, value_parser = clap::value_parser!(u8).range(1..=20))]
    frameworks: u8,
    /// The most masters
    #[arg(long, default_value_t = Options::default().masters, value_parser = clap::value_parser!(u8).range(1..=20))]
    masters: u8,
    /// On how many threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Tell what went wrong as it came, without looking for a shorter way there
    #[arg(long)]
    no_shrink: bool,
    /// Look for a seed that reaches this `sometimes` property, and tell the shortest story of it that is found
    #[arg(long, value_name = "PROPERTY")]
    find: Option<String>,
}

/// How many steps are made at most to make a failure short.
const SHRINK_EFFORT: u64 = 3_000_000;

/// Simulates; 1 if something went wrong.
pub(super) fn run(args: &Args) -> ExitCode {
    let wanted = match args.find.as_deref().map(sometimes).transpose() {
        Ok(wanted) => wanted,
        Err(unknown) => {
            eprintln!("{unknown}");
            return ExitCode::from(2);
        }
    };
    let campaign = campaign(args, wanted);
    let began = Instant::now();
    let quiet = panic::take_hook();
    // A panic is told of with its seed.
    panic::set_hook(Box::new(|_| {}));
    let outcome = campaign.run(|outcome| progress(outcome, began));
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    summary(&campaign, &outcome, began.elapsed());
    for (wrong, seeds) in &outcome.failed {
        tell(args, &campaign, wrong, seeds);
    }
    panic::set_hook(quiet);
    let failed = outcome.failed.keys().any(|wrong| !matches!(wrong, Wrong::Reaches(_)));
    let not_found = wanted.is_some() && outcome.failed.is_empty();
    ExitCode::from(u8::from(failed || not_found))
}

fn campaign(args: &Args, wanted: Option<usize>) -> Campaign {
    let options = Options {
        steps: args.steps,
        slaves: args.slaves,
        frameworks: args.frameworks,
        masters: args.masters,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = match args.time {
        Some(time) => Until::For(time),
        None => Until::Seeds(args.seeds.unwrap_or(if args.seed.is_some() { 1 } else { 100 })),
    };
    let first = args.seed.unwrap_or(if args.time.is_some() { now.as_secs() << 20 } else { 1 });
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    Campaign { first, until, options, threads: args.threads.unwrap_or_else(cores), wanted }
}

fn sometimes(name: &str) -> Result<usize, String> {
    let is = |property: &&properties::Property| matches!(property.kind, properties::Kind::Sometimes(_));
    properties::ALL.iter().position(|property| is(&property) && property.name == name).ok_or_else(|| {
        let names: Vec<_> = properties::ALL.iter().filter(is).map(|property| property.name).collect();
        format!("no `sometimes` property is called {name:?}; there are:\n  {}", names.join("\n  "))
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 30s, 10m or 2h");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

fn progress(outcome: &Outcome, began: Instant) {
    let mut to = io::stderr().lock();
    if !to.is_terminal() {
        return;
    }
    let seconds = began.elapsed().as_secs_f64();
    let failed: usize = outcome.failed.values().map(Vec::len).sum();
    let rate = outcome.steps as f64 / seconds;
    let _ = write!(to, "\r\x1b[K{} seeds, {rate:.0} steps/s, {seconds:.0} s, {failed} failed", outcome.seeds);
    let _ = to.flush();
}

fn summary(campaign: &Campaign, outcome: &Outcome, took: Duration) {
    let Options { steps, slaves, frameworks, masters } = campaign.options;
    let seconds = took.as_secs_f64();
    println!(
        "{} seeds from {}: up to {slaves} slaves, {frameworks} frameworks, {masters} masters; \
         {steps} steps and then calm",
        outcome.seeds, campaign.first
    );
    println!(
        "{} steps in {seconds:.1} s, {:.0}/s; the longest calm phase took {} steps (seed {})",
        outcome.steps,
        outcome.steps as f64 / seconds,
        outcome.calm_max.0,
        outcome.calm_max.1
    );
    println!("\nreached, by how many seeds:");
    for (name, seeds) in outcome.coverage().filter(|(_, seeds)| *seeds > 0) {
        println!("  {seeds:>9}  {name}");
    }
    let never: Vec<_> = outcome.coverage().filter(|(_, seeds)| *seeds == 0).map(|(name, _)| name).collect();
    if !never.is_empty() {
        println!("never reached:\n             {}", never.join("\n             "));
    }
    let failed: usize = outcome.failed.values().map(Vec::len).sum();
    match failed {
        0 => println!("\nnothing went wrong"),
        _ => println!("\n{failed} seeds went wrong"),
    }
}

/// Tells how one of the seeds came to what is wrong with all of them: the one with the fewest steps.
fn tell(args: &Args, campaign: &Campaign, wrong: &Wrong, seeds: &[u64]) {
    const LOOKED_AT: usize = 20;
    let options = &campaign.options;
    let runs = seeds.iter().take(LOOKED_AT).filter_map(|seed| {
        let failure = simulate::run(*seed, options, campaign.wanted).failure?;
        Some((*seed, failure))
    });
    let Some((seed, failure)) = runs.min_by_key(|(_, failure)| failure.actions.len()) else { return };
    let listed: Vec<_> = seeds.iter().take(LOOKED_AT).map(u64::to_string).collect();
    let more = if seeds.len() > LOOKED_AT { ", ..." } else { "" };
    println!("\n{}: {} seeds ({}{more})", wrong.name(), seeds.len(), listed.join(", "));
    let find = args.find.as_ref().map(|find| format!(" --find {find:?}")).unwrap_or_default();
    println!(
        "again: neap-model simulate --seed {seed} --steps {} --slaves {} --frameworks {} --masters {}{find}",
        options.steps, options.slaves, options.frameworks, options.masters
    );
    let actions = failure.actions.len();
    let short = match args.no_shrink {
        true => simulate::Short { scope: failure.scope, needed: actions, actions: failure.actions },
        false => simulate::shrink(seed, failure, SHRINK_EFFORT),
    };
    let scope = &short.scope;
    println!(
        "{} of its {actions} steps, {} of {} masters, slaves and frameworks:\n",
        short.needed,
        counts(scope),
        counts(&simulate::scope(seed, options)),
    );
    println!("  tasks: {:?}\n  slaves' resources: {}", scope.tasks, scope.resources);
    for (number, command) in scope.commands.iter().enumerate() {
        println!("  command {number}: {command:?}");
    }
    match wrong {
        Wrong::Broken(property) | Wrong::Stuck(property) | Wrong::Reaches(property) => {
            println!("{}", story::story(scope, &short.actions, *property));
        }
        Wrong::Panics(message) => {
            for (at, action) in short.actions.iter().enumerate() {
                println!("{:4}  {action:?}", at + 1);
            }
            println!("      ! {message}");
        }
    }
}

fn counts(scope: &crate::scope::Scope) -> String {
    format!("{}, {}, {}", scope.masters, scope.slaves, scope.frameworks)
}
