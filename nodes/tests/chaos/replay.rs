//! The journals of every node and executor, replayed: the same inputs have the same effects, every invariant holds,
//! and every driver has kept its promises.

use std::fs;
use std::path::Path;

use neap_model::replay::tape::Tape;
use neap_model::replay::{Replay, Report};

/// Holds everything against the journals in a directory, and sees that there was something to hold against these
/// checks. Answers with how many inputs there were.
pub(crate) fn holds(journals: &Path, looked_at: &[&str]) -> Result<usize, String> {
    let mut tapes = Vec::new();
    for entry in fs::read_dir(journals).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        match Tape::read(&path.display().to_string(), &bytes) {
            Ok(tape) => tapes.push(tape),
            // An executor that was killed at its birth.
            Err(error) if error.is_unbegun() => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    let replay = Replay::new(tapes);
    let Report { steps, verdicts, findings, .. } = replay.check();
    if (replay.damaged(), findings.as_slice()) != (&[], &[]) {
        let findings = findings.iter().take(20);
        return Err(format!("{:?}\n{:#?}", replay.damaged(), findings.collect::<Vec<_>>()));
    }
    for name in looked_at {
        let looked =
            verdicts.iter().find(|verdict| verdict.check.starts_with(name)).map(|found| found.looked);
        if looked.unwrap_or_default() == 0 {
            return Err(format!("nothing was held against {name}: {verdicts:#?}"));
        }
    }
    Ok(steps)
}
