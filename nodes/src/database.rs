//! A redb file that outlives crashes and failed disks: a master's registry, and a framework's state.
//!
//! It is made beside its place and renamed, so that it is there whole or not at all; it is verified as a whole
//! whenever it is opened; and it is written in two phases ([`begin`]). What is in it is its owner's.

use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Durability, StorageError, WriteTransaction};

use crate::files;

mod disk;

#[cfg(test)]
pub(crate) mod broken;

pub(crate) use disk::{Disk, open};

/// Where a file is, and what stands between it and the hardware.
#[derive(Debug)]
pub(crate) struct Place {
    file: PathBuf,
    disk: Box<dyn Disk>,
}

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// The file, or the one beside it that is to become it.
    pub(crate) file: PathBuf,
    pub(crate) why: Why,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum Why {
    /// Another process has it open.
    InUse,
    /// The system does not let it be opened.
    Unreadable(io::Error),
    /// There is none yet, and none can be made.
    NotMade(String),
    /// Its content is not what was written.
    Damaged(String),
}

/// What went wrong inside a file, in words.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) String);

impl Place {
    /// On the system's disk.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self::on(Box::new(disk::System), file)
    }

    pub(crate) fn on(disk: Box<dyn Disk>, file: PathBuf) -> Self {
        Self { file, disk }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Opens the file; one that is not there is made first, by `make`: whole or not at all, whenever the machine
    /// crashes.
    pub(crate) fn begin(
        &self,
        make: impl FnOnce(&Database) -> Result<(), Fault>,
    ) -> Result<Database, Unusable> {
        let unreadable = |source| self.because(Why::Unreadable(source));
        if !self.disk.exists(&self.file).map_err(unreadable)? {
            // What becomes the file once it is whole.
            let beside = self.file.with_extension("new");
            self.disk.remove(&beside).map_err(unreadable)?;
            let database = self.disk.create(&beside).map_err(|error| Unusable::of(&beside, error))?;
            make(&database)
                .and_then(|()| Ok(database.close()?))
                .map_err(|Fault(cause)| self.because(Why::NotMade(cause)))?;
            match self.disk.rename(&beside, &self.file) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(self.because(Why::InUse));
                }
                renamed => renamed.map_err(unreadable)?,
            }
        }
        // Of a file that was there, too: who made it may have crashed before it could.
        self.disk.sync_name(&self.file).map_err(unreadable)?;
        self.open()
    }

    /// Opens the file, which must be there, for this process alone.
    pub(crate) fn open(&self) -> Result<Database, Unusable> {
        self.disk.open(&self.file).map_err(|error| Unusable::of(&self.file, error))
    }

    /// Takes the file away for good.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.disk.remove(&self.file)?;
        self.disk.sync_name(&self.file)
    }

    fn because(&self, why: Why) -> Unusable {
        Unusable { file: self.file.clone(), why }
    }
}

impl Unusable {
    /// What redb says of a file that it does not open.
    pub(crate) fn of(file: &Path, error: DatabaseError) -> Self {
        Self { file: file.to_owned(), why: Why::of(error) }
    }
}

impl Why {
    fn of(error: DatabaseError) -> Self {
        if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
            return Self::InUse;
        }
        if let DatabaseError::Storage(StorageError::Io(source)) = error {
            let torn = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof].contains(&source.kind());
            return match torn {
                true => Self::Damaged(source.to_string()),
                false => Self::Unreadable(source),
            };
        }
        Self::Damaged(error.to_string())
    }
}

impl Fault {
    /// The same as what is wrong with the file that it was found in.
    pub(crate) fn of(self, file: &Path) -> Unusable {
        Unusable { file: file.to_owned(), why: Why::Damaged(self.0) }
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A transaction that is durable when it is committed. Its two phases cost a second sync. In turn nothing is ever
/// referred to that is not on the disk, not even after a sync that failed, whose pages the system takes for written;
/// and damage of the last commit is seen as such, and not taken for one that a crash tore and left out unsaid.
pub(crate) fn begin(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate).map_err(|error| Fault(error.to_string()))?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// What lets a file be used that the system did not let be opened.
pub(crate) fn cure(error: &io::Error) -> &'static str {
    match files::is_full(error) {
        true => "make room on its disk",
        false => "let this user read and write it",
    }
}
