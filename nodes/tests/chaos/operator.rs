//! An operator: what the master says of the cluster.

use std::net::SocketAddr;

use neap_nodes::config::{Connection, Identity};
use neap_nodes::operator::Client;
use neap_nodes::output::Failure;
use neap_nodes::units::Period;
use neap_protocol::message::{Answer, Command, Query, SlaveView, Status};

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

    fn ask(&mut self, query: Query) -> Result<Answer, String> {
        let answer = self.runtime.block_on(self.client.ask(Command::Show(query)));
        answer.map_err(|problem| Failure::from(problem).to_text(false))
    }
}
