//! How the objects of an installation are read.

use serde_json::Value;

/// The items of a list; none of no list.
pub(super) fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> + Clone {
    list.and_then(|list| list.get("items")).and_then(Value::as_array).into_iter().flatten()
}

/// A text of an object, empty where it has none there.
pub(super) fn text<'v>(of: &'v Value, at: &str) -> &'v str {
    of.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// A number of an object, 0 where it has none there.
pub(super) fn number(of: &Value, at: &str) -> i64 {
    of.pointer(at).and_then(Value::as_i64).unwrap_or_default()
}
