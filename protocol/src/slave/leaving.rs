//! The ends of a slave: drain now (R24–R26), and what a refusal asks for (R3).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::state::{Executor, Leaving, Life, Link, Phase, Stage, Task};
use super::{CheckpointChange, Config, EXIT_DONE, EXIT_UNHEARD, Effect, Event, Slave, Timer};
use crate::ids::{ExecutorId, TaskId};
use crate::message::{Final, SlaveToMaster};
use crate::outbox::Outbox;
use crate::task::{Reason, TaskState, Update};
use crate::text::Text;
use crate::time::When;
use crate::transport::FRAME_SIZE_MAX;

impl Slave {
    /// SIGUSR1: begins to leave, and the second time skips what grace is left (R26).
    pub(super) fn drain_now(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Serving => self.leave(config, out),
            Phase::Leaving(Leaving::Ending { grace: true }) => {
                out.push(Effect::CancelTimer { timer: Timer::DrainGrace });
                self.drain_grace_over(out);
            }
            // Nobody is to be told any more: what remains is to exit instead of registering afresh.
            Phase::Resetting => {
                self.phase = Phase::Quitting { code: EXIT_DONE };
                out.push(Effect::Publish(Event::Leaving));
            }
            Phase::Leaving(Leaving::Ending { grace: false } | Leaving::Unregistering) => {}
            Phase::New | Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => {}
        }
    }

    /// R24, in its order: refuse launches, say so, end everything. Asking twice changes nothing.
    pub(super) fn leave(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        if self.phase != Phase::Serving {
            return;
        }
        let grace = config.drain_now_grace.filter(|_| !self.executors.is_empty());
        self.phase = Phase::Leaving(Leaving::Ending { grace: grace.is_some() });
        self.store(CheckpointChange::Leaving(true), out);
        if let Some(session) = self.link.registered() {
            let message = SlaveToMaster::Leaving;
            out.push(Effect::ToMaster { session, message });
        }
        match grace {
            None => self.end_all(out),
            Some(grace) => {
                self.ask_all(out);
                out.push(Effect::SetTimer { timer: Timer::DrainGrace, when: When::After(grace) });
            }
        }
        out.push(Effect::Publish(Event::Leaving));
        self.give_up_waiting();
        self.tree_gone(config, out);
    }

    pub(super) fn drain_grace_over(&mut self, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Leaving(Leaving::Ending { grace: true }) => {
                self.phase = Phase::Leaving(Leaving::Ending { grace: false });
                self.end_all(out);
            }
            Phase::Leaving(Leaving::Ending { grace: false } | Leaving::Unregistering) => {}
            Phase::New | Phase::Serving | Phase::Resetting => {}
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => {}
        }
    }

    /// Ends what runs, and remembers nothing of it: nobody will hear of it under this id.
    pub(super) fn abandon(&mut self, phase: Phase, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Leaving(Leaving::Ending { grace: true }) => {
                out.push(Effect::CancelTimer { timer: Timer::DrainGrace })
            }
            Phase::Leaving(Leaving::Unregistering) => {
                out.push(Effect::CancelTimer { timer: Timer::Unregister })
            }
            Phase::Leaving(Leaving::Ending { grace: false }) => {}
            Phase::New | Phase::Serving | Phase::Resetting => {}
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => {}
        }
        self.phase = phase;
        self.link = Link::Down;
        self.end_all(out);
        for (id, next) in self.queued() {
            self.drop_task(id);
            if let Some(executor) = self.executors.get_mut(&next) {
                executor.next = None;
            }
        }
        self.writes = Default::default();
        self.tasks.retain(|_, task| {
            task.updates.clear();
            (task.adding, task.ending) = (false, None);
            !task.stage.is_over()
        });
    }

    /// What is to be done once no tree is left. Called after each end, and when an end is decided.
    pub(super) fn tree_gone(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        self.dial_first(out);
        if !self.executors.is_empty() {
            return;
        }
        match self.phase {
            Phase::Leaving(Leaving::Ending { grace }) => {
                if grace {
                    out.push(Effect::CancelTimer { timer: Timer::DrainGrace });
                }
                self.unregister(config, out);
            }
            Phase::Resetting => {
                self.phase = Phase::Serving;
                self.dial_later(config, Text::EMPTY, out);
            }
            Phase::Quitting { code } => self.clear(code, CheckpointChange::Leaving(false), out),
            Phase::Leaving(Leaving::Unregistering) | Phase::Clearing { .. } => {}
            Phase::New | Phase::Serving | Phase::Exited => {}
        }
    }

    /// Nothing runs: the leader is told, and has so long to acknowledge it.
    fn unregister(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        out.push(Effect::Publish(Event::NothingLeft));
        // A master that was asked may have admitted it, and is told once it has answered.
        if self.id.is_none() && !matches!(self.link, Link::Registering(_)) {
            return self.never_came(out);
        }
        self.phase = Phase::Leaving(Leaving::Unregistering);
        self.send_unregister(out);
        out.push(Effect::SetTimer { timer: Timer::Unregister, when: When::After(config.unregister_timeout) });
    }

    /// No master has admitted it: there is nobody to leave.
    fn never_came(&mut self, out: &mut Outbox<Effect>) {
        out.push(Effect::Publish(Event::NeverAdmitted));
        self.clear(EXIT_DONE, CheckpointChange::Leaving(false), out);
    }

    /// A master that does not lead has admitted nobody: who waited for its answer, to leave it, has nothing to wait for.
    pub(super) fn not_leading(&mut self, config: &Config, leader: Text, out: &mut Outbox<Effect>) {
        if self.id.is_none() && self.phase == Phase::Leaving(Leaving::Unregistering) {
            out.push(Effect::CancelTimer { timer: Timer::Unregister });
            return self.never_came(out);
        }
        self.dial_later(config, leader, out);
    }

    pub(super) fn send_unregister(&self, out: &mut Outbox<Effect>) {
        if let Some(session) = self.link.registered() {
            let finals = self.tasks.iter().filter_map(|(id, task)| task.last_word(*id));
            let message = SlaveToMaster::Unregister { finals: fitting(finals.collect()) };
            out.push(Effect::ToMaster { session, message });
        }
    }

    /// R25: acknowledged. Anything else than the answer to `Unregister` is no ground to exit (S12).
    pub(super) fn unregistered(&mut self, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Leaving(Leaving::Unregistering) => {
                out.push(Effect::Publish(Event::Unregistered));
                out.push(Effect::CancelTimer { timer: Timer::Unregister });
                self.clear(EXIT_DONE, CheckpointChange::Cleared, out);
            }
            Phase::Leaving(Leaving::Ending { .. }) | Phase::Clearing { .. } => {}
            Phase::New | Phase::Serving | Phase::Resetting | Phase::Quitting { .. } | Phase::Exited => {}
        }
    }

    /// R26.
    pub(super) fn nobody_answered(&mut self, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Leaving(Leaving::Unregistering) => {
                out.push(Effect::Publish(Event::NobodyAnswered));
                self.clear(EXIT_UNHEARD, CheckpointChange::Leaving(false), out);
            }
            Phase::Leaving(Leaving::Ending { .. }) | Phase::Clearing { .. } => {}
            Phase::New | Phase::Serving | Phase::Resetting | Phase::Quitting { .. } | Phase::Exited => {}
        }
    }

    fn end_all(&mut self, out: &mut Outbox<Effect>) {
        let all: Vec<ExecutorId> = self.executors.keys().copied().collect();
        for executor in all {
            self.end_executor(executor, Reason::SlaveUnregistered, out);
        }
    }

    /// Asks every executor that has taken a task; the others have nothing to end well.
    fn ask_all(&mut self, out: &mut Outbox<Effect>) {
        let all: Vec<ExecutorId> = self.executors.keys().copied().collect();
        for id in all {
            let Some(executor) = self.executors.get(&id) else {
                continue;
            };
            match (executor.life, self.has_taken(id, executor)) {
                (Life::Ending(_), _) => {}
                // Some programs take a second SIGTERM for impatience.
                (Life::Registered(_) | Life::Awaited, true) if self.is_asked(id, executor) => {}
                (Life::Registered(_) | Life::Awaited, true) => out.push(Effect::Terminate { executor: id }),
                (Life::Registered(_) | Life::Awaited, false) => {
                    self.end_executor(id, Reason::SlaveUnregistered, out);
                }
            }
        }
    }

    fn has_taken(&self, id: ExecutorId, executor: &Executor) -> bool {
        let framework = id.framework;
        executor.tasks.keys().any(|&number| {
            let task = self.tasks.get(&TaskId { framework, number });
            task.is_some_and(|task| !matches!(task.stage, Stage::Waiting(_)))
        })
    }

    /// Whether its tree has had a SIGTERM: that of its one task's kill.
    fn is_asked(&self, id: ExecutorId, executor: &Executor) -> bool {
        let mut tasks = executor.tasks.keys().map(|&number| TaskId { framework: id.framework, number });
        !executor.shared && tasks.any(|task| self.tasks.get(&task).is_some_and(|task| task.kill.is_some()))
    }

    /// Tasks that wait for a fresh executor will not get one.
    fn give_up_waiting(&mut self) {
        for (id, next) in self.queued() {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.stage = Stage::Left { ending: None, detail: Text::EMPTY };
                self.used.take_out(&task.report.resources);
            }
            if let Some(executor) = self.executors.get_mut(&next) {
                executor.next = None;
            }
        }
    }

    /// The tasks that wait for a fresh executor, and the one that they wait for.
    fn queued(&self) -> Vec<(TaskId, ExecutorId)> {
        let queues = self.executors.iter().filter_map(|(id, e)| Some((*id, e.next.as_ref()?)));
        let tasks = queues.flat_map(|(id, next)| {
            let framework = id.framework;
            let numbers = next.tasks.keys();
            numbers.map(move |&number| (TaskId { framework, number }, id))
        });
        tasks.collect()
    }

    pub(super) fn drop_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        for write in task.updates.iter().filter_map(|update| update.write).chain(task.ending) {
            self.writes.remove(&write);
        }
        if !task.stage.is_over() {
            self.used.take_out(&task.report.resources);
        }
    }
}

