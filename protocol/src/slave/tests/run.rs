//! R11–R13, S1, S8–S10: tasks and executors.

use super::*;

#[test]
fn a_task_is_launched_run_and_finished() {
    let mut bench = Bench::registered();
    let [launch, timer] = starts(1, Program::BuiltIn);
    let launched = bench.master(MasterToSlave::Launch(command(1)));
    assert_eq!(launched, [adds(2, &command(1)), launch, timer]);
    assert_eq!(bench.slave.used().capped(), Resources::new(1000, 1 << 20));
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Launch(command(1)) });
    assert_eq!(bench.open(1, X), [cancels(Timer::ExecutorRegister(executor(1))), hands(X, &command(1))]);
    // Told once it is durable.
    let running = news(1, 1, TaskState::Running, Reason::Normal);
    let said = bench.says(X, 1, 1, TaskState::Running, Reason::Normal);
    assert_eq!(said, [stores_heard(3, running, 1)]);
    bench.nothing(Input::Stored { seq: Seq(2) });
    // R28: nor does its executor forget it before.
    let message = ExecutorToSlave::Update {
        task: task(1),
        number: 1,
        state: TaskState::Running,
        reason: Reason::Normal,
        message: Text::EMPTY,
    };
    bench.nothing(Input::Executor { session: X, message });
    let told_running = told(1, 1, TaskState::Running, Reason::Normal);
    assert_eq!(bench.go(Input::Stored { seq: Seq(3) }), [told_running, acks(X, 1, 1)]);
    // Said twice, it is acknowledged twice and told once.
    assert_eq!(bench.says(X, 1, 1, TaskState::Running, Reason::Normal), [acks(X, 1, 1)]);
    // R28: how it ended is durable before its tree is ended. S1: it is told when the tree is seen dead.
    let finished = news(1, 2, TaskState::Finished, Reason::Exited(0));
    let said = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(said, [stores_end(4, finished.clone(), 2)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(4) }), [kills(1)]);
    bench.nothing(Input::Exited { executor: executor(1), how: Some(Exit::Code(0)) });
    let told_finished = told_dead(1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(bench.gone(1), [stores_news(5, finished, Some(ending())), told_finished]);
    assert!(bench.slave.used().is_empty());
    bench.nothing(Input::Stored { seq: Seq(5) });
    bench.nothing(Input::TreeEnded { executor: executor(1), ending: ending() });
    bench.nothing(Input::ExecutorClosed { session: X });
    // Acknowledged, nothing is left but the count of writes.
    let change = CheckpointChange::TaskForgotten { task: task(1) };
    assert_eq!(bench.acknowledge(1, 2), [stores(6, change)]);
    let mut fresh = Bench::registered();
    fresh.slave.seq = Seq(6);
    assert_eq!(bench.slave, fresh.slave);
}

#[test]
fn s10_no_executor_hears_of_a_task_before_its_launch_is_durable() {
    let mut bench = Bench { quick: false, ..Bench::registered() };
    bench.master(MasterToSlave::Launch(command(1)));
    assert_eq!(bench.open(1, X), [cancels(Timer::ExecutorRegister(executor(1)))]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(2) }), [hands(X, &command(1))]);
    // A disk that is full keeps no task from running.
    let mut bench = Bench { quick: false, ..Bench::registered() };
    bench.master(MasterToSlave::Launch(command(1)));
    bench.open(1, X);
    let failed = bench.go(Input::StoreFailed { seq: Seq(2), cause: Text::EMPTY });
    assert_eq!(failed.last(), Some(&hands(X, &command(1))));
}

