//! Options of every command that searches: on how many threads, and when to give up.

use crate::limits::Limits;
use crate::memory;

/// What the searches of a command take.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Bounds {
    /// On how many threads; as many as there are processors, unless given
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Give a scope up, as incomplete, after so many states
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    pub(super) states_max: usize,
    /// Give a scope up, as incomplete, when that takes more memory; unless given, three quarters of what is free
    #[arg(long, value_name = "MIB")]
    pub(super) memory_max: Option<u64>,
}

impl Bounds {
    /// The same, as searches take it. What a single step takes without end is refused by the system.
    pub(super) fn limits(self) -> Limits {
        let threads =
            self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        let given = self.memory_max.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
        let memory_max = given.or_else(|| memory::available().map(|bytes| bytes / 4 * 3)).unwrap_or(u64::MAX);
        memory::refuse_beyond(memory_max.saturating_add(memory_max / 4));
        Limits { threads, states_max: self.states_max, memory_max }
    }
}
