use neap_protocol::ids::FrameworkId;
use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(2);
const HEALTHY: Duration = Duration::from_secs(5);
const CPU: u64 = 1000;

fn terms(service: bool) -> Terms {
    Terms {
        service,
        overlaps: service,
        attempts: Some(3),
        min_healthy: HEALTHY,
        kill_grace: GRACE,
        needs: Resources::new(CPU, 1),
    }
}

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const ALL: InverseAsk = InverseAsk::Everything;
const ASK: InverseOfferId = InverseOfferId(1);

/// A fleet, and the numbers of its tasks.
struct Run {
    fleet: Fleet,
    now: Duration,
    offers: u64,
    highest: u32,
}

impl Run {
    fn new(terms: Terms, instances: usize) -> Self {
        Self { fleet: Fleet::new(terms, instances), now: Duration::ZERO, offers: 0, highest: 0 }
    }

    /// Offers so many cpus of a slave; answers with the tasks that are launched there.
    fn offer(&mut self, slave: u32, cpus: u64) -> Vec<TaskId> {
        self.offers += 1;
        let offer = OfferId(self.offers);
        let room = Room { offer, slave: SlaveId(slave), resources: Resources::new(cpus * CPU, 1 << 30) };
        let placed = self.fleet.place(self.now, vec![room]);
        let count = placed.get(&offer).map_or(0, Vec::len);
        let tasks: Vec<TaskId> = (0..count).map(|at| task(self.highest + 1 + at as u32)).collect();
        self.highest += count as u32;
        self.fleet.launched(offer, &tasks);
        tasks
    }

    fn goes(&mut self, number: u32, slave: u32, state: TaskState) {
        self.fleet.goes(self.now, task(number), SlaveId(slave), state, Reason::Normal);
    }

    fn runs(&mut self, number: u32, slave: u32) {
        self.goes(number, slave, TaskState::Running);
    }

    fn ends(&mut self, number: u32, state: TaskState, reason: Reason) -> bool {
        self.fleet.ended(self.now, task(number), state, reason).expect("a task that lives").1
    }

    fn ask(&mut self, slave: u32, deadline: Duration) -> Vec<TaskId> {
        self.fleet.asked(self.now, ASK, SlaveId(slave), &ALL, self.now + deadline)
    }

    fn kills(&mut self) -> Vec<TaskId> {
        self.fleet.kills(self.now)
    }

    /// Lets time pass up to when the fleet wants to be woken.
    fn wakes_after(&mut self, expected: Duration) {
        let at = self.fleet.wake(self.now).expect("it wants to be woken");
        assert_eq!(at - self.now, expected);
        self.now = at;
    }
}

/// A service of one instance, which runs on slave 1.
fn one() -> Run {
    let mut run = Run::new(terms(true), 1);
    assert_eq!(run.offer(1, 8), [task(1)]);
    run.runs(1, 1);
    run.now = secs(100);
    run
}

#[test]
fn what_is_asked_back_goes_when_its_replacement_has_run_for_long_enough() {
    let mut run = one();
    assert_eq!(run.ask(1, secs(60)), [task(1)]);
    assert_eq!((run.kills(), run.offer(1, 8)), (vec![], vec![]), "nothing new where it leaves");
    assert_eq!(run.offer(2, 8), [task(2)]);
    assert_eq!(run.kills(), []);
    run.runs(2, 2);
    assert_eq!(run.kills(), [], "it has only begun");
    run.wakes_after(HEALTHY);
    assert_eq!((run.kills(), run.kills()), (vec![task(1)], vec![]), "once");
    assert_eq!(run.offer(3, 8), []);
}

#[test]
fn a_replacement_that_dies_early_leaves_the_old_task_and_is_tried_again_later() {
    let mut run = one();
    run.ask(1, secs(60));
    let mut tries = 0;
    let mut delay = RESTART_MIN;
    while run.kills().is_empty() {
        let launched = run.offer(2, 8);
        if let [launched] = launched[..] {
            tries += 1;
            run.runs(launched.number, 2);
            run.now += ms(400);
            assert_eq!(run.kills(), []);
            assert!(run.ends(launched.number, TaskState::Failed, Reason::Exited(1)));
            assert_eq!(run.offer(2, 8), [], "it must not spin");
            if run.now + delay < secs(157) {
                run.wakes_after(delay);
            }
            delay *= 2;
        } else {
            run.now = run.fleet.wake(run.now).unwrap();
        }
    }
    assert_eq!(tries, 6, "once, and then after 1, 2, 4, 8 and 16 s");
    assert_eq!(run.now, secs(100 + 60) - GRACE - DEADLINE_MARGIN, "the old one has all of its time");
}

