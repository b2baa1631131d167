//! Operators: what they command, and what they see.

use alloc::vec::Vec;

use crate::ids::{FrameworkId, SessionId, SlaveId, TaskId};
use crate::map::Map;
use crate::message::{
    Answer, Command, DrainEnd, DrainPlan, DrainStep, Event, FrameworkView, HeldNameView, HoldView,
    InverseAsk, InverseOutcome, OfferView, OperatorToMaster, Pace, Page, PlannedTask, Query, Refusal,
    SlaveRef, SlaveStatus, SlaveView, Status, TaskView, Then as After,
};
use crate::registry::{Applied, DrainAsk, Hold, InverseOfferRecord, InverseStage, Operation};
use crate::resources::Resources;
use crate::task::Reason;
use crate::text::Name;
use crate::time::{Millis, Moment};
use crate::transport::{CloseCode, Role};

use super::leader::{Cx, Leader, Owner, Then};
use super::slaves::Forgetting;
use super::tasks::Kill;
use super::{Effect, Remembered};

impl Leader {
    pub(super) fn on_operator(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        at: Moment,
        message: OperatorToMaster,
    ) {
        let by = match self.sessions.get(&session) {
            Some(Owner::Peer(peer)) if peer.role == Role::Operator => peer.name.clone(),
            Some(Owner::Peer(_) | Owner::Subscriber | Owner::Slave(_) | Owner::Framework(_)) => {
                return self.expel(cx, session, CloseCode::Forbidden, "only operators command");
            }
            None => return cx.unknown(session),
        };
        let OperatorToMaster { request, command } = message;
        if !self.leads() {
            let leader = crate::text::Text::EMPTY;
            return cx.answer(session, request, Err(Refusal::NotLeading { leader }));
        }
        match self.command(cx, session, request, &by, at, command) {
            Ok(Reply::Answer(answer)) => cx.answer(session, request, Ok(answer)),
            Ok(Reply::Later) => {}
            Ok(Reply::Store(_)) if self.overloaded(cx) => {
                cx.answer(session, request, Err(Refusal::Overloaded));
            }
            Ok(Reply::Store(operation)) => {
                if let Operation::OpenInverseOffer(record) = &operation {
                    self.about_to_ask(cx, record.slave, record.framework);
                }
                self.store(cx, operation, Then::Answer { session, request, by });
            }
            Err(Refusal::UnknownSlave(SlaveRef::Name(name))) => {
                cx.push(Effect::RefuseUnknownSlave { session, request, name });
            }
            Err(refusal) => cx.answer(session, request, Err(refusal)),
        }
    }

