//! S14: a revocation takes the fewest tasks that give back what was asked for: tried over all sets of tasks.

use neap_protocol::ids::{InverseOfferId, TaskId};
use neap_protocol::master::{CountedTask, Master};
use neap_protocol::message::InverseAsk;
use neap_protocol::registry::InverseOfferRecord;
use neap_protocol::resources::Resources;
use neap_protocol::task::Reason;

use super::{Kind, Property, Seen};

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
    let was_dying = |task: TaskId| before.tasks().any(|known| known.id == task && known.kill.is_some());
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
    let spare: Vec<_> = taken.iter().chain(others.iter().filter(|task| task.kill.is_none())).collect();
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
