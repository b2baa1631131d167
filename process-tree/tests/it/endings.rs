//! Trees end for certain (R24, S1, S11), and the report says how (R23a).

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use neap_process_tree::{Ending, Exit, Means, Survivors, Tree};

use crate::over_all_means;
use crate::sandbox::{HOSTILE, HOSTILE_PROCESSES, Sandbox, within};

over_all_means!(
    a_hostile_tree_is_killed_and_the_report_names_it,
    a_polite_tree_ends_within_its_grace,
    a_child_that_had_ended_is_seen_before_anybody_is_asked,
    a_kill_cuts_the_grace_short,
    a_tree_lives_on_after_its_leader,
    a_tree_that_ended_by_itself_is_seen_dead_and_ends_again_at_once,
    a_tree_that_forks_faster_than_it_is_listed_dies,
    a_stopped_tree_dies,
    waits_that_nobody_polls_hinder_nobody,
    a_hundred_hostile_trees_die_together,
);

async fn a_hostile_tree_is_killed_and_the_report_names_it(sandbox: Sandbox) {
    let tree = sandbox.launch("hostile", HOSTILE);
    sandbox.ready.times(HOSTILE_PROCESSES).await;
    assert!(sandbox.alive().len() >= HOSTILE_PROCESSES);

    let ending = within("the end", tree.end(Some(Duration::from_millis(30)))).await.expect("ended");

    sandbox.assert_all_dead();
    assert_eq!(ending.survivors, Survivors::None);
    assert_eq!(ending.leader, Some(Exit::Signal(9)));
    assert_eq!(ending.means, sandbox.means);
    assert!(ending.seen_dead_at_ms.is_some());
    let leader = ending.processes.iter().find(|seen| seen.pid == tree.pid()).expect("the leader was seen");
    assert_eq!((leader.start_time, leader.command.as_str()), (tree.start_time(), "sh"));
    let asked_then_forced = ending.processes.iter().filter(|seen| {
        let signals = || seen.signals.iter().map(|sent| sent.signal);
        signals().next() == Some(15) && signals().next_back() == Some(9)
    });
    assert!(asked_then_forced.count() >= HOSTILE_PROCESSES, "{ending:?}");
}

