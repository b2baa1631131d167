//! S6: what a leader has in memory is what is in the registry; what anyone was told is there, or on the slave's disk.

use neap_protocol::ids::SlaveId;
use neap_protocol::master::Master;
use neap_protocol::message::{Answer, Command, MasterToFramework, MasterToSlave, SlaveRef, SlaveToMaster};
use neap_protocol::registry::{InverseStage, Registry, drain_hold};
use neap_protocol::task::{Reason, Update};
use neap_protocol::time::Moment;

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Event, Happening, Message};

pub(super) const PROPERTY: Property =
    Property { name: "S6 registry-first", guards: "R1 R16 R20 R25", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    if seen.before.masters != seen.after.masters || seen.before.store != seen.after.store {
        let leader = seen.after.leader().and_then(|node| node.machine.as_ref());
        if leader.and_then(Master::registry).is_some_and(|memory| *memory != seen.after.store.registry) {
            return Err("the leader's registry is not what is durable".into());
        }
    }
    for (to, message) in seen.leader_said() {
        match message {
            Message::MasterToSlave(message) => told_slave(seen, to, message)?,
            Message::MasterToFramework(message) => told_framework(seen, message)?,
            Message::SlaveToMaster(_)
            | Message::FrameworkToMaster(_)
            | Message::ExecutorToSlave(_)
            | Message::SlaveToExecutor(_) => {}
        }
    }
    for (command, answer) in seen.answered() {
        if let (Some(command), Ok(answer)) = (seen.scope.commands.get(usize::from(command)), answer) {
            answered(&seen.after.store.registry, command, answer)?;
        }
    }
    told_master(seen)
}

fn told_slave(seen: &Seen<'_>, to: Dialer, message: &MasterToSlave) -> Result<(), String> {
    let registry = &seen.after.store.registry;
    match message {
        MasterToSlave::Registered { id, .. } if !registry.slaves().contains_key(id) => {
            Err(format!("{id} is told that it is registered, and is not in the registry"))
        }
        MasterToSlave::Unregistered => match to {
            Dialer::Slave(number) => match seen.after.admitted_id(number) {
                Some(id) if seen.before.slave_id(number) == Some(id) => {
                    Err(format!("{id} is told that it is unregistered, and is in the registry"))
                }
                Some(_) | None => Ok(()),
            },
            Dialer::Framework(_) | Dialer::Executor(..) => Ok(()),
        },
        MasterToSlave::KillFramework { framework } if registry.frameworks().contains_key(framework) => {
            Err(format!("{framework} is killed, and is in the registry"))
        }
        MasterToSlave::Kill { reason: Reason::Revoked(id), .. } => {
            let record = registry.inverse_offers().get(id);
            match record.is_some_and(|record| record.stage == InverseStage::Open) {
                true => Err(format!("{id} is revoked, and the registry has its deadline still to come")),
                false => Ok(()),
            }
        }
        MasterToSlave::Registered { .. }
        | MasterToSlave::Refused(_)
        | MasterToSlave::Ping
        | MasterToSlave::Launch(_)
        | MasterToSlave::Kill { .. }
        | MasterToSlave::Acknowledge { .. }
        | MasterToSlave::Resend { .. }
        | MasterToSlave::KillFramework { .. }
        | MasterToSlave::Leave
        | MasterToSlave::Renewed { .. } => Ok(()),
    }
}

fn told_framework(seen: &Seen<'_>, message: &MasterToFramework) -> Result<(), String> {
    let registry = &seen.after.store.registry;
    match message {
        MasterToFramework::Subscribed { id, .. } if !registry.frameworks().contains_key(id) => {
            Err(format!("{id} is told that it is subscribed, and is not in the registry"))
        }
        MasterToFramework::InverseOffer { id, deadline, .. } => {
            match registry.inverse_offers().get(id).is_some_and(|record| record.deadline == *deadline) {
                true => Ok(()),
                false => Err(format!("{id} is told, and is not so in the registry")),
            }
        }
        MasterToFramework::InverseOfferClosed { id, .. } if registry.inverse_offers().contains_key(id) => {
            Err(format!("{id} is told to be over, and is in the registry"))
        }
        MasterToFramework::Update { update, slave } => told_end(seen, update, *slave),
        MasterToFramework::Subscribed { .. }
        | MasterToFramework::NotLeading { .. }
        | MasterToFramework::Refused(_)
        | MasterToFramework::Offers(_)
        | MasterToFramework::Rescind(_)
        | MasterToFramework::InverseOfferClosed { .. }
        | MasterToFramework::Pending(_) => Ok(()),
    }
}

