//! S11: no process without a slave that knows it: none that a running slave does not know, none that one leaves behind
//! that has done what it was told, none of an earlier life when a host registers as new.

use neap_protocol::message::SlaveToMaster;
use neap_protocol::slave::{EXIT_DONE, EXIT_UNHEARD};

use super::{Kind, Property, Seen};
use crate::shared::Shared;
use crate::world::{Dialer, Happening, Message, Tree};

pub(super) const PROPERTY: Property =
    Property { name: "S11 no-orphans", guards: "R3 R5 R24 R26", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let lives = |slave: u8| seen.after.trees.iter().find(|tree| tree.slave == slave && tree.is_alive());
    for happening in seen.happenings {
        if let Happening::Exited { slave, code: EXIT_DONE | EXIT_UNHEARD } = happening
            && let Some(tree) = lives(*slave)
        {
            return Err(format!("slave {slave} exits, and {} lives", tree.id));
        }
        if let Happening::Said {
            from: Dialer::Slave(slave),
            message: Message::SlaveToMaster(SlaveToMaster::Register { id: None, .. }),
        } = happening
            && let Some(tree) = lives(*slave)
        {
            return Err(format!("slave {slave} registers as new, and {} lives", tree.id));
        }
    }
    // What a tree is of is not asked before there may be news: that would read every tree at every step.
    let some_slave = seen.after.slaves.iter().any(|slave| slave.may_have_changed());
    let may_be_news = |tree: &&Shared<Tree>| tree.may_have_changed() || some_slave;
    let is_unknown = |tree: &&Tree| {
        let slave = seen.after.slaves[usize::from(tree.slave)].machine.as_ref();
        (tree.is_alive() || tree.starting) && slave.is_some_and(|slave| !slave.knows(tree.id))
    };
    match seen.after.trees.iter().filter(may_be_news).map(|tree| &**tree).find(is_unknown) {
        Some(tree) => Err(format!("{} lives, and slave {} does not know it", tree.id, tree.slave)),
        None => Ok(()),
    }
}
