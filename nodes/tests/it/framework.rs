//! `neap run`, as a process, against a master that the test plays, over real QUIC.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use neap_protocol::codec;
use neap_protocol::ids::{Epoch, FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::{
    FrameworkToMaster, InverseAnswer, InverseAsk, InverseOutcome, MasterToFramework, Offered,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, Endpoint, Listener, QuicReceive, QuicSend};
use rustix::process::Signal;

use crate::deployed::{Live, lines};
use crate::disk::Small;
use crate::program::Place;
use crate::up::signal;

const PATIENCE: Duration = Duration::from_secs(60);

/// `neap run`, subscribed to the test's master.
struct Running {
    place: Place,
    line: String,
    child: Child,
    send: QuicSend,
    receive: QuicReceive,
    listener: Listener,
    _endpoint: Endpoint,
}

impl Running {
    async fn start(flags: &str) -> Self {
        let place = Place::new();
        let authority = Authority::create(&Name::new("test").unwrap()).unwrap();
        let ca = place.path().join("ca.pem");
        fs::write(&ca, authority.certificate_pem()).unwrap();
        let issue = |role, name: &str| {
            let issued = authority.issue(role, &Name::new(name).unwrap(), VALIDITY).unwrap();
            issued.save(place.path()).unwrap()
        };
        let (cert, key) = issue(Role::Master, "m1");
        let credentials = Credentials::load(&ca, &cert, &key).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint::bind(any, &credentials, &Default::default()).unwrap();
        let mut listener = endpoint.listen(&[Role::Framework]);
        let master = endpoint.local_address().unwrap();
        let (cert, key) = issue(Role::Framework, "f");
        let (cert, key) = (cert.display(), key.display());
        let line = format!(
            "run --output json --masters {master} --ca ca.pem --cert {cert} --key {key} --name f {flags}"
        );
        let (child, send, receive) = spawn(&place, &line, &mut listener).await;
        let mut running = Self { place, line, child, send, receive, listener, _endpoint: endpoint };
        assert!(matches!(running.hear().await, FrameworkToMaster::Subscribe { id: None, .. }));
        running.welcome().await;
        running
    }

    async fn welcome(&mut self) {
        self.say(MasterToFramework::Subscribed { id: FrameworkId(1), epoch: Epoch(1), highest_task: 0 })
            .await;
    }

    /// kill -9, and the same command again, up to its subscription.
    async fn kill_and_start_again(&mut self) -> FrameworkToMaster {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.send, self.receive) = spawn(&self.place, &self.line, &mut self.listener).await;
        self.hear().await
    }

    async fn say(&mut self, message: MasterToFramework) {
        self.send.send(&codec::encode(&message).unwrap()).await.unwrap();
    }

    async fn hear(&mut self) -> FrameworkToMaster {
        let frame = tokio::time::timeout(PATIENCE, self.receive.receive()).await.unwrap().unwrap();
        codec::decode(&frame).unwrap()
    }

    /// Hears what `wanted` picks; the rest (acknowledgements, reconciliations, appetite) is passed over.
    async fn hear_of<T>(&mut self, wanted: impl Fn(FrameworkToMaster) -> Option<T>) -> T {
        loop {
            if let Some(heard) = wanted(self.hear().await) {
                return heard;
            }
        }
    }

    /// Offers this many cpus of a slave, and answers what is launched there.
    async fn offer(&mut self, offer: u64, slave: u32, cpus: u64) -> Vec<TaskSpec> {
        let name = Name::new(&format!("s{slave}")).unwrap();
        let resources = Resources::new(cpus * 1000, 1 << 30);
        let offered = Offered { id: OfferId(offer), slave: SlaveId(slave), name, resources };
        self.say(MasterToFramework::Offers(vec![offered])).await;
        self.hear_of(|message| match message {
            FrameworkToMaster::Accept { tasks, .. } => Some(tasks),
            FrameworkToMaster::Decline { .. } => Some(Vec::new()),
            _ => None,
        })
        .await
    }

    /// An inverse offer is over.
    async fn asks_no_more(&mut self) {
        let (id, outcome) = (InverseOfferId(1), InverseOutcome::Cancelled);
        self.say(MasterToFramework::InverseOfferClosed { id, outcome }).await;
    }

    /// Hears which task is ended.
    async fn kills(&mut self) -> TaskId {
        self.hear_of(|message| match message {
            FrameworkToMaster::Kill { task, .. } => Some(task),
            _ => None,
        })
        .await
    }

    /// Hears that offers are wanted again, and that nothing is ended before.
    async fn revives(&mut self) {
        self.hear_of(|message| match message {
            FrameworkToMaster::Kill { task, .. } => panic!("{task} is ended"),
            message => (message == FrameworkToMaster::Revive).then_some(()),
        })
        .await
    }

    /// What it says on stderr, as it comes.
    fn stderr(&mut self) -> std::sync::mpsc::Receiver<String> {
        lines(self.child.stderr.take().unwrap())
    }

    /// Asks for all that it has on a slave, within an hour.
    async fn asks_back(&mut self, slave: u32) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let deadline = Moment(u64::try_from(now).unwrap()).after(Millis::from_secs(3600));
        self.say(MasterToFramework::InverseOffer {
            id: InverseOfferId(1),
            slave: SlaveId(slave),
            name: Name::new(&format!("s{slave}")).unwrap(),
            ask: InverseAsk::Everything,
            deadline,
            reason: Text::new("maintenance"),
        })
        .await;
    }

    async fn update(&mut self, task: TaskId, number: u32, slave: u32, state: TaskState, reason: Reason) {
        let update = Update { task, number, state, reason, message: Text::EMPTY };
        self.say(MasterToFramework::Update { update, slave: SlaveId(slave) }).await;
        let acknowledged = self.hear_of(|message| match message {
            FrameworkToMaster::Acknowledge { task, number } => Some((task, number)),
            FrameworkToMaster::Kill { task, .. } => panic!("{task} is ended"),
            _ => None,
        });
        assert_eq!(acknowledged.await, (task, number));
    }

    async fn torn_down(mut self) -> (Option<i32>, Vec<serde_json::Value>) {
        self.hear_of(|message| (message == FrameworkToMaster::Teardown).then_some(())).await;
        self.refused().await
    }

    /// It is told that it is torn down, and ends.
    async fn refused(mut self) -> (Option<i32>, Vec<serde_json::Value>) {
        self.say(MasterToFramework::Refused(Text::new("it is torn down"))).await;
        let mut pipe = self.child.stdout.take().unwrap();
        // Beside the runtime, which has that word to send.
        let read = tokio::task::spawn_blocking(move || std::io::read_to_string(&mut pipe).unwrap());
        let stdout = read.await.unwrap();
        let code = self.child.wait().unwrap().code();
        (code, stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

async fn spawn(place: &Place, line: &str, listener: &mut Listener) -> (Child, QuicSend, QuicReceive) {
    let mut child = place.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
    let Ok(Some(Ok(session))) = accepted else {
        let _ = child.kill();
        panic!("the framework did not come");
    };
    let (send, receive) = session.split();
    (child, send, receive)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _kept_until_here = self.place.path();
    }
}

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

#[tokio::test]
async fn a_batch_ends_when_every_instance_has_succeeded() {
    let mut run = Running::start("--instances 2 --cpus 1 -- true").await;
    let tasks = run.offer(1, 1, 1).await;
    assert_eq!(tasks.len(), 1, "one cpu, one task");
    assert!(matches!(&tasks[0].run, Run::Command(command) if command.program == "true"));
    let more = run.offer(2, 2, 8).await;
    assert_eq!(more.len(), 1, "no more than is wanted");
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.update(task(1), 2, 1, TaskState::Finished, Reason::Exited(0)).await;
    // What is lost starts anew, at once.
    run.update(task(2), 1, 2, TaskState::Lost, Reason::SlaveUnregistered).await;
    let again = run.offer(3, 1, 8).await;
    assert_eq!(again.iter().map(|spec| spec.id).collect::<Vec<_>>(), [task(3)]);
    run.update(task(3), 1, 1, TaskState::Finished, Reason::Exited(0)).await;
    let (code, lines) = run.torn_down().await;
    assert_eq!((code, lines.len()), (Some(0), 4));
    assert_eq!((&lines[1]["task"], &lines[1]["slave"]), (&"F1.1".into(), &"s1".into()));
    assert_eq!((&lines[2]["state"], &lines[2]["reason"]), (&"Lost".into(), &"SlaveUnregistered".into()));
    assert!(lines[0]["time"].is_string() && lines[0]["message"].is_string());
}

#[tokio::test]
async fn a_batch_that_fails_for_good_exits_with_1() {
    let mut run = Running::start("-- false").await;
    for number in 1..=3 {
        // It asks again once its delay is over; until then an offer is declined.
        if number > 1 {
            run.hear_of(|message| (message == FrameworkToMaster::Revive).then_some(())).await;
        }
        assert_eq!(run.offer(number.into(), 1, 1).await.len(), 1);
        run.update(task(number), 1, 1, TaskState::Failed, Reason::Exited(1)).await;
    }
    let (code, lines) = run.torn_down().await;
    assert_eq!((code, lines.len()), (Some(1), 3));
}

/// R17: the replacement runs before the old task is ended.
#[tokio::test]
async fn a_service_moves_off_a_slave_that_is_asked_back() {
    let mut run = Running::start("--service --min-healthy 200ms -- server").await;
    assert_eq!(run.offer(1, 1, 1).await.len(), 1);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.asks_back(1).await;
    let answer = run.hear_of(|message| match message {
        FrameworkToMaster::AnswerInverse { answer, .. } => Some(answer),
        _ => None,
    });
    assert_eq!(answer.await, InverseAnswer::Accept { rather: vec![task(1)] });
    assert_eq!(run.offer(2, 1, 4).await, [], "it moves to where it leaves");
    assert_eq!(run.offer(3, 2, 4).await.len(), 1);
    run.update(task(2), 1, 2, TaskState::Running, Reason::Normal).await;
    let began = Instant::now();
    assert_eq!(run.kills().await, task(1));
    assert!(began.elapsed() >= Duration::from_millis(100), "it had hardly begun: {:?}", began.elapsed());
    run.update(task(1), 2, 1, TaskState::Killed, Reason::KilledByFramework).await;
    signal(&run.child, Signal::TERM);
    let (code, _) = run.torn_down().await;
    assert_eq!(code, Some(0));
}

/// A replacement that dies early is tried again, and what it would replace stays.
#[tokio::test]
async fn a_service_keeps_what_it_has_until_its_replacement_stays() {
    let mut run = Running::start("--service --min-healthy 1s -- server").await;
    assert_eq!(run.offer(1, 1, 1).await.len(), 1);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.asks_back(1).await;
    for number in [2, 3] {
        run.revives().await;
        assert_eq!(run.offer(number.into(), 2, 4).await[0].id, task(number));
        run.update(task(number), 1, 2, TaskState::Running, Reason::Normal).await;
        run.update(task(number), 2, 2, TaskState::Failed, Reason::Exited(1)).await;
    }
    run.revives().await;
    assert_eq!(run.offer(9, 2, 4).await[0].id, task(4));
    run.update(task(4), 1, 2, TaskState::Running, Reason::Normal).await;
    assert_eq!(run.kills().await, task(1));
}

/// R20: what was asked is not wanted any more: there are as many as were asked for, also after kill -9.
#[tokio::test]
async fn a_service_has_one_when_what_was_asked_back_may_stay() {
    let mut run = Running::start("--service --id one --state-dir state -- server").await;
    assert_eq!(run.offer(1, 1, 1).await.len(), 1);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.asks_back(1).await;
    run.revives().await;
    assert_eq!(run.offer(2, 2, 4).await[0].id, task(2));
    run.asks_no_more().await;
    assert_eq!(run.kills().await, task(2), "it does not run yet");
    run.update(task(2), 1, 2, TaskState::Killed, Reason::KilledByFramework).await;
    // The same, and the process is gone when it is over.
    run.asks_back(1).await;
    run.revives().await;
    assert_eq!(run.offer(3, 2, 4).await[0].id, task(3));
    run.update(task(3), 1, 2, TaskState::Running, Reason::Normal).await;
    let again = run.kill_and_start_again().await;
    assert!(matches!(again, FrameworkToMaster::Subscribe { id: Some(FrameworkId(1)), .. }), "{again:?}");
    run.welcome().await;
    assert_eq!(run.offer(4, 2, 4).await, []);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.update(task(3), 1, 2, TaskState::Running, Reason::Normal).await;
    assert_eq!(run.kills().await, task(3), "it has run for less long");
}

/// What is told to end says at once what it does, and ends at once when it is told again.
#[tokio::test]
async fn a_run_that_is_told_to_end_answers_at_once() {
    for told in [Signal::INT, Signal::TERM] {
        let mut run = Running::start("--instances 2 -- true").await;
        let stderr = run.stderr();
        assert_eq!(run.offer(1, 1, 4).await.len(), 2);
        signal(&run.child, told);
        let said = tokio::task::spawn_blocking(move || (stderr.recv_timeout(PATIENCE).unwrap(), stderr));
        let (said, stderr) = said.await.unwrap();
        assert_eq!(said, "ending 2 tasks; the same signal again leaves at once");
        run.hear_of(|message| (message == FrameworkToMaster::Teardown).then_some(())).await;
        // The master does not answer.
        signal(&run.child, told);
        let said = tokio::task::spawn_blocking(move || stderr.recv_timeout(PATIENCE).unwrap()).await.unwrap();
        assert!(said.contains("no leader has confirmed that the tasks are ended"), "{said}");
    }
}

/// Without a leader there is nobody to wait for.
#[test]
fn a_run_without_a_leader_is_ended_by_the_first_signal() {
    let live = Live::start(1);
    for (flags, told) in [("", Signal::INT), ("--id x --state-dir state", Signal::TERM)] {
        // Of each its own: it has heard nobody before.
        let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = format!("run --name f {flags} --masters {} -- true", silent.local_addr().unwrap());
        let mut run = live.place.command(&line).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = lines(run.stderr.take().unwrap());
        // It has dialled: the test's socket has heard it.
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        silent.recv(&mut [0; 2048]).unwrap();
        let began = Instant::now();
        signal(&run, told);
        assert_eq!(run.wait().unwrap().code(), Some(4));
        // Much less than a session takes that is not answered.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let said: Vec<String> = stderr.iter().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(said, ["error: it was told to end before a leader was reached: nothing was started"]);
    }
}

/// Who reads a run's output goes away: its tasks go on, and are kept running.
#[test]
fn output_that_cannot_be_written_ends_no_task() {
    for flags in ["", "--id web --state-dir state"] {
        let mut live = Live::start(1);
        let line = format!("run --name web {flags} --instances 2 --service -- sleep 1000");
        let mut run =
            live.place.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = lines(run.stderr.take().unwrap());
        let task = live.task_is("Running");
        live.task_is("Running");
        drop(run.stdout.take());
        live.text(&format!("kill {task}"));
        // It starts again, and that is told to nobody.
        live.task_is("Running");
        let said = stderr.recv_timeout(PATIENCE).unwrap();
        let expected = "the output cannot be written: Broken pipe (os error 32); the tasks go on without it";
        assert_eq!(said, expected);
        assert_eq!(live.tasks().len(), 2);
        signal(&run, Signal::USR1);
        assert_eq!(run.wait().unwrap().code(), Some(0), "a service that was told to end");
        let rest: Vec<String> = stderr.iter().collect();
        assert_eq!(rest, ["ending 2 tasks; the same signal again leaves at once"], "it is said once");
    }
}

/// Nobody reads a run's output, and the pipes are full: its tasks are ended, told and acknowledged all the same.
#[test]
fn output_that_is_not_read_holds_no_task_up() {
    let mut live = Live::start(1);
    let [out, err] = [(); 2].map(|()| {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&write, 4096).unwrap();
        (read, write)
    });
    let line = "run -vvvv --name many --instances 60 --cpus 0.01 --mem 1M -- true";
    let mut run = live.place.command(line).stdout(out.1).stderr(err.1).spawn().unwrap();
    live.happens(|event| event["event"] == "framework-removed");
    let told = lines(fs::File::from(out.0));
    let told: Vec<String> = told.iter().filter(|line| line.contains("Finished")).collect();
    assert_eq!((told.len(), run.wait().unwrap().code()), (60, Some(0)), "what is read late is all there");
    drop(err.0);
}

