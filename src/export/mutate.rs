//! A default class as a MutatingAdmissionPolicy.

use super::parts::{fits_any, literal};
use super::scope::Scope;
use crate::model::closeness;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What of the rule stays with the webhook.
pub(super) const LEFT: &str = "claim templates and ephemeral volumes (the claims that are made of them are given the class), claims \
     that name a volume, and whether the class can serve a claim";

/// The policy that fills in a class, and its binding.
pub(super) fn default_class(
    name: &str,
    api_version: &str,
    scope: &Scope,
    class: &str,
    namespaces: &BTreeMap<String, String>,
) -> Vec<Value> {
    let Some(rule) = scope.claim_rule() else { return Vec::new() };
    // The closest pattern comes first.
    let mut own: Vec<(&String, &String)> = namespaces.iter().collect();
    own.sort_by_key(|(pattern, _)| std::cmp::Reverse(closeness(pattern)));
    let chosen = own.iter().rev().fold(literal(class), |rest, (pattern, class)| {
        let fits = fits_any("request.namespace", std::slice::from_ref(*pattern));
        format!("({fits} ? {} : {rest})", literal(class))
    });
    let mut conditions = scope.conditions();
    conditions.push(json!({
        "name": "names-no-class",
        "expression": "!has(object.spec.storageClassName) && !has(object.spec.volumeName) && !has(object.spec.selector) && \
                       !(has(object.metadata.annotations) && 'volume.beta.kubernetes.io/storage-class' in \
                       object.metadata.annotations)",
    }));
    let metadata = json!({"name": name, "labels": {"app.kubernetes.io/managed-by": "volgate-export"}});
    let spec = json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": scope.namespace_selector(),
            "resourceRules": [rule],
        },
        "matchConditions": conditions,
        "mutations": [{
            "patchType": "ApplyConfiguration",
            "applyConfiguration": {
                "expression": format!("Object{{spec: Object.spec{{storageClassName: {chosen}}}}}"),
            },
        }],
    });
    vec![
        json!({"apiVersion": api_version, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec}),
        json!({"apiVersion": api_version, "kind": "MutatingAdmissionPolicyBinding", "metadata": metadata,
               "spec": {"policyName": name}}),
    ]
}
