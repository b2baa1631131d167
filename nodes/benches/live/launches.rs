//! Tasks in executors of their own: one after another, and many at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use neap_nodes::framework::{Driver, NewTask};
use neap_protocol::ids::OfferId;
use neap_protocol::message::Offered;
use neap_protocol::task::{Command, TaskState};
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;

use crate::cluster::{Master, PATIENCE};
use crate::live::{CPUS, Framework, Hostiles, Said, Slave, task};
use crate::table::Row;
use crate::{Scale, place};

/// Accepts an offer for a small task, again and again: how long until its process says that it runs, until the
/// scheduler hears of that, and until the rest of the offer is offered anew.
pub(crate) fn one(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let hostiles = Hostiles::new(place.path());
    let _slave = Slave::start(place, &master, "slave-1", "");
    let (tell, steps) = mpsc::channel();
    let task = task(hostiles.caller(), Millis::ZERO);
    let mut series = Series { left: scale.runs, task, held: Vec::new(), under_way: None, tell };
    let _framework =
        Framework::start(master.connection(place, Role::Framework, "web"), move |said, driver| {
            series.act(said, driver);
        });
    let (mut running, mut told, mut offered) = (Vec::new(), Vec::new(), Vec::new());
    while offered.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let [accepted] = all_of([Step::Accepted], &steps)?;
        running.push(hostiles.wait(1, PATIENCE)?.saturating_duration_since(accepted));
        // Whichever is first.
        let [rest, run] = all_of([Step::Rest, Step::Running], &steps)?;
        offered.push(rest - accepted);
        told.push(run - accepted);
    }
    Ok(vec![
        Row::times("accept → process running", running).budget(5.0).reference("Mesos 1.11: 19.6–34.7 ms"),
        Row::times("accept → told Running", told),
        Row::times("accept → the rest re-offered", offered).budget(10.0).reference("Mesos 1.11: 1,001 ms"),
    ])
}

/// Tasks of `true` on two slaves, from the first accept to the last end that is heard.
pub(crate) fn many(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let _slaves = ["slave-1", "slave-2"].map(|name| Slave::start(place, &master, name, ""));
    let mut rates = Vec::new();
    while rates.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let each = vec![
            task(Command { program: "true".to_owned(), ..Command::default() }, Millis::ZERO);
            scale.many / 2
        ];
        let began = Arc::<OnceLock<Instant>>::default();
        let begin = Arc::clone(&began);
        let mut held: Vec<Offered> = Vec::new();
        let act = move |said: &Said, driver: &mut Driver| {
            let Said::Offers(offers) = said else { return };
            held.extend(offers.iter().filter(|offer| is_whole(offer)).cloned());
            if held.len() == 2 && begin.set(Instant::now()).is_ok() {
                driver.suppress();
                held.iter().for_each(|offer| driver.accept(offer.id, each.clone(), Millis::ZERO));
            }
        };
        let framework = Framework::start(master.connection(place, Role::Framework, "web"), act);
        let ends = framework.until(each_of(scale) * 2, PATIENCE, Said::end)?;
        if let Some((_, end)) = ends.iter().find(|(_, end)| end.state != TaskState::Finished) {
            return Err(format!("`true` ended as {end:?}"));
        }
        let (Some((last, _)), Some(began)) = (ends.last(), began.get()) else {
            return Err("nothing was run".to_owned());
        };
        rates.push(ends.len() as f64 / (*last - *began).as_secs_f64());
    }
    let what = format!("{} tasks of `true`, an executor each, 2 slaves", each_of(scale) * 2);
    Ok(vec![Row::rates(what, rates).budget(600.0).reference("Mesos 1.11: 59/s")])
}

fn each_of(scale: Scale) -> usize {
    scale.many / 2
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Accepted,
    Rest,
    Running,
}

/// When each of these was done next, in whatever order.
fn all_of<const N: usize>(
    wanted: [Step; N],
    steps: &mpsc::Receiver<(Step, Instant)>,
) -> Result<[Instant; N], String> {
    let mut done = [None; N];
    while let Some(missing) = done.iter().position(Option::is_none) {
        let heard = steps.recv_timeout(PATIENCE);
        let missing = wanted[missing];
        let (step, at) =
            heard.map_err(|error| format!("the scheduler did not get to {missing:?}: {error}"))?;
        if let Some(place) = wanted.iter().position(|wanted| *wanted == step) {
            done[place].get_or_insert(at);
        }
    }
    Ok(done.map(|at| at.expect("none is missing")))
}

/// What a scheduler does that launches one task after another, each from an offer of the whole slave.
struct Series {
    left: usize,
    task: NewTask,
    held: Vec<Offered>,
    under_way: Option<UnderWay>,
    tell: mpsc::Sender<(Step, Instant)>,
}

#[derive(Default)]
struct UnderWay {
    rest: bool,
    over: bool,
}

impl Series {
    fn act(&mut self, said: &Said, driver: &mut Driver) {
        match said {
            Said::Offers(offers) => {
                if let Some(under_way) = self.under_way.as_mut().filter(|under_way| !under_way.rest) {
                    under_way.rest = true;
                    self.tell(Step::Rest);
                }
                self.held.extend(offers.iter().cloned());
            }
            Said::Rescinded(gone) => self.held.retain(|offer| !gone.contains(&offer.id)),
            Said::Update(update) if update.state == TaskState::Running => self.tell(Step::Running),
            Said::Update(update) => {
                if let Some(under_way) = self.under_way.as_mut().filter(|_| update.state.is_terminal()) {
                    under_way.over = true;
                }
            }
        }
        if self.under_way.as_ref().is_some_and(|under_way| !(under_way.rest && under_way.over)) {
            return;
        }
        self.under_way = None;
        let held = std::mem::take(&mut self.held);
        match held.iter().find(|offer| is_whole(offer)) {
            Some(_) if self.left == 0 => {}
            Some(offer) => {
                self.left -= 1;
                self.under_way = Some(UnderWay::default());
                self.tell(Step::Accepted);
                driver.accept(offer.id, vec![self.task.clone()], Millis::ZERO);
            }
            // Given back together they come back as one.
            None => driver.decline(held.iter().map(|offer| offer.id).collect::<Vec<OfferId>>(), Millis::ZERO),
        }
    }

    fn tell(&self, step: Step) {
        // Whoever listened may have heard enough.
        let _over = self.tell.send((step, Instant::now()));
    }
}

fn is_whole(offer: &Offered) -> bool {
    offer.resources.cpus == CPUS * 1000
}
