//! Hostile peers of a real master, and of a real slave: refused with a reason, counted, logged once; and whoever is beside them is served
//! (DESIGN §6, S15).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use neap_nodes::operator::Client;
use neap_nodes::refusals::Cause;
use neap_protocol::ids::{Epoch, FrameworkId, OfferId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, Command, FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave, OperatorToMaster,
    Query, Refused, SlaveRef, SlaveToMaster,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskReport, TaskState};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, FRAME_SIZE_MAX, Role};
use neap_transport_quic::certificates::Authority;
use neap_transport_quic::{ConnectError, Credentials, Endpoint, Expect};
use rustix::process::Signal;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, block_in_place};

use crate::beside::{Beside, WEB, hear_slave, news, spec};
use crate::cluster::{Fake, Master, PATIENCE, identity, issue, place, register};
use crate::live::Slave;
use crate::master::{subscribe, subscribe_as};
use crate::program::Place;
use crate::raw::{Answered, HalfOpener, Raw, reason, socket};

/// How often a hostile peer does the same.
const TIMES: u64 = 50;

/// What the master's memory may grow by while it is flooded with handshakes: 1,024 of them, and what waits.
const HALF_OPEN_BYTES_MAX: u64 = 128 << 20;

pub(crate) async fn scene() -> (Place, Master, Beside) {
    let place = place();
    let master = Master::start_logging(&place);
    let beside = Beside::new(&place, &master).await;
    (place, master, beside)
}

/// What a master that has ended in order has logged of those whom it refused.
pub(crate) struct Log(String);

impl Log {
    pub(crate) fn of(master: Master, place: &Place) -> Self {
        assert_eq!(master.terminate(), Some(0));
        Self(Master::log(place))
    }

    /// Who has a line for this cause, with its detail.
    fn told(&self, cause: Cause) -> Vec<&str> {
        let said = format!("a peer was refused cause={cause} peer=");
        self.0.lines().filter_map(|line| line.split_once(&said)).map(|(_, told)| told).collect()
    }

    fn total(&self, cause: Cause) -> u64 {
        let said = format!("peers were refused in all cause={cause} total=");
        let total = self.0.lines().find_map(|line| line.split_once(&said));
        total.map_or(0, |(_, total)| total.parse().unwrap())
    }

