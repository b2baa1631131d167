//! R28, R5, R24: a slave that is started anew, and what it finds.

use super::*;

/// What a slave that is started on what another kept does first.
fn started(earlier: &Bench, boot: BootId, alive: &[u32]) -> (Bench, Vec<Effect>) {
    started_as(Bench::new().config, earlier, boot, alive)
}

fn started_as(config: Config, earlier: &Bench, boot: BootId, alive: &[u32]) -> (Bench, Vec<Effect>) {
    let mut bench = Bench { config, disk: earlier.disk.clone(), ..Bench::new() };
    let alive = alive.iter().map(|number| executor(*number)).collect();
    let mut out = Outbox::new();
    let start = Input::Start { checkpoint: Some(bench.disk.clone()), boot, alive };
    bench.slave.handle(&bench.config, start, &mut out);
    let effects: Vec<Effect> = out.drain().collect();
    // How far numbers have jumped is durable with the first update.
    for kept in bench.disk.tasks.iter_mut().filter(|kept| kept.ended.is_none()) {
        kept.report.number += RESTART_GAP;
    }
    for effect in &effects {
        if let Effect::Store { change, .. } = effect {
            bench.disk.apply(change.clone());
        }
    }
    bench.slave.assert_valid(&bench.disk);
    (bench, effects)
}

fn recovered(executors: u32, ended: u32, lost: u32) -> Effect {
    Effect::Publish(Event::Recovered { executors, ended, lost })
}

/// An executor that lives registers, and has these tasks.
fn registers(bench: &mut Bench, number: u32, session: SessionId, has: &[u32]) -> Vec<Effect> {
    bench.go(Input::ExecutorOpened { session, executor: executor(number) });
    let message = ExecutorToSlave::Register { tasks: has.iter().map(|number| task(*number)).collect() };
    bench.go(Input::Executor { session, message })
}

const DIALS: Effect = Effect::Connect { leader: None };

#[test]
fn r28_a_task_whose_executor_lives_goes_on() {
    let earlier = Bench::running();
    let (mut bench, effects) = started(&earlier, BOOT, &[1]);
    let timer = Timer::ExecutorRegister(executor(1));
    assert_eq!(effects, [sets(timer, 60_000), recovered(1, 0, 0), DIALS]);
    assert_eq!(bench.slave.used(), earlier.slave.used());
    // The master hears of it as before, and what was not acknowledged again.
    let opened = bench.go(Input::MasterOpened { session: M });
    let [Effect::ToMaster { message: SlaveToMaster::Register { tasks, .. }, .. }] = &opened[..] else {
        panic!("{opened:?}");
    };
    assert_eq!(*tasks, [report(1, TaskState::Running, Reason::Normal, 1)]);
    bench.master(registered(1, 1));
    assert_eq!(registers(&mut bench, 1, X, &[1]), [cancels(timer)]);
    // What it said before is not news; its next word is, under a number that no earlier one can have had.
    assert_eq!(bench.says(X, 1, 1, TaskState::Running, Reason::Normal), [acks(X, 1, 1)]);
    let finished = news(1, 2 + RESTART_GAP, TaskState::Finished, Reason::Exited(0));
    let said = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(said, [stores_end(1, finished, 2)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(1) }), [kills(1)]);
    let told = told_dead(1, 2 + RESTART_GAP, TaskState::Finished, Reason::Exited(0));
    assert_eq!(bench.gone(1).last(), Some(&told));
}

/// The slave crashed between the launch and what its executor would have heard of it.
#[test]
fn r28_a_task_that_its_executor_never_heard_of_is_lost_and_its_tree_ended() {
    let mut earlier = Bench::registered();
    earlier.master(MasterToSlave::Launch(command(1)));
    let (mut bench, _) = started(&earlier, BOOT, &[1]);
    let lost = Update {
        message: Text::new("its executor had not heard of it"),
        ..news(1, 1 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted)
    };
    let timer = cancels(Timer::ExecutorRegister(executor(1)));
    assert_eq!(registers(&mut bench, 1, X, &[]), [timer, stores_end(1, lost.clone(), 0)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(1) }), [kills(1)]);
    assert_eq!(bench.gone(1), [stores_news(2, lost, Some(ending()))]);
    // R13: one that was to be killed was killed.
    let (mut bench, _) = started(&earlier, BOOT, &[1]);
    bench.go(Input::MasterOpened { session: M });
    bench.master(registered(1, 1));
    assert_eq!(bench.kill(1, 2000)[..1], [terminates(1)]);
    let killed = news(1, 2 + RESTART_GAP, TaskState::Killed, Reason::KilledByFramework);
    let effects = registers(&mut bench, 1, X, &[]);
    assert_eq!(effects.last(), Some(&stores_end(2, killed, 0)));
}

