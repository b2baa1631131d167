//! What tasks and offers hold, and the news of tasks on their way to frameworks.
//!
//! Every amount is counted in one place when it is taken and in one place when it is given back (S8).

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{DrainId, FrameworkId, OfferId, SessionId, SlaveId, TaskId};
use crate::map::Set;
use crate::message::{DrainEnd, Event, MasterToFramework, MasterToSlave, ReceiptId, ReceiptLine, TaskView};
use crate::registry::{Operation, SlaveRecord};
use crate::resources::Resources;
use crate::task::{Ending, Reason, TaskReport, TaskSpec, TaskState, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, When};

use super::leader::{Cx, Leader, Offer, Stale, Then};
use super::{Effect, Timer};

/// A task on a slave, until its end is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub(super) name: Name,
    pub(super) resources: Resources,
    pub(super) kill_grace: Millis,
    /// Whether it holds a lease (R9).
    pub(super) fenced: bool,
    pub(super) state: TaskState,
    pub(super) reason: Reason,
    /// The number of its latest update; 0 before the first.
    pub(super) number: u32,
    /// What its slave was asked, or is to be asked once it is back.
    pub(super) kill: Option<Kill>,
    /// Where its end was recorded, and its acknowledgement is to be.
    pub(super) receipt: Option<ReceiptId>,
}

/// What a slave is asked about a task that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kill {
    pub(super) grace: Option<Millis>,
    pub(super) reason: Reason,
}

/// The end of a task that no slave keeps for its framework any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Obituary {
    pub(super) slave: SlaveId,
    pub(super) update: Update,
    /// Where its acknowledgement is to be recorded.
    pub(super) receipt: Option<ReceiptId>,
    /// The drain in which its slave left, and in whose receipt the same is recorded.
    pub(super) drain: Option<DrainId>,
}

impl Task {
    pub(super) fn staging(spec: &TaskSpec) -> Self {
        Self {
            name: spec.name.clone(),
            resources: spec.resources.clone(),
            kill_grace: spec.kill_grace,
            fenced: spec.fence_after.is_some(),
            state: TaskState::Staging,
            reason: Reason::Normal,
            number: 0,
            kill: None,
            receipt: None,
        }
    }

    /// Whether its slave was given up, and its framework told that it may come back (R6).
    pub(super) fn is_unreachable(&self) -> bool {
        self.state == TaskState::Unreachable
    }

    /// Whether it is being ended already, because somebody asked: it gives back what it holds without being asked again. A
    /// new leader knows by its slave's word.
    pub(super) fn is_being_killed(&self) -> bool {
        self.kill.is_some() || self.state == TaskState::Killing && self.reason.is_asked()
    }

    /// How it is, in its framework's words.
    pub(super) fn as_told(&self, task: TaskId) -> Update {
        let Self { state, reason, number, .. } = *self;
        match self.is_unreachable() {
            true => unreachable(task),
            false => Update { task, number, state, reason, message: Text::EMPTY },
        }
    }

    pub(super) fn reported(report: &TaskReport) -> Self {
        Self {
            name: report.name.clone(),
            resources: report.resources.clone(),
            kill_grace: report.kill_grace,
            fenced: report.fenced,
            state: report.state,
            reason: report.reason,
            number: report.number,
            kill: None,
            receipt: None,
        }
    }
}

