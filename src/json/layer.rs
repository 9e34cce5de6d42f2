use super::node::Node;
use crate::model::Segment;
use serde_json::Value;
use std::cmp::Ordering;

/// A map or list with changes laid over it, so that a changed object is read without being copied.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    base: Node<'a>,
    /// In the order of their segments, since a list may have thousands.
    changes: Vec<(Segment, Change<'a>)>,
}

#[derive(Debug)]
enum Change<'a> {
    /// In place of what was there, if anything.
    New(Value),
    Beneath(Layer<'a>),
}

impl<'a> Layer<'a> {
    /// No changes yet.
    pub(crate) fn new(base: Node<'a>) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// Puts a value at a place; all above it must be there already. The root is no such place.
    pub(crate) fn put(&mut self, place: &[Segment], value: Value) {
        let Some((step, rest)) = place.split_first() else { return };
        let known = self.changes.binary_search_by(|(segment, _)| segment.cmp(step));
        let known = known.map(|at| self.changes.get_mut(at).map(|(_, change)| change));
        match (known, rest) {
            (Ok(Some(change)), []) => *change = Change::New(value),
            (Ok(Some(Change::Beneath(layer))), rest) => layer.put(rest, value),
            (Ok(Some(Change::New(tree))), rest) => put_in_tree(tree, rest, value),
            (Ok(None), _) => {}
            (Err(at), []) => self.changes.insert(at, (step.clone(), Change::New(value))),
            (Err(at), rest) => {
                let mut layer = Self::new(self.base.step(step).unwrap_or(Node::NULL));
                layer.put(rest, value);
                self.changes.insert(at, (step.clone(), Change::Beneath(layer)));
            }
        }
    }

    pub(super) fn base(&self) -> Node<'a> {
        self.base
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'_>> {
        self.key(key).or_else(|| self.base.get(key))
    }

    pub(super) fn item(&self, index: usize) -> Option<Node<'_>> {
        self.index(index).or_else(|| self.base.item(index))
    }

    pub(super) fn items(&self) -> Vec<Node<'_>> {
        self.base.items().enumerate().map(|(index, item)| self.index(index).unwrap_or(item)).collect()
    }

    pub(super) fn fields(&self) -> Vec<(&str, Node<'_>)> {
        let changed = self.changes.iter().filter_map(|(segment, change)| match segment {
            Segment::Key(key) => Some((key.as_ref(), change.node())),
            Segment::Index(_) => None,
        });
        changed.chain(self.base.fields().filter(|(key, _)| self.key(key).is_none())).collect()
    }

    /// What a field was changed to.
    fn key(&self, key: &str) -> Option<Node<'_>> {
        self.change(|segment| match segment {
            Segment::Key(name) => name.as_ref().cmp(key),
            Segment::Index(_) => Ordering::Greater,
        })
    }

    /// What a part of a list was changed to.
    fn index(&self, index: usize) -> Option<Node<'_>> {
        self.change(|segment| match segment {
            Segment::Key(_) => Ordering::Less,
            Segment::Index(at) => at.cmp(&index),
        })
    }

    fn change(&self, order: impl Fn(&Segment) -> Ordering) -> Option<Node<'_>> {
        let at = self.changes.binary_search_by(|(segment, _)| order(segment)).ok()?;
        self.changes.get(at).map(|(_, change)| change.node())
    }
}

impl Change<'_> {
    fn node(&self) -> Node<'_> {
        match self {
            Self::New(value) => Node::Tree(value),
            Self::Beneath(layer) => Node::Layered(layer),
        }
    }
}

fn put_in_tree(tree: &mut Value, place: &[Segment], value: Value) {
    let Some((step, rest)) = place.split_first() else {
        *tree = value;
        return;
    };
    let below = match (step, tree) {
        (Segment::Key(key), Value::Object(map)) => map.entry(key.as_ref()).or_insert(Value::Null),
        (Segment::Index(index), Value::Array(items)) => match items.get_mut(*index) {
            Some(item) => item,
            None => return,
        },
        _ => return,
    };
    put_in_tree(below, rest, value);
}
