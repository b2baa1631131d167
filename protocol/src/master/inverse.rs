//! Inverse offers, revocation, drains (R17–R23).
//!
//! Resources count as returned when the tasks that held them are over; whether everything came back is therefore
//! never stored, but read from what the framework still holds. A deadline is a timer at a durable moment; when it
//! fires, that it has passed is written before anything is revoked, so that a new leader goes on from there.

use alloc::vec::Vec;

use crate::ids::{DrainId, FrameworkId, InverseOfferId, SessionId, SlaveId, TaskId};
use crate::map::Set;
use crate::message::{
    DrainEnd, DrainView, DrainWait, Event, InverseAnswer, InverseAsk, InverseOfferView, InverseOutcome,
    MasterToFramework, MasterToSlave, Pace, ReceiptId, ReceiptLine, SlaveWait,
};
use crate::registry::{DrainRecord, InverseOfferRecord, InverseStage, Operation, SlaveRecord};
use crate::resources::Resources;
use crate::task::Reason;
use crate::text::Name;
use crate::time::{Moment, When};
use crate::transport::CloseCode;

use super::leader::{Cx, Leader, Then};
use super::tasks::Kill;
use super::victims::{self, Candidate};
use super::{Effect, Timer};

/// The most tasks that a framework may name in an answer.
const NAMED_MAX: usize = 4096;

impl Leader {
    /// Every deadline of the registry, once more (R20).
    pub(super) fn rearm_deadlines(&mut self, cx: &mut Cx<'_>) {
        for (id, record) in self.registry.inverse_offers().iter() {
            if record.stage == InverseStage::Open {
                let when = When::At(record.deadline);
                cx.push(Effect::SetTimer { timer: Timer::InverseOffer(*id), when });
            }
        }
        let running: Vec<(DrainId, Moment)> = self
            .registry
            .drains()
            .iter()
            .filter(|(_, d)| d.end.is_none())
            .map(|(id, d)| (*id, d.deadline))
            .collect();
        for (id, deadline) in running {
            self.arm_bound(cx, id, deadline);
        }
    }

    fn arm_bound(&self, cx: &mut Cx<'_>, drain: DrainId, deadline: Moment) {
        let when = When::At(self.drain_end(cx, deadline));
        cx.push(Effect::SetTimer { timer: Timer::DrainBound(drain), when });
    }

    /// When a drain is over at the latest (R22).
    pub(super) fn drain_end(&self, cx: &Cx<'_>, deadline: Moment) -> Moment {
        deadline.after(cx.config.revoke_grace).after(cx.config.drain_bound)
    }

    /// What a framework may keep on a slave if it is asked for so much now.
    pub(super) fn kept_after(&self, slave: SlaveId, framework: FrameworkId, ask: &InverseAsk) -> Resources {
        match ask {
            InverseAsk::Everything => Resources::NONE,
            InverseAsk::Amount(amount) => self.held(slave, framework).saturating_sub(amount),
        }
    }

    /// What a framework's tasks hold on a slave.
    fn held(&self, slave: SlaveId, framework: FrameworkId) -> Resources {
        let live = self.tasks_on(slave, framework).filter(|(_, task)| !task.state.is_terminal());
        live.fold(Resources::NONE, |sum, (_, task)| sum.saturating_add(&task.resources))
    }

    /// What an inverse offer asked for and has not got back yet.
    fn rest(&self, record: &InverseOfferRecord) -> Resources {
        let held = self.held(record.slave, record.framework);
        match &record.ask {
            InverseAsk::Everything => held,
            InverseAsk::Amount(amount) => {
                let over = held.saturating_sub(&record.keep);
                // What was not asked for may be kept, whatever else came and went.
                Resources {
                    cpus: over.cpus.min(amount.cpus),
                    mem: over.mem.min(amount.mem),
                    disk: over.disk.min(amount.disk),
                    ports: over.ports.without(&over.ports.without(&amount.ports)),
                }
            }
        }
    }

    pub(super) fn has_returned(&self, record: &InverseOfferRecord) -> bool {
        match &record.ask {
            // A task that holds nothing is a task all the same.
            InverseAsk::Everything => {
                self.tasks_on(record.slave, record.framework).all(|(_, task)| task.state.is_terminal())
            }
            InverseAsk::Amount(_) => self.rest(record).is_empty(),
        }
    }