#[test]
fn a_cancelled_drain_leaves_one() {
    // The replacement is on its way: it is the surplus.
    let mut run = one();
    run.ask(1, secs(60));
    assert_eq!(run.offer(2, 8), [task(2)]);
    run.fleet.asked_no_more(ASK);
    assert_eq!(run.kills(), [task(2)]);
    // It runs: the one that has run for longer is kept.
    let mut run = one();
    run.ask(1, secs(60));
    run.offer(2, 8);
    run.runs(2, 2);
    run.fleet.asked_no_more(ASK);
    assert_eq!(run.kills(), [task(2)]);
    // The old one is being ended already.
    let mut run = one();
    run.ask(1, secs(60));
    run.offer(2, 8);
    run.runs(2, 2);
    run.now += HEALTHY;
    assert_eq!(run.kills(), [task(1)]);
    run.fleet.asked_no_more(ASK);
    assert_eq!((run.kills(), run.offer(1, 8)), (vec![], vec![]));
}

#[test]
fn of_two_that_are_asked_back_one_stays_until_a_third_runs() {
    let mut run = one();
    run.ask(1, secs(60));
    run.offer(2, 8);
    run.runs(2, 2);
    let all = run.fleet.asked(run.now, InverseOfferId(2), SlaveId(2), &ALL, run.now + secs(600));
    assert_eq!((all, run.kills()), (vec![task(2)], vec![]));
    run.now += HEALTHY;
    assert_eq!(run.kills(), [task(1)], "the other has more time");
    assert_eq!(run.offer(3, 8), [task(3)]);
    run.runs(3, 3);
    run.now += HEALTHY;
    assert_eq!(run.kills(), [task(2)]);
}

#[test]
fn what_comes_back_from_out_of_reach_is_surplus() {
    let mut run = one();
    run.goes(1, 1, TaskState::Unreachable);
    assert_eq!(run.offer(2, 8), [], "it is waited for");
    run.ask(1, secs(60));
    assert_eq!(run.offer(2, 8), [task(2)]);
    run.fleet.asked_no_more(ASK);
    assert_eq!(run.kills(), [], "neither runs");
    run.runs(2, 2);
    assert_eq!(run.kills(), [task(1)], "whenever its slave is back");
}

#[test]
fn a_later_process_decides_nothing_before_it_has_heard_of_both() {
    let mut run = one();
    run.ask(1, secs(60));
    run.offer(2, 8);
    let mut later = Run::new(terms(true), 1);
    (later.now, later.highest) = (run.now, run.highest);
    later.fleet.resume_instance(0, &run.fleet.noted(0));
    later.fleet.resume_task(task(1), 0, SlaveId(1));
    later.fleet.resume_task(task(2), 0, SlaveId(2));
    assert_eq!((later.kills(), later.offer(3, 8)), (vec![], vec![]));
    later.runs(2, 2);
    assert_eq!(later.kills(), [], "the other may be asked back, or gone");
    later.runs(1, 1);
    assert_eq!(later.kills().len(), 1);
}

#[test]
fn a_short_deadline_leaves_half_of_it_for_a_replacement() {
    let mut run = one();
    run.ask(1, secs(1));
    assert_eq!(run.kills(), []);
    run.wakes_after(ms(500));
    assert_eq!(run.kills(), [task(1)]);
    // Moved: reckoned again from there. Told again: as it was.
    let mut run = one();
    run.ask(1, secs(60));
    run.now += secs(56);
    run.fleet.asked(run.now, ASK, SlaveId(1), &ALL, secs(160));
    run.wakes_after(secs(1));
    run.fleet.asked(run.now, ASK, SlaveId(1), &ALL, secs(360));
    assert_eq!(run.kills(), []);
    run.wakes_after(secs(200));
    assert_eq!(run.kills(), [task(1)]);
}

