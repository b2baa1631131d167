//! `executor`: inputs to one executor: it never panics, keeps at most what it must (S15), starts nothing that was killed
//! before it came (S10), never contradicts itself (S9), and exits with nothing left.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::executor::{
    Config, EXIT_ABANDONED, EXIT_DONE, Effect, Executor, Input, REFUSED_MAX, Signal, Timer,
};
use neap_protocol::ids::{FrameworkId, SessionId, TaskId};
use neap_protocol::message::{ExecutorToSlave, SlaveToExecutor};
use neap_protocol::outbox::Outbox;
use neap_protocol::task::{Exit, TaskState};
use neap_protocol::text::Text;
use neap_protocol::time::Millis;

use crate::choices::Choices;
use crate::machine;

/// What a run can reach.
pub(crate) const GOALS: &[&str] = &["done", "abandoned", "killed", "finished", "said again", "fenced"];

/// Runs the target: one life after another.
pub(crate) fn run(choices: &mut Choices<'_>) {
    machine::lives(choices, |choices| Life::new(choices).live());
}

struct Life<'c, 'b> {
    choices: &'c mut Choices<'b>,
    config: Config,
    executor: Executor,
    session: Option<SessionId>,
    sessions: u32,
    timers: BTreeSet<Timer>,
    /// What was said of each task that it holds, by number.
    said: BTreeMap<(TaskId, u32), TaskState>,
    /// Tasks whose processes it has asked for, and of which it has not heard that they ended; whether each has started.
    alive: BTreeMap<TaskId, bool>,
    /// Tasks whose kill came before they did.
    never: BTreeSet<TaskId>,
    /// Tasks that it was told of at all.
    named: BTreeSet<TaskId>,
    /// The task whose process is just heard to have ended, and is not reaped yet.
    ended: Option<TaskId>,
    /// Tasks that got SIGKILL.
    forced: BTreeSet<TaskId>,
    over: bool,
}

impl<'c, 'b> Life<'c, 'b> {
    fn new(choices: &'c mut Choices<'b>) -> Self {
        Self {
            choices,
            config: Config { recovery_timeout: Millis(90_000) },
            executor: Executor::new(),
            session: None,
            sessions: 0,
            timers: BTreeSet::new(),
            said: BTreeMap::new(),
            alive: BTreeMap::new(),
            never: BTreeSet::new(),
            named: BTreeSet::new(),
            ended: None,
            forced: BTreeSet::new(),
            over: false,
        }
    }

    fn live(&mut self) {
        self.feed(Input::Start);
        while !self.over && !self.choices.is_over() {
            let input = self.input();
            self.feed(input);
        }
        self.is_bounded();
    }

    fn input(&mut self) -> Input {
        match self.choices.below(24) {
            0 if self.session.is_none() => self.opened(),
            1 => match self.session {
                Some(session) if self.choices.one_in(4) => Input::Closed { session },
                Some(_) | None => Input::Closed { session: SessionId(self.sessions.saturating_sub(1)) },
            },
            2 if self.choices.one_in(4) => self.opened(),
            3 if self.choices.one_in(6) => Input::Terminate,
            4..6 => self.timer(),
            6..19 => self.process(),
            19 => Input::Slave { session: self.some_session(), message: self.choices.any() },
            _ => Input::Slave { session: self.some_session(), message: self.message() },
        }
    }

    fn opened(&mut self) -> Input {
        self.sessions += 1;
        Input::Opened { session: SessionId(self.sessions) }
    }

    fn some_session(&mut self) -> SessionId {
        SessionId(self.sessions.saturating_sub(u32::from(self.choices.one_in(16))))
    }

    /// A timer that is set, or now and then one that may be cancelled.
    fn timer(&mut self) -> Input {
        let timers: Vec<Timer> = self.timers.iter().copied().collect();
        match timers.is_empty() || self.choices.one_in(16) {
            true => Input::Timer(Timer::Kill(self.task())),
            false => {
                let timer = self.choices.one(&timers);
                // The end of everything is rare.
                if timer == Timer::Recovery && !self.choices.one_in(4) {
                    return self.opened();
                }
                self.timers.remove(&timer);
                Input::Timer(timer)
            }
        }
    }

    fn task(&mut self) -> TaskId {
        let framework = FrameworkId(1);
        match self.choices.one_in(32) {
            true => TaskId { framework, number: self.choices.below(1 << 20) },
            false => TaskId { framework, number: self.choices.below(5) },
        }
    }

    fn message(&mut self) -> SlaveToExecutor {
        let task = self.task();
        match self.choices.below(10) {
            0..3 => {
                let fence_after = self.choices.one_in(2).then_some(Millis(400));
                SlaveToExecutor::Launch { task, command: None, data: [].into(), fence_after }
            }
            8.. => SlaveToExecutor::Renewed { task, turn: self.choices.one_in(2) },
            3..5 => SlaveToExecutor::Kill { task, grace: Millis(self.choices.below(3).into()) },
            _ => SlaveToExecutor::Acknowledge { task, number: self.choices.below(4) },
        }
    }

