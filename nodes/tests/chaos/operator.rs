//! An operator: what the master says of the cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use neap_nodes::config::{Connection, Identity};
use neap_nodes::operator::{Client, Problem};
use neap_nodes::output::Failure;
use neap_nodes::units::Period;
use neap_protocol::ids::FrameworkId;
use neap_protocol::message::{Answer, Command, InverseAsk, Query, Refusal, SlaveRef, SlaveView, Status};
use neap_protocol::resources::Resources;
use neap_protocol::text::{Name, Text};
use neap_protocol::time::Millis;

use crate::process::Place;

/// How long the master may take to answer.
const TIMEOUT: Period = Period::from_secs(10);

/// A session with one master.
pub(crate) struct Operator {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Operator {
    pub(crate) fn new(place: &Place, master: SocketAddr) -> Result<Self, String> {
        let pki = place.path().join("pki");
        let identity = Identity {
            ca: pki.join("ca.pem"),
            cert: pki.join("operator-ada.pem"),
            key: pki.join("operator-ada.key"),
        };
        let connection = Connection { masters: vec![master], identity, timeout: TIMEOUT };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
        let client = Client::new(&connection).map_err(|failure| failure.to_text(false))?;
        Ok(Self { runtime, client })
    }

    pub(crate) fn status(&mut self) -> Result<Status, String> {
        match self.ask(Query::Status)? {
            Answer::Status(status) => Ok(status),
            other => Err(format!("{other:?} is no status")),
        }
    }

    pub(crate) fn slaves(&mut self) -> Result<Vec<SlaveView>, String> {
        match self.ask(Query::Slaves { after: None })? {
            Answer::Slaves(page) => Ok(page.items),
            other => Err(format!("{other:?} are no slaves")),
        }
    }

    /// Holds a slave back. `false`: the master cannot write it, and has changed nothing.
    pub(crate) fn hold(&mut self, slave: &str, hold: &str, reason: &str) -> Result<bool, String> {
        let (slave, hold) = (slave_ref(slave)?, name(hold)?);
        let command = Command::Deactivate { slave, hold, reason: Text::new(reason) };
        match self.runtime.block_on(self.client.ask(command)) {
            Ok(_) => Ok(true),
            Err(Problem::Refused(Refusal::Storage(_))) => Ok(false),
            Err(problem) => Err(Failure::from(problem).to_text(false)),
        }
    }

    /// Asks the framework that has most tasks on a slave to give so much of that back (R17). Whether there was any.
    pub(crate) fn ask_back(&mut self, slave: &str, what: Resources, within: Millis) -> Result<bool, String> {
        let mut held: BTreeMap<FrameworkId, usize> = BTreeMap::new();
        let mut after = None;
        loop {
            let Answer::Tasks(page) = self.ask(Query::Tasks { after })? else {
                return Err("there are no tasks in the answer".into());
            };
            after = page.items.last().map(|task| (task.slave, task.id));
            for task in page.items.iter().filter(|task| task.slave_name.as_str() == slave) {
                *held.entry(task.id.framework).or_default() += usize::from(!task.state.is_terminal());
            }
            if !page.more {
                break;
            }
        }
        let Some((&framework, _)) = held.iter().max_by_key(|(_, tasks)| **tasks) else { return Ok(false) };
        let (slave, ask) = (slave_ref(slave)?, InverseAsk::Amount(what));
        let (deadline, reason) = (within, Text::new("chaos"));
        let command = Command::InverseOffer { framework, slave, ask, deadline, reason };
        match self.runtime.block_on(self.client.ask(command)) {
            Ok(_) => Ok(true),
            // What it had there ended meanwhile, or is being given back.
            Err(Problem::Refused(
                Refusal::NothingThere | Refusal::UnknownFramework(_) | Refusal::AlreadyAsked(_),
            )) => Ok(false),
            Err(problem) => Err(Failure::from(problem).to_text(false)),
        }
    }

    /// Whether something of a slave is to be given back, and not all of it.
    pub(crate) fn is_asked_back(&mut self, slave: &str) -> Result<bool, String> {
        match self.ask(Query::InverseOffers { after: None })? {
            Answer::InverseOffers(page) => {
                Ok(page.items.iter().any(|offer| offer.slave_name.as_str() == slave && offer.drain.is_none()))
            }
            other => Err(format!("{other:?} are no inverse offers")),
        }
    }

    /// Takes a hold away.
    pub(crate) fn release(&mut self, slave: &str, hold: &str) -> Result<(), String> {
        let (slave, hold) = (slave_ref(slave)?, Some(name(hold)?));
        self.command(Command::Activate { slave, hold, reason: Text::EMPTY }).map(drop)
    }

    fn ask(&mut self, query: Query) -> Result<Answer, String> {
        self.command(Command::Show(query))
    }

    fn command(&mut self, command: Command) -> Result<Answer, String> {
        let answer = self.runtime.block_on(self.client.ask(command));
        answer.map_err(|problem| Failure::from(problem).to_text(false))
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|error| error.to_string())
}

fn slave_ref(text: &str) -> Result<SlaveRef, String> {
    name(text).map(SlaveRef::Name)
}
