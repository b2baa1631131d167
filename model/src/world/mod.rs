//! The world around the machines: sessions, disks, processes, timers, crashes, operators.
//!
//! A [`World`] is a state, [`World::actions`] is what can happen in it, and [`World::step`] is what follows. The
//! machines are those of the core, unchanged. What cannot be known (which message comes first, what was lost, when
//! a process dies) is an action of its own; how often something may go wrong is counted in a [`Budget`].
//!
//! Time is order: a timer fires only when nothing faster is under way (see [`Class`]), or at the cost of
//! [`Event::Skew`]. Timers that come again by themselves (pings, attempts to connect, leases) hold no other up.

mod action;
mod alike;
mod budget;
mod carry;
mod links;
mod nodes;
mod step;
mod timers;

use neap_protocol::executor;
use neap_protocol::framework::{self, Framework};
use neap_protocol::ids::{ExecutorId, SlaveId, TaskId};
use neap_protocol::master::{self, Master};
use neap_protocol::message::InverseAnswer;
use neap_protocol::slave;

use crate::ghost::Ghost;
use crate::properties::Mask;
use crate::scope::Scope;
use crate::shared::Shared;

pub use action::{Action, Cost, Node};
pub use alike::{Alike, Heard};
pub use budget::{Budget, Event};
pub use carry::Happening;
pub use links::{Dialer, End, Line, Link, LinkKey, Message};
pub use nodes::{FrameworkNode, MasterNode, Plan, Process, SlaveNode, Store, Tree};
pub use step::{Step, slave_name};
pub use timers::{Class, Timers};

/// A state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Masters, by number.
    pub masters: Vec<Shared<MasterNode>>,
    /// Their store.
    pub store: Shared<Store>,
    /// Slaves, by number.
    pub slaves: Vec<Shared<SlaveNode>>,
    /// Frameworks, by number.
    pub frameworks: Vec<Shared<FrameworkNode>>,
    /// Process trees, by slave and executor.
    pub trees: Vec<Shared<Tree>>,
    /// Sessions, in order of their keys.
    pub links: Vec<Link>,
    /// How many of the operator's commands were given.
    pub commands: u8,
    /// Who of those who are alike was heard of.
    pub heard: Heard,
    /// The last plan that the operator was shown; a drain may demand that it is still true.
    pub plan: Option<Plan>,
    /// What may still happen.
    pub budget: Budget,
    /// What was true, whatever the nodes believe.
    pub ghost: Shared<Ghost>,
    /// The properties that the step to here broke, by their place in the table.
    pub broken: Mask,
}

impl World {
    /// The world in which the first master leads, and everyone else has just been started.
    pub fn begin(scope: &Scope) -> Self {
        let world = Self {
            masters: vec![
                Shared::new(MasterNode { machine: Some(Master::new()), ..MasterNode::default() });
                scope.masters.into()
            ],
            store: Shared::new(Store::default()),
            slaves: vec![Shared::new(SlaveNode { boots: 1, ..SlaveNode::default() }); scope.slaves.into()],
            frameworks: vec![Shared::new(FrameworkNode::default()); scope.frameworks.into()],
            trees: Vec::new(),
            links: Vec::new(),
            commands: 0,
            heard: Heard::default(),
            plan: None,
            budget: scope.budget,
            ghost: Shared::new(Ghost::default()),
            broken: Mask::NONE,
        };
        Step::begin(scope, world)
    }

    /// Whether nothing more goes wrong or is wanted.
    #[must_use]
    pub fn calm(&self) -> Self {
        Self { budget: self.budget.none(), ..self.clone() }
    }

    /// The session of this name.
    pub fn link(&self, key: LinkKey) -> Option<&Link> {
        let at = self.links.binary_search_by_key(&key, |link| link.key).ok()?;
        Some(&self.links[at])
    }

