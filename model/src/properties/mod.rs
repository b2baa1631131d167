//! What must hold, each in a file of its own, and the one table of them.
//!
//! To add one: write a file with a `PROPERTY`, name it in the table. A [`Kind::Step`] sees a step with what happened
//! in it, a [`Kind::State`] sees where it led; both may look at the truth ([`World::is_alive`], the ghost) and not
//! only at what nodes believe. [`Kind::Sometimes`] must be reached, so that a pass is not vacuous, and
//! [`Kind::Eventually`] must be reachable from everywhere without anything going wrong or being wanted.

use neap_protocol::ids::Epoch;
use neap_protocol::master::Master;
use neap_protocol::message::{Answer, FrameworkToMaster, Refusal, SlaveToMaster};
use neap_protocol::registry::Operation;

use crate::scope::Scope;
use crate::world::{Action, Dialer, End, Happening, Message, World};

pub(crate) use s14_asked_and_no_more::no_more_than_needed;
use sometimes::crashes;

mod l1_drain_ends;
mod l2_slave_resolved;
mod l3_updates_arrive;
mod l4_inverse_offer_answered_or_revoked;
mod l5_slave_exits;
mod l6_offers_resume;
mod l7_views_agree;
mod r06_partitions;
mod r06_silent_gets_no_work;
mod r07a_forgotten_when_silent;
mod r08_lost_ends;
mod r09_fenced;
mod r12_acknowledged_when_heard;
mod r12a_asked_is_not_finished;
mod r13_kills_end;
mod r14_remembered_first;
mod r14_teardowns_end;
mod r16_holds_are_their_own;
mod r18_nothing_back;
mod r22_drain_seen;
mod r23_plan_still_true;
mod r23a_receipts;
mod r24_in_order;
mod r24a_told_until_it_leaves;
mod r28_nothing_lost;
mod r29_elected_first;
mod s01_dead_before_lost;
mod s02_one_change_at_a_time;
mod s03_removed_stays_removed;
mod s04_quiet_when_deactivated;
mod s05_drained_means_empty;
mod s06_registry_first;
mod s07_one_voice;
mod s08_conservation;
mod s09_terminal_is_final;
mod s10_kill_wins;
mod s11_no_orphans;
mod s12_no_wrongful_shutdown;
mod s13_deadline_respected;
mod s14_asked_and_no_more;
mod s15_bounded_queues;
mod s16_task_id_unique;
mod sometimes;

/// Something that must hold.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name in the design, where it has one there.
    pub name: &'static str,
    /// The requirements that it guards.
    pub guards: &'static str,
    /// What it says.
    pub kind: Kind,
}

/// Whether a state is one that must come about, or what is one part of that.
pub type IsGood = fn(&Scope, &World) -> bool;

/// When a property is looked at, and how.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Of every step: what is wrong with it.
    Step(fn(&Seen<'_>) -> Result<(), String>),
    /// Of every state: what is wrong with it.
    State(fn(&Scope, &World) -> Result<(), String>),
    /// Of some step.
    Sometimes(fn(&Seen<'_>) -> bool),
    /// Of some state that can be reached from every state, by calm actions alone: all of these hold of it. What is
    /// said of few nodes each is remembered better than what is said of all of them.
    Eventually(&'static [IsGood]),
}

/// A step as properties see it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// In which world.
    pub scope: &'a Scope,
    /// The state before.
    pub before: &'a World,
    /// The state after.
    pub after: &'a World,
    /// What was done.
    pub action: Action,
    /// What happened.
    pub happenings: &'a [Happening],
}

impl<'a> Seen<'a> {
    /// What the newest leader says, and to whom.
    pub fn leader_said(&self) -> impl Iterator<Item = (Dialer, &'a Message)> {
        let after = self.after;
        self.masters_said().filter(|said| said.epoch == after.store.fence).map(|said| (said.to, said.message))
    }

    /// What any master says.
    pub fn masters_said(&self) -> impl Iterator<Item = Said<'a>> {
        self.happenings.iter().filter_map(|happening| {
            let Happening::MasterSaid { epoch, to, message, .. } = happening else { return None };
            Some(Said { epoch: *epoch, to: *to, message })
        })
    }

    /// What became durable in the registry.
    pub fn stored(&self) -> impl Iterator<Item = &'a Operation> {
        self.happenings.iter().filter_map(|happening| {
            let Happening::Stored { operation, applied: true } = happening else { return None };
            Some(operation)
        })
    }

    /// The operator's commands that are answered.
    pub fn answered(&self) -> impl Iterator<Item = (u8, &'a Result<Answer, Refusal>)> {
        self.happenings.iter().filter_map(|happening| {
            let Happening::Answered { command, answer, .. } = happening else { return None };
            Some((*command, answer))
        })
    }

    /// What the newest leader hears from a framework.
    pub fn framework_heard(&self) -> Option<&'a FrameworkToMaster> {
        let Message::FrameworkToMaster(message) = self.heard_by_leader()? else { return None };
        Some(message)
    }

    /// What it hears from a slave.
    pub fn slave_heard(&self) -> Option<&'a SlaveToMaster> {
        let Message::SlaveToMaster(message) = self.heard_by_leader()? else { return None };
        Some(message)
    }

    fn heard_by_leader(&self) -> Option<&'a Message> {
        let Action::Deliver(key @ (Dialer::Slave(_) | Dialer::Framework(_), _), End::Far) = self.action
        else {
            return None;
        };
        let link = self.before.link(key)?;
        let node = &self.before.masters[usize::from(link.master)];
        let leads = node.epoch == self.before.store.fence && node.machine.as_ref().is_some_and(Master::leads);
        link.waiting(End::Far).first().filter(|_| leads)
    }
}

