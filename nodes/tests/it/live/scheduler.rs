//! A framework inside this process, so that times are those of a scheduler's callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use neap_nodes::config::Connection;
use neap_nodes::framework::{self, Driver, End, NewRun, NewTask, Scheduler, Settings, State};
use neap_nodes::output::Failure;
use neap_nodes::shutdown::Signal;
use neap_protocol::framework::Config;
use neap_protocol::ids::{OfferId, SlaveId};
use neap_protocol::message::Offered;
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;

/// A callback of the scheduler.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Offers(Vec<Offered>),
    Rescinded(Vec<OfferId>),
    Update(Update),
}

impl Said {
    /// The news that a task runs.
    pub(crate) fn running(self) -> Option<Update> {
        self.update().filter(|update| update.state == TaskState::Running)
    }

    /// The news of a task's end.
    pub(crate) fn end(self) -> Option<Update> {
        self.update().filter(|update| update.state.is_terminal())
    }

    fn update(self) -> Option<Update> {
        match self {
            Self::Update(update) => Some(update),
            Self::Offers(_) | Self::Rescinded(_) => None,
        }
    }
}

/// A running framework; it is torn down with this value.
pub(crate) struct Framework {
    heard: mpsc::Receiver<(Instant, Said)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<End, Failure>>>,
}

impl Framework {
    /// Starts one, whose scheduler does `act` in each callback.
    pub(crate) fn start(
        connection: Connection,
        act: impl FnMut(&Said, &mut Driver) + Send + 'static,
    ) -> Self {
        let (tell, heard) = mpsc::channel();
        let stop = Arc::<AtomicBool>::default();
        let mut relay = Relay { act, tell, stop: Arc::clone(&stop), stopping: false };
        let config = Config::new(Name::new("live").expect("a name"));
        let settings = Settings { connection, config, state: State::none(), journal: None };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(framework::run(&mut relay, settings))
        });
        Self { heard, stop, thread: Some(thread) }
    }

    /// The next callback, and when it was made.
    pub(crate) fn next(&self, patience: Duration) -> Result<(Instant, Said), String> {
        let heard = self.heard.recv_timeout(patience);
        heard.map_err(|error| format!("the scheduler was not called within {patience:?}: {error}"))
    }

    /// Waits for so many callbacks that `wanted` picks: when each was made, and what it was.
    pub(crate) fn until<T>(
        &self,
        count: usize,
        patience: Duration,
        wanted: impl Fn(Said) -> Option<T>,
    ) -> Result<Vec<(Instant, T)>, String> {
        let give_up = Instant::now() + patience;
        let mut found = Vec::with_capacity(count);
        loop {
            let (at, said) = self.next(give_up.saturating_duration_since(Instant::now()))?;
            found.extend(wanted(said).map(|said| (at, said)));
            if found.len() >= count {
                return Ok(found);
            }
        }
    }
}

impl Drop for Framework {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// A task that holds 1 of a slave's cpus.
pub(crate) fn task(command: Command, kill_grace: Millis) -> NewTask {
    NewTask {
        name: Name::new("live").expect("a name"),
        resources: Resources::new(1000, 1 << 20),
        kill_grace,
        fence_after: None,
        run: NewRun::Command(Arc::new(command)),
    }
}

/// Hands every callback on.
struct Relay<A> {
    act: A,
    tell: mpsc::Sender<(Instant, Said)>,
    stop: Arc<AtomicBool>,
    stopping: bool,
}

impl<A: FnMut(&Said, &mut Driver)> Relay<A> {
    fn relay(&mut self, driver: &mut Driver, said: Said) {
        let at = Instant::now();
        (self.act)(&said, driver);
        // Whoever listened may have heard enough.
        let _over = self.tell.send((at, said));
    }
}

impl<A: FnMut(&Said, &mut Driver)> Scheduler for Relay<A> {
    fn started(&mut self, driver: &mut Driver) {
        driver.wake_at(Instant::now() + STOP_PERIOD);
    }

    fn woken(&mut self, driver: &mut Driver) {
        let now = Instant::now();
        match (self.stop.load(Ordering::Relaxed), self.stopping) {
            (false, _) => driver.wake_at(now + STOP_PERIOD),
            (true, false) => {
                self.stopping = true;
                driver.teardown();
                driver.wake_at(now + TEARDOWN_TIMEOUT);
            }
            // The master may be gone.
            (true, true) => driver.leave(),
        }
    }

    fn offers(&mut self, driver: &mut Driver, offers: Vec<Offered>) {
        self.relay(driver, Said::Offers(offers));
    }

    fn rescinded(&mut self, driver: &mut Driver, offers: Vec<OfferId>) {
        self.relay(driver, Said::Rescinded(offers));
    }

    fn update(&mut self, driver: &mut Driver, update: &Update, _slave: SlaveId) {
        self.relay(driver, Said::Update(update.clone()));
    }

    /// Meant for the process that this framework is in.
    fn signalled(&mut self, driver: &mut Driver, _signal: Signal) {
        driver.teardown();
    }
}

/// How often it is looked whether the framework is to end: a scheduler is called by its driver only.
const STOP_PERIOD: Duration = Duration::from_millis(20);
/// How long a master may take to tear it down.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(2);
