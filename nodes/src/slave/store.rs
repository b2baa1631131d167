//! The slave's checkpoint on disk: a file of records, each checked by a CRC, that is only ever appended to.
//!
//! A batch of changes is one record, and is synced before its answer. What a crash tore is therefore the last record,
//! was never answered, and is cut off; anything else that does not check is corruption, and is reported and not read.
//! A file that has grown beyond its use is written anew beside itself and renamed over; and so is what an earlier start
//! left, as nobody can tell whether all of it is on the disk. Its first record is therefore on the disk before the file
//! has its name, and no crash tears that.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use neap_protocol::ids::Seq;
use neap_protocol::slave::{Checkpoint, CheckpointChange};

use crate::files;

/// The first bytes of the file, with its version.
const MAGIC: &[u8; 8] = b"neapckp2";

/// Before a record: its length, that length's CRC and the record's, each four bytes, little-endian.
const HEADER: usize = 12;

/// A file below this is not compacted.
const COMPACT_MIN: u64 = 1 << 20;

/// The most changes of one record.
const BATCH_MAX: usize = 1024;

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    disk: Box<dyn Disk>,
    /// `None`: a write failed, and only a whole checkpoint, in a new file, mends it.
    file: Option<Box<dyn Records>>,
    checkpoint: Checkpoint,
    length: u64,
    /// The length after the last compaction.
    compacted: u64,
    compact_min: u64,
}

/// What stands between the checkpoint and the hardware. Tests put a disk here that tears, loses and refuses.
trait Disk: Debug + Send {
    /// What a file holds; `None` where there is none of that name.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Makes an empty file, in the place of another if there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Records>>;
    /// Gives a file another's name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in the directory of `path` durable.
    fn sync_name(&self, path: &Path) -> io::Result<()>;
}

/// An open file, which is only ever written to at its end.
trait Records: Debug + Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// The system's files.
#[derive(Debug)]
struct System;

impl Disk for System {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Records>> {
        Ok(Box::new(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_name(&self, path: &Path) -> io::Result<()> {
        files::sync_name(path)
    }
}

impl Records for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("failed to use the checkpoint {}: {source}", path.display())]
    System { path: PathBuf, source: io::Error },
    #[error("the checkpoint {} is corrupt at byte {at}: {cause}", path.display())]
    Corrupt { path: PathBuf, at: usize, cause: &'static str },
}

/// An answer to a write.
pub(super) type Answer = (Seq, Result<(), String>);

/// What writes are sent to, and the thread that makes them.
pub(super) type Serving = (mpsc::Sender<(Seq, CheckpointChange)>, JoinHandle<()>);

impl Store {
    /// Opens the checkpoint in `directory`, which is made where there is none. The bytes that a crash tore are cut
    /// off, and how many they were is the second of the pair.
    pub(super) fn open(directory: &Path) -> Result<(Self, usize), StoreError> {
        let path = directory.join("checkpoint");
        files::make_directory(directory)
            .map_err(|source| StoreError::System { path: path.clone(), source })?;
        Self::open_with(path, Box::new(System), COMPACT_MIN)
    }

    fn open_with(path: PathBuf, disk: Box<dyn Disk>, compact_min: u64) -> Result<(Self, usize), StoreError> {
        let system = |source| StoreError::System { path: path.clone(), source };
        let bytes = disk.read(&path).map_err(system)?;
        let corrupt = |(at, cause)| StoreError::Corrupt { path: path.clone(), at, cause };
        let replayed = bytes.as_deref().map(replay).transpose().map_err(corrupt)?;
        // Where there is no file, there has been no slave.
        let (checkpoint, good) = replayed.unwrap_or_default();
        let torn = bytes.map_or(0, |bytes| bytes.len() - good);
        let mut store =
            Self { path: path.clone(), disk, file: None, checkpoint, length: 0, compacted: 0, compact_min };
        match store.compact(Vec::new()) {
            Ok(()) => {}
            // What runs here is to be looked after all the same. What is there stands, until there is room to write.
            Err(error) if good > 0 && files::is_full(&error) => {
                tracing::error!(%error, path = %path.display(), "the checkpoint cannot be written; make room on its disk");
            }
            Err(error) => return Err(system(error)),
        }
        Ok((store, torn))
    }

    /// What it says, if it says anything.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        (self.checkpoint != Checkpoint::default()).then(|| self.checkpoint.clone())
    }

