//! Who is offered what: dominant resource fairness over weighted frameworks (R10; Ghodsi et al., NSDI 2011).
//!
//! An allocation looks only at slaves where something may have become free. The whole of what is free on a slave
//! goes to the framework with the least dominant share that may have it. Shares are compared in integers, so that
//! the same state is always allocated the same way.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::ids::{FrameworkId, SlaveId};
use crate::map::Set;
use crate::message::{MasterToFramework, Offered, Page, Pending, PendingView, Want};
use crate::registry::SlaveRecord;
use crate::resources::{Resources, Sum};
use crate::task::FENCE_AFTER_MIN;

use super::leader::{Cx, Leader, Offer, Stale};
use super::slaves::Slave;

/// The most offers in one message, so that a frame keeps its bound.
const OFFERS_PER_MESSAGE: usize = crate::codec::OFFERS_MAX;

/// The most frameworks on a page of those that wait: each is held against every slave.
const PENDING_MAX: usize = 16;

impl Leader {
    /// Lends what is free of every slave that may have something.
    pub(super) fn allocate(&mut self, cx: &mut Cx<'_>) {
        let stale = core::mem::replace(&mut self.stale, Stale::Some(Set::new()));
        let slaves: Vec<SlaveId> = match stale {
            Stale::Some(slaves) => slaves.keys().copied().collect(),
            Stale::All => self.slaves.keys().copied().collect(),
        };
        let mut queue = self.claimants();
        let mut lent: BTreeMap<FrameworkId, Vec<Offered>> = BTreeMap::new();
        for slave in slaves {
            if queue.is_empty() {
                break;
            }
            if let Some((framework, offered)) = self.allocate_slave(cx, slave, &mut queue) {
                lent.entry(framework).or_default().push(offered);
            }
        }
        for (framework, offers) in &lent {
            let Some(session) = self.frameworks.get(framework).and_then(|f| f.session) else {
                continue;
            };
            for part in offers.chunks(OFFERS_PER_MESSAGE) {
                cx.tell_framework(session, MasterToFramework::Offers(part.to_vec()));
            }
        }
    }

    /// The frameworks that want offers, by share, the least first.
    fn claimants(&self) -> BinaryHeap<Reverse<(u64, FrameworkId)>> {
        let wanting = self.frameworks.iter().filter(|(_, f)| f.session.is_some() && !f.suppressed);
        wanting.map(|(id, f)| Reverse((self.share(&f.allocated, f.weight), *id))).collect()
    }

    fn allocate_slave(
        &mut self,
        cx: &mut Cx<'_>,
        slave: SlaveId,
        queue: &mut BinaryHeap<Reverse<(u64, FrameworkId)>>,
    ) -> Option<(FrameworkId, Offered)> {
        let (resources, name) = {
            let record = self.registry.slaves().get(&slave)?;
            let state = self.slaves.get(&slave)?;
            let free = state.offered.rest_of(&state.used.rest_of(&record.resources));
            if !is_there(record, state) || !record.holds.is_empty() || (free.cpus == 0 && free.mem == 0) {
                return None;
            }
            (free, record.name.clone())
        };
        let mut passed = Vec::new();
        let mut chosen = None;
        while let Some(Reverse((share, framework))) = queue.pop() {
            if self.may_have(framework, slave, &resources) {
                chosen = Some(framework);
                break;
            }
            passed.push(Reverse((share, framework)));
        }
        queue.extend(passed);
        let framework = chosen?;
        let offer = Offer { framework, slave, resources: resources.clone() };
        let id = self.lend(cx, offer);
        let state = self.frameworks.get(&framework)?;
        queue.push(Reverse((self.share(&state.allocated, state.weight), framework)));
        Some((framework, Offered { id, slave, name, resources }))
    }

    /// Whether a framework may be offered a slave: it did not decline as much lately, and is not asked to give back what
    /// it has there (R18).
    fn may_have(&self, framework: FrameworkId, slave: SlaveId, free: &Resources) -> bool {
        !self.has_declined(framework, slave, free) && !self.is_asked_back(framework, slave)
    }

    fn has_declined(&self, framework: FrameworkId, slave: SlaveId, free: &Resources) -> bool {
        let declined = self.frameworks.get(&framework).and_then(|f| f.filters.get(&slave));
        declined.is_some_and(|declined| declined.contains(free))
    }

