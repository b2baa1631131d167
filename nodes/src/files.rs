//! What programs do with directories so that what is in them outlives the machine's power.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory where there is none, durably: also one that an earlier start made and could not sync.
///
/// # Errors
/// The system's.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    match sync_name(&directory.canonicalize()?) {
        // Who may not look into the directory above has not made this one.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Makes durable that `file` has its name, or the last that it was given.
///
/// # Errors
/// The system's.
pub fn sync_name(file: &Path) -> io::Result<()> {
    File::open(directory_of(file))?.sync_all()
}

/// The directory that `file` is in.
pub fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether an error is for want of room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
