//! Sessions over QUIC on the loopback, with an authority made for the test.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use neap_protocol::text::Name;
use neap_protocol::transport::{FRAME_SIZE_MAX, Peer, Role};
use neap_transport_conformance::{Harness, Impostor, LetIn, OnTheMove};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, Endpoint, Expect, Listener, QuicSession, Settings, WELCOME};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::sync::Mutex;

use crate::relay::{ELSEWHERE, HERE, Pass, Relay};

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A slave that connects and a master that accepts slaves.
pub(crate) struct Quic {
    pub(crate) slave: Endpoint,
    pub(crate) master: Endpoint,
    pub(crate) address: SocketAddr,
    listener: Mutex<Listener>,
}

impl Quic {
    pub(crate) fn with(settings: &Settings) -> Self {
        let slave = Endpoint::bind(ANY_PORT, &issued(authority(), Role::Slave, "web-1"), settings).unwrap();
        let master = Endpoint::bind(ANY_PORT, &issued(authority(), Role::Master, "m"), settings).unwrap();
        Self {
            slave,
            address: master.local_address().unwrap(),
            listener: Mutex::new(master.listen(&[Role::Slave, Role::Framework])),
            master,
        }
    }

    /// The next session of the listener; who was refused meanwhile is passed over.
    pub(crate) async fn accept(&self) -> QuicSession {
        let mut listener = self.listener.lock().await;
        loop {
            if let Ok(session) = listener.accept().await.expect("the endpoint is open") {
                return session;
            }
        }
    }

    /// What `connecting` ends in, while the listener goes on; that a session was accepted is a failure.
    async fn while_listening<T>(&self, connecting: impl Future<Output = T>) -> Result<T, LetIn> {
        let mut connecting = std::pin::pin!(connecting);
        let mut listener = self.listener.lock().await;
        loop {
            tokio::select! {
                outcome = &mut connecting => return Ok(outcome),
                accepted = listener.accept() => match accepted.expect("the endpoint is open") {
                    Ok(_) => return Err(LetIn),
                    Err(refusal) => assert!(!refusal.cause.is_empty()),
                }
            }
        }
    }

    async fn told(&self, credentials: &Credentials, expect: Expect) -> Result<String, LetIn> {
        let connecting = self.slave.connect_as(credentials, self.address, expect);
        let outcome = self.while_listening(connecting).await?;
        outcome.map_or_else(|error| Ok(error.to_string()), |_| Err(LetIn))
    }

    /// What a bare client is told, which shows `certificate` or none.
    async fn bare(&self, certificate: Option<(String, String)>) -> Result<String, LetIn> {
        let connection = bare_connection(self.address, certificate);
        self.while_listening(async { connection.await.1.closed().await.to_string() }).await
    }
}

impl Harness for Quic {
    type Session = QuicSession;
    type Raw = (quinn::SendStream, quinn::RecvStream, quinn::Connection, quinn::Endpoint);

    // Both windows, the reader's and the sender's; a chunk that the reader holds; the frame that is being sent.
    const UNREAD_MAX: usize = 2 * 256 * 1024 + FRAME_SIZE_MAX;

    async fn start() -> Self {
        Self::with(&Settings::default())
    }

    async fn pair(&self) -> (QuicSession, QuicSession) {
        let connecting = self.slave.connect(self.address, Expect::role(Role::Master));
        tokio::join!(async { connecting.await.unwrap() }, self.accept())
    }

    async fn raw(&self) -> Option<(Self::Raw, QuicSession)> {
        let certificate = authority().issue(Role::Slave, &name("raw"), VALIDITY).unwrap();
        let raw = async {
            let pem = (certificate.certificate_pem, certificate.key_pem);
            let (endpoint, connection) = bare_connection(self.address, Some(pem)).await;
            let (send, mut receive) = connection.accept_bi().await.unwrap();
            let mut welcome = [0];
            receive.read_exact(&mut welcome).await.unwrap();
            assert_eq!(welcome, [WELCOME]);
            (send, receive, connection, endpoint)
        };
        Some(tokio::join!(raw, self.accept()))
    }

    async fn write_raw(raw: &mut Self::Raw, bytes: &[u8]) {
        let _closed_by_peer = raw.0.write_all(bytes).await;
    }

