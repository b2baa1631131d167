//! The driver of [`neap_protocol::master::Master`]: sessions, timers, the store and the log, around a machine that
//! decides.
//!
//! One dispatcher takes every input, one at a time, and carries out what the machine asks for, in order. Nothing of
//! the protocol is decided here. The coordinator is embedded: whoever holds the lock of the registry's file leads,
//! with the next epoch.

pub(crate) mod audit;
mod copies;
mod history;
pub(crate) mod registry;
mod sessions;
mod store;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc as threads;
use std::time::{Duration, Instant};

use neap_protocol::codec;
use neap_protocol::ids::{Epoch, SessionId};
use neap_protocol::master::{Config, Effect, Input, Master, Remembered, Timer};
use neap_protocol::message::{
    Answer, Event, MasterToFramework, MasterToOperator, MasterToSlave, Page, ReceiptLine, Refusal, Refused,
    SlaveRef,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, CloseReason, Peer, Role, Session};
use neap_transport_quic::{BindError, Credentials, CredentialsError, Endpoint, QuicSession};
use tokio::sync::{mpsc, oneshot};

use crate::config;
use crate::driver::{self, Timers};
use crate::exit::Exit;
use crate::journal::{self, Journal, JournalError};
use crate::output::Failure;
use crate::refusals::{Cause, Refusals};
use crate::sessions::{News as Said, Sessions};
use crate::shutdown::{Signal, Signals};
use crate::units::Period;

use audit::{Audit, Audited, Number};
use history::History;
use sessions::News;
use store::{Reply, Store, Work};

pub use store::{FILE, StoreError};

/// How many inputs of sessions wait for the dispatcher; more make their peers wait.
const NEWS_MAX: usize = 1_024;

/// How long a master that stops waits for its peers to hear of it, once all that it said has arrived.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a master runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it listens on; port 0 for any.
    pub listen: SocketAddr,
    /// Where its registry is.
    pub data: PathBuf,
    /// Who it is.
    pub credentials: Credentials,
    /// What the machine is set to.
    pub machine: Config,
    /// The transport's settings.
    pub transport: neap_transport_quic::Settings,
    /// The most bytes that wait to be written to one peer before it is let go.
    pub waiting_bytes_max: usize,
    /// How many ended tasks are remembered, and how many events.
    pub history_max: usize,
    /// Where its machine is recorded, if it is.
    pub journal: Option<journal::Options>,
}

impl Settings {
    /// The settings of a config, its certificate read.
    ///
    /// # Errors
    /// [`CredentialsError`], or that the certificate is another's.
    pub fn of(config: &config::Master) -> Result<Self, MasterError> {
        let identity = &config.identity;
        let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key)?;
        let peer = credentials.peer();
        if peer.role != Role::Master || config.name.as_ref().is_some_and(|name| *name != peer.name) {
            let (certificate, found) = (identity.cert.clone(), peer.to_string());
            let expected = config.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            return Err(MasterError::NotItsCertificate { certificate, found, expected });
        }
        Ok(Self {
            listen: config.listen,
            data: config.data.clone(),
            credentials,
            machine: machine(config),
            transport: neap_transport_quic::Settings::default(),
            waiting_bytes_max: 16 << 20,
            history_max: 10_000,
            journal: config.journal.clone(),
        })
    }
}

/// A master that leads.
#[derive(Clone, Debug)]
pub struct Leading {
    /// What it listens on, with its port.
    pub address: SocketAddr,
    /// Its term.
    pub epoch: Epoch,
    /// Where its registry is.
    pub data: PathBuf,
}

/// Why a master does not run. Each names the cause and the cure.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// Its certificate or key is of no use.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificate names somebody else.
    #[error("the certificate {} is of {found}, not of master{expected}: issue one with `neap pki issue --role master`",
        certificate.display())]
    NotItsCertificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// Of whom it is.
        found: String,
        /// Whose name it should have, after a blank; empty where any will do.
        expected: String,
    },
    /// Its address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its journal cannot be had.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its registry cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The epoch could not be written, so that it cannot lead.
    #[error("failed to write the registry {}: {cause}; make room on its disk, then start again", file.display())]
    NotWritten {
        /// The registry's file.
        file: PathBuf,
        /// What happened.
        cause: String,
    },
    /// The system refused something that every program needs.
    #[error("failed to {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs `neap master` until a signal ends it.
