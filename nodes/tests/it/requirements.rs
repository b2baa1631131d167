//! docs/requirements.md defines each requirement, and ARCHITECTURE.md says what shows it: that both name the same, and
//! that what is named exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The file that a test's short name is in.
fn file_of(short: &str) -> String {
    match short.split_once('/') {
        Some(("slave", file)) => format!("protocol/src/slave/tests/{file}.rs"),
        Some(("nodes", file)) => format!("nodes/tests/it/{file}.rs"),
        Some(("chaos", file)) => format!("nodes/tests/chaos/{file}.rs"),
        Some(("trees", file)) => format!("process-tree/tests/it/{file}.rs"),
        Some(("store", "golden")) => "nodes/src/master/store/golden.rs".to_owned(),
        Some(("checkpoint", "golden")) => "nodes/src/slave/store/golden.rs".to_owned(),
        Some(_) => panic!("{short} is short for no file"),
        None => match short {
            "framework" | "executor" => format!("protocol/src/{short}/tests.rs"),
            "registry" => "protocol/src/registry.rs".to_owned(),
            "store" => "nodes/src/master/store/faults.rs".to_owned(),
            "state" => "nodes/src/framework/state/faults.rs".to_owned(),
            "checkpoint" => "nodes/src/slave/store/faults.rs".to_owned(),
            "victims" => "protocol/src/master/victims.rs".to_owned(),
            "allocator" => "protocol/tests/it/allocator.rs".to_owned(),
            "random" => "fuzz/tests/it/main.rs".to_owned(),
            _ => panic!("{short} is short for no file"),
        },
    }
}

/// Whether a file has a test of this name.
fn has_test(text: &str, test: &str) -> bool {
    let heads = [format!("fn {test}("), format!("fn {test}<")];
    heads.iter().any(|head| {
        let mut places = text.match_indices(head.as_str());
        // Nothing but attributes and words such as `async` stand between.
        places.any(|(at, _)| text[..at].rsplit("\n\n").next().is_some_and(|item| item.contains("test")))
    })
}

/// The rows of the table: the requirement, what shows it, what is not yet.
fn rows(text: &str) -> Vec<[String; 3]> {
    let table = text.split("## Requirements and what shows them").nth(1).expect("the table's section");
    let rows = table.lines().filter(|line| line.starts_with("| R"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).map(str::to_owned));
    cells.map(|cells| cells.collect::<Vec<_>>().try_into().expect("three cells")).collect()
}

/// The requirements that docs/requirements.md defines.
fn defined() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let items = text.lines().filter_map(|line| line.strip_prefix("- **R")?.split_once("**"));
    items.map(|(number, _)| format!("R{number}")).collect()
}

/// The files of the project's own that cite requirements.
fn files(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with('.') || name == "target" || name == "golden" {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if [".rs", ".md", ".toml", ".txt"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

/// The requirements that a text cites: `R`, one or two digits, at most a letter. (`S3` may be an invariant or a slave, so
/// invariants are not looked at.)
fn cited(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let number = |word: &&str| {
        let digits =
            word.strip_prefix('R').map(|rest| rest.trim_end_matches(|c: char| c.is_ascii_lowercase()));
        digits.is_some_and(|d| !d.is_empty() && d.len() <= 2 && d.bytes().all(|b| b.is_ascii_digit()))
    };
    words.filter(number).map(str::to_owned).collect()
}

#[test]
fn every_requirement_that_is_cited_is_defined() {
    let defined = defined();
    assert!(defined.contains("R1") && defined.contains("R31"), "{defined:?}");
    assert!(cited("as R99 says, and R23a, not R1000 or Rust").iter().eq(["R23a", "R99"].iter()));
    let mut paths = Vec::new();
    files(&root(), &mut paths);
    assert!(paths.len() > 300, "{} files", paths.len());
    for path in paths.iter().filter(|path| !path.ends_with("nodes/tests/it/requirements.rs")) {
        let text = fs::read_to_string(path).unwrap();
        let unknown: Vec<String> = cited(&text).difference(&defined).cloned().collect();
        assert!(
            unknown.is_empty(),
            "{} cites {unknown:?}: docs/requirements.md has no such number",
            path.display()
        );
    }
}

#[test]
fn every_requirement_names_what_shows_it_and_that_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = rows(&text);
    let wanted = defined();
    let there: BTreeSet<String> = rows.iter().map(|[requirement, ..]| requirement.clone()).collect();
    assert!(rows.len() >= 35, "{} rows", rows.len());
    assert_eq!((rows.len(), there), (wanted.len(), wanted), "one row a requirement");
    let transcripts: Vec<String> = fs::read_dir(root().join("protocol/tests/transcripts"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for [requirement, shown, not_yet] in &rows {
        let mut count = 0;
        for test in shown.split('`').skip(1).step_by(2) {
            let (file, test) = test.split_once("::").unwrap_or_else(|| panic!("{requirement}: {test}"));
            let file = file_of(file);
            let code = fs::read_to_string(root().join(&file)).unwrap_or_else(|error| {
                panic!("{requirement} names {file}: {error}");
            });
            assert!(has_test(&code, test), "{requirement} names {test}, which {file} does not have");
            count += 1;
        }
        for word in shown.split(|c: char| !c.is_ascii_alphanumeric()) {
            if word.len() == 3 && word.starts_with('T') && word[1..].parse::<u8>().is_ok() {
                let begin = format!("{}-", &word[1..]);
                let there = transcripts.iter().any(|name| name.starts_with(&begin));
                assert!(there, "{requirement} names {word}, and there is no transcript {begin}…");
                count += 1;
            }
        }
        assert!(
            count > 0 || !not_yet.is_empty(),
            "{requirement} is shown by nothing, and not said to be missing"
        );
    }
}
