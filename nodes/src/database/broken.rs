//! redb's files on the tests' disk, and what else befalls a file.

use std::fmt;
use std::io;
use std::path::Path;

use redb::{Database, DatabaseError, StorageBackend, StorageError};

use super::disk;
use super::disk::Disk;
use crate::crashes::{self, Handle};

/// The first bytes of a file, which are the same for the next write, and not written anew.
const HEADER: usize = 512;

/// Prime, so that all of a page's bytes are met.
const STRIDE: usize = 29;

impl Disk for crashes::Disk {
    fn exists(&self, file: &Path) -> io::Result<bool> {
        Ok(self.exists(file))
    }

    fn create(&self, file: &Path) -> Result<Database, DatabaseError> {
        let handle = self.create(file).map_err(StorageError::Io)?;
        Database::builder().create_with_backend(handle)
    }

    fn open(&self, file: &Path) -> Result<Database, DatabaseError> {
        disk::open(self.open(file).ok_or_else(|| StorageError::Io(io::ErrorKind::NotFound.into()))?)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.remove(file)
    }

    fn sync_name(&self, _file: &Path) -> io::Result<()> {
        self.sync_names()
    }

    fn rename(&self, beside: &Path, file: &Path) -> io::Result<()> {
        match self.exists(file) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => self.rename(beside, file),
        }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read(offset as usize, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.set_len(len as usize)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(offset as usize, data)
    }
}

/// The bit, of a byte, that says which of the last two commits counts. In a file that was not closed in order its flip
/// undoes the last commit: so does a crash between that one's phases, and nobody can tell them apart.
const LAST: (usize, usize) = (9, 0);

/// A file's bytes, and what is in them.
pub(crate) struct Whole<K> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) known: K,
    /// What the last commit changed, where the file was not closed in order.
    pub(crate) before: Option<K>,
}

impl<K: PartialEq + fmt::Debug> Whole<K> {
    /// Flips every bit of the header, and one in each [`STRIDE`] bytes of the rest; answers with how many, and how many
    /// of these `read` refused.
    pub(crate) fn flip(&self, read: impl Fn(&[u8], &str) -> Option<K>) -> (usize, usize) {
        let header = (0..HEADER).flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let rest = (HEADER..self.bytes.len()).step_by(STRIDE).map(|at| (at, at / STRIDE % 8));
        let (mut bytes, mut flipped, mut refused) = (self.bytes.clone(), 0, 0);
        for (at, bit) in header.chain(rest) {
            let what = format!("bit {bit} of byte {at} is flipped");
            bytes[at] ^= 1 << bit;
            let there = read(&bytes, &what);
            bytes[at] ^= 1 << bit;
            match &self.before {
                Some(before) if (at, bit) == LAST => assert_eq!(there.as_ref(), Some(before), "{what}"),
                _ => assert!(self.is(there.as_ref()), "{what}: something else is read: {there:?}"),
            }
            flipped += 1;
            refused += usize::from(there.is_none());
        }
        (flipped, refused)
    }

    /// Cuts the file to every length of its header, and to every 256th of the rest; and makes it longer. The same is
    /// answered.
    pub(crate) fn cut(&self, read: impl Fn(&[u8], &str) -> Option<K>) -> (usize, usize) {
        let (mut cut, mut refused) = (0, 0);
        for length in (0..HEADER).chain((HEADER..self.bytes.len()).step_by(256)) {
            let what = format!("cut to {length} of {} bytes", self.bytes.len());
            let there = read(&self.bytes[..length], &what);
            assert!(self.is(there.as_ref()), "{what}: something else is read: {there:?}");
            cut += 1;
            refused += usize::from(there.is_none());
        }
        let there = read(&[self.bytes.as_slice(), &[0; 4096]].concat(), "with zeros after it");
        assert!(self.is(there.as_ref()), "with zeros after it: something else is read: {there:?}");
        (cut, refused)
    }

    fn is(&self, there: Option<&K>) -> bool {
        there.is_none_or(|there| *there == self.known)
    }
}
