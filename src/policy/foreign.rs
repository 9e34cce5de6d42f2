//! Policies of Kyverno and Gatekeeper as StoragePolicies, as far as they are about storage and can be said.

mod gatekeeper;
mod in_cel;
mod kyverno;

use super::load::load;
use super::schema::{API_VERSION, KIND};
use crate::verdict::Action;
use serde_json::{Map, Value, json};

/// What came of one policy of another engine.
#[derive(Debug, Default)]
pub struct Converted {
    /// The StoragePolicy, where anything could be said.
    pub policy: Option<Value>,
    /// What could not, a sentence each.
    pub unsaid: Vec<String>,
}

impl Converted {
    fn nothing(why: impl Into<String>) -> Self {
        Self { policy: None, unsaid: vec![why.into()] }
    }
}

/// What a StoragePolicy is put together from.
#[derive(Default)]
struct Draft {
    name: String,
    matches: Map<String, Value>,
    exclude: Vec<Value>,
    rules: Vec<Value>,
    action: Action,
    unsaid: Vec<String>,
}

/// The longest list that is read: more is no policy that a person wrote.
const MOST: usize = 500;

/// Translates one object.
pub fn converted(object: &Value) -> Converted {
    let api_version = text(object, "apiVersion");
    let group = api_version.split('/').next().unwrap_or_default();
    let kind = text(object, "kind");
    let draft = match (group, kind) {
        ("constraints.gatekeeper.sh", kind) => gatekeeper::constraint(object, kind),
        ("templates.gatekeeper.sh", _) => Err(
            "a ConstraintTemplate holds code in Rego or CEL: translate the constraints that are made of it"
                .to_owned(),
        ),
        ("kyverno.io", "ClusterPolicy" | "Policy") => kyverno::cluster_policy(object),
        ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy")
        | ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => in_cel::validating_policy(object),
        (_, kind) => Err(format!(
            "{kind:?} of {api_version:?} is no policy that checks objects, of Kyverno or Gatekeeper"
        )),
    };
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match draft {
        Ok(draft) => draft.finish(name),
        Err(why) => Converted::nothing(format!("{name}: {why}")),
    }
}

impl Draft {
    fn new(object: &Value) -> Self {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("translated");
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The policy, if volgate takes it: what the other engine's language has more than this one shows here.
    fn finish(self, name: &str) -> Converted {
        let said = |lines: Vec<String>| lines.into_iter().map(|line| format!("{name}: {line}")).collect();
        if self.rules.is_empty() {
            return Converted { policy: None, unsaid: said(self.unsaid) };
        }
        let mut spec = json!({"action": self.action.as_str(), "rules": self.rules});
        if let Some(spec) = spec.as_object_mut() {
            if !self.matches.is_empty() {
                spec.insert("match".to_owned(), Value::Object(self.matches));
            }
            if !self.exclude.is_empty() {
                spec.insert("exclude".to_owned(), Value::Array(self.exclude));
            }
        }
        let policy =
            json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": self.name}, "spec": spec});
        match load(&policy) {
            Ok(_) => Converted { policy: Some(policy), unsaid: said(self.unsaid) },
            Err(faults) => {
                let faults = faults.iter().map(|fault| format!("it cannot be said here: {}", fault.message));
                Converted { policy: None, unsaid: said(self.unsaid.into_iter().chain(faults).collect()) }
            }
        }
    }

    fn rule(&mut self, field: &str, params: Value) {
        let rule = json!({field: params});
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    fn kinds<'k>(&mut self, kinds: impl Iterator<Item = &'k str>) {
        let all: Vec<Value> = kinds.map(|kind| kind.rsplit('/').next().unwrap_or(kind).into()).collect();
        if !all.is_empty() && !all.iter().any(|kind| kind == "*") {
            self.matches.insert("kinds".to_owned(), Value::Array(all));
        }
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    let list = object.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.get(..MOST).unwrap_or(list)
}

fn texts<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    list(object, key).iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests;
