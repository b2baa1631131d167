//! What tasks wrote, for operators: a listener of its own, on a thread of its own, so that whatever is read here
//! never keeps the dispatcher from a kill.
//!
//! A session reads at most one file for each stream, a piece at a time, and the next one only when the peer has
//! taken the last: what waits is bounded by the transport's window, whatever the task writes. Which tasks are over
//! is asked of the dispatcher, once for each stream, and it tells when one ends.
//!
//! A file that is followed is looked at again and again, at least every [`PAUSE_MAX`]. Notice of changes (inotify)
//! would not do alone: it is silent on network filesystems, and the few instances that the system gives a user are
//! shared with the tasks. The end of a task is not waited for so: the dispatcher tells it at once.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use neap_protocol::codec;
use neap_protocol::ids::TaskId;
use neap_protocol::message::{LogEnd, LogRefusal, LogStream, OperatorToSlave, SlaveToOperator};
use neap_protocol::text::Text;
use neap_protocol::transport::{CloseCode, CloseReason, Closed, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::{Credentials, Endpoint, QuicSend, QuicSession};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::dispatch::Event;
use super::sandboxes::{Opened, Sandboxes};
use super::tail::{Piece, Tail};
use crate::output::Failure;
use crate::refusals::{Cause, Refusals};

/// The most sessions that read at once.
const SESSIONS_MAX: usize = 64;

/// The most sessions that are being told that they are too many.
const TURNED_AWAY_MAX: usize = 16;

/// The most handshakes at once.
const HANDSHAKES_MAX: usize = 64;

/// The shortest pause before a file is looked at again, after one that had grown.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(160);

/// How long a session may ask for nothing.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How long what was said last may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a slave that ends lets those who read take what ended tasks have written.
const GOODBYE: Duration = Duration::from_secs(1);

/// Asked of the dispatcher: is this task over? While it is not, the answer is what will tell its end; if that is
/// dropped without a word, the slave ends first.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) task: TaskId,
    pub(super) answer: oneshot::Sender<Option<oneshot::Receiver<()>>>,
}

/// The listener for operators.
#[derive(Debug)]
pub(super) struct Logs {
    address: SocketAddr,
    stop: oneshot::Sender<CloseReason>,
    stopped: oneshot::Receiver<()>,
}

impl Logs {
    /// Begins to listen, at this address.
    ///
    /// # Errors
    /// That the address cannot be had, or the system gives no thread.
    pub(super) async fn start(
        listen: SocketAddr,
        credentials: &Credentials,
        sandboxes: Sandboxes,
        dispatcher: mpsc::Sender<Event>,
        refusals: Refusals,
    ) -> Result<Self, Failure> {
        let (ready, bound) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let (credentials, shared) = (credentials.clone(), Shared { sandboxes, dispatcher, refusals });
        let thread = std::thread::Builder::new().name("logs".into()).spawn(move || {
            run(listen, &credentials, shared, ready, stopping);
            // Whoever waits for it may have given up.
            let _late = done.send(());
        });
        thread.map_err(|error| Failure::because("start the thread that serves logs", &error))?;
        let address = bound.await.map_err(|error| Failure::because("serve logs", &error))??;
        Ok(Self { address, stop, stopped })
    }

    /// Where operators reach it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every session: those that read of tasks that are over may do so for a short time.
    pub(super) async fn end(self, reason: CloseReason) {
        let _gone = self.stop.send(reason);
        // A disk that does not answer must not hold up the slave.
        let _in_time = tokio::time::timeout(2 * GOODBYE, self.stopped).await;
    }
}

/// What every session needs.
#[derive(Clone, Debug)]
struct Shared {
    sandboxes: Sandboxes,
    dispatcher: mpsc::Sender<Event>,
    refusals: Refusals,
}

fn run(
    listen: SocketAddr,
    credentials: &Credentials,
    shared: Shared,
    ready: oneshot::Sender<Result<SocketAddr, Failure>>,
    stop: oneshot::Receiver<CloseReason>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _gone = ready.send(Err(Failure::because("start the runtime that serves logs", &error)));
            return;
        }
    };
    runtime.block_on(async {
        let (endpoint, bound) = match bind(listen, credentials) {
            Ok((endpoint, address)) => (Some(endpoint), Ok(address)),
            Err(failure) => (None, Err(failure)),
        };
        let started = ready.send(bound).is_ok();
        if let Some(endpoint) = endpoint.filter(|_| started) {
            serve(&endpoint, shared, stop).await;
        }
    });
    // Reads that still go on are nobody's any more.
    runtime.shutdown_background();
}

fn bind(listen: SocketAddr, credentials: &Credentials) -> Result<(Endpoint, SocketAddr), Failure> {
    let settings = neap_transport_quic::Settings { handshakes_max: HANDSHAKES_MAX, ..Default::default() };
    let endpoint = Endpoint::bind(listen, credentials, &settings)
        .map_err(|error| Failure::because("listen for operators", &error))?;
    let address = endpoint
        .local_address()
        .map_err(|error| Failure::because("learn where operators reach it", &error))?;
    Ok((endpoint, address))
}

