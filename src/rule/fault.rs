//! Faults of a policy, which its author is told when it is loaded.

use crate::catalog::Catalog;
use crate::model::{FieldPath, LabelSelector, SelectorPart, nearly};

/// One fault of a policy, with the field that it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PolicyFault {
    /// Where.
    pub path: FieldPath,
    /// What is wrong and what to write instead.
    pub message: String,
    /// Whether it only has no effect: the policy is applied all the same, and its author is told. A policy that a cluster
    /// holds must not stop working because a newer volgate sees more.
    pub harmless: bool,
}

impl PolicyFault {
    /// A fault at that field.
    pub fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, message: message.into(), harmless: false }
    }

    /// Something at that field that has no effect, or another one than it seems to have.
    pub fn harmless(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, message: message.into(), harmless: true }
    }
}

/// The kinds that volgate judges itself.
const KINDS: [&str; 12] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "StorageClass",
];

/// Kubernetes' own kinds that neither hold storage nor own pods.
pub(crate) const UNREAD: [&str; 25] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "CustomResourceDefinition",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "Node",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
];

/// Kinds of well-known operators that make pods or claims themselves.
const OWNERS: [&str; 11] = [
    "CloneSet",
    "Cluster",
    "DeploymentConfig",
    "PerconaXtraDBCluster",
    "PipelineRun",
    "Rollout",
    "StrimziPodSet",
    "TaskRun",
    "VirtualMachine",
    "VirtualMachineInstance",
    "Workflow",
];

/// Reports kinds that are none. An owner can be of any kind, so that only what looks like a known one is a fault.
pub(crate) fn kind_faults(kinds: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let custom = Catalog::embedded().kinds();
    let is_known = |kind: &str| KINDS.contains(&kind) || custom.names(kind);
    for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| !is_known(kind)) {
        if let Some(meant) = nearly(kind, KINDS.into_iter()) {
            let message = format!("{kind:?} is no kind: did you mean {meant}?");
            faults.push(PolicyFault::new(at.index(index), message));
        } else if !can_be_kind(kind) {
            let message = format!(
                "{kind:?} can be no kind: write the kind alone, such as StatefulSet, without group, version or `*`; \
                 without `kinds` all are meant"
            );
            faults.push(PolicyFault::harmless(at.index(index), message));
        }
    }
}

/// Whether some object may be of that kind.
pub(crate) fn can_be_kind(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether volgate knows that objects of that kind are judged, or own such.
pub(crate) fn is_judged_or_owner(kind: &str) -> bool {
    KINDS.contains(&kind) || OWNERS.contains(&kind)
}

/// Tells what Kubernetes would refuse in a selector that stands at that field.
pub(crate) fn selector_faults(selector: &LabelSelector, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    for (part, message) in selector.faults() {
        let path = match part {
            SelectorPart::Label(key) => at.key("matchLabels").key(key),
            SelectorPart::Expression(index) => at.key("matchExpressions").index(index),
        };
        faults.push(PolicyFault::new(path, message));
    }
}
