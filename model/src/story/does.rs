//! What can happen in a world, each in a short sentence.

use neap_protocol::{executor, framework, master, slave};

use crate::scope::Scope;
use crate::world::{Action, Cost, Dialer, End, LinkKey, World};

use super::names;
use super::words::{self, listed};

/// What an action does in this world.
pub fn does(scope: &Scope, world: &World, action: Action) -> String {
    let told = Telling { scope, world };
    match action {
        Action::Deliver(key, end) => told.deliver(key, end),
        Action::Learn(key, end) => {
            let (who, other) = told.ends(key, end);
            format!("{who} learns that its session with {other} is dead")
        }
        Action::Cut(key) => {
            let (near, far) = told.ends(key, End::Near);
            format!("the session between {near} and {far} dies")
        }
        Action::Connect(dialer, master) => {
            let far = match dialer {
                Dialer::Slave(_) | Dialer::Framework(_) => names::master(master),
                Dialer::Executor(slave, _) => names::slave(slave),
            };
            format!("{} connects to {far}", told.dialer(dialer))
        }
        Action::NoConnection(dialer) => format!("{} finds no master to connect to", told.dialer(dialer)),
        Action::MasterTimer(number, timer, cost) => {
            format!("{}: {}{}", names::master(number), master_timer(timer), early(cost))
        }
        Action::SlaveTimer(number, timer, cost) => {
            format!("{}: {}{}", names::slave(number), slave_timer(timer), early(cost))
        }
        Action::FrameworkTimer(number, timer, cost) => {
            format!("{}: {}{}", told.framework(number), framework_timer(timer), early(cost))
        }
        Action::ExecutorTimer(slave, id, timer, cost) => {
            format!("{}: {}{}", names::executor(slave, id), executor_timer(timer), early(cost))
        }
        Action::MasterStored(number) => told.master_stored(number),
        Action::MasterNotStored(number) => {
            format!("what {} asked to be written cannot be written", names::master(number))
        }
        Action::SlaveStored(number) => told.slave_stored(number),
        Action::SlaveNotStored(number) => {
            format!("what {} asked to be written cannot be written", names::slave(number))
        }
        Action::CrashMaster(number, more) => {
            let pending = told.world.masters[usize::from(number)].pending();
            crash(&names::master(number), more, pending.map(words::operation))
        }
        Action::CrashSlave(number, more) => {
            let pending = told.world.slaves[usize::from(number)].pending();
            crash(&names::slave(number), more, pending.map(words::change))
        }
        Action::StartMaster(number) => format!("{} is started again", names::master(number)),
        Action::Elect(number) => format!("{} is elected", names::master(number)),
        Action::Usurp(number) => {
            format!("{} is elected, and the leader before it does not know", names::master(number))
        }
        Action::Depose(number) => format!("{} learns that another was elected", names::master(number)),
        Action::StartSlave(number) => {
            let lives = told.world.trees.iter().any(|tree| tree.slave == number && tree.is_alive());
            let left = if lives { ", and what it had left lives" } else { "" };
            format!("{} is started again{left}", names::slave(number))
        }
        Action::Reboot(number) => format!("{}'s machine is started anew", names::slave(number)),
        Action::Return(number) => format!("{}, which had exited, is started anew", names::slave(number)),
        Action::Stall(number) => format!("{} is stopped, and keeps its sessions", names::slave(number)),
        Action::GoOn(number) => format!("{} goes on", names::slave(number)),
        Action::FrameworkKept(number) => told.framework_kept(number),
        Action::CrashFramework(number, more) => {
            let pending = told.world.frameworks[usize::from(number)].pending();
            crash(&told.framework(number), more, pending.map(words::memory))
        }
        Action::NewFramework(number) => format!("{} comes anew, as another", told.framework(number)),
        Action::StartFramework(number) => {
            let settings = scope.failover_again.map_or("", |_| ", with other settings");
            format!("{} is started again{settings}", told.framework(number))
        }
        Action::Suppress(number) => format!("{}'s scheduler wants no more offers", told.framework(number)),
        Action::Revive(number) => format!("{}'s scheduler wants offers again", told.framework(number)),
        Action::Launch(number, offer, _) => {
            format!("{}'s scheduler accepts {offer} to launch a task", told.framework(number))
        }
        Action::Decline(number, offer) => format!("{}'s scheduler declines {offer}", told.framework(number)),
        Action::Kill(number, task) => format!("{}'s scheduler kills {task}", told.framework(number)),
        Action::AcceptInverse(number, id) => format!("{}'s scheduler accepts {id}", told.framework(number)),
        Action::DeclineInverse(number, id) => format!("{}'s scheduler declines {id}", told.framework(number)),
        Action::Teardown(number) => format!("{}'s scheduler tears it down", told.framework(number)),
        Action::StartTree(slave, id) => format!("{}'s first process begins", names::executor(slave, id)),
        Action::NoLaunch(slave, id) => format!("{} cannot be launched", names::executor(slave, id)),
        Action::Finish(slave, _, task, well) => {
            let how = if well { "well" } else { "badly" };
            format!("{task}'s process on {} ends by itself, {how}", names::slave(slave))
        }
        Action::Die(slave, _, task) => {
            format!("{task}'s process on {} ends by the signal that it got", names::slave(slave))
        }
        Action::Obey(slave, _, task) => {
            format!("{task}'s process on {} exits with 0, as it was asked to end", names::slave(slave))
        }
        Action::CrashExecutor(slave, id) => {
            format!("{}'s first process dies; what it started lives on", names::executor(slave, id))
        }
        Action::TreeDies(slave, id) => {
            format!("SIGKILL reaches the last process of {}", names::executor(slave, id))
        }
        Action::See(slave, id) => told.see(slave, id),
        Action::Command(number) => {
            let asked = scope.commands.get(usize::from(world.commands)).map(words::command);
            format!("the operator to {}: {}", names::master(number), asked.unwrap_or_default())
        }
        Action::Signal(number) => format!("{} gets SIGUSR1", names::slave(number)),
    }
}