    fn command(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        request: u32,
        by: &Name,
        at: Moment,
        command: Command,
    ) -> Result<Reply, Refusal> {
        match command {
            Command::Show(query) => self.show(cx, session, request, query),
            Command::Watch => {
                self.watchers.insert(session, request);
                Ok(Reply::Answer(Answer::Watching))
            }
            Command::Deactivate { slave, hold, reason } => {
                let slave = self.registry.resolve_name(&slave)?;
                let by = by.clone();
                Ok(Reply::Store(Operation::PlaceHold { slave, name: hold, hold: Hold { by, reason, at } }))
            }
            Command::Activate { slave, hold, .. } => {
                let slave = self.registry.resolve_name(&slave)?;
                Ok(Reply::Store(Operation::LiftHolds { slave, name: hold }))
            }
            Command::InverseOffer { framework, slave, ask, deadline, reason } => {
                let (by, deadline) = (by.clone(), at.after(deadline));
                let slave = self.registry.resolve(&slave)?;
                let keep = self.asked_for(slave, framework, &ask)?;
                let stage = InverseStage::Open;
                let (drain, answer) = (None, None);
                let record = InverseOfferRecord {
                    framework,
                    slave,
                    ask,
                    keep,
                    deadline,
                    reason,
                    by,
                    drain,
                    answer,
                    stage,
                };
                Ok(Reply::Store(Operation::OpenInverseOffer(record)))
            }
            Command::CancelInverseOffer(id) => {
                let record = self.registry.inverse_offers().get(&id);
                match record.ok_or(Refusal::UnknownInverseOffer(id))?.drain {
                    Some(drain) => Err(Refusal::InverseOfferOfDrain(id, drain)),
                    None => {
                        let outcome = InverseOutcome::Cancelled;
                        Ok(Reply::Store(Operation::CloseInverseOffer { id, outcome }))
                    }
                }
            }
            Command::Drain { slave, deadline: within, reason, then, if_plan, change } => {
                let slave = self.registry.resolve(&slave)?;
                let digest = self.digest(cx, slave, within, then);
                if if_plan.is_some_and(|wanted| wanted != digest) {
                    return Err(Refusal::PlanChanged { digest });
                }
                let (pace, deadline, by) = (Pace::Within(within), at.after(within), by.clone());
                let ask = DrainAsk { slave, pace, deadline, reason, then, by, at, change };
                Ok(Reply::Store(Operation::StartDrain(ask)))
            }
            Command::PlanDrain { slave, deadline, then } => {
                let slave = self.registry.resolve(&slave)?;
                Ok(Reply::Answer(Answer::Plan(self.plan(cx, slave, at, deadline, then)?)))
            }
            Command::CancelDrain(drain) => {
                if self.has_told_to_leave(drain) {
                    return Err(Refusal::DrainTold(drain));
                }
                Ok(Reply::Store(Operation::EndDrain { drain, end: DrainEnd::Cancelled }))
            }
            Command::ExtendDrain(drain, within) => {
                Ok(Reply::Store(Operation::ExtendDrain { drain, within, deadline: at.after(within) }))
            }
            // Wherever the slave is: it is told when it is back (R24a).
            Command::DrainNow { slave, reason } => {
                let slave = self.registry.resolve(&slave)?;
                let (pace, deadline, then) = (Pace::Now, at, Some(After::Unregister));
                let ask = DrainAsk { slave, pace, deadline, reason, then, by: by.clone(), at, change: false };
                Ok(Reply::Store(Operation::StartDrain(ask)))
            }
            Command::Kill { task, .. } => self.kill_commanded(cx, task),
            Command::ForgetSlave { slave, reason } => {
                let slave = self.registry.resolve(&slave)?;
                self.may_forget(cx, slave)?;
                if self.overloaded(cx) {
                    return Err(Refusal::Overloaded);
                }
                self.forget_slave(cx, Forgetting { slave, session, request, by: by.clone(), reason });
                Ok(Reply::Later)
            }
            Command::Teardown { framework, reason } => {
                let operation = self.to_tear_down(framework)?;
                if self.overloaded(cx) {
                    return Err(Refusal::Overloaded);
                }
                self.store(cx, operation, Then::Teardown { session, request, by: by.clone(), reason });
                Ok(Reply::Later)
            }
            Command::ResumeRemovals { .. } => {
                let changed = core::mem::take(&mut self.removals.halted);
                self.give_up(cx);
                Ok(Reply::Answer(Answer::Done { changed }))
            }
        }
    }

    /// What a framework may keep if it is asked for this now.
    fn asked_for(
        &self,
        slave: SlaveId,
        framework: FrameworkId,
        ask: &InverseAsk,
    ) -> Result<Resources, Refusal> {
        if !self.registry.frameworks().contains_key(&framework) {
            return Err(Refusal::UnknownFramework(framework));
        }
        if *ask == InverseAsk::Amount(Resources::NONE) {
            return Err(Refusal::NothingAsked);
        }
        let seen = self.slaves.get(&slave).is_some_and(|state| state.seen);
        if seen && self.tasks_on(slave, framework).all(|(_, task)| task.state.is_terminal()) {
            return Err(Refusal::NothingThere);
        }
        Ok(self.kept_after(slave, framework, ask))
    }

