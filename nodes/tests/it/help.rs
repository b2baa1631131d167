//! What `--help` says, command by command, as a person reads it in 100 columns. After a change on purpose:
//! `INSTA_UPDATE=always cargo test -p neap-nodes`, and read the difference.

use neap_nodes::cli;

/// Every command, with the words that lead to it.
fn commands() -> Vec<(String, clap::Command)> {
    let mut root = cli::command().term_width(100);
    root.build();
    let mut found = vec![("neap".to_owned(), root)];
    let mut at = 0;
    while at < found.len() {
        let (words, command) = found[at].clone();
        found.extend(
            command.get_subcommands().map(|sub| (format!("{words} {}", sub.get_name()), sub.clone())),
        );
        at += 1;
    }
    found
}

#[test]
fn every_command_has_its_help() {
    for (words, mut command) in commands() {
        let help = command.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(words.replace(' ', "-"), help.join("\n"));
        });
    }
}

#[test]
fn every_command_and_flag_is_explained() {
    for (words, command) in commands() {
        assert!(command.get_about().is_some(), "{words} says nothing of itself");
        for arg in command.get_arguments().filter(|arg| arg.get_id() != "help" && arg.get_id() != "version") {
            assert!(arg.get_help().is_some(), "{words}: {} is not explained", arg.get_id());
        }
    }
}
