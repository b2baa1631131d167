//! What operators do: look at a cluster, change it, and watch what follows.
//!
//! Every command is a question to the leader ([`Client`]) and a printed answer. A refusal keeps its words and its
//! advice; exit codes are those of [`Exit`].

mod client;
mod events;
mod logs;
mod takeout;
mod views;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use neap_protocol::ids::{Epoch, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, Command, DrainView, HeldNameView, HoldView, Page, Query, Refusal, SlaveRef, SlaveView, TaskView,
};
use neap_protocol::registry::{drain_hold, is_of_drain};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Moment;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::change::{Activate, Deactivate, Drain, Forget, FrameworkRef, InverseOffer, Resume, Teardown};
use crate::cli::show::{Events, Show, Tasks};
use crate::cli::work::{Kill, Logs};
use crate::config::Connection;
use crate::exit::Exit;
use crate::near;
use crate::output::{Failure, Format, Printer, Row, clock, counted};
use crate::shutdown::{Signal, Signals};

pub use client::{Client, Problem};
use events::Line;
use takeout::Next;
pub(crate) use views::{Amount, HeldRow, HoldRow, asked};
use views::{DrainRow, FrameworkRow, InverseOfferRow, OfferRow, PendingRow, SlaveRow, TaskRow};

/// What an operator asked for.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the command of its name; the arguments' types tell the rest")]
pub enum Task {
    Status(Show),
    Slaves(Show),
    Tasks(Tasks),
    Frameworks(Show),
    Offers(Show),
    InverseOffers(Show),
    Events(Events),
    Deactivate(Deactivate),
    Activate(Activate),
    InverseOffer(InverseOffer),
    Drain(Drain),
    Kill(Kill),
    Logs(Logs),
    Forget(Forget),
    ResumeRemovals(Resume),
    Teardown(Teardown),
}

/// Carries an operator's command out.
///
/// # Errors
/// [`Failure`] with the cause and the cure.
pub fn main(task: Task, context: &Context) -> Result<Exit, Failure> {
    let connection = connection(&task, context)?;
    tracing::debug!(?connection, "settings in force");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    runtime.block_on(async {
        let (client, printer, heed) = (Client::new(&connection)?, context.printer(), Heed::default());
        let mut operator = Operator { client, printer, heed: heed.clone() };
        // Elsewhere a signal ends the process by itself, whatever it waits for.
        let attaches =
            matches!(task, Task::Events(_) | Task::InverseOffer(_) | Task::Drain(_) | Task::Logs(_));
        let done = match attaches {
            true => interruptible(operator.carry_out(task), &heed).await?,
            false => Some(operator.carry_out(task).await),
        };
        match done {
            Some(done) => {
                operator.client.close().await;
                done
            }
            None => operator.interrupted(),
        }
    })
}

/// Who hears Ctrl-C: the command, while it waits for what happens, and else whoever waits for the command.
#[derive(Clone, Debug, Default)]
struct Heed(Rc<Cell<bool>>);

impl Heed {
    /// The command hears it, or not any more.
    fn command_hears(&self, hears: bool) {
        self.0.set(hears);
    }
}

/// Waits for a command. Ctrl-C ends that at once where the command does not hear it: it may wait for a leader that is
/// not there.
async fn interruptible<T>(command: impl Future<Output = T>, heed: &Heed) -> Result<Option<T>, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
    let mut command = pin!(command);
    loop {
        tokio::select! {
            biased;
            done = &mut command => return Ok(Some(done)),
            signal = signals.next() => match signal {
                Signal::Interrupt | Signal::Terminate if heed.0.get() => {}
                Signal::Interrupt | Signal::Terminate => return Ok(None),
                Signal::DrainNow => {}
            },
        }
    }
}

