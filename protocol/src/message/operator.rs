//! Between an operator and the master.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::REPORTS_MAX;
use crate::ids::{DrainId, Epoch, FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use crate::message::{InverseAnswer, InverseAsk, InverseOutcome, Pending, Want};
use crate::resources::Resources;
use crate::task::{Ending, Reason, TaskState};
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};
use crate::transport::FRAME_SIZE_MAX;

/// What an operator says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperatorToMaster {
    /// The operator's own number, given back with the answer.
    pub request: u32,
    /// What is asked.
    pub command: Command,
}

/// What a master says to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MasterToOperator {
    /// What became of a request. Of one that changes something, it comes after the change is durable.
    Answer {
        /// Which request.
        request: u32,
        /// Its answer.
        answer: Result<Answer, Refusal>,
    },
    /// Something that happened, for one who asked to [`Command::Watch`].
    Event {
        /// The request that asked for it.
        request: u32,
        /// What happened.
        event: Event,
    },
}

/// What an operator may ask for. Asking twice for the same is success.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Show something; changes nothing.
    Show(Query),
    /// Send every event from here on.
    Watch,
    /// Place a hold on a slave: no offers of it (R16).
    Deactivate {
        /// Which.
        slave: SlaveRef,
        /// The hold's name; one of the same name is left as it is.
        hold: Name,
        /// Why.
        reason: Text,
    },
    /// Lift a hold, or all but those of drains in progress (R16).
    Activate {
        /// Which slave.
        slave: SlaveRef,
        /// Which hold; `None` for all.
        hold: Option<Name>,
        /// Why.
        reason: Text,
    },
    /// Ask a framework to give resources back (R17).
    InverseOffer {
        /// Which framework.
        framework: FrameworkId,
        /// On which slave.
        slave: SlaveRef,
        /// What.
        ask: InverseAsk,
        /// By when, from now.
        deadline: Millis,
        /// Why.
        reason: Text,
    },
    /// Take an inverse offer back (R20).
    CancelInverseOffer(InverseOfferId),
    /// Drain a slave (R21).
    Drain {
        /// Which.
        slave: SlaveRef,
        /// By when, from now.
        deadline: Millis,
        /// Why; `None` for no word about it.
        reason: Option<Text>,
        /// What after; `None` for what is so, and [`Then::Stay`] where nothing is.
        then: Option<Then>,
        /// Refuse unless a plan made now would have this digest (R23).
        if_plan: Option<u64>,
        /// Change a drain that is under way to what is asked, where it differs (R22).
        change: bool,
    },
    /// Say what that drain would do (R23); changes nothing.
    PlanDrain {
        /// Which slave.
        slave: SlaveRef,
        /// By when, from now.
        deadline: Millis,
        /// What after; as in [`Command::Drain`].
        then: Option<Then>,
    },
    /// Give up a drain (R22).
    CancelDrain(DrainId),
    /// Move the deadline of a drain and of its inverse offers, to so long from now (R22).
    ExtendDrain(DrainId, Millis),
    /// Kill everything on a slave, now or when it is back, and unregister it (R24a). A drain that is under way there
    /// becomes such a one.
    DrainNow {
        /// Which.
        slave: SlaveRef,
        /// Why; `None` for no word about it.
        reason: Option<Text>,
    },
    /// End a task, with its grace.
    Kill {
        /// Which.
        task: TaskId,
        /// Why.
        reason: Text,
    },
    /// Go on removing silent slaves although more than the set share of the cluster is silent (R7).
    ResumeRemovals {
        /// Why.
        reason: Text,
    },
    /// Remove a slave that does not answer, for good: an operator's word that it is dead (R7a).
    ForgetSlave {
        /// Which.
        slave: SlaveRef,
        /// Why.
        reason: Text,
    },
    /// Remove a framework, for good: its tasks and executors are killed everywhere (R14).
    Teardown {
        /// Which.
        framework: FrameworkId,
        /// Why.
        reason: Text,
    },
}