async fn serve(endpoint: &Endpoint, shared: Shared, mut stop: oneshot::Receiver<CloseReason>) {
    let mut listener = endpoint.listen(&[Role::Operator]);
    let (ending, ends) = watch::channel(None);
    let mut sessions = JoinSet::new();
    let reason = loop {
        tokio::select! {
            reason = &mut stop => break reason,
            Some(_ended) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Some(Ok(session)) if sessions.len() < SESSIONS_MAX => {
                    sessions.spawn(converse(session, shared.clone(), ends.clone()));
                }
                Some(Ok(session)) => {
                    shared.refusals.count(Cause::Crowded, session.peer(), "too many read logs: ask again later");
                    if sessions.len() < SESSIONS_MAX + TURNED_AWAY_MAX {
                        sessions.spawn(turn_away(session));
                    }
                }
                Some(Err(refusal)) => shared.refusals.count_unmet(&refusal),
                None => return,
            },
        }
    };
    // Where the dispatcher is gone without a word, so is the slave.
    let reason = reason.unwrap_or(CloseReason { code: CloseCode::Shutdown, detail: Text::EMPTY });
    let _nobody = ending.send(Some(reason.clone()));
    let all = async { while sessions.join_next().await.is_some() {} };
    let _in_time = tokio::time::timeout(GOODBYE, all).await;
    endpoint.close(&reason);
    let _in_time = tokio::time::timeout(GOODBYE, endpoint.idle()).await;
}

async fn turn_away(session: QuicSession) {
    let (mut send, _receive) = session.split();
    let refused = SlaveToOperator::Refused { stream: None, refusal: LogRefusal::Busy };
    if say(&mut send, &refused).await {
        part(send, CloseReason { code: CloseCode::Done, detail: Text::EMPTY }).await;
    }
}

/// One operator's session, until either side has had enough.
async fn converse(session: QuicSession, shared: Shared, mut ends: watch::Receiver<Option<CloseReason>>) {
    let peer = session.peer().clone();
    tracing::debug!(%peer, address = %session.remote_address(), "an operator reads logs");
    let (mut send, mut receive) = session.split();
    // One piece is under way while the next is read.
    let (said, mut say_next) = mpsc::channel(1);
    let mut readers = JoinSet::new();
    let mut open = BTreeSet::new();
    // Set once the peer asks for nothing more, or the slave ends.
    let mut last = ends.borrow().clone();
    let reason = loop {
        if let Some(reason) = last.take_if(|_| readers.is_empty() && say_next.is_empty()) {
            break reason;
        }
        tokio::select! {
            biased;
            Some(message) = say_next.recv() => {
                open.retain(|stream| !is_last(&message, *stream));
                if !say(&mut send, &message).await {
                    return;
                }
            }
            Some(_done) = readers.join_next() => {}
            frame = receive.receive(), if last.is_none() => match frame.map(|frame| codec::decode(&frame)) {
                Ok(Ok(OperatorToSlave::Read { task, stream, from, follow })) => {
                    tracing::debug!(%peer, %task, %stream, follow, "a log is read");
                    if !open.insert(stream) {
                        let detail = "it asked for a stream that is being sent";
                        shared.refusals.count(Cause::Misbehaved, &peer, detail);
                        break CloseReason { code: CloseCode::Misbehaved, detail: detail.into() };
                    }
                    let request = Request { task, stream, from, follow };
                    readers.spawn(request.answer(shared.clone(), said.clone()));
                }
                Ok(Err(error)) => {
                    shared.refusals.count(Cause::Unreadable, &peer, &error);
                    let detail = error.to_string().into();
                    break CloseReason { code: error.close_code(), detail };
                }
                Err(Closed::Finished) => {
                    last = Some(CloseReason { code: CloseCode::Done, detail: Text::EMPTY });
                }
                Err(ended) => {
                    if let Closed::Violation(detail) = ended {
                        shared.refusals.count(Cause::Unreadable, &peer, detail);
                    }
                    return;
                }
            },
            Ok(()) = ends.changed(), if last.is_none() => last = ends.borrow().clone(),
            () = tokio::time::sleep(IDLE_MAX), if open.is_empty() => {
                break CloseReason { code: CloseCode::Done, detail: "nothing was asked for".into() };
            }
        }
    };
    part(send, reason).await;
}

/// Whether nothing of a stream comes after this message.
fn is_last(message: &SlaveToOperator, of: LogStream) -> bool {
    match message {
        SlaveToOperator::Chunk { .. } => false,
        SlaveToOperator::End { stream, .. } => *stream == of,
        SlaveToOperator::Refused { stream, .. } => stream.is_none_or(|stream| stream == of),
    }
}

/// Waits until the peer takes it; whether it does.
async fn say(send: &mut QuicSend, message: &SlaveToOperator) -> bool {
    let frame = match codec::encode(message) {
        Ok(frame) => frame,
        Err(error) => {
            tracing::error!(%error, "an answer to an operator cannot be sent");
            return false;
        }
    };
    send.send(&frame).await.is_ok()
}