    fn is_asked_back(&self, framework: FrameworkId, slave: SlaveId) -> bool {
        let record = self.registry.slaves().get(&slave);
        let asked = record.is_some_and(|record| record.inverse_offers.values().any(|of| *of == framework));
        asked || self.slaves.get(&slave).is_some_and(|state| state.asking.contains_key(&framework))
    }

    /// Why a framework has no offer that it wants. Looks at every slave.
    pub(super) fn pending(&self, cx: &Cx<'_>, framework: FrameworkId, want: &Want) -> Pending {
        let mut pending = Pending::default();
        let mut nearest = 0;
        let most = Self::fence_most(cx);
        let fits = want.fence_after.is_none_or(|after| (FENCE_AFTER_MIN..=most).contains(&after));
        pending.fence_most = (!fits).then_some(most);
        for (id, record) in self.registry.slaves().iter() {
            let Some(state) = self.slaves.get(id) else { continue };
            let near = nearness(&record.resources, &want.needs);
            if pending.nearest.is_none() || near > nearest {
                (nearest, pending.nearest) = (near, Some(record.resources.without_ports()));
            }
            *self.obstacle_of(framework, *id, record, state, &want.needs, &mut pending) += 1;
        }
        pending
    }

    /// Under what a slave is counted that a framework has no offer of.
    fn obstacle_of<'p>(
        &self,
        framework: FrameworkId,
        slave: SlaveId,
        record: &SlaveRecord,
        state: &Slave,
        needs: &Resources,
        pending: &'p mut Pending,
    ) -> &'p mut u32 {
        if !record.resources.contains(needs) {
            return &mut pending.small;
        }
        if !is_there(record, state) {
            return &mut pending.away;
        }
        if !record.holds.is_empty() {
            return &mut pending.held;
        }
        if self.is_asked_back(framework, slave) {
            return &mut pending.asked;
        }
        let unused = state.used.rest_of(&record.resources);
        if !unused.contains(needs) {
            return &mut pending.full;
        }
        let free = state.offered.rest_of(&unused);
        let own = self.frameworks.get(&framework).is_some_and(|of| {
            let mut offers = of.offers.keys().filter_map(|offer| self.offers.get(offer));
            offers.any(|offer| offer.slave == slave && offer.resources.contains(needs))
        });
        if own {
            return &mut pending.free;
        }
        if !free.contains(needs) {
            return &mut pending.lent;
        }
        match self.has_declined(framework, slave, &free) {
            true => &mut pending.declined,
            false => &mut pending.free,
        }
    }

    /// One page of the frameworks that wait, and why.
    pub(super) fn pending_after(&self, cx: &Cx<'_>, after: Option<FrameworkId>) -> Page<PendingView> {
        let mut waiting =
            self.frameworks.iter_after(after).filter_map(|(id, state)| Some((*id, state.want.as_deref()?)));
        let mut items = Vec::new();
        for (framework, want) in waiting.by_ref().take(PENDING_MAX.min(cx.config.page_max)) {
            if let Some(record) = self.registry.frameworks().get(&framework) {
                let (name, want) = (record.name.clone(), want.clone());
                let why = self.pending(cx, framework, &want);
                items.push(PendingView { framework, name, want, why });
            }
        }
        Page { more: waiting.next().is_some(), items }
    }

    /// A framework's dominant share: the largest of its shares of the cluster's kinds of resources, in 2⁻⁴⁰, over
    /// its weight.
    fn share(&self, allocated: &Sum, weight: u32) -> u64 {
        let total = self.registry.total();
        let part = |of: u128, all: u128| match all {
            0 => 0,
            all => of.saturating_mul(1 << 40) / all / u128::from(weight.max(1)),
        };
        let share = part(allocated.cpus, total.cpus)
            .max(part(allocated.mem, total.mem))
            .max(part(allocated.disk, total.disk));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// Whether a slave can be offered, as far as that is its own doing.
fn is_there(record: &SlaveRecord, state: &Slave) -> bool {
    state.session.is_some() && !state.silent && !state.leaving && !record.unreachable
}

/// How near a slave's resources come to what is needed: the least of its shares, in 2⁻¹⁶, up to all that is needed.
fn nearness(has: &Resources, needs: &Resources) -> u128 {
    let share = |has: u64, needs: u64| match needs {
        0 => 1 << 16,
        needs => ((u128::from(has) << 16) / u128::from(needs)).min(1 << 16),
    };
    share(has.cpus, needs.cpus).min(share(has.mem, needs.mem)).min(share(has.disk, needs.disk))
}
