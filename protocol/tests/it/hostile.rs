//! What no correct peer sends, and what every correct one may.

use std::str::FromStr;
use std::sync::Arc;

use neap_protocol::codec::{
    self, DecodeError, EncodeError, LimitError, MEMORY_FACTOR, MEMORY_FIXED, Malformed, VERSION, Wire,
    decode, encode,
};
use neap_protocol::ids::{FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::*;
use neap_protocol::resources::Resources;
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{CloseCode, FRAME_SIZE_MAX};
use proptest::prelude::*;

use crate::{arbitrary, examples, memory};

/// Calls a generic function for each of the ten kinds of message.
macro_rules! for_each_message {
    ($function:ident($($argument:expr),*)) => {
        $function::<SlaveToMaster>($($argument),*);
        $function::<MasterToSlave>($($argument),*);
        $function::<FrameworkToMaster>($($argument),*);
        $function::<MasterToFramework>($($argument),*);
        $function::<SlaveToExecutor>($($argument),*);
        $function::<ExecutorToSlave>($($argument),*);
        $function::<OperatorToMaster>($($argument),*);
        $function::<MasterToOperator>($($argument),*);
        $function::<OperatorToSlave>($($argument),*);
        $function::<SlaveToOperator>($($argument),*);
    };
}

/// Decodes within the bound on memory; what is decoded is encoded to the same bytes, and postcard agrees.
fn decodes_soundly<M: Wire + PartialEq + std::fmt::Debug>(frame: &[u8]) {
    let (result, peak) = memory::peak(|| decode::<M>(frame));
    let bound = MEMORY_FACTOR * frame.len() + MEMORY_FIXED;
    let (len, begin) = (frame.len(), &frame[..frame.len().min(64)]);
    assert!(peak <= bound, "{peak} bytes for a frame of {len}: {begin:02x?}");
    if let Ok(message) = result {
        assert_eq!(encode(&message).as_deref(), Ok(frame), "one message, one encoding");
        assert_eq!(postcard::from_bytes::<M>(&frame[1..]).as_ref(), Ok(&message));
    }
}

fn goes_round<M: Wire + PartialEq + std::fmt::Debug>(entropy: &[u8]) {
    let message: M = arbitrary::message(entropy);
    let frame = encode(&message).expect("it is within its limits");
    assert_eq!(frame[1..], postcard::to_allocvec(&message).expect("it can be written"));
    assert_eq!(decode(&frame).as_ref(), Ok(&message));
    decodes_soundly::<M>(&frame);
}

fn is_cut_short<M: Wire + PartialEq + std::fmt::Debug>(entropy: &[u8], cut: usize) {
    let frame = encode(&arbitrary::message::<M>(entropy)).expect("it is within its limits");
    let cut = 1 + cut % frame.len().saturating_sub(1).max(1);
    if cut < frame.len() {
        assert!(decode::<M>(&frame[..cut]).is_err());
    }
}

fn changed<M: Wire + PartialEq + std::fmt::Debug>(entropy: &[u8], at: usize, byte: u8) {
    let mut frame = encode(&arbitrary::message::<M>(entropy)).expect("it is within its limits");
    let at = at % frame.len();
    frame[at] = byte;
    decodes_soundly::<M>(&frame);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_message_goes_round(entropy in prop::collection::vec(any::<u8>(), 0..800)) {
        for_each_message!(goes_round(&entropy));
    }

    #[test]
    fn no_beginning_of_a_message_is_one(
        entropy in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<usize>(),
    ) {
        for_each_message!(is_cut_short(&entropy, cut));
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_message(
        entropy in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<usize>(),
        byte in any::<u8>(),
    ) {
        for_each_message!(changed(&entropy, at, byte));
    }

    #[test]
    fn arbitrary_bytes_are_harmless(mut frame in prop::collection::vec(any::<u8>(), 1..300)) {
        frame[0] = VERSION;
        for_each_message!(decodes_soundly(&frame));
    }
}

/// Each example, with a run of one byte put where each of its bytes was: lists that claim much and hold little, and
/// lists of the smallest elements.
#[test]
fn memory_is_bounded_whatever_a_list_claims() {
    for example in examples::all() {
        for at in 1..=example.frame.len() {
            for claim in [
                &[0x7f][..],
                // 3,000: as many as bytes follow.
                &[0xb8, 0x17],
                &[0xff, 0x7f],
                &[0x80, 0x80, 0x04],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
            ] {
                for (filler, len) in [(0, 4), (0, 3_000), (1, 3_000)] {
                    let mut frame = example.frame[..at].to_vec();
                    frame.extend_from_slice(claim);
                    frame.resize(frame.len() + len, filler);
                    for_each_message!(decodes_soundly(&frame));
                }
            }
        }
    }
}

/// The frame of what `encode` would refuse, written by postcard itself.
fn unchecked<M: Wire>(message: &M) -> Vec<u8> {
    let mut frame = vec![VERSION];
    frame.extend(postcard::to_allocvec(message).expect("it can be written"));
    frame
}

#[test]
fn the_longest_lists_of_the_smallest_elements_keep_the_bound() {
    // Lengths just above and just below where a list doubles, up to the longest.
    for len in [1, 5, 20, 100, 1_025, 4_097, 8_193, 32_769, 52_429, 65_536] {
        let answer = |answer| unchecked(&MasterToOperator::Answer { request: 0, answer: Ok(answer) });
        let line = (Moment(0), ReceiptLine::Unregistered);
        decodes_soundly::<MasterToOperator>(&answer(Answer::Receipt(vec![line; len])));
        let past = PastEvent { number: 0, at: Moment(0), event: Box::new(Event::RemovalsResumed) };
        let page = Page { items: vec![past; len], more: false };
        decodes_soundly::<MasterToOperator>(&answer(Answer::Events(page)));
        let answered =
            InverseAnswer::Accept { rather: vec![TaskId::from_str("F0.0").expect("it is one"); len] };
        let id = InverseOfferId(0);
        let answer = FrameworkToMaster::AnswerInverse { id, answer: answered };
        decodes_soundly::<FrameworkToMaster>(&unchecked(&answer));
        let empty = (String::new(), String::new());
        for (arguments, environment) in [(len, 0), (0, len), (len, len)] {
            let command = task::Command {
                arguments: vec![String::new(); arguments],
                environment: vec![empty.clone(); environment],
                ..task::Command::default()
            };
            let launch = SlaveToExecutor::Launch {
                task: TASK,
                command: Some(Arc::new(command)),
                data: Arc::from(vec![0u8; len]),
            };
            decodes_soundly::<SlaveToExecutor>(&unchecked(&launch));
        }
        let finals = (0..len).map(|_| Final {
            update: task::Update {
                task: TASK,
                number: 0,
                state: task::TaskState::Staging,
                reason: task::Reason::Normal,
                message: Text::EMPTY,
            },
            ending: Some(Arc::default()),
        });
        let unregister = SlaveToMaster::Unregister { finals: finals.collect() };
        decodes_soundly::<SlaveToMaster>(&unchecked(&unregister));
        let offered = Offered {
            id: OfferId(0),
            slave: SlaveId(0),
            name: Name::new("a").expect("it is one"),
            resources: Resources::NONE,
        };
        decodes_soundly::<MasterToFramework>(&unchecked(&MasterToFramework::Offers(vec![offered; len])));
    }
}

#[test]
fn a_list_beyond_its_limit_is_refused_both_ways() {
    let arguments = vec![String::new(); 5_000];
    let command = Some(Arc::new(task::Command { arguments, ..task::Command::default() }));
    let launch = SlaveToExecutor::Launch { task: TASK, command, data: Arc::default() };
    let limit = LimitError { of: "the arguments of a command", max: codec::ARGUMENTS_MAX, found: 5_000 };
    let what = "SlaveToExecutor";
    let decoded = decode::<SlaveToExecutor>(&unchecked(&launch));
    assert_eq!(decoded, Err(DecodeError::Limit { what, limit }));
    assert_eq!(encode(&launch), Err(EncodeError::Limit { what, limit }));
}

const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

#[test]
fn a_chunk_of_a_log_has_its_limit_and_fits_in_a_frame() {
    let chunk = |len| SlaveToOperator::Chunk {
        stream: LogStream::Stdout,
        at: u64::MAX,
        data: Arc::from(vec![0xff; len]),
    };
    let frame = encode(&chunk(LOG_CHUNK_MAX)).unwrap();
    assert_eq!(decode(&frame), Ok(chunk(LOG_CHUNK_MAX)));
    let limit = LimitError { of: "the bytes of a chunk", max: LOG_CHUNK_MAX, found: LOG_CHUNK_MAX + 1 };
    let what = "SlaveToOperator";
    assert_eq!(encode(&chunk(LOG_CHUNK_MAX + 1)), Err(EncodeError::Limit { what, limit }));
    let refused = decode::<SlaveToOperator>(&unchecked(&chunk(LOG_CHUNK_MAX + 1)));
    assert!(matches!(refused, Err(DecodeError::Malformed { .. })), "{refused:?}");
}

#[test]
fn a_frame_is_judged_before_it_is_read() {
    assert_eq!(decode::<SlaveToMaster>(&[]), Err(DecodeError::Empty));
    let size = FRAME_SIZE_MAX + 1;
    let large = vec![VERSION; size];
    assert_eq!(decode::<SlaveToMaster>(&large), Err(DecodeError::TooLarge { size }));
    let other = decode::<SlaveToMaster>(&[2, 0, 0]);
    assert_eq!(other, Err(DecodeError::Version { found: 2 }));
    assert_eq!(other.unwrap_err().close_code(), CloseCode::Version);
}

#[test]
fn each_fault_is_named() {
    fn fault(bytes: &[u8]) -> (usize, Malformed) {
        let frame = [&[VERSION], bytes].concat();
        match decode::<FrameworkToMaster>(&frame) {
            Err(error @ DecodeError::Malformed { what: "FrameworkToMaster", at, .. }) => {
                assert_eq!(error.close_code(), CloseCode::Misbehaved);
                let DecodeError::Malformed { cause, .. } = error else { unreachable!() };
                (at, cause)
            }
            other => panic!("{other:?}"),
        }
    }
    // Subscribe { id: None, name, … }; Decline is 2, Acknowledge 6.
    assert_eq!(fault(&[]), (1, Malformed::Truncated));
    assert_eq!(fault(&[0, 2]), (3, Malformed::Flag { found: 2 }));
    assert_eq!(fault(&[0, 0, 1, 0xff]), (5, Malformed::Utf8));
    assert_eq!(fault(&[2, 9, 1]), (3, Malformed::List { len: 9 }));
    assert_eq!(fault(&[6, 0x80, 0]), (4, Malformed::Number), "longer than it need be");
    assert_eq!(fault(&[6, 0xff, 0xff, 0xff, 0xff, 0x1f]), (7, Malformed::Number), "33 bits");
    let (at, Malformed::Value(text)) = fault(&[10]) else { panic!() };
    assert_eq!((at, text.as_str()), (2, "invalid value: integer `10`, expected variant index 0 <= i < 10"));
    let (_, Malformed::Value(text)) = fault(&[0, 0, 1, b' ']) else { panic!() };
    assert_eq!(text.as_str(), "a name is made of a-z A-Z 0-9 . _ -, not ' '");
    let trailing = decode::<FrameworkToMaster>(&[VERSION, 3, 0]);
    let what = "FrameworkToMaster";
    assert_eq!(trailing, Err(DecodeError::Trailing { what, extra: 1 }));
}

#[test]
fn what_breaks_a_limit_is_neither_encoded_nor_decoded() {
    let decline = |len: u64| FrameworkToMaster::Decline {
        offers: (0..len).map(OfferId).collect(),
        filter: Millis::ZERO,
    };
    assert!(encode(&decline(1_000)).is_ok());
    let limit = LimitError { of: "the offers of a message", max: 1_000, found: 1_001 };
    let what = "FrameworkToMaster";
    let error = EncodeError::Limit { what, limit };
    assert_eq!(encode(&decline(1_001)), Err(error.clone()));
    assert_eq!(
        error.to_string(),
        "this FrameworkToMaster breaks a limit: the offers of a message may be 1000, not 1001"
    );
    let frame = unchecked(&decline(1_001));
    assert_eq!(decode::<FrameworkToMaster>(&frame), Err(DecodeError::Limit { what, limit }));
}

#[test]
fn a_message_of_more_than_a_frame_is_refused_and_the_buffer_left_empty() {
    let data = Arc::from(vec![7u8; task::TASK_DATA_MAX]);
    let spec = task::TaskSpec {
        id: TASK,
        name: Name::new("big").unwrap(),
        resources: Resources::NONE,
        kill_grace: Millis::ZERO,
        run: task::Run::Executor { number: 1, command: Arc::default(), data },
    };
    let accept = |len| FrameworkToMaster::Accept {
        offer: OfferId(u64::MAX),
        slave: SlaveId(u32::MAX),
        tasks: vec![spec.clone(); len],
        filter: Millis(u64::MAX),
    };
    let mut frame = vec![1, 2, 3];
    let what = "FrameworkToMaster";
    assert_eq!(codec::encode_into(&accept(16), &mut frame), Err(EncodeError::TooLarge { what }));
    assert_eq!(frame, []);
    assert_eq!(codec::encode_into(&accept(15), &mut frame), Ok(()));
    assert_eq!(frame.len(), 15 * codec::task_size(&spec).unwrap() + 28);
    assert!(frame.len() <= codec::ACCEPT_ROOM);
    assert_eq!(decode(&frame), Ok(accept(15)));
    let reconcile = FrameworkToMaster::Reconcile { tasks: vec![(TASK, SlaveId(u32::MAX)); codec::TASKS_MAX] };
    assert!(encode(&reconcile).unwrap().len() < FRAME_SIZE_MAX / 50);
}
