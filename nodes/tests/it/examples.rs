//! Every example that help shows is a line that neap understands.

use std::ffi::OsString;

use neap_nodes::cli;
use neap_nodes::output::Color;

fn examples(command: &clap::Command, words: &str, found: &mut Vec<(String, String)>) {
    for sub in command.get_subcommands() {
        let words = format!("{words} {}", sub.get_name());
        let text = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
        let before = found.len();
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let lines = lines.filter(|line| line.starts_with("neap "));
        found.extend(lines.map(|line| (words.clone(), line.to_owned())));
        assert!(found.len() > before, "{words} has no example");
        examples(sub, &words, found);
    }
}

#[test]
fn every_example_parses() {
    let mut found = Vec::new();
    examples(&cli::command(), "neap", &mut found);
    for (words, line) in &found {
        assert!(line.starts_with(words), "{words} shows another command: {line}");
        assert!(line.len() <= 98, "wider than help is: {line}");
        let args = shlex::split(line).unwrap().into_iter().map(OsString::from);
        if let Err(error) = cli::parse(args, Color::Never) {
            panic!("{line}\n{error}");
        }
    }
    assert!(found.len() >= 21, "an example for each command, at least");
}
