//! Operators' commands, against a real master with slaves that only say that they are there.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use neap_protocol::codec;
use neap_protocol::ids::{FrameworkId, TaskId};
use neap_protocol::message::{
    FrameworkToMaster, MasterToFramework, MasterToOperator, MasterToSlave, OperatorToMaster, Refusal,
    SlaveToMaster,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::{ReceiveHalf, Role, SendHalf, Session};
use neap_transport_quic::{Credentials, Endpoint};

use crate::cluster::{Fake, Master, identity, place};
use crate::master::subscribe;
use crate::program::{Ended, Place};

fn json(ended: &Ended) -> Vec<serde_json::Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn neap(place: &Place, master: &Master, line: &str) -> Ended {
    place.neap(&master.line(line))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_is_shown_held_back_and_drained() {
    let place = place();
    let master = Master::start(&place);
    assert!(neap(&place, &master, "slaves").stdout.starts_with("no slaves"));
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;

    let slaves = json(&neap(&place, &master, "slaves -o json"));
    assert_eq!((&slaves[0]["id"], &slaves[0]["total"]["cpus"]), (&"S1".into(), &4.0.into()));
    let status = neap(&place, &master, "status");
    let leads = format!("{} leads, in epoch 1\n1 slave: 1 connected", master.address);
    assert!(status.stdout.starts_with(&leads), "{}", status.stdout);

    let unknown = neap(&place, &master, "deactivate slvae-1");
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("help: did you mean slave-1?"), "{}", unknown.stderr);
    for changed in [true, false] {
        let held = neap(&place, &master, "deactivate slave-1 --reason odd -o json");
        assert_eq!((held.code, &json(&held)[0]["changed"]), (Some(0), &changed.into()), "{}", held.stderr);
    }
    let freed = neap(&place, &master, "activate slave-1");
    assert_eq!(freed.stdout, "lifted ada; slave-1 is offered\n");

    let plan = neap(&place, &master, "drain slave-1 --deadline 10m --dry-run -o json");
    let digest = json(&plan)[0]["digest"].as_str().unwrap().to_owned();
    let drained = neap(&place, &master, &format!("drain slave-1 --deadline 10m --if-plan {digest}"));
    assert_eq!(drained.code, Some(0), "{}{}", drained.stdout, drained.stderr);
    assert!(drained.stdout.contains("D1"), "{}", drained.stdout);
    let again = neap(&place, &master, "drain slave-1 --deadline 10m -o json");
    assert_eq!((again.code, &json(&again)[0]["changed"]), (Some(0), &false.into()), "{}", again.stderr);
    let receipt = json(&neap(&place, &master, "drain --receipt D1 -o json"));
    assert_eq!(receipt.first().unwrap()["line"], "opened");
    assert_eq!(receipt.last().unwrap()["line"], "drain-ended");
    let over = neap(&place, &master, "drain --cancel D1");
    assert_eq!(over.code, Some(3), "{}", over.stdout);
    assert!(over.stderr.contains("help:"), "{}", over.stderr);
}

/// R21, R22: an attached drain tells who holds it up; Ctrl-C only detaches; asked again it is watched to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_watched_detached_from_and_watched_again() {
    let place = place();
    let master = Master::start(&place);
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    assert!(matches!(framework.hear().await, MasterToFramework::Subscribed { .. }));
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (id, _) = slave.register(None).await;
    let MasterToFramework::Offers(offers) = framework.hear().await else { panic!("no offers") };
    let task = TaskId { framework: FrameworkId(1), number: 1 };
    let spec = TaskSpec {
        id: task,
        name: Name::new("one").unwrap(),
        resources: Resources::new(1000, 1 << 20),
        kill_grace: Millis::from_secs(1),
        fence_after: None,
        run: Run::Command(Arc::new(Command { program: "true".to_owned(), ..Default::default() })),
    };
    let accept =
        FrameworkToMaster::Accept { offer: offers[0].id, slave: id, tasks: vec![spec], filter: Millis(0) };
    framework.say(&accept).await;
    // Pings come when they come, and a framework that subscribes has its slaves send again.
    while !matches!(slave.hear().await, MasterToSlave::Launch(spec) if spec.id == task) {}
    slave.say(&update(task, 1, TaskState::Running, Reason::Normal)).await;

    let line = master.line("drain slave-1 --deadline 1h --reason kernel");
    let (mut drain, mut lines) = attached(&place, &line);
    assert!(lines.next().unwrap().unwrap().starts_with("D1 drains slave-1 until "));
    assert!(lines.any(|line| line.unwrap().contains("waits for web (F1): 1 running; no answer yet; ")));
    let interrupt = rustix::process::Signal::INT;
    rustix::process::kill_process(rustix::process::Pid::from_child(&drain), interrupt).unwrap();
    assert_eq!(drain.wait().unwrap().code(), Some(130));
    assert!(lines.any(|line| line.unwrap().contains("D1 of slave-1 goes on")));

    let (mut drain, mut lines) = attached(&place, &line);
    assert!(lines.next().unwrap().unwrap().starts_with("D1 drains slave-1 already"));
    assert!(lines.next().unwrap().unwrap().contains("waits for web (F1): 1 running"));
    slave.say(&update(task, 2, TaskState::Killed, Reason::KilledByFramework)).await;
    let text =
        lines.find(|line| line.as_ref().unwrap().contains("ended and not acknowledged")).unwrap().unwrap();
    assert!(text.contains("0 running") || text.contains("1 ended"), "{text}");
    framework.say(&FrameworkToMaster::Acknowledge { task, number: 2 }).await;
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(drain.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.ends_with("D1 of slave-1: drained")), "{rest:?}");
}

