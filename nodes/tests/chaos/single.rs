//! One fault, and exactly what comes of it.

use std::collections::BTreeSet;

use neap_protocol::message::SlaveStatus;
use rustix::process::Signal;

use crate::cluster::{Cluster, SLAVES};
use crate::fault::{Fault, unreachable};
use crate::ledger;
use crate::link::Weather;
use crate::load::{FENCED, FENCED_FOR, Load};
use crate::process::until;
use crate::random::Random;
use crate::round::on_cluster;

/// What a replay of each has something to look at in.
const LOOKED_AT: [&str; 4] = ["S7 ", "S8 ", "S9 ", "same effects"];

/// R6, R8: what was told Lost lives while its slave is silent, and is dead before the slave is used again.
fn is_given_up_and_comes_back(silence: impl Fn(&mut Cluster, usize), speech: impl Fn(&mut Cluster, usize)) {
    let mut random = Random::new(1);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let load = Load::start(cluster, Random::new(2))?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let id = cluster.view(slave)?.id;
        let before = tasks(cluster, slave);
        silence(cluster, slave);
        let given_up = unreachable(cluster, slave);
        assert_eq!(tasks(cluster, slave), before, "somebody has ended what a silent slave runs");
        until("news of what is lost", || match before.iter().all(|task| load.book.has_end(task)) {
            true => Ok(()),
            false => Err("no end was told".into()),
        })?;
        speech(cluster, slave);
        given_up?;
        until("a slave that is used again", || match cluster.view(slave)?.status {
            SlaveStatus::Active => Ok(()),
            other => Err(format!("it is {other}")),
        })?;
        let left = tasks(cluster, slave);
        assert!(left.is_disjoint(&before), "a slave is used again that runs what was lost: {left:?}");
        assert_eq!(cluster.view(slave)?.id, id, "it is another slave");
        all_were_lost(&load, &before);
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The end of each of these that was told is that nobody has seen it.
fn all_were_lost(load: &Load, tasks: &BTreeSet<String>) {
    load.book.read(|told| {
        for task in tasks {
            let end = told.iter().find(|told| told.task == *task && told.is_end()).expect("an end");
            assert_eq!((end.state.as_str(), end.reason.as_str()), ("Lost", "SlaveUnreachable"), "{task}");
        }
    });
}

/// R9: a fenced task is dead before it is told Lost, although nobody can reach its slave; and so is what has left its
/// process group, for its slave lives.
#[test]
fn a_fenced_task_of_a_slave_that_is_cut_off_is_dead_before_it_is_lost() {
    let mut random = Random::new(8);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let load = Load::start_with(cluster, Random::new(9), FENCED)?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let before = tasks(cluster, slave);
        cluster.weather(slave, Weather { cut_up: true, cut_down: true, ..Weather::default() });
        until("an end of what is cut off", || match tasks(cluster, slave) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?} live")),
        })?;
        unreachable(cluster, slave)?;
        until("news of what is lost", || match before.iter().all(|task| load.book.has_end(task)) {
            true => Ok(()),
            false => Err("no end was told".into()),
        })?;
        cluster.weather(slave, Weather::default());
        cluster.whole()?;
        all_were_lost(&load, &before);
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// R2, R8, R12, R14: of a cut that is longer than sessions bear. Who dials begins anew, and nothing is lost.
#[test]
fn sessions_that_a_cut_has_ended_are_begun_anew() {
    let mut random = Random::new(10);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let mut load = Load::start(cluster, Random::new(11))?;
        load.feed(cluster)?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let id = cluster.view(slave)?.id;
        let links = [slave, Cluster::framework_link_of(0)];
        let logs = ["logs/service.log".to_owned(), cluster.slaves[slave].log()];
        let ended =
            |log: &String| cluster.place.read(log).matches("the session with the master ended").count();
        let before = logs.each_ref().map(ended);
        let cut = Weather { cut_up: true, cut_down: true, ..Weather::default() };
        links.iter().for_each(|link| cluster.weather(*link, cut));
        let died = until("an end of both sessions", || match logs.each_ref().map(ended) {
            now if now.iter().zip(before).all(|(now, before)| *now > before) => Ok(()),
            now => Err(format!("of {logs:?} ended {now:?} sessions")),
        });
        links.iter().for_each(|link| cluster.weather(*link, Weather::default()));
        died?;
        cluster.whole()?;
        assert_eq!(cluster.view(slave)?.id, id, "it is another slave");
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// R2, R9: the router between a slave and its master forgets how it translated the slave's address. The slave was never out
/// of reach: its session goes on, and so does what is fenced there; the scheduler's, too.
#[test]
fn a_fenced_task_and_its_session_outlive_another_source_port() {
    let mut random = Random::new(12);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let load = Load::start_with(cluster, Random::new(13), FENCED)?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let before = tasks(cluster, slave);
        let logs = ["logs/service.log".to_owned(), cluster.slaves[slave].log()];
        let ended =
            |log: &String| cluster.place.read(log).matches("the session with the master ended").count();
        let sessions = logs.each_ref().map(ended);
        for _ in 0..3 {
            cluster.rebind(slave);
            cluster.rebind(Cluster::framework_link_of(0));
            // What ends this wait is the time itself: a lease that nobody renews is over, and so is its task.
            std::thread::sleep(2 * FENCED_FOR);
        }
        assert_eq!(tasks(cluster, slave), before, "a task has ended whose slave was there all the time");
        assert_eq!(logs.each_ref().map(ended), sessions, "a session has ended");
        // Both sessions carry words: of a kill to the slave, and of the end to the scheduler.
        let task = before.first().expect("a task");
        cluster.command(&format!("kill {task}"))?;
        until("news of what was killed", || match load.book.has_end(task) {
            true => Ok(()),
            false => Err("no end was told".into()),
        })?;
        assert_eq!(logs.each_ref().map(ended), sessions, "a session has ended");
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// R6, R8: to a framework that is aware of partitions nothing is Lost, and what was out of reach runs when it is back.
#[test]
fn what_is_out_of_reach_is_waited_for_and_comes_back() {
    let mut random = Random::new(6);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let load = Load::start_with(cluster, Random::new(7), "--partition-aware")?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let there = tasks(cluster, slave);
        let told = |task: &str| {
            load.book.read(|told| {
                let of_task = told.iter().filter(|told| told.task == task);
                of_task.map(|told| told.state.clone()).collect::<Vec<_>>()
            })
        };
        let all_were = |what: &str, states: &[&str]| {
            until(what, || match there.iter().find(|task| told(task) != states) {
                None => Ok(()),
                Some(task) => Err(format!("{task} was {:?}", told(task))),
            })
        };
        cluster.stop_slave(slave);
        let given_up = all_were("news of what is out of reach", &["Running", "Unreachable"]);
        cluster.slave(slave).signal(Signal::CONT);
        given_up?;
        all_were("news of what is back", &["Running", "Unreachable", "Running"])?;
        assert_eq!(tasks(cluster, slave), there, "something else runs there");
        cluster.whole()?;
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The tasks of which something lives on a slave.
fn tasks(cluster: &Cluster, slave: usize) -> BTreeSet<String> {
    cluster.living(slave).iter().filter_map(|process| ledger::task_of(&process.directory)).collect()
}

#[test]
fn a_slave_that_was_stopped_is_given_up_and_comes_back() {
    is_given_up_and_comes_back(
        |cluster, slave| cluster.stop_slave(slave),
        |cluster, slave| cluster.slave(slave).signal(Signal::CONT),
    );
}

/// R6: a slave that is stopped for a while keeps its session and its tasks, and is given nothing until it answers: the replay
/// looks at every offer and launch.
#[test]
fn a_slave_that_is_stopped_for_a_while_keeps_what_it_has() {
    let mut random = Random::new(12);
    let done = on_cluster(&mut random, &["R6 ", "S8 ", "same effects"], |cluster, _| {
        let mut load = Load::start(cluster, Random::new(13))?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let before = tasks(cluster, slave);
        cluster.stop_slave(slave);
        let known = until("a slave that is silent", || match cluster.view(slave)?.status {
            SlaveStatus::Silent => Ok(()),
            other => Err(format!("it is {other}")),
        });
        // Something to be launched, elsewhere.
        let fed = known.and_then(|()| load.feed(cluster));
        cluster.slave(slave).signal(Signal::CONT);
        fed?;
        cluster.whole()?;
        let left = tasks(cluster, slave);
        assert!(before.is_subset(&left), "a slave that was silent for a while has lost {before:?}: {left:?}");
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// R7a, R3: what an operator has declared dead, and lives, has ended all that it ran before it is a slave again, another one.
#[test]
fn a_slave_that_was_declared_dead_comes_back_as_another() {
    let mut random = Random::new(14);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let mut load = Load::start(cluster, Random::new(15))?;
        let slave = (0..SLAVES).find(|slave| !cluster.living(*slave).is_empty()).expect("a slave with tasks");
        let id = cluster.view(slave)?.id;
        let before = tasks(cluster, slave);
        let fault = Fault::Forget(slave);
        fault.begin(cluster, &mut load, &mut Random::new(16))?;
        fault.end(cluster, &mut load)?;
        cluster.whole()?;
        assert_ne!(cluster.view(slave)?.id, id, "a slave that was removed is admitted again");
        let left = tasks(cluster, slave);
        assert!(left.is_disjoint(&before), "a new slave runs what the one before it ran: {left:?}");
        until("news of what is lost", || match before.iter().all(|task| load.book.has_end(task)) {
            true => Ok(()),
            false => Err("no end was told".into()),
        })?;
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// It hears every ping, and nobody hears it.
#[test]
fn a_slave_that_only_hears_is_given_up_and_comes_back() {
    let cut = Weather { cut_up: true, ..Weather::default() };
    is_given_up_and_comes_back(
        |cluster, slave| cluster.weather(slave, cut),
        |cluster, slave| cluster.weather(slave, Weather::default()),
    );
}

/// It is heard, and hears nothing.
#[test]
fn a_slave_that_only_speaks_is_given_up_and_comes_back() {
    let cut = Weather { cut_down: true, ..Weather::default() };
    is_given_up_and_comes_back(
        |cluster, slave| cluster.weather(slave, cut),
        |cluster, slave| cluster.weather(slave, Weather::default()),
    );
}

/// R1, R28: whoever was answered is known, whoever was not asks again, and each slave is one slave.
#[test]
fn a_master_that_is_killed_while_every_slave_registers_forgets_none() {
    let mut random = Random::new(3);
    let done = on_cluster(&mut random, &LOOKED_AT, |cluster, _| {
        let load = Load::start(cluster, Random::new(4))?;
        let mut moments = Random::new(5);
        let ids = |cluster: &mut Cluster| {
            let views = cluster.operator.slaves()?;
            Ok::<_, String>(views.into_iter().map(|view| (view.name, view.id)).collect::<BTreeSet<_>>())
        };
        let before = ids(cluster)?;
        for _ in 0..5 {
            for slave in 0..SLAVES {
                cluster.kill_slave(slave);
            }
            (0..SLAVES).try_for_each(|slave| cluster.start_slave(slave))?;
            std::thread::sleep(moments.span(0..60));
            cluster.kill_master();
            cluster.start_master()?;
        }
        cluster.whole()?;
        assert_eq!(ids(cluster)?, before, "a slave is another, or is there twice");
        Ok(load)
    });
    done.unwrap_or_else(|wrong| panic!("{wrong}"));
}
