//! What goes wrong. A fault begins, and it ends: whoever died is started again, what was cut is mended. Each waits
//! for an event by which the cluster shows that it has taken it, where there is one.

use std::fmt;
use std::time::Duration;

use neap_protocol::message::{DrainEnd, SlaveStatus};
use neap_protocol::resources::Resources;
use neap_protocol::time::Millis;
use rustix::process::Signal;

use crate::cluster::{Cluster, FRAMEWORK_LINKS, SLAVES};
use crate::ledger;
use crate::link::Weather;
use crate::load::Load;
use crate::process::{PATIENCE, until};
use crate::random::Random;
use crate::truth;

/// A fault, and whom it is to hit: slaves by their place, links by theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9 of the master, which is started again after so long.
    KillMaster(Duration),
    /// SIGTERM to the master, which is started again after so long.
    TerminateMaster(Duration),
    /// SIGSTOP to the master, and SIGCONT after so long.
    StopMaster(Duration),
    /// kill -9 of the master and of every slave; all are started again after so long. Executors and frameworks live.
    KillEverybody(Duration),
    /// kill -9 of a slave, which is started again after so long.
    KillSlave(usize, Duration),
    /// SIGTERM to a slave, which is started again after so long.
    TerminateSlave(usize, Duration),
    /// SIGSTOP to a slave, until it is unreachable, and SIGCONT.
    StopSlave(usize),
    /// SIGSTOP to a slave, until it is known to be silent, and SIGCONT: it keeps its session, if that is before it is
    /// given up.
    StallSlave(usize),
    /// SIGSTOP to a slave, until an operator may say that it is dead, and SIGCONT: it comes back as a new one (R7a).
    Forget(usize),
    /// SIGUSR1 to a slave, which is started as a new one.
    LeaveSlave(usize),
    /// SIGUSR1 to a slave, and kill -9 so long after; it is started again.
    KillLeaving(usize, Duration),
    /// kill -9 of what a slave copies executors from.
    KillTemplate(usize),
    /// kill -9 of an executor of a slave.
    KillExecutor(usize),
    /// SIGSTOP to an executor of a slave, and SIGCONT after so long.
    StopExecutor(usize, Duration),
    /// kill -9 of a scheduler, and the same command again after so long (R14).
    KillScheduler(Duration),
    /// SIGSTOP to a scheduler, and SIGCONT after so long.
    StopScheduler(Duration),
    /// A slave's disk is full for so long.
    FillSlave(usize, Duration),
    /// The master's disk is full for so long; it is a slave that operators cannot hold back.
    FillMaster(usize, Duration),
    /// Nothing passes on a slave's link, in one direction or in both, until it is unreachable.
    Cut(usize, Weather),
    /// A link has such weather for so long.
    Storm(usize, Weather, Duration),
    /// Who is on a link comes from another port from now on, as its router has forgotten how it translated addresses.
    Rebind(usize),
    /// An operator holds a slave back for so long.
    Hold(usize, Duration),
    /// An operator asks whoever has most on a slave to give a part of it back, sooner than schedulers do (R17, R19).
    AskBack(usize),
    /// An operator drains a slave and puts it back.
    Drain(usize),
    /// An operator drains a slave and sends it away; it is started as a new one.
    DrainAway(usize),
    /// kill -9 of a slave, which an operator drains now; it is started again after so long, and is to leave then (R24a).
    NowKilled(usize, Duration),
    /// SIGSTOP to a slave, which an operator drains now, and SIGCONT after so long.
    NowStopped(usize, Duration),
    /// An operator drains a slave, with time enough, and changes his mind so long after.
    CancelDrain(usize, Duration),
}

impl Fault {
    /// One or two faults at once, in the order in which they begin. They end in the other: storms, which end by
    /// themselves, and then what the master suffers, so that the others are not waited for in vain.
    pub(crate) fn several(random: &mut Random) -> Vec<Self> {
        let mut faults = vec![Self::one(random)];
        if random.percent(30) {
            let second = Self::one(random);
            if second.goes_with(&faults[0]) {
                faults.push(second);
            }
        }
        faults.sort_by_key(|fault| match fault {
            Self::Storm(..) => 2,
            other => u8::from(other.victim().is_none()),
        });
        faults
    }

