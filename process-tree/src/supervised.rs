//! Trees under a supervisor: the first process of a PID namespace, or a subreaper.
//!
//! Both are the same small process ([`birth::supervisor`]): it starts the leader, inherits every orphan, reaps, tells
//! how the leader ended, and exits when no child is left. As the first process of a namespace its death is the
//! namespace's; as a subreaper its exit is the kernel's word (`ECHILD`) that no descendant lives, since each would be
//! its child or below one.
//!
//! A **record** file is written before the leader starts and goes when the tree is seen dead, so that a later
//! incarnation of the slave finds what this one left (R5). The supervisor removes it itself when it is alone, which
//! tells a later incarnation, to whom it is no child, that it was not killed. It is written beside, synced, and then
//! given its name: no crash leaves half of one, and one that does not check is damaged. It is then all that is known of
//! what may live, and is refused and not removed.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::command::{Command, LaunchError, empty_image};
use crate::ending::{Exit, Log, PROCESSES_MAX, Survivors};
use crate::lock;
use crate::means::Means;
use crate::proc::{self, Key, Process, descendants};
use crate::sys::birth::{self, Image, Keeping, Step, Stillborn, Told};
use crate::sys::watch::watch;
use crate::trees::{OpenError, fnv1a};

/// A tree under its supervisor.
#[derive(Debug)]
pub(crate) struct Supervised {
    means: Means,
    supervisor: AsyncFd<Process>,
    /// `None` where an earlier incarnation started it: it is no child of ours, and its socket is closed.
    socket: Option<AsyncFd<OwnedFd>>,
    record: PathBuf,
    /// How the supervisor ended, once it has been reaped.
    reaped: Mutex<Option<Exit>>,
}

/// A tree just launched.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) tree: Supervised,
    /// Its number and start time; `None` where it killed its supervisor before that could be asked.
    pub(crate) leader: Option<(Pid, u64)>,
}