fn connection(task: &Task, context: &Context) -> Result<Connection, Failure> {
    let connect = match task {
        Task::Tasks(args) => &args.connect,
        Task::Status(args)
        | Task::Slaves(args)
        | Task::Frameworks(args)
        | Task::Offers(args)
        | Task::InverseOffers(args) => &args.connect,
        Task::Events(args) => &args.connect,
        Task::Deactivate(args) => &args.connect,
        Task::Activate(args) => &args.connect,
        Task::InverseOffer(args) => &args.connect,
        Task::Drain(args) => &args.connect,
        Task::Kill(args) => &args.connect,
        Task::Logs(args) => &args.connect,
        Task::Forget(args) => &args.connect,
        Task::ResumeRemovals(args) => &args.connect,
        Task::Teardown(args) => &args.connect,
    };
    Ok(context.loaded.operator(&connect.cluster, connect.operator.clone())?)
}

/// A client and where its answers are printed.
struct Operator {
    client: Client,
    printer: Printer,
    heed: Heed,
}

impl Operator {
    async fn carry_out(&mut self, task: Task) -> Result<Exit, Failure> {
        match task {
            Task::Status(_) => self.status().await?,
            Task::Slaves(_) => {
                let slaves = self.slaves().await?;
                self.list::<SlaveRow, _>(slaves, "no slaves: `neap slave` starts one")?;
                let away = self.held_away().await?;
                if !away.is_empty() {
                    self.printer.note("")?;
                    self.printer.note("held, and away: who registers under such a name is not offered")?;
                    if self.printer.format() == Format::Text {
                        self.printer.rows(&away, "")?;
                    }
                }
            }
            Task::Tasks(args) if args.ended => {
                let mut tasks = self.ended().await?;
                tasks.reverse();
                self.list::<TaskRow, _>(tasks, "no task has ended since this master leads")?;
            }
            Task::Tasks(_) => {
                let tasks = self.tasks().await?;
                self.list::<TaskRow, _>(
                    tasks,
                    "no tasks: `neap run` starts some, `--ended` lists those that were",
                )?;
                if self.printer.format() == Format::Text {
                    let (pending, _) = self.pending().await?;
                    for row in pending {
                        self.printer.note(row.sentence())?;
                    }
                }
            }
            Task::Frameworks(_) => {
                let frameworks = self.frameworks().await?;
                self.list::<FrameworkRow, _>(frameworks, "no frameworks: `neap run` is one")?;
            }
            Task::Offers(_) => {
                let offers = self.offers().await?;
                self.list::<OfferRow, _>(offers, "no offers are outstanding")?;
            }
            Task::InverseOffers(_) => {
                let open = self.inverse_offers().await?;
                self.list::<InverseOfferRow, _>(open, "no inverse offers are open")?;
            }
            Task::Events(args) if args.follow => return self.follow().await,
            Task::Events(_) => {
                for past in self.past().await? {
                    self.printer.one(&Line::of_past(&past))?;
                }
            }
            Task::Deactivate(args) => self.deactivate(args).await?,
            Task::Activate(args) => self.activate(args).await?,
            Task::InverseOffer(args) => return self.inverse_offer(args.action).await,
            Task::Drain(args) => return self.drain(args.action).await,
            Task::Logs(args) => {
                self.heed.command_hears(true);
                return self.logs(args.task, args.follow).await;
            }
            Task::Kill(args) => self.kill(args.task, args.reason).await?,
            Task::Forget(args) => self.forget(args).await?,
            Task::ResumeRemovals(args) => self.resume_removals(args).await?,
            Task::Teardown(args) => self.teardown(args).await?,
        }
        Ok(Exit::Success)
    }

    /// Ctrl-C came while no leader had answered.
    fn interrupted(&self) -> Result<Exit, Failure> {
        let failure = Failure::new(Exit::Detached, "interrupted before the leader had answered");
        Err(match self.client.is_in_doubt() {
            true => failure.help("what was asked may or may not have happened: see `neap status`"),
            false => failure.help("nothing was changed by it; what was begun before goes on"),
        })
    }

