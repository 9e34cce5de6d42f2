use super::gather::Series;
use super::write::Written;
use crate::daemon::{Register, signed};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// What is counted of rounds and reports.
pub(super) struct Metrics {
    register: Register,
    findings: Family<FindingLabels, Gauge>,
    objects: Gauge,
    left_out: Gauge,
    unread: Gauge,
    stored: Family<ApiLabels, Gauge>,
    writes: Family<WriteLabels, Counter>,
    rounds: Family<RoundLabels, Counter>,
    last_round: Gauge,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    namespace: String,
    rule: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabels {
    result: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut r = Register::new("volgate_reports");
        Self {
            findings: r.family(
                "findings",
                "Findings in the cluster's objects, by namespace and rule; small namespaces are summed as _other",
            ),
            objects: r.one("objects", "Objects that the last round judged"),
            left_out: r.one(
                "objects_left_out",
                "Objects with findings that have no report, because there would be too many",
            ),
            unread: r.one("unread_kinds", "Kinds that the last round could not list"),
            stored: r.family("stored", "Reports in the cluster, by the API that has them"),
            writes: r.family("writes", "Writes of reports by what they did"),
            rounds: r.family("rounds", "Rounds by how they ended"),
            last_round: r.one(
                "last_round_timestamp_seconds",
                "When the last round ended well, in seconds since 1970; 0 before the first",
            ),
            register: r,
        }
    }

    /// What was found.
    pub(super) fn found(&self, series: &[Series], judged: usize, left_out: usize, unread: usize) {
        self.findings.clear();
        for Series { namespace, rule, result, count } in series {
            let labels = FindingLabels { namespace: namespace.clone(), rule, result };
            self.findings.get_or_create(&labels).set(signed(*count));
        }
        self.objects.set(signed(judged));
        self.left_out.set(signed(left_out));
        self.unread.set(signed(unread));
    }

    /// What was written to an API.
    pub(super) fn wrote(&self, api: &'static str, written: Written) {
        let Written { created, updated, deleted, unchanged, failed } = written;
        self.stored.get_or_create(&ApiLabels { api }).set(signed(created + updated + unchanged));
        for (operation, count) in
            [("create", created), ("update", updated), ("delete", deleted), ("failed", failed)]
        {
            self.writes.get_or_create(&WriteLabels { operation }).inc_by(count as u64);
        }
    }

    /// A round has ended.
    pub(super) fn ended(&self, good: bool, now: i64) {
        let result = if good { "success" } else { "error" };
        self.rounds.get_or_create(&RoundLabels { result }).inc();
        if good {
            self.last_round.set(now);
        }
    }

    /// All of it as text, in the OpenMetrics format.
    pub(super) fn render(&self) -> String {
        self.register.text()
    }
}

/// Each of the metrics of `volgate reports` once, in the OpenMetrics format, for the page that documents them.
pub fn sample() -> String {
    Metrics::new().register.sample()
}
