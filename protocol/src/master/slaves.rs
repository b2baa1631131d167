//! Slaves: registration, health, leaving.
//!
//! A slave's lifecycle changes one at a time (R4): while one is being written, the next waits in
//! [`Slave::waiting`]; a later one of the same slave takes the place of one that waits, because it comes from a
//! newer session or says more.

use alloc::vec::Vec;

use crate::ids::{
    BootId, DrainId, Epoch, FrameworkId, Incarnation, InverseOfferId, SessionId, SlaveId, TaskId,
};
use crate::map::{Map, Set};
use crate::message::{
    Answer, DrainEnd, Event, Final, MasterToSlave, ReceiptId, ReceiptLine, Refusal, Refused, SlaveStatus,
    SlaveToMaster, Uncounted,
};
use crate::registry::{
    Applied, DrainRecord, EndRecord, InverseOfferRecord, InverseStage, Operation, SlaveRecord, drain_hold,
    is_true_end,
};
use crate::resources::{Resources, Sum};
use crate::task::{FENCE_AFTER_MIN, Reason, Run, TaskReport, TaskSpec, TaskState, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, When};
use crate::transport::{CloseCode, Role};

use super::leader::{Cx, Leader, Owner, Then};
use super::tasks::{Kill, Obituary, Task, because, ended};
use super::{Effect, Timer};

/// What a leader knows of a slave beside its record in the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slave {
    /// The session on which it is registered.
    pub(super) session: Option<SessionId>,
    /// Whether it has told this leader what runs there.
    pub(super) seen: bool,
    /// Whether what it had was reported Lost, and it has not been back since to have it killed (R8).
    lost: bool,
    /// Whether it is on its way out (R24).
    pub(super) leaving: bool,
    /// Pings sent since the last answer.
    missed: u8,
    /// Whether the time of a ping passed without an answer, and none has come since: it is connected, and nothing is
    /// offered of it (R6, R16).
    pub(super) silent: bool,
    /// Whether its time is over, so that no lease of a task there runs any more (R6, R9).
    over: bool,
    /// What tasks hold that are not over, zombies included.
    pub(super) used: Sum,
    /// What is lent.
    pub(super) offered: Sum,
    pub(super) tasks: Map<TaskId, Task>,
    /// Tasks that were there, whose ends their frameworks have not acknowledged, and that the slave does not keep.
    pub(super) mourned: Set<TaskId>,
    /// Tasks that were reported Lost and may still run: they are killed before the slave is used again (R8).
    pub(super) zombies: Map<TaskId, Resources>,
    pub(super) offers: Map<crate::ids::OfferId, ()>,
    /// Frameworks that are about to be asked for resources of it: until that is written, they must not get more than
    /// what they were held to have.
    pub(super) asking: Set<FrameworkId>,
    /// Tasks that frameworks have asked about, and that only the slave can tell of, which this leader awaits (R15).
    pub(super) questions: Map<FrameworkId, Set<u32>>,
    /// Kills of tasks that the slave has yet to report to this leader (R2).
    pub(super) kills: Map<TaskId, Kill>,
    /// Who was refused its name last, since it registered (R1a).
    rival: Option<Rival>,
    /// Whether a change of its lifecycle is being written (R4).
    writing: bool,
    waiting: Option<Waiting>,
}

/// Another that wants a slave's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Rival {
    incarnation: Incarnation,
    boot: BootId,
    /// Whether the slave has answered since.
    answered: bool,
}

/// What comes of a registration under a name that a slave has (R1a).
enum Claim {
    /// It is that slave.
    Its,
    /// It is another, or a copy, and that slave may live.
    Taken,
    /// It is another, and that slave is given up.
    Free,
}

/// A slave that registers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Registration {
    session: SessionId,
    id: Option<SlaveId>,
    name: Name,
    incarnation: Incarnation,
    boot: BootId,
    contested: bool,
    resources: Resources,
    address: Text,
    tasks: Vec<TaskReport>,
    leaving: bool,
}

/// A slave that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unregistration {
    slave: SlaveId,
    session: SessionId,
    finals: Vec<Final>,
}

/// A slave of which an operator says that it is dead, and who waits for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Forgetting {
    pub(super) slave: SlaveId,
    pub(super) session: SessionId,
    pub(super) request: u32,
    pub(super) by: Name,
    pub(super) reason: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Waiting {
    Register(Registration),
    Unregister(Unregistration),
    /// It is back, and is to be used again once nothing is left of what was Lost (R8).
    Return {
        boot: BootId,
        address: Text,
        resources: Resources,
    },
}

/// What a removal took out of the registry.
struct Removed {
    record: SlaveRecord,
    drain: Option<(DrainId, DrainRecord)>,
    closed: Vec<(InverseOfferId, InverseOfferRecord)>,
    ends: Vec<TaskId>,
}

/// How many slaves are given up, and whether that is halted (R7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Removals {
    /// How many were, within this window.
    taken: u32,
    /// Slaves whose time is over, and that were not given up yet.
    overdue: Set<SlaveId>,
    pub(super) halted: bool,
}

impl Slave {
    /// Whether what it is told reaches it, as far as is known.
    pub(super) fn is_in_reach(&self) -> bool {
        self.session.is_some() && !self.silent
    }

    /// Keeps a question about a task until the slave has come, or is given up; false if its framework has too many.
    pub(super) fn ask(&mut self, task: TaskId, max: usize) -> bool {
        if !self.questions.contains_key(&task.framework) {
            self.questions.insert(task.framework, Set::new());
        }
        let Some(asked) = self.questions.get_mut(&task.framework) else {
            return false;
        };
        if asked.len() < max {
            asked.insert(task.number, ());
        }
        asked.contains_key(&task.number)
    }
}