    /// Of each kind there are as many as it has numbers.
    fn one(random: &mut Random) -> Self {
        let slave = random.within(0..SLAVES as u64) as usize;
        let away = random.span(0..800);
        let cut = Weather { cut_up: true, cut_down: true, ..Weather::default() };
        match random.within(0..44) {
            0..2 => Self::KillMaster(away),
            2 => Self::TerminateMaster(away),
            3 => Self::StopMaster(random.span(100..4000)),
            4 => Self::KillEverybody(away),
            5..8 => Self::KillSlave(slave, away),
            8 => Self::TerminateSlave(slave, away),
            9 => Self::StopSlave(slave),
            10 => Self::LeaveSlave(slave),
            11 => Self::KillLeaving(slave, random.span(0..30)),
            12 => Self::KillTemplate(slave),
            13 => Self::KillExecutor(slave),
            14 => Self::Cut(slave, cut),
            15 => {
                let up = random.percent(50);
                Self::Cut(slave, Weather { cut_up: up, cut_down: !up, ..cut })
            }
            // Their sessions live, and so do they (R14).
            16 => {
                let link = SLAVES + random.within(0..FRAMEWORK_LINKS as u64) as usize;
                Self::Storm(link, cut, random.span(300..4000))
            }
            17..19 => {
                let link = random.within(0..(SLAVES + FRAMEWORK_LINKS) as u64) as usize;
                Self::Storm(link, storm(random), random.span(300..2000))
            }
            19 => Self::Hold(slave, away),
            20 => Self::Drain(slave),
            21..23 => Self::KillScheduler(away),
            23 => Self::DrainAway(slave),
            24 => Self::StopExecutor(slave, random.span(100..4000)),
            25 => Self::StopScheduler(random.span(100..4000)),
            26 => {
                let link = SLAVES + random.within(0..FRAMEWORK_LINKS as u64) as usize;
                let up = random.percent(50);
                let cut = Weather { cut_up: up, cut_down: !up, ..cut };
                Self::Storm(link, cut, random.span(300..4000))
            }
            27..31 => Self::FillSlave(slave, random.span(300..3000)),
            31 => Self::AskBack(slave),
            32..34 => Self::StallSlave(slave),
            34..36 => Self::CancelDrain(slave, random.span(0..1500)),
            36..38 => Self::Forget(slave),
            38..40 => Self::Rebind(random.within(0..(SLAVES + FRAMEWORK_LINKS) as u64) as usize),
            40 => Self::NowKilled(slave, away),
            41 => Self::NowStopped(slave, random.span(100..4000)),
            _ => Self::FillMaster(slave, random.span(100..3000)),
        }
    }

    /// Whether both can be at once: what ends the one is not to be what the other prevents, nor the other's end.
    fn goes_with(&self, other: &Self) -> bool {
        let is = |kind: fn(&Self) -> bool| kind(self) || kind(other);
        let storm = is(|fault| matches!(fault, Self::Storm(..)));
        let held = [(self, other), (other, self)].into_iter().any(|(full, other)| match full {
            Self::FillMaster(held, _) => other.victim() == Some(*held),
            _ => false,
        });
        if held {
            return storm;
        }
        match self.victim() == other.victim() {
            true => storm && !is(|fault| matches!(fault, Self::Cut(..))),
            false => storm || !is(|fault| matches!(fault, Self::KillEverybody(_))),
        }
    }

    /// The link that it hits, a slave's being the slave's own; the master has none.
    fn victim(&self) -> Option<usize> {
        match self {
            Self::KillEverybody(_)
            | Self::KillMaster(_)
            | Self::TerminateMaster(_)
            | Self::StopMaster(_)
            | Self::FillMaster(..) => None,
            // On whichever link.
            Self::KillScheduler(_) | Self::StopScheduler(_) => Some(usize::MAX),
            Self::KillSlave(slave, _)
            | Self::TerminateSlave(slave, _)
            | Self::StopSlave(slave)
            | Self::StallSlave(slave)
            | Self::Forget(slave)
            | Self::LeaveSlave(slave)
            | Self::KillLeaving(slave, _)
            | Self::KillTemplate(slave)
            | Self::KillExecutor(slave)
            | Self::StopExecutor(slave, _)
            | Self::FillSlave(slave, _)
            | Self::Cut(slave, _)
            | Self::Storm(slave, _, _)
            | Self::Rebind(slave)
            | Self::Hold(slave, _)
            | Self::AskBack(slave)
            | Self::Drain(slave)
            | Self::CancelDrain(slave, _)
            | Self::DrainAway(slave)
            | Self::NowKilled(slave, _)
            | Self::NowStopped(slave, _) => Some(*slave),
        }
    }

