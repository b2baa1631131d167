//! What a registry holds, as rows of tables and objects of JSON.

use std::fmt;

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::message::{InverseAnswer, Pace};
use neap_protocol::registry::{
    DrainRecord, EndRecord, FrameworkRecord, InverseOfferRecord, InverseStage, Registry, SlaveRecord,
};
use neap_protocol::time::Moment;
use serde::Serialize;

use crate::master::audit::{Audited, Number, Outcome};
use crate::master::store::Contents;
use crate::operator::{Amount, HeldRow, HoldRow, asked};
use crate::output::{Cell, Column, Row, Tone, clock, counted};
use crate::units::{ByteSize, Period};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Glance {
    file: String,
    live: bool,
    epoch: u64,
    pub(super) slaves: Vec<SlaveRow>,
    /// Holds of names that no slave has now.
    pub(super) held: Vec<HeldRow>,
    pub(super) drains: Vec<DrainRow>,
    pub(super) inverse_offers: Vec<InverseOfferRow>,
    pub(super) frameworks: Vec<FrameworkRow>,
    pub(super) ends: Vec<EndRow>,
    audit_lines: u64,
}

impl Glance {
    pub(super) fn of(file: String, live: bool, contents: &Contents) -> Self {
        let registry = &contents.registry;
        Self {
            file,
            live,
            epoch: contents.epoch.0,
            slaves: registry.slaves().iter().map(|(id, record)| SlaveRow::of(*id, record)).collect(),
            held: registry
                .held_names()
                .iter()
                .flat_map(|(slave, holds)| holds.iter().map(move |hold| (slave, hold)))
                .map(|(slave, (name, hold))| HeldRow {
                    slave: slave.to_string(),
                    hold: HoldRow::new(name, &hold.by, &hold.reason, hold.at),
                })
                .collect(),
            drains: registry
                .drains()
                .iter()
                .map(|(id, record)| DrainRow::of(registry, *id, record))
                .collect(),
            inverse_offers: registry
                .inverse_offers()
                .iter()
                .map(|(id, record)| InverseOfferRow::of(registry, *id, record))
                .collect(),
            frameworks: registry
                .frameworks()
                .iter()
                .map(|(id, record)| FrameworkRow::of(*id, record))
                .collect(),
            ends: registry.ends().iter().map(|(task, record)| EndRow::of(*task, record)).collect(),
            audit_lines: contents.audit.len() as u64,
        }
    }

    /// Every slave's holds.
    pub(super) fn holds(&self) -> Vec<HeldRow> {
        let held = |slave: &SlaveRow| {
            let name = slave.name.clone();
            slave.holds.clone().into_iter().map(move |hold| HeldRow { slave: name.clone(), hold })
        };
        self.slaves.iter().flat_map(held).chain(self.held.iter().cloned()).collect()
    }
}

impl fmt::Display for Glance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = if self.live { ", which a master has open" } else { "" };
        write!(
            f,
            "the registry {}{live}, is of epoch {}: {}, {}, {}, {}, {}; --audit shows {} of operators",
            self.file,
            self.epoch,
            counted(self.slaves.len() as u64, "slave"),
            counted(self.drains.len() as u64, "drain"),
            counted(self.inverse_offers.len() as u64, "inverse offer"),
            counted(self.frameworks.len() as u64, "framework"),
            counted(self.ends.len() as u64, "unacknowledged end"),
            counted(self.audit_lines, "command"),
        )
    }
}

#[derive(Debug, Serialize)]
pub(super) struct SlaveRow {
    id: String,
    name: String,
    address: String,
    unreachable: bool,
    total: Amount,
    holds: Vec<HoldRow>,
    drain: Option<String>,
    inverse_offers: Vec<String>,
}

impl SlaveRow {
    fn of(id: SlaveId, record: &SlaveRecord) -> Self {
        let holds =
            record.holds.iter().map(|(name, hold)| HoldRow::new(name, &hold.by, &hold.reason, hold.at));
        Self {
            id: id.to_string(),
            name: record.name.to_string(),
            address: record.address.to_string(),
            unreachable: record.unreachable,
            total: (&record.resources).into(),
            holds: holds.collect(),
            drain: record.drain.map(|drain| drain.to_string()),
            inverse_offers: record.inverse_offers.keys().map(ToString::to_string).collect(),
        }
    }
}

