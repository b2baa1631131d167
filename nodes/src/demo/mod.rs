//! `neap demo`: the main job on real input. It indexes a directory of files in real executor processes on three
//! slaves, and meanwhile drains one slave, revokes from a framework that does not answer, and ends a slave by
//! SIGUSR1. It succeeds only if every file was indexed exactly once and no process is left.

mod index;
mod story;
mod stubborn;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neap_protocol::message::Command as Ask;
use neap_protocol::text::Name;
use tokio::process::Child;

use crate::cli::nodes::Demo;
use crate::config::{Connection, Loaded};
use crate::exit::Exit;
use crate::framework::{self, Settings, State};
use crate::journal;
use crate::operator::Client;
use crate::output::{Failure, Printer, counted};
use crate::shutdown::Signals;
use crate::units::{ByteSize, Cpus};
use crate::up::{self, Cluster, Place};

pub use index::main as index;
use story::{Act, Story};
use stubborn::Stubborn;

/// By when the demo is over, whatever happens.
const LIMIT: Duration = Duration::from_secs(30);

const SLAVES: u16 = 3;
const SHARDS: usize = 20;
/// How long a shard takes, so that there is something to drain.
const SHARD_TIME: Duration = Duration::from_millis(2500);
/// Files beyond these are left out: the demo is to be over within its limit.
const FILES_MAX: usize = 2000;

/// Runs the demo.
///
/// # Errors
/// [`Failure`] names what did not go as it must; nothing is left running.
pub fn main(args: &Demo, printer: &mut Printer) -> Result<Exit, Failure> {
    let mut files = files_below(&source(args)?)?;
    if files.len() > FILES_MAX {
        printer.note(format_args!("the first {FILES_MAX} of {} files are taken", files.len()))?;
        files.truncate(FILES_MAX);
    }
    let work = tempfile::Builder::new().prefix("neap-demo-").tempdir();
    let work = work.map_err(|error| Failure::because("make a directory to work in", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    let outcome = runtime.block_on(run(&files, work.path(), args.journal.as_deref(), printer));
    drop(runtime);
    let begun = outcome?;
    every_file_once(&files, &work.path().join("index"))?;
    printer
        .note(format_args!("every one of {} is indexed exactly once", counted(files.len() as u64, "file")))?;
    no_process_left(work.path())?;
    printer.note("no process is left")?;
    printer.note(format_args!("done in {:.1} s", begun.elapsed().as_secs_f64()))?;
    Ok(Exit::Success)
}

async fn run(
    files: &[PathBuf],
    work: &Path,
    journals: Option<&Path>,
    printer: &mut Printer,
) -> Result<Instant, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::because("listen for signals", &error))?;
    let place = Place::prepare(&work.join("cluster"), SLAVES, journals, |config| {
        config.slave.cpus = "2".parse::<Cpus>().ok();
        config.slave.mem = "1G".parse::<ByteSize>().ok();
    })?;
    let begun = Instant::now();
    let mut cluster = Cluster::default();
    let outcome = tokio::select! {
        outcome = play(files, work, &place, &mut cluster, begun, printer) => outcome,
        () = tokio::time::sleep(LIMIT) => {
            Err(Failure::new(Exit::TimedOut, format!("the demo was not over after {LIMIT:?}")))
        }
        _ = signals.next() => Err(Failure::new(Exit::Failed, "stopped before the demo was over")),
    };
    cluster.end().await;
    outcome.map(|()| begun)
}

async fn play(
    files: &[PathBuf],
    work: &Path,
    place: &Place,
    cluster: &mut Cluster,
    begun: Instant,
    printer: &mut Printer,
) -> Result<(), Failure> {
    printer.note(format_args!("a master and {SLAVES} slaves are started, each a process of its own"))?;
    up::start(place, SLAVES, cluster).await?;
    let settings = Loaded::from_file(place.settings())?;
    let mut client = Client::new(&settings.operator(&Default::default(), Default::default())?)?;
    client.ask(Ask::Watch).await?;
    printer.note(format_args!(
        "{:6.2} s  all are registered; {} in {SHARDS} shards to be indexed",
        begun.elapsed().as_secs_f64(),
        counted(files.len() as u64, "file")
    ))?;
    let mut batch = start_batch(files, work, place)?;
    let connection = settings.framework(&Default::default())?;
    let journal = journal::Options::of(place.journal(story::STUBBORN), false);
    let stubborn = std::thread::spawn(move || ignore_inverse_offers(connection, journal));
    let mut story = Story::new(SHARDS);
    let mut batch_ended = false;
    while !(batch_ended && story.is_told()) {
        tokio::select! {
            event = client.event() => {
                let event = event?;
                if let Some(line) = story.line(&event) {
                    printer.note(format_args!("{:6.2} s  {line}", begun.elapsed().as_secs_f64()))?;
                }
                if let Some(slave) = story::emptied(&event) {
                    nothing_runs_on(work, slave)?;
                }
                for act in story.next(&event) {
                    match act {
                        Act::Ask(command) => drop(client.ask(command).await?),
                        Act::DrainNow(slave) => cluster.drain_now(slave.as_str())?,
                    }
                }
            }
            ended = batch.wait(), if !batch_ended => {
                let how = ended.map_err(|error| Failure::because("wait for the batch", &error))?;
                if !how.success() {
                    return Err(Failure::new(Exit::Failed, format!("the batch failed: {how}")));
                }
                batch_ended = true;
            }
        }
    }
    client.close().await;
    let thread = tokio::task::spawn_blocking(move || stubborn.join());
    match thread.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => {
            Err(Failure::new(Exit::Failed, "the framework that ignores offers broke down"))
        }
    }
}

