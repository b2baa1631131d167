//! A master as a process: what it keeps, whom it refuses, how it ends.

use std::process::Stdio;

use neap_nodes::master::Settings;
use neap_nodes::operator::{Client, Problem};

use neap_protocol::ids::{Epoch, FrameworkId, SlaveId, TaskId};
use neap_protocol::master::Config;
use neap_protocol::message::{
    Answer, Command, Event, FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave,
    OperatorToMaster, Query, Refusal, SlaveRef, SlaveToMaster, Status,
};
use neap_protocol::task::{Reason, TaskReport, TaskSpec, TaskState};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::{CloseCode, Closed, Role, SendHalf};
use neap_transport_quic::{ConnectError, Credentials, Endpoint, Expect};
use rustix::process::Signal;
use tokio::sync::oneshot;

use crate::beside::{hear_slave, news};
use crate::cluster::{CERTIFICATES, Fake, Master, PATIENCE, identity, place, register};
use crate::up::signal;

pub(crate) fn subscribe(name: &str) -> FrameworkToMaster {
    subscribe_as(name, None, 0, 0)
}

/// The same under an id, of who has heard a leader of this epoch and has used numbers up to this one.
pub(crate) fn subscribe_as(
    name: &str,
    id: Option<FrameworkId>,
    epoch: u64,
    highest_task: u32,
) -> FrameworkToMaster {
    FrameworkToMaster::Subscribe {
        id,
        name: Name::new(name).unwrap(),
        weight: 1,
        failover_timeout: Millis::from_secs(60),
        partition_aware: false,
        epoch: Epoch(epoch),
        highest_task,
    }
}

fn named(name: &str) -> SlaveRef {
    SlaveRef::Name(Name::new(name).unwrap())
}

/// R1, R16, R29: what was answered outlives kill -9, and the epoch grows.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_the_master() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(slave.register(None).await, (SlaveId(1), Epoch(1)));
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let hold = Command::Deactivate {
        slave: named("slave-1"),
        hold: Name::new("raid").unwrap(),
        reason: Text::new("odd"),
    };
    assert_eq!(operator.ask(hold.clone()).await.unwrap(), Answer::Done { changed: true });
    master.kill();

    let master = Master::start(&place);
    assert_eq!(master.epoch, 2);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(slave.register(Some(SlaveId(1))).await, (SlaveId(1), Epoch(2)));
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    assert_eq!(operator.ask(hold).await.unwrap(), Answer::Done { changed: false });
    assert_eq!(master.terminate(), Some(0));
    let end = slave.end().await;
    assert!(matches!(&end, Closed::Peer(reason) if reason.code == CloseCode::Shutdown), "{end:?}");
}

/// R28: how long a slave is waited for after a restart is the operator's to say.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_does_not_come_back_to_a_restarted_master_is_given_up_in_time() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    master.kill();

    let times = "--ping-timeout 10ms --max-ping-timeouts 5 --reregister-timeout 50ms";
    let master = Master::start_with(&place, &format!("--listen 127.0.0.1:0 {times}"));
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    until(&mut operator, |status| status.unreachable == 1).await;
}

/// R14: whose time is over while its master does not hear it is told what became of its tasks, and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_away_for_too_long_says_what_became_of_it() {
    let place = place();
    let master = Master::start(&place);
    let address = master.address;
    let certificates = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
    let line = format!("run --name web --failover-timeout 50ms --masters {address} {certificates} -- true");
    let run = place.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    until(&mut operator, |status| status.frameworks == 1).await;
    signal(&run, Signal::STOP);
    master.kill();

    let master = Master::start_with(&place, &format!("--listen {address}"));
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    until(&mut operator, |status| status.frameworks == 0).await;
    signal(&run, Signal::CONT);
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let told = said.split_once("error: ").map(|(_warnings, told)| told);
    assert_eq!(
        (ended.status.code(), told),
        (
            Some(1),
            Some(
                "the master knows this run no more: it was torn down: subscribe without an id, as a new framework\n\
                 help: the tasks of a run are ended that was out of reach for longer than its failover timeout, 50ms, or \
                 than a master allows: run it again, with a longer --failover-timeout if that is what happened\n"
            )
        ),
        "{said}"
    );
}

