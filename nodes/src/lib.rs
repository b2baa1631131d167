//! neap's programs: master, slave, frameworks and operators, behind one command line.
//!
//! [`cli`] is the face; below it are what every command shares: settings ([`config`]), quantities ([`units`]),
//! results and errors ([`output`], [`exit`], [`near`]), logs ([`log`]) and signals ([`shutdown`]).
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod driver;
pub mod executor;
pub mod exit;
pub mod framework;
pub mod host;
pub mod log;
pub mod near;
pub mod output;
pub mod sessions;
pub mod shutdown;
pub mod slave;
pub mod units;
