//! Events as lines: a sentence for eyes, an object with stable names for programs.

use std::fmt;

use neap_protocol::ids::SlaveId;
use neap_protocol::message::{
    DrainView, Event, InverseAnswer, InverseOutcome, Pace, PastEvent, TaskView, Then,
};
use neap_protocol::task::Reason;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Moment;
use serde::Serialize;

use crate::driver;
use crate::output::{clock, counted, printable};

use super::views::{asked, left_ms};

/// An event, and when this program heard of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    at_ms: u64,
    event: &'static str,
    #[serde(flatten)]
    about: About,
    text: String,
}

/// What an event is about, by id.
#[derive(Clone, Debug, Default, Serialize)]
struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    slave: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inverse_offer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<String>,
}

impl Line {
    /// A line of an event that the master remembers.
    pub(super) fn of_past(past: &PastEvent) -> Self {
        let (kind, about, text) = told(&past.event);
        Self { at_ms: past.at.0, event: kind, about, text }
    }

    /// A line of this moment.
    pub(super) fn of(event: &Event) -> Self {
        let (kind, about, text) = told(event);
        Self { at_ms: driver::now().0, event: kind, about, text }
    }

    /// A line about a drain or an inverse offer that no event tells.
    pub(super) fn note(kind: &'static str, text: String) -> Self {
        Self { at_ms: driver::now().0, event: kind, about: About::default(), text }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", clock(Moment(self.at_ms)), printable(&self.text))
    }
}

fn told(event: &Event) -> (&'static str, About, String) {
    match event {
        Event::Leading(epoch) => {
            ("leading", About::default(), format!("a master leads in epoch {}", epoch.0))
        }
        Event::SlaveRegistered { slave, name, new } => {
            let again = if *new { "" } else { " again" };
            ("slave-registered", slave_about(slave), format!("{name} ({slave}) registered{again}"))
        }
        Event::SlaveDisconnected { slave, name } => {
            ("slave-disconnected", slave_about(slave), format!("{name} ({slave}) disconnected"))
        }
        Event::SlaveUnreachable { slave, name } => {
            ("slave-unreachable", slave_about(slave), format!("{name} ({slave}) is unreachable"))
        }
        Event::SlaveLeaving { slave, name } => {
            ("slave-leaving", slave_about(slave), format!("{name} ({slave}) is leaving"))
        }
        Event::SlaveUnregistered { slave, name } => {
            ("slave-unregistered", slave_about(slave), format!("{name} ({slave}) left for good"))
        }
        Event::FrameworkSubscribed { framework, name, new } => {
            let again = if *new { "" } else { " again" };
            let text = format!("framework {name} ({framework}) subscribed{again}");
            ("framework-subscribed", framework_about(framework), text)
        }
        Event::FrameworkDisconnected { framework, name } => {
            let text = format!("framework {name} ({framework}) disconnected");
            ("framework-disconnected", framework_about(framework), text)
        }
        Event::FrameworkRemoved { framework, name } => {
            let text = format!("framework {name} ({framework}) is gone");
            ("framework-removed", framework_about(framework), text)
        }
        Event::Task(view) => {
            let about = About {
                slave: Some(view.slave.to_string()),
                framework: Some(view.id.framework.to_string()),
                task: Some(view.id.to_string()),
                state: Some(view.state.to_string()),
                reason: Some(view.reason.to_string()),
                ..About::default()
            };
            ("task", about, task(view))
        }
        Event::TaskAcknowledged { task } => {
            let about = About { task: Some(task.to_string()), ..framework_about(&task.framework) };
            ("task-acknowledged", about, format!("the end of {task} is acknowledged"))
        }
        Event::HoldPlaced { slave, name, hold } => {
            let why = because(&hold.reason);
            let text =
                format!("{} placed the hold {} on {}{why}", hold.by, hold.name, held(name, slave.as_ref()));
            ("hold-placed", held_about(slave.as_ref()), text)
        }
        Event::HoldLifted { slave, name, hold, by } => {
            let from = held(name, slave.as_ref());
            ("hold-lifted", held_about(slave.as_ref()), format!("{by} lifted the hold {hold} from {from}"))
        }
        Event::InverseOffered(view) => {
            let text = format!(
                "{} asks {} for {} on {} back by {}{}",
                view.id,
                view.framework_name,
                asked(&view.ask),
                view.slave_name,
                clock(view.deadline),
                because(&view.reason)
            );
            ("inverse-offered", inverse_about(view), text)
        }
        Event::InverseAnswered(view) => {
            let answer = match &view.answer {
                Some(InverseAnswer::Accept { .. }) => format!("accepted {}", view.id),
                Some(InverseAnswer::Decline { reason }) => format!("declined {}{}", view.id, because(reason)),
                None => format!("has not answered {}", view.id),
            };
            ("inverse-answered", inverse_about(view), format!("{} {answer}", view.framework_name))
        }
        Event::Revoking { inverse_offer, tasks } => {
            let list: Vec<String> = tasks.iter().take(8).map(ToString::to_string).collect();
            let more = if tasks.len() > list.len() { ", …" } else { "" };
            let count = counted(tasks.len() as u64, "task");
            let text = format!("{inverse_offer} revokes {count}: {}{more}", list.join(", "));
            ("revoking", offer_about(inverse_offer), text)
        }
        Event::InverseReturned(id) => {
            ("inverse-returned", offer_about(id), format!("everything that {id} asked for came back"))
        }
        Event::InverseClosed { inverse_offer, outcome } => {
            let how = how(*outcome);
            ("inverse-closed", offer_about(inverse_offer), format!("{inverse_offer} is over: {how}"))
        }
        Event::Draining(view) => {
            let about = About { drain: Some(view.id.to_string()), ..slave_about(&view.slave) };
            let text =
                format!("{} drains {} {}{}", view.id, view.slave_name, until(view), because(&view.reason));
            ("draining", about, text)
        }
        Event::DrainEnded { drain, slave, name, end } => {
            let about = About { drain: Some(drain.to_string()), ..slave_about(slave) };
            ("drain-ended", about, format!("{drain} of {name}: {end}"))
        }
        Event::RemovalsHalted { silent, of } => {
            let text = format!(
                "{silent} of {of} slaves fell silent: no further one is marked unreachable until that is over"
            );
            ("removals-halted", About::default(), text)
        }
        Event::RemovalsResumed => (
            "removals-resumed",
            About::default(),
            "slaves that stay silent are marked unreachable again".to_owned(),
        ),
        Event::SlaveSilent { slave, name } => {
            let text = format!("{name} ({slave}) is silent: it gets no work until it answers");
            ("slave-silent", slave_about(slave), text)
        }
        Event::SlaveForgotten { slave, name, by, reason } => {
            let text = format!("{by} said that {name} ({slave}) is dead{}: it is removed", because(reason));
            ("slave-forgotten", slave_about(slave), text)
        }
        Event::SlaveAnswers { slave, name } => {
            ("slave-answers", slave_about(slave), format!("{name} ({slave}) answers again"))
        }
    }
}

