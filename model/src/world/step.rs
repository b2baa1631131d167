//! One step of a world.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use neap_protocol::executor::{self, Executor};
use neap_protocol::framework::{self, Framework};
use neap_protocol::ids::{BootId, Epoch, ExecutorId, InverseOfferId, Seq, SessionId, SlaveId, TaskId};
use neap_protocol::map::Map;
use neap_protocol::master::{self, Master};
use neap_protocol::message::{Command, ExecutorToSlave, InverseAnswer, OperatorToMaster, SlaveToMaster};
use neap_protocol::slave::{self, Slave};
use neap_protocol::task::{Ending, Exit};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{Peer, Role};

use crate::properties::{self, Seen};
use crate::scope::Scope;
use crate::shared::Shared;

use super::carry::{Happening, Queue};
use super::links::{Dialer, End, Link, LinkKey, Message};
use super::nodes::{FrameworkNode, MasterNode, SlaveNode, Tree};
use super::{Action, World};

/// How many numbers for sessions a dialler goes through before it uses one again that nobody knows of any more.
const SESSIONS: u8 = 8;

/// A step that is being made: the world as it becomes, and what happened in it.
#[derive(Debug)]
pub struct Step<'a> {
    pub(super) scope: &'a Scope,
    pub(super) world: World,
    /// What happened, in order.
    pub happenings: Vec<Happening>,
    pub(super) next: Queue,
}

impl World {
    /// What follows an action that [`World::actions`] named.
    #[must_use]
    pub fn step(&self, scope: &Scope, action: Action) -> World {
        self.step_told(scope, action).0
    }

    /// The same, and what happened in it.
    pub fn step_told(&self, scope: &Scope, action: Action) -> (World, Vec<Happening>) {
        let (mut world, happenings) = self.step_unjudged(scope, action);
        let seen = Seen { scope, before: self, after: &world, action, happenings: &happenings };
        world.broken = properties::broken(&seen);
        (world, happenings)
    }

    /// The same, before any property is asked about it. Where a machine panics nothing follows but that (S15).
    pub(crate) fn step_unjudged(&self, scope: &Scope, action: Action) -> (World, Vec<Happening>) {
        // What was half done is dropped, and this world is only read.
        let followed = panic::catch_unwind(AssertUnwindSafe(|| self.follow(scope, action)));
        followed.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let words = text.unwrap_or_else(|| "without a word".into());
            let mut world = self.clone();
            if let Some(event) = action.event() {
                world.budget.spend(event);
            }
            (world, vec![Happening::Panicked { words }])
        })
    }

    fn follow(&self, scope: &Scope, action: Action) -> (World, Vec<Happening>) {
        let mut step = Step { scope, world: self.clone(), happenings: Vec::new(), next: Queue::new() };
        if let Some(event) = action.event() {
            step.world.budget.spend(event);
        }
        if !scope.alike.is_empty() {
            step.world.heard.note(&scope.alike, action);
        }
        step.take(action);
        step.settle();
        let Step { mut world, happenings, .. } = step;
        world.seal();
        (world, happenings)
    }

    fn seal(&mut self) {
        self.masters.iter_mut().for_each(Shared::seal);
        self.store.seal();
        self.slaves.iter_mut().for_each(Shared::seal);
        self.frameworks.iter_mut().for_each(Shared::seal);
        self.trees.iter_mut().for_each(Shared::seal);
        self.links.iter_mut().for_each(Link::seal);
        self.ghost.seal();
    }
}

