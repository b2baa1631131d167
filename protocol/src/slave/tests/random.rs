//! S1, S8, S9, S10, S15: random inputs, nonsense included, and what must hold after each.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The number of seeds; each has as many inputs.
const SEEDS: u64 = 600;
const INPUTS: usize = 600;

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(n)) as u32
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize].clone()
    }
}

/// What happened so far, seen from outside.
#[derive(Default)]
struct Seen {
    /// Trees that were launched and not seen dead.
    alive: BTreeSet<ExecutorId>,
    /// The one terminal state of a task; numbers are never used again.
    ended: BTreeMap<TaskId, (TaskState, Reason, u32)>,
    /// Tasks that some executor was given.
    handed: BTreeSet<TaskId>,
    /// Tasks whose kill came before any executor was given them.
    killed: BTreeSet<TaskId>,
    /// Of each task that has the built-in executor, that executor. (That a shared one never lives without tasks is
    /// asserted of the slave's state.)
    executors: BTreeMap<TaskId, ExecutorId>,
    /// Each state of the slave that must not be skipped.
    sometimes: BTreeSet<&'static str>,
    launched: u32,
}

fn random_update(chance: &mut Chance, seen: &Seen) -> ExecutorToSlave {
    let state = chance.one(&[
        TaskState::Running,
        TaskState::Running,
        TaskState::Starting,
        TaskState::Killing,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
    ]);
    ExecutorToSlave::Update {
        task: some_task(chance, seen),
        number: chance.below(6),
        state,
        reason: chance.one(&[Reason::Normal, Reason::Exited(1), Reason::Signalled(9), Reason::Signalled(15)]),
        message: chance.one(&[Text::EMPTY, Text::new("hm")]),
    }
}

fn some_task(chance: &mut Chance, seen: &Seen) -> TaskId {
    let number = (seen.launched + 1).saturating_sub(chance.below(7));
    TaskId { framework: FrameworkId(1 + chance.below(16) / 15), number }
}

fn random_master(chance: &mut Chance, slave: &Slave, seen: &mut Seen) -> MasterToSlave {
    match chance.below(40) {
        0..10 => {
            seen.launched += u32::from(chance.below(8) > 0);
            let number = seen.launched;
            let run = match chance.below(2) {
                0 => command(number),
                _ => own(number, (number / 8) * 8 + 1),
            };
            MasterToSlave::Launch(TaskSpec {
                resources: Resources::new(u64::from(chance.below(2500)), 1),
                ..run
            })
        }
        10..18 => MasterToSlave::Kill {
            task: some_task(chance, seen),
            grace: chance.one(&[None, Some(Millis::ZERO), Some(Millis(7)), Some(Millis(8))]),
            reason: chance.one(&[Reason::KilledByFramework, Reason::Revoked(InverseOfferId(1))]),
        },
        18..28 => {
            let task = some_task(chance, seen);
            let latest = slave.tasks.get(&task).map_or(3, |task| task.number);
            MasterToSlave::Acknowledge { task, number: latest.saturating_sub(chance.below(2)) }
        }
        28..32 => registered(1, 1 + u64::from(chance.below(20) / 19)),
        32 => MasterToSlave::Resend { framework: F },
        33 if chance.below(3) == 0 => MasterToSlave::KillFramework { framework: F },
        34 if chance.below(8) == 0 => MasterToSlave::Leave,
        35 => MasterToSlave::Unregistered,
        36 if chance.below(8) == 0 => {
            let leader = Text::new("m2");
            MasterToSlave::Refused(chance.one(&[
                Refused::NotLeading { leader },
                Refused::Removed,
                Refused::Removed,
                Refused::NotYours,
            ]))
        }
        _ => MasterToSlave::Ping,
    }
}

fn random_timer(chance: &mut Chance, seen: &Seen, executor: ExecutorId) -> Timer {
    match chance.below(8) {
        0..3 => Timer::Reconnect,
        3 => Timer::ExecutorRegister(executor),
        4 => Timer::KillEscalation(some_task(chance, seen)),
        5 => Timer::DrainGrace,
        6 if chance.below(10) == 0 => Timer::Unregister,
        _ => Timer::StoreRetry,
    }
}