    /// Writes on a thread of its own, in order, until the sender is dropped; `answer` takes each answer there.
    pub(super) fn serve(mut self, answer: impl Fn(Answer) + Send + 'static) -> io::Result<Serving> {
        let (sender, writes) = mpsc::channel();
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            while let Ok(first) = writes.recv() {
                let more = writes.try_iter().take(BATCH_MAX - 1);
                let (seqs, changes): (Vec<Seq>, Vec<CheckpointChange>) =
                    std::iter::once(first).chain(more).unzip();
                match self.write(changes) {
                    // The last covers those before it.
                    Ok(()) => seqs.last().into_iter().for_each(|seq| answer((*seq, Ok(())))),
                    Err(error) => seqs.iter().for_each(|seq| answer((*seq, Err(error.to_string())))),
                }
            }
        })?;
        Ok((sender, thread))
    }

    fn write(&mut self, changes: Vec<CheckpointChange>) -> io::Result<()> {
        let whole = changes
            .iter()
            .rposition(|change| matches!(change, CheckpointChange::Whole(_) | CheckpointChange::Cleared));
        if self.file.is_none() && whole.is_none() {
            return Err(io::Error::other("an earlier write failed, and this one builds on it"));
        }
        let record = record(&changes)?;
        let grown = self.length + record.len() as u64 > self.compact_min.max(4 * self.compacted);
        // Back in its place once it has taken the record.
        match self.file.take().filter(|_| !grown) {
            None => self.compact(changes),
            Some(mut file) => {
                file.append(&record)?;
                file.sync()?;
                self.file = Some(file);
                self.length += record.len() as u64;
                changes.into_iter().for_each(|change| self.checkpoint.apply(change));
                Ok(())
            }
        }
    }

    /// Puts a file that says just what this one does, and `changes`, in its place, durably.
    fn compact(&mut self, changes: Vec<CheckpointChange>) -> io::Result<()> {
        let mut next = self.checkpoint.clone();
        changes.into_iter().for_each(|change| next.apply(change));
        let bytes = [MAGIC.as_slice(), &record(&[CheckpointChange::Whole(next.clone())])?].concat();
        let beside = self.path.with_extension("new");
        let mut file = self.disk.create(&beside)?;
        file.append(&bytes)?;
        file.sync()?;
        self.disk.rename(&beside, &self.path)?;
        self.disk.sync_name(&self.path)?;
        (self.file, self.checkpoint) = (Some(file), next);
        self.length = bytes.len() as u64;
        self.compacted = self.length;
        Ok(())
    }
}

fn record(changes: &[CheckpointChange]) -> io::Result<Vec<u8>> {
    let body = postcard::to_allocvec(changes).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
    let mut record = Vec::with_capacity(HEADER + body.len());
    record.extend(length);
    record.extend(crc32fast::hash(&length).to_le_bytes());
    record.extend(crc32fast::hash(&body).to_le_bytes());
    record.extend(body);
    Ok(record)
}

/// What the file says, and how many of its bytes are whole records. The rest was torn by a crash.
fn replay(bytes: &[u8]) -> Result<(Checkpoint, usize), (usize, &'static str)> {
    let mut checkpoint = Checkpoint::default();
    if !bytes.starts_with(MAGIC) {
        return Err(match MAGIC.starts_with(bytes) {
            true => (bytes.len(), CUT_OFF),
            false => (0, FOREIGN),
        });
    }
    let mut at = MAGIC.len();
    loop {
        match next(&bytes[at..]).map_err(|cause| (at, cause))? {
            Some((changes, end)) => {
                changes.into_iter().for_each(|change| checkpoint.apply(change));
                at += end;
            }
            None if at == MAGIC.len() => return Err((at, CUT_OFF)),
            None => return Ok((checkpoint, at)),
        }
    }
}

const CUT_OFF: &str = "its first record is not whole, and no crash leaves it so";
const FOREIGN: &str =
    "it does not begin as a checkpoint of this neap does; if another release wrote it, start that one";

