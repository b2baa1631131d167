//! The master's durable state, as data and operations.
//!
//! The registry is a log of [`Operation`]s and nothing else: a leader asks the store to append one
//! (`Effect::Store`), and when it is durable (`Input::Stored`) both the leader and the store
//! [`apply`](Registry::apply) it. What an operation does is decided there and then, from the registry alone, so
//! that operations never interleave half-done (R4), memory equals the registry after every write (S6), and a
//! leader that recovers (R28) is where the last one was. An operation that no longer makes sense when its turn
//! comes is a [`Refusal`] and changes nothing.

use alloc::format;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, DrainId, Epoch, FrameworkId, Incarnation, InverseOfferId, SlaveId, TaskId};
use crate::map::{Map, Records, Set};
use crate::message::{
    DrainDifference, DrainEnd, DrainStep, InverseAnswer, InverseAsk, InverseOutcome, Pace, ReceiptId,
    Refusal, SlaveRef, Then,
};
use crate::resources::{Resources, Sum};
use crate::task::{TaskState, Update};
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};

/// The most holds that a slave may have.
pub const HOLDS_MAX: usize = 32;

/// The most names that may be held, of slaves that are there and of those that have left.
pub const HELD_NAMES_MAX: usize = 1 << 16;

/// What holds of drains are called: this and the drain's id.
pub const DRAIN_HOLD_PREFIX: &str = "drain-";

/// Everything that outlives a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Registry {
    /// The highest epoch that led (R29).
    pub epoch: Epoch,
    highest_slave: SlaveId,
    highest_framework: FrameworkId,
    highest_inverse_offer: InverseOfferId,
    highest_drain: DrainId,
    slaves: Records<SlaveId, SlaveRecord>,
    names: Map<Name, SlaveId>,
    /// What holds a name that no slave has now: a slave's holds are its name's, and outlive its id (R16).
    held: Map<Name, Map<Name, Hold>>,
    total: Sum,
    frameworks: Records<FrameworkId, FrameworkRecord>,
    inverse_offers: Records<InverseOfferId, InverseOfferRecord>,
    drains: Records<DrainId, DrainRecord>,
    ends: Records<TaskId, EndRecord>,
}

/// How a task of a slave that has left ended, until its framework has acknowledged it (R12, R25): nobody else knows. (Where
/// that the framework has cannot be written, the next leader tells it again.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EndRecord {
    /// The slave that it was on.
    pub slave: SlaveId,
    /// What is told of it: that it is Finished, Failed or Killed.
    pub update: Update,
    /// Where its acknowledgement is to be recorded (R23a).
    pub receipt: Option<ReceiptId>,
    /// The drain in which its slave left, and in whose receipt the same is recorded.
    pub drain: Option<DrainId>,
}

/// An admitted slave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlaveRecord {
    /// Its identity: its certificate's name (R1).
    pub name: Name,
    /// Its data directory (R1a).
    pub incarnation: Incarnation,
    /// The start of its machine in which it last registered.
    pub boot: BootId,
    /// Where operators reach it.
    pub address: Text,
    /// Everything it has.
    pub resources: Resources,
    /// Whether it was given up for now (R6).
    pub unreachable: bool,
    /// What keeps it from being offered (R16).
    pub holds: Map<Name, Hold>,
    /// Its drain, in progress or done and not undone.
    pub drain: Option<DrainId>,
    /// Inverse offers of resources of it that are not over.
    pub inverse_offers: Map<InverseOfferId, FrameworkId>,
}

/// What keeps a slave from being offered (R16).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// Who placed it.
    pub by: Name,
    /// Why.
    pub reason: Text,
    /// When.
    pub at: Moment,
}

/// A subscribed framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameworkRecord {
    /// What people call it.
    pub name: Name,
    /// Its certificate's name: only that may take it over (R14).
    pub principal: Name,
    /// How long it may be away (R14).
    pub failover_timeout: Millis,
    /// Whether a task of its whose slave does not answer is Unreachable, and may come back, instead of Lost (R6, R8).
    pub partition_aware: bool,
}

/// An inverse offer that is not over (R17).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InverseOfferRecord {
    /// Of whom.
    pub framework: FrameworkId,
    /// On which slave.
    pub slave: SlaveId,
    /// What.
    pub ask: InverseAsk,
    /// How much the framework may keep: what it held there when it was asked, less what was asked.
    pub keep: Resources,
    /// By when.
    pub deadline: Moment,
    /// Why.
    pub reason: Text,
    /// Who asked.
    pub by: Name,
    /// The drain that it is part of.
    pub drain: Option<DrainId>,
    /// What the framework said.
    pub answer: Option<InverseAnswer>,
    /// How far it is.
    pub stage: InverseStage,
}

/// How far an inverse offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InverseStage {
    /// Until the deadline: what came back is not offered to the framework again (R18).
    Open,
    /// The deadline has passed: the rest is being revoked (R19).
    Revoking,
}

/// A drain (R21).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainRecord {
    /// Of which slave.
    pub slave: SlaveId,
    /// How soon it is to be through, as it was asked for.
    pub pace: Pace,
    /// By when; of one that is now, when that was asked for.
    pub deadline: Moment,
    /// Why.
    pub reason: Text,
    /// Who asked.
    pub by: Name,
    /// When.
    pub at: Moment,
    /// What after.
    pub then: Then,
    /// How it ended; a drained slave keeps its drain until it is activated or leaves.
    pub end: Option<DrainEnd>,
}

impl DrainRecord {
    /// Whether its slave is to be told to leave, and is told so again at each registration until it has (R21, R24a). That of
    /// one that was to leave at once, and could not be seen, stays so: it was asked for, and nobody has taken it back.
    pub fn is_to_leave(&self) -> bool {
        match self.pace {
            Pace::Now => self.end != Some(DrainEnd::Cancelled),
            Pace::Within(_) => self.end == Some(DrainEnd::Drained) && self.then == Then::Unregister,
        }
    }
}

/// What is asked of a drain, which may be under way already.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrainAsk {
    /// Of which slave.
    pub slave: SlaveId,
    /// How soon it is to be through.
    pub pace: Pace,
    /// By when that is; of one that is now, when it was asked for.
    pub deadline: Moment,
    /// Why; `None` for no word about it.
    pub reason: Option<Text>,
    /// What after; `None` for no word about it.
    pub then: Option<Then>,
    /// Who asks.
    pub by: Name,
    /// When.
    pub at: Moment,
    /// Whether a drain that is under way, and differs, becomes what is asked.
    pub change: bool,
}

