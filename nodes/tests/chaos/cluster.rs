//! A master and five slaves, each on a link of its own, and frameworks on two more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use neap_protocol::message::{SlaveStatus, SlaveView};
use neap_protocol::text::Name;
use neap_protocol::transport::Role;
use neap_transport_quic::certificates::Authority;
use rustix::process::Signal;

use crate::link::{Link, Weather};
use crate::operator::Operator;
use crate::process::{Place, Process, until};
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
    starts: u32,
}

impl Slave {
    /// Where this incarnation logs.
    fn log(&self) -> String {
        format!("logs/{}.{}.log", self.name, self.starts)
    }
}

impl Cluster {
    /// Starts one, and waits until every slave is used.
    pub(crate) fn start(place: Arc<Place>, random: &mut Random) -> Result<Self, String> {
        for directory in ["pki", "logs", "journals", "locks"] {
            let made = std::fs::create_dir(place.path().join(directory));
            made.map_err(|error| format!("{directory} cannot be made: {error}"))?;
        }
        certificates(&place).map_err(|error| format!("there are no certificates: {error}"))?;
        let (master, address, epoch) = start_master(&place, 1)?;
        let operator = Operator::new(&place, address)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
        let links = (0..SLAVES + FRAMEWORK_LINKS)
            .map(|_| Link::start(runtime.handle(), address, random.fork()))
            .collect();
        let slaves = (1..=SLAVES).map(|n| Slave { name: format!("slave-{n}"), process: None, starts: 0 });
        let mut cluster = Self {
            place,
            operator,
            master: Some(master),
            slaves: slaves.collect(),
            links,
            away: Away::default(),
            kills: BTreeMap::new(),
            address,
            epoch,
            starts: 1,
            _runtime: runtime,
        };
        for slave in 0..SLAVES {
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

    /// kill -9 of what a slave copies executors from. Whether there was one.
    pub(crate) fn kill_template(&self, at: usize) -> bool {
        let data = self.place.path().join(&self.slaves[at].name);
        let words = format!("executor-template {}", data.display());
        // Its copies have its command line, and are in their sandboxes.
        let is_template = |pid| truth::command(pid).ends_with(&words) && !truth::is_below(pid, &data);
        let templates = truth::all_of(self.place.path()).into_iter().filter(|pid| is_template(*pid));
        templates.fold(false, |killed, pid| truth::signal(pid, Signal::KILL, is_template) || killed)
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
    /// Whatever happened, nothing goes on.
    fn drop(&mut self) {
        self.master = None;
        self.slaves.iter_mut().for_each(|slave| slave.process = None);
        truth::end_all_of(self.place.path());
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
