//! Resources and their exact arithmetic: integers only, so that what is counted in is what is counted out (S8).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of resources, on one slave or summed over many.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Processors, in thousandths of one.
    pub cpus: u64,
    /// Memory, in bytes.
    pub mem: u64,
    /// Disk, in bytes.
    pub disk: u64,
    /// Ports, of one slave only: sums over slaves leave them out.
    pub ports: Ports,
}

impl Resources {
    /// Nothing.
    pub const NONE: Self = Self { cpus: 0, mem: 0, disk: 0, ports: Ports::NONE };

    /// The most that a slave may say it has, or runs: a million processors, 1 EiB of memory, 1 EiB of disk. No machine has
    /// that much, and what one says that it has changes what is fair for every framework (R10).
    pub const MACHINE_MAX: Self =
        Self { cpus: 1_000_000_000, mem: 1 << 60, disk: 1 << 60, ports: Ports::NONE };

    /// So many thousandths of a processor and bytes of memory; no disk, no ports.
    pub const fn new(cpus: u64, mem: u64) -> Self {
        Self { cpus, mem, disk: 0, ports: Ports::NONE }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether all of `other` is in this.
    pub fn contains(&self, other: &Self) -> bool {
        self.cpus >= other.cpus
            && self.mem >= other.mem
            && self.disk >= other.disk
            && self.ports.contains(&other.ports)
    }

    /// Both together, or `None` if an amount would overflow or a port be counted twice.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpus: self.cpus.checked_add(other.cpus)?,
            mem: self.mem.checked_add(other.mem)?,
            disk: self.disk.checked_add(other.disk)?,
            ports: self.ports.checked_add(&other.ports)?,
        })
    }

    /// This without `other`, or `None` if `other` is not all in this.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpus: self.cpus.checked_sub(other.cpus)?,
            mem: self.mem.checked_sub(other.mem)?,
            disk: self.disk.checked_sub(other.disk)?,
            ports: self.ports.checked_sub(&other.ports)?,
        })
    }

    /// This without what of `other` is in it.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.saturating_sub(other.cpus),
            mem: self.mem.saturating_sub(other.mem),
            disk: self.disk.saturating_sub(other.disk),
            ports: self.ports.without(&other.ports),
        }
    }

    /// Both together; an amount that would overflow stays at its largest, a port of both is counted once.
    #[must_use]
    pub fn saturating_add(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.saturating_add(other.cpus),
            mem: self.mem.saturating_add(other.mem),
            disk: self.disk.saturating_add(other.disk),
            ports: self.ports.union(&other.ports),
        }
    }

    /// The same without ports, as sums over several slaves count it.
    #[must_use]
    pub fn without_ports(&self) -> Self {
        Self { ports: Ports::NONE, ..*self }
    }
}

/// What many amounts come to: wide enough for any number of them, so that taking one out leaves what the others are,
/// whatever a slave claims to have or to run (S8).
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sum {
    /// Processors, in thousandths of one.
    pub cpus: u128,
    /// Memory, in bytes.
    pub mem: u128,
    /// Disk, in bytes.
    pub disk: u128,
    /// Ports, of one slave only: sums over slaves leave them out.
    pub ports: Ports,
}

impl Sum {
    /// Nothing.
    pub const NONE: Self = Self { cpus: 0, mem: 0, disk: 0, ports: Ports::NONE };

