//! The sizes of the small scopes are pinned: a change of a machine that is not meant to change what can happen must not
//! change them. `NEAP_BLESS=1 cargo test -p neap-model pinned` accepts what they are now; read the diff, and say in the
//! commit why they changed.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::limits::Limits;
use crate::search;

/// Small enough for every test run.
const PINNED: [&str; 3] = ["overload", "full-disk", "executor"];

#[test]
fn pinned_scopes_are_as_large_as_they_were() {
    let mut text = String::from("scope states steps depth shape\n");
    for name in PINNED {
        let scope = named(name).unwrap_or_else(|| panic!("there is no scope {name}"));
        let found = search::search(&scope, Limits { states_max: 1_000_000, ..Limits::none(2) }, |_| {});
        assert!(found.exceeded.is_none() && found.broken.is_empty(), "{name} is not what it was: check it");
        let search::Found { states, steps, depth, shape, .. } = found;
        writeln!(text, "{name} {states} {steps} {depth} {shape:016x}").unwrap();
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/scopes/pinned.txt");
    if std::env::var_os("NEAP_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let pinned = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, pinned, "NEAP_BLESS=1 cargo test -p neap-model pinned accepts it");
}

#[test]
fn names_of_scopes_are_unique() {
    let mut names: Vec<&str> = all().iter().map(|scope| scope.name).collect();
    let many = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), many);
}
