//! Journals of a small executor's life, whole and damaged in every way.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::executor::{Config, Effect, Executor, Input, Timer};
use crate::framework::Framework;
use crate::ids::{FrameworkId, SessionId, TaskId};
use crate::master::Master;
use crate::message::SlaveToExecutor;
use crate::outbox::Outbox;
use crate::slave::Slave;
use crate::text::{Name, Text};
use crate::time::{Millis, Moment};
use crate::transport::Role;

const CONFIG: Config = Config { recovery_timeout: Millis(1000) };
const LINK: LinkId = LinkId([1, 2, 3, 4, 5, 6, 7, 8]);

fn header() -> Header {
    let name = Name::new("F1.x1").expect("a name");
    Header::new::<Executor>(name, Text::new("neap 0.1.0"), Moment(1_700_000_000_000))
}

fn inputs() -> Vec<(Millis, Input)> {
    let session = SessionId(1);
    let task = TaskId { framework: FrameworkId(1), number: 1 };
    let launch = SlaveToExecutor::Launch { task, command: None, data: [7; 40].into(), fence_after: None };
    vec![
        (Millis(0), Input::Start),
        (Millis(3), Input::Opened { session }),
        (Millis(3), Input::Slave { session, message: launch }),
        (Millis(300), Input::Started { task }),
        (Millis(300), Input::Timer(Timer::Kill(task))),
        (Millis(900), Input::Closed { session }),
    ]
}

/// A run of the executor, each input in a frame of its own, and where each frame ends.
fn run(chain: Chain, whole: bool, out: &mut Vec<u8>) -> (Chain, Vec<usize>) {
    let mut recorder = Recorder::new(whole);
    let mut machine = Executor::new();
    let mut outbox = Outbox::new();
    let mut chain = seal_run(chain, &header(), &CONFIG, out).expect("a header");
    let mut ends = vec![out.len()];
    for (at, input) in inputs() {
        if let Input::Opened { session } = input {
            recorder.session(session, LINK).expect("a session");
        }
        recorder.input(at, &input).expect("an input");
        machine.handle(&CONFIG, input, &mut outbox);
        recorder.effects(outbox.as_slice()).expect("effects");
        outbox.drain();
        chain = seal_items(chain, recorder.items(), out).expect("items");
        recorder.items().clear();
        ends.push(out.len());
    }
    recorder.end(End::InOrder).expect("an end");
    chain = seal_items(chain, recorder.items(), out).expect("items");
    ends.push(out.len());
    (chain, ends)
}

fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = MAGIC.to_vec();
    let (_, ends) = run(Chain::START, false, &mut bytes);
    (bytes, ends)
}

/// What a replay makes of it: the inputs, and whether each had these effects.
fn replayed(run: &Run<Executor>) -> Vec<(Millis, Input)> {
    let mut machine = Executor::begin();
    let mut outbox = Outbox::new();
    let mut seen = Vec::new();
    for entry in &run.entries {
        let Entry::Input(record) = entry else { continue };
        Machine::handle(&mut machine, &run.config, record.input.clone(), &mut outbox);
        assert!(record.effects.are(outbox.as_slice()), "{record:?} gave {outbox:?}");
        assert_ne!(record.effects, Effects::Unanswered);
        outbox.drain();
        seen.push((record.at, record.input.clone()));
    }
    seen
}

#[test]
fn what_was_recorded_is_read_and_has_the_same_effects() {
    for whole in [false, true] {
        let mut bytes = MAGIC.to_vec();
        run(Chain::START, whole, &mut bytes);
        let journal = read(&bytes).expect("a journal");
        assert_eq!((journal.damage, journal.whole, journal.runs.len()), (None, bytes.len(), 1));
        let run: Run<Executor> = journal.runs[0].decode().expect("an executor's");
        assert_eq!((&run.header, &run.config, &run.end), (&header(), &CONFIG, &Some(End::InOrder)));
        assert_eq!(run.entries[1], Entry::Session { session: SessionId(1), link: LINK });
        assert_eq!(replayed(&run), inputs());
    }
}

#[test]
fn other_effects_are_not_taken_for_the_same() {
    let cancel = Effect::CancelTimer { timer: Timer::Recovery };
    let exit = Effect::Exit { code: 0 };
    for whole in [false, true] {
        let mut recorder = Recorder::new(whole);
        recorder.input(Millis(0), &Input::Start).expect("an input");
        recorder.effects(&[cancel.clone(), exit.clone()]).expect("effects");
        let mut bytes = MAGIC.to_vec();
        let chain = seal_run(Chain::START, &header(), &CONFIG, &mut bytes).expect("a header");
        seal_items(chain, recorder.items(), &mut bytes).expect("items");
        let run: Run<Executor> = read(&bytes).expect("a journal").runs[0].decode().expect("an executor's");
        let [Entry::Input(record)] = &run.entries[..] else { panic!("{run:?}") };
        assert!(record.effects.are(&[cancel.clone(), exit.clone()]));
        for other in [&[][..], core::slice::from_ref(&cancel), &[exit.clone(), cancel.clone()]] {
            assert!(!record.effects.are(other), "{other:?}");
        }
    }
}

