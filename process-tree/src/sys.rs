//! The only `unsafe` of the crate.

pub(crate) mod birth;
pub(crate) mod fork;
pub(crate) mod watch;
