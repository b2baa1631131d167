//! The framework machine: what every scheduler needs between itself and whichever master leads.
//!
//! The author's scheduler says what it wants ([`Command`]) and hears what happens ([`Event`]); the machine keeps the
//! subscription alive over sessions and leaders (R14, R30, R31), numbers tasks (R11, S16), delivers each update once
//! (R12, S9), and brings both sides back to one view after every reconnection (R15).
//!
//! What must outlive the process is the driver's to keep, for the next [`Input::Start`]: which that is, and before what
//! it must be durable, is in [`Memory`].

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::{Epoch, FrameworkId, InverseOfferId, OfferId, SessionId, SlaveId, TaskId};
use crate::map::Map;
use crate::message::{
    FrameworkToMaster, InverseAnswer, InverseAsk, InverseOutcome, MasterToFramework, Offered, Pending, Want,
};
use crate::outbox::Outbox;
use crate::resources::Resources;
use crate::task;
use crate::task::{Reason, Run, TaskSpec, TaskState, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, Moment, When};
use crate::transport::{CloseCode, CloseReason};

pub use memory::{Memory, MemoryChange};

mod memory;

/// What does not change while a framework runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Config {
    /// What people call it.
    pub name: Name,
    /// Its share against others', from 1 (R10).
    pub weight: u32,
    /// How long it may be away before its tasks are killed (R14).
    pub failover_timeout: Millis,
    /// Whether a task whose slave does not answer is Unreachable, and may come back, instead of Lost (R6, R8); for as
    /// long as the framework has its id.
    pub partition_aware: bool,
    /// The delay before the first new attempt to connect; it doubles with each failure in a row.
    pub retry_min: Millis,
    /// The longest such delay.
    pub retry_max: Millis,
    /// How long a master may take to answer a subscription before another is tried.
    pub subscribe_timeout: Millis,
    /// How long after a resubscription an inverse offer that the master has not named again counts as over.
    pub reannounce_timeout: Millis,
    /// For how long the slaves of offers beyond `offers_max` need not be offered again.
    pub surplus_filter: Millis,
    /// The most tasks that are not over and handled; what is launched beyond it is dropped.
    pub tasks_max: usize,
    /// The most offers held; those beyond it are declined.
    pub offers_max: usize,
    /// The most inverse offers open; those beyond it are declined without asking the scheduler.
    pub inverse_offers_max: usize,
}

impl Config {
    /// The usual settings under this name.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            weight: 1,
            failover_timeout: Millis::from_secs(60),
            partition_aware: false,
            retry_min: Millis(100),
            retry_max: Millis::from_secs(5),
            subscribe_timeout: Millis::from_secs(10),
            reannounce_timeout: Millis::from_secs(5),
            surplus_filter: Millis::from_secs(5),
            tasks_max: 100_000,
            offers_max: 10_000,
            inverse_offers_max: 10_000,
        }
    }
}

/// What happens to a framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// The node has started: the first input, given once.
    Start {
        /// Its id, if it was subscribed before.
        id: Option<FrameworkId>,
        /// The highest task number that it has ever used; 0 if none.
        highest_task: u32,
        /// Numbers of its tasks whose end was not handled yet, and the slaves that they were launched on. What has
        /// become of them is asked on the first session (R15).
        tasks: Vec<(u32, SlaveId)>,
    },
    /// The session that [`Effect::Connect`] asked for is there.
    Opened {
        /// Its name from here on.
        session: SessionId,
    },
    /// A session is gone, whoever ended it.
    Closed {
        /// Which.
        session: SessionId,
    },
    /// What [`Effect::Connect`] asked for could not be had.
    ConnectFailed,
    /// A master said something.
    Master {
        /// On which session.
        session: SessionId,
        /// What.
        message: MasterToFramework,
    },
    /// A timer fired.
    Timer(Timer),
    /// The author's scheduler wants something.
    Scheduler(Command),
    /// The scheduler's callback for an [`Event::Update`] has returned: only now may it be acknowledged (R12).
    Handled {
        /// Of which task.
        task: TaskId,
        /// The update's number.
        number: u32,
    },
}

/// What the author's scheduler may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Launch these on the offer's slave. [`Event::Launching`] tells their ids before anything else is said of them.
    Accept {
        /// Which offer.
        offer: OfferId,
        /// What to launch; none at all declines the offer.
        tasks: Vec<NewTask>,
        /// For how long what is left need not be offered again.
        filter: Millis,
    },
    /// Not these; ones that are not held any more are left out.
    Decline {
        /// Which offers.
        offers: Vec<OfferId>,
        /// For how long their slaves need not be offered again.
        filter: Millis,
    },
    /// Forget every filter, and offer again; remembered over sessions.
    Revive,
    /// Offer nothing until revived; remembered over sessions.
    Suppress,
    /// End a task (R13); remembered until it has ended. Asking again can only shorten the grace.
    Kill {
        /// Which.
        task: TaskId,
        /// At most this grace; `None` leaves the task's own.
        grace: Option<Millis>,
    },
    /// Answer an inverse offer; the latest answer is remembered while it is open.
    AnswerInverse {
        /// Which.
        id: InverseOfferId,
        /// What. Of the tasks that it names, the first [`codec::TASKS_MAX`] count.
        answer: InverseAnswer,
    },
    /// Ask what has become of every live task. The machine does so by itself after every subscription (R15).
    Reconcile,
    /// Kill what is left and forget the framework; [`Event::Finished`] follows once the master has.
    Teardown,
    /// Say what it waits for, and ask why; [`Event::Pending`] answers. Not remembered over sessions: who still waits asks
    /// again.
    Want(Want),
}

