//! More than a real master can keep up with: its memory stays bounded, others are served, and who is too slow is cut off
//! with a reason (S15).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use neap_nodes::refusals::Cause;
use neap_protocol::ids::{FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, FrameworkToMaster, MasterToFramework, MasterToSlave, Offered, Query, SlaveToMaster,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskState, Update};
use neap_protocol::text::{Name, TEXT_LEN_MAX, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, Role};
use neap_transport_quic::certificates::Authority;
use neap_transport_quic::{ConnectError, Credentials, Endpoint, Expect};
use tokio::task::JoinSet;

use crate::beside::{Beside, hear_slave, news, spec};
use crate::cluster::{Fake, Master, issue, place};
use crate::hostile::{Log, scene};
use crate::master::subscribe;
use crate::program::Place;
use crate::raw::reason;

/// What a master lets wait for one peer.
const WAITING_BYTES_MAX: u64 = 16 << 20;

/// What else its memory may grow by meanwhile: what the allocator keeps, queues, its history.
const REST_BYTES_MAX: u64 = 48 << 20;

/// How much memory a slave may take of a master, its QUIC connection among it.
const STORM_MEMORY: u64 = 128 << 10;

/// How many tasks an accept of these tests launches: the most that a message has.
const TASKS: u32 = 1_000;

/// A size that is larger where somebody wants to see more.
fn size(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).map_or(usual, |size| size.parse().unwrap())
}

/// Another framework than the innocents', to which what is free goes before theirs.
struct Framework {
    fake: Fake,
    id: FrameworkId,
}

impl Framework {
    async fn new(place: &Place, master: &Master, name: &str) -> Self {
        let credentials = issue(place, Role::Framework, name);
        let mut fake = Fake::connect_as(&credentials, master.address).await;
        let mut subscription = subscribe(name);
        if let FrameworkToMaster::Subscribe { weight, .. } = &mut subscription {
            *weight = 1_000;
        }
        fake.say(&subscription).await;
        let MasterToFramework::Subscribed { id, .. } = fake.hear().await else { panic!("not subscribed") };
        Self { fake, id }
    }

    /// Waits for this many offers, and wants no more.
    async fn offers(&mut self, count: usize) -> Vec<Offered> {
        let mut offers = Vec::new();
        while offers.len() < count {
            match self.fake.hear().await {
                MasterToFramework::Offers(more) => offers.extend(more),
                other => panic!("{other:?}"),
            }
        }
        self.fake.say(&FrameworkToMaster::Suppress).await;
        offers
    }

    /// Accepts an offer, with so many tasks from this number on, of which each takes so much.
    async fn accept(&mut self, offer: &Offered, first: u32, count: u32, each: &Resources) {
        let numbers = first..first + count;
        let tasks = numbers.map(|number| spec(TaskId { framework: self.id, number }, each.clone()));
        let (tasks, filter) = (tasks.collect(), Millis::from_secs(3600));
        let accept = FrameworkToMaster::Accept { offer: offer.id, slave: offer.slave, tasks, filter };
        self.fake.say(&accept).await;
    }

    async fn update(&mut self) -> Update {
        match self.fake.hear().await {
            MasterToFramework::Update { update, .. } => update,
            other => panic!("{other:?}"),
        }
    }

    async fn acknowledge(&mut self, Update { task, number, .. }: Update) {
        self.fake.say(&FrameworkToMaster::Acknowledge { task, number }).await;
    }
}

/// Serves the innocents for as long as something goes on; how often they were, and how long they waited at most.
async fn while_serving<T>(beside: &mut Beside, going_on: impl Future<Output = T>) -> (T, Served) {
    let over = Cell::new(false);
    let going_on = async {
        let done = going_on.await;
        over.set(true);
        done
    };
    let serving = async {
        let mut served = Served { times: 0, longest: Duration::ZERO };
        while !over.get() {
            let begin = Instant::now();
            beside.served().await;
            served = Served { times: served.times + 1, longest: served.longest.max(begin.elapsed()) };
        }
        served
    };
    tokio::join!(going_on, serving)
}

/// How innocents fared. Who is not served at all fails by itself.
#[derive(Debug)]
struct Served {
    times: u32,
    longest: Duration,
}

impl Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "others served {} times, within {:?}", self.times, self.longest)
    }
}

