//! Tasks that do not outlive their leases (R9).

use neap_protocol::framework::NewTask;
use neap_protocol::time::Millis;

use super::partitions::aware;
use super::{TASK, forget, small, task};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "fence",
            about: "a fenced task's slave, or its executor, is cut off",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-crash",
            about: "the slave of a fenced task crashes",
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-forget",
            about: "a fenced task's slave is cut off, and an operator says that it is dead",
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-forget-crash",
            about: "a fenced task's slave crashes, and an operator says that it is dead, to a new leader, too",
            long: true,
            framework: aware().framework,
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1), (Event::MasterCrash, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-kill",
            about: "a fenced task is killed, and its slave may be cut off",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Cut, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-new-leader",
            about: "a fenced task's slave is cut off, and the leader crashes",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1), (Event::MasterCrash, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-skew",
            about: "a fenced task's slave is cut off, and a timer fires early",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1), (Event::Skew, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-partition",
            about: "a fenced task's slave is cut off, and its framework waits for it",
            framework: aware().framework,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..fenced()
        },
        Scope {
            name: "fence-everything",
            about: "a fenced task's slave crashes or is cut off, and its task ends by itself",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Finish, 1),
                (Event::SlaveCrash, 1),
                (Event::Cut, 1),
            ]),
            ..fenced()
        },
    ]
}

fn fenced() -> Scope {
    let fence_after = Some(Millis::from_secs(2));
    Scope { tasks: vec![NewTask { fence_after, ..task(TASK) }], ..small() }
}