/// A task to launch: a [`TaskSpec`] that has no number yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewTask {
    /// What people call it.
    pub name: Name,
    /// What it takes of the offer.
    pub resources: Resources,
    /// How long it may take to end once it is asked to.
    pub kill_grace: Millis,
    /// It must not live for longer than this without a leader that counts it as living: for it, Lost means dead (R9). See
    /// [`TaskSpec::fence_after`] for what is allowed; what is not is Dropped.
    pub fence_after: Option<Millis>,
    /// What runs it.
    pub run: NewRun,
}

/// What runs a new task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NewRun {
    /// The built-in executor.
    Command(Arc<task::Command>),
    /// The framework's own executor.
    Executor {
        /// The executor's number; `None` for a new executor, which then has the number of this task.
        number: Option<u32>,
        /// The program that is the executor.
        command: Arc<task::Command>,
        /// What it is told with the task.
        data: Arc<[u8]>,
    },
}

/// What a framework wants of its driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Connect to a master, and answer with [`Input::Opened`] or [`Input::ConnectFailed`], exactly one of them.
    Connect {
        /// Where the leader is said to be (R31); `None` for the next master of the driver's list.
        leader: Option<Text>,
    },
    /// Send this.
    ToMaster {
        /// On which session.
        session: SessionId,
        /// What.
        message: FrameworkToMaster,
    },
    /// Close a session. The machine hears nothing of it any more.
    Close {
        /// Which.
        session: SessionId,
        /// What to tell the peer.
        reason: CloseReason,
    },
    /// Set a timer, or set it anew.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When it is to fire.
        when: When,
    },
    /// The timer must not fire any more.
    CancelTimer(Timer),
    /// Call the scheduler. Calls are made one after another, in order.
    Notify(Event),
    /// The framework is over; no effect but [`Effect::Close`] follows.
    Exit,
}

/// A framework's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// It is time to connect again.
    Connect,
    /// The master has not answered the subscription: try another.
    Subscribe,
    /// Inverse offers that the master has not named again since the resubscription are over.
    Reannounce,
}

/// What the author's scheduler is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// It is subscribed, for the first time or again.
    Subscribed {
        /// Under this id.
        id: FrameworkId,
        /// By this leader.
        epoch: Epoch,
    },
    /// There is no master for now. Tasks go on running; commands are kept where that makes sense.
    Disconnected,
    /// Resources, lent.
    Offers(Vec<Offered>),
    /// These offers are gone.
    Rescinded(Vec<OfferId>),
    /// The tasks of an accept have these ids, in the order in which they were named: fewer only when a framework
    /// has used up all numbers.
    Launching {
        /// Of which offer.
        offer: OfferId,
        /// Their ids.
        tasks: Vec<TaskId>,
    },
    /// News of a task. The driver answers with [`Input::Handled`] once the scheduler has dealt with it.
    Update {
        /// The news. Numbers of one task grow from one to the next, but for an end that a master reports of a task
        /// that it does not know, and for how a task is that was unreachable: these may have any.
        update: Update,
        /// Where the task is or was.
        slave: SlaveId,
    },
    /// An inverse offer, new or with a moved deadline.
    InverseOffer {
        /// To name it by in the answer.
        id: InverseOfferId,
        /// What it asks.
        asked: Asked,
    },
    /// An inverse offer is over.
    InverseOfferClosed {
        /// Which.
        id: InverseOfferId,
        /// How; [`InverseOutcome::Void`] also where it was over before the master could say how.
        outcome: InverseOutcome,
    },
    /// Why it has no offer of what it wants.
    Pending(Pending),
    /// The master will not have it: the text says why, and what to do. Nothing follows.
    Refused(Text),
    /// It is torn down. Nothing follows.
    Finished,
}

/// What an inverse offer asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asked {
    /// On which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub name: Name,
    /// What.
    pub ask: InverseAsk,
    /// By when; what was not returned by then is revoked (R19).
    pub deadline: Moment,
    /// Why.
    pub reason: Text,
}

