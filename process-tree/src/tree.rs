//! One process tree: waiting for it, and ending it.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::cgroup::Group;
use crate::ending::{Ending, Exit, Log, Survivors, now_ms};
use crate::lock;
use crate::means::Means;
use crate::proc::{self, Key, Process};
use crate::supervised::{Launched, Supervised, send};
use crate::sys::watch::watch;

/// A process tree: its leader, which was launched, and every descendant.
///
/// A clone is another handle to the same tree; all of them may wait, terminate and kill at the same time. Dropping the
/// handles leaves the tree alone: an executor outlives its slave (R28).
#[derive(Clone, Debug)]
pub struct Tree {
    inner: Arc<Inner>,
}

/// How often members are looked for that a SIGTERM has not been sent to: some fork faster than they are listed.
const PASSES_MAX: usize = 8;

/// A tree could not be signalled or watched. It may live: it has not been seen dead.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} process tree {tree:?}: {source}; it may still live: try again, or look at {place}")]
pub struct TreeError {
    tree: String,
    doing: &'static str,
    place: String,
    source: io::Error,
}

#[derive(Debug)]
struct Inner {
    name: String,
    /// Its number and start time, as long as it is known.
    leader: Option<(Pid, u64)>,
    body: Body,
    log: Mutex<Log>,
    hunting: AtomicBool,
    ended: OnceLock<Ending>,
}

#[derive(Debug)]
enum Body {
    Grouped {
        group: Group,
        /// `None` where an earlier incarnation launched it, and it could not be told from its descendants.
        leader: Option<AsyncFd<Process>>,
        exit: Mutex<Option<Exit>>,
    },
    Supervised(Supervised),
}

impl Tree {
    /// The name that it was launched under.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What keeps it together.
    pub fn means(&self) -> Means {
        match &self.inner.body {
            Body::Grouped { .. } => Means::Cgroup,
            Body::Supervised(supervised) => supervised.means(),
        }
    }

    /// The leader's number, in the slave's namespace. Once the leader has ended it may be another process's: a
    /// process is `pid` *and* [`start_time`](Tree::start_time). 0 where it is not known: an earlier incarnation
    /// launched it, or it killed its supervisor at once.
    pub fn pid(&self) -> u32 {
        self.inner.leader.map_or(0, |(pid, _)| pid.as_raw_pid().unsigned_abs())
    }

    /// When the leader started, in clock ticks since the machine did.
    pub fn start_time(&self) -> u64 {
        self.inner.leader.map_or(0, |(_, start)| start)
    }

    /// Waits for the leader's end. Descendants may live on: [`seen_dead`](Tree::seen_dead) waits for all.
    ///
    /// Any number of tasks may wait at once, and a wait may be dropped at any time.
    ///
    /// # Errors
    /// When the kernel refuses to watch it.
    pub async fn wait_leader(&self) -> Result<Exit, TreeError> {
        let waited = match &self.inner.body {
            Body::Grouped { leader: Some(leader), exit, .. } => leader.readable().await.map(|_ended| {
                *lock(exit).get_or_insert_with(|| leader.get_ref().reap().unwrap_or(Exit::Unknown))
            }),
            Body::Grouped { leader: None, group, .. } => group.empty().await.map(|()| Exit::Unknown),
            Body::Supervised(supervised) => supervised.leader().await,
        };
        waited.map_err(|source| self.error("wait for the leader of", source))
    }

    /// Sends SIGTERM to every member that it finds, each once, and looks again while it finds others. Nothing says that
    /// they obey, and who is born afterwards is not asked.
    ///
    /// The leader is first: where a child of its ends of the SIGTERM, the leader has one waiting for it by then. Who is
    /// sent it is noted for the [`Ending`], and who could not be.
    pub fn terminate(&self) {
        self.terminate_all(None);
    }

    /// The same without the leader, for one that is about to see that what it waited for has ended.
    pub fn terminate_but_leader(&self) {
        self.terminate_all(self.leader());
    }

    /// Whether a child of the leader has ended, and the leader has not reaped it yet.
    ///
    /// The kernel keeps such a child until it is reaped, so that what ended before this was asked is seen.
    pub fn leader_lost_a_child(&self) -> bool {
        let Some((leader, start)) = self.leader() else { return false };
        let lost = proc::listed_children(leader).into_iter().any(proc::has_ended);
        // Its number was its own all along.
        lost && proc::stat(leader).is_some_and(|stat| stat.start == start)
    }

    /// The leader's number and start time. Where an earlier incarnation started it, it is the eldest of those whom the
    /// supervisor began: whoever the supervisor inherits began later.
    fn leader(&self) -> Option<Key> {
        self.inner.leader.or_else(|| match &self.inner.body {
            Body::Grouped { .. } => None,
            Body::Supervised(supervised) => supervised.eldest(),
        })
    }

    fn terminate_all(&self, but: Option<Key>) {
        if self.inner.ended.get().is_some() {
            return;
        }
        let leader = self.inner.leader.map(|(pid, _)| pid);
        let mut asked: HashSet<Key> = but.into_iter().collect();
        for _pass in 0..PASSES_MAX {
            let mut members = self.members();
            members.retain(|process| asked.insert((process.pid, process.stat.start)));
            if members.is_empty() {
                return;
            }
            members.sort_by_key(|process| Some(process.pid) != leader);
            for process in members {
                send(&process, Signal::TERM, &self.inner.log);
            }
        }
    }