    /// What it is counted as.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::KillMaster(_) => "kill -9 of the master",
            Self::TerminateMaster(_) => "SIGTERM to the master",
            Self::StopMaster(_) => "SIGSTOP to the master",
            Self::KillEverybody(_) => "kill -9 of the master and every slave",
            Self::KillSlave(..) => "kill -9 of a slave",
            Self::TerminateSlave(..) => "SIGTERM to a slave",
            Self::StopSlave(_) => "SIGSTOP to a slave",
            Self::StallSlave(_) => "SIGSTOP to a slave for a while",
            Self::Forget(_) => "a stopped slave declared dead",
            Self::LeaveSlave(_) => "SIGUSR1 to a slave",
            Self::KillLeaving(..) => "SIGUSR1 to a slave, and kill -9",
            Self::KillTemplate(_) => "kill -9 of an executors' template",
            Self::KillExecutor(_) => "kill -9 of an executor",
            Self::StopExecutor(..) => "SIGSTOP to an executor",
            Self::KillScheduler(_) => "kill -9 of a scheduler",
            Self::StopScheduler(_) => "SIGSTOP to a scheduler",
            Self::FillSlave(..) => "full disk of a slave",
            Self::FillMaster(..) => "full disk of the master",
            Self::Cut(_, Weather { cut_up: true, cut_down: true, .. }) => "cut",
            Self::Cut(..) => "one-way cut",
            Self::Storm(_, Weather { cut_up: true, cut_down: true, .. }, _) => "cut of frameworks",
            Self::Storm(_, Weather { cut_up: true, .. } | Weather { cut_down: true, .. }, _) => {
                "one-way cut of frameworks"
            }
            Self::Storm(..) => "loss, delay, reordering",
            Self::Rebind(_) => "another source port",
            Self::Hold(..) => "deactivate, activate",
            Self::AskBack(_) => "inverse offer of a cpu",
            Self::Drain(_) => "drain, activate",
            Self::DrainAway(_) => "drain, unregister",
            Self::NowKilled(..) => "drain now of a slave that was killed",
            Self::NowStopped(..) => "drain now of a slave that is stopped",
            Self::CancelDrain(..) => "drain, cancel",
        }
    }

    /// Whether it had a victim. What had none ends all the same.
    pub(crate) fn begin(
        &self,
        cluster: &mut Cluster,
        load: &mut Load,
        random: &mut Random,
    ) -> Result<bool, String> {
        match self {
            Self::KillEverybody(_) => {
                cluster.kill_master();
                for slave in 0..SLAVES {
                    cluster.kill_slave(slave);
                }
            }
            Self::KillMaster(_) => cluster.kill_master(),
            Self::TerminateMaster(_) => {
                let master = cluster.take_master();
                master.signal(Signal::TERM);
                master.ends_with(0)?;
            }
            Self::StopMaster(_) => cluster.master.as_ref().expect("a master").signal(Signal::STOP),
            Self::KillSlave(slave, _) => {
                cluster.kill_slave(*slave);
            }
            Self::TerminateSlave(slave, _) => {
                let process = cluster.take_slave(*slave);
                process.signal(Signal::TERM);
                process.ends_with(0)?;
            }
            Self::StopSlave(slave) | Self::StallSlave(slave) | Self::Forget(slave) => {
                cluster.stop_slave(*slave);
            }
            Self::LeaveSlave(slave) => cluster.slave(*slave).signal(Signal::USR1),
            Self::KillLeaving(slave, span) => {
                cluster.slave(*slave).signal(Signal::USR1);
                std::thread::sleep(*span);
                return Ok(cluster.kill_slave(*slave));
            }
            Self::KillTemplate(slave) => return Ok(cluster.kill_template(*slave)),
            Self::KillExecutor(slave) => return Ok(kill_executor(cluster, load, *slave, random)),
            Self::StopExecutor(slave, _) => return Ok(cluster.stop_executor(*slave, random)),
            Self::KillScheduler(away) => return load.kill_one(cluster, random, *away),
            Self::StopScheduler(_) => return Ok(load.stop_one(random)),
            Self::FillSlave(slave, _) => {
                let filled = cluster.fill_slave(*slave)?;
                // Something that it has to write.
                if filled {
                    load.batch(cluster)?;
                }
                return Ok(filled);
            }
            Self::FillMaster(held, _) => return cluster.fill_master(*held),
            Self::Cut(slave, weather) => cluster.weather(*slave, *weather),
            Self::Storm(link, weather, _) => {
                cluster.weather(*link, *weather);
                return Ok(*link < SLAVES || load.uses(*link));
            }
            Self::Rebind(link) => {
                cluster.rebind(*link);
                return Ok(*link < SLAVES || load.uses(*link));
            }
            Self::Hold(slave, _) => {
                cluster.command(&format!("deactivate {} --reason chaos", cluster.slaves[*slave].name))?;
            }
            Self::AskBack(slave) => {
                let name = &cluster.slaves[*slave].name;
                return cluster.operator.ask_back(name, Resources::new(1000, 0), Millis(1));
            }
            Self::Drain(slave) => drain(cluster, *slave, "stay", random)?,
            Self::DrainAway(slave) => drain(cluster, *slave, "unregister", random)?,
            Self::NowKilled(slave, _) => {
                cluster.kill_slave(*slave);
                drain_now(cluster, *slave)?;
            }
            Self::NowStopped(slave, _) => {
                cluster.stop_slave(*slave);
                drain_now(cluster, *slave)?;
            }
            Self::CancelDrain(slave, _) => {
                let name = &cluster.slaves[*slave].name;
                cluster.command(&format!("drain {name} --deadline 1h --reason chaos --detach"))?;
            }
        }
        Ok(true)
    }

    /// Whether it was felt.
    pub(crate) fn end(&self, cluster: &mut Cluster, load: &mut Load) -> Result<bool, String> {
        match self {
            Self::FillSlave(slave, span) => cluster.empty_slave(*slave, *span),
            other => other.mend(cluster, load).map(|()| true),
        }
    }

    fn mend(&self, cluster: &mut Cluster, load: &mut Load) -> Result<(), String> {
        match self {
            Self::KillEverybody(away) => {
                std::thread::sleep(*away);
                (0..SLAVES).try_for_each(|slave| cluster.start_slave(slave))?;
                cluster.start_master()
            }
            Self::KillMaster(away) | Self::TerminateMaster(away) => {
                std::thread::sleep(*away);
                cluster.start_master()
            }
            Self::StopMaster(span) => {
                std::thread::sleep(*span);
                cluster.master.as_ref().expect("a master").signal(Signal::CONT);
                Ok(())
            }
            Self::KillSlave(slave, away) | Self::TerminateSlave(slave, away) => {
                std::thread::sleep(*away);
                cluster.start_slave(*slave)
            }
            Self::StopSlave(slave) => {
                let given_up = unreachable(cluster, *slave);
                cluster.slave(*slave).signal(Signal::CONT);
                given_up
            }
            Self::Forget(slave) => {
                let words = format!("slave forget {} --reason chaos", cluster.slaves[*slave].name);
                let forgotten = until("a slave that is forgotten", || match cluster.view(*slave)?.status {
                    // Nobody knows what runs on one that a new leader awaits, and that can take long.
                    SlaveStatus::Awaited => Ok(()),
                    SlaveStatus::Active
                    | SlaveStatus::Held
                    | SlaveStatus::Draining
                    | SlaveStatus::Drained
                    | SlaveStatus::Silent
                    | SlaveStatus::Disconnected
                    | SlaveStatus::Unreachable
                    | SlaveStatus::Leaving => cluster.command(&words),
                });
                cluster.slave(*slave).signal(Signal::CONT);
                forgotten
            }
            Self::StallSlave(slave) => {
                let known = until("a slave that is not used", || match cluster.view(*slave)?.status {
                    other @ (SlaveStatus::Active
                    | SlaveStatus::Held
                    | SlaveStatus::Draining
                    | SlaveStatus::Drained) => Err(format!("it is {other}")),
                    SlaveStatus::Silent
                    | SlaveStatus::Disconnected
                    | SlaveStatus::Unreachable
                    | SlaveStatus::Awaited
                    | SlaveStatus::Leaving => Ok(()),
                });
                cluster.slave(*slave).signal(Signal::CONT);
                known
            }
            Self::LeaveSlave(slave) | Self::DrainAway(slave) => {
                left(cluster, *slave)?;
                cluster.start_slave(*slave)
            }
            Self::NowKilled(slave, away) => {
                std::thread::sleep(*away);
                cluster.start_slave(*slave)?;
                left(cluster, *slave)?;
                cluster.start_slave(*slave)
            }
            Self::NowStopped(slave, span) => {
                std::thread::sleep(*span);
                cluster.slave(*slave).signal(Signal::CONT);
                left(cluster, *slave)?;
                cluster.start_slave(*slave)
            }
            Self::KillLeaving(slave, _) => {
                cluster.start_slave(*slave)?;
                leaves_or_stays(cluster, *slave)
            }
            Self::StopExecutor(slave, span) => {
                cluster.go_on(*slave, *span);
                Ok(())
            }
            Self::AskBack(slave) => until("an end of an inverse offer", || {
                let name = cluster.slaves[*slave].name.clone();
                match cluster.operator.is_asked_back(&name)? {
                    true => Err("it is open".to_owned()),
                    false => Ok(()),
                }
            }),
            Self::StopScheduler(span) => {
                load.go_on(*span);
                Ok(())
            }
            // A session heals by itself, and one that does not is missed by what the round asks for in the end.
            Self::Rebind(_) => Ok(()),
            Self::KillTemplate(_) | Self::KillExecutor(_) | Self::KillScheduler(_) => Ok(()),
            Self::FillSlave(slave, span) => cluster.empty_slave(*slave, *span).map(drop),
            Self::FillMaster(_, span) => cluster.empty_master(*span),
            Self::Cut(link, _) => {
                let given_up = unreachable(cluster, *link);
                cluster.weather(*link, Weather::default());
                given_up
            }
            Self::Storm(link, _, span) => {
                std::thread::sleep(*span);
                cluster.weather(*link, Weather::default());
                Ok(())
            }
            Self::Hold(slave, span) => {
                std::thread::sleep(*span);
                cluster.command(&format!("activate {}", cluster.slaves[*slave].name))
            }
            Self::CancelDrain(slave, span) => {
                std::thread::sleep(*span);
                cancel(cluster, *slave)
            }
            Self::Drain(slave) => {
                drained(cluster, *slave)?;
                cluster.command(&format!("activate {}", cluster.slaves[*slave].name))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillEverybody(span)
            | Self::KillMaster(span)
            | Self::TerminateMaster(span)
            | Self::KillScheduler(span)
            | Self::StopScheduler(span)
            | Self::StopMaster(span) => {
                write!(f, "{}, {span:?}", self.kind())
            }
            Self::KillSlave(slave, span)
            | Self::KillLeaving(slave, span)
            | Self::TerminateSlave(slave, span)
            | Self::StopExecutor(slave, span)
            | Self::FillSlave(slave, span)
            | Self::FillMaster(slave, span)
            | Self::NowKilled(slave, span)
            | Self::NowStopped(slave, span)
            | Self::CancelDrain(slave, span)
            | Self::Hold(slave, span) => {
                write!(f, "{}: slave-{}, {span:?}", self.kind(), slave + 1)
            }
            Self::StopSlave(slave)
            | Self::StallSlave(slave)
            | Self::Forget(slave)
            | Self::LeaveSlave(slave)
            | Self::KillTemplate(slave)
            | Self::KillExecutor(slave)
            | Self::AskBack(slave)
            | Self::Drain(slave)
            | Self::DrainAway(slave) => write!(f, "{}: slave-{}", self.kind(), slave + 1),
            Self::Cut(link, weather) => write!(f, "{}: slave-{}, {weather:?}", self.kind(), link + 1),
            Self::Rebind(link) => write!(f, "{}: link {}", self.kind(), link + 1),
            Self::Storm(link, weather, span) => {
                write!(f, "{}: link {}, {weather:?}, {span:?}", self.kind(), link + 1)
            }
        }
    }
}

