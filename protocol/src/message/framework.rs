//! Between a framework's scheduler and its master.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use crate::resources::Resources;
use crate::task::{TaskSpec, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};

/// What a framework says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameworkToMaster {
    /// The first message of a session: here I am.
    Subscribe {
        /// Its id, if it was subscribed before (R14).
        id: Option<FrameworkId>,
        /// What people call it.
        name: Name,
        /// Its share against others', from 1; 1 is usual (R10).
        weight: u32,
        /// How long it may be away before its tasks are killed (R14).
        failover_timeout: Millis,
        /// Whether a task whose slave does not answer is Unreachable, and may come back, instead of Lost (R6, R8). A
        /// framework stays as it was when it first subscribed.
        partition_aware: bool,
        /// The highest epoch that it has heard of (R30).
        epoch: Epoch,
        /// The highest task number that it has used; 0 if none (R11).
        highest_task: u32,
    },
    /// Launch these on the offer's slave; what is left of the offer is given back at once (R11).
    Accept {
        /// Which offer.
        offer: OfferId,
        /// The offer's slave: should the offer be gone, the slave's state says why.
        slave: SlaveId,
        /// What to launch; none at all declines the offer.
        tasks: Vec<TaskSpec>,
        /// For how long what is left need not be offered again.
        filter: Millis,
    },
    /// Not these (R10).
    Decline {
        /// Which offers.
        offers: Vec<OfferId>,
        /// For how long their slaves need not be offered again.
        filter: Millis,
    },
    /// Forget every filter, and offer again (R10).
    Revive,
    /// Offer nothing until revived (R10).
    Suppress,
    /// End this task (R13).
    Kill {
        /// Which task.
        task: TaskId,
        /// On which slave the framework believes it to be: a new leader may not know yet.
        slave: SlaveId,
        /// At most this grace; `None` leaves the task's own.
        grace: Option<Millis>,
    },
    /// This update is dealt with, and every one of the task before it (R12).
    Acknowledge {
        /// Which task.
        task: TaskId,
        /// Up to which of its updates.
        number: u32,
    },
    /// What has become of these (R15)? Of the framework's other tasks with a number above `after`, up to `upto`, it has heard
    /// the end: none of them must live (R8, S9).
    Reconcile {
        /// Above this number.
        after: u32,
        /// Up to this one.
        upto: u32,
        /// Tasks, and the slaves on which the framework believes them to be.
        tasks: Vec<(TaskId, SlaveId)>,
    },
    /// An answer to an inverse offer (R17). A later one replaces it, until the deadline.
    AnswerInverse {
        /// To which.
        id: InverseOfferId,
        /// What.
        answer: InverseAnswer,
    },
    /// It is done: kill what is left of it and forget it.
    Teardown,
    /// So many tasks wait for an offer. The master answers why ([`MasterToFramework::Pending`]), and tells operators who
    /// ask; the latest want counts, while the session lives.
    Want(Want),
}

/// What a framework waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Want {
    /// How many tasks; 0 if none waits any more.
    pub tasks: u32,
    /// What each of them needs, on one slave.
    pub needs: Resources,
    /// That each is fenced so (R9).
    pub fence_after: Option<Millis>,
}

/// Why a framework has no offer that it wants: each slave is counted once, under what stands in the way first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pending {
    /// Slaves that are too small, empty or not.
    pub small: u32,
    /// Those that are not there: unreachable, disconnected, silent, leaving, or not back since this leader was elected.
    pub away: u32,
    /// Those that somebody holds back; a drain's hold is one.
    pub held: u32,
    /// Those that the framework must give back (R18).
    pub asked: u32,
    /// Those whose rest is too small, as tasks run there.
    pub full: u32,
    /// Those that are lent to other frameworks, which come first by their share.
    pub lent: u32,
    /// Those that the framework has declined lately (R10).
    pub declined: u32,
    /// Those that nothing stands in the way of: it has an offer of them, or will have one soon.
    pub free: u32,
    /// Of all slaves, the one that comes nearest to what is needed: all that it has.
    pub nearest: Option<Resources>,
    /// Tasks cannot be fenced so: this is the longest that they may ask for (R9).
    pub fence_most: Option<Millis>,
}

/// A framework's answer to an inverse offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InverseAnswer {
    /// It gives the resources back by the deadline.
    Accept {
        /// The tasks that it would rather lose, should it come to that (R19).
        rather: Vec<TaskId>,
    },
    /// It will not; the deadline stands.
    Decline {
        /// Why.
        reason: Text,
    },
}

/// What a master says to a framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MasterToFramework {
    /// It is subscribed, durably.
    Subscribed {
        /// Under this id.
        id: FrameworkId,
        /// By this leader (R30).
        epoch: Epoch,
        /// The highest task number of it that the master knows.
        highest_task: u32,
    },
    /// This master does not lead; the leader, where it is known, is there (R29, R31).
    NotLeading {
        /// The address of the leader; empty if unknown.
        leader: Text,
    },
    /// It is not subscribed: the text says why, and what to do.
    Refused(Text),
    /// Resources, lent until accepted, declined, rescinded or timed out.
    Offers(Vec<Offered>),
    /// These offers are taken back.
    Rescind(Vec<OfferId>),
    /// News of a task, to acknowledge (R12).
    Update {
        /// The news. That a task is Unreachable is the master's to say, under the number 0, and is not acknowledged.
        update: Update,
        /// Where the task is or was.
        slave: SlaveId,
    },
    /// Give these back by the deadline (R17).
    InverseOffer {
        /// To name it by in the answer.
        id: InverseOfferId,
        /// On which slave.
        slave: SlaveId,
        /// That slave's name.
        name: Name,
        /// What.
        ask: InverseAsk,
        /// By when; what was not returned by then is revoked (R19).
        deadline: Moment,
        /// Why.
        reason: Text,
    },
    /// An inverse offer is over.
    InverseOfferClosed {
        /// Which.
        id: InverseOfferId,
        /// How.
        outcome: InverseOutcome,
    },
    /// The answer to a [`Want`]: why it has no offer that fits.
    Pending(Pending),
}

/// One offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offered {
    /// To name it by in the answer.
    pub id: OfferId,
    /// On which slave.
    pub slave: SlaveId,
    /// That slave's name.
    pub name: Name,
    /// What.
    pub resources: Resources,
}

/// What an inverse offer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InverseAsk {
    /// Everything that the framework has on the slave.
    Everything,
    /// So much of it.
    Amount(Resources),
}

/// How an inverse offer was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InverseOutcome {
    /// Everything was returned in time.
    Returned,
    /// The rest was revoked at the deadline.
    Revoked,
    /// The operator took it back.
    Cancelled,
    /// The slave or the framework is gone.
    Void,
}
