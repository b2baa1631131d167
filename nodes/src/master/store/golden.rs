//! The registry, pinned: the rows of an earlier build are read as they were meant (R28). How redb lays them out in its
//! file is redb's to keep.

use std::sync::Arc;

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::message::{DrainEnd, InverseAnswer, InverseAsk, InverseOutcome, Pace, Then};
use neap_protocol::registry::{DrainAsk, EndRecord, FrameworkRecord, Hold, InverseOfferRecord, InverseStage};
use neap_protocol::resources::{Ports, Resources};
use neap_protocol::task::{Ending, Reason, SignalSent, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use redb::{ReadableTable, TableDefinition};

use super::*;
use crate::golden::{self, Line, named};
use crate::master::audit::Outcome;

// As they are in files, whatever this neap calls them.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SNAPSHOT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshot");
const LOG: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("log");
const RECEIPTS: TableDefinition<'_, (u8, u32, u64), &[u8]> = TableDefinition::new("receipts");
const AUDIT: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("audit");

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

/// Every operation, each of which changes something; and what can be in a registry is in it then.
fn operations(round: u32) -> Vec<Operation> {
    let [gives, is_lost, leaves] = [1, 2, 3].map(|n| SlaveId(3 * (round - 1) + n));
    let [aware, unaware] = [1, 2].map(|n| FrameworkId(2 * (round - 1) + n));
    let [asked, declined, returned] = [1, 2, 3].map(|n| InverseOfferId(3 * (round - 1) + n));
    let [under_way, done] = [1, 2].map(|n| DrainId(2 * (round - 1) + n));
    let (by, reason, at) = (name("ada"), Text::new("a disk is odd"), Moment(1_700_000_000_000));
    let deadline = Moment(at.0 + 60_000);
    let named = |n: u32| name(&format!("slave-{round}-{n}"));
    let admit = |n: u32| Operation::AdmitSlave {
        name: named(n),
        address: Text::new("10.0.0.1:5051"),
        resources: Resources { ports: Ports::range(31_000, 32_000), ..Resources::new(8000, 16 << 30) },
    };
    let framework = |partition_aware| FrameworkRecord {
        name: name("index"),
        principal: name("crawler"),
        failover_timeout: Millis(10_000),
        partition_aware,
    };
    let hold = Hold { by: by.clone(), reason: reason.clone(), at };
    let offer = |framework, ask, drain| {
        Operation::OpenInverseOffer(InverseOfferRecord {
            framework,
            slave: gives,
            ask,
            keep: Resources::new(500, 1 << 20),
            deadline,
            reason: reason.clone(),
            by: by.clone(),
            drain,
            answer: None,
            stage: InverseStage::Open,
        })
    };
    let drain = |slave, then| {
        let (reason, by) = (reason.clone(), by.clone());
        let (pace, reason, then) = (Pace::Within(Millis(60_000)), Some(reason), Some(then));
        Operation::StartDrain(DrainAsk { slave, pace, deadline, reason, then, by, at, change: false })
    };
    let task = |number| TaskId { framework: aware, number };
    let end = |number, state, reason, receipt| EndRecord {
        slave: leaves,
        update: Update { task: task(number), number: 3, state, reason, message: Text::new("in words") },
        receipt,
        drain: receipt.is_some().then_some(under_way),
    };
    let accept = InverseAnswer::Accept { rather: vec![task(4), task(5)] };
    let decline = InverseAnswer::Decline { reason: Text::new("busy") };
    vec![
        Operation::Lead { epoch: Epoch(round.into()) },
        admit(1),
        admit(2),
        admit(3),
        Operation::AddFramework(framework(true)),
        Operation::AddFramework(framework(false)),
        Operation::ChangeFramework {
            framework: aware,
            record: FrameworkRecord { failover_timeout: Millis(0), ..framework(true) },
        },
        Operation::MarkUnreachable { slave: gives },
        Operation::ReadmitSlave {
            slave: gives,
            address: Text::new("10.0.0.2:5051"),
            resources: Resources { disk: 1 << 40, ..Resources::new(4000, 8 << 30) },
        },
        Operation::MarkUnreachable { slave: is_lost },
        Operation::PlaceHold { slave: named(1), name: name("raid"), hold: hold.clone() },
        Operation::PlaceHold { slave: named(1), name: name("odd"), hold: hold.clone() },
        Operation::LiftHolds { slave: named(1), name: Some(name("odd")) },
        // Its slave leaves: the name is held still.
        Operation::PlaceHold { slave: named(3), name: name("raid"), hold },
        offer(aware, InverseAsk::Amount(Resources::new(1000, 1 << 30)), None),
        Operation::AnswerInverseOffer { id: asked, answer: accept },
        Operation::AdvanceInverseOffer { id: asked, stage: InverseStage::Revoking, deadline },
        drain(gives, Then::Stay),
        offer(aware, InverseAsk::Everything, Some(under_way)),
        Operation::AnswerInverseOffer { id: declined, answer: decline },
        Operation::ExtendDrain { drain: under_way, within: Millis(60_001), deadline: Moment(deadline.0 + 1) },
        offer(unaware, InverseAsk::Everything, None),
        Operation::CloseInverseOffer { id: returned, outcome: InverseOutcome::Returned },
        drain(is_lost, Then::Unregister),
        Operation::EndDrain { drain: done, end: DrainEnd::Unseen },
        Operation::RemoveSlave {
            slave: leaves,
            ends: vec![
                end(1, TaskState::Finished, Reason::Exited(0), Some(ReceiptId::Unregistration(leaves))),
                end(2, TaskState::Failed, Reason::Signalled(11), Some(ReceiptId::Drain(under_way))),
                end(3, TaskState::Killed, Reason::KilledByFramework, None),
            ],
        },
        Operation::ForgetEnd { task: task(3) },
        Operation::RemoveFramework { framework: unaware },
    ]
}

/// Every line, each of every receipt; in them every state, reason and end.
fn receipts() -> Vec<(ReceiptId, ReceiptLine)> {
    let receipts = [
        ReceiptId::Drain(DrainId(1)),
        ReceiptId::InverseOffer(InverseOfferId(2)),
        ReceiptId::Unregistration(SlaveId(3)),
    ];
    let (task, inverse_offer) = (TaskId { framework: FrameworkId(1), number: 4 }, InverseOfferId(2));
    let opened = |deadline| ReceiptLine::Opened {
        slave: SlaveId(1),
        name: name("slave-1"),
        by: name("ada"),
        reason: Text::new("new disks"),
        deadline,
        drain: deadline.map(|_| (Pace::Within(Millis(9)), Then::Stay)),
    };
    let (ask, reason) = (InverseAsk::Everything, Text::new("new disks"));
    let (pace, deadline, then) = (Pace::Now, Moment(10), Then::Unregister);
    let mut lines = vec![
        opened(None),
        opened(Some(Moment(9))),
        ReceiptLine::Asked { framework: FrameworkId(1), inverse_offer, ask },
        ReceiptLine::Answered { inverse_offer, answer: InverseAnswer::Accept { rather: vec![task] } },
        ReceiptLine::Revoked { task, grace: Millis(5000) },
        ReceiptLine::Acknowledged { task },
        ReceiptLine::Changed { by: name("ada"), pace, deadline, then, reason },
        ReceiptLine::Unregistered,
        ReceiptLine::DeclaredDead {
            slave: SlaveId(1),
            name: name("slave-1"),
            by: name("ada"),
            reason: Text::new("burnt down"),
        },
    ];
    let signals = vec![SignalSent { at: Moment(11), signal: 9, processes: 2 }];
    let (leader, unseen) = (Text::new("killed by signal 9"), Text::EMPTY);
    let ending = Arc::new(Ending { signals, leader, seen_dead: Some(Moment(12)), unseen });
    for (state, reason) in golden::states_and_reasons() {
        let ending = state.is_terminal().then(|| ending.clone());
        lines.push(ReceiptLine::Ended { task, state, reason, ending });
    }
    let ends = [DrainEnd::Drained, DrainEnd::Unseen, DrainEnd::SlaveGone, DrainEnd::Cancelled];
    named!(DrainEnd { Drained, Unseen, SlaveGone, Cancelled }, &ends);
    lines.extend(ends.map(|end| ReceiptLine::DrainEnded { end, unacknowledged: 1 }));
    let outcomes =
        [InverseOutcome::Returned, InverseOutcome::Revoked, InverseOutcome::Cancelled, InverseOutcome::Void];
    named!(InverseOutcome { Returned, Revoked, Cancelled, Void }, &outcomes);
    lines.extend(outcomes.map(|outcome| ReceiptLine::InverseOfferClosed { outcome }));
    named!(
        ReceiptLine {
            Opened,
            Asked,
            Answered,
            Revoked,
            Ended,
            Acknowledged,
            Changed,
            DrainEnded,
            InverseOfferClosed,
            Unregistered,
            DeclaredDead
        },
        &lines
    );
    named!(ReceiptId { Drain, InverseOffer, Unregistration }, &receipts);
    receipts.into_iter().cycle().zip(lines).collect()
}

fn audit() -> Vec<(Number, Audited)> {
    let outcomes = [
        Outcome::Unanswered,
        Outcome::Done { changed: true, id: Text::new("D1") },
        Outcome::Refused(Text::new("there is no such slave")),
    ];
    named!(Outcome { Unanswered, Done, Refused }, &outcomes);
    let audited = |outcome| Audited {
        at: Moment(1_700_000_000_000),
        by: name("ada"),
        command: Text::new("drain"),
        of: Text::new("slave-1"),
        detail: Text::new("within 30m"),
        reason: Text::new("new disks"),
        outcome,
    };
    let numbers = (1..).map(|number| Number { epoch: Epoch(1), number });
    numbers.zip(outcomes.map(audited)).collect()
}

fn applied(registry: &mut Registry, operations: &[Operation]) {
    for operation in operations {
        registry.apply(operation).unwrap_or_else(|refusal| panic!("{operation:?}: {refusal}"));
    }
    registry.check().unwrap();
}

fn append(round: u32) -> Vec<Work> {
    let epoch = Epoch(round.into());
    let append = |(seq, operation)| Work::Append { epoch, seq: Seq(seq), operation, audit: None };
    (1..).zip(operations(round)).map(append).collect()
}

/// Every row of a file, as `TABLE KEY…`.
fn rows(database: &Database) -> Vec<Line> {
    let transaction = database.begin_read().unwrap();
    let mut rows = Vec::new();
    for entry in transaction.open_table(META).unwrap().iter().unwrap() {
        let (key, value) = entry.unwrap();
        rows.push((format!("meta {}", key.value()), value.value().to_be_bytes().to_vec()));
    }
    for entry in transaction.open_table(SNAPSHOT).unwrap().iter().unwrap() {
        let (key, value) = entry.unwrap();
        rows.push((format!("snapshot {}", key.value()), value.value().to_vec()));
    }
    for (table, name) in [(LOG, "log"), (AUDIT, "audit")] {
        for entry in transaction.open_table(table).unwrap().iter().unwrap() {
            let (key, value) = entry.unwrap();
            rows.push((format!("{name} {} {}", key.value().0, key.value().1), value.value().to_vec()));
        }
    }
    for entry in transaction.open_table(RECEIPTS).unwrap().iter().unwrap() {
        let (key, value) = entry.unwrap();
        let (kind, id, number) = key.value();
        rows.push((format!("receipts {kind} {id} {number}"), value.value().to_vec()));
    }
    rows
}

/// Makes a file of such rows.
fn put(database: &Database, rows: &[Line]) {
    let transaction = database.begin_write().unwrap();
    let number = |word: &str| word.parse::<u64>().unwrap();
    for (row, bytes) in rows {
        let words: Vec<&str> = row.split(' ').collect();
        match words[..] {
            ["meta", key] => {
                let value = u64::from_be_bytes(bytes[..].try_into().unwrap());
                transaction.open_table(META).unwrap().insert(key, value).map(drop)
            }
            ["snapshot", key] => transaction.open_table(SNAPSHOT).unwrap().insert(key, &bytes[..]).map(drop),
            ["log", epoch, seq] => {
                let key = (number(epoch), number(seq));
                transaction.open_table(LOG).unwrap().insert(key, &bytes[..]).map(drop)
            }
            ["audit", epoch, seq] => {
                let key = (number(epoch), number(seq));
                transaction.open_table(AUDIT).unwrap().insert(key, &bytes[..]).map(drop)
            }
            ["receipts", kind, id, line] => {
                let key = (kind.parse().unwrap(), id.parse().unwrap(), number(line));
                transaction.open_table(RECEIPTS).unwrap().insert(key, &bytes[..]).map(drop)
            }
            _ => panic!("{row} is no row"),
        }
        .unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_registry_of_this_format_is_read_as_it_always_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut batch = append(1);
    let (receipts, audit) = (receipts(), audit());
    batch.extend((1..).zip(receipts.clone()).map(|(at, (receipt, line))| {
        let at = Moment(at);
        Work::Record { receipt, at, line }
    }));
    batch.extend(audit.clone().into_iter().map(|(number, audited)| Work::Audit(number, audited)));
    store.work(batch, &mut |reply| assert!(matches!(reply, Reply::Stored { .. }), "{reply:?}"));
    store.snapshot().unwrap();
    store.work(append(2), &mut |reply| assert!(matches!(reply, Reply::Stored { .. }), "{reply:?}"));
    let mut expected = Registry::default();
    applied(&mut expected, &operations(1));
    applied(&mut expected, &operations(2));
    assert_eq!(store.registry, expected);
    named!(
        Operation {
            Lead,
            AdmitSlave,
            ReadmitSlave,
            MarkUnreachable,
            RemoveSlave,
            ForgetEnd,
            PlaceHold,
            LiftHolds,
            AddFramework,
            ChangeFramework,
            RemoveFramework,
            OpenInverseOffer,
            AnswerInverseOffer,
            AdvanceInverseOffer,
            CloseInverseOffer,
            StartDrain,
            ExtendDrain,
            EndDrain
        },
        &operations(2)
    );
    let mut now = rows(store.database.as_ref().unwrap());
    // No row, but what the rows come to.
    now.push(("in all".to_owned(), postcard::to_allocvec(&expected).unwrap()));
    let number = "`FORMAT` in master/store/tables.rs";
    let golden = golden::lines(&format!("registry-v{FORMAT}.txt"), number, &now);

    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(dir.path().join(FILE)).unwrap();
    put(&database, &golden[..golden.len() - 1]);
    drop(database);
    let read = Store::open(dir.path()).unwrap();
    assert_eq!((&read.registry, read.epoch()), (&expected, Epoch(2)));
    let database = read.database.as_ref().unwrap();
    let contents = tables::read_whole(database).unwrap();
    assert_eq!(contents.registry, expected);
    assert_eq!((contents.snapshot, contents.operations), (true, operations(2).len() as u64));
    assert_eq!((contents.receipts, contents.receipt_lines), (3, receipts.len() as u64));
    assert_eq!(contents.audit, audit);
    for id in receipts.iter().take(3).map(|(id, _)| *id) {
        let all = (1..).map(Moment).zip(&receipts);
        let its: Lines =
            all.filter(|(_, line)| line.0 == id).map(|(at, line)| (at, line.1.clone())).collect();
        assert_eq!(tables::lines_of(database, id).unwrap(), its, "{id}");
    }
}