#[test]
fn r12_an_acknowledgement_covers_what_was_told_and_no_more() {
    let mut bench = Bench::running();
    bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    bench.gone(1);
    // Finished is not durable yet, so nobody can have heard of it.
    let ack = MasterToSlave::Acknowledge { task: task(1), number: 2 };
    bench.nothing(Input::Master { session: M, message: ack.clone() });
    bench.go(Input::Stored { seq: Seq(5) });
    // The acknowledgement of Running leaves the end in place.
    let change = CheckpointChange::Acknowledged { task: task(1), number: 1 };
    assert_eq!(bench.acknowledge(1, 1), [stores(6, change)]);
    let again = bench.master(MasterToSlave::Resend { framework: F });
    assert_eq!(again, [told_dead(1, 2, TaskState::Finished, Reason::Exited(0))]);
    bench.acknowledge(1, 2);
    bench.nothing(Input::Master { session: M, message: ack });
}

#[test]
fn r11_what_does_not_fit_is_dropped() {
    let mut bench = Bench::registered();
    bench.config.tasks_max = 3;
    let mut refused = |spec: TaskSpec, reason: Reason| {
        let task = spec.id;
        let dropped = told(task.number, 1, TaskState::Dropped, reason);
        let event = Effect::Publish(Event::LaunchRefused { task, reason });
        assert_eq!(bench.master(MasterToSlave::Launch(spec)), [event, dropped]);
    };
    let large = Resources::new(4001, 0);
    refused(TaskSpec { resources: large, ..command(1) }, Reason::BeyondOffer);
    refused(TaskSpec { resources: Resources::new(u64::MAX, 0), ..command(1) }, Reason::BeyondOffer);
    refused(command(0), Reason::InvalidSpec);
    refused(own(1, 0), Reason::InvalidSpec);
    // R9: nobody can hold a framework's own executor to it.
    refused(TaskSpec { fence_after: Some(Millis::from_secs(30)), ..own(1, 1) }, Reason::CannotFence);
    let huge = Command { program: "x".repeat((64 << 10) + 1), ..Command::default() };
    refused(spec(1, Run::Command(Arc::new(huge))), Reason::InvalidSpec);
    for number in 1..=3 {
        bench.master(MasterToSlave::Launch(own(number, 1)));
    }
    let mut refused = |spec: TaskSpec, reason: Reason| {
        let dropped = told(spec.id.number, 1, TaskState::Dropped, reason);
        assert_eq!(bench.master(MasterToSlave::Launch(spec)).last(), Some(&dropped));
    };
    refused(TaskSpec { resources: Resources::NONE, ..command(4) }, Reason::BeyondOffer);
    // A number that another kind of executor has.
    let mut bench = Bench::running();
    let effects = bench.master(MasterToSlave::Launch(own(2, 1)));
    assert_eq!(effects.last(), Some(&told(2, 1, TaskState::Dropped, Reason::InvalidSpec)));
}

#[test]
fn an_executor_that_cannot_be_started_fails_its_task() {
    let mut bench = Bench::registered();
    bench.master(MasterToSlave::Launch(command(1)));
    let cause = Text::new("no such file");
    let failed =
        Update { message: cause.clone(), ..news(1, 1, TaskState::Failed, Reason::ExecutorNotStarted) };
    assert_eq!(
        bench.go(Input::LaunchFailed { executor: executor(1), cause: cause.clone() }),
        [
            Effect::Publish(Event::ExecutorNotStarted { executor: executor(1), cause }),
            cancels(Timer::ExecutorRegister(executor(1))),
            stores_news(3, failed, None),
        ]
    );
}

#[test]
fn an_executor_that_does_not_register_is_ended() {
    let mut bench = Bench::registered();
    bench.master(MasterToSlave::Launch(command(1)));
    let executor = executor(1);
    let timer = Timer::ExecutorRegister(executor);
    // Open is not registered: what it says does not count.
    assert_eq!(bench.go(Input::ExecutorOpened { session: X, executor }), []);
    assert_eq!(bench.says(X, 1, 1, TaskState::Finished, Reason::Normal), []);
    let silent = Effect::Publish(Event::ExecutorSilent { executor });
    assert_eq!(bench.go(Input::Timer(timer)), [silent, kills(1), cancels(timer)]);
    bench.nothing(Input::Timer(timer));
    // R13: the kill of a task that is being ended adds nothing.
    assert_eq!(bench.kill(1, 0), []);
    let failed = news(1, 1, TaskState::Failed, Reason::ExecutorSilent);
    assert_eq!(bench.gone(1), [stores_news(3, failed, Some(ending()))]);
}

