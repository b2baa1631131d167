//! The program `neap` from outside: its help, its errors, its settings.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it waits for and passes over the rest"
)]

mod beside;
mod cluster;
mod config;
mod demo;
mod deployed;
#[path = "../chaos/disk.rs"]
mod disk;
mod errors;
mod examples;
mod fence;
mod framework;
mod help;
mod hostile;
mod inverse_offer;
mod journal;
#[expect(dead_code, unused_imports, reason = "the benchmark needs more of it")]
mod live;
mod logs;
mod master;
mod now;
mod operator;
mod overload;
mod program;
mod raw;
mod registry;
mod requirements;
mod signals;
mod sigusr1;
mod silent;
mod slave;
mod takeout;
mod up;
mod words;
