//! `neap run`: a command, many times over.
//!
//! A **batch** runs each instance until it has succeeded once; one that fails `--attempts` times is given up. A
//! **service** keeps every instance running, and starts again what ended, ever later if it keeps failing.
//!
//! An inverse offer is accepted. A service then starts replacements on other slaves, and ends the old tasks once
//! those have run for `--min-healthy`; one that is fenced, and must not run twice, ends the old tasks first. A batch lets
//! its tasks go on, for they may be done in time. What is left shortly before the deadline is ended, and starts again
//! elsewhere. What is decided of tasks is decided in `fleet`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_protocol::framework::Config;
use neap_protocol::ids::{FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::{InverseAnswer, InverseOutcome, Offered, Pending, Want};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, FENCE_AFTER_MIN, Update};
use neap_protocol::text::Name;
use neap_protocol::time::{Millis, Moment};
use serde::Serialize;

use super::fleet::{Fleet, Room, Stage, Terms};
use super::{Asked, Driver, End, NewRun, NewTask, Scheduler, Settings, State};
use crate::cli::work::{Attempts, Run};
use crate::config::Connection;
use crate::driver;
use crate::exit::Exit;
use crate::journal;
use crate::outlet::{Outlet, say};
use crate::output::{Failure, Format, Printer, clock, counted};
use crate::pending::{Waits, Why};
use crate::shutdown::Signal;
use crate::units::Period;

/// Which of the instances a task is, from 0, is told to its command in this variable.
pub const INSTANCE_VARIABLE: &str = "NEAP_INSTANCE";

/// The farthest that a time is reckoned ahead.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// For how long what is not needed need not be offered again.
const FILTER: Millis = Millis::from_secs(5);
/// How long instances wait for an offer before the master is asked why.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest until it is asked again: each time it looks at every slave.
const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// How long after a signal a master may take to tear the framework down.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Carries out `neap run`.
///
/// # Errors
/// Where it cannot begin, no leader is reached in time, or the master refuses it.
pub fn run(run: Run, connection: Connection, printer: Printer) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because("start the runtime", &error))?;
    let journal = journal::Options::of(run.journal.clone(), run.journal_effects);
    let state = match &run.id {
        Some(id) => State::open(&state_directory(&run)?.join(format!("{id}.redb")))?,
        None => State::none(),
    };
    let mut printer = printer;
    let output = Outlet::new(move |line: &Told| match line {
        Told::Update(line) => printer.one(line),
        // For eyes it is on stderr.
        Told::Waiting(line) if printer.format() == Format::Json => printer.one(line),
        Told::Waiting(_) => Ok(()),
    })?;
    let mut scheduler = Instances::new(&run, &connection, output);
    scheduler.resume(&run, &state)?;
    let failover_timeout = Millis(run.failover_timeout.as_millis());
    let partition_aware = run.partition_aware;
    let config = Config { failover_timeout, partition_aware, ..Config::new(run.name.clone()) };
    let settings = Settings { config, connection, state, journal };
    let end = runtime.block_on(super::run(&mut scheduler, settings));
    let verdict = scheduler.verdict(end);
    // How the tasks ended is worth more than that it could not be printed.
    let printed = scheduler.output.finish();
    verdict.and_then(|exit| printed.map(|()| exit))
}

fn state_directory(run: &Run) -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let usual = || set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let directory = run.state_dir.clone().or_else(|| Some(usual()?.join("neap")));
    directory.ok_or_else(|| {
        Failure::new(Exit::Usage, "no directory is known to keep the run's state in")
            .help("name one: --state-dir DIR")
    })
}

/// What is printed.
enum Told {
    Update(Line),
    Waiting(Waiting),
}

/// Why instances wait, as it is printed; in JSON `event` tells it from an update.
#[derive(Clone, Debug, Serialize)]
struct Waiting {
    event: &'static str,
    #[serde(serialize_with = "exact")]
    time: Moment,
    #[serde(flatten)]
    waits: Waits,
    #[serde(skip)]
    needs: Resources,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waits { instances, needs: _, why } = &self.waits;
        let (count, needs) = (counted(*instances, "instance"), &self.needs);
        let Why { why, help, .. } = why;
        write!(f, "still waiting for an offer for {count} of {needs}: {why}; {}", help.join("; "))
    }
}