    /// The tree of an executor on a slave's host.
    pub fn tree(&self, slave: u8, id: ExecutorId) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.slave == slave && tree.id == id).map(|tree| &**tree)
    }

    /// The id of a slave, by what it has on disk or in memory.
    pub fn slave_id(&self, number: u8) -> Option<SlaveId> {
        let node = &self.slaves[usize::from(number)];
        node.machine.as_ref().map_or(node.disk.id, |machine| machine.id())
    }

    /// The id of a slave, by what is durable at its master.
    pub fn admitted_id(&self, number: u8) -> Option<SlaveId> {
        self.store.registry.slave_named(&slave_name(number))
    }

    /// Whether a process of a task, or of its executor, lives anywhere.
    pub fn is_alive(&self, task: TaskId) -> bool {
        self.trees.iter().any(|tree| tree.hosted.contains(&task) && tree.is_alive())
    }

    /// Whether it is durable at its framework that a task was launched, and not that its end was handled.
    pub fn is_remembered(&self, task: TaskId) -> bool {
        self.frameworks.iter().any(|node| {
            node.memory.id == Some(task.framework) && node.memory.tasks.contains_key(&task.number)
        })
    }

    /// Whether an end of a session looks at nothing that comes on it: a scheduler's callback keeps it, or it is stopped.
    fn is_deaf(&self, dialer: Dialer, end: End) -> bool {
        match (dialer, end) {
            (Dialer::Framework(number), End::Near) => self.frameworks[usize::from(number)].callback.is_some(),
            (Dialer::Slave(number), End::Near) | (Dialer::Executor(number, _), End::Far) => {
                self.slaves[usize::from(number)].stalled
            }
            (Dialer::Framework(_) | Dialer::Slave(_), End::Far) | (Dialer::Executor(..), End::Near) => false,
        }
    }

    /// Whether a slave is given up, durably, and not back.
    pub fn is_out_of_reach(&self, slave: SlaveId) -> bool {
        self.store.registry.slaves().get(&slave).is_some_and(|record| record.unreachable)
    }

    /// The master that was elected last, if it is up and leads.
    pub fn leader(&self) -> Option<&MasterNode> {
        let leads = |node: &&Shared<MasterNode>| {
            node.epoch == self.store.fence && node.machine.as_ref().is_some_and(Master::leads)
        };
        self.masters.iter().find(leads).map(|node| &**node)
    }

    /// Whether no master is up, or ever will be.
    pub fn is_headless(&self, scope: &Scope) -> bool {
        !scope.masters_return && self.masters.iter().all(|node| node.machine.is_none())
    }

    /// Whether the coordinator has someone who leads, or is about to.
    fn has_elected(&self) -> bool {
        self.masters
            .iter()
            .any(|node| node.machine.is_some() && node.epoch.0 > 0 && node.epoch == self.store.fence)
    }

    /// What can happen next, in an order that is always the same.
    pub fn actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if !self.broken.is_empty() {
            return;
        }
        self.session_actions(actions);
        self.master_actions(scope, actions);
        self.slave_actions(actions);
        self.tree_actions(actions);
        self.framework_actions(scope, actions);
        self.timer_actions(scope, actions);
        actions.retain(|action| action.event().is_none_or(|event| self.budget.has(event)));
        if !scope.alike.is_empty() {
            actions.retain(|action| self.is_first(&scope.alike, *action));
        }
    }

    fn session_actions(&self, actions: &mut Vec<Action>) {
        for link in &self.links {
            for end in [End::Near, End::Far] {
                if !link.is_open(end) || self.is_deaf(link.key.0, end) {
                    continue;
                }
                if !link.waiting(end).is_empty() {
                    actions.push(Action::Deliver(link.key, end));
                }
                if !link.is_alive() {
                    actions.push(Action::Learn(link.key, end));
                }
            }
            if link.is_alive() {
                actions.push(Action::Cut(link.key));
            }
        }
        for (number, slave) in (0..).zip(&self.slaves) {
            self.dial_actions(slave.dialing && !slave.stalled, Dialer::Slave(number), actions);
        }
        for (number, framework) in (0..).zip(&self.frameworks) {
            self.dial_actions(framework.dialing, Dialer::Framework(number), actions);
        }
        for tree in &self.trees {
            let dialer = Dialer::Executor(tree.slave, tree.id);
            let has = self.links.iter().any(|link| link.key.0 == dialer && link.is_open(End::Near));
            let up = self.slaves[usize::from(tree.slave)].acts();
            if tree.machine.is_some() && up && !has && !tree.killing {
                actions.push(Action::Connect(dialer, 0));
            }
        }
    }

    fn dial_actions(&self, dialing: bool, dialer: Dialer, actions: &mut Vec<Action>) {
        if !dialing {
            return;
        }
        let mut up = false;
        for (number, master) in (0..).zip(&self.masters) {
            if master.machine.is_some() {
                up = true;
                actions.push(Action::Connect(dialer, number));
            }
        }
        if !up {
            actions.push(Action::NoConnection(dialer));
        }
    }

    fn master_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (number, master) in (0..).zip(&self.masters) {
            if master.machine.is_none() {
                if scope.masters_return {
                    actions.push(Action::StartMaster(number));
                }
                continue;
            }
            if !master.writes.is_empty() {
                actions.push(Action::MasterStored(number));
                actions.push(Action::MasterNotStored(number));
            }
            for more in 0..=master.writes.len() {
                actions.push(Action::CrashMaster(number, u8::try_from(more).unwrap_or(u8::MAX)));
            }
            if !self.has_elected() {
                actions.push(Action::Elect(number));
            } else if master.epoch != self.store.fence {
                actions.push(Action::Usurp(number));
            }
            if master.epoch.0 > 0 && master.epoch < self.store.fence {
                actions.push(Action::Depose(number));
            }
            let leads = master.machine.as_ref().is_some_and(Master::leads);
            // An operator may ask a standby, who knows better (R29).
            if (leads || scope.masters > 1) && usize::from(self.commands) < scope.commands.len() {
                actions.push(Action::Command(number));
            }
        }
    }

    fn slave_actions(&self, actions: &mut Vec<Action>) {
        for (number, slave) in (0..).zip(&self.slaves) {
            match (&slave.machine, slave.exited) {
                (Some(_), _) => {}
                (None, Some(_)) => {
                    actions.push(Action::Return(number));
                    continue;
                }
                (None, None) => {
                    actions.push(Action::StartSlave(number));
                    actions.push(Action::Reboot(number));
                    continue;
                }
            }
            for more in 0..=slave.writes.len() {
                actions.push(Action::CrashSlave(number, u8::try_from(more).unwrap_or(u8::MAX)));
            }
            if slave.stalled {
                actions.push(Action::GoOn(number));
                continue;
            }
            if !slave.writes.is_empty() {
                actions.push(Action::SlaveStored(number));
                actions.push(Action::SlaveNotStored(number));
            }
            actions.push(Action::Signal(number));
            actions.push(Action::Stall(number));
        }
    }

    fn tree_actions(&self, actions: &mut Vec<Action>) {
        for tree in &self.trees {
            let (slave, id) = (tree.slave, tree.id);
            let up = self.slaves[usize::from(slave)].acts();
            if tree.starting {
                if up {
                    actions.push(Action::StartTree(slave, id));
                    actions.push(Action::NoLaunch(slave, id));
                }
                continue;
            }
            for process in &tree.processes {
                match process.dying {
                    true => {
                        actions.push(Action::Die(slave, id, process.task));
                        if !process.forced && tree.machine.is_some() {
                            actions.push(Action::Obey(slave, id, process.task));
                        }
                    }
                    false => {
                        actions.push(Action::Finish(slave, id, process.task, true));
                        actions.push(Action::Finish(slave, id, process.task, false));
                    }
                }
            }
            if tree.machine.is_some() {
                actions.push(Action::CrashExecutor(slave, id));
            }
            if tree.killing && tree.is_alive() {
                actions.push(Action::TreeDies(slave, id));
            }
            if up && tree.machine.is_none() && (!tree.exit_told || !tree.is_alive()) {
                actions.push(Action::See(slave, id));
            }
        }
    }

    fn framework_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (number, framework) in (0..).zip(&self.frameworks) {
            if framework.over {
                actions.push(Action::NewFramework(number));
            }
            let Some(machine) = &framework.machine else {
                if scope.frameworks_return && !framework.over {
                    actions.push(Action::StartFramework(number));
                }
                continue;
            };
            if framework.over {
                continue;
            }
            for more in 0..=framework.pending().count() {
                actions.push(Action::CrashFramework(number, u8::try_from(more).unwrap_or(u8::MAX)));
            }
            if framework.callback.is_some() {
                actions.push(Action::FrameworkKept(number));
                continue;
            }
            if !machine.is_subscribed() {
                continue;
            }
            self.scheduler_actions(scope, number, machine, actions);
        }
    }

    fn scheduler_actions(&self, scope: &Scope, number: u8, machine: &Framework, actions: &mut Vec<Action>) {
        for (offer, _) in machine.offers() {
            actions.extend((0..).zip(&scope.tasks).map(|(task, _)| Action::Launch(number, offer, task)));
            actions.push(Action::Decline(number, offer));
        }
        for (task, _, state) in machine.tasks() {
            if !state.is_terminal() {
                actions.push(Action::Kill(number, task));
            }
        }
        for (id, _, answer) in machine.inverse_offers() {
            // Changing one's mind is covered by both answers to each.
            if scope.answers && answer.is_none_or(|answer| matches!(answer, InverseAnswer::Decline { .. })) {
                actions.push(Action::AcceptInverse(number, id));
            }
            if scope.answers && answer.is_none() {
                actions.push(Action::DeclineInverse(number, id));
            }
        }
        match self.frameworks[usize::from(number)].sated {
            true => actions.push(Action::Revive(number)),
            false => actions.push(Action::Suppress(number)),
        }
        actions.push(Action::Teardown(number));
    }

    fn timer_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        let turn = self.turn(scope);
        let cost = |class: Class| match class <= turn {
            true => Cost::Free,
            false => Cost::Skew,
        };
        for (number, node) in (0..).zip(&self.masters) {
            let timers = node.timers.iter().filter(|(timer, _)| !self.outlasts(scope, *timer));
            actions.extend(timers.map(|(timer, class)| Action::MasterTimer(number, timer, cost(class))));
        }
        for (number, node) in (0..).zip(&self.slaves).filter(|(_, node)| !node.stalled) {
            let timers = node.timers.iter();
            actions.extend(timers.map(|(timer, class)| Action::SlaveTimer(number, timer, cost(class))));
        }
        let idle = |(_, node): &(u8, &Shared<FrameworkNode>)| node.callback.is_none();
        for (number, node) in (0..).zip(&self.frameworks).filter(idle) {
            let timers = node.timers.iter();
            actions.extend(timers.map(|(timer, class)| Action::FrameworkTimer(number, timer, cost(class))));
        }
        for tree in self.trees.iter().filter(|tree| tree.machine.is_some()) {
            let timers = tree.timers.iter();
            actions.extend(
                timers.map(|(timer, class)| Action::ExecutorTimer(tree.slave, tree.id, timer, cost(class))),
            );
        }
    }

    /// Whether a slave would be given up that has leases to run out: they are over in half of the time that it takes (R9).
    /// This is what is assumed of clocks, and no skew changes it.
    fn outlasts(&self, scope: &Scope, timer: master::Timer) -> bool {
        let (true, master::Timer::Ping(slave) | master::Timer::Reregister(slave)) =
            (scope.is_fenced(), timer)
        else {
            return false;
        };
        self.trees.iter().any(|tree| {
            let runs = tree.timers.iter().any(|(timer, _)| matches!(timer, executor::Timer::Lease(..)));
            let ends = tree.processes.iter().any(|process| process.dying);
            (runs || ends) && self.admitted_id(tree.slave) == Some(slave)
        })
    }

    /// The highest class of timers whose turn it is.
    fn turn(&self, scope: &Scope) -> Class {
        if self.is_busy(scope) {
            return Class::Instant;
        }
        let masters = self.masters.iter().flat_map(|node| {
            node.timers
                .iter()
                .filter(|(timer, _)| !matches!(timer, master::Timer::Ping(_)))
                .map(|(_, class)| class)
        });
        let slaves = self.slaves.iter().filter(|node| !node.stalled).flat_map(|node| {
            node.timers.iter().filter(|(timer, _)| *timer != slave::Timer::Reconnect).map(|(_, class)| class)
        });
        let frameworks = self.frameworks.iter().flat_map(|node| {
            node.timers
                .iter()
                .filter(|(timer, _)| *timer != framework::Timer::Connect)
                .map(|(_, class)| class)
        });
        let trees = self.trees.iter().flat_map(|tree| {
            tree.timers
                .iter()
                .filter(|(timer, _)| !matches!(timer, executor::Timer::Ask(_) | executor::Timer::Lease(..)))
                .map(|(_, class)| class)
        });
        masters.chain(slaves).chain(frameworks).chain(trees).min().unwrap_or(Class::Endless)
    }

    /// Whether something is under way that takes no time to speak of.
    fn is_busy(&self, scope: &Scope) -> bool {
        let said = self.links.iter().any(|link| {
            // How long one is stopped is nobody's to say, and what waits for it holds nobody else up.
            let stopped = |end| !matches!(link.key.0, Dialer::Framework(_)) && self.is_deaf(link.key.0, end);
            [End::Near, End::Far]
                .into_iter()
                .filter(|end| link.is_open(*end) && !stopped(*end))
                .any(|end| !link.is_alive() || !link.waiting(end).is_empty())
        });
        let master_up = self.masters.iter().any(|node| node.machine.is_some());
        let master_down = scope.masters_return && self.masters.iter().any(|node| node.machine.is_none());
        let writes = self
            .masters
            .iter()
            .any(|node| !node.writes.is_empty() || node.epoch < self.store.fence && node.epoch.0 > 0);
        let mut slaves = self.slaves.iter().filter(|node| !node.stalled);
        let slaves = slaves.any(|node| !node.writes.is_empty() || node.dialing && master_up);
        let frameworks =
            self.frameworks.iter().any(|node| node.dialing && master_up || node.callback.is_some());
        let trees = self.trees.iter().any(|tree| self.is_moving(tree));
        said || writes || slaves || frameworks || trees || !self.has_elected() && (master_up || master_down)
    }

    fn is_moving(&self, tree: &Tree) -> bool {
        let up = self.slaves[usize::from(tree.slave)].acts();
        let dialer = Dialer::Executor(tree.slave, tree.id);
        let connected = || self.links.iter().any(|link| link.key.0 == dialer && link.is_open(End::Near));
        let ended = tree.machine.is_none() && (!tree.exit_told || !tree.is_alive());
        tree.killing && tree.is_alive()
            || tree.processes.iter().any(|process| process.dying)
            || up && (tree.starting || ended || tree.machine.is_some() && !connected())
    }
}
