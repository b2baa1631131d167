//! What the system wants of Unix sockets.

use std::os::fd::AsFd;
use std::path::Path;

use neap_protocol::text::Text;
use neap_protocol::transport::Closed;
use rustix::net::Shutdown;
use rustix::net::sockopt::set_socket_send_buffer_size;

/// The longest path of a socket, in bytes: `sun_path` has 108 with the zero at its end.
pub const PATH_LEN_MAX: usize = 107;

/// How many bytes the system is asked to buffer for a sender whose peer does not read. Linux counts its own
/// bookkeeping into twice that.
pub const SOCKET_BUFFER: usize = 128 * 1024;

pub(crate) fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= PATH_LEN_MAX
}

/// Bounds what a sender can leave unread.
pub(crate) fn bound_buffer(socket: impl AsFd) {
    // It only fails for what is no socket.
    let _ = set_socket_send_buffer_size(socket, SOCKET_BUFFER);
}

/// Ends both directions: what is on its way still arrives, whoever waits on either end is woken.
pub(crate) fn shut(socket: impl AsFd) {
    // The peer may have been first.
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
}

pub(crate) fn lost(detail: impl std::fmt::Display) -> Closed {
    Closed::Lost(Text::from(detail.to_string()))
}