/// One update, as it is printed.
#[derive(Clone, Debug, Serialize)]
struct Line {
    #[serde(serialize_with = "exact")]
    time: Moment,
    task: String,
    slave: String,
    state: &'static str,
    reason: String,
    message: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, task, slave, state, reason, message } = self;
        let time = clock(*time);
        write!(f, "{time}  {task}  {slave}  {state}")?;
        if reason != "Normal" {
            write!(f, "  {reason}")?;
        }
        match message.is_empty() {
            true => Ok(()),
            false => write!(f, "  {message}"),
        }
    }
}

/// A moment as programs read it (RFC 3339).
fn exact<S: serde::Serializer>(at: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(timestamp) => serializer.collect_str(&timestamp),
        None => serializer.serialize_none(),
    }
}

/// The scheduler of `neap run`.
struct Instances {
    service: bool,
    task: NewTask,
    attempts: Attempts,
    fleet: Fleet,
    /// The fleet's times count from here.
    began: Instant,
    slaves: BTreeMap<SlaveId, Name>,
    output: Outlet<Told>,
    suppressed: bool,
    /// There are instances for which no offer came.
    hungry: Option<Hungry>,
    /// The cluster will not have what was asked for.
    refusal: Option<Failure>,
    last_failed: Option<TaskId>,
    /// By when a leader must be reached, or a teardown done.
    limit: Option<Instant>,
    masters: Vec<SocketAddr>,
    timeout: Period,
    failover_timeout: Period,
    /// It was subscribed by this process.
    subscribed: bool,
    /// It is now.
    connected: bool,
    stopping: bool,
    /// Of a run with an id.
    lasting: Option<Lasting>,
}

/// When the master is asked why there is no offer, and what it said.
struct Hungry {
    ask: Instant,
    again: Duration,
    asked: bool,
    /// The causes that were said.
    said: Option<[bool; 8]>,
}

/// What a run has that outlives its process.
struct Lasting {
    /// What was asked for, for a later process to compare.
    terms: String,
    file: PathBuf,
    /// An earlier process was subscribed.
    resumed: bool,
    /// It was told to end, and its tasks are not.
    left: bool,
}

/// Keys of what is noted.
const TERMS: &str = "terms";
const TASK: &str = "task-";
const INSTANCE: &str = "instance-";

impl Instances {
    fn new(run: &Run, connection: &Connection, output: Outlet<Told>) -> Self {
        let mut words = run.command.iter().cloned();
        let command = Command {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            environment: run.env.iter().map(|set| (set.name.clone(), set.value.clone())).collect(),
        };
        let task = NewTask {
            name: run.name.clone(),
            resources: Resources::new(run.cpus.thousandths(), run.mem.bytes()),
            kill_grace: Millis(run.kill_grace.as_millis()),
            fence_after: run.fence_after.map(|after| Millis(after.as_millis())),
            run: NewRun::Command(Arc::new(command)),
        };
        let terms = Terms {
            service: run.service,
            overlaps: run.service && run.fence_after.is_none(),
            attempts: run.attempts.limit(),
            min_healthy: run.min_healthy.as_duration(),
            kill_grace: run.kill_grace.as_duration(),
            needs: task.resources.clone(),
        };
        Self {
            service: run.service,
            task,
            attempts: run.attempts,
            fleet: Fleet::new(terms, run.instances as usize),
            began: Instant::now(),
            slaves: BTreeMap::new(),
            output,
            suppressed: false,
            hungry: None,
            refusal: None,
            last_failed: None,
            limit: None,
            masters: connection.masters.clone(),
            timeout: connection.timeout,
            failover_timeout: run.failover_timeout,
            subscribed: false,
            connected: false,
            stopping: false,
            lasting: None,
        }
    }

