use alloc::vec::Vec;

use super::*;
use crate::ids::FrameworkId;

const S: SessionId = SessionId(1);
const S2: SessionId = SessionId(2);
const CONFIG: Config = Config { recovery_timeout: Millis(9000) };

fn task(number: u32) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn go(executor: &mut Executor, input: Input) -> Vec<Effect> {
    let mut out = Outbox::new();
    executor.handle(&CONFIG, input, &mut out);
    out.drain().collect()
}

fn nothing(executor: &mut Executor, input: Input) {
    let before = executor.clone();
    assert_eq!(go(executor, input), []);
    assert_eq!(*executor, before);
}

fn slave(message: SlaveToExecutor) -> Input {
    Input::Slave { session: S, message }
}

fn launch(number: u32) -> Input {
    slave(SlaveToExecutor::Launch {
        task: task(number),
        command: None,
        data: Arc::default(),
        fence_after: None,
    })
}

fn kill(number: u32, grace: u64) -> Input {
    slave(SlaveToExecutor::Kill { task: task(number), grace: Millis(grace) })
}

fn ack(number: u32, nth: u32) -> Input {
    slave(SlaveToExecutor::Acknowledge { task: task(number), number: nth })
}

fn started(number: u32) -> Input {
    Input::Started { task: task(number) }
}

fn exited(number: u32, how: Exit) -> Input {
    Input::Exited { task: task(number), how }
}

fn starts(number: u32) -> Effect {
    Effect::Start { task: task(number), command: None, data: Arc::default() }
}

fn says(session: SessionId, number: u32, nth: u32, state: TaskState, reason: Reason) -> Effect {
    let message =
        ExecutorToSlave::Update { task: task(number), number: nth, state, reason, message: Text::EMPTY };
    Effect::ToSlave { session, message }
}

fn registers(session: SessionId, has: &[u32]) -> Effect {
    let tasks = has.iter().map(|number| task(*number)).collect();
    Effect::ToSlave { session, message: ExecutorToSlave::Register { tasks } }
}

fn signals(number: u32, signal: Signal) -> Effect {
    Effect::Signal { task: task(number), signal }
}

fn sets(timer: Timer, millis: u64) -> Effect {
    Effect::SetTimer { timer, when: When::After(Millis(millis)) }
}

fn cancels(timer: Timer) -> Effect {
    Effect::CancelTimer { timer }
}

const DONE: Effect = Effect::Exit { code: EXIT_DONE };
const ABANDONED: Effect = Effect::Exit { code: EXIT_ABANDONED };

fn connected() -> Executor {
    let mut executor = Executor::new();
    assert_eq!(go(&mut executor, Input::Start), [sets(Timer::Recovery, 9000)]);
    let opened = go(&mut executor, Input::Opened { session: S });
    assert_eq!(opened, [cancels(Timer::Recovery), registers(S, &[])]);
    executor
}

fn running() -> Executor {
    let mut executor = connected();
    assert_eq!(go(&mut executor, launch(1)), [starts(1)]);
    let running = says(S, 1, 1, TaskState::Running, Reason::Normal);
    assert_eq!(go(&mut executor, started(1)), [running]);
    executor
}

