//! A checker clones a machine at every step: what that takes is pinned here, where noise cannot hide it.
//! `cargo bench -p neap-protocol --bench representation` measures the same states in time.

use std::fmt::Debug;

use neap_protocol::ids::{FrameworkId, OfferId, SessionId, SlaveId, TaskId};
use neap_protocol::master::{Config, Effect, Input};
use neap_protocol::message::{FrameworkToMaster, MasterToFramework};
use neap_protocol::outbox::Outbox;
use neap_protocol::resources::Resources;
use neap_protocol::task::{Run, TaskSpec, TaskState};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;

use crate::memory::{peak, taken};
use crate::small::{self, Small};

fn clones<M: Clone + Eq + Debug, C, I>(small: &Small<M, C, I>, bytes: usize, allocations: usize) {
    let Small { what, machine, .. } = small;
    let (copy, taken) = taken(|| machine.clone());
    assert_eq!(copy, *machine);
    let (_, more) = peak(|| machine.clone());
    let size = size_of::<M>();
    assert!(taken <= allocations, "{what}: a clone takes memory {taken} times");
    assert!(size + more <= bytes, "{what}: a clone takes {size} bytes and {more} more");
}

#[test]
fn a_clone_takes_little() {
    clones(&small::one_of_each(), 336, 0);
    clones(&small::two_of_each(), 496, 3);
    clones(&small::draining(), 496, 3);
    clones(&small::a_slave(), 1144, 3);
    clones(&small::a_framework(), 336, 1);
    clones(&small::an_executor(), 104, 0);
}

/// What a step changes is copied then: a task that ends is on one slave, and of one framework.
#[test]
fn a_step_copies_what_it_changes() {
    let Small { machine, config, input, .. } = small::two_of_each();
    let mut out = Outbox::new();
    let mut once = machine.clone();
    once.handle(&config, input.clone(), &mut out);
    let effects = out.drain().count();
    let mut next = machine.clone();
    let ((), taken) = taken(|| next.handle(&config, input, &mut out));
    assert!(effects > 0 && next == once && next != machine);
    assert!(taken <= 4, "a step takes memory {taken} times");
}

/// S15: it accepts an offer that was never made, again and again, and acknowledges none of the ends of its tasks. It is
/// told of each, and no more of them are kept than it may have tasks.
#[test]
fn a_framework_that_acknowledges_nothing_does_not_make_a_master_grow() {
    let Small { machine: mut master, config, .. } = small::one_of_each();
    let config = Config { tasks_max: 8, ..config };
    let framework = FrameworkId(1);
    let mut accept = |number| {
        let spec = TaskSpec {
            id: TaskId { framework, number },
            name: Name::new("task").unwrap(),
            resources: Resources::new(1, 1),
            kill_grace: Millis(1),
            fence_after: None,
            run: Run::Command(std::sync::Arc::default()),
        };
        let (tasks, filter) = (vec![spec], Millis::ZERO);
        let message = FrameworkToMaster::Accept { offer: OfferId(99), slave: SlaveId(1), tasks, filter };
        let mut out = Outbox::new();
        master.handle(&config, Input::Framework { session: SessionId(11), message }, &mut out);
        let told = |effect: &Effect| {
            matches!(effect, Effect::ToFramework { message: MasterToFramework::Update { update, .. }, .. }
                if update.task.number == number && update.state == TaskState::Dropped)
        };
        assert!(out.drain().any(|effect| told(&effect)), "task {number} is told of");
        format!("{master:?}").len()
    };
    let sizes: Vec<usize> = (10..60).map(&mut accept).collect();
    assert!(sizes[0] < sizes[3], "{sizes:?}");
    assert_eq!(sizes[20], sizes[49], "{sizes:?}");
}
