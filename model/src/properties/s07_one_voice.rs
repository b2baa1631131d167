//! S7: a slave does not act on the word of a leader that is older than one that it has heard.

use super::{Kind, Property, Seen};
use crate::world::{Action, Dialer, End, Happening};

pub(super) const PROPERTY: Property =
    Property { name: "S7 one-voice", guards: "R30", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let Action::Deliver(key @ (Dialer::Slave(number), _), End::Near) = seen.action else {
        return Ok(());
    };
    let Some(link) = seen.before.link(key) else { return Ok(()) };
    let slave = &seen.before.slaves[usize::from(number)];
    let heard = slave.machine.as_ref().map_or(slave.disk.epoch, |machine| machine.epoch());
    if link.epoch.0 == 0 || link.epoch >= heard {
        return Ok(());
    }
    let acted =
        |happening: &Happening| matches!(happening, Happening::Killed { .. } | Happening::Exited { .. });
    let trees = |world: &crate::world::World| world.trees.iter().filter(|tree| tree.slave == number).count();
    match seen.happenings.iter().any(acted) || trees(seen.before) != trees(seen.after) {
        true => Err(format!("slave {number} has heard {heard}, and obeys {}", link.epoch)),
        false => Ok(()),
    }
}
