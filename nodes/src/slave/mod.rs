//! `neap slave`: the daemon of one host. [`neap_protocol::slave`] decides; what is here dials masters, runs process
//! trees, keeps the checkpoint and hears signals.
//!
//! In the data directory are `checkpoint`, `secret` (from which those of executors follow), `executor.sock`, `template.stderr` (of what executors are copied from), `trees/` (records of process trees) and
//! `sandboxes/FRAMEWORK/EXECUTOR/`, where an executor runs and its streams and its task's are files, which operators
//! may read over sessions of their own (`logs`).

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use neap_process_tree::{Means, OpenError, Options, Survivors, Tree, Trees};
use neap_protocol::ids::{BootId, ExecutorId, Seq};
use neap_protocol::resources::{self, Resources};
use neap_protocol::slave::{
    Config, EXIT_DONE, EXIT_UNHEARD, Event as Told, Input, Recover, Slave as Machine,
};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, Role};
use neap_transport_quic::{Credentials, Endpoint};
use neap_transport_unix::listener::Listener;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::{self, ProcessTrees, Slave as Settings};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::outlet::or_warn;
use crate::output::{Failure, Printer};
use crate::refusals::Refusals;
use crate::shutdown::Signals;

mod dispatch;
mod logs;
mod sandboxes;
mod secret;
mod store;
mod tail;
mod trees;

use dispatch::{Dispatcher, Event, State};
use logs::Logs;
use sandboxes::Sandboxes;
use secret::Secret;
use store::{Store, StoreError};
use trees::{Admitted, Nursery};

/// How many events wait for the dispatcher before those who bring them wait.
const EVENTS_MAX: usize = 1024;

/// Runs a slave until it has left the cluster (SIGUSR1, R24) or is told to end (SIGTERM, SIGINT: executors go on,
/// and the next incarnation takes them up, R28).
///
/// # Errors
/// Where it cannot begin: credentials, the data directory, process trees, leftovers that do not end.
pub fn run(settings: Settings, printer: Printer) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because("start the runtime", &error))?;
    runtime.block_on(serve(settings, printer))
}

/// The line that a slave prints at its start.
#[derive(Debug, Serialize)]
struct Started {
    name: String,
    process_trees: &'static str,
    process_trees_note: String,
    resources: String,
    data: String,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, process_trees_note, resources, data, process_trees: _ } = self;
        write!(f, "slave {name} offers {resources}; data in {data}; process trees by {process_trees_note}")
    }
}

async fn serve(settings: Settings, mut printer: Printer) -> Result<Exit, Failure> {
    let signals = Signals::new().map_err(|error| Failure::because("listen for signals", &error))?;
    let identity = &settings.identity;
    let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key)
        .map_err(|error| Failure::because("use the slave's certificate", &error))?;
    let name = name(&settings, &credentials)?;
    let data = make(&settings.data)?;
    // The lock on the trees keeps a second slave off the checkpoint, too.
    let trees = open_trees(&settings, &name, &data)?;
    let (store, torn) = Store::open(&data).map_err(unusable_store)?;
    if torn > 0 {
        tracing::warn!(bytes = torn, "a crash tore the checkpoint's last record, which was cut off");
    }
    let checkpoint = store.checkpoint();
    or_warn(printer.one(&Started {
        name: name.to_string(),
        process_trees: trees.means().word(),
        process_trees_note: trees.means().to_string(),
        resources: resources(&settings).to_string(),
        data: data.display().to_string(),
    }));
    let boot =
        boot_id().map_err(|error| Failure::because("tell one start of the machine from another", &error))?;
    let left = leftovers(&trees, &data).await?;
    let (mut dispatcher, writer) =
        assemble(&settings, name, &data, credentials, trees, store, signals).await?;
    let mut alive = Vec::with_capacity(left.len());
    for (executor, tree) in left {
        alive.push(executor);
        dispatcher.take_up(executor, tree);
    }
    let code = dispatcher.run(Input::Start { checkpoint, boot, alive }).await;
    let exit = farewell(&mut dispatcher, code).await;
    drop(dispatcher);
    // What was asked to be written is written before the process ends.
    if writer.join().is_err() {
        tracing::error!("the thread that writes the checkpoint panicked");
    }
    Ok(exit)
}

