//! News of tasks that have no processes, to a scheduler's callback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use neap_nodes::executor::{NAME_ENV, SOCKET_ENV, TOKEN_ENV};
use neap_nodes::framework::{Driver, NewRun, NewTask};
use neap_protocol::codec;
use neap_protocol::message::{ExecutorToSlave, MasterToSlave, SlaveToExecutor, SlaveToMaster};
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, Reason, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;
use neap_transport_unix::blocking::Client;

use crate::cluster::{Fake, Master, PATIENCE};
use crate::live::{Framework, Said, Slave, launch};
use crate::table::Row;
use crate::{Scale, place};

/// A slave that has no processes says that tasks run, and again that they run, each as often as it was acknowledged.
pub(crate) fn run(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
    let mut rates = Vec::new();
    while rates.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let never = Command { program: "true".to_owned(), ..Command::default() };
        let mut tasks = vec![nothing(NewRun::Command(Arc::new(never))); TASKS];
        let act = move |said: &Said, driver: &mut Driver| {
            if let Said::Offers(offers) = said {
                launch(driver, offers, &mut tasks);
            }
        };
        let framework = Framework::start(master.connection(place, Role::Framework, "web"), act);
        let begin = runtime.block_on(async {
            let mut slave = Fake::connect(place, master.address, Role::Slave, "slave-1").await;
            slave.register(None).await;
            say_again_and_again(&mut slave, scale.many).await
        });
        let heard = framework.until(scale.many, PATIENCE, Said::running)?;
        let end = heard.last().map_or(begin, |(at, _)| *at);
        rates.push(heard.len() as f64 / (end - begin).as_secs_f64());
    }
    Ok(vec![
        Row::rates("task updates, slave's session → master → callback", rates)
            .budget(10_000.0)
            .reference("Mesos 1.11: 345/s"),
    ])
}

/// Says so many updates, one at a time of each task; when it began.
async fn say_again_and_again(slave: &mut Fake, updates: usize) -> Instant {
    let mut launched = Vec::new();
    while launched.len() < TASKS {
        match slave.hear().await {
            MasterToSlave::Launch(spec) => launched.push(spec.id),
            MasterToSlave::Ping => slave.say(&SlaveToMaster::Pong).await,
            _ => {}
        }
    }
    let begin = Instant::now();
    let (mut said, mut acknowledged) = (0, 0);
    let mut next: Vec<_> = launched.into_iter().map(|task| (task, 1)).collect();
    while acknowledged < updates {
        for (task, number) in next.drain(..) {
            let update = Update {
                task,
                number,
                state: TaskState::Running,
                reason: Reason::Normal,
                message: Text::EMPTY,
            };
            if said < updates {
                said += 1;
                slave.say(&SlaveToMaster::Update { update, ending: None }).await;
            }
        }
        match slave.hear().await {
            MasterToSlave::Acknowledge { task, number } => {
                acknowledged += 1;
                next.push((task, number + 1));
            }
            MasterToSlave::Ping => slave.say(&SlaveToMaster::Pong).await,
            _ => {}
        }
    }
    begin
}

/// Tasks of an executor that has no processes for them: each is Running and Finished at once. From the accept on, over
/// a real slave with its checkpoint.
pub(crate) fn through_a_slave(scale: Scale, interrupted: &AtomicBool) -> Result<Vec<Row>, String> {
    let place = place();
    let master = Master::start(place);
    let _slave = Slave::start(place, &master, "slave-1", "");
    let program = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let program = program.to_str().ok_or("this program's path is not Unicode")?.to_owned();
    let count = scale.many.min(codec::LAUNCHES_MAX - 1);
    let mut rates = Vec::new();
    while rates.len() < scale.runs && !interrupted.load(Ordering::Relaxed) {
        let command = Command {
            program: program.clone(),
            arguments: vec![EXECUTOR.to_owned()],
            environment: Vec::new(),
        };
        let run = NewRun::Executor { number: Some(1), command: Arc::new(command), data: Arc::new([]) };
        let mut tasks = vec![nothing(run); count];
        let began = Arc::<OnceLock<Instant>>::default();
        let begin = Arc::clone(&began);
        let act = move |said: &Said, driver: &mut Driver| {
            if let Said::Offers(offers) = said {
                let _first = begin.set(Instant::now());
                launch(driver, offers, &mut tasks);
            }
        };
        let framework = Framework::start(master.connection(place, Role::Framework, "web"), act);
        let mut heard = 0;
        let mut ended = 0;
        let end = loop {
            let (at, said) = framework.next(PATIENCE)?;
            if let Said::Update(update) = said {
                heard += 1;
                ended += usize::from(update.state == TaskState::Finished);
            }
            if ended == count {
                break at;
            }
        };
        let began = began.get().copied().unwrap_or(end);
        rates.push(f64::from(heard) / (end - began).as_secs_f64());
    }
    Ok(vec![
        Row::rates(
            format!("task updates, {count} tasks of one executor, accept → slave → master → callback"),
            rates,
        )
        .budget(10_000.0)
        .reference("Mesos 1.11: 345/s"),
    ])
}

/// A task that holds next to nothing.
fn nothing(run: NewRun) -> NewTask {
    let name = Name::new("nothing").expect("a name");
    NewTask { name, resources: Resources::new(1, 1), kill_grace: Millis::ZERO, fence_after: None, run }
}

/// The word that makes this program an executor.
pub(crate) const EXECUTOR: &str = "be-an-executor";

/// An executor whose tasks are over as soon as it hears of them. It ends when its slave ends it.
pub(crate) fn be_an_executor() -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let name = Name::new(&variable(NAME_ENV)?).map_err(|error| error.to_string())?;
    let token = variable(TOKEN_ENV)?.parse().map_err(|_| format!("{TOKEN_ENV} is no token"))?;
    let socket = variable(SOCKET_ENV)?;
    let client = Client::connect(socket.as_ref(), &name, &token, PATIENCE);
    let mut client = client.map_err(|error| error.to_string())?;
    let say = |client: &mut Client, message: &ExecutorToSlave| {
        let frame = codec::encode(message).map_err(|error| error.to_string())?;
        client.send(&frame).map_err(|error| error.to_string())
    };
    say(&mut client, &ExecutorToSlave::Register { tasks: Vec::new() })?;
    loop {
        let frame = client.receive().map_err(|error| error.to_string())?;
        let message: SlaveToExecutor = codec::decode(&frame).map_err(|error| error.to_string())?;
        if let SlaveToExecutor::Launch { task, .. } = message {
            for (number, state) in [(1, TaskState::Running), (2, TaskState::Finished)] {
                let (reason, message) = (Reason::Normal, Text::EMPTY);
                say(&mut client, &ExecutorToSlave::Update { task, number, state, reason, message })?;
            }
        }
    }
}

/// How many tasks a slave without processes has.
const TASKS: usize = 100;