/// R12a, R13: a slave that is started again knows what it had asked to end, and ends by force what does not.
#[test]
fn r12a_what_was_asked_before_a_restart_was_asked() {
    let mut earlier = Bench::running();
    earlier.kill(1, 2000);
    let (mut bench, effects) = started(&earlier, BOOT, &[1]);
    let escalation = Timer::KillEscalation(task(1));
    let timer = Timer::ExecutorRegister(executor(1));
    assert_eq!(effects, [sets(timer, 60_000), sets(escalation, 5000), recovered(1, 0, 0), DIALS]);
    assert_eq!(registers(&mut bench, 1, X, &[1]), [cancels(timer)]);
    let mut silent = Bench { slave: bench.slave.clone(), disk: bench.disk.clone(), ..Bench::new() };
    let killed = news(1, 3 + RESTART_GAP, TaskState::Killed, Reason::KilledByFramework);
    let said = bench.says(X, 1, 2, TaskState::Killed, Reason::Exited(0));
    assert_eq!(said, [stores_end(1, killed.clone(), 2)]);
    assert_eq!(silent.go(Input::Timer(escalation)), [kills(1), cancels(escalation)]);
    assert_eq!(silent.gone(1), [stores_news(1, killed, Some(ending()))]);
    // A framework's own executor may have been asked in a session that is no more.
    let mut earlier = Bench::registered();
    earlier.launch_registered(own(1, 1), 1, X);
    earlier.kill(1, 2000);
    let (mut bench, _) = started(&earlier, BOOT, &[1]);
    assert_eq!(registers(&mut bench, 1, X, &[1]), [cancels(timer), asks(X, 1, 5000)]);
    let said = bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    let killed = Update {
        message: Text::new("its executor said Finished (Normal)"),
        ..news(1, 2 + RESTART_GAP, TaskState::Killed, Reason::KilledByFramework)
    };
    assert_eq!(said, [stores_end(1, killed, 1)]);
}

#[test]
fn r28_tasks_that_share_an_executor_are_taken_up_one_by_one() {
    let mut earlier = Bench::registered();
    earlier.launch_registered(own(1, 1), 1, X);
    for number in [2, 3] {
        earlier.master(MasterToSlave::Launch(own(number, 1)));
    }
    let (mut bench, _) = started(&earlier, BOOT, &[1]);
    let lost = Update {
        message: Text::new("its executor had not heard of it"),
        ..news(2, 1 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted)
    };
    let timer = cancels(Timer::ExecutorRegister(executor(1)));
    assert_eq!(registers(&mut bench, 1, X, &[1, 3]), [timer, stores_news(1, lost, None)]);
    assert_eq!(bench.slave.own_executor(task(3)), Some(executor(1)));
    assert_eq!(bench.slave.used().cpus, 2000);
}

/// How it ended is known, whenever its tree went.
#[test]
fn r28_what_an_executor_had_said_is_told_under_the_number_that_it_had() {
    let mut earlier = Bench::running();
    earlier.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    let finished = news(1, 2, TaskState::Finished, Reason::Exited(0));
    let (bench, effects) = started(&earlier, BOOT, &[]);
    assert_eq!(effects, [stores_news(1, finished.clone(), None), DIALS]);
    assert!(bench.slave.used().is_empty());
    let (mut bench, effects) = started(&earlier, BOOT, &[1]);
    assert_eq!(effects, [kills(1), recovered(0, 1, 0), DIALS]);
    assert_eq!(bench.gone(1), [stores_news(1, finished, Some(ending()))]);
}