/// The state of a framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Framework {
    link: Link,
    /// Attempts in a row that ended without a subscription, as far as they still lengthen the delay.
    failures: u8,
    id: Option<FrameworkId>,
    epoch: Epoch,
    highest_task: u32,
    appetite: Appetite,
    tearing_down: bool,
    tasks: Map<u32, Task>,
    offers: Map<OfferId, SlaveId>,
    inverse_offers: Map<InverseOfferId, Inverse>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    /// Not started.
    Idle,
    /// `Timer::Connect` runs.
    Waiting { leader: Text },
    /// `Effect::Connect` is under way.
    Connecting,
    /// `Timer::Subscribe` runs.
    Subscribing { session: SessionId },
    /// Offers are held and commands are sent in this state only.
    Subscribed { session: SessionId },
    /// Nothing follows.
    Over,
}

/// What the scheduler last said of offers: a session may have lost it, so that every new one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Appetite {
    Unsaid,
    Revived,
    Suppressed,
}

/// A task that is not both over and handled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Task {
    slave: SlaveId,
    state: TaskState,
    /// The number of the latest update that the scheduler was told; 0 if none.
    told: u32,
    /// The number of the latest one that it has dealt with; 0 if none.
    handled: u32,
    kill: Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kill {
    Unasked,
    OwnGrace,
    Within(Millis),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inverse {
    asked: Asked,
    answer: Option<InverseAnswer>,
    /// Whether the master has named it since the latest subscription.
    confirmed: bool,
}

impl Default for Framework {
    fn default() -> Self {
        Self::new()
    }
}

impl Framework {
    /// A framework that was not started yet.
    pub fn new() -> Self {
        Self {
            link: Link::Idle,
            failures: 0,
            id: None,
            epoch: Epoch(0),
            highest_task: 0,
            appetite: Appetite::Unsaid,
            tearing_down: false,
            tasks: Map::new(),
            offers: Map::new(),
            inverse_offers: Map::new(),
        }
    }

    /// Takes one input, and adds what is to be done to `out`.
    pub fn handle(&mut self, config: &Config, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Start { id, highest_task, tasks } => self.start(id, highest_task, &tasks, out),
            Input::Opened { session } => self.opened(config, session, out),
            Input::Closed { session } if self.session() == Some(session) => {
                self.lost(config, Text::EMPTY, out);
            }
            Input::Closed { .. } => {}
            Input::ConnectFailed if self.link == Link::Connecting => self.retry(config, Text::EMPTY, out),
            Input::ConnectFailed => {}
            Input::Master { session, message } if self.session() == Some(session) => {
                self.heard(config, session, message, out);
            }
            Input::Master { .. } => {}
            Input::Timer(timer) => self.fired(config, timer, out),
            Input::Scheduler(command) => self.asked(config, command, out),
            Input::Handled { task, number } => self.handled(task, number, out),
        }
    }

    /// Its id, once it has one.
    pub fn id(&self) -> Option<FrameworkId> {
        self.id
    }

    /// The highest epoch that it has heard of (R30).
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it is subscribed now.
    pub fn is_subscribed(&self) -> bool {
        self.subscription().is_some()
    }

    /// Whether it is over: refused or torn down.
    pub fn is_over(&self) -> bool {
        self.link == Link::Over
    }

    /// The highest task number that it has used, or that a master has seen of it.
    pub fn highest_task(&self) -> u32 {
        self.highest_task
    }

    /// The id that the next task will have; `None` before the first subscription, and when all are used.
    pub fn next_task(&self) -> Option<TaskId> {
        Some(TaskId { framework: self.id?, number: self.highest_task.checked_add(1)? })
    }

    /// Every task that is not over and handled, its slave and its state as the scheduler was told it.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, SlaveId, TaskState)> {
        self.id.into_iter().flat_map(|framework| {
            self.tasks
                .iter()
                .map(move |(&number, task)| (TaskId { framework, number }, task.slave, task.state))
        })
    }

    /// The slave of a task that is not over and handled.
    pub fn slave_of(&self, task: TaskId) -> Option<SlaveId> {
        let own = self.id == Some(task.framework);
        self.tasks.get(&task.number).filter(|_| own).map(|task| task.slave)
    }

    /// The tasks whose kill was asked for, and of whose end it has not heard (R13).
    pub fn kills(&self) -> impl Iterator<Item = TaskId> {
        self.live().filter(|(.., kill)| *kill != Kill::Unasked).map(|(task, ..)| task)
    }

    /// The offers that it holds, and their slaves.
    pub fn offers(&self) -> impl Iterator<Item = (OfferId, SlaveId)> {
        self.offers.iter().map(|(&id, &slave)| (id, slave))
    }

    /// The inverse offers that are open, and what was answered.
    pub fn inverse_offers(&self) -> impl Iterator<Item = (InverseOfferId, &Asked, Option<&InverseAnswer>)> {
        self.inverse_offers.iter().map(|(&id, inverse)| (id, &inverse.asked, inverse.answer.as_ref()))
    }

    /// The newest session, subscribed or not.
    pub fn session(&self) -> Option<SessionId> {
        match self.link {
            Link::Subscribing { session } | Link::Subscribed { session } => Some(session),
            Link::Idle | Link::Waiting { .. } | Link::Connecting | Link::Over => None,
        }
    }

    fn subscription(&self) -> Option<SessionId> {
        match self.link {
            Link::Subscribed { session } => Some(session),
            Link::Idle | Link::Waiting { .. } | Link::Connecting | Link::Subscribing { .. } | Link::Over => {
                None
            }
        }
    }

    fn tell(&self, message: FrameworkToMaster, out: &mut Outbox<Effect>) {
        if let Some(session) = self.subscription() {
            out.push(Effect::ToMaster { session, message });
        }
    }
}

