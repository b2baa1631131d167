//! An example of every variant that a frame can have. Each list is matched against its enum without a wildcard, so
//! that a variant without an example does not compile.

use std::fmt::Debug;
use std::sync::Arc;

use neap_protocol::codec::{Wire, decode, encode};
use neap_protocol::ids::*;
use neap_protocol::message::*;
use neap_protocol::resources::{Ports, Resources};
use neap_protocol::task::{self, Ending, Reason, Run, SignalSent, TaskReport, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};

/// A message in a frame.
pub(crate) struct Example {
    /// The variant's name.
    pub(crate) name: String,
    /// The frame.
    pub(crate) frame: Vec<u8>,
    /// The whole message, for people.
    pub(crate) debug: String,
}

/// Every variant of every enum, each in a message that carries it.
pub(crate) fn all() -> Vec<Example> {
    let mut all = Vec::new();
    roles(&mut all);
    operator(&mut all);
    answers(&mut all);
    happenings(&mut all);
    refusals(&mut all);
    parts(&mut all);
    logs(&mut all);
    all
}

fn example<M: Wire + Debug + PartialEq>(all: &mut Vec<Example>, name: &str, message: &M) {
    let frame = encode(message).unwrap_or_else(|error| panic!("failed to encode {name}: {error}"));
    assert_eq!(decode(&frame).as_ref(), Ok(message), "{name}");
    all.push(Example { name: name.into(), frame, debug: format!("{message:?}") });
}

/// `examples!(all, Enum, carry, { Variant => example, … })`: every variant, each carried by a message.
macro_rules! examples {
    ($all:expr, $enum:ident, $carry:expr, { $($variant:ident => $example:expr,)* }) => {
        // Exhaustive: a new variant must be listed.
        fn listed(value: &$enum) -> &'static str {
            match value {
                $($enum::$variant { .. } => concat!(stringify!($enum), "::", stringify!($variant)),)*
            }
        }
        $({
            let value: $enum = $example;
            let name = concat!(stringify!($enum), "::", stringify!($variant));
            assert_eq!(listed(&value), name, "an example of another variant");
            example($all, name, &$carry(value));
        })*
    };
}

fn name() -> Name {
    Name::new("host-1").expect("it is a name")
}

fn text() -> Text {
    Text::new("kernel 6.19")
}

const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 300 };
const SLAVE: SlaveId = SlaveId(2);

fn resources() -> Resources {
    Resources {
        disk: 1 << 30,
        ports: Ports::range(31000, 31002).union(&Ports::range(8080, 8080)),
        ..Resources::new(1500, 64 << 20)
    }
}

fn command() -> Arc<task::Command> {
    Arc::new(task::Command {
        program: "/bin/sleep".into(),
        arguments: vec!["60".into(), String::new()],
        environment: vec![("LANG".into(), "C".into())],
    })
}

fn spec(run: Run) -> TaskSpec {
    TaskSpec {
        id: TASK,
        name: name(),
        resources: resources(),
        kill_grace: Millis(3000),
        fence_after: Some(Millis(30_000)),
        run,
    }
}

fn update() -> Update {
    Update { task: TASK, number: 2, state: TaskState::Running, reason: Reason::Normal, message: text() }
}

fn ending() -> Option<Arc<Ending>> {
    Some(Arc::new(Ending {
        signals: vec![SignalSent { at: Moment(1_800_000_000_000), signal: 15, processes: 3 }],
        leader: Text::new("killed by signal 15"),
        seen_dead: Some(Moment(1_800_000_000_007)),
        unseen: Text::EMPTY,
    }))
}

fn page<T>(item: T) -> Page<T> {
    Page { items: vec![item], more: true }
}

fn roles(all: &mut Vec<Example>) {
    slaves(all);
    masters_to_slaves(all);
    frameworks(all);
    masters_to_frameworks(all);
    executors(all);
}