impl Row for SlaveRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("ID"),
        Column::left("NAME"),
        Column::left("STATE"),
        Column::right("CPUS"),
        Column::right("MEM"),
        Column::left("HOLDS"),
        Column::left("DRAIN"),
        Column::left("ADDRESS"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let state = match self.unreachable {
            true => Cell::toned("unreachable", Tone::Bad),
            false => Cell::toned("admitted", Tone::Good),
        };
        let holds: Vec<&str> = self.holds.iter().map(|hold| hold.name.as_str()).collect();
        vec![
            (&self.id).into(),
            (&self.name).into(),
            state,
            self.total.cpus.into(),
            ByteSize::saturating_from(self.total.mem_bytes).about().into(),
            Cell::toned(holds.join(", "), Tone::Warn),
            self.drain.clone().unwrap_or_default().into(),
            (&self.address).into(),
        ]
    }
}

#[derive(Debug, Serialize)]
pub(super) struct DrainRow {
    id: String,
    slave: String,
    slave_name: String,
    by: String,
    reason: String,
    at_ms: u64,
    deadline_ms: u64,
    /// `stay` or `unregister`.
    then: String,
    /// How long was asked for; `null`: it is now.
    within_ms: Option<u64>,
    /// How it ended; `null` while it is in progress.
    end: Option<String>,
}

impl DrainRow {
    fn of(registry: &Registry, id: DrainId, record: &DrainRecord) -> Self {
        Self {
            id: id.to_string(),
            slave: record.slave.to_string(),
            slave_name: slave_name(registry, record.slave),
            by: record.by.to_string(),
            reason: record.reason.to_string(),
            at_ms: record.at.0,
            deadline_ms: record.deadline.0,
            then: record.then.to_string(),
            within_ms: match record.pace {
                Pace::Within(within) => Some(within.0),
                Pace::Now => None,
            },
            end: record.end.map(|end| end.to_string()),
        }
    }
}

impl Row for DrainRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("DRAIN"),
        Column::left("SLAVE"),
        Column::left("BY"),
        Column::left("SINCE"),
        Column::left("DEADLINE"),
        Column::left("THEN"),
        Column::left("ENDED"),
        Column::left("REASON"),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            (&self.id).into(),
            (&self.slave_name).into(),
            (&self.by).into(),
            clock(Moment(self.at_ms)).into(),
            clock(Moment(self.deadline_ms)).into(),
            (&self.then).into(),
            self.end.clone().unwrap_or_default().into(),
            (&self.reason).into(),
        ]
    }
}

#[derive(Debug, Serialize)]
pub(super) struct InverseOfferRow {
    id: String,
    framework: String,
    framework_name: String,
    slave: String,
    slave_name: String,
    /// In words.
    asked: String,
    /// What the framework may keep of what it held there.
    keep: Amount,
    deadline_ms: u64,
    by: String,
    reason: String,
    drain: Option<String>,
    /// `accepted`, `declined` or `null`.
    answer: Option<&'static str>,
    answer_reason: Option<String>,
    rather: Vec<String>,
    revoking: bool,
}

impl InverseOfferRow {
    fn of(registry: &Registry, id: InverseOfferId, record: &InverseOfferRecord) -> Self {
        let (answer, answer_reason, rather) = match &record.answer {
            Some(InverseAnswer::Accept { rather }) => {
                (Some("accepted"), None, rather.iter().map(ToString::to_string).collect())
            }
            Some(InverseAnswer::Decline { reason }) => {
                (Some("declined"), Some(reason.to_string()), Vec::new())
            }
            None => (None, None, Vec::new()),
        };
        let framework = registry.frameworks().get(&record.framework);
        Self {
            id: id.to_string(),
            framework: record.framework.to_string(),
            framework_name: framework.map_or_else(String::new, |framework| framework.name.to_string()),
            slave: record.slave.to_string(),
            slave_name: slave_name(registry, record.slave),
            asked: asked(&record.ask),
            keep: (&record.keep).into(),
            deadline_ms: record.deadline.0,
            by: record.by.to_string(),
            reason: record.reason.to_string(),
            drain: record.drain.map(|drain| drain.to_string()),
            answer,
            answer_reason,
            rather,
            revoking: record.stage == InverseStage::Revoking,
        }
    }
}

impl Row for InverseOfferRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("INVERSE OFFER"),
        Column::left("FRAMEWORK"),
        Column::left("SLAVE"),
        Column::left("ASKED"),
        Column::left("DEADLINE"),
        Column::left("ANSWER"),
        Column::left("DRAIN"),
        Column::left("BY"),
        Column::left("REASON"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let deadline = match self.revoking {
            true => Cell::toned("revoking", Tone::Bad),
            false => clock(Moment(self.deadline_ms)).into(),
        };
        let answer = match (self.answer, &self.answer_reason) {
            (Some(answer), Some(reason)) if !reason.is_empty() => format!("{answer}: {reason}"),
            (answer, _) => answer.unwrap_or_default().to_owned(),
        };
        vec![
            (&self.id).into(),
            (&self.framework_name).into(),
            (&self.slave_name).into(),
            (&self.asked).into(),
            deadline,
            answer.into(),
            self.drain.clone().unwrap_or_default().into(),
            (&self.by).into(),
            (&self.reason).into(),
        ]
    }
}

