//! Executors: their sessions, what they say, and how they end.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::state::{End, Executor, Kill, Life, Phase, Stage, Task};
use super::{CheckpointChange, Config, Effect, Event, News, Program, Slave, Timer, Work, close};
use crate::ids::{ExecutorId, SessionId, TaskId};
use crate::message::{ExecutorToSlave, SlaveToExecutor};
use crate::outbox::Outbox;
use crate::task::{Ending, Exit, Reason, TaskState, Update};
use crate::text::Text;
use crate::time::When;
use crate::transport::CloseCode;

impl Slave {
    pub(super) fn executor_opened(
        &mut self,
        config: &Config,
        session: SessionId,
        id: ExecutorId,
        out: &mut Outbox<Effect>,
    ) {
        if self.sessions.contains_key(&session) {
            return;
        }
        let Some(executor) = self.executors.get_mut(&id) else {
            return out.push(close(session, CloseCode::Forbidden, "no such executor runs here"));
        };
        if let Some(old) = executor.session.replace(session) {
            self.sessions.remove(&old);
            out.push(close(old, CloseCode::Replaced, ""));
        }
        self.sessions.insert(session, id);
        self.await_executor(config, id, out);
    }

    /// An executor may lose its session and come back (R28); one that stays away is ended, so that no kill and no
    /// drain waits for it (R22).
    pub(super) fn executor_closed(&mut self, config: &Config, session: SessionId, out: &mut Outbox<Effect>) {
        let Some(id) = self.sessions.remove(&session) else {
            return;
        };
        let Some(executor) = self.executors.get_mut(&id) else {
            return;
        };
        executor.session = None;
        self.await_executor(config, id, out);
    }

    /// The session in which an executor was registered is gone.
    fn await_executor(&mut self, config: &Config, id: ExecutorId, out: &mut Outbox<Effect>) {
        let Some(executor) = self.executors.get_mut(&id) else {
            return;
        };
        match executor.life {
            Life::Registered(_) => {
                executor.life = Life::Awaited;
                out.push(Effect::SetTimer {
                    timer: Timer::ExecutorRegister(id),
                    when: When::After(config.executor_register_timeout),
                });
            }
            Life::Awaited | Life::Ending(_) => {}
        }
    }

    pub(super) fn executor_says(
        &mut self,
        config: &Config,
        session: SessionId,
        message: ExecutorToSlave,
        out: &mut Outbox<Effect>,
    ) {
        let Some(&id) = self.sessions.get(&session) else {
            return;
        };
        match message {
            ExecutorToSlave::Register { tasks } => self.executor_registered(id, session, &tasks, out),
            ExecutorToSlave::Update { task, number, state, reason, message } => {
                if self.must_register(id) {
                    return;
                }
                let news = News { state, reason, message };
                self.executor_update(config, id, session, (task, number), news, out);
            }
            ExecutorToSlave::Renew { task, turn } => {
                if !self.must_register(id) {
                    self.pass_on(id, task, turn, out);
                }
            }
        }
    }

    /// Whether an executor speaks before it has registered in this session.
    fn must_register(&self, id: ExecutorId) -> bool {
        match self.executors.get(&id).map(|executor| executor.life) {
            Some(Life::Registered(_) | Life::Ending(_)) => false,
            Some(Life::Awaited) | None => true,
        }
    }

