//! `check`: every state of scopes, and whether every property holds.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::bounds::Bounds;
use super::near;
use crate::check::{self, Checked, Progress, Verdict};
use crate::limits::Limits;
use crate::memory::Peak;
use crate::properties::{self, Kind};
use crate::scope::Scope;
use crate::table::{self, grouped, some_of};
use crate::{scopes, story};

/// What a search needs beside its states, so that the memory of a small one says nothing of a state.
const STATES_TO_MEASURE: usize = 200_000;

const LONG_ABOUT: &str = "\
Visit every state of scopes, and say whether every property holds

Two engines do it, one after the other, and must agree on how many states and steps there are, what is broken and \
what is reached; otherwise nothing was shown, and the exit code is 3:

  stateright     depth first, on several threads: what must always hold, what must be reached
  breadth first  our own: the shortest story of what is broken, and, on the graph of all states, what must come \
about in the end (stateright's `eventually` misses cycles)

States are told apart by 64 bits of a hash: that two of n are taken for one has a chance of about n\u{b2}/2^65, and is \
counted by each engine in its own way.";

/// Visit every state of scopes, and say whether every property holds
#[derive(Debug, clap::Args)]
#[command(long_about = LONG_ABOUT, after_help = super::EXIT_CODES)]
pub(super) struct Args {
    /// Which scopes; unless any is named, all but those that take long
    #[arg(value_name = "SCOPE", conflicts_with = "all")]
    scopes: Vec<String>,
    /// Those that take long too
    #[arg(long)]
    all: bool,
    /// List the scopes and what each covers, and check nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    bounds: Bounds,
    /// Fail unless this table of properties, which `properties --write` made, says what was found
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// For people, or for their tools
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table and stories
    Text,
    /// One object
    Json,
}

/// Checks, and says how it went.
pub(super) fn run(args: &Args) -> ExitCode {
    let scopes = match chosen(args) {
        Ok(scopes) => scopes,
        Err(problem) => {
            eprintln!("failed to check: {problem}");
            return ExitCode::from(super::MISUSED);
        }
    };
    if args.list {
        scopes.iter().for_each(|scope| super::say(&listed(scope)));
        return ExitCode::from(super::HELD);
    }
    let limits = args.bounds.limits();
    let mut report = Report { whole: args.scopes.is_empty(), rows: Vec::new() };
    if args.output == Output::Text {
        super::say(&Row::head());
    }
    for scope in &scopes {
        let row = checked(scope, limits);
        if args.output == Output::Text {
            super::say(&format!("{}\n{}", row.line(), row.news()));
        }
        report.rows.push(row);
    }
    match args.output {
        Output::Text => super::say(&format!("{}{}", report.table(), report.summary(limits.threads))),
        Output::Json => super::say(&format!("{:#}\n", report.json(limits.threads))),
    }
    let exit = report.exit();
    if let (super::HELD, Some(file)) = (exit, &args.table)
        && let Err(problem) = report.fits(file)
    {
        eprintln!("{} is stale: {problem}", file.display());
        return ExitCode::from(super::STALE);
    }
    ExitCode::from(exit)
}

/// The scopes that are meant.
fn chosen(args: &Args) -> Result<Vec<Scope>, String> {
    if !args.scopes.is_empty() {
        return args.scopes.iter().map(|name| near::scope(name)).collect();
    }
    Ok(scopes::all().into_iter().filter(|scope| args.all || args.list || !scope.long).collect())
}

/// A scope, and what it covers.
fn listed(scope: &Scope) -> String {
    let long = if scope.long { " (long: only with --all)" } else { "" };
    let nodes = [(scope.masters, "master"), (scope.slaves, "slave"), (scope.frameworks, "framework")];
    let nodes = nodes.map(|(number, what)| counted(number.into(), what)).join(", ");
    let mut text =
        format!("{}{long}\n    {}\n    {nodes}; may happen: {}\n", scope.name, scope.about, scope.budget);
    for command in &scope.commands {
        text.push_str(&format!("    the operator: {}\n", story::words::command(command)));
    }
    text
}

fn checked(scope: &Scope, limits: Limits) -> Row {
    let mut peak = Peak::new();
    let mut line = Line::new();
    let checked = check::check(scope, limits, |progress| {
        let resident = peak.look();
        line.say(scope.name, progress, resident);
    });
    line.clear();
    let measured = checked.exhausted.states >= STATES_TO_MEASURE;
    let bytes = peak.growth().filter(|_| measured);
    let bytes_a_state = bytes.map(|bytes| bytes / checked.exhausted.states as u64);
    Row { checked, bytes_a_state }
}

/// The line that says how far it is, where a person is looking.
struct Line {
    shown: bool,
    last: Option<Instant>,
}

impl Line {
    const PERIOD: Duration = Duration::from_millis(100);

    fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal(), last: None }
    }

    fn say(&mut self, scope: &str, progress: Progress, resident: Option<u64>) {
        if !self.shown || self.last.is_some_and(|last| last.elapsed() < Self::PERIOD) {
            return;
        }
        self.last = Some(Instant::now());
        let rate = progress.states as f64 / progress.took.as_secs_f64().max(1e-3);
        let memory = resident.map_or(String::new(), |bytes| format!("   {} MiB", grouped(bytes >> 20)));
        self.write(&format!(
            "{scope}, {}: {} states   {}/s   depth {}{memory}",
            progress.engine,
            grouped(progress.states as u64),
            grouped(rate as u64),
            progress.depth,
        ));
    }

    fn clear(&mut self) {
        if self.last.is_some() {
            self.write("");
        }
    }

    /// What cannot be shown is not worth ending for.
    fn write(&self, text: &str) {
        let mut terminal = std::io::stderr().lock();
        let _ = write!(terminal, "\r\x1b[2K{text}");
        let _ = terminal.flush();
    }
}

