//! Every mutant applies to the sources as they are, and names what there is. Nothing is built.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::checkout;
use super::graft::graft;
use super::manifest::{self, Mutant, Suite, Trial};
use crate::{properties, scopes};

/// What the issue asks for.
const MUTANTS_MIN: usize = 40;

fn mutants() -> Vec<Mutant> {
    manifest::all(&checkout()).unwrap()
}

#[test]
fn every_mutant_applies_and_changes_something() {
    for mutant in mutants() {
        let source = fs::read_to_string(checkout().join(mutant.path())).unwrap();
        let grafted = graft(&source, &[(1, &mutant)]).unwrap_or_else(|(_, why)| panic!("{why}"));
        let body = &grafted.text[grafted.text.find("1usize => {").unwrap()..];
        let (changed, rest) = body["1usize => {".len()..].split_once("\n}\n_ => {").unwrap();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_ne!(words(changed), words(rest.split_once("\n}\n}").unwrap().0), "{}", mutant.name);
    }
}

#[test]
fn there_are_enough_and_each_is_named_once() {
    let mutants = mutants();
    assert!(mutants.len() >= MUTANTS_MIN, "{} mutants", mutants.len());
    let mut names = BTreeSet::new();
    for Mutant { name, breaks, guards, .. } in &mutants {
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        assert!(!breaks.is_empty() && !breaks.ends_with('.'), "{name} says what it breaks, in a line");
        assert!(crate::table::REQUIREMENTS.contains(&guards.as_str()), "{name} guards {guards}");
    }
}

/// Wherever decisions are made, one is broken.
#[test]
fn every_part_of_the_protocol_is_broken() {
    let broken: BTreeSet<String> = mutants().into_iter().map(|mutant| mutant.file).collect();
    let parts = [
        "master/mod.rs",
        "master/leader.rs",
        "master/slaves.rs",
        "master/frameworks.rs",
        "master/tasks.rs",
        "master/inverse.rs",
        "master/operators.rs",
        "master/allocator.rs",
        "master/victims.rs",
        "registry.rs",
        "slave/link.rs",
        "slave/store.rs",
        "slave/tasks.rs",
        "slave/executors.rs",
        "slave/leaving.rs",
        "framework.rs",
        "executor.rs",
    ];
    let spared: Vec<&str> = parts.into_iter().filter(|part| !broken.contains(*part)).collect();
    assert!(spared.is_empty(), "nothing is broken in {}", spared.join(", "));
}

#[test]
fn what_is_to_catch_them_exists() {
    let sources = sources(&checkout().join("protocol/src"));
    for Mutant { name, trial, caught_by, .. } in mutants() {
        assert!(!caught_by.is_empty(), "{name} is caught by nothing");
        if let Trial::Scope(scope) = &trial {
            assert!(scopes::named(scope).is_some(), "{name} is tried in {scope}, which is no scope");
        }
        for by in &caught_by {
            let exists = match &trial {
                Trial::Scope(_) => properties::ALL.iter().any(|property| property.name == by),
                Trial::Test(Suite::Transcripts) => {
                    checkout().join(format!("protocol/tests/transcripts/{by}.txt")).is_file()
                }
                Trial::Test(Suite::Unit) => {
                    let test = by.rsplit("::").next().unwrap_or(by);
                    sources.iter().any(|source| source.contains(&format!("fn {test}()")))
                }
            };
            assert!(exists, "{name} is to be caught by {by}, which does not exist");
        }
    }
}

/// Every source file below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let mut sources: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    sources.extend(folders.iter().flat_map(|folder| self::sources(folder)));
    sources
}
