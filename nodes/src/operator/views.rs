//! What operators see, as rows of tables and objects of JSON.

use neap_protocol::message::{
    DrainView, FrameworkView, InverseAnswer, InverseAsk, InverseOfferView, OfferView, Pace, PendingView,
    SlaveStatus, SlaveView, SlaveWait, TaskView, Uncounted,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::TaskState;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Moment;
use serde::Serialize;
use std::time::Duration;

use crate::driver;
use crate::output::{Cell, Column, Row, Tone, clock, counted};
use crate::pending::{Waits, Why};
use crate::units::{ByteSize, Period};

/// An amount, for programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Amount {
    pub(crate) cpus: f64,
    pub(crate) mem_bytes: u64,
    disk_bytes: u64,
    ports: String,
}

impl From<&Resources> for Amount {
    fn from(resources: &Resources) -> Self {
        let ports = match resources.ports.ranges() {
            [] => String::new(),
            _ => resources.ports.to_string(),
        };
        Self {
            // Exact for every host there is: a double holds 53 bits.
            cpus: resources.cpus as f64 / 1000.0,
            mem_bytes: resources.mem,
            disk_bytes: resources.disk,
            ports,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SlaveRow {
    id: String,
    name: String,
    status: String,
    tasks: u32,
    /// What may run there beside them: `nothing`, `ending`, `lost` or `unknown`.
    uncounted: &'static str,
    total: Amount,
    used: Amount,
    offered: Amount,
    holds: Vec<HoldRow>,
    drain: Option<String>,
    drain_left_ms: Option<u64>,
    drain_waits_for: Vec<String>,
    /// What is asked of its drain.
    drain_asked: Option<DrainAsked>,
    address: String,
    #[serde(skip)]
    view: SlaveView,
}

/// What is asked of a drain, by whom and why, and how it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DrainAsked {
    by: String,
    reason: String,
    at_ms: u64,
    /// Whether its slave ends everything at once.
    now: bool,
    /// How long was asked for; `null` for one that is now.
    within_ms: Option<u64>,
    deadline_ms: u64,
    /// When it is over at the latest.
    bound_ms: u64,
    /// `stay` or `unregister`.
    then: String,
    /// How it ended; `null` while it is in progress.
    end: Option<String>,
}

impl DrainAsked {
    pub(super) fn of(view: &DrainView) -> Self {
        let within_ms = match view.pace {
            Pace::Within(within) => Some(within.0),
            Pace::Now => None,
        };
        Self {
            by: view.by.to_string(),
            reason: view.reason.to_string(),
            at_ms: view.at.0,
            now: view.pace == Pace::Now,
            within_ms,
            deadline_ms: view.deadline.0,
            bound_ms: view.bound.0,
            then: view.then.to_string(),
            end: view.end.map(|end| end.to_string()),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HoldRow {
    pub(crate) name: String,
    by: String,
    reason: String,
    at_ms: u64,
}

impl HoldRow {
    pub(crate) fn new(name: &Name, by: &Name, reason: &Text, at: Moment) -> Self {
        let [name, by] = [name, by].map(ToString::to_string);
        Self { name, by, reason: reason.to_string(), at_ms: at.0 }
    }
}

impl From<SlaveView> for SlaveRow {
    fn from(view: SlaveView) -> Self {
        let holds = view.holds.iter().map(|hold| HoldRow::new(&hold.name, &hold.by, &hold.reason, hold.at));
        let drain = view.drain.as_ref();
        let open = drain.filter(|drain| drain.end.is_none());
        Self {
            id: view.id.to_string(),
            name: view.name.to_string(),
            status: view.status.to_string(),
            tasks: view.tasks,
            uncounted: match view.uncounted {
                Uncounted::Nothing => "nothing",
                Uncounted::Ending(_) => "ending",
                Uncounted::Lost => "lost",
                Uncounted::Unknown => "unknown",
            },
            total: (&view.total).into(),
            used: (&view.used).into(),
            offered: (&view.offered).into(),
            holds: holds.collect(),
            drain: drain.map(|drain| drain.id.to_string()),
            drain_left_ms: open.map(|drain| left_ms(drain.deadline)),
            drain_waits_for: open.map_or_else(Vec::new, waits),
            drain_asked: drain.map(DrainAsked::of),
            address: view.address.to_string(),
            view,
        }
    }
}

impl Row for SlaveRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("ID"),
        Column::left("NAME"),
        Column::left("STATUS"),
        Column::right("TASKS"),
        Column::right("CPUS"),
        Column::right("MEM"),
        Column::left("HOLDS"),
        Column::left("DRAIN"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let holds: Vec<&str> = self.holds.iter().map(|hold| hold.name.as_str()).collect();
        let about = |bytes| ByteSize::saturating_from(bytes).about();
        vec![
            (&self.id).into(),
            (&self.name).into(),
            Cell::toned(&self.status, tone(self.view.status)),
            match self.view.uncounted {
                Uncounted::Nothing => self.tasks.into(),
                // More may run there than is counted.
                Uncounted::Ending(_) | Uncounted::Lost | Uncounted::Unknown => {
                    Cell::toned(format!("{}+?", self.tasks), Tone::Warn)
                }
            },
            format!("{} of {}", self.used.cpus, self.total.cpus).into(),
            format!("{} of {}", about(self.used.mem_bytes), about(self.total.mem_bytes)).into(),
            match holds.is_empty() {
                true => Cell::from(String::new()),
                false => Cell::toned(holds.join(", "), Tone::Warn),
            },
            self.drain_text().into(),
        ]
    }
}

impl SlaveRow {
    /// Who holds the slave back, and why, and since when.
    pub(super) fn held(&self) -> impl Iterator<Item = HeldRow> {
        self.holds.iter().map(|hold| HeldRow { slave: self.name.clone(), hold: hold.clone() })
    }

    /// The drain that is in progress there.
    pub(super) fn draining(&self) -> Option<DrainRow> {
        let drain = self.view.drain.as_ref().filter(|drain| drain.end.is_none())?;
        Some(DrainRow { id: drain.id.to_string(), slave: self.name.clone(), drain: drain.clone() })
    }

    fn drain_text(&self) -> String {
        let Some(drain) = &self.view.drain else {
            return String::new();
        };
        match drain.end {
            Some(end) => format!("{} {end}", drain.id),
            None if drain.pace == Pace::Now => format!("{} now", drain.id),
            None if drain.revoking => format!("{} revoking", drain.id),
            None => format!("{} {} left", drain.id, left(drain.deadline)),
        }
    }
}

/// A hold and its slave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HeldRow {
    pub(crate) slave: String,
    #[serde(flatten)]
    pub(crate) hold: HoldRow,
}

impl Row for HeldRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("SLAVE"),
        Column::left("HOLD"),
        Column::left("BY"),
        Column::left("SINCE"),
        Column::left("REASON"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let HoldRow { name, by, reason, at_ms } = &self.hold;
        vec![
            (&self.slave).into(),
            Cell::toned(name, Tone::Warn),
            by.into(),
            clock(Moment(*at_ms)).into(),
            reason.into(),
        ]
    }
}

/// A drain in progress, for `neap status`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DrainRow {
    id: String,
    slave: String,
    #[serde(skip)]
    drain: DrainView,
}

impl Row for DrainRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("DRAIN"),
        Column::left("SLAVE"),
        Column::left("BY"),
        Column::left("LEFT"),
        Column::left("THEN"),
        Column::left("WAITS FOR"),
        Column::left("REASON"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let left = match (self.drain.pace, self.drain.revoking) {
            (Pace::Now, _) => Cell::toned("now", Tone::Bad),
            (Pace::Within(_), true) => Cell::toned("revoking", Tone::Bad),
            (Pace::Within(_), false) => left(self.drain.deadline).into(),
        };
        let waits = waits(&self.drain);
        vec![
            (&self.id).into(),
            (&self.slave).into(),
            (&self.drain.by).into(),
            left,
            self.drain.then.to_string().into(),
            waits.join("; ").into(),
            (&self.drain.reason).into(),
        ]
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct TaskRow {
    id: String,
    name: String,
    framework: String,
    slave: String,
    slave_name: String,
    slave_address: String,
    state: String,
    reason: String,
    advice: &'static str,
    resources: Amount,
    #[serde(skip)]
    view: TaskView,
}

impl From<TaskView> for TaskRow {
    fn from(view: TaskView) -> Self {
        Self {
            id: view.id.to_string(),
            name: view.name.to_string(),
            framework: view.framework.to_string(),
            slave: view.slave.to_string(),
            slave_name: view.slave_name.to_string(),
            slave_address: view.slave_address.to_string(),
            state: view.state.to_string(),
            reason: view.reason.to_string(),
            advice: view.reason.advice(),
            resources: (&view.resources).into(),
            view,
        }
    }
}

impl Row for TaskRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("ID"),
        Column::left("NAME"),
        Column::left("FRAMEWORK"),
        Column::left("SLAVE"),
        Column::left("STATE"),
        Column::left("REASON"),
        Column::left("RESOURCES"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let tone = match self.view.state {
            TaskState::Running | TaskState::Finished => Tone::Good,
            TaskState::Staging | TaskState::Starting => Tone::Plain,
            TaskState::Killing | TaskState::Unreachable | TaskState::Killed => Tone::Warn,
            TaskState::Failed | TaskState::Lost | TaskState::Dropped => Tone::Bad,
        };
        let reason = if self.reason == "Normal" { "" } else { &self.reason };
        vec![
            (&self.id).into(),
            (&self.name).into(),
            (&self.framework).into(),
            (&self.slave_name).into(),
            Cell::toned(&self.state, tone),
            reason.into(),
            (&self.view.resources).into(),
        ]
    }
}

/// A framework that waits for offers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PendingRow {
    framework: String,
    framework_name: String,
    #[serde(flatten)]
    waits: Waits,
    #[serde(skip)]
    needs: Resources,
}

