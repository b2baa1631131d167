//! Commands that look and change nothing.

use clap::Args;

use crate::config::{ClusterConfig, OperatorConfig};

/// How an operator's command reaches the leader, from flags and environment.
#[derive(Debug, Args)]
pub struct Connect {
    /// `[cluster]`.
    #[command(flatten)]
    pub cluster: ClusterConfig,
    /// `[operator]`.
    #[command(flatten)]
    pub operator: OperatorConfig,
}

/// `neap status` and the listings.
#[derive(Debug, Args)]
pub struct Show {
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const STATUS_EXAMPLES: &str = examples! {
    "The cluster at a glance", "neap status";
    "For a program", "neap status --output json";
};

pub(super) const SLAVES_EXAMPLES: &str = examples! {
    "Every slave, its state and what is left of it", "neap slaves";
    "For a program, one object a slave", "neap slaves --output json";
};

/// `neap tasks`.
#[derive(Debug, Args)]
pub struct Tasks {
    /// Those that ended lately, as far as the master remembers them
    #[arg(long)]
    pub ended: bool,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const TASKS_EXAMPLES: &str = examples! {
    "Every task that is not over", "neap tasks";
    "Those that ended lately, the last one last", "neap tasks --ended";
    "For a program, one object a task", "neap tasks --output json";
};

pub(super) const FRAMEWORKS_EXAMPLES: &str = examples! {
    "Every framework and what it holds", "neap frameworks";
};

pub(super) const OFFERS_EXAMPLES: &str = examples! {
    "What is lent out, to whom", "neap offers";
};

pub(super) const INVERSE_OFFERS_EXAMPLES: &str = examples! {
    "What is asked back, by when, and what the frameworks answered", "neap inverse-offers";
};

/// `neap events`.
#[derive(Debug, Args)]
pub struct Events {
    /// What happens from here on, as it happens, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const EVENTS_EXAMPLES: &str = examples! {
    "What happened lately", "neap events";
    "Watch, one JSON object an event", "neap events --follow --output json";
};
