//! How a process is copied.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::birth::CLONE_INTO_CGROUP;

/// Which of the two a process is after it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Original,
    Copy,
}

/// Copies this process into `cgroup`; the copy's parent is this process's. The caller has one thread: locks that
/// others hold would be held in the copy for ever.
pub(crate) fn sibling(cgroup: BorrowedFd<'_>) -> Result<Who, Errno> {
    let arguments = libc::clone_args {
        flags: libc::CLONE_PARENT as u64 | CLONE_INTO_CGROUP,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        // Whose parent is another's has the signal that the other chose.
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.as_raw_fd() as u64,
    };
    // SAFETY: the kernel reads the arguments, of the stated size. Without `CLONE_VM` the copy has memory of its own, the
    // stack of this call included, and returns from it as this process does. That the C library does not hear of the
    // copy leaves nothing of it wrong: it keeps neither pid nor tid where they are used, and no lock is held, for
    // this thread is the only one.
    let returned = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)) };
    match returned {
        0 => Ok(Who::Copy),
        1.. => Ok(Who::Original),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}
