//! What is in the registry's file: its tables, how they are read, and how they are copied.

use neap_protocol::ids::{DrainId, Epoch, InverseOfferId, Seq, SlaveId};
use neap_protocol::message::{ReceiptId, ReceiptLine};
use neap_protocol::registry::{Operation, Registry};
use neap_protocol::text::Name;
use neap_protocol::time::Moment;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError, WriteTransaction,
};
use serde::de::DeserializeOwned;

use crate::database::{Fault, begin};
use crate::master::audit::{Audited, Number};

/// The format of what is in the file, which changes whenever what is kept does.
pub(super) const FORMAT: u64 = 4;

/// How many of operators' commands are kept: the newest.
pub(super) const AUDIT_MAX: u64 = 100_000;

/// How many slaves that have left are looked at for a name that none has now: the newest.
const LEFT_MAX: u32 = 10_000;

pub(super) const LOG: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("log");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const SNAPSHOT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshot");
/// By what the receipt is of, its id, and the line's number.
pub(super) const RECEIPTS: TableDefinition<'_, (u8, u32, u64), &[u8]> = TableDefinition::new("receipts");
/// By the epoch of the leader that was asked, and the command's number in it. Files of before it was kept have none.
pub(super) const AUDIT: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("audit");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_EPOCH: &str = "epoch";
pub(super) const SNAPSHOT_REGISTRY: &str = "registry";

/// A line that is kept beside the registry.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// With its number in the receipt, once it has one: a line of a write that failed may be there after all, and is
    /// then written over and not twice.
    Receipt(ReceiptId, Moment, ReceiptLine, Option<u64>),
    Audit(Number, Audited),
}

/// What goes into the file at once.
pub(super) struct Changes<'a> {
    /// From where on the log may hold writes that were refused, and are no longer to be there.
    pub(super) undo_from: Option<(Epoch, Seq)>,
    /// The epoch that writes.
    pub(super) epoch: Epoch,
    pub(super) writes: &'a [(Epoch, Seq, Operation)],
    pub(super) lines: &'a mut [Line],
}

/// What a leader needs of a file.
pub(super) struct Read {
    pub(super) registry: Registry,
    pub(super) epoch: Epoch,
    pub(super) logged: u64,
}

/// Everything that a file holds, every line of it decoded.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) epoch: Epoch,
    pub(crate) registry: Registry,
    /// Whether the registry was begun from a snapshot.
    pub(crate) snapshot: bool,
    /// How many operations led from there to what it is.
    pub(crate) operations: u64,
    pub(crate) receipts: u64,
    pub(crate) receipt_lines: u64,
    pub(crate) audit: Vec<(Number, Audited)>,
}

/// Makes the tables of an empty registry.
pub(super) fn make(database: &Database) -> Result<(), Fault> {
    let transaction = begin(database)?;
    transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    transaction.open_table(LOG)?;
    transaction.open_table(SNAPSHOT)?;
    transaction.open_table(RECEIPTS)?;
    transaction.open_table(AUDIT)?;
    transaction.commit()?;
    Ok(())
}

