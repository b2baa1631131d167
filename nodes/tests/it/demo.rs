//! `neap demo`: it succeeds only if what it shows is so, and it is over in time.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;

use crate::program::Place;
use crate::up::{marked, signal};

/// Fewer files than there are shards: that must not make the demo shorter than its story.
fn place_with_files() -> Place {
    let place = Place::new();
    for file in 0..15 {
        place.write(&format!("files/{}/{file}", file % 3), &"what is in it\n".repeat(file));
    }
    place
}

/// S1, S5: the demo looks for processes itself when a slave is said to be empty.
#[test]
fn the_demo_drains_revokes_and_loses_a_slave_and_every_file_is_indexed_once() {
    let place = place_with_files();
    let demo = place.command("demo files").env("TMPDIR", place.path()).output().unwrap();
    let said = String::from_utf8(demo.stdout).unwrap();
    assert_eq!(demo.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    for told in [
        "is to be drained within 3s",
        "indexer agrees to leave",
        "is Killed: moved off by its framework",
        "stubborn did not answer, and its deadline is over",
        // Which of the two inverse offers is the first is for the cluster to say.
        "is Killed: revoked for I",
        "is drained: nothing runs there",
        "got SIGUSR1",
        "is Lost: it was there when the slave left",
        "has seen everything dead, is unregistered, and exits",
        "is activated: it is offered again",
        "runs anew",
        "20 of 20 shards are indexed",
        "every one of 15 files is indexed exactly once",
        "no process is left",
    ] {
        assert!(said.contains(told), "{told} is missing in\n{said}");
    }
    assert!(marked(place.path().to_str().unwrap()).is_empty(), "no process is left");
}

#[test]
fn a_demo_that_is_stopped_leaves_no_process() {
    let place = place_with_files();
    let mut demo =
        place.command("demo files").env("TMPDIR", place.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("is to be drained")), "it begins");
    signal(&demo, Signal::INT);
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    assert!(marked(place.path().to_str().unwrap()).is_empty(), "no process is left");
}

#[test]
fn a_demo_of_nothing_says_what_to_do() {
    let place = Place::new();
    place.write("empty/.hidden", "");
    let cases = [
        ("demo empty", "there are no files"),
        ("demo nowhere", "nowhere"),
        ("demo empty/.hidden", "not a directory"),
    ];
    for (line, cause) in cases {
        let demo = place.neap(line);
        assert_ne!(demo.code, Some(0));
        assert!(demo.stderr.contains(cause) && demo.stderr.contains("name a directory"), "{}", demo.stderr);
    }
}
