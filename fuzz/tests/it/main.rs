//! Every target over its seed corpus and over fixed seeds.
//!
//! `NEAP_BLESS=1 cargo test -p neap-fuzz` makes the seed corpus anew: frames from the golden vectors, and of what the
//! fixed seeds reach, the shortest beginning of one that reaches it. What fuzzers have found is apart, in `found`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use neap_fuzz::choices::{Choices, bytes_of};
use neap_fuzz::{Target, decode, named};

mod codec;

/// What was reached, by what: the bytes that had been used up by then.
type Reached = BTreeMap<&'static str, Vec<u8>>;

/// Runs a target over its corpus and its fixed seeds, and demands that they reach everything that they are to.
fn check(name: &str) {
    let target: &Target = named(name).expect("a target of this name");
    let mut reached = Reached::new();
    for seed in 1..=target.seeds {
        let again = format!("cargo run -p neap-fuzz -- {name} --seed {seed}");
        run(target, &bytes_of(seed, target.length), &again, &mut reached);
    }
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        bless(target, &reached);
    }
    for file in corpus(target) {
        let bytes = fs::read(&file).expect("failed to read a file of the corpus");
        let again = format!("cargo run -p neap-fuzz -- {name} {}", file.display());
        run(target, &bytes, &again, &mut reached);
    }
    for goal in target.goals {
        assert!(
            reached.contains_key(goal),
            "nothing reaches {goal}: a test that reaches little proves little"
        );
    }
}

fn run(target: &Target, bytes: &[u8], again: &str, reached: &mut Reached) {
    let held = catch_unwind(AssertUnwindSafe(|| {
        let mut choices = Choices::new(bytes);
        (target.run)(&mut choices);
        for (what, used) in choices.reached() {
            let shorter = reached.get(what).is_none_or(|before| before.len() > *used);
            if shorter {
                reached.insert(what, bytes[..*used].to_vec());
            }
        }
    }));
    assert!(held.is_ok(), "as printed above; step by step: {again}");
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target.name)
}

/// The files of the corpus, of which there are some, and what fuzzers have found, which may be nothing; in order.
fn corpus(target: &Target) -> Vec<PathBuf> {
    let seeds = folder("seeds", target);
    let mut files = files_in(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
    assert!(!files.is_empty(), "nothing is in {}", seeds.display());
    let found = folder("found", target);
    match files_in(&found) {
        Ok(more) => files.extend(more),
        // git keeps no folder that is empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => panic!("{}: {error}", found.display()),
    }
    files.sort();
    files
}

fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn bless(target: &Target, reached: &Reached) {
    let folder = folder("seeds", target);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("failed to make the corpus");
    let write = |name: &str, bytes: &[u8]| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        fs::write(folder.join(name), bytes).expect("failed to write a file of the corpus");
    };
    for (what, bytes) in reached {
        write(what, bytes);
    }
    if target.name == "decode" {
        golden().iter().for_each(|(name, bytes)| write(name, bytes));
    }
}

/// The golden frames, each as the message that it is: by what is printed of it.
fn golden() -> Vec<(String, Vec<u8>)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/golden/v2.txt");
    let text = fs::read_to_string(file).expect("failed to read the golden vectors");
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.splitn(3, " | ");
        let mut part = || parts.next().expect("a name, bytes and a message");
        let (name, hex, message) = (part(), part(), part());
        let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
        let frame: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        let kind = decode::kind_of(&frame, message).expect("a frame of some kind");
        all.push((name.to_owned(), [&[kind], frame.as_slice()].concat()));
    }
    all
}

#[test]
fn every_frame_is_refused_or_goes_round() {
    check("decode");
}

#[test]
fn a_master_keeps_its_state_whatever_it_is_told() {
    check("master");
}

#[test]
fn an_executor_keeps_its_promises_whatever_comes() {
    check("executor");
}

#[test]
fn a_framework_breaks_no_rule_whatever_comes() {
    check("framework");
}

#[test]
fn a_slave_keeps_its_promises_whatever_comes() {
    check("slave");
}

#[test]
fn a_registry_stays_sound_whatever_is_done() {
    check("registry");
}

#[test]
fn a_journal_is_read_as_far_as_it_is_whole() {
    check("journal");
}

#[test]
fn the_world_keeps_every_property_of_the_model() {
    check("world");
}

#[test]
fn every_target_is_tested() {
    let tested = ["decode", "master", "executor", "framework", "slave", "registry", "journal", "world"];
    assert!(neap_fuzz::TARGETS.iter().map(|target| target.name).eq(tested));
}
