//! A live cluster of `neap up`, and operators' commands on it, attached ones included.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use neap_nodes::config::Loaded;
use neap_protocol::ids::TaskId;
use neap_protocol::message::{FrameworkToMaster, InverseAnswer, MasterToFramework};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Run, TaskSpec, TaskState};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;
use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Fake, PATIENCE};
use crate::master::subscribe;
use crate::program::{Ended, Place};
use crate::up::{Cluster, signal};

/// A cluster, and what happens in it.
pub(crate) struct Live {
    events: Attached,
    seen: Vec<Value>,
    /// How many of them were passed over.
    passed: usize,
    cluster: Cluster,
    running: Vec<Attached>,
    pub(crate) place: Place,
}

impl Live {
    /// Starts one, and waits until every slave has registered.
    pub(crate) fn start(slaves: u16) -> Self {
        let place = Place::new();
        let mut cluster = Cluster::start(&place, &format!("up --slaves {slaves}"));
        let ready = cluster.hear();
        assert!(ready.starts_with("ready"), "{ready}");
        let mut events = Attached::start(&place, "events --follow -o json");
        let watching: Value = serde_json::from_str(&events.next()).unwrap();
        assert_eq!(watching["event"], "watching");
        Self { events, seen: Vec::new(), passed: 0, cluster, running: Vec::new(), place }
    }

    pub(crate) fn neap(&self, line: &str) -> Ended {
        self.place.neap(line)
    }

    /// The objects that a command prints, which succeeds.
    pub(crate) fn json(&self, line: &str) -> Vec<Value> {
        let ended = self.neap(&format!("{line} -o json"));
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        objects(&ended.stdout)
    }

    /// What a command prints in text, which succeeds.
    pub(crate) fn text(&self, line: &str) -> String {
        let ended = self.neap(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// The error of a command that ends with this code, in text and in JSON, which must say the same.
    pub(crate) fn refused(&self, code: i32, line: &str) -> String {
        let text = self.neap(line);
        assert_eq!((text.code, text.stdout.as_str()), (Some(code), ""), "{line}: {}", text.stderr);
        let json = self.neap(&format!("-o json {line}"));
        assert_eq!((json.code, json.stdout.as_str()), (Some(code), ""), "{line}: {}", json.stderr);
        let error: Value = serde_json::from_str(&json.stderr).expect(&json.stderr);
        assert_eq!(error["exit"], code, "{line}: {error}");
        if code != 2 {
            let help = error["help"].as_array().unwrap();
            assert!(!help.is_empty(), "{line} says nothing of what to do: {error}");
            let lines = help.iter().map(|help| format!("help: {}\n", help.as_str().unwrap()));
            let expected =
                format!("error: {}\n{}", error["error"].as_str().unwrap(), lines.collect::<String>());
            assert_eq!(text.stderr, expected, "{line}");
        }
        text.stderr
    }

    pub(crate) fn attach(&self, line: &str) -> Attached {
        Attached::start(&self.place, line)
    }

    /// Starts work that ends with the test.
    pub(crate) fn run(&mut self, line: &str) {
        let running = self.attach(&format!("run {line}"));
        self.running.push(running);
    }

    /// Waits for an event; those before it are passed over.
    pub(crate) fn happens(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if self.passed == self.seen.len() {
                self.see();
            }
            self.passed += 1;
            let event = &self.seen[self.passed - 1];
            if wanted(event) {
                return event.clone();
            }
        }
    }

    /// Waits until so many such events have happened since the cluster was started, in whatever order.
    pub(crate) fn happened(&mut self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        loop {
            let found: Vec<&Value> = self.seen.iter().filter(|event| wanted(event)).collect();
            if found.len() >= count {
                return found.into_iter().cloned().collect();
            }
            self.see();
        }
    }

    fn see(&mut self) {
        let event = self.events.next();
        self.seen.push(serde_json::from_str(&event).expect(&event));
    }

    /// Waits until a task is told to be in this state, and answers with its id.
    pub(crate) fn task_is(&mut self, state: &str) -> String {
        let event = self.happens(|event| event["event"] == "task" && event["state"] == state);
        event["task"].as_str().unwrap().to_owned()
    }

    /// Waits until a task has written `ready`: from then on its traps are set.
    pub(crate) fn is_ready(&self, task: &str) {
        self.attach(&format!("logs {task} --follow")).until("ready");
    }

    /// What the cluster says next, such as that a slave has ended.
    pub(crate) fn hear(&mut self) -> String {
        self.cluster.hear()
    }

    pub(crate) fn master(&self) -> SocketAddr {
        let settings = Loaded::from_file(&self.place.path().join(".neap/neap.toml")).unwrap();
        settings.config.cluster.masters.unwrap()[0]
    }

    /// Every task that is not over, as (id, slave's name).
    pub(crate) fn tasks(&self) -> Vec<(String, String)> {
        let word = |task: &Value, key: &str| task[key].as_str().unwrap().to_owned();
        let tasks = self.json("tasks");
        tasks.iter().map(|task| (word(task, "id"), word(task, "slave_name"))).collect()
    }

    /// A slave, as `neap slaves` shows it.
    pub(crate) fn slave(&self, name: &str) -> Value {
        let slaves = self.json("slaves");
        slaves.into_iter().find(|slave| slave["name"] == name).unwrap()
    }
}

/// A framework that runs one script on a slave, acknowledges what it is told, and answers inverse offers with this, or
/// with nothing. It is there as long as the test's runtime.
pub(crate) struct Stubborn {
    pub(crate) name: &'static str,
    pub(crate) slave: &'static str,
    pub(crate) script: &'static str,
    pub(crate) kill_grace: Millis,
    pub(crate) answer: Option<InverseAnswer>,
}

impl Stubborn {
    /// Starts it, and waits until its task runs.
    pub(crate) async fn start(self, live: &Live) -> TaskId {
        let mut fake = Fake::connect(&live.place, live.master(), Role::Framework, "framework").await;
        fake.say(&subscribe(self.name)).await;
        let (running, runs) = tokio::sync::oneshot::channel();
        tokio::spawn(self.run(fake, running));
        tokio::time::timeout(PATIENCE, runs).await.unwrap().unwrap()
    }

