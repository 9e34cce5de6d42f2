//! What a daemon counts, and its text.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::hash::Hash;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// The labels of a family of metrics.
pub trait Labels: EncodeLabelSet + Hash + Eq + Clone + Default + fmt::Debug + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Hash + Eq + Clone + Default + fmt::Debug + Send + Sync + 'static> Labels for L {}

/// The metrics of one process: each is made and registered in one call.
#[derive(Default)]
pub struct Register {
    registry: Registry,
    /// Makes the row of each family whose labels are empty.
    rows: Vec<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

impl Register {
    /// Nothing but the running build; all names begin with that prefix.
    pub fn new(prefix: &'static str) -> Self {
        let mut registry = Registry::with_prefix(prefix);
        let build = BuildLabels { version: env!("CARGO_PKG_VERSION") };
        registry.register("build", "The running build", Info::new(build));
        Self { registry, rows: Vec::new() }
    }

    /// A metric without labels.
    pub fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.keep(name, help, M::default())
    }

    /// A metric without labels that has no default, such as a histogram.
    pub fn keep<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    /// A metric for each set of labels.
    pub fn family<L: Labels, M: Metric + TypedMetric + Default>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<L, M> {
        self.family_of(name, help, M::default)
    }

    /// A metric for each set of labels, made by `make`.
    pub fn family_of<L: Labels, M: Metric + TypedMetric>(
        &mut self,
        name: &str,
        help: &str,
        make: fn() -> M,
    ) -> Family<L, M> {
        let family = self.keep(name, help, Family::new_with_constructor(make));
        let row: Family<L, M> = family.clone();
        self.rows.push(Box::new(move || drop(row.get_or_create(&L::default()))));
        family
    }

    /// What is counted, as text in the OpenMetrics format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A string takes everything that is written to it.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// [`Self::text`] with a row in each family, for the page that documents all metrics.
    pub fn sample(&self) -> String {
        for row in &self.rows {
            row();
        }
        self.text()
    }
}

/// A number as a gauge has it.
pub fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
