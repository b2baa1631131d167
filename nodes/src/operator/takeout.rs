//! Taking resources back: inverse offers and drains, attached or not.
//!
//! An attached command watches first and asks then, so that it misses nothing. It prints a line for each task that
//! moves and for who holds the drain up, until the end. Ctrl-C only detaches.

use std::collections::BTreeSet;
use std::fmt;

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId};
use neap_protocol::message::{
    Answer, Command, DrainEnd, DrainPlan, DrainView, Event, InverseAnswer, InverseAsk, InverseOutcome, Query,
    ReceiptId, ReceiptLine, Refusal, SlaveRef, Then,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::TaskState;
use neap_protocol::text::Text;
use neap_protocol::time::{Millis, Moment};
use serde::Serialize;

use crate::cli::change::{DrainAction, InverseOfferAction, PlanDigest};
use crate::exit::Exit;
use crate::output::{Cell, Column, Failure, Row, printable};
use crate::shutdown::{Signal, Signals};
use crate::units::Period;

use super::client::Problem;
use super::events::Line;
use super::views::{clock, left, wait};
use super::{Operator, Outcome, unexpected};

impl Operator {
    /// `neap inverse-offer`.
    pub(super) async fn inverse_offer(&mut self, action: InverseOfferAction) -> Result<Exit, Failure> {
        let (framework, slave, cpus, mem, deadline, reason, detach) = match action {
            InverseOfferAction::Cancel(id) => {
                let changed = self.done(Command::CancelInverseOffer(id)).await?;
                self.printer.one(&Outcome { changed, text: format!("{id} is taken back") })?;
                return Ok(Exit::Success);
            }
            InverseOfferAction::Make { framework, slave, cpus, mem, deadline, reason, detach } => {
                (framework, slave, cpus, mem, deadline, reason, detach)
            }
        };
        let framework = self.framework(&framework).await?;
        let ask = match (cpus, mem) {
            (None, None) => InverseAsk::Everything,
            (cpus, mem) => InverseAsk::Amount(Resources::new(
                cpus.map_or(0, |cpus| cpus.thousandths()),
                mem.map_or(0, |mem| mem.bytes()),
            )),
        };
        let mut signals = self.attach(detach).await?;
        let command = Command::InverseOffer {
            framework,
            slave: slave.clone(),
            ask,
            deadline: millis(deadline),
            reason,
        };
        let Answer::InverseOffered(id) = self.ask(command).await? else {
            return Err(unexpected());
        };
        let text = format!("{id} asks {framework} for resources of {slave} back within {deadline}");
        self.printer.one(&Outcome { changed: true, text })?;
        match &mut signals {
            Some(signals) => self.until_closed(id, framework, signals).await,
            None => Ok(Exit::Success),
        }
    }

    /// `neap drain`.
    pub(super) async fn drain(&mut self, action: DrainAction) -> Result<Exit, Failure> {
        match action {
            DrainAction::Begin { slave, deadline, reason, then, if_plan, detach } => {
                let if_plan = if_plan.map(|digest| digest.0);
                let deadline = millis(deadline);
                let command = Command::Drain { slave: slave.clone(), deadline, reason, then, if_plan };
                return self.begin_drain(slave, command, detach).await;
            }
            DrainAction::Plan { slave, deadline, then } => {
                let command = Command::PlanDrain { slave, deadline: millis(deadline), then };
                let Answer::Plan(plan) = self.ask(command).await? else {
                    return Err(unexpected());
                };
                self.plan(&plan, then)?;
            }
            DrainAction::Now { slave, detach } => return self.drain_now(slave, detach).await,
            DrainAction::Cancel(id) => {
                let changed = self.done(Command::CancelDrain(id)).await?;
                let text = format!("{id} is cancelled; what it revoked stays revoked");
                self.printer.one(&Outcome { changed, text })?;
            }
            DrainAction::Extend(id, deadline) => {
                let changed = self.done(Command::ExtendDrain(id, millis(deadline))).await?;
                self.printer.one(&Outcome { changed, text: format!("{id} has {deadline} from now") })?;
            }
            DrainAction::Receipt(id) => self.receipt(id).await?,
        }
        Ok(Exit::Success)
    }

    async fn begin_drain(
        &mut self,
        slave: SlaveRef,
        command: Command,
        detach: bool,
    ) -> Result<Exit, Failure> {
        let mut signals = self.attach(detach).await?;
        let Answer::Draining { drain, changed } = self.ask(command).await? else {
            return Err(unexpected());
        };
        let text = match changed {
            true => format!("{drain} drains {slave}"),
            false => format!("{drain} drains {slave} already"),
        };
        self.printer.one(&Begun { changed, drain: drain.to_string(), text })?;
        match &mut signals {
            Some(signals) => self.until_drained(drain, &slave, signals).await,
            None => Ok(Exit::Success),
        }
    }

    async fn drain_now(&mut self, slave: SlaveRef, detach: bool) -> Result<Exit, Failure> {
        let mut signals = self.attach(detach).await?;
        let id = self.slave(&slave).await?.id;
        let changed = self.done(Command::DrainNow { slave: SlaveRef::Id(id) }).await?;
        let already = if changed { "" } else { " already" };
        let text = format!("{slave} ({id}) is{already} told to end everything and to leave");
        self.printer.one(&Outcome { changed, text })?;
        let Some(signals) = &mut signals else {
            return Ok(Exit::Success);
        };
        loop {
            let Some(event) = self.event(signals).await? else {
                return self.detached("the slave goes on leaving; `neap slaves` shows it");
            };
            if concerns(&event, id, &BTreeSet::new()) {
                self.printer.one(&Line::of(&event))?;
            }
            if matches!(event, Event::SlaveUnregistered { slave, .. } if slave == id) {
                return Ok(Exit::Success);
            }
        }
    }

    /// Watches, where the command is to stay to the end.
    async fn attach(&mut self, detach: bool) -> Result<Option<Signals>, Failure> {
        if detach {
            return Ok(None);
        }
        let signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        self.watch().await?;
        Ok(Some(signals))
    }

    /// The next event, or nothing after Ctrl-C.
    async fn event(&mut self, signals: &mut Signals) -> Result<Option<Event>, Failure> {
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Interrupt | Signal::Terminate => return Ok(None),
                    Signal::DrainNow => {}
                },
                event = self.client.event() => return event.map(Some),
            }
        }
    }

    fn detached(&mut self, hint: &str) -> Result<Exit, Failure> {
        self.printer.one(&Line::note("detached", format!("detached: {hint}")))?;
        Ok(Exit::Detached)
    }

    async fn until_closed(
        &mut self,
        id: InverseOfferId,
        framework: FrameworkId,
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        loop {
            let Some(event) = self.event(signals).await? else {
                return self
                    .detached(&format!("{id} goes on; `neap inverse-offer --cancel {id}` takes it back"));
            };
            if !is_of(&event, id, framework) {
                continue;
            }
            let outcome =
                if let Event::InverseClosed { outcome, .. } = &event { Some(*outcome) } else { None };
            self.printer.one(&Line::of(&event))?;
            match outcome {
                None => {}
                Some(InverseOutcome::Returned | InverseOutcome::Revoked) => return Ok(Exit::Success),
                Some(InverseOutcome::Cancelled) => return Err(ended(format!("{id} was cancelled"))),
                Some(InverseOutcome::Void) => {
                    return Err(ended(format!("{id} is void: the slave or the framework is gone")));
                }
            }
        }
    }

    /// Prints what happens until the drain is over. A leader that goes away is looked for again.
    async fn until_drained(
        &mut self,
        drain: DrainId,
        slave: &SlaveRef,
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        let mut progress = Progress::default();
        let Some(view) = self.drain_view(drain).await? else {
            return self.printed_end(drain, DrainEnd::SlaveGone, Then::Unregister);
        };
        let (id, then) = (view.slave, view.then);
        self.show_waits(&view, &mut progress)?;
        if let Some(end) = view.end {
            return self.printed_end(drain, end, Then::Stay);
        }
        loop {
            let event = match self.event(signals).await {
                Ok(Some(event)) => event,
                Ok(None) => {
                    let hint =
                        format!("{drain} of {slave} goes on; `neap drain --cancel {drain}` gives it up");
                    return self.detached(&hint);
                }
                Err(failure) if failure.exit() == Exit::Unreachable => {
                    self.printer.one(&Line::note("lost", format!("{failure}; looking for the leader")))?;
                    self.watch().await?;
                    match self.drain_view(drain).await? {
                        Some(view) if view.end.is_none() || then == Then::Unregister => continue,
                        Some(DrainView { end: Some(end), .. }) => return self.printed_end(drain, end, then),
                        Some(_) => continue,
                        None => return self.printed_end(drain, DrainEnd::SlaveGone, then),
                    }
                }
                Err(failure) => return Err(failure),
            };
            if concerns(&event, id, &progress.frameworks) {
                self.printer.one(&Line::of(&event))?;
            }
            if let Event::DrainEnded { drain: of, end, .. } = event
                && of == drain
                && (end != DrainEnd::Drained || then == Then::Stay)
            {
                return self.printed_end(drain, end, then);
            }
            if matches!(event, Event::SlaveUnregistered { slave: gone, .. } if gone == id) {
                return self.printed_end(drain, DrainEnd::SlaveGone, then);
            }
            let news =
                matches!(event, Event::Task(_) | Event::TaskAcknowledged { .. } | Event::InverseAnswered(_));
            if news
                && !self.client.has_event()
                && let Some(view) = self.drain_view(drain).await?
            {
                self.show_waits(&view, &mut progress)?;
            }
        }
    }

    /// How the drain is; nothing where it went with its slave.
    async fn drain_view(&mut self, drain: DrainId) -> Result<Option<DrainView>, Failure> {
        match self.client.ask(Command::Show(Query::Drain(drain))).await {
            Ok(Answer::Drain(view)) => Ok(Some(view)),
            Ok(_) => Err(unexpected()),
            Err(Problem::Refused(Refusal::UnknownDrain(_))) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Says who holds the drain up, where that has changed.
    fn show_waits(&mut self, view: &DrainView, progress: &mut Progress) -> Result<(), Failure> {
        progress.frameworks.extend(view.waiting_for.iter().map(|wait| wait.framework));
        let waits: Vec<String> = view.waiting_for.iter().map(wait).collect();
        if waits != progress.waits {
            if !waits.is_empty() {
                let text = format!("waits for {}; {} left", waits.join("; "), left(view.deadline));
                self.printer.one(&Line::note("waiting", text))?;
            }
            progress.waits = waits;
        }
        Ok(())
    }

    fn printed_end(&mut self, drain: DrainId, end: DrainEnd, then: Then) -> Result<Exit, Failure> {
        let receipt = format!("`neap drain --receipt {drain}` shows what was done to each task");
        match (end, then) {
            (DrainEnd::Drained, _) | (DrainEnd::SlaveGone, Then::Unregister) => {
                self.printer.note(receipt)?;
                Ok(Exit::Success)
            }
            (DrainEnd::SlaveGone, Then::Stay) => {
                Err(ended(format!("{drain} is over: the slave has left for good")).help(receipt))
            }
            (DrainEnd::Cancelled, _) => Err(ended(format!("{drain} was cancelled")).help(receipt)),
            (DrainEnd::Unseen, _) => {
                let message =
                    format!("{drain} is over, and the slave could not be seen empty; it stays deactivated");
                Err(ended(message).help("look at the machine before you take it away").help(receipt))
            }
        }
    }

    fn plan(&mut self, plan: &DrainPlan, then: Then) -> Result<(), Failure> {
        let rows: Vec<PlanRow> = plan.tasks.iter().map(PlanRow::of).collect();
        self.printer.one(&PlanHead {
            slave: plan.slave.to_string(),
            slave_name: plan.slave_name.to_string(),
            status: plan.status.to_string(),
            drain: plan.drain.map(|drain| drain.to_string()),
            then: match then {
                Then::Stay => "stay",
                Then::Unregister => "unregister",
            },
            tasks: plan.tasks.len(),
            tasks_end_ms: plan.tasks_end.0,
            drain_end_ms: plan.drain_end.0,
            digest: PlanDigest(plan.digest).to_string(),
        })?;
        Ok(self.printer.rows(&rows, "nothing runs there")?)
    }

    async fn receipt(&mut self, id: ReceiptId) -> Result<(), Failure> {
        let Answer::Receipt(lines) = self.ask(Command::Show(Query::Receipt(id))).await? else {
            return Err(unexpected());
        };
        let rows: Vec<ReceiptRow> = lines.iter().map(|(at, line)| ReceiptRow::of(*at, line)).collect();
        Ok(self.printer.rows(&rows, "the receipt is empty")?)
    }
}

/// What an attached drain has seen.
#[derive(Debug, Default)]
struct Progress {
    waits: Vec<String>,
    /// Those that had tasks there: where they start new ones is where the work moved.
    frameworks: BTreeSet<FrameworkId>,
}

/// Whether an event is about an inverse offer, or about a task of whom it asks.
fn is_of(event: &Event, id: InverseOfferId, framework: FrameworkId) -> bool {
    matches!(event, Event::InverseClosed { inverse_offer, .. } if *inverse_offer == id)
        || matches!(event, Event::InverseAnswered(view) | Event::InverseOffered(view) if view.id == id)
        || matches!(event, Event::Revoking { inverse_offer: of, .. } | Event::InverseReturned(of) if *of == id)
        || matches!(event, Event::Task(view) if view.id.framework == framework)
}

/// Whether an event is progress of what happens on a slave.
fn concerns(event: &Event, slave: SlaveId, frameworks: &BTreeSet<FrameworkId>) -> bool {
    match event {
        Event::Task(view) => {
            let moved = frameworks.contains(&view.id.framework) && view.state == TaskState::Running;
            view.slave == slave || moved
        }
        Event::TaskAcknowledged { task } => frameworks.contains(&task.framework),
        Event::SlaveRegistered { slave: of, .. }
        | Event::SlaveDisconnected { slave: of, .. }
        | Event::SlaveUnreachable { slave: of, .. }
        | Event::SlaveLeaving { slave: of, .. }
        | Event::SlaveUnregistered { slave: of, .. }
        | Event::DrainEnded { slave: of, .. } => *of == slave,
        Event::Draining(view) => view.slave == slave,
        Event::InverseOffered(view) | Event::InverseAnswered(view) => view.slave == slave,
        Event::FrameworkDisconnected { framework, .. }
        | Event::FrameworkSubscribed { framework, .. }
        | Event::FrameworkRemoved { framework, .. } => frameworks.contains(framework),
        Event::Leading(_)
        | Event::HoldPlaced { .. }
        | Event::HoldLifted { .. }
        | Event::Revoking { .. }
        | Event::InverseReturned(_)
        | Event::InverseClosed { .. }
        | Event::RemovalsHalted { .. }
        | Event::RemovalsResumed => false,
    }
}

fn ended(message: String) -> Failure {
    Failure::new(Exit::Failed, message)
}

fn millis(period: Period) -> Millis {
    Millis(period.as_millis())
}

/// A drain that is under way.
#[derive(Debug, Serialize)]
struct Begun {
    changed: bool,
    drain: String,
    text: String,
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Serialize)]
struct PlanHead {
    slave: String,
    slave_name: String,
    status: String,
    drain: Option<String>,
    then: &'static str,
    tasks: usize,
    tasks_end_ms: u64,
    drain_end_ms: u64,
    digest: String,
}