    fn executor_registered(
        &mut self,
        id: ExecutorId,
        session: SessionId,
        has: &[TaskId],
        out: &mut Outbox<Effect>,
    ) {
        let Some(executor) = self.executors.get_mut(&id) else {
            return;
        };
        match executor.life {
            Life::Ending(_) | Life::Registered(_) => return,
            Life::Awaited => out.push(Effect::CancelTimer { timer: Timer::ExecutorRegister(id) }),
        }
        executor.life = Life::Registered(session);
        self.executor_has(id, has, out);
        let Some(executor) = self.executors.get(&id).filter(|executor| !executor.life.is_ending()) else {
            return;
        };
        let shared = executor.shared;
        // What the last session may have lost: a launch is confirmed by the first news of its task, and a kill by
        // the task's end. No session loses a signal.
        for number in executor.tasks.keys() {
            let task = TaskId { framework: id.framework, number: *number };
            if let Some(known) = self.tasks.get_mut(&task) {
                match (&known.stage, known.kill) {
                    (Stage::Handed(work), None) => {
                        known.stage = Stage::Waiting(work.clone());
                    }
                    (Stage::Handed(_) | Stage::Held, Some(kill)) if shared => out.push(Effect::ToExecutor {
                        session,
                        message: SlaveToExecutor::Kill { task, grace: kill.grace },
                    }),
                    (Stage::Waiting(_) | Stage::Handed(_) | Stage::Held | Stage::Recovered, _)
                    | (Stage::Ended { .. } | Stage::Settled | Stage::Left { .. }, _) => {}
                }
            }
        }
        self.hand_over(id, out);
    }

    /// Sends a registered executor the tasks that wait for it, unless the slave leaves (R24).
    pub(super) fn hand_over(&mut self, id: ExecutorId, out: &mut Outbox<Effect>) {
        let Some((executor, session)) = self.ready(id) else {
            return;
        };
        let numbers: Vec<u32> = executor.tasks.keys().copied().collect();
        for number in numbers {
            self.hand(session, TaskId { framework: id.framework, number }, out);
        }
    }

    /// The same of one task: of a thousand that come together, each is looked at once.
    pub(super) fn hand_over_one(&mut self, id: ExecutorId, task: TaskId, out: &mut Outbox<Effect>) {
        let ready = self.ready(id).filter(|(executor, _)| executor.tasks.contains_key(&task.number));
        if let Some((_, session)) = ready {
            self.hand(session, task, out);
        }
    }

    /// An executor that takes tasks, and its session.
    fn ready(&self, id: ExecutorId) -> Option<(&Executor, SessionId)> {
        let executor = self.executors.get(&id)?;
        let (Phase::Serving, Life::Registered(session)) = (self.phase, executor.life) else {
            return None;
        };
        Some((executor, session))
    }

    fn hand(&mut self, session: SessionId, task: TaskId, out: &mut Outbox<Effect>) {
        if let Some(known) = self.tasks.get_mut(&task)
            && let (Stage::Waiting(work), false) = (&known.stage, known.adding)
        {
            let message = match work.clone() {
                Work::Command { command, fence_after } => {
                    let (command, data) = (Some(command), Arc::default());
                    SlaveToExecutor::Launch { task, command, data, fence_after }
                }
                Work::Data(data) => SlaveToExecutor::Launch { task, command: None, data, fence_after: None },
            };
            out.push(Effect::ToExecutor { session, message });
            known.stage = Stage::Handed(work.clone());
        }
    }

    fn executor_update(
        &mut self,
        config: &Config,
        id: ExecutorId,
        session: SessionId,
        (task, number): (TaskId, u32),
        mut news: News,
        out: &mut Outbox<Effect>,
    ) {
        if !may_say(news.state) {
            return self.executor_misbehaved(config, id, session, out);
        }
        let known = self.tasks.get_mut(&task).filter(|known| known.executor == id);
        let listens = match known.as_ref().map(|known| &known.stage) {
            Some(Stage::Handed(_) | Stage::Held | Stage::Recovered) => true,
            Some(Stage::Waiting(_) | Stage::Ended { .. } | Stage::Settled | Stage::Left { .. }) | None => {
                false
            }
        };
        let Some(known) = known.filter(|known| listens && number > known.heard) else {
            // What is not durable yet is acknowledged when it is.
            return match self.tasks.get(&task).is_some_and(|known| known.is_writing(number)) {
                true => {}
                false => self.heard(session, task, number, out),
            };
        };
        known.stage = Stage::Held;
        news.reason = believable(news.reason);
        match news.state.is_terminal() {
            true => self.task_over(config, id, task, number, news, out),
            false if self.progress(task, news, number, out) => {}
            // It says nothing new, today or when it is said again.
            false => self.heard(session, task, number, out),
        }
    }

