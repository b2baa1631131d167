//! What networks and crowds do: silence, floods of handshakes, noise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use neap_protocol::transport::{CloseCode, CloseReason, Closed, Peer, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_conformance::{Harness, run};
use neap_transport_quic::{BindError, ConnectError, Endpoint, Expect, Settings};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::harness::{ANY_PORT, Quic, authority, bare_master, issued, name};

/// [`CloseCode::Forbidden`], as it goes over the wire.
const FORBIDDEN: u32 = 0x103;

fn master() -> Expect {
    Expect::role(Role::Master)
}

#[test]
fn each_end_knows_the_other() {
    run::<Quic>(async |quic: &Quic| {
        let (slave, accepted) = quic.pair().await;
        let peer = |role, bearer| Peer { role, name: name(bearer) };
        assert_eq!(slave.peer(), &peer(Role::Master, "m"));
        assert_eq!(accepted.peer(), &peer(Role::Slave, "web-1"));
        assert_eq!(accepted.remote_address(), quic.slave.local_address().unwrap());
    });
}

#[test]
fn many_nodes_share_a_socket() {
    run::<Quic>(async |quic: &Quic| {
        let mut kept = Vec::new();
        for number in 0..20 {
            let bearer = format!("emulated-{number}");
            let credentials = issued(authority(), Role::Slave, &bearer);
            let (connected, accepted) =
                tokio::join!(quic.slave.connect_as(&credentials, quic.address, master()), quic.accept());
            assert_eq!(accepted.peer().name.as_str(), bearer);
            kept.push((connected.unwrap(), accepted));
        }
    });
}

#[test]
fn a_network_that_goes_dark_is_a_loss_at_both_ends() {
    run::<Quic>(async |_: &Quic| {
        let settings = Settings {
            idle_timeout: Duration::from_millis(600),
            keep_alive: Duration::from_millis(150),
            ..Settings::default()
        };
        let quic = Quic::with(&settings);
        let relay = Relay::start(quic.address, Pass::Everything).await;
        let (connected, accepted) = tokio::join!(quic.slave.connect(relay.address, master()), quic.accept());
        let ((mut send, mut receive), (_send, mut accepted)) = (connected.unwrap().split(), accepted.split());
        send.send(b"light").await.unwrap();
        assert_eq!(accepted.receive().await.unwrap(), b"light");
        relay.dark.store(true, Ordering::SeqCst);
        assert!(matches!(receive.receive().await, Err(Closed::Lost(_))));
        assert!(matches!(accepted.receive().await, Err(Closed::Lost(_))));
    });
}

/// Who was killed says nothing. Who has its certificate and was started in its place does.
#[test]
fn a_peer_that_was_killed_and_started_again_is_known_to_have_been() {
    run::<Quic>(async |quic: &Quic| {
        let settings = Settings { idle_timeout: Duration::from_secs(3600), ..Settings::default() };
        let credentials = issued(authority(), Role::Master, "m");
        let start = || Endpoint::bind(ANY_PORT, &credentials, &settings).unwrap();
        let (killed, again) = (start(), start());
        let mut listener = killed.listen(&[Role::Slave]);
        let relay = Relay::start(killed.local_address().unwrap(), Pass::Everything).await;
        let (connected, accepted) =
            tokio::join!(quic.slave.connect(relay.address, master()), listener.accept());
        let (mut send, mut receive) = connected.unwrap().split();
        let _accepted = accepted.unwrap().unwrap();
        relay.lead_to(again.local_address().unwrap()).await;
        // An acknowledgement may have gone there, and been answered, before.
        let _sent = send.send(b"anybody there?").await;
        let closed = tokio::time::timeout(Duration::from_secs(10), receive.receive()).await;
        let Ok(Err(Closed::Lost(cause))) = closed else { panic!("{closed:?}") };
        assert!(cause.as_str().contains("it has restarted"), "{cause}");
    });
}

