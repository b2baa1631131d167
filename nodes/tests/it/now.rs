//! Drain now of a slave that does not hear it, and holds of a name that is away (R16, R24a).

use neap_nodes::operator::Client;
use neap_protocol::message::{Event, MasterToFramework, MasterToSlave, SlaveToMaster};
use neap_protocol::transport::Role;
use serde_json::Value;

use crate::cluster::{Fake, Master, place};
use crate::master::{subscribe, until};
use crate::program::Place;

/// What an operator's command prints, line by line.
fn json(place: &Place, master: &Master, line: &str) -> Vec<Value> {
    let done = place.neap(&master.line(&format!("-o json {line}")));
    assert_eq!(done.code, Some(0), "{line}: {}{}", done.stdout, done.stderr);
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Hears until the slave is told to leave.
async fn is_told_to_leave(slave: &mut Fake) {
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Leave {}
}

/// It is not forgotten: not by its slave, which did not hear it, and not by the leader, which dies before it could be told.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_now_is_told_whenever_its_slave_is_back() {
    let place = place();
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (id, _) = slave.register(None).await;
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    drop(slave);
    until(&mut operator, |status| status.connected == 0).await;

    let asked = json(&place, &master, "drain slave-1 --now --reason smoke --detach");
    assert_eq!(
        asked[0]["text"],
        format!(
            "D1 drains slave-1 ({id}) now: it is held: smoke; waits for slave-1, which is disconnected: it is told when \
             it is back"
        )
    );
    assert_eq!((&asked[0]["drain"], &asked[0]["asked"]["now"]), (&"D1".into(), &true.into()));
    assert_eq!(json(&place, &master, "drain slave-1 --now --detach")[0]["changed"], false);
    let [row] = &json(&place, &master, "slaves")[..] else { panic!("there is one") };
    assert_eq!(row["holds"][0]["name"], "drain-D1", "it is held at once");

    master.kill();
    let master = Master::start(&place);
    let mut attached = place.command(&master.line("drain slave-1 --now"));
    let mut attached = attached.stdout(std::process::Stdio::null()).spawn().unwrap();
    // Back, and gone before it does anything about it: it is told again.
    let mut first = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(first.register(Some(id)).await.0, id);
    is_told_to_leave(&mut first).await;
    drop(first);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(slave.register(Some(id)).await.0, id);
    is_told_to_leave(&mut slave).await;
    let late = place.neap(&master.line("drain --cancel D1"));
    assert_eq!(late.code, Some(3), "{}{}", late.stdout, late.stderr);
    assert!(
        late.stderr.contains("drain D1 has told the slave to leave: that cannot be taken back"),
        "{}",
        late.stderr
    );
    slave.say(&SlaveToMaster::Leaving).await;
    slave.say(&SlaveToMaster::Unregister { finals: vec![] }).await;
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Unregistered {}
    assert_eq!(attached.wait().unwrap().code(), Some(0), "it has followed until the slave was gone");
    let receipt = json(&place, &master, "drain --receipt D1");
    let last = receipt.last().unwrap();
    assert_eq!((&last["line"], &last["text"]), (&"drain-ended".into(), &"slave gone".into()), "{receipt:#?}");
    let audit = place.neap("-o json registry show --audit --data data");
    let audit: Vec<Value> = audit.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let now = audit.iter().find(|line| line["command"] == "drain --now").unwrap();
    assert_eq!((&now["reason"], &now["id"]), (&"smoke".into(), &"D1".into()), "{audit:#?}");
}

/// A hold outlives the id of its slave: the host that registers as new is held from the first, until the hold is lifted.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_its_name_s_whatever_becomes_of_the_id() {
    let place = place();
    let master = Master::start(&place);
    let mut framework = Fake::connect(&place, master.address, Role::Framework, "web").await;
    framework.say(&subscribe("web")).await;
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    json(&place, &master, "deactivate slave-1 --hold raid --reason rebuild");
    slave.say(&SlaveToMaster::Leaving).await;
    slave.say(&SlaveToMaster::Unregister { finals: vec![] }).await;
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Unregistered {}
    let never = place.neap(&master.line("deactivate slave-9"));
    assert_eq!(never.code, Some(3), "{}{}", never.stdout, never.stderr);

    let status = &json(&place, &master, "status")[0];
    let away = &status["held_away"][0];
    assert_eq!(
        (&away["slave"], &away["name"], &away["reason"]),
        (&"slave-1".into(), &"raid".into(), &"rebuild".into())
    );
    let listed = place.neap(&master.line("slaves"));
    assert!(listed.stdout.contains("held, and away") && listed.stdout.contains("raid"), "{}", listed.stdout);
    json(&place, &master, "deactivate slave-1 --hold fan");
    let lifted = json(&place, &master, "activate slave-1 --hold fan --reason quiet");
    assert_eq!(lifted[0]["text"], "lifted fan; slave-1 is still held back: raid by ada");

    // As new, beside another that is not held: what is offered first is that one alone.
    let mut again = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    let (new, _) = again.register(None).await;
    let mut other = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    let (free, _) = other.register(None).await;
    loop {
        if let MasterToFramework::Offers(offers) = framework.hear().await {
            assert!(offers.iter().all(|offer| offer.slave != new), "{new} is held, and offered: {offers:?}");
            if offers.iter().any(|offer| offer.slave == free) {
                break;
            }
        }
    }
    let rows = json(&place, &master, "slaves");
    let row = rows.iter().find(|row| row["id"] == new.to_string()).unwrap();
    assert_eq!(row["holds"][0]["name"], "raid", "{row}");
    operator.ask(neap_protocol::message::Command::Watch).await.unwrap();
    assert_eq!(
        json(&place, &master, "activate slave-1 --hold raid")[0]["text"],
        "lifted raid; slave-1 is offered"
    );
    assert!(matches!(operator.event().await.unwrap(), Event::HoldLifted { .. }));
    loop {
        if let MasterToFramework::Offers(offers) = framework.hear().await
            && offers.iter().any(|offer| offer.slave == new)
        {
            break;
        }
    }
}
