//! What no correct peer sends, and what every correct one may.

use std::sync::Arc;

use neap_protocol::codec::{
    self, DecodeError, EncodeError, LimitError, Malformed, VERSION, Wire, decode, encode,
};
use neap_protocol::ids::{FrameworkId, OfferId, SlaveId, TaskId};
use neap_protocol::message::*;
use neap_protocol::resources::Resources;
use neap_protocol::task;
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, FRAME_SIZE_MAX};

/// The frame of what `encode` would refuse, written by postcard itself.
fn unchecked<M: Wire>(message: &M) -> Vec<u8> {
    let mut frame = vec![VERSION];
    frame.extend(postcard::to_allocvec(message).expect("it can be written"));
    frame
}

#[test]
fn a_list_beyond_its_limit_is_refused_both_ways() {
    let arguments = vec![String::new(); 5_000];
    let command = Some(Arc::new(task::Command { arguments, ..task::Command::default() }));
    let launch = SlaveToExecutor::Launch { task: TASK, command, data: Arc::default(), fence_after: None };
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
    let other = decode::<SlaveToMaster>(&[VERSION + 1, 0, 0]);
    assert_eq!(other, Err(DecodeError::Version { found: VERSION + 1 }));
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
    let (at, Malformed::Value(text)) = fault(&[11]) else { panic!() };
    assert_eq!((at, text.as_str()), (2, "invalid value: integer `11`, expected variant index 0 <= i < 11"));
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
        fence_after: None,
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
    let reconcile = FrameworkToMaster::Reconcile {
        after: 0,
        upto: u32::MAX,
        tasks: vec![(TASK, SlaveId(u32::MAX)); codec::TASKS_MAX],
    };
    assert!(encode(&reconcile).unwrap().len() < FRAME_SIZE_MAX / 50);
}
