//! What a journal costs: the inputs of a recorded master, taken again and again by a fresh machine, with no journal,
//! with digests of the effects, and with the effects whole.
//!
//! `cargo run --release -p neap-nodes --example journal_cost -- master.journal`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use neap_nodes::journal::{Journal, Options};
use neap_protocol::journal::{Entry, Machine, Run, read};
use neap_protocol::master::{Input, Master};
use neap_protocol::outbox::Outbox;

/// For how long each way is measured.
const LONG: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("name the journal of a master")?;
    let bytes = std::fs::read(&file)?;
    let run: Run<Master> = read(&bytes)?.runs.first().ok_or("no run has begun in it")?.decode()?;
    let inputs: Vec<&Input> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Input(record) => Some(&record.input),
            Entry::Session { .. } => None,
        })
        .collect();
    println!("{} inputs, over and over", inputs.len());
    let directory = tempfile::tempdir()?;
    let mut bare = None;
    for (what, effects) in [("no journal", None), ("digests", Some(false)), ("effects whole", Some(true))] {
        let file: PathBuf = directory.path().join(format!("{what}.journal"));
        let options = effects.map(|effects| Options { effects, ..Options::at(file.clone()) });
        let mut journal = Journal::open::<Master>(options.as_ref(), &run.header.name, &run.config)?;
        let (mut count, mut spent) = (0_u64, Duration::ZERO);
        while spent < LONG {
            let mut machine = Master::begin();
            let mut outbox = Outbox::new();
            let begin = Instant::now();
            for input in &inputs {
                journal.input(input);
                machine.handle(&run.config, (*input).clone(), &mut outbox);
                journal.effects(outbox.as_slice());
                outbox.drain();
            }
            spent += begin.elapsed();
            count += inputs.len() as u64;
        }
        let recorded = journal.is_on();
        drop(journal);
        let ns = spent.as_nanos() as f64 / count as f64;
        let more = ns - *bare.get_or_insert(ns);
        let size = std::fs::metadata(&file).map_or(0, |file| file.len()) as f64 / count as f64;
        let stopped =
            if effects.is_some() && !recorded { ", and it stopped: the disk was too slow" } else { "" };
        println!("{what:14} {ns:7.0} ns an input, {more:5.0} more; {size:5.1} bytes an input{stopped}");
    }
    Ok(())
}
