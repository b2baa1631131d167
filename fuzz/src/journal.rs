//! `journal`: bytes as a journal, and journals of machines that were torn or changed: what is read is a beginning of what
//! was recorded, whole, and the rest is said to be damaged; a replay has the recorded effects.

use neap_protocol::executor::Executor;
use neap_protocol::framework::Framework;
use neap_protocol::journal::{
    Chain, Effects, End, Entry, Header, Journal, MAGIC, Machine, Recorder, Run, read, seal_items, seal_run,
};
use neap_protocol::master::Master;
use neap_protocol::outbox::Outbox;
use neap_protocol::resources::Resources;
use neap_protocol::slave::{self, Slave};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::{executor, framework};

use crate::choices::Choices;
use crate::memory;

/// What a run can reach.
pub(crate) const GOALS: &[&str] = &["read", "no journal", "replayed", "torn", "damage found"];

/// The most bytes that reading takes, as a multiple of the journal's, and besides.
const MEMORY: (usize, usize) = (64, 4 << 10);

/// Runs the target.
pub(crate) fn run(choices: &mut Choices<'_>) {
    match choices.below(4) {
        0 => arbitrary(choices),
        _ => recorded(choices),
    }
}

/// Any bytes, for the most part with the magic before them.
fn arbitrary(choices: &mut Choices<'_>) {
    let bare = choices.one_in(8);
    let rest = choices.rest();
    let bytes = if bare { rest.to_vec() } else { [&MAGIC, rest].concat() };
    match read_soundly(choices, &bytes) {
        Some(journal) => {
            choices.reach("read");
            decode_all(&journal);
        }
        None => choices.reach("no journal"),
    }
}

/// Reads within the bound on memory; what is whole is read the same without what follows it.
fn read_soundly<'a>(choices: &Choices<'_>, bytes: &'a [u8]) -> Option<Journal<'a>> {
    let (journal, peak) = memory::peak(|| read(bytes));
    let bound = MEMORY.0 * bytes.len() + MEMORY.1;
    choices.hold(peak <= bound, || format!("{peak} bytes to read {}", bytes.len()));
    let journal = journal.ok()?;
    choices.hold(journal.whole <= bytes.len(), || format!("{} of {} are whole", journal.whole, bytes.len()));
    let all = journal.whole == bytes.len();
    choices.hold(all == journal.damage.is_none(), || format!("{journal:?} of {} bytes", bytes.len()));
    let whole = read(&bytes[..journal.whole]);
    let same = whole.is_ok_and(|whole| whole.runs == journal.runs && whole.damage.is_none());
    choices.hold(same, || format!("what is whole of {bytes:02x?} is read otherwise alone"));
    Some(journal)
}

fn decode_all(journal: &Journal<'_>) {
    for run in &journal.runs {
        let _ = run.decode::<Master>();
        let _ = run.decode::<Slave>();
        let _ = run.decode::<Framework>();
        let _ = run.decode::<Executor>();
    }
}

/// What machines were told, and what came of it, as their drivers record it; then something happens to the file.
fn recorded(choices: &mut Choices<'_>) {
    let mut written = Written { bytes: MAGIC.to_vec(), ends: vec![MAGIC.len()], chain: Chain::START };
    for _ in 0..1 + choices.below(3) {
        match choices.below(3) {
            0 => {
                let recovery_timeout = Millis(choices.below(9).into());
                written.record::<Executor>(choices, &executor::Config { recovery_timeout });
            }
            1 => {
                let config = slave::Config::new(Resources::new(4000, 1 << 30), Text::EMPTY);
                written.record::<Slave>(choices, &config);
            }
            _ => {
                let name = Name::new("f").expect("it is a name");
                written.record::<Framework>(choices, &framework::Config::new(name));
            }
        }
    }
    let Some(journal) = read_soundly(choices, &written.bytes) else {
        choices.broken("what was recorded is no journal");
    };
    choices.hold(journal.damage.is_none(), || format!("{:?} of what was recorded", journal.damage));
    for run in &journal.runs {
        replay::<Executor>(choices, run.decode().ok());
        replay::<Slave>(choices, run.decode().ok());
        replay::<Framework>(choices, run.decode().ok());
    }
    written.damaged(choices, &journal);
}

/// A replay of a run has the effects that were recorded.
fn replay<M: Machine>(choices: &mut Choices<'_>, run: Option<Run<M>>) {
    let Some(run) = run else { return };
    let mut machine = M::begin();
    let mut out = Outbox::new();
    for entry in run.entries {
        let Entry::Input(record) = entry else { continue };
        machine.handle(&run.config, record.input.clone(), &mut out);
        let same = record.effects.are(out.as_slice()) && record.effects != Effects::Unanswered;
        choices.hold(same, || format!("{record:?} has {:?} in the replay", out.as_slice()));
        out.drain();
    }
    choices.reach("replayed");
}

/// A journal, and where its frames end.
struct Written {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    chain: Chain,
}

impl Written {
    fn record<M: Machine>(&mut self, choices: &mut Choices<'_>, config: &M::Config) {
        let name = Name::new("n").expect("it is a name");
        let header = Header::new::<M>(name, Text::new("fuzz"), Moment(choices.below(9).into()));
        self.chain = seal_run(self.chain, &header, config, &mut self.bytes).expect("a run can be written");
        self.ends.push(self.bytes.len());
        let mut recorder = Recorder::new(choices.one_in(2));
        let mut machine = M::begin();
        let (mut out, mut at) = (Outbox::new(), Millis(0));
        for _ in 0..choices.below(24) {
            let input: M::Input = choices.any();
            choices.tell(|| format!("> {input:?}"));
            at = at.plus(Millis(choices.below(9).into()));
            recorder.input(at, &input).expect("an input can be written");
            machine.handle(config, input, &mut out);
            recorder.effects(out.as_slice()).expect("effects can be written");
            out.drain();
            if choices.one_in(3) {
                self.seal(&mut recorder);
            }
        }
        if choices.one_in(2) {
            recorder.end(End::InOrder).expect("an end can be written");
        }
        self.seal(&mut recorder);
    }

    fn seal(&mut self, recorder: &mut Recorder) {
        let items = std::mem::take(recorder.items());
        self.chain = seal_items(self.chain, &items, &mut self.bytes).expect("items can be written");
        self.ends.push(self.bytes.len());
    }

    /// Whatever is cut off or changed, exactly the frames before it are read.
    fn damaged(&self, choices: &mut Choices<'_>, journal: &Journal<'_>) {
        let mut bytes = self.bytes.clone();
        let at = MAGIC.len() + choices.below(1 << 24) as usize % (bytes.len() - MAGIC.len());
        let cut = choices.one_in(2);
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << choices.below(8),
        }
        choices
            .tell(|| format!("byte {at} of {} is {}", self.bytes.len(), if cut { "cut" } else { "changed" }));
        let whole = self.ends.iter().rev().find(|end| **end <= at).copied().unwrap_or(0);
        let Some(read) = read_soundly(choices, &bytes) else {
            choices.broken("its magic is whole, and it is no journal");
        };
        choices.hold(read.whole == whole, || format!("{} bytes are whole, not {whole}", read.whole));
        let before = self::read(&self.bytes[..whole]);
        let same = before.is_ok_and(|before| before.runs == read.runs);
        choices.hold(same, || format!("{read:?} is read of {journal:?}"));
        choices.reach(if cut { "torn" } else { "damage found" });
    }
}