fn slaves(all: &mut Vec<Example>) {
    let report = TaskReport {
        id: TASK,
        name: name(),
        resources: resources(),
        kill_grace: Millis(3000),
        fenced: true,
        state: TaskState::Running,
        reason: Reason::Normal,
        number: 2,
    };
    let last = Final { update: update(), ending: ending() };
    examples!(all, SlaveToMaster, |m| m, {
        Register => SlaveToMaster::Register {
            id: Some(SLAVE),
            incarnation: Incarnation(0x0123_4567_89ab_cdef),
            boot: BootId(7),
            contested: true,
            epoch: Epoch(4),
            resources: resources(),
            address: Text::new("127.0.0.1:5051"),
            tasks: vec![report],
            leaving: true,
        },
        Update => SlaveToMaster::Update { update: update(), ending: ending() },
        Pong => SlaveToMaster::Pong,
        Leaving => SlaveToMaster::Leaving,
        Unregister => SlaveToMaster::Unregister { finals: vec![last] },
        Renew => SlaveToMaster::Renew { task: TASK, turn: true },
    });
}

fn masters_to_slaves(all: &mut Vec<Example>) {
    examples!(all, MasterToSlave, |m| m, {
        Registered => MasterToSlave::Registered { id: SLAVE, epoch: Epoch(4) },
        Refused => MasterToSlave::Refused(Refused::Removed),
        Ping => MasterToSlave::Ping,
        Launch => MasterToSlave::Launch(spec(Run::Command(command()))),
        Kill => MasterToSlave::Kill { task: TASK, grace: Some(Millis(7)), reason: Reason::KilledByOperator },
        Acknowledge => MasterToSlave::Acknowledge { task: TASK, number: 2 },
        Resend => MasterToSlave::Resend { framework: FrameworkId(1) },
        KillFramework => MasterToSlave::KillFramework { framework: FrameworkId(1) },
        Leave => MasterToSlave::Leave,
        Unregistered => MasterToSlave::Unregistered,
        Renewed => MasterToSlave::Renewed { task: TASK, turn: true },
    });
}

fn frameworks(all: &mut Vec<Example>) {
    examples!(all, FrameworkToMaster, |m| m, {
        Subscribe => FrameworkToMaster::Subscribe {
            id: Some(FrameworkId(1)),
            name: name(),
            weight: 1,
            failover_timeout: Millis(60_000),
            partition_aware: false,
            epoch: Epoch(4),
            highest_task: 300,
        },
        Accept => FrameworkToMaster::Accept {
            offer: OfferId(9),
            slave: SlaveId(3),
            tasks: vec![spec(Run::Command(command()))],
            filter: Millis(5000),
        },
        Decline => FrameworkToMaster::Decline { offers: vec![OfferId(9), OfferId(10)], filter: Millis(5000) },
        Revive => FrameworkToMaster::Revive,
        Suppress => FrameworkToMaster::Suppress,
        Kill => FrameworkToMaster::Kill { task: TASK, slave: SLAVE, grace: None },
        Acknowledge => FrameworkToMaster::Acknowledge { task: TASK, number: 2 },
        Reconcile => FrameworkToMaster::Reconcile { after: 2, upto: 9, tasks: vec![(TASK, SLAVE)] },
        AnswerInverse => FrameworkToMaster::AnswerInverse {
            id: InverseOfferId(3),
            answer: InverseAnswer::Accept { rather: vec![TASK] },
        },
        Teardown => FrameworkToMaster::Teardown,
        Want => FrameworkToMaster::Want(want()),
    });
}

fn want() -> Want {
    Want { tasks: 3, needs: resources(), fence_after: Some(Millis(60_000)) }
}

fn pending() -> Pending {
    Pending {
        small: 1,
        away: 2,
        held: 3,
        asked: 4,
        full: 5,
        lent: 6,
        declined: 7,
        free: 8,
        nearest: Some(resources()),
        fence_most: Some(Millis(37_500)),
    }
}

fn masters_to_frameworks(all: &mut Vec<Example>) {
    let offered = Offered { id: OfferId(9), slave: SLAVE, name: name(), resources: resources() };
    examples!(all, MasterToFramework, |m| m, {
        Subscribed => MasterToFramework::Subscribed { id: FrameworkId(1), epoch: Epoch(4), highest_task: 300 },
        NotLeading => MasterToFramework::NotLeading { leader: Text::new("127.0.0.1:5050") },
        Refused => MasterToFramework::Refused(text()),
        Offers => MasterToFramework::Offers(vec![offered]),
        Rescind => MasterToFramework::Rescind(vec![OfferId(9)]),
        Update => MasterToFramework::Update { update: update(), slave: SLAVE },
        InverseOffer => MasterToFramework::InverseOffer {
            id: InverseOfferId(3),
            slave: SLAVE,
            name: name(),
            ask: InverseAsk::Everything,
            deadline: Moment(1_800_000_000_000),
            reason: text(),
        },
        InverseOfferClosed => MasterToFramework::InverseOfferClosed {
            id: InverseOfferId(3),
            outcome: InverseOutcome::Returned,
        },
        Pending => MasterToFramework::Pending(pending()),
    });
}

