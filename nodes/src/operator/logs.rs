//! `neap logs`: the master says where a task is or was, and the slave there gives what it wrote.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use neap_protocol::codec;
use neap_protocol::ids::{ExecutorId, TaskId};
use neap_protocol::message::{
    Answer, Command, LogStream, OperatorToSlave, Query, Refusal, SlaveRef, SlaveStatus, SlaveToOperator,
    SlaveView, TaskView,
};
use neap_protocol::transport::{ReceiveHalf, SendHalf};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::client::Live;
use super::{Operator, Problem, unexpected};
use crate::exit::Exit;
use crate::near;
use crate::output::{Failure, Format};
use crate::shutdown::{Signal, Signals};

/// How many chunks wait for the terminal, or whatever stdout is, before no more are read.
const WAITING_MAX: usize = 2;

impl Operator {
    pub(super) async fn logs(&mut self, task: TaskId, follow: bool) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        // To have followed for a while is all that was asked for; to have had a part of what there is, is not.
        let interrupted = if follow { Exit::Success } else { Exit::Detached };
        let (source, mut live) = tokio::select! {
            () = told_to_end(&mut signals) => return Ok(interrupted),
            reached = self.reach(task) => reached?,
        };
        // It may be long, and the master has said all that is needed.
        self.client.disconnect().await;
        let output = Output::start(task, self.printer.format())?;
        let ended = tokio::select! {
            () = told_to_end(&mut signals) => Ok(interrupted),
            read = source.read(&mut live, follow, output) => read.map(|()| Exit::Success),
        };
        live.close().await;
        ended
    }

    async fn reach(&mut self, task: TaskId) -> Result<(Source, Live), Failure> {
        let source = self.find(task).await?;
        let live = self.dial(&source).await?;
        Ok((source, live))
    }

    /// Where a task is, or was.
    async fn find(&mut self, task: TaskId) -> Result<Source, Failure> {
        let view = match self.client.ask(Command::Show(Query::Task(task))).await {
            Ok(Answer::Tasks(page)) => page.items.into_iter().next().ok_or_else(unexpected)?,
            Ok(_) => return Err(unexpected()),
            Err(Problem::Refused(Refusal::UnknownTask(_))) => return Err(self.unknown_task(task).await?),
            Err(problem) => return Err(problem.into()),
        };
        // The slave as it is now: its address may be another one than when the task ended. One that has left may
        // have come back under a new id, with the same data.
        let names = [SlaveRef::Id(view.slave), SlaveRef::Name(view.slave_name.clone())];
        for name in names {
            match self.client.ask(Command::Show(Query::Slave(name))).await {
                Ok(Answer::Slaves(page)) => {
                    let slave = page.items.into_iter().next().ok_or_else(unexpected)?;
                    return Ok(Source { task: view, slave });
                }
                Ok(_) => return Err(unexpected()),
                Err(Problem::Refused(
                    Refusal::RemovedSlave(_) | Refusal::UnknownSlave(_) | Refusal::SlaveLeft { .. },
                )) => {}
                Err(problem) => return Err(problem.into()),
            }
        }
        Err(left(&view))
    }

    /// The refusal of a task of which the master knows nothing.
    async fn unknown_task(&mut self, task: TaskId) -> Result<Failure, Failure> {
        let mut known = self.tasks().await?;
        if let Answer::Tasks(page) = self.client.ask(Command::Show(Query::Ended { after: None })).await? {
            known.extend(page.items);
        }
        let known: Vec<String> = known.iter().map(|view| view.id.to_string()).collect();
        let known = known.iter().map(String::as_str);
        let failure = near::unknown("task", &task.to_string(), known, "neap tasks");
        Ok(failure.help("`neap events` lists those that ended since this master leads"))
    }

    async fn dial(&self, source: &Source) -> Result<Live, Failure> {
        let slave = &source.slave;
        let address = slave.address.as_str();
        let connected = match address.parse::<SocketAddr>() {
            Ok(address) if !address.ip().is_unspecified() => self.client.slave(address, &slave.name).await,
            Ok(_) | Err(_) => Err(format!("it is registered at {address:?}, which is no address to dial")),
        };
        connected.map_err(|cause| {
            let message = format!("failed to reach {}, where {} ran: {cause}", source.name(), source.task.id);
            let failure = Failure::new(Exit::Failed, message);
            match slave.status {
                // It may have died a moment ago: the master learns of that by the silence.
                SlaveStatus::Active
                | SlaveStatus::Held
                | SlaveStatus::Draining
                | SlaveStatus::Drained
                | SlaveStatus::Leaving => failure
                    .help("to the master it is there: if it has just died, start it again, and ask again")
                    .help(
                        "if it has not, look for a firewall on the way there, or set listen in its [slave] to an \
                         address that can be reached from here",
                    ),
                SlaveStatus::Silent => failure.help(
                    "it does not answer the master, either: see whether it is stopped or its host overloaded, and ask \
                     again",
                ),
                SlaveStatus::Awaited | SlaveStatus::Disconnected | SlaveStatus::Unreachable => failure.help(
                    format!("to the master it is {}, too: start it again, and ask again", slave.status),
                ),
            }
        })
    }
}

