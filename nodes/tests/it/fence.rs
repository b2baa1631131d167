//! Fenced tasks on real processes (R9): for them, Lost means dead, whoever is cut off, stopped or killed. What lives is
//! seen from outside, by pidfds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use neap_nodes::framework::{Driver, NewTask};
use neap_protocol::task::{Reason, TaskState, Update};
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Master, PATIENCE, place};
use crate::live::{Framework, Hostiles, Said, Slave, Watch, launch, task};
use crate::program::Place;

/// A slave is given up after five seconds, so that a fence is of two and a half at most.
const MASTER: &str = "--listen 127.0.0.1:0 --ping-timeout 1s --max-ping-timeouts 5";
const FENCE_AFTER: Duration = Duration::from_secs(2);
/// By then its slave is given up.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// A slave with a fenced task and one that is not, each of two processes, as their framework hears of them.
struct Scene {
    slave: Slave,
    framework: Framework,
    master: Master,
    fenced: Arc<OnceLock<Watch>>,
    free: Watch,
    /// How many processes of the fenced task lived when the scheduler heard that a task is Lost, at most.
    alive_when_lost: Arc<AtomicUsize>,
    place: Place,
    // The last that goes: whatever is left by then it ends.
    _processes: Hostiles,
}

impl Scene {
    fn set() -> Self {
        let place = place();
        let master = Master::start_with(&place, MASTER);
        let slave = Slave::start(&place, &master, "slave-1", "");
        let processes = Hostiles::new(place.path());
        let marks = ["fenced", "free"].map(|which| format!("{which} in {}", place.path().display()));
        let bell = |mark: &str| place.path().join(format!("{}.bell", mark.split(' ').next().unwrap()));
        let waits = |mark: &str| task(processes.pair(mark, &bell(mark)), Millis::ZERO);
        let fence_after = Some(Millis(FENCE_AFTER.as_millis().try_into().unwrap()));
        let mut tasks = vec![NewTask { fence_after, ..waits(&marks[0]) }, waits(&marks[1])];
        let (fenced, alive_when_lost) = (Arc::<OnceLock<Watch>>::default(), Arc::<AtomicUsize>::default());
        let (watched, alive) = (Arc::clone(&fenced), Arc::clone(&alive_when_lost));
        let act = move |said: &Said, driver: &mut Driver| match said {
            Said::Offers(offers) => launch(driver, offers, &mut tasks),
            Said::Update(update) if update.state == TaskState::Lost => {
                let living = watched.get().map_or(usize::MAX, Watch::alive);
                alive.fetch_max(living, Ordering::Relaxed);
            }
            Said::Update(_) | Said::Rescinded(_) => {}
        };
        let framework = Framework::start(master.connection(&place, Role::Framework, "web"), act);
        framework.until(2, PATIENCE, Said::running).unwrap();
        processes.wait(4, PATIENCE).unwrap();
        let [watch, free] = marks.map(|mark| Watch::of(&mark).unwrap());
        assert_eq!((watch.alive(), free.alive()), (2, 2));
        assert!(fenced.set(watch).is_ok(), "it is watched once");
        Self { slave, framework, master, fenced, free, alive_when_lost, place, _processes: processes }
    }

    /// Waits until nothing of the fenced task lives, which is before its slave is given up.
    fn fenced(&self) {
        let begin = Instant::now();
        let dead = self.fenced.get().unwrap().last_end(PATIENCE).unwrap();
        let took = dead - begin;
        assert!(took < GIVEN_UP, "it died after {took:?}");
        assert_eq!(self.free.alive(), 2, "what is not fenced goes on");
    }

    fn ends(&self, count: usize) -> Vec<Update> {
        let ends = self.framework.until(count, PATIENCE, Said::end).unwrap();
        ends.into_iter().map(|(_, update)| update).collect()
    }

    /// The one end that is told, which is the fenced task's.
    fn ends_fenced(&self) {
        let [end] = &self.ends(1)[..] else { panic!("one end") };
        assert_eq!((end.state, end.reason), (TaskState::Killed, Reason::Fenced), "{}", self.slave.log());
        assert_eq!(self.free.alive(), 2);
    }
}

/// A process that is stopped. It goes on, whatever becomes of the test: else it could not be ended.
struct Stopped(Pid);

impl Stopped {
    fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).unwrap();
        Self(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}

/// Its slave does nothing any more, and is given up: its executor has ended it by then.
#[test]
fn a_fenced_task_is_dead_before_it_is_lost() {
    let scene = Scene::set();
    let stopped = Stopped::new(scene.slave.pid());
    scene.fenced();
    let lost = scene.ends(2);
    assert!(lost.iter().all(|end| end.reason == Reason::SlaveUnreachable), "{lost:?}");
    assert_eq!(scene.alive_when_lost.load(Ordering::Relaxed), 0, "it was Lost, and lived");
    assert_eq!(scene.free.alive(), 2, "it is Lost, and lives");
    drop(stopped);
    // R8: what was Lost and is not fenced is ended when its slave is back.
    scene.free.last_end(PATIENCE).unwrap();
}

/// Its slave is killed, and the executors outlive it: the one by its lease, the other for longer. The next slave takes up
/// what is left, and tells how the fenced task ended.
#[test]
fn a_lease_is_over_although_its_slave_is_dead() {
    let mut scene = Scene::set();
    scene.slave.signal(Signal::KILL);
    assert_eq!(scene.slave.exit_code(PATIENCE), None, "it was killed");
    scene.fenced();
    scene.slave = Slave::start(&scene.place, &scene.master, "slave-1", "");
    scene.ends_fenced();
}

/// What a fenced task has started does not outlive it, although no slave ends its tree.
#[test]
fn what_a_fenced_task_leaves_behind_goes_with_it() {
    let mut scene = Scene::set();
    scene.slave.signal(Signal::KILL);
    assert_eq!(scene.slave.exit_code(PATIENCE), None, "it was killed");
    for which in ["fenced", "free"] {
        std::fs::write(scene.place.path().join(format!("{which}.bell")), "now\n").unwrap();
    }
    scene.fenced.get().unwrap().last_end(PATIENCE).unwrap();
    scene.slave = Slave::start(&scene.place, &scene.master, "slave-1", "");
    let ends = scene.ends(2);
    assert!(ends.iter().all(|end| end.state == TaskState::Finished), "{ends:?}: {}", scene.slave.log());
}

/// A leader that is stopped is none.
#[test]
fn a_task_is_ended_whose_slave_hears_no_leader() {
    let scene = Scene::set();
    let stopped = Stopped::new(Pid::from_child(&scene.master.child));
    scene.fenced();
    drop(stopped);
    scene.ends_fenced();
}

/// Renewed in time, a task lives for as many leases as it likes; one that asks for what cannot be promised is not launched,
/// and the batch says so.
#[test]
fn a_fenced_batch_succeeds_or_says_why_it_cannot() {
    let place = place();
    let master = Master::start_with(&place, MASTER);
    let _slave = Slave::start(&place, &master, "slave-1", "");
    let run = |flags: &str| {
        let certificates = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
        place.neap(&format!("run --name job --masters {} {certificates} {flags}", master.address))
    };
    let ended = run("--fence-after 1s -- sleep 4");
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let ended = run("--fence-after 2501ms -- true");
    assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
    let said = "--fence-after 2s501ms is not possible here: it is from 1s to 2s500ms";
    assert!(ended.stderr.contains(said), "{}{}", ended.stdout, ended.stderr);
}
