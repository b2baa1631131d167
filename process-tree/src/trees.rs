//! All trees of one slave.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::cgroup::{self, Group, Parent};
use crate::command::{Command, LaunchError, check_name};
use crate::ending::{Ending, Survivors};
use crate::means::Means;
use crate::proc::Process;
use crate::supervised::{self, Left};
use crate::sys::birth::Keeping;
use crate::template::{CopyError, Offspring, Template};
use crate::tree::{Tree, TreeError};

/// Whose trees, and how they are to be kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The slave's name, by the rules of [`Command::name`].
    pub name: String,
    /// A directory for the records of trees, which is made if it is not there. Together with `name`, its path is what
    /// a later incarnation knows this one's trees by; one slave at a time uses it.
    pub state: PathBuf,
    /// The means to use, or the best that works here.
    pub means: Option<Means>,
}

/// Launches process trees, and knows what earlier incarnations of the same slave left.
#[derive(Debug)]
pub struct Trees {
    keeper: Keeper,
    group_name: String,
    state: PathBuf,
    passed_over: Vec<(Means, String)>,
    /// Held for as long as this is: two slaves must not end each other's trees.
    _lock: Lock,
}

/// Why trees cannot be kept here.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name could not be a file's.
    #[error(
        "slave name {0:?} cannot be used: take 1 to 200 letters, digits, `.`, `_` or `-`, not beginning with `.`"
    )]
    Name(String),
    /// The state directory is in use.
    #[error("another slave is using {0}: stop it, or give this one a directory of its own")]
    InUse(PathBuf),
    /// The state directory cannot be used.
    #[error("cannot use {directory} for the records of process trees: {source}; let this user write there")]
    State {
        /// The directory.
        directory: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// What is known of a tree of an earlier incarnation cannot be read, and its processes may live.
    #[error(
        "the record {record} of the process tree {tree} is damaged, and nothing else says what lives of it: check \
        the disk; put the record back as it was, or end what runs of {tree} and remove the record"
    )]
    Damaged {
        /// The record's file, which is left as it is.
        record: PathBuf,
        /// The tree's name.
        tree: String,
    },
    /// The means that was asked for does not work here.
    #[error("process trees cannot be kept by {} here: {cause}; {}", .means.word(), cure(*.means))]
    Unavailable {
        /// What was asked for, or the last that was tried.
        means: Means,
        /// What failed.
        cause: String,
    },
}

/// What earlier incarnations of the slave left.
#[derive(Debug)]
pub struct Leftovers {
    /// The trees that live. They are watched and ended like those that were launched; of how a leader ended nothing
    /// can be seen ([`Exit::Unknown`](crate::Exit::Unknown)), as it is no child of this process.
    pub alive: Vec<Tree>,
    /// Those that ended while nobody looked.
    pub gone: Vec<Ending>,
}

/// A tree that an earlier incarnation of the slave left, and what became of it.
#[derive(Debug)]
pub struct Leftover {
    /// Its name.
    pub name: String,
    /// How it ended, or why that could not be seen: such a tree may live.
    pub ended: Result<Ending, TreeError>,
}

impl Trees {
    /// Chooses a means, by trying it, and keeps it.
    ///
    /// # Errors
    /// Where the state directory cannot be used, or no means works (or not the one that was asked for).
    pub fn open(options: Options) -> Result<Trees, OpenError> {
        check_name(&options.name).map_err(|_| OpenError::Name(options.name.clone()))?;
        let unusable = |source| OpenError::State { directory: options.state.clone(), source };
        fs::create_dir_all(&options.state).map_err(unusable)?;
        let state = options.state.canonicalize().map_err(unusable)?;
        let lock = take_lock(&state).map_err(|error| match error {
            Errno::WOULDBLOCK => OpenError::InUse(state.clone()),
            errno => OpenError::State { directory: state.clone(), source: errno.into() },
        })?;
        let group_name = group_name(&options.name, &state);
        let (keeper, passed_over) = choose(options.means, &group_name, &state)?;
        Ok(Trees { keeper, group_name, state, passed_over, _lock: lock })
    }

    /// The means in use. Say it at start: its `Display` says what it cannot do.
    pub fn means(&self) -> Means {
        match self.keeper {
            Keeper::Groups(_) => Means::Cgroup,
            Keeper::Supervisors(Keeping::Namespace { .. }) => Means::PidNamespace,
            Keeper::Supervisors(Keeping::Subreaper) => Means::Subreaper,
        }
    }

    /// The better means that do not work here, and why.
    pub fn passed_over(&self) -> &[(Means, String)] {
        &self.passed_over
    }

