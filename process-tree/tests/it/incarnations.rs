//! What a killed slave leaves, the next one finds and ends (R5, S11).

use std::fs;
use std::process::{Child, Stdio};

use neap_process_tree::{Exit, Means, OpenError, Survivors, Trees};

use crate::over_all_means;
use crate::sandbox::{HOSTILE, HOSTILE_PROCESSES, Sandbox, fnv1a, groups_of, options, shell, within};

over_all_means!(
    the_trees_of_a_killed_incarnation_are_found_and_ended,
    the_trees_of_a_killed_incarnation_can_be_taken_up,
    nobody_else_is_taken_for_a_leftover,
    a_damaged_record_is_refused_and_all_is_left_as_it_is,
    what_had_not_begun_is_removed,
    an_incarnation_killed_while_it_tried_its_means_hinders_nobody,
);

/// The incarnation that is killed: this same test program, asked to by its environment.
#[tokio::test]
async fn incarnation() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let means = Means::from_word(&std::env::var(MEANS).expect("a means")).expect("a means");
    let directory = std::path::PathBuf::from(directory);
    let trees = Trees::open(options(&directory, Some(means))).expect("opened");
    let _one = trees.launch(&shell(&directory, "one", HOSTILE)).expect("launched");
    let _two = trees.launch(&shell(&directory, "two", HOSTILE)).expect("launched");
    std::future::pending::<()>().await;
}