fn executors(all: &mut Vec<Example>) {
    launches(all);
    examples!(all, ExecutorToSlave, |m| m, {
        Register => ExecutorToSlave::Register { tasks: vec![TASK] },
        Update => ExecutorToSlave::Update {
            task: TASK,
            number: 1,
            state: TaskState::Running,
            reason: Reason::Normal,
            message: Text::EMPTY,
        },
        Renew => ExecutorToSlave::Renew { task: TASK, turn: false },
    });
}

fn launches(all: &mut Vec<Example>) {
    examples!(all, SlaveToExecutor, |m| m, {
        Launch => SlaveToExecutor::Launch {
            task: TASK,
            command: Some(command()),
            data: Arc::new([0, 255]),
            fence_after: Some(Millis(30_000)),
        },
        Kill => SlaveToExecutor::Kill { task: TASK, grace: Millis(3000) },
        Acknowledge => SlaveToExecutor::Acknowledge { task: TASK, number: 1 },
        Renewed => SlaveToExecutor::Renewed { task: TASK, turn: false },
    });
}

fn ask(command: Command) -> OperatorToMaster {
    OperatorToMaster { request: 5, command }
}

fn operator(all: &mut Vec<Example>) {
    let slave = || SlaveRef::Name(name());
    examples!(all, Command, ask, {
        Show => Command::Show(Query::Status),
        Watch => Command::Watch,
        Deactivate => Command::Deactivate { slave: slave(), hold: name(), reason: text() },
        Activate => Command::Activate { slave: slave(), hold: None, reason: text() },
        InverseOffer => Command::InverseOffer {
            framework: FrameworkId(1),
            slave: slave(),
            ask: InverseAsk::Amount(resources()),
            deadline: Millis(600_000),
            reason: text(),
        },
        CancelInverseOffer => Command::CancelInverseOffer(InverseOfferId(3)),
        Drain => Command::Drain {
            slave: slave(),
            deadline: Millis(600_000),
            reason: Some(text()),
            then: Some(Then::Unregister),
            if_plan: Some(0x0123_4567_89ab_cdef),
            change: true,
        },
        PlanDrain => Command::PlanDrain { slave: slave(), deadline: Millis(600_000), then: None },
        CancelDrain => Command::CancelDrain(DrainId(6)),
        ExtendDrain => Command::ExtendDrain(DrainId(6), Millis(60_000)),
        DrainNow => Command::DrainNow { slave: slave(), reason: Some(text()) },
        Kill => Command::Kill { task: TASK, reason: text() },
        ResumeRemovals => Command::ResumeRemovals { reason: text() },
        ForgetSlave => Command::ForgetSlave { slave: slave(), reason: text() },
        Teardown => Command::Teardown { framework: FrameworkId(1), reason: text() },
    });
    queries(all);
}

fn queries(all: &mut Vec<Example>) {
    examples!(all, Query, |query| ask(Command::Show(query)), {
        Status => Query::Status,
        Slaves => Query::Slaves { after: Some(SLAVE) },
        Slave => Query::Slave(SlaveRef::Id(SLAVE)),
        HeldNames => Query::HeldNames { after: Some(name()) },
        Tasks => Query::Tasks { after: Some((SLAVE, TASK)) },
        Task => Query::Task(TASK),
        Frameworks => Query::Frameworks { after: None },
        Offers => Query::Offers { after: Some(OfferId(9)) },
        InverseOffers => Query::InverseOffers { after: Some(InverseOfferId(3)) },
        Drain => Query::Drain(DrainId(6)),
        Receipt => Query::Receipt(ReceiptId::Drain(DrainId(6))),
        Ended => Query::Ended { after: Some(TASK) },
        Events => Query::Events { after: Some(300) },
        Pending => Query::Pending { after: Some(FrameworkId(1)) },
    });
}

fn answer(answer: Result<Answer, Refusal>) -> MasterToOperator {
    MasterToOperator::Answer { request: 5, answer }
}

fn event(event: Event) -> MasterToOperator {
    MasterToOperator::Event { request: 5, event }
}

