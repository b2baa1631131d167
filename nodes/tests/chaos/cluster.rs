//! A master and five slaves, each on a link of its own, and frameworks on two more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use neap_protocol::message::{SlaveStatus, SlaveView};
use neap_protocol::text::Name;
use neap_protocol::transport::Role;
use neap_transport_quic::certificates::Authority;
use rustix::process::Signal;

use crate::disk::Small;
use crate::link::{Link, Weather};
use crate::operator::Operator;
use crate::process::{LOOK, Place, Process, until};
use crate::random::Random;
use crate::truth;

/// How many slaves there are.
pub(crate) const SLAVES: usize = 5;

/// How many links frameworks share.
pub(crate) const FRAMEWORK_LINKS: usize = 2;

/// What the master is told of time: a slave is given up after three seconds of silence, however many are silent. A
/// framework may be away for as long as it takes to see that a session is dead, and more.
const MASTER_TIMES: &str = "--ping-timeout 500ms --max-ping-timeouts 6 --removal-share-percent 100 \
    --removal-window 1s --revoke-grace 1s --revoke-ack-timeout 10s --failover-timeout-max 90s";

/// What slaves are told of time. Executors are patient: what ends them is to be what a test does.
const SLAVE_TIMES: &str = "--unregister-timeout 20s --recovery-timeout 5m";

/// By when a slave on which something is started has had to write more than was left of its file's last page.
const FELT_WITHIN: Duration = Duration::from_secs(5);

/// How many holds a registry has room for by itself, at most.
const HOLDS_MAX: usize = 500;

/// The size of a small disk: more than a node needs in a round.
const SMALL: &str = "8m";

pub(crate) struct Cluster {
    pub(crate) place: Arc<Place>,
    pub(crate) operator: Operator,
    pub(crate) master: Option<Process>,
    pub(crate) slaves: Vec<Slave>,
    pub(crate) links: Vec<Link>,
    pub(crate) away: Away,
    /// How often each node was killed, by its journal's name.
    pub(crate) kills: BTreeMap<String, usize>,
    /// Where the master is; it is elsewhere each time that it is started, so that no other has its port meanwhile.
    pub(crate) address: SocketAddr,
    pub(crate) epoch: u64,
    /// The disk of its data directory, where that can be filled.
    disk: Option<Small>,
    /// What operators hold back while that disk is full: the slave, and by how many holds.
    held: Option<(String, usize)>,
    /// Executors that are stopped, and where, by their slave.
    stopped: BTreeMap<usize, (u32, PathBuf)>,
    starts: u32,
    _runtime: tokio::runtime::Runtime,
}

/// The slaves that a fault has ended or stopped, until the cluster is whole again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Away(Arc<Mutex<BTreeSet<String>>>);

impl Away {
    pub(crate) fn slaves(&self) -> BTreeSet<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slave, whether it runs or not.
pub(crate) struct Slave {
    pub(crate) name: String,
    pub(crate) process: Option<Process>,
    /// As the master's.
    disk: Option<Small>,
    /// How often it had been refused something when that was filled.
    refused: usize,
    starts: u32,
}

impl Slave {
    /// Where this incarnation logs.
    pub(crate) fn log(&self) -> String {
        format!("logs/{}.{}.log", self.name, self.starts)
    }
}

impl Cluster {
    /// Starts one, and waits until every slave is used. So many of a hundred nodes are on small disks.
    pub(crate) fn start(place: Arc<Place>, random: &mut Random, small_disks: u64) -> Result<Self, String> {
        for directory in ["pki", "logs", "journals", "locks"] {
            let made = std::fs::create_dir(place.path().join(directory));
            made.map_err(|error| format!("{directory} cannot be made: {error}"))?;
        }
        certificates(&place).map_err(|error| format!("there are no certificates: {error}"))?;
        let disk = small(&place, "master", small_disks, random)?;
        let (master, address, epoch) = start_master(&place, 1)?;
        let operator = Operator::new(&place, address)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
        let links = (0..SLAVES + FRAMEWORK_LINKS)
            .map(|_| Link::start(runtime.handle(), address, random.fork()))
            .collect();
        let slaves = (1..=SLAVES).map(|n| Slave {
            name: format!("slave-{n}"),
            process: None,
            disk: None,
            refused: 0,
            starts: 0,
        });
        let mut cluster = Self {
            place,
            operator,
            master: Some(master),
            slaves: slaves.collect(),
            links,
            away: Away::default(),
            kills: BTreeMap::new(),
            disk,
            held: None,
            stopped: BTreeMap::new(),
            address,
            epoch,
            starts: 1,
            _runtime: runtime,
        };
        for slave in 0..SLAVES {
            let name = cluster.slaves[slave].name.clone();
            cluster.slaves[slave].disk = small(&cluster.place, &name, small_disks, random)?;
            cluster.start_slave(slave)?;
        }
        cluster.whole()?;
        Ok(cluster)
    }