/// SIGINT or SIGTERM.
async fn told_to_end(signals: &mut Signals) {
    while signals.next().await == Signal::DrainNow {}
}

/// The failure to read from a slave that is not any more.
fn left(task: &TaskView) -> Failure {
    let TaskView { id, slave, slave_name, .. } = task;
    let executor = ExecutorId { framework: id.framework, number: id.number };
    let message = format!("{id} ran on {slave_name} ({slave}), which has left for good");
    Failure::new(Exit::Refused, message)
        .help(format!(
            "what it wrote is on that host, in sandboxes/{}/{executor} of the slave's data",
            id.framework
        ))
        .help("a slave that is started there again, with the same data, gives it out")
}

/// A task, and the slave that has what it wrote.
struct Source {
    task: TaskView,
    slave: SlaveView,
}

impl Source {
    fn name(&self) -> String {
        format!("{} ({})", self.slave.name, self.slave.id)
    }

    /// Reads both streams to their ends, and prints them.
    async fn read(&self, live: &mut Live, follow: bool, mut output: Output) -> Result<(), Failure> {
        for stream in LogStream::ALL {
            let request = OperatorToSlave::Read { task: self.task.id, stream, from: 0, follow };
            let frame = codec::encode(&request).map_err(|error| Failure::because("ask the slave", &error))?;
            if live.send.send(&frame).await.is_err() {
                // It has ended the session; what it said before that is still to be read, and says why.
                break;
            }
        }
        let mut open = LogStream::ALL.len();
        while open > 0 {
            let frame = live.receive.receive().await.map_err(|closed| self.lost(&closed.to_string()))?;
            let message = codec::decode(&frame)
                .map_err(|error| Failure::because("read what the slave answered", &error))?;
            match message {
                SlaveToOperator::Chunk { stream, data, at: _ } => output.print(stream, data).await?,
                SlaveToOperator::End { .. } => open -= 1,
                SlaveToOperator::Refused { refusal, .. } => {
                    // What was read before comes first.
                    output.end().await?;
                    let message = format!("nothing of {} from {}: {refusal}", self.task.id, self.name());
                    return Err(Failure::new(Exit::Refused, message).help(refusal.advice()));
                }
            }
        }
        output.end().await
    }

    fn lost(&self, cause: &str) -> Failure {
        let message = format!("the session with {} was lost: {cause}", self.name());
        Failure::new(Exit::Failed, message)
            .help("what it had sent is printed; see `neap slaves`, and ask again once it is back")
    }
}

/// Prints on a thread of its own: a terminal that is stopped, or a pipe that nobody reads, must keep neither the
/// session from being kept alive nor Ctrl-C from being heard.
struct Output {
    chunks: mpsc::Sender<(LogStream, Arc<[u8]>)>,
    printed: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    fn start(task: TaskId, format: Format) -> Result<Self, Failure> {
        let (chunks, waiting) = mpsc::channel(WAITING_MAX);
        let (done, printed) = oneshot::channel();
        let thread = thread::Builder::new().name("output".into()).spawn(move || {
            let result = match format {
                Format::Text => print(waiting),
                Format::Json => print_json(task, waiting),
            };
            // The command may have been told to end meanwhile.
            let _gone = done.send(result);
        });
        thread.map_err(|error| Failure::because("start the thread that prints", &error))?;
        Ok(Self { chunks, printed })
    }

