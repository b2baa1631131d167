//! Innocents beside the hostile: a slave, a framework and an operator, who are served whatever others do.

use std::sync::Arc;

use neap_nodes::operator::Client;
use neap_protocol::ids::{FrameworkId, SlaveId, TaskId};
use neap_protocol::message::{
    Answer, Command, Final, FrameworkToMaster, MasterToFramework, MasterToSlave, Offered, Query,
    SlaveToMaster,
};
use neap_protocol::resources::Resources;
use neap_protocol::task::{self, Reason, Run, TaskSpec, TaskState, Update};
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;
use neap_protocol::transport::Role;

use crate::cluster::{Fake, Master};
use crate::master::subscribe;
use crate::program::Place;

/// They are the first of a place: slave S1, called `slave-1`, and framework F1, called `web`.
pub(crate) struct Beside {
    slave: Fake,
    framework: Fake,
    operator: Client,
    /// Offers that it holds.
    offers: Vec<Offered>,
    tasks: u32,
}

/// The innocent framework.
pub(crate) const WEB: FrameworkId = FrameworkId(1);

impl Beside {
    pub(crate) async fn new(place: &Place, master: &Master) -> Self {
        let mut slave = Fake::connect(place, master.address, Role::Slave, "slave-1").await;
        assert_eq!(slave.register(None).await.0, SlaveId(1));
        let mut framework = Fake::connect(place, master.address, Role::Framework, "web").await;
        framework.say(&subscribe("web")).await;
        let subscribed = framework.hear::<MasterToFramework>().await;
        assert!(matches!(subscribed, MasterToFramework::Subscribed { id: WEB, .. }), "{subscribed:?}");
        let operator = Client::new(&master.operator(place)).unwrap();
        let mut beside = Self { slave, framework, operator, offers: Vec::new(), tasks: 0 };
        beside.served().await;
        beside
    }

    /// An operator is answered; a task is launched, ends, and its end is told and acknowledged.
    pub(crate) async fn served(&mut self) {
        self.show(Query::Status).await;
        let task = self.launch().await;
        self.tell(task, 1, TaskState::Finished).await;
    }

    /// An operator's question.
    pub(crate) async fn show(&mut self, query: Query) -> Answer {
        self.operator.ask(Command::Show(query)).await.unwrap()
    }

    /// Launches a task, which takes all of an offer; its slave has heard of it.
    pub(crate) async fn launch(&mut self) -> TaskId {
        let offer = loop {
            match self.offers.pop() {
                Some(offer) => break offer,
                None => drop(self.hear().await),
            }
        };
        self.tasks += 1;
        let id = TaskId { framework: WEB, number: self.tasks };
        let tasks = vec![spec(id, offer.resources)];
        let accept =
            FrameworkToMaster::Accept { offer: offer.id, slave: offer.slave, tasks, filter: Millis::ZERO };
        self.framework.say(&accept).await;
        let launched = hear_slave(&mut self.slave).await;
        assert!(matches!(&launched, MasterToSlave::Launch(spec) if spec.id == id), "{launched:?}");
        id
    }

    /// The slave has news of a task; its framework hears of it, and acknowledges.
    pub(crate) async fn tell(&mut self, task: TaskId, number: u32, state: TaskState) {
        self.slave.say(&news(task, number, state)).await;
        let heard = loop {
            if let Some(update) = self.hear().await {
                break update;
            }
        };
        assert_eq!((heard.task, heard.number, heard.state), (task, number, state), "{heard:?}");
        self.framework.say(&FrameworkToMaster::Acknowledge { task, number }).await;
        let acknowledged = hear_slave(&mut self.slave).await;
        assert_eq!(acknowledged, MasterToSlave::Acknowledge { task, number });
    }

    /// The slave leaves, and its last words are of a task that has failed; that it has left is written, and the framework
    /// has acknowledged nothing.
    pub(crate) async fn leave(&mut self, task: TaskId) {
        let SlaveToMaster::Update { update, ending } = news(task, 1, TaskState::Failed) else {
            unreachable!()
        };
        let finals = vec![Final { update, ending }];
        self.slave.say(&SlaveToMaster::Unregister { finals }).await;
        assert_eq!(hear_slave(&mut self.slave).await, MasterToSlave::Unregistered);
    }

    /// The next thing that the framework hears, if it is an update.
    async fn hear(&mut self) -> Option<Update> {
        match self.framework.hear().await {
            // Those of other slaves it leaves alone.
            MasterToFramework::Offers(offers) => {
                self.offers.extend(offers.into_iter().filter(|offer| offer.slave == SlaveId(1)));
            }
            MasterToFramework::Rescind(gone) => self.offers.retain(|offer| !gone.contains(&offer.id)),
            MasterToFramework::Update { update, .. } => return Some(update),
            other => panic!("{other:?}"),
        }
        None
    }
}

/// A task that nobody runs.
pub(crate) fn spec(id: TaskId, resources: Resources) -> TaskSpec {
    let command = task::Command { program: "true".to_owned(), ..Default::default() };
    let (name, kill_grace) = (Name::new("task").unwrap(), Millis::ZERO);
    TaskSpec { id, name, resources, kill_grace, fence_after: None, run: Run::Command(Arc::new(command)) }
}

/// What a slave tells of a task.
pub(crate) fn news(task: TaskId, number: u32, state: TaskState) -> SlaveToMaster {
    let update = Update { task, number, state, reason: Reason::Normal, message: Text::EMPTY };
    SlaveToMaster::Update { update, ending: None }
}

/// What a slave hears that answers pings.
pub(crate) async fn hear_slave(slave: &mut Fake) -> MasterToSlave {
    loop {
        match slave.hear().await {
            MasterToSlave::Ping => slave.say(&SlaveToMaster::Pong).await,
            message => return message,
        }
    }
}
