//! The command line: what there is to say, how it is read, and where each command is carried out.
//!
//! A command's arguments are a struct of parsed, typed values in one of the modules below; contradictory flags are
//! refused while they are read, so that what reaches a command can be carried out. [`dispatch`](self) is the one
//! place that knows which code carries out which command.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::Loaded;
use crate::executor;
use crate::exit::Exit;
use crate::framework;
use crate::log;
use crate::operator::{self, Task};
use crate::output::{Color, Failure, Format, Printer};
use crate::slave;

use change::RemovalsCommand;
use nodes::{Slave, SlaveCommand};

/// The examples of a command: pairs of what it is for, and the line. Every line is parsed by a test.
macro_rules! examples {
    ($($what:literal, $line:literal;)*) => {
        concat!("\x1b[1m\x1b[32mExamples:\x1b[0m", $("\n  \x1b[2m# ", $what, "\x1b[0m\n  ", $line),*)
    };
}

pub mod change;
pub mod nodes;
pub mod pki;
pub mod registry;
pub mod show;
pub mod work;

/// Takes machines out of a cluster, and puts them back, without surprising anyone
#[derive(Debug, Parser)]
#[command(name = "neap", version, styles = STYLES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What every command accepts.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command accepts.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Print tables for eyes, or one JSON object a line for programs
    #[arg(short, long, global = true, env = "NEAP_OUTPUT", value_enum, default_value_t, value_name = "FORM")]
    #[arg(help_heading = GLOBAL)]
    pub output: Format,
    /// Read settings from FILE; flags and environment win over it [default: ./.neap/neap.toml]
    #[arg(long, global = true, env = "NEAP_CONFIG", value_name = "FILE", help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
    /// Colour what is printed
    #[arg(long, global = true, env = "NEAP_COLOR", value_enum, default_value_t, value_name = "WHEN")]
    #[arg(help_heading = GLOBAL)]
    pub color: Color,
    /// Log more, on stderr (-vv, -vvv: still more); wins over NEAP_LOG=FILTER
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a whole local cluster: a master and some slaves
    #[command(after_help = nodes::UP_EXAMPLES)]
    Up(nodes::Up),
    /// Show the main job on a local cluster, from start to end
    #[command(after_help = nodes::DEMO_EXAMPLES)]
    Demo(nodes::Demo),
    /// Run one master
    #[command(after_help = nodes::MASTER_EXAMPLES)]
    Master(nodes::Master),
    /// Run one slave
    #[command(after_help = nodes::SLAVE_EXAMPLES, disable_help_subcommand = true)]
    Slave(Slave),
    /// Run the default executor; slaves start it
    #[command(hide = true, after_help = nodes::EXECUTOR_EXAMPLES)]
    Executor(nodes::Executor),
    /// Index a shard of the demo's files; the demo starts it
    #[command(hide = true, after_help = nodes::INDEX_EXAMPLES)]
    Index(nodes::Index),
    /// Run a command many times over, as a batch or a service
    #[command(after_help = work::RUN_EXAMPLES)]
    Run(work::Run),
    /// Print a task's stdout and stderr, wherever it ran
    #[command(after_help = work::LOGS_EXAMPLES)]
    Logs(work::Logs),
    /// Kill a task
    #[command(after_help = work::KILL_EXAMPLES)]
    Kill(work::Kill),
    /// Remove a framework, and kill its tasks everywhere
    #[command(after_help = change::TEARDOWN_EXAMPLES)]
    Teardown(change::Teardown),
    /// Show the leader, and every slave with its holds and drain
    #[command(after_help = show::STATUS_EXAMPLES)]
    Status(show::Show),
    /// List slaves
    #[command(after_help = show::SLAVES_EXAMPLES)]
    Slaves(show::Show),
    /// List tasks
    #[command(after_help = show::TASKS_EXAMPLES)]
    Tasks(show::Tasks),
    /// List frameworks
    #[command(after_help = show::FRAMEWORKS_EXAMPLES)]
    Frameworks(show::Show),
    /// List offers
    #[command(after_help = show::OFFERS_EXAMPLES)]
    Offers(show::Show),
    /// List inverse offers
    #[command(after_help = show::INVERSE_OFFERS_EXAMPLES)]
    InverseOffers(show::Show),
    /// Print what happened in the cluster
    #[command(after_help = show::EVENTS_EXAMPLES)]
    Events(show::Events),
    /// Stop offering a slave; its tasks run on
    #[command(after_help = change::DEACTIVATE_EXAMPLES)]
    Deactivate(change::Deactivate),
    /// Lift a hold from a slave; it is offered when none is left
    #[command(after_help = change::ACTIVATE_EXAMPLES)]
    Activate(change::Activate),
    /// Ask a framework to give resources back by a deadline
    #[command(after_help = change::INVERSE_OFFER_EXAMPLES, override_usage = change::INVERSE_OFFER_USAGE)]
    InverseOffer(change::InverseOffer),
    /// Empty a slave by a deadline
    #[command(after_help = change::DRAIN_EXAMPLES, override_usage = change::DRAIN_USAGE)]
    Drain(change::Drain),
    /// Lift a halt of removals, when too much of the cluster is silent
    #[command(after_help = change::RESUME_EXAMPLES, arg_required_else_help = true)]
    #[command(disable_help_subcommand = true)]
    Removals(change::Removals),
    /// Make a CA, and certificates for nodes
    #[command(after_help = pki::EXAMPLES, arg_required_else_help = true, disable_help_subcommand = true)]
    Pki(pki::Pki),
    /// Show, check and back up what a master keeps on its disk
    #[command(after_help = registry::EXAMPLES, arg_required_else_help = true, disable_help_subcommand = true)]
    Registry(registry::Registry),
}

