//! The core from outside: the codec (golden vectors, nonsense), the master (transcripts), what it offers to whom, how
//! resources are counted, and what it costs to clone a machine. Round trips and inputs at random are `neap-fuzz`'s.

mod allocator;
mod examples;
mod golden;
mod hostile;
mod memory;
mod resources;
mod size;
mod small;
mod transcript;
