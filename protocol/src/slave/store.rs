//! Durability: what is written, when it may be told, and what happens when it cannot be written.

use alloc::vec::Vec;

use super::state::{Disk, Leaving, Phase, Retained, Stage, Task};
use super::{Checkpoint, CheckpointChange, CheckpointTask, Config, EXIT_DONE, Effect, Event, Link, News};
use super::{RESTART_GAP, Slave, Timer};
use crate::ids::{ExecutorId, Seq};
use crate::outbox::Outbox;
use crate::task::{Reason, TaskState};
use crate::text::Text;
use crate::time::When;

impl Slave {
    /// R2, R5: takes up what an earlier incarnation kept. Its processes are gone, so what was not over is lost.
    pub(super) fn start(&mut self, checkpoint: Option<Checkpoint>, out: &mut Outbox<Effect>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Serving;
        let checkpoint = checkpoint.unwrap_or_default();
        (self.id, self.epoch) = (checkpoint.id, checkpoint.epoch);
        for kept in checkpoint.tasks {
            // A task whose end is acknowledged has nothing left to say.
            if !kept.report.state.is_terminal() || !kept.updates.is_empty() {
                self.tasks.insert(kept.report.id, restored(kept));
            }
        }
        // Once each, however often a file that no slave wrote lists one (S15).
        let lost = self.tasks.iter().filter(|(_, task)| !task.state.is_terminal()).map(|(id, _)| *id);
        for id in lost.collect::<Vec<_>>() {
            let news = News { state: TaskState::Lost, reason: Reason::SlaveRestarted, message: Text::EMPTY };
            self.report(id, news, None, out);
        }
        self.link = Link::Dialing;
        out.push(Effect::Connect { leader: None });
    }

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
            updates: task.updates.iter().map(|update| update.to_final(*id)).collect(),
        });
        Checkpoint { id: self.id, epoch: self.epoch, tasks: tasks.collect() }
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

    /// The slave has left, and forgets it (R27). A write that failed must not keep it from exiting: its id is
    /// refused if it should come back, and then it registers afresh (R3).
    fn cleared(&mut self, seq: Seq, out: &mut Outbox<Effect>) {
        if let Phase::Leaving(Leaving::Clearing(clear)) = self.phase
            && seq >= clear
        {
            self.exit(EXIT_DONE, out);
        }
    }
}

fn restored(kept: CheckpointTask) -> Task {
    let over = kept.report.state.is_terminal();
    let updates = kept.updates.into_iter().map(|kept| Retained {
        number: kept.update.number,
        news: News { state: kept.update.state, reason: kept.update.reason, message: kept.update.message },
        ending: kept.ending,
        write: None,
    });
    let id = kept.report.id;
    let gap = if over { 0 } else { RESTART_GAP };
    Task {
        executor: ExecutorId { framework: id.framework, number: id.number },
        // Its tree is gone (R5): it holds nothing, and is over as soon as its last update is there.
        stage: Stage::Settled,
        kill: None,
        state: kept.report.state,
        number: kept.report.number.saturating_add(gap),
        heard: 0,
        updates: updates.collect(),
        adding: false,
        report: kept.report,
    }
}
