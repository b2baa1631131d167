//! R24–R26, S1, S11, S12: drain now.

use super::*;

fn leaving() -> Effect {
    to_master(M, SlaveToMaster::Leaving)
}

/// The next incarnation is to finish it.
fn stores_leaving(seq: u64) -> Effect {
    stores(seq, CheckpointChange::Leaving(true))
}

/// The next incarnation is to serve.
fn stores_left(seq: u64) -> Effect {
    stores(seq, CheckpointChange::Leaving(false))
}

fn publishes(event: Event) -> Effect {
    Effect::Publish(event)
}

fn unregister_timer() -> Effect {
    sets(Timer::Unregister, 10_000)
}

#[test]
fn r24_everything_is_ended_seen_dead_and_then_unregistered() {
    let mut bench = Bench::running();
    bench.master(MasterToSlave::Launch(command(2)));
    let timer = Timer::ExecutorRegister(executor(2));
    assert_eq!(
        bench.go(Input::DrainNow),
        [stores_leaving(5), leaving(), kills(1), kills(2), cancels(timer), publishes(Event::Leaving)]
    );
    bench.nothing(Input::DrainNow);
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Leave });
    // It refuses launches, and exits on nobody's word (S12).
    let reason = Reason::SlaveLeaving;
    let refused = publishes(Event::LaunchRefused { task: task(3), reason });
    let dropped = told(3, 1, TaskState::Dropped, reason);
    assert_eq!(bench.master(MasterToSlave::Launch(command(3))), [refused, dropped]);
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Unregistered });
    // S1: no task is told lost before all are dead.
    assert_eq!(bench.gone(1), []);
    assert_eq!(
        bench.gone(2),
        [publishes(Event::NothingLeft), unregisters(vec![lost(1, 2), lost(2, 1)]), unregister_timer()]
    );
    bench.nothing(Input::DrainNow);
    assert_eq!(
        bench.master(MasterToSlave::Unregistered),
        [publishes(Event::Unregistered), cancels(Timer::Unregister), stores(6, CheckpointChange::Cleared)]
    );
    bench.nothing(Input::Stored { seq: Seq(5) });
    assert_eq!(bench.go(Input::Stored { seq: Seq(6) }), [Effect::Exit { code: EXIT_DONE }]);
    bench.nothing(Input::DrainNow);
    bench.nothing(begin(None));
}

#[test]
fn r25_true_ends_are_delivered_as_such() {
    let mut bench = Bench::running();
    bench.launch_registered(command(2), 2, X2);
    bench.go(Input::DrainNow);
    // It had ended by itself before the kill reached it.
    let finished = news(1, 2, TaskState::Finished, Reason::Exited(0));
    let said = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(said, [stores_end(6, finished.clone(), 2)]);
    assert_eq!(bench.gone(1), [stores_news(7, finished.clone(), Some(ending()))]);
    let finals = vec![last_word(finished, Some(ending())), lost(2, 1)];
    assert_eq!(bench.gone(2), [publishes(Event::NothingLeft), unregisters(finals), unregister_timer()]);
    // What becomes durable now has been said.
    assert_eq!(bench.go(Input::Stored { seq: Seq(7) }), []);
}

#[test]
fn r25_what_was_killed_before_is_killed() {
    let mut bench = Bench::running();
    bench.kill(1, 5000);
    let timer = cancels(Timer::KillEscalation(task(1)));
    let leaves = [stores_leaving(5), leaving(), kills(1), timer, publishes(Event::Leaving)];
    assert_eq!(bench.go(Input::DrainNow), leaves);
    let killed = news(1, 3, TaskState::Killed, Reason::KilledByFramework);
    let finals = vec![last_word(killed.clone(), Some(ending()))];
    assert_eq!(
        bench.gone(1),
        [
            stores_news(6, killed, Some(ending())),
            publishes(Event::NothingLeft),
            unregisters(finals),
            unregister_timer()
        ]
    );
}