fn hold() -> HoldView {
    HoldView { name: name(), by: name(), reason: text(), at: Moment(1_800_000_000_000) }
}

fn drain_view() -> DrainView {
    let wait = DrainWait {
        framework: FrameworkId(1),
        name: name(),
        connected: true,
        running: 2,
        unacknowledged: 1,
        answer: Some(InverseAnswer::Decline { reason: text() }),
    };
    DrainView {
        id: DrainId(6),
        slave: SLAVE,
        slave_name: name(),
        by: name(),
        at: Moment(1_800_000_000_000),
        pace: Pace::Within(Millis(600_000)),
        deadline: Moment(1_800_000_600_000),
        bound: Moment(1_800_000_695_000),
        reason: text(),
        then: Then::Stay,
        end: None,
        status: SlaveStatus::Active,
        revoking: false,
        slave_wait: Some(SlaveWait { status: SlaveStatus::Unreachable, out_of_reach: 2, ending: 1 }),
        waiting_for: vec![wait],
    }
}

fn task_view() -> TaskView {
    TaskView {
        id: TASK,
        name: name(),
        framework: name(),
        slave: SLAVE,
        slave_name: name(),
        slave_address: Text::new("127.0.0.1:5051"),
        state: TaskState::Failed,
        reason: Reason::Exited(-1),
        resources: resources(),
    }
}

fn inverse_view() -> InverseOfferView {
    InverseOfferView {
        id: InverseOfferId(3),
        framework: FrameworkId(1),
        framework_name: name(),
        slave: SLAVE,
        slave_name: name(),
        ask: InverseAsk::Everything,
        deadline: Moment(1_800_000_600_000),
        reason: text(),
        by: name(),
        drain: Some(DrainId(6)),
        answer: None,
        returned: false,
        revoking: true,
        tasks: 2,
    }
}

fn status() -> Status {
    Status {
        epoch: Epoch(4),
        slaves: 4,
        connected: 2,
        away: 1,
        unreachable: 1,
        silent: 1,
        deactivated: 1,
        frameworks: 1,
        tasks: 2,
        offers: 1,
        drains: 1,
        removals_halted: false,
    }
}

fn slave_view(status: SlaveStatus) -> SlaveView {
    SlaveView {
        id: SLAVE,
        name: name(),
        address: Text::new("127.0.0.1:5051"),
        status,
        total: resources(),
        used: Resources::new(500, 1 << 20),
        offered: Resources::NONE,
        tasks: 2,
        uncounted: Uncounted::Nothing,
        holds: vec![hold()],
        drain: Some(drain_view()),
    }
}

fn framework_view() -> FrameworkView {
    FrameworkView {
        id: FrameworkId(1),
        name: name(),
        principal: name(),
        connected: true,
        suppressed: false,
        weight: 1,
        allocated: Resources::new(500, 1 << 20),
        tasks: 2,
    }
}

fn offer_view() -> OfferView {
    OfferView {
        id: OfferId(9),
        framework: FrameworkId(1),
        slave: SLAVE,
        slave_name: name(),
        resources: resources(),
    }
}

fn plan(uncounted: Uncounted) -> DrainPlan {
    let task = PlannedTask {
        id: TASK,
        name: name(),
        framework: name(),
        connected: true,
        grace: Millis(1000),
        cut_from: Some(Millis(3000)),
    };
    DrainPlan {
        slave: SLAVE,
        slave_name: name(),
        status: SlaveStatus::Active,
        uncounted,
        drain: Some(DrainId(6)),
        has: Some((Pace::Now, Then::Unregister)),
        drained: false,
        tasks: vec![task],
        tasks_end: Moment(1_800_000_601_000),
        drain_end: Moment(1_800_000_611_000),
        digest: u64::MAX,
    }
}

