//! Measures launching and ending, for each means that works here:
//! `cargo run --release -p neap-process-tree --example measure [MB of ballast]`.
//!
//! Hostile: three processes that ignore SIGTERM, two of them double-forked and in sessions of their own. The ballast is
//! memory that this process holds, as a slave may, to show what a launch costs a large one.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use neap_process_tree::{Command, Means, Options, Survivors, Trees};
use rustix::fs::{FileType, Mode};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ballast_mb: usize = std::env::args().nth(1).map_or(Ok(50), |argument| argument.parse())?;
    let ballast = vec![1_u8; ballast_mb << 20];
    println!("ballast {} MB; medians, and the worst in parentheses; times in ms", ballast.len() >> 20);
    baseline()?;
    for means in Means::ALL {
        measure(means).await?;
    }
    drop(std::hint::black_box(ballast));
    Ok(())
}

fn baseline() -> Result<(), Box<dyn Error>> {
    let mut wall = Vec::new();
    let before = cpu()?;
    for _ in 0..LAUNCHES {
        let began = Instant::now();
        std::process::Command::new("/bin/true").spawn()?.wait()?;
        wall.push(began.elapsed());
    }
    let cpu = (cpu()? - before) / LAUNCHES;
    println!("std::process  `true` to its end: {}; CPU {}", summary(wall), ms(cpu));
    Ok(())
}

async fn measure(means: Means) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let state = directory.path().join("state");
    let trees = match Trees::open(Options { name: "measure".into(), state, means: Some(means) }) {
        Ok(trees) => trees,
        Err(error) => {
            println!("{:13} {error}", means.word());
            return Ok(());
        }
    };
    let (mut launched, mut ended) = (Vec::new(), Vec::new());
    let before = cpu()?;
    for _ in 0..LAUNCHES {
        let began = Instant::now();
        let tree = trees.launch(&Command::new("true", "/bin/true", directory.path()))?;
        launched.push(began.elapsed());
        tree.seen_dead().await?;
        ended.push(began.elapsed());
    }
    let cpu = (cpu()? - before) / LAUNCHES;
    let word = means.word();
    println!(
        "{word:13} launch: {}; `true` to seen dead: {}; CPU {}",
        summary(launched),
        summary(ended),
        ms(cpu)
    );
    for count in [1, 100] {
        let mut dead = Vec::new();
        for _ in 0..ROUNDS {
            dead.push(end_hostile(&trees, directory.path(), count).await?);
        }
        println!("{word:13} kill to seen dead, {count} hostile: {}", summary(dead));
    }
    Ok(())
}

async fn end_hostile(trees: &Trees, directory: &Path, count: usize) -> Result<Duration, Box<dyn Error>> {
    let ready = directory.join("ready");
    if !ready.exists() {
        rustix::fs::mknodat(rustix::fs::CWD, &ready, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    }
    let mut ready = pipe::OpenOptions::new().read_write(true).open_receiver(&ready)?;
    let mut launched = Vec::new();
    for at in 0..count {
        let command = Command::new(format!("hostile-{at}"), "/bin/sh", directory).arguments(["-c", HOSTILE]);
        launched.push(trees.launch(&command)?);
    }
    for _ in 0..count * HOSTILE_PROCESSES {
        ready.read_u8().await?;
    }
    let began = Instant::now();
    let ends: Vec<_> =
        launched.into_iter().map(|tree| tokio::spawn(async move { tree.end(None).await })).collect();
    for end in ends {
        assert_eq!(end.await??.survivors, Survivors::None);
    }
    Ok(began.elapsed())
}

/// This process's and its reaped children's time on a processor, to 10 ms.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: u64 = fields.skip(11).take(4).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let worst = times.last().copied().unwrap_or_default();
    format!("{} ({})", ms(times[times.len() / 2]), ms(worst))
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

const LAUNCHES: u32 = 1000;
const ROUNDS: u32 = 20;
const HOSTILE_PROCESSES: usize = 3;
const HOSTILE: &str = "trap '' TERM
    (setsid sh -c 'printf r > ready; exec sleep 1000' &)
    (setsid sh -c '(setsid sh -c \"printf r > ready; exec sleep 1000\" &)' &)
    printf r > ready
    exec sleep 1000";