/// Who is killed within a handshake is not waited for: it is begun again, with whoever was started in its place.
#[test]
fn a_peer_that_was_killed_within_a_handshake_is_dialled_again() {
    run::<Quic>(async |quic: &Quic| {
        let credentials = issued(authority(), Role::Master, "m");
        let mut dialling = JoinSet::new();
        // Nothing of what it said arrives, or its first packet, or its first few.
        for answers in 0..=4 {
            let [killed, again] =
                [(); 2].map(|()| Endpoint::bind(ANY_PORT, &credentials, &Settings::default()).unwrap());
            let then = again.local_address().unwrap();
            let relay = Relay::start(killed.local_address().unwrap(), Pass::Few { answers, then }).await;
            let (slave, mut listening) = (quic.slave.clone(), JoinSet::new());
            for endpoint in [killed, again] {
                let mut listener = endpoint.listen(&[Role::Slave]);
                listening.spawn(async move {
                    let mut accepted = Vec::new();
                    while let Some(next) = listener.accept().await {
                        accepted.push(next);
                    }
                });
            }
            dialling.spawn(async move {
                let connected = slave.connect(relay.address, master()).await;
                drop((relay, listening));
                (answers, connected)
            });
        }
        for (answers, connected) in dialling.join_all().await {
            assert!(connected.is_ok(), "{answers} packets had come: {connected:?}");
        }
    });
}

/// Who is refused is told so, although it has begun anew meanwhile and is not answered.
#[test]
fn a_refusal_that_took_its_time_is_told() {
    run::<Quic>(async |quic: &Quic| {
        let busy = bare_master();
        let address = busy.local_addr().unwrap();
        let refusing = async {
            let met = busy.accept().await.unwrap().await.unwrap();
            let again = busy.accept().await.unwrap();
            met.close(quinn::VarInt::from_u32(FORBIDDEN), b"not you");
            again
        };
        let (connected, _never_answered) = tokio::join!(quic.slave.connect(address, master()), refusing);
        let error = connected.unwrap_err();
        assert!(matches!(&error, ConnectError::Refused { .. }), "{error}");
        assert!(error.to_string().ends_with("not you"), "{error}");
    });
}

#[test]
fn an_idle_session_is_kept_alive() {
    run::<Quic>(async |_: &Quic| {
        let settings = Settings {
            idle_timeout: Duration::from_millis(600),
            keep_alive: Duration::from_millis(100),
            ..Settings::default()
        };
        let quic = Quic::with(&settings);
        let (connected, accepted) = quic.pair().await;
        let ((mut send, _receive), (_send, mut accepted)) = (connected.split(), accepted.split());
        // What ends this wait is the time itself: three times what would lose a silent session.
        let quiet = tokio::time::timeout(3 * settings.idle_timeout, accepted.receive()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        send.send(b"still here").await.unwrap();
        assert_eq!(accepted.receive().await.unwrap(), b"still here");
    });
}

#[test]
fn nobody_there_is_said_in_time() {
    run::<Quic>(async |_: &Quic| {
        let settings = Settings { handshake_timeout: Duration::from_millis(300), ..Settings::default() };
        let quic = Quic::with(&settings);
        let silent = UdpSocket::bind(ANY_PORT).await.unwrap();
        let error = quic.slave.connect(silent.local_addr().unwrap(), master()).await.unwrap_err();
        assert!(matches!(error, ConnectError::NoAnswer { .. }), "{error}");
    });
}

#[test]
fn a_port_in_use_is_named() {
    run::<Quic>(async |quic: &Quic| {
        let credentials = issued(authority(), Role::Master, "m2");
        let BindError { address, .. } =
            &Endpoint::bind(quic.address, &credentials, &Settings::default()).unwrap_err();
        assert_eq!(address, &quic.address);
        let text = Endpoint::bind(quic.address, &credentials, &Settings::default()).unwrap_err().to_string();
        assert!(text.contains("another program has that port"), "{text}");
    });
}

#[test]
fn noise_disturbs_nobody() {
    run::<Quic>(async |quic: &Quic| {
        let (one, other) = quic.pair().await;
        let noise = UdpSocket::bind(ANY_PORT).await.unwrap();
        for size in [0, 1, 20, 100, 1_200, 1_400] {
            for first in [0x00, 0x40, 0xc0, 0xff] {
                let mut datagram = vec![0x5a; size];
                datagram.iter_mut().take(1).for_each(|byte| *byte = first);
                noise.send_to(&datagram, quic.address).await.unwrap();
            }
        }
        let ((mut send, _receive), (_send, mut receive)) = (one.split(), other.split());
        send.send(b"clear").await.unwrap();
        assert_eq!(receive.receive().await.unwrap(), b"clear");
        quic.pair().await;
    });
}

#[test]
fn an_endpoint_that_closes_tells_every_peer() {
    run::<Quic>(async |quic: &Quic| {
        let reason = CloseReason { code: CloseCode::Shutdown, detail: "the master is being upgraded".into() };
        let (first, second) = (quic.pair().await, quic.pair().await);
        quic.master.close(&reason);
        quic.master.idle().await;
        for (connected, accepted) in [first, second] {
            let ((_send, mut receive), (_other_send, mut accepted)) = (connected.split(), accepted.split());
            assert_eq!(receive.receive().await, Err(Closed::Peer(reason.clone())));
            assert_eq!(accepted.receive().await, Err(Closed::Local(reason.clone())));
        }
    });
}

/// Far more handshakes that never end than the listener has room for, from a forged address and from a real one:
/// somebody honest at another address is let in at once all the same.
#[test]
fn half_open_handshakes_starve_nobody() {
    run::<Quic>(async |_: &Quic| {
        let settings = Settings { handshakes_max: 32, ..Settings::default() };
        let quic = Arc::new(Quic::with(&settings));
        let attackers =
            Endpoint::bind(ANY_PORT, &issued(authority(), Role::Slave, "eve"), &settings).unwrap();
        for pass in [Pass::Nothing, Pass::Retries] {
            let relay = Relay::start(quic.address, pass).await;
            let mut flood = JoinSet::new();
            for _ in 0..500 {
                let (attackers, address) = (attackers.clone(), relay.address);
                flood.spawn(async move { attackers.connect(address, master()).await });
            }
            relay.has_passed(400).await;
            let honest = tokio::time::timeout(Duration::from_secs(5), quic.pair()).await;
            assert!(honest.is_ok(), "nobody was let in while handshakes hung ({pass:?})");
            assert!(flood.try_join_next().is_none(), "the flood was over too soon to show anything");
        }
    });
}

/// What a relay lets through to the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Everything,
    Retries,
    Nothing,
    /// So many of the server's datagrams, and then everything of another server, to which what follows goes.
    Few {
        answers: usize,
        then: SocketAddr,
    },
}