/// How often a batch may fail is said, and can be set.
#[test]
fn a_batch_is_given_up_after_as_many_attempts_as_it_has() {
    let live = Live::start(1);
    for (flags, attempts) in [("--attempts 1", "1 attempt"), ("--attempts 2 --instances 2", "2 attempts")] {
        let ended = live.neap(&format!("run --name b {flags} -- false"));
        let instances = if flags.contains("instances") { "2 instances" } else { "1 instance" };
        let said = format!("error: given up: {instances} failed in each of {attempts}\n");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("--attempts K allows more"), "{}", ended.stderr);
        assert_eq!(ended.code, Some(1));
    }
    let refused = live.refused(2, "run --name b --attempts 0 -- false");
    assert!(refused.contains("a number from 1, or `unlimited`"), "{refused}");
}

/// R9: one that is fenced is not to run twice: what is asked back is ended, and its end is waited for.
#[tokio::test]
async fn a_fenced_service_ends_what_is_asked_back_before_it_begins_elsewhere() {
    let mut run = Running::start("--service --instances 1 --cpus 1 --fence-after 2s -- sleep 1000").await;
    assert_eq!(run.offer(1, 1, 1).await.len(), 1);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.asks_back(1).await;
    assert_eq!(run.kills().await, task(1));
    assert_eq!(run.offer(2, 2, 1).await.len(), 0, "the first is not dead");
    run.update(task(1), 2, 1, TaskState::Killed, Reason::KilledByFramework).await;
    assert_eq!(run.offer(3, 2, 1).await[0].id, task(2));
}