    /// Prints a chunk; waits while too many wait.
    async fn print(&mut self, stream: LogStream, data: Arc<[u8]>) -> Result<(), Failure> {
        match self.chunks.send((stream, data)).await {
            Ok(()) => Ok(()),
            Err(_stopped) => wait(&mut self.printed).await,
        }
    }

    /// Waits until everything is printed.
    async fn end(self) -> Result<(), Failure> {
        let Self { chunks, mut printed } = self;
        drop(chunks);
        wait(&mut printed).await
    }
}

async fn wait(printed: &mut oneshot::Receiver<io::Result<()>>) -> Result<(), Failure> {
    Ok(printed.await.map_err(|error| Failure::because("print", &error))??)
}

/// Byte for byte, each stream to its own.
fn print(mut chunks: mpsc::Receiver<(LogStream, Arc<[u8]>)>) -> io::Result<()> {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    while let Some((stream, data)) = chunks.blocking_recv() {
        match stream {
            LogStream::Stdout => out.write_all(&data).and_then(|()| out.flush())?,
            LogStream::Stderr => err.write_all(&data)?,
        }
    }
    Ok(())
}

fn print_json(task: TaskId, mut chunks: mpsc::Receiver<(LogStream, Arc<[u8]>)>) -> io::Result<()> {
    let mut out = io::stdout();
    let mut streams = LogStream::ALL.map(|stream| (stream, Lines::default()));
    while let Some((of, data)) = chunks.blocking_recv() {
        for (stream, lines) in streams.iter_mut().filter(|(stream, _)| *stream == of) {
            for line in lines.take(&data) {
                write_json(&mut out, task, *stream, &line)?;
            }
        }
        out.flush()?;
    }
    for (stream, lines) in streams {
        if let Some(line) = lines.rest() {
            write_json(&mut out, task, stream, &line)?;
        }
    }
    out.flush()
}

fn write_json(out: &mut impl Write, task: TaskId, stream: LogStream, data: &Data) -> io::Result<()> {
    let line = Line { task: task.to_string(), stream: stream.as_str(), data };
    let mut line = serde_json::to_vec(&line)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// What a program reads: all `data` and `hex` of a stream in a row are what the task wrote to it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    task: String,
    stream: &'static str,
    #[serde(flatten)]
    data: &'a Data,
}

/// A line, its end included, or a part of one.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Data {
    #[serde(rename = "data")]
    Text(String),
    /// What is no UTF-8, each byte as two digits.
    Hex(String),
}

impl Data {
    fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

/// Makes lines of chunks.
#[derive(Debug, Default)]
struct Lines {
    /// The begin of a character whose end is in the next chunk.
    torn: Vec<u8>,
}

impl Lines {
    fn take(&mut self, chunk: &[u8]) -> Vec<Data> {
        let mut bytes = std::mem::take(&mut self.torn);
        bytes.extend_from_slice(chunk);
        let last = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if let Err(error) = std::str::from_utf8(&bytes[last..])
            && error.error_len().is_none()
        {
            self.torn = bytes.split_off(last + error.valid_up_to());
        }
        bytes.split_inclusive(|byte| *byte == b'\n').map(Data::new).collect()
    }

    fn rest(self) -> Option<Data> {
        (!self.torn.is_empty()).then(|| Data::new(&self.torn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Data {
        Data::Text(text.into())
    }

    #[test]
    fn lines_are_texts_and_what_is_none_is_told_in_digits() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\n\ntwo\nthr"), [text("one\n"), text("\n"), text("two\n"), text("thr")]);
        assert_eq!(lines.take(b"ee\n\0\xff\n"), [text("ee\n"), Data::Hex("00ff0a".into())]);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_character_is_not_torn_by_the_end_of_a_chunk() {
        let word = "naïve €".as_bytes();
        for cut in 0..=word.len() {
            let mut lines = Lines::default();
            let mut all = lines.take(&word[..cut]);
            all.extend(lines.take(&word[cut..]));
            all.extend(lines.rest());
            let joined: String = all
                .iter()
                .map(|data| match data {
                    Data::Text(text) => text.as_str(),
                    Data::Hex(hex) => panic!("torn at {cut}: {hex}"),
                })
                .collect();
            assert_eq!(joined, "naïve €");
        }
        let mut cut_off = Lines::default();
        assert_eq!(cut_off.take(b"a\xe2\x82"), [text("a")]);
        assert_eq!(cut_off.rest(), Some(Data::Hex("e282".into())));
    }
}
