//! What machines of all roles have in common for one who looks on: sessions, timers, and what is asked of a driver
//! and answered by it.

use std::fmt::Debug;

use neap_protocol::executor::{self, Executor};
use neap_protocol::framework::{self, Framework};
use neap_protocol::ids::{Epoch, ExecutorId, Seq, SessionId, TaskId};
use neap_protocol::journal::Machine;
use neap_protocol::master::{self, Master};
use neap_protocol::slave::{self, Slave};
use neap_protocol::time::When;

use crate::world::Message;

/// What happens to a session, as an input tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was opened.
    Opened(SessionId),
    /// It ended.
    Closed(SessionId),
    /// Something was said on it; operators keep no journal, and what they say is not kept here.
    Heard(SessionId, Option<Message>),
}

/// What becomes of a timer, as an effect asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// It is to fire then, whatever was set before.
    Set(T, When),
    /// It is to fire then at the latest.
    Shortened(T, When),
    /// It is not to fire.
    Cancelled(T),
}

/// What a driver answers, and only when it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Write this; of a slave, epoch 0.
    Write(Epoch, Seq),
    /// Read the registry.
    Recover,
    /// Dial a master.
    Dial,
    /// Run an executor, until its tree is seen dead.
    Tree(ExecutorId),
    /// Start a task's process.
    Process(TaskId),
    /// Let the scheduler hear of this update.
    Callback(TaskId, u32),
    /// Begin.
    Begin,
}

/// What a driver says of an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and so is every write before it.
    Done(Errand),
    /// It could not be done, nor what is to be done after it.
    FailedFrom(Errand),
    /// It could not be done.
    Failed(Errand),
    /// It is under way, and this came of it.
    Meanwhile(Errand),
}

/// A machine as one who looks on sees it.
pub trait Talk: Machine {
    /// What its timers are called.
    type Timer: Copy + Debug + Ord;
    /// Whether its driver tells of the end of a session that the machine closed.
    const HEARS_OWN_CLOSE: bool;
    /// Whether its driver spreads the delay of this timer by a half.
    fn is_jittered(timer: Self::Timer) -> bool;

    /// What an input tells of a session.
    fn news(input: &Self::Input) -> Option<News>;
    /// What an effect says, and on which session.
    fn said(effect: &Self::Effect) -> Option<(SessionId, Option<Message>)>;
    /// The session that an effect closes.
    fn closed(effect: &Self::Effect) -> Option<SessionId>;
    /// The timer that fired.
    fn fired(input: &Self::Input) -> Option<Self::Timer>;
    /// What an effect does to a timer.
    fn setting(effect: &Self::Effect) -> Option<Setting<Self::Timer>>;
    /// What an effect asks for that is answered.
    fn errand(effect: &Self::Effect) -> Option<Errand>;
    /// What an input answers.
    fn answer(input: &Self::Input) -> Option<Answer>;
    /// What an input tells that an earlier run had asked for, and will be answered in this one.
    fn found(_input: &Self::Input) -> Vec<Errand> {
        Vec::new()
    }
}

impl Talk for Master {
    type Timer = master::Timer;
    const HEARS_OWN_CLOSE: bool = false;

    fn is_jittered(_: master::Timer) -> bool {
        false
    }

    fn news(input: &master::Input) -> Option<News> {
        use master::Input;
        match input {
            Input::Opened { session, .. } => Some(News::Opened(*session)),
            Input::Closed { session } => Some(News::Closed(*session)),
            Input::Slave { session, message } => {
                Some(News::Heard(*session, Some(Message::SlaveToMaster(message.clone()))))
            }
            Input::Framework { session, message } => {
                Some(News::Heard(*session, Some(Message::FrameworkToMaster(message.clone()))))
            }
            Input::Operator { session, .. } => Some(News::Heard(*session, None)),
            Input::Elected { .. }
            | Input::Deposed { .. }
            | Input::Recovered { .. }
            | Input::Timer(_)
            | Input::Stored { .. }
            | Input::StoreFailed { .. } => None,
        }
    }