    /// The fleet's time.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Goes on from what an earlier process of the same run noted.
    ///
    /// # Errors
    /// That one was to do something else.
    fn resume(&mut self, run: &Run, state: &State) -> Result<(), Failure> {
        let Some(file) = state.file() else { return Ok(()) };
        let terms = terms(run);
        let text = |note: &[u8]| String::from_utf8_lossy(note).into_owned();
        if let Some(earlier) = state.note(TERMS).map(text).filter(|earlier| *earlier != terms) {
            let message = format!("this id is in use by another run: neap run {earlier}");
            let help = format!("give it the same arguments, or another --id; or remove {}", file.display());
            return Err(Failure::new(Exit::Usage, message).help(help));
        }
        for (at, note) in state.notes(INSTANCE) {
            if let Ok(at) = at.parse() {
                self.fleet.resume_instance(at, &text(note));
            }
        }
        for (number, slave) in state.tasks() {
            let noted = state.note(&format!("{TASK}{number}")).and_then(|note| text(note).parse().ok());
            if let (Some(framework), Some(instance)) = (state.id(), noted) {
                self.fleet.resume_task(TaskId { framework, number }, instance, slave);
            }
        }
        let (file, resumed) = (file.to_owned(), state.is_resumed());
        self.lasting = Some(Lasting { terms, file, resumed, left: false });
        Ok(())
    }

    /// The task of an instance: its name, and its command's environment, say which of them it is.
    fn task_of(&self, instance: usize) -> NewTask {
        let mut task = self.task.clone();
        // A name that has no room for more stays as it is.
        task.name = Name::new(&format!("{}-{instance}", task.name)).unwrap_or(task.name);
        if let NewRun::Command(command) = &mut task.run {
            let variable = (INSTANCE_VARIABLE.to_owned(), instance.to_string());
            Arc::make_mut(command).environment.push(variable);
        }
        task
    }

    fn verdict(&self, end: Result<End, Failure>) -> Result<Exit, Failure> {
        let count = |stage| self.fleet.count(stage);
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        match end? {
            End::Refused(cause) => Err(self.refused(cause.as_str())),
            End::Left if self.lasting.as_ref().is_some_and(|lasting| lasting.left) => Ok(Exit::Success),
            End::Left if !self.subscribed && self.stopping && !self.has_begun() => Err(Failure::new(
                Exit::Unreachable,
                "it was told to end before a leader was reached: nothing was started",
            )),
            End::Left if !self.subscribed && !self.stopping => {
                let (timeout, masters) = (self.timeout, self.masters.iter().map(ToString::to_string));
                let masters = masters.collect::<Vec<_>>().join(", ");
                let message = format!("no leader was reached within {timeout} at {masters}");
                Err(Failure::new(Exit::Unreachable, message)
                    .help("`neap status` says whether a master runs there and leads; --masters IP:PORT names another"))
            }
            End::Left => {
                Err(Failure::new(Exit::Unreachable, "no leader has confirmed that the tasks are ended").help(
                    format!(
                        "a master ends them when the framework's failover timeout, {}, is over",
                        self.failover_timeout
                    ),
                ))
            }
            End::TornDown if self.service && self.stopping => Ok(Exit::Success),
            End::TornDown => match (count(Stage::GivenUp), count(Stage::Ended), count(Stage::Wanted)) {
                (0, 0, 0) => Ok(Exit::Success),
                (0, 0, wanted) => {
                    let wanted = counted(wanted as u64, "instance");
                    let message = format!("it was told to end before {wanted} had succeeded");
                    Err(Failure::new(Exit::Failed, message))
                }
                (0, ended, _) => {
                    let message = format!("an operator has ended {}", counted(ended as u64, "instance"));
                    Err(Failure::new(Exit::Failed, message).help("run it again if that was not meant"))
                }
                (failed, _, _) => Err(self.given_up(failed)),
            },
        }
    }

