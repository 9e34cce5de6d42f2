//! Policies of Kyverno and Gatekeeper as StoragePolicies, as far as they are about storage and can be said.

mod gatekeeper;
mod in_cel;
mod kyverno;
mod operations;

use super::load::load;
use super::schema::{API_VERSION, KIND};
use crate::verdict::Action;
use operations::Operations;
use serde_json::{Map, Value, json};

/// What came of one policy of another engine.
#[derive(Debug, Default)]
pub struct Converted {
    /// The StoragePolicies, where anything could be said.
    pub policies: Vec<Value>,
    /// What could not, a sentence each.
    pub unsaid: Vec<String>,
}

/// What one policy of another engine says here.
#[derive(Default)]
struct Translation {
    drafts: Vec<Draft>,
    unsaid: Vec<String>,
}

/// What a StoragePolicy is put together from.
#[derive(Debug, Clone, Default, PartialEq)]
struct Draft {
    name: String,
    matches: Map<String, Value>,
    exclude: Vec<Value>,
    rules: Vec<Value>,
    action: Action,
}

/// The longest list that is read: more is no policy that a person wrote.
const MOST: usize = 500;

/// Translates one object.
pub fn converted(object: &Value) -> Converted {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let translation = if has_long_list(object) {
        Err(format!("a list in it has more than {MOST} entries"))
    } else {
        translation(object)
    };
    let Translation { drafts, unsaid } = translation.unwrap_or_else(Translation::nothing);
    let mut converted = Converted { policies: Vec::new(), unsaid };
    for draft in drafts {
        converted.add(draft);
    }
    if !name.is_empty() {
        converted.unsaid.iter_mut().for_each(|line| *line = format!("{name}: {line}"));
    }
    converted
}

fn translation(object: &Value) -> Result<Translation, String> {
    let api_version = text(object, "apiVersion");
    let group = api_version.split('/').next().unwrap_or_default();
    let kind = text(object, "kind");
    match (group, kind) {
        ("constraints.gatekeeper.sh", kind) => gatekeeper::constraint(object, kind),
        ("templates.gatekeeper.sh", _) => Err(
            "a ConstraintTemplate holds code in Rego or CEL: translate the constraints that are made of it"
                .to_owned(),
        ),
        ("kyverno.io", "ClusterPolicy" | "Policy") => kyverno::policy(object),
        ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy")
        | ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => in_cel::validating_policy(object),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => Err(
            "a binding is not read: give the policy's translation the `action` and the `match` that it asks for"
                .to_owned(),
        ),
        ("kyverno.io" | "policies.kyverno.io", "PolicyException") => {
            Err("an exception is not read: write it under `exceptions`, with a reason".to_owned())
        }
        ("mutations.gatekeeper.sh", _)
        | ("policies.kyverno.io", "MutatingPolicy" | "NamespacedMutatingPolicy")
        | ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => {
            Err(format!("a policy of the kind {kind} changes objects: only checks are translated"))
        }
        (_, "") => Err("this is no Kubernetes object: it has no apiVersion and kind".to_owned()),
        (_, kind) => Err(format!(
            "{kind:?} of {api_version:?} is no policy that checks objects, of Kyverno or Gatekeeper"
        )),
    }
}

impl Translation {
    fn nothing(why: String) -> Self {
        Self { drafts: Vec::new(), unsaid: vec![why] }
    }

    fn of(draft: Draft, unsaid: Vec<String>) -> Self {
        Self { drafts: vec![draft], unsaid }
    }
}

impl Converted {
    /// Adds the policy, if volgate takes it: what the other engine's language has more than this one shows here.
    fn add(&mut self, draft: Draft) {
        if draft.rules.is_empty() {
            return;
        }
        let mut spec = json!({"action": draft.action.as_str(), "rules": draft.rules});
        if let Some(spec) = spec.as_object_mut() {
            if !draft.matches.is_empty() {
                spec.insert("match".to_owned(), Value::Object(draft.matches));
            }
            if !draft.exclude.is_empty() {
                spec.insert("exclude".to_owned(), Value::Array(draft.exclude));
            }
        }
        let policy =
            json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": draft.name}, "spec": spec});
        match load(&policy) {
            Ok(compiled) => {
                // What has no effect here had one there.
                let notices = compiled.notices().iter();
                self.unsaid.extend(notices.map(|notice| format!("{}: {}", notice.path, notice.message)));
                self.policies.push(policy);
            }
            Err(faults) => {
                let faults = faults.iter().map(|fault| format!("it cannot be said here: {}", fault.message));
                self.unsaid.extend(faults);
            }
        }
    }
}

impl Draft {
    fn new(object: &Value) -> Self {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("translated");
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn rule(&mut self, rule: Value) {
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    fn kinds<'k>(&mut self, kinds: impl Iterator<Item = &'k str>) {
        let mut all: Vec<Value> = Vec::new();
        for kind in kinds {
            let kind = Value::from(kind);
            if !all.contains(&kind) {
                all.push(kind);
            }
        }
        if !all.is_empty() && !all.iter().any(|kind| kind == "*") {
            self.matches.insert("kinds".to_owned(), Value::Array(all));
        }
    }

    /// Leaves out what merely makes pods.
    fn kinds_only(&mut self) {
        self.matches.insert("kindsOnly".to_owned(), true.into());
    }
}

/// A `cel` rule that asks for a read-only root file system of the containers that an expression lists.
fn read_only_root(containers: &str, but: &str) -> Value {
    json!({"cel": {
        "name": "read-only-root",
        "expression": format!("({containers}).all(c, {but}c.?securityContext.?readOnlyRootFilesystem.orValue(false) == true)"),
        "message": "every container needs securityContext.readOnlyRootFilesystem: true",
        "field": "podSpec.containers",
    }})
}

fn has_long_list(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.len() > MOST || list.iter().any(has_long_list),
        Value::Object(fields) => fields.values().any(has_long_list),
        _ => false,
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

fn texts<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    list(object, key).iter().filter_map(Value::as_str)
}

/// Whether a selector of labels has `*` or `?`, which Kubernetes' selectors have not.
fn has_wildcards(selector: &Value) -> bool {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let expressions = list(selector, "matchExpressions").iter();
    let in_labels = labels.flat_map(|(key, value)| [Some(key.as_str()), value.as_str()]).flatten();
    let in_expressions = expressions.flat_map(|it| texts(it, "values").chain([text(it, "key")]));
    in_labels.chain(in_expressions).any(|label| label.contains(['*', '?']))
}

#[cfg(test)]
mod tests;
