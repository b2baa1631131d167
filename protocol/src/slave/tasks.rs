//! Tasks: launches, kills, updates and their acknowledgement.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::state::{End, Executor, Kill, Leaving, Life, Next, Phase, Retained, Stage, Task};
use super::{CheckpointChange, Config, Effect, Event, News, Program, Slave, Timer, UPDATES_MAX, Work};
use crate::ids::{ExecutorId, FrameworkId, TaskId};
use crate::map::Set;
use crate::message::{Final, SlaveToExecutor, SlaveToMaster};
use crate::outbox::Outbox;
use crate::task::{
    COMMAND_SIZE_MAX, Ending, Reason, Run, TASK_DATA_MAX, TaskReport, TaskSpec, TaskState, Update,
};
use crate::text::Text;
use crate::time::{Millis, When};

impl Slave {
    pub(super) fn launch(&mut self, config: &Config, spec: TaskSpec, out: &mut Outbox<Effect>) {
        if self.tasks.contains_key(&spec.id) {
            return;
        }
        if let Err(reason) = self.admit(config, &spec) {
            let task = spec.id;
            out.push(Effect::Publish(Event::LaunchRefused { task, reason }));
            return self.answer(task, TaskState::Dropped, reason, out);
        }
        let id = spec.id;
        let Plan { executor, program, work } = Plan::of(spec.run, id, spec.fence_after);
        let report = TaskReport {
            id,
            name: spec.name,
            resources: spec.resources,
            kill_grace: spec.kill_grace,
            fenced: spec.fence_after.is_some(),
            state: TaskState::Staging,
            reason: Reason::Normal,
            number: 0,
        };
        let shared = match program {
            Program::BuiltIn => false,
            Program::Custom(_) => true,
        };
        self.used.put_in(&report.resources);
        let added = CheckpointChange::TaskAdded { report: report.clone(), executor: executor.number, shared };
        let adding = self.store(added, out);
        if let Some(seq) = adding {
            self.writes.insert(seq, id);
        }
        let adding = adding.is_some();
        self.tasks.insert(id, Task { shared, adding, ..Task::new(report, executor, work) });
        self.place(config, executor, id.number, program, out);
    }

    /// Every reason not to launch (R11, R24, S8). The master has checked most of them; a slave that trusted it
    /// would be only as right as the master.
    fn admit(&self, config: &Config, spec: &TaskSpec) -> Result<(), Reason> {
        match self.phase {
            Phase::Serving => {}
            Phase::New | Phase::Leaving(_) | Phase::Resetting => return Err(Reason::SlaveLeaving),
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => {
                return Err(Reason::SlaveLeaving);
            }
        }
        let (number, shared, size, data) = match &spec.run {
            Run::Command(command) => (spec.id.number, false, command.size(), 0),
            Run::Executor { number, command, data } => (*number, true, command.size(), data.len()),
        };
        let executor = ExecutorId { framework: spec.id.framework, number };
        let stranger = self.executors.get(&executor).is_some_and(|other| !(shared && other.shared));
        let numbered = spec.id.number > 0 && number > 0;
        // Nobody can hold a framework's own executor to it.
        if shared && spec.fence_after.is_some() {
            return Err(Reason::CannotFence);
        }
        if stranger || !numbered || size > COMMAND_SIZE_MAX || data > TASK_DATA_MAX {
            return Err(Reason::InvalidSpec);
        }
        let room = self.tasks.len() < usize::try_from(config.tasks_max).unwrap_or(usize::MAX);
        let fits = self.used.rest_of(&config.resources).contains(&spec.resources);
        match room && fits {
            true => Ok(()),
            false => Err(Reason::BeyondOffer),
        }
    }

    /// Gives a task to its executor: to one that lives, or to a fresh one, if need be after the last one's end.
    fn place(
        &mut self,
        config: &Config,
        id: ExecutorId,
        number: u32,
        program: Program,
        out: &mut Outbox<Effect>,
    ) {
        let Some(executor) = self.executors.get_mut(&id) else {
            return self.start_executor(config, id, program, Set::from_iter([(number, ())]), out);
        };
        match (executor.life, program) {
            (Life::Ending(_), Program::Custom(program)) => {
                let tasks = Set::new();
                let next = executor.next.get_or_insert(Next { program, tasks });
                next.tasks.insert(number, ());
            }
            (
                Life::Awaited | Life::Registered(_) | Life::Ending(_),
                Program::Custom(_) | Program::BuiltIn,
            ) => {
                executor.tasks.insert(number, ());
                self.hand_over(id, out);
            }
        }
    }

