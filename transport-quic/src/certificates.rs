//! The authority of a cluster, and the certificates that it issues: what `neap pki` does.
//!
//! Keys are ECDSA P-256. A certificate names its bearer in one URI, `neap://<role>/<name>`, and serves both ends
//! of a session. Keys are written readable by their owner alone, and no file is ever overwritten.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use neap_protocol::text::Name;
use neap_protocol::transport::{Peer, Role};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

/// How long an authority is valid: 10 years.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long a certificate is valid where nothing else is asked: 1 year.
pub const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

/// How far the clocks of a cluster may differ when a certificate is new.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

const AUTHORITY_CERTIFICATE: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";

/// Issues the certificates of one cluster.
#[derive(Debug)]
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority in memory, valid for [`AUTHORITY_VALIDITY`].
    ///
    /// # Errors
    /// [`PkiError::Generate`] if the system has no randomness.
    pub fn create(name: &Name) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = parameters(name.as_str(), AUTHORITY_VALIDITY)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = parameters.self_signed(&key)?.pem();
        let issuer = Issuer::new(parameters, key);
        Ok(Self { certificate_pem, issuer })
    }

    /// Reads the authority that [`save`](Self::save) wrote to `directory`.
    ///
    /// # Errors
    /// [`PkiError::File`] or [`PkiError::Broken`] name the file and the cure.
    pub fn load(directory: &Path) -> Result<Self, PkiError> {
        let [certificate, key] = [AUTHORITY_CERTIFICATE, AUTHORITY_KEY].map(|name| directory.join(name));
        let certificate_pem = read(&certificate)?;
        let pair =
            KeyPair::from_pem(&read(&key)?).map_err(|source| PkiError::Broken { file: key, source })?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, pair)
            .map_err(|source| PkiError::Broken { file: certificate, source })?;
        Ok(Self { certificate_pem, issuer })
    }

    /// Writes `ca.pem` and `ca.key` into `directory`, which is made if need be.
    ///
    /// # Errors
    /// [`PkiError::File`]; [`PkiError::Exists`] if there is an authority already: to overwrite it would lock every
    /// node out.
    pub fn save(&self, directory: &Path) -> Result<(), PkiError> {
        let certificate = directory.join(AUTHORITY_CERTIFICATE);
        make_directory(directory)?;
        // The key first: without it nothing else is an authority.
        write_new(&directory.join(AUTHORITY_KEY), &self.issuer.key().serialize_pem(), 0o600)?;
        write_new(&certificate, &self.certificate_pem, 0o644)
    }

    /// The authority's certificate, which every node needs to verify the others.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate to `name` in `role`, valid from now for `validity` ([`VALIDITY`] is usual).
    ///
    /// # Errors
    /// [`PkiError::Generate`] if the system has no randomness, or if `validity` is beyond the year 9999.
    pub fn issue(&self, role: Role, name: &Name, validity: Duration) -> Result<Issued, PkiError> {
        let peer = Peer { role, name: name.clone() };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = parameters(name.as_str(), validity)?;
        parameters.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri(&peer))?)];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate_pem = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { peer, certificate_pem, key_pem: key.serialize_pem() })
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    peer: Peer,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// The private key (PKCS #8), in PEM: a secret.
    pub key_pem: String,
}

impl Issued {
    /// Writes `<role>-<name>.pem` and `<role>-<name>.key` (readable by its owner alone) into `directory`, which is
    /// made if need be; answers with their paths, in this order.
    ///
    /// # Errors
    /// [`PkiError::File`], or [`PkiError::Exists`]: nothing is overwritten.
    pub fn save(&self, directory: &Path) -> Result<(PathBuf, PathBuf), PkiError> {
        let file = |extension| directory.join(format!("{}-{}.{extension}", self.peer.role, self.peer.name));
        let (certificate, key) = (file("pem"), file("key"));
        make_directory(directory)?;
        write_new(&key, &self.key_pem, 0o600)?;
        write_new(&certificate, &self.certificate_pem, 0o644)?;
        Ok((certificate, key))
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Why an authority or a certificate could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("failed to {action} {}: {source}", file.display())]
    File {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// Which file or directory.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there already, and is not overwritten.
    #[error("{} exists already: keep it, or name another directory", file.display())]
    Exists {
        /// Which file.
        file: PathBuf,
    },
    /// The file's content is no certificate or key.
    #[error("{} is broken ({source}): restore it from a copy, or make a new authority with `neap pki init`", file.display())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// A key or a certificate could not be made.
    #[error("failed to make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// How a certificate says who its bearer is.
pub(crate) fn uri(peer: &Peer) -> String {
    format!("neap://{}/{}", peer.role, peer.name)
}

/// Who the bearer of a certificate with these URIs is.
///
/// # Errors
/// What is wrong with them, for people.
pub(crate) fn peer_of_uris<'a>(uris: impl Iterator<Item = &'a str>) -> Result<Peer, String> {
    let mut ours = uris.filter_map(|uri| uri.strip_prefix("neap://").map(|rest| (uri, rest)));
    let cure = "issue it with `neap pki issue`";
    let Some((uri, rest)) = ours.next() else {
        return Err(format!("the certificate names no role: it has no URI neap://<role>/<name>; {cure}"));
    };
    if ours.next().is_some() {
        return Err(format!("the certificate names more than one role; {cure}"));
    }
    let parsed = rest.split_once('/').and_then(|(role, name)| {
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role)?;
        let name = Name::new(name).ok()?;
        Some(Peer { role, name })
    });
    parsed.ok_or_else(|| format!("the certificate's {uri:?} is no neap://<role>/<name>; {cure}"))
}

/// What authorities and certificates have in common.
fn parameters(name: &str, validity: Duration) -> Result<CertificateParams, PkiError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    let last = SystemTime::from(time::Date::MAX.midnight().assume_utc());
    parameters.not_before = (now - CLOCK_SKEW).into();
    parameters.not_after =
        now.checked_add(validity).filter(|&until| until < last).map(Into::into).ok_or(rcgen::Error::Time)?;
    Ok(parameters)
}

fn read(file: &Path) -> Result<String, PkiError> {
    fs::read_to_string(file).map_err(|source| PkiError::File {
        action: "read",
        file: file.to_owned(),
        source,
    })
}

fn make_directory(directory: &Path) -> Result<(), PkiError> {
    fs::create_dir_all(directory).map_err(|source| PkiError::File {
        action: "create",
        file: directory.to_owned(),
        source,
    })
}

fn write_new(file: &Path, content: &str, mode: u32) -> Result<(), PkiError> {
    let write = || {
        let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        open.write_all(content.as_bytes())?;
        open.sync_all()
    };
    let file = file.to_owned();
    write().map_err(|source| match source.kind() == io::ErrorKind::AlreadyExists {
        true => PkiError::Exists { file },
        false => PkiError::File { action: "write", file, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_exactly_one_uri() {
        let peer = |uris: &[&'static str]| peer_of_uris(uris.iter().copied());
        let slave = peer(&["https://example.org/", "neap://slave/web-1"]).unwrap();
        assert_eq!(uri(&slave), "neap://slave/web-1");
        for bad in [
            &[][..],
            &["neap://slave/a", "neap://master/a"],
            &["neap://slave"],
            &["neap://slave/"],
            &["neap://Slave/a"],
            &["neap://slave/a/b"],
            &["neap://root/a"],
            &["neap://slave/a b"],
        ] {
            assert!(peer(bad).is_err(), "{bad:?}");
        }
    }
}
