//! Settings from outside: which file is read, and what wins.

use crate::program::{Ended, Place};

const FILE: &str = r#"
[cluster]
ca = "pki/ca.pem"
cert = "pki/node.pem"
key = "pki/node.key"
masters = ["127.0.0.1:7001"]

[master]
data = "data"
ping_timeout = "3s"
"#;

/// The settings in force, as `-v` logs them.
fn settings(ended: &Ended) -> &str {
    let line = ended.stderr.lines().find(|line| line.contains("settings in force"));
    line.unwrap_or_else(|| panic!("no settings were logged: {}", ended.stderr))
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let place = Place::new();
    place.write(".neap/neap.toml", FILE);
    let env = [("NEAP_MASTER_PING_TIMEOUT", "2s")];
    for (env, line, expected) in [
        (&env[..], "-v master --ping-timeout 1s", "ping_timeout: Period { ms: 1000 }"),
        (&env[..], "-v master", "ping_timeout: Period { ms: 2000 }"),
        (&[][..], "-v master", "ping_timeout: Period { ms: 3000 }"),
        (&[][..], "-v master", "max_ping_timeouts: 5"),
    ] {
        let ended = place.neap_with(env, line);
        assert!(settings(&ended).contains(expected), "{line} {env:?}: {}", settings(&ended));
    }
}

#[test]
fn the_file_is_named_by_flag_then_environment_then_place() {
    let place = Place::new();
    for (file, port) in [(".neap/neap.toml", "7001"), ("env.toml", "7002"), ("flag.toml", "7003")] {
        place.write(file, &FILE.replace("7001", port));
    }
    let env = [("NEAP_CONFIG", "env.toml")];
    for (env, line, expected) in [
        (&env[..], "-vv status --config flag.toml", "masters: [127.0.0.1:7003]"),
        (&env[..], "-vv status", "masters: [127.0.0.1:7002]"),
        (&[][..], "-vv status", "masters: [127.0.0.1:7001]"),
        (&[][..], "-vv status --masters 127.0.0.1:1,127.0.0.1:2", "masters: [127.0.0.1:1, 127.0.0.1:2]"),
    ] {
        let ended = place.neap_with(env, line);
        assert!(settings(&ended).contains(expected), "{line} {env:?}: {}", settings(&ended));
    }
}

#[test]
fn paths_are_relative_to_where_they_are_written() {
    let place = Place::new();
    place.write("etc/neap.toml", FILE);
    let ended = place.neap("-vv status --config etc/neap.toml");
    assert!(settings(&ended).contains("ca: \"etc/pki/ca.pem\""), "{}", settings(&ended));
    let ended = place.neap("-vv status --config etc/neap.toml --ca ca.pem");
    assert!(settings(&ended).contains("ca: \"ca.pem\""), "{}", settings(&ended));
}

#[test]
fn a_wrong_file_is_named_with_line_cause_and_cure() {
    let place = Place::new();
    for (text, error, help) in [
        ("[slave]\nmemory = 1\n", "neap.toml:2: unknown key 'memory'", "known here: name, listen, data"),
        ("[master]\nping_timout = \"1s\"\n", "neap.toml:2: unknown key", "did you mean ping_timeout?"),
        ("[slave]\ncert = \"c\"\n", "neap.toml:2: [slave] cert is set without key", "set key beside cert"),
        ("[slave\n", "neap.toml:1: ", "a config is TOML: lines of `key = value`"),
    ] {
        place.write(".neap/neap.toml", text);
        let ended = place.neap("status");
        assert_eq!(ended.code, Some(2), "{text}");
        assert!(ended.stderr.starts_with("error: .neap/neap.toml:"), "{}", ended.stderr);
        assert!(ended.stderr.contains(error), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("help: {help}")), "{}", ended.stderr);
    }
}

/// Of what is in force together: the file's pings with the default, and with a flag that makes it right.
#[test]
fn a_restarted_master_that_would_not_wait_for_leases_is_refused() {
    let place = Place::new();
    place.write(".neap/neap.toml", &FILE.replace("\"3s\"", "\"2m1s\""));
    let ended = place.neap("master");
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: reregister_timeout is 10m, shorter than ping_timeout times max_ping_timeouts, 2m1s times 5: a \
         restarted master could call fenced tasks lost that still run\n\
         help: make reregister_timeout at least 10m5s, or ping_timeout or max_ping_timeouts smaller\n"
    );
    let ended = place.neap("-v master --reregister-timeout 10m5s");
    assert!(settings(&ended).contains("reregister_timeout: Period { ms: 605000 }"), "{}", settings(&ended));
}

#[test]
fn without_a_cluster_the_error_says_how_to_get_one() {
    let ended = Place::new().neap("status");
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: no master's address is known\n\
         help: name a config file (--config, NEAP_CONFIG) that sets masters, or give --masters IP:PORT\n\
         help: `neap up` starts a local cluster and writes its config, ./.neap/neap.toml\n"
    );
}