#[test]
fn an_amount_takes_what_is_ending_then_what_does_not_run_then_the_newest() {
    let mut run = Run::new(terms(true), 4);
    assert_eq!(run.offer(1, 8).len(), 4);
    for number in [1, 2, 4] {
        run.runs(number, 1);
    }
    let amount = |cpus| InverseAsk::Amount(Resources::new(cpus * CPU, 0));
    let mut asked = |id, cpus| {
        let now = run.now;
        run.fleet.asked(now, InverseOfferId(id), SlaveId(1), &amount(cpus), now + secs(60))
    };
    assert_eq!(asked(1, 1), [task(3)]);
    assert_eq!(asked(2, 2), [task(3), task(4)]);
    run.fleet.asked_no_more(InverseOfferId(2));
    run.fleet.goes(run.now, task(1), SlaveId(1), TaskState::Killing, Reason::KilledByOperator);
    let now = run.now;
    let asked = run.fleet.asked(now, InverseOfferId(3), SlaveId(1), &amount(2), now + secs(60));
    assert_eq!(asked, [task(1), task(3)]);
}

#[test]
fn a_fenced_service_ends_what_is_asked_back_before_it_begins_elsewhere() {
    let mut run = Run::new(Terms { overlaps: false, ..terms(true) }, 1);
    run.offer(1, 8);
    run.runs(1, 1);
    run.ask(1, secs(60));
    assert_eq!((run.kills(), run.offer(2, 8)), (vec![task(1)], vec![]));
    assert!(!run.ends(1, TaskState::Killed, Reason::KilledByFramework));
    assert_eq!(run.offer(2, 8), [task(2)]);
}

#[test]
fn a_batch_counts_only_what_finished_and_runs_again_what_was_ended() {
    let mut run = Run::new(terms(false), 1);
    for (number, state, reason) in [
        (1, TaskState::Killed, Reason::Revoked(ASK)),
        (2, TaskState::Killed, Reason::KilledByFramework),
        (3, TaskState::Lost, Reason::SlaveUnregistered),
        (4, TaskState::Dropped, Reason::OfferGone),
    ] {
        assert_eq!(run.offer(1, 1), [task(number)]);
        run.runs(number, 1);
        assert!(!run.ends(number, state, reason));
    }
    run.offer(1, 1);
    assert!(!run.ends(5, TaskState::Finished, Reason::Exited(0)));
    assert!(run.fleet.is_done());
    assert_eq!(run.fleet.count(Stage::Succeeded), 1);
}

#[test]
fn a_batch_fails_as_often_as_it_may() {
    for (attempts, noted) in [(Some(1), "given up"), (Some(5), "given up"), (None, "failed 20")] {
        let mut run = Run::new(Terms { attempts, ..terms(false) }, 1);
        for number in 1..=attempts.unwrap_or(20) {
            assert!(!run.fleet.is_done());
            assert_eq!(run.offer(1, 1), [task(number)]);
            assert!(run.ends(number, TaskState::Failed, Reason::Exited(1)));
            if let Some(at) = run.fleet.wake(run.now) {
                run.now = at;
            }
        }
        assert_eq!(run.fleet.noted(0), noted);
        assert_eq!(run.fleet.is_done(), attempts.is_some());
    }
    let mut run = Run::new(terms(false), 1);
    run.offer(1, 1);
    assert!(run.ends(1, TaskState::Killed, Reason::KilledByOperator));
    assert_eq!((run.fleet.is_done(), run.fleet.count(Stage::Ended)), (true, 1));
}

#[test]
fn a_service_that_ran_for_long_has_not_failed_in_a_row() {
    let mut run = Run::new(terms(true), 1);
    for (number, ran, delay) in [(1, 0, 1), (2, 0, 2), (3, 29, 4), (4, 30, 1), (5, 0, 2)] {
        assert_eq!(run.offer(1, 1), [task(number)]);
        run.runs(number, 1);
        run.now += secs(ran);
        assert!(run.ends(number, TaskState::Failed, Reason::Exited(1)));
        run.wakes_after(secs(delay));
    }
}

