//! Copies of the registry while a master has it open, for `neap registry` on the same host.
//!
//! A socket in the data directory takes a file that the asker has opened, empty, and answers with a word when
//! everything is in it. This user and root may ask; the master opens nothing by name.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::store::Work;

/// The socket's file in the data directory.
const SOCKET: &str = "registry.sock";

/// How many askers wait to be let in.
const BACKLOG: u32 = 4;

/// How long an asker has to hand its file over.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// What is answered when the copy is there; anything else is why it is not.
const DONE: &str = "done";

/// A master that makes copies.
#[derive(Debug)]
pub(super) struct Copies {
    /// `None`: the socket could not be had.
    listening: Option<(JoinHandle<()>, PathBuf)>,
}

impl Copies {
    /// Listens in `data`. Where that cannot be, the master does without, and says so.
    pub(super) fn listen(data: &Path, work: mpsc::Sender<Work>) -> Self {
        let listening = match bind(data) {
            Ok(listener) => Some((tokio::spawn(serve(listener, work)), data.join(SOCKET))),
            Err(error) => {
                let data = data.display();
                tracing::warn!(%error, %data, "the registry cannot be copied while this master runs");
                None
            }
        };
        Self { listening }
    }

    /// Takes the socket away.
    pub(super) async fn end(self) {
        if let Some((serving, socket)) = self.listening {
            serving.abort();
            let _ = serving.await;
            let _ = fs::remove_file(socket);
        }
    }
}

/// Has the master that runs on `data` write everything into `file`, which is open for reading and writing, and empty.
///
/// # Errors
/// No master answers there, or the copy could not be made.
pub(super) fn ask(data: &Path, file: &File) -> io::Result<()> {
    let (near, _directory) = near(data)?;
    let mut stream = StdStream::connect(near)?;
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(&stream, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.as_str() {
        DONE => Ok(()),
        "" => Err(io::Error::other("the master ended before it was done")),
        cause => Err(io::Error::other(cause.to_owned())),
    }
}

fn bind(data: &Path) -> io::Result<UnixListener> {
    // The registry is locked: whoever left it has ended.
    match fs::remove_file(data.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (near, _directory) = near(data)?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(near)?;
    // Before it listens, so that there is no moment at which others could connect.
    fs::set_permissions(data.join(SOCKET), fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}

/// A name of the socket that is short enough however long that of `data` is, while the directory is open.
fn near(data: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let directory =
        rustix::fs::open(data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    Ok((name.into(), directory))
}

async fn serve(listener: UnixListener, work: mpsc::Sender<Work>) {
    loop {
        match listener.accept().await {
            // One after the other: a copy reads the whole file.
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, &work).await {
                    tracing::warn!(%error, "a copy of the registry was not asked for as it should be");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the registry can no longer be copied while this master runs");
                return;
            }
        }
    }
}

async fn answer(stream: UnixStream, work: &mpsc::Sender<Work>) -> io::Result<()> {
    let file = tokio::time::timeout(HELLO_TIMEOUT, stream.async_io(Interest::READABLE, || receive(&stream)))
        .await??;
    let (done, copied) = oneshot::channel();
    let _ = work.send(Work::Copy { file, done });
    let answer = match copied.await {
        Ok(Ok(())) => DONE.to_owned(),
        Ok(Err(cause)) => cause,
        Err(_) => "the master is stopping".to_owned(),
    };
    tracing::info!(answer, "the registry was copied");
    stream.writable().await?;
    // Shorter than what a socket that was just opened holds.
    stream.try_write(answer.as_bytes()).map(drop)
}

fn receive(stream: &UnixStream) -> io::Result<File> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut rights = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message {
            rights = files.next();
        }
    }
    rights.map(File::from).ok_or_else(|| io::Error::other("no file came with it"))
}
