//! What must outlive the process of a framework: who it is, which numbers it has used, which of its tasks are not over.

use alloc::vec::Vec;

use crate::ids::{FrameworkId, SlaveId};
use crate::map::Map;

use super::{Event, Framework, Input};

/// What a framework's driver keeps for the next [`Input::Start`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Its id, once it was subscribed.
    pub id: Option<FrameworkId>,
    /// The highest task number that it has ever used; 0 if none.
    pub highest_task: u32,
    /// Numbers of the tasks that are not over and handled, and the slaves that they were launched on.
    pub tasks: Map<u32, SlaveId>,
}

/// A change of a [`Memory`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MemoryChange {
    /// It has this id.
    Subscribed(FrameworkId),
    /// It has used numbers up to this one, and these are of tasks that it launches.
    Launching {
        /// The highest number that it has ever used.
        highest_task: u32,
        /// The tasks' numbers, and their slave.
        tasks: Vec<(u32, SlaveId)>,
    },
    /// How the task of this number ended was handled.
    Over(u32),
}

impl Memory {
    /// What of it an event changes, once the scheduler was called with it: durable **before** any effect after the
    /// event's, and before the event is [handled](Input::Handled).
    ///
    /// A process that is killed before may call its scheduler with the same again; one that is killed after knows.
    pub fn change(&self, of: &Framework, event: &Event) -> Option<MemoryChange> {
        match event {
            Event::Subscribed { id, .. } => (self.id != Some(*id)).then_some(MemoryChange::Subscribed(*id)),
            Event::Launching { tasks, .. } => {
                // Those that are not to be launched after all are no tasks of the machine's, and dropped at once.
                let launched = tasks.iter().filter_map(|task| Some((task.number, of.slave_of(*task)?)));
                let tasks = launched.collect();
                Some(MemoryChange::Launching { highest_task: of.highest_task(), tasks })
            }
            Event::Update { update, .. } => {
                let number = update.task.number;
                let ends = update.state.is_terminal() && self.tasks.contains_key(&number);
                ends.then_some(MemoryChange::Over(number))
            }
            Event::Disconnected
            | Event::Offers(_)
            | Event::Rescinded(_)
            | Event::InverseOffer { .. }
            | Event::InverseOfferClosed { .. }
            | Event::Pending(_)
            | Event::Refused(_)
            | Event::Finished => None,
        }
    }

    /// It changes so.
    pub fn apply(&mut self, change: MemoryChange) {
        match change {
            MemoryChange::Subscribed(id) => self.id = Some(id),
            MemoryChange::Launching { highest_task, tasks } => {
                self.highest_task = highest_task;
                for (number, slave) in tasks {
                    self.tasks.insert(number, slave);
                }
            }
            MemoryChange::Over(number) => {
                self.tasks.remove(&number);
            }
        }
    }

    /// What a process begins with that has it.
    pub fn start(&self) -> Input {
        let tasks = self.tasks.iter().map(|(number, slave)| (*number, *slave)).collect();
        Input::Start { id: self.id, highest_task: self.highest_task, tasks }
    }
}