async fn a_polite_tree_ends_within_its_grace(sandbox: Sandbox) {
    let tree = sandbox.launch("polite", "(read x < hold) & echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;

    let ending = within("the end", tree.end(Some(Duration::from_secs(3600)))).await.expect("ended");

    sandbox.assert_all_dead();
    assert_eq!((ending.leader, &ending.survivors), (Some(Exit::Signal(15)), &Survivors::None));
    assert_eq!(signals(&ending), vec![15; ending.processes.len()], "no force was needed");
}

/// R12a: what had ended before a SIGTERM is told from what it ends. Who has not reaped it is not asked.
async fn a_child_that_had_ended_is_seen_before_anybody_is_asked(sandbox: Sandbox) {
    // The shell starts its first child, stops, and cannot reap it: nobody but the kernel knows then that it has ended.
    let script = "(exec 3> began; exit 7) & (trap '' TERM; echo ready > ready; read x < hold) & kill -STOP $$; wait; read x < hold";
    let tree = sandbox.launch("parent", script);
    sandbox.ready.times(1).await;
    within("an end that nobody has reaped", async {
        while !tree.leader_lost_a_child() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;

    tree.terminate_but_leader();
    let asked = tree.so_far();
    assert!(asked.processes.iter().all(|seen| seen.pid != tree.pid()), "{asked:?}");
    assert!(!asked.processes.is_empty(), "the others are asked");
    tree.terminate();
    let asked = tree.so_far();
    assert!(asked.processes.iter().any(|seen| seen.pid == tree.pid()), "{asked:?}");
    within("the end", tree.end(None)).await.expect("ended");
    sandbox.assert_all_dead();

    let tree = sandbox.launch("childless", "echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;
    assert!(!tree.leader_lost_a_child());
    within("the end", tree.end(None)).await.expect("ended");
}

async fn a_kill_cuts_the_grace_short(sandbox: Sandbox) {
    let tree = sandbox.launch("stubborn", HOSTILE);
    sandbox.ready.times(HOSTILE_PROCESSES).await;
    let ending = tokio::spawn({
        let tree = tree.clone();
        async move { tree.end(Some(Duration::from_secs(3600))).await }
    });
    tree.kill().expect("killed");
    tree.kill().expect("killed again");

    let ending = within("the end", ending).await.expect("no panic").expect("ended");
    sandbox.assert_all_dead();
    assert_eq!(ending.survivors, Survivors::None);
}

async fn a_tree_lives_on_after_its_leader(sandbox: Sandbox) {
    let tree = sandbox.launch("headless", "(setsid sh -c 'echo ready > ready; read x < hold' &); exit 3");
    sandbox.ready.times(1).await;

    assert_eq!(within("its leader", tree.wait_leader()).await.expect("waited"), Exit::Code(3));
    let so_far = tree.so_far();
    assert_eq!((so_far.leader, so_far.survivors), (Some(Exit::Code(3)), Survivors::Alive(1)));
    assert!(poll_once(tree.seen_dead()).is_none(), "it is not dead");

    tree.kill().expect("killed");
    let ending = within("the end", tree.seen_dead()).await.expect("seen");
    sandbox.assert_all_dead();
    assert_eq!((ending.leader, ending.survivors), (Some(Exit::Code(3)), Survivors::None));
}

async fn a_tree_that_ended_by_itself_is_seen_dead_and_ends_again_at_once(sandbox: Sandbox) {
    let tree = sandbox.launch("short", "exit 7");
    let ending = within("the end", tree.seen_dead()).await.expect("seen");
    assert_eq!((ending.leader, &ending.survivors), (Some(Exit::Code(7)), &Survivors::None));
    assert!(ending.processes.is_empty(), "nobody was signalled");

    tree.terminate();
    tree.kill().expect("a dead tree is left alone");
    assert_eq!(
        poll_once(tree.end(Some(Duration::from_secs(3600)))).expect("at once").expect("ended"),
        ending
    );

    let again = sandbox.launch("short", "exit 8");
    assert_eq!(within("the leader", again.wait_leader()).await.expect("waited"), Exit::Code(8));
    within("the end", again.seen_dead()).await.expect("seen");
}

/// Each process of four lines of descent forks its heir and ends, as fast as it can.
async fn a_tree_that_forks_faster_than_it_is_listed_dies(sandbox: Sandbox) {
    let script = "trap '' TERM; hop() { hop & exit 0; }
        for line in 1 2 3 4; do hop & done
        echo ready > ready; read x < hold";
    let tree = sandbox.launch("bomb", script);
    sandbox.ready.times(1).await;

    let ending = within("the end", tree.end(None)).await.expect("ended");

    assert_eq!(ending.survivors, Survivors::None);
    sandbox.assert_all_dead();
    sandbox.assert_all_dead();
}

async fn a_stopped_tree_dies(sandbox: Sandbox) {
    let script = "(sh -c 'echo ready > ready; kill -STOP $$' &); echo ready > ready; kill -STOP $$";
    let tree = sandbox.launch("stopped", script);
    sandbox.ready.times(2).await;
    let ending = within("the end", tree.end(Some(Duration::from_millis(10)))).await.expect("ended");
    assert_eq!(ending.survivors, Survivors::None);
    sandbox.assert_all_dead();
}

async fn waits_that_nobody_polls_hinder_nobody(sandbox: Sandbox) {
    let tree = sandbox.launch("watched", HOSTILE);
    sandbox.ready.times(HOSTILE_PROCESSES).await;
    let mut leader = pin!(tree.wait_leader());
    let mut dead = pin!(tree.seen_dead());
    assert!(poll_once(leader.as_mut()).is_none() && poll_once(dead.as_mut()).is_none());

    let ending = within("the end", tree.end(None)).await.expect("ended");

    sandbox.assert_all_dead();
    assert_eq!(within("the leader", leader).await.expect("waited"), Exit::Signal(9));
    assert_eq!(within("the tree", dead).await.expect("seen"), ending);
}

async fn a_hundred_hostile_trees_die_together(sandbox: Sandbox) {
    let trees: Vec<Tree> = (0..100).map(|at| sandbox.launch(&format!("hostile-{at}"), HOSTILE)).collect();
    sandbox.ready.times(100 * HOSTILE_PROCESSES).await;
    assert!(sandbox.alive().len() >= 100 * HOSTILE_PROCESSES);

    let ends: Vec<_> =
        trees.into_iter().map(|tree| tokio::spawn(async move { tree.end(None).await })).collect();
    for end in ends {
        let ending = within("the end", end).await.expect("no panic").expect("ended");
        assert_eq!(ending.survivors, Survivors::None);
    }
    sandbox.assert_all_dead();
}

#[tokio::test]
async fn what_hides_in_nested_control_groups_dies_too() {
    let Some(sandbox) = Sandbox::open(Means::Cgroup) else {
        return;
    };
    let script = "trap '' TERM
        mount=$(sed -n 's/^[^ ]* \\([^ ]*\\) cgroup2 .*/\\1/p' /proc/mounts | head -n 1)
        group=$mount$(sed -n 's/^0:://p' /proc/self/cgroup)
        mkdir -p $group/a/b && echo $$ > $group/a/b/cgroup.procs
        (setsid sh -c 'echo ready > ready; read x < hold' &)
        echo $group >&2; grep '^0::.*/a/b' /proc/self/cgroup && echo ready > ready; read x < hold";
    let tree = sandbox.launch("nested", script);
    sandbox.ready.times(2).await;
    assert_eq!(tree.so_far().survivors, Survivors::Alive(2));

    let ending = within("the end", tree.end(Some(Duration::from_millis(10)))).await.expect("ended");

    assert_eq!(signals(&ending), [15, 9, 15, 9]);
    sandbox.assert_all_dead();
    let group = std::fs::read_to_string(sandbox.path().join("stderr")).expect("what it wrote");
    assert!(!std::path::Path::new(group.trim()).exists(), "its control groups are gone");
}

/// The one escape that a subreaper cannot prevent, it notices.
#[tokio::test]
async fn a_tree_that_kills_its_supervisor_is_not_called_dead() {
    let Some(sandbox) = Sandbox::open(Means::Subreaper) else {
        return;
    };
    let tree = sandbox.launch("parricide", "kill -9 $PPID; echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;

    // Not `end`: that may find the leader while its supervisor is still dying, and kill it.
    let ending = within("its supervisor", tree.seen_dead()).await.expect("seen");

    assert!(matches!(&ending.survivors, Survivors::Unseen(why) if why.contains("supervisor")), "{ending:?}");
    assert_eq!(ending.seen_dead_at_ms, None);
    assert_eq!(sandbox.alive().len(), 1, "and indeed");
}

/// In a namespace its first process cannot be killed from within.
#[tokio::test]
async fn a_tree_cannot_kill_the_first_process_of_its_namespace() {
    let Some(sandbox) = Sandbox::open(Means::PidNamespace) else {
        return;
    };
    let tree = sandbox.launch("parricide", "kill -9 1; kill -15 1; echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;
    assert_eq!(tree.so_far().survivors, Survivors::Alive(1));
    let ending = within("the end", tree.end(None)).await.expect("ended");
    assert_eq!(ending.survivors, Survivors::None);
    sandbox.assert_all_dead();
}

fn signals(ending: &Ending) -> Vec<i32> {
    ending.processes.iter().flat_map(|seen| &seen.signals).map(|sent| sent.signal).collect()
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
