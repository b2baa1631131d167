//! `properties`: which property guards what, in which scopes, over how many states.

use std::path::PathBuf;
use std::process::ExitCode;

use super::bounds::Bounds;
use super::near;
use crate::check;
use crate::properties::{self, Kind};
use crate::table::{self, Records};
use crate::{scope::Scope, scopes};

/// List what is checked, or make the table of it from runs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run these scopes; unless any is named, all but those that take long
    #[arg(value_name = "SCOPE", conflicts_with = "all")]
    scopes: Vec<String>,
    /// Those that take long too
    #[arg(long)]
    all: bool,
    /// Run the scopes, and print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Run the scopes, and write the table to this file; what it says of other scopes stays
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    bounds: Bounds,
}

/// Lists, or runs and writes.
pub(super) fn run(args: &Args) -> ExitCode {
    if !args.markdown && args.write.is_none() {
        list();
        return ExitCode::from(super::HELD);
    }
    match written(args) {
        Ok(()) => ExitCode::from(super::HELD),
        Err((exit, problem)) => {
            eprintln!("failed to make the table: {problem}");
            ExitCode::from(exit)
        }
    }
}

fn list() {
    for property in properties::ALL {
        let kind = match property.kind {
            Kind::Step(_) | Kind::State(_) => "always",
            Kind::Eventually(_) => "eventually",
            Kind::Sometimes(_) => "sometimes",
        };
        super::say(&format!("{kind:10}  {:40}  {}\n", property.name, property.guards));
    }
}

fn written(args: &Args) -> Result<(), (u8, String)> {
    let misused = |problem: String| (super::MISUSED, problem);
    let mut records = match &args.write {
        Some(file) if file.exists() => {
            let kept = std::fs::read_to_string(file);
            let kept = kept.map_err(|error| misused(format!("cannot read {}: {error}", file.display())))?;
            // What no longer fits is made anew.
            table::records(&kept).unwrap_or_default()
        }
        Some(_) | None => Records::new(),
    };
    let limits = args.bounds.limits();
    for scope in chosen(args).map_err(misused)? {
        eprintln!("{}", scope.name);
        let checked = check::check(&scope, limits, |_| {});
        let record = table::record(&checked);
        records.insert(scope.name, record.map_err(|problem| (super::INCOMPLETE, problem))?);
    }
    let document = table::document(&records);
    if args.markdown {
        super::say(&document);
    }
    if let Some(file) = &args.write {
        std::fs::write(file, document)
            .map_err(|error| misused(format!("cannot write {}: {error}", file.display())))?;
    }
    Ok(())
}

fn chosen(args: &Args) -> Result<Vec<Scope>, String> {
    if !args.scopes.is_empty() {
        return args.scopes.iter().map(|name| near::scope(name)).collect();
    }
    Ok(scopes::all().into_iter().filter(|scope| args.all || !scope.long).collect())
}
