//! What must outlive the process of a framework: its id, its tasks, and what its scheduler notes of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use neap_protocol::framework::{Memory, MemoryChange};
use neap_protocol::ids::{FrameworkId, SlaveId};
use redb::{Database, DatabaseError, Durability, ReadableTable, StorageError, TableDefinition};

use crate::exit::Exit;
use crate::output::Failure;

/// The format of what is in the file. A higher one was written by a newer neap.
const FORMAT: u32 = 1;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
/// Numbers of tasks that are not over and handled, and their slaves.
const TASKS: TableDefinition<'_, u32, u32> = TableDefinition::new("tasks");
const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");

const META_FORMAT: &str = "format";
const META_ID: &str = "id";
const META_HIGHEST: &str = "highest-task";

/// A framework's memory: of a file, or of nothing at all.
///
/// While one process has the file, no other can: two would be the same framework, and take it from each other.
#[derive(Debug, Default)]
pub struct State {
    file: Option<(PathBuf, Database)>,
    memory: Memory,
    notes: BTreeMap<String, Vec<u8>>,
}

/// A change of it; several are written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Memory(MemoryChange),
    Note { key: String, value: Option<Vec<u8>> },
}

impl State {
    /// Of a framework that does not outlive its process.
    pub fn none() -> Self {
        Self::default()
    }

    /// What `file` keeps; one that is not there is made, and its directory as well.
    ///
    /// # Errors
    /// Another process has it, it is no such file, or the system refuses it; it is as it was.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        if let Some(directory) = file.parent() {
            let what = format!("make the directory {}", directory.display());
            fs::create_dir_all(directory).map_err(|error| Failure::because(&what, &error))?;
        }
        let database = Database::create(file).map_err(|error| unopened(file, error))?;
        let mut state = read(&database).map_err(|fault| damaged(file, &fault.0))?;
        state.file = Some((file.to_owned(), database));
        Ok(state)
    }

    /// Whether it is of a framework that was subscribed before.
    pub fn is_resumed(&self) -> bool {
        self.memory.id.is_some()
    }

    /// The framework's id, if it was ever subscribed.
    pub fn id(&self) -> Option<FrameworkId> {
        self.memory.id
    }

    /// What its machine keeps of itself.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The numbers of the tasks that are not over as far as its scheduler was told, and the slaves that they were
    /// launched on.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, SlaveId)> {
        self.memory.tasks.iter().map(|(number, slave)| (*number, *slave))
    }

    /// What the scheduler noted under a key ([`super::Driver::note`]).
    pub fn note(&self, key: &str) -> Option<&[u8]> {
        self.notes.get(key).map(Vec::as_slice)
    }

    /// Every note whose key begins so, with the rest of its key.
    pub fn notes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.notes.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    /// Where it is kept, if it is.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(file, _)| file.as_path())
    }

    /// Makes changes durable, all or none; they are then what it says.
    pub(super) fn write(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        let Some((file, database)) = self.file.as_ref().filter(|_| !changes.is_empty()) else {
            return Ok(());
        };
        let what = format!("keep the framework's state in {}", file.display());
        commit(database, &changes)
            .map_err(|fault| Failure::new(Exit::Failed, format!("failed to {what}: {}", fault.0)))?;
        for change in changes {
            match change {
                Change::Memory(change) => self.memory.apply(change),
                Change::Note { key, value: Some(value) } => drop(self.notes.insert(key, value)),
                Change::Note { key, value: None } => drop(self.notes.remove(&key)),
            }
        }
        Ok(())
    }

    /// It is torn down: its id is worth nothing any more, and a file that stays is refused at the next start.
    pub(super) fn forget(&mut self) {
        let Some((file, database)) = std::mem::take(self).file else { return };
        drop(database);
        if let Err(error) = fs::remove_file(&file) {
            tracing::warn!(%error, file = %file.display(), "the state of a framework that is over stays; remove it");
        }
    }
}

