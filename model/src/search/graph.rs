//! The graph of calm steps, for what must come about in the end, in less than ten bytes a state.

use std::mem::size_of;

use crate::compact::Good;

use super::visited::Id;

/// States to a block: a block is read as a whole.
const BLOCK: usize = 64;

/// Of every state, where calm steps lead and for which `eventually` properties it is good.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Of each state, how many calm steps it has and how far each leads, in as few bytes as they need.
    edges: Vec<u8>,
    /// Where each block begins.
    blocks: Vec<usize>,
    good: Vec<Good>,
}

impl Graph {
    /// Adds the next state.
    pub(super) fn add(&mut self, good: Good, calm: &[Id]) {
        let state = self.good.len();
        if state.is_multiple_of(BLOCK) {
            self.blocks.push(self.edges.len());
        }
        self.good.push(good);
        self.put(calm.len() as u64);
        for to in calm {
            let far = i64::from(*to) - state as i64;
            // The sign last, so that what is near is short.
            self.put((far << 1 ^ far >> 63) as u64);
        }
    }

    /// The first state from which no good one can be reached, of each property of a set for which there is one, by its
    /// number. As a calm action that goes on being possible happens in the end, a world that stays calm gets to a good
    /// state unless it comes into a set of states without one and without a way out.
    pub(super) fn stuck(&self, properties: Good) -> Vec<(usize, Id)> {
        let mut reaches = self.good.clone();
        // Most steps lead to states that were found later: from the last to the first, a few times are enough.
        while self.sweep(&mut reaches) {}
        let mut stuck = Vec::new();
        for property in (0..Good::BITS as usize).filter(|property| properties >> property & 1 != 0) {
            let first = reaches.iter().position(|good| good >> property & 1 == 0);
            stuck.extend(first.map(|state| (property, state as Id)));
        }
        stuck
    }

    /// Whether some state was found to reach more.
    fn sweep(&self, reaches: &mut [Good]) -> bool {
        let mut more = false;
        let mut edges: Vec<Id> = Vec::new();
        let mut ends = Vec::new();
        for block in (0..self.blocks.len()).rev() {
            let first = block * BLOCK;
            let count = BLOCK.min(self.good.len() - first);
            self.read(block, count, &mut edges, &mut ends);
            for state in (0..count).rev() {
                let from = if state == 0 { 0 } else { ends[state - 1] };
                let before = reaches[first + state];
                let after =
                    edges[from..ends[state]].iter().fold(before, |good, to| good | reaches[*to as usize]);
                reaches[first + state] = after;
                more |= after != before;
            }
        }
        more
    }

    /// The edges of a block's states, and where those of each end.
    fn read(&self, block: usize, states: usize, edges: &mut Vec<Id>, ends: &mut Vec<usize>) {
        edges.clear();
        ends.clear();
        let mut at = self.blocks[block];
        for state in block * BLOCK..block * BLOCK + states {
            for _ in 0..self.take(&mut at) {
                let far = self.take(&mut at);
                let far = (far >> 1) as i64 ^ -((far & 1) as i64);
                edges.push((state as i64 + far) as Id);
            }
            ends.push(edges.len());
        }
    }

    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.edges.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.edges.push(value as u8);
    }

    fn take(&self, at: &mut usize) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.edges[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// What it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.edges.len() + self.blocks.len() * size_of::<usize>() + self.good.len() * size_of::<Good>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_get_to_a_good_state_is_found() {
        let mut graph = Graph::default();
        let states: Id = 1_000;
        for state in 0..states {
            // A ring forwards by one and back by a hundred, but for the last fifty, which lead to themselves.
            let to =
                [(state + 1).min(states - 1), if state < 950 { state.saturating_sub(100) } else { state }];
            let good = Good::from(state == 3) | Good::from(state == 999) << 1 | Good::from(state == 949) << 2;
            graph.add(good, &to);
        }
        assert_eq!(graph.stuck(0b111), [(0, 950), (2, 950)]);
        assert_eq!(graph.stuck(0b10), []);
    }
}
