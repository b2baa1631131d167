//! R12a: a task's executor says Finished or Failed only of an end that came before it was asked to end the task.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::executor::{Effect, Input, Timer};
use neap_protocol::ids::TaskId;
use neap_protocol::message::{ExecutorToSlave, SlaveToExecutor};
use neap_protocol::task::{Reason, TaskState};

use super::{Check, Look, Watch};

pub(super) const CHECK: Check =
    Check { name: "R12a asked-is-not-finished", guards: "R12a", begin: || Box::new(Asks::default()) };

/// Of each executor, what it was asked, and what had ended by then.
#[derive(Default)]
struct Asks(BTreeMap<usize, Asked>);

#[derive(Default)]
struct Asked {
    all: bool,
    tasks: BTreeSet<TaskId>,
    ended: BTreeSet<TaskId>,
}

impl Asked {
    fn is(&self, task: TaskId) -> bool {
        !self.ended.contains(&task) && (self.all || self.tasks.contains(&task))
    }

    fn hear(&mut self, input: &Input) {
        match input {
            Input::Terminate | Input::Timer(Timer::Recovery) => self.all = true,
            Input::Slave { message: SlaveToExecutor::Kill { task, .. }, .. } => {
                self.tasks.insert(*task);
            }
            Input::Exited { task, .. } if !self.is(*task) => {
                self.ended.insert(*task);
            }
            Input::Exited { .. } | Input::Slave { .. } | Input::Timer(_) | Input::Start => {}
            Input::Opened { .. } | Input::Closed { .. } => {}
            Input::Started { .. } | Input::StartFailed { .. } => {}
        }
    }
}

impl Watch for Asks {
    fn see(&mut self, look: &mut Look<'_>) {
        let Some(played) = look.executor() else { return };
        let asked = self.0.entry(look.step.node).or_default();
        if look.step.begins_run {
            *asked = Asked::default();
        }
        asked.hear(&played.input);
        for effect in &played.effects {
            let Effect::ToSlave { message: ExecutorToSlave::Update { task, state, reason, .. }, .. } = effect
            else {
                continue;
            };
            let of_itself = *state == TaskState::Finished
                || *state == TaskState::Failed && matches!(reason, Reason::Exited(_) | Reason::Signalled(_));
            if state.is_terminal() {
                look.hold(!(of_itself && asked.is(*task)), || {
                    format!("{task} is said to be {state} ({reason}), and was asked to end")
                });
            }
        }
    }
}