    async fn status(&mut self) -> Result<(), Failure> {
        let Answer::Status(status) = self.client.ask(Command::Show(Query::Status)).await? else {
            return Err(unexpected());
        };
        let slaves: Vec<SlaveRow> = self.slaves().await?.into_iter().map(SlaveRow::from).collect();
        let held_away = self.held_away().await?;
        let held: Vec<HeldRow> = slaves.iter().flat_map(SlaveRow::held).chain(held_away.clone()).collect();
        let draining: Vec<DrainRow> = slaves.iter().filter_map(SlaveRow::draining).collect();
        let (pending, more) = match status.frameworks {
            0 => (Vec::new(), false),
            _ => self.pending().await?,
        };
        let glance = Glance {
            leader: self.client.leader().map(|address| address.to_string()),
            epoch: status.epoch.0,
            connected: status.connected,
            away: status.away,
            unreachable: status.unreachable,
            silent: status.silent,
            deactivated: status.deactivated,
            frameworks: status.frameworks,
            tasks: status.tasks,
            offers: status.offers,
            drains: status.drains,
            removals_halted: status.removals_halted,
            held_away,
            slaves,
            pending,
        };
        self.printer.one(&glance)?;
        if self.printer.format() == Format::Json {
            return Ok(());
        }
        self.printer.note("")?;
        self.printer.rows(&glance.slaves, "no slaves: `neap slave` starts one")?;
        if !held.is_empty() {
            self.printer.note("")?;
            self.printer.rows(&held, "")?;
        }
        if !draining.is_empty() {
            self.printer.note("")?;
            self.printer.rows(&draining, "")?;
        }
        if !glance.pending.is_empty() {
            self.printer.note("")?;
            self.printer.rows(&glance.pending, "")?;
            if more {
                self.printer.note("more frameworks wait")?;
            }
        }
        Ok(())
    }

    /// The first frameworks that wait for offers, and whether there are more.
    async fn pending(&mut self) -> Result<(Vec<PendingRow>, bool), Failure> {
        let Answer::Pending(page) = self.client.ask(Command::Show(Query::Pending { after: None })).await?
        else {
            return Err(unexpected());
        };
        Ok((page.items.into_iter().map(PendingRow::from).collect(), page.more))
    }

