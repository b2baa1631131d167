//! The core at the size of a cluster, and at the size of a checker's state: `cargo bench -p neap-protocol`.
//!
//! Budgets are those of the design: `handle` ≤ 1 µs (median) at 50,000 slaves; an allocation over 20,000 slaves and
//! 2,000 frameworks ≤ 50 ms; 40,000 slaves with 400,000 tasks into a new leader ≤ 1 s.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use neap_protocol::ids::{Epoch, FrameworkId, Seq, SessionId, SlaveId, TaskId};
use neap_protocol::master::{Config, Effect, Input, Master, Timer};
use neap_protocol::message::{FrameworkToMaster, SlaveToMaster};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::{FrameworkRecord, Operation, Registry};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskReport, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::{Peer, Role};

const FRAMEWORK_SESSIONS: u32 = 1_000_000;

struct Cluster {
    config: Config,
    master: Master,
    out: Outbox<Effect>,
}

fn name(prefix: &str, n: u32) -> Name {
    Name::new(&format!("{prefix}-{n}")).expect("a name")
}

fn resources() -> Resources {
    Resources::new(16_000, 64 << 30)
}

/// A new leader over a registry of so many slaves and frameworks; no slave has come back yet.
fn elected(slaves: u32, frameworks: u32) -> Cluster {
    let mut registry = Registry::default();
    for n in 1..=slaves {
        let (name, address, resources) = (name("slave", n), Text::EMPTY, resources());
        registry.apply(&Operation::AdmitSlave { name, address, resources }).expect("admitted");
    }
    for n in 1..=frameworks {
        let (name, principal) = (name("framework", n), name("principal", n));
        let record =
            FrameworkRecord { name, principal, failover_timeout: Millis::ZERO, partition_aware: false };
        registry.apply(&Operation::AddFramework(record)).expect("added");
    }
    let mut cluster = Cluster { config: Config::default(), master: Master::new(), out: Outbox::new() };
    cluster.feed(Input::Elected { epoch: Epoch(1) });
    cluster.feed(Input::Recovered { registry: Box::new(registry) });
    cluster.feed(Input::Stored { epoch: Epoch(1), seq: Seq(1) });
    for n in 1..=frameworks {
        cluster.subscribe(n);
    }
    cluster
}

/// The same with every slave registered, each with so many tasks.
fn registered(slaves: u32, frameworks: u32, tasks: u32) -> Cluster {
    let mut cluster = elected(slaves, frameworks);
    for n in 1..=slaves {
        let (opened, message) = registration(n, frameworks, tasks);
        cluster.feed(opened);
        cluster.feed(message);
    }
    cluster
}

impl Cluster {
    fn feed(&mut self, input: Input) -> usize {
        self.master.handle(&self.config, input, &mut self.out);
        self.out.drain().count()
    }

    fn subscribe(&mut self, n: u32) {
        let session = SessionId(FRAMEWORK_SESSIONS + n);
        let peer = Peer { role: Role::Framework, name: name("principal", n) };
        self.feed(Input::Opened { session, peer });
        let message = FrameworkToMaster::Subscribe {
            id: Some(FrameworkId(n)),
            name: name("framework", n),
            weight: 1 + n % 3,
            failover_timeout: Millis::ZERO,
            partition_aware: false,
            epoch: Epoch(0),
            highest_task: 0,
        };
        self.feed(Input::Framework { session, message });
    }
}

fn task(slave: u32, nth: u32, frameworks: u32, tasks: u32) -> TaskId {
    let number = slave * tasks + nth;
    TaskId { framework: FrameworkId(1 + number % frameworks), number: 1 + number }
}