/// R15, R28: a new leader is asked about every task that lives. Of one that its slave still has nothing changes; one that
/// was lost on the way to it is launched again, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_a_new_leader_what_has_become_of_its_tasks() {
    let place = place();
    let master = Master::start(&place);
    let address = master.address;
    let mut slave = Fake::connect(&place, address, Role::Slave, "slave-1").await;
    let (id, _) = slave.register(None).await;
    let certificates = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
    let line =
        format!("-o json run --name web --instances 2 --cpus 1 --masters {address} {certificates} -- true");
    let run = place.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let [kept, lost] = [launched(&mut slave).await, launched(&mut slave).await];
    slave.say(&news(kept.id, 1, TaskState::Running)).await;
    assert_eq!(hear_slave(&mut slave).await, MasterToSlave::Acknowledge { task: kept.id, number: 1 });
    master.kill();

    let master = Master::start_with(&place, &format!("--listen {address}"));
    let mut slave = Fake::connect(&place, address, Role::Slave, "slave-1").await;
    let SlaveToMaster::Register { resources, address, .. } = register() else { unreachable!("it is one") };
    let report = TaskReport {
        id: kept.id,
        name: kept.name,
        resources: kept.resources,
        kill_grace: kept.kill_grace,
        fenced: false,
        state: TaskState::Running,
        reason: Reason::Normal,
        number: 1,
    };
    let (epoch, tasks, leaving) = (Epoch(master.epoch), vec![report], false);
    slave.say(&SlaveToMaster::Register { id: Some(id), epoch, resources, address, tasks, leaving }).await;
    let admitted = hear_slave(&mut slave).await;
    assert!(matches!(admitted, MasterToSlave::Registered { .. }), "{admitted:?}");
    let again = launched(&mut slave).await;
    assert!(again.id.number > lost.id.number, "{:?} was launched after {:?}", again.id, lost.id);
    for (task, number) in [(again.id, 1), (kept.id, 2)] {
        slave.say(&news(task, number, TaskState::Finished)).await;
        while hear_slave(&mut slave).await != (MasterToSlave::Acknowledge { task, number }) {}
    }
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let told: Vec<[String; 3]> = String::from_utf8(ended.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: serde_json::Value| {
            ["task", "state", "reason"].map(|key| line[key].as_str().unwrap().to_owned())
        })
        .collect();
    let line = |task: TaskId, state: &str, reason: &str| [task.to_string(), state.into(), reason.into()];
    let expected = [
        line(kept.id, "Running", "Normal"),
        line(lost.id, "Lost", "Unknown"),
        line(again.id, "Finished", "Normal"),
        line(kept.id, "Finished", "Normal"),
    ];
    assert_eq!(told, expected);
}

/// The next task that a slave is to launch; what it is asked and acknowledged meanwhile is passed over.
async fn launched(slave: &mut Fake) -> TaskSpec {
    loop {
        if let MasterToSlave::Launch(spec) = hear_slave(slave).await {
            return spec;
        }
    }
}

/// Waits until the cluster is so.
pub(crate) async fn until(operator: &mut Client, so: impl Fn(&Status) -> bool) {
    assert_eq!(operator.ask(Command::Watch).await.unwrap(), Answer::Watching);
    let waiting = async {
        loop {
            match operator.ask(Command::Show(Query::Status)).await.unwrap() {
                Answer::Status(status) if so(&status) => return,
                _ => operator.event().await.unwrap(),
            };
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it does not come to that");
}

/// R16: the answer comes when the offers are rescinded.
#[tokio::test]
async fn deactivating_rescinds_and_is_answered() {
    let place = place();
    let master = Master::start(&place);
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    let subscribed = framework.hear::<MasterToFramework>().await;
    assert!(matches!(subscribed, MasterToFramework::Subscribed { id: FrameworkId(1), .. }), "{subscribed:?}");
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    let MasterToFramework::Offers(offers) = framework.hear().await else {
        panic!("no offers");
    };
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    assert_eq!(operator.ask(Command::Watch).await.unwrap(), Answer::Watching);
    let slave = named("slave-1");
    let hold = Name::new("ada").unwrap();
    let deactivate = Command::Deactivate { slave: slave.clone(), hold, reason: Text::EMPTY };
    assert_eq!(operator.ask(deactivate).await.unwrap(), Answer::Done { changed: true });
    assert_eq!(framework.hear::<MasterToFramework>().await, MasterToFramework::Rescind(vec![offers[0].id]));
    assert!(matches!(operator.event().await.unwrap(), Event::HoldPlaced { .. }));
    let activate = Command::Activate { slave, hold: None, reason: Text::EMPTY };
    assert_eq!(operator.ask(activate).await.unwrap(), Answer::Done { changed: true });
    assert!(matches!(framework.hear().await, MasterToFramework::Offers(_)));
    let Answer::Offers(page) = operator.ask(Command::Show(Query::Offers { after: None })).await.unwrap()
    else {
        panic!("no listing");
    };
    assert_eq!(page.items.len(), 1);
    let gone = Command::Kill { task: "F1.9".parse().unwrap(), reason: Text::EMPTY };
    let refused = operator.ask(gone).await.unwrap_err();
    assert!(matches!(refused, Problem::Refused(Refusal::UnknownTask(_))), "{refused:?}");
}

#[tokio::test]
async fn garbage_ends_only_the_session_that_it_came_on() {
    let place = place();
    let master = Master::start(&place);
    let mut good = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (id, _) = good.register(None).await;
    for (garbage, code) in [
        (&[neap_protocol::codec::VERSION, 250, 250][..], CloseCode::Misbehaved),
        (&[99, 0], CloseCode::Version),
    ] {
        let mut bad = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
        bad.send.send(garbage).await.unwrap();
        let end = bad.end().await;
        let Closed::Peer(reason) = &end else { panic!("{end:?}") };
        assert_eq!(reason.code, code, "{reason}");
        assert!(!reason.detail.is_empty());
    }
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let Answer::Status(status) = operator.ask(Command::Show(Query::Status)).await.unwrap() else {
        panic!("no status");
    };
    assert_eq!((status.slaves, status.connected, id), (1, 1, SlaveId(1)));
}

#[tokio::test]
async fn a_role_that_is_none_of_its_peers_is_not_let_in() {
    let place = place();
    let master = Master::start(&place);
    let identity = identity(&place, Role::Master, "m1");
    let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key).unwrap();
    let settings = neap_transport_quic::Settings::default();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &credentials, &settings).unwrap();
    let refused = endpoint.connect(master.address, Expect::role(Role::Master)).await.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Refused { reason, .. } if reason.code == CloseCode::Forbidden),
        "{refused}"
    );
}

