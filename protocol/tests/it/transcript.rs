//! Scenario transcripts: what is done to a master, then all that it does about it, in text files that read as the
//! protocol's documentation.
//!
//! A line that begins with `>` is a command; the lines after it, up to an empty one, are the effects, all of them
//! and in order (events and unanswered timers of health checks excepted, see [`shown`]). Everything else is prose.
//! Writes become durable at once (`-- w1 is durable`), unless the transcript says `> writes wait`.
//!
//! `NEAP_BLESS=1 cargo test -p neap-protocol --test it transcript` writes what the master does into the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use neap_protocol::ids::{BootId, Epoch, Incarnation, OfferId, Seq, SessionId};
use neap_protocol::master::{Config, Effect, Input, Master, Timer};
use neap_protocol::message::{
    Command, Event, Final, FrameworkToMaster, InverseAnswer, InverseAsk, MasterToSlave, OperatorToMaster,
    Query, SlaveRef, SlaveToMaster, Then, Want,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, Run, TaskReport, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment, When};
use neap_protocol::transport::{Peer, Role};

#[test]
fn transcripts_say_what_the_master_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let bless = std::env::var_os("NEAP_BLESS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no transcripts in {}", folder.display());
    let mut differences = Vec::new();
    for file in files {
        let wanted = std::fs::read_to_string(&file).unwrap();
        // What cannot be gone on with says where; the others are told of all the same.
        let Ok(found) = std::panic::catch_unwind(|| play(&wanted, &file)) else {
            differences
                .push(format!("{} differs from line 0: it cannot be played to its end", file.display()));
            continue;
        };
        if bless {
            std::fs::write(&file, &found).unwrap();
        } else if found != wanted {
            let line = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
            let at = |text: &str| text.lines().skip(line).take(6).collect::<Vec<_>>().join("\n");
            differences.push(format!(
                "{} differs from line {}\nwanted:\n{}\nfound:\n{}",
                file.display(),
                line + 1,
                at(&wanted),
                at(&found)
            ));
        }
    }
    let differences = differences.join("\n\n");
    assert!(differences.is_empty(), "{differences}\nNEAP_BLESS=1 accepts what was found");
}

fn play(text: &str, file: &Path) -> String {
    let mut world = World::new();
    let mut found = String::new();
    let mut skipping = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            found.push_str(line);
            found.push('\n');
            let place = format!("{}:{}", file.display(), number + 1);
            found.push_str(&world.run(command, &place));
            skipping = true;
        } else if line.is_empty() {
            skipping = false;
            found.push('\n');
        } else if !skipping {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

/// One master, its store, and the ends of its sessions.
struct World {
    config: Config,
    master: Master,
    disk: Registry,
    /// Writes that were asked for and are not durable.
    writes: Vec<(Epoch, Seq, Operation)>,
    writes_wait: bool,
    sessions: BTreeMap<String, SessionId>,
    opened: u32,
    timers: BTreeSet<Timer>,
    now: Moment,
    requests: u32,
    place: String,
}

/// The words of a command: plain ones in order, and `key=value` ones.
struct Words<'a> {
    plain: Vec<&'a str>,
    keyed: BTreeMap<&'a str, &'a str>,
    because: &'a str,
    place: &'a str,
}

impl<'a> Words<'a> {
    fn new(command: &'a str, place: &'a str) -> Self {
        let (words, because) = command.split_once(" because ").unwrap_or((command, ""));
        let (keyed, plain): (Vec<_>, Vec<_>) = words.split_whitespace().partition(|word| word.contains('='));
        Self {
            plain,
            keyed: keyed.into_iter().filter_map(|word| word.split_once('=')).collect(),
            because,
            place,
        }
    }

    fn key<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        let value = self.keyed.get(key)?;
        Some(value.parse().unwrap_or_else(|_| panic!("{}: cannot read {key}={value}", self.place)))
    }

    fn word<T: std::str::FromStr>(&self, at: usize) -> T {
        let word = self.plain.get(at).unwrap_or_else(|| panic!("{}: word {at} is missing", self.place));
        word.parse().unwrap_or_else(|_| panic!("{}: cannot read {word}", self.place))
    }

    fn span(&self, key: &str) -> Option<Millis> {
        self.keyed.get(key).map(|text| {
            let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
            let number: u64 = number.parse().unwrap_or_else(|_| panic!("{}: cannot read {text}", self.place));
            Millis(
                number
                    * match unit {
                        "ms" => 1,
                        "s" => 1000,
                        "m" => 60_000,
                        _ => panic!("{}: cannot read {text}", self.place),
                    },
            )
        })
    }

    fn resources(&self, default: Resources) -> Resources {
        let cpus = self.key("cpus").map_or(default.cpus, |cpus: u64| cpus * 1000);
        let mem = self.key("mem").map_or(default.mem, |gib: u64| gib << 30);
        Resources { cpus, mem, ..default }
    }

    fn text(&self) -> Text {
        Text::new(self.because)
    }

    /// The reason, if one was given.
    fn said(&self) -> Option<Text> {
        (!self.because.is_empty()).then(|| self.text())
    }
}