/// Sessions (R14, R30, R31).
impl Framework {
    fn start(
        &mut self,
        id: Option<FrameworkId>,
        highest_task: u32,
        tasks: &[(u32, SlaveId)],
        out: &mut Outbox<Effect>,
    ) {
        if self.link != Link::Idle {
            return;
        }
        self.id = id;
        // Without an id there is nothing that they could be tasks of.
        let tasks = tasks.iter().filter(|(number, _)| id.is_some() && *number > 0);
        self.tasks = tasks.map(|&(number, slave)| (number, Task::staging(slave))).collect();
        self.highest_task = self.tasks.keys().fold(highest_task, |highest, number| highest.max(*number));
        self.link = Link::Connecting;
        out.push(Effect::Connect { leader: None });
    }

    fn opened(&mut self, config: &Config, session: SessionId, out: &mut Outbox<Effect>) {
        match self.link {
            Link::Connecting => {}
            Link::Subscribing { session: own } | Link::Subscribed { session: own } if own == session => {
                return;
            }
            Link::Idle
            | Link::Waiting { .. }
            | Link::Subscribing { .. }
            | Link::Subscribed { .. }
            | Link::Over => {
                out.push(close(session, CloseCode::Done, "this session is not needed any more"));
                return;
            }
        }
        self.link = Link::Subscribing { session };
        out.push(Effect::ToMaster {
            session,
            message: FrameworkToMaster::Subscribe {
                id: self.id,
                name: config.name.clone(),
                weight: config.weight,
                failover_timeout: config.failover_timeout,
                partition_aware: config.partition_aware,
                epoch: self.epoch,
                highest_task: self.highest_task,
            },
        });
        out.push(Effect::SetTimer { timer: Timer::Subscribe, when: When::After(config.subscribe_timeout) });
    }

    fn fired(&mut self, config: &Config, timer: Timer, out: &mut Outbox<Effect>) {
        match (timer, &self.link) {
            (Timer::Connect, Link::Waiting { leader }) => {
                let leader = (!leader.is_empty()).then(|| leader.clone());
                self.link = Link::Connecting;
                out.push(Effect::Connect { leader });
            }
            (Timer::Subscribe, &Link::Subscribing { session }) => {
                // Cancelling what has just fired would be noise, so this is not `leave`.
                out.push(close(session, CloseCode::Done, "the subscription was not answered in time"));
                self.retry(config, Text::EMPTY, out);
            }
            (Timer::Reannounce, Link::Subscribed { .. }) => self.close_unconfirmed(out),
            (
                Timer::Connect,
                Link::Idle
                | Link::Connecting
                | Link::Subscribing { .. }
                | Link::Subscribed { .. }
                | Link::Over,
            )
            | (
                Timer::Subscribe,
                Link::Idle | Link::Waiting { .. } | Link::Connecting | Link::Subscribed { .. } | Link::Over,
            )
            | (
                Timer::Reannounce,
                Link::Idle | Link::Waiting { .. } | Link::Connecting | Link::Subscribing { .. } | Link::Over,
            ) => {}
        }
    }

    fn heard(
        &mut self,
        config: &Config,
        session: SessionId,
        message: MasterToFramework,
        out: &mut Outbox<Effect>,
    ) {
        match message {
            MasterToFramework::Subscribed { id, epoch, highest_task } => {
                self.subscribed(config, session, (id, epoch, highest_task), out)
            }
            MasterToFramework::NotLeading { leader } => {
                self.leave(config, CloseCode::Done, "this master does not lead", leader, out);
            }
            MasterToFramework::Refused(text) => self.refused(session, text, out),
            MasterToFramework::Offers(_)
            | MasterToFramework::Rescind(_)
            | MasterToFramework::Update { .. }
            | MasterToFramework::InverseOffer { .. }
            | MasterToFramework::InverseOfferClosed { .. }
            | MasterToFramework::Pending(_)
                if !self.is_subscribed() => {}
            MasterToFramework::Offers(offers) => self.offered(config, offers, out),
            MasterToFramework::Rescind(offers) => self.rescinded(&offers, out),
            MasterToFramework::Update { update, slave } => self.updated(update, slave, out),
            MasterToFramework::InverseOffer { id, slave, name, ask, deadline, reason } => {
                let asked = Asked { slave, name, ask, deadline, reason };
                self.inverse_offered(config, id, asked, out);
            }
            MasterToFramework::InverseOfferClosed { id, outcome } => self.inverse_closed(id, outcome, out),
            MasterToFramework::Pending(_) if self.tearing_down => {}
            MasterToFramework::Pending(why) => out.push(Effect::Notify(Event::Pending(why))),
        }
    }

