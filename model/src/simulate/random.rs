//! Numbers by chance, the same for ever for the same seed: SplitMix64 (Steele, Lea and Flood, 2014).

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a seed; `of` tells the streams of one seed apart, so that what is drawn from one leaves the
    /// others as they are.
    pub(crate) fn new(seed: u64, of: Stream) -> Self {
        let mut random = Self(seed);
        let start = random.next() ^ (of as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`, and 0 if there is none.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.next()) * n as u128;
        (wide >> 64) as usize
    }

    /// One of `low..=high`.
    pub(crate) fn between(&mut self, low: u8, high: u8) -> u8 {
        let span = usize::from(high.saturating_sub(low)) + 1;
        low.saturating_add(u8::try_from(self.below(span)).unwrap_or(u8::MAX))
    }

    /// Whether something comes about that does so `n` times in a hundred.
    pub(crate) fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }

    /// One of these.
    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// What numbers are drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The scope.
    Scope = 1,
    /// How likely everything is.
    Swarm = 2,
    /// What happens.
    Steps = 3,
    /// What happens in the calm phase.
    Calm = 4,
    /// How many slaves may be given up.
    Removals = 5,
    /// What settings are once someone is started again.
    Settings = 6,
    /// Whether tasks are fenced.
    Fences = 7,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds are written down: what they stand for must not change.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut random = Random::new(1, Stream::Steps);
        let drawn: Vec<usize> = (0..8).map(|_| random.below(1000)).collect();
        assert_eq!(drawn, [851, 879, 888, 540, 907, 470, 514, 702]);
    }

    #[test]
    fn every_number_comes_and_none_beyond() {
        let mut random = Random::new(7, Stream::Scope);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[usize::from(random.between(3, 7)) - 3] += 1;
        }
        assert!(seen.iter().all(|times| (100..300).contains(times)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }
}
