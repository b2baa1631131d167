//! What is at a socket's path before, while and after somebody listens there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use neap_transport_conformance::{Harness, run};
use neap_transport_unix::listener::{BindError, Listener};
use neap_transport_unix::{ConnectError, PATH_LEN_MAX, Token, connect};

use crate::harness::{TIMEOUT, Unix, name};

fn bind(path: &Path) -> Result<Listener, BindError> {
    Listener::bind(path, name("web-1"), |_, _| true)
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_its_listener() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("another.sock");
        let listener = bind(&path).unwrap();
        assert_eq!(listener.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    });
}

#[test]
fn a_socket_left_behind_is_taken_over() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("stale.sock");
        // The standard library leaves the file when it closes.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = bind(&path).unwrap();
        drop(listener);
        assert!(!path.exists());
    });
}

#[test]
fn a_listener_leaves_the_socket_of_another_alone() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("replaced.sock");
        let first = bind(&path).unwrap();
        fs::rename(&path, unix.directory.path().join("moved.sock")).unwrap();
        let _second = bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    });
}

#[test]
fn a_socket_in_use_is_refused_and_not_disturbed() {
    run::<Unix>(async |unix: &Unix| {
        let error = bind(&unix.path()).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        // The attempt looked whether somebody is there; that somebody refuses it, and goes on.
        assert!(unix.accept().await.is_err());
        unix.pair().await;
    });
}

#[test]
fn what_is_no_socket_is_not_removed() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("notes");
        fs::write(&path, "keep me").unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, BindError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "keep me");
    });
}

#[test]
fn a_path_too_long_is_named_with_the_limit() {
    run::<Unix>(async |unix: &Unix| {
        let directory = unix.directory.path().as_os_str().len() + 1;
        let path = |len: usize| unix.directory.path().join("x".repeat(len - directory));
        assert!(bind(&path(PATH_LEN_MAX)).is_ok());
        let long = path(PATH_LEN_MAX + 1);
        let refused = bind(&long).unwrap_err().to_string();
        assert!(
            refused.contains("at most 107") && refused.contains("shorter"),
            "{refused}"
        );
        let error = connect(&long, &name("e"), &Token::random().unwrap(), TIMEOUT)
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::PathTooLong { .. }), "{error}");
    });
}

#[test]
fn nobody_there_is_named() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("nobody.sock");
        let error = connect(&path, &name("e"), &Token::random().unwrap(), TIMEOUT)
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("nobody.sock"), "{error}");
    });
}
