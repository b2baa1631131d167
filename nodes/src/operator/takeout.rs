//! Taking resources back: inverse offers and drains, attached or not.
//!
//! An attached command watches first and asks then, so that it misses nothing. It prints a line for each task that
//! moves, and says who holds things up whenever nothing has moved for a moment, until the end. Ctrl-C only detaches.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId};
use neap_protocol::message::{
    Answer, Command, DrainEnd, DrainPlan, DrainStep, DrainView, Event, InverseAnswer, InverseAsk,
    InverseOfferView, InverseOutcome, Pace, Query, ReceiptId, ReceiptLine, Refusal, SlaveRef, SlaveStatus,
    Then, Uncounted,
};
use neap_protocol::registry::drain_hold;
use neap_protocol::resources::Resources;
use neap_protocol::task::TaskState;
use neap_protocol::time::{Millis, Moment};
use serde::Serialize;

use crate::cli::change::{DrainAction, InverseOfferAction, PlanDigest};
use crate::driver;
use crate::exit::Exit;
use crate::output::{Cell, Column, Failure, Format, Row, clock, counted, exact_clock, printable};
use crate::shutdown::{Signal, Signals};
use crate::units::Period;

use super::client::Problem;
use super::events::{Line, because, how, until};
use super::views::{DrainAsked, asked, left, left_ms, uncounted, waits, waits_now};
use super::{Operator, Outcome, unexpected};

impl Operator {
    /// `neap inverse-offer`.
    pub(super) async fn inverse_offer(&mut self, action: InverseOfferAction) -> Result<Exit, Failure> {
        let (framework, slave, cpus, mem, deadline, reason, detach) = match action {
            InverseOfferAction::Cancel(id) => {
                self.cancel_inverse_offer(id).await?;
                return Ok(Exit::Success);
            }
            InverseOfferAction::Make { framework, slave, cpus, mem, deadline, reason, detach } => {
                (framework, slave, cpus, mem, deadline, reason, detach)
            }
        };
        let of = self.framework(&framework).await?;
        let ask = match (cpus, mem) {
            (None, None) => InverseAsk::Everything,
            (cpus, mem) => InverseAsk::Amount(Resources::new(
                cpus.map_or(0, |cpus| cpus.thousandths()),
                mem.map_or(0, |mem| mem.bytes()),
            )),
        };
        let wanted = asked(&ask);
        let mut signals = self.attach(detach).await?;
        let deadline = millis(deadline);
        let same = ask.clone();
        let command = Command::InverseOffer { framework: of, slave: slave.clone(), ask, deadline, reason };
        let (id, by, changed) = match self.client.ask(command).await {
            Ok(Answer::InverseOffered(id)) => (id, driver::now().after(deadline), true),
            // To ask again for the same is success, and follows it.
            Err(Problem::Refused(refusal @ Refusal::AlreadyAsked(id))) => {
                let open = self.inverse_offers().await?.into_iter().find(|view| view.id == id);
                let Some(view) = open.filter(|view| view.ask == same) else {
                    return Err(Problem::Refused(refusal).into());
                };
                (id, view.deadline, false)
            }
            Ok(_) => return Err(unexpected()),
            Err(problem) => return Err(self.explained(problem).await),
        };
        let (already, by) = (if changed { "" } else { " already" }, clock(by));
        let text = format!("{id} asks {framework}{already} for {wanted} on {slave} back by {by}");
        // Who reads this may interrupt: what is detached from is said, and not only left.
        self.heed.command_hears(signals.is_some());
        self.printer.one(&Asked { changed, inverse_offer: id.to_string(), text })?;
        match &mut signals {
            Some(signals) => self.until_closed(id, signals).await,
            None => Ok(Exit::Success),
        }
    }

    /// `neap drain`.
    pub(super) async fn drain(&mut self, action: DrainAction) -> Result<Exit, Failure> {
        match action {
            DrainAction::Begin { slave, deadline, reason, then, if_plan, change, detach } => {
                let if_plan = if_plan.map(|digest| digest.0);
                let command = Command::Drain {
                    slave: slave.clone(),
                    deadline: millis(deadline),
                    reason,
                    then,
                    if_plan,
                    change,
                };
                let follow = format!("`neap drain {slave} --deadline {deadline}` follows it");
                let leaves = then == Some(Then::Unregister);
                return self.begin_drain(NewDrain { slave, leaves, follow, command }, detach).await;
            }
            DrainAction::Plan { slave, deadline, then } => {
                let command = Command::PlanDrain { slave, deadline: millis(deadline), then };
                let Answer::Plan(plan) = self.ask(command).await? else {
                    return Err(unexpected());
                };
                self.plan(&plan, deadline, then)?;
            }
            DrainAction::Now { slave, reason, detach } => {
                let command = Command::DrainNow { slave: slave.clone(), reason };
                let follow = format!("`neap drain {slave} --now` follows it");
                return self.begin_drain(NewDrain { slave, leaves: true, follow, command }, detach).await;
            }
            DrainAction::Cancel(id) => self.cancel_drain(id).await?,
            DrainAction::Extend(id, deadline) => {
                let changed = self.done(Command::ExtendDrain(id, millis(deadline))).await?;
                let until = clock(driver::now().after(millis(deadline)));
                let text = format!("the deadline of {id} is now {until}, {deadline} from now");
                self.printer.one(&Outcome { changed, text })?;
            }
            DrainAction::Receipt(id) => self.receipt(id).await?,
        }
        Ok(Exit::Success)
    }

