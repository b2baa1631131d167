//! `registry`: operations on a registry, and what is read of one that was torn or changed on disk: whatever is done, it
//! stays sound, refusals change nothing, and no removed id comes back (S3); whatever is read, is sound or refused (R28).

use std::collections::BTreeSet;

use neap_protocol::ids::{DrainId, Epoch, FrameworkId, InverseOfferId, SlaveId, TaskId};
use neap_protocol::message::{DrainEnd, InverseAnswer, InverseAsk, InverseOutcome, Pace, Then};
use neap_protocol::registry::{
    Applied, DrainAsk, EndRecord, FrameworkRecord, Hold, InverseOfferRecord, InverseStage, Operation,
    Registry,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};

use crate::choices::Choices;

/// What a run can reach.
pub(crate) const GOALS: &[&str] =
    &["admitted", "removed", "drained", "asked", "refused", "read again", "damage found", "damage harmless"];

/// Runs the target.
pub(crate) fn run(choices: &mut Choices<'_>) {
    let mut file = File::default();
    while !choices.is_over() {
        match choices.below(24) {
            0 => file.torn(choices),
            1 => file.read_again(choices),
            2 => file.snapshot(),
            _ => file.operate(choices),
        }
    }
    file.read_again(choices);
}

/// A registry as a store keeps it: a snapshot, and the operations since.
#[derive(Default)]
struct File {
    registry: Registry,
    snapshot: Vec<u8>,
    log: Vec<Vec<u8>>,
    removed: BTreeSet<SlaveId>,
}

impl File {
    fn operate(&mut self, choices: &mut Choices<'_>) {
        let operation = match choices.one_in(8) {
            true => choices.any(),
            false => operation(choices),
        };
        choices.tell(|| format!("> {operation:?}"));
        let before = self.registry.clone();
        let applied = self.registry.apply(&operation);
        choices.tell(|| format!("    {applied:?}"));
        match applied {
            Ok(applied) => self.applied(choices, &operation, &applied),
            Err(refusal) => {
                choices.reach("refused");
                let same = self.registry == before;
                choices.hold(same, || format!("{refusal:?}, and {before:?} is now {:?}", self.registry));
            }
        }
        self.is_sound(choices);
        self.log.push(encoded(&operation));
    }

    fn applied(&mut self, choices: &mut Choices<'_>, operation: &Operation, applied: &Applied) {
        match (operation, applied) {
            (_, Applied::Slave { id, .. }) => {
                choices.reach("admitted");
                let fresh = !self.removed.contains(id);
                choices.hold(fresh, || format!("S3: {id} was removed, and is admitted again"));
            }
            (Operation::RemoveSlave { slave, .. }, _) => {
                choices.reach("removed");
                self.removed.insert(*slave);
                choices.hold(self.registry.was_removed(*slave), || format!("S3: {slave} is forgotten"));
            }
            (Operation::EndDrain { .. }, _) => choices.reach("drained"),
            (_, Applied::InverseOffer(_)) => choices.reach("asked"),
            (_, Applied::Done { .. } | Applied::Framework(_) | Applied::Drain { .. }) => {}
            (_, Applied::Lifted { .. } | Applied::Removed { .. } | Applied::FrameworkRemoved { .. }) => {}
            (_, Applied::DrainEnded { .. } | Applied::Closed(_)) => {}
        }
    }

    fn is_sound(&self, choices: &Choices<'_>) {
        if let Err(wrong) = self.registry.check() {
            choices.broken(format!("{wrong}: {:?}", self.registry));
        }
    }

    fn snapshot(&mut self) {
        self.snapshot = encoded(&self.registry);
        self.log.clear();
    }

    /// What was written is what is read (S6, R28).
    fn read_again(&self, choices: &mut Choices<'_>) {
        let read = read(&self.snapshot, &self.log);
        choices.hold(read.as_ref() == Ok(&self.registry), || {
            format!("{:?} was written, {read:?} is read", self.registry)
        });
        choices.reach("read again");
    }

    /// A disk, or a crash, changes what is read: it is found, or what is read is a sound registry all the same.
    fn torn(&self, choices: &mut Choices<'_>) {
        let (mut snapshot, mut log) = (self.snapshot.clone(), self.log.clone());
        let at = choices.below(1 + u32::try_from(log.len()).unwrap_or(u32::MAX)) as usize;
        damage(choices, log.get_mut(at).unwrap_or(&mut snapshot));
        match read(&snapshot, &log) {
            Ok(read) => {
                choices.reach("damage harmless");
                if let Err(wrong) = read.check() {
                    choices.broken(format!("{wrong}, and yet it is read: {read:?}"));
                }
            }
            Err(_) => choices.reach("damage found"),
        }
    }
}

/// Cuts bytes off, or changes one.
fn damage(choices: &mut Choices<'_>, bytes: &mut Vec<u8>) {
    let at = choices.below(1 << 16) as usize % bytes.len().max(1);
    match (choices.one_in(2), bytes.get_mut(at)) {
        (true, Some(byte)) => *byte ^= 1 << choices.below(8),
        (false, Some(_)) => bytes.truncate(at),
        (_, None) => bytes.push(choices.byte()),
    }
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("it has a form")
}

