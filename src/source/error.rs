//! What can be wrong with a text.

use std::borrow::Cow;

/// Why a document could not be read.
///
/// `offset` is in bytes from the start of the text; [`Source::position`](super::Source::position)
/// turns it into line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {}: {message}; {help}", kind.subject())]
pub struct SourceError {
    /// What sort of fault it is.
    pub kind: SourceErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Cow<'static, str>,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

/// The sorts of faults in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// Not UTF-8 text, or characters that no manifest may hold.
    Encoding,
    /// Not YAML.
    Yaml,
    /// Not JSON.
    Json,
    /// YAML with something that JSON, and so the API server, cannot hold.
    Unsupported,
    /// A template that was not rendered.
    Template,
    /// More than volgate is willing to expand or nest.
    Limit,
}

impl SourceErrorKind {
    fn subject(self) -> &'static str {
        match self {
            Self::Encoding => "text",
            Self::Json => "JSON",
            Self::Yaml | Self::Unsupported | Self::Template | Self::Limit => "YAML",
        }
    }
}

impl SourceError {
    pub(super) fn new(
        kind: SourceErrorKind,
        offset: usize,
        message: impl Into<String>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, message: message.into(), help: help.into(), offset }
    }
}
