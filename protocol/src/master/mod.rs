//! The master: it keeps the registry, lends resources to frameworks, passes their tasks to slaves, and takes
//! machines out and puts them back.
//!
//! A master stands by until it is elected; then it recovers the registry, writes its epoch, and leads (R29).
//! Everything that a leader decides on is either in the [`Registry`], which changes only when a write has become
//! durable, or in the volatile state of slaves and frameworks, which sessions rebuild (R2, R15).
//!
//! | module | decides |
//! |---|---|
//! | `leader` | what follows when a write is durable; who a session belongs to |
//! | `slaves` | registration, health, unregistration |
//! | `frameworks` | subscription, accepting offers, kills, acknowledgements, reconciliation |
//! | `tasks` | what is counted where; updates |
//! | `inverse` | inverse offers, revocation, drains |
//! | `operators` | commands, and what operators see |
//! | `allocator` | who is offered what |
//! | `victims` | what a revocation takes |

mod allocator;
mod frameworks;
mod inverse;
mod leader;
mod operators;
mod slaves;
mod tasks;
mod victims;

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::ids::{DrainId, Epoch, FrameworkId, InverseOfferId, OfferId, Seq, SessionId, SlaveId, TaskId};
use crate::message::{
    Event, FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave, OperatorToMaster,
    ReceiptId, ReceiptLine, Refusal, Refused, SlaveToMaster,
};
use crate::outbox::Outbox;
use crate::registry::{Operation, Registry};
use crate::resources::Resources;
use crate::task::{Reason, TaskState};
use crate::text::{Name, Text};
use crate::time::{Millis, Moment, When};
use crate::transport::{CloseCode, CloseReason, Peer};

use leader::Leader;

/// A master: standing by, recovering, or leading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Master {
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "a checker clones leaders, and an allocation costs more than room"
)]
enum Role {
    /// It answers everyone with the leader's address, where it knows it.
    Standby {
        leader: Text,
    },
    /// It was elected and waits for the registry, then for its epoch to be durable.
    Recovering {
        epoch: Epoch,
    },
    Leading(Leader),
}

/// What a master is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// The coordinator elected it, with an epoch higher than every one before (R29).
    Elected {
        /// That epoch.
        epoch: Epoch,
    },
    /// It does not lead, or no longer; whoever does is there, if anyone.
    Deposed {
        /// The leader's address; empty if unknown.
        leader: Text,
    },
    /// The registry, as [`Effect::Recover`] asked for.
    Recovered {
        /// All of it.
        registry: Box<Registry>,
    },
    /// A session was opened. It belongs to whom its first message says.
    Opened {
        /// Which.
        session: SessionId,
        /// Who is at the other end.
        peer: Peer,
    },
    /// A session ended.
    Closed {
        /// Which.
        session: SessionId,
    },
    /// A slave said something.
    Slave {
        /// On which session.
        session: SessionId,
        /// What.
        message: SlaveToMaster,
    },
    /// A framework said something.
    Framework {
        /// On which session.
        session: SessionId,
        /// What.
        message: FrameworkToMaster,
    },
    /// An operator asked for something.
    Operator {
        /// On which session.
        session: SessionId,
        /// The driver's clock, to reckon deadlines from.
        at: Moment,
        /// What.
        message: OperatorToMaster,
    },
    /// A timer fired.
    Timer(Timer),
    /// A write, and every one before it, is durable.
    Stored {
        /// Of which leader's: a master that led before may hear of its last term's writes late.
        epoch: Epoch,
        /// Which.
        seq: Seq,
    },
    /// A write, and every one after it that was asked for, failed: the registry is as before it.
    StoreFailed {
        /// Of which leader's.
        epoch: Epoch,
        /// Which.
        seq: Seq,
        /// Why, for people.
        cause: Text,
    },
}

/// What a master asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Say this to a slave.
    ToSlave {
        /// On which session.
        session: SessionId,
        /// What.
        message: MasterToSlave,
    },
    /// Say this to a framework.
    ToFramework {
        /// On which session.
        session: SessionId,
        /// What.
        message: MasterToFramework,
    },
    /// Say this to an operator.
    ToOperator {
        /// On which session.
        session: SessionId,
        /// What.
        message: MasterToOperator,
    },
    /// End a session once what was said on it is sent. [`Input::Closed`] does not follow.
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
    /// Cancel a timer: it does not fire, even if its time has passed.
    CancelTimer {
        /// Which.
        timer: Timer,
    },
    /// Read the registry, whole, and hand it over in [`Input::Recovered`].
    Recover,
    /// Append this to the registry, fenced by the epoch (R30); [`Input::Stored`] follows when it is durable.
    Store {
        /// Its number.
        seq: Seq,
        /// The leader's epoch: a store that has seen a higher one refuses.
        epoch: Epoch,
        /// What.
        operation: Operation,
    },
    /// Add a line to a receipt, in the order of the writes around it (R23a).
    Record {
        /// Which receipt.
        receipt: ReceiptId,
        /// The line.
        line: ReceiptLine,
    },
    /// Answer an operator's request from what the store keeps and no machine needs: a receipt.
    AnswerReceipt {
        /// On which session.
        session: SessionId,
        /// Which request.
        request: u32,
        /// Which receipt.
        receipt: ReceiptId,
    },
    /// Refuse an operator's request, because no slave has this name: with [`Refusal::SlaveLeft`] where the store's
    /// receipts tell of one that has left, or else with [`Refusal::UnknownSlave`].
    RefuseUnknownSlave {
        /// On which session.
        session: SessionId,
        /// Which request.
        request: u32,
        /// The name.
        name: Name,
    },
    /// Answer an operator's request from what is remembered of the events that were published.
    AnswerHistory {
        /// On which session.
        session: SessionId,
        /// Which request.
        request: u32,
        /// What of it.
        of: Remembered,
    },
    /// Something happened, for logs and lists.
    Publish(Event),
}

