//! The world around neap's core: checking, simulation, replay.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | sessions, disks, processes, timers and crashes around the machines of the core |
//! | [`ghost`] | what was true, whatever nodes believe |
//! | [`properties`] | what must hold, one file each |
//! | [`scope`], [`scopes`] | bounded worlds, by name |
//! | [`search`] | every state of a scope, breadth first: shortest stories, liveness |
//! | [`replay`] | what real nodes recorded, through the same machines once more |
//! | [`cli`] | the command line: `check` and others |
//! | [`story`] | a counterexample as people read it |

pub mod cli;
pub mod ghost;
pub mod properties;
pub mod replay;
pub mod scope;
pub mod scopes;
pub mod search;
pub mod shared;
pub mod story;
pub mod world;
