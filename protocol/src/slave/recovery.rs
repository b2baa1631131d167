//! What a slave that was started anew makes of what an earlier incarnation left: its checkpoint, and its executors that
//! live (R2, R5, R28).

use alloc::vec::Vec;

use super::state::{End, Executor, Kill, Leaving, Life, Link, Phase, Retained, Stage, Task};
use super::{
    Checkpoint, CheckpointChange, CheckpointTask, Config, Effect, Event, News, RESTART_GAP, Recover, Slave,
    Timer,
};
use crate::ids::{BootId, ExecutorId, TaskId};
use crate::map::Set;
use crate::outbox::Outbox;
use crate::task::{Reason, TaskReport, TaskState, Update};
use crate::text::Text;
use crate::time::When;

impl Slave {
    /// Of each task that was not over: if its executor lives, that is waited for; if how it ended is kept, that is told;
    /// else it is Lost.
    pub(super) fn start(
        &mut self,
        config: &Config,
        checkpoint: Option<Checkpoint>,
        boot: BootId,
        alive: Vec<ExecutorId>,
        out: &mut Outbox<Effect>,
    ) {
        if self.phase != Phase::New {
            return;
        }
        let checkpoint = checkpoint.unwrap_or_default();
        (self.id, self.epoch, self.boot) = (checkpoint.id, checkpoint.epoch, boot);
        self.phase = match checkpoint.leaving {
            true => Phase::Leaving(Leaving::Ending { grace: false }),
            false => Phase::Serving,
        };
        let earlier_boot = checkpoint.boot;
        let rebooted = ![BootId::default(), boot].contains(&earlier_boot);
        for id in alive {
            let life = Life::Ending(Reason::SlaveRestarted);
            let left = Executor { life, session: None, shared: false, tasks: Set::new(), next: None };
            self.executors.insert(id, left);
        }
        let gone: Vec<_> = checkpoint.tasks.into_iter().filter_map(|kept| self.restore(kept)).collect();
        let lost = gone.iter().filter(|(_, ended)| ended.is_none()).count();
        let taken_up = self.take_up(config, out);
        let ended = self.executors.len() - taken_up;
        if lost + taken_up + ended > 0 {
            let [executors, ended, lost] = [taken_up, ended, lost].map(|count| count as u32);
            out.push(Effect::Publish(Event::Recovered { executors, ended, lost }));
        }
        for (id, ended) in gone {
            self.missed(id, ended, rebooted, out);
        }
        // Last, so that what is still to be told of an earlier boot is told as such if it crashes before that is durable.
        if earlier_boot != boot {
            self.store(CheckpointChange::Booted(boot), out);
        }
        if self.is_leaving() {
            out.push(Effect::Publish(Event::Leaving));
        }
        self.tree_gone(config, out);
    }

    /// R5: whoever hears the slave's tasks must know by them all that runs here, or might call it empty. What no task
    /// tells of is therefore dead before it dials.
    pub(super) fn dial_first(&mut self, out: &mut Outbox<Effect>) {
        let begins = match self.phase {
            Phase::Serving | Phase::Leaving(Leaving::Ending { .. }) => self.link == Link::Down,
            Phase::New | Phase::Leaving(Leaving::Unregistering) | Phase::Resetting => false,
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => false,
        };
        if begins && self.executors.values().all(|executor| !executor.tasks.is_empty()) {
            self.link = Link::Dialing;
            out.push(Effect::Connect { leader: None });
        }
    }

    /// Takes up a task; one that was not over, and whose executor is gone, is answered with how it ended, if that is
    /// known.
    fn restore(&mut self, kept: CheckpointTask) -> Option<(TaskId, Option<News>)> {
        let id = kept.report.id;
        let over = kept.report.state.is_terminal();
        // A task whose end is acknowledged has nothing left to say. Each is taken up once, however often a file that
        // no slave wrote lists it (S15).
        if self.tasks.contains_key(&id) || over && kept.updates.is_empty() {
            return None;
        }
        let ended = kept.ended.clone().filter(|_| !over);
        let mut task = restored(kept);
        if over {
            self.tasks.insert(id, task);
            return None;
        }
        // The number that it may have been told under.
        task.number = ended.as_ref().map_or(task.number, |ended| ended.number.saturating_sub(1));
        let ended = ended.map(|Update { state, reason, message, .. }| News { state, reason, message });
        let Some(executor) = self.executors.get_mut(&task.executor) else {
            self.tasks.insert(id, task);
            return Some((id, ended));
        };
        executor.shared = task.shared;
        executor.tasks.insert(id.number, ());
        task.stage = match ended {
            Some(news) => Stage::Ended { end: End::Own(news), kept: true },
            None => Stage::Recovered,
        };
        // A port is held once, whatever the file says (S8).
        task.report.resources.ports = task.report.resources.ports.without(&self.used.ports);
        self.used.put_in(&task.report.resources);
        self.tasks.insert(id, task);
        None
    }