/// R14, R15: what an earlier process had launched is asked about, and neither launched again nor forgotten.
#[tokio::test]
async fn a_killed_batch_with_an_id_goes_on_where_it_was() {
    let mut run = Running::start("--id nightly --state-dir state --instances 3 --cpus 1 -- true").await;
    assert_eq!(run.offer(1, 1, 2).await.len(), 2);
    run.update(task(1), 1, 1, TaskState::Running, Reason::Normal).await;
    run.update(task(1), 2, 1, TaskState::Finished, Reason::Exited(0)).await;
    let again = run.kill_and_start_again().await;
    let FrameworkToMaster::Subscribe { id, highest_task, .. } = again else { panic!("{again:?}") };
    assert_eq!((id, highest_task), (Some(FrameworkId(1)), 2));
    run.welcome().await;
    let asked = run.hear_of(|message| match message {
        FrameworkToMaster::Reconcile { tasks, .. } => Some(tasks),
        _ => None,
    });
    assert_eq!(asked.await, [(task(2), SlaveId(1))]);
    // One has succeeded, one is launched: the third is left, under a number that none had (S16).
    let launched = run.offer(1, 2, 8).await;
    assert_eq!(launched.iter().map(|spec| spec.id).collect::<Vec<_>>(), [task(3)]);
    // What an earlier process had heard the end of is acknowledged again, and not told.
    run.update(task(1), 2, 1, TaskState::Finished, Reason::Exited(0)).await;
    run.update(task(2), 1, 1, TaskState::Finished, Reason::Exited(0)).await;
    run.update(task(3), 1, 2, TaskState::Finished, Reason::Exited(0)).await;
    let state = run.place.path().join("state/nightly.redb");
    assert!(state.exists());
    let (code, lines) = run.torn_down().await;
    let told: Vec<_> = lines.iter().map(|line| line["task"].as_str().unwrap()).collect();
    assert_eq!((code, told), (Some(0), vec!["F1.2", "F1.3"]));
    assert!(!state.exists(), "a framework that is over leaves nothing");
}

