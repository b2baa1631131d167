//! The executor's machine.