async fn the_trees_of_a_killed_incarnation_are_found_and_ended(mut sandbox: Sandbox) {
    drop(sandbox.trees.take());
    let earlier = Incarnation::start(&sandbox);
    sandbox.ready.times(2 * HOSTILE_PROCESSES).await;
    drop(earlier);
    assert!(sandbox.alive().len() >= 2 * HOSTILE_PROCESSES, "trees outlive their slave (R28)");

    // Whatever means this one prefers: it ends what any left.
    let trees = Trees::open(options(sandbox.path(), None)).expect("opened");
    let mut leftovers = within("their end", trees.end_leftovers()).await.expect("listed");

    sandbox.assert_all_dead();
    leftovers.sort_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<&str> = leftovers.iter().map(|leftover| leftover.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    for leftover in &leftovers {
        let ending = leftover.ended.as_ref().expect("ended");
        assert_eq!((&ending.survivors, ending.means), (&Survivors::None, sandbox.means));
        assert!(ending.processes.len() >= HOSTILE_PROCESSES, "{ending:?}");
    }
    let again = within("nothing", trees.end_leftovers()).await.expect("listed");
    assert!(again.is_empty(), "{again:?}");
}

/// R28: they go on, and are watched and ended like any other; that they ended before is told at the next start.
async fn the_trees_of_a_killed_incarnation_can_be_taken_up(mut sandbox: Sandbox) {
    drop(sandbox.trees.take());
    let earlier = Incarnation::start(&sandbox);
    sandbox.ready.times(2 * HOSTILE_PROCESSES).await;
    drop(earlier);
    let living = sandbox.settled(2 * HOSTILE_PROCESSES).await;

    let trees = Trees::open(options(sandbox.path(), None)).expect("opened");
    let left = trees.leftovers().expect("listed");
    assert!(left.gone.is_empty(), "{:?}", left.gone);
    let mut alive = left.alive;
    alive.sort_by(|one, other| one.name().cmp(other.name()));
    let names: Vec<&str> = alive.iter().map(neap_process_tree::Tree::name).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(sandbox.alive(), living, "to look is not to touch");
    let one = within("the end", alive[0].end(None)).await.expect("ended");
    assert_eq!(one.survivors, Survivors::None);
    assert!(one.leader.is_none_or(|exit| exit == Exit::Unknown), "it is no child: {:?}", one.leader);
    assert!(one.processes.len() >= HOSTILE_PROCESSES, "{:?}", one.processes);
    assert!(!sandbox.alive().is_empty(), "the other is left alone");
    alive[1].kill().expect("killed");
    let told = within("the leader's end", alive[1].wait_leader()).await.expect("watched");
    assert_eq!(told, Exit::Unknown);
    within("the end", alive[1].seen_dead()).await.expect("seen");
    sandbox.assert_all_dead();
    let again = trees.leftovers().expect("listed");
    assert!(again.alive.is_empty() && again.gone.is_empty(), "{again:?}");
}

/// Numbers are used again: a record's is believed only with the start time and the boot that belong to it.
async fn nobody_else_is_taken_for_a_leftover(sandbox: Sandbox) {
    let bystander = sandbox.launch("bystander", "echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    let (pid, start, boot) = (bystander.pid(), bystander.start_time(), boot.trim());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let trees = Trees::open(options(elsewhere.path(), Some(sandbox.means))).expect("opened");
    let records = [
        ("reused", format!("pid-namespace {pid} {} {boot}", start - 1)),
        ("rebooted", format!("pid-namespace {pid} {start} another-boot")),
        ("escaped", format!("subreaper {pid} {} {boot}", start - 1)),
    ];
    for (name, says) in &records {
        let line = format!("{says} {:016x}\n", fnv1a(says));
        fs::write(elsewhere.path().join("state").join(format!("{name}.tree")), line).expect("written");
    }

    let mut leftovers = within("nothing", trees.end_leftovers()).await.expect("listed");

    assert_eq!(sandbox.alive().len(), 1, "the bystander lives");
    leftovers.sort_by(|one, other| one.name.cmp(&other.name));
    let told: Vec<(&str, bool)> = leftovers
        .iter()
        .map(|left| (left.name.as_str(), left.ended.as_ref().expect("known").survivors == Survivors::None))
        .collect();
    // A namespace is dead with its first process; of what was below a subreaper nothing is known.
    assert_eq!(told, [("escaped", false), ("reused", true)]);
    within("the end", bystander.end(None)).await.expect("ended");
}

/// R5, R28: a record is all that is known of a tree that may live.
async fn a_damaged_record_is_refused_and_all_is_left_as_it_is(mut sandbox: Sandbox) {
    drop(sandbox.trees.take());
    let earlier = Incarnation::start(&sandbox);
    sandbox.ready.times(2 * HOSTILE_PROCESSES).await;
    drop(earlier);
    let record = sandbox.path().join("state").join("one.tree");
    // A group is its own record.
    let whole = fs::read(&record).unwrap_or_else(|_| b"what an earlier means left".to_vec());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let ended = sandbox.path().join("state").join("ended.tree");
    let says = "subreaper 4711 99 another-boot";
    fs::write(&ended, format!("{says} {:016x}\n", fnv1a(says))).expect("written");

    let trees = Trees::open(options(sandbox.path(), None)).expect("opened");
    for damaged in
        [&flipped[..], &whole[..whole.len() - 1], b"", &[whole.as_slice(), b"\0"].concat(), &[0xff; 40]]
    {
        fs::write(&record, damaged).expect("written");
        let error = within("an answer", trees.end_leftovers()).await.expect_err("damaged");
        let OpenError::Damaged { record: named, tree } = &error else { panic!("{error}") };
        assert_eq!((named.file_name(), tree.as_str()), (record.file_name(), "one"), "{error}");
        assert_eq!(fs::read(&record).expect("there"), damaged);
        assert!(ended.exists(), "another was removed");
        assert!(sandbox.alive().len() >= 2 * HOSTILE_PROCESSES, "something was ended");
    }

    match sandbox.means {
        Means::Cgroup => fs::remove_file(&record).expect("removed"),
        Means::PidNamespace | Means::Subreaper => fs::write(&record, whole).expect("put back"),
    }
    let leftovers = within("their end", trees.end_leftovers()).await.expect("listed");
    assert_eq!(leftovers.len(), 2, "{leftovers:?}");
    sandbox.assert_all_dead();
    assert!(!ended.exists());
}

/// Who is killed while it writes a record has not begun what that was to keep.
async fn what_had_not_begun_is_removed(sandbox: Sandbox) {
    let state = sandbox.path().join("state");
    for (tree, torn) in [("one", ""), ("two", "subreaper 47")] {
        fs::write(state.join(format!("{tree}.new")), torn).expect("written");
    }
    let leftovers = within("nothing", sandbox.trees().end_leftovers()).await.expect("listed");
    assert!(leftovers.is_empty(), "{leftovers:?}");
    let one = sandbox.launch("one", "exit 0");
    within("the end", one.seen_dead()).await.expect("seen");
    let left: Vec<_> =
        fs::read_dir(&state).expect("listed").map(|entry| entry.expect("read").file_name()).collect();
    assert_eq!(left, ["lock"]);
}

async fn an_incarnation_killed_while_it_tried_its_means_hinders_nobody(mut sandbox: Sandbox) {
    let probe = format!("probe-{}", std::process::id());
    for unfinished in [&probe, &format!("{probe}.new")] {
        fs::write(sandbox.path().join("state").join(unfinished), "").expect("written");
    }
    for group in groups_of(sandbox.path()) {
        fs::create_dir(group.join(&probe)).expect("made");
    }
    drop(sandbox.trees.take());
    sandbox.trees = Some(Trees::open(options(sandbox.path(), Some(sandbox.means))).expect("opened"));
    let tree = sandbox.launch("next", "exit 0");
    within("the end", tree.seen_dead()).await.expect("seen");
}

/// Killed when dropped, as a slave would be.
struct Incarnation(Child);

impl Incarnation {
    fn start(sandbox: &Sandbox) -> Incarnation {
        let program = std::env::current_exe().expect("this program");
        let child = std::process::Command::new(program)
            .args(["--exact", "incarnations::incarnation", "--nocapture"])
            .env(DIRECTORY, sandbox.path())
            .env(MEANS, sandbox.means.word())
            .stdout(Stdio::null())
            .spawn();
        Incarnation(child.expect("this program again"))
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        let _already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

const DIRECTORY: &str = "NEAP_TEST_INCARNATION";
const MEANS: &str = "NEAP_TEST_MEANS";
