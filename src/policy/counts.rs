use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often a policy had a say. It is counted where reviews are answered, and nothing is decided by it.
#[derive(Debug, Default)]
pub struct Counts {
    matched: AtomicU64,
    denied: AtomicU64,
}

impl Counts {
    /// An object was judged that the policy is about.
    pub fn matched(&self) {
        self.matched.fetch_add(1, Relaxed);
    }

    /// The policy refused an object.
    pub fn denied(&self) {
        self.denied.fetch_add(1, Relaxed);
    }

    /// Objects that it was about, and those of them that it refused.
    pub fn totals(&self) -> (u64, u64) {
        (self.matched.load(Relaxed), self.denied.load(Relaxed))
    }
}