/// Killed between its teardown and its end it is through all the same, and runs nothing again.
#[tokio::test]
async fn a_batch_that_was_killed_as_it_ended_is_through() {
    let mut run = Running::start("--id once --state-dir state -- true").await;
    assert_eq!(run.offer(1, 1, 1).await.len(), 1);
    run.update(task(1), 1, 1, TaskState::Finished, Reason::Exited(0)).await;
    run.hear_of(|message| (message == FrameworkToMaster::Teardown).then_some(())).await;
    let again = run.kill_and_start_again().await;
    assert!(matches!(again, FrameworkToMaster::Subscribe { id: Some(FrameworkId(1)), .. }), "{again:?}");
    let state = run.place.path().join("state/once.redb");
    assert!(state.exists());
    let (code, lines) = run.refused().await;
    assert_eq!((code, lines.len(), state.exists()), (Some(0), 0, false));
}

/// R14, on real nodes: the tasks go on without their scheduler, and the next one ends them.
#[test]
fn a_service_with_an_id_outlives_its_processes() {
    let mut live = Live::start(1);
    let line = "run --name web --id web --state-dir state --service --instances 2 -- sleep 1000";
    let first = live.attach(line);
    let mut tasks = [live.task_is("Running"), live.task_is("Running")];
    tasks.sort_unstable();
    let second = live.neap(line);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("is in use by another process"), "{}", second.stderr);
    // The master believes in the session of the one that was killed for some time to come.
    drop(first);
    let mut other = live.attach(line);
    let mut known = [other.until("Running"), other.until("Running")];
    known.sort_unstable();
    assert!(known.iter().zip(&tasks).all(|(line, task)| line.contains(task.as_str())), "{known:?} {tasks:?}");
    other.terminate();
    let left = other.end();
    assert_eq!(
        (left.code, left.stderr.as_str()),
        (Some(0), "its tasks go on for 1m; the same command takes them up\n")
    );
    let mut running: Vec<String> = live.tasks().into_iter().map(|(task, _)| task).collect();
    running.sort_unstable();
    assert_eq!(running, tasks);
    let changed = live.neap(&line.replace("1000", "999"));
    assert_eq!(changed.code, Some(2), "{}", changed.stderr);
    assert!(changed.stderr.contains("-- sleep 1000\nhelp: give it the same arguments"), "{}", changed.stderr);
    // Ctrl-C is no other word than SIGTERM, and SIGUSR1 is.
    let next = live.attach(line);
    live.happened(3, |event| event["event"] == "framework-subscribed");
    next.interrupt();
    let left = next.end();
    assert_eq!(
        (left.code, left.stderr.as_str()),
        (Some(0), "its tasks go on for 1m; the same command takes them up\n")
    );
    assert_eq!(live.tasks().len(), 2);
    let last = live.attach(line);
    live.happened(4, |event| event["event"] == "framework-subscribed");
    last.drain_now();
    assert_eq!(last.end().code, Some(0));
    assert_eq!(live.tasks(), []);
}

