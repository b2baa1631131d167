//! A slave, as a process, against a master that the test plays, over real QUIC.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_protocol::codec;
use neap_protocol::ids::{Epoch, FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{MasterToSlave, SlaveToMaster};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Ending, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::{ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, Endpoint, Listener, QuicReceive, QuicSend};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::Place;

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// No process.
const NONE: [u32; 0] = [];

/// The variable that marks every process of a test's tasks.
const MARK: &str = "NEAP_TEST_MARK";

/// A master that lets slaves in, and the certificates of its cluster.
struct Master {
    place: Place,
    /// The slave's certificate and key.
    slave: (PathBuf, PathBuf),
    listener: Listener,
    address: SocketAddr,
    _endpoint: Endpoint,
}

/// A slave's session, on the master's side.
struct Link {
    send: QuicSend,
    receive: QuicReceive,
}

/// A slave's process. Whatever happens to the test, it takes its trees with it.
struct Slave {
    child: Child,
    data: PathBuf,
    mark: String,
}

impl Master {
    fn new() -> Self {
        let place = Place::new();
        let authority = Authority::create(&Name::new("test").unwrap()).unwrap();
        fs::write(place.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        let (cert, key) = issue(&authority, &place, Role::Master, "m1");
        let slave = issue(&authority, &place, Role::Slave, "s1");
        let credentials = Credentials::load(&place.path().join("ca.pem"), &cert, &key).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint::bind(any, &credentials, &Default::default()).unwrap();
        let listener = endpoint.listen(&[Role::Slave]);
        let address = endpoint.local_address().unwrap();
        Self { place, slave, listener, address, _endpoint: endpoint }
    }

    /// Starts a slave, and waits until it says that it has.
    fn slave(&self, flags: &str) -> Slave {
        self.slave_of(self.address, flags)
    }

    fn slave_of(&self, master: SocketAddr, flags: &str) -> Slave {
        let (slave, said) = self.start(master, flags);
        assert!(said.starts_with("slave s1 offers cpus:2 mem:64M"), "{said:?}: {}", self.log());
        slave
    }

    /// Starts a slave, which may refuse to; and the first line that it says, if it does.
    fn start(&self, master: SocketAddr, flags: &str) -> (Slave, String) {
        let (cert, key) = &self.slave;
        let line = format!(
            "slave --masters {master} --ca ca.pem --cert {} --key {} --data d --cpus 2 --mem 64M --disk 1G {flags}",
            cert.display(),
            key.display()
        );
        let mark = self.place.path().file_name().unwrap().to_str().unwrap().to_owned();
        let stderr =
            fs::File::options().create(true).append(true).open(self.place.path().join("log")).unwrap();
        let mut command = self.place.command(&line);
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("NEAP_LOG", "neap=debug");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut said = String::new();
        let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut said);
        let slave = Slave { child, data: self.place.path().join("d"), mark };
        assert!(read.is_ok(), "{said:?}: {}", self.log());
        (slave, said)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Waits until a slave has logged this.
    async fn logged(&self, text: &str) {
        let since = Instant::now();
        while !self.log().contains(text) {
            assert!(since.elapsed() < PATIENCE, "not logged: {text}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The next slave's session.
    async fn accept(&mut self) -> Link {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let Ok(Some(Ok(session))) = accepted else { panic!("no slave came: {}", self.log()) };
        assert_eq!(session.peer().name.as_str(), "s1");
        let (send, receive) = session.split();
        Link { send, receive }
    }

    /// The next slave's session, admitted as S1; and the tasks that it knows.
    async fn admit(&mut self) -> (Link, Vec<TaskId>) {
        let mut link = self.accept().await;
        let SlaveToMaster::Register { tasks, resources, leaving, .. } = link.hear().await else {
            panic!("the first word is a registration");
        };
        assert!(resources.cpus == 2000 && !leaving);
        link.say(MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(1) }).await;
        (link, tasks.into_iter().map(|task| task.id).collect())
    }
}

fn issue(authority: &Authority, place: &Place, role: Role, name: &str) -> (PathBuf, PathBuf) {
    authority.issue(role, &Name::new(name).unwrap(), VALIDITY).unwrap().save(place.path()).unwrap()
}

impl Link {
    async fn say(&mut self, message: MasterToSlave) {
        self.send.send(&codec::encode(&message).unwrap()).await.unwrap();
    }

    async fn hear(&mut self) -> SlaveToMaster {
        let frame = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap().unwrap();
        codec::decode(&frame).unwrap()
    }

    /// Acknowledges a task's updates until it is in this state.
    async fn until(&mut self, task: TaskId, state: TaskState) -> (Update, Option<Arc<Ending>>) {
        loop {
            let SlaveToMaster::Update { update, ending } = self.hear().await else { continue };
            let number = update.number;
            self.say(MasterToSlave::Acknowledge { task: update.task, number }).await;
            if update.task == task && update.state == state {
                return (update, ending);
            }
            assert!(!update.state.is_terminal(), "{update:?}, not {state}");
        }
    }
}

impl Slave {
    /// A task that runs this script, in an environment that marks every process of it.
    fn task(&self, number: u32, script: &str) -> TaskSpec {
        let command = Command {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![(MARK.into(), self.mark.clone())],
        };
        TaskSpec {
            id: task(number),
            name: Name::new("job").unwrap(),
            resources: Resources::new(100, 1 << 20),
            kill_grace: Millis(200),
            fence_after: None,
            run: Run::Command(Arc::new(command)),
        }
    }

    /// How much its checkpoint has.
    fn written(&self) -> u64 {
        fs::metadata(self.data.join("checkpoint")).map_or(0, |file| file.len())
    }

    fn sandbox(&self, number: u32) -> PathBuf {
        self.data.join(format!("sandboxes/F1/F1.x{number}"))
    }

    /// What lives of this slave's tasks.
    fn survivors(&self) -> Vec<u32> {
        let marked = format!("{MARK}={}\0", self.mark);
        let holds = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(marked.len()).any(|window| window == marked.as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(holds).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "the slave does not exit");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It ends its trees itself; SIGKILL would leave them.
            self.signal(Signal::USR1);
            let since = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for pid in self.survivors() {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
    }
}

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

/// Waits until a task has made this file.
async fn made(file: PathBuf) {
    until(&format!("{} is not made", file.display()), || file.exists()).await;
}

async fn until(missing: &str, so: impl Fn() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < PATIENCE, "{missing}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_task_runs_in_its_sandbox_and_is_finished_when_its_tree_is_dead() {
    let mut master = Master::new();
    let slave = master.slave("--unregister-timeout 1s");
    let (mut link, tasks) = master.admit().await;
    assert_eq!(tasks, []);
    // The grandchild outlives its parent: Finished must wait for it, or end it.
    let script = "echo made > made; echo out; echo err >&2; (sleep 1000 &)";
    link.say(MasterToSlave::Launch(slave.task(1, script))).await;
    let (update, ending) = link.until(task(1), TaskState::Finished).await;
    assert_eq!(slave.survivors(), NONE, "S1: Finished before its tree was dead");
    assert_eq!(update.reason, Reason::Exited(0));
    assert!(ending.unwrap().seen_dead.is_some());
    let read = |name: &str| fs::read_to_string(slave.sandbox(1).join(name)).unwrap();
    assert_eq!(
        (read("made"), read("stdout"), read("stderr")),
        ("made\n".into(), "out\n".into(), "err\n".into())
    );
}

/// Whichever way its executor is started, and whatever that is told.
#[tokio::test]
async fn a_task_gets_nothing_of_what_its_executor_is_told() {
    for trees in ["auto", "subreaper"] {
        let mut master = Master::new();
        let journals = master.place.path().join("journals");
        fs::create_dir(&journals).unwrap();
        let flags = "--unregister-timeout 1s --journal-executors";
        let flags = format!("{flags} {} --process-trees {trees}", journals.display());
        let slave = master.slave(&flags);
        let (mut link, _) = master.admit().await;
        let mut spec = slave.task(1, "");
        let environment = vec![(MARK.into(), slave.mark.clone()), ("OWN".into(), "1".into())];
        spec.run =
            Run::Command(Arc::new(Command { program: "env".into(), environment, ..Command::default() }));
        link.say(MasterToSlave::Launch(spec)).await;
        link.until(task(1), TaskState::Finished).await;
        let printed = fs::read_to_string(slave.sandbox(1).join("stdout")).unwrap();
        let mut names: Vec<_> = printed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["NEAP_LOG", MARK, "OWN", "PATH"], "with {trees}: {printed}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_fails_and_says_why() {
    let mut master = Master::new();
    let slave = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    let mut spec = slave.task(1, "");
    spec.run = Run::Command(Arc::new(Command { program: "no-such-program".into(), ..Command::default() }));
    link.say(MasterToSlave::Launch(spec)).await;
    let (update, _) = link.until(task(1), TaskState::Failed).await;
    assert_eq!(update.reason, Reason::NotStarted);
    assert!(update.message.as_str().contains("no-such-program"), "{:?}", update.message);
}

#[tokio::test]
async fn a_kill_ends_what_ignores_it() {
    let mut master = Master::new();
    let slave = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(
        slave.task(1, "trap '' TERM; echo > ready; while :; do sleep 1000; done"),
    ))
    .await;
    link.until(task(1), TaskState::Running).await;
    made(slave.sandbox(1).join("ready")).await;
    let reason = Reason::KilledByFramework;
    link.say(MasterToSlave::Kill { task: task(1), grace: None, reason }).await;
    let (update, ending) = link.until(task(1), TaskState::Killed).await;
    assert_eq!(slave.survivors(), NONE);
    assert_eq!(update.reason, Reason::KilledByFramework);
    // R23a: what was sent, to the executor and the task's two processes, and when: its grace lies between.
    let ending = ending.unwrap();
    assert!(ending.seen_dead.is_some());
    let asked = ending.signals.iter().find(|sent| sent.signal == 15).expect("asked");
    let forced = ending.signals.iter().find(|sent| sent.signal == 9).expect("forced");
    let processes = ending.signals.iter().filter(|sent| sent.signal == 15).map(|sent| sent.processes);
    assert!(processes.sum::<u32>() >= 3, "{ending:?}");
    assert!(forced.at.0 >= asked.at.0 + 200, "{ending:?}");
}

/// R12a: it saves what it has and exits with 0, its work undone.
#[tokio::test]
async fn a_task_that_exits_well_as_it_is_killed_was_killed() {
    let mut master = Master::new();
    let slave = master.slave("--unregister-timeout 1s --drain-now-grace 60s");
    let (mut link, _) = master.admit().await;
    let obeys = "trap 'exit 0' TERM; echo > ready; while :; do sleep 1000 & wait $!; done";
    for number in [1, 2] {
        let mut spec = slave.task(number, obeys);
        spec.kill_grace = Millis::from_secs(60);
        link.say(MasterToSlave::Launch(spec)).await;
        link.until(task(number), TaskState::Running).await;
        made(slave.sandbox(number).join("ready")).await;
    }
    let reason = Reason::KilledByOperator;
    link.say(MasterToSlave::Kill { task: task(1), grace: None, reason }).await;
    let (update, _) = link.until(task(1), TaskState::Killed).await;
    assert_eq!(update.reason, Reason::KilledByOperator);
    assert!(update.message.as_str().contains("exited with 0"), "{update:?}");
    // So does what drain now has asked: it is lost with its slave.
    slave.signal(Signal::USR1);
    let finals = loop {
        if let SlaveToMaster::Unregister { finals } = link.hear().await {
            break finals;
        }
    };
    let [lost] = &finals.iter().filter(|last| last.update.task == task(2)).collect::<Vec<_>>()[..] else {
        panic!("{finals:?}");
    };
    assert_eq!((lost.update.state, lost.update.reason), (TaskState::Lost, Reason::SlaveUnregistered));
    assert!(lost.update.message.as_str().contains("exited with 0"), "{lost:?}");
}

/// R12a: what had ended before anybody asked has ended by itself, even where its executor has yet to see it.
#[tokio::test]
async fn a_task_that_had_finished_before_its_kill_is_finished() {
    let mut master = Master::new();
    let slave = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    let mut spec = slave.task(1, "kill -STOP $PPID; exit 0");
    spec.kill_grace = Millis::from_secs(600);
    link.say(MasterToSlave::Launch(spec)).await;
    let ended = |pid: u32| stat(pid).is_some_and(|stat| stat.starts_with("Z"));
    until("the end of a task that its executor does not see", || {
        executor_in(&slave.sandbox(1)).is_some_and(|executor| children(executor).iter().copied().any(ended))
    })
    .await;
    let reason = Reason::KilledByOperator;
    link.say(MasterToSlave::Kill { task: task(1), grace: None, reason }).await;
    link.until(task(1), TaskState::Killing).await;
    let executor = executor_in(&slave.sandbox(1)).expect("its executor lives");
    kill_process(Pid::from_raw(executor.cast_signed()).unwrap(), Signal::CONT).unwrap();
    let (update, _) = link.until(task(1), TaskState::Finished).await;
    assert_eq!(update.reason, Reason::Exited(0));
}

/// What follows a process's name in its `stat`: its state, then its parent.
fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

fn processes() -> impl Iterator<Item = u32> {
    let listed = fs::read_dir("/proc").unwrap().flatten();
    listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = stat(*pid).unwrap_or_default();
        stat.split(' ').nth(1) == Some(&parent.to_string())
    };
    processes().filter(is_child).collect()
}

/// The executor whose sandbox this is.
fn executor_in(sandbox: &std::path::Path) -> Option<u32> {
    let is_it = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == sandbox);
        there && name.starts_with("neap")
    };
    processes().find(is_it)
}

/// Ignores SIGTERM, double-forks, changes session, and says when all of it is there.
const HOSTILE: &str = "trap '' TERM
(setsid sh -c 'trap \"\" TERM; (sleep 1000 & echo > there; sleep 1000) & sleep 1000' &)
while [ ! -e there ]; do sleep 0.01; done
echo > ready
while :; do sleep 1000; done";

/// R24, R25, S1, S11.
#[tokio::test]
async fn drain_now_unregisters_only_when_no_process_is_left() {
    let mut master = Master::new();
    let mut slave = master.slave("--unregister-timeout 60s");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(slave.task(1, HOSTILE))).await;
    link.until(task(1), TaskState::Running).await;
    made(slave.sandbox(1).join("ready")).await;
    assert!(slave.survivors().len() >= 5, "the tree is not hostile");
    slave.signal(Signal::USR1);
    let finals = loop {
        if let SlaveToMaster::Unregister { finals } = link.hear().await {
            break finals;
        }
    };
    assert_eq!(slave.survivors(), NONE, "unregistered before everything was dead");
    let [last] = finals.as_slice() else { panic!("{finals:?}") };
    assert_eq!((last.update.state, last.update.reason), (TaskState::Lost, Reason::SlaveUnregistered));
    assert!(last.ending.as_ref().unwrap().signals.iter().any(|sent| sent.signal == 9));
    link.say(MasterToSlave::Unregistered).await;
    assert_eq!(slave.exit_code().await, Some(0), "{}", master.log());
}

/// R26: a master that does not answer does not hold it up.
#[tokio::test]
async fn drain_now_ends_without_an_answer() {
    let mut master = Master::new();
    let mut slave = master.slave("--unregister-timeout 200ms");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(slave.task(1, "sleep 1000"))).await;
    link.until(task(1), TaskState::Running).await;
    slave.signal(Signal::USR1);
    assert_eq!(slave.exit_code().await, Some(6));
    assert_eq!(slave.survivors(), NONE);
    assert!(master.log().contains("no leader has acknowledged that it leaves"), "{}", master.log());
}

