//! The command line of `neap-model`. A command's arguments and what it does are in a module of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod replay;

/// Checks neap's core: the machines that the nodes run, in a world of their own
#[derive(Debug, Parser)]
#[command(name = "neap-model", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Replay(replay::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Replay(args) => replay::run(&args),
    }
}