///
/// # Errors
/// [`Failure`] with the cause and the cure.
pub fn main(config: &config::Master, printer: &mut crate::output::Printer) -> Result<Exit, Failure> {
    let settings = Settings::of(config).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        let (ready, leading) = oneshot::channel();
        let stop = async move {
            while let Signal::DrainNow = signals.next().await {
                tracing::warn!("SIGUSR1 drains slaves; a master ends with SIGTERM");
            }
        };
        let running = tokio::spawn(run(settings, ready, stop));
        if let Ok(leading) = leading.await {
            crate::outlet::or_warn(printer.one(&Line::of(&leading)));
        }
        match running.await {
            Ok(ended) => ended.map(|()| Exit::Success).map_err(failure),
            Err(error) => Err(Failure::because("run the master", &error)),
        }
    })
}

/// Runs a master until `stop` is done; `ready` tells that it leads.
///
/// # Errors
/// [`MasterError`]: it could not begin. One that leads ends in order.
pub async fn run(
    settings: Settings,
    ready: oneshot::Sender<Leading>,
    stop: impl Future<Output = ()>,
) -> Result<(), MasterError> {
    let store = Store::open(&settings.data)?;
    let name = &settings.credentials.peer().name;
    let journal = Journal::open::<Master>(settings.journal.as_ref(), name, &settings.machine)?;
    let endpoint = Endpoint::bind(settings.listen, &settings.credentials, &settings.transport)?;
    let system = |what| move |source| MasterError::System { what, source };
    let address = endpoint.local_address().map_err(system("learn the port"))?;
    let epoch = store.epoch().next();
    let leading = Leading { address, epoch, data: settings.data.clone() };
    let (news, news_receiver) = mpsc::channel(NEWS_MAX);
    let (replies, reply_receiver) = mpsc::unbounded_channel();
    let (work, thread) = store.spawn(replies).map_err(system("start the store's thread"))?;
    let copies = copies::Copies::listen(&settings.data, work.clone());
    let refusals = Refusals::default();
    let mut dispatcher = Dispatcher {
        master: Master::new(),
        config: settings.machine,
        journal,
        outbox: Outbox::new(),
        timers: Timers::new(),
        sessions: Sessions::bounded(settings.waiting_bytes_max, refusals.clone()),
        refusals: refusals.clone(),
        last_session: SessionId(0),
        news: news.clone(),
        history: History::new(settings.history_max),
        audit: Audit::new(epoch),
        work,
        inputs: VecDeque::new(),
        ready: Some((ready, leading)),
        unwritten: None,
    };
    // Nobody is let in before there is somebody to answer.
    dispatcher.take(Input::Elected { epoch });
    let accepting = tokio::spawn(sessions::accept(endpoint.listen(&sessions::ROLES), news, refusals.clone()));
    dispatcher.dispatch(news_receiver, reply_receiver, stop).await;
    accepting.abort();
    copies.end().await;
    let reason = CloseReason { code: CloseCode::Shutdown, detail: "the master is stopping".into() };
    dispatcher.sessions.close_all(&reason).await;
    refusals.end();
    let unwritten = dispatcher.unwritten.take();
    drop(dispatcher);
    endpoint.close(&reason);
    // A peer that does not answer finds out by itself.
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, endpoint.idle()).await;
    // What was asked for is written before the process goes, and the file is free after it.
    let _ = tokio::task::spawn_blocking(|| thread.join()).await;
    match unwritten {
        Some(cause) => Err(MasterError::NotWritten { file: settings.data.join(FILE), cause }),
        None => Ok(()),
    }
}

