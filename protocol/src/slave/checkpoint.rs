//! What a slave keeps across restarts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, SlaveId, TaskId};
use crate::message::Final;
use crate::task::{Ending, TaskReport, Update};

/// A slave's durable state (R2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id, if a master has admitted it.
    pub id: Option<SlaveId>,
    /// The highest epoch that it has obeyed (R30).
    pub epoch: Epoch,
    /// Its tasks, by id, in order.
    pub tasks: Vec<CheckpointTask>,
}

/// A task of a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckpointTask {
    /// The task, with its newest state.
    pub report: TaskReport,
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
    /// A task was launched.
    TaskAdded(TaskReport),
    /// A task has news.
    UpdateAdded {
        /// The news.
        update: Update,
        /// How its process tree ended, where it did.
        ending: Option<Arc<Ending>>,
        /// The number of the unacknowledged update whose place it takes.
        replaces: Option<u32>,
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
            CheckpointChange::TaskAdded(report) => {
                if let Err(place) = self.place(report.id) {
                    let updates = Vec::new();
                    self.tasks.insert(place, CheckpointTask { report, updates });
                }
            }
            CheckpointChange::UpdateAdded { update, ending, replaces } => {
                if let Some(task) = self.task_mut(update.task) {
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
        self.updates.push(Final { update, ending });
    }
}