    fn kill_commanded(&mut self, cx: &mut Cx<'_>, task: TaskId) -> Result<Reply, Refusal> {
        let on = self.frameworks.get(&task.framework).and_then(|state| state.tasks.get(&task.number));
        let slave = *on.ok_or(Refusal::UnknownTask(task))?;
        let known = self.slaves.get(&slave).and_then(|state| state.tasks.get(&task));
        let changed = known.is_some_and(|task| !task.state.is_terminal() && task.kill.is_none());
        self.kill(cx, slave, task, Kill { grace: None, reason: Reason::KilledByOperator });
        Ok(Reply::Answer(Answer::Done { changed }))
    }

    /// What follows from an operation that an operator, or the leader itself, asked for, and the answer to it.
    pub(super) fn operated(
        &mut self,
        cx: &mut Cx<'_>,
        operation: Operation,
        by: Option<&Name>,
        applied: Result<Applied, Refusal>,
    ) -> Result<Answer, Refusal> {
        if let (Operation::EndDrain { drain, end: DrainEnd::Cancelled }, Err(_)) = (&operation, &applied) {
            self.cancel_failed(cx, *drain);
        }
        let applied = applied?;
        let changed = applied == Applied::Done { changed: true };
        match (operation, applied) {
            (Operation::PlaceHold { slave, name, hold }, _) if changed => {
                self.hold_placed(cx, slave, name, hold);
            }
            (Operation::LiftHolds { slave, .. }, Applied::Lifted { holds }) => {
                let changed = !holds.is_empty();
                if let Some(by) = by {
                    self.holds_lifted(cx, &slave, holds, by);
                }
                return Ok(Answer::Done { changed });
            }
            (Operation::OpenInverseOffer(_), Applied::InverseOffer(id)) => {
                self.inverse_opened(cx, id);
                return Ok(Answer::InverseOffered(id));
            }
            (Operation::AnswerInverseOffer { id, .. }, _) if changed => self.inverse_answer_kept(cx, id),
            (Operation::AdvanceInverseOffer { id, .. }, _) if changed => self.revoke(cx, id),
            (Operation::CloseInverseOffer { outcome, .. }, Applied::Closed(closed)) => {
                for (id, record) in closed {
                    self.inverse_over(cx, id, &record, outcome);
                }
                return Ok(Answer::Done { changed: true });
            }
            (Operation::StartDrain(ask), Applied::Drain { id, step }) => {
                match step {
                    DrainStep::Began => self.drain_started(cx, id),
                    DrainStep::Changed => self.drain_changed(cx, id, &ask.by),
                    DrainStep::Unchanged => {}
                }
                return Ok(Answer::Draining { drain: id, step });
            }
            (Operation::ExtendDrain { drain, .. }, _) if changed => {
                if let Some(by) = by {
                    self.drain_changed(cx, drain, by);
                }
            }
            (Operation::EndDrain { drain, end }, Applied::DrainEnded { slave, closed }) => {
                self.drain_over(cx, drain, slave, end, closed);
                return Ok(Answer::Done { changed: true });
            }
            // Nothing changed, or it is followed where it was asked for: see `Leader::follow`.
            (_, _) => {}
        }
        Ok(Answer::Done { changed })
    }

    /// A hold is durable: from here on nothing of the slave is offered, and no launch is accepted (R16, S4).
    fn hold_placed(&mut self, cx: &mut Cx<'_>, name: Name, hold_name: Name, hold: Hold) {
        let slave = self.registry.slave_named(&name);
        if let Some(slave) = slave {
            self.rescind_slave(cx, slave, None);
        }
        let hold = HoldView { name: hold_name, by: hold.by, reason: hold.reason, at: hold.at };
        self.publish(cx, Event::HoldPlaced { slave, name, hold });
    }

    fn holds_lifted(&mut self, cx: &mut Cx<'_>, name: &Name, holds: Vec<Name>, by: &Name) {
        let slave = self.registry.slave_named(name);
        for hold in holds {
            let event = Event::HoldLifted { slave, name: name.clone(), hold, by: by.clone() };
            self.publish(cx, event);
        }
        if let Some(slave) = slave {
            self.freed(cx, slave);
        }
    }

