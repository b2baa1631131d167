//! The executor's machine: the built-in executor runs commands with it, and a framework's own can hold its tasks in
//! it.
//!
//! An executor registers with its slave in every session, says each state of a task until the slave has it, and
//! exits once everything that it was given is over and acknowledged. It outlives its slave's session by
//! [`Config::recovery_timeout`], and not longer (R28). A task that was killed before it came never starts (R13).
//!
//! It is the executor that fences tasks (R9), for it outlives its slave: a fenced task starts with a lease, and ends with it.
//!
//! What it makes of a command's end (R12a): after the task was asked to end, any end is Killed, and the exit code is told as
//! a detail: many programs answer SIGTERM with an exit code of their own, 0 too, and leave their work undone. Before, code 0
//! is Finished and any other end is Failed. So a driver tells an end that a process came to by itself before it hands
//! over what may have the process signalled. The slave gives a Killed its reason.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, TaskId};
use crate::map::{Map, Set};
use crate::message::{ExecutorToSlave, SlaveToExecutor};
use crate::outbox::Outbox;
use crate::task::{Command, Exit, FENCE_ASKS, Reason, TaskState};
use crate::text::Text;
use crate::time::{Millis, When};

#[cfg(test)]
mod tests;

/// The exit code of an executor whose tasks are all over and acknowledged.
pub const EXIT_DONE: u8 = 0;

/// The exit code of an executor whose slave stayed away for longer than [`Config::recovery_timeout`].
pub const EXIT_ABANDONED: u8 = 3;

/// The most tasks of one executor; another is answered Failed/NotStarted.
pub const TASKS_MAX: usize = 4096;

/// How many tasks are remembered that were killed before they came. Of more, the lowest are forgotten.
pub const REFUSED_MAX: usize = 256;

/// What an executor is told once, by its slave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How long it goes on without a session to its slave (R28).
    pub recovery_timeout: Millis,
}

/// What happens to an executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// It begins. From here on the driver dials the slave whenever there is no session.
    Start,
    /// A session to the slave.
    Opened {
        /// The session.
        session: SessionId,
    },
    /// It ended.
    Closed {
        /// The session.
        session: SessionId,
    },
    /// The slave says something.
    Slave {
        /// In which session.
        session: SessionId,
        /// What.
        message: SlaveToExecutor,
    },
    /// A task's process runs.
    Started {
        /// Which task's.
        task: TaskId,
    },
    /// A task's process could not be started.
    StartFailed {
        /// Which task's.
        task: TaskId,
        /// Why.
        cause: Text,
    },
    /// A task's process ended.
    Exited {
        /// Which task's.
        task: TaskId,
        /// How.
        how: Exit,
    },
    /// A timer fired.
    Timer(Timer),
    /// SIGTERM. The slave sends it to every process of the tree, the tasks' own included, and ends by force what is
    /// left after its grace; so nothing is signalled here. From here on no task starts, and one that ends was Killed. The
    /// slave does not send it where the task's process has ended already: so a driver takes it before the end of a process
    /// that came at the same time.
    Terminate,
}

/// What an executor asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Say this to the slave.
    ToSlave {
        /// In which session.
        session: SessionId,
        /// What.
        message: ExecutorToSlave,
    },
    /// Start a task's process; answered by [`Input::Started`] or [`Input::StartFailed`].
    Start {
        /// Which task's.
        task: TaskId,
        /// What to run; `None` for a framework's own executor, which goes by `data`.
        command: Option<Arc<Command>>,
        /// What the framework sent with it.
        data: Arc<[u8]>,
    },
    /// Send a signal to a task's process; SIGKILL to what it has started, too, as far as that can be told. One that has
    /// ended is not reaped before the effects of [`Input::Exited`] are carried out.
    Signal {
        /// Which task's.
        task: TaskId,
        /// Which signal.
        signal: Signal,
    },
    /// Set a timer; one of the same name is replaced.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When it is to fire.
        when: When,
    },
    /// Set a timer, unless it is set already and would fire sooner.
    ShortenTimer {
        /// Which.
        timer: Timer,
        /// When it is to fire at the latest.
        when: When,
    },
    /// Forget a timer: from here on it does not fire.
    CancelTimer {
        /// Which.
        timer: Timer,
    },
    /// Exit.
    Exit {
        /// [`EXIT_DONE`] or [`EXIT_ABANDONED`].
        code: u8,
    },
}

/// What an executor sends to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: please end.
    Term,
    /// SIGKILL.
    Kill,
}

