//! The load: a service, and batches one after another, each a `neap run` that prints what its scheduler was told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use neap_protocol::transport::Role;
use rustix::process::Signal;

use crate::cluster::{Away, Cluster, certificate};
use crate::ledger::{self, END, START, Told};
use crate::process::{PATIENCE, Place, Process, until};
use crate::random::Random;
use crate::truth;

/// How many batches there are at a time.
const BATCHES: usize = 2;

/// How many instances the service has.
const SERVED: usize = 4;

/// Of as many of the faults as last longer than this it is ended, and begun anew (R9).
pub(crate) const FENCED: &str = "--fence-after 1500ms";

/// How long that is.
pub(crate) const FENCED_FOR: Duration = Duration::from_millis(1500);

/// Leaves a process behind that ignores SIGTERM, in a session of its own. A fenced task's lock stays with the task.
const HOSTILE: &str = r#"(setsid sh -c 'trap "" TERM; sleep 1000; :' 9>&- &)"#;

/// What every scheduler was told, in the order in which it was printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<Mutex<Vec<Told>>>);

impl Book {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&[Told]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, told: Vec<Told>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    /// Whether somebody was told of this task's end.
    pub(crate) fn has_end(&self, task: &str) -> bool {
        self.read(|told| told.iter().any(|told| told.task == task && told.is_end()))
    }

    /// The tasks of a run that were told of, and no end of them.
    fn living(&self, run: usize) -> BTreeSet<String> {
        self.read(|told| {
            let of_run = told.iter().filter(|told| told.run == run);
            let ended: BTreeSet<&str> =
                of_run.clone().filter(|told| told.is_end()).map(|told| told.task.as_str()).collect();
            of_run.map(|told| &told.task).filter(|task| !ended.contains(task.as_str())).cloned().collect()
        })
    }
}

/// Everything that runs on a cluster.
pub(crate) struct Load {
    pub(crate) book: Book,
    /// The control groups of slaves that were seen to have tasks.
    pub(crate) groups: BTreeSet<PathBuf>,
    /// Tasks whose executor was killed.
    pub(crate) condemned: BTreeSet<String>,
    running: BTreeMap<usize, Running>,
    /// The run whose scheduler is stopped.
    stopped: Option<usize>,
    ended: BTreeMap<usize, ledger::Run>,
    random: Random,
}

struct Running {
    name: String,
    batch: Option<usize>,
    flags: String,
    script: String,
    process: Process,
    reader: JoinHandle<()>,
    killed: bool,
}

impl Load {
    /// Starts the service, and waits until it runs.
    pub(crate) fn start(cluster: &Cluster, random: Random) -> Result<Self, String> {
        Self::start_with(cluster, random, "")
    }

    /// The same, of a service with more flags.
    pub(crate) fn start_with(cluster: &Cluster, random: Random, flags: &str) -> Result<Self, String> {
        let (book, groups) = (Book::default(), BTreeSet::new());
        let (condemned, running, ended) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let mut load = Self { book, groups, condemned, running, stopped: None, ended, random };
        let script = format!("{START}; {HOSTILE}; while :; do sleep 1000; done");
        let script = match flags.contains(FENCED) {
            true => format!("{}; {script}", ledger::alone("service")),
            false => script,
        };
        let flags = format!("--service --instances {SERVED} --cpus 0.5 {flags}");
        load.run(cluster, "service".into(), None, flags, script)?;
        until("a service that runs", || match load.book.living(SERVICE).len() {
            SERVED.. => Ok(()),
            few => Err(format!("{few} instances run")),
        })?;
        Ok(load)
    }

    /// Starts batches for those that are through.
    pub(crate) fn feed(&mut self, cluster: &Cluster) -> Result<(), String> {
        self.groups.extend(truth::control_groups(&truth::below(cluster.place.path())));
        let through: Vec<usize> =
            self.running.iter_mut().filter_map(|(at, run)| run.process.has_ended().then_some(*at)).collect();
        for run in through {
            self.end(run)?;
        }
        while self.running.len() < BATCHES + 1 {
            self.batch(cluster)?;
        }
        Ok(())
    }

