//! A world with one node less, and what is done in it.

use neap_protocol::message::SlaveRef;

use crate::scope::{Scope, slave_of};
use crate::world::{Action, Node, slave_name};

type Without = Option<(Scope, Vec<Action>)>;

/// Leaves a slave out, if there is such a one; those after it move up.
pub(super) fn without_slave(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.slaves || scope.slaves == 1 {
        return None;
    }
    let mut fewer = Scope { slaves: scope.slaves - 1, ..scope.clone() };
    let named = fewer.commands.iter_mut().filter_map(slave_of);
    named.for_each(|slave| rename(slave, scope.slaves, gone));
    Some((fewer, without(actions, Node::Slave(gone))))
}

/// The same of a framework.
pub(super) fn without_framework(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.frameworks || scope.frameworks == 1 {
        return None;
    }
    let mut fewer = Scope { frameworks: scope.frameworks - 1, ..scope.clone() };
    fewer.framework.remove(usize::from(gone));
    Some((fewer, without(actions, Node::Framework(gone))))
}

/// The same of a master; the first leads at the beginning.
pub(super) fn without_master(scope: &Scope, actions: &[Action], gone: u8) -> Without {
    if gone >= scope.masters || scope.masters == 1 {
        return None;
    }
    let fewer = Scope { masters: scope.masters - 1, ..scope.clone() };
    Some((fewer, without(actions, Node::Master(gone))))
}

/// Commands name slaves as they are called in the world.
fn rename(slave: &mut SlaveRef, slaves: u8, gone: u8) {
    let SlaveRef::Name(name) = slave else { return };
    let number = (0..slaves).find(|number| slave_name(*number) == *name);
    if let Some(number) = number {
        // One that is gone is not there: the name behind the last.
        *name = slave_name(moved(number, gone).unwrap_or(slaves));
    }
}

/// What is left of actions.
fn without(actions: &[Action], gone: Node) -> Vec<Action> {
    let mut number = |node| match (node, gone) {
        (Node::Master(number), Node::Master(gone))
        | (Node::Slave(number), Node::Slave(gone))
        | (Node::Framework(number), Node::Framework(gone)) => moved(number, gone),
        (Node::Master(number) | Node::Slave(number) | Node::Framework(number), _) => Some(number),
    };
    actions.iter().filter_map(|action| action.renumbered(&mut number)).collect()
}

/// The number that one has when another is gone.
fn moved(number: u8, gone: u8) -> Option<u8> {
    match gone {
        _ if gone == number => None,
        _ if gone < number => Some(number - 1),
        _ => Some(number),
    }
}