/// The timers of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// The task's grace is over.
    Kill(TaskId),
    /// The slave stayed away for too long.
    Recovery,
    /// A fenced task's lease is to be asked for (R9).
    Ask(TaskId),
    /// A lease of a fenced task that was asked for with this turn is over (R9).
    Lease(TaskId, bool),
}

/// An executor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Executor {
    session: Option<SessionId>,
    phase: Phase,
    tasks: Map<TaskId, Task>,
    /// Tasks that were killed before they came: should they come yet, they do not start.
    refused: Set<TaskId>,
}

impl Executor {
    /// An executor that has no session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input, and adds to `out` what is to be done.
    pub fn handle(&mut self, config: &Config, input: Input, out: &mut Outbox<Effect>) {
        if self.phase == Phase::Exited {
            return;
        }
        match input {
            Input::Start => self.wait_for_slave(config, out),
            Input::Opened { session } => self.opened(session, out),
            Input::Closed { session } => self.closed(config, session, out),
            Input::Slave { session, message } if self.session == Some(session) => {
                self.slave_says(message, out)
            }
            Input::Slave { .. } => {}
            Input::Started { task } => self.started(task, out),
            Input::StartFailed { task, cause } => self.over(task, Outcome::NotStarted(cause), out),
            Input::Exited { task, how } => self.over(task, Outcome::Exited(how), out),
            Input::Timer(Timer::Kill(task)) => self.grace_over(task, out),
            Input::Timer(Timer::Recovery) => self.abandoned(out),
            Input::Timer(Timer::Ask(task)) => self.ask(task, out),
            Input::Timer(Timer::Lease(task, turn)) => self.lease_over(task, turn, out),
            Input::Terminate => self.terminated(out),
        }
    }

