//! Which tasks a run has, which it lacks and which it has too many of: the decisions of `neap run`, without a clock and
//! without a master.
//!
//! Whoever has a [`Fleet`] tells it what happens, and when; then it does what [`Fleet::kills`] and [`Fleet::place`] say,
//! and comes back at [`Fleet::wake`]. Times are spans since the run began.
//!
//! A service has one task for each instance. It has more for a while only to replace one that is asked back: that one is
//! ended when a replacement has run for [`Terms::min_healthy`], or when its time is over, and not before. If it need not
//! go after all, the surplus is ended. So a service never has fewer tasks than it must by its own doing, and comes to
//! exactly as many as it was asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neap_protocol::ids::{InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::InverseAsk;
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskState};

/// The delay before an instance that failed starts again; it doubles with each failure in a row.
pub(super) const RESTART_MIN: Duration = Duration::from_secs(1);
/// The longest such delay. What ran for longer than this has not failed in a row.
pub(super) const RESTART_MAX: Duration = Duration::from_secs(30);
/// How much longer than its kill grace a task is given before a deadline.
pub(super) const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// What a run is to have.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// It keeps every instance running; otherwise each runs until it has succeeded once.
    pub(super) service: bool,
    /// An instance's task may begin before an earlier one has ended.
    pub(super) overlaps: bool,
    /// How often an instance of a batch may fail; `None`: any number of times.
    pub(super) attempts: Option<u32>,
    /// How long a replacement must have run before what it replaces is ended.
    pub(super) min_healthy: Duration,
    /// How long a task may take to end.
    pub(super) kill_grace: Duration,
    /// What each task needs.
    pub(super) needs: Resources,
}

/// The instances of a run, and their tasks.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    terms: Terms,
    instances: Vec<Instance>,
    tasks: BTreeMap<TaskId, Placed>,
    /// The instances that have several tasks.
    crowded: BTreeSet<usize>,
    /// For which instances the tasks of an accept are, until they have ids.
    launching: BTreeMap<OfferId, (SlaveId, Vec<usize>)>,
    /// The inverse offers that are open.
    asked: BTreeMap<InverseOfferId, Leaving>,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It must run, or run still.
    Wanted,
    /// Of a batch: it has succeeded.
    Succeeded,
    /// Of a batch: it has failed as often as it may.
    GivenUp,
    /// Of a batch: an operator has ended it.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Instance {
    stage: Stage,
    failures: u32,
    not_before: Duration,
    tasks: Vec<TaskId>,
}

/// A task that is not over.
#[derive(Clone, Debug)]
struct Placed {
    instance: usize,
    slave: SlaveId,
    going: Going,
    /// This run has asked for its end.
    killed: bool,
}

/// How a task goes, as far as this process was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// An earlier process launched it; nothing was heard of it since.
    Unheard,
    /// It is on its way to run.
    Coming,
    /// It runs, since then.
    Running(Duration),
    /// Its slave does not answer.
    Away,
    /// It was asked to end, by somebody.
    Ending(Reason),
}

#[derive(Clone, Debug)]
struct Leaving {
    slave: SlaveId,
    /// What is to go; `None`: all that is there.
    tasks: Option<BTreeSet<TaskId>>,
    deadline: Duration,
    kill_at: Duration,
}

/// What is offered of one slave.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// The offer.
    pub(super) offer: OfferId,
    /// Whose.
    pub(super) slave: SlaveId,
    /// How much.
    pub(super) resources: Resources,
}