impl World {
    fn new() -> Self {
        Self {
            config: Config { offer_timeout: Some(Millis::from_secs(60)), ..Config::default() },
            master: Master::new(),
            disk: Registry::default(),
            writes: Vec::new(),
            writes_wait: false,
            sessions: BTreeMap::new(),
            opened: 0,
            timers: BTreeSet::new(),
            now: Moment(0),
            requests: 0,
            place: String::new(),
        }
    }

    fn run(&mut self, command: &str, place: &str) -> String {
        self.place = place.into();
        let words = Words::new(command, place);
        let mut log = String::new();
        match words.plain[0] {
            "master" => self.master_is(&words, &mut log),
            "writes" => self.writes_are(&words, &mut log),
            "timer" => {
                let timer = timer_named(&words);
                match self.timers.remove(&timer) {
                    true => self.feed(Input::Timer(timer), &mut log),
                    false => writeln!(log, "{timer:?} is not set").unwrap(),
                }
            }
            "slave" => self.slave_does(&words, &mut log),
            "framework" => self.framework_does(&words, &mut log),
            "operator" => self.operator_does(&words, &mut log),
            other => panic!("{place}: nobody is called {other}"),
        }
        log
    }

    fn master_is(&mut self, words: &Words<'_>, log: &mut String) {
        let input = match words.plain[1] {
            "elected" => Input::Elected { epoch: Epoch(words.key("epoch").unwrap()) },
            "deposed" => Input::Deposed { leader: Text::new(words.keyed.get("leader").unwrap_or(&"")) },
            other => panic!("{}: a master is not {other}", self.place),
        };
        self.feed(input, log);
    }

    fn writes_are(&mut self, words: &Words<'_>, log: &mut String) {
        match words.plain[1] {
            "wait" => self.writes_wait = true,
            "go" => {
                self.writes_wait = false;
                self.make_durable(log);
            }
            "fail" => {
                let failed = std::mem::take(&mut self.writes);
                let &(epoch, seq, _) = failed.first().expect("a write that can fail");
                let cause = Text::new("no space left on device");
                self.feed(Input::StoreFailed { epoch, seq, cause }, log);
            }
            other => panic!("{}: writes do not {other}", self.place),
        }
    }

    fn open(&mut self, role: Role, name: &str, log: &mut String) -> SessionId {
        self.opened += 1;
        let session = SessionId(self.opened);
        self.sessions.insert(name.into(), session);
        let peer = Peer { role, name: Name::new(name).unwrap() };
        self.feed(Input::Opened { session, peer }, log);
        session
    }

    fn session(&self, name: &str) -> SessionId {
        *self.sessions.get(name).unwrap_or_else(|| panic!("{}: {name} has no session", self.place))
    }

    fn disconnect(&mut self, name: &str, log: &mut String) {
        let session =
            self.sessions.remove(name).unwrap_or_else(|| panic!("{}: {name} has no session", self.place));
        self.feed(Input::Closed { session }, log);
    }

    fn slave_does(&mut self, words: &Words<'_>, log: &mut String) {
        let name = words.plain[1];
        let message = match words.plain[2] {
            "disconnects" => return self.disconnect(name, log),
            "registers" => {
                self.open(Role::Slave, name, log);
                SlaveToMaster::Register {
                    id: words.key("id"),
                    incarnation: Incarnation(words.key("incarnation").unwrap_or(1)),
                    boot: BootId(words.key("boot").unwrap_or(1)),
                    contested: words.plain.contains(&"contested"),
                    epoch: Epoch(words.key("epoch").unwrap_or(0)),
                    resources: words.resources(Resources::new(4000, 4 << 30)),
                    address: Text::EMPTY,
                    tasks: words.plain[3..]
                        .iter()
                        .filter(|w| !matches!(**w, "leaving" | "contested"))
                        .map(|w| report(w, words.key("each").unwrap_or(1), words.span("fence")))
                        .collect(),
                    leaving: words.plain.contains(&"leaving"),
                }
            }
            "pongs" => SlaveToMaster::Pong,
            "renews" => SlaveToMaster::Renew { task: words.word(3), turn: false },
            "leaves" => SlaveToMaster::Leaving,
            "updates" => SlaveToMaster::Update { update: update(words.plain[3]), ending: None },
            "unregisters" => {
                let finals = words.plain[3..].iter().map(|word| Final { update: update(word), ending: None });
                SlaveToMaster::Unregister { finals: finals.collect() }
            }
            other => panic!("{}: a slave does not {other}", self.place),
        };
        // Its newest, unless it says another.
        let session = words.key("session").unwrap_or_else(|| self.session(name));
        self.feed(Input::Slave { session, message }, log);
    }

