//! Live sessions for the driver of a machine: what comes in becomes inputs, in order, and what goes out never makes
//! the driver wait.

use std::collections::BTreeMap;
use std::time::Duration;

use neap_protocol::codec::{self, Wire};
use neap_protocol::ids::SessionId;
use neap_protocol::text::Text;
use neap_protocol::transport::{CloseCode, CloseReason, Closed, ReceiveHalf, SendHalf, Session};
use tokio::sync::mpsc;

/// The most frames that wait for a peer; one that lets more pile up is closed as too slow.
const WAITING_MAX: usize = 32_768;

/// How long what was said last may take to arrive when a session is closed in order.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session brings.
#[derive(Debug)]
pub enum News<M> {
    /// A message.
    Said(SessionId, M),
    /// It ended; nothing of it follows.
    Ended(SessionId, Text),
}

/// The sessions of one kind of peer, by number. Numbers are given once in a driver's life.
#[derive(Debug, Default)]
pub struct Sessions {
    open: BTreeMap<SessionId, mpsc::Sender<Outgoing>>,
}

#[derive(Debug)]
enum Outgoing {
    Frame(Vec<u8>),
    Close(CloseReason),
}

impl Sessions {
    /// None.
    pub const fn new() -> Self {
        Self { open: BTreeMap::new() }
    }

    /// Takes up a session under a number. What it brings goes through `news` into `inputs`, and reading waits
    /// while that is full. Needs a tokio runtime.
    pub fn open<S: Session, M: Wire + Send + 'static, I: Send + 'static>(
        &mut self,
        id: SessionId,
        session: S,
        inputs: mpsc::Sender<I>,
        news: fn(News<M>) -> I,
    ) {
        let (send, receive) = session.split();
        let (outgoing, waiting) = mpsc::channel(WAITING_MAX);
        self.open.insert(id, outgoing.clone());
        tokio::spawn(write(send, waiting));
        tokio::spawn(async move {
            let cause = read(id, receive, &inputs, news).await;
            if let Some(reason) = cause.0 {
                let _gone = outgoing.try_send(Outgoing::Close(reason));
            }
            let _over = inputs.send(news(News::Ended(id, cause.1))).await;
        });
    }

    /// Whether a session is open, as far as the driver has been told.
    pub fn is_open(&self, id: SessionId) -> bool {
        self.open.contains_key(&id)
    }

    /// Says a message to a session; to one that is gone, nothing.
    pub fn say<M: Wire>(&mut self, id: SessionId, message: &M) {
        let Some(outgoing) = self.open.get(&id) else {
            return;
        };
        let (code, cause) = match codec::encode(message) {
            Ok(frame) => match outgoing.try_send(Outgoing::Frame(frame)) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    (CloseCode::TooSlow, "too much waits for it".to_owned())
                }
            },
            Err(error) => (CloseCode::Misbehaved, error.to_string()),
        };
        tracing::warn!(session = %id, cause, "a session is closed: its message cannot be sent");
        // Dropped and not closed: a full queue takes no word more, and the peer hears of a lost connection.
        let _told = outgoing.try_send(Outgoing::Close(CloseReason { code, detail: Text::from(cause) }));
        self.open.remove(&id);
    }

    /// Closes a session once what was said to it is out. Its end is still to come as [`News::Ended`].
    pub fn close(&mut self, id: SessionId, reason: CloseReason) {
        if let Some(outgoing) = self.open.remove(&id) {
            let _gone = outgoing.try_send(Outgoing::Close(reason));
        }
    }

    /// Forgets a session that has ended.
    pub fn forget(&mut self, id: SessionId) {
        self.open.remove(&id);
    }

    /// Closes every session in order, and waits until each has ended, for a short time at most.
    pub async fn close_all(&mut self, reason: &CloseReason) {
        let open = std::mem::take(&mut self.open);
        for outgoing in open.values() {
            let _gone = outgoing.try_send(Outgoing::Close(reason.clone()));
        }
        let ended = async {
            for outgoing in open.values() {
                outgoing.closed().await;
            }
        };
        let _in_time = tokio::time::timeout(FINISH_TIMEOUT, ended).await;
    }
}

/// Reads until the end: why it ended, and what the peer is to be told of it.
async fn read<R: ReceiveHalf, M: Wire, I>(
    id: SessionId,
    mut receive: R,
    inputs: &mpsc::Sender<I>,
    news: fn(News<M>) -> I,
) -> (Option<CloseReason>, Text) {
    loop {
        let frame = match receive.receive().await {
            Ok(frame) => frame,
            Err(Closed::Finished) => {
                let reason = CloseReason { code: CloseCode::Done, detail: Text::EMPTY };
                return (Some(reason), Text::new("the peer has no more to say"));
            }
            Err(closed) => return (None, Text::from(closed.to_string())),
        };
        match codec::decode(&frame) {
            Ok(message) => {
                if inputs.send(news(News::Said(id, message))).await.is_err() {
                    return (None, Text::EMPTY);
                }
            }
            Err(error) => {
                let code = match matches!(error, codec::DecodeError::Version { .. }) {
                    true => CloseCode::Version,
                    false => CloseCode::Misbehaved,
                };
                let detail = Text::from(error.to_string());
                return (Some(CloseReason { code, detail: detail.clone() }), detail);
            }
        }
    }
}

/// Writes until the session is closed or lost.
async fn write<S: SendHalf>(mut send: S, mut waiting: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = waiting.recv().await {
        match outgoing {
            Outgoing::Frame(frame) => {
                if let Err(error) = send.send(&frame).await {
                    tracing::debug!(%error, "a message was not sent");
                    return;
                }
            }
            Outgoing::Close(reason) => {
                let _arrived = tokio::time::timeout(FINISH_TIMEOUT, send.finish()).await;
                send.close(reason);
                return;
            }
        }
    }
}
