//! What a node is known by, and what it knows others by; and the two verifiers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use neap_protocol::transport::Peer;
use quinn::TransportErrorCode;
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac::{HMAC_SHA256, Key, sign};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::certificates::peer_of_uris;
use crate::endpoint::Expect;

/// A node's certificate and key, and the authority that it trusts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Credentials {
    peer: Peer,
    roots: Arc<RootCertStore>,
    key: Arc<SingleCertAndKey>,
    clients: Arc<dyn ClientCertVerifier>,
    /// What connection ids and the tokens that reset them are made with: the same after a restart.
    resets: [u8; 32],
}

impl Credentials {
    /// Reads PEM files: the authority's certificate, the node's certificate (with those between it and the
    /// authority, if any, after it), and its key.
    ///
    /// # Errors
    /// [`CredentialsError`] names the file and the cure.
    pub fn load(authority: &Path, certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let read = |file: &Path| {
            fs::read(file).map_err(|source| CredentialsError::Unreadable { file: file.to_owned(), source })
        };
        let pem = [read(authority)?, read(certificate)?, read(key)?];
        let sources = [authority, certificate, key].map(Path::to_owned);
        Self::new(pem.each_ref().map(Vec::as_slice), sources)
    }

    /// Takes the same from memory; errors call them `authority`, `certificate` and `key`.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn from_pem(authority: &str, certificate: &str, key: &str) -> Result<Self, CredentialsError> {
        let sources = ["authority", "certificate", "key"].map(PathBuf::from);
        Self::new([authority, certificate, key].map(str::as_bytes), sources)
    }

    /// Who the bearer is.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    fn new(pem: [&[u8]; 3], [authority, certificate, key]: [PathBuf; 3]) -> Result<Self, CredentialsError> {
        let [authority_pem, certificate_pem, key_pem] = pem;
        let roots = Arc::new(roots(authority_pem, &authority)?);
        let chain = certificates(certificate_pem, &certificate)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| CredentialsError::broken(&authority, &error))?;
        clients
            .verify_client_cert(&chain[0], &chain[1..], UnixTime::now())
            .map_err(|error| unusable(&certificate, &authority, &error))?;
        let peer = identity(&chain[0])
            .map_err(|detail| CredentialsError::NoIdentity { file: certificate.clone(), detail })?;
        let secret = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|_| CredentialsError::NoKey { file: key.clone() })?;
        let resets = resets(secret.secret_der());
        let certified = CertifiedKey::from_der(chain, secret, &provider()).map_err(|error| {
            if let rustls::Error::InconsistentKeys(_) = error {
                let (key, certificate) = (key.clone(), certificate.clone());
                return CredentialsError::WrongKey { key, certificate };
            }
            CredentialsError::broken(&key, &error)
        })?;
        Ok(Self { peer, roots, key: Arc::new(certified.into()), clients, resets })
    }

    /// A peer whose session outlived this node's process is told so by its first packet (RFC 9000, 10.3), and need not
    /// wait until the session is lost: the new process, with the same key, can make the tokens of the old one.
    pub(crate) fn endpoint_config(&self) -> quinn::EndpointConfig {
        let ids = u64::from_le_bytes(*self.resets.first_chunk().expect("it is longer"));
        let mut config = quinn::EndpointConfig::new(Arc::new(Key::new(HMAC_SHA256, &self.resets)));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
        // Only an id that this node has given is answered, by less than what came; and a whole cluster asks at once.
        config.min_reset_interval(Duration::ZERO);
        config
    }

    pub(crate) fn server_config(&self) -> Result<rustls::ServerConfig, rustls::Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::clone(&self.clients))
            .with_cert_resolver(Arc::clone(&self.key) as _);
        config.alpn_protocols = vec![crate::ALPN.to_vec()];
        // A resumed session would not look at certificates again, nor at their expiry.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    pub(crate) fn client_config(
        &self,
        verifier: Arc<PeerVerifier>,
    ) -> Result<rustls::ClientConfig, rustls::Error> {
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&self.key) as _);
        config.alpn_protocols = vec![crate::ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    pub(crate) fn verifier(&self, expect: Expect) -> Arc<PeerVerifier> {
        Arc::new(PeerVerifier { expect, roots: Arc::clone(&self.roots), refused: OnceLock::new() })
    }
}

/// Why credentials cannot be used. Each names the file and the cure.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the files that the messages name")]
pub enum CredentialsError {
    /// The file is missing, or may not be read.
    #[error("failed to read {}: {source}; `neap pki issue` makes certificates", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// There is no certificate in the file.
    #[error("{} has no certificate: it must be PEM with BEGIN CERTIFICATE", file.display())]
    NoCertificate { file: PathBuf },
    /// There is no private key in the file.
    #[error("{} has no private key: it must be PEM with BEGIN PRIVATE KEY", file.display())]
    NoKey { file: PathBuf },
    /// The file's certificate or key is of no use.
    #[error("{} cannot be used: {detail}; issue it again with `neap pki issue`", file.display())]
    Broken { file: PathBuf, detail: String },
    /// The key is another certificate's.
    #[error("the key {} does not belong to the certificate {}: give the two that were issued together",
        key.display(), certificate.display())]
    WrongKey { key: PathBuf, certificate: PathBuf },
    /// The certificate's time is over.
    #[error("the certificate {} has expired: issue a new one with `neap pki issue`", file.display())]
    Expired { file: PathBuf },
    /// The certificate's time has not come.
    #[error("the certificate {} is not valid yet: check this machine's clock", file.display())]
    NotYetValid { file: PathBuf },
    /// The certificate was issued by another authority.
    #[error("the certificate {} was not issued by the authority {}: give the authority's own ca.pem",
        file.display(), authority.display())]
    OtherAuthority { file: PathBuf, authority: PathBuf },
    /// The certificate names no role and name.
    #[error("{}: {detail}", file.display())]
    NoIdentity { file: PathBuf, detail: String },
}

