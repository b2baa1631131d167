//! The program `neap` from outside: its help, its errors, its settings.

mod cluster;
mod config;
mod errors;
mod examples;
mod framework;
mod help;
mod master;
mod operator;
mod program;
mod signals;
mod slave;