/// What an operator may look at. Listings come in pages: `after` is the last id of the page before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Query {
    /// The cluster at a glance.
    Status,
    /// Slaves.
    Slaves {
        /// After which.
        after: Option<SlaveId>,
    },
    /// One slave.
    Slave(SlaveRef),
    /// Names that are held, and that no slave has now (R16).
    HeldNames {
        /// After which.
        after: Option<Name>,
    },
    /// Tasks that are not over and acknowledged.
    Tasks {
        /// After which slave, and which task of it.
        after: Option<(SlaveId, TaskId)>,
    },
    /// One task, those that ended lately included.
    Task(TaskId),
    /// Frameworks.
    Frameworks {
        /// After which.
        after: Option<FrameworkId>,
    },
    /// Offers.
    Offers {
        /// After which.
        after: Option<OfferId>,
    },
    /// Inverse offers that are not over.
    InverseOffers {
        /// After which.
        after: Option<InverseOfferId>,
    },
    /// One drain.
    Drain(DrainId),
    /// A receipt (R23a).
    Receipt(ReceiptId),
    /// Tasks that ended lately, newest first, as far as the master remembers them.
    Ended {
        /// After which, that is: before it in time.
        after: Option<TaskId>,
    },
    /// Frameworks that wait for offers, and why; few to a page, as each is held against every slave.
    Pending {
        /// After which framework.
        after: Option<FrameworkId>,
    },
    /// What happened lately, oldest first, as far as the master remembers it. What came on the same session for a
    /// [`Command::Watch`] before the last page has been answered is on these pages too.
    Events {
        /// After which number.
        after: Option<u64>,
    },
}

/// A slave as people name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlaveRef {
    /// By id.
    Id(SlaveId),
    /// By its certificate's name.
    Name(Name),
}

impl fmt::Display for SlaveRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// What follows a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Then {
    /// The slave stays, empty and deactivated.
    Stay,
    /// The slave unregisters and exits.
    Unregister,
}

/// How soon a drain is to empty its slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pace {
    /// Whoever has something there is asked, and has so long from when that was asked for (R21).
    Within(Millis),
    /// The slave ends everything at once, and leaves (R24a).
    Now,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(within) => write!(f, "--deadline {within}"),
            Self::Now => write!(f, "--now"),
        }
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stay => "stay",
            Self::Unregister => "unregister",
        })
    }
}

/// What asking for a drain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrainStep {
    /// It began.
    Began,
    /// It was under way, or through, and is now as was asked.
    Changed,
    /// It was so before.
    Unchanged,
}

/// What a drain that is under way has otherwise than was asked, and what was asked (R22).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainDifference {
    /// How long it was to take.
    pub deadline: Option<(Millis, Millis)>,
    /// What is to follow.
    pub then: Option<(Then, Then)>,
    /// Why.
    pub reason: Option<(Text, Text)>,
}

impl DrainDifference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for DrainDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deadline, then, reason } = self;
        let mut and = "";
        if let Some((has, asked)) = deadline {
            write!(f, "--deadline {has} and not {asked}")?;
            and = ", ";
        }
        if let Some((has, asked)) = then {
            write!(f, "{and}--then {has} and not {asked}")?;
            and = ", ";
        }
        if let Some((has, asked)) = reason {
            write!(f, "{and}--reason '{has}' and not '{asked}'")?;
        }
        Ok(())
    }
}

/// What became of a request that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// It is so, durably; `changed` is false where it was so before.
    Done {
        /// Whether anything had to change.
        changed: bool,
    },
    /// The drain is under way, or was already.
    Draining {
        /// Its id.
        drain: DrainId,
        /// What this request did to it.
        step: DrainStep,
    },
    /// The inverse offer is made.
    InverseOffered(InverseOfferId),
    /// What a drain would do.
    Plan(DrainPlan),
    /// Events follow.
    Watching,
    /// The cluster.
    Status(Status),
    /// Slaves.
    Slaves(Page<SlaveView>),
    /// Names that are held, and that no slave has now.
    HeldNames(Page<HeldNameView>),
    /// Tasks.
    Tasks(Page<TaskView>),
    /// Frameworks.
    Frameworks(Page<FrameworkView>),
    /// Offers.
    Offers(Page<OfferView>),
    /// Inverse offers.
    InverseOffers(Page<InverseOfferView>),
    /// A drain.
    Drain(DrainView),
    /// A receipt: its lines and when each was written.
    Receipt(Vec<(Moment, ReceiptLine)>),
    /// What happened.
    Events(Page<PastEvent>),
    /// Frameworks that wait.
    Pending(Page<PendingView>),
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// The cluster at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Status {
    /// The leader's term.
    pub epoch: Epoch,
    /// Slaves in the registry: each is connected, away or unreachable.
    pub slaves: u32,
    /// Those of them with a session that are not unreachable.
    pub connected: u32,
    /// Those with no session whose time is not over yet.
    pub away: u32,
    /// Those that are unreachable: also one that has come back, and is not used yet (R8).
    pub unreachable: u32,
    /// Those of the connected that have not answered their last ping in time: nothing is offered of them (R6).
    pub silent: u32,
    /// Those that are deactivated.
    pub deactivated: u32,
    /// Frameworks in the registry.
    pub frameworks: u32,
    /// Tasks that are not over and acknowledged.
    pub tasks: u32,
    /// Offers outstanding.
    pub offers: u32,
    /// Drains in progress.
    pub drains: u32,
    /// Whether removals are halted because too much of the cluster is silent (R7).
    pub removals_halted: bool,
}

