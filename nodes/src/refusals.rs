//! What peers were refused: counted by cause, and told in the log without letting anybody fill it.
//!
//! Whoever misbehaves can do so thousands of times a second. The first time within a minute that a peer gives a
//! cause is a line; what it does again, and what too many others do, is counted. When the window is over, one line for
//! each cause says how many that were, and how many in all; the last lines are written when the node ends.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use neap_transport_quic::{Refusal, RefusalKind};
use tokio::runtime::Handle;

/// How long a peer's cause stays told.
const WINDOW: Duration = Duration::from_secs(60);

/// How many lines of single peers a window has, for each cause.
const LINES_MAX: usize = 32;

/// Why a peer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its handshake did not end in time, or made room for another's.
    HalfOpen,
    /// Its certificate is not accepted, or of a role that has no business here.
    NotLetIn,
    /// It may not be who it says that it is: another's id, or what cannot be.
    NotAdmitted,
    /// What it sent is no frame, or no message.
    Unreadable,
    /// It said what no correct peer says, or what its role may not.
    Misbehaved,
    /// It did not read what was said to it.
    TooSlow,
    /// There are too many like it.
    Crowded,
}

impl Cause {
    /// Every cause, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::HalfOpen,
        Self::NotLetIn,
        Self::NotAdmitted,
        Self::Unreadable,
        Self::Misbehaved,
        Self::TooSlow,
        Self::Crowded,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::NotLetIn => "not let in",
            Self::NotAdmitted => "not admitted",
            Self::Unreadable => "unreadable",
            Self::Misbehaved => "misbehaved",
            Self::TooSlow => "too slow",
            Self::Crowded => "crowded",
        }
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The refusals of one node. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Refusals(Arc<Mutex<Counted>>);

#[derive(Debug)]
struct Counted {
    window: Duration,
    counts: [Count; Cause::ALL.len()],
    /// Whether somebody waits for the end of the window.
    timed: bool,
}

#[derive(Debug, Default)]
struct Count {
    total: u64,
    /// Who had a line of this window.
    told: BTreeSet<String>,
    /// How many of this window had none.
    untold: u64,
}

impl Refusals {
    /// None.
    pub fn new() -> Self {
        Self::with_window(WINDOW)
    }

    fn with_window(window: Duration) -> Self {
        let counts = Default::default();
        Self(Arc::new(Mutex::new(Counted { window, counts, timed: false })))
    }

    /// Counts one, and tells of it if it is `peer`'s first of the window.
    pub fn count(&self, cause: Cause, peer: impl Display, detail: impl Display) {
        let mut counted = self.counted();
        let count = &mut counted.counts[cause as usize];
        count.total += 1;
        let peer = peer.to_string();
        if count.told.len() < LINES_MAX && !count.told.contains(&peer) {
            // Quoted: it may be in the peer's own words, and forge no line.
            let (detail, total) = (detail.to_string(), count.total);
            tracing::warn!(%cause, %peer, detail = detail.as_str(), total, "a peer was refused");
            count.told.insert(peer);
        } else {
            count.untold += 1;
        }
        if !counted.timed {
            counted.timed = self.end_window_after(counted.window);
        }
    }

    /// Counts somebody whom a listener refused. What is remembered is the host: ports are many.
    pub fn count_unmet(&self, refusal: &Refusal) {
        let cause = match refusal.kind {
            RefusalKind::HalfOpen => Cause::HalfOpen,
            RefusalKind::NotLetIn => Cause::NotLetIn,
        };
        self.count(cause, refusal.address.ip(), &refusal.cause);
    }

    /// How many there were for this cause.
    pub fn total(&self, cause: Cause) -> u64 {
        self.counted().counts[cause as usize].total
    }

