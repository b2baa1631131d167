//! A UDP socket with every session on it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use neap_protocol::text::Name;
use neap_protocol::transport::{CloseCode, CloseReason, Peer, Role};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connecting, ConnectionError, ReadExactError, TransportErrorCode};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use crate::congestion::AllOpen;
use crate::credentials::{Credentials, PeerVerifier, alert, certificate_refused, peer_of};
use crate::listener::Listener;
use crate::rounds::Rounds;
use crate::session::{self, QuicSession};
use crate::{Settings, WELCOME};

/// What TLS is told as the server's name. Nobody reads it: see the crate's page.
const SERVER_NAME: &str = "neap";

/// How long a peer that has answered may take to let this side in before it is met anew, at least; doubled each time.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// The same in times that its answer took: who is busy is given longer.
const PATIENCE_ANSWERS: u32 = 3;

/// A UDP socket, over which sessions are made and accepted. Cheap to clone; the socket lives as long as its last
/// session.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: quinn::Endpoint,
    credentials: Credentials,
    settings: Settings,
    end: Arc<OnceLock<CloseReason>>,
    windows: AllOpen,
    rounds: Rounds,
}

/// Whom the connecting side expects to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The role.
    pub role: Role,
    /// The name, where not any of that role will do.
    pub name: Option<Name>,
}

impl Expect {
    /// Any peer of `role`.
    pub fn role(role: Role) -> Self {
        Self { role, name: None }
    }

    /// This very peer.
    pub fn peer(peer: &Peer) -> Self {
        Self { role: peer.role, name: Some(peer.name.clone()) }
    }

