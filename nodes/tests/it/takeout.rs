//! `neap kill`, `deactivate`, `activate` and `drain` on a live cluster (R16, R21–R24): what is asked is done, asked
//! twice it is success that says so, and every refusal says what to do instead.

use neap_protocol::time::Millis;
use serde_json::{Value, json};

use crate::deployed::{Live, Stubborn, holds};
use crate::inverse_offer::SERVICE;

/// A framework whose task ends only by force, and which answers nothing.
fn silent(slave: &'static str) -> Stubborn {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    Stubborn { name: "silent", slave, script, kill_grace: Millis(200), answer: None }
}

fn changed(objects: &[Value]) -> bool {
    objects[0]["changed"].as_bool().unwrap()
}

/// A slave's id: which of several registers first is nobody's to say.
fn id(live: &Live, slave: &str) -> String {
    live.slave(slave)["id"].as_str().unwrap().to_owned()
}

/// The digest of a dry run.
fn digest(live: &Live, drain: &str) -> String {
    live.json(&format!("{drain} --dry-run"))[0]["digest"].as_str().unwrap().to_owned()
}

/// R13, and what an operator's hands know: a task that is over, or is being killed, is as it was to be.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_killed_and_to_ask_again_is_success() {
    let mut live = Live::start(1);
    let stubborn = Stubborn { kill_grace: Millis::from_secs(3600), ..silent("slave-1") };
    let task = stubborn.start(&live).await.to_string();
    live.is_ready(&task);
    let killed = live.json(&format!("kill {task}"));
    assert_eq!(killed, [json!({ "changed": true, "text": format!("{task} is being killed") })]);
    let again = live.json(&format!("kill {task}"));
    assert_eq!(again, [json!({ "changed": false, "text": format!("{task} is being killed already") })]);
    live.happens(|event| event["event"] == "task" && event["state"] == "Killing");

    live.run(&format!("--name web --service --kill-grace 1s -- {SERVICE}"));
    let web = live.task_is("Running");
    live.is_ready(&web);
    let text = live.text(&format!("kill {web}"));
    assert_eq!(text, format!("{web} is being killed\n"));
    live.happens(|event| event["event"] == "task" && event["task"] == *web && event["state"] == "Killed");
    let over = live.text(&format!("kill {web}"));
    assert_eq!(over, format!("nothing to kill: {web} web-0 of web on slave-1: Killed (KilledByOperator)\n"));

    let unknown = live.refused(3, "kill F9.9");
    assert!(unknown.contains("no task F9.9 is running\nhelp: list tasks with `neap tasks`"), "{unknown}");
    let nonsense = live.refused(2, "kill web");
    assert!(nonsense.contains("expected an id like F1.7"), "{nonsense}");
}

