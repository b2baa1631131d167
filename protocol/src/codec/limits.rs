//! The limits of what is in a message: one walk over each, before it is encoded and after it is decoded.

use super::{
    ARGUMENTS_MAX, ENVIRONMENT_MAX, HOLDS_MAX, LAUNCHES_MAX, LimitError, OFFERS_MAX, PAGE_MAX, REPORTS_MAX,
    SIGNALS_MAX, TASKS_MAX,
};
use crate::executor;
use crate::message::{
    Answer, Command as OperatorCommand, DrainPlan, DrainView, DrainWait, Event, ExecutorToSlave, Final,
    FrameworkToMaster, FrameworkView, HeldNameView, InverseAnswer, InverseAsk, InverseOfferView,
    LOG_CHUNK_MAX, MasterToFramework, MasterToOperator, MasterToSlave, OfferView, Offered, OperatorToMaster,
    OperatorToSlave, Page, PastEvent, PendingView, ReceiptLine, SlaveToExecutor, SlaveToMaster,
    SlaveToOperator, SlaveView, TaskView,
};
use crate::resources::{PORT_RANGES_MAX, Resources};
use crate::task::{COMMAND_SIZE_MAX, Command, Ending, Run, TASK_DATA_MAX, TaskReport, TaskSpec};

/// What has limits of its own. Strings have theirs in their types. It is out of reach of other crates, so that
/// [`Wire`](super::Wire) is closed.
pub trait Bounded {
    /// Whether all limits are kept.
    ///
    /// # Errors
    /// The first that is not.
    fn check(&self) -> Result<(), LimitError>;
}

type Checked = Result<(), LimitError>;

fn at_most(of: &'static str, found: usize, max: usize) -> Checked {
    match found <= max {
        true => Ok(()),
        false => Err(LimitError { of, max, found }),
    }
}

fn each<'a, T: Bounded + 'a>(
    of: &'static str,
    items: impl IntoIterator<Item = &'a T, IntoIter: ExactSizeIterator>,
    max: usize,
) -> Checked {
    let mut items = items.into_iter();
    at_most(of, items.len(), max)?;
    items.try_for_each(T::check)
}

fn maybe<T: Bounded>(item: Option<&T>) -> Checked {
    item.map_or(Ok(()), T::check)
}

impl Bounded for SlaveToMaster {
    fn check(&self) -> Checked {
        match self {
            Self::Register { resources, tasks, .. } => {
                resources.check()?;
                each("the tasks of a slave", tasks, REPORTS_MAX)
            }
            Self::Update { ending, .. } => maybe(ending.as_deref()),
            Self::Unregister { finals } => each("the last updates of a slave", finals, REPORTS_MAX),
            Self::Pong | Self::Leaving | Self::Renew { .. } => Ok(()),
        }
    }
}

impl Bounded for MasterToSlave {
    fn check(&self) -> Checked {
        match self {
            Self::Launch(spec) => spec.check(),
            Self::Registered { .. }
            | Self::Refused(_)
            | Self::Ping
            | Self::Kill { .. }
            | Self::Acknowledge { .. }
            | Self::Resend { .. }
            | Self::KillFramework { .. }
            | Self::Leave
            | Self::Unregistered
            | Self::Renewed { .. } => Ok(()),
        }
    }
}

impl Bounded for FrameworkToMaster {
    fn check(&self) -> Checked {
        match self {
            Self::Accept { tasks, .. } => each("the tasks of an accept", tasks, LAUNCHES_MAX),
            Self::Decline { offers, .. } => at_most("the offers of a message", offers.len(), OFFERS_MAX),
            Self::Reconcile { tasks, .. } => at_most("the tasks of a reconciliation", tasks.len(), TASKS_MAX),
            Self::AnswerInverse { answer, .. } => answer.check(),
            Self::Subscribe { .. }
            | Self::Revive
            | Self::Suppress
            | Self::Kill { .. }
            | Self::Acknowledge { .. }
            | Self::Teardown => Ok(()),
            Self::Want(want) => want.needs.check(),
        }
    }
}

impl Bounded for MasterToFramework {
    fn check(&self) -> Checked {
        match self {
            Self::Offers(offers) => each("the offers of a message", offers, OFFERS_MAX),
            Self::Rescind(offers) => at_most("the offers of a message", offers.len(), OFFERS_MAX),
            Self::InverseOffer { ask, .. } => ask.check(),
            Self::Subscribed { .. }
            | Self::NotLeading { .. }
            | Self::Refused(_)
            | Self::Update { .. }
            | Self::InverseOfferClosed { .. } => Ok(()),
            Self::Pending(why) => maybe(why.nearest.as_ref()),
        }
    }
}

