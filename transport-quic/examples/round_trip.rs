//! How long a small frame takes there and back over QUIC on the loopback, what a session costs to make, and how many
//! frames go one way: `cargo run --release -p neap-transport-quic --example round_trip`.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use neap_protocol::text::Name;
use neap_protocol::transport::{ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, Endpoint, Expect, Settings};

const ROUNDS: usize = 20_000;
const SESSIONS: usize = 500;
const ONE_WAY: usize = 500_000;
const FRAME: [u8; 100] = [7; 100];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::create(&Name::new("example")?)?;
    let credentials = |role, name| -> Result<Credentials, Box<dyn Error>> {
        let issued = authority.issue(role, &Name::new(name)?, VALIDITY)?;
        let (certificate, key) = (&issued.certificate_pem, &issued.key_pem);
        Ok(Credentials::from_pem(
            authority.certificate_pem(),
            certificate,
            key,
        )?)
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings = Settings::default();
    let master = Endpoint::bind(any, &credentials(Role::Master, "m")?, &settings)?;
    let slave = Endpoint::bind(any, &credentials(Role::Slave, "s")?, &settings)?;
    let address = master.local_address()?;
    let mut listener = master.listen(&[Role::Slave]);
    tokio::spawn(async move {
        while let Some(accepted) = listener.accept().await {
            if let Ok(session) = accepted {
                tokio::spawn(echo(session));
            }
        }
    });

    let session = slave.connect(address, Expect::role(Role::Master)).await?;
    let (mut send, mut receive) = session.split();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        send.send(&FRAME).await?;
        receive.receive().await?;
        times.push(began.elapsed());
    }
    show(&format!("{ROUNDS} round trips of 100 bytes"), times);

    let began = Instant::now();
    let reader = tokio::spawn(async move {
        for _ in 0..ONE_WAY {
            receive.receive().await?;
        }
        Ok::<_, neap_protocol::transport::Closed>(receive)
    });
    for _ in 0..ONE_WAY {
        send.send(&FRAME).await?;
    }
    let _receive = reader.await??;
    let each = began.elapsed().as_secs_f64();
    println!(
        "{ONE_WAY} frames of 100 bytes there and back, side by side: {:.0}/s",
        ONE_WAY as f64 / each
    );

    let began = Instant::now();
    send.finish().await?;
    println!("finish: {:?}", began.elapsed());

    let mut times = Vec::with_capacity(SESSIONS);
    let mut kept = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let began = Instant::now();
        kept.push(slave.connect(address, Expect::role(Role::Master)).await?);
        times.push(began.elapsed());
    }
    show(&format!("{SESSIONS} sessions made, one after another"), times);
    Ok(())
}

async fn echo(session: impl Session) {
    let (mut send, mut receive) = session.split();
    while let Ok(frame) = receive.receive().await {
        if send.send(&frame).await.is_err() {
            return;
        }
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100];
    println!("{what}: p50 {:?}, p99 {:?}", at(50), at(99));
}
