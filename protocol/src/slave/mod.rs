//! The slave's machine: it registers, runs tasks in executors, reports them until acknowledged, and leaves.
//!
//! What it never does, each for a requirement:
//!
//! - it gives no executor a launch of a task whose kill it has taken (R13, S10);
//! - it says no terminal state of an executor's last task before the driver has *seen* that nothing of the
//!   process tree is left (S1, S11);
//! - it sends no update that a crash could make it forget, except while its disk refuses writes;
//! - it obeys no session but the newest, and no leader older than one it has obeyed (R30, S7);
//! - it exits with no tree alive (R24);
//! - it lets no executor forget what it has not made durable, and ends none before (R28).
//!
//! An executor lives only while it has tasks. Three decisions follow:
//!
//! - when its last task is over, what is left of its tree is ended by force as soon as how it ended is durable: an
//!   executor says that its last task is over when it has nothing left to lose;
//! - a task that comes while its tree is being ended waits, and gets a fresh executor of the same number after;
//! - a kill with a grace is a SIGTERM to the whole tree of a command, and force once the grace is over: what was sent
//!   to whom is then in the receipt (R23a). A framework's own executor is told, for others may share it; one that
//!   ignores that beyond the grace and [`Config::executor_kill_margin`] is ended whole, and its other tasks are
//!   Failed/ExecutorEnded.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Epoch, ExecutorId, Seq, SessionId, SlaveId, TaskId};
use crate::map::Map;
use crate::message::{ExecutorToSlave, MasterToSlave, SlaveToExecutor, SlaveToMaster};
use crate::outbox::Outbox;
use crate::resources::{Resources, Sum};
use crate::task::{Command, Ending, Exit, Reason};
use crate::text::Text;
use crate::time::{Millis, When};
use crate::transport::CloseReason;

mod check;
mod checkpoint;
mod executors;
mod leaving;
mod link;
mod recovery;
mod state;
mod store;
mod tasks;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointChange, CheckpointTask};
use state::{Disk, Executor, Link, Phase, Task};

/// The exit code of a slave that did what it was told.
pub const EXIT_DONE: u8 = 0;

/// The exit code of a slave that no master would admit; [`Event::Refused`] says why.
pub const EXIT_REFUSED: u8 = 3;

/// The exit code of a slave that has ended everything and left, and that no leader has acknowledged (R24a, R26): to the
/// masters it is still there until their health check gives it up.
pub const EXIT_UNHEARD: u8 = 6;

/// The most updates of one task that are kept unacknowledged, its terminal one not counted. A newer one takes the
/// place of the newest.
pub const UPDATES_MAX: usize = 16;

/// How far the number of a task's update jumps when a restarted slave reports it lost: beyond everything that the
/// earlier incarnation can have said of it while its disk refused writes.
pub const RESTART_GAP: u32 = 1 << 16;

/// What a slave is told once, by its operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Everything that it offers.
    pub resources: Resources,
    /// Where operators reach it for logs.
    pub address: Text,
    /// The most tasks, those included whose end is not acknowledged; more are Dropped. All of them must fit in one
    /// frame when the slave registers or leaves.
    pub tasks_max: u32,
    /// How long it waits before it dials a master again. Its driver may add jitter.
    pub reconnect_delay: Millis,
    /// How long an executor may be without a registered session, from its launch or from the loss of the last.
    pub executor_register_timeout: Millis,
    /// How much longer than the grace of a kill a framework's own executor may take to carry it out.
    pub executor_kill_margin: Millis,
    /// Drain now: how long after a SIGTERM everything is ended by force; `None` for by force at once (R24).
    pub drain_now_grace: Option<Millis>,
    /// How long it waits for a leader to acknowledge that it leaves (R26).
    pub unregister_timeout: Millis,
    /// How long after a failed write it tries again.
    pub store_retry_delay: Millis,
    /// What becomes of executors that an earlier incarnation left.
    pub recover: Recover,
}

/// What a slave does with executors that an earlier incarnation left (R28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recover {
    /// It takes them up again, with their tasks.
    #[default]
    Reconnect,
    /// It ends them; their tasks are Lost.
    Cleanup,
}

