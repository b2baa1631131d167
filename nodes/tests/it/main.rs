//! The program `neap` from outside: its help, its errors, its settings.

mod config;
mod errors;
mod examples;
mod framework;
mod help;
mod program;
mod signals;
mod slave;
