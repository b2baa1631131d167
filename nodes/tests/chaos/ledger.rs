//! Two ledgers, and what must hold between them: what the schedulers were told, as `neap run` printed it, and what
//! really ran, as the tasks wrote it themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An update that a scheduler was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Which run, by its place among all.
    pub(crate) run: usize,
    pub(crate) task: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    /// Whether the task is fenced (R9).
    pub(crate) fenced: bool,
    /// What lived of the task, by the kernel, after this was told; looked at where it is to be dead.
    pub(crate) alive: Vec<Living>,
}

/// A process that lived when its task was told to be dead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Living {
    /// Its number, its command line, and where it is.
    pub(crate) what: String,
    /// Its process group.
    pub(crate) group: u32,
    pub(crate) is_executor: bool,
    /// No slave looked after it: its own was dead or stopped.
    pub(crate) is_alone: bool,
}

impl Told {
    pub(crate) fn is_end(&self) -> bool {
        ["Finished", "Failed", "Killed", "Lost", "Dropped"].contains(&self.state.as_str())
    }

    /// Whether it says that nothing of the task lives. All ends do, but one: whoever is silent may live, unless it is
    /// fenced (R9).
    pub(crate) fn says_dead(&self) -> bool {
        self.is_end() && (self.fenced || !self.is_lost_unseen())
    }

    /// Whether it is an end that nobody has seen.
    pub(crate) fn is_lost_unseen(&self) -> bool {
        self.is_end() && ["SlaveUnreachable", "SlaveDeclaredDead"].contains(&self.reason.as_str())
    }
}

/// A run of `neap run` that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: String,
    /// How many instances a batch has; a service, which is torn down in the end, has `None`.
    pub(crate) batch: Option<usize>,
    pub(crate) code: Option<i32>,
    /// Whether its scheduler was killed, and taken up by another.
    pub(crate) killed: bool,
}

/// What a task wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    starts: usize,
    ends: usize,
    /// How often an earlier task of its instance lived when it began; only fenced ones look.
    beside: usize,
    instance: usize,
    /// Its process group, which is its first process.
    group: u32,
}

/// What a task's script does to write the ledger `$RAN`: each line is one write.
pub(crate) const START: &str = r#"echo "start $PWD $NEAP_INSTANCE $$" >> "$RAN""#;
pub(crate) const END: &str = r#"echo "end $PWD $NEAP_INSTANCE $$" >> "$RAN""#;

/// What a fenced task does first: its process group holds its instance's lock for as long as anything of it lives.
pub(crate) fn alone(run: &str) -> String {
    format!(
        r#"exec 9>> "${{RAN%/*}}/locks/{run}.$NEAP_INSTANCE"
flock -n 9 || echo "beside $PWD $NEAP_INSTANCE $$" >> "$RAN""#
    )
}

/// The task whose sandbox this is: `…/F1/F1.x7` is that of F1.7.
pub(crate) fn task_of(sandbox: &Path) -> Option<String> {
    let (framework, number) = sandbox.file_name()?.to_str()?.split_once(".x")?;
    Some(format!("{framework}.{number}"))
}

/// What the tasks wrote, by task.
pub(crate) fn ran(ledger: &str) -> Result<BTreeMap<String, Ran>, String> {
    let mut tasks: BTreeMap<String, Ran> = BTreeMap::new();
    for line in ledger.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, sandbox, instance, group] = words[..] else {
            return Err(format!("a task wrote {line:?}"));
        };
        let (task, instance, group) = (task_of(Path::new(sandbox)), instance.parse(), group.parse());
        let (Some(task), Ok(instance), Ok(group)) = (task, instance, group) else {
            return Err(format!("a task wrote {line:?}"));
        };
        let ran = tasks.entry(task).or_default();
        (ran.instance, ran.group) = (instance, group);
        match what {
            "start" => ran.starts += 1,
            "end" => ran.ends += 1,
            "beside" => ran.beside += 1,
            _ => return Err(format!("a task wrote {line:?}")),
        }
    }
    Ok(tasks)
}