/// What a driver remembers, and no machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Remembered {
    /// This task, which has ended.
    Task(TaskId),
    /// Tasks that ended before this one, newest first.
    Ended(Option<TaskId>),
    /// Events after this number, oldest first.
    Events(Option<u64>),
}

/// A task as a leader counts it: for checkers and tests (S8, S14).
#[derive(Clone, Copy, Debug)]
pub struct CountedTask<'a> {
    /// On which slave.
    pub slave: SlaveId,
    /// Which.
    pub id: TaskId,
    /// Its latest state.
    pub state: TaskState,
    /// What it holds until it is over.
    pub resources: &'a Resources,
    /// Why its slave is asked to end it, if it is.
    pub kill: Option<Reason>,
    /// Whether it is being ended because somebody asked, by this leader or by one before.
    pub dying: bool,
}

/// A master's timers, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// Ping this slave, and count the ping that it did not answer (R6).
    Ping(SlaveId),
    /// This slave has not come back since this leader was elected (R28).
    Reregister(SlaveId),
    /// This offer was lent for long enough (R10).
    Offer(OfferId),
    /// This framework may be offered this slave again (R10).
    Filter(FrameworkId, SlaveId),
    /// Offer what is free: set when something became free, so that one pass serves many (R10).
    Allocate,
    /// This framework has stayed away for too long (R14).
    Failover(FrameworkId),
    /// The deadline of this inverse offer (R19).
    InverseOffer(InverseOfferId),
    /// The deadline and the stated bound of this drain are over (R22).
    DrainBound(DrainId),
    /// The frameworks that this drain waits for have had their time to acknowledge (R22).
    DrainAcknowledge(DrainId),
    /// The window over which removals are counted is over (R7).
    RemovalWindow,
    /// The epoch could not be written: it is time to try again (R29).
    Lead,
}

/// What an operator of the master sets. It is no part of the state, and may not change while a master lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How long a slave may take to answer a ping (R6).
    pub ping_timeout: Millis,
    /// How many pings in a row it may miss before it is unreachable (R6).
    pub ping_timeouts_max: u8,
    /// How long a new leader waits for a slave to come back before it is unreachable (R28).
    pub reregister_timeout: Millis,
    /// How long an offer is lent; `None` for as long as it is not answered (R10).
    pub offer_timeout: Option<Millis>,
    /// How long to gather what became free before it is offered (R10).
    pub allocation_delay: Millis,
    /// The longest filter that a framework may set (R10).
    pub filter_max: Millis,
    /// The longest time that a framework may be away (R14).
    pub failover_timeout_max: Millis,
    /// The grace that a revoked task has at its deadline (R19, R22).
    pub revoke_grace: Millis,
    /// How long a framework may take to acknowledge the end of a task that a drain waits for (R22).
    pub acknowledge_timeout: Millis,
    /// How long after its deadline and the grace a drain may last at most (R22).
    pub drain_bound: Millis,
    /// The share of the cluster, in thousandths, that may be silent or removed within a window (R7).
    pub removal_share: u32,
    /// How many slaves may always be removed within a window, however few the cluster has (R7).
    pub removals_min: u32,
    /// The window over which removals are counted (R7).
    pub removal_window: Millis,
    /// The most items on a page of a listing.
    pub page_max: usize,
    /// The most operators' requests that wait for the registry.
    pub requests_max: usize,
    /// The most tasks that a framework may have, those included whose ends it has not acknowledged (S15).
    pub tasks_max: u32,
}

impl Default for Config {
    /// What suits a cluster of hosts: Mesos' health check, and windows of minutes.
    fn default() -> Self {
        Self {
            ping_timeout: Millis::from_secs(15),
            ping_timeouts_max: 5,
            reregister_timeout: Millis::from_secs(600),
            offer_timeout: None,
            allocation_delay: Millis(1),
            filter_max: Millis::from_secs(365 * 24 * 3600),
            failover_timeout_max: Millis::from_secs(7 * 24 * 3600),
            revoke_grace: Millis::from_secs(5),
            acknowledge_timeout: Millis::from_secs(10),
            drain_bound: Millis::from_secs(90),
            removal_share: 250,
            removals_min: 1,
            removal_window: Millis::from_secs(600),
            page_max: 256,
            requests_max: 1024,
            tasks_max: 1_000_000,
        }
    }
}

