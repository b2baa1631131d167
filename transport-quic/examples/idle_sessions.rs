//! How much memory a master needs for each idle session, with a task that waits for its frames:
//! `cargo run --release -p neap-transport-quic --example idle_sessions -- 5000`. The slaves are a process of their
//! own, which this one starts.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use neap_protocol::text::Name;
use neap_protocol::transport::{ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::certificates::{Authority, VALIDITY};
use neap_transport_quic::{Credentials, Endpoint, Expect, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many slaves connect at once.
const AT_ONCE: usize = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["slaves", count, address, directory] => {
            slaves(count.parse()?, address.parse()?, Path::new(directory)).await
        }
        [count] => master(count.parse()?).await,
        _ => Err("give the number of sessions".into()),
    }
}

async fn master(count: usize) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::create(&Name::new("example")?)?;
    authority.save(directory.path())?;
    let issued = authority.issue(Role::Master, &Name::new("m")?, VALIDITY)?;
    let (certificate, key) = (&issued.certificate_pem, &issued.key_pem);
    let credentials = Credentials::from_pem(authority.certificate_pem(), certificate, key)?;
    let endpoint = Endpoint::bind(
        (Ipv4Addr::LOCALHOST, 0).into(),
        &credentials,
        &Settings::default(),
    )?;
    let mut listener = endpoint.listen(&[Role::Slave]);
    let mut child = Command::new(std::env::current_exe()?)
        .args([
            "slaves",
            &count.to_string(),
            &endpoint.local_address()?.to_string(),
        ])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    println!("slaves: {}", said.next().ok_or("the slaves died")??);

    let before = resident_kib()?;
    let began = Instant::now();
    let (heard, mut hears) = mpsc::channel::<()>(count);
    if let Some(mut go) = child.stdin.take() {
        go.write_all(b"go\n")?;
    }
    let mut sessions = 0;
    while sessions < count {
        match listener.accept().await.ok_or("the endpoint was closed")? {
            Ok(session) => {
                sessions += 1;
                tokio::spawn(serve(session, heard.clone()));
            }
            Err(refusal) => eprintln!("{refusal}"),
        }
    }
    for _ in 0..count {
        hears.recv().await.ok_or("no session is left")?;
    }
    println!("{count} sessions, one frame each way: {:.1?}", began.elapsed());
    report("at once", before, count)?;
    // Not a wait for an event: what the handshakes left behind is given back in this time.
    tokio::time::sleep(Duration::from_secs(15)).await;
    report("15 s later", before, count)?;
    child.kill()?;
    child.wait()?;
    Ok(())
}

async fn serve(session: impl Session, heard: mpsc::Sender<()>) {
    let (mut send, mut receive) = session.split();
    while let Ok(frame) = receive.receive().await {
        if send.send(&frame).await.is_err() || heard.send(()).await.is_err() {
            return;
        }
    }
}

async fn slaves(count: usize, address: SocketAddr, directory: &Path) -> Result<(), Box<dyn Error>> {
    let authority = Authority::load(directory)?;
    let issue = |number: usize| -> Result<Credentials, Box<dyn Error>> {
        let issued = authority.issue(Role::Slave, &Name::new(&format!("s{number}"))?, VALIDITY)?;
        let (certificate, key) = (&issued.certificate_pem, &issued.key_pem);
        Ok(Credentials::from_pem(
            authority.certificate_pem(),
            certificate,
            key,
        )?)
    };
    let credentials = (0..count).map(issue).collect::<Result<Vec<_>, _>>()?;
    let endpoint = Endpoint::bind(
        (Ipv4Addr::LOCALHOST, 0).into(),
        credentials.first().ok_or("at least one")?,
        &Settings::default(),
    )?;
    println!("{count} certificates issued");
    std::io::stdin().read_line(&mut String::new())?;
    let mut connecting = JoinSet::new();
    let mut kept = Vec::with_capacity(count);
    for one in credentials {
        if connecting.len() >= AT_ONCE {
            kept.extend(connecting.join_next().await.transpose()?);
        }
        let endpoint = endpoint.clone();
        connecting.spawn(async move {
            let session = endpoint
                .connect_as(&one, address, Expect::role(Role::Master))
                .await;
            let (mut send, mut receive) = session.expect("failed to connect").split();
            send.send(&[7; 100]).await.expect("failed to send");
            receive.receive().await.expect("failed to receive");
            (send, receive)
        });
    }
    kept.extend(connecting.join_all().await);
    std::future::pending().await
}

fn report(when: &str, before: u64, count: usize) -> Result<(), Box<dyn Error>> {
    let now = resident_kib()?;
    let each = now.saturating_sub(before) as f64 / count as f64;
    println!(
        "{when}: {:.1} KiB a session ({before} KiB before, {now} KiB now)",
        each
    );
    Ok(())
}

/// The process's resident memory.
fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