/// The file's format; 0 where it has no registry in it.
pub(super) fn format_of(database: &impl ReadableDatabase) -> Result<u64, Fault> {
    match database.begin_read()?.open_table(META) {
        Ok(table) => Ok(table.get(META_FORMAT)?.map_or(0, |format| format.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The registry: the snapshot, then the log.
pub(super) fn read(database: &impl ReadableDatabase) -> Result<Read, Fault> {
    let transaction = database.begin_read()?;
    let mut registry = snapshot(&transaction)?.unwrap_or_default();
    // Operations keep a sound registry sound; of any other they may make anything, or panic.
    registry.check().map_err(|wrong| Fault(format!("it contradicts itself: {wrong}")))?;
    let epoch = transaction.open_table(META)?.get(META_EPOCH)?.map_or(Epoch(0), |epoch| Epoch(epoch.value()));
    let mut logged = 0;
    for entry in transaction.open_table(LOG)?.iter()? {
        let (key, operation) = entry?;
        if key.value().0 > epoch.0 {
            return Err(Fault(format!(
                "a leader of epoch {} wrote to it, and it is of {epoch}",
                key.value().0
            )));
        }
        let operation: Operation = decode(operation.value())?;
        // A refused operation changed nothing when it was written.
        let _ = registry.apply(&operation);
        logged += 1;
    }
    Ok(Read { epoch: epoch.max(registry.epoch), registry, logged })
}

/// Reads everything, so that nothing of it is found unreadable later.
pub(super) fn read_whole(database: &impl ReadableDatabase) -> Result<Contents, Fault> {
    let Read { registry, epoch, logged } = read(database)?;
    registry.check().map_err(|wrong| Fault(format!("its log contradicts it: {wrong}")))?;
    let transaction = database.begin_read()?;
    let (mut receipts, mut receipt_lines, mut last) = (0, 0, None);
    for entry in transaction.open_table(RECEIPTS)?.iter()? {
        let (key, line) = entry?;
        let (kind, id, _) = key.value();
        let receipt = receipt_of(kind, id).ok_or_else(|| Fault(format!("a receipt is of kind {kind}")))?;
        let _: (Moment, ReceiptLine) = decode(line.value())?;
        receipts += u64::from(last != Some(receipt));
        receipt_lines += 1;
        last = Some(receipt);
    }
    let mut audit = Vec::new();
    match transaction.open_table(AUDIT) {
        Ok(table) => {
            for entry in table.iter()? {
                let (key, audited) = entry?;
                let (epoch, number) = key.value();
                audit.push((Number { epoch: Epoch(epoch), number }, decode(audited.value())?));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let snapshot = snapshot(&transaction)?.is_some();
    Ok(Contents { epoch, registry, snapshot, operations: logged, receipts, receipt_lines, audit })
}

/// Copies every table into `to`, which is empty, in one transaction.
pub(super) fn copy(from: &ReadTransaction, to: &Database) -> Result<(), Fault> {
    let transaction = begin(to)?;
    macro_rules! table {
        ($definition:expr) => {{
            let mut copied = transaction.open_table($definition)?;
            match from.open_table($definition) {
                Ok(table) => {
                    for entry in table.iter()? {
                        let (key, value) = entry?;
                        copied.insert(key.value(), value.value())?;
                    }
                }
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }};
    }
    table!(META);
    table!(LOG);
    table!(SNAPSHOT);
    table!(RECEIPTS);
    table!(AUDIT);
    transaction.commit()?;
    Ok(())
}

/// Writes `changes`, whole or not at all.
pub(super) fn commit(database: &Database, changes: Changes<'_>) -> Result<(), Fault> {
    let transaction = begin(database)?;
    {
        let mut meta = transaction.open_table(META)?;
        let seen = meta.get(META_EPOCH)?.map_or(0, |epoch| epoch.value());
        if seen > changes.epoch.0 {
            // The file was another master's while it could not be written from here (R30).
            return Err(Fault(fenced(Epoch(seen))));
        }
        if seen < changes.epoch.0 {
            meta.insert(META_EPOCH, changes.epoch.0)?;
        }
        let mut log = transaction.open_table(LOG)?;
        if let Some((epoch, seq)) = changes.undo_from {
            log.retain_in((epoch.0, seq.0)..=(u64::MAX, u64::MAX), |_, _| false)?;
        }
        for (epoch, seq, operation) in changes.writes {
            log.insert((epoch.0, seq.0), postcard::to_allocvec(operation)?.as_slice())?;
        }
        keep(&transaction, changes.lines)?;
    }
    transaction.commit()?;
    Ok(())
}

fn keep(transaction: &WriteTransaction, lines: &mut [Line]) -> Result<(), Fault> {
    let mut receipts = transaction.open_table(RECEIPTS)?;
    let mut audit = transaction.open_table(AUDIT)?;
    for line in lines {
        match line {
            Line::Receipt(receipt, at, line, number) => {
                let (kind, id) = receipt_key(*receipt);
                let next = || {
                    let last =
                        receipts.range((kind, id, 0)..=(kind, id, u64::MAX))?.next_back().transpose()?;
                    Ok::<_, Fault>(last.map_or(1, |(key, _)| key.value().2 + 1))
                };
                let at_number = number.map_or_else(next, Ok)?;
                *number = Some(at_number);
                receipts.insert((kind, id, at_number), postcard::to_allocvec(&(at, line))?.as_slice())?;
            }
            Line::Audit(number, audited) => {
                audit.insert((number.epoch.0, number.number), postcard::to_allocvec(audited)?.as_slice())?;
            }
        }
    }
    while audit.len()? > AUDIT_MAX {
        audit.pop_first()?;
    }
    Ok(())
}

/// Puts `registry` in the place of the log that led to it.
pub(super) fn replace_log(database: &Database, registry: &Registry) -> Result<(), Fault> {
    let bytes = postcard::to_allocvec(registry)?;
    let transaction = begin(database)?;
    transaction.open_table(SNAPSHOT)?.insert(SNAPSHOT_REGISTRY, bytes.as_slice())?;
    transaction.open_table(LOG)?.retain(|_, _| false)?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn lines_of(
    database: &impl ReadableDatabase,
    receipt: ReceiptId,
) -> Result<Vec<(Moment, ReceiptLine)>, Fault> {
    let (kind, id) = receipt_key(receipt);
    let table = database.begin_read()?.open_table(RECEIPTS)?;
    let lines = table.range((kind, id, 0)..=(kind, id, u64::MAX))?;
    lines.map(|entry| decode(entry?.1.value())).collect()
}

/// The slave that had this name and was removed last, and when: by its receipt (R23a). Newest first, and no further back
/// than [`LEFT_MAX`]: who asks waits for the answer.
pub(super) fn left(
    database: &impl ReadableDatabase,
    name: &Name,
) -> Result<Option<(SlaveId, Moment)>, Fault> {
    let table = database.begin_read()?.open_table(RECEIPTS)?;
    let (kind, _) = receipt_key(ReceiptId::Unregistration(SlaveId(0)));
    let mut before = (kind, u32::MAX, u64::MAX);
    for _ in 0..LEFT_MAX {
        let Some(last) = table.range((kind, 0, 0)..=before)?.next_back().transpose()? else {
            return Ok(None);
        };
        let (_, id, _) = last.0.value();
        let first = table.range((kind, id, 0)..=(kind, id, u64::MAX))?.next().transpose()?;
        let opened = first.map(|entry| decode::<(Moment, ReceiptLine)>(entry.1.value())).transpose()?;
        if let Some((_, ReceiptLine::Opened { name: of, .. })) = opened
            && of == *name
        {
            let removed = lines_of(database, ReceiptId::Unregistration(SlaveId(id)))?;
            let removed = removed.iter().find(|(_, line)| *line == ReceiptLine::Unregistered);
            if let Some((at, _)) = removed {
                return Ok(Some((SlaveId(id), *at)));
            }
        }
        match id.checked_sub(1) {
            Some(id) => before = (kind, id, u64::MAX),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Why a leader that was followed by another is refused.
pub(super) fn fenced(epoch: Epoch) -> String {
    format!("a leader with epoch {epoch} has written since")
}

fn snapshot(transaction: &ReadTransaction) -> Result<Option<Registry>, Fault> {
    let table = transaction.open_table(SNAPSHOT)?;
    table.get(SNAPSHOT_REGISTRY)?.map(|bytes| decode(bytes.value())).transpose()
}

/// What `bytes` are, all of them.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(Fault(format!("a line of it has {} bytes too many", rest.len()))),
    }
}

fn receipt_key(receipt: ReceiptId) -> (u8, u32) {
    match receipt {
        ReceiptId::Drain(id) => (0, id.0),
        ReceiptId::InverseOffer(id) => (1, id.0),
        ReceiptId::Unregistration(id) => (2, id.0),
    }
}

fn receipt_of(kind: u8, id: u32) -> Option<ReceiptId> {
    match kind {
        0 => Some(ReceiptId::Drain(DrainId(id))),
        1 => Some(ReceiptId::InverseOffer(InverseOfferId(id))),
        2 => Some(ReceiptId::Unregistration(SlaveId(id))),
        _ => None,
    }
}
