//! `neap logs`: what tasks write, from a real slave, by way of a real master.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_nodes::operator::Client;
use neap_protocol::codec;
use neap_protocol::ids::{FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, FrameworkToMaster, LOG_CHUNK_MAX, LogEnd, LogRefusal, LogStream, MasterToFramework, Offered,
    OperatorToSlave, Query, SlaveRef, SlaveToOperator,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Run, TaskSpec, TaskState};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, Closed, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::{ConnectError, Credentials, Endpoint, Expect, QuicReceive, QuicSend};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Fake, Master, PATIENCE, identity, place};
use crate::master::subscribe;
use crate::program::{Ended, Place};

/// A master, a slave, and a framework that the test plays.
struct Cluster {
    // Dropped in this order: the slave leaves while there is a master.
    slave: Slave,
    framework: Framework,
    master: Master,
    place: Place,
}

/// A slave's process. It takes its tasks with it.
struct Slave(Child);

struct Framework {
    fake: Fake,
    offers: Vec<Offered>,
}

impl Cluster {
    async fn start() -> Self {
        let place = place();
        let master = Master::start(&place);
        let mut fake = Fake::connect(&place, master.address, Role::Framework, "web").await;
        fake.say(&subscribe("web")).await;
        let slave = Slave::start(&place, &master);
        Self { slave, framework: Framework { fake, offers: Vec::new() }, master, place }
    }

    fn logs(&self, line: &str) -> std::process::Command {
        self.place.command(&self.master.line(&format!("logs {line}")))
    }

    fn ended(&self, line: &str) -> Ended {
        self.place.neap(&self.master.line(&format!("logs {line}")))
    }

    /// Follows a task; both streams are piped.
    fn follow(&self, task: &str) -> Child {
        let mut command = self.logs(&format!("{task} --follow"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn sandbox(&self, executor: u32) -> PathBuf {
        self.place.path().join(format!("d/sandboxes/F1/F1.x{executor}"))
    }

    /// Where the slave says that operators reach it.
    async fn address(&self) -> SocketAddr {
        let mut operator = Client::new(&self.master.operator(&self.place)).unwrap();
        let slave = SlaveRef::Name(Name::new("slave-1").unwrap());
        let show = neap_protocol::message::Command::Show(Query::Slave(slave));
        let Answer::Slaves(page) = operator.ask(show).await.unwrap() else { panic!("no slave") };
        page.items[0].address.as_str().parse().unwrap()
    }

    /// Whether the slave has a stream of a task open.
    fn reads(&self, file: &str) -> bool {
        let file = self.sandbox(1).join(file);
        let open = fs::read_dir(format!("/proc/{}/fd", self.slave.0.id())).unwrap();
        open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == file))
    }
}

impl Slave {
    fn start(place: &Place, master: &Master) -> Self {
        let line = format!(
            "slave --masters {} --ca pki/ca.pem --cert pki/slave-slave-1.pem --key pki/slave-slave-1.key \
             --data d --cpus 2 --mem 64M --disk 1G --unregister-timeout 10s",
            master.address
        );
        let log = fs::File::options().create(true).append(true).open(place.path().join("log")).unwrap();
        let mut command = place.command(&line);
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("NEAP_LOG", "neap=debug");
        Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.0.wait().unwrap().code()
    }

