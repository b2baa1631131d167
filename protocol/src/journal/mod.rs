//! Journals: what a node's driver recorded of its machine, as bytes.
//!
//! A machine is a function of its inputs. A journal therefore holds each **input** once, in order, and of the
//! **effects** that came of it only their number and a 64-bit digest: whoever replays the inputs computes the effects
//! again, and the digest shows whether they are the same. Where they are not, the machine is not deterministic, it is
//! not the machine that was recorded, or its driver changed something under it. A driver may write the effects whole
//! instead; it is dearer, and shows *what* they were.
//!
//! ```text
//! journal = MAGIC frame*                     the last byte of MAGIC is the version of the format
//! frame   = length check32 body check64      length: of the body, 4 bytes, least first
//! body    = 1 header config                  a run begins: the node was started, and its machine is new
//!         | 2 item*                          what happened in that run, as much as was at hand when it was written
//! item    = Session | Input | Nothing | Digest | Whole | End, in postcard's format
//! ```
//!
//! - **Runs.** A node that is started again appends a run. Its header says which machine it was (role, name), what
//!   wrote it (program, version of the protocol) and when; the config follows, because `handle` takes one.
//! - **Time.** Each input has the milliseconds since the input before it, by a clock that nobody sets. They are the
//!   driver's, for people and for merging journals; no machine sees them.
//! - **Sessions.** A number of a session means something to one node only. Where the transport gives both ends a name
//!   for the session that they share, an item ties the number to it, so that journals of two nodes can be laid beside
//!   each other message by message.
//! - **Damage.** Every check is keyed with the check before it, so that a frame that was changed, moved, left out or
//!   written twice does not check, nor does anything after it. `check32` is over the length alone: a flipped bit there
//!   is not taken for a journal that ends too soon. What a crash tore is the last frame, and nothing of it is read; the
//!   rest is read whole. [`Damage`] says which it was, and where.
//! - **An input that was not answered** is the last of its run: the machine panicked over it, or the process was
//!   killed meanwhile.
//! - **The end** of a run is an item too. A run without one was cut short: its last moments may be missing.
//!
//! The format's version changes with the format. What inputs look like changes with the protocol's version and, for
//! those that do not travel, with the program; a replay by another program than the header names may not decode, or
//! differ, and says so.
//!
//! This module is the format alone. `nodes` has the file and the thread that writes it, `model` what replays it.

mod frame;
mod machine;
mod read;
mod record;
#[cfg(test)]
mod tests;

pub use frame::{Chain, HEAD_SIZE, MAGIC, TAIL_SIZE, seal_items, seal_run};
pub use machine::Machine;
pub use read::{Body, Damage, DecodeError, Flaw, Journal, NotAJournal, RawRun, Run, Scanner, magic, read};
pub use record::{Effects, End, Entry, Header, LinkId, Record, Recorder, Unwritable};
