//! The codec, from outside: golden vectors, round trips, nonsense, and the memory that decoding takes.

mod arbitrary;
mod examples;
mod golden;
mod hostile;
mod memory;
