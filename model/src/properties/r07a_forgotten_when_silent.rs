//! R7a: an operator's word that a slave is dead is not taken of one that answers; and its tasks are Lost for that only once
//! its removal is durable.

use neap_protocol::message::{Command, MasterToFramework};
use neap_protocol::registry::Operation;
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::{Action, Dialer, End, Message};

pub(super) const PROPERTY: Property =
    Property { name: "R7a forgotten-when-silent", guards: "R7a", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for (_, message) in seen.leader_said() {
        if let Message::MasterToFramework(MasterToFramework::Update { update, .. }) = message
            && update.reason == Reason::SlaveDeclaredDead
            && (update.state != TaskState::Lost || seen.after.ghost.removed.is_empty())
        {
            return Err(format!("{} is told {} before its slave is removed", update.task, update.state));
        }
    }
    let Action::Command(master) = seen.action else { return Ok(()) };
    let given = seen.scope.commands.get(usize::from(seen.before.commands));
    let Some(Command::ForgetSlave { .. }) = given else { return Ok(()) };
    let (before, after) =
        (&seen.before.masters[usize::from(master)], &seen.after.masters[usize::from(master)]);
    let asked = after.pending().nth(before.pending().count());
    let Some(Operation::RemoveSlave { slave, .. }) = asked.cloned() else { return Ok(()) };
    let registered = (0..).zip(&seen.after.slaves).any(|(number, node)| {
        let its = |dialer: Dialer| dialer == Dialer::Slave(number);
        let here = node.machine.as_ref().is_some_and(|machine| machine.is_registered());
        let linked = seen.after.links.iter().any(|link| {
            its(link.key.0) && link.master == master && link.is_open(End::Far) && link.is_open(End::Near)
        });
        seen.after.slave_id(number) == Some(slave) && here && linked
    });
    match registered && seen.after.ghost.unanswered.get(&slave) != Some(&true) {
        true => Err(format!("{slave} is forgotten, and answers")),
        false => Ok(()),
    }
}
