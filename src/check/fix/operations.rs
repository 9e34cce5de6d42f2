//! A patch that is put together step by step.

use crate::json::Node;
use crate::model::FieldPath;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Value, json};

/// The operations on one object, which stays as it was while they are put together: those that change the places of
/// others come last.
pub(super) struct Operations<'o> {
    object: &'o Value,
    all: Vec<PatchOperation>,
    removals: Vec<PatchOperation>,
}

impl<'o> Operations<'o> {
    pub(super) fn on(object: &'o Value) -> Self {
        Self { object, all: Vec::new(), removals: Vec::new() }
    }

    fn is_given(&self, at: &FieldPath) -> bool {
        Node::from(self.object).at(at).is_some_and(|node| !node.is_null())
    }

    /// Gives a field a value, whether it has one or not.
    pub(super) fn set(&mut self, at: &FieldPath, value: Value) {
        let path = pointer(at);
        self.all.push(match self.is_given(at) {
            true => PatchOperation::Replace(ReplaceOperation { path, value }),
            false => PatchOperation::Add(AddOperation { path, value }),
        });
    }

    /// Gives a field of a map a value, and makes the map where there is none.
    pub(super) fn set_in(&mut self, map: &FieldPath, key: &'static str, value: Value) {
        if self.is_given(map) {
            self.set(&map.key(key), value);
        } else {
            self.set(map, json!({key: value}));
        }
    }

    /// Puts items behind those of a list, and makes the list where there is none.
    pub(super) fn append(&mut self, list: &FieldPath, items: Vec<Value>) {
        let has_items = Node::from(self.object).at(list).is_some_and(|node| node.items().next().is_some());
        if items.is_empty() {
            return;
        }
        if !has_items {
            return self.set(list, Value::Array(items));
        }
        let end = format!("{}/-", list.to_json_pointer());
        let path = PointerBuf::parse(end).unwrap_or_default();
        self.all.extend(
            items.into_iter().map(|value| PatchOperation::Add(AddOperation { path: path.clone(), value })),
        );
    }

    /// Takes a field away, if there is one.
    pub(super) fn remove(&mut self, at: &FieldPath) {
        if self.is_given(at) {
            self.all.push(PatchOperation::Remove(RemoveOperation { path: pointer(at) }));
        }
    }

    /// Takes items out of a list, and the whole list where none is left.
    pub(super) fn remove_items(&mut self, list: &FieldPath, mut indexes: Vec<usize>) {
        indexes.sort_unstable();
        indexes.dedup();
        let count = Node::from(self.object).at(list).map_or(0, |node| node.items().len());
        let removal = |path| PatchOperation::Remove(RemoveOperation { path });
        if !indexes.is_empty() && indexes.len() == count {
            self.removals.push(removal(pointer(list)));
        } else {
            // From the last, so that none moves before its turn.
            self.removals.extend(indexes.iter().rev().map(|index| removal(pointer(&list.index(*index)))));
        }
    }

    pub(super) fn finish(self) -> Patch {
        Patch(self.all.into_iter().chain(self.removals).collect())
    }
}

fn pointer(at: &FieldPath) -> PointerBuf {
    PointerBuf::parse(at.to_json_pointer()).unwrap_or_default()
}
