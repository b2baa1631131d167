//! The core from outside: the codec (golden vectors, round trips, nonsense, the memory that decoding takes), and the
//! master (transcripts, inputs at random).

mod arbitrary;
mod examples;
mod golden;
mod hostile;
mod master_random;
mod memory;
mod transcript;
