//! A network between clients and a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::harness::ANY_PORT;

/// What a relay lets through to the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
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
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    network: Arc<Network>,
    passed: watch::Receiver<usize>,
    tasks: JoinSet<()>,
}

struct Network {
    front: UdpSocket,
    back: Mutex<Back>,
    /// The client that was heard last.
    client: watch::Sender<Option<SocketAddr>>,
    passed: watch::Sender<usize>,
    dark: AtomicBool,
    pass: Pass,
    /// How long each datagram is under way.
    far: Duration,
    /// Whether a copy of each of a client's datagrams follows it from elsewhere.
    echo: Option<UdpSocket>,
}

/// Where clients seem to be.
struct Back {
    server: SocketAddr,
    socket: Arc<UdpSocket>,
    listening: AbortHandle,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr, pass: Pass) -> Self {
        Self::of(server, pass, Duration::ZERO, None).await
    }

    /// Everything passes, and takes so long in each direction.
    pub(crate) async fn far(server: SocketAddr, far: Duration) -> Self {
        Self::of(server, Pass::Everything, far, None).await
    }

    /// Everything passes, and somebody on the way sends a copy of what clients say from an address of its own.
    pub(crate) async fn echoing(server: SocketAddr) -> Self {
        let echo = UdpSocket::bind((ELSEWHERE, 0)).await.unwrap();
        Self::of(server, Pass::Everything, Duration::ZERO, Some(echo)).await
    }

    async fn of(server: SocketAddr, pass: Pass, far: Duration, echo: Option<UdpSocket>) -> Self {
        let front = UdpSocket::bind(ANY_PORT).await.unwrap();
        let address = front.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let socket = Arc::new(elsewhere(HERE));
        let (passed, has_passed) = watch::channel(0);
        // Of a socket that is replaced below.
        let listening = tasks.spawn(async {});
        let network = Arc::new(Network {
            front,
            back: Mutex::new(Back { server, socket, listening }),
            client: watch::Sender::new(None),
            passed,
            dark: AtomicBool::new(false),
            pass,
            far,
            echo,
        });
        tasks.spawn(Arc::clone(&network).ask());
        let mut relay = Self { address, network, passed: has_passed, tasks };
        relay.rebind(HERE);
        relay
    }

    /// Clients seem to be somewhere else from now on, and what is sent to where they seemed to be is lost.
    pub(crate) fn rebind(&mut self, address: Ipv4Addr) {
        let socket = Arc::new(elsewhere(address));
        let listening = self.tasks.spawn(Arc::clone(&self.network).answer(Arc::clone(&socket)));
        let mut back = self.network.back.lock().unwrap();
        back.listening.abort();
        (back.socket, back.listening) = (socket, listening);
    }

    /// Nothing passes any more.
    pub(crate) fn goes_dark(&self) {
        self.network.dark.store(true, Ordering::SeqCst);
    }

    /// Passes on to another server from now on.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.network.back.lock().unwrap().server = server;
    }

    /// Waits until so many datagrams have gone to the server.
    pub(crate) async fn has_passed(&self, count: usize) {
        self.passed.clone().wait_for(|passed| *passed >= count).await.unwrap();
    }

    /// Whether the server has answered to where only copies came from.
    pub(crate) fn copies_were_answered(&self) -> bool {
        let echo = self.network.echo.as_ref().expect("it echoes");
        echo.try_recv_from(&mut [0; 1]).is_ok()
    }
}

impl Network {
    fn is_dark(&self) -> bool {
        self.dark.load(Ordering::SeqCst)
    }

    /// Takes what clients say to the server.
    async fn ask(self: Arc<Self>) {
        let mut datagram = vec![0; 65_536];
        while let Ok((size, from)) = self.front.recv_from(&mut datagram).await {
            self.client.send_replace(Some(from));
            let (network, datagram) = (Arc::clone(&self), datagram[..size].to_vec());
            self.after_the_way(async move {
                if network.is_dark() {
                    return;
                }
                let (socket, server) = {
                    let back = network.back.lock().unwrap();
                    (Arc::clone(&back.socket), back.server)
                };
                if socket.send_to(&datagram, server).await.is_ok() {
                    network.passed.send_modify(|passed| *passed += 1);
                }
                if let Some(echo) = &network.echo {
                    let _lost = echo.send_to(&datagram, server).await;
                }
            })
            .await;
        }
    }

    /// Takes what the server says to `socket` to the client.
    async fn answer(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut datagram = vec![0; 65_536];
        let mut passed = 0;
        while let Ok((size, from)) = socket.recv_from(&mut datagram).await {
            let passes = match self.pass {
                Pass::Everything => from == self.server(),
                // A long header of type 3 (RFC 9000, 17.2.5).
                Pass::Retries => datagram[0] & 0xf0 == 0xf0,
                Pass::Nothing => false,
                Pass::Few { answers, then } => {
                    if from != then && passed == answers {
                        self.back.lock().unwrap().server = then;
                    }
                    passed += 1;
                    from == then || passed <= answers
                }
            };
            let client = *self.client.borrow();
            if let Some(client) = client.filter(|_| passes) {
                let (network, datagram) = (Arc::clone(&self), datagram[..size].to_vec());
                self.after_the_way(async move {
                    if !network.is_dark() {
                        let _gone = network.front.send_to(&datagram, client).await;
                    }
                })
                .await;
            }
        }
    }

    fn server(&self) -> SocketAddr {
        self.back.lock().unwrap().server
    }

    /// In order, where there is no way to go.
    async fn after_the_way(&self, arrive: impl Future<Output = ()> + Send + 'static) {
        if self.far.is_zero() {
            return arrive.await;
        }
        let far = self.far;
        tokio::spawn(async move {
            tokio::time::sleep(far).await;
            arrive.await;
        });
    }
}

/// A socket of a port that nobody has had for a while.
fn elsewhere(address: Ipv4Addr) -> UdpSocket {
    let socket = std::net::UdpSocket::bind((IpAddr::V4(address), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket).unwrap()
}

/// Where clients seem to be at first.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Another host, as its address goes.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
