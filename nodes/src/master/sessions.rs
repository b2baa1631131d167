//! Sessions: who is connected, and for each a task that reads and a task that writes.
//!
//! Nothing is decided here. What a reader reads becomes an input; what waits to be written is bounded in bytes, and
//! a peer that does not read is let go ([`CloseCode::TooSlow`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use neap_protocol::codec::{self, DecodeError, Wire};
use neap_protocol::ids::SessionId;
use neap_protocol::message::{FrameworkToMaster, OperatorToMaster, SlaveToMaster};
use neap_protocol::transport::{
    CloseCode, CloseReason, Peer, ReceiveHalf, Role, SendError, SendHalf, Session,
};
use neap_transport_quic::{Listener, QuicReceive, QuicSend, QuicSession};
use tokio::sync::{mpsc, oneshot};

/// How long a peer has to take what was said before its session is closed.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the sessions' tasks tell the dispatcher.
#[derive(Debug)]
pub(super) enum News {
    /// A peer was let in.
    Accepted(Box<QuicSession>),
    /// A peer said something.
    Said(SessionId, Message),
    /// A session ended: the peer's way, or because of what it sent.
    Ended(SessionId, Option<CloseReason>),
}

/// What a peer said, by its role.
#[derive(Debug)]
pub(super) enum Message {
    Slave(SlaveToMaster),
    Framework(FrameworkToMaster),
    Operator(OperatorToMaster),
}

/// Every session there is.
#[derive(Debug)]
pub(super) struct Sessions {
    all: BTreeMap<SessionId, Open>,
    last: SessionId,
    news: mpsc::Sender<News>,
    waiting_bytes_max: usize,
}

#[derive(Debug)]
struct Open {
    /// For logs.
    peer: Peer,
    frames: mpsc::UnboundedSender<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Taken to end it at once.
    end: Option<oneshot::Sender<CloseReason>>,
}

#[derive(Debug)]
enum Outgoing {
    Frame(Vec<u8>),
    Close(CloseReason),
}

impl Sessions {
    /// None yet. What waits to be written to one peer is at most `waiting_bytes_max`.
    pub(super) fn new(news: mpsc::Sender<News>, waiting_bytes_max: usize) -> Self {
        Self { all: BTreeMap::new(), last: SessionId(0), news, waiting_bytes_max }
    }

    /// Takes a session, and gives it an id that no session has.
    pub(super) fn begin(&mut self, session: QuicSession) -> (SessionId, Peer) {
        while self.all.contains_key(&self.last) || self.last == SessionId(0) {
            self.last = SessionId(self.last.0.wrapping_add(1));
        }
        let id = self.last;
        let peer = session.peer().clone();
        tracing::debug!(session = %id, %peer, address = %session.remote_address(), "session opened");
        let (send, receive) = session.split();
        let (frames, outgoing) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let waiting_bytes = Arc::<AtomicUsize>::default();
        tokio::spawn(read(id, peer.role, receive, self.news.clone()));
        tokio::spawn(write(send, outgoing, ended, Arc::clone(&waiting_bytes)));
        self.all.insert(id, Open { peer: peer.clone(), frames, waiting_bytes, end: Some(end) });
        (id, peer)
    }

    /// Says `message`. `false`: the peer is too slow, and its session has been ended.
    pub(super) fn say<M: Wire>(&mut self, id: SessionId, message: &M) -> bool {
        let Some(open) = self.all.get_mut(&id).filter(|open| open.end.is_some()) else {
            return true;
        };
        let frame = match codec::encode(message) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(session = %id, peer = %open.peer, %error, "a message cannot be sent");
                let detail = format!("what the master had to say cannot be sent: {error}").into();
                open.end_now(CloseReason { code: CloseCode::Done, detail });
                return false;
            }
        };
        let waiting = open.waiting_bytes.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
        if waiting > self.waiting_bytes_max {
            let max = self.waiting_bytes_max;
            tracing::warn!(session = %id, peer = %open.peer, waiting, max, "a peer does not read: let go");
            let detail = format!("{waiting} bytes wait to be read, and {max} may: read faster").into();
            open.end_now(CloseReason { code: CloseCode::TooSlow, detail });
            return false;
        }
        // The writer has gone where the session is lost; the reader tells.
        let _ = open.frames.send(Outgoing::Frame(frame));
        true
    }

    /// Ends a session once what was said is sent.
    pub(super) fn close(&mut self, id: SessionId, reason: CloseReason) {
        if let Some(open) = self.all.get_mut(&id).filter(|open| open.end.is_some()) {
            tracing::info!(session = %id, peer = %open.peer, %reason, "session closed");
            let _ = open.frames.send(Outgoing::Close(reason));
            // From here on its reader speaks for nobody, and the writer ends after the last frame.
            open.end = None;
        }
    }

    /// Whether the session is one that the machine knows of.
    pub(super) fn is_open(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|open| open.end.is_some())
    }

    /// Forgets a session whose reader has ended. Answers whether the machine has still to hear of it.
    pub(super) fn ended(&mut self, id: SessionId, reason: Option<CloseReason>) -> bool {
        let Some(mut open) = self.all.remove(&id) else {
            return false;
        };
        let known = open.end.is_some();
        if known {
            tracing::debug!(session = %id, peer = %open.peer, "session ended");
        }
        if let Some(reason) = reason {
            tracing::warn!(session = %id, peer = %open.peer, %reason, "a peer's message cannot be read");
            open.end_now(reason);
        }
        known
    }
}

