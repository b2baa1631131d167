//! What nodes say, write and are told, each in a short sentence.

use std::fmt::Display;

use neap_protocol::framework::{self, MemoryChange};
use neap_protocol::message::{
    Answer, Command, DrainStep, ExecutorToSlave, Final, FrameworkToMaster, InverseAnswer, InverseAsk,
    InverseOutcome, MasterToFramework, MasterToSlave, Pace, Query, Refused, SlaveToExecutor, SlaveToMaster,
    Then,
};
use neap_protocol::registry::{InverseStage, Operation};
use neap_protocol::slave::{self, CheckpointChange};
use neap_protocol::task::{Exit, Reason, TaskReport, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use crate::world::Message;

/// A message, as its sender would put it.
pub fn message(message: &Message) -> String {
    match message {
        Message::SlaveToMaster(message) => slave_to_master(message),
        Message::MasterToSlave(message) => master_to_slave(message),
        Message::FrameworkToMaster(message) => framework_to_master(message),
        Message::MasterToFramework(message) => master_to_framework(message),
        Message::ExecutorToSlave(message) => executor_to_slave(message),
        Message::SlaveToExecutor(message) => slave_to_executor(message),
    }
}

fn slave_to_master(message: &SlaveToMaster) -> String {
    match message {
        SlaveToMaster::Register { id, epoch, tasks, leaving, .. } => {
            let as_who = id.map_or("new".to_owned(), |id| id.to_string());
            let heard = if epoch.0 > 0 { format!(", having heard {epoch}") } else { String::new() };
            let leaving = if *leaving { "; leaving" } else { "" };
            format!("register me as {as_who}{heard}; here are {}{leaving}", reports(tasks))
        }
        SlaveToMaster::Update { update: news, .. } => update(news),
        SlaveToMaster::Pong => "pong".into(),
        SlaveToMaster::Leaving => "I am leaving: launch nothing here".into(),
        SlaveToMaster::Renew { task, turn } => renew(task, *turn),
        SlaveToMaster::Unregister { finals } => {
            format!(
                "unregister me: nothing runs here; {}",
                listed(finals.iter().map(last), "no task had news")
            )
        }
    }
}

fn last(last: &Final) -> String {
    update(&last.update)
}

fn master_to_slave(message: &MasterToSlave) -> String {
    match message {
        MasterToSlave::Registered { id, epoch } => format!("you are {id}, says the leader of {epoch}"),
        MasterToSlave::Refused(why) => refused(why),
        MasterToSlave::Ping => "ping".into(),
        MasterToSlave::Launch(spec) => format!("launch {} ({})", spec.id, spec.resources),
        MasterToSlave::Kill { task, grace, reason } => {
            let grace =
                grace.map_or("its own grace".to_owned(), |grace| format!("a grace of {grace} at most"));
            format!("kill {task} within {grace}: {reason}")
        }
        MasterToSlave::Acknowledge { task, number } => acknowledge(task, *number),
        MasterToSlave::Resend { framework } => {
            format!("{framework} is back: send again what it has not acknowledged")
        }
        MasterToSlave::KillFramework { framework } => format!("{framework} is gone for good: end its tasks"),
        MasterToSlave::Leave => "end everything and unregister".into(),
        MasterToSlave::Unregistered => "you are unregistered".into(),
        MasterToSlave::Renewed { task, turn } => renewed(task, *turn),
    }
}

fn refused(why: &Refused) -> String {
    match why {
        Refused::NotLeading { .. } => "I do not lead".into(),
        Refused::Removed => "refused: your id was removed; end everything, and register afresh".into(),
        Refused::NameTaken { .. } => "refused: another slave has your name; ask again later".into(),
        Refused::NotYours => "refused: that id is another's".into(),
        Refused::Invalid(why) => format!("refused: {why}"),
    }
}

fn framework_to_master(message: &FrameworkToMaster) -> String {
    match message {
        FrameworkToMaster::Subscribe { id, name, highest_task, .. } => {
            let as_who = id.map_or(format!("new, called {name}"), |id| id.to_string());
            let used = if *highest_task > 0 {
                format!("; I have used task numbers up to {highest_task}")
            } else {
                String::new()
            };
            format!("subscribe me as {as_who}{used}")
        }
        FrameworkToMaster::Accept { offer, slave, tasks, .. } => {
            let tasks = listed(tasks.iter().map(|task| task.id.to_string()), "nothing");
            format!("accept {offer} of {slave}: launch {tasks}")
        }
        FrameworkToMaster::Decline { offers, .. } => format!("decline {}", listed(offers, "nothing")),
        FrameworkToMaster::Revive => "revive: offer again".into(),
        FrameworkToMaster::Suppress => "suppress: offer nothing".into(),
        FrameworkToMaster::Kill { task, slave, .. } => format!("kill {task}, on {slave} as far as I know"),
        FrameworkToMaster::Acknowledge { task, number } => acknowledge(task, *number),
        FrameworkToMaster::Reconcile { tasks, .. } => {
            let tasks = listed(tasks.iter().map(|(task, slave)| format!("{task} on {slave}")), "no task");
            format!("what has become of {tasks}?")
        }
        FrameworkToMaster::AnswerInverse { id, answer } => format!("{} {id}", inverse_answer(answer)),
        FrameworkToMaster::Teardown => "tear me down".into(),
        FrameworkToMaster::Want(want) => {
            format!("why is there no offer for {} tasks of {}?", want.tasks, want.needs)
        }
    }
}

/// How a framework answers.
pub fn inverse_answer(answer: &InverseAnswer) -> String {
    match answer {
        InverseAnswer::Accept { rather } if rather.is_empty() => "accept".into(),
        InverseAnswer::Accept { rather } => format!("accept (take {} first)", listed(rather, "")),
        InverseAnswer::Decline { .. } => "decline".into(),
    }
}

fn master_to_framework(message: &MasterToFramework) -> String {
    match message {
        MasterToFramework::Subscribed { id, epoch, .. } => {
            format!("you are {id}, says the leader of {epoch}")
        }
        MasterToFramework::NotLeading { .. } => "I do not lead".into(),
        MasterToFramework::Refused(why) => format!("refused: {why}"),
        MasterToFramework::Offers(offers) => {
            let offer = |offer: &neap_protocol::message::Offered| {
                format!("{} ({} on {})", offer.id, offer.resources, offer.slave)
            };
            format!("offer {}", listed(offers.iter().map(offer), "nothing"))
        }
        MasterToFramework::Rescind(offers) => format!("rescind {}", listed(offers, "nothing")),
        MasterToFramework::Update { update: news, slave } => format!("{} on {slave}", update(news)),
        MasterToFramework::InverseOffer { id, slave, ask, deadline, .. } => {
            format!("inverse offer {id}: give back {} on {slave} within {}", asked(ask), Millis(deadline.0))
        }
        MasterToFramework::InverseOfferClosed { id, outcome: how } => {
            format!("{id} is over: {}", outcome(*how))
        }
        MasterToFramework::Pending(_) => "why you have no such offer".into(),
    }
}

fn asked(ask: &InverseAsk) -> String {
    match ask {
        InverseAsk::Everything => "everything".into(),
        InverseAsk::Amount(amount) => amount.to_string(),
    }
}

fn outcome(how: InverseOutcome) -> &'static str {
    match how {
        InverseOutcome::Returned => "returned in time",
        InverseOutcome::Revoked => "revoked",
        InverseOutcome::Cancelled => "cancelled",
        InverseOutcome::Void => "void",
    }
}