/// A slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlaveView {
    /// Its id.
    pub id: SlaveId,
    /// Its name.
    pub name: Name,
    /// Where operators reach it.
    pub address: Text,
    /// How it is.
    pub status: SlaveStatus,
    /// Everything it has.
    pub total: Resources,
    /// What tasks hold.
    pub used: Resources,
    /// What is lent out.
    pub offered: Resources,
    /// How many tasks are not over and acknowledged.
    pub tasks: u32,
    /// What may run there beside them.
    pub uncounted: Uncounted,
    /// What keeps it from being offered.
    pub holds: Vec<HoldView>,
    /// Its drain, in progress or done.
    pub drain: Option<DrainView>,
}

/// A name that is held, and that no slave has now: whichever registers under it is held from the first (R16).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldNameView {
    /// The slave's name.
    pub name: Name,
    /// What holds it.
    pub holds: Vec<HoldView>,
}

/// How a slave is, in the one word that says most: what is out of reach is told before what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SlaveStatus {
    /// It is here, and nothing keeps it from being offered.
    Active,
    /// It is here, and a hold keeps it from being offered (R16).
    Held,
    /// It is here, and a drain empties it (R21).
    Draining,
    /// It is here, a drain has emptied it, and the drain's hold is not lifted.
    Drained,
    /// It has not come back since this leader was elected.
    Awaited,
    /// Its session is gone; the health check is counting.
    Disconnected,
    /// It did not answer for too long (R6).
    Unreachable,
    /// It is about to unregister.
    Leaving,
    /// It is connected, and has not answered a ping in its time: nothing is offered of it until it does (R6).
    Silent,
}

impl SlaveStatus {
    /// Whether it is here and answers: only then can anything be ended or seen there.
    pub fn answers(self) -> bool {
        match self {
            Self::Active | Self::Held | Self::Draining | Self::Drained | Self::Leaving => true,
            Self::Silent | Self::Awaited | Self::Disconnected | Self::Unreachable => false,
        }
    }
}

impl fmt::Display for SlaveStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Held => "held",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Awaited => "awaited",
            Self::Disconnected => "disconnected",
            Self::Unreachable => "unreachable",
            Self::Leaving => "leaving",
            Self::Silent => "silent",
        })
    }
}

/// What may run on a slave beside the tasks that are counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Uncounted {
    /// Nothing.
    Nothing,
    /// So many tasks that were told Lost, or are no framework's: the slave ends them (R8).
    Ending(u32),
    /// Tasks that were told Lost when the slave was given up: it ends them when it is back (R8).
    Lost,
    /// The leader has yet to hear from the slave what runs there (R28).
    Unknown,
}

/// A hold (R16).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HoldView {
    /// Its name.
    pub name: Name,
    /// Who placed it.
    pub by: Name,
    /// Why.
    pub reason: Text,
    /// When.
    pub at: Moment,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub name: Name,
    /// Its framework's name.
    pub framework: Name,
    /// Its slave's id.
    pub slave: SlaveId,
    /// Its slave's name.
    pub slave_name: Name,
    /// Where operators reach the slave.
    pub slave_address: Text,
    /// Its state.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// What it holds.
    pub resources: Resources,
}

/// A framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameworkView {
    /// Its id.
    pub id: FrameworkId,
    /// Its name.
    pub name: Name,
    /// Its certificate's name.
    pub principal: Name,
    /// Whether it has a session.
    pub connected: bool,
    /// Whether it asked for no offers.
    pub suppressed: bool,
    /// Its share against others'.
    pub weight: u32,
    /// What its tasks hold, and what is lent to it; ports left out.
    pub allocated: Resources,
    /// How many of its tasks are not over and acknowledged.
    pub tasks: u32,
}

/// A framework that waits for offers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingView {
    /// Which.
    pub framework: FrameworkId,
    /// Its name.
    pub name: Name,
    /// What for.
    pub want: Want,
    /// Why.
    pub why: Pending,
}

/// An offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OfferView {
    /// Its id.
    pub id: OfferId,
    /// To whom.
    pub framework: FrameworkId,
    /// On which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub slave_name: Name,
    /// What.
    pub resources: Resources,
}

/// An inverse offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InverseOfferView {
    /// Its id.
    pub id: InverseOfferId,
    /// Of whom.
    pub framework: FrameworkId,
    /// That framework's name.
    pub framework_name: Name,
    /// On which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub slave_name: Name,
    /// What.
    pub ask: InverseAsk,
    /// By when.
    pub deadline: Moment,
    /// Why.
    pub reason: Text,
    /// Who asked.
    pub by: Name,
    /// The drain that it is part of.
    pub drain: Option<DrainId>,
    /// What the framework said, if it did.
    pub answer: Option<InverseAnswer>,
    /// Whether everything asked for has come back.
    pub returned: bool,
    /// Whether the deadline has passed and the rest is being revoked.
    pub revoking: bool,
    /// The framework's tasks on the slave that are not over and acknowledged.
    pub tasks: u32,
}

