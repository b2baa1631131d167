//! A disk for tests, in memory: it remembers every step that was taken on it, fails at the one that it is told to, and
//! lays out what a crash after any number of them may leave.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a crash leaves of the steps before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// All of them: the process was killed.
    All,
    /// All of them, and half of the bytes of the next, if that is a write.
    AllAndHalf,
    /// What was synced, and nothing since: the machine lost its power.
    Synced,
    /// What was synced, and half of the bytes of the next step.
    SyncedAndHalf,
    /// What was synced, and of what came since every other step, the first among them; names as they were synced.
    SyncedAndFirst,
    /// The same with the others; names as they were last.
    SyncedAndSecond,
}

impl Leaves {
    pub(crate) const EACH: [Self; 6] = [
        Self::All,
        Self::AllAndHalf,
        Self::Synced,
        Self::SyncedAndHalf,
        Self::SyncedAndFirst,
        Self::SyncedAndSecond,
    ];
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    /// The step with this number, once. A sync that fails has lost what it was to write (the system takes those pages
    /// for written); a write has written half.
    Once(usize),
    /// Whatever needs room from the step with this number on, until it is told otherwise.
    FullFrom(usize),
}

/// A disk. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    /// What was on it before the first step.
    begun: Content,
    steps: Vec<Step>,
    now: Content,
    fails: Option<Fails>,
    failed: bool,
}

/// Names, and what is in the files that have had one.
#[derive(Clone, Default)]
struct Content {
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Vec<u8>>,
}

#[derive(Clone)]
enum Step {
    Create { name: PathBuf },
    Write { file: usize, offset: usize, bytes: Vec<u8>, lost: bool },
    SetLen { file: usize, len: usize, lost: bool },
    Sync { file: usize, failed: bool },
    Rename { from: PathBuf, to: PathBuf },
    Remove { name: PathBuf },
    SyncNames { failed: bool },
}

impl Content {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Create { name } => {
                self.names.insert(name.clone(), self.files.len());
                self.files.push(Vec::new());
            }
            Step::Write { file, offset, bytes, .. } => {
                let (content, end) = (&mut self.files[*file], offset + bytes.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
            Step::SetLen { file, len, .. } => self.files[*file].resize(*len, 0),
            Step::Rename { from, to } => {
                let file = self.names.remove(from).expect("it was there");
                self.names.insert(to.clone(), file);
            }
            Step::Remove { name } => drop(self.names.remove(name)),
            Step::Sync { .. } | Step::SyncNames { .. } => {}
        }
    }
}

