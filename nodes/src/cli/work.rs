//! Commands about tasks.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use neap_protocol::ids::TaskId;
use neap_protocol::text::Name;

use super::show::Connect;
use crate::config::ClusterConfig;
use crate::units::{ByteSize, Cpus, Period};

/// `neap run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The framework's name
    #[arg(long, value_name = "N", value_parser = Name::new)]
    pub name: Name,
    /// How many tasks run the command
    #[arg(long, value_name = "K", default_value_t = 1)]
    #[arg(value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    pub instances: u32,
    /// Cpus of each task: 2, 0.5 or 250m
    #[arg(long, value_name = "C", default_value = "0.1")]
    pub cpus: Cpus,
    /// Memory of each task, in binary units: 64M, 1G, 512Ki
    #[arg(long, value_name = "M", default_value = "32M")]
    pub mem: ByteSize,
    /// Keep every instance running; without it, each runs until it has succeeded once, or failed too often (--attempts)
    #[arg(long)]
    pub service: bool,
    /// How often an instance of a batch may fail before it is given up: a number, or `unlimited`. What is killed or lost
    /// runs again, and is not counted
    #[arg(long, value_name = "K", default_value_t, conflicts_with = "service")]
    pub attempts: Attempts,
    /// When a service must leave a slave: how long a replacement must have run before the old task is ended. One that ends
    /// sooner is tried again, and the old task stays; at the deadline it goes in any case
    #[arg(
        long,
        value_name = "D",
        default_value = "5s",
        requires = "service",
        conflicts_with = "fence_after"
    )]
    pub min_healthy: Period,
    /// Time between SIGTERM and SIGKILL when a task is killed
    #[arg(long, value_name = "D", default_value = "5s")]
    pub kill_grace: Period,
    /// Outlive this process: Ctrl-C, SIGTERM or its death leave the tasks as they are, and the next `neap run` with this
    /// ID and the same command takes them up. SIGUSR1 ends them
    #[arg(long, value_name = "ID", value_parser = Name::new)]
    pub id: Option<Name>,
    /// Where what is to be taken up is kept [default: neap/ in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, env = "NEAP_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How long the tasks go on while no process has them
    #[arg(long, value_name = "D", default_value = "1m")]
    pub failover_timeout: Period,
    /// Wait for tasks whose slave does not answer: they may come back with it. Without this they are lost, started anew,
    /// and ended when it is back
    #[arg(long)]
    pub partition_aware: bool,
    /// End a task that has had no leader for so long: one that is lost is then dead, and no instance of a service runs
    /// twice. From 1s to half of what a master waits before it gives a slave up (37.5s by default)
    #[arg(long, value_name = "D")]
    pub fence_after: Option<Period>,
    /// Set a variable in the tasks' environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<Variable>,
    /// Record every input of the framework in FILE, for `neap-model replay`
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Write what came of each input whole, and not as a digest: a larger journal, which shows more
    #[arg(long, requires = "journal")]
    pub journal_effects: bool,
    /// The command and its arguments; no shell reads them
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
    /// `[cluster]`, from flags and environment.
    #[command(flatten)]
    pub cluster: ClusterConfig,
}

pub(super) const RUN_EXAMPLES: &str = examples! {
    "A batch of ten, until all have succeeded",
    "neap run --name index --instances 10 --cpus 0.5 --mem 64M -- ./index.sh";
    "A service that is moved when its slave is drained, once the new task has run for half a minute",
    "neap run --name web --instances 3 --service --min-healthy 30s -- python3 -m http.server";
    "A shell where one is wanted; one JSON line for each update",
    "neap run --name hi --output json -- sh -c 'echo $WHO' --";
    "A service that this process's end does not end: the same line takes it up within five minutes",
    "neap run --name web --id web --failover-timeout 5m --instances 3 --service -- ./server";
    "One that is not to run twice, not even beside a partition",
    "neap run --name db --service --fence-after 20s -- ./primary";
    "With an environment and half a minute to end",
    "neap run --name job --env MODE=fast --kill-grace 30s -- ./job";
};

/// How often something may fail: a number from 1, or without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(Option<NonZeroU32>);

impl Attempts {
    /// How often, if not without a limit.
    pub fn limit(self) -> Option<u32> {
        self.0.map(NonZeroU32::get)
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self(NonZeroU32::new(3))
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(attempts) => attempts.fmt(f),
            None => f.write_str(UNLIMITED),
        }
    }
}

const UNLIMITED: &str = "unlimited";

impl FromStr for Attempts {
    type Err = AttemptsError;

    fn from_str(text: &str) -> Result<Self, AttemptsError> {
        match text.parse() {
            Ok(attempts) => Ok(Self(Some(attempts))),
            Err(_) if text == UNLIMITED => Ok(Self(None)),
            Err(_) => Err(AttemptsError),
        }
    }
}

/// The text is no number of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("accepted: a number from 1, or `unlimited`")]
pub struct AttemptsError;

/// A variable of a task's environment: `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Neither empty nor with a `=`.
    pub name: String,
    /// Anything, nothing included.
    pub value: String,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl FromStr for Variable {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, VariableError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.into(), value: value.into() }),
            Some(_) | None => Err(VariableError),
        }
    }
}

/// The text is no `NAME=VALUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a variable is written NAME=VALUE")]
pub struct VariableError;

/// `neap logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The task's id, such as F1.7
    #[arg(value_name = "TASK")]
    pub task: TaskId,
    /// Go on with what the task writes, until it ends or Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const LOGS_EXAMPLES: &str = examples! {
    "What the task has written, stdout to stdout and stderr to stderr", "neap logs F1.7";
    "What it writes from here on, too, until it ends", "neap logs F1.7 --follow";
    "For a program, one object a line; a line that is no UTF-8 has `hex` in place of `data`",
    "neap logs F1.7 --output json";
};

/// `neap kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The task's id, such as F1.7
    #[arg(value_name = "TASK")]
    pub task: TaskId,
    /// Why, for the audit
    #[arg(long, value_name = "T", default_value = "", hide_default_value = true, value_parser = super::change::text)]
    pub reason: neap_protocol::text::Text,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const KILL_EXAMPLES: &str = examples! {
    "SIGTERM, the task's kill grace, SIGKILL", "neap kill F1.7";
};
