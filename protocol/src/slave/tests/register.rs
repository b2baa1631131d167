//! R1–R3, R5, R12, R30, R31: the way to the master, and what is told again.

use super::*;

fn register(id: Option<u32>, epoch: u64, tasks: Vec<TaskReport>, leaving: bool) -> SlaveToMaster {
    SlaveToMaster::Register {
        id: id.map(SlaveId),
        incarnation: Incarnation(1),
        boot: BOOT,
        contested: false,
        epoch: Epoch(epoch),
        resources: Resources::new(4000, 1 << 30),
        address: Text::new("host:5051"),
        tasks,
        leaving,
    }
}

fn recovered(executors: u32, ended: u32, lost: u32) -> Effect {
    Effect::Publish(Event::Recovered { executors, ended, lost })
}

fn published(id: u32, epoch: u64) -> Effect {
    Effect::Publish(Event::Registered { id: SlaveId(id), epoch: Epoch(epoch) })
}

fn identity(seq: u64, id: u32, epoch: u64) -> Effect {
    stores(seq, CheckpointChange::Identity { id: SlaveId(id), epoch: Epoch(epoch) })
}

#[test]
fn r1_a_new_slave_registers_and_keeps_its_id() {
    let mut bench = Bench::new();
    bench.nothing(Input::DrainNow);
    let start = begin(None);
    assert_eq!(bench.go(start.clone()), [Effect::Connect { leader: None }]);
    bench.nothing(start);
    let opened = bench.go(Input::MasterOpened { session: M });
    assert_eq!(opened, [to_master(M, register(None, 0, vec![], false))]);
    // Nobody is obeyed before the answer, but a ping is answered.
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Leave });
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Launch(command(1)) });
    assert_eq!(bench.master(MasterToSlave::Ping), [to_master(M, SlaveToMaster::Pong)]);
    assert_eq!(bench.master(registered(1, 1)), [published(1, 1), identity(1, 1, 1)]);
    bench.nothing(Input::Stored { seq: Seq(1) });
    // A repeated answer changes nothing.
    bench.nothing(Input::Master { session: M, message: registered(1, 1) });
}

#[test]
fn r2_a_lost_session_is_dialled_again_and_everything_told_again() {
    let mut bench = Bench::running();
    bench.nothing(Input::MasterClosed { session: M2 });
    assert_eq!(bench.go(Input::MasterClosed { session: M }), [sets(Timer::Reconnect, 500)]);
    bench.nothing(Input::ConnectFailed);
    let dial = [Effect::Connect { leader: None }];
    assert_eq!(bench.go(Input::Timer(Timer::Reconnect)), dial);
    assert_eq!(bench.go(Input::ConnectFailed), [sets(Timer::Reconnect, 500)]);
    assert_eq!(bench.go(Input::Timer(Timer::Reconnect)), dial);
    let tasks = vec![report(1, TaskState::Running, Reason::Normal, 1)];
    let opened = bench.go(Input::MasterOpened { session: M2 });
    assert_eq!(opened, [to_master(M2, register(Some(1), 1, tasks, false))]);
    // R30: nobody is obeyed before the answer.
    let kill = MasterToSlave::Kill { task: task(1), grace: None, reason: Reason::KilledByFramework };
    let acknowledge = MasterToSlave::Acknowledge { task: task(1), number: 1 };
    let of = |message| Input::Master { session: M2, message };
    for order in [kill, acknowledge, MasterToSlave::Leave, MasterToSlave::Unregistered] {
        bench.nothing(of(order));
    }
    bench.nothing(of(MasterToSlave::Resend { framework: F }));
    bench.nothing(of(MasterToSlave::KillFramework { framework: F }));
    // R12: the unacknowledged update goes out again; the old session counts no more.
    bench.nothing(Input::Master { session: M, message: MasterToSlave::Ping });
    let update = news(1, 1, TaskState::Running, Reason::Normal);
    let again = to_master(M2, SlaveToMaster::Update { update, ending: None });
    assert_eq!(bench.master(registered(1, 2)), [published(1, 2), identity(4, 1, 2), again.clone()]);
    assert_eq!(bench.master(MasterToSlave::Resend { framework: F }), [again]);
    bench
        .nothing(Input::Master { session: M2, message: MasterToSlave::Resend { framework: FrameworkId(2) } });
    // Once acknowledged, it does not.
    let change = CheckpointChange::Acknowledged { task: task(1), number: 1 };
    assert_eq!(bench.acknowledge(1, 1), [stores(5, change)]);
    bench.nothing(Input::Master { session: M2, message: MasterToSlave::Resend { framework: F } });
}

