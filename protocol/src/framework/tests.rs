use alloc::vec;

use super::*;

const F1: FrameworkId = FrameworkId(1);
const S1: SessionId = SessionId(1);
const S2: SessionId = SessionId(2);
const HOST: SlaveId = SlaveId(7);

fn config() -> Config {
    Config { tasks_max: 3, offers_max: 2, inverse_offers_max: 2, ..Config::new(name("batch")) }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn task(number: u32) -> TaskId {
    TaskId { framework: F1, number }
}

/// The effects of one input, under the test's settings.
fn step(framework: &mut Framework, input: Input) -> Vec<Effect> {
    let mut out = Outbox::new();
    framework.handle(&config(), input, &mut out);
    out.drain().collect()
}

/// The effects of one input that must change nothing.
fn ignored(framework: &mut Framework, input: Input) {
    let before = framework.clone();
    assert_eq!(step(framework, input.clone()), [], "{input:?}");
    assert_eq!(*framework, before, "{input:?}");
}

fn master(session: SessionId, message: MasterToFramework) -> Input {
    Input::Master { session, message }
}

fn said(session: SessionId, message: FrameworkToMaster) -> Effect {
    Effect::ToMaster { session, message }
}

fn welcome(epoch: u64, highest_task: u32) -> MasterToFramework {
    MasterToFramework::Subscribed { id: F1, epoch: Epoch(epoch), highest_task }
}

fn set(timer: Timer, after: Millis) -> Effect {
    Effect::SetTimer { timer, when: When::After(after) }
}

fn retry(ms: u64) -> Effect {
    set(Timer::Connect, Millis(ms))
}

fn told(event: Event) -> Effect {
    Effect::Notify(event)
}

fn offered(id: u64) -> Offered {
    Offered { id: OfferId(id), slave: HOST, name: name("host"), resources: Resources::new(1000, 1 << 20) }
}

fn new_task() -> NewTask {
    NewTask {
        name: name("shard"),
        resources: Resources::new(100, 1),
        kill_grace: Millis(500),
        fence_after: None,
        run: NewRun::Command(Arc::new(task::Command { program: "true".into(), ..task::Command::default() })),
    }
}

fn accept(offer: u64, tasks: Vec<NewTask>) -> Input {
    Input::Scheduler(Command::Accept { offer: OfferId(offer), tasks, filter: Millis::ZERO })
}

fn update(number: u32, nth: u32, state: TaskState) -> Update {
    Update { task: task(number), number: nth, state, reason: Reason::Normal, message: Text::EMPTY }
}

fn news(session: SessionId, update: Update) -> Input {
    let slave = HOST;
    master(session, MasterToFramework::Update { update, slave })
}

fn event(update: Update) -> Effect {
    let slave = HOST;
    told(Event::Update { update, slave })
}

fn dropped(number: u32, slave: SlaveId, reason: Reason, message: &str) -> Effect {
    let update = Update { reason, message: message.into(), ..update(number, 1, TaskState::Dropped) };
    told(Event::Update { update, slave })
}

fn acknowledged(session: SessionId, number: u32, nth: u32) -> Effect {
    said(session, FrameworkToMaster::Acknowledge { task: task(number), number: nth })
}

fn handled(number: u32, nth: u32) -> Input {
    Input::Handled { task: task(number), number: nth }
}

fn kill(number: u32, grace: Option<u64>) -> Input {
    Input::Scheduler(Command::Kill { task: task(number), grace: grace.map(Millis) })
}

fn killed(session: SessionId, number: u32, grace: Option<u64>) -> Effect {
    said(session, FrameworkToMaster::Kill { task: task(number), slave: HOST, grace: grace.map(Millis) })
}

/// It names these, and of the others above `after`, up to `upto`, it has heard the end.
fn reconciled(session: SessionId, (after, upto): (u32, u32), numbers: &[u32]) -> Effect {
    let tasks = numbers.iter().map(|&number| (task(number), HOST)).collect();
    said(session, FrameworkToMaster::Reconcile { after, upto, tasks })
}

fn asked(deadline: u64) -> Asked {
    Asked {
        slave: HOST,
        name: name("host"),
        ask: InverseAsk::Everything,
        deadline: Moment(deadline),
        reason: "kernel".into(),
    }
}

fn inverse_offer(session: SessionId, id: u32, deadline: u64) -> Input {
    let Asked { slave, name, ask, deadline, reason } = asked(deadline);
    let id = InverseOfferId(id);
    master(session, MasterToFramework::InverseOffer { id, slave, name, ask, deadline, reason })
}

fn inverse_event(id: u32, deadline: u64) -> Effect {
    told(Event::InverseOffer { id: InverseOfferId(id), asked: asked(deadline) })
}

fn inverse_closed(id: u32, outcome: InverseOutcome) -> Effect {
    told(Event::InverseOfferClosed { id: InverseOfferId(id), outcome })
}

fn decline(reason: &str) -> InverseAnswer {
    InverseAnswer::Decline { reason: reason.into() }
}

fn answer(id: u32, answer: InverseAnswer) -> Input {
    Input::Scheduler(Command::AnswerInverse { id: InverseOfferId(id), answer })
}

fn answered(session: SessionId, id: u32, answer: InverseAnswer) -> Effect {
    said(session, FrameworkToMaster::AnswerInverse { id: InverseOfferId(id), answer })
}

fn started() -> Framework {
    let mut framework = Framework::new();
    let start = Input::Start { id: None, highest_task: 0, tasks: vec![] };
    assert_eq!(step(&mut framework, start), [Effect::Connect { leader: None }]);
    framework
}

fn subscribed() -> Framework {
    let mut framework = started();
    step(&mut framework, Input::Opened { session: S1 });
    step(&mut framework, master(S1, welcome(3, 0)));
    framework
}

/// Subscribed, and one task of offer 1 launched.
fn launched() -> Framework {
    let mut framework = subscribed();
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    step(&mut framework, accept(1, vec![new_task()]));
    framework
}

/// Loses the session.
fn disconnect(framework: &mut Framework) -> Vec<Effect> {
    step(framework, Input::Closed { session: S1 })
}

/// Comes back on the second session, and answers what follows the new subscription.
fn reconnect(framework: &mut Framework, epoch: u64) -> Vec<Effect> {
    step(framework, Input::Timer(Timer::Connect));
    step(framework, Input::Opened { session: S2 });
    let mut effects = step(framework, master(S2, welcome(epoch, 0)));
    let subscription =
        [Effect::CancelTimer(Timer::Subscribe), told(Event::Subscribed { id: F1, epoch: Epoch(epoch) })];
    assert_eq!(effects[..2], subscription);
    effects.split_off(2)
}

#[test]
fn it_subscribes_and_is_subscribed() {
    let mut framework = started();
    let subscribe = FrameworkToMaster::Subscribe {
        id: None,
        name: name("batch"),
        weight: 1,
        failover_timeout: Millis::from_secs(60),
        partition_aware: false,
        epoch: Epoch(0),
        highest_task: 0,
    };
    assert_eq!(
        step(&mut framework, Input::Opened { session: S1 }),
        [said(S1, subscribe), set(Timer::Subscribe, Millis::from_secs(10))]
    );
    let early = master(S1, MasterToFramework::Offers(vec![offered(1)]));
    ignored(&mut framework, early);
    assert_eq!(
        step(&mut framework, master(S1, welcome(3, 0))),
        [Effect::CancelTimer(Timer::Subscribe), told(Event::Subscribed { id: F1, epoch: Epoch(3) }),]
    );
    ignored(&mut framework, master(S1, welcome(3, 0)));
}

#[test]
fn r14_a_restarted_framework_subscribes_under_its_id_and_its_own_high_water() {
    let mut framework = Framework::new();
    let start = Input::Start { id: Some(F1), highest_task: 40, tasks: vec![] };
    step(&mut framework, start.clone());
    ignored(&mut framework, start);
    let effects = step(&mut framework, Input::Opened { session: S1 });
    let expected = FrameworkToMaster::Subscribe {
        id: Some(F1),
        name: name("batch"),
        weight: 1,
        failover_timeout: Millis::from_secs(60),
        partition_aware: false,
        epoch: Epoch(0),
        highest_task: 40,
    };
    assert_eq!(effects[0], said(S1, expected));
    step(&mut framework, master(S1, welcome(1, 12)));
    assert_eq!(framework.next_task(), Some(task(41)), "S16");
}

#[test]
fn r30_a_deposed_leader_is_left() {
    let mut framework = subscribed();
    disconnect(&mut framework);
    step(&mut framework, Input::Timer(Timer::Connect));
    step(&mut framework, Input::Opened { session: S2 });
    assert_eq!(
        step(&mut framework, master(S2, welcome(2, 0))),
        [
            close(S2, CloseCode::Done, "a leader of e3 has been heard, this one is of e2"),
            Effect::CancelTimer(Timer::Subscribe),
            retry(200),
        ]
    );
    assert_eq!(framework.epoch(), Epoch(3));
}

#[test]
fn a_subscription_under_another_id_is_refused() {
    let mut framework = subscribed();
    disconnect(&mut framework);
    step(&mut framework, Input::Timer(Timer::Connect));
    step(&mut framework, Input::Opened { session: S2 });
    let other = MasterToFramework::Subscribed { id: FrameworkId(2), epoch: Epoch(3), highest_task: 0 };
    assert_eq!(
        step(&mut framework, master(S2, other)),
        [
            close(S2, CloseCode::Misbehaved, "F1 was subscribed under another id, F2"),
            Effect::CancelTimer(Timer::Subscribe),
            retry(200),
        ]
    );
}

#[test]
fn r31_a_standby_names_the_leader() {
    let mut framework = started();
    step(&mut framework, Input::Opened { session: S1 });
    let elsewhere = MasterToFramework::NotLeading { leader: "m2:7000".into() };
    assert_eq!(
        step(&mut framework, master(S1, elsewhere)),
        [
            close(S1, CloseCode::Done, "this master does not lead"),
            Effect::CancelTimer(Timer::Subscribe),
            retry(100),
        ]
    );
    ignored(&mut framework, Input::Closed { session: S1 });
    assert_eq!(
        step(&mut framework, Input::Timer(Timer::Connect)),
        [Effect::Connect { leader: Some("m2:7000".into()) }]
    );
    // The leader that was named is not there: the driver's list is next.
    assert_eq!(step(&mut framework, Input::ConnectFailed), [retry(200)]);
    assert_eq!(step(&mut framework, Input::Timer(Timer::Connect)), [Effect::Connect { leader: None }]);
}

#[test]
fn a_leader_that_stops_leading_is_left_too() {
    let mut framework = launched();
    let nowhere = MasterToFramework::NotLeading { leader: Text::EMPTY };
    assert_eq!(
        step(&mut framework, master(S1, nowhere)),
        [close(S1, CloseCode::Done, "this master does not lead"), told(Event::Disconnected), retry(100),]
    );
}

#[test]
fn the_delay_doubles_up_to_its_most_and_begins_anew_once_subscribed() {
    let mut framework = started();
    for ms in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] {
        assert_eq!(step(&mut framework, Input::ConnectFailed), [retry(ms)]);
        step(&mut framework, Input::Timer(Timer::Connect));
    }
    let mut once_more = framework.clone();
    step(&mut once_more, Input::ConnectFailed);
    step(&mut once_more, Input::Timer(Timer::Connect));
    assert_eq!(once_more, framework, "failures are not counted for ever");
    step(&mut framework, Input::Opened { session: S1 });
    step(&mut framework, master(S1, welcome(3, 0)));
    assert_eq!(disconnect(&mut framework), [told(Event::Disconnected), retry(100)]);
}