/// R16: holds have names; nobody takes away another's without saying so.
#[test]
fn holds_of_two_names_are_placed_and_lifted_apart() {
    let live = Live::start(3);
    for (again, already) in [(false, ""), (true, " already")] {
        let held = live.json("deactivate slave-1 --reason 'odd disk'");
        assert_eq!(changed(&held), !again);
        let text = format!("operator holds slave-1 back{already}: it is not offered, its tasks run on");
        assert_eq!(held[0]["text"], text);
    }
    live.text(&format!("deactivate {} --hold raid --reason rebuild", id(&live, "slave-1")));
    let slave = live.slave("slave-1");
    assert_eq!(holds(&slave), ["operator", "raid"]);
    for (hold, reason) in slave["holds"].as_array().unwrap().iter().zip(["odd disk", "rebuild"]) {
        assert_eq!((&hold["by"], &hold["reason"]), (&"operator".into(), &reason.into()));
        assert!(hold["at_ms"].is_u64(), "{hold}");
    }
    let status = live.text("status");
    for word in ["1 deactivated", "SLAVE     HOLD       BY         SINCE", "odd disk", "rebuild"] {
        assert!(status.contains(word), "{word} is not in {status}");
    }

    let own = live.text("activate slave-1");
    assert_eq!(
        own,
        "lifted operator; slave-1 is still held back: raid by operator\n\
         `neap activate slave-1 --hold raid` lifts that one, --all every one\n"
    );
    let again = live.json("activate slave-1");
    assert!(
        !changed(&again) && again[0]["text"].as_str().unwrap().starts_with("there was nothing to lift; ")
    );
    let unknown = live.json("activate slave-1 --hold riad");
    assert!(!changed(&unknown), "{unknown:?}");
    assert_eq!(holds(&live.slave("slave-1")), ["raid"]);
    assert_eq!(live.text("activate slave-1 --hold raid"), "lifted raid; slave-1 is offered\n");

    live.text("deactivate slave-1");
    live.text("deactivate slave-1 --hold raid");
    assert_eq!(live.text("activate slave-1 --all"), "lifted operator, raid; slave-1 is offered\n");
    assert_eq!(live.text("activate slave-1 --all"), "there was nothing to lift; slave-1 is offered\n");
    assert!(holds(&live.slave("slave-1")).is_empty());

    for verb in ["activate", "deactivate"] {
        let near = live.refused(3, &format!("{verb} slvae-2"));
        assert!(near.contains("unknown slave 'slvae-2'\nhelp: did you mean slave-2"), "{near}");
        let id = live.refused(3, &format!("{verb} S77"));
        assert!(id.contains("no slave S77 is registered\nhelp: list slaves with `neap slaves`"), "{id}");
    }
    let reserved = live.refused(3, "deactivate slave-1 --hold drain-D7");
    assert!(reserved.contains("drain-D7 is a name for drains' own holds"), "{reserved}");
    let both = live.refused(2, "activate slave-1 --all --hold raid");
    assert!(both.contains("cannot be used with"), "{both}");
}

/// R23: a dry run changes nothing and promises an end; a drain that demands its digest is refused when things have
/// changed, and done when they have not.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_demands_a_plan_is_refused_when_things_have_changed() {
    let mut live = Live::start(1);
    live.run(&format!("--name web --service --kill-grace 90s -- {SERVICE}"));
    let web = live.task_is("Running");
    let plan = live.json("drain slave-1 --deadline 1m --dry-run");
    let [plan] = &plan[..] else { panic!("{plan:?}") };
    assert_eq!((&plan["slave_name"], &plan["status"]), (&"slave-1".into(), &"active".into()));
    assert_eq!((&plan["drain"], &plan["then"]), (&Value::Null, &"stay".into()));
    let [task] = &plan["tasks"].as_array().unwrap()[..] else { panic!("{plan}") };
    assert_eq!((&task["task"], &task["framework"]), (&(*web).into(), &"web".into()));
    // R22: what would run past the deadline and the revoke grace is cut.
    assert_eq!(task["cut_from_ms"], 90_000);
    assert!(task["grace_ms"].as_u64().unwrap() < 90_000, "{task}");
    assert!(plan["tasks_end_ms"].as_u64().unwrap() < plan["drain_end_ms"].as_u64().unwrap());
    let old = plan["digest"].as_str().unwrap();
    let text = live.text("drain slave-1 --deadline 1m --dry-run");
    for line in [
        "slave-1 (S1) is active; a drain would end 1 task there",
        "whatever anyone does",
        &format!("to do exactly this: neap drain slave-1 --deadline 1m --if-plan {old}"),
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(live.json("status")[0]["drains"], 0, "it changes nothing");

    silent("slave-1").start(&live).await;
    let changed = live.refused(3, &format!("drain slave-1 --deadline 1m --if-plan {old}"));
    assert!(changed.contains("the slave, or what is asked, is otherwise than in the plan"), "{changed}");
    assert!(changed.contains("help: look at `neap drain --dry-run` again"), "{changed}");
    assert!(holds(&live.slave("slave-1")).is_empty(), "it was refused as a whole");
    let new = digest(&live, "drain slave-1 --deadline 1m");
    assert!(old != new && changed.contains(&new), "{changed}");

    // What is asked is part of the plan.
    for other in ["1s", "10m", "1m --then unregister"] {
        let refused = live.refused(3, &format!("drain slave-1 --deadline {other} --if-plan {new}"));
        assert!(refused.contains("is otherwise than in the plan"), "{other}: {refused}");
    }
    let begun = live.json(&format!("drain slave-1 --deadline 1m --if-plan {new} --detach"));
    assert_eq!((&begun[0]["drain"], &begun[0]["changed"]), (&"D1".into(), &true.into()));
    let under_way = live.text("drain slave-1 --deadline 1m --dry-run");
    let has = "D1 is under way there already, with --deadline 1m --then stay: what differs needs --change";
    assert!(under_way.contains(has), "{under_way}");
    let nonsense = live.refused(2, "drain slave-1 --deadline 1m --if-plan 0000");
    assert!(nonsense.contains("16 hexadecimal digits that --dry-run printed"), "{nonsense}");
    let mixed = live.refused(2, &format!("drain slave-1 --deadline 1m --dry-run --if-plan {new}"));
    assert!(mixed.contains("cannot be used with"), "{mixed}");
}