/// What came of a scope, in a line of the table.
struct Row {
    checked: Checked,
    bytes_a_state: Option<u64>,
}

impl Row {
    fn head() -> String {
        format!(
            "{:22} {:>11} {:>12} {:>6} {:>11} {:>14} {:>8}  {}",
            "scope", "states", "steps", "depth", "stateright", "breadth first", "B/state", "verdict\n"
        )
    }

    fn line(&self) -> String {
        let Checked { scope, exhausted, found, found_in, .. } = &self.checked;
        format!(
            "{:22} {:>11} {:>12} {:>6} {:>11} {:>14} {:>8}  {}",
            scope.name,
            grouped(exhausted.states as u64),
            grouped(exhausted.steps as u64),
            found.depth,
            seconds(exhausted.took),
            seconds(*found_in),
            self.bytes_a_state.map_or("-".into(), |bytes| bytes.to_string()),
            self.verdict(),
        )
    }

    fn verdict(&self) -> String {
        let broken = self.broken().map(|at| properties::ALL[at].name);
        let broken: Vec<&str> = broken.collect();
        match (broken.is_empty(), self.checked.is_complete()) {
            (true, true) => "holds".into(),
            (true, false) => "INCOMPLETE".into(),
            (false, true) => format!("BROKEN: {}", broken.join(", ")),
            (false, false) => format!("BROKEN: {}; and INCOMPLETE", broken.join(", ")),
        }
    }

    fn broken(&self) -> impl Iterator<Item = usize> {
        (0..properties::ALL.len()).filter(|at| matches!(self.checked.verdict(*at), Verdict::Broken(_)))
    }

    /// Why it is incomplete, and the stories of what is broken.
    fn news(&self) -> String {
        let mut text = String::new();
        for shortfall in &self.checked.shortfalls {
            text.push_str(&format!("    ! incomplete: {shortfall}\n"));
        }
        text.push_str(&self.checked.stories());
        text
    }
}

/// What came of all.
struct Report {
    /// Whether it is a whole set of scopes, so that everything must be reached.
    whole: bool,
    rows: Vec<Row>,
}

impl Report {
    fn verdicts(&self, at: usize) -> impl Iterator<Item = (&'static str, Verdict)> {
        self.rows.iter().map(move |row| (row.checked.scope.name, row.checked.verdict(at)))
    }

    fn scopes_where(&self, at: usize, is: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.verdicts(at).filter(|(_, verdict)| is(verdict)).map(|(scope, _)| scope).collect()
    }

