//! neap's pure core: the state machines of every role, the messages between them, and their codec.
//!
//! Nothing here knows what a socket, a file, a clock, a process or a thread is. A driver feeds a machine one
//! `Input` at a time and carries out the `Effect`s that come back; the same machines are driven by the checker, the
//! simulator, the fuzzers, the replayer and the real nodes.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod codec;
pub mod executor;
pub mod framework;
pub mod ids;
pub mod journal;
pub mod map;
pub mod master;
pub mod message;
pub mod outbox;
pub mod registry;
pub mod resources;
pub mod shared;
pub mod slave;
pub mod task;
pub mod text;
pub mod time;
pub mod transport;
