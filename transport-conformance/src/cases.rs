//! The cases of the suite: one function a promise of the contract. [`suite!`](crate::suite) makes tests of them.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use neap_protocol::transport::{
    CloseCode, CloseReason, Closed, FRAME_SIZE_MAX, ReceiveHalf, SendError, SendHalf, Session,
};
use tokio::sync::watch;
use tokio::time::timeout;

pub use crate::random::random_lives_keep_the_contract;
use crate::{Harness, LetIn, OnTheMove, STALL};

/// Less than any idle timeout or keep-alive would need to find out.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Frames of every kind of size arrive as they were sent.
pub async fn frames_arrive_whole_and_in_order<H: Harness>(harness: &H) {
    let sizes =
        [1, 2, 3, 4, 5, 127, 1_200, 4_096, 65_535, 65_536, 65_537, FRAME_SIZE_MAX - 1, FRAME_SIZE_MAX];
    let (one, other) = harness.pair().await;
    assert_ne!(one.peer(), other.peer(), "each end knows the other, not itself");
    let (mut send, _keep) = one.split();
    let sender = tokio::spawn(async move {
        for (number, size) in sizes.into_iter().chain([1; 500]).enumerate() {
            send.send(&frame(number, size)).await.unwrap();
        }
        send.finish().await
    });
    let (_keep_other, mut receive) = other.split();
    for (number, size) in sizes.into_iter().chain([1; 500]).enumerate() {
        let received = receive.receive().await.unwrap();
        assert!(received == frame(number, size), "frame {number} of {size} bytes has changed");
    }
    assert_eq!(receive.receive().await, Err(Closed::Finished));
    assert_eq!(sender.await.unwrap(), Ok(()));
}

/// Neither direction waits for the other.
pub async fn both_directions_go_at_once<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ends = [one, other].map(|session| {
        tokio::spawn(async move {
            let (mut send, mut receive) = session.split();
            let sender = tokio::spawn(async move {
                for number in 0..200 {
                    send.send(&frame(number, 20_000)).await.unwrap();
                }
                send.finish().await.unwrap();
                send
            });
            for number in 0..200 {
                assert!(receive.receive().await.unwrap() == frame(number, 20_000));
            }
            assert_eq!(receive.receive().await, Err(Closed::Finished));
            (sender.await.unwrap(), receive)
        })
    });
    for end in ends {
        end.await.unwrap();
    }
}

/// The sender refuses a frame over the limit, and nothing of it is sent.
pub async fn a_frame_too_large_is_refused_and_the_session_goes_on<H: Harness>(harness: &H) {
    let size = FRAME_SIZE_MAX + 1;
    refused_at_the_sender(harness, &vec![7; size], SendError::TooLarge { size }).await;
}

/// The sender refuses an empty frame, and nothing is sent.
pub async fn an_empty_frame_is_refused_and_the_session_goes_on<H: Harness>(harness: &H) {
    refused_at_the_sender(harness, &[], SendError::Empty).await;
}

async fn refused_at_the_sender<H: Harness>(harness: &H, bad: &[u8], error: SendError) {
    let (one, other) = harness.pair().await;
    let ((mut send, _receive), (_send, mut receive)) = (one.split(), other.split());
    assert_eq!(send.send(bad).await, Err(error));
    send.send(b"still here").await.unwrap();
    assert_eq!(receive.receive().await.unwrap(), b"still here");
}

/// A header over the limit ends the session before a byte of the frame is waited for.
pub async fn a_claim_of_too_large_a_frame_ends_the_session<H: Harness>(harness: &H) {
    let size = u32::try_from(FRAME_SIZE_MAX + 1).unwrap();
    violates(harness, &size.to_be_bytes()).await;
}

/// A header of no bytes ends the session.
pub async fn an_empty_frame_received_ends_the_session<H: Harness>(harness: &H) {
    violates(harness, &0_u32.to_be_bytes()).await;
}

/// What is no frame at all ends the session.
pub async fn garbage_ends_the_session<H: Harness>(harness: &H) {
    violates(harness, b"GET / HTTP/1.1\r\nHost: master\r\n\r\n").await;
    violates(harness, &[0xff; 64]).await;
}

