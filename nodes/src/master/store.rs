//! Where the registry and the receipts are durable: one redb file, written by one thread.
//!
//! The thread takes all the work that waits and writes it in **one** transaction (group commit), then answers with
//! the last write of it. Its own copy of the registry becomes a snapshot from time to time, which replaces the log
//! before it.
//!
//! When a write fails, it and every one that was asked for before the leader heard of that are refused: until
//! [`Work::Resume`] arrives, which the dispatcher sends when it hears. The file is then opened anew, and what may
//! have been written of the refused is removed, so that the registry on disk is as before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use neap_protocol::ids::{Epoch, Seq, SessionId};
use neap_protocol::message::{ReceiptId, ReceiptLine};
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::text::Text;
use neap_protocol::time::Moment;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};
use tokio::sync::mpsc::UnboundedSender;

/// The registry's file in the data directory.
pub const FILE: &str = "registry.redb";

/// The format of what is in the file. A higher one was written by a newer neap.
const FORMAT: u64 = 1;

/// How many operations are logged before a snapshot replaces them.
const LOGGED_MAX: u64 = 10_000;

/// The most work that is written at once.
const BATCH_MAX: usize = 4_096;

/// The most receipts' lines that wait for a disk that cannot be written.
const LINES_WAITING_MAX: usize = 100_000;

const LOG: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SNAPSHOT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshot");
/// By what the receipt is of, its id, and the line's number.
const RECEIPTS: TableDefinition<'_, (u8, u32, u64), &[u8]> = TableDefinition::new("receipts");

const META_FORMAT: &str = "format";
const META_EPOCH: &str = "epoch";
const SNAPSHOT_REGISTRY: &str = "registry";

/// What the store's thread is asked for, in order.
#[derive(Debug)]
pub(super) enum Work {
    /// Append an operation, unless a higher epoch has been seen (R30).
    Append { epoch: Epoch, seq: Seq, operation: Operation },
    /// Add a line to a receipt (R23a).
    Record { receipt: ReceiptId, at: Moment, line: ReceiptLine },
    /// Hand the registry over.
    Recover,
    /// Read a receipt.
    Receipt { session: SessionId, request: u32, receipt: ReceiptId },
    /// The leader has heard that a write failed: what follows was asked for since.
    Resume,
}

/// What the store's thread answers.
#[derive(Debug)]
pub(super) enum Reply {
    Stored { epoch: Epoch, seq: Seq },
    Failed { epoch: Epoch, seq: Seq, cause: Text },
    Recovered(Box<Registry>),
    Receipt { session: SessionId, request: u32, receipt: ReceiptId, lines: Result<Lines, Text> },
}

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
    logged: u64,
    failing: bool,
    /// From where on the log may hold writes that were refused.
    undo_from: Option<(Epoch, Seq)>,
    /// Lines that could not be written with the writes around them.
    lines: Vec<(ReceiptId, Moment, ReceiptLine)>,
    logged_max: u64,
}

/// How the file is opened: tests break it.
type Open = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

struct Place {
    file: PathBuf,
    open: Open,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
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
    #[error("failed to open the registry {}: {source}; let this user read and write it, or name another data \
        directory (--data)", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// Its content is no registry.
    #[error("the registry {} is damaged ({detail}): restore it from a copy; or move it away to begin with an empty \
        one, which slaves register with anew", file.display())]
    Damaged { file: PathBuf, detail: String },
    /// A newer neap wrote it.
    #[error("the registry {} has format {found}, and this neap knows formats up to {FORMAT}: start the release that \
        wrote it, or a newer one", file.display())]
    Newer { file: PathBuf, found: u64 },
}

