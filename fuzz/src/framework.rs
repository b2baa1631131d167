//! `framework`: inputs to one framework: it never panics and keeps within its limits (S15), says nothing that a frame
//! cannot carry, numbers no task twice (S16), tells its scheduler each update once (R12) and nothing after an end (S9),
//! and ignores what it must.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use neap_protocol::codec;
use neap_protocol::framework::{
    Asked, Command, Config, Effect, Event, Framework, Input, NewRun, NewTask, Timer,
};
use neap_protocol::ids::{Epoch, FrameworkId, InverseOfferId, OfferId, SessionId, SlaveId, TaskId};
use neap_protocol::message::{InverseAnswer, InverseAsk, InverseOutcome, MasterToFramework, Offered};
use neap_protocol::outbox::Outbox;
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};

use crate::choices::Choices;
use crate::machine;

/// What a run can reach.
pub(crate) const GOALS: &[&str] = &[
    "subscribed",
    "disconnected",
    "offers",
    "rescinded",
    "update",
    "end",
    "inverse offer",
    "inverse offer closed",
    "inverse offer void",
    "refused",
    "finished",
    "calm",
];

const F1: FrameworkId = FrameworkId(1);
const HOST: SlaveId = SlaveId(7);

const STATES: [TaskState; 10] = [
    TaskState::Staging,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Killing,
    TaskState::Unreachable,
    TaskState::Finished,
    TaskState::Failed,
    TaskState::Killed,
    TaskState::Lost,
    TaskState::Dropped,
];

/// Runs the target: one life after another.
pub(crate) fn run(choices: &mut Choices<'_>) {
    machine::lives(choices, |choices| Life::new(choices).live());
}

/// A framework, and what the world around it remembers, to hold it to its rules.
struct Life<'c, 'b> {
    choices: &'c mut Choices<'b>,
    config: Config,
    framework: Framework,
    timers: BTreeSet<Timer>,
    connecting: bool,
    tearing_down: bool,
    sessions: u32,
    /// Updates that its scheduler has yet to deal with.
    callbacks: VecDeque<(TaskId, u32)>,
    /// The latest number that its scheduler was told of each task.
    numbers: BTreeMap<TaskId, u32>,
    /// The tasks that it was told are out of reach.
    away: BTreeSet<TaskId>,
    ended: BTreeSet<TaskId>,
    launched: BTreeSet<TaskId>,
}

impl<'c, 'b> Life<'c, 'b> {
    fn new(choices: &'c mut Choices<'b>) -> Self {
        let name = Name::new("batch").expect("it is a name");
        Self {
            choices,
            config: Config { tasks_max: 3, offers_max: 2, inverse_offers_max: 2, ..Config::new(name) },
            framework: Framework::new(),
            timers: BTreeSet::new(),
            connecting: false,
            tearing_down: false,
            sessions: 0,
            callbacks: VecDeque::new(),
            numbers: BTreeMap::new(),
            away: BTreeSet::new(),
            ended: BTreeSet::new(),
            launched: BTreeSet::new(),
        }
    }

    fn live(&mut self) {
        self.feed(Input::Start { id: None, highest_task: 0, tasks: vec![] }, false);
        while !self.framework.is_over() && !self.choices.is_over() {
            let (input, ignored) = self.input();
            self.feed(input, ignored);
        }
        // One that is over hears nothing any more.
        for _ in 0..4 {
            let (input, ignored) = self.input();
            self.feed(input, ignored);
        }
        if !self.framework.is_over() && !self.tearing_down {
            self.subscribe();
            self.calm_down();
        }
    }

    fn any_task(&mut self) -> TaskId {
        let known = self.framework.highest_task().saturating_sub(5);
        let number = known.saturating_add(self.choices.below(9));
        let nth = self.choices.below(3) as usize;
        let live = self.framework.tasks().nth(nth);
        match self.choices.below(40) {
            2..30 if live.is_some() => live.map_or(task(0), |(task, ..)| task),
            0 => TaskId { framework: FrameworkId(2), number },
            1 => task(u32::MAX),
            _ => task(number),
        }
    }

