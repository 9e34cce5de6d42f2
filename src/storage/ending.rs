//! Workloads that end by themselves, and what they make on the way.

use super::data_paths::{DataPath, Why};
use crate::facts::{Section, Workload, WorkloadKind};
use crate::json::Node;

/// Whether the workload's pods end by themselves.
pub(super) fn ends(workload: &Workload<'_>) -> bool {
    let policy = || workload.pod.spec.get("restartPolicy").and_then(Node::as_str);
    match workload.kind {
        WorkloadKind::Job | WorkloadKind::CronJob => true,
        WorkloadKind::Pod => policy().is_some_and(|policy| policy != "Always"),
        _ => false,
    }
}

/// Whether an init container of what ends by itself writes a product's files for a container behind it: a key or a
/// configuration that is made once and kept elsewhere.
pub(super) fn prepares(data: &DataPath<'_, '_>, workload: &Workload<'_>) -> bool {
    let is_read = |volume: &str| {
        let mut mounts = workload.pod.mounts_of(volume);
        mounts.any(|(container, _)| container.section == Section::Main)
    };
    matches!(data.why, Why::Product { .. })
        && data.container.section == Section::Init
        && data.empty_dir().is_some()
        && ends(workload)
        && data.cover.mount.is_some_and(|mount| is_read(mount.volume))
}
