//! What happened lately: the events that were published, and the tasks that ended by them.

use std::collections::VecDeque;

use neap_protocol::ids::TaskId;
use neap_protocol::message::{Event, Page, PastEvent, TaskView};
use neap_protocol::time::Moment;

/// A bounded memory: the oldest is forgotten first. Ended tasks are remembered apart from other events, for longer.
#[derive(Debug)]
pub(super) struct History {
    ended: VecDeque<TaskView>,
    events: VecDeque<PastEvent>,
    /// The number of the last event.
    last: u64,
    max: usize,
}

impl History {
    /// Room for `max` tasks, and for as many events.
    pub(super) fn new(max: usize) -> Self {
        Self { ended: VecDeque::new(), events: VecDeque::new(), last: 0, max }
    }

    /// Keeps an event.
    pub(super) fn see(&mut self, at: Moment, event: &Event) {
        self.last += 1;
        let past = PastEvent { number: self.last, at, event: Box::new(event.clone()) };
        keep(&mut self.events, past, self.max);
        if let Event::Task(view) = event
            && view.state.is_terminal()
        {
            keep(&mut self.ended, view.clone(), self.max);
        }
    }

    /// The one task, where it is remembered.
    pub(super) fn find(&self, task: TaskId) -> Option<TaskView> {
        self.ended.iter().rev().find(|view| view.id == task).cloned()
    }

    /// Ended tasks, the newest first: those that ended before `after`. One that is forgotten has none before it.
    pub(super) fn ended(&self, after: Option<TaskId>, page_max: usize) -> Page<TaskView> {
        let until = match after {
            None => self.ended.len(),
            Some(after) => self.ended.iter().rposition(|view| view.id == after).unwrap_or(0),
        };
        page(self.ended.range(..until).rev(), page_max)
    }

    /// Events, the oldest first: those after the number `after`.
    pub(super) fn events(&self, after: Option<u64>, page_max: usize) -> Page<PastEvent> {
        let after = after.unwrap_or(0);
        page(self.events.range(self.events.partition_point(|past| past.number <= after)..), page_max)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, new: T, max: usize) {
    if kept.len() >= max {
        kept.pop_front();
    }
    if max > 0 {
        kept.push_back(new);
    }
}

fn page<'a, T: Clone + 'a>(items: impl ExactSizeIterator<Item = &'a T>, max: usize) -> Page<T> {
    let more = items.len() > max;
    Page { items: items.take(max).cloned().collect(), more }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_protocol::ids::{Epoch, FrameworkId, SlaveId};
    use neap_protocol::resources::Resources;
    use neap_protocol::task::{Reason, TaskState};
    use neap_protocol::text::{Name, Text};

    fn id(number: u32) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    fn task(number: u32, state: TaskState) -> Event {
        let name = Name::new("n").unwrap();
        Event::Task(TaskView {
            id: id(number),
            name: name.clone(),
            framework: name.clone(),
            slave: SlaveId(1),
            slave_name: name,
            slave_address: Text::EMPTY,
            state,
            reason: Reason::Normal,
            resources: Resources::NONE,
        })
    }

    fn ended(history: &History, after: Option<TaskId>, max: usize) -> (Vec<u32>, bool) {
        let page = history.ended(after, max);
        (page.items.iter().map(|view| view.id.number).collect(), page.more)
    }

    fn numbers(history: &History, after: Option<u64>, max: usize) -> (Vec<u64>, bool) {
        let page = history.events(after, max);
        (page.items.iter().map(|past| past.number).collect(), page.more)
    }

    #[test]
    fn ended_tasks_are_read_back_page_by_page_until_they_are_forgotten() {
        let mut history = History::new(4);
        for number in 1..=5 {
            history.see(Moment(1), &task(number, TaskState::Running));
            history.see(Moment(2), &task(number, TaskState::Finished));
        }
        assert_eq!(ended(&history, None, 3), (vec![5, 4, 3], true));
        assert_eq!(ended(&history, Some(id(3)), 3), (vec![2], false));
        assert_eq!(ended(&history, Some(id(1)), 3), (vec![], false), "it is forgotten, and all before it");
        assert_eq!(history.find(id(4)).map(|view| view.state), Some(TaskState::Finished));
        assert_eq!(history.find(id(1)), None);
    }

    #[test]
    fn events_are_numbered_and_the_oldest_are_forgotten() {
        let mut history = History::new(3);
        for epoch in 1..=5 {
            history.see(Moment(epoch * 10), &Event::Leading(Epoch(epoch)));
        }
        assert_eq!(numbers(&history, None, 2), (vec![3, 4], true));
        assert_eq!(numbers(&history, Some(4), 2), (vec![5], false));
        assert_eq!(numbers(&history, Some(u64::MAX), 2), (vec![], false));
        let page = history.events(Some(4), 1);
        assert_eq!((page.items[0].at, &*page.items[0].event), (Moment(50), &Event::Leading(Epoch(5))));
    }

    #[test]
    fn who_remembers_nothing_forgets_at_once() {
        let mut history = History::new(0);
        history.see(Moment(1), &task(1, TaskState::Lost));
        assert_eq!(
            (ended(&history, None, 9), numbers(&history, None, 9)),
            ((vec![], false), (vec![], false))
        );
    }
}
