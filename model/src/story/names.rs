//! What people call the nodes of a world.

use neap_protocol::ids::ExecutorId;

use crate::scope::Scope;
use crate::world::{Dialer, slave_name};

/// A master: `m1`, `m2`.
pub fn master(number: u8) -> String {
    format!("m{}", u32::from(number) + 1)
}

/// A slave, by its certificate's name: `a`, `b`.
pub fn slave(number: u8) -> String {
    slave_name(number).to_string()
}

/// A framework, by its name: `f`, `g`.
pub fn framework(scope: &Scope, number: u8) -> String {
    match scope.framework.get(usize::from(number)) {
        Some(config) => config.name.to_string(),
        None => format!("framework {number}"),
    }
}

/// An executor, and where it runs: `F1.x1@a`.
pub fn executor(on: u8, id: ExecutorId) -> String {
    format!("{id}@{}", slave(on))
}

/// Who dialled a session.
pub fn dialer(scope: &Scope, dialer: Dialer) -> String {
    match dialer {
        Dialer::Slave(number) => slave(number),
        Dialer::Framework(number) => framework(scope, number),
        Dialer::Executor(on, id) => executor(on, id),
    }
}