/// What does not hold between what was told and what ran.
pub(crate) fn judge(runs: &[Run], told: &[Told], ran: &BTreeMap<String, Ran>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ends: BTreeMap<&str, &Told> = BTreeMap::new();
    let mut frameworks: BTreeMap<&str, usize> = BTreeMap::new();
    for update in told {
        let Told { run, task, state, reason, .. } = update;
        let name = &runs[*run].name;
        frameworks.insert(framework(task), *run);
        // One that was killed may not have got around to acknowledging what it was told: it hears it again, to the same
        // end.
        // A new leader knows only that its slave is removed, and not why.
        let removed = |reason: &str| ["SlaveDeclaredDead", "SlaveRemoved"].contains(&reason);
        let same = |end: &Told| {
            let alike = end.reason == *reason || removed(&end.reason) && removed(reason);
            !update.is_end() || end.state == *state && alike
        };
        let again = |end: &Told| runs[*run].killed && same(end);
        if let Some(end) = ends.get(task.as_str()).filter(|end| !again(end)) {
            wrong.push(format!("S9: {name} was told {state} of {task}, which was {}", end.state));
        }
        if update.is_end() {
            ends.insert(task, update);
        }
        let alive = undead(update, ran.get(task.as_str()));
        if !alive.is_empty() {
            wrong.push(format!("S1: {name} was told {state} ({reason}) of {task}, of which lives {alive:?}"));
        }
    }
    for (task, ran) in ran {
        let end = ends.get(task.as_str()).map(|end| end.state.as_str());
        let run = frameworks.get(framework(task)).map(|run| &runs[*run]);
        match end {
            _ if ran.starts != 1 || ran.ends > 1 => wrong.push(format!("S16: {task} ran so: {ran:?}")),
            _ if ran.beside > 0 => {
                wrong.push(format!("R9: {task} began while an earlier task of its instance lived: {ran:?}"));
            }
            Some("Dropped") => wrong.push(format!("S10: {task} was told Dropped and ran")),
            Some(_) => {}
            // A service that is torn down is told no more.
            None if run.is_some_and(|run| run.batch.is_none()) => {}
            None => wrong.push(format!("R12: {task} ran, and no end of it was told")),
        }
    }
    let of_batches = told.iter().filter(|told| runs[told.run].batch.is_some());
    let of_batches: BTreeSet<(&str, usize)> = of_batches.map(|told| (told.task.as_str(), told.run)).collect();
    for (task, run) in of_batches {
        let name = &runs[run].name;
        match ends.get(task) {
            None => wrong.push(format!("R12: {name} was never told an end of {task}")),
            Some(end) if end.state == "Finished" => {
                let ran = ran.get(task).cloned().unwrap_or_default();
                if (ran.starts, ran.ends) != (1, 1) || end.reason != "Exited(0)" {
                    wrong.push(format!("{name} was told Finished ({}) of {task}: {ran:?}", end.reason));
                }
            }
            Some(_) => {}
        }
    }
    for (at, run) in runs.iter().enumerate() {
        let began = told.iter().any(|told| told.run == at);
        wrong.extend(of_run(at, run, began, ends.values().copied().filter(|end| end.run == at), ran));
    }
    wrong
}

/// What should not have lived when this was told. Where nobody has seen the end (R9) a task's executor may live on, and so
/// may what has left the task's process group and has no slave that would end it.
fn undead<'a>(told: &'a Told, ran: Option<&Ran>) -> Vec<&'a str> {
    let has_left = |living: &Living| ran.is_some_and(|ran| ran.group != living.group);
    let may_live = |living: &Living| {
        told.is_lost_unseen() && (living.is_executor || (living.is_alone && has_left(living)))
    };
    told.alive.iter().filter(|living| !may_live(living)).map(|living| living.what.as_str()).collect()
}

