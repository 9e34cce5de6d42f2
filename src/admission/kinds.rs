use crate::facts::WorkloadKind;

/// A kind that policies are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedKind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
}

/// What stands in metrics for every kind that is not judged.
pub const OTHER_KIND: &str = "other";

/// The kinds that policies are about. All others are admitted unread.
pub const JUDGED: [JudgedKind; 13] = [
    of("", "Pod"),
    of("", "PodTemplate"),
    of("", "ReplicationController"),
    of("apps", "ReplicaSet"),
    of("apps", "Deployment"),
    of("apps", "StatefulSet"),
    of("apps", "DaemonSet"),
    of("batch", "Job"),
    of("batch", "CronJob"),
    of("", "PersistentVolumeClaim"),
    of("", "PersistentVolume"),
    of("storage.k8s.io", "StorageClass"),
    SCALE,
];

/// What the `scale` subresource of a workload takes.
pub(super) const SCALE: JudgedKind = of("autoscaling", "Scale");

const fn of(group: &'static str, kind: &'static str) -> JudgedKind {
    JudgedKind { group, kind }
}

/// The judged kind of that group and name; the old `extensions` group stands for `apps`.
pub(super) fn judged(group: &str, kind: &str) -> Option<&'static JudgedKind> {
    let group = if group == "extensions" && WorkloadKind::of(group, kind).is_some() { "apps" } else { group };
    JUDGED.iter().find(|judged| judged.kind == kind && judged.group == group)
}