    fn subscribed(
        &mut self,
        config: &Config,
        session: SessionId,
        (id, epoch, highest_task): (FrameworkId, Epoch, u32),
        out: &mut Outbox<Effect>,
    ) {
        if epoch < self.epoch {
            // R30: a deposed leader that has not noticed.
            let detail = format!("a leader of {} has been heard, this one is of {epoch}", self.epoch);
            return self.leave(config, CloseCode::Done, &detail, Text::EMPTY, out);
        }
        if let Some(own) = self.id
            && own != id
        {
            let detail = format!("{own} was subscribed under another id, {id}");
            return self.leave(config, CloseCode::Misbehaved, &detail, Text::EMPTY, out);
        }
        if self.is_subscribed() && epoch == self.epoch {
            self.highest_task = self.highest_task.max(highest_task);
            return;
        }
        match self.is_subscribed() {
            true => self.forget_session_state(out),
            false => out.push(Effect::CancelTimer(Timer::Subscribe)),
        }
        self.link = Link::Subscribed { session };
        self.failures = 0;
        self.id = Some(id);
        self.epoch = epoch;
        self.highest_task = self.highest_task.max(highest_task);
        out.push(Effect::Notify(Event::Subscribed { id, epoch }));
        self.catch_up(config, out);
    }

    /// Says again what an earlier session may have lost.
    fn catch_up(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        if self.tearing_down {
            return self.tell(FrameworkToMaster::Teardown, out);
        }
        match self.appetite {
            Appetite::Unsaid => {}
            Appetite::Revived => self.tell(FrameworkToMaster::Revive, out),
            Appetite::Suppressed => self.tell(FrameworkToMaster::Suppress, out),
        }
        self.reconcile(out);
        for (task, slave, kill) in self.live() {
            self.tell_kill(task, slave, kill, out);
        }
        if !self.inverse_offers.is_empty() {
            out.push(Effect::SetTimer {
                timer: Timer::Reannounce,
                when: When::After(config.reannounce_timeout),
            });
        }
    }

    /// R15, in messages of which each fits a frame. What it does not name of the numbers that it has used is over, or was
    /// launched by a process whose memory is lost: whoever knows it no more may have launched it again.
    fn reconcile(&self, out: &mut Outbox<Effect>) {
        let upto = self.highest_task;
        let live: Vec<_> = self.live().map(|(task, slave, _)| (task, slave)).collect();
        let mut chunks = live.chunks(codec::TASKS_MAX).peekable();
        if chunks.peek().is_none() && upto > 0 {
            self.tell(FrameworkToMaster::Reconcile { after: 0, upto, tasks: Vec::new() }, out);
        }
        let mut after = 0;
        while let Some(tasks) = chunks.next() {
            let next = chunks.peek().and_then(|more| more.first());
            let until = next.map_or(upto, |(task, _)| task.number.saturating_sub(1));
            let tasks = tasks.to_vec();
            self.tell(FrameworkToMaster::Reconcile { after, upto: until, tasks }, out);
            after = until;
        }
    }

    fn live(&self) -> impl Iterator<Item = (TaskId, SlaveId, Kill)> {
        self.id.into_iter().flat_map(|framework| {
            self.tasks
                .iter()
                .filter(|(_, task)| !task.state.is_terminal())
                .map(move |(&number, task)| (TaskId { framework, number }, task.slave, task.kill))
        })
    }

    /// Closes the session and tries another, `leader` first if it is known.
    fn leave(
        &mut self,
        config: &Config,
        code: CloseCode,
        detail: &str,
        leader: Text,
        out: &mut Outbox<Effect>,
    ) {
        if let Some(session) = self.session() {
            out.push(close(session, code, detail));
            self.lost(config, leader, out);
        }
    }

    fn lost(&mut self, config: &Config, leader: Text, out: &mut Outbox<Effect>) {
        match self.is_subscribed() {
            true => {
                out.push(Effect::Notify(Event::Disconnected));
                self.forget_session_state(out);
            }
            false => out.push(Effect::CancelTimer(Timer::Subscribe)),
        }
        self.retry(config, leader, out);
    }

    /// Offers end with their session; inverse offers do not, but the master may close them unheard.
    fn forget_session_state(&mut self, out: &mut Outbox<Effect>) {
        self.cancel_reannounce(out);
        for inverse in self.inverse_offers.values_mut() {
            inverse.confirmed = false;
        }
        let void: Vec<_> = core::mem::take(&mut self.offers).keys().copied().collect();
        if !void.is_empty() {
            out.push(Effect::Notify(Event::Rescinded(void)));
        }
    }

    fn retry(&mut self, config: &Config, leader: Text, out: &mut Outbox<Effect>) {
        let delay = backoff(config, self.failures);
        if delay < config.retry_max && self.failures < FAILURES_MAX {
            self.failures += 1;
        }
        self.link = Link::Waiting { leader };
        out.push(Effect::SetTimer { timer: Timer::Connect, when: When::After(delay) });
    }

