//! Slaves that are started anew where their executors live (R28).

use neap_protocol::slave::{self, Recover};

use super::{TWO, shared_task, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "restart",
            about: "a slave crashes, and its task goes on or ends meanwhile",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "restart-kill",
            about: "a slave crashes while its task is killed",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Kill, 1),
                (Event::SlaveCrash, 1),
                (Event::Obey, 1),
            ]),
            ..small()
        },
        Scope {
            name: "restart-executor-crash",
            about: "a slave crashes, and an executor of hostile processes dies",
            hostile: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::ExecutorCrash, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "restart-cleanup",
            about: "a slave crashes, and ends what it had left",
            slave: slave::Config { recover: Recover::Cleanup, ..small().slave },
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "reboot",
            about: "the machine of a slave that crashed is started anew",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Finish, 1),
                (Event::SlaveCrash, 1),
                (Event::Reboot, 1),
            ]),
            ..small()
        },
        Scope {
            name: "restart-shared",
            about: "a slave crashes whose tasks share an executor of their framework's own",
            long: true,
            resources: TWO,
            tasks: vec![shared_task()],
            budget: Budget::of(&[(Event::Launch, 2), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "restart-twice",
            about: "a slave crashes twice, and its task goes on or ends meanwhile",
            long: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::SlaveCrash, 2)]),
            ..small()
        },
    ]
}
