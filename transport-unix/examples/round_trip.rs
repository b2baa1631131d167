//! How long a small frame takes there and back over a Unix socket, for both kinds of executor:
//! `cargo run --release -p neap-transport-unix --example round_trip`.

use std::error::Error;
use std::time::{Duration, Instant};

use neap_protocol::text::Name;
use neap_protocol::transport::{ReceiveHalf, SendHalf, Session};
use neap_transport_unix::blocking::Client;
use neap_transport_unix::listener::Listener;
use neap_transport_unix::{Token, connect};

const ROUNDS: usize = 20_000;
const FRAME: [u8; 100] = [7; 100];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("executors.sock");
    let mut listener = Listener::bind(&path, Name::new("slave")?, |_, _| true)?;
    let slave = tokio::spawn(async move {
        while let Ok(Ok(session)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut send, mut receive) = session.split();
                while let Ok(frame) = receive.receive().await {
                    if send.send(&frame).await.is_err() {
                        break;
                    }
                }
            });
        }
    });

    let token = Token::random()?;
    let (mut send, mut receive) = connect(&path, &Name::new("async")?, &token, TIMEOUT)
        .await?
        .split();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        send.send(&FRAME).await?;
        receive.receive().await?;
        times.push(began.elapsed());
    }
    show("tokio", times);

    let times =
        tokio::task::spawn_blocking(move || blocking(&path, &token).map_err(|error| error.to_string()));
    show("blocking", times.await??);
    slave.abort();
    Ok(())
}

fn blocking(path: &std::path::Path, token: &Token) -> Result<Vec<Duration>, Box<dyn Error>> {
    let began = Instant::now();
    let mut client = Client::connect(path, &Name::new("blocking")?, token, TIMEOUT)?;
    println!("blocking: connected within {:?}", began.elapsed());
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        client.send(&FRAME)?;
        client.receive()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn show(kind: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100];
    println!(
        "{kind}: {ROUNDS} round trips of 100 bytes: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
}
