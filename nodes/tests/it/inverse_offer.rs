//! `neap inverse-offer` on a live cluster (R17–R20).

use std::time::{Duration, Instant};

use neap_protocol::message::InverseAnswer;
use neap_protocol::text::Text;
use neap_protocol::time::Millis;
use serde_json::{Value, json};

use crate::deployed::{Live, Stubborn, objects};

/// Ends in order when it is told to, once it is ready.
pub(crate) const SERVICE: &str = "sh -c 'trap \"exit 0\" TERM; echo ready; while :; do sleep 0.05; done'";

/// R17, R18: what is asked for comes back because the framework moves, and is kept off until the deadline.
#[test]
fn a_framework_that_accepts_moves_and_is_not_offered_the_slave_again() {
    let mut live = Live::start(2);
    live.run(&format!("--name web --service --instances 2 --min-healthy 200ms --kill-grace 1s -- {SERVICE}"));
    for _ in 0..2 {
        let task = live.task_is("Running");
        live.is_ready(&task);
    }
    let asked = live.neap(
        "inverse-offer --framework web --slave slave-1 --cpus 0.1 --mem 32M --deadline 1h --reason 'hot host'",
    );
    assert_eq!(asked.code, Some(0), "{}{}", asked.stdout, asked.stderr);
    let lines: Vec<&str> = asked.stdout.lines().collect();
    assert!(
        lines[0].starts_with("I1 asks web for 0.1 cpus and 32M of memory on slave-1 back by 20"),
        "{lines:#?}"
    );
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    for told in [
        "web accepted I1",
        "on slave-2: Running",
        "on slave-1: Killed (KilledByFramework)",
        "everything that I1 asked for came back",
        "slave-1 is not offered to web before",
        "`neap drain --receipt I1` shows",
    ] {
        assert!(has(told), "{told} is not told: {lines:#?}");
    }
    let on: Vec<String> = live.tasks().into_iter().map(|(_, slave)| slave).collect();
    assert_eq!(on, ["slave-2", "slave-2"]);
    let [view] = &live.json("inverse-offers")[..] else { panic!("it is not open") };
    for (key, value) in [
        ("id", json!("I1")),
        ("framework_name", "web".into()),
        ("slave_name", "slave-1".into()),
        ("reason", "hot host".into()),
        ("by", "operator".into()),
        ("answer", "accepted".into()),
        ("returned", true.into()),
        ("revoking", false.into()),
        ("drain", Value::Null),
        ("tasks", 0.into()),
    ] {
        assert_eq!(view[key], value, "{key} of {view}");
    }
    assert_eq!(view["asked"], json!({"cpus": 0.1, "mem_bytes": 32 << 20, "disk_bytes": 0, "ports": ""}));
    let text = live.text("inverse-offers");
    assert!(text.contains("0.1 cpus and 32M of memory   returned   accepted"), "{text}");

    assert_eq!(live.text("inverse-offer --cancel I1"), "I1 is taken back\n");
    assert_eq!(live.text("inverse-offers"), "no inverse offers are open\n");
    assert_eq!(live.text("inverse-offer --cancel I1"), "I1 was taken back already\n");
    let gone = live.refused(3, "inverse-offer --cancel I9");
    assert!(gone.contains("no inverse offer I9 is open"), "{gone}");
    let nothing = live.refused(3, "inverse-offer --framework web --slave slave-1 --deadline 1h --reason x");
    assert!(nothing.contains("the framework has nothing on that slave"), "{nothing}");

    // From here on web may be offered slave-1 again, where what is killed starts anew.
    let (task, _) = live.tasks().swap_remove(0);
    live.text("deactivate slave-2");
    live.text(&format!("kill {task}"));
    let slave = live.slave("slave-1")["id"].clone();
    live.happens(|event| event["state"] == "Running" && event["slave"] == slave);
}