    fn framework_does(&mut self, words: &Words<'_>, log: &mut String) {
        let name = words.plain[1];
        let filter = words.span("filter").unwrap_or(Millis::ZERO);
        let grace = words.span("grace");
        let message = match words.plain[2] {
            "disconnects" => return self.disconnect(name, log),
            again @ ("subscribes" | "subscribes-again") => {
                // Again is in the same session.
                if again == "subscribes" {
                    self.open(Role::Framework, name, log);
                }
                FrameworkToMaster::Subscribe {
                    id: words.key("id"),
                    name: Name::new(name).unwrap(),
                    weight: words.key("weight").unwrap_or(1),
                    failover_timeout: words.span("failover").unwrap_or(Millis::from_secs(60)),
                    partition_aware: words.key("partition-aware").unwrap_or(false),
                    epoch: Epoch(words.key("epoch").unwrap_or(0)),
                    highest_task: words.key("highest").unwrap_or(0),
                }
            }
            "accepts" => {
                let tasks = words.plain[5..].iter().map(|task| TaskSpec {
                    id: task.parse().unwrap(),
                    name: Name::new("work").unwrap(),
                    resources: words.resources(Resources::new(1000, 1 << 30)),
                    kill_grace: grace.unwrap_or(Millis::from_secs(3)),
                    fence_after: words.span("fence"),
                    run: Run::Command(task::Command { program: "true".into(), ..Default::default() }.into()),
                });
                let (offer, slave) = (words.word(3), words.word(4));
                FrameworkToMaster::Accept { offer, slave, tasks: tasks.collect(), filter }
            }
            "declines" => FrameworkToMaster::Decline { offers: vec![words.word::<OfferId>(3)], filter },
            "revives" => FrameworkToMaster::Revive,
            "suppresses" => FrameworkToMaster::Suppress,
            "kills" => FrameworkToMaster::Kill { task: words.word(3), slave: words.word(4), grace },
            "acknowledges" => FrameworkToMaster::Acknowledge { task: words.word(3), number: words.word(4) },
            "reconciles" => FrameworkToMaster::Reconcile {
                after: words.key("after").unwrap_or(0),
                upto: words.key("upto").unwrap_or(0),
                tasks: words.plain[3..]
                    .chunks(2)
                    .map(|pair| (pair[0].parse().expect("a task"), pair[1].parse().expect("a slave")))
                    .collect(),
            },
            "accepts-inverse" => {
                let rather = words.plain[4..].iter().map(|task| task.parse().unwrap()).collect();
                FrameworkToMaster::AnswerInverse {
                    id: words.word(3),
                    answer: InverseAnswer::Accept { rather },
                }
            }
            "declines-inverse" => {
                let answer = InverseAnswer::Decline { reason: words.text() };
                FrameworkToMaster::AnswerInverse { id: words.word(3), answer }
            }
            "tears-down" => FrameworkToMaster::Teardown,
            "wants" => FrameworkToMaster::Want(Want {
                tasks: words.word(3),
                needs: words.resources(Resources::new(1000, 1 << 30)),
                fence_after: words.span("fence"),
            }),
            other => panic!("{}: a framework does not {other}", self.place),
        };
        let session = self.session(name);
        self.feed(Input::Framework { session, message }, log);
    }

