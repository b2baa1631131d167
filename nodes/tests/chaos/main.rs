//! Nothing is lost: real processes under faults that a seed picks.
//!
//! A **cycle** is one or two faults on a loaded cluster, and the wait until it is whole again. After a **round** of
//! cycles everything is told to end, and then every task is accounted for: what schedulers were told is held against
//! what the tasks themselves wrote and what the kernel says lives ([`ledger`]), and every invariant against the
//! replayed journals of all nodes. Nothing of it may be left behind.
//!
//! ```console
//! $ NEAP_CYCLES=1000 NEAP_SEED=7 cargo test --release -p neap-nodes --test chaos nothing_is_lost -- --nocapture
//! ```
//!
//! A seed picks faults, victims and times, and what becomes of each packet; what the machine makes of them is never
//! quite the same. A failure names the seed of its round, and keeps the logs and journals. The clock is no fault here:
//! Linux gives a process no wall clock of its own (time namespaces shift the monotonic ones only).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it waits for and passes over the rest"
)]

mod cluster;
mod disk;
mod fault;
mod ledger;
mod link;
mod load;
mod operator;
mod process;
mod random;
mod replay;
mod round;
mod single;
mod truth;

use std::time::Instant;

use round::Figures;

/// How many cycles there are unless NEAP_CYCLES says otherwise.
const CYCLES: u64 = 12;

/// So many of a hundred nodes have their data on a small disk, which is in memory; the others' syncs take their time.
const SMALL_DISKS: u64 = 50;

/// In so many cycles there is something to hold against every check.
const CYCLES_THAT_SHOW_ALL: u64 = 200;

/// How many cycles a cluster lives for.
const CYCLES_PER_ROUND: u64 = 20;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, and is {value:?}")))
}

/// Whether this user may mount a file system.
fn may_mount() -> bool {
    let place = tempfile::tempdir().expect("a directory");
    disk::Small::mount(&place.path().join("small"), "1m").expect("a directory in it").is_some()
}

#[test]
fn nothing_is_lost() {
    let cycles = number("NEAP_CYCLES").unwrap_or(CYCLES);
    let seed = number("NEAP_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let small_disks = match may_mount() {
        true => SMALL_DISKS,
        false => {
            println!("left out are full disks: this user may not mount a small file system");
            0
        }
    };
    let since = Instant::now();
    let mut total = Figures::default();
    let rounds = cycles.div_ceil(CYCLES_PER_ROUND);
    for round in 0..rounds {
        let of_round = CYCLES_PER_ROUND.min(cycles - round * CYCLES_PER_ROUND);
        let seed = seed.wrapping_add(round);
        println!("round {} of {rounds}: NEAP_SEED={seed} NEAP_CYCLES={of_round}", round + 1);
        let figures = round::run(seed, of_round, small_disks).unwrap_or_else(|failure| {
            panic!(
                "{failure}\nto try it again: NEAP_SEED={seed} NEAP_CYCLES={of_round} \
                 cargo test -p neap-nodes --test chaos nothing_is_lost -- --nocapture"
            )
        });
        if rounds > 1 {
            println!("{figures}");
        }
        total.add(figures);
    }
    println!("{cycles} cycles in {:.0?}:\n{total}", since.elapsed());
    if cycles >= CYCLES_THAT_SHOW_ALL {
        assert_eq!(total.overlooked(), [""; 0], "nothing was held against these");
    }
}
