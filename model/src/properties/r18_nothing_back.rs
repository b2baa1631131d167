//! R18: while an inverse offer is open, nothing of that slave is offered to that framework.

use neap_protocol::message::MasterToFramework;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R18 nothing-back", guards: "R18", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for (to, message) in seen.leader_said() {
        let (Dialer::Framework(number), Message::MasterToFramework(MasterToFramework::Offers(offers))) =
            (to, message)
        else {
            continue;
        };
        let framework = seen.after.frameworks[usize::from(number)].id();
        let mut open = seen.after.store.registry.inverse_offers().iter();
        let asked = open.find(|(_, record)| {
            Some(record.framework) == framework && offers.iter().any(|offer| offer.slave == record.slave)
        });
        if let Some((id, record)) = asked {
            return Err(format!(
                "{} is offered to {}, of which {id} asks it back",
                record.slave, record.framework
            ));
        }
    }
    Ok(())
}
