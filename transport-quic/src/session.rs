//! A live session and its halves.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use neap_protocol::journal::LinkId;
use neap_protocol::text::Text;
use neap_protocol::transport::{
    CloseCode, CloseReason, Closed, Peer, ReceiveHalf, SendError, SendHalf, Session,
};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, StoppedError, VarInt, WriteError};

use crate::congestion;
use crate::frames::{self, Assembler, Item};

/// How much is taken from the stream at once.
const CHUNK_SIZE_MAX: usize = 64 * 1024;

/// The application code of the first [`CloseCode`]; 0 is what QUIC says for a session that was dropped.
const CLOSE_CODE_BASE: u32 = 0x100;

/// What both ends derive from the secrets of the handshake, to call a session by in journals (RFC 5705).
const LINK_LABEL: &[u8] = b"EXPERIMENTAL neap journal";

/// The code of a stream, or of a session, that was given up.
const GIVEN_UP: VarInt = VarInt::from_u32(0);

/// A session over QUIC.
#[derive(Debug)]
pub struct QuicSession {
    peer: Peer,
    address: SocketAddr,
    send: QuicSend,
    receive: QuicReceive,
}

impl QuicSession {
    pub(crate) fn new(
        peer: Peer,
        connection: quinn::Connection,
        (send, receive): (SendStream, RecvStream),
        endpoint_end: Arc<OnceLock<CloseReason>>,
    ) -> Self {
        let address = connection.remote_address();
        let end = Arc::new(End { connection, here: OnceLock::new(), endpoint: endpoint_end });
        Self {
            peer,
            address,
            send: QuicSend { stream: send, end: Arc::clone(&end), finishing: false, torn: false },
            receive: QuicReceive {
                stream: receive,
                end,
                assembler: Assembler::default(),
                chunk: Bytes::new(),
                ended: None,
            },
        }
    }

    /// Where the peer was when the session began.
    pub fn remote_address(&self) -> SocketAddr {
        self.address
    }

    /// What both ends can call this session, and no other has. It tells nothing of the session's secrets.
    pub fn link(&self) -> Option<LinkId> {
        let mut id = [0; 8];
        // Once the handshake is over, and before it there is no session, keys can be derived.
        self.send.end.connection.export_keying_material(&mut id, LINK_LABEL, &[]).ok()?;
        Some(LinkId(id))
    }
}

impl Session for QuicSession {
    type Send = QuicSend;
    type Receive = QuicReceive;

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn split(self) -> (QuicSend, QuicReceive) {
        (self.send, self.receive)
    }
}

/// The sending half of a session over QUIC. A frame is sent at once; frames that follow each other without a pause
/// share packets.
#[derive(Debug)]
pub struct QuicSend {
    stream: SendStream,
    end: Arc<End>,
    finishing: bool,
    /// A `send` was cancelled, perhaps inside its frame.
    torn: bool,
}

impl SendHalf for QuicSend {
    async fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
        SendError::check(frame)?;
        self.write(frames::encode(frame)).await.map_err(SendError::Closed)
    }

    async fn finish(&mut self) -> Result<(), Closed> {
        if self.torn {
            return Err(Closed::Lost("an earlier send was cancelled inside its frame".into()));
        }
        if let Some(closed) = self.end.said_here() {
            return Err(closed);
        }
        self.finishing = true;
        // An error here says that it was called before, or that the peer reads no more; `stopped` tells them apart.
        let _ = self.stream.finish();
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Closed::Lost("the peer stopped reading before the end".into())),
            Err(StoppedError::ConnectionLost(error)) => Err(self.end.closed(&error)),
            Err(error @ StoppedError::ZeroRttRejected) => Err(Closed::Lost(error.to_string().into())),
        }
    }

    async fn part(&mut self, reason: CloseReason) -> Result<(), Closed> {
        if !self.finishing {
            self.write(frames::encode_parting(&reason)).await?;
        }
        let finished = self.finish().await;
        self.close(reason);
        finished
    }

    fn close(&mut self, reason: CloseReason) {
        self.end.close(Closed::Local(reason.clone()), &reason);
    }
}

impl QuicSend {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Closed> {
        if self.torn {
            return Err(Closed::Lost("an earlier send was cancelled inside its frame".into()));
        }
        self.torn = true;
        let written = self.stream.write_chunk(bytes).await;
        self.torn = false;
        written.map_err(|error| match error {
            WriteError::ConnectionLost(error) => self.end.closed(&error),
            WriteError::Stopped(_) => Closed::Lost("the peer reads no more".into()),
            WriteError::ClosedStream => self.end.said_here().unwrap_or(Closed::Finished),
            WriteError::ZeroRttRejected => Closed::Lost(Text::from(error.to_string())),
        })
    }
}

impl Drop for QuicSend {
    fn drop(&mut self) {
        // Left alone, quinn would end the stream in order, as if everything had been said.
        if !self.finishing || self.torn {
            let _ = self.stream.reset(GIVEN_UP);
        }
    }
}