/// Whom no master has admitted has nobody to leave.
#[tokio::test]
async fn drain_now_ends_where_there_is_no_master() {
    let master = Master::new();
    // Bound, and nobody speaks QUIC there.
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut slave = master.slave_of(silent.local_addr().unwrap(), "--unregister-timeout 60s");
    slave.signal(Signal::USR1);
    assert_eq!(slave.exit_code().await, Some(0));
    assert!(master.log().contains("no master had admitted it"), "{}", master.log());
}

/// Nor may one stay behind that was admitted while it left.
#[tokio::test]
async fn drain_now_waits_for_who_was_asked_to_admit_it() {
    let mut master = Master::new();
    let mut slave = master.slave("--unregister-timeout 60s");
    let mut link = master.accept().await;
    assert!(matches!(link.hear().await, SlaveToMaster::Register { id: None, .. }));
    slave.signal(Signal::USR1);
    master.logged("leaves: no launches any more").await;
    link.say(MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(1) }).await;
    let SlaveToMaster::Unregister { finals } = link.hear().await else { panic!("it does not unregister") };
    assert_eq!(finals, []);
    link.say(MasterToSlave::Unregistered).await;
    assert_eq!(slave.exit_code().await, Some(0), "{}", master.log());
}

/// R28: killed or told to end, a slave leaves its executors alone, and the next one takes them up.
#[tokio::test]
async fn a_restarted_slave_takes_up_what_was_left() {
    let mut master = Master::new();
    let mut slave = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    let waits = "echo begun >> begun; while [ ! -e go ]; do sleep 0.02; done; exit 7";
    // One after the other: news of the second may come before the first's.
    for (number, script) in [(1, waits), (2, "sleep 1000")] {
        link.say(MasterToSlave::Launch(slave.task(number, script))).await;
        link.until(task(number), TaskState::Running).await;
    }
    made(slave.sandbox(1).join("begun")).await;
    let mut before = Vec::new();
    for signal in [Signal::KILL, Signal::TERM] {
        slave.signal(signal);
        slave.exit_code().await;
        // One that is dropped ends what has its mark.
        let next = master.slave("--unregister-timeout 1s");
        before.push(std::mem::replace(&mut slave, next));
        let (next, tasks) = master.admit().await;
        link = next;
        assert_eq!(tasks, [task(1), task(2)]);
        master.logged("executors that it had left were taken up or ended").await;
        assert_ne!(slave.survivors(), NONE, "{}", master.log());
    }
    // What it does from here on is told as ever, and so is its end.
    fs::write(slave.sandbox(1).join("go"), "").unwrap();
    let (update, ending) = link.until(task(1), TaskState::Failed).await;
    assert_eq!(update.reason, Reason::Exited(7));
    assert!(ending.unwrap().seen_dead.is_some());
    assert_eq!(fs::read_to_string(slave.sandbox(1).join("begun")).unwrap(), "begun\n", "it ran anew");
    // R13, R23a: it can be killed, and the receipt says who was asked.
    let reason = Reason::KilledByFramework;
    link.say(MasterToSlave::Kill { task: task(2), grace: None, reason }).await;
    let (update, ending) = link.until(task(2), TaskState::Killed).await;
    assert_eq!(update.reason, Reason::KilledByFramework);
    let ending = ending.unwrap();
    assert!(ending.signals.iter().any(|sent| sent.signal == 15) && ending.seen_dead.is_some(), "{ending:?}");
    assert_eq!(slave.survivors(), NONE);
}