    pub(crate) fn start_slave(&mut self, at: usize) -> Result<(), String> {
        let slave = &mut self.slaves[at];
        slave.starts += 1;
        let (name, address) = (&slave.name, self.links[at].address);
        let words = format!(
            "slave --masters {address} {} --data {name} --cpus 4 --mem 4G --disk 1G {SLAVE_TIMES} \
             --journal journals/{name}.journal --journal-executors journals",
            certificate(Role::Slave, name)
        );
        let command = self.place.neap(&words, &slave.log());
        slave.process = Some(Process::start(command, name)?);
        Ok(())
    }

    pub(crate) fn slave(&mut self, at: usize) -> &Process {
        self.slaves[at].process.as_ref().expect("a slave that runs")
    }

    pub(crate) fn take_slave(&mut self, at: usize) -> Process {
        self.away.lock().insert(self.slaves[at].name.clone());
        self.slaves[at].process.take().expect("a slave that runs")
    }

    /// kill -9 of a slave. Whether it had not ended before.
    pub(crate) fn kill_slave(&mut self, at: usize) -> bool {
        let mut slave = self.take_slave(at);
        let lived = !slave.has_ended();
        self.count_kill(&self.slaves[at].name.clone());
        slave.kill();
        lived
    }

    /// SIGSTOP to a slave.
    pub(crate) fn stop_slave(&mut self, at: usize) {
        self.away.lock().insert(self.slaves[at].name.clone());
        self.slave(at).signal(Signal::STOP);
    }

    pub(crate) fn take_master(&mut self) -> Process {
        self.master.take().expect("a master that runs")
    }

    /// kill -9 of the master.
    pub(crate) fn kill_master(&mut self) {
        self.count_kill("master");
        self.take_master().kill();
    }

    pub(crate) fn count_kill(&mut self, journal: &str) {
        *self.kills.entry(journal.to_owned()).or_default() += 1;
    }

    /// Starts the master again: it leads in a later epoch.
    pub(crate) fn start_master(&mut self) -> Result<(), String> {
        self.starts += 1;
        let (master, address, epoch) = start_master(&self.place, self.starts)?;
        if epoch <= self.epoch {
            return Err(format!("the master leads in epoch {epoch} after {}", self.epoch));
        }
        (self.master, self.address, self.epoch) = (Some(master), address, epoch);
        self.links.iter().for_each(|link| link.leads_to(address));
        self.operator = Operator::new(&self.place, address)?;
        Ok(())
    }

    /// The link of this slave, or of the frameworks that have it.
    pub(crate) fn weather(&self, link: usize, weather: Weather) {
        self.links[link].set(weather);
    }

    /// The router on this link forgets how it translated addresses.
    pub(crate) fn rebind(&self, link: usize) {
        self.links[link].rebind();
    }

    pub(crate) fn framework_link(&self, at: usize) -> SocketAddr {
        self.links[Self::framework_link_of(at)].address
    }

    /// The link of a run, by its place among all.
    pub(crate) fn framework_link_of(run: usize) -> usize {
        SLAVES + run % FRAMEWORK_LINKS
    }

    /// An operator's command, which succeeds.
    pub(crate) fn command(&self, words: &str) -> Result<(), String> {
        let connect = format!("--masters {} {}", self.address, certificate(Role::Operator, "ada"));
        let command = self.place.neap(&format!("{words} {connect}"), "logs/operator.log");
        Process::start(command, words)?.ends_with(0)
    }

    /// What the master says of a slave.
    pub(crate) fn view(&mut self, at: usize) -> Result<SlaveView, String> {
        let name = self.slaves[at].name.clone();
        let views = self.operator.slaves()?;
        let view = views.into_iter().find(|view| view.name.as_str() == name);
        view.ok_or_else(|| format!("{name} is not in the registry"))
    }

    /// Whether a slave has registered in the life that it has now.
    pub(crate) fn has_registered(&self, at: usize) -> bool {
        self.place.read(&self.slaves[at].log()).contains(": registered")
    }

