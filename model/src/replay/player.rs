//! Plays one run: its inputs through a machine, its effects held against what the machine asks for now.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use neap_protocol::executor::Executor;
use neap_protocol::framework::Framework;
use neap_protocol::ids::SessionId;
use neap_protocol::journal::{Effects, End, Entry, LinkId, Record, Run};
use neap_protocol::master::Master;
use neap_protocol::outbox::Outbox;
use neap_protocol::slave::Slave;
use neap_protocol::time::{Millis, Moment};

use super::promises::{Broken, Looked, Promises};
use super::talk::{News, Talk};
use super::tape::AnyRun;
use crate::world::Message;

/// The name under which effects that differ are reported.
pub const SAME_EFFECTS: &str = "same effects";

/// The name under which a machine that panics is reported.
pub const NO_PANIC: &str = "S15 no-panic";

/// A run of `M`, as far as it was played.
#[derive(Clone, Debug)]
pub struct Player<M: Talk> {
    run: Rc<Run<M>>,
    /// The next entry.
    next: usize,
    /// The machine.
    pub machine: M,
    links: BTreeMap<SessionId, LinkId>,
    promises: Promises<M>,
    /// It went another way than it was recorded: from there on nothing is compared.
    strayed: bool,
    /// What [`Self::peek`] answers, once it was asked.
    peeked: Option<Upcoming>,
}

/// When the next input comes, and on which link something is heard with it.
type Upcoming = (Moment, Option<LinkId>);

/// What an input did, as one who looks on sees it.
#[derive(Clone, Debug)]
pub struct Played<M: Talk> {
    /// When.
    pub at: Moment,
    /// What the machine was told.
    pub input: M::Input,
    /// What it asked for.
    pub effects: Vec<M::Effect>,
    /// What was heard, and on which link if both ends have a name for it.
    pub heard: Option<(Option<LinkId>, Message)>,
    /// What was said, on which links.
    pub said: Vec<(LinkId, Message)>,
    /// What is wrong with it.
    pub broken: Vec<Broken>,
}

impl<M: Talk> Player<M> {
    /// Before the first entry of a run.
    pub fn new(run: Rc<Run<M>>) -> Self {
        let promises = Promises::new(run.header.began);
        Self {
            run,
            next: 0,
            machine: M::begin(),
            links: BTreeMap::new(),
            promises,
            strayed: false,
            peeked: None,
        }
    }

    /// What the machine is set to.
    pub fn config(&self) -> &M::Config {
        &self.run.config
    }

    /// How often its driver's promises were held against something.
    pub fn looked(&self) -> Looked {
        self.promises.looked
    }

    /// Passes entries that are no inputs, and answers the next that is one.
    fn upcoming(&mut self) -> Option<Record<M::Input, M::Effect>> {
        loop {
            match self.run.entries.get(self.next)? {
                Entry::Session { session, link } => {
                    self.links.insert(*session, *link);
                    self.next += 1;
                }
                Entry::Input(record) => return Some(record.clone()),
            }
        }
    }

    fn moment(&self, at: Millis) -> Moment {
        self.run.header.began.after(at)
    }

    /// Whether nothing follows: what the machine is now, it was when its journal ended.
    pub fn is_over(&self) -> bool {
        self.next >= self.run.entries.len()
    }

    /// When the next input comes, and what is heard with it, on which link.
    pub fn peek(&mut self) -> Option<Upcoming> {
        if self.peeked.is_some() {
            return self.peeked;
        }
        let record = self.upcoming()?;
        let link = match M::news(&record.input) {
            Some(News::Heard(session, Some(_))) => self.links.get(&session).copied(),
            Some(News::Heard(_, None) | News::Opened(_) | News::Closed(_)) | None => None,
        };
        self.peeked = Some((self.moment(record.at), link));
        self.peeked
    }

    /// Plays the next input.
    pub fn play(&mut self) -> Option<Played<M>> {
        let Record { at, input, effects: recorded } = self.upcoming()?;
        self.next += 1;
        self.peeked = None;
        let mut broken = Vec::new();
        self.promises.input(at, &input, &mut broken);
        let heard = match M::news(&input) {
            Some(News::Heard(session, Some(message))) => Some((self.links.get(&session).copied(), message)),
            Some(News::Heard(_, None) | News::Opened(_) | News::Closed(_)) | None => None,
        };
        let effects = match self.handle(&input) {
            Ok(effects) => effects,
            Err(panic) => {
                broken.push(Broken { promise: NO_PANIC, what: format!("the machine panics: {panic}") });
                self.next = self.run.entries.len();
                Vec::new()
            }
        };
        self.compare(&recorded, &effects, &mut broken);
        let said = effects.iter().filter_map(M::said).filter_map(|(session, message)| {
            // What is said where nobody listens any more is not sent.
            let open = self.promises.is_open(session);
            self.links.get(&session).copied().filter(|_| open).zip(message)
        });
        let said = said.collect();
        self.promises.effects(&effects, &mut broken);
        if self.next == self.run.entries.len() {
            self.promises.end(&mut broken);
        }
        Some(Played { at: self.moment(at), input, effects, heard, said, broken })
    }

