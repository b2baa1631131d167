//! What happens in the demo, when, and how it is told: a plan that goes on as events come.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::TaskId;
use neap_protocol::message::{Command, DrainEnd, Event, InverseAsk, SlaveRef, TaskView, Then};
use neap_protocol::task::{Reason, TaskState};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

/// The framework that ignores inverse offers.
pub(super) const STUBBORN: &str = "stubborn";

const DRAIN_DEADLINE: Millis = Millis(3000);
const REVOKE_DEADLINE: Millis = Millis(1500);

/// Of this many tasks that finish, one is told.
const TOLD_EVERY: usize = 5;

/// What the demo does about an event.
#[derive(Debug)]
pub(super) enum Act {
    Ask(Command),
    /// SIGUSR1 to the slave of that name.
    DrainNow(Name),
}

/// How far the demo is. Every part must have happened before it is told.
#[derive(Debug)]
pub(super) struct Story {
    shards: usize,
    finished: usize,
    /// The indexer's tasks that run, and on which slave.
    running: BTreeMap<TaskId, Name>,
    drain: Option<Name>,
    drained: bool,
    asked: bool,
    revoked: bool,
    left: Option<Name>,
    unregistered: bool,
    activated: bool,
    /// Something runs again on the slave that was drained.
    back: bool,
    lost: BTreeSet<TaskId>,
    /// Tasks that ended before they had finished, by name: they are to run anew.
    moved: BTreeSet<Name>,
}