#[test]
fn a_master_that_does_not_answer_is_left() {
    let mut framework = started();
    ignored(&mut framework, Input::Timer(Timer::Subscribe));
    step(&mut framework, Input::Opened { session: S1 });
    assert_eq!(
        step(&mut framework, Input::Timer(Timer::Subscribe)),
        [close(S1, CloseCode::Done, "the subscription was not answered in time"), retry(100)]
    );
}

#[test]
fn only_the_newest_session_is_heard() {
    let mut framework = launched();
    disconnect(&mut framework);
    ignored(&mut framework, news(S1, update(1, 1, TaskState::Running)));
    reconnect(&mut framework, 3);
    ignored(&mut framework, news(S1, update(1, 1, TaskState::Running)));
    ignored(&mut framework, Input::Closed { session: S1 });
    ignored(&mut framework, Input::ConnectFailed);
    ignored(&mut framework, Input::Timer(Timer::Connect));
    ignored(&mut framework, Input::Opened { session: S2 });
    assert_eq!(
        step(&mut framework, Input::Opened { session: S1 }),
        [close(S1, CloseCode::Done, "this session is not needed any more")]
    );
}

#[test]
fn a_refusal_is_the_end() {
    let mut framework = launched();
    assert_eq!(
        step(&mut framework, master(S1, MasterToFramework::Refused("not yours".into()))),
        [close(S1, CloseCode::Done, ""), told(Event::Refused("not yours".into())), Effect::Exit]
    );
    assert!(framework.is_over());
    assert_eq!(framework.tasks().count(), 0);
    ignored(&mut framework, Input::Timer(Timer::Connect));
    ignored(&mut framework, Input::Closed { session: S1 });
    ignored(&mut framework, accept(1, vec![new_task()]));
}

