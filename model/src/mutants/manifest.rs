//! The manifest: every mutant, in a file for each machine.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

/// Where the manifest is, below the root of a checkout.
const FOLDER: &str = "model/mutants";

/// A small change of the protocol's source that breaks it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What people call it.
    pub name: String,
    /// What is wrong then, in a line.
    pub breaks: String,
    /// The requirement that is broken.
    pub guards: String,
    /// Where, below `protocol/src`.
    pub file: String,
    /// What stands there once, and only once; white space counts as one space.
    pub before: String,
    /// What takes its place.
    pub after: String,
    /// Where it must be caught.
    pub trial: Trial,
    /// What must catch it, all of it: properties, transcripts or tests.
    pub caught_by: Vec<String>,
}

/// Where a mutant must be caught.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    /// In this scope of the model, by properties.
    Scope(String),
    /// By tests of the protocol.
    Test(Suite),
}

/// Tests of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// The scenarios in `protocol/tests/transcripts`; a file's name without its ending is what catches.
    Transcripts,
    /// Tests in `protocol/src`, by their paths.
    Unit,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => f.write_str(scope),
            Self::Test(Suite::Transcripts) => f.write_str("transcripts"),
            Self::Test(Suite::Unit) => f.write_str("unit tests"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mutant: Vec<Mutant>,
}

/// Every mutant of a checkout.
///
/// # Errors
/// What cannot be read or understood, and where.
pub fn all(root: &Path) -> Result<Vec<Mutant>, String> {
    let folder = root.join(FOLDER);
    let wrong = |path: &Path, why: String| format!("{}: {why}", path.display());
    let entries = fs::read_dir(&folder).map_err(|error| wrong(&folder, error.to_string()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(|error| wrong(&folder, error.to_string()))?;
    paths.sort();
    let mut mutants = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| wrong(&path, error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| wrong(&path, error.to_string()))?;
        mutants.extend(file.mutant);
    }
    Ok(mutants)
}

impl Mutant {
    /// Its file, below the root of a checkout.
    pub fn path(&self) -> String {
        format!("protocol/src/{}", self.file)
    }

    /// Where in its file's text it makes its change.
    ///
    /// # Errors
    /// Where it does not apply, and what to do about it.
    pub fn place(&self, source: &str) -> Result<Range<usize>, String> {
        let mut places = places(source, &self.before);
        match (places.len(), places.pop()) {
            (1, Some(place)) => Ok(place),
            (times, _) => Err(format!(
                "{} no longer applies: what it replaces is {times} times in {}, not once; look what became of it, \
                 and bring `before` in model/mutants up to date",
                self.name,
                self.path(),
            )),
        }
    }
}

/// Where a piece of source stands in a file, however both are broken into lines.
fn places(source: &str, piece: &str) -> Vec<Range<usize>> {
    let words: Vec<&str> = piece.split_whitespace().collect();
    let Some((first, rest)) = words.split_first() else { return Vec::new() };
    let begins = source.match_indices(first).map(|(at, _)| at);
    begins.filter_map(|at| Some(at..ends(source, at + first.len(), rest)?)).collect()
}

/// Where words end that follow in a source from a place on, with nothing but white space before each.
fn ends(source: &str, mut at: usize, words: &[&str]) -> Option<usize> {
    for word in words {
        let tail = &source[at..];
        let next = tail.trim_start();
        let space = tail.len() - next.len();
        if space == 0 || !next.starts_with(word) {
            return None;
        }
        at += space + word.len();
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(before: &str) -> Mutant {
        Mutant {
            name: "m".into(),
            breaks: String::new(),
            guards: String::new(),
            file: "x.rs".into(),
            before: before.into(),
            after: String::new(),
            trial: Trial::Scope("drain".into()),
            caught_by: Vec::new(),
        }
    }

    fn piece<'a>(before: &str, source: &'a str) -> Result<&'a str, String> {
        mutant(before).place(source).map(|place| &source[place])
    }

    #[test]
    fn white_space_counts_as_one_space() {
        let source = "fn f() {\n    g(\n        1,\n    );\n}\n";
        assert_eq!(piece("g( 1, );", source), Ok("g(\n        1,\n    );"));
        assert_eq!(piece("\ng(\n1,\n);\n", source), Ok("g(\n        1,\n    );"));
        assert!(piece("g(1, );", source).is_err(), "words are not broken");
    }

    #[test]
    fn what_is_there_twice_or_never_does_not_apply() {
        let twice = piece("a b", "a b a  b").unwrap_err();
        assert!(
            twice.starts_with("m no longer applies: what it replaces is 2 times in protocol/src/x.rs"),
            "{twice}"
        );
        assert!(piece("a c", "a b").unwrap_err().contains("is 0 times"));
        assert!(piece(" ", "a b").is_err(), "nothing is nowhere");
    }
}