fn update(task: TaskId, number: u32, state: TaskState, reason: Reason) -> SlaveToMaster {
    let update = Update { task, number, state, reason, message: "".into() };
    SlaveToMaster::Update { update, ending: None }
}

/// A command that goes on, and the lines that it prints.
fn attached(place: &Place, line: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = place.command(line).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// A master that stands by: it answers whatever it is asked with who leads, as far as it knows (R29).
async fn stand_by(place: &Place, leader: Option<std::net::SocketAddr>) -> (std::net::SocketAddr, Endpoint) {
    let identity = identity(place, Role::Master, "m1");
    let credentials = Credentials::load(&identity.ca, &identity.cert, &identity.key).unwrap();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &credentials, &Default::default()).unwrap();
    let address = endpoint.local_address().unwrap();
    let mut listener = endpoint.listen(&[Role::Operator]);
    tokio::spawn(async move {
        while let Some(accepted) = listener.accept().await {
            let (mut send, mut receive) = accepted.unwrap().split();
            tokio::spawn(async move {
                while let Ok(frame) = receive.receive().await {
                    let asked: OperatorToMaster = codec::decode(&frame).unwrap();
                    let leader = leader.map_or(Text::EMPTY, |leader| Text::new(&leader.to_string()));
                    let answer = Err(Refusal::NotLeading { leader });
                    let answer = MasterToOperator::Answer { request: asked.request, answer };
                    let _gone = send.send(&codec::encode(&answer).unwrap()).await;
                }
            });
        }
    });
    (address, endpoint)
}

/// R29, R31: every command finds the leader from a master that stands by; where none is known, that is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_stands_by_is_left_for_the_leader() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    let (standby, _endpoint) = stand_by(&place, Some(master.address)).await;
    let ask = |line: &str| {
        let line = master.line(line).replace(&master.address.to_string(), &standby.to_string());
        place.neap(&line)
    };
    let status = ask("status");
    assert!(status.stdout.starts_with(&format!("{} leads, in epoch 1", master.address)), "{}", status.stderr);
    for (line, said) in [
        ("deactivate slave-1", "ada holds slave-1 back: "),
        ("activate slave-1", "lifted ada; slave-1 is offered"),
        ("drain slave-1 --deadline 1m --dry-run", "slave-1 (S1) is active; nothing runs there"),
        ("drain slave-1 --deadline 1m", "D1 of slave-1: drained"),
        ("drain --receipt D1", "drained"),
    ] {
        let ended = ask(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(said), "{line} does not say {said:?}: {}", ended.stdout);
    }
    for (line, said) in [("kill F1.1", "no task F1.1 is running"), ("drain --cancel D9", "no drain D9 is")] {
        let refused = ask(line);
        assert_eq!(refused.code, Some(3), "{line}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains(said), "{line} does not say {said:?}: {}", refused.stderr);
    }

    let (lost, _endpoint) = stand_by(&place, None).await;
    let line = master.line("status --timeout 1s").replace(&master.address.to_string(), &lost.to_string());
    let nobody = place.neap(&line);
    assert_eq!(nobody.code, Some(4), "{}", nobody.stdout);
    assert!(
        nobody.stderr.contains(&lost.to_string()) && nobody.stderr.contains("help: "),
        "{}",
        nobody.stderr
    );
}

#[test]
fn a_cluster_that_is_not_there_is_unreachable() {
    let place = place();
    let master = Master::start(&place);
    let line = master.line("status --timeout 1s");
    let address = master.address;
    master.kill();
    let ended = place.neap(&line);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("no master was reached"), "{}", ended.stderr);

    let certificate = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
    let ended = place.neap(&format!("run --name x --masters {address} {certificate} -- true"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{}", ended.stderr);
    let said = format!("error: no leader was reached within 10s at {address}\nhelp: `neap status` ");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
}

#[test]
fn pki_makes_what_nodes_need_and_overwrites_nothing() {
    let place = Place::new();
    assert_eq!(place.neap("pki init").code, Some(0));
    let issued = place.neap("pki issue --role operator --name ada -o json");
    assert_eq!(json(&issued)[0]["certificate"], "pki/operator-ada.pem");
    let again = place.neap("pki init");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    let nowhere = place.neap("pki issue --role slave --name s --dir none");
    assert!(nowhere.stderr.contains("help: `neap pki init"), "{}", nowhere.stderr);
}

/// A certificate of another role is named before anybody is asked.
#[test]
fn a_certificate_of_another_role_is_refused_by_name() {
    let place = place();
    for (line, role, cert) in
        [("status", "operator", "framework-web"), ("run --name x -- true", "framework", "operator-ada")]
    {
        let (line, words) = line
            .split_once(" -- ")
            .map_or((line, String::new()), |(line, words)| (line, format!(" -- {words}")));
        let ended = place.neap(&format!(
            "{line} --masters 127.0.0.1:1 --ca pki/ca.pem --cert pki/{cert}.pem --key pki/{cert}.key{words}"
        ));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
        let said = format!("this needs one of the role {role}\nhelp: `neap pki issue --role {role} ");
        assert!(ended.stderr.contains(&format!("the certificate pki/{cert}.pem is of ")), "{}", ended.stderr);
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}
