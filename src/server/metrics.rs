use super::State;
use crate::admission::{OTHER_KIND, Outcome};
use crate::daemon::{Register, signed};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The buckets of a review's duration, in seconds. The API server's own begin at 5 ms, which tells nothing here.
pub const REVIEW_BUCKETS: [f64; 16] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0];

/// What is counted. Every label has few values, whatever clients send.
#[derive(Debug)]
pub struct Metrics {
    register: Register,
    reviews: Family<ReviewLabels, Counter>,
    duration: Family<EndpointLabels, Histogram>,
    findings: Family<FindingLabels, Counter>,
    policies: Gauge,
    cache_objects: Family<KindLabels, Gauge>,
    certificate_expiry: Gauge,
    ca_expiry: Gauge,
    panics: Counter,
    body_bytes: Family<SizeLabels, Gauge>,
    connections: Gauge,
    connections_displaced: Counter,
    events: Family<EventLabels, Counter>,
    /// Changed policies that could not be used.
    pub policy_reload_errors: Counter,
    /// Changed certificates that could not be used.
    pub certificate_reload_errors: Counter,
    /// Connections that never came to a request, mostly for TLS.
    pub connection_errors: Counter,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    endpoint: &'static str,
    operation: &'static str,
    kind: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    rule: &'static str,
    action: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    result: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SizeLabels {
    size: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut r = Register::new("volgate");
        Self {
            reviews: r.family("reviews", "Reviews by verdict"),
            duration: r.family_of("review_duration_seconds", "Time from a review's bytes to its answer's, without the network", || Histogram::new(REVIEW_BUCKETS)),
            findings: r.family("findings", "Findings by rule and action"),
            policies: r.one("policies", "Policies in force"),
            cache_objects: r.family("cache_objects", "Cached objects by kind"),
            certificate_expiry: r.one("certificate_expiry_timestamp_seconds", "When the served certificate expires, in seconds since 1970"),
            ca_expiry: r.one("ca_expiry_timestamp_seconds", "When the last CA that the API server trusts for volgate expires, in seconds since 1970; 0 if unknown"),
            panics: r.one("panics", "Reviews that panicked"),
            policy_reload_errors: r.one("policy_reload_errors", "Failed reloads of policies; the old ones stay in force"),
            certificate_reload_errors: r.one("certificate_reload_errors", "Failed reloads of the certificate; the old one stays in use"),
            connection_errors: r.one("connection_errors", "Connections that failed before a request, mostly in the TLS handshake"),
            body_bytes: r.family("body_bytes", "Memory reserved for request bodies, from their arrival to the end of the work on them"),
            connections: r.one("connections", "Connections to the webhook"),
            connections_displaced: r.one("connections_displaced", "Connections that were closed for a new one, because there were too many"),
            events: r.family("denial_events", "Events on owners of what was refused (--events): written, repeated within five minutes, limited, dropped or failed"),
            register: r,
        }
    }

    /// What became of an event.
    pub fn event(&self, result: &'static str) {
        self.events.get_or_create(&EventLabels { result }).inc();
    }

    pub(super) fn reviewed(&self, endpoint: &'static str, outcome: &Outcome, took: Duration) {
        let Outcome { operation, kind, verdict, findings, .. } = outcome;
        self.count(endpoint, operation, kind, verdict.as_str());
        self.duration.get_or_create(&EndpointLabels { endpoint }).observe(took.as_secs_f64());
        for finding in findings {
            self.findings.get_or_create(&FindingLabels { rule: finding.rule, action: finding.action }).inc();
        }
    }

    /// A request that came to no review: its body was too large, or it took too long.
    pub(super) fn unreviewed(&self, endpoint: &'static str, verdict: &'static str) {
        self.count(endpoint, "unknown", OTHER_KIND, verdict);
    }

    pub(super) fn panicked(&self, endpoint: &'static str) {
        self.panics.inc();
        self.unreviewed(endpoint, "panicked");
    }

    fn count(
        &self,
        endpoint: &'static str,
        operation: &'static str,
        kind: &'static str,
        verdict: &'static str,
    ) {
        self.reviews.get_or_create(&ReviewLabels { endpoint, operation, kind, verdict }).inc();
    }

    /// All of it as text, in the OpenMetrics format.
    pub(super) fn render(&self, state: &State) -> String {
        self.policies.set(signed(state.policies.load().policies().len()));
        self.certificate_expiry.set(state.certificates.current().not_after);
        self.ca_expiry.set(state.certificates.ca_not_after());
        for (size, budget) in [("small", &state.budgets.small), ("large", &state.budgets.large)] {
            self.body_bytes.get_or_create(&SizeLabels { size }).set(signed(budget.taken()));
        }
        let (open, displaced) = state.connections.counts();
        self.connections.set(signed(open));
        self.connections_displaced.inner().store(displaced, Ordering::Relaxed);
        for (kind, size) in state.caches.sizes() {
            self.cache_objects.get_or_create(&KindLabels { kind }).set(signed(size));
        }
        self.register.text()
    }
}

/// Each of the webhook's metrics once, in the OpenMetrics format, for the page that documents them.
pub fn sample() -> String {
    Metrics::new().register.sample()
}
