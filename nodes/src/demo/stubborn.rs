//! A framework that ignores inverse offers: at the deadline its task is revoked (R19).

use std::sync::Arc;
use std::time::Duration;

use neap_protocol::ids::{OfferId, SlaveId};
use neap_protocol::message::Offered;
use neap_protocol::resources::Resources;
use neap_protocol::task::{Command, TaskState, Update};
use neap_protocol::text::Name;
use neap_protocol::time::Millis;

use crate::framework::{Driver, NewRun, NewTask, Scheduler};

/// Runs one task that never ends, and answers nothing.
#[derive(Debug)]
pub(super) struct Stubborn {
    pub(super) name: Name,
    placed: bool,
}

impl Stubborn {
    pub(super) fn new(name: Name) -> Self {
        Self { name, placed: false }
    }
}

impl Scheduler for Stubborn {
    fn offers(&mut self, driver: &mut Driver, offers: Vec<Offered>) {
        let (first, rest) = match offers.split_first() {
            Some((first, rest)) if !self.placed => (first, rest),
            Some(_) | None => return driver.decline(ids(&offers), FILTER),
        };
        let arguments = vec![SLEEP.as_secs().to_string()];
        let command = Command { program: "sleep".into(), arguments, environment: Vec::new() };
        let task = NewTask {
            name: self.name.clone(),
            resources: Resources::new(100, 16 << 20),
            kill_grace: Millis::ZERO,
            fence_after: None,
            run: NewRun::Command(Arc::new(command)),
        };
        self.placed = true;
        driver.accept(first.id, vec![task], FILTER);
        driver.decline(ids(rest), FILTER);
        driver.suppress();
    }

    fn update(&mut self, driver: &mut Driver, update: &Update, _slave: SlaveId) {
        if update.state == TaskState::Dropped {
            self.placed = false;
            driver.revive();
        } else if update.state.is_terminal() {
            driver.teardown();
        }
    }
}

const SLEEP: Duration = Duration::from_secs(3600);
const FILTER: Millis = Millis::from_secs(1);

fn ids(offers: &[Offered]) -> Vec<OfferId> {
    offers.iter().map(|offer| offer.id).collect()
}