    fn said(effect: &master::Effect) -> Option<(SessionId, Option<Message>)> {
        use master::Effect;
        match effect {
            Effect::ToSlave { session, message } => {
                Some((*session, Some(Message::MasterToSlave(message.clone()))))
            }
            Effect::ToFramework { session, message } => {
                Some((*session, Some(Message::MasterToFramework(message.clone()))))
            }
            Effect::ToOperator { session, .. }
            | Effect::AnswerReceipt { session, .. }
            | Effect::RefuseUnknownSlave { session, .. }
            | Effect::AnswerHistory { session, .. } => Some((*session, None)),
            Effect::Close { .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::Recover
            | Effect::Store { .. }
            | Effect::Record { .. }
            | Effect::Publish(_) => None,
        }
    }

    fn closed(effect: &master::Effect) -> Option<SessionId> {
        if let master::Effect::Close { session, .. } = effect {
            return Some(*session);
        }
        None
    }

    fn fired(input: &master::Input) -> Option<master::Timer> {
        if let master::Input::Timer(timer) = input {
            return Some(*timer);
        }
        None
    }

    fn setting(effect: &master::Effect) -> Option<Setting<master::Timer>> {
        if let master::Effect::SetTimer { timer, when } = effect {
            return Some(Setting::Set(*timer, *when));
        }
        if let master::Effect::CancelTimer { timer } = effect {
            return Some(Setting::Cancelled(*timer));
        }
        None
    }

    fn errand(effect: &master::Effect) -> Option<Errand> {
        if let master::Effect::Store { seq, epoch, .. } = effect {
            return Some(Errand::Write(*epoch, *seq));
        }
        if let master::Effect::Recover = effect {
            return Some(Errand::Recover);
        }
        None
    }

    fn answer(input: &master::Input) -> Option<Answer> {
        if let master::Input::Stored { epoch, seq } = input {
            return Some(Answer::Done(Errand::Write(*epoch, *seq)));
        }
        if let master::Input::StoreFailed { epoch, seq, .. } = input {
            return Some(Answer::FailedFrom(Errand::Write(*epoch, *seq)));
        }
        if let master::Input::Recovered { .. } = input {
            return Some(Answer::Done(Errand::Recover));
        }
        None
    }
}

impl Talk for Slave {
    type Timer = slave::Timer;
    const HEARS_OWN_CLOSE: bool = true;

    fn is_jittered(timer: slave::Timer) -> bool {
        timer == slave::Timer::Reconnect
    }

    fn news(input: &slave::Input) -> Option<News> {
        use slave::Input;
        match input {
            Input::MasterOpened { session } | Input::ExecutorOpened { session, .. } => {
                Some(News::Opened(*session))
            }
            Input::MasterClosed { session } | Input::ExecutorClosed { session } => {
                Some(News::Closed(*session))
            }
            Input::Master { session, message } => {
                Some(News::Heard(*session, Some(Message::MasterToSlave(message.clone()))))
            }
            Input::Executor { session, message } => {
                Some(News::Heard(*session, Some(Message::ExecutorToSlave(message.clone()))))
            }
            Input::Start { .. }
            | Input::ConnectFailed
            | Input::LaunchFailed { .. }
            | Input::Exited { .. }
            | Input::TreeEnded { .. }
            | Input::Timer(_)
            | Input::Stored { .. }
            | Input::StoreFailed { .. }
            | Input::DrainNow => None,
        }
    }

    fn said(effect: &slave::Effect) -> Option<(SessionId, Option<Message>)> {
        if let slave::Effect::ToMaster { session, message } = effect {
            return Some((*session, Some(Message::SlaveToMaster(message.clone()))));
        }
        if let slave::Effect::ToExecutor { session, message } = effect {
            return Some((*session, Some(Message::SlaveToExecutor(message.clone()))));
        }
        None
    }

