//! The core from outside.

mod transcript;