#[test]
fn an_executor_that_ends_without_a_word_fails_its_task_once_its_tree_is_dead() {
    let mut bench = Bench::running();
    let (executor, how) = (executor(1), Some(Exit::Signal(11)));
    let exited = Effect::Publish(Event::ExecutorExited { executor, how });
    assert_eq!(bench.go(Input::Exited { executor, how }), [exited, kills(1)]);
    let failed = news(1, 2, TaskState::Failed, Reason::ExecutorEnded);
    assert_eq!(bench.gone(1), [stores_news(4, failed, Some(ending()))]);
}

#[test]
fn the_truth_that_arrives_before_the_end_is_seen_wins() {
    let mut bench = Bench::running();
    bench.kill(1, 0);
    // A task that died of the slave's own SIGKILL did not fail.
    let mut killed = Bench {
        slave: bench.slave.clone(),
        config: bench.config.clone(),
        disk: bench.disk.clone(),
        quick: true,
    };
    killed.says(X, 1, 2, TaskState::Failed, Reason::Signalled(9));
    let message = Text::new("its executor said Failed (Signalled(9))");
    let update = Update { message, ..news(1, 2, TaskState::Killed, Reason::KilledByFramework) };
    assert_eq!(killed.gone(1), [stores_news(4, update, Some(ending()))]);
    // One that had finished has finished.
    let update = news(1, 2, TaskState::Finished, Reason::Exited(0));
    let said = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(said, [stores_end(4, update.clone(), 2)]);
    assert_eq!(bench.says(X, 1, 3, TaskState::Failed, Reason::Exited(1)), []);
    assert_eq!(bench.gone(1), [stores_news(5, update, Some(ending()))]);
}

#[test]
fn a_kill_has_its_grace_and_a_second_one_can_only_shorten_it() {
    let mut bench = Bench::running();
    let timer = Timer::KillEscalation(task(1));
    let killing = news(1, 2, TaskState::Killing, Reason::KilledByFramework);
    // At most the task's own grace. R23a: a SIGTERM of the slave's own, and one only.
    let first = bench.kill(1, 9000);
    assert_eq!(first, [terminates(1), sets(timer, 5000), stores_news(4, killing, None)]);
    assert_eq!(bench.kill(1, 5000), []);
    let when = When::After(Millis(2000));
    assert_eq!(bench.kill(1, 2000), [Effect::ShortenTimer { timer, when }]);
    // S10: it does not run any more, whatever was on its way.
    assert_eq!(bench.says(X, 1, 2, TaskState::Running, Reason::Normal), [acks(X, 1, 2)]);
    // The first reason stands, and the executor knows none.
    let over = bench.says(X, 1, 3, TaskState::Killed, Reason::Revoked(InverseOfferId(9)));
    let killed = news(1, 3, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(over, [stores_end(5, killed.clone(), 3)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(5) }).split_off(1), [kills(1), cancels(timer)]);
    let told_killed = told_dead(1, 3, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.gone(1), [stores_news(6, killed, Some(ending())), told_killed]);
    bench.nothing(Input::Timer(timer));
}

#[test]
fn a_kill_without_grace_takes_the_tree_at_once() {
    let mut bench = Bench::running();
    assert_eq!(bench.kill(1, 0), [kills(1)]);
    let killed = news(1, 2, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.gone(1), [stores_news(4, killed, Some(ending()))]);
    // Shortened to none.
    let timer = Timer::KillEscalation(task(1));
    let mut bench = Bench::running();
    bench.kill(1, 5000);
    assert_eq!(bench.kill(1, 0), [kills(1), cancels(timer)]);
    // And once the grace is over.
    let mut bench = Bench::running();
    bench.kill(1, 5000);
    assert_eq!(bench.go(Input::Timer(timer)), [kills(1), cancels(timer)]);
    let killed = news(1, 3, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.gone(1), [stores_news(5, killed, Some(ending()))]);
}