impl<'a> Step<'a> {
    /// Everyone is started, and the first master leads.
    pub(super) fn begin(scope: &'a Scope, world: World) -> World {
        let mut step = Step { scope, world, happenings: Vec::new(), next: Queue::new() };
        step.elect(0);
        step.settle();
        while !step.world.masters[0].writes.is_empty() {
            step.master_stored(0);
        }
        for slave in 0..scope.slaves {
            step.start_slave(slave);
        }
        for framework in 0..scope.frameworks {
            step.start_framework(framework);
        }
        step.settle();
        step.world.seal();
        step.world
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Deliver(key, end) => self.deliver(key, end),
            Action::Learn(key, end) => self.learn(key, end),
            Action::Cut(key) => self.link(key, Link::cut),
            Action::Connect(dialer, master) => self.connect(dialer, master),
            Action::NoConnection(dialer) => self.no_connection(dialer),
            Action::MasterTimer(number, timer, _) => {
                self.master_node(number).timers.cancel(timer);
                if let master::Timer::InverseOffer(id) = timer {
                    self.world.ghost.edit().passed.insert(id, ());
                }
                if let master::Timer::DrainAcknowledge(id) = timer {
                    self.world.ghost.edit().waited.insert(id, ());
                }
                if let master::Timer::Ping(slave) = timer {
                    self.note_silence(number, slave);
                }
                self.master(number, master::Input::Timer(timer));
            }
            Action::SlaveTimer(number, timer, _) => {
                self.slave_node(number).timers.cancel(timer);
                if timer == slave::Timer::Unregister {
                    self.world.ghost.edit().gave_up.insert(number, ());
                }
                self.slave(number, slave::Input::Timer(timer));
            }
            Action::FrameworkTimer(number, timer, _) => {
                self.framework_node(number).timers.cancel(timer);
                self.framework(number, framework::Input::Timer(timer));
            }
            Action::ExecutorTimer(slave, id, timer, _) => {
                self.tree(slave, id, |tree| tree.timers.cancel(timer));
                self.executor(slave, id, executor::Input::Timer(timer));
            }
            Action::MasterStored(number) => self.master_stored(number),
            Action::MasterNotStored(number) => self.master_not_stored(number),
            Action::SlaveStored(number) => self.slave_stored(number),
            Action::SlaveNotStored(number) => self.slave_not_stored(number),
            Action::CrashMaster(number, more) => self.crash_master(number, more),
            Action::StartMaster(number) => {
                *self.master_node(number) =
                    MasterNode { machine: Some(Master::new()), ..MasterNode::default() };
            }
            Action::Elect(number) | Action::Usurp(number) => self.elect(number),
            Action::Depose(number) => {
                self.master_node(number).epoch = Epoch(0);
                self.master(number, master::Input::Deposed { leader: Text::EMPTY });
            }
            Action::CrashSlave(number, more) => self.crash_slave(number, more),
            Action::StartSlave(number) | Action::Return(number) => self.start_slave(number),
            Action::Reboot(number) => self.reboot(number),
            Action::FrameworkKept(number) => self.framework_kept(number),
            Action::CrashFramework(number, more) => self.crash_framework(number, more),
            Action::StartFramework(number) => {
                self.framework_node(number).again = self.scope.failover_again.is_some();
                self.start_framework(number);
            }
            Action::NewFramework(number) => {
                self.crash_framework(number, 0);
                let node = self.framework_node(number);
                *node = FrameworkNode { dialled: node.dialled, ..FrameworkNode::default() };
                self.start_framework(number);
            }
            Action::Suppress(number) => {
                self.framework_node(number).sated = true;
                self.ask(number, framework::Command::Suppress);
            }
            Action::Revive(number) => {
                self.framework_node(number).sated = false;
                self.ask(number, framework::Command::Revive);
            }
            Action::Launch(number, offer, which) => {
                let tasks = vec![self.scope.tasks[usize::from(which)].clone()];
                self.ask(number, framework::Command::Accept { offer, tasks, filter: Millis::ZERO });
            }
            Action::Decline(number, offer) => {
                let (offers, filter) = (vec![offer], Millis::from_secs(60));
                self.ask(number, framework::Command::Decline { offers, filter });
            }
            Action::Kill(number, task) => self.ask(number, framework::Command::Kill { task, grace: None }),
            Action::AcceptInverse(number, id) => {
                let rather = self.newest_task(number, id).into_iter().collect();
                let answer = InverseAnswer::Accept { rather };
                self.ask(number, framework::Command::AnswerInverse { id, answer });
            }
            Action::DeclineInverse(number, id) => {
                let answer = InverseAnswer::Decline { reason: Text::EMPTY };
                self.ask(number, framework::Command::AnswerInverse { id, answer });
            }
            Action::Teardown(number) => self.ask(number, framework::Command::Teardown),
            Action::StartTree(slave, id) => self.start_tree(slave, id),
            Action::NoLaunch(slave, executor) => {
                self.world.trees.retain(|tree| tree.slave != slave || tree.id != executor);
                self.slave(slave, slave::Input::LaunchFailed { executor, cause: Text::EMPTY });
            }
            Action::Finish(slave, id, task, well) => {
                self.tree(slave, id, |tree| tree.processes.retain(|process| process.task != task));
                let how = Exit::Code(i32::from(!well));
                self.executor(slave, id, executor::Input::Exited { task, how });
            }
            Action::Die(slave, id, task) => {
                self.tree(slave, id, |tree| tree.processes.retain(|process| process.task != task));
                self.executor(slave, id, executor::Input::Exited { task, how: Exit::Signal(9) });
            }
            Action::Obey(slave, id, task) => {
                self.tree(slave, id, |tree| tree.processes.retain(|process| process.task != task));
                self.executor(slave, id, executor::Input::Exited { task, how: Exit::Code(0) });
            }
            Action::CrashExecutor(slave, id) => {
                self.forget_ends(slave, id);
                self.executor_ends(slave, id);
            }
            Action::TreeDies(slave, id) => {
                self.executor_ends(slave, id);
                self.tree(slave, id, Tree::die);
            }
            Action::See(slave, id) => self.see(slave, id),
            Action::Command(number) => self.command(number),
            Action::Signal(number) => {
                self.world.ghost.edit().told_to_go.insert(number, ());
                self.slave(number, slave::Input::DrainNow);
            }
            Action::Stall(number) => self.slave_node(number).stalled = true,
            Action::GoOn(number) => self.slave_node(number).stalled = false,
        }
    }

    /// The time of a ping is over at a master.
    fn note_silence(&mut self, master: u8, slave: SlaveId) {
        let waits = self.world.ghost.unanswered.get(&slave) == Some(&false);
        if waits && self.world.masters[usize::from(master)].epoch == self.world.store.fence {
            self.world.ghost.edit().unanswered.insert(slave, true);
        }
    }

    /// The master of this epoch pings a slave.
    pub(super) fn note_ping(&mut self, epoch: Epoch, slave: u8) {
        let fresh = |id: &SlaveId| !self.world.ghost.unanswered.contains_key(id);
        if let Some(id) = self.world.admitted_id(slave).filter(fresh)
            && epoch == self.world.store.fence
        {
            self.world.ghost.edit().unanswered.insert(id, false);
        }
    }

    /// A master hears a slave: whether that is an answer.
    fn note_answer(&mut self, slave: u8, message: &SlaveToMaster) {
        let answers = match message {
            SlaveToMaster::Pong | SlaveToMaster::Register { .. } | SlaveToMaster::Renew { .. } => true,
            SlaveToMaster::Update { .. } | SlaveToMaster::Leaving | SlaveToMaster::Unregister { .. } => false,
        };
        if let Some(id) = self.world.admitted_id(slave).filter(|_| answers)
            && self.world.ghost.unanswered.contains_key(&id)
        {
            self.world.ghost.edit().unanswered.remove(&id);
        }
    }

    // Machines.

    pub(super) fn master_node(&mut self, number: u8) -> &mut MasterNode {
        self.world.masters[usize::from(number)].edit()
    }

    pub(super) fn slave_node(&mut self, number: u8) -> &mut SlaveNode {
        self.world.slaves[usize::from(number)].edit()
    }

    pub(super) fn framework_node(&mut self, number: u8) -> &mut FrameworkNode {
        self.world.frameworks[usize::from(number)].edit()
    }

    pub(super) fn tree(&mut self, slave: u8, id: ExecutorId, change: impl FnOnce(&mut Tree)) {
        if let Some(tree) = self.world.trees.iter_mut().find(|tree| tree.slave == slave && tree.id == id) {
            change(tree.edit());
        }
    }

    pub(super) fn link(&mut self, key: LinkKey, change: impl FnOnce(&mut Link)) {
        if let Ok(at) = self.world.links.binary_search_by_key(&key, |link| link.key) {
            change(&mut self.world.links[at]);
            if self.world.links[at].is_over() {
                self.world.links.remove(at);
            }
        }
    }

    pub(super) fn leave(&mut self, key: LinkKey, end: End) {
        self.link(key, |link| link.leave(end));
    }

    // Sessions.

    fn connect(&mut self, dialer: Dialer, master: u8) {
        let key = (dialer, self.dial(dialer));
        let link = Link::new(key, master);
        let (near, far) = (link.near_session(), link.far_session());
        let at = self.world.links.partition_point(|link| link.key < key);
        self.world.links.insert(at, link);
        let peer = |role, name| Peer { role, name };
        match dialer {
            Dialer::Slave(slave) => {
                self.slave_node(slave).dialing = false;
                self.master(
                    master,
                    master::Input::Opened { session: far, peer: peer(Role::Slave, slave_name(slave)) },
                );
                self.slave(slave, slave::Input::MasterOpened { session: near });
            }
            Dialer::Framework(framework) => {
                self.framework_node(framework).dialing = false;
                let name = self.scope.framework[usize::from(framework)].name.clone();
                self.master(
                    master,
                    master::Input::Opened { session: far, peer: peer(Role::Framework, name) },
                );
                self.framework(framework, framework::Input::Opened { session: near });
            }
            Dialer::Executor(slave, id) => {
                self.slave(slave, slave::Input::ExecutorOpened { session: far, executor: id });
                self.executor(slave, id, executor::Input::Opened { session: near });
            }
        }
    }

    /// The number of a dialler's next session: none that an end knows, nor, while anything is being written, one of the
    /// last few. (Drivers never use one again. What waits for a write may name a session that is over, and nothing else
    /// does: where nothing waits, the lowest will do, or those who dial again and again would never be as they were.)
    fn dial(&mut self, dialer: Dialer) -> u8 {
        let known: Vec<u8> =
            self.world.links.iter().filter(|link| link.key.0 == dialer).map(|link| link.key.1).collect();
        let nothing_waits = match dialer {
            Dialer::Slave(_) | Dialer::Framework(_) => {
                self.world.masters.iter().all(|node| node.writes.is_empty())
            }
            Dialer::Executor(..) => false,
        };
        let mut number = 0;
        let mut next = |dialled: &mut u8| {
            let last = if nothing_waits { 0 } else { *dialled };
            let turns = (1..=SESSIONS).map(|more| (last % SESSIONS + more) % SESSIONS);
            let mut fresh = turns.chain(SESSIONS..=u8::MAX).filter(|number| !known.contains(number));
            *dialled = fresh.next().unwrap_or_else(|| unreachable!("nobody has that many sessions"));
            number = *dialled;
        };
        match dialer {
            Dialer::Slave(slave) => next(&mut self.slave_node(slave).dialled),
            Dialer::Framework(framework) => next(&mut self.framework_node(framework).dialled),
            Dialer::Executor(slave, id) => self.tree(slave, id, |tree| next(&mut tree.dialled)),
        }
        number
    }

    fn no_connection(&mut self, dialer: Dialer) {
        match dialer {
            Dialer::Slave(slave) => {
                self.slave_node(slave).dialing = false;
                self.slave(slave, slave::Input::ConnectFailed);
            }
            Dialer::Framework(framework) => {
                self.framework_node(framework).dialing = false;
                self.framework(framework, framework::Input::ConnectFailed);
            }
            Dialer::Executor(..) => {}
        }
    }

    fn deliver(&mut self, key: LinkKey, end: End) {
        let Some(link) = self.world.link(key) else { return };
        let (near, far, master) = (link.near_session(), link.far_session(), link.master);
        let mut message = None;
        self.link(key, |link| message = Some(link.take(end)));
        match (key.0, message) {
            (dialer, Some(Message::SlaveToMaster(message))) => {
                if let Dialer::Slave(slave) = dialer {
                    self.note_answer(slave, &message);
                }
                self.master(master, master::Input::Slave { session: far, message });
            }
            (_, Some(Message::FrameworkToMaster(message))) => {
                self.master(master, master::Input::Framework { session: far, message });
            }
            (Dialer::Slave(slave), Some(Message::MasterToSlave(message))) => {
                self.slave(slave, slave::Input::Master { session: near, message });
            }
            (Dialer::Framework(framework), Some(Message::MasterToFramework(message))) => {
                self.framework(framework, framework::Input::Master { session: near, message });
            }
            (Dialer::Executor(slave, id), Some(Message::ExecutorToSlave(message))) => {
                self.remember_end(slave, id, &message);
                self.slave(slave, slave::Input::Executor { session: far, message });
            }
            (Dialer::Executor(slave, id), Some(Message::SlaveToExecutor(message))) => {
                self.executor(slave, id, executor::Input::Slave { session: near, message });
            }
            // Nothing else can have been said on such a session.
            (
                _,
                None
                | Some(Message::MasterToSlave(_) | Message::MasterToFramework(_))
                | Some(Message::ExecutorToSlave(_) | Message::SlaveToExecutor(_)),
            ) => {}
        }
    }

    /// An executor tells its slave of an end that is not the slave's own doing.
    fn remember_end(&mut self, slave: u8, id: ExecutorId, message: &ExecutorToSlave) {
        let killed = self.world.tree(slave, id).is_none_or(Tree::is_being_killed);
        if let ExecutorToSlave::Update { task, state, .. } = message
            && state.is_terminal()
            && !killed
            && !self.world.ghost.ended.contains_key(task)
        {
            self.world.ghost.edit().ended.insert(*task, ());
        }
    }

    /// An executor is gone, and with it whoever could say again how its tasks ended.
    pub(super) fn forget_ends(&mut self, slave: u8, id: ExecutorId) {
        let disk = &self.world.slaves[usize::from(slave)].disk;
        let theirs = disk.tasks.iter().filter(|kept| {
            kept.report.id.framework == id.framework
                && kept.executor == id.number
                && self.world.ghost.ended.contains_key(&kept.report.id)
        });
        let theirs: Vec<TaskId> = theirs.map(|kept| kept.report.id).collect();
        for task in theirs {
            self.world.ghost.edit().ended.remove(&task);
        }
    }

    fn learn(&mut self, key: LinkKey, end: End) {
        let Some(link) = self.world.link(key) else { return };
        let (near, far, master) = (link.near_session(), link.far_session(), link.master);
        self.leave(key, end);
        match (key.0, end) {
            (Dialer::Slave(slave), End::Near) => {
                self.slave(slave, slave::Input::MasterClosed { session: near });
            }
            (Dialer::Framework(framework), End::Near) => {
                self.framework(framework, framework::Input::Closed { session: near });
            }
            (Dialer::Executor(slave, id), End::Near) => {
                self.executor(slave, id, executor::Input::Closed { session: near });
            }
            (Dialer::Executor(slave, _), End::Far) => {
                self.slave(slave, slave::Input::ExecutorClosed { session: far });
            }
            (Dialer::Slave(_) | Dialer::Framework(_), End::Far) => {
                self.master(master, master::Input::Closed { session: far });
            }
        }
    }

    /// A process is gone, and with it its ends of sessions.
    fn leave_all(&mut self, is_its: impl Fn(&Link) -> Option<End>) {
        let keys: Vec<(LinkKey, End)> =
            self.world.links.iter().filter_map(|link| is_its(link).map(|end| (link.key, end))).collect();
        keys.into_iter().for_each(|(key, end)| self.leave(key, end));
    }

    // Masters.

    fn elect(&mut self, number: u8) {
        let epoch = self.world.store.fence.next();
        self.world.store.edit().fence = epoch;
        if !self.world.ghost.unanswered.is_empty() {
            // What another knew is nobody's.
            self.world.ghost.edit().unanswered = Map::new();
        }
        self.master_node(number).epoch = epoch;
        self.master(number, master::Input::Elected { epoch });
    }

    fn master_stored(&mut self, number: u8) {
        let (epoch, seq, operation) = self.master_node(number).writes.remove(0);
        if epoch < self.world.store.fence {
            return self.writes_fail(number, epoch, seq);
        }
        self.write(operation);
        self.master(number, master::Input::Stored { epoch, seq });
    }

    fn master_not_stored(&mut self, number: u8) {
        let (epoch, seq, _) = self.master_node(number).writes.remove(0);
        self.writes_fail(number, epoch, seq);
    }

    /// A write that was asked for in this epoch fails, and with it all that was asked for after it: the master hears of
    /// the first. What it asks for then is not among them.
    fn writes_fail(&mut self, number: u8, epoch: Epoch, seq: Seq) {
        self.master_node(number).writes.retain(|(of, ..)| *of != epoch);
        self.master(number, master::Input::StoreFailed { epoch, seq, cause: Text::EMPTY });
    }

    /// A commit holds one operation or several that were asked for in a row: a crash leaves some of these prefixes.
    fn crash_master(&mut self, number: u8, more: u8) {
        let writes = std::mem::take(&mut self.master_node(number).writes);
        for (epoch, _, operation) in writes.into_iter().take(more.into()) {
            if epoch >= self.world.store.fence {
                self.write(operation);
            }
        }
        *self.master_node(number) = MasterNode::default();
        self.leave_all(|link| match link.key.0 {
            Dialer::Slave(_) | Dialer::Framework(_) => (link.master == number).then_some(End::Far),
            Dialer::Executor(..) => None,
        });
    }

    fn command(&mut self, number: u8) {
        let command = self.world.commands;
        self.world.commands += 1;
        let session = operator_session(command);
        let Ok(name) = Name::new("ann") else { return };
        let peer = Peer { role: Role::Operator, name };
        self.master_node(number).asked.push(command);
        self.master(number, master::Input::Opened { session, peer });
        let Some(mut asked) = self.scope.commands.get(usize::from(command)).cloned() else { return };
        if let Command::Drain { if_plan: Some(digest), .. } = &mut asked
            && let Some(plan) = &self.world.plan
        {
            *digest = plan.digest;
        }
        let mut forgets = None;
        if let Command::ForgetSlave { slave, .. } = &asked {
            forgets = self.world.store.registry.resolve(slave).ok();
        }
        let message = OperatorToMaster { request: 1, command: asked };
        self.master(number, master::Input::Operator { session, at: Moment(0), message });
        if let Some(slave) = forgets {
            self.world.ghost.edit().forgotten.insert(slave, ());
        }
    }

    // Slaves and executors.

    fn slave_stored(&mut self, number: u8) {
        let node = self.slave_node(number);
        let (seq, change) = node.writes.remove(0);
        node.disk.apply(change);
        self.slave(number, slave::Input::Stored { seq });
    }

    fn slave_not_stored(&mut self, number: u8) {
        for (seq, _) in std::mem::take(&mut self.slave_node(number).writes) {
            self.slave(number, slave::Input::StoreFailed { seq, cause: Text::EMPTY });
        }
    }

    /// A record of its file holds one change or several that were asked for in a row, and one that is torn is read as if
    /// it were not there: what a crash leaves is some of these prefixes, and nothing else.
    fn crash_slave(&mut self, number: u8, more: u8) {
        let node = self.slave_node(number);
        for (_, change) in std::mem::take(&mut node.writes).into_iter().take(more.into()) {
            node.disk.apply(change);
        }
        self.slave_gone(number, None);
    }

    pub(super) fn slave_gone(&mut self, number: u8, exited: Option<u8>) {
        let node = self.slave_node(number);
        let (disk, boots, dialled) = (std::mem::take(&mut node.disk), node.boots, node.dialled);
        *node = SlaveNode { disk, exited, boots, dialled, ..SlaveNode::default() };
        self.leave_all(|link| match link.key.0 {
            Dialer::Slave(slave) => (slave == number).then_some(End::Near),
            Dialer::Executor(slave, _) => (slave == number).then_some(End::Far),
            Dialer::Framework(_) => None,
        });
        // An executor that was being started is not, and what is dead is nobody's to see.
        self.world.trees.retain(|tree| tree.slave != number || tree.is_alive());
    }

    fn start_slave(&mut self, number: u8) {
        self.world.trees.retain(|tree| tree.slave != number || tree.is_alive());
        let alive: Vec<ExecutorId> =
            self.world.trees.iter().filter(|tree| tree.slave == number).map(|tree| tree.id).collect();
        for id in &alive {
            // They are another process's children: how the first of them ends is not told, but that all have.
            self.tree(number, *id, |tree| tree.exit_told = true);
        }
        let node = self.slave_node(number);
        let (disk, boots, dialled) = (std::mem::take(&mut node.disk), node.boots, node.dialled);
        let checkpoint = (disk != slave::Checkpoint::default()).then(|| disk.clone());
        if self.world.ghost.gave_up.contains_key(&number) {
            self.world.ghost.edit().gave_up.remove(&number);
        }
        // One that was killed while it left is still to go (R24).
        if !disk.leaving {
            self.world.ghost.edit().told_to_go.remove(&number);
        }
        let machine = Some(Slave::new());
        *self.slave_node(number) = SlaveNode { machine, disk, boots, dialled, ..SlaveNode::default() };
        let boot = BootId(boots.into());
        self.slave(number, slave::Input::Start { checkpoint, boot, alive });
    }

    fn reboot(&mut self, number: u8) {
        let node = self.slave_node(number);
        node.boots = node.boots.saturating_add(1);
        let left: Vec<ExecutorId> =
            self.world.trees.iter().filter(|tree| tree.slave == number).map(|tree| tree.id).collect();
        for id in left {
            self.forget_ends(number, id);
            self.executor_ends(number, id);
        }
        self.world.trees.retain(|tree| tree.slave != number);
    }

    fn start_tree(&mut self, slave: u8, id: ExecutorId) {
        let hostile = self.scope.hostile;
        self.tree(slave, id, |tree| {
            tree.starting = false;
            tree.machine = Some(Executor::new());
            tree.stray = hostile;
        });
        self.executor(slave, id, executor::Input::Start);
    }

    /// The first process of a tree is gone.
    pub(super) fn executor_ends(&mut self, slave: u8, id: ExecutorId) {
        self.tree(slave, id, |tree| {
            tree.machine = None;
            tree.timers.clear();
        });
        let dialer = Dialer::Executor(slave, id);
        self.leave_all(|link| (link.key.0 == dialer).then_some(End::Near));
    }

    fn see(&mut self, slave: u8, executor: ExecutorId) {
        let Some(tree) = self.world.tree(slave, executor) else { return };
        if !tree.exit_told {
            self.tree(slave, executor, |tree| tree.exit_told = true);
            self.slave(slave, slave::Input::Exited { executor, how: Some(Exit::Signal(9)) });
        } else if !tree.is_alive() {
            self.world.trees.retain(|tree| tree.slave != slave || tree.id != executor);
            let ending = Arc::new(Ending { seen_dead: Some(Moment(0)), ..Ending::default() });
            self.slave(slave, slave::Input::TreeEnded { executor, ending });
        }
    }

    // Frameworks.

    fn ask(&mut self, number: u8, command: framework::Command) {
        self.framework(number, framework::Input::Scheduler(command));
    }

    fn newest_task(&self, number: u8, id: InverseOfferId) -> Option<TaskId> {
        let machine = self.world.frameworks[usize::from(number)].machine.as_ref()?;
        let slave =
            machine.inverse_offers().find(|(open, ..)| *open == id).map(|(_, asked, _)| asked.slave)?;
        let there = machine.tasks().filter(|(_, on, state)| *on == slave && !state.is_terminal());
        there.map(|(task, ..)| task).max()
    }

    fn crash_framework(&mut self, number: u8, more: u8) {
        let node = self.framework_node(number);
        let pending = node.callback.take().and_then(|callback| callback.change);
        pending.into_iter().take(more.into()).for_each(|change| node.memory.apply(change));
        let (memory, dialled) = (std::mem::take(&mut node.memory), node.dialled);
        *node = FrameworkNode { memory, dialled, ..FrameworkNode::default() };
        self.leave_all(|link| (link.key.0 == Dialer::Framework(number)).then_some(End::Near));
    }

    fn start_framework(&mut self, number: u8) {
        let node = self.framework_node(number);
        node.machine = Some(Framework::new());
        let start = node.memory.start();
        self.framework(number, start);
    }
}

/// What slaves are called.
pub fn slave_name(number: u8) -> Name {
    let letter = char::from(b'a' + number % 26);
    let name = match number / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    };
    Name::new(&name).unwrap_or_else(|_| unreachable!("a letter is a name"))
}

/// What a master calls the session of a command.
pub(super) fn operator_session(command: u8) -> SessionId {
    SessionId(0x100 + u32::from(command))
}
