//! `neap registry`: what a master's disk holds, whether it is sound, and a copy of it.
//!
//! Everything is read from a copy in a temporary file, so that looking changes nothing: redb recovers a file that a
//! crash left open as soon as it opens it. Of a registry that a master has open, that master makes the copy, as of one
//! moment.

mod views;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, StorageBackend};
use serde::Serialize;

use super::copies;
use super::store::{self, Contents, FILE, StoreError};
use crate::cli::registry::{Backup, Of, RegistryCommand};
use crate::config::Loaded;
use crate::exit::Exit;
use crate::files;
use crate::output::{Failure, Format, Printer, counted};
use views::{AuditRow, Glance};

/// Carries `neap registry` out.
///
/// # Errors
/// [`Failure`] names the file, the cause and the cure.
pub(crate) fn main(
    command: RegistryCommand,
    loaded: &Loaded,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    match command {
        RegistryCommand::Show(args) if args.audit => {
            let taken = Taken::of(&args.of, loaded)?;
            let rows: Vec<AuditRow> = taken.contents.audit.iter().map(AuditRow::from).collect();
            printer.rows(&rows, "no operator has asked for a change")?;
        }
        RegistryCommand::Show(args) => show(&Taken::of(&args.of, loaded)?, printer)?,
        RegistryCommand::Check(args) => printer.one(&Taken::of(&args.of, loaded)?.checked())?,
        RegistryCommand::Backup(args) => printer.one(&backup(&args, loaded)?)?,
    }
    Ok(Exit::Success)
}

fn show(taken: &Taken, printer: &mut Printer) -> Result<(), Failure> {
    let glance = Glance::of(taken.file.display().to_string(), taken.live, &taken.contents);
    printer.one(&glance)?;
    if printer.format() == Format::Text {
        printer.note("")?;
        printer.rows(&glance.slaves, "no slaves")?;
        for_some(&glance.holds(), printer)?;
        for_some(&glance.drains, printer)?;
        for_some(&glance.inverse_offers, printer)?;
        for_some(&glance.frameworks, printer)?;
        for_some(&glance.ends, printer)?;
    }
    Ok(())
}

fn for_some<R: crate::output::Row>(rows: &[R], printer: &mut Printer) -> Result<(), Failure> {
    if !rows.is_empty() {
        printer.note("")?;
        printer.rows(rows, "")?;
    }
    Ok(())
}

fn backup(args: &Backup, loaded: &Loaded) -> Result<Written, Failure> {
    let copy = &args.copy;
    if copy.try_exists().map_err(|error| unwritten(copy, &error))? {
        return Err(exists(copy));
    }
    let taken = Taken::of(&args.of, loaded)?;
    let beside = tempfile::NamedTempFile::new_in(files::directory_of(copy))
        .map_err(|error| unwritten(copy, &error))?;
    let open = || beside.as_file().try_clone().map_err(|error| unwritten(copy, &error));
    store::write_copy(&taken.database, open()?).map_err(|cause| unwritten(copy, &io::Error::other(cause)))?;
    beside.as_file().sync_all().map_err(|error| unwritten(copy, &error))?;
    let (read, database) =
        store::read_copy(copy, open()?).map_err(|error| Failure::because("verify the copy", &error))?;
    drop(database);
    if read != taken.contents {
        return Err(unwritten(copy, &io::Error::other("what was read back is not what was written")));
    }
    beside.as_file().sync_all().map_err(|error| unwritten(copy, &error))?;
    let bytes = beside.as_file().metadata().map_err(|error| unwritten(copy, &error))?.len();
    match beside.persist_noclobber(copy) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(copy)),
        Err(error) => return Err(unwritten(copy, &error.error)),
        Ok(_) => files::sync_name(copy).map_err(|error| unwritten(copy, &error))?,
    }
    Ok(Written { copy: copy.clone(), bytes, of: taken.checked() })
}

fn exists(copy: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("there is a file {} already, and it is left as it is", copy.display()))
        .help("name another file, or move that one away")
}

fn unwritten(copy: &Path, error: &io::Error) -> Failure {
    Failure::because(&format!("write the copy {}", copy.display()), error)
        .help("let this user write there and make room, or name another file; nothing is left of this one")
}

/// A copy of a registry, read as a whole.
struct Taken {
    file: PathBuf,
    /// A master has it open, and made the copy.
    live: bool,
    /// Whether it was closed in order; `None` where it is open.
    closed: Option<bool>,
    bytes: u64,
    contents: Contents,
    database: Database,
}

