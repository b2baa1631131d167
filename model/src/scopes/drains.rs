//! Inverse offers and drains.

use neap_protocol::ids::{DrainId, InverseOfferId};
use neap_protocol::message::{Command, InverseAsk, Then};
use neap_protocol::resources::Resources;
use neap_protocol::time::Millis;

use super::{TASK, TWO, activate, drain, drain_as_planned, drain_changed, inverse, plan, small, task};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "inverse-offer",
            about: "an inverse offer with every answer, kills, ends and the deadline",
            commands: vec![inverse(InverseAsk::Everything)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-amount",
            about: "an inverse offer for one task's worth of two, cancelled or not",
            commands: vec![inverse(InverseAsk::Amount(TASK)), Command::CancelInverseOffer(InverseOfferId(1))],
            resources: TWO,
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-sizes",
            about: "an inverse offer for less than what a large and a small task have, with every answer",
            commands: vec![inverse(InverseAsk::Amount(TWO))],
            resources: Resources::new(3000, 3 << 30),
            tasks: vec![task(TASK), task(TWO)],
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-killed",
            about: "an inverse offer for one task's worth of two, of which one is killed",
            commands: vec![inverse(InverseAsk::Amount(TASK))],
            resources: TWO,
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2), (Event::Kill, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-cut",
            about: "an inverse offer while sessions die",
            commands: vec![inverse(InverseAsk::Everything)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-new-leader",
            about: "an inverse offer with every answer, whose leader crashes",
            commands: vec![inverse(InverseAsk::Everything)],
            long: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain",
            about: "a drain with every answer, to its end and the slave's",
            commands: vec![drain(Then::Unregister)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "drain-kill",
            about: "a drain while its task is killed",
            commands: vec![drain(Then::Stay), activate(None)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Obey, 1)]),
            ..small()
        },
        Scope {
            name: "drain-cut",
            about: "a drain while sessions die",
            commands: vec![drain(Then::Unregister)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "drain-slave-crash",
            about: "a drain while the slave crashes",
            commands: vec![drain(Then::Unregister)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-slow-framework",
            about: "a drain whose framework may not be given its time",
            commands: vec![drain(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Skew, 1)]),
            ..small()
        },
        Scope {
            name: "drain-vanished",
            about: "a drain whose framework vanishes and never returns",
            commands: vec![drain(Then::Stay)],
            frameworks_return: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::FrameworkCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-new-leader",
            about: "a leader crashes in the middle of a drain",
            commands: vec![drain(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-planned",
            about: "a drain that is begun as it was planned, or not at all",
            commands: vec![plan(Then::Stay), drain_as_planned(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "drain-moved",
            about: "a drain whose deadline is moved, against the deadline",
            commands: vec![drain(Then::Stay), Command::ExtendDrain(DrainId(1), Millis::from_secs(60))],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Skew, 1)]),
            ..small()
        },
        Scope {
            name: "drain-changed",
            about: "a drain that is asked for twice, and otherwise, is changed, and is cancelled",
            commands: vec![
                drain(Then::Stay),
                drain(Then::Stay),
                drain(Then::Unregister),
                drain_changed(Then::Unregister),
                Command::CancelDrain(DrainId(1)),
            ],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1)]),
            ..small()
        },
        Scope {
            name: "drain-beside",
            about: "a drain beside an inverse offer for the same",
            commands: vec![
                inverse(InverseAsk::Everything),
                drain(Then::Stay),
                Command::CancelInverseOffer(InverseOfferId(1)),
            ],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "drain-full-disk",
            about: "a drain while writes of master and slave fail",
            commands: vec![drain(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::FullDisk, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-everything",
            about: "an inverse offer with every answer, kills, ends and the deadline, as sessions die",
            long: true,
            commands: vec![inverse(InverseAsk::Everything)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Finish, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "drain-everything",
            about: "a drain with every answer, kills, and a session that dies",
            long: true,
            commands: vec![drain(Then::Unregister)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "drain-new-leader-answers",
            about: "a leader crashes in the middle of a drain with every answer",
            long: true,
            commands: vec![drain(Then::Unregister)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
    ]
}
