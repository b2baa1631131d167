//! A slave that is connected and does not answer gets no work until it does (R6, R16).

use neap_nodes::operator::Client;
use neap_protocol::ids::{FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, Command, FrameworkToMaster, MasterToFramework, MasterToSlave, Offered, Query, Refused, SlaveRef,
    SlaveStatus, SlaveToMaster, SlaveView,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Reason, TaskState, Update};
use neap_protocol::text::Text;
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, CloseReason, Role, SendHalf};

use crate::beside::{hear_slave, news, spec};
use crate::cluster::{Fake, Master, place, register};
use crate::master::{subscribe, until};
use crate::program::{Ended, Place};

async fn view(operator: &mut Client, slave: SlaveId) -> SlaveView {
    let asked = Command::Show(Query::Slave(SlaveRef::Id(slave)));
    let Answer::Slaves(page) = operator.ask(asked).await.unwrap() else { panic!("slaves were asked for") };
    page.items.into_iter().next().unwrap()
}

/// The next offers, up to those of this slave.
async fn offered(framework: &mut Fake, slave: SlaveId) -> Vec<Offered> {
    let mut all = Vec::new();
    while all.iter().all(|offer: &Offered| offer.slave != slave) {
        if let MasterToFramework::Offers(offers) = framework.hear().await {
            all.extend(offers);
        }
    }
    all
}

/// The next news of a task.
async fn told(framework: &mut Fake) -> Update {
    loop {
        if let MasterToFramework::Update { update, .. } = framework.hear().await {
            return update;
        }
    }
}

async fn leave(mut fake: Fake) {
    fake.send.close(CloseReason { code: CloseCode::Done, detail: Text::EMPTY });
    fake.end().await;
}

fn good(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Who did what to which, and why, as the registry has it.
fn audit(place: &Place) -> String {
    good(place.neap("registry show --audit --data data"))
}

/// One slave is gone already, so that removals are halted when a second falls silent: that can be for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_slave_gets_no_work_however_long_removals_are_halted() {
    let place = place();
    let master =
        Master::start_with(&place, "--listen 127.0.0.1:0 --ping-timeout 500ms --max-ping-timeouts 2");
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let mut gone = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    gone.register(None).await;
    drop(gone);
    until(&mut operator, |status| status.unreachable == 1).await;

    let mut silent = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    let (slave, _) = silent.register(None).await;
    until(&mut operator, |status| status.removals_halted && status.silent == 1).await;
    assert_eq!(view(&mut operator, slave).await.status, SlaveStatus::Silent);
    let mut well = Fake::connect(&place, master.address, Role::Slave, "slave-3").await;
    let (other, _) = well.register(None).await;
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    let first = offered(&mut framework, other).await;
    assert!(first.iter().all(|offer| offer.slave == other), "offered of a silent slave: {first:?}");
    assert!(view(&mut operator, slave).await.offered.is_empty());

    silent.say(&SlaveToMaster::Pong).await;
    let lent = offered(&mut framework, slave).await.into_iter().find(|offer| offer.slave == slave).unwrap();
    assert_eq!(view(&mut operator, slave).await.status, SlaveStatus::Active);

    // It falls silent again, with what was lent.
    loop {
        match framework.hear().await {
            MasterToFramework::Rescind(offers) if offers.contains(&lent.id) => break,
            _ => {}
        }
    }
    let id = TaskId { framework: FrameworkId(1), number: 1 };
    let accept = FrameworkToMaster::Accept {
        offer: lent.id,
        slave,
        tasks: vec![spec(id, Resources::new(1000, 1 << 30))],
        filter: Millis::ZERO,
    };
    framework.say(&accept).await;
    let update = told(&mut framework).await;
    assert_eq!((update.task, update.state, update.reason), (id, TaskState::Dropped, Reason::SlaveSilent));
    let listed = place.neap(&master.line("slaves"));
    let row = listed.stdout.lines().find(|row| row.contains("slave-2")).unwrap();
    assert!(row.contains("silent"), "{}{}", listed.stdout, listed.stderr);
}