    /// What all of these come to.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Resources>) -> Self {
        let mut sum = Self::NONE;
        all.into_iter().for_each(|amount| sum.put_in(amount));
        sum
    }

    /// What these of several slaves come to: without ports.
    pub fn over_slaves<'a>(all: impl IntoIterator<Item = &'a Resources>) -> Self {
        let mut sum = Self::NONE;
        all.into_iter().for_each(|amount| sum.put_in(&amount.without_ports()));
        sum
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Counts an amount in; a port that is in it already is counted once.
    pub fn put_in(&mut self, amount: &Resources) {
        self.cpus += u128::from(amount.cpus);
        self.mem += u128::from(amount.mem);
        self.disk += u128::from(amount.disk);
        self.ports = self.ports.union(&amount.ports);
    }

    /// Takes out an amount that was put in.
    pub fn take_out(&mut self, amount: &Resources) {
        self.cpus = self.cpus.saturating_sub(amount.cpus.into());
        self.mem = self.mem.saturating_sub(amount.mem.into());
        self.disk = self.disk.saturating_sub(amount.disk.into());
        self.ports = self.ports.without(&amount.ports);
    }

    /// What of `whole` is not in this.
    #[must_use]
    pub fn rest_of(&self, whole: &Resources) -> Resources {
        whole.saturating_sub(&self.capped())
    }

    /// The same in the numbers of one amount; what is too much for them stays at their largest.
    #[must_use]
    pub fn capped(&self) -> Resources {
        let amount = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Resources {
            cpus: amount(self.cpus),
            mem: amount(self.mem),
            disk: amount(self.disk),
            ports: self.ports.clone(),
        }
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpus, mem, disk, ports) = (self.cpus, self.mem, self.disk, &self.ports);
        write!(f, "(cpus:{cpus}/1000 mem:{mem} disk:{disk} ports:{ports})")
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpus:{}", self.cpus / 1000)?;
        if !self.cpus.is_multiple_of(1000) {
            let thousandths = self.cpus % 1000;
            match (thousandths % 100, thousandths % 10) {
                (0, _) => write!(f, ".{}", thousandths / 100)?,
                (_, 0) => write!(f, ".{:02}", thousandths / 10)?,
                _ => write!(f, ".{thousandths:03}")?,
            }
        }
        write!(f, " mem:{}", Bytes(self.mem))?;
        if self.disk > 0 {
            write!(f, " disk:{}", Bytes(self.disk))?;
        }
        if self.ports != Ports::NONE {
            write!(f, " ports:{}", self.ports)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}

/// Bytes, written in the largest binary unit that is exact.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "0"),
            n if n.is_multiple_of(1 << 30) => write!(f, "{}G", n >> 30),
            n if n.is_multiple_of(1 << 20) => write!(f, "{}M", n >> 20),
            n if n.is_multiple_of(1 << 10) => write!(f, "{}K", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

/// A set of ports: ranges that are in order and neither touch nor overlap, so that one set has one encoding.
///
/// Most amounts have none; what has is shared, so that an amount of resources is half as large and as quickly cloned.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ports(Option<Arc<Vec<(u16, u16)>>>);

/// The most ranges that a set from outside may have.
pub const PORT_RANGES_MAX: usize = 256;

impl Ports {
    /// No ports.
    pub const NONE: Self = Self(None);

    /// The ports from `first` to `last`, both included; none if `last` is before `first`.
    pub fn range(first: u16, last: u16) -> Self {
        match first <= last {
            true => Self::of(alloc::vec![(first, last)]),
            false => Self::NONE,
        }
    }

    /// The set of these ranges, which are in order and apart.
    fn of(ranges: Vec<(u16, u16)>) -> Self {
        Self((!ranges.is_empty()).then(|| Arc::new(ranges)))
    }

    /// The ranges, in order, first and last port of each.
    pub fn ranges(&self) -> &[(u16, u16)] {
        self.0.as_ref().map_or(&[], |ranges| ranges)
    }

    /// How many ports there are.
    pub fn count(&self) -> u32 {
        self.ranges().iter().map(|&(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Whether every port of `other` is in this.
    pub fn contains(&self, other: &Self) -> bool {
        other.without(self) == Self::NONE
    }

    /// Both together, or `None` if a port is in both.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let union = self.union(other);
        (union.count() == self.count() + other.count()).then_some(union)
    }

    /// This without `other`, or `None` if a port of `other` is not in this.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.contains(other).then(|| self.without(other))
    }

    /// Every port that is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if *other == Self::NONE {
            return self.clone();
        }
        if *self == Self::NONE {
            return other.clone();
        }
        let mut all: Vec<_> = self.ranges().iter().chain(other.ranges()).copied().collect();
        all.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(end) if u32::from(first) <= u32::from(end.1) + 1 => end.1 = end.1.max(last),
                Some(_) | None => merged.push((first, last)),
            }
        }
        Self::of(merged)
    }

    /// Every port of this that is not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        if *self == Self::NONE || *other == Self::NONE {
            return self.clone();
        }
        let mut kept = Vec::new();
        for &(first, last) in self.ranges() {
            // One past `last`, which may be one past the largest port.
            let (mut from, end) = (u32::from(first), u32::from(last) + 1);
            for &(cut_first, cut_last) in other.ranges() {
                let (cut_from, cut_end) = (u32::from(cut_first), u32::from(cut_last) + 1);
                if cut_end <= from || cut_from >= end {
                    continue;
                }
                if cut_from > from {
                    kept.push(closed(from, cut_from));
                }
                from = cut_end;
            }
            if from < end {
                kept.push(closed(from, end));
            }
        }
        Self::of(kept)
    }
}

