//! The slave's process trees: where executors run, with what, and how their ends are told.
//!
//! The built-in executor is copied from a template where trees are kept by control groups, and executed elsewhere, or
//! while there is no template that answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use neap_process_tree::template::{CopyError, Offspring, Template};
use neap_process_tree::{Command, Ending, Exit, Means, Output, Survivors, Tree, Trees};
use neap_protocol::codec::SIGNALS_MAX;
use neap_protocol::ids::ExecutorId;
use neap_protocol::slave::{Input, Program};
use neap_protocol::task::{self, SignalSent};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_transport_unix::Token;
use tokio::sync::mpsc;

use super::dispatch::Event;
use super::sandboxes::Sandboxes;
use super::secret::Secret;
use crate::executor::{Birth, JOURNAL_ENV, NAME_ENV, RECOVERY_ENV, SOCKET_ENV, TOKEN_ENV};

/// How long after a refused kill or wait it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which executors may come in, and by which secrets. The socket's listener asks it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted(Arc<Mutex<BTreeMap<Name, (ExecutorId, Token)>>>);

impl Admitted {
    pub(super) fn knows(&self, name: &Name, token: &Token) -> bool {
        self.with(|known| known.get(name).is_some_and(|(_, given)| given == token))
    }

    pub(super) fn executor(&self, name: &Name) -> Option<ExecutorId> {
        self.with(|known| known.get(name).map(|(executor, _)| *executor))
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Name, (ExecutorId, Token)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What launches executors.
#[derive(Debug)]
pub(super) struct Nursery {
    pub(super) trees: Trees,
    /// What the built-in executor is copied from, once one was wanted.
    pub(super) template: Option<Template>,
    /// The program `neap`, for the built-in executor.
    pub(super) program: PathBuf,
    /// The slave's data directory.
    pub(super) data: PathBuf,
    pub(super) sandboxes: Sandboxes,
    pub(super) socket: PathBuf,
    pub(super) recovery_timeout: Millis,
    /// The directory of its executors' journals, if they are recorded, and this slave's name.
    pub(super) journals: Option<(PathBuf, Name)>,
    pub(super) secret: Secret,
    pub(super) admitted: Admitted,
    pub(super) living: BTreeMap<ExecutorId, Tree>,
}

impl Nursery {
    /// Starts an executor, and tells of its first process's end and of its tree's.
    ///
    /// # Errors
    /// Why nothing of it runs.
    pub(super) fn launch(
        &mut self,
        executor: ExecutorId,
        program: &Program,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), String> {
        let name = Name::new(&executor.to_string()).map_err(|error| error.to_string())?;
        let token = self.secret.token(executor);
        let sandbox = self.sandboxes.of(executor);
        std::fs::create_dir_all(&sandbox)
            .map_err(|error| format!("failed to make the sandbox {}: {error}", sandbox.display()))?;
        let birth = Birth {
            socket: self.socket.clone(),
            name: executor.to_string(),
            token: token.to_hex(),
            recovery_ms: self.recovery_timeout.0,
            journal: self
                .journals
                .as_ref()
                .map(|(directory, slave)| directory.join(format!("{slave}.{executor}.journal"))),
        };
        // Before the launch: the executor may be quicker than this.
        self.admitted.with(|known| known.insert(name.clone(), (executor, token)));
        let tree = self.start(program, birth, sandbox).inspect_err(|_| {
            self.admitted.with(|known| known.remove(&name));
        })?;
        tracing::info!(%executor, pid = tree.pid(), "executor launched");
        self.living.insert(executor, tree.clone());
        tokio::spawn(watch(executor, tree, events.clone()));
        Ok(())
    }

    /// Takes up an executor that an earlier incarnation launched (R28): it may come in, and its end is told.
    pub(super) fn take_up(&mut self, executor: ExecutorId, tree: Tree, events: &mpsc::Sender<Event>) {
        if let Ok(name) = Name::new(&executor.to_string()) {
            self.admitted.with(|known| known.insert(name, (executor, self.secret.token(executor))));
        }
        self.living.insert(executor, tree.clone());
        tokio::spawn(watch(executor, tree, events.clone()));
    }

    fn start(&mut self, program: &Program, birth: Birth, sandbox: PathBuf) -> Result<Tree, String> {
        let command = match program {
            Program::BuiltIn => match self.copy(&birth, &sandbox)? {
                Some(tree) => return Ok(tree),
                None => {
                    Command::new(&birth.name, &self.program, sandbox).arguments([crate::executor::COMMAND])
                }
            },
            Program::Custom(custom) => {
                let command = Command::new(&birth.name, &custom.program, sandbox);
                custom
                    .environment
                    .iter()
                    .fold(command.arguments(&custom.arguments), |command, (name, value)| {
                        command.variable(name, value)
                    })
            }
        };
        let mut command = inheriting(command)
            .variable(SOCKET_ENV, birth.socket)
            .variable(NAME_ENV, birth.name)
            .variable(TOKEN_ENV, birth.token)
            .variable(RECOVERY_ENV, birth.recovery_ms.to_string());
        if let Some(file) = birth.journal {
            command = command.variable(JOURNAL_ENV, file);
        }
        [command.stdout, command.stderr] = streams();
        self.trees.launch(&command).map_err(|error| error.to_string())
    }

    /// Copies the built-in executor; `None` where it must be executed.
    fn copy(&mut self, birth: &Birth, sandbox: &Path) -> Result<Option<Tree>, String> {
        if self.template.is_none() {
            self.make_template();
        }
        let Some(template) = &self.template else { return Ok(None) };
        let [stdout, stderr] = streams();
        let offspring = Offspring {
            name: birth.name.clone(),
            directory: sandbox.to_owned(),
            stdout,
            stderr,
            word: postcard::to_allocvec(birth).map_err(|error| error.to_string())?,
        };
        match self.trees.copy(template, &offspring) {
            Ok(tree) => Ok(Some(tree)),
            Err(CopyError::Launch(error)) => Err(error.to_string()),
            Err(error @ CopyError::Template(_)) => {
                tracing::warn!(%error, "executes it instead");
                self.template = None;
                Ok(None)
            }
        }
    }

    /// Makes the template, where one can be of use. It is in no tree, and ends with the slave.
    pub(super) fn make_template(&mut self) {
        match self.trees.means() {
            Means::Cgroup => {}
            Means::PidNamespace | Means::Subreaper => return,
        }
        let command = Command::new("template", &self.program, "/")
            .arguments([crate::executor::TEMPLATE.into(), self.data.clone().into_os_string()]);
        let mut command = inheriting(command);
        [command.stdout, command.stderr] = [Output::Null, Output::File(self.data.join("template.stderr"))];
        match Template::start(&command) {
            Ok(template) => self.template = Some(template),
            Err(error) => tracing::warn!(%error, "executors will be executed, and not copied"),
        }
    }

    /// SIGTERM to a tree. The built-in executor waits for one child, its task's process: where that has ended already the
    /// executor is about to say so, and must not take a SIGTERM for what ended it (R12a).
    pub(super) fn terminate(&self, executor: ExecutorId, own: bool) {
        if let Some(tree) = self.living.get(&executor) {
            match !own && tree.leader_lost_a_child() {
                true => tree.terminate_but_leader(),
                false => tree.terminate(),
            }
        }
    }

    /// Ends a tree by force, and does not give up.
    pub(super) fn kill(&self, executor: ExecutorId) {
        let Some(tree) = self.living.get(&executor).cloned() else {
            return;
        };
        let Err(error) = tree.kill() else {
            return;
        };
        tracing::error!(%executor, %error, "a process tree is not ended yet");
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETRY).await;
                match tree.kill() {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%executor, %error, "a process tree is not ended yet"),
                }
            }
        });
    }

    /// Nothing is left of an executor: its secret is worth nothing any more.
    pub(super) fn gone(&mut self, executor: ExecutorId) {
        self.living.remove(&executor);
        self.admitted.with(|known| known.retain(|_, (known, _)| *known != executor));
    }
}