    /// Waits until it has.
    fn registered(&self, at: usize) -> Result<(), String> {
        let log = self.slaves[at].log();
        until(&format!("a registration in {log}"), || match self.has_registered(at) {
            true => Ok(()),
            false => Err("it is not logged".into()),
        })
    }

    /// Waits until every slave has registered and is used, and no other is known.
    pub(crate) fn whole(&mut self) -> Result<(), String> {
        self.is_whole()?;
        // What an absence has left was ended before (R8).
        self.away.lock().clear();
        Ok(())
    }

    fn is_whole(&mut self) -> Result<(), String> {
        for slave in 0..SLAVES {
            self.registered(slave)?;
        }
        until("a whole cluster", || {
            let views = self.operator.slaves()?;
            let used = |view: &SlaveView| view.status == SlaveStatus::Active && view.holds.is_empty();
            match views.len() == SLAVES && views.iter().all(used) {
                true => Ok(()),
                false => {
                    let views = views
                        .iter()
                        .map(|view| format!("{} {} {} holds", view.name, view.status, view.holds.len()));
                    Err(views.collect::<Vec<_>>().join(", "))
                }
            }
        })
    }

    /// What lives in a slave's sandboxes.
    pub(crate) fn living(&self, at: usize) -> Vec<truth::Process> {
        truth::below(&self.place.path().join(&self.slaves[at].name))
    }

    /// SIGSTOP to one of a slave's executors, if it has any.
    pub(crate) fn stop_executor(&mut self, at: usize, random: &mut Random) -> bool {
        let executors = self.executors(at);
        if executors.is_empty() {
            return false;
        }
        let victim = random.pick(&executors);
        let stopped = truth::signal(victim.pid, Signal::STOP, |pid| truth::is_in(pid, &victim.directory));
        self.stopped.extend(stopped.then(|| (at, (victim.pid, victim.directory.clone()))));
        stopped
    }

    /// A slave's executor that was stopped goes on after so long, if nobody has ended it.
    pub(crate) fn go_on(&mut self, at: usize, after: Duration) {
        if let Some((pid, directory)) = self.stopped.remove(&at) {
            std::thread::sleep(after);
            truth::signal(pid, Signal::CONT, |pid| truth::is_in(pid, &directory));
        }
    }

    /// A slave's executors.
    pub(crate) fn executors(&self, at: usize) -> Vec<truth::Process> {
        self.living(at).into_iter().filter(truth::Process::is_executor).collect()
    }

    /// Leaves no room on a slave's disk, if that is a small one.
    pub(crate) fn fill_slave(&mut self, at: usize) -> Result<bool, String> {
        self.slaves[at].refused = self.refused(at);
        self.slaves[at].disk.as_ref().map(Small::fill).transpose().map(|filled| filled.is_some())
    }