    /// Whatever becomes of an update, its executor need not say it again.
    fn heard(&self, session: SessionId, task: TaskId, number: u32, out: &mut Outbox<Effect>) {
        out.push(Effect::ToExecutor { session, message: SlaveToExecutor::Acknowledge { task, number } });
    }

    /// The same once it is durable, if its executor is there to hear it: else it says it again, and is answered then.
    pub(super) fn heard_durably(&self, task: TaskId, number: u32, out: &mut Outbox<Effect>) {
        let executor = self.tasks.get(&task).and_then(|known| self.executors.get(&known.executor));
        if let Some(Life::Registered(session)) = executor.map(|executor| executor.life) {
            self.heard(session, task, number, out);
        }
    }

    /// The executor says that the task is over: true, whatever else was going on. Of the last task it is told when
    /// the tree is seen dead (S1); of one among others, at once.
    ///
    /// Whether it ended because that was asked (R12a) the built-in executor knows, for it looks before a signal comes. A
    /// framework's own may say Finished of what it was asked to end, so that its word counts where nothing was asked.
    fn task_over(
        &mut self,
        config: &Config,
        id: ExecutorId,
        task: TaskId,
        number: u32,
        mut news: News,
        out: &mut Outbox<Effect>,
    ) {
        let Some(life) = self.executors.get(&id).map(|executor| executor.life) else {
            return;
        };
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        let asked = known.kill.map(|kill| kill.reason);
        if known.shared && asked.is_some() && news.state != TaskState::Killed {
            let message = detail(&news);
            news = News { state: TaskState::Killed, message, ..news };
        }
        if let (TaskState::Killed, Some(asked)) = (news.state, asked) {
            news.reason = asked;
        }
        let leaves = known.shared && self.is_leaving() && config.drain_now_grace.is_some();
        let own =
            asked.is_some() && news.state == TaskState::Killed || !leaves && !self.is_our_doing(life, &news);
        if !own {
            self.end_task(task, End::Ours(detail(&news)), out);
            if self.is_alone(task) {
                self.end_executor(id, Reason::ExecutorEnded, out);
            }
            return;
        }
        if let Some(known) = self.tasks.get_mut(&task) {
            known.heard = number;
        }
        match life.is_ending() {
            true => drop(self.end_task(task, End::Own(news), out)),
            false => self.over_by_itself(id, task, news, out),
        }
    }

    /// A task is over, and its executor lives. Its last task takes it along, once it is durable how that ended.
    pub(super) fn over_by_itself(
        &mut self,
        id: ExecutorId,
        task: TaskId,
        news: News,
        out: &mut Outbox<Effect>,
    ) {
        if !self.is_alone(task) {
            return self.settle_among_others(task, news, out);
        }
        if !self.end_task(task, End::Own(news), out) {
            self.end_executor(id, Reason::ExecutorEnded, out);
        }
    }

    fn settle_among_others(&mut self, task: TaskId, news: News, out: &mut Outbox<Effect>) {
        let Some(known) = self.tasks.get(&task) else {
            return;
        };
        let heard = known.heard;
        if known.kill.is_some() {
            out.push(Effect::CancelTimer { timer: Timer::KillEscalation(task) });
        }
        self.leave_executor(task);
        self.settle(task, news, None, heard, out);
    }

    /// How the last task of an executor ended is durable: its tree is ended, unless others have come to it since.
    pub(super) fn end_is_durable(&mut self, task: TaskId, out: &mut Outbox<Effect>) {
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        let Stage::Ended { end: End::Own(news), kept } = &mut known.stage else {
            return;
        };
        *kept = true;
        let (news, id) = (news.clone(), known.executor);
        match self.executors.get(&id) {
            Some(executor) if !executor.life.is_ending() => {}
            Some(_) | None => return,
        }
        match self.is_alone(task) {
            true => self.end_executor(id, Reason::ExecutorEnded, out),
            false => self.settle_among_others(task, news, out),
        }
    }

