use super::body::Budgets;
use super::connections::Connections;
use super::judges::Judges;
use super::seldom::Seldom;
use super::{Clock, Metrics};
use crate::admission::Denial;
use crate::lookup::Lookup;
use crate::policy::PolicySet;
use crate::tls::Certificates;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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

/// What clients cannot exceed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request may take, its body's arrival and its wait included. Shorter than what the API server is told,
    /// so that the answer arrives.
    pub request_time: Duration,
    /// How many bytes bodies of at most 64 KiB may take together, from their arrival to the end of the work on them.
    pub small_bodies: usize,
    /// The same for larger ones; at least one of the largest size has room.
    pub large_bodies: usize,
    /// How many connections may be open. An API server has one for each review that runs.
    pub connections: usize,
    /// How many of them may speak HTTP/2, in which one has many requests.
    pub http2_connections: usize,
    /// How long one may be open while nothing is asked. The API server closes its own after 90 seconds.
    pub idle: Duration,
}

impl Limits {
    /// What the API server is told to wait, of which a part is left for the way of the answer.
    pub const fn for_timeout(seconds: u8) -> Duration {
        Duration::from_millis(seconds as u64 * 800)
    }

    /// How long a client may let others wait: for the first byte of a body, and for the rest of it once others need the
    /// memory.
    pub(super) fn patience(&self) -> Duration {
        self.request_time / 4
    }

    /// How many bytes all that clients do can take at most; what the caches hold comes to it.
    pub const fn memory(&self) -> usize {
        let judging = Judges::HEAVY * HEAVY_REVIEW;
        let connections = self.connections * CONNECTION + self.http2_connections * HTTP2;
        self.small_bodies + self.large_bodies + judging + connections
    }
}

/// What judging one large review takes besides its body: at most [`MAX_VALUES`](crate::admission::MAX_VALUES) values, of
/// which a tree of maps with one field each takes most.
const HEAVY_REVIEW: usize = 128 * 1024 * 1024;
/// What a connection holds at most: buffers.
const CONNECTION: usize = 256 * 1024;
/// What one of HTTP/2 holds besides: 2 MiB that nobody has read yet, and 16 KiB for each of 32 requests that wait.
const HTTP2: usize = (2048 + 32 * 16) * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_time: Self::for_timeout(5),
            small_bodies: 16 * 1024 * 1024,
            large_bodies: 64 * 1024 * 1024,
            connections: 384,
            http2_connections: 32,
            idle: Duration::from_secs(120),
        }
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
    /// What clients cannot exceed.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    pub(super) budgets: Budgets,
    pub(super) judges: Judges,
    pub(super) connections: Arc<Connections>,
    /// Lines about reviews that were given up.
    pub(super) given_up: Seldom,
    /// Lines about connections that failed.
    pub(super) failed: Seldom,
    draining: AtomicBool,
    on_denial: OnceLock<OnDenial>,
}

/// Who is told of denials. It must not wait.
pub type OnDenial = Box<dyn Fn(Denial) + Send + Sync>;

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
            budgets: Budgets::new(&limits),
            judges: Judges::new(),
            connections: Connections::new(limits.connections, limits.http2_connections, limits.idle),
            given_up: Seldom::default(),
            failed: Seldom::default(),
            draining: AtomicBool::new(false),
            on_denial: OnceLock::new(),
        })
    }

    /// Has somebody told when what a controller makes is refused; the first one stays.
    pub fn on_denial(&self, tell: OnDenial) {
        let _ = self.on_denial.set(tell);
    }

    pub(super) fn denied(&self, denial: Denial) {
        if let Some(tell) = self.on_denial.get() {
            tell(denial);
        }
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
