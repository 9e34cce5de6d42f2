//! An allocator that counts: how many bytes are taken in all, and how many at most at one time.
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what goes through it.
pub struct Counting<A>(pub A);

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    TAKEN.fetch_add(bytes, Relaxed);
    MOST.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call is passed on as it is.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { self.0.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.realloc(at, layout, size) }
    }
}

/// What some work took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Bytes in all.
    pub bytes: usize,
    /// Bytes at most at one time.
    pub most: usize,
}

/// Does the work and counts; nothing else may run meanwhile.
pub fn taken_by<T>(work: impl FnOnce() -> T) -> (T, Taken) {
    let (bytes, held) = (TAKEN.load(Relaxed), HELD.load(Relaxed));
    MOST.store(held, Relaxed);
    let done = work();
    (done, Taken { bytes: TAKEN.load(Relaxed) - bytes, most: MOST.load(Relaxed) - held })
}