    /// Starts a tree. Returns once its program runs: the thread is held for that long, some 0.3 ms from a warm cache; and
    /// where a supervisor keeps it, until its record is on the disk.
    ///
    /// # Errors
    /// [`LaunchError`] says what was wrong and what to do; nothing is running then.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn launch(&self, command: &Command) -> Result<Tree, LaunchError> {
        match &self.keeper {
            Keeper::Groups(parent) => watched(command.name.clone(), parent.launch(command)?),
            Keeper::Supervisors(keeping) => supervised::launch(command, *keeping, &self.state)
                .map(|launched| Tree::launched(command.name.clone(), launched)),
        }
    }

    /// Starts a tree whose leader is a copy of `template`. Returns once it is one.
    ///
    /// # Errors
    /// [`CopyError`] says what was wrong and what to do; nothing is running then. Always where trees are not kept by
    /// [`Means::Cgroup`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn copy(&self, template: &Template, offspring: &Offspring) -> Result<Tree, CopyError> {
        match &self.keeper {
            Keeper::Groups(parent) => Ok(watched(offspring.name.clone(), parent.copy(template, offspring)?)?),
            Keeper::Supervisors(_) => {
                let kind = io::ErrorKind::Unsupported;
                Err(CopyError::Template(io::Error::new(kind, "supervisors start what they supervise")))
            }
        }
    }

    /// What earlier incarnations left, by whatever means they kept it (R28). To be called once, before the first launch.
    ///
    /// # Errors
    /// Where the records cannot be read: leftovers may live. All is then as it was.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn leftovers(&self) -> Result<Leftovers, OpenError> {
        let unreadable = |source| OpenError::State { directory: self.state.clone(), source };
        let mut leftovers = Leftovers { alive: Vec::new(), gone: Vec::new() };
        // Before anything is removed: one that is damaged leaves all as it is.
        let supervised = supervised::leftovers(&self.state)?;
        for (name, group) in cgroup::leftovers(&self.group_name) {
            if group.populated().map_err(unreadable)? {
                let leader = group.eldest();
                leftovers.alive.push(Tree::grouped(name, leader, group).map_err(unreadable)?);
            } else {
                group.remove().map_err(unreadable)?;
                leftovers.gone.push(gone(name, Means::Cgroup, Survivors::None));
            }
        }
        for (name, left) in supervised {
            match left {
                Left::Alive(supervised) => leftovers.alive.push(Tree::left(name, supervised)),
                Left::Gone(means, survivors) => leftovers.gone.push(gone(name, means, survivors)),
                Left::Nothing => {}
            }
        }
        Ok(leftovers)
    }

    /// Ends, by force and all at once, every tree that an earlier incarnation left, by whatever means, and sees them
    /// dead (R5). To be called before the first launch of an incarnation that knows of no tree.
    ///
    /// # Errors
    /// Where the records cannot be read: leftovers may live.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn end_leftovers(&self) -> Result<Vec<Leftover>, OpenError> {
        let Leftovers { alive, gone } = self.leftovers()?;
        let named = |ending: Ending| Leftover { name: ending.tree.clone(), ended: Ok(ending) };
        let mut leftovers: Vec<Leftover> = gone.into_iter().map(named).collect();
        // All are killed before the first is waited for.
        let killed: Vec<_> = alive.iter().map(Tree::kill).collect();
        for (tree, killed) in alive.iter().zip(killed) {
            let ended = match killed {
                Ok(()) => tree.seen_dead().await,
                Err(error) => Err(error),
            };
            leftovers.push(Leftover { name: tree.name().to_owned(), ended });
        }
        Ok(leftovers)
    }
}

fn watched(name: String, (leader, group): (Process, Group)) -> Result<Tree, LaunchError> {
    Tree::grouped(name, Some(leader), group.clone()).map_err(|source| {
        // Unwatched it must not go on; the next incarnation removes the group.
        let _tried = group.kill();
        LaunchError::System { doing: "watching it (epoll)", source }
    })
}

#[derive(Debug)]
enum Keeper {
    Groups(Parent),
    Supervisors(Keeping),
}

type Chosen = (Keeper, Vec<(Means, String)>);

fn choose(wanted: Option<Means>, group_name: &str, state: &Path) -> Result<Chosen, OpenError> {
    let mut passed_over = Vec::new();
    for means in Means::ALL {
        if wanted.is_some_and(|wanted| wanted != means) {
            continue;
        }
        match try_means(means, group_name, state) {
            Ok(keeper) => return Ok((keeper, passed_over)),
            Err(cause) => passed_over.push((means, cause)),
        }
    }
    let means = wanted.unwrap_or(Means::Subreaper);
    let cause = passed_over.pop().map_or_else(String::new, |(_, cause)| cause);
    Err(OpenError::Unavailable { means, cause })
}

fn try_means(means: Means, group_name: &str, state: &Path) -> Result<Keeper, String> {
    let supervisors = |keeping| supervised::try_out(keeping, state).map(|()| Keeper::Supervisors(keeping));
    match means {
        Means::Cgroup => Parent::open(group_name).map(Keeper::Groups),
        // Without a user namespace where this user may, since nothing in the tree changes then.
        Means::PidNamespace => supervisors(Keeping::Namespace { user: false })
            .or_else(|_| supervisors(Keeping::Namespace { user: true })),
        Means::Subreaper => supervisors(Keeping::Subreaper),
    }
}

fn cure(means: Means) -> &'static str {
    match means {
        Means::Cgroup => {
            "run the slave as root, or as a systemd service or scope with `Delegate=yes`, or choose another means"
        }
        Means::PidNamespace => {
            "run the slave as root, or allow user namespaces (sysctl user.max_user_namespaces), or choose another means"
        }
        Means::Subreaper => "mount /proc, and use Linux 5.11 or later",
    }
}

/// One slave's name is no other's only together with where it keeps its state: two clusters on one machine may each
/// have a slave of the same name.
fn group_name(slave: &str, state: &Path) -> String {
    format!("neap-{slave}-{:016x}", fnv1a(state.as_os_str().as_bytes()))
}

/// The same in every build, which the standard hasher does not promise; and any other where one byte is another.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Released when it is dropped, though a child that is just being born may have a copy of the descriptor.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _closed_at_worst = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn take_lock(state: &Path) -> Result<Lock, Errno> {
    let opened = File::options().write(true).create(true).truncate(false).open(state.join("lock"));
    let file = opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(Lock(file))
}

fn gone(tree: String, means: Means, survivors: Survivors) -> Ending {
    let seen_dead_at_ms = (survivors == Survivors::None).then(crate::ending::now_ms);
    Ending { tree, means, leader: None, processes: Vec::new(), processes_more: 0, seen_dead_at_ms, survivors }
}
