//! A copy of the sources, in which mutants are made and tried.
//!
//! The copy is a workspace of its own with what is needed and no more, and has a target directory of its own. Every
//! mutant is in it, and none lives unless it is told to: so it is built once, and only anew when something has changed.
//! Cargo goes by the times of files: one that is as it should be is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use toml::{Table, Value as Toml};

use super::graft;
use super::manifest::{Mutant, Suite, Trial};
use super::verdict::{Outcome, Tried};

/// The packages that are needed.
const PACKAGES: [&str; 2] = ["protocol", "model"];
/// What is built is built so.
const PROFILE: &str = "mutants";
/// Where the choice of the mutant that lives is added.
const LIBRARY: &str = "protocol/src/lib.rs";
/// No mutant's number.
const NONE: usize = 0;
/// A mutant may have so many times the states of its scope: what grows for ever is to end.
const GROWTH_MAX: u64 = 8;

/// Where mutants are made.
#[derive(Debug)]
pub struct Workshop {
    /// The checkout.
    root: PathBuf,
    source: PathBuf,
    target: PathBuf,
    cargo: PathBuf,
    /// The most time that a build or a trial may take.
    patience: Duration,
    /// The most memory that a check may take, in MiB.
    memory_max: u64,
    /// The manifest; a mutant's number is its place there, counted from 1.
    mutants: Vec<Mutant>,
    /// Those that do not apply or are no program, by number, and why.
    unmade: BTreeMap<usize, String>,
    /// What scopes are like without a mutant.
    sound: BTreeMap<String, Size>,
    /// Nobody else works here as long as it is open.
    _lock: File,
}

/// How large a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    states: u64,
    steps: u64,
}

/// What a check of a scope found.
struct Report {
    size: Size,
    broken: Vec<String>,
    incomplete: Vec<String>,
}

impl Workshop {
    /// Copies the sources of a checkout, with every mutant in them.
    ///
    /// # Errors
    /// What went wrong.
    pub fn open(
        root: &Path,
        mutants: &[Mutant],
        patience: Duration,
        memory_max: u64,
    ) -> Result<Self, String> {
        if !root.join("protocol/src/lib.rs").is_file() {
            let root = root.display();
            return Err(format!(
                "the sources are not in {root} any more: run it from a checkout, with \
                 `cargo run --release -p neap-model -- mutants`"
            ));
        }
        let place = root.join("target/mutants");
        let workshop = Self {
            root: root.to_path_buf(),
            source: place.join("source"),
            target: place.join("build"),
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into(),
            patience,
            memory_max,
            mutants: mutants.to_vec(),
            unmade: BTreeMap::new(),
            sound: BTreeMap::new(),
            _lock: lock(&place)?,
        };
        workshop.copy()?;
        Ok(workshop)
    }

    /// Builds all mutants at once. Those that do not apply or are no program are set aside, and the others built.
    ///
    /// # Errors
    /// What is wrong with the sources, or with the tools.
    pub fn build(&mut self) -> Result<(), String> {
        loop {
            let lines = self.graft()?;
            let Some(errors) = self.cargo_builds()? else { return Ok(()) };
            let guilty: BTreeMap<usize, String> =
                errors.iter().filter_map(|error| Some((error.guilty(&lines)?, error.text.clone()))).collect();
            if guilty.is_empty() {
                let texts: Vec<&str> = errors.iter().map(|error| error.text.as_str()).collect();
                return Err(format!("the sources do not build:\n{}", texts.join("\n")));
            }
            self.unmade.extend(
                guilty.into_iter().map(|(number, text)| (number, format!("it does not build: {text}"))),
            );
        }
    }

    /// Tries without any mutant what these are to be tried in: what is broken without them says nothing of them.
    ///
    /// # Errors
    /// What is broken.
    pub fn prove(&mut self, mutants: &[usize], mut tell: impl FnMut(&str)) -> Result<(), String> {
        let mut trials: BTreeMap<Trial, Vec<String>> = BTreeMap::new();
        for mutant in mutants.iter().filter_map(|at| self.mutants.get(*at)) {
            trials.entry(mutant.trial.clone()).or_default().extend(mutant.caught_by.iter().cloned());
        }
        for (trial, named) in trials {
            tell(&format!("without a mutant: {trial}"));
            let broken = match &trial {
                Trial::Scope(scope) => {
                    let report = self.check(scope, NONE, u64::MAX)?;
                    self.sound.insert(scope.clone(), report.size);
                    [report.broken, report.incomplete].concat()
                }
                Trial::Test(suite) => self.test(*suite, NONE, &named)?,
            };
            if !broken.is_empty() {
                return Err(format!("in {trial} this is broken without a mutant: {}", broken.join(", ")));
            }
        }
        Ok(())
    }