    /// An inverse offer is being written: what the framework may keep was reckoned from what it has now.
    pub(super) fn about_to_ask(&mut self, cx: &mut Cx<'_>, slave: SlaveId, framework: FrameworkId) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.asking.insert(framework, ());
        }
        self.rescind_slave(cx, slave, Some(framework));
    }

    /// An inverse offer is written, or could not be.
    pub(super) fn asked(&mut self, cx: &mut Cx<'_>, operation: &Operation) {
        let Operation::OpenInverseOffer(record) = operation else {
            return;
        };
        let state = self.slaves.get_mut(&record.slave);
        if state.is_some_and(|state| state.asking.remove(&record.framework).is_some()) {
            self.freed(cx, record.slave);
        }
    }

    /// An inverse offer is durable: the framework is asked.
    pub(super) fn inverse_opened(&mut self, cx: &mut Cx<'_>, id: InverseOfferId) {
        let Some(record) = self.registry.inverse_offers().get(&id).cloned() else {
            return;
        };
        let receipt = record.drain.map_or(ReceiptId::InverseOffer(id), ReceiptId::Drain);
        if record.drain.is_none()
            && let Some(name) = self.slave_name(record.slave).cloned()
        {
            let (by, reason) = (record.by.clone(), record.reason.clone());
            let deadline = Some(record.deadline);
            let slave = record.slave;
            let line = ReceiptLine::Opened { slave, name, by, reason, deadline, drain: None };
            cx.push(Effect::Record { receipt, line });
        }
        let ask = record.ask.clone();
        let line = ReceiptLine::Asked { framework: record.framework, inverse_offer: id, ask };
        cx.push(Effect::Record { receipt, line });
        let when = When::At(record.deadline);
        cx.push(Effect::SetTimer { timer: Timer::InverseOffer(id), when });
        // What is lent there would only have to be asked back (R18).
        self.rescind_slave(cx, record.slave, Some(record.framework));
        if let Some(view) = self.inverse_view(id, &record) {
            self.publish(cx, Event::InverseOffered(view));
        }
        if let Some(session) = self.frameworks.get(&record.framework).and_then(|f| f.session) {
            self.tell_inverse_offer(cx, session, id, &record);
        }
    }

    fn tell_inverse_offer(
        &self,
        cx: &mut Cx<'_>,
        session: SessionId,
        id: InverseOfferId,
        record: &InverseOfferRecord,
    ) {
        let Some(name) = self.slave_name(record.slave).cloned() else {
            return;
        };
        let InverseOfferRecord { slave, ask, deadline, reason, .. } = record.clone();
        let message = MasterToFramework::InverseOffer { id, slave, name, ask, deadline, reason };
        cx.tell_framework(session, message);
    }

    /// What a framework that has come back is still asked for.
    pub(super) fn tell_inverse_offers(&self, cx: &mut Cx<'_>, framework: FrameworkId, session: SessionId) {
        let open = self.registry.inverse_offers().iter();
        for (id, record) in open.filter(|(_, io)| io.framework == framework && io.stage == InverseStage::Open)
        {
            self.tell_inverse_offer(cx, session, *id, record);
        }
    }

    /// A framework answers (R17); after the deadline nothing is changed by it any more.
    pub(super) fn inverse_answered(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        session: SessionId,
        id: InverseOfferId,
        mut answer: InverseAnswer,
    ) {
        let Some(record) = self.registry.inverse_offers().get(&id) else {
            return;
        };
        if record.framework != framework || record.stage != InverseStage::Open {
            return;
        }
        if self.overloaded(cx) {
            // It says its answer again once it has connected anew (R17).
            return self.turn_away(cx, session);
        }
        if let InverseAnswer::Accept { rather } = &mut answer {
            rather.truncate(NAMED_MAX);
            rather.retain(|task| task.framework == framework);
            rather.sort_unstable();
            rather.dedup();
        }
        self.store(cx, Operation::AnswerInverseOffer { id, answer }, Then::Nothing);
    }

    /// An answer is durable.
    pub(super) fn inverse_answer_kept(&mut self, cx: &mut Cx<'_>, id: InverseOfferId) {
        let Some(record) = self.registry.inverse_offers().get(&id) else {
            return;
        };
        let Some(answer) = record.answer.clone() else {
            return;
        };
        let receipt = record.drain.map_or(ReceiptId::InverseOffer(id), ReceiptId::Drain);
        cx.push(Effect::Record { receipt, line: ReceiptLine::Answered { inverse_offer: id, answer } });
        if let Some(view) = self.inverse_view(id, record) {
            self.publish(cx, Event::InverseAnswered(view));
        }
    }

    /// A deadline has passed (R19).
    pub(super) fn inverse_deadline(&mut self, cx: &mut Cx<'_>, id: InverseOfferId) {
        let Some(record) = self.registry.inverse_offers().get(&id) else {
            return;
        };
        // What is Lost needs no revocation; what may come back is revoked then (R19).
        let unreachable = self.registry.slaves().get(&record.slave).is_some_and(|slave| slave.unreachable)
            && !self.is_partition_aware(record.framework);
        let seen = self.slaves.get(&record.slave).is_some_and(|state| state.seen);
        let operation = if unreachable {
            Operation::CloseInverseOffer { id, outcome: InverseOutcome::Void }
        } else if record.stage == InverseStage::Revoking && !self.has_returned(record) {
            return;
        } else if seen && self.has_returned(record) {
            let outcome = match record.stage {
                InverseStage::Open => InverseOutcome::Returned,
                InverseStage::Revoking => InverseOutcome::Revoked,
            };
            Operation::CloseInverseOffer { id, outcome }
        } else {
            let deadline = record.deadline;
            Operation::AdvanceInverseOffer { id, stage: InverseStage::Revoking, deadline }
        };
        self.store(cx, operation, Then::Nothing);
    }

    /// That a deadline has passed is durable: what was not returned is revoked.
    pub(super) fn revoke(&mut self, cx: &mut Cx<'_>, id: InverseOfferId) {
        let Some(record) = self.registry.inverse_offers().get(&id).cloned() else {
            return;
        };
        let seen = self.slaves.get(&record.slave).is_some_and(|state| state.seen);
        if record.stage != InverseStage::Revoking || !seen {
            return;
        }
        if self.has_returned(&record) {
            let operation = Operation::CloseInverseOffer { id, outcome: InverseOutcome::Revoked };
            return self.store(cx, operation, Then::Nothing);
        }
        let victims = self.victims(&record);
        let receipt = record.drain.map_or(ReceiptId::InverseOffer(id), ReceiptId::Drain);
        self.publish(cx, Event::Revoking { inverse_offer: id, tasks: victims.clone() });
        for task in victims {
            let grace = cx.config.revoke_grace.min(self.grace_of(record.slave, task));
            cx.push(Effect::Record { receipt, line: ReceiptLine::Revoked { task, grace } });
            let kill = Kill { grace: Some(grace), reason: Reason::Revoked(id) };
            self.kill(cx, record.slave, task, kill);
        }
    }

    fn grace_of(&self, slave: SlaveId, task: TaskId) -> crate::time::Millis {
        let task = self.slaves.get(&slave).and_then(|state| state.tasks.get(&task));
        task.map_or(crate::time::Millis::ZERO, |task| task.kill_grace)
    }

    /// The fewest further tasks that cover the rest (R19, S14). One that is being killed returns what it holds, and is not
    /// revoked for it: its grace is its own. Of a whole slave everything is taken: it is to be empty by a time (R22).
    fn victims(&self, record: &InverseOfferRecord) -> Vec<TaskId> {
        let live = self.tasks_on(record.slave, record.framework).filter(|(_, t)| !t.state.is_terminal());
        if record.ask == InverseAsk::Everything {
            return live.map(|(id, _)| id).collect();
        }
        let named: Set<TaskId> = match &record.answer {
            Some(InverseAnswer::Accept { rather }) => rather.iter().map(|id| (*id, ())).collect(),
            Some(InverseAnswer::Decline { .. }) | None => Set::new(),
        };
        let (dying, living): (Vec<_>, Vec<_>) = live.partition(|(_, task)| task.is_being_killed());
        let returning = dying.iter().fold(Resources::NONE, |sum, (_, t)| sum.saturating_add(&t.resources));
        let rest = self.rest(record).saturating_sub(&returning);
        let candidate = |(id, task): (TaskId, &super::tasks::Task)| Candidate {
            id,
            holds: task.resources.clone(),
            named: named.contains_key(&id),
        };
        victims::choose(living.into_iter().map(candidate).collect(), &rest)
    }

    /// A task gave back what it held: perhaps the last of what was asked for.
    pub(super) fn came_back(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        framework: FrameworkId,
        held: &Resources,
    ) {
        let Some(record) = self.registry.slaves().get(&slave) else {
            return;
        };
        let asked = record.inverse_offers.iter().filter(|(_, of)| **of == framework).map(|(id, _)| *id);
        let asked: Vec<InverseOfferId> = asked.collect();
        for id in asked {
            let Some(record) = self.registry.inverse_offers().get(&id) else {
                continue;
            };
            let before = match &record.ask {
                InverseAsk::Everything => true,
                InverseAsk::Amount(_) => {
                    let before = self.held(slave, framework).saturating_add(held);
                    !record.keep.saturating_sub(&Resources::NONE).contains(&before)
                }
            };
            if !before || !self.has_returned(record) {
                continue;
            }
            match record.stage {
                InverseStage::Open => self.publish(cx, Event::InverseReturned(id)),
                InverseStage::Revoking => {
                    let operation = Operation::CloseInverseOffer { id, outcome: InverseOutcome::Revoked };
                    self.store(cx, operation, Then::Nothing);
                }
            }
        }
    }

    /// An inverse offer is over, durably.
    pub(super) fn inverse_over(
        &mut self,
        cx: &mut Cx<'_>,
        id: InverseOfferId,
        record: &InverseOfferRecord,
        outcome: InverseOutcome,
    ) {
        cx.cancel(Timer::InverseOffer(id));
        let receipt = record.drain.map_or(ReceiptId::InverseOffer(id), ReceiptId::Drain);
        if record.drain.is_none() {
            cx.push(Effect::Record { receipt, line: ReceiptLine::InverseOfferClosed { outcome } });
        }
        if let Some(session) = self.frameworks.get(&record.framework).and_then(|f| f.session) {
            cx.tell_framework(session, MasterToFramework::InverseOfferClosed { id, outcome });
        }
        self.publish(cx, Event::InverseClosed { inverse_offer: id, outcome });
        self.freed(cx, record.slave);
    }

    /// A slave is back: what its deadlines and its drain ask for goes on (R19, R20).
    pub(super) fn resume_inverse_offers(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(record) = self.registry.slaves().get(&slave) else {
            return;
        };
        let asked: Vec<InverseOfferId> = record.inverse_offers.keys().copied().collect();
        let drain = record.drain;
        for id in asked {
            self.revoke(cx, id);
        }
        if let Some(drain) = drain.filter(|id| self.asks_everyone(*id)) {
            self.ask_everyone(cx, drain, slave);
            self.hurry(cx, slave);
            self.check_drained(cx, slave);
        }
    }

    /// Whether a drain is in progress in which whoever has something there is asked: in one that is now, nobody is.
    fn asks_everyone(&self, drain: DrainId) -> bool {
        let record = self.registry.drains().get(&drain);
        record.is_some_and(|record| record.end.is_none() && matches!(record.pace, Pace::Within(_)))
    }

    /// Whether a slave is to be told to leave: it is drained, and was to leave then, or is drained now. While that is being
    /// cancelled it is not.
    fn to_leave(&self, slave: SlaveId) -> Option<SessionId> {
        let session = self.slaves.get(&slave)?.session?;
        let drain = self.registry.slaves().get(&slave)?.drain?;
        let is_to_leave = self.registry.drains().get(&drain)?.is_to_leave();
        (is_to_leave && !self.is_being_cancelled(drain)).then_some(session)
    }

    /// Whether a drain has told a slave, which may have heard it, to leave: too late to take it back. One that has no session
    /// has not heard it from this leader since it was last here; what it heard before, it does.
    pub(super) fn has_told_to_leave(&self, drain: DrainId) -> bool {
        let record = self.registry.drains().get(&drain).filter(|record| record.end.is_none());
        record.is_some_and(|record| self.to_leave(record.slave).is_some())
    }

    /// Tells a slave to leave, where it is to: when that was decided, and again whenever it has registered (R21, R24a).
    pub(super) fn tell_to_leave(&self, cx: &mut Cx<'_>, slave: SlaveId) {
        if let Some(session) = self.to_leave(slave) {
            cx.tell_slave(session, MasterToSlave::Leave);
        }
    }

    /// A drain was not cancelled, as it could not be written or was over: the slave that waited for that is told to leave, if
    /// it must.
    pub(super) fn cancel_failed(&self, cx: &mut Cx<'_>, drain: DrainId) {
        if let Some(record) = self.registry.drains().get(&drain) {
            self.tell_to_leave(cx, record.slave);
        }
    }

    /// What runs there and nobody can be asked for must not outlast a drain: its end was decided, and its own grace may be
    /// longer than all that the drain has (R8, R14, R22).
    pub(super) fn hurry(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let drain = self.registry.slaves().get(&slave).and_then(|record| record.drain);
        let runs = drain.is_some_and(|id| self.asks_everyone(id));
        let Some(state) = self.slaves.get(&slave).filter(|_| runs) else {
            return;
        };
        let grace = Some(cx.config.revoke_grace);
        for task in state.zombies.keys().copied() {
            if let Some(session) = state.session {
                let reason = Reason::SlaveUnreachable;
                cx.tell_slave(session, MasterToSlave::Kill { task, grace, reason });
            }
        }
        let orphaned = |id: &TaskId| !self.registry.frameworks().contains_key(&id.framework);
        let orphans: Vec<TaskId> = state.tasks.keys().copied().filter(orphaned).collect();
        for task in orphans {
            self.kill(cx, slave, task, Kill { grace, reason: Reason::FrameworkRemoved });
        }
    }

    /// A drain is durable: nothing is offered there any more, and everyone is asked for what they have, or the slave is told
    /// to end it.
    pub(super) fn drain_started(&mut self, cx: &mut Cx<'_>, id: DrainId) {
        let Some(record) = self.registry.drains().get(&id).cloned() else {
            return;
        };
        let slave = record.slave;
        self.rescind_slave(cx, slave, None);
        if let Some(name) = self.slave_name(slave).cloned() {
            let (by, reason) = (record.by.clone(), record.reason.clone());
            let (deadline, drain) = (Some(record.deadline), Some((record.pace, record.then)));
            let line = ReceiptLine::Opened { slave, name, by, reason, deadline, drain };
            cx.push(Effect::Record { receipt: ReceiptId::Drain(id), line });
        }
        if let Some(view) = self.drain_view(cx, id, &record) {
            self.publish(cx, Event::Draining(view));
        }
        self.arm_bound(cx, id, record.deadline);
        self.tell_to_leave(cx, slave);
        if !self.asks_everyone(id) {
            return;
        }
        self.ask_everyone(cx, id, slave);
        self.hurry(cx, slave);
        self.check_drained(cx, slave);
    }

    /// Asks every framework for what it has there and was not asked for by this drain.
    fn ask_everyone(&mut self, cx: &mut Cx<'_>, drain: DrainId, slave: SlaveId) {
        let Some(record) = self.registry.drains().get(&drain).cloned() else {
            return;
        };
        let asked: Vec<InverseOfferId> = self.registry.inverse_offers_of_drain(drain).collect();
        let of = |id: &InverseOfferId| self.registry.inverse_offers().get(id).map(|io| io.framework);
        let asked: Vec<FrameworkId> = asked.iter().filter_map(of).collect();
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        let live = state.tasks.iter().filter(|(_, task)| !task.state.is_terminal());
        let mut frameworks: Vec<FrameworkId> = live.map(|(id, _)| id.framework).collect();
        frameworks.dedup();
        for framework in frameworks {
            if asked.contains(&framework) || !self.registry.frameworks().contains_key(&framework) {
                continue;
            }
            let inverse_offer = InverseOfferRecord {
                framework,
                slave,
                ask: InverseAsk::Everything,
                keep: Resources::NONE,
                deadline: record.deadline,
                reason: record.reason.clone(),
                by: record.by.clone(),
                drain: Some(drain),
                answer: None,
                stage: InverseStage::Open,
            };
            self.store(cx, Operation::OpenInverseOffer(inverse_offer), Then::Nothing);
        }
    }

    /// Whether a drain is through: nothing runs there, and everyone concerned knows (S5).
    pub(super) fn check_drained(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(drain) = self.registry.slaves().get(&slave).and_then(|record| record.drain) else {
            return;
        };
        let in_progress = self.asks_everyone(drain);
        let Some(state) = self.slaves.get(&slave).filter(|state| in_progress && state.session.is_some())
        else {
            return;
        };
        if !state.zombies.is_empty() || state.tasks.values().any(|task| !task.state.is_terminal()) {
            return;
        }
        // One that is away may be back in a moment, and is owed as long as one that is slow.
        let is_waited_for = |id: &TaskId| self.frameworks.contains_key(&id.framework);
        if state.tasks.keys().chain(state.mourned.keys()).any(is_waited_for) {
            let when = When::After(cx.config.acknowledge_timeout);
            return cx.push(Effect::SetTimer { timer: Timer::DrainAcknowledge(drain), when });
        }
        self.store(cx, Operation::EndDrain { drain, end: DrainEnd::Drained }, Then::Nothing);
    }

    /// A framework's session is gone: it has as long to come back as it has to acknowledge (R21).
    pub(super) fn check_drains_of(&mut self, cx: &mut Cx<'_>, framework: FrameworkId) {
        let running = self.registry.drains().values().filter(|drain| drain.end.is_none());
        let slaves: Vec<SlaveId> = running.map(|drain| drain.slave).collect();
        for slave in slaves {
            let mourns =
                |state: &super::slaves::Slave| state.mourned.keys().any(|id| id.framework == framework);
            let concerned = self.tasks_on(slave, framework).next().is_some();
            if concerned || self.slaves.get(&slave).is_some_and(mourns) {
                self.check_drained(cx, slave);
            }
        }
    }

    /// Frameworks that keep a drain waiting for acknowledgements, and answer nothing, are cut off (R22).
    pub(super) fn drain_acknowledge_over(&mut self, cx: &mut Cx<'_>, drain: DrainId) {
        let Some(record) = self.registry.drains().get(&drain).filter(|_| self.asks_everyone(drain)) else {
            return;
        };
        let (slave, deadline) = (record.slave, record.deadline);
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        if state.tasks.values().any(|task| !task.state.is_terminal()) {
            // Asking could not be written, or this timer would not have been set, or was cancelled.
            self.arm_bound(cx, drain, deadline);
            return self.ask_everyone(cx, drain, slave);
        }
        let unacknowledged = state.tasks.keys().chain(state.mourned.keys());
        let mut frameworks: Vec<FrameworkId> = unacknowledged.map(|id| id.framework).collect();
        frameworks.sort_unstable();
        frameworks.dedup();
        let through = state.session.is_some() && state.zombies.is_empty();
        for framework in frameworks {
            if let Some(session) = self.frameworks.get(&framework).and_then(|f| f.session) {
                let detail = "it did not acknowledge the ends of tasks that a drain waits for; \
                              acknowledge every update, then subscribe again";
                self.expel(cx, session, CloseCode::Misbehaved, detail);
            }
        }
        if through {
            cx.cancel(Timer::DrainAcknowledge(drain));
            return self.store(cx, Operation::EndDrain { drain, end: DrainEnd::Drained }, Then::Nothing);
        }
        // The bound may be over, and what came of that, which could not be written, may be true no more.
        self.arm_bound(cx, drain, deadline);
    }

    /// A drain's time and its bound are over: it ends, whatever is still unknown (R22).
    pub(super) fn drain_bound_over(&mut self, cx: &mut Cx<'_>, drain: DrainId) {
        let Some(record) = self.registry.drains().get(&drain).filter(|record| record.end.is_none()) else {
            return;
        };
        // That it is drained may be what could not be written so far.
        let through = self.asks_everyone(drain)
            && self.slaves.get(&record.slave).is_some_and(|state| {
                state.session.is_some()
                    && state.zombies.is_empty()
                    && state.tasks.is_empty()
                    && state.mourned.is_empty()
            });
        let end = if through { DrainEnd::Drained } else { DrainEnd::Unseen };
        self.store(cx, Operation::EndDrain { drain, end }, Then::Nothing);
    }

    /// The end of a drain is durable.
    pub(super) fn drain_over(
        &mut self,
        cx: &mut Cx<'_>,
        id: DrainId,
        slave: SlaveId,
        end: DrainEnd,
        closed: Vec<(InverseOfferId, InverseOfferRecord)>,
    ) {
        cx.cancel(Timer::DrainBound(id));
        cx.cancel(Timer::DrainAcknowledge(id));
        for (inverse_offer, record) in closed {
            let outcome = match (end, record.stage) {
                (DrainEnd::Cancelled, _) => InverseOutcome::Cancelled,
                (DrainEnd::Drained, InverseStage::Open) => InverseOutcome::Returned,
                (DrainEnd::Drained, InverseStage::Revoking) => InverseOutcome::Revoked,
                (DrainEnd::Unseen | DrainEnd::SlaveGone, _) => InverseOutcome::Void,
            };
            self.inverse_over(cx, inverse_offer, &record, outcome);
        }
        let state = self.slaves.get(&slave);
        let tasks = state.into_iter().flat_map(|state| state.tasks.values());
        let unacknowledged = tasks.filter(|task| task.state.is_terminal()).count() as u32;
        let line = ReceiptLine::DrainEnded { end, unacknowledged };
        cx.push(Effect::Record { receipt: ReceiptId::Drain(id), line });
        if let Some(name) = self.slave_name(slave).cloned() {
            self.publish(cx, Event::DrainEnded { drain: id, slave, name, end });
        }
        if end == DrainEnd::Drained {
            self.tell_to_leave(cx, slave);
        }
        self.freed(cx, slave);
    }

    /// A slave left for good in the middle of its drain, or after it.
    pub(super) fn drain_left(
        &mut self,
        cx: &mut Cx<'_>,
        id: DrainId,
        drain: &DrainRecord,
        slave: &SlaveRecord,
    ) {
        cx.cancel(Timer::DrainBound(id));
        cx.cancel(Timer::DrainAcknowledge(id));
        if drain.end.is_none() {
            let (end, name) = (DrainEnd::SlaveGone, slave.name.clone());
            let line = ReceiptLine::DrainEnded { end, unacknowledged: 0 };
            cx.push(Effect::Record { receipt: ReceiptId::Drain(id), line });
            self.publish(cx, Event::DrainEnded { drain: id, slave: drain.slave, name, end });
        }
    }

    /// What is asked of a drain is changed, durably (R22, R24a): another deadline, or none, or what is to follow.
    pub(super) fn drain_changed(&mut self, cx: &mut Cx<'_>, id: DrainId, by: &Name) {
        let Some(record) = self.registry.drains().get(&id).cloned() else {
            return;
        };
        let DrainRecord { pace, deadline, then, ref reason, .. } = record;
        let line = ReceiptLine::Changed { by: by.clone(), pace, deadline, then, reason: reason.clone() };
        cx.push(Effect::Record { receipt: ReceiptId::Drain(id), line });
        if record.end.is_none() {
            self.arm_bound(cx, id, deadline);
        }
        if !self.asks_everyone(id) {
            cx.cancel(Timer::DrainAcknowledge(id));
        }
        self.tell_to_leave(cx, record.slave);
        let asked: Vec<InverseOfferId> = match self.asks_everyone(id) {
            true => self.registry.inverse_offers_of_drain(id).collect(),
            false => Vec::new(),
        };
        for inverse_offer in asked {
            let Some(io) = self.registry.inverse_offers().get(&inverse_offer) else {
                continue;
            };
            if io.stage == InverseStage::Open {
                let when = When::At(io.deadline);
                cx.push(Effect::SetTimer { timer: Timer::InverseOffer(inverse_offer), when });
                if let Some(session) = self.frameworks.get(&io.framework).and_then(|f| f.session) {
                    self.tell_inverse_offer(cx, session, inverse_offer, io);
                }
            }
        }
        if let Some(view) = self.drain_view(cx, id, &record) {
            self.publish(cx, Event::Draining(view));
        }
    }

    pub(super) fn inverse_view(
        &self,
        id: InverseOfferId,
        record: &InverseOfferRecord,
    ) -> Option<InverseOfferView> {
        let framework = self.registry.frameworks().get(&record.framework)?;
        let left = self.tasks_on(record.slave, record.framework).filter(|(_, t)| !t.state.is_terminal());
        Some(InverseOfferView {
            id,
            framework: record.framework,
            framework_name: framework.name.clone(),
            slave: record.slave,
            slave_name: self.slave_name(record.slave)?.clone(),
            ask: record.ask.clone(),
            deadline: record.deadline,
            reason: record.reason.clone(),
            by: record.by.clone(),
            drain: record.drain,
            answer: record.answer.clone(),
            returned: self.has_returned(record),
            revoking: record.stage == InverseStage::Revoking,
            tasks: left.count() as u32,
        })
    }

    pub(super) fn drain_view(&self, cx: &Cx<'_>, id: DrainId, record: &DrainRecord) -> Option<DrainView> {
        let asked: Vec<&InverseOfferRecord> = self
            .registry
            .inverse_offers_of_drain(id)
            .filter_map(|id| self.registry.inverse_offers().get(&id))
            .collect();
        Some(DrainView {
            id,
            slave: record.slave,
            slave_name: self.slave_name(record.slave)?.clone(),
            by: record.by.clone(),
            at: record.at,
            pace: record.pace,
            deadline: record.deadline,
            bound: self.drain_end(cx, record.deadline),
            reason: record.reason.clone(),
            then: record.then,
            end: record.end,
            status: self.slave_status(record.slave),
            revoking: asked.iter().any(|io| io.stage == InverseStage::Revoking),
            slave_wait: self.slave_wait(record.slave),
            waiting_for: self.drain_waits(record.slave, &asked),
        })
    }

    /// What of a drain is the slave's to do: to be back, and to end what it was told to end.
    fn slave_wait(&self, slave: SlaveId) -> Option<SlaveWait> {
        let state = self.slaves.get(&slave)?;
        let status = self.slave_status(slave);
        let live = || state.tasks.values().filter(|task| !task.state.is_terminal());
        let told = live().filter(|task| task.kill.is_some()).count() + state.zombies.len();
        let (out_of_reach, ending) = match state.is_in_reach() {
            true => (0, told as u32),
            false => (live().count() as u32, state.zombies.len() as u32),
        };
        let waits = !status.answers() || ending > 0;
        waits.then_some(SlaveWait { status, out_of_reach, ending })
    }

    fn drain_waits(&self, slave: SlaveId, asked: &[&InverseOfferRecord]) -> Vec<DrainWait> {
        let Some(state) = self.slaves.get(&slave) else {
            return Vec::new();
        };
        let in_reach = state.is_in_reach();
        let mut waits: Vec<DrainWait> = Vec::new();
        for (id, task) in &state.tasks {
            // What cannot be reached, or is being ended, no framework can give up: the drain waits for the slave.
            if !task.state.is_terminal() && (!in_reach || task.kill.is_some()) {
                continue;
            }
            let framework = id.framework;
            if waits.last().is_none_or(|wait| wait.framework != framework) {
                let answer =
                    asked.iter().find(|io| io.framework == framework).and_then(|io| io.answer.clone());
                let known = self.registry.frameworks().get(&framework).map(|record| record.name.clone());
                let connected = self.frameworks.get(&framework).is_some_and(|f| f.session.is_some());
                let Some(name) = known.or_else(|| Name::new("gone").ok()) else {
                    continue;
                };
                waits.push(DrainWait { framework, name, connected, running: 0, unacknowledged: 0, answer });
            }
            if let Some(wait) = waits.last_mut() {
                match task.state.is_terminal() {
                    true => wait.unacknowledged += 1,
                    false => wait.running += 1,
                }
            }
        }
        waits
    }
}