    /// Kills every member by force, whatever it does. Returns once that is under way; [`seen_dead`](Tree::seen_dead)
    /// tells when it is done. It may be called at any time and again; a tree that has ended is left alone.
    ///
    /// # Errors
    /// When the kernel refuses: the tree may then live.
    ///
    /// # Panics
    /// For [`Means::Subreaper`], outside of a tokio runtime.
    pub fn kill(&self) -> Result<(), TreeError> {
        if self.inner.ended.get().is_some() {
            return Ok(());
        }
        let killed = match &self.inner.body {
            Body::Grouped { group, .. } => {
                group.note_kill(&mut lock(&self.inner.log));
                group.kill()
            }
            Body::Supervised(supervised) if supervised.means() == Means::PidNamespace => {
                supervised.kill_namespace(&mut lock(&self.inner.log)).map_err(io::Error::from)
            }
            Body::Supervised(_) => {
                self.hunt();
                Ok(())
            }
        };
        killed.map_err(|source| self.error("kill", source))
    }

    /// Waits until the tree has been *seen* to be empty, by itself or because it was killed, clears its traces away
    /// and reports. It never kills. Once ended, it answers at once, always the same.
    ///
    /// Any number of tasks may wait at once, and a wait may be dropped at any time.
    ///
    /// # Errors
    /// When the kernel refuses to watch it: it is not known to be dead.
    pub async fn seen_dead(&self) -> Result<Ending, TreeError> {
        if let Some(ending) = self.inner.ended.get() {
            return Ok(ending.clone());
        }
        let survivors = match &self.inner.body {
            Body::Grouped { group, leader, .. } => {
                if leader.is_some() {
                    self.wait_leader().await?;
                }
                self.clear(group).await.map_err(|source| self.error("see the end of", source))?;
                Survivors::None
            }
            Body::Supervised(supervised) => {
                supervised.gone().await.map_err(|source| self.error("see the end of", source))?
            }
        };
        let seen_dead_at_ms = (survivors == Survivors::None).then(now_ms);
        Ok(self.inner.ended.get_or_init(|| self.report(survivors, seen_dead_at_ms)).clone())
    }

    /// Ends the tree: SIGTERM and so much time where `grace` is given, then by force; and waits until it has been seen
    /// dead. A tree that has ended already is a success at once. [`kill`](Tree::kill) meanwhile cuts the grace short.
    ///
    /// # Errors
    /// When the kernel refuses to kill or to watch it: it is not known to be dead.
    pub async fn end(&self, grace: Option<Duration>) -> Result<Ending, TreeError> {
        if let Some(grace) = grace {
            self.terminate();
            if let Ok(ended) = tokio::time::timeout(grace, self.seen_dead()).await {
                return ended;
            }
        }
        self.kill()?;
        self.seen_dead().await
    }

    /// The report so far, for whoever cannot wait any longer: [`Survivors::Alive`] while the tree has not been seen
    /// dead.
    pub fn so_far(&self) -> Ending {
        match self.inner.ended.get() {
            Some(ending) => ending.clone(),
            None => self.report(Survivors::Alive(self.members().len() as u64), None),
        }
    }

    pub(crate) fn grouped(name: String, leader: Option<Process>, group: Group) -> io::Result<Tree> {
        let known = leader.as_ref().map(|leader| (leader.pid, leader.stat.start));
        let leader = leader.map(|leader| watch(leader, Interest::READABLE)).transpose()?;
        Ok(Tree::new(name, known, Body::Grouped { group, leader, exit: Mutex::new(None) }))
    }

    pub(crate) fn launched(name: String, launched: Launched) -> Tree {
        Tree::new(name, launched.leader, Body::Supervised(launched.tree))
    }

    pub(crate) fn left(name: String, supervised: Supervised) -> Tree {
        Tree::new(name, None, Body::Supervised(supervised))
    }

    fn new(name: String, leader: Option<(Pid, u64)>, body: Body) -> Tree {
        let inner = Inner {
            name,
            leader,
            body,
            log: Mutex::default(),
            hunting: AtomicBool::new(false),
            ended: OnceLock::new(),
        };
        Tree { inner: Arc::new(inner) }
    }

    fn members(&self) -> Vec<Process> {
        match &self.inner.body {
            Body::Grouped { group, .. } => group.members(),
            Body::Supervised(supervised) => supervised.members(),
        }
    }

    /// Waits until the group is empty and removes it. Where somebody outside moves a process into it in between the
    /// kernel refuses to remove it, and it is not empty after all.
    async fn clear(&self, group: &Group) -> io::Result<()> {
        loop {
            group.empty().await?;
            match group.remove() {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && group.populated()? => {}
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => tokio::task::yield_now().await,
                result => return result,
            }
        }
    }

    /// One hunt at a time: it goes on until the tree is dead.
    fn hunt(&self) {
        if self.inner.hunting.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Body::Supervised(supervised) = &inner.body {
                supervised.hunt(&inner.log);
            }
        });
    }

    fn report(&self, survivors: Survivors, seen_dead_at_ms: Option<u64>) -> Ending {
        let (processes, processes_more) = lock(&self.inner.log).seen();
        Ending {
            tree: self.inner.name.clone(),
            means: self.means(),
            leader: match &self.inner.body {
                Body::Grouped { exit, .. } => *lock(exit),
                Body::Supervised(supervised) => supervised.leader_now(),
            },
            processes,
            processes_more,
            seen_dead_at_ms,
            survivors,
        }
    }

    fn error(&self, doing: &'static str, source: io::Error) -> TreeError {
        let place = match &self.inner.body {
            Body::Grouped { group, .. } => group.path().display().to_string(),
            Body::Supervised(_) => "the processes named `neap-tree` and below them".to_owned(),
        };
        TreeError { tree: self.inner.name.clone(), doing, place, source }
    }
}
