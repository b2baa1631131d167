//! What must hold of journals laid beside each other, each in a file of its own, and the one table of them.
//!
//! They are the invariants of the design, as far as what nodes recorded can show them; those that no journal can show
//! are checked in the model's world. To add one: write a file with a `CHECK`, name it in the table, and doctor a journal
//! in `tests` so that it is caught.

use crate::replay::player::{AnyPlayed, AnyPlayer, Played};
use crate::replay::truth::Truth;
use crate::replay::{Replay, Step};
use neap_protocol::executor::Executor;
use neap_protocol::framework::Framework;
use neap_protocol::master::Master;
use neap_protocol::slave::Slave;

mod r06_silent_gets_no_work;
mod r12a_asked_is_not_finished;
mod s01_dead_before_lost;
mod s02_one_change_at_a_time;
mod s03_removed_stays_removed;
mod s04_quiet_when_deactivated;
mod s05_drained_means_empty;
mod s06_registry_first;
mod s07_one_voice;
mod s08_conservation;
mod s09_terminal_is_final;
mod s10_kill_wins;
mod s11_no_orphans;
mod s12_no_wrongful_shutdown;
mod s13_deadline_respected;
mod s14_asked_and_no_more;
mod s16_task_id_unique;

/// Something that must hold.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name in the design.
    pub name: &'static str,
    /// The requirements that it guards.
    pub guards: &'static str,
    /// Who looks, from the first step on.
    pub begin: fn() -> Box<dyn Watch>,
}

/// Looks at each step, in order.
pub trait Watch {
    /// Looks at a step: what its input tells is in the truth already, what its effects tell is not.
    fn see(&mut self, look: &mut Look<'_>);
}

/// One that needs to remember nothing.
struct Plain(fn(&mut Look<'_>));

impl Watch for Plain {
    fn see(&mut self, look: &mut Look<'_>) {
        (self.0)(look);
    }
}

/// Every check.
pub const ALL: &[Check] = &[
    s01_dead_before_lost::CHECK,
    s02_one_change_at_a_time::CHECK,
    s03_removed_stays_removed::CHECK,
    s04_quiet_when_deactivated::CHECK,
    s05_drained_means_empty::CHECK,
    s06_registry_first::CHECK,
    s07_one_voice::CHECK,
    s08_conservation::CHECK,
    s09_terminal_is_final::CHECK,
    s10_kill_wins::CHECK,
    s11_no_orphans::CHECK,
    s12_no_wrongful_shutdown::CHECK,
    s13_deadline_respected::CHECK,
    s14_asked_and_no_more::CHECK,
    s16_task_id_unique::CHECK,
    r12a_asked_is_not_finished::CHECK,
    r06_silent_gets_no_work::CHECK,
];

/// A step as checks see it.
#[derive(Debug)]
pub struct Look<'a> {
    /// What is replayed.
    pub replay: &'a Replay,
    /// The step.
    pub step: &'a Step,
    /// What was true.
    pub truth: &'a Truth,
    /// The machines, by node, after the step.
    pub players: &'a [AnyPlayer],
    /// How many occasions there were to be wrong.
    pub looked: u64,
    /// What is wrong.
    pub wrong: Vec<String>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        replay: &'a Replay,
        step: &'a Step,
        players: &'a [AnyPlayer],
        truth: &'a Truth,
    ) -> Self {
        Self { replay, step, truth, players, looked: 0, wrong: Vec::new() }
    }

    /// Holds something against it.
    pub fn hold(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        self.looked += 1;
        if !holds {
            self.wrong.push(wrong());
        }
    }

    /// The step, if it is a master's.
    pub fn master(&self) -> Option<&'a Played<Master>> {
        match &self.step.played {
            AnyPlayed::Master(played) => Some(played),
            AnyPlayed::Slave(_) | AnyPlayed::Framework(_) | AnyPlayed::Executor(_) => None,
        }
    }

    /// The master's machine, after its step.
    pub fn master_machine(&self) -> Option<&'a Master> {
        match &self.players[self.step.node] {
            AnyPlayer::Master(player) => Some(&player.machine),
            AnyPlayer::Slave(_) | AnyPlayer::Framework(_) | AnyPlayer::Executor(_) => None,
        }
    }

    /// The step, if it is a slave's.
    pub fn slave(&self) -> Option<&'a Played<Slave>> {
        match &self.step.played {
            AnyPlayed::Slave(played) => Some(played),
            AnyPlayed::Master(_) | AnyPlayed::Framework(_) | AnyPlayed::Executor(_) => None,
        }
    }

    /// The step, if it is a framework's.
    pub fn framework(&self) -> Option<&'a Played<Framework>> {
        match &self.step.played {
            AnyPlayed::Framework(played) => Some(played),
            AnyPlayed::Master(_) | AnyPlayed::Slave(_) | AnyPlayed::Executor(_) => None,
        }
    }

    /// The step, if it is an executor's.
    pub fn executor(&self) -> Option<&'a Played<Executor>> {
        match &self.step.played {
            AnyPlayed::Executor(played) => Some(played),
            AnyPlayed::Master(_) | AnyPlayed::Slave(_) | AnyPlayed::Framework(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