    fn show(
        &self,
        cx: &mut Cx<'_>,
        session: SessionId,
        request: u32,
        query: Query,
    ) -> Result<Reply, Refusal> {
        let max = cx.config.page_max;
        let answer = match query {
            Query::Status => Answer::Status(self.status()),
            Query::Slaves { after } => {
                let known = self.registry.slaves().iter_after(after);
                Answer::Slaves(page(known.filter_map(|(id, _)| self.slave_view(cx, *id)), max))
            }
            Query::Slave(slave) => {
                let slave = self.registry.resolve(&slave)?;
                Answer::Slaves(page(self.slave_view(cx, slave).into_iter(), max))
            }
            Query::HeldNames { after } => {
                let held = self.registry.held_names().iter();
                let rest = held.skip_while(|(name, _)| after.as_ref().is_some_and(|after| *name <= after));
                let view = |(name, holds): (&Name, &Map<Name, Hold>)| HeldNameView {
                    name: name.clone(),
                    holds: hold_views(holds),
                };
                Answer::HeldNames(page(rest.map(view), max))
            }
            Query::Tasks { after } => Answer::Tasks(page(self.tasks_after(after), max)),
            Query::Task(task) => match self.find_task(task) {
                Some(view) => Answer::Tasks(page(core::iter::once(view), max)),
                None => {
                    cx.push(Effect::AnswerHistory { session, request, of: Remembered::Task(task) });
                    return Ok(Reply::Later);
                }
            },
            Query::Frameworks { after } => {
                let known = self.registry.frameworks().iter_after(after);
                Answer::Frameworks(page(known.filter_map(|(id, _)| self.framework_view(*id)), max))
            }
            Query::Offers { after } => {
                let offers = self.offers.iter_after(after).filter_map(|(id, offer)| {
                    Some(OfferView {
                        id: *id,
                        framework: offer.framework,
                        slave: offer.slave,
                        slave_name: self.slave_name(offer.slave)?.clone(),
                        resources: offer.resources.clone(),
                    })
                });
                Answer::Offers(page(offers, max))
            }
            Query::InverseOffers { after } => {
                let open = self.registry.inverse_offers().iter_after(after);
                let views = open.filter_map(|(id, record)| self.inverse_view(*id, record));
                Answer::InverseOffers(page(views, max))
            }
            Query::Pending { after } => Answer::Pending(self.pending_after(cx, after)),
            Query::Drain(id) => {
                let record = self.registry.drains().get(&id).ok_or(Refusal::UnknownDrain(id))?;
                Answer::Drain(self.drain_view(cx, id, record).ok_or(Refusal::UnknownDrain(id))?)
            }
            Query::Receipt(receipt) => {
                cx.push(Effect::AnswerReceipt { session, request, receipt });
                return Ok(Reply::Later);
            }
            Query::Ended { after } => {
                cx.push(Effect::AnswerHistory { session, request, of: Remembered::Ended(after) });
                return Ok(Reply::Later);
            }
            Query::Events { after } => {
                cx.push(Effect::AnswerHistory { session, request, of: Remembered::Events(after) });
                return Ok(Reply::Later);
            }
        };
        Ok(Reply::Answer(answer))
    }

