//! What was repaired and mutated as a kustomize component, for files that one does not own.

use super::super::{Change, Report};
use super::names::as_name;
use super::repair::Repair;
use crate::facts::Facts;
use crate::model::ObjectRef;
use crate::source::to_yaml;
use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{PatchOperation, TestOperation};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the kustomization of a component begins with, by which it is known as one of ours.
pub const MARK: &str = "# Written by `volgate fix --as-patch`.";

/// What changes in one object.
struct Patched<'r> {
    object: &'r ObjectRef,
    value: &'r Value,
    operations: Vec<PatchOperation>,
}

/// The files of a component that makes the changes in the objects of inputs that are meant, each with its name; none where nothing
/// changes.
pub fn component(
    repairs: &[Repair],
    after: &Report<'_>,
    is_meant: impl Fn(usize) -> bool,
) -> Vec<(String, String)> {
    let mut claims: BTreeMap<ObjectRef, Value> = BTreeMap::new();
    let mut patched: Vec<Patched<'_>> = Vec::new();
    let mut known: HashMap<&ObjectRef, usize> = HashMap::new();
    for repair in repairs {
        known.insert(&repair.object, patched.len());
        let id = |claim: &Value| Facts::identify(claim, repair.object.namespace.as_deref());
        claims.extend(repair.claims.iter().map(|claim| (id(claim), claim.clone())));
        patched.push(Patched {
            object: &repair.object,
            value: &repair.value,
            operations: repair.patch.0.clone(),
        });
    }
    let input = |change: &Change| after.objects.get(change.manifest).map(|object| object.input);
    for change in after.changes.iter().filter(|change| input(change).is_some_and(&is_meant)) {
        if let Some(claim) = claims.get_mut(&change.object) {
            // It is a new object, which is written as it is to be.
            let mut changed = claim.clone();
            if json_patch::patch(&mut changed, &change.patch).is_ok() {
                *claim = changed;
            }
            continue;
        }
        match known.get(&change.object).and_then(|index| patched.get_mut(*index)) {
            Some(patched) => patched.operations.extend(change.patch.0.iter().cloned()),
            None => patched.extend(after.manifests.get(change.manifest).map(|manifest| Patched {
                object: &change.object,
                value: &manifest.value,
                operations: change.patch.0.clone(),
            })),
        }
    }
    if patched.is_empty() {
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut name_of = |object: &ObjectRef| {
        let wanted = as_name(&format!("{}-{}", object.kind, object.name));
        let name = super::names::free(&wanted, 200, |name| !names.contains(name)).unwrap_or(wanted);
        names.insert(name.clone());
        format!("{name}.yaml")
    };
    let mut files = Vec::new();
    let (mut resources, mut patches) = (Vec::new(), Vec::new());
    for (id, claim) in &claims {
        let name = name_of(id);
        resources.push(json!(name));
        files.push((name, to_yaml(claim)));
    }
    for Patched { object, value, operations } in patched {
        let name = name_of(object);
        patches.push(json!({"path": name, "target": target(object, value)}));
        let all: Vec<PatchOperation> = guards(value, &operations).into_iter().chain(operations).collect();
        files.push((name, to_yaml(&json!(all))));
    }
    let mut kustomization = Map::new();
    kustomization.insert("apiVersion".to_owned(), json!("kustomize.config.k8s.io/v1alpha1"));
    kustomization.insert("kind".to_owned(), json!("Component"));
    if !resources.is_empty() {
        kustomization.insert("resources".to_owned(), Value::Array(resources));
    }
    kustomization.insert("patches".to_owned(), Value::Array(patches));
    let use_it =
        "# Name this folder in the `components` of the kustomization that has the objects as resources.";
    let text = format!("{MARK}\n{use_it}\n{}", to_yaml(&Value::Object(kustomization)));
    files.push(("kustomization.yaml".to_owned(), text));
    files
}

/// Which object a patch is about. kustomize takes its texts for patterns.
fn target(object: &ObjectRef, value: &Value) -> Value {
    let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
    let mut target = Map::new();
    if !group.is_empty() {
        target.insert("group".to_owned(), json!(group));
    }
    target.insert("version".to_owned(), json!(version));
    target.insert("kind".to_owned(), json!(object.kind));
    target.insert("name".to_owned(), json!(object.name.replace('.', "\\.")));
    if let Some(namespace) = value.pointer("/metadata/namespace").filter(|namespace| namespace.is_string()) {
        target.insert("namespace".to_owned(), namespace.clone());
    }
    Value::Object(target)
}

/// Operations that make a patch fail where a list does not hold any more what it held: places in lists count.
fn guards(value: &Value, operations: &[PatchOperation]) -> Vec<PatchOperation> {
    let mut seen = BTreeSet::new();
    let mut guards = Vec::new();
    for operation in operations {
        let mut at = PointerBuf::new();
        let mut here = value;
        for token in operation.path().tokens() {
            let decoded = token.decoded();
            let next = match here {
                Value::Array(items) => decoded.parse().ok().and_then(|index: usize| items.get(index)),
                other => other.get(&*decoded),
            };
            let Some(next) = next else { break };
            at.push_back(token.clone());
            let key =
                ["mountPath", "name"].into_iter().find(|key| next.get(*key).is_some_and(Value::is_string));
            if let (Value::Array(_), Some(key)) = (here, key) {
                let mut path = at.clone();
                path.push_back(Token::new(key));
                if let Some(known) = next.get(key).filter(|_| seen.insert(path.to_string())) {
                    guards.push(PatchOperation::Test(TestOperation { path, value: known.clone() }));
                }
            }
            here = next;
        }
        // What is taken away is still what it was.
        if let PatchOperation::Remove(remove) = operation
            && let Some(known) = value.pointer(remove.path.as_str())
            && seen.insert(remove.path.to_string())
        {
            guards.push(PatchOperation::Test(TestOperation {
                path: remove.path.clone(),
                value: known.clone(),
            }));
        }
    }
    guards
}
