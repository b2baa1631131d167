//! neap's programs: master, slave, frameworks and operators, behind one command line.
//!
//! [`cli`] is the face. The commands are in [`master`], [`slave`] and [`executor`] (the drivers of those machines),
//! [`framework`] (authors, and `neap run`), [`operator`] and [`pki`];
//! what drivers share is in [`driver`], [`sessions`], [`refusals`] and [`journal`], and how a file outlives crashes in
//! `database`. Below are what every command shares: settings ([`config`]), quantities ([`units`]), files ([`files`],
//! [`incarnation`]), results and errors ([`output`], [`outlet`], [`exit`], [`near`]), logs ([`log`]) and signals
//! ([`shutdown`]).
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
#[cfg(test)]
mod crashes;
mod database;
pub mod demo;
pub mod driver;
pub mod executor;
pub mod exit;
pub mod files;
pub mod framework;
#[cfg(test)]
mod golden;
pub mod host;
pub mod incarnation;
pub mod journal;
pub mod log;
pub mod master;
pub mod near;
pub mod operator;
pub mod outlet;
pub mod output;
mod pending;
pub mod pki;
pub mod refusals;
pub mod sessions;
pub mod shutdown;
pub mod slave;
pub mod units;
pub mod up;