    /// Instances have failed as often as they may.
    fn given_up(&self, failed: usize) -> Failure {
        let failed = counted(failed as u64, "instance");
        let attempts = match self.attempts.limit() {
            Some(attempts) => counted(attempts, "attempt"),
            None => "attempts without a limit".to_owned(),
        };
        let last = self.last_failed.map_or_else(|| "TASK".to_owned(), |task| task.to_string());
        Failure::new(Exit::Failed, format!("given up: {failed} failed in each of {attempts}"))
            .help(format!("`neap logs {last}` shows what the last one wrote"))
            .help("--attempts K allows more, --attempts unlimited any number")
    }

    /// Whether a master may have something of it.
    fn has_begun(&self) -> bool {
        self.subscribed || self.lasting.as_ref().is_some_and(|lasting| lasting.resumed)
    }

    fn refused(&self, cause: &str) -> Failure {
        let anew = match &self.lasting {
            Some(lasting) => format!("remove {} to begin as a new framework", lasting.file.display()),
            None => "run it again".to_owned(),
        };
        match (self.subscribed, &self.lasting) {
            // It was let in before: what has become of it is not nothing.
            (true, _) => {
                let message = format!("the master knows this run no more: {cause}");
                let away = self.failover_timeout;
                Failure::new(Exit::Failed, message).help(format!(
                    "the tasks of a run are ended that was out of reach for longer than its failover timeout, {away}, or than \
                     a master allows: {anew}, with a longer --failover-timeout if that is what happened"
                ))
            }
            (false, Some(_)) => {
                Failure::new(Exit::Refused, cause).help(format!("if its time is over, {anew}"))
            }
            (false, None) => Failure::new(Exit::Refused, cause),
        }
    }

    /// After every callback: does what the fleet decides, asks for offers exactly while some are needed, and ends when
    /// nothing is left to do.
    fn settle(&mut self, driver: &mut Driver) {
        if self.stopping {
            return;
        }
        if self.fleet.is_done() {
            self.stop(driver);
            return;
        }
        let now = self.now();
        for task in self.fleet.kills(now) {
            driver.kill(task, None);
        }
        if let Some(at) = self.fleet.wake(now) {
            driver.wake_at(self.began + at.min(AHEAD_MAX));
        }
        let wanted = self.fleet.wanted(now).len();
        let hungry = wanted > 0;
        if hungry && self.suppressed {
            driver.revive();
        } else if !hungry && !self.suppressed {
            driver.suppress();
        }
        self.suppressed = !hungry;
        self.say_hungry(driver, wanted);
    }

    /// Asks the master why instances wait, and again, ever later, while they do; what it says is told when it changes.
    fn say_hungry(&mut self, driver: &mut Driver, wanted: usize) {
        let want =
            |tasks| Want { tasks, needs: self.task.resources.clone(), fence_after: self.task.fence_after };
        if wanted == 0 || !self.connected {
            if self.hungry.take().is_some_and(|hungry| hungry.asked) {
                driver.want(want(0));
            }
            return;
        }
        let now = Instant::now();
        // Whether its tasks can be fenced is asked at once.
        let first = if self.task.fence_after.is_some() { now } else { now + PATIENCE };
        let fresh = Hungry { ask: first, again: PATIENCE, asked: false, said: None };
        let hungry = self.hungry.get_or_insert(fresh);
        if hungry.ask <= now {
            driver.want(want(wanted.try_into().unwrap_or(u32::MAX)));
            hungry.asked = true;
            hungry.ask = now + hungry.again;
            hungry.again = (hungry.again * 2).min(PATIENCE_MAX);
        }
        driver.wake_at(hungry.ask);
    }

    fn stop(&mut self, driver: &mut Driver) {
        self.stopping = true;
        let limit = Instant::now() + TEARDOWN_TIMEOUT + Duration::from_millis(self.task.kill_grace.0);
        self.limit = Some(limit);
        driver.wake_at(limit);
        driver.teardown();
    }

    fn print(&mut self, update: &Update, slave: SlaveId) {
        let name = self.slaves.get(&slave).map(ToString::to_string);
        let line = Line {
            time: driver::now(),
            task: update.task.to_string(),
            slave: name.unwrap_or_else(|| slave.to_string()),
            state: update.state.as_str(),
            reason: update.reason.to_string(),
            message: update.message.as_str().to_owned(),
        };
        self.output.put(Told::Update(line));
    }
}