/// R7a: its tasks are Lost with the operator's words, its name is free, and what it says afterwards is refused (R3).
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_slave_is_forgotten_and_a_living_one_is_not() {
    let place = place();
    let master = Master::start(&place);
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (id, _) = slave.register(None).await;
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    let offer = offered(&mut framework, id).await.pop().unwrap();
    let task = TaskId { framework: FrameworkId(1), number: 1 };
    let (tasks, filter) = (vec![spec(task, offer.resources)], Millis::ZERO);
    framework.say(&FrameworkToMaster::Accept { offer: offer.id, slave: id, tasks, filter }).await;
    assert!(matches!(hear_slave(&mut slave).await, MasterToSlave::Launch(_)));
    slave.say(&news(task, 1, TaskState::Running)).await;
    assert_eq!(told(&mut framework).await.state, TaskState::Running);

    let forget = master.line("slave forget slave-1 --reason 'burnt down'");
    let lives = place.neap(&forget);
    assert_eq!(lives.code, Some(3), "{}{}", lives.stdout, lives.stderr);
    assert!(lives.stderr.contains("its last ping, from 127.0.0.1:1") && lives.stderr.contains("neap drain"));
    let unknown = place.neap(&master.line("slave forget slave-9 --reason 'burnt down'"));
    assert_eq!(unknown.code, Some(3), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains("slave-1"), "a sibling is suggested: {}", unknown.stderr);
    leave(slave).await;
    until(&mut operator, |status| status.connected == 0).await;

    let forgotten = good(place.neap(&forget));
    assert!(forgotten.contains("slave-1 (S1) is removed"), "{forgotten}");
    let lost = told(&mut framework).await;
    assert_eq!((lost.task, lost.state, lost.reason), (task, TaskState::Lost, Reason::SlaveDeclaredDead));
    assert_eq!(lost.message.as_str(), "ada said that its slave, slave-1, is dead (burnt down)");
    let receipt = good(place.neap(&master.line("drain --receipt S1")));
    assert!(receipt.contains("ada said that slave-1 (S1) is dead: burnt down"), "{receipt}");
    let row = audit(&place).lines().find(|line| line.contains("done")).unwrap().to_owned();
    assert!(row.contains("slave forget") && row.contains("burnt down") && row.contains("ada"), "{row}");

    let mut back = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let SlaveToMaster::Register { epoch, resources, address, tasks, leaving, .. } = register() else {
        unreachable!("it is one");
    };
    let again = SlaveToMaster::Register { id: Some(id), epoch, resources, address, tasks, leaving };
    back.say(&again).await;
    assert_eq!(hear_slave(&mut back).await, MasterToSlave::Refused(Refused::Removed));
    let mut fresh = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(fresh.register(None).await.0, SlaveId(2));
}

/// R7: `neap status` names what lifts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_halt_of_removals_is_lifted_by_an_operator() {
    let place = place();
    let master =
        Master::start_with(&place, "--listen 127.0.0.1:0 --ping-timeout 200ms --max-ping-timeouts 2");
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let mut silent = Vec::new();
    for name in ["slave-1", "slave-2"] {
        let mut slave = Fake::connect(&place, master.address, Role::Slave, name).await;
        slave.register(None).await;
        silent.push(slave);
    }
    until(&mut operator, |status| status.removals_halted && status.unreachable == 1).await;
    let status = good(place.neap(&master.line("status")));
    assert!(status.contains("removals are halted") && status.contains("`neap removals resume"), "{status}");
    let resumed = good(place.neap(&master.line("removals resume --reason 'no power'")));
    assert!(resumed.starts_with("removals go on"), "{resumed}");
    until(&mut operator, |status| !status.removals_halted && status.unreachable == 2).await;
    let again = good(place.neap(&master.line("removals resume --reason 'no power'")));
    assert!(again.starts_with("removals were not halted"), "{again}");
    assert!(audit(&place).contains("no power"));
}

/// R14: whoever it is that it belongs to is told by whom and why.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_tears_a_framework_down() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (id, _) = slave.register(None).await;
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    let offer = offered(&mut framework, id).await.pop().unwrap();
    let task = TaskId { framework: FrameworkId(1), number: 1 };
    let (tasks, filter) = (vec![spec(task, offer.resources)], Millis::ZERO);
    framework.say(&FrameworkToMaster::Accept { offer: offer.id, slave: id, tasks, filter }).await;
    assert!(matches!(hear_slave(&mut slave).await, MasterToSlave::Launch(_)));

    let dry = good(place.neap(&master.line("teardown web --dry-run")));
    assert_eq!(dry.trim(), "F1 would be removed, and 1 task killed on slave-1");
    let unknown = place.neap(&master.line("teardown wab --reason 'nobody owns it'"));
    assert_eq!(unknown.code, Some(3), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains("web"), "another is suggested: {}", unknown.stderr);
    let done = good(place.neap(&master.line("teardown web --reason 'nobody owns it'")));
    assert_eq!(done.trim(), "F1 is removed, and 1 task killed on slave-1");
    assert_eq!(hear_slave(&mut slave).await, MasterToSlave::KillFramework { framework: FrameworkId(1) });
    let why = loop {
        if let MasterToFramework::Refused(why) = framework.hear().await {
            break why;
        }
    };
    assert_eq!(why.as_str(), "ada has torn it down (nobody owns it): begin as a new framework");
    let again = place.neap(&master.line("teardown F1 --reason 'nobody owns it'"));
    assert_eq!(again.code, Some(3), "{}{}", again.stdout, again.stderr);
    let row = audit(&place).lines().find(|line| line.contains("done")).unwrap().to_owned();
    assert!(row.contains("teardown") && row.contains("nobody owns it"), "{row}");
}