impl Step {
    /// The file that it changes, if it is not one of names.
    fn file(&self) -> Option<usize> {
        match self {
            Self::Write { file, .. } | Self::SetLen { file, .. } | Self::Sync { file, .. } => Some(*file),
            Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } | Self::SyncNames { .. } => None,
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self, Self::Write { lost: true, .. } | Self::SetLen { lost: true, .. })
    }

    fn half(&self) -> Option<Self> {
        let Self::Write { file, offset, bytes, lost } = self else {
            return None;
        };
        let bytes = bytes[..bytes.len() / 2].to_vec();
        Some(Self::Write { file: *file, offset: *offset, bytes, lost: *lost })
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        // redb may panic while it holds it: what is there then is what the test is about.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A disk with these files on it.
    pub(crate) fn holding(files: &[(&Path, &[u8])]) -> Self {
        let disk = Self::default();
        for (name, bytes) in files {
            let mut state = disk.state();
            let file = state.begun.files.len();
            state.begun.files.push(bytes.to_vec());
            state.begun.names.insert(name.to_path_buf(), file);
            state.now = state.begun.clone();
        }
        disk
    }

    /// How many steps were taken. Each is a point to crash at, and to fail at.
    pub(crate) fn steps(&self) -> usize {
        self.state().steps.len()
    }

    pub(crate) fn fail(&self, fails: Option<Fails>) {
        self.state().fails = fails;
    }

    /// Whether it has failed as it was told to.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// What a crash after `taken` steps leaves, on a disk of its own; one of the process alone leaves what was not
    /// synced for the next crash.
    pub(crate) fn after_a_crash(&self, taken: usize, leaves: Leaves) -> Self {
        let state = self.state();
        let steps = &state.steps[..taken];
        let half = state.steps.get(taken).and_then(Step::half);
        let half = half.filter(|_| matches!(leaves, Leaves::AllAndHalf | Leaves::SyncedAndHalf));
        let mut left = state.begun.clone();
        // Names first, so that there is every file that steps are of.
        let mut synced_names = left.names.clone();
        for step in steps.iter().filter(|step| step.file().is_none()) {
            left.take(step);
            if let Step::SyncNames { failed: false } = step {
                synced_names.clone_from(&left.names);
            }
        }
        let mut since = 0;
        for (at, step) in steps.iter().enumerate() {
            let Some(file) = step.file() else { continue };
            let synced = || {
                steps[at..]
                    .iter()
                    .any(|later| matches!(later, Step::Sync { file: of, failed: false } if *of == file))
            };
            let kept = match leaves {
                Leaves::All | Leaves::AllAndHalf => true,
                _ if step.is_lost() => false,
                _ if synced() => true,
                Leaves::Synced | Leaves::SyncedAndHalf => false,
                Leaves::SyncedAndFirst | Leaves::SyncedAndSecond => {
                    since += 1;
                    (since % 2 == 1) == (leaves == Leaves::SyncedAndFirst)
                }
            };
            if kept {
                left.take(step);
            }
        }
        half.iter().for_each(|half| left.take(half));
        let left = match leaves {
            Leaves::All | Leaves::AllAndHalf => {
                let steps = steps.iter().cloned().chain(half).collect();
                State { begun: state.begun.clone(), steps, now: left, ..State::default() }
            }
            Leaves::Synced | Leaves::SyncedAndHalf | Leaves::SyncedAndFirst => {
                let left = Content { names: synced_names, ..left };
                State { begun: left.clone(), now: left, ..State::default() }
            }
            Leaves::SyncedAndSecond => State { begun: left.clone(), now: left, ..State::default() },
        };
        Self(Arc::new(Mutex::new(left)))
    }

    /// Crashes after every number of steps, in every way, and answers with how many numbers those are. `holds` is told
    /// what of `account` (after so many steps, that was answered) had been answered, and what was asked for next.
    pub(crate) fn crash_everywhere<K>(
        &self,
        account: &[(usize, K)],
        mut holds: impl FnMut(&Self, [&K; 2], &str),
    ) -> usize {
        let points = self.steps();
        for taken in 0..=points {
            let answered = account.iter().rposition(|(steps, _)| *steps <= taken).unwrap();
            let asked = (answered + 1).min(account.len() - 1);
            for leaves in Leaves::EACH {
                let what = format!("a crash after {taken} of {points} steps that leaves {leaves:?}");
                let left = self.after_a_crash(taken, leaves);
                holds(&left, [&account[answered].1, &account[asked].1], &what);
            }
        }
        points + 1
    }

    /// Takes a step, or fails at it.
    fn take(&self, step: Step) -> io::Result<()> {
        let mut state = self.state();
        let at = state.steps.len();
        let needs_room = matches!(step, Step::Create { .. } | Step::Write { .. } | Step::SetLen { .. });
        match state.fails {
            Some(Fails::Once(number)) if number == at => {
                state.failed = true;
                state.fails = None;
                state.fail(step);
                Err(io::Error::other("the disk failed"))
            }
            Some(Fails::FullFrom(number)) if number <= at && needs_room => {
                state.failed = true;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(_) | None => {
                state.now.take(&step);
                state.steps.push(step);
                Ok(())
            }
        }
    }

    pub(crate) fn exists(&self, name: &Path) -> bool {
        self.state().now.names.contains_key(name)
    }

    /// Makes an empty file of that name, in the place of one that has it.
    pub(crate) fn create(&self, name: &Path) -> io::Result<Handle> {
        self.take(Step::Create { name: name.to_owned() })?;
        self.open(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn open(&self, name: &Path) -> Option<Handle> {
        let file = *self.state().now.names.get(name)?;
        Some(Handle { disk: self.clone(), file })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take(Step::Rename { from: from.to_owned(), to: to.to_owned() })
    }

    pub(crate) fn remove(&self, name: &Path) -> io::Result<()> {
        match self.exists(name) {
            true => self.take(Step::Remove { name: name.to_owned() }),
            false => Ok(()),
        }
    }

    pub(crate) fn sync_names(&self) -> io::Result<()> {
        self.take(Step::SyncNames { failed: false })
    }
}

impl State {
    /// What is left of a step that fails.
    fn fail(&mut self, step: Step) {
        let step = match step {
            Step::Write { .. } => step.half().unwrap_or(step),
            Step::Sync { file, .. } => {
                let from = self.steps.iter().rposition(
                    |earlier| matches!(earlier, Step::Sync { file: of, failed: false } if *of == file),
                );
                for earlier in &mut self.steps[from.unwrap_or(0)..] {
                    if let Step::Write { file: of, lost, .. } | Step::SetLen { file: of, lost, .. } = earlier
                    {
                        *lost |= *of == file;
                    }
                }
                Step::Sync { file, failed: true }
            }
            Step::SyncNames { .. } => Step::SyncNames { failed: true },
            Step::Create { .. } | Step::SetLen { .. } | Step::Rename { .. } | Step::Remove { .. } => return,
        };
        self.now.take(&step);
        self.steps.push(step);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a disk after {} steps", self.steps())
    }
}

/// An open file.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    disk: Disk,
    file: usize,
}

impl Handle {
    pub(crate) fn len(&self) -> usize {
        self.disk.state().now.files[self.file].len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.disk.state().now.files[self.file].clone()
    }

    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let bytes = state.now.files[self.file].get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.disk.take(Step::Write { file: self.file, offset, bytes: bytes.to_vec(), lost: false })
    }

    pub(crate) fn set_len(&self, len: usize) -> io::Result<()> {
        self.disk.take(Step::SetLen { file: self.file, len, lost: false })
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.take(Step::Sync { file: self.file, failed: false })
    }
}

/// Fails unless there is one of each of these kinds among the changes. A kind that is not named does not compile.
macro_rules! assert_each_kind {
    ($changes:expr, $of:ty: $($kind:pat,)+) => {
        const _: fn(&$of) = |change| match change {
            $($kind => {})+
        };
        let changes: &[$of] = $changes;
        $(assert!(
            changes.iter().any(|change| matches!(change, $kind)),
            "nobody writes {}",
            stringify!($kind)
        );)+
    };
}

pub(crate) use assert_each_kind;