    /// Starts one more batch.
    pub(crate) fn batch(&mut self, cluster: &Cluster) -> Result<(), String> {
        let name = format!("batch-{}", self.running.len() + self.ended.len());
        let instances = self.random.within(20..80);
        let left_behind = if self.random.percent(30) { HOSTILE } else { ":" };
        let ms = self.random.within(100..900);
        // Told to end, some leave their work and say that all is well: they have not finished (R12a).
        let polite = if self.random.percent(40) { "trap 'exit 0' TERM" } else { ":" };
        let script = format!("{polite}; {START}; {left_behind}; sleep 0.{ms:03}; {END}");
        let (fenced, script) = match self.random.percent(40) {
            true => (FENCED, format!("{}; {script}", ledger::alone(&name))),
            false => ("", script),
        };
        let flags = format!("--instances {instances} --cpus 1 {fenced}");
        self.run(cluster, name, Some(instances as usize), flags, script)
    }

    fn run(
        &mut self,
        cluster: &Cluster,
        name: String,
        batch: Option<usize>,
        flags: String,
        script: String,
    ) -> Result<(), String> {
        let at = self.running.len() + self.ended.len();
        let (process, reader) = self.start_run(cluster, at, &name, &flags, &script)?;
        self.running.insert(at, Running { name, batch, flags, script, process, reader, killed: false });
        Ok(())
    }

    /// The runs that are not through.
    fn lasting(&mut self) -> Vec<usize> {
        let running = self.running.iter_mut();
        running.filter_map(|(at, run)| (!run.process.has_ended()).then_some(*at)).collect()
    }

    /// Whether a scheduler is on this link.
    pub(crate) fn uses(&mut self, link: usize) -> bool {
        self.lasting().into_iter().any(|run| Cluster::framework_link_of(run) == link)
    }

    /// SIGSTOP to a scheduler, if there is one that is not through.
    pub(crate) fn stop_one(&mut self, random: &mut Random) -> bool {
        let lasting = self.lasting();
        self.stopped = (!lasting.is_empty()).then(|| *random.pick(&lasting));
        self.signal_stopped(Signal::STOP);
        self.stopped.is_some()
    }

    /// The scheduler that was stopped goes on after so long.
    pub(crate) fn go_on(&mut self, after: Duration) {
        if self.stopped.is_some() {
            std::thread::sleep(after);
            self.signal_stopped(Signal::CONT);
            self.stopped = None;
        }
    }

    fn signal_stopped(&mut self, signal: Signal) {
        let Some(run) = self.stopped.and_then(|run| self.running.get_mut(&run)) else { return };
        // It may have come to its end just before.
        if !run.process.has_ended() {
            run.process.signal(signal);
        }
    }

    /// kill -9 of a scheduler, and the same command again after so long (R14). Whether there was one: who is through
    /// would not be taken up.
    pub(crate) fn kill_one(
        &mut self,
        cluster: &mut Cluster,
        random: &mut Random,
        away: Duration,
    ) -> Result<bool, String> {
        let lasting = self.lasting();
        let Some(run) = (!lasting.is_empty()).then(|| *random.pick(&lasting)) else { return Ok(false) };
        let (at, run) = self.running.remove_entry(&run).expect("a run that lasts");
        let Running { name, batch, flags, script, process, reader, .. } = run;
        cluster.count_kill(&name);
        process.kill();
        reader.join().map_err(|_| format!("what {name} printed cannot be read"))?;
        std::thread::sleep(away);
        let (process, reader) = self.start_run(cluster, at, &name, &flags, &script)?;
        self.running.insert(at, Running { name, batch, flags, script, process, reader, killed: true });
        Ok(true)
    }

    fn start_run(
        &self,
        cluster: &Cluster,
        at: usize,
        name: &str,
        flags: &str,
        script: &str,
    ) -> Result<(Process, JoinHandle<()>), String> {
        let place = &cluster.place;
        let words = format!(
            "run -o json --name {name} --id {name} --state-dir states --masters {} {} {flags} --mem 16M \
             --kill-grace 300ms --env RAN={} --journal journals/{name}.journal -- sh -c",
            cluster.framework_link(at),
            certificate(Role::Framework, "load"),
            place.path().join("ran").display()
        );
        let mut command = place.neap(&words, &format!("logs/{name}.log"));
        command.arg(script).stdout(Stdio::piped());
        let mut process = Process::start(command, name)?;
        let (book, stdout, place) = (self.book.clone(), process.stdout(), Arc::clone(place));
        let (away, fenced) = (cluster.away.clone(), flags.contains(FENCED));
        let reader = std::thread::spawn(move || note(at, fenced, stdout, &place, &away, &book));
        Ok((process, reader))
    }

