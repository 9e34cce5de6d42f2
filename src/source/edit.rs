//! A patch applied to the text of a document, so that comments and layout stay.
//!
//! Each operation becomes one change of the text, read again before the next: a change that did not come
//! out as the patch wants it is an error, never a wrong text.

mod editor;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use serde_json::Value;
use std::collections::BTreeMap;

use super::render::{self, Style};
use super::scalar::float_value;
use super::text::slice;
use super::{Document, json, parse, yaml};
use editor::Editor;

/// Why a patch could not be applied to a text.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The patch does not fit the document.
    #[error("failed to apply the patch to the document")]
    Patch(#[from] json_patch::PatchError),
    /// The field is not written where it would have to be changed.
    #[error("failed to edit {path}: its value comes from an alias or a merge key; change it at the anchor")]
    Aliased {
        /// The field, as a JSON pointer.
        path: String,
    },
    /// There is no way to change this field that leaves the rest as it is.
    #[error(
        "failed to edit {path}: the text is laid out in a way that volgate does not edit; change it by hand"
    )]
    Layout {
        /// The field, as a JSON pointer.
        path: String,
    },
    /// The changed text would not have read as the patched document.
    #[error("failed to edit {path}: the edited text would not read as the patched value; change it by hand")]
    Mismatch {
        /// The field, as a JSON pointer.
        path: String,
    },
}

/// What is to become of one document.
#[derive(Debug)]
pub struct DocumentChange<'d> {
    /// The document.
    pub document: &'d Document,
    /// What changes in it.
    pub patch: Patch,
    /// New documents that are put behind it.
    pub after: Vec<Value>,
}

/// How many operations are carried out one by one, the text read again after each, where they cannot be at once.
const MOST_STEPS: usize = 32;

/// Applies `patch` to the text of `doc`, which is part of `text`; gives the whole new text.
///
/// # Errors
/// If the patch does not fit, or the text cannot be changed without harm. The text is then as it was.
pub fn edit(text: &str, doc: &Document, patch: &Patch) -> Result<String, EditError> {
    edit_all(text, [DocumentChange { document: doc, patch: patch.clone(), after: Vec::new() }])
}

/// The same of several documents, in the order of the text: read as a whole but once.
///
/// # Errors
/// If one patch does not fit, or the text cannot be changed without harm. The text is then as it was.
pub fn edit_all<'d>(
    text: &str,
    changes: impl IntoIterator<Item = DocumentChange<'d>>,
) -> Result<String, EditError> {
    let mut new = String::with_capacity(text.len());
    let mut copied = 0;
    let stream = Stream::of(text);
    // What must be read where.
    let mut wanted: BTreeMap<usize, (Value, String)> = BTreeMap::new();
    for change in changes {
        let span = change.document.span.clone();
        new.push_str(slice(text, copied..span.start));
        let path = change.patch.0.last().map_or(String::new(), |operation| operation.path().to_string());
        let (chunk, documents) = stream.changed(slice(text, span.clone()), change)?;
        let start = new.len();
        wanted.extend(documents.into_iter().map(|(at, value)| (start + at, (value, path.clone()))));
        new.push_str(&chunk);
        copied = span.end;
    }
    new.push_str(slice(text, copied..text.len()));
    // A document must read the same among its neighbours as it did alone.
    for found in parse(&new).into_iter().flatten() {
        if wanted.get(&found.span.start).is_some_and(|(value, _)| same(&found.value, value)) {
            wanted.remove(&found.span.start);
        }
    }
    match wanted.pop_first() {
        Some((_, (_, path))) => Err(EditError::Mismatch { path }),
        None => Ok(new),
    }
}

/// What stands in the place of one document of a text when it is changed, with the documents that are put behind it.
///
/// # Errors
/// If the patch does not fit, or the text cannot be changed without harm.
pub fn edit_one(text: &str, change: DocumentChange<'_>) -> Result<String, EditError> {
    let chunk = slice(text, change.document.span.clone());
    Stream::of(text).changed(chunk, change).map(|(chunk, _)| chunk)
}

/// How the documents of a text follow each other.
struct Stream {
    newline: &'static str,
    /// Whether it begins as JSON, and no line separates documents.
    is_json: bool,
}

impl Stream {
    fn of(text: &str) -> Self {
        let is_json = text.trim_start().starts_with('{') && !text.contains("\n---");
        Self { newline: newline(text), is_json }
    }

    /// The changed text of a document, and of those that come behind it; and where each begins, with its value.
    fn changed(
        &self,
        chunk: &str,
        change: DocumentChange<'_>,
    ) -> Result<(String, Vec<(usize, Value)>), EditError> {
        let (mut chunk, value) = edit_chunk(chunk, change.document, &change.patch)?;
        let as_json = self.is_json && is_json(&chunk);
        let style = Style { newline: self.newline, dash_indent: dash_indent(&chunk) };
        let mut documents = vec![(0, value)];
        for value in change.after {
            if !chunk.ends_with('\n') {
                chunk.push_str(self.newline);
            }
            if as_json {
                documents.push((chunk.len(), value.clone()));
                render::json(&mut chunk, &value, Some((self.newline, "")));
                continue;
            }
            chunk.push_str("---");
            chunk.push_str(self.newline);
            documents.push((chunk.len(), value.clone()));
            style.block(&mut chunk, &value, 0);
            chunk.push_str(self.newline);
        }
        Ok((chunk, documents))
    }
}