/// The one place where inputs become effects.
struct Dispatcher {
    master: Master,
    config: Config,
    journal: Journal,
    outbox: Outbox<Effect>,
    timers: Timers<Timer>,
    sessions: Sessions,
    refusals: Refusals,
    last_session: SessionId,
    /// Where sessions bring their news.
    news: mpsc::Sender<News>,
    history: History,
    audit: Audit,
    work: threads::Sender<Work>,
    /// Inputs that effects led to: taken after the effects before them.
    inputs: VecDeque<Input>,
    /// Told once it leads.
    ready: Option<(oneshot::Sender<Leading>, Leading)>,
    /// Why its epoch could not be written.
    unwritten: Option<String>,
}

impl Dispatcher {
    async fn dispatch(
        &mut self,
        mut news: mpsc::Receiver<News>,
        mut replies: mpsc::UnboundedReceiver<Reply>,
        stop: impl Future<Output = ()>,
    ) {
        tokio::pin!(stop);
        while self.unwritten.is_none() {
            while let Some(timer) = self.timers.fire(Instant::now()) {
                self.take(Input::Timer(timer));
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(reply) = replies.recv() => self.on_reply(reply),
                Some(news) = news.recv() => self.on_news(news),
                () = self.timers.wait() => {}
            }
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Accepted(session) => {
                let (session, peer) = self.begin(*session);
                self.take(Input::Opened { session, peer });
            }
            News::Slave(news) => self.on_said(news, |session, message| Input::Slave { session, message }),
            News::Framework(news) => {
                self.on_said(news, |session, message| Input::Framework { session, message });
            }
            News::Operator(news) => {
                self.on_said(news, |session, message| Input::Operator { session, at: driver::now(), message })
            }
        }
    }

    fn on_said<M>(&mut self, news: Said<M>, input: impl FnOnce(SessionId, M) -> Input) {
        match news {
            // What it said before it was closed here is for nobody.
            Said::Said(session, _) if !self.sessions.is_open(session) => {}
            Said::Said(session, message) => self.take(input(session, message)),
            Said::Ended(session, cause) => {
                tracing::debug!(%session, %cause, "session ended");
                self.audit.closed(session);
                if self.sessions.forget(session) {
                    self.take(Input::Closed { session });
                }
            }
        }
    }