fn read(database: &Database) -> Result<State, Fault> {
    let transaction = database.begin_write()?;
    let mut state = State::default();
    {
        let mut meta = transaction.open_table(META)?;
        let format = meta.get(META_FORMAT)?.map(|format| format.value());
        match format {
            None => drop(meta.insert(META_FORMAT, FORMAT)?),
            Some(FORMAT) => {}
            Some(found) => {
                return Err(Fault(format!(
                    "it has format {found}, and this neap knows formats up to {FORMAT}"
                )));
            }
        }
        state.memory.id = meta.get(META_ID)?.map(|id| FrameworkId(id.value()));
        state.memory.highest_task = meta.get(META_HIGHEST)?.map_or(0, |highest| highest.value());
        for entry in transaction.open_table(TASKS)?.iter()? {
            let (number, slave) = entry?;
            state.memory.tasks.insert(number.value(), SlaveId(slave.value()));
        }
        for entry in transaction.open_table(NOTES)?.iter()? {
            let (key, value) = entry?;
            state.notes.insert(key.value().to_owned(), value.value().to_owned());
        }
    }
    transaction.commit()?;
    Ok(state)
}

fn commit(database: &Database, changes: &[Change]) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate).map_err(|error| Fault(error.to_string()))?;
    {
        let mut meta = transaction.open_table(META)?;
        let mut kept = transaction.open_table(TASKS)?;
        let mut notes = transaction.open_table(NOTES)?;
        for change in changes {
            match change {
                Change::Memory(MemoryChange::Subscribed(id)) => drop(meta.insert(META_ID, id.0)?),
                Change::Memory(MemoryChange::Launching { highest_task, tasks }) => {
                    meta.insert(META_HIGHEST, highest_task)?;
                    for (number, slave) in tasks {
                        kept.insert(number, slave.0)?;
                    }
                }
                Change::Memory(MemoryChange::Over(number)) => drop(kept.remove(number)?),
                Change::Note { key, value: Some(value) } => {
                    drop(notes.insert(key.as_str(), value.as_slice())?);
                }
                Change::Note { key, value: None } => drop(notes.remove(key.as_str())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn unopened(file: &Path, error: DatabaseError) -> Failure {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
        let message = format!("the state {} is in use by another process", file.display());
        return Failure::new(Exit::Failed, message).help("end that one, or run as another framework");
    }
    if let DatabaseError::Storage(StorageError::Io(source)) = &error
        && ![io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof].contains(&source.kind())
    {
        return Failure::because(&format!("use the framework's state in {}", file.display()), source);
    }
    damaged(file, &error.to_string())
}

fn damaged(file: &Path, cause: &str) -> Failure {
    let message = format!("the framework's state {} cannot be used: {cause}", file.display());
    Failure::new(Exit::Failed, message).help("move the file away to begin as a new framework")
}

/// What went wrong inside the file, in words.
#[derive(Debug)]
struct Fault(String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use neap_protocol::framework::Input;

    use super::*;

    #[test]
    fn what_is_kept_is_there_again_for_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("frameworks/web.redb");
        let mut state = State::open(&file).unwrap();
        assert!(!state.is_resumed());
        let tasks = vec![(16, SlaveId(1)), (17, SlaveId(2))];
        let launching = Change::Memory(MemoryChange::Launching { highest_task: 17, tasks });
        let note = Change::Note { key: "instance-3".into(), value: Some(b"done".to_vec()) };
        let subscribed = Change::Memory(MemoryChange::Subscribed(FrameworkId(3)));
        state.write(vec![subscribed, launching, note]).unwrap();
        state.write(vec![Change::Memory(MemoryChange::Over(16))]).unwrap();
        let in_use = State::open(&file).unwrap_err().to_text(false);
        assert!(in_use.contains("in use by another process"), "{in_use}");
        drop(state);
        let mut again = State::open(&file).unwrap();
        let start =
            Input::Start { id: Some(FrameworkId(3)), highest_task: 17, tasks: vec![(17, SlaveId(2))] };
        assert_eq!(again.memory().start(), start);
        assert_eq!(again.notes("instance-").collect::<Vec<_>>(), [("3", b"done".as_slice())]);
        again.write(vec![Change::Note { key: "instance-3".into(), value: None }]).unwrap();
        assert_eq!(again.note("instance-3"), None);
        again.forget();
        assert!(!file.exists());
    }

    #[test]
    fn a_broken_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.redb");
        fs::write(&file, "{").unwrap();
        let refused = State::open(&file).unwrap_err().to_text(false);
        assert!(refused.contains("move the file away"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"{");
    }
}
