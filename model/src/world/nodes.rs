//! The nodes of a world: each machine of the core, unchanged, with what its driver would keep for it.

use neap_protocol::executor::{self, Executor};
use neap_protocol::framework::{self, Framework, Memory, MemoryChange};
use neap_protocol::ids::{Epoch, ExecutorId, FrameworkId, Seq, TaskId};
use neap_protocol::master::{self, Master};
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::slave::{self, Checkpoint, CheckpointChange, Slave};
use neap_protocol::task::Update;

use super::timers::Timers;

/// A master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MasterNode {
    /// `None` while it is down.
    pub machine: Option<Master>,
    /// The epoch that it was elected with; 0 if it was not.
    pub epoch: Epoch,
    pub(super) timers: Timers<master::Timer>,
    /// Writes that were asked for and are not durable.
    pub(super) writes: Vec<(Epoch, Seq, Operation)>,
    /// Commands that it has not answered.
    pub(super) asked: Vec<u8>,
}

impl MasterNode {
    /// What it has asked to be written.
    pub fn pending(&self) -> impl Iterator<Item = &Operation> {
        self.writes.iter().map(|(_, _, operation)| operation)
    }

    /// What of that it asked for in this epoch.
    pub fn pending_in(&self, epoch: Epoch) -> impl Iterator<Item = &Operation> {
        self.writes.iter().filter(move |(of, ..)| *of == epoch).map(|(_, _, operation)| operation)
    }

    /// How many operators wait for its answer.
    pub fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// In which epoch it asked for its next write.
    pub fn first_write(&self) -> Option<Epoch> {
        self.writes.first().map(|(epoch, ..)| *epoch)
    }
}

/// The registry's store, which outlives masters and lets no deposed one write (R30).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is durable.
    pub registry: Registry,
    /// The highest epoch that it has heard of: reading the registry tells it.
    pub fence: Epoch,
}

/// A plan that the operator was shown (R23).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What it was made from, in a number.
    pub digest: u64,
    /// The tasks that it named.
    pub tasks: Vec<TaskId>,
}

/// A slave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SlaveNode {
    /// `None` while it is down.
    pub machine: Option<Slave>,
    /// What is durable.
    pub disk: Checkpoint,
    /// The code that it has exited with.
    pub exited: Option<u8>,
    /// How often its machine was started.
    pub boots: u8,
    pub(super) timers: Timers<slave::Timer>,
    /// Writes that were asked for and are not durable.
    pub(super) writes: Vec<(Seq, CheckpointChange)>,
    pub(super) dialing: bool,
    /// Whether it is stopped: it keeps its sessions, and does nothing until it goes on.
    pub stalled: bool,
    /// The number of its newest session.
    pub(super) dialled: u8,
}

impl SlaveNode {
    /// Whether its process is there and goes on.
    pub(super) fn acts(&self) -> bool {
        self.machine.is_some() && !self.stalled
    }

    /// What it has asked to be written.
    pub fn pending(&self) -> impl Iterator<Item = &CheckpointChange> {
        self.writes.iter().map(|(_, change)| change)
    }
}

/// A framework, and what its driver keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameworkNode {
    /// `None` while it is down.
    pub machine: Option<Framework>,
    /// What is durable.
    pub memory: Memory,
    /// Whether it is over: torn down, or refused.
    pub over: bool,
    /// Whether it was started again, with other settings.
    pub again: bool,
    /// Whether its scheduler wants no offers.
    pub sated: bool,
    /// Until it returns and what it led to is durable, its driver does nothing else.
    pub(super) callback: Option<Callback>,
    pub(super) timers: Timers<framework::Timer>,
    pub(super) dialing: bool,
    /// The number of its newest session.
    pub(super) dialled: u8,
}

impl FrameworkNode {
    /// Its id, if it has one.
    pub fn id(&self) -> Option<FrameworkId> {
        self.machine.as_ref().and_then(Framework::id).or(self.memory.id)
    }

    /// What it is to remember, and does not yet.
    pub fn pending(&self) -> impl Iterator<Item = &MemoryChange> {
        self.callback.iter().filter_map(|callback| callback.change.as_ref())
    }

    /// The task whose update it was called with, and has not handled.
    pub fn unhandled(&self) -> Option<TaskId> {
        self.callback.as_ref()?.update.as_ref().map(|update| update.task)
    }
}

/// A callback of a scheduler that has not returned, and what comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Callback {
    /// What is to be durable first.
    pub(super) change: Option<MemoryChange>,
    /// What is handled then.
    pub(super) update: Option<Update>,
    /// Then these effects are taken,
    pub(super) effects: Vec<framework::Effect>,
    /// and then these inputs.
    pub(super) inputs: Vec<framework::Input>,
}

/// An executor's process tree on a slave's host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    /// On which slave's host.
    pub slave: u8,
    /// Whose.
    pub id: ExecutorId,
    /// Whether its first process is yet to be started.
    pub starting: bool,
    /// The executor; `None` once its first process has ended.
    pub machine: Option<Executor>,
    /// The tasks' own processes that live.
    pub processes: Vec<Process>,
    /// Every task that ever ran in it.
    pub hosted: Vec<TaskId>,
    /// A descendant that double-forked, changed session and ignores SIGTERM.
    pub stray: bool,
    pub(super) timers: Timers<executor::Timer>,
    /// SIGKILL is under way to everything.
    pub(super) killing: bool,
    /// The slave has heard how the first process ended.
    pub(super) exit_told: bool,
    /// The number of its newest session.
    pub(super) dialled: u8,
}

/// A task's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Whose.
    pub task: TaskId,
    /// A signal is under way that it does not resist.
    pub dying: bool,
    /// That is SIGKILL. Of SIGTERM it may make an exit of its own.
    pub forced: bool,
}

impl Tree {
    pub(super) fn new(slave: u8, id: ExecutorId) -> Self {
        Self {
            slave,
            id,
            starting: true,
            machine: None,
            processes: Vec::new(),
            hosted: Vec::new(),
            stray: false,
            timers: Timers::default(),
            killing: false,
            exit_told: false,
            dialled: 0,
        }
    }

    /// Whether SIGKILL is under way to everything.
    pub fn is_being_killed(&self) -> bool {
        self.killing
    }

    /// Whether its slave has heard how the first process ended.
    pub fn exit_was_told(&self) -> bool {
        self.exit_told
    }

    /// Whether any process of it lives.
    pub fn is_alive(&self) -> bool {
        self.machine.is_some() || !self.processes.is_empty() || self.stray
    }

    pub(super) fn die(&mut self) {
        self.machine = None;
        self.processes.clear();
        self.stray = false;
        self.timers.clear();
    }
}