fn registration(n: u32, frameworks: u32, tasks: u32) -> (Input, Input) {
    let session = SessionId(n);
    let opened = Input::Opened { session, peer: Peer { role: Role::Slave, name: name("slave", n) } };
    let report = |nth| TaskReport {
        id: task(n, nth, frameworks, tasks),
        name: Name::new("work").expect("a name"),
        resources: Resources::new(1000, 1 << 30),
        kill_grace: Millis(5000),
        fenced: false,
        state: TaskState::Running,
        reason: Reason::Normal,
        number: 1,
    };
    let message = SlaveToMaster::Register {
        id: Some(SlaveId(n)),
        epoch: Epoch(0),
        resources: resources(),
        address: Text::EMPTY,
        tasks: (0..tasks).map(report).collect(),
        leaving: false,
    };
    (opened, Input::Slave { session, message })
}

/// Times `handle` alone over inputs that each come from another slave. Of each sample the median call counts, as it
/// does in the budget: a call during which the system ran something else says nothing of the machine.
fn handle(criterion: &mut Criterion, what: &str, cluster: &mut Cluster, make: impl Fn(u32, u32) -> Input) {
    criterion.bench_function(what, |bencher| {
        bencher.iter_custom(|count| {
            // So many that a median means something, however few criterion asks for.
            let mut calls = Vec::with_capacity(count.max(1_000) as usize);
            for i in 0..count.max(1_000) as u32 {
                // A prime step, so that no cache is warm by luck.
                let input = make(1 + i.wrapping_mul(7919) % 50_000, i);
                let begun = Instant::now();
                cluster.master.handle(&cluster.config, input, &mut cluster.out);
                calls.push(begun.elapsed());
                black_box(cluster.out.drain().count());
            }
            let middle = calls.len() / 2;
            *calls.select_nth_unstable(middle).1 * u32::try_from(count).expect("criterion asks for fewer")
        });
    });
}

fn messages(criterion: &mut Criterion) {
    let mut cluster = registered(50_000, 2_000, 8);
    let pong = |n, _| Input::Slave { session: SessionId(n), message: SlaveToMaster::Pong };
    handle(criterion, "pong, 50,000 slaves, 400,000 tasks", &mut cluster, pong);
    let ping = |n, _| Input::Timer(Timer::Ping(SlaveId(n)));
    handle(criterion, "ping, 50,000 slaves, 400,000 tasks", &mut cluster, |n, i| match i % 2 {
        0 => ping(n, i),
        _ => pong(n, i),
    });
    handle(criterion, "status update, 50,000 slaves, 400,000 tasks", &mut cluster, |n, i| {
        let task = task(n, i % 8, 2_000, 8);
        let update = Update {
            task,
            number: 2 + i,
            state: TaskState::Running,
            reason: Reason::Normal,
            message: Text::EMPTY,
        };
        Input::Slave { session: SessionId(n), message: SlaveToMaster::Update { update, ending: None } }
    });
}

fn registrations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registration");
    group.sample_size(10);
    group.bench_function("40,000 slaves with 400,000 tasks into a new leader", |bencher| {
        bencher.iter_batched(
            || {
                let inputs: Vec<_> = (1..=40_000).map(|n| registration(n, 2_000, 10)).collect();
                (elected(40_000, 2_000), inputs)
            },
            |(mut cluster, inputs)| {
                for (opened, message) in inputs {
                    cluster.feed(opened);
                    cluster.feed(message);
                }
                cluster
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn allocation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocation");
    group.sample_size(10);
    group.bench_function("one cycle, 20,000 slaves, 2,000 frameworks", |bencher| {
        bencher.iter_batched(
            || registered(20_000, 2_000, 0),
            |mut cluster| {
                assert!(cluster.feed(Input::Timer(Timer::Allocate)) >= 2_000, "offers went out");
                cluster
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The other end of the scale: what a checker does at every step.
fn small(criterion: &mut Criterion) {
    let cluster = registered(1, 1, 2);
    criterion.bench_function("clone and hash a master of 1 slave, 1 framework, 2 tasks", |bencher| {
        bencher.iter(|| {
            let master = black_box(&cluster.master).clone();
            let mut hasher = DefaultHasher::new();
            master.hash(&mut hasher);
            (hasher.finish(), master)
        });
    });
}

criterion_group!(benches, small, messages, registrations, allocation);
criterion_main!(benches);