/// News piles up for a framework that has subscribed and reads no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_never_reads_is_cut_off() {
    let (place, master, mut beside) = scene().await;
    let mut deaf = Framework::new(&place, &master, "deaf").await;
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    slave.register(None).await;
    let offer = deaf.offers(1).await.remove(0);
    deaf.accept(&offer, 1, 1, &Resources::new(1, 1)).await;
    let launched = hear_slave(&mut slave).await;
    let MasterToSlave::Launch(spec) = launched else { panic!("{launched:?}") };

    let before = master.resident();
    let mut most = 0;
    let message = Text::new(&"x".repeat(TEXT_LEN_MAX));
    let count = 2 * u32::try_from(WAITING_BYTES_MAX).unwrap() / u32::try_from(TEXT_LEN_MAX).unwrap();
    for number in 1..=count {
        let (state, reason, message) = (TaskState::Running, Reason::Normal, message.clone());
        let update = Update { task: spec.id, number, state, reason, message };
        slave.say(&SlaveToMaster::Update { update, ending: None }).await;
        if number % 1_000 == 0 {
            beside.served().await;
            most = most.max(master.resident().saturating_sub(before));
        }
    }
    println!("{count} updates for a scheduler that never reads: grown by {} KiB at most", most >> 10);
    let (code, detail) = reason(deaf.fake.end().await);
    assert_eq!(code, CloseCode::TooSlow);
    assert!(detail.ends_with("bytes wait to be read, and 16777216 may: read faster"), "{detail}");
    assert!(most < 2 * WAITING_BYTES_MAX + REST_BYTES_MAX, "it grew by {} KiB", most >> 10);
    Log::of(master, &place).holds(Cause::TooSlow, &["framework deaf"], 1);
}

/// Every offer is accepted again and again, each time for a thousand tasks that take all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_accepts_everything_gets_what_there_is() {
    let (place, master, mut beside) = scene().await;
    let mut greedy = Framework::new(&place, &master, "greedy").await;
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    slave.register(None).await;
    let offer = greedy.offers(1).await.remove(0);
    let before = master.resident();
    let times = size("NEAP_ACCEPTS", 10);
    for time in 0..times {
        greedy.accept(&offer, 1 + time * TASKS, TASKS, &offer.resources).await;
        beside.served().await;
    }
    let mut dropped = BTreeSet::new();
    for answer in 1..times * TASKS {
        let update = greedy.update().await;
        let reason = if update.task.number <= TASKS { Reason::BeyondOffer } else { Reason::OfferGone };
        assert_eq!((update.state, update.reason), (TaskState::Dropped, reason), "{update:?}");
        assert_eq!(update.message.as_str(), reason.advice(), "it says what to do");
        dropped.insert(update.task.number);
        greedy.acknowledge(update).await;
        if answer % TASKS == 0 {
            beside.served().await;
        }
    }
    let launched = hear_slave(&mut slave).await;
    assert!(matches!(&launched, MasterToSlave::Launch(spec) if spec.id.number == 1), "{launched:?}");
    assert!(dropped.into_iter().eq(2..=times * TASKS), "every other task has an answer");
    let grown = master.resident().saturating_sub(before);
    println!("{} tasks of one offer: grown by {} KiB", times * TASKS, grown >> 10);
    assert!(grown < REST_BYTES_MAX, "it grew by {} KiB", grown >> 10);
    beside.served().await;
}

/// NEAP_TASKS of them, in thousands: `NEAP_TASKS=100 cargo test -p neap-nodes --test it ten_thousand_tasks -- --nocapture`
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_tasks_at_once_are_all_told_and_acknowledged() {
    let (place, master, mut beside) = scene().await;
    let count = size("NEAP_TASKS", 10);
    let mut many = Framework::new(&place, &master, "many").await;
    let mut slaves = JoinSet::new();
    for number in 0..count {
        let credentials = issue(&place, Role::Slave, &format!("many-{number}"));
        let mut slave = Fake::connect_as(&credentials, master.address).await;
        slave.register(None).await;
        slaves.spawn(run_and_end(slave));
    }
    let offers = many.offers(usize::try_from(count).unwrap()).await;
    let (before, begin) = (master.resident(), Instant::now());
    let launched = async {
        for (first, offer) in (1..).step_by(TASKS as usize).zip(&offers) {
            many.accept(offer, first, TASKS, &Resources::new(1, 1 << 20)).await;
        }
        let mut ended = BTreeSet::new();
        for _ in 0..count * TASKS {
            let update = many.update().await;
            assert_eq!(update.state, TaskState::Finished, "{update:?}");
            ended.insert(update.task.number);
            many.acknowledge(update).await;
        }
        // Each slave ends once all of its news was acknowledged.
        while let Some(ended) = slaves.join_next().await {
            ended.unwrap();
        }
        ended
    };
    let (ended, served) = while_serving(&mut beside, launched).await;
    assert!(ended.into_iter().eq(1..=count * TASKS), "every task has ended");
    let (took, grown) = (begin.elapsed(), master.resident().saturating_sub(before));
    let tasks = count * TASKS;
    println!("{tasks} tasks in {took:?}, {served}, grown by {} KiB", grown >> 10);
    assert!(grown < REST_BYTES_MAX * u64::from(count.div_ceil(10)), "it grew by {} KiB", grown >> 10);
    let Answer::Status(status) = beside.show(Query::Status).await else { panic!("no status") };
    assert_eq!(status.tasks, 0, "nothing is left of them: {status:?}");
}

