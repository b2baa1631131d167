//! The arithmetic of resources (S8), held against the plainest that there is: sums of wide integers, and sets of ports.

use std::collections::BTreeSet;

use neap_protocol::resources::{PORT_RANGES_MAX, Ports, Resources, Sum};
use proptest::prelude::*;

/// Ranges that often touch, overlap and lie within each other, at both ends of all ports and anywhere.
fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let first = prop_oneof![4 => 0..24u16, 2 => 65_512..=u16::MAX, 1 => any::<u16>()];
    let length = prop_oneof![8 => 0..6u16, 1 => 0..300u16];
    let range = (first, length).prop_map(|(first, length)| (first, first.saturating_add(length)));
    prop::collection::vec(range, 0..8)
}

fn ports_of(ranges: &[(u16, u16)]) -> Ports {
    ranges.iter().fold(Ports::NONE, |all, (first, last)| all.union(&Ports::range(*first, *last)))
}

fn set_of(ranges: &[(u16, u16)]) -> BTreeSet<u16> {
    ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
}

fn ports() -> impl Strategy<Value = Ports> {
    ranges().prop_map(|ranges| ports_of(&ranges))
}

/// Small amounts, which are often equal, and those around the largest.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..5u64, 1 => u64::MAX - 4..=u64::MAX, 1 => any::<u64>()]
}

fn resources() -> impl Strategy<Value = Resources> {
    let all = (amount(), amount(), amount(), ports());
    all.prop_map(|(cpus, mem, disk, ports)| Resources { cpus, mem, disk, ports })
}

/// Ports are in order and apart: one set has one form, and one encoding.
fn is_canonical(ports: &Ports) -> bool {
    let ranges = ports.ranges();
    ranges.iter().all(|(first, last)| first <= last)
        && ranges.windows(2).all(|pair| u32::from(pair[0].1) + 1 < u32::from(pair[1].0))
}

