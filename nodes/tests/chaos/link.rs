//! The network between a node and the master: a relay of UDP packets that loses, delays, repeats and reorders them as
//! it is told, and translates addresses. Nodes know its address only, so that it can be cut while both ends live.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::random::Random;

/// What becomes of packets on a link. As it is made, nothing becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Nothing reaches the master.
    pub(crate) cut_up: bool,
    /// Nothing reaches the node.
    pub(crate) cut_down: bool,
    /// How many of a hundred packets are lost.
    pub(crate) lost: u64,
    /// How many of a hundred packets come twice.
    pub(crate) twice: u64,
    /// How many of a hundred packets come later than those after them.
    pub(crate) late: u64,
    /// The most milliseconds that a late packet, or the second of two, is late.
    pub(crate) late_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Up,
    Down,
}

/// Relays packets until the runtime that it was started on ends.
#[derive(Debug)]
pub(crate) struct Link {
    /// What a node takes for its master's address.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    front: UdpSocket,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// It has another port each time that it is started.
    master: SocketAddr,
    weather: Weather,
    random: Random,
    /// From each node's socket there is one of the relay's to the master, as through a router that translates addresses.
    backs: HashMap<SocketAddr, Back>,
}

/// Where a node seems to be, and what listens there.
#[derive(Debug)]
struct Back {
    socket: Arc<UdpSocket>,
    listening: AbortHandle,
}

