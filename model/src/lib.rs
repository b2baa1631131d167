//! The world around neap's core: checking, simulation, replay.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | sessions, disks, processes, timers and crashes around the machines of the core |
//! | [`ghost`] | what was true, whatever nodes believe |
//! | [`properties`] | what must hold, one file each |
//! | [`scope`], [`scopes`] | bounded worlds, by name |
//! | [`compact`] | states as a few numbers, steps that are worked out once |
//! | [`search`] | every state of a scope, breadth first: shortest stories, liveness |
//! | [`cli`] | the command line: `check` and others |
//! | [`story`] | a counterexample as people read it |

pub mod cli;
pub mod compact;
pub mod ghost;
pub mod properties;
pub mod scope;
pub mod scopes;
pub mod search;
pub mod shared;
pub mod story;
mod track;
pub mod world;
