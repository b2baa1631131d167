//! Commands that start nodes.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};

use super::change::{self, Forget};
use crate::config::{ClusterConfig, MasterConfig, SlaveConfig};

/// `neap up`.
#[derive(Debug, Args)]
pub struct Up {
    /// How many slaves to start
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = RangedU64ValueParser::<u16>::new().range(1..=256))]
    pub slaves: u16,
    /// Directory for settings, certificates, logs and data; made where there is none
    #[arg(long, value_name = "D", default_value = ".neap")]
    pub dir: PathBuf,
    /// Record every node and every executor, each in a file of its own in DIR, for `neap-model replay`
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

pub(super) const UP_EXAMPLES: &str = examples! {
    "With journals of every node, to replay", "neap up --journal journals";
    "A master and three slaves, until Ctrl-C; other commands find it from here", "neap up";
    "Ten slaves, elsewhere", "neap up --slaves 10 --dir /tmp/cluster";
};

/// `neap demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Directory whose files are indexed [default: neap's own source tree]
    #[arg(value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Record every node and every executor, each in a file of its own in DIR, for `neap-model replay`
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

pub(super) const DEMO_EXAMPLES: &str = examples! {
    "With journals of every node, to replay", "neap demo --journal journals";
    "Index neap's own sources while slaves are drained, revoked from and lost", "neap demo";
    "The same with files of yours", "neap demo /usr/share/doc";
};

/// `neap master`.
#[derive(Debug, Args)]
pub struct Master {
    /// `[master]`, from flags and environment.
    #[command(flatten)]
    pub settings: MasterConfig,
    /// `[cluster]`, from flags and environment.
    #[command(flatten)]
    pub cluster: ClusterConfig,
}

pub(super) const MASTER_EXAMPLES: &str = examples! {
    "With the settings of a file", "neap master --config /etc/neap/neap.toml";
    "With flags alone",
    "neap master --data /var/lib/neap --ca ca.pem --cert m1.pem --key m1.key";
};

/// `neap slave`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Slave {
    /// What to do with a slave of the cluster, instead of being one.
    #[command(subcommand)]
    pub command: Option<SlaveCommand>,
    /// `[slave]`, from flags and environment.
    #[command(flatten)]
    pub settings: SlaveConfig,
    /// `[cluster]`, from flags and environment.
    #[command(flatten)]
    pub cluster: ClusterConfig,
}

/// What operators do to a slave that is no more.
#[derive(Debug, Subcommand)]
pub enum SlaveCommand {
    /// Remove a slave that is dead from the cluster, for good
    #[command(after_help = change::FORGET_EXAMPLES)]
    Forget(Box<Forget>),
}

pub(super) const SLAVE_EXAMPLES: &str = examples! {
    "With the settings of a file; SIGUSR1 drains it now", "neap slave --config /etc/neap/neap.toml";
    "Offer half a cpu and 512 MiB, whatever the file says", "neap slave --cpus 0.5 --mem 512M";
    "Say that a machine is gone for good", "neap slave forget slave-3 --reason 'burnt down'";
};

/// `neap executor`, which slaves start and people do not.
#[derive(Debug, Args)]
pub struct Executor {
    /// The slave's socket
    #[arg(long, env = "NEAP_EXECUTOR_SOCKET", value_name = "PATH")]
    pub socket: PathBuf,
}

/// `neap index`, what the demo's tasks do.
#[derive(Debug, Args)]
pub struct Index {
    /// The directory with N.shard, a list of files; N.index is written there, N being NEAP_INSTANCE
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Milliseconds to take over all of them, at least
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub time_ms: u64,
}

pub(super) const INDEX_EXAMPLES: &str = examples! {
    "What a task of the demo runs, with NEAP_INSTANCE set", "neap index --dir shards";
};

pub(super) const EXECUTOR_EXAMPLES: &str = examples! {
    "What a slave starts in an executor's sandbox", "neap executor --socket executor.sock";
};
