//! Variables that a GitOps tool puts in before the cluster sees the object, as `${SIZE:=5Gi}` of Flux.

use super::Manifest;
use crate::facts::Facts;
use crate::model::FieldPath;
use serde_json::Value;
use std::borrow::Cow;

/// How many fields of one object are filled in.
const MOST: usize = 20;

impl Manifest<'_> {
    /// Puts the variable's default, or nothing, in place of each field that cannot be read for a variable in it. All
    /// other texts stay: a `${…}` in a script is the shell's.
    pub(super) fn fill_in_variables(&mut self) {
        for _ in 0..MOST {
            let Err(fault) = Facts::read(&*self.value, None) else { return };
            let Some(filled) = filled_in(&self.value, &fault.path) else { return };
            let mut value = std::mem::take(&mut self.value).into_owned();
            let Some(field) = value.pointer_mut(&fault.path.to_json_pointer()) else { return };
            *field = filled;
            self.value = Cow::Owned(value);
            self.variables.push(fault.path);
        }
    }
}

fn filled_in(object: &Value, field: &FieldPath) -> Option<Value> {
    let text = object.pointer(&field.to_json_pointer())?.as_str()?;
    let (before, rest) = text.split_once("${")?;
    let (variable, after) = rest.split_once('}')?;
    let default = variable.split_once(":=").or_else(|| variable.split_once(":-")).map(|(_, default)| default);
    let Some(default) = default.filter(|_| !after.contains("${")) else { return Some(Value::Null) };
    // The tool puts it into the text of the manifest, so that it is read as if it stood there.
    let text = format!("{before}{default}{after}");
    let read = crate::source::parse(&text).pop().and_then(Result::ok).map(|document| document.value);
    Some(read.filter(|value| !value.is_object() && !value.is_array()).unwrap_or(Value::String(text)))
}
