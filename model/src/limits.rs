//! How far a search goes, and what it takes for it.

use std::fmt;

use crate::memory;

/// How far a search goes, and on how many threads.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// On how many threads.
    pub threads: usize,
    /// Give up after so many states.
    pub states_max: usize,
    /// Give up when the process has more than so many bytes in memory.
    pub memory_max: u64,
}

impl Limits {
    /// As far as there are states.
    pub fn none(threads: usize) -> Self {
        Self { threads, states_max: usize::MAX, memory_max: u64::MAX }
    }

    /// Whether there is too much in memory.
    pub(crate) fn memory(&self) -> Option<Exceeded> {
        let full = self.memory_max < u64::MAX && memory::resident()? > self.memory_max;
        full.then_some(Exceeded::Memory { max: self.memory_max })
    }
}

/// Why a search did not see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// There are more states than were to be visited.
    States {
        /// How many were to be.
        max: usize,
    },
    /// It takes more memory than it was to.
    Memory {
        /// How much it was to, in bytes.
        max: u64,
    },
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::States { max } => write!(f, "there are more than {max} states: raise --states-max"),
            Self::Memory { max } => {
                write!(f, "it takes more than {} MiB of memory: raise --memory-max", max >> 20)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exceeded_is_named_with_its_cure() {
        let states = Exceeded::States { max: 9 };
        assert_eq!(states.to_string(), "there are more than 9 states: raise --states-max");
        let limits = Limits { memory_max: 1 << 20, ..Limits::none(1) };
        let memory = limits.memory().unwrap();
        assert_eq!(memory.to_string(), "it takes more than 1 MiB of memory: raise --memory-max");
        assert_eq!(Limits::none(1).memory(), None);
    }
}
