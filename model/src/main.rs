//! `neap-model`: checks the core.

use std::process::ExitCode;
use std::time::Instant;

use neap_model::properties::{self, Kind};
use neap_model::{scopes, search, story};

fn main() -> ExitCode {
    let mut failed = false;
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for scope in scopes::all() {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == scope.name) {
            continue;
        }
        let began = Instant::now();
        let found = search::search(
            &scope,
            std::env::var("MAX").ok().and_then(|max| max.parse().ok()).unwrap_or(3_000_000),
            |_| {},
        );
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
    let _ = Kind::Step;
    ExitCode::from(u8::from(failed))
}