#[test]
fn r28_an_executor_that_stays_away_is_ended() {
    let (mut bench, _) = started(&Bench::running(), BOOT, &[1]);
    let timer = Timer::ExecutorRegister(executor(1));
    let silent = Effect::Publish(Event::ExecutorSilent { executor: executor(1) });
    assert_eq!(bench.go(Input::Timer(timer)), [silent, kills(1), cancels(timer)]);
    let failed = news(1, 2 + RESTART_GAP, TaskState::Failed, Reason::ExecutorSilent);
    assert_eq!(bench.gone(1), [stores_news(1, failed, Some(ending()))]);
}

/// S11: nobody knows what it runs, or nothing is left for it to run.
#[test]
fn r28_an_executor_without_a_task_is_ended() {
    let (mut bench, effects) = started(&Bench::running(), BOOT, &[1, 7]);
    let timer = sets(Timer::ExecutorRegister(executor(1)), 60_000);
    assert_eq!(effects, [timer, kills(7), recovered(1, 1, 0)]);
    assert!(bench.slave.knows(executor(7)));
    // Of what no task tells no master would know.
    assert_eq!(bench.gone(7), [DIALS]);
    assert!(!bench.slave.knows(executor(7)));
}

#[test]
fn r28_a_slave_that_cleans_up_tells_what_it_ended_when_it_is_dead() {
    let config = Config { recover: Recover::Cleanup, ..Bench::new().config };
    let (mut bench, effects) = started_as(config, &Bench::running(), BOOT, &[1]);
    assert_eq!(effects, [kills(1), recovered(0, 1, 0), DIALS]);
    let lost = Update {
        message: ending().leader.clone(),
        ..news(1, 2 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted)
    };
    assert_eq!(bench.gone(1), [stores_news(1, lost, Some(ending()))]);
}

#[test]
fn r28_a_rebooted_host_says_so() {
    let (_, effects) = started(&Bench::running(), BootId(2), &[]);
    let lost = news(1, 2 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted);
    let booted = stores(2, CheckpointChange::Booted(BootId(2)));
    // Of the first start no boot is known.
    assert_eq!(effects, [recovered(0, 0, 1), stores_news(1, lost, None), booted, DIALS]);
    let mut earlier = Bench::running();
    (earlier.slave.boot, earlier.disk.boot) = (BootId(2), BootId(2));
    let (_, effects) = started(&earlier, BootId(3), &[]);
    let lost = news(1, 2 + RESTART_GAP, TaskState::Lost, Reason::HostRebooted);
    let booted = stores(2, CheckpointChange::Booted(BootId(3)));
    // In this order: one that crashes before the first is durable says so again.
    assert_eq!(effects, [recovered(0, 0, 1), stores_news(1, lost, None), booted, DIALS]);
}

/// R5: with no id there is no master who knows of what runs.
#[test]
fn r5_a_slave_without_an_id_ends_everything_before_it_registers() {
    let mut bench = Bench::new();
    let effects = bench.go(Input::Start { checkpoint: None, boot: BOOT, alive: vec![executor(1)] });
    assert_eq!(effects, [kills(1), recovered(0, 1, 0)]);
    assert_eq!(bench.gone(1), [DIALS]);
}

/// R24: whoever kills it while it leaves has it leave when it is started anew.
#[test]
fn r24_a_slave_that_was_killed_while_it_left_finishes_it() {
    let mut earlier = Bench::running();
    earlier.launch_registered(command(2), 2, X2);
    earlier.go(Input::DrainNow);
    let (mut bench, effects) = started(&earlier, BOOT, &[1]);
    let leaving = Effect::Publish(Event::Leaving);
    assert_eq!(effects, [kills(1), recovered(0, 1, 1), leaving, DIALS]);
    let nothing_left = Effect::Publish(Event::NothingLeft);
    assert_eq!(bench.gone(1), [nothing_left, sets(Timer::Unregister, 10_000)]);
    bench.go(Input::MasterOpened { session: M });
    let lost = |number, nth, ending| {
        last_word(news(number, nth, TaskState::Lost, Reason::SlaveUnregistered), ending)
    };
    let finals = vec![lost(1, 2 + RESTART_GAP, Some(ending())), lost(2, 1 + RESTART_GAP, None)];
    let answer = bench.master(registered(1, 1));
    assert_eq!(answer.last(), Some(&unregisters(finals)));
    assert_eq!(bench.master(MasterToSlave::Unregistered).len(), 3);
}
