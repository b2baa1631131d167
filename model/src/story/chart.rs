//! A way through a world as a chart: a lane for each node, an arrow for each message that arrives.

use std::fmt::Write as _;

use crate::scope::Scope;
use crate::world::{Action, Dialer, End, LinkKey, World};

use super::words;
use super::{does, names};

/// Of a longer way, so many steps from its end.
const STEPS_MAX: usize = 40;
const LANE: usize = 190;
const LEFT: usize = 60;
const ROW: usize = 26;
const HEAD: usize = 30;
/// As many letters as have room beside a lane.
const LETTERS_MAX: usize = 60;

/// What a row of the chart shows.
enum Mark {
    /// Something that one node does.
    Dot(Lane, String),
    /// Something between two, from the first to the second.
    Arrow(Lane, Lane, String),
    /// The same that is no message.
    Dashes(Lane, Lane, String),
}

/// A node, in the order of their lanes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Framework(u8),
    Master(u8),
    Slave(u8),
    Executor(u8, neap_protocol::ids::ExecutorId),
}

/// The chart, as SVG in the colours of its surroundings.
pub fn chart(scope: &Scope, actions: &[Action]) -> String {
    let mut world = World::begin(scope);
    let mut marks = Vec::new();
    for action in actions {
        marks.push(mark(scope, &world, *action));
        world = world.step(scope, *action);
    }
    let first = marks.len().saturating_sub(STEPS_MAX);
    let lanes = lanes(scope, &marks[first..]);
    // What is said beside the last lane needs room too.
    let (width, height) = (LEFT + (lanes.len() + 1) * LANE, HEAD + (marks.len() - first + 1) * ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"monospace\" font-size=\"11\" fill=\"currentColor\" stroke=\"none\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"currentColor\"/></marker></defs>\n"
    );
    for (at, lane) in lanes.iter().enumerate() {
        let x = x(at);
        text(&mut svg, x, 16, "middle", &name(scope, *lane));
        line(&mut svg, (x, HEAD - 6), (x, height), "stroke-opacity=\"0.3\"");
    }
    let place = |lane: &Lane| lanes.iter().position(|one| one == lane).map_or(0, x);
    for (row, (at, mark)) in marks.iter().enumerate().skip(first).enumerate() {
        let y = HEAD + row * ROW + ROW / 2;
        text(&mut svg, 4, y + 4, "start", &(at + 1).to_string());
        match mark {
            Mark::Dot(lane, words) => {
                let x = place(lane);
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
                text(&mut svg, x + 8, y + 4, "start", words);
            }
            Mark::Arrow(from, to, words) => {
                let (from, to) = (place(from), place(to));
                line(&mut svg, (from, y + 4), (to, y + 4), "marker-end=\"url(#tip)\"");
                text(&mut svg, from.min(to) + 8, y, "start", words);
            }
            Mark::Dashes(from, to, words) => {
                let (from, to) = (place(from), place(to));
                line(&mut svg, (from, y + 4), (to, y + 4), "stroke-dasharray=\"3 3\"");
                text(&mut svg, from.min(to) + 8, y, "start", words);
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn x(at: usize) -> usize {
    LEFT + at * LANE
}

/// Every master, slave and framework, and the executors that something happens to.
fn lanes(scope: &Scope, marks: &[Mark]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = (0..scope.frameworks).map(Lane::Framework).collect();
    lanes.extend((0..scope.masters).map(Lane::Master));
    lanes.extend((0..scope.slaves).map(Lane::Slave));
    for mark in marks {
        match mark {
            Mark::Dot(lane, _) => lanes.push(*lane),
            Mark::Arrow(from, to, _) | Mark::Dashes(from, to, _) => lanes.extend([*from, *to]),
        }
    }
    lanes.sort();
    lanes.dedup();
    lanes
}

fn name(scope: &Scope, lane: Lane) -> String {
    match lane {
        Lane::Framework(number) => names::framework(scope, number),
        Lane::Master(number) => names::master(number),
        Lane::Slave(number) => names::slave(number),
        Lane::Executor(slave, id) => names::executor(slave, id),
    }
}

fn mark(scope: &Scope, world: &World, action: Action) -> Mark {
    let words = does(scope, world, action);
    match action {
        Action::Deliver(key, end) => {
            let (near, far) = ends(world, key);
            let said = world.link(key).and_then(|link| link.waiting(end).first()).map(words::message);
            let said = said.unwrap_or_default();
            match end {
                End::Near => Mark::Arrow(far, near, said),
                End::Far => Mark::Arrow(near, far, said),
            }
        }
        Action::Cut(key) => {
            let (near, far) = ends(world, key);
            Mark::Dashes(near, far, "the session dies".into())
        }
        Action::Connect(dialer, master) => {
            let far = match dialer {
                Dialer::Slave(_) | Dialer::Framework(_) => Lane::Master(master),
                Dialer::Executor(slave, _) => Lane::Slave(slave),
            };
            Mark::Dashes(lane(dialer), far, "connects".into())
        }
        Action::Learn(key, end) => {
            let (near, far) = ends(world, key);
            let who = match end {
                End::Near => near,
                End::Far => far,
            };
            Mark::Dot(who, words)
        }
        Action::NoConnection(dialer) => Mark::Dot(lane(dialer), words),
        Action::MasterTimer(number, ..)
        | Action::MasterStored(number)
        | Action::MasterNotStored(number)
        | Action::CrashMaster(number, _)
        | Action::StartMaster(number)
        | Action::Elect(number)
        | Action::Usurp(number)
        | Action::Depose(number)
        | Action::Command(number) => Mark::Dot(Lane::Master(number), words),
        Action::SlaveTimer(number, ..)
        | Action::SlaveStored(number)
        | Action::SlaveNotStored(number)
        | Action::CrashSlave(number, _)
        | Action::StartSlave(number)
        | Action::Reboot(number)
        | Action::Return(number)
        | Action::See(number, _)
        | Action::Stall(number)
        | Action::GoOn(number)
        | Action::Signal(number) => Mark::Dot(Lane::Slave(number), words),
        Action::FrameworkTimer(number, ..)
        | Action::FrameworkKept(number)
        | Action::CrashFramework(number, _)
        | Action::StartFramework(number)
        | Action::NewFramework(number)
        | Action::Launch(number, ..)
        | Action::Decline(number, ..)
        | Action::Suppress(number)
        | Action::Revive(number)
        | Action::Kill(number, ..)
        | Action::AcceptInverse(number, ..)
        | Action::DeclineInverse(number, ..)
        | Action::Teardown(number) => Mark::Dot(Lane::Framework(number), words),
        Action::ExecutorTimer(slave, id, ..)
        | Action::StartTree(slave, id)
        | Action::NoLaunch(slave, id)
        | Action::Finish(slave, id, ..)
        | Action::Die(slave, id, _)
        | Action::Obey(slave, id, _)
        | Action::CrashExecutor(slave, id)
        | Action::TreeDies(slave, id) => Mark::Dot(Lane::Executor(slave, id), words),
    }
}

fn lane(dialer: Dialer) -> Lane {
    match dialer {
        Dialer::Slave(number) => Lane::Slave(number),
        Dialer::Framework(number) => Lane::Framework(number),
        Dialer::Executor(slave, id) => Lane::Executor(slave, id),
    }
}

/// Who dialled a session, and who was dialled.
fn ends(world: &World, key: LinkKey) -> (Lane, Lane) {
    let far = match key.0 {
        Dialer::Slave(_) | Dialer::Framework(_) => {
            Lane::Master(world.link(key).map_or(0, |link| link.master))
        }
        Dialer::Executor(slave, _) => Lane::Slave(slave),
    };
    (lane(key.0), far)
}

fn line(svg: &mut String, (x1, y1): (usize, usize), (x2, y2): (usize, usize), more: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"currentColor\" {more}/>"
    );
}

fn text(svg: &mut String, x: usize, y: usize, anchor: &str, words: &str) {
    let mut short: String = words.chars().take(LETTERS_MAX).collect();
    if short.len() < words.len() {
        short.push('\u{2026}');
    }
    let safe = short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{safe}</text>");
}
