//! YAML and JSON text to documents with a byte span for every field, read as kubectl reads them.
//!
//! A text that starts with `{` is read as JSON first and as YAML if that fails. All other text is cut
//! into documents at lines that start with `---`, and each is read by the rules of sigs.k8s.io/yaml:
//! granit-parser finds the structure, `scalar` decides what an unquoted word means.

mod build;
mod colon;
mod edit;
mod error;
mod json;
mod kept;
mod placeholder;
mod render;
mod scalar;
mod span;
mod text;
mod yaml;

use std::ops::Range;

use serde_json::Value;

use crate::model::FieldPath;

pub use edit::{DocumentChange, EditError, edit, edit_all, edit_one};
pub use error::{SourceError, SourceErrorKind};
pub use kept::Kept;
pub use placeholder::placeholder;
pub use span::{FieldSpan, SpanTree};
pub use text::{Position, Source};

/// One document of a text, and where each of its fields stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The value as the API server would get it.
    pub value: Value,
    /// Where each field of it stands.
    pub spans: SpanTree,
    /// What a reader should know, though it is no fault.
    pub notices: Vec<Notice>,
    /// The document in the text, in bytes; for YAML, all between two `---` lines.
    pub span: Range<usize>,
}

/// Something odd in a document that kubectl reads without a word, such as a key that is there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What is odd and how it was read.
    pub message: String,
    /// Where, in bytes from the start of the text.
    pub span: Range<usize>,
}

impl Document {
    /// Where the field at `path` stands in the text.
    ///
    /// For a path that does not exist, its nearest existing parent. What comes from an alias or a merge
    /// key stands where the alias is written.
    #[must_use]
    pub fn span(&self, path: &FieldPath) -> FieldSpan {
        self.spans.span(&self.value, path)
    }
}

/// A value as YAML, in blocks.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    render::Style { newline: "\n", dash_indent: 2 }.block(&mut text, value, 0);
    text.push('\n');
    text
}

/// Reads all documents of a text; empty ones are left out.
///
/// A fault in one document does not hide those before and after it.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<Document, SourceError>> {
    if let Err(error) = text::check(text) {
        return vec![Err(error)];
    }
    let mut documents = Vec::new();
    // kubectl looks for the brace without skipping a byte-order mark.
    if text.trim_start().starts_with('{') {
        json::parse(text, &mut documents);
    } else {
        yaml::parse(text, 0, &mut documents);
    }
    documents
}

/// Reads all documents of a text that may not be UTF-8.
#[must_use]
pub fn parse_bytes(bytes: &[u8]) -> Vec<Result<Document, SourceError>> {
    match text::decode(bytes) {
        Ok(text) => parse(text),
        Err(error) => vec![Err(error)],
    }
}

#[cfg(test)]
mod tests;
