//! S7: only the newest epoch's commands act. Nobody acts on the word of a leader that is older than one that it has
//! heard, and a master that was not elected, or no longer leads, says so and nothing else.

use neap_protocol::framework::Event;
use neap_protocol::ids::Epoch;
use neap_protocol::message::{MasterToFramework, MasterToSlave, Refused};

use super::{Kind, Property, Seen};
use crate::world::{Action, Dialer, End, Happening, Message, World};

pub(super) const PROPERTY: Property =
    Property { name: "S7 one-voice", guards: "R29 R30", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    masters_know(seen)?;
    let Action::Deliver(key, End::Near) = seen.action else { return Ok(()) };
    let Some(link) = seen.before.link(key).filter(|link| link.epoch > Epoch(0)) else { return Ok(()) };
    match key.0 {
        Dialer::Slave(number) => slave_obeys(seen, number, link.epoch),
        Dialer::Framework(number) => scheduler_hears(seen, number, link.epoch),
        Dialer::Executor(..) => Ok(()),
    }
}

/// An epoch is durable before anyone is answered, and over at once.
fn masters_know(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::MasterSaid { master, epoch, message, .. } = happening else { continue };
        let leads = *epoch > Epoch(0) && seen.after.store.registry.epoch >= *epoch;
        let declines = matches!(
            message,
            Message::MasterToSlave(MasterToSlave::Refused(Refused::NotLeading { .. }))
                | Message::MasterToFramework(MasterToFramework::NotLeading { .. })
        );
        if !leads && !declines {
            return Err(format!("master {master} does not lead, and says {message:?}"));
        }
    }
    Ok(())
}

fn slave_obeys(seen: &Seen<'_>, number: u8, said: Epoch) -> Result<(), String> {
    let node = &seen.before.slaves[usize::from(number)];
    let Some(before) = node.machine.as_ref().filter(|machine| said < machine.epoch()) else {
        return Ok(());
    };
    let acted = |happening: &Happening| {
        matches!(
            happening,
            Happening::Terminated { .. }
                | Happening::Killed { .. }
                | Happening::Exited { .. }
                | Happening::Abandoned { .. }
        )
    };
    let trees = |world: &World| world.trees.iter().filter(|tree| tree.slave == number).count();
    let after = seen.after.slaves[usize::from(number)].machine.as_ref();
    let same = after.is_some_and(|after| {
        after.checkpoint() == before.checkpoint() && after.is_leaving() == before.is_leaving()
    });
    match seen.happenings.iter().any(acted) || trees(seen.before) != trees(seen.after) || !same {
        true => Err(format!("slave {number} has heard {}, and obeys {said}", before.epoch())),
        false => Ok(()),
    }
}

fn scheduler_hears(seen: &Seen<'_>, number: u8, said: Epoch) -> Result<(), String> {
    let machine = seen.before.frameworks[usize::from(number)].machine.as_ref();
    let Some(heard) = machine.map(|machine| machine.epoch()).filter(|heard| said < *heard) else {
        return Ok(());
    };
    for happening in seen.happenings {
        if let Happening::Told { event, .. } = happening
            && !matches!(event, Event::Disconnected | Event::Rescinded(_))
        {
            return Err(format!("scheduler {number} has heard {heard}, and hears {event:?} from {said}"));
        }
    }
    Ok(())
}