#[test]
fn r11_an_accept_numbers_its_tasks_upwards() {
    let mut framework = subscribed();
    let offers = vec![offered(1), offered(2)];
    assert_eq!(
        step(&mut framework, master(S1, MasterToFramework::Offers(offers.clone()))),
        [told(Event::Offers(offers))]
    );
    let executor = NewTask {
        run: NewRun::Executor { number: None, command: Arc::default(), data: Arc::new([1]) },
        ..new_task()
    };
    let effects = step(&mut framework, accept(1, vec![new_task(), executor.clone()]));
    let tasks = vec![new_task().numbered(task(1)), executor.numbered(task(2))];
    let Run::Executor { number, .. } = &tasks[1].run else { panic!() };
    assert_eq!(*number, 2, "a new executor has its first task's number");
    assert_eq!(
        effects,
        [
            told(Event::Launching { offer: OfferId(1), tasks: vec![task(1), task(2)] }),
            said(
                S1,
                FrameworkToMaster::Accept { offer: OfferId(1), slave: HOST, tasks, filter: Millis::ZERO }
            ),
        ]
    );
    let expected = [(task(1), HOST, TaskState::Staging), (task(2), HOST, TaskState::Staging)];
    assert!(framework.tasks().eq(expected));
    // The master knows of more: S16.
    step(&mut framework, master(S1, welcome(3, 9)));
    let effects = step(&mut framework, accept(2, vec![new_task()]));
    let launching = Event::Launching { offer: OfferId(2), tasks: vec![task(10)] };
    assert_eq!(effects[0], told(launching));
}

