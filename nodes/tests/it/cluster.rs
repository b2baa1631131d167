//! A real master, as a process, and peers that speak to it over QUIC in the test's own words.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use neap_nodes::config::{Connection, Identity};
use neap_nodes::units::Period;
use neap_protocol::codec::{self, Wire};
use neap_protocol::ids::{BootId, Epoch, Incarnation, SlaveId};
use neap_protocol::message::{MasterToSlave, SlaveToMaster};
use neap_protocol::resources::Resources;
use neap_protocol::text::Name;
use neap_protocol::transport::{Closed, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::certificates::Authority;
use neap_transport_quic::{Credentials, Endpoint, Expect, QuicReceive, QuicSend, QuicSession};

use crate::program::Place;

/// Longer than anything here takes; what waits so long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A place with a CA and certificates in `pki/`.
pub(crate) fn place() -> Place {
    let place = Place::new();
    let ca = Authority::create(&Name::new("test").unwrap()).unwrap();
    ca.save(&place.path().join("pki")).unwrap();
    for (role, name) in [
        (Role::Master, "m1"),
        (Role::Operator, "ada"),
        (Role::Slave, "slave-1"),
        (Role::Slave, "slave-2"),
        (Role::Slave, "slave-3"),
        (Role::Framework, "web"),
    ] {
        let issued = ca.issue(role, &Name::new(name).unwrap(), Duration::from_secs(3600)).unwrap();
        issued.save(&place.path().join("pki")).unwrap();
    }
    place
}

pub(crate) fn identity(place: &Place, role: Role, name: &str) -> Identity {
    // Where `neap up` makes them, or where `place` did.
    let pki =
        ["pki", ".neap/pki"].map(|pki| place.path().join(pki)).into_iter().find(|pki| pki.exists()).unwrap();
    Identity {
        ca: pki.join("ca.pem"),
        cert: pki.join(format!("{role}-{name}.pem")),
        key: pki.join(format!("{role}-{name}.key")),
    }
}

/// What a master that logs writes to.
const LOG: &str = "master.log";

/// A running `neap master`; it is killed with this value.
pub(crate) struct Master {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) epoch: u64,
}

pub(crate) const CERTIFICATES: &str = "--ca pki/ca.pem --cert pki/master-m1.pem --key pki/master-m1.key";

