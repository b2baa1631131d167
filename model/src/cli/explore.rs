//! `explore`: a walk through a scope in a browser.

use std::process::ExitCode;

use super::near;
use crate::explore;

/// Walk through a scope in a browser, step by step
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What must always hold and what must be reached is searched for as far as you walk, or wholly after \"Run to \
completion\"; what must come about in the end is not: `check` does that.")]
pub(super) struct Args {
    /// Which scope
    scope: String,
    /// On which port of this machine; 0 for any that is free
    #[arg(long, value_name = "P", default_value_t = 3000)]
    port: u16,
}

/// Serves it until it is interrupted.
pub(super) fn run(args: &Args) -> ExitCode {
    let scope = match near::scope(&args.scope) {
        Ok(scope) => scope,
        Err(problem) => return failed(&problem),
    };
    let address = match explore::address(args.port) {
        Ok(address) => address,
        Err(error) => {
            return failed(&format!(
                "port {} cannot be had ({error}): choose another with --port",
                args.port
            ));
        }
    };
    super::say(&format!("{}: {}\n", scope.name, scope.about));
    super::say(&format!("open http://{address}/ in a browser; Ctrl-C ends it\n"));
    explore::serve(scope, address);
    ExitCode::from(super::HELD)
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("failed to explore: {problem}");
    ExitCode::from(super::MISUSED)
}