#[test]
fn a_frameworks_executor_is_told_of_a_kill_since_others_may_share_it() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    let (timer, register) = (Timer::KillEscalation(task(1)), Timer::ExecutorRegister(executor(1)));
    let killing = news(1, 1, TaskState::Killing, Reason::KilledByFramework);
    let first = bench.kill(1, 9000);
    assert_eq!(first, [asks(X, 1, 5000), sets(timer, 6000), stores_news(3, killing, None)]);
    let when = When::After(Millis(3000));
    assert_eq!(bench.kill(1, 2000), [asks(X, 1, 2000), Effect::ShortenTimer { timer, when }]);
    // What its session may have lost is said again.
    bench.go(Input::ExecutorClosed { session: X });
    assert_eq!(bench.open(1, X2), [cancels(register), asks(X2, 1, 2000)]);
}

/// R12a: what it says of a task that it was asked to end is a detail.
#[test]
fn r12a_what_a_frameworks_executor_was_asked_to_end_was_killed() {
    for (state, reason, words) in [
        (TaskState::Finished, Reason::Exited(0), "its executor said Finished (Exited(0))"),
        (TaskState::Failed, Reason::Exited(7), "its executor said Failed (Exited(7))"),
        (TaskState::Killed, Reason::Normal, ""),
    ] {
        let mut bench = Bench::registered();
        bench.launch_registered(own(1, 1), 1, X);
        bench.kill(1, 2000);
        let killed =
            Update { message: Text::new(words), ..news(1, 2, TaskState::Killed, Reason::KilledByFramework) };
        assert_eq!(bench.says(X, 1, 1, state, reason), [stores_end(4, killed, 1)]);
    }
    // What it says of one that nobody asked to end stands.
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    bench.says(X, 1, 1, TaskState::Killing, Reason::Normal);
    let finished = news(1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0)), [stores_end(4, finished, 2)]);
    // The built-in one looks before a signal comes.
    let mut bench = Bench::running();
    bench.kill(1, 2000);
    let finished = news(1, 3, TaskState::Finished, Reason::Exited(0));
    assert_eq!(bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0)), [stores_end(5, finished, 2)]);
}

#[test]
fn an_executor_that_ignores_a_kill_is_ended_whole() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    bench.master(MasterToSlave::Launch(own(2, 1)));
    let timer = Timer::KillEscalation(task(1));
    // Not alone: it is asked even without grace.
    let effects = bench.kill(1, 0);
    assert_eq!(effects[..2], [asks(X, 1, 0), sets(timer, 1000)]);
    let overran = Effect::Publish(Event::ExecutorOverran { executor: executor(1), task: task(1) });
    assert_eq!(bench.go(Input::Timer(timer)), [overran, kills(1), cancels(timer)]);
    let killed = news(1, 2, TaskState::Killed, Reason::KilledByFramework);
    let failed = news(2, 1, TaskState::Failed, Reason::ExecutorEnded);
    let [killed, failed] = [stores_news(5, killed, Some(ending())), stores_news(6, failed, Some(ending()))];
    assert_eq!(bench.gone(1), [killed, failed]);
}

#[test]
fn r13_a_task_killed_before_its_executor_heard_of_it_never_starts() {
    let mut bench = Bench::registered();
    bench.master(MasterToSlave::Launch(command(1)));
    let timer = Timer::ExecutorRegister(executor(1));
    let killed = news(1, 1, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.kill(1, 5000), [stores_end(3, killed.clone(), 0), kills(1), cancels(timer)]);
    // S10: its executor came all the same.
    assert_eq!(bench.open(1, X), []);
    assert_eq!(bench.gone(1), [stores_news(4, killed, Some(ending()))]);
    // One among others is simply left out.
    let mut bench = Bench::registered();
    bench.master(MasterToSlave::Launch(own(1, 1)));
    bench.master(MasterToSlave::Launch(own(2, 1)));
    let killed = news(1, 1, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.kill(1, 5000), [stores_news(4, killed, None)]);
    assert_eq!(bench.open(1, X), [cancels(timer), hands(X, &own(2, 1))]);
}

