//! What was true in the cluster at a step, as all journals together show it: what is durable, which process trees
//! live, what schedulers were told.

use std::collections::{BTreeMap, BTreeSet};

use neap_protocol::framework;
use neap_protocol::ids::{Epoch, ExecutorId, FrameworkId, InverseOfferId, Seq, SessionId, SlaveId, TaskId};
use neap_protocol::master;
use neap_protocol::message::{MasterToFramework, MasterToSlave, SlaveToExecutor, SlaveToMaster};
use neap_protocol::registry::{InverseStage, Operation, Registry};
use neap_protocol::slave;
use neap_protocol::task::TaskState;

use super::Step;
use super::player::{AnyPlayed, Played};
use neap_protocol::framework::Framework;
use neap_protocol::master::Master;
use neap_protocol::slave::Slave;

/// What was true.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What is durable, as far as masters were told so; `None` until one has recovered it.
    pub registry: Option<Registry>,
    /// Slaves that were removed for good.
    pub removed: BTreeSet<SlaveId>,
    /// Masters, by node.
    pub masters: BTreeMap<usize, MasterTruth>,
    /// Slaves, by node.
    pub slaves: BTreeMap<usize, SlaveTruth>,
    /// What schedulers' callbacks were last told of each task.
    pub told: BTreeMap<TaskId, TaskState>,
    /// Tasks that were given to an executor.
    pub ran: BTreeSet<TaskId>,
}

/// What is known of one master.
#[derive(Clone, Debug, Default)]
pub struct MasterTruth {
    /// Its term.
    pub epoch: Epoch,
    /// Writes that it asked for and has not been told to be durable.
    pub pending: Vec<(Epoch, Seq, Operation)>,
    /// What is to be applied when it has been checked: those that are durable with this step.
    pub durable: Vec<Operation>,
    /// Whose each session is.
    pub sessions: BTreeMap<SessionId, Whose>,
    /// With which id a slave tried to register in a session.
    pub registering: BTreeMap<SessionId, Option<SlaveId>>,
    /// Inverse offers whose deadline has passed.
    pub passed: BTreeSet<InverseOfferId>,
    /// Sessions of slaves that have not answered since they were pinged there, and whether the time of a ping has passed
    /// since: whether it knows that they are silent.
    pub unanswered: BTreeMap<SessionId, bool>,
}

/// Whose a master's session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A slave's that is registered.
    Slave(SlaveId),
    /// A framework's that is subscribed.
    Framework(FrameworkId),
}

/// What is known of one slave.
#[derive(Clone, Debug, Default)]
pub struct SlaveTruth {
    /// Its id.
    pub id: Option<SlaveId>,
    /// The process trees that live, and the tasks that each was given.
    pub trees: BTreeMap<ExecutorId, BTreeSet<TaskId>>,
    /// Those that lived where the journal broke off, until the next start says which still do.
    pub unseen: BTreeMap<ExecutorId, BTreeSet<TaskId>>,
    /// Whose an executor's session is.
    pub owners: BTreeMap<SessionId, ExecutorId>,
    /// The epoch of the leader at the other end of a session.
    pub epochs: BTreeMap<SessionId, Epoch>,
    /// The highest epoch that it was registered in.
    pub obeyed: Epoch,
    /// Tasks that a leader had it kill.
    pub killed: BTreeSet<TaskId>,
}

impl Truth {
    /// The live tree that was given a task, and the node of its slave.
    pub fn tree_of(&self, task: TaskId) -> Option<(usize, ExecutorId)> {
        self.slaves.iter().find_map(|(node, slave)| {
            let tree = slave.trees.iter().find(|(_, tasks)| tasks.contains(&task));
            tree.map(|(executor, _)| (*node, *executor))
        })
    }

    /// The trees that live on a slave, of every node that has or had that id.
    pub fn trees_on(&self, id: SlaveId) -> impl Iterator<Item = (ExecutorId, &BTreeSet<TaskId>)> {
        let there = self.slaves.values().filter(move |slave| slave.id == Some(id));
        there.flat_map(|slave| slave.trees.iter().map(|(executor, tasks)| (*executor, tasks)))
    }

    /// Takes in what a step's input tells.
    pub(super) fn input(&mut self, step: &Step) {
        match &step.played {
            AnyPlayed::Master(played) => self.master_input(step, played),
            AnyPlayed::Slave(played) => self.slave_input(step, played),
            AnyPlayed::Framework(_) | AnyPlayed::Executor(_) => {}
        }
    }

    /// Takes in what a step's effects tell.
    pub(super) fn effects(&mut self, step: &Step) {
        self.told_by(step);
        if step.breaks_off
            && let Some(slave) = self.slaves.get_mut(&step.node)
        {
            slave.unseen = std::mem::take(&mut slave.trees);
        }
    }

    fn told_by(&mut self, step: &Step) {
        match &step.played {
            AnyPlayed::Master(played) => self.master_effects(step.node, played),
            AnyPlayed::Slave(played) => self.slave_effects(step.node, played),
            AnyPlayed::Framework(played) => self.framework_effects(played),
            AnyPlayed::Executor(_) => {}
        }
    }

