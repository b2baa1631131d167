//! Live sessions for the driver of a machine: what comes in becomes inputs, in order, and what goes out never makes
//! the driver wait.
//!
//! Nothing is decided here. What waits to be written to a peer is bounded in bytes, and one that does not read is let
//! go ([`CloseCode::TooSlow`]). What was said before a session is closed in order arrives, if its peer takes it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use neap_protocol::codec::{self, Wire};
use neap_protocol::ids::SessionId;
use neap_protocol::text::Text;
use neap_protocol::transport::{CloseCode, CloseReason, Closed, Peer, ReceiveHalf, SendHalf, Session};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::refusals::{Cause, Refusals};

/// What may wait for one peer, in bytes, unless told otherwise.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What a frame that waits costs beside its bytes, so that many small ones are bounded too.
const FRAME_COST: usize = size_of::<Vec<u8>>();

/// How long what was said last may take to arrive when a session is closed in order.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session brings.
#[derive(Debug)]
pub enum News<M> {
    /// A message.
    Said(SessionId, M),
    /// It ended, for this cause; nothing of it follows.
    Ended(SessionId, Text),
}

/// The sessions of one node, by number. Numbers are the driver's to give.
#[derive(Debug)]
pub struct Sessions {
    all: BTreeMap<SessionId, Open>,
    waiting_bytes_max: usize,
    refusals: Refusals,
    /// Each writer holds one for as long as it writes.
    writing: mpsc::Sender<Infallible>,
    written: mpsc::Receiver<Infallible>,
}

#[derive(Debug)]
struct Open {
    /// For logs.
    peer: Peer,
    /// `None` once it is closed here.
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    frames: mpsc::UnboundedSender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Room for one: the first word on how it ends is the last.
    end: mpsc::Sender<End>,
}

/// How a writer is to end its session.
#[derive(Debug)]
enum End {
    /// After what was said has arrived.
    InOrder(CloseReason),
    AtOnce(CloseReason),
}

impl Sessions {
    /// None. Who is refused is counted in `refusals`.
    pub fn new(refusals: Refusals) -> Self {
        Self::bounded(WAITING_BYTES_MAX, refusals)
    }

    /// The same; a peer for which more than this many bytes wait is let go.
    pub fn bounded(waiting_bytes_max: usize, refusals: Refusals) -> Self {
        let (writing, written) = mpsc::channel(1);
        Self { all: BTreeMap::new(), waiting_bytes_max, refusals, writing, written }
    }

    /// Takes up a session under a number that none has. What it brings goes through `news` into `inputs`, and reading
    /// waits while that is full. Needs a tokio runtime.
    pub fn open<S: Session, M: Wire + Send + 'static, I: Send + 'static>(
        &mut self,
        id: SessionId,
        session: S,
        inputs: mpsc::Sender<I>,
        news: fn(News<M>) -> I,
    ) {
        let peer = session.peer().clone();
        let (send, receive) = session.split();
        let (frames, waiting) = mpsc::unbounded_channel();
        let (end, told) = mpsc::channel(1);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let (bytes, writing) = (Arc::clone(&waiting_bytes), self.writing.clone());
        tokio::spawn(async move {
            write(send, waiting, told, &bytes).await;
            drop(writing);
        });
        let (peer_read, tell, refusals) = (peer.clone(), end.clone(), self.refusals.clone());
        tokio::spawn(async move {
            let (end, cause) = read(id, &peer_read, receive, &inputs, news, &refusals).await;
            if let Some(end) = end {
                let _ended_already = tell.try_send(end);
            }
            let _over = inputs.send(news(News::Ended(id, cause))).await;
        });
        self.all.insert(id, Open { peer, live: Some(Live { frames, waiting_bytes, end }) });
    }

    /// Whether a number is given, also to a session that was closed here and has not ended yet.
    pub fn has(&self, id: SessionId) -> bool {
        self.all.contains_key(&id)
    }

    /// Who is at the other end of a session that has not ended yet.
    pub fn peer(&self, id: SessionId) -> Option<&Peer> {
        self.all.get(&id).map(|open| &open.peer)
    }