    fn operator_does(&mut self, words: &Words<'_>, log: &mut String) {
        let name = words.plain[1];
        let slave = |at: usize| -> SlaveRef {
            let word: String = words.word(at);
            word.parse().map_or_else(|_| SlaveRef::Name(Name::new(&word).unwrap()), SlaveRef::Id)
        };
        let deadline = words.span("deadline").unwrap_or(Millis::from_secs(600));
        let then = match (words.plain.contains(&"unregister"), words.plain.contains(&"stay")) {
            (true, _) => Some(Then::Unregister),
            (false, true) => Some(Then::Stay),
            (false, false) => None,
        };
        let change = words.plain.contains(&"change");
        let hold = words.keyed.get("hold").map(|hold| Name::new(hold).unwrap());
        let reason = words.text();
        let command = match words.plain[2] {
            "deactivates" => {
                let hold = hold.unwrap_or_else(|| Name::new(name).unwrap());
                Command::Deactivate { slave: slave(3), hold, reason }
            }
            "activates" => Command::Activate { slave: slave(3), hold, reason },
            "asks" => Command::InverseOffer {
                framework: words.word(3),
                slave: slave(4),
                ask: match words.keyed.contains_key("cpus") || words.keyed.contains_key("mem") {
                    true => InverseAsk::Amount(words.resources(Resources::NONE)),
                    false => InverseAsk::Everything,
                },
                deadline,
                reason,
            },
            "cancels" if words.plain[3].starts_with('I') => Command::CancelInverseOffer(words.word(3)),
            "cancels" => Command::CancelDrain(words.word(3)),
            "extends" => Command::ExtendDrain(words.word(3), deadline),
            "drains" if words.plain.contains(&"now") => {
                Command::DrainNow { slave: slave(3), reason: words.said() }
            }
            "drains" => {
                let if_plan = words.keyed.get("plan").map(|hex| u64::from_str_radix(hex, 16).unwrap());
                let reason = words.said();
                Command::Drain { slave: slave(3), deadline, reason, then, if_plan, change }
            }
            "plans" => Command::PlanDrain { slave: slave(3), deadline, then },
            "kills" => Command::Kill { task: words.word(3), reason },
            "resumes-removals" => Command::ResumeRemovals { reason },
            "forgets" => Command::ForgetSlave { slave: slave(3), reason },
            "tears-down" => Command::Teardown { framework: words.word(3), reason },
            "shows" => Command::Show(match words.plain[3] {
                "status" => Query::Status,
                "held" => Query::HeldNames { after: None },
                "slave" => Query::Slave(slave(4)),
                "drain" => Query::Drain(words.word(4)),
                "inverse-offers" => Query::InverseOffers { after: None },
                "tasks" => Query::Tasks { after: None },
                "frameworks" => Query::Frameworks { after: None },
                "pending" => Query::Pending { after: None },
                other => panic!("{}: {other} cannot be shown", self.place),
            }),
            other => panic!("{}: an operator does not {other}", self.place),
        };
        if !self.sessions.contains_key(name) {
            self.open(Role::Operator, name, log);
        }
        self.requests += 1;
        let message = OperatorToMaster { request: self.requests, command };
        let session = self.session(name);
        self.feed(Input::Operator { session, at: self.now, message }, log);
    }

    fn feed(&mut self, input: Input, log: &mut String) {
        let mut out = Outbox::new();
        self.master.handle(&self.config, input, &mut out);
        for effect in out.drain() {
            self.carry_out(effect, log);
        }
        if let Err(broken) = self.master.check() {
            panic!("{}: {broken}", self.place);
        }
        if !self.writes_wait {
            self.make_durable(log);
        }
    }

