//! A slave that is connected and does not answer gets no work until it does (R6, R16).

use neap_nodes::operator::Client;
use neap_protocol::ids::{FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, Command, FrameworkToMaster, MasterToFramework, Offered, Query, SlaveRef, SlaveStatus,
    SlaveToMaster, SlaveView,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, Run, TaskSpec, TaskState};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;

use crate::cluster::{Fake, Master, place};
use crate::master::{subscribe, until};

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
    let spec = TaskSpec {
        id,
        name: Name::new("late").unwrap(),
        resources: Resources::new(1000, 1 << 30),
        kill_grace: Millis::ZERO,
        fence_after: None,
        run: Run::Command(task::Command { program: "true".into(), ..Default::default() }.into()),
    };
    let accept = FrameworkToMaster::Accept { offer: lent.id, slave, tasks: vec![spec], filter: Millis::ZERO };
    framework.say(&accept).await;
    loop {
        if let MasterToFramework::Update { update, .. } = framework.hear().await {
            let told = (update.task, update.state, update.reason);
            assert_eq!(told, (id, TaskState::Dropped, Reason::SlaveSilent));
            break;
        }
    }
    let listed = place.neap(&master.line("slaves"));
    let row = listed.stdout.lines().find(|row| row.contains("slave-2")).unwrap();
    assert!(row.contains("silent"), "{}{}", listed.stdout, listed.stderr);
}