impl Story {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards,
            finished: 0,
            running: BTreeMap::new(),
            drain: None,
            drained: false,
            asked: false,
            revoked: false,
            left: None,
            unregistered: false,
            activated: false,
            back: false,
            lost: BTreeSet::new(),
            moved: BTreeSet::new(),
        }
    }

    /// Whether everything that is to be shown has happened.
    pub(super) fn is_told(&self) -> bool {
        self.drained
            && self.revoked
            && self.unregistered
            && self.back
            && !self.lost.is_empty()
            && self.finished == self.shards
    }

    /// What is to be done after an event.
    pub(super) fn next(&mut self, event: &Event) -> Vec<Act> {
        self.note(event);
        let mut acts = Vec::new();
        if let Event::Task(task) = event
            && task.framework.as_str() == STUBBORN
            && task.state == TaskState::Running
            && !self.asked
        {
            self.asked = true;
            acts.push(Act::Ask(Command::InverseOffer {
                framework: task.id.framework,
                slave: SlaveRef::Id(task.slave),
                ask: InverseAsk::Everything,
                deadline: REVOKE_DEADLINE,
                reason: Text::new("another needs it"),
            }));
        }
        if self.drain.is_none()
            && self.running.len() >= 6
            && let Some(slave) = self.busiest(None)
        {
            self.drain = Some(slave.clone());
            let reason = Text::new("new disks");
            let (deadline, then, if_plan) = (DRAIN_DEADLINE, Then::Stay, None);
            acts.push(Act::Ask(Command::Drain {
                slave: SlaveRef::Name(slave),
                deadline,
                reason: Some(reason),
                then: Some(then),
                change: false,
                if_plan,
            }));
        }
        if self.drained
            && self.revoked
            && self.left.is_none()
            && let Some(slave) = self.busiest(self.drain.as_ref())
        {
            self.left = Some(slave.clone());
            acts.push(Act::DrainNow(slave));
        }
        if self.unregistered
            && !self.activated
            && let Some(slave) = self.drain.clone()
        {
            self.activated = true;
            acts.push(Act::Ask(Command::Activate {
                slave: SlaveRef::Name(slave),
                hold: None,
                reason: Text::EMPTY,
            }));
        }
        acts
    }

    fn note(&mut self, event: &Event) {
        if let Event::Task(task) = event {
            self.note_task(task);
        }
        if let Event::DrainEnded { end: DrainEnd::Drained, .. } = event {
            self.drained = true;
        }
        if let Event::SlaveUnregistered { .. } = event {
            self.unregistered = true;
        }
    }

    fn note_task(&mut self, task: &TaskView) {
        if task.framework.as_str() == STUBBORN {
            self.revoked |= task.state == TaskState::Killed && matches!(task.reason, Reason::Revoked(_));
            return;
        }
        if task.state == TaskState::Running {
            self.running.insert(task.id, task.slave_name.clone());
        } else if task.state.is_terminal() {
            self.running.remove(&task.id);
        }
        if task.state.is_terminal() && task.state != TaskState::Finished {
            self.moved.insert(task.name.clone());
        } else if task.state == TaskState::Running {
            self.moved.remove(&task.name);
            self.back |= self.activated && self.drain.as_ref() == Some(&task.slave_name);
        }
        self.finished += usize::from(task.state == TaskState::Finished);
        if task.state == TaskState::Lost {
            self.lost.insert(task.id);
        }
    }

    /// The slave on which most of the indexer's tasks run, another than `but`.
    fn busiest(&self, but: Option<&Name>) -> Option<Name> {
        let mut tasks: BTreeMap<&Name, usize> = BTreeMap::new();
        for slave in self.running.values().filter(|slave| Some(*slave) != but) {
            *tasks.entry(slave).or_default() += 1;
        }
        tasks.into_iter().max_by_key(|(_, count)| *count).map(|(slave, _)| slave.clone())
    }

    /// How an event is told, before it is noted; most are not.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events are not told")]
    pub(super) fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Task(task) => self.task_line(task),
            Event::InverseOffered(view) => {
                let (framework, slave) = (&view.framework_name, &view.slave_name);
                Some(format!("{framework} is asked to give back what it has on {slave}: {}", view.reason))
            }
            Event::InverseAnswered(view) => {
                Some(format!("{} agrees to leave {}", view.framework_name, view.slave_name))
            }
            Event::Revoking { .. } => Some(format!("{STUBBORN} did not answer, and its deadline is over")),
            Event::Draining(view) => {
                Some(format!("{} is to be drained within {DRAIN_DEADLINE}: {}", view.slave_name, view.reason))
            }
            Event::HoldLifted { name, .. } => Some(format!("{name} is activated: it is offered again")),
            Event::DrainEnded { name, end, .. } => {
                Some(format!("{name} is {end}: nothing runs there, and everyone knows"))
            }
            Event::SlaveLeaving { name, .. } => {
                Some(format!("{name} got SIGUSR1: it takes no launches and kills what runs there"))
            }
            Event::SlaveUnregistered { name, .. } => {
                Some(format!("{name} has seen everything dead, is unregistered, and exits"))
            }
            _ => None,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most states are not told, and most reasons speak for themselves"
    )]
    fn task_line(&self, task: &TaskView) -> Option<String> {
        let TaskView { name, slave_name, state, reason, .. } = task;
        match state {
            TaskState::Finished if task.framework.as_str() != STUBBORN => {
                let finished = self.finished + 1;
                finished.is_multiple_of(TOLD_EVERY).then(|| {
                    format!(
                        "{name} has finished on {slave_name}: {finished} of {} shards are indexed",
                        self.shards
                    )
                })
            }
            TaskState::Running if self.moved.contains(name) => {
                Some(format!("{name} runs anew, on {slave_name}"))
            }
            ended if ended.is_terminal() => {
                let why = match reason {
                    Reason::KilledByFramework => "moved off by its framework".to_owned(),
                    Reason::Revoked(inverse_offer) => format!("revoked for {inverse_offer}"),
                    Reason::SlaveUnregistered => "it was there when the slave left".to_owned(),
                    other => other.to_string(),
                };
                Some(format!("{name} on {slave_name} is {state}: {why}"))
            }
            _ => None,
        }
    }
}

/// The slave that an event says nothing runs on: of a task that is Lost by unregistration too (S1), and of one that
/// is drained (S5).
#[expect(clippy::wildcard_enum_match_arm, reason = "most events say nothing of a slave")]
pub(super) fn emptied(event: &Event) -> Option<&Name> {
    match event {
        Event::Task(TaskView { reason: Reason::SlaveUnregistered, slave_name, .. }) => Some(slave_name),
        Event::DrainEnded { name, end: DrainEnd::Drained, .. } | Event::SlaveUnregistered { name, .. } => {
            Some(name)
        }
        _ => None,
    }
}
