//! How much memory this process has.

/// What it has in memory, in bytes; `None` where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    amount("/proc/self/status", "VmRSS:")
}

/// What it could have beside that, in bytes; `None` where the system does not say.
pub(crate) fn available() -> Option<u64> {
    amount("/proc/meminfo", "MemAvailable:")
}

fn amount(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Has the system give this process no more than so many bytes: it ends when it asks for more, and the machine goes on.
pub(crate) fn refuse_beyond(bytes: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Data);
        // A limit that is there already and lower is not ours to raise.
        if bytes < u64::MAX && current.is_none_or(|current| bytes < current) {
            // Without it, what is in memory is still looked at.
            let _ = setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

/// The most memory that was seen, above what there was at first.
#[derive(Debug)]
pub(crate) struct Peak {
    first: Option<u64>,
    most: Option<u64>,
}

impl Peak {
    pub(crate) fn new() -> Self {
        let first = resident();
        Self { first, most: first }
    }

    /// Looks again, and says how much there is.
    pub(crate) fn look(&mut self) -> Option<u64> {
        let now = resident();
        self.most = self.most.max(now);
        now
    }

    /// By how much it grew.
    pub(crate) fn growth(&self) -> Option<u64> {
        Some(self.most?.saturating_sub(self.first?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_taken_is_seen() {
        let mut peak = Peak::new();
        let taken = vec![1_u8; 64 << 20];
        peak.look();
        assert!(peak.growth().unwrap() > 48 << 20, "{peak:?}");
        assert_eq!(taken.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 << 20);
    }
}
