//! Journals as they are read from files: whose they are, and their runs.

use std::fmt;
use std::rc::Rc;

use neap_protocol::executor::Executor;
use neap_protocol::framework::Framework;
use neap_protocol::ids::SessionId;
use neap_protocol::journal::{
    self, Damage, DecodeError, End, Flaw, Header, LinkId, Machine, NotAJournal, RawRun, Run,
};
use neap_protocol::master::Master;
use neap_protocol::slave::Slave;
use neap_protocol::transport::Role;

/// A run of some machine.
#[derive(Clone, Debug)]
pub enum AnyRun {
    /// A master's.
    Master(Rc<Run<Master>>),
    /// A slave's.
    Slave(Rc<Run<Slave>>),
    /// A framework's.
    Framework(Rc<Run<Framework>>),
    /// An executor's.
    Executor(Rc<Run<Executor>>),
}

/// Does the same with a run, whichever machine's it is.
macro_rules! each_run {
    ($any:expr, $run:ident => $act:expr) => {
        match $any {
            AnyRun::Master($run) => $act,
            AnyRun::Slave($run) => $act,
            AnyRun::Framework($run) => $act,
            AnyRun::Executor($run) => $act,
        }
    };
}

impl AnyRun {
    fn decode(raw: &RawRun<'_>) -> Result<Self, DecodeError> {
        fn run<M: Machine>(raw: &RawRun<'_>) -> Result<Rc<Run<M>>, DecodeError> {
            raw.decode().map(Rc::new)
        }
        match raw.header.role {
            Role::Master => run(raw).map(Self::Master),
            Role::Slave => run(raw).map(Self::Slave),
            Role::Framework => run(raw).map(Self::Framework),
            Role::Executor => run(raw).map(Self::Executor),
            Role::Operator => Err(DecodeError::Role { expected: Role::Master, found: Role::Operator }),
        }
    }

    /// What it begins with.
    pub fn header(&self) -> &Header {
        each_run!(self, run => &run.header)
    }

    /// How it ended; `None` if it was cut short.
    pub fn end(&self) -> Option<&End> {
        each_run!(self, run => run.end.as_ref())
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        each_run!(self, run => run.entries.len())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sessions that its journal ties to links.
    pub fn links(&self) -> Vec<(SessionId, LinkId)> {
        each_run!(self, run => run.entries.iter().filter_map(|entry| match entry {
            journal::Entry::Session { session, link } => Some((*session, *link)),
            journal::Entry::Input(_) => None,
        }).collect())
    }
}

/// A journal's file.
#[derive(Clone, Debug)]
pub struct Tape {
    /// What it was read from.
    pub file: String,
    /// Its runs, oldest first; at least one.
    pub runs: Vec<AnyRun>,
    /// What is wrong with what is left of it.
    pub damage: Option<Damage>,
}

/// Why a file cannot be replayed at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapeError {
    /// It is no journal of this version.
    Not(NotAJournal),
    /// Nothing of it is whole.
    Empty(Option<Damage>),
    /// A run is another program's.
    Run(usize, DecodeError),
}

impl TapeError {
    /// Whether its node was ended before anything of a run was written: it tells of nothing, and nothing is wrong.
    pub fn is_unbegun(&self) -> bool {
        match self {
            Self::Empty(None | Some(Damage { flaw: Flaw::Torn { .. }, .. })) => true,
            Self::Empty(Some(_)) | Self::Not(_) | Self::Run(..) => false,
        }
    }
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(error @ NotAJournal::Version { .. }) => write!(f, "{error}"),
            Self::Not(error @ NotAJournal::Other) => {
                write!(f, "{error}: name files that nodes wrote with --journal")
            }
            Self::Empty(None) => write!(f, "no run has begun in it"),
            Self::Empty(Some(damage)) => write!(f, "no run of it is whole: {damage}"),
            Self::Run(run, error) => write!(f, "run {run} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for TapeError {}

impl Tape {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`TapeError`]: nothing of it can be replayed.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, TapeError> {
        let journal = journal::read(bytes).map_err(TapeError::Not)?;
        let numbered = journal.runs.iter().enumerate();
        let runs: Result<Vec<_>, _> = numbered
            .map(|(at, raw)| AnyRun::decode(raw).map_err(|error| TapeError::Run(at + 1, error)))
            .collect();
        let (runs, damage) = (runs?, journal.damage);
        match runs.is_empty() {
            true => Err(TapeError::Empty(damage)),
            false => Ok(Self { file: file.to_owned(), runs, damage }),
        }
    }
}