/// `neap run`, as any operator would start it.
fn start_batch(files: &[PathBuf], work: &Path, place: &Place) -> Result<Child, Failure> {
    let because = |error: std::io::Error| Failure::because("start the batch", &error);
    let dir = work.join("index");
    fs::create_dir_all(&dir).map_err(because)?;
    let mut shards: BTreeMap<usize, String> = (0..SHARDS).map(|shard| (shard, String::new())).collect();
    for (at, file) in files.iter().enumerate() {
        let list = shards.entry(at % SHARDS).or_default();
        list.push_str(&format!("{}\n", file.display()));
    }
    for (shard, list) in &shards {
        fs::write(dir.join(format!("{shard}.shard")), list).map_err(because)?;
    }
    let neap = std::env::current_exe().map_err(because)?;
    let log = fs::File::create(work.join("batch.log")).map_err(because)?;
    let mut command = tokio::process::Command::new(&neap);
    command.args(["run", "--config"]).arg(place.settings()).args([
        "--name",
        "indexer",
        "--kill-grace",
        "200ms",
    ]);
    if let Some(journal) = place.journal("indexer") {
        command.arg("--journal").arg(journal);
    }
    command.args(["--instances", &SHARDS.to_string(), "--cpus", "0.5", "--mem", "64M", "--"]);
    command
        .arg(&neap)
        .arg("index")
        .arg("--dir")
        .arg(&dir)
        .args(["--time-ms", &SHARD_TIME.as_millis().to_string()]);
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.stdout(log.try_clone().map_err(because)?).stderr(log);
    command.spawn().map_err(because)
}

fn ignore_inverse_offers(connection: Connection, journal: Option<journal::Options>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    let name = Name::new(story::STUBBORN).map_err(|error| Failure::because("name a framework", &error))?;
    let config = neap_protocol::framework::Config::new(name.clone());
    let settings = Settings { connection, config, state: State::none(), journal };
    runtime.block_on(framework::run(&mut Stubborn::new(name), settings)).map(drop)
}

/// The directory to index.
fn source(args: &Demo) -> Result<PathBuf, Failure> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let source = args.files.clone().or_else(|| own.map(Path::to_owned)).unwrap_or_default();
    let found = fs::canonicalize(&source).and_then(|found| match found.is_dir() {
        true => Ok(found),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    found.map_err(|error| {
        Failure::because(&format!("index {}", source.display()), &error)
            .help("name a directory of files to index")
    })
}

/// The files below a directory, hidden and built ones left out, in order.
fn files_below(source: &Path) -> Result<Vec<PathBuf>, Failure> {
    let because = |path: &Path, error| Failure::because(&format!("list {}", path.display()), &error);
    let mut files = Vec::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| because(&folder, error))? {
            let entry = entry.map_err(|error| because(&folder, error))?;
            let kind = entry.file_type().map_err(|error| because(&entry.path(), error))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".")
                || name == "target"
                || entry.path().to_str().is_none()
            {
                continue;
            }
            match kind.is_dir() {
                true => folders.push(entry.path()),
                false if kind.is_file() => files.push(entry.path()),
                false => {}
            }
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Failure::new(Exit::Usage, format!("there are no files in {}", source.display()))
            .help("name a directory of files to index")),
        false => Ok(files),
    }
}

/// What was written must be what indexing the files here and now gives.
fn every_file_once(files: &[PathBuf], dir: &Path) -> Result<(), Failure> {
    let because = |error: &dyn std::error::Error| Failure::because("check the index", error);
    let mut found = Vec::new();
    for shard in 0..SHARDS {
        let text = fs::read_to_string(dir.join(format!("{shard}.index"))).map_err(|error| because(&error))?;
        for line in text.lines() {
            found.push(serde_json::from_str::<index::Entry>(line).map_err(|error| because(&error))?);
        }
    }
    found.sort();
    let wanted: Result<Vec<_>, _> = files.iter().map(|file| index::entry(file)).collect();
    let wanted = wanted.map_err(|error| because(&error))?;
    match found == wanted {
        true => Ok(()),
        false => {
            let message =
                format!("{} files were indexed as {} entries, not each once", wanted.len(), found.len());
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

/// What is told of a slave must be so: no process works in a sandbox of its.
fn nothing_runs_on(work: &Path, slave: &Name) -> Result<(), Failure> {
    let sandboxes = work.join("cluster").join(slave.as_str());
    let left = processes(|proc| {
        let cwd = fs::read_link(proc.join("cwd")).unwrap_or_default();
        cwd.starts_with(&sandboxes)
    })?;
    match left.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("{slave} is said to be empty, and these run there: {}", left.join(", "));
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

/// No process but this one has the demo's directory among its words or in its environment.
fn no_process_left(work: &Path) -> Result<(), Failure> {
    let marker = work.as_os_str().as_encoded_bytes();
    let has = |file: PathBuf| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes.windows(marker.len()).any(|window| window == marker)
    };
    let left = processes(|proc| has(proc.join("cmdline")) || has(proc.join("environ")))?;
    match left.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failed, format!("these processes are left: {}", left.join(", ")))),
    }
}

/// The processes other than this one of whose folder in /proc something holds.
fn processes(which: impl Fn(&Path) -> bool) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir("/proc").map_err(|error| Failure::because("look for processes", &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Failure::because("look for processes", &error))?;
        let Ok(pid) = entry.file_name().into_string() else { continue };
        let other = pid.parse().is_ok_and(|pid: u32| pid != std::process::id());
        if other && which(&entry.path()) {
            found.push(pid);
        }
    }
    Ok(found)
}