fn answers(all: &mut Vec<Example>) {
    examples!(all, Answer, |value| answer(Ok(value)), {
        Done => Answer::Done { changed: true },
        Draining => Answer::Draining { drain: DrainId(6), step: DrainStep::Began },
        InverseOffered => Answer::InverseOffered(InverseOfferId(3)),
        Plan => Answer::Plan(plan(Uncounted::Nothing)),
        Watching => Answer::Watching,
        Status => Answer::Status(status()),
        Slaves => Answer::Slaves(page(slave_view(SlaveStatus::Active))),
        HeldNames => Answer::HeldNames(page(HeldNameView { name: name(), holds: vec![hold()] })),
        Tasks => Answer::Tasks(page(task_view())),
        Frameworks => Answer::Frameworks(page(framework_view())),
        Offers => Answer::Offers(page(offer_view())),
        InverseOffers => Answer::InverseOffers(page(inverse_view())),
        Drain => Answer::Drain(drain_view()),
        Receipt => Answer::Receipt(vec![(Moment(1_800_000_000_000), ReceiptLine::Unregistered)]),
        Events => Answer::Events(page(PastEvent {
            number: 301,
            at: Moment(1_800_000_000_000),
            event: Box::new(Event::RemovalsResumed),
        })),
        Pending => Answer::Pending(page(PendingView {
            framework: FrameworkId(1),
            name: name(),
            want: want(),
            why: pending(),
        })),
    });
    envelopes(all);
    receipts(all);
}

fn envelopes(all: &mut Vec<Example>) {
    examples!(all, MasterToOperator, |m| m, {
        Answer => answer(Err(Refusal::Overloaded)),
        Event => event(Event::RemovalsResumed),
    });
}

fn receipts(all: &mut Vec<Example>) {
    let carry = |line| answer(Ok(Answer::Receipt(vec![(Moment(1), line)])));
    examples!(all, ReceiptLine, carry, {
        Opened => ReceiptLine::Opened {
            slave: SLAVE,
            name: name(),
            by: name(),
            reason: text(),
            deadline: Some(Moment(1_800_000_600_000)),
            drain: Some((Pace::Within(Millis(600_000)), Then::Unregister)),
        },
        Asked => ReceiptLine::Asked {
            framework: FrameworkId(1),
            inverse_offer: InverseOfferId(3),
            ask: InverseAsk::Everything,
        },
        Answered => ReceiptLine::Answered {
            inverse_offer: InverseOfferId(3),
            answer: InverseAnswer::Decline { reason: text() },
        },
        Revoked => ReceiptLine::Revoked { task: TASK, grace: Millis(3000) },
        Ended => ReceiptLine::Ended {
            task: TASK,
            state: TaskState::Killed,
            reason: Reason::Revoked(InverseOfferId(3)),
            ending: ending(),
        },
        Acknowledged => ReceiptLine::Acknowledged { task: TASK },
        Changed => ReceiptLine::Changed {
            by: name(),
            pace: Pace::Now,
            deadline: Moment(1_800_000_900_000),
            then: Then::Unregister,
            reason: text(),
        },
        DrainEnded => ReceiptLine::DrainEnded { end: DrainEnd::Drained, unacknowledged: 0 },
        InverseOfferClosed => ReceiptLine::InverseOfferClosed { outcome: InverseOutcome::Revoked },
        Unregistered => ReceiptLine::Unregistered,
        DeclaredDead => ReceiptLine::DeclaredDead {
            slave: SLAVE,
            name: name(),
            by: name(),
            reason: text(),
        },
    });
}

fn happenings(all: &mut Vec<Example>) {
    examples!(all, Event, event, {
        Leading => Event::Leading(Epoch(4)),
        SlaveRegistered => Event::SlaveRegistered { slave: SLAVE, name: name(), new: true },
        SlaveDisconnected => Event::SlaveDisconnected { slave: SLAVE, name: name() },
        SlaveUnreachable => Event::SlaveUnreachable { slave: SLAVE, name: name() },
        SlaveLeaving => Event::SlaveLeaving { slave: SLAVE, name: name() },
        SlaveUnregistered => Event::SlaveUnregistered { slave: SLAVE, name: name() },
        NameTaken => Event::NameTaken { slave: SLAVE, name: name(), address: text(), from: text() },
        SlaveSuperseded => Event::SlaveSuperseded { slave: SLAVE, name: name() },
        FrameworkSubscribed => Event::FrameworkSubscribed {
            framework: FrameworkId(1),
            name: name(),
            new: false,
        },
        FrameworkDisconnected => Event::FrameworkDisconnected { framework: FrameworkId(1), name: name() },
        FrameworkRemoved => Event::FrameworkRemoved { framework: FrameworkId(1), name: name() },
        Task => Event::Task(task_view()),
        TaskAcknowledged => Event::TaskAcknowledged { task: TASK },
        HoldPlaced => Event::HoldPlaced { slave: Some(SLAVE), name: name(), hold: hold() },
        HoldLifted => Event::HoldLifted { slave: None, name: name(), hold: name(), by: name() },
        InverseOffered => Event::InverseOffered(inverse_view()),
        InverseAnswered => Event::InverseAnswered(inverse_view()),
        Revoking => Event::Revoking { inverse_offer: InverseOfferId(3), tasks: vec![TASK] },
        InverseReturned => Event::InverseReturned(InverseOfferId(3)),
        InverseClosed => Event::InverseClosed {
            inverse_offer: InverseOfferId(3),
            outcome: InverseOutcome::Cancelled,
        },
        Draining => Event::Draining(drain_view()),
        DrainEnded => Event::DrainEnded {
            drain: DrainId(6),
            slave: SLAVE,
            name: name(),
            end: DrainEnd::Unseen,
        },
        RemovalsHalted => Event::RemovalsHalted { silent: 30, of: 100 },
        RemovalsResumed => Event::RemovalsResumed,
        SlaveSilent => Event::SlaveSilent { slave: SLAVE, name: name() },
        SlaveAnswers => Event::SlaveAnswers { slave: SLAVE, name: name() },
        SlaveForgotten => Event::SlaveForgotten {
            slave: SLAVE,
            name: name(),
            by: name(),
            reason: text(),
        },
    });
}

