//! The program `neap` from outside: its help, its errors, its settings.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it waits for and passes over the rest"
)]

mod cluster;
mod config;
mod errors;
mod examples;
mod framework;
mod help;
mod logs;
mod master;
mod operator;
mod program;
mod signals;
mod slave;
mod up;