    /// Whether it has a task, or something of it that its slave has not acknowledged.
    pub fn has(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    fn wait_for_slave(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        if self.session.is_none() {
            out.push(Effect::SetTimer { timer: Timer::Recovery, when: When::After(config.recovery_timeout) });
        }
    }

    fn opened(&mut self, session: SessionId, out: &mut Outbox<Effect>) {
        if self.session == Some(session) {
            return;
        }
        if self.session.replace(session).is_none() {
            out.push(Effect::CancelTimer { timer: Timer::Recovery });
        }
        let message = ExecutorToSlave::Register { tasks: self.tasks.keys().copied().collect() };
        out.push(Effect::ToSlave { session, message });
        for (id, task) in &self.tasks {
            for said in &task.said {
                let message = said.message(*id);
                out.push(Effect::ToSlave { session, message });
            }
            if let Some(fence) = task.fence.as_ref().filter(|fence| fence.is_asking()) {
                let message = ExecutorToSlave::Renew { task: *id, turn: fence.turn };
                out.push(Effect::ToSlave { session, message });
            }
        }
    }

    fn closed(&mut self, config: &Config, session: SessionId, out: &mut Outbox<Effect>) {
        if self.session == Some(session) {
            self.session = None;
            self.wait_for_slave(config, out);
        }
    }

    fn slave_says(&mut self, message: SlaveToExecutor, out: &mut Outbox<Effect>) {
        match message {
            SlaveToExecutor::Launch { task, command, data, fence_after } => {
                self.launch(task, Work { command, data }, fence_after, out);
            }
            SlaveToExecutor::Kill { task, grace } => self.kill(task, grace, out),
            SlaveToExecutor::Acknowledge { task, number } => self.acknowledged(task, number, out),
            SlaveToExecutor::Renewed { task, turn } => self.renewed(task, turn, out),
        }
    }

    fn launch(&mut self, task: TaskId, work: Work, fence_after: Option<Millis>, out: &mut Outbox<Effect>) {
        if self.tasks.contains_key(&task) || self.refused.contains_key(&task) {
            return;
        }
        if self.tasks.len() >= TASKS_MAX {
            return self.turn_away(task, out);
        }
        match self.phase {
            Phase::Serving => {}
            // What was asked to end starts nothing more: it would not have been asked (R13).
            Phase::Terminated | Phase::Abandoned | Phase::Exited => return self.refuse(task, out),
        }
        match fence_after {
            None => {
                self.tasks.insert(task, Task::new(Stage::Starting));
                out.push(work.start(task));
            }
            Some(after) => {
                let fence = Some(Box::new(Fence::new(after, work)));
                self.tasks.insert(task, Task { fence, ..Task::new(Stage::Waiting) });
                self.ask(task, out);
            }
        }
    }

    /// Asks for a task's next lease, or again for the one that was not answered.
    fn ask(&mut self, id: TaskId, out: &mut Outbox<Effect>) {
        let fence = self.tasks.get_mut(&id).and_then(|task| task.fence.as_mut());
        let Some(fence) = fence.filter(|fence| fence.request != Request::Over) else {
            return;
        };
        if fence.ask() {
            let timer = Timer::Lease(id, fence.turn);
            out.push(Effect::SetTimer { timer, when: When::After(fence.after) });
        }
        let again = Millis(fence.after.0 / u64::from(FENCE_ASKS));
        out.push(Effect::SetTimer { timer: Timer::Ask(id), when: When::After(again) });
        if let Some(session) = self.session {
            let message = ExecutorToSlave::Renew { task: id, turn: fence.turn };
            out.push(Effect::ToSlave { session, message });
        }
    }

    fn renewed(&mut self, id: TaskId, turn: bool, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let Some(fence) = task.fence.as_mut().filter(|fence| fence.is_asking() && fence.turn == turn) else {
            return;
        };
        let late = fence.request == Request::Repeated;
        fence.request = Request::Answered;
        match fence.work.take() {
            Some(work) => {
                task.stage = Stage::Starting;
                out.push(work.start(id));
            }
            None => out.push(Effect::CancelTimer { timer: Timer::Lease(id, !turn) }),
        }
        if late {
            // Not much of it may be left.
            self.ask(id, out);
        }
    }

    fn lease_over(&mut self, id: TaskId, turn: bool, out: &mut Outbox<Effect>) {
        let Some(fence) = self.tasks.get_mut(&id).and_then(|task| task.fence.as_mut()) else {
            return;
        };
        if fence.is_set(turn) {
            let left = fence.is_set(!turn);
            fence.request = Request::Over;
            out.push(Effect::CancelTimer { timer: Timer::Ask(id) });
            if left {
                out.push(Effect::CancelTimer { timer: Timer::Lease(id, !turn) });
            }
            self.kill(id, Millis::ZERO, out);
        }
    }

    /// Too many tasks: said once and not kept, for the slave will ask again if it is lost.
    fn turn_away(&self, task: TaskId, out: &mut Outbox<Effect>) {
        let said = Said {
            number: 1,
            state: TaskState::Failed,
            reason: Reason::NotStarted,
            message: Text::new("the executor has as many tasks as it can have"),
        };
        if let Some(session) = self.session {
            let message = said.message(task);
            out.push(Effect::ToSlave { session, message });
        }
    }

    /// R13. A second kill can only shorten the grace.
    fn kill(&mut self, id: TaskId, grace: Millis, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return self.refuse(id, out);
        };
        let earlier = task.grace;
        if task.stage == Stage::Over || earlier.is_some_and(|earlier| earlier <= grace) {
            return;
        }
        task.grace = Some(grace);
        match task.stage {
            Stage::Waiting => self.over(id, Outcome::Withheld, out),
            // It is asked as soon as it runs.
            Stage::Starting | Stage::Over => {}
            Stage::Running => ask(id, earlier, grace, out),
        }
    }

    /// A task that is not to start: it is over before it began.
    fn refuse(&mut self, id: TaskId, out: &mut Outbox<Effect>) {
        if self.refused.contains_key(&id) || self.tasks.len() >= TASKS_MAX {
            return;
        }
        if self.refused.len() >= REFUSED_MAX
            && let Some((&lowest, ())) = self.refused.first()
        {
            self.refused.remove(&lowest);
        }
        self.refused.insert(id, ());
        self.tasks.insert(id, Task::new(Stage::Over));
        self.say(id, TaskState::Killed, Reason::Normal, Text::EMPTY, out);
    }

    fn started(&mut self, id: TaskId, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if task.stage != Stage::Starting {
            return;
        }
        task.stage = Stage::Running;
        match task.grace {
            Some(grace) => ask(id, None, grace, out),
            None => self.say(id, TaskState::Running, Reason::Normal, Text::EMPTY, out),
        }
    }

