//! Near names: an unknown name is answered with those that were probably meant.

use crate::exit::Exit;
use crate::output::Failure;

/// The most names that are listed in one answer.
const LISTED_MAX: usize = 3;

/// The most names that are compared: beyond it a list is no help, and comparing costs.
const COMPARED_MAX: usize = 100_000;

/// How alike two names must be, where 1 is equal. Lower values list names that nobody meant.
const ALIKE_MIN: f64 = 0.6;

/// How much less alike than the nearest a name may be and still be listed beside it.
const ALIKE_MARGIN: f64 = 0.1;

/// Those of `known` that `unknown` was probably meant to be, the nearest first, at most three.
pub fn near<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let unknown = unknown.to_lowercase();
    let mut alike: Vec<(f64, &str)> = known
        .into_iter()
        .take(COMPARED_MAX)
        .map(|name| (likeness(&unknown, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE_MIN)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    alike.dedup_by_key(|(_, name)| *name);
    let nearest = alike.first().map_or(0.0, |(likeness, _)| *likeness);
    alike.retain(|(likeness, _)| *likeness >= nearest - ALIKE_MARGIN);
    alike.into_iter().take(LISTED_MAX).map(|(_, name)| name).collect()
}

/// Whether two names differ in their numbers alone, or beside other things: they are then of one row, and each is meant
/// as it is written.
pub fn are_siblings(one: &str, other: &str) -> bool {
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(one) != digits(other)
}

/// `did you mean slave-1 or slave-2?`, or nothing where no name is near.
pub fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = near(unknown, known);
    let (last, before) = near.split_last()?;
    Some(match before {
        [] => format!("did you mean {last}?"),
        before => format!("did you mean {} or {last}?", before.join(", ")),
    })
}

/// The refusal of an unknown name: what it should have named (`slave`), the names that are near, and the command
/// that lists them all.
pub fn unknown<'a>(
    what: &str,
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
    list_command: &str,
) -> Failure {
    let failure = Failure::new(Exit::Refused, format!("unknown {what} '{unknown}'"));
    let failure = match did_you_mean(unknown, known) {
        Some(question) => failure.help(question),
        None => failure,
    };
    failure.help(format!("`{list_command}` lists every {what}"))
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLAVES: [&str; 5] = ["slave-1", "slave-2", "slave-3", "db-master", "Web"];

    #[test]
    fn the_nearest_comes_first() {
        assert_eq!(near("slvae-1", SLAVES), ["slave-1"]);
        assert_eq!(near("web", SLAVES), ["Web"]);
        assert_eq!(near("zzz", SLAVES), [""; 0]);
        assert_eq!(near("", SLAVES), [""; 0]);
    }

    #[test]
    fn at_most_three_are_listed_each_once() {
        let many = ["slave-1", "slave-2", "slave-3", "slave-4", "slave-1"];
        assert_eq!(near("slave-9", many), ["slave-1", "slave-2", "slave-3"]);
    }

    #[test]
    fn a_name_with_another_number_is_a_sibling() {
        assert!(are_siblings("slave-1", "slave-3"));
        assert!(are_siblings("slave", "slave-1"));
        assert!(!are_siblings("slvae-1", "slave-1"), "a slip of the hand is none");
        assert!(!are_siblings("db-mastr", "db-master"));
    }

    #[test]
    fn the_question_reads_as_one() {
        assert_eq!(did_you_mean("wbe", SLAVES).unwrap(), "did you mean Web?");
        let two = ["slave-1", "slave-2"];
        assert_eq!(did_you_mean("slave", two).unwrap(), "did you mean slave-1 or slave-2?");
        assert_eq!(did_you_mean("x", two), None);
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_cure() {
        let failure = unknown("slave", "slvae-1", ["slave-1"], "neap slaves");
        assert_eq!(failure.exit(), Exit::Refused);
        assert_eq!(
            failure.to_text(false),
            "error: unknown slave 'slvae-1'\n\
             help: did you mean slave-1?\n\
             help: `neap slaves` lists every slave\n"
        );
    }
}
