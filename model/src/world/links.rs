//! Sessions, exactly as the transport contract has them: in order, whole, once, while they live; when one dies, an
//! unknown suffix of each direction is lost, and each end learns of it at a moment of its own.

use std::ops::Deref;

use neap_protocol::ids::{Epoch, ExecutorId, SessionId};
use neap_protocol::message::{
    ExecutorToSlave, FrameworkToMaster, MasterToFramework, MasterToSlave, SlaveToExecutor, SlaveToMaster,
};

use crate::shared::Shared;

/// Who dialled. Of one dialler the numbers tell its sessions apart, as old ones may not be over at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialer {
    /// A slave, to a master.
    Slave(u8),
    /// A framework, to a master.
    Framework(u8),
    /// An executor, to its slave.
    Executor(u8, ExecutorId),
}

/// Which end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The one that dialled.
    Near,
    /// The one that was dialled.
    Far,
}

/// Names a session in a world.
pub type LinkKey = (Dialer, u8);

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// By a slave to a master.
    SlaveToMaster(SlaveToMaster),
    /// By a master to a slave.
    MasterToSlave(MasterToSlave),
    /// By a framework to a master.
    FrameworkToMaster(FrameworkToMaster),
    /// By a master to a framework.
    MasterToFramework(MasterToFramework),
    /// By an executor to its slave.
    ExecutorToSlave(ExecutorToSlave),
    /// By a slave to an executor.
    SlaveToExecutor(SlaveToExecutor),
}

/// A session: which it is, and apart from that, as most steps leave it alone, how it is and what is on its way on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Which.
    pub key: LinkKey,
    pub(crate) line: Shared<Line>,
    pub(crate) to_near: Shared<Vec<Message>>,
    pub(crate) to_far: Shared<Vec<Message>>,
}

/// How a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The master that was dialled; of executors' sessions, 0.
    pub master: u8,
    /// The epoch of that master when it last spoke here.
    pub epoch: Epoch,
    /// Whether it carries what is said from now on.
    alive: bool,
    near_open: bool,
    far_open: bool,
}

impl Deref for Link {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl Link {
    pub(super) fn new(key: LinkKey, master: u8) -> Self {
        let line = Line { master, epoch: Epoch(0), alive: true, near_open: true, far_open: true };
        Self { line: Shared::new(line), ..Self::hollow(key) }
    }

    pub(super) fn seal(&mut self) {
        self.line.seal();
        self.to_near.seal();
        self.to_far.seal();
    }

    /// One of which nothing is known but which it is.
    pub(crate) fn hollow(key: LinkKey) -> Self {
        Self { key, line: Shared::default(), to_near: Shared::default(), to_far: Shared::default() }
    }

    /// It carries nothing from now on.
    pub(super) fn cut(&mut self) {
        self.line.edit().alive = false;
    }

    /// Its master speaks in this epoch.
    pub(super) fn hear_of(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.line.edit().epoch = epoch;
        }
    }

    /// Whether what is on its way to an end may have changed in the step to here.
    pub(crate) fn may_have_changed(&self, end: End) -> bool {
        let queue = match end {
            End::Near => &self.to_near,
            End::Far => &self.to_far,
        };
        queue.may_have_changed()
    }

    /// What the near end calls it.
    pub(super) fn near_session(&self) -> SessionId {
        SessionId(u32::from(self.key.1) + 1)
    }

    /// What the far end calls it: unlike every other session that it can have. An executor's far end is its slave,
    /// and has sessions with executors of 127 frameworks and 65,536 numbers each.
    pub(super) fn far_session(&self) -> SessionId {
        let number = u32::from(self.key.1);
        SessionId(match self.key.0 {
            Dialer::Slave(slave) => 0x1_0000 + 0x100 * u32::from(slave) + number,
            Dialer::Framework(framework) => 0x2_0000 + 0x100 * u32::from(framework) + number,
            Dialer::Executor(_, id) => {
                debug_assert!(
                    id.framework.0 < 0x80 && id.number < 0x1_0000,
                    "{id} is beyond what a world can have"
                );
                0x8000_0000 + 0x100_0000 * id.framework.0 + 0x100 * id.number + number
            }
        })
    }

    /// Whether an end has not left it, nor learnt that it is dead.
    pub fn is_open(&self, end: End) -> bool {
        match end {
            End::Near => self.near_open,
            End::Far => self.far_open,
        }
    }

    /// Whether it carries what is said from now on.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Whether nobody has it any more.
    pub(super) fn is_over(&self) -> bool {
        !self.near_open && !self.far_open
    }

    pub(super) fn say(&mut self, from: End, message: Message) {
        if self.alive {
            match from {
                End::Near => self.to_far.edit().push(message),
                End::Far => self.to_near.edit().push(message),
            }
        }
    }

    /// What is on its way to an end.
    pub fn waiting(&self, end: End) -> &[Message] {
        match end {
            End::Near => &self.to_near,
            End::Far => &self.to_far,
        }
    }

    pub(super) fn take(&mut self, end: End) -> Message {
        match end {
            End::Near => self.to_near.edit().remove(0),
            End::Far => self.to_far.edit().remove(0),
        }
    }

    /// An end has it no more: nothing reaches it, and nothing more comes from it.
    pub(super) fn leave(&mut self, end: End) {
        let line = self.line.edit();
        line.alive = false;
        match end {
            End::Near => {
                line.near_open = false;
                self.to_near = Shared::default();
            }
            End::Far => {
                line.far_open = false;
                self.to_far = Shared::default();
            }
        }
    }
}