    /// `neap inverse-offer --cancel`. What was cancelled before is as it was to be.
    async fn cancel_inverse_offer(&mut self, id: InverseOfferId) -> Result<(), Failure> {
        let asked = self.client.ask(Command::CancelInverseOffer(id)).await;
        let (changed, text) = match asked {
            Ok(Answer::Done { changed }) => (changed, format!("{id} is taken back")),
            Ok(_) => return Err(unexpected()),
            Err(problem @ Problem::Refused(Refusal::UnknownInverseOffer(_))) => {
                let lines = self.lines_of(ReceiptId::InverseOffer(id)).await?;
                match lines.iter().rev().find_map(|(_, line)| closing(line)) {
                    Some(InverseOutcome::Cancelled) => (false, format!("{id} was taken back already")),
                    Some(outcome) => return Err(over(&id, how(outcome))),
                    None => return Err(problem.into()),
                }
            }
            Err(problem) => return Err(problem.into()),
        };
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    /// `neap drain --cancel`. What was cancelled before is as it was to be.
    async fn cancel_drain(&mut self, id: DrainId) -> Result<(), Failure> {
        let now = self.drain_view(id).await?.filter(|view| view.pace == Pace::Now);
        let (changed, text) = match self.client.ask(Command::CancelDrain(id)).await {
            Ok(Answer::Done { changed }) => {
                let stays = match now {
                    // What it may have heard from an earlier leader, or just before its session ended, nobody knows.
                    Some(DrainView { slave_name, .. }) => {
                        format!(
                            "{slave_name} is not told to leave; if it had heard of it before, it leaves all the same"
                        )
                    }
                    None => "what it revoked stays revoked".to_owned(),
                };
                (changed, format!("{id} is cancelled; {stays}"))
            }
            Ok(_) => return Err(unexpected()),
            Err(problem @ Problem::Refused(Refusal::UnknownDrain(_))) => {
                let lines = self.lines_of(ReceiptId::Drain(id)).await?;
                match lines.iter().rev().find_map(|(_, line)| drain_end(line)) {
                    Some(DrainEnd::Cancelled) => (false, format!("{id} was cancelled already")),
                    Some(end) => return Err(over(&id, end)),
                    None => return Err(problem.into()),
                }
            }
            Err(problem) => return Err(problem.into()),
        };
        Ok(self.printer.one(&Outcome { changed, text })?)
    }

    /// What a receipt has so far; nothing where there is none.
    async fn lines_of(&mut self, id: ReceiptId) -> Result<Vec<(Moment, ReceiptLine)>, Failure> {
        match self.client.ask(Command::Show(Query::Receipt(id))).await {
            Ok(Answer::Receipt(lines)) => Ok(lines),
            Ok(_) => Err(unexpected()),
            Err(Problem::Refused(Refusal::UnknownReceipt(_))) => Ok(Vec::new()),
            Err(problem) => Err(problem.into()),
        }
    }

    async fn begin_drain(&mut self, new: NewDrain, detach: bool) -> Result<Exit, Failure> {
        let mut signals = self.attach(detach).await?;
        let NewDrain { slave, leaves, follow, command } = new;
        let (drain, step) = match self.client.ask(command).await {
            Ok(Answer::Draining { drain, step }) => (drain, step),
            Ok(_) => return Err(unexpected()),
            Err(Problem::Refused(Refusal::RemovedSlave(id) | Refusal::SlaveLeft { slave: id, .. }))
                if leaves =>
            {
                return self.left_already(id);
            }
            Err(problem) => return Err(self.explained(problem).await),
        };
        // What was begun or changed is told before it is answered; its slave may have left by now.
        let view = match signals.is_some() && step != DrainStep::Unchanged {
            true => Some(self.told_of(drain).await?),
            false => self.drain_view(drain).await?,
        };
        let text = match &view {
            Some(view) => asked_for(view, &slave, step),
            None => format!("{drain} is over: {slave} has left for good"),
        };
        let changed = step != DrainStep::Unchanged;
        let asked = view.as_ref().map(DrainAsked::of);
        self.heed.command_hears(signals.is_some());
        self.printer.one(&Begun { changed, drain: drain.to_string(), asked, text })?;
        match (&mut signals, view) {
            (Some(signals), Some(view)) => {
                let begun = step == DrainStep::Began;
                self.until_drained(&view, &slave, signals, &follow, begun).await
            }
            (Some(_), None) => self.printed_end(drain, &slave, DrainEnd::SlaveGone, Then::Unregister).await,
            // What is over is not followed: what became of it is in its receipt.
            (None, Some(DrainView { end: None, .. })) => {
                self.printer.note(follow)?;
                Ok(Exit::Success)
            }
            (None, _) => {
                self.printer
                    .note(format!("`neap drain --receipt {drain}` shows what was done to each task"))?;
                Ok(Exit::Success)
            }
        }
    }

    /// How a drain is, as whoever watches is told of it.
    async fn told_of(&mut self, drain: DrainId) -> Result<DrainView, Failure> {
        loop {
            if let Event::Draining(view) = self.client.event().await?
                && view.id == drain
            {
                return Ok(view);
            }
        }
    }

    /// A slave that was to leave has done so before: that is success, too.
    fn left_already(&mut self, slave: SlaveId) -> Result<Exit, Failure> {
        let text = format!("{slave} has left for good already");
        self.printer.one(&Outcome { changed: false, text })?;
        self.printer.note(format!("`neap drain --receipt {slave}` shows what was done to each task"))?;
        Ok(Exit::Success)
    }

    /// Watches, where the command is to stay to the end.
    async fn attach(&mut self, detach: bool) -> Result<Option<Signals>, Failure> {
        if detach {
            return Ok(None);
        }
        let signals = Signals::new().map_err(|error| Failure::because("listen to signals", &error))?;
        self.watch().await?;
        Ok(Some(signals))
    }

    /// Waits for what comes next; for an event, no longer than `quiet`.
    pub(super) async fn next(
        &mut self,
        signals: &mut Signals,
        quiet: Option<Duration>,
    ) -> Result<Next, Failure> {
        self.heed.command_hears(true);
        self.heard(signals, quiet).await
    }

    async fn heard(&mut self, signals: &mut Signals, quiet: Option<Duration>) -> Result<Next, Failure> {
        let mut pause = pin!(async {
            match quiet {
                Some(quiet) => tokio::time::sleep(quiet).await,
                None => std::future::pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Interrupt | Signal::Terminate => return Ok(Next::Interrupted),
                    Signal::DrainNow => {}
                },
                event = self.client.event() => return event.map(|event| Next::Event(Box::new(event))),
                () = &mut pause => return Ok(Next::Quiet),
            }
        }
    }

    fn detached(&mut self, hint: &str) -> Result<Exit, Failure> {
        self.printer.one(&Line::note("detached", format!("detached: {hint}")))?;
        Ok(Exit::Detached)
    }

    /// The leader is gone, and with it the watch: looks for the next one, and watches there.
    pub(super) async fn watch_again(&mut self, lost: Failure) -> Result<(), Failure> {
        if lost.exit() != Exit::Unreachable {
            return Err(lost);
        }
        // There may be no leader for long: Ctrl-C ends the search.
        self.heed.command_hears(false);
        self.printer.one(&Line::note("lost", format!("{lost}; looking for the leader")))?;
        // One that is started again, or elected, is not there at once.
        let by = tokio::time::Instant::now() + self.client.patience();
        loop {
            match self.watch().await {
                Err(failure) if failure.exit() == Exit::Unreachable && tokio::time::Instant::now() < by => {
                    tokio::time::sleep(QUIET).await;
                }
                watched => return watched,
            }
        }
    }

    /// Prints what happens until an inverse offer is over.
    async fn until_closed(&mut self, id: InverseOfferId, signals: &mut Signals) -> Result<Exit, Failure> {
        let open = |views: Vec<InverseOfferView>| views.into_iter().find(|view| view.id == id);
        let Some(view) = open(self.inverse_offers().await?) else {
            return self.closed(id).await;
        };
        if view.returned {
            return self.returned(&view);
        }
        let (slave, frameworks) = (view.slave, BTreeSet::from([view.framework]));
        loop {
            let event = match self.next(signals, None).await {
                Ok(Next::Event(event)) => event,
                Ok(Next::Quiet) => continue,
                Ok(Next::Interrupted) => {
                    let hint = format!(
                        "{id} goes on; `neap inverse-offers` shows it, `neap inverse-offer --cancel {id}` takes it back"
                    );
                    return self.detached(&hint);
                }
                Err(lost) => {
                    self.watch_again(lost).await?;
                    match open(self.inverse_offers().await?) {
                        Some(view) if view.returned => return self.returned(&view),
                        Some(_) => continue,
                        None => return self.closed(id).await,
                    }
                }
            };
            if let Event::InverseClosed { inverse_offer, outcome } = *event
                && inverse_offer == id
            {
                self.printer.one(&Line::of(&event))?;
                return self.outcome(id, outcome);
            }
            if matches!(*event, Event::InverseReturned(of) if of == id) {
                self.printer.one(&Line::of(&event))?;
                return self.returned(&view);
            }
            if is_of(&event, id) || is_move(&event, slave, &frameworks) {
                self.printer.one(&Line::of(&event))?;
            }
        }
    }

    /// Everything came back: what is left of the inverse offer only keeps it so.
    fn returned(&mut self, view: &InverseOfferView) -> Result<Exit, Failure> {
        let InverseOfferView { id, slave_name, framework_name, .. } = view;
        let until = clock(view.deadline);
        self.printer.note(format!("{slave_name} is not offered to {framework_name} before {until}"))?;
        self.printer.note(format!("`neap drain --receipt {id}` shows what was done to each task"))?;
        Ok(Exit::Success)
    }

    /// How an inverse offer ended that is not open any more: its receipt tells.
    async fn closed(&mut self, id: InverseOfferId) -> Result<Exit, Failure> {
        let query = Query::Receipt(ReceiptId::InverseOffer(id));
        let Answer::Receipt(lines) = self.ask(Command::Show(query)).await? else {
            return Err(unexpected());
        };
        let outcome = lines.iter().rev().find_map(|(_, line)| closing(line)).ok_or_else(unexpected)?;
        let event = Event::InverseClosed { inverse_offer: id, outcome };
        self.printer.one(&Line::of(&event))?;
        self.outcome(id, outcome)
    }

    fn outcome(&mut self, id: InverseOfferId, outcome: InverseOutcome) -> Result<Exit, Failure> {
        let receipt = format!("`neap drain --receipt {id}` shows what was done to each task");
        match outcome {
            InverseOutcome::Returned | InverseOutcome::Revoked => {
                self.printer.note(receipt)?;
                Ok(Exit::Success)
            }
            InverseOutcome::Cancelled => Err(ended(format!("{id} was cancelled")).help(receipt)),
            InverseOutcome::Void => {
                Err(ended(format!("{id} is void: the slave or the framework is gone")).help(receipt))
            }
        }
    }

    /// Prints what happens until the drain is over. A leader that goes away is looked for again.
    async fn until_drained(
        &mut self,
        view: &DrainView,
        slave: &SlaveRef,
        signals: &mut Signals,
        follow: &str,
        begun: bool,
    ) -> Result<Exit, Failure> {
        let (drain, id, mut then) = (view.id, view.slave, view.then);
        // A slave that is to unregister has done so when it is gone, which the view does not tell.
        let over = |end, then| match end {
            DrainEnd::Drained => then == Then::Stay,
            DrainEnd::Unseen | DrainEnd::Cancelled => true,
            DrainEnd::SlaveGone => false,
        };
        if let Some(end) = view.end.filter(|end| over(*end, then)) {
            return self.printed_end(drain, slave, end, then).await;
        }
        let mut drained = view.end == Some(DrainEnd::Drained);
        let mut progress = self.progress(view, begun).await?;
        loop {
            let quiet = (!progress.told).then_some(QUIET);
            let event = match self.next(signals, quiet).await {
                Ok(Next::Event(event)) => event,
                Ok(Next::Quiet) => {
                    if let Some(view) = self.drain_view(drain).await? {
                        self.show_waits(&view, &mut progress)?;
                    }
                    continue;
                }
                Ok(Next::Interrupted) => {
                    let hint = format!(
                        "{drain} of {slave} goes on; {follow} again, `neap drain --cancel {drain}` gives it up"
                    );
                    return self.detached(&hint);
                }
                Err(lost) => {
                    self.watch_again(lost).await?;
                    match self.drain_view(drain).await? {
                        Some(DrainView { end: Some(end), then, .. }) if over(end, then) => {
                            return self.printed_end(drain, slave, end, then).await;
                        }
                        Some(view) => {
                            (then, drained) = (view.then, view.end == Some(DrainEnd::Drained));
                            progress = self.progress(&view, false).await?;
                            if drained && view.status == SlaveStatus::Unreachable {
                                return Err(never_left(drain, slave));
                            }
                        }
                        None => return self.printed_end(drain, slave, DrainEnd::SlaveGone, then).await,
                    }
                    continue;
                }
            };
            if progress.concerned_by(&event, view) {
                self.printer.one(&Line::of(&event))?;
            }
            if let Event::Draining(view) = &*event
                && view.id == drain
            {
                then = view.then;
            }
            if let Event::DrainEnded { drain: of, end, .. } = *event
                && of == drain
            {
                if over(end, then) {
                    return self.printed_end(drain, slave, end, then).await;
                }
                drained = end == DrainEnd::Drained;
            }
            if removes(&event, id) {
                return self.printed_end(drain, slave, DrainEnd::SlaveGone, then).await;
            }
            // Nothing more is counted for it: it is drained, and leaves whenever it is back.
            if drained && matches!(*event, Event::SlaveUnreachable { slave: away, .. } if away == id) {
                return Err(never_left(drain, slave));
            }
            progress.told &= !may_change_waits(&event);
        }
    }

    /// Where a drain is. Of one that has just begun, whom it asks for what may have been told before it was known to
    /// be of this drain: that is told here.
    async fn progress(&mut self, view: &DrainView, begun: bool) -> Result<Progress, Failure> {
        let offers = self.inverse_offers().await?;
        let offers: Vec<_> = offers.into_iter().filter(|offer| offer.drain == Some(view.id)).collect();
        for offer in offers.iter().filter(|_| begun) {
            self.printer.one(&Line::of(&Event::InverseOffered(offer.clone())))?;
        }
        let waiting = view.waiting_for.iter().map(|wait| wait.framework);
        Ok(Progress {
            told: false,
            waits: Vec::new(),
            frameworks: offers.iter().map(|offer| offer.framework).chain(waiting).collect(),
            offers: offers.iter().map(|offer| offer.id).collect(),
            deadline: view.deadline,
        })
    }

    /// How the drain is; nothing where it went with its slave.
    async fn drain_view(&mut self, drain: DrainId) -> Result<Option<DrainView>, Failure> {
        match self.client.ask(Command::Show(Query::Drain(drain))).await {
            Ok(Answer::Drain(view)) => Ok(Some(view)),
            Ok(_) => Err(unexpected()),
            Err(Problem::Refused(Refusal::UnknownDrain(_))) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Says who holds the drain up, where that has changed.
    fn show_waits(&mut self, view: &DrainView, progress: &mut Progress) -> Result<(), Failure> {
        progress.told = true;
        progress.frameworks.extend(view.waiting_for.iter().map(|wait| wait.framework));
        let waits = if view.end.is_none() { waits(view) } else { Vec::new() };
        if waits != progress.waits {
            if !waits.is_empty() {
                let time = match view.revoking || left_ms(view.deadline) == 0 {
                    true if view.pace == Pace::Now => format!("over by {} at the latest", clock(view.bound)),
                    true => {
                        format!("the deadline is over; the drain is by {} at the latest", clock(view.bound))
                    }
                    false => format!("{} left", left(view.deadline)),
                };
                let text = format!("waits for {}; {time}", waits.join("; "));
                self.printer.one(&Line::note("waiting", text))?;
            }
            progress.waits = waits;
        }
        Ok(())
    }

    /// What is left to do for a slave that is drained: others' holds are theirs.
    async fn put_back(&mut self, slave: &SlaveRef) -> Result<String, Failure> {
        let view = match self.client.ask(Command::Show(Query::Slave(slave.clone()))).await {
            Ok(Answer::Slaves(page)) => page.items.into_iter().next(),
            Ok(_) | Err(Problem::Refused(_)) => None,
            Err(problem) => return Err(problem.into()),
        };
        let Some(view) = view else { return Ok(format!("{slave} has left for good")) };
        let own = self.client.name().clone();
        let its = view.drain.as_ref().and_then(|drain| drain_hold(drain.id));
        let others = view.holds.iter().filter(|hold| Some(&hold.name) != its.as_ref() && hold.name != own);
        let others: Vec<String> = others.map(|hold| format!("{} by {}", hold.name, hold.by)).collect();
        Ok(match others.is_empty() {
            true => format!("`neap activate {slave}` puts the slave back"),
            false => format!(
                "`neap activate {slave}` lifts your holds; the slave is still held back then: {}",
                others.join(", ")
            ),
        })
    }

    async fn printed_end(
        &mut self,
        drain: DrainId,
        slave: &SlaveRef,
        end: DrainEnd,
        then: Then,
    ) -> Result<Exit, Failure> {
        let receipt = format!("`neap drain --receipt {drain}` shows what was done to each task");
        match (end, then) {
            (DrainEnd::Drained, Then::Stay) => {
                self.printer.note(receipt)?;
                let next = self.put_back(slave).await?;
                self.printer.note(next)?;
                Ok(Exit::Success)
            }
            (DrainEnd::Drained | DrainEnd::SlaveGone, Then::Unregister) => {
                self.printer.note(receipt)?;
                Ok(Exit::Success)
            }
            (DrainEnd::SlaveGone, Then::Stay) => {
                Err(ended(format!("{drain} is over: the slave has left for good")).help(receipt))
            }
            (DrainEnd::Cancelled, _) => Err(ended(format!("{drain} was cancelled")).help(receipt)),
            (DrainEnd::Unseen, _) => {
                let message =
                    format!("{drain} is over, and the slave could not be seen empty; it stays deactivated");
                Err(ended(message).help("look at the machine before you take it away").help(receipt))
            }
        }
    }

    fn plan(&mut self, plan: &DrainPlan, deadline: Period, then: Option<Then>) -> Result<(), Failure> {
        let then = then.map(|then| then.to_string());
        let head = Plan {
            slave: plan.slave.to_string(),
            slave_name: plan.slave_name.to_string(),
            status: plan.status.to_string(),
            drain: plan.drain.map(|drain| drain.to_string()),
            drained: plan.drained,
            then: then
                .clone()
                .or_else(|| plan.has.map(|(_, then)| then.to_string()))
                .unwrap_or("stay".to_owned()),
            under_way: plan.has.filter(|_| !plan.drained).map(|(pace, then)| format!("{pace} --then {then}")),
            tasks_end_ms: plan.tasks_end.0,
            drain_end_ms: plan.drain_end.0,
            digest: PlanDigest(plan.digest).to_string(),
            tasks: plan.tasks.iter().map(PlanRow::of).collect(),
            seen: plan.status.answers(),
            uncounted: plan.uncounted,
        };
        self.printer.one(&head)?;
        if self.printer.format() == Format::Text {
            if !head.tasks.is_empty() {
                self.printer.note("")?;
                self.printer.rows(&head.tasks, "")?;
                self.printer.note("")?;
            }
            if head.drained && then.as_deref() != Some("unregister") {
                return Ok(self.printer.note(format!("`neap activate {}` undoes it", head.slave_name))?);
            }
            let then = then.map_or_else(String::new, |then| format!(" --then {then}"));
            self.printer.note(format!(
                "to do exactly this: neap drain {} --deadline {deadline}{then} --if-plan {}",
                head.slave_name, head.digest
            ))?;
        }
        Ok(())
    }

    async fn receipt(&mut self, id: ReceiptId) -> Result<(), Failure> {
        let Answer::Receipt(lines) = self.ask(Command::Show(Query::Receipt(id))).await? else {
            return Err(unexpected());
        };
        let rows: Vec<ReceiptRow> = lines.iter().map(|(at, line)| ReceiptRow::of(*at, line)).collect();
        Ok(self.printer.rows(&rows, "the receipt is empty")?)
    }
}

/// A drain that is asked for.
struct NewDrain {
    slave: SlaveRef,
    /// Whether the slave is to leave: one that has left is as it was to be.
    leaves: bool,
    /// How to follow it.
    follow: String,
    command: Command,
}

/// What became of asking for a drain, in words. That its slave was told is said once it has been heard to leave.
fn asked_for(view: &DrainView, slave: &SlaveRef, step: DrainStep) -> String {
    let already = if step == DrainStep::Unchanged { " already" } else { "" };
    let why = because(&view.reason);
    match (view.end, view.pace) {
        (Some(DrainEnd::Drained), _) if view.then == Then::Stay => {
            format!("{slave} is drained{already}, by {}", view.id)
        }
        (Some(DrainEnd::Drained), _) => {
            format!("{slave} is drained, by {}; from now on the slave leaves after it", view.id)
        }
        (_, Pace::Now) => format!(
            "{} drains {slave} ({}) now{already}: it is held{why}; waits for {}",
            view.id,
            view.slave,
            waits_now(view)
        ),
        (_, Pace::Within(_)) => {
            let changed = if step == DrainStep::Changed { ", changed by this," } else { "" };
            let by =
                if step == DrainStep::Began { String::new() } else { format!(" (asked for by {})", view.by) };
            format!("{} drains {slave}{already}{changed} {}{by}{why}", view.id, until(view))
        }
    }
}

/// A slave that is drained, and was to leave, is given up before it has.
fn never_left(drain: DrainId, slave: &SlaveRef) -> Failure {
    ended(format!("{drain} has drained {slave}, which does not answer: it leaves when it is back"))
        .help(format!("`neap drain --receipt {drain}` shows what was done to each task"))
}

/// What an attached command waits for.
pub(super) enum Next {
    Event(Box<Event>),
    /// Nothing has happened for a while.
    Quiet,
    /// Ctrl-C.
    Interrupted,
}

/// What an attached drain has seen.
#[derive(Debug)]
struct Progress {
    /// Whether who holds it up was told since something happened.
    told: bool,
    waits: Vec<String>,
    /// Those that had tasks there: where they start new ones is where the work moved.
    frameworks: BTreeSet<FrameworkId>,
    /// The inverse offers that are part of it.
    offers: BTreeSet<InverseOfferId>,
    deadline: Moment,
}

impl Progress {
    /// Whether an event is worth a line. Learns from it.
    fn concerned_by(&mut self, event: &Event, drain: &DrainView) -> bool {
        if let Event::InverseOffered(view) = event
            && view.drain == Some(drain.id)
        {
            self.frameworks.insert(view.framework);
            return self.offers.insert(view.id);
        }
        if let Event::Draining(view) = event
            && view.id == drain.id
        {
            return std::mem::replace(&mut self.deadline, view.deadline) != view.deadline;
        }
        self.offers.iter().any(|id| is_of(event, *id)) || is_progress(event, drain.slave, &self.frameworks)
    }
}

/// Whether an event is about an inverse offer, after it was made.
fn is_of(event: &Event, id: InverseOfferId) -> bool {
    matches!(event, Event::InverseAnswered(view) if view.id == id)
        || matches!(event, Event::Revoking { inverse_offer: of, .. } if *of == id)
}

/// Whether a task has ended on a slave, or one of these frameworks has started one elsewhere.
fn is_move(event: &Event, slave: SlaveId, frameworks: &BTreeSet<FrameworkId>) -> bool {
    let Event::Task(view) = event else {
        return false;
    };
    let gone = view.slave == slave && view.state.is_terminal();
    let moved = frameworks.contains(&view.id.framework) && view.state == TaskState::Running;
    gone || (moved && view.slave != slave)
}

/// Whether an event is progress of what happens on a slave.
fn is_progress(event: &Event, slave: SlaveId, frameworks: &BTreeSet<FrameworkId>) -> bool {
    match event {
        Event::Task(_) => is_move(event, slave, frameworks),
        Event::SlaveRegistered { slave: of, .. }
        | Event::SlaveDisconnected { slave: of, .. }
        | Event::SlaveUnreachable { slave: of, .. }
        | Event::SlaveSilent { slave: of, .. }
        | Event::SlaveAnswers { slave: of, .. }
        | Event::SlaveForgotten { slave: of, .. }
        | Event::SlaveLeaving { slave: of, .. }
        | Event::SlaveUnregistered { slave: of, .. }
        | Event::SlaveSuperseded { slave: of, .. }
        | Event::DrainEnded { slave: of, .. } => *of == slave,
        Event::FrameworkDisconnected { framework, .. }
        | Event::FrameworkSubscribed { framework, .. }
        | Event::FrameworkRemoved { framework, .. } => frameworks.contains(framework),
        Event::Leading(_)
        | Event::NameTaken { .. }
        | Event::TaskAcknowledged { .. }
        | Event::HoldPlaced { .. }
        | Event::HoldLifted { .. }
        | Event::InverseOffered(_)
        | Event::InverseAnswered(_)
        | Event::Revoking { .. }
        | Event::InverseReturned(_)
        | Event::InverseClosed { .. }
        | Event::Draining(_)
        | Event::RemovalsHalted { .. }
        | Event::RemovalsResumed => false,
    }
}

/// Whether a slave is gone for good with an event.
fn removes(event: &Event, id: SlaveId) -> bool {
    matches!(event, Event::SlaveUnregistered { slave, .. } | Event::SlaveForgotten { slave, .. } if *slave == id)
}

/// Whether who holds a drain up may be another, or for another cause, after an event.
fn may_change_waits(event: &Event) -> bool {
    matches!(
        event,
        Event::Task(_)
            | Event::TaskAcknowledged { .. }
            | Event::InverseAnswered(_)
            | Event::Revoking { .. }
            | Event::Draining(_)
            | Event::FrameworkDisconnected { .. }
            | Event::FrameworkSubscribed { .. }
            | Event::FrameworkRemoved { .. }
    )
}

fn closing(line: &ReceiptLine) -> Option<InverseOutcome> {
    if let ReceiptLine::InverseOfferClosed { outcome } = line { Some(*outcome) } else { None }
}

fn drain_end(line: &ReceiptLine) -> Option<DrainEnd> {
    if let ReceiptLine::DrainEnded { end, .. } = line { Some(*end) } else { None }
}

/// The refusal to cancel what ended otherwise.
fn over(id: &(impl fmt::Display + ?Sized), how: impl fmt::Display) -> Failure {
    Failure::new(Exit::Refused, format!("{id} is over: {how}"))
        .help(format!("`neap drain --receipt {id}` shows what was done to each task"))
}

fn ended(message: String) -> Failure {
    Failure::new(Exit::Failed, message)
}

fn millis(period: Period) -> Millis {
    Millis(period.as_millis())
}

/// A drain that is under way.
#[derive(Debug, Serialize)]
struct Begun {
    changed: bool,
    drain: String,
    /// `null` of one that has gone with its slave.
    asked: Option<DrainAsked>,
    text: String,
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.text))
    }
}

