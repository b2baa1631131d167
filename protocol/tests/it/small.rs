//! Machines of the size that a checker exhausts: two slaves, two frameworks, a task of each, in the middle of things.
//!
//! `benches/representation.rs` measures the same states.

use neap_protocol::executor::{self, Executor};
use neap_protocol::framework::{self, Framework, NewRun, NewTask};
use neap_protocol::ids::{
    BootId, Epoch, ExecutorId, FrameworkId, InverseOfferId, OfferId, Seq, SessionId, SlaveId, TaskId,
};
use neap_protocol::master::{self, Master};
use neap_protocol::message::{
    Command, ExecutorToSlave, FrameworkToMaster, InverseAsk, MasterToFramework, MasterToSlave, Offered,
    OperatorToMaster, SlaveRef, SlaveToExecutor, SlaveToMaster, Then,
};
use neap_protocol::outbox::Outbox;
use neap_protocol::registry::Registry;
use neap_protocol::resources::Resources;
use neap_protocol::slave::{self, Slave};
use neap_protocol::task::{self, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::{Millis, Moment};
use neap_protocol::transport::{Peer, Role};

/// A machine, and an input that it is likely to be given next.
pub(crate) struct Small<M, C, I> {
    pub(crate) what: &'static str,
    pub(crate) machine: M,
    pub(crate) config: C,
    pub(crate) input: I,
}

pub(crate) type SmallMaster = Small<Master, master::Config, master::Input>;
pub(crate) type SmallSlave = Small<Slave, slave::Config, slave::Input>;
pub(crate) type SmallFramework = Small<Framework, framework::Config, framework::Input>;
pub(crate) type SmallExecutor = Small<Executor, executor::Config, executor::Input>;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn total() -> Resources {
    Resources::new(2000, 2 << 30)
}

fn part() -> Resources {
    Resources::new(1000, 1 << 30)
}

fn task_of(framework: u32) -> TaskId {
    TaskId { framework: FrameworkId(framework), number: 1 }
}

fn command() -> std::sync::Arc<task::Command> {
    std::sync::Arc::new(task::Command { program: "work".into(), ..task::Command::default() })
}

fn update(task: TaskId, number: u32, state: TaskState) -> Update {
    Update { task, number, state, reason: Reason::Normal, message: Text::EMPTY }
}

/// A leader, and what its store still has to make durable.
struct Lead {
    config: master::Config,
    master: Master,
    stored: u64,
}

impl Lead {
    /// Gives an input, and makes durable whatever it leads to.
    fn feed(&mut self, input: master::Input) -> Vec<master::Effect> {
        let mut out = Outbox::new();
        self.master.handle(&self.config, input, &mut out);
        let mut effects: Vec<_> = out.drain().collect();
        while effects
            .iter()
            .any(|effect| matches!(effect, master::Effect::Store { seq, .. } if seq.0 > self.stored))
        {
            self.stored += 1;
            let stored = master::Input::Stored { epoch: Epoch(1), seq: Seq(self.stored) };
            self.master.handle(&self.config, stored, &mut out);
            effects.extend(out.drain());
        }
        effects
    }

    fn slave(&mut self, n: u32, message: SlaveToMaster) {
        self.feed(master::Input::Slave { session: SessionId(n), message });
    }

    fn framework(&mut self, n: u32, message: FrameworkToMaster) {
        self.feed(master::Input::Framework { session: SessionId(10 + n), message });
    }

    fn open(&mut self, session: u32, role: Role, who: &str) {
        let peer = Peer { role, name: name(who) };
        self.feed(master::Input::Opened { session: SessionId(session), peer });
    }
}

fn lead(slaves: u32, frameworks: u32) -> Lead {
    let mut lead = Lead { config: master::Config::default(), master: Master::new(), stored: 0 };
    lead.feed(master::Input::Elected { epoch: Epoch(1) });
    lead.feed(master::Input::Recovered { registry: Box::new(Registry::default()) });
    for n in 1..=slaves {
        lead.open(n, Role::Slave, &format!("slave-{n}"));
        let register = SlaveToMaster::Register {
            id: None,
            epoch: Epoch(0),
            resources: total(),
            address: Text::EMPTY,
            tasks: Vec::new(),
            leaving: false,
        };
        lead.slave(n, register);
    }
    for n in 1..=frameworks {
        lead.open(10 + n, Role::Framework, &format!("principal-{n}"));
        let subscribe = FrameworkToMaster::Subscribe {
            id: None,
            name: name(&format!("framework-{n}")),
            weight: 1,
            failover_timeout: Millis(1000),
            partition_aware: false,
            epoch: Epoch(0),
            highest_task: 0,
        };
        lead.framework(n, subscribe);
    }
    lead
}

/// So many slaves and frameworks; two tasks run, and what is left is offered.
fn running(slaves: u32, frameworks: u32) -> Lead {
    let mut lead = lead(slaves, frameworks);
    let mut launched = 0;
    for _ in 0..4 {
        for effect in lead.feed(master::Input::Timer(master::Timer::Allocate)) {
            let master::Effect::ToFramework { session, message: MasterToFramework::Offers(offers) } = effect
            else {
                continue;
            };
            let framework = session.0 - 10;
            for Offered { id: offer, slave, .. } in offers.into_iter().take(2 - launched.min(2)) {
                launched += 1;
                let number = if frameworks == 1 { launched as u32 } else { 1 };
                let task = TaskId { framework: FrameworkId(framework), number };
                let spec = TaskSpec {
                    id: task,
                    name: name("task"),
                    resources: part(),
                    kill_grace: Millis(1000),
                    fence_after: None,
                    run: Run::Command(command()),
                };
                let filter = Millis::ZERO;
                lead.framework(
                    framework,
                    FrameworkToMaster::Accept { offer, slave, tasks: vec![spec], filter },
                );
                let update = update(task, 1, TaskState::Running);
                lead.slave(slave.0, SlaveToMaster::Update { update, ending: None });
                lead.framework(framework, FrameworkToMaster::Acknowledge { task, number: 1 });
            }
        }
    }
    assert_eq!(launched.min(2), 2, "two tasks run");
    lead
}

/// One slave, one framework, two tasks; one of them ends.
pub(crate) fn one_of_each() -> SmallMaster {
    let Lead { config, master, .. } = running(1, 1);
    let update = update(task_of(1), 2, TaskState::Finished);
    let message = SlaveToMaster::Update { update, ending: None };
    let input = master::Input::Slave { session: SessionId(1), message };
    Small { what: "master: 1 slave, 1 framework, 2 tasks", machine: master, config, input }
}

/// Two slaves, two frameworks, a task of each; one of them ends.
pub(crate) fn two_of_each() -> SmallMaster {
    let Lead { config, master, .. } = running(2, 2);
    let update = update(task_of(1), 2, TaskState::Finished);
    let message = SlaveToMaster::Update { update, ending: None };
    let input = master::Input::Slave { session: SessionId(1), message };
    Small { what: "master: 2 slaves, 2 frameworks, 2 tasks", machine: master, config, input }
}

/// The same while one of the slaves is drained; its task ends.
pub(crate) fn draining() -> SmallMaster {
    let mut lead = running(2, 2);
    lead.open(20, Role::Operator, "ann");
    let drain = Command::Drain {
        slave: SlaveRef::Id(SlaveId(1)),
        deadline: Millis(60_000),
        reason: Some(Text::new("a new disk")),
        then: Some(Then::Unregister),
        change: false,
        if_plan: None,
    };
    let message = OperatorToMaster { request: 1, command: drain };
    lead.feed(master::Input::Operator { session: SessionId(20), at: Moment(0), message });
    let registry = lead.master.registry().expect("it leads");
    assert_eq!(registry.inverse_offers().len(), 1, "the framework there is asked");
    let Lead { config, master, .. } = lead;
    let update = update(task_of(1), 2, TaskState::Finished);
    let message = SlaveToMaster::Update { update, ending: None };
    let input = master::Input::Slave { session: SessionId(1), message };
    Small { what: "master: the same, one slave draining", machine: master, config, input }
}

/// A slave that runs two tasks; one of them ends.
pub(crate) fn a_slave() -> SmallSlave {
    let config = slave::Config::new(total(), Text::EMPTY);
    let mut machine = Slave::new();
    let mut stored = 0;
    let mut feed = |input| {
        let mut out = Outbox::new();
        machine.handle(&config, input, &mut out);
        let mut effects: Vec<_> = out.drain().collect();
        while effects
            .iter()
            .any(|effect| matches!(effect, slave::Effect::Store { seq, .. } if seq.0 > stored))
        {
            stored += 1;
            machine.handle(&config, slave::Input::Stored { seq: Seq(stored) }, &mut out);
            effects.extend(out.drain());
        }
    };
    feed(slave::Input::Start { checkpoint: None, boot: BootId(0), alive: Vec::new() });
    feed(slave::Input::MasterOpened { session: SessionId(1) });
    let master = |message| slave::Input::Master { session: SessionId(1), message };
    feed(master(MasterToSlave::Registered { id: SlaveId(1), epoch: Epoch(1) }));
    for n in 1..=2 {
        let (task, session) = (task_of(n), SessionId(1 + n));
        let run = Run::Command(command());
        let spec = TaskSpec {
            id: task,
            name: name("task"),
            resources: part(),
            kill_grace: Millis(1000),
            fence_after: None,
            run,
        };
        feed(master(MasterToSlave::Launch(spec)));
        let executor = ExecutorId { framework: task.framework, number: 1 };
        feed(slave::Input::ExecutorOpened { session, executor });
        feed(slave::Input::Executor { session, message: ExecutorToSlave::Register { tasks: Vec::new() } });
        let (reason, message) = (Reason::Normal, Text::EMPTY);
        let message = ExecutorToSlave::Update { task, number: 1, state: TaskState::Running, reason, message };
        feed(slave::Input::Executor { session, message });
        feed(master(MasterToSlave::Acknowledge { task, number: 1 }));
    }
    assert_eq!(machine.used().capped(), total(), "two tasks run");
    let ended = ExecutorToSlave::Update {
        task: task_of(1),
        number: 2,
        state: TaskState::Finished,
        reason: Reason::Exited(0),
        message: Text::EMPTY,
    };
    let input = slave::Input::Executor { session: SessionId(2), message: ended };
    Small { what: "slave: 2 tasks, 2 executors", machine, config, input }
}

/// A framework with two tasks, an offer, and an inverse offer to answer; one of the tasks ends.
pub(crate) fn a_framework() -> SmallFramework {
    let config = framework::Config::new(name("framework-1"));
    let mut machine = Framework::new();
    let mut feed = |input| {
        let mut out = Outbox::new();
        machine.handle(&config, input, &mut out);
    };
    let master = |message| framework::Input::Master { session: SessionId(1), message };
    let offer = |id, slave| {
        let (slave, name) = (SlaveId(slave), name(&format!("slave-{slave}")));
        master(MasterToFramework::Offers(vec![Offered { id: OfferId(id), slave, name, resources: part() }]))
    };
    feed(framework::Input::Start { id: None, highest_task: 0, tasks: vec![] });
    feed(framework::Input::Opened { session: SessionId(1) });
    let (id, epoch) = (FrameworkId(1), Epoch(1));
    feed(master(MasterToFramework::Subscribed { id, epoch, highest_task: 0 }));
    for n in 1..=2 {
        feed(offer(u64::from(n), n));
        let new = NewTask {
            name: name("task"),
            resources: part(),
            kill_grace: Millis(1000),
            fence_after: None,
            run: NewRun::Command(command()),
        };
        let (offer, filter) = (OfferId(u64::from(n)), Millis::ZERO);
        feed(framework::Input::Scheduler(framework::Command::Accept { offer, tasks: vec![new], filter }));
        let task = TaskId { framework: id, number: n };
        let update = update(task, 1, TaskState::Running);
        feed(master(MasterToFramework::Update { update, slave: SlaveId(n) }));
        feed(framework::Input::Handled { task, number: 1 });
    }
    feed(offer(3, 2));
    feed(master(MasterToFramework::InverseOffer {
        id: InverseOfferId(1),
        slave: SlaveId(1),
        name: name("slave-1"),
        ask: InverseAsk::Everything,
        deadline: Moment(60_000),
        reason: Text::new("a new disk"),
    }));
    assert_eq!(machine.tasks().count(), 2, "two tasks run");
    let update = update(task_of(1), 2, TaskState::Finished);
    let input = master(MasterToFramework::Update { update, slave: SlaveId(1) });
    Small { what: "framework: 2 tasks, an offer, an inverse offer", machine, config, input }
}

/// An executor whose task runs, and ends.
pub(crate) fn an_executor() -> SmallExecutor {
    let config = executor::Config { recovery_timeout: Millis(1000) };
    let mut machine = Executor::new();
    let mut feed = |input| {
        let mut out = Outbox::new();
        machine.handle(&config, input, &mut out);
    };
    let (task, session) = (task_of(1), SessionId(1));
    feed(executor::Input::Start);
    feed(executor::Input::Opened { session });
    let message =
        SlaveToExecutor::Launch { task, command: Some(command()), data: [].into(), fence_after: None };
    feed(executor::Input::Slave { session, message });
    feed(executor::Input::Started { task });
    feed(executor::Input::Slave { session, message: SlaveToExecutor::Acknowledge { task, number: 1 } });
    let input = executor::Input::Exited { task, how: task::Exit::Code(0) };
    Small { what: "executor: 1 task", machine, config, input }
}