fn executor_to_slave(message: &ExecutorToSlave) -> String {
    match message {
        ExecutorToSlave::Register { tasks } => {
            format!("register me, with {}", listed(tasks.iter().map(ToString::to_string), "no tasks"))
        }
        ExecutorToSlave::Update { task, number, state, reason, .. } => {
            format!("{task} is {} (update {number})", so(state, *reason))
        }
        ExecutorToSlave::Renew { task, turn } => renew(task, *turn),
    }
}

fn renew(task: impl Display, turn: bool) -> String {
    format!("renew the lease of {task} (turn {})", u8::from(turn))
}

fn renewed(task: impl Display, turn: bool) -> String {
    format!("the lease of {task} is renewed (turn {})", u8::from(turn))
}

fn slave_to_executor(message: &SlaveToExecutor) -> String {
    match message {
        SlaveToExecutor::Launch { task, .. } => format!("run {task}"),
        SlaveToExecutor::Kill { task, grace } => format!("end {task} within {grace}"),
        SlaveToExecutor::Acknowledge { task, number } => acknowledge(task, *number),
        SlaveToExecutor::Renewed { task, turn } => renewed(task, *turn),
    }
}

fn acknowledge(task: impl Display, number: u32) -> String {
    format!("acknowledged: {task} up to update {number}")
}

