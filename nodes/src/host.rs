//! What this host has, for a slave that was not told what to offer.

use std::io;
use std::path::Path;

use crate::units::{ByteSize, Cpus};

/// Every cpu that this process may run on.
///
/// # Errors
/// The system's, where it does not tell.
pub fn cpus() -> io::Result<Cpus> {
    let cpus = std::thread::available_parallelism()?.get();
    Ok(Cpus::saturating_from((cpus as u64).saturating_mul(1000)))
}

/// The memory to offer: all but 1 GiB for the system, or half of what there is where that is more.
pub fn mem() -> ByteSize {
    let info = rustix::system::sysinfo();
    let total = info.totalram.saturating_mul(u64::from(info.mem_unit));
    ByteSize::saturating_from(total.saturating_sub(1 << 30).max(total / 2))
}

/// The disk to offer: what is free on the filesystem of `dir`, or of its nearest parent that exists.
///
/// # Errors
/// The system's, where no such filesystem can be asked.
pub fn disk(dir: &Path) -> io::Result<ByteSize> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(existing)?;
    Ok(ByteSize::saturating_from(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_something() {
        assert!(cpus().unwrap().thousandths() >= 1000);
        assert!(mem().bytes() > 0);
        assert!(disk(Path::new("no/such/directory/yet")).unwrap().bytes() > 0);
    }
}
