//! Worlds by chance: larger and longer than can be searched, each the same for ever for its seed.
//!
//! A seed draws a world (`draw`: how many of what, settings, tasks, an operator's commands, how often what may go
//! wrong), how likely everything is in it (`swarm`), and then its steps. After those nothing goes wrong any more
//! and nobody wants anything new, and within a bound of steps everything that must come about in the end has to have
//! done so. (Where not every silent slave may be given up, an operator has removals go on now and then: R7.) A failure
//! is made short ([`shrink`]) and told as a story.
//!
//! | module | what |
//! |---|---|
//! | `draw`, `commands` | what a seed's world is like |
//! | `swarm` | how likely everything is in it |
//! | `campaign` | many seeds on all cores, and what they reached |
//! | `shrink`, `fewer` | the same failure in fewer steps, of fewer nodes |
//! | `random` | numbers by chance |

mod campaign;
mod commands;
mod draw;
mod fewer;
mod random;
mod shrink;
mod swarm;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use neap_protocol::master::Master;
use neap_protocol::message::Command;
use neap_protocol::text::Text;

use crate::properties::{self, Kind, Mask, Seen};
use crate::scope::Scope;
use crate::world::{Action, World};

pub(crate) use random::{Random, Stream};
use swarm::Swarm;

pub use campaign::{Campaign, Outcome, Until};
pub use shrink::{Short, shrink};

/// How large worlds may be, and how long their stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Steps before the calm phase.
    pub steps: u32,
    /// Slaves at most.
    pub slaves: u8,
    /// Frameworks at most.
    pub frameworks: u8,
    /// Masters at most.
    pub masters: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 2000, slaves: 20, frameworks: 4, masters: 3 }
    }
}

/// What became of a seed.
#[derive(Debug)]
pub struct Run {
    /// The steps that were made, the calm ones included.
    pub steps: u32,
    /// Those of the calm phase.
    pub calm_steps: u32,
    /// The `sometimes` properties that were reached, by their place in the table.
    pub reached: Mask,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
}

/// A failure, and the steps that led to it.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub wrong: Wrong,
    /// In which world: the seed's, with the commands that were given when it was calm.
    pub scope: Scope,
    /// Everything that was done.
    pub actions: Vec<Action>,
}

/// What is wrong with a run; properties by their place in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The last step breaks this property.
    Broken(usize),
    /// What this one demands has not come about after so many calm steps.
    Stuck(usize),
    /// The last step panics with this.
    Panics(String),
    /// Nothing: the last step reaches this `sometimes` property, and someone wants to see how.
    Reaches(usize),
}

impl Wrong {
    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Broken(at) | Self::Stuck(at) | Self::Reaches(at) => properties::ALL[*at].name.to_owned(),
            Self::Panics(message) => format!("a panic: {message}"),
        }
    }
}

/// The world of a seed, in which nothing has happened yet.
pub fn scope(seed: u64, options: &Options) -> Scope {
    draw::scope(seed, options)
}

/// Runs a seed; to the first step that reaches `wanted`, if something is.
pub fn run(seed: u64, options: &Options, wanted: Option<usize>) -> Run {
    let scope = draw::scope(seed, options);
    let swarm = Swarm::draw(seed, &scope, options.steps);
    let mut random = Random::new(seed, Stream::Steps);
    let mut walk = Walk::new(scope, wanted);
    let mut actions = Vec::new();
    for step in 0..options.steps {
        actions.clear();
        walk.world.actions(&walk.scope, &mut actions);
        let Some(action) = swarm.choose(&mut random, step, &actions) else { break };
        if let Err(failure) = walk.step(action) {
            return walk.over(Some(failure));
        }
    }
    let failure = walk.calm(seed).err();
    walk.over(failure)
}

/// A world and the way to it.
struct Walk {
    scope: Scope,
    world: World,
    way: Vec<Action>,
    calm_steps: u32,
    reached: Mask,
    wanted: Option<usize>,
}

impl Walk {
    fn new(scope: Scope, wanted: Option<usize>) -> Self {
        let world = World::begin(&scope);
        Self { scope, world, way: Vec::new(), calm_steps: 0, reached: Mask::NONE, wanted }
    }

