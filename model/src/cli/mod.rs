//! The command line of `neap-model`. A command's arguments and what it does are in a module of its own.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bounds;
mod check;
mod explore;
mod mutants;
mod near;
mod properties;
mod replay;
mod simulate;
mod story;

/// Everything that was asked about holds.
const HELD: u8 = 0;
/// A property is broken; its story was printed.
const BROKEN: u8 = 1;
/// What was asked cannot be done; clap uses it for arguments that it does not understand.
const MISUSED: u8 = 2;
/// Not everything was seen, or two searches differ: whatever was printed, nothing was shown.
const INCOMPLETE: u8 = 3;
/// A `sometimes` property was reached nowhere: what passed may have passed for want of anything happening.
const VACUOUS: u8 = 4;
/// A table that was to say what was found says something else.
const STALE: u8 = 5;

const EXIT_CODES: &str = "\
Exit codes:
  0  everything that was asked about holds
  1  a property is broken; its story was printed
  2  the command was not understood, or cannot be carried out
  3  incomplete: not everything was seen, or two searches differ, so that nothing was shown
  4  vacuous: everything holds, but something that must be reachable was reached nowhere
  5  stale: a table that was to say what was found says something else";

/// Checks neap's core: the machines that the nodes run, in a world of their own
#[derive(Debug, Parser)]
#[command(
    name = "neap-model",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Story(story::Args),
    Explore(explore::Args),
    Properties(properties::Args),
    Mutants(mutants::Args),
    Simulate(simulate::Args),
    Replay(replay::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Story(args) => story::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Properties(args) => properties::run(&args),
        Command::Mutants(args) => mutants::run(&args),
    }
}

/// Prints. Nobody to read it is the end of it: `neap-model check | head` asks for no more.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let told = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if told.is_err() {
        std::process::exit(i32::from(MISUSED));
    }
}