impl Fleet {
    /// So many instances, none of which has a task.
    pub(super) fn new(terms: Terms, instances: usize) -> Self {
        let fresh =
            Instance { stage: Stage::Wanted, failures: 0, not_before: Duration::ZERO, tasks: Vec::new() };
        Self {
            terms,
            instances: vec![fresh; instances],
            tasks: BTreeMap::new(),
            crowded: BTreeSet::new(),
            launching: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// An earlier process [noted](Self::noted) this of an instance.
    pub(super) fn resume_instance(&mut self, at: usize, noted: &str) {
        if let Some(instance) = self.instances.get_mut(at) {
            instance.read(noted);
        }
    }

    /// An earlier process launched this task for an instance, and did not hear of its end.
    pub(super) fn resume_task(&mut self, task: TaskId, instance: usize, slave: SlaveId) {
        if instance < self.instances.len() {
            self.add(task, Placed { instance, slave, going: Going::Unheard, killed: false });
        }
    }

    /// What a later process must know of an instance.
    pub(super) fn noted(&self, at: usize) -> String {
        self.instances.get(at).map(Instance::noted).unwrap_or_default()
    }

    /// How many instances are in this stage.
    pub(super) fn count(&self, stage: Stage) -> usize {
        self.instances.iter().filter(|instance| instance.stage == stage).count()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.count(Stage::Wanted) == 0
    }

    /// How many tasks are not over.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// For which instance a task is.
    pub(super) fn instance_of(&self, task: TaskId) -> Option<usize> {
        self.tasks.get(&task).map(|placed| placed.instance)
    }

    /// The instances that lack a task now.
    pub(super) fn wanted(&self, now: Duration) -> Vec<usize> {
        let mut held: BTreeSet<usize> = self
            .tasks
            .iter()
            .filter(|(id, task)| self.holds(**id, task))
            .map(|(_, task)| task.instance)
            .collect();
        held.extend(self.launching.values().flat_map(|(_, instances)| instances));
        let wanted = self.instances.iter().enumerate().filter(|(at, instance)| {
            instance.stage == Stage::Wanted && instance.not_before <= now && !held.contains(at)
        });
        wanted.map(|(at, _)| at).collect()
    }

    /// Spreads what is wanted over what is offered, one after another, and answers which instances each offer is to be
    /// accepted for. Their tasks are [launched](Self::launched) next.
    pub(super) fn place(&mut self, now: Duration, mut rooms: Vec<Room>) -> BTreeMap<OfferId, Vec<usize>> {
        self.launching.clear();
        let closed: BTreeSet<SlaveId> = self.asked.values().map(|leaving| leaving.slave).collect();
        rooms.retain(|room| !closed.contains(&room.slave));
        let mut wanted = self.wanted(now);
        wanted.reverse();
        while !wanted.is_empty() && !rooms.is_empty() {
            rooms.retain_mut(|room| match (room.resources.checked_sub(&self.terms.needs), wanted.pop()) {
                (Some(rest), Some(instance)) => {
                    room.resources = rest;
                    let launching =
                        self.launching.entry(room.offer).or_insert_with(|| (room.slave, Vec::new()));
                    launching.1.push(instance);
                    true
                }
                (_, unplaced) => {
                    wanted.extend(unplaced);
                    false
                }
            });
        }
        self.launching.iter().map(|(offer, (_, instances))| (*offer, instances.clone())).collect()
    }

    /// The tasks of an accepted offer have these ids. Answers for which instance each is.
    pub(super) fn launched(&mut self, offer: OfferId, tasks: &[TaskId]) -> Vec<(TaskId, usize)> {
        let Some((slave, instances)) = self.launching.remove(&offer) else { return Vec::new() };
        let launched: Vec<(TaskId, usize)> = tasks.iter().copied().zip(instances).collect();
        for (task, instance) in &launched {
            self.add(*task, Placed { instance: *instance, slave, going: Going::Coming, killed: false });
        }
        launched
    }

    /// A task that is not over is so now, and there.
    pub(super) fn goes(
        &mut self,
        now: Duration,
        task: TaskId,
        slave: SlaveId,
        state: TaskState,
        reason: Reason,
    ) {
        let Some(placed) = self.tasks.get_mut(&task) else { return };
        placed.slave = slave;
        placed.going = match (state, placed.going) {
            (TaskState::Running, Going::Running(since)) => Going::Running(since),
            (TaskState::Running, _) => Going::Running(now),
            (TaskState::Staging | TaskState::Starting, _) => Going::Coming,
            (TaskState::Unreachable, _) => Going::Away,
            (TaskState::Killing, _) => Going::Ending(reason),
            (
                TaskState::Finished
                | TaskState::Failed
                | TaskState::Killed
                | TaskState::Lost
                | TaskState::Dropped,
                going,
            ) => going,
        };
    }

    /// A task has ended so. Answers with its instance, and whether it counts as a failure of it.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        task: TaskId,
        state: TaskState,
        reason: Reason,
    ) -> Option<(usize, bool)> {
        let placed = self.tasks.remove(&task)?;
        let instance = &mut self.instances[placed.instance];
        instance.tasks.retain(|id| *id != task);
        if instance.tasks.len() < 2 {
            self.crowded.remove(&placed.instance);
        }
        if let Going::Running(since) = placed.going
            && self.terms.service
            && since + RESTART_MAX <= now
        {
            instance.failures = 0;
        }
        let by_operator = reason == Reason::KilledByOperator;
        let asked = placed.killed || matches!(placed.going, Going::Ending(_));
        let failed = match state {
            TaskState::Finished => {
                if !self.terms.service {
                    instance.stage = Stage::Succeeded;
                }
                instance.failures = 0;
                // A service that ends by itself must not spin.
                self.terms.service
            }
            TaskState::Failed => !asked,
            TaskState::Dropped => {
                matches!(reason, Reason::InvalidSpec | Reason::BeyondOffer | Reason::CannotFence)
            }
            TaskState::Killed => by_operator && !placed.killed,
            TaskState::Staging
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Lost => false,
        };
        if !failed || instance.stage != Stage::Wanted {
            return Some((placed.instance, false));
        }
        instance.failures += 1;
        let delay = RESTART_MIN * 2u32.saturating_pow(instance.failures.min(16) - 1);
        instance.not_before = now + delay.min(RESTART_MAX);
        if !self.terms.service {
            let spent = self.terms.attempts.is_some_and(|attempts| instance.failures >= attempts);
            match (by_operator, spent) {
                (true, _) => instance.stage = Stage::Ended,
                (false, true) => instance.stage = Stage::GivenUp,
                (false, false) => {}
            }
        }
        Some((placed.instance, true))
    }

    /// Somebody wants this back by `deadline`, or has moved it. Answers which tasks are to go: those that the run would
    /// rather lose.
    pub(super) fn asked(
        &mut self,
        now: Duration,
        id: InverseOfferId,
        slave: SlaveId,
        ask: &InverseAsk,
        deadline: Duration,
    ) -> Vec<TaskId> {
        let known = self.asked.get(&id).cloned();
        let tasks = match (&known, ask) {
            (_, InverseAsk::Everything) => None,
            (Some(known), InverseAsk::Amount(_)) => known.tasks.clone(),
            (None, InverseAsk::Amount(amount)) => Some(self.chosen(slave, amount)),
        };
        // A task has its kill grace before the deadline; a replacement has half of the time at least.
        let left = deadline.saturating_sub(now);
        let margin = (self.terms.kill_grace + DEADLINE_MARGIN).min(left / 2);
        let kill_at = match known {
            Some(known) if known.deadline == deadline => known.kill_at,
            Some(_) | None => deadline.saturating_sub(margin),
        };
        let leaving = Leaving { slave, tasks, deadline, kill_at };
        let named =
            self.tasks.iter().filter(|(id, task)| leaving.has(**id, task)).map(|(id, _)| *id).collect();
        self.asked.insert(id, leaving);
        named
    }

    /// What was asked is over: it came back, was taken, or is not wanted any more.
    pub(super) fn asked_no_more(&mut self, id: InverseOfferId) {
        self.asked.remove(&id);
    }

    /// Takes the tasks that must be ended now.
    pub(super) fn kills(&mut self, now: Duration) -> Vec<TaskId> {
        // Of one task that nobody asks back nothing is to be decided.
        let leaving =
            self.tasks.iter().filter(|(id, task)| !self.asked.is_empty() && self.is_asked(**id, task));
        let mut instances: BTreeSet<usize> = leaving.map(|(_, task)| task.instance).collect();
        instances.extend(&self.crowded);
        let kills: Vec<TaskId> = instances.into_iter().flat_map(|at| self.surplus(now, at)).collect();
        for task in &kills {
            if let Some(placed) = self.tasks.get_mut(task) {
                placed.killed = true;
            }
        }
        kills
    }

    /// When something must be done that nobody tells of, after `now`.
    pub(super) fn wake(&self, now: Duration) -> Option<Duration> {
        let again = self.instances.iter().filter(|instance| instance.stage == Stage::Wanted);
        let again = again.map(|instance| instance.not_before);
        let asked = self.asked.values().map(|leaving| leaving.kill_at);
        let healthy = self.tasks.values().filter_map(|task| match task.going {
            Going::Running(since) if !self.asked.is_empty() => Some(since + self.terms.min_healthy),
            Going::Running(_) | Going::Unheard | Going::Coming | Going::Away | Going::Ending(_) => None,
        });
        again.chain(asked).chain(healthy).filter(|at| *at > now).min()
    }

    fn add(&mut self, task: TaskId, placed: Placed) {
        let at = placed.instance;
        self.tasks.insert(task, placed);
        self.instances[at].tasks.push(task);
        if self.instances[at].tasks.len() > 1 {
            self.crowded.insert(at);
        }
    }

    /// Which of an instance's tasks must be ended.
    fn surplus(&self, now: Duration, at: usize) -> Vec<TaskId> {
        let kill_at = |task: &TaskId| self.leaves_at(*task);
        let due = |task: &TaskId| kill_at(task).is_some_and(|at| at <= now || self.leaves_at_once());
        let tasks = self.instances[at].tasks.iter().copied();
        let tasks = tasks.filter(|task| self.tasks.get(task).is_some_and(Placed::stays_by_itself));
        let (mut kills, rest): (Vec<TaskId>, Vec<TaskId>) = tasks.partition(due);
        let Some(kept) = rest.iter().copied().min_by_key(|task| self.rank(*task)) else { return kills };
        let going = |task: TaskId| self.tasks.get(&task).map_or(Going::Unheard, |task| task.going);
        let healthy =
            |task| matches!(going(task), Going::Running(since) if since + self.terms.min_healthy <= now);
        let heard = rest.iter().all(|task| going(*task) != Going::Unheard);
        for task in rest.iter().copied().filter(|task| *task != kept) {
            let spare = match (kill_at(&task), going(kept), going(task)) {
                // What is asked back goes when another has shown that it runs.
                (Some(_), _, _) => healthy(kept),
                // How the others go is not known yet: this one may be all that there is.
                (None, Going::Running(_), _) | (None, Going::Coming, Going::Coming) => heard,
                (
                    None,
                    Going::Unheard | Going::Coming | Going::Away | Going::Ending(_),
                    Going::Unheard | Going::Coming | Going::Running(_) | Going::Away | Going::Ending(_),
                ) => false,
            };
            if spare {
                kills.push(task);
            }
        }
        kills
    }

    /// Which of an instance's tasks is rather kept: one that may stay; one that runs; the one that has run for longest,
    /// then the oldest. Of those that may not stay, one that has more time.
    fn rank(&self, task: TaskId) -> impl Ord {
        let leaves_at = self.leaves_at(task);
        let going = match self.tasks.get(&task).map(|placed| placed.going) {
            Some(Going::Running(since)) => (0, since),
            Some(Going::Coming) => (1, Duration::ZERO),
            Some(Going::Away) => (2, Duration::ZERO),
            Some(Going::Unheard | Going::Ending(_)) | None => (3, Duration::ZERO),
        };
        (leaves_at.is_some(), going.0, Reverse(leaves_at), going.1, task)
    }

    /// Whether an instance whose task this is needs no other.
    fn holds(&self, id: TaskId, task: &Placed) -> bool {
        let gone = match task.going {
            // It starts again when it has ended, and later.
            Going::Ending(Reason::KilledByOperator) => false,
            Going::Ending(_) => true,
            Going::Unheard | Going::Coming | Going::Running(_) | Going::Away => {
                task.killed || self.is_asked(id, task)
            }
        };
        !(self.terms.overlaps && gone)
    }

    fn is_asked(&self, id: TaskId, task: &Placed) -> bool {
        self.asked.values().any(|leaving| leaving.has(id, task))
    }

    /// By when a task that is asked back is ended, if it is.
    fn leaves_at(&self, id: TaskId) -> Option<Duration> {
        let task = self.tasks.get(&id)?;
        let leaving = self.asked.values().filter(|leaving| leaving.has(id, task));
        leaving.map(|leaving| leaving.kill_at).min()
    }

    /// Whether what is asked back is ended first, and begins elsewhere only then.
    fn leaves_at_once(&self) -> bool {
        self.terms.service && !self.terms.overlaps
    }

    /// The tasks to give up for an amount: what is being ended there counts, then what does not run yet, then the newest.
    fn chosen(&self, slave: SlaveId, amount: &Resources) -> BTreeSet<TaskId> {
        let mut here: Vec<(&TaskId, &Placed)> =
            self.tasks.iter().filter(|(_, task)| task.slave == slave).collect();
        here.sort_by_key(|(id, task)| {
            let runs = matches!(task.going, Going::Running(_));
            (task.stays_by_itself(), runs, Reverse(**id))
        });
        let mut left = amount.without_ports();
        let mut chosen = BTreeSet::new();
        for (id, _) in here {
            if left.is_empty() {
                break;
            }
            left = left.saturating_sub(&self.terms.needs);
            chosen.insert(*id);
        }
        chosen
    }
}

impl Placed {
    /// Nobody has asked for its end.
    fn stays_by_itself(&self) -> bool {
        !self.killed && !matches!(self.going, Going::Ending(_))
    }
}

impl Leaving {
    fn has(&self, id: TaskId, task: &Placed) -> bool {
        match &self.tasks {
            None => task.slave == self.slave,
            Some(tasks) => tasks.contains(&id),
        }
    }
}

impl Instance {
    /// As a later process [reads](Self::read) it; what it waits for is not worth a note.
    fn noted(&self) -> String {
        match self.stage {
            Stage::Wanted => format!("failed {}", self.failures),
            Stage::Succeeded => "succeeded".to_owned(),
            Stage::GivenUp => "given up".to_owned(),
            Stage::Ended => "ended".to_owned(),
        }
    }

    fn read(&mut self, noted: &str) {
        match noted {
            "succeeded" => self.stage = Stage::Succeeded,
            "given up" => self.stage = Stage::GivenUp,
            "ended" => self.stage = Stage::Ended,
            failed => {
                let failures = failed.strip_prefix("failed ").and_then(|failures| failures.parse().ok());
                self.failures = failures.unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