    async fn on_the_move(&self) -> Option<OnTheMove<QuicSession>> {
        let settings = Settings { keep_alive: Duration::from_secs(1), ..Settings::default() };
        let slave = Endpoint::bind(ANY_PORT, &issued(authority(), Role::Slave, "web-2"), &settings).unwrap();
        let mut relay = Relay::start(self.address, Pass::Everything).await;
        let (connected, accepted) =
            tokio::join!(slave.connect(relay.address, Expect::role(Role::Master)), self.accept());
        let mut addresses = [HERE, ELSEWHERE, ELSEWHERE, HERE].into_iter().cycle();
        Some(OnTheMove {
            connected: connected.unwrap(),
            accepted,
            move_on: Box::new(move || relay.rebind(addresses.next().expect("endless"))),
            healed_within: 2 * settings.keep_alive,
        })
    }

    fn impostors() -> &'static [Impostor] {
        &[
            Impostor::OtherAuthority,
            Impostor::NoCertificate,
            Impostor::Expired,
            Impostor::WrongRole,
            Impostor::ListenerOfOtherAuthority,
            Impostor::ListenerOfWrongRole,
            Impostor::ListenerOfWrongName,
        ]
    }

    async fn attempt(&self, impostor: Impostor) -> Result<String, LetIn> {
        let master = Expect::role(Role::Master);
        let slave = issued(authority(), Role::Slave, "web-2");
        match impostor {
            // It trusts both authorities, its own and the listener's.
            Impostor::OtherAuthority => {
                let other = Authority::create(&name("other")).unwrap();
                let both = format!("{}{}", authority().certificate_pem(), other.certificate_pem());
                let issued = other.issue(Role::Slave, &name("web-2"), VALIDITY).unwrap();
                let credentials = Credentials::from_pem(&both, &issued.certificate_pem, &issued.key_pem);
                self.told(&credentials.unwrap(), master).await
            }
            Impostor::NoCertificate => self.bare(None).await,
            Impostor::Expired => self.bare(Some(expired())).await,
            Impostor::WrongRole => self.told(&issued(authority(), Role::Operator, "eve"), master).await,
            Impostor::ListenerOfOtherAuthority => {
                let other = Authority::create(&name("other")).unwrap();
                self.told(&issued(&other, Role::Slave, "web-2"), master).await
            }
            Impostor::ListenerOfWrongRole => self.told(&slave, Expect::role(Role::Slave)).await,
            Impostor::ListenerOfWrongName => {
                let peer = Peer { role: Role::Master, name: name("another") };
                self.told(&slave, Expect::peer(&peer)).await
            }
            Impostor::WrongToken | Impostor::Silent | Impostor::Garbage => {
                unreachable!("not one of `impostors`")
            }
        }
    }
}

/// The authority of the whole test run: making one takes a while.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::create(&name("tests")).unwrap())
}

pub(crate) fn issued(authority: &Authority, role: Role, bearer: &str) -> Credentials {
    let issued = authority.issue(role, &name(bearer), VALIDITY).unwrap();
    Credentials::from_pem(authority.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A certificate of the tests' authority whose time is over, and its key.
pub(crate) fn expired() -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    authority().save(directory.path()).unwrap();
    let file = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let authority_key = KeyPair::from_pem(&file("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&file("ca.pem"), authority_key).unwrap();
    let mut parameters = CertificateParams::default();
    let uri = Ia5String::try_from("neap://slave/web-2").unwrap();
    parameters.subject_alt_names = vec![SanType::URI(uri)];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.not_before = SystemTime::UNIX_EPOCH.into();
    parameters.not_after = (SystemTime::now() - Duration::from_secs(60)).into();
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A connection that neap's own checks have no part in; TLS 1.3 may call it connected before it is refused.
pub(crate) async fn bare_connection(
    address: SocketAddr,
    certificate: Option<(String, String)>,
) -> (quinn::Endpoint, quinn::Connection) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAnybody));
    let mut tls = match certificate {
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            tls.with_client_auth_cert(vec![certificate], key).unwrap()
        }
        None => tls.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![neap_transport_quic::ALPN.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client(ANY_PORT).unwrap();
    let connection = endpoint.connect_with(config, address, "neap").unwrap().await.unwrap();
    (endpoint, connection)
}

/// A master as far as its certificate goes; what it does with a connection is the test's.
pub(crate) fn bare_master() -> quinn::Endpoint {
    let issued = authority().issue(Role::Master, &name("m"), VALIDITY).unwrap();
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![neap_transport_quic::ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    quinn::Endpoint::server(config, ANY_PORT).unwrap()
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
