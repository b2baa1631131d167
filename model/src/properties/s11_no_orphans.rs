//! S11: a slave that has done what it was told leaves no process behind.

use neap_protocol::slave::EXIT_DONE;

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "S11 no-orphans", guards: "R5 R24 R26", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        if let Happening::Exited { slave, code: EXIT_DONE } = happening
            && let Some(tree) = seen.after.trees.iter().find(|tree| tree.slave == *slave && tree.is_alive())
        {
            return Err(format!("slave {slave} exits, and {} lives", tree.id));
        }
    }
    Ok(())
}
