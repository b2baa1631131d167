//! What a driver records of its machine, into a file of its own: the format is [`neap_protocol::journal`]'s.
//!
//! The driver encodes each input before the machine takes it, and a digest of the effects after; that is all that it
//! waits for. A thread writes what has gathered, in frames, `GATHER` after the first of it at the latest. So a
//! process that is killed loses the last moments of its journal, and one whose machine panics does not: the last input
//! is then the one that it panicked over. Nothing is synced: a host that loses power may lose more.
//!
//! **A journal never holds its node up.** What waits for the disk is bounded; when the disk is full, broken or so slow
//! that the bound is passed, the log says so once, loudly, the journal ends where it was whole, and the node goes on
//! without. A journal with a hole would be no use: a replay needs every input.
//!
//! **A file is appended to.** A node that starts again on the same file reads it through and adds a run. What a crash
//! tore off its end is cut off; one that is damaged otherwise is put aside, and a fresh one is begun. Only a file that
//! is another node's, in use, or no journal at all is refused, for then somebody named the wrong one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use neap_protocol::ids::SessionId;
use neap_protocol::journal::{
    Body, Chain, End, Flaw, HEAD_SIZE, Header, LinkId, MAGIC, Machine, Recorder, Scanner, Unwritable, magic,
    seal_items, seal_run,
};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::driver;
use crate::output::Failure;

/// How long what a node recorded may wait for more, unless told otherwise.
const GATHER: Duration = Duration::from_millis(20);

/// How many bytes are written without waiting for more.
const ENOUGH: usize = 64 << 10;

/// How many bytes may wait for the disk.
const WAITING_MAX: usize = 32 << 20;

/// What is to be recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub file: PathBuf,
    /// Whether effects are written whole, and not as their digest.
    pub effects: bool,
    /// How long what was recorded may wait for more before it is written.
    pub gather: Duration,
}

impl Options {
    /// The usual ones: digests of effects, written soon.
    pub fn at(file: PathBuf) -> Self {
        Self { file, effects: false, gather: GATHER }
    }

    /// Of a file, where one is named.
    pub fn of(file: Option<PathBuf>, effects: bool) -> Option<Self> {
        file.map(|file| Self { effects, ..Self::at(file) })
    }
}

/// Why a journal cannot be had. Each names the cause and the cure.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("failed to write the journal {}: {source}; let this user write there, or name another file (--journal FILE)",
        file.display())]
    System {
        /// The journal.
        file: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another node writes it.
    #[error("the journal {} is being written by another node: name a file of its own for each (--journal FILE)",
        file.display())]
    InUse {
        /// The journal.
        file: PathBuf,
    },
    /// It is another node's, or none.
    #[error("{} is {what}: move it away, or name another file (--journal FILE)", file.display())]
    NotIts {
        /// The file.
        file: PathBuf,
        /// What it is.
        what: String,
    },
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::new(crate::exit::Exit::Failed, error.to_string())
    }
}

/// The journal of one machine, or none. When it is dropped, all of it is written.
#[derive(Debug, Default)]
pub struct Journal(Option<Open>);

#[derive(Debug)]
struct Open {
    recorder: Recorder,
    began: Instant,
    shared: Arc<Shared>,
    /// `None`: what is left is its own affair.
    thread: Option<JoinHandle<()>>,
    ended: bool,
}

impl Journal {
    /// None: nothing is recorded.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Begins a run of the machine `M` of the node `name`, if one is to be recorded.
    ///
    /// # Errors
    /// [`JournalError`]: the file cannot be used.
    pub fn open<M: Machine>(
        options: Option<&Options>,
        name: &Name,
        config: &M::Config,
    ) -> Result<Self, JournalError> {
        let Some(Options { file: path, effects, gather }) = options else {
            return Ok(Self::off());
        };
        let began = Instant::now();
        let program = Text::new(concat!("neap ", env!("CARGO_PKG_VERSION")));
        let header = Header::new::<M>(name.clone(), program, driver::now());
        let system = |source| JournalError::System { file: path.clone(), source };
        let mut file = Appended::open(path, &header)?;
        let mut frame = Vec::new();
        let sealed = seal_run(file.chain, &header, config, &mut frame);
        let chain = sealed.map_err(|error| system(io::Error::other(error)))?;
        file.append(&frame, chain).map_err(system)?;
        Ok(Self(Some(Open::start(file, began, *effects, *gather).map_err(system)?)))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records what both ends call a session, before its opening is an input.
    pub fn session(&mut self, session: SessionId, link: Option<LinkId>) {
        if let Some(link) = link {
            self.record(|open| open.recorder.session(session, link));
        }
    }

    /// Records an input, before the machine takes it.
    pub fn input<I: Serialize>(&mut self, input: &I) {
        self.record(|open| {
            let at = u64::try_from(open.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            open.recorder.input(Millis(at), input)
        });
    }

    /// Records what the machine asked for, before it is done.
    pub fn effects<E: Serialize>(&mut self, effects: &[E]) {
        self.record(|open| open.recorder.effects(effects));
        if self.0.as_mut().is_some_and(|open| !open.hand_over()) {
            // The thread says why.
            self.give_up();
        }
    }

    fn record(&mut self, act: impl FnOnce(&mut Open) -> Result<(), Unwritable>) {
        let Some(open) = &mut self.0 else { return };
        if let Err(error) = act(open) {
            tracing::error!(%error, "the journal stops, and the node goes on without");
            open.end(End::Stopped(Text::from(error.to_string())));
            self.give_up();
        }
    }

    /// Records no more, and does not wait for the disk.
    fn give_up(&mut self) {
        if let Some(mut open) = self.0.take() {
            drop(open.thread.take());
        }
    }
}

impl Open {
    fn start(file: impl Storage, began: Instant, effects: bool, gather: Duration) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let recorder = Recorder::new(effects);
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writing.write_all(file, gather))?;
        Ok(Self { recorder, began, shared, thread: Some(thread), ended: false })
    }

