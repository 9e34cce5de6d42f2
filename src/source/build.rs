//! Puts a document together, value and places at once, from what YAML and JSON readers find.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use serde_json::Value;
use serde_json::map::{Entry, Map};

use super::error::{SourceError, SourceErrorKind};
use super::span::{Form, NO_KEY, Place, SpanTree, small};
use super::{Document, Notice};
use crate::model::beginning;

/// How deep objects and arrays may stand in one another.
///
/// No Kubernetes type comes near; below it, dropping and walking a value cannot exhaust the stack.
pub(super) const MAX_DEPTH: usize = 100;

/// How many values aliases may add to one document.
const MAX_ALIASED: usize = 100_000;

/// How many bytes of text aliases may add to one document.
const MAX_ALIASED_BYTES: usize = 16 << 20;

/// How many notices of one document are told.
const MAX_NOTICES: usize = 100;

/// How many bytes of a name are told in a notice.
const MAX_NAME: usize = 200;

/// A value about to be added: how it is written and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) form: Form,
    pub(super) place: Place,
    /// The number of the anchor on it, or 0.
    pub(super) anchor: usize,
}

/// A document half read.
pub(super) struct Builder {
    open: Vec<Open>,
    tree: SpanTree,
    notices: Vec<Notice>,
    /// Those beyond the most that are told.
    more_notices: usize,
    root: Option<Value>,
    /// Values by the number of their anchor, kept only when the text has aliases at all.
    anchors: HashMap<usize, Anchored>,
    keep_anchors: bool,
    /// All values and keys so far, those from aliases included.
    made: Size,
    /// Those of them that came from aliases.
    aliased: Size,
    /// Those that were copied to be at hand for aliases.
    kept: Size,
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

/// A value that aliases can refer to.
struct Anchored {
    value: Value,
    size: Size,
    height: usize,
}

/// An object or array whose end has not come yet.
struct Open {
    value: Container,
    node: usize,
    anchor: usize,
    before: Size,
    /// How deep the values inside are nested.
    height: usize,
    /// Where the last key or value inside ends.
    end: u32,
}

enum Container {
    Map {
        fields: Map<String, Value>,
        key: Option<Key>,
        /// The fields that came by a merge key; `None` while there are none, as nearly always.
        merged: Option<BTreeSet<String>>,
    },
    Seq(Vec<Value>),
}

struct Key {
    name: String,
    place: Place,
    is_merge: bool,
}

impl Builder {
    /// `keep_anchors`: whether the text can have aliases.
    pub(super) fn new(keep_anchors: bool) -> Self {
        Self {
            open: Vec::with_capacity(16),
            tree: SpanTree::default(),
            notices: Vec::new(),
            more_notices: 0,
            root: None,
            anchors: HashMap::new(),
            keep_anchors,
            made: Size::default(),
            aliased: Size::default(),
            kept: Size::default(),
        }
    }