/// The files of an executor's own streams, in its sandbox.
fn streams() -> [Output; 2] {
    ["executor.stdout", "executor.stderr"].map(|file| Output::File(file.into()))
}

/// What executors, and so their tasks, have of the slave's environment, where nothing else is said.
fn inheriting(command: Command) -> Command {
    let inherited = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", crate::log::LOG_ENV];
    let given = |command: &Command, name| command.environment.iter().any(|(given, _)| given == name);
    inherited.into_iter().fold(command, |command, name| match std::env::var_os(name) {
        Some(value) if !given(&command, name) => command.variable(name, value),
        Some(_) | None => command,
    })
}

/// Tells of the end of a tree's first process, then of the tree's.
async fn watch(executor: ExecutorId, tree: Tree, events: mpsc::Sender<Event>) {
    match tree.wait_leader().await {
        Ok(exit) => {
            let how = match exit {
                Exit::Code(code) => Some(task::Exit::Code(code)),
                Exit::Signal(signal) => Some(task::Exit::Signal(signal)),
                Exit::Unknown => None,
            };
            let _over = events.send(Event::Input(Input::Exited { executor, how })).await;
        }
        Err(error) => tracing::error!(%executor, %error, "the executor is not watched"),
    }
    loop {
        match tree.seen_dead().await {
            Ok(ending) => {
                let _over =
                    events.send(Event::TreeGone { executor, ending: Arc::new(mapped(&ending)) }).await;
                return;
            }
            Err(error) => tracing::error!(%executor, %error, "a process tree is not seen dead yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The ending in the words of the receipt (R23a).
fn mapped(ending: &Ending) -> task::Ending {
    let mut counted: BTreeMap<(u64, u8), u32> = BTreeMap::new();
    let mut unseen = Vec::new();
    for seen in &ending.processes {
        for sent in &seen.signals {
            match &sent.refused {
                None => {
                    *counted.entry((sent.at_ms, u8::try_from(sent.signal).unwrap_or(0))).or_default() += 1
                }
                Some(why) => unseen.push(format!(
                    "signal {} to process {} ({}) was refused: {why}",
                    sent.signal, seen.pid, seen.command
                )),
            }
        }
    }
    if ending.processes_more > 0 {
        unseen.push(format!("{} more processes were signalled and are not named", ending.processes_more));
    }
    match &ending.survivors {
        Survivors::None => {}
        Survivors::Alive(count) => unseen.push(format!("{count} processes were alive")),
        Survivors::Unseen(why) => unseen.push(format!("whether something is left could not be seen: {why}")),
    }
    let signals = counted.into_iter().take(SIGNALS_MAX).map(|((at, signal), processes)| SignalSent {
        at: Moment(at),
        signal,
        processes,
    });
    task::Ending {
        signals: signals.collect(),
        leader: ending.leader.map_or(Text::EMPTY, |leader| Text::from(leader.to_string())),
        seen_dead: ending.seen_dead_at_ms.map(Moment),
        unseen: Text::from(unseen.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_process_tree::{Seen, Sent};

    #[test]
    fn endings_are_told_by_signal_and_time_and_hide_nothing() {
        let seen = |pid, signals: &[(i32, u64, Option<&str>)]| Seen {
            pid,
            start_time: 1,
            command: "sh".into(),
            signals: signals
                .iter()
                .map(|(signal, at_ms, refused)| Sent {
                    signal: *signal,
                    at_ms: *at_ms,
                    refused: refused.map(Into::into),
                })
                .collect(),
        };
        let ending = Ending {
            tree: "F1.x1".into(),
            means: Means::Subreaper,
            leader: Some(Exit::Signal(9)),
            processes: vec![
                seen(7, &[(15, 10, None), (9, 20, None)]),
                seen(8, &[(9, 20, None), (15, 10, Some("EPERM"))]),
            ],
            processes_more: 3,
            seen_dead_at_ms: None,
            survivors: Survivors::Unseen("the supervisor was killed".into()),
        };
        let told = mapped(&ending);
        let sent = |at, signal, processes| SignalSent { at: Moment(at), signal, processes };
        assert_eq!(told.signals, [sent(10, 15, 1), sent(20, 9, 2)]);
        assert_eq!((told.leader.as_str(), told.seen_dead), ("killed by signal 9", None));
        for part in ["process 8 (sh) was refused: EPERM", "3 more processes", "the supervisor was killed"] {
            assert!(told.unseen.as_str().contains(part), "{part}: {:?}", told.unseen);
        }
    }
}