impl Config {
    /// Usual times, and at most 1000 tasks.
    pub fn new(resources: Resources, address: Text) -> Self {
        Self {
            resources,
            address,
            tasks_max: 1000,
            reconnect_delay: Millis(500),
            executor_register_timeout: Millis::from_secs(60),
            executor_kill_margin: Millis::from_secs(1),
            drain_now_grace: None,
            unregister_timeout: Millis::from_secs(10),
            store_retry_delay: Millis::from_secs(5),
            recover: Recover::Reconnect,
        }
    }
}

/// What happens to a slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// It begins; everything before this is ignored.
    Start {
        /// What the earlier incarnation kept, if it kept anything.
        checkpoint: Option<Checkpoint>,
        /// Which start of the machine this is.
        boot: BootId,
        /// The executors that an earlier incarnation left, whose trees live; each of them is answered like one that was
        /// launched. Nothing else of an earlier incarnation lives.
        alive: Vec<ExecutorId>,
    },
    /// A session to a master, which [`Effect::Connect`] asked for.
    MasterOpened {
        /// The session.
        session: SessionId,
    },
    /// It ended.
    MasterClosed {
        /// The session.
        session: SessionId,
    },
    /// No session came of [`Effect::Connect`].
    ConnectFailed,
    /// A master says something.
    Master {
        /// In which session.
        session: SessionId,
        /// What.
        message: MasterToSlave,
    },
    /// A process of an executor's tree, authenticated as that executor, opened a session.
    ExecutorOpened {
        /// The session.
        session: SessionId,
        /// Which executor.
        executor: ExecutorId,
    },
    /// It ended.
    ExecutorClosed {
        /// The session.
        session: SessionId,
    },
    /// An executor says something.
    Executor {
        /// In which session.
        session: SessionId,
        /// What.
        message: ExecutorToSlave,
    },
    /// An executor could not be launched, and nothing of it runs. Every [`Effect::Launch`] is answered once, by this
    /// or by [`Input::TreeEnded`].
    LaunchFailed {
        /// Which.
        executor: ExecutorId,
        /// Why.
        cause: Text,
    },
    /// The first process of an executor's tree ended; descendants may live.
    Exited {
        /// Which.
        executor: ExecutorId,
        /// How, where that can be seen: one that an earlier incarnation launched is no child of this one.
        how: Option<Exit>,
    },
    /// The driver has *seen* that nothing of an executor's tree is left. Nothing of the executor comes after it.
    TreeEnded {
        /// Which.
        executor: ExecutorId,
        /// How.
        ending: Arc<Ending>,
    },
    /// A timer fired.
    Timer(Timer),
    /// This write, and every one before it, is durable.
    Stored {
        /// Which.
        seq: Seq,
    },
    /// This write is not durable, nor are those after it, which are answered on their own.
    StoreFailed {
        /// Which.
        seq: Seq,
        /// Why.
        cause: Text,
    },
    /// Drain now: SIGUSR1 (R24).
    DrainNow,
}

/// What a slave asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Dial a master; answered once, by [`Input::MasterOpened`] or [`Input::ConnectFailed`].
    Connect {
        /// The leader's address, where one is known; else any master will do (R31).
        leader: Option<Text>,
    },
    /// Say this to the master.
    ToMaster {
        /// In which session.
        session: SessionId,
        /// What.
        message: SlaveToMaster,
    },
    /// Say this to an executor.
    ToExecutor {
        /// In which session.
        session: SessionId,
        /// What.
        message: SlaveToExecutor,
    },
    /// Close a session.
    Close {
        /// Which.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Set a timer; one of the same name is replaced.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When it is to fire.
        when: When,
    },
    /// Set a timer, unless it is set already and would fire sooner: a second kill can only shorten the grace.
    ShortenTimer {
        /// Which.
        timer: Timer,
        /// When it is to fire at the latest.
        when: When,
    },
    /// Forget a timer: from here on it does not fire.
    CancelTimer {
        /// Which.
        timer: Timer,
    },
    /// Make this durable; answered by [`Input::Stored`] or [`Input::StoreFailed`], in order.
    Store {
        /// Its place in the order.
        seq: Seq,
        /// What; [`Checkpoint::apply`] says what it means.
        change: CheckpointChange,
    },
    /// Start an executor as the first process of a fresh tree. Where, in which environment and sandbox is the
    /// driver's affair.
    Launch {
        /// Which.
        executor: ExecutorId,
        /// What it is.
        program: Program,
    },
    /// Send SIGTERM to every process of an executor's tree; but not to the built-in executor itself where the process of its
    /// task has ended already: it is about to say so, and was not asked (R12a).
    Terminate {
        /// Which.
        executor: ExecutorId,
    },
    /// End every process of an executor's tree by force, then look until nothing is left.
    Kill {
        /// Which.
        executor: ExecutorId,
    },
    /// For the slave's log.
    Publish(Event),
    /// Close every session in order, and exit.
    Exit {
        /// [`EXIT_DONE`], [`EXIT_UNHEARD`] or [`EXIT_REFUSED`].
        code: u8,
    },
}