/// Ends a session once what was said has arrived.
async fn part(mut send: QuicSend, reason: CloseReason) {
    let _arrived = tokio::time::timeout(LAST_WORDS, send.part(reason.clone())).await;
    send.close(reason);
}

/// A stream that was asked for.
#[derive(Clone, Copy, Debug)]
struct Request {
    task: TaskId,
    stream: LogStream,
    from: u64,
    follow: bool,
}

/// Why a stream is not sent to its end.
enum Stop {
    Refused(LogRefusal),
    /// Nobody is there who would hear why: the operator is gone, or the slave ends.
    Over,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Refused(LogRefusal::Unreadable(Text::from(error.to_string())))
    }
}

impl Request {
    async fn answer(self, shared: Shared, said: mpsc::Sender<SlaveToOperator>) {
        let stream = self.stream;
        let last = match self.send(shared, &said).await {
            Ok(end) => SlaveToOperator::End { stream, end },
            Err(Stop::Refused(refusal)) => SlaveToOperator::Refused { stream: Some(stream), refusal },
            Err(Stop::Over) => return,
        };
        let _gone = said.send(last).await;
    }

    async fn send(self, shared: Shared, said: &mpsc::Sender<SlaveToOperator>) -> Result<LogEnd, Stop> {
        let mut life = Life::of(self.task, &shared.dispatcher).await?;
        let mut tail = None;
        let mut pause = PAUSE_MIN;
        loop {
            // Asked before the file is read: what was written before the end is read then.
            let over = life.is_over()?;
            let all = over || !self.follow;
            if tail.is_none() {
                tail = self.open(&shared.sandboxes, over).await?;
            }
            let grown = match tail.take() {
                None => false,
                Some(found) => {
                    let (found, grown) = self.pass(found, all, said).await?;
                    tail = Some(found);
                    grown
                }
            };
            if all {
                return Ok(if over { LogEnd::Ended } else { LogEnd::Running });
            }
            pause = if grown { PAUSE_MIN } else { (2 * pause).min(PAUSE_MAX) };
            life.wait(pause).await;
        }
    }

    /// The file, if there is one yet.
    async fn open(self, sandboxes: &Sandboxes, over: bool) -> Result<Option<Tail>, Stop> {
        let Self { task, stream, from, .. } = self;
        let sandboxes = sandboxes.clone();
        let opened = blocking(move || {
            Ok(match sandboxes.open(task, stream)? {
                Opened::File(file) => Ok(Some(Tail::new(file, from)?)),
                Opened::NotWritten => Ok(None),
                // It may be about to start.
                Opened::NoSandbox if !over => Ok(None),
                Opened::NoSandbox => Err(Stop::Refused(LogRefusal::NoSandbox(task))),
            })
        });
        opened.await?
    }

    /// Sends what there is now; whether that was anything.
    async fn pass(
        self,
        mut tail: Tail,
        all: bool,
        said: &mpsc::Sender<SlaveToOperator>,
    ) -> Result<(Tail, bool), Stop> {
        let (mut size, mut grown) = (None, false);
        loop {
            let read = blocking(move || {
                let upto = size.map_or_else(|| tail.size(), Ok)?;
                let piece = tail.piece(upto, all)?;
                Ok((tail, upto, piece))
            });
            let (read, upto, piece) = read.await?;
            (tail, size) = (read, Some(upto));
            let Some(Piece { at, bytes }) = piece else {
                return Ok((tail, grown));
            };
            grown = true;
            let chunk = SlaveToOperator::Chunk { stream: self.stream, at, data: bytes.into() };
            said.send(chunk).await.map_err(|_gone| Stop::Over)?;
        }
    }
}

/// Reads beside the runtime, for a disk can be slow.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Stop> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => Ok(read?),
        // The runtime ends.
        Err(_cancelled) => Err(Stop::Over),
    }
}

/// Whether a task may still write.
enum Life {
    Running(oneshot::Receiver<()>),
    Over,
}

impl Life {
    async fn of(task: TaskId, dispatcher: &mpsc::Sender<Event>) -> Result<Self, Stop> {
        let (answer, answered) = oneshot::channel();
        let asked = dispatcher.send(Event::Log(Question { task, answer })).await;
        asked.map_err(|_gone| Stop::Over)?;
        let running = answered.await.map_err(|_gone| Stop::Over)?;
        Ok(running.map_or(Self::Over, Self::Running))
    }

    fn is_over(&mut self) -> Result<bool, Stop> {
        let Self::Running(ended) = self else {
            return Ok(true);
        };
        match ended.try_recv() {
            Ok(()) => *self = Self::Over,
            Err(oneshot::error::TryRecvError::Empty) => return Ok(false),
            Err(oneshot::error::TryRecvError::Closed) => return Err(Stop::Over),
        }
        Ok(true)
    }

    /// Waits until it is over, or the slave ends; for so long at most.
    async fn wait(&mut self, at_most: Duration) {
        let Self::Running(ended) = self else {
            return;
        };
        // What it says must not be lost to `is_over`.
        if let Ok(Ok(())) = tokio::time::timeout(at_most, ended).await {
            *self = Self::Over;
        }
    }
}