/// News of a task.
pub fn update(update: &Update) -> String {
    format!("{} is {} (update {})", update.task, so(update.state, update.reason), update.number)
}

/// A state, and why where there is something to explain.
pub fn so(state: impl Display, reason: Reason) -> String {
    match reason == Reason::Normal {
        true => state.to_string(),
        false => format!("{state}/{reason}"),
    }
}

fn reports(tasks: &[TaskReport]) -> String {
    listed(tasks.iter().map(|task| format!("{} {}", task.id, so(task.state, task.reason))), "no tasks")
}

/// A change of the registry.
pub fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Lead { epoch } => format!("{epoch} leads"),
        Operation::AdmitSlave { name, resources, .. } => format!("slave {name} is admitted with {resources}"),
        Operation::ReadmitSlave { slave, .. } => format!("{slave} is re-admitted"),
        Operation::MarkUnreachable { slave } => format!("{slave} is unreachable"),
        Operation::RemoveSlave { slave, ends } => {
            let kept = match ends.is_empty() {
                true => String::new(),
                false => format!(", and {}", listed(ends.iter().map(|end| update(&end.update)), "")),
            };
            format!("{slave} is removed for good{kept}")
        }
        Operation::ForgetEnd { task } => format!("it is acknowledged how {task} ended"),
        Operation::PlaceHold { slave, name, .. } => format!("{slave} is held by {name}"),
        Operation::LiftHolds { slave, name: Some(name) } => format!("{slave} is no longer held by {name}"),
        Operation::LiftHolds { slave, name: None } => format!("{slave} is no longer held"),
        Operation::AddFramework(record) => format!("framework {} is subscribed", record.name),
        Operation::ChangeFramework { framework, .. } => format!("{framework} has changed its settings"),
        Operation::RemoveFramework { framework } => format!("{framework} is removed for good"),
        Operation::OpenInverseOffer(record) => {
            format!("{} is asked for {} on {}", record.framework, asked(&record.ask), record.slave)
        }
        Operation::AnswerInverseOffer { id, answer } => match answer {
            InverseAnswer::Accept { .. } => format!("{id} is accepted"),
            InverseAnswer::Decline { .. } => format!("{id} is declined"),
        },
        Operation::AdvanceInverseOffer { id, stage, .. } => match stage {
            InverseStage::Open => format!("{id} is open"),
            InverseStage::Revoking => format!("the deadline of {id} is over: the rest is revoked"),
        },
        Operation::CloseInverseOffer { id, outcome: how } => format!("{id} is over: {}", outcome(*how)),
        Operation::StartDrain(ask) => match ask.pace {
            Pace::Now => format!("a drain of {} is now", ask.slave),
            Pace::Within(_) => {
                format!("a drain of {} is asked for, {}", ask.slave, then(ask.then.unwrap_or(Then::Stay)))
            }
        },
        Operation::ExtendDrain { drain, .. } => format!("the deadline of {drain} is moved"),
        Operation::EndDrain { drain, end } => format!("{drain} is over: {end}"),
    }
}

fn then(then: Then) -> &'static str {
    match then {
        Then::Stay => "after which the slave stays",
        Then::Unregister => "after which the slave unregisters",
    }
}