    /// Takes a session up under a number that none has.
    fn begin(&mut self, session: QuicSession) -> (SessionId, Peer) {
        while self.sessions.has(self.last_session) || self.last_session == SessionId(0) {
            self.last_session = SessionId(self.last_session.0.wrapping_add(1));
        }
        let id = self.last_session;
        let peer = session.peer().clone();
        tracing::debug!(session = %id, %peer, address = %session.remote_address(), "session opened");
        if self.journal.is_on() {
            self.journal.session(id, session.link());
        }
        let news = self.news.clone();
        match peer.role {
            Role::Slave => self.sessions.open(id, session, news, News::Slave),
            Role::Framework => self.sessions.open(id, session, news, News::Framework),
            // The listener lets no other role in.
            Role::Operator | Role::Master | Role::Executor => {
                self.audit.opened(id, peer.name.clone());
                self.sessions.open(id, session, news, News::Operator);
            }
        }
        (id, peer)
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Stored { epoch, seq } => self.take(Input::Stored { epoch, seq }),
            Reply::Failed { epoch, seq, cause } => {
                if !self.master.leads() {
                    self.unwritten = Some(cause.to_string());
                }
                self.ask(Work::Resume);
                self.take(Input::StoreFailed { epoch, seq, cause });
            }
            Reply::Recovered(registry) => self.take(Input::Recovered { registry }),
            Reply::Receipt { session, request, receipt, lines } => {
                let answer = match lines {
                    Ok(lines) if lines.is_empty() => Err(Refusal::UnknownReceipt(receipt)),
                    Ok(lines) => Ok(Answer::Receipt(lines)),
                    Err(cause) => Err(Refusal::Storage(cause)),
                };
                self.answer(session, MasterToOperator::Answer { request, answer });
            }
            Reply::Left { session, request, name, left } => {
                let refusal = match left {
                    Ok(Some((slave, at))) => Refusal::SlaveLeft { name, slave, at },
                    Ok(None) => Refusal::UnknownSlave(SlaveRef::Name(name)),
                    Err(cause) => Refusal::Storage(cause),
                };
                self.answer(session, MasterToOperator::Answer { request, answer: Err(refusal) });
            }
        }
        while let Some(input) = self.inputs.pop_front() {
            self.take(input);
        }
    }

    /// Hands the machine an input, and carries out what it asks for; then what followed from that.
    fn take(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            tracing::trace!(?input, "input");
            let mut outbox = std::mem::take(&mut self.outbox);
            let mut audit = None;
            if let Input::Operator { session, at, message } = &input {
                audit = self.audit.heard(*session, *at, message);
            }
            let mut speaker = None;
            if let Input::Slave { session, .. } | Input::Framework { session, .. } = &input {
                speaker = Some(*session);
            }
            self.journal.input(&input);
            self.master.handle(&self.config, input, &mut outbox);
            self.journal.effects(outbox.as_slice());
            for effect in outbox.drain() {
                tracing::trace!(?effect, "effect");
                self.count_refused(speaker, &effect);
                self.carry_out(effect, &mut audit);
            }
            self.outbox = outbox;
        }
    }

    /// Counts who is answered that it may not be what it says. A framework that is told so later was torn down.
    fn count_refused(&self, speaker: Option<SessionId>, effect: &Effect) {
        let (to, why) = match effect {
            Effect::ToSlave { session, message: MasterToSlave::Refused(refused) } => match refused {
                Refused::NotYours => (session, "it registers with the id of another slave"),
                Refused::NameTaken { .. } => (session, "another slave has its name"),
                Refused::Invalid(why) => (session, why.as_str()),
                // Where a master is new, or an operator removed it, that is how things go.
                Refused::NotLeading { .. } | Refused::Removed => return,
            },
            Effect::ToFramework { session, message: MasterToFramework::Refused(why) } => {
                (session, why.as_str())
            }
            Effect::ToSlave { .. }
            | Effect::ToFramework { .. }
            | Effect::ToOperator { .. }
            | Effect::Close { .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::Recover
            | Effect::Store { .. }
            | Effect::Record { .. }
            | Effect::AnswerReceipt { .. }
            | Effect::RefuseUnknownSlave { .. }
            | Effect::AnswerHistory { .. }
            | Effect::Publish(_) => return,
        };
        if let Some(peer) = self.sessions.peer(*to).filter(|_| speaker == Some(*to)) {
            self.refusals.count(Cause::NotAdmitted, peer, why);
        }
    }

    /// Carries an effect out. What is to be written takes `audit` with it: who asked for it, if somebody did.
    fn carry_out(&mut self, effect: Effect, audit: &mut Option<(Number, Audited)>) {
        match effect {
            Effect::ToSlave { session, message } => {
                let said = self.sessions.say(session, &message);
                self.heard(session, said);
            }
            Effect::ToFramework { session, message } => {
                let said = self.sessions.say(session, &message);
                self.heard(session, said);
            }
            Effect::ToOperator { session, message } => self.answer(session, message),
            Effect::Close { session, reason } => self.sessions.close(session, reason),
            Effect::SetTimer { timer, when } => self.timers.set(timer, when),
            Effect::CancelTimer { timer } => self.timers.cancel(&timer),
            Effect::Recover => self.ask(Work::Recover),
            Effect::Store { seq, epoch, operation } => {
                let audit = audit.take().map(Box::new);
                self.ask(Work::Append { epoch, seq, operation, audit });
            }
            Effect::Record { receipt, line } => {
                self.ask(Work::Record { receipt, at: driver::now(), line });
            }
            Effect::AnswerReceipt { session, request, receipt } => {
                self.ask(Work::Receipt { session, request, receipt });
            }
            Effect::RefuseUnknownSlave { session, request, name } => {
                self.ask(Work::Left { session, request, name });
            }
            Effect::AnswerHistory { session, request, of } => {
                let page_max = self.config.page_max;
                let answer = match of {
                    Remembered::Task(task) => match self.history.find(task) {
                        Some(view) => Ok(Answer::Tasks(Page { items: vec![view], more: false })),
                        None => Err(Refusal::UnknownTask(task)),
                    },
                    Remembered::Ended(after) => Ok(Answer::Tasks(self.history.ended(after, page_max))),
                    Remembered::Events(after) => Ok(Answer::Events(self.history.events(after, page_max))),
                };
                self.answer(session, MasterToOperator::Answer { request, answer });
            }
            Effect::Publish(event) => self.publish(&event),
        }
    }

    /// Answers an operator. A page that is larger than a frame is cut: what is left comes with the next one.
    fn answer(&mut self, session: SessionId, mut message: MasterToOperator) {
        if let Some((number, audited)) = self.audit.answered(session, &message) {
            self.ask(Work::Audit(number, audited));
        }
        while codec::encode(&message).is_err() {
            if !cut(&mut message) {
                break;
            }
        }
        let said = self.sessions.say(session, &message);
        self.heard(session, said);
    }

    fn heard(&mut self, session: SessionId, said: bool) {
        if !said {
            self.inputs.push_back(Input::Closed { session });
        }
    }

    fn ask(&self, work: Work) {
        // Its thread ends after this one does.
        let _ = self.work.send(work);
    }

    fn publish(&mut self, event: &Event) {
        self.history.see(driver::now(), event);
        log(event);
        if let Event::Leading(_) = event
            && let Some((ready, leading)) = self.ready.take()
        {
            // Whoever started it may not care.
            let _ = ready.send(leading);
        }
    }
}

