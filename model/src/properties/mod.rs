//! What must hold, each in a file of its own, and the one table of them.
//!
//! To add one: write a file with a `PROPERTY`, name it in the table. A [`Kind::Step`] sees a step with what happened
//! in it, a [`Kind::State`] sees where it led; both may look at the truth ([`World::is_alive`], the ghost) and not
//! only at what nodes believe. [`Kind::Sometimes`] must be reached, so that a pass is not vacuous, and
//! [`Kind::Eventually`] must be reachable from everywhere without anything going wrong or being wanted.

use crate::scope::Scope;
use crate::world::{Action, Happening, World};

mod eventually;
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

/// When a property is looked at, and how.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Of every step: what is wrong with it.
    Step(fn(&Seen<'_>) -> Result<(), String>),
    /// Of every state: what is wrong with it.
    State(fn(&Scope, &World) -> Result<(), String>),
    /// Of some step.
    Sometimes(fn(&Seen<'_>) -> bool),
    /// Of some state that can be reached from every state, by calm actions alone.
    Eventually(fn(&Scope, &World) -> bool),
}

/// A set of properties, by their place in [`ALL`].
pub type Mask = u64;

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

/// Every property.
pub const ALL: &[Property] = &[
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
    s15_bounded_queues::PROPERTY,
    s16_task_id_unique::PROPERTY,
    eventually::DRAIN_ENDS,
    eventually::SLAVE_RESOLVED,
    eventually::UPDATES_ARRIVE,
    eventually::INVERSE_OFFERS_END,
    eventually::SLAVE_EXITS,
    eventually::OFFERS_RESUME,
    eventually::VIEWS_AGREE,
    sometimes::LAUNCHED,
    sometimes::FINISHED,
    sometimes::DEACTIVATED,
    sometimes::DROPPED_BY_DEACTIVATION,
    sometimes::INVERSE_RETURNED,
    sometimes::REVOKED,
    sometimes::DRAINED,
    sometimes::UNREGISTERED,
    sometimes::LOST_BY_UNREGISTRATION,
    sometimes::UNREACHABLE,
    sometimes::READMITTED,
    sometimes::REFUSED_AS_REMOVED,
    sometimes::FRAMEWORK_REMOVED,
    sometimes::EXITED_UNACKNOWLEDGED,
    sometimes::STORE_REFUSED_DEPOSED,
];

/// The properties that a step breaks, by their place in [`ALL`].
pub fn broken(seen: &Seen<'_>) -> Mask {
    broken_by_step(seen) | broken_in_state(seen.scope, seen.after)
}

/// Those of them that are properties of steps.
pub fn broken_by_step(seen: &Seen<'_>) -> Mask {
    mask(|property| matches!(property.kind, Kind::Step(wrong) if wrong(seen).is_err()))
}

/// Those of them that are properties of states.
pub fn broken_in_state(scope: &Scope, world: &World) -> Mask {
    mask(|property| matches!(property.kind, Kind::State(wrong) if wrong(scope, world).is_err()))
}

/// The `eventually` properties for which a state is good.
pub fn good(scope: &Scope, world: &World) -> Mask {
    mask(|property| matches!(property.kind, Kind::Eventually(is) if is(scope, world)))
}

fn mask(is: impl Fn(&Property) -> bool) -> Mask {
    let chosen = ALL.iter().enumerate().filter(|(_, property)| is(property));
    chosen.fold(0, |mask, (at, _)| mask | 1 << at)
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

/// The `sometimes` properties that a step reaches, by their place in [`ALL`].
pub fn reached(seen: &Seen<'_>) -> Mask {
    mask(|property| matches!(property.kind, Kind::Sometimes(is) if is(seen)))
}
