//! What each seed's world is like.

use std::sync::Arc;

use neap_protocol::framework::{self, NewRun, NewTask};
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::{executor, master, slave};

use crate::scope::Scope;
use crate::world::{Alike, Budget, Event};

use super::Options;
use super::commands::{self, units};
use super::random::{Random, Stream};

/// What the smallest task takes: thousandths of CPUs, bytes.
pub(super) const UNIT: (u64, u64) = (1000, 1 << 30);

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) masters: u8,
    pub(super) slaves: u8,
    pub(super) frameworks: u8,
}

/// The scope of a seed.
pub(super) fn scope(seed: u64, options: &Options) -> Scope {
    let random = &mut Random::new(seed, Stream::Scope);
    let size = Size {
        masters: up_to(random, options.masters),
        slaves: up_to(random, options.slaves),
        frameworks: up_to(random, options.frameworks),
    };
    let room = u64::from(random.between(1, 6));
    let tasks = (0..random.between(1, 3)).map(|_| new_task(random, room)).collect();
    let tasks = fenced(seed, tasks);
    let commands_max = usize::try_from(options.steps / 30).unwrap_or(usize::MAX).min(120);
    let commands_count = random.below(commands_max + 1);
    Scope {
        name: "a simulation",
        about: "drawn by chance",
        long: false,
        masters: size.masters,
        slaves: size.slaves,
        frameworks: size.frameworks,
        resources: units(room),
        tasks,
        commands: commands::draw(random, size, commands_count),
        budget: budget(random, size, options.steps),
        hostile: random.percent(40),
        masters_return: true,
        frameworks_return: random.percent(85),
        failover_again: failover_again(seed),
        slow_callbacks: true,
        answers: random.percent(75),
        alike: Alike::default(),
        master: limited(seed, master(random)),
        slave: slave(random, room),
        framework: (0..size.frameworks).map(|number| framework(random, number)).collect(),
        executor: executor::Config { recovery_timeout: Millis::from_secs(random.pick(&[10, 90, 600])) },
    }
}

/// Small worlds have as much to tell as large ones: half of the time there are few.
fn up_to(random: &mut Random, most: u8) -> u8 {
    let few = most.min(3);
    match random.percent(50) {
        true => random.between(1, few),
        false => random.between(1, most),
    }
}

fn new_task(random: &mut Random, room: u64) -> NewTask {
    let program = task::Command { program: "x".to_owned(), ..task::Command::default() };
    let large = u8::try_from(room).unwrap_or(u8::MAX);
    let resources = units(u64::from(match random.percent(70) {
        true => 1,
        false => random.between(1, large),
    }));
    NewTask {
        name: name("t"),
        resources,
        kill_grace: Millis::from_secs(random.pick(&[0, 5, 5, 60, 200])),
        fence_after: None,
        run: NewRun::Command(Arc::new(program)),
    }
}

/// R9: of a quarter of the worlds all tasks are fenced.
fn fenced(seed: u64, tasks: Vec<NewTask>) -> Vec<NewTask> {
    let is = Random::new(seed, Stream::Fences).percent(25);
    let fence_after = is.then_some(Millis::from_secs(2));
    tasks.into_iter().map(|task| NewTask { fence_after, ..task }).collect()
}

fn master(random: &mut Random) -> master::Config {
    let usual = master::Config::default();
    master::Config {
        ping_timeouts_max: random.between(1, 3),
        reregister_timeout: Millis::from_secs(random.pick(&[60, 600])),
        revoke_grace: Millis::from_secs(random.pick(&[0, 5, 60])),
        // Later than every deadline and grace within the drain, however the world orders them.
        drain_bound: Millis::from_secs(120),
        page_max: random.pick(&[2, usual.page_max]),
        requests_max: random.pick(&[1, usual.requests_max, usual.requests_max]),
        tasks_max: random.pick(&[3, usual.tasks_max, usual.tasks_max]),
        ..usual
    }
}

/// R7: half of the worlds give up whoever is silent; the others a share of their slaves within a window, or a few, or
/// none without an operator's word.
fn limited(seed: u64, master: master::Config) -> master::Config {
    let random = &mut Random::new(seed, Stream::Removals);
    let (removal_share, removals_min) = match random.percent(50) {
        true => (1000, 1),
        false => random.pick(&[(250, 1), (500, 2), (0, 1), (0, 0)]),
    };
    let removal_window = Millis::from_secs(random.pick(&[10, 100, 600]));
    master::Config { removal_share, removals_min, removal_window, ..master }
}

/// Of a framework that is started again nothing may be as it was, but for who it is.
fn failover_again(seed: u64) -> Option<Millis> {
    let random = &mut Random::new(seed, Stream::Settings);
    random.percent(40).then(|| Millis::from_secs(random.pick(&[60, 600])))
}

fn slave(random: &mut Random, room: u64) -> slave::Config {
    let usual = slave::Config::new(units(room), Text::EMPTY);
    slave::Config {
        tasks_max: random.pick(&[2, usual.tasks_max, usual.tasks_max]),
        drain_now_grace: random.pick(&[None, None, Some(Millis::from_secs(5)), Some(Millis::from_secs(60))]),
        ..usual
    }
}

fn framework(random: &mut Random, number: u8) -> framework::Config {
    let usual = framework::Config::new(name(&format!("f{number}")));
    framework::Config {
        weight: u32::from(random.between(1, 3)),
        retry_min: Millis(100),
        retry_max: Millis(100),
        failover_timeout: Millis::from_secs(random.pick(&[0, 60, 60, 60, 600, 600, 600, 600])),
        partition_aware: random.pick(&[false, true]),
        tasks_max: random.pick(&[2, usual.tasks_max, usual.tasks_max]),
        inverse_offers_max: random.pick(&[1, usual.inverse_offers_max, usual.inverse_offers_max]),
        ..usual
    }
}

/// Each event is left out of some worlds altogether: what it hides shows there.
fn budget(random: &mut Random, size: Size, steps: u32) -> Budget {
    let long = u8::try_from((steps / 20).max(1)).unwrap_or(u8::MAX);
    let slaves = size.slaves.saturating_mul(2);
    let limits = [
        (Event::Cut, 70, long / 4),
        (Event::MasterCrash, 60, 6),
        (Event::SlaveCrash, 60, slaves),
        (Event::Reboot, 30, size.slaves),
        (Event::FrameworkCrash, 50, 6),
        (Event::Election, 50, 5),
        (Event::FullDisk, 40, 8),
        (Event::Signal, 50, size.slaves),
        (Event::Return, 80, long),
        (Event::NewFramework, 80, long / 2),
        (Event::Launch, 97, long),
        (Event::Kill, 60, long / 2),
        (Event::Decline, 50, long / 4),
        (Event::Suppress, 30, 6),
        (Event::Revive, 80, 6),
        (Event::Teardown, 25, 2),
        (Event::Finish, 70, long),
        (Event::Obey, 70, long),
        (Event::ExecutorCrash, 50, long / 4),
        (Event::NoLaunch, 40, 6),
        (Event::Skew, 60, long / 4),
        (Event::Stall, 40, slaves),
    ];
    let drawn = limits.map(|(event, percent, most)| match random.percent(percent) {
        true => (event, random.between(1, most.max(1))),
        false => (event, 0),
    });
    Budget::of(&drawn)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|_| unreachable!("{text} is a name"))
}