    fn closed(effect: &slave::Effect) -> Option<SessionId> {
        if let slave::Effect::Close { session, .. } = effect {
            return Some(*session);
        }
        None
    }

    fn fired(input: &slave::Input) -> Option<slave::Timer> {
        if let slave::Input::Timer(timer) = input {
            return Some(*timer);
        }
        None
    }

    fn setting(effect: &slave::Effect) -> Option<Setting<slave::Timer>> {
        if let slave::Effect::SetTimer { timer, when } = effect {
            return Some(Setting::Set(*timer, *when));
        }
        if let slave::Effect::ShortenTimer { timer, when } = effect {
            return Some(Setting::Shortened(*timer, *when));
        }
        if let slave::Effect::CancelTimer { timer } = effect {
            return Some(Setting::Cancelled(*timer));
        }
        None
    }

    fn errand(effect: &slave::Effect) -> Option<Errand> {
        if let slave::Effect::Store { seq, .. } = effect {
            return Some(Errand::Write(Epoch(0), *seq));
        }
        if let slave::Effect::Connect { .. } = effect {
            return Some(Errand::Dial);
        }
        if let slave::Effect::Launch { executor, .. } = effect {
            return Some(Errand::Tree(*executor));
        }
        None
    }

    fn found(input: &slave::Input) -> Vec<Errand> {
        let slave::Input::Start { alive, .. } = input else { return Vec::new() };
        alive.iter().map(|id| Errand::Tree(*id)).collect()
    }

    fn answer(input: &slave::Input) -> Option<Answer> {
        use slave::Input;
        match input {
            Input::Start { .. } => Some(Answer::Done(Errand::Begin)),
            Input::MasterOpened { .. } => Some(Answer::Done(Errand::Dial)),
            Input::ConnectFailed => Some(Answer::Failed(Errand::Dial)),
            Input::Stored { seq } => Some(Answer::Done(Errand::Write(Epoch(0), *seq))),
            Input::StoreFailed { seq, .. } => Some(Answer::Failed(Errand::Write(Epoch(0), *seq))),
            Input::LaunchFailed { executor, .. } => Some(Answer::Failed(Errand::Tree(*executor))),
            Input::TreeEnded { executor, .. } => Some(Answer::Done(Errand::Tree(*executor))),
            Input::Exited { executor, .. } | Input::ExecutorOpened { executor, .. } => {
                Some(Answer::Meanwhile(Errand::Tree(*executor)))
            }
            Input::MasterClosed { .. }
            | Input::Master { .. }
            | Input::ExecutorClosed { .. }
            | Input::Executor { .. }
            | Input::Timer(_)
            | Input::DrainNow => None,
        }
    }
}

impl Talk for Framework {
    type Timer = framework::Timer;
    const HEARS_OWN_CLOSE: bool = false;

    fn is_jittered(timer: framework::Timer) -> bool {
        timer == framework::Timer::Connect
    }

    fn news(input: &framework::Input) -> Option<News> {
        use framework::Input;
        match input {
            Input::Opened { session } => Some(News::Opened(*session)),
            Input::Closed { session } => Some(News::Closed(*session)),
            Input::Master { session, message } => {
                Some(News::Heard(*session, Some(Message::MasterToFramework(message.clone()))))
            }
            Input::Start { .. }
            | Input::ConnectFailed
            | Input::Timer(_)
            | Input::Scheduler(_)
            | Input::Handled { .. } => None,
        }
    }

    fn said(effect: &framework::Effect) -> Option<(SessionId, Option<Message>)> {
        if let framework::Effect::ToMaster { session, message } = effect {
            return Some((*session, Some(Message::FrameworkToMaster(message.clone()))));
        }
        None
    }

    fn closed(effect: &framework::Effect) -> Option<SessionId> {
        if let framework::Effect::Close { session, .. } = effect {
            return Some(*session);
        }
        None
    }