#[derive(Debug, Serialize)]
pub(super) struct FrameworkRow {
    id: String,
    name: String,
    principal: String,
    failover_timeout_ms: u64,
}

impl FrameworkRow {
    fn of(id: FrameworkId, record: &FrameworkRecord) -> Self {
        Self {
            id: id.to_string(),
            name: record.name.to_string(),
            principal: record.principal.to_string(),
            failover_timeout_ms: record.failover_timeout.0,
        }
    }
}

impl Row for FrameworkRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("FRAMEWORK"),
        Column::left("NAME"),
        Column::left("PRINCIPAL"),
        Column::left("FAILOVER TIMEOUT"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let timeout = std::time::Duration::from_millis(self.failover_timeout_ms);
        vec![
            (&self.id).into(),
            (&self.name).into(),
            (&self.principal).into(),
            Period::saturating_from(timeout).into(),
        ]
    }
}

/// How a task of a slave that has left ended, which its framework has not acknowledged.
#[derive(Debug, Serialize)]
pub(super) struct EndRow {
    task: String,
    slave: String,
    /// `Finished`, `Failed` or `Killed`.
    state: String,
    reason: String,
    message: String,
    /// Where its acknowledgement is to be recorded.
    receipt: Option<String>,
    /// The drain whose receipt has it, too.
    drain: Option<String>,
}

impl EndRow {
    fn of(task: TaskId, EndRecord { slave, update, receipt, drain }: &EndRecord) -> Self {
        Self {
            task: task.to_string(),
            slave: slave.to_string(),
            state: update.state.to_string(),
            reason: update.reason.to_string(),
            message: update.message.to_string(),
            receipt: receipt.map(|receipt| receipt.to_string()),
            drain: drain.map(|drain| drain.to_string()),
        }
    }
}

impl Row for EndRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("UNACKNOWLEDGED END"),
        Column::left("SLAVE"),
        Column::left("STATE"),
        Column::left("REASON"),
        Column::left("RECEIPT"),
        Column::left("MESSAGE"),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            (&self.task).into(),
            (&self.slave).into(),
            (&self.state).into(),
            (&self.reason).into(),
            self.receipt.clone().unwrap_or_default().into(),
            (&self.message).into(),
        ]
    }
}

/// A command of an operator.
#[derive(Debug, Serialize)]
pub(super) struct AuditRow {
    epoch: u64,
    number: u64,
    at_ms: u64,
    by: String,
    command: String,
    of: String,
    detail: String,
    reason: String,
    /// `done`, `already so`, `refused` or `unanswered`.
    outcome: &'static str,
    /// What the drain or inverse offer is called that it began.
    id: Option<String>,
    refusal: Option<String>,
}

impl From<&(Number, Audited)> for AuditRow {
    fn from((number, audited): &(Number, Audited)) -> Self {
        let (outcome, id, refusal) = match &audited.outcome {
            Outcome::Unanswered => ("unanswered", None, None),
            Outcome::Done { changed, id } => {
                let id = (!id.is_empty()).then(|| id.to_string());
                (if *changed { "done" } else { "already so" }, id, None)
            }
            Outcome::Refused(cause) => ("refused", None, Some(cause.to_string())),
        };
        Self {
            epoch: number.epoch.0,
            number: number.number,
            at_ms: audited.at.0,
            by: audited.by.to_string(),
            command: audited.command.to_string(),
            of: audited.of.to_string(),
            detail: audited.detail.to_string(),
            reason: audited.reason.to_string(),
            outcome,
            id,
            refusal,
        }
    }
}

impl Row for AuditRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("AT"),
        Column::left("BY"),
        Column::left("COMMAND"),
        Column::left("OF"),
        Column::left("DETAIL"),
        Column::left("REASON"),
        Column::left("OUTCOME"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let outcome = match (&self.id, &self.refusal) {
            (Some(id), _) => Cell::toned(format!("{}: {id}", self.outcome), Tone::Good),
            (None, Some(cause)) => Cell::toned(format!("{}: {cause}", self.outcome), Tone::Warn),
            (None, None) => self.outcome.into(),
        };
        vec![
            clock(Moment(self.at_ms)).into(),
            (&self.by).into(),
            (&self.command).into(),
            (&self.of).into(),
            (&self.detail).into(),
            (&self.reason).into(),
            outcome,
        ]
    }
}

fn slave_name(registry: &Registry, slave: SlaveId) -> String {
    registry.slaves().get(&slave).map_or_else(String::new, |record| record.name.to_string())
}
