//! The values of expressions. What an object, the facts or a request hold is looked at where it lies and never copied: a
//! list or a map of theirs is a [`Node`].

use super::limits;
use super::types::Kind;
use crate::json::Node;
use jiff::{SignedDuration, Timestamp};
use kube_cel::cel::objects::Opaque;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Val<'r> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'r>),
    Bytes(Arc<[u8]>),
    List(Arc<Vec<Val<'r>>>),
    Map(Arc<BTreeMap<Key, Val<'r>>>),
    /// A list or a map that was not made by an expression.
    Json(Node<'r>),
    Optional(Option<Arc<Val<'r>>>),
    Span(SignedDuration),
    Time(Timestamp),
    Type(Arc<str>),
    /// A value of Kubernetes' library, such as a quantity.
    Opaque(Foreign),
}

/// A value of Kubernetes' library.
#[derive(Clone)]
pub(crate) struct Foreign(pub(crate) Arc<dyn Opaque>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.runtime_type_name())
    }
}

/// A string, lent or its own.
#[derive(Debug, Clone)]
pub(crate) enum Text<'r> {
    Lent(&'r str),
    Own(Arc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl Text<'_> {
    pub(crate) fn shared(&self) -> Arc<str> {
        match self {
            Self::Lent(text) => Arc::from(*text),
            Self::Own(text) => text.clone(),
        }
    }
}

/// The key of a map that an expression made. Numbers of one value are one key, whatever their types.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Arc<str>),
}

impl Key {
    /// The key that a value is; none for what can be none.
    pub(crate) fn of(value: &Val<'_>) -> Option<Self> {
        match value {
            Val::Bool(truth) => Some(Self::Bool(*truth)),
            Val::Int(number) => Some(Self::Int(*number)),
            Val::Uint(number) => Some(Self::Uint(*number)),
            Val::Text(text) => Some(Self::Text(text.shared())),
            // A whole number, as others compare with it.
            Val::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(Self::Int(*number as i64))
            }
            _ => None,
        }
    }

    pub(crate) fn value<'r>(&self) -> Val<'r> {
        match self {
            Self::Bool(truth) => Val::Bool(*truth),
            Self::Int(number) => Val::Int(*number),
            Self::Uint(number) => Val::Uint(*number),
            Self::Text(text) => Val::text(text.clone()),
        }
    }

    fn rank(&self) -> (u8, i128) {
        match self {
            Self::Bool(truth) => (0, i128::from(*truth)),
            Self::Int(number) => (1, i128::from(*number)),
            Self::Uint(number) => (1, i128::from(*number)),
            Self::Text(_) => (2, 0),
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl<'r> Val<'r> {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Own(text.into()))
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    pub(crate) fn some(value: Self) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// What lies in JSON: whole numbers are ints.
    pub(crate) fn json(node: Node<'r>) -> Self {
        if let Some(text) = node.as_str() {
            Self::Text(Text::Lent(text))
        } else if node.is_map() || node.is_list() {
            Self::Json(node)
        } else if let Some(truth) = node.as_bool() {
            Self::Bool(truth)
        } else if let Some(number) = node.as_number() {
            match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            }
        } else {
            Self::Null
        }
    }

    /// What kind of value it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Uint(_) => Kind::Uint,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Json(node) if node.is_list() => Kind::List,
            Self::Json(_) => Kind::Map,
            Self::Optional(_) => Kind::Optional,
            Self::Span(_) => Kind::Span,
            Self::Time(_) => Kind::Time,
            Self::Type(_) => Kind::Type,
            Self::Opaque(foreign) => Kind::of_library(foreign.0.runtime_type_name()),
        }
    }

    /// The name of its type, as `type()` tells it.
    pub(crate) fn type_name(&self) -> Cow<'_, str> {
        match self {
            Self::Opaque(foreign) => Cow::Borrowed(foreign.0.runtime_type_name()),
            other => Cow::Borrowed(other.kind().type_name()),
        }
    }

    /// How many items or fields it has, where it is a list or a map.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            Self::Map(map) => Some(map.len()),
            Self::Json(node) if node.is_list() => Some(node.items().len()),
            Self::Json(node) => Some(node.fields().len()),
            _ => None,
        }
    }

    /// Its item of that index, where it is a list that has it.
    pub(crate) fn item(&self, index: usize) -> Option<Self> {
        match self {
            Self::List(items) => items.get(index).cloned(),
            Self::Json(node) => node.item(index).map(Self::json),
            _ => None,
        }
    }

    /// Its field of that name, where it is a map that has it.
    pub(crate) fn field(&self, name: &Arc<str>) -> Option<Self> {
        match self {
            Self::Map(map) => map.get(&Key::Text(name.clone())).cloned(),
            Self::Json(node) => node.get(name).map(Self::json),
            _ => None,
        }
    }

    /// Its entry of that key, where it is a map that has it.
    pub(crate) fn entry(&self, key: &Self) -> Option<Self> {
        match (self, key) {
            (Self::Map(map), key) => map.get(&Key::of(key)?).cloned(),
            (Self::Json(node), Self::Text(name)) => node.get(name).map(Self::json),
            _ => None,
        }
    }

    /// The items of a list; none where it is no list.
    pub(crate) fn items(&self) -> Box<dyn Iterator<Item = Self> + '_> {
        match self {
            Self::List(items) => Box::new(items.iter().cloned()),
            Self::Json(node) => Box::new(node.items().map(Self::json)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The values of a map with the bytes of their keys.
    fn fields(&self) -> Box<dyn Iterator<Item = (usize, Self)> + '_> {
        match self {
            Self::Map(map) => Box::new(map.iter().map(|(key, value)| {
                let bytes = if let Key::Text(text) = key { text.len() } else { 0 };
                (bytes, value.clone())
            })),
            Self::Json(node) => Box::new(node.fields().map(|(key, value)| (key.len(), Self::json(value)))),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The entries of a map in the order of their keys, so that the outcome is the same every time; none where it is no
    /// map.
    pub(crate) fn entries(&self) -> Vec<(Self, Self)> {
        match self {
            Self::Map(map) => map.iter().map(|(key, value)| (key.value(), value.clone())).collect(),
            Self::Json(node) => {
                let mut fields: Vec<_> = node.fields().collect();
                fields.sort_unstable_by_key(|(key, _)| *key);
                let entry = |(key, value)| (Self::Text(Text::Lent(key)), Self::json(value));
                fields.into_iter().map(entry).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it is what its type has for nothing.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(truth) => !truth,
            Self::Int(number) => *number == 0,
            Self::Uint(number) => *number == 0,
            Self::Double(number) => *number == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Optional(inside) => inside.is_none(),
            Self::Span(span) => span.is_zero(),
            Self::Time(time) => time.as_nanosecond() == 0,
            Self::Type(_) | Self::Opaque(_) => false,
            Self::List(_) | Self::Map(_) | Self::Json(_) => self.length() == Some(0),
        }
    }

    /// The steps that it takes to go through it once.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Text(text) => limits::text(text.len()),
            Self::Bytes(bytes) => limits::text(bytes.len()),
            Self::Optional(Some(inside)) => 1 + inside.weight(),
            Self::List(_) | Self::Map(_) | Self::Json(_) => match self.kind() {
                Kind::List => 1 + self.items().map(|item| item.weight()).sum::<u64>(),
                _ => {
                    1 + self.fields().map(|(bytes, value)| limits::text(bytes) + value.weight()).sum::<u64>()
                }
            },
            _ => 1,
        }
    }

    /// How two values that have an order stand to each other; none where they have none.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::Text(one), Self::Text(other)) => Some((**one).cmp(&**other)),
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            (Self::Span(one), Self::Span(other)) => Some(one.cmp(other)),
            (Self::Time(one), Self::Time(other)) => Some(one.cmp(other)),
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(other),
            (Self::Double(one), other) => Some(against(other.whole()?, *one)?.reverse()),
            (one, Self::Double(other)) => against(one.whole()?, *other),
            (one, other) => Some(one.whole()?.cmp(&other.whole()?)),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            _ => None,
        }
    }
}

/// How a whole number stands to another one: as Go has it, with what a double loses of large ones.
fn against(whole: i128, number: f64) -> Option<Ordering> {
    (whole as f64).partial_cmp(&number)
}
