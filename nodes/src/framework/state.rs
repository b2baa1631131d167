//! What must outlive the process of a framework: its id, its tasks, and what its scheduler notes of them.
//!
//! Changes are written before anything that follows from them is said to anybody. Those that the disk does not take are
//! written again until it does ([`Unkept`]): the file may hold them already, and they are the same twice over.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use neap_protocol::framework::{Memory, MemoryChange};
use neap_protocol::ids::{FrameworkId, SlaveId};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::database::{self, Fault, Place, Unusable, Why};
use crate::exit::Exit;
use crate::files;
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
    kept: Option<Kept>,
    known: Known,
}

/// The file.
#[derive(Debug)]
struct Kept {
    place: Place,
    /// `None` after a failure, until it could be opened again.
    database: Option<Database>,
}

/// What is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    memory: Memory,
    notes: BTreeMap<String, Vec<u8>>,
}

/// A change of it; several are written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Memory(MemoryChange),
    Note { key: String, value: Option<Vec<u8>> },
}

/// Why changes are not kept.
#[derive(Debug)]
pub(super) enum Unkept {
    /// The disk does not take them now; nothing else may be written before they are.
    Yet(String),
    /// The file is no longer what this process wrote.
    Ever(Failure),
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
        let directory = files::directory_of(file);
        files::make_directory(directory).map_err(|error| {
            let what = format!("make the directory {}", directory.display());
            Failure::because(&what, &error).help(database::cure(&error))
        })?;
        Self::open_at(Place::new(file.to_owned()))
    }

    fn open_at(place: Place) -> Result<Self, Failure> {
        let database = place.begin(make).map_err(unusable)?;
        let known = read(&database).map_err(|fault| unusable(fault.of(place.file())))?;
        Ok(Self { kept: Some(Kept { place, database: Some(database) }), known })
    }

    /// Whether it is of a framework that was subscribed before.
    pub fn is_resumed(&self) -> bool {
        self.known.memory.id.is_some()
    }

    /// The framework's id, if it was ever subscribed.
    pub fn id(&self) -> Option<FrameworkId> {
        self.known.memory.id
    }

    /// What its machine keeps of itself.
    pub(super) fn memory(&self) -> &Memory {
        &self.known.memory
    }

    /// The numbers of the tasks that are not over as far as its scheduler was told, and the slaves that they were
    /// launched on.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, SlaveId)> {
        self.known.memory.tasks.iter().map(|(number, slave)| (*number, *slave))
    }

    /// What the scheduler noted under a key ([`super::Driver::note`]).
    pub fn note(&self, key: &str) -> Option<&[u8]> {
        self.known.notes.get(key).map(Vec::as_slice)
    }

    /// Every note whose key begins so, with the rest of its key.
    pub fn notes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.known
            .notes
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    /// Where it is kept, if it is.
    pub fn file(&self) -> Option<&Path> {
        self.kept.as_ref().map(|kept| kept.place.file())
    }

    /// Makes changes durable, all or none; they are then what it says. After [`Unkept::Yet`] the same are to be written
    /// again.
    pub(super) fn write(&mut self, changes: &[Change]) -> Result<(), Unkept> {
        let Some(kept) = self.kept.as_mut().filter(|_| !changes.is_empty()) else {
            return Ok(());
        };
        kept.write(&self.known, changes)?;
        self.known.take(changes);
        Ok(())
    }

    /// It is torn down: its id is worth nothing any more, and a file that stays is refused at the next start.
    pub(super) fn forget(&mut self) {
        let Some(Kept { place, database }) = std::mem::take(self).kept else { return };
        drop(database);
        if let Err(error) = place.remove() {
            let file = place.file().display();
            tracing::warn!(%error, %file, "the state of a framework that is over may stay; remove it");
        }
    }
}

