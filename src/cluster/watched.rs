use crate::model::API_GROUP;
use crate::policy::KIND;
use k8s_openapi::api::rbac::v1::PolicyRule;
use std::collections::BTreeMap;
use std::fmt;

/// One resource that volgate lists and watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// The API group, empty for the core group.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The kind, such as `PersistentVolume`.
    pub kind: &'static str,
    /// The resource, such as `persistentvolumes`.
    pub resource: &'static str,
}

impl Watched {
    /// As objects have it: `v1`, `apps/v1`.
    pub(super) fn api_version(self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

const fn watched(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    resource: &'static str,
) -> Watched {
    Watched { group, version, kind, resource }
}

pub(super) const CLAIMS: Watched = watched("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
pub(super) const VOLUMES: Watched = watched("", "v1", "PersistentVolume", "persistentvolumes");
pub(super) const CLASSES: Watched = watched("storage.k8s.io", "v1", "StorageClass", "storageclasses");
pub(super) const NAMESPACES: Watched = watched("", "v1", "Namespace", "namespaces");
pub(super) const NODES: Watched = watched("", "v1", "Node", "nodes");
/// What can own pods, or what owns pods.
pub(super) const OWNERS: [Watched; 7] = [
    watched("apps", "v1", "ReplicaSet", "replicasets"),
    watched("apps", "v1", "Deployment", "deployments"),
    watched("apps", "v1", "StatefulSet", "statefulsets"),
    watched("apps", "v1", "DaemonSet", "daemonsets"),
    watched("batch", "v1", "Job", "jobs"),
    watched("batch", "v1", "CronJob", "cronjobs"),
    watched("", "v1", "ReplicationController", "replicationcontrollers"),
];
pub(super) const POLICIES: Watched = watched("volgate.dev", "v1alpha1", KIND, "storagepolicies");
pub(crate) const NODE_VOLUMES: Watched = watched(API_GROUP, "v1alpha1", "NodeVolume", "nodevolumes");
pub(crate) const NODE_STORAGES: Watched = watched(API_GROUP, "v1alpha1", "NodeStorage", "nodestorages");
pub(super) const LEASES: Watched = watched("coordination.k8s.io", "v1", "Lease", "leases");
pub(super) const SECRETS: Watched = watched("", "v1", "Secret", "secrets");
pub(super) const CONFIG_MAPS: Watched = watched("", "v1", "ConfigMap", "configmaps");
pub(super) const PODS: Watched = watched("", "v1", "Pod", "pods");
pub(super) const POD_TEMPLATES: Watched = watched("", "v1", "PodTemplate", "podtemplates");
pub(super) const CLUSTER_ROLES: Watched =
    watched("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles");
pub(super) const MUTATING_WEBHOOKS: Watched = watched(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
);
pub(super) const VALIDATING_WEBHOOKS: Watched = watched(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
);
pub(super) const CUSTOM_RESOURCES: Watched =
    watched("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
pub(super) const EVENTS: Watched = watched("events.k8s.io", "v1", "Event", "events");
pub(super) const REPORTS: Watched = watched("openreports.io", "v1alpha1", "Report", "reports");
pub(super) const CLUSTER_REPORTS: Watched =
    watched("openreports.io", "v1alpha1", "ClusterReport", "clusterreports");
pub(super) const POLICY_REPORTS: Watched =
    watched("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports");
pub(super) const CLUSTER_POLICY_REPORTS: Watched =
    watched("wgpolicyk8s.io", "v1alpha2", "ClusterPolicyReport", "clusterpolicyreports");
pub(super) const CAPACITIES: Watched =
    watched("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities");

impl Watched {
    /// The path of all of them, or of those in a namespace.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let within = namespace.map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        format!("{root}/{}/{within}{}", self.version, self.resource)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)
    }
}

/// What the ClusterRole must allow so that the caches and the policy watch work; `manifests/` is made from it.
pub fn role_rules() -> Vec<PolicyRule> {
    let single = [CLAIMS, VOLUMES, CLASSES, NAMESPACES, NODES, POLICIES];
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for watched in single.into_iter().chain(OWNERS) {
        groups.entry(watched.group).or_default().push(watched.resource.to_owned());
    }
    let rule = |(group, resources): (&str, Vec<String>)| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources),
        verbs: vec!["list".to_owned(), "watch".to_owned()],
        ..PolicyRule::default()
    };
    groups.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::API_VERSION;

    #[test]
    fn watches_the_version_of_policies_that_is_read() {
        assert_eq!(POLICIES.api_version(), API_VERSION);
        assert_eq!(PODS.api_version(), "v1");
    }

    #[test]
    fn every_resource_is_allowed_once() {
        let rules = role_rules();
        let all: Vec<_> = rules.iter().flat_map(|rule| rule.resources.iter().flatten()).collect();
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((all.len(), distinct.len()), (13, 13));
        assert!(rules.iter().all(|rule| rule.verbs == ["list", "watch"]), "reading is all it may do");
    }
}