/// What a master says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The epoch that it was elected with; 0 if it was not, or is deposed.
    pub epoch: Epoch,
    /// To whom.
    pub to: Dialer,
    /// What.
    pub message: &'a Message,
}

/// Every property.
pub const ALL: &[Property] =
    &joined::<COUNT>(&[NAMED, crashes::OF_MASTERS, crashes::OF_SLAVES, crashes::OF_FRAMEWORKS]);

const COUNT: usize =
    NAMED.len() + crashes::OF_MASTERS.len() + crashes::OF_SLAVES.len() + crashes::OF_FRAMEWORKS.len();

const fn joined<const COUNT: usize>(tables: &[&[Property]]) -> [Property; COUNT] {
    let mut all = [NAMED[0]; COUNT];
    let (mut table, mut at, mut place) = (0, 0, 0);
    while table < tables.len() {
        if at < tables[table].len() {
            all[place] = tables[table][at];
            (at, place) = (at + 1, place + 1);
        } else {
            (table, at) = (table + 1, 0);
        }
    }
    all
}

/// Those that are named one by one.
const NAMED: &[Property] = &[
    s01_dead_before_lost::PROPERTY,
    s02_one_change_at_a_time::PROPERTY,
    s03_removed_stays_removed::PROPERTY,
    s04_quiet_when_deactivated::PROPERTY,
    s05_drained_means_empty::PROPERTY,
    s06_registry_first::PROPERTY,
    s07_one_voice::PROPERTY,
    s08_conservation::PROPERTY,
    s09_terminal_is_final::PROPERTY,
    s10_kill_wins::PROPERTY,
    s11_no_orphans::PROPERTY,
    s12_no_wrongful_shutdown::PROPERTY,
    s13_deadline_respected::PROPERTY,
    s14_asked_and_no_more::PROPERTY,
    s15_bounded_queues::PROPERTY,
    s16_task_id_unique::PROPERTY,
    r06_partitions::PROPERTY,
    r06_silent_gets_no_work::PROPERTY,
    r07a_forgotten_when_silent::PROPERTY,
    r08_lost_ends::PROPERTY,
    r09_fenced::PROPERTY,
    r12_acknowledged_when_heard::PROPERTY,
    r12a_asked_is_not_finished::PROPERTY,
    r13_kills_end::PROPERTY,
    r14_remembered_first::PROPERTY,
    r14_teardowns_end::PROPERTY,
    r16_holds_are_their_own::PROPERTY,
    r18_nothing_back::PROPERTY,
    r22_drain_seen::PROPERTY,
    r23_plan_still_true::PROPERTY,
    r23a_receipts::PROPERTY,
    r24_in_order::PROPERTY,
    r24a_told_until_it_leaves::PROPERTY,
    r28_nothing_lost::PROPERTY,
    r29_elected_first::PROPERTY,
    l1_drain_ends::PROPERTY,
    l2_slave_resolved::PROPERTY,
    l3_updates_arrive::PROPERTY,
    l4_inverse_offer_answered_or_revoked::PROPERTY,
    l5_slave_exits::PROPERTY,
    l6_offers_resume::PROPERTY,
    l7_views_agree::PROPERTY,
    sometimes::verbs::RUNS,
    sometimes::verbs::FINISHES,
    sometimes::verbs::FAILS,
    sometimes::verbs::KILLED,
    sometimes::verbs::KILLED_BY_OPERATOR,
    sometimes::verbs::RESCINDED,
    sometimes::verbs::TIMED_OUT,
    sometimes::verbs::FILTERED,
    sometimes::verbs::SUPPRESSED,
    sometimes::verbs::DEACTIVATED,
    sometimes::verbs::ACTIVATED,
    sometimes::verbs::HELD_ON,
    sometimes::verbs::ASKED,
    sometimes::verbs::ACCEPTED,
    sometimes::verbs::DECLINED,
    sometimes::verbs::RETURNED,
    sometimes::verbs::TAKEN,
    sometimes::verbs::TAKEN_BACK,
    sometimes::verbs::REVOKED,
    sometimes::verbs::PLANNED,
    sometimes::verbs::AS_PLANNED,
    sometimes::verbs::DRAINED,
    sometimes::verbs::DRAINED_AND_GONE,
    sometimes::verbs::DRAIN_CANCELLED,
    sometimes::verbs::DRAIN_EXTENDED,
    sometimes::verbs::DRAIN_AGAIN,
    sometimes::verbs::DRAIN_CHANGED,
    sometimes::verbs::HELD_AWAY,
    sometimes::verbs::TOLD_TO_LEAVE,
    sometimes::verbs::TOLD_WHEN_BACK,
    sometimes::verbs::HASTENED,
    sometimes::verbs::NOW_UNSEEN,
    sometimes::verbs::GRACE_SKIPPED,
    sometimes::verbs::GRACE_OVER,
    sometimes::verbs::UNREGISTERED,
    sometimes::verbs::EXITED,
    sometimes::verbs::EXITED_UNACKNOWLEDGED,
    sometimes::verbs::NEVER_CAME,
    sometimes::verbs::NEW_ID,
    sometimes::verbs::TASKS_TAKEN_UP,
    sometimes::verbs::LEFT_WITH_TASKS,
    sometimes::verbs::TAKEN_OVER,
    sometimes::verbs::TORN_DOWN,
    sometimes::verbs::FAILED_OVER,
    sometimes::verbs::FRAMEWORK_REMOVED,
    sometimes::races::ACCEPT_LATE,
    sometimes::races::ACCEPT_FIRST,
    sometimes::races::FINISH_FIRST,
    sometimes::races::FINISH_LATE,
    sometimes::races::REGISTERS_FIRST,
    sometimes::races::REGISTERS_BETWEEN,
    sometimes::races::REGISTERS_LATE,
    sometimes::races::RETURNS_BETWEEN,
    sometimes::races::RETURNS_LATE,
    sometimes::races::ANSWER_FIRST,
    sometimes::races::ANSWER_LATE,
    sometimes::races::KILL_FIRST,
    sometimes::races::KILL_LATE,
    sometimes::races::EXTENDED_FIRST,
    sometimes::races::EXTENDED_LATE,
    sometimes::races::CANCELLED_LATE,
    sometimes::races::NEW_LEADER_MID_DRAIN,
    sometimes::refusals::NOT_LEADING,
    sometimes::refusals::UNKNOWN_SLAVE,
    sometimes::refusals::REMOVED_SLAVE,
    sometimes::refusals::UNKNOWN_FRAMEWORK,
    sometimes::refusals::UNKNOWN_TASK,
    sometimes::refusals::UNKNOWN_INVERSE_OFFER,
    sometimes::refusals::INVERSE_OFFER_OF_DRAIN,
    sometimes::refusals::UNKNOWN_DRAIN,
    sometimes::refusals::DRAIN_ENDED,
    sometimes::refusals::HOLD_OF_DRAIN,
    sometimes::refusals::RESERVED_HOLD,
    sometimes::refusals::ALREADY_ASKED,
    sometimes::refusals::NOTHING_THERE,
    sometimes::refusals::NOTHING_ASKED,
    sometimes::refusals::PLAN_CHANGED,
    sometimes::refusals::DRAIN_DIFFERS,
    sometimes::refusals::DRAIN_IS_NOW,
    sometimes::refusals::DRAIN_TOLD,
    sometimes::refusals::STORAGE,
    sometimes::refusals::OVERLOADED,
    sometimes::refusals::SLAVE_ANSWERS,
    sometimes::refusals::LEASES_RUN,
    sometimes::refusals::SLAVE_CHANGING,
    sometimes::refusals::SLAVE_DEACTIVATED,
    sometimes::refusals::SLAVE_LEAVING,
    sometimes::refusals::SLAVE_DISCONNECTED,
    sometimes::refusals::SLAVE_SILENT,
    sometimes::refusals::SLAVE_REMOVED,
    sometimes::refusals::OFFER_GONE,
    sometimes::refusals::BEYOND_OFFER,
    sometimes::refusals::INVALID_SPEC,
    sometimes::refusals::SLAVE_FORGOT,
    sometimes::refusals::SLAVE_REFUSED,
    sometimes::refusals::SLAVE_SENT_ON,
    sometimes::refusals::FRAMEWORK_REFUSED,
    sometimes::faults::UNREACHABLE,
    sometimes::faults::LOST_UNREACHABLE,
    sometimes::faults::OUT_OF_REACH,
    sometimes::faults::BACK_IN_REACH,
    sometimes::faults::REVOKED_WHEN_BACK,
    sometimes::faults::ZOMBIE_KILLED,
    sometimes::faults::LOST_RESTARTED,
    sometimes::faults::SURVIVORS_ENDED,
    sometimes::faults::TAKEN_UP,
    sometimes::faults::LEAVES_AGAIN,
    sometimes::faults::ENDED_ALONE,
    sometimes::faults::ABANDONED,
    sometimes::faults::FENCED,
    sometimes::faults::UNLEASED,
    sometimes::faults::OBEYED,
    sometimes::faults::LOST_REBOOTED,
    sometimes::faults::RESET,
    sometimes::faults::SILENT,
    sometimes::faults::ANSWERS,
    sometimes::faults::FORGOTTEN,
    sometimes::faults::LOST_DECLARED_DEAD,
    sometimes::faults::HALTED,
    sometimes::faults::RESUMED,
    sometimes::faults::UNSEEN,
    sometimes::faults::CUT_OFF,
    sometimes::faults::OVERRAN,
    sometimes::faults::EXECUTOR_ENDED,
    sometimes::faults::EXECUTOR_NOT_STARTED,
    sometimes::faults::SLAVE_DISK,
    sometimes::faults::STORE_REFUSED_DEPOSED,
    sometimes::faults::DEPOSED_NOT_OBEYED,
    sometimes::faults::NEW_LEADER,
    sometimes::faults::UNHANDLED,
    sometimes::faults::TOLD_AGAIN,
    sometimes::faults::RECOGNISED,
];

