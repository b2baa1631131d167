//! A way through a scope as a short code.
//!
//! `9xk4d0c1-02z1a0…`: three digits for the scope, five for what the scope and the steps are, then the steps, each by
//! its place among what could happen: one digit in base 36, or `z` and two digits for the 36th and above. The five
//! are what keeps a code from being taken for a way through another version of the model or the core.

use std::fmt;

use crate::scope::Scope;
use crate::scopes;
use crate::world::{Action, World};

const SCOPE_DIGITS: usize = 3;
const CHECK_DIGITS: usize = 5;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Announces two digits.
const WIDE: u8 = b'z';

/// Why a code cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// It is not made as codes are.
    Malformed,
    /// It is a way through another scope: this one, where it is known.
    OtherScope(Option<&'static str>),
    /// The model, the scope or the core has changed since it was made: that many of its steps are as they were.
    OtherVersion {
        /// How many steps could be made.
        steps: usize,
    },
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                write!(f, "this is no code of a story: it looks like 9xk4d0c1-02z1a0, digits and a-z only")
            }
            Self::OtherScope(Some(name)) => {
                write!(f, "this code is of a story in another scope: try `story {name}` with it")
            }
            Self::OtherScope(None) => write!(f, "this code is of a story in another scope"),
            Self::OtherVersion { steps } => write!(
                f,
                "this code was made by another version of the model or the core: after {steps} steps it no longer \
                 fits; check the scope again for a new one, or go back to the commit that printed it"
            ),
        }
    }
}

impl std::error::Error for CodeError {}

/// The code of a way from the beginning of a scope; `None` if it is none.
pub fn encode(scope: &Scope, actions: &[Action]) -> Option<String> {
    let mut world = World::begin(scope);
    let mut steps = String::new();
    for action in actions {
        let mut choices = Vec::new();
        world.actions(scope, &mut choices);
        push(choices.iter().position(|choice| choice == action)?, &mut steps)?;
        world = world.step(scope, *action);
    }
    Some(format!("{}{}-{steps}", scope_digits(scope.name), check_digits(scope, actions)))
}

/// The way that a code stands for.
///
/// # Errors
/// [`CodeError`] where it does not fit this scope as it is now.
pub fn decode(scope: &Scope, code: &str) -> Result<Vec<Action>, CodeError> {
    let (head, steps) = code.split_once('-').ok_or(CodeError::Malformed)?;
    let well_made =
        head.len() == SCOPE_DIGITS + CHECK_DIGITS && head.bytes().all(|digit| value(digit).is_some());
    if !well_made {
        return Err(CodeError::Malformed);
    }
    let (of, check) = head.split_at(SCOPE_DIGITS);
    if of != scope_digits(scope.name) {
        let others = scopes::all();
        let other = others.iter().find(|other| of == scope_digits(other.name));
        return Err(CodeError::OtherScope(other.map(|other| other.name)));
    }
    let mut world = World::begin(scope);
    let mut actions = Vec::new();
    for choice in choices(steps)? {
        let mut possible = Vec::new();
        world.actions(scope, &mut possible);
        let steps = actions.len();
        let action = *possible.get(choice).ok_or(CodeError::OtherVersion { steps })?;
        world = world.step(scope, action);
        actions.push(action);
    }
    match check == check_digits(scope, &actions) {
        true => Ok(actions),
        false => Err(CodeError::OtherVersion { steps: 0 }),
    }
}

/// The steps of a code, each by its place among what could happen.
///
/// # Errors
/// [`CodeError::Malformed`].
pub fn choices_of(code: &str) -> Result<Vec<usize>, CodeError> {
    choices(code.split_once('-').ok_or(CodeError::Malformed)?.1)
}

fn push(choice: usize, steps: &mut String) -> Option<()> {
    let digit = |value: usize| DIGITS.get(value).map(|digit| char::from(*digit));
    if choice < DIGITS.len() - 1 {
        steps.push(digit(choice)?);
    } else {
        steps.extend([char::from(WIDE), digit(choice / 36)?, digit(choice % 36)?]);
    }
    Some(())
}

