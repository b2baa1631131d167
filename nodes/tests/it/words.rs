//! Whether what operators read is so: every sentence here was once untrue.

use neap_protocol::ids::SlaveId;
use neap_protocol::message::{MasterToSlave, SlaveToMaster};
use neap_protocol::transport::Role;
use serde_json::Value;

use crate::cluster::{Fake, Master, place};
use crate::program::{Ended, Place};

fn json(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn neap(place: &Place, master: &Master, line: &str) -> Ended {
    place.neap(&master.line(line))
}

/// The first line of the status and the row of a slave, as a terminal with colours shows them.
fn status(place: &Place, master: &Master, slave: &str) -> (String, String) {
    let shown = neap(place, master, "status --color always").stdout;
    let find = |wanted: &dyn Fn(&str) -> bool| {
        shown.lines().find(|line| wanted(line)).unwrap_or_default().to_owned()
    };
    // A row begins with an id.
    (find(&|line| line.contains("connected")), find(&|line| line.starts_with('S') && line.contains(slave)))
}

const GREEN: &str = "\x1b[38;5;2m";

/// A slave is `active`, in green, only while it is offered; what keeps it from being offered is its status.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_slave_that_is_offered_is_active() {
    let place = place();
    let master = Master::start_with(&place, "--listen 127.0.0.1:0 --ping-timeout 2s --max-ping-timeouts 100");
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Ping {}
    slave.say(&SlaveToMaster::Pong).await;
    let is = |wanted: &str| {
        let told = json(&neap(&place, &master, "status -o json"));
        assert_eq!(told[0]["slaves"][0]["status"], wanted, "{told:?}");
        let (_, row) = status(&place, &master, " slave-1 ");
        assert!(row.contains(wanted), "{row}");
        row.contains(GREEN)
    };
    let green = is("active");
    assert!(green, "an active slave is well: {}", status(&place, &master, " slave-1 ").1);
    neap(&place, &master, "deactivate slave-1");
    assert!(!is("held"));
    neap(&place, &master, "activate slave-1");
    assert!(is("active"));
    // Nothing runs there: it is drained at once.
    neap(&place, &master, "drain slave-1 --deadline 1h");
    assert!(!is("drained"));
    neap(&place, &master, "activate slave-1");
    assert!(is("active"));
    // It hears, and does not answer any more.
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Ping {}
    while slave.hear::<MasterToSlave>().await != MasterToSlave::Ping {}
    assert!(!is("silent"));
    let (line, _) = status(&place, &master, " slave-1 ");
    assert!(line.contains("1 slave: 1 connected; 1 silent"), "{line}");
}

/// Every slave is counted once, however it is; a plan of one that is out of reach does not say that nothing runs there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_reach_is_counted_once_and_is_not_called_empty() {
    let place = place();
    let flags = "--listen 127.0.0.1:0 --ping-timeout 300ms --max-ping-timeouts 2 --reregister-timeout 1s";
    let master = Master::start_with(&place, flags);
    let mut slaves = Vec::new();
    for name in ["slave-1", "slave-2"] {
        let mut slave = Fake::connect(&place, master.address, Role::Slave, name).await;
        slave.register(None).await;
        slaves.push(slave);
    }
    // Both are silent: the first is given up, the second would be too much of the cluster.
    let events = loop {
        let events = neap(&place, &master, "events").stdout;
        if events.contains("fell silent") {
            break events;
        }
    };
    assert!(
        events.contains("2 of 2 slaves fell silent: no further one is marked unreachable until that is over"),
        "{events}"
    );
    let (line, row) = status(&place, &master, "unreachable");
    assert!(line.contains("2 slaves: 1 connected, 1 unreachable; 1 silent"), "{line}");
    assert!(row.contains("0+?"), "more may run there: {row}");
    let one = json(&neap(&place, &master, "slaves -o json"));
    let one = one.iter().find(|slave| slave["status"] == "unreachable").unwrap();
    assert_eq!(one["uncounted"], "lost");
    let name = one["name"].as_str().unwrap();
    let plan = neap(&place, &master, &format!("drain {name} --deadline 1h --dry-run")).stdout;
    assert!(!plan.contains("nothing runs there"), "{plan}");
    assert!(
        plan.contains("is unreachable; what was told Lost when it was given up may still run there"),
        "{plan}"
    );
}

/// One that has left is told as that, with when and its receipt, also by the next master; no neighbour is offered for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_left_is_told_with_its_receipt_and_no_other_is_suggested() {
    let place = place();
    let master = Master::start(&place);
    let mut stays = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    stays.register(None).await;
    let mut leaves = Fake::connect(&place, master.address, Role::Slave, "slave-2").await;
    assert_eq!(leaves.register(None).await.0, SlaveId(2));
    leaves.say(&SlaveToMaster::Unregister { finals: vec![] }).await;
    while leaves.hear::<MasterToSlave>().await != MasterToSlave::Unregistered {}
    drop((stays, leaves));

    let told = |master: &Master| {
        for command in ["drain slave-2 --deadline 1s", "deactivate slave-2", "activate slave-2"] {
            let refused = neap(&place, master, command);
            assert_eq!(refused.code, Some(3), "{command}");
            let text = refused.stderr;
            assert!(text.contains("error: slave-2 has left for good: it was S2, until 20"), "{text}");
            assert!(text.contains("help: `neap drain --receipt S2` shows"), "{text}");
            assert!(!text.contains("slave-1"), "{text}");
        }
        let again = neap(&place, master, "drain slave-2 --deadline 1s --then unregister");
        assert_eq!((again.code, again.stdout.contains("has left for good already")), (Some(0), true));
        let other = neap(&place, master, "drain slave-3 --deadline 1s");
        assert!(other.stderr.contains("unknown slave 'slave-3'\nhelp: `neap slaves`"), "{}", other.stderr);
        let slip = neap(&place, master, "deactivate slvae-1");
        assert!(slip.stderr.contains("did you mean slave-1?"), "{}", slip.stderr);
    };
    told(&master);
    master.kill();
    told(&Master::start(&place));
}