    /// What becomes of a process that was asked for, or now and then of another.
    fn process(&mut self) -> Input {
        let alive: Vec<TaskId> = self.alive.keys().copied().collect();
        let task = match alive.is_empty() || self.choices.one_in(8) {
            true if self.session.is_some() => {
                return Input::Slave { session: self.some_session(), message: self.message() };
            }
            true => self.task(),
            false => self.choices.one(&alive),
        };
        let started = self.alive.get(&task).copied();
        match self.choices.below(8) {
            0..4 if started != Some(true) => Input::Started { task },
            4 if started != Some(true) => Input::StartFailed { task, cause: Text::EMPTY },
            _ => {
                let how =
                    self.choices.one(&[Exit::Code(0), Exit::Code(1), Exit::Signal(15), Exit::Signal(9)]);
                Input::Exited { task, how }
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.ended = None;
        if let Input::Exited { task, .. } = &input {
            self.ended = Some(*task);
        }
        self.before(&input);
        let before = self.executor.clone();
        let handle = |input, out: &mut Outbox<Effect>| self.executor.handle(&self.config, input, out);
        let effects = machine::step(self.choices, input.clone(), handle);
        let silent = effects.is_empty() && self.executor == before;
        let bound = 4 + 3 * (self.named.len() + 1);
        let many = || format!("S15: {} effects of {input:?}", effects.len());
        self.choices.hold(effects.len() <= bound, many);
        for effect in effects {
            self.carry_out(effect);
        }
        if let Input::Timer(Timer::Lease(task, _)) = &input {
            self.choices.reach("fenced");
            let runs = self.alive.get(task) == Some(&true) && !self.forced.contains(task);
            self.choices.hold(!runs, || format!("R9: {task} runs, and its lease is over"));
        }
        if silent {
            machine::ignores(self.choices, &before, &input, |executor, out| {
                executor.handle(&self.config, input.clone(), out);
            });
        }
    }

    fn before(&mut self, input: &Input) {
        match input {
            Input::Opened { session } => self.session = Some(*session),
            Input::Closed { session } if self.session == Some(*session) => self.session = None,
            Input::Slave { session, message } if self.session == Some(*session) => self.hears(message),
            Input::StartFailed { task, .. } | Input::Exited { task, .. } => {
                self.alive.remove(task);
            }
            Input::Started { task } => {
                self.alive.entry(*task).and_modify(|started| *started = true);
            }
            Input::Start | Input::Timer(_) | Input::Terminate => {}
            Input::Closed { .. } | Input::Slave { .. } => {}
        }
    }

    fn hears(&mut self, message: &SlaveToExecutor) {
        match message {
            SlaveToExecutor::Launch { task, .. } => {
                self.named.insert(*task);
            }
            SlaveToExecutor::Kill { task, .. } => {
                // Of more than it can remember, the lowest are forgotten.
                if self.named.insert(*task) && self.never.len() < REFUSED_MAX {
                    self.never.insert(*task);
                }
            }
            SlaveToExecutor::Renewed { .. } => {}
            SlaveToExecutor::Acknowledge { task, number } => {
                let ends = |(id, nth): &(TaskId, u32), state: &TaskState| {
                    id == task && nth <= number && state.is_terminal()
                };
                // What it is told of the task from here on, it takes for another's.
                if self.said.iter().any(|(said, state)| ends(said, state)) {
                    self.said.retain(|(id, _), _| id != task);
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Start { task, .. } => {
                let killed = self.never.contains(&task);
                self.choices.hold(!killed, || format!("S10: {task} starts after its kill"));
                let fresh = self.alive.insert(task, false).is_none();
                self.choices.hold(fresh, || format!("{task} is started twice"));
                self.said.retain(|(id, _), _| *id != task);
            }
            Effect::Signal { task, signal } => {
                let alive = self.alive.contains_key(&task) || self.ended == Some(task);
                self.choices.hold(alive, || format!("{task} gets {signal:?} and does not run"));
                if signal == Signal::Kill {
                    self.forced.insert(task);
                    self.choices.reach("killed");
                }
            }
            Effect::ToSlave { session, message } => {
                let newest = self.session == Some(session);
                self.choices.hold(newest, || format!("it speaks in {session}, which is over"));
                self.says(message);
            }
            Effect::SetTimer { timer, .. } | Effect::ShortenTimer { timer, .. } => {
                self.timers.insert(timer);
            }
            Effect::CancelTimer { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Exit { code } => self.exits(code),
        }
    }

    fn says(&mut self, message: ExecutorToSlave) {
        let ExecutorToSlave::Update { task, number, state, .. } = message else {
            return;
        };
        let earlier = self.said.insert((task, number), state);
        let same = earlier.is_none_or(|earlier| earlier == state);
        self.choices
            .hold(same, || format!("S9: {task} was {earlier:?} by update {number}, and is {state:?}"));
        if earlier.is_some() {
            self.choices.reach("said again");
        }
        if state == TaskState::Finished {
            self.choices.reach("finished");
        }
        if state.is_terminal() {
            self.forced.remove(&task);
            let alive = self.alive.contains_key(&task);
            self.choices.hold(!alive, || format!("{task} is {state:?} and runs"));
        }
    }

    fn exits(&mut self, code: u8) {
        self.over = true;
        self.choices.hold(self.alive.is_empty(), || format!("S11: it exits, and {:?} run", self.alive));
        match code {
            EXIT_DONE => self.choices.reach("done"),
            EXIT_ABANDONED => self.choices.reach("abandoned"),
            other => self.choices.broken(format!("it exits with {other}")),
        }
    }

    /// S15: of each task that it was told of, it keeps little.
    fn is_bounded(&self) {
        let size = format!("{:?}", self.executor).len();
        let most = 256 + 512 * self.named.len();
        self.choices.hold(size <= most, || {
            format!("S15: {size} bytes of state, for {most} at most: {:?}", self.executor)
        });
    }
}
