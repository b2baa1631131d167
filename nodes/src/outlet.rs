//! Output of those who have better to do than to wait for its reader: what cannot be written ends nobody's work, and what
//! is not read holds nobody up.
//!
//! [`Stderr`] takes what can be written at once. An [`Outlet`] has a thread of its own.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::output::{Failure, counted};

/// How many lines wait for a reader; those beyond it are left out.
const WAITING_MAX: usize = 1 << 16;

/// For how long the last lines may wait for one that does not read.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A pipe that is ready takes so much at once.
const AT_ONCE: usize = 512;

/// How many writes found nobody who reads, since it was last said.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Standard error, for what comes while other work goes on. What would have to wait for its reader is left out, and so is
/// what nobody can read; how much it was is said when somebody reads again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut err = io::stderr().lock();
        let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
        let notice = match left_out {
            0 => String::new(),
            left_out => format!("\n({} left out here: nobody read)\n", counted(left_out, "message")),
        };
        if !put(&mut err, notice.as_bytes()) || !put(&mut err, bytes) {
            LEFT_OUT.fetch_add(left_out.saturating_add(1), Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as far as that needs no waiting; `false`: not all of it.
fn put(err: &mut io::StderrLock<'_>, bytes: &[u8]) -> bool {
    bytes.chunks(AT_ONCE).all(|part| takes(err) && err.write_all(part).is_ok())
}

fn takes(err: &io::StderrLock<'_>) -> bool {
    let mut fds = [PollFd::new(err, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // What cannot be asked is tried.
    poll(&mut fds, Some(&at_once)).map_or(true, |ready| ready > 0)
}

/// One line on [`Stderr`].
pub fn say(text: &str) {
    // It takes everything.
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

/// Says in the log that a node's line cannot be printed, and goes on: its work is of more use than the line.
pub fn or_warn(printed: io::Result<()>) {
    if let Err(error) = printed {
        tracing::warn!(%error, "standard output cannot be written; the work goes on");
    }
}

/// Prints lines on a thread of its own, in order.
#[derive(Debug)]
pub struct Outlet<T> {
    lines: SyncSender<T>,
    ended: mpsc::Receiver<Option<io::Error>>,
    left_out: u64,
}

impl<T: Send + 'static> Outlet<T> {
    /// Has `write` print each line.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(write: impl FnMut(&T) -> io::Result<()> + Send + 'static) -> Result<Self, Failure> {
        let (lines, waiting) = mpsc::sync_channel(WAITING_MAX);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let _nobody_waits = end.send(print(&waiting, write));
            })
            .map_err(|error| Failure::because("start the thread that prints", &error))?;
        Ok(Self { lines, ended, left_out: 0 })
    }

    /// Prints this soon; where too many lines wait already, not at all.
    pub fn put(&mut self, line: T) {
        match self.lines.try_send(line) {
            Ok(()) if self.left_out > 0 => {
                let left_out = counted(std::mem::take(&mut self.left_out), "line");
                say(&format!("{left_out} of the output left out: nobody read them in time"));
            }
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.left_out += 1,
        }
    }

    /// Waits for what is not printed yet; not for ever, where nobody reads.
    ///
    /// # Errors
    /// What could not be written. That the reader has gone is none.
    pub fn finish(self) -> Result<(), Failure> {
        let Self { lines, ended, left_out: _ } = self;
        drop(lines);
        match ended.recv_timeout(LAST_LINES) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(Failure::from(error)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                say("the last lines of the output are left out: nobody reads them");
                Ok(())
            }
        }
    }
}

/// Prints what comes, until nothing more does. Answers with what stood in the way last, unless it was that nobody reads.
fn print<T>(waiting: &mpsc::Receiver<T>, mut write: impl FnMut(&T) -> io::Result<()>) -> Option<io::Error> {
    let mut failed: Option<io::Error> = None;
    for line in waiting {
        match write(&line) {
            Ok(()) => {
                if failed.take().is_some() {
                    say("the output is written again");
                }
            }
            Err(error) => {
                let first = failed.is_none();
                if first {
                    say(&format!("the output cannot be written: {error}; the tasks go on without it"));
                }
                if error.kind() == io::ErrorKind::BrokenPipe {
                    // No reader comes back to a pipe. What is put from here on is dropped.
                    waiting.iter().for_each(drop);
                    return None;
                }
                failed = Some(error);
            }
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_cannot_be_written_is_said_at_the_end_and_what_comes_after_it_is_written() {
        let written = Arc::<Mutex<Vec<u32>>>::default();
        let seen = Arc::clone(&written);
        let write = move |line: &u32| match line {
            2 | 3 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            line => {
                seen.lock().unwrap().push(*line);
                Ok(())
            }
        };
        let mut outlet = Outlet::new(write.clone()).unwrap();
        (1..=4).for_each(|line| outlet.put(line));
        assert_eq!(outlet.finish(), Ok(()));
        assert_eq!(*written.lock().unwrap(), [1, 4]);
        let mut outlet = Outlet::new(write).unwrap();
        (1..=3).for_each(|line| outlet.put(line));
        assert!(outlet.finish().unwrap_err().to_text(false).contains("failed to write the output"));
    }

    #[test]
    fn a_reader_that_goes_is_no_failure() {
        let mut outlet = Outlet::new(|_: &u32| Err(io::Error::from(io::ErrorKind::BrokenPipe))).unwrap();
        (1..=3).for_each(|line| outlet.put(line));
        assert_eq!(outlet.finish(), Ok(()));
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let (go, wait) = mpsc::channel::<()>();
        let count = Arc::new(AtomicU64::new(0));
        let printed = Arc::clone(&count);
        let mut outlet = Outlet::new(move |_: &usize| {
            // Until the test has put every line.
            let _gone = wait.recv();
            printed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        (0..2 * WAITING_MAX).for_each(|line| outlet.put(line));
        assert!(outlet.left_out > 0);
        drop(go);
        assert_eq!(outlet.finish(), Ok(()));
        let printed = count.load(Ordering::Relaxed) as usize;
        assert!((WAITING_MAX..2 * WAITING_MAX).contains(&printed), "{printed}");
    }
}