impl From<PendingView> for PendingRow {
    fn from(view: PendingView) -> Self {
        Self {
            framework: view.framework.to_string(),
            framework_name: view.name.to_string(),
            waits: Waits::new(&view.want, &view.why),
            needs: view.want.needs,
        }
    }
}

impl Row for PendingRow {
    const COLUMNS: &'static [Column] =
        &[Column::left("FRAMEWORK"), Column::right("WAIT"), Column::left("EACH NEEDS"), Column::left("WHY")];

    fn cells(&self) -> Vec<Cell> {
        let name = format!("{} ({})", self.framework_name, self.framework);
        let waits = Cell::toned(self.waits.instances, Tone::Warn);
        vec![name.into(), waits, (&self.needs).into(), (&self.waits.why.why).into()]
    }
}

impl PendingRow {
    pub(super) fn sentence(&self) -> String {
        let Self { framework, framework_name, waits, needs } = self;
        let waiting = counted(waits.instances, "more task");
        let Why { why, help, .. } = &waits.why;
        format!("{framework_name} ({framework}) waits for {waiting} of {needs}: {why}; {}", help.join("; "))
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct FrameworkRow {
    id: String,
    name: String,
    principal: String,
    connected: bool,
    suppressed: bool,
    weight: u32,
    tasks: u32,
    allocated: Amount,
    #[serde(skip)]
    view: FrameworkView,
}

impl From<FrameworkView> for FrameworkRow {
    fn from(view: FrameworkView) -> Self {
        Self {
            id: view.id.to_string(),
            name: view.name.to_string(),
            principal: view.principal.to_string(),
            connected: view.connected,
            suppressed: view.suppressed,
            weight: view.weight,
            tasks: view.tasks,
            allocated: (&view.allocated).into(),
            view,
        }
    }
}

impl Row for FrameworkRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("ID"),
        Column::left("NAME"),
        Column::left("PRINCIPAL"),
        Column::left("STATUS"),
        Column::right("WEIGHT"),
        Column::right("TASKS"),
        Column::left("ALLOCATED"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let status = match (self.connected, self.suppressed) {
            (false, _) => Cell::toned("away", Tone::Warn),
            (true, true) => Cell::toned("suppressed", Tone::Dim),
            (true, false) => Cell::toned("connected", Tone::Good),
        };
        vec![
            (&self.id).into(),
            (&self.name).into(),
            (&self.principal).into(),
            status,
            self.weight.into(),
            self.tasks.into(),
            (&self.view.allocated).into(),
        ]
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct OfferRow {
    id: String,
    framework: String,
    slave: String,
    slave_name: String,
    resources: Amount,
    #[serde(skip)]
    view: OfferView,
}

impl From<OfferView> for OfferRow {
    fn from(view: OfferView) -> Self {
        Self {
            id: view.id.to_string(),
            framework: view.framework.to_string(),
            slave: view.slave.to_string(),
            slave_name: view.slave_name.to_string(),
            resources: (&view.resources).into(),
            view,
        }
    }
}

impl Row for OfferRow {
    const COLUMNS: &'static [Column] =
        &[Column::left("ID"), Column::left("FRAMEWORK"), Column::left("SLAVE"), Column::left("RESOURCES")];

    fn cells(&self) -> Vec<Cell> {
        let resources = &self.view.resources;
        vec![(&self.id).into(), (&self.framework).into(), (&self.slave_name).into(), resources.into()]
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct InverseOfferRow {
    id: String,
    framework: String,
    framework_name: String,
    slave: String,
    slave_name: String,
    /// `null`: everything.
    asked: Option<Amount>,
    deadline_ms: u64,
    left_ms: u64,
    reason: String,
    by: String,
    drain: Option<String>,
    /// `accepted`, `declined` or `null`.
    answer: Option<&'static str>,
    answer_reason: Option<String>,
    returned: bool,
    revoking: bool,
    tasks: u32,
    #[serde(skip)]
    view: InverseOfferView,
}

impl From<InverseOfferView> for InverseOfferRow {
    fn from(view: InverseOfferView) -> Self {
        let (answer, answer_reason) = match &view.answer {
            Some(InverseAnswer::Accept { .. }) => (Some("accepted"), None),
            Some(InverseAnswer::Decline { reason }) => (Some("declined"), Some(reason.to_string())),
            None => (None, None),
        };
        Self {
            id: view.id.to_string(),
            framework: view.framework.to_string(),
            framework_name: view.framework_name.to_string(),
            slave: view.slave.to_string(),
            slave_name: view.slave_name.to_string(),
            asked: match &view.ask {
                InverseAsk::Everything => None,
                InverseAsk::Amount(resources) => Some(resources.into()),
            },
            deadline_ms: view.deadline.0,
            left_ms: left_ms(view.deadline),
            reason: view.reason.to_string(),
            by: view.by.to_string(),
            drain: view.drain.map(|drain| drain.to_string()),
            answer,
            answer_reason,
            returned: view.returned,
            revoking: view.revoking,
            tasks: view.tasks,
            view,
        }
    }
}

impl Row for InverseOfferRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("ID"),
        Column::left("FRAMEWORK"),
        Column::left("SLAVE"),
        Column::left("ASKED"),
        Column::left("LEFT"),
        Column::left("ANSWER"),
        Column::right("TASKS"),
        Column::left("DRAIN"),
        Column::left("REASON"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let time = match (self.returned, self.revoking) {
            (true, _) => Cell::toned("returned", Tone::Good),
            (false, true) => Cell::toned("revoking", Tone::Bad),
            (false, false) => left(self.view.deadline).into(),
        };
        let answer = match (self.answer, &self.answer_reason) {
            (Some(answer), Some(reason)) if !reason.is_empty() => format!("{answer}: {reason}"),
            (Some(answer), _) => answer.to_owned(),
            (None, _) => String::new(),
        };
        vec![
            (&self.id).into(),
            (&self.framework_name).into(),
            (&self.slave_name).into(),
            asked(&self.view.ask).into(),
            time,
            answer.into(),
            self.tasks.into(),
            self.drain.clone().unwrap_or_default().into(),
            (&self.reason).into(),
        ]
    }
}

/// What a drain that is now waits for: its slave, whatever runs there.
pub(super) fn waits_now(drain: &DrainView) -> String {
    let running: u32 = drain.waiting_for.iter().map(|wait| wait.running).sum();
    let name = &drain.slave_name;
    let does = match drain.status {
        SlaveStatus::Leaving => format!("{name} to end what runs there, and to leave"),
        SlaveStatus::Active | SlaveStatus::Held | SlaveStatus::Draining | SlaveStatus::Drained => {
            format!("{name} to hear that it is to leave")
        }
        SlaveStatus::Silent => format!("{name}, which does not answer, to hear that it is to leave"),
        status @ (SlaveStatus::Awaited | SlaveStatus::Disconnected | SlaveStatus::Unreachable) => {
            format!("{name}, which is {status}: it is told when it is back")
        }
    };
    match running {
        0 => does,
        running => format!("{does}; {running} running"),
    }
}

/// How a slave's status stands out: only one that work is sent to is well.
pub(super) fn tone(status: SlaveStatus) -> Tone {
    match status {
        SlaveStatus::Active => Tone::Good,
        SlaveStatus::Drained => Tone::Plain,
        SlaveStatus::Held
        | SlaveStatus::Draining
        | SlaveStatus::Silent
        | SlaveStatus::Awaited
        | SlaveStatus::Disconnected
        | SlaveStatus::Leaving => Tone::Warn,
        SlaveStatus::Unreachable => Tone::Bad,
    }
}

/// What holds a drain up, and why, in words: the slave first, where it is the slave.
pub(super) fn waits(drain: &DrainView) -> Vec<String> {
    if drain.pace == Pace::Now {
        return vec![waits_now(drain)];
    }
    let slave = drain.slave_wait.map(|wait| slave_wait(drain, wait));
    slave.into_iter().chain(drain.waiting_for.iter().map(wait)).collect()
}

/// Why a drain waits for its slave.
fn slave_wait(drain: &DrainView, wait: SlaveWait) -> String {
    let SlaveWait { status, out_of_reach, ending } = wait;
    let mut why = Vec::new();
    if !status.answers() {
        why.push(status.to_string());
    }
    if out_of_reach > 0 {
        why.push(format!("{} out of reach", counted(out_of_reach, "task")));
    }
    if ending > 0 {
        why.push(format!("{} to end", counted(ending, "task")));
    }
    format!("{} ({}): {}", drain.slave_name, drain.slave, why.join(", "))
}

/// What may run on a slave beside what is listed, as a sentence; nothing where that is all.
pub(super) fn uncounted(uncounted: Uncounted) -> Option<String> {
    match uncounted {
        Uncounted::Nothing => None,
        Uncounted::Ending(tasks) => {
            Some(format!("{} that must not live there any more, and end first", counted(tasks, "task")))
        }
        Uncounted::Lost => Some(
            "what was told Lost when it was given up may still run there, and ends when it is back".into(),
        ),
        Uncounted::Unknown => Some("it has yet to tell this leader what runs there".into()),
    }
}

/// Which framework holds a drain up, and why, in words.
fn wait(wait: &neap_protocol::message::DrainWait) -> String {
    let counts = match (wait.running, wait.unacknowledged) {
        (running, 0) => format!("{running} running"),
        (0, unacknowledged) => format!("{unacknowledged} ended and not acknowledged"),
        (running, unacknowledged) => {
            format!("{running} running, {unacknowledged} ended and not acknowledged")
        }
    };
    let answer = match &wait.answer {
        Some(InverseAnswer::Accept { .. }) => "; accepted".to_owned(),
        Some(InverseAnswer::Decline { reason }) if reason.is_empty() => "; declined".to_owned(),
        Some(InverseAnswer::Decline { reason }) => format!("; declined: {reason}"),
        // Where nothing runs any more, no answer is waited for.
        None if wait.running == 0 => String::new(),
        None => "; no answer yet".to_owned(),
    };
    let away = if wait.connected { "" } else { ", away" };
    format!("{} ({}): {counts}{answer}{away}", wait.name, wait.framework)
}

/// How long until a moment, in words: in whole seconds but for the last two.
pub(super) fn left(until: Moment) -> String {
    let ms = match left_ms(until) {
        ms @ 0..2_000 => ms,
        ms => ms.next_multiple_of(1_000),
    };
    Period::saturating_from(Duration::from_millis(ms)).about()
}

pub(super) fn left_ms(until: Moment) -> u64 {
    until.0.saturating_sub(driver::now().0)
}

/// What an inverse offer asks for, in words.
pub(crate) fn asked(ask: &InverseAsk) -> String {
    match ask {
        InverseAsk::Everything => "everything".to_owned(),
        InverseAsk::Amount(Resources { cpus, mem, .. }) => {
            let cpus = (*cpus > 0).then(|| format!("{} cpus", *cpus as f64 / 1000.0));
            let mem = (*mem > 0).then(|| format!("{} of memory", ByteSize::saturating_from(*mem)));
            cpus.into_iter().chain(mem).collect::<Vec<_>>().join(" and ")
        }
    }
}