impl Open {
    fn end_now(&mut self, reason: CloseReason) {
        if let Some(end) = self.end.take() {
            let _ = end.send(reason);
        }
    }
}

/// Lets peers in until the endpoint is closed.
pub(super) async fn accept(mut listener: Listener, news: mpsc::Sender<News>) {
    while let Some(accepted) = listener.accept().await {
        match accepted {
            Ok(session) => {
                if news.send(News::Accepted(Box::new(session))).await.is_err() {
                    return;
                }
            }
            Err(refusal) => {
                tracing::warn!(address = %refusal.address, cause = %refusal.cause, "a peer was refused");
            }
        }
    }
}

/// The roles that a master lets in.
pub(super) const ROLES: [Role; 3] = [Role::Slave, Role::Framework, Role::Operator];

async fn read(id: SessionId, role: Role, mut receive: QuicReceive, news: mpsc::Sender<News>) {
    let reason = loop {
        let Ok(frame) = receive.receive().await else {
            break None;
        };
        match message(role, &frame) {
            Ok(message) => {
                if news.send(News::Said(id, message)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let detail = error.to_string().into();
                break Some(CloseReason { code: error.close_code(), detail });
            }
        }
    };
    let _ = news.send(News::Ended(id, reason)).await;
}

fn message(role: Role, frame: &[u8]) -> Result<Message, DecodeError> {
    match role {
        Role::Slave => codec::decode(frame).map(Message::Slave),
        Role::Framework => codec::decode(frame).map(Message::Framework),
        // The listener lets no other role in.
        Role::Operator | Role::Master | Role::Executor => codec::decode(frame).map(Message::Operator),
    }
}

async fn write(
    mut send: QuicSend,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    mut end: oneshot::Receiver<CloseReason>,
    waiting_bytes: Arc<AtomicUsize>,
) {
    let mut ending = true;
    let mut said: Option<Instant> = None;
    loop {
        let next = tokio::select! {
            biased;
            reason = &mut end, if ending => match reason {
                Ok(reason) => return send.close(reason),
                // It is closed in order, or forgotten: what was said goes out first.
                Err(_) => { ending = false; continue }
            },
            next = outgoing.recv() => next,
        };
        match next {
            Some(Outgoing::Frame(frame)) => {
                let sent = match send_or_end(&mut send, &frame, &mut end, &mut ending).await {
                    Ok(sent) => sent,
                    Err(reason) => return send.close(reason),
                };
                if sent.is_err() {
                    return;
                }
                waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
                said = Some(Instant::now());
            }
            Some(Outgoing::Close(reason)) => return close(send, reason, said).await,
            None => return,
        }
    }
}

/// Sends a frame, unless the session is to be ended at once.
async fn send_or_end(
    send: &mut QuicSend,
    frame: &[u8],
    end: &mut oneshot::Receiver<CloseReason>,
    ending: &mut bool,
) -> Result<Result<(), SendError>, CloseReason> {
    let sending = send.send(frame);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            biased;
            reason = &mut *end, if *ending => match reason {
                Ok(reason) => return Err(reason),
                Err(_) => *ending = false,
            },
            sent = &mut sending => return Ok(sent),
        }
    }
}

/// Ends a session. To close it may overtake what was said just before, so that the peer is waited for first.
async fn close(mut send: QuicSend, reason: CloseReason, said: Option<Instant>) {
    if said.is_some_and(|said| said.elapsed() < LAST_WORDS_TIMEOUT) {
        // A peer that does not read has had its time; one that is gone needs no goodbye.
        let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, send.finish()).await;
    }
    send.close(reason);
}
