//! What can happen next.

use neap_protocol::executor;
use neap_protocol::framework;
use neap_protocol::ids::{ExecutorId, InverseOfferId, OfferId, TaskId};
use neap_protocol::master;
use neap_protocol::slave;

use super::budget::Event;
use super::links::{Dialer, End, LinkKey};

/// A node of a world, by its number. What runs on a slave's host goes by the slave's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A master.
    Master(u8),
    /// A slave.
    Slave(u8),
    /// A framework.
    Framework(u8),
}

/// One step of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next message that is on its way to an end arrives.
    Deliver(LinkKey, End),
    /// An end learns that a session is dead; what was still on its way to it is lost.
    Learn(LinkKey, End),
    /// A session dies.
    Cut(LinkKey),
    /// A dialler gets a session to this master (an executor: to its slave).
    Connect(Dialer, u8),
    /// A dialler gets none.
    NoConnection(Dialer),
    /// A master's timer fires.
    MasterTimer(u8, master::Timer, Cost),
    /// A slave's.
    SlaveTimer(u8, slave::Timer, Cost),
    /// A framework's.
    FrameworkTimer(u8, framework::Timer, Cost),
    /// An executor's.
    ExecutorTimer(u8, ExecutorId, executor::Timer, Cost),
    /// A master's next write is durable.
    MasterStored(u8),
    /// A master's next write, and all after it, fail.
    MasterNotStored(u8),
    /// A slave's next write is durable.
    SlaveStored(u8),
    /// A slave's next write, and all after it, fail.
    SlaveNotStored(u8),
    /// A master crashes, after so many more of its writes were durable.
    CrashMaster(u8, u8),
    /// It is started again.
    StartMaster(u8),
    /// Nobody leads, and the coordinator elects a master.
    Elect(u8),
    /// The coordinator elects a master while another still leads, and does not know.
    Usurp(u8),
    /// A master learns that another was elected.
    Depose(u8),
    /// A slave crashes, after so many more of its writes were durable.
    CrashSlave(u8, u8),
    /// It is started again, where what it had left may live (R28).
    StartSlave(u8),
    /// The machine of a slave that is down is started anew: nothing on it lives.
    Reboot(u8),
    /// One that has exited is started on its host anew.
    Return(u8),
    /// A scheduler's callback returns; what is to be remembered of it is durable, and its driver goes on.
    FrameworkKept(u8),
    /// A framework crashes, after so much more of what it is to remember was durable.
    CrashFramework(u8, u8),
    /// It is started again.
    StartFramework(u8),
    /// One that is over is started on its host as a new one.
    NewFramework(u8),
    /// A scheduler accepts an offer and launches one of the scope's tasks.
    Launch(u8, OfferId, u8),
    /// It declines one.
    Decline(u8, OfferId),
    /// It wants no more offers.
    Suppress(u8),
    /// It wants them again.
    Revive(u8),
    /// It kills a task.
    Kill(u8, TaskId),
    /// It accepts an inverse offer, naming its newest task there.
    AcceptInverse(u8, InverseOfferId),
    /// It declines one.
    DeclineInverse(u8, InverseOfferId),
    /// It tears itself down.
    Teardown(u8),
    /// An executor's first process begins.
    StartTree(u8, ExecutorId),
    /// An executor cannot be launched.
    NoLaunch(u8, ExecutorId),
    /// A task's process ends by itself, well or badly.
    Finish(u8, ExecutorId, TaskId, bool),
    /// A task's process ends by the signal that it got.
    Die(u8, ExecutorId, TaskId),
    /// A task's process that got SIGTERM exits with code 0, its work undone.
    Obey(u8, ExecutorId, TaskId),
    /// An executor's first process dies; what it started lives on.
    CrashExecutor(u8, ExecutorId),
    /// SIGKILL reaches the last process of a tree.
    TreeDies(u8, ExecutorId),
    /// A slave sees how the first process ended, or that nothing of a tree is left.
    See(u8, ExecutorId),
    /// The operator gives the next command to this master.
    Command(u8),
    /// SIGUSR1 to a slave.
    Signal(u8),
    /// A slave is stopped: it keeps its sessions, and does nothing. What it has started goes on.
    Stall(u8),
    /// It goes on.
    GoOn(u8),
}

/// Whether a timer fires in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// It is its turn.
    Free,
    /// Something should have been faster.
    Skew,
}