    /// Whether an end is the work of signals that the slave itself sent: to end a tree by force, or to all in order
    /// to leave. The executor can see its task die of them before it dies itself; that is no end of the task's own
    /// (R25).
    fn is_our_doing(&self, life: Life, news: &News) -> bool {
        let killed = news.state == TaskState::Killed;
        let forced = killed || news.reason == Reason::Signalled(SIGKILL);
        let asked = killed || news.reason == Reason::Signalled(SIGTERM);
        life.is_ending() && forced || self.is_leaving() && asked
    }

    /// Whether every other task of its executor is over.
    pub(super) fn is_alone(&self, task: TaskId) -> bool {
        let executor = self.tasks.get(&task).and_then(|known| self.executors.get(&known.executor));
        let mut others = executor.into_iter().flat_map(|executor| executor.tasks.keys());
        !others.any(|&number| {
            let other = TaskId { number, ..task };
            let ended = self.tasks.get(&other).is_none_or(|other| matches!(other.stage, Stage::Ended { .. }));
            other != task && !ended
        })
    }

    /// A task is over, though its tree may live. Answers whether how it ended is being written.
    pub(super) fn end_task(&mut self, task: TaskId, end: End, out: &mut Outbox<Effect>) -> bool {
        let Some(known) = self.tasks.get_mut(&task) else {
            return false;
        };
        known.stage = Stage::Ended { end, kept: false };
        let Some(update) = known.to_be_told(task) else {
            return false;
        };
        let heard = known.heard;
        let Some(seq) = self.store(CheckpointChange::Ended { update, heard }, out) else {
            return false;
        };
        if let Some(known) = self.tasks.get_mut(&task) {
            known.ending = Some(seq);
            self.writes.insert(seq, task);
        }
        true
    }

    pub(super) fn leave_executor(&mut self, task: TaskId) {
        let executor = self.tasks.get(&task).map(|known| known.executor);
        if let Some(executor) = executor.and_then(|executor| self.executors.get_mut(&executor)) {
            executor.tasks.remove(&task.number);
        }
    }

    fn executor_misbehaved(
        &mut self,
        config: &Config,
        executor: ExecutorId,
        session: SessionId,
        out: &mut Outbox<Effect>,
    ) {
        out.push(Effect::Publish(Event::ExecutorMisbehaved { executor }));
        out.push(close(
            session,
            CloseCode::Misbehaved,
            "an executor says Starting, Running, Killing, Finished, Failed or Killed",
        ));
        self.executor_closed(config, session, out);
    }

    pub(super) fn executor_silent(&mut self, executor: ExecutorId, out: &mut Outbox<Effect>) {
        if self.executors.get(&executor).is_some_and(|e| e.life == Life::Awaited) {
            out.push(Effect::Publish(Event::ExecutorSilent { executor }));
            self.end_executor(executor, Reason::ExecutorSilent, out);
        }
    }

    /// A kill's time is over. Of a framework's executor, which did not carry it out, all goes: nothing it says can be
    /// relied on, and a kill has a bound (R22).
    pub(super) fn kill_overrun(&mut self, task: TaskId, out: &mut Outbox<Effect>) {
        let Some(known) = self.tasks.get(&task) else {
            return;
        };
        let executor = known.executor;
        let escalates = known.kill.is_some() && !known.stage.is_over();
        let living = self.executors.get(&executor).filter(|living| escalates && !living.life.is_ending());
        if let Some(living) = living {
            if living.shared {
                out.push(Effect::Publish(Event::ExecutorOverran { executor, task }));
            }
            self.end_executor(executor, Reason::ExecutorEnded, out);
        }
    }

    /// Ends a tree by force. What was said of its tasks before the end is seen still counts; the others fail for
    /// this reason.
    pub(super) fn end_executor(&mut self, id: ExecutorId, reason: Reason, out: &mut Outbox<Effect>) {
        let Some(executor) = self.executors.get_mut(&id) else {
            return;
        };
        if executor.life.is_ending() {
            return;
        }
        out.push(Effect::Kill { executor: id });
        let awaited = executor.life == Life::Awaited;
        executor.life = Life::Ending(reason);
        self.cancel_timers(id, awaited, out);
    }

