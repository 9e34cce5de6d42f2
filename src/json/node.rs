use super::layer::Layer;
use crate::model::{FieldPath, Labels, Segment};
use serde_json::{Map, Value};
use std::fmt;

/// A JSON value that is read and not changed, however it is held.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// In a tree.
    Tree(&'a Value),
    /// With the changes of a patch laid over it.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    Layered(&'a Layer<'a>),
}

static NULL: Value = Value::Null;

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Tree(value)
    }
}

impl<'a> Node<'a> {
    /// Null, which is also what an absent map may be taken for.
    pub const NULL: Self = Self::Tree(&NULL);

    /// The field of that name, where this is a map that has it.
    #[inline]
    pub fn get(self, key: &str) -> Option<Self> {
        match self {
            Self::Tree(value) => value.get(key).map(Self::Tree),
            Self::Layered(layer) => layer.get(key),
        }
    }

    /// The part of that index (from 0), where this is a list that has it.
    pub fn item(self, index: usize) -> Option<Self> {
        match self {
            Self::Tree(value) => value.get(index).map(Self::Tree),
            Self::Layered(layer) => layer.item(index),
        }
    }

    /// What stands one step below.
    pub fn step(self, segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Key(key) => self.get(key),
            Segment::Index(index) => self.item(*index),
        }
    }

    /// What stands at a path below; null counts as nothing.
    pub fn at(self, path: &FieldPath) -> Option<Self> {
        let found = path.segments().iter().try_fold(self, |node, segment| node.step(segment));
        found.filter(|node| !node.is_null())
    }

    /// The text, where it is one.
    #[inline]
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Tree(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The truth, where it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Tree(Value::Bool(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// The number, where it is a whole one of 64 bits that was written as such.
    pub fn as_i64(self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The number, where it is one.
    pub fn as_number(self) -> Option<serde_json::Number> {
        match self {
            Self::Tree(Value::Number(number)) => Some(number.clone()),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        match self {
            Self::Tree(value) => value.is_null(),
            Self::Layered(_) => false,
        }
    }

    /// Whether it is a map.
    pub fn is_map(self) -> bool {
        match self {
            Self::Tree(value) => value.is_object(),
            Self::Layered(layer) => layer.base().is_map(),
        }
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        match self {
            Self::Tree(value) => value.is_array(),
            Self::Layered(layer) => layer.base().is_list(),
        }
    }

    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        match self {
            Self::Tree(value) => value.is_number(),
            Self::Layered(_) => false,
        }
    }

    /// The parts of a list in their order; none where it is no list.
    pub fn items(self) -> Items<'a> {
        match self {
            Self::Tree(Value::Array(items)) => Items(ItemsOf::Tree(items.iter())),
            Self::Layered(layer) => Items(ItemsOf::Layered(layer.items().into_iter())),
            _ => Items(ItemsOf::Tree([].iter())),
        }
    }

    /// The fields of a map, in no order that could be relied on; none where it is no map.
    pub fn fields(self) -> Fields<'a> {
        match self {
            Self::Tree(Value::Object(map)) => Fields(FieldsOf::Tree(map.iter())),
            Self::Layered(layer) => Fields(FieldsOf::Layered(layer.fields().into_iter())),
            _ => Fields(FieldsOf::Layered(Vec::new().into_iter())),
        }
    }

    /// The fields that are not null: one pass, where most of the fields that there can be are wanted.
    pub fn given(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.fields().filter(|(_, value)| !value.is_null())
    }

    /// A tree of its own.
    pub fn to_value(self) -> Value {
        if let Self::Tree(value) = self {
            value.clone()
        } else if let Some(text) = self.as_str() {
            Value::String(text.to_owned())
        } else if let Some(truth) = self.as_bool() {
            Value::Bool(truth)
        } else if let Some(number) = self.as_number() {
            Value::Number(number)
        } else if self.is_list() {
            Value::Array(self.items().map(Self::to_value).collect())
        } else if self.is_map() {
            let fields = self.fields().map(|(key, value)| (key.to_owned(), value.to_value()));
            Value::Object(fields.collect::<Map<_, _>>())
        } else {
            Value::Null
        }
    }
}

/// Whether both are the same value: the order of a map's fields is none of it.
impl PartialEq<Node<'_>> for Node<'_> {
    fn eq(&self, other: &Node<'_>) -> bool {
        if let (Node::Tree(a), Node::Tree(b)) = (self, other) {
            return a == b;
        }
        if self.is_map() && other.is_map() {
            // Most often in the same order; sorted otherwise, since a map may have very many fields.
            if self.fields().map(|(key, _)| key).eq(other.fields().map(|(key, _)| key)) {
                return self.fields().map(|(_, value)| value).eq(other.fields().map(|(_, value)| value));
            }
            let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
                (self.fields().collect(), other.fields().collect());
            ours.sort_unstable_by_key(|(key, _)| *key);
            theirs.sort_unstable_by_key(|(key, _)| *key);
            return ours == theirs;
        }
        if self.is_list() && other.is_list() {
            return self.items().len() == other.items().len() && self.items().eq(other.items());
        }
        self.is_map() == other.is_map()
            && self.is_list() == other.is_list()
            && self.as_str() == other.as_str()
            && self.as_bool() == other.as_bool()
            && self.as_number() == other.as_number()
    }
}

/// As JSON.
impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(value) => value.fmt(f),
            _ => self.to_value().fmt(f),
        }
    }
}

impl Labels for Node<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

/// The parts of a list.
#[derive(Debug, Clone)]
pub struct Items<'a>(ItemsOf<'a>);

#[derive(Debug, Clone)]
enum ItemsOf<'a> {
    Tree(std::slice::Iter<'a, Value>),
    Layered(std::vec::IntoIter<Node<'a>>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        match &mut self.0 {
            ItemsOf::Tree(items) => items.next().map(Node::Tree),
            ItemsOf::Layered(items) => items.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = match &self.0 {
            ItemsOf::Tree(items) => items.len(),
            ItemsOf::Layered(items) => items.len(),
        };
        (count, Some(count))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The fields of a map.
#[derive(Debug, Clone)]
pub struct Fields<'a>(FieldsOf<'a>);

#[derive(Debug, Clone)]
enum FieldsOf<'a> {
    Tree(serde_json::map::Iter<'a>),
    Layered(std::vec::IntoIter<(&'a str, Node<'a>)>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Node<'a>);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, Node<'a>)> {
        match &mut self.0 {
            FieldsOf::Tree(fields) => fields.next().map(|(key, value)| (key.as_str(), Node::Tree(value))),
            FieldsOf::Layered(fields) => fields.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = match &self.0 {
            FieldsOf::Tree(fields) => fields.len(),
            FieldsOf::Layered(fields) => fields.len(),
        };
        (count, Some(count))
    }
}

impl ExactSizeIterator for Fields<'_> {}
