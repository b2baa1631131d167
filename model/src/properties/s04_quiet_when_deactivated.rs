//! S4: no offer, and no launch, after a hold is durable.

use neap_protocol::ids::SlaveId;
use neap_protocol::message::{MasterToFramework, MasterToSlave};

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S4 quiet-when-deactivated", guards: "R16 R21", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let held = |slave: SlaveId| {
        let record = seen.after.store.registry.slaves().get(&slave);
        record.is_some_and(|record| !record.holds.is_empty())
    };
    for happening in seen.happenings {
        let Happening::MasterSaid { epoch, to, message, .. } = happening else { continue };
        if *epoch < seen.after.store.fence {
            continue;
        }
        if let Message::MasterToFramework(MasterToFramework::Offers(offers)) = message
            && let Some(offer) = offers.iter().find(|offer| held(offer.slave))
        {
            return Err(format!("{} of {} goes out, which is deactivated", offer.id, offer.slave));
        }
        if let (Dialer::Slave(number), Message::MasterToSlave(MasterToSlave::Launch(spec))) = (to, message)
            && let Some(slave) = seen.after.slave_id(*number)
            && held(slave)
        {
            return Err(format!("{} is launched on {slave}, which is deactivated", spec.id));
        }
    }
    Ok(())
}
