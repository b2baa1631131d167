//! `explore`: a walk through a scope in a browser.

use std::process::ExitCode;

use super::near;
use crate::explore;
use crate::scope::Scope;
use crate::story::code;

/// Walk through a scope in a browser, step by step
#[derive(Debug, clap::Args)]
#[command(after_help = "\
\"Run to completion\" searches for what is broken, and for an example of each property that --property lists; what must \
come about in the end is not searched for: `check` does that.")]
pub(super) struct Args {
    /// Which scope
    scope: String,
    /// Begin at the end of a story, by the code that was printed with it
    code: Option<String>,
    /// List the properties in whose name this is, too, and link an example or a counterexample of each; may be repeated
    #[arg(long, value_name = "TEXT")]
    property: Vec<String>,
    /// On which port of this machine; 0 for any that is free
    #[arg(long, value_name = "P", default_value_t = 3000)]
    port: u16,
}

/// Serves it until it is interrupted.
pub(super) fn run(args: &Args) -> ExitCode {
    let (scope, path) = match place(args) {
        Ok(place) => place,
        Err(problem) => return failed(&problem),
    };
    let address = match explore::address(args.port) {
        Ok(address) => address,
        Err(error) => {
            return failed(&format!(
                "port {} cannot be had ({error}): choose another with --port",
                args.port
            ));
        }
    };
    super::say(&format!("{}: {}\n", scope.name, scope.about));
    super::say(&format!("open http://{address}/{path} in a browser; Ctrl-C ends it\n"));
    let properties = args.property.iter().flat_map(|text| explore::properties_named(text));
    explore::serve(scope, properties.collect(), address);
    ExitCode::from(super::HELD)
}

/// The scope, and where in it to begin, as the explorer's pages are called.
fn place(args: &Args) -> Result<(Scope, String), String> {
    let scope = near::scope(&args.scope)?;
    let Some(code) = &args.code else { return Ok((scope, String::new())) };
    code::decode(&scope, code).map_err(|error| error.to_string())?;
    let choices = code::choices_of(code).map_err(|error| error.to_string())?;
    let choices: String = choices.iter().map(|choice| format!("/{choice}")).collect();
    // The first is the state in which it begins.
    Ok((scope, format!("#/steps/0{choices}")))
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("failed to explore: {problem}");
    ExitCode::from(super::MISUSED)
}
