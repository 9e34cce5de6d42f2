use crate::daemon::{Register, signed};
use crate::provisioner::World;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The buckets of the time from claim to volume, in seconds.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What the controller counts.
pub(super) struct Metrics {
    register: Register,
    provisioning: Histogram,
    writes: Family<WriteLabels, Counter>,
    depth: Gauge,
    leader: Gauge,
    volumes: Family<VolumeLabels, Gauge>,
    bytes: Family<ClassLabels, Gauge>,
    node_volumes: Family<PhaseLabels, Gauge>,
    available: Family<BaseLabels, Gauge>,
    orphans: Family<NodeLabels, Gauge>,
    seconds_since_error: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    operation: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VolumeLabels {
    phase: &'static str,
    class: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BaseLabels {
    node: String,
    base: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    node: String,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut r = Register::new("volgate_provisioner");
        Self {
            provisioning: r.keep(
                "provisioning_seconds",
                "Time from when a claim that waits for its volume is seen to when the volume is made",
                Histogram::new(BUCKETS),
            ),
            writes: r.family("operations", "Writes to the API server by what they do"),
            depth: r.one("queue_depth", "Volumes in the work queue"),
            leader: r.one("leader", "1: this controller is the leader"),
            volumes: r.family("volumes", "Volumes by phase and class"),
            bytes: r.family("volume_bytes", "Requested bytes of a class's volumes"),
            node_volumes: r.family("node_volumes", "NodeVolumes by phase"),
            available: r.family("base_available_bytes", "Bytes of a node's base that can still be allocated"),
            orphans: r.family("orphans", "Orphaned volumes on a node"),
            seconds_since_error: r.one(
                "watch_error_age_seconds",
                "Seconds since the newest error of any watch; -1: there was none",
            ),
            register: r,
        }
    }

    pub(super) fn wrote(&self, operation: &'static str, good: bool) {
        let result = if good { "success" } else { "error" };
        self.writes.get_or_create(&WriteLabels { operation, result }).inc();
    }

    pub(super) fn provisioned(&self, took: Duration) {
        self.provisioning.observe(took.as_secs_f64());
    }

    /// All of it as text, in the OpenMetrics format.
    pub(super) fn render(&self, world: &World, depth: usize, leads: bool, error: Option<Duration>) -> String {
        self.depth.set(signed(depth));
        self.leader.set(i64::from(leads));
        self.seconds_since_error.set(error.map_or(-1.0, |age| age.as_secs_f64()));
        let mut volumes: HashMap<VolumeLabels, i64> = HashMap::new();
        let mut bytes: HashMap<&str, i64> = HashMap::new();
        for volume in world.volumes() {
            let labels = VolumeLabels { phase: volume.phase.as_str(), class: volume.class.to_string() };
            *volumes.entry(labels).or_default() += 1;
            *bytes.entry(&*volume.class).or_default() += volume.capacity;
        }
        self.volumes.clear();
        for (labels, number) in volumes {
            self.volumes.get_or_create(&labels).set(number);
        }
        self.bytes.clear();
        for (class, sum) in bytes {
            self.bytes.get_or_create(&ClassLabels { class: class.to_owned() }).set(sum);
        }
        self.node_volumes.clear();
        for volume in world.node_volumes() {
            self.node_volumes.get_or_create(&PhaseLabels { phase: volume.status.phase.as_str() }).inc();
        }
        self.available.clear();
        self.orphans.clear();
        for storage in world.storages() {
            let node = storage.node.to_string();
            for base in &storage.bases {
                let labels = BaseLabels { node: node.clone(), base: base.path.clone() };
                self.available.get_or_create(&labels).set(base.available_bytes);
            }
            self.orphans.get_or_create(&NodeLabels { node }).set(signed(storage.orphans));
        }
        self.register.text()
    }
}

/// Each of the controller's metrics once, in the OpenMetrics format, for the page that documents them.
pub fn sample() -> String {
    Metrics::new().register.sample()
}