/// Ends each task as soon as it is launched, until that was acknowledged for a thousand of them.
async fn run_and_end(mut slave: Fake) {
    let mut acknowledged = 0;
    while acknowledged < TASKS {
        match hear_slave(&mut slave).await {
            MasterToSlave::Launch(spec) => slave.say(&news(spec.id, 1, TaskState::Finished)).await,
            MasterToSlave::Acknowledge { .. } => acknowledged += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// NEAP_STORM slaves have sessions, and all register in one moment: what is written is written together.
/// `NEAP_STORM=5000 cargo test -p neap-nodes --test it registers_at_once -- --nocapture`
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_registers_at_once_is_written_together() {
    let place = place();
    // Lines of a log would be counted as written.
    let master = Master::start(&place);
    let mut beside = Beside::new(&place, &master).await;
    let ca = Authority::load(&place.path().join("pki")).unwrap();
    let slave = |name: &str| -> Credentials {
        let issued = ca.issue(Role::Slave, &Name::new(name).unwrap(), Duration::from_secs(3600)).unwrap();
        Credentials::from_pem(ca.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap()
    };
    let before = master.written();
    let mut alone = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    alone.register(None).await;
    let written_alone = master.written() - before;

    let (count, resident) = (size("NEAP_STORM", 300), master.resident());
    let endpoint =
        Endpoint::bind("127.0.0.1:0".parse().unwrap(), &slave("storm"), &Default::default()).unwrap();
    let begin = Instant::now();
    let mut connecting = JoinSet::new();
    for number in 0..count {
        let (endpoint, credentials) = (endpoint.clone(), slave(&format!("storm-{number}")));
        let address = master.address;
        connecting.spawn(async move {
            // As a slave does: of more than there is room for, some are given up, and come again.
            let session = loop {
                match endpoint.connect_as(&credentials, address, Expect::role(Role::Master)).await {
                    Ok(session) => break session,
                    Err(ConnectError::Unreachable { .. } | ConnectError::NoAnswer { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            Fake::of(endpoint, session)
        });
    }
    let (connected, served_before) = while_serving(&mut beside, connecting.join_all()).await;
    let (met, before) = (begin.elapsed(), master.written());

    let begin = Instant::now();
    let mut registering = JoinSet::new();
    for mut fake in connected {
        registering.spawn(async move { (fake.register(None).await.0, fake) });
    }
    let (registered, served) = while_serving(&mut beside, registering.join_all()).await;
    let (took, written) = (begin.elapsed(), master.written() - before);
    let grown = master.resident().saturating_sub(resident);
    println!(
        "{count} slaves: met in {met:?} ({served_before}), registered in {took:?} ({served}), grown by {} KiB; \
         {written} bytes written, {written_alone} by one alone",
        grown >> 10
    );
    let ids: BTreeSet<SlaveId> = registered.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), registered.len(), "each has an id of its own");
    assert!(grown < (8 << 20) + u64::from(count) * STORM_MEMORY, "{count} slaves took {grown} bytes");
    assert!(
        written < written_alone * u64::from(count) / 4,
        "{written} bytes were written, {written_alone} by one"
    );
    let Answer::Status(status) = beside.show(Query::Status).await else { panic!("no status") };
    assert_eq!((status.slaves, status.connected), (count + 2, count + 2), "{status:?}");
}
