//! How a process comes to life.
//!
//! A leader is born by `clone3` with `CLONE_VM | CLONE_VFORK`: it borrows the slave's memory until it executes its
//! program, so that no page table is copied however large the slave is. Three rules make that sound:
//!
//! - the child runs on a **stack of its own**, entered by a few lines of assembly, so that it never touches a frame
//!   that the calling thread will use again;
//! - everything it needs is **prepared before**; it makes system calls and writes two atomics, and neither allocates
//!   nor takes a lock;
//! - **all signals are blocked** in the calling thread meanwhile, so that no handler runs in the borrowed memory.
//!
//! A supervisor (see [`crate::supervised`]) lives long, so it is born with a copy of the memory instead, in which
//! other threads' locks may be held for ever: it keeps to the second rule for its whole life.

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};

/// What a leader becomes, with everything that it needs already opened.
#[derive(Debug)]
pub(crate) struct Image {
    /// The program's path; `None` exits 0 at once, which is how a means is tried out.
    pub(crate) program: Option<CString>,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) directory: OwnedFd,
    /// Standard input, output and error. All are above 2: [`Image`]'s maker sees to it.
    pub(crate) streams: [OwnedFd; 3],
}

/// The system call of the newborn that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Step {
    Clone = 1,
    Session,
    Directory,
    Streams,
    CloseOnExec,
    Execute,
    Map,
    Subreaper,
    /// The supervisor ended before it could tell.
    Report,
}

/// Why nobody was born.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stillborn {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

/// A process just born: the caller's child, not yet waited for.
#[derive(Debug)]
pub(crate) struct Newborn {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// How a supervisor keeps its tree together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It is the first process of a PID namespace; `user`: and of a user namespace, which needs no privilege.
    Namespace { user: bool },
    /// It is the one that orphans are given to.
    Subreaper,
}

/// What a supervisor tells, as native-endian words: kind, then two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The leader runs; its pid as the supervisor sees it.
    Launched(i32),
    /// No leader was born.
    Failed(Stillborn),
    /// The leader was reaped; its wait status.
    Ended(i32),
}

impl Told {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn decode(bytes: [u8; Self::BYTES]) -> Option<Told> {
        let word = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        match word(0) {
            LAUNCHED => Some(Told::Launched(word(4))),
            FAILED => Some(Told::Failed(Stillborn::of(word(4), word(8)))),
            ENDED => Some(Told::Ended(word(4))),
            _ => None,
        }
    }
}

impl Stillborn {
    pub(crate) fn of(step: i32, errno: i32) -> Stillborn {
        let steps = [
            Step::Clone,
            Step::Session,
            Step::Directory,
            Step::Streams,
            Step::CloseOnExec,
            Step::Execute,
            Step::Map,
            Step::Subreaper,
        ];
        let step = steps.into_iter().find(|known| *known as i32 == step).unwrap_or(Step::Report);
        Stillborn { step, errno: Errno::from_raw_os_error(errno) }
    }
}

/// Starts a leader, in `cgroup` where one is given, and returns once its program runs.
///
/// The calling thread is suspended until then. A leader that could not execute is already reaped.
pub(crate) fn leader(image: &Image, cgroup: Option<BorrowedFd<'_>>) -> Result<Newborn, Stillborn> {
    let prepared = Prepared::new(image);
    let plan = prepared.plan();
    let mut stack = Stack::new();
    let masked = MaskedSignals::new();
    // SAFETY: `leader_main` takes a `LeaderPlan`, which outlives the child's use of it: `CLONE_VFORK` suspends this
    // thread until the child has executed or exited. It keeps the module's three rules; signals are masked.
    let born =
        unsafe { clone(Memory::Borrowed, 0, cgroup, &mut stack, leader_main, ptr::from_ref(&plan).cast()) };
    drop(masked);
    let born = born?;
    match plan.failure() {
        None => Ok(born),
        Some(failure) => {
            reap(&born);
            Err(failure)
        }
    }
}

