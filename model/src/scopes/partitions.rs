//! Frameworks that wait for what is out of reach (R6, R8).

use neap_protocol::framework;
use neap_protocol::message::InverseAsk;

use super::{forget, inverse, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "partition",
            about: "a slave is cut off, its task is out of reach, goes on or ends, and is back with it",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::Cut, 1), (Event::Skew, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-crash",
            about: "a slave crashes, and is given up while its task goes on",
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1), (Event::Skew, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-revoked",
            about: "what is asked back is out of reach at the deadline, and is revoked when it is back",
            commands: vec![inverse(InverseAsk::Everything)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-forget",
            about: "an operator says that a slave is dead whose task may be out of reach",
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-kill",
            about: "a task is killed that may be out of reach",
            long: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Cut, 1), (Event::Skew, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-inverse-offer",
            about: "what is asked back is out of reach, and is revoked when it is back",
            long: true,
            commands: vec![inverse(InverseAsk::Everything)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1), (Event::Skew, 1)]),
            ..aware()
        },
        Scope {
            name: "partition-teardown",
            about: "a framework tears itself down whose task may be out of reach",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Teardown, 1),
                (Event::Cut, 1),
                (Event::Skew, 1),
            ]),
            ..aware()
        },
        Scope {
            name: "partition-failover",
            about: "a framework crashes whose task may be out of reach",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::FrameworkCrash, 1),
                (Event::Cut, 1),
                (Event::Skew, 1),
            ]),
            ..aware()
        },
        Scope {
            name: "partition-new-leader",
            about: "a slave is cut off, is given up, and returns to a new leader",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Cut, 1),
                (Event::MasterCrash, 1),
                (Event::Skew, 1),
            ]),
            ..aware()
        },
    ]
}

pub(super) fn aware() -> Scope {
    let small = small();
    let aware = |config: &framework::Config| framework::Config { partition_aware: true, ..config.clone() };
    Scope { framework: small.framework.iter().map(aware).collect(), ..small }
}
