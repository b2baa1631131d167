//! The core from outside: the codec (golden vectors, nonsense), the master (transcripts), and what it costs to clone a
//! machine. Round trips and inputs at random are `neap-fuzz`'s.

mod examples;
mod golden;
mod hostile;
mod memory;
mod size;
mod small;
mod transcript;