impl Task {
    /// What `Unregister` says of it: how it truly ended, or that the slave ended it in order to leave (R25).
    fn last_word(&self, task: TaskId) -> Option<Final> {
        match &self.stage {
            Stage::Left { ending, detail } => Some(Final {
                update: Update {
                    task,
                    number: self.number.saturating_add(1),
                    state: TaskState::Lost,
                    reason: Reason::SlaveUnregistered,
                    message: detail.clone(),
                },
                ending: ending.clone(),
            }),
            Stage::Settled => self.updates.last().map(|update| update.to_final(task)),
            Stage::Waiting(_) | Stage::Handed(_) | Stage::Held => None,
            Stage::Recovered | Stage::Ended { .. } => None,
        }
    }
}

/// The bytes that last words may have together: a frame less what surrounds them.
const FINALS_ROOM: usize = FRAME_SIZE_MAX - 64;

/// What a last word has in a frame beside its text and its ending, at most.
const FINAL_SIZE: usize = 40;

/// Last words that fit a frame together, however many there are: what became of every task is told, and of long texts
/// and signals what there is room for. A frame that cannot be sent would keep the slave from ever leaving (R24).
fn fitting(mut finals: Vec<Final>) -> Vec<Final> {
    let share = FINALS_ROOM / finals.len().max(1);
    for last in &mut finals {
        if postcard::experimental::serialized_size(last).unwrap_or(usize::MAX) > share {
            let room = share.saturating_sub(FINAL_SIZE);
            let text = last.update.message.within(room / 4);
            let ending_room = room - text.as_str().len();
            last.update.message = text;
            last.ending = last.ending.as_ref().map(|ending| Arc::new(ending.within(ending_room)));
        }
    }
    finals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, REPORTS_MAX, SIGNALS_MAX};
    use crate::ids::FrameworkId;
    use crate::task::{Ending, SignalSent};
    use crate::text::TEXT_LEN_MAX;
    use crate::time::Moment;

    /// Everything of a last word as long as it can be.
    fn longest(number: u32, ending: &Arc<Ending>) -> Final {
        let task = TaskId { framework: FrameworkId(u32::MAX), number: u32::MAX - number };
        let (state, reason) = (TaskState::Failed, Reason::Exited(i32::MIN));
        let message = Text::new(&"m".repeat(TEXT_LEN_MAX));
        let update = Update { task, number: u32::MAX, state, reason, message };
        Final { update, ending: Some(Arc::clone(ending)) }
    }

    #[test]
    fn r24_last_words_fit_a_frame_and_leave_nobody_out() {
        let sent = SignalSent { at: Moment(u64::MAX), signal: 9, processes: u32::MAX };
        let text = Text::new(&"€".repeat(TEXT_LEN_MAX));
        let signals = alloc::vec![sent; SIGNALS_MAX];
        let (leader, seen_dead) = (text.clone(), Some(Moment(u64::MAX)));
        let ending = Arc::new(Ending { signals, leader, seen_dead, unseen: text });
        for count in [1, 50, 1_000, REPORTS_MAX] {
            let count = u32::try_from(count).unwrap();
            let all: Vec<Final> = (0..count).map(|number| longest(number, &ending)).collect();
            let told = fitting(all.clone());
            for (one, all) in told.iter().zip(&all) {
                assert_eq!((one.update.task, one.update.number), (all.update.task, all.update.number));
                assert_eq!((one.update.state, one.update.reason), (all.update.state, all.update.reason));
                assert_eq!(one.ending.as_ref().unwrap().seen_dead, ending.seen_dead);
            }
            assert_eq!(told.len(), all.len());
            assert_eq!(told == all, count <= 50, "what fits is told whole");
            codec::encode(&SlaveToMaster::Unregister { finals: told }).unwrap();
        }
    }
}
