//! Peers that speak QUIC, and of neap only what a test makes them say: bytes that are no frames, and handshakes that
//! nobody means to end.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use neap_nodes::config::Identity;
use neap_protocol::transport::{CloseCode, Closed};
use neap_transport_quic::ALPN;
use quinn::crypto::rustls::QuicClientConfig;
use quinn_proto::{DatagramEvent, EndpointConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::cluster::PATIENCE;

/// A session on which anything can be written.
pub(crate) struct Raw {
    pub(crate) send: quinn::SendStream,
    connection: quinn::Connection,
    _receive: quinn::RecvStream,
    _endpoint: quinn::Endpoint,
}

impl Raw {
    /// With a certificate that the peer accepts.
    pub(crate) async fn connect(address: SocketAddr, identity: &Identity) -> Self {
        let certificate = CertificateDer::from_pem_file(&identity.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let trusts_anybody = builder().dangerous().with_custom_certificate_verifier(Arc::new(TrustsAnybody));
        let config = config(trusts_anybody.with_client_auth_cert(vec![certificate], key).unwrap());
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let connection = endpoint.connect_with(config, address, "neap").unwrap().await.unwrap();
        let (send, mut receive) = connection.accept_bi().await.unwrap();
        let mut welcome = [0];
        receive.read_exact(&mut welcome).await.unwrap();
        Self { send, connection, _receive: receive, _endpoint: endpoint }
    }

    /// How the peer ends it: its code, and the detail.
    pub(crate) async fn end(&self) -> (Option<CloseCode>, String) {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await.unwrap();
        let quinn::ConnectionError::ApplicationClosed(close) = closed else {
            panic!("not closed by the peer: {closed}");
        };
        let place = close.error_code.into_inner().checked_sub(0x100);
        let code = place.and_then(|place| CloseCode::ALL.get(usize::try_from(place).unwrap()).copied());
        (code, String::from_utf8(close.reason.to_vec()).unwrap())
    }
}

/// Begins handshakes, and ends none.
pub(crate) struct HalfOpener {
    endpoint: quinn_proto::Endpoint,
    config: quinn::ClientConfig,
    to: SocketAddr,
}

/// What a half-open handshake was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It goes on.
    Handshake,
    /// It is to show first that it receives.
    Retry,
    /// Nothing, in good time.
    Nothing,
}

impl HalfOpener {
    pub(crate) fn new(to: SocketAddr) -> Self {
        let tls = builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let endpoint = quinn_proto::Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
        Self { endpoint, config: config(tls), to }
    }

    /// Begins a handshake from each of these sockets; how each was answered. Where `retries`, it then shows that it
    /// receives, if it is asked to, and waits for no more.
    pub(crate) fn begin(&mut self, from: &[UdpSocket], retries: bool) -> Vec<Answered> {
        let mut begun: Vec<_> = from.iter().map(|socket| (socket, self.first(socket))).collect();
        let mut answers = Vec::with_capacity(from.len());
        for (socket, (handle, connection)) in &mut begun {
            let (answered, datagram) = answer(socket);
            if retries && answered == Answered::Retry {
                let mut response = Vec::new();
                let bytes = BytesMut::from(datagram.as_slice());
                let event = self.endpoint.handle(Instant::now(), self.to, None, None, bytes, &mut response);
                let Some(DatagramEvent::ConnectionEvent(of, event)) = event else { panic!("not its retry") };
                assert_eq!(of, *handle);
                connection.handle_event(event);
                self.send(socket, connection);
            }
            answers.push(answered);
        }
        answers
    }

    fn first(&mut self, socket: &UdpSocket) -> (quinn_proto::ConnectionHandle, quinn_proto::Connection) {
        let now = Instant::now();
        let (handle, mut connection) =
            self.endpoint.connect(now, self.config.clone(), self.to, "neap").unwrap();
        self.send(socket, &mut connection);
        (handle, connection)
    }

    fn send(&self, socket: &UdpSocket, connection: &mut quinn_proto::Connection) {
        let mut datagram = Vec::new();
        while let Some(transmit) = connection.poll_transmit(Instant::now(), 1, &mut datagram) {
            socket.send_to(&datagram[..transmit.size], self.to).unwrap();
            datagram.clear();
        }
    }
}

/// The first datagram that comes, if one does.
fn answer(socket: &UdpSocket) -> (Answered, Vec<u8>) {
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut datagram = vec![0; 2_048];
    let size = match socket.recv(&mut datagram) {
        Ok(size) => size,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
        Err(error) => panic!("{error}"),
    };
    datagram.truncate(size);
    let answered = match datagram.first() {
        None => Answered::Nothing,
        // A long header of type 3 (RFC 9000, 17.2.5).
        Some(first) if first & 0xf0 == 0xf0 => Answered::Retry,
        Some(_) => Answered::Handshake,
    };
    (answered, datagram)
}

/// A socket at an address of the loopback that is this number's own.
pub(crate) fn socket(host: u16) -> UdpSocket {
    let [high, low] = host.to_be_bytes();
    UdpSocket::bind((Ipv4Addr::new(127, 77, high, low), 0)).unwrap()
}

/// The reason that a session was closed with.
pub(crate) fn reason(closed: Closed) -> (CloseCode, String) {
    let Closed::Peer(reason) = closed else { panic!("not closed by the peer: {closed:?}") };
    (reason.code, reason.detail.as_str().to_owned())
}

fn builder() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
}

fn config(mut tls: rustls::ClientConfig) -> quinn::ClientConfig {
    tls.alpn_protocols = vec![ALPN.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// What an attacker's client would do.
#[derive(Debug)]
struct TrustsAnybody;

impl ServerCertVerifier for TrustsAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