fn random_input(chance: &mut Chance, slave: &Slave, seen: &mut Seen) -> Input {
    let alive: Vec<ExecutorId> = seen.alive.iter().copied().collect();
    let executor = match alive.is_empty() || chance.below(12) == 0 {
        true => executor(chance.below(9)),
        false => chance.one(&alive),
    };
    let master = slave.link.session().unwrap_or(SessionId(chance.below(3)));
    let theirs = slave.executors.get(&executor).and_then(|executor| executor.session);
    let session = theirs.unwrap_or(SessionId(100 + executor.number));
    match chance.below(64) {
        0 => Input::MasterClosed { session: master },
        1..4 => Input::MasterOpened { session: SessionId(1 + chance.below(3)) },
        4 => Input::ConnectFailed,
        5..25 => Input::Master { session: master, message: random_master(chance, slave, seen) },
        25..29 => Input::ExecutorOpened { session: SessionId(100 + executor.number), executor },
        29 => Input::ExecutorClosed { session },
        30..34 => Input::Executor { session, message: ExecutorToSlave::Register },
        34..44 => Input::Executor { session, message: random_update(chance, seen) },
        44 => Input::Exited { executor, how: Exit::Code(1) },
        // The driver sees dead what was launched, and nothing else, once.
        45..50 if seen.alive.remove(&executor) => match chance.below(9) {
            0 => Input::LaunchFailed { executor, cause: Text::new("gone") },
            _ => Input::TreeEnded { executor, ending: ending() },
        },
        50..53 => Input::Timer(random_timer(chance, seen, executor)),
        53 if chance.below(20) == 0 => Input::DrainNow,
        54 if chance.below(20) == 0 => Input::StoreFailed { seq: slave.seq, cause: Text::new("disk full") },
        _ => Input::Stored { seq: Seq(slave.seq.0.saturating_sub(u64::from(chance.below(3)))) },
    }
}

impl Seen {
    /// What is asked before an input, as it stands.
    fn before(&mut self, slave: &Slave, input: &Input) {
        if let Input::TreeEnded { executor, .. } | Input::LaunchFailed { executor, .. } = input {
            // Another tree may have the number after it.
            self.executors.retain(|_, theirs| theirs != executor);
        }
        if let Input::Master { session, message: MasterToSlave::Kill { task, .. } } = input
            && slave.link.registered() == Some(*session)
            && slave.tasks.contains_key(task)
            && !self.handed.contains(task)
        {
            self.killed.insert(*task);
        }
    }