/// What a store does with what it finds.
fn read(snapshot: &[u8], log: &[Vec<u8>]) -> Result<Registry, String> {
    let mut registry = match snapshot {
        [] => Registry::default(),
        bytes => postcard::from_bytes::<Registry>(bytes).map_err(|error| error.to_string())?,
    };
    registry.check().map_err(str::to_owned)?;
    for bytes in log {
        let operation: Operation = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        let _ = registry.apply(&operation);
    }
    Ok(registry)
}

fn operation(choices: &mut Choices<'_>) -> Operation {
    let slave = SlaveId(1 + choices.below(5));
    let framework = FrameworkId(1 + choices.below(4));
    let resources = Resources::new(1000 * u64::from(choices.below(9)), choices.one(&[0, 64, u64::MAX]));
    let (address, reason) = (Text::EMPTY, Text::EMPTY);
    let drain = DrainId(1 + choices.below(6));
    let id = InverseOfferId(1 + choices.below(8));
    match choices.below(20) {
        0 => Operation::Lead { epoch: Epoch(choices.below(9).into()) },
        1 | 2 => Operation::AdmitSlave { name: name(choices, &["a", "b", "c"]), address, resources },
        3 => Operation::ReadmitSlave { slave, address, resources },
        4 => Operation::MarkUnreachable { slave },
        5 => {
            let ends = (0..choices.below(3)).map(|_| EndRecord {
                slave,
                update: end(choices),
                receipt: None,
                drain: None,
            });
            Operation::RemoveSlave { slave, ends: ends.collect() }
        }
        19 if choices.one_in(2) => Operation::ForgetEnd { task: end(choices).task },
        6 => Operation::PlaceHold {
            slave: name(choices, &["a", "b", "c"]),
            name: name(choices, &["ann", "bob", "drain-D1"]),
            hold: hold(choices),
        },
        7 => {
            let lifted = choices.one(&["", "ann", "bob", "drain-D1", "drain-D2"]);
            Operation::LiftHolds { slave: name(choices, &["a", "b", "c"]), name: Name::new(lifted).ok() }
        }
        8 | 9 => Operation::AddFramework(framework_record(choices)),
        10 => Operation::ChangeFramework { framework, record: framework_record(choices) },
        11 => Operation::RemoveFramework { framework },
        12 | 13 => {
            let drain = choices.one(&[None, Some(drain)]);
            Operation::OpenInverseOffer(inverse_record(choices, framework, slave, drain))
        }
        14 => Operation::AnswerInverseOffer { id, answer: InverseAnswer::Decline { reason } },
        15 => {
            let deadline = Moment(choices.below(9).into());
            Operation::AdvanceInverseOffer { id, stage: InverseStage::Revoking, deadline }
        }
        16 => Operation::CloseInverseOffer { id, outcome: InverseOutcome::Returned },
        17 => {
            let then = choices.one(&[None, Some(Then::Stay), Some(Then::Unregister)]);
            let pace = choices.one(&[Pace::Within(Millis(8)), Pace::Within(Millis(4)), Pace::Now]);
            let (by, at, change) = (name(choices, &["ann"]), Moment(1), choices.one_in(2));
            let (deadline, reason) = (Moment(9), choices.one(&[None, Some(reason)]));
            Operation::StartDrain(DrainAsk { slave, pace, deadline, reason, then, by, at, change })
        }
        18 => {
            let ms = u64::from(choices.below(9));
            Operation::ExtendDrain { drain, within: Millis(ms), deadline: Moment(ms) }
        }
        _ => {
            let ends = [DrainEnd::Drained, DrainEnd::Unseen, DrainEnd::SlaveGone, DrainEnd::Cancelled];
            Operation::EndDrain { drain, end: choices.one(&ends) }
        }
    }
}

/// A true one, for the most part.
fn end(choices: &mut Choices<'_>) -> Update {
    let task = TaskId { framework: FrameworkId(1 + choices.below(4)), number: 1 + choices.below(3) };
    let state = choices.one(&[TaskState::Finished, TaskState::Failed, TaskState::Killed, TaskState::Lost]);
    Update { task, number: 1, state, reason: Reason::Normal, message: Text::EMPTY }
}

fn name(choices: &mut Choices<'_>, of: &[&str]) -> Name {
    Name::new(choices.one(of)).expect("it is a name")
}

fn hold(choices: &mut Choices<'_>) -> Hold {
    Hold { by: name(choices, &["ann", "bob"]), reason: Text::EMPTY, at: Moment(1) }
}

fn framework_record(choices: &mut Choices<'_>) -> FrameworkRecord {
    let name = name(choices, &["f", "g"]);
    FrameworkRecord {
        principal: name.clone(),
        name,
        failover_timeout: Millis(choices.below(3).into()),
        partition_aware: choices.below(2) == 0,
    }
}

fn inverse_record(
    choices: &mut Choices<'_>,
    framework: FrameworkId,
    slave: SlaveId,
    drain: Option<DrainId>,
) -> InverseOfferRecord {
    InverseOfferRecord {
        framework,
        slave,
        ask: InverseAsk::Everything,
        keep: Resources::NONE,
        deadline: Moment(choices.below(9).into()),
        reason: Text::EMPTY,
        by: name(choices, &["ann"]),
        drain,
        answer: None,
        stage: InverseStage::Open,
    }
}