    fn master_input(&mut self, step: &Step, played: &Played<Master>) {
        let master = self.masters.entry(step.node).or_default();
        if step.begins_run {
            *master = MasterTruth { pending: std::mem::take(&mut master.pending), ..MasterTruth::default() };
        }
        master.durable.clear();
        if let master::Input::Elected { epoch } = played.input {
            master.epoch = epoch;
        }
        if let master::Input::Timer(master::Timer::InverseOffer(id)) = &played.input {
            master.passed.insert(*id);
        }
        if let master::Input::Timer(master::Timer::Ping(slave)) = &played.input {
            let sessions = &master.sessions;
            let its = |session: &SessionId| sessions.get(session) == Some(&Whose::Slave(*slave));
            for (_, passed) in master.unanswered.iter_mut().filter(|(session, _)| its(session)) {
                *passed = true;
            }
        }
        if let master::Input::Slave { session, message: SlaveToMaster::Pong | SlaveToMaster::Renew { .. } } =
            &played.input
        {
            master.unanswered.remove(session);
        }
        if let master::Input::Slave { session, message: SlaveToMaster::Register { id, .. } } = &played.input {
            master.registering.insert(*session, *id);
        }
        if let master::Input::Closed { session } = &played.input {
            master.sessions.remove(session);
            master.registering.remove(session);
            master.unanswered.remove(session);
        }
        if let master::Input::StoreFailed { epoch, seq, .. } = &played.input {
            master.pending.retain(|(of, at, _)| of != epoch || at < seq);
        }
        if let master::Input::Stored { epoch, seq } = &played.input {
            let (done, rest) = std::mem::take(&mut master.pending)
                .into_iter()
                .partition(|(of, at, _)| of == epoch && at <= seq);
            master.pending = rest;
            master.durable = done.into_iter().map(|(_, _, operation)| operation).collect();
            if let Some(registry) = &mut self.registry {
                for operation in &master.durable {
                    if registry.apply(operation).is_ok()
                        && let Operation::RemoveSlave { slave, .. } = operation
                    {
                        self.removed.insert(*slave);
                    }
                }
            }
        }
        if let master::Input::Recovered { registry } = &played.input {
            let revoking =
                registry.inverse_offers().iter().filter(|(_, io)| io.stage == InverseStage::Revoking);
            master.passed.extend(revoking.map(|(id, _)| *id));
        }
    }

    fn master_effects(&mut self, node: usize, played: &Played<Master>) {
        let master = self.masters.entry(node).or_default();
        if let master::Input::Recovered { registry } = &played.input {
            self.registry = Some((**registry).clone());
            master.pending.clear();
        }
        for effect in &played.effects {
            if let master::Effect::Store { seq, epoch, operation } = effect {
                master.pending.push((*epoch, *seq, operation.clone()));
            }
            if let master::Effect::ToSlave { session, message: MasterToSlave::Registered { id, .. } } = effect
            {
                master.sessions.insert(*session, Whose::Slave(*id));
            }
            if let master::Effect::ToSlave { session, message: MasterToSlave::Ping } = effect {
                master.unanswered.entry(*session).or_default();
            }
            if let master::Effect::ToFramework {
                session,
                message: MasterToFramework::Subscribed { id, .. },
            } = effect
            {
                master.sessions.insert(*session, Whose::Framework(*id));
            }
            if let master::Effect::Close { session, .. } = effect {
                master.sessions.remove(session);
                master.registering.remove(session);
                master.unanswered.remove(session);
            }
        }
    }

    fn slave_input(&mut self, step: &Step, played: &Played<Slave>) {
        let slave = self.slaves.entry(step.node).or_default();
        if step.begins_run {
            let mut left = std::mem::take(&mut slave.trees);
            left.append(&mut slave.unseen);
            *slave = SlaveTruth { obeyed: slave.obeyed, id: slave.id, ..SlaveTruth::default() };
            if let slave::Input::Start { alive, .. } = &played.input {
                // The others have been seen dead (R28). Of one whose launch is not in the journal no task is known.
                let tree = |executor: &ExecutorId| (*executor, left.remove(executor).unwrap_or_default());
                slave.trees = alive.iter().map(tree).collect();
            }
        }
        if let slave::Input::LaunchFailed { executor, .. } | slave::Input::TreeEnded { executor, .. } =
            &played.input
        {
            slave.trees.remove(executor);
        }
        if let slave::Input::ExecutorOpened { session, executor } = &played.input {
            slave.owners.insert(*session, *executor);
        }
        if let slave::Input::Master { session, message: MasterToSlave::Registered { id, epoch } } =
            &played.input
        {
            slave.epochs.insert(*session, *epoch);
            if *epoch >= slave.obeyed {
                slave.obeyed = *epoch;
                slave.id = Some(*id);
            }
        }
        if let slave::Input::Master { message: MasterToSlave::Kill { task, .. }, .. } = &played.input {
            slave.killed.insert(*task);
        }
    }

    fn slave_effects(&mut self, node: usize, played: &Played<Slave>) {
        let slave = self.slaves.entry(node).or_default();
        for effect in &played.effects {
            if let slave::Effect::Launch { executor, .. } = effect {
                slave.trees.entry(*executor).or_default();
            }
            if let slave::Effect::ToExecutor { session, message: SlaveToExecutor::Launch { task, .. } } =
                effect
                && let Some(executor) = slave.owners.get(session)
                && let Some(tasks) = slave.trees.get_mut(executor)
            {
                tasks.insert(*task);
                self.ran.insert(*task);
            }
        }
    }

    fn framework_effects(&mut self, played: &Played<Framework>) {
        for effect in &played.effects {
            if let framework::Effect::Notify(framework::Event::Update { update, .. }) = effect {
                self.told.insert(update.task, update.state);
            }
        }
    }
}