/// Between clients and a server, to which they all seem to be at one other address: passes datagrams on, or does not.
struct Relay {
    address: SocketAddr,
    back: Arc<UdpSocket>,
    dark: Arc<AtomicBool>,
    passed: tokio::sync::watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Relay {
    async fn start(server: SocketAddr, pass: Pass) -> Self {
        let front = Arc::new(UdpSocket::bind(ANY_PORT).await.unwrap());
        let back = Arc::new(UdpSocket::bind(("127.0.0.2", 0)).await.unwrap());
        back.connect(server).await.unwrap();
        let dark = Arc::new(AtomicBool::new(false));
        let (client, clients) = tokio::sync::watch::channel(None);
        let (count, passed) = tokio::sync::watch::channel(0);
        let mut tasks = JoinSet::new();
        let address = front.local_addr().unwrap();
        let here = Arc::clone(&back);
        let (there, there_back, there_dark) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&dark));
        tasks.spawn(async move {
            let mut datagram = vec![0; 65_536];
            while let Ok((size, from)) = there.recv_from(&mut datagram).await {
                client.send_replace(Some(from));
                if !there_dark.load(Ordering::SeqCst) && there_back.send(&datagram[..size]).await.is_ok() {
                    count.send_modify(|passed| *passed += 1);
                }
            }
        });
        let here_dark = Arc::clone(&dark);
        tasks.spawn(async move {
            let mut datagram = vec![0; 65_536];
            let mut passed = 0;
            while let Ok((size, from)) = here.recv_from(&mut datagram).await {
                let passes = match pass {
                    Pass::Everything => true,
                    // A long header of type 3 (RFC 9000, 17.2.5).
                    Pass::Retries => datagram[0] & 0xf0 == 0xf0,
                    Pass::Nothing => false,
                    Pass::Few { answers, then } => {
                        if from != then && passed == answers {
                            here.connect(then).await.unwrap();
                        }
                        passed += 1;
                        from == then || passed <= answers
                    }
                };
                let client = *clients.borrow();
                if let Some(client) = client.filter(|_| passes && !here_dark.load(Ordering::SeqCst)) {
                    let _gone = front.send_to(&datagram[..size], client).await;
                }
            }
        });
        Self { address, back, dark, passed, _tasks: tasks }
    }

    /// Passes on to another server from now on.
    async fn lead_to(&self, server: SocketAddr) {
        self.back.connect(server).await.unwrap();
    }

    /// Waits until so many datagrams have gone to the server.
    async fn has_passed(&self, count: usize) {
        self.passed.clone().wait_for(|passed| *passed >= count).await.unwrap();
    }
}
