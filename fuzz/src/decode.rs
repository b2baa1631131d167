//! `decode`: bytes as a frame of any kind, and any message as a frame.
//!
//! The first byte says which kind of message, and which of the two. What is decoded is encoded to the same bytes, and
//! what is encoded is decoded to the same message; nothing takes more memory than the codec states.

use std::fmt::Debug;

use neap_protocol::codec::{MEMORY_FACTOR, MEMORY_FIXED, Wire, decode, encode};
use neap_protocol::message::{
    ExecutorToSlave, FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave, OperatorToMaster,
    OperatorToSlave, SlaveToExecutor, SlaveToMaster, SlaveToOperator,
};

use crate::choices::Choices;
use crate::memory;

/// How many kinds of messages there are.
pub const KINDS: u8 = 10;

/// Calls a generic function for the kind of message of a number.
macro_rules! of_kind {
    ($kind:expr, $value:ident.$function:ident($($argument:expr),*)) => {
        match $kind {
            0 => $value.$function::<SlaveToMaster>($($argument),*),
            1 => $value.$function::<MasterToSlave>($($argument),*),
            2 => $value.$function::<FrameworkToMaster>($($argument),*),
            3 => $value.$function::<MasterToFramework>($($argument),*),
            4 => $value.$function::<SlaveToExecutor>($($argument),*),
            5 => $value.$function::<ExecutorToSlave>($($argument),*),
            6 => $value.$function::<OperatorToMaster>($($argument),*),
            7 => $value.$function::<MasterToOperator>($($argument),*),
            8 => $value.$function::<OperatorToSlave>($($argument),*),
            _ => $value.$function::<SlaveToOperator>($($argument),*),
        }
    };
}

/// What a run can reach.
pub(crate) const GOALS: &[&str] = &["decoded", "refused", "went round"];

/// Runs the target.
pub(crate) fn run(choices: &mut Choices<'_>) {
    let first = choices.byte();
    let mode = match first / KINDS % 2 {
        0 => Mode::Frame,
        _ => Mode::Message,
    };
    of_kind!(first % KINDS, mode.of(choices));
}

#[derive(Clone, Copy)]
enum Mode {
    Frame,
    Message,
}

impl Mode {
    fn of<M: Wire + Debug + PartialEq>(self, choices: &mut Choices<'_>) {
        match self {
            Self::Frame => frame::<M>(choices),
            Self::Message => message::<M>(choices),
        }
    }
}

fn frame<M: Wire + Debug + PartialEq>(choices: &mut Choices<'_>) {
    let frame = choices.rest();
    choices.tell(|| format!("a {} of {frame:02x?}: {:?}", M::NAME, decode::<M>(frame)));
    match soundly::<M>(frame) {
        Some(_) => choices.reach("decoded"),
        None => choices.reach("refused"),
    }
}

/// Any message goes round; no beginning of it is one, and a changed byte makes another or none.
fn message<M: Wire + Debug + PartialEq>(choices: &mut Choices<'_>) {
    let (cut, change, byte) = (choices.below(1 << 20), choices.below(1 << 20), choices.byte());
    let message: M = choices.any();
    choices.tell(|| format!("{message:?}"));
    let mut frame = encode(&message).unwrap_or_else(|error| choices.broken(error));
    let written = postcard::to_allocvec(&message);
    choices.hold(written.as_deref() == Ok(&frame[1..]), || "it is not postcard's encoding".to_owned());
    choices
        .hold(soundly(&frame).as_ref() == Some(&message), || format!("{message:?} is another once decoded"));
    let cut = cut as usize % frame.len();
    choices.hold(decode::<M>(&frame[..cut]).is_err(), || format!("{cut} bytes of it are a message"));
    let change = change as usize % frame.len();
    frame[change] = byte;
    soundly::<M>(&frame);
    choices.reach("went round");
}

/// Decodes within the bound on memory; what is decoded is encoded to the same bytes, and postcard agrees.
///
/// # Panics
/// If it is not so.
pub fn soundly<M: Wire + Debug + PartialEq>(frame: &[u8]) -> Option<M> {
    let (result, peak) = memory::peak(|| decode::<M>(frame));
    let bound = MEMORY_FACTOR * frame.len() + MEMORY_FIXED;
    let (len, begin) = (frame.len(), &frame[..frame.len().min(64)]);
    assert!(peak <= bound, "{peak} bytes for a frame of {len}: {begin:02x?}");
    let message = result.ok()?;
    assert_eq!(encode(&message).as_deref(), Ok(frame), "one message, one encoding");
    assert_eq!(postcard::from_bytes::<M>(&frame[1..]).as_ref(), Ok(&message));
    Some(message)
}

/// The number of the kind of message that a frame is, told from the others by what is printed of it.
pub fn kind_of(frame: &[u8], printed: &str) -> Option<u8> {
    let printed = Printed { frame, printed };
    (0..KINDS).find(|kind| of_kind!(*kind, printed.is()))
}

struct Printed<'a> {
    frame: &'a [u8],
    printed: &'a str,
}

impl Printed<'_> {
    fn is<M: Wire + Debug>(&self) -> bool {
        decode::<M>(self.frame).is_ok_and(|message| format!("{message:?}") == self.printed)
    }
}