impl Store {
    /// Opens the registry in `directory`, which is made if need be, and reads it: the snapshot, then the log.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory)
            .map_err(|source| StoreError::Directory { directory: directory.to_owned(), source })?;
        let open: Open = Box::new(|file| Database::create(file));
        Self::open_with(Place { file: directory.join(FILE), open }, LOGGED_MAX)
    }

    /// The highest epoch that ever led with this registry.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn open_with(place: Place, logged_max: u64) -> Result<Self, StoreError> {
        let database = (place.open)(&place.file).map_err(|error| unopened(&place.file, error))?;
        let damaged = |error: Fault| error.of(&place.file);
        let found = format_of(&database).map_err(damaged)?;
        if found > FORMAT {
            return Err(StoreError::Newer { file: place.file, found });
        }
        let Read { registry, epoch, logged } = read(&database).map_err(damaged)?;
        Ok(Self {
            place,
            database: Some(database),
            registry,
            epoch,
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
                Work::Append { epoch, seq, operation } => writes.push((epoch, seq, operation)),
                Work::Record { receipt, at, line } => self.keep(receipt, at, line),
                Work::Resume => self.failing = false,
                Work::Recover => {
                    self.write(&mut writes, reply);
                    reply(Reply::Recovered(Box::new(self.registry.clone())));
                }
                Work::Receipt { session, request, receipt } => {
                    self.write(&mut writes, reply);
                    let lines = self.lines_of(receipt).map_err(|fault| Text::from(fault.0));
                    reply(Reply::Receipt { session, request, receipt, lines });
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

    fn keep(&mut self, receipt: ReceiptId, at: Moment, line: ReceiptLine) {
        match self.lines.len() < LINES_WAITING_MAX {
            true => self.lines.push((receipt, at, line)),
            false => tracing::error!(%receipt, ?line, "a receipt's line is lost: the disk cannot be written"),
        }
    }

    /// Writes what waits, in one transaction; then, and only then, it is in the registry here and answered.
    fn write(&mut self, writes: &mut Vec<(Epoch, Seq, Operation)>, reply: &mut dyn FnMut(Reply)) {
        if writes.is_empty() && self.lines.is_empty() {
            return;
        }
        let writes = std::mem::take(writes);
        // A leader that has been followed by another writes nothing more (R30).
        let highest = writes.iter().fold(self.epoch, |highest, (epoch, ..)| highest.max(*epoch));
        let (writes, fenced): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|(epoch, ..)| *epoch == highest);
        if let Some((epoch, seq, _)) = fenced.first() {
            let cause = Text::from(format!("a leader with epoch {highest} has written since"));
            reply(Reply::Failed { epoch: *epoch, seq: *seq, cause });
        }
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
                tracing::error!(%cause, file = %self.place.file.display(), "the registry could not be written");
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

    fn commit(&mut self, highest: Epoch, writes: &[(Epoch, Seq, Operation)]) -> Result<(), Fault> {
        let undo_from = self.undo_from;
        let lines = std::mem::take(&mut self.lines);
        let database = self.database();
        let written = database.and_then(|database| commit(database, undo_from, highest, writes, &lines));
        self.lines = lines;
        written
    }

    fn database(&mut self) -> Result<&Database, Fault> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.place.open)(&self.place.file).map_err(Fault::from)?,
        };
        Ok(self.database.insert(database))
    }

    /// Replaces the log by the registry that it leads to.
    fn snapshot(&mut self) -> Result<(), Fault> {
        let registry = postcard::to_allocvec(&self.registry)?;
        let transaction = self.database()?.begin_write()?;
        transaction.open_table(SNAPSHOT)?.insert(SNAPSHOT_REGISTRY, registry.as_slice())?;
        transaction.open_table(LOG)?.retain(|_, _| false)?;
        transaction.commit().inspect_err(|_| self.database = None)?;
        self.logged = 0;
        Ok(())
    }

    fn lines_of(&mut self, receipt: ReceiptId) -> Result<Lines, Fault> {
        let (kind, id) = receipt_key(receipt);
        let transaction = self.database()?.begin_read()?;
        let table = transaction.open_table(RECEIPTS)?;
        let lines = table.range((kind, id, 0)..=(kind, id, u64::MAX))?;
        lines.map(|entry| Ok(postcard::from_bytes(entry?.1.value())?)).collect()
    }
}