/// R22: a drain has an id, by which it is extended and given up; to ask again for the same is success.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_asked_for_extended_and_cancelled_each_of_it_twice() {
    let mut live = Live::start(1);
    silent("slave-1").start(&live).await;
    let begun = live.text("drain slave-1 --deadline 1h --reason kernel --detach");
    assert!(begun.starts_with("D1 drains slave-1 until "), "{begun}");
    assert!(begun.ends_with(": kernel\n`neap drain slave-1 --deadline 1h` follows it\n"), "{begun}");
    let again = live.json("drain slave-1 --deadline 1h --detach");
    assert_eq!((&again[0]["drain"], changed(&again)), (&"D1".into(), false));
    // R22: progress is visible, and who holds it up.
    let status = live.text("status");
    assert!(status.contains("silent (F1): 1 running; no answer yet"), "{status}");

    for extended in ["2h", "3h"] {
        let text = live.text(&format!("drain --extend D1 {extended}"));
        assert!(text.starts_with("the deadline of D1 is now "), "{text}");
        assert!(text.ends_with(&format!(", {extended} from now\n")), "{text}");
    }
    // Nothing that is asked for is ignored.
    for (otherwise, said) in [
        ("--deadline 5s", "--deadline 180m and not 5s"),
        ("--deadline 3h --then unregister", "--then stay and not unregister"),
        ("--deadline 3h --reason fire", "--reason 'kernel' and not 'fire'"),
    ] {
        let other = live.refused(3, &format!("drain slave-1 {otherwise} --detach"));
        assert!(other.contains(&format!("drain D1 is under way there, with {said}")), "{other}");
        assert!(other.contains("help: add `--change` to have it so from now on"), "{other}");
    }
    let changed_now =
        live.text("drain slave-1 --deadline 3h --then unregister --reason fire --change --detach");
    assert!(changed_now.starts_with("D1 drains slave-1, changed by this, until "), "{changed_now}");
    assert!(changed_now.contains(", then the slave leaves (asked for by operator): fire\n"), "{changed_now}");
    let asked = live.slave("slave-1")["drain_asked"].clone();
    assert_eq!((&asked["then"], &asked["reason"]), (&"unregister".into(), &"fire".into()));
    assert_eq!((&asked["by"], &asked["within_ms"]), (&"operator".into(), &10_800_000.into()));
    live.text("drain slave-1 --deadline 3h --then stay --change --detach");
    let receipt = live.text("drain --receipt D1");
    assert!(receipt.contains("operator made it 180m, until "), "{receipt}");
    assert!(receipt.contains(", then unregister: fire"), "{receipt}");

    let mut attached = live.attach("drain slave-1 --deadline 3h");
    attached.until("waits for silent (F1): 1 running; no answer yet; ");
    attached.interrupt();
    let detached = attached.end();
    assert_eq!(detached.code, Some(130), "{}", detached.stderr);
    assert!(detached.stdout.contains("detached: D1 of slave-1 goes on; "), "{}", detached.stdout);
    assert_eq!(holds(&live.slave("slave-1")), ["drain-D1"], "Ctrl-C never cancels");

    for (line, said) in [
        ("activate slave-1 --hold drain-D1", "that hold belongs to drain D1, which is in progress"),
        ("drain --cancel D9", "no drain D9 is in progress"),
        ("drain --extend D9 1h", "no drain D9 is in progress"),
        ("drain --receipt D9", "there is no receipt D9"),
        ("inverse-offer --cancel I1", "inverse offer I1 is part of drain D1"),
    ] {
        let refused = live.refused(3, line);
        assert!(refused.contains(said), "{line} does not say {said:?}: {refused}");
    }
    let all = live.text("activate slave-1 --all");
    assert!(all.starts_with("there was nothing to lift; slave-1 is still held back: drain-D1"), "{all}");
    assert!(all.contains("`neap drain --cancel D1` gives up the drain, and its hold"), "{all}");

    let cancelled = live.json("drain --cancel D1");
    assert_eq!(
        cancelled[0],
        json!({ "changed": true, "text": "D1 is cancelled; what it revoked stays revoked" })
    );
    live.happens(|event| event["event"] == "drain-ended");
    let again = live.json("drain --cancel D1");
    assert_eq!(again[0], json!({ "changed": false, "text": "D1 was cancelled already" }));
    assert!(live.refused(3, "drain --extend D1 1h").contains("no drain D1 is in progress"));
    assert!(holds(&live.slave("slave-1")).is_empty(), "its hold went with it");
    assert_eq!(live.text("inverse-offers"), "no inverse offers are open\n");
    assert_eq!(live.tasks().len(), 1, "nothing was revoked");
}