/// A change of a slave's checkpoint.
pub fn change(change: &CheckpointChange) -> String {
    match change {
        CheckpointChange::Identity { id, epoch } => format!("I am {id}, and have heard {epoch}"),
        CheckpointChange::Booted(_) => "which start of my machine this is".into(),
        CheckpointChange::Leaving(true) => "I am leaving".into(),
        CheckpointChange::Leaving(false) => "I am to serve when I am started".into(),
        CheckpointChange::TaskAdded { report, .. } => format!("{} is mine to run", report.id),
        CheckpointChange::Ended { update: news, .. } => {
            format!("once its tree is dead, {}", update(news))
        }
        CheckpointChange::UpdateAdded { update: news, .. } => update(news),
        CheckpointChange::Acknowledged { task, number } => acknowledge(task, *number),
        CheckpointChange::TaskForgotten { task } => format!("{task} is over and forgotten"),
        CheckpointChange::Whole(whole) => {
            let id = whole.id.map_or("nobody".to_owned(), |id| id.to_string());
            let tasks = listed(whole.tasks.iter().map(|task| task.report.id.to_string()), "no tasks");
            format!("everything anew: I am {id}, with {tasks}")
        }
        CheckpointChange::Cleared => "nothing is left to remember".into(),
    }
}

/// A change of what a framework's driver remembers.
pub fn memory(change: &MemoryChange) -> String {
    match change {
        MemoryChange::Subscribed(id) => format!("I am {id}"),
        MemoryChange::Launching { highest_task, tasks } => {
            let numbers = listed(tasks.iter().map(|(number, _)| number.to_string()), "nothing");
            format!("I launch {numbers}, and have used numbers up to {highest_task}")
        }
        MemoryChange::Over(number) => format!("how {number} ended is dealt with"),
    }
}

/// What an operator asks for.
pub fn command(command: &Command) -> String {
    match command {
        Command::Show(query) => show(query),
        Command::Watch => "watch".into(),
        Command::Deactivate { slave, hold, .. } => format!("deactivate {slave} (hold {hold})"),
        Command::Activate { slave, hold, .. } => {
            let hold = hold.as_ref().map_or("every hold", Name::as_str);
            format!("activate {slave} ({hold})")
        }
        Command::InverseOffer { framework, slave, ask, deadline, .. } => {
            format!("ask {framework} for {} on {slave} within {deadline}", asked(ask))
        }
        Command::CancelInverseOffer(id) => format!("cancel {id}"),
        Command::Drain { slave, deadline, then: after, .. } => {
            let after = after.map_or_else(String::new, |after| format!(", {}", then(after)));
            format!("drain {slave} within {deadline}{after}")
        }
        Command::PlanDrain { slave, .. } => format!("plan a drain of {slave}"),
        Command::CancelDrain(id) => format!("cancel {id}"),
        Command::ExtendDrain(id, to) => format!("move the deadline of {id} to {to} from now"),
        Command::DrainNow { slave, .. } => format!("drain {slave} now"),
        Command::Kill { task, .. } => format!("kill {task}"),
        Command::ResumeRemovals { .. } => "resume removals".into(),
        Command::ForgetSlave { slave, .. } => format!("forget {slave}, which is dead"),
        Command::Teardown { framework, .. } => format!("tear down {framework}"),
    }
}

fn show(query: &Query) -> String {
    format!("show {query:?}")
}

/// What an operator is answered.
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Done { changed: true } => "done".into(),
        Answer::Done { changed: false } => "it is so already".into(),
        Answer::Draining { drain, step: DrainStep::Began } => format!("{drain} is under way"),
        Answer::Draining { drain, step: DrainStep::Changed } => format!("{drain} is changed"),
        Answer::Draining { drain, step: DrainStep::Unchanged } => format!("{drain} is under way already"),
        Answer::InverseOffered(id) => format!("{id} is made"),
        Answer::Plan(_)
        | Answer::Watching
        | Answer::Status(_)
        | Answer::Slaves(_)
        | Answer::HeldNames(_)
        | Answer::Tasks(_)
        | Answer::Frameworks(_)
        | Answer::Offers(_)
        | Answer::InverseOffers(_)
        | Answer::Drain(_)
        | Answer::Receipt(_)
        | Answer::Events(_)
        | Answer::Pending(_) => "what was asked".into(),
    }
}