    fn end(&mut self, at: usize) -> Result<(), String> {
        let Some(run) = self.running.remove(&at) else { return Ok(()) };
        let Running { name, batch, mut process, reader, killed, .. } = run;
        let code = process.code(PATIENCE)?;
        reader.join().map_err(|_| format!("what {name} printed cannot be read"))?;
        self.ended.insert(at, ledger::Run { name, batch, code, killed });
        Ok(())
    }

    /// Waits until schedulers were told of the end of each task whose executor was killed.
    pub(crate) fn hears_of_condemned(&mut self) -> Result<(), String> {
        let condemned = std::mem::take(&mut self.condemned);
        until("news of tasks whose executor was killed", || {
            match condemned.iter().find(|task| !self.book.has_end(task)) {
                None => Ok(()),
                Some(task) => Err(format!("nobody was told of an end of {task}")),
            }
        })
    }

    /// Waits until the batches are through and exactly the service lives, and ends it.
    pub(crate) fn finish(&mut self, cluster: &Cluster) -> Result<(), String> {
        let batches: Vec<usize> = self.running.keys().copied().filter(|run| *run != SERVICE).collect();
        for batch in batches {
            self.end(batch)?;
        }
        // S11, L7: what lives is what the scheduler was told of, and all of it.
        until("one view of the service", || {
            let told = self.book.living(SERVICE);
            let sandboxes = truth::below(cluster.place.path());
            let lives: BTreeSet<String> =
                sandboxes.iter().filter_map(|process| ledger::task_of(&process.directory)).collect();
            match told.len() == SERVED && told == lives {
                true => Ok(()),
                false => Err(format!("told of {told:?}, and {lives:?} live")),
            }
        })?;
        // SIGINT and SIGTERM would leave its tasks to a next process.
        self.running[&SERVICE].process.signal(Signal::USR1);
        self.end(SERVICE)
    }

    /// What ran; all of it has ended.
    pub(crate) fn runs(&self) -> Vec<ledger::Run> {
        self.ended.values().cloned().collect()
    }
}

/// The service is the first run.
const SERVICE: usize = 0;

/// Notes what a run prints, as it comes; and when it says that tasks are dead, what lives of them.
fn note(run: usize, fenced: bool, mut printed: ChildStdout, place: &Place, away: &Away, book: &Book) {
    let (mut pending, mut bytes) = (Vec::new(), [0; 1 << 14]);
    while let Ok(read @ 1..) = printed.read(&mut bytes) {
        pending.extend_from_slice(&bytes[..read]);
        let Some(whole) = pending.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = pending.drain(..=whole).collect();
        let lines = String::from_utf8_lossy(&lines);
        let mut told: Vec<Told> = lines.lines().filter_map(|line| update(run, fenced, line)).collect();
        if told.iter().any(Told::says_dead) {
            // A slave may go, and may be back, while it is looked.
            let before = away.slaves();
            let sandboxes = truth::below(place.path());
            let away = &before | &away.slaves();
            for told in told.iter_mut().filter(|told| told.says_dead()) {
                told.alive = alive(&sandboxes, &told.task, place.path(), &away);
            }
        }
        book.write(told);
    }
}

/// What a line says of a task. One that says why something waits is of none: it is an event, and nothing else.
fn update(run: usize, fenced: bool, line: &str) -> Option<Told> {
    let line: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    if line.get("event").is_some() {
        return None;
    }
    let word = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{line} has no {key}")).to_owned();
    let (task, state, reason) = (word("task"), word("state"), word("reason"));
    Some(Told { run, task, state, reason, fenced, alive: Vec::new() })
}

fn alive(
    sandboxes: &[truth::Process],
    task: &str,
    place: &Path,
    away: &BTreeSet<String>,
) -> Vec<ledger::Living> {
    let of_task =
        sandboxes.iter().filter(|process| ledger::task_of(&process.directory).as_deref() == Some(task));
    of_task
        .map(|process| {
            let directory = process.directory.strip_prefix(place).unwrap_or(&process.directory);
            let slave = directory.iter().next().and_then(|slave| slave.to_str()).unwrap_or_default();
            ledger::Living {
                what: format!("{} {} in {}", process.pid, process.command, directory.display()),
                group: process.group,
                is_executor: process.is_executor(),
                is_alone: away.contains(slave),
            }
        })
        .collect()
}
