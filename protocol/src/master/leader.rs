//! A leader's state, the sessions it has, and what follows when a write is durable.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::{DrainId, Epoch, FrameworkId, OfferId, Seq, SessionId, SlaveId, TaskId};
use crate::map::{Map, Records, Set};
use crate::message::{Answer, DrainEnd, Event, MasterToFramework, MasterToOperator, MasterToSlave, Refusal};
use crate::outbox::Outbox;
use crate::registry::{Applied, EndRecord, InverseOfferRecord, Operation, Registry};
use crate::resources::{Resources, Sum};
use crate::shared::Shared;
use crate::text::{Name, Text};
use crate::transport::{CloseCode, Peer, Role};

use super::frameworks::{Framework, Subscription};
use super::slaves::{Forgetting, Registration, Removals, Slave, Unregistration};
use super::tasks::Obituary;
use super::{Config, CountedTask, Effect, Input, Timer, close};

/// A leader. Its registry is what was durable at the last [`Input::Stored`]; the rest is volatile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    pub(super) epoch: Epoch,
    /// Whether its epoch is durable: before that it answers nobody (R29).
    ready: bool,
    pub(super) registry: Shared<Registry>,
    highest_seq: Seq,
    /// Writes that were asked for and are not durable yet, in order.
    pending: VecDeque<Pending>,
    pub(super) sessions: Shared<Map<SessionId, Owner>>,
    /// The newest session of each slave that has not registered in it yet.
    pub(super) greeting: Map<Name, SessionId>,
    pub(super) slaves: Records<SlaveId, Slave>,
    /// Slaves whose admission is being written, by name.
    pub(super) admitting: Records<Name, Registration>,
    pub(super) frameworks: Records<FrameworkId, Framework>,
    pub(super) offers: Map<OfferId, Offer>,
    pub(super) highest_offer: OfferId,
    /// What may have become free to offer; the timer to allocate is set while there is any.
    pub(super) stale: Stale,
    pub(super) removals: Removals,
    /// Operators' sessions that watch, and under which request.
    pub(super) watchers: Map<SessionId, u32>,
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// Its peer has not said yet who it is, or is a slave that waits for the registry.
    Peer(Peer),
    /// A framework whose subscription is being written, or was refused.
    Subscriber,
    Slave(SlaveId),
    Framework(FrameworkId),
}

/// Resources that are lent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Offer {
    pub(super) framework: FrameworkId,
    pub(super) slave: SlaveId,
    pub(super) resources: Resources,
}

/// Which slaves the next allocation has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stale {
    Some(Set<SlaveId>),
    All,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    seq: Seq,
    operation: Operation,
    then: Then,
}

/// Who waits for a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Then {
    Nothing,
    /// An operator.
    Answer {
        session: SessionId,
        request: u32,
        by: Name,
    },
    /// A slave that registers: admitted under the name of the operation, or admitted again.
    Register(Registration),
    /// A slave that leaves.
    Unregister(Unregistration),
    /// A framework that subscribes.
    Subscribe(Subscription),
    /// An operator who says that a slave is dead.
    Forget(Forgetting),
    /// An operator who tears a framework down.
    Teardown {
        session: SessionId,
        request: u32,
        by: Name,
        reason: Text,
    },
}

/// What every handler has at hand besides the state.
pub(super) struct Cx<'a> {
    pub(super) config: &'a Config,
    pub(super) out: &'a mut Outbox<Effect>,
}

impl Cx<'_> {
    pub(super) fn push(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub(super) fn tell_slave(&mut self, session: SessionId, message: MasterToSlave) {
        self.push(Effect::ToSlave { session, message });
    }

    pub(super) fn tell_framework(&mut self, session: SessionId, message: MasterToFramework) {
        self.push(Effect::ToFramework { session, message });
    }

    pub(super) fn answer(&mut self, session: SessionId, request: u32, answer: Result<Answer, Refusal>) {
        let message = MasterToOperator::Answer { request, answer };
        self.push(Effect::ToOperator { session, message });
    }

    /// Ends a session that began before this master led, or that is over for it.
    pub(super) fn unknown(&mut self, session: SessionId) {
        self.push(close(session, CloseCode::Shutdown, "this session is over for the master: connect again"));
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        self.push(Effect::CancelTimer { timer });
    }
}

