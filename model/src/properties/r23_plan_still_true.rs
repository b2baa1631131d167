//! R23: a drain that demands a plan begins only if what the plan named is still so.

use neap_protocol::ids::TaskId;
use neap_protocol::master::Master;
use neap_protocol::message::{Answer, Command};

use super::{Kind, Property, Seen};
use crate::world::Action;

pub(super) const PROPERTY: Property =
    Property { name: "R23 plan-still-true", guards: "R23", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    if let Action::Command(number) = seen.action
        && let Some(Command::Drain { slave, if_plan: Some(_), .. }) =
            seen.scope.commands.get(usize::from(seen.before.commands))
        && let Some(plan) = &seen.before.plan
        && let Some(master) = seen.before.masters[usize::from(number)].machine.as_ref()
        && let Some(Ok(slave)) = master.registry().map(|registry| registry.resolve(slave))
    {
        let there = master.tasks().filter(|task| task.slave == slave && !task.state.is_terminal());
        let there: Vec<TaskId> = there.map(|task| task.id).collect();
        let refused =
            seen.answered().any(|(command, answer)| command == seen.before.commands && answer.is_err());
        if there != plan.tasks && !refused {
            return Err(format!("a drain of {there:?} begins, and its plan was of {:?}", plan.tasks));
        }
    }
    seen.answered().try_for_each(|(_, answer)| match answer {
        Ok(Answer::Plan(plan)) => promises(seen, plan),
        Ok(_) | Err(_) => Ok(()),
    })
}

/// A plan names every task there, and no grace that a revocation would not give.
fn promises(seen: &Seen<'_>, plan: &neap_protocol::message::DrainPlan) -> Result<(), String> {
    let leaders = seen.after.masters.iter().filter_map(|node| node.machine.as_ref());
    let knows = |master: &Master| {
        let there = master.tasks().filter(|task| task.slave == plan.slave && !task.state.is_terminal());
        there.map(|task| task.id).eq(plan.tasks.iter().map(|task| task.id))
    };
    let grace = plan.tasks.iter().map(|task| task.grace).max().unwrap_or_default();
    match leaders.into_iter().any(knows) && grace <= seen.scope.master.revoke_grace {
        true => Ok(()),
        false => Err(format!("a plan of {} is not so: {plan:?}", plan.slave)),
    }
}