/// What may happen to a run, in whatever order.
#[derive(Clone, Debug)]
enum Act {
    Offer {
        slave: u32,
    },
    /// A task comes to its next state, or what it is is told again.
    Step(usize),
    Ends(usize, TaskState),
    /// Somebody else ends a task.
    Killing(usize, Reason),
    Away(usize),
    Ask {
        slave: u32,
        cpus: Option<u64>,
        within: u64,
    },
    Move {
        ask: usize,
        within: u64,
    },
    Close(usize),
    Pass(u64),
    /// kill -9, and the next process; kills that no master heard of are forgotten.
    Restart {
        unheard: bool,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    use TaskState::{Failed, Finished, Lost};
    let ended = prop_oneof![Just(Failed), Just(Finished), Just(Lost)];
    let by =
        prop_oneof![Just(Reason::KilledByOperator), Just(Reason::Revoked(ASK)), Just(Reason::SlaveLeaving)];
    let within = prop_oneof![Just(500), Just(4000), Just(60_000)];
    prop_oneof![
        4 => (0..SLAVES).prop_map(|slave| Act::Offer { slave }),
        6 => any::<usize>().prop_map(Act::Step),
        2 => (any::<usize>(), ended).prop_map(|(at, state)| Act::Ends(at, state)),
        1 => (any::<usize>(), by).prop_map(|(at, by)| Act::Killing(at, by)),
        1 => any::<usize>().prop_map(Act::Away),
        3 => (1..SLAVES, prop::option::of(1..3u64), within.clone())
            .prop_map(|(slave, cpus, within)| Act::Ask { slave, cpus, within }),
        1 => (any::<usize>(), within).prop_map(|(ask, within)| Act::Move { ask, within }),
        2 => any::<usize>().prop_map(Act::Close),
        3 => prop_oneof![Just(100), Just(1000), Just(5000), Just(31_000)].prop_map(Act::Pass),
        1 => any::<bool>().prop_map(|unheard| Act::Restart { unheard }),
    ]
}

/// Of them, slave 0 is never asked back.
const SLAVES: u32 = 4;

/// What is true of a task.
#[derive(Clone, Debug)]
struct Truth {
    instance: usize,
    slave: u32,
    state: TaskState,
    reason: Reason,
    since: Duration,
    killed: bool,
    /// It was this process that ended it: an earlier one's kill is not known before it is told.
    own: bool,
    /// This process was told of it.
    heard: bool,
}

impl Truth {
    fn stays(&self) -> bool {
        !self.killed && self.state != TaskState::Killing
    }
}

#[derive(Clone, Debug)]
struct Asking {
    slave: u32,
    tasks: Option<Vec<TaskId>>,
    at: Duration,
    deadline: Duration,
}

/// A run, and what is true of its tasks. It is held to what a run may do at every step.
struct World {
    terms: Terms,
    run: Run,
    instances: usize,
    truth: BTreeMap<TaskId, Truth>,
    asking: BTreeMap<InverseOfferId, Asking>,
    asked: u32,
    finished: Vec<u32>,
}

impl World {
    fn new(terms: Terms, instances: usize) -> Self {
        Self {
            run: Run::new(terms.clone(), instances),
            terms,
            instances,
            truth: BTreeMap::new(),
            asking: BTreeMap::new(),
            asked: 0,
            finished: vec![0; instances],
        }
    }

    fn pick(&self, at: usize) -> Option<TaskId> {
        (!self.truth.is_empty()).then(|| *self.truth.keys().nth(at % self.truth.len()).unwrap())
    }

    fn covering(&self, id: TaskId, of: &Truth) -> Vec<&Asking> {
        let covers = |ask: &&Asking| match &ask.tasks {
            None => ask.slave == of.slave,
            Some(tasks) => tasks.contains(&id),
        };
        self.asking.values().filter(covers).collect()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Offer { slave } => self.offer(slave),
            Act::Step(at) => {
                if let Some(task) = self.pick(at) {
                    self.step(task);
                }
            }
            Act::Ends(at, state) => {
                if let Some(task) = self.pick(at) {
                    self.ends(task, state);
                }
            }
            Act::Killing(at, by) => {
                if let Some(task) = self.pick(at).filter(|task| self.truth[task].state != TaskState::Killing)
                {
                    self.now_is(task, TaskState::Killing, by);
                }
            }
            Act::Away(at) => {
                if let Some(task) = self.pick(at).filter(|task| self.truth[task].state == TaskState::Running)
                {
                    self.now_is(task, TaskState::Unreachable, Reason::SlaveUnreachable);
                }
            }
            Act::Ask { slave, cpus, within } => {
                self.asked += 1;
                let ask = cpus.map_or(ALL, |cpus| InverseAsk::Amount(Resources::new(cpus * CPU, 0)));
                self.ask(InverseOfferId(self.asked), slave, &ask, self.run.now + ms(within));
            }
            Act::Move { ask, within } => {
                let Some((id, ask)) = self.asking.iter().nth(ask % self.asking.len().max(1)) else { return };
                let asks = match ask.tasks {
                    None => ALL,
                    Some(_) => InverseAsk::Amount(Resources::new(CPU, 0)),
                };
                self.ask(*id, ask.slave, &asks, self.run.now + ms(within));
            }
            Act::Close(ask) => {
                let Some(id) = self.asking.keys().nth(ask % self.asking.len().max(1)).copied() else {
                    return;
                };
                self.asking.remove(&id);
                self.run.fleet.asked_no_more(id);
            }
            Act::Pass(span) => self.run.now += ms(span),
            Act::Restart { unheard } => self.restart(unheard),
        }
        self.obey();
    }