impl Action {
    /// What it is counted as.
    pub fn event(&self) -> Option<Event> {
        Some(match self {
            Self::Cut(_) => Event::Cut,
            Self::MasterTimer(_, master::Timer::Offer(_), _) => Event::OfferTimeout,
            Self::MasterTimer(.., Cost::Skew)
            | Self::SlaveTimer(.., Cost::Skew)
            | Self::FrameworkTimer(.., Cost::Skew)
            | Self::ExecutorTimer(.., Cost::Skew) => Event::Skew,
            Self::MasterNotStored(_) | Self::SlaveNotStored(_) => Event::FullDisk,
            Self::CrashMaster(..) => Event::MasterCrash,
            Self::CrashSlave(..) => Event::SlaveCrash,
            Self::Reboot(_) => Event::Reboot,
            Self::CrashFramework(..) => Event::FrameworkCrash,
            Self::NewFramework(_) => Event::NewFramework,
            Self::Launch(..) => Event::Launch,
            Self::Decline(..) => Event::Decline,
            Self::Kill(..) => Event::Kill,
            Self::Suppress(_) => Event::Suppress,
            Self::Revive(_) => Event::Revive,
            Self::Teardown(_) => Event::Teardown,
            Self::NoLaunch(..) => Event::NoLaunch,
            Self::Finish(..) => Event::Finish,
            Self::Obey(..) => Event::Obey,
            Self::CrashExecutor(..) => Event::ExecutorCrash,
            Self::Signal(_) => Event::Signal,
            Self::Usurp(_) => Event::Election,
            Self::Return(_) => Event::Return,
            Self::Stall(_) => Event::Stall,
            Self::Deliver(..)
            | Self::Learn(..)
            | Self::Connect(..)
            | Self::NoConnection(_)
            | Self::MasterTimer(.., Cost::Free)
            | Self::SlaveTimer(.., Cost::Free)
            | Self::FrameworkTimer(.., Cost::Free)
            | Self::ExecutorTimer(.., Cost::Free)
            | Self::MasterStored(_)
            | Self::SlaveStored(_)
            | Self::StartMaster(_)
            | Self::Elect(_)
            | Self::Depose(_)
            | Self::StartSlave(_)
            | Self::FrameworkKept(_)
            | Self::StartFramework(_)
            | Self::AcceptInverse(..)
            | Self::DeclineInverse(..)
            | Self::StartTree(..)
            | Self::Die(..)
            | Self::TreeDies(..)
            | Self::See(..)
            | Self::GoOn(_)
            | Self::Command(_) => return None,
        })
    }

    /// Whether it happens by itself, sooner or later, in a world in which nothing more goes wrong and nobody wants
    /// anything new: what liveness may count on.
    pub fn is_calm(&self) -> bool {
        let wanted_or_amiss = matches!(
            self,
            Self::AcceptInverse(..) | Self::DeclineInverse(..) | Self::Command(_) | Self::NoConnection(_)
        );
        !wanted_or_amiss && self.event().is_none()
    }

