//! Scopes by the names that people type.

use crate::scope::Scope;
use crate::scopes;

/// The scope of this name.
///
/// # Errors
/// What to say where there is none, with the names that are near.
pub(super) fn scope(name: &str) -> Result<Scope, String> {
    scopes::named(name)
        .ok_or_else(|| unknown("scope", name, scopes::all().iter().map(|scope| scope.name), "check"))
}

/// What to say of a name that there is not, with the names that are near and the command that lists all.
pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    command: &str,
) -> String {
    let near = near(name, known);
    match near.is_empty() {
        true => format!("there is no {what} {name}: `neap-model {command} --list` lists them"),
        false => format!("there is no {what} {name}: did you mean {}?", near.join(" or ")),
    }
}

/// At most three names that are near to one, the nearest first.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let distance = |other: &str| match other.contains(name) && !name.is_empty() {
        true => 1,
        false => changes(name, other),
    };
    let far = 1 + name.chars().count() / 3;
    let mut near: Vec<(usize, &str)> = known.map(|other| (distance(other), other)).collect();
    near.retain(|(distance, _)| *distance <= far);
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many letters must be added, dropped or replaced to make one text of the other.
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut next = vec![at + 1];
        for (place, other) in other.iter().enumerate() {
            let replaced = row[place] + usize::from(letter != *other);
            next.push(replaced.min(row[place + 1] + 1).min(next[place] + 1));
        }
        row = next;
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_that_a_typist_meant() {
        let known = ["drain", "drain-now", "drain-now-cut", "deactivate", "teardown"];
        assert_eq!(near("drian", known.into_iter()), ["drain"]);
        assert_eq!(near("deactivat", known.into_iter()), ["deactivate"]);
        assert_eq!(near("now", known.into_iter()), ["drain-now", "drain-now-cut"]);
        assert!(near("xyzzy", known.into_iter()).is_empty());
    }

    #[test]
    fn an_unknown_scope_is_answered_with_what_to_do() {
        let told = scope("dran-now").map(|scope| scope.name);
        assert_eq!(told, Err("there is no scope dran-now: did you mean drain-now?".to_owned()));
        assert!(scope("xyzzy").map(|scope| scope.name).unwrap_err().ends_with("--list` lists them"));
    }
}
