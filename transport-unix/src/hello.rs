//! The first words: who connects, and who answers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use neap_protocol::journal::LinkId;
use neap_protocol::text::Name;
use neap_protocol::transport::{CloseReason, Peer, Role};

use crate::token::Token;
use crate::wire::{self, Item};

/// What a hello begins with, before 32 bytes of token and the name; another version of these sessions begins
/// otherwise.
const MAGIC: &[u8; 8] = b"neapux/2";

/// The executor's hello, as it goes to the slave.
pub(crate) fn hello(name: &Name, token: &Token) -> Vec<u8> {
    let body = [MAGIC.as_slice(), token.as_bytes(), name.as_str().as_bytes()].concat();
    [&wire::header(body.len()), body.as_slice()].concat()
}

/// Who says hello.
///
/// # Errors
/// What is wrong with it.
#[cfg(feature = "tokio")]
pub(crate) fn parse_hello(frame: &[u8]) -> Result<(Name, Token), String> {
    let rest = frame.strip_prefix(MAGIC).ok_or("its hello is not one of neap's, or of another version")?;
    let (token, name) = rest.split_first_chunk().ok_or("its hello has no token")?;
    let name = std::str::from_utf8(name).map_err(|_| "its hello has no name".to_owned())?;
    let name = Name::new(name).map_err(|error| format!("its hello has no name: {error}"))?;
    Ok((name, Token::from_bytes(*token)))
}

/// The slave's answer: what both ends may call the session, 8 bytes, and the slave's name.
#[cfg(feature = "tokio")]
pub(crate) fn welcome(slave: &Name, link: LinkId) -> Vec<u8> {
    let body = [link.0.as_slice(), slave.as_str().as_bytes()].concat();
    [&wire::header(body.len()), body.as_slice()].concat()
}

/// What the slave answered.
///
/// # Errors
/// [`ConnectError::Refused`] or [`ConnectError::NotNeap`].
pub(crate) fn parse_welcome(item: Item, path: &Path) -> Result<(Peer, LinkId), ConnectError> {
    let answer = match item {
        Item::Frame(frame) => frame.split_first_chunk().and_then(|(link, name)| {
            let name = Name::new(std::str::from_utf8(name).ok()?).ok()?;
            Some((Peer { role: Role::Slave, name }, LinkId(*link)))
        }),
        Item::Close(reason) => {
            let path = path.to_owned();
            return Err(ConnectError::Refused { path, reason });
        }
        Item::Finish => None,
    };
    answer.ok_or_else(|| ConnectError::NotNeap { path: path.to_owned() })
}

/// Why an executor has no session with its slave.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each has the socket's path and what the messages name")]
pub enum ConnectError {
    /// There is no such socket, or nobody listens on it.
    #[error("failed to connect to the slave at {}: {source}; is the slave running?", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    /// The path is longer than a socket's may be.
    #[error("the path {} has {} bytes, a socket's has at most {}: choose a shorter work directory",
        path.display(), path.as_os_str().len(), crate::PATH_LEN_MAX)]
    PathTooLong { path: PathBuf },
    /// The slave does not want this executor.
    #[error("the slave at {} refused: {reason}", path.display())]
    Refused { path: PathBuf, reason: CloseReason },
    /// The slave hung up, or did not answer in time.
    #[error("the slave at {} did not answer: {detail}", path.display())]
    NoAnswer { path: PathBuf, detail: String },
    /// What listens there does not answer as a slave does.
    #[error("what listens at {} is no slave of this version of neap", path.display())]
    NotNeap { path: PathBuf },
}

impl ConnectError {
    /// There was no answer in time.
    pub(crate) fn late(path: &Path, timeout: Duration) -> Self {
        let detail =
            format!("not within {timeout:?}; if it is stopped, or hangs, continue it or start it again");
        Self::NoAnswer { path: path.to_owned(), detail }
    }
}
