//! What a slave keeps across restarts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Epoch, SlaveId, TaskId};
use crate::message::Final;
use crate::task::{Ending, TaskReport, Update};

/// A slave's durable state (R2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id, if a master has admitted it.
    pub id: Option<SlaveId>,
    /// The highest epoch that it has obeyed (R30).
    pub epoch: Epoch,
    /// The start of its machine in which this was written.
    pub boot: BootId,
    /// Whether it was leaving: whoever starts it anew has it finish that first (R24).
    pub leaving: bool,
    /// Its tasks, by id, in order.
    pub tasks: Vec<CheckpointTask>,
}

/// A task of a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckpointTask {
    /// The task, with its newest state.
    pub report: TaskReport,
    /// Which executor of its framework has it.
    pub executor: u32,
    /// Whether that is the framework's own, which may have other tasks.
    pub shared: bool,
    /// How many of its executor's own updates were heard.
    pub heard: u32,
    /// How it ended, where its executor has said that and its tree may live: told once that is seen dead (S1).
    pub ended: Option<Update>,
    /// Its updates that are not acknowledged, in order.
    pub updates: Vec<Final>,
}

/// One change of a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckpointChange {
    /// A leader has admitted it.
    Identity {
        /// Under this id.
        id: SlaveId,
        /// In this epoch.
        epoch: Epoch,
    },
    /// It was started, and not yet in this start of its machine.
    Booted(BootId),
    /// It begins to leave, or will not leave any more.
    Leaving(bool),
    /// A task was launched.
    TaskAdded {
        /// The task.
        report: TaskReport,
        /// Which executor of its framework gets it.
        executor: u32,
        /// Whether that is the framework's own.
        shared: bool,
    },
    /// The executor of a task has said how it ended.
    Ended {
        /// What will be told of it.
        update: Update,
        /// The number that this had among the executor's updates.
        heard: u32,
    },
    /// A task has news.
    UpdateAdded {
        /// The news.
        update: Update,
        /// How its process tree ended, where it did.
        ending: Option<Arc<Ending>>,
        /// The number of the unacknowledged update whose place it takes.
        replaces: Option<u32>,
        /// The number that it had among its executor's updates; 0 where it is the slave's own.
        heard: u32,
    },
    /// A task's updates are acknowledged.
    Acknowledged {
        /// Which task's.
        task: TaskId,
        /// Up to which.
        number: u32,
    },
    /// A task is over, and its end acknowledged.
    TaskForgotten {
        /// Which.
        task: TaskId,
    },
    /// Everything is this, whatever it was.
    Whole(Checkpoint),
    /// Nothing is left to remember.
    Cleared,
}

impl Checkpoint {
    /// Makes one change. A change of a task that is not there changes nothing.
    pub fn apply(&mut self, change: CheckpointChange) {
        match change {
            CheckpointChange::Identity { id, epoch } => {
                self.id = Some(id);
                self.epoch = epoch;
            }
            CheckpointChange::Booted(boot) => self.boot = boot,
            CheckpointChange::Leaving(leaving) => self.leaving = leaving,
            CheckpointChange::TaskAdded { report, executor, shared } => {
                if let Err(place) = self.place(report.id) {
                    let (heard, ended, updates) = (0, None, Vec::new());
                    let task = CheckpointTask { report, executor, shared, heard, ended, updates };
                    self.tasks.insert(place, task);
                }
            }
            CheckpointChange::Ended { update, heard } => {
                if let Some(task) = self.task_mut(update.task) {
                    task.heard = task.heard.max(heard);
                    task.ended = Some(update);
                }
            }
            CheckpointChange::UpdateAdded { update, ending, replaces, heard } => {
                if let Some(task) = self.task_mut(update.task) {
                    task.heard = task.heard.max(heard);
                    task.add(update, ending, replaces);
                }
            }
            CheckpointChange::Acknowledged { task, number } => {
                if let Some(task) = self.task_mut(task) {
                    task.updates.retain(|kept| kept.update.number > number);
                }
            }
            CheckpointChange::TaskForgotten { task } => {
                if let Ok(place) = self.place(task) {
                    self.tasks.remove(place);
                }
            }
            CheckpointChange::Whole(whole) => *self = whole,
            CheckpointChange::Cleared => *self = Self::default(),
        }
    }

    fn place(&self, task: TaskId) -> Result<usize, usize> {
        self.tasks.binary_search_by_key(&task, |task| task.report.id)
    }

    fn task_mut(&mut self, task: TaskId) -> Option<&mut CheckpointTask> {
        let place = self.place(task).ok()?;
        self.tasks.get_mut(place)
    }
}

impl CheckpointTask {
    fn add(&mut self, update: Update, ending: Option<Arc<Ending>>, replaces: Option<u32>) {
        self.updates.retain(|kept| Some(kept.update.number) != replaces);
        self.report.state = update.state;
        self.report.reason = update.reason;
        self.report.number = update.number;
        if update.state.is_terminal() {
            self.ended = None;
        }
        self.updates.push(Final { update, ending });
    }
}
