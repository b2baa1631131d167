//! `neap-fuzz TARGET FILE`: tells step by step what a target does with a file, such as one that a fuzzer found.

use std::path::Path;
use std::process::ExitCode;

use neap_fuzz::choices::{Choices, bytes_of};
use neap_fuzz::{TARGETS, Target};

const USAGE: &str = "\
usage: cargo run -p neap-fuzz -- TARGET FILE
       cargo run -p neap-fuzz -- TARGET --seed N";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match told(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::from(2)
        }
    }
}

fn told(arguments: &[&str]) -> Result<(), String> {
    let (name, bytes) = match arguments {
        [name, "--seed", seed] => (name, Err(seed.parse().map_err(|_| format!("{seed} is no number"))?)),
        [name, file] => (name, Ok(file)),
        _ => return Err(format!("{USAGE}\ntargets: {}", names())),
    };
    let target = neap_fuzz::named(name).ok_or_else(|| format!("no target {name}: one of {}", names()))?;
    let bytes = match bytes {
        Ok(file) => {
            std::fs::read(Path::new(file)).map_err(|cause| format!("failed to read {file}: {cause}"))?
        }
        Err(seed) => bytes_of(seed, target.length),
    };
    tell(target, &bytes);
    Ok(())
}

fn tell(target: &Target, bytes: &[u8]) {
    let mut choices = Choices::telling(bytes);
    (target.run)(&mut choices);
    let reached: Vec<&str> = choices.reached().keys().copied().collect();
    println!("nothing is wrong; reached: {}", reached.join(", "));
}

fn names() -> String {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.join(", ")
}