/// The properties that a step breaks.
pub fn broken(seen: &Seen<'_>) -> Mask {
    let mut broken = broken_by_step(seen);
    broken.extend(broken_in_state(seen.scope, seen.after));
    broken
}

/// Those of them that are properties of steps.
pub fn broken_by_step(seen: &Seen<'_>) -> Mask {
    those(|property| matches!(property.kind, Kind::Step(wrong) if wrong(seen).is_err()))
}

/// Those of them that are properties of states.
pub fn broken_in_state(scope: &Scope, world: &World) -> Mask {
    those(|property| matches!(property.kind, Kind::State(wrong) if wrong(scope, world).is_err()))
}

fn those(are: impl Fn(&Property) -> bool) -> Mask {
    (0..ALL.len()).filter(|at| are(&ALL[*at])).collect()
}

/// What is wrong with a step, by one property.
///
/// # Errors
/// In words.
pub fn verdict(property: &Property, seen: &Seen<'_>) -> Result<(), String> {
    match property.kind {
        Kind::Step(wrong) => wrong(seen),
        Kind::State(wrong) => wrong(seen.scope, seen.after),
        Kind::Sometimes(_) | Kind::Eventually(_) => Ok(()),
    }
}

/// Whether a state is good for an `eventually` property.
pub fn is_good(all: &[IsGood], scope: &Scope, world: &World) -> bool {
    all.iter().all(|is| is(scope, world))
}

