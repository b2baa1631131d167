//! A world at a glance: what everyone believes, what is durable, what is alive, what is on its way.

use std::fmt::Write as _;

use neap_protocol::master::Master;
use neap_protocol::registry::{InverseStage, Registry};
use neap_protocol::slave::{Checkpoint, Slave};

use crate::scope::Scope;
use crate::world::{End, FrameworkNode, Link, MasterNode, SlaveNode, Tree, World};

use super::names;
use super::words::{self, listed};

/// Everything that is, a line for each thing.
pub fn picture(scope: &Scope, world: &World) -> String {
    let mut lines = Vec::new();
    for (number, node) in (0..).zip(&world.masters) {
        lines.push((format!("master {}", names::master(number)), master(world, node)));
    }
    lines.push(("registry".into(), registry(&world.store.registry)));
    for (number, node) in (0..).zip(&world.slaves) {
        lines.push((format!("slave {}", names::slave(number)), slave(node)));
        lines.push((format!("disk of {}", names::slave(number)), checkpoint(&node.disk)));
    }
    for tree in &world.trees {
        lines.push((format!("on {}'s host", names::slave(tree.slave)), processes(tree)));
    }
    for (number, node) in (0..).zip(&world.frameworks) {
        lines.push((format!("framework {}", names::framework(scope, number)), framework(node)));
    }
    for link in &world.links {
        lines.push(session(scope, link));
    }
    lines.push(("operator".into(), operator(scope, world)));
    lines.push(("may happen yet".into(), format!("{}", world.budget)));
    let wide = lines.iter().map(|(who, _)| who.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (who, what) in lines {
        let _ = writeln!(text, "{who:wide$}  {what}");
    }
    text
}

fn master(world: &World, node: &MasterNode) -> String {
    let how = match &node.machine {
        None => "is down".into(),
        Some(machine) if machine.leads() => format!("leads in {}", node.epoch),
        Some(_) if node.epoch.0 > 0 => format!("was elected for {}, and does not lead yet", node.epoch),
        Some(_) => "stands by".into(),
    };
    let deposed = match node.epoch.0 > 0 && node.epoch < world.store.fence {
        true => "; deposed, and does not know",
        false => "",
    };
    let differs = match node.machine.as_ref().and_then(Master::registry) {
        Some(registry) if *registry != world.store.registry => "; its registry is not what is durable",
        Some(_) | None => "",
    };
    format!("{how}{deposed}{differs}{}", writing(node.pending().map(words::operation)))
}

fn writing(pending: impl Iterator<Item = String>) -> String {
    let pending: Vec<String> = pending.collect();
    match pending.is_empty() {
        true => String::new(),
        false => format!("; is writing: {}", pending.join("; ")),
    }
}

fn registry(registry: &Registry) -> String {
    let mut parts = vec![format!("led by {}", registry.epoch)];
    for (id, record) in registry.slaves().iter() {
        let away = if record.unreachable { ", unreachable" } else { "" };
        let holds = match record.holds.is_empty() {
            true => String::new(),
            false => format!(", held by {}", listed(record.holds.iter().map(|(name, _)| name), "")),
        };
        parts.push(format!("{id} is {}{away}{holds}", record.name));
    }
    for (id, record) in registry.frameworks().iter() {
        parts.push(format!("{id} is {}", record.name));
    }
    for (id, record) in registry.inverse_offers().iter() {
        let answer = record.answer.as_ref().map_or("no answer".into(), words::inverse_answer);
        let stage = match record.stage {
            InverseStage::Open => "open",
            InverseStage::Revoking => "being revoked",
        };
        parts.push(format!("{id} asks {} on {}: {answer}, {stage}", record.framework, record.slave));
    }
    for (id, record) in registry.drains().iter() {
        let end = record.end.map_or("in progress".to_owned(), |end| end.to_string());
        parts.push(format!("{id} of {}: {end}", record.slave));
    }
    parts.join("; ")
}

fn slave(node: &SlaveNode) -> String {
    let how = match (&node.machine, node.exited) {
        (None, Some(code)) => return format!("has exited with {code}"),
        (None, None) => return "is down".into(),
        (Some(machine), _) => alive_slave(machine),
    };
    let stopped = if node.stalled { "is stopped; " } else { "" };
    format!("{stopped}{how}{}", writing(node.pending().map(words::change)))
}

fn alive_slave(machine: &Slave) -> String {
    let who = machine.id().map_or("no id yet".to_owned(), |id| format!("is {id}"));
    let registered = if machine.is_registered() { ", registered" } else { ", not registered" };
    let leaving = if machine.is_leaving() { ", leaving" } else { "" };
    format!("{who}{registered}{leaving}; {}", tasks(&machine.checkpoint()))
}

fn tasks(checkpoint: &Checkpoint) -> String {
    let task = |task: &neap_protocol::slave::CheckpointTask| {
        let so = words::so(task.report.state, task.report.reason);
        match task.updates.len() {
            0 => format!("{} {so}", task.report.id),
            unacknowledged => format!("{} {so} ({unacknowledged} not acknowledged)", task.report.id),
        }
    };
    listed(checkpoint.tasks.iter().map(task), "no tasks")
}

fn checkpoint(checkpoint: &Checkpoint) -> String {
    match checkpoint.id {
        None => "nothing".into(),
        Some(id) => format!("{id}; {}", tasks(checkpoint)),
    }
}

/// What lives of an executor's tree.
pub fn processes(tree: &Tree) -> String {
    if tree.starting {
        return format!("{} is being started", tree.id);
    }
    let mut alive = Vec::new();
    if tree.machine.is_some() {
        alive.push("the executor".to_owned());
    }
    for process in &tree.processes {
        let dying = if process.dying { " (dying)" } else { "" };
        alive.push(format!("{}'s process{dying}", process.task));
    }
    if tree.stray {
        alive.push("a stray that ignores SIGTERM".into());
    }
    let killing = match tree.is_being_killed() && tree.is_alive() {
        true => "; SIGKILL is under way",
        false => "",
    };
    format!("{}: {}{killing}", tree.id, listed(alive, "nothing is alive"))
}

fn framework(node: &FrameworkNode) -> String {
    let Some(machine) = &node.machine else {
        return if node.over { "is over".into() } else { "is down".into() };
    };
    let who = machine.id().map_or("no id yet".to_owned(), |id| format!("is {id}"));
    let subscribed = if machine.is_subscribed() { ", subscribed" } else { ", not subscribed" };
    let believed = machine.tasks().map(|(task, slave, state)| format!("{task} {state} on {slave}"));
    let mut text = format!("{who}{subscribed}; believes in {}", listed(believed, "no tasks"));
    let offers = listed(machine.offers().map(|(offer, _)| offer), "");
    if !offers.is_empty() {
        let _ = write!(text, "; holds {offers}");
    }
    text
}

fn session(scope: &Scope, link: &Link) -> (String, String) {
    let near = names::dialer(scope, link.key.0);
    let far = match link.key.0 {
        crate::world::Dialer::Slave(_) | crate::world::Dialer::Framework(_) => names::master(link.master),
        crate::world::Dialer::Executor(slave, _) => names::slave(slave),
    };
    let mut parts = Vec::new();
    if !link.is_alive() {
        let unaware =
            [(End::Near, &near), (End::Far, &far)].into_iter().filter(|(end, _)| link.is_open(*end));
        parts.push(format!("dead, unknown to {}", listed(unaware.map(|(_, who)| who), "nobody")));
    }
    for (end, from, to) in [(End::Far, &near, &far), (End::Near, &far, &near)] {
        let waiting = link.waiting(end);
        if !waiting.is_empty() {
            let said = waiting.iter().map(words::message).collect::<Vec<_>>().join("; ");
            parts.push(format!("{from} \u{2192} {to}: {said}"));
        }
    }
    (format!("session {near}\u{2013}{far}"), listed(parts, "quiet"))
}

fn operator(scope: &Scope, world: &World) -> String {
    let given = usize::from(world.commands);
    listed(
        scope.commands.iter().enumerate().map(|(at, command)| {
            let when = if at < given { "gave" } else { "will give" };
            format!("{when}: {}", words::command(command))
        }),
        "wants nothing",
    )
}
