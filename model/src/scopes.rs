//! The named scopes, small to large, each covering something else.

use std::sync::Arc;

use neap_protocol::framework::{self, NewRun, NewTask};
use neap_protocol::ids::{FrameworkId, InverseOfferId};
use neap_protocol::message::{Command, InverseAsk, SlaveRef, Then};
use neap_protocol::resources::Resources;
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::{executor, master, slave};

use crate::scope::Scope;
use crate::world::{Budget, Event};

const TASK: Resources = Resources::new(1000, 1 << 30);
const DEADLINE: Millis = Millis::from_secs(40);

/// Every scope, small to large.
pub fn all() -> Vec<Scope> {
    let scopes = vec![
        Scope {
            name: "drain-now",
            about: "SIGUSR1 against a launch, with hostile processes and crashes of the slave",
            hostile: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Signal, 2),
                (Event::SlaveCrash, 1),
                (Event::Finish, 1),
            ]),
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
            about: "SIGUSR1 while the master crashes, and may not be there in time",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Signal, 1),
                (Event::MasterCrash, 1),
                (Event::Skew, 1),
            ]),
            ..small()
        },
        Scope {
            name: "deactivate",
            about: "deactivate and activate against an accept in flight",
            commands: vec![deactivate("ann"), activate()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Finish, 1), (Event::Decline, 1)]),
            ..small()
        },
        Scope {
            name: "deactivate-crash",
            about: "what a deactivation promised outlives the master, the slave's session and the slave",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer",
            about: "an inverse offer with every answer, kills, ends and the deadline",
            commands: vec![inverse(InverseAsk::Everything)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "inverse-offer-amount",
            about: "an inverse offer for one task's worth of two, cancelled or not",
            commands: vec![inverse(InverseAsk::Amount(TASK)), Command::CancelInverseOffer(InverseOfferId(1))],
            resources: Resources::new(2000, 2 << 30),
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
        Scope {
            name: "drain",
            about: "a drain with every answer, to its end and the slave's",
            commands: vec![drain(Then::Unregister)],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Kill, 1), (Event::Cut, 1)]),
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
            budget: Budget::of(&[(Event::Launch, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "silence",
            about: "a slave crashes or is cut off, is given up, and returns against its removal",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::SlaveCrash, 1),
                (Event::Cut, 1),
                (Event::Skew, 1),
            ]),
            ..small()
        },
        Scope {
            name: "teardown",
            about: "a framework tears itself down, crashes, or stays away",
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Teardown, 1),
                (Event::FrameworkCrash, 1),
                (Event::Cut, 1),
            ]),
            ..small()
        },
        Scope {
            name: "executor",
            about: "executors that cannot be launched, or die, while tasks are killed",
            hostile: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Kill, 1),
                (Event::ExecutorCrash, 1),
                (Event::NoLaunch, 1),
            ]),
            ..small()
        },
        Scope {
            name: "full-disk",
            about: "writes of master and slave fail",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::FullDisk, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "two-masters",
            about: "a standby is elected while the old leader still speaks",
            masters: 2,
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Election, 1)]),
            ..small()
        },
        Scope {
            name: "two-slaves",
            about: "a drain of one of two slaves, whose task moves to the other",
            slaves: 2,
            commands: vec![drain(Then::Stay)],
            budget: Budget::of(&[(Event::Launch, 2), (Event::Kill, 1)]),
            ..small()
        },
        Scope {
            name: "two-frameworks",
            about: "two frameworks on one slave, of which one is asked",
            frameworks: 2,
            resources: Resources::new(2000, 2 << 30),
            commands: vec![inverse(InverseAsk::Everything)],
            answers: false,
            budget: Budget::of(&[(Event::Launch, 2)]),
            ..small()
        },
    ];
    let sized =
        |scope: Scope| Scope { slave: slave::Config::new(scope.resources.clone(), Text::EMPTY), ..scope };
    scopes.into_iter().map(sized).collect()
}

/// The scope of this name.
pub fn named(name: &str) -> Option<Scope> {
    all().into_iter().find(|scope| scope.name == name)
}

/// One of each, and nothing goes wrong.
fn small() -> Scope {
    let name = |text: &str| Name::new(text).unwrap_or_else(|_| unreachable!("{text} is a name"));
    let program = task::Command { program: "x".to_owned(), ..task::Command::default() };
    let command = NewRun::Command(Arc::new(program));
    let framework = |at: &str| framework::Config {
        retry_min: Millis(100),
        retry_max: Millis(100),
        failover_timeout: Millis::from_secs(60),
        ..framework::Config::new(name(at))
    };
    Scope {
        name: "small",
        about: "",
        long: false,
        masters: 1,
        slaves: 1,
        frameworks: 1,
        resources: TASK,
        tasks: vec![NewTask {
            name: name("t"),
            resources: TASK,
            kill_grace: Millis::from_secs(5),
            run: command,
        }],
        commands: Vec::new(),
        budget: Budget::default(),
        hostile: false,
        frameworks_return: true,
        answers: true,
        master: master::Config { ping_timeouts_max: 1, removal_share: 1000, ..master::Config::default() },
        slave: slave::Config::new(TASK, Text::EMPTY),
        framework: vec![framework("f"), framework("g")],
        executor: executor::Config { recovery_timeout: Millis::from_secs(90) },
    }
}

fn slave_a() -> SlaveRef {
    SlaveRef::Name(Name::new("a").unwrap_or_else(|_| unreachable!("a letter is a name")))
}

fn deactivate(hold: &str) -> Command {
    let hold = Name::new(hold).unwrap_or_else(|_| unreachable!("{hold} is a name"));
    Command::Deactivate { slave: slave_a(), hold, reason: Text::EMPTY }
}

fn activate() -> Command {
    Command::Activate { slave: slave_a(), hold: None }
}

fn inverse(ask: InverseAsk) -> Command {
    let framework = FrameworkId(1);
    Command::InverseOffer { framework, slave: slave_a(), ask, deadline: DEADLINE, reason: Text::EMPTY }
}

fn drain(then: Then) -> Command {
    Command::Drain { slave: slave_a(), deadline: DEADLINE, reason: Text::EMPTY, then, if_plan: None }
}