/// An inverse offer that was made.
#[derive(Debug, Serialize)]
struct Asked {
    changed: bool,
    inverse_offer: String,
    text: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.text))
    }
}

/// What a drain would do; in text, the tasks follow as a table.
#[derive(Debug, Serialize)]
struct Plan {
    slave: String,
    slave_name: String,
    status: String,
    drain: Option<String>,
    /// Whether that is through.
    drained: bool,
    then: String,
    /// What is asked of the drain that is under way.
    under_way: Option<String>,
    tasks_end_ms: u64,
    drain_end_ms: u64,
    digest: String,
    tasks: Vec<PlanRow>,
    #[serde(skip)]
    seen: bool,
    #[serde(skip)]
    uncounted: Uncounted,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slave, slave_name, status, .. } = self;
        let count = counted(self.tasks.len() as u64, "task");
        if let Some(drain) = self.drain.as_ref().filter(|_| self.drained) {
            let leaves = if self.then == "unregister" {
                "it is told to leave"
            } else {
                "asking again changes nothing"
            };
            return write!(
                f,
                "{slave_name} ({slave}) is {status}, and drained already, by {drain}: {leaves}"
            );
        }
        let beside = uncounted(self.uncounted);
        match (self.tasks.len(), &beside) {
            (0, None) => writeln!(f, "{slave_name} ({slave}) is {status}; nothing runs there")?,
            (0, Some(beside)) => writeln!(f, "{slave_name} ({slave}) is {status}; {beside}")?,
            _ => writeln!(f, "{slave_name} ({slave}) is {status}; a drain would end {count} there")?,
        }
        if let (1.., Some(beside)) = (self.tasks.len(), &beside) {
            writeln!(f, "beside those: {beside}")?;
        }
        if !self.seen {
            writeln!(f, "nothing can be ended or seen there before it is back")?;
        }
        if let Some(drain) = &self.drain {
            let has = self.under_way.as_deref().unwrap_or_default();
            writeln!(f, "{drain} is under way there already, with {has}: what differs needs --change")?;
        }
        if !self.tasks.is_empty() {
            writeln!(f, "the last task has ended by  {}", clock(Moment(self.tasks_end_ms)))?;
        }
        write!(f, "the drain is over by        {}, whatever anyone does", clock(Moment(self.drain_end_ms)))
    }
}

