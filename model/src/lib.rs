//! The world around neap's core: checking, simulation, replay.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | sessions, disks, processes, timers and crashes around the machines of the core |
//! | [`ghost`] | what was true, whatever nodes believe |
//! | [`properties`] | what must hold, one file each |
//! | [`scope`], [`scopes`] | bounded worlds, by name |
//! | [`check`] | a scope checked by two searches, stateright and our own |
//! | [`search`] | every state of a scope, breadth first: shortest stories, liveness |
//! | [`simulate`] | larger worlds by chance, each the same for ever for its seed |
//! | [`explore`] | a scope in stateright's explorer, in a browser |
//! | [`table`] | which property guards what, in which scopes, over how many states |
//! | [`replay`] | what real nodes recorded, through the same machines once more |
//! | [`cli`] | the command line: `check` and others |
//! | [`story`] | a counterexample as people read it |

pub mod check;
pub mod cli;
pub mod explore;
pub mod ghost;
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
pub mod world;
