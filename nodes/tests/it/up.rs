//! `neap up`: a whole cluster of real processes, and nothing left of it.

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::Place;

/// A cluster that is ended when the test is over, however it ends.
pub(crate) struct Cluster {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    pub(crate) fn start(place: &Place, line: &str) -> Self {
        let mut child = place.command(line).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    pub(crate) fn hear(&mut self) -> String {
        self.said.next().expect("it says something before it ends").unwrap()
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        signal(&self.child, Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal(&self.child, Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Signals a child that was not waited for yet.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

/// The processes that have `marker` in their command line or environment, this one left out.
pub(crate) fn marked(marker: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
        })
    };
    pids.filter(|pid| *pid != std::process::id()).filter(has).collect()
}

/// R24: the slaves of an ended cluster have ended what ran under them, and left.
#[test]
fn a_cluster_is_started_used_drained_and_ended_without_a_process_left() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 2");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready: 2 slaves"), "{ready}");

    let batch = place.neap("run --name batch --instances 3 -- true");
    assert_eq!(batch.code, Some(0), "{}{}", batch.stdout, batch.stderr);
    let marks = place.path().join("instance");
    let line = format!(
        "run --name numbered --instances 3 -- sh -c 'touch \"$0-$NEAP_INSTANCE\"' {}",
        marks.display()
    );
    let numbered = place.neap(&line);
    assert_eq!(numbered.code, Some(0), "{}{}", numbered.stdout, numbered.stderr);
    for instance in 0..3 {
        assert!(place.path().join(format!("instance-{instance}")).exists(), "instance {instance} ran");
    }
    let drained = place.neap("drain slave-1 --deadline 30s --then unregister");
    assert_eq!(drained.code, Some(0), "{}{}", drained.stdout, drained.stderr);
    let ended = cluster.hear();
    assert!(ended.starts_with("slave-1 ended: exit status: 0"), "{ended}");

    let marker = place.path().to_str().unwrap().to_owned();
    let line = "run --name service --service --instances 2 -- sh -c 'trap : TERM; sleep 1000'";
    let mut service = place.command(line).arg(&marker).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.filter(|line| line.contains("Running")).take(2).count(), 2);
    let code = cluster.end();
    signal(&service, Signal::KILL);
    service.wait().unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(marked(&marker), [0u32; 0], "nothing of it is left");
}

/// `neap registry` finds what the master of this directory keeps, while it runs and afterwards.
#[test]
fn the_registry_of_a_cluster_is_found_by_its_settings() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let find = |line: &str, expected: &str| {
        let found = place.neap(line);
        assert_eq!(found.code, Some(0), "{line}: {}", found.stderr);
        assert!(found.stdout.contains(expected), "{line}: {}", found.stdout);
    };
    find("registry show", "1 slave");
    find("registry check", "a master has it open");
    find("registry backup copy.redb", "wrote copy.redb");
    assert_eq!(cluster.end(), Some(0));
    find("registry check", "is sound");
}

/// What of a cluster's directory nobody changes while the cluster runs, and when each was last written.
fn kept(place: &Place) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let directory = place.path().join(".neap");
    let files =
        ["neap.toml", "lock", "master/pid", "slave-1/pid", "pki/ca.pem"].map(|file| directory.join(file));
    let read = |file: PathBuf| {
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        let text = std::fs::read(&file).unwrap();
        (file, written, text)
    };
    files.into_iter().map(read).collect()
}

fn listens_on(place: &Place) -> String {
    let settings = std::fs::read_to_string(place.path().join(".neap/neap.toml")).unwrap();
    settings.lines().find(|line| line.starts_with("listen")).unwrap().to_owned()
}

fn pid(place: &Place, node: &str) -> Option<Pid> {
    let text = std::fs::read_to_string(place.path().join(format!(".neap/{node}/pid"))).ok()?;
    Pid::from_raw(text.trim().parse().unwrap())
}

#[test]
fn a_directory_has_one_cluster_at_a_time() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let before = kept(&place);
    let second = place.neap("up --slaves 1");
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another `neap up` runs"), "{}", second.stderr);
    assert!(kept(&place) == before, "a file of a cluster was touched that another runs");
    assert_eq!(cluster.end(), Some(0));
}

/// Who waits for a cluster that was ended finds it where it was; meanwhile no file names a process that is another's by then.
#[test]
fn a_cluster_comes_back_at_the_port_that_it_had() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let address = listens_on(&place);
    assert!(pid(&place, "master").is_some() && pid(&place, "slave-1").is_some());
    assert_eq!(cluster.end(), Some(0));
    assert_eq!((pid(&place, "master"), pid(&place, "slave-1")), (None, None));
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    assert_eq!(listens_on(&place), address);
    assert_eq!(cluster.end(), Some(0));
}

/// Nodes that a killed `neap up` has left; they are ended with this value.
struct Left(Vec<Pid>);

impl Drop for Left {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ended = kill_process(*pid, Signal::KILL);
        }
    }
}

/// Its nodes live on, and have the registry and the port: a second one would only take their settings from them.
#[test]
fn what_a_killed_up_has_left_keeps_its_directory() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let left = Left(["master", "slave-1"].map(|node| pid(&place, node).unwrap()).to_vec());
    signal(&cluster.child, Signal::KILL);
    cluster.child.wait().unwrap();
    let before = kept(&place);
    let second = place.neap("up --slaves 1");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("nodes of an earlier `neap up` run"), "{}", second.stderr);
    let master = left.0[0].as_raw_nonzero().to_string();
    assert!(second.stderr.contains(&master), "{master} is not named: {}", second.stderr);
    assert!(kept(&place) == before, "a file of living nodes was touched");
    let status = place.neap("status");
    assert_eq!(status.code, Some(0), "{}", status.stderr);

    let marker = place.path().join(".neap/neap.toml");
    drop(left);
    while !marked(marker.to_str().unwrap()).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    assert_eq!(cluster.end(), Some(0));
}

/// Its slaves and whoever else waits find it where it was.
#[test]
fn a_master_that_dies_is_started_again() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 1");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let (address, before) = (listens_on(&place), pid(&place, "master").unwrap());
    kill_process(before, Signal::KILL).unwrap();
    let ended = cluster.hear();
    assert!(ended.starts_with("master ended: signal: 9"), "{ended}");
    assert_eq!(cluster.hear(), "master is started again");
    assert_eq!(listens_on(&place), address);
    assert!(pid(&place, "master").is_some_and(|now| now != before));
    let batch = place.neap("run --name batch --instances 2 -- true");
    assert_eq!(batch.code, Some(0), "{}{}", batch.stdout, batch.stderr);
    let status = place.neap("status");
    assert!(status.stdout.contains("in epoch 2"), "{}{}", status.stdout, status.stderr);
    assert_eq!(cluster.end(), Some(0));
}
