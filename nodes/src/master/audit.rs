//! The audit: which operator asked for which change, when and why, and what became of it. Durable, beside the registry.
//!
//! A command's line is written with the operation that the machine asks to be written for it, in one transaction, so
//! that no change of the registry by an operator is without its line. What became of it is added when it is answered.
//! Commands that change no registry (a kill, a refusal) have their line written soon after they were carried out.
//! Nothing is decided here: what was said to the machine, and what it answered, is written down.

use std::collections::BTreeMap;

use neap_protocol::ids::{Epoch, SessionId};
use neap_protocol::message::{Answer, Command, DrainStep, InverseAsk, MasterToOperator, OperatorToMaster};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use serde::{Deserialize, Serialize};

use crate::units::Period;

/// Which command: the leader's epoch, and how many changing commands it had been given in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    pub(crate) epoch: Epoch,
    pub(crate) number: u64,
}

/// A line of the audit. Its words are those of the command line, and not the protocol's types: it is to be readable
/// longer than these stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Audited {
    /// When the leader was asked.
    pub(crate) at: Moment,
    /// Who asked: the name in the certificate.
    pub(crate) by: Name,
    /// For what: `drain`, `kill`, …
    pub(crate) command: Text,
    /// The slave, drain, inverse offer or task that was named.
    pub(crate) of: Text,
    /// How: a hold's name, a deadline.
    pub(crate) detail: Text,
    /// Why, where the command takes a reason.
    pub(crate) reason: Text,
    pub(crate) outcome: Outcome,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It was not answered, or the leader ended before the answer was written down.
    Unanswered,
    /// It was done, or was so before (`changed` is false); `id` is what it was given.
    Done { changed: bool, id: Text },
    /// Nothing was changed; why.
    Refused(Text),
}

/// The commands that have not been answered.
#[derive(Debug)]
pub(super) struct Audit {
    last: Number,
    operators: BTreeMap<SessionId, Name>,
    waiting: BTreeMap<(SessionId, u32), (Number, Audited)>,
}

impl Audit {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { last: Number { epoch, number: 0 }, operators: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// An operator's session begins.
    pub(super) fn opened(&mut self, session: SessionId, name: Name) {
        self.operators.insert(session, name);
    }

    /// A session is over: whatever was not answered stays so.
    pub(super) fn closed(&mut self, session: SessionId) {
        self.operators.remove(&session);
        let its: Vec<_> =
            self.waiting.range((session, 0)..=(session, u32::MAX)).map(|(key, _)| *key).collect();
        for key in its {
            self.waiting.remove(&key);
        }
    }

    /// The line of a command that is to change something; `None` for one that only looks.
    pub(super) fn heard(
        &mut self,
        session: SessionId,
        at: Moment,
        message: &OperatorToMaster,
    ) -> Option<(Number, Audited)> {
        let by = self.operators.get(&session)?.clone();
        let Asked { command, of, detail, reason } = asked(&message.command)?;
        self.last.number += 1;
        let outcome = Outcome::Unanswered;
        let line = Audited {
            at,
            by,
            command: command.into(),
            of: of.into(),
            detail: detail.into(),
            reason,
            outcome,
        };
        let entry = (self.last, line);
        self.waiting.insert((session, message.request), entry.clone());
        Some(entry)
    }

    /// The line of the command that this answers, with what became of it; `None` for answers to others.
    pub(super) fn answered(
        &mut self,
        session: SessionId,
        message: &MasterToOperator,
    ) -> Option<(Number, Audited)> {
        let MasterToOperator::Answer { request, answer } = message else {
            return None;
        };
        let (number, line) = self.waiting.remove(&(session, *request))?;
        let outcome = match answer {
            Ok(Answer::Done { changed }) => Outcome::Done { changed: *changed, id: Text::EMPTY },
            Ok(Answer::Draining { drain, step }) => {
                Outcome::Done { changed: *step != DrainStep::Unchanged, id: drain.to_string().into() }
            }
            Ok(Answer::InverseOffered(id)) => Outcome::Done { changed: true, id: id.to_string().into() },
            // No answer to a change.
            Ok(
                Answer::Plan(_)
                | Answer::Watching
                | Answer::Status(_)
                | Answer::Slaves(_)
                | Answer::HeldNames(_)
                | Answer::Tasks(_)
                | Answer::Frameworks(_)
                | Answer::Offers(_)
                | Answer::InverseOffers(_)
                | Answer::Drain(_)
                | Answer::Receipt(_)
                | Answer::Events(_)
                | Answer::Pending(_),
            ) => return None,
            Err(refusal) => Outcome::Refused(refusal.to_string().into()),
        };
        Some((number, Audited { outcome, ..line }))
    }
}

struct Asked {
    command: &'static str,
    of: String,
    detail: String,
    reason: Text,
}

/// What a command asks to change, in words.
fn asked(command: &Command) -> Option<Asked> {
    let asked = |command, of: &dyn std::fmt::Display, detail: String, reason: &Text| {
        Some(Asked { command, of: of.to_string(), detail, reason: reason.clone() })
    };
    let none = (String::new(), &Text::EMPTY);
    match command {
        Command::Show(_) | Command::Watch | Command::PlanDrain { .. } => None,
        Command::Deactivate { slave, hold, reason } => {
            asked("deactivate", slave, format!("hold {hold}"), reason)
        }
        Command::Activate { slave, hold, reason } => {
            let holds = hold.as_ref().map_or_else(|| "every hold".to_owned(), |hold| format!("hold {hold}"));
            asked("activate", slave, holds, reason)
        }
        Command::InverseOffer { framework, slave, ask, deadline, reason } => {
            let what = match ask {
                InverseAsk::Everything => "everything".to_owned(),
                InverseAsk::Amount(resources) => resources.to_string(),
            };
            let detail = format!("{what} of {framework} within {}", period(*deadline));
            asked("inverse-offer", slave, detail, reason)
        }
        Command::CancelInverseOffer(id) => asked("inverse-offer --cancel", id, none.0, none.1),
        Command::Drain { slave, deadline, reason, then, if_plan, change } => {
            let then = then.map_or_else(String::new, |then| format!(", then {then}"));
            let change = if *change { ", changed" } else { "" };
            let plan = if_plan.map_or_else(String::new, |digest| format!(", if the plan is {digest:016x}"));
            asked("drain", slave, format!("within {}{then}{change}{plan}", period(*deadline)), said(reason))
        }
        Command::CancelDrain(id) => asked("drain --cancel", id, none.0, none.1),
        Command::ExtendDrain(id, deadline) => {
            asked("drain --extend", id, format!("to {} from then", period(*deadline)), none.1)
        }
        Command::DrainNow { slave, reason } => asked("drain --now", slave, none.0, said(reason)),
        Command::Kill { task, reason } => asked("kill", task, none.0, reason),
        Command::ResumeRemovals { reason } => asked("removals resume", &"", none.0, reason),
        Command::ForgetSlave { slave, reason } => asked("slave forget", slave, none.0, reason),
        Command::Teardown { framework, reason } => asked("teardown", framework, none.0, reason),
    }
}

fn said(reason: &Option<Text>) -> &Text {
    reason.as_ref().unwrap_or(&Text::EMPTY)
}

fn period(millis: Millis) -> Period {
    Period::saturating_from(std::time::Duration::from_millis(millis.0))
}