/// Starts a supervisor, which waits on `socket` for one byte before it starts `image`, tells its launch, waits for
/// another byte before it reaps, tells the leader's end, and exits when it has no child left, having unlinked
/// `record`. When the other end is closed before the first byte it exits without starting anything.
///
/// `other_end` is the slave's end of the socket, which the supervisor closes in its copy.
pub(crate) fn supervisor(
    image: &Image,
    keeping: Keeping,
    socket: &OwnedFd,
    other_end: &OwnedFd,
    record: &CString,
) -> Result<Newborn, Stillborn> {
    let prepared = Prepared::new(image);
    let mut leader_stack = Stack::new();
    let user_namespace = keeping == Keeping::Namespace { user: true };
    let plan = SupervisorPlan {
        leader: prepared.plan(),
        leader_stack: leader_stack.bounds(),
        socket: socket.as_raw_fd(),
        other_end: other_end.as_raw_fd(),
        record: record.as_ptr(),
        subreaper: keeping == Keeping::Subreaper,
        maps: user_namespace.then(Maps::of_this_user),
    };
    let flags = match keeping {
        Keeping::Namespace { user: false } => libc::CLONE_NEWPID,
        Keeping::Namespace { user: true } => libc::CLONE_NEWPID | libc::CLONE_NEWUSER,
        Keeping::Subreaper => 0,
    };
    let mut stack = Stack::new();
    let masked = MaskedSignals::new();
    // SAFETY: `supervisor_main` takes a `SupervisorPlan`; the child has a copy of it and of all that it points to,
    // which nobody else can free. It keeps the module's second rule; signals stay masked in it for ever.
    let born = unsafe {
        clone(Memory::Copied, flags as u64, None, &mut stack, supervisor_main, ptr::from_ref(&plan).cast())
    };
    drop(masked);
    born
}

pub(crate) fn reap(born: &Newborn) {
    // It has exited or is about to: this waits for no more than that. A slave that ignores SIGCHLD has no zombie.
    let _reaped = rustix::process::waitid(WaitId::PidFd(borrow(&born.pidfd)), WaitIdOptions::EXITED);
}

fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    use std::os::fd::AsFd;
    fd.as_fd()
}

/// The pointer arrays that `execve` wants, kept alive beside what they point into.
struct Prepared<'a> {
    image: &'a Image,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

