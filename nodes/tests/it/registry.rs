//! `neap registry`: what a master keeps is shown, checked and copied, whether the master runs, was killed or has
//! stopped; what operators did is written down; and a master whose disk is full or damaged says so (R28).

use std::path::PathBuf;

use neap_nodes::operator::{Client, Problem};
use neap_protocol::ids::SlaveId;
use neap_protocol::message::{Answer, Command, FrameworkToMaster, MasterToFramework, Refusal, SlaveRef};
use neap_protocol::task::TaskState;
use neap_protocol::text::{Name, Text};
use neap_protocol::transport::Role;
use serde_json::Value;

use crate::beside::{Beside, WEB};
use crate::cluster::{CERTIFICATES, Fake, Master, identity, place};
use crate::disk::Small;
use crate::master::subscribe_as;
use crate::program::{Ended, Place};

fn deactivate(hold: &str, reason: &str) -> Command {
    let slave = SlaveRef::Name(Name::new("slave-1").unwrap());
    Command::Deactivate { slave, hold: Name::new(hold).unwrap(), reason: Text::new(reason) }
}

fn good(ended: Ended) -> String {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    ended.stdout
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(place: &Place) -> PathBuf {
    place.path().join("data/registry.redb")
}

/// A master with a slave, held back; and what operators did and tried to.
async fn a_busy_master(place: &Place) -> Master {
    let master = Master::start(place);
    let mut slave = Fake::connect(place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    good(place.neap(&master.line("deactivate slave-1 --hold raid --reason 'a disk is odd'")));
    good(place.neap(&master.line("deactivate slave-1 --hold raid")));
    good(place.neap(&master.line("drain slave-1 --deadline 1h --reason 'new disks' --detach")));
    let unknown = place.neap(&master.line("drain --cancel D9"));
    assert_eq!(unknown.code, Some(3), "{}", unknown.stderr);
    good(place.neap(&master.line("status")));
    let killed = place.neap(&master.line("kill F1.1"));
    assert_eq!(killed.code, Some(3), "{}", killed.stderr);
    master
}

fn audit(place: &Place) -> Vec<[String; 5]> {
    let rows = objects(&good(place.neap("-o json registry show --audit --data data")));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    for row in &rows {
        assert_eq!((row["by"].as_str(), row["epoch"].as_u64()), (Some("ada"), Some(1)), "{row}");
        assert!(row["at_ms"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{row}");
    }
    let row = |row: &Value| ["command", "of", "reason", "outcome", "id"].map(|key| text(row, key));
    rows.iter().map(row).collect()
}

/// Who asked for what, why, and what became of it: there before the answer, and after kill -9.
#[tokio::test(flavor = "multi_thread")]
async fn what_operators_did_outlives_the_master() {
    let place = place();
    let master = a_busy_master(&place).await;
    let expected = [
        ["deactivate", "slave-1", "a disk is odd", "done", ""],
        ["deactivate", "slave-1", "", "already so", ""],
        ["drain", "slave-1", "new disks", "done", "D1"],
        ["drain --cancel", "D9", "", "refused", ""],
        ["kill", "F1.1", "", "refused", ""],
    ]
    .map(|row| row.map(str::to_owned));
    assert_eq!(audit(&place), expected);
    master.kill();
    assert_eq!(audit(&place), expected);
    let table = good(place.neap("registry show --audit --data data"));
    for part in ["hold raid", "a disk is odd", "within 1h ", "done: D1", "refused: no drain D9"] {
        assert!(table.contains(part), "{part:?} is not in {table}");
    }
}

/// Shown, checked and copied while a master has it open, after it was killed, and after it has stopped; and what is
/// copied is what the next master starts from. Nothing of it changes the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_shown_checked_and_copied_and_a_master_starts_from_the_copy() {
    let place = place();
    let master = a_busy_master(&place).await;
    let shown = |live: bool, file: &str| {
        let shown = objects(&good(place.neap(&format!("-o json registry show {file}")))).remove(0);
        assert_eq!((shown["live"].as_bool(), shown["epoch"].as_u64()), (Some(live), Some(1)), "{shown}");
        let slave = &shown["slaves"][0];
        let holds: Vec<_> =
            slave["holds"].as_array().unwrap().iter().map(|hold| hold["name"].clone()).collect();
        assert_eq!((slave["name"].as_str(), slave["drain"].as_str()), (Some("slave-1"), Some("D1")));
        assert_eq!(holds, ["drain-D1", "raid"]);
        assert_eq!(shown["drains"][0]["reason"], "new disks");
    };
    shown(true, "--data data");
    let text = good(place.neap("registry show --data data"));
    for part in ["which a master has open", "is of epoch 1: 1 slave, 1 drain", "a disk is odd", "new disks"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let live = good(place.neap("registry check --data data"));
    assert!(live.contains("is sound: epoch 1") && live.contains("a master has it open"), "{live}");
    let wrote = good(place.neap("registry backup live.redb --data data"));
    assert!(wrote.starts_with("wrote live.redb ("), "{wrote}");
    shown(false, "--file live.redb");

    master.kill();
    let before = std::fs::read(file(&place)).unwrap();
    let killed = good(place.neap("registry check --data data"));
    assert!(killed.contains("it was not closed in order"), "{killed}");
    shown(false, "--data data");
    good(place.neap("registry backup killed.redb --data data"));
    assert!(std::fs::read(file(&place)).unwrap() == before, "looking at it changed it");
    let again = place.neap("registry backup killed.redb --data data");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("there is a file killed.redb already"), "{}", again.stderr);

    for copy in ["live.redb", "killed.redb"] {
        std::fs::remove_dir_all(place.path().join("data")).unwrap();
        std::fs::create_dir(place.path().join("data")).unwrap();
        std::fs::copy(place.path().join(copy), file(&place)).unwrap();
        let master = Master::start(&place);
        assert_eq!(master.epoch, 2, "it goes on after the epoch of {copy}");
        let mut operator = Client::new(&master.operator(&place)).unwrap();
        assert_eq!(operator.ask(deactivate("raid", "")).await.unwrap(), Answer::Done { changed: false });
        assert_eq!(master.terminate(), Some(0));
        let stopped = good(place.neap("registry check --data data"));
        assert_eq!(stopped.lines().count(), 1, "it was closed in order: {stopped}");
    }
    // Whom the config names.
    place.write("neap.toml", "[master]\ndata = 'data'\n");
    good(place.neap("registry check --config neap.toml"));
}

/// R28: what cannot be used is named, with its cure, by the commands and by a master.
#[test]
fn a_damaged_or_missing_registry_is_named() {
    let place = place();
    let missing = place.neap("registry check --data nowhere");
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no registry nowhere/registry.redb"), "{}", missing.stderr);
    let unset = place.neap("registry check");
    assert_eq!(unset.code, Some(2));
    assert!(unset.stderr.contains("data directory is not set"), "{}", unset.stderr);
    let master = Master::start(&place);
    assert_eq!(master.terminate(), Some(0));
    let whole = std::fs::read(file(&place)).unwrap();
    for (what, bytes) in [("empty", &[][..]), ("cut off", &whole[..whole.len() / 2]), ("garbage", &[7; 9000])]
    {
        std::fs::write(file(&place), bytes).unwrap();
        for line in [
            "registry check --data data".to_owned(),
            "registry show --data data".to_owned(),
            "registry backup copy.redb --data data".to_owned(),
            format!("master --listen 127.0.0.1:0 --data data {CERTIFICATES}"),
        ] {
            let ended = place.neap(&line);
            assert_eq!(ended.code, Some(1), "{what}: {line}");
            for part in ["registry.redb is damaged (", "restore it from a copy"] {
                assert!(ended.stderr.contains(part), "{what}: {line}: {}", ended.stderr);
            }
        }
        assert!(std::fs::read(file(&place)).unwrap() == bytes, "{what}: it was touched");
    }
    assert!(!place.path().join("copy.redb").exists());
}

/// A master on a full disk refuses changes, says why, changes nothing, and goes on when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_on_a_full_disk_refuses_and_goes_on() {
    let place = place();
    let Some(small) = Small::mount(&place.path().join("data"), "512k").unwrap() else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let master = Master::start(&place);
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    slave.register(None).await;
    small.fill().unwrap();
    let mut operator = Client::new(&master.operator(&place)).unwrap();
    let long = "x".repeat(1000);
    let mut held = Vec::new();
    // What is free inside the file is used first.
    let refused = loop {
        let hold = format!("hold-{}", held.len());
        match operator.ask(deactivate(&hold, &long)).await {
            Ok(answer) => assert_eq!(answer, Answer::Done { changed: true }),
            Err(Problem::Refused(refusal)) => break refusal,
            Err(problem) => panic!("{problem:?}"),
        }
        held.push(hold);
    };
    assert!(
        matches!(&refused, Refusal::Storage(cause) if cause.as_str().contains("No space left")),
        "{refused:?}"
    );
    // What was to be written was given back, and may do for a smaller one.
    let told = loop {
        let hold = format!("hold-{}", held.len());
        let told = place.neap(&master.line(&format!("deactivate slave-1 --hold {hold} --reason {long}")));
        if told.code != Some(0) {
            break told;
        }
        held.push(hold);
    };
    assert_eq!(told.code, Some(3), "{}", told.stderr);
    for part in [
        "the registry could not be written",
        "No space left on device",
        "help: make room on the master's disk",
    ] {
        assert!(told.stderr.contains(part), "{part:?} is not in {}", told.stderr);
    }
    let holds = |place: &Place| {
        let shown = objects(&good(place.neap("-o json registry show --data data"))).remove(0);
        let holds = shown["slaves"][0]["holds"].as_array().unwrap().clone();
        let names = holds.iter().map(|hold| hold["name"].as_str().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let expected = held.iter().cloned().collect();
    small.make_room().unwrap();
    assert_eq!(holds(&place), expected, "what was refused is not there");
    assert_eq!(operator.ask(deactivate("room", "")).await.unwrap(), Answer::Done { changed: true });
    master.kill();
    let expected = held.into_iter().chain(["room".to_owned()]).collect();
    assert_eq!(holds(&place), expected);
    let master = Master::start(&place);
    assert_eq!(master.epoch, 2);
}

/// R12, R25: how a task ended whose slave has left is there after kill -9 of the master, and is shown; the next master
/// tells it, and it goes when it is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_not_acknowledged_is_shown_and_told_by_the_next_master() {
    let place = place();
    let master = Master::start(&place);
    let mut beside = Beside::new(&place, &master).await;
    let task = beside.launch().await;
    beside.leave(task).await;
    drop(beside);
    master.kill();

    let ends = |place: &Place| {
        let checked = objects(&good(place.neap("-o json registry check --data data"))).remove(0);
        let mut shown = objects(&good(place.neap("-o json registry show --data data"))).remove(0);
        let rows = shown["ends"].as_array_mut().unwrap().split_off(0);
        assert_eq!(checked["ends"].as_u64(), Some(rows.len() as u64), "{checked}");
        rows
    };
    let end = serde_json::json!({
        "task": task.to_string(), "slave": "S1", "state": "Failed", "reason": "Normal", "message": "", "receipt": "S1",
        "drain": null,
    });
    assert_eq!(ends(&place), [end]);
    let text = good(place.neap("registry show --data data"));
    for part in ["1 framework, 1 unacknowledged end;", "UNACKNOWLEDGED END", &task.to_string(), "Failed"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }

    let master = Master::start(&place);
    let mut web = Fake::connect(&place, master.address, Role::Framework, "web").await;
    web.say(&subscribe_as("web", Some(WEB), 1, task.number)).await;
    let subscribed = web.hear().await;
    assert!(matches!(subscribed, MasterToFramework::Subscribed { id: WEB, .. }), "{subscribed:?}");
    let told = web.hear().await;
    let MasterToFramework::Update { update, .. } = &told else { panic!("{told:?}") };
    assert_eq!((update.task, update.number, update.state), (task, 1, TaskState::Failed), "{told:?}");
    web.say(&FrameworkToMaster::Acknowledge { task, number: update.number }).await;
    // What is asked after it is answered after it; and what is then written is written after it.
    web.say(&FrameworkToMaster::Reconcile { tasks: vec![(task, SlaveId(1))] }).await;
    let answer = web.hear().await;
    assert!(matches!(answer, MasterToFramework::Update { .. }), "{answer:?}");
    let mut slave = Fake::connect(&place, master.address, Role::Slave, "slave-1").await;
    assert_eq!(slave.register(None).await.0, SlaveId(2));
    master.kill();
    assert_eq!(ends(&place), [] as [Value; 0]);
}

/// A slave with a corrupt checkpoint names the file and what there is to do, and leaves it as it is.
#[test]
fn a_slave_with_a_corrupt_checkpoint_says_what_to_do() {
    let place = place();
    place.write("slave/checkpoint", "this is no checkpoint");
    let identity = identity(&place, Role::Slave, "slave-1");
    let line = format!(
        "slave --data slave --masters 127.0.0.1:1 --ca {} --cert {} --key {}",
        identity.ca.display(),
        identity.cert.display(),
        identity.key.display()
    );
    let ended = place.neap(&line);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for part in ["slave/checkpoint is corrupt at byte 0", "check the disk", "move", "its tasks are then Lost"]
    {
        assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
    }
    let left = std::fs::read_to_string(place.path().join("slave/checkpoint")).unwrap();
    assert_eq!(left, "this is no checkpoint");
}