    fn fired(input: &framework::Input) -> Option<framework::Timer> {
        if let framework::Input::Timer(timer) = input {
            return Some(*timer);
        }
        None
    }

    fn setting(effect: &framework::Effect) -> Option<Setting<framework::Timer>> {
        if let framework::Effect::SetTimer { timer, when } = effect {
            return Some(Setting::Set(*timer, *when));
        }
        if let framework::Effect::CancelTimer(timer) = effect {
            return Some(Setting::Cancelled(*timer));
        }
        None
    }

    fn errand(effect: &framework::Effect) -> Option<Errand> {
        if let framework::Effect::Connect { .. } = effect {
            return Some(Errand::Dial);
        }
        if let framework::Effect::Notify(framework::Event::Update { update, .. }) = effect {
            return Some(Errand::Callback(update.task, update.number));
        }
        None
    }

    fn answer(input: &framework::Input) -> Option<Answer> {
        use framework::Input;
        match input {
            Input::Start { .. } => Some(Answer::Done(Errand::Begin)),
            Input::Opened { .. } => Some(Answer::Done(Errand::Dial)),
            Input::ConnectFailed => Some(Answer::Failed(Errand::Dial)),
            Input::Handled { task, number } => Some(Answer::Done(Errand::Callback(*task, *number))),
            Input::Closed { .. } | Input::Master { .. } | Input::Timer(_) | Input::Scheduler(_) => None,
        }
    }
}

impl Talk for Executor {
    type Timer = executor::Timer;
    const HEARS_OWN_CLOSE: bool = true;

    fn is_jittered(_: executor::Timer) -> bool {
        false
    }

    fn news(input: &executor::Input) -> Option<News> {
        use executor::Input;
        match input {
            Input::Opened { session } => Some(News::Opened(*session)),
            Input::Closed { session } => Some(News::Closed(*session)),
            Input::Slave { session, message } => {
                Some(News::Heard(*session, Some(Message::SlaveToExecutor(message.clone()))))
            }
            Input::Start
            | Input::Started { .. }
            | Input::StartFailed { .. }
            | Input::Exited { .. }
            | Input::Timer(_)
            | Input::Terminate => None,
        }
    }

    fn said(effect: &executor::Effect) -> Option<(SessionId, Option<Message>)> {
        if let executor::Effect::ToSlave { session, message } = effect {
            return Some((*session, Some(Message::ExecutorToSlave(message.clone()))));
        }
        None
    }

    fn closed(_: &executor::Effect) -> Option<SessionId> {
        None
    }

    fn fired(input: &executor::Input) -> Option<executor::Timer> {
        if let executor::Input::Timer(timer) = input {
            return Some(*timer);
        }
        None
    }

    fn setting(effect: &executor::Effect) -> Option<Setting<executor::Timer>> {
        if let executor::Effect::SetTimer { timer, when } = effect {
            return Some(Setting::Set(*timer, *when));
        }
        if let executor::Effect::ShortenTimer { timer, when } = effect {
            return Some(Setting::Shortened(*timer, *when));
        }
        if let executor::Effect::CancelTimer { timer } = effect {
            return Some(Setting::Cancelled(*timer));
        }
        None
    }

    fn errand(effect: &executor::Effect) -> Option<Errand> {
        if let executor::Effect::Start { task, .. } = effect {
            return Some(Errand::Process(*task));
        }
        None
    }

    fn answer(input: &executor::Input) -> Option<Answer> {
        use executor::Input;
        match input {
            Input::Start => Some(Answer::Done(Errand::Begin)),
            Input::Started { task } => Some(Answer::Meanwhile(Errand::Process(*task))),
            Input::StartFailed { task, .. } => Some(Answer::Failed(Errand::Process(*task))),
            Input::Exited { task, .. } => Some(Answer::Done(Errand::Process(*task))),
            Input::Opened { .. }
            | Input::Closed { .. }
            | Input::Slave { .. }
            | Input::Timer(_)
            | Input::Terminate => None,
        }
    }
}