    fn over(&mut self, id: TaskId, outcome: Outcome, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        match (task.stage, &outcome) {
            (Stage::Over, _) | (Stage::Running, Outcome::NotStarted(_)) => return,
            (Stage::Waiting, Outcome::NotStarted(_) | Outcome::Exited(_)) => return,
            (Stage::Starting | Stage::Running, Outcome::Withheld) => return,
            (Stage::Waiting, Outcome::Withheld) | (Stage::Starting, _) => {}
            (Stage::Running, Outcome::Exited(_)) => {}
        }
        if task.stage == Stage::Running && task.grace.is_some_and(|grace| grace > Millis::ZERO) {
            out.push(Effect::CancelTimer { timer: Timer::Kill(id) });
        }
        let asked = task.grace.is_some() || self.phase != Phase::Serving;
        task.stage = Stage::Over;
        task.grace = None;
        let ran = matches!(outcome, Outcome::Exited(_));
        let (state, mut reason, message) = outcome.verdict(asked);
        if let Some(fence) = task.fence.take() {
            if fence.request == Request::Over && state == TaskState::Killed {
                reason = Reason::Fenced;
            }
            fence.end(id, out);
            if ran {
                // What it has started goes with it: should its slave be dead, nobody else would see to that.
                out.push(Effect::Signal { task: id, signal: Signal::Kill });
            }
        }
        self.say(id, state, reason, message, out);
        self.end_if_abandoned(out);
    }

    fn grace_over(&mut self, id: TaskId, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if task.stage == Stage::Running && task.grace.is_some_and(|grace| grace > Millis::ZERO) {
            task.grace = Some(Millis::ZERO);
            let signal = Signal::Kill;
            out.push(Effect::Signal { task: id, signal });
        }
    }

    fn acknowledged(&mut self, id: TaskId, number: u32, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.said.retain(|said| said.number > number);
        if task.stage == Stage::Over && task.said.is_empty() {
            self.tasks.remove(&id);
            if self.tasks.is_empty() {
                self.exit(EXIT_DONE, out);
            }
        }
    }

    fn terminated(&mut self, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::Serving => self.phase = Phase::Terminated,
            Phase::Terminated | Phase::Abandoned | Phase::Exited => return,
        }
        let waiting = self.tasks.iter().filter(|(_, task)| task.stage == Stage::Waiting);
        let waiting: Vec<TaskId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.over(id, Outcome::Withheld, out);
        }
    }

    /// R28: the slave is gone for good, and with it whoever would end the tasks.
    fn abandoned(&mut self, out: &mut Outbox<Effect>) {
        if self.session.is_some() {
            return;
        }
        self.phase = Phase::Abandoned;
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in all {
            // The last one that had yet to start takes the executor along.
            if self.phase == Phase::Abandoned {
                self.kill(id, Millis::ZERO, out);
            }
        }
        self.end_if_abandoned(out);
    }

    fn end_if_abandoned(&mut self, out: &mut Outbox<Effect>) {
        let over = self.tasks.values().all(|task| task.stage == Stage::Over);
        if self.phase == Phase::Abandoned && self.session.is_none() && over {
            self.exit(EXIT_ABANDONED, out);
        }
    }

    fn say(&mut self, id: TaskId, state: TaskState, reason: Reason, message: Text, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.number = task.number.saturating_add(1);
        let said = Said { number: task.number, state, reason, message };
        if let Some(session) = self.session {
            let message = said.message(id);
            out.push(Effect::ToSlave { session, message });
        }
        task.said.push(said);
    }

    fn exit(&mut self, code: u8, out: &mut Outbox<Effect>) {
        *self = Self { phase: Phase::Exited, ..Self::default() };
        out.push(Effect::Exit { code });
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Serving,
    /// SIGTERM came: what ends from here on was ended.
    Terminated,
    /// The slave stayed away too long: everything is ended.
    Abandoned,
    Exited,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Task {
    stage: Stage,
    /// The shortest grace that it was given to end; zero once it is ended by force.
    grace: Option<Millis>,
    /// The number of the last thing that was said of it.
    number: u32,
    /// What the slave has not acknowledged: at most that it runs, and its end.
    said: Vec<Said>,
    /// Of a fenced task that is not over.
    fence: Option<Box<Fence>>,
}

/// The lease of a fenced task (R9): without one it does not start, and when it is over the task is ended by force.
///
/// A leader that answers a request has heard of the slave no earlier than the request was made, so that the lease begins
/// there, however late the answer comes: its timer is set with the request, and the answer cancels that of the lease
/// before. `Timer::Ask` says when to ask for the next one, or again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fence {
    after: Millis,
    request: Request,
    /// What tells an answer to the last request from those to the one before, which may have been repeated.
    turn: bool,
    /// What is to start with the first lease.
    work: Option<Work>,
}

/// How the last request for a lease fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    /// There is a lease, and the next is not asked for yet.
    Answered,
    Made,
    Repeated,
    /// A lease ended before it was answered, and the task is being ended. No timer is set any more.
    Over,
}

