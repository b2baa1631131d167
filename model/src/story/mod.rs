//! A way through a world as people read it: who said what to whom, what became durable, what was alive.
//!
//! | module | what |
//! |---|---|
//! | `does` | an action in a sentence |
//! | [`words`] | a message, a write, an answer in a sentence |
//! | [`picture`](mod@picture) | a world at a glance |
//! | [`code`] | a way through a scope as a short code, to replay it |
//! | [`chart`](mod@chart) | a way as a chart: a lane for each node, an arrow for each message |
//! | [`names`] | what nodes are called |

use std::fmt::Write as _;

use crate::properties::{self, Kind, Property, Seen};
use crate::scope::Scope;
use crate::scopes;
use crate::world::{Action, Dialer, End, Happening, Link, World};

pub mod chart;
pub mod code;
pub mod does;
pub mod names;
pub mod picture;
pub mod words;

pub use chart::chart;
pub use does::does;
pub use picture::picture;

/// Tells how a property comes to be broken, step by step, how things are then, and how to see it again.
pub fn story(scope: &Scope, actions: &[Action], property: usize) -> String {
    let Some(property) = properties::ALL.get(property) else { return String::new() };
    let mut text = format!(
        "{} ({}) is broken in {}, in {} steps:\n\n",
        property.name,
        property.guards,
        scope.name,
        actions.len()
    );
    let end = tell(scope, actions, &mut text);
    if let Kind::Eventually(_) = property.kind {
        text.push_str("      ! from here it does not come about, whatever happens calmly\n");
    }
    let _ = writeln!(text, "\nHow things are then:\n\n{}", indented(&picture(scope, &end)));
    if let Some(again) = again(scope, actions) {
        let _ = writeln!(text, "To see it again:\n\n    {again}");
    }
    text
}

/// Tells what happens, a line for each step and those after it for what follows; gives back where it leads.
pub fn tell(scope: &Scope, actions: &[Action], text: &mut String) -> World {
    let mut world = World::begin(scope);
    for (at, action) in actions.iter().enumerate() {
        let (after, happenings) = world.step_told(scope, *action);
        let _ = writeln!(text, "{:4}  {}", at + 1, does(scope, &world, *action));
        for line in follows(scope, &world, &after, &happenings) {
            let _ = writeln!(text, "        {line}");
        }
        let seen = Seen { scope, before: &world, after: &after, action: *action, happenings: &happenings };
        for (property, wrong) in wrongs(&seen) {
            let _ = writeln!(text, "      ! {}: {wrong}", property.name);
        }
        world = after;
    }
    world
}

/// The command that tells a way again; `None` for a scope that has no name.
pub fn again(scope: &Scope, actions: &[Action]) -> Option<String> {
    scopes::named(scope.name)?;
    let code = code::encode(scope, actions)?;
    Some(format!("cargo run --release -p neap-model -- story {} {code}", scope.name))
}

/// What a step breaks, and what is wrong.
pub fn wrongs(seen: &Seen<'_>) -> Vec<(&'static Property, String)> {
    let wrong = |property: &'static Property| Some((property, properties::verdict(property, seen).err()?));
    properties::ALL.iter().filter_map(wrong).collect()
}

/// What follows from an action, a line each.
pub fn follows(scope: &Scope, before: &World, after: &World, happenings: &[Happening]) -> Vec<String> {
    let telling = Telling { scope, before, after };
    let mut lines: Vec<String> =
        happenings.iter().filter_map(|happening| telling.happening(happening)).collect();
    telling.executors_talk(&mut lines);
    telling.writes(&mut lines);
    telling.lives(&mut lines);
    lines
}

struct Telling<'a> {
    scope: &'a Scope,
    before: &'a World,
    after: &'a World,
}

