//! What a revocation takes (R19): the fewest tasks that cover the rest; of equally many, those that the framework
//! named first, then the newest.

use alloc::vec::Vec;

use crate::ids::TaskId;
use crate::resources::Resources;

/// How many sets are tried before a set that is minimal, but perhaps not the fewest, must do. Reached only where
/// dozens of tasks of unlike sizes hold several kinds of resources at once.
const TRIES_MAX: u32 = 50_000;

/// A task that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: TaskId,
    pub(super) holds: Resources,
    pub(super) named: bool,
}

/// Chooses of `candidates` what covers `rest`: all of them if even all do not.
pub(super) fn choose(mut candidates: Vec<Candidate>, rest: &Resources) -> Vec<TaskId> {
    candidates.sort_unstable_by_key(|c| (!c.named, core::cmp::Reverse(c.id.number)));
    let all = candidates
        .iter()
        .fold(Resources::NONE, |sum, c| sum.saturating_add(&c.holds));
    if !all.contains(rest) {
        return candidates.into_iter().map(|c| c.id).collect();
    }
    let mut search = Search {
        candidates: &candidates,
        tries: TRIES_MAX,
        chosen: Vec::new(),
    };
    for size in 0..=candidates.len() {
        if search.cover(0, size, rest) {
            return search
                .chosen
                .iter()
                .filter_map(|&i| candidates.get(i))
                .map(|c| c.id)
                .collect();
        }
        if search.tries == 0 {
            break;
        }
    }
    greedy(&candidates, rest)
}

struct Search<'a> {
    candidates: &'a [Candidate],
    tries: u32,
    chosen: Vec<usize>,
}

impl Search<'_> {
    /// Finds the first `size` of the candidates from `from` on, in their order, that cover `rest`.
    fn cover(&mut self, from: usize, size: usize, rest: &Resources) -> bool {
        if rest.is_empty() {
            return true;
        }
        if size == 0 || self.tries == 0 || !self.could_cover(from, size, rest) {
            return false;
        }
        for i in from..self.candidates.len() {
            self.tries = self.tries.saturating_sub(1);
            let Some(candidate) = self.candidates.get(i) else {
                break;
            };
            let left = rest.saturating_sub(&candidate.holds);
            // A task that returns nothing of what is missing is never taken (S14).
            if left == *rest {
                continue;
            }
            self.chosen.push(i);
            if self.cover(i + 1, size - 1, &left) {
                return true;
            }
            self.chosen.pop();
        }
        false
    }

    /// Whether the `size` largest amounts of each kind, taken apart, would cover `rest`.
    fn could_cover(&self, from: usize, size: usize, rest: &Resources) -> bool {
        let Some(left) = self.candidates.get(from..) else {
            return false;
        };
        let most = |amount: fn(&Resources) -> u64| -> u64 {
            let mut amounts: Vec<u64> = left.iter().map(|c| amount(&c.holds)).collect();
            amounts.sort_unstable_by(|a, b| b.cmp(a));
            amounts.into_iter().take(size).fold(0, u64::saturating_add)
        };
        most(|r| r.cpus) >= rest.cpus && most(|r| r.mem) >= rest.mem && most(|r| r.disk) >= rest.disk
    }
}

