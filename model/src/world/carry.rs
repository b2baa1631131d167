//! What follows an input: the machine's effects, carried out as a driver does.

use std::collections::VecDeque;

use neap_protocol::framework::{Memory, MemoryChange};
use neap_protocol::ids::{DrainId, Epoch, ExecutorId, InverseOfferId, SessionId, TaskId};
use neap_protocol::message::{
    Answer, MasterToOperator, MasterToSlave, ReceiptId, ReceiptLine, Refusal, SlaveRef, SlaveToMaster,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::{InverseStage, Operation};
use neap_protocol::task::{TaskState, Update};
use neap_protocol::{executor, framework, master, slave};

use crate::shared::Shared;

use super::links::{Dialer, End, LinkKey, Message};
use super::nodes::{Callback, Plan, Process, Tree};
use super::step::{Step, operator_session};

/// Something that properties and stories tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A master said something.
    MasterSaid {
        /// Which.
        master: u8,
        /// The epoch that it was elected with.
        epoch: Epoch,
        /// To whom.
        to: Dialer,
        /// What.
        message: Message,
    },
    /// A peer of a master said something.
    Said {
        /// Who.
        from: Dialer,
        /// What.
        message: Message,
    },
    /// A master answered a command of the operator.
    Answered {
        /// Which.
        master: u8,
        /// The epoch that it was elected with.
        epoch: Epoch,
        /// Which command.
        command: u8,
        /// Its answer.
        answer: Result<Answer, Refusal>,
    },
    /// Something became durable in the registry.
    Stored {
        /// What.
        operation: Operation,
        /// Whether it made sense when its turn came.
        applied: bool,
    },
    /// A scheduler's callback was called.
    Told {
        /// Which framework's.
        framework: u8,
        /// With what.
        event: framework::Event,
    },
    /// A task's process began.
    Began {
        /// On which slave's host.
        slave: u8,
        /// Whose.
        task: TaskId,
    },
    /// SIGTERM is sent to every process of an executor.
    Terminated {
        /// On which slave's host.
        slave: u8,
        /// Whose.
        executor: ExecutorId,
    },
    /// SIGKILL is sent to every process of an executor.
    Killed {
        /// On which slave's host.
        slave: u8,
        /// Whose.
        executor: ExecutorId,
    },
    /// An executor gives up on its slave, and exits.
    Abandoned {
        /// On whose host.
        slave: u8,
        /// Which.
        executor: ExecutorId,
    },
    /// A slave exits.
    Exited {
        /// Which.
        slave: u8,
        /// With this code.
        code: u8,
    },
    /// A slave tells of itself.
    SlaveEvent {
        /// Which.
        slave: u8,
        /// What.
        event: slave::Event,
    },
    /// A master adds a line to a receipt.
    Recorded {
        /// Which receipt.
        receipt: ReceiptId,
        /// The line.
        line: ReceiptLine,
    },
    /// A master tells of itself.
    MasterEvent {
        /// Which.
        master: u8,
        /// What.
        event: neap_protocol::message::Event,
    },
    /// A machine panicked.
    Panicked {
        /// With these words.
        words: String,
    },
}

/// An input that an effect led to: it comes after the effects that were named with that one.
#[derive(Debug)]
pub(super) enum Next {
    Master(u8, master::Input),
    Executor(u8, ExecutorId, executor::Input),
    Framework(u8, framework::Input),
}

pub(super) type Queue = VecDeque<Next>;