    fn refused(&mut self, session: SessionId, text: Text, out: &mut Outbox<Effect>) {
        match self.is_subscribed() {
            true => self.cancel_reannounce(out),
            false => out.push(Effect::CancelTimer(Timer::Subscribe)),
        }
        out.push(close(session, CloseCode::Done, ""));
        // A framework that is being torn down is refused because it is gone, which is what it wants.
        let event = match self.tearing_down {
            true => Event::Finished,
            false => Event::Refused(text),
        };
        self.end(event, out);
    }

    fn end(&mut self, event: Event, out: &mut Outbox<Effect>) {
        *self = Self {
            link: Link::Over,
            id: self.id,
            epoch: self.epoch,
            highest_task: self.highest_task,
            ..Self::new()
        };
        out.push(Effect::Notify(event));
        out.push(Effect::Exit);
    }

    fn teardown(&mut self, out: &mut Outbox<Effect>) {
        let waits = matches!(self.link, Link::Waiting { .. });
        if self.id.is_none() && self.session().is_none() {
            // No master has heard of it, or one has whose answer is lost: that one forgets it by itself (R14).
            if waits {
                out.push(Effect::CancelTimer(Timer::Connect));
            }
            return self.end(Event::Finished, out);
        }
        self.tearing_down = true;
        self.cancel_reannounce(out);
        self.offers = Map::new();
        self.inverse_offers = Map::new();
        self.tell(FrameworkToMaster::Teardown, out);
    }
}

/// What the scheduler wants.
impl Framework {
    fn asked(&mut self, config: &Config, command: Command, out: &mut Outbox<Effect>) {
        if self.is_over() {
            return;
        }
        match command {
            Command::Accept { offer, tasks, filter } => self.accept(config, offer, tasks, filter, out),
            Command::Decline { .. }
            | Command::Revive
            | Command::Suppress
            | Command::Kill { .. }
            | Command::AnswerInverse { .. }
            | Command::Reconcile
            | Command::Teardown
            | Command::Want(_)
                if self.tearing_down => {}
            Command::Decline { mut offers, filter } => {
                offers.retain(|offer| self.offers.remove(offer).is_some());
                self.decline(&offers, filter, out);
            }
            Command::Revive => {
                self.appetite = Appetite::Revived;
                self.tell(FrameworkToMaster::Revive, out);
            }
            Command::Suppress => {
                self.appetite = Appetite::Suppressed;
                self.tell(FrameworkToMaster::Suppress, out);
            }
            Command::Kill { task, grace } => self.kill(task, grace, out),
            Command::AnswerInverse { id, answer } => self.answer(id, answer, out),
            Command::Reconcile => self.reconcile(out),
            Command::Teardown => self.teardown(out),
            Command::Want(want) => self.tell(FrameworkToMaster::Want(want), out),
        }
    }

    fn accept(
        &mut self,
        config: &Config,
        offer: OfferId,
        tasks: Vec<NewTask>,
        filter: Millis,
        out: &mut Outbox<Effect>,
    ) {
        let specs = self.number(tasks);
        if !specs.is_empty() {
            let tasks = specs.iter().map(|spec| spec.id).collect();
            out.push(Effect::Notify(Event::Launching { offer, tasks }));
        }
        let Some(slave) = self.offers.remove(&offer) else {
            for spec in specs {
                drop_task(spec.id, SlaveId(0), Reason::OfferGone, "the offer was not held any more", out);
            }
            return;
        };
        let mut accept = Vec::new();
        let mut dropped = Vec::new();
        let mut room = codec::ACCEPT_ROOM;
        for spec in specs {
            match self.admit(config, &spec, accept.len(), room) {
                Ok(size) => {
                    room = room.saturating_sub(size);
                    self.tasks.insert(spec.id.number, Task::staging(slave));
                    accept.push(spec);
                }
                Err((reason, why)) => dropped.push((spec.id, reason, why)),
            }
        }
        let message = FrameworkToMaster::Accept { offer, slave, tasks: accept, filter };
        self.tell(message, out);
        for (task, reason, why) in dropped {
            drop_task(task, slave, reason, why.as_str(), out);
        }
    }

    /// Gives each its number, one that was never used (S16).
    fn number(&mut self, tasks: Vec<NewTask>) -> Vec<TaskSpec> {
        let mut specs = Vec::with_capacity(tasks.len());
        for task in tasks {
            let Some(id) = self.next_task() else { break };
            self.highest_task = id.number;
            specs.push(task.numbered(id));
        }
        specs
    }

