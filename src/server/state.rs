use super::{Clock, Metrics};
use crate::lookup::Lookup;
use crate::policy::PolicySet;
use crate::tls::Certificates;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How far the caches behind the lookup are.
pub trait CacheState: Send + Sync {
    /// For each kind whose objects are not all known yet, what it waits for, as a fragment.
    fn waiting(&self) -> Vec<String>;
    /// How many objects of each kind are known.
    fn sizes(&self) -> Vec<(&'static str, usize)>;
}

/// No cluster, so nothing to wait for.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCaches;

impl CacheState for NoCaches {
    fn waiting(&self) -> Vec<String> {
        Vec::new()
    }
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
}

/// What one client cannot exceed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request may take, its body's arrival and its wait for a turn included.
    pub request_time: Duration,
    /// How many requests are read and judged at once; together with the body limit it bounds the memory.
    pub concurrent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_time: Duration::from_secs(5), concurrent: 64 }
    }
}

/// What all requests share.
pub struct State {
    /// The policies, which can be replaced while requests run.
    pub policies: ArcSwap<PolicySet>,
    /// Other objects.
    pub lookup: Arc<dyn Lookup>,
    /// How much of them is known.
    pub caches: Arc<dyn CacheState>,
    /// The certificate that is served.
    pub certificates: Arc<Certificates>,
    /// What time it is.
    pub clock: Clock,
    /// What one client cannot exceed.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    pub(super) turns: Semaphore,
    draining: AtomicBool,
}

impl State {
    /// A state with nothing counted.
    pub fn new(
        policies: PolicySet,
        lookup: Arc<dyn Lookup>,
        caches: Arc<dyn CacheState>,
        certificates: Arc<Certificates>,
        clock: Clock,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            policies: ArcSwap::from_pointee(policies),
            lookup,
            caches,
            certificates,
            clock,
            limits,
            metrics: Metrics::new(),
            turns: Semaphore::new(limits.concurrent.clamp(1, Semaphore::MAX_PERMITS)),
            draining: AtomicBool::new(false),
        })
    }

    /// Tells readiness that the end is near. Requests are still answered.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the end is near.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
