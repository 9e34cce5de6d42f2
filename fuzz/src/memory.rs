//! An allocator that counts, and ends the process when one input takes too much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that any input may take, in bytes: buffers of a fixed size and the budgets of CEL and of the catalog.
const BASE: usize = 32 * 1024 * 1024;
/// Memory that each byte of an input may take, in bytes.
const PER_BYTE: usize = 512;

/// The most memory that an input of that many bytes may take, in bytes.
pub fn most(bytes: usize) -> usize {
    BASE + PER_BYTE * bytes
}

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// From now on the process ends when it takes more than [`most`] beyond what it has.
pub fn limit(bytes: usize) {
    LIMIT.store(USED.load(Ordering::Relaxed) + most(bytes), Ordering::Relaxed);
}

/// Memory is not limited any more.
pub fn unlimited() {
    LIMIT.store(usize::MAX, Ordering::Relaxed);
}

fn took(bytes: usize) {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    let limit = LIMIT.load(Ordering::Relaxed);
    if used > limit {
        // Writing the message allocates.
        unlimited();
        eprintln!(
            "one input takes more memory than its size allows: limit {limit} bytes, asked for {bytes} more"
        );
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old block lives until the new one is filled.
        took(size);
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
