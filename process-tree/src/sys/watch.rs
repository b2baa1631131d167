//! Waiting for descriptors on tokio.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::proc::Process;

/// What owns one descriptor, always the same, for as long as it lives.
///
/// # Safety
/// `as_raw_fd` gives the same open descriptor until the value is dropped, which nothing else closes.
pub(crate) unsafe trait Steady: AsRawFd {}

// SAFETY: an owned descriptor is closed by its drop alone.
unsafe impl Steady for OwnedFd {}
// SAFETY: as `OwnedFd`.
unsafe impl Steady for File {}
// SAFETY: its descriptor is a private `OwnedFd`, which nothing replaces.
unsafe impl Steady for Process {}

/// Registers a descriptor with the runtime that this is called in.
pub(crate) fn watch<T: Steady>(watched: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: `Steady` is the promise that this asks for, and `AsyncFd` deregisters before it drops the value.
    Ok(unsafe { AsyncFd::register_with_interest(watched, interest) }?)
}
