//! An operator: what the master says of the cluster.

use std::net::SocketAddr;

use neap_nodes::config::{Connection, Identity};
use neap_nodes::operator::{Client, Problem};
use neap_nodes::output::Failure;
use neap_nodes::units::Period;
use neap_protocol::message::{Answer, Command, Query, Refusal, SlaveRef, SlaveView, Status};
use neap_protocol::text::{Name, Text};

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

    /// Takes a hold away.
    pub(crate) fn release(&mut self, slave: &str, hold: &str) -> Result<(), String> {
        let (slave, hold) = (slave_ref(slave)?, Some(name(hold)?));
        self.command(Command::Activate { slave, hold }).map(drop)
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