#[test]
fn r11_an_offer_that_is_not_held_drops_its_tasks_unsent() {
    let mut framework = subscribed();
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    assert_eq!(
        step(&mut framework, master(S1, MasterToFramework::Rescind(vec![OfferId(8), OfferId(1)]))),
        [told(Event::Rescinded(vec![OfferId(1)]))]
    );
    ignored(&mut framework, master(S1, MasterToFramework::Rescind(vec![OfferId(1)])));
    assert_eq!(
        step(&mut framework, accept(1, vec![new_task()])),
        [
            told(Event::Launching { offer: OfferId(1), tasks: vec![task(1)] }),
            dropped(1, SlaveId(0), Reason::OfferGone, "the offer was not held any more"),
        ]
    );
    ignored(&mut framework, handled(1, 1));
    ignored(&mut framework, accept(1, vec![]));
    assert_eq!(framework.next_task(), Some(task(2)), "S16");
}

#[test]
fn offers_end_with_their_session() {
    let mut framework = subscribed();
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    assert_eq!(
        disconnect(&mut framework),
        [told(Event::Disconnected), told(Event::Rescinded(vec![OfferId(1)])), retry(100)]
    );
    assert_eq!(
        step(&mut framework, accept(1, vec![new_task()])),
        [
            told(Event::Launching { offer: OfferId(1), tasks: vec![task(1)] }),
            dropped(1, SlaveId(0), Reason::OfferGone, "the offer was not held any more"),
        ]
    );
}

#[test]
fn offers_are_declined_by_the_scheduler_or_beyond_the_bound() {
    let mut framework = subscribed();
    let declined = |offers: Vec<OfferId>, filter| said(S1, FrameworkToMaster::Decline { offers, filter });
    let three = vec![offered(1), offered(1), offered(2), offered(3)];
    assert_eq!(
        step(&mut framework, master(S1, MasterToFramework::Offers(three))),
        [told(Event::Offers(vec![offered(1), offered(2)])), declined(vec![OfferId(3)], Millis::from_secs(5)),]
    );
    let command = Input::Scheduler(Command::Decline {
        offers: vec![OfferId(2), OfferId(2), OfferId(3)],
        filter: Millis(9),
    });
    assert_eq!(step(&mut framework, command.clone()), [declined(vec![OfferId(2)], Millis(9))]);
    ignored(&mut framework, command);
}

#[test]
fn what_passes_a_bound_is_dropped_and_the_rest_is_sent() {
    let mut framework = subscribed();
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    let long = NewTask {
        run: NewRun::Command(Arc::new(task::Command {
            program: "x".repeat(task::COMMAND_SIZE_MAX + 1),
            ..task::Command::default()
        })),
        ..new_task()
    };
    let tasks = vec![new_task(), long, new_task(), new_task(), new_task()];
    let effects = step(&mut framework, accept(1, tasks));
    let sent = [1, 3, 4].map(|number| new_task().numbered(task(number)));
    assert_eq!(
        effects,
        [
            told(Event::Launching { offer: OfferId(1), tasks: (1..=5).map(task).collect() }),
            said(
                S1,
                FrameworkToMaster::Accept {
                    offer: OfferId(1),
                    slave: HOST,
                    tasks: sent.to_vec(),
                    filter: Millis::ZERO
                }
            ),
            dropped(2, HOST, Reason::InvalidSpec, "the bytes of a command may be 65536, not 65537"),
            dropped(5, HOST, Reason::OfferGone, "the framework has 3 tasks, the most that it may"),
        ]
    );
}

