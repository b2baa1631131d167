use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, ServerConfig, TransportConfig, VarInt};

use crate::congestion::AllOpen;

/// How far away a peer is thought to be before anything was heard from it; the first packet is sent again after three
/// times that.
const INITIAL_RTT: Duration = Duration::from_millis(50);

/// What one peer may have sent before the listener has looked at its first packet, in bytes: a few packets, as its first
/// words may not fit into one.
const UNMET_BYTES_MAX: u64 = 16 * 1024;

/// What an [`Endpoint`](crate::Endpoint) may take of time and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session that has heard nothing for so long is lost. Whole milliseconds; the smaller of both ends' counts.
    pub idle_timeout: Duration,
    /// The connecting side says that it is there when nothing else was said for so long. Less than half of
    /// `idle_timeout`, so that one lost packet is forgiven. So long it may take until it is known that the peer was
    /// killed and started again, or until a peer that is somewhere else suddenly is heard from there.
    pub keep_alive: Duration,
    /// The most bytes that one direction of a session holds unread, and the most that it holds unacknowledged.
    pub window: u32,
    /// The most time from a peer's first packet to a session. Who dials begins anew within it, where a peer has answered
    /// and does not let it in.
    pub handshake_timeout: Duration,
    /// The most handshakes that a listener has going on at once; four times as many may wait to be looked at.
    pub handshakes_max: usize,
    /// How large the socket's buffers are asked to be, in bytes. The system may grant less.
    pub socket_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(3),
            window: 256 * 1024,
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 1024,
            socket_buffer: 4 * 1024 * 1024,
        }
    }
}

impl Settings {
    /// For the connecting side: it keeps the session alive, and lets the peer open the one stream.
    pub(crate) fn connecting(&self, windows: &AllOpen) -> Arc<TransportConfig> {
        let mut transport = self.transport(windows);
        transport.keep_alive_interval(Some(self.keep_alive));
        transport.max_concurrent_bidi_streams(VarInt::from_u32(1));
        Arc::new(transport)
    }

    /// For the accepting side: with many sessions it saves the timer and the packets of keeping alive.
    pub(crate) fn accepting(&self, windows: &AllOpen) -> Arc<TransportConfig> {
        Arc::new(self.transport(windows))
    }

    /// Bounds what waits while the listener is not awaited. quinn alone would keep 65,536 first packets, and 100 MiB of
    /// what follows them; who comes beyond is not heard, and says it again.
    pub(crate) fn bound_unmet(&self, config: &mut ServerConfig) {
        let most = self.handshakes_max.max(1);
        config
            .max_incoming(most.saturating_mul(4))
            .incoming_buffer_size(UNMET_BYTES_MAX)
            .incoming_buffer_size_total(UNMET_BYTES_MAX.saturating_mul(most as u64));
    }

    fn transport(&self, windows: &AllOpen) -> TransportConfig {
        let mut transport = TransportConfig::default();
        // A cluster is near. QUIC's own guess, for the whole world, has a peer that was not there yet tried again only
        // after a second.
        transport.initial_rtt(INITIAL_RTT);
        let window = VarInt::from_u32(self.window);
        let idle_ms = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        transport
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))))
            .stream_receive_window(window)
            .receive_window(window)
            .send_window(u64::from(self.window))
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .congestion_controller_factory(Arc::new(windows.clone()));
        transport
    }
}