fn amounts(of: &Resources) -> [u64; 3] {
    [of.cpus, of.mem, of.disk]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn s8_ports_are_sets_with_one_form(left in ranges(), right in ranges()) {
        let (a, b) = (ports_of(&left), ports_of(&right));
        let (set_a, set_b) = (set_of(&left), set_of(&right));
        let is = |ports: &Ports, set: &BTreeSet<u16>| {
            is_canonical(ports) && set_of(ports.ranges()) == *set && ports.count() as usize == set.len()
        };
        prop_assert!(is(&a, &set_a));
        prop_assert_eq!(&a, &ports_of(&left.iter().rev().copied().collect::<Vec<_>>()));
        prop_assert_eq!(a == b, set_a == set_b);
        prop_assert_eq!(a.contains(&b), set_a.is_superset(&set_b));
        prop_assert!(is(&a.union(&b), &(&set_a | &set_b)));
        prop_assert!(is(&a.without(&b), &(&set_a - &set_b)));
        let apart = set_a.is_disjoint(&set_b);
        prop_assert_eq!(a.checked_add(&b), apart.then(|| a.union(&b)));
        prop_assert_eq!(a.checked_sub(&b), set_a.is_superset(&set_b).then(|| a.without(&b)));
    }

    /// What is written down is read as the same; what is not in that form is not read.
    #[test]
    fn ports_have_one_encoding(ranges in ranges()) {
        let ports = ports_of(&ranges);
        let written = postcard::to_allocvec(&ports).expect("it has a form");
        prop_assert_eq!(postcard::from_bytes(&written), Ok(ports.clone()));
        let read = postcard::from_bytes::<Ports>(&postcard::to_allocvec(&ranges).expect("it has a form"));
        prop_assert_eq!(read.ok(), (ranges == ports.ranges()).then_some(ports));
    }

    /// Exact or not at all: nothing wraps, nothing is rounded, nothing goes below zero.
    #[test]
    fn s8_sums_and_differences_are_exact(a in resources(), b in resources()) {
        let wide = |of: fn(i128, i128) -> i128| {
            let both = amounts(&a).into_iter().zip(amounts(&b));
            let all = both.map(|(a, b)| u64::try_from(of(a.into(), b.into())).ok());
            all.collect::<Option<Vec<u64>>>()
        };
        let sum = a.checked_add(&b);
        let ports = a.ports.checked_add(&b.ports);
        let expected = wide(|a, b| a + b).zip(ports);
        prop_assert_eq!(sum.map(|sum| (amounts(&sum).to_vec(), sum.ports)), expected);
        let rest = a.checked_sub(&b);
        let ports = a.ports.checked_sub(&b.ports);
        let expected = wide(|a, b| a - b).zip(ports);
        prop_assert_eq!(rest.clone().map(|rest| (amounts(&rest).to_vec(), rest.ports)), expected);
        prop_assert_eq!(a.contains(&b), rest.is_some());
    }

    /// What was counted in is what is counted out, in any order.
    #[test]
    fn s8_what_is_counted_in_is_counted_out(a in resources(), b in resources(), c in resources()) {
        prop_assert_eq!(a.checked_add(&b), b.checked_add(&a));
        prop_assert_eq!(a.checked_add(&Resources::NONE), Some(a.clone()));
        prop_assert_eq!(a.checked_sub(&a), Some(Resources::NONE));
        let left = a.checked_add(&b).and_then(|sum| sum.checked_add(&c));
        let right = b.checked_add(&c).and_then(|sum| a.checked_add(&sum));
        prop_assert_eq!(&left, &right);
        if let Some(sum) = a.checked_add(&b) {
            prop_assert!(sum.contains(&a) && sum.contains(&b));
            prop_assert_eq!(sum.checked_sub(&b), Some(a.clone()));
            prop_assert_eq!(sum.saturating_sub(&a), b.clone());
            prop_assert_eq!(a.saturating_add(&b), sum);
        }
    }

    /// However large the amounts, a sum is what is in it: of those that were put in, those that were not taken out.
    #[test]
    fn s8_a_sum_is_what_is_in_it(all in prop::collection::vec((resources(), any::<bool>()), 0..8)) {
        let apart = |amount: &Resources| amount.without_ports();
        let mut sum = Sum::of(&all.iter().map(|(amount, _)| apart(amount)).collect::<Vec<_>>());
        all.iter().filter(|(_, stays)| !stays).for_each(|(amount, _)| sum.take_out(&apart(amount)));
        let kept: Vec<&Resources> = all.iter().filter(|(_, stays)| *stays).map(|(amount, _)| amount).collect();
        let wide = |of: fn(&Resources) -> u64| kept.iter().map(|amount| u128::from(of(amount))).sum::<u128>();
        prop_assert_eq!(&sum, &Sum::over_slaves(kept.iter().copied()));
        prop_assert_eq!([sum.cpus, sum.mem, sum.disk], [wide(|r| r.cpus), wide(|r| r.mem), wide(|r| r.disk)]);
        prop_assert_eq!(sum.is_empty(), kept.iter().all(|amount| apart(amount).is_empty()));
        let ports = Sum::of(kept.iter().copied()).ports;
        prop_assert_eq!(ports, kept.iter().fold(Ports::NONE, |all, amount| all.union(&amount.ports)));
    }

    /// What is free of a whole is what a sum leaves of it, and nothing where it is more than the whole.
    #[test]
    fn s8_what_is_free_is_what_is_left(whole in resources(), a in resources(), b in resources()) {
        let sum = Sum::of([&a, &b]);
        prop_assert_eq!(sum.rest_of(&whole), whole.saturating_sub(&a).saturating_sub(&b));
        prop_assert_eq!(sum.capped(), a.saturating_add(&b));
    }

    /// Where not all can be taken, what is there is; where a sum cannot be written, it is the largest that can.
    #[test]
    fn what_is_cut_off_is_cut_off_at_the_end(a in resources(), b in resources()) {
        let rest = a.saturating_sub(&b);
        prop_assert!(a.contains(&rest));
        prop_assert_eq!(&rest.ports, &a.ports.without(&b.ports));
        for ((a, b), rest) in amounts(&a).into_iter().zip(amounts(&b)).zip(amounts(&rest)) {
            prop_assert_eq!(i128::from(rest), (i128::from(a) - i128::from(b)).max(0));
        }
        let sum = a.saturating_add(&b);
        prop_assert_eq!(&sum.ports, &a.ports.union(&b.ports));
        for ((a, b), sum) in amounts(&a).into_iter().zip(amounts(&b)).zip(amounts(&sum)) {
            prop_assert_eq!(i128::from(sum), (i128::from(a) + i128::from(b)).min(u64::MAX.into()));
        }
        prop_assert!(is_canonical(&sum.ports) && is_canonical(&rest.ports));
        let [cpus, mem, disk] = amounts(&a);
        prop_assert_eq!(a.without_ports(), Resources { cpus, mem, disk, ports: Ports::NONE });
    }

    /// Every order is one: whatever is in something that is in a third is in the third.
    #[test]
    fn s8_being_in_is_an_order(a in resources(), b in resources(), c in resources()) {
        prop_assert!(a.contains(&a) && a.contains(&Resources::NONE));
        prop_assert_eq!(a.is_empty(), a == Resources::NONE);
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        prop_assert!(!(a.contains(&b) && b.contains(&c)) || a.contains(&c));
    }
}

/// The most ranges that are read are those, and no more (S15).
#[test]
fn s15_ranges_of_ports_are_limited() {
    let of = |count: usize| -> Vec<(u16, u16)> { (0..count as u16).map(|n| (2 * n, 2 * n)).collect() };
    let read = |count| postcard::from_bytes::<Ports>(&postcard::to_allocvec(&of(count)).unwrap());
    assert!(read(PORT_RANGES_MAX).is_ok());
    assert!(read(PORT_RANGES_MAX + 1).is_err());
}