    pub(super) fn start_executor(
        &mut self,
        config: &Config,
        executor: ExecutorId,
        program: Program,
        tasks: Set<u32>,
        out: &mut Outbox<Effect>,
    ) {
        let shared = match &program {
            Program::BuiltIn => false,
            Program::Custom(_) => true,
        };
        let fresh = Executor { life: Life::Awaited, session: None, shared, tasks, next: None };
        self.executors.insert(executor, fresh);
        out.push(Effect::Launch { executor, program });
        out.push(Effect::SetTimer {
            timer: Timer::ExecutorRegister(executor),
            when: When::After(config.executor_register_timeout),
        });
    }

    /// R13: a task that no executor has heard of never starts; the others have their grace.
    pub(super) fn kill(
        &mut self,
        config: &Config,
        id: TaskId,
        grace: Option<Millis>,
        reason: Reason,
        out: &mut Outbox<Effect>,
    ) {
        let Some(task) = self.tasks.get(&id) else {
            return self.answer(id, TaskState::Lost, Reason::SlaveForgot, out);
        };
        let own = task.report.kill_grace;
        let grace = grace.map_or(own, |asked| asked.min(own));
        match task.stage {
            Stage::Waiting(_) => self.kill_waiting(id, reason, out),
            Stage::Handed(_) | Stage::Held | Stage::Recovered => {
                self.kill_handed(config, id, Kill { reason, grace }, out);
            }
            Stage::Ended { .. } | Stage::Settled | Stage::Left { .. } => {}
        }
    }

    pub(super) fn kill_framework(
        &mut self,
        config: &Config,
        framework: FrameworkId,
        out: &mut Outbox<Effect>,
    ) {
        for id in self.tasks_of(framework) {
            self.kill(config, id, None, Reason::FrameworkRemoved, out);
        }
    }

    fn kill_waiting(&mut self, id: TaskId, reason: Reason, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let Some(executor) = self.executors.get_mut(&task.executor) else {
            return;
        };
        let news = News { state: TaskState::Killed, reason, message: Text::EMPTY };
        if let Some(next) = &mut executor.next
            && next.tasks.remove(&id.number).is_some()
        {
            if next.tasks.is_empty() {
                executor.next = None;
            }
            return self.settle(id, news, None, 0, out);
        }
        if executor.life.is_ending() {
            return;
        }
        let name = task.executor;
        match self.is_alone(id) {
            true => {
                // No executor knows of it: its tree need not live until that is durable.
                self.end_task(id, End::Own(news), out);
                self.end_executor(name, Reason::ExecutorEnded, out);
            }
            false => {
                self.leave_executor(id);
                self.settle(id, news, None, 0, out);
            }
        }
    }

    fn kill_handed(&mut self, config: &Config, id: TaskId, kill: Kill, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let Some(executor) = self.executors.get(&task.executor) else {
            return;
        };
        let earlier = task.kill;
        if executor.life.is_ending() || earlier.is_some_and(|earlier| earlier.grace <= kill.grace) {
            return;
        }
        let kill = Kill { reason: earlier.map_or(kill.reason, |earlier| earlier.reason), ..kill };
        let Kill { reason, grace } = kill;
        let (name, life, shared) = (task.executor, executor.life, executor.shared);
        let asked = earlier.is_some() || self.is_leaving();
        let at_once = grace == Millis::ZERO && self.is_alone(id);
        if at_once {
            // Nobody needs to be asked: the whole tree goes, and with it the task.
            self.end_executor(name, Reason::ExecutorEnded, out);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.kill = Some(kill);
        }
        if at_once {
            return;
        }
        match (life, shared) {
            (Life::Registered(session), true) => {
                let message = SlaveToExecutor::Kill { task: id, grace };
                out.push(Effect::ToExecutor { session, message });
            }
            // Its tree is the task's alone: the slave asks it itself, and so knows for the receipt whom, and when (R23a).
            (Life::Registered(_) | Life::Awaited, false) if !asked => {
                out.push(Effect::Terminate { executor: name });
            }
            (Life::Registered(_) | Life::Awaited | Life::Ending(_), _) => {}
        }
        let timer = Timer::KillEscalation(id);
        match earlier {
            Some(_) => {
                let when = kill.escalates(config, shared);
                out.push(Effect::ShortenTimer { timer, when });
            }
            None => {
                out.push(kill.escalation(config, id, shared));
                self.progress(id, News { state: TaskState::Killing, reason, message: Text::EMPTY }, 0, out);
            }
        }
    }