    /// Tries the mutant at this place of the manifest.
    pub fn try_out(&self, at: usize) -> Tried {
        let (mutant, number) = (self.mutants[at].clone(), at + 1);
        let began = Instant::now();
        let mut states = None;
        let outcome = match (self.unmade.get(&number), &mutant.trial) {
            (Some(why), _) => Outcome::Unmade(why.clone()),
            (None, Trial::Scope(scope)) => self.judge(&mutant, number, scope, &mut states),
            (None, Trial::Test(suite)) => match self.test(*suite, number, &mutant.caught_by) {
                Ok(failed) if failed.is_empty() => Outcome::Survived { same: None },
                Ok(failed) => Outcome::of(&mutant, failed),
                Err(why) => Outcome::Unfinished(why),
            },
        };
        Tried { mutant, outcome, states, took: began.elapsed() }
    }

    fn judge(&self, mutant: &Mutant, number: usize, scope: &str, states: &mut Option<u64>) -> Outcome {
        let sound = self.sound.get(scope).copied();
        let most = sound.map_or(u64::MAX, |size| size.states.saturating_mul(GROWTH_MAX));
        let report = match self.check(scope, number, most) {
            Ok(report) => report,
            Err(why) => return Outcome::Unfinished(why),
        };
        *states = Some(report.size.states);
        match (report.broken.is_empty(), report.incomplete.first()) {
            (false, _) => Outcome::of(mutant, report.broken),
            (true, Some(why)) => Outcome::Unfinished(why.clone()),
            (true, None) => Outcome::Survived { same: Some(sound == Some(report.size)) },
        }
    }

    fn copy(&self) -> Result<(), String> {
        for package in PACKAGES {
            let (from, to) = (self.root.join(package), self.source.join(package));
            mirror(&from, &to, &|path| self.is_made_here(path))?;
        }
        // Cargo takes out of it what the copy has no need of.
        copy_file(&self.root.join("Cargo.lock"), &self.source.join("Cargo.lock"))?;
        self.reduced("Cargo.toml", |workspace| {
            let whole = workspace.get_mut("workspace").and_then(Toml::as_table_mut);
            let whole = whole.ok_or("there is no [workspace]")?;
            whole.remove("default-members");
            whole.insert("members".into(), Toml::from(PACKAGES.to_vec()));
            workspace.insert("profile".into(), Toml::from(profile()));
            Ok(())
        })?;
        self.reduced("model/Cargo.toml", |_| Ok(()))?;
        // Benchmarks are not built, nor is what they need.
        self.reduced("protocol/Cargo.toml", |package| {
            package.remove("bench");
            if let Some(dev) = package.get_mut("dev-dependencies").and_then(Toml::as_table_mut) {
                dev.remove("criterion");
            }
            Ok(())
        })
    }

    /// Whether a file of the checkout is not copied as it is.
    fn is_made_here(&self, path: &Path) -> bool {
        let Ok(path) = path.strip_prefix(&self.root) else { return false };
        let reduced = ["protocol/Cargo.toml", "model/Cargo.toml"].iter().any(|name| path == Path::new(name));
        let kept = ["protocol/target", "model/target"].iter().any(|name| path == Path::new(name));
        reduced
            || kept
            || path == Path::new(LIBRARY)
            || self.files().contains(path.to_string_lossy().as_ref())
    }

    /// The files that mutants change.
    fn files(&self) -> BTreeSet<String> {
        self.mutants.iter().map(Mutant::path).collect()
    }