    fn message(&mut self) -> MasterToFramework {
        let rare = if self.framework.is_subscribed() { 1 } else { 12 };
        let refuses = if self.tearing_down { 4 } else { 60 };
        match self.choices.below(26) {
            kind if kind < rare => self.subscription(),
            1 if self.choices.one_in(8) => MasterToFramework::NotLeading { leader: "m".into() },
            2 if self.choices.one_in(refuses) => MasterToFramework::Refused(Text::EMPTY),
            0..11 => {
                let few = self.choices.below(4);
                MasterToFramework::Offers((0..few).map(|_| offered(self.choices.below(6))).collect())
            }
            11 => {
                let few = self.choices.below(4);
                MasterToFramework::Rescind((0..few).map(|_| self.offer()).collect())
            }
            12..20 => {
                let state = self.choices.one(&STATES);
                let number = self.choices.below(6);
                MasterToFramework::Update { update: update(self.any_task(), number, state), slave: HOST }
            }
            20..23 => self.inverse_offer(),
            23 => {
                MasterToFramework::InverseOfferClosed { id: self.inverse(), outcome: InverseOutcome::Revoked }
            }
            _ => self.any_message(),
        }
    }

    /// Anything but the end of all, which is rare.
    fn any_message(&mut self) -> MasterToFramework {
        let any = self.choices.any();
        match matches!(any, MasterToFramework::Refused(_)) {
            true => MasterToFramework::Offers(Vec::new()),
            false => any,
        }
    }

    fn subscription(&mut self) -> MasterToFramework {
        let other = self.framework.id().is_some() && self.choices.one_in(40);
        let id = FrameworkId(1 + u32::from(other));
        let epoch = self.framework.epoch().0.saturating_add(u64::from(self.choices.below(3) / 2));
        let epoch = Epoch(epoch.saturating_sub(u64::from(self.choices.one_in(12))));
        let below = self.framework.highest_task().saturating_sub(2);
        let highest_task = below.saturating_add(self.choices.below(4));
        MasterToFramework::Subscribed { id, epoch, highest_task }
    }

    fn inverse_offer(&mut self) -> MasterToFramework {
        let deadline = Moment(self.choices.below(2).into());
        let Asked { slave, name, ask, reason, .. } = asked();
        MasterToFramework::InverseOffer { id: self.inverse(), slave, name, ask, deadline, reason }
    }

    fn offer(&mut self) -> OfferId {
        OfferId(self.choices.below(6).into())
    }

    fn inverse(&mut self) -> InverseOfferId {
        InverseOfferId(self.choices.below(4))
    }

    fn command(&mut self) -> Command {
        let nth = self.choices.below(3) as usize;
        let held = self.framework.offers().nth(nth);
        match self.choices.below(16) {
            0..8 => Command::Accept {
                offer: held.map_or_else(|| self.offer(), |(offer, _)| offer),
                tasks: vec![new_task(); self.choices.below(3) as usize],
                filter: Millis::ZERO,
            },
            8 => Command::Decline { offers: vec![self.offer(), self.offer()], filter: Millis::ZERO },
            9 => Command::Revive,
            10 => Command::Suppress,
            11 | 12 => {
                let grace = self.choices.one(&[None, Some(Millis(5)), Some(Millis(3))]);
                Command::Kill { task: self.any_task(), grace }
            }
            13 => {
                let reason = self.choices.one(&["a", "b"]).into();
                Command::AnswerInverse { id: self.inverse(), answer: InverseAnswer::Decline { reason } }
            }
            14 if self.choices.one_in(60) => Command::Teardown,
            _ => Command::Reconcile,
        }
    }