impl Bounded for SlaveToExecutor {
    fn check(&self) -> Checked {
        match self {
            Self::Launch { command, data, .. } => {
                maybe(command.as_deref())?;
                at_most("the bytes of a task's data", data.len(), TASK_DATA_MAX)
            }
            Self::Kill { .. } | Self::Acknowledge { .. } | Self::Renewed { .. } => Ok(()),
        }
    }
}

impl Bounded for ExecutorToSlave {
    fn check(&self) -> Checked {
        match self {
            Self::Register { tasks } => at_most("the tasks of an executor", tasks.len(), executor::TASKS_MAX),
            Self::Update { .. } | Self::Renew { .. } => Ok(()),
        }
    }
}

impl Bounded for OperatorToMaster {
    fn check(&self) -> Checked {
        match &self.command {
            OperatorCommand::InverseOffer { ask, .. } => ask.check(),
            OperatorCommand::Show(_)
            | OperatorCommand::Watch
            | OperatorCommand::Deactivate { .. }
            | OperatorCommand::Activate { .. }
            | OperatorCommand::CancelInverseOffer(_)
            | OperatorCommand::Drain { .. }
            | OperatorCommand::PlanDrain { .. }
            | OperatorCommand::CancelDrain(_)
            | OperatorCommand::ExtendDrain(..)
            | OperatorCommand::DrainNow { .. }
            | OperatorCommand::Kill { .. }
            | OperatorCommand::ResumeRemovals { .. }
            | OperatorCommand::ForgetSlave { .. }
            | OperatorCommand::Teardown { .. } => Ok(()),
        }
    }
}

impl Bounded for MasterToOperator {
    fn check(&self) -> Checked {
        match self {
            Self::Answer { answer: Ok(answer), .. } => answer.check(),
            Self::Answer { answer: Err(_), .. } => Ok(()),
            Self::Event { event, .. } => event.check(),
        }
    }
}

impl Bounded for OperatorToSlave {
    fn check(&self) -> Checked {
        match self {
            Self::Read { .. } => Ok(()),
        }
    }
}

impl Bounded for SlaveToOperator {
    fn check(&self) -> Checked {
        match self {
            Self::Chunk { data, .. } => at_most("the bytes of a chunk", data.len(), LOG_CHUNK_MAX),
            Self::End { .. } | Self::Refused { .. } => Ok(()),
        }
    }
}

impl Bounded for Answer {
    fn check(&self) -> Checked {
        match self {
            Self::Plan(plan) => plan.check(),
            Self::Slaves(page) => page.check(),
            Self::HeldNames(page) => page.check(),
            Self::Tasks(page) => page.check(),
            Self::Frameworks(page) => page.check(),
            Self::Offers(page) => page.check(),
            Self::InverseOffers(page) => page.check(),
            Self::Pending(page) => page.check(),
            Self::Drain(drain) => drain.check(),
            Self::Receipt(lines) => {
                at_most("the lines of a receipt", lines.len(), REPORTS_MAX)?;
                lines.iter().try_for_each(|(_, line)| line.check())
            }
            Self::Events(page) => page.check(),
            Self::Done { .. }
            | Self::Draining { .. }
            | Self::InverseOffered(_)
            | Self::Watching
            | Self::Status(_) => Ok(()),
        }
    }
}

impl Bounded for Event {
    fn check(&self) -> Checked {
        match self {
            Self::Task(task) => task.check(),
            Self::InverseOffered(view) | Self::InverseAnswered(view) => view.check(),
            Self::Revoking { tasks, .. } => at_most("the tasks of a revocation", tasks.len(), REPORTS_MAX),
            Self::Draining(drain) => drain.check(),
            Self::Leading(_)
            | Self::SlaveRegistered { .. }
            | Self::SlaveDisconnected { .. }
            | Self::NameTaken { .. }
            | Self::SlaveSuperseded { .. }
            | Self::SlaveUnreachable { .. }
            | Self::SlaveLeaving { .. }
            | Self::SlaveUnregistered { .. }
            | Self::FrameworkSubscribed { .. }
            | Self::FrameworkDisconnected { .. }
            | Self::FrameworkRemoved { .. }
            | Self::TaskAcknowledged { .. }
            | Self::HoldPlaced { .. }
            | Self::HoldLifted { .. }
            | Self::InverseReturned(_)
            | Self::InverseClosed { .. }
            | Self::DrainEnded { .. }
            | Self::RemovalsHalted { .. }
            | Self::RemovalsResumed
            | Self::SlaveSilent { .. }
            | Self::SlaveAnswers { .. }
            | Self::SlaveForgotten { .. } => Ok(()),
        }
    }
}