/// Reads the command line `args` (the program's name first), carries it out, and says how it ended.
pub fn main(args: Vec<OsString>) -> ExitCode {
    // Started once a task: to make the command line that nobody uses took it longer than all else together.
    if let Some(exit) = executor::main(&args) {
        return exit.into();
    }
    let looks = Looks::of(&args);
    let exit = match parse(args, looks.color) {
        Ok(cli) => run(cli),
        Err(error) => unparsed(&error, &looks),
    };
    exit.into()
}

/// Reads a command line.
///
/// # Errors
/// clap's: also where help or the version was asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>, color: Color) -> Result<Cli, clap::Error> {
    let color = match color {
        Color::Auto => clap::ColorChoice::Auto,
        Color::Always => clap::ColorChoice::Always,
        Color::Never => clap::ColorChoice::Never,
    };
    let mut command = command().color(color);
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The whole command line as clap knows it, with the commands of `neap --help` in groups.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{{options}}{{after-help}}",
        groups(&command)
    );
    quiet(command).help_template(template).after_help(exit_codes())
}

/// What the code that carries out a command needs beside its arguments.
#[derive(Debug)]
pub struct Context {
    /// The form of what is printed.
    pub format: Format,
    /// Whether it is coloured.
    pub color: Color,
    /// The config file.
    pub loaded: Loaded,
}

impl Context {
    /// Prints the command's results.
    pub fn printer(&self) -> Printer {
        Printer::stdout(self.format, self.color)
    }
}

fn run(cli: Cli) -> Exit {
    let Global { output: format, color, config, verbose } = cli.global;
    let result = log::init(verbose, cli.command.is_daemon(), color)
        .and_then(|()| match cli.command.reads_config() {
            true => Ok(Loaded::find(config.as_deref())?),
            false => Ok(Loaded::default()),
        })
        .and_then(|loaded| dispatch(cli.command, &Context { format, color, loaded }));
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Success,
        Err(failure) => {
            failure.report(format, color);
            failure.exit()
        }
    }
}

/// Carries out `command`. A command's code is hung here, and nowhere else.
fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    let loaded = &context.loaded;
    match command {
        Command::Master(args) => {
            let settings = loaded.master(&args.cluster, args.settings)?;
            tracing::debug!(?settings, "settings in force");
            crate::master::main(&settings, &mut context.printer())
        }
        Command::Slave(Slave { command: Some(SlaveCommand::Forget(args)), .. }) => {
            operator::main(Task::Forget(*args), context)
        }
        Command::Slave(args) => {
            let settings = loaded.slave(&args.cluster, args.settings)?;
            tracing::debug!(?settings, "settings in force");
            slave::run(settings, context.printer())
        }
        Command::Run(args) => {
            let connection = loaded.framework(&args.cluster)?;
            tracing::debug!(?connection, "settings in force");
            framework::command::run(args, connection, context.printer())
        }
        Command::Status(args) => operator::main(Task::Status(args), context),
        Command::Slaves(args) => operator::main(Task::Slaves(args), context),
        Command::Tasks(args) => operator::main(Task::Tasks(args), context),
        Command::Frameworks(args) => operator::main(Task::Frameworks(args), context),
        Command::Offers(args) => operator::main(Task::Offers(args), context),
        Command::InverseOffers(args) => operator::main(Task::InverseOffers(args), context),
        Command::Events(args) => operator::main(Task::Events(args), context),
        Command::Deactivate(args) => operator::main(Task::Deactivate(args), context),
        Command::Activate(args) => operator::main(Task::Activate(args), context),
        Command::InverseOffer(args) => operator::main(Task::InverseOffer(args), context),
        Command::Drain(args) => operator::main(Task::Drain(args), context),
        Command::Logs(args) => operator::main(Task::Logs(args), context),
        Command::Kill(args) => operator::main(Task::Kill(args), context),
        Command::Teardown(args) => operator::main(Task::Teardown(args), context),
        Command::Removals(args) => match args.command {
            RemovalsCommand::Resume(args) => operator::main(Task::ResumeRemovals(args), context),
        },
        Command::Up(args) => crate::up::main(&args, &mut context.printer()),
        Command::Demo(args) => crate::demo::main(&args, &mut context.printer()),
        Command::Index(args) => crate::demo::index(&args),
        Command::Executor(args) => executor::Birth::from_environment(args.socket).and_then(executor::run),
        Command::Pki(args) => crate::pki::main(args.command, &mut context.printer()),
        Command::Registry(args) => {
            crate::master::registry::main(args.command, loaded, &mut context.printer())
        }
    }
}