    fn status(&self) -> Status {
        let records = self.registry.slaves();
        let (mut connected, mut away, mut unreachable, mut silent) = (0, 0, 0, 0);
        for slave in records.keys() {
            match self.slave_status(*slave) {
                SlaveStatus::Active
                | SlaveStatus::Held
                | SlaveStatus::Draining
                | SlaveStatus::Drained
                | SlaveStatus::Leaving => connected += 1,
                SlaveStatus::Silent => (connected, silent) = (connected + 1, silent + 1),
                SlaveStatus::Awaited | SlaveStatus::Disconnected => away += 1,
                SlaveStatus::Unreachable => unreachable += 1,
            }
        }
        Status {
            epoch: self.epoch,
            slaves: records.len() as u32,
            connected,
            away,
            unreachable,
            silent,
            deactivated: records.values().filter(|record| !record.holds.is_empty()).count() as u32,
            frameworks: self.registry.frameworks().len() as u32,
            tasks: self.slaves.values().map(|state| state.tasks.len() as u32).sum(),
            offers: self.offers.len() as u32,
            drains: self.registry.drains().values().filter(|drain| drain.end.is_none()).count() as u32,
            removals_halted: self.removals.halted,
        }
    }

    fn slave_view(&self, cx: &Cx<'_>, id: SlaveId) -> Option<SlaveView> {
        let record = self.registry.slaves().get(&id)?;
        let state = self.slaves.get(&id)?;
        let drain = record.drain.and_then(|id| self.drain_view(cx, id, self.registry.drains().get(&id)?));
        Some(SlaveView {
            id,
            name: record.name.clone(),
            address: record.address.clone(),
            status: self.slave_status(id),
            total: record.resources.clone(),
            used: state.used.capped(),
            offered: state.offered.capped(),
            tasks: state.tasks.len() as u32,
            uncounted: self.uncounted(id),
            holds: hold_views(&record.holds),
            drain,
        })
    }

    fn tasks_after(&self, after: Option<(SlaveId, TaskId)>) -> impl Iterator<Item = TaskView> {
        let on_same = after.and_then(|(slave, task)| Some((slave, self.slaves.get(&slave)?, task)));
        let rest = on_same.into_iter().flat_map(move |(slave, state, after)| {
            state.tasks.iter_after(Some(after)).map(move |(id, task)| (slave, *id, task))
        });
        let later = self.slaves.iter_after(after.map(|(slave, _)| slave));
        let later =
            later.flat_map(|(slave, state)| state.tasks.iter().map(move |(id, task)| (*slave, *id, task)));
        rest.chain(later).filter_map(|(slave, id, task)| self.task_view(slave, id, task))
    }

    fn find_task(&self, id: TaskId) -> Option<TaskView> {
        let slave = *self.frameworks.get(&id.framework)?.tasks.get(&id.number)?;
        self.task_view(slave, id, self.slaves.get(&slave)?.tasks.get(&id)?)
    }

    fn framework_view(&self, id: FrameworkId) -> Option<FrameworkView> {
        let record = self.registry.frameworks().get(&id)?;
        let state = self.frameworks.get(&id)?;
        Some(FrameworkView {
            id,
            name: record.name.clone(),
            principal: record.principal.clone(),
            connected: state.session.is_some(),
            suppressed: state.suppressed,
            weight: state.weight,
            allocated: state.allocated.capped(),
            tasks: state.tasks.len() as u32,
        })
    }

    /// What a drain of a slave would do (R23): read from the same state that the drain itself acts on.
    fn plan(
        &self,
        cx: &Cx<'_>,
        slave: SlaveId,
        at: Moment,
        within: Millis,
        then: Option<After>,
    ) -> Result<DrainPlan, Refusal> {
        let deadline = at.after(within);
        let record = self.registry.slaves().get(&slave).ok_or(Refusal::RemovedSlave(slave))?;
        let state = self.slaves.get(&slave).ok_or(Refusal::RemovedSlave(slave))?;
        let mut tasks = Vec::new();
        for (id, task) in state.tasks.iter().filter(|(_, task)| !task.state.is_terminal()) {
            let framework = self.registry.frameworks().get(&id.framework);
            let grace = task.kill_grace.min(cx.config.revoke_grace);
            tasks.push(PlannedTask {
                id: *id,
                name: task.name.clone(),
                framework: framework.map_or_else(|| task.name.clone(), |record| record.name.clone()),
                connected: self.frameworks.get(&id.framework).is_some_and(|f| f.session.is_some()),
                grace,
                cut_from: (task.kill_grace > grace).then_some(task.kill_grace),
            });
        }
        let longest = tasks.iter().map(|task| task.grace).max().unwrap_or(Millis::ZERO);
        let tasks_end = if tasks.is_empty() { deadline } else { deadline.after(longest) };
        // One that ended unseen gives way to another.
        let drain = record.drain.and_then(|id| Some((id, self.registry.drains().get(&id)?)));
        let drain = drain.filter(|(_, drain)| drain.end != Some(DrainEnd::Unseen));
        Ok(DrainPlan {
            slave,
            slave_name: record.name.clone(),
            status: self.slave_status(slave),
            uncounted: self.uncounted(slave),
            drain: drain.map(|(id, _)| id),
            has: drain.map(|(_, drain)| (drain.pace, drain.then)),
            drained: drain.is_some_and(|(_, drain)| drain.end == Some(DrainEnd::Drained)),
            tasks,
            tasks_end,
            drain_end: self.drain_end(cx, deadline),
            digest: self.digest(cx, slave, within, then),
        })
    }

