//! An operator inside this process.

use std::time::Instant;

use neap_nodes::operator::Client;
use neap_nodes::output::Failure;
use neap_protocol::message::{Answer, Command, Event};

use crate::cluster::{Master, PATIENCE};
use crate::program::Place;

/// An operator's session, which watches.
pub(crate) struct Operator {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Operator {
    /// Connects, and begins to watch.
    pub(crate) fn new(place: &Place, master: &Master) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
        let client = Client::new(&master.operator(place)).map_err(|failure| failure.to_text(false))?;
        let mut operator = Self { runtime, client };
        operator.ask(Command::Watch)?;
        Ok(operator)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Answer, String> {
        let answer = self.runtime.block_on(self.client.ask(command));
        answer.map_err(|problem| Failure::from(problem).to_text(false))
    }

    /// Waits for an event; when it was heard.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<Instant, String> {
        let heard = async {
            loop {
                let event = self.client.event().await.map_err(|failure| failure.to_text(false))?;
                if wanted(&event) {
                    return Ok(Instant::now());
                }
            }
        };
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, heard).await.map_err(|_| "the event did not come".to_owned())?
        })
    }
}