/// Takes in order until it covers, then gives back, last first, whatever is not needed: minimal, if not the fewest.
fn greedy(candidates: &[Candidate], rest: &Resources) -> Vec<TaskId> {
    let mut taken: Vec<&Candidate> = Vec::new();
    let mut left = rest.clone();
    for candidate in candidates {
        if left.is_empty() {
            break;
        }
        let after = left.saturating_sub(&candidate.holds);
        if after != left {
            taken.push(candidate);
            left = after;
        }
    }
    let mut i = taken.len();
    while i > 0 {
        i -= 1;
        let others = taken.iter().enumerate().filter(|(j, _)| *j != i);
        let sum = others.fold(Resources::NONE, |sum, (_, c)| sum.saturating_add(&c.holds));
        if sum.contains(rest) {
            taken.remove(i);
        }
    }
    taken.into_iter().map(|c| c.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FrameworkId;

    fn candidates(tasks: &[(u32, u64, u64, bool)]) -> Vec<Candidate> {
        let candidate = |&(number, cpus, mem, named): &(u32, u64, u64, bool)| Candidate {
            id: TaskId {
                framework: FrameworkId(1),
                number,
            },
            holds: Resources::new(cpus, mem),
            named,
        };
        tasks.iter().map(candidate).collect()
    }

    fn chosen(tasks: &[(u32, u64, u64, bool)], cpus: u64, mem: u64) -> Vec<u32> {
        let mut numbers: Vec<u32> = choose(candidates(tasks), &Resources::new(cpus, mem))
            .iter()
            .map(|id| id.number)
            .collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn r19_the_fewest_then_the_named_then_the_newest() {
        let tasks = [
            (1, 1000, 0, false),
            (2, 1000, 0, true),
            (3, 1000, 0, false),
            (4, 3000, 0, false),
        ];
        assert_eq!(
            chosen(&tasks, 3000, 0),
            [4],
            "one large task rather than three small ones"
        );
        assert_eq!(chosen(&tasks[..3], 1000, 0), [2], "the one that was named");
        assert_eq!(
            chosen(&tasks[..3], 2000, 0),
            [2, 3],
            "the named one, then the newest"
        );
        assert_eq!(chosen(&tasks, 0, 0), [0u32; 0]);
        assert_eq!(
            chosen(&tasks, 9000, 0),
            [1, 2, 3, 4],
            "all, where even all are too few"
        );
    }

    #[test]
    fn r19_two_kinds_of_resources_at_once() {
        let tasks = [
            (1, 1000, 8, false),
            (2, 4000, 1, false),
            (3, 2000, 4, false),
            (4, 2000, 4, false),
        ];
        assert_eq!(chosen(&tasks, 4000, 8), [3, 4]);
        assert_eq!(chosen(&tasks, 5000, 9), [1, 2]);
    }

    #[test]
    fn s14_no_task_could_be_left_out() {
        let mut x = 88_172_645_463_325_252u64;
        let mut random = move |below: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % below
        };
        for round in 0..2000 {
            let count = random(12) as u32 + 1;
            let tasks: Vec<_> = (1..=count)
                .map(|n| (n, random(4) * 500, random(5), random(2) == 0))
                .collect();
            let rest = Resources::new(random(6000), random(12));
            let all = candidates(&tasks);
            let taken = choose(all.clone(), &rest);
            let sum_of = |mask: u32| {
                let picked = all.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0);
                picked.fold(Resources::NONE, |sum, (_, c)| sum.saturating_add(&c.holds))
            };
            let covering = (0..1u32 << count).filter(|&mask| sum_of(mask).contains(&rest));
            let fewest = covering.map(u32::count_ones).min().unwrap_or(count);
            assert_eq!(taken.len() as u32, fewest, "round {round}: {tasks:?} for {rest}");
        }
    }

    #[test]
    fn many_unlike_tasks_end_in_a_minimal_set() {
        let tasks: Vec<_> = (1..=120u32)
            .map(|n| (n, u64::from(n * 37 % 101) + 1, u64::from(n * 53 % 97) + 1, false))
            .collect();
        let rest = Resources::new(3000, 3100);
        let taken = choose(candidates(&tasks), &rest);
        let holds = |skip: Option<TaskId>| {
            let kept = candidates(&tasks)
                .into_iter()
                .filter(|c| taken.contains(&c.id) && Some(c.id) != skip);
            kept.fold(Resources::NONE, |sum, c| sum.saturating_add(&c.holds))
        };
        assert!(holds(None).contains(&rest));
        assert!(taken.iter().all(|&id| !holds(Some(id)).contains(&rest)));
    }
}
