//! Where the registry, the receipts and the audit are durable: one redb file, written by one thread.
//!
//! The thread takes all the work that waits and writes it in **one** transaction (group commit), then answers with
//! the last write of it. Its own copy of the registry becomes a snapshot from time to time, which replaces the log
//! before it.
//!
//! When a write fails, it and every one that was asked for before the leader heard of that are refused: until
//! [`Work::Resume`] arrives, which the dispatcher sends when it hears. The file is then opened anew, and what may
//! have been written of the refused is removed, so that the registry on disk is as before.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use neap_protocol::ids::{Epoch, Seq, SessionId, SlaveId};
use neap_protocol::message::{ReceiptId, ReceiptLine};
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Moment;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::audit::{Audited, Number};
use crate::database::{self, Fault, Place, Unusable, Why};
use crate::files;

mod tables;

pub(crate) use tables::Contents;
use tables::{Changes, FORMAT, Line, Read};

/// The registry's file in the data directory.
pub const FILE: &str = "registry.redb";

/// How many operations are logged before a snapshot replaces them.
const LOGGED_MAX: u64 = 10_000;

/// The most work that is written at once.
const BATCH_MAX: usize = 4_096;

/// The most lines of receipts and the audit that wait for a disk that cannot be written.
const LINES_WAITING_MAX: usize = 100_000;

/// What the store's thread is asked for, in order.
#[derive(Debug)]
pub(super) enum Work {
    /// Append an operation, unless a higher epoch has been seen (R30); with the command that asked for it, if one did.
    Append { epoch: Epoch, seq: Seq, operation: Operation, audit: Option<Box<(Number, Audited)>> },
    /// Write down what an operator asked for, and what became of it; in the place of an earlier line of that number.
    Audit(Number, Audited),
    /// Add a line to a receipt (R23a).
    Record { receipt: ReceiptId, at: Moment, line: ReceiptLine },
    /// Hand the registry over.
    Recover,
    /// Read a receipt.
    Receipt { session: SessionId, request: u32, receipt: ReceiptId },
    /// Say which slave of this name has left last.
    Left { session: SessionId, request: u32, name: Name },
    /// The leader has heard that a write failed: what follows was asked for since.
    Resume,
    /// Write a copy of everything into a file, which is empty, and say when it is there.
    Copy { file: File, done: oneshot::Sender<Result<(), String>> },
}

/// What the store's thread answers.
#[derive(Debug)]
pub(super) enum Reply {
    Stored { epoch: Epoch, seq: Seq },
    Failed { epoch: Epoch, seq: Seq, cause: Text },
    Recovered(Box<Registry>),
    Receipt { session: SessionId, request: u32, receipt: ReceiptId, lines: Result<Lines, Text> },
    Left { session: SessionId, request: u32, name: Name, left: Result<Departure, Text> },
}

/// A slave that has left, and when.
pub(super) type Departure = Option<(SlaveId, Moment)>;

/// A receipt's lines and when each was written.
pub(super) type Lines = Vec<(Moment, ReceiptLine)>;

/// An open registry.
#[derive(Debug)]
pub(super) struct Store {
    place: Place,
    /// `None` after a failure, until it could be opened again.
    database: Option<Database>,
    registry: Registry,
    /// The highest epoch that the file has seen.
    epoch: Epoch,
    /// The highest epoch that was asked for, stored or not.
    asked: Epoch,
    logged: u64,
    failing: bool,
    /// From where on the log may hold writes that were refused.
    undo_from: Option<(Epoch, Seq)>,
    /// Lines that could not be written with the writes around them.
    lines: Vec<Line>,
    logged_max: u64,
}

/// Why there is no registry. Each names the file and the cure.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the files that the messages name, and what the system said")]
pub enum StoreError {
    /// The data directory cannot be made.
    #[error("failed to make the data directory {}: {source}; name one that this user may write (--data)",
        directory.display())]
    Directory { directory: PathBuf, source: io::Error },
    /// Another master has it open.
    #[error("the registry {} is in use by another master: stop that one, or name another data directory (--data)",
        file.display())]
    InUse { file: PathBuf },
    /// The system does not let it be opened.
    #[error("failed to open the registry {}: {source}; {}, or name another data directory (--data)", file.display(),
        database::cure(source))]
    Unreadable { file: PathBuf, source: io::Error },
    /// There is none yet, and none can be made.
    #[error("failed to make the registry {}: {cause}; make room on its disk, or name another data directory (--data)",
        file.display())]
    NotMade { file: PathBuf, cause: String },
    /// Its content is no registry.
    #[error("the registry {} is damaged ({detail}): restore it from a copy (`neap registry backup` makes them); or \
        move it away to begin with an empty one, which slaves register with anew", file.display())]
    Damaged { file: PathBuf, detail: String },
    /// A neap of another format wrote it.
    #[error("the registry {} has format {found}, and this neap reads and writes format {FORMAT}: start the release that \
        wrote it", file.display())]
    OtherFormat { file: PathBuf, found: u64 },
}