    /// One line of each of these peers for this cause, `total` in all.
    pub(crate) fn holds(&self, cause: Cause, peers: &[&str], total: u64) {
        let told = self.told(cause);
        assert_eq!(told.len(), peers.len(), "{}", self.0);
        for (told, peer) in told.iter().zip(peers) {
            assert!(
                told.starts_with(peer) && told.contains("detail="),
                "{told} is not of {peer}: {}",
                self.0
            );
        }
        assert_eq!(self.total(cause), total, "{}", self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why_and_logged_once() {
    let (place, master, mut beside) = scene().await;
    let endpoint = {
        let any = "127.0.0.1:0".parse().unwrap();
        Endpoint::bind(any, &issue(&place, Role::Slave, "slave-3"), &Default::default()).unwrap()
    };
    let wrong_role = issue(&place, Role::Master, "m2");
    // It trusts both authorities, its own and the master's.
    let own = Authority::create(&Name::new("other").unwrap()).unwrap();
    let theirs = std::fs::read_to_string(place.path().join("pki/ca.pem")).unwrap();
    let issued = own.issue(Role::Slave, &Name::new("slave-1").unwrap(), Duration::from_secs(3600)).unwrap();
    let both = format!("{theirs}{}", own.certificate_pem());
    let stranger = Credentials::from_pem(&both, &issued.certificate_pem, &issued.key_pem).unwrap();
    let connect = |credentials| endpoint.connect_as(credentials, master.address, Expect::role(Role::Master));
    for _ in 0..TIMES {
        let refused = connect(&wrong_role).await.unwrap_err();
        let ConnectError::Refused { reason, .. } = &refused else { panic!("{refused}") };
        assert_eq!(reason.code, CloseCode::Forbidden);
        assert!(reason.detail.as_str().contains("use a certificate of that role"), "{reason}");
        let refused = connect(&stranger).await.unwrap_err();
        assert!(matches!(refused, ConnectError::NotTrusted { .. }), "{refused}");
    }
    beside.served().await;
    Log::of(master, &place).holds(Cause::NotLetIn, &["127.0.0.1"], 2 * TIMES);
}

/// A slave with the id of another, with more than any machine has or runs, and with a task of another; a framework with
/// the id of another.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_is_not_had() {
    let (place, master, mut beside) = scene().await;
    let task = beside.launch().await;
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    let claim = |id, resources, tasks| SlaveToMaster::Register {
        id,
        epoch: Epoch(0),
        resources,
        address: "127.0.0.1:1".into(),
        tasks,
        leaving: false,
    };
    for _ in 0..TIMES {
        slave.say(&claim(Some(SlaveId(1)), Resources::new(4000, 4 << 30), vec![])).await;
    }
    for _ in 0..TIMES {
        assert_eq!(slave.hear::<MasterToSlave>().await, MasterToSlave::Refused(Refused::NotYours));
    }
    let theirs = TaskReport {
        id: task,
        name: Name::new("task").unwrap(),
        resources: Resources::new(1, 1),
        kill_grace: Millis::ZERO,
        fenced: false,
        state: TaskState::Running,
        reason: Reason::Normal,
        number: 7,
    };
    let most = Resources::MACHINE_MAX;
    let more = Resources { mem: most.mem + 1, ..most.clone() };
    let runs = vec![TaskReport { resources: more.clone(), ..theirs.clone() }];
    let claims =
        [("no machine has", claim(None, more, vec![])), ("no machine runs", claim(None, most, runs))];
    for (cause, beyond) in claims {
        for _ in 0..TIMES {
            slave.say(&beyond).await;
        }
        for _ in 0..TIMES {
            let answer = hear_slave(&mut slave).await;
            let MasterToSlave::Refused(Refused::Invalid(why)) = answer else { panic!("{answer:?}") };
            assert!(why.as_str().starts_with(cause), "{why}");
        }
    }
    slave.say(&claim(None, Resources::new(4000, 4 << 30), vec![theirs])).await;
    let registered = hear_slave(&mut slave).await;
    assert!(matches!(registered, MasterToSlave::Registered { id: SlaveId(2), .. }), "{registered:?}");
    let killed = hear_slave(&mut slave).await;
    assert_eq!(killed, MasterToSlave::Kill { task, grace: None, reason: Reason::Unknown });
    // What it says of the task is heard by nobody: the next news of it is of the slave that runs it.
    slave.say(&news(task, 8, TaskState::Failed)).await;
    assert_eq!(hear_slave(&mut slave).await, MasterToSlave::Acknowledge { task, number: 8 });

    let other = issue(&place, Role::Framework, "other");
    let mut framework = Fake::connect_as(&other, master.address).await;
    let taken = subscribe_as("web", Some(WEB), 0, 0);
    for _ in 0..TIMES {
        framework.say(&taken).await;
        let MasterToFramework::Refused(why) = framework.hear().await else { panic!("not refused") };
        assert!(why.as_str().contains("subscribe with the certificate that it began with"), "{why}");
    }
    beside.tell(task, 1, TaskState::Finished).await;
    beside.served().await;
    let log = Log::of(master, &place);
    log.holds(Cause::NotAdmitted, &["slave slave-2", "framework other"], 4 * TIMES);
}

/// What is said twice, too early, or about another's tasks ends the session that it was said on.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_what_no_correct_peer_says_is_cut_off() {
    let (place, master, mut beside) = scene().await;
    let task = beside.launch().await;
    let first = "come before anything else";
    let connect = async || Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    let misbehaved = async |mut peer: Fake, why: &str| {
        let (code, detail) = reason(peer.end().await);
        assert_eq!(code, CloseCode::Misbehaved, "{detail}");
        assert!(detail.contains(why), "{detail} does not say {why:?}");
    };
    let mut id = None;
    for _ in 0..TIMES {
        let mut slave = connect().await;
        slave.say(&news(task, 1, TaskState::Failed)).await;
        slave.say_in_vain(&register()).await;
        misbehaved(slave, first).await;
        let mut slave = connect().await;
        id = Some(slave.register(id).await.0);
        slave.say(&register()).await;
        misbehaved(slave, "one registration a session").await;
    }

    let credentials = issue(&place, Role::Framework, "other");
    let accept = |tasks| FrameworkToMaster::Accept {
        offer: OfferId(1),
        slave: SlaveId(1),
        tasks,
        filter: Millis::ZERO,
    };
    let own = TaskId { framework: FrameworkId(2), number: 1 };
    let small = |id| spec(id, Resources::new(1, 1));
    let anothers = "it names a task of another framework";
    let said = [
        (accept(vec![small(own), small(task)]), anothers),
        (FrameworkToMaster::Kill { task, slave: SlaveId(1), grace: None }, anothers),
        (FrameworkToMaster::Acknowledge { task, number: 1 }, anothers),
        (FrameworkToMaster::Reconcile { tasks: vec![(task, SlaveId(1))] }, anothers),
        (subscribe("other"), "one subscription a session"),
    ];
    let mut subscribed_as = None;
    for _ in 0..TIMES / 5 {
        let mut framework = Fake::connect_as(&credentials, master.address).await;
        framework.say(&accept(vec![small(own)])).await;
        framework.say_in_vain(&subscribe("other")).await;
        misbehaved(framework, first).await;
        for (message, why) in &said {
            let mut framework = Fake::connect_as(&credentials, master.address).await;
            let mut subscription = subscribe("other");
            if let FrameworkToMaster::Subscribe { id, .. } = &mut subscription {
                *id = subscribed_as;
            }
            framework.say(&subscription).await;
            let MasterToFramework::Subscribed { id, .. } = framework.hear().await else {
                panic!("not subscribed");
            };
            subscribed_as = Some(id);
            framework.say(message).await;
            misbehaved(framework, why).await;
        }
    }
    // The slave's next word is the task's end, and not that it was asked to kill it.
    beside.tell(task, 1, TaskState::Finished).await;
    beside.served().await;
    let total = 2 * TIMES + TIMES / 5 * 6;
    Log::of(master, &place).holds(Cause::Misbehaved, &["slave slave-2", "framework other"], total);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_frames_end_their_session() {
    let (place, master, mut beside) = scene().await;
    let frame = |size: usize, body: &[u8]| [&u32::try_from(size).unwrap().to_be_bytes(), body].concat();
    let [slave, operator] =
        [(Role::Slave, "slave-2"), (Role::Operator, "ada")].map(|(role, name)| identity(&place, role, name));
    let wrong = [
        (frame(FRAME_SIZE_MAX + 1, &[]), CloseCode::Misbehaved, "where 1048576 are the most"),
        (frame(0, &[]), CloseCode::Misbehaved, "a frame of no bytes"),
        (frame(3, &[1, 250, 250]), CloseCode::Misbehaved, ""),
        (frame(2, &[99, 0]), CloseCode::Version, ""),
    ];
    for _ in 0..TIMES / 5 {
        for (bytes, code, why) in &wrong {
            let mut raw = Raw::connect(master.address, &slave).await;
            let _closed_by_peer = raw.send.write_all(bytes).await;
            let (told, detail) = raw.end().await;
            assert_eq!(told, Some(*code), "{detail}");
            assert!(detail.contains(why) && !detail.is_empty(), "{detail} does not say {why:?}");
        }
        // Who stops inside a frame is one that has died.
        let mut raw = Raw::connect(master.address, &slave).await;
        raw.send.write_all(&frame(100, &[1; 50])).await.unwrap();
        raw.send.finish().unwrap();
        assert_eq!(raw.end().await, (None, String::new()));
    }
    beside.served().await;

    // Frames that never end hold what has come of them, and no more.
    let before = master.resident();
    let mut endless = Vec::new();
    // A slave's newer session would end the older one.
    for _ in 0..16 {
        let mut raw = Raw::connect(master.address, &operator).await;
        raw.send.write_all(&frame(FRAME_SIZE_MAX, &vec![0; FRAME_SIZE_MAX - 1])).await.unwrap();
        endless.push(raw);
    }
    beside.served().await;
    let grown = master.resident().saturating_sub(before);
    // Each: the frame, its growth by doubling, both windows of the transport.
    let most = 16 * (2 * FRAME_SIZE_MAX as u64 + (1 << 20));
    assert!(grown < most, "it grew by {} KiB", grown >> 10);
    for mut raw in endless {
        raw.send.write_all(&[0]).await.unwrap();
        assert_eq!(raw.end().await.0, Some(CloseCode::Version));
    }
    beside.served().await;
    let total = TIMES / 5 * wrong.len() as u64 + 16;
    Log::of(master, &place).holds(Cause::Unreadable, &["slave slave-2", "operator ada"], total);
}

/// A network that says everything twice and in another order, and somebody who recorded it all and says it again from
/// elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn replayed_and_reordered_packets_say_nothing() {
    let (place, master, mut beside) = scene().await;
    let relay = Relay::start(master.address).await;
    let mut operator = Fake::connect(&place, relay.address, Role::Operator, "ada").await;
    for round in 0..2 {
        for request in 1..=100 {
            let command = Command::Show(Query::Status);
            operator.say(&OperatorToMaster { request: request + 100 * round, command }).await;
        }
        for request in 1..=100 {
            let MasterToOperator::Answer { request: of, answer } = operator.hear().await else {
                panic!("no answer");
            };
            assert_eq!(of, request + 100 * round, "it was asked once, and in order");
            assert!(matches!(&answer, Ok(Answer::Status(status)) if status.slaves == 1), "{answer:?}");
        }
        relay.replay().await;
    }
    beside.served().await;
    let log = Log::of(master, &place);
    assert_eq!(log.told(Cause::Misbehaved), [""; 0], "{}", log.0);
    assert_eq!(log.told(Cause::Unreadable), [""; 0], "{}", log.0);
}

/// As many as are asked for in NEAP_HALF_OPEN, from as many hosts and none of them there; then many from one host, which
/// shows that it is. `NEAP_HALF_OPEN=60000 cargo test -p neap-nodes --test it half_open -- --nocapture`
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_half_open_handshakes_starve_nobody() {
    let count: u16 = std::env::var("NEAP_HALF_OPEN").map_or(10_000, |count| count.parse().unwrap());
    let (place, master, mut beside) = scene().await;
    let before = master.resident();
    let mut half_opener = HalfOpener::new(master.address);
    let (mut handshakes, mut retries) = (0, 0);
    for from in (0..count).step_by(100) {
        let sockets: Vec<_> = (from..count.min(from.saturating_add(100))).map(socket).collect();
        for answered in block_in_place(|| half_opener.begin(&sockets, false)) {
            match answered {
                Answered::Handshake => handshakes += 1,
                Answered::Retry => retries += 1,
                Answered::Nothing => {}
            }
        }
        if from % 1_000 == 0 {
            beside.served().await;
        }
    }
    let grown = master.resident().saturating_sub(before);
    println!(
        "{count} half-open: {handshakes} go on, {retries} are to show that they are there, grown by {} KiB",
        grown >> 10
    );
    assert!(handshakes + retries > u32::from(count) * 9 / 10, "{handshakes} and {retries} were answered");
    assert!(retries > u32::from(count) / 2, "{retries} had to show that they are there");

    let one_host = u16::MAX;
    for _ in 0..20 {
        let sockets: Vec<_> = (0..100).map(|_| socket(one_host)).collect();
        block_in_place(|| half_opener.begin(&sockets, true));
    }
    let mut newcomer = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    assert_eq!(newcomer.register(None).await.0, SlaveId(2));
    beside.served().await;
    let grown = master.resident().saturating_sub(before);
    println!("2,000 more, of one host that is there: grown by {} KiB", grown >> 10);
    assert!(grown < HALF_OPEN_BYTES_MAX, "it grew by {} KiB", grown >> 10);
    let log = Log::of(master, &place);
    assert!(log.total(Cause::HalfOpen) > 0, "{}", log.0);
    assert!(log.told(Cause::HalfOpen).len() <= 32, "{}", log.0);
}

/// A real slave listens to operators. Whoever else comes is refused by it as by a master, while what it is there for goes
/// on: a task is launched, ends, and what it wrote is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_refuses_as_a_master_does() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Slave::start(&place, &master, "slave-1", "");
    let served = |number: u32| {
        let certificates = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
        let run =
            place.neap(&format!("run --masters {} {certificates} --name web -- echo heard", master.address));
        assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
        let read = place.neap(&master.line(&format!("logs F{number}.1")));
        assert_eq!((read.code, read.stdout.as_str()), (Some(0), "heard\n"), "{}", read.stderr);
    };
    block_in_place(|| served(1));
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let show = Query::Slave(SlaveRef::Name(Name::new("slave-1").unwrap()));
    let Answer::Slaves(page) = operator.ask(Command::Show(show)).await.unwrap() else { panic!("no slave") };
    let address = page.items[0].address.as_str().parse().unwrap();

