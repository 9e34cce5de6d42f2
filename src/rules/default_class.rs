use super::support::best_fit;
use crate::facts::{ClaimSpec, ClassName};
use crate::model::{FieldPath, Operation};
use crate::patch::PatchBuilder;
use crate::rule::{Context, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fills in the class of a claim that names none.
///
/// A claim without `storageClassName` waits forever in a cluster without a default class, and lands on whatever the
/// default is in the others. This rule fills the field in claims, in a StatefulSet's volumeClaimTemplates and in
/// generic ephemeral volumes. A claim that names a volume gets that volume's class. `""` asks for a volume without
/// a class and stays, as does every name and the legacy annotation `volume.beta.kubernetes.io/storage-class`. On an
/// update that leaves the field out, the old value is carried over, since it cannot be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The class.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Other classes for some namespaces; `*` at the end of a namespace stands for any rest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, String>,
}

impl RuleKind for Params {
    const ID: &'static str = "default-class";
    const FIELD: &'static str = "defaultClass";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (namespace, class) in &self.namespaces {
            if class.is_empty() {
                let path = at.key("namespaces").key(namespace.clone());
                faults.push(PolicyFault::new(
                    path,
                    "must name a class; leave the namespace out to fill in none",
                ));
            }
        }
        Arc::new(DefaultClass(self.clone()))
    }
}

#[derive(Debug)]
struct DefaultClass(Params);

impl Rule for DefaultClass {
    fn mutate(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>) {
        for site in context.facts.claim_sites() {
            self.fill(context, patch, &site);
        }
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let Params { name, namespaces } = &other.downcast_ref::<Self>()?.0;
        if *name != self.0.name {
            return Some(format!("one fills in the class {name:?}, the other {:?}", self.0.name));
        }
        namespaces.iter().find_map(|(namespace, class)| {
            let ours = self.0.namespaces.get(namespace).filter(|ours| *ours != class)?;
            Some(format!("for namespace {namespace:?} one fills in the class {class:?}, the other {ours:?}"))
        })
    }
}

impl DefaultClass {
    fn fill(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>, site: &ClaimSite<'_>) {
        let field = site.field("storageClassName");
        // An earlier policy may have filled it already.
        if site.spec.class != ClassName::Absent || patch.get(&field).is_some() {
            return;
        }
        let class = match context.review.operation {
            Operation::Update => match old_class(context, &site.path, &field) {
                // The object was stored without one: the field cannot be changed now, but for an ephemeral volume's.
                None if !matches!(site.kind, ClaimSiteKind::Ephemeral(_)) => return,
                None => self.class_for(context, site.spec),
                old => old,
            },
            _ => self.class_for(context, site.spec),
        };
        if let Some(class) = class {
            patch.set(&field, Value::String(class));
        }
    }

    /// The class to fill in; none where a named volume's class is not known or is `""`.
    fn class_for(&self, context: &Context<'_>, spec: &ClaimSpec) -> Option<String> {
        if let Some(volume) = &spec.volume_name {
            return Some(match &context.lookup.volume(volume)?.class {
                ClassName::Named(class) => class.clone(),
                // A volume without a class binds to claims that ask for none, which an absent field would not.
                ClassName::Empty | ClassName::Absent => String::new(),
            });
        }
        let namespace = context.facts.namespace();
        Some(best_fit(&self.0.namespaces, namespace).unwrap_or(&self.0.name).clone())
    }
}

fn old_class(context: &Context<'_>, at: &FieldPath, field: &FieldPath) -> Option<String> {
    let old = context.review.old?;
    // Templates are compared by place: neither their order nor their number can change.
    old.at(&at.key("spec"))?;
    Some(old.at(field)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{judge, judge_update};
    use serde_json::{Value, json};

    fn rule() -> Value {
        json!([{"defaultClass": {"name": "local-path", "namespaces": {"db": "fast", "db-*": "slow"}}}])
    }

    fn claim(namespace: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": "c", "namespace": namespace}, "spec": spec})
    }

    fn filled(context: &[Value], object: &Value) -> Value {
        serde_json::to_value(judge(rule(), context, object).patch).unwrap()
    }

    #[test]
    fn fills_the_three_states_as_they_mean() {
        let add = |class: &str| json!([{"op": "add", "path": "/spec/storageClassName", "value": class}]);
        assert_eq!(filled(&[], &claim("default", json!({}))), add("local-path"));
        assert_eq!(filled(&[], &claim("db", json!({}))), add("fast"));
        assert_eq!(filled(&[], &claim("db-1", json!({}))), add("slow"));
        assert_eq!(filled(&[], &claim("default", json!({"storageClassName": ""}))), json!([]));
        assert_eq!(filled(&[], &claim("default", json!({"storageClassName": "x"}))), json!([]));
        let mut legacy = claim("default", json!({}));
        legacy["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "old"});
        assert_eq!(filled(&[], &legacy), json!([]));
    }

    #[test]
    fn takes_the_class_of_a_named_volume() {
        let volume = |class: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                   "spec": {"storageClassName": class}})
        };
        let claim = claim("default", json!({"volumeName": "pv"}));
        assert_eq!(filled(&[volume(json!("slow"))], &claim)[0]["value"], "slow");
        assert_eq!(filled(&[volume(Value::Null)], &claim)[0]["value"], "");
        assert_eq!(filled(&[], &claim), json!([]), "the volume is not known");
    }

    #[test]
    fn fills_templates_and_ephemeral_volumes() {
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": [], "volumes": [
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {}},
                                     {"metadata": {"name": "b"}, "spec": {"storageClassName": ""}}]}});
        let patch = filled(&[], &set);
        assert_eq!(patch[0]["path"], "/spec/volumeClaimTemplates/0/spec/storageClassName");
        assert_eq!(
            patch[1]["path"],
            "/spec/template/spec/volumes/0/ephemeral/volumeClaimTemplate/spec/storageClassName"
        );
        assert_eq!(patch.as_array().unwrap().len(), 2);
    }

    #[test]
    fn carries_the_old_class_over_on_an_update() {
        let patch = |old: Value| {
            let verdict = judge_update(rule(), &[], &claim("default", old), &claim("default", json!({})));
            serde_json::to_value(verdict.patch).unwrap()
        };
        assert_eq!(patch(json!({"storageClassName": "fast"}))[0]["value"], "fast");
        assert_eq!(patch(json!({"storageClassName": ""}))[0]["value"], "");
        assert_eq!(patch(json!({})), json!([]), "what was stored without a class stays so");
    }
}