    /// Reports a state that is not the end, if the task has not come that far yet. A task that runs may say so
    /// again, where it has something to say. Answers whether it was reported.
    pub(super) fn progress(&mut self, id: TaskId, news: News, heard: u32, out: &mut Outbox<Effect>) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let again = news.state == TaskState::Running && task.state == news.state && !news.message.is_empty();
        let reported = again || news.state > task.state;
        if reported {
            task.heard = task.heard.max(heard);
            self.report(id, news, None, heard, false, out);
        }
        reported
    }

    /// The task is over, and nothing of it is left. `heard` is the number that this has among its executor's updates,
    /// or 0.
    pub(super) fn settle(
        &mut self,
        id: TaskId,
        news: News,
        ending: Option<Arc<Ending>>,
        heard: u32,
        out: &mut Outbox<Effect>,
    ) {
        if let Some(task) = self.tasks.get_mut(&id) {
            let kept = matches!(task.stage, Stage::Ended { kept: true, .. });
            task.stage = Stage::Settled;
            self.used.take_out(&task.report.resources);
            self.report(id, news, ending, heard, kept, out);
        }
    }

    /// Gives news its number, keeps it, and has it written; it is told once that is done, or at once if it is `kept`
    /// already. `heard` is its number among its executor's updates, or 0.
    pub(super) fn report(
        &mut self,
        id: TaskId,
        news: News,
        ending: Option<Arc<Ending>>,
        heard: u32,
        kept: bool,
        out: &mut Outbox<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let replaced = task.make_room(news.state);
        task.number = task.number.saturating_add(1);
        task.state = news.state;
        let (number, write) = (task.number, None);
        let retained = Retained { number, news, ending, write, heard };
        let Final { update, ending } = retained.to_final(id);
        task.updates.push(retained);
        if let Some(write) = replaced.as_ref().and_then(|replaced| replaced.write) {
            self.writes.remove(&write);
        }
        let replaces = replaced.map(|replaced| replaced.number);
        let change = CheckpointChange::UpdateAdded { update, ending, replaces, heard };
        let write = self.store(change, out).filter(|_| !kept);
        let Some(newest) = self.tasks.get_mut(&id).and_then(|task| task.updates.last_mut()) else {
            return;
        };
        newest.write = write;
        match write {
            Some(seq) => {
                self.writes.insert(seq, id);
            }
            None => self.announce(id, number, out),
        }
    }

    /// A write of this task, or of an update of it, is done with.
    pub(super) fn tell(&mut self, id: TaskId, write: crate::ids::Seq, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let Some(update) = task.updates.iter_mut().find(|update| update.write == Some(write)) else {
            if task.ending == Some(write) {
                task.ending = None;
                return self.end_is_durable(id, out);
            }
            task.adding = false;
            let executor = task.executor;
            return self.hand_over_one(executor, id, out);
        };
        update.write = None;
        let number = update.number;
        self.announce(id, number, out);
    }

    /// From here on the master may hear of this update.
    fn announce(&mut self, id: TaskId, number: u32, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let Some(update) = task.updates.iter().find(|update| update.number == number) else {
            return;
        };
        task.report.state = update.news.state;
        task.report.reason = update.news.reason;
        task.report.number = number;
        let heard = update.heard;
        let Final { update, ending } = update.to_final(id);
        if self.tells_updates()
            && let Some(session) = self.link.registered()
        {
            let message = SlaveToMaster::Update { update, ending };
            out.push(Effect::ToMaster { session, message });
        }
        if heard > 0 {
            self.heard_durably(id, heard, out);
        }
    }

    /// Whether updates go out as such: once nothing is left, `Unregister` says everything.
    fn tells_updates(&self) -> bool {
        match self.phase {
            Phase::Serving | Phase::Leaving(Leaving::Ending { .. }) => true,
            Phase::Leaving(Leaving::Unregistering) | Phase::Clearing { .. } => false,
            Phase::New | Phase::Resetting | Phase::Quitting { .. } | Phase::Exited => false,
        }
    }

    /// R12: sends what is durable and not acknowledged again, in order.
    pub(super) fn resend<'a>(&self, ids: impl Iterator<Item = &'a TaskId>, out: &mut Outbox<Effect>) {
        let Some(session) = self.link.registered() else {
            return;
        };
        if !self.tells_updates() {
            return;
        }
        for id in ids {
            let updates = self.tasks.get(id).map_or(&[][..], |task| &task.updates);
            for told in updates.iter().take_while(|update| update.write.is_none()) {
                let Final { update, ending } = told.to_final(*id);
                let message = SlaveToMaster::Update { update, ending };
                out.push(Effect::ToMaster { session, message });
            }
        }
    }

    /// R12: the framework has these. A number that was never told acknowledges nothing.
    pub(super) fn acknowledge(&mut self, id: TaskId, number: u32, out: &mut Outbox<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let before = task.updates.len();
        if number <= task.report.number {
            task.updates.retain(|update| update.number > number);
        }
        if task.updates.len() == before {
            return;
        }
        let change = match task.updates.is_empty() && task.stage == Stage::Settled {
            true => {
                self.tasks.remove(&id);
                CheckpointChange::TaskForgotten { task: id }
            }
            false => CheckpointChange::Acknowledged { task: id, number },
        };
        self.store(change, out);
    }

    /// Says once what is kept nowhere: should it be lost with its session, the next registration says it again,
    /// by not naming the task (R2).
    fn answer(&self, task: TaskId, state: TaskState, reason: Reason, out: &mut Outbox<Effect>) {
        if let Some(session) = self.link.registered() {
            let update = Update { task, number: 1, state, reason, message: Text::EMPTY };
            let message = SlaveToMaster::Update { update, ending: None };
            out.push(Effect::ToMaster { session, message });
        }
    }

    /// The executor of a fenced task asks the leader for a lease (R9).
    pub(super) fn pass_on(&self, executor: ExecutorId, task: TaskId, turn: bool, out: &mut Outbox<Effect>) {
        let theirs = self.tasks.get(&task).is_some_and(|known| known.executor == executor && !known.shared);
        if let Some(session) = self.link.registered().filter(|_| theirs) {
            out.push(Effect::ToMaster { session, message: SlaveToMaster::Renew { task, turn } });
        }
    }

    /// The leader has renewed it. An executor that is not there asks again.
    pub(super) fn renewed(&self, task: TaskId, turn: bool, out: &mut Outbox<Effect>) {
        let executor = self.tasks.get(&task).and_then(|known| self.executors.get(&known.executor));
        if let Some(Life::Registered(session)) = executor.map(|executor| executor.life) {
            out.push(Effect::ToExecutor { session, message: SlaveToExecutor::Renewed { task, turn } });
        }
    }

    pub(super) fn tasks_of(&self, framework: FrameworkId) -> Vec<TaskId> {
        // Tasks are numbered from 1.
        let before = TaskId { framework, number: 0 };
        let theirs = self.tasks.iter_after(Some(before)).map(|(id, _)| *id);
        theirs.take_while(|id| id.framework == framework).collect()
    }
}

