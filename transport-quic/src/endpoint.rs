//! A UDP socket with every session on it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use neap_protocol::text::Name;
use neap_protocol::transport::{CloseCode, CloseReason, Peer, Role};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, ReadExactError, TokioRuntime, TransportErrorCode};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use crate::congestion::AllOpen;
use crate::credentials::{Credentials, PeerVerifier, alert, certificate_refused, peer_of};
use crate::listener::Listener;
use crate::session::{self, QuicSession};
use crate::{Settings, WELCOME};

/// What TLS is told as the server's name. Nobody reads it: see the crate's page.
const SERVER_NAME: &str = "neap";

/// A UDP socket, over which sessions are made and accepted. Cheap to clone; the socket lives as long as its last
/// session.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: quinn::Endpoint,
    credentials: Credentials,
    settings: Settings,
    end: Arc<OnceLock<CloseReason>>,
    windows: AllOpen,
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
        let inner = quinn::Endpoint::new(credentials.endpoint_config(), None, socket, Arc::new(TokioRuntime))
            .map_err(failed)?;
        Ok(Self {
            inner,
            credentials: credentials.clone(),
            settings: settings.clone(),
            end: Arc::default(),
            windows: AllOpen::default(),
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
        config.transport_config(self.settings.accepting(&self.windows)).migration(false);
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
        let verifier = credentials.verifier(expect);
        let timeout = self.settings.handshake_timeout;
        let handshake = self.handshake(credentials, address, &verifier);
        match tokio::time::timeout(timeout, handshake).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(Failure::Start(detail))) => Err(ConnectError::Unreachable { address, detail }),
            Ok(Err(Failure::Connection(error))) => Err(connect_error(address, &error, &verifier)),
            Err(_elapsed) => Err(ConnectError::NoAnswer { address, timeout }),
        }
    }

    async fn handshake(
        &self,
        credentials: &Credentials,
        address: SocketAddr,
        verifier: &Arc<PeerVerifier>,
    ) -> Result<QuicSession, Failure> {
        let start = |error: &dyn std::error::Error| Failure::Start(error.to_string());
        let tls = credentials.client_config(Arc::clone(verifier)).map_err(|error| start(&error))?;
        let tls = QuicClientConfig::try_from(tls).map_err(|error| start(&error))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.settings.connecting(&self.windows));
        let connecting = self.inner.connect_with(config, address, SERVER_NAME);
        let connection = connecting.map_err(|error| start(&error))?.await?;
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

    /// Waits until every session has ended and its peer was told as well as the network lets it: before a program
    /// exits.
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

enum Failure {
    Start(String),
    Connection(ConnectionError),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

fn connect_error(address: SocketAddr, error: &ConnectionError, verifier: &PeerVerifier) -> ConnectError {
    if let Some(detail) = verifier.refused() {
        let detail = detail.to_owned();
        return ConnectError::WrongPeer { address, detail };
    }
    match error {
        ConnectionError::ApplicationClosed(close) => match session::close_reason(close) {
            Some(reason) => ConnectError::Refused { address, reason },
            None => ConnectError::Unreachable { address, detail: "the peer dropped the session".to_owned() },
        },
        ConnectionError::ConnectionClosed(close) => refused_by_tls(address, close.error_code, error),
        ConnectionError::TransportError(wrong) => refused_by_tls(address, wrong.code, error),
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
