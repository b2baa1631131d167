//! Drain now, and unregistration against everything.

use neap_protocol::message::Command;
use neap_protocol::slave;
use neap_protocol::text::Text;
use neap_protocol::time::Millis;

use super::{TASK, slave_a, small};
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
            commands: vec![Command::DrainNow { slave: slave_a() }],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
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
