//! Journals of real nodes, replayed: whatever happened, the same inputs have the same effects, every invariant holds,
//! and every driver has kept its promises.

use std::path::Path;

use neap_model::replay::tape::Tape;
use neap_model::replay::{Replay, Report};
use neap_protocol::message::{Answer, Command, Event, Query};
use rustix::process::Signal;

use crate::cluster::{Master, PATIENCE, place};
use crate::live::{Operator, Slave};
use crate::program::Place;
use crate::up::{Cluster, signal};

/// Replays every journal in a directory.
fn replay(directory: &Path) -> Replay {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let journals = entries.filter(|path| path.extension().is_some_and(|extension| extension == "journal"));
    let tapes = journals.map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        Tape::read(&path.display().to_string(), &bytes).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    });
    Replay::new(tapes.collect())
}

/// Holds everything against it, and sees that there was something to hold against these.
fn holds(replay: &Replay, looked_at: &[&str]) -> Report {
    let report = replay.check();
    assert_eq!((replay.damaged(), report.findings.as_slice()), (&[][..], &[][..]));
    for name in looked_at {
        let verdict = report.verdicts.iter().find(|verdict| verdict.check.starts_with(name)).unwrap();
        assert!(verdict.looked > 0, "nothing was held against {name}: {report:#?}");
    }
    report
}

#[test]
fn a_cluster_that_was_used_and_drained_replays() {
    let place = Place::new();
    let mut cluster = Cluster::start(&place, "up --slaves 2 --journal journals");
    let ready = cluster.hear();
    assert!(ready.starts_with("ready"), "{ready}");
    let done = |line: &str| {
        let ended = place.neap(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
    };
    done("run --name batch --instances 6 --journal journals/batch.journal -- true");
    done("deactivate slave-2 --reason test");
    done("activate slave-2 --all");
    done("drain slave-1 --now");
    let ended = cluster.hear();
    assert!(ended.starts_with("slave-1 ended"), "{ended}");
    done("run --name again --journal journals/again.journal --journal-effects -- true");
    assert_eq!(cluster.end(), Some(0));
    let replay = replay(&place.path().join("journals"));
    let names: Vec<&str> = replay.nodes.iter().map(|node| node.name.as_str()).collect();
    for name in ["master master", "slave slave-1", "slave slave-2", "framework batch", "executor F1.x1"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let every = ["S1 ", "S3 ", "S4 ", "S6 ", "S7 ", "S8 ", "S9 ", "S10 ", "S11 ", "S12 ", "S16 "];
    let report = holds(&replay, &every);
    holds(&replay, &["same effects", "transport", "driver: timers", "driver: sessions", "driver: errands"]);
    assert!(report.wire.compared > 50, "{report:#?}");
}

/// A master that is killed and started again goes on in the same file, and so do those that come back to it.
#[test]
fn a_master_that_was_killed_and_started_again_replays() {
    let place = place();
    let journals = place.path().join("journals");
    std::fs::create_dir(&journals).unwrap();
    let journal = "--journal journals/master.journal";
    let master = Master::start_with(&place, &format!("--listen 127.0.0.1:0 {journal}"));
    let flags = "--journal journals/slave-1.journal --journal-executors journals";
    let mut slave = Slave::start(&place, &master, "slave-1", flags);
    let mut operator = Operator::new(&place, &master).unwrap();
    let certificates = "--ca pki/ca.pem --cert pki/framework-web.pem --key pki/framework-web.key";
    let line = format!(
        "run --masters {} {certificates} --name web --service --journal journals/web.journal -- sleep 1000",
        master.address
    );
    let path = std::env::var_os("PATH").unwrap();
    let mut service = place.command(&line).env("PATH", path).spawn().unwrap();
    let runs = |event: &Event| matches!(event, Event::Task(view) if !view.state.is_terminal());
    operator.until(runs).unwrap();
    let address = master.address;
    master.kill();
    let master = Master::start_with(&place, &format!("--listen {address} {journal}"));
    assert_eq!(master.epoch, 2);
    let mut operator = Operator::new(&place, &master).unwrap();
    come_back(&mut operator);
    signal(&service, Signal::TERM);
    assert!(service.wait().unwrap().code().is_some());
    slave.signal(Signal::USR1);
    assert_eq!(slave.exit_code(PATIENCE), Some(0), "{}", slave.log());
    assert_eq!(master.terminate(), Some(0));
    let replay = replay(&journals);
    let runs = |name: &str| replay.nodes.iter().find(|node| node.name == name).unwrap().runs.len();
    assert_eq!((runs("master m1"), runs("slave slave-1"), runs("framework web")), (2, 1, 1));
    let report = holds(&replay, &["S1 ", "S6 ", "S7 ", "S11 ", "same effects", "transport"]);
    assert!(report.notes.iter().any(|note| note.contains("cut short") && note.contains("master m1 (run 1)")));
}

/// Waits until the slave and the framework are there; the operator has watched since before it asks.
fn come_back(operator: &mut Operator) {
    let Ok(Answer::Status(status)) = operator.ask(Command::Show(Query::Status)) else { panic!("a status") };
    if status.connected == 0 {
        operator.until(|event| matches!(event, Event::SlaveRegistered { new: false, .. })).unwrap();
    }
    let all = operator.ask(Command::Show(Query::Frameworks { after: None }));
    let Ok(Answer::Frameworks(page)) = all else { panic!("frameworks") };
    if !page.items.iter().any(|framework| framework.connected) {
        operator.until(|event| matches!(event, Event::FrameworkSubscribed { new: false, .. })).unwrap();
    }
}

#[test]
fn a_journal_of_somebody_else_is_refused_and_left_alone() {
    let place = place();
    let master = Master::start_with(&place, "--listen 127.0.0.1:0 --journal x.journal");
    let line = format!(
        "slave --masters {} --ca pki/ca.pem --cert pki/slave-slave-1.pem --key pki/slave-slave-1.key --data s",
        master.address
    );
    let while_written = place.neap(&format!("{line} --journal x.journal"));
    assert_eq!(while_written.code, Some(1));
    assert!(while_written.stderr.contains("written by another node"), "{}", while_written.stderr);
    assert_eq!(master.terminate(), Some(0));
    let before = std::fs::read(place.path().join("x.journal")).unwrap();
    for (journal, cause) in [("x.journal", "is the journal of master m1"), ("pki/ca.pem", "is no journal")] {
        let refused = place.neap(&format!("{line} --journal {journal}"));
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(cause) && refused.stderr.contains("--journal"), "{}", refused.stderr);
    }
    assert_eq!(std::fs::read(place.path().join("x.journal")).unwrap(), before);
}