/// Proves that a supervisor can live here. The error says what failed.
pub(crate) fn try_out(keeping: Keeping, records: &Path) -> Result<(), String> {
    let record = records.join(format!("probe-{}", std::process::id()));
    let image = empty_image().map_err(|error| error.to_string())?;
    // One that was killed just here may have had this process's number; nobody else uses this directory.
    for path in [&record, &beside(&record)] {
        remove_record(path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    let tried = start(&image, keeping, &record);
    let tried = tried.map_err(|error| match error {
        StartError::Stillborn(Stillborn { step, errno }) => format!("{step:?} failed: {errno}"),
        StartError::Taken => format!("{} is in the way: remove it", record.display()),
        StartError::Record(error) => format!("cannot write {}: {error}", record.display()),
        StartError::System(doing, errno) => format!("{doing} failed: {errno}"),
        StartError::NoProc => "/proc does not show this process's children".to_owned(),
    })?;
    // It exits at once, and its supervisor after it: this reads to the end of what that tells.
    drop(tried.socket);
    while !tried.supervisor.exits_within_ms(1000) {}
    let _code = tried.supervisor.reap();
    Ok(())
}

/// Starts `command` under a supervisor of its own. It must be called within a tokio runtime.
pub(crate) fn launch(command: &Command, keeping: Keeping, records: &Path) -> Result<Launched, LaunchError> {
    let image = command.prepare()?;
    let record = record_path(records, &command.name);
    let started = start(&image, keeping, &record).map_err(|error| match error {
        StartError::Stillborn(stillborn) => command.explain(stillborn),
        StartError::Taken => LaunchError::NameTaken(command.name.clone()),
        StartError::Record(source) => LaunchError::Keeping { path: record.clone(), source },
        StartError::System(_, Errno::MFILE | Errno::NFILE) => LaunchError::TooManyFiles,
        StartError::System(doing, errno) => LaunchError::System { doing, source: errno.into() },
        StartError::NoProc => LaunchError::NoProc,
    })?;
    let watched = |source| LaunchError::System { doing: "watching its supervisor (epoll)", source };
    let tree = Supervised {
        means: means_of(keeping),
        supervisor: watch(started.supervisor, Interest::READABLE).map_err(watched)?,
        socket: Some(watch(started.socket, Interest::READABLE).map_err(watched)?),
        record,
        reaped: Mutex::new(None),
    };
    Ok(Launched { tree, leader: started.leader })
}

/// What an earlier incarnation left under this record.
#[derive(Debug)]
pub(crate) enum Left {
    /// It lives.
    Alive(Supervised),
    /// Its supervisor is gone, and this is known of the rest.
    Gone(Means, Survivors),
    /// It belongs to an earlier boot of the machine.
    Nothing,
}

/// Every record of an earlier incarnation, with what it stands for. Records that stand for nothing are removed; if one
/// is damaged, none is.
pub(crate) fn leftovers(records: &Path) -> Result<Vec<(String, Left)>, OpenError> {
    let unreadable = |source| OpenError::State { directory: records.to_owned(), source };
    let boot = proc::boot_id().map_err(unreadable)?;
    let (mut read, mut unfinished) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(records).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.ends_with(BESIDE_SUFFIX) {
            unfinished.push(path);
        } else if let Some(tree) = name.strip_suffix(RECORD_SUFFIX).map(str::to_owned) {
            match Record::read(&path).map_err(unreadable)? {
                Some(Ok(record)) => read.push((tree, path, record)),
                Some(Err(Damaged)) => return Err(OpenError::Damaged { record: path, tree }),
                // Its supervisor was alone just now.
                None => {}
            }
        }
    }
    // Of these nothing had begun.
    unfinished.iter().try_for_each(|path| remove_record(path)).map_err(unreadable)?;
    let mut found = Vec::new();
    for (tree, path, record) in read {
        let left = left_under(&path, &record, &boot).map_err(unreadable)?;
        if !matches!(left, Left::Alive(_)) {
            remove_record(&path).map_err(unreadable)?;
        }
        found.push((tree, left));
    }
    Ok(found)
}

impl Supervised {
    pub(crate) fn means(&self) -> Means {
        self.means
    }

    pub(crate) fn members(&self) -> Vec<Process> {
        descendants(self.supervisor.get_ref())
    }

    /// The child of the supervisor that began first.
    pub(crate) fn eldest(&self) -> Option<Key> {
        let children = proc::listed_children(self.supervisor.get_ref().pid).into_iter();
        children.filter_map(Process::open).map(|child| child.key()).min_by_key(|(_, start)| *start)
    }

    /// Ends the whole namespace, which the kernel does at once and with no race.
    pub(crate) fn kill_namespace(&self, log: &mut Log) -> Result<(), Errno> {
        let members = self.members();
        let named = members.len().min(PROCESSES_MAX);
        for process in &members[..named] {
            log.sent(process, Signal::KILL, None);
        }
        log.more((members.len() - named) as u64);
        self.supervisor.get_ref().signal(Signal::KILL).map(|_alive| ())
    }

    /// Stops and kills whatever is below the supervisor until the supervisor, alone, has exited. It blocks.
    pub(crate) fn hunt(&self, log: &Mutex<Log>) {
        let supervisor = self.supervisor.get_ref();
        let mut wait_ms = 0;
        let mut killed = HashSet::new();
        while !supervisor.exits_within_ms(wait_ms) {
            // Somebody in the tree may have stopped its supervisor, which could not reap then.
            let _sent = supervisor.signal(Signal::CONT);
            let before = killed.len();
            for process in freeze(supervisor, &killed, log) {
                if send(&process, Signal::KILL, log) {
                    killed.insert(process.key());
                }
            }
            // Whoever was killed needs a moment to end; whoever cannot be killed is asked again, ever more rarely.
            wait_ms = if killed.len() > before { 1 } else { (wait_ms * 2).clamp(1, 128) };
        }
    }

    /// Waits until the supervisor has ended, and tells what that proves.
    pub(crate) async fn gone(&self) -> io::Result<Survivors> {
        let _ended = self.supervisor.readable().await?;
        let supervisor = self.supervisor.get_ref();
        let reap = || *lock(&self.reaped).get_or_insert_with(|| supervisor.reap().unwrap_or(Exit::Unknown));
        let exit = self.socket.is_some().then(reap);
        let alone = match (self.means, exit) {
            (Means::PidNamespace, _) => true,
            (Means::Cgroup | Means::Subreaper, Some(exit)) => exit == Exit::Code(0),
            (Means::Cgroup | Means::Subreaper, None) => !self.record.exists(),
        };
        remove_record(&self.record)?;
        Ok(if alone { Survivors::None } else { unseen(supervisor.pid) })
    }

    /// Waits for the leader's end, which the supervisor tells.
    pub(crate) async fn leader(&self) -> io::Result<Exit> {
        let Some(socket) = &self.socket else {
            let _ended = self.supervisor.readable().await?;
            return Ok(Exit::Unknown);
        };
        loop {
            let mut ready = socket.readable().await?;
            match self.leader_now() {
                Some(exit) => return Ok(exit),
                None => ready.clear_ready(),
            }
        }
    }

    /// How the leader ended, if that is known by now.
    pub(crate) fn leader_now(&self) -> Option<Exit> {
        let socket = self.socket.as_ref()?;
        let mut bytes = [0; Told::BYTES];
        // Peeked, never taken: whoever asks finds it there.
        let told = rustix::net::recv(socket.get_ref(), &mut bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        match told {
            Ok((_, Told::BYTES)) => match Told::decode(bytes) {
                Some(Told::Ended(status)) => Some(Exit::from_status(status)),
                Some(Told::Launched(_) | Told::Failed(_)) | None => Some(Exit::Unknown),
            },
            // A supervisor is silent at its end only when it was killed; a namespace's, and with it the leader, by us.
            Ok(_) if self.means == Means::PidNamespace => Some(Exit::Signal(libc::SIGKILL)),
            Ok(_) => Some(Exit::Unknown),
            Err(_) => None,
        }
    }
}

/// Stops everybody, pass after pass, until a pass finds nobody new: what is stopped does not fork.
///
/// Those killed already are left out: they are ending, and need no other signal.
fn freeze(supervisor: &Process, killed: &HashSet<Key>, log: &Mutex<Log>) -> Vec<Process> {
    let mut stopped = HashMap::new();
    // Bounded: a tree that always has somebody new is killed as far as it is known, which makes it smaller.
    for _ in 0..FREEZE_PASSES_MAX {
        let mut new = descendants(supervisor);
        new.retain(|process| !killed.contains(&process.key()) && !stopped.contains_key(&process.key()));
        if new.is_empty() {
            break;
        }
        for process in new {
            send(&process, Signal::STOP, log);
            stopped.insert(process.key(), process);
        }
    }
    stopped.into_values().collect()
}

/// Signals one process and notes it; false where it was refused.
pub(crate) fn send(process: &Process, signal: Signal, log: &Mutex<Log>) -> bool {
    // Held around both: the signal may be the tree's end, and whoever sees that must find the note in the report.
    let mut log = lock(log);
    match process.signal(signal) {
        Ok(true) => log.sent(process, signal, None),
        Ok(false) => {}
        Err(errno) => {
            log.sent(process, signal, Some(errno.to_string()));
            return false;
        }
    }
    true
}

struct Started {
    supervisor: Process,
    socket: OwnedFd,
    leader: Option<(Pid, u64)>,
}

enum StartError {
    Stillborn(Stillborn),
    Taken,
    Record(io::Error),
    System(&'static str, Errno),
    NoProc,
}

/// Starts a supervisor and, once its record is written, its leader.
fn start(image: &Image, keeping: Keeping, record: &Path) -> Result<Started, StartError> {
    let unfinished = beside(record);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&unfinished) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(StartError::Taken),
        Err(error) => return Err(StartError::Record(error)),
    };
    // While that is there, nobody else takes the name.
    let started = match record.try_exists() {
        // A record without a leader says nothing to a later incarnation, and the name is free again.
        Ok(false) => {
            start_recorded(image, keeping, record, &mut file).inspect_err(|_| drop(fs::remove_file(record)))
        }
        Ok(true) => Err(StartError::Taken),
        Err(error) => Err(StartError::Record(error)),
    };
    if started.is_err() {
        let _renamed_already = fs::remove_file(&unfinished);
    }
    started
}

fn start_recorded(
    image: &Image,
    keeping: Keeping,
    record: &Path,
    file: &mut File,
) -> Result<Started, StartError> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .and_then(|(ours, theirs)| Ok((birth::above_standard(ours)?, birth::above_standard(theirs)?)));
    let (ours, theirs) = pair.map_err(|errno| StartError::System("making a socket pair", errno))?;
    let path = CString::new(record.as_os_str().as_bytes())
        .map_err(|_| StartError::Record(io::ErrorKind::InvalidFilename.into()))?;
    let born = birth::supervisor(image, keeping, &theirs, &ours, &path).map_err(StartError::Stillborn)?;
    drop(theirs);
    let supervisor = Process::unreaped(born.pid, born.pidfd).ok_or(StartError::NoProc)?;
    let launched = write_record(&supervisor, keeping, record, file)
        .and_then(|()| introduce(&supervisor, &ours, keeping));
    match launched {
        Ok(leader) => Ok(Started { supervisor, socket: ours, leader }),
        Err(error) => {
            // Either it has ended, or it ends on seeing its socket closed. A leader is not running: see `introduce`.
            drop(ours);
            while !supervisor.exits_within_ms(1000) {}
            let _code = supervisor.reap();
            Err(error)
        }
    }
}

