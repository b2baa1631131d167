//! The session to the master: registration, refusal, loss (R1–R3, R30, R31).

use super::state::{Leaving, Link, Phase};
use super::{CheckpointChange, Config, EXIT_DONE, EXIT_REFUSED, Effect, Event, Slave, Timer, close};
use crate::ids::{Epoch, SessionId, SlaveId};
use crate::message::{MasterToSlave, Refused, SlaveToMaster};
use crate::outbox::Outbox;
use crate::task::TaskReport;
use crate::text::Text;
use crate::time::When;
use crate::transport::CloseCode;

impl Slave {
    pub(super) fn master_opened(&mut self, config: &Config, session: SessionId, out: &mut Outbox<Effect>) {
        match self.link {
            Link::Down => {
                return out.push(close(session, CloseCode::Shutdown, "the slave is ending what runs"));
            }
            Link::Dialing => {}
            Link::Waiting { .. } => out.push(Effect::CancelTimer { timer: Timer::Reconnect }),
            Link::Registering(old) | Link::Registered(old) if old == session => return,
            Link::Registering(old) | Link::Registered(old) => out.push(close(old, CloseCode::Replaced, "")),
        }
        self.link = Link::Registering(session);
        let message = SlaveToMaster::Register {
            id: self.id,
            incarnation: self.incarnation,
            boot: self.boot,
            contested: self.contested,
            epoch: self.epoch,
            resources: config.resources.clone(),
            address: config.address.clone(),
            tasks: self.tasks.values().map(|task| reported(&task.report)).collect(),
            leaving: self.is_leaving(),
        };
        out.push(Effect::ToMaster { session, message });
    }

    pub(super) fn master_closed(&mut self, config: &Config, session: SessionId, out: &mut Outbox<Effect>) {
        if self.link.session() == Some(session) {
            self.dial_later(config, Text::EMPTY, out);
        }
    }

    pub(super) fn connect_failed(&mut self, config: &Config, out: &mut Outbox<Effect>) {
        match self.link {
            Link::Dialing => self.dial_later(config, Text::EMPTY, out),
            Link::Down | Link::Waiting { .. } | Link::Registering(_) | Link::Registered(_) => {}
        }
    }

    pub(super) fn reconnect(&mut self, out: &mut Outbox<Effect>) {
        match &self.link {
            Link::Waiting { leader } => {
                let leader = (!leader.is_empty()).then(|| leader.clone());
                self.link = Link::Dialing;
                out.push(Effect::Connect { leader });
            }
            Link::Down | Link::Dialing | Link::Registering(_) | Link::Registered(_) => {}
        }
    }

    /// S7: only the newest session counts, and only an answered registration makes its master one to obey.
    pub(super) fn master_says(
        &mut self,
        config: &Config,
        session: SessionId,
        message: MasterToSlave,
        out: &mut Outbox<Effect>,
    ) {
        if self.link.session() != Some(session) {
            return;
        }
        let obeyed = self.link.registered().is_some();
        match message {
            MasterToSlave::Registered { id, epoch } => self.registered(config, session, id, epoch, out),
            MasterToSlave::Refused(why) => self.refused(config, session, why, out),
            MasterToSlave::Ping => out.push(Effect::ToMaster { session, message: SlaveToMaster::Pong }),
            MasterToSlave::Launch(spec) if obeyed => self.launch(config, spec, out),
            MasterToSlave::Kill { task, grace, reason } if obeyed => {
                self.kill(config, task, grace, reason, out)
            }
            MasterToSlave::Acknowledge { task, number } if obeyed => self.acknowledge(task, number, out),
            MasterToSlave::Resend { framework } if obeyed => {
                self.resend(self.tasks_of(framework).iter(), out);
            }
            MasterToSlave::KillFramework { framework } if obeyed => {
                self.kill_framework(config, framework, out)
            }
            MasterToSlave::Leave if obeyed => self.leave(config, out),
            MasterToSlave::Unregistered if obeyed => self.unregistered(out),
            MasterToSlave::Renewed { task, turn } if obeyed => self.renewed(task, turn, out),
            MasterToSlave::Launch(_) | MasterToSlave::Kill { .. } | MasterToSlave::Acknowledge { .. } => {}
            MasterToSlave::Resend { .. } | MasterToSlave::KillFramework { .. } => {}
            MasterToSlave::Leave | MasterToSlave::Unregistered | MasterToSlave::Renewed { .. } => {}
        }
    }