    /// Puts every mutant that can be made into the copy, and says which lines of which file are whose.
    fn graft(&mut self) -> Result<Vec<(String, usize, Range<usize>)>, String> {
        let library = read(&self.root.join(LIBRARY))?;
        write(&self.source.join(LIBRARY), format!("{library}{}", graft::CHOICE).as_bytes())?;
        let mut lines = Vec::new();
        for file in self.files() {
            let source = read(&self.root.join(&file))?;
            let grafted = loop {
                let numbered = self.mutants.iter().enumerate().map(|(at, mutant)| (at + 1, mutant));
                let its: Vec<(usize, &Mutant)> = numbered
                    .filter(|(number, mutant)| mutant.path() == file && !self.unmade.contains_key(number))
                    .collect();
                match graft::graft(&source, &its) {
                    Ok(grafted) => break grafted,
                    Err((number, why)) => self.unmade.insert(number, why),
                };
            };
            write(&self.source.join(&file), grafted.text.as_bytes())?;
            lines.extend(grafted.lines.into_iter().map(|(number, lines)| (file.clone(), number, lines)));
        }
        Ok(lines)
    }

    /// Builds everything; what is wrong, if it is the sources that are.
    fn cargo_builds(&self) -> Result<Option<Vec<Complaint>>, String> {
        let builds: [&[&str]; 2] = [
            &["build", "--package", "neap-model", "--bin", "neap-model"],
            &["test", "--no-run", "--package", "neap-protocol", "--lib", "--test", "it"],
        ];
        for build in builds {
            let output =
                run(self.cargo().args(build).args(["--quiet", "--profile", PROFILE]), self.patience)?;
            if !output.status.success() {
                return Ok(Some(complaints(&String::from_utf8_lossy(&output.stderr))));
            }
        }
        Ok(None)
    }

    /// Copies a manifest of Cargo's with changes.
    fn reduced(&self, name: &str, change: impl Fn(&mut Table) -> Result<(), String>) -> Result<(), String> {
        let path = self.root.join(name);
        let wrong = |why: String| format!("failed to copy {}: {why}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        change(&mut table).map_err(wrong)?;
        let text = toml::to_string(&table).map_err(|error| wrong(error.to_string()))?;
        write(&self.source.join(name), text.as_bytes())
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(&self.source)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never");
        // They are of the build of this program, if Cargo runs it.
        cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
        cargo
    }

    /// What a check of a scope finds.
    fn check(&self, scope: &str, mutant: usize, states_max: u64) -> Result<Report, String> {
        let program = self.target.join(PROFILE).join("neap-model");
        let mut check = Command::new(program);
        check.args(["check", scope, "--output", "json", "--states-max"]).arg(states_max.to_string());
        check.arg("--memory-max").arg(self.memory_max.to_string());
        check.env(graft::VARIABLE, mutant.to_string());
        let output = run(&mut check, self.patience)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let json: Json = serde_json::from_str(&text).map_err(|_| {
            let errors = errors(&output.stderr);
            format!("the check ended without a report ({}):\n{errors}", output.status)
        })?;
        report(&json["scopes"][0]).ok_or_else(|| "the check's report is not understood".into())
    }

    /// The tests that fail, of those that are named, or of all transcripts.
    fn test(&self, suite: Suite, mutant: usize, named: &[String]) -> Result<Vec<String>, String> {
        let mut cargo = self.cargo();
        cargo
            .args(["test", "--quiet", "--package", "neap-protocol", "--profile", PROFILE])
            .args(target(suite));
        match suite {
            Suite::Transcripts => cargo.args(["--", "--exact", TRANSCRIPTS]),
            Suite::Unit => cargo.args(["--", "--exact"]).args(named),
        };
        cargo.env(graft::VARIABLE, mutant.to_string());
        let output = run(&mut cargo, self.patience)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failed = failed(suite, &text);
        let ran = text.contains("test result:");
        match (ran, output.status.success(), failed.is_empty()) {
            (true, true, true) | (true, false, false) => Ok(failed),
            _ => Err(format!(
                "the tests ended without a result ({}):\n{}",
                output.status,
                errors(&output.stderr)
            )),
        }
    }
}

/// The test that plays all transcripts.
const TRANSCRIPTS: &str = "transcript::transcripts_say_what_the_master_does";

/// Takes a place for this process alone.
fn lock(place: &Path) -> Result<File, String> {
    let path = place.join("lock");
    fs::create_dir_all(place).map_err(|error| wrong("make", place, &error))?;
    let file = File::create(&path).map_err(|error| wrong("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another `neap-model mutants` is at work in {}: wait for its end", place.display()))
        }
        Err(TryLockError::Error(error)) => Err(wrong("lock", &path, &error)),
    }
}