/// A correct frame, then `bytes`: the frame arrives, the session ends for a violation, and stays so.
async fn violates<H: Harness>(harness: &H, bytes: &[u8]) {
    let Some((mut raw, session)) = harness.raw().await else {
        return;
    };
    let (mut send, mut receive) = session.split();
    H::write_raw(&mut raw, &[0, 0, 0, 2, b'o', b'k']).await;
    assert_eq!(receive.receive().await.unwrap(), b"ok");
    H::write_raw(&mut raw, bytes).await;
    let closed = receive.receive().await.unwrap_err();
    assert!(matches!(closed, Closed::Violation(_)), "{closed:?}");
    assert_eq!(receive.receive().await, Err(closed.clone()));
    assert_eq!(send.send(b"x").await, Err(SendError::Closed(closed)));
}

/// Half a frame and then nothing is not a frame.
pub async fn a_frame_cut_short_is_a_loss<H: Harness>(harness: &H) {
    for bytes in [&[0, 0][..], &[0, 0, 0, 9], &[0, 0, 0, 9, 1, 2, 3]] {
        let Some((mut raw, session)) = harness.raw().await else {
            return;
        };
        let (_send, mut receive) = session.split();
        H::write_raw(&mut raw, bytes).await;
        drop(raw);
        let closed = receive.receive().await.unwrap_err();
        assert!(matches!(closed, Closed::Lost(_)), "{closed:?}");
    }
}

/// `finish` ends one direction; the other carries on, and finishes too.
pub async fn one_direction_finishes_and_the_other_goes_on<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut one_send, mut one_receive), (mut other_send, mut other_receive)) = (one.split(), other.split());
    one_send.send(b"the last").await.unwrap();
    one_send.finish().await.unwrap();
    assert_eq!(one_send.send(b"one more").await, Err(SendError::Closed(Closed::Finished)));
    assert_eq!(other_receive.receive().await.unwrap(), b"the last");
    assert_eq!(other_receive.receive().await, Err(Closed::Finished));
    for number in 0..100 {
        other_send.send(&frame(number, 1_000)).await.unwrap();
        assert!(one_receive.receive().await.unwrap() == frame(number, 1_000));
    }
    other_send.finish().await.unwrap();
    assert_eq!(one_receive.receive().await, Err(Closed::Finished));
}

/// After an orderly end nothing is lost, even if the reader comes late.
pub async fn what_was_finished_is_delivered_after_the_peer_has_gone<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let (mut send, receive) = one.split();
    for number in 0..50 {
        send.send(&frame(number, 1_000)).await.unwrap();
    }
    send.finish().await.unwrap();
    drop((send, receive));
    let (mut other_send, mut receive) = other.split();
    // That the peer has gone is seen here, before anything is read.
    while other_send.send(&[0; 1_000]).await.is_ok() {}
    for number in 0..50 {
        assert!(receive.receive().await.unwrap() == frame(number, 1_000));
    }
    assert_eq!(receive.receive().await, Err(Closed::Finished));
}

/// How it ended is answered the same for ever.
pub async fn an_end_is_final<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut send, _one_receive), (mut other_send, mut receive)) = (one.split(), other.split());
    send.finish().await.unwrap();
    assert_eq!(receive.receive().await, Err(Closed::Finished));
    other_send.close(reason(CloseCode::Shutdown, "later"));
    for _ in 0..3 {
        assert_eq!(receive.receive().await, Err(Closed::Finished));
    }
}

/// A peer that disappears with both halves is a loss, not an end.
pub async fn a_dropped_peer_is_a_loss<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let (mut send, mut receive) = other.split();
    let waiting = tokio::spawn(async move { receive.receive().await });
    drop(one.split());
    let closed = waiting.await.unwrap().unwrap_err();
    assert!(matches!(closed, Closed::Lost(_)), "{closed:?}");
    let error = sends_until_refused(&mut send).await;
    assert!(matches!(error, SendError::Closed(Closed::Lost(_))), "{error:?}");
}

/// A sending half that is dropped without `finish` has not said everything.
pub async fn a_dropped_sending_half_is_a_loss<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((send, _one_receive), (_other_send, mut receive)) = (one.split(), other.split());
    drop(send);
    let closed = receive.receive().await.unwrap_err();
    assert!(matches!(closed, Closed::Lost(_)), "{closed:?}");
}

