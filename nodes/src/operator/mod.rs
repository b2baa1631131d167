//! What operators do: look at a cluster, change it, and watch what follows.
//!
//! Every command is a question to the leader ([`Client`]) and a printed answer. A refusal keeps its words and its
//! advice; exit codes are those of [`Exit`].

mod client;
mod events;
mod logs;
mod takeout;
mod views;

use neap_protocol::message::{Answer, Command, Page, Query, Refusal, SlaveRef};
use neap_protocol::text::Name;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::change::{Activate, Deactivate, Drain, FrameworkRef, InverseOffer};
use crate::cli::show::{Events, Show};
use crate::cli::work::{Kill, Logs};
use crate::config::Connection;
use crate::exit::Exit;
use crate::near;
use crate::output::{Failure, Printer, Row};
use crate::shutdown::{Signal, Signals};

pub use client::{Client, Problem};
use events::Line;
use views::{FrameworkRow, InverseOfferRow, OfferRow, SlaveRow, TaskRow};

/// What an operator asked for.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the command of its name; the arguments' types tell the rest")]
pub enum Task {
    Status(Show),
    Slaves(Show),
    Tasks(Show),
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
        let mut operator = Operator { client: Client::new(&connection)?, printer: context.printer() };
        let done = operator.carry_out(task).await;
        operator.client.close().await;
        done
    })
}

fn connection(task: &Task, context: &Context) -> Result<Connection, Failure> {
    let connect = match task {
        Task::Status(args)
        | Task::Slaves(args)
        | Task::Tasks(args)
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
    };
    Ok(context.loaded.operator(&connect.cluster, connect.operator.clone())?)
}

/// A client and where its answers are printed.
struct Operator {
    client: Client,
    printer: Printer,
}

