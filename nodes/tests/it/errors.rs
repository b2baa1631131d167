//! What is wrong with a command line is said with its cause and cure, and exit code 2.

use std::process::Stdio;

use crate::program::Place;

#[test]
fn nonsense_is_refused_with_what_was_meant() {
    let place = Place::new();
    let ended = place.neap("stauts");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("unrecognized subcommand 'stauts'"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("tip: some similar subcommands exist: 'tasks', 'status'"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.neap("nonsense").code, Some(2));
    let ended = place.neap("drain slave-1 --dealine 10m");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("'--deadline'"), "{}", ended.stderr);
}

#[test]
fn contradictory_flags_are_refused_by_name() {
    let place = Place::new();
    let at = "--deadline 1m";
    for (line, first, second) in [
        ("activate s --hold a --all".into(), "--hold <NAME>", "--all"),
        ("drain s --deadline 1m --now".into(), "--deadline <D>", "--now"),
        ("drain s --now --then stay".into(), "--now", "--then <WHAT>"),
        ("drain s --now --dry-run".into(), "--now", "--dry-run"),
        ("drain s --now --if-plan 0123456789abcdef".into(), "--now", "--if-plan <DIGEST>"),
        (format!("drain s {at} --dry-run --detach"), "--dry-run", "--detach"),
        (format!("drain s {at} --dry-run --if-plan 0123456789abcdef"), "--dry-run", "--if-plan <DIGEST>"),
        ("drain s --cancel D1".into(), "--cancel <ID>", "[SLAVE]"),
        (format!("drain {at} --cancel D1"), "--cancel <ID>", "--deadline <D>"),
        ("drain --cancel D1 --extend D1 5m".into(), "--cancel <ID>", "--extend <ID> <D>"),
        ("drain --cancel D1 --receipt D1".into(), "--cancel <ID>", "--receipt <ID>"),
        ("drain --extend D1 5m --detach".into(), "--extend <ID> <D>", "--detach"),
        ("drain s --receipt D1".into(), "--receipt <ID>", "[SLAVE]"),
        ("inverse-offer --cancel I1 --framework f".into(), "--cancel <ID>", "--framework <F>"),
        ("inverse-offer --cancel I1 --mem 1G".into(), "--cancel <ID>", "--mem <M>"),
    ] {
        let ended = place.neap(&line);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        for name in [first, second, "cannot be used with"] {
            assert!(ended.stderr.contains(name), "{line} does not name {name}: {}", ended.stderr);
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new();
    for (line, missing) in [
        ("drain", "<SLAVE|--deadline <D>"),
        ("drain s", "--deadline <D>"),
        ("inverse-offer --framework f --slave s --deadline 1m", "--reason <T>"),
        ("run --name n", "<CMD>"),
        ("run -- true", "--name <N>"),
        ("pki issue --name n", "--role <R>"),
        ("status --cert c", "--key <FILE>"),
    ] {
        let ended = place.neap(line);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        let any = missing.split('|').all(|name| ended.stderr.contains(name));
        assert!(any, "{line} does not name {missing}: {}", ended.stderr);
    }
}

#[test]
fn bad_values_name_what_is_accepted() {
    let place = Place::new();
    for (line, accepted) in [
        ("drain s --deadline soon", "accepted: durations such as 500ms"),
        ("drain --extend D1 soon", "accepted: durations such as 500ms"),
        ("drain --extend 7 5m", "expected an id like D7"),
        ("drain --cancel 7", "expected an id like D7"),
        ("drain --receipt 7", "expected the id of a drain (D3)"),
        ("drain s --deadline 1m --if-plan xyz", "16 hexadecimal digits"),
        ("drain s --deadline 1m --then leave", "[possible values: stay, unregister]"),
        ("run --name n --mem lots -- true", "accepted: sizes such as 512K"),
        ("run --name n --cpus 0.0001 -- true", "accepted: cpus such as 2, 0.5 or 250m"),
        ("run --name n --env PATH -- true", "NAME=VALUE"),
        ("run --name n --instances 0 -- true", "1..=1000000"),
        ("run --name 'a b' -- true", "a name is made of"),
        ("kill seven", "expected an id like F1.7"),
        ("pki issue --role king --name n", "[possible values: master, slave, framework, executor, operator]"),
        ("status --masters nowhere", "invalid socket address"),
    ] {
        let ended = place.neap(line);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(accepted), "{line} does not say {accepted:?}: {}", ended.stderr);
    }
}

#[test]
fn in_json_an_error_is_one_object() {
    let place = Place::new();
    for (env, line) in [
        (&[][..], "--output json stauts"),
        (&[("NEAP_OUTPUT", "json")][..], "stauts"),
        (&[][..], "status -o json --config none.toml"),
        (&[][..], "drain -o json s"),
        (&[][..], "drain -o json --extend D1 soon"),
        (&[][..], "--output json"),
    ] {
        let ended = place.neap_with(env, line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{line}");
        let error: serde_json::Value = serde_json::from_str(&ended.stderr).expect(&ended.stderr);
        assert_eq!(error["exit"], 2, "{line}: {error}");
        assert_eq!(error["code"], "usage", "{line}: {error}");
        let text = error["error"].as_str().unwrap();
        assert!(!text.is_empty() && !text.starts_with("error") && !text.contains('\n'), "{line}: {error}");
        assert!(!error["help"].as_array().unwrap().is_empty(), "{line}: {error}");
    }
    let ended = place.neap("-o json drian");
    assert!(ended.stderr.contains("a similar subcommand exists: 'drain'"), "{}", ended.stderr);
}

#[test]
fn help_and_version_succeed_also_where_nobody_reads_on() {
    let place = Place::new();
    for line in ["--help", "-h", "drain --help", "--version", "--help -o json"] {
        let ended = place.neap(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}");
        assert!(ended.stdout.contains("neap"), "{line}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = place.command("--help").stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = status.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_full_disk_is_an_error() {
    let place = Place::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.command("--help").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("error: failed to write the output: No space left on device"), "{error}");
}

#[test]
fn colours_are_for_terminals_or_for_who_asks() {
    let place = Place::new();
    let colored = |env: &[(&str, &str)], line: &str| {
        let ended = place.neap_with(env, line);
        (ended.stdout + &ended.stderr).contains('\x1b')
    };
    assert!(!colored(&[], "--help"));
    assert!(colored(&[], "--help --color always"));
    assert!(colored(&[("NEAP_COLOR", "always")], "--help"));
    assert!(!colored(&[("NEAP_COLOR", "always")], "--help --color never"));
    assert!(colored(&[], "status --color always"));
    assert!(!colored(&[], "status"));
}

#[test]
fn a_bad_log_filter_is_an_error() {
    let ended = Place::new().neap_with(&[("NEAP_LOG", "neap=loudly")], "status");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("NEAP_LOG=\"neap=loudly\" is no log filter"), "{}", ended.stderr);
}