impl Command {
    /// Whether it runs until it is told to end, and logs what it does.
    fn is_daemon(&self) -> bool {
        matches!(self, Self::Master(_) | Self::Slave(Slave { command: None, .. }) | Self::Executor(_))
    }

    /// Whether the config file matters to it: not to those that make one, or that get theirs from a slave.
    fn reads_config(&self) -> bool {
        !matches!(self, Self::Up(_) | Self::Demo(_) | Self::Executor(_) | Self::Pki(_))
    }
}

/// How errors look, found before the line is known to parse; so that its own errors look right as well.
#[derive(Debug, PartialEq, Eq)]
struct Looks {
    format: Format,
    color: Color,
}

impl Looks {
    fn of(args: &[OsString]) -> Self {
        let args: Vec<&str> =
            args.iter().map_while(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
        Self {
            format: chosen(&args, "--output", Some("-o"), "NEAP_OUTPUT"),
            color: chosen(&args, "--color", None, "NEAP_COLOR"),
        }
    }
}

/// The value of the flag `long`, or of the variable `env`, or the default where that is none.
fn chosen<T: ValueEnum + Default>(args: &[&str], long: &str, short: Option<&str>, env: &str) -> T {
    let flag = args.iter().enumerate().find_map(|(at, arg)| match short {
        _ if *arg == long || Some(*arg) == short => args.get(at + 1).copied(),
        _ if arg.starts_with(long) => arg[long.len()..].strip_prefix('='),
        Some(short) => arg.strip_prefix(short).map(|value| value.strip_prefix('=').unwrap_or(value)),
        None => None,
    });
    let value = flag.map(str::to_owned).or_else(|| std::env::var(env).ok());
    value.and_then(|value| T::from_str(&value, false).ok()).unwrap_or_default()
}

/// Answers a line that is no command: help and version that were asked for, or what is wrong with it.
fn unparsed(error: &clap::Error, looks: &Looks) -> Exit {
    let wanted = !error.use_stderr();
    let printed = match looks.format {
        Format::Json if !wanted => {
            usage_failure(error).report(Format::Json, looks.color);
            Ok(())
        }
        Format::Json | Format::Text => error.print().and_then(|()| io::stdout().flush()),
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Failure::from(error).report(looks.format, looks.color);
            Exit::Failed
        }
        Ok(()) | Err(_) if wanted => Exit::Success,
        Ok(()) | Err(_) => Exit::Usage,
    }
}

/// clap's error as ours: its first paragraph is the message, its tips are the help.
fn usage_failure(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::new(Exit::Usage, "no command was given").help("`neap --help` lists the commands");
    }
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message).trim();
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.fold(Failure::new(Exit::Usage, message), Failure::help)
        .help("`neap --help` and `neap COMMAND --help` tell more")
}

/// The commands in the groups that a person looks for them in.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Start a cluster", &["up", "demo", "master", "slave", "pki"]),
    ("Run work on it", &["run", "logs", "kill", "teardown"]),
    ("Look at it", &["status", "slaves", "tasks", "frameworks", "offers", "inverse-offers", "events"]),
    ("Take machines out, put them back", &["drain", "deactivate", "activate", "inverse-offer", "removals"]),
    ("Look after a master's disk", &["registry"]),
];

/// Help names variables but not what they hold here and now, so that it reads the same everywhere.
fn quiet(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(quiet)
}

const GLOBAL: &str = "Global options";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

fn groups(command: &clap::Command) -> String {
    let (header, literal) = (STYLES.get_header(), STYLES.get_literal());
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{header}{title}:{header:#}\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {literal}{name:<15}{literal:#} {about}\n"));
        }
        text.push('\n');
    }
    text.push_str(&format!("{header}{GLOBAL}:{header:#}\n"));
    text
}

fn exit_codes() -> String {
    let header = STYLES.get_header();
    let lines = Exit::ALL.map(|exit| format!("\n  {:>3}  {}", exit.code(), exit.meaning()));
    format!("{header}Exit codes:{header:#}{}", lines.concat())
}

/// A parser of values that explains itself, for types whose errors are theirs.
fn invalid(what: impl fmt::Display, error: &(impl Error + ?Sized)) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for {what}: {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_or_hidden() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let command = command();
        let mut shown: Vec<&str> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        shown.sort_unstable();
        assert_eq!(grouped, shown);
    }

    #[test]
    fn clap_finds_no_fault_with_the_definitions() {
        command().debug_assert();
    }

    #[test]
    fn looks_are_found_wherever_they_stand() {
        let looks = |line: &str| Looks::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in
            ["neap --output json x", "neap x --output=json", "neap -o json", "neap -ojson", "neap -o=json"]
        {
            assert_eq!(looks(line).format, Format::Json, "{line}");
        }
        assert_eq!(looks("neap run -- --output json").format, Format::Text);
        assert_eq!(looks("neap --output nonsense").format, Format::Text);
        assert_eq!(looks("neap --color never").color, Color::Never);
    }
}
