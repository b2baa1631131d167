//! The accepting side: handshakes, bounded in number and in time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use neap_protocol::transport::{CloseCode, CloseReason, Peer, Role};
use quinn::{ConnectionError, Incoming};
use tokio::task::{AbortHandle, JoinSet};

use crate::credentials::{certificate_refused, peer_of};
use crate::session::{self, QuicSession};
use crate::{Settings, WELCOME};

/// A handshake that is younger than this is not given up for a newer one of its own host: an honest one needs a few
/// round trips, and its turn where as many come at once as there is room for. Less than that turn takes, and a storm of
/// them is given up shortly before it is done, again and again.
const HANDSHAKE_AGE_MIN: Duration = Duration::from_secs(3);

/// Lets peers in. Handshakes go on side by side while [`accept`](Self::accept) is awaited again and again.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    roles: Arc<[Role]>,
    timeout: Duration,
    handshakes_max: usize,
    handshakes: JoinSet<Result<QuicSession, Refusal>>,
    /// The oldest first.
    half_open: VecDeque<HalfOpen>,
    end: Arc<OnceLock<CloseReason>>,
}

impl Listener {
    pub(crate) fn new(
        endpoint: quinn::Endpoint,
        roles: &[Role],
        settings: &Settings,
        end: Arc<OnceLock<CloseReason>>,
    ) -> Self {
        Self {
            endpoint,
            roles: roles.into(),
            timeout: settings.handshake_timeout,
            handshakes_max: settings.handshakes_max.max(1),
            handshakes: JoinSet::new(),
            half_open: VecDeque::new(),
            end,
        }
    }

    /// The next session, or who was refused and why, for the log; nothing once the endpoint was closed. Cancelling
    /// the future loses nothing.
    pub async fn accept(&mut self) -> Option<Result<QuicSession, Refusal>> {
        loop {
            tokio::select! {
                // First what is done, so that what waits to be taken stays within the bound.
                biased;
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(outcome) => return Some(outcome),
                    // It was given up for a newer one, and said then.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                incoming = self.endpoint.accept() => {
                    if let Some(refusal) = self.admit(incoming?) {
                        return Some(Err(refusal));
                    }
                }
            }
        }
    }

    /// Begins a handshake; who is refused for want of room, if anybody is.
    fn admit(&mut self, incoming: Incoming) -> Option<Refusal> {
        let crowded = self.handshakes_max / 4;
        if self.half_open.len() >= crowded {
            self.half_open.retain(|one| !one.handshake.is_finished());
        }
        // With many under way, an address must show that it is no forgery before it costs anything.
        let forged = incoming.may_retry() && !incoming.remote_address_validated();
        if self.half_open.len() >= crowded && forged {
            // It only fails where `may_retry` is false.
            let _ = incoming.retry();
            return None;
        }
        let address = incoming.remote_address();
        let mut refusal = None;
        if self.half_open.len() >= self.handshakes_max {
            let given_up = self.make_room(origin(address));
            refusal = Some(self.no_room(given_up.unwrap_or(address)));
            if given_up.is_none() {
                incoming.ignore();
                return refusal;
            }
        }
        let handshake = handshake(incoming, Arc::clone(&self.roles), self.timeout, Arc::clone(&self.end));
        self.half_open.push_back(HalfOpen {
            address,
            since: Instant::now(),
            handshake: self.handshakes.spawn(handshake),
        });
        refusal
    }

    fn no_room(&self, address: SocketAddr) -> Refusal {
        let most = self.handshakes_max;
        let cause = format!(
            "{most} handshakes hang, most of them of its host, or nobody's is older: try again later"
        );
        Refusal { address, kind: RefusalKind::HalfOpen, cause }
    }

    /// Gives up the oldest handshake of the host that has most of them, if the newcomer's host has fewer or if the
    /// time of that handshake has come: a flood makes room for others at once, and for its own host in turn.
    fn make_room(&mut self, newcomer: IpAddr) -> Option<SocketAddr> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for one in &self.half_open {
            *held.entry(origin(one.address)).or_default() += 1;
        }
        let its_own = held.get(&newcomer).copied().unwrap_or(0);
        let (&host, &most) = held.iter().max_by_key(|&(_, &count)| count)?;
        let oldest = self.half_open.iter().position(|one| origin(one.address) == host);
        let given_up = oldest
            .filter(|&at| most > its_own + 1 || self.half_open[at].since.elapsed() >= HANDSHAKE_AGE_MIN);
        let given_up = given_up.and_then(|at| self.half_open.remove(at))?;
        given_up.handshake.abort();
        Some(given_up.address)
    }
}

/// A handshake that goes on, or has ended since.
#[derive(Debug)]
struct HalfOpen {
    address: SocketAddr,
    since: Instant,
    handshake: AbortHandle,
}

/// What one host has to itself: an address, or in IPv6 a network of 64 bits.
fn origin(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it came from.
    pub address: SocketAddr,
    /// What kind of a cause it was, for programs.
    pub kind: RefusalKind,
    /// Why, and what to do.
    pub cause: String,
}

/// The kinds of causes for which somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Its handshake did not end in time, was given up by its peer, or made room for another's.
    HalfOpen,
    /// Its certificate is not accepted, or of a role that is not let in.
    NotLetIn,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}: {}", self.address, self.cause)
    }
}

async fn handshake(
    incoming: Incoming,
    roles: Arc<[Role]>,
    timeout: Duration,
    end: Arc<OnceLock<CloseReason>>,
) -> Result<QuicSession, Refusal> {
    let address = incoming.remote_address();
    let outcome = tokio::time::timeout(timeout, let_in(incoming, &roles, end)).await;
    let (kind, cause) = match outcome {
        Ok(Ok(session)) => return Ok(session),
        Ok(Err(refused)) => refused,
        Err(_elapsed) => (RefusalKind::HalfOpen, format!("the handshake was not done within {timeout:?}")),
    };
    Err(Refusal { address, kind, cause })
}

async fn let_in(
    incoming: Incoming,
    roles: &[Role],
    end: Arc<OnceLock<CloseReason>>,
) -> Result<QuicSession, (RefusalKind, String)> {
    let connection = incoming.await.map_err(|error| handshake_error(&error))?;
    let peer = peer_of(&connection).and_then(|peer| match roles.contains(&peer.role) {
        true => Ok(peer),
        false => Err(wrong_role(&peer, roles)),
    });
    let peer = peer.map_err(|cause| {
        let reason = CloseReason { code: CloseCode::Forbidden, detail: cause.as_str().into() };
        session::close(&connection, &reason);
        (RefusalKind::NotLetIn, cause)
    })?;
    let gone = |error: &dyn std::error::Error| (RefusalKind::HalfOpen, error.to_string());
    let (mut send, receive) = connection.open_bi().await.map_err(|error| gone(&error))?;
    send.write_all(&[WELCOME]).await.map_err(|error| gone(&error))?;
    Ok(QuicSession::new(peer, connection, (send, receive), end))
}

fn handshake_error(error: &ConnectionError) -> (RefusalKind, String) {
    if let ConnectionError::TransportError(wrong) = error
        && let Some(cause) = certificate_refused(wrong.code)
    {
        return (RefusalKind::NotLetIn, format!("its certificate is not accepted: {cause}"));
    }
    (RefusalKind::HalfOpen, error.to_string())
}

fn wrong_role(peer: &Peer, roles: &[Role]) -> String {
    let accepted: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    format!(
        "the certificate is of {peer}, and this address accepts the role {}: use a certificate of that role, or \
         another address",
        accepted.join(" or ")
    )
}