#[test]
fn a_task_runs_to_its_end_and_the_executor_exits_when_it_is_acknowledged() {
    let mut executor = running();
    nothing(&mut executor, launch(1));
    nothing(&mut executor, started(1));
    let finished = says(S, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(go(&mut executor, exited(1, Exit::Code(0))), [finished]);
    nothing(&mut executor, exited(1, Exit::Signal(9)));
    nothing(&mut executor, kill(1, 0));
    assert_eq!(go(&mut executor, ack(1, 1)), []);
    assert_eq!(go(&mut executor, ack(1, 2)), [DONE]);
    nothing(&mut executor, launch(2));
}

#[test]
fn bad_ends_are_told_as_they_are() {
    for (how, reason) in [(Exit::Code(3), Reason::Exited(3)), (Exit::Signal(15), Reason::Signalled(15))] {
        let failed = says(S, 1, 2, TaskState::Failed, reason);
        assert_eq!(go(&mut running(), exited(1, how)), [failed]);
    }
    let mut executor = connected();
    go(&mut executor, launch(1));
    let effects = go(&mut executor, Input::StartFailed { task: task(1), cause: Text::EMPTY });
    assert_eq!(effects, [says(S, 1, 1, TaskState::Failed, Reason::NotStarted)]);
}

#[test]
fn r13_a_kill_asks_then_forces_and_a_second_can_only_shorten_it() {
    let mut executor = running();
    let timer = Timer::Kill(task(1));
    assert_eq!(go(&mut executor, kill(1, 500)), [signals(1, Signal::Term), sets(timer, 500)]);
    nothing(&mut executor, kill(1, 500));
    let when = When::After(Millis(200));
    assert_eq!(go(&mut executor, kill(1, 200)), [Effect::ShortenTimer { timer, when }]);
    let mut other = executor.clone();
    assert_eq!(go(&mut other, kill(1, 0)), [cancels(timer), signals(1, Signal::Kill)]);
    assert_eq!(go(&mut executor, Input::Timer(timer)), [signals(1, Signal::Kill)]);
    assert_eq!(executor, other);
    nothing(&mut executor, Input::Timer(timer));
    nothing(&mut executor, kill(1, 0));
    let killed = says(S, 1, 2, TaskState::Killed, Reason::Signalled(9));
    assert_eq!(go(&mut executor, exited(1, Exit::Signal(9))), [killed]);
    assert_eq!(go(&mut running(), kill(1, 0)), [signals(1, Signal::Kill)]);
}

#[test]
fn r12a_after_a_kill_no_exit_code_is_an_end_of_the_tasks_own() {
    for (code, words) in
        [(0, "exited with 0 after it was asked to end"), (143, "exited with 143 after it was asked to end")]
    {
        let mut executor = running();
        go(&mut executor, kill(1, 500));
        let timer = cancels(Timer::Kill(task(1)));
        let effects = go(&mut executor, exited(1, Exit::Code(code)));
        assert_eq!(effects, [timer, says_killed(2, Reason::Exited(code), words)]);
        // So is one that the slave's SIGTERM to the whole tree, or the loss of the slave, has ended.
        let mut executor = running();
        go(&mut executor, Input::Terminate);
        let effects = go(&mut executor, exited(1, Exit::Code(code)));
        assert_eq!(effects, [says_killed(2, Reason::Exited(code), words)]);
        let mut executor = running();
        go(&mut executor, Input::Closed { session: S });
        go(&mut executor, Input::Timer(Timer::Recovery));
        assert_eq!(go(&mut executor, exited(1, Exit::Code(code))), [ABANDONED]);
    }
    // What has ended before it was asked has ended by itself.
    let mut executor = running();
    let finished = says(S, 1, 2, TaskState::Finished, Reason::Exited(0));
    assert_eq!(go(&mut executor, exited(1, Exit::Code(0))), [finished]);
    nothing(&mut executor, kill(1, 500));
    assert_eq!(go(&mut executor, Input::Terminate), []);
}

fn says_killed(nth: u32, reason: Reason, words: &str) -> Effect {
    let (task, state, message) = (task(1), TaskState::Killed, Text::new(words));
    Effect::ToSlave {
        session: S,
        message: ExecutorToSlave::Update { task, number: nth, state, reason, message },
    }
}

#[test]
fn r13_a_kill_that_comes_before_the_process_waits_for_it() {
    let mut executor = connected();
    go(&mut executor, launch(1));
    assert_eq!(go(&mut executor, kill(1, 500)), []);
    nothing(&mut executor, Input::Timer(Timer::Kill(task(1))));
    let mut failed = executor.clone();
    let timer = Timer::Kill(task(1));
    assert_eq!(go(&mut executor, started(1)), [signals(1, Signal::Term), sets(timer, 500)]);
    let effects = go(&mut failed, Input::StartFailed { task: task(1), cause: Text::EMPTY });
    assert_eq!(effects, [says(S, 1, 1, TaskState::Killed, Reason::NotStarted)]);
}

#[test]
fn s10_a_task_that_was_killed_before_it_came_never_starts() {
    let mut executor = running();
    let killed = says(S, 2, 1, TaskState::Killed, Reason::Normal);
    assert_eq!(go(&mut executor, kill(2, 500)), [killed]);
    nothing(&mut executor, launch(2));
    assert_eq!(go(&mut executor, ack(2, 1)), []);
    nothing(&mut executor, launch(2));
    // Nothing but such a task: its work is done.
    let mut executor = connected();
    go(&mut executor, kill(1, 0));
    assert_eq!(go(&mut executor, ack(1, 1)), [DONE]);
}

#[test]
fn r28_what_the_slave_has_not_acknowledged_is_said_again_in_the_next_session() {
    let mut executor = running();
    assert_eq!(go(&mut executor, Input::Closed { session: S }), [sets(Timer::Recovery, 9000)]);
    nothing(&mut executor, Input::Closed { session: S });
    nothing(&mut executor, launch(2));
    assert_eq!(go(&mut executor, exited(1, Exit::Code(0))), []);
    let again = [
        cancels(Timer::Recovery),
        registers(S2, &[1]),
        says(S2, 1, 1, TaskState::Running, Reason::Normal),
        says(S2, 1, 2, TaskState::Finished, Reason::Exited(0)),
    ];
    assert_eq!(go(&mut executor, Input::Opened { session: S2 }), again);
    nothing(&mut executor, Input::Opened { session: S2 });
    nothing(&mut executor, ack(1, 2));
    // An acknowledgement covers what was said up to it, and no more.
    let message = SlaveToExecutor::Acknowledge { task: task(1), number: 1 };
    assert_eq!(go(&mut executor, Input::Slave { session: S2, message }), []);
    go(&mut executor, Input::Closed { session: S2 });
    let finished = says(S, 1, 2, TaskState::Finished, Reason::Exited(0));
    let rest = [cancels(Timer::Recovery), registers(S, &[1]), finished];
    assert_eq!(go(&mut executor, Input::Opened { session: S }), rest);
}

#[test]
fn r28_a_slave_that_stays_away_ends_everything() {
    let mut executor = running();
    nothing(&mut executor, Input::Timer(Timer::Recovery));
    go(&mut executor, Input::Closed { session: S });
    let effects = go(&mut executor, Input::Timer(Timer::Recovery));
    assert_eq!(effects, [signals(1, Signal::Kill)]);
    assert_eq!(go(&mut executor, exited(1, Exit::Signal(9))), [ABANDONED]);
    // One that never found its slave.
    let mut executor = Executor::new();
    go(&mut executor, Input::Start);
    assert_eq!(go(&mut executor, Input::Timer(Timer::Recovery)), [ABANDONED]);
}

/// Of 400 ms: it is asked for every 100.
fn launch_fenced(number: u32) -> Input {
    let (data, fence_after) = (Arc::default(), Some(Millis(400)));
    slave(SlaveToExecutor::Launch { task: task(number), command: None, data, fence_after })
}

fn renewed(turn: bool) -> Input {
    slave(SlaveToExecutor::Renewed { task: task(1), turn })
}

fn renews(session: SessionId, turn: bool) -> Effect {
    Effect::ToSlave { session, message: ExecutorToSlave::Renew { task: task(1), turn } }
}

const FENCED: Reason = Reason::Fenced;

fn ask() -> Timer {
    Timer::Ask(task(1))
}

fn lease(turn: bool) -> Timer {
    Timer::Lease(task(1), turn)
}

/// A new request, and the lease that begins with it.
fn asks(turn: bool) -> [Effect; 3] {
    [sets(lease(turn), 400), sets(ask(), 100), renews(S, turn)]
}

/// The same request again.
fn repeats(turn: bool) -> [Effect; 2] {
    [sets(ask(), 100), renews(S, turn)]
}

/// A fenced task that runs; its lease began with its launch.
fn leased() -> Executor {
    let mut executor = connected();
    assert_eq!(go(&mut executor, launch_fenced(1)), asks(false));
    assert_eq!(go(&mut executor, renewed(false)), [starts(1)]);
    nothing(&mut executor, renewed(false));
    go(&mut executor, started(1));
    executor
}

#[test]
fn r9_a_fenced_task_starts_with_its_lease_and_ends_with_it() {
    let mut executor = leased();
    assert_eq!(go(&mut executor, Input::Timer(ask())), asks(true));
    assert_eq!(go(&mut executor, Input::Timer(ask())), repeats(true));
    assert_eq!(go(&mut executor, Input::Timer(ask())), repeats(true));
    let ends = [cancels(ask()), cancels(lease(true)), signals(1, Signal::Kill)];
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), ends);
    for late in [renewed(true), Input::Timer(ask()), Input::Timer(lease(true))] {
        nothing(&mut executor, late);
    }
    let mut other = executor.clone();
    let killed = [signals(1, Signal::Kill), says(S, 1, 2, TaskState::Killed, FENCED)];
    assert_eq!(go(&mut executor, exited(1, Exit::Signal(9))), killed);
    // Whatever code it ends with.
    let words = "exited with 0 after it was asked to end";
    let ended = [signals(1, Signal::Kill), says_killed(2, FENCED, words)];
    assert_eq!(go(&mut other, exited(1, Exit::Code(0))), ended);
}