async fn farewell(dispatcher: &mut Dispatcher, code: Option<u8>) -> Exit {
    match code {
        Some(EXIT_DONE) => {
            dispatcher.end(CloseCode::Done, "the slave has left").await;
            Exit::Success
        }
        Some(EXIT_UNHEARD) => {
            dispatcher.end(CloseCode::Done, "the slave has left").await;
            Exit::Unacknowledged
        }
        Some(_refused) => {
            dispatcher.end(CloseCode::Done, "the slave was refused").await;
            Exit::Refused
        }
        None => {
            tracing::info!("ends; executors go on, and the next start takes them up");
            dispatcher.end(CloseCode::Shutdown, "the slave was told to end").await;
            Exit::Success
        }
    }
}

type Writer = std::thread::JoinHandle<()>;

async fn assemble(
    settings: &Settings,
    name: Name,
    data: &Path,
    credentials: Credentials,
    trees: Trees,
    store: Store,
    signals: Signals,
) -> Result<(Dispatcher, Writer), Failure> {
    let (events, happened) = mpsc::channel(EVENTS_MAX);
    let answers = events.clone();
    let served = store.serve(move |(seq, result): (Seq, Result<(), String>)| {
        let input = match result {
            Ok(()) => Input::Stored { seq },
            Err(cause) => Input::StoreFailed { seq, cause: Text::from(cause) },
        };
        // The slave is over, and nobody waits for answers.
        let _over = answers.blocking_send(Event::Input(input));
    });
    let (store, writer) =
        served.map_err(|error| Failure::because("start the checkpoint's thread", &error))?;
    let local = local(settings.masters[0]);
    let endpoint = Endpoint::bind(SocketAddr::new(local, 0), &credentials, &Default::default())
        .map_err(|error| Failure::because("open the slave's network", &error))?;
    let sandboxes = Sandboxes::new(data.join("sandboxes"));
    let listen = settings.listen.unwrap_or(SocketAddr::new(local, 0));
    let refusals = Refusals::default();
    let logs = Logs::start(listen, &credentials, sandboxes.clone(), events.clone(), refusals.clone()).await?;
    let address = reachable(logs.address(), local);
    tracing::info!(%address, "operators read logs here");
    let admitted = Admitted::default();
    let path = data.join("executor.sock");
    let knows = admitted.clone();
    let socket = Listener::bind(&path, name.clone(), move |name, token| knows.knows(name, token))
        .map_err(|error| Failure::because("listen for executors", &error))?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::because("find this program, which is the built-in executor", &error))?;
    let journals = settings.journal_executors.as_deref().map(make_journals).transpose()?;
    let journals = journals.map(|directory| (directory, name.clone()));
    let secret = Secret::open(data).map_err(|error| {
        Failure::because(&format!("use the slave's secret {}", data.join(secret::FILE).display()), &error)
    })?;
    let mut nursery = Nursery {
        trees,
        template: None,
        program,
        data: data.to_owned(),
        sandboxes,
        socket: path,
        recovery_timeout: Millis(settings.recovery_timeout.as_millis()),
        journals,
        secret,
        admitted,
        living: Default::default(),
    };
    // Now rather than for the first task, which would wait for it.
    nursery.make_template();
    let config = Config {
        drain_now_grace: settings.drain_now_grace.map(|grace| Millis(grace.as_millis())),
        unregister_timeout: Millis(settings.unregister_timeout.as_millis()),
        recover: match settings.recover {
            config::Recover::Reconnect => Recover::Reconnect,
            config::Recover::Cleanup => Recover::Cleanup,
        },
        ..Config::new(resources(settings), Text::from(address.to_string()))
    };
    let journal = Journal::open::<Machine>(settings.journal.as_ref(), &name, &config)?;
    let dispatcher = Dispatcher {
        machine: Machine::new(),
        config,
        journal,
        masters: settings.masters.clone(),
        endpoint,
        socket,
        nursery,
        signals,
        logs: Some(logs),
        store,
        events,
        happened,
        state: State::new(refusals),
    };
    Ok((dispatcher, writer))
}