impl fmt::Display for PlanHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ({}) is {}; a drain would end {} tasks",
            self.slave_name, self.slave, self.status, self.tasks
        )?;
        if let Some(drain) = &self.drain {
            writeln!(f, "{drain} is under way there already: asking again changes nothing")?;
        }
        writeln!(f, "the last task ends by     {}", clock(Moment(self.tasks_end_ms)))?;
        writeln!(f, "the drain ends by         {}, whatever anyone does", clock(Moment(self.drain_end_ms)))?;
        write!(f, "to do exactly this        --if-plan {}", self.digest)
    }
}

#[derive(Debug, Serialize)]
struct PlanRow {
    task: String,
    name: String,
    framework: String,
    connected: bool,
    grace_ms: u64,
    cut_from_ms: Option<u64>,
}

impl PlanRow {
    fn of(task: &neap_protocol::message::PlannedTask) -> Self {
        Self {
            task: task.id.to_string(),
            name: task.name.to_string(),
            framework: task.framework.to_string(),
            connected: task.connected,
            grace_ms: task.grace.0,
            cut_from_ms: task.cut_from.map(|grace| grace.0),
        }
    }
}

impl Row for PlanRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("TASK"),
        Column::left("NAME"),
        Column::left("FRAMEWORK"),
        Column::right("GRACE"),
        Column::right("CUT FROM"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let framework = match self.connected {
            true => self.framework.clone(),
            false => format!("{} (away)", self.framework),
        };
        vec![
            (&self.task).into(),
            (&self.name).into(),
            framework.into(),
            Millis(self.grace_ms).into(),
            self.cut_from_ms.map_or_else(String::new, |ms| Millis(ms).to_string()).into(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct ReceiptRow {
    at_ms: u64,
    line: &'static str,
    task: Option<String>,
    text: String,
}

impl ReceiptRow {
    fn of(at: Moment, line: &ReceiptLine) -> Self {
        let (kind, task, text) = receipt_line(line);
        Self { at_ms: at.0, line: kind, task, text: printable(&text) }
    }
}

impl Row for ReceiptRow {
    const COLUMNS: &'static [Column] = &[Column::left("WHEN"), Column::left("TASK"), Column::left("WHAT")];

    fn cells(&self) -> Vec<Cell> {
        let task = self.task.clone().unwrap_or_default();
        vec![clock(Moment(self.at_ms)).into(), task.into(), (&self.text).into()]
    }
}

fn receipt_line(line: &ReceiptLine) -> (&'static str, Option<String>, String) {
    match line {
        ReceiptLine::Opened { slave, name, by, reason, deadline } => {
            let until = deadline.map_or_else(String::new, |deadline| format!(", until {}", clock(deadline)));
            ("opened", None, format!("{by} asked for {name} ({slave}){until}{}", because(reason)))
        }
        ReceiptLine::Asked { framework, inverse_offer } => {
            ("asked", None, format!("{framework} was asked by {inverse_offer}"))
        }
        ReceiptLine::Answered { inverse_offer, answer } => {
            let answer = match answer {
                InverseAnswer::Accept { .. } => "accepted".to_owned(),
                InverseAnswer::Decline { reason } => format!("declined{}", because(reason)),
            };
            ("answered", None, format!("{inverse_offer} was {answer}"))
        }
        ReceiptLine::Revoked { task, grace } => {
            ("revoked", Some(task.to_string()), format!("revoked, with {grace} of grace"))
        }
        ReceiptLine::Ended { task, state, reason, ending } => {
            let ending = ending.as_ref().map_or_else(String::new, |ending| trees(ending));
            ("ended", Some(task.to_string()), format!("{state} ({reason}){ending}"))
        }
        ReceiptLine::Acknowledged { task } => {
            ("acknowledged", Some(task.to_string()), "its framework knows".to_owned())
        }
        ReceiptLine::Extended { deadline } => {
            ("extended", None, format!("the deadline is now {}", clock(*deadline)))
        }
        ReceiptLine::DrainEnded { end, unacknowledged } => {
            let text = match unacknowledged {
                0 => end.to_string(),
                n => format!("{end}; {n} ends that no framework was there to acknowledge"),
            };
            ("drain-ended", None, text)
        }
        ReceiptLine::InverseOfferClosed { outcome } => ("closed", None, format!("over: {outcome:?}")),
        ReceiptLine::Unregistered => ("unregistered", None, "the slave is removed".to_owned()),
    }
}

fn because(reason: &Text) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// What was done to a task's processes.
fn trees(ending: &neap_protocol::task::Ending) -> String {
    let signals = ending.signals.iter().map(|sent| match sent.processes {
        0 => format!("signal {} to all", sent.signal),
        processes => format!("signal {} to {processes}", sent.signal),
    });
    let mut text = signals.fold(String::new(), |text, signal| format!("{text}; {signal}"));
    match ending.seen_dead {
        Some(at) => text.push_str(&format!("; seen empty {}", clock(at))),
        None => text.push_str("; not seen empty"),
    }
    if !ending.unseen.is_empty() {
        text.push_str(&format!("; {}", ending.unseen));
    }
    text
}