/// A change of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// A master leads (R29).
    Lead {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A host registers for the first time (R1).
    AdmitSlave {
        /// Its certificate's name.
        name: Name,
        /// Its data directory.
        incarnation: Incarnation,
        /// Which start of its machine this is.
        boot: BootId,
        /// Where operators reach it.
        address: Text,
        /// Everything it has.
        resources: Resources,
    },
    /// A slave that was unreachable, moved or changed is back (R2, R8).
    ReadmitSlave {
        /// Which.
        slave: SlaveId,
        /// Which start of its machine this is.
        boot: BootId,
        /// Where operators reach it.
        address: Text,
        /// Everything it has.
        resources: Resources,
    },
    /// A slave does not answer (R6).
    MarkUnreachable {
        /// Which.
        slave: SlaveId,
    },
    /// A slave leaves for good (R25).
    RemoveSlave {
        /// Which.
        slave: SlaveId,
        /// How those of its tasks ended that it did not end in order to leave, and whose frameworks have not acknowledged it.
        /// Of a task that is named twice the first counts.
        ends: Vec<EndRecord>,
    },
    /// A framework has acknowledged how a task ended whose slave has left (R12).
    ForgetEnd {
        /// Which task.
        task: TaskId,
    },
    /// Place a hold (R16).
    PlaceHold {
        /// On which slave: holds are its name's.
        slave: Name,
        /// Under which name.
        name: Name,
        /// The hold.
        hold: Hold,
    },
    /// Lift a hold, or all that drains in progress do not need (R16).
    LiftHolds {
        /// Of which slave.
        slave: Name,
        /// Which; `None` for all.
        name: Option<Name>,
    },
    /// A framework subscribes for the first time.
    AddFramework(FrameworkRecord),
    /// A framework changed what it is to be remembered by.
    ChangeFramework {
        /// Which.
        framework: FrameworkId,
        /// What it is now; the principal stays, and so does what it makes of partitions: of what was Lost to it nothing
        /// may come back (R8, S9).
        record: FrameworkRecord,
    },
    /// A framework is gone for good (R14).
    RemoveFramework {
        /// Which.
        framework: FrameworkId,
    },
    /// Ask for resources back (R17).
    OpenInverseOffer(InverseOfferRecord),
    /// A framework answers (R17).
    AnswerInverseOffer {
        /// Which.
        id: InverseOfferId,
        /// What.
        answer: InverseAnswer,
    },
    /// The deadline passed.
    AdvanceInverseOffer {
        /// Which.
        id: InverseOfferId,
        /// To where.
        stage: InverseStage,
        /// The deadline that passed: it may have been moved before this is durable (R22).
        deadline: Moment,
    },
    /// It is over.
    CloseInverseOffer {
        /// Which.
        id: InverseOfferId,
        /// How.
        outcome: InverseOutcome,
    },
    /// Begin a drain (R21, R24a): its hold is placed in the same write. One that is under way becomes now, where that is
    /// asked, and another only where it is to be changed (R22).
    StartDrain(DrainAsk),
    /// Move the deadline of a drain and of its inverse offers (R22).
    ExtendDrain {
        /// Which.
        drain: DrainId,
        /// To so long from when this was asked for.
        within: Millis,
        /// To when.
        deadline: Moment,
    },
    /// End a drain. Cancelled, it lifts its hold and closes its inverse offers; otherwise the hold stays.
    EndDrain {
        /// Which.
        drain: DrainId,
        /// How.
        end: DrainEnd,
    },
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, looked at where it is made")]
pub enum Applied {
    /// It is so; `changed` is false where it was so before.
    Done {
        /// Whether anything changed.
        changed: bool,
    },
    /// A slave has this id: a new one if `changed`.
    Slave {
        /// Its id.
        id: SlaveId,
        /// Whether it was admitted by this operation.
        changed: bool,
    },
    /// A framework has this new id.
    Framework(FrameworkId),
    /// An inverse offer has this new id.
    InverseOffer(InverseOfferId),
    /// A drain has this id: a new one if `changed`.
    Drain {
        /// Its id.
        id: DrainId,
        /// What this operation did to it.
        step: DrainStep,
    },
    /// These holds were lifted, and this drain, which was over, forgotten with its own.
    Lifted {
        /// The holds' names.
        holds: Vec<Name>,
    },
    /// A slave is removed, and with it its drain and what was asked for there.
    Removed {
        /// What it was.
        record: SlaveRecord,
        /// Its drain, in progress or done.
        drain: Option<(DrainId, DrainRecord)>,
        /// Inverse offers that were not over.
        closed: Vec<(InverseOfferId, InverseOfferRecord)>,
        /// The tasks of which it is kept how they ended.
        ends: Vec<TaskId>,
    },
    /// A framework is removed, and with it what it was asked for.
    FrameworkRemoved {
        /// What it was.
        record: FrameworkRecord,
        /// Inverse offers that were not over.
        closed: Vec<(InverseOfferId, InverseOfferRecord)>,
    },
    /// A drain ended, and with it its inverse offers.
    DrainEnded {
        /// Of which slave.
        slave: SlaveId,
        /// The inverse offers that were not over.
        closed: Vec<(InverseOfferId, InverseOfferRecord)>,
    },
    /// These inverse offers are closed.
    Closed(Vec<(InverseOfferId, InverseOfferRecord)>),
}

impl Registry {
    /// Does `operation`, whole or not at all.
    ///
    /// # Errors
    /// The [`Refusal`] of an operation that does not fit the registry; the registry is as before.
    pub fn apply(&mut self, operation: &Operation) -> Result<Applied, Refusal> {
        match operation {
            Operation::Lead { epoch } => {
                let changed = *epoch > self.epoch;
                self.epoch = self.epoch.max(*epoch);
                Ok(Applied::Done { changed })
            }
            Operation::AdmitSlave { name, incarnation, boot, address, resources } => {
                let record = SlaveRecord {
                    name: name.clone(),
                    incarnation: *incarnation,
                    boot: *boot,
                    address: address.clone(),
                    resources: resources.clone(),
                    unreachable: false,
                    holds: Map::new(),
                    drain: None,
                    inverse_offers: Map::new(),
                };
                Ok(self.admit(record))
            }
            Operation::ReadmitSlave { slave, boot, address, resources } => {
                self.readmit(*slave, *boot, address, resources)
            }
            Operation::MarkUnreachable { slave } => {
                let record = self.slave_mut(*slave)?;
                let changed = !core::mem::replace(&mut record.unreachable, true);
                Ok(Applied::Done { changed })
            }
            Operation::RemoveSlave { slave, ends } => self.remove_slave(*slave, ends),
            Operation::ForgetEnd { task } => {
                let changed = self.ends.remove(task).is_some();
                Ok(Applied::Done { changed })
            }
            Operation::PlaceHold { slave, name, hold } => self.place_hold(slave, name, hold),
            Operation::LiftHolds { slave, name } => self.lift_holds(slave, name.as_ref()),
            Operation::AddFramework(record) => {
                self.highest_framework = self.highest_framework.next();
                self.frameworks.insert(self.highest_framework, record.clone());
                Ok(Applied::Framework(self.highest_framework))
            }
            Operation::ChangeFramework { framework, record } => {
                let old = self
                    .frameworks
                    .get_mut(framework)
                    .filter(|old| old.principal == record.principal)
                    .filter(|old| old.partition_aware == record.partition_aware)
                    .ok_or(Refusal::UnknownFramework(*framework))?;
                let changed = *old != *record;
                *old = record.clone();
                Ok(Applied::Done { changed })
            }
            Operation::RemoveFramework { framework } => self.remove_framework(*framework),
            Operation::OpenInverseOffer(record) => self.open_inverse_offer(record),
            Operation::AnswerInverseOffer { id, answer } => {
                let record = self.inverse_offer_mut(*id)?;
                let changed = record.answer.as_ref() != Some(answer);
                record.answer = Some(answer.clone());
                Ok(Applied::Done { changed })
            }
            Operation::AdvanceInverseOffer { id, stage, deadline } => {
                let record = self.inverse_offer_mut(*id)?;
                let changed = record.stage < *stage && record.deadline == *deadline;
                if changed {
                    record.stage = *stage;
                }
                Ok(Applied::Done { changed })
            }
            Operation::CloseInverseOffer { id, .. } => {
                self.inverse_offer_mut(*id)?;
                Ok(Applied::Closed(self.close(*id).into_iter().collect()))
            }
            Operation::StartDrain(ask) => self.start_drain(ask),
            Operation::ExtendDrain { drain, within, deadline } => {
                self.extend_drain(*drain, *within, *deadline)
            }
            Operation::EndDrain { drain, end } => self.end_drain(*drain, *end),
        }
    }

    /// Every admitted slave.
    pub fn slaves(&self) -> &Records<SlaveId, SlaveRecord> {
        &self.slaves
    }

    /// Every subscribed framework.
    pub fn frameworks(&self) -> &Records<FrameworkId, FrameworkRecord> {
        &self.frameworks
    }

    /// Every inverse offer that is not over.
    pub fn inverse_offers(&self) -> &Records<InverseOfferId, InverseOfferRecord> {
        &self.inverse_offers
    }

    /// Every drain that is in progress, or done and not undone.
    pub fn drains(&self) -> &Records<DrainId, DrainRecord> {
        &self.drains
    }

    /// How tasks ended whose slaves have left, until that is acknowledged.
    pub fn ends(&self) -> &Records<TaskId, EndRecord> {
        &self.ends
    }

    /// What all admitted slaves have together, ports left out.
    pub fn total(&self) -> &Sum {
        &self.total
    }

    /// The slave of that name.
    pub fn slave_named(&self, name: &Name) -> Option<SlaveId> {
        self.names.get(name).copied()
    }

    /// What holds names that no slave has now (R16).
    pub fn held_names(&self) -> &Map<Name, Map<Name, Hold>> {
        &self.held
    }

    /// What holds a name, whether a slave has it now or not (R16).
    pub fn holds_of(&self, name: &Name) -> Option<&Map<Name, Hold>> {
        let slave = self.slave_named(name).and_then(|id| self.slaves.get(&id));
        slave.map(|slave| &slave.holds).or_else(|| self.held.get(name))
    }

    /// The name of the slave that an operator means, which may be held and away.
    ///
    /// # Errors
    /// [`Refusal::UnknownSlave`] or [`Refusal::RemovedSlave`].
    pub fn resolve_name(&self, slave: &SlaveRef) -> Result<Name, Refusal> {
        match slave {
            SlaveRef::Name(name) if self.holds_of(name).is_some() => Ok(name.clone()),
            SlaveRef::Name(_) | SlaveRef::Id(_) => {
                let id = self.resolve(slave)?;
                let record = self.slaves.get(&id).ok_or_else(|| Refusal::UnknownSlave(slave.clone()))?;
                Ok(record.name.clone())
            }
        }
    }

    /// Whether the id was given to a slave that has left for good (R27).
    pub fn was_removed(&self, slave: SlaveId) -> bool {
        slave > SlaveId(0) && slave <= self.highest_slave && !self.slaves.contains_key(&slave)
    }

    /// The slave that an operator means.
    ///
    /// # Errors
    /// [`Refusal::UnknownSlave`] or [`Refusal::RemovedSlave`].
    pub fn resolve(&self, slave: &SlaveRef) -> Result<SlaveId, Refusal> {
        match slave {
            SlaveRef::Id(id) if self.slaves.contains_key(id) => Ok(*id),
            SlaveRef::Id(id) if self.was_removed(*id) => Err(Refusal::RemovedSlave(*id)),
            SlaveRef::Id(_) => Err(Refusal::UnknownSlave(slave.clone())),
            SlaveRef::Name(name) => {
                self.slave_named(name).ok_or_else(|| Refusal::UnknownSlave(slave.clone()))
            }
        }
    }

    /// The inverse offers of a drain that are not over.
    pub fn inverse_offers_of_drain(&self, drain: DrainId) -> impl Iterator<Item = InverseOfferId> {
        self.drains
            .get(&drain)
            .and_then(|record| self.slaves.get(&record.slave))
            .into_iter()
            .flat_map(|slave| slave.inverse_offers.keys())
            .copied()
            .filter(move |id| self.inverse_offers.get(id).is_some_and(|io| io.drain == Some(drain)))
    }

    /// What should hold of every registry, and does not: for whoever has read one from a file, and for tests (R28). What
    /// operations have made is always sound.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        let highest = [
            self.slaves.keys().last().is_none_or(|id| *id > SlaveId(0) && *id <= self.highest_slave),
            self.frameworks.keys().last().is_none_or(|id| *id <= self.highest_framework),
            self.inverse_offers.keys().last().is_none_or(|id| *id <= self.highest_inverse_offer),
            self.drains.keys().last().is_none_or(|id| *id <= self.highest_drain),
        ];
        if highest.contains(&false) {
            return Err("an id is higher than the highest that was given");
        }
        let named = |(id, slave): (&SlaveId, &SlaveRecord)| self.names.get(&slave.name) == Some(id);
        if self.names.len() != self.slaves.len() || !self.slaves.iter().all(named) {
            return Err("the names of slaves are not those of its slaves");
        }
        if self.total != self.count() {
            return Err("the total is not the sum of its slaves");
        }
        let ended = |(task, end): (&TaskId, &EndRecord)| {
            let EndRecord { slave, update, .. } = end;
            *task == update.task
                && is_true_end(update)
                && self.was_removed(*slave)
                && self.frameworks.contains_key(&task.framework)
        };
        if !self.ends.iter().all(ended) {
            return Err("it keeps the end of a task that is nobody's, or of a slave that has not left");
        }
        self.check_asked()
    }

    /// Drains and inverse offers are of slaves and frameworks that are there, and known to their slaves.
    fn check_asked(&self) -> Result<(), &'static str> {
        let asked = |(id, offer): (&InverseOfferId, &InverseOfferRecord)| {
            let slave = self.slaves.get(&offer.slave);
            slave.is_some_and(|slave| slave.inverse_offers.get(id) == Some(&offer.framework))
                && self.frameworks.contains_key(&offer.framework)
                && offer
                    .drain
                    .is_none_or(|drain| self.drains.get(&drain).is_some_and(|d| d.slave == offer.slave))
        };
        let of_slaves: usize = self.slaves.values().map(|slave| slave.inverse_offers.len()).sum();
        if of_slaves != self.inverse_offers.len() || !self.inverse_offers.iter().all(asked) {
            return Err("its slaves have other inverse offers than it has");
        }
        let drained = |(id, drain): (&DrainId, &DrainRecord)| {
            let slave = self.slaves.get(&drain.slave).filter(|slave| slave.drain == Some(*id));
            slave.zip(drain_hold(*id)).is_some_and(|(slave, hold)| slave.holds.contains_key(&hold))
        };
        let of_slaves = self.slaves.values().filter(|slave| slave.drain.is_some()).count();
        if of_slaves != self.drains.len() || !self.drains.iter().all(drained) {
            return Err("its slaves have other drains than it has");
        }
        // The hold of its drain comes on top, and that of one in which an earlier slave of the name left, to stay.
        if self.slaves.values().any(|slave| slave.holds.len() > HOLDS_MAX + 2) {
            return Err("a slave has more holds than it may have");
        }
        let away = |(name, holds): (&Name, &Map<Name, Hold>)| {
            !self.names.contains_key(name) && !holds.is_empty() && holds.len() <= HOLDS_MAX + 1
        };
        match self.held.iter().all(away) {
            true => Ok(()),
            false => Err("a name is held that a slave has, or by more than it may be"),
        }
    }

    /// What all admitted slaves have together.
    fn count(&self) -> Sum {
        Sum::over_slaves(self.slaves.values().map(|slave| &slave.resources))
    }

    fn slave_mut(&mut self, slave: SlaveId) -> Result<&mut SlaveRecord, Refusal> {
        if self.was_removed(slave) {
            return Err(Refusal::RemovedSlave(slave));
        }
        self.slaves.get_mut(&slave).ok_or(Refusal::UnknownSlave(SlaveRef::Id(slave)))
    }

    fn inverse_offer_mut(&mut self, id: InverseOfferId) -> Result<&mut InverseOfferRecord, Refusal> {
        self.inverse_offers.get_mut(&id).ok_or(Refusal::UnknownInverseOffer(id))
    }

    fn admit(&mut self, record: SlaveRecord) -> Applied {
        if let Some(id) = self.slave_named(&record.name) {
            return Applied::Slave { id, changed: false };
        }
        let id = self.highest_slave.next();
        self.highest_slave = id;
        let holds = self.held.remove(&record.name).unwrap_or_default();
        let record = SlaveRecord { holds, ..record };
        self.total.put_in(&record.resources.without_ports());
        self.names.insert(record.name.clone(), id);
        self.slaves.insert(id, record);
        Applied::Slave { id, changed: true }
    }

    fn readmit(
        &mut self,
        slave: SlaveId,
        boot: BootId,
        address: &Text,
        resources: &Resources,
    ) -> Result<Applied, Refusal> {
        let record = self.slave_mut(slave)?;
        (record.boot, record.address) = (boot, address.clone());
        let before = core::mem::take(&mut record.resources);
        record.unreachable = false;
        self.total.take_out(&before);
        self.total.put_in(&resources.without_ports());
        self.slave_mut(slave)?.resources = resources.clone();
        Ok(Applied::Slave { id: slave, changed: false })
    }

    fn remove_slave(&mut self, slave: SlaveId, ends: &[EndRecord]) -> Result<Applied, Refusal> {
        self.slave_mut(slave)?;
        let Some(record) = self.slaves.remove(&slave) else {
            return Err(Refusal::RemovedSlave(slave));
        };
        self.names.remove(&record.name);
        self.total.take_out(&record.resources);
        let drain = record.drain.and_then(|id| Some((id, self.drains.remove(&id)?)));
        let left = holds_left(&record, drain.as_ref());
        if !left.is_empty() {
            self.held.insert(record.name.clone(), left);
        }
        let offers = record.inverse_offers.keys();
        let closed = offers.filter_map(|id| Some((*id, self.inverse_offers.remove(id)?))).collect();
        let mut kept = Set::new();
        for end in ends {
            let task = end.update.task;
            let known = end.slave == slave && self.frameworks.contains_key(&task.framework);
            if known && is_true_end(&end.update) && !kept.contains_key(&task) {
                kept.insert(task, ());
                self.ends.insert(task, end.clone());
            }
        }
        let ends = kept.keys().copied().collect();
        Ok(Applied::Removed { record, drain, closed, ends })
    }

    /// The holds of a name that a slave has, or that is held while none has it.
    fn holds_mut(&mut self, name: &Name) -> Option<&mut Map<Name, Hold>> {
        match self.names.get(name) {
            Some(id) => self.slaves.get_mut(id).map(|slave| &mut slave.holds),
            None => self.held.get_mut(name),
        }
    }

    fn place_hold(&mut self, slave: &Name, name: &Name, hold: &Hold) -> Result<Applied, Refusal> {
        if is_of_drain(name) {
            return Err(Refusal::ReservedHold(name.clone()));
        }
        let known =
            self.holds_of(slave).ok_or_else(|| Refusal::UnknownSlave(SlaveRef::Name(slave.clone())))?;
        if known.contains_key(name) {
            return Ok(Applied::Done { changed: false });
        }
        let placed = |holds: &Map<Name, Hold>| holds.keys().filter(|hold| !is_of_drain(hold)).count();
        if placed(known) >= HOLDS_MAX {
            return Err(Refusal::Overloaded);
        }
        if known.is_empty() && !self.may_hold_more() {
            return Err(Refusal::TooManyHeld);
        }
        if let Some(holds) = self.holds_mut(slave) {
            holds.insert(name.clone(), hold.clone());
        }
        Ok(Applied::Done { changed: true })
    }

    /// Whether one more name may be held. Where there are as many, a pass beats a count that every leaving would keep.
    fn may_hold_more(&self) -> bool {
        let held = || self.slaves.values().filter(|slave| !slave.holds.is_empty()).count();
        self.held.len() + self.slaves.len() < HELD_NAMES_MAX || self.held.len() + held() < HELD_NAMES_MAX
    }

    fn lift_holds(&mut self, slave: &Name, name: Option<&Name>) -> Result<Applied, Refusal> {
        let holds =
            self.holds_of(slave).ok_or_else(|| Refusal::UnknownSlave(SlaveRef::Name(slave.clone())))?;
        let drain = self.slave_named(slave).and_then(|id| self.slaves.get(&id)?.drain);
        let in_progress = drain.filter(|id| self.drains.get(id).is_some_and(|d| d.end.is_none()));
        let kept = in_progress.and_then(drain_hold);
        let lifted: Vec<Name> = match name {
            // Lifting twice is success.
            Some(name) if !holds.contains_key(name) => Vec::new(),
            Some(name) => match in_progress {
                Some(drain) if kept.as_ref() == Some(name) => return Err(Refusal::HoldOfDrain(drain)),
                Some(_) | None => alloc::vec![name.clone()],
            },
            None => holds.keys().filter(|hold| kept.as_ref() != Some(hold)).cloned().collect(),
        };
        let ended = drain.filter(|id| drain_hold(*id).is_some_and(|hold| lifted.contains(&hold)));
        if let Some(drain) = ended.and_then(|drain| self.drains.remove(&drain))
            && let Some(record) = self.slaves.get_mut(&drain.slave)
        {
            record.drain = None;
        }
        if let Some(holds) = self.holds_mut(slave) {
            holds.retain(|hold, _| !lifted.contains(hold));
        }
        if self.held.get(slave).is_some_and(Map::is_empty) {
            self.held.remove(slave);
        }
        Ok(Applied::Lifted { holds: lifted })
    }

    fn remove_framework(&mut self, framework: FrameworkId) -> Result<Applied, Refusal> {
        let Some(record) = self.frameworks.remove(&framework) else {
            return Err(Refusal::UnknownFramework(framework));
        };
        // Rare, and inverse offers are few: a pass over them beats an index that every machine would carry.
        let its: Vec<InverseOfferId> = self
            .inverse_offers
            .iter()
            .filter(|(_, io)| io.framework == framework)
            .map(|(id, _)| *id)
            .collect();
        let closed = its.into_iter().filter_map(|id| self.close(id)).collect();
        let theirs = self.ends.iter_after(Some(TaskId { framework, number: 0 })).map(|(task, _)| *task);
        let ends: Vec<TaskId> = theirs.take_while(|task| task.framework == framework).collect();
        for task in ends {
            self.ends.remove(&task);
        }
        Ok(Applied::FrameworkRemoved { record, closed })
    }

    fn open_inverse_offer(&mut self, record: &InverseOfferRecord) -> Result<Applied, Refusal> {
        if !self.frameworks.contains_key(&record.framework) {
            return Err(Refusal::UnknownFramework(record.framework));
        }
        if let Some(drain) = record.drain
            && self.drains.get(&drain).is_none_or(|d| d.end.is_some() || d.slave != record.slave)
        {
            return Err(Refusal::UnknownDrain(drain));
        }
        let slave = self.slave_mut(record.slave)?;
        // One at a time for each framework and slave; a drain asks for everything, and comes on top.
        let asked = slave.inverse_offers.iter().filter(|(_, f)| **f == record.framework).map(|(id, _)| *id);
        let asked: Vec<InverseOfferId> = asked.collect();
        for id in asked {
            let same_kind =
                self.inverse_offers.get(&id).is_some_and(|io| io.drain.is_some() == record.drain.is_some());
            if same_kind {
                return Err(Refusal::AlreadyAsked(id));
            }
        }
        self.highest_inverse_offer = self.highest_inverse_offer.next();
        let id = self.highest_inverse_offer;
        if let Some(slave) = self.slaves.get_mut(&record.slave) {
            slave.inverse_offers.insert(id, record.framework);
        }
        self.inverse_offers.insert(id, record.clone());
        Ok(Applied::InverseOffer(id))
    }

    fn close(&mut self, id: InverseOfferId) -> Option<(InverseOfferId, InverseOfferRecord)> {
        let record = self.inverse_offers.remove(&id)?;
        if let Some(slave) = self.slaves.get_mut(&record.slave) {
            slave.inverse_offers.remove(&id);
        }
        Some((id, record))
    }

    fn start_drain(&mut self, ask: &DrainAsk) -> Result<Applied, Refusal> {
        let current = self.slave_mut(ask.slave)?.drain;
        if let Some(id) = current
            && let Some(drain) = self.drains.get(&id)
        {
            match drain.end {
                None => return self.ask_again(id, ask),
                Some(DrainEnd::Drained) => return self.ask_of_drained(id, ask),
                Some(DrainEnd::Unseen | DrainEnd::SlaveGone | DrainEnd::Cancelled) => {}
            }
            self.drains.remove(&id);
            self.drop_drain_hold(ask.slave, id);
        }
        if self.slave_mut(ask.slave)?.holds.is_empty() && !self.may_hold_more() {
            return Err(Refusal::TooManyHeld);
        }
        self.highest_drain = self.highest_drain.next();
        let id = self.highest_drain;
        let DrainAsk { slave, pace, deadline, by, at, .. } = ask.clone();
        let reason = ask.reason.clone().unwrap_or_default();
        let then = match pace {
            Pace::Within(_) => ask.then.unwrap_or(Then::Stay),
            Pace::Now => Then::Unregister,
        };
        let hold = Hold { by: by.clone(), reason: reason.clone(), at };
        self.drains.insert(id, DrainRecord { slave, pace, deadline, reason, by, at, then, end: None });
        if let (Some(slave), Some(name)) = (self.slaves.get_mut(&slave), drain_hold(id)) {
            slave.drain = Some(id);
            slave.holds.insert(name, hold);
        }
        Ok(Applied::Drain { id, step: DrainStep::Began })
    }

    /// A drain is asked for where one is under way: asking for the same is success, and what differs is refused, or done where
    /// that was said (R22).
    fn ask_again(&mut self, id: DrainId, ask: &DrainAsk) -> Result<Applied, Refusal> {
        let record = self.drain_in_progress(id)?;
        let hastens = ask.pace == Pace::Now && record.pace != Pace::Now;
        let mut differs = DrainDifference::default();
        match (record.pace, ask.pace) {
            (Pace::Now, Pace::Within(_)) => return Err(Refusal::DrainIsNow(id)),
            (Pace::Within(has), Pace::Within(asked)) if has != asked => differs.deadline = Some((has, asked)),
            (Pace::Within(_) | Pace::Now, _) => {}
        }
        let then = ask.then.filter(|then| *then != record.then);
        differs.then = then.filter(|_| !hastens).map(|then| (record.then, then));
        let reason = ask.reason.as_ref().filter(|reason| **reason != record.reason);
        differs.reason = reason.filter(|_| !hastens).map(|reason| (record.reason.clone(), reason.clone()));
        if differs.is_none() && !hastens {
            return Ok(Applied::Drain { id, step: DrainStep::Unchanged });
        }
        if !differs.is_none() && !ask.change {
            return Err(Refusal::DrainDiffers(id, differs));
        }
        record.then = then.unwrap_or(record.then);
        if hastens {
            // What was asked by a later deadline stays asked: the slave leaves before it, or it is void with the drain.
            (record.pace, record.deadline, record.then) = (Pace::Now, ask.deadline, Then::Unregister);
        } else if let (Some(_), Pace::Within(within)) = (differs.deadline, ask.pace) {
            self.extend_drain(id, within, ask.deadline)?;
        }
        if let Some(reason) = reason {
            self.reason_changed(id, reason);
        }
        Ok(Applied::Drain { id, step: DrainStep::Changed })
    }

    /// A drain has another reason, and so have its hold and what is asked for by it.
    fn reason_changed(&mut self, drain: DrainId, reason: &Text) {
        let offers: Vec<InverseOfferId> = self.inverse_offers_of_drain(drain).collect();
        for id in offers {
            if let Some(asked) = self.inverse_offers.get_mut(&id) {
                asked.reason = reason.clone();
            }
        }
        let Some(record) = self.drains.get_mut(&drain) else { return };
        record.reason = reason.clone();
        let slave = self.slaves.get_mut(&record.slave);
        let hold = drain_hold(drain).and_then(|name| slave?.holds.get_mut(&name));
        if let Some(hold) = hold {
            hold.reason = reason.clone();
        }
    }

    /// A drain is asked for of a slave that is drained: no deadline is to come, and it may still be told to leave.
    fn ask_of_drained(&mut self, id: DrainId, ask: &DrainAsk) -> Result<Applied, Refusal> {
        let Some(record) = self.drains.get_mut(&id) else {
            return Err(Refusal::UnknownDrain(id));
        };
        let then = match ask.pace {
            Pace::Within(_) => ask.then.unwrap_or(record.then),
            Pace::Now => Then::Unregister,
        };
        match (record.then, then) {
            (Then::Unregister, Then::Stay) => Err(Refusal::DrainTold(id)),
            (Then::Stay, Then::Unregister) => {
                record.then = Then::Unregister;
                Ok(Applied::Drain { id, step: DrainStep::Changed })
            }
            (Then::Stay, Then::Stay) | (Then::Unregister, Then::Unregister) => {
                Ok(Applied::Drain { id, step: DrainStep::Unchanged })
            }
        }
    }

    fn extend_drain(&mut self, drain: DrainId, within: Millis, deadline: Moment) -> Result<Applied, Refusal> {
        let record = self.drain_in_progress(drain)?;
        if record.pace == Pace::Now {
            return Err(Refusal::DrainIsNow(drain));
        }
        let changed = record.deadline != deadline || record.pace != Pace::Within(within);
        (record.pace, record.deadline) = (Pace::Within(within), deadline);
        let offers: Vec<InverseOfferId> = self.inverse_offers_of_drain(drain).collect();
        for id in offers {
            if let Some(io) = self.inverse_offers.get_mut(&id)
                && io.stage == InverseStage::Open
            {
                io.deadline = deadline;
            }
        }
        Ok(Applied::Done { changed })
    }

    fn end_drain(&mut self, drain: DrainId, end: DrainEnd) -> Result<Applied, Refusal> {
        let record = self.drain_in_progress(drain)?;
        record.end = Some(end);
        let slave = record.slave;
        let offers: Vec<InverseOfferId> = self.inverse_offers_of_drain(drain).collect();
        let closed = offers.into_iter().filter_map(|id| self.close(id)).collect();
        if end == DrainEnd::Cancelled {
            self.drains.remove(&drain);
            self.drop_drain_hold(slave, drain);
        }
        Ok(Applied::DrainEnded { slave, closed })
    }

    fn drain_in_progress(&mut self, drain: DrainId) -> Result<&mut DrainRecord, Refusal> {
        let record = self.drains.get_mut(&drain).ok_or(Refusal::UnknownDrain(drain))?;
        match record.end {
            Some(end) => Err(Refusal::DrainEnded(drain, end)),
            None => Ok(record),
        }
    }

    fn drop_drain_hold(&mut self, slave: SlaveId, drain: DrainId) {
        if let (Some(record), Some(name)) = (self.slaves.get_mut(&slave), drain_hold(drain)) {
            record.holds.remove(&name);
            record.drain = None;
        }
    }
}

