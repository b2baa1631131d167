//! R29: a master whose epoch is not durable decides nothing: it tells operators that it does not lead, and asks for no
//! write but that of its epoch.

use neap_protocol::ids::Epoch;
use neap_protocol::message::Refusal;
use neap_protocol::registry::Operation;

use super::{Kind, Property, Seen};
use crate::world::Happening;

pub(super) const PROPERTY: Property =
    Property { name: "R29 elected-first", guards: "R29", kind: Kind::Step(wrong) };

fn wrong(seen: &Seen<'_>) -> Result<(), String> {
    for happening in seen.happenings {
        let Happening::Answered { master, epoch, answer, .. } = happening else { continue };
        let leads = *epoch > Epoch(0) && seen.after.store.registry.epoch >= *epoch;
        if !leads && !matches!(answer, Err(Refusal::NotLeading { .. })) {
            return Err(format!("master {master} does not lead, and answers an operator {answer:?}"));
        }
    }
    for (number, node) in (0..).zip(&seen.after.masters).filter(|(_, node)| node.may_have_changed()) {
        let number: u8 = number;
        if node.epoch <= seen.after.store.registry.epoch {
            continue;
        }
        let mut asks = node.pending_in(node.epoch);
        if let Some(operation) = asks.find(|operation| !matches!(operation, Operation::Lead { .. })) {
            return Err(format!("master {number} does not lead, and asks to write {operation:?}"));
        }
    }
    Ok(())
}