impl Store {
    /// Opens the registry in `directory`, which is made if need be, and reads it: the snapshot, then the log.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        files::make_directory(directory)
            .map_err(|source| StoreError::Directory { directory: directory.to_owned(), source })?;
        Self::open_with(Place::new(directory.join(FILE)), LOGGED_MAX)
    }

    /// The highest epoch that ever led with this registry.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn open_with(place: Place, logged_max: u64) -> Result<Self, StoreError> {
        let database = place.begin(tables::make)?;
        let Read { registry, epoch, logged } = checked(place.file(), &database, tables::read)?;
        Ok(Self {
            place,
            database: Some(database),
            registry,
            epoch,
            asked: epoch,
            logged,
            failing: false,
            undo_from: None,
            lines: Vec::new(),
            logged_max,
        })
    }

    /// Works in a thread of its own, until there is nobody left to ask.
    pub(super) fn spawn(
        mut self,
        replies: UnboundedSender<Reply>,
    ) -> io::Result<(mpsc::Sender<Work>, thread::JoinHandle<()>)> {
        let (sender, work) = mpsc::channel();
        let thread = thread::Builder::new().name("neap-store".to_owned()).spawn(move || {
            while let Ok(first) = work.recv() {
                let waiting = work.try_iter().take(BATCH_MAX - 1);
                let batch: Vec<Work> = std::iter::once(first).chain(waiting).collect();
                // The dispatcher has gone: what it asked for is written, and nobody is left to be told.
                self.work(batch, &mut |reply| drop(replies.send(reply)));
            }
        })?;
        Ok((sender, thread))
    }

    /// Does a batch. Reading waits for what was asked before it.
    fn work(&mut self, batch: Vec<Work>, reply: &mut dyn FnMut(Reply)) {
        let mut writes = Vec::new();
        for work in batch {
            match work {
                Work::Append { .. } if self.failing => {}
                Work::Append { epoch, seq, operation, audit } => {
                    writes.push((epoch, seq, operation));
                    audit.into_iter().for_each(|audit| self.keep(Line::Audit(audit.0, audit.1)));
                }
                Work::Audit(number, audited) => self.keep(Line::Audit(number, audited)),
                Work::Record { receipt, at, line } => self.keep(Line::Receipt(receipt, at, line, None)),
                Work::Resume => self.failing = false,
                Work::Recover => {
                    self.write(&mut writes, reply);
                    reply(Reply::Recovered(Box::new(self.registry.clone())));
                }
                Work::Receipt { session, request, receipt } => {
                    self.write(&mut writes, reply);
                    let lines = self.database().and_then(|database| tables::lines_of(database, receipt));
                    let lines = lines.map_err(|fault| Text::from(fault.0));
                    reply(Reply::Receipt { session, request, receipt, lines });
                }
                Work::Left { session, request, name } => {
                    self.write(&mut writes, reply);
                    let left = self.database().and_then(|database| tables::left(database, &name));
                    let left = left.map_err(|fault| Text::from(fault.0));
                    reply(Reply::Left { session, request, name, left });
                }
                Work::Copy { file, done } => {
                    self.write(&mut writes, reply);
                    self.copy(file, done);
                }
            }
        }
        self.write(&mut writes, reply);
        if self.logged >= self.logged_max
            && let Err(Fault(cause)) = self.snapshot()
        {
            tracing::warn!(%cause, "the registry's log could not be shortened");
        }
    }

    fn keep(&mut self, line: Line) {
        match self.lines.len() < LINES_WAITING_MAX {
            true => self.lines.push(line),
            false => tracing::error!(?line, "a line is lost: the disk cannot be written"),
        }
    }

    /// Writes what waits, in one transaction; then, and only then, it is in the registry here and answered.
    fn write(&mut self, writes: &mut Vec<(Epoch, Seq, Operation)>, reply: &mut dyn FnMut(Reply)) {
        if writes.is_empty() && self.lines.is_empty() {
            return;
        }
        let writes = std::mem::take(writes);
        // A leader that has been followed by another writes nothing more (R30).
        let highest = writes.iter().fold(self.asked, |highest, (epoch, ..)| highest.max(*epoch));
        let (writes, fenced): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|(epoch, ..)| *epoch == highest);
        if let Some((epoch, seq, _)) = fenced.first() {
            let cause = Text::from(tables::fenced(highest));
            reply(Reply::Failed { epoch: *epoch, seq: *seq, cause });
        }
        self.asked = highest;
        match self.commit(highest, &writes) {
            Ok(()) => {
                self.lines.clear();
                self.undo_from = None;
                self.epoch = highest;
                self.logged += writes.len() as u64;
                for (_, _, operation) in &writes {
                    // A refused operation changes nothing, here as at the leader.
                    let _ = self.registry.apply(operation);
                }
                if let Some((epoch, seq, _)) = writes.last() {
                    reply(Reply::Stored { epoch: *epoch, seq: *seq });
                }
            }
            Err(Fault(cause)) => {
                tracing::error!(%cause, file = %self.place.file().display(), "the registry could not be written");
                // redb refuses everything after a failed write: see `database`.
                self.database = None;
                if let Some((epoch, seq, _)) = writes.first() {
                    let from = self.undo_from.unwrap_or((*epoch, *seq));
                    self.undo_from = Some(from.min((*epoch, *seq)));
                    self.failing = true;
                    reply(Reply::Failed { epoch: *epoch, seq: *seq, cause: Text::from(cause) });
                }
            }
        }
    }

    fn commit(&mut self, epoch: Epoch, writes: &[(Epoch, Seq, Operation)]) -> Result<(), Fault> {
        self.database()?;
        let changes = Changes { undo_from: self.undo_from, epoch, writes, lines: &mut self.lines };
        self.database.as_ref().map_or(Ok(()), |database| tables::commit(database, changes))
    }

    fn database(&mut self) -> Result<&Database, Fault> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.place.open().map_err(StoreError::from)?,
        };
        Ok(self.database.insert(database))
    }

    /// Replaces the log by the registry that it leads to.
    fn snapshot(&mut self) -> Result<(), Fault> {
        self.database()?;
        let replaced =
            self.database.as_ref().map_or(Ok(()), |file| tables::replace_log(file, &self.registry));
        replaced.inspect_err(|_| self.database = None)?;
        self.logged = 0;
        Ok(())
    }

    /// Copies what is there now, in a thread of its own: writes go on meanwhile, and are not in the copy.
    fn copy(&mut self, file: File, done: oneshot::Sender<Result<(), String>>) {
        let begun = self.database().and_then(|database| Ok(database.begin_read()?));
        let copy = move || {
            let copied = begun.and_then(|transaction| write(&transaction, file));
            // Whoever asked may have gone.
            let _ = done.send(copied.map_err(|Fault(cause)| cause));
        };
        if let Err(error) = thread::Builder::new().name("neap-copy".to_owned()).spawn(copy) {
            tracing::warn!(%error, "no thread could be started to copy the registry");
        }
    }
}