#[test]
fn an_accept_always_fits_a_frame() {
    let config = Config { tasks_max: 10_000, ..config() };
    let mut framework = subscribed();
    let big = NewTask {
        run: NewRun::Executor {
            number: Some(1),
            command: Arc::default(),
            data: vec![0; task::TASK_DATA_MAX].into(),
        },
        ..new_task()
    };
    for (offer, spec, fit) in [(1, big, 15), (2, new_task(), codec::LAUNCHES_MAX)] {
        step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(offer)])));
        let mut out = Outbox::new();
        framework.handle(&config, accept(offer, vec![spec; 1_200]), &mut out);
        let Some(Effect::ToMaster { message, .. }) = out.as_slice().get(1) else { panic!() };
        let FrameworkToMaster::Accept { tasks, .. } = message else { panic!() };
        assert_eq!(tasks.len(), fit);
        assert!(codec::encode(message).is_ok());
        assert_eq!(out.as_slice().len(), 2 + 1_200 - fit);
    }
}

#[test]
fn a_framework_that_has_used_all_numbers_launches_no_more() {
    let mut framework = subscribed();
    step(&mut framework, master(S1, welcome(3, u32::MAX - 1)));
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    let effects = step(&mut framework, accept(1, vec![new_task(), new_task()]));
    let tasks = vec![task(u32::MAX)];
    let offer = OfferId(1);
    assert_eq!(effects[0], told(Event::Launching { offer, tasks }));
    assert_eq!(framework.next_task(), None);
}

#[test]
fn r12_an_update_is_told_once_and_acknowledged_once_it_was_handled() {
    let mut framework = launched();
    let running = update(1, 1, TaskState::Running);
    assert_eq!(step(&mut framework, news(S1, running.clone())), [event(running.clone())]);
    ignored(&mut framework, news(S1, running.clone()));
    ignored(&mut framework, handled(1, 2));
    assert_eq!(step(&mut framework, handled(1, 1)), [acknowledged(S1, 1, 1)]);
    ignored(&mut framework, handled(1, 1));
    // The acknowledgement may have been lost: it is said again, and the callback hears nothing.
    assert_eq!(step(&mut framework, news(S1, running)), [acknowledged(S1, 1, 1)]);
}

#[test]
fn r12_after_a_reconnection_a_later_update_may_come_first() {
    let mut framework = launched();
    step(&mut framework, news(S1, update(1, 3, TaskState::Running)));
    ignored(&mut framework, news(S1, update(1, 2, TaskState::Starting)));
    assert_eq!(step(&mut framework, handled(1, 3)), [acknowledged(S1, 1, 3)]);
    assert_eq!(step(&mut framework, news(S1, update(1, 2, TaskState::Starting))), [acknowledged(S1, 1, 2)]);
}

/// Found by the simulation: the scheduler's next process acknowledged for it what nobody had been told, and the task
/// ran on with nobody who knew it.
#[test]
fn r14_a_restarted_scheduler_asks_for_the_tasks_that_it_had_launched_before() {
    let mut framework = Framework::new();
    let tasks = vec![(1, HOST), (2, HOST)];
    step(&mut framework, Input::Start { id: Some(F1), highest_task: 1, tasks });
    assert_eq!(framework.highest_task(), 2, "S16: whatever else it kept");
    step(&mut framework, Input::Opened { session: S1 });
    let subscribed = step(&mut framework, master(S1, welcome(3, 2)));
    assert_eq!(subscribed.last(), Some(&reconciled(S1, (0, 2), &[1, 2])), "R15");
    let running = update(1, 1, TaskState::Running);
    assert_eq!(step(&mut framework, news(S1, running.clone())), [event(running)]);
    assert_eq!(step(&mut framework, handled(1, 1)), [acknowledged(S1, 1, 1)]);
    let finished = update(1, 2, TaskState::Finished);
    assert_eq!(step(&mut framework, news(S1, finished.clone())), [event(finished.clone())]);
    assert_eq!(step(&mut framework, handled(1, 2)), [acknowledged(S1, 1, 2)]);
    // S9: once.
    assert_eq!(step(&mut framework, news(S1, finished)), [acknowledged(S1, 1, 2)]);
    // It can end one that it has heard nothing of yet.
    assert_ne!(step(&mut framework, kill(2, None)), []);
    assert_eq!(framework.tasks().count(), 1);
}

/// The changes of a memory as the scheduler is called with these effects' events.
fn remembered(framework: &Framework, memory: &mut Memory, effects: &[Effect]) -> Vec<MemoryChange> {
    let mut changes = Vec::new();
    for effect in effects {
        let Effect::Notify(event) = effect else { continue };
        if let Some(change) = memory.change(framework, event) {
            memory.apply(change.clone());
            changes.push(change);
        }
    }
    changes
}

