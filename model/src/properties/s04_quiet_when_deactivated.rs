//! S4: no offer, and no launch, after a hold is durable, under whatever id the slave of that name is there; an accept that was in flight is answered with the reason.

use neap_protocol::ids::{SlaveId, TaskId};
use neap_protocol::message::{FrameworkToMaster, MasterToFramework, MasterToSlave};
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S4 quiet-when-deactivated", guards: "R16 R21", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let held = |slave: SlaveId| {
        let registry = &seen.after.store.registry;
        let name = registry.slaves().get(&slave).map(|record| &record.name);
        name.and_then(|name| registry.holds_of(name)).is_some_and(|holds| !holds.is_empty())
    };
    for (to, message) in seen.leader_said() {
        if let Message::MasterToFramework(MasterToFramework::Offers(offers)) = message
            && let Some(offer) = offers.iter().find(|offer| held(offer.slave))
        {
            return Err(format!("{} of {} goes out, which is deactivated", offer.id, offer.slave));
        }
        if let (Dialer::Slave(number), Message::MasterToSlave(MasterToSlave::Launch(spec))) = (to, message)
            && let Some(slave) = seen.after.admitted_id(number)
            && held(slave)
        {
            return Err(format!("{} is launched on {slave}, which is deactivated", spec.id));
        }
    }
    if let Some(FrameworkToMaster::Accept { slave, tasks, .. }) = seen.framework_heard()
        && held(*slave)
        && let Some(task) = tasks.iter().map(|spec| spec.id).find(|task| !is_answered(seen, *task))
    {
        return Err(format!("{task} is accepted on {slave}, which is deactivated, and not Dropped for that"));
    }
    Ok(())
}

fn is_answered(seen: &Seen<'_>, task: TaskId) -> bool {
    seen.leader_said().any(|(_, message)| {
        matches!(message, Message::MasterToFramework(MasterToFramework::Update { update, .. })
            if update.task == task
                && update.state == TaskState::Dropped
                && update.reason == Reason::SlaveDeactivated)
    })
}