impl Leader {
    pub(super) fn on_slave(&mut self, cx: &mut Cx<'_>, session: SessionId, message: SlaveToMaster) {
        let (slave, message) = match (self.sessions.get(&session), message) {
            (None, _) => return cx.unknown(session),
            (
                Some(Owner::Peer(peer)),
                SlaveToMaster::Register {
                    id,
                    incarnation,
                    boot,
                    contested,
                    epoch,
                    resources,
                    address,
                    tasks,
                    leaving,
                },
            ) if peer.role == Role::Slave => {
                let name = peer.name.clone();
                self.greeting.remove(&name);
                let registration = Registration {
                    session,
                    id,
                    name,
                    incarnation,
                    boot,
                    contested,
                    resources,
                    address,
                    tasks,
                    leaving,
                };
                return self.register(cx, epoch, registration);
            }
            (Some(Owner::Slave(slave)), message) => (*slave, message),
            (Some(Owner::Peer(_) | Owner::Subscriber | Owner::Framework(_)), _) => {
                let detail = "a slave's certificate and a registration come before anything else";
                return self.expel(cx, session, CloseCode::Misbehaved, detail);
            }
        };
        match message {
            SlaveToMaster::Register { .. } => {
                self.expel(cx, session, CloseCode::Misbehaved, "one registration a session");
            }
            SlaveToMaster::Update { update, ending } => self.on_update(cx, slave, session, update, ending),
            SlaveToMaster::Pong => self.pong(cx, slave),
            SlaveToMaster::Renew { task, turn } => self.renew(cx, slave, session, task, turn),
            SlaveToMaster::Leaving => self.leaving(cx, slave),
            SlaveToMaster::Unregister { finals } => {
                self.unregister(cx, Unregistration { slave, session, finals });
            }
        }
    }

    /// A host that the registry knows and this leader has not heard of yet.
    pub(super) fn await_slave(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(record) = self.registry.slaves().get(&slave) else {
            return;
        };
        self.slaves.insert(slave, Slave { lost: record.unreachable, ..Slave::default() });
        // One that is unreachable was perhaps coming back: what it may have told the leader before is not known.
        let when = When::After(cx.config.reregister_timeout);
        cx.push(Effect::SetTimer { timer: Timer::Reregister(slave), when });
    }

    fn register(&mut self, cx: &mut Cx<'_>, epoch: Epoch, registration: Registration) {
        let named = self.registry.slave_named(&registration.name);
        let refused = match registration.id {
            _ if !self.leads() || epoch > self.epoch => Some(Refused::NotLeading { leader: Text::EMPTY }),
            _ if !coherent(&registration) => Some(Refused::Invalid(Text::new(
                "a task of it is listed twice: start the slave without its checkpoint",
            ))),
            _ if !fits_a_machine(&registration.resources) => Some(Refused::Invalid(Text::new(
                "no machine has as much as it says that it has: start the slave with at most 1000000 cpus, 1024P of \
                 memory and 1024P of disk",
            ))),
            _ if !fits_a_machine(&runs(&registration)) => Some(Refused::Invalid(Text::new(
                "no machine runs as much as it says that it runs: start the slave without its checkpoint",
            ))),
            Some(id) if self.registry.slaves().get(&id).is_some_and(|r| r.name != registration.name) => {
                Some(Refused::NotYours)
            }
            // An id that was never given comes from another cluster's checkpoint: it ends as one that was removed.
            Some(id) if named != Some(id) => Some(Refused::Removed),
            Some(_) | None => None,
        };
        if let Some(refused) = refused {
            cx.tell_slave(registration.session, MasterToSlave::Refused(refused));
            return;
        }
        match named {
            Some(slave) => match self.claim(slave, &registration) {
                Claim::Its => self.register_known(cx, slave, registration),
                Claim::Taken => self.taken(cx, slave, registration),
                Claim::Free => self.supersede(cx, slave, registration),
            },
            None => self.admit(cx, registration),
        }
    }

    /// Whether a registration is of the slave that has its name (R1a).
    ///
    /// A slave that was started again on its machine is let in at once: two of one data directory do not run on one. One of
    /// another machine has been started again with it, or is a copy: who has the name has a session for a little longer, or
    /// has one and answers.
    fn claim(&self, slave: SlaveId, registration: &Registration) -> Claim {
        let (Some(record), Some(state)) = (self.registry.slaves().get(&slave), self.slaves.get(&slave))
        else {
            return Claim::Taken;
        };
        let own = record.incarnation == registration.incarnation;
        match own {
            true if record.boot == registration.boot => Claim::Its,
            true if state.session.is_some() => Claim::Taken,
            true if registration.contested && !record.unreachable => Claim::Taken,
            true => Claim::Its,
            // One that is back ends what was Lost before it is used again: it lives.
            false if record.unreachable && state.session.is_none() && !state.writing => Claim::Free,
            false => Claim::Taken,
        }
    }

    /// Refuses one that wants the name of a slave that may live, and asks that slave whether it does.
    fn taken(&mut self, cx: &mut Cx<'_>, slave: SlaveId, registration: Registration) {
        let Registration { session, incarnation, boot, address: from, .. } = registration;
        let Some((name, address)) =
            self.registry.slaves().get(&slave).map(|record| (record.name.clone(), record.address.clone()))
        else {
            return;
        };
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        let known =
            state.rival.as_ref().filter(|rival| (rival.incarnation, rival.boot) == (incarnation, boot));
        let (news, lives) = (known.is_none(), known.is_some_and(|rival| rival.answered));
        let there = state.session;
        state.rival = Some(Rival { incarnation, boot, answered: false });
        if let Some(there) = there {
            cx.tell_slave(there, MasterToSlave::Ping);
        }
        let lives = lives && there.is_some();
        let refused = Refused::NameTaken { address: address.clone(), lives };
        cx.tell_slave(session, MasterToSlave::Refused(refused));
        if news {
            self.publish(cx, Event::NameTaken { slave, name, address, from });
        }
    }

