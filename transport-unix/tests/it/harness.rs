//! A slave's socket in a directory of its own.

use std::time::Duration;

use neap_protocol::text::Name;
use neap_protocol::transport::{Peer, Role, Session};
use neap_transport_conformance::{Harness, Impostor, LetIn};
use neap_transport_unix::listener::{Listener, Refusal};
use neap_transport_unix::{SOCKET_BUFFER, Token, UnixSession, connect};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A slave that lets in whoever shows its token.
pub(crate) struct Unix {
    pub(crate) directory: TempDir,
    pub(crate) token: Token,
    listener: Mutex<Listener>,
}

impl Unix {
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("executors.sock")
    }

    pub(crate) async fn accept(&self) -> Result<UnixSession, Refusal> {
        self.listener.lock().await.accept().await.unwrap()
    }

    /// Everything that a peer is told which says `bytes`, and nothing more.
    async fn told(&self, bytes: &[u8]) -> Result<String, LetIn> {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        let _refused_before = stream.write_all(bytes).await;
        let mut told = Vec::new();
        let (read, accepted) = tokio::join!(stream.read_to_end(&mut told), self.accept());
        read.unwrap();
        let refusal = accepted.err().ok_or(LetIn)?;
        assert_eq!(refusal.pid, i32::try_from(std::process::id()).ok());
        Ok(String::from_utf8_lossy(&told).into_owned())
    }
}

impl Harness for Unix {
    type Session = UnixSession;
    type Raw = UnixStream;

    // Linux gives twice what it is asked for.
    const UNREAD_MAX: usize = 2 * SOCKET_BUFFER;

    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::random().unwrap();
        let expected = token.clone();
        let check = move |_: &Name, token: &Token| *token == expected;
        let listener =
            Listener::bind(&directory.path().join("executors.sock"), name("web-1"), check).unwrap();
        Self { directory, token, listener: Mutex::new(listener.hello_timeout(Duration::from_secs(1))) }
    }

    async fn pair(&self) -> (UnixSession, UnixSession) {
        let path = self.path();
        let executor = name("default");
        let connecting = async { connect(&path, &executor, &self.token, TIMEOUT).await.unwrap() };
        let accepting = async { self.accept().await.unwrap() };
        tokio::join!(connecting, accepting)
    }

    async fn raw(&self) -> Option<(UnixStream, UnixSession)> {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        stream.write_all(&hello(&self.token, b"raw")).await.unwrap();
        let session = self.accept().await.unwrap();
        let mut welcome = [0; 17];
        stream.read_exact(&mut welcome).await.unwrap();
        assert_eq!((&welcome[..4], &welcome[12..]), (&b"\0\0\0\x0d"[..], &b"web-1"[..]));
        Some((stream, session))
    }

    async fn write_raw(raw: &mut UnixStream, bytes: &[u8]) {
        let _closed_by_peer = raw.write_all(bytes).await;
    }

    fn impostors() -> &'static [Impostor] {
        &[Impostor::WrongToken, Impostor::Silent, Impostor::Garbage]
    }

    async fn attempt(&self, impostor: Impostor) -> Result<String, LetIn> {
        match impostor {
            Impostor::WrongToken => {
                let path = self.path();
                let (executor, token) = (name("default"), Token::random().unwrap());
                let (connected, accepted) =
                    tokio::join!(connect(&path, &executor, &token, TIMEOUT), self.accept());
                assert!(accepted.is_err());
                connected.map_or_else(|error| Ok(error.to_string()), |_| Err(LetIn))
            }
            Impostor::Silent => self.told(b"").await,
            Impostor::Garbage => self.told(b"\0\0\0\x0cGET / HTTP/1").await,
            Impostor::OtherAuthority
            | Impostor::NoCertificate
            | Impostor::Expired
            | Impostor::WrongRole
            | Impostor::ListenerOfOtherAuthority
            | Impostor::ListenerOfWrongRole
            | Impostor::ListenerOfWrongName => unreachable!("not one of `impostors`"),
        }
    }
}

#[test]
fn each_end_knows_the_other() {
    neap_transport_conformance::run::<Unix>(async |unix: &Unix| {
        let (executor, accepted) = unix.pair().await;
        let peer = |role, text| Peer { role, name: name(text) };
        assert_eq!(executor.peer(), &peer(Role::Slave, "web-1"));
        assert_eq!(accepted.peer(), &peer(Role::Executor, "default"));
        assert_eq!(executor.link(), accepted.link());
    });
}

#[test]
fn a_hello_that_is_none_is_refused() {
    neap_transport_conformance::run::<Unix>(async |unix: &Unix| {
        let bad_name = hello(&unix.token, b"no spaces");
        let no_name = hello(&unix.token, b"");
        let too_large = [0xff; 64];
        let close = [0x80, 0, 0, 1, 0];
        for bytes in [&bad_name[..], &no_name, &too_large, &close, b"GET / HTTP/1.1\r\n\r\n", &[0, 0, 0, 0]] {
            assert!(unix.told(bytes).await.is_ok(), "{bytes:?}");
        }
        unix.pair().await;
    });
}

/// An executor's first words, byte by byte.
fn hello(token: &Token, executor: &[u8]) -> Vec<u8> {
    let hex = token.to_hex();
    let token = (0..64).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap());
    let body: Vec<u8> = b"neapux/2".iter().copied().chain(token).chain(executor.iter().copied()).collect();
    let size = u32::try_from(body.len()).unwrap();
    [&size.to_be_bytes(), body.as_slice()].concat()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}
