//! `master`: inputs, honest and nonsensical, to one master: it never panics and grows with what it has only (S15), counts
//! exactly (S8), offers and launches nothing on a deactivated slave (S4), revokes nothing early (S13), and has in memory
//! what is in the registry (S6).

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::{
    BootId, DrainId, Epoch, FrameworkId, Incarnation, InverseOfferId, OfferId, Seq, SessionId, SlaveId,
    TaskId,
};
use neap_protocol::master::{Config, Effect, Input, Master, Timer};
use neap_protocol::message::{
    Command, DrainEnd, Event, Final, FrameworkToMaster, InverseAnswer, InverseAsk, MasterToFramework,
    MasterToSlave, OperatorToMaster, Query, SlaveRef, SlaveToMaster, Then, Want,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, Run, TaskReport, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{Peer, Role};

use crate::choices::Choices;
use crate::machine;

/// What a run can reach.
pub(crate) const GOALS: &[&str] =
    &["launch", "revocation", "drained", "unregistered", "unreachable", "zombie", "store failed", "deposed"];

/// The most tasks of a framework.
const TASKS_MAX: u32 = 12;

/// The most requests that wait for the registry.
const REQUESTS_MAX: usize = 24;

/// The most effects of one input: everyone is told of everything on one slave.
const EFFECTS_MAX: usize = 600;

/// How often a peer that floods says the same.
const FLOOD: u32 = 150;

/// Runs the target.
pub(crate) fn run(choices: &mut Choices<'_>) {
    let mut life = Life::new(choices);
    let elected = life.elected();
    life.feed(elected);
    for step in 1u32.. {
        if step.is_multiple_of(256) || life.choices.is_over() {
            life.is_bounded();
        }
        if life.choices.is_over() {
            break;
        }
        life.step();
    }
}

struct Life<'c, 'b> {
    choices: &'c mut Choices<'b>,
    config: Config,
    master: Master,
    disk: Registry,
    writes: Vec<(Epoch, Seq, Operation)>,
    sessions: BTreeMap<SessionId, Role>,
    highest_session: SessionId,
    timers: BTreeSet<Timer>,
    /// Inverse offers whose deadline has passed (S13).
    passed: BTreeSet<InverseOfferId>,
    /// What honest peers know: who subscribed where, what was offered to whom, what was launched where.
    greeted: BTreeSet<SessionId>,
    subscribed: BTreeMap<SessionId, FrameworkId>,
    offered: Vec<(SessionId, OfferId, SlaveId)>,
    launched: Vec<(SessionId, TaskId)>,
    /// Tasks that slaves said they have.
    reported: BTreeSet<TaskId>,
    highest_task: u32,
    epoch: u64,
    /// For how many steps nothing becomes durable.
    stalled: u32,
    /// How many slaves were given up within this window (R7).
    given_up: usize,
}

impl<'c, 'b> Life<'c, 'b> {
    fn new(choices: &'c mut Choices<'b>) -> Self {
        Self {
            choices,
            config: Config {
                offer_timeout: Some(Millis(1)),
                tasks_max: TASKS_MAX,
                requests_max: REQUESTS_MAX,
                ..Config::default()
            },
            master: Master::new(),
            disk: Registry::default(),
            writes: Vec::new(),
            sessions: BTreeMap::new(),
            highest_session: SessionId(0),
            timers: BTreeSet::new(),
            passed: BTreeSet::new(),
            greeted: BTreeSet::new(),
            subscribed: BTreeMap::new(),
            offered: Vec::new(),
            launched: Vec::new(),
            reported: BTreeSet::new(),
            highest_task: 0,
            epoch: 0,
            stalled: 0,
            given_up: 0,
        }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.choices.below(n)
    }

    /// One of so many; there is at least one.
    fn at(&mut self, len: usize) -> usize {
        self.choices.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }

    fn step(&mut self) {
        self.stalled = self.stalled.saturating_sub(1);
        let input = match self.below(100) {
            0 => self.elected(),
            1 => self.unlikely(),
            2..=9 => self.opened(),
            10 => self.closed(),
            11..=34 => return self.durable(),
            35..=36 => return self.fail(),
            37..=59 => self.timer(),
            60..=76 => self.slave(),
            77..=90 => self.framework(),
            _ => self.operator(),
        };
        // A peer that says the same again and again.
        if matches!(input, Input::Slave { .. } | Input::Framework { .. } | Input::Operator { .. })
            && self.choices.one_in(128)
        {
            (0..FLOOD).for_each(|_| self.feed(input.clone()));
            self.is_bounded();
        }
        self.feed(input);
    }

    fn feed(&mut self, input: Input) {
        if let Input::Timer(Timer::InverseOffer(id)) = &input {
            self.passed.insert(*id);
        }
        let slaves = self.slaves();
        let handle = |input, out: &mut Outbox<Effect>| self.master.handle(&self.config, input, out);
        let effects = machine::step(self.choices, input.clone(), handle);
        if let Err(broken) = self.master.check() {
            self.choices.broken(format!("{broken}\nafter {input:?}"));
        }
        let many = || format!("S15: {} effects of {input:?}", effects.len());
        self.choices.hold(effects.len() < EFFECTS_MAX, many);
        self.gives_up(&input, &effects, slaves.max(self.slaves()));
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn slaves(&self) -> usize {
        self.master.registry().map_or(0, |registry| registry.slaves().len())
    }

    /// R7: no more slaves are given up within a window than the set share of them, but by an operator's word.
    fn gives_up(&mut self, input: &Input, effects: &[Effect], of: usize) {
        if matches!(input, Input::Elected { .. } | Input::Timer(Timer::RemovalWindow)) {
            self.given_up = 0;
        }
        let marks = |effect: &&Effect| {
            matches!(effect, Effect::Store { operation: Operation::MarkUnreachable { .. }, .. })
        };
        let marked = effects.iter().filter(marks).count();
        self.given_up += marked;
        let share = of * self.config.removal_share as usize / 1000;
        let most = share.max(self.config.removals_min as usize);
        let told = matches!(
            input,
            Input::Operator { message: OperatorToMaster { command: Command::ResumeRemovals { .. }, .. }, .. }
        );
        let holds = marked == 0 || told || self.given_up <= most;
        self.choices.hold(holds, || format!("R7: {} of {of} slaves are given up", self.given_up));
        if told && marked > 0 {
            self.choices.reach("removals resumed");
        }
        if effects.iter().any(|effect| matches!(effect, Effect::Publish(Event::RemovalsHalted { .. }))) {
            self.choices.reach("removals halted");
        }
    }

    /// S15: it grows with what it has, and not with what it was told.
    fn is_bounded(&self) {
        let Some(registry) = self.master.registry() else { return };
        let (slaves, frameworks) = (registry.slaves().len(), registry.frameworks().len());
        let asked = registry.inverse_offers().len() + registry.drains().len();
        let waiting = self.writes.len();
        let most = REQUESTS_MAX + 4 * (slaves + frameworks + asked) + 8;
        self.choices.hold(waiting <= most, || format!("S15: {waiting} writes wait, for {most} at most"));
        let tasks = TASKS_MAX as usize * frameworks + self.reported.len();
        let has = self.sessions.len() + self.timers.len() + waiting + slaves + frameworks + asked;
        let most = 4_096 + 1_024 * has + 512 * tasks + 96 * TASKS_MAX as usize * slaves * frameworks;
        let size = format!("{:?}", self.master).len();
        self.choices.hold(size <= most, || {
            format!("S15: {size} bytes of state, for {most} at most: {:?}", self.master)
        });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Recover => {
                self.writes.clear();
                let registry = Box::new(self.disk.clone());
                self.feed(Input::Recovered { registry });
            }
            Effect::Store { seq, epoch, operation } => self.writes.push((epoch, seq, operation)),
            Effect::SetTimer { timer, .. } => {
                self.timers.insert(timer);
            }
            Effect::CancelTimer { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Close { session, .. } => {
                self.sessions.remove(&session);
            }
            Effect::ToFramework { session, message: MasterToFramework::Offers(offers) } => {
                for offer in offers {
                    self.is_active(offer.slave);
                    self.offered.push((session, offer.id, offer.slave));
                }
            }
            Effect::ToFramework { session, message: MasterToFramework::Subscribed { id, .. } } => {
                self.subscribed.insert(session, id);
            }
            Effect::ToSlave { session, message } => self.told_slave(session, message),
            Effect::Publish(event) => self.published(&event),
            Effect::ToFramework { .. }
            | Effect::ToOperator { .. }
            | Effect::Record { .. }
            | Effect::AnswerReceipt { .. }
            | Effect::RefuseUnknownSlave { .. }
            | Effect::AnswerHistory { .. } => {}
        }
    }

    fn is_active(&self, slave: SlaveId) {
        let record = self.disk.slaves().get(&slave);
        let held = record.is_none_or(|record| !record.holds.is_empty() || record.unreachable);
        self.choices.hold(!held, || format!("S4: {slave} is offered: {record:?}"));
    }

    fn told_slave(&mut self, session: SessionId, message: MasterToSlave) {
        match message {
            MasterToSlave::Launch(spec) => {
                self.launched.push((session, spec.id));
                self.choices.reach("launch");
            }
            MasterToSlave::Kill { reason: Reason::Revoked(id), .. } => {
                let passed = self.passed.contains(&id);
                self.choices.hold(passed, || format!("S13: {id} revokes before its deadline"));
                self.choices.reach("revocation");
            }
            MasterToSlave::Kill { reason: Reason::SlaveUnreachable, .. } => {
                self.choices.reach("zombie");
            }
            MasterToSlave::Unregistered => {
                self.choices.reach("unregistered");
            }
            MasterToSlave::Kill { .. }
            | MasterToSlave::Registered { .. }
            | MasterToSlave::Refused(_)
            | MasterToSlave::Ping
            | MasterToSlave::Renewed { .. }
            | MasterToSlave::Acknowledge { .. }
            | MasterToSlave::Resend { .. }
            | MasterToSlave::KillFramework { .. }
            | MasterToSlave::Leave => {}
        }
    }

    fn published(&mut self, event: &Event) {
        if let Event::DrainEnded { end: DrainEnd::Drained, .. } = event {
            self.choices.reach("drained");
        }
        if let Event::SlaveUnreachable { .. } = event {
            self.choices.reach("unreachable");
        }
    }

    fn elected(&mut self) -> Input {
        if self.epoch > 0 && self.below(8) > 0 {
            return self.timer();
        }
        self.epoch += 1;
        Input::Elected { epoch: Epoch(self.epoch) }
    }

    /// What is seldom, or what no correct peer says.
    fn unlikely(&mut self) -> Input {
        match self.below(12) {
            0 if self.below(3) == 0 => {
                self.choices.reach("deposed");
                Input::Deposed { leader: Text::EMPTY }
            }
            1 => {
                let role = self.choices.one(&Role::ALL);
                self.open(role)
            }
            2 => {
                self.stalled = self.below(256);
                Input::Timer(Timer::Allocate)
            }
            3..=5 => Input::Slave { session: self.session(Role::Slave), message: self.choices.any() },
            6..=8 => Input::Framework { session: self.session(Role::Framework), message: self.choices.any() },
            _ => {
                let (session, at) = (self.session(Role::Operator), Moment(self.below(9).into()));
                Input::Operator { session, at, message: self.choices.any() }
            }
        }
    }

    fn name(&mut self) -> Name {
        Name::new(self.choices.one(&["a", "b", "c"])).expect("it is a name")
    }

    fn durable(&mut self) {
        if self.writes.is_empty() || self.stalled > 0 {
            return;
        }
        let count = self.at(self.writes.len()) + 1;
        let mut last = None;
        for (epoch, seq, operation) in self.writes.drain(..count) {
            let _ = self.disk.apply(&operation);
            last = Some((epoch, seq));
        }
        if let Some((epoch, seq)) = last {
            self.feed(Input::Stored { epoch, seq });
        }
        if let Some(registry) = self.master.registry().filter(|_| self.writes.is_empty()) {
            let same = *registry == self.disk;
            self.choices.hold(same, || format!("S6: {registry:?} is in memory, {:?} on disk", self.disk));
        }
    }

    fn fail(&mut self) {
        if self.below(4) == 0 && !self.writes.is_empty() && self.master.leads() {
            let (epoch, seq, _) = self.writes[0];
            self.writes.clear();
            self.choices.reach("store failed");
            self.feed(Input::StoreFailed { epoch, seq, cause: Text::new("no space") });
        }
    }

    fn timer(&mut self) -> Input {
        let set: Vec<Timer> = self.timers.iter().copied().collect();
        let timer = match set.is_empty() || self.below(40) == 0 {
            true => Timer::Allocate,
            false => set[self.at(set.len())],
        };
        // Those that end something fire seldom, or nothing would ever be under way.
        let ends = match timer {
            Timer::Ping(_) | Timer::Reregister(_) | Timer::Failover(_) | Timer::DrainBound(_) => true,
            Timer::Offer(_) | Timer::Filter(..) | Timer::Allocate | Timer::InverseOffer(_) => false,
            Timer::DrainAcknowledge(_) | Timer::RemovalWindow | Timer::Lead => false,
        };
        if ends && self.below(12) > 0 {
            return Input::Timer(Timer::Allocate);
        }
        self.timers.remove(&timer);
        Input::Timer(timer)
    }

    fn opened(&mut self) -> Input {
        let role = self.choices.one(&[Role::Slave, Role::Slave, Role::Framework, Role::Operator]);
        self.open(role)
    }

    fn open(&mut self, role: Role) -> Input {
        self.highest_session = self.highest_session.next();
        let session = self.highest_session;
        self.greeted.remove(&session);
        self.sessions.insert(session, role);
        Input::Opened { session, peer: Peer { role, name: self.name() } }
    }

    fn session(&mut self, role: Role) -> SessionId {
        let of: Vec<SessionId> = self.sessions.iter().filter(|(_, r)| **r == role).map(|(s, _)| *s).collect();
        match of.is_empty() || self.below(50) == 0 {
            true => SessionId(self.highest_session.0.saturating_sub(self.below(12))),
            false => of[self.at(of.len())],
        }
    }

    fn closed(&mut self) -> Input {
        let session = self.session(Role::Slave);
        self.sessions.remove(&session);
        Input::Closed { session }
    }

    fn slave_id(&mut self) -> SlaveId {
        SlaveId(self.below(6))
    }

    fn task(&mut self) -> TaskId {
        if self.below(2) == 0 && !self.launched.is_empty() {
            let at = self.at(self.launched.len());
            return self.launched[at].1;
        }
        TaskId { framework: FrameworkId(self.below(4)), number: self.below(20) }
    }

    fn update(&mut self) -> Update {
        let states = [TaskState::Finished, TaskState::Killed, TaskState::Lost];
        let state = *states.get(self.below(12) as usize).unwrap_or(&TaskState::Running);
        let number = self.below(4);
        Update { task: self.task(), number, state, reason: Reason::Normal, message: Text::EMPTY }
    }

    /// What a slave says that keeps to the protocol: a registration first, then updates and pongs.
    fn honest_slave(&mut self) -> Option<Input> {
        let session = self.session(Role::Slave);
        if !self.greeted.contains(&session) {
            self.greeted.insert(session);
            let tasks = self.kept().into_iter().collect();
            let message = SlaveToMaster::Register {
                id: None,
                incarnation: Incarnation(1),
                boot: BootId(1),
                contested: false,
                epoch: Epoch(0),
                resources: Resources::new(4000, 64),
                address: Text::EMPTY,
                tasks,
                leaving: false,
            };
            return Some(Input::Slave { session, message });
        }
        match self.below(3) {
            0 => self.honest_update(),
            _ => Some(Input::Slave { session, message: SlaveToMaster::Pong }),
        }
    }

    /// A task that was launched, and that a slave which comes back still has.
    fn kept(&mut self) -> Option<TaskReport> {
        if self.below(2) == 0 || self.launched.is_empty() {
            return None;
        }
        let at = self.at(self.launched.len());
        let (_, id) = self.launched[at];
        self.reported.insert(id);
        Some(TaskReport {
            id,
            name: Name::new("t").expect("it is a name"),
            resources: Resources::new(1000, 1),
            kill_grace: Millis(5),
            fenced: false,
            state: TaskState::Running,
            reason: Reason::Normal,
            number: 1,
        })
    }

    /// An update of a task that was really launched there.
    fn honest_update(&mut self) -> Option<Input> {
        let at = self.at(self.launched.len().max(1));
        let &(session, task) = self.launched.get(at)?;
        let update = Update { task, ..self.update() };
        Some(Input::Slave { session, message: SlaveToMaster::Update { update, ending: None } })
    }

    /// An accept of an offer that was really made.
    fn honest_accept(&mut self) -> Option<Input> {
        let (session, offer, slave) = self.offered.pop()?;
        let framework = *self.subscribed.get(&session)?;
        let tasks = (0..self.below(3)).map(|_| {
            self.highest_task += 1;
            TaskSpec {
                id: TaskId { framework, number: self.highest_task },
                name: Name::new("t").expect("it is a name"),
                resources: Resources::new(1000, 1),
                kill_grace: Millis(5),
                fence_after: None,
                run: Run::Command(task::Command { program: "x".into(), ..Default::default() }.into()),
            }
        });
        let tasks = tasks.collect();
        let message = FrameworkToMaster::Accept { offer, slave, tasks, filter: Millis::ZERO };
        Some(Input::Framework { session, message })
    }

    fn slave(&mut self) -> Input {
        if self.below(8) > 0
            && let Some(input) = self.honest_slave()
        {
            return input;
        }
        let session = self.session(Role::Slave);
        let message = match self.below(10) {
            0..=3 => {
                let reports = (0..self.below(4)).map(|_| {
                    let Update { task, number, state, reason, .. } = self.update();
                    self.reported.insert(task);
                    TaskReport {
                        id: task,
                        name: Name::new("t").expect("it is a name"),
                        resources: Resources::new(1000, 1),
                        kill_grace: Millis(5),
                        fenced: false,
                        state,
                        reason,
                        number,
                    }
                });
                let tasks = reports.collect();
                SlaveToMaster::Register {
                    id: (self.below(2) == 0).then(|| SlaveId(self.below(5))),
                    incarnation: Incarnation(1 + u64::from(self.below(12) == 0)),
                    boot: BootId(1 + u64::from(self.below(12) == 0)),
                    contested: self.below(12) == 0,
                    epoch: Epoch(self.below(2).into()),
                    resources: Resources::new(4000 + 1000 * u64::from(self.below(2)), 64),
                    address: Text::EMPTY,
                    tasks,
                    leaving: self.below(12) == 0,
                }
            }
            4..=6 => SlaveToMaster::Update { update: self.update(), ending: None },
            7 => match self.below(2) {
                0 => SlaveToMaster::Pong,
                _ => SlaveToMaster::Renew { task: self.task(), turn: self.below(2) == 0 },
            },
            8 if self.below(3) == 0 => SlaveToMaster::Leaving,
            _ if self.below(4) == 0 => {
                let finals = (0..self.below(3)).map(|_| Final { update: self.update(), ending: None });
                SlaveToMaster::Unregister { finals: finals.collect() }
            }
            _ => SlaveToMaster::Update { update: self.update(), ending: None },
        };
        Input::Slave { session, message }
    }

    fn framework(&mut self) -> Input {
        if self.below(8) > 0
            && let Some(input) = self.honest_accept()
        {
            return input;
        }
        let session = self.session(Role::Framework);
        let message = match self.below(14) {
            0..=2 => FrameworkToMaster::Subscribe {
                id: (self.below(2) == 0).then(|| FrameworkId(self.below(4))),
                name: Name::new("f").expect("it is a name"),
                weight: self.below(3),
                failover_timeout: Millis(self.below(3).into()),
                partition_aware: self.below(2) == 0,
                epoch: Epoch(0),
                highest_task: 0,
            },
            3..=6 => {
                let tasks = (0..self.below(3)).map(|_| TaskSpec {
                    id: TaskId { framework: FrameworkId(self.below(3)), number: self.below(60) },
                    name: Name::new("t").expect("it is a name"),
                    resources: Resources::new(1000 * u64::from(self.below(3)), 1),
                    kill_grace: Millis(5),
                    fence_after: None,
                    run: Run::Command(task::Command { program: "x".into(), ..Default::default() }.into()),
                });
                let tasks = tasks.collect();
                let offer = self.master_offer();
                FrameworkToMaster::Accept { offer, slave: self.slave_id(), tasks, filter: Millis(1) }
            }
            7 => FrameworkToMaster::Decline {
                offers: vec![self.master_offer()],
                filter: Millis(self.below(2).into()),
            },
            8 => FrameworkToMaster::Revive,
            9 => FrameworkToMaster::Kill { task: self.task(), slave: self.slave_id(), grace: None },
            10 => FrameworkToMaster::Acknowledge { task: self.task(), number: u32::MAX },
            11 => FrameworkToMaster::Reconcile {
                after: self.below(3),
                upto: self.below(60),
                tasks: vec![(self.task(), self.slave_id())],
            },
            12 => FrameworkToMaster::Want(Want {
                tasks: self.below(3),
                needs: Resources::new(1000 * u64::from(self.below(9)), 1),
                fence_after: None,
            }),
            _ if self.below(20) == 0 => FrameworkToMaster::Teardown,
            _ => {
                let rather = vec![self.task()];
                let answer = InverseAnswer::Accept { rather };
                FrameworkToMaster::AnswerInverse { id: InverseOfferId(self.below(6)), answer }
            }
        };
        Input::Framework { session, message }
    }

    fn master_offer(&mut self) -> OfferId {
        let lent: Vec<OfferId> = self
            .timers
            .iter()
            .filter_map(|t| if let Timer::Offer(id) = t { Some(*id) } else { None })
            .collect();
        match lent.is_empty() || self.below(10) == 0 {
            true => OfferId(self.below(9).into()),
            false => lent[self.at(lent.len())],
        }
    }

    fn operator(&mut self) -> Input {
        let session = self.session(Role::Operator);
        let slave = match self.below(4) {
            0 => SlaveRef::Id(self.slave_id()),
            _ => SlaveRef::Name(self.name()),
        };
        let deadline = Millis(self.below(9).into());
        let (reason, hold) = (Text::EMPTY, Name::new("h").expect("it is a name"));
        let then = [None, Some(Then::Stay), Some(Then::Unregister)][self.at(3)];
        let drain = DrainId(self.below(5));
        let command = match self.below(13) {
            0 => Command::Deactivate { slave, hold, reason },
            1 | 2 => Command::Activate { slave, hold: None, reason },
            3 | 4 => {
                let ask = match self.below(2) {
                    0 => InverseAsk::Everything,
                    _ => InverseAsk::Amount(Resources::new(1000 * u64::from(self.below(3)), 0)),
                };
                let framework = self.task().framework;
                Command::InverseOffer { framework, slave, ask, deadline, reason }
            }
            5 => Command::CancelInverseOffer(InverseOfferId(self.below(9))),
            6 | 7 => {
                let change = self.below(2) == 0;
                Command::Drain { slave, deadline, reason: None, then, if_plan: None, change }
            }
            8 => Command::CancelDrain(drain),
            9 => Command::ExtendDrain(drain, deadline),
            10 => Command::PlanDrain { slave, deadline, then },
            11 => match self.below(3) {
                0 => Command::ResumeRemovals { reason },
                1 => Command::ForgetSlave { slave, reason },
                _ => Command::DrainNow { slave, reason: Some(reason) },
            },
            _ => Command::Show(Query::Slaves { after: None }),
        };
        let message = OperatorToMaster { request: 1, command };
        Input::Operator { session, at: Moment(self.below(9).into()), message }
    }
}