#[test]
fn r14_what_must_outlive_the_process_is_its_id_its_numbers_and_what_is_not_over() {
    let (mut framework, mut memory) = (started(), Memory::default());
    assert_eq!(memory.start(), Input::Start { id: None, highest_task: 0, tasks: vec![] });
    step(&mut framework, Input::Opened { session: S1 });
    let effects = step(&mut framework, master(S1, welcome(3, 4)));
    assert_eq!(remembered(&framework, &mut memory, &effects), [MemoryChange::Subscribed(F1)]);
    assert_eq!(remembered(&framework, &mut memory, &effects), [], "it has it already");

    let offers = step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(1)])));
    assert_eq!(remembered(&framework, &mut memory, &offers), []);
    // The fourth is beyond the bound: its number is used all the same (S16), and its end is nothing to remember.
    let effects = step(&mut framework, accept(1, vec![new_task(); 4]));
    let launching = MemoryChange::Launching { highest_task: 8, tasks: (5..=7).map(|n| (n, HOST)).collect() };
    assert_eq!(remembered(&framework, &mut memory, &effects), [launching]);

    let running = step(&mut framework, news(S1, update(5, 1, TaskState::Running)));
    assert_eq!(remembered(&framework, &mut memory, &running), []);
    let finished = step(&mut framework, news(S1, update(5, 2, TaskState::Finished)));
    assert_eq!(remembered(&framework, &mut memory, &finished), [MemoryChange::Over(5)]);
    let start = Input::Start { id: Some(F1), highest_task: 8, tasks: vec![(6, HOST), (7, HOST)] };
    assert_eq!(memory.start(), start);

    // Killed before it is handled, and told again to a process that knows.
    let mut framework = Framework::new();
    step(&mut framework, memory.start());
    step(&mut framework, Input::Opened { session: S1 });
    step(&mut framework, master(S1, welcome(3, 8)));
    assert_eq!(step(&mut framework, news(S1, update(5, 2, TaskState::Finished))), [acknowledged(S1, 5, 2)]);
}

#[test]
fn r8_what_is_out_of_reach_is_told_and_what_is_back_under_the_number_that_it_had() {
    let mut framework = launched();
    let running = update(1, 1, TaskState::Running);
    step(&mut framework, news(S1, running.clone()));
    step(&mut framework, handled(1, 1));
    // It is the master's to say, and not acknowledged.
    let away = update(1, 0, TaskState::Unreachable);
    assert_eq!(step(&mut framework, news(S1, away.clone())), [event(away.clone())]);
    ignored(&mut framework, handled(1, 0));
    ignored(&mut framework, news(S1, away));
    assert_eq!(step(&mut framework, news(S1, running.clone())), [event(running.clone())]);
    assert_eq!(step(&mut framework, news(S1, running)), [acknowledged(S1, 1, 1)], "once");
    // Or it is over.
    step(&mut framework, news(S1, update(1, 0, TaskState::Unreachable)));
    let lost = update(1, u32::MAX, TaskState::Lost);
    assert_eq!(step(&mut framework, news(S1, lost.clone())), [event(lost)]);
    assert_eq!(step(&mut framework, handled(1, u32::MAX)), [acknowledged(S1, 1, u32::MAX)]);
    assert_eq!(framework.tasks().count(), 0);
}

#[test]
fn s9_nothing_is_told_after_an_end() {
    let mut framework = launched();
    let finished = update(1, 2, TaskState::Finished);
    assert_eq!(step(&mut framework, news(S1, finished.clone())), [event(finished.clone())]);
    ignored(&mut framework, news(S1, update(1, 3, TaskState::Running)));
    ignored(&mut framework, news(S1, update(1, 4, TaskState::Lost)));
    ignored(&mut framework, kill(1, None));
    assert_eq!(step(&mut framework, handled(1, 2)), [acknowledged(S1, 1, 2)]);
    assert_eq!(framework.tasks().count(), 0);
    // Whatever is still said of it is acknowledged and not told.
    for late in [finished, update(1, 5, TaskState::Running)] {
        let number = late.number;
        let before = framework.clone();
        assert_eq!(step(&mut framework, news(S1, late)), [acknowledged(S1, 1, number)]);
        assert_eq!(framework, before);
    }
    // A task that it never had.
    ignored(&mut framework, news(S1, update(2, 1, TaskState::Running)));
    ignored(&mut framework, news(S1, update(0, 1, TaskState::Running)));
}

#[test]
fn s9_an_end_is_handled_without_a_master_too() {
    let mut framework = launched();
    step(&mut framework, news(S1, update(1, 1, TaskState::Failed)));
    disconnect(&mut framework);
    assert_eq!(step(&mut framework, handled(1, 1)), []);
    assert_eq!(reconnect(&mut framework, 3), [reconciled(S2, (0, 1), &[])], "nothing is left that lives");
    assert_eq!(step(&mut framework, news(S2, update(1, 1, TaskState::Failed))), [acknowledged(S2, 1, 1)]);
}