impl Kept {
    fn write(&mut self, before: &Known, changes: &[Change]) -> Result<(), Unkept> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_again(before, changes)?,
        };
        // redb refuses everything after a failed write: the file is closed then.
        commit(&database, changes).map_err(|Fault(cause)| Unkept::Yet(cause))?;
        self.database = Some(database);
        Ok(())
    }

    /// Opens the file after `changes` could not be written. While it was closed another process may have had it, and
    /// given the next numbers to tasks of its own (R14).
    fn open_again(&self, before: &Known, changes: &[Change]) -> Result<Database, Unkept> {
        let file = self.place.file();
        let database = self.place.open().map_err(|unusable| match &unusable.why {
            Why::Unreadable(source) if source.kind() == io::ErrorKind::NotFound => {
                Unkept::Ever(changed(file))
            }
            Why::Unreadable(source) => Unkept::Yet(source.to_string()),
            Why::InUse | Why::NotMade(_) | Why::Damaged(_) => Unkept::Ever(self::unusable(unusable)),
        })?;
        let there = read(&database).map_err(|fault| Unkept::Ever(unusable(fault.of(file))))?;
        let mut after = before.clone();
        after.take(changes);
        match there == *before || there == after {
            true => Ok(database),
            false => Err(Unkept::Ever(changed(file))),
        }
    }
}

impl Known {
    fn take(&mut self, changes: &[Change]) {
        for change in changes.iter().cloned() {
            match change {
                Change::Memory(change) => self.memory.apply(change),
                Change::Note { key, value: Some(value) } => drop(self.notes.insert(key, value)),
                Change::Note { key, value: None } => drop(self.notes.remove(&key)),
            }
        }
    }
}

/// Makes the tables of a framework that was never subscribed.
fn make(database: &Database) -> Result<(), Fault> {
    let transaction = database::begin(database)?;
    transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    transaction.open_table(TASKS)?;
    transaction.open_table(NOTES)?;
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database) -> Result<Known, Fault> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(Fault("there is no framework's state in it".to_owned()));
        }
        meta => meta?,
    };
    match meta.get(META_FORMAT)?.map_or(0, |format| format.value()) {
        FORMAT => {}
        found => {
            return Err(Fault(format!("it has format {found}, and this neap knows formats up to {FORMAT}")));
        }
    }
    let mut known = Known::default();
    known.memory.id = meta.get(META_ID)?.map(|id| FrameworkId(id.value()));
    known.memory.highest_task = meta.get(META_HIGHEST)?.map_or(0, |highest| highest.value());
    for entry in transaction.open_table(TASKS)?.iter()? {
        let (number, slave) = entry?;
        known.memory.tasks.insert(number.value(), SlaveId(slave.value()));
    }
    if known.memory.tasks.keys().max() > Some(&known.memory.highest_task) {
        return Err(Fault("a task has a higher number than the highest that was given".to_owned()));
    }
    for entry in transaction.open_table(NOTES)?.iter()? {
        let (key, value) = entry?;
        known.notes.insert(key.value().to_owned(), value.value().to_owned());
    }
    Ok(known)
}

fn commit(database: &Database, changes: &[Change]) -> Result<(), Fault> {
    let transaction = database::begin(database)?;
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

fn unusable(Unusable { file, why }: Unusable) -> Failure {
    let file = file.display();
    match why {
        Why::InUse => Failure::new(Exit::Failed, format!("the state {file} is in use by another process"))
            .help("end that one, or run as another framework"),
        Why::Unreadable(source) => Failure::because(&format!("use the framework's state in {file}"), &source)
            .help(database::cure(&source)),
        Why::NotMade(cause) => {
            Failure::new(Exit::Failed, format!("failed to make the framework's state {file}: {cause}"))
                .help("make room on its disk, or keep it elsewhere (--state-dir)")
        }
        Why::Damaged(cause) => {
            Failure::new(Exit::Failed, format!("the framework's state {file} cannot be used: {cause}"))
                .help("move the file away to begin as a new framework")
        }
    }
}

fn changed(file: &Path) -> Failure {
    let message =
        format!("another process has changed the framework's state {}, or taken it away", file.display());
    Failure::new(Exit::Failed, message).help("end what else runs as this framework, and start it again")
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use std::fs;

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
        state.write(&[subscribed, launching, note]).unwrap();
        state.write(&[Change::Memory(MemoryChange::Over(16))]).unwrap();
        let in_use = State::open(&file).unwrap_err().to_text(false);
        assert!(in_use.contains("in use by another process"), "{in_use}");
        drop(state);
        let mut again = State::open(&file).unwrap();
        let start =
            Input::Start { id: Some(FrameworkId(3)), highest_task: 17, tasks: vec![(17, SlaveId(2))] };
        assert_eq!(again.memory().start(), start);
        assert_eq!(again.notes("instance-").collect::<Vec<_>>(), [("3", b"done".as_slice())]);
        again.write(&[Change::Note { key: "instance-3".into(), value: None }]).unwrap();
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
