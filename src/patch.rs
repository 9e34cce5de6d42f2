//! Minimal JSON Patch against the raw JSON.

use crate::json::{Layer, Node};
use crate::model::{FieldPath, Segment};
use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::{Map, Value};
use std::cell::OnceCell;

/// Collects changes to one object. Each rule sees what the rules before it changed, and what is already as
/// wanted makes no operation, so that a second application is empty.
#[derive(Debug)]
pub struct PatchBuilder<'a> {
    original: Node<'a>,
    /// The changes laid over it, since copying a pod takes microseconds; made when they are looked at.
    changed: OnceCell<Layer<'a>>,
    operations: Vec<PatchOperation>,
    /// Where the operations change something, in their order.
    places: Vec<FieldPath>,
}

impl<'a> PatchBuilder<'a> {
    /// No changes yet.
    pub fn new(original: impl Into<Node<'a>>) -> Self {
        Self {
            original: original.into(),
            changed: OnceCell::new(),
            operations: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Whether nothing is changed so far.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The object as changed so far.
    pub fn current(&self) -> Node<'_> {
        if self.operations.is_empty() {
            return self.original;
        }
        Node::Layered(self.changed.get_or_init(|| {
            let mut layer = Layer::new(self.original);
            for (place, operation) in self.places.iter().zip(&self.operations) {
                if let Some(value) = value_of(operation) {
                    layer.put(place.segments(), value.clone());
                }
            }
            layer
        }))
    }

    /// The value at a path of the object as changed so far; null counts as nothing.
    pub fn get(&self, path: &FieldPath) -> Option<Node<'_>> {
        self.current().at(path)
    }

    /// Makes the field at `path` hold `value`; missing maps above it are made. Nothing happens when it holds it
    /// already, or when something above it is no map (which the API server refuses anyway).
    pub fn set(&mut self, path: &FieldPath, value: Value) {
        if self.get(path) == Some(Node::from(&value)) {
            return;
        }
        let segments = path.segments();
        let mut depth = 0;
        let mut at = self.current();
        while let Some(segment) = segments.get(depth) {
            match at.step(segment) {
                Some(next) if !next.is_null() || depth + 1 == segments.len() => {
                    at = next;
                    depth += 1;
                }
                _ => break,
            }
        }
        let exists = depth == segments.len();
        let above_null = !exists && segments.get(depth).is_some_and(|segment| at.step(segment).is_some());
        if !exists && !at.is_map() {
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
            Segment::Key(key) => Token::new(key.as_ref()),
            Segment::Index(index) => Token::from(*index),
        }));
        let place = FieldPath::from(segments.get(..cut).unwrap_or_default().to_vec());
        let operation = if exists || above_null {
            PatchOperation::Replace(ReplaceOperation { path: pointer, value })
        } else {
            PatchOperation::Add(AddOperation { path: pointer, value })
        };
        if let (Some(layer), Some(value)) = (self.changed.get_mut(), value_of(&operation)) {
            layer.put(place.segments(), value.clone());
        }
        self.operations.push(operation);
        self.places.push(place);
    }

    /// The operations.
    pub fn finish(self) -> Patch {
        Patch(self.operations)
    }
}

fn value_of(operation: &PatchOperation) -> Option<&Value> {
    match operation {
        PatchOperation::Add(AddOperation { value, .. })
        | PatchOperation::Replace(ReplaceOperation { value, .. }) => Some(value),
        _ => None,
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
        assert_eq!(patch.current(), Node::from(&json!({"spec": {"affinity": {"nodeAffinity": {"x": 1}}}})));
        assert_eq!(
            serde_json::to_value(patch.finish()).unwrap(),
            json!([{"op": "add", "path": "/spec/affinity", "value": {"nodeAffinity": {"x": 1}}}])
        );
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
    fn many_changes_are_seen_as_they_are_made() {
        let object = json!({"list": vec![json!({"a": {"b": 1}}); 3_000], "kept": [1]});
        let mut patch = PatchBuilder::new(&object);
        for index in (0..3_000).rev() {
            let item = path(&["list"]).index(index);
            patch.set(&item.key("a").key("b"), json!(index));
            patch.set(&item.key("new").key("c"), json!({"d": 0}));
            patch.set(&item.key("new").key("c").key("d"), json!(index));
            assert_eq!(
                patch.get(&item),
                Some(Node::from(&json!({"a": {"b": index}, "new": {"c": {"d": index}}})))
            );
        }
        let seen = patch.current().to_value();
        let mut changed = object.clone();
        json_patch::patch(&mut changed, &patch.finish()).unwrap();
        assert_eq!(seen, changed);
    }

    #[test]
    fn fills_a_null_parent() {
        let object = json!({"spec": {"affinity": null}});
        let mut patch = PatchBuilder::new(&object);
        patch.set(&path(&["spec", "affinity", "nodeAffinity"]), json!({}));
        assert_eq!(patch.current(), Node::from(&json!({"spec": {"affinity": {"nodeAffinity": {}}}})));
        assert_eq!(patch.finish().0.len(), 1);
    }
}