    /// A number for everything that a plan is made from, and for what is asked (R23): 64-bit FNV-1a. Not a secret, and not
    /// against forgers: it only has to differ when something has changed. What is asked is so long from then on, and not
    /// until a moment: a drain that begins later than its plan was made ends nothing sooner than the plan said.
    fn digest(&self, cx: &Cx<'_>, slave: SlaveId, within: Millis, then: Option<After>) -> u64 {
        let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
        digest.add(u64::from(slave.0));
        digest.add(within.0);
        digest.add(cx.config.revoke_grace.0);
        digest.add(cx.config.drain_bound.0);
        let drain = self.registry.slaves().get(&slave).and_then(|record| record.drain);
        let drain = drain.and_then(|id| Some((id, self.registry.drains().get(&id)?)));
        let then = then.or(drain.map(|(_, drain)| drain.then)).unwrap_or(After::Stay);
        digest.add(u64::from(then == After::Unregister));
        if let Some((id, drain)) = drain {
            digest.add(u64::from(id.0));
            digest.add(u64::from(drain.end.is_some()));
            digest.add(u64::from(drain.then == After::Unregister));
            digest.add(match drain.pace {
                Pace::Within(within) => within.0,
                Pace::Now => u64::MAX,
            });
        }
        digest.add(match self.slave_status(slave) {
            // What is held is in reach.
            SlaveStatus::Active | SlaveStatus::Held | SlaveStatus::Draining | SlaveStatus::Drained => 0,
            SlaveStatus::Awaited => 1,
            SlaveStatus::Disconnected => 2,
            SlaveStatus::Unreachable => 3,
            SlaveStatus::Leaving => 4,
            SlaveStatus::Silent => 5,
        });
        for (id, task) in self.slaves.get(&slave).into_iter().flat_map(|state| state.tasks.iter()) {
            if !task.state.is_terminal() {
                let connected = self.frameworks.get(&id.framework).is_some_and(|f| f.session.is_some());
                digest.add(u64::from(id.framework.0) << 32 | u64::from(id.number));
                digest.add(task.kill_grace.0 << 1 | u64::from(connected));
            }
        }
        digest.0
    }
}

fn hold_views(holds: &Map<Name, Hold>) -> Vec<HoldView> {
    let view = |(name, hold): (&Name, &Hold)| HoldView {
        name: name.clone(),
        by: hold.by.clone(),
        reason: hold.reason.clone(),
        at: hold.at,
    };
    holds.iter().map(view).collect()
}

/// What becomes of a command.
enum Reply {
    Answer(Answer),
    Store(Operation),
    /// The driver answers, or it is answered when what it asked for is durable.
    Later,
}

fn page<T>(mut items: impl Iterator<Item = T>, max: usize) -> Page<T> {
    let page: Vec<T> = items.by_ref().take(max).collect();
    Page { more: items.next().is_some(), items: page }
}

struct Fnv(u64);

impl Fnv {
    fn add(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
