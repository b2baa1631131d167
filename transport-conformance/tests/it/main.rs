//! The suite over the transport in memory, and what only that can do: cut at a given byte.

use neap_protocol::text::Name;
use neap_protocol::transport::{Closed, FRAME_SIZE_MAX, Peer, ReceiveHalf, Role, SendHalf, Session};
use neap_transport_conformance::memory::{self, CAPACITY, Direction, MemorySession};
use neap_transport_conformance::{Harness, Impostor, LetIn};

neap_transport_conformance::suite!(Memory);

struct Memory;

impl Harness for Memory {
    type Session = MemorySession;
    type Raw = ();

    const UNREAD_MAX: usize = if CAPACITY > FRAME_SIZE_MAX { CAPACITY } else { FRAME_SIZE_MAX };

    async fn start() -> Self {
        Self
    }

    async fn pair(&self) -> (MemorySession, MemorySession) {
        let (one, other, _link) = memory::pair(peer(Role::Slave, "web-1"), peer(Role::Master, "m"));
        (one, other)
    }

    async fn raw(&self) -> Option<((), MemorySession)> {
        None
    }

    async fn write_raw((): &mut (), _bytes: &[u8]) {}

    fn impostors() -> &'static [Impostor] {
        &[]
    }

    async fn attempt(&self, _impostor: Impostor) -> Result<String, LetIn> {
        Err(LetIn)
    }
}

/// Frames that the bytes before the cut cover whole arrive; the frame that the cut goes through does not.
#[test]
fn a_cut_at_any_byte_loses_a_suffix_only() {
    const FRAME: &[u8] = b"12345";
    const COST: usize = 4 + FRAME.len();
    neap_transport_conformance::run::<Memory>(async |_: &Memory| {
        for bytes in 0..=3 * COST {
            let (one, other, link) = memory::pair(peer(Role::Slave, "web-1"), peer(Role::Master, "m"));
            let ((mut send, _one_receive), (_other_send, mut receive)) = (one.split(), other.split());
            link.cut_after(Direction::FromOne, bytes);
            let mut sent = 0;
            while send.send(FRAME).await.is_ok() {
                sent += 1;
            }
            assert_eq!(sent, bytes / COST);
            for _ in 0..sent {
                assert_eq!(receive.receive().await.as_deref(), Ok(FRAME));
            }
            assert!(matches!(receive.receive().await, Err(Closed::Lost(_))));
        }
    });
}

#[test]
fn a_cut_link_is_a_loss_at_both_ends() {
    neap_transport_conformance::run::<Memory>(async |_: &Memory| {
        let (one, other, link) = memory::pair(peer(Role::Slave, "web-1"), peer(Role::Master, "m"));
        assert_eq!(one.peer(), &peer(Role::Master, "m"));
        assert_eq!(other.peer(), &peer(Role::Slave, "web-1"));
        let ((mut send, mut receive), (_other_send, mut other_receive)) = (one.split(), other.split());
        link.cut();
        assert!(matches!(receive.receive().await, Err(Closed::Lost(_))));
        assert!(matches!(other_receive.receive().await, Err(Closed::Lost(_))));
        assert!(send.finish().await.is_err());
    });
}

fn peer(role: Role, name: &str) -> Peer {
    Peer { role, name: Name::new(name).unwrap() }
}
