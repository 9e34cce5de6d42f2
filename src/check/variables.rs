//! Variables that a GitOps tool puts in before the cluster sees the object, as `${SIZE:=5Gi}` of Flux.

use super::Manifest;
use crate::facts::Facts;
use crate::model::FieldPath;
use crate::verdict::{Action, Verdict};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Reverse;

/// How many fields of one object are filled in because they cannot be read.
const MOST: usize = 20;

/// How many of the others.
const MOST_TEXTS: usize = 200;

/// Fields in whose text no shell reads a `${…}`, so that it is a variable of the tool. `accessModes` is a list of such.
const TEXTS: [&str; 17] = [
    "accessModes",
    "claimName",
    "devicePath",
    "generateName",
    "image",
    "medium",
    "mountPath",
    "name",
    "namespace",
    "persistentVolumeReclaimPolicy",
    "provisioner",
    "reclaimPolicy",
    "secretName",
    "storageClassName",
    "volumeBindingMode",
    "volumeMode",
    "volumeName",
];

/// Fields beneath which people name things as they like.
const OPEN: [&str; 9] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "matchLabels",
    "nodeSelector",
    "parameters",
    "status",
    "stringData",
];

impl Manifest<'_> {
    /// Puts the variable's default in place of it, in fields of [`TEXTS`], and the default or nothing in each field that cannot be
    /// read for a variable in it. All other texts stay: a `${…}` in a script is the shell's.
    pub(super) fn fill_in_variables(&mut self) {
        self.fill_in_texts();
        for _ in 0..MOST {
            let Err(fault) = Facts::read(&*self.value, None) else { return };
            let Some(filled) = filled_in(&self.value, &fault.path) else { return };
            if filled.is_null() && !self.open.contains(&fault.path) {
                self.open.push(fault.path.clone());
            }
            self.put(fault.path, filled);
        }
    }

    fn fill_in_texts(&mut self) {
        let mut found = Vec::new();
        collect(&self.value, "", &mut FieldPath::root(), &mut found);
        for (field, Filled { text, is_whole }) in found {
            if !is_whole {
                self.open.push(field.clone());
            }
            if let Some(text) = text {
                self.put(field, Value::String(text));
            }
        }
    }

    fn put(&mut self, field: FieldPath, filled: Value) {
        let mut value = std::mem::take(&mut self.value).into_owned();
        if let Some(place) = value.pointer_mut(&field.to_json_pointer()) {
            *place = filled;
        }
        self.value = Cow::Owned(value);
        self.variables.push(field);
    }

    /// Makes a warning of what is denied because of a field whose variable has no default: what will stand there is not known.
    pub(super) fn soften(&self, verdict: &mut Verdict) {
        let is_open = |field: &FieldPath| {
            self.open
                .iter()
                .any(|open| open == field || open.parent().is_some_and(|list| is_list(&list, field)))
        };
        let mut is_changed = false;
        for finding in verdict.findings.iter_mut().filter(|finding| finding.action == Action::Deny) {
            if is_open(&finding.field) {
                finding.action = Action::Warn;
                is_changed = true;
            }
        }
        if is_changed {
            verdict.findings.sort_by_key(|finding| (finding.excused.is_some(), Reverse(finding.action)));
        }
    }
}

/// Whether both are the list of a claim's access modes.
fn is_list(list: &FieldPath, field: &FieldPath) -> bool {
    list == field && list.to_string().ends_with("accessModes")
}

/// A text with the defaults of its variables.
struct Filled {
    /// None where no variable has one.
    text: Option<String>,
    /// Whether each of them has one.
    is_whole: bool,
}

fn collect(value: &Value, key: &str, at: &mut FieldPath, found: &mut Vec<(FieldPath, Filled)>) {
    match value {
        Value::String(text) if text.contains("${") && found.len() < MOST_TEXTS && TEXTS.contains(&key) => {
            found.push((at.clone(), with_defaults(text)));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push_index(index);
                collect(item, key, at, found);
                at.pop();
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
                // Of the other fields of that name, those of probes are of no account.
                let is_path = name == "path" && ["hostPath", "local"].contains(&key);
                at.push_key(name.clone());
                collect(value, if is_path { "mountPath" } else { name }, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}

fn with_defaults(text: &str) -> Filled {
    let (mut filled, mut some, mut is_whole) = (String::new(), false, true);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (variable, after) = after.split_once('}').unwrap_or((after, ""));
        match default(variable) {
            Some(default) => {
                filled.push_str(default);
                some = true;
            }
            None => {
                filled.push_str("${");
                filled.push_str(variable);
                filled.push('}');
                is_whole = false;
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    // Whether an empty text or nothing at all is meant depends on quotes that are gone.
    if filled.is_empty() {
        return Filled { text: None, is_whole: false };
    }
    Filled { text: some.then_some(filled), is_whole }
}

/// The default of `NAME:=default`; none where there is none, or another variable in it.
fn default(variable: &str) -> Option<&str> {
    let rest = variable.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let default = [":=", ":-", "=", "-"].into_iter().find_map(|sign| rest.strip_prefix(sign))?;
    (!default.contains("${")).then_some(default)
}

fn filled_in(object: &Value, field: &FieldPath) -> Option<Value> {
    let text = object.pointer(&field.to_json_pointer())?.as_str()?;
    let (before, rest) = text.split_once("${")?;
    let (variable, after) = rest.split_once('}')?;
    let Some(default) = default(variable).filter(|_| !after.contains("${")) else { return Some(Value::Null) };
    // The tool puts it into the text of the manifest, so that it is read as if it stood there.
    let text = format!("{before}{default}{after}");
    let read = crate::source::parse(&text).pop().and_then(Result::ok).map(|document| document.value);
    Some(read.filter(|value| !value.is_object() && !value.is_array()).unwrap_or(Value::String(text)))
}