/// What a file holds.
struct Read {
    registry: Registry,
    epoch: Epoch,
    logged: u64,
}

/// Makes the tables where there are none, and answers with the format.
fn format_of(database: &Database) -> Result<u64, Fault> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(META)?.get(META_FORMAT)?.map(|format| format.value());
    if let Some(found) = found {
        transaction.abort()?;
        return Ok(found);
    }
    transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    transaction.open_table(LOG)?;
    transaction.open_table(SNAPSHOT)?;
    transaction.open_table(RECEIPTS)?;
    transaction.commit()?;
    Ok(FORMAT)
}

fn read(database: &Database) -> Result<Read, Fault> {
    let transaction = database.begin_read()?;
    let snapshot = transaction.open_table(SNAPSHOT)?;
    let mut registry: Registry = match snapshot.get(SNAPSHOT_REGISTRY)? {
        Some(bytes) => postcard::from_bytes(bytes.value())?,
        None => Registry::default(),
    };
    // Operations keep a sound registry sound; of any other they may make anything, or panic.
    registry.check().map_err(|wrong| Fault(format!("it contradicts itself: {wrong}")))?;
    let mut logged = 0;
    for entry in transaction.open_table(LOG)?.iter()? {
        let operation: Operation = postcard::from_bytes(entry?.1.value())?;
        // A refused operation changed nothing when it was written.
        let _ = registry.apply(&operation);
        logged += 1;
    }
    let epoch = transaction.open_table(META)?.get(META_EPOCH)?.map_or(Epoch(0), |epoch| Epoch(epoch.value()));
    Ok(Read { epoch: epoch.max(registry.epoch), registry, logged })
}

fn commit(
    database: &Database,
    undo_from: Option<(Epoch, Seq)>,
    highest: Epoch,
    writes: &[(Epoch, Seq, Operation)],
    lines: &[(ReceiptId, Moment, ReceiptLine)],
) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate).map_err(|error| Fault(error.to_string()))?;
    {
        let mut meta = transaction.open_table(META)?;
        let seen = meta.get(META_EPOCH)?.map_or(0, |epoch| epoch.value());
        if seen < highest.0 {
            meta.insert(META_EPOCH, highest.0)?;
        }
        let mut log = transaction.open_table(LOG)?;
        if let Some((epoch, seq)) = undo_from {
            log.retain_in((epoch.0, seq.0)..=(u64::MAX, u64::MAX), |_, _| false)?;
        }
        for (epoch, seq, operation) in writes {
            log.insert((epoch.0, seq.0), postcard::to_allocvec(operation)?.as_slice())?;
        }
        let mut receipts = transaction.open_table(RECEIPTS)?;
        for (receipt, at, line) in lines {
            let (kind, id) = receipt_key(*receipt);
            let last = receipts.range((kind, id, 0)..=(kind, id, u64::MAX))?.next_back().transpose()?;
            let number = last.map_or(1, |(key, _)| key.value().2 + 1);
            receipts.insert((kind, id, number), postcard::to_allocvec(&(at, line))?.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn receipt_key(receipt: ReceiptId) -> (u8, u32) {
    match receipt {
        ReceiptId::Drain(id) => (0, id.0),
        ReceiptId::InverseOffer(id) => (1, id.0),
        ReceiptId::Unregistration(id) => (2, id.0),
    }
}

fn unopened(file: &Path, error: DatabaseError) -> StoreError {
    let file = file.to_owned();
    if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
        return StoreError::InUse { file };
    }
    if let DatabaseError::Storage(StorageError::Io(source)) = error {
        let torn = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof].contains(&source.kind());
        return match torn {
            true => StoreError::Damaged { file, detail: source.to_string() },
            false => StoreError::Unreadable { file, source },
        };
    }
    StoreError::Damaged { file, detail: error.to_string() }
}

/// What went wrong inside the file, in words.
#[derive(Debug)]
struct Fault(String);

impl Fault {
    fn of(self, file: &Path) -> StoreError {
        StoreError::Damaged { file: file.to_owned(), detail: self.0 }
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
