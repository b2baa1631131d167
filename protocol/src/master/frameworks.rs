//! Frameworks: subscription, offers accepted and declined, kills, reconciliation.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::ids::{FrameworkId, OfferId, SessionId, SlaveId, TaskId};
use crate::map::{Map, Set};
use crate::message::{Answer, Event, FrameworkToMaster, MasterToFramework, MasterToSlave, Refusal, Want};
use crate::registry::{Applied, FrameworkRecord, Operation};
use crate::resources::{Resources, Sum};
use crate::task::{COMMAND_SIZE_MAX, Reason, Run, TASK_DATA_MAX, TaskSpec, TaskState, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, When};
use crate::transport::{CloseCode, Role};

use super::leader::{Cx, Leader, Offer, Owner, Then};
use super::tasks::{Kill, Obituary, Task, because, ended, unreachable};
use super::{Effect, Timer};

/// What a leader knows of a framework beside its record in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Framework {
    pub(super) session: Option<SessionId>,
    pub(super) weight: u32,
    pub(super) suppressed: bool,
    /// The highest task number that it has used, as far as anyone has said (R11).
    pub(super) highest_task: u32,
    /// Up to which number it has said, to this leader, which of its tasks are not over (R15).
    pub(super) settled: u32,
    /// What its tasks hold and what is lent to it, ports left out.
    pub(super) allocated: Sum,
    /// On which slave each of its tasks is whose end is not acknowledged.
    pub(super) tasks: Map<u32, SlaveId>,
    pub(super) offers: Set<OfferId>,
    /// What it declined of slaves, and need not be offered again for a while; more than that it is offered (R10).
    pub(super) filters: Map<SlaveId, Resources>,
    /// What it waits for, as far as it has said on this session.
    pub(super) want: Option<Box<Want>>,
    /// Ends of tasks that it has not acknowledged and that no slave keeps.
    pub(super) obituaries: Map<TaskId, Obituary>,
    removal: Removal,
}

/// How far the removal of a framework is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Removal {
    Unwanted,
    Writing,
    /// It could not be written, and is tried again when `Timer::Failover` fires.
    Failed,
}

/// A framework that subscribes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subscription {
    pub(super) session: SessionId,
    id: Option<FrameworkId>,
    weight: u32,
    highest_task: u32,
}

impl Leader {
    pub(super) fn on_framework(&mut self, cx: &mut Cx<'_>, session: SessionId, message: FrameworkToMaster) {
        let framework = match (self.sessions.get(&session), &message) {
            (None, _) => return cx.unknown(session),
            (Some(Owner::Peer(peer)), FrameworkToMaster::Subscribe { .. })
                if peer.role == Role::Framework =>
            {
                let principal = peer.name.clone();
                return self.subscribe(cx, session, principal, message);
            }
            (Some(Owner::Framework(framework)), _) => *framework,
            (Some(Owner::Subscriber), _) => {
                let detail = "one subscription a session, and its answer comes before anything else";
                return self.expel(cx, session, CloseCode::Misbehaved, detail);
            }
            (Some(Owner::Peer(_) | Owner::Slave(_)), _) => {
                let detail = "a framework's certificate and a subscription come before anything else";
                return self.expel(cx, session, CloseCode::Misbehaved, detail);
            }
        };
        if names_anothers(framework, &message) {
            let detail = "it names a task of another framework: a framework has its own tasks only";
            return self.expel(cx, session, CloseCode::Misbehaved, detail);
        }
        match message {
            FrameworkToMaster::Subscribe { .. } => {
                self.expel(cx, session, CloseCode::Misbehaved, "one subscription a session");
            }
            FrameworkToMaster::Accept { offer, slave, tasks, filter } => {
                self.accept(cx, framework, offer, slave, tasks, filter);
            }
            FrameworkToMaster::Decline { offers, filter } => self.decline(cx, framework, &offers, filter),
            FrameworkToMaster::Revive => self.revive(cx, framework),
            FrameworkToMaster::Suppress => {
                if let Some(state) = self.frameworks.get_mut(&framework) {
                    state.suppressed = true;
                }
            }
            FrameworkToMaster::Kill { task, slave, grace } => {
                self.kill_asked(cx, framework, task, slave, grace)
            }
            FrameworkToMaster::Acknowledge { task, number } => {
                self.on_acknowledge(cx, framework, task, number)
            }
            FrameworkToMaster::Reconcile { after, upto, tasks } => {
                self.disown(cx, framework, (after, upto), &tasks);
                for (task, slave) in tasks {
                    self.reconcile_task(cx, framework, task, slave);
                }
            }
            FrameworkToMaster::AnswerInverse { id, answer } => {
                self.inverse_answered(cx, framework, session, id, answer);
            }
            FrameworkToMaster::Teardown => self.teardown(cx, framework),
            FrameworkToMaster::Want(want) => self.wanted(cx, framework, session, want),
        }
    }

