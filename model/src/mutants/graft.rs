//! All mutants in one program, so that it is built once: a function that some of them change has a body for each, and
//! the one that is chosen by [`VARIABLE`] when the program starts is the one that runs. Without it, every function is
//! as it was.
//!
//! A mutant is therefore a change within the body of one function.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::manifest::Mutant;

/// The variable of the environment that has the number of the mutant that is to live.
pub const VARIABLE: &str = "NEAP_MUTANT";

/// What is added to the copy of the protocol, which may have what the protocol may not.
pub const CHOICE: &str = r#"
/// Which mutant lives; none if it is 0.
pub mod mutant {
    extern crate std;

    /// Its number.
    pub fn living() -> usize {
        static LIVING: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *LIVING.get_or_init(|| std::env::var("NEAP_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0))
    }
}
"#;

/// A source file with mutants in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Grafted {
    /// The file.
    pub text: String,
    /// The lines of each mutant's body, counted from 1.
    pub lines: Vec<(usize, Range<usize>)>,
}

/// A function's body, and what mutants make of it.
struct Changed {
    body: Range<usize>,
    variants: Vec<(usize, String)>,
}

/// Puts mutants, each with its number, into their file.
///
/// # Errors
/// Of the first that does not apply: its number, and why.
pub fn graft(source: &str, mutants: &[(usize, &Mutant)]) -> Result<Grafted, (usize, String)> {
    let bodies = bodies(source);
    let mut changed: BTreeMap<usize, Changed> = BTreeMap::new();
    for (number, mutant) in mutants {
        let place = mutant.place(source).map_err(|why| (*number, why))?;
        let around = bodies.iter().filter(|body| body.start <= place.start && place.end <= body.end);
        let Some(body) = around.min_by_key(|body| body.len()) else {
            let name = &mutant.name;
            return Err((
                *number,
                format!("{name} does not apply: it is no change within one function's body"),
            ));
        };
        let (head, tail) = (&source[body.start..place.start], &source[place.end..body.end]);
        let text = format!("{head}{}{tail}", mutant.after.trim());
        let changed = changed.entry(body.start);
        let changed = changed.or_insert_with(|| Changed { body: body.clone(), variants: Vec::new() });
        changed.variants.push((*number, text));
    }
    let mut grafted = Grafted { text: String::new(), lines: Vec::new() };
    let mut at = 0;
    for Changed { body, variants } in changed.into_values() {
        grafted.text.push_str(&source[at..body.start]);
        grafted.text.push_str("match crate::mutant::living() {\n");
        for (number, text) in variants {
            let first = grafted.text.matches('\n').count() + 1;
            let _ = writeln!(grafted.text, "{number}usize => {{{text}\n}}");
            grafted.lines.push((number, first..grafted.text.matches('\n').count() + 1));
        }
        let _ = write!(grafted.text, "_ => {{{}\n}}\n}}", &source[body.clone()]);
        at = body.end;
    }
    grafted.text.push_str(&source[at..]);
    Ok(grafted)
}

/// The bodies of all functions, without their braces.
fn bodies(source: &str) -> Vec<Range<usize>> {
    let mut bodies = Vec::new();
    let mut open = Vec::new();
    // Whether a function has been named whose body is still to come, and in how many brackets.
    let mut named: Option<usize> = None;
    let mut brackets = 0usize;
    let mut at = 0;
    while at < source.len() {
        let tail = &source[at..];
        let length = inert(tail);
        if length > 0 {
            at += length;
            continue;
        }
        let word = word(tail);
        if word == "fn" && names_a_function(&tail[2..]) {
            named = Some(brackets);
        }
        match tail.as_bytes()[0] {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if named == Some(brackets) => named = None,
            b'{' => {
                let begins = named.take_if(|at| *at == brackets).is_some();
                open.push((at + 1, begins));
            }
            b'}' => {
                if let Some((start, true)) = open.pop() {
                    bodies.push(start..at);
                }
            }
            _ => {}
        }
        at += word.len().max(tail.chars().next().map_or(1, char::len_utf8));
    }
    bodies
}

/// Whether what follows the word `fn` is a name: in a type, it is not.
fn names_a_function(tail: &str) -> bool {
    tail.starts_with(' ')
        && tail.trim_start().starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The word that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// How much at the beginning of a text is a comment, a string or a character: nothing in it counts.
fn inert(text: &str) -> usize {
    let until = |end: &str| text.find(end).unwrap_or(text.len());
    if text.starts_with("//") {
        return until("\n");
    }
    if text.starts_with("/*") {
        return (until("*/") + 2).min(text.len());
    }
    for (hashes, end) in [("r\"", "\""), ("r#\"", "\"#")] {
        if let Some(rest) = text.strip_prefix(hashes) {
            return (hashes.len() + rest.find(end).unwrap_or(rest.len()) + end.len()).min(text.len());
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    match text.strip_prefix('\'').map(|rest| rest.chars().take(2).collect::<Vec<char>>()).as_deref() {
        // A lifetime has no second quote.
        Some(['\\', _] | [_, '\'']) => quoted(text, '\''),
        _ => 0,
    }
}

/// How long a quoted text is that begins here.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::manifest::Trial;

    fn mutant(before: &str, after: &str) -> Mutant {
        Mutant {
            name: "m".into(),
            breaks: String::new(),
            guards: String::new(),
            file: "x.rs".into(),
            before: before.into(),
            after: after.into(),
            trial: Trial::Scope("drain".into()),
            caught_by: Vec::new(),
        }
    }

    #[test]
    fn bodies_are_those_of_functions() {
        let source = r##"
            struct S { f: fn(u8) -> u8 }
            /// fn no() { "{" }
            fn a(f: fn(u8) -> u8) -> S { S { f } }
            trait T { fn none(); fn some<'a>(x: &'a str) -> char { if x == "}" { '}' } else { '\'' } } }
            const C: &str = r#"fn b() { } "#;
        "##;
        let found = bodies(source);
        let found: Vec<&str> = found.iter().map(|body| source[body.clone()].trim()).collect();
        assert_eq!(found, ["S { f }", "if x == \"}\" { '}' } else { '\\'' }"]);
    }

    #[test]
    fn a_function_has_a_body_for_each_mutant_and_its_own() {
        let source = "fn f() -> u8 {\n    1 + 1\n}\nfn g() {}\n";
        let (one, two) = (mutant("1 + 1", "1 - 1"), mutant("+ 1", "+ 2"));
        let grafted = graft(source, &[(4, &one), (7, &two)]).unwrap();
        let wanted = "fn f() -> u8 {match crate::mutant::living() {\n\
            4usize => {\n    1 - 1\n\n}\n7usize => {\n    1 + 2\n\n}\n_ => {\n    1 + 1\n\n}\n}}\nfn g() {}\n";
        assert_eq!(grafted.text, wanted);
        assert_eq!(grafted.lines, [(4, 2..6), (7, 6..10)]);
    }

    #[test]
    fn a_change_that_is_not_within_a_function_is_refused() {
        let source = "const C: u8 = 1;\nfn f() { 2 }\nfn g() { 3 }\n";
        for before in ["= 1;", "2 } fn g() {"] {
            let (number, why) = graft(source, &[(9, &mutant(before, ""))]).unwrap_err();
            assert_eq!(
                (number, why.as_str()),
                (9, "m does not apply: it is no change within one function's body")
            );
        }
    }

    #[test]
    fn the_variable_is_the_one_that_the_copy_reads() {
        assert!(CHOICE.contains(&format!("var(\"{VARIABLE}\")")));
    }
}