impl<'a> Prepared<'a> {
    fn new(image: &'a Image) -> Prepared<'a> {
        let pointers = |strings: &[CString]| {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        Prepared { image, arguments: pointers(&image.arguments), environment: pointers(&image.environment) }
    }

    fn plan(&self) -> LeaderPlan {
        LeaderPlan {
            program: self.image.program.as_ref().map_or(ptr::null(), |program| program.as_ptr()),
            arguments: self.arguments.as_ptr(),
            environment: self.environment.as_ptr(),
            directory: self.image.directory.as_raw_fd(),
            streams: self.image.streams.each_ref().map(AsRawFd::as_raw_fd),
            failed_step: AtomicI32::new(0),
            errno: AtomicI32::new(0),
        }
    }
}

/// What a leader reads, and where it writes why it failed.
struct LeaderPlan {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    directory: c_int,
    streams: [c_int; 3],
    failed_step: AtomicI32,
    errno: AtomicI32,
}

impl LeaderPlan {
    fn failure(&self) -> Option<Stillborn> {
        match self.failed_step.load(Ordering::Acquire) {
            0 => None,
            step => Some(Stillborn::of(step, self.errno.load(Ordering::Acquire))),
        }
    }
}

struct SupervisorPlan {
    leader: LeaderPlan,
    leader_stack: StackBounds,
    socket: c_int,
    other_end: c_int,
    record: *const c_char,
    subreaper: bool,
    maps: Option<Maps>,
}

/// The lines that map this user and group, and nobody else, into a user namespace.
struct Maps {
    user: Vec<u8>,
    group: Vec<u8>,
}

impl Maps {
    fn of_this_user() -> Maps {
        let line = |id: u32| format!("{id} {id} 1\n").into_bytes();
        Maps {
            user: line(rustix::process::geteuid().as_raw()),
            group: line(rustix::process::getegid().as_raw()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// The caller's own, while the caller is suspended.
    Borrowed,
    Copied,
}

/// A stack for a newborn. It makes shallow calls only.
struct Stack(Box<[MaybeUninit<u128>]>);

#[derive(Clone, Copy)]
struct StackBounds {
    lowest: *mut c_void,
    bytes: usize,
}

impl Stack {
    fn new() -> Stack {
        Stack(Box::new_uninit_slice(STACK_BYTES / size_of::<u128>()))
    }

    fn bounds(&mut self) -> StackBounds {
        StackBounds { lowest: self.0.as_mut_ptr().cast(), bytes: STACK_BYTES }
    }
}

/// Every signal is blocked in this thread until it is dropped.
struct MaskedSignals {
    before: u64,
}

impl MaskedSignals {
    fn new() -> MaskedSignals {
        let mut before = 0_u64;
        // SAFETY: the kernel reads one signal set and writes another, each of the 8 bytes that the call states.
        // The raw call is meant: the C library's leaves its own two signals unblocked.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const ALL_SIGNALS,
                &raw mut before,
                8_usize,
            )
        };
        MaskedSignals { before }
    }
}

impl Drop for MaskedSignals {
    fn drop(&mut self) {
        set_signal_mask(self.before);
    }
}

fn set_signal_mask(mask: u64) {
    // SAFETY: the kernel reads a signal set of the stated 8 bytes and writes nothing.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            ptr::null_mut::<u64>(),
            8_usize,
        )
    };
}

type Entry = unsafe extern "C" fn(*const c_void) -> !;

/// Starts `entry(argument)` as a new process on `stack`.
///
/// # Safety
/// `argument` is what `entry` takes and is valid until a borrowing child has executed or exited; `entry` keeps the
/// module's rules; all signals are masked.
unsafe fn clone(
    memory: Memory,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    stack: &mut Stack,
    entry: Entry,
    argument: *const c_void,
) -> Result<Newborn, Stillborn> {
    let mut pidfd: c_int = -1;
    let bounds = stack.bounds();
    // SAFETY: as the caller promised; `pidfd` and `bounds` are this frame's own and outlive the call.
    let returned = unsafe { clone_raw(memory, flags, cgroup, Some(&mut pidfd), bounds, entry, argument) };
    match Pid::from_raw(i32::try_from(returned).unwrap_or(-1).max(0)) {
        // SAFETY: `CLONE_PIDFD` has just made this descriptor for us, and nobody else knows it.
        Some(pid) => Ok(Newborn { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
        None => Err(Stillborn::of(Step::Clone as i32, i32::try_from(-returned).unwrap_or(libc::EINVAL))),
    }
}

/// The system call: the child's pid, or a negated error number. It is called in children too.
///
/// # Safety
/// As [`clone`]; and `stack` is memory that nobody else uses.
unsafe fn clone_raw(
    memory: Memory,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    pidfd: Option<&mut c_int>,
    stack: StackBounds,
    entry: Entry,
    argument: *const c_void,
) -> c_long {
    let shared = match memory {
        Memory::Borrowed => (libc::CLONE_VM | libc::CLONE_VFORK) as u64,
        Memory::Copied => 0,
    };
    let arguments = libc::clone_args {
        flags: flags
            | shared
            | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 }
            | if pidfd.is_some() { libc::CLONE_PIDFD as u64 } else { 0 },
        pidfd: pidfd.map_or(0, |pidfd| ptr::from_mut(pidfd) as u64),
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.lowest as u64,
        stack_size: stack.bytes as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
    };
    // SAFETY: as the caller promised.
    unsafe { enter(&arguments, entry, argument) }
}

/// # Safety
/// As [`clone_raw`].
#[cfg(target_arch = "x86_64")]
unsafe fn enter(arguments: &libc::clone_args, entry: Entry, argument: *const c_void) -> c_long {
    let returned: c_long;
    // SAFETY: in the parent this is one system call, which clobbers rcx and r11. The child leaves it with the top of
    // its own stack in rsp (16-aligned, as the call wants it) and never comes back: `entry` does not return.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => returned,
            in("rdi") ptr::from_ref(arguments),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    returned
}

/// # Safety
/// As [`clone_raw`].
#[cfg(target_arch = "aarch64")]
unsafe fn enter(arguments: &libc::clone_args, entry: Entry, argument: *const c_void) -> c_long {
    let returned: c_long;
    // SAFETY: in the parent this is one system call, which clobbers x0 only. The child leaves it with the top of its
    // own stack in sp and never comes back: `entry` does not return.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_ref(arguments) => returned,
            in("x1") size_of::<libc::clone_args>(),
            in("x20") argument,
            in("x21") entry,
        );
    }
    returned
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "neap-process-tree knows how to enter a new process on x86_64 and aarch64: add `enter` for this one"
);