/// Whoever sends to a half that nobody holds any more is told so, and does not wait for ever.
pub async fn a_dropped_receiving_half_ends_the_sender<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut send, _one_receive), (_other_send, receive)) = (one.split(), other.split());
    drop(receive);
    let error = sends_until_refused(&mut send).await;
    assert!(matches!(error, SendError::Closed(Closed::Lost(_))), "{error:?}");
}

/// Every code, and a detail of the greatest length, arrive at the other end; this end knows that it was itself.
pub async fn a_close_says_why<H: Harness>(harness: &H) {
    let long = "é".repeat(512);
    for (place, code) in CloseCode::ALL.into_iter().enumerate() {
        let detail = ["", "a newer session took over", &long][place % 3];
        let (one, other) = harness.pair().await;
        let ((mut send, mut one_receive), (mut other_send, mut receive)) = (one.split(), other.split());
        send.close(reason(code, detail));
        assert_eq!(receive.receive().await, Err(Closed::Peer(reason(code, detail))));
        assert_eq!(one_receive.receive().await, Err(Closed::Local(reason(code, detail))));
        let local = SendError::Closed(Closed::Local(reason(code, detail)));
        assert_eq!(send.send(b"x").await, Err(local));
        let error = sends_until_refused(&mut other_send).await;
        assert_eq!(error, SendError::Closed(Closed::Peer(reason(code, detail))));
    }
}

/// Whoever parts is heard to the end, and why it parted, however late the peer reads; what a peer has said that it
/// does not read is nobody's any more.
pub async fn a_parting_comes_after_what_was_said<H: Harness>(harness: &H) {
    let long = "é".repeat(512);
    for (place, code) in CloseCode::ALL.into_iter().enumerate() {
        let why = reason(code, ["", "the slave was told to end", &long][place % 3]);
        let (one, other) = harness.pair().await;
        let ((mut send, mut one_receive), (mut other_send, mut receive)) = (one.split(), other.split());
        for number in 0..50 {
            send.send(&frame(number, 1_000)).await.unwrap();
        }
        other_send.send(b"unread").await.unwrap();
        let parting = why.clone();
        let parted = tokio::spawn(async move {
            let parted = send.part(parting).await;
            // Too late to change anything.
            send.close(reason(CloseCode::TooSlow, "no patience"));
            (parted, send)
        });
        for number in 0..50 {
            assert!(receive.receive().await.unwrap() == frame(number, 1_000));
        }
        assert_eq!(receive.receive().await, Err(Closed::Peer(why.clone())));
        let (parted, mut send) = parted.await.unwrap();
        assert_eq!(parted, Ok(()));
        assert_eq!(send.send(b"x").await, Err(SendError::Closed(Closed::Local(why.clone()))));
        let here = loop {
            if let Err(closed) = one_receive.receive().await {
                break closed;
            }
        };
        assert_eq!(here, Closed::Local(why));
        let error = sends_until_refused(&mut other_send).await;
        assert!(matches!(error, SendError::Closed(Closed::Peer(_) | Closed::Lost(_))), "{error:?}");
    }
}

/// A close reaches every half that waits: both readers, and a sender whose peer does not read.
pub async fn a_close_wakes_both_ends<H: Harness>(harness: &H) {
    let why = reason(CloseCode::Replaced, "a newer session took over");
    let (one, other) = harness.pair().await;
    let ((mut send, mut one_receive), (_other_send, mut receive)) = (one.split(), other.split());
    let here = tokio::spawn(async move { one_receive.receive().await });
    let there = tokio::spawn(async move { receive.receive().await });
    send.close(why.clone());
    assert_eq!(here.await.unwrap(), Err(Closed::Local(why.clone())));
    assert_eq!(there.await.unwrap(), Err(Closed::Peer(why.clone())));

    let (one, other) = harness.pair().await;
    let ((mut send, _unread), (mut other_send, mut receive)) = (one.split(), other.split());
    let (count, mut sent) = watch::channel(0);
    let stuck = tokio::spawn(async move {
        loop {
            match other_send.send(&[1; 1_000]).await {
                Ok(()) => count.send_modify(|sent| *sent += 1),
                Err(error) => return error,
            };
        }
    });
    stalled(&mut sent).await;
    send.close(why.clone());
    assert_eq!(receive.receive().await, Err(Closed::Peer(why)));
    assert!(matches!(stuck.await.unwrap(), SendError::Closed(_)));
}