/// A drain (R22).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainView {
    /// Its id.
    pub id: DrainId,
    /// Of which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub slave_name: Name,
    /// Who asked.
    pub by: Name,
    /// When.
    pub at: Moment,
    /// How soon it is to be through, as it was asked for.
    pub pace: Pace,
    /// By when; of one that is now, when that was asked for.
    pub deadline: Moment,
    /// When it is over at the latest, whatever anyone does.
    pub bound: Moment,
    /// Why.
    pub reason: Text,
    /// What after.
    pub then: Then,
    /// How it ended, if it has.
    pub end: Option<DrainEnd>,
    /// How its slave is.
    pub status: SlaveStatus,
    /// Whether the deadline has passed.
    pub revoking: bool,
    /// The slave, where it is what holds the drain up.
    pub slave_wait: Option<SlaveWait>,
    /// The frameworks that still hold it up.
    pub waiting_for: Vec<DrainWait>,
}

/// Why a drain waits for its slave, and not for a framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlaveWait {
    /// How it is: of one that does not answer, nothing can be ended or seen.
    pub status: SlaveStatus,
    /// Tasks there that are out of reach, whatever their frameworks have said.
    pub out_of_reach: u32,
    /// Tasks that it was told to end, and that have not ended yet.
    pub ending: u32,
}

/// What one framework still has on a slave that drains, and could give up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainWait {
    /// Which framework.
    pub framework: FrameworkId,
    /// Its name.
    pub name: Name,
    /// Whether it has a session; one that has none is not waited for once its tasks are over.
    pub connected: bool,
    /// Tasks that still run, and that nobody has asked the slave to end.
    pub running: u32,
    /// Tasks that are over and whose end it has not acknowledged.
    pub unacknowledged: u32,
    /// What it said to the inverse offer, if it did.
    pub answer: Option<InverseAnswer>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrainEnd {
    /// Nothing runs there, and everyone concerned knows (S5).
    Drained,
    /// Its time and its bound are over, and the slave could not be seen empty; it stays deactivated.
    Unseen,
    /// The slave left for good before the drain was through.
    SlaveGone,
    /// An operator gave it up.
    Cancelled,
}

impl fmt::Display for DrainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Drained => "drained",
            Self::Unseen => "ended unseen",
            Self::SlaveGone => "slave gone",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What a drain would do (R23).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainPlan {
    /// Of which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub slave_name: Name,
    /// How the slave is now: one that does not answer cannot be seen empty.
    pub status: SlaveStatus,
    /// What may run there beside the tasks of the plan.
    pub uncounted: Uncounted,
    /// The drain that is already under way there, or through, if one is.
    pub drain: Option<DrainId>,
    /// What is asked of that, and has been.
    pub has: Option<(Pace, Then)>,
    /// Whether the slave is drained already.
    pub drained: bool,
    /// Every task that would be asked for, and revoked if its framework keeps it past the deadline.
    pub tasks: Vec<PlannedTask>,
    /// The latest end of any task: the deadline and the grace that may follow it.
    pub tasks_end: Moment,
    /// The latest end of the drain itself, whatever anyone does (R22).
    pub drain_end: Moment,
    /// What the plan was made from, in a number: [`Command::Drain`] may demand it.
    pub digest: u64,
}

/// A task in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Which task.
    pub id: TaskId,
    /// Its name.
    pub name: Name,
    /// Its framework's name.
    pub framework: Name,
    /// Whether the framework is there to answer.
    pub connected: bool,
    /// The grace that it would have at the deadline.
    pub grace: Millis,
    /// Its own grace, if that is longer and would be cut.
    pub cut_from: Option<Millis>,
}

/// What a receipt is of (R23a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReceiptId {
    /// A drain.
    Drain(DrainId),
    /// An inverse offer of no drain.
    InverseOffer(InverseOfferId),
    /// A slave's leaving.
    Unregistration(SlaveId),
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(id) => write!(f, "{id}"),
            Self::InverseOffer(id) => write!(f, "{id}"),
            Self::Unregistration(id) => write!(f, "{id}"),
        }
    }
}

