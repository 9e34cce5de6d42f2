//! Workloads that end by themselves.

use crate::facts::{Workload, WorkloadKind};
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