    /// Waits for the executors that have something to go on with, and ends the others. Answers how many those are.
    fn take_up(&mut self, config: &Config, out: &mut Outbox<Effect>) -> usize {
        let goes_on = config.recover == Recover::Reconnect && self.phase == Phase::Serving;
        let mut taken_up = 0;
        let all: Vec<ExecutorId> = self.executors.keys().copied().collect();
        for id in all {
            let Some(executor) = self.executors.get_mut(&id) else {
                continue;
            };
            let mut tasks = executor.tasks.keys().map(|&number| TaskId { framework: id.framework, number });
            let has_task = tasks.any(|id| self.tasks.get(&id).is_some_and(|t| t.stage == Stage::Recovered));
            drop(tasks);
            if goes_on && has_task {
                executor.life = Life::Awaited;
                taken_up += 1;
                let when = When::After(config.executor_register_timeout);
                out.push(Effect::SetTimer { timer: Timer::ExecutorRegister(id), when });
                self.escalate_again(config, id, out);
            } else {
                out.push(Effect::Kill { executor: id });
            }
        }
        taken_up
    }

    /// What was asked to end before has its whole grace again, and not for ever (R13).
    fn escalate_again(&self, config: &Config, id: ExecutorId, out: &mut Outbox<Effect>) {
        let Some(executor) = self.executors.get(&id) else { return };
        for number in executor.tasks.keys() {
            let task = TaskId { framework: id.framework, number: *number };
            if let Some(kill) = self.tasks.get(&task).and_then(|known| known.kill) {
                out.push(kill.escalation(config, task, executor.shared));
            }
        }
    }

    /// A task ended while nobody saw it, with its whole tree.
    fn missed(&mut self, id: TaskId, ended: Option<News>, rebooted: bool, out: &mut Outbox<Effect>) {
        let kept = ended.is_some();
        if !kept && self.is_leaving() {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.stage = Stage::Left { ending: None, detail: Text::EMPTY };
            }
            return;
        }
        let reason = if rebooted { Reason::HostRebooted } else { Reason::SlaveRestarted };
        let lost = News { state: TaskState::Lost, reason, message: Text::EMPTY };
        self.report(id, ended.unwrap_or(lost), None, 0, kept, out);
    }

    /// An executor that lives says which tasks it has. Those that it never heard of it will never hear of: no session
    /// of the earlier incarnation lives.
    pub(super) fn executor_has(&mut self, id: ExecutorId, has: &[TaskId], out: &mut Outbox<Effect>) {
        let Some(executor) = self.executors.get(&id) else {
            return;
        };
        let numbers: Vec<u32> = executor.tasks.keys().copied().collect();
        for number in numbers {
            let task = TaskId { framework: id.framework, number };
            let Some(known) = self.tasks.get_mut(&task).filter(|known| known.stage == Stage::Recovered)
            else {
                continue;
            };
            if has.contains(&task) {
                known.stage = Stage::Held;
                continue;
            }
            let lost = News {
                state: TaskState::Lost,
                reason: Reason::SlaveRestarted,
                message: Text::new("its executor had not heard of it"),
            };
            let killed = known.kill.map(|Kill { reason, .. }| News {
                state: TaskState::Killed,
                reason,
                message: Text::EMPTY,
            });
            self.over_by_itself(id, task, killed.unwrap_or(lost), out);
        }
    }
}

fn restored(kept: CheckpointTask) -> Task {
    let over = kept.report.state.is_terminal();
    let updates = kept.updates.into_iter().map(|kept| Retained {
        number: kept.update.number,
        news: News { state: kept.update.state, reason: kept.update.reason, message: kept.update.message },
        ending: kept.ending,
        write: None,
        heard: 0,
    });
    let gap = if over { 0 } else { RESTART_GAP };
    let TaskReport { state, reason, kill_grace: grace, .. } = kept.report;
    // An executor may say of its own accord that it ends a task.
    let kill = (state == TaskState::Killing && reason.is_asked()).then_some(Kill { reason, grace });
    Task {
        executor: ExecutorId { framework: kept.report.id.framework, number: kept.executor },
        shared: kept.shared,
        stage: Stage::Settled,
        kill,
        state: kept.report.state,
        number: kept.report.number.saturating_add(gap),
        heard: kept.heard,
        updates: updates.collect(),
        adding: false,
        ending: None,
        report: kept.report,
    }
}
