use super::super::Watched;
use super::super::watched::{
    CAPACITIES, CLAIMS, CLASSES, EVENTS, LEASES, NODE_STORAGES, NODE_VOLUMES, NODES, VOLUMES,
};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// What the provisioner's ClusterRole must allow; `manifests/` is made from it.
pub fn provisioner_cluster_rules() -> Vec<PolicyRule> {
    vec![
        // get: before anything is removed the API server itself is asked, as caches may be old.
        // patch: the selected node is taken away where a node cannot hold the volume.
        rule(CLAIMS, "", &["get", "list", "patch", "watch"]),
        // patch: the new capacity after growth.
        rule(CLAIMS, "/status", &["patch"]),
        // create, delete: what a provisioner is for. patch: its finalizer, and capacity after growth. get: as of claims.
        rule(VOLUMES, "", &["create", "delete", "get", "list", "patch", "watch"]),
        rule(CLASSES, "", &["list", "watch"]),
        rule(NODES, "", &["list", "watch"]),
        // patch: size, the wish that it be removed, and what becomes of the data. The status is the agents'.
        rule(NODE_VOLUMES, "", &["create", "delete", "list", "patch", "watch"]),
        rule(NODE_STORAGES, "", &["list", "watch"]),
        // patch: an Event that repeats is counted, not written again.
        rule(EVENTS, "", &["create", "patch"]),
    ]
}

/// What its Role in its own namespace must allow.
pub fn provisioner_namespace_rules() -> Vec<PolicyRule> {
    vec![
        // update: a lease is renewed by its version, so that of two who want it one gets it.
        rule(LEASES, "", &["create", "get", "update"]),
        rule(CAPACITIES, "", &["create", "delete", "list", "patch"]),
    ]
}

fn rule(of: Watched, subresource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![of.group.to_owned()]),
        resources: Some(vec![format!("{}{subresource}", of.resource)]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