/// The timers of a slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// It is time to dial a master again.
    Reconnect,
    /// The executor did not register in time.
    ExecutorRegister(ExecutorId),
    /// The task has not ended within its grace, and, of a framework's own executor, the margin.
    KillEscalation(TaskId),
    /// Drain now: what SIGTERM did not end is ended by force.
    DrainGrace,
    /// No leader has acknowledged that the slave leaves (R26).
    Unregister,
    /// It is time to write again what could not be written.
    StoreRetry,
}

/// What an executor is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Program {
    /// The one that comes with the slave; its task brings the command.
    BuiltIn,
    /// A framework's own.
    Custom(Arc<Command>),
}

/// What a slave's log tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// It found executors of an earlier incarnation (R28).
    Recovered {
        /// How many it takes up again.
        executors: u32,
        /// How many it ends.
        ended: u32,
        /// How many tasks are Lost, which were in none that lives.
        lost: u32,
    },
    /// It is registered.
    Registered {
        /// Under this id.
        id: SlaveId,
        /// By this leader.
        epoch: Epoch,
    },
    /// A deposed leader was not obeyed (R30).
    Deposed {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Its id was removed for good: it ends everything and registers afresh (R3).
    Removed,
    /// No master will admit it: it ends everything and exits.
    Refused {
        /// Why, and what to do.
        cause: Text,
    },
    /// It did not launch a task.
    LaunchRefused {
        /// Which.
        task: TaskId,
        /// Why.
        reason: Reason,
    },
    /// An executor could not be started.
    ExecutorNotStarted {
        /// Which.
        executor: ExecutorId,
        /// Why.
        cause: Text,
    },
    /// The first process of an executor ended while it had tasks.
    ExecutorExited {
        /// Which.
        executor: ExecutorId,
        /// How, where that could be seen.
        how: Option<Exit>,
    },
    /// An executor had no registered session for too long.
    ExecutorSilent {
        /// Which.
        executor: ExecutorId,
    },
    /// A framework's own executor did not carry out a kill in time.
    ExecutorOverran {
        /// Which.
        executor: ExecutorId,
        /// Which task it was to end.
        task: TaskId,
    },
    /// An executor said what no correct one says.
    ExecutorMisbehaved {
        /// Which.
        executor: ExecutorId,
    },
    /// A write failed. The slave goes on and will write everything again; until then a restart may forget.
    StoreFailed {
        /// Why.
        cause: Text,
    },
    /// It begins to leave (R24).
    Leaving,
    /// Nothing runs under it any more, seen by itself.
    NothingLeft,
    /// It is unregistered, durably at the master.
    Unregistered,
    /// No master has admitted it, so that there is none to tell that it leaves.
    NeverAdmitted,
    /// No leader answered in time: the health check will find that it is gone (R26).
    NobodyAnswered,
}

/// A slave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slave {
    id: Option<SlaveId>,
    /// The highest of the leaders that it has obeyed.
    epoch: Epoch,
    boot: BootId,
    phase: Phase,
    link: Link,
    tasks: Map<TaskId, Task>,
    executors: Map<ExecutorId, Executor>,
    /// Whose a session is. Only the newest session of an executor is here.
    sessions: Map<SessionId, ExecutorId>,
    /// What the tasks hold that are not over.
    used: Sum,
    disk: Disk,
    /// The last write that was asked for.
    seq: Seq,
    /// The writes of launches and updates that are not durable yet, and of which task they are.
    writes: Map<Seq, TaskId>,
}

