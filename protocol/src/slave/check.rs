//! What should hold of a slave in every state.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::state::{Executor, Life, Phase, Stage};
use super::{Slave, UPDATES_MAX};
use crate::ids::{ExecutorId, Seq, TaskId};
use crate::resources::Sum;

impl Slave {
    /// What should hold in every state, and does not: for checkers and tests (S8, S15).
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.phase == Phase::Exited {
            return hold(*self == Self { phase: Phase::Exited, ..Self::default() }, || "it remembers".into());
        }
        self.check_resources()?;
        self.check_tasks()?;
        self.executors.iter().try_for_each(|(id, executor)| self.check_executor(*id, executor))?;
        hold(self.sessions.len() <= self.executors.len(), || {
            format!("S15: {} sessions of {} executors", self.sessions.len(), self.executors.len())
        })
    }

    /// S8: counted in once, counted out once.
    fn check_resources(&self) -> Result<(), String> {
        let held = self.tasks.values().filter(|task| !task.stage.is_over());
        let used = Sum::of(held.map(|task| &task.report.resources));
        hold(used == self.used, || format!("S8: {used:?} is held, {:?} counted", self.used))
    }

    fn check_tasks(&self) -> Result<(), String> {
        for (id, task) in &self.tasks {
            hold(task.updates.len() <= UPDATES_MAX + 1, || format!("S15: {id} keeps {task:?}"))?;
            // One meaning, one encoding: nothing is kept of what is over.
            let leftover = task.stage == Stage::Settled && task.updates.is_empty();
            hold(!leftover, || format!("{id} is a leftover"))?;
            let executor = self.executors.get(&task.executor);
            let queued = |e: &Executor| e.next.as_ref().is_some_and(|n| n.tasks.contains_key(&id.number));
            let known = executor.is_some_and(|e| e.tasks.contains_key(&id.number) || queued(e));
            hold(known != task.stage.is_over(), || format!("{id} and {} disagree", task.executor))?;
        }
        self.check_writes()
    }

    /// A write that is awaited is an update's, an end's, or a launch's.
    fn check_writes(&self) -> Result<(), String> {
        let updates = self.tasks.values().flat_map(|task| &task.updates).filter_map(|update| update.write);
        let ends = self.tasks.values().filter_map(|task| task.ending);
        let updates: Vec<Seq> = updates.chain(ends).collect();
        let launches = self.writes.iter().filter(|(write, _)| !updates.contains(write));
        let mut launches: Vec<TaskId> = launches.map(|(_, task)| *task).collect();
        launches.sort_unstable();
        let adding = self.tasks.iter().filter(|(_, task)| task.adding).map(|(id, _)| *id);
        let all = updates.iter().all(|write| self.writes.contains_key(write));
        hold(all, || format!("{updates:?} wait, and not all are in {:?}", self.writes))?;
        let adding: Vec<TaskId> = adding.collect();
        hold(launches == adding, || format!("{adding:?} are being added, and {launches:?} written"))
    }

    fn check_executor(&self, id: ExecutorId, executor: &Executor) -> Result<(), String> {
        // What an earlier incarnation left may have none, and is ended.
        let needless = executor.tasks.is_empty() && !executor.life.is_ending();
        hold(!needless, || format!("{id} lives without tasks"))?;
        let next = executor.next.iter().flat_map(|next| next.tasks.keys());
        for number in executor.tasks.keys().chain(next) {
            let task = TaskId { framework: id.framework, number: *number };
            let of = self.tasks.get(&task).map(|task| task.executor);
            hold(of == Some(id), || format!("{id} has {task}, which is of {of:?}"))?;
        }
        let of = executor.session.map(|session| self.sessions.get(&session));
        hold(of.is_none_or(|of| of == Some(&id)), || {
            format!("{id} has {:?}, which is of {of:?}", executor.session)
        })?;
        let registered = match executor.life {
            Life::Registered(session) => Some(session),
            Life::Awaited | Life::Ending(_) => executor.session,
        };
        hold(registered == executor.session, || format!("{id} is registered in {registered:?}"))
    }
}

fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}