/// R19, S13: silence and a refusal change nothing about the deadline; before it, nothing happens.
#[tokio::test(flavor = "multi_thread")]
async fn silence_and_refusal_end_in_revocation_at_the_deadline_and_not_before() {
    let mut live = Live::start(1);
    let sleeping = "trap '' TERM; while :; do sleep 0.05; done";
    let decline = InverseAnswer::Decline { reason: Text::new("too busy") };
    let stubborn =
        |name, answer| Stubborn { name, slave: "slave-1", script: sleeping, kill_grace: Millis(200), answer };
    let silent = stubborn("silent", None).start(&live).await.to_string();
    let busy = stubborn("busy", Some(decline)).start(&live).await.to_string();
    let deadline = Duration::from_secs(2);
    let begin = Instant::now();
    let ask = |name| {
        format!("inverse-offer -o json --framework {name} --slave slave-1 --deadline 2s --reason 'new disks'")
    };
    let attached = ["silent", "busy"].map(|name| {
        let mut attached = live.attach(&ask(name));
        let made: Value = serde_json::from_str(&attached.next()).unwrap();
        (attached, made["inverse_offer"].as_str().unwrap().to_owned())
    });
    live.happens(|event| event["event"] == "inverse-answered");
    let answered = live.json("inverse-offers");
    let [one, other] = &answered[..] else { panic!("{answered:?}") };
    let declined = if one["framework_name"] == "busy" { one } else { other };
    assert_eq!((&declined["answer"], &declined["answer_reason"]), (&"declined".into(), &"too busy".into()));
    assert!(live.text("inverse-offers").contains("declined: too busy"));
    live.happens(|event| event["state"] == "Killed");
    assert!(begin.elapsed() >= deadline, "revoked before the deadline: {:?}", begin.elapsed());
    for ended in live.happened(2, |event| event["state"] == "Killed") {
        assert!(ended["reason"].as_str().unwrap().starts_with("Revoked(I"), "{ended}");
    }
    live.happened(2, |event| event["event"] == "task-acknowledged");
    // A margin for machines that are busy; the grace is 200 ms.
    assert!(begin.elapsed() < deadline + Duration::from_secs(10), "{:?}", begin.elapsed());
    for ((attached, id), task) in attached.into_iter().zip([&silent, &busy]) {
        let ended = attached.end();
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        let lines = objects(&ended.stdout);
        let told: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
        assert!(told.contains(&"revoking") && told.last() == Some(&"inverse-closed"), "{lines:?}");
        let receipt = live.json(&format!("drain --receipt {id}"));
        let end =
            receipt.iter().find(|line| line["line"] == "ended").unwrap_or_else(|| panic!("{receipt:#?}"));
        assert_eq!((&end["task"], &end["state"]), (&(**task).into(), &"Killed".into()));
        // R23a: asked, and then forced.
        let signals = end["signals"].as_array().unwrap().iter().map(|sent| sent["signal"].as_u64().unwrap());
        let mut signals: Vec<u64> = signals.collect();
        signals.dedup();
        assert_eq!(signals, [15, 9], "{end}");
        assert!(end["seen_empty_ms"].is_u64(), "{end}");
        let has = |line: &str| receipt.iter().any(|one| one["line"] == line);
        assert!(has("closed") && has("acknowledged"), "{receipt:#?}");
    }
    assert_eq!(live.tasks(), []);
}

/// What cannot be asked is refused, and says what to do instead. An unknown name lists near ones.
#[test]
fn what_cannot_be_asked_for_is_refused() {
    let mut live = Live::start(1);
    live.run(&format!("--name web --service --kill-grace 1s -- {SERVICE}"));
    live.task_is("Running");
    let ask = |what: &str| format!("inverse-offer {what} --reason x");
    for (code, line, said) in [
        (
            3,
            ask("--framework wbe --slave slave-1 --deadline 1m"),
            "unknown framework 'wbe'\nhelp: did you mean web?",
        ),
        (3, ask("--framework F9 --slave slave-1 --deadline 1m"), "no framework F9 is subscribed"),
        (
            3,
            ask("--framework web --slave slvae-1 --deadline 1m"),
            "unknown slave 'slvae-1'\nhelp: did you mean slave-1?",
        ),
        (3, ask("--framework web --slave S9 --deadline 1m"), "no slave S9 is registered"),
        (
            3,
            ask("--framework web --slave slave-1 --deadline 1m --cpus 0"),
            "the inverse offer asks for nothing",
        ),
        (2, ask("--framework web --slave slave-1 --deadline=-5m"), "is negative"),
        (2, ask("--framework web --slave slave-1 --deadline 2020-01-01"), "accepted: durations such as"),
        (2, ask("--framework web --slave slave-1 --deadline tomorrow"), "accepted: durations such as"),
        (2, ask("--framework web --slave slave-1 --deadline 1m --cpus lots"), "accepted: cpus such as"),
    ] {
        let error = live.refused(code, &line);
        assert!(error.contains(said), "{line} does not say {said:?}: {error}");
    }
    assert_eq!(live.text("inverse-offers"), "no inverse offers are open\n");
}

/// Ctrl-C leaves what was asked as it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_attached_inverse_offer_is_only_detached_from() {
    let live = Live::start(1);
    let stubborn = Stubborn {
        name: "silent",
        slave: "slave-1",
        script: "while :; do sleep 0.05; done",
        kill_grace: Millis(200),
        answer: None,
    };
    stubborn.start(&live).await;
    let ask = "inverse-offer --framework silent --slave slave-1 --deadline 1h --reason x";
    let mut attached = live.attach(ask);
    attached.until("I1 asks silent for everything on slave-1 back by");
    attached.interrupt();
    let ended = attached.end();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("detached: I1 goes on; `neap inverse-offers` shows it"),
        "{}",
        ended.stdout
    );
    assert_eq!(live.json("inverse-offers").len(), 1);
    let again = live.json(&format!("{ask} --detach"));
    assert_eq!((&again[0]["inverse_offer"], &again[0]["changed"]), (&"I1".into(), &false.into()));
    assert!(
        again[0]["text"].as_str().unwrap().contains("I1 asks silent already for everything"),
        "{again:?}"
    );
    let other = live.refused(3, &format!("{ask} --cpus 0.1"));
    assert!(other.contains("inverse offer I1 already asks this framework there"), "{other}");
    live.text("inverse-offer --cancel I1");
    let detached = live.json(&format!("{ask} --detach"));
    assert_eq!((detached.len(), &detached[0]["inverse_offer"]), (1, &"I2".into()), "{detached:?}");
}
