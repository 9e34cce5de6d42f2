//! Policies as Kubernetes' own admission policies: what CEL can say of an object alone. Pure.
//!
//! What is exported never refuses what volgate admits; what it leaves out is named, with the reason.

mod claims;
mod mutate;
mod own;
mod parts;
mod pods;
mod scope;

use crate::policy::StoragePolicySpec;
use crate::rules::RuleEntry;
use crate::verdict::Action;
use parts::Written;
use scope::Scope;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// A version of Kubernetes: the minor one of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion(pub u32);

/// The version for which policies are written unless another is named.
pub const NEWEST: KubernetesVersion = KubernetesVersion(37);
/// The first that has ValidatingAdmissionPolicies without a feature gate.
const VALIDATING: KubernetesVersion = KubernetesVersion(30);

impl KubernetesVersion {
    /// The version of MutatingAdmissionPolicy that it serves by default, if it serves one.
    fn mutating(self) -> Option<&'static str> {
        match self.0 {
            36.. => Some("admissionregistration.k8s.io/v1"),
            34.. => Some("admissionregistration.k8s.io/v1beta1"),
            _ => None,
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for KubernetesVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let mut parts = bare.split('.');
        let minor = match (parts.next(), parts.next().map(str::parse)) {
            (Some("1"), Some(Ok(minor))) => Self(minor),
            _ => return Err(format!("{text:?} is no version of Kubernetes: write it like 1.37")),
        };
        match minor >= VALIDATING {
            true => Ok(minor),
            false => Err(format!("ValidatingAdmissionPolicies are there from {VALIDATING} on")),
        }
    }
}

/// What stays with the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The policy.
    pub policy: String,
    /// The rule's id.
    pub rule: &'static str,
    /// The whole rule, or a part of it.
    pub whole: bool,
    /// What, and why.
    pub why: String,
}

/// What came of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// The policies and their bindings.
    pub documents: Vec<Value>,
    /// What stays with the webhook.
    pub left: Vec<Left>,
}

/// The policies as Kubernetes' own, as far as they can be.
pub fn admission_policies(policies: &[(String, StoragePolicySpec)], version: KubernetesVersion) -> Exported {
    let mut exported = Exported::default();
    for (policy, spec) in policies {
        let scope = Scope::of(spec);
        for (index, entry) in spec.rules.iter().enumerate() {
            let Some(rule) = id(entry) else { continue };
            let mut leave = |whole, why: String| {
                exported.left.push(Left { policy: policy.clone(), rule, whole, why });
            };
            let scope = match &scope {
                Ok(scope) => scope,
                Err(why) => {
                    leave(true, why.clone());
                    continue;
                }
            };
            let name = format!("volgate-{policy}-{rule}-{index}");
            let action = entry.action.unwrap_or(spec.action);
            if let Some(params) = &entry.default_class {
                match version.mutating() {
                    Some(api_version) => {
                        leave(false, mutate::LEFT.to_owned());
                        let (class, namespaces) = (&params.name, &params.namespaces);
                        exported.documents.extend(mutate::default_class(
                            &name,
                            api_version,
                            scope,
                            class,
                            namespaces,
                        ));
                    }
                    None => leave(
                        true,
                        format!("MutatingAdmissionPolicies are not served by Kubernetes {version}"),
                    ),
                }
                continue;
            }
            match written(rule, entry) {
                Ok(written) => {
                    written.left.iter().for_each(|why| leave(false, why.clone()));
                    match documents(&name, &written, scope, action, entry.message.as_deref()) {
                        Some(documents) => exported.documents.extend(documents),
                        None => leave(true, "the kinds of the policy are none that it is about".to_owned()),
                    }
                }
                Err(why) => leave(true, why),
            }
        }
    }
    exported
}

/// The id of the rule of an entry.
fn id(entry: &RuleEntry) -> Option<&'static str> {
    let value = serde_json::to_value(entry).unwrap_or_default();
    crate::rules::all().iter().find(|rule| value.get(rule.field).is_some()).map(|rule| rule.id)
}