impl Bounded for PastEvent {
    fn check(&self) -> Checked {
        self.event.check()
    }
}

impl Bounded for ReceiptLine {
    fn check(&self) -> Checked {
        match self {
            Self::Answered { answer, .. } => answer.check(),
            Self::Asked { ask, .. } => ask.check(),
            Self::Ended { ending, .. } => maybe(ending.as_deref()),
            Self::Opened { .. }
            | Self::Revoked { .. }
            | Self::Acknowledged { .. }
            | Self::Changed { .. }
            | Self::DrainEnded { .. }
            | Self::InverseOfferClosed { .. }
            | Self::Unregistered
            | Self::DeclaredDead { .. } => Ok(()),
        }
    }
}

impl Bounded for InverseAnswer {
    fn check(&self) -> Checked {
        match self {
            Self::Accept { rather } => at_most("the tasks rather lost", rather.len(), TASKS_MAX),
            Self::Decline { .. } => Ok(()),
        }
    }
}

impl Bounded for InverseAsk {
    fn check(&self) -> Checked {
        match self {
            Self::Everything => Ok(()),
            Self::Amount(resources) => resources.check(),
        }
    }
}

impl<T: Bounded> Bounded for Page<T> {
    fn check(&self) -> Checked {
        each("the items of a page", &self.items, PAGE_MAX)
    }
}

impl Bounded for SlaveView {
    fn check(&self) -> Checked {
        self.total.check()?;
        self.used.check()?;
        self.offered.check()?;
        at_most("the holds of a slave", self.holds.len(), HOLDS_MAX)?;
        maybe(self.drain.as_ref())
    }
}

impl Bounded for HeldNameView {
    fn check(&self) -> Checked {
        at_most("the holds of a name", self.holds.len(), HOLDS_MAX)
    }
}

impl Bounded for TaskView {
    fn check(&self) -> Checked {
        self.resources.check()
    }
}

impl Bounded for FrameworkView {
    fn check(&self) -> Checked {
        self.allocated.check()
    }
}

impl Bounded for PendingView {
    fn check(&self) -> Checked {
        self.want.needs.check()?;
        maybe(self.why.nearest.as_ref())
    }
}

impl Bounded for OfferView {
    fn check(&self) -> Checked {
        self.resources.check()
    }
}

impl Bounded for InverseOfferView {
    fn check(&self) -> Checked {
        self.ask.check()?;
        maybe(self.answer.as_ref())
    }
}

impl Bounded for DrainView {
    fn check(&self) -> Checked {
        each("the frameworks that hold a drain up", &self.waiting_for, REPORTS_MAX)
    }
}

impl Bounded for DrainWait {
    fn check(&self) -> Checked {
        maybe(self.answer.as_ref())
    }
}

impl Bounded for DrainPlan {
    fn check(&self) -> Checked {
        at_most("the tasks of a plan", self.tasks.len(), REPORTS_MAX)
    }
}

impl Bounded for TaskSpec {
    fn check(&self) -> Checked {
        self.resources.check()?;
        match &self.run {
            Run::Command(command) => command.check(),
            Run::Executor { command, data, .. } => {
                command.check()?;
                at_most("the bytes of a task's data", data.len(), TASK_DATA_MAX)
            }
        }
    }
}

impl Bounded for Command {
    fn check(&self) -> Checked {
        at_most("the arguments of a command", self.arguments.len(), ARGUMENTS_MAX)?;
        at_most("the variables of a command", self.environment.len(), ENVIRONMENT_MAX)?;
        at_most("the bytes of a command", self.size(), COMMAND_SIZE_MAX)
    }
}

impl Bounded for TaskReport {
    fn check(&self) -> Checked {
        self.resources.check()
    }
}

impl Bounded for Final {
    fn check(&self) -> Checked {
        maybe(self.ending.as_deref())
    }
}

impl Bounded for Ending {
    fn check(&self) -> Checked {
        at_most("the signals of an ending", self.signals.len(), SIGNALS_MAX)
    }
}

impl Bounded for Offered {
    fn check(&self) -> Checked {
        self.resources.check()
    }
}

impl Bounded for Resources {
    fn check(&self) -> Checked {
        at_most("the ranges of ports", self.ports.ranges().len(), PORT_RANGES_MAX)
    }
}