/// A leader's life until it is its program. It runs in the slave's (or a supervisor's) own memory.
///
/// # Safety
/// `argument` is a [`LeaderPlan`] whose pointers are valid; all signals are masked.
unsafe extern "C" fn leader_main(argument: *const c_void) -> ! {
    // SAFETY: the caller's promise. Every call below is a plain system call over descriptors and pointers of the plan.
    unsafe {
        let plan = &*argument.cast::<LeaderPlan>();
        if libc::setsid() < 0 {
            leader_failed(plan, Step::Session);
        }
        default_dispositions();
        if libc::fchdir(plan.directory) < 0 {
            leader_failed(plan, Step::Directory);
        }
        for (at, stream) in plan.streams.iter().enumerate() {
            if libc::dup2(*stream, at as c_int) < 0 {
                leader_failed(plan, Step::Streams);
            }
        }
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) < 0 {
            leader_failed(plan, Step::CloseOnExec);
        }
        if plan.program.is_null() {
            libc::_exit(0);
        }
        set_signal_mask(0);
        libc::execve(plan.program, plan.arguments, plan.environment);
        leader_failed(plan, Step::Execute)
    }
}

/// # Safety
/// In a leader.
unsafe fn leader_failed(plan: &LeaderPlan, step: Step) -> ! {
    plan.errno.store(last_errno(), Ordering::Release);
    plan.failed_step.store(step as i32, Ordering::Release);
    // SAFETY: it ends this process and runs nothing of the C library's on the way.
    unsafe { libc::_exit(127) }
}

/// A supervisor's life.
///
/// # Safety
/// `argument` is a [`SupervisorPlan`] in memory that is this process's own; all signals are masked.
unsafe extern "C" fn supervisor_main(argument: *const c_void) -> ! {
    // SAFETY: the caller's promise. Every call below is a plain system call over descriptors and pointers of the plan.
    unsafe {
        let plan = &*argument.cast::<SupervisorPlan>();
        libc::close(plan.other_end);
        libc::setsid();
        default_dispositions();
        libc::prctl(libc::PR_SET_NAME, SUPERVISOR_NAME.as_ptr());
        if plan.subreaper && libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) < 0 {
            supervisor_failed(plan, Step::Subreaper, last_errno());
        }
        if let Some(maps) = &plan.maps {
            let mapped = write_file(c"/proc/self/setgroups", b"deny")
                && write_file(c"/proc/self/gid_map", &maps.group)
                && write_file(c"/proc/self/uid_map", &maps.user);
            if !mapped {
                supervisor_failed(plan, Step::Map, last_errno());
            }
        }
        if !told_to_go_on(plan.socket) {
            libc::_exit(0);
        }
        let pid = launch_leader(plan);
        keep_only(plan.socket);
        tell(0, [LAUNCHED, pid, 0]);
        // A closed socket means that the slave has gone, not that the tree should: it outlives its slave (R28).
        let _slave_lives = told_to_go_on(0);
        reap_until_alone(pid);
        libc::unlink(plan.record);
        libc::_exit(0)
    }
}

/// # Safety
/// In a supervisor.
unsafe fn launch_leader(plan: &SupervisorPlan) -> c_int {
    // SAFETY: the leader's plan is this process's own and this thread, its only one, is suspended while the leader
    // borrows it; the leader's stack is in nobody else's use.
    let returned = unsafe {
        clone_raw(
            Memory::Borrowed,
            0,
            None,
            None,
            plan.leader_stack,
            leader_main,
            ptr::from_ref(&plan.leader).cast(),
        )
    };
    let pid = returned as c_int;
    // SAFETY: the promise that this is a supervisor is passed on.
    unsafe {
        if pid < 0 {
            supervisor_failed(plan, Step::Clone, -pid);
        }
        if let Some(failure) = plan.leader.failure() {
            supervisor_failed(plan, failure.step, failure.errno.raw_os_error());
        }
    }
    pid
}