/// What no slave has room for waits for ever: that is said, with what it needs.
#[test]
fn who_asks_for_more_than_there_is_is_told_what_it_waits_for() {
    let live = Live::start(1);
    let mut command = live.place.command("run --name big --cpus 1000 --mem 1M -- true");
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let said = "still waiting for an offer for 1 instance of cpus:1000 mem:1M: no slave is that large: the nearest has ";
    let total = total(&live).to_string();
    assert!(line.starts_with(&format!("{said}{total}")), "{line}");
    assert!(line.ends_with("; ask for less, or add a larger slave\n"), "{line}");
    // Operators see the same.
    let status = live.text("status");
    assert!(
        status.contains(
            "FRAMEWORK   WAIT   EACH NEEDS         WHY\nbig (F1)       1   cpus:1000 mem:1M   no slave"
        ),
        "{status}"
    );
    let [status] = &live.json("status")[..] else { panic!() };
    let pending = &status["pending"][0];
    assert_eq!((&pending["framework"], &pending["instances"]), (&"F1".into(), &1.into()));
    assert_eq!((&pending["needs"]["cpus"], &pending["slaves"]["too_small"]), (&1000.0.into(), &1.into()));
    let tasks = live.text("tasks");
    assert!(
        tasks.contains("big (F1) waits for 1 more task of cpus:1000 mem:1M: no slave is that large"),
        "{tasks}"
    );
    signal(&run, Signal::INT);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()), "{rest}");
    assert_eq!(rest, "error: it was told to end before 1 instance had succeeded\n");
}