    fn make_durable(&mut self, log: &mut String) {
        while !self.writes.is_empty() {
            let (epoch, seq, operation) = self.writes.remove(0);
            let _ = self.disk.apply(&operation);
            writeln!(log, "-- {seq} is durable").unwrap();
            let waits = std::mem::replace(&mut self.writes_wait, true);
            self.feed(Input::Stored { epoch, seq }, log);
            self.writes_wait = waits;
            if let Some(registry) = self.master.registry() {
                assert_eq!(*registry, self.disk, "{}: S6: memory equals the registry", self.place);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, log: &mut String) {
        if let Some(line) = shown(&effect, &self.sessions) {
            writeln!(log, "{line}").unwrap();
        }
        match effect {
            Effect::Recover => {
                let registry = Box::new(self.disk.clone());
                self.feed(Input::Recovered { registry }, log);
            }
            Effect::Store { seq, epoch, operation } => self.writes.push((epoch, seq, operation)),
            Effect::SetTimer { timer, .. } => {
                self.timers.insert(timer);
            }
            Effect::CancelTimer { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Close { session, .. } => self.sessions.retain(|_, open| *open != session),
            Effect::ToSlave { .. }
            | Effect::ToFramework { .. }
            | Effect::ToOperator { .. }
            | Effect::Record { .. }
            | Effect::AnswerReceipt { .. }
            | Effect::RefuseUnknownSlave { .. }
            | Effect::AnswerHistory { .. }
            | Effect::Publish(_) => {}
        }
    }
}

/// An effect as a transcript shows it; events repeat what is seen anyway.
fn shown(effect: &Effect, sessions: &BTreeMap<String, SessionId>) -> Option<String> {
    let name = |session: &SessionId| {
        let named = sessions.iter().find(|(_, open)| *open == session);
        named.map_or_else(|| format!("{session}"), |(name, _)| name.clone())
    };
    let line = match effect {
        Effect::ToSlave { session, message: MasterToSlave::Launch(spec) } => {
            format!("{} <- Launch({} {} grace {})", name(session), spec.id, spec.resources, spec.kill_grace)
        }
        Effect::ToSlave { session, message } => format!("{} <- {message:?}", name(session)),
        Effect::ToFramework { session, message } => format!("{} <- {message:?}", name(session)),
        Effect::ToOperator { session, message } => format!("{} <- {message:?}", name(session)),
        Effect::Close { session, reason } => format!("{} closed: {reason}", name(session)),
        Effect::SetTimer { timer: Timer::Ping(_), .. } => return None,
        Effect::SetTimer { timer, when: When::After(after) } => format!("timer {timer:?} after {after}"),
        Effect::SetTimer { timer, when: When::At(at) } => format!("timer {timer:?} at {}", Millis(at.0)),
        Effect::CancelTimer { timer } => format!("no timer {timer:?}"),
        Effect::Recover => "read the registry".into(),
        Effect::Store { seq, operation, .. } => format!("write {seq} {operation:?}"),
        Effect::Record { receipt, line } => format!("receipt {receipt}: {line:?}"),
        Effect::AnswerReceipt { receipt, .. } => format!("answer with receipt {receipt}"),
        Effect::RefuseUnknownSlave { session, name: slave, .. } => {
            format!("refuse {}: no slave is called {slave}, or it has left", name(session))
        }
        Effect::AnswerHistory { .. } => "answer with what ended lately".into(),
        Effect::Publish(
            event @ (Event::RemovalsHalted { .. }
            | Event::RemovalsResumed
            | Event::SlaveSilent { .. }
            | Event::SlaveAnswers { .. }
            | Event::SlaveForgotten { .. }),
        ) => format!("event {event:?}"),
        Effect::Publish(_) => return None,
    };
    Some(line)
}

fn timer_named(words: &Words<'_>) -> Timer {
    match words.plain[1] {
        "Ping" => Timer::Ping(words.word(2)),
        "Reregister" => Timer::Reregister(words.word(2)),
        "Offer" => Timer::Offer(words.word(2)),
        "Filter" => Timer::Filter(words.word(2), words.word(3)),
        "Allocate" => Timer::Allocate,
        "Failover" => Timer::Failover(words.word(2)),
        "InverseOffer" => Timer::InverseOffer(words.word(2)),
        "DrainBound" => Timer::DrainBound(words.word(2)),
        "DrainAcknowledge" => Timer::DrainAcknowledge(words.word(2)),
        "RemovalWindow" => Timer::RemovalWindow,
        "Lead" => Timer::Lead,
        other => panic!("{}: no timer is called {other}", words.place),
    }
}

/// `F1.2:Running:1` or `F1.2:Killed:1:SlaveUnreachable`: a task, its state, the number of the update, why.
fn update(word: &str) -> Update {
    let mut parts = word.split(':');
    let task = parts.next().unwrap().parse().unwrap();
    let state = match parts.next().unwrap() {
        "Staging" => TaskState::Staging,
        "Running" => TaskState::Running,
        "Killing" => TaskState::Killing,
        "Finished" => TaskState::Finished,
        "Failed" => TaskState::Failed,
        "Killed" => TaskState::Killed,
        "Lost" => TaskState::Lost,
        "Dropped" => TaskState::Dropped,
        other => panic!("no state {other}"),
    };
    let number = parts.next().map_or(0, |number| number.parse().unwrap());
    let reason = match parts.next() {
        None => Reason::Normal,
        Some("SlaveUnreachable") => Reason::SlaveUnreachable,
        Some("KilledByFramework") => Reason::KilledByFramework,
        Some(other) => panic!("no reason {other}"),
    };
    Update { task, number, state, reason, message: Text::EMPTY }
}

fn report(word: &str, cpus: u64, fence_after: Option<Millis>) -> TaskReport {
    let Update { task, number, state, reason, .. } = update(word);
    TaskReport {
        id: task,
        name: Name::new("work").unwrap(),
        resources: Resources::new(cpus * 1000, 1 << 30),
        kill_grace: Millis::from_secs(3),
        fenced: fence_after.is_some(),
        state,
        reason,
        number,
    }
}
