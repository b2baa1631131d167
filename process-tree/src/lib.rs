//! Starts process trees and ends them *for certain* (R5, R24, S1, S11). Linux 5.11 or later, 5.14 for control groups.
//!
//! A **tree** is a program that was [launched](Trees::launch) and every descendant: what double-forked, called
//! `setsid`, ignores SIGTERM, or forks faster than it is listed. Two rules hold whatever the means:
//!
//! - a tree is called dead only when **the kernel has said** that nothing of it is left; where that cannot be had the
//!   [`Ending`] says [`Survivors::Unseen`];
//! - **no number is signalled**: every signal goes through a pidfd that was seen to belong to the tree while it was
//!   held, or through the tree's control group.
//!
//! ```no_run
//! # use neap_process_tree::{Command, Options, Trees};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let trees = Trees::open(Options { name: "slave-1".into(), state: "trees".into(), means: None })?;
//! println!("process trees are kept by {}", trees.means());
//! for leftover in trees.end_leftovers().await? {
//!     println!("an earlier incarnation left {}", leftover.name);
//! }
//! let tree = trees.launch(&Command::new("task-7", "sleep", "sandbox").arguments(["60"]))?;
//! let ending = tree.end(Some(std::time::Duration::from_secs(5))).await?;
//! println!("{:?}, survivors: {:?}", ending.leader, ending.survivors);
//! # Ok(()) }
//! ```
//!
//! # The means, and what each is worth
//!
//! | | [`Cgroup`](Means::Cgroup) | [`PidNamespace`](Means::PidNamespace) | [`Subreaper`](Means::Subreaper) |
//! |---|---|---|---|
//! | needs | a control group that this user may make children in: root, or systemd's `Delegate=yes` | root, or user namespaces | nothing |
//! | a tree is | a control group that the leader is born in | a namespace below a small first process | what is below a small supervisor |
//! | is killed by | `cgroup.kill`: at once, no race with forks | killing the first process: the kernel kills the rest, no race | stopping pass after pass until nobody is new, then killing, until none is left |
//! | is seen dead by | `populated 0` in `cgroup.events`, nested groups included | the first process's end, which the kernel delays until all others are gone | the supervisor's exit on `ECHILD`: no child, so no descendant |
//! | can be left by | writing oneself into another control group that one may write to: as root any, else those of the same user's delegation | nothing | killing the supervisor (same user); this is noticed and reported |
//! | set-user-id programs | die like the rest | without root they run without their privilege | cannot be killed by another user: the tree is then not called dead |
//! | of the slave's memory | nothing is copied | a supervisor a tree, with a copy-on-write copy | the same |
//!
//! A control group costs a launch what `std::process` does, whatever the slave's size, and a hostile tree is dead in
//! half a millisecond. A supervisor is a copy of the slave: with 50 MB a launch takes twice as long, with 500 MB ten
//! times and more (`examples/measure.rs` prints it), and its end likewise.
//!
//! What **root** adds: control groups without delegation, namespaces without a user namespace, and the power to kill
//! set-user-id programs as a subreaper. It also gives the *tasks* root, who can leave a control group: a slave that
//! runs tasks it does not trust should not be root.
//!
//! No means holds what a task asks *others* to start (`systemd-run`, `at`, a container daemon): such processes are
//! not its descendants.
//!
//! After its leader's end a tree **lives on** with what is left of it, until that ends or is ended.
//!
//! The slave must not wait for children in general (`waitpid(-1)`) nor ignore SIGCHLD: leaders' exits would be lost
//! ([`Exit::Unknown`]), though never a tree.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod cgroup;
mod command;
mod ending;
mod means;
mod proc;
mod supervised;
#[expect(unsafe_code, reason = "no safe interface starts a child without copying the slave's memory")]
mod sys;
pub mod template;
mod tree;
mod trees;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use command::{Command, LaunchError, Output};
pub use ending::{Ending, Exit, PROCESSES_MAX, Seen, Sent, Survivors};
pub use means::Means;
pub use proc::boot_id;
pub use tree::{Tree, TreeError};
pub use trees::{Leftover, Leftovers, OpenError, Options, Trees};

/// What a panicking thread leaves behind a lock here is whole: lists are only appended to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