    async fn run(self, mut fake: Fake, running: tokio::sync::oneshot::Sender<TaskId>) {
        let (mut id, mut running) = (None, Some(running));
        let mut placed = false;
        // Until the master ends.
        while let Some(message) = fake.heard::<MasterToFramework>().await {
            match message {
                MasterToFramework::Subscribed { id: given, .. } => id = Some(given),
                MasterToFramework::Offers(offers) => {
                    for offer in offers {
                        let filter = Millis::from_secs(3600);
                        if placed || offer.name.as_str() != self.slave {
                            fake.say(&FrameworkToMaster::Decline { offers: vec![offer.id], filter }).await;
                            continue;
                        }
                        placed = true;
                        let tasks = vec![self.task(TaskId { framework: id.unwrap(), number: 1 })];
                        let (offer, slave) = (offer.id, offer.slave);
                        fake.say(&FrameworkToMaster::Accept { offer, slave, tasks, filter }).await;
                    }
                }
                MasterToFramework::Update { update, .. } => {
                    let (task, number) = (update.task, update.number);
                    fake.say(&FrameworkToMaster::Acknowledge { task, number }).await;
                    if update.state == TaskState::Running
                        && let Some(running) = running.take()
                    {
                        running.send(task).unwrap();
                    }
                }
                MasterToFramework::InverseOffer { id, .. } => {
                    if let Some(answer) = self.answer.clone() {
                        fake.say(&FrameworkToMaster::AnswerInverse { id, answer }).await;
                    }
                }
                _ => {}
            }
        }
    }

    fn task(&self, id: TaskId) -> TaskSpec {
        let arguments = vec!["-c".to_owned(), self.script.to_owned()];
        let command = Command { program: "sh".to_owned(), arguments, environment: Vec::new() };
        TaskSpec {
            id,
            name: Name::new("one").unwrap(),
            resources: Resources::new(100, 16 << 20),
            kill_grace: self.kill_grace,
            fence_after: None,
            run: Run::Command(Arc::new(command)),
        }
    }
}

pub(crate) fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The names of a slave's holds.
pub(crate) fn holds(slave: &Value) -> Vec<&str> {
    slave["holds"].as_array().unwrap().iter().map(|hold| hold["name"].as_str().unwrap()).collect()
}

/// The lines that a process writes into a pipe, as they come.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (said, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A command that goes on, and the lines that it prints. It is killed with this value.
pub(crate) struct Attached {
    child: Child,
    lines: Receiver<String>,
}

impl Attached {
    pub(crate) fn start(place: &Place, line: &str) -> Self {
        let mut command = place.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub(crate) fn next(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing more"),
            Err(RecvTimeoutError::Disconnected) => panic!("it has ended: {}", self.stderr()),
        }
    }

    /// The next line that has `text`; those before it are passed over.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut passed = Vec::new();
        loop {
            let line = self.next();
            if line.contains(text) {
                return line;
            }
            passed.push(line);
            assert!(passed.len() < 1_000, "no {text:?} in {passed:#?}");
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        signal(&self.child, Signal::INT);
    }

    pub(crate) fn drain_now(&self) {
        signal(&self.child, Signal::USR1);
    }

    pub(crate) fn terminate(&self) {
        signal(&self.child, Signal::TERM);
    }

    /// Waits for its end: its code, the lines that were not read yet, and what it said on stderr.
    pub(crate) fn end(mut self) -> Ended {
        let mut stdout = String::new();
        let since = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        assert!(since.elapsed() < PATIENCE, "it does not end: {stdout}");
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr: self.stderr() }
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
