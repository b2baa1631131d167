//! A way through a world as people read it.

use std::fmt::Write as _;

use crate::properties::{self, Kind, Seen};
use crate::scope::Scope;
use crate::world::{Action, Happening, World};

/// Tells what happens, step by step, and what is wrong in the end.
pub fn story(scope: &Scope, actions: &[Action], property: usize) -> String {
    let mut text = String::new();
    let property = &properties::ALL[property];
    let _ = writeln!(text, "{} does not hold in {}:", property.name, scope.name);
    let mut world = World::begin(scope);
    for (at, action) in actions.iter().enumerate() {
        let (after, happenings) = world.step_told(scope, *action);
        let _ = writeln!(text, "{:4}  {action:?}", at + 1);
        for happening in &happenings {
            let _ = writeln!(text, "        {}", line(happening));
        }
        let seen = Seen { scope, before: &world, after: &after, action: *action, happenings: &happenings };
        if let Err(wrong) = properties::verdict(property, &seen) {
            let _ = writeln!(text, "      ! {wrong}");
        }
        world = after;
    }
    if let Kind::Eventually(_) = property.kind {
        let _ = writeln!(text, "      ! from here it does not come about, whatever happens calmly:");
        let _ = write!(text, "{}", picture(&world));
    }
    text
}

fn line(happening: &Happening) -> String {
    match happening {
        Happening::MasterSaid { master, epoch, to, message } => {
            format!("master {master} ({epoch}) -> {to:?}: {message:?}")
        }
        Happening::Said { from, message } => format!("{from:?}: {message:?}"),
        Happening::Answered { command, answer } => format!("command {command} is answered {answer:?}"),
        Happening::Stored { operation, applied } => {
            let how = if *applied { "durable" } else { "refused" };
            format!("{how}: {operation:?}")
        }
        Happening::Told { framework, event } => format!("scheduler {framework} hears {event:?}"),
        Happening::Began { slave, task } => format!("{task} begins on slave {slave}"),
        Happening::Killed { slave, executor } => format!("SIGKILL to {executor} on slave {slave}"),
        Happening::Exited { slave, code } => format!("slave {slave} exits with {code}"),
        Happening::SlaveEvent { slave, event } => format!("slave {slave}: {event:?}"),
        Happening::Recorded { receipt, line } => format!("receipt {receipt}: {line:?}"),
        Happening::MasterEvent { master, event } => format!("master {master}: {event:?}"),
    }
}

/// Everything that is.
pub fn picture(world: &World) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "        registry: {:?}", world.store.registry);
    for node in &world.masters {
        let _ = writeln!(text, "        master: {node:?}");
    }
    for node in &world.slaves {
        let _ = writeln!(text, "        slave: {node:?}");
    }
    for node in &world.frameworks {
        let _ = writeln!(text, "        framework: {node:?}");
    }
    for tree in &world.trees {
        let _ = writeln!(text, "        tree: {tree:?}");
    }
    for link in &world.links {
        let _ = writeln!(text, "        session: {link:?}");
    }
    text
}