fn choices(steps: &str) -> Result<Vec<usize>, CodeError> {
    let mut choices = Vec::new();
    let mut digits = steps.bytes();
    let next = |digit: Option<u8>| digit.and_then(value).ok_or(CodeError::Malformed);
    while let Some(digit) = digits.next() {
        choices.push(match digit == WIDE {
            true => next(digits.next())? * 36 + next(digits.next())?,
            false => next(Some(digit))?,
        });
    }
    Ok(choices)
}

fn value(digit: u8) -> Option<usize> {
    DIGITS.iter().position(|known| *known == digit)
}

fn scope_digits(name: &str) -> String {
    digest(name.as_bytes(), SCOPE_DIGITS)
}

fn check_digits(scope: &Scope, actions: &[Action]) -> String {
    digest(format!("{scope:?}{actions:?}").as_bytes(), CHECK_DIGITS)
}

/// The last digits of FNV-1a, which is the same in every build.
fn digest(bytes: &[u8], digits: usize) -> String {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits alone mix too little.
    hash ^= hash >> 32;
    let mut text = String::new();
    for _ in 0..digits {
        text.push(char::from(DIGITS[(hash % 36) as usize]));
        hash /= 36;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somewhere within a scope: each time the last thing that can happen.
    fn way(scope: &Scope, steps: usize) -> Vec<Action> {
        let mut world = World::begin(scope);
        let mut actions = Vec::new();
        while actions.len() < steps {
            let mut choices = Vec::new();
            world.actions(scope, &mut choices);
            let Some(action) = choices.pop() else { break };
            world = world.step(scope, action);
            actions.push(action);
        }
        actions
    }

    #[test]
    fn a_code_stands_for_its_way() {
        for scope in scopes::all() {
            let actions = way(&scope, 40);
            let code = encode(&scope, &actions).unwrap();
            assert_eq!(decode(&scope, &code), Ok(actions), "{code}");
            let nowhere = encode(&scope, &[]).unwrap();
            assert_eq!(decode(&scope, &nowhere), Ok(Vec::new()));
        }
    }

    #[test]
    fn scopes_are_told_apart() {
        let mut digits: Vec<String> = scopes::all().iter().map(|scope| scope_digits(scope.name)).collect();
        let scopes = digits.len();
        digits.sort();
        digits.dedup();
        assert_eq!(digits.len(), scopes, "two scopes have the same digits: make them one longer");
    }

    #[test]
    fn a_code_of_another_scope_is_refused_with_its_name() {
        let [one, other] = ["drain", "deactivate"].map(|name| scopes::named(name).unwrap());
        let code = encode(&one, &way(&one, 10)).unwrap();
        assert_eq!(decode(&other, &code), Err(CodeError::OtherScope(Some("drain"))));
    }

    #[test]
    fn a_code_of_another_version_is_refused() {
        let scope = scopes::named("drain").unwrap();
        let code = encode(&scope, &way(&scope, 10)).unwrap();
        let changed = Scope { hostile: !scope.hostile, ..scope.clone() };
        assert!(matches!(decode(&changed, &code), Err(CodeError::OtherVersion { .. })));
        let (head, steps) = code.split_once('-').unwrap();
        let shorter = format!("{head}-{}", &steps[..steps.len() - 1]);
        assert!(matches!(decode(&scope, &shorter), Err(CodeError::OtherVersion { .. })), "{shorter}");
        let beyond = format!("{head}-z99");
        assert_eq!(decode(&scope, &beyond), Err(CodeError::OtherVersion { steps: 0 }));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let scope = scopes::named("drain").unwrap();
        for text in ["", "-", "abc", "12345678", "1234567-00", "1234567!-00", "\u{e9}1234567-0"] {
            assert_eq!(decode(&scope, text), Err(CodeError::Malformed), "{text}");
        }
        let head = encode(&scope, &[]).unwrap();
        for steps in ["!", "z", "z1", "0z", "-"] {
            assert_eq!(decode(&scope, &format!("{head}{steps}")), Err(CodeError::Malformed), "{steps}");
        }
    }

    #[test]
    fn wide_choices_have_three_digits() {
        let mut steps = String::new();
        let written = [0, 9, 10, 34, 35, 36, 1295];
        written.into_iter().for_each(|choice| push(choice, &mut steps).unwrap());
        assert_eq!(steps, "09ayz0zz10zzz");
        assert_eq!(choices(&steps), Ok(written.to_vec()));
    }
}
