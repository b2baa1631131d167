//! `world`: bytes as choices over the world of the model: every property of the model holds at every step, and once
//! nothing more goes wrong or is wanted, whatever must come about does.
//!
//! The first byte names a scope: one that is also checked exhaustively, or one with two of each, whose operator gives
//! commands that the bytes choose.

use neap_model::properties::{self, Kind, Seen};
use neap_model::scope::Scope;
use neap_model::world::{Action, Budget, Event, World};
use neap_model::{scopes, story};
use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId};
use neap_protocol::message::{Command, InverseAsk, SlaveRef, Then};
use neap_protocol::resources::Resources;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use crate::choices::{Choices, bytes_of};

/// What a run can reach: what the model calls `sometimes`, for the most part.
pub(crate) const GOALS: &[&str] = &["calm", "everything"];

/// How many calm steps whatever must come about may take.
const CALM_MAX: usize = 5_000;

/// Runs the target.
pub(crate) fn run(choices: &mut Choices<'_>) {
    let mut all = scopes::all();
    let at = choices.below(256) as usize;
    let scope = match at < all.len() {
        true => all.swap_remove(at),
        false => everything(choices),
    };
    choices.tell(|| format!("{}: {}", scope.name, scope.about));
    let mut walk = Walk { world: World::begin(&scope), actions: Vec::new(), scope };
    while !choices.is_over() {
        let mut next = Vec::new();
        walk.world.actions(&walk.scope, &mut next);
        if next.is_empty() {
            break;
        }
        let action = choices.one(&next);
        walk.take(choices, action);
    }
    if walk.scope.name == EVERYTHING {
        choices.reach("everything");
    }
    walk.calm_down(choices);
}

struct Walk {
    scope: Scope,
    world: World,
    /// What led here.
    actions: Vec<Action>,
}

impl Walk {
    fn take(&mut self, choices: &mut Choices<'_>, action: Action) {
        choices.tell(|| format!("{action:?}"));
        self.actions.push(action);
        let (after, happenings) = self.world.step_told(&self.scope, action);
        happenings.iter().for_each(|happening| choices.tell(|| format!("    {happening:?}")));
        let seen =
            Seen { scope: &self.scope, before: &self.world, after: &after, action, happenings: &happenings };
        for at in properties::reached(&seen).iter() {
            choices.reach(properties::ALL[at].name);
        }
        if let Some(property) = after.broken.iter().next() {
            choices.broken(story::story(&self.scope, &self.actions, property));
        }
        self.world = after;
    }

    /// From here on nothing goes wrong and nobody wants anything: every `eventually` property is seen to hold.
    fn calm_down(&mut self, choices: &mut Choices<'_>) {
        choices.tell(|| "from here on it is calm".to_owned());
        self.world = self.world.calm();
        let chance = bytes_of(self.actions.len() as u64, CALM_MAX);
        let mut open: Vec<usize> = (0..properties::ALL.len()).collect();
        for byte in chance {
            open.retain(|at| match properties::ALL[*at].kind {
                Kind::Eventually(all) => !properties::is_good(all, &self.scope, &self.world),
                Kind::Step(_) | Kind::State(_) | Kind::Sometimes(_) => false,
            });
            let mut next = Vec::new();
            self.world.actions(&self.scope, &mut next);
            next.retain(Action::is_calm);
            if open.is_empty() || next.is_empty() {
                break;
            }
            let action = next[usize::from(byte) % next.len()];
            self.take(choices, action);
        }
        if let Some(property) = open.first() {
            let name = properties::ALL[*property].name;
            let picture = story::picture::picture(&self.scope, &self.world);
            choices.broken(format!("{name} does not come about in {}:\n{picture}", self.scope.name));
        }
        choices.reach("calm");
    }
}

const EVERYTHING: &str = "everything";

/// Two of each, everything goes wrong, and the operator does as the bytes say.
fn everything(choices: &mut Choices<'_>) -> Scope {
    let mut all = scopes::all();
    let base = all.swap_remove(0);
    let mut events = Event::ALL.map(|event| (event, 2));
    for (event, often) in &mut events {
        if matches!(event, Event::Launch | Event::Finish | Event::Cut | Event::Kill) {
            *often = 5;
        }
    }
    let commands = (0..choices.below(6)).map(|_| command(choices)).collect();
    let task = &base.tasks[0].resources;
    let resources = Resources::new(2 * task.cpus, 2 * task.mem);
    Scope {
        name: EVERYTHING,
        about: "two of each, and everything goes wrong",
        masters: 2,
        slaves: 2,
        frameworks: 2,
        commands,
        budget: Budget::of(&events),
        hostile: choices.one_in(2),
        frameworks_return: true,
        slow_callbacks: true,
        answers: true,
        slave: neap_protocol::slave::Config::new(resources.clone(), Text::EMPTY),
        resources,
        ..base
    }
}

fn command(choices: &mut Choices<'_>) -> Command {
    let slave = SlaveRef::Name(name(choices.one(&["a", "b"])));
    let (deadline, reason) = (Millis::from_secs(40), Text::EMPTY);
    let drain = DrainId(1 + choices.below(2));
    match choices.below(12) {
        0 => Command::Deactivate { slave, hold: name(choices.one(&["ann", "bob"])), reason },
        1 => Command::Activate { slave, hold: None, reason },
        2 | 3 => {
            let ask = match choices.below(2) {
                0 => InverseAsk::Everything,
                _ => InverseAsk::Amount(Resources::new(1000, 1 << 30)),
            };
            let framework = FrameworkId(1 + choices.below(2));
            Command::InverseOffer { framework, slave, ask, deadline, reason }
        }
        4 => Command::CancelInverseOffer(InverseOfferId(1 + choices.below(3))),
        5..8 => {
            let then = choices.one(&[None, Some(Then::Stay), Some(Then::Unregister)]);
            let change = choices.below(2) == 0;
            Command::Drain { slave, deadline, reason: None, then, if_plan: None, change }
        }
        8 => Command::CancelDrain(drain),
        9 => Command::ExtendDrain(drain, Millis::from_secs(80)),
        10 => Command::DrainNow { slave, reason: None },
        _ => match choices.below(3) {
            0 => Command::ResumeRemovals { reason },
            1 => Command::Teardown { framework: FrameworkId(1 + choices.below(2)), reason },
            _ => Command::ForgetSlave { slave, reason },
        },
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}
