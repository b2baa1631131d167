//! A session with the leader: found among the masters, asked and answered.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use neap_protocol::codec;
use neap_protocol::message::{Answer, Command, Event, MasterToOperator, OperatorToMaster, Refusal};
use neap_protocol::text::{Name, Text};
use neap_protocol::transport::{CloseCode, CloseReason, Peer, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::{ConnectError, Credentials, Endpoint, Expect, QuicReceive, QuicSend};
use tokio::time::Instant;

use crate::config::Connection;
use crate::exit::Exit;
use crate::output::Failure;
use crate::pki;

/// How long to wait before masters that know of no leader are asked again.
const ELECTION_PAUSE: Duration = Duration::from_millis(200);

/// An operator's client. It looks for the leader when it is first asked, and again when the leader is gone.
#[derive(Debug)]
pub struct Client {
    masters: Vec<SocketAddr>,
    credentials: Credentials,
    timeout: Duration,
    session: Option<Live>,
    /// The last master that said that it does not lead, and who does, where it knew.
    standby: Option<(SocketAddr, Option<SocketAddr>)>,
    last_request: u32,
    events: VecDeque<Event>,
    /// Whether a command that was sent, and has not been answered, is to change something.
    unanswered_change: bool,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Live {
    address: SocketAddr,
    endpoint: Endpoint,
    pub(super) send: QuicSend,
    pub(super) receive: QuicReceive,
}

impl Live {
    /// Ends it in order.
    pub(super) async fn close(mut self) {
        self.send.close(CloseReason { code: CloseCode::Done, detail: Text::EMPTY });
        // The answer is had: nothing is waited for but that the end is sent. A peer that does not hear of it, as its packet
        // was lost, finds out by itself.
        self.endpoint.flush().await;
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The leader refused; nothing was changed.
    Refused(Refusal),
    /// No leader answered.
    Unreached(Failure),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(refusal) => Self::new(Exit::Refused, refusal.to_string()).help(refusal.advice()),
            Problem::Unreached(failure) => failure,
        }
    }
}

impl Client {
    /// A client with the connection's certificate; nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure`] names the file that cannot be used.
    pub fn new(connection: &Connection) -> Result<Self, Failure> {
        let identity = &connection.identity;
        let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        pki::speaks_as(&credentials, Role::Operator, &identity.cert)?;
        Ok(Self {
            masters: connection.masters.clone(),
            credentials,
            timeout: connection.timeout.as_duration(),
            session: None,
            standby: None,
            last_request: 0,
            events: VecDeque::new(),
            unanswered_change: false,
        })
    }

    /// The name in its certificate.
    pub fn name(&self) -> &Name {
        &self.credentials.peer().name
    }

    /// Where the leader is, once it has answered.
    pub fn leader(&self) -> Option<SocketAddr> {
        self.session.as_ref().map(|live| live.address)
    }

    /// Asks the leader, and waits for the answer. Events that arrive meanwhile are kept for
    /// [`event`](Self::event).
    ///
    /// # Errors
    /// [`Problem`]; where no leader answered, what was asked may or may not have happened.
    pub async fn ask(&mut self, command: Command) -> Result<Answer, Problem> {
        let deadline = Instant::now() + self.timeout;
        self.standby = None;
        self.unanswered_change = false;
        let asking = self.ask_leader(command);
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(answer) => {
                self.unanswered_change &= matches!(answer, Err(Problem::Unreached(_)));
                answer
            }
            Err(_elapsed) => Err(Problem::Unreached(self.unanswered().await)),
        }
    }

    /// The next event, once [`Command::Watch`] was answered. Cancelling the future loses nothing.
    ///
    /// # Errors
    /// [`Failure`]: the leader is gone, and with it the watch.
    pub async fn event(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match self.receive().await? {
                MasterToOperator::Event { event, .. } => return Ok(event),
                // Of a request that was given up.
                MasterToOperator::Answer { .. } => {}
            }
        }
    }

    /// How long it looks for a leader.
    pub fn patience(&self) -> Duration {
        self.timeout
    }

    /// Whether a change was asked for whose answer has not come: it may or may not have been made.
    pub fn is_in_doubt(&self) -> bool {
        self.unanswered_change
    }

    /// Whether an event is at hand.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Ends the session in order.
    pub async fn close(mut self) {
        self.disconnect().await;
    }

    /// The same for one that may ask again later: then it looks for the leader anew.
    pub(super) async fn disconnect(&mut self) {
        if let Some(live) = self.session.take() {
            live.close().await;
        }
    }

    /// Why there was no answer in time.
    async fn unanswered(&mut self) -> Failure {
        let at = self.leader();
        self.disconnect().await;
        let waited = self.timeout;
        let (message, help) = match self.standby {
            Some((standby, None)) => (
                format!("no master leads: {standby} stands by, and knows of no leader"),
                "wait until one is elected (--timeout waits longer); the masters' logs tell why none is",
            ),
            Some((standby, Some(leader))) if at != Some(leader) => (
                format!(
                    "the leader was not reached: {standby} says that {leader} leads, which does not answer"
                ),
                "wait until another is elected (--timeout waits longer), or see why that one does not answer",
            ),
            Some(_) | None => (
                match at {
                    Some(at) => format!("no answer was given by {at} within {waited:?}"),
                    None => format!("no master was reached within {waited:?}"),
                },
                "is a master leading? --timeout waits longer",
            ),
        };
        Failure::new(Exit::Unreachable, message).help(help)
    }

    /// A session with a slave, which must be of this name.
    pub(super) async fn slave(&self, address: SocketAddr, name: &Name) -> Result<Live, String> {
        let slave = Peer { role: Role::Slave, name: name.clone() };
        self.connect_to(address, self.timeout, Expect::peer(&slave)).await
    }

    async fn ask_leader(&mut self, command: Command) -> Result<Answer, Problem> {
        let mut asked: Vec<SocketAddr> = Vec::new();
        loop {
            if self.session.is_none() {
                self.connect(&asked).await.map_err(Problem::Unreached)?;
            }
            match self.exchange(&command).await.map_err(Problem::Unreached)? {
                Ok(answer) => return Ok(answer),
                Err(Refusal::NotLeading { leader }) => {
                    let here = self.session.take().map(|live| live.address);
                    match leader.as_str().parse() {
                        Ok(leader) if Some(leader) != here => {
                            self.masters.retain(|known| *known != leader);
                            self.masters.insert(0, leader);
                            self.standby = here.map(|here| (here, Some(leader)));
                            asked.clear();
                        }
                        Ok(_) | Err(_) => {
                            self.standby = here.map(|here| (here, None));
                            asked.extend(here);
                            tokio::time::sleep(ELECTION_PAUSE).await;
                        }
                    }
                }
                Err(refusal) => return Err(Problem::Refused(refusal)),
            }
        }
    }

    /// The events that came meanwhile are told elsewhere.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
    }

    async fn exchange(&mut self, command: &Command) -> Result<Result<Answer, Refusal>, Failure> {
        self.last_request = self.last_request.wrapping_add(1);
        let request = self.last_request;
        let message = OperatorToMaster { request, command: command.clone() };
        let frame = codec::encode(&message).map_err(|error| Failure::because("ask the master", &error))?;
        self.unanswered_change = changes(command);
        if let Some(live) = &mut self.session
            && let Err(error) = live.send.send(&frame).await
        {
            return Err(self.lost(&error.to_string()));
        }
        loop {
            match self.receive().await? {
                MasterToOperator::Answer { request: of, answer } if of == request => return Ok(answer),
                // Of a request that was given up.
                MasterToOperator::Answer { .. } => {}
                MasterToOperator::Event { event, .. } => self.events.push_back(event),
            }
        }
    }

    async fn receive(&mut self) -> Result<MasterToOperator, Failure> {
        let Some(live) = &mut self.session else {
            return Err(Failure::new(Exit::Unreachable, "the session with the master is over"));
        };
        match live.receive.receive().await {
            Ok(frame) => {
                codec::decode(&frame).map_err(|error| Failure::because("read the master's answer", &error))
            }
            Err(closed) => Err(self.lost(&closed.to_string())),
        }
    }

    fn lost(&mut self, cause: &str) -> Failure {
        let at = self.session.take().map_or_else(String::new, |live| format!(" at {}", live.address));
        Failure::new(Exit::Unreachable, format!("the session with the master{at} was lost: {cause}")).help(
            match self.unanswered_change {
                true => "what was asked may or may not have happened: see `neap status`, then ask again",
                false => "nothing was to be changed by it: ask again",
            },
        )
    }

    /// Connects to the first master that answers: those first that were not asked in vain.
    async fn connect(&mut self, asked: &[SocketAddr]) -> Result<(), Failure> {
        let share = self.timeout / u32::try_from(self.masters.len().max(1)).unwrap_or(u32::MAX);
        let mut errors = Vec::new();
        let (last, first): (Vec<SocketAddr>, Vec<SocketAddr>) =
            self.masters.iter().partition(|master| asked.contains(master));
        for address in first.into_iter().chain(last) {
            match self.connect_to(address, share, Expect::role(Role::Master)).await {
                Ok(live) => {
                    self.session = Some(live);
                    return Ok(());
                }
                Err(error) => errors.push(error),
            }
        }
        let failure =
            Failure::new(Exit::Unreachable, format!("no master was reached: {}", errors.join("; ")));
        Err(failure.help("`neap up` starts a local cluster; --masters IP:PORT names another one's"))
    }

    async fn connect_to(&self, address: SocketAddr, share: Duration, expect: Expect) -> Result<Live, String> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Less than the share, so that the cause is told and not only that time is over.
        let settings = neap_transport_quic::Settings {
            handshake_timeout: Duration::from_millis(
                u64::try_from(share.as_millis() * 9 / 10).unwrap_or(u64::MAX),
            ),
            ..neap_transport_quic::Settings::default()
        };
        let endpoint = Endpoint::bind(SocketAddr::new(any, 0), &self.credentials, &settings)
            .map_err(|error| error.to_string())?;
        let connected = endpoint.connect(address, expect).await;
        let session = connected.map_err(|error: ConnectError| error.to_string())?;
        let (send, receive) = session.split();
        Ok(Live { address, endpoint, send, receive })
    }
}

/// Whether a command is to change something.
fn changes(command: &Command) -> bool {
    match command {
        Command::Show(_) | Command::Watch | Command::PlanDrain { .. } => false,
        Command::Deactivate { .. }
        | Command::Activate { .. }
        | Command::InverseOffer { .. }
        | Command::CancelInverseOffer(_)
        | Command::Drain { .. }
        | Command::CancelDrain(_)
        | Command::ExtendDrain(..)
        | Command::DrainNow { .. }
        | Command::Kill { .. }
        | Command::ResumeRemovals { .. }
        | Command::ForgetSlave { .. }
        | Command::Teardown { .. } => true,
    }
}