    /// Something that may happen, or now and then something that no driver and no master would do; and whether it
    /// must be ignored.
    fn input(&mut self) -> (Input, bool) {
        let over = self.framework.is_over();
        match self.choices.below(20) {
            0 => {
                let timer = self.choices.one(&[Timer::Connect, Timer::Subscribe, Timer::Reannounce]);
                let runs = self.timers.remove(&timer);
                (Input::Timer(timer), !runs)
            }
            1 if self.connecting && !self.choices.one_in(4) => (self.opened(), false),
            1 if self.connecting => {
                self.connecting = false;
                (Input::ConnectFailed, over)
            }
            1 => (Input::ConnectFailed, true),
            2 => {
                let old = !self.choices.one_in(8);
                let session = SessionId(self.sessions.saturating_sub(u32::from(old)));
                (Input::Closed { session }, self.framework.session() != Some(session))
            }
            3 => {
                let session = SessionId(self.sessions.wrapping_sub(1 + self.choices.below(2)));
                self.heard(session)
            }
            4..12 => self.heard(SessionId(self.sessions)),
            12..15 => (self.asked(), over),
            15..19 => match self.callbacks.pop_front() {
                Some((task, number)) => (Input::Handled { task, number }, over),
                None => (Input::Handled { task: task(0), number: 1 }, true),
            },
            _ => (
                Input::Start { id: Some(FrameworkId(9)), highest_task: 77, tasks: vec![(78, SlaveId(1))] },
                true,
            ),
        }
    }

    fn opened(&mut self) -> Input {
        self.connecting = false;
        self.sessions += 1;
        Input::Opened { session: SessionId(self.sessions) }
    }

    fn heard(&mut self, session: SessionId) -> (Input, bool) {
        let message = self.message();
        (Input::Master { session, message }, self.framework.session() != Some(session))
    }

    fn asked(&mut self) -> Input {
        let command = self.command();
        self.tearing_down |= command == Command::Teardown;
        Input::Scheduler(command)
    }

    fn feed(&mut self, input: Input, ignored: bool) {
        let before = ignored.then(|| self.framework.clone());
        let shown = input.clone();
        let handle = |input, out: &mut Outbox<Effect>| self.framework.handle(&self.config, input, out);
        let effects = machine::step(self.choices, input, handle);
        if let Some(before) = before {
            let nothing = effects.is_empty() && self.framework == before;
            self.choices.hold(nothing, || format!("{shown:?} is not ignored: {effects:?}"));
        }
        for effect in effects {
            self.take(effect);
        }
        self.is_bounded();
    }