    /// The encoded size of a task that may be sent as the `nth` of an accept with so much room left.
    fn admit(
        &self,
        config: &Config,
        spec: &TaskSpec,
        nth: usize,
        room: usize,
    ) -> Result<usize, (Reason, Text)> {
        if self.tasks.len() >= config.tasks_max {
            let why = format!("the framework has {} tasks, the most that it may", config.tasks_max);
            return Err((Reason::OfferGone, why.into()));
        }
        let size =
            codec::task_size(spec).map_err(|error| (Reason::InvalidSpec, format!("{error}").into()))?;
        if nth >= codec::LAUNCHES_MAX || size > room {
            return Err((Reason::OfferGone, "the tasks before it fill the message".into()));
        }
        Ok(size)
    }

    fn decline(&self, offers: &[OfferId], filter: Millis, out: &mut Outbox<Effect>) {
        for offers in offers.chunks(codec::OFFERS_MAX) {
            let offers = offers.to_vec();
            self.tell(FrameworkToMaster::Decline { offers, filter }, out);
        }
    }

    fn kill(&mut self, id: TaskId, grace: Option<Millis>, out: &mut Outbox<Effect>) {
        let Some(task) = self.task(id) else { return };
        let kill = task.kill.shortened(grace);
        if task.state.is_terminal() || kill == task.kill {
            return;
        }
        task.kill = kill;
        let slave = task.slave;
        self.tell_kill(id, slave, kill, out);
    }

    fn tell_kill(&self, task: TaskId, slave: SlaveId, kill: Kill, out: &mut Outbox<Effect>) {
        let grace = match kill {
            Kill::Unasked => return,
            Kill::OwnGrace => None,
            Kill::Within(grace) => Some(grace),
        };
        self.tell(FrameworkToMaster::Kill { task, slave, grace }, out);
    }

    fn answer(&mut self, id: InverseOfferId, mut answer: InverseAnswer, out: &mut Outbox<Effect>) {
        let Some(inverse) = self.inverse_offers.get_mut(&id) else {
            return;
        };
        match &mut answer {
            InverseAnswer::Accept { rather } => rather.truncate(codec::TASKS_MAX),
            InverseAnswer::Decline { .. } => {}
        }
        if inverse.answer.as_ref() == Some(&answer) {
            return;
        }
        inverse.answer = Some(answer.clone());
        // One that the master has yet to name again is answered when it does.
        if inverse.confirmed {
            self.tell(FrameworkToMaster::AnswerInverse { id, answer }, out);
        }
    }

    fn handled(&mut self, id: TaskId, number: u32, out: &mut Outbox<Effect>) {
        let Some(task) = self.task(id) else { return };
        let over = task.state.is_terminal() && number == task.told;
        if !over && (number <= task.handled || number > task.told) {
            return;
        }
        task.handled = number;
        if over {
            self.tasks.remove(&id.number);
        }
        self.tell(FrameworkToMaster::Acknowledge { task: id, number }, out);
    }

    fn task(&mut self, id: TaskId) -> Option<&mut Task> {
        match self.id == Some(id.framework) {
            true => self.tasks.get_mut(&id.number),
            false => None,
        }
    }
}

/// What the master says once the framework is subscribed.
impl Framework {
    fn offered(&mut self, config: &Config, mut offers: Vec<Offered>, out: &mut Outbox<Effect>) {
        if self.tearing_down {
            return;
        }
        let mut surplus = Vec::new();
        offers.retain(|offer| {
            if self.offers.contains_key(&offer.id) {
                return false;
            }
            if self.offers.len() >= config.offers_max {
                surplus.push(offer.id);
                return false;
            }
            self.offers.insert(offer.id, offer.slave);
            true
        });
        if !offers.is_empty() {
            out.push(Effect::Notify(Event::Offers(offers)));
        }
        self.decline(&surplus, config.surplus_filter, out);
    }

    fn rescinded(&mut self, offers: &[OfferId], out: &mut Outbox<Effect>) {
        let mut gone = Vec::new();
        for offer in offers {
            if self.offers.remove(offer).is_some() {
                gone.push(*offer);
            }
        }
        if !gone.is_empty() {
            out.push(Effect::Notify(Event::Rescinded(gone)));
        }
    }

    /// R12: each update reaches the scheduler once; S9: nothing follows an end.
    fn updated(&mut self, update: Update, slave: SlaveId, out: &mut Outbox<Effect>) {
        let (id, number) = (update.task, update.number);
        if self.id != Some(id.framework) || id.number == 0 || id.number > self.highest_task {
            return;
        }
        let ends = update.state.is_terminal();
        let Some(task) = self.tasks.get_mut(&id.number) else {
            // It is over and handled, but the acknowledgement was lost.
            return self.tell(FrameworkToMaster::Acknowledge { task: id, number }, out);
        };
        // A master that does not know a task cannot know the numbers of its updates either: an end that is news
        // counts whatever its number (R15). So does that a task is out of reach, and how it is when it is back (R8).
        let was_away = task.state == TaskState::Unreachable;
        let is_away = update.state == TaskState::Unreachable;
        if !task.state.is_terminal() && (number > task.told || ends || was_away != is_away) {
            // An end is handled under its own number.
            task.told = if ends { number } else { number.max(task.told) };
            task.state = update.state;
            task.slave = slave;
            if ends {
                task.kill = Kill::Unasked;
            }
            out.push(Effect::Notify(Event::Update { update, slave }));
        } else if number > 0 && number <= task.handled {
            self.tell(FrameworkToMaster::Acknowledge { task: id, number }, out);
        }
    }