/// Whether it is an end that nobody could guess: that a task is Lost, or never was, is told of one that nobody knows.
pub fn is_true_end(update: &Update) -> bool {
    matches!(update.state, TaskState::Finished | TaskState::Failed | TaskState::Killed)
}

/// Whether a hold of this name is a drain's own.
pub fn is_of_drain(hold: &Name) -> bool {
    hold.as_str().starts_with(DRAIN_HOLD_PREFIX)
}

/// What holds the name of a slave that leaves. The hold of a drain that was to stay is its name's like any other: who drained
/// it has not said that it may work again. One in which the slave was to leave is over with it, and so is an earlier one's.
fn holds_left(record: &SlaveRecord, drain: Option<&(DrainId, DrainRecord)>) -> Map<Name, Hold> {
    let stays = drain.filter(|(_, drain)| drain.then == Then::Stay).and_then(|(id, _)| drain_hold(*id));
    let has_drain = drain.is_some();
    let kept = record.holds.iter().filter(|(name, _)| match is_of_drain(name) {
        true => stays.as_ref() == Some(name) || !has_drain,
        false => true,
    });
    kept.map(|(name, hold)| (name.clone(), hold.clone())).collect()
}

/// The name of a drain's own hold.
pub fn drain_hold(drain: DrainId) -> Option<Name> {
    Name::new(&format!("{DRAIN_HOLD_PREFIX}{drain}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn with_slave() -> (Registry, SlaveId) {
        let mut registry = Registry::default();
        let admit = Operation::AdmitSlave {
            name: name("a"),
            incarnation: Incarnation(1),
            boot: BootId(1),
            address: Text::EMPTY,
            resources: Resources::new(1000, 1 << 30),
        };
        assert_eq!(registry.apply(&admit), Ok(Applied::Slave { id: SlaveId(1), changed: true }));
        // R1: a repeated request gets the same answer.
        assert_eq!(registry.apply(&admit), Ok(Applied::Slave { id: SlaveId(1), changed: false }));
        (registry, SlaveId(1))
    }

    fn drain(slave: SlaveId, then: Then) -> Operation {
        Operation::StartDrain(ask(slave, Pace::Within(Millis(8)), Some(then)))
    }

    fn ask(slave: SlaveId, pace: Pace, then: Option<Then>) -> DrainAsk {
        let (by, at, change) = (name("ann"), Moment(1), false);
        DrainAsk { slave, pace, deadline: Moment(9), reason: None, then, by, at, change }
    }

    fn hold(text: &str) -> Operation {
        let hold = Hold { by: name("ann"), reason: Text::EMPTY, at: Moment(1) };
        Operation::PlaceHold { slave: name("a"), name: name(text), hold }
    }

    #[test]
    fn r27_a_removed_id_never_comes_back() {
        let (mut registry, slave) = with_slave();
        assert!(matches!(
            registry.apply(&Operation::RemoveSlave { slave, ends: Vec::new() }),
            Ok(Applied::Removed { .. })
        ));
        assert!(registry.total().is_empty());
        let again = registry.apply(&Operation::RemoveSlave { slave, ends: Vec::new() });
        assert_eq!(again, Err(Refusal::RemovedSlave(slave)));
        let boot = BootId(1);
        let readmit =
            Operation::ReadmitSlave { slave, boot, address: Text::EMPTY, resources: Resources::NONE };
        assert_eq!(registry.apply(&readmit), Err(Refusal::RemovedSlave(slave)));
        let admit = Operation::AdmitSlave {
            name: name("a"),
            incarnation: Incarnation(2),
            boot,
            address: Text::EMPTY,
            resources: Resources::NONE,
        };
        assert_eq!(registry.apply(&admit), Ok(Applied::Slave { id: SlaveId(2), changed: true }));
    }

    #[test]
    fn r16_holds_of_several_hands_do_not_undo_each_other() {
        let (mut registry, slave) = with_slave();
        assert_eq!(registry.apply(&hold("ann")), Ok(Applied::Done { changed: true }));
        assert_eq!(registry.apply(&hold("ann")), Ok(Applied::Done { changed: false }));
        assert_eq!(registry.apply(&hold("bob")), Ok(Applied::Done { changed: true }));
        let drained = registry.apply(&drain(slave, Then::Stay));
        assert_eq!(drained, Ok(Applied::Drain { id: DrainId(1), step: DrainStep::Began }));
        let lift = |text: &str| Operation::LiftHolds { slave: name("a"), name: Some(name(text)) };
        assert_eq!(registry.apply(&lift("drain-D1")), Err(Refusal::HoldOfDrain(DrainId(1))));
        assert_eq!(registry.apply(&lift("ann")), Ok(Applied::Lifted { holds: alloc::vec![name("ann")] }));
        let all = Operation::LiftHolds { slave: name("a"), name: None };
        assert_eq!(registry.apply(&all), Ok(Applied::Lifted { holds: alloc::vec![name("bob")] }));
        assert_eq!(registry.slaves().get(&slave).map(|s| s.holds.len()), Some(1));
        registry.apply(&Operation::EndDrain { drain: DrainId(1), end: DrainEnd::Drained }).unwrap();
        assert_eq!(registry.apply(&all), Ok(Applied::Lifted { holds: alloc::vec![name("drain-D1")] }));
        assert!(registry.drains().is_empty());
        assert_eq!(registry.apply(&hold("drain-x")), Err(Refusal::ReservedHold(name("drain-x"))));
    }

    #[test]
    fn r22_draining_twice_is_success_and_cancelling_a_drained_one_is_not() {
        let (mut registry, slave) = with_slave();
        registry.apply(&drain(slave, Then::Stay)).unwrap();
        let again = registry.apply(&drain(slave, Then::Stay));
        assert_eq!(again, Ok(Applied::Drain { id: DrainId(1), step: DrainStep::Unchanged }));
        let end = |end| Operation::EndDrain { drain: DrainId(1), end };
        registry.apply(&end(DrainEnd::Drained)).unwrap();
        assert_eq!(
            registry.apply(&end(DrainEnd::Cancelled)),
            Err(Refusal::DrainEnded(DrainId(1), DrainEnd::Drained))
        );
        let more = registry.apply(&drain(slave, Then::Unregister));
        assert_eq!(more, Ok(Applied::Drain { id: DrainId(1), step: DrainStep::Changed }));
        // It has been told to leave.
        let stay = registry.apply(&drain(slave, Then::Stay));
        assert_eq!(stay, Err(Refusal::DrainTold(DrainId(1))));
    }

    /// R22: what differs from a drain that is under way is refused by its name, or done where that was said; what was not
    /// given is no difference.
    #[test]
    fn r22_what_differs_from_a_drain_is_refused_or_changed_and_never_ignored() {
        let (mut registry, slave) = with_slave();
        let within = |ms| Pace::Within(Millis(ms));
        let first =
            DrainAsk { reason: Some(Text::new("disk")), ..ask(slave, within(8), Some(Then::Unregister)) };
        registry.apply(&Operation::StartDrain(first.clone())).unwrap();
        let id = DrainId(1);
        let same = DrainAsk { deadline: Moment(50), at: Moment(42), by: name("bob"), ..first.clone() };
        let quiet = DrainAsk { reason: None, then: None, ..first.clone() };
        for same in [same, quiet] {
            let before = registry.clone();
            let again = registry.apply(&Operation::StartDrain(same));
            assert_eq!(again, Ok(Applied::Drain { id, step: DrainStep::Unchanged }));
            assert_eq!(registry, before);
        }

        let none = DrainDifference::default();
        let then = Some((Then::Unregister, Then::Stay));
        let (disk, fan) = (Text::new("disk"), Text::new("fan"));
        let differing = [
            (DrainAsk { then: Some(Then::Stay), ..first.clone() }, DrainDifference { then, ..none.clone() }),
            (
                DrainAsk { pace: within(3), deadline: Moment(4), ..first.clone() },
                DrainDifference { deadline: Some((Millis(8), Millis(3))), ..none.clone() },
            ),
            (
                DrainAsk { reason: Some(fan.clone()), ..first.clone() },
                DrainDifference { reason: Some((disk.clone(), fan.clone())), ..none },
            ),
        ];
        for (ask, differs) in differing {
            let before = registry.clone();
            let refused = registry.apply(&Operation::StartDrain(ask.clone()));
            assert_eq!(refused, Err(Refusal::DrainDiffers(id, differs)));
            assert_eq!(registry, before, "it is refused as a whole");
            let mut changed = before.clone();
            let change = DrainAsk { change: true, ..ask.clone() };
            let done = changed.apply(&Operation::StartDrain(change));
            assert_eq!(done, Ok(Applied::Drain { id, step: DrainStep::Changed }));
            let record = changed.drains().get(&id).unwrap();
            assert_eq!((record.pace, record.deadline), (ask.pace, ask.deadline));
            assert_eq!((Some(record.then), Some(&record.reason)), (ask.then, ask.reason.as_ref()));
            assert_eq!((&record.by, changed.check()), (&name("ann"), Ok(())));
        }
    }

    /// R24a: a drain that is under way becomes now in the same id, and nothing makes it slower again.
    #[test]
    fn r24a_a_drain_is_hastened_in_its_own_id() {
        let (mut registry, slave) = with_slave();
        registry.apply(&drain(slave, Then::Stay)).unwrap();
        let now = DrainAsk { deadline: Moment(5), ..ask(slave, Pace::Now, None) };
        let hastened = registry.apply(&Operation::StartDrain(now.clone()));
        assert_eq!(hastened, Ok(Applied::Drain { id: DrainId(1), step: DrainStep::Changed }));
        let record = registry.drains().get(&DrainId(1)).unwrap().clone();
        assert_eq!((record.pace, record.then, record.deadline), (Pace::Now, Then::Unregister, Moment(5)));
        assert!(record.is_to_leave());
        let again = registry.apply(&Operation::StartDrain(now));
        assert_eq!(again, Ok(Applied::Drain { id: DrainId(1), step: DrainStep::Unchanged }));
        let slower = DrainAsk { change: true, ..ask(slave, Pace::Within(Millis(8)), None) };
        let is_now = Err(Refusal::DrainIsNow(DrainId(1)));
        assert_eq!(registry.apply(&Operation::StartDrain(slower)), is_now);
        let (within, deadline) = (Millis(9), Moment(9));
        let extend = Operation::ExtendDrain { drain: DrainId(1), within, deadline };
        assert_eq!(registry.apply(&extend), is_now);
        // Unseen, it stays to leave: nobody has taken that back.
        registry.apply(&Operation::EndDrain { drain: DrainId(1), end: DrainEnd::Unseen }).unwrap();
        assert!(registry.drains().get(&DrainId(1)).unwrap().is_to_leave());
        assert_eq!(registry.check(), Ok(()));
    }

    /// R16: holds are the name's: they are there when it registers again, and are lifted while it is away.
    #[test]
    fn r16_holds_outlive_the_id_and_a_drains_own_ends_with_it_unless_the_slave_was_to_stay() {
        let admit = Operation::AdmitSlave {
            name: name("a"),
            incarnation: Incarnation(1),
            boot: BootId(1),
            address: Text::EMPTY,
            resources: Resources::NONE,
        };
        let names = |registry: &Registry| -> Vec<alloc::string::String> {
            let holds = registry.holds_of(&name("a")).into_iter().flat_map(|holds| holds.keys());
            holds.map(|hold| alloc::format!("{hold}")).collect()
        };
        for (then, left) in [(Then::Stay, &["ann", "drain-D1"][..]), (Then::Unregister, &["ann"])] {
            let (mut registry, slave) = with_slave();
            registry.apply(&hold("ann")).unwrap();
            registry.apply(&drain(slave, then)).unwrap();
            registry.apply(&Operation::RemoveSlave { slave, ends: Vec::new() }).unwrap();
            assert_eq!(
                (names(&registry), registry.check()),
                (left.iter().map(|one| (*one).into()).collect(), Ok(()))
            );
            assert!(registry.slave_named(&name("a")).is_none(), "it is away");
            assert_eq!(registry.apply(&hold("bob")), Ok(Applied::Done { changed: true }));
            let lift = Operation::LiftHolds { slave: name("a"), name: Some(name("bob")) };
            assert_eq!(registry.apply(&lift), Ok(Applied::Lifted { holds: alloc::vec![name("bob")] }));

            registry.apply(&admit).unwrap();
            assert!(registry.held_names().is_empty());
            assert_eq!(names(&registry), left, "the new id is held by what held the name");
            registry.apply(&Operation::RemoveSlave { slave: SlaveId(2), ends: Vec::new() }).unwrap();
            let all = Operation::LiftHolds { slave: name("a"), name: None };
            assert!(matches!(registry.apply(&all), Ok(Applied::Lifted { .. })));
            assert!(registry.held_names().is_empty());
            let never = Err(Refusal::UnknownSlave(SlaveRef::Name(name("a"))));
            assert_eq!(registry.apply(&hold("ann")), never, "neither held nor there");
            registry.apply(&admit).unwrap();
            assert!(names(&registry).is_empty(), "lifted is lifted");
            assert_eq!(registry.check(), Ok(()));
        }
    }

    fn framework(principal: &str) -> FrameworkRecord {
        FrameworkRecord {
            name: name("f"),
            principal: name(principal),
            failover_timeout: Millis(1),
            partition_aware: false,
        }
    }

    #[test]
    fn r14_a_framework_is_changed_by_its_own_principal_only() {
        let mut registry = Registry::default();
        let framework_id = FrameworkId(1);
        let added = registry.apply(&Operation::AddFramework(framework("ann")));
        assert_eq!(added, Ok(Applied::Framework(framework_id)));
        let change = |record| Operation::ChangeFramework { framework: framework_id, record };
        let renamed = FrameworkRecord { name: name("g"), ..framework("ann") };
        assert_eq!(registry.apply(&change(renamed.clone())), Ok(Applied::Done { changed: true }));
        assert_eq!(registry.apply(&change(renamed.clone())), Ok(Applied::Done { changed: false }));
        let other = FrameworkRecord { partition_aware: true, ..renamed.clone() };
        for taken in [framework("bob"), other] {
            assert_eq!(registry.apply(&change(taken)), Err(Refusal::UnknownFramework(framework_id)));
        }
        assert_eq!(registry.frameworks().get(&framework_id), Some(&renamed));
    }

    /// A slave that drains and is held, and a framework that is asked for what it has there.
    fn with_everything() -> Registry {
        let (mut registry, slave) = with_slave();
        registry.apply(&Operation::AddFramework(framework("ann"))).unwrap();
        for number in 0..HOLDS_MAX {
            registry.apply(&hold(&alloc::format!("hold-{number}"))).unwrap();
        }
        registry.apply(&drain(slave, Then::Stay)).unwrap();
        let asked = InverseOfferRecord {
            framework: FrameworkId(1),
            slave,
            ask: InverseAsk::Everything,
            keep: Resources::NONE,
            deadline: Moment(9),
            reason: Text::EMPTY,
            by: name("ann"),
            drain: Some(DrainId(1)),
            answer: None,
            stage: InverseStage::Open,
        };
        registry.apply(&Operation::OpenInverseOffer(asked)).unwrap();
        assert_eq!(registry.check(), Ok(()));
        registry
    }

    #[test]
    fn r28_a_registry_that_contradicts_itself_is_told_from_a_sound_one() {
        fn check(change: impl FnOnce(&mut Registry)) -> Result<(), &'static str> {
            let mut registry = with_everything();
            change(&mut registry);
            registry.check()
        }
        let (slave, framework, drain) = (SlaveId(1), FrameworkId(1), DrainId(1));
        let inverse_offer = InverseOfferId(1);
        let of = |registry: &mut Registry, change: &dyn Fn(&mut SlaveRecord)| {
            change(registry.slaves.get_mut(&slave).unwrap());
        };

        let highest = Err("an id is higher than the highest that was given");
        assert_eq!(check(|registry| registry.highest_slave = SlaveId(0)), highest);
        assert_eq!(check(|registry| registry.highest_framework = FrameworkId(0)), highest);
        assert_eq!(check(|registry| registry.highest_inverse_offer = InverseOfferId(0)), highest);
        assert_eq!(check(|registry| registry.highest_drain = DrainId(0)), highest);
        assert_eq!(check(|registry| registry.highest_drain = DrainId(7)), Ok(()), "others have been");

        let names = Err("the names of slaves are not those of its slaves");
        assert_eq!(
            check(|registry| {
                registry.names.insert(name("b"), slave);
            }),
            names
        );
        assert_eq!(
            check(|registry| {
                registry.names.insert(name("a"), SlaveId(7));
            }),
            names
        );
        assert_eq!(check(|registry| of(registry, &|record| record.name = name("b"))), names);

        let total = Err("the total is not the sum of its slaves");
        assert_eq!(check(|registry| registry.total = Sum::NONE), total);

        let offers = Err("its slaves have other inverse offers than it has");
        let forget = |record: &mut SlaveRecord| {
            record.inverse_offers.remove(&inverse_offer);
        };
        assert_eq!(check(|registry| of(registry, &forget)), offers);
        let mistake = |record: &mut SlaveRecord| {
            record.inverse_offers.insert(inverse_offer, FrameworkId(7));
        };
        assert_eq!(check(|registry| of(registry, &mistake)), offers);
        let invent = |record: &mut SlaveRecord| {
            record.inverse_offers.insert(InverseOfferId(7), framework);
        };
        assert_eq!(check(|registry| of(registry, &invent)), offers);
        assert_eq!(
            check(|registry| {
                registry.frameworks.remove(&framework);
            }),
            offers
        );
        let elsewhere = |registry: &mut Registry| {
            registry.inverse_offers.get_mut(&inverse_offer).unwrap().drain = Some(DrainId(7));
        };
        assert_eq!(check(elsewhere), offers);

        let drains = Err("its slaves have other drains than it has");
        let alone = |record: &mut SlaveRecord| record.drain = None;
        assert_eq!(check(|registry| of(registry, &alone)), drains);
        let loose = |record: &mut SlaveRecord| {
            record.holds.remove(&drain_hold(drain).unwrap());
        };
        assert_eq!(check(|registry| of(registry, &loose)), drains);

        let one_more = |record: &mut SlaveRecord| {
            let hold = record.holds.values().next().unwrap().clone();
            record.holds.insert(name("one-more"), hold.clone());
            record.holds.insert(name("and-more"), hold);
        };
        assert_eq!(check(|registry| of(registry, &one_more)), Err("a slave has more holds than it may have"));
        let away = Err("a name is held that a slave has, or by more than it may be");
        for (held, holds) in [("a", true), ("b", false)] {
            let hold = Hold { by: name("ann"), reason: Text::EMPTY, at: Moment(1) };
            let holds: Map<Name, Hold> = holds.then(|| (name("ann"), hold)).into_iter().collect();
            assert_eq!(check(|registry| drop(registry.held.insert(name(held), holds))), away);
        }
    }

    /// R12, R25: true ends are kept with the removal, and go with their acknowledgement, or their framework.
    #[test]
    fn r25_how_tasks_of_a_slave_that_left_ended_is_kept_until_it_is_acknowledged() {
        let (mut registry, slave) = with_slave();
        let record = FrameworkRecord {
            name: name("f"),
            principal: name("f"),
            failover_timeout: Millis(1),
            partition_aware: false,
        };
        let framework = FrameworkId(1);
        assert_eq!(registry.apply(&Operation::AddFramework(record)), Ok(Applied::Framework(framework)));
        let end = |framework, number, state| {
            let (task, reason) = (TaskId { framework, number }, crate::task::Reason::Normal);
            let update = Update { task, number: 7, state, reason, message: Text::EMPTY };
            EndRecord { slave, update, receipt: None, drain: None }
        };
        let ends = alloc::vec![
            end(framework, 1, TaskState::Finished),
            end(framework, 2, TaskState::Killed),
            end(framework, 3, TaskState::Lost),
            end(FrameworkId(9), 1, TaskState::Failed),
            end(framework, 1, TaskState::Failed),
            EndRecord { slave: SlaveId(9), ..end(framework, 4, TaskState::Failed) },
        ];
        let kept = ends[0].clone();
        let [first, second] = [ends[0].update.task, ends[1].update.task];
        let removed = registry.apply(&Operation::RemoveSlave { slave, ends });
        let Ok(Applied::Removed { ends, .. }) = removed else { panic!("{removed:?}") };
        assert_eq!(ends, [first, second]);
        assert_eq!((registry.ends().get(&first), registry.ends().len()), (Some(&kept), 2));
        assert_eq!(registry.check(), Ok(()));
        let forget = Operation::ForgetEnd { task: first };
        assert_eq!(registry.apply(&forget), Ok(Applied::Done { changed: true }));
        assert_eq!(registry.apply(&forget), Ok(Applied::Done { changed: false }));
        assert!(registry.apply(&Operation::RemoveFramework { framework }).is_ok());
        assert_eq!((registry.ends().len(), registry.check()), (0, Ok(())));
    }
}