impl Master {
    /// Starts one on a free port, and waits until it leads.
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_with(place, "--listen 127.0.0.1:0")
    }

    /// The same with other flags.
    pub(crate) fn start_with(place: &Place, flags: &str) -> Self {
        Self::spawn(place, flags, ("error", Stdio::inherit()))
    }

    /// Starts one that logs what an operator sees, to be read with [`log`](Self::log).
    pub(crate) fn start_logging(place: &Place) -> Self {
        let log = File::create(place.path().join(LOG)).unwrap();
        Self::spawn(place, "--listen 127.0.0.1:0", ("warn,neap=info", log.into()))
    }

    fn spawn(place: &Place, flags: &str, (level, log): (&str, Stdio)) -> Self {
        let line = format!("-o json master {flags} --data data {CERTIFICATES}");
        let mut command = place.command(&line);
        let mut child = command.env("NEAP_LOG", level).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let line: serde_json::Value = serde_json::from_str(&first).expect("the line of a master that leads");
        let address = line["address"].as_str().unwrap().parse().unwrap();
        Self { child, address, epoch: line["epoch"].as_u64().unwrap() }
    }

    /// All that it has logged so far.
    pub(crate) fn log(place: &Place) -> String {
        std::fs::read_to_string(place.path().join(LOG)).unwrap()
    }

    /// How many bytes of its memory are in use.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes << 10
    }

    /// How many bytes it has written to files and pipes.
    pub(crate) fn written(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; answers with its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    pub(crate) fn operator(&self, place: &Place) -> Connection {
        self.connection(place, Role::Operator, "ada")
    }

    /// What anybody needs to reach it.
    pub(crate) fn connection(&self, place: &Place, role: Role, name: &str) -> Connection {
        Connection {
            masters: vec![self.address],
            identity: identity(place, role, name),
            timeout: Period::from_secs(PATIENCE.as_secs()),
        }
    }

    /// An operator's command line.
    pub(crate) fn line(&self, line: &str) -> String {
        let certificates = "--ca pki/ca.pem --cert pki/operator-ada.pem --key pki/operator-ada.key";
        format!("{line} --masters {} {certificates}", self.address)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a slave says that has neither an id nor tasks.
pub(crate) fn register() -> SlaveToMaster {
    SlaveToMaster::Register {
        id: None,
        incarnation: Incarnation(1),
        boot: BootId(1),
        contested: false,
        epoch: Epoch(0),
        resources: Resources::new(4000, 4 << 30),
        address: "127.0.0.1:1".into(),
        tasks: vec![],
        leaving: false,
    }
}

/// One more certificate of a place's authority.
pub(crate) fn issue(place: &Place, role: Role, name: &str) -> Credentials {
    let pki = place.path().join("pki");
    let ca = Authority::load(&pki).unwrap();
    let issued = ca.issue(role, &Name::new(name).unwrap(), Duration::from_secs(3600)).unwrap();
    Credentials::from_pem(ca.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap()
}

/// A peer that says what a test tells it to.
pub(crate) struct Fake {
    _endpoint: Endpoint,
    pub(crate) send: QuicSend,
    receive: QuicReceive,
}

impl Fake {
    pub(crate) async fn connect(place: &Place, address: SocketAddr, role: Role, name: &str) -> Self {
        let identity = identity(place, role, name);
        let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key).unwrap();
        Self::connect_as(&credentials, address).await
    }

    /// The same with these credentials.
    pub(crate) async fn connect_as(credentials: &Credentials, address: SocketAddr) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let endpoint = Endpoint::bind(any, credentials, &neap_transport_quic::Settings::default()).unwrap();
        let session = endpoint.connect(address, Expect::role(Role::Master)).await.unwrap();
        Self::of(endpoint, session)
    }

    pub(crate) fn of(endpoint: Endpoint, session: QuicSession) -> Self {
        let (send, receive) = session.split();
        Self { _endpoint: endpoint, send, receive }
    }

    pub(crate) async fn say<M: Wire>(&mut self, message: &M) {
        self.send.send(&codec::encode(message).unwrap()).await.unwrap();
    }

    /// Says it to a peer that may have ended the session.
    pub(crate) async fn say_in_vain<M: Wire>(&mut self, message: &M) {
        let _ended = self.send.send(&codec::encode(message).unwrap()).await;
    }

    pub(crate) async fn hear<M: Wire>(&mut self) -> M {
        let frame = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap().unwrap();
        codec::decode(&frame).unwrap()
    }

    /// The next message, or nothing where the session has ended.
    pub(crate) async fn heard<M: Wire>(&mut self) -> Option<M> {
        let frame = self.receive.receive().await.ok()?;
        Some(codec::decode(&frame).unwrap())
    }

    /// How the session ends; what was said before it is passed over.
    pub(crate) async fn end(&mut self) -> Closed {
        loop {
            if let Err(closed) = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap() {
                return closed;
            }
        }
    }

    /// Registers as a slave, and answers with the id that it was given.
    pub(crate) async fn register(&mut self, id: Option<SlaveId>) -> (SlaveId, Epoch) {
        let mut registers = register();
        let SlaveToMaster::Register { id: own, .. } = &mut registers else { unreachable!("it is one") };
        *own = id;
        self.say(&registers).await;
        loop {
            let message: MasterToSlave = self.hear().await;
            if let MasterToSlave::Registered { id, epoch } = message {
                return (id, epoch);
            }
            assert_eq!(message, MasterToSlave::Ping, "not registered");
            self.say(&SlaveToMaster::Pong).await;
        }
    }
}