/// The only slave, as a total of resources.
fn total(live: &Live) -> Resources {
    let total = live.slave("slave-1")["total"].clone();
    let cpus = (total["cpus"].as_f64().unwrap() * 1000.0).round() as u64;
    Resources::new(cpus, total["mem_bytes"].as_u64().unwrap())
}

/// Why a run waits is said again when that changes, in JSON as an event.
#[test]
fn a_run_says_why_it_waits_whenever_that_changes() {
    let live = Live::start(1);
    live.text("deactivate slave-1 --reason raid");
    let mut run = live.attach("run --name f -o json -- true");
    let waiting: serde_json::Value = serde_json::from_str(&run.next()).unwrap();
    assert_eq!((&waiting["event"], &waiting["instances"]), (&"waiting".into(), &1.into()));
    assert_eq!(
        (&waiting["why"], &waiting["slaves"]["held"]),
        (&"the only slave is held back".into(), &1.into())
    );
    assert!(waiting["help"][0].as_str().unwrap().contains("`neap activate`"), "{waiting}");
    let mut other = live.attach("run --name other -o json --cpus 1000 -- true");
    other.until("no slave is that large");
    assert_eq!(live.json("status")[0]["pending"].as_array().unwrap().len(), 2);
    live.text("activate slave-1");
    run.until("Finished");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(live.json("status")[0]["pending"].as_array().unwrap().len(), 1);
}