/// How the lists of a text are indented below their keys; by two if it has none.
fn dash_indent(text: &str) -> usize {
    let column = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut lines = text.lines().zip(text.lines().skip(1));
    let list = lines.find(|(key, first)| {
        key.trim_end().ends_with(':')
            && !key.trim_start().starts_with('#')
            && first.trim_start().starts_with("- ")
    });
    let indent =
        |(key, first): (&str, &str)| (first.len() - first.trim_start().len()).checked_sub(column(key));
    list.and_then(indent).unwrap_or(2)
}

fn is_json(chunk: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(chunk).is_ok()
}

/// The text of one document with its patch, and what it reads as.
fn edit_chunk(chunk: &str, doc: &Document, patch: &Patch) -> Result<(String, Value), EditError> {
    let is_json = is_json(chunk);
    if patch.0.len() > 1
        && let Some(done) = all_at_once(chunk, is_json, doc, patch)
    {
        return Ok(done);
    }
    if let Some(operation) = patch.0.get(MOST_STEPS) {
        return Err(EditError::Layout { path: operation.path().to_string() });
    }
    let mut chunk = chunk.to_owned();
    let mut value = doc.value.clone();
    for operation in &patch.0 {
        for step in steps(operation, &value)? {
            let mut wanted = value.clone();
            json_patch::patch(&mut wanted, std::slice::from_ref(&step))?;
            chunk = change(&chunk, is_json, &step)?;
            let read = read(&chunk, is_json).filter(|read| same(&read.value, &wanted));
            let path = || operation.path().to_string();
            value = read.ok_or_else(|| EditError::Mismatch { path: path() })?.value;
        }
    }
    Ok((chunk, value))
}

/// All operations carried out on the text as it is: most change different places of it, and a list may have
/// thousands. Nothing where that is not so; whether it came out right is seen by reading the new text.
fn all_at_once(chunk: &str, is_json: bool, doc: &Document, patch: &Patch) -> Option<(String, Value)> {
    let mut wanted = doc.value.clone();
    json_patch::patch(&mut wanted, &patch.0).ok()?;
    let read_before = read(chunk, is_json)?;
    let editor = Editor::new(chunk, &read_before, is_json);
    let mut edits = Vec::with_capacity(patch.0.len());
    for operation in &patch.0 {
        edits.push(editor.carry_out(operation).ok()??);
    }
    // Stable: what is put at one place stays in the order of the operations.
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let mut new = String::with_capacity(chunk.len());
    let mut copied = 0;
    for edit in &edits {
        if edit.start < copied {
            // Lines that were to come behind one that goes come behind the line before it.
            let newline = newline(chunk);
            let kept = new.len().checked_sub(newline.len()).filter(|_| new.ends_with(newline))?;
            if edit.start != edit.end || !edit.text.starts_with(newline) {
                return None;
            }
            new.insert_str(kept, &edit.text);
            continue;
        }
        new.push_str(slice(chunk, copied..edit.start));
        new.push_str(&edit.text);
        copied = edit.end;
    }
    new.push_str(slice(chunk, copied..chunk.len()));
    read(&new, is_json).filter(|read| same(&read.value, &wanted)).map(|read| (new, read.value))
}

/// An operation in terms of add, remove and replace.
fn steps(operation: &PatchOperation, value: &Value) -> Result<Vec<PatchOperation>, EditError> {
    let at = |from: &Pointer| from.resolve(value).cloned().unwrap_or_default();
    Ok(match operation {
        PatchOperation::Move(step) => vec![
            PatchOperation::Remove(RemoveOperation { path: step.from.clone() }),
            PatchOperation::Add(AddOperation { path: step.path.clone(), value: at(&step.from) }),
        ],
        PatchOperation::Copy(step) => {
            vec![PatchOperation::Add(AddOperation { path: step.path.clone(), value: at(&step.from) })]
        }
        PatchOperation::Test(_) => {
            json_patch::patch(&mut value.clone(), std::slice::from_ref(operation))?;
            Vec::new()
        }
        other => vec![other.clone()],
    })
}

fn read(chunk: &str, is_json: bool) -> Option<Document> {
    if is_json {
        let mut documents = Vec::new();
        json::parse(chunk, &mut documents);
        return documents.pop()?.ok();
    }
    yaml::parse_one(chunk, 0..chunk.len()).ok()?
}

/// Equality that knows one sort of number, as the API server does: 1.0 is 1.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let whole = |n: &serde_json::Number| n.as_f64().filter(|_| n.is_f64()).and_then(float_value);
            x == y || whole(x).as_ref().unwrap_or(a) == whole(y).as_ref().unwrap_or(b)
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

/// Carries out one operation, which fits the document.
fn change(chunk: &str, is_json: bool, step: &PatchOperation) -> Result<String, EditError> {
    let layout = || EditError::Layout { path: step.path().to_string() };
    let doc = read(chunk, is_json).ok_or_else(layout)?;
    let edit = Editor::new(chunk, &doc, is_json).carry_out(step)?;
    edit.map(|edit| edit.apply(chunk)).ok_or_else(layout)
}

fn newline(chunk: &str) -> &'static str {
    if chunk.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The way from the root down to a value: indexes into the span tree.
type Trail = Vec<usize>;

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