/// A slave's name is its certificate's: the flag can only agree.
fn name(settings: &Settings, credentials: &Credentials) -> Result<Name, Failure> {
    let peer = credentials.peer();
    let cert = settings.identity.cert.display();
    if peer.role != Role::Slave {
        return Err(Failure::new(
            Exit::Usage,
            format!("the certificate {cert} is of {peer}, not of a slave"),
        )
        .help("`neap pki issue` makes one for a slave"));
    }
    match &settings.name {
        Some(name) if *name != peer.name => {
            let cause = format!("the slave is to be {name}, and its certificate {cert} says {}", peer.name);
            Err(Failure::new(Exit::Usage, cause).help("leave the name out, or issue a certificate for it"))
        }
        Some(_) | None => Ok(peer.name.clone()),
    }
}

fn make(data: &Path) -> Result<std::path::PathBuf, Failure> {
    let made = fs::create_dir_all(data).and_then(|()| data.canonicalize());
    made.map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to use the data directory {}: {error}", data.display()))
            .help("let this user write there, or name another (--data DIR)")
    })
}

/// The directory of executors' journals, by a path that holds in any sandbox.
fn make_journals(wanted: &Path) -> Result<std::path::PathBuf, Failure> {
    let made = fs::create_dir_all(wanted).and_then(|()| wanted.canonicalize());
    made.map_err(|error| {
        let what = format!("failed to use {} for executors' journals: {error}", wanted.display());
        Failure::new(Exit::Failed, what)
            .help("let this user write there, or name another directory (--journal-executors DIR)")
    })
}

fn open_trees(settings: &Settings, name: &Name, data: &Path) -> Result<Trees, Failure> {
    let means = match settings.process_trees {
        ProcessTrees::Auto => None,
        ProcessTrees::Cgroup => Some(Means::Cgroup),
        ProcessTrees::PidNamespace => Some(Means::PidNamespace),
        ProcessTrees::Subreaper => Some(Means::Subreaper),
    };
    let options = Options { name: name.to_string(), state: data.join("trees"), means };
    let trees = Trees::open(options).map_err(|error| Failure::because("keep process trees", &error))?;
    for (means, cause) in trees.passed_over() {
        tracing::info!(means = means.word(), cause, "a better means for process trees does not work here");
    }
    Ok(trees)
}

fn unusable_store(error: StoreError) -> Failure {
    let failure = Failure::because("read what an earlier start kept", &error);
    match error {
        StoreError::System { .. } => failure.help("let this user read and write there"),
        StoreError::Corrupt { path, .. } => failure.help(format!(
            "check the disk; to begin afresh as a new slave, move {} away: its tasks are then Lost",
            path.display()
        )),
    }
}

/// The executors of an earlier incarnation that live (R28). What else it left is no executor's, and is ended.
async fn leftovers(trees: &Trees, data: &Path) -> Result<Vec<(ExecutorId, Tree)>, Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::because("look after what an earlier start left running", error)
    };
    let left = trees.leftovers().map_err(|error| {
        let failure = cannot(&error);
        match error {
            OpenError::Damaged { tree, .. } => match tree.parse() {
                Ok(executor) => {
                    let sandbox = Sandboxes::new(data.join("sandboxes")).of(executor);
                    let sandbox = sandbox.display();
                    failure.help(format!("its processes were started in {sandbox} (`ls -l /proc/*/cwd`)"))
                }
                Err(_) => failure,
            },
            OpenError::Name(_)
            | OpenError::InUse(_)
            | OpenError::State { .. }
            | OpenError::Unavailable { .. } => failure,
        }
    })?;
    for ending in left.gone {
        match ending.survivors {
            Survivors::None => tracing::info!(tree = ending.tree, "ended since the last start"),
            Survivors::Alive(_) | Survivors::Unseen(_) => tracing::error!(
                tree = ending.tree, survivors = ?ending.survivors, "something may live of an earlier start"
            ),
        }
    }
    let mut executors = Vec::new();
    for tree in left.alive {
        match tree.name().parse() {
            Ok(executor) => executors.push((executor, tree)),
            Err(_) => {
                tree.end(None).await.map_err(|error| cannot(&error))?;
                tracing::info!(tree = tree.name(), "ended what an earlier start left running");
            }
        }
    }
    // In one order, whatever that of the records is.
    executors.sort_by_key(|(executor, _)| *executor);
    Ok(executors)
}

