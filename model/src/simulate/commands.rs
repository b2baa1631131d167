//! Operators' commands of every kind, aimed at everything that there may be, and at some that there is not.

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, OfferId, SlaveId, TaskId};
use neap_protocol::message::{Command, InverseAsk, Query, ReceiptId, SlaveRef, Then};
use neap_protocol::resources::Resources;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use crate::world::slave_name;

use super::draw::{Size, UNIT};
use super::random::Random;

/// So many commands, as likely as this seed has them.
pub(super) fn draw(random: &mut Random, size: Size, count: usize) -> Vec<Command> {
    let likely: Vec<usize> = KINDS.iter().map(|(_, usual)| usual * random.below(4)).collect();
    let all: usize = likely.iter().sum();
    let kind = |random: &mut Random| {
        let mut at = random.below(all);
        for ((kind, _), likely) in KINDS.iter().zip(&likely) {
            match at.checked_sub(*likely) {
                Some(rest) => at = rest,
                None => return *kind,
            }
        }
        Kind::Show
    };
    (0..count)
        .map(|_| {
            let kind = kind(random);
            command(random, size, kind)
        })
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Show,
    Watch,
    Deactivate,
    Activate,
    InverseOffer,
    CancelInverseOffer,
    Drain,
    PlanDrain,
    CancelDrain,
    ExtendDrain,
    DrainNow,
    Kill,
    ResumeRemovals,
    ForgetSlave,
    Teardown,
}

/// Every kind, and how likely it is usually.
const KINDS: [(Kind, usize); 15] = [
    (Kind::Show, 2),
    (Kind::Watch, 1),
    (Kind::Deactivate, 4),
    (Kind::Activate, 5),
    (Kind::InverseOffer, 6),
    (Kind::CancelInverseOffer, 3),
    (Kind::Drain, 6),
    (Kind::PlanDrain, 2),
    (Kind::CancelDrain, 3),
    (Kind::ExtendDrain, 3),
    (Kind::DrainNow, 2),
    (Kind::Kill, 3),
    (Kind::ResumeRemovals, 1),
    (Kind::ForgetSlave, 3),
    (Kind::Teardown, 1),
];

fn command(random: &mut Random, size: Size, kind: Kind) -> Command {
    let (deadline, reason) = (deadline(random), Text::EMPTY);
    match kind {
        Kind::Show => Command::Show(query(random, size)),
        Kind::Watch => Command::Watch,
        Kind::Deactivate => Command::Deactivate { slave: slave(random, size), hold: hold(random), reason },
        Kind::Activate => {
            let hold = random.percent(60).then(|| hold(random));
            Command::Activate { slave: slave(random, size), hold, reason }
        }
        Kind::InverseOffer => {
            let (framework, slave, ask) = (framework(random, size), slave(random, size), ask(random));
            Command::InverseOffer { framework, slave, ask, deadline, reason }
        }
        Kind::CancelInverseOffer => Command::CancelInverseOffer(InverseOfferId(small(random, 12))),
        Kind::Drain => {
            // A digest by chance is none that any plan has: such a drain is refused (R23).
            let then = random.percent(70).then(|| then(random));
            let (if_plan, change) = (random.percent(5).then_some(1), random.percent(30));
            let reason = random.percent(10).then_some(reason);
            Command::Drain { slave: slave(random, size), deadline, reason, then, if_plan, change }
        }
        Kind::PlanDrain => {
            Command::PlanDrain { slave: slave(random, size), deadline, then: Some(then(random)) }
        }
        Kind::CancelDrain => Command::CancelDrain(DrainId(small(random, 8))),
        Kind::ExtendDrain => Command::ExtendDrain(DrainId(small(random, 8)), deadline),
        Kind::DrainNow => Command::DrainNow { slave: slave(random, size), reason: None },
        Kind::Kill => Command::Kill { task: task(random, size), reason },
        Kind::ResumeRemovals => Command::ResumeRemovals { reason },
        Kind::ForgetSlave => Command::ForgetSlave { slave: slave(random, size), reason },
        Kind::Teardown => Command::Teardown { framework: framework(random, size), reason },
    }
}

fn query(random: &mut Random, size: Size) -> Query {
    match random.below(13) {
        0 => Query::Status,
        1 => Query::Slaves { after: random.percent(50).then(|| SlaveId(small(random, 30))) },
        2 => Query::Slave(slave(random, size)),
        3 => {
            let after = (SlaveId(small(random, 30)), task(random, size));
            Query::Tasks { after: random.percent(50).then_some(after) }
        }
        4 => Query::Task(task(random, size)),
        5 => Query::Frameworks { after: random.percent(50).then(|| framework(random, size)) },
        6 => Query::Offers { after: random.percent(50).then(|| OfferId(u64::from(small(random, 30)))) },
        7 => Query::InverseOffers { after: random.percent(50).then(|| InverseOfferId(small(random, 12))) },
        8 => Query::Drain(DrainId(small(random, 8))),
        9 => Query::Receipt(ReceiptId::Drain(DrainId(small(random, 8)))),
        10 => Query::HeldNames { after: random.percent(50).then(|| slave_name(0)) },
        11 => Query::Ended { after: random.percent(50).then(|| task(random, size)) },
        _ => Query::Events { after: random.percent(50).then(|| u64::from(small(random, 30))) },
    }
}

fn slave(random: &mut Random, size: Size) -> SlaveRef {
    match random.percent(70) {
        // Now and then one that was never there.
        true => SlaveRef::Name(slave_name(random.between(0, size.slaves))),
        false => SlaveRef::Id(SlaveId(small(random, usize::from(size.slaves) * 2))),
    }
}

fn framework(random: &mut Random, size: Size) -> FrameworkId {
    FrameworkId(small(random, usize::from(size.frameworks) + 1))
}

fn task(random: &mut Random, size: Size) -> TaskId {
    TaskId { framework: framework(random, size), number: small(random, 40) }
}

fn hold(random: &mut Random) -> Name {
    let name = random.pick(&["ann", "bob", "night"]);
    Name::new(name).unwrap_or_else(|_| unreachable!("{name} is a name"))
}

fn ask(random: &mut Random) -> InverseAsk {
    match random.below(4) {
        0 => InverseAsk::Amount(Resources::new(0, 0)),
        1 => InverseAsk::Amount(units(u64::from(random.between(1, 4)))),
        _ => InverseAsk::Everything,
    }
}

fn then(random: &mut Random) -> Then {
    random.pick(&[Then::Stay, Then::Unregister])
}

/// At once, within a kill's grace, before a framework counts as gone, and later. None is so late that a drain's bound,
/// which is set with it, would be in no order with it.
fn deadline(random: &mut Random) -> Millis {
    Millis::from_secs(random.pick(&[0, 2, 10, 40, 40, 100]))
}

/// Mostly small, as ids that exist are.
fn small(random: &mut Random, top: usize) -> u32 {
    let n = match random.percent(80) {
        true => 1 + random.below(top.min(4)),
        false => random.below(top + 2),
    };
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// So many times what the smallest task takes.
pub(super) fn units(n: u64) -> Resources {
    Resources::new(UNIT.0 * n, UNIT.1 * n)
}
