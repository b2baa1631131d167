//! S14: a revocation takes the fewest further tasks that give back what was asked for: tried over all sets of tasks. What is
//! being killed gives back what it holds, and keeps its grace.

use neap_protocol::ids::{InverseOfferId, TaskId};
use neap_protocol::master::{CountedTask, Master};
use neap_protocol::message::{Event, InverseAsk, MasterToSlave};
use neap_protocol::registry::InverseOfferRecord;
use neap_protocol::resources::Resources;
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};
use crate::world::{Action, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S14 asked-and-no-more", guards: "R19", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    // Whoever did not change asks for nothing.
    let masters =
        seen.before.masters.iter().zip(&seen.after.masters).filter(|(before, after)| before != after);
    for (before, after) in masters {
        if let (Some(before), Some(after)) = (&before.machine, &after.machine)
            && before != after
        {
            for (id, record) in seen.after.store.registry.inverse_offers().iter() {
                revoked(before, after, *id, record)?;
            }
            if seen.after.store.registry.inverse_offers().iter().next().is_some() {
                not_sooner(seen, before)?;
            }
        }
    }
    Ok(())
}

/// A revocation of a part neither takes nor hastens what is being killed.
fn not_sooner(seen: &Seen<'_>, before: &Master) -> Result<(), String> {
    let dying = |task: TaskId| before.tasks().any(|known| known.id == task && known.dying);
    let mut part = false;
    for happening in seen.happenings {
        let Happening::MasterEvent { event: Event::Revoking { inverse_offer, tasks }, .. } = happening else {
            continue;
        };
        let record = seen.after.store.registry.inverse_offers().get(inverse_offer);
        if !record.is_some_and(|record| matches!(record.ask, InverseAsk::Amount(_))) {
            continue;
        }
        part = true;
        if let Some(task) = tasks.iter().find(|task| dying(**task)) {
            return Err(format!("{inverse_offer} takes {task}, which is being killed"));
        }
    }
    // At a registration what was asked before is asked again.
    if !part || !matches!(seen.action, Action::MasterStored(_)) {
        return Ok(());
    }
    for said in seen.masters_said() {
        if let Message::MasterToSlave(MasterToSlave::Kill { task, .. }) = said.message
            && dying(*task)
        {
            return Err(format!("{task} is being killed, and a revocation asks for its end again"));
        }
    }
    Ok(())
}

fn revoked(
    before: &Master,
    after: &Master,
    id: InverseOfferId,
    record: &InverseOfferRecord,
) -> Result<(), String> {
    let was_dying = |task: TaskId| before.tasks().any(|known| known.id == task && known.dying);
    no_more_than_needed(after, id, record, |task| {
        task.kill == Some(Reason::Revoked(id)) && !was_dying(task.id)
    })
}

/// Holds what a revocation takes of what `master` counts against everything that it could have taken.
///
/// # Errors
/// How many it takes, and how many would do.
pub(crate) fn no_more_than_needed(
    master: &Master,
    id: InverseOfferId,
    record: &InverseOfferRecord,
    takes: impl Fn(&CountedTask<'_>) -> bool,
) -> Result<(), String> {
    let InverseAsk::Amount(amount) = &record.ask else { return Ok(()) };
    let its = |task: &CountedTask<'_>| {
        task.slave == record.slave && task.id.framework == record.framework && !task.state.is_terminal()
    };
    let (taken, others): (Vec<CountedTask<'_>>, Vec<_>) = master.tasks().filter(its).partition(takes);
    if taken.is_empty() {
        return Ok(());
    }
    let spare: Vec<_> = taken.iter().chain(others.iter().filter(|task| !task.dying)).collect();
    let over = sum(spare.iter().map(|task| task.resources)).saturating_sub(&record.keep);
    let rest = least(&over, amount);
    let fewest = (0..1_u32 << spare.len().min(16))
        .filter(|set| {
            let chosen = spare.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
            sum(chosen.map(|(_, task)| task.resources)).contains(&rest)
        })
        .map(u32::count_ones)
        .min();
    match fewest.is_some_and(|fewest| taken.len() as u32 > fewest) {
        true => Err(format!("{id} takes {} tasks, where {fewest:?} would do", taken.len())),
        false => Ok(()),
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a Resources>) -> Resources {
    parts.fold(Resources::NONE, |sum, part| sum.saturating_add(part))
}

/// The less of each kind. Worlds have no ports.
fn least(one: &Resources, other: &Resources) -> Resources {
    Resources {
        cpus: one.cpus.min(other.cpus),
        mem: one.mem.min(other.mem),
        disk: one.disk.min(other.disk),
        ..Resources::NONE
    }
}
