//! A checker clones a machine at every step: what that takes is pinned here, where noise cannot hide it.
//! `cargo bench -p neap-protocol --bench representation` measures the same states in time.

use std::fmt::Debug;

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
    clones(&small::a_slave(), 1024, 3);
    clones(&small::a_framework(), 336, 1);
    clones(&small::an_executor(), 96, 0);
}

/// What a step changes is copied then: a task that ends is on one slave, and of one framework.
#[test]
fn a_step_copies_what_it_changes() {
    let Small { machine, config, input, .. } = small::two_of_each();
    let mut out = neap_protocol::outbox::Outbox::new();
    let mut once = machine.clone();
    once.handle(&config, input.clone(), &mut out);
    let effects = out.drain().count();
    let mut next = machine.clone();
    let ((), taken) = taken(|| next.handle(&config, input, &mut out));
    assert!(effects > 0 && next == once && next != machine);
    assert!(taken <= 4, "a step takes memory {taken} times");
}