/// R21: an attached drain tells each task that moves, and ends with the slave gone; R19: not before its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_with_its_slave_unregistered() {
    let mut live = Live::start(2);
    let gone = id(&live, "slave-1");
    let task = silent("slave-1").start(&live).await.to_string();
    let stays = live.json("drain slave-1 --deadline 1h --detach");
    assert_eq!(stays[0]["drain"], "D1");
    live.refused(3, "drain slave-1 --deadline 1h --then unregister --detach");
    let more = live.json("drain slave-1 --deadline 1h --then unregister --change --detach");
    assert!(changed(&more), "{more:?}");
    assert!(more[0]["text"].as_str().unwrap().contains(", then the slave leaves"), "{more:?}");
    let mut attached = live.attach("drain slave-1 --deadline 1h --then unregister");
    attached.until("D1 drains slave-1 already until ");
    live.text("drain --extend D1 1s");
    attached.until(&format!("{task} one of silent on slave-1: Killed (Revoked(I1))"));
    let ended = attached.end();
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let told: Vec<&str> = ended.stdout.lines().collect();
    let (leaving, left) = (format!("slave-1 ({gone}) is leaving"), format!("slave-1 ({gone}) left for good"));
    let at =
        |text: &str| told.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{told:#?}"));
    assert!(at("D1 of slave-1: drained") < at(&leaving), "{told:#?}");
    assert!(at(&leaving) < at(&left), "{told:#?}");
    assert!(live.hear().starts_with("slave-1 ended: exit status: 0"));
    // S9: one end a task, also where its slave leaves right after it.
    let ends =
        |event: &Value| event["event"] == "task" && event["task"] == *task && event["state"] == "Killed";
    let past = live.json("events");
    assert_eq!(past.iter().filter(|event| ends(event)).count(), 1, "{past:#?}");

    let lines = |receipt: &str| -> Vec<String> {
        let lines = live.json(&format!("drain --receipt {receipt}"));
        lines.iter().map(|line| line["line"].as_str().unwrap().to_owned()).collect()
    };
    let drain = lines("D1");
    for line in ["opened", "asked", "revoked", "ended", "acknowledged", "drain-ended"] {
        assert!(drain.iter().any(|one| one == line), "{line} is not in {drain:?}");
    }
    assert_eq!(lines(&gone).last().unwrap(), "unregistered");
    let again = live.json(&format!("drain {gone} --deadline 1s --then unregister"));
    assert_eq!(again[0], json!({ "changed": false, "text": format!("{gone} has left for good already") }));
    let stay = live.refused(3, &format!("drain {gone} --deadline 1s"));
    assert!(
        stay.contains(&format!("slave {gone} has left for good\nhelp: the host registers under a new id")),
        "{stay}"
    );
    let name = live.refused(3, "drain slave-1 --deadline 1s");
    assert!(name.contains(&format!("slave-1 has left for good: it was {gone}, until 20")), "{name}");
    assert!(!name.contains("slave-2"), "{name}");
}

