//! `neap up`: a whole local cluster, each node a process of its own, over QUIC with certificates made for it.
//!
//! It decides nothing about the protocol: it starts programs, waits until the master says that all are registered,
//! and ends them in order: drain now for slaves (R24), so that no process is left, then the master.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use neap_protocol::message::{Answer, Command as Ask, Query};
use neap_protocol::text::Name;
use neap_protocol::transport::Role;
use neap_transport_quic::certificates::{Authority, VALIDITY};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal as Raw, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::nodes::Up;
use crate::config::{Config, Loaded};
use crate::exit::Exit;
use crate::operator::Client;
use crate::outlet::or_warn;
use crate::output::{Failure, Printer};
use crate::shutdown::{Signal, Signals};

/// How long nodes may take to be there.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a node may take to end in order before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// How long after its end a master is started again, so that one that cannot begin does not keep a machine busy.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A master that ends sooner than this could not begin.
const SETTLED: Duration = Duration::from_secs(5);

/// How often in a row a master may fail to begin before the cluster is given up.
const RESTARTS_MAX: u32 = 3;

/// Starts a cluster, says `ready`, and ends it when it is told to.
///
/// # Errors
/// [`Failure`] names the node or the file, and the cure; nothing is left running.
pub fn main(args: &Up, printer: &mut Printer) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    runtime.block_on(run(args, printer))
}

async fn run(args: &Up, printer: &mut Printer) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::because("listen for signals", &error))?;
    let place = Place::prepare(&args.dir, args.slaves, args.journal.as_deref(), |_| {})?;
    let mut cluster = Cluster::default();
    let outcome = tokio::select! {
        started = start(&place, args.slaves, &mut cluster) => started,
        _ = signals.next() => Err(Failure::new(Exit::Failed, "stopped before the cluster was ready")),
    };
    let outcome = match outcome {
        Ok(()) => {
            or_warn(printer.one(&News::Ready { slaves: args.slaves, settings: place.settings.clone() }));
            cluster.watch(&place, &mut signals, printer).await
        }
        Err(failure) => Err(failure),
    };
    cluster.end().await;
    outcome
}

/// What the file with a node's pid is called, beside its log. It goes when the node does.
const PID: &str = "pid";

/// What `neap up` has to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum News {
    Ready { slaves: u16, settings: PathBuf },
    Ended { node: String, how: String },
    Restarted { node: String },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { slaves, settings } => {
                write!(f, "ready: {slaves} slaves; settings in {}", settings.display())
            }
            Self::Ended { node, how } => write!(f, "{node} ended: {how}"),
            Self::Restarted { node } => write!(f, "{node} is started again"),
        }
    }
}

/// Where everything of a cluster is.
pub(crate) struct Place {
    dir: PathBuf,
    settings: PathBuf,
    /// Where every node is recorded, if they are.
    journals: Option<PathBuf>,
    /// Held while the cluster lives, so that no second one takes the same directory.
    _lock: File,
}

