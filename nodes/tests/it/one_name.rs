//! Two slaves with one certificate, on real processes (R1a): one of them has the name, and what was told Lost does not live on.

use std::time::{Duration, Instant};

use neap_nodes::framework::Driver;
use neap_protocol::task::Reason;
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;
use rustix::process::Signal;

use crate::cluster::{Master, PATIENCE, place};
use crate::live::{Framework, Hostiles, Said, Slave, Watch, launch, task};

/// A slave is given up after two seconds.
const MASTER: &str = "--listen 127.0.0.1:0 --ping-timeout 500ms --max-ping-timeouts 4";

/// Waits until a slave has logged `words`.
fn until_logged(slave: &Slave, words: &str) {
    let late = Instant::now() + PATIENCE;
    while !slave.log().contains(words) {
        assert!(Instant::now() < late, "it never said {words:?}: {}", slave.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn another_data_directory_waits_until_the_first_is_given_up_and_what_that_ran_does_not_live_on() {
    let place = place();
    let master = Master::start_with(&place, MASTER);
    let mut first = Slave::start(&place, &master, "slave-1", "");
    let processes = Hostiles::new(place.path());
    let mark = format!("work in {}", place.path().display());
    let mut tasks = vec![task(processes.pair(&mark, &place.path().join("bell")), Millis::ZERO)];
    let act = move |said: &Said, driver: &mut Driver| match said {
        Said::Offers(offers) => launch(driver, offers, &mut tasks),
        Said::Update(_) | Said::Rescinded(_) => {}
    };
    let framework = Framework::start(master.connection(&place, Role::Framework, "web"), act);
    framework.until(1, PATIENCE, Said::running).unwrap();
    processes.wait(2, PATIENCE).unwrap();
    let watch = Watch::of(&mark).unwrap();

    // It is refused, says whose the name is, and ends nothing; nor does the first.
    let other = Slave::start_in(&place, &master, "slave-1", "other");
    until_logged(&other, "another slave has this name");
    assert_eq!(watch.alive(), 2);
    assert!(!first.log().contains("ended"), "{}", first.log());

    // The first is killed, which its executors outlive, and given up. Only now is the other admitted.
    first.signal(Signal::KILL);
    assert_eq!(first.exit_code(PATIENCE), None, "it was killed");
    let lost = framework.until(1, PATIENCE, Said::end).unwrap();
    assert_eq!(lost[0].1.reason, Reason::SlaveUnreachable, "{lost:?}");
    until_logged(&other, "registered");
    assert_eq!(watch.alive(), 2, "nobody is left to end it");

    // It is back: what was told Lost is ended, and the name is not its own any more.
    let first = Slave::start(&place, &master, "slave-1", "");
    watch.last_end(PATIENCE).unwrap();
    until_logged(&first, "removed for good");
    until_logged(&first, "another slave has this name");
}
