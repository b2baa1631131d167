//! The core at the size of a checker's state: `cargo bench -p neap-protocol --bench representation`.
//!
//! A checker clones a machine, gives it an input and hashes what came of it, half a million times a second; one
//! that holds each machine of its world in an `Arc` pays for the one machine that changed. This prints what each
//! machine of a small scope takes, in bytes and in allocations, which do not depend on how busy the computer is, and
//! then measures: to clone and let go, to hash, and a whole step. Then it holds [`Map`] against the two collections
//! that it is made of, at both ends of the scale.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use criterion::{BatchSize, BenchmarkId, Criterion};
use neap_protocol::map::Map;
use neap_protocol::outbox::Outbox;
use rustc_hash::FxHasher;

#[path = "../tests/it/small.rs"]
mod small;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static COUNTS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A plain load where nothing is counted: the measurements stay what they are.
        if COUNTS.load(Ordering::Relaxed) != 0 {
            TAKEN.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How many allocations `work` makes, and of how many bytes.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    TAKEN.store(0, Ordering::Relaxed);
    BYTES.store(0, Ordering::Relaxed);
    COUNTS.store(1, Ordering::Relaxed);
    let value = work();
    COUNTS.store(0, Ordering::Relaxed);
    (value, TAKEN.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

/// How many numbers and strings a hash is made of, and how many bytes they have.
#[derive(Default)]
struct Fed {
    writes: usize,
    bytes: usize,
}

impl Hasher for Fed {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writes += 1;
        self.bytes += bytes.len();
    }
}

fn hash<H: Hasher + Default>(value: &impl Hash) -> u64 {
    let mut hasher = H::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a clone takes, and how long it, a hash and a whole step last.
macro_rules! machine {
    ($criterion:ident, $small:expr) => {{
        let small::Small { what, machine, config, input } = $small;
        let (copy, taken, bytes) = counted(|| machine.clone());
        assert_eq!(copy, machine);
        let mut fed = Fed::default();
        machine.hash(&mut fed);
        println!(
            "{what}: {} bytes; a clone takes {bytes} more in {taken} allocations; hashed as {} bytes in {} writes",
            size_of_val(&machine),
            fed.bytes,
            fed.writes,
        );
        let mut group = $criterion.benchmark_group(what);
        group.bench_function("clone and let go", |bencher| {
            bencher.iter(|| black_box(&machine).clone());
        });
        group.bench_function("hash", |bencher| {
            bencher.iter(|| hash::<FxHasher>(black_box(&machine)));
        });
        let mut out = Outbox::new();
        group.bench_function("step: clone, handle, hash, let go", |bencher| {
            bencher.iter(|| {
                let mut next = black_box(&machine).clone();
                next.handle(&config, black_box(&input).clone(), &mut out);
                let effects = out.drain().count();
                (hash::<FxHasher>(&next), effects)
            });
        });
        group.finish();
    }};
}

fn machines(criterion: &mut Criterion) {
    machine!(criterion, small::one_of_each());
    machine!(criterion, small::two_of_each());
    machine!(criterion, small::draining());
    machine!(criterion, small::a_slave());
    machine!(criterion, small::a_framework());
    machine!(criterion, small::an_executor());
}

/// As much as a task takes, more or less.
type Value = [u64; 8];

/// A collection that was or could have been chosen.
trait Collection: Clone + Hash + FromIterator<(u32, Value)> {
    const NAME: &'static str;
    fn get(&self, key: u32) -> Option<&Value>;
    fn put(&mut self, key: u32, value: Value);
    fn take(&mut self, key: u32) -> Option<Value>;
}

impl Collection for Map<u32, Value> {
    const NAME: &'static str = "Map";

    fn get(&self, key: u32) -> Option<&Value> {
        Self::get(self, &key)
    }

    fn put(&mut self, key: u32, value: Value) {
        self.insert(key, value);
    }

    fn take(&mut self, key: u32) -> Option<Value> {
        self.remove(&key)
    }
}

impl Collection for BTreeMap<u32, Value> {
    const NAME: &'static str = "BTreeMap";

    fn get(&self, key: u32) -> Option<&Value> {
        Self::get(self, &key)
    }

    fn put(&mut self, key: u32, value: Value) {
        self.insert(key, value);
    }

    fn take(&mut self, key: u32) -> Option<Value> {
        self.remove(&key)
    }
}

#[derive(Clone, Hash)]
struct Sorted(Vec<(u32, Value)>);

impl FromIterator<(u32, Value)> for Sorted {
    fn from_iter<I: IntoIterator<Item = (u32, Value)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        Self(entries)
    }
}

impl Sorted {
    fn find(&self, key: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }
}

impl Collection for Sorted {
    const NAME: &'static str = "sorted Vec";

    fn get(&self, key: u32) -> Option<&Value> {
        self.find(key).ok().map(|i| &self.0[i].1)
    }

    fn put(&mut self, key: u32, value: Value) {
        match self.find(key) {
            Ok(i) => self.0[i].1 = value,
            Err(i) => self.0.insert(i, (key, value)),
        }
    }

    fn take(&mut self, key: u32) -> Option<Value> {
        self.find(key).ok().map(|i| self.0.remove(i).1)
    }
}

fn collection<C: Collection>(criterion: &mut Criterion, sizes: &[u32]) {
    for &size in sizes {
        // Every other key, so that there is a place for one more anywhere.
        let full: C = (0..size).map(|n| (2 * n, [u64::from(n); 8])).collect();
        let key = |i: &mut u32| {
            *i = i.wrapping_add(7919);
            2 * (*i % size)
        };
        if size <= 256 {
            criterion
                .benchmark_group("clone, hash, let go")
                .bench_function(BenchmarkId::new(C::NAME, size), |bencher| {
                    bencher.iter(|| hash::<FxHasher>(&black_box(&full).clone()))
                });
        }
        criterion.benchmark_group("get").bench_function(BenchmarkId::new(C::NAME, size), |bencher| {
            let mut i = 0;
            bencher.iter(|| full.get(key(&mut i)).map(|value| value[0]));
        });
        criterion.benchmark_group("insert and remove, 64 of each").bench_function(
            BenchmarkId::new(C::NAME, size),
            |bencher| {
                let mut i = 0;
                bencher.iter_batched_ref(
                    || full.clone(),
                    |map| {
                        for _ in 0..64 {
                            let key = 1 + key(&mut i);
                            map.put(key, [1; 8]);
                            black_box(map.take(key));
                        }
                    },
                    BatchSize::LargeInput,
                );
            },
        );
    }
}

fn collections(criterion: &mut Criterion) {
    let sizes = [1, 2, 4, 8, 16, 32, 256, 50_000];
    collection::<Map<u32, Value>>(criterion, &sizes);
    collection::<BTreeMap<u32, Value>>(criterion, &sizes);
    collection::<Sorted>(criterion, &sizes);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    machines(&mut criterion);
    collections(&mut criterion);
    criterion.final_summary();
}
