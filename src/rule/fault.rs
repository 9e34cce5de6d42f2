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
}

impl PolicyFault {
    /// A fault at that field.
    pub fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, message: message.into() }
    }
}

/// The kinds that policies are about for the most part.
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

/// Reports kinds that are none. An owner can be of any kind, so that only what looks like a known one is a fault.
pub(crate) fn kind_faults(kinds: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let custom = Catalog::embedded().kinds();
    let is_known = |kind: &str| KINDS.contains(&kind) || custom.names(kind);
    for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| !is_known(kind)) {
        if let Some(meant) = nearly(kind, KINDS.into_iter()) {
            let message = format!("{kind:?} is no kind: did you mean {meant}?");
            faults.push(PolicyFault::new(at.index(index), message));
        }
    }
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