/// A rule in CEL, or why it is not.
fn written(rule: &str, entry: &RuleEntry) -> Result<Written, String> {
    if let Some(params) = &entry.volume_types {
        let csi = params.csi_drivers.as_ref().map(|drivers| &*drivers.allow);
        let flex = params.flex_drivers.as_ref().map(|drivers| &*drivers.allow);
        return Ok(pods::volume_types(params.allow.as_deref(), params.deny.as_deref(), csi, flex));
    }
    if let Some(params) = &entry.host_path {
        let entries = params.allow.iter().map(|entry| pods::AllowedHostPath {
            path: &entry.path,
            read_only: entry.read_only,
            types: entry.types.iter().map(ToString::to_string).collect(),
        });
        let provisioners: Vec<_> =
            params.provisioners.iter().map(|one| (&*one.accounts, &*one.paths)).collect();
        return Ok(pods::host_path(
            &entries.collect::<Vec<_>>(),
            &params.deny,
            params.local_volumes,
            &provisioners,
        ));
    }
    if let Some(params) = &entry.empty_dir {
        return Ok(pods::empty_dir(&pods::EmptyDirs {
            require_size_limit: params.require_size_limit,
            or_storage_limit: params.or_storage_limit,
            max_size: params.max_size.as_deref(),
            allow_memory: params.allow_memory,
            needs_memory_limit: params.unbounded_memory.is_deny() && !params.or_memory_limit,
            max_memory: params.max_memory.as_deref().or(params.max_size.as_deref()),
        }));
    }
    if let Some(params) = &entry.ephemeral_storage {
        return Ok(pods::ephemeral_storage(
            params.require_limit,
            params.require_request,
            params.max.as_deref(),
        ));
    }
    if let Some(params) = &entry.access_modes {
        let modes: Vec<&str> = params.allow.iter().map(|mode| mode.as_str()).collect();
        return claims::access_modes(&modes, params.per_class.is_empty());
    }
    if let Some(params) = &entry.claim_class {
        let allows_none = params.allow_none.unwrap_or(params.allow.is_empty());
        return claims::claim_class(
            &params.allow,
            &params.deny,
            params.must_exist,
            params.require_name,
            allows_none,
        );
    }
    if let Some(params) = &entry.claim_size {
        return claims::claim_size(params.min.as_deref(), params.max.as_deref(), params.per_class.is_empty());
    }
    if let Some(params) = &entry.cel {
        let variables: Vec<_> = params.variables.iter().map(|one| (&*one.name, &*one.expression)).collect();
        return own::cel(&own::Question {
            name: &params.name,
            expression: &params.expression,
            message: params.message.as_deref(),
            message_expression: params.message_expression.as_deref(),
            kinds: &params.kinds,
            when: params.when.as_deref(),
            variables: &variables,
        });
    }
    Err(stays(rule).to_owned())
}

/// Why a rule stays with the webhook, as it says itself.
fn stays(rule: &str) -> &'static str {
    let known = crate::rules::all().iter().find(|known| known.id == rule);
    known.and_then(|known| known.reads_beyond).unwrap_or("`volgate export` does not translate it")
}

/// A policy and its binding; nothing where the scope leaves no kind.
fn documents(
    name: &str,
    written: &Written,
    scope: &Scope,
    action: Action,
    message: Option<&str>,
) -> Option<[Value; 2]> {
    let rules = scope.resource_rules(written)?;
    let action = match action {
        Action::Deny => "Deny",
        Action::Warn => "Warn",
        Action::Audit => "Audit",
    };
    let validations = written.validations.iter().map(|validation| {
        let said = match message {
            Some(message) => format!("{message} ({})", validation.message),
            None => validation.message.clone(),
        };
        let mut entry = json!({"expression": validation.expression, "message": said});
        if let (Some(own), Some(entry)) = (&validation.message_expression, entry.as_object_mut()) {
            entry.insert("messageExpression".to_owned(), json!(own));
        }
        entry
    });
    let variables =
        written.variables.iter().map(|(name, expression)| json!({"name": name, "expression": expression}));
    let metadata = json!({"name": name, "labels": {"app.kubernetes.io/managed-by": "volgate-export"}});
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": scope.namespace_selector(),
            "resourceRules": rules,
        },
        "matchConditions": scope.conditions(),
        "validations": validations.collect::<Vec<_>>(),
    });
    if let (false, Some(spec)) = (written.variables.is_empty(), spec.as_object_mut()) {
        spec.insert("variables".to_owned(), Value::Array(variables.collect()));
    }
    let api_version = "admissionregistration.k8s.io/v1";
    Some([
        json!({"apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec}),
        json!({"apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata,
               "spec": {"policyName": name, "validationActions": [action]}}),
    ])
}

#[cfg(test)]
mod tests;