/// What a scheduler's callback is told.
pub fn told(event: &framework::Event) -> String {
    match event {
        framework::Event::Subscribed { id, epoch } => format!("subscribed as {id} by the leader of {epoch}"),
        framework::Event::Disconnected => "there is no master for now".into(),
        framework::Event::Offers(offers) => {
            let offer = |offer: &neap_protocol::message::Offered| format!("{} of {}", offer.id, offer.slave);
            format!("offered {}", listed(offers.iter().map(offer), "nothing"))
        }
        framework::Event::Rescinded(offers) => format!("rescinded {}", listed(offers, "nothing")),
        framework::Event::Launching { offer, tasks } => {
            format!("launching {} from {offer}", listed(tasks, "nothing"))
        }
        framework::Event::Update { update: news, slave } => format!("{} on {slave}", update(news)),
        framework::Event::InverseOffer { id, asked: of } => {
            format!("{id} asks for {} on {}", asked(&of.ask), of.slave)
        }
        framework::Event::InverseOfferClosed { id, outcome: how } => {
            format!("{id} is over: {}", outcome(*how))
        }
        framework::Event::Pending(_) => "why it has no offer that it wants".into(),
        framework::Event::Refused(why) => format!("refused: {why}"),
        framework::Event::Finished => "finished".into(),
    }
}

/// What a slave's log tells.
pub fn slave_event(event: &slave::Event) -> String {
    match event {
        slave::Event::Registered { id, epoch } => format!("registered as {id} by the leader of {epoch}"),
        slave::Event::Deposed { epoch } => format!("the leader of {epoch} is deposed, and not obeyed"),
        slave::Event::Recovered { executors, ended, lost } => {
            format!(
                "of what I had left, {executors} executors go on, {ended} are ended, {lost} tasks are lost"
            )
        }
        slave::Event::Removed => "my id was removed: I end everything and register afresh".into(),
        slave::Event::Refused { cause } => because("no master admits me: I end everything and exit", cause),
        slave::Event::NameTaken { .. } => "another slave has my name: I end nothing, and ask again".into(),
        slave::Event::LaunchRefused { task, reason } => format!("{task} is not launched: {reason}"),
        slave::Event::ExecutorNotStarted { executor, cause } => {
            because(&format!("{executor} could not be started"), cause)
        }
        slave::Event::ExecutorExited { executor, how } => {
            let how = how.map_or_else(|| "somehow".to_owned(), exit);
            format!("{executor} ended {how} while it had tasks")
        }
        slave::Event::ExecutorSilent { executor } => format!("{executor} has been silent for too long"),
        slave::Event::ExecutorOverran { executor, task } => format!("{executor} did not end {task} in time"),
        slave::Event::ExecutorMisbehaved { executor } => format!("{executor} misbehaves"),
        slave::Event::StoreFailed { cause } => because("a write failed", cause),
        slave::Event::Leaving => "I am leaving".into(),
        slave::Event::NothingLeft => "I have seen that nothing runs here any more".into(),
        slave::Event::Unregistered => "I am unregistered".into(),
        slave::Event::NeverAdmitted => "I was never admitted: there is nobody to tell".into(),
        slave::Event::NobodyAnswered => "nobody answered in time: I go all the same".into(),
    }
}

fn because(what: &str, cause: &Text) -> String {
    match cause.is_empty() {
        true => what.to_owned(),
        false => format!("{what}: {cause}"),
    }
}

fn exit(how: Exit) -> String {
    match how {
        Exit::Code(code) => format!("with code {code}"),
        Exit::Signal(signal) => format!("by signal {signal}"),
    }
}

/// Names side by side; `none` where there are none.
pub fn listed<T: Display>(items: impl IntoIterator<Item = T>, none: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => none.to_owned(),
        false => items.join(", "),
    }
}
