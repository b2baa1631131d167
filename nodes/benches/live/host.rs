//! What the figures depend on beside neap.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use neap_process_tree::{Options, Trees};

/// One line on the machine: what it is, how busy, how process trees are kept, how long its disk takes.
pub(crate) fn describe() -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let load = read("/proc/loadavg");
    let place = tempfile::tempdir().map_err(|error| format!("failed to make a directory: {error}"))?;
    let options = Options { name: "host".to_owned(), state: place.path().join("trees"), means: None };
    let trees = Trees::open(options).map_err(|error| error.to_string())?;
    Ok(format!(
        "Linux {}, {cores} cores, load {}; process trees by {}; fdatasync {:.2} ms (median)",
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
        trees.means().word(),
        sync_ms(place.path()).map_err(|error| format!("failed to time the disk: {error}"))?,
    ))
}

/// How long an appended block takes to be durable where nodes keep their data.
fn sync_ms(place: &std::path::Path) -> std::io::Result<f64> {
    let mut file = File::create(place.join("synced"))?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        file.write_all(&[0; 4096])?;
        let begin = Instant::now();
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[SYNCS / 2])
}

const SYNCS: usize = 101;
