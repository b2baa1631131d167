//! The named scopes, each covering something else, small to large within a file.
//!
//! | file | what is explored |
//! |---|---|
//! | `leaving` | drain now, and unregistration against everything |
//! | `holds` | offers, holds, kills, executors |
//! | `drains` | inverse offers and drains |
//! | `faults` | silence, crashes, full disks, frameworks that stay away, refusals |
//! | `fences` | tasks that do not outlive their leases |
//! | `recovery` | slaves that are started anew where their executors live |
//! | `partitions` | frameworks that wait for what is out of reach |
//! | `crashes` | crashes at kinds of writes, in as little else as there can be |
//! | `several` | more than one master, slave or framework |
//!
//! A scope is a bounded world (see [`Scope`]): the numbers of machines, the operator's commands in their order, and a
//! budget of events. Those that are not `long` are checked on every change.

mod crashes;
mod drains;
mod faults;
mod fences;
mod holds;
mod leaving;
mod partitions;
mod recovery;
mod several;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use neap_protocol::framework::{self, NewRun, NewTask};
use neap_protocol::ids::FrameworkId;
use neap_protocol::message::{Command, InverseAsk, SlaveRef, Then};
use neap_protocol::resources::Resources;
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::{executor, master, slave};

use crate::scope::Scope;
use crate::world::{Alike, Budget};

/// What a task holds.
const TASK: Resources = Resources::new(1000, 1 << 30);
/// Room for two of them.
const TWO: Resources = Resources::new(2000, 2 << 30);
const DEADLINE: Millis = Millis::from_secs(40);

/// Every scope.
pub fn all() -> Vec<Scope> {
    let scopes = [
        leaving::all(),
        holds::all(),
        drains::all(),
        faults::all(),
        partitions::all(),
        fences::all(),
        recovery::all(),
        crashes::all(),
        several::all(),
    ];
    let sized = |scope: Scope| Scope {
        slave: slave::Config { resources: scope.resources.clone(), ..scope.slave.clone() },
        alike: Alike::of(&scope),
        ..scope
    };
    scopes.into_iter().flatten().map(sized).collect()
}

/// The scope of this name.
pub fn named(name: &str) -> Option<Scope> {
    all().into_iter().find(|scope| scope.name == name)
}

/// One of each, and nothing goes wrong.
fn small() -> Scope {
    let framework = |at: &str| framework::Config {
        retry_min: Millis(100),
        retry_max: Millis(100),
        failover_timeout: Millis::from_secs(60),
        partition_aware: false,
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
        tasks: vec![task(TASK)],
        commands: Vec::new(),
        budget: Budget::default(),
        hostile: false,
        masters_return: true,
        frameworks_return: true,
        failover_again: None,
        slow_callbacks: false,
        answers: true,
        alike: Alike::default(),
        master: master::Config { ping_timeouts_max: 1, removal_share: 1000, ..master::Config::default() },
        slave: slave::Config::new(TASK, Text::EMPTY),
        framework: vec![framework("f"), framework("g")],
        executor: executor::Config { recovery_timeout: Millis::from_secs(90) },
    }
}

fn task(resources: Resources) -> NewTask {
    let program = task::Command { program: "x".to_owned(), ..task::Command::default() };
    let run = NewRun::Command(Arc::new(program));
    NewTask { name: name("t"), resources, kill_grace: Millis::from_secs(5), fence_after: None, run }
}

/// One for the executor that the framework's first task brings. The built-in executor plays that part too: it does
/// what any correct one does.
fn shared_task() -> NewTask {
    let NewTask { run: NewRun::Command(command), .. } = task(TASK) else { unreachable!("it is a command") };
    NewTask { run: NewRun::Executor { number: Some(1), command, data: Arc::default() }, ..task(TASK) }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|_| unreachable!("{text} is a name"))
}

fn slave_a() -> SlaveRef {
    SlaveRef::Name(name("a"))
}

fn deactivate(hold: &str) -> Command {
    Command::Deactivate { slave: slave_a(), hold: name(hold), reason: Text::EMPTY }
}

fn activate(hold: Option<&str>) -> Command {
    Command::Activate { slave: slave_a(), hold: hold.map(name), reason: Text::EMPTY }
}

fn kill(task: neap_protocol::ids::TaskId) -> Command {
    Command::Kill { task, reason: Text::EMPTY }
}

fn inverse(ask: InverseAsk) -> Command {
    let framework = FrameworkId(1);
    Command::InverseOffer { framework, slave: slave_a(), ask, deadline: DEADLINE, reason: Text::EMPTY }
}

fn forget() -> Command {
    Command::ForgetSlave { slave: slave_a(), reason: Text::EMPTY }
}

fn drain(then: Then) -> Command {
    let (slave, deadline, then) = (slave_a(), DEADLINE, Some(then));
    Command::Drain { slave, deadline, reason: None, then, if_plan: None, change: false }
}

/// The same, where one that is under way is to become it.
fn drain_changed(then: Then) -> Command {
    let (slave, deadline, then) = (slave_a(), DEADLINE, Some(then));
    Command::Drain { slave, deadline, reason: None, then, if_plan: None, change: true }
}

fn drain_as_planned(then: Then) -> Command {
    // The world puts the digest of the plan that was shown in its place.
    let (slave, deadline, then) = (slave_a(), DEADLINE, Some(then));
    Command::Drain { slave, deadline, reason: None, then, if_plan: Some(0), change: false }
}

fn drain_now() -> Command {
    Command::DrainNow { slave: slave_a(), reason: None }
}

fn plan(then: Then) -> Command {
    Command::PlanDrain { slave: slave_a(), deadline: DEADLINE, then: Some(then) }
}