/// Adds the `sometimes` properties that a step reaches.
pub fn reach(seen: &Seen<'_>, reached: &mut Mask) {
    for (at, property) in ALL.iter().enumerate() {
        if let Kind::Sometimes(is) = property.kind
            && !reached.contains(at)
            && is(seen)
        {
            reached.insert(at);
        }
    }
}

/// The `sometimes` properties that a step reaches.
pub fn reached(seen: &Seen<'_>) -> Mask {
    let mut reached = Mask::NONE;
    reach(seen, &mut reached);
    reached
}

/// A set of properties, by their places in [`ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask([u64; WORDS]);

/// How many words of bits a set takes.
pub const WORDS: usize = ALL.len().div_ceil(64);

impl Mask {
    /// None of them.
    pub const NONE: Self = Self([0; WORDS]);

    /// Whether it has the property at this place.
    pub fn contains(&self, at: usize) -> bool {
        self.0[at / 64] & 1 << (at % 64) != 0
    }

    /// Adds the property at this place; false if it was there.
    pub fn insert(&mut self, at: usize) -> bool {
        let fresh = !self.contains(at);
        self.0[at / 64] |= 1 << (at % 64);
        fresh
    }

    /// Adds those of another set.
    pub fn extend(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// The bits of it, lowest places first.
    pub fn words(&self) -> [u64; WORDS] {
        self.0
    }

    /// The set of these bits.
    pub fn of_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The places of those that it has, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        (0..ALL.len()).filter(|at| self.contains(*at))
    }
}

impl FromIterator<usize> for Mask {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut mask = Self::NONE;
        places.into_iter().for_each(|at| {
            mask.insert(at);
        });
        mask
    }
}