/// A task's state in words.
pub(super) fn task(view: &TaskView) -> String {
    let why = if view.reason == Reason::Normal { String::new() } else { format!(" ({})", view.reason) };
    let name = if view.name == view.framework { String::new() } else { format!(" {}", view.name) };
    format!("{}{name} of {} on {}: {}{why}", view.id, view.framework, view.slave_name, view.state)
}

/// A reason after what it is the reason of, where there is one.
pub(super) fn because(reason: &Text) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// How an inverse offer ended, in words.
pub(super) fn how(outcome: InverseOutcome) -> &'static str {
    match outcome {
        InverseOutcome::Returned => "returned in time",
        InverseOutcome::Revoked => "the rest was revoked",
        InverseOutcome::Cancelled => "cancelled",
        InverseOutcome::Void => "the slave or the framework is gone",
    }
}

/// How long a drain has, or that it has no time, in words.
pub(super) fn until(view: &DrainView) -> String {
    let then = match view.then {
        Then::Stay => "",
        Then::Unregister => ", then the slave leaves",
    };
    match view.pace {
        Pace::Now => "now, and the slave leaves".to_owned(),
        Pace::Within(_) if left_ms(view.deadline) > 0 => format!("until {}{then}", clock(view.deadline)),
        Pace::Within(_) => {
            format!(
                "since its deadline, {}, until {} at the latest{then}",
                clock(view.deadline),
                clock(view.bound)
            )
        }
    }
}

/// A name that is held, and the slave that has it now.
fn held(name: &Name, slave: Option<&SlaveId>) -> String {
    slave.map_or_else(|| format!("{name}, which is away"), |slave| format!("{name} ({slave})"))
}

fn held_about(slave: Option<&SlaveId>) -> About {
    slave.map_or_else(About::default, slave_about)
}

fn slave_about(slave: &SlaveId) -> About {
    About { slave: Some(slave.to_string()), ..About::default() }
}

fn framework_about(framework: &neap_protocol::ids::FrameworkId) -> About {
    About { framework: Some(framework.to_string()), ..About::default() }
}

fn offer_about(id: &neap_protocol::ids::InverseOfferId) -> About {
    About { inverse_offer: Some(id.to_string()), ..About::default() }
}

fn inverse_about(view: &neap_protocol::message::InverseOfferView) -> About {
    About {
        slave: Some(view.slave.to_string()),
        framework: Some(view.framework.to_string()),
        drain: view.drain.map(|drain| drain.to_string()),
        ..offer_about(&view.id)
    }
}
