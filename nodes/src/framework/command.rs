//! `neap run`: a command, many times over.
//!
//! A **batch** runs each instance until it has succeeded once; one that fails [`TRIES_MAX`] times is given up. A
//! **service** keeps every instance running, and starts again what ended, ever later if it keeps failing.
//!
//! An inverse offer is accepted. A service then starts replacements on other slaves, and ends the old tasks once
//! those run; one that is fenced, and is not to run twice, ends the old tasks first. A batch lets its tasks go on, for
//! they may be done in time. What is left shortly before the deadline is ended, and starts anew elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_protocol::framework::Config;
use neap_protocol::ids::{FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::{InverseAnswer, InverseAsk, InverseOutcome, Offered};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Reason, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::{Millis, Moment};
use serde::Serialize;

use super::{Asked, Driver, End, NewRun, NewTask, Scheduler, Settings, State};
use crate::cli::work::Run;
use crate::config::Connection;
use crate::driver;
use crate::exit::Exit;
use crate::journal;
use crate::output::{Failure, Printer, clock, counted};
use crate::shutdown::Signal;
use crate::units::Period;

/// How often an instance of a batch may fail.
pub const TRIES_MAX: u32 = 3;

/// Which of the instances a task is, from 0, is told to its command in this variable.
pub const INSTANCE_VARIABLE: &str = "NEAP_INSTANCE";

/// The delay before an instance that failed starts again; it doubles with each failure in a row.
const RESTART_MIN: Duration = Duration::from_secs(1);
/// The longest such delay.
const RESTART_MAX: Duration = Duration::from_secs(30);
/// How much longer than its kill grace a task is given before a deadline.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);
/// For how long what is not needed need not be offered again.
const FILTER: Millis = Millis::from_secs(5);
/// How long instances wait for an offer before that is said.
const PATIENCE: Duration = Duration::from_secs(5);
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
    let mut scheduler = Instances::new(&run, &connection, Box::new(PrintUpdates(printer)));
    scheduler.resume(&run, &state)?;
    let failover_timeout = Millis(run.failover_timeout.as_millis());
    let partition_aware = run.partition_aware;
    let config = Config { failover_timeout, partition_aware, ..Config::new(run.name.clone()) };
    let settings = Settings { config, connection, state, journal };
    let end = runtime.block_on(super::run(&mut scheduler, settings))?;
    scheduler.verdict(end)
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

/// What takes each update: a printer, or a test.
trait Report {
    fn report(&mut self, line: Line) -> io::Result<()>;

    /// For a person who waits.
    fn note(&mut self, text: &str) -> io::Result<()>;
}

struct PrintUpdates(Printer);

impl Report for PrintUpdates {
    fn report(&mut self, line: Line) -> io::Result<()> {
        self.0.one(&line)
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        // On stdout there are only updates.
        writeln!(io::stderr(), "{text}")
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
    instances: Vec<Instance>,
    tasks: BTreeMap<TaskId, Placed>,
    /// For which instances the tasks of an accept are, until they have ids.
    launching: BTreeMap<OfferId, (SlaveId, Vec<usize>)>,
    /// The inverse offers that are open.
    asked: BTreeMap<InverseOfferId, Leaving>,
    slaves: BTreeMap<SlaveId, Name>,
    report: Box<dyn Report>,
    failed_output: Option<Failure>,
    suppressed: bool,
    /// Since when there are instances for which no offer came, and whether that was said.
    hungry: Option<(Instant, bool)>,
    last_failed: Option<TaskId>,
    /// By when a leader must be reached, or a teardown done.
    limit: Option<Instant>,
    masters: Vec<SocketAddr>,
    timeout: Period,
    failover_timeout: Period,
    subscribed: bool,
    stopping: bool,
    /// Of a run with an id.
    lasting: Option<Lasting>,
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

#[derive(Clone, Debug)]
struct Instance {
    stage: Stage,
    failures: u32,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Wanted,
    Succeeded,
    GivenUp,
}

#[derive(Clone, Debug)]
struct Placed {
    instance: usize,
    slave: SlaveId,
    killed: bool,
}

#[derive(Clone, Debug)]
struct Leaving {
    slave: SlaveId,
    tasks: BTreeSet<TaskId>,
    kill_at: Instant,
}

impl Instances {
    fn new(run: &Run, connection: &Connection, report: Box<dyn Report>) -> Self {
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
        let fresh = Instance { stage: Stage::Wanted, failures: 0, not_before: Instant::now() };
        Self {
            service: run.service,
            task,
            instances: vec![fresh; run.instances as usize],
            tasks: BTreeMap::new(),
            launching: BTreeMap::new(),
            asked: BTreeMap::new(),
            slaves: BTreeMap::new(),
            report,
            failed_output: None,
            suppressed: false,
            hungry: None,
            last_failed: None,
            limit: None,
            masters: connection.masters.clone(),
            timeout: connection.timeout,
            failover_timeout: run.failover_timeout,
            subscribed: false,
            stopping: false,
            lasting: None,
        }
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
            let known = at.parse().ok().and_then(|at: usize| self.instances.get_mut(at));
            if let Some(instance) = known {
                instance.read(&text(note));
            }
        }
        for (number, slave) in state.tasks() {
            let noted = state.note(&format!("{TASK}{number}")).and_then(|note| text(note).parse().ok());
            let Some(instance) = noted.filter(|at| *at < self.instances.len()) else { continue };
            if let Some(framework) = state.id() {
                let placed = Placed { instance, slave, killed: false };
                self.tasks.insert(TaskId { framework, number }, placed);
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

    fn verdict(self, end: End) -> Result<Exit, Failure> {
        if let Some(failure) = self.failed_output {
            return Err(failure);
        }
        let count = |stage| self.instances.iter().filter(|instance| instance.stage == stage).count();
        match end {
            End::Refused(cause) => Err(self.refused(cause.as_str())),
            End::Left if self.lasting.as_ref().is_some_and(|lasting| lasting.left) => Ok(Exit::Success),
            End::Left if !self.subscribed && !self.stopping => {
                let (timeout, masters) = (self.timeout, self.masters.iter().map(ToString::to_string));
                let masters = masters.collect::<Vec<_>>().join(", ");
                let message = format!("no leader was reached within {timeout} at {masters}");
                Err(Failure::new(Exit::Unreachable, message)
                    .help("`neap status` says whether a master runs there and leads; --masters IP:PORT names another"))
            }
            End::Left => {
                Err(Failure::new(Exit::Unreachable, "no leader has confirmed that the tasks are ended")
                    .help("a master ends them when the framework's failover timeout is over"))
            }
            End::TornDown if self.service && self.stopping => Ok(Exit::Success),
            End::TornDown => match (count(Stage::GivenUp), count(Stage::Wanted)) {
                (0, 0) => Ok(Exit::Success),
                (0, wanted) => {
                    let wanted = counted(wanted as u64, "instance");
                    Err(Failure::new(
                        Exit::Failed,
                        format!("it was told to end before {wanted} had succeeded"),
                    ))
                }
                (failed, _) => {
                    let message = format!("{} failed for good", counted(failed as u64, "instance"));
                    let last = self.last_failed.map_or_else(|| "TASK".to_owned(), |task| task.to_string());
                    let help = format!("`neap logs {last}` shows what it wrote");
                    Err(Failure::new(Exit::Failed, message).help(help))
                }
            },
        }
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

    fn is_leaving(&self, task: TaskId) -> bool {
        self.asked.values().any(|leaving| leaving.tasks.contains(&task))
    }

    /// Whether an instance may begin again before its task has ended.
    fn may_overlap(&self) -> bool {
        self.service && self.task.fence_after.is_none()
    }

    /// The instances that are to be launched now.
    fn wanted(&self) -> Vec<usize> {
        let now = Instant::now();
        let held = self
            .tasks
            .iter()
            .filter(|(id, placed)| !(self.may_overlap() && (placed.killed || self.is_leaving(**id))));
        let mut held: BTreeSet<usize> = held.map(|(_, placed)| placed.instance).collect();
        held.extend(self.launching.values().flat_map(|(_, instances)| instances));
        let wanted = self.instances.iter().enumerate().filter(|(at, instance)| {
            instance.stage == Stage::Wanted && instance.not_before <= now && !held.contains(at)
        });
        wanted.map(|(at, _)| at).collect()
    }

    /// After every callback: asks for offers exactly while some are needed, and ends when nothing is left to do.
    fn settle(&mut self, driver: &mut Driver) {
        if self.stopping {
            return;
        }
        if self.instances.iter().all(|instance| instance.stage != Stage::Wanted) {
            self.stop(driver);
            return;
        }
        let now = Instant::now();
        let later = self.instances.iter().filter(|instance| instance.stage == Stage::Wanted);
        let later = later.map(|instance| instance.not_before).filter(|at| *at > now).min();
        later.into_iter().for_each(|at| driver.wake_at(at));
        let hungry = !self.wanted().is_empty();
        if hungry && self.suppressed {
            driver.revive();
        } else if !hungry && !self.suppressed {
            driver.suppress();
        }
        self.suppressed = !hungry;
        self.say_hungry(driver, now);
    }

    /// Says once that instances wait for offers, and what for: one that asks for more than there is waits for ever.
    fn say_hungry(&mut self, driver: &mut Driver, now: Instant) {
        let waiting = if self.subscribed { self.wanted().len() } else { 0 };
        if waiting == 0 {
            self.hungry = None;
            return;
        }
        let (since, said) = *self.hungry.get_or_insert((now, false));
        if said {
            return;
        }
        if now < since + PATIENCE {
            return driver.wake_at(since + PATIENCE);
        }
        self.hungry = Some((since, true));
        let (count, needs) = (counted(waiting as u64, "instance"), &self.task.resources);
        let text = format!(
            "still waiting for an offer for {count}: each needs {needs} on one slave; `neap slaves` lists what there is"
        );
        self.note(&text);
    }

    fn note(&mut self, text: &str) {
        if let Err(error) = self.report.note(text) {
            tracing::debug!(%error, "nobody reads notes");
        }
    }

    fn stop(&mut self, driver: &mut Driver) {
        self.stopping = true;
        let limit = Instant::now() + TEARDOWN_TIMEOUT + Duration::from_millis(self.task.kill_grace.0);
        self.limit = Some(limit);
        driver.wake_at(limit);
        driver.teardown();
    }

    fn kill(&mut self, driver: &mut Driver, task: TaskId) {
        if let Some(placed) = self.tasks.get_mut(&task)
            && !placed.killed
        {
            placed.killed = true;
            driver.kill(task, None);
        }
    }

    /// A replacement runs: what it replaces is ended.
    fn replaced(&mut self, driver: &mut Driver, by: TaskId, instance: usize) {
        let old = self.tasks.iter().filter(|(id, placed)| placed.instance == instance && **id != by);
        let old: Vec<TaskId> = old.map(|(id, _)| *id).filter(|id| self.is_leaving(*id)).collect();
        old.into_iter().for_each(|task| self.kill(driver, task));
    }

    fn over(&mut self, update: &Update, placed: &Placed) {
        let instance = &mut self.instances[placed.instance];
        let by_operator = update.reason == Reason::KilledByOperator;
        let failed = match update.state {
            TaskState::Finished => {
                if !self.service {
                    instance.stage = Stage::Succeeded;
                }
                instance.failures = 0;
                // A service that ends by itself is not to spin.
                self.service
            }
            TaskState::Failed => true,
            TaskState::Dropped => {
                matches!(update.reason, Reason::InvalidSpec | Reason::BeyondOffer | Reason::CannotFence)
            }
            TaskState::Killed => by_operator && !placed.killed,
            TaskState::Staging
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Lost => false,
        };
        if !failed || instance.stage == Stage::Succeeded {
            return;
        }
        instance.failures += 1;
        self.last_failed = Some(update.task);
        let delay = RESTART_MIN * 2u32.saturating_pow(instance.failures.min(16) - 1);
        instance.not_before = Instant::now() + delay.min(RESTART_MAX);
        if !self.service && (instance.failures >= TRIES_MAX || by_operator) {
            instance.stage = Stage::GivenUp;
        }
    }

    /// The tasks to give up for what is asked: all, or the newest that cover it.
    fn chosen(&self, slave: SlaveId, ask: &InverseAsk) -> BTreeSet<TaskId> {
        let here = self.tasks.iter().rev().filter(|(_, placed)| placed.slave == slave).map(|(id, _)| *id);
        match ask {
            InverseAsk::Everything => here.collect(),
            InverseAsk::Amount(amount) => {
                let mut left = amount.without_ports();
                let mut chosen = BTreeSet::new();
                for task in here {
                    if left.is_empty() {
                        break;
                    }
                    left = left.saturating_sub(&self.task.resources);
                    chosen.insert(task);
                }
                chosen
            }
        }
    }

    fn print(&mut self, driver: &mut Driver, update: &Update, slave: SlaveId) {
        let name = self.slaves.get(&slave).map(ToString::to_string);
        let line = Line {
            time: driver::now(),
            task: update.task.to_string(),
            slave: name.unwrap_or_else(|| slave.to_string()),
            state: update.state.as_str(),
            reason: update.reason.to_string(),
            message: update.message.as_str().to_owned(),
        };
        if let Err(error) = self.report.report(line)
            && self.failed_output.is_none()
        {
            // Nobody listens any more: the tasks are of no use to anybody.
            self.failed_output = Some(Failure::from(error));
            self.stop(driver);
        }
    }
}

impl Instance {
    /// As a later process [reads](Self::read) it; what it waits for is not worth a note.
    fn noted(&self) -> String {
        match self.stage {
            Stage::Wanted => format!("failed {}", self.failures),
            Stage::Succeeded => "succeeded".to_owned(),
            Stage::GivenUp => "given up".to_owned(),
        }
    }

    fn read(&mut self, noted: &str) {
        match noted {
            "succeeded" => self.stage = Stage::Succeeded,
            "given up" => self.stage = Stage::GivenUp,
            failed => {
                let failures = failed.strip_prefix("failed ").and_then(|failures| failures.parse().ok());
                self.failures = failures.unwrap_or(0);
            }
        }
    }
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
                if self.instances.iter().all(|instance| instance.stage != Stage::Wanted) {
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
        self.subscribed = true;
        if !self.stopping {
            self.limit = None;
        }
        // One that was taken up may have all that it needs.
        self.settle(driver);
    }

    fn offers(&mut self, driver: &mut Driver, offers: Vec<Offered>) {
        self.launching.clear();
        for offer in &offers {
            self.slaves.insert(offer.slave, offer.name.clone());
        }
        let closed: BTreeSet<SlaveId> = self.asked.values().map(|leaving| leaving.slave).collect();
        let mut wanted = if self.stopping { Vec::new() } else { self.wanted() };
        wanted.reverse();
        let mut room: Vec<_> = offers
            .iter()
            .filter(|offer| !closed.contains(&offer.slave))
            .map(|offer| (offer.id, offer.slave, offer.resources.clone()))
            .collect();
        // One after another over all of them, so that instances are spread.
        while !wanted.is_empty() && !room.is_empty() {
            room.retain_mut(|(offer, slave, left)| {
                match (left.checked_sub(&self.task.resources), wanted.pop()) {
                    (Some(rest), Some(instance)) => {
                        *left = rest;
                        self.launching.entry(*offer).or_insert_with(|| (*slave, Vec::new())).1.push(instance);
                        true
                    }
                    (_, unplaced) => {
                        wanted.extend(unplaced);
                        false
                    }
                }
            });
        }
        let mut declined = Vec::new();
        for offer in offers {
            match self.launching.get(&offer.id) {
                Some((_, instances)) => {
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
        let Some((slave, instances)) = self.launching.remove(&offer) else {
            return;
        };
        for (task, instance) in tasks.into_iter().zip(instances) {
            driver.note(format!("{TASK}{}", task.number), instance.to_string());
            self.tasks.insert(task, Placed { instance, slave, killed: false });
        }
        self.settle(driver);
    }

    fn update(&mut self, driver: &mut Driver, update: &Update, slave: SlaveId) {
        self.print(driver, update, slave);
        let task = update.task;
        if update.state.is_terminal() {
            if let Some(placed) = self.tasks.remove(&task) {
                driver.erase(format!("{TASK}{}", task.number));
                let before = self.instances[placed.instance].noted();
                self.over(update, &placed);
                let now = self.instances[placed.instance].noted();
                if now != before {
                    driver.note(format!("{INSTANCE}{}", placed.instance), now);
                }
            }
        } else if let Some(placed) = self.tasks.get_mut(&task) {
            placed.slave = slave;
            let instance = placed.instance;
            if update.state == TaskState::Running && !self.is_leaving(task) {
                self.replaced(driver, task, instance);
            }
        }
        self.settle(driver);
    }

    fn inverse_offer(&mut self, driver: &mut Driver, id: InverseOfferId, asked: Asked) {
        let margin = DEADLINE_MARGIN + Duration::from_millis(self.task.kill_grace.0);
        let kill_at = before(asked.deadline, margin);
        let known = self.asked.get(&id).map(|leaving| leaving.tasks.clone());
        let tasks = known.unwrap_or_else(|| self.chosen(asked.slave, &asked.ask));
        let rather = tasks.iter().copied().collect();
        driver.answer_inverse(id, InverseAnswer::Accept { rather });
        match self.service && !self.may_overlap() {
            true => tasks.iter().for_each(|task| self.kill(driver, *task)),
            false => driver.wake_at(kill_at),
        }
        self.asked.insert(id, Leaving { slave: asked.slave, tasks, kill_at });
        self.settle(driver);
    }

    fn inverse_offer_closed(&mut self, driver: &mut Driver, id: InverseOfferId, _outcome: InverseOutcome) {
        self.asked.remove(&id);
        self.settle(driver);
    }

    fn woken(&mut self, driver: &mut Driver) {
        let now = Instant::now();
        if self.limit.is_some_and(|limit| limit <= now) {
            return driver.leave();
        }
        self.limit.into_iter().for_each(|limit| driver.wake_at(limit));
        let (due, later): (Vec<_>, Vec<_>) =
            self.asked.values().cloned().partition(|leaving| leaving.kill_at <= now);
        due.iter().flat_map(|leaving| &leaving.tasks).for_each(|task| self.kill(driver, *task));
        later.iter().for_each(|leaving| driver.wake_at(leaving.kill_at));
        self.settle(driver);
    }

    /// SIGTERM ends the process of a run with an id, and not its tasks: a service manager may start it anew.
    fn signalled(&mut self, driver: &mut Driver, signal: Signal) {
        match &mut self.lasting {
            _ if self.stopping => driver.leave(),
            Some(lasting) if signal == Signal::Terminate => {
                lasting.left = true;
                let failover_timeout = self.failover_timeout;
                let text = format!("its tasks go on for {failover_timeout}; the same command takes them up");
                self.note(&text);
                driver.leave();
            }
            Some(_) | None => self.stop(driver),
        }
    }
}

/// So long before a moment of the wall clock.
fn before(moment: Moment, span: Duration) -> Instant {
    let left = Duration::from_millis(moment.0.saturating_sub(driver::now().0));
    Instant::now() + left.saturating_sub(span).min(Duration::from_secs(366 * 24 * 3600))
}