fn storm(random: &mut Random) -> Weather {
    Weather {
        lost: random.within(0..40),
        twice: random.within(0..30),
        late: random.within(0..80),
        late_ms: random.within(1..100),
        ..Weather::default()
    }
}

/// Ends one of a slave's executors by force, if it has any. In the end its scheduler is to know.
fn kill_executor(cluster: &Cluster, load: &mut Load, slave: usize, random: &mut Random) -> bool {
    let executors = cluster.executors(slave);
    if executors.is_empty() {
        return false;
    }
    let victim = random.pick(&executors);
    let is_there = |pid| cluster.living(slave).iter().any(|process| process.pid == pid);
    let killed = truth::signal(victim.pid, Signal::KILL, is_there);
    load.condemned.extend(ledger::task_of(&victim.directory).filter(|_| killed));
    killed
}

/// Waits until a slave is given up (R6); a new leader, which never heard it, gives it longer.
pub(crate) fn unreachable(cluster: &mut Cluster, slave: usize) -> Result<(), String> {
    until("a slave that is unreachable", || match cluster.view(slave)?.status {
        SlaveStatus::Unreachable | SlaveStatus::Awaited => Ok(()),
        other @ (SlaveStatus::Active
        | SlaveStatus::Held
        | SlaveStatus::Draining
        | SlaveStatus::Drained
        | SlaveStatus::Silent
        | SlaveStatus::Disconnected
        | SlaveStatus::Leaving) => Err(format!("it is {other}")),
    })
}