    /// Ends a task; one that is over already is as it was to be.
    async fn kill(&mut self, task: TaskId, reason: Text) -> Result<(), Failure> {
        let (changed, text) = match self.client.ask(Command::Kill { task, reason }).await {
            Ok(Answer::Done { changed: true }) => (true, format!("{task} is being killed")),
            Ok(Answer::Done { changed: false }) => (false, format!("{task} is being killed already")),
            Ok(_) => return Err(unexpected()),
            Err(Problem::Refused(refusal @ Refusal::UnknownTask(_))) => match self.task(task).await? {
                Some(view) => (false, format!("nothing to kill: {}", events::task(&view))),
                None => return Err(Problem::Refused(refusal).into()),
            },
            Err(problem) => return Err(problem.into()),
        };
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    /// A task, one that ended lately included.
    async fn task(&mut self, task: TaskId) -> Result<Option<TaskView>, Failure> {
        match self.client.ask(Command::Show(Query::Task(task))).await {
            Ok(Answer::Tasks(page)) => Ok(page.items.into_iter().next()),
            Ok(_) => Err(unexpected()),
            Err(Problem::Refused(Refusal::UnknownTask(_))) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }

    async fn deactivate(&mut self, args: Deactivate) -> Result<(), Failure> {
        let hold = args.hold.unwrap_or_else(|| self.client.name().clone());
        let command =
            Command::Deactivate { slave: args.slave.clone(), hold: hold.clone(), reason: args.reason };
        let changed = self.done(command).await?;
        let (slave, already) = (&args.slave, if changed { "" } else { " already" });
        let text = format!("{hold} holds {slave} back{already}: it is not offered, its tasks run on");
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    /// Holds of names that no slave has now.
    async fn held_away(&mut self) -> Result<Vec<HeldRow>, Failure> {
        let rows = |view: &HeldNameView| {
            let slave = view.name.to_string();
            let hold = |hold: &HoldView| HoldRow::new(&hold.name, &hold.by, &hold.reason, hold.at);
            let holds: Vec<HoldRow> = view.holds.iter().map(hold).collect();
            holds.into_iter().map(move |hold| HeldRow { slave: slave.clone(), hold })
        };
        Ok(self.held_names().await?.iter().flat_map(rows).collect())
    }

    /// What holds a slave, or a name that is held and that none has now.
    async fn held(&mut self, slave: &SlaveRef) -> Result<Held, Failure> {
        if let SlaveRef::Name(name) = slave
            && let Some(away) = self.held_names().await?.into_iter().find(|held| held.name == *name)
        {
            return Ok(Held { holds: away.holds, drain: None, away: true });
        }
        let SlaveView { holds, drain, .. } = self.slave(slave).await?;
        Ok(Held { holds, drain, away: false })
    }

    async fn activate(&mut self, args: Activate) -> Result<(), Failure> {
        let (slave, reason) = (args.slave, args.reason);
        let before = self.held(&slave).await?;
        let lift = match (args.all, args.hold) {
            (true, _) => vec![None],
            (false, Some(hold)) => vec![Some(hold)],
            (false, None) => self.own_holds(&before).into_iter().map(Some).collect(),
        };
        let mut changed = false;
        for hold in lift {
            let reason = reason.clone();
            changed |= self.done(Command::Activate { slave: slave.clone(), hold, reason }).await?;
        }
        // A name that no slave has is known for its holds alone.
        let after = match self.held(&slave).await {
            Err(failure) if before.away && failure.exit() == Exit::Refused => {
                Held { away: true, ..Held::default() }
            }
            after => after?,
        };
        let left = |name: &Name| after.holds.iter().any(|hold| hold.name == *name);
        let gone = before.holds.iter().map(|hold| &hold.name).filter(|name| !left(name));
        let lifted: Vec<String> = gone.map(ToString::to_string).collect();
        let done = match changed {
            true => format!("lifted {}", lifted.join(", ")),
            false => "there was nothing to lift".to_owned(),
        };
        let held: Vec<String> =
            after.holds.iter().map(|hold| format!("{} by {}", hold.name, hold.by)).collect();
        let text = match held.is_empty() {
            true if after.away => format!("{done}; {slave} is away, and offered when it registers"),
            true => format!("{done}; {slave} is offered"),
            false => format!("{done}; {slave} is still held back: {}", held.join(", ")),
        };
        self.printer.one(&Outcome { changed, text })?;
        if let Some(hold) = after.holds.first() {
            let draining = after.drain.as_ref().filter(|drain| drain.end.is_none());
            let draining = draining.filter(|drain| drain_hold(drain.id).as_ref() == Some(&hold.name));
            self.printer.note(match draining {
                Some(drain) => format!("`neap drain --cancel {}` gives up the drain, and its hold", drain.id),
                None => {
                    format!("`neap activate {slave} --hold {}` lifts that one, --all every one", hold.name)
                }
            })?;
        }
        Ok(())
    }

    /// Removes a slave that is dead. A name that is not known is not taken for another's.
    async fn forget(&mut self, args: Forget) -> Result<(), Failure> {
        let shown = self.client.ask(Command::Show(Query::Slave(args.slave.clone()))).await?;
        let Answer::Slaves(page) = shown else { return Err(unexpected()) };
        let before = page.items.into_iter().next().ok_or_else(unexpected)?;
        let (id, name) = (before.id, &before.name);
        let command = Command::ForgetSlave { slave: SlaveRef::Id(id), reason: args.reason };
        let Answer::Done { changed } = self.client.ask(command).await? else { return Err(unexpected()) };
        let text = format!(
            "{name} ({id}) is removed, and what it ran is Lost ({} known); should it live, it ends all of that before it \
             registers, as a new slave",
            counted(before.tasks, "task")
        );
        self.printer.one(&Outcome { changed, text })?;
        Ok(self.printer.note(format!("`neap drain --receipt {id}` shows what became of each task"))?)
    }

    async fn resume_removals(&mut self, args: Resume) -> Result<(), Failure> {
        let changed = self.done(Command::ResumeRemovals { reason: args.reason }).await?;
        let text = match changed {
            true => "removals go on: slaves that have been silent for too long are given up",
            false => "removals were not halted",
        };
        Ok(self.printer.one(&Outcome { changed, text: text.to_owned() })?)
    }

    async fn teardown(&mut self, args: Teardown) -> Result<(), Failure> {
        // One that is called almost so is not offered instead: what is torn down is gone.
        if let FrameworkRef::Name(name) = &args.framework
            && self.frameworks().await?.iter().all(|known| known.name != *name)
        {
            let failure = Failure::new(Exit::Refused, format!("no framework is called {name}"));
            return Err(failure.help("list frameworks with `neap frameworks`"));
        }
        let framework = self.framework(&args.framework).await?;
        let tasks: Vec<TaskView> =
            self.tasks().await?.into_iter().filter(|task| task.id.framework == framework).collect();
        let slaves: std::collections::BTreeSet<&Name> = tasks.iter().map(|task| &task.slave_name).collect();
        let slaves: Vec<String> = slaves.into_iter().map(ToString::to_string).collect();
        let count = counted(tasks.len() as u64, "task");
        let there = if slaves.is_empty() { String::new() } else { format!(" on {}", slaves.join(", ")) };
        let Some(reason) = args.reason.filter(|_| !args.dry_run) else {
            let text = format!("{framework} would be removed, and {count} killed{there}");
            return Ok(self.printer.one(&Outcome { changed: false, text })?);
        };
        let changed = self.done(Command::Teardown { framework, reason }).await?;
        let text = match changed {
            true => format!("{framework} is removed, and {count} killed{there}"),
            false => format!("{framework} has gone by itself meanwhile"),
        };
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    /// The holds that an operator means who names none: the one with the operator's name, and that of the operator's
    /// own drain, once it is over.
    fn own_holds(&self, slave: &Held) -> Vec<Name> {
        let own = self.client.name();
        let in_progress = slave.drain.as_ref().filter(|drain| drain.end.is_none());
        let in_progress = in_progress.and_then(|drain| drain_hold(drain.id));
        let over = slave.holds.iter().filter(|hold| hold.by == *own && is_of_drain(&hold.name));
        let over = over.map(|hold| hold.name.clone()).filter(|name| in_progress.as_ref() != Some(name));
        std::iter::once(own.clone()).chain(over).collect()
    }

    async fn follow(&mut self) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        self.watch().await?;
        let mut epoch = self.epoch().await?;
        // So that a program knows from when on nothing is missed.
        self.printer.one(&Line::note("watching", "what happens from here on; Ctrl-C ends it".to_owned()))?;
        loop {
            match self.next(&mut signals, None).await {
                Ok(Next::Event(event)) => self.printer.one(&Line::of(&event))?,
                Ok(Next::Interrupted) => return Ok(Exit::Success),
                Ok(Next::Quiet) => {}
                Err(lost) => {
                    self.watch_again(lost).await?;
                    let next = self.epoch().await?;
                    if std::mem::replace(&mut epoch, next) != next {
                        // What the next leader did before it was watched. What came since is among it.
                        for past in self.past().await? {
                            self.printer.one(&Line::of_past(&past))?;
                        }
                        self.client.forget_events();
                    }
                }
            }
        }
    }

    async fn epoch(&mut self) -> Result<Epoch, Failure> {
        let Answer::Status(status) = self.client.ask(Command::Show(Query::Status)).await? else {
            return Err(unexpected());
        };
        Ok(status.epoch)
    }

    async fn watch(&mut self) -> Result<(), Failure> {
        let watching = self.client.ask(Command::Watch).await? == Answer::Watching;
        if watching { Ok(()) } else { Err(unexpected()) }
    }

    /// Asks for something that is done or was so before; answers whether it changed anything.
    async fn done(&mut self, command: Command) -> Result<bool, Failure> {
        let Answer::Done { changed } = self.ask(command).await? else {
            return Err(unexpected());
        };
        Ok(changed)
    }

    /// Asks, and explains a refusal.
    async fn ask(&mut self, command: Command) -> Result<Answer, Failure> {
        match self.client.ask(command).await {
            Ok(answer) => Ok(answer),
            Err(problem) => Err(self.explained(problem).await),
        }
    }

    /// A problem in words; an unknown slave's with those that were probably meant, or with what became of it.
    async fn explained(&mut self, problem: Problem) -> Failure {
        let name = match problem {
            Problem::Refused(Refusal::SlaveLeft { name, slave, at }) => return left(&name, slave, at),
            Problem::Refused(Refusal::UnknownSlave(SlaveRef::Name(name))) => name,
            problem @ (Problem::Refused(_) | Problem::Unreached(_)) => return problem.into(),
        };
        match self.slaves().await {
            Ok(slaves) => {
                // Who takes one machine for another ends its work: of slave-1 and slave-3 neither is meant by the other.
                let known = slaves.iter().map(|slave| slave.name.as_str());
                let known = known.filter(|known| !near::are_siblings(known, name.as_str()));
                near::unknown("slave", name.as_str(), known, "neap slaves")
            }
            Err(failure) => failure,
        }
    }

    async fn slave(&mut self, slave: &SlaveRef) -> Result<SlaveView, Failure> {
        let Answer::Slaves(page) = self.ask(Command::Show(Query::Slave(slave.clone()))).await? else {
            return Err(unexpected());
        };
        page.items.into_iter().next().ok_or_else(unexpected)
    }

    /// The framework that an operator means: a name that several bear is refused with their ids.
    async fn framework(
        &mut self,
        framework: &FrameworkRef,
    ) -> Result<neap_protocol::ids::FrameworkId, Failure> {
        let name: &Name = match framework {
            FrameworkRef::Id(id) => return Ok(*id),
            FrameworkRef::Name(name) => name,
        };
        let known = self.frameworks().await?;
        let named: Vec<_> = known.iter().filter(|one| one.name == *name).map(|one| one.id).collect();
        match named.as_slice() {
            [id] => Ok(*id),
            [] => {
                let names = known.iter().map(|one| one.name.as_str());
                Err(near::unknown("framework", name.as_str(), names, "neap frameworks"))
            }
            several => {
                let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
                let message = format!("several frameworks are called {name}");
                Err(Failure::new(Exit::Refused, message)
                    .help(format!("name one by its id: {}", ids.join(", "))))
            }
        }
    }

    fn list<R: Row + From<V>, V>(&mut self, views: Vec<V>, none: &str) -> Result<(), Failure> {
        let rows: Vec<R> = views.into_iter().map(R::from).collect();
        Ok(self.printer.rows(&rows, none)?)
    }
}

/// The refusal of what is asked of a slave that is not any more.
fn left(name: &Name, slave: SlaveId, at: Moment) -> Failure {
    let message = format!("{name} has left for good: it was {slave}, until {}", clock(at));
    Failure::new(Exit::Refused, message)
        .help(format!("`neap drain --receipt {slave}` shows what was done to each task"))
        .help("the host registers under a new id when its slave is started again; `neap slaves` lists those there are")
}

/// A listing of the leader's, page by page.
macro_rules! listing {
    ($name:ident, $view:ident, $query:ident -> $answer:ident, $item:ident => $key:expr) => {
        impl Operator {
            async fn $name(&mut self) -> Result<Vec<neap_protocol::message::$view>, Failure> {
                let mut all: Vec<neap_protocol::message::$view> = Vec::new();
                loop {
                    let after = all.last().map(|$item| $key);
                    let answer = self.client.ask(Command::Show(Query::$query { after })).await?;
                    let Answer::$answer(Page { items, more }) = answer else {
                        return Err(unexpected());
                    };
                    let last = !more || items.is_empty();
                    all.extend(items);
                    if last {
                        return Ok(all);
                    }
                }
            }
        }
    };
}

listing!(slaves, SlaveView, Slaves -> Slaves, view => view.id);
listing!(held_names, HeldNameView, HeldNames -> HeldNames, view => view.name.clone());
listing!(tasks, TaskView, Tasks -> Tasks, view => (view.slave, view.id));
listing!(ended, TaskView, Ended -> Tasks, view => view.id);
listing!(frameworks, FrameworkView, Frameworks -> Frameworks, view => view.id);
listing!(offers, OfferView, Offers -> Offers, view => view.id);
listing!(inverse_offers, InverseOfferView, InverseOffers -> InverseOffers, view => view.id);
listing!(past, PastEvent, Events -> Events, past => past.number);

/// What holds a slave's name.
#[derive(Default)]
struct Held {
    holds: Vec<HoldView>,
    drain: Option<DrainView>,
    /// Whether no slave has the name now.
    away: bool,
}

/// What became of a change.
#[derive(Debug, Serialize)]
struct Outcome {
    changed: bool,
    text: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::output::printable(&self.text))
    }
}

/// The cluster, for `neap status`: in text, the slaves follow as a table.
#[derive(Debug, Serialize)]
struct Glance {
    leader: Option<String>,
    epoch: u64,
    connected: u32,
    away: u32,
    unreachable: u32,
    silent: u32,
    deactivated: u32,
    frameworks: u32,
    tasks: u32,
    offers: u32,
    drains: u32,
    removals_halted: bool,
    /// Holds of names that no slave has now.
    held_away: Vec<HeldRow>,
    slaves: Vec<SlaveRow>,
    pending: Vec<PendingRow>,
}

impl std::fmt::Display for Glance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let leader = self.leader.as_deref().unwrap_or("-");
        writeln!(f, "{leader} leads, in epoch {}", self.epoch)?;
        // The first ones add up to all; the others are some of them.
        let some = |count: u32, how: &str| (count > 0).then(|| format!("{count} {how}"));
        let all = [some(self.away, "away"), some(self.unreachable, "unreachable")];
        let part = [some(self.silent, "silent"), some(self.deactivated, "deactivated")];
        let all: String = all.into_iter().flatten().map(|some| format!(", {some}")).collect();
        let part: Vec<String> = part.into_iter().flatten().collect();
        let part = if part.is_empty() { String::new() } else { format!("; {}", part.join(", ")) };
        writeln!(
            f,
            "{}: {} connected{all}{part}",
            counted(self.slaves.len() as u64, "slave"),
            self.connected
        )?;
        write!(
            f,
            "{}, {}, {}, {} in progress",
            counted(self.frameworks, "framework"),
            counted(self.tasks, "task"),
            counted(self.offers, "offer"),
            counted(self.drains, "drain")
        )?;
        match self.removals_halted {
            true => write!(
                f,
                "\nremovals are halted: too much of the cluster fell silent, and no further slave is marked unreachable; `neap removals resume --reason \
                 WHY` has that go on, `neap slave forget NAME --reason WHY` removes a slave that is dead"
            ),
            false => Ok(()),
        }
    }
}

/// A master that answers something else than it was asked.
fn unexpected() -> Failure {
    Failure::new(Exit::Failed, "the master answered something else than was asked")
        .help("install the same release on both")
}