/// R9: what cannot be fenced so is said before anything is tried, with what can.
#[test]
fn who_asks_to_be_fenced_too_late_is_told_the_limit() {
    let live = Live::start(1);
    live.text("deactivate slave-1");
    let refused = live.refused(3, "run --name f --fence-after 10m -- true");
    let said = "error: --fence-after 10m is not possible here: it is from 1s to 37s500ms\n";
    assert!(refused.starts_with(said), "{refused}");
    assert_eq!(live.json("frameworks"), [] as [serde_json::Value; 0]);
}

/// R12, R14, on real nodes: while the disk is full a batch launches and acknowledges nothing, says so once, and goes on
/// when there is room. Told to end, it ends, and the next process goes on. Each instance runs once.
#[test]
fn a_batch_whose_disk_is_full_waits_for_room_and_repeats_nothing() {
    let mut live = Live::start(1);
    let Some(small) = Small::mount(&live.place.path().join("state"), "512k").unwrap() else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    live.text("deactivate slave-1 --hold later");
    let [ran, go] = ["ran", "go"].map(|name| live.place.path().join(name));
    let (echo, wait) = (ran.display(), go.display());
    let script = format!("echo $NEAP_INSTANCE >> {echo}; until [ -e {wait} ]; do sleep 0.05; done");
    let line = "run --name b --id b --state-dir state --instances 3 --cpus 0.1 --mem 1M";
    let line = format!("{line} -- sh -c '{script}'");
    let mut run = live.place.command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = lines(run.stderr.take().unwrap());
    let says = |text: &str| {
        let line = stderr.recv_timeout(PATIENCE).unwrap();
        assert!(line.contains(text), "{text:?} is not in {line:?}");
        line
    };
    let full = "the framework's state cannot be written; make room on its disk";
    // It is subscribed, and wrote that down.
    says("still waiting for an offer for 3 instances");
    small.fill().unwrap();
    live.text("activate slave-1 --all");
    let told = says(full);
    assert!(told.contains("No space left on device") && told.contains("state/b.redb"), "{told}");
    assert_eq!(live.tasks(), [], "something is launched and not written down");
    small.make_room().unwrap();
    says("the framework's state is written again");
    live.happened(3, |event| event["event"] == "task" && event["state"] == "Running");
    small.fill().unwrap();
    fs::write(&go, "").unwrap();
    says(full);
    signal(&run, Signal::TERM);
    let told = says("it was told to end while the framework's state state/b.redb cannot be written");
    assert!(told.starts_with("error: ") && told.contains("No space left on device"), "{told}");
    says("help: make room on its disk, and start it again within its failover timeout, 1m");
    assert_eq!(run.wait().unwrap().code(), Some(1));
    small.make_room().unwrap();
    live.text(&line);
    let ran = fs::read_to_string(ran).unwrap();
    let mut ran: Vec<&str> = ran.lines().collect();
    ran.sort_unstable();
    assert_eq!(ran, ["0", "1", "2"], "each instance ran once");
    assert!(!live.place.path().join("state/b.redb").exists(), "a framework that is over leaves nothing");
}