    /// Whether a key must come next.
    pub(super) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { value: Container::Map { key: None, .. }, .. }))
    }

    /// Whether the next value stands between brackets or braces.
    pub(super) fn is_inside_flow(&self) -> bool {
        let node = self.open.last().and_then(|open| self.tree.node(open.node));
        node.is_some_and(|node| matches!(node.form, Form::FlowMap | Form::FlowSeq))
    }

    /// Says something of the document that is no fault.
    pub(super) fn note(&mut self, message: String, place: Place) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(Notice { message, span: place.range() });
        } else {
            self.more_notices += 1;
        }
    }

    /// Adds the key of the next value.
    pub(super) fn key(&mut self, name: String, place: Place, is_merge: bool) {
        self.count(name.len());
        if let Some(Open { value: Container::Map { key, .. }, end, .. }) = self.open.last_mut() {
            *end = place.end;
            *key = Some(Key { name, place, is_merge });
        }
    }

    /// Keeps a key for the aliases that refer to it.
    pub(super) fn anchor_key(&mut self, anchor: usize, value: Value, bytes: usize) {
        if self.keep_anchors {
            let size = Size { values: 1, bytes };
            self.anchors.insert(anchor, Anchored { value, size, height: 0 });
        }
    }

    /// The value that the anchor of this number stands on, once it is read.
    pub(super) fn anchored(&self, anchor: usize) -> Option<&Value> {
        self.anchors.get(&anchor).map(|kept| &kept.value)
    }

    /// Adds a string, number, boolean or null.
    pub(super) fn scalar(&mut self, value: Value, written: Written) -> Result<(), SourceError> {
        let before = self.made;
        self.count(value.as_str().map_or(0, str::len));
        let node = self.node(written);
        self.add(value, node, written, before, 0)
    }

    /// Begins an object.
    pub(super) fn open_map(&mut self, written: Written) -> Result<(), SourceError> {
        self.open(Container::Map { fields: Map::new(), key: None, merged: None }, written)
    }

    /// Begins an array.
    pub(super) fn open_seq(&mut self, written: Written) -> Result<(), SourceError> {
        self.open(Container::Seq(Vec::new()), written)
    }

    fn open(&mut self, value: Container, written: Written) -> Result<(), SourceError> {
        self.check_depth(self.open.len() + 1, written.place)?;
        let before = self.made;
        self.count(0);
        let node = self.node(written);
        let end = written.place.end;
        self.open.push(Open { value, node, anchor: written.anchor, before, height: 0, end });
        Ok(())
    }

    /// Ends the innermost object or array. A block ends where its last value does: `end` is `None`.
    pub(super) fn close(&mut self, end: Option<u32>) -> Result<(), SourceError> {
        let Some(Open { value, node, anchor, before, height, end: last }) = self.open.pop() else {
            return Ok(());
        };
        let end = end.unwrap_or(last);
        self.tree.close(node, end);
        let value = match value {
            Container::Map { fields, .. } => Value::Object(fields),
            Container::Seq(items) => Value::Array(items),
        };
        let (form, place) = match self.tree.node(node) {
            Some(node) => (node.form, node.value),
            None => (Form::Scalar, Place::default()),
        };
        self.add(value, node, Written { form, place, anchor }, before, height + 1)
    }

    /// Adds a copy of the value that the anchor of this number stands on.
    pub(super) fn alias(&mut self, anchor: usize, place: Place) -> Result<(), SourceError> {
        let offset = place.start as usize;
        let Some(kept) = self.anchors.get(&anchor) else {
            return Err(SourceError::new(
                SourceErrorKind::Yaml,
                offset,
                "this alias stands inside the value of its own anchor",
                "write the value out",
            ));
        };
        let (size, height) = (kept.size, kept.height);
        let before = self.made;
        self.made.values += size.values;
        self.made.bytes += size.bytes;
        self.count_aliased(size, offset)?;
        self.check_depth(self.open.len() + height, place)?;
        let value = kept_value(&self.anchors, anchor);
        let written = Written { form: Form::Alias, place, anchor: 0 };
        let node = self.node(written);
        self.add(value, node, written, before, height)
    }

    /// Counts a key that an alias stands for; [`key`](Self::key) adds it.
    pub(super) fn aliased_key(&mut self, bytes: usize, place: Place) -> Result<(), SourceError> {
        self.count_aliased(Size { values: 1, bytes }, place.start as usize)
    }

    /// Refuses what aliases blow up.
    fn count_aliased(&mut self, size: Size, offset: usize) -> Result<(), SourceError> {
        self.aliased.values += size.values;
        self.aliased.bytes += size.bytes;
        // kubectl's own limit is the ratio: more than 99 of 100 values come from aliases.
        let bomb = self.made.values > 1000 && self.aliased.values.saturating_mul(100) > self.made.values * 99;
        if bomb || self.aliased.values > MAX_ALIASED || self.aliased.bytes > MAX_ALIASED_BYTES {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                offset,
                format!(
                    "aliases make {} values and {} bytes of {} values in all",
                    self.aliased.values, self.aliased.bytes, self.made.values
                ),
                format!(
                    "no manifest needs that; the limits are {MAX_ALIASED} values, {} MiB, and 99 of 100 values",
                    MAX_ALIASED_BYTES >> 20
                ),
            ));
        }
        Ok(())
    }

    /// The whole document; `None` if it holds nothing, or nothing but null.
    pub(super) fn finish(self, span: Range<usize>) -> Option<Document> {
        let value = self.root.filter(|value| !value.is_null())?;
        let mut notices = self.notices;
        if let (more @ 1.., Some(last)) = (self.more_notices, notices.last()) {
            let message =
                format!("{more} more notices of this document: only the first {MAX_NOTICES} are told");
            let span = last.span.clone();
            notices.push(Notice { message, span });
        }
        Some(Document { value, spans: self.tree, notices, span })
    }

    fn count(&mut self, bytes: usize) {
        self.made.values += 1;
        self.made.bytes += bytes;
    }

    fn check_depth(&self, depth: usize, place: Place) -> Result<(), SourceError> {
        if depth <= MAX_DEPTH { Ok(()) } else { Err(too_deep(place.start as usize)) }
    }

    fn node(&mut self, written: Written) -> usize {
        let (name, key) = match self.open.last() {
            Some(Open { value: Container::Map { key: Some(key), .. }, .. }) => (key.name.as_str(), key.place),
            _ => ("", NO_KEY),
        };
        self.tree.open(written.form, key, name, written.place)
    }

    fn add(
        &mut self,
        value: Value,
        node: usize,
        written: Written,
        before: Size,
        height: usize,
    ) -> Result<(), SourceError> {
        if written.anchor != 0 && self.keep_anchors {
            self.keep(&value, written, before, height)?;
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        parent.height = parent.height.max(height);
        parent.end = parent.end.max(written.place.end);
        let mut duplicate = None;
        match &mut parent.value {
            Container::Seq(items) => items.push(value),
            Container::Map { fields, key, merged } => {
                let Some(Key { name, place, is_merge }) = key.take() else { return Ok(()) };
                if is_merge {
                    return self.merge(value, node, written, place);
                }
                match fields.entry(name) {
                    Entry::Vacant(field) => {
                        field.insert(value);
                    }
                    Entry::Occupied(mut field) => {
                        let name = field.key();
                        if !merged.as_mut().is_some_and(|names| names.remove(name)) {
                            let message = format!(
                                "duplicate key {:?}: the last one counts; strict decoding refuses it",
                                beginning(name, MAX_NAME)
                            );
                            duplicate = Some((message, place));
                        }
                        field.insert(value);
                    }
                }
            }
        }
        if let Some((message, place)) = duplicate {
            self.note(message, place);
        }
        Ok(())
    }

    /// Keeps a copy of an anchored value for the aliases to come.
    fn keep(
        &mut self,
        value: &Value,
        written: Written,
        before: Size,
        height: usize,
    ) -> Result<(), SourceError> {
        let size = Size { values: self.made.values - before.values, bytes: self.made.bytes - before.bytes };
        // Anchors inside anchors are copied once for each level.
        self.kept.values += size.values;
        self.kept.bytes += size.bytes;
        if self.kept.values > MAX_ALIASED + self.made.values / 4
            || self.kept.bytes > MAX_ALIASED_BYTES + self.made.bytes
        {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                written.place.start as usize,
                "too many anchors stand inside one another",
                "remove the anchors that nothing refers to",
            ));
        }
        self.anchors.insert(written.anchor, Anchored { value: value.clone(), size, height });
        Ok(())
    }

    /// Carries out `<<: value`. As in go-yaml v2, a merge overrides the fields written before it.
    fn merge(&mut self, value: Value, node: usize, written: Written, key: Place) -> Result<(), SourceError> {
        let maps = match value {
            Value::Object(map) => vec![map],
            Value::Array(items) if written.form != Form::Alias => items
                .into_iter()
                .map(into_map)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| want_map(written.place))?,
            _ => return Err(want_map(written.place)),
        };
        // Of several maps, the first counts.
        let mut all = Map::new();
        for mut map in maps.into_iter().rev() {
            all.append(&mut map);
        }
        self.tree.forget(node);
        for name in all.keys() {
            self.tree.open(Form::Alias, key, name, written.place);
        }
        let Some(Open { value: Container::Map { fields, merged, .. }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let merged = merged.get_or_insert_default();
        let mut overridden = Vec::new();
        for (name, value) in all {
            let new = merged.insert(name.clone());
            if fields.get(&name).is_some_and(|old| new && *old != value) {
                let name = beginning(&name, MAX_NAME);
                overridden.push(format!("this merge key overrides {name:?}, which is written before it"));
            }
            fields.insert(name, value);
        }
        overridden.into_iter().for_each(|message| self.note(message, key));
        Ok(())
    }
}

fn kept_value(anchors: &HashMap<usize, Anchored>, anchor: usize) -> Value {
    anchors.get(&anchor).map_or(Value::Null, |kept| kept.value.clone())
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn want_map(place: Place) -> SourceError {
    SourceError::new(
        SourceErrorKind::Unsupported,
        place.start as usize,
        "a merge key needs a map or a list of maps as its value",
        "quote the key as \"<<\" if a field of that name is meant",
    )
}

/// The fault of a text that nests too deep at `offset`.
pub(super) fn too_deep(offset: usize) -> SourceError {
    SourceError::new(
        SourceErrorKind::Limit,
        offset,
        format!("objects and arrays are nested more than {MAX_DEPTH} levels deep"),
        "no Kubernetes object is",
    )
}

/// A range of the text as a place in the tree.
pub(super) fn place(range: Range<usize>) -> Place {
    Place { start: small(range.start), end: small(range.end) }
}