#[test]
fn r15_a_master_that_does_not_know_a_task_may_end_it_under_any_number() {
    let mut framework = launched();
    step(&mut framework, news(S1, update(1, 5, TaskState::Running)));
    step(&mut framework, handled(1, 5));
    disconnect(&mut framework);
    assert_eq!(reconnect(&mut framework, 4), [reconciled(S2, (0, 1), &[1])]);
    let lost = update(1, 1, TaskState::Lost);
    assert_eq!(step(&mut framework, news(S2, lost.clone())), [event(lost)]);
    assert_eq!(step(&mut framework, handled(1, 1)), [acknowledged(S2, 1, 1)]);
    assert_eq!(framework.tasks().count(), 0);
}

#[test]
fn r15_every_new_session_reconciles_what_lives() {
    let mut framework = launched();
    // The accept may be lost with the session: the task is asked for all the same.
    assert_eq!(disconnect(&mut framework), [told(Event::Disconnected), retry(100)]);
    assert_eq!(reconnect(&mut framework, 3), [reconciled(S2, (0, 1), &[1])]);
    let again = Input::Scheduler(Command::Reconcile);
    assert_eq!(step(&mut framework, again), [reconciled(S2, (0, 1), &[1])]);
    // A new epoch on a session that lived on.
    step(&mut framework, master(S2, MasterToFramework::Offers(vec![offered(5)])));
    assert_eq!(
        step(&mut framework, master(S2, welcome(9, 0))),
        [
            told(Event::Rescinded(vec![OfferId(5)])),
            told(Event::Subscribed { id: F1, epoch: Epoch(9) }),
            reconciled(S2, (0, 1), &[1]),
        ]
    );
}

#[test]
fn r15_a_reconciliation_fits_frames() {
    let mut framework = launched();
    for number in 2..=2_500 {
        framework.tasks.insert(number, Task::staging(HOST));
    }
    disconnect(&mut framework);
    // Of numbers between those of two messages, and after the last, the end was heard.
    framework.tasks.remove(&1_001);
    framework.highest_task = 2_600;
    let effects = reconnect(&mut framework, 3);
    let numbers: Vec<_> = (1..=2_500).filter(|number| *number != 1_001).collect();
    let [first, second, third] =
        [0, 1_000, 2_000].map(|from| &numbers[from..numbers.len().min(from + 1_000)]);
    assert_eq!(
        effects,
        [
            reconciled(S2, (0, 1_001), first),
            reconciled(S2, (1_001, 2_001), second),
            reconciled(S2, (2_001, 2_600), third)
        ]
    );
}

#[test]
fn r13_a_kill_is_remembered_until_the_task_has_ended() {
    let mut framework = launched();
    disconnect(&mut framework);
    assert_eq!(step(&mut framework, kill(1, Some(900))), []);
    assert_eq!(reconnect(&mut framework, 3), [reconciled(S2, (0, 1), &[1]), killed(S2, 1, Some(900))]);
    ignored(&mut framework, kill(1, None));
    ignored(&mut framework, kill(1, Some(901)));
    assert_eq!(step(&mut framework, kill(1, Some(100))), [killed(S2, 1, Some(100))]);
    ignored(&mut framework, kill(2, None));
    step(&mut framework, Input::Closed { session: S2 });
    assert_eq!(
        reconnect(&mut framework, 3),
        [reconciled(S2, (0, 1), &[1]), killed(S2, 1, Some(100))],
        "the session may have lost it"
    );
    step(&mut framework, news(S2, update(1, 1, TaskState::Killed)));
    step(&mut framework, Input::Closed { session: S2 });
    assert_eq!(reconnect(&mut framework, 3), [reconciled(S2, (0, 1), &[])]);
}

#[test]
fn r10_the_appetite_is_told_again() {
    let mut framework = subscribed();
    let suppress = Input::Scheduler(Command::Suppress);
    assert_eq!(step(&mut framework, suppress), [said(S1, FrameworkToMaster::Suppress)]);
    disconnect(&mut framework);
    assert_eq!(reconnect(&mut framework, 3), [said(S2, FrameworkToMaster::Suppress)]);
    step(&mut framework, Input::Closed { session: S2 });
    assert_eq!(step(&mut framework, Input::Scheduler(Command::Revive)), []);
    assert_eq!(reconnect(&mut framework, 3), [said(S2, FrameworkToMaster::Revive)]);
}