#[test]
fn a_newer_session_takes_the_place_of_the_older() {
    let mut bench = Bench::registered();
    bench.nothing(Input::MasterOpened { session: M });
    let opened = bench.go(Input::MasterOpened { session: M2 });
    let hello = to_master(M2, register(Some(1), 1, vec![], false));
    assert_eq!(opened, [close(M, CloseCode::Replaced, ""), hello]);
    bench.nothing(Input::MasterClosed { session: M });
}

#[test]
fn r30_a_deposed_leader_is_not_obeyed() {
    let mut bench = Bench::registered();
    bench.go(Input::MasterClosed { session: M });
    bench.go(Input::Timer(Timer::Reconnect));
    bench.go(Input::MasterOpened { session: M2 });
    bench.slave.epoch = Epoch(7);
    bench.disk.epoch = Epoch(7);
    // Nor is anyone before the registration is answered.
    bench.nothing(Input::Master { session: M2, message: MasterToSlave::Leave });
    assert_eq!(
        bench.master(registered(1, 6)),
        [
            Effect::Publish(Event::Deposed { epoch: Epoch(6) }),
            close(M2, CloseCode::Forbidden, "deposed leader"),
            sets(Timer::Reconnect, 500),
        ]
    );
    bench.nothing(Input::Master { session: M2, message: MasterToSlave::Leave });
}

#[test]
fn another_id_than_its_own_is_refused() {
    let mut bench = Bench::registered();
    bench.go(Input::MasterOpened { session: M2 });
    let detail = "an id is for life: refuse it as removed to give another";
    let answer = [close(M2, CloseCode::Misbehaved, detail), sets(Timer::Reconnect, 500)];
    assert_eq!(bench.master(registered(2, 1)), answer);
}

#[test]
fn r31_a_standby_says_who_leads() {
    let mut bench = Bench::new();
    bench.go(begin(None));
    bench.go(Input::MasterOpened { session: M });
    let leader = Text::new("10.0.0.2:5050");
    let refused = MasterToSlave::Refused(Refused::NotLeading { leader: leader.clone() });
    let answer = [close(M, CloseCode::Done, "not the leader"), sets(Timer::Reconnect, 500)];
    assert_eq!(bench.master(refused), answer);
    let dial = [Effect::Connect { leader: Some(leader) }];
    assert_eq!(bench.go(Input::Timer(Timer::Reconnect)), dial);
    // A leader that cannot be reached is not the only one to ask.
    bench.go(Input::ConnectFailed);
    assert_eq!(bench.go(Input::Timer(Timer::Reconnect)), [Effect::Connect { leader: None }]);
}

#[test]
fn r3_a_removed_slave_ends_everything_and_registers_afresh() {
    let mut bench = Bench::running();
    bench.go(Input::MasterOpened { session: M2 });
    let whole = Checkpoint { epoch: Epoch(1), ..Checkpoint::default() };
    assert_eq!(
        bench.master(MasterToSlave::Refused(Refused::Removed)),
        [
            Effect::Publish(Event::Removed),
            close(M2, CloseCode::Done, "removed"),
            kills(1),
            stores(4, CheckpointChange::Whole(whole)),
        ]
    );
    // It does not come back before it has seen its trees dead.
    bench.nothing(Input::Timer(Timer::Reconnect));
    assert_eq!(bench.gone(1), [sets(Timer::Reconnect, 500)]);
    assert_eq!(bench.go(Input::Timer(Timer::Reconnect)), [Effect::Connect { leader: None }]);
    let opened = bench.go(Input::MasterOpened { session: M });
    assert_eq!(opened, [to_master(M, register(None, 1, vec![], false))]);
    assert_eq!(bench.master(registered(2, 1)), [published(2, 1), identity(5, 2, 1)]);
    // Nothing is left of its former life.
    bench.go(Input::Stored { seq: Seq(5) });
    let mut fresh = Bench::registered();
    fresh.slave.id = Some(SlaveId(2));
    fresh.slave.seq = Seq(5);
    assert_eq!(bench.slave, fresh.slave);
}