fn target(suite: Suite) -> &'static [&'static str] {
    match suite {
        Suite::Transcripts => &["--test", "it"],
        Suite::Unit => &["--lib"],
    }
}

/// How things are built. The optimiser takes longer over machines with all their mutants than it saves the searches.
fn profile() -> Table {
    let mut profile = Table::new();
    profile.insert("inherits".into(), "release".into());
    profile.insert("opt-level".into(), 2.into());
    profile.insert("debug".into(), false.into());
    profile.insert("incremental".into(), false.into());
    profile.insert("codegen-units".into(), 16.into());
    let less = || Table::from_iter([("opt-level".to_owned(), Toml::from(1))]);
    let packages = PACKAGES.map(|package| (format!("neap-{package}"), Toml::from(less())));
    profile.insert("package".into(), Toml::from(Table::from_iter(packages)));
    Table::from_iter([(PROFILE.to_owned(), Toml::from(profile))])
}

fn report(scope: &Json) -> Option<Report> {
    let size = Size { states: scope["states"].as_u64()?, steps: scope["steps"].as_u64()? };
    let verdicts = scope["verdicts"].as_object()?.iter();
    let broken = verdicts.filter(|(_, verdict)| verdict.get("broken").is_some());
    let incomplete = scope["incomplete"].as_array()?.iter().filter_map(Json::as_str);
    Some(Report {
        size,
        broken: broken.map(|(name, _)| name.clone()).collect(),
        incomplete: incomplete.map(str::to_owned).collect(),
    })
}

/// What failed, by the words of a test run: a transcript differs in its file, a test is named.
fn failed(suite: Suite, text: &str) -> Vec<String> {
    let name = |line: &str| match suite {
        Suite::Transcripts => {
            let file = line.split_once(".txt differs from line ")?.0;
            file.rsplit('/').next().map(str::to_owned)
        }
        Suite::Unit => line.strip_prefix("---- ")?.strip_suffix(" stdout ----").map(str::to_owned),
    };
    text.lines().filter_map(name).collect()
}

/// What the compiler complains of, and where.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    text: String,
    file: String,
    line: usize,
}

impl Complaint {
    /// The number of the mutant in whose lines it is.
    fn guilty(&self, lines: &[(String, usize, Range<usize>)]) -> Option<usize> {
        let its = lines.iter().find(|(file, _, lines)| *file == self.file && lines.contains(&self.line));
        its.map(|(_, number, _)| *number)
    }
}

/// What the compiler complains of, by what it wrote.
fn complaints(text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut error: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with("error") {
            error = Some(line);
        } else if let (Some(text), Some(place)) = (error, line.trim_start().strip_prefix("--> ")) {
            let mut parts = place.split(':');
            let file = parts.next().unwrap_or_default().to_owned();
            let line = parts.next().and_then(|line| line.parse().ok()).unwrap_or(0);
            complaints.push(Complaint { text: text.to_owned(), file, line });
            error = None;
        }
    }
    match complaints.is_empty() {
        true => vec![Complaint { text: errors(text.as_bytes()), file: String::new(), line: 0 }],
        false => complaints,
    }
}

/// The first words of what a program complains of.
fn errors(stderr: &[u8]) -> String {
    const LINES: usize = 12;
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().skip_while(|line| !line.starts_with("error") && text.contains("\nerror"));
    let lines: Vec<String> = lines.take(LINES).map(|line| format!("    {line}\n")).collect();
    lines.concat()
}

/// Runs a program to its end, for so long at most.
fn run(command: &mut Command, patience: Duration) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Whatever it starts is ended with it.
    let child = command.process_group(0).spawn();
    let child = child.map_err(|error| format!("failed to run {name}: {error}"))?;
    let id = child.id();
    let (sender, ends) = mpsc::channel();
    let waiter = thread::spawn(move || {
        // The receiver is gone only if this process is ending.
        let _ = sender.send(child.wait_with_output());
    });
    let output = match ends.recv_timeout(patience) {
        Ok(output) => output.map_err(|error| format!("failed to run {name}: {error}")),
        Err(_) => {
            end(id);
            Err(format!("{name} did not end within {} s, and was ended", patience.as_secs()))
        }
    };
    let _ = waiter.join();
    output
}

/// Ends a process group by force.
fn end(id: u32) {
    let kill = Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
    if let Err(error) = kill {
        eprintln!("failed to end the processes of group {id}: {error}");
    }
}

