//! For authors of frameworks: a [`Scheduler`] says what it wants through its [`Driver`], and [`run`] keeps it
//! subscribed to whichever master leads ([`neap_protocol::framework`]).
//!
//! Callbacks are made one after another. What a callback asks of its driver happens once it has returned, in order; an
//! update is acknowledged only after that (R12).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use neap_protocol::framework::{Command, Config, Effect, Event, Framework, Input, Timer};
use neap_protocol::ids::{FrameworkId, InverseOfferId, OfferId, SessionId, SlaveId, TaskId};
use neap_protocol::message::{InverseAnswer, InverseOutcome, Offered, Pending, Want};
use neap_protocol::outbox::Outbox;
use neap_protocol::task::Update;
use neap_protocol::text::Text;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, CloseReason, Role};
use neap_transport_quic::{Credentials, Endpoint, Expect, QuicSession};
use tokio::sync::mpsc;

use crate::config::Connection;
use crate::driver::{Timers, jittered};
use crate::exit::Exit;
use crate::journal::{self, Journal};
use crate::output::Failure;
use crate::sessions::{News, Sessions};
use crate::shutdown::{Signal, Signals};

pub use neap_protocol::framework::{Asked, NewRun, NewTask};

pub use state::State;

pub mod command;
mod fleet;
mod state;

use state::{Change, Unkept};

/// How many events wait for the scheduler before reading waits.
const EVENTS_MAX: usize = 1024;

/// How soon is written again what the disk did not take.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// What an author writes. Only offers and updates must be dealt with.
pub trait Scheduler {
    /// The first call, before any master was reached.
    fn started(&mut self, driver: &mut Driver) {
        let _unused = driver;
    }

    /// Subscribed, for the first time or again after [`disconnected`](Self::disconnected).
    fn subscribed(&mut self, driver: &mut Driver, id: FrameworkId) {
        let _unused = (driver, id);
    }

    /// There is no master for now; tasks go on, and offers are void.
    fn disconnected(&mut self, driver: &mut Driver) {
        let _unused = driver;
    }

    /// Resources, lent until [accepted](Driver::accept), [declined](Driver::decline) or
    /// [rescinded](Self::rescinded).
    fn offers(&mut self, driver: &mut Driver, offers: Vec<Offered>);

    /// These offers are gone.
    fn rescinded(&mut self, driver: &mut Driver, offers: Vec<OfferId>) {
        let _unused = (driver, offers);
    }

    /// The tasks of an [accept](Driver::accept) have these ids, in the order in which they were named.
    fn launching(&mut self, driver: &mut Driver, offer: OfferId, tasks: Vec<TaskId>) {
        let _unused = (driver, offer, tasks);
    }

    /// News of a task; acknowledged once this has returned (R12).
    fn update(&mut self, driver: &mut Driver, update: &Update, slave: SlaveId);

    /// Somebody wants resources back by a deadline, or has moved it (R17). Without an answer they are revoked then.
    fn inverse_offer(&mut self, driver: &mut Driver, id: InverseOfferId, asked: Asked) {
        let _unused = (driver, id, asked);
    }

    /// An inverse offer is over.
    fn inverse_offer_closed(&mut self, driver: &mut Driver, id: InverseOfferId, outcome: InverseOutcome) {
        let _unused = (driver, id, outcome);
    }

    /// Why there is no offer of what it [wants](Driver::want).
    fn pending(&mut self, driver: &mut Driver, why: Pending) {
        let _unused = (driver, why);
    }

    /// The time that [`Driver::wake_at`] named has come.
    fn woken(&mut self, driver: &mut Driver) {
        let _unused = driver;
    }

    /// SIGTERM, SIGINT or SIGUSR1 came to this process.
    fn signalled(&mut self, driver: &mut Driver, signal: Signal) {
        let _unused = signal;
        driver.teardown();
    }
}

/// What a scheduler asks for, during a callback.
#[derive(Debug, Default)]
pub struct Driver {
    commands: VecDeque<Command>,
    notes: Vec<Change>,
    wake: Option<Instant>,
    leave: bool,
}

impl Driver {
    /// Launches tasks on an offer's slave; what is left of it need not be offered again for `filter`.
    pub fn accept(&mut self, offer: OfferId, tasks: Vec<NewTask>, filter: Millis) {
        self.commands.push_back(Command::Accept { offer, tasks, filter });
    }

    /// Gives offers back; their slaves need not be offered again for `filter`.
    pub fn decline(&mut self, offers: Vec<OfferId>, filter: Millis) {
        self.commands.push_back(Command::Decline { offers, filter });
    }