impl Telling<'_> {
    /// `None` for what the action itself says, or the messages.
    fn happening(&self, happening: &Happening) -> Option<String> {
        Some(match happening {
            Happening::MasterSaid { master, epoch, to, message } => {
                let deposed = if *epoch < self.after.store.fence { " (deposed)" } else { "" };
                let (master, to) = (names::master(*master), names::dialer(self.scope, *to));
                format!("{master}{deposed} \u{2192} {to}: {}", words::message(message))
            }
            Happening::Said { from, message } => {
                let to = names::master(self.master_of(*from));
                format!("{} \u{2192} {to}: {}", names::dialer(self.scope, *from), words::message(message))
            }
            Happening::Answered { answer: Ok(answer), .. } => {
                format!("the operator is answered: {}", words::answer(answer))
            }
            Happening::Answered { answer: Err(refusal), .. } => {
                format!("the operator is answered: refused, {refusal}")
            }
            Happening::Stored { operation, applied: false } => {
                format!("it changes nothing, as it no longer makes sense: {}", words::operation(operation))
            }
            Happening::Told { framework, event } => {
                let framework = names::framework(self.scope, *framework);
                format!("{framework}'s scheduler is told: {}", words::told(event))
            }
            Happening::Began { slave, task } => {
                format!("{task}'s process begins on {}", names::slave(*slave))
            }
            Happening::Terminated { slave, executor } => {
                format!("SIGTERM to everything of {}", names::executor(*slave, *executor))
            }
            Happening::Killed { slave, executor } => {
                format!("SIGKILL to everything of {}", names::executor(*slave, *executor))
            }
            Happening::Panicked { words } => format!("a machine panics: {words}"),
            Happening::Abandoned { slave, executor } => {
                format!("{executor}@{} gives up on its slave, and exits", names::slave(*slave))
            }
            Happening::Exited { slave, code } => format!("{} exits with {code}", names::slave(*slave)),
            Happening::SlaveEvent { slave, event } => {
                format!("{} logs: {}", names::slave(*slave), words::slave_event(event))
            }
            // A receipt's line says again what the messages around it say.
            Happening::Stored { applied: true, .. }
            | Happening::Recorded { .. }
            | Happening::MasterEvent { .. } => return None,
        })
    }

    /// Which master a node speaks to.
    fn master_of(&self, dialer: Dialer) -> u8 {
        let worlds = [self.after, self.before];
        let mut links = worlds.into_iter().flat_map(|world| world.links.iter());
        links.find(|link| link.key.0 == dialer && link.is_open(End::Near)).map_or(0, |link| link.master)
    }

    /// What slaves and executors say to each other.
    fn executors_talk(&self, lines: &mut Vec<String>) {
        for link in &self.after.links {
            let Dialer::Executor(slave, id) = link.key.0 else { continue };
            let (executor, slave) = (names::executor(slave, id), names::slave(slave));
            let before = self.before.link(link.key);
            for (to, from, whom) in [(End::Far, &executor, &slave), (End::Near, &slave, &executor)] {
                let earlier = before.map(|link: &Link| link.waiting(to)).unwrap_or_default();
                for message in fresh(earlier, link.waiting(to)) {
                    lines.push(format!("{from} \u{2192} {whom}: {}", words::message(message)));
                }
            }
        }
    }

    /// What is asked to be written.
    fn writes(&self, lines: &mut Vec<String>) {
        for (number, (before, after)) in (0..).zip(self.before.masters.iter().zip(&self.after.masters)) {
            let [earlier, later] = [before, after].map(|node| node.pending().collect::<Vec<_>>());
            for operation in fresh(&earlier, &later) {
                lines.push(format!(
                    "{} asks to write: {}",
                    names::master(number),
                    words::operation(operation)
                ));
            }
        }
        for (number, (before, after)) in (0..).zip(self.before.slaves.iter().zip(&self.after.slaves)) {
            let [earlier, later] = [before, after].map(|node| node.pending().collect::<Vec<_>>());
            for change in fresh(&earlier, &later) {
                lines.push(format!("{} asks to write: {}", names::slave(number), words::change(change)));
            }
        }
    }

    /// What is alive, where that has changed.
    fn lives(&self, lines: &mut Vec<String>) {
        for tree in &self.after.trees {
            let now = picture::processes(tree);
            if self.before.tree(tree.slave, tree.id).map(picture::processes).as_ref() != Some(&now) {
                lines.push(format!("on {}'s host: {now}", names::slave(tree.slave)));
            }
        }
        for tree in &self.before.trees {
            if self.after.tree(tree.slave, tree.id).is_none() {
                lines.push(format!("on {}'s host: nothing is left of {}", names::slave(tree.slave), tree.id));
            }
        }
    }
}

/// What a queue has that it had not before: what was taken was taken at its front.
fn fresh<'a, T: PartialEq>(before: &[T], after: &'a [T]) -> &'a [T] {
    let kept = (0..=before.len().min(after.len()))
        .rev()
        .find(|kept| before[before.len() - kept..] == after[..*kept])
        .unwrap_or(0);
    &after[kept..]
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests;