    /// The same of nodes with other numbers; `None` if one of them has none.
    pub fn renumbered(self, of: &mut impl FnMut(Node) -> Option<u8>) -> Option<Self> {
        let renumbered =
            |(dialer, number): LinkKey, of: &mut _| Some((Dialer::renumbered(dialer, of)?, number));
        Some(match self {
            Self::Deliver(at, end) => Self::Deliver(renumbered(at, of)?, end),
            Self::Learn(at, end) => Self::Learn(renumbered(at, of)?, end),
            Self::Cut(at) => Self::Cut(renumbered(at, of)?),
            Self::Connect(dialer @ Dialer::Executor(..), number) => {
                Self::Connect(dialer.renumbered(of)?, number)
            }
            Self::Connect(dialer, number) => Self::Connect(dialer.renumbered(of)?, of(Node::Master(number))?),
            Self::NoConnection(dialer) => Self::NoConnection(dialer.renumbered(of)?),
            Self::MasterTimer(number, timer, cost) => {
                Self::MasterTimer(of(Node::Master(number))?, timer, cost)
            }
            Self::SlaveTimer(number, timer, cost) => Self::SlaveTimer(of(Node::Slave(number))?, timer, cost),
            Self::FrameworkTimer(number, timer, cost) => {
                Self::FrameworkTimer(of(Node::Framework(number))?, timer, cost)
            }
            Self::ExecutorTimer(number, id, timer, cost) => {
                Self::ExecutorTimer(of(Node::Slave(number))?, id, timer, cost)
            }
            Self::MasterStored(number) => Self::MasterStored(of(Node::Master(number))?),
            Self::MasterNotStored(number) => Self::MasterNotStored(of(Node::Master(number))?),
            Self::SlaveStored(number) => Self::SlaveStored(of(Node::Slave(number))?),
            Self::SlaveNotStored(number) => Self::SlaveNotStored(of(Node::Slave(number))?),
            Self::CrashMaster(number, more) => Self::CrashMaster(of(Node::Master(number))?, more),
            Self::StartMaster(number) => Self::StartMaster(of(Node::Master(number))?),
            Self::Elect(number) => Self::Elect(of(Node::Master(number))?),
            Self::Usurp(number) => Self::Usurp(of(Node::Master(number))?),
            Self::Depose(number) => Self::Depose(of(Node::Master(number))?),
            Self::CrashSlave(number, more) => Self::CrashSlave(of(Node::Slave(number))?, more),
            Self::StartSlave(number) => Self::StartSlave(of(Node::Slave(number))?),
            Self::Reboot(number) => Self::Reboot(of(Node::Slave(number))?),
            Self::Return(number) => Self::Return(of(Node::Slave(number))?),
            Self::FrameworkKept(number) => Self::FrameworkKept(of(Node::Framework(number))?),
            Self::CrashFramework(number, more) => Self::CrashFramework(of(Node::Framework(number))?, more),
            Self::StartFramework(number) => Self::StartFramework(of(Node::Framework(number))?),
            Self::Suppress(number) => Self::Suppress(of(Node::Framework(number))?),
            Self::Revive(number) => Self::Revive(of(Node::Framework(number))?),
            Self::NewFramework(number) => Self::NewFramework(of(Node::Framework(number))?),
            Self::Launch(number, offer, task) => Self::Launch(of(Node::Framework(number))?, offer, task),
            Self::Decline(number, offer) => Self::Decline(of(Node::Framework(number))?, offer),
            Self::Kill(number, task) => Self::Kill(of(Node::Framework(number))?, task),
            Self::AcceptInverse(number, id) => Self::AcceptInverse(of(Node::Framework(number))?, id),
            Self::DeclineInverse(number, id) => Self::DeclineInverse(of(Node::Framework(number))?, id),
            Self::Teardown(number) => Self::Teardown(of(Node::Framework(number))?),
            Self::StartTree(number, id) => Self::StartTree(of(Node::Slave(number))?, id),
            Self::NoLaunch(number, id) => Self::NoLaunch(of(Node::Slave(number))?, id),
            Self::Finish(number, id, task, well) => Self::Finish(of(Node::Slave(number))?, id, task, well),
            Self::Die(number, id, task) => Self::Die(of(Node::Slave(number))?, id, task),
            Self::Obey(number, id, task) => Self::Obey(of(Node::Slave(number))?, id, task),
            Self::CrashExecutor(number, id) => Self::CrashExecutor(of(Node::Slave(number))?, id),
            Self::TreeDies(number, id) => Self::TreeDies(of(Node::Slave(number))?, id),
            Self::See(number, id) => Self::See(of(Node::Slave(number))?, id),
            Self::Command(number) => Self::Command(of(Node::Master(number))?),
            Self::Signal(number) => Self::Signal(of(Node::Slave(number))?),
            Self::Stall(number) => Self::Stall(of(Node::Slave(number))?),
            Self::GoOn(number) => Self::GoOn(of(Node::Slave(number))?),
        })
    }

    /// Whether this is so of every node that has a part in it.
    pub fn all(self, mut is_so: impl FnMut(Node) -> bool) -> bool {
        self.renumbered(&mut |node| is_so(node).then_some(0)).is_some()
    }
}

impl Dialer {
    fn renumbered(self, of: &mut impl FnMut(Node) -> Option<u8>) -> Option<Self> {
        Some(match self {
            Self::Slave(number) => Self::Slave(of(Node::Slave(number))?),
            Self::Framework(number) => Self::Framework(of(Node::Framework(number))?),
            Self::Executor(number, id) => Self::Executor(of(Node::Slave(number))?, id),
        })
    }
}
