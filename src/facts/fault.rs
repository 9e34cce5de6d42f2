use crate::model::FieldPath;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A field whose type is not the one that Kubernetes gives it, so that nothing can be said of the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FactsFault {
    /// Where.
    pub path: FieldPath,
    /// What is wrong, as a fragment.
    pub message: String,
}

impl FactsFault {
    /// A fault at a field of the object that is being read; the callers put the outer path before it.
    pub fn at(key: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { path: FieldPath::root().key(key), message: message.into() }
    }

    fn wrong_type(key: &'static str, wanted: &str, found: &Value) -> Self {
        let kind = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        // YAML takes `y`, `no` and `8` for booleans and numbers.
        let scalar = matches!(found, Value::Bool(_) | Value::Number(_));
        let hint = if wanted == "a string" && scalar { "; put it in quotes" } else { "" };
        Self::at(key, format!("must be {wanted}, not {kind}{hint}"))
    }
}

/// Puts the outer path before a fault on its way out, so that the good case builds no path.
pub(crate) trait OrFault<T> {
    /// The fault lies beneath this field.
    fn or_within(self, key: impl Into<Cow<'static, str>>) -> Result<T, FactsFault>;
    /// The fault lies beneath this element of the list of that name.
    fn or_within_item(self, key: &'static str, index: usize) -> Result<T, FactsFault>;
}

impl<T> OrFault<T> for Result<T, FactsFault> {
    fn or_within(self, key: impl Into<Cow<'static, str>>) -> Result<T, FactsFault> {
        self.map_err(|fault| FactsFault { path: FieldPath::root().key(key).join(&fault.path), ..fault })
    }

    fn or_within_item(self, key: &'static str, index: usize) -> Result<T, FactsFault> {
        self.map_err(|fault| FactsFault {
            path: FieldPath::root().key(key).index(index).join(&fault.path),
            ..fault
        })
    }
}

/// Typed access to the fields of a JSON object. Null is read as absent, as Kubernetes does.
pub(crate) trait Object {
    fn field(&self, key: &str) -> Option<&Value>;

    fn str_at(&self, key: &'static str) -> Result<Option<&str>, FactsFault> {
        match self.field(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(FactsFault::wrong_type(key, "a string", other)),
        }
    }

    fn bool_at(&self, key: &'static str) -> Result<bool, FactsFault> {
        match self.field(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(FactsFault::wrong_type(key, "true or false", other)),
        }
    }

    fn int_at(&self, key: &'static str) -> Result<Option<i64>, FactsFault> {
        match self.field(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(FactsFault::wrong_type(key, "a whole number", value)),
            },
        }
    }

    fn map_at(&self, key: &'static str) -> Result<Option<&Map<String, Value>>, FactsFault> {
        match self.field(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(FactsFault::wrong_type(key, "a map", other)),
        }
    }

    fn object_at(&self, key: &'static str) -> Result<Option<&Value>, FactsFault> {
        Ok(self.map_at(key)?.and(self.field(key)))
    }

    fn list_at(&self, key: &'static str) -> Result<&[Value], FactsFault> {
        match self.field(key) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(FactsFault::wrong_type(key, "a list", other)),
        }
    }
}

impl Object for Value {
    fn field(&self, key: &str) -> Option<&Value> {
        self.get(key)
    }
}

impl Object for Map<String, Value> {
    fn field(&self, key: &str) -> Option<&Value> {
        self.get(key)
    }
}
