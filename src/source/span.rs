//! Where each field of a document stands in the text.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use serde_json::Value;

use crate::model::{FieldPath, Segment};

/// The place of every field of one document, beside its value.
///
/// One flat list in the order of the text, and one string for all keys: a document of ten thousand
/// fields costs two allocations, not ten thousand.
#[derive(Debug, Clone, Default)]
pub struct SpanTree {
    nodes: Vec<Node>,
    names: String,
    /// The values below those that have many, by the index of the latter; made when first asked for.
    wide: OnceLock<HashMap<usize, Wide>>,
}

/// So many values below one are looked through one by one.
const FEW: usize = 32;

/// The values directly below one that has many.
#[derive(Debug, Clone, Default)]
struct Wide {
    in_order: Vec<usize>,
    /// The same in the order of their names; those of one name in the order of the text.
    by_name: Vec<usize>,
}

impl PartialEq for SpanTree {
    fn eq(&self, other: &Self) -> bool {
        (&self.nodes, &self.names) == (&other.nodes, &other.names)
    }
}

impl Eq for SpanTree {}

/// A byte range in four-byte numbers; texts over 4 GiB are refused before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A string, number, boolean or null.
    Scalar,
    /// An object, one field a line.
    BlockMap,
    /// An object in braces.
    FlowMap,
    /// An array, one `-` an item.
    BlockSeq,
    /// An array in brackets.
    FlowSeq,
    /// An alias, or a field that a merge key brought in: the place is that of the alias.
    Alias,
}

/// One value, and the key it stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// The key as written; empty for items of an array and for the root.
    pub(super) key: Place,
    /// The value as written.
    pub(super) value: Place,
    /// The key as read, in `names`.
    name: Place,
    /// The index after the last node below this one.
    end: u32,
    pub(super) form: Form,
}

/// Where a field stands in the text, in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpan {
    /// The value.
    pub value: Range<usize>,
    /// The key; `None` for an item of an array and for the root.
    pub key: Option<Range<usize>>,
    /// Whether the path itself exists; if not, this is its nearest existing parent.
    pub exact: bool,
}

impl FieldSpan {
    /// The place to point at: the key where there is one, else the value.
    #[must_use]
    pub fn point(&self) -> Range<usize> {
        self.key.clone().unwrap_or_else(|| self.value.clone())
    }
}

/// The key of what has none: items of an array and the root.
pub(super) const NO_KEY: Place = Place { start: 0, end: 0 };

impl Place {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl SpanTree {
    /// How many values stand in the tree.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no value in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The places of all texts, numbers and the like, in which a `#` begins no comment.
    pub fn texts(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let scalars = self.nodes.iter().filter(|node| node.form == Form::Scalar);
        scalars.flat_map(|node| [node.key, node.value]).filter(|place| *place != NO_KEY).map(Place::range)
    }

    /// Adds a value; those below it are added next, then [`close`](Self::close) is called.
    pub(super) fn open(&mut self, form: Form, key: Place, name: &str, value: Place) -> usize {
        let index = self.nodes.len();
        let start = small(self.names.len());
        self.names.push_str(name);
        let name = Place { start, end: small(self.names.len()) };
        self.nodes.push(Node { key, value, name, end: small(index + 1), form });
        index
    }

    /// Ends the value at `index`: all that was added since is below it.
    pub(super) fn close(&mut self, index: usize, end: u32) {
        let last = small(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = last;
            node.value.end = end;
        }
    }

    /// Forgets the value at `index` and all that was added since.
    pub(super) fn forget(&mut self, index: usize) {
        self.nodes.truncate(index);
    }

    pub(super) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(super) fn name(&self, node: &Node) -> &str {
        self.names.get(node.name.range()).unwrap_or_default()
    }

    /// The values directly below that at `index`, in the order of the text.
    pub(super) fn children(&self, index: usize) -> impl Iterator<Item = (usize, &Node)> {
        let end = self.nodes.get(index).map_or(0, |node| node.end as usize);
        let mut next = index + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let at = next;
            let node = self.nodes.get(at)?;
            next = node.end as usize;
            Some((at, node))
        })
    }

    /// The value under `segment` of that at `index`. Of a key that is there twice, the last.
    pub(super) fn child(&self, index: usize, segment: &Segment) -> Option<usize> {
        if self.children(index).nth(FEW).is_some() {
            return self.child_of_many(index, segment);
        }
        match segment {
            Segment::Index(wanted) => self.children(index).nth(*wanted).map(|(at, _)| at),
            Segment::Key(key) => {
                self.children(index).filter(|(_, node)| self.name(node) == key).last().map(|(at, _)| at)
            }
        }
    }

    /// The same of a value that has many below it: findings ask for one after the other.
    fn child_of_many(&self, index: usize, segment: &Segment) -> Option<usize> {
        let wide = self.wide.get_or_init(|| self.all_wide()).get(&index)?;
        match segment {
            Segment::Index(wanted) => wide.in_order.get(*wanted).copied(),
            Segment::Key(key) => {
                let name = |at: &usize| self.node(*at).map(|node| self.name(node));
                let after = wide.by_name.partition_point(|at| name(at) <= Some(key));
                let last = wide.by_name.get(after.checked_sub(1)?)?;
                (name(last) == Some(key)).then_some(*last)
            }
        }
    }

    fn all_wide(&self) -> HashMap<usize, Wide> {
        let mut all = HashMap::new();
        for index in 0..self.nodes.len() {
            if self.children(index).nth(FEW).is_some() {
                let in_order: Vec<usize> = self.children(index).map(|(at, _)| at).collect();
                let mut by_name = in_order.clone();
                by_name.sort_by_key(|at| self.node(*at).map(|node| self.name(node)));
                all.insert(index, Wide { in_order, by_name });
            }
        }
        all
    }

    /// The index of the value at `path`, or of its nearest parent that is written in the text, and
    /// whether all of the path exists in `value`.
    pub(super) fn find(&self, value: &Value, path: &FieldPath) -> (usize, bool) {
        let mut at = 0;
        let mut written = true;
        let mut value = value;
        for segment in path.segments() {
            let below = match segment {
                Segment::Key(key) => value.get(key.as_ref()),
                Segment::Index(index) => value.get(index),
            };
            let Some(below) = below else { return (at, false) };
            value = below;
            // Below an alias nothing is written here: the place stays that of the alias.
            match self.child(at, segment) {
                Some(child) if written => at = child,
                _ => written = false,
            }
        }
        (at, true)
    }

    /// The place of `path`; see [`Document::span`](super::Document::span).
    pub(super) fn span(&self, value: &Value, path: &FieldPath) -> FieldSpan {
        let (at, exact) = self.find(value, path);
        let Some(node) = self.node(at) else {
            return FieldSpan { value: 0..0, key: None, exact: false };
        };
        let key = (node.key != NO_KEY).then(|| node.key.range());
        FieldSpan { value: node.value.range(), key, exact }
    }
}

/// A length as a four-byte number. Callers refuse longer texts first, so nothing is lost.
pub(super) fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