    fn subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        principal: Name,
        message: FrameworkToMaster,
    ) {
        let FrameworkToMaster::Subscribe {
            id,
            name,
            weight,
            failover_timeout,
            partition_aware,
            epoch,
            highest_task,
        } = message
        else {
            return;
        };
        if !self.leads() || epoch > self.epoch {
            let message = MasterToFramework::NotLeading { leader: Text::EMPTY };
            return cx.tell_framework(session, message);
        }
        if let Some(refusal) = self.unfit(id, &principal, weight, partition_aware) {
            return cx.tell_framework(session, MasterToFramework::Refused(Text::new(refusal)));
        }
        let failover_timeout = failover_timeout.min(cx.config.failover_timeout_max);
        let record = FrameworkRecord { name, principal, failover_timeout, partition_aware };
        let subscription = Subscription { session, id, weight, highest_task };
        let operation = match id {
            Some(id) if self.registry.frameworks().get(&id) == Some(&record) => {
                return self.take_up(cx, id, subscription, false);
            }
            Some(framework) => Operation::ChangeFramework { framework, record },
            None => Operation::AddFramework(record),
        };
        if self.overloaded(cx) {
            return self.turn_away(cx, session);
        }
        self.sessions.to_mut().insert(session, Owner::Subscriber);
        self.store(cx, operation, Then::Subscribe(subscription));
    }

    /// Why a framework may not subscribe so, if it may not.
    fn unfit(
        &self,
        id: Option<FrameworkId>,
        principal: &Name,
        weight: u32,
        partition_aware: bool,
    ) -> Option<&'static str> {
        let record = id.map(|id| self.registry.frameworks().get(&id));
        match record {
            _ if weight == 0 => Some("a framework's weight is at least 1"),
            Some(None) => Some("it was torn down: subscribe without an id, as a new framework"),
            Some(Some(record)) if record.principal != *principal => {
                Some("another principal's framework: subscribe with the certificate that it began with")
            }
            Some(Some(record)) if record.partition_aware != partition_aware => Some(
                "whether it is partition-aware is settled when it first subscribes: begin as a new framework",
            ),
            Some(Some(_)) | None => None,
        }
    }

    /// Whether its tasks outlive that their slave does not answer (R6).
    pub(super) fn is_partition_aware(&self, framework: FrameworkId) -> bool {
        self.registry.frameworks().get(&framework).is_some_and(|record| record.partition_aware)
    }

    pub(super) fn subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        subscription: Subscription,
        applied: Result<Applied, Refusal>,
    ) {
        match (applied, subscription.id) {
            (Ok(Applied::Framework(id)), _) => {
                self.await_framework(id);
                self.take_up(cx, id, subscription, true);
            }
            (Ok(_), Some(id)) => self.take_up(cx, id, subscription, false),
            (Ok(_), None) | (Err(_), _) => {
                let text = Text::new("it was torn down meanwhile: subscribe without an id");
                cx.tell_framework(subscription.session, MasterToFramework::Refused(text));
            }
        }
    }

    /// A framework that the registry knows and that has no session yet.
    pub(super) fn await_framework(&mut self, framework: FrameworkId) {
        let state = Framework {
            session: None,
            weight: 1,
            suppressed: false,
            highest_task: 0,
            settled: 0,
            allocated: Sum::NONE,
            tasks: Map::new(),
            offers: Set::new(),
            filters: Map::new(),
            want: None,
            obituaries: Map::new(),
            removal: Removal::Unwanted,
        };
        self.frameworks.insert(framework, state);
    }

    /// A framework without a session has so long to come back (R14).
    pub(super) fn arm_failover(&self, cx: &mut Cx<'_>, framework: FrameworkId) {
        if let Some(record) = self.registry.frameworks().get(&framework) {
            let when = When::After(record.failover_timeout);
            cx.push(Effect::SetTimer { timer: Timer::Failover(framework), when });
        }
    }

    /// The framework is subscribed, on this session and no other (R14).
    fn take_up(&mut self, cx: &mut Cx<'_>, id: FrameworkId, subscription: Subscription, new: bool) {
        let Subscription { session, weight, highest_task, .. } = subscription;
        if !self.sessions.contains_key(&session) {
            if self.frameworks.get(&id).is_some_and(|state| state.session.is_none()) {
                self.arm_failover(cx, id);
            }
            return;
        }
        if let Some(before) = self.frameworks.get(&id).and_then(|state| state.session) {
            self.expel(cx, before, CloseCode::Replaced, "a newer session of the same framework subscribed");
        }
        let Some(state) = self.frameworks.get_mut(&id) else {
            return;
        };
        (state.session, state.weight, state.suppressed) = (Some(session), weight, false);
        state.want = None;
        if state.removal == Removal::Failed {
            // It is back in time, and says so itself if it still wants to go.
            state.removal = Removal::Unwanted;
        }
        state.highest_task = state.highest_task.max(highest_task);
        let highest_task = state.highest_task;
        let buried: Vec<(SlaveId, Update)> =
            state.obituaries.values().map(|o| (o.slave, o.update.clone())).collect();
        let mut slaves: Vec<SlaveId> = state.tasks.values().copied().collect();
        slaves.sort_unstable();
        slaves.dedup();
        self.sessions.to_mut().insert(session, Owner::Framework(id));
        cx.cancel(Timer::Failover(id));
        let message = MasterToFramework::Subscribed { id, epoch: self.epoch, highest_task };
        cx.tell_framework(session, message);
        for (slave, update) in buried {
            cx.tell_framework(session, MasterToFramework::Update { update, slave });
        }
        for slave in slaves {
            if let Some(session) = self.slaves.get(&slave).and_then(|state| state.session) {
                cx.tell_slave(session, MasterToSlave::Resend { framework: id });
            }
        }
        self.tell_inverse_offers(cx, id, session);
        if let Some(name) = self.registry.frameworks().get(&id).map(|record| record.name.clone()) {
            self.publish(cx, Event::FrameworkSubscribed { framework: id, name, new });
        }
        self.all_freed(cx);
    }

    pub(super) fn framework_disconnected(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        session: SessionId,
    ) {
        let Some(state) = self.frameworks.get_mut(&framework).filter(|f| f.session == Some(session)) else {
            return;
        };
        (state.session, state.want) = (None, None);
        let filters: Vec<SlaveId> = core::mem::take(&mut state.filters).keys().copied().collect();
        let offers: Vec<OfferId> = state.offers.keys().copied().collect();
        for slave in filters {
            cx.cancel(Timer::Filter(framework, slave));
        }
        for offer in offers {
            self.unlend(cx, offer);
        }
        self.arm_failover(cx, framework);
        if let Some(name) = self.registry.frameworks().get(&framework).map(|record| record.name.clone()) {
            self.publish(cx, Event::FrameworkDisconnected { framework, name });
        }
        self.check_drains_of(cx, framework);
    }

    pub(super) fn failover_over(&mut self, cx: &mut Cx<'_>, framework: FrameworkId) {
        // One that asked for it is torn down although it is there, if that could not be written at once.
        let over = |state: &Framework| state.session.is_none() || state.removal == Removal::Failed;
        if self.frameworks.get(&framework).is_some_and(over) {
            self.teardown(cx, framework);
        }
    }

    /// Writes that a framework is gone for good.
    fn teardown(&mut self, cx: &mut Cx<'_>, framework: FrameworkId) {
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        if core::mem::replace(&mut state.removal, Removal::Writing) != Removal::Writing {
            self.store(cx, Operation::RemoveFramework { framework }, Then::Nothing);
        }
    }

    /// What an operator who tears a framework down asks to be written (R14).
    pub(super) fn to_tear_down(&self, framework: FrameworkId) -> Result<Operation, Refusal> {
        match self.registry.frameworks().contains_key(&framework) {
            true => Ok(Operation::RemoveFramework { framework }),
            false => Err(Refusal::UnknownFramework(framework)),
        }
    }

    /// It is durable. One that went by itself meanwhile is gone all the same.
    pub(super) fn torn_down(
        &mut self,
        cx: &mut Cx<'_>,
        operation: Operation,
        (by, reason): (&Name, &Text),
        applied: Result<Applied, Refusal>,
    ) -> Result<Answer, Refusal> {
        let changed = applied.is_ok();
        if let Operation::RemoveFramework { framework } = operation {
            let why = alloc::format!("{by} has torn it down{}: begin as a new framework", because(reason));
            self.framework_removed(cx, framework, Text::new(&why), applied);
        }
        Ok(Answer::Done { changed })
    }

    pub(super) fn removal_failed(&mut self, framework: FrameworkId) {
        if let Some(state) = self.frameworks.get_mut(&framework) {
            state.removal = Removal::Failed;
        }
    }

    /// A framework is gone for good, durably: its tasks are killed everywhere (R14).
    pub(super) fn framework_removed(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        why: Text,
        applied: Result<Applied, Refusal>,
    ) {
        if let Some(session) = self.frameworks.get(&framework).and_then(|state| state.session) {
            cx.tell_framework(session, MasterToFramework::Refused(why));
            self.expel(cx, session, CloseCode::Done, "torn down");
        }
        let Some(state) = self.frameworks.remove(&framework) else {
            return;
        };
        cx.cancel(Timer::Failover(framework));
        // A slave that never comes back would keep them for good (S15).
        let asked = self.slaves.iter().filter(|(_, slave)| slave.questions.contains_key(&framework));
        let asked: Vec<SlaveId> = asked.map(|(id, _)| *id).collect();
        for slave in asked {
            if let Some(state) = self.slaves.get_mut(&slave) {
                state.questions.remove(&framework);
            }
        }
        let mut slaves: Vec<SlaveId> = state.tasks.values().copied().collect();
        slaves.sort_unstable();
        slaves.dedup();
        for slave in slaves {
            self.orphan(cx, slave, framework);
        }
        for (task, Obituary { slave, .. }) in &state.obituaries {
            if let Some(state) = self.slaves.get_mut(slave) {
                state.mourned.remove(task);
            }
            self.check_drained(cx, *slave);
        }
        if let Ok(Applied::FrameworkRemoved { record, closed }) = applied {
            for (id, inverse) in closed {
                self.inverse_over(cx, id, &inverse, crate::message::InverseOutcome::Void);
            }
            self.publish(cx, Event::FrameworkRemoved { framework, name: record.name });
        }
    }

    /// Ends a torn-down framework's tasks on one slave; nobody is left to acknowledge their ends.
    fn orphan(&mut self, cx: &mut Cx<'_>, slave: SlaveId, framework: FrameworkId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        let kill = Kill { grace: None, reason: Reason::FrameworkRemoved };
        let session = state.session;
        let before = TaskId { framework, number: 0 };
        let tasks = state.tasks.iter_after(Some(before)).take_while(|(id, _)| id.framework == framework);
        let over: Vec<(TaskId, u32, bool)> =
            tasks.map(|(id, task)| (*id, task.number, task.state.is_terminal())).collect();
        for (task, number, over) in over {
            if over {
                state.tasks.remove(&task);
                if let Some(session) = session {
                    cx.tell_slave(session, MasterToSlave::Acknowledge { task, number });
                }
            } else if let Some(gone) = state.tasks.get(&task).filter(|task| task.is_unreachable()) {
                // Should it come back, it is nobody's.
                state.used.take_out(&gone.resources);
                state.tasks.remove(&task);
            } else if let Some(task) = state.tasks.get_mut(&task) {
                task.kill = task.kill.or(Some(kill));
            }
        }
        if let Some(session) = session {
            cx.tell_slave(session, MasterToSlave::KillFramework { framework });
        }
        self.hurry(cx, slave);
        self.check_drained(cx, slave);
    }

    /// Launches what an offer is accepted for; what does not fit is answered, with what to do (R11).
    fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        id: OfferId,
        slave: SlaveId,
        tasks: Vec<TaskSpec>,
        filter: Millis,
    ) {
        let lent = self.offers.get(&id).is_some_and(|o| o.framework == framework && o.slave == slave);
        let offer = if lent { self.unlend(cx, id) } else { None };
        let mut left = offer.as_ref().map(|offer: &Offer| offer.resources.clone());
        for spec in tasks {
            let task = spec.id;
            if !self.is_fresh(framework, task) {
                if self.is_tracked(task) {
                    let detail = "a task's number is in use: number tasks upwards, never use one again";
                    if let Some(session) = self.frameworks.get(&framework).and_then(|f| f.session) {
                        self.expel(cx, session, CloseCode::Misbehaved, detail);
                    }
                    return;
                }
                if task.framework == framework {
                    self.dropped(cx, slave, task, Reason::IdUsed);
                }
                continue;
            }
            if let Some(state) = self.frameworks.get_mut(&framework) {
                state.highest_task = state.highest_task.max(task.number);
            }
            let rest = left.as_ref().and_then(|left| left.checked_sub(&spec.resources));
            match (self.obstacle(cx, slave, &spec, offer.is_some()), rest) {
                (Some(reason), _) => self.dropped(cx, slave, task, reason),
                (None, None) => self.dropped(cx, slave, task, Reason::BeyondOffer),
                (None, Some(rest)) => {
                    left = Some(rest);
                    self.launch(cx, slave, spec);
                }
            }
        }
        if let Some(left) = left.filter(|left| !left.is_empty()) {
            self.filter(cx, framework, slave, left, filter);
        }
    }

    /// Why a task cannot be launched on a slave, if it cannot.
    fn obstacle(&self, cx: &Cx<'_>, slave: SlaveId, spec: &TaskSpec, lent: bool) -> Option<Reason> {
        let record = self.registry.slaves().get(&slave);
        let state = self.slaves.get(&slave);
        match (record, state) {
            (None, _) | (_, None) => Some(Reason::SlaveRemoved),
            (Some(record), Some(_)) if !record.holds.is_empty() => Some(Reason::SlaveDeactivated),
            (Some(_), Some(state)) if state.leaving => Some(Reason::SlaveLeaving),
            (Some(_), Some(state)) if state.session.is_none() => Some(Reason::SlaveDisconnected),
            (Some(_), Some(state)) if state.silent => Some(Reason::SlaveSilent),
            (Some(_), Some(_)) if !lent => Some(Reason::OfferGone),
            (Some(_), Some(_)) if !is_sound(spec) || !self.has_room(cx, spec.id.framework) => {
                Some(Reason::InvalidSpec)
            }
            (Some(_), Some(_)) if !Self::may_fence(cx, spec) => Some(Reason::CannotFence),
            (Some(_), Some(_)) => None,
        }
    }

    /// Whether a framework may have one more task, those included whose ends it has not acknowledged (S15).
    pub(super) fn has_room(&self, cx: &Cx<'_>, framework: FrameworkId) -> bool {
        let tasks =
            self.frameworks.get(&framework).map_or(0, |state| state.tasks.len() + state.obituaries.len());
        tasks < cx.config.tasks_max as usize
    }

    fn is_fresh(&self, framework: FrameworkId, task: TaskId) -> bool {
        task.framework == framework
            && self.frameworks.get(&framework).is_some_and(|state| task.number > state.highest_task)
    }

    fn is_tracked(&self, task: TaskId) -> bool {
        self.frameworks.get(&task.framework).is_some_and(|state| {
            state.tasks.contains_key(&task.number) || state.obituaries.contains_key(&task)
        })
    }

    fn launch(&mut self, cx: &mut Cx<'_>, slave: SlaveId, spec: TaskSpec) {
        let id = spec.id;
        self.count_in(slave, id, Task::staging(&spec));
        self.publish_task(cx, slave, id);
        if let Some(session) = self.slaves.get(&slave).and_then(|state| state.session) {
            cx.tell_slave(session, MasterToSlave::Launch(spec));
        }
    }

    fn decline(&mut self, cx: &mut Cx<'_>, framework: FrameworkId, offers: &[OfferId], filter: Millis) {
        for id in offers {
            if self.offers.get(id).is_some_and(|offer| offer.framework == framework)
                && let Some(offer) = self.unlend(cx, *id)
            {
                self.filter(cx, framework, offer.slave, offer.resources, filter);
            }
        }
    }

    /// A framework need not be offered this slave for a while (R10).
    fn filter(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        slave: SlaveId,
        declined: Resources,
        filter: Millis,
    ) {
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        if filter == Millis::ZERO || state.session.is_none() {
            return;
        }
        state.filters.insert(slave, declined);
        let when = When::After(filter.min(cx.config.filter_max));
        cx.push(Effect::SetTimer { timer: Timer::Filter(framework, slave), when });
    }

    pub(super) fn filter_over(&mut self, cx: &mut Cx<'_>, framework: FrameworkId, slave: SlaveId) {
        if let Some(state) = self.frameworks.get_mut(&framework)
            && state.filters.remove(&slave).is_some()
        {
            self.freed(cx, slave);
        }
    }

    /// A framework says what it waits for, and is told why.
    fn wanted(&mut self, cx: &mut Cx<'_>, framework: FrameworkId, session: SessionId, want: Want) {
        let waits = want.tasks > 0;
        if waits {
            let why = self.pending(cx, framework, &want);
            cx.tell_framework(session, MasterToFramework::Pending(why));
        }
        if let Some(state) = self.frameworks.get_mut(&framework) {
            state.want = waits.then(|| Box::new(want));
        }
    }

    fn revive(&mut self, cx: &mut Cx<'_>, framework: FrameworkId) {
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        state.suppressed = false;
        let filters: Vec<SlaveId> = core::mem::take(&mut state.filters).keys().copied().collect();
        for slave in filters {
            cx.cancel(Timer::Filter(framework, slave));
        }
        self.all_freed(cx);
    }

    fn kill_asked(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        task: TaskId,
        slave: SlaveId,
        grace: Option<Millis>,
    ) {
        if task.framework != framework {
            return;
        }
        let kill = Kill { grace, reason: Reason::KilledByFramework };
        let on = self.frameworks.get(&framework).and_then(|state| state.tasks.get(&task.number)).copied();
        match on {
            Some(slave) => self.kill(cx, slave, task, kill),
            None if self.slaves.get(&slave).is_some_and(|state| !state.seen) => {
                self.kill_when_back(slave, task, kill);
            }
            None => self.reconcile_task(cx, framework, task, slave),
        }
    }

    /// Ends what a framework has heard the end of, and a slave still runs: an earlier leader has told it (R8, S9). What a
    /// slave has yet to report is ended when it does.
    fn disown(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        (after, upto): (u32, u32),
        tasks: &[(TaskId, SlaveId)],
    ) {
        let Some(state) = self.frameworks.get_mut(&framework) else {
            return;
        };
        if after <= state.settled {
            state.settled = state.settled.max(upto);
        }
        let alive: Set<u32> = tasks.iter().map(|(task, _)| (task.number, ())).collect();
        let theirs = state.tasks.iter_after(Some(after)).take_while(|(number, _)| **number <= upto);
        let over = theirs.filter(|(number, _)| !alive.contains_key(number));
        let over: Vec<(u32, SlaveId)> = over.map(|(number, slave)| (*number, *slave)).collect();
        for (number, slave) in over {
            self.make_zombie(cx, slave, TaskId { framework, number });
        }
    }

    /// Tells a framework what has become of a task (R15); of one that may still come back, nothing yet.
    pub(super) fn reconcile_task(
        &mut self,
        cx: &mut Cx<'_>,
        framework: FrameworkId,
        task: TaskId,
        slave: SlaveId,
    ) {
        let Some(state) = self.frameworks.get(&framework).filter(|_| task.framework == framework) else {
            return;
        };
        if let Some(Obituary { slave, update, .. }) = state.obituaries.get(&task) {
            return self.tell_update(cx, framework, *slave, update.clone());
        }
        if let Some(&slave) = state.tasks.get(&task.number) {
            let known = self.slaves.get(&slave).and_then(|state| state.tasks.get(&task));
            if let Some(known) = known.filter(|known| known.number > 0 || known.is_unreachable()) {
                self.tell_update(cx, framework, slave, known.as_told(task));
            }
            return;
        }
        let record = self.registry.slaves().get(&slave);
        let aware = self.is_partition_aware(framework);
        let awaited = self.slaves.get_mut(&slave).filter(|state| !state.seen);
        let reason = match (record, awaited) {
            (None, _) => Reason::SlaveRemoved,
            (Some(record), _) if record.unreachable && !aware => Reason::SlaveUnreachable,
            (Some(record), Some(awaited)) => {
                let kept = awaited.ask(task, cx.config.tasks_max as usize);
                if let Some(session) = state.session.filter(|_| !kept) {
                    // Tasks that were dropped unheard may make them more than it may have: it asks again.
                    let detail = "it asks about more tasks than a framework may have; connect again";
                    self.expel(cx, session, CloseCode::Shutdown, detail);
                } else if record.unreachable {
                    self.tell_update(cx, framework, slave, unreachable(task));
                }
                return;
            }
            (Some(_), None) => Reason::Unknown,
        };
        self.tell_update(cx, framework, slave, ended(task, u32::MAX, TaskState::Lost, reason));
    }
}

