//! Minimal JSON Patch against the raw JSON.

use crate::model::{FieldPath, Segment};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::{Map, Value};
use std::cell::OnceCell;

/// Collects changes to one object. Each rule sees what the rules before it changed, and what is already as
/// wanted makes no operation, so that a second application is empty.
#[derive(Debug)]
pub struct PatchBuilder<'a> {
    original: &'a Value,
    /// Made when it is looked at: in the webhook mostly nobody does, and copying a pod takes microseconds.
    changed: OnceCell<Value>,
    operations: Vec<PatchOperation>,
}

impl<'a> PatchBuilder<'a> {
    /// No changes yet.
    pub fn new(original: &'a Value) -> Self {
        Self { original, changed: OnceCell::new(), operations: Vec::new() }
    }

    /// The object as changed so far.
    pub fn current(&self) -> &Value {
        if self.operations.is_empty() {
            return self.original;
        }
        self.changed.get_or_init(|| {
            let mut changed = self.original.clone();
            apply(&mut changed, &self.operations);
            changed
        })
    }

    /// The value at a path of the object as changed so far; null counts as nothing.
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        let mut at = self.current();
        for segment in path.segments() {
            at = step(at, segment)?;
        }
        Some(at).filter(|value| !value.is_null())
    }

    /// Makes the field at `path` hold `value`; missing maps above it are made. Nothing happens when it holds it
    /// already, or when something above it is no map (which the API server refuses anyway).
    pub fn set(&mut self, path: &FieldPath, value: Value) {
        if self.get(path) == Some(&value) {
            return;
        }
        let segments = path.segments();
        let mut depth = 0;
        let mut at = self.current();
        while let Some(segment) = segments.get(depth) {
            match step(at, segment) {
                Some(next) if !next.is_null() || depth + 1 == segments.len() => {
                    at = next;
                    depth += 1;
                }
                _ => break,
            }
        }
        let exists = depth == segments.len();
        let above_null = !exists && segments.get(depth).is_some_and(|segment| step(at, segment).is_some());
        if !exists && !at.is_object() {
            return;
        }
        // What is missing between the last thing that exists and the field is added as one value.
        let cut = if exists { segments.len() } else { depth + 1 };
        let mut value = value;
        for segment in segments.get(cut..).unwrap_or_default().iter().rev() {
            let Segment::Key(key) = segment else { return };
            value = Value::Object(Map::from_iter([(key.to_string(), value)]));
        }
        let pointer = PointerBuf::from_tokens(segments.iter().take(cut).map(|segment| match segment {
            Segment::Key(key) => key.to_string(),
            Segment::Index(index) => index.to_string(),
        }));
        let operation = if exists || above_null {
            PatchOperation::Replace(ReplaceOperation { path: pointer, value })
        } else {
            PatchOperation::Add(AddOperation { path: pointer, value })
        };
        if let Some(changed) = self.changed.get_mut() {
            apply(changed, std::slice::from_ref(&operation));
        }
        self.operations.push(operation);
    }

    /// The operations.
    pub fn finish(self) -> Patch {
        Patch(self.operations)
    }

    /// The operations, and the changed object when there are any.
    pub fn finish_changed(self) -> (Patch, Option<Value>) {
        self.current();
        (Patch(self.operations), self.changed.into_inner())
    }
}

/// Applies operations that [`PatchBuilder::set`] made: for this object, so that they fit.
fn apply(object: &mut Value, operations: &[PatchOperation]) {
    let _ = json_patch::patch(object, operations);
}

fn step<'v>(value: &'v Value, segment: &Segment) -> Option<&'v Value> {
    match segment {
        Segment::Key(key) => value.get(key.as_ref()),
        Segment::Index(index) => value.get(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(keys: &[&'static str]) -> FieldPath {
        keys.iter().fold(FieldPath::root(), |path, key| path.key(*key))
    }

    #[test]
    fn adds_missing_parents_as_one_operation() {
        let object = json!({"spec": {}});
        let mut patch = PatchBuilder::new(&object);
        patch.set(&path(&["spec", "affinity", "nodeAffinity", "x"]), json!(1));
        let (patch, changed) = patch.finish_changed();
        assert_eq!(
            serde_json::to_value(&patch).unwrap(),
            json!([{"op": "add", "path": "/spec/affinity", "value": {"nodeAffinity": {"x": 1}}}])
        );
        assert_eq!(changed.unwrap(), json!({"spec": {"affinity": {"nodeAffinity": {"x": 1}}}}));
    }

    #[test]
    fn replaces_what_differs_and_leaves_what_is_right() {
        let object = json!({"spec": {"a": 1, "b": null, "c": "x/y~z"}});
        let mut patch = PatchBuilder::new(&object);
        patch.set(&path(&["spec", "a"]), json!(1));
        patch.set(&path(&["spec", "b"]), json!(2));
        patch.set(&path(&["spec", "a/b"]), json!(3));
        patch.set(&path(&["spec", "c", "d"]), json!(4));
        let patch = patch.finish();
        assert_eq!(
            serde_json::to_value(&patch).unwrap(),
            json!([
                {"op": "replace", "path": "/spec/b", "value": 2},
                {"op": "add", "path": "/spec/a~1b", "value": 3}
            ])
        );
    }

    #[test]
    fn fills_a_null_parent() {
        let object = json!({"spec": {"affinity": null}});
        let mut patch = PatchBuilder::new(&object);
        patch.set(&path(&["spec", "affinity", "nodeAffinity"]), json!({}));
        let (patch, changed) = patch.finish_changed();
        assert_eq!(patch.0.len(), 1);
        assert_eq!(changed.unwrap(), json!({"spec": {"affinity": {"nodeAffinity": {}}}}));
    }
}
