//! What networks and crowds do: silence, floods of handshakes, noise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_protocol::transport::{CloseCode, CloseReason, Closed, Peer, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_conformance::{Harness, run};
use neap_transport_quic::{BindError, ConnectError, Endpoint, Expect, Settings};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::harness::{ANY_PORT, Quic, authority, bare_master, issued, name};
use crate::relay::{Pass, Relay};

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
        relay.goes_dark();
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
        relay.lead_to(again.local_address().unwrap());
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

/// A program that ends does not wait for the peer, which hears of it all the same.
#[test]
fn a_close_is_sent_at_once_and_not_waited_for() {
    run::<Quic>(async |quic: &Quic| {
        let far = Duration::from_millis(500);
        let relay = Relay::far(quic.address, far).await;
        let reason = CloseReason { code: CloseCode::Done, detail: "all is said".into() };
        for threads in [1, 2] {
            let (address, said) = (relay.address, reason.clone());
            let program = std::thread::spawn(move || {
                let mut runtime = match threads {
                    1 => tokio::runtime::Builder::new_current_thread(),
                    threads => {
                        let mut runtime = tokio::runtime::Builder::new_multi_thread();
                        runtime.worker_threads(threads);
                        runtime
                    }
                };
                runtime.enable_all().build().unwrap().block_on(async {
                    let credentials = issued(authority(), Role::Slave, "web-1");
                    let endpoint = Endpoint::bind(ANY_PORT, &credentials, &Settings::default()).unwrap();
                    let (mut send, _receive) = endpoint.connect(address, master()).await.unwrap().split();
                    let begun = Instant::now();
                    send.close(said);
                    endpoint.flush().await;
                    begun.elapsed()
                })
                // Here the runtime ends, and with it whatever has not been sent.
            });
            let (_send, mut accepted) = quic.accept().await.split();
            assert_eq!(accepted.receive().await, Err(Closed::Peer(reason.clone())));
            let took = program.join().unwrap();
            assert!(took < far, "{took:?} were waited, and nothing could be heard before {far:?}");
        }
    });
}

/// What it costs that a close is sent once: a session that nobody has until the idle timeout is over, and no more.
#[test]
fn a_close_that_is_lost_costs_the_peer_its_idle_timeout() {
    run::<Quic>(async |_: &Quic| {
        let settings = Settings {
            idle_timeout: Duration::from_millis(600),
            keep_alive: Duration::from_millis(150),
            ..Settings::default()
        };
        let quic = Quic::with(&settings);
        let relay = Relay::start(quic.address, Pass::Everything).await;
        let (connected, accepted) = tokio::join!(quic.slave.connect(relay.address, master()), quic.accept());
        let ((mut send, _receive), (_send, mut accepted)) = (connected.unwrap().split(), accepted.split());
        relay.goes_dark();
        send.close(CloseReason { code: CloseCode::Done, detail: "nobody hears it".into() });
        quic.slave.flush().await;
        assert!(matches!(accepted.receive().await, Err(Closed::Lost(_))));
        quic.pair().await;
    });
}

/// Whoever sees packets on their way can send them again from elsewhere. A session follows its peer, and no copies.
#[test]
fn a_copy_from_elsewhere_moves_no_session() {
    run::<Quic>(async |quic: &Quic| {
        let relay = Relay::echoing(quic.address).await;
        let (connected, accepted) = tokio::join!(quic.slave.connect(relay.address, master()), quic.accept());
        let ((mut up, mut heard_below), (mut down, mut heard_above)) =
            (connected.unwrap().split(), accepted.split());
        for number in 0..50 {
            up.send(&[number]).await.unwrap();
            assert_eq!(heard_above.receive().await.unwrap(), [number]);
            down.send(&[number]).await.unwrap();
            assert_eq!(heard_below.receive().await.unwrap(), [number]);
        }
        assert!(!relay.copies_were_answered(), "the session went to where the copies came from");
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
