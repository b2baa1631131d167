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
use crate::message::{MasterToFramework, Offered};
use crate::resources::{Resources, Sum};

use super::leader::{Cx, Leader, Offer, Stale};

/// The most offers in one message, so that a frame keeps its bound.
const OFFERS_PER_MESSAGE: usize = crate::codec::OFFERS_MAX;

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
            let there = state.session.is_some() && !state.silent && !state.leaving;
            let usable = there && !record.unreachable && record.holds.is_empty();
            let free = state.offered.rest_of(&state.used.rest_of(&record.resources));
            if !usable || (free.cpus == 0 && free.mem == 0) {
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
        let declined = self.frameworks.get(&framework).and_then(|f| f.filters.get(&slave));
        let filtered = declined.is_some_and(|declined| declined.contains(free));
        let record = self.registry.slaves().get(&slave);
        let asked = record.is_some_and(|record| record.inverse_offers.values().any(|of| *of == framework));
        let asking = self.slaves.get(&slave).is_some_and(|state| state.asking.contains_key(&framework));
        !filtered && !asked && !asking
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
