//! R23a: what a drain or an unregistration does to a task is in its receipt: that it was revoked, and how it ended.

use neap_protocol::ids::TaskId;
use neap_protocol::master::Master;
use neap_protocol::message::{DrainEnd, ReceiptId, ReceiptLine};
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::{Action, Event, Happening};

pub(super) const PROPERTY: Property =
    Property { name: "R23a receipts", guards: "R23a", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let Some(number) = leader_acts(seen) else { return Ok(()) };
    let masters = (&seen.before.masters[number].machine, &seen.after.masters[number].machine);
    let (Some(before), Some(after)) = masters else { return Ok(()) };
    for operation in seen.stored() {
        let ends = matches!(operation, Operation::EndDrain { .. })
            && !records(seen, |_| true, |line| matches!(line, ReceiptLine::DrainEnded { .. }));
        let leaves = matches!(operation, Operation::RemoveSlave { .. })
            && !records(seen, |_| true, |line| *line == ReceiptLine::Unregistered);
        if ends || leaves {
            return Err(format!("{operation:?}, and no receipt says so"));
        }
    }
    ends(seen, before, after)
}

/// The leader that this step is of.
fn leader_acts(seen: &Seen<'_>) -> Option<usize> {
    if !seen.after.masters.iter().any(|node| node.may_have_changed()) {
        return None;
    }
    let leads = |number: u8| {
        let node = &seen.after.masters[usize::from(number)];
        let leads = node.machine.as_ref().is_some_and(Master::leads) && node.epoch == seen.after.store.fence;
        leads.then_some(usize::from(number))
    };
    if let Action::MasterStored(number) = seen.action {
        return leads(number);
    }
    let Action::Deliver(key, _) = seen.action else { return None };
    seen.before.link(key).and_then(|link| leads(link.master))
}

/// Every task that ends while its slave drains, or with it, has a line.
fn ends(seen: &Seen<'_>, before: &Master, after: &Master) -> Result<(), String> {
    for task in before.tasks().filter(|task| !task.state.is_terminal()) {
        if after.tasks().any(|now| now.id == task.id && !now.state.is_terminal()) {
            continue;
        }
        let registry = &seen.before.store.registry;
        let drain = registry.slaves().get(&task.slave).and_then(|record| record.drain);
        let drain = drain.filter(|id| {
            registry.drains().get(id).is_some_and(|drain| drain.end != Some(DrainEnd::Cancelled))
        });
        let left = seen.after.ghost.removed.contains_key(&task.slave);
        let owned = registry.frameworks().contains_key(&task.id.framework);
        // Without a disk a slave that was started anew has forgotten that it told an end, which was recorded, and tells another.
        let again = seen.scope.budget.has(Event::FullDisk) && seen.before.ghost.over.contains_key(&task.id);
        if !owned || again || (drain.is_none() && !left) || knows_no_framework(after, task.id) {
            continue;
        }
        let ended =
            |line: &ReceiptLine| matches!(line, ReceiptLine::Ended { task: of, .. } if *of == task.id);
        let receipt = |id: ReceiptId| match id {
            ReceiptId::Drain(id) => Some(id) == drain,
            ReceiptId::Unregistration(slave) => slave == task.slave,
            ReceiptId::InverseOffer(_) => true,
        };
        // What ends as its slave leaves is in the receipt of that, and in its drain's.
        let of_drain = |id: ReceiptId| matches!(id, ReceiptId::Drain(id) if Some(id) == drain);
        if left && drain.is_some() && !records(seen, of_drain, ended) {
            return Err(format!(
                "{} ends as {} leaves, and no drain's receipt says how",
                task.id, task.slave
            ));
        }
        if !records(seen, receipt, ended) {
            return Err(format!("{} ends on {}, and no receipt says how", task.id, task.slave));
        }
    }
    Ok(())
}

/// A framework's removal forgets its tasks; their ends come with their slave's news.
fn knows_no_framework(master: &Master, task: TaskId) -> bool {
    master.registry().is_none_or(|registry| !registry.frameworks().contains_key(&task.framework))
}

fn records(seen: &Seen<'_>, of: impl Fn(ReceiptId) -> bool, what: impl Fn(&ReceiptLine) -> bool) -> bool {
    seen.happenings.iter().any(
        |happening| matches!(happening, Happening::Recorded { receipt, line } if of(*receipt) && what(line)),
    )
}