/// R28: how a task ended while there was no slave is told by the executor that waited for it.
#[tokio::test]
async fn a_task_that_ended_without_its_slave_is_told_as_it_ended() {
    let mut master = Master::new();
    let mut first = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    let waits = "while [ ! -e go ]; do sleep 0.02; done; echo > gone";
    link.say(MasterToSlave::Launch(first.task(1, waits))).await;
    link.until(task(1), TaskState::Running).await;
    first.signal(Signal::KILL);
    first.exit_code().await;
    fs::write(first.sandbox(1).join("go"), "").unwrap();
    made(first.sandbox(1).join("gone")).await;
    let second = master.slave("--unregister-timeout 1s");
    let (mut link, tasks) = master.admit().await;
    assert_eq!(tasks, [task(1)]);
    let (update, _) = link.until(task(1), TaskState::Finished).await;
    assert_eq!(update.reason, Reason::Exited(0));
    assert_eq!(second.survivors(), NONE);
}

/// R28: what ended with its whole tree while there was no slave is Lost.
#[tokio::test]
async fn a_task_whose_tree_died_without_its_slave_is_lost() {
    let mut master = Master::new();
    let mut first = master.slave("--unregister-timeout 1s --recovery-timeout 200ms");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(first.task(1, "exec sleep 1000"))).await;
    link.until(task(1), TaskState::Running).await;
    first.signal(Signal::KILL);
    first.exit_code().await;
    // Its executor does not wait for ever.
    let since = Instant::now();
    while first.survivors() != NONE {
        assert!(since.elapsed() < PATIENCE, "an executor outlives its recovery timeout");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _second = master.slave("--unregister-timeout 1s");
    let (mut link, tasks) = master.admit().await;
    assert_eq!(tasks, [task(1)]);
    let (update, _) = link.until(task(1), TaskState::Lost).await;
    assert_eq!(update.reason, Reason::SlaveRestarted);
}

