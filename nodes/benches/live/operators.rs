//! What operators ask for: drains, deactivation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use neap_nodes::framework::Driver;
use neap_protocol::message::{Command, Event, SlaveRef};
use neap_protocol::task;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;

use crate::cluster::{Master, PATIENCE};
use crate::live::{Framework, Operator, Said, Slave, launch, task};
use crate::table::Row;
use crate::{Scale, place};

/// An operator drains a slave whose framework does nothing about it; its tasks have no grace.
pub(crate) fn drain(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let _slave = Slave::start(place, &master, "slave-1", "");
    let mut operator = Operator::new(place, &master)?;
    let (mut told, mut drained) = (Vec::new(), Vec::new());
    while told.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let sleep = task::Command {
            program: "sleep".to_owned(),
            arguments: vec!["1000".to_owned()],
            environment: Vec::new(),
        };
        let mut tasks = vec![task(sleep, Millis::ZERO); scale.many];
        let act = move |said: &Said, driver: &mut Driver| {
            if let Said::Offers(offers) = said {
                launch(driver, offers, &mut tasks);
            }
        };
        let framework = Framework::start(master.connection(place, Role::Framework, "web"), act);
        framework.until(scale.many, PATIENCE, Said::running)?;
        let begin = Instant::now();
        operator.ask(Command::Drain {
            slave: slave_1(),
            deadline: Millis::ZERO,
            reason: None,
            then: None,
            change: false,
            if_plan: None,
        })?;
        let over = operator.until(|event| matches!(event, Event::DrainEnded { .. }))?;
        drained.push(over - begin);
        let ends = framework.until(scale.many, PATIENCE, Said::end)?;
        told.push(ends.last().map_or(begin, |(at, _)| *at) - begin);
        drop(framework);
        operator.ask(Command::Activate { slave: slave_1(), hold: None, reason: Text::EMPTY })?;
    }
    let what = |what: &str| format!("an operator's drain of {} tasks: {what}", scale.many);
    Ok(vec![
        Row::times(what("last told"), told).budget(100.0),
        Row::times(what("drained"), drained)
            .budget(100.0)
            .reference("Mesos 1.11: 842 ms (100 processes), 239 ms (none)"),
    ])
}

/// R16: the answer, and the offers that are rescinded.
pub(crate) fn deactivate(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let _slave = Slave::start(place, &master, "slave-1", "");
    let mut operator = Operator::new(place, &master)?;
    let framework = Framework::start(master.connection(place, Role::Framework, "web"), |_, _| {});
    let (mut answered, mut rescinded) = (Vec::new(), Vec::new());
    while answered.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        framework.until(1, PATIENCE, |said| matches!(said, Said::Offers(_)).then_some(()))?;
        let hold = Name::new("bench").map_err(|error| error.to_string())?;
        let begin = Instant::now();
        operator.ask(Command::Deactivate { slave: slave_1(), hold, reason: Text::EMPTY })?;
        answered.push(begin.elapsed());
        let gone = framework.until(1, PATIENCE, |said| matches!(said, Said::Rescinded(_)).then_some(()))?;
        rescinded.push(gone.last().map_or(begin, |(at, ())| *at).saturating_duration_since(begin));
        operator.ask(Command::Activate { slave: slave_1(), hold: None, reason: Text::EMPTY })?;
    }
    Ok(vec![
        Row::times("deactivate: answered", answered).budget(3.0).reference("Mesos 1.11: 4.2 ms"),
        Row::times("deactivate: offers rescinded", rescinded)
            .budget(3.0)
            .reference("Mesos 1.11: 3.9 ms; an accept sent after it still ran in 20 of 20"),
    ])
}

fn slave_1() -> SlaveRef {
    SlaveRef::Name(Name::new("slave-1").expect("a name"))
}
