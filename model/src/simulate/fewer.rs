//! A world with one node less, and what is done in it.

use neap_protocol::message::{Command, Query, SlaveRef};

use crate::scope::Scope;
use crate::world::{Action, Dialer, LinkKey, slave_name};

type Without = Option<(Scope, Vec<Action>)>;

/// Leaves a slave out, if there is such a one; those after it move up.
pub(super) fn without_slave(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.slaves || scope.slaves == 1 {
        return None;
    }
    let mut fewer = Scope { slaves: scope.slaves - 1, ..scope.clone() };
    fewer.commands.iter_mut().for_each(|command| rename_slave(command, scope.slaves, gone));
    let left = Left { slave: Some(gone), ..Left::default() };
    Some((fewer, actions.iter().filter_map(|action| left.action(*action)).collect()))
}

/// The same of a framework.
pub(super) fn without_framework(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.frameworks || scope.frameworks == 1 {
        return None;
    }
    let mut fewer = Scope { frameworks: scope.frameworks - 1, ..scope.clone() };
    fewer.framework.remove(usize::from(gone));
    let left = Left { framework: Some(gone), ..Left::default() };
    Some((fewer, actions.iter().filter_map(|action| left.action(*action)).collect()))
}

/// The same of a master; the first leads at the beginning.
pub(super) fn without_master(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.masters || scope.masters == 1 {
        return None;
    }
    let fewer = Scope { masters: scope.masters - 1, ..scope.clone() };
    let left = Left { master: Some(gone), ..Left::default() };
    Some((fewer, actions.iter().filter_map(|action| left.action(*action)).collect()))
}

/// Commands name slaves as they are called in the world.
fn rename_slave(command: &mut Command, slaves: u8, gone: u8) {
    let named = match command {
        Command::Deactivate { slave, .. }
        | Command::Activate { slave, .. }
        | Command::InverseOffer { slave, .. }
        | Command::Drain { slave, .. }
        | Command::PlanDrain { slave, .. }
        | Command::DrainNow { slave }
        | Command::Show(Query::Slave(slave)) => slave,
        Command::Show(_)
        | Command::Watch
        | Command::CancelInverseOffer(_)
        | Command::CancelDrain(_)
        | Command::ExtendDrain(..)
        | Command::Kill(_)
        | Command::ResumeRemovals => return,
    };
    let SlaveRef::Name(name) = named else { return };
    let number = (0..slaves).find(|number| slave_name(*number) == *name);
    if let Some(number) = number {
        // One that is gone is not there: the name behind the last.
        *name = slave_name(moved(number, Some(gone)).unwrap_or(slaves));
    }
}

/// What is left of actions.
#[derive(Clone, Copy, Default)]
struct Left {
    slave: Option<u8>,
    framework: Option<u8>,
    master: Option<u8>,
}

/// The number that one has when another is gone.
fn moved(number: u8, gone: Option<u8>) -> Option<u8> {
    match gone {
        Some(gone) if gone == number => None,
        Some(gone) if gone < number => Some(number - 1),
        Some(_) | None => Some(number),
    }
}

impl Left {
    fn dialer(self, dialer: Dialer) -> Option<Dialer> {
        Some(match dialer {
            Dialer::Slave(number) => Dialer::Slave(moved(number, self.slave)?),
            Dialer::Framework(number) => Dialer::Framework(moved(number, self.framework)?),
            Dialer::Executor(number, id) => Dialer::Executor(moved(number, self.slave)?, id),
        })
    }

    fn key(self, (dialer, number): LinkKey) -> Option<LinkKey> {
        Some((self.dialer(dialer)?, number))
    }

    fn action(self, action: Action) -> Option<Action> {
        let slave = |number| moved(number, self.slave);
        let framework = |number| moved(number, self.framework);
        let master = |number| moved(number, self.master);
        Some(match action {
            Action::Deliver(key, end) => Action::Deliver(self.key(key)?, end),
            Action::Learn(key, end) => Action::Learn(self.key(key)?, end),
            Action::Cut(key) => Action::Cut(self.key(key)?),
            Action::Connect(dialer @ Dialer::Executor(..), number) => {
                Action::Connect(self.dialer(dialer)?, number)
            }
            Action::Connect(dialer, number) => Action::Connect(self.dialer(dialer)?, master(number)?),
            Action::NoConnection(dialer) => Action::NoConnection(self.dialer(dialer)?),
            Action::MasterTimer(number, timer, cost) => Action::MasterTimer(master(number)?, timer, cost),
            Action::SlaveTimer(number, timer, cost) => Action::SlaveTimer(slave(number)?, timer, cost),
            Action::FrameworkTimer(number, timer, cost) => {
                Action::FrameworkTimer(framework(number)?, timer, cost)
            }
            Action::ExecutorTimer(number, id, timer, cost) => {
                Action::ExecutorTimer(slave(number)?, id, timer, cost)
            }
            Action::MasterStored(number) => Action::MasterStored(master(number)?),
            Action::MasterNotStored(number) => Action::MasterNotStored(master(number)?),
            Action::SlaveStored(number) => Action::SlaveStored(slave(number)?),
            Action::SlaveNotStored(number) => Action::SlaveNotStored(slave(number)?),
            Action::CrashMaster(number, more) => Action::CrashMaster(master(number)?, more),
            Action::StartMaster(number) => Action::StartMaster(master(number)?),
            Action::Elect(number) => Action::Elect(master(number)?),
            Action::Usurp(number) => Action::Usurp(master(number)?),
            Action::Depose(number) => Action::Depose(master(number)?),
            Action::CrashSlave(number, more) => Action::CrashSlave(slave(number)?, more),
            Action::StartSlave(number) => Action::StartSlave(slave(number)?),
            Action::Return(number) => Action::Return(slave(number)?),
            Action::CrashFramework(number) => Action::CrashFramework(framework(number)?),
            Action::StartFramework(number) => Action::StartFramework(framework(number)?),
            Action::Suppress(number) => Action::Suppress(framework(number)?),
            Action::Revive(number) => Action::Revive(framework(number)?),
            Action::NewFramework(number) => Action::NewFramework(framework(number)?),
            Action::Launch(number, offer, task) => Action::Launch(framework(number)?, offer, task),
            Action::Decline(number, offer) => Action::Decline(framework(number)?, offer),
            Action::Kill(number, task) => Action::Kill(framework(number)?, task),
            Action::AcceptInverse(number, id) => Action::AcceptInverse(framework(number)?, id),
            Action::DeclineInverse(number, id) => Action::DeclineInverse(framework(number)?, id),
            Action::Teardown(number) => Action::Teardown(framework(number)?),
            Action::StartTree(number, id) => Action::StartTree(slave(number)?, id),
            Action::NoLaunch(number, id) => Action::NoLaunch(slave(number)?, id),
            Action::Finish(number, id, task, well) => Action::Finish(slave(number)?, id, task, well),
            Action::Die(number, id, task) => Action::Die(slave(number)?, id, task),
            Action::CrashExecutor(number, id) => Action::CrashExecutor(slave(number)?, id),
            Action::TreeDies(number, id) => Action::TreeDies(slave(number)?, id),
            Action::See(number, id) => Action::See(slave(number)?, id),
            Action::Command(number) => Action::Command(master(number)?),
            Action::Signal(number) => Action::Signal(slave(number)?),
        })
    }
}