#[test]
fn r3_a_task_that_waits_for_a_fresh_executor_is_forgotten_with_the_id() {
    let mut bench = Bench::registered();
    bench.launch_registered(own(1, 1), 1, X);
    bench.says(X, 1, 1, TaskState::Finished, Reason::Normal);
    bench.go(Input::Stored { seq: Seq(3) });
    bench.master(MasterToSlave::Launch(own(2, 1)));
    bench.master(MasterToSlave::Refused(Refused::Removed));
    assert_eq!(bench.gone(1), [sets(Timer::Reconnect, 500)]);
    assert!(bench.slave.tasks.is_empty() && bench.slave.used().is_empty());
}

#[test]
fn a_slave_that_nobody_admits_ends_everything_and_says_so() {
    let mut bench = Bench::running();
    bench.go(Input::MasterOpened { session: M2 });
    let cause = Text::new("more ports than there are");
    assert_eq!(
        bench.master(MasterToSlave::Refused(Refused::Invalid(cause.clone()))),
        [Effect::Publish(Event::Refused { cause }), close(M2, CloseCode::Done, "refused"), kills(1)]
    );
    bench.nothing(Input::DrainNow);
    // S11: not before its trees are dead.
    let served = stores(4, CheckpointChange::Leaving(false));
    assert_eq!(bench.gone(1), [served]);
    bench.nothing(Input::DrainNow);
    assert_eq!(bench.go(Input::Stored { seq: Seq(4) }), [Effect::Exit { code: EXIT_REFUSED }]);
    bench.nothing(Input::DrainNow);
    // R28: of what a directory of another slave keeps, nothing is lost.
    let mut bench = Bench::running();
    let tasks = bench.disk.tasks.clone();
    bench.master(MasterToSlave::Refused(Refused::NotYours));
    bench.gone(1);
    assert_eq!(bench.disk.tasks, tasks);
    assert_eq!(bench.go(Input::Stored { seq: Seq(4) }), [Effect::Exit { code: EXIT_REFUSED }]);
}

/// S15: a file that no slave wrote lists a task again and again; it is lost once.
#[test]
fn s15_a_task_that_a_checkpoint_lists_twice_is_lost_once() {
    let mut twice = Bench::running().disk;
    twice.tasks.push(twice.tasks[0].clone());
    let (mut bench, mut out) = (Bench::new(), Outbox::new());
    bench.slave.handle(&bench.config, begin(Some(twice)), &mut out);
    let lost = news(1, 2 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted);
    let started: Vec<Effect> = out.drain().collect();
    assert_eq!(started, [recovered(0, 0, 1), stores_news(1, lost, None), Effect::Connect { leader: None }]);
}

#[test]
fn r5_what_an_earlier_incarnation_ran_is_lost_and_what_it_did_not_tell_is_told() {
    let mut earlier = Bench::running();
    earlier.master(MasterToSlave::Launch(command(2)));
    earlier.open(2, X2);
    earlier.says(X2, 2, 1, TaskState::Finished, Reason::Exited(0));
    earlier.gone(2);

    let mut bench = Bench::new();
    bench.disk = earlier.disk.clone();
    let lost = news(1, 2 + RESTART_GAP, TaskState::Lost, Reason::SlaveRestarted);
    let started = bench.go(begin(Some(earlier.disk)));
    let dials = Effect::Connect { leader: None };
    assert_eq!(started, [recovered(0, 0, 1), stores_news(1, lost.clone(), None), dials]);
    // What is not durable is not told, at registration either.
    let tasks = vec![
        report(1, TaskState::Running, Reason::Normal, 1),
        report(2, TaskState::Finished, Reason::Exited(0), 1),
    ];
    let opened = bench.go(Input::MasterOpened { session: M });
    assert_eq!(opened, [to_master(M, register(Some(1), 1, tasks, false))]);
    let finished = told_dead(2, 1, TaskState::Finished, Reason::Exited(0));
    let running = told(1, 1, TaskState::Running, Reason::Normal);
    assert_eq!(bench.master(registered(1, 1)), [published(1, 1), running, finished]);
    let message = SlaveToMaster::Update { update: lost, ending: None };
    assert_eq!(bench.go(Input::Stored { seq: Seq(1) }), [to_master(M, message)]);
    // Acknowledged, nothing of it is left.
    assert_eq!(bench.acknowledge(1, 2 + RESTART_GAP).len(), 1);
    assert_eq!(bench.acknowledge(2, 1).len(), 1);
    assert!(bench.slave.tasks.is_empty());
}