fn boot_id() -> std::io::Result<BootId> {
    let text = neap_process_tree::boot_id()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).map(BootId).map_err(std::io::Error::other)
}

fn resources(settings: &Settings) -> Resources {
    let ports = settings.ports.ranges().iter();
    Resources {
        cpus: settings.cpus.thousandths(),
        mem: settings.mem.bytes(),
        disk: settings.disk.bytes(),
        ports: ports.fold(resources::Ports::NONE, |all, &(first, last)| {
            all.union(&resources::Ports::range(first, last))
        }),
    }
}

/// This host's address as that master sees it, or any of its own where there is no way to it.
pub(crate) fn local(master: SocketAddr) -> IpAddr {
    let any = match master {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    // Nothing is sent: the system only chooses the way.
    let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(master)?;
        socket.local_addr()
    });
    chosen.map_or(any, |address| address.ip())
}

/// What others may dial: every address of this host is none.
fn reachable(listens: SocketAddr, local: IpAddr) -> SocketAddr {
    match listens.ip().is_unspecified() {
        true => SocketAddr::new(local, listens.port()),
        false => listens,
    }
}

/// Writes the slave's log.
fn tell(event: &Told) {
    match event {
        Told::Recovered { executors, ended, lost } => {
            tracing::info!(
                taken_up = executors,
                ended,
                tasks_lost = lost,
                "recovered: executors that it had left were taken up or ended, and tasks of theirs may be lost"
            );
        }
        Told::Registered { id, epoch } => tracing::info!(%id, %epoch, "registered"),
        Told::Deposed { epoch } => tracing::warn!(%epoch, "a deposed leader was not obeyed"),
        Told::Removed => tracing::warn!("removed for good: ends everything and registers afresh"),
        Told::Refused { cause } => tracing::error!(cause = cause.as_str(), "refused by the master"),
        Told::LaunchRefused { task, reason } => tracing::warn!(%task, %reason, "a task was not launched"),
        Told::ExecutorNotStarted { executor, cause } => {
            tracing::warn!(%executor, cause = cause.as_str(), "an executor could not be started");
        }
        Told::ExecutorExited { executor, how } => {
            tracing::warn!(%executor, ?how, "an executor ended while it had tasks");
        }
        Told::ExecutorSilent { executor } => {
            tracing::warn!(%executor, "an executor had no session for too long")
        }
        Told::ExecutorOverran { executor, task } => {
            tracing::warn!(%executor, %task, "an executor did not end a task in time, and is ended");
        }
        Told::ExecutorMisbehaved { executor } => tracing::warn!(%executor, "an executor misbehaved"),
        Told::StoreFailed { cause } => tracing::error!(
            cause = cause.as_str(),
            "the checkpoint could not be written, and a restart may forget; free space, or mend the disk"
        ),
        Told::Leaving => tracing::info!("leaves: no launches any more, and everything is ended"),
        Told::NothingLeft => tracing::info!("nothing is left running"),
        Told::Unregistered => tracing::info!("unregistered"),
        Told::NeverAdmitted => tracing::info!("no master had admitted it: exits, and there is none to tell"),
        Told::NobodyAnswered => {
            tracing::warn!(
                "no leader has acknowledged that it leaves: exits with 6, and the health check will find it gone"
            );
        }
    }
}
