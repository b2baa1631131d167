//! The one place where everything that happens to a slave becomes an input of its machine, one after another, and
//! where what the machine asks for is done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use neap_process_tree::Tree;
use neap_protocol::ids::{ExecutorId, Seq, SessionId, TaskId};
use neap_protocol::message::SlaveToExecutor;
use neap_protocol::outbox::Outbox;
use neap_protocol::slave::{CheckpointChange, Config, Effect, Input, Slave, Timer};
use neap_protocol::task::Ending;
use neap_protocol::text::Text;
use neap_protocol::transport::{CloseCode, CloseReason, Role, Session};
use neap_transport_quic::{Endpoint, Expect, QuicSession};
use neap_transport_unix::UnixSession;
use neap_transport_unix::listener::{Listener, Refusal};
use tokio::sync::{mpsc, oneshot};

use super::logs::{Logs, Question};
use super::trees::Nursery;
use crate::driver::{Timers, jittered};
use crate::journal::Journal;
use crate::refusals::{Cause, Refusals};
use crate::sessions::{News, Sessions};
use crate::shutdown::{Signal, Signals};

/// How long what a dead tree said last may take to be read before its end is told all the same: somebody outside
/// of the tree may hold its session open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long the farewell to the master may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long after the socket's listener found no room it is tried again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What happens beside timers and signals.
#[derive(Debug)]
pub(super) enum Event {
    /// An input as it is.
    Input(Input),
    /// A master was reached.
    Master(QuicSession),
    /// Nothing of an executor's tree is left; it may have said things that are still to be read.
    TreeGone { executor: ExecutorId, ending: Arc<Ending> },
    /// No longer is waited for what it may have said.
    TreeSettled { executor: ExecutorId },
    /// Somebody reads what a task writes.
    Log(Question),
}

/// A running slave.
pub(super) struct Dispatcher {
    pub(super) machine: Slave,
    pub(super) config: Config,
    pub(super) journal: Journal,
    pub(super) masters: Vec<SocketAddr>,
    pub(super) endpoint: Endpoint,
    pub(super) socket: Listener,
    pub(super) nursery: Nursery,
    pub(super) signals: Signals,
    pub(super) logs: Option<Logs>,
    pub(super) store: blocking::Sender<(Seq, CheckpointChange)>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) happened: mpsc::Receiver<Event>,
    pub(super) state: State,
}

/// What a dispatcher keeps for itself.
#[derive(Default)]
pub(super) struct State {
    outbox: Outbox<Effect>,
    timers: Timers<Timer>,
    sessions: Sessions,
    refusals: Refusals,
    /// Whose an executor's session is, while it is open.
    owners: BTreeMap<SessionId, ExecutorId>,
    /// Trees of which nothing is left but what they said.
    settling: BTreeMap<ExecutorId, Arc<Ending>>,
    /// Who wants to know when a task is over. As many as the sessions that read logs may have streams.
    awaiting: Vec<(TaskId, oneshot::Sender<()>)>,
    session: u32,
    /// The place in the list of the master to dial next.
    next_master: usize,
}

impl State {
    pub(super) fn new(refusals: Refusals) -> Self {
        Self { sessions: Sessions::new(refusals.clone()), refusals, ..Self::default() }
    }
}

impl Dispatcher {
    /// Runs until the machine exits, with its code; or until SIGTERM or SIGINT, with none: executors go on (R28).
    pub(super) async fn run(&mut self, start: Input) -> Option<u8> {
        let mut exit = self.input(start);
        while exit.is_none() {
            exit = tokio::select! {
                // Timers before news: a flood of news must not keep a kill from being escalated.
                biased;
                signal = self.signals.next() => match signal {
                    Signal::DrainNow => self.input(Input::DrainNow),
                    Signal::Terminate | Signal::Interrupt => return None,
                },
                () = self.state.timers.wait() => self.fire(),
                Some(event) = self.happened.recv() => self.happen(event),
                accepted = self.socket.accept() => {
                    match accepted {
                        Ok(Ok(session)) => self.executor_opened(session),
                        Ok(Err(refusal)) => {
                            self.not_let_in(&refusal);
                            None
                        }
                        Err(error) => {
                            self.state.refusals.count(Cause::Crowded, "an executor", &error);
                            tokio::time::sleep(ACCEPT_RETRY).await;
                            None
                        }
                    }
                }
            };
        }
        exit
    }

    /// Any process of the host may try.
    fn not_let_in(&self, refusal: &Refusal) {
        let process = refusal.pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        self.state.refusals.count(Cause::NotLetIn, process, &refusal.cause);
    }