#[test]
fn r24_with_a_grace_everything_is_asked_first() {
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.master(MasterToSlave::Launch(command(2)));
    let terminate = terminates(1);
    let timer = sets(Timer::DrainGrace, 3000);
    // What no executor has heard of has nothing to end well.
    let waiting = [kills(2), cancels(Timer::ExecutorRegister(executor(2)))];
    let mut expected = vec![stores_leaving(5), leaving(), terminate];
    expected.extend(waiting);
    expected.extend([timer, publishes(Event::Leaving)]);
    assert_eq!(bench.master(MasterToSlave::Leave), expected);
    // A task that dies of the SIGTERM did not fail: it is lost with its slave.
    assert_eq!(bench.says(X, 1, 2, TaskState::Failed, Reason::Signalled(15)), [kills(1)]);
    assert_eq!(bench.gone(2), []);
    assert_eq!(
        bench.gone(1),
        [
            cancels(Timer::DrainGrace),
            publishes(Event::NothingLeft),
            unregisters(vec![lost_after(1, 2, "its executor said Failed (Signalled(15))"), lost(2, 1)]),
            unregister_timer()
        ]
    );
}

/// The same of one that was asked to end, and of which this came.
fn lost_after(number: u32, nth: u32, words: &str) -> Final {
    let lost = news(number, nth, TaskState::Lost, Reason::SlaveUnregistered);
    last_word(Update { message: Text::new(words), ..lost }, Some(ending()))
}

/// R12a: nothing that ends after the slave has asked it to has ended by itself, whatever its exit code.
#[test]
fn r12a_what_ends_after_drain_now_has_asked_is_lost_with_its_slave() {
    let words = "exited with 0 after it was asked to end";
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.go(Input::DrainNow);
    let killed = ExecutorToSlave::Update {
        task: task(1),
        number: 2,
        state: TaskState::Killed,
        reason: Reason::Exited(0),
        message: Text::new(words),
    };
    assert_eq!(bench.go(Input::Executor { session: X, message: killed }), [kills(1)]);
    let effects = bench.gone(1);
    assert!(effects.contains(&unregisters(vec![lost_after(1, 2, words)])), "{effects:?}");
    // The built-in executor knows what came to its end before; a framework's own may say so of anything.
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.launch_registered(own(2, 2), 2, X2);
    bench.says(X2, 2, 1, TaskState::Running, Reason::Normal);
    bench.go(Input::DrainNow);
    let finished = news(1, 2, TaskState::Finished, Reason::Exited(0));
    let said = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(said, [stores_end(7, finished.clone(), 2)]);
    assert_eq!(bench.says(X2, 2, 2, TaskState::Finished, Reason::Normal), [kills(2)]);
    bench.gone(1);
    let effects = bench.gone(2);
    let second = lost_after(2, 2, "its executor said Finished (Normal)");
    let finals = vec![last_word(finished, Some(ending())), second];
    assert!(effects.contains(&unregisters(finals)), "{effects:?}");
}

#[test]
fn r24_what_a_kill_has_asked_already_is_not_asked_again() {
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.kill(1, 5000);
    let timer = sets(Timer::DrainGrace, 3000);
    let leaves = [stores_leaving(5), leaving(), timer, publishes(Event::Leaving)];
    assert_eq!(bench.master(MasterToSlave::Leave), leaves);
    // Nor the other way round.
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.go(Input::DrainNow);
    let killing = news(1, 2, TaskState::Killing, Reason::KilledByFramework);
    let escalation = sets(Timer::KillEscalation(task(1)), 5000);
    assert_eq!(bench.kill(1, 5000), [escalation, stores_news(5, killing, None)]);
}

#[test]
fn r26_a_second_signal_or_the_end_of_the_grace_ends_by_force() {
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.go(Input::DrainNow);
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Leave });
    let mut other = Bench {
        slave: bench.slave.clone(),
        config: bench.config.clone(),
        disk: bench.disk.clone(),
        quick: true,
    };
    assert_eq!(other.go(Input::DrainNow), [cancels(Timer::DrainGrace), kills(1)]);
    assert_eq!(bench.go(Input::Timer(Timer::DrainGrace)), [kills(1)]);
    assert_eq!(bench.slave, other.slave);
    bench.nothing(Input::Timer(Timer::DrainGrace));
}

