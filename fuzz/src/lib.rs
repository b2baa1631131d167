//! neap's fuzz targets: each takes bytes as choices, and panics where something does not hold.
//!
//! A target is run by cargo-fuzz (`fuzz/targets`), and as a plain test over the seed corpus and over fixed seeds
//! (`cargo test -p neap-fuzz`). The same bytes do the same in both, so that what a fuzzer found is told by
//! `cargo run -p neap-fuzz -- TARGET FILE`, step by step.

mod arbitrary;
pub mod choices;
pub mod decode;
mod executor;
mod framework;
mod journal;
mod machine;
mod master;
#[cfg_attr(not(test), expect(dead_code, reason = "only the tests of protocol count allocations"))]
#[path = "../../protocol/tests/it/memory.rs"]
mod memory;
mod registry;
mod slave;
mod world;

use choices::Choices;

/// What is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it does with bytes.
    pub run: fn(&mut Choices<'_>),
    /// What fixed seeds must reach, so that a pass is not vacuous.
    pub goals: &'static [&'static str],
    /// How many fixed seeds the tests run.
    pub seeds: u64,
    /// How many bytes each of them has.
    pub length: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "decode", run: decode::run, goals: decode::GOALS, seeds: 1500, length: 800 },
    Target { name: "master", run: master::run, goals: master::GOALS, seeds: 80, length: 8000 },
    Target { name: "executor", run: executor::run, goals: executor::GOALS, seeds: 200, length: 1500 },
    Target { name: "framework", run: framework::run, goals: framework::GOALS, seeds: 150, length: 5000 },
    Target { name: "slave", run: slave::run, goals: slave::GOALS, seeds: 60, length: 5000 },
    Target { name: "registry", run: registry::run, goals: registry::GOALS, seeds: 100, length: 2000 },
    Target { name: "journal", run: journal::run, goals: journal::GOALS, seeds: 200, length: 1500 },
    Target { name: "world", run: world::run, goals: world::GOALS, seeds: 40, length: 300 },
];

/// Runs a target as a fuzzer does.
///
/// # Panics
/// If there is none of this name, and where something does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = named(name).expect("a target of this name");
    (target.run)(&mut Choices::new(bytes));
}

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
