//! Counts the memory that one thread takes, so that tests can hold the decoder and the size of states to their bounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends allocates after its locals are gone; nobody measures it any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + usize::from(bytes > 0)));
    });
}

// SAFETY: everything is the system allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be held at once while one is copied to the other.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `work` answers, and the most bytes that it held at any moment.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    PEAK.set(before);
    let value = work();
    (value, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// What `work` answers, and how many times it took memory.
pub(crate) fn taken<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.get();
    let value = work();
    (value, TAKEN.get() - before)
}

#[test]
fn it_counts() {
    let (bytes, peak) = peak(|| {
        drop(vec![0u8; 5_000]);
        vec![0u8; 1_000]
    });
    assert_eq!((bytes.len(), peak), (1_000, 5_000));
    assert_eq!(taken(|| drop((vec![0u8; 10], vec![0u8; 20]))).1, 2);
}