/// What no cluster of these times can promise (R9).
fn cannot_fence(asked: Millis, most: Millis) -> Failure {
    let [asked, least, most] =
        [asked, FENCE_AFTER_MIN, most].map(|span| Period::saturating_from(Duration::from_millis(span.0)));
    Failure::new(
        Exit::Refused,
        format!("--fence-after {asked} is not possible here: it is from {least} to {most}"),
    )
    .help("it is at most half of what a master waits before it gives a slave up (`neap master --help`)")
}

/// What a run does, as the arguments that ask for it.
fn terms(run: &Run) -> String {
    let Run { name, instances, cpus, mem, service, kill_grace, .. } = run;
    let Run { partition_aware, fence_after, env, command, .. } = run;
    let mut terms =
        format!("--name {name} --instances {instances} --cpus {cpus} --mem {mem} --kill-grace {kill_grace}");
    if *service {
        terms.push_str(" --service");
    }
    if *partition_aware {
        terms.push_str(" --partition-aware");
    }
    if let Some(after) = fence_after {
        terms.push_str(&format!(" --fence-after {after}"));
    }
    env.iter().for_each(|variable| terms.push_str(&format!(" --env {variable}")));
    terms.push_str(" --");
    command.iter().for_each(|word| terms.push_str(&format!(" {word}")));
    terms
}

impl Scheduler for Instances {
    fn started(&mut self, driver: &mut Driver) {
        if let Some(lasting) = &self.lasting {
            driver.note(TERMS, lasting.terms.clone());
            if lasting.resumed {
                // Its tasks go on, and nobody else has them: it looks for a leader for as long as that takes. Or it is
                // through, and was killed before it could go.
                if self.fleet.is_done() {
                    self.stop(driver);
                }
                return;
            }
        }
        let limit = Instant::now() + self.timeout.as_duration();
        self.limit = Some(limit);
        driver.wake_at(limit);
    }

    fn subscribed(&mut self, driver: &mut Driver, id: FrameworkId) {
        tracing::info!(%id, "subscribed");
        (self.subscribed, self.connected) = (true, true);
        // A new session knows nothing of what is wanted.
        self.hungry = None;
        if !self.stopping {
            self.limit = None;
        }
        // One that was taken up may have all that it needs.
        self.settle(driver);
    }

    fn disconnected(&mut self, _driver: &mut Driver) {
        self.connected = false;
    }

    fn offers(&mut self, driver: &mut Driver, offers: Vec<Offered>) {
        for offer in &offers {
            self.slaves.insert(offer.slave, offer.name.clone());
        }
        let rooms = offers.iter().filter(|_| !self.stopping);
        let rooms = rooms.map(|offer| Room {
            offer: offer.id,
            slave: offer.slave,
            resources: offer.resources.clone(),
        });
        let placed = self.fleet.place(self.began.elapsed(), rooms.collect());
        let mut declined = Vec::new();
        for offer in offers {
            match placed.get(&offer.id) {
                Some(instances) => {
                    let tasks = instances.iter().map(|instance| self.task_of(*instance)).collect();
                    driver.accept(offer.id, tasks, FILTER);
                }
                None => declined.push(offer.id),
            }
        }
        if !declined.is_empty() {
            driver.decline(declined, FILTER);
        }
        self.settle(driver);
    }

    fn launching(&mut self, driver: &mut Driver, offer: OfferId, tasks: Vec<TaskId>) {
        for (task, instance) in self.fleet.launched(offer, &tasks) {
            driver.note(format!("{TASK}{}", task.number), instance.to_string());
        }
        self.settle(driver);
    }

