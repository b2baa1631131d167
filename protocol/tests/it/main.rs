//! The core from outside: the codec (golden vectors, round trips, nonsense, the memory that decoding takes), the
//! master (transcripts, inputs at random), and what it costs to clone a machine.

mod arbitrary;
mod examples;
mod golden;
mod hostile;
mod master_random;
mod memory;
mod size;
mod small;
mod transcript;