/// Whether a slave is here, and not on its way out.
fn stays(status: SlaveStatus) -> bool {
    status.answers() && status != SlaveStatus::Leaving
}

/// A slave that was killed while it left goes on leaving, and is then started as a new one; unless it had not yet
/// written that it leaves.
fn leaves_or_stays(cluster: &mut Cluster, slave: usize) -> Result<(), String> {
    let leaves = until("a slave that leaves, or stays", || {
        if cluster.slaves[slave].process.as_mut().expect("a slave").has_ended() {
            return Ok(true);
        }
        match cluster.has_registered(slave) && stays(cluster.view(slave)?.status) {
            true => Ok(false),
            false => Err("it does neither".into()),
        }
    })?;
    match leaves {
        true => left(cluster, slave).and_then(|()| cluster.start_slave(slave)),
        false => Ok(()),
    }
}

/// Waits until a slave has left, and with it everything that it ran (R24, S11).
fn left(cluster: &mut Cluster, slave: usize) -> Result<(), String> {
    let code = cluster.slaves[slave].process.as_mut().expect("a slave").code(PATIENCE)?;
    let living = cluster.living(slave);
    cluster.slaves[slave].process = None;
    match (code, living.is_empty()) {
        // Where no leader lives to acknowledge it, it says so by another code.
        (Some(0 | 6), true) => Ok(()),
        _ => Err(format!("a slave left with {code:?}, and there lives {living:?}")),
    }
}