fn refusals(all: &mut Vec<Example>) {
    examples!(all, Refusal, |refusal| answer(Err(refusal)), {
        NotLeading => Refusal::NotLeading { leader: Text::EMPTY },
        UnknownSlave => Refusal::UnknownSlave(SlaveRef::Name(name())),
        SlaveLeft => Refusal::SlaveLeft { name: name(), slave: SLAVE, at: Moment(1_800_000_000_000) },
        RemovedSlave => Refusal::RemovedSlave(SLAVE),
        UnknownFramework => Refusal::UnknownFramework(FrameworkId(1)),
        UnknownTask => Refusal::UnknownTask(TASK),
        UnknownInverseOffer => Refusal::UnknownInverseOffer(InverseOfferId(3)),
        InverseOfferOfDrain => Refusal::InverseOfferOfDrain(InverseOfferId(3), DrainId(6)),
        UnknownDrain => Refusal::UnknownDrain(DrainId(6)),
        DrainEnded => Refusal::DrainEnded(DrainId(6), DrainEnd::Cancelled),
        DrainDiffers => Refusal::DrainDiffers(DrainId(6), DrainDifference {
            deadline: Some((Millis(600_000), Millis(1000))),
            then: Some((Then::Unregister, Then::Stay)),
            reason: Some((text(), Text::EMPTY)),
        }),
        DrainIsNow => Refusal::DrainIsNow(DrainId(6)),
        DrainTold => Refusal::DrainTold(DrainId(6)),
        TooManyHeld => Refusal::TooManyHeld,
        HoldOfDrain => Refusal::HoldOfDrain(DrainId(6)),
        ReservedHold => Refusal::ReservedHold(name()),
        AlreadyAsked => Refusal::AlreadyAsked(InverseOfferId(3)),
        NothingThere => Refusal::NothingThere,
        NothingAsked => Refusal::NothingAsked,
        PlanChanged => Refusal::PlanChanged { digest: 255 },
        UnknownReceipt => Refusal::UnknownReceipt(ReceiptId::Unregistration(SLAVE)),
        Storage => Refusal::Storage(text()),
        Overloaded => Refusal::Overloaded,
        SlaveAnswers => Refusal::SlaveAnswers { slave: SLAVE, address: text() },
        LeasesRun => Refusal::LeasesRun { left: Millis(45_000) },
        SlaveChanging => Refusal::SlaveChanging(SLAVE),
    });
}

/// Enums that are parts of several messages, each in one of them.
fn parts(all: &mut Vec<Example>) {
    states(all);
    reasons(all);
    runs(all);
    refused(all);
    inverse_parts(all);
    operator_parts(all);
}

fn states(all: &mut Vec<Example>) {
    let carry = |state| MasterToFramework::Update { update: Update { state, ..update() }, slave: SLAVE };
    examples!(all, TaskState, carry, {
        Staging => TaskState::Staging,
        Starting => TaskState::Starting,
        Running => TaskState::Running,
        Killing => TaskState::Killing,
        Unreachable => TaskState::Unreachable,
        Finished => TaskState::Finished,
        Failed => TaskState::Failed,
        Killed => TaskState::Killed,
        Lost => TaskState::Lost,
        Dropped => TaskState::Dropped,
    });
}

