//! More than one master, slave or framework.

use neap_protocol::message::{InverseAsk, Then};

use super::{TWO, deactivate, drain, drain_now, inverse, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "two-masters",
            about: "a standby is elected while the old leader still speaks",
            masters: 2,
            frameworks: 0,
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Election, 1)]),
            ..small()
        },
        Scope {
            name: "two-masters-leave",
            about: "the same, and an operator has either of them drain the slave now",
            masters: 2,
            frameworks: 0,
            commands: vec![drain_now()],
            budget: Budget::of(&[(Event::Election, 1)]),
            ..small()
        },
        Scope {
            name: "two-masters-launch",
            about: "the same, and a task is launched",
            masters: 2,
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Election, 1)]),
            ..small()
        },
        Scope {
            name: "two-masters-drain",
            about: "a standby is elected in the middle of a drain",
            long: true,
            masters: 2,
            answers: false,
            commands: vec![drain(Then::Stay)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Election, 1)]),
            ..small()
        },
        Scope {
            name: "two-slaves",
            about: "a drain of one of two slaves, whose task moves to the other",
            slaves: 2,
            answers: false,
            commands: vec![drain(Then::Stay)],
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
        Scope {
            name: "two-frameworks",
            about: "two frameworks on one slave, of which one is asked",
            frameworks: 2,
            resources: TWO,
            commands: vec![inverse(InverseAsk::Everything)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
        Scope {
            name: "two-of-each",
            about: "two frameworks on two slaves",
            long: true,
            slaves: 2,
            frameworks: 2,
            budget: Budget::of(&[(Event::Launch, 2), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "two-frameworks-drain",
            about: "two frameworks on a slave that drains",
            long: true,
            frameworks: 2,
            resources: TWO,
            commands: vec![drain(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
    ]
}