    /// A slave that was given up makes room for another of its name, which is a new slave (R1a, R27). What it had is
    /// resolved first: should it come back, it ends all of it (R3).
    fn supersede(&mut self, cx: &mut Cx<'_>, slave: SlaveId, registration: Registration) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.writing = true;
            let ends = self.true_ends(slave, &[]);
            self.store(cx, Operation::RemoveSlave { slave, ends }, Then::Supersede(registration));
        }
    }

    /// The removal of the slave whose place another takes is durable.
    pub(super) fn superseded(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        registration: Registration,
        applied: Result<Applied, Refusal>,
    ) {
        if let Ok(Applied::Removed { record, drain, closed, ends }) = applied {
            let name = record.name.clone();
            let opened = ReceiptLine::Opened {
                slave,
                name: name.clone(),
                by: name.clone(),
                reason: Text::new("it was given up, and another slave with its name takes its place"),
                deadline: None,
                drain: None,
            };
            self.open_removal(cx, slave, opened);
            let receipt = Some(ReceiptId::Unregistration(slave));
            self.bury_all(cx, slave, &record, (Reason::SlaveRemoved, None), receipt);
            let mut state = self.removed(cx, slave, Removed { record, drain, closed, ends });
            self.publish(cx, Event::SlaveSuperseded { slave, name });
            self.answer_all(cx, slave, core::mem::take(&mut state.questions));
            self.after_removal(cx, state);
        }
        self.register(cx, self.epoch, registration);
    }

    /// It could not be written: whoever wants the name is to try again.
    pub(super) fn supersession_failed(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        registration: Registration,
    ) {
        let detail = "the registry could not be written; try again";
        self.expel(cx, registration.session, CloseCode::Shutdown, detail);
        self.lifecycle_over(cx, slave);
    }

    fn admit(&mut self, cx: &mut Cx<'_>, registration: Registration) {
        let before = self.admitting.get(&registration.name);
        if let Some(before) = before
            && (before.incarnation, before.boot) != (registration.incarnation, registration.boot)
        {
            let refused = Refused::NameTaken { address: before.address.clone(), lives: false };
            return cx.tell_slave(registration.session, MasterToSlave::Refused(refused));
        }
        let operation = Operation::AdmitSlave {
            name: registration.name.clone(),
            incarnation: registration.incarnation,
            boot: registration.boot,
            address: registration.address.clone(),
            resources: registration.resources.clone(),
        };
        // A repeated request rides on the first one's write, and gets its answer (R1).
        match self.admitting.get(&registration.name).map(|before| before.session) {
            Some(before) => self.replace(cx, before),
            None => self.store(cx, operation, Then::Register(registration.clone())),
        }
        self.admitting.insert(registration.name.clone(), registration);
    }

    fn register_known(&mut self, cx: &mut Cx<'_>, slave: SlaveId, registration: Registration) {
        let Some(record) = self.registry.slaves().get(&slave) else {
            return;
        };
        let unchanged = record.address == registration.address
            && record.resources == registration.resources
            && record.boot == registration.boot;
        let unreachable = record.unreachable;
        // What was Lost is to be gone first; what may come back is not Lost.
        let was_lost = |task: &TaskReport| !self.is_partition_aware(task.id.framework);
        let lost = unreachable && registration.tasks.iter().any(was_lost);
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if state.writing {
            if let Some(Waiting::Register(before)) = state.waiting.replace(Waiting::Register(registration)) {
                self.replace(cx, before.session);
            }
            return;
        }
        state.waiting = None;
        if lost {
            let Registration { boot, address, resources, .. } = &registration;
            let (boot, address, resources) = (*boot, address.clone(), resources.clone());
            state.waiting = Some(Waiting::Return { boot, address, resources });
            return self.registered(cx, slave, registration, false);
        }
        if unchanged && !unreachable {
            return self.registered(cx, slave, registration, false);
        }
        state.writing = true;
        let operation = Operation::ReadmitSlave {
            slave,
            boot: registration.boot,
            address: registration.address.clone(),
            resources: registration.resources.clone(),
        };
        self.store(cx, operation, Then::Register(registration));
    }

    /// The admission of a slave is durable.
    pub(super) fn admitted(
        &mut self,
        cx: &mut Cx<'_>,
        registration: Registration,
        applied: Result<Applied, Refusal>,
    ) {
        let Ok(Applied::Slave { id, changed }) = applied else {
            cx.tell_slave(registration.session, MasterToSlave::Refused(Refused::Removed));
            return;
        };
        let registration = self.admitting.remove(&registration.name).unwrap_or(registration);
        if changed {
            self.slaves.insert(id, Slave::default());
        }
        self.registered(cx, id, registration, changed);
        self.lifecycle_over(cx, id);
    }

    /// The write of an admission failed: the slave is to try again.
    pub(super) fn admission_failed(&mut self, cx: &mut Cx<'_>, registration: Registration) {
        let latest = self.admitting.remove(&registration.name).unwrap_or(registration);
        let detail = "the registry could not be written; try again";
        self.expel(cx, latest.session, CloseCode::Shutdown, detail);
        if let Some(slave) = self.registry.slave_named(&latest.name) {
            self.lifecycle_over(cx, slave);
        }
    }

    /// A change of a slave's lifecycle is written: the next may begin (R4).
    pub(super) fn lifecycle_over(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        state.writing = false;
        match state.waiting.take() {
            // What was so when it came may have changed (R1a).
            Some(Waiting::Register(registration)) => self.register(cx, self.epoch, registration),
            // A newer session has registered since: what was said on an older one is not its word (R2).
            Some(Waiting::Unregister(late)) if state.session.is_some_and(|newer| newer != late.session) => {}
            Some(Waiting::Unregister(unregistration)) => self.unregister(cx, unregistration),
            Some(returns @ Waiting::Return { .. }) => {
                state.waiting = Some(returns);
                self.readmit(cx, slave);
            }
            None => {}
        }
    }

    /// Writes that a slave is back, once nothing is left of what was Lost (R8). Should this leader fail before, the next
    /// one finds the slave unreachable, and knows by that what to kill.
    fn readmit(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let clean =
            |state: &&mut Slave| !state.writing && state.session.is_some() && state.zombies.is_empty();
        let Some(state) = self.slaves.get_mut(&slave).filter(clean) else {
            return;
        };
        if let Some(Waiting::Return { boot, address, resources }) = &state.waiting {
            let (boot, address, resources) = (*boot, address.clone(), resources.clone());
            let operation = Operation::ReadmitSlave { slave, boot, address, resources };
            (state.waiting, state.writing) = (None, true);
            self.store(cx, operation, Then::Nothing);
        }
    }

    /// A slave that registered while it was unreachable is used again, durably.
    pub(super) fn readmitted(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.lost = false;
            self.ping(cx, slave, 0);
            self.freed(cx, slave);
        }
        self.lifecycle_over(cx, slave);
    }

    /// It could not be written: the slave is to register again.
    pub(super) fn readmission_failed(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        if let Some(session) = self.slaves.get(&slave).and_then(|state| state.session) {
            let detail = "the registry could not be written; try again";
            self.expel(cx, session, CloseCode::Shutdown, detail);
        }
        self.lifecycle_over(cx, slave);
    }

    /// The slave is admitted, and takes up work on this session (R2).
    fn registered(&mut self, cx: &mut Cx<'_>, slave: SlaveId, registration: Registration, new: bool) {
        let Registration { session, tasks, leaving, .. } = registration;
        let there = self.sessions.contains_key(&session);
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if !there {
            // It has gone while it was written down, and was not heard: it comes back, or its health check ends it.
            state.over = false;
            if state.session.is_none() {
                cx.cancel(Timer::Reregister(slave));
                self.ping(cx, slave, 0);
            }
            return;
        }
        let before = state.session.replace(session);
        (state.leaving, state.rival) = (leaving, None);
        (state.silent, state.over) = (false, false);
        self.sessions.to_mut().insert(session, Owner::Slave(slave));
        if let Some(before) = before.filter(|before| *before != session) {
            self.replace(cx, before);
            self.rescind_slave(cx, slave, None);
        }
        cx.cancel(Timer::Reregister(slave));
        if self.removals.overdue.remove(&slave).is_some() {
            self.resume_if_few(cx);
        }
        cx.tell_slave(session, MasterToSlave::Registered { id: slave, epoch: self.epoch });
        if let Some(name) = self.slave_name(slave).cloned() {
            self.publish(cx, Event::SlaveRegistered { slave, name, new });
        }
        self.reconcile_slave(cx, slave, session, tasks);
        self.send_again(cx, slave, session);
        self.ping(cx, slave, 0);
        self.freed(cx, slave);
        self.readmit(cx, slave);
    }

    /// Brings what the slave says and what this leader knows together (R2).
    fn reconcile_slave(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        session: SessionId,
        reports: Vec<TaskReport>,
    ) {
        let reported: Set<TaskId> = reports.iter().map(|report| (report.id, ())).collect();
        let Some(record) = self.registry.slaves().get(&slave).cloned() else { return };
        let missing: Vec<(TaskId, Task)> = self.slaves.get(&slave).map_or_else(Vec::new, |state| {
            let missing = state.tasks.iter().filter(|(id, _)| !reported.contains_key(id));
            missing.map(|(id, task)| (*id, task.clone())).collect()
        });
        for (id, task) in missing {
            let update = if task.state.is_terminal() {
                ended(id, task.number, task.state, task.reason)
            } else if task.number == 0 {
                ended(id, u32::MAX, TaskState::Dropped, Reason::SlaveForgot)
            } else {
                ended(id, u32::MAX, TaskState::Lost, Reason::SlaveForgot)
            };
            self.bury(cx, slave, &record, update, None, None);
        }
        self.drop_zombies(slave, &reported);
        for report in reports {
            self.adopt(cx, slave, session, report);
        }
        if let Some(state) = self.slaves.get_mut(&slave) {
            (state.seen, state.lost) = (true, record.unreachable);
        }
        self.answer_questions(cx, slave);
    }

    /// A zombie that the slave does not report any more is dead.
    fn drop_zombies(&mut self, slave: SlaveId, reported: &Set<TaskId>) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        let mut used = core::mem::take(&mut state.used);
        state.zombies.retain(|id, held| {
            let kept = reported.contains_key(id);
            if !kept {
                used.take_out(held);
            }
            kept
        });
        state.used = used;
    }

    /// Takes a task that a slave reports: as it is, or as one that must not live.
    fn adopt(&mut self, cx: &mut Cx<'_>, slave: SlaveId, session: SessionId, mut report: TaskReport) {
        let id = report.id;
        let aware = self.is_partition_aware(id.framework);
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if state.tasks.contains_key(&id) {
            return self.see_again(cx, slave, &report);
        }
        // A port is held once, whatever a slave says: it would be given back twice (S8).
        report.resources.ports = report.resources.ports.without(&state.used.ports);
        let known = self.frameworks.get(&id.framework);
        let buried = known.is_some_and(|framework| framework.obituaries.contains_key(&id));
        // A task is on one slave: the second that claims it is mistaken, or lies.
        let elsewhere = known.is_some_and(|framework| framework.tasks.contains_key(&id.number));
        // Such a kill is of one that was told Lost, whether this leader remembers it or not.
        let told = report.state.is_terminal() && report.reason == Reason::SlaveUnreachable;
        let lost = state.lost && !aware;
        // What it did not report before, and was not sent since, was told Lost then.
        let forgotten = state.seen && !report.state.is_terminal();
        let asked = state.questions.get(&id.framework).is_some_and(|asked| asked.contains_key(&id.number));
        let settled = known.is_some_and(|framework| id.number <= framework.settled) && !asked;
        let over = settled && !report.state.is_terminal();
        let lives = known.is_some() && !(lost || forgotten || over || buried || elsewhere || told);
        if lives && !state.zombies.contains_key(&id) {
            let kill = state.kills.remove(&id);
            self.count_in(slave, id, Task { kill, ..Task::reported(&report) });
            return;
        }
        // One that is over holds nothing, and is kept all the same until the slave has forgotten it: should it
        // register again before, its end would be news (S9).
        let over = report.state.is_terminal();
        if !state.zombies.contains_key(&id) {
            let held = if over { Resources::NONE } else { report.resources.clone() };
            state.used.put_in(&held);
            state.zombies.insert(id, held);
        }
        if over {
            return;
        }
        let reason = match known {
            None => Reason::FrameworkRemoved,
            Some(_) if elsewhere => Reason::Unknown,
            Some(_) => Reason::SlaveUnreachable,
        };
        cx.tell_slave(session, MasterToSlave::Kill { task: id, grace: None, reason });
    }

    /// What was decided while the slave was away (R2): kills, revocations, what its drain asks for.
    fn send_again(&mut self, cx: &mut Cx<'_>, slave: SlaveId, session: SessionId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        state.kills = Map::new();
        for (task, known) in &state.tasks {
            if let Some(Kill { grace, reason }) = known.kill.filter(|_| !known.state.is_terminal()) {
                cx.tell_slave(session, MasterToSlave::Kill { task: *task, grace, reason });
            }
        }
        self.resume_inverse_offers(cx, slave);
        self.tell_to_leave(cx, slave);
    }

    /// A zombie ended; the last one frees its slave.
    pub(super) fn zombie_over(&mut self, cx: &mut Cx<'_>, slave: SlaveId, task: TaskId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if let Some(held) = state.zombies.remove(&task) {
            state.used.take_out(&held);
        }
        self.freed(cx, slave);
        self.check_drained(cx, slave);
        self.readmit(cx, slave);
    }

    pub(super) fn slave_disconnected(&mut self, cx: &mut Cx<'_>, slave: SlaveId, session: SessionId) {
        let Some(state) = self.slaves.get_mut(&slave).filter(|state| state.session == Some(session)) else {
            return;
        };
        state.session = None;
        state.silent = false;
        self.rescind_slave(cx, slave, None);
        if let Some(name) = self.slave_name(slave).cloned() {
            self.publish(cx, Event::SlaveDisconnected { slave, name });
        }
    }

    /// Ends a session in whose place a newer one of the same slave came.
    pub(super) fn replace(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        self.sessions.to_mut().remove(&session);
        cx.push(super::close(session, CloseCode::Replaced, "a newer session of the same slave registered"));
    }

    fn ping(&mut self, cx: &mut Cx<'_>, slave: SlaveId, missed: u8) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        state.missed = missed.saturating_add(1);
        if let Some(session) = state.session {
            cx.tell_slave(session, MasterToSlave::Ping);
        }
        let when = When::After(cx.config.ping_timeout);
        cx.push(Effect::SetTimer { timer: Timer::Ping(slave), when });
    }

    fn pong(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        (state.missed, state.over) = (0, false);
        if let Some(rival) = &mut state.rival {
            rival.answered = true;
        }
        if core::mem::take(&mut state.silent) {
            if let Some(name) = self.slave_name(slave).cloned() {
                self.publish(cx, Event::SlaveAnswers { slave, name });
            }
            self.freed(cx, slave);
        }
        if self.removals.overdue.remove(&slave).is_some() {
            self.ping(cx, slave, 0);
            self.resume_if_few(cx);
        }
    }

    /// The executor of a fenced task asks for a lease (R9). It gets one while its task is counted as living, and its slave is
    /// not being given up: whoever is told that the task is Lost has been told after the last lease was over, because
    /// the health check takes twice as long (see [`Leader::may_fence`]), and begins anew with each request.
    fn renew(&mut self, cx: &mut Cx<'_>, slave: SlaveId, session: SessionId, task: TaskId, turn: bool) {
        self.pong(cx, slave);
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        let lives = state.tasks.get(&task).is_some_and(|task| !task.state.is_terminal());
        if lives && !state.writing {
            cx.tell_slave(session, MasterToSlave::Renewed { task, turn });
        }
    }

    /// Whether a task can be fenced as it asks (R9). Half of the health check leaves as much again for what is slow: its end,
    /// once the lease is over.
    pub(super) fn may_fence(cx: &Cx<'_>, spec: &TaskSpec) -> bool {
        let most = Self::fence_most(cx);
        match (spec.fence_after, &spec.run) {
            (Some(after), Run::Command(_)) => (FENCE_AFTER_MIN..=most).contains(&after),
            (Some(_), Run::Executor { .. }) => false,
            (None, _) => true,
        }
    }

    /// The longest that a task may ask to be fenced after.
    pub(super) fn fence_most(cx: &Cx<'_>) -> Millis {
        Millis(cx.config.health_timeout().min(cx.config.reregister_timeout).0 / 2)
    }

    pub(super) fn ping_due(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(missed) = self.slaves.get(&slave).map(|state| state.missed) else {
            return;
        };
        if missed > 0 {
            self.fell_silent(cx, slave);
        }
        match missed >= cx.config.ping_timeouts_max {
            true => self.overdue(cx, slave),
            false => self.ping(cx, slave, missed),
        }
    }

    /// A ping was not answered in its time: until one is, nothing is offered of the slave, and nothing launched there. What
    /// was would wait for as long as it is silent, which can be long where removals are halted (R6, R7, R16).
    fn fell_silent(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let fell = |state: &&mut Slave| state.session.is_some() && !state.silent;
        let Some(state) = self.slaves.get_mut(&slave).filter(fell) else {
            return;
        };
        state.silent = true;
        self.rescind_slave(cx, slave, None);
        if let Some(name) = self.slave_name(slave).cloned() {
            self.publish(cx, Event::SlaveSilent { slave, name });
        }
    }

    /// A slave's time is over (R6); whether it is given up depends on how many others are (R7).
    pub(super) fn overdue(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.over = true;
        }
        match self.registry.slaves().get(&slave).map(|record| record.unreachable) {
            None => return,
            Some(true) => return self.away_again(cx, slave),
            Some(false) => {}
        }
        let told = self.removals.halted;
        let more = self.removals.overdue.insert(slave, ()).is_none();
        self.resume_if_few(cx);
        // How many are silent is said again when it is more: the first number would not stay true.
        if told && more && self.removals.halted {
            self.say_halted(cx);
        }
    }

    fn say_halted(&mut self, cx: &mut Cx<'_>) {
        let (silent, taken) = (self.removals.overdue.len() as u32, self.removals.taken);
        let of = self.registry.slaves().len() as u32;
        self.publish(cx, Event::RemovalsHalted { silent: silent.saturating_add(taken), of });
    }

    /// A slave that was given up was back, and is silent again before it was used: what it has told of is out of reach again
    /// (R6, R8). What was Lost there is so already.
    fn away_again(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        state.silent = false;
        if let Some(session) = state.session.take() {
            self.sessions.to_mut().remove(&session);
            let detail = "it did not answer the health check; register again";
            cx.push(super::close(session, CloseCode::Shutdown, detail));
        }
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        let live = state.tasks.iter().filter(|(_, task)| !task.state.is_terminal()).map(|(id, _)| *id);
        for id in live.collect::<Vec<TaskId>>() {
            self.lose_sight(cx, slave, id);
        }
    }

    /// Gives up the slaves whose time is over, unless they are more than the set share of the cluster.
    fn resume_if_few(&mut self, cx: &mut Cx<'_>) {
        let of = self.registry.slaves().len() as u64;
        let share = of * u64::from(cx.config.removal_share) / 1000;
        let silent = self.removals.overdue.len() as u64;
        let may = share.max(u64::from(cx.config.removals_min));
        if silent + u64::from(self.removals.taken) <= may {
            if core::mem::take(&mut self.removals.halted) {
                self.publish(cx, Event::RemovalsResumed);
            }
            self.give_up(cx);
        } else if !core::mem::replace(&mut self.removals.halted, true) {
            self.say_halted(cx);
        }
    }

    /// Gives up every slave whose time is over; the command of an operator (R7), or few enough.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>) {
        let overdue = core::mem::take(&mut self.removals.overdue);
        for slave in overdue.keys().copied() {
            let Some(state) = self.slaves.get_mut(&slave) else {
                continue;
            };
            if state.writing {
                // It registers or leaves: should that come to nothing, its time is over all the same (R4).
                let when = When::After(cx.config.ping_timeout);
                cx.push(Effect::SetTimer { timer: Timer::Ping(slave), when });
                continue;
            }
            state.writing = true;
            self.store(cx, Operation::MarkUnreachable { slave }, Then::Nothing);
            self.removals.taken = self.removals.taken.saturating_add(1);
            if self.removals.taken == 1 {
                let when = When::After(cx.config.removal_window);
                cx.push(Effect::SetTimer { timer: Timer::RemovalWindow, when });
            }
        }
    }

    pub(super) fn removal_window_over(&mut self, cx: &mut Cx<'_>) {
        self.removals.taken = 0;
        self.resume_if_few(cx);
    }

    /// A slave is given up, durably (R6): its session is closed, its offers are rescinded, its tasks are Lost, or
    /// Unreachable to frameworks that are aware of that.
    pub(super) fn unreachable(&mut self, cx: &mut Cx<'_>, slave: SlaveId, applied: Result<Applied, Refusal>) {
        if applied == Ok(Applied::Done { changed: true }) {
            self.rescind_slave(cx, slave, None);
            if let Some(session) = self.slaves.get_mut(&slave).and_then(|state| state.session.take()) {
                self.sessions.to_mut().remove(&session);
                let detail = "it did not answer the health check; register again";
                cx.push(super::close(session, CloseCode::Shutdown, detail));
            }
            cx.cancel(Timer::Ping(slave));
            if let Some(state) = self.slaves.get_mut(&slave) {
                (state.lost, state.silent, state.over) = (true, false, true);
            }
            if let Some(name) = self.slave_name(slave).cloned() {
                self.publish(cx, Event::SlaveUnreachable { slave, name });
            }
            if let Some(record) = self.registry.slaves().get(&slave).cloned() {
                self.bury_all(cx, slave, &record, (Reason::SlaveUnreachable, None), None);
            }
            self.answer_questions(cx, slave);
            self.void_revocations(cx, slave);
        }
        self.lifecycle_over(cx, slave);
    }

    /// Every task of a slave is Lost, but for those whose end is known, and those that may come back (R6).
    fn bury_all(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        record: &SlaveRecord,
        (reason, message): (Reason, Option<&Text>),
        receipt: Option<ReceiptId>,
    ) {
        let Some(state) = self.slaves.get(&slave) else {
            return;
        };
        let tasks: Vec<(TaskId, u32, TaskState, Reason)> =
            state.tasks.iter().map(|(id, task)| (*id, task.number, task.state, task.reason)).collect();
        for (id, number, state, known) in tasks {
            if !state.is_terminal()
                && reason == Reason::SlaveUnreachable
                && self.is_partition_aware(id.framework)
            {
                self.lose_sight(cx, slave, id);
                continue;
            }
            let update = match state.is_terminal() {
                true => ended(id, number, state, known),
                false => {
                    let lost = ended(id, u32::MAX, TaskState::Lost, reason);
                    Update { message: message.cloned().unwrap_or_else(|| lost.message.clone()), ..lost }
                }
            };
            self.bury(cx, slave, record, update, None, receipt);
        }
        if let Some(state) = self.slaves.get_mut(&slave) {
            for held in core::mem::take(&mut state.zombies).values() {
                state.used.take_out(held);
            }
        }
    }

    fn void_revocations(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(record) = self.registry.slaves().get(&slave) else {
            return;
        };
        // What may come back is revoked then (R19).
        let revoking = |id: &InverseOfferId| {
            self.registry.inverse_offers().get(id).is_some_and(|io| {
                io.stage == InverseStage::Revoking && !self.is_partition_aware(io.framework)
            })
        };
        let void: Vec<_> = record.inverse_offers.keys().copied().filter(|id| revoking(id)).collect();
        for id in void {
            let outcome = crate::message::InverseOutcome::Void;
            self.store(cx, Operation::CloseInverseOffer { id, outcome }, Then::Nothing);
        }
    }

    /// A slave refuses launches from here on (R24): it is not offered any more.
    fn leaving(&mut self, cx: &mut Cx<'_>, slave: SlaveId) {
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if core::mem::replace(&mut state.leaving, true) {
            return;
        }
        self.rescind_slave(cx, slave, None);
        if let Some(name) = self.slave_name(slave).cloned() {
            self.publish(cx, Event::SlaveLeaving { slave, name });
        }
    }

    /// A slave leaves for good (R25); what it says of its tasks is the last that is said.
    fn unregister(&mut self, cx: &mut Cx<'_>, unregistration: Unregistration) {
        let slave = unregistration.slave;
        self.leaving(cx, slave);
        let Some(state) = self.slaves.get_mut(&slave) else {
            return;
        };
        if state.writing {
            if let Some(Waiting::Register(before)) =
                state.waiting.replace(Waiting::Unregister(unregistration))
            {
                self.replace(cx, before.session);
            }
            return;
        }
        state.writing = true;
        let ends = self.true_ends(slave, &unregistration.finals);
        self.store(cx, Operation::RemoveSlave { slave, ends }, Then::Unregister(unregistration));
    }

    /// What nobody else will know of a slave's tasks once it is gone, and what their frameworks are told: of those that were
    /// over, those that are by its last words, and those that it does not keep any more.
    fn true_ends(&self, slave: SlaveId, finals: &[Final]) -> Vec<EndRecord> {
        let Some(state) = self.slaves.get(&slave) else {
            return Vec::new();
        };
        let unregistration = ReceiptId::Unregistration(slave);
        let over = state.tasks.iter().filter(|(_, task)| task.state.is_terminal()).map(|(id, task)| {
            let receipt = task.receipt.unwrap_or(unregistration);
            (ended(*id, task.number, task.state, task.reason), Some(receipt), None)
        });
        let drain = self.registry.slaves().get(&slave).and_then(|record| record.drain);
        let lives = |id| state.tasks.get(id).is_some_and(|task| !task.state.is_terminal());
        let said = finals.iter().map(|last| &last.update).filter(|update| lives(&update.task));
        let said = said.map(|update| (update.clone(), Some(unregistration), drain));
        let mourned = state.mourned.keys().filter_map(|task| {
            let framework = self.frameworks.get(&task.framework)?;
            let obituary = framework.obituaries.get(task)?;
            Some((obituary.update.clone(), obituary.receipt, obituary.drain))
        });
        let ends = over.chain(said).chain(mourned).filter(|(update, ..)| is_true_end(update));
        ends.map(|(update, receipt, drain)| EndRecord { slave, update, receipt, drain }).collect()
    }

    /// The removal is durable (R25): frameworks are told at once, then the slave, which may go.
    pub(super) fn unregistered(
        &mut self,
        cx: &mut Cx<'_>,
        unregistration: Unregistration,
        applied: Result<Applied, Refusal>,
    ) {
        let Unregistration { slave, session, finals } = unregistration;
        if let Ok(Applied::Removed { record, drain, closed, ends }) = applied {
            let (name, by, reason) = (record.name.clone(), record.name.clone(), Text::EMPTY);
            let opened = ReceiptLine::Opened { slave, name, by, reason, deadline: None, drain: None };
            self.open_removal(cx, slave, opened);
            self.bury_removed(cx, slave, &record, finals);
            let name = record.name.clone();
            let state = self.removed(cx, slave, Removed { record, drain, closed, ends });
            self.publish(cx, Event::SlaveUnregistered { slave, name });
            self.gone(cx, session);
            self.after_removal(cx, state);
            return;
        }
        self.gone(cx, session);
    }

    /// The receipt of a removal begins.
    fn open_removal(&mut self, cx: &mut Cx<'_>, slave: SlaveId, opened: ReceiptLine) {
        self.rescind_slave(cx, slave, None);
        cx.push(Effect::Record { receipt: ReceiptId::Unregistration(slave), line: opened });
    }

    /// A removal is durable, and what ran there is buried: what else was about the slave is over.
    fn removed(&mut self, cx: &mut Cx<'_>, slave: SlaveId, removed: Removed) -> Slave {
        cx.push(Effect::Record {
            receipt: ReceiptId::Unregistration(slave),
            line: ReceiptLine::Unregistered,
        });
        // What was acknowledged while this was written is not told again.
        for task in removed.ends {
            let framework = self.frameworks.get(&task.framework);
            if framework.is_none_or(|framework| !framework.obituaries.contains_key(&task)) {
                self.store(cx, Operation::ForgetEnd { task }, Then::Nothing);
            }
        }
        for (id, record) in removed.closed {
            self.inverse_over(cx, id, &record, crate::message::InverseOutcome::Void);
        }
        if let Some((id, drain)) = removed.drain {
            self.drain_left(cx, id, &drain, &removed.record);
        }
        cx.cancel(Timer::Ping(slave));
        let state = self.slaves.remove(&slave).unwrap_or_default();
        if self.removals.overdue.remove(&slave).is_some() {
            self.resume_if_few(cx);
        }
        state
    }

    /// What waited for the removal of a slave.
    fn after_removal(&mut self, cx: &mut Cx<'_>, state: Slave) {
        match state.waiting {
            // It was started again before it heard: it is to register as new (R3, R27).
            Some(Waiting::Register(registration)) => self.register(cx, self.epoch, registration),
            Some(Waiting::Unregister(again)) => self.gone(cx, again.session),
            Some(Waiting::Return { .. }) | None => {}
        }
    }

    /// Whether an operator's word that a slave is dead can be taken (R7a): not of one that answers, and not while leases of
    /// fenced tasks may run there (R9).
    pub(super) fn may_forget(&self, cx: &Cx<'_>, slave: SlaveId) -> Result<(), Refusal> {
        let record = self.registry.slaves().get(&slave).ok_or(Refusal::RemovedSlave(slave))?;
        let state = self.slaves.get(&slave).ok_or(Refusal::RemovedSlave(slave))?;
        if state.writing {
            return Err(Refusal::SlaveChanging(slave));
        }
        if state.session.is_some() && !state.silent {
            return Err(Refusal::SlaveAnswers { slave, address: record.address.clone() });
        }
        let lives = |task: &Task| task.fenced && !task.state.is_terminal();
        // What runs on one that this leader has not heard is not known.
        let may_hold_leases = !state.seen || state.tasks.values().any(lives);
        match may_hold_leases && !state.over {
            true => Err(Refusal::LeasesRun { left: Self::time_left(cx, state) }),
            false => Ok(()),
        }
    }

    /// How long it takes at most until a slave's time is over (R6).
    fn time_left(cx: &Cx<'_>, state: &Slave) -> Millis {
        let counted = u32::from(cx.config.ping_timeouts_max.saturating_sub(state.missed)).saturating_add(1);
        match state.missed {
            0 if !state.seen => cx.config.reregister_timeout,
            _ => cx.config.ping_timeout.times(counted),
        }
    }

    /// Writes that a slave is gone for good, as an operator says.
    pub(super) fn forget_slave(&mut self, cx: &mut Cx<'_>, forgetting: Forgetting) {
        let slave = forgetting.slave;
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.writing = true;
        }
        let ends = self.true_ends(slave, &[]);
        self.store(cx, Operation::RemoveSlave { slave, ends }, Then::Forget(forgetting));
    }

    /// It could not be written.
    pub(super) fn forgetting_failed(&mut self, cx: &mut Cx<'_>, forgetting: &Forgetting, cause: &Text) {
        let Forgetting { slave, session, request, .. } = *forgetting;
        cx.answer(session, request, Err(Refusal::Storage(cause.clone())));
        self.lifecycle_over(cx, slave);
    }

    /// It is durable. Of what ran there nobody knows, and nobody will: it is Lost, to frameworks that are aware of partitions,
    /// too. Should the slave live, it ends all of that before it registers, as new (R3).
    pub(super) fn forgotten(
        &mut self,
        cx: &mut Cx<'_>,
        forgetting: Forgetting,
        applied: Result<Applied, Refusal>,
    ) {
        let Forgetting { slave, session, request, by, reason } = forgetting;
        let (record, drain, closed, ends) = match applied {
            Ok(Applied::Removed { record, drain, closed, ends }) => (record, drain, closed, ends),
            Ok(_) => return cx.answer(session, request, Err(Refusal::RemovedSlave(slave))),
            Err(refusal) => return cx.answer(session, request, Err(refusal)),
        };
        let name = record.name.clone();
        let opened =
            ReceiptLine::DeclaredDead { slave, name: name.clone(), by: by.clone(), reason: reason.clone() };
        self.open_removal(cx, slave, opened);
        let message = alloc::format!("{by} said that its slave, {name}, is dead{}", because(&reason));
        let message = Text::new(&message);
        let receipt = Some(ReceiptId::Unregistration(slave));
        self.bury_all(cx, slave, &record, (Reason::SlaveDeclaredDead, Some(&message)), receipt);
        let mut state = self.removed(cx, slave, Removed { record, drain, closed, ends });
        cx.cancel(Timer::Reregister(slave));
        self.publish(cx, Event::SlaveForgotten { slave, name, by, reason });
        if let Some(session) = state.session.take() {
            self.sessions.to_mut().remove(&session);
            let detail = "an operator said that it is dead; register again, as new";
            cx.push(super::close(session, CloseCode::Shutdown, detail));
        }
        self.answer_all(cx, slave, core::mem::take(&mut state.questions));
        self.after_removal(cx, state);
        cx.answer(session, request, Ok(Answer::Done { changed: true }));
    }

    /// Tells a slave that it is removed. What it may still say is of no slave any more; it closes the session itself.
    fn gone(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        cx.tell_slave(session, MasterToSlave::Unregistered);
        self.sessions.to_mut().remove(&session);
    }

    /// True ends are delivered as such; the rest is Lost (R25).
    fn bury_removed(&mut self, cx: &mut Cx<'_>, slave: SlaveId, record: &SlaveRecord, finals: Vec<Final>) {
        let receipt = ReceiptId::Unregistration(slave);
        for Final { update, ending } in finals {
            let known = self.slaves.get(&slave).and_then(|state| state.tasks.get(&update.task));
            if update.state.is_terminal() && known.is_some_and(|task| !task.state.is_terminal()) {
                self.bury(cx, slave, record, update, ending, Some(receipt));
            }
        }
        self.bury_all(cx, slave, record, (Reason::SlaveUnregistered, None), Some(receipt));
    }

    /// The removal could not be written: the slave asks again, or goes after its own time-out (R26).
    pub(super) fn unregistration_failed(&mut self, cx: &mut Cx<'_>, unregistration: Unregistration) {
        self.expel(
            cx,
            unregistration.session,
            CloseCode::Shutdown,
            "the registry could not be written; try again",
        );
        self.lifecycle_over(cx, unregistration.slave);
    }

    /// Keeps what a framework asked of a task that its slave has yet to report (R2).
    pub(super) fn kill_when_back(&mut self, slave: SlaveId, task: TaskId, kill: Kill) {
        if let Some(state) = self.slaves.get_mut(&slave) {
            state.kills.insert(task, kill);
        }
    }

    /// How a slave is.
    pub(super) fn slave_status(&self, slave: SlaveId) -> SlaveStatus {
        let record = self.registry.slaves().get(&slave);
        match self.slaves.get(&slave) {
            _ if record.is_some_and(|record| record.unreachable) => SlaveStatus::Unreachable,
            Some(state) if state.session.is_some() && state.silent => SlaveStatus::Silent,
            Some(state) if state.session.is_some() && state.leaving => SlaveStatus::Leaving,
            Some(state) if state.session.is_some() => record.map_or(SlaveStatus::Active, |r| self.kept_by(r)),
            Some(state) if state.seen => SlaveStatus::Disconnected,
            Some(_) | None => SlaveStatus::Awaited,
        }
    }

    /// What keeps a slave that is here from being offered, if anything does.
    fn kept_by(&self, record: &SlaveRecord) -> SlaveStatus {
        let drain = record.drain.and_then(|id| Some((id, self.registry.drains().get(&id)?)));
        let holds = |id| drain_hold(id).is_some_and(|hold| record.holds.contains_key(&hold));
        match drain {
            Some((_, drain)) if drain.end.is_none() => SlaveStatus::Draining,
            Some((id, drain)) if drain.end == Some(DrainEnd::Drained) && holds(id) => SlaveStatus::Drained,
            Some(_) | None if record.holds.is_empty() => SlaveStatus::Active,
            Some(_) | None => SlaveStatus::Held,
        }
    }

    /// What may run on a slave beside the tasks that this leader counts there.
    pub(super) fn uncounted(&self, slave: SlaveId) -> Uncounted {
        let unreachable = self.registry.slaves().get(&slave).is_some_and(|record| record.unreachable);
        match self.slaves.get(&slave) {
            Some(state) if !state.zombies.is_empty() => Uncounted::Ending(state.zombies.len() as u32),
            Some(state) if unreachable && state.session.is_some() => Uncounted::Nothing,
            Some(_) | None if unreachable => Uncounted::Lost,
            Some(state) if !state.seen => Uncounted::Unknown,
            Some(_) => Uncounted::Nothing,
            None => Uncounted::Unknown,
        }
    }

    /// Tells a framework of a task that was never launched (R11).
    ///
    /// One that has as many tasks as it may is told once (S15): should that be lost with its session, it asks in its
    /// next one, and hears that the task is Lost (R15).
    pub(super) fn dropped(&mut self, cx: &mut Cx<'_>, slave: SlaveId, task: TaskId, reason: Reason) {
        let update = ended(task, 1, TaskState::Dropped, reason);
        match self.has_room(cx, task.framework) {
            true => self.mourn(cx, task.framework, Obituary { slave, update, receipt: None, drain: None }),
            false => self.tell_update(cx, task.framework, slave, update),
        }
    }
}

/// Whether a machine could have as much. Ports are of one machine by their nature.
fn fits_a_machine(claim: &Resources) -> bool {
    Resources::MACHINE_MAX.contains(&claim.without_ports())
}

/// What a slave says that it runs takes together.
fn runs(registration: &Registration) -> Resources {
    let live = registration.tasks.iter().filter(|task| !task.state.is_terminal());
    Sum::over_slaves(live.map(|task| &task.resources)).capped()
}

/// Whether a slave registers with each task once.
fn coherent(registration: &Registration) -> bool {
    let mut ids: Vec<TaskId> = registration.tasks.iter().map(|task| task.id).collect();
    ids.sort_unstable();
    ids.windows(2).all(|pair| pair[0] != pair[1])
}