#[test]
fn r17_an_inverse_offer_is_told_once_unless_it_changed() {
    let mut framework = subscribed();
    assert_eq!(step(&mut framework, inverse_offer(S1, 1, 50)), [inverse_event(1, 50)]);
    ignored(&mut framework, inverse_offer(S1, 1, 50));
    assert_eq!(step(&mut framework, inverse_offer(S1, 1, 90)), [inverse_event(1, 90)]);
    assert_eq!(step(&mut framework, answer(1, decline("busy"))), [answered(S1, 1, decline("busy"))]);
    ignored(&mut framework, answer(1, decline("busy")));
    ignored(&mut framework, answer(2, decline("busy")));
    let over = |id| {
        master(
            S1,
            MasterToFramework::InverseOfferClosed {
                id: InverseOfferId(id),
                outcome: InverseOutcome::Returned,
            },
        )
    };
    assert_eq!(step(&mut framework, over(1)), [inverse_closed(1, InverseOutcome::Returned)]);
    ignored(&mut framework, over(1));
    ignored(&mut framework, answer(1, decline("late")));
}

#[test]
fn r17_answers_are_said_again_when_the_offer_is() {
    let mut framework = subscribed();
    step(&mut framework, inverse_offer(S1, 1, 50));
    step(&mut framework, inverse_offer(S1, 2, 60));
    disconnect(&mut framework);
    assert_eq!(step(&mut framework, answer(1, decline("busy"))), []);
    assert_eq!(reconnect(&mut framework, 4), [set(Timer::Reannounce, Millis::from_secs(5))]);
    assert_eq!(step(&mut framework, inverse_offer(S2, 1, 50)), [answered(S2, 1, decline("busy"))]);
    assert_eq!(
        step(&mut framework, inverse_offer(S2, 2, 61)),
        [Effect::CancelTimer(Timer::Reannounce), inverse_event(2, 61)]
    );
}

#[test]
fn an_inverse_offer_that_was_closed_unheard_is_void_in_the_end() {
    let mut framework = subscribed();
    step(&mut framework, inverse_offer(S1, 1, 50));
    step(&mut framework, inverse_offer(S1, 2, 60));
    disconnect(&mut framework);
    reconnect(&mut framework, 4);
    step(&mut framework, inverse_offer(S2, 2, 60));
    assert_eq!(
        step(&mut framework, Input::Timer(Timer::Reannounce)),
        [inverse_closed(1, InverseOutcome::Void)]
    );
    assert_eq!(framework.inverse_offers().count(), 1);
}

#[test]
fn inverse_offers_beyond_the_bound_are_declined() {
    let mut framework = subscribed();
    step(&mut framework, inverse_offer(S1, 1, 50));
    step(&mut framework, inverse_offer(S1, 2, 50));
    let before = framework.clone();
    let why = "the framework has more inverse offers open than it can deal with";
    assert_eq!(step(&mut framework, inverse_offer(S1, 3, 50)), [answered(S1, 3, decline(why))]);
    assert_eq!(framework, before);
}

#[test]
fn r19_an_answer_names_no_more_tasks_than_fit() {
    let mut framework = subscribed();
    step(&mut framework, inverse_offer(S1, 1, 50));
    let rather = |n| InverseAnswer::Accept { rather: (1..=n).map(task).collect() };
    assert_eq!(step(&mut framework, answer(1, rather(1_500))), [answered(S1, 1, rather(1_000))]);
}

#[test]
fn a_teardown_is_finished_once_the_master_no_longer_knows_the_framework() {
    let mut framework = launched();
    step(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(2)])));
    let teardown = Input::Scheduler(Command::Teardown);
    assert_eq!(step(&mut framework, teardown.clone()), [said(S1, FrameworkToMaster::Teardown)]);
    ignored(&mut framework, teardown);
    ignored(&mut framework, Input::Scheduler(Command::Revive));
    ignored(&mut framework, master(S1, MasterToFramework::Offers(vec![offered(3)])));
    // The session ends before the answer: perhaps the request was lost.
    disconnect(&mut framework);
    assert_eq!(reconnect(&mut framework, 3), [said(S2, FrameworkToMaster::Teardown)]);
    assert_eq!(
        step(&mut framework, master(S2, MasterToFramework::Refused("torn down".into()))),
        [close(S2, CloseCode::Done, ""), told(Event::Finished), Effect::Exit]
    );
}

#[test]
fn a_framework_that_no_master_knows_is_torn_down_at_once() {
    let mut framework = started();
    step(&mut framework, Input::ConnectFailed);
    assert_eq!(
        step(&mut framework, Input::Scheduler(Command::Teardown)),
        [Effect::CancelTimer(Timer::Connect), told(Event::Finished), Effect::Exit]
    );
    // A connection that was under way comes too late.
    let mut framework = started();
    step(&mut framework, Input::Scheduler(Command::Teardown));
    assert_eq!(
        step(&mut framework, Input::Opened { session: S1 }),
        [close(S1, CloseCode::Done, "this session is not needed any more")]
    );
}