/// A close, and a drop, are heard at once, also right after more than the network takes at a time.
pub async fn an_end_is_heard_after_a_burst<H: Harness>(harness: &H) {
    let why = reason(CloseCode::Shutdown, "no time to lose");
    for round in 0..40 {
        let (one, other) = harness.pair().await;
        let ((mut send, one_receive), (_other_send, mut receive)) = (one.split(), other.split());
        let reader = tokio::spawn(async move {
            loop {
                if let Err(closed) = receive.receive().await {
                    return closed;
                }
            }
        });
        for number in 0..20 {
            send.send(&frame(number, 10_000)).await.unwrap();
        }
        let closes = round % 2 == 0;
        if closes {
            send.close(why.clone());
        }
        drop((send, one_receive));
        let heard = timeout(HEARD_WITHIN, reader).await.expect("the end was not heard in time").unwrap();
        match closes {
            true => assert_eq!(heard, Closed::Peer(why.clone())),
            false => assert!(matches!(heard, Closed::Lost(_)), "{heard:?}"),
        }
    }
}

/// `receive` may be dropped at any await.
pub async fn a_cancelled_receive_loses_nothing<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut send, _one_receive), (_other_send, mut receive)) = (one.split(), other.split());
    let sender = tokio::spawn(async move {
        for number in 0..300 {
            send.send(&frame(number, 7_000)).await.unwrap();
        }
        send.finish().await.unwrap();
        send
    });
    for number in 0..300 {
        let received = loop {
            if let Some(received) = poll_once(receive.receive()).await {
                break received;
            }
            tokio::task::yield_now().await;
        };
        assert!(received.unwrap() == frame(number, 7_000), "frame {number} has changed");
    }
    sender.await.unwrap();
}

/// A sender of 64 MiB to a reader that does not read waits within the transport's bound, and nothing is lost.
pub async fn a_slow_reader_makes_the_sender_wait<H: Harness>(harness: &H) {
    const FRAME_SIZE: usize = 64 * 1024;
    const FRAMES: usize = 1024;
    let (one, other) = harness.pair().await;
    let ((mut send, _one_receive), (_other_send, mut receive)) = (one.split(), other.split());
    let (count, mut accepted) = watch::channel(0);
    let sender = tokio::spawn(async move {
        for number in 0..FRAMES {
            send.send(&frame(number, FRAME_SIZE)).await.unwrap();
            count.send_modify(|accepted| *accepted += 1);
        }
        send.finish().await
    });
    let at_stall = stalled(&mut accepted).await;
    assert!(at_stall < FRAMES, "nobody reads, and everything was accepted");
    assert!(at_stall > 0, "nothing was accepted");
    let most = at_stall * FRAME_SIZE;
    assert!(most <= H::UNREAD_MAX, "{most} bytes were accepted unread, more than {}", H::UNREAD_MAX);
    for number in 0..FRAMES {
        // The count may lag behind by the frame that is read here.
        let unread = accepted.borrow().saturating_sub(number) * FRAME_SIZE;
        assert!(unread <= H::UNREAD_MAX, "{unread} bytes wait unread, more than {}", H::UNREAD_MAX);
        assert!(receive.receive().await.unwrap() == frame(number, FRAME_SIZE), "frame {number} has changed");
    }
    assert_eq!(receive.receive().await, Err(Closed::Finished));
    assert_eq!(sender.await.unwrap(), Ok(()));
}

/// Many sessions at once, of which one is stuck: the others do not notice.
pub async fn a_stuck_session_disturbs_no_other<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut stuck_send, _keep), (_keep_too, mut unread)) = (one.split(), other.split());
    let (count, mut sent) = watch::channel(0);
    let stuck = tokio::spawn(async move {
        while stuck_send.send(&[9; 10_000]).await.is_ok() {
            count.send_modify(|sent| *sent += 1);
        }
    });
    stalled(&mut sent).await;
    let mut lives = Vec::new();
    for _ in 0..50 {
        let (one, other) = harness.pair().await;
        lives.push(tokio::spawn(echo(other)));
        lives.push(tokio::spawn(ask(one)));
    }
    for life in lives {
        life.await.unwrap();
    }
    assert!(!stuck.is_finished());
    assert_eq!(unread.receive().await.unwrap(), [9; 10_000]);
    drop((unread, _keep, _keep_too));
    stuck.await.unwrap();
}