#[test]
fn r13_a_kill_of_a_launch_that_may_have_been_lost_is_no_second_launch() {
    let mut bench = Bench::registered();
    bench.launch_registered(command(1), 1, X);
    let closed = bench.go(Input::ExecutorClosed { session: X });
    assert_eq!(closed, [sets(Timer::ExecutorRegister(executor(1)), 60_000)]);
    // It need not be there to be asked.
    assert_eq!(bench.kill(1, 2000)[..1], [terminates(1)]);
    assert_eq!(bench.open(1, X2), [cancels(Timer::ExecutorRegister(executor(1)))]);
}

#[test]
fn r2_a_launch_that_may_have_been_lost_is_sent_again() {
    let mut bench = Bench::registered();
    bench.launch_registered(command(1), 1, X);
    let again = |session| {
        let timer = Timer::ExecutorRegister(executor(1));
        let replaced = close(X, CloseCode::Replaced, "");
        vec![replaced, sets(timer, 60_000), cancels(timer), hands(session, &command(1))]
    };
    assert_eq!(bench.open(1, X2), again(X2));
    // Once its executor has said something of it, it is not.
    bench.says(X2, 1, 1, TaskState::Starting, Reason::Normal);
    bench.go(Input::ExecutorClosed { session: X2 });
    assert_eq!(bench.open(1, X), [cancels(Timer::ExecutorRegister(executor(1)))]);
}

#[test]
fn r2_a_kill_of_an_unknown_task_is_answered() {
    let mut bench = Bench::registered();
    assert_eq!(bench.kill(7, 0), [told(7, 1, TaskState::Lost, Reason::SlaveForgot)]);
    assert_eq!(bench.slave, Bench::registered().slave);
}

#[test]
fn r14_a_framework_that_is_gone_loses_its_tasks_and_no_other_does() {
    let mut bench = Bench::running();
    let other = TaskSpec { id: TaskId { framework: FrameworkId(2), number: 1 }, ..command(1) };
    bench.master(MasterToSlave::Launch(other));
    let killing = news(1, 2, TaskState::Killing, Reason::FrameworkRemoved);
    let timer = Timer::KillEscalation(task(1));
    let effects = bench.master(MasterToSlave::KillFramework { framework: F });
    assert_eq!(effects, [terminates(1), sets(timer, 5000), stores_news(5, killing, None)]);
    bench.nothing(Input::Master {
        session: M,
        message: MasterToSlave::KillFramework { framework: FrameworkId(3) },
    });
}

#[test]
fn an_executor_of_its_own_has_several_tasks_and_lives_while_it_has_any() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    let second = bench.master(MasterToSlave::Launch(own(2, 1)));
    assert_eq!(second, [adds(3, &own(2, 1)), hands(X, &own(2, 1))]);
    // One among others is over at once, the last with the tree.
    let finished = news(1, 1, TaskState::Finished, Reason::Normal);
    let said = bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    assert_eq!(said, [stores_heard(4, finished, 1)]);
    let failed = news(2, 1, TaskState::Failed, Reason::Exited(2));
    assert_eq!(bench.says(X, 2, 1, TaskState::Failed, Reason::Exited(2)), [stores_end(5, failed, 1)]);
    bench.go(Input::Stored { seq: Seq(4) });
    assert_eq!(bench.go(Input::Stored { seq: Seq(5) }), [kills(1)]);
    // What comes meanwhile gets a fresh executor of the same number.
    let third = bench.master(MasterToSlave::Launch(own(3, 1)));
    assert_eq!(third, [adds(6, &own(3, 1))]);
    let failed = told_dead(2, 1, TaskState::Failed, Reason::Exited(2));
    let [launch, timer] = starts(1, Program::Custom(program()));
    let effects = bench.gone(1);
    assert_eq!(effects[1..], [failed, launch, timer]);
    bench.nothing(Input::ExecutorClosed { session: X });
    let registered = [cancels(Timer::ExecutorRegister(executor(1))), hands(X2, &own(3, 1))];
    assert_eq!(bench.open(1, X2), registered);
}