    fn learn(&mut self, slave: &Slave, before: &Slave) {
        let fresh = slave.tasks.iter().filter(|(id, _)| !before.tasks.contains_key(id));
        let own = fresh.filter(|(_, task)| slave.executors.get(&task.executor).is_some_and(|e| !e.shared));
        self.executors.extend(own.map(|(id, task)| (*id, task.executor)));
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Launch { executor, .. } => {
                assert!(self.alive.insert(*executor), "{executor} is launched twice");
            }
            Effect::Kill { executor } | Effect::Terminate { executor } => {
                assert!(self.alive.contains(executor), "{executor} is signalled and does not run");
            }
            Effect::ToExecutor { message: SlaveToExecutor::Launch { task, .. }, .. } => {
                assert!(!self.killed.contains(task), "S10: {task} was killed and is handed over");
                self.handed.insert(*task);
            }
            Effect::ToMaster { message: SlaveToMaster::Update { update, ending }, .. } => {
                self.told(update, ending.is_some());
            }
            Effect::ToMaster { message: SlaveToMaster::Unregister { finals }, .. } => {
                self.sometimes.insert("unregistered");
                assert!(self.alive.is_empty(), "S1: unregistered with {:?} alive", self.alive);
                for last in finals {
                    assert!(last.update.state.is_terminal());
                    self.told(&last.update, true);
                }
            }
            Effect::Exit { .. } => assert!(self.alive.is_empty(), "S11: exited with {:?}", self.alive),
            Effect::Connect { .. } | Effect::ToMaster { .. } | Effect::ToExecutor { .. } => {}
            Effect::Close { .. } | Effect::SetTimer { .. } | Effect::ShortenTimer { .. } => {}
            Effect::CancelTimer { .. } | Effect::Store { .. } | Effect::Publish(_) => {}
        }
    }

    fn told(&mut self, update: &Update, dead: bool) {
        let forgotten = matches!(update.reason, Reason::SlaveForgot) || update.state == TaskState::Dropped;
        if forgotten {
            return;
        }
        let end = (update.state, update.reason, update.number);
        match self.ended.get(&update.task) {
            Some(earlier) if update.state.is_terminal() => assert_eq!(*earlier, end, "S9: {}", update.task),
            // What was told before the end and is not acknowledged is told again, in order.
            Some(earlier) => assert!(update.number < earlier.2, "S9: {} goes on", update.task),
            None if update.state.is_terminal() => {
                self.ended.insert(update.task, end);
                self.told_end(update, dead);
            }
            None => {}
        }
    }

    fn told_end(&mut self, update: &Update, dead: bool) {
        self.sometimes.insert(update.state.as_str());
        let Some(executor) = self.executors.get(&update.task) else {
            return;
        };
        // S1: no terminal state while the tree runs.
        assert!(dead || !self.alive.contains(executor), "S1: {} is told too early", update.task);
    }
}

/// One life; answers how many inputs it took.
fn random_life(seed: u64, sometimes: &mut BTreeSet<&'static str>) -> usize {
    let mut chance = Chance(seed);
    let mut bench = Bench::new();
    bench.config.tasks_max = 12;
    bench.config.drain_now_grace = chance.one(&[None, Some(Millis(5))]);
    let mut seen = Seen::default();
    bench.go(Input::Start { checkpoint: None });
    for nth in 0..INPUTS {
        let input = random_input(&mut chance, &bench.slave, &mut seen);
        let before = bench.slave.clone();
        seen.before(&before, &input);
        let effects = bench.go(input.clone());
        seen.learn(&bench.slave, &before);
        for effect in &effects {
            seen.effect(effect);
        }
        assert!(bench.slave.tasks.len() <= 12, "S15: {input:?}");
        assert!(bench.slave.writes.len() <= 12 * (UPDATES_MAX + 1));
        if bench.slave.disk == Disk::Failing {
            seen.sometimes.insert("disk failing");
        }
        if before.phase == Phase::Resetting && bench.slave.phase == Phase::Serving {
            // Under a new id everything begins anew.
            let launched = seen.launched;
            seen.sometimes.insert("removed");
            sometimes.append(&mut seen.sometimes);
            seen = Seen { launched, ..Seen::default() };
        }
        if bench.slave.phase == Phase::Exited {
            seen.sometimes.insert("exited");
            sometimes.append(&mut seen.sometimes);
            return nth;
        }
        // An ignored input is told by silence: the same again does nothing either.
        if effects.is_empty() && bench.slave == before {
            bench.nothing(input);
        }
    }
    sometimes.append(&mut seen.sometimes);
    INPUTS
}

#[test]
fn whatever_comes_it_keeps_its_promises() {
    let (mut sometimes, mut inputs) = (BTreeSet::new(), 0);
    for seed in 1..=SEEDS {
        let life = std::panic::AssertUnwindSafe(|| {
            inputs += random_life(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), &mut sometimes);
        });
        assert!(std::panic::catch_unwind(life).is_ok(), "seed {seed} failed as printed above");
    }
    assert!(inputs >= 200_000, "{inputs} inputs");
    // It was no vacuous pass.
    for reached in
        ["Finished", "Failed", "Killed", "Lost", "removed", "unregistered", "exited", "disk failing"]
    {
        assert!(sometimes.contains(reached), "never reached: {reached}; reached {sometimes:?}");
    }
}
