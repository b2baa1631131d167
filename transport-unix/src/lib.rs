//! neap's sessions over a Unix socket: between a slave and the executors that it started.
//!
//! **Who is who.** The slave gives each executor a [`Token`] in its environment. The executor's first bytes (its
//! hello) are its name and that token; the [`Listener`](listener::Listener) asks its owner whether they belong
//! together, and answers with the slave's name. The socket is its owner's alone (mode 0600), and the system says
//! which user is at the other end (`SO_PEERCRED`): another one is refused before it has said anything.
//!
//! **On the wire** each frame stands behind its length in four bytes, big-endian. A length with the highest bit set
//! is a word of the transport's own: nothing, "I have said everything"; or a byte of
//! [`CloseCode`](neap_protocol::transport::CloseCode) and a text, "I close".
//!
//! **Bounds.** A direction holds what the system buffers for its sender, which is asked to be
//! [`SOCKET_BUFFER`] bytes, and one frame at each end.
//!
//! An executor of neap's own uses the [`blocking`] client, which is all that is left of this crate without its
//! feature `tokio`: it starts no thread and no runtime.
#![forbid(unsafe_code)]

pub mod blocking;
mod hello;
mod socket;
mod token;
mod wire;

#[cfg(feature = "tokio")]
pub mod listener;
#[cfg(feature = "tokio")]
mod session;

pub use hello::ConnectError;
pub use socket::{PATH_LEN_MAX, SOCKET_BUFFER};
pub use token::{Token, TokenError};

#[cfg(feature = "tokio")]
pub use session::{UnixReceive, UnixSend, UnixSession, connect};
