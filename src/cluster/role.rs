use super::Watched;
use super::register::NAME;
use super::registrar::{OWNER_ROLE, PROBE};
use super::secret::SECRET;
use super::watched::{
    CLUSTER_ROLES, CUSTOM_RESOURCES, LEASES, MUTATING_WEBHOOKS, POD_TEMPLATES, SECRETS, VALIDATING_WEBHOOKS,
};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// What the ClusterRole of the registration must allow; `manifests/` is made from it.
pub fn registration_cluster_rules() -> Vec<PolicyRule> {
    let mut webhooks = rule(MUTATING_WEBHOOKS, &["create", "get", "patch"], Some(NAME));
    webhooks.resources.get_or_insert_default().push(VALIDATING_WEBHOOKS.resource.to_owned());
    vec![
        webhooks,
        rule(CLUSTER_ROLES, &["get"], Some(OWNER_ROLE)),
        rule(CUSTOM_RESOURCES, &["list", "watch"], None),
    ]
}

/// What the Role in volgate's own namespace must allow.
pub fn registration_namespace_rules() -> Vec<PolicyRule> {
    vec![
        rule(SECRETS, &["create", "get", "patch", "update"], Some(SECRET)),
        // Who creates by a POST may do so under any name.
        rule(LEASES, &["create"], None),
        rule(LEASES, &["get", "update"], Some(NAME)),
        rule(POD_TEMPLATES, &["create", "patch"], Some(PROBE)),
    ]
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
