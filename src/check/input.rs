//! A text of a run: how it came in, and its documents.

use super::{few_texts, in_parallel};
use crate::source::{Document, Source, SourceError, parse};
use std::sync::Arc;

/// A text and its documents. A copy is cheap: the documents are shared.
#[derive(Debug, Clone)]
pub struct Input {
    /// The text.
    pub source: Source,
    /// Whether it was named by the user, and not merely found in a folder: then every document must be an object.
    pub named: bool,
    /// Whether a kustomization names it as a patch, so that its objects are parts of others.
    pub patch: bool,
    /// Whether a kustomization of the run names it as a resource, so that kustomize writes it before a cluster sees it.
    pub built: bool,
    /// The template or folder that it was rendered from, so that its lines are of no file.
    pub rendered: Option<String>,
    /// The folder with a kustomization that it belongs to, by a number; 0 for none. Objects of two such folders may have
    /// one name, and be two objects in the end.
    pub folder: usize,
    /// Where it is a part of a longer text: the input that is the first part of it, by index.
    pub part_of: Option<usize>,
    /// None where they were let go.
    documents: Option<Arc<Vec<Result<Document, SourceError>>>>,
}

impl Input {
    /// Reads the documents of a text.
    pub fn new(source: Source, named: bool) -> Self {
        let documents = parse(&source.text);
        Self::of(source, named, documents)
    }

    fn of(source: Source, named: bool, documents: Vec<Result<Document, SourceError>>) -> Self {
        let documents = Some(Arc::new(documents));
        Self {
            source,
            named,
            patch: false,
            built: false,
            rendered: None,
            folder: 0,
            part_of: None,
            documents,
        }
    }

    /// Reads the documents of bytes that may not be text.
    pub fn from_bytes(name: &str, bytes: &[u8], named: bool) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(Source::new(name, text), named),
            Err(_) => {
                let source = Source::new(name, String::from_utf8_lossy(bytes));
                Self::of(source, named, crate::source::parse_bytes(bytes))
            }
        }
    }

    /// The same file with another text.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Self {
        let read = Self::new(Source::new(self.source.name.clone(), text), self.named);
        let (patch, built, folder) = (self.patch, self.built, self.folder);
        Self { patch, built, rendered: self.rendered.clone(), folder, ..read }
    }

    /// The same with what is to be shown of its text, and without its documents.
    #[must_use]
    pub(super) fn shown(&self, source: Source) -> Self {
        Self { source, rendered: self.rendered.clone(), documents: None, ..*self }
    }

    /// Reads what a template or folder was rendered to. It is called by that origin, and its lines are its own.
    pub fn from_rendered(origin: &str, bytes: &[u8]) -> Self {
        let name = format!("{origin} (rendered)");
        Self { rendered: Some(origin.to_owned()), ..Self::from_bytes(&name, bytes, false) }
    }

    /// What is known of another one that is the same file.
    pub(super) fn like(self, known: &Self) -> Self {
        let Self { named, patch, built, folder, part_of, .. } = *known;
        Self { named, patch, built, folder, part_of, rendered: known.rendered.clone(), ..self }
    }

    /// The same as a part of a longer text, which begins there at that byte and line. `first` is the input that is its first part.
    #[must_use]
    pub fn as_part(self, from: usize, line: usize, first: usize) -> Self {
        let source = Source::part(self.source.name.clone(), Arc::clone(&self.source.text), from, line);
        Self { source, part_of: Some(first), ..self }
    }

    /// Reads many texts at once, on all cores, and returns them in their order. Each is its name, its bytes and
    /// whether it was named by the user.
    pub fn read_all(texts: &[(String, Vec<u8>, bool)]) -> Vec<Self> {
        let bytes = texts.iter().map(|(_, bytes, _)| bytes.len()).sum();
        in_parallel(texts, few_texts(texts.len(), bytes), |(name, bytes, named)| {
            Self::from_bytes(name, bytes, *named)
        })
    }

    /// Whether it was met on the way through a folder: nobody said that it is a manifest.
    pub(super) fn is_met(&self) -> bool {
        !self.named && self.rendered.is_none()
    }

    /// The documents, as far as they could be read.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.read().iter().filter_map(|document| document.as_ref().ok())
    }

    /// What could not be read.
    pub fn errors(&self) -> impl Iterator<Item = &SourceError> {
        self.read().iter().filter_map(|document| document.as_ref().err())
    }

    /// All documents, as far as they are there.
    pub(super) fn read(&self) -> &[Result<Document, SourceError>] {
        self.documents.as_ref().map_or(&[], |documents| documents)
    }
}