impl Leader {
    /// Lends what is free of a slave.
    pub(super) fn lend(&mut self, cx: &mut Cx<'_>, offer: Offer) -> OfferId {
        self.highest_offer = self.highest_offer.next();
        let id = self.highest_offer;
        if let Some(slave) = self.slaves.get_mut(&offer.slave) {
            slave.offered.put_in(&offer.resources);
            slave.offers.insert(id, ());
        }
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.allocated.put_in(&offer.resources.without_ports());
            framework.offers.insert(id, ());
        }
        self.offers.insert(id, offer);
        if let Some(after) = cx.config.offer_timeout {
            cx.push(Effect::SetTimer { timer: Timer::Offer(id), when: When::After(after) });
        }
        id
    }

    /// Takes back what was lent; whoever calls says why to whom it concerns.
    pub(super) fn unlend(&mut self, cx: &mut Cx<'_>, id: OfferId) -> Option<Offer> {
        let offer = self.offers.remove(&id)?;
        if cx.config.offer_timeout.is_some() {
            cx.cancel(Timer::Offer(id));
        }
        if let Some(slave) = self.slaves.get_mut(&offer.slave) {
            slave.offered.take_out(&offer.resources);
            slave.offers.remove(&id);
        }
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.allocated.take_out(&offer.resources.without_ports());
            framework.offers.remove(&id);
        }
        self.freed(cx, offer.slave);
        Some(offer)
    }

    /// Takes offers back and tells their frameworks.
    pub(super) fn rescind(&mut self, cx: &mut Cx<'_>, offers: &[OfferId]) {
        for &id in offers {
            if let Some(offer) = self.unlend(cx, id)
                && let Some(session) = self.frameworks.get(&offer.framework).and_then(|f| f.session)
            {
                cx.tell_framework(session, MasterToFramework::Rescind(alloc::vec![id]));
            }
        }
    }

    /// Takes back every offer of a slave, or those to one framework.
    pub(super) fn rescind_slave(&mut self, cx: &mut Cx<'_>, slave: SlaveId, only: Option<FrameworkId>) {
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        let of = |id: &OfferId| self.offers.get(id).map(|offer| offer.framework);
        let offers: Vec<OfferId> =
            state.offers.keys().copied().filter(|id| only.is_none() || of(id) == only).collect();
        self.rescind(cx, &offers);
    }

    /// Something of this slave may be free: offer it soon.
    pub(super) fn freed(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let first = match &mut self.stale {
            Stale::All => false,
            Stale::Some(slaves) => {
                let first = slaves.is_empty();
                slaves.insert(slave, ());
                first
            }
        };
        if first {
            self.allocate_soon(cx);
        }
    }

    /// A framework may want what others would not: look at every slave soon.
    pub(super) fn all_freed(&mut self, cx: &mut Cx<'_>) {
        if self.stale == Stale::Some(Set::new()) {
            self.allocate_soon(cx);
        }
        self.stale = Stale::All;
    }

    fn allocate_soon(&self, cx: &mut Cx<'_>) {
        let when = When::After(cx.config.allocation_delay);
        cx.push(Effect::SetTimer { timer: Timer::Allocate, when });
    }

    /// Counts a task in: launched, or reported by its slave.
    pub(super) fn count_in(&mut self, slave: SlaveId, id: TaskId, task: Task) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.insert(id.number, slave);
            framework.highest_task = framework.highest_task.max(id.number);
            if !task.state.is_terminal() {
                framework.allocated.put_in(&task.resources.without_ports());
            }
        }
        if !task.state.is_terminal() {
            state.used.put_in(&task.resources);
        }
        state.tasks.insert(id, task);
    }

    /// Gives back what a task held; its end is still to be acknowledged.
    fn count_out(&mut self, cx: &mut Cx<'_>, slave: SlaveId, id: TaskId, resources: &Resources) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.used.take_out(resources);
        }
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.allocated.take_out(&resources.without_ports());
        }
        self.freed(cx, slave);
    }

    /// Forgets a task that is over.
    pub(super) fn forget(&mut self, slave: SlaveId, id: TaskId) -> Option<Task> {
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.remove(&id.number);
        }
        self.slaves.get_mut(&slave)?.tasks.remove(&id)
    }

    /// A slave has news of a task (R12).
    pub(super) fn on_update(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        session: SessionId,
        update: Update,
        ending: Option<Arc<Ending>>,
    ) {
        let id = update.task;
        let acknowledge = MasterToSlave::Acknowledge { task: id, number: update.number };
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if state.zombies.contains_key(&id) {
            cx.tell_slave(session, acknowledge);
            if update.state.is_terminal() {
                self.record_late(cx, slave, id, ending);
                self.zombie_over(cx, slave, id);
            }
            return;
        }
        let Some(task) = state.tasks.get_mut(&id) else {
            // Its end was acknowledged, and the slave has not heard of it; or it keeps nothing to acknowledge.
            if !update.is_answer() {
                cx.tell_slave(session, acknowledge);
            }
            return;
        };
        let held = task.resources.clone();
        if update.is_answer() && !task.state.is_terminal() {
            if let Some(record) = self.registry.slaves().get(&slave).cloned() {
                self.bury(cx, slave, &record, update, ending, None);
                self.came_back(cx, slave, id.framework, &held);
                self.check_drained(cx, slave);
            }
            return;
        }
        if update.number > task.number && !task.state.is_terminal() {
            (task.state, task.reason, task.number) = (update.state, update.reason, update.number);
            self.publish_task(cx, slave, id);
            if update.state.is_terminal() {
                self.count_out(cx, slave, id, &held);
                self.record_end(cx, slave, &update, ending);
                self.came_back(cx, slave, id.framework, &held);
            }
        } else if update.number > task.number {
            // A second end is none (S9).
            cx.tell_slave(session, acknowledge);
            return;
        }
        if self.registry.frameworks().contains_key(&id.framework) {
            self.tell_update(cx, id.framework, slave, update);
        } else {
            cx.tell_slave(session, acknowledge);
            // What holds something yet is not forgotten, whatever a stale update says of it (S8).
            if self.is_over(slave, id) {
                self.forget(slave, id);
            }
        }
        self.check_drained(cx, slave);
    }

    fn is_over(&self, slave: SlaveId, id: TaskId) -> bool {
        let task = self.slaves.get(&slave).and_then(|state| state.tasks.get(&id));
        task.is_some_and(|task| task.state.is_terminal())
    }

    /// A framework has dealt with an update, and with every one of the task before it (R12).
    pub(super) fn on_acknowledge(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        task: TaskId,
        number: u32,
    ) {
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        if let Some(obituary) = state.obituaries.get(&task) {
            if number >= obituary.update.number {
                let Obituary { slave, receipt, drain, .. } = *obituary;
                state.obituaries.remove(&task);
                if let Some(state) = self.slaves.get_mut(&slave) {
                    state.mourned.remove(&task);
                }
                self.acknowledged(cx, task, receipt);
                if let Some(drain) = drain {
                    let line = ReceiptLine::Acknowledged { task };
                    cx.push(Effect::Record { receipt: ReceiptId::Drain(drain), line });
                }
                if self.registry.ends().contains_key(&task) {
                    self.store(cx, Operation::ForgetEnd { task }, Then::Nothing);
                }
                self.check_drained(cx, slave);
            }
            return;
        }
        let Some(&slave) = state.tasks.get(&task.number).filter(|_| task.framework == framework) else {
            return;
        };
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        if let Some(session) = state.session {
            cx.tell_slave(session, MasterToSlave::Acknowledge { task, number });
        }
        let known = state.tasks.get(&task).filter(|t| t.state.is_terminal() && number >= t.number);
        if let Some(known) = known {
            let receipt = known.receipt.or_else(|| self.receipt_of(slave, framework));
            // The slave that is away hears of it when it sends the update again.
            self.forget(slave, task);
            self.acknowledged(cx, task, receipt);
            self.check_drained(cx, slave);
        }
    }

    fn acknowledged(&self, cx: &mut Cx<'_>, task: TaskId, receipt: Option<ReceiptId>) {
        if let Some(receipt) = receipt {
            cx.push(Effect::Record { receipt, line: ReceiptLine::Acknowledged { task } });
        }
        self.publish(cx, Event::TaskAcknowledged { task });
    }

    /// Ends a task that its slave cannot report on any more: the framework is told now, and again until it
    /// acknowledges. Recorded in `receipt`, or else in what is open for it.
    pub(super) fn bury(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        record: &SlaveRecord,
        update: Update,
        ending: Option<Arc<Ending>>,
        receipt: Option<ReceiptId>,
    ) {
        let id = update.task;
        let Some(task) = self.slaves.get_mut(&slave).and_then(|state| state.tasks.get_mut(&id)) else {
            return;
        };
        let held = (!task.state.is_terminal()).then(|| task.resources.clone());
        let recorded = task.receipt;
        (task.state, task.reason, task.number) = (update.state, update.reason, update.number);
        let ended = task.clone();
        let receipt = recorded.or(receipt).or_else(|| self.receipt_of(slave, id.framework));
        // What ends as its slave leaves is in the receipt of that, and in its drain's.
        let leaves = held.is_some() && matches!(receipt, Some(ReceiptId::Unregistration(_)));
        let drain = record.drain.filter(|_| leaves);
        // What was over before has been told and recorded.
        if let Some(held) = held {
            let view = self.view_of(record, slave, id, &ended);
            self.publish(cx, Event::Task(view));
            self.count_out(cx, slave, id, &held);
            for receipt in receipt.into_iter().chain(drain.map(ReceiptId::Drain)) {
                let line = ended_line(&update, ending.clone());
                cx.push(Effect::Record { receipt, line });
            }
        }
        self.forget(slave, id);
        self.mourn(cx, id.framework, Obituary { slave, update, receipt, drain });
    }

    /// A task's slave is given up, and its framework is one that waits for it to come back (R6).
    pub(super) fn lose_sight(&mut self, cx: &mut Cx<'_>, slave: SlaveId, id: TaskId) {
        let known = self.slaves.get_mut(&slave).and_then(|state| state.tasks.get_mut(&id));
        if let Some(task) = known.filter(|task| !task.is_unreachable()) {
            (task.state, task.reason) = (TaskState::Unreachable, Reason::SlaveUnreachable);
            self.publish_task(cx, slave, id);
            self.tell_update(cx, id.framework, slave, unreachable(id));
        }
    }

    /// The slave of a task that was out of reach is back, and says how it is (R8). An end is told as the slave tells it.
    pub(super) fn see_again(&mut self, cx: &mut Cx<'_>, slave: SlaveId, report: &TaskReport) {
        let known = self.slaves.get_mut(&slave).and_then(|state| state.tasks.get_mut(&report.id));
        let Some(task) = known.filter(|task| task.is_unreachable() && !report.state.is_terminal()) else {
            return;
        };
        (task.state, task.reason) = (report.state, report.reason);
        task.number = task.number.max(report.number);
        let update = task.as_told(report.id);
        self.publish_task(cx, slave, report.id);
        self.tell_update(cx, report.id.framework, slave, update);
    }

    /// Keeps the end of a task until its framework has acknowledged it, and tells the framework.
    pub(super) fn mourn(&mut self, cx: &mut Cx<'_>, framework: FrameworkId, obituary: Obituary) {
        let Obituary { slave, update, .. } = &obituary;
        let (slave, update) = (*slave, update.clone());
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        state.obituaries.insert(update.task, obituary);
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.mourned.insert(update.task, ());
        }
        self.tell_update(cx, framework, slave, update);
    }

    pub(super) fn tell_update(
        &self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        slave: SlaveId,
        update: Update,
    ) {
        if let Some(session) = self.frameworks.get(&framework).and_then(|f| f.session) {
            cx.tell_framework(session, MasterToFramework::Update { update, slave });
        }
    }

    /// The receipt that is open for a framework's tasks on a slave: that of its drain, also of one that could not be seen to its
    /// end, or of a lone inverse offer.
    fn receipt_of(&self, slave: SlaveId, framework: FrameworkId) -> Option<ReceiptId> {
        let record = self.registry.slaves().get(&slave)?;
        let is_open = |end: Option<DrainEnd>| matches!(end, None | Some(DrainEnd::Unseen));
        let drain = record.drain.filter(|id| self.registry.drains().get(id).is_some_and(|d| is_open(d.end)));
        let asked = record.inverse_offers.iter().find(|(_, asked)| **asked == framework);
        let alone = || asked.map(|(id, _)| ReceiptId::InverseOffer(*id));
        drain.map(ReceiptId::Drain).or_else(alone)
    }

    fn record_end(&mut self, cx: &mut Cx<'_>, slave: SlaveId, update: &Update, ending: Option<Arc<Ending>>) {
        let Some(receipt) = self.receipt_of(slave, update.task.framework) else {
            return;
        };
        cx.push(Effect::Record { receipt, line: ended_line(update, ending) });
        let task = self.slaves.get_mut(&slave).and_then(|state| state.tasks.get_mut(&update.task));
        if let Some(task) = task {
            task.receipt = Some(receipt);
        }
    }

    /// What was Lost is seen dead now that its slave is back, in a drain's time or after it (R23a).
    fn record_late(&self, cx: &mut Cx<'_>, slave: SlaveId, task: TaskId, ending: Option<Arc<Ending>>) {
        let receipt = self.receipt_of(slave, task.framework).filter(|_| ending.is_some());
        if let Some(receipt) = receipt {
            let (state, reason) = (TaskState::Lost, Reason::SlaveUnreachable);
            cx.push(Effect::Record { receipt, line: ReceiptLine::Ended { task, state, reason, ending } });
        }
    }

    /// Asks the slave to end a task, now or when it is back; asked twice, the shorter grace counts.
    pub(super) fn kill(&mut self, cx: &mut Cx<'_>, slave: SlaveId, task: TaskId, kill: Kill) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        let session = state.session;
        let Some(known) = state.tasks.get_mut(&task).filter(|task| !task.state.is_terminal()) else {
            return;
        };
        let grace = match (known.kill.and_then(|kill| kill.grace), kill.grace) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
        let reason = known.kill.map_or(kill.reason, |before| before.reason);
        if known.kill == Some(Kill { grace, reason }) {
            return;
        }
        known.kill = Some(Kill { grace, reason });
        if let Some(session) = session {
            cx.tell_slave(session, MasterToSlave::Kill { task, grace, reason });
        }
    }

    pub(super) fn publish_task(&self, cx: &mut Cx<'_>, slave: SlaveId, id: TaskId) {
        let task = self.slaves.get(&slave).and_then(|state| state.tasks.get(&id));
        if let Some(view) = task.and_then(|task| self.task_view(slave, id, task)) {
            self.publish(cx, Event::Task(view));
        }
    }

    pub(super) fn task_view(&self, slave: SlaveId, id: TaskId, task: &Task) -> Option<TaskView> {
        Some(self.view_of(self.registry.slaves().get(&slave)?, slave, id, task))
    }

    /// The same of a slave that may have left the registry.
    fn view_of(&self, record: &SlaveRecord, slave: SlaveId, id: TaskId, task: &Task) -> TaskView {
        let framework = self.registry.frameworks().get(&id.framework);
        TaskView {
            id,
            name: task.name.clone(),
            framework: framework.map_or_else(|| task.name.clone(), |framework| framework.name.clone()),
            slave,
            slave_name: record.name.clone(),
            slave_address: record.address.clone(),
            state: task.state,
            reason: task.reason,
            resources: task.resources.clone(),
        }
    }

    /// A framework's tasks on one slave.
    pub(super) fn tasks_on(
        &self,
        slave: SlaveId,
        framework: FrameworkId,
    ) -> impl Iterator<Item = (TaskId, &Task)> {
        let before = TaskId { framework, number: 0 };
        let state = self.slaves.get(&slave);
        state
            .into_iter()
            .flat_map(move |state| state.tasks.iter_after(Some(before)))
            .take_while(move |(id, _)| id.framework == framework)
            .map(|(id, task)| (*id, task))
    }
}

fn ended_line(update: &Update, ending: Option<Arc<Ending>>) -> ReceiptLine {
    ReceiptLine::Ended { task: update.task, state: update.state, reason: update.reason, ending }
}

/// The news that a task is out of reach (R6).
pub(super) fn unreachable(task: TaskId) -> Update {
    let message = Text::new("its slave does not answer; both may come back");
    let (state, reason) = (TaskState::Unreachable, Reason::SlaveUnreachable);
    Update { task, number: 0, state, reason, message }
}

/// An operator's reason in a sentence, if one was given.
pub(super) fn because(reason: &Text) -> alloc::string::String {
    if reason.is_empty() { alloc::string::String::new() } else { alloc::format!(" ({reason})") }
}

/// The news that a task is over, when it is the master that says so.
pub(super) fn ended(task: TaskId, number: u32, state: TaskState, reason: Reason) -> Update {
    Update { task, number, state, reason, message: Text::new(reason.advice()) }
}