    /// Makes room again so long after the slave was refused something. Whether it was.
    pub(crate) fn empty_slave(&mut self, at: usize, after: Duration) -> Result<bool, String> {
        let Some(disk) = &self.slaves[at].disk else { return Ok(false) };
        // One that has nothing to do writes nothing.
        let give_up = Instant::now() + FELT_WITHIN;
        let is_felt = || self.refused(at) > self.slaves[at].refused;
        while !is_felt() && Instant::now() < give_up {
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(after);
        disk.make_room()?;
        Ok(is_felt())
    }

    /// How often a slave has logged, in the life that it has now, that its disk refused it something.
    fn refused(&self, at: usize) -> usize {
        let log = self.place.read(&self.slaves[at].log());
        let signs = ["the checkpoint could not be written", "an executor could not be started"];
        signs.iter().map(|sign| log.matches(sign).count()).sum()
    }

    /// Leaves no room on the master's disk, if that is a small one, nor in its registry: operators hold a slave back
    /// until they are refused.
    pub(crate) fn fill_master(&mut self, slave: usize) -> Result<bool, String> {
        let Some(disk) = &self.disk else { return Ok(false) };
        disk.fill()?;
        let name = self.slaves[slave].name.clone();
        // A reason that takes room.
        let long = "x".repeat(1000);
        let mut holds = 0;
        while holds < HOLDS_MAX && self.operator.hold(&name, &format!("hold-{holds}"), &long)? {
            holds += 1;
        }
        self.held = Some((name, holds));
        Ok(holds < HOLDS_MAX)
    }

    /// Makes room again after so long; what was refused is not there, and what was not is taken away.
    pub(crate) fn empty_master(&mut self, after: Duration) -> Result<(), String> {
        let (Some(disk), Some((name, holds))) = (&self.disk, self.held.take()) else { return Ok(()) };
        std::thread::sleep(after);
        disk.make_room()?;
        let views = self.operator.slaves()?;
        let view = views.iter().find(|view| view.name.as_str() == name);
        let there = view.map(|view| view.holds.len());
        if there != Some(holds) {
            return Err(format!("{name} was held {holds} times and then no more, and has {there:?} holds"));
        }
        (0..holds).try_for_each(|hold| self.operator.release(&name, &format!("hold-{hold}")))
    }

    /// kill -9 of what a slave copies executors from. Whether there was one.
    pub(crate) fn kill_template(&self, at: usize) -> bool {
        let data = self.place.path().join(&self.slaves[at].name);
        let words = format!("executor-template {}", data.display());
        // Its copies have its command line, and are in their sandboxes.
        let is_template = |pid| truth::command(pid).ends_with(&words) && !truth::is_below(pid, &data);
        let templates = truth::all_of(self.place.path()).into_iter().filter(|pid| is_template(*pid));
        templates.map(|pid| truth::signal(pid, Signal::KILL, is_template)).filter(|killed| *killed).count()
            > 0
    }

    /// Ends the slaves and then the master, each as it ends in peace.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        for slave in &self.slaves {
            if let Some(process) = &slave.process {
                process.signal(Signal::USR1);
            }
        }
        for slave in 0..SLAVES {
            self.take_slave(slave).ends_with(0)?;
        }
        let status = self.operator.status()?;
        if (status.slaves, status.tasks) != (0, 0) {
            return Err(format!("every slave has left, and the master says {status:?}"));
        }
        let master = self.take_master();
        master.signal(Signal::TERM);
        master.ends_with(0)
    }
}

impl Drop for Cluster {
    /// Whatever happened, nothing goes on. Disks go with the fields, when nobody is on them.
    fn drop(&mut self) {
        self.master = None;
        self.slaves.iter_mut().for_each(|slave| slave.process = None);
        truth::end_all_of(self.place.path());
    }
}

/// A small disk for a node's data, so many times in a hundred, and where this user may mount one.
fn small(place: &Place, name: &str, small_disks: u64, random: &mut Random) -> Result<Option<Small>, String> {
    match random.percent(small_disks) {
        true => Small::mount(&place.path().join(name), SMALL),
        false => Ok(None),
    }
}

fn start_master(place: &Place, starts: u32) -> Result<(Process, SocketAddr, u64), String> {
    let words = format!(
        "-o json master --listen 127.0.0.1:0 --data master {MASTER_TIMES} {} --journal journals/master.journal",
        certificate(Role::Master, "m1")
    );
    let log = format!("logs/master.{starts}.log");
    let mut command = place.neap(&words, &log);
    command.stdout(Stdio::piped());
    let mut process = Process::start(command, "the master")?;
    let mut line = String::new();
    let read = BufReader::new(process.stdout()).read_line(&mut line);
    let said: Option<serde_json::Value> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
    let said = said.ok_or_else(|| format!("the master does not lead: {line:?} {}", place.read(&log)))?;
    let address = said["address"].as_str().and_then(|address| address.parse().ok());
    let (Some(address), Some(epoch)) = (address, said["epoch"].as_u64()) else {
        return Err(format!("the master says {line:?}"));
    };
    Ok((process, address, epoch))
}

fn certificates(place: &Place) -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::create(&Name::new("chaos")?)?;
    let pki = place.path().join("pki");
    authority.save(&pki)?;
    let slaves = (1..=SLAVES).map(|n| (Role::Slave, format!("slave-{n}")));
    let others = [(Role::Master, "m1"), (Role::Operator, "ada"), (Role::Framework, "load")];
    for (role, name) in others.map(|(role, name)| (role, name.to_owned())).into_iter().chain(slaves) {
        authority.issue(role, &Name::new(&name)?, Duration::from_secs(24 * 3600))?.save(&pki)?;
    }
    Ok(())
}

/// The flags that say who a node is.
pub(crate) fn certificate(role: Role, name: &str) -> String {
    format!("--ca pki/ca.pem --cert pki/{role}-{name}.pem --key pki/{role}-{name}.key")
}