    /// Gives the thread what was recorded. `false`: it has stopped.
    fn hand_over(&mut self) -> bool {
        let items = self.recorder.items();
        let mut queue = self.shared.lock();
        if queue.stopped || queue.late {
            return false;
        }
        if queue.items.len() + items.len() > WAITING_MAX {
            queue.late = true;
            drop(queue);
            self.shared.news.notify_one();
            return false;
        }
        let before = queue.items.len();
        queue.items.append(items);
        let wake = before == 0 || (before < ENOUGH && queue.items.len() >= ENOUGH);
        drop(queue);
        if wake {
            self.shared.news.notify_one();
        }
        true
    }

    fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // What has no form is left out: then the run has no end.
        let _unwritable = self.recorder.end(end);
        self.hand_over();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        match std::thread::panicking() {
            // The last input has no answer, and the run no end: whoever reads it knows.
            true => drop(self.hand_over()),
            false => self.end(End::InOrder),
        }
        self.shared.lock().over = true;
        self.shared.news.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the journal panicked");
        }
    }
}

/// What waits for the disk, between the driver and the thread.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    items: Vec<u8>,
    /// The driver has no more.
    over: bool,
    /// More would wait than may.
    late: bool,
    /// The thread takes no more.
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write and more is not worth waiting for. `false`: it is over.
    fn next(&self, items: &mut Vec<u8>, gather: Duration) -> bool {
        let waits = |queue: &mut Queue| queue.items.is_empty() && !queue.over && !queue.late;
        let queue = self.news.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let gathers = |queue: &mut Queue| queue.items.len() < ENOUGH && !queue.over && !queue.late;
        let gathered = self.news.wait_timeout_while(queue, gather, gathers);
        let (mut queue, _in_time) = gathered.unwrap_or_else(PoisonError::into_inner);
        items.clear();
        std::mem::swap(items, &mut queue.items);
        !items.is_empty() || !(queue.over || queue.late)
    }

    /// The thread: writes until the driver has no more, or the disk takes no more.
    fn write_all(&self, mut file: impl Storage, gather: Duration) {
        let mut items = Vec::new();
        while self.next(&mut items, gather) {
            if let Err(error) = frame(&mut file, &items) {
                self.lock().stopped = true;
                tracing::error!(journal = file.name(), %error,
                    "the journal cannot be written and stops; the node goes on without: free space, then start it again to go on");
                stop(&mut file, &format!("it could not be written: {error}"));
                return;
            }
        }
        let mut queue = self.lock();
        queue.stopped = true;
        if queue.late {
            drop(queue);
            tracing::error!(
                journal = file.name(),
                waiting_max = WAITING_MAX,
                "the disk is too slow for the journal, which stops; the node goes on without: give it a faster disk"
            );
            stop(&mut file, "the disk was too slow");
        }
    }
}

/// Writes items as a frame, whole or not at all.
fn frame(file: &mut impl Storage, items: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(items.len() + 32);
    let chain = seal_items(file.chain(), items, &mut bytes).map_err(io::Error::other)?;
    file.append(&bytes, chain)
}

/// Says in the journal itself that it stopped, if there is room for so much.
fn stop(file: &mut impl Storage, cause: &str) {
    let mut recorder = Recorder::new(false);
    if recorder.end(End::Stopped(Text::new(cause))).is_ok() {
        let _full = frame(file, recorder.items());
    }
}

/// A file as the thread needs it.
trait Storage: Send + 'static {
    /// What it is called.
    fn name(&self) -> String;

    /// How far it is.
    fn chain(&self) -> Chain;

    /// Appends a frame, whole or not at all: it is then so far.
    fn append(&mut self, frame: &[u8], chain: Chain) -> io::Result<()>;
}

/// A journal's file, open at the end of what is whole.
#[derive(Debug)]
struct Appended {
    path: PathBuf,
    file: File,
    length: u64,
    chain: Chain,
}

impl Storage for Appended {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn chain(&self) -> Chain {
        self.chain
    }

