//! SIGUSR1 to a slave with hostile trees (R24).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::cluster::{Master, PATIENCE};
use crate::live::{Hostiles, Scene, Seen};
use crate::table::Row;
use crate::{Scale, place};

pub(crate) fn run(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let hostiles = Hostiles::new(place.path());
    let mut all: Vec<Seen> = Vec::new();
    let mut survivors = Vec::new();
    while all.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let mut scene = Scene::set(place, &master, &hostiles, scale.many, "")?;
        all.push(scene.drain_now()?);
        survivors.push(hostiles.living().len());
        match scene.slave.exit_code(PATIENCE) {
            Some(0) => {}
            code => return Err(format!("the slave ended with {code:?}: {}", scene.slave.log())),
        }
    }
    let (trees, one) = match scale.many {
        1 => ("one hostile tree".to_owned(), true),
        many => (format!("{many} hostile trees"), false),
    };
    let [dead, told] = match one {
        true => [(6.0, DEAD_ONE), (8.0, TOLD_ONE)],
        false => [(100.0, DEAD_MANY), (100.0, TOLD_MANY)],
    };
    let last = if one { "" } else { "last " };
    let after = |seen: &Seen| seen.told.saturating_sub(seen.dead);
    Ok(vec![
        Row::times(format!("SIGUSR1, {trees}: {last}dead"), all.iter().map(|seen| seen.dead))
            .budget(dead.0)
            .reference(dead.1),
        Row::times(format!("SIGUSR1, {trees}: {last}told Lost"), all.iter().map(|seen| seen.told))
            .budget(told.0)
            .reference(told.1),
        Row::times(format!("SIGUSR1, {trees}: told − dead"), all.iter().map(after)),
        Row::never(format!("SIGUSR1, {trees}: alive when told"), all.iter().map(|seen| seen.alive_when_told))
            .reference(if one { ALIVE_ONE } else { "" }),
        Row::never(format!("SIGUSR1, {trees}: survivors"), survivors).reference(if one {
            SURVIVORS_ONE
        } else {
            ""
        }),
    ])
}

const DEAD_ONE: &str = "Mesos 1.11: 1,138–5,007 ms; Slurm 22.05: 16 ms; Dask: 19 s";
const TOLD_ONE: &str = "Mesos 1.11: 9 ms; Slurm 22.05: 17 ms; Dask: 2 ms; Ray: 6 ms";
const ALIVE_ONE: &str = "Mesos 1.11: told first, always; Slurm 22.05: in 5 of 12";
const SURVIVORS_ONE: &str = "Mesos 1.11 without its cgroup launcher: 2; Ray: some";
const DEAD_MANY: &str = "Mesos 1.11: 1,416–1,539 ms";
const TOLD_MANY: &str = "Mesos 1.11: 659–894 ms";
