//! The slave's side: a socket that lets its executors in.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use neap_protocol::journal::LinkId;
use neap_protocol::text::Name;
use neap_protocol::transport::{CloseCode, CloseReason, Closed, Peer, Role};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::hello::{parse_hello, welcome};
use crate::session::{UnixSession, Wire};
use crate::socket::{PATH_LEN_MAX, fits};
use crate::token::Token;
use crate::wire::{Decoder, Item};

/// The most executors that are saying hello at once; more of them wait in the system's queue.
const HELLOS_MAX: usize = 128;

/// How long that queue is.
const BACKLOG: u32 = 1024;

/// How long an executor may take for its hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether an executor's name and token belong together.
type Check = dyn Fn(&Name, &Token) -> bool + Send + Sync;

/// Lets executors in. Dropping it removes the socket.
pub struct Listener {
    socket: UnixListener,
    file: SocketFile,
    slave: Name,
    check: Arc<Check>,
    hello_timeout: Duration,
    room: Arc<Semaphore>,
    hellos: JoinSet<Result<UnixSession, Refusal>>,
}

impl Listener {
    /// Binds `path` for the slave of this name. `check` says whether a name and a token belong together; it must
    /// not block. A socket that nobody listens on any more is removed first. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] names the path and the cure.
    pub fn bind(
        path: &Path,
        slave: Name,
        check: impl Fn(&Name, &Token) -> bool + Send + Sync + 'static,
    ) -> Result<Self, BindError> {
        if !fits(path) {
            return Err(BindError::PathTooLong { path: path.to_owned() });
        }
        remove_stale(path)?;
        let failed = |source| BindError::System { path: path.to_owned(), source };
        let socket = UnixSocket::new_stream().map_err(failed)?;
        socket.bind(path).map_err(failed)?;
        let file = SocketFile::of(path).map_err(failed)?;
        // Before `listen`, so that there is no moment at which others could connect.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            socket: socket.listen(BACKLOG).map_err(failed)?,
            file,
            slave,
            check: Arc::new(check),
            hello_timeout: HELLO_TIMEOUT,
            room: Arc::new(Semaphore::new(HELLOS_MAX)),
            hellos: JoinSet::new(),
        })
    }

    /// Allows another time for hellos than [`HELLO_TIMEOUT`].
    pub fn hello_timeout(mut self, timeout: Duration) -> Self {
        self.hello_timeout = timeout;
        self
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The next session with an executor, or who was refused and why, for the log. Hellos go on side by side while
    /// it is awaited again and again; cancelling the future loses nothing.
    ///
    /// # Errors
    /// What the system says when it has no descriptors or memory left for one more: wait before the next call.
    pub async fn accept(&mut self) -> io::Result<Result<UnixSession, Refusal>> {
        loop {
            let room = Arc::clone(&self.room);
            let connection = async {
                // The semaphore is never closed.
                let permit = room.acquire_owned().await.ok();
                (permit, self.socket.accept().await)
            };
            tokio::select! {
                // First what is done, so that what waits to be taken stays within the bound.
                biased;
                Some(done) = self.hellos.join_next() => match done {
                    Ok(outcome) => return Ok(outcome),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                (permit, connection) = connection => self.admit(connection?.0, permit),
            }
        }
    }

    fn admit(&mut self, stream: UnixStream, permit: Option<OwnedSemaphorePermit>) {
        let (slave, check, timeout) = (self.slave.clone(), Arc::clone(&self.check), self.hello_timeout);
        self.hellos.spawn(async move {
            let _permit = permit;
            let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
            let outcome = let_in(stream, &slave, &*check, timeout).await;
            outcome.map_err(|cause| Refusal { pid, cause })
        });
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("path", &self.file.path).finish_non_exhaustive()
    }
}

/// Somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The process that connected, where the system says so. It may have ended since.
    pub pid: Option<i32>,
    /// Why, and what to do.
    pub cause: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "refused process {pid}: {}", self.cause),
            None => write!(f, "refused a process: {}", self.cause),
        }
    }
}

/// Why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each has the socket's path and what the system said")]
pub enum BindError {
    /// The path is longer than a socket's may be.
    #[error("the path {} has {} bytes, a socket's has at most {PATH_LEN_MAX}: choose a shorter work directory",
        path.display(), path.as_os_str().len())]
    PathTooLong { path: PathBuf },
    /// Somebody listens there.
    #[error("somebody listens on {} already: stop that slave, or choose another work directory", path.display())]
    InUse { path: PathBuf },
    /// There is something else.
    #[error("{} is there and is no socket: move it away, or choose another work directory", path.display())]
    NoSocket { path: PathBuf },
    /// The system refused.
    #[error("failed to listen on {}: {source}", path.display())]
    System { path: PathBuf, source: io::Error },
}

/// A bound socket's file, which goes with it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), device_and_inode: device_and_inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A newer slave may have put its own there.
        if device_and_inode(&self.path).is_ok_and(|at_path| at_path == self.device_and_inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Removes a socket that a dead slave left; refuses what is anything else.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System { path: path.to_owned(), source };
    let path_of = || path.to_owned();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(BindError::NoSocket { path: path_of() }),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(system)
        }
        // Connected, or its queue is full: somebody is there.
        Ok(_) | Err(_) => Err(BindError::InUse { path: path_of() }),
    }
}

async fn let_in(
    stream: UnixStream,
    slave: &Name,
    check: &Check,
    timeout: Duration,
) -> Result<UnixSession, String> {
    let user = stream.peer_cred().map(|cred| cred.uid());
    let wire = Wire::new(stream);
    let (outcome, decoder) = match user {
        Err(error) => (Err(format!("the system does not say who it is: {error}")), Decoder::default()),
        Ok(uid) if uid != rustix::process::geteuid().as_raw() => {
            let cause = format!("it is of user {uid}: executors run as the slave's user");
            (Err(cause), Decoder::default())
        }
        Ok(_) => {
            let mut decoder = Decoder::default();
            let heard = tokio::time::timeout(timeout, hear(&wire, &mut decoder, check)).await;
            let late = || Err(format!("its hello did not come within {timeout:?}"));
            (heard.unwrap_or_else(|_elapsed| late()), decoder)
        }
    };
    let name = outcome.inspect_err(|cause| {
        let reason = CloseReason { code: CloseCode::Forbidden, detail: cause.as_str().into() };
        wire.end(Closed::Local(reason.clone()), Some(&reason));
    })?;
    let role = Role::Executor;
    let link = fresh_link();
    wire.write(&welcome(slave, link), &[]).await.map_err(|error| format!("it hung up: {error}"))?;
    Ok(UnixSession::new(wire, decoder, Peer { role, name }, link))
}

/// What no other session is called: the system keys each hasher anew.
fn fresh_link() -> LinkId {
    LinkId(RandomState::new().hash_one(()).to_le_bytes())
}

/// The name that comes with its own token.
async fn hear(wire: &Wire, decoder: &mut Decoder, check: &Check) -> Result<Name, String> {
    let (name, token) = match wire.next(decoder).await {
        Ok(Item::Frame(frame)) => parse_hello(&frame)?,
        Ok(Item::Finish | Item::Close(_)) => return Err("it hung up before its hello".to_owned()),
        Err(closed) => return Err(format!("its hello did not come: {closed}")),
    };
    match check(&name, &token) {
        true => Ok(name),
        false => Err(format!(
            "the token is not that of executor {name}: pass the environment on as the slave gave it"
        )),
    }
}
