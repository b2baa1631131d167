//! A live cluster, measured: real nodes as processes, and a framework in this one, so that times are those of a
//! scheduler's callback. `cargo bench -p neap-nodes` prints the table; `-- ROW… --runs N` chooses rows and how often
//! each is run. What is dead is seen by pidfds, and what survives by a look at every process: no node is asked.
//!
//! With `--quick`, and under `cargo test`, every row is run once and small: that shows that they work, and no more.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is shared with the tests names what it waits for and passes over the rest"
)]

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/cluster.rs"]
mod cluster;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/live/mod.rs"]
mod live;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/program.rs"]
mod program;

mod drain_now;
mod host;
mod launches;
mod operators;
mod table;
mod updates;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use table::{Row, Table};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(updates::EXECUTOR) {
        return match updates::be_an_executor() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let asked = match Asked::parse(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for and prints it; `false` where something was untrue, however quick it was.
fn measure(asked: &Asked) -> Result<bool, String> {
    let interrupted = Arc::<AtomicBool>::default();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        signal_hook::flag::register(signal.as_raw(), Arc::clone(&interrupted))
            .map_err(|error| format!("failed to listen for signals: {error}"))?;
    }
    let host = host::describe()?;
    let _places = keep_places()?;
    let mut table = Table::default();
    for bench in BENCHES.iter().filter(|bench| asked.wants(bench.name)) {
        let runs = asked.runs.unwrap_or(if asked.quick { 1 } else { bench.runs });
        let scale = Scale { runs, many: if asked.quick { bench.many.min(QUICK_MANY) } else { bench.many } };
        eprintln!("{}: {} runs", bench.name, scale.runs);
        let rows = (bench.run)(scale, &interrupted).map_err(|error| format!("{}: {error}", bench.name))?;
        table.add(rows);
        if interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
    }
    if !table.is_empty() {
        println!("{host}\n\n{table}");
    }
    Ok(table.is_true())
}

/// Has every cluster keep its files until this value goes. A file system without a journal looks again and again at
/// what was deleted in the last minute when it makes a file: each row would pay for those before it.
fn keep_places() -> Result<tempfile::TempDir, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to make a directory for clusters: {error}");
    let places = tempfile::tempdir().map_err(|error| failed(&error))?;
    tempfile::env::override_temp_dir(places.path()).map_err(|_| failed(&"another is set"))?;
    Ok(places)
}

/// A place with certificates, kept.
fn place() -> &'static program::Place {
    Box::leak(Box::new(cluster::place()))
}

/// How much is run.
#[derive(Clone, Copy, Debug)]
struct Scale {
    runs: usize,
    /// How many tasks, or updates, one run has.
    many: usize,
}

type Run = fn(Scale, &AtomicBool) -> Result<Vec<Row>, String>;

struct Bench {
    name: &'static str,
    runs: usize,
    many: usize,
    run: Run,
}

/// In the order of the design's budgets.
const BENCHES: [Bench; 8] = [
    Bench { name: "sigusr1", runs: 50, many: 1, run: drain_now::run },
    Bench { name: "sigusr1-100", runs: 20, many: 100, run: drain_now::run },
    Bench { name: "drain", runs: 20, many: 100, run: operators::drain },
    Bench { name: "deactivate", runs: 200, many: 1, run: operators::deactivate },
    Bench { name: "launch", runs: 200, many: 1, run: launches::one },
    Bench { name: "true", runs: 20, many: 200, run: launches::many },
    Bench { name: "updates", runs: 10, many: 20_000, run: updates::run },
    Bench { name: "updates-slave", runs: 10, many: 20_000, run: updates::through_a_slave },
];

/// What is enough to see that a row works.
const QUICK_MANY: usize = 10;

const USAGE: &str = "usage: cargo bench -p neap-nodes -- [ROW…] [--runs N] [--quick]
rows: sigusr1, sigusr1-100, drain, deactivate, launch, true, updates, updates-slave; a part of a name picks all that \
have it";

struct Asked {
    rows: Vec<String>,
    runs: Option<usize>,
    quick: bool,
}

impl Asked {
    /// `None`: nothing is to be run.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut rows, mut runs, mut quick, mut bench, mut unknown) = (Vec::new(), None, false, false, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                // `cargo bench` says so; `cargo test` does not.
                "--bench" => bench = true,
                "--quick" => quick = true,
                "--runs" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    runs = Some(number.filter(|runs| *runs > 0).ok_or("--runs needs a number from 1")?);
                }
                "--list" => return Ok(None),
                "--help" | "-h" => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                flag if flag.starts_with('-') => unknown = Some(flag.to_owned()),
                row => rows.push(row.to_owned()),
            }
        }
        match unknown {
            // Meant for the tests that `cargo test` runs beside this.
            Some(_) if !bench => {}
            Some(flag) => return Err(format!("{flag} is unknown")),
            None => {}
        }
        let asked = Self { rows, runs, quick: quick || !bench };
        match bench && !BENCHES.iter().any(|bench| asked.wants(bench.name)) {
            true => Err(format!("no row has {} in its name", asked.rows.join(" or "))),
            false => Ok(Some(asked)),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| name.contains(row.as_str()))
    }
}