    /// Asks for offers again, whatever was filtered or [suppressed](Self::suppress).
    pub fn revive(&mut self) {
        self.commands.push_back(Command::Revive);
    }

    /// Says what it waits for, so that operators see it, and asks why it must: [`Scheduler::pending`] tells. With every
    /// session this begins again.
    pub fn want(&mut self, want: Want) {
        self.commands.push_back(Command::Want(want));
    }

    /// Asks for no offers until [revived](Self::revive).
    pub fn suppress(&mut self) {
        self.commands.push_back(Command::Suppress);
    }

    /// Ends a task, within its own grace or less (R13).
    pub fn kill(&mut self, task: TaskId, grace: Option<Millis>) {
        self.commands.push_back(Command::Kill { task, grace });
    }

    /// Answers an inverse offer (R17).
    pub fn answer_inverse(&mut self, id: InverseOfferId, answer: InverseAnswer) {
        self.commands.push_back(Command::AnswerInverse { id, answer });
    }

    /// Asks what has become of every task. After every subscription this happens by itself (R15).
    pub fn reconcile(&mut self) {
        self.commands.push_back(Command::Reconcile);
    }

    /// Kills what is left and forgets the framework; [`run`] then returns [`End::TornDown`].
    pub fn teardown(&mut self) {
        self.commands.push_back(Command::Teardown);
    }

    /// Notes something for a later process of the same framework ([`State::note`]), in place of what was noted
    /// under this key before. It is durable before anything that the callback asks for happens, and before its update
    /// is acknowledged.
    pub fn note(&mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.notes.push(Change::Note { key: key.into(), value: Some(value.into()) });
    }

    /// Takes a note back.
    pub fn erase(&mut self, key: impl Into<String>) {
        self.notes.push(Change::Note { key: key.into(), value: None });
    }

    /// Makes [`run`] return [`End::Left`] at once; tasks go on for the failover timeout (R14).
    pub fn leave(&mut self) {
        self.leave = true;
    }

    /// Has [`Scheduler::woken`] called at `at`, or at a sooner moment that was named before.
    pub fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }
}

/// What [`run`] needs.
#[derive(Debug)]
pub struct Settings {
    /// The masters, and this framework's certificate.
    pub connection: Connection,
    /// Its name, weight and times.
    pub config: Config,
    /// What an earlier process of it left, and where this one leaves the same (R14).
    pub state: State,
    /// Where its machine is recorded, if it is.
    pub journal: Option<journal::Options>,
}

/// How a framework's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was torn down: nothing of it is left.
    TornDown,
    /// The scheduler left; its tasks go on.
    Left,
    /// The master refused it, for this reason.
    Refused(Text),
}

/// Runs a scheduler until it is torn down, leaves, or is refused.
///
/// # Errors
/// Where it cannot begin (credentials, network, the state file), the state file is another's by now, or a signal comes
/// while what must be durable cannot be written.
pub async fn run(scheduler: &mut impl Scheduler, settings: Settings) -> Result<End, Failure> {
    let signals = Signals::new().map_err(|error| Failure::because("listen for signals", &error))?;
    let identity = &settings.connection.identity;
    let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key)
        .map_err(|error| Failure::because("use the framework's certificate", &error))?;
    crate::pki::speaks_as(&credentials, Role::Framework, &identity.cert)?;
    let local = SocketAddr::new(crate::slave::local(settings.connection.masters[0]), 0);
    let endpoint = Endpoint::bind(local, &credentials, &Default::default())
        .map_err(|error| Failure::because("open the framework's network", &error))?;
    let journal =
        Journal::open::<Framework>(settings.journal.as_ref(), &settings.config.name, &settings.config)?;
    let (events, mut happened) = mpsc::channel(EVENTS_MAX);
    let mut runner = Runner {
        scheduler,
        machine: Framework::new(),
        journal,
        settings,
        signals,
        endpoint: endpoint.clone(),
        events,
        outbox: Outbox::new(),
        timers: Timers::new(),
        sessions: Sessions::default(),
        session: 0,
        next_master: 0,
        driver: Driver::default(),
        over: false,
        end: None,
    };
    runner.input(runner.settings.state.memory().start()).await?;
    runner.call(|scheduler, driver| scheduler.started(driver)).await?;
    while runner.end.is_none() {
        tokio::select! {
            biased;
            signal = runner.signals.next() => {
                runner.call(|scheduler, driver| scheduler.signalled(driver, signal)).await?;
            }
            () = runner.timers.wait() => runner.fire().await?,
            Some(event) = happened.recv() => runner.happen(event).await?,
        }
    }
    let reason = CloseReason { code: CloseCode::Done, detail: Text::new("the framework is done") };
    runner.sessions.close_all(&reason).await;
    endpoint.close(&reason);
    // What was said last has arrived, or had its time.
    endpoint.flush().await;
    if runner.over {
        // The last thing that is done: a process that is killed before knows what it had done, and one after has ended.
        runner.settings.state.forget();
    }
    Ok(runner.end.unwrap_or(End::Left))
}