#[test]
fn a_journal_that_is_cut_anywhere_is_read_up_to_its_last_whole_frame() {
    let (bytes, ends) = journal();
    for cut in 0..bytes.len() {
        let journal = read(&bytes[..cut]).expect("the beginning of a journal");
        let whole = ends.iter().copied().filter(|end| *end <= cut).max();
        let begun = if cut < MAGIC.len() { 0 } else { MAGIC.len() };
        assert_eq!(journal.whole, whole.unwrap_or(begun), "cut at {cut}");
        let torn = cut - journal.whole;
        let damage = (torn > 0).then_some(Damage { at: journal.whole, flaw: Flaw::Torn { left: torn } });
        assert_eq!(journal.damage, damage, "cut at {cut}");
        let Some(run) = journal.runs.first() else { continue };
        let run: Run<Executor> = run.decode().expect("an executor's");
        let told = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!((replayed(&run), run.end), (inputs()[..told].to_vec(), None), "cut at {cut}");
    }
}

#[test]
fn zeros_after_the_end_are_what_a_crash_leaves() {
    let (mut bytes, _) = journal();
    let whole = bytes.len();
    bytes.extend([0; 4096]);
    let journal = read(&bytes).expect("a journal");
    assert_eq!(journal.damage, Some(Damage { at: whole, flaw: Flaw::Torn { left: 4096 } }));
    assert_eq!(journal.runs.len(), 1);
}

