//! What a world is like: how many of what, and what may happen.

use neap_protocol::framework::NewTask;
use neap_protocol::message::{Command, Query, SlaveRef};
use neap_protocol::resources::Resources;
use neap_protocol::time::Millis;
use neap_protocol::{executor, framework, master, slave};

use crate::world::{Alike, Budget};

/// A bounded world. Nothing of it changes while the world goes on.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What people call it.
    pub name: &'static str,
    /// What it covers, in a line.
    pub about: &'static str,
    /// Whether it takes too long for every change's check.
    pub long: bool,
    /// How many masters there are; the first leads at the beginning.
    pub masters: u8,
    /// How many slaves.
    pub slaves: u8,
    /// How many frameworks.
    pub frameworks: u8,
    /// What each slave has.
    pub resources: Resources,
    /// What schedulers launch: one of these at a time.
    pub tasks: Vec<NewTask>,
    /// The operator's commands, given in this order at any moment.
    pub commands: Vec<Command>,
    /// What may happen, how often.
    pub budget: Budget,
    /// Whether executors leave a descendant that ignores SIGTERM and has left their session, and tasks ignore SIGTERM.
    pub hostile: bool,
    /// Whether a master that crashed is started again.
    pub masters_return: bool,
    /// Whether a framework that crashed is started again.
    pub frameworks_return: bool,
    /// How long one that is started again may be away then; `None` for as long as before.
    pub failover_again: Option<Millis>,
    /// Whether a scheduler's callback takes its time: it may crash before what is to be remembered of it is durable, and
    /// before its driver has done anything after that. If not, all of that is one step.
    pub slow_callbacks: bool,
    /// Whether schedulers answer inverse offers.
    pub answers: bool,
    /// Of whom the first goes first; where it is nobody, every order is gone through.
    pub alike: Alike,
    /// The machines' settings.
    pub master: master::Config,
    /// The same of slaves.
    pub slave: slave::Config,
    /// The same of frameworks, by number.
    pub framework: Vec<framework::Config>,
    /// The same of executors.
    pub executor: executor::Config,
}

impl Scope {
    /// Whether what is launched is fenced (R9): all of it, or nothing.
    pub fn is_fenced(&self) -> bool {
        self.tasks.first().is_some_and(|task| task.fence_after.is_some())
    }
}

/// The slave that a command is about.
pub(crate) fn slave_of(command: &mut Command) -> Option<&mut SlaveRef> {
    match command {
        Command::Deactivate { slave, .. }
        | Command::Activate { slave, .. }
        | Command::InverseOffer { slave, .. }
        | Command::Drain { slave, .. }
        | Command::PlanDrain { slave, .. }
        | Command::DrainNow { slave, .. }
        | Command::ForgetSlave { slave, .. }
        | Command::Show(Query::Slave(slave)) => Some(slave),
        Command::Show(_)
        | Command::Watch
        | Command::CancelInverseOffer(_)
        | Command::CancelDrain(_)
        | Command::ExtendDrain(..)
        | Command::Kill { .. }
        | Command::Teardown { .. }
        | Command::ResumeRemovals { .. } => None,
    }
}
