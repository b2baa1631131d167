//! Tasks that ended lately, from the events that were published.

use std::collections::VecDeque;

use neap_protocol::ids::TaskId;
use neap_protocol::message::{Event, TaskView};

/// A bounded memory of ended tasks: the oldest is forgotten first.
#[derive(Debug)]
pub(super) struct History {
    ended: VecDeque<TaskView>,
    max: usize,
}

impl History {
    /// Room for `max` tasks.
    pub(super) fn new(max: usize) -> Self {
        Self { ended: VecDeque::new(), max }
    }

    /// Keeps a task that has ended.
    pub(super) fn see(&mut self, event: &Event) {
        let Event::Task(view) = event else {
            return;
        };
        if !view.state.is_terminal() || self.max == 0 {
            return;
        }
        if self.ended.len() == self.max {
            self.ended.pop_front();
        }
        self.ended.push_back(view.clone());
    }

    /// The one task, where it is remembered.
    pub(super) fn find(&self, task: TaskId) -> Option<TaskView> {
        self.ended.iter().rev().find(|view| view.id == task).cloned()
    }

    /// The last `max`, the newest first.
    pub(super) fn newest(&self, max: usize) -> Vec<TaskView> {
        self.ended.iter().rev().take(max).cloned().collect()
    }
}