    fn cancel_timers(&self, id: ExecutorId, awaited: bool, out: &mut Outbox<Effect>) {
        if awaited {
            out.push(Effect::CancelTimer { timer: Timer::ExecutorRegister(id) });
        }
        let Some(executor) = self.executors.get(&id) else {
            return;
        };
        for number in executor.tasks.keys() {
            let task = TaskId { framework: id.framework, number: *number };
            if self.tasks.get(&task).is_some_and(|known| known.kill.is_some()) {
                out.push(Effect::CancelTimer { timer: Timer::KillEscalation(task) });
            }
        }
    }

    pub(super) fn exited(&mut self, executor: ExecutorId, how: Option<Exit>, out: &mut Outbox<Effect>) {
        if self.executors.get(&executor).is_some_and(|e| !e.life.is_ending()) {
            out.push(Effect::Publish(Event::ExecutorExited { executor, how }));
            self.end_executor(executor, Reason::ExecutorEnded, out);
        }
    }

    pub(super) fn launch_failed(
        &mut self,
        config: &Config,
        executor: ExecutorId,
        cause: Text,
        out: &mut Outbox<Effect>,
    ) {
        if self.executors.contains_key(&executor) {
            out.push(Effect::Publish(Event::ExecutorNotStarted { executor, cause: cause.clone() }));
            self.executor_gone(config, executor, (Reason::ExecutorNotStarted, cause), None, out);
        }
    }

    pub(super) fn tree_ended(
        &mut self,
        config: &Config,
        executor: ExecutorId,
        ending: Arc<Ending>,
        out: &mut Outbox<Effect>,
    ) {
        let reason = match self.executors.get(&executor).map(|executor| executor.life) {
            Some(Life::Ending(reason)) => reason,
            Some(Life::Awaited | Life::Registered(_)) => Reason::ExecutorEnded,
            None => return,
        };
        let message = ending.leader.clone();
        self.executor_gone(config, executor, (reason, message), Some(ending), out);
    }

    /// Nothing of an executor is left: only now are its tasks over (S1).
    fn executor_gone(
        &mut self,
        config: &Config,
        id: ExecutorId,
        (reason, message): (Reason, Text),
        ending: Option<Arc<Ending>>,
        out: &mut Outbox<Effect>,
    ) {
        match self.executors.get(&id).map(|executor| executor.life) {
            Some(Life::Awaited) => self.cancel_timers(id, true, out),
            Some(Life::Registered(_)) => self.cancel_timers(id, false, out),
            Some(Life::Ending(_)) | None => {}
        }
        let Some(gone) = self.executors.remove(&id) else {
            return;
        };
        if let Some(session) = gone.session {
            self.sessions.remove(&session);
        }
        for number in gone.tasks.keys() {
            let task = TaskId { framework: id.framework, number: *number };
            self.task_gone(task, (reason, message.clone()), ending.clone(), out);
        }
        if let Some(next) = gone.next {
            self.start_executor(config, id, Program::Custom(next.program), next.tasks, out);
        }
        self.tree_gone(config, out);
    }

    fn task_gone(
        &mut self,
        id: TaskId,
        (reason, message): (Reason, Text),
        ending: Option<Arc<Ending>>,
        out: &mut Outbox<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        match (self.phase, task.end()) {
            (Phase::Resetting | Phase::Quitting { .. } | Phase::Clearing { .. }, _) => self.drop_task(id),
            (_, Some(news)) => self.settle(id, news, ending, 0, out),
            (Phase::Leaving(_), None) => {
                self.used.take_out(&task.report.resources);
                let detail = task.detail();
                task.stage = Stage::Left { ending, detail };
            }
            (Phase::New | Phase::Serving | Phase::Exited, None) => {
                let state = match reason == Reason::SlaveRestarted {
                    true => TaskState::Lost,
                    false => TaskState::Failed,
                };
                self.settle(id, News { state, reason, message }, ending, 0, out);
            }
        }
    }
}

