//! The framework's machine.