#[test]
fn r13_a_task_that_waits_for_a_fresh_executor_can_be_killed() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    bench.go(Input::Stored { seq: Seq(3) });
    bench.master(MasterToSlave::Launch(own(2, 1)));
    let killed = news(2, 1, TaskState::Killed, Reason::KilledByFramework);
    assert_eq!(bench.kill(2, 5000), [stores_news(5, killed, None)]);
    let finished = news(1, 1, TaskState::Finished, Reason::Normal);
    let told_finished = told_dead(1, 1, TaskState::Finished, Reason::Normal);
    assert_eq!(bench.gone(1), [stores_news(6, finished, Some(ending())), told_finished]);
}

/// Its executor has not been told that it may forget the last one, so that it lives.
#[test]
fn a_task_that_comes_before_the_end_of_the_last_is_durable_has_the_same_executor() {
    let mut bench = Bench { quick: false, ..Bench::registered() };
    bench.master(MasterToSlave::Launch(own(1, 1)));
    bench.go(Input::Stored { seq: Seq(2) });
    bench.open(1, X);
    bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    bench.master(MasterToSlave::Launch(own(2, 1)));
    let finished = news(1, 1, TaskState::Finished, Reason::Normal);
    let durable = bench.go(Input::Stored { seq: Seq(3) });
    let told_finished = told(1, 1, TaskState::Finished, Reason::Normal);
    assert_eq!(durable, [stores_heard(5, finished, 1), told_finished, acks(X, 1, 1)]);
    assert_eq!(bench.go(Input::Stored { seq: Seq(4) }), [hands(X, &own(2, 1))]);
}

#[test]
fn an_executor_cannot_speak_of_what_it_cannot_know() {
    let mut bench = Bench::running();
    let misbehaved = Effect::Publish(Event::ExecutorMisbehaved { executor: executor(1) });
    let detail = "an executor says Starting, Running, Killing, Finished, Failed or Killed";
    let timer = sets(Timer::ExecutorRegister(executor(1)), 60_000);
    let said = bench.says(X, 1, 2, TaskState::Lost, Reason::Normal);
    assert_eq!(said, [misbehaved, close(X, CloseCode::Misbehaved, detail), timer]);
    // Nor of another's tasks.
    bench.open(1, X2);
    bench.launch_registered(command(2), 2, X);
    let before = bench.slave.clone();
    assert_eq!(bench.says(X, 1, 9, TaskState::Finished, Reason::Normal), [acks(X, 1, 9)]);
    assert_eq!(bench.slave, before);
    // A stranger is shown the door.
    let (session, executor) = (SessionId(99), executor(77));
    let answer = bench.go(Input::ExecutorOpened { session, executor });
    assert_eq!(answer, [close(session, CloseCode::Forbidden, "no such executor runs here")]);
}

#[test]
fn s15_updates_that_nobody_acknowledges_are_bounded_and_the_end_is_kept() {
    let mut bench = Bench::running();
    let mut replaced = 0;
    for nth in 2..100 {
        let message = ExecutorToSlave::Update {
            task: task(1),
            number: nth,
            state: TaskState::Running,
            reason: Reason::Normal,
            message: Text::new("still here"),
        };
        let effects = bench.go(Input::Executor { session: X, message });
        replaced += effects.iter().filter(|effect| replaces(effect)).count();
    }
    let numbers = |bench: &Bench| -> Vec<u32> {
        bench.slave.tasks.get(&task(1)).unwrap().updates.iter().map(|update| update.number).collect()
    };
    let kept: Vec<u32> = (1..16).chain([99]).collect();
    assert_eq!((numbers(&bench), replaced), (kept, 83));
    bench.says(X, 1, 100, TaskState::Finished, Reason::Exited(0));
    bench.gone(1);
    assert_eq!(numbers(&bench).last(), Some(&100));
    bench.go(Input::Stored { seq: bench.slave.seq });
    bench.acknowledge(1, 100);
    assert!(bench.slave.tasks.is_empty());
}

