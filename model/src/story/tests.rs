//! Stories against files: `NEAP_BLESS=1 cargo test -p neap-model story` writes them anew; read the diff.

use std::path::PathBuf;

use neap_protocol::task::{Reason, TaskState};
use neap_protocol::{framework, slave};

use super::*;
use crate::scopes;
use crate::world::{Budget, Event};

/// What someone wants, or what goes wrong, once all is quiet.
type Wish = fn(&Action) -> bool;

const LAUNCH: Wish = |action| matches!(action, Action::Launch(..));
const SIGNAL: Wish = |action| matches!(action, Action::Signal(_));
const COMMAND: Wish = |action| matches!(action, Action::Command(_));
const CRASH_MASTER: Wish = |action| matches!(action, Action::CrashMaster(..));
const CUT_SLAVE: Wish = |action| matches!(action, Action::Cut((Dialer::Slave(_), _)));

fn scope(name: &str, budget: &[(Event, u8)]) -> Scope {
    Scope { budget: Budget::of(budget), ..scopes::named(name).unwrap() }
}

fn is_timer(action: &Action) -> bool {
    matches!(
        action,
        Action::MasterTimer(..)
            | Action::SlaveTimer(..)
            | Action::FrameworkTimer(..)
            | Action::ExecutorTimer(..)
    )
}

/// The way on which what happens by itself happens first, then what is wished for, in its order, and timers fire last.
fn walk(scope: &Scope, wishes: &[Wish], is_there: impl Fn(&Happening) -> bool) -> Vec<Action> {
    let (mut world, mut actions, mut wishes) = (World::begin(scope), Vec::new(), wishes.iter().peekable());
    loop {
        assert!(actions.len() < 200, "it never gets there: {:?}", actions);
        let mut choices = Vec::new();
        world.actions(scope, &mut choices);
        let by_itself = choices.iter().find(|choice| choice.is_calm() && !is_timer(choice));
        let wish = if by_itself.is_none() { wishes.peek() } else { None };
        let wished = wish.and_then(|wish| choices.iter().find(|choice| wish(choice)));
        // The last of them: a master's pings come first, and again and again.
        let timer = || choices.iter().rev().find(|choice| choice.is_calm());
        let action = *by_itself.or(wished).or_else(timer).expect("nothing can happen");
        if wished == Some(&action) {
            wishes.next();
        }
        let (after, happenings) = world.step_told(scope, action);
        actions.push(action);
        world = after;
        if happenings.iter().any(&is_there) {
            return actions;
        }
    }
}

fn told_lost(happening: &Happening) -> bool {
    let Happening::Told { event: framework::Event::Update { update, .. }, .. } = happening else {
        return false;
    };
    update.state == TaskState::Lost && update.reason == Reason::SlaveUnregistered
}

fn exited(happening: &Happening) -> bool {
    matches!(happening, Happening::Exited { code: slave::EXIT_DONE, .. })
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories")).join(format!("{name}.txt"))
}

/// Compares with a file, or writes it.
fn expect(name: &str, text: &str) {
    let file = file(name);
    if std::env::var_os("NEAP_BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let again = "NEAP_BLESS=1 cargo test -p neap-model story, then read the diff";
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "{} is not what is told now ({again}):\n\n{text}", file.display());
}

fn expect_way(name: &str, scope: &Scope, actions: &[Action]) {
    let mut text = String::new();
    let end = tell(scope, actions, &mut text);
    expect(name, &format!("{text}\nHow things are then:\n\n{}", indented(&picture(scope, &end))));
    // What nobody has put in words would show as Rust.
    for rust in ["Some(", "None", " { ", "SlaveId", "\"", "Message"] {
        assert!(!text.contains(rust), "{rust} is not for people:\n{text}");
    }
}

#[test]
fn a_drain_now_is_told() {
    let scope = scope("drain-now", &[(Event::Launch, 1), (Event::Signal, 1)]);
    expect_way("drain-now", &scope, &walk(&scope, &[LAUNCH, SIGNAL], told_lost));
}

#[test]
fn a_drain_to_the_end_of_its_slave_is_told() {
    let scope = scope("drain", &[(Event::Launch, 1)]);
    expect_way("drain", &scope, &walk(&scope, &[LAUNCH, COMMAND], exited));
}

#[test]
fn crashes_and_cuts_are_told() {
    let scope = scope("deactivate-crash", &[(Event::Launch, 1), (Event::MasterCrash, 1), (Event::Cut, 1)]);
    let registered = |happening: &Happening| {
        let event = slave::Event::Registered {
            id: neap_protocol::ids::SlaveId(1),
            epoch: neap_protocol::ids::Epoch(2),
        };
        *happening == Happening::SlaveEvent { slave: 0, event }
    };
    expect_way("crash", &scope, &walk(&scope, &[LAUNCH, CUT_SLAVE, COMMAND, CRASH_MASTER], registered));
}

#[test]
fn a_story_ends_with_what_tells_it_again() {
    let scope = scopes::named("drain-now").unwrap();
    let actions = walk(&scope, &[LAUNCH, SIGNAL], told_lost);
    let first = story(&scope, &actions, 0);
    assert!(first.starts_with("S1 dead-before-lost (R24 R25) is broken in drain-now, in "), "{first}");
    let command = first.trim_end().rsplit('\n').next().unwrap();
    let (_, named) = command.split_once(" story ").unwrap();
    let (name, code) = named.split_once(' ').unwrap();
    assert_eq!(code::decode(&scopes::named(name).unwrap(), code), Ok(actions));
}

#[test]
fn every_step_is_charted() {
    let scope = scopes::named("drain-now").unwrap();
    let actions = walk(&scope, &[LAUNCH, SIGNAL], told_lost);
    let chart = chart(&scope, &actions);
    assert!(chart.contains(">F1.x1@a<"), "{chart}");
    assert!(chart.contains(">a gets SIGUSR1<"), "{chart}");
    assert!(chart.matches("marker-end").count() > 5, "{chart}");
    assert!(chart.contains(&format!(">{}<", actions.len())), "{chart}");
}

#[test]
fn what_is_fresh_in_a_queue_is_what_was_not_there() {
    assert_eq!(fresh(&[1, 2], &[2, 3]), [3]);
    assert_eq!(fresh(&[1, 2], &[1, 2]), [0; 0]);
    assert_eq!(fresh(&[], &[1]), [1]);
    assert_eq!(fresh(&[1], &[]), [0; 0]);
    // What was lost with a session is not what is there now.
    assert_eq!(fresh(&[1, 2], &[4, 5]), [4, 5]);
}