impl Leader {
    /// A slave that was awaited has come, or is given up: what frameworks wanted to know of it is answered (R15).
    pub(super) fn answer_questions(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let questions = self.slaves.get_mut(&slave).map(|state| core::mem::take(&mut state.questions));
        self.answer_all(cx, slave, questions.unwrap_or_default());
    }

    pub(super) fn answer_all(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        questions: Map<FrameworkId, Set<u32>>,
    ) {
        for (framework, numbers) in &questions {
            for number in numbers.keys() {
                let task = TaskId { framework: *framework, number: *number };
                self.reconcile_task(cx, *framework, task, slave);
            }
        }
    }
}

/// Whether a framework would launch, kill, acknowledge or ask about a task that is not its own: its core never does
/// (DESIGN §6).
fn names_anothers(framework: FrameworkId, message: &FrameworkToMaster) -> bool {
    let anothers = |task: &TaskId| task.framework != framework;
    match message {
        FrameworkToMaster::Accept { tasks, .. } => tasks.iter().any(|spec| anothers(&spec.id)),
        FrameworkToMaster::Kill { task, .. } | FrameworkToMaster::Acknowledge { task, .. } => anothers(task),
        FrameworkToMaster::Reconcile { tasks, .. } => tasks.iter().any(|(task, _)| anothers(task)),
        // What it would rather lose is its scheduler's to say, and only its own counts.
        FrameworkToMaster::AnswerInverse { .. }
        | FrameworkToMaster::Subscribe { .. }
        | FrameworkToMaster::Decline { .. }
        | FrameworkToMaster::Revive
        | FrameworkToMaster::Suppress
        | FrameworkToMaster::Want(_)
        | FrameworkToMaster::Teardown => false,
    }
}

/// Whether a task's description keeps the limits.
fn is_sound(spec: &TaskSpec) -> bool {
    match &spec.run {
        Run::Command(command) => !command.program.is_empty() && command.size() <= COMMAND_SIZE_MAX,
        Run::Executor { number, command, data } => {
            (1..=spec.id.number).contains(number)
                && !command.program.is_empty()
                && command.size() <= COMMAND_SIZE_MAX
                && data.len() <= TASK_DATA_MAX
        }
    }
}