impl Place {
    /// Takes a directory for a cluster, makes certificates where there are none, and writes the settings, to which
    /// `change` may add.
    pub(crate) fn prepare(
        wanted: &Path,
        slaves: u16,
        journals: Option<&Path>,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, Failure> {
        let because = |what: &str, error: &dyn std::error::Error| {
            Failure::because(&format!("{what} in {}", wanted.display()), error)
        };
        fs::create_dir_all(wanted).map_err(|error| because("make the directory of the cluster", &error))?;
        let dir = fs::canonicalize(wanted).map_err(|error| because("find the cluster", &error))?;
        // Nothing is written in a directory that is in use, its lock included.
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"));
        let lock = lock.map_err(|error| because("lock a file", &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let message = format!("another `neap up` runs a cluster in {}", dir.display());
            Failure::new(Exit::Failed, message).help("stop that one, or name another directory with --dir")
        })?;
        let mut place = Self { settings: dir.join("neap.toml"), dir, journals: None, _lock: lock };
        place.is_deserted()?;
        let address = place.address()?;
        place.journals = journals.map(make_journals).transpose()?;
        place.make_identities(slaves)?;
        place.write_settings(address, change)?;
        Ok(place)
    }

    /// The file that the other commands find the cluster by.
    pub(crate) fn settings(&self) -> &Path {
        &self.settings
    }

    /// The journal of a node or a framework, if they are recorded.
    pub(crate) fn journal(&self, name: &str) -> Option<PathBuf> {
        self.journals.as_ref().map(|directory| directory.join(format!("{name}.journal")))
    }

    /// Whether no node lives that an earlier `neap up` has left, which was killed; what is left of the others is removed.
    fn is_deserted(&self) -> Result<(), Failure> {
        let entries = fs::read_dir(&self.dir).map_err(|error| {
            Failure::because(&format!("read the directory {}", self.dir.display()), &error)
        })?;
        let mut left = Vec::new();
        for home in entries.flatten().map(|entry| entry.path()) {
            let file = home.join(PID);
            let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) else {
                continue;
            };
            match self.is_node(pid) {
                true => left.push(pid),
                false => remove(&file),
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let pids: Vec<String> = left.iter().map(u32::to_string).collect();
        let pids = pids.join(" ");
        let message =
            format!("nodes of an earlier `neap up` run in {}, which was killed: {pids}", self.dir.display());
        Err(Failure::new(Exit::Failed, message)
            .help(format!("end them with `kill {pids}`, or name another directory with --dir")))
    }

    /// Whether a process is a node of this directory's cluster: a pid may be another's by now.
    fn is_node(&self, pid: u32) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == self.settings.as_os_str().as_bytes())
    }

    /// Where the master is: the port that it had before, so that who waits for it finds it again.
    fn address(&self) -> Result<SocketAddr, Failure> {
        let free = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            socket.map_err(|error| Failure::because("find a free port", &error))
        };
        if !self.settings.exists() {
            return free();
        }
        let Some(before) = Loaded::from_file(&self.settings)?.config.master.listen else {
            return free();
        };
        match UdpSocket::bind(before) {
            Ok(_) => Ok(before),
            Err(error) => Err(Failure::because(&format!("use {before}, which the master had before"), &error)
                .help(format!(
                    "end what has that port, or remove {} to have another: frameworks that wait for the old one do not \
                     find it",
                    self.settings.display()
                ))),
        }
    }

    /// A CA and certificates; those that are there already are used again.
    fn make_identities(&self, slaves: u16) -> Result<(), Failure> {
        let pki = self.dir.join("pki");
        let failure = |error: neap_transport_quic::certificates::PkiError| {
            Failure::new(Exit::Failed, error.to_string())
                .help(format!("remove {} to have all certificates made anew", pki.display()))
        };
        let authority = match pki.join("ca.pem").exists() {
            true => Authority::load(&pki).map_err(failure)?,
            false => {
                let name = Name::new("neap").map_err(|error| Failure::because("name the CA", &error))?;
                let authority = Authority::create(&name).map_err(failure)?;
                authority.save(&pki).map_err(failure)?;
                authority
            }
        };
        let slaves = (1..=slaves).map(|n| (Role::Slave, slave_name(n)));
        let others = [Role::Master, Role::Framework, Role::Operator].map(|role| (role, role.to_string()));
        for (role, name) in slaves.chain(others) {
            if !certificate(&pki, role, &name).exists() {
                let name = Name::new(&name).map_err(|error| Failure::because("name a node", &error))?;
                let issued = authority.issue(role, &name, VALIDITY).map_err(failure)?;
                issued.save(&pki).map_err(failure)?;
            }
        }
        Ok(())
    }

    /// What the other commands find the cluster by.
    fn write_settings(&self, address: SocketAddr, change: impl FnOnce(&mut Config)) -> Result<(), Failure> {
        let mut config = Config::default();
        let pki = self.dir.join("pki");
        let own = |role: Role| {
            let certificate = certificate(&pki, role, role.as_str());
            (Some(certificate.clone()), Some(certificate.with_extension("key")))
        };
        config.cluster.masters = Some(vec![address]);
        config.cluster.ca = Some(pki.join("ca.pem"));
        config.master.listen = Some(address);
        config.master.data = Some(self.data(Role::Master.as_str()));
        (config.master.cert, config.master.key) = own(Role::Master);
        (config.framework.cert, config.framework.key) = own(Role::Framework);
        (config.operator.cert, config.operator.key) = own(Role::Operator);
        change(&mut config);
        let text = config.to_toml()?;
        fs::write(&self.settings, text)
            .map_err(|error| Failure::because(&format!("write {}", self.settings.display()), &error))
    }

    /// The data directory of a node.
    fn data(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("data")
    }

    /// Starts one node; its output goes to `D/<node>/log`, its pid to `D/<node>/pid`.
    fn start(&self, role: Role, name: &str) -> Result<Node, Failure> {
        let because = |error: std::io::Error| Failure::because(&format!("start {name}"), &error);
        let home = self.dir.join(name);
        fs::create_dir_all(&home).map_err(because)?;
        let log = File::create(home.join("log")).map_err(because)?;
        self.spawn(role, name, log)
    }

    /// Starts one again; it goes on with its log.
    fn start_again(&self, role: Role, name: &str) -> Result<Node, Failure> {
        let because = |error: std::io::Error| Failure::because(&format!("start {name} again"), &error);
        let log = OpenOptions::new().append(true).create(true).open(self.dir.join(name).join("log"));
        self.spawn(role, name, log.map_err(because)?)
    }

    fn spawn(&self, role: Role, name: &str, log: File) -> Result<Node, Failure> {
        let because = |error: std::io::Error| Failure::because(&format!("start {name}"), &error);
        let home = self.dir.join(name);
        let mut command = Command::new(std::env::current_exe().map_err(because)?);
        command.arg(role.as_str()).arg("--config").arg(&self.settings);
        command.args(["--name", name]).arg("--data").arg(self.data(name));
        if role == Role::Slave {
            let certificate = certificate(&self.dir.join("pki"), role, name);
            command.arg("--cert").arg(&certificate).arg("--key").arg(certificate.with_extension("key"));
        }
        if let Some(journal) = self.journal(name) {
            command.arg("--journal").arg(journal);
        }
        if let Some(journals) = self.journals.as_ref().filter(|_| role == Role::Slave) {
            command.arg("--journal-executors").arg(journals);
        }
        // A Ctrl-C at the terminal is for `neap up`, which ends its nodes in order.
        command.process_group(0).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(log.try_clone().map_err(because)?).stderr(log);
        let child = command.spawn().map_err(because)?;
        if let Some(pid) = child.id() {
            fs::write(home.join(PID), format!("{pid}\n")).map_err(because)?;
        }
        let (log, pid, began) = (home.join("log"), home.join(PID), Instant::now());
        Ok(Node { name: name.to_owned(), role, log, pid, began, child })
    }
}

