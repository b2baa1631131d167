//! What the demo's tasks do: index a shard of files. Each file is read, hashed and compressed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::cli::nodes::Index;
use crate::exit::Exit;
use crate::framework::command::INSTANCE_VARIABLE;
use crate::output::Failure;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) compressed: u64,
    pub(super) sha256: String,
}

/// Indexes the shard of this instance, and leaves the result only once it is whole.
///
/// # Errors
/// A file that cannot be read or written, by name.
pub fn main(args: &Index) -> Result<Exit, Failure> {
    let instance = std::env::var(INSTANCE_VARIABLE).map_err(|error| {
        Failure::because(&format!("find out which shard to index from {INSTANCE_VARIABLE}"), &error)
    })?;
    let files = args.dir.join(format!("{instance}.shard"));
    let because =
        |file: &Path, error: io::Error| Failure::because(&format!("index {}", file.display()), &error);
    let list = fs::read_to_string(&files).map_err(|error| because(&files, error))?;
    let mut entries = Vec::new();
    // Real indexers take their time; this one would be over before a person has seen anything. So has one that has
    // nothing to index, in a directory of few files.
    let time = Duration::from_millis(args.time_ms);
    let pace = time / u32::try_from(list.lines().count()).unwrap_or(u32::MAX).max(1);
    for file in list.lines().map(Path::new) {
        entries.push(entry(file).map_err(|error| because(file, error))?);
        std::thread::sleep(pace);
    }
    if entries.is_empty() {
        std::thread::sleep(time);
    }
    let result = args.dir.join(format!("{instance}.index"));
    write_whole(&result, &entries).map_err(|error| because(&result, error))?;
    Ok(Exit::Success)
}

pub(super) fn entry(file: &Path) -> io::Result<Entry> {
    let bytes = fs::read(file)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let compressed = encoder.finish()?.len() as u64;
    let sha256 = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Entry { file: file.to_owned(), bytes: bytes.len() as u64, compressed, sha256 })
}

/// A task that is ended in the middle leaves nothing that could be taken for a result.
fn write_whole(file: &Path, entries: &[Entry]) -> io::Result<()> {
    let partial = file.with_extension(format!("part-{}", std::process::id()));
    let mut out = File::create(&partial)?;
    for entry in entries {
        serde_json::to_writer(&mut out, entry)?;
        out.write_all(b"\n")?;
    }
    out.sync_all()?;
    fs::rename(partial, file)
}