/// Records the supervisor, whole or not at all.
fn write_record(
    supervisor: &Process,
    keeping: Keeping,
    record: &Path,
    file: &mut File,
) -> Result<(), StartError> {
    let says = proc::boot_id().map(|boot| Record {
        means: means_of(keeping),
        pid: supervisor.pid,
        start: supervisor.stat.start,
        boot,
    });
    says.and_then(|says| file.write_all(says.line().as_bytes()))
        .and_then(|()| file.sync_data())
        // That name needs no sync: with the machine's power the tree is gone, too.
        .and_then(|()| fs::rename(beside(record), record))
        .map_err(StartError::Record)
}

/// Lets the supervisor launch, and finds out who the leader is before anybody can have reaped it.
fn introduce(
    supervisor: &Process,
    socket: &OwnedFd,
    keeping: Keeping,
) -> Result<Option<(Pid, u64)>, StartError> {
    let go_on = || {
        rustix::io::write(socket, b"!")
            .map_err(|errno| StartError::System("speaking to the supervisor", errno))
    };
    // Refused if it has already failed, which is what it then tells.
    let _told = go_on();
    let mut bytes = [0; Told::BYTES];
    let read = rustix::io::read(socket, &mut bytes);
    let told = read.ok().filter(|read| *read == Told::BYTES).and_then(|_| Told::decode(bytes));
    let told = match told {
        Some(Told::Launched(pid)) => pid,
        Some(Told::Failed(stillborn)) => return Err(StartError::Stillborn(stillborn)),
        // It was killed before it could tell. Where that was the leader's doing, the leader runs: see below.
        Some(Told::Ended(_)) | None if keeping == Keeping::Subreaper => return Ok(None),
        Some(Told::Ended(_)) | None => {
            return Err(StartError::Stillborn(Stillborn { step: Step::Report, errno: Errno::PIPE }));
        }
    };
    let leader = match keeping {
        Keeping::Subreaper => Pid::from_raw(told),
        // It told the number that it sees itself. Nobody is reaped yet, so the leader is its first child.
        Keeping::Namespace { .. } => proc::listed_children(supervisor.pid).into_iter().next(),
    };
    let known = leader.and_then(|leader| Some((leader, proc::stat(leader)?.start)));
    if supervisor.exited() {
        // The leader killed it, and may itself have been reaped and its number given away. It was launched all the
        // same; that its tree cannot be seen is for its ending to say.
        return Ok(None);
    }
    if known.is_none() {
        // It runs and cannot be followed: it goes before this returns.
        let log = Mutex::new(Log::default());
        while !supervisor.exits_within_ms(1) {
            for process in freeze(supervisor, &HashSet::new(), &log) {
                send(&process, Signal::KILL, &log);
            }
            let _reaping = go_on();
        }
        return Err(StartError::NoProc);
    }
    // Refused only if the leader kills its supervisor just now.
    let _told = go_on();
    Ok(known)
}