impl Config {
    /// How long it takes at most until a silent slave is noticed (R6).
    pub fn health_timeout(&self) -> Millis {
        self.ping_timeout.times(u32::from(self.ping_timeouts_max))
    }
}

impl Master {
    /// A master that stands by and knows of no leader.
    pub const fn new() -> Self {
        Self { role: Role::Standby { leader: Text::EMPTY } }
    }

    /// Takes one input, and says what is to be done about it.
    pub fn handle(&mut self, config: &Config, input: Input, out: &mut Outbox<Effect>) {
        match (&mut self.role, input) {
            (_, Input::Elected { epoch }) => self.elected(epoch, out),
            (_, Input::Deposed { leader }) => self.deposed(leader, out),
            (Role::Recovering { epoch }, Input::Recovered { registry }) => {
                let leader = Leader::begin(*epoch, *registry, out);
                self.role = Role::Leading(leader);
            }
            (Role::Leading(leader), input) => leader.handle(config, input, out),
            (Role::Standby { leader }, input) => answer_as_standby(leader, input, out),
            (Role::Recovering { .. }, input) => answer_as_standby(&Text::EMPTY, input, out),
        }
    }

    /// The registry, while it leads.
    pub fn registry(&self) -> Option<&Registry> {
        match &self.role {
            Role::Leading(leader) => Some(leader.registry()),
            Role::Standby { .. } | Role::Recovering { .. } => None,
        }
    }

    /// Whether it leads: its epoch is durable.
    pub fn leads(&self) -> bool {
        match &self.role {
            Role::Leading(leader) => leader.leads(),
            Role::Standby { .. } | Role::Recovering { .. } => false,
        }
    }

    /// Every task whose end is not acknowledged, while it leads: for checkers and tests (S8, S14).
    pub fn tasks(&self) -> impl Iterator<Item = CountedTask<'_>> {
        let leader = match &self.role {
            Role::Leading(leader) => Some(leader),
            Role::Standby { .. } | Role::Recovering { .. } => None,
        };
        leader.into_iter().flat_map(Leader::tasks)
    }

    /// Whether it has an end of a task to tell that its framework has not acknowledged: for checkers (R8).
    pub fn has_buried(&self, task: TaskId) -> bool {
        match &self.role {
            Role::Leading(leader) => leader.has_buried(task),
            Role::Standby { .. } | Role::Recovering { .. } => false,
        }
    }

    /// What should hold in every state, and does not: for checkers and tests (S8).
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check(&self) -> Result<(), alloc::string::String> {
        match &self.role {
            Role::Leading(leader) => leader.check(),
            Role::Standby { .. } | Role::Recovering { .. } => Ok(()),
        }
    }

    fn elected(&mut self, epoch: Epoch, out: &mut Outbox<Effect>) {
        let current = match &self.role {
            Role::Standby { .. } => Epoch(0),
            Role::Recovering { epoch } => *epoch,
            Role::Leading(leader) => leader.epoch(),
        };
        if epoch <= current {
            return;
        }
        self.deposed(Text::EMPTY, out);
        self.role = Role::Recovering { epoch };
        out.push(Effect::Recover);
    }

    /// Stops acting at once (R29): every session is closed, so that peers look for the leader.
    fn deposed(&mut self, leader: Text, out: &mut Outbox<Effect>) {
        if let Role::Leading(old) = &self.role {
            old.leave(&leader, out);
        }
        self.role = Role::Standby { leader };
    }
}

impl Default for Master {
    fn default() -> Self {
        Self::new()
    }
}

/// A standby names the leader, and ends the session: it has nothing else to say on it (R29, R31).
fn answer_as_standby(leader: &Text, input: Input, out: &mut Outbox<Effect>) {
    let leader = leader.clone();
    let session = match input {
        Input::Slave { session, .. } => {
            let message = MasterToSlave::Refused(Refused::NotLeading { leader });
            out.push(Effect::ToSlave { session, message });
            session
        }
        Input::Framework { session, .. } => {
            out.push(Effect::ToFramework { session, message: MasterToFramework::NotLeading { leader } });
            session
        }
        Input::Operator { session, message, .. } => {
            let answer = Err(Refusal::NotLeading { leader });
            let message = MasterToOperator::Answer { request: message.request, answer };
            out.push(Effect::ToOperator { session, message });
            session
        }
        Input::Elected { .. }
        | Input::Deposed { .. }
        | Input::Recovered { .. }
        | Input::Opened { .. }
        | Input::Closed { .. }
        | Input::Timer(_)
        | Input::Stored { .. }
        | Input::StoreFailed { .. } => return,
    };
    out.push(close(session, CloseCode::Done, "this master does not lead"));
}

fn close(session: SessionId, code: CloseCode, detail: &str) -> Effect {
    Effect::Close { session, reason: CloseReason { code, detail: Text::new(detail) } }
}
