//! Who is offered what, seen from outside (R10): after every allocation, what a master has said and been told must make
//! each offer exact, allowed and fair, and leave nothing over that somebody may have.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::ids::{
    BootId, Epoch, FrameworkId, Incarnation, InverseOfferId, OfferId, SessionId, SlaveId, TaskId,
};
use neap_protocol::master::{Config, Effect, Input, Master, Timer};
use neap_protocol::message::{
    Answer, Command, FrameworkToMaster, InverseAsk, MasterToFramework, MasterToOperator, MasterToSlave,
    Offered, OperatorToMaster, SlaveRef, SlaveToMaster,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::Registry;
use neap_protocol::resources::{Ports, Resources};
use neap_protocol::task::{self, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{Peer, Role};
use proptest::prelude::*;

const OPERATOR: SessionId = SessionId(1);

/// What may be done; whatever is named by a number is the one of that number of those that there are.
#[derive(Clone, Debug)]
enum Act {
    Slave(Resources),
    Framework { weight: u32 },
    Launch { offer: usize, part: u64, filter: bool },
    Decline { offer: usize, filter: bool },
    FilterOver(usize),
    Suppress(usize),
    Revive(usize),
    Finish(usize),
    Hold(usize),
    Lift(usize),
    Ask(usize),
    CancelAsk(usize),
    SlaveAway(usize),
    FrameworkAway(usize),
    Allocate,
}

fn act() -> impl Strategy<Value = Act> {
    let nth = 0..32usize;
    // Shapes that make different kinds dominant, some with nothing of one, and amounts that do not divide evenly.
    let amounts = (0..9u64, 0..9u64, 0..3u64, any::<bool>());
    let resources = amounts.prop_map(|(cpus, mem, disk, ports)| Resources {
        disk: disk * 1_000_003,
        ports: if ports { Ports::range(31_000, 31_004) } else { Ports::NONE },
        ..Resources::new(cpus * 700, mem * (1 << 28))
    });
    prop_oneof![
        3 => resources.prop_map(Act::Slave),
        2 => (0..4u32).prop_map(|weight| Act::Framework { weight }),
        8 => (nth.clone(), 1..5u64, any::<bool>())
            .prop_map(|(offer, part, filter)| Act::Launch { offer, part, filter }),
        3 => (nth.clone(), any::<bool>()).prop_map(|(offer, filter)| Act::Decline { offer, filter }),
        2 => nth.clone().prop_map(Act::FilterOver),
        1 => nth.clone().prop_map(Act::Suppress),
        1 => nth.clone().prop_map(Act::Revive),
        3 => nth.clone().prop_map(Act::Finish),
        1 => nth.clone().prop_map(Act::Hold),
        2 => nth.clone().prop_map(Act::Lift),
        2 => nth.clone().prop_map(Act::Ask),
        1 => nth.clone().prop_map(Act::CancelAsk),
        1 => nth.clone().prop_map(Act::SlaveAway),
        1 => nth.prop_map(Act::FrameworkAway),
        9 => Just(Act::Allocate),
    ]
}

/// A slave, as the test knows it.
#[derive(Debug)]
struct Host {
    session: Option<SessionId>,
    resources: Resources,
    held: bool,
}

/// A framework, as the test knows it.
#[derive(Debug)]
struct Scheduler {
    session: Option<SessionId>,
    weight: u32,
    suppressed: bool,
    highest_task: u32,
}

/// A master whose writes are durable at once, and what the test has learned from its words alone.
#[derive(Default)]
struct Cluster {
    config: Config,
    master: Master,
    disk: Registry,
    sessions: u32,
    /// Of the framework that subscribes.
    weight: u32,
    hosts: BTreeMap<SlaveId, Host>,
    schedulers: BTreeMap<FrameworkId, Scheduler>,
    offers: BTreeMap<OfferId, (FrameworkId, SlaveId, Resources)>,
    tasks: BTreeMap<TaskId, (SlaveId, Resources)>,
    filters: BTreeMap<(FrameworkId, SlaveId), Resources>,
    asked: BTreeMap<InverseOfferId, (FrameworkId, SlaveId)>,
    /// Every effect: the same acts have the same.
    said: Vec<Effect>,
    /// What was reached, so that a pass is not vacuous.
    offered: usize,
    contested: usize,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self { sessions: OPERATOR.0, ..Self::default() };
        cluster.feed(Input::Elected { epoch: Epoch(1) });
        let peer = Peer { role: Role::Operator, name: name("ann") };
        cluster.feed(Input::Opened { session: OPERATOR, peer });
        cluster
    }

    fn feed(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.master.handle(&self.config, input, &mut out);
        self.master.check().expect("S8");
        let effects: Vec<Effect> = out.drain().collect();
        self.said.extend(effects.iter().cloned());
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Recover => {
                let registry = Box::new(self.disk.clone());
                self.feed(Input::Recovered { registry });
            }
            Effect::Store { seq, epoch, operation } => {
                let _ = self.disk.apply(&operation);
                self.feed(Input::Stored { epoch, seq });
            }
            Effect::ToSlave { session, message: MasterToSlave::Registered { id, .. } } => {
                let newest = self.hosts.values_mut().find(|host| host.session == Some(session));
                assert!(newest.is_none(), "{id} is registered twice in {session}");
                let resources = self.disk.slaves().get(&id).expect("it is admitted").resources.clone();
                self.hosts.insert(id, Host { session: Some(session), resources, held: false });
            }
            Effect::ToFramework { session, message } => self.told(session, message),
            Effect::ToOperator { message: MasterToOperator::Answer { answer, .. }, .. } => {
                if let Ok(Answer::InverseOffered(id)) = answer {
                    let record = self.disk.inverse_offers().get(&id).expect("it is written");
                    self.asked.insert(id, (record.framework, record.slave));
                }
            }
            Effect::ToSlave { .. }
            | Effect::ToOperator { .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::Close { .. }
            | Effect::Publish(_)
            | Effect::Record { .. }
            | Effect::AnswerReceipt { .. }
            | Effect::RefuseUnknownSlave { .. }
            | Effect::AnswerHistory { .. } => {}
        }
    }

    fn told(&mut self, session: SessionId, message: MasterToFramework) {
        let known = self.schedulers.iter().find(|(_, of)| of.session == Some(session)).map(|(id, _)| *id);
        match (message, known) {
            (MasterToFramework::Subscribed { id, .. }, _) => {
                let weight = self.weight;
                let fresh = Scheduler { session: Some(session), weight, suppressed: false, highest_task: 0 };
                self.schedulers.insert(id, fresh);
            }
            (MasterToFramework::Rescind(ids), _) => ids.iter().for_each(|id| {
                assert!(self.offers.remove(id).is_some(), "{id} is rescinded, and was not there");
            }),
            (MasterToFramework::InverseOfferClosed { id, .. }, _) => {
                self.asked.remove(&id);
            }
            (MasterToFramework::Offers(offers), Some(framework)) => {
                offers.into_iter().for_each(|offered| self.offered(framework, offered));
            }
            (MasterToFramework::Offers(_), None) => panic!("offers go to nobody"),
            (MasterToFramework::Update { update, .. }, _) => {
                assert_ne!(update.state, TaskState::Dropped, "it was launched from what was offered");
            }
            (MasterToFramework::NotLeading { .. } | MasterToFramework::Refused(_), _) => {}
            (MasterToFramework::InverseOffer { .. } | MasterToFramework::Pending(_), _) => {}
        }
    }

    fn offered(&mut self, framework: FrameworkId, offered: Offered) {
        let Offered { id, slave, resources, .. } = offered;
        assert!(self.offers.insert(id, (framework, slave, resources)).is_none(), "{id} is offered twice");
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Slave(resources) => self.slave(resources.clone()),
            Act::Framework { weight } => self.framework(*weight),
            Act::Launch { offer, part, filter } => self.launch(*offer, *part, *filter),
            Act::Decline { offer, filter } => self.decline(*offer, *filter),
            Act::FilterOver(nth) => {
                if let Some((framework, slave)) = one(&self.filters, *nth) {
                    self.filters.remove(&(framework, slave));
                    self.feed(Input::Timer(Timer::Filter(framework, slave)));
                }
            }
            Act::Suppress(nth) => self.wants(*nth, false),
            Act::Revive(nth) => self.wants(*nth, true),
            Act::Finish(nth) => self.finish(*nth),
            Act::Hold(nth) => self.hold(*nth, true),
            Act::Lift(nth) => self.hold(*nth, false),
            Act::Ask(nth) => self.ask(*nth),
            Act::CancelAsk(nth) => {
                if let Some(id) = one(&self.asked, *nth) {
                    self.command(Command::CancelInverseOffer(id));
                }
            }
            Act::SlaveAway(nth) => self.slave_away(*nth),
            Act::FrameworkAway(nth) => self.framework_away(*nth),
            Act::Allocate => self.allocate(),
        }
    }

    fn open(&mut self, role: Role, name: Name) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.feed(Input::Opened { session, peer: Peer { role, name } });
        session
    }

    fn slave(&mut self, resources: Resources) {
        let session = self.open(Role::Slave, name(&format!("slave-{}", self.sessions)));
        let message = SlaveToMaster::Register {
            id: None,
            incarnation: Incarnation(1),
            boot: BootId(1),
            contested: false,
            epoch: Epoch(0),
            resources,
            address: Text::EMPTY,
            tasks: Vec::new(),
            leaving: false,
        };
        self.feed(Input::Slave { session, message });
    }

    fn framework(&mut self, weight: u32) {
        self.weight = weight;
        let session = self.open(Role::Framework, name("f"));
        let message = FrameworkToMaster::Subscribe {
            id: None,
            name: name("f"),
            weight,
            failover_timeout: Millis(60_000),
            partition_aware: false,
            epoch: Epoch(0),
            highest_task: 0,
        };
        self.feed(Input::Framework { session, message });
    }

    fn says(&mut self, framework: FrameworkId, message: FrameworkToMaster) {
        if let Some(session) = self.schedulers[&framework].session {
            self.feed(Input::Framework { session, message });
        }
    }

    fn command(&mut self, command: Command) {
        let message = OperatorToMaster { request: 1, command };
        self.feed(Input::Operator { session: OPERATOR, at: Moment(1), message });
    }

    /// Launches a task that takes a part of an offer.
    fn launch(&mut self, nth: usize, part: u64, filter: bool) {
        let Some(offer) = one(&self.offers, nth) else { return };
        let (framework, slave, resources) = self.offers.remove(&offer).expect("it is there");
        let scheduler = self.schedulers.get_mut(&framework).expect("it is subscribed");
        scheduler.highest_task += 1;
        let id = TaskId { framework, number: scheduler.highest_task };
        let takes = Resources {
            cpus: resources.cpus / part,
            mem: resources.mem / part,
            disk: resources.disk / part,
            // Ports are taken one by one.
            ports: resources
                .ports
                .ranges()
                .first()
                .map_or(Ports::NONE, |(first, _)| Ports::range(*first, *first)),
        };
        let left = resources.checked_sub(&takes).expect("it is a part");
        if filter && !left.is_empty() {
            self.filters.insert((framework, slave), left);
        }
        self.tasks.insert(id, (slave, takes.clone()));
        let spec = TaskSpec {
            id,
            name: name("t"),
            resources: takes,
            kill_grace: Millis(5),
            fence_after: None,
            run: Run::Command(task::Command { program: "x".into(), ..Default::default() }.into()),
        };
        let message = FrameworkToMaster::Accept { offer, slave, tasks: vec![spec], filter: time(filter) };
        self.says(framework, message);
    }

    fn decline(&mut self, nth: usize, filter: bool) {
        let Some(offer) = one(&self.offers, nth) else { return };
        let (framework, slave, resources) = self.offers.remove(&offer).expect("it is there");
        if filter {
            self.filters.insert((framework, slave), resources);
        }
        self.says(framework, FrameworkToMaster::Decline { offers: vec![offer], filter: time(filter) });
    }

    fn wants(&mut self, nth: usize, wants: bool) {
        let Some(framework) = one(&self.schedulers, nth) else { return };
        let scheduler = self.schedulers.get_mut(&framework).expect("it is there");
        if scheduler.session.is_none() {
            return;
        }
        scheduler.suppressed = !wants;
        match wants {
            true => {
                self.filters.retain(|(of, _), _| *of != framework);
                self.says(framework, FrameworkToMaster::Revive);
            }
            false => self.says(framework, FrameworkToMaster::Suppress),
        }
    }

    /// A task ends, if its slave is there to say so.
    fn finish(&mut self, nth: usize) {
        let Some(task) = one(&self.tasks, nth) else { return };
        let slave = self.tasks[&task].0;
        let Some(session) = self.hosts[&slave].session else { return };
        self.tasks.remove(&task);
        let (state, reason, message) = (TaskState::Finished, Reason::Normal, Text::EMPTY);
        let update = Update { task, number: 1, state, reason, message };
        self.feed(Input::Slave { session, message: SlaveToMaster::Update { update, ending: None } });
        self.says(task.framework, FrameworkToMaster::Acknowledge { task, number: 1 });
    }

    fn hold(&mut self, nth: usize, held: bool) {
        let Some(id) = one(&self.hosts, nth) else { return };
        self.hosts.get_mut(&id).expect("it is there").held = held;
        let (slave, hold) = (SlaveRef::Id(id), name("h"));
        self.command(match held {
            true => Command::Deactivate { slave, hold, reason: Text::EMPTY },
            false => Command::Activate { slave, hold: Some(hold), reason: Text::EMPTY },
        });
        let of_it = self.offers.values().filter(|(_, slave, _)| held && *slave == id).count();
        assert_eq!(of_it, 0, "R16: {id} is held, and still offered");
    }

    fn ask(&mut self, nth: usize) {
        let Some(task) = one(&self.tasks, nth) else { return };
        let slave = self.tasks[&task].0;
        self.command(Command::InverseOffer {
            framework: task.framework,
            slave: SlaveRef::Id(slave),
            ask: InverseAsk::Everything,
            deadline: Millis(60_000),
            reason: Text::EMPTY,
        });
    }

    fn slave_away(&mut self, nth: usize) {
        let Some(id) = one(&self.hosts, nth) else { return };
        if let Some(session) = self.hosts.get_mut(&id).and_then(|host| host.session.take()) {
            self.feed(Input::Closed { session });
        }
    }

    fn framework_away(&mut self, nth: usize) {
        let Some(id) = one(&self.schedulers, nth) else { return };
        if let Some(session) = self.schedulers.get_mut(&id).and_then(|scheduler| scheduler.session.take()) {
            self.offers.retain(|_, (framework, ..)| *framework != id);
            self.filters.retain(|(framework, _), _| *framework != id);
            self.feed(Input::Closed { session });
        }
    }

    /// Allocates, and holds every offer to the rules, in the order in which they were made.
    fn allocate(&mut self) {
        let before: BTreeSet<OfferId> = self.offers.keys().copied().collect();
        self.feed(Input::Timer(Timer::Allocate));
        let fresh: Vec<OfferId> = self.offers.keys().copied().filter(|id| !before.contains(id)).collect();
        // As it was when the first of them was made.
        let made: Vec<_> =
            fresh.iter().map(|id| self.offers.remove_entry(id).expect("it is there")).collect();
        for (id, (framework, slave, resources)) in made {
            let free = self.free(slave);
            assert!(free.contains(&resources), "{id} lends {resources}, and {free} is free of {slave}");
            assert_eq!(free, resources, "{id} is the whole of what is free");
            assert!(self.may_have(framework, slave, &free), "{framework} may not have {id} of {slave}");
            let share = self.share(framework);
            let mut others: Vec<FrameworkId> = self.schedulers.keys().copied().collect();
            others.retain(|other| *other != framework && self.may_have(*other, slave, &free));
            for other in &others {
                let theirs = self.share(*other);
                assert!(
                    share <= theirs + ROUNDING,
                    "{framework} has {share}, and {other} with {theirs} waits"
                );
            }
            self.offered += 1;
            self.contested += usize::from(!others.is_empty());
            self.offers.insert(id, (framework, slave, resources));
        }
        for slave in self.hosts.keys() {
            let free = self.free(*slave);
            let wanting = self.schedulers.keys().find(|of| self.may_have(**of, *slave, &free));
            assert_eq!(wanting, None, "{free} of {slave} is left over, and somebody wants it");
        }
    }

    /// What is free of a slave, which its tasks and offers may never exceed.
    fn free(&self, slave: SlaveId) -> Resources {
        let tasks = self.tasks.values().filter(|(on, _)| *on == slave).map(|(_, held)| held);
        let offers = self.offers.values().filter(|(_, on, _)| *on == slave).map(|(.., lent)| lent);
        let host = &self.hosts[&slave];
        tasks.chain(offers).fold(host.resources.clone(), |free, taken| {
            free.checked_sub(taken).unwrap_or_else(|| panic!("{slave} gives {taken}, and has {free} left"))
        })
    }

    fn may_have(&self, framework: FrameworkId, slave: SlaveId, free: &Resources) -> bool {
        let (host, scheduler) = (&self.hosts[&slave], &self.schedulers[&framework]);
        let declined = self.filters.get(&(framework, slave));
        host.session.is_some()
            && !host.held
            && scheduler.session.is_some()
            && !scheduler.suppressed
            // A task without a processor and without memory is none.
            && (free.cpus > 0 || free.mem > 0)
            && !declined.is_some_and(|declined| declined.contains(free))
            && !self.asked.values().any(|asked| *asked == (framework, slave))
    }

    /// The largest part that it has of any kind, over its weight.
    fn share(&self, framework: FrameworkId) -> f64 {
        let tasks = self.tasks.iter().filter(|(id, _)| id.framework == framework).map(|(_, (_, held))| held);
        let offers = self.offers.values().filter(|(to, ..)| *to == framework).map(|(.., lent)| lent);
        let has: Vec<&Resources> = tasks.chain(offers).collect();
        let part = |of: fn(&Resources) -> u64| {
            let all: u64 = self.hosts.values().map(|host| of(&host.resources)).sum();
            let its: u64 = has.iter().map(|held| of(held)).sum();
            if all == 0 { 0.0 } else { its as f64 / all as f64 }
        };
        let largest = part(|held| held.cpus).max(part(|held| held.mem)).max(part(|held| held.disk));
        largest / f64::from(self.schedulers[&framework].weight.max(1))
    }
}