    fn inverse_offered(
        &mut self,
        config: &Config,
        id: InverseOfferId,
        asked: Asked,
        out: &mut Outbox<Effect>,
    ) {
        if self.tearing_down {
            return;
        }
        let Some(inverse) = self.inverse_offers.get_mut(&id) else {
            if self.inverse_offers.len() >= config.inverse_offers_max {
                let reason = "the framework has more inverse offers open than it can deal with".into();
                let answer = InverseAnswer::Decline { reason };
                return self.tell(FrameworkToMaster::AnswerInverse { id, answer }, out);
            }
            let inverse = Inverse { asked: asked.clone(), answer: None, confirmed: true };
            self.inverse_offers.insert(id, inverse);
            return out.push(Effect::Notify(Event::InverseOffer { id, asked }));
        };
        let unconfirmed = !core::mem::replace(&mut inverse.confirmed, true);
        let changed = inverse.asked != asked;
        inverse.asked = asked.clone();
        if unconfirmed && let Some(answer) = inverse.answer.clone() {
            self.tell(FrameworkToMaster::AnswerInverse { id, answer }, out);
        }
        if unconfirmed && self.inverse_offers.values().all(|inverse| inverse.confirmed) {
            out.push(Effect::CancelTimer(Timer::Reannounce));
        }
        if changed {
            out.push(Effect::Notify(Event::InverseOffer { id, asked }));
        }
    }

    fn inverse_closed(&mut self, id: InverseOfferId, outcome: InverseOutcome, out: &mut Outbox<Effect>) {
        let Some(inverse) = self.inverse_offers.remove(&id) else {
            return;
        };
        if !inverse.confirmed && self.inverse_offers.values().all(|inverse| inverse.confirmed) {
            out.push(Effect::CancelTimer(Timer::Reannounce));
        }
        out.push(Effect::Notify(Event::InverseOfferClosed { id, outcome }));
    }

    fn close_unconfirmed(&mut self, out: &mut Outbox<Effect>) {
        self.inverse_offers.retain(|&id, inverse| {
            if !inverse.confirmed {
                let outcome = InverseOutcome::Void;
                out.push(Effect::Notify(Event::InverseOfferClosed { id, outcome }));
            }
            inverse.confirmed
        });
    }

    /// `Timer::Reannounce` runs while subscribed with an inverse offer that is not confirmed.
    fn cancel_reannounce(&self, out: &mut Outbox<Effect>) {
        if self.is_subscribed() && self.inverse_offers.values().any(|inverse| !inverse.confirmed) {
            out.push(Effect::CancelTimer(Timer::Reannounce));
        }
    }
}

impl Task {
    fn staging(slave: SlaveId) -> Self {
        Self { slave, state: TaskState::Staging, told: 0, handled: 0, kill: Kill::Unasked }
    }
}

impl Kill {
    /// This and another request together: a later one can only shorten the grace.
    fn shortened(self, grace: Option<Millis>) -> Self {
        match (self, grace) {
            (Self::Unasked, None) | (Self::OwnGrace, None) => Self::OwnGrace,
            (Self::Unasked | Self::OwnGrace, Some(grace)) => Self::Within(grace),
            (Self::Within(old), None) => Self::Within(old),
            (Self::Within(old), Some(grace)) => Self::Within(old.min(grace)),
        }
    }
}

impl NewTask {
    fn numbered(self, id: TaskId) -> TaskSpec {
        let Self { name, resources, kill_grace, fence_after, run } = self;
        let run = match run {
            NewRun::Command(command) => Run::Command(command),
            NewRun::Executor { number, command, data } => {
                Run::Executor { number: number.unwrap_or(id.number), command, data }
            }
        };
        TaskSpec { id, name, resources, kill_grace, fence_after, run }
    }
}

/// Reports a task that was never sent. It is not tracked: nothing can follow.
fn drop_task(task: TaskId, slave: SlaveId, reason: Reason, why: &str, out: &mut Outbox<Effect>) {
    let update = Update { task, number: 1, state: TaskState::Dropped, reason, message: Text::new(why) };
    out.push(Effect::Notify(Event::Update { update, slave }));
}

fn close(session: SessionId, code: CloseCode, detail: &str) -> Effect {
    let detail = Text::new(detail);
    Effect::Close { session, reason: CloseReason { code, detail } }
}

fn backoff(config: &Config, failures: u8) -> Millis {
    let factor = 1u32.checked_shl(u32::from(failures)).unwrap_or(u32::MAX);
    config.retry_min.times(factor).min(config.retry_max)
}

/// Beyond it the delay no longer grows, and the state must not either.
const FAILURES_MAX: u8 = 31;

#[cfg(test)]
mod tests;