    /// Takes up an executor that an earlier incarnation left.
    pub(super) fn take_up(&mut self, executor: ExecutorId, tree: Tree) {
        self.nursery.take_up(executor, tree, &self.events);
    }

    /// Ends what is left of the slave in order: sessions, and the endpoint.
    pub(super) async fn end(&mut self, code: CloseCode, why: &str) {
        let reason = CloseReason { code, detail: Text::new(why) };
        // Those who wait for the end of a task that goes on have nothing more to wait for.
        self.state.awaiting.clear();
        let logs = self.logs.take().map(|logs| logs.end(reason.clone()));
        let logs = async {
            if let Some(logs) = logs {
                logs.await;
            }
        };
        tokio::join!(self.state.sessions.close_all(&reason), logs);
        self.state.refusals.end();
        self.endpoint.close(&reason);
        let _in_time = tokio::time::timeout(FAREWELL, self.endpoint.idle()).await;
    }

    fn fire(&mut self) -> Option<u8> {
        let now = Instant::now();
        while let Some(timer) = self.state.timers.fire(now) {
            let exit = self.input(Input::Timer(timer));
            if exit.is_some() {
                return exit;
            }
        }
        None
    }

    fn happen(&mut self, event: Event) -> Option<u8> {
        match event {
            Event::Input(Input::ExecutorClosed { session }) => {
                self.state.sessions.forget(session);
                let owner = self.state.owners.remove(&session);
                let exit = self.input(Input::ExecutorClosed { session });
                exit.or_else(|| owner.and_then(|owner| self.settle(owner, false)))
            }
            // A tree that was told to be gone says nothing more.
            Event::Input(Input::Executor { session, .. }) if !self.state.owners.contains_key(&session) => {
                None
            }
            Event::Input(input) => {
                if let Input::MasterClosed { session } = &input {
                    self.state.sessions.forget(*session);
                }
                self.input(input)
            }
            Event::Master(session) => self.master_opened(session),
            Event::TreeGone { executor, ending } => self.tree_gone(executor, ending),
            Event::TreeSettled { executor } => self.settle(executor, true),
            Event::Log(question) => {
                self.asked(question);
                None
            }
        }
    }

    fn asked(&mut self, Question { task, answer }: Question) {
        let running = match self.machine.is_over(task) {
            Some(false) => {
                let (tell, told) = oneshot::channel();
                self.state.awaiting.push((task, tell));
                Some(told)
            }
            Some(true) | None => None,
        };
        // The operator may have gone.
        let _gone = answer.send(running);
    }

    fn tell_ends(&mut self) {
        let over = |(task, tell): &mut (TaskId, oneshot::Sender<()>)| {
            tell.is_closed() || self.machine.is_over(*task) != Some(false)
        };
        for (_, tell) in self.state.awaiting.extract_if(.., over) {
            let _gone = tell.send(());
        }
    }

    fn master_opened(&mut self, quic: QuicSession) -> Option<u8> {
        let session = self.next_session();
        tracing::info!(master = %quic.peer(), %session, "connected");
        if self.journal.is_on() {
            self.journal.session(session, quic.link());
        }
        self.state.sessions.open(session, quic, self.events.clone(), |news| {
            Event::Input(match news {
                News::Said(session, message) => Input::Master { session, message },
                News::Ended(session, cause) => {
                    tracing::info!(%session, cause = cause.as_str(), "the session with the master ended");
                    Input::MasterClosed { session }
                }
            })
        });
        self.input(Input::MasterOpened { session })
    }

    fn executor_opened(&mut self, unix: UnixSession) -> Option<u8> {
        // Its tree may have ended between its hello and now.
        let executor = self.nursery.admitted.executor(&unix.peer().name)?;
        if self.state.settling.contains_key(&executor) {
            return None;
        }
        let session = self.next_session();
        self.state.owners.insert(session, executor);
        self.journal.session(session, Some(unix.link()));
        self.state.sessions.open(session, unix, self.events.clone(), |news| {
            Event::Input(match news {
                News::Said(session, message) => Input::Executor { session, message },
                News::Ended(session, _cause) => Input::ExecutorClosed { session },
            })
        });
        self.input(Input::ExecutorOpened { session, executor })
    }

    fn next_session(&mut self) -> SessionId {
        self.state.session += 1;
        SessionId(self.state.session)
    }

