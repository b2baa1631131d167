//! The world around neap's core: checking, simulation, replay.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | sessions, disks, processes, timers and crashes around the machines of the core |
//! | [`ghost`] | what was true, whatever nodes believe |
//! | [`properties`] | what must hold, one file each |
//! | [`scope`], [`scopes`] | bounded worlds, by name |
//! | [`compact`] | states as a few numbers, steps that are worked out once |
//! | [`check`] | a scope checked by two searches, stateright and our own |
//! | [`limits`] | how far searches go |
//! | [`search`] | every state of a scope, breadth first: shortest stories, liveness |
//! | [`simulate`] | larger worlds by chance, each the same for ever for its seed |
//! | [`explore`] | a scope in stateright's explorer, in a browser |
//! | [`table`] | which property guards what, in which scopes, over how many states |
//! | [`replay`] | what real nodes recorded, through the same machines once more |
//! | [`mutants`] | the protocol broken on purpose, and whether that is caught |
//! | [`cli`] | the command line: `check` and others |
//! | [`story`] | a counterexample as people read it |

pub mod check;
pub mod cli;
pub mod compact;
pub mod explore;
pub mod ghost;
pub mod limits;
mod memory;
pub mod mutants;
mod places;
pub mod properties;
pub mod replay;
pub mod scope;
pub mod scopes;
pub mod search;
pub mod shared;
pub mod simulate;
pub mod story;
pub mod table;
mod track;
pub mod world;
