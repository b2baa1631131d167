//! What the machines of all roles have in common.

use core::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outbox::Outbox;
use crate::transport::Role;
use crate::{executor, framework, master, slave};

/// A machine of some role, for what treats all roles alike.
pub trait Machine: Clone + Debug + Eq {
    /// Its role.
    const ROLE: Role;
    /// What it is set to.
    type Config: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
    /// What it is told.
    type Input: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
    /// What it asks for.
    type Effect: Clone + Debug + PartialEq + Serialize + DeserializeOwned;

    /// The machine before its first input.
    fn begin() -> Self;

    /// Takes one input, and adds to `out` what is to be done.
    fn handle(&mut self, config: &Self::Config, input: Self::Input, out: &mut Outbox<Self::Effect>);
}

macro_rules! machine {
    ($($role:ident: $module:ident::$machine:ident;)*) => {
        $(impl Machine for $module::$machine {
            const ROLE: Role = Role::$role;
            type Config = $module::Config;
            type Input = $module::Input;
            type Effect = $module::Effect;

            fn begin() -> Self {
                Self::new()
            }

            fn handle(&mut self, config: &Self::Config, input: Self::Input, out: &mut Outbox<Self::Effect>) {
                $module::$machine::handle(self, config, input, out);
            }
        })*
    };
}

machine! {
    Master: master::Master;
    Slave: slave::Slave;
    Framework: framework::Framework;
    Executor: executor::Executor;
}