#[test]
fn r24_no_task_is_handed_over_while_leaving() {
    let mut bench = Bench::running();
    bench.config.drain_now_grace = Some(Millis(3000));
    bench.launch_registered(own(2, 2), 2, X2);
    bench.says(X2, 2, 1, TaskState::Running, Reason::Normal);
    bench.go(Input::ExecutorClosed { session: X2 });
    bench.master(MasterToSlave::Launch(own(3, 2)));
    bench.go(Input::DrainNow);
    assert_eq!(bench.open(2, X2), [cancels(Timer::ExecutorRegister(executor(2)))]);
}

#[test]
fn r24_a_task_that_waits_for_a_fresh_executor_does_not_get_one() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    bench.go(Input::Stored { seq: Seq(3) });
    bench.master(MasterToSlave::Launch(own(2, 1)));
    assert_eq!(bench.go(Input::DrainNow), [stores_leaving(5), leaving(), publishes(Event::Leaving)]);
    let finished = news(1, 1, TaskState::Finished, Reason::Normal);
    let told_finished = told_dead(1, 1, TaskState::Finished, Reason::Normal);
    let never = news(2, 1, TaskState::Lost, Reason::SlaveUnregistered);
    let finals = vec![last_word(finished.clone(), Some(ending())), last_word(never, None)];
    assert_eq!(
        bench.gone(1),
        [
            stores_news(6, finished, Some(ending())),
            told_finished,
            publishes(Event::NothingLeft),
            unregisters(finals),
            unregister_timer()
        ]
    );
}

#[test]
fn r26_with_no_leader_it_exits_in_time_having_said_so() {
    let mut bench = Bench::running();
    bench.go(Input::MasterClosed { session: M });
    assert_eq!(bench.go(Input::DrainNow), [stores_leaving(4), kills(1), publishes(Event::Leaving)]);
    assert_eq!(bench.gone(1), [publishes(Event::NothingLeft), unregister_timer()]);
    let unanswered = [publishes(Event::NobodyAnswered), cancels(Timer::Reconnect), stores_left(5)];
    assert_eq!(bench.go(Input::Timer(Timer::Unregister)), unanswered);
    assert_eq!(bench.go(Input::Stored { seq: Seq(5) }), [Effect::Exit { code: EXIT_UNHEARD }]);
}

#[test]
fn r26_a_leader_that_comes_in_time_is_told() {
    let mut bench = Bench::running();
    bench.go(Input::MasterClosed { session: M });
    bench.go(Input::DrainNow);
    bench.gone(1);
    bench.go(Input::Timer(Timer::Reconnect));
    let opened = bench.go(Input::MasterOpened { session: M });
    let [Effect::ToMaster { message: SlaveToMaster::Register { leaving: true, tasks, .. }, .. }] =
        &opened[..]
    else {
        panic!("{opened:?}");
    };
    // As it was told, until it is told more.
    assert_eq!(*tasks, [report(1, TaskState::Running, Reason::Normal, 1)]);
    let (id, epoch) = (SlaveId(1), Epoch(1));
    let answer = bench.master(registered(1, 1));
    assert_eq!(answer, [publishes(Event::Registered { id, epoch }), unregisters(vec![lost(1, 2)])]);
}

#[test]
fn r24_a_leader_that_comes_meanwhile_hears_that_it_leaves() {
    let mut bench = Bench::running();
    bench.go(Input::MasterClosed { session: M });
    bench.go(Input::Timer(Timer::Reconnect));
    bench.go(Input::MasterOpened { session: M });
    bench.go(Input::DrainNow);
    let (id, epoch) = (SlaveId(1), Epoch(1));
    let told_running = told(1, 1, TaskState::Running, Reason::Normal);
    let answer = bench.master(registered(1, 1));
    assert_eq!(answer, [publishes(Event::Registered { id, epoch }), leaving(), told_running]);
}