/// R5, R28: it is told when it is dead, and not before.
#[tokio::test]
async fn a_slave_that_cleans_up_ends_what_was_left_and_reports_it() {
    let mut master = Master::new();
    let mut first = master.slave("--unregister-timeout 1s");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(first.task(1, HOSTILE))).await;
    link.until(task(1), TaskState::Running).await;
    made(first.sandbox(1).join("ready")).await;
    first.signal(Signal::TERM);
    assert_eq!(first.exit_code().await, Some(0));
    assert_ne!(first.survivors(), NONE, "executors outlive their slave");
    let second = master.slave("--unregister-timeout 1s --recover cleanup");
    let (mut link, tasks) = master.admit().await;
    assert_eq!(tasks, [task(1)]);
    let (update, ending) = link.until(task(1), TaskState::Lost).await;
    assert_eq!(second.survivors(), NONE, "it was Lost before it was dead");
    assert_eq!(update.reason, Reason::SlaveRestarted);
    assert!(ending.unwrap().seen_dead.is_some());
}

/// R5, R28: a slave whose files no crash left so does not begin, and touches nothing: what it does not know of may live.
#[tokio::test]
async fn a_slave_whose_files_are_damaged_refuses_and_takes_up_all_when_they_are_mended() {
    // By a means that keeps records.
    let flags = "--unregister-timeout 1s --process-trees subreaper";
    let mut master = Master::new();
    let mut first = master.slave(flags);
    let (mut link, _) = master.admit().await;
    let waits = "mkfifo hold; echo > ready; read x < hold";
    link.say(MasterToSlave::Launch(first.task(1, waits))).await;
    link.until(task(1), TaskState::Running).await;
    made(first.sandbox(1).join("ready")).await;
    first.signal(Signal::KILL);
    first.exit_code().await;
    let (data, living) = (first.data.clone(), first.survivors());
    assert_ne!(living, NONE);
    // One that is dropped ends what has its mark.
    let mut before = vec![first];
    for (file, cause, cure) in [
        (
            "checkpoint",
            "is corrupt at byte 8: its first record is not whole",
            "move {} away: its tasks are then Lost",
        ),
        ("trees/F1.x1.tree", "the record {} of the process tree F1.x1 is damaged", "d/sandboxes/F1/F1.x1 ("),
        ("secret", "use the slave's secret {}: it has 10 bytes and not 36", "put it back as it was"),
    ] {
        let path = data.canonicalize().unwrap().join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..10]).unwrap();
        let (mut refused, _) = master.start(master.address, flags);
        assert_eq!(refused.exit_code().await, Some(1), "{file}: {}", master.log());
        before.push(refused);
        for words in [cause, cure].map(|words| words.replace("{}", &path.display().to_string())) {
            assert!(master.log().contains(&words), "{words}: {}", master.log());
        }
        assert_eq!(fs::read(&path).unwrap(), whole[..10], "{file} was touched");
        assert_eq!(before[0].survivors(), living, "{file}: {}", master.log());
        fs::write(&path, &whole).unwrap();
    }
    let _last = master.slave(flags);
    let (_link, tasks) = master.admit().await;
    assert_eq!(tasks, [task(1)]);
    master.logged("executors that it had left were taken up or ended").await;
    assert_eq!(before[0].survivors(), living);
}