fn drain(cluster: &Cluster, slave: usize, then: &str, random: &mut Random) -> Result<(), String> {
    // Sooner than schedulers give back, or later: else nothing would be revoked (S13).
    let ms = if random.percent(50) { random.within(1..10) } else { random.within(10..1500) };
    let name = &cluster.slaves[slave].name;
    cluster.command(&format!("drain {name} --deadline {ms}ms --reason chaos --then {then} --detach"))
}

fn drain_now(cluster: &Cluster, slave: usize) -> Result<(), String> {
    cluster.command(&format!("drain {} --now --reason chaos --detach", cluster.slaves[slave].name))
}

/// Takes a drain back, unless all has moved already, and puts the slave back.
fn cancel(cluster: &mut Cluster, slave: usize) -> Result<(), String> {
    let drain = cluster.view(slave)?.drain.ok_or("the drain is not known")?;
    if drain.end.is_none() {
        let cancelled = cluster.command(&format!("drain --cancel {}", drain.id));
        let ended = cluster.view(slave)?.drain.and_then(|drain| drain.end);
        match (cancelled, ended) {
            // It was drained just before.
            (Ok(()), _) | (Err(_), Some(DrainEnd::Drained)) => {}
            (Err(error), _) => return Err(error),
        }
    }
    cluster.command(&format!("activate {} --all", cluster.slaves[slave].name))
}

/// Waits for the end of a slave's drain; nothing lives there then (S5).
fn drained(cluster: &mut Cluster, slave: usize) -> Result<(), String> {
    let end = until("the end of a drain", || {
        let drain = cluster.view(slave)?.drain.ok_or("it is not known")?;
        drain.end.ok_or_else(|| format!("it waits for {:?}", drain.waiting_for))
    })?;
    let living = cluster.living(slave);
    match (end, living.is_empty()) {
        (DrainEnd::Drained, true) => Ok(()),
        _ => Err(format!("the drain {end}, and there lives {living:?}")),
    }
}