fn reasons(all: &mut Vec<Example>) {
    let carry = |reason| MasterToFramework::Update { update: Update { reason, ..update() }, slave: SLAVE };
    examples!(all, Reason, carry, {
        Normal => Reason::Normal,
        Exited => Reason::Exited(-3),
        Signalled => Reason::Signalled(9),
        NotStarted => Reason::NotStarted,
        ExecutorEnded => Reason::ExecutorEnded,
        ExecutorNotStarted => Reason::ExecutorNotStarted,
        ExecutorSilent => Reason::ExecutorSilent,
        KilledByFramework => Reason::KilledByFramework,
        KilledByOperator => Reason::KilledByOperator,
        Revoked => Reason::Revoked(InverseOfferId(3)),
        FrameworkRemoved => Reason::FrameworkRemoved,
        SlaveUnregistered => Reason::SlaveUnregistered,
        SlaveUnreachable => Reason::SlaveUnreachable,
        SlaveRemoved => Reason::SlaveRemoved,
        SlaveForgot => Reason::SlaveForgot,
        SlaveRestarted => Reason::SlaveRestarted,
        SlaveDeactivated => Reason::SlaveDeactivated,
        SlaveLeaving => Reason::SlaveLeaving,
        SlaveDisconnected => Reason::SlaveDisconnected,
        OfferGone => Reason::OfferGone,
        BeyondOffer => Reason::BeyondOffer,
        IdUsed => Reason::IdUsed,
        InvalidSpec => Reason::InvalidSpec,
        Unknown => Reason::Unknown,
        HostRebooted => Reason::HostRebooted,
        Fenced => Reason::Fenced,
        CannotFence => Reason::CannotFence,
        SlaveSilent => Reason::SlaveSilent,
        SlaveDeclaredDead => Reason::SlaveDeclaredDead,
    });
}

fn runs(all: &mut Vec<Example>) {
    examples!(all, Run, |run| MasterToSlave::Launch(spec(run)), {
        Command => Run::Command(command()),
        Executor => Run::Executor { number: 300, command: command(), data: Arc::new([1, 2, 3]) },
    });
}

fn refused(all: &mut Vec<Example>) {
    examples!(all, Refused, MasterToSlave::Refused, {
        NotLeading => Refused::NotLeading { leader: Text::new("127.0.0.1:5050") },
        Removed => Refused::Removed,
        NotYours => Refused::NotYours,
        Invalid => Refused::Invalid(text()),
        NameTaken => Refused::NameTaken { address: text(), lives: true },
    });
}

fn inverse_parts(all: &mut Vec<Example>) {
    inverse_answers(all);
    inverse_asks(all);
    let carry = |outcome| MasterToFramework::InverseOfferClosed { id: InverseOfferId(3), outcome };
    examples!(all, InverseOutcome, carry, {
        Returned => InverseOutcome::Returned,
        Revoked => InverseOutcome::Revoked,
        Cancelled => InverseOutcome::Cancelled,
        Void => InverseOutcome::Void,
    });
}

fn inverse_answers(all: &mut Vec<Example>) {
    let carry = |answer| FrameworkToMaster::AnswerInverse { id: InverseOfferId(3), answer };
    examples!(all, InverseAnswer, carry, {
        Accept => InverseAnswer::Accept { rather: vec![TASK] },
        Decline => InverseAnswer::Decline { reason: text() },
    });
}

fn inverse_asks(all: &mut Vec<Example>) {
    let carry = |ask| {
        self::ask(Command::InverseOffer {
            framework: FrameworkId(1),
            slave: SlaveRef::Id(SLAVE),
            ask,
            deadline: Millis(1000),
            reason: Text::EMPTY,
        })
    };
    examples!(all, InverseAsk, carry, {
        Everything => InverseAsk::Everything,
        Amount => InverseAsk::Amount(resources()),
    });
}

fn operator_parts(all: &mut Vec<Example>) {
    slave_refs(all);
    thens(all);
    paces(all);
    steps(all);
    statuses(all);
    uncounted(all);
    receipt_ids(all);
    let carry = |end| answer(Err(Refusal::DrainEnded(DrainId(6), end)));
    examples!(all, DrainEnd, carry, {
        Drained => DrainEnd::Drained,
        Unseen => DrainEnd::Unseen,
        SlaveGone => DrainEnd::SlaveGone,
        Cancelled => DrainEnd::Cancelled,
    });
}

