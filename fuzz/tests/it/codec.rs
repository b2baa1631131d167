//! The codec: every message goes round, and no bytes take more memory than the codec states.

use std::str::FromStr;
use std::sync::Arc;

use neap_fuzz::choices::Choices;
use neap_fuzz::decode::{KINDS, soundly};
use neap_fuzz::named;
use neap_protocol::codec::{VERSION, Wire};
use neap_protocol::ids::{FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::*;
use neap_protocol::resources::Resources;
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Moment;
use proptest::prelude::*;

const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

/// Runs the target `decode` for every kind of message, from the `first`-th way on.
fn every_kind(first: u8, bytes: &[u8]) {
    let target = named("decode").expect("a target of this name");
    for kind in 0..KINDS {
        let bytes = [&[first + kind], bytes].concat();
        (target.run)(&mut Choices::new(&bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_message_goes_round(entropy in prop::collection::vec(any::<u8>(), 0..800)) {
        every_kind(KINDS, &entropy);
    }

    #[test]
    fn arbitrary_bytes_are_harmless(mut frame in prop::collection::vec(any::<u8>(), 1..300)) {
        frame[0] = VERSION;
        every_kind(0, &frame);
    }
}

/// Each example, with a run of one byte put where each of its bytes was: lists that claim much and hold little, and
/// lists of the smallest elements.
#[test]
fn memory_is_bounded_whatever_a_list_claims() {
    for (_, bytes) in crate::golden() {
        // Without its kind: it is taken for every one.
        let example = &bytes[1..];
        for at in 1..=example.len() {
            for claim in [
                &[0x7f][..],
                // 3,000: as many as bytes follow.
                &[0xb8, 0x17],
                &[0xff, 0x7f],
                &[0x80, 0x80, 0x04],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
            ] {
                for (filler, len) in [(0, 4), (0, 3_000), (1, 3_000)] {
                    let mut frame = example[..at].to_vec();
                    frame.extend_from_slice(claim);
                    frame.resize(frame.len() + len, filler);
                    every_kind(0, &frame);
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
        soundly::<MasterToOperator>(&answer(Answer::Receipt(vec![line; len])));
        let past = PastEvent { number: 0, at: Moment(0), event: Box::new(Event::RemovalsResumed) };
        let page = Page { items: vec![past; len], more: false };
        soundly::<MasterToOperator>(&answer(Answer::Events(page)));
        let answered =
            InverseAnswer::Accept { rather: vec![TaskId::from_str("F0.0").expect("it is one"); len] };
        let id = InverseOfferId(0);
        let answer = FrameworkToMaster::AnswerInverse { id, answer: answered };
        soundly::<FrameworkToMaster>(&unchecked(&answer));
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
                fence_after: None,
            };
            soundly::<SlaveToExecutor>(&unchecked(&launch));
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
        soundly::<SlaveToMaster>(&unchecked(&unregister));
        let offered = Offered {
            id: OfferId(0),
            slave: SlaveId(0),
            name: Name::new("a").expect("it is one"),
            resources: Resources::NONE,
        };
        soundly::<MasterToFramework>(&unchecked(&MasterToFramework::Offers(vec![offered; len])));
    }
}
