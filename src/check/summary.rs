//! How many objects of a run fared how.

use super::Report;
use crate::verdict::{Action, Finding};
use std::collections::BTreeMap;

/// How many findings of each action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Objects that were judged.
    pub objects: usize,
    /// Objects that would be refused.
    pub denied: usize,
    /// Objects with warnings that are not refused.
    pub warned: usize,
    /// Objects with findings for the audit log alone.
    pub audited: usize,
    /// Objects that were not judged: of other kinds, in namespaces that no policy is about, or patches.
    pub not_judged: usize,
    /// Findings that a comment in their file excuses.
    #[serde(skip_serializing_if = "is_zero")]
    pub excused_by_comment: usize,
}

/// Whether a count has nothing to say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Report<'_> {
    /// How many objects fared how; each counts once, for the strictest of its findings.
    pub fn summary(&self) -> Summary {
        // By index and not by name: a run can hold two objects of the same name.
        let mut strictest = BTreeMap::new();
        for located in &self.findings {
            let action = effective(&located.finding);
            let entry = strictest.entry(located.manifest).or_insert(action);
            *entry = action.max(*entry);
        }
        let count = |action| strictest.values().filter(|found| **found == action).count();
        let objects = self.not_judged.iter().filter(|entry| entry.what.is_object());
        Summary {
            objects: self.judged,
            not_judged: objects.map(|entry| entry.count).sum(),
            denied: count(Action::Deny),
            warned: count(Action::Warn),
            audited: count(Action::Audit),
            excused_by_comment: self.findings.iter().filter(|located| located.comment.is_some()).count(),
        }
    }
}

/// What a finding leads to in the end: an excused one is for the audit log alone.
pub fn effective(finding: &Finding) -> Action {
    if finding.excused.is_some() { Action::Audit } else { finding.action }
}