    /// The most memory that it has had.
    fn memory_max(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signal(Signal::USR1);
            let since = Instant::now();
            while matches!(self.0.try_wait(), Ok(None)) && since.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Framework {
    /// Runs a script as this task, and waits until it runs.
    async fn run(&mut self, number: u32, script: &str) {
        self.launch(&[number], Run::Command(shell(script))).await;
        self.until(number, TaskState::Running).await;
    }

    async fn launch(&mut self, numbers: &[u32], run: Run) {
        while self.offers.is_empty() {
            self.hear().await;
        }
        let offer = self.offers.remove(0);
        let spec = |number: &u32| TaskSpec {
            id: task(*number),
            name: Name::new("job").unwrap(),
            resources: Resources::new(100, 1 << 20),
            kill_grace: Millis(200),
            fence_after: None,
            run: run.clone(),
        };
        let tasks = numbers.iter().map(spec).collect();
        let accept =
            FrameworkToMaster::Accept { offer: offer.id, slave: offer.slave, tasks, filter: Millis::ZERO };
        self.fake.say(&accept).await;
    }

    /// Acknowledges everything until a task is in this state.
    async fn until(&mut self, number: u32, state: TaskState) {
        while self.hear().await != Some((task(number), state)) {}
    }

    async fn hear(&mut self) -> Option<(TaskId, TaskState)> {
        match self.fake.hear().await {
            MasterToFramework::Offers(offers) => self.offers.extend(offers),
            MasterToFramework::Rescind(gone) => self.offers.retain(|offer| !gone.contains(&offer.id)),
            MasterToFramework::Update { update, .. } => {
                let acknowledge = FrameworkToMaster::Acknowledge { task: update.task, number: update.number };
                self.fake.say(&acknowledge).await;
                return Some((update.task, update.state));
            }
            _ => {}
        }
        None
    }
}

/// A session with a slave in the test's own words.
struct Reader {
    _endpoint: Endpoint,
    send: QuicSend,
    receive: QuicReceive,
}

impl Reader {
    async fn connect(cluster: &Cluster) -> Self {
        let endpoint = endpoint(&cluster.place, Role::Operator, "ada");
        let slave = Expect::role(Role::Slave);
        let (send, receive) = endpoint.connect(cluster.address().await, slave).await.unwrap().split();
        Self { _endpoint: endpoint, send, receive }
    }

    async fn ask(&mut self, number: u32, from: u64, follow: bool) {
        let stream = LogStream::Stdout;
        let read = OperatorToSlave::Read { task: task(number), stream, from, follow };
        self.send.send(&codec::encode(&read).unwrap()).await.unwrap();
    }

    async fn hear(&mut self) -> SlaveToOperator {
        let frame = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap().unwrap();
        codec::decode(&frame).unwrap()
    }

    async fn end(&mut self) -> Closed {
        loop {
            if let Err(closed) = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap() {
                return closed;
            }
        }
    }
}

fn endpoint(place: &Place, role: Role, name: &str) -> Endpoint {
    let identity = identity(place, role, name);
    let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key).unwrap();
    Endpoint::bind("127.0.0.1:0".parse().unwrap(), &credentials, &Default::default()).unwrap()
}

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn shell(script: &str) -> Arc<Command> {
    let arguments = vec!["-c".into(), script.into()];
    Arc::new(Command { program: "sh".into(), arguments, environment: vec![] })
}

/// Waits until something is so.
async fn becomes(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}: it does not become so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A script that goes on once the test has made the file `go` in its sandbox.
const AWAIT_GO: &str = "while [ ! -e go ]; do sleep 0.01; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_followed_until_it_ends() {
    let mut cluster = Cluster::start().await;
    let script = format!("echo out 1; echo err 1 >&2; {AWAIT_GO}; echo out 2; echo err 2 >&2; printf end");
    cluster.framework.run(1, &script).await;
    let mut follower = cluster.follow("F1.1");
    let mut out = BufReader::new(follower.stdout.take().unwrap());
    let mut err = BufReader::new(follower.stderr.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    err.read_line(&mut line).unwrap();
    assert_eq!(line, "out 1\nerr 1\n", "it comes while the task runs");
    let so_far = cluster.ended("F1.1");
    assert_eq!(
        (so_far.code, so_far.stdout.as_str(), so_far.stderr.as_str()),
        (Some(0), "out 1\n", "err 1\n"),
        "who does not follow has what there is"
    );
    fs::write(cluster.sandbox(1).join("go"), "").unwrap();
    let (mut out_rest, mut err_rest) = (String::new(), String::new());
    out.read_to_string(&mut out_rest).unwrap();
    err.read_to_string(&mut err_rest).unwrap();
    assert_eq!((out_rest.as_str(), err_rest.as_str()), ("out 2\nend", "err 2\n"));
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    cluster.framework.until(1, TaskState::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_task_wrote_is_given_byte_for_byte() {
    let mut cluster = Cluster::start().await;
    let size = 5 * LOG_CHUNK_MAX + 7;
    let script = format!("head -c {size} /dev/urandom | tee copy; printf 'a\\n\\377\\000' >&2");
    cluster.framework.run(1, &script).await;
    cluster.framework.until(1, TaskState::Finished).await;
    let copy = fs::read(cluster.sandbox(1).join("copy")).unwrap();
    assert_eq!(copy.len(), size);
    for flags in ["", "--follow"] {
        let read = cluster.logs(&format!("F1.1 {flags}")).output().unwrap();
        assert_eq!(read.status.code(), Some(0));
        assert!(read.stdout == copy, "{} bytes of {size}, or others", read.stdout.len());
        assert_eq!(read.stderr, b"a\n\xff\0");
    }
    let json = cluster.ended("F1.1 --output json");
    let lines = json.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let err: Vec<_> = lines.filter(|line| line["stream"] == "stderr").collect();
    assert_eq!(
        err,
        [
            serde_json::json!({ "task": "F1.1", "stream": "stderr", "data": "a\n" }),
            serde_json::json!({ "task": "F1.1", "stream": "stderr", "hex": "ff00" }),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_frameworks_own_executor_have_what_it_wrote() {
    let mut cluster = Cluster::start().await;
    // The built-in executor in the place of one: it takes tasks, and fails those that bring no command.
    let script = format!("echo shared; echo error >&2; exec {} executor", env!("CARGO_BIN_EXE_neap"));
    let own = Run::Executor { number: 2, command: shell(&script), data: Arc::default() };
    // One after the other: without a task it exits, and what it has not heard of by then fails with it.
    for number in [3, 5] {
        cluster.framework.launch(&[number], own.clone()).await;
        cluster.framework.until(number, TaskState::Failed).await;
    }
    // They share its sandbox, where the second incarnation goes on.
    for task in ["F1.3", "F1.5"] {
        let read = cluster.ended(task);
        assert_eq!((read.code, read.stdout.as_str()), (Some(0), "shared\nshared\n"), "{}", read.stderr);
        assert!(read.stderr.starts_with("error\n"), "{}", read.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_not_known_is_refused_with_those_that_are() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "true").await;
    cluster.framework.until(1, TaskState::Finished).await;
    let unknown = cluster.ended("F1.2");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(3), ""));
    assert!(
        unknown.stderr.contains("error: unknown task 'F1.2'\nhelp: did you mean F1.1?"),
        "{}",
        unknown.stderr
    );
    fs::remove_dir_all(cluster.sandbox(1)).unwrap();
    let gone = cluster.ended("F1.1 --follow");
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(3), ""));
    assert!(gone.stderr.contains("slave-1 (S1): the slave has no sandbox of F1.1"), "{}", gone.stderr);
    assert!(gone.stderr.contains("help: "), "{}", gone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_has_gone_is_named_and_gives_everything_when_it_is_back() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "echo kept; sleep 1000").await;
    becomes("written", || fs::read(cluster.sandbox(1).join("stdout")).is_ok_and(|text| !text.is_empty()))
        .await;
    // Its tree goes on, and the next start takes it up.
    cluster.slave.end(Signal::KILL);
    let unreached = cluster.ended("F1.1 --timeout 1s");
    assert_eq!(unreached.code, Some(1), "{}", unreached.stdout);
    assert!(
        unreached.stderr.contains("failed to reach slave-1 (S1), where F1.1 ran"),
        "{}",
        unreached.stderr
    );
    assert!(unreached.stderr.contains("start it again"), "{}", unreached.stderr);

    cluster.slave = Slave::start(&cluster.place, &cluster.master);
    becomes("back", || cluster.ended("F1.1").code == Some(0)).await;
    let back = cluster.ended("F1.1");
    assert_eq!((back.code, back.stdout.as_str()), (Some(0), "kept\n"), "{}", back.stderr);

    assert_eq!(cluster.slave.end(Signal::USR1), Some(0));
    let left = cluster.ended("F1.1");
    assert_eq!(left.code, Some(3), "{}", left.stdout);
    assert!(left.stderr.contains("F1.1 ran on slave-1 (S1), which has left for good"), "{}", left.stderr);
    assert!(left.stderr.contains("sandboxes/F1/F1.x1"), "{}", left.stderr);
    assert!(cluster.sandbox(1).join("stdout").exists(), "it is where the help says");

    // It registers as S2, and is the same host.
    cluster.slave = Slave::start(&cluster.place, &cluster.master);
    while !cluster.framework.offers.iter().any(|offer| offer.slave == SlaveId(2)) {
        cluster.framework.hear().await;
    }
    let again = cluster.ended("F1.1");
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "kept\n"), "{}", again.stderr);
}

/// Drain now: the end of a task is told before its slave is gone. A slave that only ends says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_ends_tells_its_followers() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "echo begun; sleep 1000").await;
    let begun = |follower: &mut Child| {
        let mut line = String::new();
        BufReader::new(follower.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
    };
    let mut follower = cluster.follow("F1.1");
    begun(&mut follower);
    assert_eq!(cluster.slave.end(Signal::TERM), Some(0));
    let told = follower.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{text}");
    assert!(
        text.contains("was lost: closed by the peer: shutting down: the slave was told to end"),
        "{text}"
    );

    cluster.slave = Slave::start(&cluster.place, &cluster.master);
    becomes("back", || cluster.ended("F1.1").code == Some(0)).await;
    let mut follower = cluster.follow("F1.1");
    begun(&mut follower);
    assert_eq!(cluster.slave.end(Signal::USR1), Some(0));
    let ended = follower.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_goes_away_leaves_nothing_open() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "echo begun; sleep 1000").await;
    let mut follower = cluster.follow("F1.1");
    let mut line = String::new();
    BufReader::new(follower.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    becomes("both are open", || cluster.reads("stdout") && cluster.reads("stderr")).await;
    kill_process(Pid::from_child(&follower), Signal::INT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(0), "Ctrl-C is how a follower is ended");
    becomes("both are closed", || !cluster.reads("stdout") && !cluster.reads("stderr")).await;
    assert_eq!(cluster.ended("F1.1").stdout, "begun\n");
}

/// What a reader does not take is not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_slow_costs_no_memory_and_loses_nothing() {
    const SIZE: usize = 48 << 20;
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, &format!("head -c {SIZE} /dev/zero")).await;
    cluster.framework.until(1, TaskState::Finished).await;
    let before = cluster.slave.memory_max();
    let mut reader = Reader::connect(&cluster).await;
    reader.ask(1, 0, true).await;
    let mut follower = cluster.follow("F1.1");
    becomes("it is read", || cluster.reads("stdout")).await;
    // Nobody takes anything but this, which needs the slave for every chunk.
    for _ in 0..20 {
        assert_eq!(cluster.ended("F1.9").code, Some(3));
        assert!(matches!(reader.hear().await, SlaveToOperator::Chunk { .. }));
    }
    let mut size = 0;
    let mut chunk = vec![0; 1 << 20];
    let mut out = follower.stdout.take().unwrap();
    loop {
        match out.read(&mut chunk).unwrap() {
            0 => break,
            read => size += read,
        }
    }
    assert_eq!((size, follower.wait().unwrap().code()), (SIZE, Some(0)));
    let grown = cluster.slave.memory_max() - before;
    assert!(grown < 16 << 20, "{grown} bytes for readers that do not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_lets_operators_in_and_nobody_else() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "true").await;
    let address = cluster.address().await;
    for (role, name) in [(Role::Framework, "web"), (Role::Slave, "slave-2"), (Role::Master, "m1")] {
        let endpoint = endpoint(&cluster.place, role, name);
        let refused = endpoint.connect(address, Expect::role(Role::Slave)).await.unwrap_err();
        assert!(
            matches!(&refused, ConnectError::Refused { reason, .. } if reason.code == CloseCode::Forbidden),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_streams_that_it_asks_for_and_no_nonsense() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "echo 0123456789; sleep 1000").await;
    becomes("written", || fs::read(cluster.sandbox(1).join("stdout")).is_ok_and(|text| text.len() == 11))
        .await;
    let mut reader = Reader::connect(&cluster).await;
    let stream = LogStream::Stdout;
    for (from, rest) in [(0, "0123456789\n"), (4, "456789\n"), (11, ""), (u64::MAX, "")] {
        reader.ask(1, from, false).await;
        if !rest.is_empty() {
            let chunk = SlaveToOperator::Chunk { stream, at: from, data: rest.as_bytes().into() };
            assert_eq!(reader.hear().await, chunk);
        }
        assert_eq!(reader.hear().await, SlaveToOperator::End { stream, end: LogEnd::Running });
    }
    reader.ask(7, 0, true).await;
    let refusal = LogRefusal::NoSandbox(task(7));
    assert_eq!(reader.hear().await, SlaveToOperator::Refused { stream: Some(stream), refusal });
    // Twice at once.
    reader.ask(1, 0, true).await;
    reader.ask(1, 0, true).await;
    let end = reader.end().await;
    assert!(matches!(&end, Closed::Peer(reason) if reason.code == CloseCode::Misbehaved), "{end:?}");
    let mut garbage = Reader::connect(&cluster).await;
    garbage.send.send(&[codec::VERSION, 250, 250]).await.unwrap();
    let end = garbage.end().await;
    assert!(matches!(&end, Closed::Peer(reason) if reason.code == CloseCode::Misbehaved), "{end:?}");
    assert_eq!(cluster.ended("F1.1").stdout, "0123456789\n", "nobody else is disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_beyond_the_bound_are_told_so() {
    let mut cluster = Cluster::start().await;
    cluster.framework.run(1, "echo begun; sleep 1000").await;
    let mut readers = Vec::new();
    let busy = loop {
        let mut reader = Reader::connect(&cluster).await;
        // One that is turned away may be gone before it has asked.
        let read = OperatorToSlave::Read { task: task(1), stream: LogStream::Stdout, from: 0, follow: true };
        let _gone = reader.send.send(&codec::encode(&read).unwrap()).await;
        match reader.hear().await {
            SlaveToOperator::Chunk { .. } => readers.push(reader),
            other => break other,
        }
        assert!(readers.len() <= 64, "there is no bound");
    };
    assert_eq!(busy, SlaveToOperator::Refused { stream: None, refusal: LogRefusal::Busy });
    let refused = cluster.ended("F1.1");
    assert_eq!(refused.code, Some(3), "{}", refused.stdout);
    assert!(refused.stderr.contains("as many operators"), "{}", refused.stderr);
    readers.clear();
    becomes("there is room again", || cluster.ended("F1.1").code == Some(0)).await;
}
