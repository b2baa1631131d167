//! The core from outside.

mod master_random;
mod transcript;