#[derive(Debug, Serialize)]
struct PlanRow {
    task: String,
    name: String,
    framework: String,
    connected: bool,
    grace_ms: u64,
    cut_from_ms: Option<u64>,
}

impl PlanRow {
    fn of(task: &neap_protocol::message::PlannedTask) -> Self {
        Self {
            task: task.id.to_string(),
            name: task.name.to_string(),
            framework: task.framework.to_string(),
            connected: task.connected,
            grace_ms: task.grace.0,
            cut_from_ms: task.cut_from.map(|grace| grace.0),
        }
    }
}

impl Row for PlanRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("TASK"),
        Column::left("NAME"),
        Column::left("FRAMEWORK"),
        Column::right("GRACE"),
        Column::right("CUT FROM"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let framework = match self.connected {
            true => self.framework.clone(),
            false => format!("{} (away)", self.framework),
        };
        vec![
            (&self.task).into(),
            (&self.name).into(),
            framework.into(),
            Millis(self.grace_ms).into(),
            self.cut_from_ms.map_or_else(String::new, |ms| Millis(ms).to_string()).into(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct ReceiptRow {
    at_ms: u64,
    line: &'static str,
    task: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    end: Option<TaskEnd>,
    text: String,
}

/// How a task ended, for programs.
#[derive(Debug, Serialize)]
struct TaskEnd {
    state: String,
    reason: String,
    signals: Vec<Signalled>,
    /// `null`: not seen.
    seen_empty_ms: Option<u64>,
    unseen: String,
}

#[derive(Debug, Serialize)]
struct Signalled {
    at_ms: u64,
    signal: u8,
    /// 0: to all of them, uncounted.
    processes: u32,
}

impl ReceiptRow {
    fn of(at: Moment, line: &ReceiptLine) -> Self {
        let (kind, task, text) = receipt_line(line);
        Self { at_ms: at.0, line: kind, task, end: TaskEnd::of(line), text: printable(&text) }
    }
}

impl TaskEnd {
    fn of(line: &ReceiptLine) -> Option<Self> {
        let ReceiptLine::Ended { state, reason, ending, .. } = line else {
            return None;
        };
        let signals = ending.iter().flat_map(|ending| &ending.signals);
        let signals = signals.map(|sent| Signalled {
            at_ms: sent.at.0,
            signal: sent.signal,
            processes: sent.processes,
        });
        Some(Self {
            state: state.to_string(),
            reason: reason.to_string(),
            signals: signals.collect(),
            seen_empty_ms: ending.as_ref().and_then(|ending| ending.seen_dead).map(|at| at.0),
            unseen: ending.as_ref().map_or_else(String::new, |ending| ending.unseen.to_string()),
        })
    }
}

impl Row for ReceiptRow {
    const COLUMNS: &'static [Column] = &[Column::left("WHEN"), Column::left("TASK"), Column::left("WHAT")];

    fn cells(&self) -> Vec<Cell> {
        let task = self.task.clone().unwrap_or_default();
        vec![exact_clock(Moment(self.at_ms)).into(), task.into(), (&self.text).into()]
    }
}

fn receipt_line(line: &ReceiptLine) -> (&'static str, Option<String>, String) {
    match line {
        ReceiptLine::Opened { slave, name, by, reason, drain: None, .. } if by == name => {
            ("opened", None, format!("{name} ({slave}) is leaving{}", because(reason)))
        }
        ReceiptLine::Opened { slave, name, by, reason, deadline, drain } => {
            let until = deadline.map_or_else(String::new, |deadline| format!(", until {}", clock(deadline)));
            let what = match drain {
                Some((Pace::Now, _)) => {
                    format!("{by} asked for {name} ({slave}) to be emptied now, and to leave")
                }
                Some((Pace::Within(within), then)) => {
                    format!(
                        "{by} asked for {name} ({slave}) to be emptied within {within}{until}, then {then}"
                    )
                }
                None => format!("{by} asked for resources of {name} ({slave}) back{until}"),
            };
            ("opened", None, format!("{what}{}", because(reason)))
        }
        ReceiptLine::Asked { framework, inverse_offer, ask } => {
            ("asked", None, format!("{framework} was asked by {inverse_offer} for {}", asked(ask)))
        }
        ReceiptLine::Answered { inverse_offer, answer } => {
            let answer = match answer {
                InverseAnswer::Accept { .. } => "accepted".to_owned(),
                InverseAnswer::Decline { reason } => format!("declined{}", because(reason)),
            };
            ("answered", None, format!("{inverse_offer} was {answer}"))
        }
        ReceiptLine::Revoked { task, grace } => {
            ("revoked", Some(task.to_string()), format!("revoked, with {grace} of grace"))
        }
        ReceiptLine::Ended { task, state, reason, ending } => {
            let ending = ending.as_ref().map_or_else(String::new, |ending| trees(ending));
            ("ended", Some(task.to_string()), format!("{state} ({reason}){ending}"))
        }
        ReceiptLine::Acknowledged { task } => {
            ("acknowledged", Some(task.to_string()), "its framework has acknowledged the end".to_owned())
        }
        ReceiptLine::Changed { by, pace: Pace::Now, reason, .. } => (
            "changed",
            None,
            format!("{by} made it now: the slave ends everything and leaves{}", because(reason)),
        ),
        ReceiptLine::Changed { by, pace: Pace::Within(within), deadline, then, reason } => {
            let until = clock(*deadline);
            ("changed", None, format!("{by} made it {within}, until {until}, then {then}{}", because(reason)))
        }
        ReceiptLine::DrainEnded { end, unacknowledged } => {
            let text = match unacknowledged {
                0 => end.to_string(),
                n => {
                    format!("{end}; no framework was there to acknowledge the end of {}", counted(*n, "task"))
                }
            };
            ("drain-ended", None, text)
        }
        ReceiptLine::InverseOfferClosed { outcome } => ("closed", None, format!("over: {}", how(*outcome))),
        ReceiptLine::Unregistered => ("unregistered", None, "the slave is removed".to_owned()),
        ReceiptLine::DeclaredDead { slave, name, by, reason } => {
            let text = format!("{by} said that {name} ({slave}) is dead{}: nobody saw it", because(reason));
            ("declared-dead", None, text)
        }
    }
}

/// What was done to a task's processes.
fn trees(ending: &neap_protocol::task::Ending) -> String {
    let mut text = String::new();
    for sent in &ending.signals {
        let whom = match sent.processes {
            0 => "all processes".to_owned(),
            count => counted(count, "process"),
        };
        text.push_str(&format!("; {} to {whom}", signal(sent.signal)));
    }
    match ending.seen_dead {
        Some(at) => text.push_str(&format!("; seen empty {}", exact_clock(at))),
        None => text.push_str("; not seen empty"),
    }
    if !ending.unseen.is_empty() {
        text.push_str(&format!("; {}", ending.unseen));
    }
    text
}

fn signal(number: u8) -> String {
    match number {
        2 => "SIGINT".to_owned(),
        9 => "SIGKILL".to_owned(),
        15 => "SIGTERM".to_owned(),
        19 => "SIGSTOP".to_owned(),
        other => format!("signal {other}"),
    }
}

/// How long nothing must happen before a drain says who holds it up.
const QUIET: Duration = Duration::from_millis(250);
