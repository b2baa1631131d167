//! R6, R16: a slave that is known to be silent gets no work. It has let the time of a ping pass, and has not answered since:
//! until it does, nothing is offered of it and nothing launched there, and an accept in flight is answered.

use neap_protocol::ids::{SlaveId, TaskId};
use neap_protocol::message::{FrameworkToMaster, MasterToFramework, MasterToSlave};
use neap_protocol::task::TaskState;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R6 silent-gets-no-work", guards: "R6 R16", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    let silent = |slave: SlaveId| seen.after.ghost.unanswered.get(&slave) == Some(&true);
    for (to, message) in seen.leader_said() {
        if let Message::MasterToFramework(MasterToFramework::Offers(offers)) = message
            && let Some(offer) = offers.iter().find(|offer| silent(offer.slave))
        {
            return Err(format!("{} of {} goes out, which does not answer", offer.id, offer.slave));
        }
        if let (Dialer::Slave(number), Message::MasterToSlave(MasterToSlave::Launch(spec))) = (to, message)
            && let Some(slave) = seen.after.admitted_id(number)
            && silent(slave)
        {
            return Err(format!("{} is launched on {slave}, which does not answer", spec.id));
        }
    }
    if let Some(FrameworkToMaster::Accept { slave, tasks, .. }) = seen.framework_heard()
        && silent(*slave)
        && let Some(task) = tasks.iter().map(|spec| spec.id).find(|task| !is_dropped(seen, *task))
    {
        return Err(format!("{task} is accepted on {slave}, which does not answer, and is not Dropped"));
    }
    Ok(())
}

fn is_dropped(seen: &Seen<'_>, task: TaskId) -> bool {
    seen.leader_said().any(|(_, message)| {
        matches!(message, Message::MasterToFramework(MasterToFramework::Update { update, .. })
            if update.task == task && update.state == TaskState::Dropped)
    })
}