impl Drop for Back {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Link {
    pub(crate) fn start(runtime: &Handle, master: SocketAddr, random: Random) -> Self {
        let front = runtime.block_on(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = front.local_addr().expect("its address");
        let state = Mutex::new(State { master, weather: Weather::default(), random, backs: HashMap::new() });
        let shared = Arc::new(Shared { front, state });
        runtime.spawn(relay(Arc::clone(&shared)));
        Self { address, shared }
    }

    pub(crate) fn leads_to(&self, master: SocketAddr) {
        self.shared.with(|state| state.master = master);
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.shared.with(|state| state.weather = weather);
    }

    /// The router forgets how it translated: nodes come from other ports from now on, and what is sent to where they came
    /// from reaches nobody.
    pub(crate) fn rebind(&self) {
        self.shared.with(|state| state.backs.clear());
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where this node seems to be.
    fn back_of(self: &Arc<Self>, node: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        self.with(|state| {
            let new = match state.backs.entry(node) {
                Entry::Occupied(known) => return Ok(Arc::clone(&known.get().socket)),
                Entry::Vacant(new) => new,
            };
            let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            let socket = Arc::new(UdpSocket::from_std(socket)?);
            let listening =
                tokio::spawn(return_to(Arc::clone(self), Arc::clone(&socket), node)).abort_handle();
            new.insert(Back { socket: Arc::clone(&socket), listening });
            Ok(socket)
        })
    }

    /// How late each copy of a packet comes, and where the master is.
    fn fate(&self, way: Way) -> (SocketAddr, Vec<Duration>) {
        self.with(|State { master, weather, random, .. }| {
            let cut = match way {
                Way::Up => weather.cut_up,
                Way::Down => weather.cut_down,
            };
            if cut || random.percent(weather.lost) {
                return (*master, Vec::new());
            }
            let mut late = |chance| match random.percent(chance) {
                true => Some(random.span(1..weather.late_ms.max(1) + 1)),
                false => None,
            };
            let mut copies = vec![late(weather.late).unwrap_or_default()];
            copies.extend(late(weather.twice));
            (*master, copies)
        })
    }
}

async fn relay(shared: Arc<Shared>) {
    let mut bytes = vec![0; PACKET_MAX];
    loop {
        // An error tells of an earlier packet's fate; the socket is as good as before.
        let Ok((length, node)) = shared.front.recv_from(&mut bytes).await else { continue };
        let Ok(back) = shared.back_of(node) else { continue };
        let (master, copies) = shared.fate(Way::Up);
        for late in copies {
            if late.is_zero() {
                let _lost = back.send_to(&bytes[..length], master).await;
                continue;
            }
            let (back, packet) = (Arc::clone(&back), bytes[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _lost = back.send_to(&packet, master).await;
            });
        }
    }
}

async fn return_to(shared: Arc<Shared>, back: Arc<UdpSocket>, node: SocketAddr) {
    let mut bytes = vec![0; PACKET_MAX];
    loop {
        let Ok(length) = back.recv(&mut bytes).await else { continue };
        for late in shared.fate(Way::Down).1 {
            if late.is_zero() {
                let _lost = shared.front.send_to(&bytes[..length], node).await;
                continue;
            }
            let (shared, packet) = (Arc::clone(&shared), bytes[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _lost = shared.front.send_to(&packet, node).await;
            });
        }
    }
}

/// No datagram is longer.
const PACKET_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes through of a hundred packets, each of its number.
    fn passed(weather: Weather) -> Vec<u8> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let master = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let (address, handle) = (master.local_addr().unwrap(), runtime.handle().clone());
            let start = move || Link::start(&handle, address, Random::new(1));
            let link = tokio::task::spawn_blocking(start).await.unwrap();
            link.set(weather);
            for number in 0..100 {
                node.send_to(&[number], link.address).await.unwrap();
            }
            let mut heard = Vec::new();
            let mut byte = [0];
            // The last comes on a link that does nothing, after everything that is late.
            tokio::time::sleep(Duration::from_millis(2 * weather.late_ms + 50)).await;
            link.set(Weather::default());
            node.send_to(&[100], link.address).await.unwrap();
            loop {
                let (_, back) = master.recv_from(&mut byte).await.unwrap();
                if byte == [100] {
                    // And the way back is there.
                    master.send_to(&[7], back).await.unwrap();
                    assert_eq!(node.recv(&mut byte).await.unwrap(), 1);
                    assert_eq!(byte, [7]);
                    return heard;
                }
                heard.push(byte[0]);
            }
        })
    }

    #[tokio::test]
    async fn a_node_comes_from_another_port_once_the_router_has_forgotten() {
        let master = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, handle) = (master.local_addr().unwrap(), Handle::current());
        let start = move || Link::start(&handle, address, Random::new(1));
        let link = tokio::task::spawn_blocking(start).await.unwrap();
        let mut byte = [0];
        let mut ports = [0; 3];
        for (number, port) in (0..).zip(&mut ports) {
            node.send_to(&[number], link.address).await.unwrap();
            let (_, from) = master.recv_from(&mut byte).await.unwrap();
            *port = from.port();
            if number == 1 {
                link.rebind();
                master.send_to(b"to nobody", from).await.unwrap();
            }
        }
        assert!(ports[0] == ports[1] && ports[1] != ports[2], "{ports:?}");
        master.send_to(&[7], (Ipv4Addr::LOCALHOST, ports[2])).await.unwrap();
        assert_eq!(node.recv(&mut byte).await.unwrap(), 1);
        assert_eq!(byte, [7]);
    }

    #[test]
    fn packets_pass_are_lost_come_twice_and_late() {
        let fair = Weather::default();
        assert_eq!(passed(fair), (0..100).collect::<Vec<_>>());
        assert_eq!(passed(Weather { cut_up: true, ..fair }), [0u8; 0]);
        assert_eq!(passed(Weather { cut_down: true, ..fair }).len(), 100);
        let lossy = passed(Weather { lost: 30, ..fair }).len();
        assert!((50..90).contains(&lossy), "{lossy} of 100 came through");
        let twice = passed(Weather { twice: 30, late_ms: 5, ..fair }).len();
        assert!((110..150).contains(&twice), "{twice} of 100 came through");
        let late = passed(Weather { late: 30, late_ms: 5, ..fair });
        assert!(late.len() == 100 && !late.is_sorted(), "{late:?}");
    }
}