    fn update(&mut self, driver: &mut Driver, update: &Update, slave: SlaveId) {
        self.print(update, slave);
        let Update { task, state, reason, .. } = *update;
        let now = self.now();
        if state.is_terminal() {
            let before = self.fleet.instance_of(task).map(|instance| self.fleet.noted(instance));
            if let Some((instance, failed)) = self.fleet.ended(now, task, state, reason) {
                driver.erase(format!("{TASK}{}", task.number));
                let noted = self.fleet.noted(instance);
                if before.is_some_and(|before| before != noted) {
                    driver.note(format!("{INSTANCE}{instance}"), noted);
                }
                if failed {
                    self.last_failed = Some(task);
                }
            }
        } else {
            self.fleet.goes(now, task, slave, state, reason);
        }
        self.settle(driver);
    }

    fn inverse_offer(&mut self, driver: &mut Driver, id: InverseOfferId, asked: Asked) {
        let now = self.now();
        let left = Duration::from_millis(asked.deadline.0.saturating_sub(driver::now().0));
        let rather = self.fleet.asked(now, id, asked.slave, &asked.ask, now + left.min(AHEAD_MAX));
        driver.answer_inverse(id, InverseAnswer::Accept { rather });
        self.settle(driver);
    }

    fn inverse_offer_closed(&mut self, driver: &mut Driver, id: InverseOfferId, _outcome: InverseOutcome) {
        self.fleet.asked_no_more(id);
        self.settle(driver);
    }

    fn pending(&mut self, driver: &mut Driver, why: Pending) {
        // What runs is worth more than what cannot be launched.
        if let (Some(most), Some(asked), 0) = (why.fence_most, self.task.fence_after, self.fleet.tasks()) {
            self.refusal = Some(cannot_fence(asked, most));
            return self.stop(driver);
        }
        let (waiting, needs) = (self.fleet.wanted(self.now()).len(), self.task.resources.clone());
        let Some(hungry) = self.hungry.as_mut().filter(|_| waiting > 0) else { return };
        let want = Want { tasks: waiting.try_into().unwrap_or(u32::MAX), needs, fence_after: None };
        let waits = Waits::new(&want, &why);
        let kinds = waits.why.kinds();
        // What is free is on its way.
        if hungry.said == Some(kinds) || why.free > 0 {
            return;
        }
        hungry.said = Some(kinds);
        let line = Waiting { event: "waiting", time: driver::now(), waits, needs: want.needs };
        say(&line.to_string());
        self.output.put(Told::Waiting(line));
    }

    fn woken(&mut self, driver: &mut Driver) {
        if self.limit.is_some_and(|limit| limit <= Instant::now()) {
            return driver.leave();
        }
        self.limit.into_iter().for_each(|limit| driver.wake_at(limit));
        self.settle(driver);
    }

    /// Ctrl-C and SIGTERM are one: a run with an id leaves its tasks to the next process, as a service manager wants it
    /// that starts it again; any other ends them. SIGUSR1 ends them in any case. Without a leader there is nobody who could.
    fn signalled(&mut self, driver: &mut Driver, signal: Signal) {
        let lasts = match signal {
            Signal::Interrupt | Signal::Terminate => true,
            Signal::DrainNow => false,
        };
        match &mut self.lasting {
            // Once more.
            _ if self.stopping => driver.leave(),
            Some(lasting) if lasts && (lasting.resumed || self.subscribed) => {
                lasting.left = true;
                let failover_timeout = self.failover_timeout;
                let text = format!("its tasks go on for {failover_timeout}; the same command takes them up");
                say(&text);
                driver.leave();
            }
            Some(_) | None => {
                let (tasks, connected) = (self.fleet.tasks(), self.connected);
                self.stop(driver);
                let counted = counted(tasks as u64, "task");
                match (connected, signal) {
                    (true, _) if tasks > 0 => {
                        say(&format!("ending {counted}; the same signal again leaves at once"));
                    }
                    (true, _) => {}
                    // Nobody but a leader can end them, and nothing else was asked for.
                    (false, Signal::DrainNow) if self.has_begun() => say(&format!(
                        "ending {counted} as soon as a leader is reached; the same signal again leaves at once"
                    )),
                    (false, Signal::Interrupt | Signal::Terminate | Signal::DrainNow) => driver.leave(),
                }
            }
        }
    }
}