impl Step<'_> {
    /// Hands over what effects led to, until nothing is left.
    pub(super) fn settle(&mut self) {
        while let Some(next) = self.next.pop_front() {
            match next {
                Next::Master(number, input) => self.master(number, input),
                Next::Executor(slave, id, input) => self.executor(slave, id, input),
                Next::Framework(number, input) => self.framework(number, input),
            }
        }
    }

    pub(super) fn write(&mut self, operation: Operation) {
        let applied = self.world.store.edit().registry.apply(&operation).is_ok();
        if let (Operation::RemoveSlave { slave, .. }, true) = (&operation, applied) {
            self.world.ghost.edit().removed.insert(*slave, ());
        }
        if let (Operation::MarkUnreachable { slave }, true) = (&operation, applied) {
            self.world.ghost.edit().given_up.insert(*slave, ());
        }
        if let (Operation::ExtendDrain { drain, .. }, true) = (&operation, applied) {
            self.deadline_moved(*drain);
        }
        self.happenings.push(Happening::Stored { operation, applied });
    }

    /// What a drain asked for, and has not begun to take, has time again.
    fn deadline_moved(&mut self, drain: DrainId) {
        let registry = &self.world.store.registry;
        let open: Vec<InverseOfferId> = registry
            .inverse_offers_of_drain(drain)
            .filter(|id| registry.inverse_offers().get(id).is_some_and(|io| io.stage == InverseStage::Open))
            .collect();
        if open.iter().any(|id| self.world.ghost.passed.contains_key(id)) {
            self.world.ghost.edit().passed.retain(|id, ()| !open.contains(id));
        }
    }

    pub(super) fn master(&mut self, number: u8, input: master::Input) {
        let mut out = Outbox::new();
        let config = &self.scope.master;
        let node = self.world.masters[usize::from(number)].edit();
        let Some(machine) = &mut node.machine else { return };
        machine.handle(config, input, &mut out);
        for effect in out.drain() {
            self.master_effect(number, effect);
        }
    }

    fn master_effect(&mut self, number: u8, effect: master::Effect) {
        match effect {
            master::Effect::ToSlave { session, message } => {
                self.master_says(number, session, Message::MasterToSlave(message));
            }
            master::Effect::ToFramework { session, message } => {
                self.master_says(number, session, Message::MasterToFramework(message));
            }
            master::Effect::ToOperator { session, message } => self.answer(number, session, message),
            master::Effect::Close { session, .. } => {
                if let Some(key) = self.key_at_master(number, session) {
                    self.leave(key, End::Far);
                }
            }
            master::Effect::SetTimer { timer, when } => self.master_node(number).timers.set(timer, when),
            master::Effect::CancelTimer { timer } => self.master_node(number).timers.cancel(timer),
            master::Effect::Recover => {
                let registry = Box::new(self.world.store.registry.clone());
                self.next.push_back(Next::Master(number, master::Input::Recovered { registry }));
            }
            master::Effect::Store { seq, epoch, operation } => {
                self.master_node(number).writes.push((epoch, seq, operation));
            }
            master::Effect::Publish(event) => {
                self.happenings.push(Happening::MasterEvent { master: number, event })
            }
            // What only people read happens, and leaves nothing behind.
            master::Effect::Record { receipt, line } => {
                self.happenings.push(Happening::Recorded { receipt, line });
            }
            // Nobody here reads receipts: one that has left and one that never was are the same to who asked.
            master::Effect::RefuseUnknownSlave { session, request, name } => {
                let answer = Err(Refusal::UnknownSlave(SlaveRef::Name(name)));
                self.answer(number, session, MasterToOperator::Answer { request, answer });
            }
            master::Effect::AnswerReceipt { .. } | master::Effect::AnswerHistory { .. } => {}
        }
    }

    fn key_at_master(&self, number: u8, session: SessionId) -> Option<LinkKey> {
        let is_it = |link: &&super::Link| {
            link.far_session() == session
                && link.master == number
                && link.is_open(End::Far)
                && !matches!(link.key.0, Dialer::Executor(..))
        };
        self.world.links.iter().find(is_it).map(|link| link.key)
    }

    fn master_says(&mut self, number: u8, session: SessionId, message: Message) {
        let Some(key) = self.key_at_master(number, session) else { return };
        let epoch = self.world.masters[usize::from(number)].epoch;
        self.link(key, |link| link.hear_of(epoch));
        self.remember_order(epoch, key.0, &message);
        self.happenings.push(Happening::MasterSaid {
            master: number,
            epoch,
            to: key.0,
            message: message.clone(),
        });
        self.link(key, |link| link.say(End::Far, message));
    }

    /// What a master's word makes true.
    fn remember_order(&mut self, epoch: Epoch, to: Dialer, message: &Message) {
        let (Dialer::Slave(slave), Message::MasterToSlave(message)) = (to, message) else { return };
        match message {
            MasterToSlave::Launch(spec) => {
                // A deposed leader may launch on a slave that is removed since: it comes to nothing.
                let id = self.world.admitted_id(slave).or(self.world.slave_id(slave));
                if let Some(id) = id {
                    self.world.ghost.edit().launched.insert(spec.id, (id, epoch));
                }
            }
            MasterToSlave::Leave => {
                self.world.ghost.edit().told_to_go.insert(slave, ());
            }
            MasterToSlave::Ping => self.note_ping(epoch, slave),
            MasterToSlave::Registered { .. }
            | MasterToSlave::Refused(_)
            | MasterToSlave::Kill { .. }
            | MasterToSlave::Acknowledge { .. }
            | MasterToSlave::Resend { .. }
            | MasterToSlave::KillFramework { .. }
            | MasterToSlave::Unregistered
            | MasterToSlave::Renewed { .. } => {}
        }
    }

    /// What a slave's word makes true.
    fn remember_news(&mut self, message: &Message) {
        let Message::SlaveToMaster(message) = message else { return };
        let states: Vec<(TaskId, TaskState)> = match message {
            SlaveToMaster::Update { update, .. } => vec![(update.task, update.state)],
            SlaveToMaster::Unregister { finals } => {
                finals.iter().map(|last| (last.update.task, last.update.state)).collect()
            }
            SlaveToMaster::Register { tasks, .. } => tasks.iter().map(|task| (task.id, task.state)).collect(),
            SlaveToMaster::Pong | SlaveToMaster::Leaving | SlaveToMaster::Renew { .. } => return,
        };
        let parts = matches!(message, SlaveToMaster::Unregister { .. });
        for (task, state) in states {
            let other = self.world.ghost.over.get(&task).is_some_and(|over| *over != state);
            if parts && other && self.world.ghost.parting.contains_key(&task) {
                self.world.ghost.edit().unsure.insert(task, ());
            }
            if state.is_terminal() && !self.world.ghost.over.contains_key(&task) {
                let ghost = self.world.ghost.edit();
                ghost.over.insert(task, state);
                if parts {
                    ghost.parting.insert(task, ());
                }
            }
        }
    }

    fn answer(&mut self, number: u8, session: SessionId, message: MasterToOperator) {
        let MasterToOperator::Answer { answer, .. } = message else { return };
        let asked = self.world.masters[usize::from(number)].asked.clone();
        let Some(command) = asked.into_iter().find(|command| operator_session(*command) == session) else {
            return;
        };
        let node = self.master_node(number);
        node.asked.retain(|asked| *asked != command);
        let epoch = node.epoch;
        if let Ok(Answer::Plan(plan)) = &answer {
            let tasks = plan.tasks.iter().map(|task| task.id).collect();
            self.world.plan = Some(Plan { digest: plan.digest, tasks });
        }
        self.happenings.push(Happening::Answered { master: number, epoch, command, answer });
        self.next.push_back(Next::Master(number, master::Input::Closed { session }));
    }

    pub(super) fn slave(&mut self, number: u8, input: slave::Input) {
        let mut out = Outbox::new();
        let config = &self.scope.slave;
        let node = self.world.slaves[usize::from(number)].edit();
        let Some(machine) = &mut node.machine else { return };
        machine.handle(config, input, &mut out);
        for effect in out.drain() {
            self.slave_effect(number, effect);
        }
    }

    fn slave_effect(&mut self, number: u8, effect: slave::Effect) {
        match effect {
            slave::Effect::Connect { .. } => self.slave_node(number).dialing = true,
            slave::Effect::ToMaster { session, message } => {
                self.say(Dialer::Slave(number), session, Message::SlaveToMaster(message));
            }
            slave::Effect::ToExecutor { session, message } => {
                if let Some(key) = self.key_at_slave(number, session) {
                    self.link(key, |link| link.say(End::Far, Message::SlaveToExecutor(message)));
                }
            }
            slave::Effect::Close { session, .. } => match self.key_at_slave(number, session) {
                Some(key) => self.leave(key, End::Far),
                None => self.close(Dialer::Slave(number), session),
            },
            slave::Effect::SetTimer { timer, when } => self.slave_node(number).timers.set(timer, when),
            slave::Effect::ShortenTimer { timer, when } => {
                self.slave_node(number).timers.shorten(timer, when)
            }
            slave::Effect::CancelTimer { timer } => self.slave_node(number).timers.cancel(timer),
            slave::Effect::Store { seq, change } => self.slave_node(number).writes.push((seq, change)),
            slave::Effect::Launch { executor, .. } => {
                let place =
                    self.world.trees.partition_point(|tree| (tree.slave, tree.id) < (number, executor));
                self.world.trees.insert(place, Shared::new(Tree::new(number, executor)));
            }
            slave::Effect::Terminate { executor } => {
                self.happenings.push(Happening::Terminated { slave: number, executor });
                self.terminate(number, executor);
            }
            slave::Effect::Kill { executor } => {
                self.tree(number, executor, |tree| tree.killing = true);
                self.happenings.push(Happening::Killed { slave: number, executor });
            }
            slave::Effect::Publish(event) => {
                self.happenings.push(Happening::SlaveEvent { slave: number, event })
            }
            slave::Effect::Exit { code } => {
                self.happenings.push(Happening::Exited { slave: number, code });
                self.slave_gone(number, Some(code));
            }
        }
    }

    /// What lives of a task, or of all of a tree, has not ended by itself before it is sent a signal (R12a).
    fn remember_asked(&mut self, slave: u8, id: ExecutorId, only: Option<TaskId>) {
        let living = self.world.tree(slave, id).into_iter().flat_map(|tree| &tree.processes);
        let living = living.map(|process| process.task).filter(|task| only.is_none_or(|only| only == *task));
        let living: Vec<TaskId> = living.filter(|task| !self.world.ghost.asked.contains_key(task)).collect();
        for task in living {
            self.world.ghost.edit().asked.insert(task, ());
        }
    }

    /// SIGTERM to every process of a tree: those that do not resist end, of the signal or as they see fit. Where the task's
    /// own has ended already its executor knows, for in this world it is told at once.
    fn terminate(&mut self, number: u8, executor: ExecutorId) {
        let hostile = self.scope.hostile;
        self.remember_asked(number, executor, None);
        self.tree(number, executor, |tree| {
            tree.processes.iter_mut().for_each(|process| process.dying |= !hostile)
        });
        self.next.push_back(Next::Executor(number, executor, executor::Input::Terminate));
    }

    fn key_at_slave(&self, number: u8, session: SessionId) -> Option<LinkKey> {
        let is_it = |link: &&super::Link| {
            matches!(link.key.0, Dialer::Executor(slave, _) if slave == number)
                && link.far_session() == session
                && link.is_open(End::Far)
        };
        self.world.links.iter().find(is_it).map(|link| link.key)
    }

    fn key_of(&self, dialer: Dialer, session: SessionId) -> Option<LinkKey> {
        let is_it = |link: &&super::Link| {
            link.key.0 == dialer && link.near_session() == session && link.is_open(End::Near)
        };
        self.world.links.iter().find(is_it).map(|link| link.key)
    }

    fn say(&mut self, from: Dialer, session: SessionId, message: Message) {
        let Some(key) = self.key_of(from, session) else { return };
        self.remember_news(&message);
        self.happenings.push(Happening::Said { from, message: message.clone() });
        self.link(key, |link| link.say(End::Near, message));
    }

    fn close(&mut self, dialer: Dialer, session: SessionId) {
        if let Some(key) = self.key_of(dialer, session) {
            self.leave(key, End::Near);
        }
    }

    pub(super) fn executor(&mut self, slave: u8, id: ExecutorId, input: executor::Input) {
        let mut out = Outbox::new();
        let config = &self.scope.executor;
        let Some(tree) = self.world.trees.iter_mut().find(|tree| tree.slave == slave && tree.id == id) else {
            return;
        };
        let Some(machine) = &mut tree.edit().machine else { return };
        machine.handle(config, input, &mut out);
        for effect in out.drain() {
            self.executor_effect(slave, id, effect);
        }
    }

    fn executor_effect(&mut self, slave: u8, id: ExecutorId, effect: executor::Effect) {
        match effect {
            executor::Effect::ToSlave { session, message } => {
                let key = self.key_of(Dialer::Executor(slave, id), session);
                if let Some(key) = key {
                    self.link(key, |link| link.say(End::Near, Message::ExecutorToSlave(message)));
                }
            }
            executor::Effect::Start { task, .. } => {
                self.tree(slave, id, |tree| {
                    tree.processes.push(Process { task, dying: false, forced: false });
                    tree.hosted.push(task);
                });
                self.happenings.push(Happening::Began { slave, task });
                self.world.ghost.edit().ran.insert(task, ());
                self.next.push_back(Next::Executor(slave, id, executor::Input::Started { task }));
            }
            executor::Effect::Signal { task, signal } => {
                let forced = signal == executor::Signal::Kill;
                let dies = forced || !self.scope.hostile;
                self.remember_asked(slave, id, Some(task));
                self.tree(slave, id, |tree| {
                    let its = tree.processes.iter_mut().filter(|process| process.task == task);
                    its.for_each(|process| {
                        process.dying |= dies;
                        process.forced |= forced;
                    });
                });
            }
            executor::Effect::SetTimer { timer, when } => {
                self.tree(slave, id, |tree| tree.timers.set(timer, when))
            }
            executor::Effect::ShortenTimer { timer, when } => {
                self.tree(slave, id, |tree| tree.timers.shorten(timer, when));
            }
            executor::Effect::CancelTimer { timer } => self.tree(slave, id, |tree| tree.timers.cancel(timer)),
            executor::Effect::Exit { code } => {
                if code == executor::EXIT_ABANDONED {
                    self.forget_ends(slave, id);
                    self.happenings.push(Happening::Abandoned { slave, executor: id });
                }
                self.executor_ends(slave, id);
            }
        }
    }

    pub(super) fn framework(&mut self, number: u8, input: framework::Input) {
        let mut out = Outbox::new();
        let first = &self.scope.framework[usize::from(number)];
        let node = self.world.frameworks[usize::from(number)].edit();
        let failover_timeout = self.scope.failover_again.filter(|_| node.again);
        let again =
            failover_timeout.map(|failover_timeout| framework::Config { failover_timeout, ..first.clone() });
        if let Some(callback) = &mut node.callback {
            return callback.inputs.push(input);
        }
        let Some(machine) = &mut node.machine else { return };
        machine.handle(again.as_ref().unwrap_or(first), input, &mut out);
        self.framework_effects(number, out.drain().collect());
    }

    /// Takes effects, in order, as far as no callback takes its time.
    fn framework_effects(&mut self, number: u8, effects: Vec<framework::Effect>) {
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            self.framework_effect(number, effect);
            if let Some(callback) = &mut self.framework_node(number).callback {
                callback.effects = effects.collect();
                return;
            }
        }
    }

    fn framework_effect(&mut self, number: u8, effect: framework::Effect) {
        match effect {
            framework::Effect::Connect { .. } => self.framework_node(number).dialing = true,
            framework::Effect::ToMaster { session, message } => {
                self.say(Dialer::Framework(number), session, Message::FrameworkToMaster(message));
            }
            framework::Effect::Close { session, .. } => self.close(Dialer::Framework(number), session),
            framework::Effect::SetTimer { timer, when } => {
                self.framework_node(number).timers.set(timer, when)
            }
            framework::Effect::CancelTimer(timer) => self.framework_node(number).timers.cancel(timer),
            framework::Effect::Notify(event) => self.notify(number, event),
            framework::Effect::Exit => {
                let node = self.framework_node(number);
                node.over = true;
                node.memory = Memory::default();
                node.timers.clear();
                node.dialing = false;
            }
        }
    }

    /// The scheduler's callback: what it decides on is for a later step. So is that it returns, where the scope says so.
    fn notify(&mut self, number: u8, event: framework::Event) {
        let node = &self.world.frameworks[usize::from(number)];
        let change = node.machine.as_ref().and_then(|machine| node.memory.change(machine, &event));
        let mut update = None;
        if let framework::Event::Update { update: told, .. } = &event {
            let ghost = self.world.ghost.edit();
            ghost.told.insert(told.task, told.state);
            if told.state.is_terminal() {
                ghost.ended.remove(&told.task);
            }
            update = Some(told.clone());
        }
        self.happenings.push(Happening::Told { framework: number, event });
        if self.scope.slow_callbacks && (change.is_some() || update.is_some()) {
            let callback = Callback { change, update, effects: Vec::new(), inputs: Vec::new() };
            self.framework_node(number).callback = Some(callback);
        } else {
            self.returned(number, change, update);
        }
    }

    pub(super) fn framework_kept(&mut self, number: u8) {
        let Some(callback) = self.framework_node(number).callback.take() else { return };
        let Callback { change, update, effects, inputs } = callback;
        self.next.extend(inputs.into_iter().map(|input| Next::Framework(number, input)));
        self.returned(number, change, update);
        self.framework_effects(number, effects);
    }

    /// A callback has returned: what it leads to is durable before an update is handled.
    fn returned(&mut self, number: u8, change: Option<MemoryChange>, update: Option<Update>) {
        if let Some(change) = change {
            self.framework_node(number).memory.apply(change);
        }
        let Some(update) = update else { return };
        let ghost = self.world.ghost.edit();
        match update.state.is_terminal() {
            true => ghost.heard.remove(&update.task).is_some(),
            false => ghost.heard.insert(update.task, update.number).is_some(),
        };
        let handled = framework::Input::Handled { task: update.task, number: update.number };
        self.next.push_back(Next::Framework(number, handled));
    }
}