impl Kill {
    /// When the whole tree is ended by force.
    fn escalates(self, config: &Config, shared: bool) -> When {
        let margin = if shared { config.executor_kill_margin } else { Millis::ZERO };
        When::After(self.grace.plus(margin))
    }

    pub(super) fn escalation(self, config: &Config, task: TaskId, shared: bool) -> Effect {
        Effect::SetTimer { timer: Timer::KillEscalation(task), when: self.escalates(config, shared) }
    }
}

impl Task {
    fn new(report: TaskReport, executor: ExecutorId, work: Work) -> Self {
        Self {
            executor,
            shared: false,
            stage: Stage::Waiting(work),
            kill: None,
            state: report.state,
            number: report.number,
            heard: 0,
            updates: Vec::new(),
            adding: false,
            ending: None,
            report,
        }
    }

    /// Takes the newest update out where one more would be too many.
    fn make_room(&mut self, state: TaskState) -> Option<Retained> {
        match self.updates.len() >= UPDATES_MAX && !state.is_terminal() {
            true => self.updates.pop(),
            false => None,
        }
    }

    /// The task with its newest state, durable or not.
    pub(super) fn newest(&self) -> TaskReport {
        let reason = self.updates.last().map_or(self.report.reason, |newest| newest.news.reason);
        TaskReport { state: self.state, reason, number: self.number, ..self.report.clone() }
    }
}

/// Which executor a task needs, and what that is told.
struct Plan {
    executor: ExecutorId,
    program: Program,
    work: Work,
}

impl Plan {
    fn of(run: Run, id: TaskId, fence_after: Option<Millis>) -> Self {
        let framework = id.framework;
        match run {
            Run::Command(command) => Self {
                executor: ExecutorId { framework, number: id.number },
                program: Program::BuiltIn,
                work: Work::Command { command, fence_after },
            },
            Run::Executor { number, command, data } => Self {
                executor: ExecutorId { framework, number },
                program: Program::Custom(command),
                work: Work::Data(data),
            },
        }
    }
}
