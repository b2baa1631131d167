//! neap's pure core: the state machines of every role, the messages between them, and their codec.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod text;
pub mod transport;