    fn append(&mut self, frame: &[u8], chain: Chain) -> io::Result<()> {
        let written = self.file.write_all(frame);
        if let Err(error) = written {
            // What there was room for is no frame.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.length += frame.len() as u64;
        self.chain = chain;
        Ok(())
    }
}

impl Appended {
    /// Opens the journal at `path` to append a run of this header's node, or begins one.
    fn open(path: &Path, header: &Header) -> Result<Self, JournalError> {
        let system = |source| JournalError::System { file: path.to_owned(), source };
        let mut options = OpenOptions::new();
        // Commands and their environments are in it.
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(system)?;
        let in_use = |_| JournalError::InUse { file: path.to_owned() };
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(in_use)?;
        let length = file.metadata().map_err(system)?.len();
        let found = scan(&mut file, length).map_err(system)?;
        if let Some(what) = found.not_its(header) {
            return Err(JournalError::NotIts { file: path.to_owned(), what });
        }
        match found.flaw {
            None => {}
            Some(Flaw::Torn { left }) => {
                tracing::warn!(journal = %path.display(), bytes = left, "a crash tore the journal's end, which is cut off");
            }
            Some(Flaw::Corrupt | Flaw::Strange | Flaw::NoRun) => {
                put_aside(path, found.whole).map_err(system)?;
                drop(file);
                return Self::open(path, header);
            }
        }
        file.set_len(found.whole).map_err(system)?;
        file.seek(SeekFrom::Start(found.whole)).map_err(system)?;
        let mut journal = Self { path: path.to_owned(), file, length: found.whole, chain: found.chain };
        if journal.length == 0 {
            journal.append(&MAGIC, Chain::START).map_err(system)?;
        }
        Ok(journal)
    }
}

/// Moves a damaged journal to where it is in nobody's way.
fn put_aside(path: &Path, whole: u64) -> io::Result<()> {
    let mut count = 1;
    let aside = loop {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".damaged-{count}"));
        if !Path::new(&aside).try_exists()? {
            break PathBuf::from(aside);
        }
        count += 1;
    };
    fs::rename(path, &aside)?;
    tracing::error!(journal = %path.display(), aside = %aside.display(), whole,
        "the journal is damaged: it is put aside and a fresh one begun; check the disk");
    Ok(())
}

/// What is in a file.
struct Found {
    /// The first run's header.
    first: Option<Header>,
    /// Not a journal of this version at all.
    other: Option<String>,
    /// How many bytes are whole.
    whole: u64,
    chain: Chain,
    flaw: Option<Flaw>,
}

impl Found {
    fn not_its(&self, header: &Header) -> Option<String> {
        let first = self.first.as_ref();
        let other = first.filter(|first| (first.role, &first.name) != (header.role, &header.name));
        let other = other.map(|first| format!("the journal of {} {}", first.role, first.name));
        self.other.clone().or(other)
    }
}

/// Reads a journal through, a frame at a time.
fn scan(file: &mut File, length: u64) -> io::Result<Found> {
    let mut reader = BufReader::new(file);
    let mut found = Found { first: None, other: None, whole: 0, chain: Chain::START, flaw: None };
    let mut begin = Vec::new();
    reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    match magic(&begin) {
        Ok(Some(_)) => found.whole = MAGIC.len() as u64,
        Ok(None) => return Ok(found),
        Err(error) => {
            found.other = Some(error.to_string());
            return Ok(found);
        }
    }
    let mut scanner = Scanner::default();
    let mut frame = Vec::new();
    while found.whole < length {
        let left = length - found.whole;
        match next(&mut reader, &mut scanner, &mut frame, left)? {
            Ok((read, header)) => {
                found.whole += read;
                found.first = found.first.or(header);
            }
            Err(flaw) => {
                found.flaw = Some(flaw);
                break;
            }
        }
    }
    found.chain = scanner.chain();
    Ok(found)
}

/// Checks the next frame: how many bytes it has, and its header if it begins a run.
fn next(
    reader: &mut impl Read,
    scanner: &mut Scanner,
    frame: &mut Vec<u8>,
    left: u64,
) -> io::Result<Result<(u64, Option<Header>), Flaw>> {
    let torn = Flaw::Torn { left: usize::try_from(left).unwrap_or(usize::MAX) };
    if left < HEAD_SIZE as u64 {
        return Ok(Err(torn));
    }
    let mut head = [0; HEAD_SIZE];
    reader.read_exact(&mut head)?;
    let follows = match scanner.follows(head) {
        Ok(follows) => follows,
        // What a crash left of a file that was to grow may be zeros.
        Err(_) if head == [0; HEAD_SIZE] && only_zeros(reader)? => return Ok(Err(torn)),
        Err(flaw) => return Ok(Err(flaw)),
    };
    if left - (HEAD_SIZE as u64) < follows as u64 {
        return Ok(Err(torn));
    }
    frame.resize(follows, 0);
    reader.read_exact(frame)?;
    Ok(scanner.body(frame).map(|body| {
        let header = match body {
            Body::Run(header, _config) => Some(header),
            Body::Items(_) => None,
        };
        ((HEAD_SIZE + follows) as u64, header)
    }))
}

fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