fn replaces(effect: &Effect) -> bool {
    matches!(effect, Effect::Store { change: CheckpointChange::UpdateAdded { replaces: Some(_), .. }, .. })
}

/// What a reader of its streams relies on.
#[test]
fn a_task_is_over_when_nothing_of_it_can_write() {
    let mut bench = Bench::running();
    assert_eq!((bench.slave.is_over(task(1)), bench.slave.is_over(task(2))), (Some(false), None));
    assert_eq!(bench.slave.own_executor(task(1)), None, "it is the built-in one");
    bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(bench.slave.is_over(task(1)), Some(false), "its tree is not seen dead");
    bench.gone(1);
    assert_eq!(bench.slave.is_over(task(1)), Some(true));
    bench.go(Input::Stored { seq: Seq(5) });
    bench.acknowledge(1, 2);
    assert_eq!(bench.slave.is_over(task(1)), None, "it is forgotten");
}

#[test]
fn tasks_that_share_an_executor_are_over_one_by_one() {
    let mut bench = Bench::registered();
    for number in [2, 3] {
        bench.master(MasterToSlave::Launch(own(number, 1)));
        assert_eq!(bench.slave.own_executor(task(number)), Some(executor(1)));
    }
    bench.open(1, X);
    for number in [2, 3] {
        bench.says(X, number, 1, TaskState::Running, Reason::Normal);
    }
    bench.says(X, 2, 2, TaskState::Finished, Reason::Normal);
    assert_eq!((bench.slave.is_over(task(2)), bench.slave.is_over(task(3))), (Some(true), Some(false)));
}

/// R9: a slave passes on what a fenced task's executor asks, and the answer; what it cannot pass on is asked again.
#[test]
fn r9_requests_for_leases_are_passed_on() {
    let mut bench = Bench::registered();
    let fence_after = Some(Millis::from_secs(30));
    bench.master(MasterToSlave::Launch(TaskSpec { fence_after, ..command(1) }));
    let Some(Effect::ToExecutor { message, .. }) = bench.open(1, X).pop() else { panic!("it is launched") };
    let command = Some(program());
    assert_eq!(
        message,
        SlaveToExecutor::Launch { task: task(1), command, data: Arc::default(), fence_after }
    );
    let renew = |number| Input::Executor {
        session: X,
        message: ExecutorToSlave::Renew { task: task(number), turn: true },
    };
    let passed_on = to_master(M, SlaveToMaster::Renew { task: task(1), turn: true });
    assert_eq!(bench.go(renew(1)), [passed_on]);
    bench.nothing(renew(2));
    // Of a framework's own executor nothing is fenced, and nothing passed on.
    bench.launch_registered(own(8, 8), 8, X2);
    let message = ExecutorToSlave::Renew { task: task(8), turn: true };
    bench.nothing(Input::Executor { session: X2, message });
    let answer = MasterToSlave::Renewed { task: task(1), turn: true };
    let told = to_executor(X, SlaveToExecutor::Renewed { task: task(1), turn: true });
    assert_eq!(bench.master(answer.clone()), [told]);
    bench
        .nothing(Input::Master { session: M, message: MasterToSlave::Renewed { task: task(2), turn: true } });
    bench.go(Input::ExecutorClosed { session: X });
    bench.nothing(Input::Master { session: M, message: answer.clone() });
    bench.nothing(renew(1));
    bench.go(Input::ExecutorOpened { session: X2, executor: executor(1) });
    let early = ExecutorToSlave::Renew { task: task(1), turn: true };
    bench.nothing(Input::Executor { session: X2, message: early });
    bench.go(Input::MasterClosed { session: M });
    bench.nothing(Input::Master { session: M, message: answer });
}
