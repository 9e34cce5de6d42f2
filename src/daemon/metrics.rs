//! Registries of metrics, and their text.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// An empty registry of that prefix, but for the running build.
pub fn registry(prefix: &'static str) -> Registry {
    let mut registry = Registry::with_prefix(prefix);
    let build = BuildLabels { version: env!("CARGO_PKG_VERSION") };
    registry.register("build", "The running build", Info::new(build));
    registry
}

/// What is counted, as text in the OpenMetrics format.
pub fn text_of(registry: &Registry) -> String {
    let mut text = String::new();
    // A string takes everything that is written to it.
    let _ = text::encode(&mut text, registry);
    text
}

/// A number as a gauge has it.
pub fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
