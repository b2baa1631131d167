//! The suite over Unix sockets, and what only they have: paths, modes, a blocking client.
//!
//! That another user is refused cannot be tried without being two users; everything else of the hello is.

mod blocking;
mod harness;
mod paths;

neap_transport_conformance::suite!(harness::Unix);