#[test]
fn a_checkpoint_survives_its_encoding() {
    let bench = Bench::running();
    let bytes = postcard::to_allocvec(&bench.disk).unwrap();
    assert_eq!(postcard::from_bytes::<Checkpoint>(&bytes).unwrap(), bench.slave.checkpoint());
}

#[test]
fn a_full_disk_stops_nothing_and_forgets_nothing() {
    let mut bench = Bench::registered();
    bench.launch_registered(command(1), 1, X);
    bench.says(X, 1, 1, TaskState::Running, Reason::Normal);
    let cause = Text::new("no space left on device");
    let told_running = told(1, 1, TaskState::Running, Reason::Normal);
    assert_eq!(
        bench.go(Input::StoreFailed { seq: Seq(2), cause: cause.clone() }),
        [
            Effect::Publish(Event::StoreFailed { cause: cause.clone() }),
            sets(Timer::StoreRetry, 5000),
            told_running,
            acks(X, 1, 1),
        ]
    );
    bench.nothing(Input::StoreFailed { seq: Seq(3), cause });
    // R22: an end is told although it cannot be kept.
    let over = bench.says(X, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(over, [kills(1)]);
    assert_eq!(bench.gone(1), [told_dead(1, 2, TaskState::Finished, Reason::Exited(0))]);
    let whole = CheckpointChange::Whole(bench.slave.checkpoint());
    assert_eq!(bench.go(Input::Timer(Timer::StoreRetry)), [stores(4, whole)]);
    bench.nothing(Input::Stored { seq: Seq(4) });
    bench.nothing(Input::Timer(Timer::StoreRetry));
    bench.nothing(Input::Stored { seq: Seq(99) });
    assert_eq!(bench.acknowledge(1, 2).len(), 1);
}

/// S12: another slave with its name is no reason to end anything.
#[test]
fn r1a_a_slave_whose_name_another_has_goes_on_and_asks_again() {
    let mut bench = Bench::running();
    let before = bench.slave.checkpoint();
    bench.go(Input::MasterClosed { session: M });
    // Whether it is let in by a leader that knows no better is told by what it was told before.
    for (lives, contested) in [(true, true), (false, false), (true, true)] {
        bench.go(Input::Timer(Timer::Reconnect));
        bench.go(Input::MasterOpened { session: M2 });
        let address = Text::new("host:5052");
        let taken = MasterToSlave::Refused(Refused::NameTaken { address: address.clone(), lives });
        let again = [
            close(M2, CloseCode::Done, "another slave has this name"),
            Effect::Publish(Event::NameTaken { address, lives }),
            sets(Timer::Reconnect, 5_000),
        ];
        assert_eq!(bench.master(taken), again);
        assert_eq!(bench.slave.checkpoint(), before, "it has ended nothing and forgotten nothing");
        assert_eq!(bench.slave.contested, contested);
    }
    bench.go(Input::Timer(Timer::Reconnect));
    let opened = bench.go(Input::MasterOpened { session: M });
    let [Effect::ToMaster { message: SlaveToMaster::Register { contested: true, .. }, .. }] = &opened[..]
    else {
        panic!("{opened:?}")
    };
    bench.master(registered(1, 1));
    assert!(!bench.slave.contested, "it is admitted");
}

/// R24: whoever was never admitted has nobody to leave.
#[test]
fn r1a_a_slave_whose_name_another_has_can_leave() {
    let mut bench = Bench::new();
    bench.go(begin(None));
    bench.go(Input::MasterOpened { session: M });
    bench.go(Input::DrainNow);
    let address = Text::new("host:5052");
    let taken = Refused::NameTaken { address, lives: true };
    let effects = bench.master(MasterToSlave::Refused(taken));
    assert!(effects.contains(&Effect::Publish(Event::NeverAdmitted)), "{effects:?}");
}