fn slave_refs(all: &mut Vec<Example>) {
    examples!(all, SlaveRef, |slave| ask(Command::DrainNow { slave, reason: None }), {
        Id => SlaveRef::Id(SLAVE),
        Name => SlaveRef::Name(name()),
    });
}

fn thens(all: &mut Vec<Example>) {
    let plan = |then| Command::PlanDrain { slave: SlaveRef::Id(SLAVE), deadline: Millis(1000), then };
    examples!(all, Then, |then| ask(plan(Some(then))), {
        Stay => Then::Stay,
        Unregister => Then::Unregister,
    });
}

fn paces(all: &mut Vec<Example>) {
    let carry = |pace| answer(Ok(Answer::Drain(DrainView { pace, ..drain_view() })));
    examples!(all, Pace, carry, {
        Within => Pace::Within(Millis(1000)),
        Now => Pace::Now,
    });
}

fn steps(all: &mut Vec<Example>) {
    let carry = |step| answer(Ok(Answer::Draining { drain: DrainId(6), step }));
    examples!(all, DrainStep, carry, {
        Began => DrainStep::Began,
        Changed => DrainStep::Changed,
        Unchanged => DrainStep::Unchanged,
    });
}

fn statuses(all: &mut Vec<Example>) {
    let carry = |status| answer(Ok(Answer::Slaves(page(slave_view(status)))));
    examples!(all, SlaveStatus, carry, {
        Active => SlaveStatus::Active,
        Held => SlaveStatus::Held,
        Draining => SlaveStatus::Draining,
        Drained => SlaveStatus::Drained,
        Awaited => SlaveStatus::Awaited,
        Disconnected => SlaveStatus::Disconnected,
        Unreachable => SlaveStatus::Unreachable,
        Leaving => SlaveStatus::Leaving,
        Silent => SlaveStatus::Silent,
    });
}

fn uncounted(all: &mut Vec<Example>) {
    examples!(all, Uncounted, |uncounted| answer(Ok(Answer::Plan(plan(uncounted)))), {
        Nothing => Uncounted::Nothing,
        Ending => Uncounted::Ending(2),
        Lost => Uncounted::Lost,
        Unknown => Uncounted::Unknown,
    });
}

fn receipt_ids(all: &mut Vec<Example>) {
    examples!(all, ReceiptId, |id| ask(Command::Show(Query::Receipt(id))), {
        Drain => ReceiptId::Drain(DrainId(6)),
        InverseOffer => ReceiptId::InverseOffer(InverseOfferId(3)),
        Unregistration => ReceiptId::Unregistration(SLAVE),
    });
}

fn logs(all: &mut Vec<Example>) {
    examples!(all, OperatorToSlave, |m| m, {
        Read => read(LogStream::Stdout),
    });
    log_answers(all);
    log_refusals(all);
    log_ends(all);
    log_streams(all);
}

fn read(stream: LogStream) -> OperatorToSlave {
    OperatorToSlave::Read { task: TASK, stream, from: 300, follow: true }
}

fn log_streams(all: &mut Vec<Example>) {
    examples!(all, LogStream, read, {
        Stdout => LogStream::Stdout,
        Stderr => LogStream::Stderr,
    });
}

fn log_answers(all: &mut Vec<Example>) {
    let stream = LogStream::Stderr;
    examples!(all, SlaveToOperator, |m| m, {
        Chunk => SlaveToOperator::Chunk { stream, at: 300, data: Arc::new([b'h', b'i', b'\n', 0, 255]) },
        End => SlaveToOperator::End { stream, end: LogEnd::Ended },
        Refused => SlaveToOperator::Refused { stream: None, refusal: LogRefusal::Busy },
    });
}

fn log_refusals(all: &mut Vec<Example>) {
    let carry = |refusal| SlaveToOperator::Refused { stream: Some(LogStream::Stdout), refusal };
    examples!(all, LogRefusal, carry, {
        NoSandbox => LogRefusal::NoSandbox(TASK),
        Unreadable => LogRefusal::Unreadable(text()),
        Busy => LogRefusal::Busy,
    });
}

fn log_ends(all: &mut Vec<Example>) {
    examples!(all, LogEnd, |end| SlaveToOperator::End { stream: LogStream::Stdout, end }, {
        Running => LogEnd::Running,
        Ended => LogEnd::Ended,
    });
}