    fn ask(&mut self, id: InverseOfferId, slave: u32, ask: &InverseAsk, deadline: Duration) {
        let rather = self.run.fleet.asked(self.run.now, id, SlaveId(slave), ask, deadline);
        let tasks = match (self.asking.get(&id), ask) {
            (Some(known), _) => known.tasks.clone(),
            (None, InverseAsk::Everything) => None,
            (None, InverseAsk::Amount(_)) => Some(rather),
        };
        self.asking.insert(id, Asking { slave, tasks, at: self.run.now, deadline });
    }

    fn offer(&mut self, slave: u32) {
        let wanted = self.run.fleet.wanted(self.run.now);
        let launched = self.run.offer(slave, 3);
        assert!(
            launched.is_empty() || self.asking.values().all(|ask| ask.slave != slave),
            "it is asked back"
        );
        for task in launched {
            let instance = self.run.fleet.instance_of(task).unwrap();
            assert!(wanted.contains(&instance));
            let enough = self.truth.iter().filter(|(_, truth)| truth.instance == instance);
            let enough = enough.filter(|(id, truth)| match self.terms.overlaps {
                true => truth.stays() && self.covering(**id, truth).is_empty(),
                false => true,
            });
            assert_eq!(enough.count(), 0, "instance {instance} has a task that may stay");
            let truth = Truth {
                instance,
                slave,
                state: TaskState::Staging,
                reason: Reason::Normal,
                since: self.run.now,
                killed: false,
                own: false,
                heard: true,
            };
            self.truth.insert(task, truth);
        }
    }

    fn now_is(&mut self, task: TaskId, state: TaskState, reason: Reason) {
        let truth = self.truth.get_mut(&task).unwrap();
        if truth.state != state {
            (truth.state, truth.reason, truth.since) = (state, reason, self.run.now);
        }
        if !truth.heard {
            // What runs for a process is what it was told of.
            (truth.heard, truth.since) = (true, self.run.now);
        }
        self.run.fleet.goes(self.run.now, task, SlaveId(truth.slave), state, truth.reason);
    }

    fn step(&mut self, task: TaskId) {
        let Truth { state, killed, .. } = self.truth[&task];
        match (killed, state) {
            (true, TaskState::Staging | TaskState::Running | TaskState::Unreachable) => {
                self.now_is(task, TaskState::Killing, Reason::KilledByFramework);
            }
            (_, TaskState::Killing) => self.ends(task, TaskState::Killed),
            _ => self.now_is(task, TaskState::Running, Reason::Normal),
        }
    }

    fn ends(&mut self, task: TaskId, state: TaskState) {
        let truth = self.truth.remove(&task).unwrap();
        let state = if truth.state == TaskState::Killing { TaskState::Killed } else { state };
        self.finished[truth.instance] += u32::from(state == TaskState::Finished);
        let ended = self.run.fleet.ended(self.run.now, task, state, truth.reason);
        assert_eq!(ended.map(|(instance, _)| instance), Some(truth.instance));
    }

    fn restart(&mut self, unheard: bool) {
        let noted: Vec<String> = (0..self.instances).map(|at| self.run.fleet.noted(at)).collect();
        let fleet = &mut self.run.fleet;
        *fleet = Fleet::new(self.terms.clone(), self.instances);
        for (at, noted) in noted.iter().enumerate() {
            fleet.resume_instance(at, noted);
        }
        for (id, truth) in &mut self.truth {
            fleet.resume_task(*id, truth.instance, SlaveId(truth.slave));
            (truth.heard, truth.own) = (false, false);
            truth.killed &= !unheard || truth.state == TaskState::Killing;
        }
        let asking = std::mem::take(&mut self.asking);
        for (id, Asking { slave, tasks, deadline, .. }) in asking {
            let ask =
                tasks.map_or(ALL, |tasks| InverseAsk::Amount(Resources::new(tasks.len() as u64 * CPU, 0)));
            self.ask(id, slave, &ask, deadline);
        }
    }

