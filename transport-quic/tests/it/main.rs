//! The suite over QUIC, and what only QUIC has: certificates, handshakes in crowds, a network that goes dark.

mod credentials;
mod harness;
mod network;
mod relay;

neap_transport_conformance::suite!(harness::Quic);