/// A lease begins when it is asked for: the answer cancels the one before, and an answer to an earlier request nothing.
#[test]
fn r9_a_late_answer_prolongs_a_lease_by_less() {
    let mut executor = leased();
    assert_eq!(go(&mut executor, Input::Timer(ask())), asks(true));
    nothing(&mut executor, renewed(false));
    assert_eq!(go(&mut executor, renewed(true)), [cancels(lease(false))]);
    nothing(&mut executor, renewed(true));
    nothing(&mut executor, Input::Timer(lease(false)));
    // Of a lease whose request was repeated not much may be left: the next is asked for at once.
    assert_eq!(go(&mut executor, Input::Timer(ask())), asks(false));
    assert_eq!(go(&mut executor, Input::Timer(ask())), repeats(false));
    let [begins, soon, said] = asks(true);
    assert_eq!(go(&mut executor, renewed(false)), [cancels(lease(true)), begins, soon, said]);
    // Whatever timer was late: the lease that is over is over.
    let ends = [cancels(ask()), cancels(lease(true)), signals(1, Signal::Kill)];
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), ends);
    // Renewed in time, again and again, a task lives for as long as it likes.
    let mut executor = leased();
    for nth in 0..20 {
        let turn = nth % 2 == 0;
        assert_eq!(go(&mut executor, Input::Timer(ask())), asks(turn));
        assert_eq!(go(&mut executor, renewed(turn)), [cancels(lease(!turn))]);
    }
}