    fn tree_gone(&mut self, executor: ExecutorId, ending: Arc<Ending>) -> Option<u8> {
        tracing::info!(%executor, leader = ending.leader.as_str(), unseen = ending.unseen.as_str(), "process tree ended");
        self.state.settling.insert(executor, ending);
        if self.state.owners.values().any(|owner| *owner == executor) {
            let events = self.events.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LAST_WORDS).await;
                let _over = events.send(Event::TreeSettled { executor }).await;
            });
        }
        self.settle(executor, false)
    }

    /// Tells the machine of a tree's end, once everything that it said has been heard.
    fn settle(&mut self, executor: ExecutorId, late: bool) -> Option<u8> {
        let talking = self.state.owners.values().any(|owner| *owner == executor);
        if talking && !late {
            return None;
        }
        let ending = self.state.settling.remove(&executor)?;
        self.state.owners.retain(|_, owner| *owner != executor);
        self.nursery.gone(executor);
        self.input(Input::TreeEnded { executor, ending })
    }

    /// Hands one input to the machine and does everything that follows; the code, if it exits.
    fn input(&mut self, input: Input) -> Option<u8> {
        let mut inputs = std::collections::VecDeque::from([input]);
        let mut exit = None;
        while let Some(input) = inputs.pop_front() {
            tracing::trace!(?input, "input");
            self.journal.input(&input);
            self.machine.handle(&self.config, input, &mut self.state.outbox);
            self.journal.effects(self.state.outbox.as_slice());
            let effects: Vec<Effect> = self.state.outbox.drain().collect();
            for effect in effects {
                if let Effect::Exit { code } = effect {
                    exit = Some(code);
                }
                inputs.extend(self.take(effect));
            }
        }
        self.tell_ends();
        exit
    }

    /// Does what the machine asks for; what it answers at once is the next input.
    fn take(&mut self, effect: Effect) -> Option<Input> {
        tracing::trace!(?effect, "effect");
        match effect {
            Effect::Connect { leader } => self.connect(leader),
            Effect::ToMaster { session, message } => {
                let _ended = self.state.sessions.say(session, &message);
            }
            Effect::ToExecutor { session, message } => {
                self.note(&message);
                let _ended = self.state.sessions.say(session, &message);
            }
            Effect::Close { session, reason } => self.state.sessions.close(session, reason),
            Effect::SetTimer { timer: timer @ Timer::Reconnect, when } => {
                self.state.timers.set(timer, jittered(when));
            }
            Effect::SetTimer { timer, when } => self.state.timers.set(timer, when),
            Effect::ShortenTimer { timer, when } => self.state.timers.shorten(timer, when),
            Effect::CancelTimer { timer } => self.state.timers.cancel(&timer),
            Effect::Store { seq, change } => {
                if self.store.send((seq, change)).is_err() {
                    let cause = Text::new("the thread that writes the checkpoint is gone");
                    return Some(Input::StoreFailed { seq, cause });
                }
            }
            Effect::Launch { executor, program } => {
                let cause = self.nursery.launch(executor, &program, &self.events).err()?;
                return Some(Input::LaunchFailed { executor, cause: Text::from(cause) });
            }
            Effect::Terminate { executor } => {
                self.nursery.terminate(executor, self.machine.is_own(executor));
            }
            Effect::Kill { executor } => self.nursery.kill(executor),
            Effect::Publish(event) => super::tell(&event),
            // Taken by the caller: nothing follows it.
            Effect::Exit { code: _ } => {}
        }
        None
    }

    /// Notes where the streams of a task will be, if it is the first that its executor hears of it.
    fn note(&self, message: &SlaveToExecutor) {
        let task = match message {
            SlaveToExecutor::Launch { task, .. } => *task,
            SlaveToExecutor::Kill { .. } => return,
            SlaveToExecutor::Acknowledge { .. } | SlaveToExecutor::Renewed { .. } => return,
        };
        if let Some(executor) = self.machine.own_executor(task)
            && let Err(error) = self.nursery.sandboxes.note(task, executor)
        {
            tracing::warn!(%task, %error, "what this task writes will not be found by `neap logs`");
        }
    }

    /// Dials the leader where it is known, and else the masters in turn.
    fn connect(&mut self, leader: Option<Text>) {
        let named = leader.and_then(|leader| leader.as_str().parse().ok());
        let address = named.unwrap_or_else(|| {
            let at = self.state.next_master;
            self.state.next_master = at.wrapping_add(1);
            self.masters[at % self.masters.len()]
        });
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let event = match endpoint.connect(address, Expect::role(Role::Master)).await {
                Ok(session) => Event::Master(session),
                Err(error) => {
                    tracing::warn!(%error, %address, "no session with this master");
                    Event::Input(Input::ConnectFailed)
                }
            };
            let _over = events.send(event).await;
        });
    }
}