#[derive(Debug)]
enum Happened {
    Input(Input),
    Master(QuicSession),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Machine(Timer),
    Wake,
}

struct Runner<'s, S> {
    scheduler: &'s mut S,
    machine: Framework,
    journal: Journal,
    settings: Settings,
    signals: Signals,
    endpoint: Endpoint,
    events: mpsc::Sender<Happened>,
    outbox: Outbox<Effect>,
    timers: Timers<Alarm>,
    sessions: Sessions,
    session: u32,
    next_master: usize,
    driver: Driver,
    /// It is torn down: a later process has nothing to take up.
    over: bool,
    end: Option<End>,
}

impl<S: Scheduler> Runner<'_, S> {
    async fn fire(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        while let Some(alarm) = self.timers.fire(now) {
            match alarm {
                Alarm::Machine(timer) => self.input(Input::Timer(timer)).await?,
                Alarm::Wake => {
                    self.driver.wake = None;
                    self.call(|scheduler, driver| scheduler.woken(driver)).await?;
                }
            }
        }
        Ok(())
    }

    async fn happen(&mut self, happened: Happened) -> Result<(), Failure> {
        match happened {
            // What a session brings that the machine has closed, or knows to be closed, is for nobody.
            Happened::Input(Input::Closed { session }) if !self.sessions.forget(session) => Ok(()),
            Happened::Input(Input::Master { session, .. }) if !self.sessions.is_open(session) => Ok(()),
            Happened::Input(input) => self.input(input).await,
            Happened::Master(quic) => {
                self.session += 1;
                let session = SessionId(self.session);
                if self.journal.is_on() {
                    self.journal.session(session, quic.link());
                }
                self.sessions.open(session, quic, self.events.clone(), |news| {
                    Happened::Input(match news {
                        News::Said(session, message) => Input::Master { session, message },
                        News::Ended(session, cause) => {
                            tracing::info!(cause = cause.as_str(), "the session with the master ended");
                            Input::Closed { session }
                        }
                    })
                });
                self.input(Input::Opened { session }).await
            }
        }
    }

    /// Calls the scheduler, then does what it asked for.
    async fn call(&mut self, callback: impl FnOnce(&mut S, &mut Driver)) -> Result<(), Failure> {
        let inputs = self.asked(Vec::new(), callback).await?;
        self.inputs(inputs).await
    }

    /// Calls the scheduler. What it notes is durable, together with `changes`, before it is answered.
    async fn asked(
        &mut self,
        mut changes: Vec<Change>,
        callback: impl FnOnce(&mut S, &mut Driver),
    ) -> Result<VecDeque<Input>, Failure> {
        callback(self.scheduler, &mut self.driver);
        changes.append(&mut self.driver.notes);
        self.keep(&changes).await?;
        if let Some(at) = self.driver.wake {
            self.timers.set_at(Alarm::Wake, at);
        }
        if self.driver.leave {
            self.end.get_or_insert(End::Left);
        }
        Ok(self.driver.commands.drain(..).map(Input::Scheduler).collect())
    }

    /// Makes changes durable. While the disk does not take them nothing is said to the master that follows from them or
    /// comes after them; its session goes on, so that tasks do.
    async fn keep(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let mut said = false;
        loop {
            let cause = match self.settings.state.write(changes) {
                Ok(()) => break,
                Err(Unkept::Ever(failure)) => return Err(failure),
                Err(Unkept::Yet(cause)) => cause,
            };
            if !said {
                tracing::error!(
                    %cause,
                    file = %self.settings.state.file().unwrap_or(Path::new("")).display(),
                    "the framework's state cannot be written; make room on its disk: until then its tasks go on, \
                     and none is launched or acknowledged"
                );
                said = true;
            }
            tokio::select! {
                biased;
                _signal = self.signals.next() => return Err(self.unkept(&cause)),
                () = tokio::time::sleep(WRITE_AGAIN) => {}
            }
        }
        if said {
            tracing::warn!("the framework's state is written again");
        }
        Ok(())
    }

    /// The end of a process that was told to end before the disk took its changes.
    fn unkept(&self, cause: &str) -> Failure {
        let file = self.settings.state.file().unwrap_or(Path::new("")).display();
        let away = self.settings.config.failover_timeout;
        let message =
            format!("it was told to end while the framework's state {file} cannot be written: {cause}");
        Failure::new(Exit::Failed, message).help(format!(
            "make room on its disk, and start it again within its failover timeout, {away}: its tasks go on for as long"
        ))
    }

    async fn input(&mut self, input: Input) -> Result<(), Failure> {
        self.inputs(VecDeque::from([input])).await
    }

    async fn inputs(&mut self, mut inputs: VecDeque<Input>) -> Result<(), Failure> {
        while let Some(input) = inputs.pop_front() {
            self.journal.input(&input);
            self.machine.handle(&self.settings.config, input, &mut self.outbox);
            self.journal.effects(self.outbox.as_slice());
            let effects: Vec<Effect> = self.outbox.drain().collect();
            for effect in effects {
                inputs.extend(self.take(effect).await?);
            }
        }
        Ok(())
    }

    async fn take(&mut self, effect: Effect) -> Result<VecDeque<Input>, Failure> {
        match effect {
            Effect::Connect { leader } => self.connect(leader),
            Effect::ToMaster { session, message } => {
                if !self.sessions.say(session, &message) {
                    return Ok(VecDeque::from([Input::Closed { session }]));
                }
            }
            Effect::Close { session, reason } => self.sessions.close(session, reason),
            Effect::SetTimer { timer: timer @ Timer::Connect, when } => {
                self.timers.set(Alarm::Machine(timer), jittered(when));
            }
            Effect::SetTimer { timer, when } => self.timers.set(Alarm::Machine(timer), when),
            Effect::CancelTimer(timer) => self.timers.cancel(&Alarm::Machine(timer)),
            Effect::Notify(event) => return self.notify(event).await,
            Effect::Exit => {
                self.end.get_or_insert(End::TornDown);
            }
        }
        Ok(VecDeque::new())
    }

    async fn notify(&mut self, event: Event) -> Result<VecDeque<Input>, Failure> {
        let change = self.settings.state.memory().change(&self.machine, &event).map(Change::Memory);
        let changes = change.into_iter().collect();
        match event {
            Event::Subscribed { id, epoch: _ } => {
                self.asked(changes, |scheduler, driver| scheduler.subscribed(driver, id)).await
            }
            Event::Disconnected => {
                self.asked(changes, |scheduler, driver| scheduler.disconnected(driver)).await
            }
            Event::Offers(offers) => {
                self.asked(changes, |scheduler, driver| scheduler.offers(driver, offers)).await
            }
            Event::Rescinded(offers) => {
                self.asked(changes, |scheduler, driver| scheduler.rescinded(driver, offers)).await
            }
            Event::Launching { offer, tasks } => {
                self.asked(changes, |scheduler, driver| scheduler.launching(driver, offer, tasks)).await
            }
            Event::Update { update, slave } => {
                let asked = self.asked(changes, |scheduler, driver| scheduler.update(driver, &update, slave));
                let mut inputs = asked.await?;
                // Before what the callback asked for: after a teardown nothing is acknowledged any more.
                inputs.push_front(Input::Handled { task: update.task, number: update.number });
                Ok(inputs)
            }
            Event::InverseOffer { id, asked } => {
                self.asked(changes, |scheduler, driver| scheduler.inverse_offer(driver, id, asked)).await
            }
            Event::InverseOfferClosed { id, outcome } => {
                let closed = |scheduler: &mut S, driver: &mut Driver| {
                    scheduler.inverse_offer_closed(driver, id, outcome);
                };
                self.asked(changes, closed).await
            }
            Event::Pending(why) => {
                self.asked(changes, |scheduler, driver| scheduler.pending(driver, why)).await
            }
            Event::Refused(cause) => {
                self.end = Some(End::Refused(cause));
                Ok(VecDeque::new())
            }
            Event::Finished => {
                self.over = true;
                self.end.get_or_insert(End::TornDown);
                Ok(VecDeque::new())
            }
        }
    }

    fn connect(&mut self, leader: Option<Text>) {
        let masters = &self.settings.connection.masters;
        let named = leader.and_then(|leader| leader.as_str().parse().ok());
        let address = named.unwrap_or(masters[self.next_master % masters.len()]);
        self.next_master = self.next_master.wrapping_add(1);
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let event = match endpoint.connect(address, Expect::role(Role::Master)).await {
                Ok(session) => Happened::Master(session),
                Err(error) => {
                    tracing::warn!(%error, %address, "no session with this master");
                    Happened::Input(Input::ConnectFailed)
                }
            };
            let _over = events.send(event).await;
        });
    }
}