#[test]
fn r9_what_gets_no_lease_never_starts() {
    let mut executor = connected();
    go(&mut executor, launch_fenced(1));
    (0..3).for_each(|_| assert_eq!(go(&mut executor, Input::Timer(ask())), repeats(false)));
    let mut other = executor.clone();
    let never = [cancels(ask()), says(S, 1, 1, TaskState::Killed, FENCED)];
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), never);
    nothing(&mut executor, renewed(false));
    // In the last moment: it starts, and has the next lease asked for.
    let [begins, soon, said] = asks(true);
    assert_eq!(go(&mut other, renewed(false)), [starts(1), begins, soon, said]);
    // Nor does what is killed first, or is there when SIGTERM comes.
    let killed = says(S, 1, 1, TaskState::Killed, Reason::Normal);
    let never = [cancels(ask()), cancels(lease(false)), killed];
    for kill in [kill(1, 500), kill(1, 0), Input::Terminate] {
        let mut executor = connected();
        go(&mut executor, launch_fenced(1));
        assert_eq!(go(&mut executor, kill), never);
        nothing(&mut executor, renewed(false));
    }
    // An executor whose slave stays away ends with the last of those.
    let mut executor = connected();
    go(&mut executor, launch_fenced(1));
    go(&mut executor, launch_fenced(2));
    go(&mut executor, Input::Closed { session: S });
    assert_eq!(go(&mut executor, Input::Timer(Timer::Recovery)).last(), Some(&ABANDONED));
    nothing(&mut executor, launch_fenced(3));
}

