//! Which requirement is guarded by which property, in which scopes, over how many states: a table that is made from
//! runs. What a run found of a scope is a [`Record`]; the document is made from records, the code's properties and the
//! code's scopes, and can be read back, so that a test finds what no longer fits without running anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::check::{Checked, Verdict};
use crate::properties::{self, Kind, Property};
use crate::scopes;

/// What was found of one scope, in which everything was seen and everything held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How many states.
    pub states: u64,
    /// How many steps.
    pub steps: u64,
    /// The most actions on the shortest way to a state.
    pub depth: u64,
    /// The `sometimes` properties that were reached, in the order of the table.
    pub reached: Vec<&'static str>,
}

/// Records by the names of their scopes.
pub type Records = BTreeMap<&'static str, Record>;

/// The requirements of the design, in their order.
pub const REQUIREMENTS: [&str; 35] = [
    "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R7a", "R8", "R9", "R10", "R11", "R12", "R12a", "R13", "R14",
    "R15", "R16", "R17", "R18", "R19", "R20", "R21", "R22", "R23", "R23a", "R24", "R24a", "R25", "R26",
    "R27", "R28", "R29", "R30", "R31",
];

/// Behind the name of a scope that takes long.
const LONG: &str = " *(long)*";
/// In place of the states of a scope without a record.
const NOT_RUN: &str = "not run";

const HEAD: &str = "\
# Properties

What is checked, where, and over how many states. This file is made by

    cargo run --release -p neap-model -- properties --all --write docs/properties.md

and a test fails when it no longer fits the code. `always` and `eventually` properties hold in every state of every
scope; for a `sometimes` property the scopes are those in which it was reached, and the states are theirs.
[checking.md](checking.md) says what that means, and what is not checked.
";

/// The record of a scope.
///
/// # Errors
/// Where not everything was seen, or something is broken: that is no record.
pub fn record(checked: &Checked) -> Result<Record, String> {
    let name = checked.scope.name;
    if checked.is_broken() {
        return Err(format!("something is broken in {name}: see `neap-model check {name}`"));
    }
    if let Some(shortfall) = checked.shortfalls.first() {
        return Err(format!("{name} is incomplete: {shortfall}"));
    }
    let reached = properties::ALL.iter().enumerate();
    let reached = reached.filter(|(at, _)| checked.verdict(*at) == Verdict::Reached);
    Ok(Record {
        states: checked.found.states as u64,
        steps: checked.found.steps,
        depth: checked.found.depth as u64,
        reached: reached.map(|(_, property)| property.name).collect(),
    })
}

/// The document. Scopes without a record are named as not run.
pub fn document(records: &Records) -> String {
    let mut text = format!("{HEAD}\n## Requirements\n\n");
    text.push_str("| requirement | property | kind | scopes | states |\n|---|---|---|---|---:|\n");
    for requirement in REQUIREMENTS {
        let guards = |property: &&Property| property.guards.split(' ').any(|one| one == requirement);
        if !properties::ALL.iter().any(|property| guards(&property)) {
            let _ = writeln!(text, "| {requirement} | **none** | | | |");
        }
        let mut first = requirement;
        for property in properties::ALL.iter().filter(guards) {
            let (scopes, states) = extent(property, records);
            let kind = kind(property);
            let _ =
                writeln!(text, "| {first} | {} | {kind} | {scopes} | {} |", property.name, grouped(states));
            first = "";
        }
    }
    text.push_str("\n## Scopes\n\n| scope | covers | states | steps | depth |\n|---|---|---:|---:|---:|\n");
    let scopes = scopes::all();
    for scope in &scopes {
        let long = if scope.long { LONG } else { "" };
        let found = match records.get(scope.name) {
            Some(record) => {
                format!("{} | {} | {}", grouped(record.states), grouped(record.steps), record.depth)
            }
            None => format!("{NOT_RUN} | | "),
        };
        let _ = writeln!(text, "| {}{long} | {} | {found} |", scope.name, scope.about);
    }
    text.push_str("\n## What is reached in each\n\n");
    for (name, record) in scopes.iter().filter_map(|scope| Some((scope.name, records.get(scope.name)?))) {
        let _ = writeln!(text, "- {name}: {}", record.reached.join("; "));
    }
    text
}

