//! Drain now, and unregistration against everything.

use neap_protocol::ids::DrainId;
use neap_protocol::message::{Command, Then};
use neap_protocol::slave;
use neap_protocol::text::Text;
use neap_protocol::time::Millis;

use super::{TASK, deactivate, drain, drain_changed, drain_now, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "drain-now",
            about: "SIGUSR1 against a launch, with hostile processes and a crash of the slave",
            hostile: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-finish",
            about: "SIGUSR1 against the end of a task",
            hostile: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-grace",
            about: "SIGUSR1 with a grace, and a second one that skips it",
            slave: slave::Config {
                drain_now_grace: Some(Millis::from_secs(5)),
                ..slave::Config::new(TASK, Text::EMPTY)
            },
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Signal, 2),
                (Event::Finish, 1),
                (Event::Obey, 1),
            ]),
            ..small()
        },
        Scope {
            name: "drain-now-resisted",
            about: "SIGUSR1 with a grace that hostile processes outlast",
            hostile: true,
            slave: slave::Config {
                drain_now_grace: Some(Millis::from_secs(5)),
                ..slave::Config::new(TASK, Text::EMPTY)
            },
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-cut",
            about: "SIGUSR1 while sessions die and the slave returns as new",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Signal, 1),
                (Event::Cut, 1),
                (Event::Return, 1),
            ]),
            ..small()
        },
        Scope {
            name: "drain-now-no-master",
            about: "SIGUSR1 while the only master dies, and never comes back",
            masters_return: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-master-crash",
            about: "SIGUSR1 while the master crashes",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-operator",
            about: "an operator drains a slave now, whose session may die",
            commands: vec![drain_now()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-forgotten",
            about: "an operator drains a slave now that crashes before it hears of it, or after, and is there again",
            commands: vec![drain_now()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1)]),
            long: true,
            ..small()
        },
        Scope {
            name: "drain-now-new-leader",
            about: "an operator drains a slave now, and the leader crashes before the slave hears of it, or after",
            commands: vec![drain_now()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-stands",
            about: "a drain that is now is cancelled, and made slower, in vain",
            commands: vec![drain_now(), drain_changed(Then::Unregister), Command::CancelDrain(DrainId(1))],
            ..small()
        },
        Scope {
            name: "drain-now-taken-back",
            about: "a drain that is now is cancelled, and made slower, in vain once its slave was told",
            commands: vec![drain_now(), drain_changed(Then::Unregister), Command::CancelDrain(DrainId(1))],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            long: true,
            ..small()
        },
        Scope {
            name: "drain-hastened",
            about: "a drain with every answer that becomes now",
            commands: vec![drain(Then::Stay), drain_now()],
            budget: Budget::of(&[(Event::Launch, 1)]),
            ..small()
        },
        Scope {
            name: "hold-left",
            about: "a slave that is held leaves, and its host registers as new",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::Return, 1)]),
            ..small()
        },
        Scope {
            name: "drain-left",
            about: "a slave that drains, to stay, leaves, and its host registers as new",
            commands: vec![drain(Then::Stay)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::Return, 1)]),
            ..small()
        },
        Scope {
            name: "drain-now-late",
            about: "SIGUSR1 to a slave that is given up",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Signal, 1),
                (Event::Skew, 1),
                (Event::Return, 1),
            ]),
            ..small()
        },
        Scope {
            name: "drain-now-two-crashes",
            about: "SIGUSR1 against a launch, with two crashes of the slave and hostile processes",
            long: true,
            hostile: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::SlaveCrash, 2)]),
            ..small()
        },
        Scope {
            name: "drain-now-disorder",
            about: "SIGUSR1 with two timers out of their order",
            long: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Signal, 1), (Event::Skew, 2)]),
            ..small()
        },
    ]
}
