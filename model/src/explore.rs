//! A scope in stateright's explorer: a browser walks through it step by step.
//!
//! The explorer shows a state by its `Debug`, which here is the [`picture`](fn@picture), and a step by what it does
//! and what follows. A state of the explorer has with it which `sometimes` properties its step reached, so that the
//! explorer finds an example of each: it counts more states than `check` does.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use stateright::{Model, Path, Property};

use crate::places::{PLACES, at_every_place};
use crate::properties::{self, Kind, Mask, Seen};
use crate::scope::Scope;
use crate::story::{self, chart, does, picture};
use crate::world::{Action, World};

/// A scope as the explorer sees it, and the properties that it lists beside that nothing is broken.
#[derive(Debug)]
pub struct Explored(Arc<Scope>, Vec<usize>);

/// A state, and what the step to it reached.
#[derive(Clone)]
pub struct Shown {
    scope: Arc<Scope>,
    world: World,
    reached: Mask,
}

/// Something that can happen, in words.
#[derive(Clone)]
pub struct Choice {
    action: Action,
    words: String,
}

/// An address on this machine that the explorer can have; any free port for 0.
///
/// # Errors
/// Where the port cannot be had.
pub fn address(port: u16) -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()
}

/// Serves the explorer until the process ends. It lists these properties, by their place in the table.
pub fn serve(scope: Scope, properties: Vec<usize>, address: SocketAddr) {
    let _ = Explored(Arc::new(scope), properties).checker().serve(address);
}

/// The properties in whose name a text is, by their place in the table, but for `eventually`: stateright's misses
/// cycles.
pub fn properties_named(text: &str) -> Vec<usize> {
    let text = text.to_lowercase();
    let is_meant = |property: &properties::Property| {
        !matches!(property.kind, Kind::Eventually(_)) && property.name.to_lowercase().contains(&text)
    };
    (0..properties::ALL.len()).filter(|at| is_meant(&properties::ALL[*at])).collect()
}

impl Explored {
    fn step(&self, before: &World, action: Action) -> (World, Vec<String>, Mask) {
        let (after, happenings) = before.step_told(&self.0, action);
        let seen = Seen { scope: &self.0, before, after: &after, action, happenings: &happenings };
        let reached = properties::reached(&seen);
        let mut lines = story::follows(&self.0, before, &after, &happenings);
        let wrongs = story::wrongs(&seen);
        lines.extend(wrongs.into_iter().map(|(property, wrong)| format!("! {}: {wrong}", property.name)));
        (after, lines, reached)
    }
}

impl Model for Explored {
    type State = Shown;
    type Action = Choice;

    fn init_states(&self) -> Vec<Shown> {
        vec![Shown { scope: Arc::clone(&self.0), world: World::begin(&self.0), reached: Mask::NONE }]
    }

    fn actions(&self, state: &Shown, choices: &mut Vec<Choice>) {
        let mut actions = Vec::new();
        state.world.actions(&self.0, &mut actions);
        choices.extend(
            actions.into_iter().map(|action| Choice { action, words: does(&self.0, &state.world, action) }),
        );
    }

    fn next_state(&self, state: &Shown, choice: Choice) -> Option<Shown> {
        let (world, _, reached) = self.step(&state.world, choice.action);
        Some(Shown { scope: Arc::clone(&self.0), world, reached })
    }

    fn format_action(&self, choice: &Choice) -> String {
        choice.words.clone()
    }

    fn format_step(&self, state: &Shown, choice: Choice) -> Option<String> {
        let (after, lines, _) = self.step(&state.world, choice.action);
        let follows: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        Some(format!("{}\n{follows}\n{}", choice.words, picture(&self.0, &after)))
    }

    fn as_svg(&self, path: Path<Shown, Choice>) -> Option<String> {
        let actions: Vec<Action> = path.into_actions().into_iter().map(|choice| choice.action).collect();
        // The explorer hides what is not there.
        (!actions.is_empty()).then(|| chart(&self.0, &actions))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties: Vec<Property<Self>> =
            vec![Property::always("nothing is broken", |_, state: &Shown| state.world.broken.is_empty())];
        for at in self.1.iter().copied() {
            let property = &properties::ALL[at];
            match property.kind {
                Kind::Step(_) | Kind::State(_) => properties.push(Property::always(property.name, HOLDS[at])),
                Kind::Sometimes(_) => properties.push(Property::sometimes(property.name, REACHES[at])),
                Kind::Eventually(_) => {}
            }
        }
        properties
    }
}

fn holds<const AT: usize>(_: &Explored, state: &Shown) -> bool {
    !state.world.broken.contains(AT)
}

fn reaches<const AT: usize>(_: &Explored, state: &Shown) -> bool {
    state.reached.contains(AT)
}

type Condition = fn(&Explored, &Shown) -> bool;

const HOLDS: [Condition; PLACES] = at_every_place!(holds);
const REACHES: [Condition; PLACES] = at_every_place!(reaches);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&picture(&self.scope, &self.world))
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.world == other.world && self.reached == other.reached
    }
}

impl Eq for Shown {}

impl Hash for Shown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.world.hash(state);
        self.reached.hash(state);
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explored() -> Explored {
        let properties = ["S1 ", "A TASK RUNS"].into_iter().flat_map(properties_named).collect();
        Explored(Arc::new(crate::scopes::named("drain-now").unwrap()), properties)
    }

    #[test]
    fn the_explorer_lists_what_was_asked_for() {
        let listed: Vec<&str> = explored().properties().iter().map(|property| property.name).collect();
        assert_eq!(listed, ["nothing is broken", "S1 dead-before-lost", "a task runs"]);
        assert!(properties_named("L1 ").is_empty());
    }

    #[test]
    fn a_step_is_shown_in_words() {
        let explored = explored();
        let first = explored.init_states().remove(0);
        let mut choices = Vec::new();
        explored.actions(&first, &mut choices);
        let choice = choices.remove(0);
        assert_eq!(explored.format_action(&choice), "a connects to m1");
        let shown = explored.format_step(&first, choice.clone()).unwrap();
        assert!(shown.starts_with("a connects to m1\n    a \u{2192} m1: register me as new"), "{shown}");
        let after = explored.next_state(&first, choice).unwrap();
        assert!(shown.ends_with(&format!("\n\n{after:?}")), "{shown}");
    }

    #[test]
    fn an_address_that_is_taken_is_not_had() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(address(taken.local_addr().unwrap().port()).is_err());
        assert_ne!(address(0).unwrap().port(), 0);
    }
}