async fn echo<S: Session>(session: S) {
    let (mut send, mut receive) = session.split();
    while let Ok(frame) = receive.receive().await {
        send.send(&frame).await.unwrap();
    }
    send.finish().await.unwrap();
}

async fn ask<S: Session>(session: S) {
    let (mut send, mut receive) = session.split();
    for number in 0..100 {
        send.send(&frame(number, 300)).await.unwrap();
        assert!(receive.receive().await.unwrap() == frame(number, 300));
    }
    send.finish().await.unwrap();
    assert_eq!(receive.receive().await, Err(Closed::Finished));
}

/// A router between both ends forgets how it translated an address: what the accepting end says reaches nobody until the
/// other is heard again, and then arrives. Both go on as if nothing had been, each time.
pub async fn a_session_goes_on_from_another_address<H: Harness>(harness: &H) {
    let Some(OnTheMove { connected, accepted, mut move_on, healed_within }) = harness.on_the_move().await
    else {
        return;
    };
    let ((mut up, mut heard_below), (mut down, mut heard_above)) = (connected.split(), accepted.split());
    for number in 0..6 {
        // By turns: nobody says anything before the other could, or the end that has moved says something at once.
        move_on();
        if number % 2 == 1 {
            up.send(&frame(number, 5_000)).await.unwrap();
        }
        down.send(&frame(number, 20_000)).await.unwrap();
        let healed = timeout(healed_within, heard_below.receive()).await;
        let Ok(received) = healed else {
            panic!("nothing was heard within {healed_within:?} of move {number}")
        };
        assert!(received.unwrap() == frame(number, 20_000));
        if number % 2 == 0 {
            up.send(&frame(number, 5_000)).await.unwrap();
        }
        assert!(heard_above.receive().await.unwrap() == frame(number, 5_000));
    }
}

/// Nobody is let in who should not be, each is told why, and those who were in before and come after do not notice.
pub async fn impostors_are_refused_and_disturb_nobody<H: Harness>(harness: &H) {
    let (one, other) = harness.pair().await;
    let ((mut send, _one_receive), (_other_send, mut receive)) = (one.split(), other.split());
    for &impostor in H::impostors() {
        let told = harness.attempt(impostor).await;
        let told = told.unwrap_or_else(|LetIn| panic!("{impostor:?} was let in"));
        assert!(
            told.to_lowercase().contains(impostor.must_read()),
            "{impostor:?} was told {told:?}, which does not say {:?}",
            impostor.must_read()
        );
        send.send(b"here before").await.unwrap();
        assert_eq!(receive.receive().await.unwrap(), b"here before");
    }
    let (one, other) = harness.pair().await;
    tokio::join!(echo(other), ask(one));
}

/// The content of the frame of this number: its neighbours in a sequence have another.
pub(crate) fn frame(number: usize, size: usize) -> Vec<u8> {
    let mut period: [u8; 251] = std::array::from_fn(|at| u8::try_from(at).unwrap_or_default());
    period.rotate_left(number % 251);
    let mut frame = period.repeat(size / 251 + 1);
    frame.truncate(size);
    frame
}

pub(crate) fn reason(code: CloseCode, detail: &str) -> CloseReason {
    CloseReason { code, detail: detail.into() }
}

/// Sends until the session says that it has ended: the end takes its time to arrive.
async fn sends_until_refused(send: &mut impl SendHalf) -> SendError {
    loop {
        if let Err(error) = send.send(b"is anybody there?").await {
            return error;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until `count` has not moved for [`STALL`], and answers with it.
async fn stalled(count: &mut watch::Receiver<usize>) -> usize {
    while let Ok(changed) = timeout(STALL, count.changed()).await {
        changed.expect("the sender has ended instead of waiting");
    }
    *count.borrow()
}

/// Polls once and drops the future.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