#[test]
fn r3_a_slave_that_was_removed_meanwhile_need_not_unregister() {
    let mut bench = Bench::running();
    bench.go(Input::DrainNow);
    let whole = Checkpoint { epoch: Epoch(1), ..Checkpoint::default() };
    let removed = MasterToSlave::Refused(Refused::Removed);
    assert_eq!(
        bench.master(removed.clone()),
        [
            publishes(Event::Removed),
            close(M, CloseCode::Done, "removed"),
            stores(5, CheckpointChange::Whole(whole.clone())),
        ]
    );
    assert_eq!(bench.gone(1), [stores_left(6)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(6) }), [Effect::Exit { code: EXIT_DONE }]);
    // With nothing left to end.
    let mut bench = Bench::registered();
    bench.go(Input::DrainNow);
    assert_eq!(
        bench.master(removed),
        [
            publishes(Event::Removed),
            close(M, CloseCode::Done, "removed"),
            cancels(Timer::Unregister),
            stores(3, CheckpointChange::Whole(whole)),
            stores_left(4),
        ]
    );
}

#[test]
fn l5_a_slave_that_was_never_admitted_just_exits() {
    let mut bench = Bench::new();
    bench.go(begin(None));
    assert_eq!(
        bench.go(Input::DrainNow),
        [
            stores_leaving(1),
            publishes(Event::Leaving),
            publishes(Event::NothingLeft),
            publishes(Event::NeverAdmitted),
            stores_left(2),
        ]
    );
    bench.nothing(Input::Stored { seq: Seq(1) });
    assert_eq!(bench.go(Input::Stored { seq: Seq(2) }), [Effect::Exit { code: EXIT_DONE }]);
    // One that is about to register afresh exits instead, with its trees dead.
    let mut bench = Bench::running();
    bench.master(MasterToSlave::Refused(Refused::Removed));
    assert_eq!(bench.go(Input::DrainNow), [publishes(Event::Leaving)]);
    assert_eq!(bench.gone(1), [stores_left(5)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(5) }), [Effect::Exit { code: EXIT_DONE }]);
}

/// A registration that is not answered yet may have been written.
#[test]
fn l5_a_slave_that_asked_to_be_admitted_leaves_whoever_admits_it() {
    let asked = || {
        let mut bench = Bench::new();
        bench.go(begin(None));
        bench.go(Input::MasterOpened { session: M });
        let leaving = [stores_leaving(1), publishes(Event::Leaving), publishes(Event::NothingLeft)];
        let leaves = [&leaving[..], &[unregister_timer()]].concat();
        assert_eq!(bench.go(Input::DrainNow), leaves);
        bench
    };
    let mut bench = asked();
    let effects = bench.master(registered(1, 1));
    assert_eq!(effects.last(), Some(&unregisters(vec![])));
    let effects = bench.master(MasterToSlave::Unregistered);
    assert_eq!(effects.first(), Some(&publishes(Event::Unregistered)));
    // It may have admitted it and be gone: the next one is asked, until time is over.
    let mut bench = asked();
    bench.go(Input::MasterClosed { session: M });
    bench.go(Input::Timer(Timer::Reconnect));
    let effects = bench.go(Input::MasterOpened { session: M2 });
    assert!(
        matches!(
            &effects[..],
            [Effect::ToMaster { message: SlaveToMaster::Register { leaving: true, .. }, .. }]
        ),
        "{effects:?}"
    );
    let unanswered = [publishes(Event::NobodyAnswered), stores_left(2)];
    assert_eq!(bench.go(Input::Timer(Timer::Unregister)), unanswered);
    // A standby has admitted nobody.
    let mut bench = asked();
    let effects = bench.master(MasterToSlave::Refused(Refused::NotLeading { leader: Text::EMPTY }));
    assert_eq!(effects.last(), Some(&stores_left(2)));
    assert!(effects.contains(&publishes(Event::NeverAdmitted)), "{effects:?}");
}

#[test]
fn l5_a_full_disk_does_not_keep_it() {
    let mut bench = Bench::registered();
    let cause = Text::new("no space left on device");
    bench.go(Input::DrainNow);
    bench.go(Input::StoreFailed { seq: Seq(2), cause: cause.clone() });
    let effects = bench.master(MasterToSlave::Unregistered);
    assert_eq!(effects.last(), Some(&stores(3, CheckpointChange::Cleared)));
    let failed = Input::StoreFailed { seq: Seq(3), cause };
    assert_eq!(bench.go(failed), [Effect::Exit { code: EXIT_DONE }]);
}