    /// Whether a session is open, as far as the driver has been told.
    pub fn is_open(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|open| open.live.is_some())
    }

    /// Says a message to a session; to one that is gone, nothing. `false`: it cannot be said, and the session is ended
    /// at once; its end is still to come as [`News::Ended`].
    pub fn say<M: Wire>(&mut self, id: SessionId, message: &M) -> bool {
        let Some(open) = self.all.get_mut(&id) else {
            return true;
        };
        let Some(live) = &open.live else {
            return true;
        };
        let frame = match codec::encode(message) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(session = %id, peer = %open.peer, %error, "a message cannot be sent");
                let detail = Text::from(format!("what there was to say cannot be sent: {error}"));
                open.end(End::AtOnce(CloseReason { code: CloseCode::Done, detail }));
                return false;
            }
        };
        let cost = cost(&frame);
        let waiting = live.waiting_bytes.fetch_add(cost, Ordering::Relaxed) + cost;
        if waiting > self.waiting_bytes_max {
            let max = self.waiting_bytes_max;
            let detail = Text::from(format!("{waiting} bytes wait to be read, and {max} may: read faster"));
            self.refusals.count(Cause::TooSlow, &open.peer, &detail);
            open.end(End::AtOnce(CloseReason { code: CloseCode::TooSlow, detail }));
            return false;
        }
        // The writer has gone where the session is lost; the reader tells.
        let _gone = live.frames.send(frame);
        true
    }

    /// Closes a session once what was said to it has arrived. Its end is still to come as [`News::Ended`].
    pub fn close(&mut self, id: SessionId, reason: CloseReason) {
        if let Some(open) = self.all.get_mut(&id).filter(|open| open.live.is_some()) {
            tracing::debug!(session = %id, peer = %open.peer, %reason, "session closed");
            if matches!(reason.code, CloseCode::Misbehaved | CloseCode::Forbidden) {
                self.refusals.count(Cause::Misbehaved, &open.peer, &reason.detail);
            }
            open.end(End::InOrder(reason));
        }
    }

    /// Forgets a session that has ended. Answers whether the driver was still to be told.
    pub fn forget(&mut self, id: SessionId) -> bool {
        self.all.remove(&id).is_some_and(|open| open.live.is_some())
    }

    /// Closes every session in order, and waits until all that was said has arrived, those that were closed before
    /// included; for a short time at most. What sessions bring from here on must be taken or dropped.
    pub async fn close_all(&mut self, reason: &CloseReason) {
        for open in self.all.values_mut() {
            open.end(End::InOrder(reason.clone()));
        }
        let mut rest = std::mem::replace(self, Self::bounded(self.waiting_bytes_max, self.refusals.clone()));
        drop(rest.writing);
        // Each writer has its own bound; this one is for a runtime that is out of breath.
        let _in_time = timeout(LAST_WORDS_TIMEOUT * 2, rest.written.recv()).await;
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new(Refusals::default())
    }
}

impl Open {
    /// Once only: the frames end here, and so does what the driver has to do with it.
    fn end(&mut self, end: End) {
        if let Some(live) = self.live.take() {
            let _ended_already = live.end.try_send(end);
        }
    }
}

fn cost(frame: &[u8]) -> usize {
    frame.len() + FRAME_COST
}

/// Reads until the end: how the writer is to end it, and why it ended.
async fn read<R: ReceiveHalf, M: Wire, I>(
    id: SessionId,
    peer: &Peer,
    mut receive: R,
    inputs: &mpsc::Sender<I>,
    news: fn(News<M>) -> I,
    refusals: &Refusals,
) -> (Option<End>, Text) {
    loop {
        let frame = match receive.receive().await {
            Ok(frame) => frame,
            // What was said to it may still arrive.
            Err(Closed::Finished) => {
                let reason = CloseReason { code: CloseCode::Done, detail: Text::EMPTY };
                return (Some(End::InOrder(reason)), Text::new("the peer has no more to say"));
            }
            Err(closed) => {
                if let Closed::Violation(detail) = &closed {
                    refusals.count(Cause::Unreadable, peer, detail);
                }
                return (None, Text::from(closed.to_string()));
            }
        };
        match codec::decode(&frame) {
            Ok(message) => {
                if inputs.send(news(News::Said(id, message))).await.is_err() {
                    return (None, Text::EMPTY);
                }
            }
            Err(error) => {
                tracing::debug!(session = %id, %peer, %error, "a message cannot be read");
                refusals.count(Cause::Unreadable, peer, &error);
                let detail = Text::from(error.to_string());
                let reason = CloseReason { code: error.close_code(), detail: detail.clone() };
                return (Some(End::AtOnce(reason)), detail);
            }
        }
    }
}

