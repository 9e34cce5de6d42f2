use crate::json::Node;
use crate::model::FieldPath;
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

    /// The same fault beneath this field.
    pub(super) fn within(self, key: impl Into<Cow<'static, str>>) -> Self {
        Self { path: FieldPath::root().key(key).join(&self.path), ..self }
    }

    /// A field has a value of another type than the one that is wanted.
    pub(super) fn wrong_type(key: impl Into<Cow<'static, str>>, wanted: &str, found: Node<'_>) -> Self {
        let kind = if found.is_null() {
            "null"
        } else if found.as_bool().is_some() {
            "a boolean"
        } else if found.is_number() {
            "a number"
        } else if found.as_str().is_some() {
            "a string"
        } else if found.is_list() {
            "a list"
        } else {
            "a map"
        };
        // YAML takes `y`, `no` and `8` for booleans and numbers.
        let scalar = found.as_bool().is_some() || found.is_number();
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
        self.map_err(|fault| fault.within(key))
    }

    fn or_within_item(self, key: &'static str, index: usize) -> Result<T, FactsFault> {
        self.map_err(|fault| FactsFault {
            path: FieldPath::root().key(key).index(index).join(&fault.path),
            ..fault
        })
    }
}
