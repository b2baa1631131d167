//! The same failure in fewer steps, of fewer nodes: delta debugging (Zeller and Hildebrandt, 2002) over the actions,
//! each shorter list done again from the beginning.
//!
//! What was left out changes what later actions find: ids are counted anew, messages have not been said. So an action
//! that is not possible any more stands for the first one like it that is, and is passed over if there is none.

use std::mem::{Discriminant, discriminant};

use neap_protocol::{executor, framework, master, slave};

use crate::scope::Scope;
use crate::world::{Action, Dialer, End, World};

use super::fewer;
use super::{Failure, Walk, Wrong};

/// A failure made short.
#[derive(Debug)]
pub struct Short {
    /// In which world: of no more nodes than it needs.
    pub scope: Scope,
    /// What is done.
    pub actions: Vec<Action>,
    /// How many of the actions are what was left of the failure's; the rest is what calmly follows.
    pub needed: usize,
}

/// Makes a failure short, in about so many steps at most.
pub fn shrink(seed: u64, failure: Failure, effort: u64) -> Short {
    let Failure { wrong, scope, actions } = failure;
    let mut shrinker = Shrinker { seed, wrong, scope, actions, effort };
    shrinker.cut_at_failure();
    shrinker.nodes();
    shrinker.commands();
    shrinker.steps();
    shrinker.nodes();
    shrinker.commands();
    shrinker.settings();
    shrinker.steps();
    let Shrinker { wrong, scope, actions, .. } = shrinker;
    let needed = actions.len();
    let (scope, actions) = match wrong {
        Wrong::Stuck(_) => calmly(seed, scope, &actions),
        Wrong::Broken(_) | Wrong::Panics(_) | Wrong::Reaches(_) => (scope, actions),
    };
    Short { scope, actions, needed }
}

struct Shrinker {
    seed: u64,
    wrong: Wrong,
    scope: Scope,
    actions: Vec<Action>,
    effort: u64,
}

impl Shrinker {
    /// Whether these actions lead to the same failure; if so they are taken, as they were done.
    fn fails(&mut self, scope: &Scope, actions: &[Action]) -> bool {
        if self.effort == 0 {
            return false;
        }
        let (done, steps) = again(self.seed, scope, actions, &self.wrong);
        self.effort = self.effort.saturating_sub(steps);
        let Some(done) = done else { return false };
        self.actions = done;
        if !std::ptr::eq(scope, &self.scope) {
            self.scope = scope.clone();
        }
        true
    }

    /// A calm phase is had again from any state: none of its actions is needed.
    fn cut_at_failure(&mut self) {
        let (scope, actions) = (self.scope.clone(), self.actions.clone());
        self.fails(&scope, &actions);
    }

    fn steps(&mut self) {
        let scope = self.scope.clone();
        let mut chunk = self.actions.len() / 2;
        while chunk > 0 {
            let mut at = 0;
            let mut shorter = false;
            while at < self.actions.len() {
                let mut fewer = self.actions.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                match self.fails(&scope, &fewer) {
                    true => shorter = true,
                    false => at += chunk,
                }
            }
            // Singly until nothing can be left out; larger chunks once each.
            if chunk > 1 || !shorter {
                chunk /= 2;
            }
        }
    }

    fn nodes(&mut self) {
        for leave_out in [fewer::without_slave, fewer::without_framework, fewer::without_master] {
            for number in (0..u8::MAX).rev() {
                let without = leave_out(&self.scope, &self.actions, number);
                if let Some((scope, actions)) = without {
                    self.fails(&scope, &actions);
                }
            }
        }
    }

    /// Commands that nobody gives, or that do not matter: they are given in their order, so that one can only be left
    /// out together with its giving.
    fn commands(&mut self) {
        let gives = |action: &Action| matches!(action, Action::Command(_));
        let given = self.actions.iter().filter(|action| gives(action)).count();
        let mut scope = self.scope.clone();
        scope.commands.truncate(given);
        let actions = self.actions.clone();
        self.fails(&scope, &actions);
        for which in (0..given).rev() {
            let (mut scope, mut actions) = (self.scope.clone(), self.actions.clone());
            let place = actions.iter().enumerate().filter(|(_, action)| gives(action)).nth(which);
            let Some((at, _)) = place else { continue };
            actions.remove(at);
            if which < scope.commands.len() {
                scope.commands.remove(which);
            }
            self.fails(&scope, &actions);
        }
    }

    fn settings(&mut self) {
        let changes: [fn(&mut Scope); 3] = [
            |scope| scope.hostile = false,
            |scope| scope.master = master::Config { removal_share: 1000, ..master::Config::default() },
            |scope| {
                scope.slave = slave::Config::new(scope.resources.clone(), neap_protocol::text::Text::EMPTY);
            },
        ];
        for change in changes {
            let mut scope = self.scope.clone();
            change(&mut scope);
            let actions = self.actions.clone();
            self.fails(&scope, &actions);
        }
    }
}

/// Does actions again, as far as they are possible, and what was done, if it led to the same failure; and in how many
/// steps.
fn again(seed: u64, scope: &Scope, actions: &[Action], wrong: &Wrong) -> (Option<Vec<Action>>, u64) {
    let wanted = match wrong {
        Wrong::Reaches(property) => Some(*property),
        Wrong::Broken(_) | Wrong::Stuck(_) | Wrong::Panics(_) => None,
    };
    let mut walk = Walk::new(scope.clone(), wanted);
    let mut possible = Vec::new();
    let mut failure = Ok(());
    for action in actions {
        possible.clear();
        walk.world.actions(scope, &mut possible);
        let Some(action) = stand_in(action, &possible) else { continue };
        failure = walk.step(action);
        if failure.is_err() {
            break;
        }
    }
    let needed = walk.way.len();
    if let (Ok(()), Wrong::Stuck(_)) = (&failure, wrong) {
        failure = walk.calm(seed);
        let steps = walk.way.len();
        walk.way.truncate(needed);
        return ((failure.as_ref() == Err(wrong)).then_some(walk.way), steps as u64);
    }
    ((failure.as_ref() == Err(wrong)).then_some(walk.way), needed as u64)
}