/// Writes until the session is closed or lost.
async fn write<S: SendHalf>(
    mut send: S,
    frames: mpsc::UnboundedReceiver<Vec<u8>>,
    mut told: mpsc::Receiver<End>,
    waiting_bytes: &AtomicUsize,
) {
    let (reason, last_words) = {
        let mut sending = pin!(send_all(&mut send, frames, waiting_bytes));
        let (end, sent) = tokio::select! {
            biased;
            Some(end) = told.recv() => (Some(end), false),
            // Frames end after the word on how to end.
            () = &mut sending => (told.try_recv().ok(), true),
        };
        match end {
            // Lost, or forgotten after its end.
            None => return,
            Some(End::AtOnce(reason)) => (reason, None),
            Some(End::InOrder(reason)) => {
                let deadline = Instant::now() + LAST_WORDS_TIMEOUT;
                if !sent {
                    let _in_time = timeout_at(deadline, sending).await;
                }
                (reason, Some(deadline))
            }
        }
    };
    if let Some(deadline) = last_words {
        // To close may overtake what was said just before. A peer that does not read has had its time.
        let _in_time = timeout_at(deadline, send.part(reason.clone())).await;
    }
    send.close(reason);
}

async fn send_all<S: SendHalf>(
    send: &mut S,
    mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting_bytes: &AtomicUsize,
) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = send.send(&frame).await {
            tracing::debug!(%error, "a message was not sent");
            return;
        }
        waiting_bytes.fetch_sub(cost(&frame), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_protocol::message::{MasterToSlave, Refused, SlaveToMaster};
    use neap_protocol::text::{Name, TEXT_LEN_MAX};
    use neap_protocol::transport::Role;
    use neap_transport_conformance::memory::{self, CAPACITY, MemorySession};

    const ID: SessionId = SessionId(1);

    /// A master's session with a slave, and the slave's end of it.
    fn open(sessions: &mut Sessions) -> (mpsc::Receiver<News<SlaveToMaster>>, MemorySession) {
        let peer = |role| Peer { role, name: Name::new("n").unwrap() };
        let (here, there, _link) = memory::pair(peer(Role::Slave), peer(Role::Master));
        let (inputs, brought) = mpsc::channel(8);
        sessions.open(ID, here, inputs, |news| news);
        (brought, there)
    }

    fn reason(code: CloseCode) -> CloseReason {
        CloseReason { code, detail: "because".into() }
    }

    /// Everything that arrives, and how it ends.
    async fn hear(mut receive: impl ReceiveHalf) -> (Vec<MasterToSlave>, Closed) {
        let mut heard = Vec::new();
        loop {
            match receive.receive().await {
                Ok(frame) => heard.push(codec::decode(&frame).unwrap()),
                Err(closed) => return (heard, closed),
            }
        }
    }

    /// A refusal of the largest size; a few hundred are more than a session takes unread.
    fn long() -> MasterToSlave {
        MasterToSlave::Refused(Refused::Invalid(Text::new(&"x".repeat(TEXT_LEN_MAX))))
    }

    #[tokio::test]
    async fn what_was_said_last_arrives_before_all_are_closed() {
        let mut sessions = Sessions::default();
        let (brought, there) = open(&mut sessions);
        drop(brought);
        let count = 2 * CAPACITY / TEXT_LEN_MAX;
        for _ in 0..count {
            assert!(sessions.say(ID, &long()));
        }
        let (_send, receive) = there.split();
        let hearing = tokio::spawn(hear(receive));
        sessions.close_all(&reason(CloseCode::Shutdown)).await;
        let (heard, closed) = hearing.await.unwrap();
        assert_eq!(heard.len(), count);
        assert_eq!(closed, Closed::Peer(reason(CloseCode::Shutdown)));
    }

    #[tokio::test]
    async fn a_session_that_was_closed_before_is_waited_for() {
        let mut sessions = Sessions::default();
        let (_brought, there) = open(&mut sessions);
        assert!(sessions.say(ID, &MasterToSlave::Ping));
        sessions.close(ID, reason(CloseCode::Replaced));
        assert!(sessions.has(ID) && !sessions.is_open(ID));
        assert!(sessions.say(ID, &MasterToSlave::Leave), "nobody is there to hear it");
        assert!(!sessions.forget(ID), "the driver has closed it itself");
        let (_send, receive) = there.split();
        let hearing = tokio::spawn(hear(receive));
        sessions.close_all(&reason(CloseCode::Shutdown)).await;
        let (heard, closed) = hearing.await.unwrap();
        assert_eq!(heard, [MasterToSlave::Ping]);
        assert_eq!(
            closed,
            Closed::Peer(reason(CloseCode::Replaced)),
            "it is told why, not that all are closed"
        );
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_holds_up_no_end() {
        let mut sessions = Sessions::default();
        let (_brought, there) = open(&mut sessions);
        for _ in 0..2 * CAPACITY / TEXT_LEN_MAX {
            assert!(sessions.say(ID, &long()));
        }
        let begin = Instant::now();
        sessions.close_all(&reason(CloseCode::Shutdown)).await;
        let waited = begin.elapsed();
        assert!(waited >= LAST_WORDS_TIMEOUT && waited < LAST_WORDS_TIMEOUT * 2, "{waited:?}");
        drop(there);
    }

    #[tokio::test]
    async fn what_waits_for_a_peer_is_bounded() {
        let refusals = Refusals::default();
        let mut sessions = Sessions::bounded(CAPACITY, refusals.clone());
        let (mut brought, there) = open(&mut sessions);
        let (_send, receive) = there.split();
        while sessions.say(ID, &long()) {}
        assert!(!sessions.is_open(ID));
        let (_, closed) = hear(receive).await;
        assert!(matches!(&closed, Closed::Peer(reason) if reason.code == CloseCode::TooSlow), "{closed:?}");
        assert!(matches!(brought.recv().await, Some(News::Ended(ID, _))));
        assert_eq!(refusals.total(Cause::TooSlow), 1);
    }

    #[tokio::test]
    async fn a_peer_with_no_more_to_say_is_still_answered() {
        let mut sessions = Sessions::default();
        let (mut brought, there) = open(&mut sessions);
        let (mut send, receive) = there.split();
        send.send(&codec::encode(&SlaveToMaster::Pong).unwrap()).await.unwrap();
        let hearing = tokio::spawn(hear(receive));
        send.finish().await.unwrap();
        assert!(matches!(brought.recv().await, Some(News::Said(ID, SlaveToMaster::Pong))));
        assert!(sessions.say(ID, &MasterToSlave::Ping));
        assert!(matches!(brought.recv().await, Some(News::Ended(ID, _))));
        assert!(sessions.forget(ID));
        let (heard, closed) = hearing.await.unwrap();
        assert_eq!(heard, [MasterToSlave::Ping]);
        assert!(!matches!(closed, Closed::Lost(_)), "{closed:?}");
    }

    #[tokio::test]
    async fn nonsense_ends_the_session_with_its_cause() {
        let mut sessions = Sessions::default();
        let (mut brought, there) = open(&mut sessions);
        let (mut send, receive) = there.split();
        send.send(&[99, 0]).await.unwrap();
        let (_, closed) = hear(receive).await;
        assert!(matches!(&closed, Closed::Peer(reason) if reason.code == CloseCode::Version), "{closed:?}");
        assert!(matches!(brought.recv().await, Some(News::Ended(ID, cause)) if !cause.is_empty()));
    }
}
