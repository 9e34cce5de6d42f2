use super::base_view::BaseView;
use crate::daemon::{Register, signed};
use crate::model::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// The buckets of a step's duration, in seconds: from a rename in memory to a disk that hangs.
const STEP_BUCKETS: [f64; 10] = [1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 10.0];

/// What the agent counts. Labels are few, but for volumes, of which a node has some hundreds.
#[derive(Debug)]
pub(super) struct Metrics {
    register: Register,
    steps: Family<StepLabels, Counter>,
    duration: Family<NameLabels, Histogram>,
    phases: Family<PhaseLabels, Gauge>,
    capacity: Family<BaseLabels, Gauge>,
    available: Family<BaseLabels, Gauge>,
    usable: Family<BaseLabels, Gauge>,
    bad_records: Family<BaseLabels, Gauge>,
    trash: Family<BaseLabels, Gauge>,
    trash_stuck: Family<BaseLabels, Gauge>,
    size: Family<VolumeLabels, Gauge>,
    used: Family<VolumeLabels, Gauge>,
    /// Volumes on the disk without a NodeVolume.
    pub(super) orphans: Gauge,
    /// Writes to the API server that failed.
    pub(super) write_errors: Counter,
    /// Writes to the API server.
    pub(super) writes: Counter,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    step: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BaseLabels {
    base: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VolumeLabels {
    namespace: String,
    claim: String,
    class: String,
    volume: String,
    backend: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut r = Register::new("volgate_agent");
        Self {
            steps: r.family("steps", "Steps on the disk by result"),
            duration: r.family_of("step_duration_seconds", "Time of a step on the disk", || {
                Histogram::new(STEP_BUCKETS)
            }),
            phases: r.family("volumes", "NodeVolumes of this node by phase"),
            capacity: r.family("base_capacity_bytes", "Size of a base's file system"),
            available: r
                .family("base_available_bytes", "Bytes of the base that can still be allocated to claims"),
            usable: r.family("base_usable", "1: volumes can be made in a base"),
            bad_records: r.family(
                "base_unreadable_records",
                "Records in a base that cannot be read; their volumes are left alone",
            ),
            trash: r.family("trash_entries", "Removed volumes whose data is not gone yet"),
            trash_stuck: r
                .family("trash_stuck_entries", "Those of them with something in it that cannot be removed"),
            size: r.family("volume_size_bytes", "Requested size of a volume"),
            used: r.family("volume_used_bytes", "Used bytes of a volume, when it was measured last"),
            orphans: r.one("orphans", "Volumes on the disk without a NodeVolume"),
            writes: r.one("api_writes", "Writes to the API server"),
            write_errors: r
                .one("api_write_errors", "Writes to the API server that failed and are tried again"),
            register: r,
        }
    }

    /// A step was made; `fault` is the reason for which it failed.
    pub(super) fn stepped(&self, step: &'static str, took: Duration, fault: Option<&'static str>) {
        self.steps.get_or_create(&StepLabels { step, result: fault.unwrap_or("done") }).inc();
        self.duration.get_or_create(&NameLabels { step }).observe(took.as_secs_f64());
    }

    /// How many volumes are in each phase.
    pub(super) fn phases(&self, counts: [(Phase, usize); 5]) {
        for (phase, count) in counts {
            self.phases.get_or_create(&PhaseLabels { phase: phase.as_str() }).set(signed(count));
        }
    }

    /// All of it as text, in the OpenMetrics format, with what each volume was measured to take.
    pub(super) fn render<'v>(
        &self,
        views: impl IntoIterator<Item = &'v BaseView>,
        used: &BTreeMap<String, i64>,
    ) -> String {
        self.size.clear();
        self.used.clear();
        for view in views {
            let labels = BaseLabels { base: view.path.clone() };
            let room = view.room();
            let usable = matches!(&room, Some(Ok(room)) if room.unwritable.is_none());
            self.usable.get_or_create(&labels).set(usable.into());
            if let Some(Ok(room)) = room {
                self.capacity.get_or_create(&labels).set(room.capacity);
                self.available.get_or_create(&labels).set(room.available.max(0));
            }
            self.bad_records.get_or_create(&labels).set(signed(view.bad_records()));
            let trash = view.trash();
            self.trash.get_or_create(&labels).set(trash.entries);
            self.trash_stuck.get_or_create(&labels).set(trash.stuck);
            view.with_records(|records| {
                for record in records.values() {
                    let labels = VolumeLabels {
                        namespace: record.claim.namespace.clone(),
                        claim: record.claim.name.clone(),
                        class: record.class.clone(),
                        volume: record.volume.clone(),
                        backend: record.backend.name(),
                    };
                    self.size.get_or_create(&labels).set(record.size_bytes);
                    if let Some(used) = used.get(&record.volume) {
                        self.used.get_or_create(&labels).set(*used);
                    }
                }
            });
        }
        self.register.text()
    }
}

/// Each of the agent's metrics once, in the OpenMetrics format, for the page that documents them.
pub fn sample() -> String {
    Metrics::new().register.sample()
}