/// Halves the page of an answer, or shortens a receipt. `false`: there is nothing to leave out.
fn cut(message: &mut MasterToOperator) -> bool {
    fn halve<T>(page: &mut Page<T>) -> bool {
        let half = page.items.len() / 2;
        let cut = half > 0;
        if cut {
            page.items.truncate(half);
            page.more = true;
        }
        cut
    }
    let MasterToOperator::Answer { answer: Ok(answer), .. } = message else {
        return false;
    };
    match answer {
        Answer::Slaves(page) => halve(page),
        Answer::HeldNames(page) => halve(page),
        Answer::Tasks(page) => halve(page),
        Answer::Frameworks(page) => halve(page),
        Answer::Offers(page) => halve(page),
        Answer::InverseOffers(page) => halve(page),
        Answer::Events(page) => halve(page),
        Answer::Pending(page) => halve(page),
        Answer::Done { .. }
        | Answer::Draining { .. }
        | Answer::InverseOffered(_)
        | Answer::Plan(_)
        | Answer::Watching
        | Answer::Status(_)
        | Answer::Drain(_) => false,
        Answer::Receipt(lines) => ReceiptLine::fit(lines),
    }
}

/// One line of the log for each event, by who must wake up.
fn log(event: &Event) {
    match event {
        Event::Leading(epoch) => tracing::info!(%epoch, "leading"),
        Event::SlaveRegistered { slave, name, new } => tracing::info!(%slave, %name, new, "slave registered"),
        Event::SlaveDisconnected { slave, name } => tracing::warn!(%slave, %name, "slave disconnected"),
        Event::SlaveUnreachable { slave, name } => tracing::error!(%slave, %name, "slave unreachable"),
        Event::SlaveLeaving { slave, name } => tracing::info!(%slave, %name, "slave leaving"),
        Event::NameTaken { slave, name, address, from } => tracing::error!(
            %slave, %name, %address, %from,
            "another slave with this name is refused while this one may live: stop one of both, or issue the other its own \
             certificate (`neap pki issue`)"
        ),
        Event::SlaveSuperseded { slave, name } => {
            tracing::warn!(%slave, %name, "slave given up, and another takes its place under an id of its own");
        }
        Event::SlaveUnregistered { slave, name } => tracing::info!(%slave, %name, "slave unregistered"),
        Event::FrameworkSubscribed { framework, name, new } => {
            tracing::info!(%framework, %name, new, "framework subscribed");
        }
        Event::FrameworkDisconnected { framework, name } => {
            tracing::warn!(%framework, %name, "framework disconnected");
        }
        Event::FrameworkRemoved { framework, name } => tracing::info!(%framework, %name, "framework removed"),
        Event::Task(view) => {
            tracing::debug!(task = %view.id, slave = %view.slave, state = %view.state, reason = %view.reason, "task");
        }
        Event::TaskAcknowledged { task } => tracing::debug!(%task, "task acknowledged"),
        Event::HoldPlaced { slave, name, hold } => {
            let slave = slave.map(tracing::field::display);
            tracing::info!(slave, %name, hold = %hold.name, by = %hold.by, reason = %hold.reason, "hold placed");
        }
        Event::HoldLifted { slave, name, hold, by } => {
            let slave = slave.map(tracing::field::display);
            tracing::info!(slave, %name, %hold, %by, "hold lifted");
        }
        Event::InverseOffered(view) => {
            tracing::info!(inverse_offer = %view.id, framework = %view.framework, slave = %view.slave, "inverse offer");
        }
        Event::InverseAnswered(view) => {
            tracing::info!(inverse_offer = %view.id, answer = ?view.answer, "inverse offer answered");
        }
        Event::Revoking { inverse_offer, tasks } => {
            tracing::warn!(%inverse_offer, tasks = tasks.len(), "revoking");
        }
        Event::InverseReturned(inverse_offer) => tracing::info!(%inverse_offer, "inverse offer returned"),
        Event::InverseClosed { inverse_offer, outcome } => {
            tracing::info!(%inverse_offer, ?outcome, "inverse offer over");
        }
        Event::Draining(view) => {
            tracing::info!(drain = %view.id, slave = %view.slave, name = %view.slave_name, by = %view.by, "draining");
        }
        Event::DrainEnded { drain, slave, name, end } => {
            tracing::info!(%drain, %slave, %name, %end, "drain ended");
        }
        Event::RemovalsHalted { silent, of } => {
            tracing::error!(
                silent,
                of,
                "too much of the cluster fell silent: no further slave is marked unreachable"
            );
        }
        Event::RemovalsResumed => tracing::warn!("slaves that stay silent are marked unreachable again"),
        Event::SlaveSilent { slave, name } => {
            tracing::warn!(%slave, %name, "slave silent: it has not answered a ping in time, and is offered again when it does");
        }
        Event::SlaveForgotten { slave, name, by, reason } => {
            tracing::warn!(%slave, %name, %by, %reason, "slave removed: an operator said that it is dead");
        }
        Event::SlaveAnswers { slave, name } => tracing::info!(%slave, %name, "slave answers again"),
    }
}

