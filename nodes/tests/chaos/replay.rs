//! The journals of every node and executor, replayed: the same inputs have the same effects, every invariant holds,
//! and every driver has kept its promises. And they are whole, but for what kill -9 takes from one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use neap_model::replay::tape::{AnyRun, Tape};
use neap_model::replay::{Replay, Report};
use neap_protocol::journal::End;
use neap_protocol::transport::Role;

/// What was held against the invariants.
pub(crate) struct Held {
    pub(crate) inputs: u64,
    /// How often each check had something to look at.
    pub(crate) looked: Vec<(&'static str, u64)>,
}

/// Holds everything against the journals in a directory, and sees that there was something to hold against these
/// checks. `kills` is how often each node was killed, by its journal's name.
pub(crate) fn holds(
    journals: &Path,
    kills: &BTreeMap<String, usize>,
    looked_at: &[&str],
) -> Result<Held, String> {
    let mut tapes = Vec::new();
    for entry in fs::read_dir(journals).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        match Tape::read(&path.display().to_string(), &bytes) {
            Ok(tape) => {
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                is_whole(&tape, kills.get(name).copied().unwrap_or_default())?;
                tapes.push(tape);
            }
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
    let looked = verdicts.iter().map(|verdict| (verdict.check, verdict.looked)).collect();
    Ok(Held { inputs: steps as u64, looked })
}

/// Whether a journal is all that its node did. One breaks off where its node was killed, so often and not at its end;
/// executors are ended by force once their work is done.
fn is_whole(tape: &Tape, kills: usize) -> Result<(), String> {
    let file = &tape.file;
    for run in &tape.runs {
        if let Some(End::Stopped(cause)) = run.end() {
            return Err(format!("{file} stopped, and its node went on: {cause}"));
        }
    }
    let of_executor = |run: &AnyRun| run.header().role == Role::Executor;
    if tape.runs.iter().any(of_executor) {
        return Ok(());
    }
    let cut = tape.runs.iter().filter(|run| run.end().is_none()).count();
    let last = tape.runs.last().and_then(AnyRun::end);
    match cut <= kills && last.is_some() && tape.damage.is_none() {
        true => Ok(()),
        false => Err(format!(
            "{file}: {cut} of its runs were cut short, and its node was killed {kills} times; \
             the last ended {last:?}; {:?}",
            tape.damage
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_nodes::journal::{Journal, Options};
    use neap_protocol::framework::{Config, Framework};
    use neap_protocol::text::{Name, Text};
    use std::rc::Rc;

    /// A journal that stops by itself, or breaks off where nobody was killed, is no witness.
    #[test]
    fn a_journal_that_is_not_whole_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("run.journal");
        let name = Name::new("run").unwrap();
        let run = || {
            let config = Config::new(name.clone());
            Journal::open::<Framework>(Some(&Options::at(file.clone())), &name, &config).unwrap()
        };
        let judged = |kills| is_whole(&Tape::read("run", &fs::read(&file).unwrap()).unwrap(), kills);
        drop(run());
        assert_eq!(judged(0), Ok(()));
        let ended = fs::read(&file).unwrap();
        // As it is when it has begun.
        let broken_off = {
            let _goes_on = run();
            fs::read(&file).unwrap()
        };
        fs::write(&file, &broken_off).unwrap();
        assert!(judged(1).unwrap_err().contains("the last ended None"), "its node ended in peace at last");
        drop(run());
        assert_eq!(judged(1), Ok(()));
        assert!(judged(0).unwrap_err().contains("1 of its runs were cut short"), "nobody was killed");
        fs::write(&file, &ended[..ended.len() - 1]).unwrap();
        assert!(judged(1).is_err(), "it is torn");
        let mut tape = Tape::read("run", &ended).unwrap();
        let Some(AnyRun::Framework(run)) = tape.runs.first_mut() else { panic!("a framework's run") };
        Rc::get_mut(run).unwrap().end = Some(End::Stopped(Text::new("the disk was too slow")));
        assert!(is_whole(&tape, 1).unwrap_err().ends_with("went on: the disk was too slow"));
    }
}
