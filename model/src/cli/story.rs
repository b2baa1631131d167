//! `story`: a way through a scope, told again.

use std::process::ExitCode;

use super::near;
use crate::properties::{self, Kind};
use crate::story::{self, code};
use crate::{search, world::World};

/// Tell a way through a scope again, from the code that `check` printed with it
#[derive(Debug, clap::Args)]
#[command(after_help = "Exits with 1 if a property is broken at the end of it, with 0 if none is.")]
pub(super) struct Args {
    /// Which scope
    scope: String,
    /// The code
    code: String,
}

/// Tells it; 1 if it ends badly.
pub(super) fn run(args: &Args) -> ExitCode {
    match told(&args.scope, &args.code) {
        Ok((text, exit)) => {
            super::say(&text);
            ExitCode::from(exit)
        }
        Err(problem) => {
            eprintln!("failed to tell the story: {problem}");
            ExitCode::from(super::MISUSED)
        }
    }
}

fn told(scope: &str, code: &str) -> Result<(String, u8), String> {
    let scope = near::scope(scope)?;
    let actions = code::decode(&scope, code).map_err(|error| error.to_string())?;
    let end = actions.iter().fold(World::begin(&scope), |world, action| world.step(&scope, *action));
    let mut broken: Vec<usize> = end.broken.iter().collect();
    if broken.is_empty() {
        broken = search::never(&scope, &end);
    }
    if let Some(first) = broken.first() {
        return Ok((story::story(&scope, &actions, *first), super::BROKEN));
    }
    let mut text = format!("A way through {}, in {} steps:\n\n", scope.name, actions.len());
    let end = story::tell(&scope, &actions, &mut text);
    text.push_str("\nHow things are then:\n\n");
    text.push_str(&story::picture(&scope, &end));
    let eventually =
        properties::ALL.iter().filter(|property| matches!(property.kind, Kind::Eventually(_))).count();
    text.push_str(&format!(
        "\nNothing is broken there, and from there each of {eventually} `eventually` properties comes about.\n"
    ));
    Ok((text, super::HELD))
}
