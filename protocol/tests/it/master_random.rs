//! Inputs at random, honest and nonsensical, to one master: it never panics (S15), counts exactly (S8), offers and
//! launches nothing on a deactivated slave (S4), and has in memory what is in the registry (S6).
//!
//! `NEAP_SEED=… cargo test -p neap-protocol --test it master_random` reproduces a failure.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::{
    DrainId, Epoch, FrameworkId, InverseOfferId, OfferId, Seq, SessionId, SlaveId, TaskId,
};
use neap_protocol::master::{Config, Effect, Input, Master, Timer};
use neap_protocol::message::{
    Command, Final, FrameworkToMaster, InverseAnswer, InverseAsk, MasterToFramework, MasterToSlave,
    OperatorToMaster, Query, SlaveRef, SlaveToMaster, Then,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, Run, TaskReport, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{Peer, Role};

const LIVES: u64 = 200;
const STEPS: usize = 2500;

#[test]
fn a_master_keeps_its_state_whatever_it_is_told() {
    let first = std::env::var("NEAP_SEED").ok().map(|seed| seed.parse().expect("NEAP_SEED is a number"));
    let seeds = first.map_or(1..LIVES + 1, |seed: u64| seed..seed + 1);
    let mut reached = BTreeSet::new();
    for seed in seeds {
        let mut life = Life::new(seed);
        let elected = life.elected();
        life.feed(elected);
        for _ in 0..STEPS {
            life.step();
        }
        reached.append(&mut life.reached);
    }
    let wanted = ["launch", "revocation", "drained", "unregistered", "unreachable", "zombie", "store failed"];
    for what in wanted.iter().filter(|_| first.is_none()) {
        assert!(reached.contains(what), "no life reached {what}; a test that reaches little proves little");
    }
}

struct Life {
    seed: u64,
    random: u64,
    config: Config,
    master: Master,
    disk: Registry,
    writes: Vec<(Epoch, Seq, Operation)>,
    sessions: BTreeMap<SessionId, Role>,
    timers: BTreeSet<Timer>,
    /// Inverse offers whose deadline has passed (S13).
    passed: BTreeSet<InverseOfferId>,
    /// What honest peers know: who subscribed where, what was offered to whom, what was launched where.
    greeted: BTreeSet<SessionId>,
    subscribed: BTreeMap<SessionId, FrameworkId>,
    offered: Vec<(SessionId, OfferId, SlaveId)>,
    launched: Vec<(SessionId, TaskId)>,
    highest_task: u32,
    epoch: u64,
    reached: BTreeSet<&'static str>,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            config: Config { offer_timeout: Some(Millis(1)), tasks_max: 12, ..Config::default() },
            master: Master::new(),
            disk: Registry::default(),
            writes: Vec::new(),
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            passed: BTreeSet::new(),
            greeted: BTreeSet::new(),
            subscribed: BTreeMap::new(),
            offered: Vec::new(),
            launched: Vec::new(),
            highest_task: 0,
            epoch: 0,
            reached: BTreeSet::new(),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn step(&mut self) {
        let input = match self.below(100) {
            0 => self.elected(),
            1 if self.below(30) == 0 => Input::Deposed { leader: Text::EMPTY },
            1..=9 => self.opened(),
            10 => self.closed(),
            11..=34 => return self.durable(),
            35..=36 => return self.fail(),
            37..=59 => self.timer(),
            60..=76 => self.slave(),
            77..=90 => self.framework(),
            _ => self.operator(),
        };
        self.feed(input);
    }

    fn feed(&mut self, input: Input) {
        if let Input::Timer(Timer::InverseOffer(id)) = &input {
            self.passed.insert(*id);
        }
        let mut out = Outbox::new();
        self.master.handle(&self.config, input.clone(), &mut out);
        if let Err(broken) = self.master.check() {
            panic!("seed {}: {broken}\nafter {input:?}", self.seed);
        }
        let effects: Vec<Effect> = out.drain().collect();
        assert!(effects.len() < 400, "seed {}: {} effects of {input:?}", self.seed, effects.len());
        for effect in effects {
            self.carry_out(effect);
        }
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
            | Effect::AnswerHistory { .. } => {}
        }
    }

    fn is_active(&self, slave: SlaveId) {
        let record = self.disk.slaves().get(&slave);
        let held = record.is_none_or(|record| !record.holds.is_empty() || record.unreachable);
        assert!(!held, "seed {}: S4: {slave} is offered: {record:?}", self.seed);
    }

    fn told_slave(&mut self, session: SessionId, message: MasterToSlave) {
        match message {
            MasterToSlave::Launch(spec) => {
                self.launched.push((session, spec.id));
                self.reached.insert("launch");
            }
            MasterToSlave::Kill { reason: Reason::Revoked(id), .. } => {
                assert!(
                    self.passed.contains(&id),
                    "seed {}: S13: {id} revokes before its deadline",
                    self.seed
                );
                self.reached.insert("revocation");
            }
            MasterToSlave::Kill { reason: Reason::SlaveUnreachable, .. } => {
                self.reached.insert("zombie");
            }
            MasterToSlave::Unregistered => {
                self.reached.insert("unregistered");
            }
            MasterToSlave::Kill { .. }
            | MasterToSlave::Registered { .. }
            | MasterToSlave::Refused(_)
            | MasterToSlave::Ping
            | MasterToSlave::Acknowledge { .. }
            | MasterToSlave::Resend { .. }
            | MasterToSlave::KillFramework { .. }
            | MasterToSlave::Leave => {}
        }
    }

    fn published(&mut self, event: &neap_protocol::message::Event) {
        use neap_protocol::message::{DrainEnd, Event};
        if let Event::DrainEnded { end: DrainEnd::Drained, .. } = event {
            self.reached.insert("drained");
        }
        if let Event::SlaveUnreachable { .. } = event {
            self.reached.insert("unreachable");
        }
    }

    fn elected(&mut self) -> Input {
        if self.epoch > 0 && self.below(8) > 0 {
            return self.timer();
        }
        self.epoch += 1;
        Input::Elected { epoch: Epoch(self.epoch) }
    }

    fn durable(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let count = self.below(self.writes.len() as u64) as usize + 1;
        let mut last = None;
        for (epoch, seq, operation) in self.writes.drain(..count) {
            let _ = self.disk.apply(&operation);
            last = Some((epoch, seq));
        }
        if let Some((epoch, seq)) = last {
            self.feed(Input::Stored { epoch, seq });
        }
        if let Some(registry) = self.master.registry().filter(|_| self.writes.is_empty()) {
            assert_eq!(*registry, self.disk, "seed {}: S6", self.seed);
        }
    }

    fn fail(&mut self) {
        if self.below(4) == 0 && !self.writes.is_empty() && self.master.leads() {
            let (epoch, seq, _) = self.writes[0];
            self.writes.clear();
            self.reached.insert("store failed");
            self.feed(Input::StoreFailed { epoch, seq, cause: Text::new("no space") });
        }
    }

    fn timer(&mut self) -> Input {
        let set: Vec<Timer> = self.timers.iter().copied().collect();
        let timer = match set.is_empty() || self.below(40) == 0 {
            true => Timer::Allocate,
            false => set[self.below(set.len() as u64) as usize],
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
        let session = SessionId((1..).find(|n| !self.sessions.contains_key(&SessionId(*n))).unwrap_or(0));
        let role = [Role::Slave, Role::Slave, Role::Framework, Role::Operator][self.below(4) as usize];
        let name = ["a", "b", "c"][self.below(3) as usize];
        self.greeted.remove(&session);
        self.sessions.insert(session, role);
        Input::Opened { session, peer: Peer { role, name: Name::new(name).unwrap() } }
    }

    fn session(&mut self, role: Role) -> SessionId {
        let of: Vec<SessionId> = self.sessions.iter().filter(|(_, r)| **r == role).map(|(s, _)| *s).collect();
        match of.is_empty() || self.below(50) == 0 {
            true => SessionId(self.below(12) as u32),
            false => of[self.below(of.len() as u64) as usize],
        }
    }

    fn closed(&mut self) -> Input {
        let session = self.session(Role::Slave);
        self.sessions.remove(&session);
        Input::Closed { session }
    }

    fn slave_id(&mut self) -> SlaveId {
        SlaveId(self.below(6) as u32)
    }

    fn task(&mut self) -> TaskId {
        if self.below(2) == 0 && !self.launched.is_empty() {
            let at = self.below(self.launched.len() as u64) as usize;
            return self.launched[at].1;
        }
        TaskId { framework: FrameworkId(self.below(4) as u32), number: self.below(20) as u32 }
    }

    fn update(&mut self) -> Update {
        let states = [TaskState::Finished, TaskState::Killed, TaskState::Lost];
        let state = *states.get(self.below(12) as usize).unwrap_or(&TaskState::Running);
        let number = self.below(4) as u32;
        Update { task: self.task(), number, state, reason: Reason::Normal, message: Text::EMPTY }
    }

    /// What a slave says that keeps to the protocol: a registration first, then updates and pongs.
    fn honest_slave(&mut self) -> Option<Input> {
        let session = self.session(Role::Slave);
        if !self.greeted.contains(&session) {
            self.greeted.insert(session);
            let message = SlaveToMaster::Register {
                id: None,
                epoch: Epoch(0),
                resources: Resources::new(4000, 64),
                address: Text::EMPTY,
                tasks: Vec::new(),
                leaving: false,
            };
            return Some(Input::Slave { session, message });
        }
        match self.below(3) {
            0 => self.honest_update(),
            _ => Some(Input::Slave { session, message: SlaveToMaster::Pong }),
        }
    }

    /// An update of a task that was really launched there.
    fn honest_update(&mut self) -> Option<Input> {
        let at = self.below(self.launched.len().max(1) as u64) as usize;
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
                name: Name::new("t").unwrap(),
                resources: Resources::new(1000, 1),
                kill_grace: Millis(5),
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
                    TaskReport {
                        id: task,
                        name: Name::new("t").unwrap(),
                        resources: Resources::new(1000, 1),
                        kill_grace: Millis(5),
                        state,
                        reason,
                        number,
                    }
                });
                let tasks = reports.collect();
                SlaveToMaster::Register {
                    id: (self.below(2) == 0).then(|| SlaveId(self.below(5) as u32)),
                    epoch: Epoch(self.below(2)),
                    resources: Resources::new(4000 + self.below(2) * 1000, 64),
                    address: Text::EMPTY,
                    tasks,
                    leaving: self.below(12) == 0,
                }
            }
            4..=6 => SlaveToMaster::Update { update: self.update(), ending: None },
            7 => SlaveToMaster::Pong,
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
        let message = match self.below(13) {
            0..=2 => FrameworkToMaster::Subscribe {
                id: (self.below(2) == 0).then(|| FrameworkId(self.below(4) as u32)),
                name: Name::new("f").unwrap(),
                weight: self.below(3) as u32,
                failover_timeout: Millis(self.below(3)),
                epoch: Epoch(0),
                highest_task: 0,
            },
            3..=6 => {
                let tasks = (0..self.below(3)).map(|_| TaskSpec {
                    id: TaskId {
                        framework: FrameworkId(self.below(3) as u32),
                        number: self.below(60) as u32,
                    },
                    name: Name::new("t").unwrap(),
                    resources: Resources::new(self.below(3) * 1000, 1),
                    kill_grace: Millis(5),
                    run: Run::Command(task::Command { program: "x".into(), ..Default::default() }.into()),
                });
                let tasks = tasks.collect();
                let offer = self.master_offer();
                FrameworkToMaster::Accept { offer, slave: self.slave_id(), tasks, filter: Millis(1) }
            }
            7 => FrameworkToMaster::Decline {
                offers: vec![self.master_offer()],
                filter: Millis(self.below(2)),
            },
            8 => FrameworkToMaster::Revive,
            9 => FrameworkToMaster::Kill { task: self.task(), slave: self.slave_id(), grace: None },
            10 => FrameworkToMaster::Acknowledge { task: self.task(), number: u32::MAX },
            11 => FrameworkToMaster::Reconcile { tasks: vec![(self.task(), self.slave_id())] },
            _ if self.below(20) == 0 => FrameworkToMaster::Teardown,
            _ => {
                let rather = vec![self.task()];
                let answer = InverseAnswer::Accept { rather };
                FrameworkToMaster::AnswerInverse { id: InverseOfferId(self.below(6) as u32), answer }
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
            true => OfferId(self.below(9)),
            false => lent[self.below(lent.len() as u64) as usize],
        }
    }

    fn operator(&mut self) -> Input {
        let session = self.session(Role::Operator);
        let slave = match self.below(4) {
            0 => SlaveRef::Id(self.slave_id()),
            name => SlaveRef::Name(Name::new(["a", "b", "c"][name as usize - 1]).unwrap()),
        };
        let deadline = Millis(self.below(9));
        let (reason, hold) = (Text::EMPTY, Name::new("h").unwrap());
        let then = if self.below(2) == 0 { Then::Stay } else { Then::Unregister };
        let drain = DrainId(self.below(5) as u32);
        let command = match self.below(12) {
            0 => Command::Deactivate { slave, hold, reason },
            1 | 2 => Command::Activate { slave, hold: None },
            3 | 4 => {
                let ask = match self.below(2) {
                    0 => InverseAsk::Everything,
                    _ => InverseAsk::Amount(Resources::new(self.below(3) * 1000, 0)),
                };
                let framework = self.task().framework;
                Command::InverseOffer { framework, slave, ask, deadline, reason }
            }
            5 => Command::CancelInverseOffer(InverseOfferId(self.below(9) as u32)),
            6 | 7 => Command::Drain { slave, deadline, reason, then, if_plan: None },
            8 => Command::CancelDrain(drain),
            9 => Command::ExtendDrain(drain, deadline),
            10 => Command::PlanDrain { slave, deadline, then },
            _ if self.below(3) == 0 => Command::ResumeRemovals,
            _ => Command::Show(Query::Slaves { after: None }),
        };
        let message = OperatorToMaster { request: 1, command };
        Input::Operator { session, at: Moment(self.below(9)), message }
    }
}