    let web = issue(&place, Role::Framework, "web");
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &web, &Default::default()).unwrap();
    let ada = identity(&place, Role::Operator, "ada");
    let too_large = u32::try_from(FRAME_SIZE_MAX + 1).unwrap().to_be_bytes();
    for _ in 0..TIMES {
        let refused = endpoint.connect(address, Expect::role(Role::Slave)).await.unwrap_err();
        let ConnectError::Refused { reason, .. } = &refused else { panic!("{refused}") };
        assert_eq!(reason.code, CloseCode::Forbidden, "{reason}");
        let mut raw = Raw::connect(address, &ada).await;
        let _closed_by_peer = raw.send.write_all(&too_large).await;
        let (code, detail) = raw.end().await;
        assert_eq!(code, Some(CloseCode::Misbehaved), "{detail}");
    }
    block_in_place(|| {
        let (mut half_opener, mut retries) = (HalfOpener::new(address), 0);
        for host in (0..1_000).step_by(100) {
            let sockets: Vec<_> = (host..host + 100).map(socket).collect();
            let answers = half_opener.begin(&sockets, false);
            retries += answers.iter().filter(|answered| **answered == Answered::Retry).count();
        }
        assert!(retries > 500, "{retries} of 1,000 had to show that they are there");
        // Any process of the host can reach the socket for executors.
        for _ in 0..TIMES {
            let mut executor = UnixStream::connect(place.path().join("slave-1/executor.sock")).unwrap();
            executor.set_read_timeout(Some(PATIENCE)).unwrap();
            executor.write_all(&[0xff; 64]).unwrap();
            let mut told = Vec::new();
            // It is closed with bytes unread: that may be a reset.
            let _closed = executor.read_to_end(&mut told);
        }
        served(2);
    });
    slave.signal(Signal::TERM);
    assert_eq!(slave.exit_code(PATIENCE), Some(0), "{}", slave.log());
    let log = Log(slave.log());
    let process = format!("process {}", std::process::id());
    log.holds(Cause::NotLetIn, &["127.0.0.1", &process], 2 * TIMES);
    log.holds(Cause::Unreadable, &["operator ada"], TIMES);
}