    pub(crate) fn check(&self, peer: &Peer) -> Result<(), String> {
        if peer.role != self.role {
            let expected = self.role;
            return Err(format!("the role there is {peer}, not {expected}: check the address"));
        }
        match &self.name {
            Some(name) if *name != peer.name => {
                Err(format!("the name there is {}, not {name}: check the address", peer.name))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Endpoint {
    /// Binds `address` (port 0 for any) for a node with these credentials. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] names the address and the cure.
    pub fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        settings: &Settings,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let socket = UdpSocket::bind(address).map_err(failed)?;
        // The system grants what it likes; a smaller buffer costs retransmissions in a burst, no more.
        let _ = set_socket_recv_buffer_size(&socket, settings.socket_buffer);
        let _ = set_socket_send_buffer_size(&socket, settings.socket_buffer);
        let rounds = Rounds::default();
        let runtime = Arc::new(rounds.clone());
        let inner =
            quinn::Endpoint::new(credentials.endpoint_config(), None, socket, runtime).map_err(failed)?;
        Ok(Self {
            inner,
            credentials: credentials.clone(),
            settings: settings.clone(),
            end: Arc::default(),
            windows: AllOpen::default(),
            rounds,
        })
    }

    /// The address that it is bound to, with its port.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Begins to let peers of `roles` in; there is one listener an endpoint.
    ///
    /// # Panics
    /// If TLS with these credentials cannot be configured, which [`Credentials`] has made sure of.
    pub fn listen(&self, roles: &[Role]) -> Listener {
        let tls = self.credentials.server_config().expect("the provider speaks TLS 1.3");
        let tls = QuicServerConfig::try_from(tls).expect("the provider speaks QUIC");
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        // A session follows its peer to another address: see the crate's page.
        config.transport_config(self.settings.accepting(&self.windows)).migration(true);
        self.settings.bound_unmet(&mut config);
        self.inner.set_server_config(Some(config));
        Listener::new(self.inner.clone(), roles, &self.settings, Arc::clone(&self.end))
    }

    /// A session with whoever `expect` says, at `address`.
    ///
    /// # Errors
    /// [`ConnectError`] names the cause and the cure. Nothing was said to a peer that is not the expected one.
    pub async fn connect(&self, address: SocketAddr, expect: Expect) -> Result<QuicSession, ConnectError> {
        self.connect_as(&self.credentials, address, expect).await
    }

    /// The same in another node's name: many nodes can share a socket.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_as(
        &self,
        credentials: &Credentials,
        address: SocketAddr,
        expect: Expect,
    ) -> Result<QuicSession, ConnectError> {
        let timeout = self.settings.handshake_timeout;
        let dialling = self.dial(credentials, address, &expect);
        tokio::time::timeout(timeout, dialling)
            .await
            .unwrap_or(Err(ConnectError::NoAnswer { address, timeout }))
    }

    /// Begins handshakes until one ends in a session, or in why there is none.
    ///
    /// A peer that was killed and started again hears this side's first packet when that is sent again. Once the old
    /// process has answered, what follows is of a handshake that the new one knows nothing of, and until its end nothing
    /// can be reset. So who has answered and does not let this side in within a wait is met anew. Who has not answered may
    /// have much to do, and is not given more.
    async fn dial(
        &self,
        credentials: &Credentials,
        address: SocketAddr,
        expect: &Expect,
    ) -> Result<QuicSession, ConnectError> {
        let mut patience = PATIENCE_MIN;
        let mut earlier = None;
        loop {
            let begun = Instant::now();
            let verifier = credentials.verifier(expect.clone());
            let told = |failure| connect_error(address, failure, &verifier);
            let mut connecting = self.call(credentials, address, &verifier).map_err(told)?;
            tokio::select! {
                biased;
                met = decided(earlier.as_mut()) => return met,
                // Or there is no answer; why is told below.
                _answered = connecting.handshake_data() => {}
            }
            // Before the peer lets this one in: a master takes the latest of a slave's sessions for the only one.
            earlier = None;
            let wait = patience.max(begun.elapsed() * PATIENCE_ANSWERS);
            let mut meeting = Box::pin(self.meet(connecting));
            match tokio::time::timeout(wait, &mut meeting).await {
                Ok(Err(Failure::Connection(ConnectionError::Reset)))
                    if patience < self.settings.handshake_timeout => {}
                Ok(met) => return met.map_err(told),
                Err(_elapsed) => {
                    let told = move |failure| connect_error(address, failure, &verifier);
                    earlier = Some(Box::pin(async move { meeting.await.map_err(told) }));
                }
            }
            patience *= 2;
        }
    }

    /// Begins a handshake.
    fn call(
        &self,
        credentials: &Credentials,
        address: SocketAddr,
        verifier: &Arc<PeerVerifier>,
    ) -> Result<Connecting, Failure> {
        let start = |error: &dyn std::error::Error| Failure::Start(error.to_string());
        let tls = credentials.client_config(Arc::clone(verifier)).map_err(|error| start(&error))?;
        let tls = QuicClientConfig::try_from(tls).map_err(|error| start(&error))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.settings.connecting(&self.windows));
        self.inner.connect_with(config, address, SERVER_NAME).map_err(|error| start(&error))
    }

    /// Ends a handshake, and waits to be let in.
    async fn meet(&self, connecting: Connecting) -> Result<QuicSession, Failure> {
        let connection = connecting.await?;
        let (send, mut receive) = connection.accept_bi().await?;
        let mut welcome = [0];
        match receive.read_exact(&mut welcome).await {
            Ok(()) if welcome == [WELCOME] => {}
            Err(ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error))) => {
                return Err(error.into());
            }
            Ok(()) | Err(_) => return Err(Failure::Start("the peer does not greet as neap does".to_owned())),
        }
        let peer = peer_of(&connection).map_err(Failure::Start)?;
        let end = Arc::clone(&self.end);
        Ok(QuicSession::new(peer, connection, (send, receive), end))
    }

    /// Ends every session with `reason`, and accepts no more.
    pub fn close(&self, reason: &CloseReason) {
        if self.end.set(reason.clone()).is_ok() {
            self.windows.open();
            self.inner.close(session::code(reason.code), reason.detail.as_str().as_bytes());
        }
    }

    /// Waits until what was said and closed here is with the system: what a short program does before it exits. No answer
    /// is waited for, however far the peer is.
    ///
    /// A packet that closes a session is sent once. Where it is lost, the peer has the session until its
    /// [`idle_timeout`](Settings::idle_timeout) is over: some 31 KiB, and one that does not read is told no more. To
    /// be told that it was heard is [`part`](neap_protocol::transport::SendHalf::part)'s work.
    pub async fn flush(&self) {
        self.rounds.run().await;
    }

    /// Waits until every session has ended and its peer was told as well as the network lets it: before a node exits,
    /// whose peers wait for it. For three times what an answer could take after the last was closed.
    pub async fn idle(&self) {
        self.inner.wait_idle().await;
    }
}