/// The actions, and what calmly follows until nothing new does.
fn calmly(seed: u64, scope: Scope, actions: &[Action]) -> (Scope, Vec<Action>) {
    const SHOWN_MAX: usize = 400;
    let mut walk = Walk::new(scope, None);
    for action in actions {
        let _ = walk.step(*action);
    }
    let _ = walk.calm(seed);
    let Walk { mut scope, world, way, .. } = walk;
    scope.commands.truncate(usize::from(world.commands));
    // Where a state comes again it will go on coming.
    let mut seen = std::collections::HashSet::new();
    let mut world = World::begin(&scope);
    let mut shown = actions.len();
    for (at, action) in way.iter().enumerate() {
        world = world.step(&scope, *action);
        if at >= actions.len() && seen.insert(crate::shared::hash_of(&world)) {
            shown = at + 1;
        }
    }
    let shown = shown.min(actions.len() + SHOWN_MAX);
    (scope, way.into_iter().take(shown).collect())
}

/// What is done for an action that may not be possible any more.
fn stand_in(action: &Action, possible: &[Action]) -> Option<Action> {
    if possible.contains(action) {
        return Some(*action);
    }
    let shape = Shape::of(action);
    possible.iter().find(|other| Shape::of(other) == shape).copied()
}

/// What makes actions alike: the same thing at the same node, whatever the ids.
#[derive(PartialEq, Eq)]
struct Shape {
    action: Discriminant<Action>,
    timer: Option<Timer>,
    who: (Who, u8),
    end: Option<End>,
    which: u8,
}

#[derive(PartialEq, Eq)]
enum Who {
    Master,
    Slave,
    Framework,
    Executor,
}

#[derive(PartialEq, Eq)]
enum Timer {
    Master(Discriminant<master::Timer>),
    Slave(Discriminant<slave::Timer>),
    Framework(Discriminant<framework::Timer>),
    Executor(Discriminant<executor::Timer>),
}

impl Shape {
    fn of(action: &Action) -> Self {
        let (mut timer, mut end, mut which) = (None, None, 0);
        let dials = |dialer: &Dialer| match dialer {
            Dialer::Slave(slave) => (Who::Slave, *slave),
            Dialer::Framework(framework) => (Who::Framework, *framework),
            Dialer::Executor(slave, _) => (Who::Executor, *slave),
        };
        let who = match action {
            Action::Deliver((dialer, _), at) | Action::Learn((dialer, _), at) => {
                end = Some(*at);
                dials(dialer)
            }
            Action::Cut((dialer, _)) | Action::NoConnection(dialer) => dials(dialer),
            Action::Connect(dialer, master) => {
                which = *master;
                dials(dialer)
            }
            Action::MasterTimer(number, its, _) => {
                timer = Some(Timer::Master(discriminant(its)));
                (Who::Master, *number)
            }
            Action::SlaveTimer(number, its, _) => {
                timer = Some(Timer::Slave(discriminant(its)));
                (Who::Slave, *number)
            }
            Action::FrameworkTimer(number, its, _) => {
                timer = Some(Timer::Framework(discriminant(its)));
                (Who::Framework, *number)
            }
            Action::ExecutorTimer(slave, _, its, _) => {
                timer = Some(Timer::Executor(discriminant(its)));
                (Who::Executor, *slave)
            }
            Action::MasterStored(number)
            | Action::MasterNotStored(number)
            | Action::CrashMaster(number, _)
            | Action::StartMaster(number)
            | Action::Elect(number)
            | Action::Usurp(number)
            | Action::Depose(number)
            | Action::Command(number) => (Who::Master, *number),
            Action::SlaveStored(number)
            | Action::SlaveNotStored(number)
            | Action::CrashSlave(number, _)
            | Action::StartSlave(number)
            | Action::Reboot(number)
            | Action::Return(number)
            | Action::Stall(number)
            | Action::GoOn(number)
            | Action::Signal(number) => (Who::Slave, *number),
            Action::Launch(number, _, task) => {
                which = *task;
                (Who::Framework, *number)
            }
            Action::FrameworkKept(number)
            | Action::CrashFramework(number, _)
            | Action::StartFramework(number)
            | Action::NewFramework(number)
            | Action::Suppress(number)
            | Action::Revive(number)
            | Action::Decline(number, _)
            | Action::Kill(number, _)
            | Action::AcceptInverse(number, _)
            | Action::DeclineInverse(number, _)
            | Action::Teardown(number) => (Who::Framework, *number),
            Action::Finish(slave, _, _, well) => {
                which = u8::from(*well);
                (Who::Executor, *slave)
            }
            Action::StartTree(slave, _)
            | Action::NoLaunch(slave, _)
            | Action::Die(slave, ..)
            | Action::Obey(slave, ..)
            | Action::CrashExecutor(slave, _)
            | Action::TreeDies(slave, _)
            | Action::See(slave, _) => (Who::Executor, *slave),
        };
        Self { action: discriminant(action), timer, who, end, which }
    }
}
