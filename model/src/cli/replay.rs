//! `replay`: what nodes recorded, through the same machines once more; and step by step, as in a debugger.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::{BROKEN, HELD, INCOMPLETE, MISUSED};
use crate::replay::debugger::{Debugger, clock};
use crate::replay::tape::Tape;
use crate::replay::{Replay, Report};

/// Play what nodes recorded (--journal) through the same machines, demand the same effects, and hold the invariants
/// against all of it together
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    neap demo --journal journals; neap-model replay journals/*.journal\n  \
    neap-model replay --step journals/*.journal             # next, back, goto N, find TEXT, show NODE\n  \
    neap-model replay --at 120 --show journals/*.journal    # the same for a script")]
pub(super) struct Args {
    /// The journals of a cluster's nodes: the more of them, the more can be held against each other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Go through it step by step: on a terminal with a prompt, else as lines of commands on stdin
    #[arg(long, conflicts_with = "at")]
    step: bool,
    /// Show step N, and what came of it
    #[arg(long, value_name = "N")]
    at: Option<usize>,
    /// With --at, show the state of the machine after it, too
    #[arg(long, requires = "at")]
    show: bool,
    /// With --show, of this node instead of the one whose step it is
    #[arg(long, requires = "show", value_name = "NODE")]
    node: Option<String>,
    /// How many findings to print in full
    #[arg(long, default_value_t = 20, value_name = "N")]
    findings: usize,
}

/// Replays.
pub(super) fn run(args: &Args) -> ExitCode {
    match replay(args) {
        Ok(code) => code,
        // Whoever reads it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(MISUSED)
        }
    }
}

fn replay(args: &Args) -> io::Result<ExitCode> {
    let mut tapes = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        let bytes = std::fs::read(file)
            .map_err(|error| io::Error::other(format!("failed to read {name}: {error}")))?;
        match Tape::read(&name, &bytes) {
            Ok(tape) => tapes.push(tape),
            // Of many executors one may have been killed at its birth.
            Err(error) if error.is_unbegun() && args.files.len() > 1 => eprintln!("note: {name}: {error}"),
            Err(error) => return Err(io::Error::other(format!("{name}: {error}"))),
        }
    }
    let size: u64 =
        args.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum();
    let replay = Replay::new(tapes);
    let mut out = io::stdout().lock();
    if let Some(at) = args.at {
        return show(args, at, &mut Debugger::new(&replay), &mut out);
    }
    if args.step {
        let stdin = io::stdin();
        let prompt = stdin.is_terminal();
        session(&mut Debugger::new(&replay), stdin.lock(), &mut out, prompt)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = replay.check();
    print(&mut out, &replay, &report, args.findings, size)?;
    Ok(ExitCode::from(match (report.findings.is_empty(), replay.damaged().is_empty()) {
        (false, _) => BROKEN,
        (true, false) => INCOMPLETE,
        (true, true) => HELD,
    }))
}

fn print(
    out: &mut impl Write,
    replay: &Replay,
    report: &Report,
    findings_max: usize,
    size: u64,
) -> io::Result<()> {
    let runs: usize = replay.nodes.iter().map(|node| node.runs.len()).sum();
    writeln!(
        out,
        "{} inputs of {} nodes in {runs} runs, {size} bytes: {:.1} bytes an input",
        report.steps,
        replay.nodes.len(),
        size as f64 / report.steps.max(1) as f64
    )?;
    writeln!(out)?;
    writeln!(out, "{:26} {:18} {:>9}  holds", "check", "guards", "looked at")?;
    for verdict in &report.verdicts {
        let holds = match (verdict.broken, verdict.looked) {
            (0, 0) => "nothing to look at".to_owned(),
            (0, _) => "yes".to_owned(),
            (broken, _) => format!("NO, broken {broken} times"),
        };
        writeln!(out, "{:26} {:18} {:>9}  {holds}", verdict.check, verdict.guards, verdict.looked)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for (file, damage) in replay.damaged() {
        writeln!(out, "DAMAGED: {file}: {damage}; what comes before was replayed")?;
    }
    if !report.findings.is_empty() {
        writeln!(out)?;
    }
    for finding in report.findings.iter().take(findings_max) {
        writeln!(out, "{} does not hold at step {}:", finding.check, finding.step)?;
        writeln!(out, "    {} {}: {}", clock(finding.at), finding.node, finding.what)?;
        writeln!(out, "    see it: replay --at {} --show with the same files", finding.step)?;
    }
    match report.findings.len().saturating_sub(findings_max) {
        0 => Ok(()),
        more => writeln!(out, "{more} more findings: --findings N prints them"),
    }
}

fn show(args: &Args, at: usize, debugger: &mut Debugger<'_>, out: &mut impl Write) -> io::Result<ExitCode> {
    if !debugger.go(at) {
        return Err(io::Error::other(format!("there is no step {at}: there are {}", debugger.len())));
    }
    for line in debugger.lines() {
        writeln!(out, "{line}")?;
    }
    if args.show {
        let node = match &args.node {
            Some(name) => debugger.node(name).map_err(io::Error::other)?,
            None => debugger.step().map_or(0, |step| step.node),
        };
        writeln!(out, "{}", debugger.machine(node))?;
    }
    Ok(ExitCode::SUCCESS)
}

const HELP: &str = "\
next [N], n         N steps on (Enter does one)
back [N], b         N steps back
goto N, g           to step N; 0 is before the first
find TEXT, f        to the next step that says TEXT; upper and lower case are one
wrong, w            to the next step at which something is wrong
show [NODE], s      the state of the node's machine; of the one whose step it is, unless named
nodes               every node
quit, q             the end";

/// A debugger's conversation.
fn session(
    debugger: &mut Debugger<'_>,
    commands: impl BufRead,
    out: &mut impl Write,
    prompt: bool,
) -> io::Result<()> {
    writeln!(out, "{} steps; {} findings; `help` lists commands", debugger.len(), debugger.findings().len())?;
    let mut commands = commands.lines();
    loop {
        if prompt {
            write!(out, "{}/{} > ", debugger.at(), debugger.len())?;
            out.flush()?;
        }
        let Some(line) = commands.next().transpose()? else { return Ok(()) };
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if matches!(word, "quit" | "q") {
            return Ok(());
        }
        obey(debugger, word, rest.trim(), out)?;
    }
}

fn obey(debugger: &mut Debugger<'_>, word: &str, rest: &str, out: &mut impl Write) -> io::Result<()> {
    let count = match rest {
        "" => Some(1),
        number => number.parse::<usize>().ok(),
    };
    let moved = match (word, count) {
        ("" | "next" | "n", Some(count)) => {
            let to = debugger.at().saturating_add(count).min(debugger.len());
            let moves = to > debugger.at();
            debugger.go(to);
            moved(moves, "this is the last step")
        }
        ("back" | "b", Some(count)) => {
            let (from, to) = (debugger.at(), debugger.at().saturating_sub(count));
            debugger.go(to);
            moved(to < from, "this is before the first step")
        }
        ("goto" | "g", Some(to)) if !rest.is_empty() => {
            let last = format!("there are {} steps", debugger.len());
            moved(debugger.go(to), &last)
        }
        ("find" | "f", _) if !rest.is_empty() => moved(debugger.find(rest), "no later step says so"),
        ("wrong" | "w", _) => {
            let at = debugger.at();
            let next = debugger.findings().iter().map(|finding| finding.step).find(|step| *step > at);
            moved(next.is_some_and(|step| debugger.go(step)), "nothing is wrong from here on")
        }
        ("show" | "s", _) => return show_machine(debugger, rest, out),
        ("nodes", _) => {
            return debugger.nodes().try_for_each(|node| writeln!(out, "{node}"));
        }
        _ => return writeln!(out, "{HELP}"),
    };
    match moved {
        Ok(()) => debugger.lines().iter().try_for_each(|line| writeln!(out, "{line}")),
        Err(why) => writeln!(out, "{why}"),
    }
}

fn moved(moved: bool, why_not: &str) -> Result<(), String> {
    match moved {
        true => Ok(()),
        false => Err(why_not.to_owned()),
    }
}

fn show_machine(debugger: &Debugger<'_>, name: &str, out: &mut impl Write) -> io::Result<()> {
    let node = match name {
        "" => Ok(debugger.step().map_or(0, |step| step.node)),
        name => debugger.node(name),
    };
    match node {
        Ok(node) => writeln!(out, "{}", debugger.machine(node)),
        Err(why) => writeln!(out, "{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::{doctored_replay, honest_replay};

    /// What is printed for these commands, a line each.
    fn said(replay: &Replay, commands: &str) -> Vec<String> {
        let mut out = Vec::new();
        session(&mut Debugger::new(replay), commands.as_bytes(), &mut out, false).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_debugger_obeys_and_says_what_it_cannot() {
        let replay = honest_replay();
        let lines = said(&replay, "next\n\nback 9\nback\nquit\nnext\n");
        let steps = lines[0].split(' ').next().unwrap().to_owned();
        assert_eq!(lines[0], format!("{steps} steps; 0 findings; `help` lists commands"));
        assert_eq!(lines[1], "        slave s starts");
        assert_eq!(
            lines[2],
            "     1  22:13:20.000  slave s  takes Start { checkpoint: None, incarnation: Incarnation(1), boot: BootId(0), alive: [] }"
        );
        assert_eq!(lines[3], "        asks Connect { leader: None }");
        assert!(lines[4].starts_with("     2  22:13:20.001  slave s  takes MasterOpened"), "{}", lines[4]);
        let last: Vec<_> = lines.iter().rev().take(2).collect();
        assert_eq!(last[0], "this is before the first step");
        assert!(last[1].starts_with("before the first step: "), "{}", last[1]);
        for (command, answer) in [
            ("goto 1000", format!("there are {steps} steps")),
            ("find no such thing", "no later step says so".into()),
            ("wrong", "nothing is wrong from here on".into()),
            ("show nobody", "nobody is not one node; there are slave s, executor F1.x1".into()),
            ("nodes", "slave s".into()),
            ("dance", "next [N], n         N steps on (Enter does one)".into()),
        ] {
            assert_eq!(said(&replay, command)[1], answer, "{command}");
        }
        let shown = said(&replay, "find exited\nshow\nshow s").join("\n");
        assert!(shown.contains("executor F1.x1  takes Exited") && shown.contains("Executor {"), "{shown}");
        assert!(shown.contains("Slave {"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_found_shown_and_told() {
        let replay = doctored_replay();
        let lines = said(&replay, "wrong").join("\n");
        assert!(lines.contains("      ! driver: errands: Done(Write(e0, w999)) is told"), "{lines}");
        let mut out = Vec::new();
        let report = replay.check();
        print(&mut out, &replay, &report, 20, 1000).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            " inputs of 2 nodes in 2 runs, 1000 bytes: ",
            "driver: errands            DESIGN 3 ",
            "NO, broken 1 times",
            "S13 deadline-respected     R19                        0  nothing to look at",
            "driver: errands does not hold at step ",
            "replay --at ",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