/// A line of a receipt (R23a). The store adds when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReceiptLine {
    /// It begins.
    Opened {
        /// On which slave.
        slave: SlaveId,
        /// That slave's name.
        name: Name,
        /// Who asked; the slave itself for SIGUSR1.
        by: Name,
        /// Why.
        reason: Text,
        /// By when.
        deadline: Option<Moment>,
        /// Of a drain: how soon it is to be through, and what is to follow.
        drain: Option<(Pace, Then)>,
    },
    /// A framework was asked for what it has there.
    Asked {
        /// Which framework.
        framework: FrameworkId,
        /// By which inverse offer.
        inverse_offer: InverseOfferId,
        /// For what.
        ask: InverseAsk,
    },
    /// It answered.
    Answered {
        /// Which inverse offer.
        inverse_offer: InverseOfferId,
        /// What.
        answer: InverseAnswer,
    },
    /// A task was revoked.
    Revoked {
        /// Which.
        task: TaskId,
        /// With what grace.
        grace: Millis,
    },
    /// A task ended.
    Ended {
        /// Which.
        task: TaskId,
        /// How.
        state: TaskState,
        /// Why.
        reason: Reason,
        /// What was done to its processes, where its slave could say.
        ending: Option<Arc<Ending>>,
    },
    /// Its framework acknowledged the end.
    Acknowledged {
        /// Of which task.
        task: TaskId,
    },
    /// What is asked of the drain was changed (R22): from here on it is as this says.
    Changed {
        /// Who changed it.
        by: Name,
        /// How soon it is to be through.
        pace: Pace,
        /// By when.
        deadline: Moment,
        /// What is to follow.
        then: Then,
        /// Why.
        reason: Text,
    },
    /// The drain ended.
    DrainEnded {
        /// How.
        end: DrainEnd,
        /// Tasks whose frameworks were not there to acknowledge their end.
        unacknowledged: u32,
    },
    /// The inverse offer is over.
    InverseOfferClosed {
        /// How.
        outcome: InverseOutcome,
    },
    /// The slave is removed.
    Unregistered,
    /// It begins: a slave is removed because an operator says that it is dead, and nobody saw its tasks end (R7a).
    DeclaredDead {
        /// Which slave.
        slave: SlaveId,
        /// Its name.
        name: Name,
        /// Who says so.
        by: Name,
        /// Why.
        reason: Text,
    },
}

impl ReceiptLine {
    /// What a line has in a frame beside its texts and lists, at most.
    const SIZE: usize = 110;

    /// The same in about so many bytes of a frame, where many are told together: long texts are cut, and of long lists
    /// a part is told.
    #[must_use]
    pub fn within(&self, room: usize) -> Self {
        let room = room.saturating_sub(Self::SIZE);
        let mut line = self.clone();
        match &mut line {
            Self::Opened { reason, .. }
            | Self::Changed { reason, .. }
            | Self::DeclaredDead { reason, .. } => *reason = reason.within(room),
            Self::Answered { answer: InverseAnswer::Decline { reason }, .. } => *reason = reason.within(room),
            Self::Answered { answer: InverseAnswer::Accept { rather }, .. } => rather.truncate(room / 10),
            Self::Ended { ending, .. } => {
                *ending = ending.as_ref().map(|ending| Arc::new(ending.within(room)));
            }
            Self::Asked { .. }
            | Self::Revoked { .. }
            | Self::Acknowledged { .. }
            | Self::DrainEnded { .. }
            | Self::InverseOfferClosed { .. }
            | Self::Unregistered => {}
        }
        line
    }

    /// Makes a receipt fit a frame: of one that is too long, lines lose what is long, and beyond [`REPORTS_MAX`] those
    /// after the first are left out. Whether anything had to be left out.
    pub fn fit(lines: &mut Vec<(Moment, Self)>) -> bool {
        let excess = lines.len().saturating_sub(REPORTS_MAX);
        if excess > 0 {
            lines.drain(1..=excess);
        }
        let share = (FRAME_SIZE_MAX - 64) / lines.len().max(1);
        let mut cut = excess > 0;
        for (_, line) in lines {
            if postcard::experimental::serialized_size(line).unwrap_or(usize::MAX) + MOMENT_SIZE > share {
                let short = line.within(share.saturating_sub(MOMENT_SIZE));
                cut |= short != *line;
                *line = short;
            }
        }
        cut
    }
}

/// What a moment has in a frame, at most.
const MOMENT_SIZE: usize = 10;

/// An event that a master remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PastEvent {
    /// Its number in this master's term.
    pub number: u64,
    /// When it happened.
    pub at: Moment,
    /// What happened; apart, so that a list of them is small while it is read.
    pub event: Box<Event>,
}