/// A node and the process that it is.
struct Node {
    name: String,
    role: Role,
    log: PathBuf,
    pid: PathBuf,
    began: Instant,
    child: Child,
}

impl Drop for Node {
    /// Its pid is another's soon.
    fn drop(&mut self) {
        remove(&self.pid);
    }
}

impl Node {
    fn ended(&self, how: ExitStatus) -> Failure {
        let last = fs::read_to_string(&self.log).unwrap_or_default();
        let last = last.lines().last().unwrap_or("it said nothing").to_owned();
        Failure::new(Exit::Failed, format!("{} ended ({how}): {last}", self.name))
            .help(format!("all it said is in {}", self.log.display()))
    }

    fn signal(&self, signal: Raw) {
        // The child is not reaped before it is waited for, so that the pid is still its own.
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it in order, or by force where it takes too long.
    async fn end(mut self, signal: Raw) {
        self.signal(signal);
        if tokio::time::timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            tracing::error!(node = self.name, "did not end in time and is killed");
            let _ = self.child.kill().await;
        }
    }
}

/// The nodes that run.
#[derive(Default)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Sends SIGUSR1 to a slave (R24).
    pub(crate) fn drain_now(&self, slave: &str) -> Result<(), Failure> {
        let node = self.nodes.iter().find(|node| node.name == slave);
        let node = node.ok_or_else(|| Failure::new(Exit::Failed, format!("{slave} does not run")))?;
        node.signal(Raw::USR1);
        Ok(())
    }

    /// The first node that ends, and how.
    async fn next_end(&mut self) -> (usize, ExitStatus) {
        std::future::poll_fn(|context| {
            for (at, node) in self.nodes.iter_mut().enumerate() {
                let wait = std::pin::pin!(node.child.wait());
                if let std::task::Poll::Ready(Ok(how)) = wait.poll(context) {
                    return std::task::Poll::Ready((at, how));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Waits for the signal to end. A slave that leaves by itself (it was drained) is said and left. A master that ends is
    /// started again, where it was: slaves and frameworks wait for it, and it forgets nothing.
    async fn watch(
        &mut self,
        place: &Place,
        signals: &mut Signals,
        printer: &mut Printer,
    ) -> Result<Exit, Failure> {
        let mut failures = 0;
        let mut restart = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(restart.unwrap_or_else(Instant::now)), if restart.is_some() => {
                    restart = None;
                    let node = place.start_again(Role::Master, Role::Master.as_str())?;
                    or_warn(printer.one(&News::Restarted { node: node.name.clone() }));
                    self.nodes.push(node);
                }
                signal = signals.next() => match signal {
                    Signal::Interrupt | Signal::Terminate => return Ok(Exit::Success),
                    Signal::DrainNow => {}
                },
                (at, how) = self.next_end() => {
                    let node = self.nodes.remove(at);
                    if node.role == Role::Master {
                        failures = if node.began.elapsed() < SETTLED { failures + 1 } else { 0 };
                        if failures > RESTARTS_MAX {
                            return Err(node.ended(how));
                        }
                        restart = Some(Instant::now() + RESTART_PAUSE);
                    }
                    or_warn(printer.one(&News::Ended { node: node.name.clone(), how: how.to_string() }));
                }
            }
        }
    }

    /// Ends everything: slaves first, at once, each with all that runs under it; then the master.
    pub(crate) async fn end(self) {
        let (masters, slaves): (Vec<_>, Vec<_>) =
            self.nodes.into_iter().partition(|node| node.role == Role::Master);
        let mut ending: JoinSet<()> = slaves.into_iter().map(|node| node.end(Raw::USR1)).collect();
        while ending.join_next().await.is_some() {}
        for master in masters {
            master.end(Raw::TERM).await;
        }
    }
}

/// Starts every node, and waits until the master has all slaves.
pub(crate) async fn start(place: &Place, slaves: u16, cluster: &mut Cluster) -> Result<(), Failure> {
    let by = Instant::now() + READY_TIMEOUT;
    cluster.nodes.push(place.start(Role::Master, Role::Master.as_str())?);
    let settings = Loaded::from_file(&place.settings)?;
    let mut client = Client::new(&settings.operator(&Default::default(), Default::default())?)?;
    // A slave that finds no master tries again only after a while.
    in_time(cluster, place, by, "the master does not lead", client.ask(Ask::Watch)).await?;
    for n in 1..=slaves {
        cluster.nodes.push(place.start(Role::Slave, &slave_name(n))?);
    }
    let late = format!("not all of {slaves} slaves have registered");
    in_time(cluster, place, by, &late, registered(&mut client, slaves)).await?;
    client.close().await;
    Ok(())
}

async fn registered(client: &mut Client, slaves: u16) -> Result<(), Failure> {
    loop {
        if let Answer::Status(status) = client.ask(Ask::Show(Query::Status)).await?
            && status.connected >= u32::from(slaves)
        {
            return Ok(());
        }
        client.event().await?;
    }
}

/// Waits for what must come while every node runs.
async fn in_time<T, E: Into<Failure>>(
    cluster: &mut Cluster,
    place: &Place,
    by: Instant,
    late: &str,
    awaited: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    tokio::select! {
        (at, how) = cluster.next_end() => Err(cluster.nodes[at].ended(how)),
        done = tokio::time::timeout_at(by, awaited) => match done {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Failure::new(Exit::TimedOut, format!("{late} within {READY_TIMEOUT:?}"))
                .help(format!("see the logs in {}/*/log", place.dir.display()))),
        },
    }
}

/// A directory for journals, where everybody finds it.
fn make_journals(wanted: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(wanted).and_then(|()| fs::canonicalize(wanted)).map_err(|error| {
        Failure::because(&format!("make the directory {} for journals", wanted.display()), &error)
    })
}

fn slave_name(n: u16) -> String {
    format!("slave-{n}")
}

fn certificate(pki: &Path, role: Role, name: &str) -> PathBuf {
    pki.join(format!("{role}-{name}.pem"))
}

/// Removes a file that is of no use any more, if it can be.
fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "it could not be removed");
    }
}
