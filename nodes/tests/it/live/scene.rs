//! A slave that runs hostile trees, and a framework that hears what becomes of them.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use neap_nodes::framework::Driver;
use neap_protocol::ids::OfferId;
use neap_protocol::message::Offered;
use neap_protocol::task::Update;
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;
use rustix::process::Signal;

use super::{Framework, Hostiles, Said, Slave, Watch, task};
use crate::cluster::{Master, PATIENCE};
use crate::program::Place;

/// What it says.
pub(crate) struct Scene {
    pub(crate) slave: Slave,
    pub(crate) framework: Framework,
    trees: usize,
    watch: Arc<OnceLock<Watch>>,
    /// How many processes lived when the scheduler heard of an end, at most.
    alive_when_told: Arc<AtomicUsize>,
}

/// Drain now, seen from outside.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From the signal until the last process of all trees had ended.
    pub(crate) dead: Duration,
    /// From the signal until the scheduler's callback for the last task was made.
    pub(crate) told: Duration,
    /// How many processes of any tree lived when the scheduler heard of an end, at most.
    pub(crate) alive_when_told: usize,
    /// What it heard.
    pub(crate) ends: Vec<Update>,
}

impl Scene {
    /// Starts a slave and a framework, and so many hostile tasks of it there. All of them run, and their frameworks
    /// knows that they do.
    pub(crate) fn set(
        place: &Place,
        master: &Master,
        hostiles: &Hostiles,
        trees: usize,
        flags: &str,
    ) -> Result<Self, String> {
        let slave = Slave::start(place, master, "slave-1", flags);
        let watch = Arc::<OnceLock<Watch>>::default();
        let alive_when_told = Arc::<AtomicUsize>::default();
        let (watched, alive) = (Arc::clone(&watch), Arc::clone(&alive_when_told));
        // Long: who asks nicely waits for ever.
        let one = task(hostiles.command(), Millis::from_secs(3600));
        let mut tasks = vec![one; trees];
        let act = move |said: &Said, driver: &mut Driver| match said {
            Said::Offers(offers) => launch(driver, offers, &mut tasks),
            Said::Update(update) if update.state.is_terminal() => {
                let living = watched.get().map_or(usize::MAX, Watch::alive);
                alive.fetch_max(living, Ordering::Relaxed);
            }
            Said::Update(_) | Said::Rescinded(_) => {}
        };
        let framework = Framework::start(master.connection(place, Role::Framework, "web"), act);
        framework.until(trees, PATIENCE, Said::running)?;
        hostiles.wait(Hostiles::sayers(trees), PATIENCE)?;
        let seen = watch.set(hostiles.watch(trees)?);
        assert!(seen.is_ok(), "it is watched once");
        Ok(Self { slave, framework, trees, watch, alive_when_told })
    }

    /// Every process of the trees.
    pub(crate) fn watch(&self) -> &Watch {
        self.watch.get().expect("it was set with the scene")
    }

    /// Sends SIGUSR1, and watches until all is dead and told.
    pub(crate) fn drain_now(&self) -> Result<Seen, String> {
        std::thread::scope(|scope| {
            let watch = self.watch();
            let dead = scope.spawn(|| watch.last_end(PATIENCE));
            let begin = Instant::now();
            self.slave.signal(Signal::USR1);
            let told = self.framework.until(self.trees, PATIENCE, Said::end)?;
            let dead = dead.join().map_err(|_| "the watch broke down".to_owned())??;
            Ok(self.seen(begin, dead, told))
        })
    }

    fn seen(&self, begin: Instant, dead: Instant, told: Vec<(Instant, Update)>) -> Seen {
        let [first, last] = [told.first(), told.last()].map(|told| told.map_or(begin, |(at, _)| *at));
        let alive_when_told = self.alive_when_told.load(Ordering::Relaxed);
        // The thread that watches may be late, when the callback has already seen everything dead.
        let dead = if alive_when_told == 0 { dead.min(first) } else { dead };
        let ends = told.into_iter().map(|(_, update)| update).collect();
        Seen { dead: dead - begin, told: last - begin, alive_when_told, ends }
    }
}

/// Launches all of `tasks` on the first of these offers, and wants no more.
pub(crate) fn launch(
    driver: &mut Driver,
    offers: &[Offered],
    tasks: &mut Vec<neap_nodes::framework::NewTask>,
) {
    let ids = |offers: &[Offered]| -> Vec<OfferId> { offers.iter().map(|offer| offer.id).collect() };
    match offers.split_first() {
        Some((first, rest)) if !tasks.is_empty() => {
            driver.suppress();
            driver.accept(first.id, std::mem::take(tasks), Millis::ZERO);
            driver.decline(ids(rest), Millis::ZERO);
        }
        Some(_) | None => driver.decline(ids(offers), Millis::ZERO),
    }
}
