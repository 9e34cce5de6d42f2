//! Policies whose checks are CEL already: Kyverno's and Kubernetes' own.

use super::{Draft, list, text, texts};
use crate::model::beginning;
use crate::verdict::Action;
use serde_json::{Value, json};

/// A policy whose checks are CEL already.
pub(super) fn validating_policy(object: &Value) -> Result<Draft, String> {
    let mut draft = Draft::new(object);
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let constraints = spec.get("matchConstraints").unwrap_or(&empty);
    let mut kinds = Vec::new();
    for resource in list(constraints, "resourceRules").iter().flat_map(|rule| texts(rule, "resources")) {
        match RESOURCES.iter().find(|(known, _)| *known == resource) {
            Some((_, kind)) => kinds.push(*kind),
            None => draft.unsaid.push(format!("the resource {resource}: the webhook is not asked about it")),
        }
    }
    if kinds.is_empty() {
        return Err("it is about no resource that volgate judges".to_owned());
    }
    draft.kinds(kinds.into_iter());
    // A `cel` rule that reads `object` is asked about the named kinds alone, as these policies are.
    draft.matches.insert("kindsOnly".to_owned(), true.into());
    if !draft
        .matches
        .get("kinds")
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "Pod"))
    {
        draft.matches.remove("kindsOnly");
    }
    for (theirs, ours) in [("namespaceSelector", "namespaceSelector"), ("objectSelector", "objectSelector")] {
        if let Some(part) = constraints.get(theirs).filter(|part| !part.is_null()) {
            draft.matches.insert(ours.to_owned(), part.clone());
        }
    }
    let name = draft.name.clone();
    cel_rules(spec, "validations", &name, &mut draft)?;
    let actions: Vec<&str> = texts(spec, "validationActions").collect();
    draft.action = match () {
        // What a binding says of a ValidatingAdmissionPolicy is not in the policy.
        () if actions.is_empty() || actions.contains(&"Deny") => Action::Deny,
        () if actions.contains(&"Warn") => Action::Warn,
        () => Action::Audit,
    };
    if spec.pointer("/autogen/podControllers").is_some() {
        draft.unsaid.push(
            "`autogen`: read `podSpec` in place of `object.spec`, and the rule follows what makes pods"
                .to_owned(),
        );
    }
    Ok(draft)
}

/// The resources of the kinds that are judged.
const RESOURCES: [(&str, &str); 12] = [
    ("cronjobs", "CronJob"),
    ("daemonsets", "DaemonSet"),
    ("deployments", "Deployment"),
    ("jobs", "Job"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("persistentvolumes", "PersistentVolume"),
    ("pods", "Pod"),
    ("podtemplates", "PodTemplate"),
    ("replicasets", "ReplicaSet"),
    ("replicationcontrollers", "ReplicationController"),
    ("statefulsets", "StatefulSet"),
    ("storageclasses", "StorageClass"),
];

pub(super) fn cel_rules(spec: &Value, field: &str, name: &str, draft: &mut Draft) -> Result<(), String> {
    let conditions: Vec<&str> = ["matchConditions", "celPreconditions"]
        .into_iter()
        .flat_map(|key| list(spec, key))
        .map(|condition| text(condition, "expression"))
        .collect();
    let variables: Vec<Value> = list(spec, "variables")
        .iter()
        .map(|variable| json!({"name": text(variable, "name"), "expression": text(variable, "expression")}))
        .collect();
    let all = list(spec, field);
    for (index, validation) in all.iter().enumerate() {
        let name = if all.len() == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) };
        let name = beginning(&name, 63);
        let mut rule = json!({"name": name, "expression": text(validation, "expression").trim()});
        if let Some(fields) = rule.as_object_mut() {
            for key in ["message", "messageExpression"] {
                if let Some(said) = validation.get(key).and_then(Value::as_str) {
                    fields.insert(key.to_owned(), said.trim().into());
                }
            }
            if !variables.is_empty() {
                fields.insert("variables".to_owned(), json!(variables));
            }
            if !conditions.is_empty() {
                let when: Vec<String> =
                    conditions.iter().map(|condition| format!("({})", condition.trim())).collect();
                fields.insert("when".to_owned(), when.join(" && ").into());
            }
        }
        draft.rule("cel", rule);
    }
    if all.is_empty() { Err("it has no expression".to_owned()) } else { Ok(()) }
}
