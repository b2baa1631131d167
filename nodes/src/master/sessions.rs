//! Who is let in, and what each role says.

use neap_protocol::message::{FrameworkToMaster, OperatorToMaster, SlaveToMaster};
use neap_protocol::transport::Role;
use neap_transport_quic::{Listener, QuicSession};
use tokio::sync::mpsc;

use crate::refusals::Refusals;
use crate::sessions;

/// The roles that a master lets in.
pub(super) const ROLES: [Role; 3] = [Role::Slave, Role::Framework, Role::Operator];

/// What sessions tell the dispatcher.
#[derive(Debug)]
pub(super) enum News {
    /// A peer was let in.
    Accepted(Box<QuicSession>),
    Slave(sessions::News<SlaveToMaster>),
    Framework(sessions::News<FrameworkToMaster>),
    Operator(sessions::News<OperatorToMaster>),
}

/// Lets peers in until the endpoint is closed.
pub(super) async fn accept(mut listener: Listener, news: mpsc::Sender<News>, refusals: Refusals) {
    while let Some(accepted) = listener.accept().await {
        match accepted {
            Ok(session) => {
                if news.send(News::Accepted(Box::new(session))).await.is_err() {
                    return;
                }
            }
            Err(refusal) => refusals.count_unmet(&refusal),
        }
    }
}
