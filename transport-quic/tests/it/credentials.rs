//! Every way in which files cannot be credentials names the file and the cure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use neap_protocol::transport::{Peer, Role};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, CredentialsError};

use crate::harness::{authority, expired, name};

#[test]
fn what_was_saved_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    Authority::create(&name("c1")).unwrap().save(directory.path()).unwrap();
    let loaded = Authority::load(directory.path()).unwrap();
    let (certificate, key) =
        loaded.issue(Role::Slave, &name("web-1"), VALIDITY).unwrap().save(directory.path()).unwrap();
    let credentials = Credentials::load(&directory.path().join("ca.pem"), &certificate, &key).unwrap();
    let web = Peer { role: Role::Slave, name: name("web-1") };
    assert_eq!(credentials.peer(), &web);
    for secret in [&key, &directory.path().join("ca.key")] {
        assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600, "{secret:?}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    authority().save(directory.path()).unwrap();
    let before = fs::read(directory.path().join("ca.key")).unwrap();
    let error = Authority::create(&name("c2")).unwrap().save(directory.path()).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(fs::read(directory.path().join("ca.key")).unwrap(), before);
}

#[test]
fn each_error_names_its_file_and_its_cure() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    authority().save(directory.path()).unwrap();
    let issued = authority().issue(Role::Slave, &name("a"), VALIDITY).unwrap();
    let (certificate, key) = issued.save(directory.path()).unwrap();
    let (_, other_key) =
        authority().issue(Role::Slave, &name("b"), VALIDITY).unwrap().save(directory.path()).unwrap();
    let foreign = Authority::create(&name("other")).unwrap();
    fs::write(path("foreign.pem"), foreign.certificate_pem()).unwrap();
    let (old, old_key) = expired();
    fs::write(path("old.pem"), old).unwrap();
    fs::write(path("old.key"), old_key).unwrap();
    fs::write(path("empty"), "").unwrap();
    let ca = path("ca.pem");
    let error =
        |ca: &Path, certificate: &Path, key: &Path| Credentials::load(ca, certificate, key).unwrap_err();

    let missing = error(&ca, &path("missing.pem"), &key);
    assert!(matches!(missing, CredentialsError::Unreadable { .. }));
    reads(&missing, &["missing.pem", "No such file", "neap pki issue"]);
    let empty = error(&ca, &path("empty"), &key);
    assert!(matches!(empty, CredentialsError::NoCertificate { .. }));
    reads(&empty, &["empty", "BEGIN CERTIFICATE"]);
    let no_key = error(&ca, &certificate, &certificate);
    assert!(matches!(no_key, CredentialsError::NoKey { .. }));
    reads(&no_key, &["slave-a.pem", "PRIVATE KEY"]);
    let wrong_key = error(&ca, &certificate, &other_key);
    assert!(matches!(wrong_key, CredentialsError::WrongKey { .. }), "{wrong_key:?}");
    reads(&wrong_key, &["slave-a.pem", "slave-b.key"]);
    let expired = error(&ca, &path("old.pem"), &path("old.key"));
    assert!(matches!(expired, CredentialsError::Expired { .. }), "{expired:?}");
    reads(&expired, &["old.pem", "expired", "neap pki issue"]);
    let other = error(&path("foreign.pem"), &certificate, &key);
    assert!(matches!(other, CredentialsError::OtherAuthority { .. }), "{other:?}");
    reads(&other, &["slave-a.pem", "foreign.pem", "authority"]);
    let broken = error(&ca, &ca, &path("ca.key"));
    reads(&broken, &["ca.pem", "neap pki issue"]);
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Authority::load(directory.path()).unwrap_err().to_string();
    assert!(missing.contains("ca.pem"), "{missing}");
    fs::write(directory.path().join("ca.pem"), "no certificate").unwrap();
    fs::write(directory.path().join("ca.key"), "no key").unwrap();
    let broken = Authority::load(directory.path()).unwrap_err().to_string();
    assert!(broken.contains("ca.key") && broken.contains("neap pki init"), "{broken}");
}

fn reads(error: &CredentialsError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}