/// The receiving half of a session over QUIC.
#[derive(Debug)]
pub struct QuicReceive {
    stream: RecvStream,
    end: Arc<End>,
    assembler: Assembler,
    /// What was taken from the stream and belongs to the next frames.
    chunk: Bytes,
    ended: Option<Closed>,
}

impl ReceiveHalf for QuicReceive {
    async fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        if let Some(closed) = &self.ended {
            return Err(closed.clone());
        }
        let received = self.next_frame().await;
        if let Err(closed) = &received {
            self.ended = Some(closed.clone());
            self.assembler = Assembler::default();
            self.chunk = Bytes::new();
        }
        received
    }
}

impl QuicReceive {
    async fn next_frame(&mut self) -> Result<Vec<u8>, Closed> {
        loop {
            match self.assembler.take(&mut self.chunk) {
                Ok(Some(Item::Frame(frame))) => return Ok(frame),
                // The peer closes the connection once it knows that this has arrived.
                Ok(Some(Item::Parting(reason))) => return Err(Closed::Peer(reason)),
                Ok(None) => {}
                Err(wrong) => return Err(self.violation(&wrong)),
            }
            match self.stream.read_chunk(CHUNK_SIZE_MAX, true).await {
                Ok(Some(chunk)) => self.chunk = chunk.bytes,
                Ok(None) if self.assembler.within_frame() => {
                    return Err(Closed::Lost("the peer stopped inside a frame".into()));
                }
                Ok(None) => return Err(Closed::Finished),
                Err(ReadError::ConnectionLost(error)) => return Err(self.end.closed(&error)),
                Err(ReadError::Reset(_)) => {
                    return Err(Closed::Lost("the peer gave up sending before the end".into()));
                }
                Err(error) => return Err(Closed::Lost(error.to_string().into())),
            }
        }
    }

    fn violation(&self, wrong: &str) -> Closed {
        let closed = Closed::Violation(wrong.into());
        let detail = Text::from(format!("the peer sent {wrong}"));
        let reason = CloseReason { code: CloseCode::Misbehaved, detail };
        self.end.close(closed.clone(), &reason);
        closed
    }
}

/// What both halves know of the session's end.
#[derive(Debug)]
struct End {
    connection: quinn::Connection,
    /// Set by what ended the session on this side.
    here: OnceLock<Closed>,
    /// Set when the whole endpoint was closed.
    endpoint: Arc<OnceLock<CloseReason>>,
}

impl End {
    fn close(&self, closed: Closed, reason: &CloseReason) {
        // The peer may have been first; then that is how it ended.
        if self.connection.close_reason().is_none() && self.here.set(closed).is_ok() {
            close(&self.connection, reason);
        }
    }

    fn said_here(&self) -> Option<Closed> {
        self.here.get().cloned()
    }

    fn closed(&self, error: &ConnectionError) -> Closed {
        let text = match error {
            ConnectionError::LocallyClosed => {
                let endpoint = || self.endpoint.get().cloned().map(Closed::Local);
                let unknown = || Closed::Lost("the session was dropped here".into());
                return self.said_here().or_else(endpoint).unwrap_or_else(unknown);
            }
            ConnectionError::ApplicationClosed(close) => match close_reason(close) {
                Some(reason) => return Closed::Peer(reason),
                None => "the peer dropped the session".to_owned(),
            },
            ConnectionError::TransportError(error) => return Closed::Violation(error.to_string().into()),
            ConnectionError::TimedOut => "nothing was heard from the peer for too long".to_owned(),
            ConnectionError::Reset => "the peer knows nothing of the session: it has restarted".to_owned(),
            ConnectionError::ConnectionClosed(_)
            | ConnectionError::VersionMismatch
            | ConnectionError::CidsExhausted => error.to_string(),
        };
        Closed::Lost(text.into())
    }
}

impl Drop for End {
    /// quinn would do it by itself, but see [`congestion`].
    fn drop(&mut self) {
        congestion::open(&self.connection);
        self.connection.close(GIVEN_UP, &[]);
    }
}

/// Ends a connection with a reason.
pub(crate) fn close(connection: &quinn::Connection, reason: &CloseReason) {
    congestion::open(connection);
    connection.close(code(reason.code), reason.detail.as_str().as_bytes());
}

/// The number of `code` on the wire: its place in [`CloseCode::ALL`].
pub(crate) fn code(code: CloseCode) -> VarInt {
    let place = (0..).zip(CloseCode::ALL).find(|&(_, one)| one == code);
    VarInt::from_u32(CLOSE_CODE_BASE + place.map_or(0, |(place, _)| place))
}

/// What the peer said when it closed; nothing when it dropped the session, or said what no neap says.
pub(crate) fn close_reason(close: &quinn::ApplicationClose) -> Option<CloseReason> {
    let place = close.error_code.into_inner().checked_sub(u64::from(CLOSE_CODE_BASE))?;
    let code = *CloseCode::ALL.get(usize::try_from(place).ok()?)?;
    let detail = Text::new(&String::from_utf8_lossy(&close.reason));
    Some(CloseReason { code, detail })
}