#[test]
fn every_flipped_bit_is_found_and_nothing_after_it_is_read() {
    let (mut bytes, ends) = journal();
    for at in MAGIC.len()..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let journal = read(&bytes).expect("a journal");
            let whole = ends.iter().copied().filter(|end| *end <= at).max().unwrap_or(MAGIC.len());
            let damage = Damage { at: whole, flaw: Flaw::Corrupt };
            assert_eq!((journal.damage, journal.whole), (Some(damage), whole), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_frame_that_is_left_out_moved_or_doubled_is_found() {
    let (bytes, ends) = journal();
    let frame = |at: usize| &bytes[ends[at - 1]..ends[at]];
    let with = |frames: &[&[u8]]| [&[&bytes[..ends[0]]], frames].concat().concat();
    for (what, frames) in [
        ("left out", vec![frame(1), frame(3)]),
        ("doubled", vec![frame(1), frame(1), frame(2)]),
        ("moved", vec![frame(1), frame(3), frame(2)]),
    ] {
        let bytes = with(&frames);
        let journal = read(&bytes).expect("a journal");
        assert_eq!(journal.damage, Some(Damage { at: ends[1], flaw: Flaw::Corrupt }), "{what}");
    }
    assert_eq!(read(&with(&[frame(1), frame(2)])).expect("a journal").damage, None);
}

#[test]
fn another_version_and_another_file_are_told_apart() {
    let (mut bytes, _) = journal();
    bytes[7] = 9;
    let error = read(&bytes).unwrap_err();
    assert_eq!(error, NotAJournal::Version { found: 9 });
    assert!(error.to_string().contains("version 9") && error.to_string().contains("reads version 1"));
    assert_eq!(read(b"[cluster]\nmasters"), Err(NotAJournal::Other));
    assert_eq!(read(b"[clus"), Err(NotAJournal::Other));
    let empty = read(b"").expect("a journal that was not begun");
    assert_eq!((empty.runs.len(), empty.damage), (0, None));
}

#[test]
fn a_run_is_decoded_as_what_it_is_and_as_nothing_else() {
    let (bytes, _) = journal();
    let journal = read(&bytes).expect("a journal");
    let wrong = DecodeError::Role { expected: Role::Master, found: Role::Executor };
    assert_eq!(journal.runs[0].decode::<Master>(), Err(wrong));
    assert_eq!(wrong.to_string(), "its machine is the executor's, not the master's");
    let other = Header { protocol: 77, ..header() };
    let mut bytes = MAGIC.to_vec();
    seal_run(Chain::START, &other, &CONFIG, &mut bytes).expect("a header");
    let journal = read(&bytes).expect("a journal");
    assert_eq!(journal.runs[0].decode::<Executor>(), Err(DecodeError::Protocol { found: 77 }));
}

#[test]
fn a_node_that_starts_again_appends_a_run() {
    let mut bytes = MAGIC.to_vec();
    let (chain, _) = run(Chain::START, false, &mut bytes);
    let first = bytes.len();
    run(chain, true, &mut bytes);
    let journal = read(&bytes).expect("a journal");
    assert_eq!((journal.runs.len(), journal.damage), (2, None));
    for run in &journal.runs {
        assert_eq!(replayed(&run.decode().expect("an executor's")), inputs());
    }
    // One that goes on from somewhere else is no part of it.
    let mut other = bytes[..first].to_vec();
    run(Chain::START, false, &mut other);
    let journal = read(&other).expect("a journal");
    let damage = Damage { at: first, flaw: Flaw::Corrupt };
    assert_eq!((journal.runs.len(), journal.damage), (1, Some(damage)));
}

/// A run of these items, none of them sealed wrongly.
fn of_items(make: impl FnOnce(&mut Recorder)) -> Result<Run<Executor>, DecodeError> {
    let mut recorder = Recorder::new(false);
    make(&mut recorder);
    let mut bytes = MAGIC.to_vec();
    let chain = seal_run(Chain::START, &header(), &CONFIG, &mut bytes).expect("a header");
    seal_items(chain, recorder.items(), &mut bytes).expect("items");
    read(&bytes).expect("a journal").runs[0].decode()
}

#[test]
fn only_the_last_input_may_be_unanswered() {
    let start = |recorder: &mut Recorder| recorder.input(Millis(0), &Input::Start).expect("an input");
    let run = of_items(start).expect("it is the last");
    let [Entry::Input(record)] = &run.entries[..] else { panic!("{run:?}") };
    assert_eq!(record.effects, Effects::Unanswered);
    let second = of_items(|recorder| {
        start(recorder);
        start(recorder);
    });
    assert_eq!(second, Err(DecodeError::Malformed { item: 2 }));
    let answer = of_items(|recorder| recorder.effects::<Effect>(&[]).expect("effects"));
    assert_eq!(answer, Err(DecodeError::Malformed { item: 1 }), "nothing was told");
    let after = of_items(|recorder| {
        recorder.end(End::Stopped(Text::new("the disk is full"))).expect("an end");
        start(recorder);
    });
    assert_eq!(after, Err(DecodeError::Malformed { item: 2 }), "it was over");
}

#[test]
fn items_before_a_run_and_frames_of_another_kind_are_not_understood() {
    let mut recorder = Recorder::new(false);
    recorder.input(Millis(0), &Input::Start).expect("an input");
    let mut bytes = MAGIC.to_vec();
    seal_items(Chain::START, recorder.items(), &mut bytes).expect("items");
    let damage = read(&bytes).expect("a journal").damage;
    assert_eq!(damage, Some(Damage { at: MAGIC.len(), flaw: Flaw::NoRun }));
    // A frame of nothing: sealed as every frame is, and no frame of this version.
    let mut scanner = Scanner::default();
    let tail = Chain::START.of_body(&[]).to_bytes();
    assert_eq!(scanner.body(&tail), Err(Flaw::Strange));
    assert_eq!(scanner, Scanner::default());
}

#[test]
fn the_default_of_every_config_survives() {
    fn survives<M: Machine>(config: &M::Config) {
        let mut bytes = MAGIC.to_vec();
        let header = Header { role: M::ROLE, ..header() };
        seal_run(Chain::START, &header, config, &mut bytes).expect("a header");
        let run: Run<M> = read(&bytes).expect("a journal").runs[0].decode().expect("that role's");
        assert_eq!((run.config, run.entries.len()), (config.clone(), 0));
    }
    survives::<Master>(&crate::master::Config::default());
    survives::<Slave>(&crate::slave::Config::new(crate::resources::Resources::new(1, 2), Text::new("here")));
    survives::<Framework>(&crate::framework::Config::new(Name::new("web").expect("a name")));
}

/// The bytes of the format, pinned: another one needs another version in [`MAGIC`].
#[test]
fn a_journal_has_the_bytes_that_it_always_had() {
    let (bytes, ends) = journal();
    let mut now = String::from(
        "# A journal of version 1: its magic, then a frame a line. A change here is another version.\n",
    );
    let mut from = 0;
    for end in [MAGIC.len()].into_iter().chain(ends) {
        let frame = bytes.get(from..end).expect("a frame");
        now.extend(frame.iter().map(|byte| std::format!("{byte:02x}")));
        now.push('\n');
        from = end;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/journal-v1.txt");
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(path, &now).expect("failed to write the golden journal");
    }
    assert_eq!(std::fs::read_to_string(path).expect("the golden journal"), now);
}