    /// Makes a step.
    fn step(&mut self, action: Action) -> Result<(), Wrong> {
        self.way.push(action);
        let stepped = catch_unwind(AssertUnwindSafe(|| self.world.step_told(&self.scope, action)));
        let (after, happenings) = stepped.map_err(|panic| Wrong::Panics(message(&*panic)))?;
        let seen =
            Seen { scope: &self.scope, before: &self.world, after: &after, action, happenings: &happenings };
        properties::reach(&seen, &mut self.reached);
        self.world = after;
        if let Some(first) = self.world.broken.iter().next() {
            return Err(Wrong::Broken(first));
        }
        match self.wanted.filter(|wanted| self.reached.contains(*wanted)) {
            Some(wanted) => Err(Wrong::Reaches(wanted)),
            None => Ok(()),
        }
    }

    /// Nothing goes wrong any more, and nobody wants anything new: what must come about does, within a bound.
    fn calm(&mut self, seed: u64) -> Result<(), Wrong> {
        let swarm = Swarm::even();
        let mut random = Random::new(seed, Stream::Calm);
        let mut actions = Vec::new();
        let calm_max = calm_max(&self.scope);
        let resumes = self.attend(calm_max);
        for step in 0..calm_max {
            if step.is_multiple_of(LOOK_EVERY) && missing(&self.scope, &self.world).is_none() {
                return Ok(());
            }
            actions.clear();
            self.world.actions(&self.scope, &mut actions);
            let next = swarm.by_itself(&mut random, &actions);
            // Where nothing happens by itself any more, it is time, too.
            let due = resumes.filter(|every| step % every == every - 1 || next.is_none());
            let Some(action) = due.and_then(|_| self.resume(&actions)).or(next) else { break };
            self.calm_steps += 1;
            self.step(action)?;
        }
        missing(&self.scope, &self.world).map_or(Ok(()), |property| Err(Wrong::Stuck(property)))
    }

    /// Where not every silent slave may be given up, it takes an operator's word (R7). What was not commanded yet is
    /// not any more; instead removals go on every so many steps.
    fn attend(&mut self, calm_max: u32) -> Option<u32> {
        if self.scope.master.removal_share >= 1000 {
            return None;
        }
        self.scope.commands.truncate(usize::from(self.world.commands));
        self.scope.commands.extend((0..RESUMES_MAX).map(|_| Command::ResumeRemovals { reason: Text::EMPTY }));
        Some(calm_max / RESUMES_MAX)
    }

    /// The next command, given to who leads.
    fn resume(&self, actions: &[Action]) -> Option<Action> {
        let leads = |number: u8| {
            let node = &self.world.masters[usize::from(number)];
            node.epoch == self.world.store.fence && node.machine.as_ref().is_some_and(Master::leads)
        };
        let to_leader = |action: &&Action| matches!(action, Action::Command(number) if leads(*number));
        actions.iter().find(to_leader).copied()
    }

    fn over(self, wrong: Option<Wrong>) -> Run {
        let steps = u32::try_from(self.way.len()).unwrap_or(u32::MAX);
        let Self { scope, way, calm_steps, reached, .. } = self;
        let failure = wrong.map(|wrong| Failure { wrong, scope, actions: way });
        Run { steps, calm_steps, reached, failure }
    }
}

/// The first property that must come about in the end and does not hold yet.
fn missing(scope: &Scope, world: &World) -> Option<usize> {
    properties::ALL.iter().position(|property| match property.kind {
        Kind::Eventually(all) => !properties::is_good(all, scope, world),
        Kind::Step(_) | Kind::State(_) | Kind::Sometimes(_) => false,
    })
}

/// How many calm steps there are between two looks at what has come about.
const LOOK_EVERY: u32 = 16;

/// The bound within which everything comes about, in steps: far beyond what any world has needed so far.
fn calm_max(scope: &Scope) -> u32 {
    let nodes = u32::from(scope.masters) + u32::from(scope.slaves) + u32::from(scope.frameworks);
    CALM_STEPS_A_NODE * nodes
}

const CALM_STEPS_A_NODE: u32 = 2000;

/// How often an operator has removals go on in a calm phase; with a seed's own commands, fewer than 256.
const RESUMES_MAX: u32 = 100;

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