/// What an executor is to do for a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    command: Option<Arc<Command>>,
    data: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// It is fenced, and has no lease yet.
    Waiting,
    Starting,
    /// While it has a grace above zero, `Timer::Kill` is set.
    Running,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Said {
    number: u32,
    state: TaskState,
    reason: Reason,
    message: Text,
}

enum Outcome {
    /// It was to end before it was to start.
    Withheld,
    NotStarted(Text),
    Exited(Exit),
}

impl Task {
    fn new(stage: Stage) -> Self {
        Self { stage, grace: None, number: 0, said: Vec::new(), fence: None }
    }
}

impl Work {
    fn start(self, task: TaskId) -> Effect {
        let Self { command, data } = self;
        Effect::Start { task, command, data }
    }
}

impl Fence {
    fn new(after: Millis, work: Work) -> Self {
        Self { after, request: Request::Answered, turn: true, work: Some(work) }
    }

    /// Makes a request, or repeats it. Answers whether a new lease begins with it.
    fn ask(&mut self) -> bool {
        let fresh = self.request == Request::Answered;
        match self.request {
            Request::Answered => (self.request, self.turn) = (Request::Made, !self.turn),
            Request::Made => self.request = Request::Repeated,
            Request::Repeated | Request::Over => {}
        }
        fresh
    }

    fn is_asking(&self) -> bool {
        matches!(self.request, Request::Made | Request::Repeated)
    }

    /// Whether the timer of a lease is set: that of the last request, and that of the lease before until it is answered.
    fn is_set(&self, turn: bool) -> bool {
        match self.request {
            Request::Answered => turn == self.turn,
            Request::Made | Request::Repeated => turn == self.turn || self.work.is_none(),
            Request::Over => false,
        }
    }

    /// The task is over: what is set fires no more.
    fn end(&self, task: TaskId, out: &mut Outbox<Effect>) {
        if self.request == Request::Over {
            return;
        }
        out.push(Effect::CancelTimer { timer: Timer::Ask(task) });
        for turn in [false, true].into_iter().filter(|turn| self.is_set(*turn)) {
            out.push(Effect::CancelTimer { timer: Timer::Lease(task, turn) });
        }
    }
}

impl Said {
    fn message(&self, task: TaskId) -> ExecutorToSlave {
        ExecutorToSlave::Update {
            task,
            number: self.number,
            state: self.state,
            reason: self.reason,
            message: self.message.clone(),
        }
    }
}

impl Outcome {
    fn verdict(self, asked: bool) -> (TaskState, Reason, Text) {
        match (self, asked) {
            (Self::Exited(Exit::Code(0)), false) => (TaskState::Finished, Reason::Exited(0), Text::EMPTY),
            (Self::Exited(Exit::Code(code)), true) => {
                let message = Text::from(alloc::format!("exited with {code} after it was asked to end"));
                (TaskState::Killed, Reason::Exited(code), message)
            }
            (Self::Exited(Exit::Signal(signal)), true) => {
                (TaskState::Killed, Reason::Signalled(signal), Text::EMPTY)
            }
            (Self::Exited(Exit::Code(code)), false) => (TaskState::Failed, Reason::Exited(code), Text::EMPTY),
            (Self::Exited(Exit::Signal(signal)), false) => {
                (TaskState::Failed, Reason::Signalled(signal), Text::EMPTY)
            }
            (Self::Withheld, _) => (TaskState::Killed, Reason::Normal, Text::EMPTY),
            (Self::NotStarted(cause), true) => (TaskState::Killed, Reason::NotStarted, cause),
            (Self::NotStarted(cause), false) => (TaskState::Failed, Reason::NotStarted, cause),
        }
    }
}

/// Asks a running task to end within a grace, or ends it at once if there is none.
fn ask(task: TaskId, earlier: Option<Millis>, grace: Millis, out: &mut Outbox<Effect>) {
    let timer = Timer::Kill(task);
    let when = When::After(grace);
    match (grace, earlier) {
        (Millis::ZERO, None) => out.push(Effect::Signal { task, signal: Signal::Kill }),
        (Millis::ZERO, Some(_)) => {
            out.push(Effect::CancelTimer { timer });
            out.push(Effect::Signal { task, signal: Signal::Kill });
        }
        (_, Some(_)) => out.push(Effect::ShortenTimer { timer, when }),
        (_, None) => {
            out.push(Effect::Signal { task, signal: Signal::Term });
            out.push(Effect::SetTimer { timer, when });
        }
    }
}