impl Task {
    /// How the task ended, as far as that is not the slave's own doing: what its executor said, or the kill that
    /// was asked for.
    fn end(&self) -> Option<News> {
        match (&self.stage, self.kill) {
            (Stage::Ended { end: End::Own(news), .. }, _) => Some(news.clone()),
            (_, Some(Kill { reason, .. })) => {
                Some(News { state: TaskState::Killed, reason, message: self.detail() })
            }
            (Stage::Ended { end: End::Ours(_), .. } | Stage::Waiting(_) | Stage::Handed(_), None) => None,
            (Stage::Held | Stage::Recovered | Stage::Settled | Stage::Left { .. }, None) => None,
        }
    }

    /// What came of a task that the slave ended, as far as its executor said.
    fn detail(&self) -> Text {
        match &self.stage {
            Stage::Ended { end: End::Ours(detail), .. } => detail.clone(),
            Stage::Ended { end: End::Own(_), .. } | Stage::Waiting(_) | Stage::Handed(_) => Text::EMPTY,
            Stage::Held | Stage::Recovered | Stage::Settled | Stage::Left { .. } => Text::EMPTY,
        }
    }

    /// What will be told of it once its tree is seen dead, where its executor has said that.
    pub(super) fn to_be_told(&self, task: TaskId) -> Option<Update> {
        let Stage::Ended { end: End::Own(News { state, reason, message }), .. } = &self.stage else {
            return None;
        };
        let (state, reason, message) = (*state, *reason, message.clone());
        Some(Update { task, number: self.number.saturating_add(1), state, reason, message })
    }

    /// Whether an update of its executor's waits to be durable.
    fn is_writing(&self, number: u32) -> bool {
        let mut waiting = self.updates.iter().filter(|update| update.write.is_some());
        waiting.any(|update| update.heard >= number) || self.ending.is_some()
    }
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What came of a task that was asked to end, as its executor said.
fn detail(News { state, reason, message }: &News) -> Text {
    match (*state == TaskState::Killed, message.is_empty()) {
        (true, _) => message.clone(),
        (false, true) => Text::from(alloc::format!("its executor said {state} ({reason})")),
        (false, false) => Text::from(alloc::format!("its executor said {state} ({reason}): {message}")),
    }
}

/// Whether a state is one that an executor can know.
fn may_say(state: TaskState) -> bool {
    match state {
        TaskState::Starting | TaskState::Running | TaskState::Killing => true,
        TaskState::Finished | TaskState::Failed | TaskState::Killed => true,
        TaskState::Staging | TaskState::Unreachable | TaskState::Lost | TaskState::Dropped => false,
    }
}

/// The reason, if it is one that an executor can know: it must not speak of revocations and removals.
fn believable(reason: Reason) -> Reason {
    match reason {
        Reason::Normal | Reason::Exited(_) | Reason::Signalled(_) | Reason::NotStarted => reason,
        Reason::InvalidSpec | Reason::Unknown | Reason::Fenced => reason,
        Reason::ExecutorEnded | Reason::ExecutorNotStarted | Reason::ExecutorSilent => Reason::Unknown,
        Reason::KilledByFramework | Reason::KilledByOperator | Reason::Revoked(_) => Reason::Unknown,
        Reason::FrameworkRemoved | Reason::SlaveUnregistered | Reason::SlaveUnreachable => Reason::Unknown,
        Reason::SlaveRemoved | Reason::SlaveForgot | Reason::SlaveRestarted => Reason::Unknown,
        Reason::SlaveDeactivated | Reason::SlaveLeaving | Reason::SlaveDisconnected => Reason::Unknown,
        Reason::OfferGone | Reason::BeyondOffer | Reason::IdUsed => Reason::Unknown,
        Reason::HostRebooted | Reason::CannotFence => Reason::Unknown,
        Reason::SlaveSilent | Reason::SlaveDeclaredDead => Reason::Unknown,
    }
}
