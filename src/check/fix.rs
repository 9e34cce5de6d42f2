//! Writes what makes an object as it should be into the text of its file: what mutation changes, and the volumes that keep
//! data which would be lost.

mod kustomize;
mod names;
mod operations;
mod plan;
mod repair;
mod spread;
mod volumes;
mod wanted;

use super::manifest::Manifest;
use super::{Change, Report};
use crate::model::FieldPath;
use crate::source::{DocumentChange, EditError, edit_all};
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch, PatchOperation};

pub use kustomize::{MARK, component};
pub use repair::{Repair, Repaired, TextEdit};
pub use wanted::Wanted;

/// The text of an input with the changes of the report applied, comments and layout kept.
///
/// # Errors
/// If a change cannot be written into the text without harm.
pub fn apply(input: usize, text: &str, report: &Report<'_>) -> Result<String, EditError> {
    let mut changes: Vec<(&Manifest<'_>, &Change)> = report
        .changes
        .iter()
        .filter_map(|change| Some((report.manifests.get(change.manifest)?, change)))
        .filter(|(manifest, _)| manifest.input == input)
        .collect();
    // One document's changes at once.
    changes.sort_by_key(|(manifest, _)| manifest.document.span.start);
    let documents = changes.chunk_by(|(a, _), (b, _)| a.document.span.start == b.document.span.start);
    edit_all(
        text,
        documents.filter_map(|group| {
            let (manifest, _) = group.first()?;
            let patch = group.iter().flat_map(|(manifest, change)| within(&manifest.at, &change.patch));
            let patch = Patch(patch.collect());
            Some(DocumentChange { document: manifest.document, patch, after: Vec::new() })
        }),
    )
}

/// The operations of an object's patch as operations on the document that holds it.
pub(super) fn within(at: &FieldPath, patch: &Patch) -> Vec<PatchOperation> {
    let outer = at.to_json_pointer();
    let moved =
        |path: &PointerBuf| PointerBuf::parse(format!("{outer}{path}")).unwrap_or_else(|_| path.clone());
    let operations = patch.0.iter().cloned().map(|operation| match operation {
        PatchOperation::Add(mut add) => {
            add.path = moved(&add.path);
            PatchOperation::Add(add)
        }
        PatchOperation::Replace(mut replace) => {
            replace.path = moved(&replace.path);
            PatchOperation::Replace(replace)
        }
        PatchOperation::Remove(mut remove) => {
            remove.path = moved(&remove.path);
            PatchOperation::Remove(remove)
        }
        // volgate's own patches hold nothing else.
        other => other,
    });
    operations.collect()
}

#[cfg(test)]
mod tests;