/// Shares are compared in so small parts (2⁻⁴⁰), rounded down; within two of them either may be first.
const ROUNDING: f64 = 2.0 / (1u64 << 40) as f64;

/// The key of that number, if there are any.
fn one<K: Copy, V>(of: &BTreeMap<K, V>, nth: usize) -> Option<K> {
    of.keys().nth(nth % of.len().max(1)).copied()
}

fn time(filter: bool) -> Millis {
    if filter { Millis(5_000) } else { Millis::ZERO }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// R10, R16, R18: whoever has the least and may have it comes first, nothing is promised twice, nothing is left over.
    #[test]
    fn r10_offers_are_exact_allowed_and_fair(acts in prop::collection::vec(act(), 0..120)) {
        let mut cluster = Cluster::new();
        acts.iter().for_each(|act| cluster.act(act));
        cluster.allocate();
        // The same again: nothing depends on where things are in memory.
        let mut again = Cluster::new();
        acts.iter().for_each(|act| again.act(act));
        again.allocate();
        prop_assert_eq!(cluster.said, again.said);
    }
}

/// R18: what is refused is not asked, and keeps nothing from being offered. (Found by the simulation.)
#[test]
fn r18_an_inverse_offer_that_is_refused_holds_nothing_up() {
    let mut cluster = Cluster::new();
    cluster.act(&Act::Slave(Resources::new(4000, 4 << 30)));
    cluster.act(&Act::Framework { weight: 1 });
    cluster.allocate();
    cluster.act(&Act::Launch { offer: 0, part: 4, filter: false });
    // Too many requests wait, as it were.
    cluster.config.requests_max = 0;
    cluster.act(&Act::Ask(0));
    assert!(cluster.asked.is_empty());
    cluster.allocate();
    assert_eq!(cluster.offers.len(), 1);
}

/// What is drawn reaches what is to be shown: most acts would otherwise find nothing to do.
#[test]
fn r10_what_is_drawn_contests_offers() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut offered, mut contested, mut tasks, mut asked, mut filtered) = (0, 0, 0, 0, 0);
    for _ in 0..40 {
        let drawn = prop::collection::vec(act(), 120).new_tree(&mut runner).expect("it can be drawn");
        let mut cluster = Cluster::new();
        for act in proptest::strategy::ValueTree::current(&drawn) {
            cluster.act(&act);
            asked += usize::from(!cluster.asked.is_empty());
            filtered += usize::from(!cluster.filters.is_empty());
        }
        offered += cluster.offered;
        contested += cluster.contested;
        tasks += cluster.tasks.len();
    }
    let reached = [offered, contested, tasks, asked, filtered];
    assert!(reached.iter().all(|times| *times >= 40), "{reached:?}");
}
