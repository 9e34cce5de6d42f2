//! Which objects a policy is about, as Kubernetes' own policies say it.

use super::parts::{Written, fits_any};
use crate::model::LabelSelector;
use crate::policy::{EXCLUDED_NAMESPACES, StoragePolicySpec};
use serde_json::{Value, json};

/// A resource: its group, its name, its kind.
type Resource = (&'static str, &'static str, &'static str);

const POD: Resource = ("", "pods", "Pod");
const MAKERS: [Resource; 7] = [
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("", "replicationcontrollers", "ReplicationController"),
    ("batch", "jobs", "Job"),
    ("batch", "cronjobs", "CronJob"),
];
const CLAIM: Resource = ("", "persistentvolumeclaims", "PersistentVolumeClaim");
const VOLUME: Resource = ("", "persistentvolumes", "PersistentVolume");
const CLASS: Resource = ("storage.k8s.io", "storageclasses", "StorageClass");

/// What a policy is about.
#[derive(Debug, Default)]
pub(super) struct Scope {
    kinds: Vec<String>,
    kinds_only: bool,
    namespaces: Vec<String>,
    left_out: Vec<String>,
    selector: Option<LabelSelector>,
}

impl Scope {
    /// The scope of a policy, or why Kubernetes' own policies cannot say it: what they refuse must be what volgate refuses.
    pub(super) fn of(spec: &StoragePolicySpec) -> Result<Self, String> {
        let no = |what: &str| format!("{what}, which reads other objects or the time");
        if spec.self_service.is_some() {
            return Err(no("objects may excuse themselves by an annotation of their owner (`selfService`)"));
        }
        let mut scope = Self::default();
        if let Some(matches) = &spec.matches {
            if matches.object_selector.is_some() {
                return Err(no("`match.objectSelector` looks at the labels of an object's owner as well"));
            }
            if matches.users.is_some() {
                return Err(no("`match.users` looks at who made an object's owner"));
            }
            scope.kinds.clone_from(&matches.kinds);
            scope.kinds_only = matches.kinds_only;
            scope.namespaces.clone_from(&matches.namespaces);
            scope.selector.clone_from(&matches.namespace_selector);
        }
        let mut leave_out =
            |namespaces: &[String], only: bool, what: &str| match only && !namespaces.is_empty() {
                true => {
                    scope.left_out.extend(namespaces.iter().cloned());
                    Ok(())
                }
                false => Err(no(&format!("an entry of `{what}` says more than names of namespaces"))),
            };
        for exclude in &spec.exclude {
            let only = exclude.namespace_selector.is_none()
                && exclude.object_selector.is_none()
                && exclude.users.is_none()
                && exclude.kinds.is_empty();
            leave_out(&exclude.namespaces, only, "exclude")?;
        }
        for exception in &spec.exceptions {
            let only = exception.namespace_selector.is_none()
                && exception.object_selector.is_none()
                && exception.users.is_none()
                && exception.kinds.is_empty()
                && exception.rules.is_empty()
                && exception.until.is_none();
            leave_out(&exception.namespaces, only, "exceptions")?;
        }
        Ok(scope)
    }

    /// The resources of a rule that the policy is about; none where there are none.
    pub(super) fn resource_rules(&self, written: &Written) -> Option<Vec<Value>> {
        let kinds = written.kinds;
        let has = |kinds: &[String], kind: &str| kinds.is_empty() || kinds.iter().any(|named| named == kind);
        let is_named = |kind: &str| has(&self.kinds, kind) && has(&written.only, kind);
        let widened = |kind: &str| {
            has(&written.only, kind) && !written.as_it_stands && !self.kinds_only && has(&self.kinds, "Pod")
        };
        let mut rules = Vec::new();
        let mut put = |(group, resource, _): Resource, operations: &[&str]| {
            rules.push(json!({
                "apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": [resource],
            }));
        };
        if kinds.pods {
            if is_named("Pod") {
                put(POD, &["CREATE"]);
            }
            for maker in MAKERS.into_iter().filter(|(_, _, kind)| is_named(kind) || widened(kind)) {
                put(maker, if kinds.made { &["CREATE"] } else { &["CREATE", "UPDATE"] });
            }
        }
        if kinds.claims && is_named(CLAIM.2) {
            put(CLAIM, if kinds.resized { &["CREATE", "UPDATE"] } else { &["CREATE"] });
        }
        // A selector of namespaces does not hold of what has none.
        let has_namespaces = self.namespaces.is_empty()
            && self.selector.as_ref().is_none_or(|selector| *selector == LabelSelector::default());
        if kinds.volumes && has_namespaces && is_named(VOLUME.2) {
            put(VOLUME, &["CREATE"]);
        }
        if kinds.classes && has_namespaces && is_named(CLASS.2) {
            put(CLASS, &["CREATE"]);
        }
        (!rules.is_empty()).then_some(rules)
    }

    /// The resource of claims alone, where the policy is about them.
    pub(super) fn claim_rule(&self) -> Option<Value> {
        let is_named = self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == CLAIM.2);
        is_named.then(|| {
            json!({"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [CLAIM.1]})
        })
    }

    /// The labels of the namespaces that it is about.
    pub(super) fn namespace_selector(&self) -> Value {
        let selector = self.selector.clone().unwrap_or_default();
        let mut selector = serde_json::to_value(selector).unwrap_or_default();
        let own =
            json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": EXCLUDED_NAMESPACES});
        match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
            Some(expressions) => expressions.push(own),
            None => {
                if let Some(selector) = selector.as_object_mut() {
                    selector.insert("matchExpressions".to_owned(), json!([own]));
                }
            }
        }
        selector
    }

    /// What else must hold of a request.
    pub(super) fn conditions(&self) -> Vec<Value> {
        let condition = |name: &str, expression: String| json!({"name": name, "expression": expression});
        let mut conditions = vec![
            condition(
                "something-changes",
                "request.operation == 'CREATE' || (object.spec != oldObject.spec && !has(object.metadata.deletionTimestamp))"
                    .to_owned(),
            ),
            condition(
                "no-mirror-pod",
                "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
                    .to_owned(),
            ),
        ];
        let namespace = "(has(request.namespace) ? request.namespace : '')";
        if !self.namespaces.is_empty() {
            conditions.push(condition("in-its-namespaces", fits_any(namespace, &self.namespaces)));
        }
        if !self.left_out.is_empty() {
            conditions.push(condition("not-left-out", format!("!{}", fits_any(namespace, &self.left_out))));
        }
        conditions
    }
}