    /// S15.
    fn is_bounded(&self) {
        let (framework, config) = (&self.framework, &self.config);
        let tasks = framework.tasks().count();
        self.choices.hold(tasks <= config.tasks_max, || format!("S15: {tasks} tasks"));
        let offers = framework.offers().count();
        let most = if framework.is_subscribed() { config.offers_max } else { 0 };
        self.choices.hold(offers <= most, || format!("S15: {offers} offers, {most} at most"));
        let asked = framework.inverse_offers().count();
        self.choices.hold(asked <= config.inverse_offers_max, || format!("S15: {asked} inverse offers"));
        let timers = usize::from(!framework.is_over());
        self.choices.hold(self.timers.len() <= timers, || format!("{:?} run at once", self.timers));
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { .. } => {
                self.choices.hold(!self.connecting, || "it connects twice at a time".to_owned());
                self.connecting = true;
            }
            Effect::SetTimer { timer, .. } => {
                self.timers.insert(timer);
            }
            Effect::CancelTimer(timer) => {
                let ran = self.timers.remove(&timer);
                self.choices.hold(ran, || format!("{timer:?} is cancelled and does not run"));
            }
            Effect::ToMaster { session, message } => {
                let newest = self.framework.session() == Some(session);
                self.choices.hold(newest, || format!("it speaks in {session}, which is over"));
                if let Err(error) = codec::encode(&message) {
                    self.choices.broken(error);
                }
            }
            Effect::Close { session, .. } => {
                let over = self.framework.session() != Some(session);
                self.choices.hold(over, || format!("it closes {session} and goes on in it"));
            }
            Effect::Notify(event) => self.hear(event),
            Effect::Exit => {
                self.choices.hold(self.framework.is_over(), || "it exits and is not over".to_owned());
            }
        }
    }

    fn hear(&mut self, event: Event) {
        let what = match event {
            Event::Launching { tasks, .. } => {
                for task in tasks {
                    let fresh = self.launched.insert(task);
                    self.choices.hold(fresh, || format!("S16: {task} is used again"));
                }
                return;
            }
            Event::Update { update, .. } => return self.hear_update(&update),
            Event::Subscribed { .. } => "subscribed",
            Event::Disconnected => "disconnected",
            Event::Offers(_) => "offers",
            Event::Rescinded(_) => "rescinded",
            Event::InverseOffer { .. } => "inverse offer",
            Event::InverseOfferClosed { outcome: InverseOutcome::Void, .. } => "inverse offer void",
            Event::InverseOfferClosed { .. } => "inverse offer closed",
            Event::Pending(_) => "pending",
            Event::Refused(_) => "refused",
            Event::Finished => "finished",
        };
        self.choices.reach(what);
    }

    fn hear_update(&mut self, update: &Update) {
        let (task, number) = (update.task, update.number);
        let launched = self.launched.contains(&task);
        self.choices.hold(launched, || format!("{task} was never launched, and is told of: {update:?}"));
        let ended = self.ended.contains(&task);
        self.choices.hold(!ended, || format!("S9: {update:?} after an end"));
        let ends = update.state.is_terminal();
        let before = self.numbers.get(&task).copied().unwrap_or(0);
        self.numbers.insert(task, number.max(before));
        // R8: that it is out of reach, and how it is when it is back, is news under any number.
        let turned = match update.state == TaskState::Unreachable {
            true => self.away.insert(task),
            false => self.away.remove(&task),
        };
        let news = number > before || ends || turned;
        self.choices.hold(news, || format!("R12: {update:?} after number {before}"));
        if ends {
            self.ended.insert(task);
            self.choices.reach("end");
        } else {
            self.choices.reach("update");
        }
        self.callbacks.push_back((task, number));
    }

    /// Until it is subscribed, with a master that answers.
    fn subscribe(&mut self) {
        while !self.framework.is_subscribed() {
            let input = match (self.framework.session(), self.connecting) {
                (Some(session), _) => {
                    let id = self.framework.id().unwrap_or(F1);
                    let epoch = self.framework.epoch();
                    let message = MasterToFramework::Subscribed { id, epoch, highest_task: 0 };
                    Input::Master { session, message }
                }
                (None, true) => self.opened(),
                (None, false) => {
                    let waits = self.timers.remove(&Timer::Connect);
                    self.choices.hold(waits, || "it neither connects nor waits to".to_owned());
                    Input::Timer(Timer::Connect)
                }
            };
            self.feed(input, false);
        }
    }

    /// Nothing but good news from here on: everything that lives ends, and nothing is left of it.
    fn calm_down(&mut self) {
        let Some(session) = self.framework.session() else { return };
        let live: Vec<TaskId> = self.framework.tasks().map(|(task, ..)| task).collect();
        for task in live {
            let update = update(task, u32::MAX, TaskState::Finished);
            let message = MasterToFramework::Update { update, slave: HOST };
            self.feed(Input::Master { session, message }, false);
        }
        while let Some((task, number)) = self.callbacks.pop_front() {
            self.feed(Input::Handled { task, number }, false);
        }
        let left = self.framework.tasks().count();
        self.choices.hold(left == 0, || format!("{left} tasks are left over"));
        let all = self.launched == self.ended;
        self.choices.hold(all, || format!("{:?} were launched, {:?} ended", self.launched, self.ended));
        self.choices.reach("calm");
    }
}

fn task(number: u32) -> TaskId {
    TaskId { framework: F1, number }
}

fn update(task: TaskId, number: u32, state: TaskState) -> Update {
    Update { task, number, state, reason: Reason::Normal, message: Text::EMPTY }
}

fn offered(id: u32) -> Offered {
    let name = Name::new("host").expect("it is a name");
    Offered { id: OfferId(id.into()), slave: HOST, name, resources: Resources::new(1000, 1 << 20) }
}

fn new_task() -> NewTask {
    NewTask {
        name: Name::new("shard").expect("it is a name"),
        resources: Resources::new(100, 1),
        kill_grace: Millis(500),
        fence_after: None,
        run: NewRun::Command(Arc::new(task::Command { program: "true".into(), ..Default::default() })),
    }
}

fn asked() -> Asked {
    Asked {
        slave: HOST,
        name: Name::new("host").expect("it is a name"),
        ask: InverseAsk::Everything,
        deadline: Moment(0),
        reason: "kernel".into(),
    }
}