/// What a record file says, in one line, which ends with its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    means: Means,
    pid: Pid,
    start: u64,
    boot: String,
}

/// It is no record as one is written.
#[derive(Debug, PartialEq, Eq)]
struct Damaged;

impl Record {
    fn line(&self) -> String {
        let says = format!("{} {} {} {}", self.means.word(), self.pid.as_raw_pid(), self.start, self.boot);
        format!("{says} {:016x}\n", fnv1a(says.as_bytes()))
    }

    fn parse(line: &[u8]) -> Result<Record, Damaged> {
        let text = std::str::from_utf8(line).map_err(|_| Damaged)?;
        // Just as it is written: whatever else reads the same has been changed.
        Record::of_words(text).filter(|record| record.line() == text).ok_or(Damaged)
    }

    fn of_words(text: &str) -> Option<Record> {
        let mut words = text.split(' ');
        Some(Record {
            means: Means::from_word(words.next()?)?,
            pid: proc::parse_pid(words.next()?)?,
            start: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
        })
    }

    /// `None` where there is no such file.
    fn read(path: &Path) -> io::Result<Option<Result<Record, Damaged>>> {
        let mut line = Vec::new();
        match File::open(path).and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut line)) {
            Ok(_) => Ok(Some(Record::parse(&line))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn left_under(path: &Path, record: &Record, boot: &str) -> io::Result<Left> {
    if record.boot != boot {
        return Ok(Left::Nothing);
    }
    let supervisor = Process::open(record.pid).filter(|process| process.stat.start == record.start);
    let Some(supervisor) = supervisor else {
        let survivors = match record.means {
            Means::PidNamespace => Survivors::None,
            Means::Cgroup | Means::Subreaper if !path.exists() => Survivors::None,
            Means::Cgroup | Means::Subreaper => unseen(record.pid),
        };
        return Ok(Left::Gone(record.means, survivors));
    };
    Ok(Left::Alive(Supervised {
        means: record.means,
        supervisor: watch(supervisor, Interest::READABLE)?,
        socket: None,
        record: path.to_owned(),
        reaped: Mutex::new(None),
    }))
}

fn unseen(supervisor: Pid) -> Survivors {
    Survivors::Unseen(format!(
        "its supervisor, process {}, was killed by somebody else, and what it kept together could then go on unseen: \
         look for processes of this user that belong to no task",
        supervisor.as_raw_pid()
    ))
}

fn record_path(records: &Path, tree: &str) -> PathBuf {
    records.join(format!("{tree}{RECORD_SUFFIX}"))
}

/// Where a record is until it is whole. No tree's record is called so.
fn beside(record: &Path) -> PathBuf {
    record.with_extension(&BESIDE_SUFFIX[1..])
}

fn remove_record(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn means_of(keeping: Keeping) -> Means {
    match keeping {
        Keeping::Namespace { .. } => Means::PidNamespace,
        Keeping::Subreaper => Means::Subreaper,
    }
}

const RECORD_SUFFIX: &str = ".tree";
const BESIDE_SUFFIX: &str = ".new";
const RECORD_BYTES_MAX: u64 = 512;
const FREEZE_PASSES_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let boot = "5c2f1b1e-6c0e-4d55-9d0c-1f2e3d4c5b6a".to_owned();
        Record { means: Means::Subreaper, pid: Pid::from_raw(4711).expect("a pid"), start: 99, boot }
    }

    #[test]
    fn a_record_is_read_whole_or_not_at_all() {
        let line = record().line();
        assert_eq!(Record::parse(line.as_bytes()), Ok(record()));
        for torn in 0..line.len() {
            assert_eq!(Record::parse(&line.as_bytes()[..torn]), Err(Damaged));
        }
        let of_no_process = "subreaper -1 99 boot";
        let of_no_process = format!("{of_no_process} {:016x}\n", fnv1a(of_no_process.as_bytes()));
        assert_eq!(Record::parse(of_no_process.as_bytes()), Err(Damaged), "no group is ever signalled");
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_found() {
        let line = record().line().into_bytes();
        for (at, bit) in (0..line.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = line.clone();
            flipped[at] ^= 1 << bit;
            assert_eq!(Record::parse(&flipped), Err(Damaged), "bit {bit} of byte {at}");
        }
    }

    /// A slave that is upgraded takes up what the one before it left (R28).
    #[test]
    fn records_are_written_as_they_always_were() {
        let line = "subreaper 4711 99 5c2f1b1e-6c0e-4d55-9d0c-1f2e3d4c5b6a ffd548eabd0c73fa\n";
        assert_eq!(record().line(), line, "if it is to change, go on reading this one");
    }
}
