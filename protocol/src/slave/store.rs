//! Durability: what is written, when it may be told, and what happens when it cannot be written.

use super::state::{Disk, Link, Phase};
use super::{Checkpoint, CheckpointChange, CheckpointTask, Config, Effect, Event, Slave, Timer};
use crate::ids::Seq;
use crate::outbox::Outbox;
use crate::text::Text;
use crate::time::When;

impl Slave {
    /// Asks for a write. `None` while the disk is failing: everything will be written again, and nothing waits
    /// for it, because a drain must end although a disk is full (R22).
    pub(super) fn store(&mut self, change: CheckpointChange, out: &mut Outbox<Effect>) -> Option<Seq> {
        match self.disk {
            Disk::Good => Some(self.write(change, out)),
            Disk::Failing => None,
        }
    }

    pub(super) fn write(&mut self, change: CheckpointChange, out: &mut Outbox<Effect>) -> Seq {
        self.seq = self.seq.next();
        let seq = self.seq;
        out.push(Effect::Store { seq, change });
        seq
    }

    pub(super) fn stored(&mut self, seq: Seq, out: &mut Outbox<Effect>) {
        if seq > self.seq {
            return;
        }
        self.release(seq, out);
        self.cleared(seq, out);
    }

    pub(super) fn store_failed(&mut self, config: &Config, seq: Seq, cause: Text, out: &mut Outbox<Effect>) {
        if seq > self.seq || seq == Seq(0) {
            return;
        }
        if self.disk == Disk::Good {
            self.disk = Disk::Failing;
            out.push(Effect::Publish(Event::StoreFailed { cause }));
            out.push(Effect::SetTimer {
                timer: Timer::StoreRetry,
                when: When::After(config.store_retry_delay),
            });
            self.release(self.seq, out);
        }
        self.cleared(seq, out);
    }

    pub(super) fn store_again(&mut self, out: &mut Outbox<Effect>) {
        match self.disk {
            Disk::Good => {}
            Disk::Failing => {
                self.disk = Disk::Good;
                let whole = CheckpointChange::Whole(self.checkpoint());
                self.write(whole, out);
            }
        }
    }

    /// Everything that must be durable.
    pub fn checkpoint(&self) -> Checkpoint {
        let tasks = self.tasks.iter().map(|(id, task)| CheckpointTask {
            report: task.newest(),
            executor: task.executor.number,
            shared: task.shared,
            heard: task.heard,
            ended: task.to_be_told(*id),
            updates: task.updates.iter().map(|update| update.to_final(*id)).collect(),
        });
        let (id, epoch, boot) = (self.id, self.epoch, self.boot);
        let leaving = matches!(self.phase, Phase::Leaving(_));
        Checkpoint { id, epoch, boot, leaving, tasks: tasks.collect() }
    }

    /// What `seq` and everything before it made durable may be told.
    fn release(&mut self, seq: Seq, out: &mut Outbox<Effect>) {
        while let Some((&write, &id)) = self.writes.first()
            && write <= seq
        {
            self.writes.remove(&write);
            self.tell(id, write, out);
        }
    }

    /// Exits once its checkpoint says `change`: the next incarnation is not to leave again. Nobody is heard any more, or
    /// a master might admit it now.
    pub(super) fn clear(&mut self, code: u8, change: CheckpointChange, out: &mut Outbox<Effect>) {
        match self.link {
            Link::Waiting { .. } => out.push(Effect::CancelTimer { timer: Timer::Reconnect }),
            Link::Down | Link::Dialing | Link::Registering(_) | Link::Registered(_) => {}
        }
        self.link = Link::Down;
        let write = self.write(change, out);
        self.phase = Phase::Clearing { code, write };
    }

    /// A write that failed must not keep it from exiting: its id is refused if it should come back, and then it
    /// registers afresh (R3); or it leaves at once.
    fn cleared(&mut self, seq: Seq, out: &mut Outbox<Effect>) {
        if let Phase::Clearing { code, write } = self.phase
            && seq >= write
        {
            self.exit(code, out);
        }
    }
}