/// Something that happened, for people and their tools. No machine decides anything by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A master leads.
    Leading(Epoch),
    /// A slave registered, for the first time or again.
    SlaveRegistered {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
        /// Whether for the first time.
        new: bool,
    },
    /// A slave's session is gone.
    SlaveDisconnected {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A slave does not answer and is given up for now.
    SlaveUnreachable {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A slave began to leave.
    SlaveLeaving {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A slave left for good.
    SlaveUnregistered {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// Another slave was refused the name of one: a copy of it, or one with another data directory. It is told once, until
    /// that one registers again (R1a).
    NameTaken {
        /// Which has the name.
        slave: SlaveId,
        /// The name.
        name: Name,
        /// That one's address.
        address: Text,
        /// The address of the other.
        from: Text,
    },
    /// Another slave takes the place of one that was given up, under an id of its own (R1a).
    SlaveSuperseded {
        /// Which is gone.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A framework subscribed, for the first time or again.
    FrameworkSubscribed {
        /// Which.
        framework: FrameworkId,
        /// Its name.
        name: Name,
        /// Whether for the first time.
        new: bool,
    },
    /// A framework's session is gone.
    FrameworkDisconnected {
        /// Which.
        framework: FrameworkId,
        /// Its name.
        name: Name,
    },
    /// A framework is gone for good.
    FrameworkRemoved {
        /// Which.
        framework: FrameworkId,
        /// Its name.
        name: Name,
    },
    /// A task changed its state.
    Task(TaskView),
    /// A task's end was acknowledged.
    TaskAcknowledged {
        /// Which.
        task: TaskId,
    },
    /// A hold was placed.
    HoldPlaced {
        /// On which slave; `None` where none has the name now.
        slave: Option<SlaveId>,
        /// That slave's name.
        name: Name,
        /// The hold.
        hold: HoldView,
    },
    /// A hold was lifted.
    HoldLifted {
        /// Of which slave; `None` where none has the name now.
        slave: Option<SlaveId>,
        /// That slave's name.
        name: Name,
        /// The hold's name.
        hold: Name,
        /// Who lifted it.
        by: Name,
    },
    /// An inverse offer was made.
    InverseOffered(InverseOfferView),
    /// A framework answered one.
    InverseAnswered(InverseOfferView),
    /// The deadline of one passed, and these tasks are revoked.
    Revoking {
        /// Which.
        inverse_offer: InverseOfferId,
        /// What is revoked.
        tasks: Vec<TaskId>,
    },
    /// Everything that one asked for came back.
    InverseReturned(InverseOfferId),
    /// One is over.
    InverseClosed {
        /// Which.
        inverse_offer: InverseOfferId,
        /// How.
        outcome: InverseOutcome,
    },
    /// A drain began, or its deadline moved.
    Draining(DrainView),
    /// A drain ended.
    DrainEnded {
        /// Which.
        drain: DrainId,
        /// Of which slave.
        slave: SlaveId,
        /// That slave's name.
        name: Name,
        /// How.
        end: DrainEnd,
    },
    /// More than the set share of the cluster fell silent: no further slave is given up until that is over (R7). It is
    /// told again for each that falls silent meanwhile.
    RemovalsHalted {
        /// How many fell silent, those included that were given up within this window.
        silent: u32,
        /// Of how many.
        of: u32,
    },
    /// Slaves that do not answer are given up again.
    RemovalsResumed,
    /// A slave that is connected has not answered a ping in its time: nothing is offered of it until it does.
    SlaveSilent {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A slave that was silent answers again.
    SlaveAnswers {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
    },
    /// A slave that did not answer was removed, as an operator said that it is dead.
    SlaveForgotten {
        /// Which.
        slave: SlaveId,
        /// Its name.
        name: Name,
        /// Who said so.
        by: Name,
        /// Why.
        reason: Text,
    },
}

/// Why a request was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// This master does not lead; the leader, where it is known, is there (R29).
    NotLeading {
        /// Its address; empty if unknown.
        leader: Text,
    },
    /// No slave is called so.
    UnknownSlave(SlaveRef),
    /// No slave is called so now: the last one of that name has left for good.
    SlaveLeft {
        /// Its name.
        name: Name,
        /// The id that it had, and that its receipt has.
        slave: SlaveId,
        /// When it was removed.
        at: Moment,
    },
    /// The slave was removed; its id never comes back (R27).
    RemovedSlave(SlaveId),
    /// There is no such framework.
    UnknownFramework(FrameworkId),
    /// There is no such task, or it is over.
    UnknownTask(TaskId),
    /// There is no such inverse offer, or it is over.
    UnknownInverseOffer(InverseOfferId),
    /// It belongs to a drain.
    InverseOfferOfDrain(InverseOfferId, DrainId),
    /// There is no such drain, or it is over.
    UnknownDrain(DrainId),
    /// The drain is through.
    DrainEnded(DrainId, DrainEnd),
    /// The drain is under way and is otherwise than was asked (R22).
    DrainDiffers(DrainId, DrainDifference),
    /// The drain is now: there is no deadline to it (R24a).
    DrainIsNow(DrainId),
    /// The slave has been told to leave, which cannot be taken back (R24a).
    DrainTold(DrainId),
    /// More names are held than may be.
    TooManyHeld,
    /// The hold belongs to a drain in progress.
    HoldOfDrain(DrainId),
    /// Names of this form are for drains' own holds.
    ReservedHold(Name),
    /// An open inverse offer already asks this framework for resources of this slave.
    AlreadyAsked(InverseOfferId),
    /// The framework has nothing there.
    NothingThere,
    /// An inverse offer must ask for something.
    NothingAsked,
    /// What the plan was made from has changed.
    PlanChanged {
        /// The digest that a plan would have now.
        digest: u64,
    },
    /// There is no such receipt.
    UnknownReceipt(ReceiptId),
    /// The registry could not be written; the text says why.
    Storage(Text),
    /// Too much is waiting already.
    Overloaded,
    /// The slave answers, so that it is not forgotten (R7a).
    SlaveAnswers {
        /// Which.
        slave: SlaveId,
        /// Where it lives.
        address: Text,
    },
    /// Of fenced tasks on the slave leases may run yet, so that they must not be called Lost (R9).
    LeasesRun {
        /// For so long at most.
        left: Millis,
    },
    /// A change of the slave's lifecycle is being written (R4).
    SlaveChanging(SlaveId),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeading { .. } => write!(f, "this master does not lead"),
            Self::UnknownSlave(slave) => write!(f, "no slave {slave} is registered"),
            Self::SlaveLeft { name, slave, .. } => write!(f, "slave {name} ({slave}) has left for good"),
            Self::RemovedSlave(id) => write!(f, "slave {id} has left for good"),
            Self::UnknownFramework(id) => write!(f, "no framework {id} is subscribed"),
            Self::UnknownTask(id) => write!(f, "no task {id} is running"),
            Self::UnknownInverseOffer(id) => write!(f, "no inverse offer {id} is open"),
            Self::InverseOfferOfDrain(id, drain) => write!(f, "inverse offer {id} is part of drain {drain}"),
            Self::UnknownDrain(id) => write!(f, "no drain {id} is in progress"),
            Self::DrainEnded(id, end) => write!(f, "drain {id} is over: {end}"),
            Self::DrainDiffers(id, what) => write!(f, "drain {id} is under way there, with {what}"),
            Self::DrainIsNow(id) => write!(f, "drain {id} ends everything there now, and has no deadline"),
            Self::DrainTold(id) => {
                write!(f, "drain {id} has told the slave to leave: that cannot be taken back")
            }
            Self::TooManyHeld => write!(f, "as many slaves are held as can be"),
            Self::HoldOfDrain(id) => write!(f, "that hold belongs to drain {id}, which is in progress"),
            Self::ReservedHold(name) => write!(f, "{name} is a name for drains' own holds"),
            Self::AlreadyAsked(id) => write!(f, "inverse offer {id} already asks this framework there"),
            Self::NothingThere => write!(f, "the framework has nothing on that slave"),
            Self::NothingAsked => write!(f, "the inverse offer asks for nothing"),
            Self::PlanChanged { digest } => {
                write!(
                    f,
                    "the slave, or what is asked, is otherwise than in the plan: the digest is now {digest:016x}"
                )
            }
            Self::UnknownReceipt(id) => write!(f, "there is no receipt {id}"),
            Self::Storage(cause) => write!(f, "the registry could not be written: {cause}"),
            Self::Overloaded => write!(f, "the master has too many requests waiting"),
            Self::SlaveAnswers { slave, address } => {
                write!(f, "slave {slave} is not known to be dead: it has answered its last ping")?;
                if address.is_empty() { Ok(()) } else { write!(f, ", from {address}") }
            }
            Self::LeasesRun { left } => write!(
                f,
                "what is fenced there may live until its leases are over, and is not Lost before: in {left} at most"
            ),
            Self::SlaveChanging(slave) => {
                write!(f, "that slave {slave} comes, leaves or is given up is being written")
            }
        }
    }
}

impl Refusal {
    /// What to do instead.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotLeading { .. } => "ask the leader; where none is known, wait until one is elected",
            Self::UnknownSlave(_) => "list slaves with `neap slaves`",
            Self::SlaveLeft { .. } | Self::RemovedSlave(_) => {
                "the host registers under a new id when its slave is started again"
            }
            Self::UnknownFramework(_) => "list frameworks with `neap frameworks`",
            Self::UnknownTask(_) => "list tasks with `neap tasks`",
            Self::UnknownInverseOffer(_) => "list them with `neap inverse-offers`",
            Self::InverseOfferOfDrain(..) => "cancel the drain with `neap drain --cancel`",
            Self::UnknownDrain(_) => "see `neap status`; how it ended is in `neap drain --receipt`",
            Self::DrainEnded(..) => {
                "`neap activate` lifts the drain's hold; what happened is in `neap drain --receipt`"
            }
            Self::DrainDiffers(..) => "add `--change` to have it so from now on",
            Self::DrainIsNow(_) | Self::DrainTold(_) => {
                "see `neap status`; what is done is in `neap drain --receipt`"
            }
            Self::TooManyHeld => "lift holds that are not needed with `neap activate`",
            Self::HoldOfDrain(_) => "cancel the drain with `neap drain --cancel`",
            Self::ReservedHold(_) => "choose a name that does not begin with `drain-`",
            Self::AlreadyAsked(_) => "cancel that one first with `neap inverse-offer --cancel`",
            Self::NothingThere => "see what runs where with `neap tasks`",
            Self::NothingAsked => "name an amount above zero, or none at all for everything",
            Self::PlanChanged { .. } => "look at `neap drain --dry-run` again",
            Self::UnknownReceipt(_) => {
                "receipts are named like the drain (D1), inverse offer (I1) or slave (S1)"
            }
            Self::Storage(_) => "make room on the master's disk, then ask again",
            Self::Overloaded | Self::SlaveChanging(_) => "ask again in a moment",
            Self::SlaveAnswers { .. } => {
                "`neap drain` takes a slave that lives away; of one that has just died, ask again when `neap slaves` calls it \
                 silent or disconnected"
            }
            Self::LeasesRun { .. } => {
                "ask again when that time is over: the slave may have been heard a moment ago"
            }
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, SIGNALS_MAX, TASKS_MAX};
    use crate::task::SignalSent;
    use crate::text::TEXT_LEN_MAX;

    /// R23a: of the longest drain that there is, every task's end is told.
    #[test]
    fn a_receipt_fits_a_frame_and_leaves_no_task_out() {
        let text = Text::new(&"x".repeat(TEXT_LEN_MAX));
        let sent = SignalSent { at: Moment(u64::MAX), signal: 15, processes: u32::MAX };
        let seen_dead = Some(Moment(u64::MAX));
        let signals = alloc::vec![sent; SIGNALS_MAX];
        let ending = Arc::new(Ending { signals, leader: text.clone(), seen_dead, unseen: text.clone() });
        let ended = |number| {
            let task = TaskId { framework: FrameworkId(u32::MAX), number };
            let (state, reason) = (TaskState::Failed, Reason::Exited(i32::MIN));
            ReceiptLine::Ended { task, state, reason, ending: Some(Arc::clone(&ending)) }
        };
        let decline = InverseAnswer::Decline { reason: text.clone() };
        let rather = alloc::vec![TaskId { framework: FrameworkId(u32::MAX), number: u32::MAX }; TASKS_MAX];
        let answers = [decline, InverseAnswer::Accept { rather }];
        for (tasks, extensions) in [(1, 0), (1_000, 0), (3_000, 0), (1_000, 20_000)] {
            let mut lines: Vec<ReceiptLine> = Vec::new();
            let (slave, by) = (SlaveId(u32::MAX), Name::new("ada").unwrap());
            let name = by.clone();
            lines.push(ReceiptLine::Opened {
                slave,
                name: name.clone(),
                by: by.clone(),
                reason: text.clone(),
                deadline: None,
                drain: None,
            });
            lines.extend(answers.iter().cycle().take(tasks / 2).map(|answer| ReceiptLine::Answered {
                inverse_offer: InverseOfferId(u32::MAX),
                answer: answer.clone(),
            }));
            lines.extend((0..extensions).map(|n| ReceiptLine::Changed {
                by: by.clone(),
                pace: Pace::Within(Millis(n)),
                deadline: Moment(n),
                then: Then::Stay,
                reason: Text::EMPTY,
            }));
            lines.extend((0..tasks).map(|number| ended(u32::try_from(number).unwrap())));
            let mut lines: Vec<_> = lines.into_iter().map(|line| (Moment(u64::MAX), line)).collect();
            let whole = lines.clone();
            let cut = ReceiptLine::fit(&mut lines);
            assert_eq!((cut, lines == whole), (tasks > 1, tasks == 1), "what fits is told whole");
            assert!(!ReceiptLine::fit(&mut lines), "once is enough");
            let is_end = |line: &&(Moment, ReceiptLine)| matches!(&line.1, ReceiptLine::Ended { ending: Some(end), .. } if end.seen_dead == seen_dead);
            assert_eq!(lines.iter().filter(is_end).count(), tasks);
            assert!(matches!(lines[0].1, ReceiptLine::Opened { .. }));
            let answer = Ok(Answer::Receipt(lines));
            codec::encode(&MasterToOperator::Answer { request: u32::MAX, answer }).unwrap();
        }
    }
}