/// The range from `from` up to but without `end`; both come from ports, and `from < end`.
fn closed(from: u32, end: u32) -> (u16, u16) {
    (from as u16, (end - 1) as u16)
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges().iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ports({self})")
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.ranges())
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges = Vec::<(u16, u16)>::deserialize(deserializer)?;
        let apart = ranges.windows(2).all(|pair| u32::from(pair[0].1) + 1 < u32::from(pair[1].0));
        if ranges.len() > PORT_RANGES_MAX || !apart || ranges.iter().any(|(first, last)| first > last) {
            return Err(serde::de::Error::custom("port ranges must be few, in order and apart"));
        }
        Ok(Self::of(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn ports(ranges: &[(u16, u16)]) -> Ports {
        ranges.iter().fold(Ports::NONE, |all, &(first, last)| all.union(&Ports::range(first, last)))
    }

    #[test]
    fn port_ranges_stay_in_order_and_apart() {
        assert_eq!(ports(&[(5, 9), (1, 4)]).ranges(), [(1, 9)]);
        assert_eq!(ports(&[(1, 9)]).without(&ports(&[(3, 4), (9, 20)])).ranges(), [(1, 2), (5, 8)]);
        assert_eq!(ports(&[(0, 65535)]).without(&ports(&[(0, 0), (65535, 65535)])).ranges(), [(1, 65534)]);
        assert_eq!(ports(&[(1, 2)]).checked_add(&ports(&[(2, 3)])), None);
        assert_eq!(ports(&[(1, 2)]).checked_sub(&ports(&[(2, 3)])), None);
        assert_eq!(ports(&[(1, 2), (7, 7)]).to_string(), "1-2,7");
    }

    #[test]
    fn overlapping_ranges_are_not_decoded() {
        for bad in [&[(1u16, 5u16), (5, 9)][..], &[(1, 5), (6, 9)], &[(9, 1)], &[(5, 6), (1, 2)]] {
            assert!(postcard::from_bytes::<Ports>(&postcard::to_allocvec(bad).unwrap()).is_err());
        }
    }

    /// They come to more than 64 bits hold.
    #[test]
    fn s8_as_many_of_the_largest_machines_as_there_are_can_be_counted() {
        let small = Resources::new(4000, 64);
        let mut sum = Sum::of([&small]);
        (0..100_000).for_each(|_| sum.put_in(&Resources::MACHINE_MAX));
        (0..100_000).for_each(|_| sum.take_out(&Resources::MACHINE_MAX));
        assert_eq!(sum, Sum::of([&small]));
    }

    #[test]
    fn what_is_taken_can_be_given_back() {
        let total = Resources { disk: 9, ports: Ports::range(31000, 32000), ..Resources::new(4000, 1 << 30) };
        let part = Resources { ports: Ports::range(31005, 31005), ..Resources::new(500, 64 << 20) };
        let rest = total.checked_sub(&part).unwrap();
        assert!(!rest.contains(&part));
        assert_eq!(rest.checked_add(&part), Some(total.clone()));
        assert_eq!(part.checked_sub(&total), None);
        assert_eq!(part.to_string(), "cpus:0.5 mem:64M ports:31005");
        assert_eq!(Resources::new(1250, 3).to_string(), "cpus:1.25 mem:3");
    }
}
