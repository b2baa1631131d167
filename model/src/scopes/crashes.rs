//! Crashes at kinds of writes, most of them crashed at nowhere else, in as little else as there can be.

use neap_protocol::ids::DrainId;
use neap_protocol::message::{Command, InverseAsk, Then};
use neap_protocol::time::Millis;

use super::{activate, deactivate, drain, inverse, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "crash-registration",
            about: "the master crashes twice, and its slave registers with each leader or is given up",
            frameworks: 0,
            budget: Budget::of(&[(Event::MasterCrash, 2)]),
            ..small()
        },
        Scope {
            name: "crash-holds",
            about: "the master crashes as a hold is placed or lifted",
            frameworks: 0,
            commands: vec![deactivate("ann"), activate(None)],
            budget: Budget::of(&[(Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "crash-drain",
            about: "the master crashes in a drain of nothing whose deadline is moved",
            frameworks: 0,
            commands: vec![drain(Then::Stay), Command::ExtendDrain(DrainId(1), Millis::from_secs(60))],
            budget: Budget::of(&[(Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "crash-framework",
            about: "the master crashes while a framework comes, comes back with other settings, and goes",
            slaves: 0,
            failover_again: Some(Millis::from_secs(100)),
            budget: Budget::of(&[(Event::MasterCrash, 1), (Event::FrameworkCrash, 1), (Event::Teardown, 1)]),
            ..small()
        },
        Scope {
            name: "crash-scheduler",
            about: "a scheduler crashes in its callbacks, before or after what they lead to is durable, and its task ends",
            slow_callbacks: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::FrameworkCrash, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "crash-numbers",
            about: "a scheduler crashes in its callbacks, and launches again",
            slow_callbacks: true,
            budget: Budget::of(&[(Event::Launch, 2), (Event::FrameworkCrash, 1)]),
            ..small()
        },
        Scope {
            name: "crash-scheduler-again",
            about: "a scheduler crashes in its callbacks, its task ends, and it launches another",
            long: true,
            slow_callbacks: true,
            budget: Budget::of(&[(Event::Launch, 2), (Event::FrameworkCrash, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "crash-scheduler-twice",
            about: "a scheduler crashes twice in its callbacks, and its task ends",
            long: true,
            slow_callbacks: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::FrameworkCrash, 2), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "crash-numbers-new-leader",
            about: "the same, and the master crashes; an executor may not start",
            long: true,
            slow_callbacks: true,
            budget: Budget::of(&[
                (Event::Launch, 2),
                (Event::FrameworkCrash, 1),
                (Event::MasterCrash, 1),
                (Event::NoLaunch, 1),
            ]),
            ..small()
        },
        Scope {
            name: "crash-answer",

            about: "the only master crashes in an inverse offer with every answer, and never comes back",
            commands: vec![inverse(InverseAsk::Everything)],
            masters_return: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "crash-last-word",
            about: "a slave leaves whose task has ended by itself, and the master crashes, before that is acknowledged or after",
            long: true,
            ..last_word()
        },
        Scope {
            name: "crash-forget",
            about: "the same, and the only master never comes back",
            masters_return: false,
            ..last_word()
        },
        Scope {
            name: "crash-leave",
            about: "a slave that runs nothing crashes as it comes, leaves, and returns as new",
            frameworks: 0,
            budget: Budget::of(&[(Event::SlaveCrash, 1), (Event::Signal, 1), (Event::Return, 1)]),
            ..small()
        },
        Scope {
            name: "crash-full-disk",
            about: "a slave that runs nothing crashes as it writes everything again",
            frameworks: 0,
            budget: Budget::of(&[(Event::SlaveCrash, 1), (Event::FullDisk, 1)]),
            ..small()
        },
    ]
}

fn last_word() -> Scope {
    let budget =
        Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::Signal, 1), (Event::MasterCrash, 1)]);
    Scope { budget, ..small() }
}