/// Every instance of a batch has succeeded once, or it was given up for what it had failed; or none has begun, where no
/// leader was reached in time.
fn of_run<'a>(
    at: usize,
    run: &Run,
    began: bool,
    ends: impl Iterator<Item = &'a Told>,
    ran: &BTreeMap<String, Ran>,
) -> Option<String> {
    let Run { name, batch, code, .. } = run;
    let Some(instances) = *batch else {
        return (*code != Some(0)).then(|| format!("the service {name} (run {at}) ended with {code:?}"));
    };
    let (mut succeeded, mut failed) = (vec![0; instances], 0);
    for end in ends {
        match (end.state.as_str(), ran.get(&end.task)) {
            ("Finished", Some(ran)) if ran.instance < instances => succeeded[ran.instance] += 1,
            ("Failed", _) => failed += 1,
            _ => {}
        }
    }
    let as_it_should = match code {
        Some(0) => succeeded.iter().all(|times| *times == 1),
        Some(1) => failed >= attempts() && succeeded.iter().all(|times| *times <= 1),
        Some(4) => !began,
        _ => false,
    };
    (!as_it_should).then(|| {
        format!(
            "{name} ended with {code:?}; its instances succeeded so often: {succeeded:?}; {failed} failed"
        )
    })
}

fn framework(task: &str) -> &str {
    task.split('.').next().unwrap_or(task)
}

