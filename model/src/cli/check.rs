//! `check`: every state of a scope, and whether every property holds.

use std::process::ExitCode;
use std::time::Instant;

use crate::properties;
use crate::{scopes, search, story};

/// Visit every state of the scopes, and say whether every property holds
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which scopes; all of them unless named
    scopes: Vec<String>,
    /// Give up after so many states
    #[arg(long, default_value_t = 3_000_000)]
    states_max: usize,
}

/// Checks; 1 if something is broken.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut failed = false;
    for scope in scopes::all() {
        if !args.scopes.is_empty() && !args.scopes.iter().any(|name| name == scope.name) {
            continue;
        }
        let began = Instant::now();
        let found = search::search(&scope, args.states_max, |_| {});
        let took = began.elapsed().as_secs_f64();
        println!(
            "{:22} {:>9} states {:>10} steps  depth {:3}  {:6.1} s  {:>8.0}/s{}",
            scope.name,
            found.states,
            found.steps,
            found.depth,
            took,
            found.states as f64 / took,
            if found.complete { "" } else { "  INCOMPLETE" }
        );
        println!(
            "  {} parts, {} worked out, {:.1} bytes/state, digest {:x}",
            found.parts,
            found.worked_out,
            found.bytes as f64 / found.states as f64,
            found.digest
        );
        let reached: Vec<&str> = (0..properties::ALL.len())
            .filter(|at| found.reached & (1 << at) != 0)
            .map(|at| properties::ALL[at].name)
            .collect();
        println!("    reached: {}", reached.join(", "));
        for broken in &found.broken {
            failed = true;
            println!("{}", story::story(&scope, &broken.actions, broken.property));
        }
    }
    ExitCode::from(u8::from(failed))
}