/// R24: who kills a slave while it leaves has the next one finish that.
#[tokio::test]
async fn a_slave_that_was_killed_while_it_left_leaves_when_it_is_started_again() {
    let mut master = Master::new();
    let mut first = master.slave("--unregister-timeout 5s --drain-now-grace 1h");
    let (mut link, _) = master.admit().await;
    link.say(MasterToSlave::Launch(first.task(1, HOSTILE))).await;
    link.until(task(1), TaskState::Running).await;
    made(first.sandbox(1).join("ready")).await;
    let before = first.written();
    first.signal(Signal::USR1);
    assert_eq!(link.hear().await, SlaveToMaster::Leaving);
    // What is written outlives the process, though it may not outlive the machine yet.
    until("it does not write that it leaves", || first.written() > before).await;
    first.signal(Signal::KILL);
    first.exit_code().await;
    assert_ne!(first.survivors(), NONE);
    let mut second = master.slave("--unregister-timeout 5s --drain-now-grace 1h");
    let mut link = master.accept().await;
    let SlaveToMaster::Register { leaving, .. } = link.hear().await else {
        panic!("the first word is a registration");
    };
    assert!(leaving, "it had forgotten that it leaves");
    link.say(MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(1) }).await;
    let finals = loop {
        if let SlaveToMaster::Unregister { finals } = link.hear().await {
            break finals;
        }
    };
    assert_eq!(second.survivors(), NONE, "S1: it unregistered before all were dead");
    assert_eq!(finals[0].update.state, TaskState::Lost);
    link.say(MasterToSlave::Unregistered).await;
    assert_eq!(second.exit_code().await, Some(0));
}