/// How often an instance of a batch may fail.
fn attempts() -> usize {
    neap_nodes::cli::work::Attempts::default().limit().map_or(usize::MAX, |attempts| attempts as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a batch of two and a service of one: one task was lost and run again.
    fn story() -> (Vec<Run>, Vec<Told>, String) {
        let run = |name: &str, batch| Run { name: name.into(), batch, code: Some(0), killed: false };
        let runs = vec![run("batch", Some(2)), run("service", None)];
        let told = [
            (0, "F1.1", "Running", "Normal"),
            (1, "F2.1", "Running", "Normal"),
            (0, "F1.2", "Running", "Normal"),
            (0, "F1.1", "Lost", "SlaveUnreachable"),
            (0, "F1.2", "Finished", "Exited(0)"),
            (0, "F1.3", "Dropped", "SlaveDisconnected"),
            (0, "F1.4", "Finished", "Exited(0)"),
        ];
        let told = told.map(|(run, task, state, reason)| Told {
            run,
            task: task.into(),
            state: state.into(),
            reason: reason.into(),
            fenced: false,
            alive: Vec::new(),
        });
        let ran = "start /p/slave-1/sandboxes/F1/F1.x1 0 7\nstart /p/slave-2/sandboxes/F2/F2.x1 0 8\n\
                   start /p/slave-2/sandboxes/F1/F1.x2 1 9\nend /p/slave-2/sandboxes/F1/F1.x2 1 9\n\
                   start /p/slave-3/sandboxes/F1/F1.x4 0 10\nend /p/slave-3/sandboxes/F1/F1.x4 0 10\n\
                   end /p/slave-1/sandboxes/F1/F1.x1 0 7\n";
        (runs, told.into(), ran.into())
    }

    /// What is wrong with the story once it is doctored.
    fn wrong(doctor: impl FnOnce(&mut Vec<Run>, &mut Vec<Told>, &mut String)) -> String {
        let (mut runs, mut told, mut written) = story();
        doctor(&mut runs, &mut told, &mut written);
        judge(&runs, &told, &ran(&written).unwrap()).join("\n")
    }

    #[test]
    fn what_should_hold_is_seen_not_to() {
        assert_eq!(wrong(|_, _, _| ()), "");
        let again = wrong(|_, told, _| told.push(told[3].clone()));
        assert!(again.starts_with("S9: batch was told Lost of F1.1, which was Lost"), "{again}");
        let taken_up = wrong(|runs, told, _| {
            runs[0].killed = true;
            told.extend([told[0].clone(), told[3].clone()]);
        });
        assert_eq!(taken_up, "");
        let other = wrong(|runs, told, _| {
            runs[0].killed = true;
            told.push(Told { state: "Killed".into(), ..told[3].clone() });
        });
        assert!(other.starts_with("S9: batch was told Killed of F1.1, which was Lost"), "{other}");
        let twice = wrong(|_, _, ran| ran.push_str("start /p/slave-4/sandboxes/F1/F1.x1 0 9\n"));
        assert!(twice.starts_with("S16: F1.1 ran so"), "{twice}");
        let dropped = wrong(|_, _, ran| ran.push_str("start /p/slave-4/sandboxes/F1/F1.x3 0 9\n"));
        assert!(dropped.starts_with("S10: F1.3 was told Dropped and ran"), "{dropped}");
        let untold = wrong(|_, _, ran| ran.push_str("start /p/slave-4/sandboxes/F1/F1.x9 0 9\n"));
        assert!(untold.starts_with("R12: F1.9 ran, and no end of it was told"), "{untold}");
        let endless = wrong(|_, told, _| drop(told.remove(3)));
        assert!(endless.contains("R12: batch was never told an end of F1.1"), "{endless}");
        let unwritten = wrong(|_, _, ran| *ran = ran.replace("end /p/slave-3/sandboxes/F1/F1.x4 0 10\n", ""));
        assert!(unwritten.starts_with("batch was told Finished (Exited(0)) of F1.4"), "{unwritten}");
        let unfinished = wrong(|_, told, _| told[6].state = "Lost".into());
        assert!(unfinished.contains("batch ended with Some(0); its instances succeeded so often: [0, 1]"));
        let given_up = wrong(|runs, _, _| runs[0].code = Some(1));
        assert!(given_up.contains("batch ended with Some(1)"), "it failed for nothing");
        let unreached = wrong(|runs, _, _| runs[0].code = Some(4));
        assert!(unreached.contains("batch ended with Some(4)"), "it had begun");
        let never = |runs: &mut Vec<Run>, batch| {
            runs.push(Run { name: "late".into(), batch, code: Some(4), killed: false });
        };
        assert_eq!(wrong(|runs, _, _| never(runs, Some(1))), "");
        let unknown = wrong(|_, _, ran| ran.push_str("start /p/slave-4/sandboxes/F3/F3.x1 0 9\n"));
        assert!(unknown.starts_with("R12: F3.1 ran, and no end of it was told"), "{unknown}");
        let service = wrong(|runs, _, _| runs[1].code = None);
        assert_eq!(service, "the service service (run 1) ended with None");
    }

    /// Only what nobody has seen the end of may have left something, and only what no lease reaches.
    #[test]
    fn what_lives_of_the_dead_is_seen() {
        let left = |told: usize, living: Living| wrong(|_, all, _| all[told].alive.push(living));
        let (seen, unseen) = (4, 3);
        let task = Living { group: 7, is_alone: true, ..Living::default() };
        let lost = left(unseen, task.clone());
        assert!(lost.starts_with("S1: batch was told Lost (SlaveUnreachable) of F1.1, of which"), "{lost}");
        let gone = Living { group: 70, ..task.clone() };
        assert_eq!(left(unseen, gone.clone()), "");
        assert!(left(unseen, Living { is_alone: false, ..gone.clone() }).starts_with("S1"));
        let executor = Living { is_executor: true, is_alone: false, ..gone.clone() };
        assert_eq!(left(unseen, executor.clone()), "");
        for living in [task, gone, executor] {
            let alive = left(seen, living);
            assert!(
                alive.starts_with("S1: batch was told Finished (Exited(0)) of F1.2, of which"),
                "{alive}"
            );
        }
        let beside = wrong(|_, _, ran| ran.push_str("beside /p/slave-3/sandboxes/F1/F1.x4 0 10\n"));
        assert!(beside.starts_with("R9: F1.4 began while an earlier task"), "{beside}");
        let lost = story().1.swap_remove(unseen);
        assert!(!lost.says_dead() && Told { fenced: true, ..lost }.says_dead());
    }
}
