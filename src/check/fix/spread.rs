//! Whether one ReadWriteOnce claim can serve all pods of a workload, and if not, why.

use super::super::manifest::{Manifest, text};
use crate::facts::{Facts, Workload, WorkloadKind};
use serde_json::Value;
use std::collections::HashMap;

/// What scales workloads, by namespace, kind and name: what it is called, and to how many pods.
#[derive(Default)]
pub(super) struct Scalers(HashMap<(String, String, String), (String, i64)>);

impl Scalers {
    /// Those among the manifests: anything with a `scaleTargetRef`, such as a HorizontalPodAutoscaler or a ScaledObject.
    pub(super) fn among(manifests: &[Manifest<'_>], namespace: &str) -> Self {
        let scaler = |manifest: &Manifest<'_>| {
            let spec = manifest.value.get("spec")?;
            let target = spec.get("scaleTargetRef")?;
            let most = ["maxReplicas", "maxReplicaCount"].iter().find_map(|key| spec.get(*key)?.as_i64());
            let id = Facts::identify(&*manifest.value, Some(namespace));
            let kind = text(target, "kind").unwrap_or("Deployment").to_owned();
            let key = (id.namespace.clone().unwrap_or_default(), kind, text(target, "name")?.to_owned());
            // A ScaledObject that says nothing goes to 100.
            Some((key, (format!("{} {}", id.kind, id.name), most.unwrap_or(100))))
        };
        Self(manifests.iter().filter_map(scaler).collect())
    }

    fn of(&self, facts: &Facts<'_>) -> Option<&(String, i64)> {
        let key = (facts.namespace().to_owned(), facts.id.kind.clone(), facts.id.name.clone());
        self.0.get(&key).filter(|(_, most)| *most > 1)
    }
}

pub(super) const NAMED_LATER: &str = "its name is filled in later, and so its claim has none";
const OWN_CLAIMS: &str = "use a StatefulSet, whose pods have a claim each";

/// Why the workload cannot be given a claim, if it cannot.
pub(super) fn obstacle(facts: &Facts<'_>, workload: &Workload<'_>, scalers: &Scalers) -> Option<String> {
    if facts.custom.is_some() {
        return Some(
            "it is a custom resource, and its operator makes the volumes: say there what it is to keep"
                .to_owned(),
        );
    }
    if let Some(owner) = facts.meta.controller {
        return Some(format!("{} {} makes it: correct that", owner.kind, owner.name));
    }
    if workload.kind == WorkloadKind::StatefulSet {
        return None;
    }
    if facts.id.name.is_empty() || facts.id.name.ends_with('*') {
        return Some("it has no name of its own that its claim could have".to_owned());
    }
    if !facts.id.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
        return Some(NAMED_LATER.to_owned());
    }
    let at_a_time = |count: i64, what: &str| {
        Some(format!(
            "{what} {count} of its pods at a time, and a ReadWriteOnce claim serves one: {OWN_CLAIMS}"
        ))
    };
    match workload.kind {
        WorkloadKind::DaemonSet => Some(format!(
            "it is a DaemonSet, with a pod on each node, and one claim cannot be on all of them: {OWN_CLAIMS}, or a \
             hostPath that the policy excuses"
        )),
        WorkloadKind::Job | WorkloadKind::CronJob if workload.parallelism > 1 => {
            at_a_time(workload.parallelism, "`parallelism` runs")
        }
        kind if kind.has_replicas() && workload.replicas > 1 => {
            at_a_time(workload.replicas, "`replicas` runs")
        }
        _ => scalers.of(facts).and_then(|(scaler, most)| at_a_time(*most, &format!("{scaler} runs up to"))),
    }
}

/// What a pod template says of the user that its containers run as: the pod's own word, or a container's.
pub(super) fn group_of_user(pod: &Value, container: Option<&Value>) -> Option<i64> {
    let context =
        |of: Option<&Value>| of.and_then(|of| of.get("securityContext")).cloned().unwrap_or_default();
    let (pod, container) = (context(Some(pod)), context(container));
    if !pod.get("fsGroup").unwrap_or(&Value::Null).is_null() {
        return None;
    }
    let number = |key: &str| [&container, &pod].iter().find_map(|context| context.get(key)?.as_i64());
    let user = number("runAsUser").filter(|user| *user > 0)?;
    Some(number("runAsGroup").filter(|group| *group > 0).unwrap_or(user))
}