/// The first record of `rest`, and where that ends. `None`: there is no whole one, and a crash can have left it so.
fn next(rest: &[u8]) -> Result<Option<(Vec<CheckpointChange>, usize)>, &'static str> {
    // A crash may leave a file longer than what was written to it: the rest is then zeros.
    if rest.len() < HEADER || rest.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let [length, length_crc, body_crc] = [0, 4, 8].map(|from| word(&rest[from..]));
    if crc32fast::hash(&length.to_le_bytes()) != length_crc {
        // No record's changes are all zeros: these never came, nor did all of what stands before them.
        return match rest[HEADER..].iter().all(|byte| *byte == 0) {
            true => Ok(None),
            false => Err("a record's length does not check"),
        };
    }
    let end = HEADER + length as usize;
    if end > rest.len() {
        return Ok(None);
    }
    let body = &rest[HEADER..end];
    if crc32fast::hash(body) != body_crc {
        return match end == rest.len() {
            true => Ok(None),
            false => Err("a record does not check, and others follow"),
        };
    }
    let changes = postcard::from_bytes(body).map_err(|_| "a record checks, and yet it cannot be read")?;
    Ok(Some((changes, end)))
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;
    use neap_protocol::ids::{Epoch, SlaveId};

    fn identity(id: u32) -> CheckpointChange {
        CheckpointChange::Identity { id: SlaveId(id), epoch: Epoch(id.into()) }
    }

    fn written(directory: &Path, ids: std::ops::RangeInclusive<u32>) {
        let (mut store, torn) = Store::open(directory).unwrap();
        assert_eq!(torn, 0);
        ids.for_each(|id| store.write(vec![identity(id)]).unwrap());
    }

    fn id(directory: &Path) -> Option<u32> {
        let (store, _torn) = Store::open(directory).unwrap();
        store.checkpoint().and_then(|checkpoint| checkpoint.id).map(|id| id.0)
    }

    #[test]
    fn what_was_written_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(id(dir.path()), None);
        written(dir.path(), 1..=3);
        assert_eq!(id(dir.path()), Some(3));
        let (mut store, _) = Store::open(dir.path()).unwrap();
        store.write(vec![CheckpointChange::Cleared]).unwrap();
        drop(store);
        assert_eq!(id(dir.path()), None);
    }

    /// R28: whatever a crash leaves of the last record, the earlier ones are read and the next is written after them.
    #[test]
    fn a_torn_tail_is_cut_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 1..=2);
        let file = dir.path().join("checkpoint");
        let whole = fs::read(&file).unwrap();
        let last = record(&[identity(2)]).unwrap().len();
        for kept in 0..last {
            for zeros in [0, last - kept] {
                let mut torn = whole[..whole.len() - last + kept].to_vec();
                torn.extend(vec![0; zeros]);
                fs::write(&file, &torn).unwrap();
                let (store, cut) = Store::open(dir.path()).unwrap();
                assert_eq!(cut, kept + zeros);
                assert_eq!(store.checkpoint().unwrap().id, Some(SlaveId(1)));
                drop(store);
                written(dir.path(), 7..=7);
                assert_eq!(id(dir.path()), Some(7));
            }
        }
    }

    #[test]
    fn corruption_is_reported_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 1..=3);
        let file = dir.path().join("checkpoint");
        let whole = fs::read(&file).unwrap();
        let last = whole.len() - record(&[identity(3)]).unwrap().len();
        for at in 0..last {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            fs::write(&file, &broken).unwrap();
            let error = Store::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("is corrupt at byte"), "{at}: {error}");
            assert_eq!(fs::read(&file).unwrap(), broken, "it was touched");
        }
    }

    #[test]
    fn a_grown_file_is_compacted_and_says_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        for round in 1..=60u32 {
            store.write((0..2_000).map(|_| identity(round)).chain([identity(round)]).collect()).unwrap();
            assert!(store.length <= COMPACT_MIN);
        }
        drop(store);
        assert_eq!(id(dir.path()), Some(60));
    }

    #[test]
    fn after_a_failed_write_only_a_whole_checkpoint_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        store.write(vec![identity(1)]).unwrap();
        let not_to_be_written = File::open(dir.path().join("checkpoint")).unwrap();
        store.file = Some(Box::new(not_to_be_written));
        assert!(store.write(vec![identity(2)]).is_err());
        assert!(store.write(vec![identity(3)]).is_err());
        let whole = Checkpoint { id: Some(SlaveId(4)), ..Checkpoint::default() };
        store.write(vec![CheckpointChange::Whole(whole)]).unwrap();
        store.write(vec![identity(5)]).unwrap();
        drop(store);
        assert_eq!(id(dir.path()), Some(5));
    }
}
