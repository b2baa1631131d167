//! Offers, holds, kills, executors.

use std::sync::Arc;

use neap_protocol::framework::{NewRun, NewTask};
use neap_protocol::ids::{FrameworkId, TaskId};
use neap_protocol::master;
use neap_protocol::slave::{self, Recover};
use neap_protocol::time::Millis;

use super::{TASK, TWO, activate, deactivate, kill, shared_task, small, task};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "offers",
            about: "offers that are declined, time out, are not wanted, or do not suffice",
            tasks: vec![task(TASK), task(TWO), programless()],
            master: master::Config { offer_timeout: Some(Millis::from_secs(20)), ..small().master },
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Decline, 1),
                (Event::Suppress, 1),
                (Event::Revive, 1),
                (Event::OfferTimeout, 1),
            ]),
            ..small()
        },
        Scope {
            name: "deactivate",
            about: "deactivate and activate against an accept in flight",
            commands: vec![deactivate("ann"), activate(None)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::Decline, 1)]),
            ..small()
        },
        Scope {
            name: "holds",
            about: "two hands hold a slave, and do not undo each other",
            commands: vec![deactivate("ann"), deactivate("bob"), activate(Some("ann")), activate(None)],
            budget: Budget::of(&[(Event::Launch, 1)]),
            ..small()
        },
        Scope {
            name: "deactivate-cut",
            about: "what a deactivation promised outlives sessions",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "deactivate-crash",
            about: "what a deactivation promised outlives the master",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "kill",
            about: "kills by a framework and by an operator against a launch and an end",
            commands: vec![kill(first_task())],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Finish, 1), (Event::Obey, 1)]),
            ..small()
        },
        Scope {
            name: "kill-cut",
            about: "a kill whose sessions die",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "kill-new-leader",
            about: "a kill whose master crashes",
            long: true,
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "executor",
            about: "executors that cannot be started, or die without a word",
            hostile: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::NoLaunch, 1),
                (Event::ExecutorCrash, 1),
                (Event::Kill, 1),
            ]),
            ..small()
        },
        Scope {
            name: "own-executor",
            about: "tasks that share their framework's own executor",
            resources: TWO,
            tasks: vec![shared_task()],
            budget: Budget::of(&[(Event::Launch, 2), (Event::Kill, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "own-executor-kill",
            about: "a kill that a framework's own executor may not carry out in time, as its task resists",
            hostile: true,
            tasks: vec![shared_task()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1)]),
            ..small()
        },
        Scope {
            name: "own-executor-crash",
            about: "the same, and the executor or the slave dies, which ends what it finds",
            long: true,
            resources: TWO,
            tasks: vec![shared_task()],
            slave: slave::Config { recover: Recover::Cleanup, ..small().slave },
            budget: Budget::of(&[(Event::Launch, 2), (Event::ExecutorCrash, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "deactivate-everything",
            about: "a deactivation with crashes of the master and dying sessions",
            long: true,
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1), (Event::Cut, 1)]),
            ..small()
        },
    ]
}

fn first_task() -> TaskId {
    TaskId { framework: FrameworkId(1), number: 1 }
}

/// One that no slave could start.
fn programless() -> NewTask {
    NewTask { run: NewRun::Command(Arc::default()), ..task(TASK) }
}