    /// Does what the fleet decides, and holds it to what it may decide.
    fn obey(&mut self) {
        let now = self.run.now;
        let kills = self.run.kills();
        for task in &kills {
            let truth = &self.truth[task];
            let known = truth.own || (truth.heard && truth.state == TaskState::Killing);
            assert!(!known, "{task} is being ended already");
            let covering = self.covering(*task, truth);
            let due = covering.iter().any(|ask| {
                let left = ask.deadline.saturating_sub(ask.at);
                now + (GRACE + DEADLINE_MARGIN).min(left / 2) >= ask.deadline
            });
            if due || !self.terms.overlaps && self.terms.service && !covering.is_empty() {
                continue;
            }
            let others = self.truth.iter().filter(|(id, other)| {
                other.instance == truth.instance && other.stays() && !kills.contains(id) && other.heard
            });
            let mut others = others.map(|(_, other)| other);
            let fine = match covering.is_empty() {
                true => others.any(|other| {
                    other.state == TaskState::Running
                        || (other.state == TaskState::Staging && truth.state == TaskState::Staging)
                }),
                false => {
                    others.any(|other| other.state == TaskState::Running && other.since + HEALTHY <= now)
                }
            };
            assert!(fine, "{task} is ended at {now:?}, and nothing is there in its place: {:#?}", self.truth);
        }
        for task in kills {
            let truth = self.truth.get_mut(&task).unwrap();
            (truth.killed, truth.own) = (true, true);
        }
        assert_eq!(self.run.kills(), [], "nothing is ended twice");
    }

    /// From here on everything goes well.
    fn settle(&mut self) {
        for _ in 0..40 {
            for slave in 0..SLAVES {
                self.offer(slave);
                self.obey();
            }
            for task in self.truth.keys().copied().collect::<Vec<_>>() {
                self.step(task);
                self.obey();
            }
            self.run.now += ms(2500);
            self.obey();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// A service comes to exactly as many as it was asked for, and ends nothing for which there is nothing else.
    #[test]
    fn a_service_has_as_many_as_it_was_asked_for(
        acts in prop::collection::vec(acts(), 0..60),
        instances in 1..4usize,
        overlaps in prop::bool::weighted(0.8),
    ) {
        let mut world = World::new(Terms { overlaps, ..terms(true) }, instances);
        acts.into_iter().for_each(|act| world.act(act));
        world.settle();
        let mut runs: Vec<usize> = world.truth.values().map(|truth| truth.instance).collect();
        runs.sort_unstable();
        prop_assert_eq!(runs, (0..instances).collect::<Vec<_>>());
        for (id, truth) in &world.truth {
            prop_assert!(truth.stays() && truth.state == TaskState::Running, "{} is {:?}", id, truth);
            prop_assert!(world.covering(*id, truth).is_empty(), "{} is asked back", id);
        }
        prop_assert!(world.run.fleet.wanted(world.run.now).is_empty());
    }

    /// Every instance of a batch succeeds once, or fails as often as it may, or is ended by an operator.
    #[test]
    fn a_batch_runs_until_each_has_succeeded_once(
        acts in prop::collection::vec(acts(), 0..60),
        instances in 1..4usize,
    ) {
        let mut world = World::new(terms(false), instances);
        acts.into_iter().for_each(|act| world.act(act));
        for _ in 0..20 {
            if world.run.fleet.is_done() {
                break;
            }
            for slave in 0..SLAVES {
                world.offer(slave);
                world.obey();
            }
            for task in world.truth.keys().copied().collect::<Vec<_>>() {
                let truth = &world.truth[&task];
                if truth.state == TaskState::Running && !truth.killed {
                    world.ends(task, TaskState::Finished);
                } else {
                    world.step(task);
                }
            }
            world.run.now += secs(31);
            world.obey();
        }
        prop_assert!(world.run.fleet.is_done() && world.truth.is_empty(), "{:#?}", world.run.fleet);
        for (at, finished) in world.finished.iter().enumerate() {
            let succeeded = world.run.fleet.noted(at) == "succeeded";
            prop_assert_eq!(*finished, u32::from(succeeded), "instance {}", at);
        }
    }
}