/// What `neap master` prints when it leads.
#[derive(Debug, serde::Serialize)]
struct Line {
    address: SocketAddr,
    epoch: u64,
    data: PathBuf,
}

impl Line {
    fn of(leading: &Leading) -> Self {
        Self { address: leading.address, epoch: leading.epoch.0, data: leading.data.clone() }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "leading at {} in epoch {}, registry in {}", self.address, self.epoch, self.data.display())
    }
}

fn machine(config: &config::Master) -> Config {
    let millis = |period: Period| Millis(period.as_millis());
    let set = Config {
        ping_timeout: millis(config.ping_timeout),
        ping_timeouts_max: u8::try_from(config.max_ping_timeouts).unwrap_or(u8::MAX),
        reregister_timeout: millis(config.reregister_timeout),
        offer_timeout: Some(millis(config.offer_timeout)),
        failover_timeout_max: millis(config.failover_timeout_max),
        removal_share: u32::from(config.removal_share_percent) * 10,
        removal_window: millis(config.removal_window),
        revoke_grace: millis(config.revoke_grace),
        ..Config::default()
    };
    // A slave that does not answer is noticed within the health timeout; then a revocation has its own time (R22).
    let drain_bound = set.health_timeout().plus(millis(config.revoke_ack_timeout));
    let allocation_delay = set.allocation_delay.min(millis(config.allocation_interval));
    Config { drain_bound, allocation_delay, ..set }
}

fn failure(error: MasterError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