    /// The node ends: tells what was not told, and what it came to.
    pub fn end(&self) {
        let mut counted = self.counted();
        counted.end_window();
        for (cause, count) in Cause::ALL.iter().zip(&counted.counts).filter(|(_, count)| count.total > 0) {
            tracing::info!(%cause, total = count.total, "peers were refused in all");
        }
    }

    /// Whether there is a runtime to do it.
    fn end_window_after(&self, window: Duration) -> bool {
        let refusals: Weak<_> = Arc::downgrade(&self.0);
        let later = async move {
            tokio::time::sleep(window).await;
            if let Some(refusals) = refusals.upgrade() {
                Self(refusals).counted().end_window();
            }
        };
        Handle::try_current().map(|runtime| drop(runtime.spawn(later))).is_ok()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Numbers are whole whatever happened to who had them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

impl Counted {
    fn end_window(&mut self) {
        self.timed = false;
        for (cause, count) in Cause::ALL.iter().zip(&mut self.counts) {
            count.told.clear();
            let (more, total) = (std::mem::take(&mut count.untold), count.total);
            if more > 0 {
                tracing::warn!(%cause, more, total, "more was refused for the same cause");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};

    /// A log that can be read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }

        fn of(what: impl FnOnce(&Self)) {
            let log = Self::default();
            let writer = log.clone();
            let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
            tracing::subscriber::with_default(lines.finish(), || what(&log));
        }
    }

    #[test]
    fn a_peer_has_one_line_a_window_and_the_rest_is_counted() {
        Log::of(|log| {
            let refusals = Refusals::default();
            for _ in 0..1_000 {
                refusals.count(Cause::Misbehaved, "eve", "nonsense");
            }
            refusals.count(Cause::Misbehaved, "mallory", "nonsense");
            refusals.count(Cause::TooSlow, "eve", "sleeps");
            let lines = log.take();
            assert_eq!(lines.len(), 3, "{lines:#?}");
            for (line, said) in lines.iter().zip(["peer=eve", "peer=mallory", "cause=too slow"]) {
                assert!(line.contains(said), "{line}");
            }
            refusals.counted().end_window();
            let lines = log.take();
            assert_eq!(lines.len(), 1, "{lines:#?}");
            assert!(lines[0].contains("cause=misbehaved more=999 total=1001"), "{}", lines[0]);
            refusals.count(Cause::Misbehaved, "eve", "again");
            assert!(log.take()[0].contains("detail=\"again\" total=1002"), "a new window has a new line");
            refusals.end();
            let lines = log.take();
            assert_eq!(lines.len(), 2, "nothing is told twice: {lines:#?}");
            assert_eq!((refusals.total(Cause::Misbehaved), refusals.total(Cause::Crowded)), (1_002, 0));
        });
    }

    #[test]
    fn a_peer_forges_no_line() {
        Log::of(|log| {
            Refusals::default().count(Cause::HalfOpen, "eve", "bye\nERROR the disk is full");
            let lines = log.take();
            assert_eq!(lines.len(), 1, "{lines:#?}");
        });
    }

    /// However many peers there are, lines and memory are bounded.
    #[test]
    fn many_peers_have_few_lines() {
        Log::of(|log| {
            let refusals = Refusals::default();
            for number in 0..10_000 {
                refusals.count(Cause::NotLetIn, number, "no certificate");
            }
            assert_eq!(log.take().len(), LINES_MAX);
            let told = refusals.counted().counts[Cause::NotLetIn as usize].told.len();
            assert_eq!((told, refusals.total(Cause::NotLetIn)), (LINES_MAX, 10_000));
        });
    }

    #[tokio::test]
    async fn a_window_ends_by_itself() {
        let refusals = Refusals::with_window(Duration::from_millis(1));
        refusals.count(Cause::HalfOpen, "eve", "hangs");
        assert!(refusals.counted().timed);
        while refusals.counted().timed {
            tokio::task::yield_now().await;
        }
        assert!(refusals.counted().counts[Cause::HalfOpen as usize].told.is_empty());
    }
}