impl Leader {
    /// Begins to lead: the epoch is written before anyone is answered.
    pub(super) fn begin(epoch: Epoch, registry: Registry, out: &mut Outbox<Effect>) -> Self {
        let mut leader = Self {
            epoch,
            ready: false,
            registry: Shared::new(registry),
            highest_seq: Seq(0),
            pending: VecDeque::new(),
            sessions: Shared::default(),
            greeting: Map::new(),
            slaves: Records::new(),
            admitting: Records::new(),
            frameworks: Records::new(),
            offers: Map::new(),
            highest_offer: OfferId(0),
            stale: Stale::Some(Set::new()),
            removals: Removals::default(),
            watchers: Map::new(),
        };
        leader.append(Operation::Lead { epoch }, Then::Nothing, out);
        leader
    }

    pub(super) fn handle(&mut self, config: &Config, input: Input, out: &mut Outbox<Effect>) {
        let cx = &mut Cx { config, out };
        match input {
            Input::Opened { session, peer } => self.opened(cx, session, peer),
            Input::Closed { session } => self.closed(cx, session),
            Input::Slave { session, message } => self.on_slave(cx, session, message),
            Input::Framework { session, message } => self.on_framework(cx, session, message),
            Input::Operator { session, at, message } => self.on_operator(cx, session, at, message),
            Input::Timer(timer) => self.on_timer(cx, timer),
            Input::Stored { epoch, seq } if epoch == self.epoch => self.stored(cx, seq),
            Input::StoreFailed { epoch, seq, cause } if epoch == self.epoch => {
                self.store_failed(cx, seq, &cause);
            }
            Input::Stored { .. } | Input::StoreFailed { .. } => {}
            // A driver that hands these to a leader is mistaken; the leader's registry is the newer one.
            Input::Elected { .. } | Input::Deposed { .. } | Input::Recovered { .. } => {}
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn leads(&self) -> bool {
        self.ready
    }

    /// Closes every session: this master leads no more.
    pub(super) fn leave(&self, leader: &Text, out: &mut Outbox<Effect>) {
        for session in self.sessions.keys() {
            let detail = match leader.is_empty() {
                true => Text::new("this master leads no more"),
                false => Text::new(&alloc::format!("this master leads no more; {leader} does")),
            };
            out.push(close(*session, CloseCode::Shutdown, detail.as_str()));
        }
    }

    /// Asks for a write. What follows from it is done when it is durable.
    pub(super) fn store(&mut self, cx: &mut Cx<'_>, operation: Operation, then: Then) {
        self.append(operation, then, cx.out);
    }

    /// Whether a drain is over, as an operator cancelled it, once what waits is durable.
    pub(super) fn is_being_cancelled(&self, of: DrainId) -> bool {
        let cancels = |operation: &Operation| matches!(operation, Operation::EndDrain { drain, end: DrainEnd::Cancelled } if *drain == of);
        self.pending.iter().any(|pending| cancels(&pending.operation))
    }

    /// Whether more requests wait for the registry than an operator may add to.
    pub(super) fn overloaded(&self, cx: &Cx<'_>) -> bool {
        self.pending.len() >= cx.config.requests_max
    }

    /// Closes the session of a peer that asks for more writes than the registry takes, for it to ask again once it has
    /// connected anew (S15).
    pub(super) fn turn_away(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        let detail = "too many requests wait for the registry; connect again";
        self.expel(cx, session, CloseCode::Shutdown, detail);
    }

    /// The name of an admitted slave.
    pub(super) fn slave_name(&self, slave: SlaveId) -> Option<&Name> {
        self.registry.slaves().get(&slave).map(|record| &record.name)
    }

    /// Tells everyone who watches, and the node's own log.
    pub(super) fn publish(&self, cx: &mut Cx<'_>, event: Event) {
        for (session, request) in &self.watchers {
            let message = MasterToOperator::Event { request: *request, event: event.clone() };
            cx.push(Effect::ToOperator { session: *session, message });
        }
        cx.push(Effect::Publish(event));
    }

    fn append(&mut self, operation: Operation, then: Then, out: &mut Outbox<Effect>) {
        self.highest_seq = self.highest_seq.next();
        let seq = self.highest_seq;
        out.push(Effect::Store { seq, epoch: self.epoch, operation: operation.clone() });
        self.pending.push_back(Pending { seq, operation, then });
    }

    fn opened(&mut self, cx: &mut Cx<'_>, session: SessionId, peer: Peer) {
        match peer.role {
            Role::Slave => {
                // What an earlier session may still bring was said before this one was dialled: a registration by a
                // slave that has crashed since would deny what it was told after it.
                if let Some(before) = self.greeting.insert(peer.name.clone(), session) {
                    self.replace(cx, before);
                }
                self.sessions.to_mut().insert(session, Owner::Peer(peer));
            }
            Role::Framework | Role::Operator => {
                self.sessions.to_mut().insert(session, Owner::Peer(peer));
            }
            Role::Master | Role::Executor => {
                let detail = "a master takes slaves, frameworks and operators";
                cx.push(close(session, CloseCode::Forbidden, detail));
            }
        }
    }

    fn closed(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        self.watchers.remove(&session);
        match self.sessions.to_mut().remove(&session) {
            Some(Owner::Slave(slave)) => self.slave_disconnected(cx, slave, session),
            Some(Owner::Framework(framework)) => self.framework_disconnected(cx, framework, session),
            Some(Owner::Peer(peer)) if self.greeting.get(&peer.name) == Some(&session) => {
                self.greeting.remove(&peer.name);
            }
            Some(Owner::Peer(_) | Owner::Subscriber) | None => {}
        }
    }

    /// Ends a session from this side; for the state it is as if the peer had ended it.
    pub(super) fn expel(&mut self, cx: &mut Cx<'_>, session: SessionId, code: CloseCode, detail: &str) {
        cx.push(close(session, code, detail));
        self.closed(cx, session);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, timer: Timer) {
        match timer {
            Timer::Lead if !self.ready && self.pending.is_empty() => {
                self.store(cx, Operation::Lead { epoch: self.epoch }, Then::Nothing);
            }
            Timer::Lead => {}
            // It was set when this master led before (R29).
            _ if !self.ready => {}
            Timer::Ping(slave) => self.ping_due(cx, slave),
            Timer::Reregister(slave) => self.overdue(cx, slave),
            Timer::Offer(offer) => self.rescind(cx, &[offer]),
            Timer::Filter(framework, slave) => self.filter_over(cx, framework, slave),
            Timer::Allocate => self.allocate(cx),
            Timer::Failover(framework) => self.failover_over(cx, framework),
            Timer::InverseOffer(id) => self.inverse_deadline(cx, id),
            Timer::DrainBound(drain) => self.drain_bound_over(cx, drain),
            Timer::DrainAcknowledge(drain) => self.drain_acknowledge_over(cx, drain),
            Timer::RemovalWindow => self.removal_window_over(cx),
        }
    }

    /// Applies every write up to `seq`, in order, and does what depended on it.
    fn stored(&mut self, cx: &mut Cx<'_>, seq: Seq) {
        while let Some(pending) = self.pending.front()
            && pending.seq <= seq
        {
            if let Some(Pending { operation, then, .. }) = self.pending.pop_front() {
                let applied = self.registry.to_mut().apply(&operation);
                self.asked(cx, &operation);
                self.follow(cx, operation, then, applied);
            }
        }
    }

    fn follow(
        &mut self,
        cx: &mut Cx<'_>,
        operation: Operation,
        then: Then,
        applied: Result<Applied, Refusal>,
    ) {
        match (operation, then) {
            (Operation::Lead { .. }, _) => self.lead(cx),
            (_, Then::Register(registration)) => self.admitted(cx, registration, applied),
            (_, Then::Unregister(unregistration)) => self.unregistered(cx, unregistration, applied),
            (_, Then::Subscribe(subscription)) => self.subscribed(cx, subscription, applied),
            (_, Then::Forget(forgetting)) => self.forgotten(cx, forgetting, applied),
            (operation, Then::Teardown { session, request, by, reason }) => {
                let answer = self.torn_down(cx, operation, (&by, &reason), applied);
                cx.answer(session, request, answer);
            }
            (Operation::MarkUnreachable { slave }, _) => self.unreachable(cx, slave, applied),
            (Operation::ReadmitSlave { slave, .. }, _) => self.readmitted(cx, slave),
            (Operation::RemoveFramework { framework }, _) => {
                let why = Text::new("it is torn down: subscribe without an id to begin anew");
                self.framework_removed(cx, framework, why, applied);
            }
            (operation, Then::Answer { session, request, by }) => {
                let answer = self.operated(cx, operation, Some(&by), applied);
                cx.answer(session, request, answer);
            }
            (operation, Then::Nothing) => {
                // Nobody waits: a refusal here means that what was asked for is no longer needed.
                let _ = self.operated(cx, operation, None, applied);
            }
        }
    }

    /// Its epoch is durable: it takes up what the registry holds.
    fn lead(&mut self, cx: &mut Cx<'_>) {
        self.ready = true;
        self.publish(cx, Event::Leading(self.epoch));
        let frameworks: Vec<FrameworkId> = self.registry.frameworks().keys().copied().collect();
        for framework in frameworks {
            self.await_framework(framework);
            self.arm_failover(cx, framework);
        }
        let ends: Vec<EndRecord> = self.registry.ends().values().cloned().collect();
        for EndRecord { slave, update, receipt, drain } in ends {
            let TaskId { framework, number } = update.task;
            if let Some(state) = self.frameworks.get_mut(&framework) {
                state.highest_task = state.highest_task.max(number);
            }
            self.mourn(cx, framework, Obituary { slave, update, receipt, drain });
        }
        let slaves: Vec<SlaveId> = self.registry.slaves().keys().copied().collect();
        for slave in slaves {
            self.await_slave(cx, slave);
        }
        self.rearm_deadlines(cx);
    }

    /// The store could not write `seq` and what came after it: whoever waits is told, and nothing has changed.
    fn store_failed(&mut self, cx: &mut Cx<'_>, seq: Seq, cause: &Text) {
        let kept = self.pending.iter().take_while(|pending| pending.seq < seq).count();
        let failed: Vec<Pending> = self.pending.drain(kept..).collect();
        for Pending { operation, then, .. } in failed {
            self.asked(cx, &operation);
            match then {
                Then::Nothing => self.retry_later(cx, operation),
                Then::Answer { session, request, .. } | Then::Teardown { session, request, .. } => {
                    if let Operation::EndDrain { drain, end: DrainEnd::Cancelled } = operation {
                        self.cancel_failed(cx, drain);
                    }
                    cx.answer(session, request, Err(Refusal::Storage(cause.clone())));
                }
                Then::Forget(forgetting) => self.forgetting_failed(cx, &forgetting, cause),
                Then::Register(registration) => self.admission_failed(cx, registration),
                Then::Unregister(unregistration) => self.unregistration_failed(cx, unregistration),
                Then::Subscribe(subscription) => {
                    let detail = alloc::format!("the registry could not be written: {cause}; try again");
                    self.expel(cx, subscription.session, CloseCode::Shutdown, &detail);
                }
            }
        }
    }

    /// A write that nobody waits for is tried again when the timer that led to it is set anew.
    fn retry_later(&mut self, cx: &mut Cx<'_>, operation: Operation) {
        let timer = match operation {
            Operation::MarkUnreachable { slave } => {
                self.lifecycle_over(cx, slave);
                Timer::Ping(slave)
            }
            Operation::RemoveFramework { framework } => {
                self.removal_failed(framework);
                Timer::Failover(framework)
            }
            Operation::ReadmitSlave { slave, .. } => return self.readmission_failed(cx, slave),
            Operation::AdvanceInverseOffer { id, .. } | Operation::CloseInverseOffer { id, .. } => {
                Timer::InverseOffer(id)
            }
            // Its slave may never be seen, and nothing else would end it.
            Operation::EndDrain { drain, end: DrainEnd::Unseen } => Timer::DrainBound(drain),
            Operation::EndDrain { drain, .. }
            | Operation::OpenInverseOffer(InverseOfferRecord { drain: Some(drain), .. }) => {
                Timer::DrainAcknowledge(drain)
            }
            // Nobody is answered before it is written, and nobody else is elected for it (R29).
            Operation::Lead { .. } => Timer::Lead,
            // An answer is said again by a framework that reconnects, and an acknowledgement to the next leader; what an
            // operator asked for is the operator's to ask again.
            Operation::AnswerInverseOffer { .. }
            | Operation::OpenInverseOffer(InverseOfferRecord { drain: None, .. })
            | Operation::AdmitSlave { .. }
            | Operation::RemoveSlave { .. }
            | Operation::ForgetEnd { .. }
            | Operation::PlaceHold { .. }
            | Operation::LiftHolds { .. }
            | Operation::AddFramework(_)
            | Operation::ChangeFramework { .. }
            | Operation::StartDrain(_)
            | Operation::ExtendDrain { .. } => return,
        };
        cx.push(Effect::SetTimer { timer, when: crate::time::When::After(cx.config.ping_timeout) });
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = CountedTask<'_>> {
        self.slaves.iter().flat_map(|(slave, state)| {
            state.tasks.iter().map(|(id, task)| CountedTask {
                slave: *slave,
                id: *id,
                state: task.state,
                resources: &task.resources,
                kill: task.kill.map(|kill| kill.reason),
                dying: task.is_being_killed(),
            })
        })
    }

    pub(super) fn has_buried(&self, task: TaskId) -> bool {
        self.frameworks.get(&task.framework).is_some_and(|known| known.obituaries.contains_key(&task))
    }

    /// What should hold in every state (S8).
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_sessions()?;
        for (id, slave) in self.slaves.iter() {
            let tasks = slave.tasks.values().filter(|task| !task.state.is_terminal()).map(|t| &t.resources);
            let held = tasks.chain(slave.zombies.values());
            let used = Sum::of(held);
            let lent = slave.offers.keys().filter_map(|offer| self.offers.get(offer));
            let offered = Sum::of(lent.map(|offer| &offer.resources));
            if used != slave.used || offered != slave.offered {
                return Err(alloc::format!("{id} counts {:?}/{:?}: {slave:?}", slave.used, slave.offered));
            }
            let mourned = |task: &&TaskId| {
                let framework = self.frameworks.get(&task.framework);
                framework.is_none_or(|framework| !framework.obituaries.contains_key(task))
            };
            if let Some(task) = slave.mourned.keys().find(mourned) {
                return Err(alloc::format!("{id} mourns {task}, and nobody else does"));
            }
            let deactivated = self.registry.slaves().get(id).is_none_or(|r| !r.holds.is_empty());
            if deactivated && !slave.offers.is_empty() {
                return Err(alloc::format!("{id} is deactivated and offered (S4)"));
            }
            if slave.silent && (slave.session.is_none() || !slave.offers.is_empty()) {
                return Err(alloc::format!("{id} is silent, and offered or not connected (R6)"));
            }
        }
        for (id, framework) in self.frameworks.iter() {
            let holds = |task: &u32, slave: &SlaveId| -> Option<&Resources> {
                let task = self.slaves.get(slave)?.tasks.get(&TaskId { framework: *id, number: *task })?;
                (!task.state.is_terminal()).then_some(&task.resources)
            };
            let tasks = framework.tasks.iter().filter_map(|(task, slave)| holds(task, slave));
            let lent = framework.offers.keys().filter_map(|o| self.offers.get(o)).map(|o| &o.resources);
            let sum = Sum::over_slaves(tasks.chain(lent));
            if sum != framework.allocated {
                return Err(alloc::format!("{id} counts {:?}, has {sum:?}", framework.allocated));
            }
        }
        Ok(())
    }

    /// A session is of one slave or one framework, which has no other.
    fn check_sessions(&self) -> Result<(), String> {
        for (name, session) in self.greeting.iter() {
            let owner = self.sessions.get(session);
            let greets = matches!(owner, Some(Owner::Peer(peer)) if peer.name == *name);
            if !greets {
                return Err(alloc::format!("{name} greets on {session}, which is {owner:?}"));
            }
        }
        for (id, slave) in self.slaves.iter() {
            let owner = slave.session.map(|session| self.sessions.get(&session));
            if owner.is_some_and(|owner| owner != Some(&Owner::Slave(*id))) {
                return Err(alloc::format!("{id} has {:?}, which is {owner:?}", slave.session));
            }
        }
        for (id, framework) in self.frameworks.iter() {
            let owner = framework.session.map(|session| self.sessions.get(&session));
            if owner.is_some_and(|owner| owner != Some(&Owner::Framework(*id))) {
                return Err(alloc::format!("{id} has {:?}, which is {owner:?}", framework.session));
            }
        }
        for (session, owner) in self.sessions.iter() {
            let has = match owner {
                Owner::Peer(_) | Owner::Subscriber => continue,
                Owner::Slave(id) => self.slaves.get(id).and_then(|slave| slave.session),
                Owner::Framework(id) => self.frameworks.get(id).and_then(|framework| framework.session),
            };
            if has != Some(*session) {
                return Err(alloc::format!("{session} is of {owner:?}, which has {has:?}"));
            }
        }
        Ok(())
    }
}
