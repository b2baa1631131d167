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
    lost: BTreeSet<TaskId>,
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
            lost: BTreeSet::new(),
        }
    }

    /// Whether everything that is to be shown has happened.
    pub(super) fn is_told(&self) -> bool {
        self.drained
            && self.revoked
            && self.unregistered
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
                reason,
                then,
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

    /// How an event is told; most are not.
    pub(super) fn line(&self, event: &Event) -> Option<String> {
        if let Event::Task(task) = event {
            return self.task_line(task);
        }
        if let Event::InverseOffered(view) = event {
            let (framework, slave) = (&view.framework_name, &view.slave_name);
            return Some(format!(
                "{framework} is asked to give back what it has on {slave}: {}",
                view.reason
            ));
        }
        if let Event::InverseAnswered(view) = event {
            return Some(format!("{} agrees to leave {}", view.framework_name, view.slave_name));
        }
        if let Event::Revoking { inverse_offer, tasks } = event {
            return Some(format!("the deadline of {inverse_offer} is over: {} are revoked", listed(tasks)));
        }
        if let Event::Draining(view) = event {
            return Some(format!("{} is drained within {DRAIN_DEADLINE}: {}", view.slave_name, view.reason));
        }
        if let Event::DrainEnded { name, end, .. } = event {
            return Some(format!("{name}: {end}; nothing runs there, and everyone knows"));
        }
        if let Event::SlaveLeaving { name, .. } = event {
            return Some(format!("{name} got SIGUSR1: it takes no launches and kills what runs there"));
        }
        if let Event::SlaveUnregistered { name, .. } = event {
            return Some(format!("{name} has seen everything dead, is unregistered, and exits"));
        }
        None
    }

    fn task_line(&self, task: &TaskView) -> Option<String> {
        let TaskView { id, framework, slave_name, state, reason, .. } = task;
        if *state == TaskState::Finished {
            return Some(format!(
                "{id} of {framework} finished on {slave_name} ({} of {})",
                self.finished + 1,
                self.shards
            ));
        }
        let ended = state.is_terminal();
        let shown = ended || (*state == TaskState::Running && self.drain.is_some());
        shown.then(|| match ended {
            true => format!("{id} of {framework} on {slave_name}: {state} ({reason})"),
            false => format!("{id} of {framework} runs on {slave_name}"),
        })
    }
}

fn listed(tasks: &[TaskId]) -> String {
    tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