struct Telling<'a> {
    scope: &'a Scope,
    world: &'a World,
}

impl Telling<'_> {
    fn dialer(&self, dialer: Dialer) -> String {
        names::dialer(self.scope, dialer)
    }

    fn framework(&self, number: u8) -> String {
        names::framework(self.scope, number)
    }

    /// The node at an end of a session, and the one at the other.
    fn ends(&self, key: LinkKey, end: End) -> (String, String) {
        let near = self.dialer(key.0);
        let far = match key.0 {
            Dialer::Slave(_) | Dialer::Framework(_) => {
                names::master(self.world.link(key).map_or(0, |link| link.master))
            }
            Dialer::Executor(slave, _) => names::slave(slave),
        };
        match end {
            End::Near => (near, far),
            End::Far => (far, near),
        }
    }

    fn deliver(&self, key: LinkKey, end: End) -> String {
        let (who, other) = self.ends(key, end);
        let said = self.world.link(key).and_then(|link| link.waiting(end).first()).map(words::message);
        format!("{who} hears {other}: {}", said.unwrap_or_default())
    }

    fn master_stored(&self, number: u8) -> String {
        let node = &self.world.masters[usize::from(number)];
        let what = node.pending().next().map(words::operation).unwrap_or_default();
        match node.first_write().is_some_and(|epoch| epoch < self.world.store.fence) {
            true => format!("the store refuses {}, which is deposed: {what}", names::master(number)),
            false => format!("durable in the registry: {what}"),
        }
    }

    fn slave_stored(&self, number: u8) -> String {
        let what = self.world.slaves[usize::from(number)].pending().next().map(words::change);
        format!("durable on {}'s disk: {}", names::slave(number), what.unwrap_or_default())
    }

    fn framework_kept(&self, number: u8) -> String {
        let (who, node) = (self.framework(number), &self.world.frameworks[usize::from(number)]);
        match node.pending().next() {
            Some(change) => format!("durable at {who}'s scheduler: {}", words::memory(change)),
            None => format!("{who}'s scheduler has dealt with that"),
        }
    }

    fn see(&self, slave: u8, id: neap_protocol::ids::ExecutorId) -> String {
        let on = names::slave(slave);
        match self.world.tree(slave, id).is_some_and(|tree| tree.exit_was_told()) {
            true => format!("{on} sees that nothing of {id} is left"),
            false => format!("{on} sees that the first process of {id} has ended"),
        }
    }
}

fn early(cost: Cost) -> &'static str {
    match cost {
        Cost::Free => "",
        Cost::Skew => " (before something that should have been faster)",
    }
}

fn crash(who: &str, more: u8, pending: impl Iterator<Item = String>) -> String {
    match more {
        0 => format!("{who} crashes"),
        more => {
            let pending: Vec<String> = pending.take(more.into()).collect();
            format!("{who} crashes, after this has become durable: {}", listed(pending, "nothing"))
        }
    }
}

fn master_timer(timer: master::Timer) -> String {
    match timer {
        master::Timer::Ping(slave) => format!("it is time to ping {slave}"),
        master::Timer::Reregister(slave) => format!("{slave} has not come back to this leader in time"),
        master::Timer::Offer(offer) => format!("{offer} was lent for long enough"),
        master::Timer::Filter(framework, slave) => format!("{framework}'s filter of {slave} is over"),
        master::Timer::Allocate => "it is time to offer what is free".into(),
        master::Timer::Failover(framework) => format!("{framework} has stayed away for too long"),
        master::Timer::InverseOffer(id) => format!("the deadline of {id} passes"),
        master::Timer::DrainBound(id) => format!("the deadline and the bound of {id} are over"),
        master::Timer::DrainAcknowledge(id) => {
            format!("{id} has waited for acknowledgements for long enough")
        }
        master::Timer::RemovalWindow => "the window over which removals are counted is over".into(),
        master::Timer::Lead => "it is time to write the epoch again".into(),
    }
}

fn slave_timer(timer: slave::Timer) -> String {
    match timer {
        slave::Timer::Reconnect => "it is time to dial a master again".into(),
        slave::Timer::ExecutorRegister(id) => format!("{id} did not register in time"),
        slave::Timer::KillEscalation(task) => format!("{task} was not ended within its grace and the margin"),
        slave::Timer::DrainGrace => "the grace of drain now is over".into(),
        slave::Timer::Unregister => "no leader has acknowledged in time that it leaves".into(),
        slave::Timer::StoreRetry => "it is time to write again what could not be written".into(),
    }
}

fn framework_timer(timer: framework::Timer) -> &'static str {
    match timer {
        framework::Timer::Connect => "it is time to connect again",
        framework::Timer::Subscribe => "the master has not answered the subscription in time",
        framework::Timer::Reannounce => "inverse offers that were not named again are over",
    }
}

fn executor_timer(timer: executor::Timer) -> String {
    match timer {
        executor::Timer::Kill(task) => format!("{task}'s grace is over"),
        executor::Timer::Recovery => "its slave has stayed away for too long".into(),
        executor::Timer::Ask(task) => format!("it is time to ask for {task}'s next lease"),
        executor::Timer::Lease(task, _) => format!("{task}'s lease is over"),
    }
}