#[test]
fn what_a_master_needs_and_cannot_have_is_named() {
    let place = place();
    let master = Master::start(&place);
    let start = |options: &str| place.neap(&format!("master {options}"));
    let any = "--listen 127.0.0.1:0";
    let second = start(&format!("{any} --data data {CERTIFICATES}"));
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("in use by another master: stop that one"), "{}", second.stderr);
    let port = start(&format!("--listen {} --data other {CERTIFICATES}", master.address));
    assert_eq!(port.code, Some(1));
    assert!(port.stderr.contains("another program has that port"), "{}", port.stderr);
    let slave = start(&format!(
        "{any} --data other --ca pki/ca.pem --cert pki/slave-slave-1.pem --key pki/slave-slave-1.key"
    ));
    assert!(slave.stderr.contains("is of slave slave-1, not of master"), "{}", slave.stderr);
    let missing = start(&format!("{any} --data other --ca pki/ca.pem --cert none.pem --key none.key"));
    assert!(missing.stderr.contains("failed to read none.pem"), "{}", missing.stderr);
    place.write("file", "");
    let no_directory = start(&format!("{any} --data file/data {CERTIFICATES}"));
    assert!(no_directory.stderr.contains("failed to make the data directory"), "{}", no_directory.stderr);
    place.write("torn/registry.redb", "this is no registry");
    let torn = start(&format!("{any} --data torn {CERTIFICATES}"));
    assert_eq!(torn.code, Some(1));
    assert!(torn.stderr.contains("is damaged"), "{}", torn.stderr);
}

/// A peer for whom more waits than may is let go; the master, run inside this process, stops when it is told to.
#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let place = place();
    let identity = identity(&place, Role::Master, "m1");
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: place.path().join("data"),
        credentials: Credentials::load(&identity.ca, &identity.cert, &identity.key).unwrap(),
        machine: Config::default(),
        transport: neap_transport_quic::Settings::default(),
        waiting_bytes_max: 32,
        history_max: 1,
        journal: None,
    };
    let (ready, leading) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(neap_nodes::master::run(settings, ready, async { drop(stopped.await) }));
    let address = leading.await.unwrap().address;
    let mut operator = Fake::connect(&place, address, Role::Operator, "ada").await;
    operator.say(&OperatorToMaster { request: 1, command: Command::Watch }).await;
    let watching: MasterToOperator = operator.hear().await;
    assert_eq!(watching, MasterToOperator::Answer { request: 1, answer: Ok(Answer::Watching) });
    // An event with a slave's name has more bytes than may wait.
    let mut slave = Fake::connect(&place, address, Role::Slave, "slave-1").await;
    slave.say(&register()).await;
    let end = operator.end().await;
    assert!(matches!(&end, Closed::Peer(reason) if reason.code == CloseCode::TooSlow), "{end:?}");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
