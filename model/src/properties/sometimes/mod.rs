//! What must be reached by some world: a search that never gets there proves nothing about it.
//!
//! | file | what is reached |
//! |---|---|
//! | [`verbs`] | what operators, schedulers and slaves set out to do completes |
//! | [`refusals`] | what is asked in vain is refused, each refusal |
//! | [`races`] | what can happen in either order does in both |
//! | [`faults`] | what goes wrong is noticed, and dealt with |
//! | [`crashes`] | every kind of write is crashed at, in both ways |

pub(super) mod crashes;
pub(super) mod faults;
pub(super) mod races;
pub(super) mod refusals;
pub(super) mod verbs;

use neap_protocol::framework;
use neap_protocol::message::{MasterToSlave, Refusal, SlaveToMaster};
use neap_protocol::registry::Operation;
use neap_protocol::task::{Reason, TaskState};

use super::{Kind, Property, Seen};
use crate::world::{Dialer, Happening, Message};

const fn sometimes(name: &'static str, guards: &'static str, is: fn(&Seen<'_>) -> bool) -> Property {
    Property { name, guards, kind: Kind::Sometimes(is) }
}

/// Whether a scheduler is told of a task in this state.
fn told(seen: &Seen<'_>, state: TaskState, why: impl Fn(Reason) -> bool) -> bool {
    heard(seen, |event| {
        matches!(event, framework::Event::Update { update, .. }
            if update.state == state && why(update.reason))
    })
}

/// Whether a scheduler's callback is called with this.
fn heard(seen: &Seen<'_>, what: impl Fn(&framework::Event) -> bool) -> bool {
    seen.happenings.iter().any(|happening| matches!(happening, Happening::Told { event, .. } if what(event)))
}

/// Whether this becomes durable.
fn stored(seen: &Seen<'_>, what: impl Fn(&Operation) -> bool) -> bool {
    seen.stored().any(what)
}

/// Whether a leader says this to a slave.
fn ordered(seen: &Seen<'_>, what: impl Fn(&MasterToSlave) -> bool) -> bool {
    seen.leader_said().any(|(_, message)| matches!(message, Message::MasterToSlave(message) if what(message)))
}

/// Whether a slave says this.
fn reported(seen: &Seen<'_>, what: impl Fn(&SlaveToMaster) -> bool) -> bool {
    seen.happenings.iter().any(|happening| {
        matches!(happening, Happening::Said {
            from: Dialer::Slave(_),
            message: Message::SlaveToMaster(message),
        } if what(message))
    })
}

/// Whether an operator is refused with this.
fn refused(seen: &Seen<'_>, what: impl Fn(&Refusal) -> bool) -> bool {
    seen.answered().any(|(_, answer)| answer.as_ref().is_err_and(&what))
}