    fn handle(&mut self, input: &M::Input) -> Result<Vec<M::Effect>, String> {
        let mut outbox = Outbox::new();
        let handled = catch_unwind(AssertUnwindSafe(|| {
            self.machine.handle(&self.run.config, input.clone(), &mut outbox);
        }));
        handled.map_err(|panic| words(&*panic))?;
        Ok(outbox.drain().collect())
    }

    fn compare(&mut self, recorded: &Effects<M::Effect>, effects: &[M::Effect], broken: &mut Vec<Broken>) {
        if self.strayed || recorded.are(effects) {
            return;
        }
        self.strayed = true;
        let what = format!("{}; it now asks for {}", told(recorded), list(effects));
        broken.push(Broken { promise: SAME_EFFECTS, what });
    }
}

fn told<E: Debug>(recorded: &Effects<E>) -> String {
    match recorded {
        Effects::Unanswered => "the machine had not answered".into(),
        Effects::Digest { count, digest } => {
            format!("the machine had asked for {count} effects of digest {digest:016x}")
        }
        Effects::Whole(effects) => format!("the machine had asked for {}", list(effects)),
    }
}

fn list<E: Debug>(effects: &[E]) -> String {
    match effects {
        [] => "nothing".into(),
        effects => effects.iter().map(|effect| format!("{effect:?}")).collect::<Vec<_>>().join(", then "),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".into())
}

/// A run of some machine, as far as it was played.
#[derive(Clone, Debug)]
pub enum AnyPlayer {
    /// A master's.
    Master(Player<Master>),
    /// A slave's.
    Slave(Player<Slave>),
    /// A framework's.
    Framework(Player<Framework>),
    /// An executor's.
    Executor(Player<Executor>),
}

/// What an input of some machine did.
#[derive(Clone, Debug)]
pub enum AnyPlayed {
    /// A master's.
    Master(Played<Master>),
    /// A slave's.
    Slave(Played<Slave>),
    /// A framework's.
    Framework(Played<Framework>),
    /// An executor's.
    Executor(Played<Executor>),
}

macro_rules! each {
    ($kind:ident, $any:expr, $one:ident => $act:expr) => {
        match $any {
            $kind::Master($one) => $act,
            $kind::Slave($one) => $act,
            $kind::Framework($one) => $act,
            $kind::Executor($one) => $act,
        }
    };
}

impl AnyPlayer {
    /// Before the first entry of a run.
    pub fn new(run: &AnyRun) -> Self {
        match run {
            AnyRun::Master(run) => Self::Master(Player::new(Rc::clone(run))),
            AnyRun::Slave(run) => Self::Slave(Player::new(Rc::clone(run))),
            AnyRun::Framework(run) => Self::Framework(Player::new(Rc::clone(run))),
            AnyRun::Executor(run) => Self::Executor(Player::new(Rc::clone(run))),
        }
    }

    /// As [`Player::peek`].
    pub fn peek(&mut self) -> Option<Upcoming> {
        each!(Self, self, player => player.peek())
    }

    /// As [`Player::play`].
    pub fn play(&mut self) -> Option<AnyPlayed> {
        match self {
            Self::Master(player) => player.play().map(AnyPlayed::Master),
            Self::Slave(player) => player.play().map(AnyPlayed::Slave),
            Self::Framework(player) => player.play().map(AnyPlayed::Framework),
            Self::Executor(player) => player.play().map(AnyPlayed::Executor),
        }
    }

    /// As [`Player::looked`].
    pub fn looked(&self) -> Looked {
        each!(Self, self, player => player.looked())
    }

    /// How the run ended.
    pub fn end(&self) -> Option<&End> {
        each!(Self, self, player => player.run.end.as_ref())
    }

    /// The machine, as a debugger shows it.
    pub fn machine(&self) -> String {
        each!(Self, self, player => format!("{:#?}", player.machine))
    }
}

impl AnyPlayed {
    /// When.
    pub fn at(&self) -> Moment {
        each!(Self, self, played => played.at)
    }

    /// What was heard, and on which link if both ends have a name for it.
    pub fn heard(&self) -> Option<&(Option<LinkId>, Message)> {
        each!(Self, self, played => played.heard.as_ref())
    }

    /// What was said, on which links.
    pub fn said(&self) -> &[(LinkId, Message)] {
        each!(Self, self, played => &played.said)
    }

    /// What is wrong with it, in the eyes of one run alone.
    pub fn broken(&self) -> &[Broken] {
        each!(Self, self, played => &played.broken)
    }

    /// The input, in one line.
    pub fn input(&self) -> String {
        each!(Self, self, played => format!("{:?}", played.input))
    }

    /// Each effect, in one line.
    pub fn effects(&self) -> Vec<String> {
        each!(Self, self, played => played.effects.iter().map(|effect| format!("{effect:?}")).collect())
    }
}
