use super::node::Node;
use crate::model::Segment;
use serde_json::Value;

/// A map or list with changes laid over it, so that a changed object is read without being copied.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    base: Node<'a>,
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
        let known = self.changes.iter_mut().find(|(segment, _)| segment == step).map(|(_, change)| change);
        match (known, rest) {
            (Some(change), []) => *change = Change::New(value),
            (Some(Change::Beneath(layer)), rest) => layer.put(rest, value),
            (Some(Change::New(tree)), rest) => put_in_tree(tree, rest, value),
            (None, []) => self.changes.push((step.clone(), Change::New(value))),
            (None, rest) => {
                let mut layer = Self::new(self.base.step(step).unwrap_or(Node::NULL));
                layer.put(rest, value);
                self.changes.push((step.clone(), Change::Beneath(layer)));
            }
        }
    }

    pub(super) fn base(&self) -> Node<'a> {
        self.base
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'_>> {
        let same = |segment: &Segment| matches!(segment, Segment::Key(name) if name == key);
        self.change(same).or_else(|| self.base.get(key))
    }

    pub(super) fn item(&self, index: usize) -> Option<Node<'_>> {
        self.change(|segment| *segment == Segment::Index(index)).or_else(|| self.base.item(index))
    }

    pub(super) fn items(&self) -> Vec<Node<'_>> {
        let changed = |index| self.change(|segment| *segment == Segment::Index(index));
        self.base.items().enumerate().map(|(index, item)| changed(index).unwrap_or(item)).collect()
    }

    pub(super) fn fields(&self) -> Vec<(&str, Node<'_>)> {
        let keys = self.changes.iter().filter_map(|(segment, change)| match segment {
            Segment::Key(key) => Some((key.as_ref(), change.node())),
            Segment::Index(_) => None,
        });
        let mut fields: Vec<(&str, Node<'_>)> = keys.collect();
        let changed = fields.len();
        for (key, value) in self.base.fields() {
            if !fields.iter().take(changed).any(|(known, _)| *known == key) {
                fields.push((key, value));
            }
        }
        fields
    }

    fn change(&self, is: impl Fn(&Segment) -> bool) -> Option<Node<'_>> {
        self.changes.iter().find(|(segment, _)| is(segment)).map(|(_, change)| change.node())
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