/// Makes one folder like another, but for names that are left out, and touches nothing that is as it should be.
fn mirror(from: &Path, to: &Path, leaves_out: &dyn Fn(&Path) -> bool) -> Result<(), String> {
    let names = |folder: &Path| -> Result<BTreeSet<OsString>, String> {
        let entries = fs::read_dir(folder).map_err(|error| wrong("read", folder, &error))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        names.collect::<Result<_, _>>().map_err(|error| wrong("read", folder, &error))
    };
    fs::create_dir_all(to).map_err(|error| wrong("make", to, &error))?;
    let wanted = names(from)?;
    for name in names(to)?.difference(&wanted) {
        let path = to.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| wrong("remove", &path, &error))?;
    }
    for name in &wanted {
        let (from, to) = (from.join(name), to.join(name));
        match from.is_dir() {
            _ if leaves_out(&from) => {}
            true => mirror(&from, &to, leaves_out)?,
            false => copy_file(&from, &to)?,
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| wrong("read", path, &error))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let text = fs::read(from).map_err(|error| wrong("read", from, &error))?;
    write(to, &text)
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).map_err(|error| wrong("write", path, &error))
}

fn wrong(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("failed to {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_that_differs_is_named() {
        let text = "thread 'transcript::t' panicked:\n/x/03-deactivate.txt differs from line 7\nwanted:\n";
        assert_eq!(failed(Suite::Transcripts, text), ["03-deactivate"]);
    }

    #[test]
    fn a_test_that_fails_is_named() {
        let text = "running 2 tests\n---- registry::tests::r27 stdout ----\n\nthread panicked\nfailures:\n    registry::tests::r27\n";
        assert_eq!(failed(Suite::Unit, text), ["registry::tests::r27"]);
    }

    #[test]
    fn an_error_is_of_the_mutant_in_whose_lines_it_is() {
        let text = "warning: unused\n  --> protocol/src/a.rs:3:1\nerror[E0308]: mismatched types\n   --> \
                    protocol/src/a.rs:7:5\n    |\n7 |  x\n  ::: protocol/src/b.rs:9:1\nerror: could not compile\n";
        let found = complaints(text);
        let file = "protocol/src/a.rs".to_owned();
        let text = "error[E0308]: mismatched types".to_owned();
        assert_eq!(found, [Complaint { text, file: file.clone(), line: 7 }]);
        assert_eq!(found[0].guilty(&[(file.clone(), 4, 1..7), (file, 5, 7..9)]), Some(5));
        assert_eq!(found[0].guilty(&[("protocol/src/b.rs".to_owned(), 4, 1..20)]), None);
    }

    #[test]
    fn a_report_is_read_as_check_writes_it() {
        let json = serde_json::json!({
            "states": 7, "steps": 9, "incomplete": [],
            "verdicts": { "S1": "held", "S4": { "broken": "neap-model story x" }, "a task runs": "unknown" },
        });
        let read = report(&json).unwrap();
        assert_eq!((read.size, read.broken), (Size { states: 7, steps: 9 }, vec!["S4".to_owned()]));
        assert!(report(&serde_json::json!({ "states": 7 })).is_none());
    }

    #[test]
    fn what_is_as_it_should_be_is_not_touched() {
        let place = std::env::temp_dir().join(format!("neap-mutants-{}", std::process::id()));
        let (from, to) = (place.join("from"), place.join("to"));
        fs::create_dir_all(from.join("a/target")).unwrap();
        fs::write(from.join("a/x"), "new").unwrap();
        fs::create_dir_all(to.join("old")).unwrap();
        fs::write(to.join("gone"), "").unwrap();
        let leaves_out = |path: &Path| path.ends_with("target");
        mirror(&from, &to, &leaves_out).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/x")).unwrap(), "new");
        assert!(!to.join("gone").exists() && !to.join("old").exists() && !to.join("a/target").exists());
        let before = fs::metadata(to.join("a/x")).unwrap().modified().unwrap();
        mirror(&from, &to, &leaves_out).unwrap();
        assert_eq!(fs::metadata(to.join("a/x")).unwrap().modified().unwrap(), before);
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let mut sleeps = Command::new("sleep");
        let told = run(sleeps.arg("600"), Duration::from_millis(20)).map(|_| ());
        assert_eq!(told, Err("sleep did not end within 0 s, and was ended".to_owned()));
    }
}
