//! What a slave remembers of its tasks, its executors and its master.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{News, Work};
use crate::ids::{ExecutorId, Seq, SessionId};
use crate::map::Set;
use crate::message::Final;
use crate::task::{Command, Ending, Reason, TaskReport, TaskState, Update};
use crate::text::Text;
use crate::time::Millis;

/// Where a slave is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// It has not been told what an earlier incarnation left.
    #[default]
    New,
    /// It takes tasks.
    Serving,
    /// Drain now (R24).
    Leaving(Leaving),
    /// Its id was removed: it ends what runs, then registers afresh (R3).
    Resetting,
    /// It ends what runs, then exits, and has nobody to tell.
    Quitting {
        /// With this code.
        code: u8,
    },
    /// It has left, which this write lets its checkpoint say; then it exits.
    Clearing {
        /// With this code.
        code: u8,
        /// The write.
        write: Seq,
    },
    /// It has exited.
    Exited,
}

/// How far a slave is that leaves; the order is R24's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaving {
    /// Trees are alive.
    Ending {
        /// Whether they have been asked first, and still may end by themselves.
        grace: bool,
    },
    /// Nothing is alive, and a leader is to acknowledge it.
    Unregistering,
}

/// The way to the master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// None is wanted.
    #[default]
    Down,
    /// The driver dials.
    Dialing,
    /// It will dial this leader, or any if empty, once the timer fires.
    Waiting { leader: Text },
    /// A master is to answer the registration.
    Registering(SessionId),
    /// A leader has answered.
    Registered(SessionId),
}

impl Link {
    pub(super) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Down | Self::Dialing | Self::Waiting { .. } => None,
            Self::Registering(session) | Self::Registered(session) => Some(*session),
        }
    }

    pub(super) fn registered(&self) -> Option<SessionId> {
        match self {
            Self::Down | Self::Dialing | Self::Waiting { .. } | Self::Registering(_) => None,
            Self::Registered(session) => Some(*session),
        }
    }
}

/// Whether writes succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Disk {
    /// As far as is known.
    #[default]
    Good,
    /// The last one failed; everything is written again when the timer fires, and nothing before.
    Failing,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    /// As the master may hear it at registration: the state is the newest *durable* one.
    pub(super) report: TaskReport,
    pub(super) executor: ExecutorId,
    /// Whether that is the framework's own.
    pub(super) shared: bool,
    pub(super) stage: Stage,
    pub(super) kill: Option<Kill>,
    /// The newest state, durable or not.
    pub(super) state: TaskState,
    /// The number of the newest update, durable or not.
    pub(super) number: u32,
    /// How many of its executor's own updates have been heard, and led to something.
    pub(super) heard: u32,
    /// The updates that are not acknowledged, in order.
    pub(super) updates: Vec<Retained>,
    /// Whether its launch is still being written. Before it is durable no executor hears of it: of a task that a slave
    /// forgot, the master says that it never started (R2, S10).
    pub(super) adding: bool,
    /// The write that makes durable how its executor said that it ended. Before it is, its tree is not ended: nobody
    /// else knows (R28).
    pub(super) ending: Option<Seq>,
}

/// Where a task is between its launch and its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// No executor has heard of it: a kill now means that it never starts (S10).
    Waiting(Work),
    /// It was sent to its executor, which has not said anything of it.
    Handed(Work),
    /// Its executor has said something of it.
    Held,
    /// An earlier incarnation had it, and its executor, which lives, is to say whether it ever heard of it (R28).
    Recovered,
    /// It is over, and will be reported once its executor's tree is seen dead (S1).
    Ended {
        /// How.
        end: End,
        /// Whether that is durable: then it may be told at once.
        kept: bool,
    },
    /// Its terminal update is among its updates.
    Settled,
    /// The slave ended it in order to leave; its tree is seen dead, and `Unregister` will say so.
    Left {
        /// How its tree ended, where there was one.
        ending: Option<Arc<Ending>>,
        /// What came of the task, as far as its executor said; for people.
        detail: Text,
    },
}

/// How a task ended, by its executor's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// So it is told.
    Own(News),
    /// It is what signals made of it that the slave sent: what is told goes by what they were for (R12a). This is what came of
    /// it, for people.
    Ours(Text),
}

impl Stage {
    /// Whether its resources are free, and no process of it is left.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Waiting(_) | Self::Handed(_) | Self::Held | Self::Recovered | Self::Ended { .. } => false,
            Self::Settled | Self::Left { .. } => true,
        }
    }
}

/// A kill that was asked for. While its executor lives and is not being ended, `Timer::KillEscalation` is set. A slave that
/// is started again knows of it by the task's state, with the task's own grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kill {
    /// The first reason that was given.
    pub(super) reason: Reason,
    /// The shortest grace that was given.
    pub(super) grace: Millis,
}

/// An update that is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Retained {
    pub(super) number: u32,
    pub(super) news: News,
    pub(super) ending: Option<Arc<Ending>>,
    /// The write that is to make it durable; `None` once it may be told.
    pub(super) write: Option<Seq>,
    /// Its number among its executor's updates, which the executor says until it is acknowledged; 0 where it is the
    /// slave's own.
    pub(super) heard: u32,
}

impl Retained {
    pub(super) fn to_final(&self, task: crate::ids::TaskId) -> Final {
        Final {
            update: Update {
                task,
                number: self.number,
                state: self.news.state,
                reason: self.news.reason,
                message: self.news.message.clone(),
            },
            ending: self.ending.clone(),
        }
    }
}

/// An executor whose tree may be alive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Executor {
    pub(super) life: Life,
    /// Its newest session, registered or not.
    pub(super) session: Option<SessionId>,
    /// Whether it is the framework's own, and may have several tasks.
    pub(super) shared: bool,
    /// The numbers of its tasks that are not over.
    pub(super) tasks: Set<u32>,
    /// What is to be launched under the same number once this tree is seen dead.
    pub(super) next: Option<Next>,
}

/// How an executor fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    /// It has no registered session; `Timer::ExecutorRegister` is set.
    Awaited,
    /// It has registered in this session.
    Registered(SessionId),
    /// Its tree is being ended by force. Tasks of whose end nothing better is known fail for this reason.
    Ending(Reason),
}

impl Life {
    pub(super) fn is_ending(self) -> bool {
        match self {
            Self::Awaited | Self::Registered(_) => false,
            Self::Ending(_) => true,
        }
    }
}

/// A fresh executor that waits until the tree of the last one is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Next {
    pub(super) program: Arc<Command>,
    pub(super) tasks: Set<u32>,
}