/// R28: what the last session lost is asked for in the next, and a slave that stays away is no reason to live on.
#[test]
fn r9_a_lease_goes_on_without_a_session() {
    let mut executor = leased();
    go(&mut executor, Input::Closed { session: S });
    assert_eq!(go(&mut executor, Input::Timer(ask())), [sets(lease(true), 400), sets(ask(), 100)]);
    let running = says(S2, 1, 1, TaskState::Running, Reason::Normal);
    let again = [cancels(Timer::Recovery), registers(S2, &[1]), running, renews(S2, true)];
    assert_eq!(go(&mut executor, Input::Opened { session: S2 }), again);
    go(&mut executor, Input::Closed { session: S2 });
    let ends = [cancels(ask()), cancels(lease(true)), signals(1, Signal::Kill)];
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), ends);
    assert_eq!(go(&mut executor, exited(1, Exit::Signal(9))), [signals(1, Signal::Kill)]);
}

/// Of what ends its task otherwise, the fence is no more; what it had started goes with it.
#[test]
fn r9_a_task_that_is_over_has_no_fence() {
    let mut executor = leased();
    let failed = says(S, 1, 2, TaskState::Failed, Reason::Exited(3));
    let effects = [cancels(ask()), cancels(lease(false)), signals(1, Signal::Kill), failed];
    assert_eq!(go(&mut executor, exited(1, Exit::Code(3))), effects);
    nothing(&mut executor, Input::Timer(lease(false)));
    // One that is being killed when its lease is over is ended by force.
    let mut executor = leased();
    go(&mut executor, kill(1, 500));
    let forced = [cancels(ask()), cancels(Timer::Kill(task(1))), signals(1, Signal::Kill)];
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), forced);
    // One that is being started when its lease is over is ended as it runs.
    let mut executor = connected();
    go(&mut executor, launch_fenced(1));
    go(&mut executor, renewed(false));
    assert_eq!(go(&mut executor, Input::Timer(lease(false))), [cancels(ask())]);
    assert_eq!(go(&mut executor, started(1)), [signals(1, Signal::Kill)]);
}

#[test]
fn r24_after_sigterm_a_task_that_dies_was_ended() {
    let mut executor = running();
    assert_eq!(go(&mut executor, Input::Terminate), []);
    nothing(&mut executor, Input::Terminate);
    let killed = says(S, 1, 2, TaskState::Killed, Reason::Signalled(15));
    assert_eq!(go(&mut executor, exited(1, Exit::Signal(15))), [killed]);
    // R13: and one that comes afterwards, which nobody has asked to end, does not start.
    let never = says(S, 2, 1, TaskState::Killed, Reason::Normal);
    assert_eq!(go(&mut executor, launch(2)), [never]);
    nothing(&mut executor, launch(2));
}

#[test]
fn s15_more_tasks_than_it_can_have_are_answered() {
    let mut executor = connected();
    for number in 1..=u32::try_from(TASKS_MAX).unwrap() {
        go(&mut executor, launch(number));
    }
    let before = executor.clone();
    let effects = go(&mut executor, launch(1 << 20));
    let message = ExecutorToSlave::Update {
        task: task(1 << 20),
        number: 1,
        state: TaskState::Failed,
        reason: Reason::NotStarted,
        message: Text::new("the executor has as many tasks as it can have"),
    };
    assert_eq!(effects, [Effect::ToSlave { session: S, message }]);
    assert_eq!(executor, before);
}