/// The records of a document.
///
/// # Errors
/// What in it is no record, or of a scope or a property that the code does not have.
pub fn records(document: &str) -> Result<Records, String> {
    let (_, tables) = document.split_once("\n## Scopes\n").ok_or("it has no table of scopes")?;
    let (numbers, reached) =
        tables.split_once("\n## What is reached in each\n").ok_or("it has no list of what is reached")?;
    let known = scopes::all();
    let named = |name: &str| {
        let scope = known.iter().find(|scope| scope.name == name);
        scope.map(|scope| scope.name).ok_or_else(|| format!("there is no scope {name} any more"))
    };
    let mut records = Records::new();
    for line in numbers.lines().skip(3).filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[name, _, states, steps, depth] = cells.as_slice() else {
            return Err(format!("this is no line of a scope: {line}"));
        };
        let name = named(name.trim_end_matches(LONG))?;
        let number = |text: &str| {
            text.replace(',', "").parse::<u64>().map_err(|_| format!("{text} is no number, in: {line}"))
        };
        if states != NOT_RUN {
            let (states, steps, depth) = (number(states)?, number(steps)?, number(depth)?);
            records.insert(name, Record { states, steps, depth, reached: Vec::new() });
        }
    }
    for line in reached.lines().filter_map(|line| line.strip_prefix("- ")) {
        let (name, reached) = line.split_once(':').ok_or_else(|| format!("this names no scope: {line}"))?;
        let record = records.get_mut(named(name)?).ok_or_else(|| format!("{name} was not run"))?;
        for name in reached.split(';').map(str::trim).filter(|name| !name.is_empty()) {
            let property = properties::ALL.iter().find(|property| property.name == name);
            let property = property.ok_or_else(|| format!("there is no property {name} any more"))?;
            record.reached.push(property.name);
        }
    }
    Ok(records)
}

/// In which scopes a property holds, or is reached, and how many states they have.
fn extent(property: &Property, records: &Records) -> (String, u64) {
    match property.kind {
        Kind::Step(_) | Kind::State(_) | Kind::Eventually(_) => {
            (format!("all {}", records.len()), records.values().map(|record| record.states).sum())
        }
        Kind::Sometimes(_) => {
            let reached = records.iter().filter(|(_, record)| record.reached.contains(&property.name));
            let (names, states): (Vec<&str>, Vec<u64>) =
                reached.map(|(name, record)| (*name, record.states)).unzip();
            match names.is_empty() {
                true if records.len() < scopes::all().len() => ("not reached yet".into(), 0),
                true => ("**never reached**".into(), 0),
                false => (some_of(&names), states.iter().sum()),
            }
        }
    }
}

/// The first of many names.
pub fn some_of(names: &[&str]) -> String {
    match names {
        [first, second, third, rest @ ..] if rest.len() > 1 => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}

fn kind(property: &Property) -> &'static str {
    match property.kind {
        Kind::Step(_) | Kind::State(_) => "always",
        Kind::Eventually(_) => "eventually",
        Kind::Sometimes(_) => "sometimes",
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Records {
        let reached = |places: std::ops::Range<usize>| {
            let all = properties::ALL.iter().filter(|property| matches!(property.kind, Kind::Sometimes(_)));
            all.map(|property| property.name).collect::<Vec<_>>()[places].to_vec()
        };
        let record = |states, reached| Record { states, steps: 3 * states, depth: 40, reached };
        Records::from([("drain", record(1_234_567, reached(0..3))), ("silence", record(800, reached(2..2)))])
    }

    #[test]
    fn a_document_is_read_back() {
        assert_eq!(records(&document(&some())), Ok(some()));
        assert_eq!(records(&document(&Records::new())), Ok(Records::new()));
    }

    #[test]
    fn what_the_code_no_longer_has_is_found() {
        let text = document(&some());
        assert!(records(&text.replace("| drain |", "| drown |")).unwrap_err().contains("drown"));
        let reached = some()["drain"].reached[0];
        let gone = text.rsplit_once(reached).map(|(before, after)| format!("{before}a task flies{after}"));
        assert!(records(&gone.unwrap()).unwrap_err().contains("a task flies"));
        assert!(records("nothing").is_err());
    }

    #[test]
    fn the_document_fits_the_code() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/properties.md");
        let mut text = std::fs::read_to_string(file).unwrap_or_default();
        // Words are blessed here; numbers come from runs alone, and `check --table` holds them to one.
        if std::env::var_os("NEAP_BLESS").is_some() {
            text = document(&records(&text).unwrap_or_default());
            std::fs::write(file, &text).unwrap();
        }
        let again =
            "make it anew: cargo run --release -p neap-model -- properties --all --write docs/properties.md";
        let records = records(&text).unwrap_or_else(|problem| panic!("{problem}: {again}"));
        assert!(document(&records) == text, "docs/properties.md no longer fits the code; {again}");
    }

    #[test]
    fn properties_guard_requirements_that_there_are() {
        for property in properties::ALL {
            let guarded: Vec<&str> = property.guards.split(' ').collect();
            assert!(!guarded.is_empty(), "{} guards nothing", property.name);
            for one in guarded {
                assert!(REQUIREMENTS.contains(&one), "{} guards {one}, which is none", property.name);
            }
        }
    }

    #[test]
    fn thousands_are_apart() {
        let written = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
    }
}
