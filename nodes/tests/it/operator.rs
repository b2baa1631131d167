//! Operators' commands, against a real master with slaves that only say that they are there.

use neap_protocol::transport::Role;

use crate::cluster::{Fake, Master, place};
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
    assert!(status.stdout.starts_with("epoch 1: 1 slaves (1 connected"), "{}", status.stdout);

    let unknown = neap(&place, &master, "deactivate slvae-1");
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("help: did you mean slave-1?"), "{}", unknown.stderr);
    for changed in [true, false] {
        let held = neap(&place, &master, "deactivate slave-1 --reason odd -o json");
        assert_eq!((held.code, &json(&held)[0]["changed"]), (Some(0), &changed.into()), "{}", held.stderr);
    }
    let freed = neap(&place, &master, "activate slave-1");
    assert_eq!(freed.stdout, "lifted; slave-1 is offered\n");

    let plan = neap(&place, &master, "drain slave-1 --deadline 10m --dry-run -o json");
    let digest = json(&plan)[0]["digest"].as_str().unwrap().to_owned();
    let drained = neap(&place, &master, &format!("drain slave-1 --deadline 10m --if-plan {digest}"));
    assert_eq!(drained.code, Some(0), "{}{}", drained.stdout, drained.stderr);
    assert!(drained.stdout.contains("D1 drains slave-1"), "{}", drained.stdout);
    let again = neap(&place, &master, "drain slave-1 --deadline 10m -o json");
    assert_eq!((again.code, &json(&again)[0]["changed"]), (Some(0), &false.into()), "{}", again.stderr);
    let receipt = json(&neap(&place, &master, "drain --receipt D1 -o json"));
    assert_eq!(receipt.first().unwrap()["line"], "opened");
    assert_eq!(receipt.last().unwrap()["line"], "drain-ended");
    let over = neap(&place, &master, "drain --cancel D1");
    assert_eq!(over.code, Some(3), "{}", over.stdout);
    assert!(over.stderr.contains("help:"), "{}", over.stderr);
}

#[test]
fn a_cluster_that_is_not_there_is_unreachable() {
    let place = place();
    let master = Master::start(&place);
    let line = master.line("status --timeout 1s");
    master.kill();
    let ended = place.neap(&line);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("no master was reached"), "{}", ended.stderr);
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
