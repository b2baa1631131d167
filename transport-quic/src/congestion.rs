//! Lets a close out, however congested its session is.
//!
//! quinn-proto 0.11.19 holds the packet that closes a connection back while the congestion window is full or the
//! pacer waits, and from then on takes no acknowledgement that would open them: the peer hears nothing until its
//! idle timeout (quinn issue 2785, mended by its pull request 2787, not yet released). So the window is opened
//! before a connection is closed. With a quinn that has the mend, this file can go.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;

/// Opens the window of `connection` for good: it is about to be closed.
pub(crate) fn open(connection: &quinn::Connection) {
    if let Ok(controller) = connection.congestion_state().into_any().downcast::<Congestion>() {
        controller.open.store(true, Ordering::Relaxed);
    }
}

/// Opens the windows of every connection of an endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllOpen(Arc<AtomicBool>);

impl AllOpen {
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes [`Congestion`] controllers, over quinn's own default.
impl ControllerFactory for AllOpen {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Congestion {
            inner: Arc::new(CubicConfig::default()).build(now, current_mtu),
            open: Arc::default(),
            all_open: Self::clone(&self),
        })
    }
}

/// A controller of congestion whose window can be opened. Its clones share that.
struct Congestion {
    inner: Box<dyn Controller>,
    open: Arc<AtomicBool>,
    all_open: AllOpen,
}

impl Controller for Congestion {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        match self.open.load(Ordering::Relaxed) || self.all_open.0.load(Ordering::Relaxed) {
            // Beyond what a `u32` holds, quinn's pacer does not pace.
            true => u64::MAX,
            false => self.inner.window(),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            inner: self.inner.clone_box(),
            open: Arc::clone(&self.open),
            all_open: self.all_open.clone(),
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
