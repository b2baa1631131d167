//! How much memory this process has.

/// What it has in memory, in bytes; `None` where the system does not say.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The most memory that was seen, above what there was at first.
#[derive(Debug)]
pub(super) struct Peak {
    first: Option<u64>,
    most: Option<u64>,
}

impl Peak {
    pub(super) fn new() -> Self {
        let first = resident();
        Self { first, most: first }
    }

    /// Looks again, and says how much there is.
    pub(super) fn look(&mut self) -> Option<u64> {
        let now = resident();
        self.most = self.most.max(now);
        now
    }

    /// By how much it grew.
    pub(super) fn growth(&self) -> Option<u64> {
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