impl Slave {
    /// A slave that waits for [`Input::Start`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input, and adds to `out` what is to be done.
    pub fn handle(&mut self, config: &Config, input: Input, out: &mut Outbox<Effect>) {
        match (self.phase, &input) {
            (Phase::New, Input::Start { .. }) => {}
            (Phase::New | Phase::Exited, _) => return,
            (Phase::Serving | Phase::Leaving(_) | Phase::Resetting, _) => {}
            (Phase::Quitting { .. } | Phase::Clearing { .. }, _) => {}
        }
        match input {
            Input::Start { checkpoint, boot, alive } => self.start(config, checkpoint, boot, alive, out),
            Input::MasterOpened { session } => self.master_opened(config, session, out),
            Input::MasterClosed { session } => self.master_closed(config, session, out),
            Input::ConnectFailed => self.connect_failed(config, out),
            Input::Master { session, message } => self.master_says(config, session, message, out),
            Input::ExecutorOpened { session, executor } => {
                self.executor_opened(config, session, executor, out)
            }
            Input::ExecutorClosed { session } => self.executor_closed(config, session, out),
            Input::Executor { session, message } => self.executor_says(config, session, message, out),
            Input::LaunchFailed { executor, cause } => self.launch_failed(config, executor, cause, out),
            Input::Exited { executor, how } => self.exited(executor, how, out),
            Input::TreeEnded { executor, ending } => self.tree_ended(config, executor, ending, out),
            Input::Timer(timer) => self.fired(timer, out),
            Input::Stored { seq } => self.stored(seq, out),
            Input::StoreFailed { seq, cause } => self.store_failed(config, seq, cause, out),
            Input::DrainNow => self.drain_now(config, out),
        }
    }

    /// Its id, once a master has admitted it.
    pub fn id(&self) -> Option<SlaveId> {
        self.id
    }

    /// The highest epoch of the leaders that it has obeyed.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the tasks hold that are not over.
    pub fn used(&self) -> &Sum {
        &self.used
    }

    /// Whether it has a session in which a leader admitted it.
    pub fn is_registered(&self) -> bool {
        self.link.registered().is_some()
    }

    /// Whether it is on its way out (R24).
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving(_) | Phase::Clearing { .. })
    }

    /// Whether a task is over: then nothing of it is left that writes. `None` for one that it does not know, or no
    /// longer.
    pub fn is_over(&self, task: TaskId) -> Option<bool> {
        self.tasks.get(&task).map(|task| task.stage.is_over())
    }

    /// Whether an executor's tree may be alive, as far as it knows (S11).
    pub fn knows(&self, executor: ExecutorId) -> bool {
        self.executors.contains_key(&executor)
    }

    /// Whether an executor is a framework's own.
    pub fn is_own(&self, executor: ExecutorId) -> bool {
        self.executors.get(&executor).is_some_and(|executor| executor.shared)
    }

    /// The framework's own executor that has a task; `None` where that is the built-in one, or does not live.
    pub fn own_executor(&self, task: TaskId) -> Option<ExecutorId> {
        let id = self.tasks.get(&task)?.executor;
        self.executors.get(&id).filter(|executor| executor.shared).map(|_| id)
    }

    fn fired(&mut self, timer: Timer, out: &mut Outbox<Effect>) {
        match timer {
            Timer::Reconnect => self.reconnect(out),
            Timer::ExecutorRegister(executor) => self.executor_silent(executor, out),
            Timer::KillEscalation(task) => self.kill_overrun(task, out),
            Timer::DrainGrace => self.drain_grace_over(out),
            Timer::Unregister => self.nobody_answered(out),
            Timer::StoreRetry => self.store_again(out),
        }
    }

    fn exit(&mut self, code: u8, out: &mut Outbox<Effect>) {
        // Nothing is left to remember: one way of being over.
        *self = Self { phase: Phase::Exited, ..Self::default() };
        out.push(Effect::Exit { code });
    }
}

/// What an update says, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct News {
    state: crate::task::TaskState,
    reason: Reason,
    message: Text,
}

/// What is still to be handed to an executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// To the built-in executor.
    Command { command: Arc<Command>, fence_after: Option<Millis> },
    /// To the framework's own.
    Data(Arc<[u8]>),
}

/// Ends a session for a reason that the peer may read.
fn close(session: SessionId, code: crate::transport::CloseCode, detail: &str) -> Effect {
    Effect::Close { session, reason: CloseReason { code, detail: Text::new(detail) } }
}
