//! The blocking client against the slave's side.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::time::Duration;

use neap_protocol::transport::{
    CloseCode, CloseReason, Closed, FRAME_SIZE_MAX, Peer, ReceiveHalf, Role, SendError, SendHalf, Session,
};
use neap_transport_conformance::run;
use neap_transport_unix::blocking::Client;
use neap_transport_unix::{ConnectError, Token, UnixSession};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::harness::{TIMEOUT, Unix, name};

/// An executor that runs `life` on a thread of its own, and the slave's end.
async fn executor<T: Send + 'static>(
    unix: &Unix,
    life: impl FnOnce(Client) -> T + Send + 'static,
) -> (tokio::task::JoinHandle<T>, UnixSession) {
    let (path, token) = (unix.path(), unix.token.clone());
    let life = tokio::task::spawn_blocking(move || {
        life(Client::connect(&path, &name("default"), &token, TIMEOUT).unwrap())
    });
    (life, unix.accept().await.unwrap())
}

fn reason(detail: &str) -> CloseReason {
    CloseReason { code: CloseCode::Shutdown, detail: detail.into() }
}

#[test]
fn frames_of_every_size_go_there_and_back() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, |mut client| {
            let web = Peer { role: Role::Slave, name: name("web-1") };
            assert_eq!(client.peer(), &web);
            loop {
                match client.receive() {
                    Ok(frame) => client.send(&frame).unwrap(),
                    Err(closed) => break (closed, client.finish(), client.send(b"more")),
                }
            }
        })
        .await;
        let (mut send, mut receive) = slave.split();
        for size in [1, 3, 4, 5, 16_384, 100_000, FRAME_SIZE_MAX] {
            let frame = vec![u8::try_from(size % 251).unwrap(); size];
            send.send(&frame).await.unwrap();
            assert!(receive.receive().await.unwrap() == frame, "{size}");
        }
        send.finish().await.unwrap();
        assert_eq!(receive.receive().await, Err(Closed::Finished));
        let more = Err(SendError::Closed(Closed::Finished));
        assert_eq!(life.await.unwrap(), (Closed::Finished, Ok(()), more));
    });
}

#[test]
fn poll_and_try_receive_go_together() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, |mut client| {
            assert_eq!(client.try_receive(), Ok(None));
            client.send(b"ready").unwrap();
            let mut received = Vec::new();
            while received.len() < 3 {
                let mut waiting = [rustix::event::PollFd::new(&client, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut waiting, None).unwrap();
                while let Some(frame) = client.try_receive().unwrap() {
                    received.push(frame);
                }
            }
            let _: std::os::fd::BorrowedFd<'_> = client.as_fd();
            received
        })
        .await;
        let (mut send, mut receive) = slave.split();
        assert_eq!(receive.receive().await.unwrap(), b"ready");
        for frame in [b"one".as_slice(), b"two", b"three"] {
            send.send(frame).await.unwrap();
        }
        assert_eq!(life.await.unwrap(), [b"one".as_slice(), b"two", b"three"]);
    });
}

#[test]
fn a_close_says_why_both_ways() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, |client| client.close(&reason("done here"))).await;
        let (_send, mut receive) = slave.split();
        assert_eq!(receive.receive().await, Err(Closed::Peer(reason("done here"))));
        life.await.unwrap();

        let (life, slave) = executor(unix, |mut client| (client.receive(), client.send(b"x"))).await;
        let (mut send, _receive) = slave.split();
        send.close(reason("the slave is leaving"));
        let closed = Closed::Peer(reason("the slave is leaving"));
        assert_eq!(life.await.unwrap(), (Err(closed.clone()), Err(SendError::Closed(closed))));
    });
}

#[test]
fn a_death_is_a_loss_both_ways() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, drop).await;
        let (_send, mut receive) = slave.split();
        assert!(matches!(receive.receive().await, Err(Closed::Lost(_))));
        life.await.unwrap();

        let (life, slave) = executor(unix, |mut client| (client.receive(), client.receive())).await;
        drop(slave);
        let (first, second) = life.await.unwrap();
        assert!(matches!(first, Err(Closed::Lost(_))), "{first:?}");
        assert_eq!(first, second);
    });
}

#[test]
fn a_slave_that_does_not_read_is_not_waited_for_longer_than_said() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, |mut client| {
            client.set_send_timeout(Some(Duration::from_millis(200))).unwrap();
            let refused = loop {
                if let Err(error) = client.send(&[0; 50_000]) {
                    break error;
                }
            };
            (refused.clone(), client.send(b"x") == Err(refused))
        })
        .await;
        let (error, same_again) = life.await.unwrap();
        assert!(matches!(error, SendError::Closed(Closed::Lost(_))), "{error:?}");
        assert!(same_again);
        drop(slave);
    });
}

#[test]
fn bad_frames_are_refused_at_both_ends() {
    run::<Unix>(async |unix: &Unix| {
        let (life, slave) = executor(unix, |mut client| {
            let size = FRAME_SIZE_MAX + 1;
            assert_eq!(client.send(&vec![0; size]), Err(SendError::TooLarge { size }));
            assert_eq!(client.send(b""), Err(SendError::Empty));
            client.send(b"still here").unwrap();
        })
        .await;
        let (_send, mut receive) = slave.split();
        assert_eq!(receive.receive().await.unwrap(), b"still here");
        life.await.unwrap();
    });
}

#[test]
fn a_wrong_token_is_told_so() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.path();
        let refused = tokio::task::spawn_blocking(move || {
            Client::connect(&path, &name("default"), &Token::random().unwrap(), TIMEOUT).unwrap_err()
        });
        assert!(unix.accept().await.is_err());
        let error = refused.await.unwrap();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("token"), "{error}");
    });
}

#[test]
fn a_slave_that_does_not_answer_is_not_waited_for() {
    run::<Unix>(async |unix: &Unix| {
        let path = unix.directory.path().join("mute.sock");
        let _mute = UnixListener::bind(&path).unwrap();
        let refused = tokio::task::spawn_blocking(move || {
            let timeout = Duration::from_millis(100);
            Client::connect(&path, &name("default"), &Token::random().unwrap(), timeout).unwrap_err()
        });
        let error = refused.await.unwrap();
        assert!(matches!(error, ConnectError::NoAnswer { .. }), "{error}");
    });
}

/// A slave that was stopped: whoever was given up before has filled its queue.
#[test]
fn a_slave_that_does_not_accept_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stopped.sock");
    let stopped = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&stopped, 0).unwrap();
    let address = SocketAddrUnix::new(&path).unwrap();
    let mut queue = Vec::new();
    let full = loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        if let Err(error) = rustix::net::connect(&socket, &address) {
            break error;
        }
        queue.push(socket);
    };
    assert_eq!(full, Errno::AGAIN);

    let (told, outcome) = mpsc::channel();
    let connecting = path.clone();
    std::thread::spawn(move || {
        let timeout = Duration::from_millis(200);
        let connected = Client::connect(&connecting, &name("default"), &Token::random().unwrap(), timeout);
        told.send(connected).unwrap();
    });
    let error = outcome.recv_timeout(TIMEOUT).expect("it waits for ever").unwrap_err();
    assert!(matches!(error, ConnectError::NoAnswer { .. }), "{error}");
    let expected = format!(
        "the slave at {} did not answer: not within 200ms; if it is stopped, or hangs, continue it or start it again",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
}