/// Between a client and a server: what the client says is passed on twice, each datagram after the one that follows it.
struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    back: Arc<UdpSocket>,
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
    tasks: [AbortHandle; 2],
}

impl Relay {
    async fn start(server: SocketAddr) -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let front = Arc::new(UdpSocket::bind(any).await.unwrap());
        let back = Arc::new(UdpSocket::bind(any).await.unwrap());
        back.connect(server).await.unwrap();
        let address = front.local_addr().unwrap();
        let recorded = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let (client, clients) = tokio::sync::watch::channel(None);
        let (there, there_back, record) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&recorded));
        let to_server = tokio::spawn(async move {
            let mut datagram = vec![0; 65_536];
            let mut held: Option<Vec<u8>> = None;
            loop {
                // One that nothing follows is not held for long: a client that waits for its answer would be silent.
                let received = tokio::time::timeout(Duration::from_millis(2), there.recv_from(&mut datagram));
                let mut next = match received.await {
                    Ok(received) => {
                        let (size, from) = received.unwrap();
                        client.send_replace(Some(from));
                        Some(datagram[..size].to_vec())
                    }
                    Err(_elapsed) => None,
                };
                record.lock().await.extend(next.clone());
                // The newer first; one that came alone waits for the next.
                let waits = held.is_none() && next.is_some();
                let now: Vec<Vec<u8>> = match waits {
                    true => Vec::new(),
                    false => next.take().into_iter().chain(held.take()).collect(),
                };
                held = held.or(next);
                for datagram in now.iter().flat_map(|datagram| [datagram, datagram]) {
                    let _gone = there_back.send(datagram).await;
                }
            }
        });
        let back_too = Arc::clone(&back);
        let to_client = tokio::spawn(async move {
            let mut datagram = vec![0; 65_536];
            loop {
                let size = back_too.recv(&mut datagram).await.unwrap();
                let client: Option<SocketAddr> = *clients.borrow();
                if let Some(client) = client {
                    let _gone = front.send_to(&datagram[..size], client).await;
                }
            }
        });
        let tasks = [to_server.abort_handle(), to_client.abort_handle()];
        Self { address, server, back, recorded, tasks }
    }

    /// Says everything again, the last first: from where it came, and from elsewhere.
    async fn replay(&self) {
        let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        elsewhere.connect(self.server).await.unwrap();
        for datagram in self.recorded.lock().await.iter().rev() {
            for from in [&*self.back, &elsewhere] {
                let _gone = from.send(datagram).await;
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
