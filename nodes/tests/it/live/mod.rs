//! A cluster to be looked at from outside: slaves as processes, a framework inside this one, and the truth about
//! which processes live. The benchmark of a live cluster shares it.

mod operator;
mod scene;
mod scheduler;
mod slave;
mod truth;

pub(crate) use operator::Operator;
pub(crate) use scene::{Scene, Seen, launch};
pub(crate) use scheduler::{Framework, Said, task};
pub(crate) use slave::{CPUS, Slave};
pub(crate) use truth::{Hostiles, Watch};
