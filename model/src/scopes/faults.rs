//! Silence, crashes, full disks, frameworks that stay away, refusals.

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::master;
use neap_protocol::message::{Command, InverseAsk, SlaveRef, Then};
use neap_protocol::resources::Resources;
use neap_protocol::slave::{self, Recover};
use neap_protocol::text::Text;

use super::{activate, deactivate, drain, drain_now, forget, inverse, kill, name, small};
use crate::scope::Scope;
use crate::world::{Budget, Event};

pub(super) fn all() -> Vec<Scope> {
    vec![
        Scope {
            name: "silence",
            about: "a slave crashes, is given up, and returns against its removal",
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1), (Event::Skew, 1)]),
            ..small()
        },
        Scope {
            name: "silence-cut",
            about: "a slave is cut off, is given up, and returns against its removal",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1), (Event::Skew, 1)]),
            ..small()
        },
        Scope {
            name: "stalled",
            about: "a slave is stopped and keeps its session, is known to be silent, and goes on",
            master: master::Config { ping_timeouts_max: 2, ..small().master },
            budget: Budget::of(&[(Event::Launch, 1), (Event::Stall, 1)]),
            ..small()
        },
        Scope {
            name: "forget",
            about: "an operator says that a slave is dead, which is cut off, crashes, or lives",
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "forget-stalled",
            about: "an operator says that a slave is dead, which is stopped and goes on",
            master: master::Config { ping_timeouts_max: 2, ..small().master },
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Stall, 1)]),
            ..small()
        },
        Scope {
            name: "forget-draining",
            about: "a slave that drains is cut off, and an operator says that it is dead",
            long: true,
            commands: vec![drain(Then::Stay), forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "forget-new-leader",
            about: "a slave is cut off, the leader crashes, and an operator says that the slave is dead",
            long: true,
            commands: vec![forget()],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1), (Event::MasterCrash, 1)]),
            ..small()
        },
        Scope {
            name: "torn-down",
            about: "an operator tears a framework down while sessions die",
            commands: vec![Command::Teardown { framework: FrameworkId(1), reason: Text::EMPTY }],
            budget: Budget::of(&[(Event::Launch, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "breaker",
            about: "two of two slaves are silent, which is more than may be given up",
            slaves: 2,
            frameworks: 0,
            master: master::Config { removal_share: 250, ..small().master },
            commands: vec![Command::ResumeRemovals { reason: Text::EMPTY }],
            budget: Budget::of(&[(Event::SlaveCrash, 2)]),
            ..small()
        },
        Scope {
            name: "teardown",
            about: "a framework tears itself down while sessions die",
            budget: Budget::of(&[(Event::Launch, 1), (Event::Teardown, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "failover",
            about: "a framework crashes, and is back or stays away",
            budget: Budget::of(&[(Event::Launch, 1), (Event::FrameworkCrash, 1), (Event::Finish, 1)]),
            ..small()
        },
        Scope {
            name: "full-disk",
            about: "writes of master and slave fail",
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::FullDisk, 1)]),
            ..small()
        },
        Scope {
            name: "full-disk-crash",
            about: "writes of master and slave fail, and the slave crashes",
            long: true,
            commands: vec![deactivate("ann")],
            budget: Budget::of(&[(Event::Launch, 1), (Event::FullDisk, 1), (Event::SlaveCrash, 1)]),
            ..small()
        },
        Scope {
            name: "full-disk-leave",
            about: "writes of master and slave fail while the slave leaves",
            budget: Budget::of(&[(Event::Launch, 1), (Event::FullDisk, 1), (Event::Signal, 1)]),
            ..small()
        },
        Scope {
            name: "refusals",
            about: "operators ask for what cannot be",
            commands: in_vain(),
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1)]),
            ..small()
        },
        Scope {
            name: "refusals-of-drains",
            about: "operators undo what a drain needs, or what is no more",
            commands: against_a_drain(),
            answers: false,
            budget: Budget::of(&[(Event::Launch, 1)]),
            ..small()
        },
        Scope {
            name: "refusals-removed",
            about: "operators ask for what is gone",
            commands: of_what_is_gone(),
            budget: Budget::of(&[(Event::Signal, 1), (Event::Cut, 1)]),
            ..small()
        },
        Scope {
            name: "overload",
            about: "operators ask faster than is written",
            master: master::Config { requests_max: 1, ..small().master },
            commands: vec![deactivate("ann"), deactivate("bob"), activate(None)],
            budget: Budget::of(&[]),
            ..small()
        },
        Scope {
            name: "silence-everything",
            about: "a slave crashes, and ends what it finds, or is cut off, is given up, and returns",
            long: true,
            slave: slave::Config { recover: Recover::Cleanup, ..small().slave },
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::SlaveCrash, 1),
                (Event::Cut, 1),
                (Event::Skew, 1),
            ]),
            ..small()
        },
        Scope {
            name: "silence-new-leader",
            about: "a slave is cut off, is given up, and returns, and the leader crashes",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Cut, 1),
                (Event::MasterCrash, 1),
                (Event::Skew, 1),
            ]),
            ..small()
        },
        Scope {
            name: "teardown-everything",
            about: "a framework tears itself down, crashes, or stays away, as sessions die",
            long: true,
            budget: Budget::of(&[
                (Event::Launch, 1),
                (Event::Teardown, 1),
                (Event::FrameworkCrash, 1),
                (Event::Cut, 1),
            ]),
            ..small()
        },
    ]
}

/// Refused, each, at some moment or at any.
fn in_vain() -> Vec<Command> {
    let other = SlaveRef::Name(name("z"));
    let amount = inverse(InverseAsk::Amount(Resources::NONE));
    let Command::InverseOffer { slave, ask, deadline, reason, .. } = inverse(InverseAsk::Everything) else {
        unreachable!("it is an inverse offer");
    };
    let stranger = Command::InverseOffer { framework: FrameworkId(9), slave, ask, deadline, reason };
    vec![
        Command::DrainNow { slave: other, reason: None },
        deactivate("drain-x"),
        stranger,
        amount,
        inverse(InverseAsk::Everything),
        inverse(InverseAsk::Everything),
        Command::CancelInverseOffer(InverseOfferId(9)),
        kill(TaskId { framework: FrameworkId(1), number: 9 }),
    ]
}

fn against_a_drain() -> Vec<Command> {
    vec![
        drain(Then::Stay),
        activate(Some("drain-D1")),
        Command::CancelInverseOffer(InverseOfferId(1)),
        Command::CancelDrain(DrainId(9)),
        Command::CancelDrain(DrainId(1)),
    ]
}

/// Of a slave that leaves, or is away.
fn of_what_is_gone() -> Vec<Command> {
    vec![
        drain_now(),
        Command::Deactivate { slave: SlaveRef::Id(SlaveId(1)), hold: name("ann"), reason: Text::EMPTY },
    ]
}