/// Why an address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("failed to bind UDP {address}: {source}; {}", self.cure())]
pub struct BindError {
    /// Which address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    fn cure(&self) -> &'static str {
        let cures = [
            (io::ErrorKind::AddrInUse, "another program has that port: stop it, or choose another port"),
            (io::ErrorKind::AddrNotAvailable, "that address is not one of this machine's"),
            (io::ErrorKind::PermissionDenied, "ports below 1024 need privileges: choose another port"),
        ];
        let cure = cures.into_iter().find(|(kind, _)| *kind == self.source.kind());
        cure.map_or("choose another address", |(_, cure)| cure)
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answered.
    #[error(
        "no answer from {address} within {timeout:?}: is it running, and does a firewall let UDP through?"
    )]
    NoAnswer {
        /// Whom.
        address: SocketAddr,
        /// How long was waited.
        timeout: Duration,
    },
    /// The address cannot be tried, or what answers there is no neap.
    #[error("failed to connect to {address}: {detail}")]
    Unreachable {
        /// Whom.
        address: SocketAddr,
        /// What happened.
        detail: String,
    },
    /// The peer is not whom this side trusts and expects.
    #[error("{address} is not the peer that was expected: {detail}")]
    WrongPeer {
        /// Whom.
        address: SocketAddr,
        /// What is wrong with it, and what to do.
        detail: String,
    },
    /// The peer does not trust this side's certificate.
    #[error("{address} does not accept this certificate: {detail}")]
    NotTrusted {
        /// Whom.
        address: SocketAddr,
        /// What is wrong with it, and what to do.
        detail: String,
    },
    /// The peer refused this side, and says why.
    #[error("{address} refused: {reason}")]
    Refused {
        /// Whom.
        address: SocketAddr,
        /// What it said.
        reason: CloseReason,
    },
}

/// What `meeting` ends in, if that is a session or a refusal. Without one, a later meeting may do better.
async fn decided<T>(
    meeting: Option<impl Future<Output = Result<T, ConnectError>>>,
) -> Result<T, ConnectError> {
    let Some(meeting) = meeting else {
        return std::future::pending().await;
    };
    match meeting.await {
        Err(ConnectError::NoAnswer { .. } | ConnectError::Unreachable { .. }) => std::future::pending().await,
        decided => decided,
    }
}

enum Failure {
    Start(String),
    Connection(ConnectionError),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

fn connect_error(address: SocketAddr, failure: Failure, verifier: &PeerVerifier) -> ConnectError {
    let error = match failure {
        Failure::Start(detail) => return ConnectError::Unreachable { address, detail },
        Failure::Connection(error) => error,
    };
    if let Some(detail) = verifier.refused() {
        let detail = detail.to_owned();
        return ConnectError::WrongPeer { address, detail };
    }
    match &error {
        ConnectionError::ApplicationClosed(close) => match session::close_reason(close) {
            Some(reason) => ConnectError::Refused { address, reason },
            None => ConnectError::Unreachable { address, detail: "the peer dropped the session".to_owned() },
        },
        ConnectionError::ConnectionClosed(close) => refused_by_tls(address, close.error_code, &error),
        ConnectionError::TransportError(wrong) => refused_by_tls(address, wrong.code, &error),
        ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => ConnectError::Unreachable { address, detail: error.to_string() },
    }
}

/// TLS has one number for each cause; a peer that drops a handshake has none to tell yet.
fn refused_by_tls(address: SocketAddr, code: TransportErrorCode, error: &ConnectionError) -> ConnectError {
    const NO_APPLICATION_PROTOCOL: u8 = 120;
    if alert(code) == Some(NO_APPLICATION_PROTOCOL) {
        let reason = CloseReason {
            code: CloseCode::Version,
            detail: "it speaks another version of neap's sessions, or another protocol".into(),
        };
        return ConnectError::Refused { address, reason };
    }
    if code == TransportErrorCode::APPLICATION_ERROR {
        let detail = "it gave the handshake up: it is ending, or has more of them than it takes; try again";
        return ConnectError::Unreachable { address, detail: detail.to_owned() };
    }
    match certificate_refused(code) {
        Some(cause) => ConnectError::NotTrusted { address, detail: cause.to_owned() },
        None => ConnectError::Unreachable { address, detail: error.to_string() },
    }
}
