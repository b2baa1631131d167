//! Logs: on stderr, values as fields, filtered by `-v` or `NEAP_LOG`. Set up here and nowhere else.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Exit;
use crate::outlet::Stderr;
use crate::output::{Color, Failure};

/// The environment variable that holds a filter: `info`, or `neap_nodes=debug,quinn=warn`.
pub const LOG_ENV: &str = "NEAP_LOG";

/// Sets up the process's logging. `verbose` counts `-v`: it wins over [`LOG_ENV`], which wins over `daemon`'s
/// level (nodes tell what they do, commands only what somebody must know).
///
/// # Errors
/// Exit 2, where [`LOG_ENV`] holds no filter, or where logging has been set up before.
pub fn init(verbose: u8, daemon: bool, color: Color) -> Result<(), Failure> {
    let from_env = std::env::var(LOG_ENV).ok();
    let directives = directives(verbose, from_env.as_deref(), daemon);
    let filter = filter(&directives).map_err(|error| {
        Failure::new(Exit::Usage, format!("{LOG_ENV}={directives:?} is no log filter: {error}"))
            .help(format!("for example {LOG_ENV}=info or {LOG_ENV}=neap=debug,quinn=warn"))
    })?;
    let color = color.enabled(io::stderr().is_terminal());
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Stderr).with_ansi(color);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .try_init()
        .map_err(|error| Failure::new(Exit::Failed, format!("failed to set up logging: {error}")))
}

/// Levels by target. tracing's richer filter can tell spans and fields apart, of which there are none here, and brings
/// tables into the program that cost every start of an executor.
fn filter(directives: &str) -> Result<Targets, ParseError> {
    let directives: Vec<&str> =
        directives.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    directives.join(",").parse()
}

/// The filter. A target that begins with `neap` is one of this workspace's crates.
fn directives(verbose: u8, from_env: Option<&str>, daemon: bool) -> String {
    match (verbose, from_env) {
        (0, Some(filter)) if !filter.trim().is_empty() => filter.to_owned(),
        (0, _) if daemon => "warn,neap=info".into(),
        (0, _) => "warn".into(),
        (1, _) if daemon => "warn,neap=debug".into(),
        (1, _) => "warn,neap=info".into(),
        (2, _) => "info,neap=debug".into(),
        (3, _) => "info,neap=trace".into(),
        _ => "trace".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_over_the_default() {
        assert_eq!(directives(1, Some("error"), false), "warn,neap=info");
        assert_eq!(directives(0, Some("error"), true), "error");
        assert_eq!(directives(0, Some(" "), true), "warn,neap=info");
        assert_eq!(directives(0, None, false), "warn");
    }

    #[test]
    fn every_level_is_a_filter() {
        for verbose in 0..=5 {
            for daemon in [false, true] {
                let text = directives(verbose, None, daemon);
                assert!(filter(&text).is_ok(), "{text}");
            }
        }
    }
}