/// R24, R25: the operator's drain now: everything is seen dead, told and acknowledged, and the slave is gone.
#[tokio::test(flavor = "multi_thread")]
async fn drain_now_is_followed_until_the_slave_has_left() {
    let mut live = Live::start(2);
    let gone = id(&live, "slave-1");
    let task = silent("slave-1").start(&live).await.to_string();
    let now = live.neap("drain slave-1 --now --reason smoke");
    assert_eq!(now.code, Some(0), "{}{}", now.stdout, now.stderr);
    let told: Vec<&str> = now.stdout.lines().collect();
    assert!(
        told[0].starts_with(&format!("D1 drains slave-1 ({gone}) now: it is held: smoke; waits for ")),
        "{told:?}"
    );
    for text in [
        &*format!("slave-1 ({gone}) is leaving"),
        &*format!("{task} one of silent on slave-1: Lost (SlaveUnregistered)"),
        &*format!("slave-1 ({gone}) left for good"),
        "`neap drain --receipt D1` shows what was done to each task",
    ] {
        assert!(told.iter().any(|line| line.contains(text)), "{text} is not told: {told:#?}");
    }
    assert!(live.hear().starts_with("slave-1 ended: exit status: 0"));
    live.happens(|event| event["event"] == "task-acknowledged");
    // R23a: in the receipt of its leaving, and of the drain.
    for id in [&*gone, "D1"] {
        let receipt = live.json(&format!("drain --receipt {id}"));
        let end =
            receipt.iter().find(|line| line["line"] == "ended").unwrap_or_else(|| panic!("{receipt:#?}"));
        assert_eq!((&end["task"], &end["state"]), (&(*task).into(), &"Lost".into()));
        assert!(end["seen_empty_ms"].is_u64() && end["signals"][0]["signal"] == 9, "{end}");
        assert!(receipt.iter().any(|line| line["line"] == "acknowledged"), "{receipt:#?}");
    }

    let again = live.text(&format!("drain {gone} --now"));
    assert!(again.starts_with(&format!("{gone} has left for good already\n")), "{again}");
    let detached = live.text("drain slave-2 --now --detach");
    assert!(detached.starts_with("D2 "), "{detached}");
    assert!(!detached.contains("told"), "it has not been heard: {detached}");
    assert!(live.hear().starts_with("slave-2 ended: exit status: 0"));
    assert!(live.text("slaves").starts_with("no slaves: "), "both are gone");
    let zero = live.refused(2, "drain slave-1 --deadline 0s");
    assert!(zero.contains("use --now to end everything at once"), "{zero}");
    let bare = live.refused(2, "drain slave-1 --deadline 0");
    assert!(bare.contains("has a number without a unit"), "{bare}");
    let mixed = live.refused(2, "drain slave-1 --now --deadline 1m");
    assert!(mixed.contains("cannot be used with"), "{mixed}");
}