/// Reaps whoever ends, tells of the leader, and returns when no child is left.
///
/// # Safety
/// In a supervisor, after [`keep_only`].
unsafe fn reap_until_alone(leader: c_int) {
    loop {
        let mut status: c_int = 0;
        // SAFETY: the kernel writes one word. `__WALL` includes children that were cloned without SIGCHLD.
        let pid = unsafe {
            libc::syscall(libc::SYS_wait4, -1, &raw mut status, libc::__WALL, ptr::null_mut::<libc::rusage>())
        };
        if pid == c_long::from(leader) {
            // SAFETY: the promise that this is a supervisor is passed on.
            unsafe { tell(0, [ENDED, status, 0]) };
        }
        if pid < 0 && last_errno() == libc::ECHILD {
            return;
        }
    }
}

/// # Safety
/// In a supervisor.
unsafe fn supervisor_failed(plan: &SupervisorPlan, step: Step, errno: c_int) -> ! {
    // SAFETY: plain system calls; the process ends here.
    unsafe {
        tell(plan.socket, [FAILED, step as c_int, errno]);
        libc::unlink(plan.record);
        libc::_exit(127)
    }
}

/// Moves the socket to descriptor 0 and closes all others, so that a supervisor holds no file of the slave's.
///
/// # Safety
/// In a supervisor.
unsafe fn keep_only(socket: c_int) {
    // SAFETY: plain system calls. Nothing else in this process uses a descriptor.
    unsafe {
        libc::dup2(socket, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        libc::chdir(c"/".as_ptr());
    }
}

/// # Safety
/// In a supervisor.
unsafe fn tell(socket: c_int, words: [i32; 3]) {
    // SAFETY: the kernel reads the words. SIGPIPE is masked, and a slave that has gone needs no telling.
    unsafe { libc::write(socket, words.as_ptr().cast(), size_of_val(&words)) };
}

/// # Safety
/// In a supervisor.
unsafe fn told_to_go_on(socket: c_int) -> bool {
    let mut byte = 0_u8;
    loop {
        // SAFETY: the kernel writes at most one byte.
        let read = unsafe { libc::read(socket, (&raw mut byte).cast(), 1) };
        if read >= 0 || last_errno() != libc::EINTR {
            return read == 1;
        }
    }
}

/// # Safety
/// In a supervisor.
unsafe fn write_file(path: &std::ffi::CStr, content: &[u8]) -> bool {
    // SAFETY: the kernel reads a terminated path and as many bytes as `content` has.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let written = libc::write(file, content.as_ptr().cast(), content.len());
        let errno = last_errno();
        libc::close(file);
        *libc::__errno_location() = errno;
        usize::try_from(written) == Ok(content.len())
    }
}

/// Undoes every handler and every ignored signal, which a program would inherit.
///
/// # Safety
/// In a newborn, whose table of handlers is its own.
unsafe fn default_dispositions() {
    // The kernel's own `sigaction`: handler (0 is the default), flags, restorer where there is one, mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads one `sigaction`, no longer than `default`, and writes nothing. SIGKILL and
        // SIGSTOP are refused, rightly.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, ptr::null_mut::<u64>(), 8_usize)
        };
    }
}

fn last_errno() -> c_int {
    // SAFETY: the C library's own location, valid in every thread; a borrowing child uses its suspended parent's.
    unsafe { *libc::__errno_location() }
}

/// Moves a descriptor above the three standard ones, over which a newborn lays others.
pub(crate) fn above_standard(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

const STACK_BYTES: usize = 64 * 1024;
static ALL_SIGNALS: u64 = u64::MAX;
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SUPERVISOR_NAME: &std::ffi::CStr = c"neap-tree";
const LAUNCHED: i32 = 1;
const FAILED: i32 = 2;
const ENDED: i32 = 3;
