//! redb's files on the tests' disk, and what else befalls a file.

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

/// Flips every bit of the header, and one in each [`STRIDE`] bytes of the rest; answers with how many, and how many of
/// these `refused` says were refused.
pub(crate) fn flip(whole: &[u8], mut refused: impl FnMut(&[u8], &str) -> bool) -> (usize, usize) {
    let header = (0..HEADER).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let rest = (HEADER..whole.len()).step_by(STRIDE).map(|at| (at, at / STRIDE % 8));
    let (mut bytes, mut flipped, mut found) = (whole.to_vec(), 0, 0);
    for (at, bit) in header.chain(rest) {
        bytes[at] ^= 1 << bit;
        flipped += 1;
        found += usize::from(refused(&bytes, &format!("bit {bit} of byte {at} is flipped")));
        bytes[at] ^= 1 << bit;
    }
    (flipped, found)
}

/// Cuts a file to every length of its header, and to every 256th of the rest; and makes it longer. The same is answered.
pub(crate) fn cut(whole: &[u8], mut refused: impl FnMut(&[u8], &str) -> bool) -> (usize, usize) {
    let (mut cut, mut found) = (0, 0);
    for length in (0..HEADER).chain((HEADER..whole.len()).step_by(256)) {
        cut += 1;
        let what = format!("cut to {length} of {} bytes", whole.len());
        found += usize::from(refused(&whole[..length], &what));
    }
    let longer = [whole, &[0; 4096]].concat();
    refused(&longer, "with zeros after it");
    (cut, found)
}