impl From<Unusable> for StoreError {
    fn from(Unusable { file, why }: Unusable) -> Self {
        match why {
            Why::InUse => Self::InUse { file },
            Why::Unreadable(source) => Self::Unreadable { file, source },
            Why::NotMade(cause) => Self::NotMade { file, cause },
            Why::Damaged(detail) => Self::Damaged { file, detail },
        }
    }
}

/// Reads a file that was opened, unless it has another format.
fn checked<T>(
    file: &Path,
    database: &Database,
    read: impl FnOnce(&Database) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    match tables::format_of(database).map_err(|fault| fault.of(file))? {
        0 => Err(Fault("there is no registry in it".to_owned()).of(file).into()),
        FORMAT => Ok(read(database).map_err(|fault| fault.of(file))?),
        found => Err(StoreError::OtherFormat { file: file.to_owned(), found }),
    }
}

/// Verifies and reads everything in `copy`, which is one of the registry `file` that nobody else has open.
pub(super) fn read_copy(file: &Path, copy: File) -> Result<(Contents, Database), StoreError> {
    let backend = FileBackend::new(copy).map_err(|error| Unusable::of(file, error))?;
    let database = database::open(backend).map_err(|error| Unusable::of(file, error))?;
    let contents = checked(file, &database, tables::read_whole)?;
    Ok((contents, database))
}

/// Writes everything in `database` into `to`, which is empty. It is not synced.
pub(super) fn write_copy(database: &Database, to: File) -> Result<(), String> {
    let begun = database.begin_read().map_err(Fault::from);
    begun.and_then(|transaction| write(&transaction, to)).map_err(|Fault(cause)| cause)
}

fn write(transaction: &ReadTransaction, to: File) -> Result<(), Fault> {
    let copy = Database::builder().create_with_backend(FileBackend::new(to)?)?;
    tables::copy(transaction, &copy)?;
    Ok(copy.close()?)
}

/// Keeps masters off `file` until what is answered is closed. `None`: a master has it open.
pub(super) fn lock_for_copying(file: File) -> io::Result<Option<FileBackend>> {
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    let locked = backend.try_lock_shared_range(Bound::Unbounded, Bound::Unbounded);
    Ok(locked.map_err(io::Error::other)?.then_some(backend))
}

/// Whether the master that had `file` open last closed it in order; otherwise the next one recovers it. `None`: it is
/// open now. To be asked of a file that is known to be sound.
pub(super) fn was_closed(file: &Path) -> Option<bool> {
    match ReadOnlyDatabase::open(file) {
        Ok(_) => Some(true),
        Err(DatabaseError::RepairAborted) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod golden;

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