    fn registered(
        &mut self,
        config: &Config,
        session: SessionId,
        id: SlaveId,
        epoch: Epoch,
        out: &mut Outbox<Effect>,
    ) {
        if epoch < self.epoch {
            // R30.
            out.push(Effect::Publish(Event::Deposed { epoch }));
            return self.hang_up(config, session, (CloseCode::Forbidden, "deposed leader"), out);
        }
        if self.id.is_some_and(|own| own != id) {
            let detail = "an id is for life: refuse it as removed to give another";
            return self.hang_up(config, session, (CloseCode::Misbehaved, detail), out);
        }
        if self.link == Link::Registered(session) && self.epoch == epoch {
            return;
        }
        self.link = Link::Registered(session);
        self.contested = false;
        out.push(Effect::Publish(Event::Registered { id, epoch }));
        if (self.id, self.epoch) != (Some(id), epoch) {
            (self.id, self.epoch) = (Some(id), epoch);
            self.store(CheckpointChange::Identity { id, epoch }, out);
        }
        match self.phase {
            Phase::Leaving(Leaving::Unregistering) => self.send_unregister(out),
            Phase::Leaving(Leaving::Ending { .. }) => {
                let message = SlaveToMaster::Leaving;
                out.push(Effect::ToMaster { session, message });
                self.resend(self.tasks.keys(), out);
            }
            Phase::Serving => self.resend(self.tasks.keys(), out),
            Phase::New | Phase::Resetting => {}
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => {}
        }
    }

    fn refused(&mut self, config: &Config, session: SessionId, why: Refused, out: &mut Outbox<Effect>) {
        match why {
            Refused::NotLeading { leader } => {
                out.push(close(session, CloseCode::Done, "not the leader"));
                self.not_leading(config, leader, out);
            }
            Refused::Removed => self.removed(session, out),
            Refused::NameTaken { address, lives } => self.name_taken(config, session, address, lives, out),
            Refused::NotYours => self.never_admitted(
                session,
                "the id of its checkpoint belongs to a slave of another name: give it its own directory",
                out,
            ),
            Refused::Invalid(cause) => self.never_admitted(session, cause.as_str(), out),
        }
        self.tree_gone(config, out);
    }

    /// R1a, S12: what it runs is no reason to end anything. It comes again until whoever has its name is given up, or it is.
    fn name_taken(
        &mut self,
        config: &Config,
        session: SessionId,
        address: Text,
        lives: bool,
        out: &mut Outbox<Effect>,
    ) {
        out.push(close(session, CloseCode::Done, "another slave has this name"));
        out.push(Effect::Publish(Event::NameTaken { address, lives }));
        self.contested = lives;
        if !self.has_nobody_to_leave(out) {
            self.link = Link::Waiting { leader: Text::EMPTY };
            let when = When::After(config.name_taken_delay);
            out.push(Effect::SetTimer { timer: Timer::Reconnect, when });
        }
    }

    /// R3: what runs is ended, then it registers afresh; a slave that is leaving has left already.
    fn removed(&mut self, session: SessionId, out: &mut Outbox<Effect>) {
        out.push(Effect::Publish(Event::Removed));
        out.push(close(session, CloseCode::Done, "removed"));
        self.id = None;
        let phase = match self.phase {
            Phase::Leaving(_) => Phase::Quitting { code: EXIT_DONE },
            Phase::New | Phase::Serving | Phase::Resetting => Phase::Resetting,
            Phase::Quitting { .. } | Phase::Clearing { .. } | Phase::Exited => self.phase,
        };
        self.abandon(phase, out);
        let (epoch, boot) = (self.epoch, self.boot);
        let whole = CheckpointChange::Whole(super::Checkpoint { epoch, boot, ..Default::default() });
        self.store(whole, out);
    }

    fn never_admitted(&mut self, session: SessionId, cause: &str, out: &mut Outbox<Effect>) {
        let cause = Text::new(cause);
        out.push(Effect::Publish(Event::Refused { cause }));
        out.push(close(session, CloseCode::Done, "refused"));
        self.abandon(Phase::Quitting { code: EXIT_REFUSED }, out);
    }

    fn hang_up(
        &mut self,
        config: &Config,
        session: SessionId,
        (code, detail): (CloseCode, &str),
        out: &mut Outbox<Effect>,
    ) {
        out.push(close(session, code, detail));
        self.dial_later(config, Text::EMPTY, out);
    }

    pub(super) fn dial_later(&mut self, config: &Config, leader: Text, out: &mut Outbox<Effect>) {
        self.link = Link::Waiting { leader };
        out.push(Effect::SetTimer { timer: Timer::Reconnect, when: When::After(config.reconnect_delay) });
    }
}

/// What is told of a task at a registration. One that is over holds no ports any more: those of many that nobody has
/// acknowledged might not fit a frame.
fn reported(report: &TaskReport) -> TaskReport {
    let resources = match report.state.is_terminal() {
        true => report.resources.without_ports(),
        false => report.resources.clone(),
    };
    TaskReport { resources, ..report.clone() }
}
