use super::Watched;
use super::baseline::{BASELINE_NAME, MEMORY};
use super::register::{LAST_NAME, NAME};
use super::registrar::{OWNER_ROLE, PROBE};
use super::secret::SECRET;
use super::watched::{
    CLUSTER_ROLES, CONFIG_MAPS, CUSTOM_RESOURCES, LEASES, MUTATING_WEBHOOKS, POD_TEMPLATES, POLICIES,
    SECRETS, VALIDATING_WEBHOOKS,
};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// What the ClusterRole of the registration must allow; `manifests/` is made from it.
pub fn registration_cluster_rules() -> Vec<PolicyRule> {
    vec![
        webhooks(&["create", "get", "patch"]),
        // The one of an earlier version.
        rule(MUTATING_WEBHOOKS, &["delete"], Some(NAME)),
        rule(CLUSTER_ROLES, &["get"], Some(OWNER_ROLE)),
        rule(CUSTOM_RESOURCES, &["list", "watch"], None),
        rule(POLICIES, &["create", "patch"], Some(BASELINE_NAME)),
        PolicyRule {
            resources: Some(vec!["storagepolicies/status".to_owned()]),
            ..rule(POLICIES, &["patch"], None)
        },
    ]
}

/// What the Role in volgate's own namespace must allow.
pub fn registration_namespace_rules() -> Vec<PolicyRule> {
    vec![
        rule(SECRETS, &["create", "get", "patch", "update"], Some(SECRET)),
        // Who creates by a POST may do so under any name.
        rule(LEASES, &["create"], None),
        rule(LEASES, &["get", "update"], Some(NAME)),
        rule(CONFIG_MAPS, &["create", "get", "patch"], Some(MEMORY)),
        rule(POD_TEMPLATES, &["create", "patch"], Some(PROBE)),
    ]
}

/// What the ClusterRole of whoever removes volgate must allow; the chart has it.
pub fn removal_rules() -> Vec<PolicyRule> {
    vec![webhooks(&["delete", "get"]), rule(CLUSTER_ROLES, &["delete"], Some(OWNER_ROLE))]
}

/// Both configurations, by their names.
fn webhooks(verbs: &[&str]) -> PolicyRule {
    let mut both = rule(MUTATING_WEBHOOKS, verbs, Some(NAME));
    both.resources.get_or_insert_default().push(VALIDATING_WEBHOOKS.resource.to_owned());
    both.resource_names.get_or_insert_default().push(LAST_NAME.to_owned());
    both
}

fn rule(of: Watched, verbs: &[&str], name: Option<&str>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![of.group.to_owned()]),
        resources: Some(vec![of.resource.to_owned()]),
        resource_names: name.map(|name| vec![name.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