impl Taken {
    fn of(of: &Of, loaded: &Loaded) -> Result<Self, Failure> {
        let file = match &of.file {
            Some(file) => file.clone(),
            None => loaded.master_data(of.data.clone())?.join(FILE),
        };
        let mut opened = File::open(&file).map_err(|error| unreadable(&file, &error))?;
        let bytes = opened.metadata().map_err(|error| unreadable(&file, &error))?.len();
        let mut copy =
            tempfile::tempfile().map_err(|error| Failure::because("make a temporary file", &error))?;
        let lock = opened.try_clone().and_then(store::lock_for_copying);
        let lock = lock.map_err(|error| unreadable(&file, &error))?;
        let live = lock.is_none();
        match live {
            true => ask(&file, &copy)?,
            false => drop(io::copy(&mut opened, &mut copy).map_err(|error| unreadable(&file, &error))?),
        }
        let (contents, database) = store::read_copy(&file, copy).map_err(failure)?;
        let closed = match lock {
            Some(lock) => {
                lock.close().map_err(|error| unreadable(&file, &error))?;
                store::was_closed(&file)
            }
            None => None,
        };
        Ok(Self { file, live, closed, bytes, contents, database })
    }

    fn checked(&self) -> Checked {
        let Contents { epoch, registry, snapshot, operations, receipts, receipt_lines, audit } =
            &self.contents;
        Checked {
            file: self.file.clone(),
            bytes: self.bytes,
            live: self.live,
            closed: self.closed,
            epoch: epoch.0,
            snapshot: *snapshot,
            operations: *operations,
            slaves: registry.slaves().len() as u64,
            frameworks: registry.frameworks().len() as u64,
            inverse_offers: registry.inverse_offers().len() as u64,
            drains: registry.drains().len() as u64,
            ends: registry.ends().len() as u64,
            receipts: *receipts,
            receipt_lines: *receipt_lines,
            audit_lines: audit.len() as u64,
        }
    }
}

fn ask(file: &Path, copy: &File) -> Result<(), Failure> {
    copies::ask(files::directory_of(file), copy).map_err(|error| {
        let what = format!("get a copy of the registry {} from the master that has it open", file.display());
        Failure::because(&what, &error).help(
            "run this as the user that the master runs as, or as root, on its host; or stop the master first",
        )
    })
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::new(Exit::Failed, format!("there is no registry {}", file.display()))
            .help("--data names the data directory of a master, --file the file itself");
    }
    Failure::because(&format!("read the registry {}", file.display()), error)
        .help("run this as the user that the master runs as, or as root")
}

fn failure(error: StoreError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// A registry that is sound, and what was read to know it.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    bytes: u64,
    live: bool,
    closed: Option<bool>,
    epoch: u64,
    snapshot: bool,
    operations: u64,
    slaves: u64,
    frameworks: u64,
    inverse_offers: u64,
    drains: u64,
    ends: u64,
    receipts: u64,
    receipt_lines: u64,
    audit_lines: u64,
}

impl Checked {
    /// What it holds, in words.
    fn holds(&self) -> String {
        let begun = if self.snapshot { "a snapshot and " } else { "" };
        let log = counted(self.operations, "operation");
        format!(
            "epoch {}; {begun}{log} that lead to {}, {}, {}, {}, {}; {} with {}; {} of audit",
            self.epoch,
            counted(self.slaves, "slave"),
            counted(self.frameworks, "framework"),
            counted(self.drains, "drain"),
            counted(self.inverse_offers, "inverse offer"),
            counted(self.ends, "unacknowledged end"),
            counted(self.receipts, "receipt"),
            counted(self.receipt_lines, "line"),
            counted(self.audit_lines, "line"),
        )
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the registry {} is sound: {}", self.file.display(), self.holds())?;
        match (self.live, self.closed) {
            (true, _) => f.write_str(
                "\na master has it open, and told what is in it; the pages of the file are verified when none has",
            ),
            (false, Some(false)) => {
                f.write_str("\nit was not closed in order; a copy was recovered and checked, as the next master will do")
            }
            (false, Some(true) | None) => Ok(()),
        }
    }
}

/// A copy that was made.
#[derive(Debug, Serialize)]
struct Written {
    copy: PathBuf,
    bytes: u64,
    of: Checked,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, bytes, of } = self;
        write!(f, "wrote {} ({bytes} bytes), and read it back: {}", copy.display(), of.holds())?;
        write!(f, "\nas {FILE} in a data directory, `neap master` starts from it")
    }
}
