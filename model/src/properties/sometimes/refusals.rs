//! What is asked in vain is refused. Five refusals need more than honest nodes, or very many, and are shown elsewhere:
//! `UnknownReceipt` and `SlaveLeft` are their store's, `TooManyHeld` is of 65,536 names, `NotYours` and `Invalid` are for
//! slaves that lie.

use neap_protocol::framework::Event;
use neap_protocol::message::{MasterToSlave, Refusal, Refused};
use neap_protocol::task::{Reason, TaskState};

use super::{Property, heard, ordered, refused, sometimes, told};

macro_rules! refusals {
    ($($name:ident: $text:literal, $guards:literal, $pattern:pat,)*) => {
        $(pub(in crate::properties) const $name: Property =
            sometimes($text, $guards, |seen| refused(seen, |refusal| matches!(refusal, $pattern)));)*
    };
}

refusals! {
    NOT_LEADING: "refused: NotLeading", "R29", Refusal::NotLeading { .. },
    UNKNOWN_SLAVE: "refused: UnknownSlave", "R21", Refusal::UnknownSlave(_),
    REMOVED_SLAVE: "refused: RemovedSlave", "R27", Refusal::RemovedSlave(_),
    UNKNOWN_FRAMEWORK: "refused: UnknownFramework", "R17", Refusal::UnknownFramework(_),
    UNKNOWN_TASK: "refused: UnknownTask", "R13", Refusal::UnknownTask(_),
    UNKNOWN_INVERSE_OFFER: "refused: UnknownInverseOffer", "R20", Refusal::UnknownInverseOffer(_),
    INVERSE_OFFER_OF_DRAIN: "refused: InverseOfferOfDrain", "R20", Refusal::InverseOfferOfDrain(..),
    UNKNOWN_DRAIN: "refused: UnknownDrain", "R22", Refusal::UnknownDrain(_),
    DRAIN_ENDED: "refused: DrainEnded", "R22", Refusal::DrainEnded(..),
    HOLD_OF_DRAIN: "refused: HoldOfDrain", "R16", Refusal::HoldOfDrain(_),
    RESERVED_HOLD: "refused: ReservedHold", "R16", Refusal::ReservedHold(_),
    ALREADY_ASKED: "refused: AlreadyAsked", "R17", Refusal::AlreadyAsked(_),
    NOTHING_THERE: "refused: NothingThere", "R17", Refusal::NothingThere,
    NOTHING_ASKED: "refused: NothingAsked", "R17", Refusal::NothingAsked,
    PLAN_CHANGED: "refused: PlanChanged", "R23", Refusal::PlanChanged { .. },
    DRAIN_DIFFERS: "refused: DrainDiffers", "R22", Refusal::DrainDiffers(..),
    DRAIN_IS_NOW: "refused: DrainIsNow", "R24a", Refusal::DrainIsNow(_),
    DRAIN_TOLD: "refused: DrainTold", "R24a", Refusal::DrainTold(_),
    STORAGE: "refused: Storage", "R16", Refusal::Storage(_),
    OVERLOADED: "refused: Overloaded", "R16", Refusal::Overloaded,
    SLAVE_ANSWERS: "refused: SlaveAnswers", "R7a", Refusal::SlaveAnswers { .. },
    LEASES_RUN: "refused: LeasesRun", "R7a R9", Refusal::LeasesRun { .. },
    SLAVE_CHANGING: "refused: SlaveChanging", "R4", Refusal::SlaveChanging(_),
}

macro_rules! drops {
    ($($name:ident: $text:literal, $guards:literal, $reason:expr,)*) => {
        $(pub(in crate::properties) const $name: Property = sometimes($text, $guards, |seen| {
            told(seen, TaskState::Dropped, |reason| reason == $reason)
        });)*
    };
}

drops! {
    SLAVE_DEACTIVATED: "dropped: SlaveDeactivated", "R16", Reason::SlaveDeactivated,
    SLAVE_LEAVING: "dropped: SlaveLeaving", "R24", Reason::SlaveLeaving,
    SLAVE_DISCONNECTED: "dropped: SlaveDisconnected", "R6", Reason::SlaveDisconnected,
    SLAVE_SILENT: "dropped: SlaveSilent", "R6", Reason::SlaveSilent,
    SLAVE_REMOVED: "dropped: SlaveRemoved", "R25", Reason::SlaveRemoved,
    OFFER_GONE: "dropped: OfferGone", "R11", Reason::OfferGone,
    BEYOND_OFFER: "dropped: BeyondOffer", "R11", Reason::BeyondOffer,
    INVALID_SPEC: "dropped: InvalidSpec", "R11", Reason::InvalidSpec,
    SLAVE_FORGOT: "dropped: SlaveForgot", "R2", Reason::SlaveForgot,
}

pub(in crate::properties) const SLAVE_REFUSED: Property =
    sometimes("a removed slave is refused", "R3", |seen| {
        ordered(seen, |message| *message == MasterToSlave::Refused(Refused::Removed))
    });
pub(in crate::properties) const SLAVE_SENT_ON: Property =
    sometimes("a slave is told that a master does not lead", "R29 R31", |seen| {
        seen.masters_said().any(|said| {
            matches!(
                said.message,
                crate::world::Message::MasterToSlave(MasterToSlave::Refused(Refused::NotLeading { .. }))
            )
        })
    });
pub(in crate::properties) const FRAMEWORK_REFUSED: Property =
    sometimes("a framework that is torn down is refused", "R14", |seen| {
        heard(seen, |event| matches!(event, Event::Refused(_)))
    });
