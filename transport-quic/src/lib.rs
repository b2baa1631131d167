//! neap's sessions over QUIC, with mutual TLS 1.3.
//!
//! One session is one QUIC connection with one bidirectional stream. The accepting side opens the stream once it
//! has let the peer in, and writes one byte, [`WELCOME`]; then both send frames, each behind its length in four
//! bytes, big-endian. [`Endpoint::connect`] waits for that byte, so that a refusal is an error of `connect` and
//! names its cause.
//!
//! **Who is who.** A certificate says `neap://<role>/<name>` in exactly one URI of its subject alternative names;
//! nothing else in it is an identity, and no host name is checked: what is asked is not *where* a peer is but *who*
//! it is. Each side verifies the other's chain to its own authority. The connecting side states whom it
//! [expects](Expect); the [`Listener`] states the roles that it lets in. Sessions are never resumed, so that each
//! one has looked at a certificate and its expiry.
//!
//! **Bounds.** A direction holds at most [`Settings::window`] bytes that its reader has not read, and a frame. A
//! listener has at most [`Settings::handshakes_max`] handshakes going on; when there are many, an address must
//! first show that it receives (QUIC's Retry), and the host that has most of them makes room for the others. Of peers that
//! it has not looked at yet it keeps four times as many, and little of each. Whoever is refused is a [`Refusal`], also where there
//! was no room.
//!
//! **Another address.** A router that translates addresses forgets how after a while, and what a peer says comes from
//! another port then, or from another host's address. A session is its keys and not an address: it follows. Nothing but a
//! packet with the session's keys that is newer than all before moves it, so that a copy of an old one moves nothing; until
//! the new address has shown that it receives, it gets at most three times the bytes that came from it, and if it does not
//! show that, the session goes back. What the accepting side said in between is sent again. The connecting side says that it is
//! there each [`Settings::keep_alive`], so that a session is whole again within two of these. The accepting side's address
//! does not change. The bounds on handshakes are by the address that a handshake comes from; a session that was let in
//! counts nowhere.
//!
//! [`certificates`] makes the authority and the certificates that a cluster needs.
#![forbid(unsafe_code)]

pub mod certificates;
mod congestion;
mod credentials;
mod endpoint;
mod frames;
mod listener;
mod rounds;
mod session;
mod settings;

pub use credentials::{Credentials, CredentialsError};
pub use endpoint::{BindError, ConnectError, Endpoint, Expect};
pub use listener::{Listener, Refusal, RefusalKind};
pub use session::{QuicReceive, QuicSend, QuicSession};
pub use settings::Settings;

/// The protocol's name in TLS (ALPN): another version of it is refused in the handshake.
pub const ALPN: &[u8] = b"neap/1";

/// The first byte of the stream: the accepting side has let the peer in.
pub const WELCOME: u8 = b'+';
