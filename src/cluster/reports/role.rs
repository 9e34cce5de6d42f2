use super::super::Watched;
use super::super::judging::{LOOKED_UP, OUTSIDE, WITHIN};
use super::super::watched::{OWNERS, POLICIES};
use super::write::APIS;
use crate::catalog::Catalog;
use k8s_openapi::api::rbac::v1::PolicyRule;
use std::collections::{BTreeMap, BTreeSet};

/// What the ClusterRole of `volgate reports` must allow; `manifests/` is made from it. Nothing in it can be read that `volgate audit`
/// does not read, and nothing can be written but reports.
pub fn reports_cluster_rules() -> Vec<PolicyRule> {
    let looked_up = LOOKED_UP.into_iter().map(|(of, _)| of);
    let own: Vec<Watched> = OWNERS.into_iter().chain(looked_up).chain(WITHIN).chain(OUTSIDE).collect();
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for of in &own {
        groups.entry(of.group).or_default().insert(of.resource);
    }
    let catalog = Catalog::embedded();
    for (group, resource, _) in catalog.kinds().resources() {
        groups.entry(group).or_default().insert(resource);
    }
    let mut rules: Vec<PolicyRule> =
        groups.into_iter().map(|(group, resources)| rule(group, resources, &["list"])).collect();
    rules.push(rule(POLICIES.group, [POLICIES.resource].into(), &["list", "watch"]));
    for api in APIS {
        rules.push(rule(api.group(), api.resources().into(), &["create", "delete", "list", "patch"]));
    }
    rules
}

fn rule(group: &str, resources: BTreeSet<&str>, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.into_iter().map(str::to_owned).collect()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
