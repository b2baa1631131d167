//! Drain now on a slave full of hostile trees, with the program's own nodes on all sides (R24–R26). What lives is seen
//! from outside, by pidfds: no node's word is taken for it.

use std::collections::BTreeSet;
use std::time::Duration;

use neap_protocol::message::Event;
use neap_protocol::task::{Reason, TaskState};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Master, PATIENCE, place};
use crate::live::{Hostiles, Operator, Said, Scene};

/// No process.
const NONE: [u32; 0] = [];

/// How many trees there are.
const TREES: usize = 100;

/// How long a slave that leaves waits for a leader, where a test sets it.
const UNREGISTER_TIMEOUT: Duration = Duration::from_millis(500);

/// How much longer a slave may take that nobody answers: for its farewells, and because the machine is busy.
const BOUND: Duration = Duration::from_secs(15);

/// S1, S11: every task is Lost, and not before every process of every tree was dead.
#[test]
fn nobody_is_told_before_a_hundred_hostile_trees_are_dead() {
    let place = place();
    let master = Master::start(&place);
    let hostiles = Hostiles::new(place.path());
    let mut scene = Scene::set(&place, &master, &hostiles, TREES, "").unwrap();
    let seen = scene.drain_now().unwrap();
    assert_eq!(seen.alive_when_told, 0, "processes lived when their framework was told: {seen:?}");
    assert!(
        seen.ends.iter().all(|end| (end.state, end.reason) == (TaskState::Lost, Reason::SlaveUnregistered))
    );
    let tasks: BTreeSet<_> = seen.ends.iter().map(|end| end.task).collect();
    assert_eq!(tasks.len(), TREES, "every task has one end");
    assert_eq!(scene.slave.exit_code(PATIENCE), Some(0), "{}", scene.slave.log());
    assert_eq!(hostiles.living(), NONE);
}

/// R26, L5: a master that is there and does not answer.
#[test]
fn a_stopped_master_holds_up_no_slave() {
    nobody_answers(|master| {
        kill_process(Pid::from_child(&master.child), Signal::STOP).unwrap();
        Some(master)
    });
}

/// R26, L5: a master that is gone, with its sessions.
#[test]
fn a_killed_master_holds_up_no_slave() {
    nobody_answers(|master| {
        master.kill();
        None
    });
}

fn nobody_answers(silence: impl FnOnce(Master) -> Option<Master>) {
    let place = place();
    let master = Master::start(&place);
    let hostiles = Hostiles::new(place.path());
    let flags = format!("--unregister-timeout {}ms", UNREGISTER_TIMEOUT.as_millis());
    let mut scene = Scene::set(&place, &master, &hostiles, TREES, &flags).unwrap();
    let _stopped = silence(master);
    scene.slave.signal(Signal::USR1);
    let dead = scene.watch().last_end(PATIENCE).unwrap();
    assert_eq!(scene.slave.exit_code(PATIENCE), Some(6), "{}", scene.slave.log());
    let (waited, log) = (dead.elapsed(), scene.slave.log());
    assert!(waited < UNREGISTER_TIMEOUT + BOUND, "it took {waited:?} to exit: {log}");
    assert!(waited >= UNREGISTER_TIMEOUT, "it waited for {waited:?} only: {log}");
    assert!(log.contains("no leader has acknowledged that it leaves"), "{log}");
    assert_eq!(hostiles.living(), NONE);
    let told = scene.framework.until(1, Duration::ZERO, Said::end);
    assert!(told.is_err(), "somebody has told the framework: {told:?}");
}

/// R26: the grace is an hour, and nobody waits for it.
#[test]
fn a_second_sigusr1_skips_what_grace_is_left() {
    let place = place();
    let master = Master::start(&place);
    let hostiles = Hostiles::new(place.path());
    let trees = 5;
    let mut scene = Scene::set(&place, &master, &hostiles, trees, "--drain-now-grace 1h").unwrap();
    let mut operator = Operator::new(&place, &master).unwrap();
    let living = scene.watch().alive();
    scene.slave.signal(Signal::USR1);
    // It says so when it asks everything to end.
    operator.until(|event| matches!(event, Event::SlaveLeaving { .. })).unwrap();
    assert_eq!(scene.watch().alive(), living, "SIGTERM ended what ignores it");
    let seen = scene.drain_now().unwrap();
    assert_eq!(seen.alive_when_told, 0, "{seen:?}");
    assert!(seen.ends.iter().all(|end| end.state == TaskState::Lost), "{:?}", seen.ends);
    assert_eq!(scene.slave.exit_code(PATIENCE), Some(0), "{}", scene.slave.log());
    assert_eq!(hostiles.living(), NONE);
}