fn told_end(seen: &Seen<'_>, update: &Update, slave: SlaveId) -> Result<(), String> {
    let ghost = &seen.after.ghost;
    let removals = [Reason::SlaveUnregistered, Reason::SlaveRemoved, Reason::SlaveDeclaredDead];
    let of_removal = removals.contains(&update.reason);
    let unreachable = update.reason == Reason::SlaveUnreachable;
    let durable = (!unreachable || ghost.given_up.contains_key(&slave))
        && (!of_removal || ghost.removed.contains_key(&slave));
    match durable {
        true => Ok(()),
        false => Err(format!("{} is {}, and nothing durable says so of {slave}", update.task, update.reason)),
    }
}

/// What an operator was told is so (R16, R20, R22).
fn answered(registry: &Registry, command: &Command, answer: &Answer) -> Result<(), String> {
    let holds = |slave: &SlaveRef| {
        let name = registry.resolve_name(slave).ok()?;
        let slave = registry.slave_named(&name).and_then(|id| registry.slaves().get(&id));
        Some((registry.holds_of(&name)?, slave.and_then(|record| record.drain)))
    };
    let is_so = match (command, answer) {
        (Command::Deactivate { slave, hold, .. }, _) => {
            holds(slave).is_some_and(|(holds, _)| holds.contains_key(hold))
        }
        (Command::Activate { slave, hold: Some(hold), .. }, _) => {
            holds(slave).is_none_or(|(holds, _)| !holds.contains_key(hold))
        }
        (Command::Activate { slave, hold: None, .. }, _) => holds(slave).is_none_or(|(holds, drain)| {
            let own = drain.and_then(drain_hold);
            holds.keys().all(|hold| own.as_ref() == Some(hold))
        }),
        (Command::Drain { .. } | Command::DrainNow { .. }, Answer::Draining { drain, .. }) => {
            let slave = registry.drains().get(drain).and_then(|record| registry.slaves().get(&record.slave));
            let hold = drain_hold(*drain);
            slave.zip(hold).is_some_and(|(slave, hold)| slave.holds.contains_key(&hold))
        }
        (Command::InverseOffer { .. }, Answer::InverseOffered(id)) => {
            registry.inverse_offers().contains_key(id)
        }
        (Command::CancelInverseOffer(id), _) => !registry.inverse_offers().contains_key(id),
        (Command::CancelDrain(id), _) => !registry.drains().contains_key(id),
        (Command::ExtendDrain(id, deadline), _) => {
            registry.drains().get(id).is_some_and(|drain| drain.deadline == Moment(deadline.0))
        }
        (_, _) => true,
    };
    match is_so {
        true => Ok(()),
        false => Err(format!("{command:?} is answered {answer:?}, and the registry has it otherwise")),
    }
}

/// What a slave says of its tasks is on its disk, as long as that can be written.
fn told_master(seen: &Seen<'_>) -> Result<(), String> {
    if seen.scope.budget.has(Event::FullDisk) {
        return Ok(());
    }
    for happening in seen.happenings {
        let Happening::Said {
            from: Dialer::Slave(number),
            message: Message::SlaveToMaster(SlaveToMaster::Update { update, .. }),
        } = happening
        else {
            continue;
        };
        let node = &seen.after.slaves[usize::from(*number)];
        let kept = node.machine.as_ref().is_some_and(|machine| machine.is_over(update.task).is_some());
        let durable = node.disk.tasks.iter().any(|task| {
            // How an executor said that a task ended is kept before its tree is.
            let mut kept = task.updates.iter().map(|kept| &kept.update).chain(&task.ended);
            kept.any(|kept| kept == update)
        });
        if kept && !durable {
            return Err(format!("slave {number} says {update:?}, and it is not on its disk"));
        }
    }
    Ok(())
}
