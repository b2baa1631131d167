//! What every transport of neap must do, as one test suite, and the transport in memory.
//!
//! The contract is the page of [`neap_protocol::transport`]. A transport's tests implement [`Harness`], which
//! makes real sessions, and expand [`suite!`], which holds them to the page: one test a promise.
//!
//! ```text
//! neap_transport_conformance::suite!(MyHarness);
//! ```
//!
//! The suite waits for events only; the one thing that it takes from a clock is that a sender which has not moved
//! for [`STALL`] is blocked, and to be wrong about that makes a test weaker, never wrong.
#![forbid(unsafe_code)]

use std::future::Future;
use std::time::Duration;

use neap_protocol::transport::Session;

pub mod cases;
pub mod memory;
mod random;

/// A sender that has not moved for so long waits for its reader.
pub const STALL: Duration = Duration::from_millis(300);

/// A case that takes longer has hung.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

/// Makes sessions of one transport for the suite.
pub trait Harness: Sized + Send + Sync + 'static {
    /// The sessions that are held to the contract.
    type Session: Session;

    /// A peer that has been let in and then writes whatever it likes.
    type Raw: Send;

    /// The most bytes of frames that `send` accepts while the peer does not read.
    const UNREAD_MAX: usize;

    /// Everything that a case needs to make sessions, inside the case's runtime.
    fn start() -> impl Future<Output = Self> + Send;

    /// A new session: the end that connected, then the end that accepted.
    fn pair(&self) -> impl Future<Output = (Self::Session, Self::Session)> + Send;

    /// A new session whose other end writes raw bytes; `None` where the transport has no bytes.
    fn raw(&self) -> impl Future<Output = Option<(Self::Raw, Self::Session)>> + Send;

    /// Writes `bytes` as they are. That the other end has closed is no error here.
    fn write_raw(raw: &mut Self::Raw, bytes: &[u8]) -> impl Future<Output = ()> + Send;

    /// A new session over a network in which its connecting end can get another address; `None` where the transport has
    /// no network.
    fn on_the_move(&self) -> impl Future<Output = Option<OnTheMove<Self::Session>>> + Send {
        async { None }
    }

    /// The impostors that this transport can be tried by.
    fn impostors() -> &'static [Impostor];

    /// Tries to be let in as `impostor`, and answers with what the refused side was told, for people.
    ///
    /// # Errors
    /// If the impostor was let in.
    fn attempt(&self, impostor: Impostor) -> impl Future<Output = Result<String, LetIn>> + Send;
}

/// A session whose connecting end is behind a router that translates addresses, and may forget how.
pub struct OnTheMove<S> {
    /// The end behind the router.
    pub connected: S,
    /// The other, which knows the router's address for the peer's.
    pub accepted: S,
    /// What the connecting end sends comes from elsewhere from now on, and what is sent to where it came from before
    /// reaches nobody. Called within a tokio runtime.
    pub move_on: Box<dyn FnMut() + Send>,
    /// How long a session that says nothing may take to notice: two times in which it says that it is there.
    pub healed_within: Duration,
}

/// An impostor has been given a session.
#[derive(Clone, Copy, Debug)]
pub struct LetIn;

/// Somebody who must not be given a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impostor {
    /// Its certificate is another authority's.
    OtherAuthority,
    /// It has no certificate.
    NoCertificate,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is good, its role is not one that the listener accepts.
    WrongRole,
    /// The listener's certificate is another authority's.
    ListenerOfOtherAuthority,
    /// The listener's certificate is good, its role is not the one that was asked for.
    ListenerOfWrongRole,
    /// The listener's role is right, its name is not the one that was asked for.
    ListenerOfWrongName,
    /// Its token is not the one that it was given.
    WrongToken,
    /// It connects and says nothing.
    Silent,
    /// It connects and says what is no greeting.
    Garbage,
}

impl Impostor {
    /// What the refusal must name, in lower case, for a person to find the cure.
    pub fn must_read(self) -> &'static str {
        match self {
            Self::OtherAuthority | Self::ListenerOfOtherAuthority => "authority",
            Self::NoCertificate => "certificate",
            Self::Expired => "expired",
            Self::WrongRole | Self::ListenerOfWrongRole => "role",
            Self::ListenerOfWrongName => "name",
            Self::WrongToken => "token",
            Self::Silent | Self::Garbage => "hello",
        }
    }
}

/// Runs one case of the suite on a runtime of its own. [`suite!`] calls it.
///
/// # Panics
/// If the case fails, or hangs for a minute.
pub fn run<H: Harness>(case: impl AsyncFnOnce(&H)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("failed to start a runtime for the case");
    runtime.block_on(async {
        let harness = H::start().await;
        let ended = tokio::time::timeout(CASE_TIME_MAX, case(&harness)).await;
        assert!(ended.is_ok(), "the case hung: nothing happened for {CASE_TIME_MAX:?}");
    });
}

/// Holds the sessions of a [`Harness`] to the contract: expands to one `#[test]` a promise.
#[macro_export]
macro_rules! suite {
    ($harness:ty) => {
        $crate::suite! { $harness:
            frames_arrive_whole_and_in_order,
            both_directions_go_at_once,
            a_frame_too_large_is_refused_and_the_session_goes_on,
            an_empty_frame_is_refused_and_the_session_goes_on,
            a_claim_of_too_large_a_frame_ends_the_session,
            an_empty_frame_received_ends_the_session,
            garbage_ends_the_session,
            a_frame_cut_short_is_a_loss,
            one_direction_finishes_and_the_other_goes_on,
            what_was_finished_is_delivered_after_the_peer_has_gone,
            an_end_is_final,
            a_dropped_peer_is_a_loss,
            a_dropped_sending_half_is_a_loss,
            a_dropped_receiving_half_ends_the_sender,
            a_close_says_why,
            a_parting_comes_after_what_was_said,
            a_close_wakes_both_ends,
            an_end_is_heard_after_a_burst,
            a_cancelled_receive_loses_nothing,
            a_slow_reader_makes_the_sender_wait,
            a_stuck_session_disturbs_no_other,
            a_session_goes_on_from_another_address,
            impostors_are_refused_and_disturb_nobody,
            random_lives_keep_the_contract,
        }
    };
    ($harness:ty: $($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::run::<$harness>($crate::cases::$case);
            }
        )*
    };
}
