//! Commands about a master's registry.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `neap registry`.
#[derive(Debug, Args)]
pub struct Registry {
    /// What to do with it.
    #[command(subcommand)]
    pub command: RegistryCommand,
}

/// What is done with a registry. None of it changes the registry.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Show what the registry holds, or who changed it
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Verify the registry, every line of it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Write a copy that a master can start from
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(Backup),
}

/// Which registry.
#[derive(Debug, Args)]
pub struct Of {
    /// The master's data directory [default: that of the config's `[master]`]
    #[arg(long, env = "NEAP_MASTER_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A registry's own file, such as a copy; instead of a data directory's
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `neap registry show`.
#[derive(Debug, Args)]
pub struct Show {
    /// What operators asked to be changed: who, when, why, and what became of it
    #[arg(long)]
    pub audit: bool,
    /// Which registry.
    #[command(flatten)]
    pub of: Of,
}

/// `neap registry check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Which registry.
    #[command(flatten)]
    pub of: Of,
}

/// `neap registry backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The copy; there must be no file of that name
    #[arg(value_name = "COPY")]
    pub copy: PathBuf,
    /// Which registry.
    #[command(flatten)]
    pub of: Of,
}

pub(super) const EXAMPLES: &str = examples! {
    "What a master knows, whether it runs or not", "neap registry show --data /var/lib/neap";
    "A copy of it", "neap registry backup registry-monday.redb";
};

const SHOW_EXAMPLES: &str = examples! {
    "Slaves, drains, inverse offers, frameworks, and ends that none has acknowledged", "neap registry show";
    "Who changed what, when and why", "neap registry show --audit";
    "For a program", "neap registry show --data /var/lib/neap --output json";
};

const CHECK_EXAMPLES: &str = examples! {
    "Of the master that the config names", "neap registry check";
    "Of a copy", "neap registry check --file registry-monday.redb";
};

const BACKUP_EXAMPLES: &str = examples! {
    "Whether the master runs or not; as DIR/registry.redb, `neap master --data DIR` starts from it",
    "neap registry backup registry-monday.redb";
    "Of another master", "neap registry backup --data /var/lib/neap registry-monday.redb";
};