    /// The `sometimes` properties that were reached nowhere.
    fn never_reached(&self) -> Vec<&'static str> {
        let is_vacuous = |at: &usize| {
            matches!(properties::ALL[*at].kind, Kind::Sometimes(_))
                && self.scopes_where(*at, |verdict| *verdict == Verdict::Reached).is_empty()
        };
        (0..properties::ALL.len()).filter(is_vacuous).map(|at| properties::ALL[at].name).collect()
    }

    fn exit(&self) -> u8 {
        if self.rows.iter().any(|row| row.checked.is_broken()) {
            super::BROKEN
        } else if !self.rows.iter().all(|row| row.checked.is_complete()) {
            super::INCOMPLETE
        } else if self.whole && !self.never_reached().is_empty() {
            super::VACUOUS
        } else {
            super::HELD
        }
    }

    /// The verdict of each property.
    fn table(&self) -> String {
        let wide = properties::ALL.iter().map(|property| property.name.len()).max().unwrap_or(0);
        let mut text = format!("\n{:wide$}  {:14}  verdict\n", "property", "guards");
        for (at, property) in properties::ALL.iter().enumerate() {
            let verdict = self.verdict(at);
            text.push_str(&format!("{:wide$}  {:14}  {verdict}\n", property.name, property.guards));
        }
        text
    }

    fn verdict(&self, at: usize) -> String {
        let broken = self.scopes_where(at, |verdict| matches!(verdict, Verdict::Broken(_)));
        if !broken.is_empty() {
            return format!("BROKEN in {}", broken.join(", "));
        }
        let reached = self.scopes_where(at, |verdict| *verdict == Verdict::Reached);
        let held = self.scopes_where(at, |verdict| *verdict == Verdict::Held).len();
        let unknown = match self.scopes_where(at, |verdict| *verdict == Verdict::Unknown).len() {
            0 => String::new(),
            unknown if unknown == self.rows.len() => return "UNKNOWN".into(),
            unknown => format!(", UNKNOWN in {unknown}"),
        };
        match properties::ALL[at].kind {
            Kind::Sometimes(_) if !reached.is_empty() => format!("reached in {}", some_of(&reached)),
            Kind::Sometimes(_) if self.whole => format!("NEVER REACHED{unknown}"),
            Kind::Sometimes(_) => format!("not reached here{unknown}"),
            Kind::Step(_) | Kind::State(_) | Kind::Eventually(_) => {
                format!("held in {held} of {}{unknown}", self.rows.len())
            }
        }
    }

    fn summary(&self, threads: usize) -> String {
        let states: usize = self.rows.iter().map(|row| row.checked.exhausted.states).sum();
        let stateright: Duration = self.rows.iter().map(|row| row.checked.exhausted.took).sum();
        let own: Duration = self.rows.iter().map(|row| row.checked.found_in).sum();
        let mut text = format!(
            "\n{}, {} states.\n\
             stateright (depth first, {threads} threads) looked at what must always hold and what must be reached: \
             {}, {} states/s.\n\
             breadth first looked for shortest stories and at what must come about in the end: {}, {} states/s.\n",
            counted(self.rows.len(), "scope"),
            grouped(states as u64),
            seconds(stateright),
            rate(states, stateright),
            seconds(own),
            rate(states, own),
        );
        let incomplete = self.rows.iter().filter(|row| !row.checked.is_complete());
        let incomplete: Vec<&str> = incomplete.map(|row| row.checked.scope.name).collect();
        match self.exit() {
            super::BROKEN => text.push_str("Something is BROKEN.\n"),
            super::INCOMPLETE => {
                text.push_str(&format!("INCOMPLETE: {} show nothing.\n", incomplete.join(", ")))
            }
            super::VACUOUS => {
                let never = self.never_reached().join(", ");
                text.push_str(&format!(
                    "VACUOUS: nothing is broken, but this was reached nowhere: {never}.\n"
                ));
            }
            _ => text.push_str("Both agree on every state, step and verdict. Everything holds.\n"),
        }
        text
    }

    /// Whether a table of properties says what was found, of the scopes that were run.
    fn fits(&self, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("it cannot be read ({error})"))?;
        let written = table::records(&text)?;
        for row in &self.rows {
            let name = row.checked.scope.name;
            let found = table::record(&row.checked)?;
            if written.get(name) != Some(&found) {
                let states = grouped(found.states);
                return Err(format!("{name} has {states} states now; read the diff of `properties --write`"));
            }
        }
        match table::document(&written) == text {
            true => Ok(()),
            false => {
                Err("the properties or the scopes have changed; read the diff of `properties --write`".into())
            }
        }
    }

    fn json(&self, threads: usize) -> serde_json::Value {
        let scopes: Vec<serde_json::Value> = self.rows.iter().map(row_json).collect();
        let never: Vec<&str> = if self.whole { self.never_reached() } else { Vec::new() };
        serde_json::json!({
            "exit": self.exit(), "threads": threads, "scopes": scopes, "never_reached": never,
        })
    }
}

fn row_json(row: &Row) -> serde_json::Value {
    let Checked { scope, exhausted, found, found_in, shortfalls } = &row.checked;
    let verdicts: serde_json::Map<String, serde_json::Value> = properties::ALL
        .iter()
        .enumerate()
        .map(|(at, property)| (property.name.to_owned(), verdict_json(scope, &row.checked.verdict(at))))
        .collect();
    serde_json::json!({
        "scope": scope.name,
        "states": exhausted.states,
        "steps": exhausted.steps,
        "depth": found.depth,
        "stateright_s": exhausted.took.as_secs_f64(),
        "breadth_first_s": found_in.as_secs_f64(),
        "bytes_a_state": row.bytes_a_state,
        "incomplete": shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "verdicts": verdicts,
    })
}

fn verdict_json(scope: &Scope, verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Held => "held".into(),
        Verdict::Reached => "reached".into(),
        Verdict::NotReached => "not reached".into(),
        Verdict::Unknown => "unknown".into(),
        Verdict::Broken(actions) => {
            let again = actions.as_ref().and_then(|actions| story::again(scope, actions));
            serde_json::json!({ "broken": again })
        }
    }
}

/// So many of something.
fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

fn rate(states: usize, took: Duration) -> String {
    grouped((states as f64 / took.as_secs_f64().max(1e-3)) as u64)
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
