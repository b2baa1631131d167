//! What stands between redb's files and the hardware. Tests put a disk here that tears, loses and refuses.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend, StorageError};

use crate::files;

/// What is done with files; what is done in one is redb's.
pub(crate) trait Disk: Debug + Send {
    /// Whether there is a file of that name.
    fn exists(&self, file: &Path) -> io::Result<bool>;
    /// Makes an empty database, where there must be no file, and opens it for this process alone.
    fn create(&self, file: &Path) -> Result<Database, DatabaseError>;
    /// Opens a database for this process alone.
    fn open(&self, file: &Path) -> Result<Database, DatabaseError>;
    /// Takes a file away, if it is there.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// Makes the name of `file` durable.
    fn sync_name(&self, file: &Path) -> io::Result<()>;
    /// Gives the file `beside` the name `file`, which none must have.
    fn rename(&self, beside: &Path, file: &Path) -> io::Result<()>;
}

/// The system's files.
#[derive(Debug)]
pub(super) struct System;

impl Disk for System {
    fn exists(&self, file: &Path) -> io::Result<bool> {
        file.try_exists()
    }

    fn create(&self, file: &Path) -> Result<Database, DatabaseError> {
        let created = File::options().read(true).write(true).create_new(true).open(file);
        Database::builder().create_with_backend(FileBackend::new(created.map_err(StorageError::Io)?)?)
    }

    fn open(&self, file: &Path) -> Result<Database, DatabaseError> {
        let opened = File::options().read(true).write(true).open(file);
        open(FileBackend::new(opened.map_err(StorageError::Io)?)?)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_name(&self, file: &Path) -> io::Result<()> {
        files::sync_name(file)
    }

    fn rename(&self, beside: &Path, file: &Path) -> io::Result<()> {
        tempfile::TempPath::try_from_path(beside)?.persist_noclobber(file).map_err(|error| error.error)
    }
}

/// Opens a database that is verified as a whole, so that damage is an error now and no panic later.
pub(crate) fn open(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    // redb begins an empty database in an empty file; here it is one that lost everything.
    if backend.len().map_err(StorageError::Io)? == 0 {
        return Err(StorageError::Corrupted("it is empty".to_owned()).into());
    }
    Database::builder().set_check_integrity_on_open(true).create_with_backend(backend)
}