impl Operator {
    async fn carry_out(&mut self, task: Task) -> Result<Exit, Failure> {
        match task {
            Task::Status(_) => self.status().await?,
            Task::Slaves(_) => {
                let slaves = self.slaves().await?;
                self.list::<SlaveRow, _>(slaves, "no slaves: `neap slave` starts one")?;
            }
            Task::Tasks(_) => {
                let tasks = self.tasks().await?;
                self.list::<TaskRow, _>(tasks, "no tasks: `neap run` starts some")?;
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
            Task::Events(_) => self.history().await?,
            Task::Deactivate(args) => self.deactivate(args).await?,
            Task::Activate(args) => self.activate(args).await?,
            Task::InverseOffer(args) => return self.inverse_offer(args.action).await,
            Task::Drain(args) => return self.drain(args.action).await,
            Task::Logs(args) => return self.logs(args.task, args.follow).await,
            Task::Kill(args) => {
                let changed = self.done(Command::Kill(args.task)).await?;
                let text = match changed {
                    true => format!("{} is being killed", args.task),
                    false => format!("{} is being killed already", args.task),
                };
                self.printer.one(&Outcome { changed, text })?;
            }
        }
        Ok(Exit::Success)
    }

    async fn status(&mut self) -> Result<(), Failure> {
        let Answer::Status(status) = self.client.ask(Command::Show(Query::Status)).await? else {
            return Err(unexpected());
        };
        self.printer.one(&Glance {
            epoch: status.epoch.0,
            slaves: status.slaves,
            connected: status.connected,
            deactivated: status.deactivated,
            unreachable: status.unreachable,
            frameworks: status.frameworks,
            tasks: status.tasks,
            offers: status.offers,
            drains: status.drains,
            removals_halted: status.removals_halted,
        })?;
        let slaves = self.slaves().await?;
        if !slaves.is_empty() {
            self.printer.note("")?;
        }
        self.list::<SlaveRow, _>(slaves, "no slaves: `neap slave` starts one")
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

    async fn activate(&mut self, args: Activate) -> Result<(), Failure> {
        let hold = match (args.all, args.hold) {
            (true, _) => None,
            (false, hold) => Some(hold.unwrap_or_else(|| self.client.name().clone())),
        };
        let slave = args.slave.clone();
        let changed = self.done(Command::Activate { slave, hold: hold.clone() }).await?;
        let view = self.slave(&args.slave).await?;
        let left: Vec<String> =
            view.holds.iter().map(|hold| format!("{} by {}", hold.name, hold.by)).collect();
        let lifted = match (changed, hold) {
            (true, _) => "lifted".to_owned(),
            (false, Some(hold)) => format!("there is no hold {hold}"),
            (false, None) => "there is no hold to lift".to_owned(),
        };
        let text = match left.is_empty() {
            true => format!("{lifted}; {} is offered", args.slave),
            false => format!("{lifted}; {} is still held back: {}", args.slave, left.join(", ")),
        };
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    async fn history(&mut self) -> Result<(), Failure> {
        let Answer::Tasks(page) = self.client.ask(Command::Show(Query::History)).await? else {
            return Err(unexpected());
        };
        let ended: Vec<_> = page.items.into_iter().rev().collect();
        self.list::<TaskRow, _>(ended, "no task has ended since this master leads")?;
        Ok(self.printer.note("`neap events --follow` prints everything that happens from here on")?)
    }

    async fn follow(&mut self) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        self.watch().await?;
        loop {
            tokio::select! {
                event = self.client.event() => self.printer.one(&Line::of(&event?))?,
                signal = signals.next() => match signal {
                    Signal::Interrupt | Signal::Terminate => return Ok(Exit::Success),
                    Signal::DrainNow => {}
                },
            }
        }
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

    /// Asks, and answers the refusal of an unknown slave or task with those that were probably meant.
    async fn ask(&mut self, command: Command) -> Result<Answer, Failure> {
        match self.client.ask(command).await {
            Ok(answer) => Ok(answer),
            Err(Problem::Refused(Refusal::UnknownSlave(SlaveRef::Name(name)))) => {
                let slaves = self.slaves().await?;
                let known = slaves.iter().map(|slave| slave.name.as_str());
                Err(near::unknown("slave", name.as_str(), known, "neap slaves"))
            }
            Err(Problem::Refused(Refusal::UnknownTask(task))) => {
                let known: Vec<String> = self.tasks().await?.iter().map(|view| view.id.to_string()).collect();
                let near = near::did_you_mean(&task.to_string(), known.iter().map(String::as_str));
                let failure = Failure::from(Problem::Refused(Refusal::UnknownTask(task)));
                Err(near.into_iter().fold(failure, Failure::help))
            }
            Err(problem) => Err(problem.into()),
        }
    }

    async fn slave(&mut self, slave: &SlaveRef) -> Result<neap_protocol::message::SlaveView, Failure> {
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

/// A listing of the leader's, page by page.
macro_rules! listing {
    ($name:ident, $view:ident, $variant:ident, $item:ident => $key:expr) => {
        impl Operator {
            async fn $name(&mut self) -> Result<Vec<neap_protocol::message::$view>, Failure> {
                let mut all: Vec<neap_protocol::message::$view> = Vec::new();
                loop {
                    let after = all.last().map(|$item| $key);
                    let answer = self.client.ask(Command::Show(Query::$variant { after })).await?;
                    let Answer::$variant(Page { items, more }) = answer else {
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

listing!(slaves, SlaveView, Slaves, view => view.id);
listing!(tasks, TaskView, Tasks, view => (view.slave, view.id));
listing!(frameworks, FrameworkView, Frameworks, view => view.id);
listing!(offers, OfferView, Offers, view => view.id);
listing!(inverse_offers, InverseOfferView, InverseOffers, view => view.id);

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

#[derive(Debug, Serialize)]
struct Glance {
    epoch: u64,
    slaves: u32,
    connected: u32,
    deactivated: u32,
    unreachable: u32,
    frameworks: u32,
    tasks: u32,
    offers: u32,
    drains: u32,
    removals_halted: bool,
}

impl std::fmt::Display for Glance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "epoch {}: {} slaves ({} connected, {} deactivated, {} unreachable)",
            self.epoch, self.slaves, self.connected, self.deactivated, self.unreachable
        )?;
        write!(
            f,
            "{} frameworks, {} tasks, {} offers, {} drains in progress",
            self.frameworks, self.tasks, self.offers, self.drains
        )?;
        match self.removals_halted {
            true => write!(f, "\nremovals are halted: too much of the cluster is silent"),
            false => Ok(()),
        }
    }
}

/// A master that answers something else than it was asked.
fn unexpected() -> Failure {
    Failure::new(Exit::Failed, "the master answered something else than was asked")
        .help("install the same release on both")
}