impl CredentialsError {
    fn broken(file: &Path, error: &dyn std::error::Error) -> Self {
        Self::Broken { file: file.to_owned(), detail: error.to_string() }
    }
}

/// Verifies the accepting side's chain, and that it is whom the connecting side expects.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    expect: Expect,
    roots: Arc<RootCertStore>,
    /// What was wrong, for the error of `connect`.
    refused: OnceLock<String>,
}

impl PeerVerifier {
    /// What was wrong with the peer's certificate, if something was.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    fn refuse(&self, detail: String) -> rustls::Error {
        // Only one certificate is looked at in a verifier's life.
        let _ = self.refused.set(detail);
        rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms.all;
        ParsedCertificate::try_from(end_entity)
            .and_then(|certificate| {
                verify_server_cert_signed_by_trust_anchor(
                    &certificate,
                    &self.roots,
                    intermediates,
                    now,
                    algorithms,
                )
            })
            .inspect_err(|error| {
                self.refuse(plain(error));
            })?;
        let peer = identity(end_entity).map_err(|detail| self.refuse(detail))?;
        self.expect.check(&peer).map_err(|detail| self.refuse(detail))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Who a connection's peer is, by the certificate that the handshake verified.
pub(crate) fn peer_of(connection: &quinn::Connection) -> Result<Peer, String> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    match chain.as_deref().and_then(|chain| chain.first()) {
        Some(certificate) => identity(certificate),
        None => Err("the peer showed no certificate".to_owned()),
    }
}

/// What is wrong with a certificate, and what to do, for people.
pub(crate) fn plain(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(wrong) = error else {
        return error.to_string();
    };
    if is_expired(wrong) {
        "its certificate has expired: issue a new one with `neap pki issue`".to_owned()
    } else if is_not_yet_valid(wrong) {
        "its certificate is not valid yet: check the clocks of both machines".to_owned()
    } else if is_foreign(wrong) {
        "its certificate is not of this authority: both ends need certificates of one `neap pki`".to_owned()
    } else {
        format!("its certificate cannot be used: {error}")
    }
}

/// Why a certificate is not accepted, by the alert of TLS that says so, as its bearer is told.
pub(crate) fn certificate_refused(code: TransportErrorCode) -> Option<&'static str> {
    match alert(code)? {
        42 | 43 | 46 => Some("it cannot be used there: issue a new one with `neap pki issue`"),
        45 => Some("it has expired: issue a new one with `neap pki issue`"),
        48 | 51 => Some("it is not of the authority there: both ends need certificates of one `neap pki`"),
        116 => Some("a certificate is required, and there was none"),
        _ => None,
    }
}

/// The alert of TLS that QUIC carries in an error code (RFC 9001, 4.8).
pub(crate) fn alert(code: TransportErrorCode) -> Option<u8> {
    u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok())
}

fn identity(certificate: &CertificateDer<'_>) -> Result<Peer, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    peer_of_uris(parsed.valid_uri_names())
}

fn unusable(file: &Path, authority: &Path, error: &rustls::Error) -> CredentialsError {
    let path = file.to_owned();
    let rustls::Error::InvalidCertificate(wrong) = error else {
        return CredentialsError::broken(file, error);
    };
    if is_expired(wrong) {
        CredentialsError::Expired { file: path }
    } else if is_not_yet_valid(wrong) {
        CredentialsError::NotYetValid { file: path }
    } else if is_foreign(wrong) {
        let authority = authority.to_owned();
        CredentialsError::OtherAuthority { file: path, authority }
    } else {
        CredentialsError::broken(file, error)
    }
}

fn is_expired(wrong: &CertificateError) -> bool {
    matches!(wrong, CertificateError::Expired | CertificateError::ExpiredContext { .. })
}

fn is_not_yet_valid(wrong: &CertificateError) -> bool {
    matches!(wrong, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })
}

/// Another authority of the same name shows as a bad signature.
fn is_foreign(wrong: &CertificateError) -> bool {
    matches!(wrong, CertificateError::UnknownIssuer | CertificateError::BadSignature)
}

/// A secret of its own, from which the private key does not follow.
fn resets(private_key: &[u8]) -> [u8; 32] {
    let tag = sign(&Key::new(HMAC_SHA256, private_key), b"neap: connection ids and stateless resets");
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn roots(pem: &[u8], file: &Path) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, file)? {
        roots.add(certificate).map_err(|error| CredentialsError::broken(file, &error))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| CredentialsError::broken(file, &error))?;
    if certificates.is_empty() {
        return Err(CredentialsError::NoCertificate { file: file.to_owned() });
    }
    Ok(certificates)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
